package analyze

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/postroad/postroad/event"
	"github.com/postroad/postroad/lang"
	"github.com/postroad/postroad/mail"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares a text with a file of testdata, or writes it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", "text", name+".txt")
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; read it, then run go test -update:\n%s", file, got)
	}
}

var cet = time.FixedZone("CET", 3600)

// at is a time of 22 January 2024, a Monday, in CET.
func at(hour, minute, second int) time.Time {
	return time.Date(2024, 1, 22, hour, minute, second, 0, cet).UTC()
}

func ptr[T any](v T) *T { return &v }

// yahoo is the case that the project began with: two of six addresses close the
// connection in STARTTLS.
func yahoo() Incident {
	return Incident{
		ID: "yahoo-1", Provider: "yahoo", Name: "Yahoo", Class: mail.Transport, Stage: ptr(mail.StageSTARTTLS), Actor: mail.ActorPath,
		Began: at(9, 10, 4), Detected: at(9, 16, 20), State: Open, Until: at(12, 20, 0),
		Messages: 412, FailedMessages: 263, Attempts: 2310, Failures: 1404, Rate: ptr(0.608), BaselineRate: ptr(0.0042), SufficedAfter: 5,
		Addresses: []Tally{
			{"98.136.96.91", "mta5.am0.yahoodns.net", 48, 0}, {"188.125.72.73", "mx-eu.mail.am0.yahoodns.net", 0, 722},
			{"188.125.72.74", "mx-eu.mail.am0.yahoodns.net", 0, 682}, {"67.195.204.72", "mta6.am0.yahoodns.net", 51, 0},
			{"67.195.228.94", "mta7.am0.yahoodns.net", 44, 0}, {"98.136.96.92", "mta5.am0.yahoodns.net", 15, 0},
		},
		Sources:          []Tally{{"192.0.2.25", "mail.example.com", 158, 1404}},
		SenderDomains:    []string{"example.com", "shop.example"},
		RecipientDomains: []string{"yahoo.com", "aol.com", "sky.com", "yahoo.fr"},
		RecipientsMixed:  ptr(true), Confidence: 0.93,
		Why: []string{
			"the other 14 providers take mail as before (99 %)", "4 of the addresses take everything",
			"the same recipients get some messages and not others, so it is neither the text nor the recipient",
		},
		Against: []string{"all failures came from one address of yours, 192.0.2.25"},
		Link:    &Link{"https://senders.yahooinc.com/contact", "form", "2026-10-08"},
		Samples: []Sample{{Reply: "421 4.4.2 Connection dropped due to SocketError"}},
		Waiting: 247, Spark: []float64{1, 1, 0.99, 1, 1, 1, 1, 1, -1, 0.7, 0.3, 0.22, 0.4},
	}
}

func providerOf(id, name string, sent, delivered, waiting, bounced int64, p50 float64, classes map[mail.Class]int64) Provider {
	return Provider{
		ID: id, Name: name, Messages: sent, Attempts: sent + 3*waiting, Delivered: delivered, Waiting: waiting, Bounced: bounced,
		Deferred: 4 * waiting, Seconds: Quantiles{P50: &p50}, Classes: classes,
	}
}

func reportOf(list ...Incident) *Report {
	return &Report{
		Schema: Schema, Period: Period{ptr(at(0, 0, 12)), ptr(at(12, 20, 0))}, Events: 12345, Facts: 9120, Inputs: 3,
		Providers: []Provider{
			providerOf("google", "Google", 3311, 3280, 3, 28, 2.2, nil),
			providerOf("outlook", "Outlook", 1502, 1490, 9, 3, 4, map[mail.Class]int64{mail.Throttling: 31}),
			providerOf("yahoo", "Yahoo", 1204, 945, 247, 12, 2460, map[mail.Class]int64{mail.Transport: 1404}),
			providerOf("mx:firm.example", "firm.example", 1, 0, 1, 0, 0.2, map[mail.Class]int64{mail.Greylisting: 2}),
		},
		Incidents: list, Queue: []Queue{}, Unknown: []Unknown{}, Skipped: []Skipped{},
	}
}

