package maillog

import (
	"flag"
	"fmt"
	"os"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/event"
)

var update = flag.Bool("update", false, "write the answers of today into testdata")

func rome(t testing.TB) *time.Location {
	loc, err := time.LoadLocation("Europe/Rome")
	if err != nil {
		t.Skip("no zone data here: ", err)
	}
	return loc
}

// dump writes everything that a Line says, one fact a line.
func dump(l Line) string {
	var out []string
	add := func(key string, v any) {
		s := fmt.Sprint(v)
		if s == "" || s == "0" || s == "0s" || s == "false" {
			return
		}
		out = append(out, key+": "+strings.ReplaceAll(s, "\n", "⏎"))
	}
	if !l.Time.IsZero() {
		add("time", l.Time.Format(time.RFC3339Nano))
	}
	add("host", l.Host)
	add("service", l.Service)
	add("pid", l.PID)
	add("format", l.Origin.Format)
	add("kind", l.Kind)
	if l.Direction != Outbound {
		add("direction", l.Direction)
	}
	add("status", l.Status)
	add("enhanced", l.Enhanced)
	add("router", l.Router)
	add("before queue", l.BeforeQ)
	add("in queue", l.InQ)
	add("took", l.Took)
	a := l.Attempt
	add("queue id", a.QueueID)
	add("queued as", l.QueuedAs)
	add("part", l.Part)
	add("sender", a.Sender)
	add("message-id", a.MessageID)
	add("client", strings.TrimSpace(a.Client+" "+a.ClientIP))
	add("user", a.User)
	add("sender domain", a.SenderDomain)
	add("recipient", a.Recipient)
	add("original", a.OrigRcpt)
	add("others", strings.Join(l.Others, " "))
	remote := a.RemoteHost + " " + a.RemoteIP
	if a.RemotePort != 0 {
		remote += fmt.Sprint(" ", a.RemotePort)
	}
	add("remote", strings.TrimSpace(remote))
	add("source", a.SourceIP)
	add("helo", a.HELO)
	add("route", a.Route)
	add("stage", a.Stage)
	outcome := string(a.Outcome)
	if a.Final {
		outcome += " final"
	}
	add("outcome", strings.TrimSpace(outcome))
	add("number", a.Number)
	add("delay", a.Delay)
	for stage, d := range a.Durations {
		add("duration "+string(stage), d)
	}
	if a.TLS != nil {
		add("tls", fmt.Sprintf("%+v", *a.TLS))
	}
	if a.Reply.Code != 0 || a.Reply.Enhanced != "" {
		add("reply", fmt.Sprint(a.Reply.Code, " ", a.Reply.Enhanced))
	}
	add("spoke", a.Spoke)
	add("text", l.Diagnostic)
	sort.Strings(out)
	return strings.Join(out, "\n")
}

