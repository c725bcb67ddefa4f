package main

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/lang"
	"github.com/postroad/postroad/world"
)

const outside = `
name = "A test"
about = "One host that says no."
[clock]
start = "2026-01-22T09:00:00Z"
[[provider]]
id = "post"
domains = ["post.example"]
[[provider.host]]
name = "mx.post.example"
[[provider.temper]]
do = "reject"
at = "banner"
reply = "554 5.7.1 no \u007f"
`

func TestWorldChecks(t *testing.T) {
	dir := t.TempDir()
	good, bad := filepath.Join(dir, "good.toml"), filepath.Join(dir, "bad.toml")
	text := strings.Replace(outside, " \\u007f", "", 1)
	for name, text := range map[string]string{good: text, bad: text + "when = 5\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		stdin     string
		args      []string
		status    int
		out, errs string
	}{
		{"", []string{"--check", good}, exitFine, "good.toml is right: providers 1, hosts 1, tempers 1", ""},
		{text, []string{"--check", "-"}, exitFine, "is right", ""},
		{"", []string{"--check", bad}, exitUsage, "", "bad.toml: read scenario: line 15: unknown key"},
		{outside, []string{"--check", "-"}, exitUsage, "", "control"},
		{"", []string{"--check", filepath.Join(dir, "none.toml")}, exitUsage, "", "none.toml: no such file"},
		{"", []string{}, exitUsage, "", "--help"},
		{text, []string{"--for", "soon", "-"}, exitUsage, "", "--help"},
		{text, []string{"--for", "-1s", "-"}, exitUsage, "", "below 0"},
		{text, []string{"--native", "--for", "1ms", "-"}, exitUsage, "", "loopback only"},
	} {
		if len(c.args) > 0 && c.args[0] == "--native" {
			c.stdin = strings.Replace(c.stdin, `name = "mx.post.example"`, "name = \"mx.post.example\"\naddresses = [\"192.0.2.25\"]", 1)
			if onlyLoopback(t) {
				continue
			}
		}
		out, errs, status := invoke(t, c.stdin, append([]string{"world"}, c.args...)...)
		if status != c.status || !strings.Contains(out, c.out) || !strings.Contains(errs, c.errs) || c.errs == "" && errs != "" {
			t.Errorf("%v: status %d, %q, %q", c.args, status, out, errs)
		}
	}
}

func onlyLoopback(t *testing.T) bool {
	t.Helper()
	all, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range all {
		if i.Flags&net.FlagLoopback == 0 {
			return false
		}
	}
	return true
}

func TestWorldRuns(t *testing.T) {
	text := strings.Replace(outside, " \\u007f", "", 1)
	for _, tag := range lang.Languages() {
		out, errs, status := invoke(t, text, "world", "--lang", tag, "--for", "5ms", "-")
		if status != exitFine || errs != "" || !strings.Contains(out, "2026-01-22 09:00:00 UTC") || !strings.Contains(out, "mx.post.example") {
			t.Errorf("%s: status %d, %q, %q", tag, status, out, errs)
		}
	}
	dir := t.TempDir()
	out, errs, status := invoke(t, text, "world", "--json", "--dir", dir, "--for", "5ms", "-")
	var truth world.Truth
	if status != exitFine || errs != "" || json.Unmarshal([]byte(out), &truth) != nil || strings.Count(out, "\n") != 1 {
		t.Errorf("status %d, %q, %q", status, out, errs)
	}
	for name, want := range map[string]string{mapName: "127.77.1.1:25 127.77.1.1:", rootName: "BEGIN CERTIFICATE", truthName: "", anchorsName: ""} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !strings.Contains(string(b), want) {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
}

// TestWorldTells: events in one line each, and the truth at the end.
func TestWorldTells(t *testing.T) {
	var b strings.Builder
	p := &worldPrinter{texts: lang.Open("en"), out: &b}
	p.event(world.Event{Kind: world.Began})
	p.event(world.Event{Kind: world.Refused, Provider: "post", Host: "mx.post.example", Session: 7, Stage: "rcpt", Sender: "c@d", Recipient: "a@post.example",
		Code: 550, Text: "no\x1b[31m", Reason: "mailbox unknown"})
	p.event(world.Event{Time: time.Time{}.Add(time.Second), Kind: world.Accepted, Host: "mx.post.example", Stage: "final", MessageID: "<1@a>",
		Reason: "falls silent"})
	p.event(world.Event{Time: time.Time{}.Add(24 * time.Hour), Kind: world.Cut, Host: "mx.post.example", Stage: "connect"})
	truth := world.Truth{Messages: 1204, Sessions: 3, By: map[string]int{"post": 1204}, Tally: []world.Tally{{Cause: world.Cause{Provider: "post", Kind: world.Cut,
		Stage: "starttls", Reason: "closes"}, Count: 2}}, Again: []world.Repeated{{Arrival: world.Arrival{MessageID: "<1@a>", Recipient: "b@c"}, Count: 2}}}
	if err := p.end(truth, false); err != nil {
		t.Fatal(err)
	}
	got := b.String()
	for _, want := range []string{"-- 0001-01-01\n00:00:00 refused mx.post.example #7 RCPT: c@d > a@post.example 550 no?[31m (mailbox unknown)\n",
		"00:00:01 accepted mx.post.example end of message: <1@a> kept, but the sender was not told (falls silent)\n",
		"-- 0001-01-02\n", "1,204  post      accepted",
		"accepted 1,204 (counted by recipient), sessions 3", "2      post      cut       STARTTLS        closes", "  2  <1@a>  b@c"} {
		if !strings.Contains(got, want) {
			t.Errorf("lacks %q:\n%s", want, got)
		}
	}
	if strings.Contains(got, "began") {
		t.Errorf("tells of the beginning of sessions:\n%s", got)
	}
}
