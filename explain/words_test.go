package explain_test

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/postroad/postroad/explain"
	"github.com/postroad/postroad/lang"
	"github.com/postroad/postroad/mail"
)

// TestAnswerClaimsNoMoreThanTheEvidence holds the first sentences to what a
// reply says: who spoke, how sure it is, what is left open.
func TestAnswerClaimsNoMoreThanTheEvidence(t *testing.T) {
	const line = "Nov 21 18:56:37 srv7 postfix/smtp[1]: 4A1B2C3D4E5: to=<a@yahoo.com>, "
	cases := []struct {
		name, text   string
		actor        mail.Actor
		want, refuse []string
	}{
		{"the sending server's own trouble is not the receiver's",
			line + "relay=none, delay=1, delays=0/0/0/1, dsn=4.3.5, status=deferred (Server configuration problem)",
			mail.ActorSender, []string{"The mail server that reports this"}, []string{"Yahoo"}},
		{"only a code is known", "554 5.7.1 Rejected",
			mail.ActorUnknown, []string{"Probably (sure to 0.50): ", "final"}, []string{"It is not"}},
		{"cut while the message was sent: it may be the message after all",
			line + "relay=mx.mail.am0.yahoodns.net[192.0.2.4]:25, delay=1, delays=0/0/0/1, dsn=4.4.2, " +
				"status=deferred (lost connection with mx.mail.am0.yahoodns.net[192.0.2.4] while sending message body)",
			mail.ActorPath, []string{"The connection to Yahoo broke"}, []string{"It is not your text"}},
		{"a retry that a repair must precede", line + "relay=mx.mail.am0.yahoodns.net[192.0.2.4]:25, delay=1, " +
			"delays=0/0/0/1, dsn=4.7.1, status=deferred (host mx.mail.am0.yahoodns.net[192.0.2.4] said: 421 4.7.1 [TS03] " +
			"All messages from 192.0.2.1 will be permanently deferred; Retrying will NOT succeed (in reply to MAIL FROM command))",
			mail.ActorSender, []string{"seldom helps before the cause is gone"}, nil},
		{"a rule of the recipient's organisation is theirs",
			"550 5.7.1 Delivery restricted: external senders not allowed to this group",
			mail.ActorRecipient, []string{"takes mail only from chosen senders"}, nil},
		{"time ran out is said once", "550 4.4.7 QUEUE.Expired; message expired",
			mail.ActorUnknown, []string{"until its time was up, then gave up"}, []string{"gave up. "}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			a := answer(t, c.text)
			if len(a.Results) != 1 {
				t.Fatalf("%d results, want 1", len(a.Results))
			}
			r := a.Results[0]
			if r.Diagnosis.Actor != c.actor {
				t.Errorf("actor %q, want %q", r.Diagnosis.Actor, c.actor)
			}
			for _, w := range c.want {
				if !strings.Contains(r.Explanation, w) {
					t.Errorf("%q lacks %q", r.Explanation, w)
				}
			}
			for _, w := range c.refuse {
				if strings.Contains(r.Explanation, w) {
					t.Errorf("%q claims %q", r.Explanation, w)
				}
			}
		})
	}
}

// TestTextForm reads what a person sees of the examples.
func TestTextForm(t *testing.T) {
	cases := []struct{ file, want, refuse string }{
		{"../examples/feedback-yahoo.eml", "a reader at Yahoo marked", "a reader at bakery.example"},
		{"../examples/postfix-expired.log", "3 attempts", "1 recipient:"},
		{"../examples/postfix.log", "  2  Yahoo, transport: 421 4.4.2", "  1  Yahoo, transport: 421 4.4.2"},
	}
	for _, c := range cases {
		raw, err := os.ReadFile(c.file)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		p := explain.Printer{W: &b, Texts: lang.Open("en")}
		if err := p.Print(explainer(t, nil).Answer(c.file, raw, false), ""); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(b.String(), c.want) || strings.Contains(b.String(), c.refuse) {
			t.Errorf("%s: want %q and not %q in\n%s", c.file, c.want, c.refuse, b.String())
		}
	}
}

// TestDelayNamesItsEnd: whoever waits wants to know until when it is tried.
func TestDelayNamesItsEnd(t *testing.T) {
	raw := strings.Replace(dsnMail("anna@example.org", "mx.example.org", "450 4.2.0 Greylisted"), "Action: failed\nStatus: 5.0.0",
		"Action: delayed\nStatus: 4.2.0\nWill-Retry-Until: Sat, 27 Jan 2024 09:10:00 +0100", 1)
	a := answer(t, raw)
	if len(a.Results) != 1 || !strings.Contains(a.Results[0].Explanation, "until 2024-01-27") {
		t.Errorf("%+v", a.Results)
	}
}
