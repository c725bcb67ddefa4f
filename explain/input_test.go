package explain_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf16"

	"github.com/postroad/postroad/explain"
	"github.com/postroad/postroad/mail"
)

// one gives the only answer of a stream.
func one(t *testing.T, r io.Reader) *explain.Answer {
	t.Helper()
	var got []*explain.Answer
	if err := explainer(t, nil).Reader("-", r, func(a *explain.Answer) bool { got = append(got, a); return true }); err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 {
		t.Fatalf("%d answers, want 1", len(got))
	}
	return got[0]
}

func utf16le(s string, bom bool) []byte {
	var b []byte
	if bom {
		b = append(b, 0xff, 0xfe)
	}
	for _, u := range utf16.Encode([]rune(s)) {
		b = append(b, byte(u), byte(u>>8))
	}
	return b
}

// TestEveryInputHasAKindAndAReason feeds what people and machines hand over by
// mistake.
func TestEveryInputHasAKindAndAReason(t *testing.T) {
	bounce := dsnMail("anna@example.org", "mx.example.org", "550 5.1.1 User unknown")
	inner := bounce
	for range 3 { // an NDR in an NDR in an NDR
		inner = nest(inner)
	}
	for _, c := range []struct {
		name  string
		input []byte
		kind  explain.Kind
		note  bool
	}{
		{"empty", nil, explain.KindUnknown, false},
		{"blank", []byte(" \r\n\n\t"), explain.KindUnknown, false},
		{"binary", append([]byte("\x7fELF\x02\x01\x01\x00"), bytes.Repeat([]byte{0, 1, 2, 0xfe}, 500)...), explain.KindUnknown, false},
		{"only NUL", make([]byte, 1000), explain.KindUnknown, false},
		{"a letter", []byte("x"), explain.KindUnknown, false},
		{"prose", []byte("Dear all, the meeting is on Monday. We start at nine.\n"), explain.KindUnknown, false},
		{"a number", []byte("42"), explain.KindUnknown, false},
		{"bounce cut in the middle of the status", []byte(bounce[:strings.Index(bounce, "Diagnostic-Code")+40]), explain.KindBounce, true},
		{"bounce with NULs", []byte(strings.ReplaceAll(bounce, "Hello", "He\x00llo\x00")), explain.KindBounce, false},
		{"bounce in UTF-16LE with BOM", utf16le(bounce, true), explain.KindBounce, true},
		{"bounce in UTF-16LE without BOM", utf16le(bounce, false), explain.KindBounce, true},
		{"reply in UTF-16LE with BOM", utf16le("550 5.1.1 <anna@example.org>: User unknown\r\n", true), explain.KindReply, true},
		{"bounce with bare CR", []byte(strings.ReplaceAll(bounce, "\n", "\r")), explain.KindBounce, false},
		{"bounce with CRLF", []byte(strings.ReplaceAll(bounce, "\n", "\r\n")), explain.KindBounce, false},
		{"bounce behind blank lines", []byte("\n\n" + bounce), explain.KindBounce, false},
		{"bounce in a bounce in a bounce", []byte(inner), explain.KindBounce, false},
		{"headers alone", []byte("Received: from a.example (a.example [192.0.2.1]) by b.example; Mon, 22 Jan 2024 09:10:11 +0100\nFrom: a@a.example\nSubject: x\n"), explain.KindHeaders, false},
		{"ordinary mail", []byte("Received: from a by b; Mon, 22 Jan 2024 09:10:11 +0100\nFrom: a@a.example\nTo: b@b.example\nSubject: lunch\n\nAt one?\n"), explain.KindMessage, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := one(t, bytes.NewReader(c.input))
			if a.Kind != c.kind {
				t.Fatalf("kind %s, want %s (%+v)", a.Kind, c.kind, a)
			}
			if a.Kind == explain.KindUnknown && a.Reason == "" {
				t.Error("no reason is given")
			}
			if c.note && len(a.Notes) == 0 {
				t.Error("nothing is noted")
			}
			if a.Kind == explain.KindBounce && (len(a.Results) != 1 || a.Results[0].Recipient != "anna@example.org") {
				t.Errorf("results %+v", a.Results)
			}
			var text bytes.Buffer
			if err := (&explain.Printer{W: &text, Texts: explainer(t, nil).Texts}).Print(a, ""); err != nil || text.Len() < 20 {
				t.Errorf("text %q, %v", text.String(), err)
			}
		})
	}
}

