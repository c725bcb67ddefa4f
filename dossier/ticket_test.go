package dossier

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/lang"
	"github.com/postroad/postroad/mail"
)

var update = flag.Bool("update", false, "write the golden files anew")

var cet = time.FixedZone("CET", 3600)

func at(day, hour, minute, second int) time.Time {
	return time.Date(2024, 1, day, hour, minute, second, 0, cet).UTC()
}

func ptr(v float64) *float64 { return &v }

func yahoo() Case {
	reply := "421 4.4.2 Connection dropped due to SocketError"
	return Case{
		Provider: "Yahoo", ProviderID: "yahoo", Domains: []string{"yahoo.com", "aol.com", "sky.com"}, Class: mail.Transport,
		Actor: mail.ActorPath, Stage: mail.StageSTARTTLS, Began: at(22, 9, 10, 4), Detected: at(22, 9, 16, 20), Until: at(22, 12, 20, 0),
		Messages: 412, FailedMessages: 263, Attempts: 2310, Failures: 1404, Waiting: 247, Rate: ptr(0.608), Baseline: ptr(0.0042),
		Addresses: []Tally{
			{"67.195.204.72", "mta6.am0.yahoodns.net", 51, 0}, {"188.125.72.73", "mx-eu.mail.am0.yahoodns.net", 0, 722},
			{"188.125.72.74", "mx-eu.mail.am0.yahoodns.net", 0, 682}, {"67.195.228.94", "mta7.am0.yahoodns.net", 44, 0},
			{"98.136.96.91", "mta5.am0.yahoodns.net", 48, 0}, {"98.136.96.92", "mta5.am0.yahoodns.net", 15, 0},
		},
		Sources: []Tally{{"192.0.2.25", "mail.example.com", 158, 1404}}, Senders: []string{"example.com"},
		Excluded: []string{
			"The other 14 providers take mail as before (99 %), so it is neither our line nor our servers.",
			"The same recipients get some messages and not others, so it is neither the text nor the recipient.",
		},
		Samples: []Sample{
			{at(22, 9, 10, 4), "<20240122081002.4F1A@mail.example.com>", "4F1A2B3C4D", "example.com", "j.doe@yahoo.com", "mx-eu.mail.am0.yahoodns.net", "188.125.72.73", "mail.example.com", "192.0.2.25", reply, []string{"0A1B2C3D"}},
			{at(22, 9, 12, 31), "<bounce-7-jane=aol.com@lists.example>", "4F1A2B3C99", "example.com", "jane@aol.com", "mx-eu.mail.am0.yahoodns.net", "188.125.72.74", "mail.example.com", "192.0.2.25", reply, nil},
		},
		SPF: Check{State: Pass}, DKIM: Check{Pass, at(2, 8, 0, 0)}, Link: "https://senders.yahooinc.com/contact", Checked: "2026-10-08",
	}
}