func throttle() Incident {
	return Incident{
		ID: "outlook-1", Provider: "outlook", Name: "Outlook", Class: mail.Throttling, Stage: ptr(mail.StageMail), Actor: mail.ActorSender,
		Contributing: []mail.Class{mail.ReputationIP}, Began: at(8, 0, 0), Detected: at(8, 1, 30), State: Open, Until: at(12, 20, 0),
		Messages: 900, FailedMessages: 610, Attempts: 4000, Failures: 3100, Rate: ptr(0.775), BaselineRate: ptr(0.012), SufficedAfter: 4,
		Addresses:     []Tally{{"52.101.68.3", "outlook-com.olc.protection.outlook.com", 400, 1600}, {"52.101.73.9", "outlook-com.olc.protection.outlook.com", 500, 1500}},
		Sources:       []Tally{{"192.0.2.25", "mail.example.com", 900, 3100}},
		SenderDomains: []string{"news.example"}, RecipientDomains: []string{"hotmail.com", "outlook.com", "live.com"},
		Confidence: 0.88, Why: []string{"the volume to Outlook rose to 9 times the usual at 07:58"}, Link: &Link{"https://olcsupport.office.com", "form", "2026-10-08"},
		Samples: []Sample{{Reply: "451 4.7.650 The mail server [192.0.2.25] has been temporarily rate limited due to IP reputation. (S775)"}}, Waiting: 120,
	}
}

func block() Incident {
	return Incident{
		ID: "outlook-2", Provider: "outlook", Name: "Outlook", Class: mail.ReputationIP, Stage: ptr(mail.StageMail), Actor: mail.ActorSender,
		Began: at(7, 30, 0), Detected: at(7, 31, 0), State: Open, Until: at(12, 20, 0),
		Messages: 300, FailedMessages: 60, Attempts: 300, Failures: 60, Rate: ptr(0.2), SufficedAfter: 5,
		Addresses:     []Tally{{"104.47.18.97", "outlook-com.olc.protection.outlook.com", 240, 60}},
		Sources:       []Tally{{"192.0.2.25", "mail.example.com", 120, 0}, {"192.0.2.26", "mail2.example.com", 0, 60}, {"192.0.2.27", "mail3.example.com", 120, 0}},
		SenderDomains: []string{"example.com"}, RecipientDomains: []string{"outlook.com"}, Confidence: 0.95,
		Link:    &Link{"https://sender.office.com", "delist", "2026-10-08"},
		Samples: []Sample{{Reply: "550 5.7.1 Unfortunately, messages from [192.0.2.26] weren't sent. Please contact your Internet service provider since part of their network is on our block list (S3140)."}},
	}
}

func unsigned() Incident {
	return Incident{
		ID: "google-1", Provider: "google", Name: "Google", Class: mail.Authentication, Stage: ptr(mail.StageFinal), Actor: mail.ActorSender,
		Began: at(6, 0, 0), Detected: at(6, 2, 0), State: Open, Until: at(12, 20, 0), Bounded: "shop.example", Advice: "authentication-dmarc",
		Messages: 40, FailedMessages: 40, Attempts: 40, Failures: 40, Rate: ptr(1.0), BaselineRate: ptr(0.0), SufficedAfter: 5,
		SenderDomains: []string{"shop.example"}, RecipientDomains: []string{"gmail.com"}, Confidence: 0.97,
		Samples: []Sample{{Reply: "550-5.7.26 Unauthenticated email from shop.example is not accepted due to domain's DMARC policy."}},
	}
}

