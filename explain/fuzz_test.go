package explain_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/postroad/postroad/explain"
)

// FuzzAnswer: whatever comes in, there is a kind, a reason where it is unknown,
// JSON that can be read again, and text that cannot speak to a terminal.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(dsnMail("anna@example.org", "mx.example.org", ten[0].reply)))
	f.Add([]byte(classicNDR("fr", "anna@example.org", "mx.example.org", ten[0].reply)))
	f.Add([]byte(logoNDR("de", "anna@example.org", "mx.example.org", ten[0].reply)))
	f.Add([]byte(eximLine("anna@example.org", "mx.example.org", "192.0.2.1", ten[0].reply)))
	for _, c := range ten {
		f.Add([]byte(c.reply))
	}
	f.Add([]byte("Received: from a by b; Mon, 22 Jan 2024 09:10:11 +0100\nFrom: a@a.example\n"))
	f.Add([]byte("\xff\xfeR\x00e\x00"))
	x := explainer(f, nil)
	f.Fuzz(func(t *testing.T, raw []byte) {
		a := x.Answer("fuzz", raw, false)
		if a.Kind == "" || a.Kind == explain.KindUnknown && a.Reason == "" {
			t.Errorf("kind %q, reason %q", a.Kind, a.Reason)
		}
		b, err := json.Marshal(a)
		if err != nil || !json.Valid(b) {
			t.Fatalf("%v in %s", err, b)
		}
		for _, r := range a.Results {
			if r.Outcome == "" || r.Explanation == "" {
				t.Errorf("outcome %q, explanation %q", r.Outcome, r.Explanation)
			}
		}
		var text bytes.Buffer
		if err := (&explain.Printer{W: &text, Texts: x.Texts}).Print(a, ""); err != nil {
			t.Fatal(err)
		}
		for _, c := range text.String() {
			if c < ' ' && c != '\n' && c != '\t' || c == 0x7f {
				t.Fatalf("a control character in %q", text.String())
			}
		}
		if !utf8.Valid(text.Bytes()) {
			t.Errorf("no UTF-8: %q", text.String())
		}
	})
}