func TestParseLine(t *testing.T) {
	const file = "testdata/lines.txt"
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	loc := rome(t)
	var out strings.Builder
	cases := 0
	for i, block := range strings.Split(strings.TrimSpace(string(raw)), "\n\n") {
		first, want, _ := strings.Cut(block, "\n")
		line, ok := strings.CutPrefix(first, "> ")
		if i > 0 {
			out.WriteString("\n")
		}
		if !ok {
			out.WriteString(block + "\n")
			continue
		}
		cases++
		l, ok := ParseLine(line, 2024, loc)
		got := "no"
		if ok {
			got = dump(l)
			checkLine(t, line, l)
		}
		out.WriteString(first + "\n" + got + "\n")
		if got != want && !*update {
			t.Errorf("%s\ngot\n%s\nwant\n%s", line, got, want)
		}
	}
	if cases < 80 {
		t.Errorf("read %d cases, the file has more", cases)
	}
	if *update {
		if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// checkLine holds for every line that is understood.
func checkLine(t *testing.T, line string, l Line) {
	t.Helper()
	a := l.Attempt
	switch {
	case a == nil:
		t.Fatalf("%q: no attempt", line)
	case l.Kind == "" || l.Direction == "" || l.Origin.Format == "":
		t.Errorf("%q: kind %q, direction %q, format %q", line, l.Kind, l.Direction, l.Origin.Format)
	case a.Final && a.Outcome == "temporary" && a.Reply.Code/100 != 4 && l.Enhanced.Class != 4:
		t.Errorf("%q: final and temporary, and nobody said so", line)
	case a.Delay < 0 || l.Took < 0 || l.BeforeQ < 0 || l.InQ < 0:
		t.Errorf("%q: negative duration", line)
	case a.RemotePort < 0 || a.RemotePort > 65535:
		t.Errorf("%q: port %d", line, a.RemotePort)
	case l.Diagnostic != "" && (len(a.Reply.Lines) != 1 || a.Reply.Lines[0] != l.Diagnostic):
		t.Errorf("%q: the reply lost the text", line)
	case len(l.Diagnostic) > len(line):
		t.Errorf("%q: the text grew: %q", line, l.Diagnostic)
	}
	if _, err := (event.Event{Body: a}).MarshalJSON(); err != nil {
		t.Errorf("%q: %v", line, err)
	}
}

func TestYearIsGuessed(t *testing.T) {
	now := time.Now().UTC()
	const tail = " mx1 postfix/smtp[1]: connect to mx.example.com[192.0.2.1]:25: Connection refused"
	for name, at := range map[string]time.Time{
		"now": now, "half a year ago": now.AddDate(0, -6, 0), "in 20 hours": now.Add(20 * time.Hour),
	} {
		l, ok := ParseLine(at.Format("Jan _2 15:04:05")+tail, 0, nil)
		if !ok || !l.Time.Equal(at.Truncate(time.Second)) && !(at.Day() == 29 && at.Month() == 2) {
			t.Errorf("%s: got %v, %v, want %v", name, l.Time, ok, at)
		}
	}
	soon := now.AddDate(0, 0, 20)
	l, _ := ParseLine(soon.Format("Jan _2 15:04:05")+tail, 0, nil)
	if l.Time.After(now.Add(48 * time.Hour)) {
		t.Errorf("a line of %v was put into the future: %v", soon, l.Time)
	}
	l, ok := ParseLine("Feb 29 09:10:11"+tail, 0, nil)
	if !ok || l.Time.Day() != 29 {
		t.Errorf("29 February became %v", l.Time)
	}
}

func TestEvent(t *testing.T) {
	const raw = "Jan 22 09:10:11 mx1 postfix/smtp[1]: connect to mx.example.com[192.0.2.1]:25: Connection refused"
	l, ok := ParseLine(raw, 2024, nil)
	if !ok {
		t.Fatal("not understood")
	}
	e := l.Event(raw)
	other, _ := ParseLine(raw, 2023, rome(t))
	if e.ID == "" || e.ID != other.Event(raw).ID {
		t.Error("the id depends on what had to be guessed")
	}
	if e.Time.Location() != time.UTC || e.Origin.Format != FormatPostfix || e.Origin.Host != "mx1" || e.Body != event.Body(l.Attempt) {
		t.Errorf("got %+v", e)
	}
}

func TestLongLine(t *testing.T) {
	line := "0D9633D: to=<a@example.com>, relay=none, delay=1, delays=0/0/1/0, dsn=5.0.0, status=bounced (" +
		strings.Repeat("(", MaxLine*2)
	l, ok := ParseLine(line, 2024, nil)
	if !ok || len(l.Diagnostic) > MaxLine {
		t.Errorf("ok %v, text of %d bytes", ok, len(l.Diagnostic))
	}
}

func FuzzParseLine(f *testing.F) {
	raw, err := os.ReadFile("testdata/lines.txt")
	if err != nil {
		f.Fatal(err)
	}
	for line := range strings.SplitSeq(string(raw), "\n") {
		if s, ok := strings.CutPrefix(line, "> "); ok {
			f.Add(s)
		}
	}
	f.Fuzz(func(t *testing.T, line string) {
		l, ok := ParseLine(line, 2024, time.UTC)
		if ok {
			checkLine(t, line, l)
		}
	})
}

func BenchmarkParseLine(b *testing.B) {
	for name, line := range map[string]string{
		"postfix": "Jan 22 09:10:11 mx1 postfix/smtp[123]: 4T6X0z3kWqz9vB: to=<a@example.com>, relay=mx.example.com[192.0.2.1]:25, delay=1.2, delays=0.1/0.02/0.8/0.28, dsn=5.1.1, status=bounced (host mx.example.com[192.0.2.1] said: 550 5.1.1 <a@example.com>: Recipient address rejected: User unknown in virtual mailbox table (in reply to RCPT TO command))",
		"rfc3339": "2024-01-22T09:10:11.123456+01:00 mx1 postfix/smtp[123]: 4T6X0z3kWqz9vB: to=<a@example.com>, relay=mx.example.com[192.0.2.1]:25, delay=1.2, delays=0.1/0.02/0.8/0.28, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 4T6X0z3kWqz9vC)",
		"exim":    "2024-01-22 09:10:11 1rRabc-0001Ab-2C ** user@example.com R=dnslookup T=remote_smtp H=mx.example.com [192.0.2.1]:25 X=TLS1.3:TLS_AES_256_GCM_SHA384:256 CV=yes: SMTP error from remote mail server after RCPT TO:<user@example.com>: 550 5.1.1 no such user",
		"other":   "Jan 22 09:10:11 mx1 postfix/qmgr[1]: 4T6X0z3kWqz9vB: from=<a@example.com>, size=1234, nrcpt=1 (queue active)",
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(line)))
			b.ReportAllocs()
			for b.Loop() {
				ParseLine(line, 2024, time.UTC)
			}
		})
	}
}
