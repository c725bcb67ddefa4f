package bounce

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/postroad/postroad/message"
)

// oneCase is a mail (name.eml) or a pasted text (name.txt) of an archive in
// testdata/cases, with what it must give (name.want):
//
//	KIND [FORMAT]
//	RECIPIENT [field=value ...]
//
// The fields are action (failed if left out), status, code, enhanced, host, ip,
// reporting, stage, spoke, outcome, original, ours, lines (of the reply), breaks (line ends of
// the diagnostic), text (a piece of the
// diagnostic). Recipients stand in order; "-" is one without an address.
type oneCase struct {
	name, file string
	pasted     bool
	input      string
	want       string
}

// readCases reads the archives: files one after another, each behind a line
// "-- name --".
func readCases(t testing.TB) []oneCase {
	t.Helper()
	names, err := filepath.Glob("testdata/cases/*.txtar")
	if err != nil || len(names) == 0 {
		t.Fatal("no cases: ", err)
	}
	var cases []oneCase
	for _, name := range names {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		files := map[string]string{}
		var order []string
		for _, piece := range strings.Split("\n"+string(raw), "\n-- ")[1:] {
			head, body, _ := strings.Cut(piece, "\n")
			head = strings.TrimSuffix(strings.TrimSpace(head), " --")
			if _, twice := files[head]; twice {
				t.Fatalf("%s: %s twice", name, head)
			}
			files[head] = body + "\n"
			order = append(order, head)
		}
		for _, head := range order {
			ext := filepath.Ext(head)
			if ext == ".want" {
				continue
			}
			base := strings.TrimSuffix(head, ext)
			want, ok := files[base+".want"]
			if !ok {
				t.Fatalf("%s: %s has no .want", name, head)
			}
			cases = append(cases, oneCase{base, filepath.Base(name), ext == ".txt", files[head], want})
		}
	}
	return cases
}

func (c oneCase) read(o Options) Report {
	if c.pasted {
		return ReadText(c.input, o)
	}
	return Read(message.Read([]byte(c.input), message.Limits{}), o)
}

func TestCases(t *testing.T) {
	cases := readCases(t)
	if len(cases) < 60 {
		t.Errorf("%d cases, want 60 at least", len(cases))
	}
	for _, c := range cases {
		t.Run(strings.TrimSuffix(c.file, ".txtar")+"/"+c.name, func(t *testing.T) {
			check(t, c.read(Options{Ours: oursOf(c.want)}), c.want)
		})
	}
}

// oursOf reads the line "ours: a b" of a .want.
func oursOf(want string) []string {
	for line := range strings.Lines(want) {
		if v, ok := strings.CutPrefix(line, "ours: "); ok {
			return strings.Fields(v)
		}
	}
	return nil
}

func check(t *testing.T, r Report, want string) {
	t.Helper()
	var lines []string
	for line := range strings.Lines(want) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "ours: ") {
			lines = append(lines, line)
		}
	}
	head := strings.Fields(lines[0])
	if string(r.Kind) != head[0] {
		t.Errorf("kind %s, want %s; why %v", r.Kind, head[0], r.Why)
	}
	if len(head) > 1 && r.Format != head[1] {
		t.Errorf("format %s, want %s", r.Format, head[1])
	}
	if len(r.Results) != len(lines)-1 {
		t.Fatalf("recipients %q, want %d", recipients(r.Results), len(lines)-1)
	}
	for i, line := range lines[1:] {
		b := r.Results[i]
		line, text, _ := strings.Cut(line, " text=")
		first := ""
		if i := strings.LastIndex(line, `"@`); i > 0 { // a quoted local part
			first, line = line[:i+2], line[i+2:]
		}
		words := strings.Fields(line)
		if words[0] = first + words[0]; words[0] == "-" {
			words[0] = ""
		}
		if b.Recipient != words[0] {
			t.Errorf("recipient %q, want %q", b.Recipient, words[0])
		}
		got := map[string]string{
			"action": string(b.Action), "status": b.Status, "code": strconv.Itoa(b.Reply.Code),
			"enhanced": b.Reply.Enhanced, "host": b.RemoteHost, "ip": b.RemoteIP, "reporting": b.ReportingHost,
			"stage": string(b.Stage), "spoke": fmt.Sprint(b.Spoke), "outcome": string(b.Outcome),
			"original": b.OrigRcpt, "ours": string(b.Ours), "lines": strconv.Itoa(len(b.Reply.Lines)),
			"breaks": strconv.Itoa(strings.Count(b.Diagnostic, "\n")),
		}
		fields := map[string]string{"action": "failed"}
		for _, w := range words[1:] {
			name, value, _ := strings.Cut(w, "=")
			fields[name] = value
		}
		for name, value := range fields {
			if g, known := got[name]; !known || g != value {
				t.Errorf("%s: %s is %q, want %q; diagnostic %q", b.Recipient, name, g, value, b.Diagnostic)
			}
		}
		if !strings.Contains(b.Diagnostic, text) {
			t.Errorf("%s: diagnostic %q lacks %q", b.Recipient, b.Diagnostic, text)
		}
	}
}

func BenchmarkCases(b *testing.B) {
	var mails []*message.Message
	for _, c := range readCases(b) {
		if !c.pasted {
			mails = append(mails, message.Read([]byte(c.input), message.Limits{}))
		}
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		Read(mails[i%len(mails)], Options{})
	}
}
