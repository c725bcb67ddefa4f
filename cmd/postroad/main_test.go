package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// invoke runs a command line as main does.
func invoke(t *testing.T, stdin string, args ...string) (out, errs string, status int) {
	t.Helper()
	var o, e bytes.Buffer
	status = run(args, console{in: strings.NewReader(stdin), out: &o, err: &e, getenv: func(string) string { return "" }})
	return o.String(), e.String(), status
}

const reply = "421 4.7.0 [TSS04] Messages from 192.0.2.25 temporarily deferred due to unexpected volume or user complaints"

func TestExitStatusAndStreams(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good, bad := write("reply.txt", reply), write("prose.txt", "Nothing to see here, move along.")
	empty := write("empty.eml", "")
	missing := filepath.Join(dir, "none.eml")
	for _, c := range []struct {
		name, stdin string
		args        []string
		status      int
		out, errs   string // a part of each; "" for none at all
	}{
		{"a reply on standard input", reply, []string{"explain"}, exitFine, "Yahoo", ""},
		{"a dash", reply, []string{"explain", "-"}, exitFine, "Yahoo", ""},
		{"a file", "", []string{"explain", good}, exitFine, "Yahoo", ""},
		{"two files name themselves", "", []string{"explain", good, bad}, exitFine, bad, ""},
		{"nothing recognisable", "", []string{"explain", bad}, exitNothing, ".eml", ""},
		{"an empty file", "", []string{"explain", empty}, exitNothing, "empty", ""},
		{"empty standard input", "", []string{"explain"}, exitNothing, "empty", ""},
		{"a missing file", "", []string{"explain", missing}, exitUsage, "", "does not exist"},
		{"a missing file among good ones", "", []string{"explain", good, missing}, exitUsage, "Yahoo", "does not exist"},
		{"a directory", "", []string{"explain", dir}, exitUsage, "no Maildir", "directory"},
		{"a missing file in JSON", "", []string{"explain", "--json", missing}, exitUsage, `"kind":"unknown"`, "does not exist"},
		{"an unknown option", "", []string{"explain", "--jsn"}, exitUsage, "", "--help"},
		{"an unknown command", "", []string{"explode"}, exitUsage, "", "--help"},
		{"an unknown kind", reply, []string{"explain", "--as", "poem"}, exitUsage, "", "headers"},
		{"a name that cannot be ours", reply, []string{"explain", "--ours", "not a name"}, exitUsage, "", "not a name"},
		{"an unknown language", reply, []string{"explain", "--lang", "tlh"}, exitUsage, "", "pt"},
		{"an unknown colour", reply, []string{"explain", "--color", "blue"}, exitUsage, "", "never"},
		{"a missing rule file", reply, []string{"explain", "--rules", missing}, exitUsage, "", "none.eml"},
		{"read as a log", reply, []string{"explain", "--as", "log"}, exitNothing, "Nothing", ""},
		{"read as headers", reply, []string{"explain", "--as", "headers"}, exitNothing, "Nothing", ""},
		{"no command", "", nil, exitFine, "explain", ""},
		{"help", "", []string{"explain", "--help"}, exitFine, "Exit status", ""},
		{"version", "", []string{"version"}, exitFine, "postroad ", ""},
		{"a known host", "", []string{"providers", "lookup", "mx-eu.mail.am0.yahoodns.net"}, exitFine, "yahoo", ""},
		{"a known address", "", []string{"providers", "lookup", "anna@aol.com"}, exitFine, "AOL", ""},
		{"a former domain", "", []string{"providers", "lookup", "--at", "2024-01-22", "btinternet.com"}, exitFine, "yahoo", ""},
		{"an unknown domain", "", []string{"providers", "lookup", "example.org"}, exitNothing, "domain:example.org", ""},
		{"no argument", "", []string{"providers", "lookup"}, exitUsage, "", "--help"},
		{"a bad date", "", []string{"providers", "lookup", "--at", "yesterday", "aol.com"}, exitUsage, "", "2024-01-22"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, errs, status := invoke(t, c.stdin, c.args...)
			if status != c.status {
				t.Errorf("status %d, want %d\n%s%s", status, c.status, out, errs)
			}
			for _, s := range [][2]string{{out, c.out}, {errs, c.errs}} {
				if !strings.Contains(s[0], s[1]) || s[1] == "" && s[0] != "" {
					t.Errorf("got %q, want %q in it", s[0], s[1])
				}
			}
		})
	}
}

