package analyze

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/event"
	"github.com/postroad/postroad/mail"
)

// TestFormsOfTen reads testdata/ten: ten messages to one provider, eight of them
// refused, as sixteen systems log or export them and as three write bounces.
// Each form alone, every two of them and all together tell of the same ten.
func TestFormsOfTen(t *testing.T) {
	files, err := filepath.Glob("testdata/ten/*")
	if err != nil || len(files) != 19 {
		t.Fatal(err, files)
	}
	check := func(files ...string) {
		t.Helper()
		r := analysed(t, Options{Now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC), Year: 2026}, files...)
		want := "10 attempts, 2 delivered, 8 bounced; incident: 10 messages, 8 failed"
		bounces := true
		for _, f := range files {
			bounces = bounces && strings.HasSuffix(f, ".mbox")
		}
		if bounces {
			want = "8 attempts, 0 delivered, 8 bounced; incident: 8 messages, 8 failed"
		}
		got := ""
		for _, p := range r.Providers {
			if p.ID != local {
				got += fmt.Sprintf("%d attempts, %d delivered, %d bounced", p.Attempts, p.Delivered, p.Bounced)
			}
		}
		for _, in := range r.Incidents {
			got += fmt.Sprintf("; incident: %d messages, %d failed", in.Messages, in.FailedMessages)
		}
		if got != want || len(r.Skipped) > 0 {
			t.Errorf("%v: %s, left out %v, want %s", files, got, r.Skipped, want)
		}
		if len(r.Incidents) == 1 && (r.Incidents[0].Rate == nil) != bounces {
			t.Errorf("%v: rate %v", files, r.Incidents[0].Rate)
		}
		full, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(full, []byte("kunde")) || bytes.Contains(full, []byte("anna@")) {
			t.Errorf("%v: whole addresses in the answer: %s", files, full)
		}
	}
	for i, a := range files {
		check(a)
		check(a, a)
		for _, b := range files[i+1:] {
			check(a, b)
		}
	}
	check(files...)
	slices.Reverse(files)
	check(files...)
}

// TestCopyWithAnotherTime holds a copy of a log, whose file is of another year,
// to the year of the log that was read first.
func TestCopyWithAnotherTime(t *testing.T) {
	text, err := os.ReadFile("testdata/ten/postfix.log")
	if err != nil {
		t.Fatal(err)
	}
	log, twin := filepath.Join(t.TempDir(), "mail.log"), filepath.Join(t.TempDir(), "copy-of.log")
	for file, at := range map[string]time.Time{log: base.AddDate(1, 0, 0), twin: base} {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, at, at); err != nil {
			t.Fatal(err)
		}
	}
	r := analysed(t, Options{Now: base.AddDate(2, 0, 0)}, log, twin)
	if r.Facts != 18 || r.Period.From.Year() != 2024 {
		t.Errorf("%d facts from %v, want 18 of 2024", r.Facts, r.Period.From)
	}
}