// nest makes a bounce about a mail.
func nest(original string) string {
	b := dsnMail("anna@example.org", "mx.example.org", "550 5.1.1 User unknown")
	head, _, _ := strings.Cut(b, "--b1\nContent-Type: message/rfc822")
	head = strings.ReplaceAll(head, "b1", "x"+string(rune('a'+len(original)%26)))
	boundary := head[strings.Index(head, "boundary=\"")+10:]
	boundary = boundary[:strings.Index(boundary, "\"")]
	return head + "--" + boundary + "\nContent-Type: message/rfc822\n\n" + original + "\n--" + boundary + "--\n"
}

func TestJSONShape(t *testing.T) {
	a := answer(t, dsnMail("anna@aol.com", "mx-aol.mail.gm0.yahoodns.net", ten[0].reply))
	b, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Schema  int
		File    string
		Kind    string
		Results []map[string]any
	}
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	if got.Schema != 1 || got.File != "test" || got.Kind != "bounce" || len(got.Results) != 1 {
		t.Fatalf("%s", b)
	}
	r := got.Results[0]
	for _, field := range []string{"recipient", "action", "status", "code", "enhanced", "text", "remote_host", "remote_ip",
		"stage", "outcome", "ours", "provider", "diagnosis", "explanation", "next"} {
		if _, ok := r[field]; !ok {
			t.Errorf("field %q is missing in %s", field, b)
		}
	}
	d := r["diagnosis"].(map[string]any)
	for _, field := range []string{"class", "contributing", "retry", "actor", "confidence", "rule", "why", "chain"} {
		if _, ok := d[field]; !ok {
			t.Errorf("diagnosis has no %q in %s", field, b)
		}
	}
	if r["stage"] != nil {
		t.Errorf("stage %v, want null: the report does not say", r["stage"])
	}
	if chain := d["chain"].([]any); len(chain) != 2 {
		t.Errorf("chain of %d links, want 2: %s", len(chain), b)
	}
	if next := r["next"].([]any); len(next) == 0 {
		t.Error("no next step")
	}
	if p := r["provider"].(map[string]any); p["id"] != "yahoo" || p["brand"] != "AOL" {
		t.Errorf("provider %v", p)
	}
}

// TestBackscatterIsNotOurFailure: a report about what we never sent.
func TestBackscatterIsNotOurFailure(t *testing.T) {
	raw := dsnMail("anna@example.org", "mx.example.org", "550 5.1.1 User unknown")
	for ours, want := range map[string]mail.Ours{"example.com": mail.OursYes, "example.net": mail.OursNo, "": mail.OursUnknown} {
		x := explainer(t, func(o *explain.Options) {
			if ours != "" {
				o.Ours = []string{ours}
			}
		})
		a := x.Answer("x", []byte(raw), false)
		if len(a.Results) != 1 || a.Results[0].Ours != want {
			t.Errorf("ours %q: %+v, want %s", ours, a.Results, want)
		}
		if back := a.Kind == explain.KindBackscatter; back != (want == mail.OursNo) {
			t.Errorf("ours %q: kind %s", ours, a.Kind)
		}
	}
}

