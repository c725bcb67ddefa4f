package bounce

import (
	"strings"
	"testing"

	"github.com/postroad/postroad/message"
)

// Texts that would cost much if anything here were worse than linear. There is
// no clock in this test: at a square of the length it would not end.
func TestHostileTexts(t *testing.T) {
	head := "Return-Path: <>\nFrom: MAILER-DAEMON@mx.example.com\nTo: anna@example.com\nSubject: Undelivered Mail\n\n"
	fill := func(s string) string { return strings.Repeat(s, MaxText/len(s)+2) }
	for name, body := range map[string]string{
		"ats":          fill("@"),
		"addresses":    fill("<a@b.example>:\n"),
		"in one line":  "recipients: " + fill("a@b.example, "),
		"different":    different(20_000, "<user%@b.example>: 550 no such user\n\n"),
		"lists":        fill("the following recipients failed: a@b.example\n"),
		"contacts":     fill("please contact a@b.example "),
		"failures":     fill("a@b.example user unknown "),
		"transcript":   "----- Transcript of session follows -----\n" + fill("550 <a@b.example>... User unknown\n"),
		"replies":      fill("<<< 550-5.1.1 a\n"),
		"codes":        fill("550 "),
		"brackets":     fill("(expanded from <"),
		"one line":     fill("x"),
		"blanks":       fill(" "),
		"line ends":    fill("\n"),
		"separators":   fill("original message "),
		"fields":       "Final-Recipient: rfc822;a@b.example\n" + fill("Status: 5.1.1\n"),
		"groups":       different(20_000, "Final-Recipient: rfc822;user%\nAction: failed\n\n"),
		"labels":       fill("Recipient:\n"),
		"html":         "<html>" + fill("<p>"),
		"quotes":       fill("> > > > \n"),
		"local names":  "The following recipients failed:\n\n" + fill("  bob\n"),
		"returned":     "Final-Recipient: rfc822;x\n--- Below this line is a copy of the message.\n" + fill("Received: from a by b for <c@d.example>\n"),
		"quoted local": fill(`"a`) + "@b.example",
		"unicode":      fill("用户"),
	} {
		t.Run(name, func(t *testing.T) {
			invariants(t, Read(message.Read([]byte(head+body), message.Limits{}), Options{Ours: []string{"example.com"}}))
			invariants(t, ReadText(body, Options{}))
		})
	}
}

func different(n int, s string) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Replace(s, "%", string(rune('a'+i%26))+string(rune('a'+i/26%26))+string(rune('a'+i/676%26)), 1))
	}
	return b.String()
}