// TestListingAlone finds the trouble that only a queue listing shows, and tells
// mail that has just come in from it.
func TestListingAlone(t *testing.T) {
	for _, c := range []struct {
		name                 string
		age                  time.Duration
		incidents            int
		stuck                bool
		listing              string
		recipients, messages int64
	}{
		{"old", 5 * time.Hour, 1, true, "postqueue", 6, 6},
		{"new", 61 * time.Minute, 0, false, "postqueue", 6, 6},
		{"exchange", 0, 0, true, "  \nIdentity DeliveryType         Status MessageCount NextHopDomain\n" +
			"-------- ------------         ------ ------------ -------------\n" +
			"EX1\\27   DnsConnectorDelivery Retry  10           yahoo.com\n", 10, 10},
		{"exchange ready", 0, 0, false, "  \nIdentity DeliveryType         Status MessageCount NextHopDomain\n" +
			"-------- ------------         ------ ------------ -------------\n" +
			"EX1\\27   DnsConnectorDelivery Ready  10           yahoo.com\n", 10, 10},
	} {
		text := c.listing
		if text == "postqueue" {
			text = "-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------\n"
			for i := range 6 {
				text += fmt.Sprintf("4cXk%db2Zz9rQk     2133 %s  anna@contoso.example\n"+
					"(host mta7.am0.yahoodns.net[203.0.113.106] said: 421 4.7.0 [TSS04] Messages from 198.51.100.25 temporarily deferred due to unexpected volume or user complaints - 4.16.55.1; see https://postmaster.yahooinc.com/error-codes (in reply to MAIL FROM command))\n"+
					"                                         kunde%d@yahoo.com\n\n", i, base.Add(time.Duration(i)*12*time.Minute).Format("Mon Jan _2 15:04:05"), i)
			}
			text += "-- 12 Kbytes in 6 Requests.\n"
		}
		file := filepath.Join(t.TempDir(), "queue.txt")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		at := base.Add(c.age)
		if err := os.Chtimes(file, at, at); err != nil {
			t.Fatal(err)
		}
		r := analysed(t, Options{}, file)
		if len(r.Incidents) != c.incidents || r.Stuck() != c.stuck || len(r.Queue) != 1 ||
			r.Queue[0].Recipients != c.recipients || r.Queue[0].Messages != c.messages {
			t.Errorf("%s: %d incidents, stuck %v, queue %+v", c.name, len(r.Incidents), r.Stuck(), r.Queue)
		}
	}
}

// TestHops counts a message once for its provider, whatever hosts it passes on
// its way: a filter, a relay with a bare name or an address in its place.
func TestHops(t *testing.T) {
	for _, c := range []struct{ relay, ours, hop string }{
		{"127.0.0.1[127.0.0.1]:10024", "", "local"},
		{"localhost[::1]:10025", "", "local"},
		{"10.0.0.2[10.0.0.2]:25", "", "mx:10.0.0.2"},
		{"198.51.100.5[198.51.100.5]:587", "", "mx:198.51.100.5"},
		{"relay2[10.0.0.2]:25", "", "mx:relay2"},
		{"relay.contoso.example[10.0.0.2]:25", "", "mx:contoso.example"},
		{"relay.contoso.example[10.0.0.2]:25", "contoso.example", "local"},
		{"relay2[10.0.0.2]:25", "10.0.0.2", "local"},
		{"notcontoso.example[10.0.0.3]:25", "contoso.example", "mx:notcontoso.example"},
	} {
		text := ""
		for i := range 5 {
			at := base.Add(time.Duration(i) * 10 * time.Minute)
			text += fmt.Sprintf("%[1]s front postfix/cleanup[1]: 4cXk%[2]db2Zz9rQk: message-id=<c%[2]d@contoso.example>\n"+
				"%[1]s front postfix/smtp[1]: 4cXk%[2]db2Zz9rQk: to=<kunde%[2]d@yahoo.com>, relay=%[3]s, delay=1, delays=0/0/1/0, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 4dYm%[2]db2Zz9rQk)\n"+
				"%[4]s back postfix/cleanup[1]: 4dYm%[2]db2Zz9rQk: message-id=<c%[2]d@contoso.example>\n"+
				"%[4]s back postfix/smtp[1]: 4dYm%[2]db2Zz9rQk: to=<kunde%[2]d@yahoo.com>, relay=mta7.am0.yahoodns.net[203.0.113.106]:25, delay=1, delays=0/0/1/0, dsn=2.0.0, status=sent (250 ok dirdel)\n",
				at.Format(time.Stamp), i, c.relay, at.Add(2*time.Second).Format(time.Stamp))
		}
		file := write(t, t.TempDir(), "mail.log", []byte(text))
		o := Options{Year: 2024}
		if c.ours != "" {
			o.Ours = []string{c.ours}
		}
		got := map[string]int64{}
		for _, p := range analysed(t, o, file).Providers {
			got[p.ID] = p.Attempts
		}
		if len(got) != 2 || got["yahoo"] != 5 || got[c.hop] != 5 {
			t.Errorf("%s, ours %q: %v, want 5 at yahoo and 5 at %s", c.relay, c.ours, got, c.hop)
		}
	}
}

