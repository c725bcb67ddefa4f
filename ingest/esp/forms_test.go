package esp

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/template"
	"time"

	"github.com/postroad/postroad/diagnose"
	"github.com/postroad/postroad/event"
	"github.com/postroad/postroad/mail"
)

// message is one of the ten that every form is written of.
type message struct {
	N        int
	Rcpt     string
	What     string // delivered, temporary, permanent, complaint
	Code     int
	Enhanced string
	text     []string // the words of the reply's lines
	MX, MXIP string
	class    mail.Class
}

func (m message) From() string    { return "news@news.example" }
func (m message) Source() string  { return "192.0.2.10" }
func (m message) ID() string      { return fmt.Sprintf("m%d.1@news.example", m.N) }
func (m message) Words() string   { return strings.Join(m.text, "\n") }
func (m message) at() time.Time   { return time.Date(2026, 11, 20, 9, m.N, 0, 0, time.UTC) }
func (m message) Epoch() int64    { return m.at().Unix() }
func (m message) Stamp() string   { return m.at().Format("2006-01-02T15:04:05.000Z") }
func (m message) Mailday() string { return m.at().Format("Mon, 02 Jan 2006 15:04:05 MST") }

// Full is the reply as the host wrote it.
func (m message) Full() string {
	var b strings.Builder
	for i, line := range m.text {
		if m.Code != 0 {
			fmt.Fprintf(&b, "%d%c", m.Code, " -"[min(len(m.text)-1-i, 1)])
		}
		if m.Enhanced != "" {
			b.WriteString(m.Enhanced + " ")
		}
		b.WriteString(line + "\n")
	}
	return strings.TrimSpace(b.String())
}

// WithEnhanced is the reply without its code, for vendors who give that apart.
func (m message) WithEnhanced() string {
	return strings.TrimSpace(m.Enhanced + " " + m.Words())
}

// ten are the messages.
func ten() []message {
	google, yahoo, hotmail := "gmail-smtp-in.l.google.com", "mta5.am0.yahoodns.net", "hotmail-com.olc.protection.outlook.com"
	list := []message{
		{Rcpt: "ann@gmail.com", What: "delivered", Code: 250, Enhanced: "2.0.0", text: []string{"OK  1795170000 d9443c01a7336-1dfbbsi44 - gsmtp"}, MX: google},
		{Rcpt: "bob@yahoo.com", What: "temporary", Code: 421, Enhanced: "4.7.0", text: []string{"[TSS04] Messages from 192.0.2.10 temporarily deferred due to unexpected volume or user complaints - 4.16.55.1; see https://postmaster.yahooinc.com/error-codes"}, MX: yahoo, class: mail.Throttling},
		{Rcpt: "carl@hotmail.com", What: "permanent", Code: 550, Enhanced: "5.7.1", text: []string{"Unfortunately, messages from [192.0.2.10] weren't sent. Please contact your Internet service provider since part of their network is on our block list (S3150). You can also refer your provider to http://mail.live.com/mail/troubleshooting.aspx#errors."}, MX: hotmail, class: mail.ReputationIP},
		{Rcpt: "dora@company.example", What: "permanent", Code: 550, Enhanced: "5.1.1", text: []string{`<dora@company.example>: Recipient address rejected: User unknown in "virtual" table`}, MX: "mx.company.example", class: mail.RecipientUnknown},
		{Rcpt: "emil@outlook.com", What: "temporary", Code: 451, Enhanced: "4.7.650", text: []string{"The mail server [192.0.2.10] has been temporarily rate limited due to IP reputation. For e-mail delivery information, see https://postmaster.live.com (S775)"}, MX: hotmail, class: mail.Throttling},
		{Rcpt: "fay@company.example", What: "permanent", Code: 552, Enhanced: "5.2.2", text: []string{"<fay@company.example>: Mailbox is full; over quota"}, MX: "mx.company.example", class: mail.MailboxFull},
		{Rcpt: "gus@gmail.com", What: "permanent", Code: 550, Enhanced: "5.7.26", text: []string{
			"This mail has been blocked because the sender is unauthenticated.",
			"Gmail requires all senders to authenticate with either SPF or DKIM.", "",
			"For instructions on setting up authentication, go to https://support.google.com/mail/answer/81126#authentication",
		}, MX: google, class: mail.Authentication},
		{Rcpt: "hal@hotmail.com", What: "delivered", Code: 250, Enhanced: "2.6.0", text: []string{"<m8.1@news.example> [InternalId=1, Hostname=x.prod.outlook.com] 9 bytes in 0.1, 90 KB/sec Queued mail for delivery"}, MX: hotmail},
		{Rcpt: "ida@company.example", What: "temporary", Code: 450, text: []string{"<ida@company.example>: Recipient address rejected: Greylisted, see http://postgrey.schweikert.ch/help/company.example.html"}, MX: "mx.company.example", class: mail.Greylisting},
		{Rcpt: "jo@yahoo.com", What: "complaint", MX: yahoo},
	}
	for i := range list {
		list[i].N, list[i].MXIP = i+1, fmt.Sprintf("198.51.100.%d", i+1)
	}
	return list
}