func badList() Incident {
	return Incident{
		ID: "google-2", Provider: "google", Name: "Google", Class: mail.RecipientUnknown, Stage: ptr(mail.StageRcpt), Actor: mail.ActorRecipient,
		Began: at(10, 0, 0), Detected: at(10, 5, 0), Ended: ptr(at(10, 45, 0)), State: Recovered, Until: at(12, 20, 0), After: &After{900, 896},
		Messages: 800, FailedMessages: 216, Attempts: 800, Failures: 216, Rate: ptr(0.27), BaselineRate: ptr(0.004), SufficedAfter: 11, Confidence: 0.9,
		SenderDomains: []string{"news.example"}, RecipientDomains: []string{"gmail.com"},
		Samples: []Sample{{Reply: "550-5.1.1 The email account that you tried to reach does not exist."}},
	}
}

func recovered() Incident {
	in := yahoo()
	in.State, in.Ended, in.Waiting = Recovered, ptr(at(11, 0, 0)), 0
	in.After = &After{Messages: 310, Delivered: 309}
	in.Relapses = []Span{{Began: at(10, 30, 0), Ended: ptr(at(11, 0, 0))}}
	return in
}

func bouncesOnly() *Report {
	in := yahoo()
	in.Stage, in.Rate, in.BaselineRate, in.Messages, in.FailedMessages, in.Attempts, in.Failures = nil, nil, nil, 20, 20, 20, 20
	in.Waiting, in.SufficedAfter, in.Confidence, in.Actor = 0, 6, 0.62, mail.ActorPath
	in.Addresses = []Tally{{"", "mx-eu.mail.am0.yahoodns.net", 0, 20}}
	in.Sources, in.RecipientsMixed, in.Spark, in.Against = nil, nil, nil, nil
	in.Why = []string{"20 recipients in 3 domains of one provider failed in the same way"}
	r := reportOf(in)
	r.FailuresOnly, r.Facts, r.Events, r.Inputs = true, 20, 20, 20
	r.Providers = []Provider{{ID: "yahoo", Name: "Yahoo", Messages: 20, Attempts: 20, Expired: 20, Classes: map[mail.Class]int64{mail.Transport: 20}}}
	return r
}

func twoAtOnce() *Report {
	in := yahoo()
	in.Addresses, in.RecipientsMixed, in.Stage, in.Actor, in.Confidence = nil, nil, ptr(mail.StageConnect), mail.ActorSender, 0.8
	other := in
	other.ID, other.Provider, other.Name, other.Began, other.Waiting, other.Link = "google-3", "google", "Google", at(9, 12, 0), 80, nil
	other.RecipientDomains = []string{"gmail.com"}
	r := reportOf(in, other)
	atOnce(r.Incidents, 10*time.Minute)
	return r
}

// everything is a report with something in each of its parts.
func everything() *Report {
	r := reportOf(yahoo(), block(), badList())
	for i := range 12 {
		name := string(rune('a'+i)) + "-verein-mit-einem-langen-namen.example"
		r.Providers = append(r.Providers, providerOf("mx:"+name, name, 40, 40, 0, 0, 3, nil))
	}
	r.MoreProviders, r.Backscatter, r.Complaints = 140, 2, 1
	r.Queue = []Queue{{Provider: "yahoo", Name: "Yahoo", Source: "log", Recipients: 260, Messages: 247, Oldest: ptr(at(9, 10, 4)), Stagnates: true, Classes: map[mail.Class]int64{mail.Transport: 240}},
		{Provider: "google", Name: "Google", Source: "listing", Recipients: 3, Messages: 3}}
	r.Unknown = []Unknown{{"550 the frobnicator is \x1b[31m out of order at #", 1204}, {"451 come back tomorrow", 1}}
	r.Skipped = []Skipped{{"mail.log.3.gz", 1044, "", string(event.SkipCut), 1}, {"mail.log", 7, "", string(event.SkipStamp), 12}, {"core", 0, "", string(event.SkipBinary), 1}}
	return r
}