// TestBounceOfAService takes a bounce that a mail service wrote for its sender as
// what it is: the end of its retries, on servers that only the service can see.
func TestBounceOfAService(t *testing.T) {
	for _, c := range []struct{ reporter, remote, platform string }{
		{"GBRP265MB3012.GBRP265.PROD.OUTLOOK.COM", "mx-eu.mail.yahoo.com", "Exchange Online"},
		{"mail.contoso.example", "mx-eu.mail.yahoo.com", ""},
		{"GBRP265MB3012.GBRP265.PROD.OUTLOOK.COM", "contoso-example.mail.protection.outlook.com", ""}, // the receiving side's
	} {
		e := bounceAt(1, base, base)
		e.Origin.Format = "dsn"
		b := e.Body.(*event.Bounce)
		b.ReportingHost, b.RemoteHost, b.Outcome = c.reporter, c.remote, mail.Permanent
		p := newPile(t, Options{})
		add(t, p, e)
		r, err := p.Report()
		if err != nil {
			t.Fatal(err)
		}
		if r.Platform != c.platform || r.Providers[0].Expired != 1 {
			t.Errorf("%s about %s: platform %q, %d expired", c.reporter, c.remote, r.Platform, r.Providers[0].Expired)
		}
	}
}

// TestLateAttemptOfASummary knows a delivery after an hour of retries, in a log
// that names no messages, by the time at which its message came in.
func TestLateAttemptOfASummary(t *testing.T) {
	log := attemptAt("postfix-log", event.GradeLog, 1, base.Add(65*time.Minute), mail.Delivered, true)
	a := log.Body.(*event.Attempt)
	a.MessageID, a.QueueID, a.Delay = "", "4cXk1b2Zz9rQk", 65*time.Minute
	row := attemptAt("exchange-trace-summary", event.GradeSummary, 1, base, mail.Delivered, true)
	p := newPile(t, Options{})
	add(t, p, log)
	add(t, p, row)
	r, err := p.Report()
	if err != nil {
		t.Fatal(err)
	}
	if r.Facts != 1 {
		t.Errorf("%d facts, want 1", r.Facts)
	}
}

// TestOwnSideIsNoComparison leaves what is put into our own mailboxes, the bounces
// of the trouble among it, out of rates and comparisons.
func TestOwnSideIsNoComparison(t *testing.T) {
	text := ""
	for i := range 8 {
		at := base.Add(time.Duration(i) * 9 * time.Minute).Format(time.Stamp)
		text += fmt.Sprintf("%[1]s mail postfix/smtp[1]: 4cXk%[2]db2Zz9rQk: to=<kunde%[2]d@yahoo.com>, relay=mta7.am0.yahoodns.net[203.0.113.106]:25, delay=1, delays=0/0/1/0, dsn=5.7.9, status=bounced (host mta7.am0.yahoodns.net[203.0.113.106] said: 554 5.7.9 Message not accepted for policy reasons. See https://postmaster.yahooinc.com/error-codes (in reply to end of DATA command))\n"+
			"%[1]s mail postfix/local[1]: 4dXk%[2]db2Zz9rQk: to=<anna@contoso.example>, relay=local, delay=0.1, delays=0/0/0/0.1, dsn=2.0.0, status=sent (delivered to mailbox)\n", at, i)
	}
	r := analysed(t, Options{Year: 2024}, write(t, t.TempDir(), "mail.log", []byte(text)))
	if len(r.Incidents) != 1 || r.Incidents[0].Rate != nil || !r.FailuresOnly {
		t.Errorf("%+v, failures only %v", r.Incidents, r.FailuresOnly)
	}
}
