package bounce

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/postroad/postroad/mail"
	"github.com/postroad/postroad/message"
)

// seeds adds every case and some pathological texts.
func seeds(f *testing.F) {
	for _, c := range readCases(f) {
		f.Add([]byte(c.input))
	}
	for _, s := range []string{
		"", "\x00", "@", "<@>:", "<a@b", "a@b@c@d", strings.Repeat("<a@example.com>:\n", 50),
		"Final-Recipient:", "Final-Recipient: rfc822;\nAction:\n\n:\n", strings.Repeat("(", 200),
		"From: mailer-daemon\nReturn-Path: <>\n\n550", "Diagnostic-Code: smtp; 5", "\xff\xfe<\x00a\x00@\x00b\x00",
	} {
		f.Add([]byte(s))
	}
}

func FuzzRead(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) > 64<<10 {
			return
		}
		m := message.Read(raw, message.Limits{})
		invariants(t, Read(m, Options{Ours: []string{"example.com", "a@example.net", "192.0.2.1"}}))
	})
}

func FuzzReadText(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) > 64<<10 {
			return
		}
		invariants(t, ReadText(string(raw), Options{}))
	})
}

// invariants are what every report holds, whatever it was made of.
func invariants(t *testing.T, r Report) {
	t.Helper()
	switch r.Kind {
	case KindBounce, KindDelayed, KindDelivered, KindBackscatter:
	case KindFeedback:
		if r.Feedback == nil {
			t.Error("a complaint without its facts")
		}
	case KindAutoReply, KindChallenge, KindMessage:
		if len(r.Results) > 0 {
			t.Errorf("%s with results", r.Kind)
		}
	default:
		t.Errorf("kind %q", r.Kind)
	}
	if len(r.Why) == 0 {
		t.Error("no reason")
	}
	if len(r.Results) > MaxResults {
		t.Errorf("%d results", len(r.Results))
	}
	seen := map[string]bool{}
	for i := range r.Results {
		b := &r.Results[i]
		if b.Action == "" || b.Outcome == "" || b.Ours == "" {
			t.Errorf("%q: action %q, outcome %q, ours %q", b.Recipient, b.Action, b.Outcome, b.Ours)
		}
		if b.Action != mail.ActionFailed && b.Outcome == mail.Permanent || b.Action == mail.ActionFailed && b.Outcome == mail.Delivered {
			t.Errorf("%s is %s", b.Action, b.Outcome)
		}
		if b.Recipient != "" && !strings.Contains(b.Recipient, "@") || len(b.Recipient) > mail.MaxAddress {
			t.Errorf("recipient %q", b.Recipient)
		}
		if strings.ContainsAny(b.Recipient, "\n\r") || !utf8.ValidString(b.Recipient) || !utf8.ValidString(b.Diagnostic) {
			t.Errorf("recipient %q, diagnostic %q", b.Recipient, b.Diagnostic)
		}
		if k := addressKey(b.Recipient); seen[k] {
			t.Errorf("recipient %q twice", b.Recipient)
		} else {
			seen[k] = true
		}
		if len(b.Diagnostic) > 64<<10 {
			t.Errorf("diagnostic of %d bytes", len(b.Diagnostic))
		}
	}
}

// The corpus is no seed corpus (nothing of it is kept), but its mails hold the
// invariants too, whole and cut anywhere.
func TestInvariantsOfCorpus(t *testing.T) {
	dir := corpusDir(t, "bounces/sisimai-set-of-emails/bsd")
	names, err := filepath.Glob(filepath.Join(dir, "*.eml"))
	if err != nil || len(names) == 0 {
		t.Fatal("no mails", err)
	}
	for _, name := range names {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []int{len(raw), len(raw) * 3 / 4, len(raw) / 2, len(raw) / 3, len(raw) / 5} {
			invariants(t, Read(message.Read(raw[:n], message.Limits{}), Options{}))
			invariants(t, ReadText(string(raw[:n]), Options{}))
		}
	}
}