// write fills a form with the messages that it can tell of.
func write(t testing.TB, file string, all []message) (text []byte, told []message) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, body, _ := strings.Cut(string(raw), "\n")
	for _, m := range all {
		if strings.Contains(head, m.What) || head == "# all" {
			told = append(told, m)
		}
	}
	tmpl := template.New(filepath.Base(file))
	tmpl.Funcs(template.FuncMap{
		"json": func(s string) (string, error) { b, err := json.Marshal(s); return string(b), err },
		"csv":  func(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` },
		"word": func(m message, words ...string) string {
			return words[slices.Index([]string{"delivered", "temporary", "permanent", "complaint"}, m.What)]
		},
		"digit": func(code string, i int) string { return strings.Split(code, ".")[i] },
		"ses":   func(m message, key string) any { return map[string]any{"M": m, "Key": key} },
		"render": func(name string, data any) (string, error) {
			var b strings.Builder
			err := tmpl.ExecuteTemplate(&b, name, data)
			return b.String(), err
		},
	})
	if _, err := tmpl.Parse(body); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := tmpl.Execute(&b, told); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), told
}

// forms gives the names of the files.
func forms(t testing.TB) []string {
	files, err := filepath.Glob("testdata/forms/*.tmpl")
	if err != nil || len(files) < 25 {
		t.Fatalf("%d forms, %v", len(files), err)
	}
	return files
}

func engine(t testing.TB) *diagnose.Engine {
	e, err := diagnose.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// classOf diagnoses the reply of an attempt; both ways to put it into one text
// must come to the same.
func classOf(t testing.TB, e *diagnose.Engine, a *event.Attempt) mail.Class {
	ev := diagnose.Evidence{Text: strings.Join(a.Reply.Lines, "\n"), Spoke: diagnose.Local, Stage: a.Stage}
	if a.Spoke {
		ev.Spoke = diagnose.Remote
	}
	class := e.Diagnose(ev).Class
	for _, text := range []string{a.Reply.Mail().String(), strings.Join(a.Reply.Lines, " ")} {
		ev.Text = text
		if other := e.Diagnose(ev).Class; other != class {
			t.Errorf("%q is %s, and as %q %s", a.Reply.Lines, class, text, other)
		}
	}
	return class
}

// TestTenInEveryForm writes the same ten messages as every vendor would and
// reads the same ten.
func TestTenInEveryForm(t *testing.T) {
	e := engine(t)
	for _, file := range forms(t) {
		name := strings.TrimSuffix(filepath.Base(file), ".tmpl")
		t.Run(name, func(t *testing.T) {
			text, told := write(t, file, ten())
			format, ok := Sniff(text)
			vendor, _, _ := strings.Cut(name, "-")
			if !ok || !strings.HasPrefix(format, vendor) {
				t.Fatalf("taken for %q", format)
			}
			if f, ok := Sniff(text[:500]); !ok || f != format {
				t.Errorf("by 500 bytes taken for %q", f)
			}
			events, left := readAll(t, text)
			if len(left) > 0 {
				t.Errorf("left out %v", left)
			}
			if len(events) != len(told) {
				t.Fatalf("%d events of %d messages", len(events), len(told))
			}
			ids := map[string]bool{}
			for i, m := range told {
				ids[events[i].ID] = true
				checkMessage(t, e, m, events[i], format)
			}
			if len(ids) != len(told) {
				t.Errorf("%d ids of %d events", len(ids), len(told))
			}
		})
	}
}

func checkMessage(t *testing.T, e *diagnose.Engine, m message, got *event.Event, format string) {
	t.Helper()
	if got.Origin.Format != format || got.Origin.Grade == 0 || what(got) != m.What {
		t.Errorf("%s: %s by %s, grade %d", m.Rcpt, what(got), got.Origin.Format, got.Origin.Grade)
	}
	if d := got.Time.Sub(m.at()); d < 0 || d > time.Second || got.Time.Location() != time.UTC {
		t.Errorf("%s: time %s", m.Rcpt, got.Time)
	}
	if c, ok := got.Body.(*event.Complaint); ok {
		if !slices.Equal(c.Recipients, []string{m.Rcpt}) || c.Type != "abuse" {
			t.Errorf("complaint of %v, %s", c.Recipients, c.Type)
		}
		return
	}
	a := got.Body.(*event.Attempt)
	text := strings.Join(a.Reply.Lines, "\n")
	switch {
	case a.Recipient != m.Rcpt, a.Final == (m.What == "temporary"):
		t.Errorf("%s: recipient %q, final %v", m.Rcpt, a.Recipient, a.Final)
	case a.Sender != "" && (a.Sender != m.From() || a.SenderDomain != "news.example"):
		t.Errorf("%s: sender %q of %q", m.Rcpt, a.Sender, a.SenderDomain)
	case a.MessageID != "" && a.MessageID != m.ID():
		t.Errorf("%s: message id %q", m.Rcpt, a.MessageID)
	case a.MessageID == "" && a.NetworkID == "" && !strings.Contains(t.Name(), "bounces"):
		t.Errorf("%s: no id", m.Rcpt)
	case a.RemoteHost != "" && a.RemoteHost != m.MX, a.RemoteIP != "" && a.RemoteIP != m.MXIP:
		t.Errorf("%s: host %q, address %q", m.Rcpt, a.RemoteHost, a.RemoteIP)
	case a.SourceIP != "" && a.SourceIP != m.Source():
		t.Errorf("%s: source %q", m.Rcpt, a.SourceIP)
	case !a.Spoke:
		t.Errorf("%s: no host spoke: %q", m.Rcpt, text)
	case m.What != "delivered" && (a.Reply.Code != m.Code || a.Reply.Enhanced != m.Enhanced):
		t.Errorf("%s: reply %d %q, want %d %q", m.Rcpt, a.Reply.Code, a.Reply.Enhanced, m.Code, m.Enhanced)
	}
	if m.class != "" {
		for _, line := range m.text {
			if !strings.Contains(text, line) {
				t.Errorf("%s: %q is not in %q", m.Rcpt, line, text)
			}
		}
		if class := classOf(t, e, a); class != m.class {
			t.Errorf("%s: %s, want %s: %q", m.Rcpt, class, m.class, text)
		}
	}
}