func reports() map[string]*Report {
	calm, uneven := reportOf(), reportOf()
	calm.Providers[2] = providerOf("yahoo", "Yahoo", 1204, 1199, 3, 2, 3, nil)
	old := reportOf(recovered())
	queued := reportOf()
	queued.Facts, queued.Providers, queued.Period = 0, nil, Period{nil, ptr(at(12, 0, 0))}
	queued.Queue = []Queue{{Provider: "yahoo", Name: "Yahoo", Source: "listing", Messages: 1, Recipients: 1, Oldest: ptr(at(9, 0, 0))}}
	nothing := &Report{Schema: Schema, Skipped: []Skipped{{"notes.bin", 0, "", string(event.SkipBinary), 1}}}
	scattered := bouncesOnly()
	scattered.Incidents = nil
	return map[string]*Report{
		"yahoo": reportOf(yahoo()), "throttle": reportOf(throttle()), "block": reportOf(block()), "dmarc": reportOf(unsigned()), "bad-list": reportOf(badList()),
		"bounces-only": bouncesOnly(), "bounces-scattered": scattered, "recovered": old, "two-at-once": twoAtOnce(), "calm": calm, "uneven": uneven,
		"queue": queued, "nothing": nothing, "whole": everything(),
	}
}

// speak fills in the sentences, as the builder of reports does, and prints.
func speak(t *testing.T, tag string, r *Report, width int) string {
	t.Helper()
	texts := lang.Open(tag)
	for i := range r.Incidents {
		in := &r.Incidents[i]
		in.Summary, in.Next = summary(texts, in, cet), nextSteps(texts, in)
	}
	for i := range r.Skipped {
		r.Skipped[i].Reason = skipWords(texts, event.Skip(r.Skipped[i].Code))
	}
	var b strings.Builder
	p := Printer{W: &b, Texts: texts, Width: width, Zone: cet, Now: at(12, 21, 0)}
	if err := p.Print(r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestReportsRead(t *testing.T) {
	for name, r := range reports() {
		for _, tag := range lang.Languages() {
			for _, width := range []int{100, 80} {
				got := speak(t, tag, r, width)
				check(t, name+"."+tag, got, width)
				if width == 100 && (tag == "en" || name == "yahoo" || name == "recovered" || name == "bounces-only" || name == "whole") {
					golden(t, name+"."+tag, got)
				}
			}
		}
	}
}

// unkeyed is a key that stands where its text should.
var unkeyed = regexp.MustCompile(`\b(brief|cause|step|table|row|state|many|spark|verdict|label|advice|class|actor|stage|calm|note|waits|skip|skipped|read|certain|incident|write)\.[a-z-]+(\.[a-z0-9-]+)*\b`)

// loose is a mark with nothing before it.
var loose = regexp.MustCompile(` [.,;:](\s|$)`)

// check finds what no text may have.
func check(t *testing.T, name, got string, width int) {
	t.Helper()
	for _, bad := range []string{"%!", "<nil>", "{{", "}}", "()", "\x1b", "<no value>", ".."} {
		if strings.Contains(strings.ReplaceAll(got, "...", "…"), bad) {
			t.Errorf("%s: %q is in it:\n%s", name, bad, got)
		}
	}
	if m := unkeyed.FindString(got); m != "" {
		t.Errorf("%s: %s has no text:\n%s", name, m, got)
	}
	if m := loose.FindString(got); m != "" {
		t.Errorf("%s: %q: a value is missing before it:\n%s", name, m, got)
	}
	for _, line := range strings.Split(got, "\n") {
		if n := utf8.RuneCountInString(line); n > width && len(strings.Fields(line)) > 3 {
			t.Errorf("%s: %d columns, want %d: %q", name, n, width, line)
		}
		if strings.TrimRight(line, " ") != line {
			t.Errorf("%s: a line ends with a space: %q", name, line)
		}
	}
}
