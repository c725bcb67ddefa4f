package esp

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/event"
	"github.com/postroad/postroad/mail"
)

// now is the clock of the tests.
var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// corpus gives a folder of the public test data, which lies beside the
// repository on the machines of its authors and nowhere else.
func corpus(t testing.TB, sub string) string {
	dir := filepath.Join("../../../shared", "corpus", sub)
	if _, err := os.Stat(dir); err != nil {
		t.Skip("corpus not here: ", err)
	}
	return dir
}

// skipped is one thing that was left out.
type skipped struct {
	line int64
	why  event.Skip
}

// readAll reads a text whole.
func readAll(t testing.TB, text []byte) (events []*event.Event, left []skipped) {
	t.Helper()
	o := Options{Now: now, Skip: func(line int64, why event.Skip) { left = append(left, skipped{line, why}) }}
	err := Read(bytes.NewReader(text), o, func(e *event.Event) error {
		events = append(events, e)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return events, left
}

// what says in one word what an event is.
func what(e *event.Event) string {
	switch b := e.Body.(type) {
	case *event.Attempt:
		return string(b.Outcome)
	case *event.Complaint:
		return "complaint"
	}
	return "?"
}

// anymail is a payload and what django-anymail makes of it.
type anymail struct {
	ESP      string            `json:"esp"`
	Test     string            `json:"test"`
	Payload  []json.RawMessage `json:"payload"`
	Expected map[string]any    `json:"expected"`
}

// meant gives the words of this package for anymail's, "" for no attempt.
func meant(word string) string {
	return map[string]string{
		"delivered": "delivered", "deferred": "temporary", "bounced": "permanent", "rejected": "permanent",
		"failed": "permanent", "complained": "complaint",
	}[word]
}

func TestAnymail(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(corpus(t, "webhooks"), "anymail.json"))
	if err != nil {
		t.Fatal(err)
	}
	var cases []anymail
	if err := json.Unmarshal(raw, &cases); err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, c := range cases {
		if len(c.Payload) == 0 {
			continue // the corpus has only what is expected of it
		}
		checked++
		format, ok := Sniff(c.Payload[0])
		if !ok {
			t.Errorf("%s: not recognised: %s", c.Test, c.Payload[0])
			continue
		}
		events, left := readAll(t, c.Payload[0])
		word, _ := c.Expected["event_type"].(string)
		want := meant(word)
		switch {
		case word == "":
			want = "delivered" // only its message id is expected
		case want == "":
			if len(events) != 0 || len(left) != 0 {
				t.Errorf("%s: %s gave %d events, left out %v", c.Test, word, len(events), left)
			}
			continue
		}
		if len(events) != 1 || len(left) != 0 {
			t.Errorf("%s: %d events, left out %v: %s", c.Test, len(events), left, c.Payload[0])
			continue
		}
		e := events[0]
		if e.Origin.Format != format {
			t.Errorf("%s: format %s, sniffed %s", c.Test, e.Origin.Format, format)
		}
		if got := what(e); got != want {
			t.Errorf("%s: %s, want %s: %s", c.Test, got, want, c.Payload[0])
		}
		checkFields(t, c, e)
	}
	if checked < 45 {
		t.Errorf("only %d payloads", checked)
	}
}

func checkFields(t *testing.T, c anymail, e *event.Event) {
	recipient, messageID, text := "", "", ""
	switch b := e.Body.(type) {
	case *event.Attempt:
		recipient, messageID = b.Recipient, b.MessageID
		text = strings.Join(b.Reply.Lines, "\n")
	case *event.Complaint:
		recipient, messageID = b.Recipients[0], b.MessageID
	}
	if want, ok := c.Expected["recipient"].(string); ok && want != recipient {
		t.Errorf("%s: recipient %q, want %q", c.Test, recipient, want)
	}
	want, _ := c.Expected["message_id"].(string)
	if strings.ContainsAny(want, "@") && strings.Trim(want, "<>") != messageID {
		t.Errorf("%s: message id %q, want %q", c.Test, messageID, want)
	}
	if want, ok := c.Expected["mta_response"].(string); ok && what(e) != "complaint" {
		if want = unwrap(strings.TrimSpace(want)); !strings.Contains(text, want) {
			t.Errorf("%s: text %q, want %q", c.Test, text, want)
		}
	}
}

// symfonyWant says what the payloads are that tell of an attempt.
var symfonyWant = map[string][]string{
	"Brevo/complaint":                          {"complaint"},
	"Brevo/defered":                            {"temporary"},
	"Brevo/delivered":                          {"delivered"},
	"Brevo/error":                              {"permanent"},
	"Brevo/invalid_email":                      {"permanent"},
	"Brevo/soft_bounce":                        {"permanent"},
	"Mailchimp/batch":                          {"temporary"},
	"Mailchimp/hard_bounce":                    {"permanent"},
	"Mailchimp/reject":                         {"permanent"},
	"Mailchimp/soft_bounce":                    {"permanent"},
	"MailerSend/delivered":                     {"delivered"},
	"MailerSend/spam_complaint":                {"complaint"},
	"Mailgun/permanent_failure":                {"permanent"},
	"Mailgun/permanent_failure_no_description": {"permanent"},
	"Mailgun/delivered_messages":               {"delivered"},
	"Mailjet/bounce":                           {"temporary"},
	"Mailjet/spam":                             {"complaint"},
	"Mailomat/delivered":                       {"delivered"},
	"Mailtrap/batch":                           {"permanent"},
	"Mailtrap/soft_bounce":                     {"temporary"},
	"Mailtrap/spam":                            {"complaint"},
	"Postmark/bounce":                          {"permanent"},
	"Sendgrid/webhook":                         {"permanent"},
	"Sweego/delivered":                         {"delivered"},
}

func TestSymfony(t *testing.T) {
	files, _ := filepath.Glob(filepath.Join(corpus(t, "webhooks/symfony"), "*", "*.json"))
	if len(files) < 30 {
		t.Fatalf("only %d files", len(files))
	}
	found := 0
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(filepath.Dir(file)) + "/" + strings.TrimSuffix(filepath.Base(file), ".json")
		if _, ok := Sniff(raw); !ok {
			t.Errorf("%s: not recognised", name)
		}
		events, left := readAll(t, raw)
		var got []string
		for _, e := range events {
			got = append(got, what(e))
			if a, ok := e.Body.(*event.Attempt); ok && a.Outcome == mail.Delivered && !a.Spoke {
				t.Errorf("%s: delivered, and no host spoke", name)
			}
			if e.Time.IsZero() {
				t.Errorf("%s: no time", name)
			}
		}
		want := symfonyWant[name]
		if len(want) > 0 {
			found++
		}
		if strings.Join(got, " ") != strings.Join(want, " ") || len(left) > 0 {
			t.Errorf("%s: %v, want %v; left out %v", name, got, want, left)
		}
	}
	if found != len(symfonyWant) {
		t.Errorf("%d of %d expectations have a file", found, len(symfonyWant))
	}
}
