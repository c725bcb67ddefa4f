package esp

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/diagnose"
	"github.com/postroad/postroad/event"
)

// update writes what is read into the cases; read the difference before it is
// committed.
var update = flag.Bool("update", false, "write what is read into testdata/cases")

// TestCases reads testdata/cases: an export, and every field of what is read.
func TestCases(t *testing.T) {
	files, err := filepath.Glob("testdata/cases/*.txt")
	if err != nil || len(files) < 7 {
		t.Fatalf("%d cases, %v", len(files), err)
	}
	e := engine(t)
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		head, rest, ok := strings.Cut(string(raw), "-- in --\n")
		in, want, ok2 := strings.Cut(rest, "-- want --\n")
		if !ok || !ok2 {
			t.Fatalf("%s: not of the form of a case", file)
		}
		var b strings.Builder
		events, left := readAll(t, []byte(in))
		for _, ev := range events {
			tell(t, &b, e, ev)
		}
		for _, s := range left {
			fmt.Fprintf(&b, "left out: line %d, %s\n", s.line, s.why)
		}
		if *update {
			text := head + "-- in --\n" + in + "-- want --\n" + b.String()
			if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if b.String() != want {
			t.Errorf("%s: read\n%swant\n%s", file, b.String(), want)
		}
	}
}

// tell writes every field that is set.
func tell(t *testing.T, b *strings.Builder, e *diagnose.Engine, ev *event.Event) {
	fmt.Fprintf(b, "%s %s grade %d", ev.Time.Format(time.RFC3339Nano), ev.Origin.Format, ev.Origin.Grade)
	pair := func(key, value string) {
		if value != "" {
			fmt.Fprintf(b, " %s=%s", key, value)
		}
	}
	pair("of", ev.Origin.Host)
	b.WriteByte('\n')
	if c, ok := ev.Body.(*event.Complaint); ok {
		fmt.Fprintf(b, "  complaint %s count=%d", c.Type, c.Count)
		pair("by", strings.Join(c.Recipients, ","))
		pair("from", c.MailFrom)
		pair("id", c.MessageID)
		pair("source", c.SourceIP)
		pair("agent", c.UserAgent)
		if !c.Arrival.IsZero() {
			pair("arrival", c.Arrival.Format(time.RFC3339))
		}
		b.WriteByte('\n')
		return
	}
	a := ev.Body.(*event.Attempt)
	fmt.Fprintf(b, "  %s to=%s", a.Outcome, a.Recipient)
	pair("from", a.Sender)
	pair("id", a.MessageID)
	pair("network", a.NetworkID)
	pair("queue", a.QueueID)
	pair("remote", a.RemoteHost)
	pair("ip", a.RemoteIP)
	pair("source", a.SourceIP)
	pair("by", a.SourceHost)
	pair("client", a.ClientIP)
	pair("route", a.Route)
	pair("stream", a.Stream)
	pair("stage", string(a.Stage))
	if a.TLS != nil {
		fmt.Fprintf(b, " tls=%s/%s/%v", a.TLS.Version, a.TLS.Cipher, a.TLS.Verified)
	}
	if a.Number > 0 {
		fmt.Fprintf(b, " number=%d", a.Number)
	}
	if a.Delay > 0 {
		pair("delay", a.Delay.String())
	}
	fmt.Fprintf(b, "\n  final=%v spoke=%v code=%d enhanced=%s", a.Final, a.Spoke, a.Reply.Code, a.Reply.Enhanced)
	if a.Outcome != "delivered" && a.Route != RouteWithheld { // a list of the vendor's tells nothing of the receiver
		pair("class", string(classOf(t, e, a)))
	}
	b.WriteByte('\n')
	for _, line := range a.Reply.Lines {
		fmt.Fprintf(b, "  | %s\n", line)
	}
}