func cases() map[string]struct {
	c Case
	o Options
} {
	type pair = struct {
		c Case
		o Options
	}
	hosted := yahoo()
	hosted.Platform, hosted.Sources, hosted.Addresses = "Exchange Online", nil, nil
	hosted.Gateways = []string{"gate.example.com"}
	hosted.Attachments = []Attachment{{"trace.csv", strings.Repeat("0a", 32)}}
	throttle := Case{
		Provider: "Outlook", Domains: []string{"hotmail.com", "live.com"}, Class: mail.Throttling, Actor: mail.ActorSender, Stage: mail.StageMail,
		Began: at(22, 8, 0, 0), Detected: at(22, 8, 1, 30), Until: at(22, 12, 20, 0), Messages: 900, FailedMessages: 610, Attempts: 4000, Failures: 3100,
		Rate: ptr(0.775), Waiting: 1, Sources: []Tally{{"192.0.2.25", "mail.example.com", 900, 3100}}, Senders: []string{"news.example"},
		Samples: []Sample{{Time: at(22, 8, 0, 0), MessageID: "<1@news.example>", SenderDomain: "news.example", Recipient: "ana@hotmail.com", Host: "outlook-com.olc.protection.outlook.com", Address: "52.101.68.3", Source: "192.0.2.25", Reply: "451 4.7.650 The mail server [192.0.2.25] has been temporarily rate limited due to IP reputation. For e-mail delivery information, see https://postmaster.live.com (S775)"}},
	}
	block := throttle
	block.Class, block.Rate, block.Waiting, block.Stage = mail.ReputationIP, ptr(0.2), 0, mail.StageMail
	block.Messages, block.FailedMessages, block.Attempts, block.Failures = 300, 60, 300, 60
	block.Sources = []Tally{{"192.0.2.25", "mail.example.com", 120, 0}, {"192.0.2.26", "mail2.example.com", 0, 60}}
	block.Samples = []Sample{{Time: at(22, 7, 30, 0), MessageID: "<2@example.com>", SenderDomain: "example.com", Recipient: "ana@outlook.com", Address: "104.47.18.97", Source: "192.0.2.26", SourceHost: "mail2.example.com", Reply: "550 5.7.1 Unfortunately, messages from [192.0.2.26] weren't sent. Please contact your Internet service provider since part of their network is on our block list (S3140)."}}
	dmarc := Case{
		Provider: "Google", Domains: []string{"gmail.com"}, Class: mail.Authentication, Actor: mail.ActorSender, Stage: mail.StageFinal, Began: at(22, 6, 0, 0), Detected: at(22, 6, 2, 0),
		Messages: 40, FailedMessages: 40, Attempts: 40, Failures: 40, Rate: ptr(1), Senders: []string{"shop.example"}, DMARC: Check{State: Fail}, DKIM: Check{State: Fail},
		Samples: []Sample{{Time: at(22, 6, 0, 0), MessageID: "<3@shop.example>", SenderDomain: "shop.example", Recipient: "ana@gmail.com", Reply: "550-5.7.26 Unauthenticated email from shop.example is not accepted due to\n550-5.7.26 domain's DMARC policy. Please contact the administrator of\n550 5.7.26 shop.example domain if this was a legitimate mail. - gsmtp"}},
	}
	list := Case{
		Provider: "Google", Domains: []string{"gmail.com"}, Class: mail.RecipientUnknown, Actor: mail.ActorRecipient, Stage: mail.StageRcpt, Began: at(22, 10, 0, 0), Detected: at(22, 10, 5, 0),
		Messages: 800, FailedMessages: 216, Attempts: 800, Failures: 216, Rate: ptr(0.27), Senders: []string{"news.example"},
		Samples: []Sample{{Time: at(22, 10, 0, 0), Recipient: "ana@gmail.com", Reply: "550-5.1.1 The email account that you tried to reach does not exist: ana"}},
	}
	bounces := yahoo()
	bounces.Platform, bounces.Rate, bounces.Baseline, bounces.Messages, bounces.Waiting, bounces.FailedMessages = "Exchange Online", nil, nil, 0, 0, 1
	bounces.Stage, bounces.Sources, bounces.Addresses = "", nil, []Tally{{"", "mx-eu.mail.am0.yahoodns.net", 0, 20}}
	over := yahoo()
	over.Ended, over.After, over.Waiting, over.Until = at(26, 14, 0, 0), &After{310, 309}, 0, at(27, 9, 0, 0)
	over.Relapses = []Span{{at(24, 9, 0, 0), at(26, 14, 0, 0)}}
	two := yahoo()
	two.Several, two.Stage, two.Addresses = []string{"Google", "GMX"}, mail.StageConnect, nil
	return map[string]struct {
		c Case
		o Options
	}{
		"transport": pair{c: yahoo()}, "transport-own": pair{hosted, Options{Reseller: true}}, "throttle": pair{c: throttle}, "block": pair{c: block},
		"dmarc": pair{c: dmarc}, "bad-list": pair{c: list}, "bounces-only": pair{c: bounces}, "recovered": pair{c: over}, "two-at-once": pair{c: two},
		"full": pair{yahoo(), Options{Full: true}},
	}
}

