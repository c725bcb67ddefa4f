package trace

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/postroad/postroad/diagnose"
	"github.com/postroad/postroad/event"
)

type ledCase struct {
	name, text string
	want       map[string]string
}

func readLEDs(t testing.TB) (all []ledCase) {
	t.Helper()
	raw, err := os.ReadFile("testdata/led.txt")
	if err != nil {
		t.Fatal(err)
	}
	for block := range strings.SplitSeq(string(raw), "\n\n") {
		if strings.HasPrefix(block, "#") {
			continue
		}
		head, text, ok := strings.Cut(block, "\n--\n")
		if !ok {
			t.Fatalf("no text in %q", block)
		}
		lines := strings.Split(head, "\n")
		c := ledCase{name: lines[0], text: strings.TrimRight(text, "\n"), want: map[string]string{}}
		for _, line := range lines[1:] {
			k, v, _ := strings.Cut(line, ": ")
			c.want[k] = v
		}
		all = append(all, c)
	}
	if len(all) < 20 {
		t.Fatalf("only %d cases", len(all))
	}
	return all
}

// What a last error says of the attempt, and that the rules know what it means.
func TestLastErrors(t *testing.T) {
	engine, err := diagnose.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range readLEDs(t) {
		t.Run(c.name, func(t *testing.T) {
			var a event.Attempt
			fill(&a, c.text)
			if len(a.Reply.Lines) != 1 || a.Reply.Lines[0] != strings.TrimSpace(c.text) {
				t.Errorf("the text is %q", a.Reply.Lines)
			}
			spoke := diagnose.Local
			if a.Spoke {
				spoke = diagnose.Remote
			}
			d := engine.Diagnose(diagnose.Evidence{Text: a.Reply.Lines[0], Spoke: spoke, Stage: a.Stage})
			got := map[string]string{
				"class": string(d.Class), "stage": string(a.Stage), "host": a.RemoteHost, "ip": a.RemoteIP,
				"spoke": strconv.FormatBool(a.Spoke), "source": a.SourceHost, "sourceip": a.SourceIP,
				"code": strconv.Itoa(a.Reply.Code), "enhanced": a.Reply.Enhanced,
			}
			for k, want := range c.want {
				if !strings.EqualFold(got[k], want) {
					t.Errorf("%s is %q, want %q", k, got[k], want)
				}
			}
			for n := range len(c.text) {
				var cut event.Attempt
				fill(&cut, c.text[:n])
				target := strings.HasPrefix(c.want["host"], cut.RemoteHost) && strings.Contains(c.text[:n], "TargetHostName:")
				if cut.RemoteHost != "" && cut.RemoteHost != c.want["host"] && !target {
					t.Fatalf("cut at %d: remote host %q", n, cut.RemoteHost)
				}
			}
		})
	}
}

func TestDelivered(t *testing.T) {
	for s, want := range map[string]string{
		"08DDF2A1B2C3;250 2.0.0 OK  1789027801 x - gsmtp;ClientSubmitTime:2026-09-11T08:10:00.000Z": "250 2.0.0 OK  1789027801 x - gsmtp",
		"08DDF2A1B2C3;2026-09-11T08:10:00.000Z;0":                                                   "",
		"Message sent to mx.example.com at 192.0.2.250 using TLS1.2 with AES256":                    "",
		"Message sent to mx.example.com at 203.0.113.1 using TLS1.2 with AES256. 250 OK":            "250 OK",
		"250 2.1.5 Recipient OK": "250 2.1.5 Recipient OK",
		"[{LED=250 2.0.0 Ok: queued as 4X};{MSG=};{FQDN=mx.example.com}]": "250 2.0.0 Ok: queued as 4X",
		"received 250 bytes": "",
		"":                   "",
	} {
		if got := delivered(s); got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
}

func TestSentTo(t *testing.T) {
	for s, want := range map[string]event.Attempt{
		"Message sent to mx.example.com at 192.0.2.25 using TLS1.3 with AES256":          {RemoteHost: "mx.example.com", RemoteIP: "192.0.2.25", TLS: &event.TLS{Version: "1.3", Cipher: "AES256"}},
		"Nachricht an mx.example.com unter 2001:db8::25 mit TLS1.2 und AES128 gesendet.": {RemoteHost: "mx.example.com", RemoteIP: "2001:db8::25", TLS: &event.TLS{Version: "1.2", Cipher: "AES128"}},
		"Message envoyé à mx.example.com (192.0.2.25)":                                   {RemoteHost: "mx.example.com", RemoteIP: "192.0.2.25"},
		"The message was sent.": {},
	} {
		var a event.Attempt
		sentTo(&a, s)
		if a.RemoteHost != want.RemoteHost || a.RemoteIP != want.RemoteIP || (a.TLS == nil) != (want.TLS == nil) || a.TLS != nil && *a.TLS != *want.TLS {
			t.Errorf("%q: %+v", s, a)
		}
	}
}