// TestUnknownTextsAreListed: what no rule knows is counted by its template, which
// holds nobody's address.
func TestUnknownTextsAreListed(t *testing.T) {
	box := ""
	for _, n := range []string{"17", "18"} {
		box += "From x@example.com Mon Jan 22 09:10:11 2024\nReturn-Path: <>\nFrom: MAILER-DAEMON@mx.example.com\nTo: a@example.com\nSubject: Undelivered Mail Returned to Sender\n" +
			"Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example.com\n\n" +
			"Final-Recipient: rfc822; bob@example.org\nAction: failed\nStatus: 5.0.0\nDiagnostic-Code: smtp; 550 Frobnicated by warden " + n + " for bob@example.org\n\n--b--\n\n"
	}
	out, _, _ := invoke(t, box, "explain")
	_, list, found := strings.Cut(out, "no rule knows yet")
	if !found || !strings.Contains(list, "  2  550 Frobnicated by warden") || strings.Contains(list, "bob@") {
		t.Errorf("%s", out)
	}
}

func TestJSONIsOneObjectALine(t *testing.T) {
	box := strings.Repeat("From x@example.com Mon Jan 22 09:10:11 2024\nFrom: a@a.example\nTo: b@b.example\nMessage-ID: <1@a.example>\n\nhello\n\n", 3)
	out, _, status := invoke(t, box, "explain", "--json")
	lines := strings.Split(strings.TrimRight(out, "\n"), "\n")
	if status != exitFine || len(lines) != 3 {
		t.Fatalf("status %d, %d lines:\n%s", status, len(lines), out)
	}
	for _, l := range lines {
		var v struct {
			Schema int
			Kind   string
		}
		if err := json.Unmarshal([]byte(l), &v); err != nil || v.Schema != 1 || v.Kind != "message" {
			t.Errorf("%v in %s", err, l)
		}
	}
}

// TestEveryLanguageAnswers sees the headline answer in each language: another
// text each time, and the evidence verbatim in all of them.
func TestEveryLanguageAnswers(t *testing.T) {
	seen := map[string]string{}
	for _, tag := range []string{"en", "fr", "it", "pt", "es", "de"} {
		out, errs, status := invoke(t, "550 5.4.300 Message expired -> 421 4.4.2 Connection dropped due to SocketError", "explain", "--lang", tag)
		if status != exitFine || errs != "" {
			t.Fatalf("%s: status %d, %s", tag, status, errs)
		}
		if !strings.Contains(out, "421 4.4.2 Connection dropped due to SocketError") {
			t.Errorf("%s: the reply is not quoted:\n%s", tag, out)
		}
		if strings.Contains(out, "answer.") || strings.Contains(out, "label.") || strings.Contains(out, "{{") {
			t.Errorf("%s: a key in place of a sentence:\n%s", tag, out)
		}
		first, _, _ := strings.Cut(out, "\n")
		if other, twice := seen[first]; twice {
			t.Errorf("%s says the same as %s", tag, other)
		}
		seen[first] = tag
	}
}

func TestLinesFitTheWidth(t *testing.T) {
	out, _, _ := invoke(t, reply, "explain")
	for l := range strings.Lines(out) {
		if n := len([]rune(strings.TrimRight(l, "\n"))); n > 100 {
			t.Errorf("%d columns: %s", n, l)
		}
	}
}

// full is a disk without room.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestWriteErrorsAreNotSuccess(t *testing.T) {
	for _, args := range [][]string{{"explain"}, {"explain", "--json"}, {"version"}} {
		var e bytes.Buffer
		status := run(args, console{in: strings.NewReader(reply), out: full{}, err: &e, getenv: func(string) string { return "" }})
		if status == exitFine || e.Len() == 0 {
			t.Errorf("%v: status %d, %q", args, status, e.String())
		}
	}
}

// TestControlCharactersStayOut: what is quoted must not speak to the terminal.
func TestControlCharactersStayOut(t *testing.T) {
	out, _, _ := invoke(t, "550 5.1.1 \x1b[2J\x1b]0;title\x07 <a@example.org>: User unknown \u202e", "explain")
	if strings.ContainsAny(out, "\x1b\x07\u202e") {
		t.Errorf("%q", out)
	}
}

func TestReferenceIsInStep(t *testing.T) {
	out, _, _ := invoke(t, "", "--lang", "en", "reference")
	page, err := os.ReadFile("../../docs/cli.md")
	if err != nil || string(page) != out {
		t.Errorf("docs/cli.md is not what the commands say (%v); run go generate ./cmd/postroad", err)
	}
}