func TestTicketsRead(t *testing.T) {
	for name, c := range cases() {
		for _, tag := range lang.Languages() {
			c.o.Texts, c.o.Zone = lang.Open(tag), cet
			subject, body := Ticket(c.c, c.o)
			got := subject + "\n\n" + body
			check(t, name+"."+tag, got, c.o.Full)
			if tag != "en" && name != "transport" && name != "transport-own" && name != "recovered" && name != "block" {
				continue
			}
			file := filepath.Join("testdata", name+"."+tag+".txt")
			if *update {
				if err := os.MkdirAll("testdata", 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
				continue
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("%s differs; read it, then run go test -update:\n%s", file, got)
			}
		}
	}
}

// loose is a mark with nothing before it.
var loose = regexp.MustCompile(` [.,;:](\s|$)`)

func check(t *testing.T, name, got string, full bool) {
	t.Helper()
	for _, bad := range []string{"%!", "<nil>", "{{", "}}", "()", "ticket.", "\x1b"} {
		if strings.Contains(got, bad) {
			t.Errorf("%s: %q is in it:\n%s", name, bad, got)
		}
	}
	if m := loose.FindString(got); m != "" {
		t.Errorf("%s: %q: a value is missing before it:\n%s", name, m, got)
	}
	for _, person := range []string{"j.doe", "jane", "ana@"} {
		if !full && strings.Contains(got, person) {
			t.Errorf("%s: %s is not masked:\n%s", name, person, got)
		}
	}
	for i, line := range strings.Split(got, "\n") {
		words := strings.Fields(line)
		quoted := len(words) > 0 && len(words[0]) >= 3 && strings.Trim(words[0][:3], "0123456789") == ""
		if n := len([]rune(line)); i > 0 && n > width && !quoted && len(words) > 3 {
			t.Errorf("%s: %d columns: %q", name, n, line)
		}
		if strings.TrimRight(line, " ") != line {
			t.Errorf("%s: a line ends with a space: %q", name, line)
		}
	}
}

// TestEveryClassAsks sees to it that each class has a symptom, an addressee with
// a reason, and something to ask, in both directions.
func TestEveryClassAsks(t *testing.T) {
	texts := lang.Open("en")
	for _, class := range mail.Classes {
		for _, to := range []To{Receiving, Own} {
			c := Case{Provider: "example.net", Class: class, Began: at(22, 1, 0, 0), FailedMessages: 3}
			subject, body := Ticket(c, Options{Texts: texts, To: to})
			check(t, string(class)+" "+string(to), subject+"\n\n"+body, false)
			if !strings.Contains(body, "\n  1. ") {
				t.Errorf("%s to %s asks nothing:\n%s", class, to, body)
			}
		}
		for _, platform := range []string{"", "Exchange Online"} {
			if _, why := Addressee(&Case{Class: class, Platform: platform}); !texts.Has(why) {
				t.Errorf("%s: the reason %q has no text", class, why)
			}
		}
	}
}

func TestAddressee(t *testing.T) {
	for _, c := range []struct {
		c    Case
		want To
	}{
		{Case{Class: mail.Transport}, Receiving},
		{Case{Class: mail.Transport, Platform: "Exchange Online"}, Own},
		{Case{Class: mail.Authentication, Platform: "Exchange Online"}, Receiving},
		{Case{Class: mail.Throttling, Actor: mail.ActorSenderProvider}, Own},
		{Case{Class: mail.RecipientUnknown}, Receiving},
	} {
		if got, why := Addressee(&c.c); got != c.want {
			t.Errorf("%s at %q goes to %s (%s), want %s", c.c.Class, c.c.Platform, got, why, c.want)
		}
	}
}