func TestDirectories(t *testing.T) {
	dir := t.TempDir()
	x := explainer(t, nil)
	var got []*explain.Answer
	keep := func(a *explain.Answer) bool { got = append(got, a); return true }
	err := x.Path(dir, keep)
	var ue *explain.UnreadableError
	if !errors.As(err, &ue) || len(got) != 1 || got[0].Kind != explain.KindUnknown || got[0].Reason == "" {
		t.Errorf("a bare directory gives %v and %d answers", err, len(got))
	}
	for _, sub := range []string{"cur", "new", "tmp"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{
		"new/1.a": dsnMail("anna@example.org", "mx.example.org", "550 5.1.1 User unknown"),
		"cur/2.b": "From: a@a.example\nTo: b@b.example\nMessage-ID: <1@a.example>\n\nhello\n",
		"tmp/3.c": "half a mail",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got = nil
	if err := x.Path(dir, keep); err != nil || len(got) != 2 {
		t.Errorf("a Maildir gives %v and %d answers, want 2", err, len(got))
	}
	if err := x.Path(filepath.Join(dir, "none"), keep); !errors.As(err, &ue) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file gives %v", err)
	}
}

func TestMailboxGivesOneAnswerAMail(t *testing.T) {
	var box strings.Builder
	for range 3 {
		box.WriteString("From MAILER-DAEMON Mon Jan 22 09:10:11 2024\n" + dsnMail("anna@example.org", "mx.example.org", "550 5.1.1 User unknown") + "\n")
	}
	n := 0
	err := explainer(t, nil).Reader("-", strings.NewReader(box.String()), func(a *explain.Answer) bool {
		n++
		if a.Kind != explain.KindBounce {
			t.Errorf("kind %s", a.Kind)
		}
		return true
	})
	if err != nil || n != 3 {
		t.Errorf("%d answers and %v, want 3", n, err)
	}
}

func TestReadErrorsAreNotAnswers(t *testing.T) {
	broken := iotest.ErrReader(errors.New("input/output error"))
	err := explainer(t, nil).Reader("-", broken, func(*explain.Answer) bool { t.Error("an answer"); return true })
	var ue *explain.UnreadableError
	if !errors.As(err, &ue) {
		t.Errorf("got %v", err)
	}
}

// endless is n bytes of a pattern, made as they are read.
type endless struct {
	head, pattern string
	left, at      int
}

func (e *endless) Read(p []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	n := min(len(p), e.left)
	for i := range n {
		if e.at < len(e.head) {
			p[i] = e.head[e.at]
		} else {
			p[i] = e.pattern[(e.at-len(e.head))%len(e.pattern)]
		}
		e.at++
	}
	e.left -= n
	return n, nil
}

// TestHugeInputsAreBounded reads mails that somebody built to hurt. The bound on
// memory is the one that is promised; that on time is for a benchmark to show.
func TestHugeInputsAreBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("reads 100 MB inputs")
	}
	// A busy machine collects late, and the bound is on what is held.
	defer debug.SetGCPercent(debug.SetGCPercent(50))
	const size = 100 << 20
	const head = "From: MAILER-DAEMON@example.com\nTo: a@example.com\nSubject: Undelivered Mail Returned to Sender\nMIME-Version: 1.0\n"
	var nested, wide strings.Builder
	nested.WriteString(head)
	for range 5000 {
		nested.WriteString("Content-Type: message/rfc822\n\nFrom: a@example.com\n")
	}
	wide.WriteString(head + "Content-Type: multipart/mixed; boundary=b\n\n")
	for range 10000 {
		wide.WriteString("--b\nContent-Type: text/plain\n\nx\n")
	}
	for name, r := range map[string]io.Reader{
		"5,000 nested parts":      strings.NewReader(nested.String()),
		"10,000 parts":            strings.NewReader(wide.String()),
		"100 MB of lines":         &endless{head: head + "\n", pattern: "The quick brown fox jumps over <anna@example.org>: 550 no such user.\n", left: size},
		"one line of 100 MB":      &endless{head: head + "\n", pattern: "550 5.1.1 abcdefghij", left: size},
		"100 MB header line":      &endless{head: "Subject: ", pattern: "abc ", left: size},
		"100 MB without anything": &endless{pattern: "x", left: size},
		"100 MB of log":           &endless{pattern: "Jan 22 09:10:11 m postfix/smtp[1]: ABC123: to=<a@b.example>, relay=none, delay=1, delays=1/0/0/0, dsn=4.4.1, status=deferred (connect to b.example[192.0.2.1]:25: Connection timed out)\n", left: size},
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			a := one(t, r)
			runtime.ReadMemStats(&after)
			if grown := after.HeapSys - before.HeapSys; after.HeapSys > before.HeapSys && grown > 100<<20 {
				t.Errorf("the heap grew by %d MB", grown>>20)
			}
			if a.Kind == explain.KindUnknown && a.Reason == "" || strings.HasPrefix(name, "100") && len(a.Notes) == 0 {
				t.Errorf("kind %s, reason %q, notes %v", a.Kind, a.Reason, a.Notes)
			}
		})
	}
}
