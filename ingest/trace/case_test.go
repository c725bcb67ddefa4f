package trace

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/event"
)

var update = flag.Bool("update", false, "write the want parts of testdata/cases anew; read the difference before you keep it")

// section gives a part of a case file: what stands behind "-- name --".
func section(text, name string) string {
	_, s, ok := strings.Cut(text, "-- "+name+" --\n")
	if !ok {
		return ""
	}
	if i := strings.Index(s, "\n-- "); i >= 0 {
		s = s[:i+1]
	}
	return s
}

// told gives an event as one line.
func told(e *event.Event) string {
	a := attempt(e)
	s := []string{e.Time.Format("2006-01-02T15:04:05Z"), e.Origin.Format, string(a.Outcome)}
	if a.Final {
		s = append(s, "final")
	}
	add := func(k, v string) {
		if v != "" {
			s = append(s, k+"="+v)
		}
	}
	add("from", a.Sender)
	add("to", a.Recipient)
	add("id", a.MessageID)
	add("net", a.NetworkID)
	add("queue", a.QueueID)
	add("route", a.Route)
	add("remote", strings.Trim(a.RemoteHost+" "+a.RemoteIP, " "))
	add("source", strings.Trim(a.SourceHost+" "+a.SourceIP, " "))
	add("client", strings.Trim(a.Client+" "+a.ClientIP, " "))
	add("host", e.Origin.Host)
	add("stage", string(a.Stage))
	if a.TLS != nil {
		add("tls", strings.TrimSpace(a.TLS.Version+" "+a.TLS.Cipher))
	}
	if a.Delay > 0 {
		add("delay", a.Delay.Round(time.Second).String())
	}
	if a.Number > 1 {
		add("number", fmt.Sprint(a.Number))
	}
	if len(a.Reply.Lines) > 0 {
		add("reply", fmt.Sprintf("%d %s %v %q", a.Reply.Code, a.Reply.Enhanced, a.Spoke, a.Reply.Lines[0]))
	}
	return strings.Join(s, " ")
}

// The files of testdata/cases: an input, options, and the events and the things
// left out that must come of it.
func TestCases(t *testing.T) {
	files, _ := filepath.Glob("testdata/cases/*.txt")
	if len(files) < 20 {
		t.Fatalf("only %d cases", len(files))
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			raw, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			text := string(raw)
			var o Options
			for line := range strings.SplitSeq(section(text, "options"), "\n") {
				k, v, _ := strings.Cut(line, " ")
				switch k {
				case "zone":
					if o.Zone, err = time.LoadLocation(v); err != nil {
						t.Fatal(err)
					}
				case "now":
					if o.Now, err = time.Parse(time.RFC3339, v); err != nil {
						t.Fatal(err)
					}
				}
			}
			in := section(text, "input")
			events, skipped := readAll(t, in, o)
			var lines []string
			for _, e := range events {
				checkEvent(t, e)
				lines = append(lines, told(e))
			}
			for _, s := range skipped {
				lines = append(lines, "skipped "+s)
			}
			got := strings.Join(lines, "\n") + "\n"
			if *update {
				head, _, _ := strings.Cut(text, "-- want --\n")
				if err := os.WriteFile(name, []byte(head+"-- want --\n"+got), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if want := section(text, "want"); got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
			if !slices.IsSortedFunc(events, func(a, b *event.Event) int { return a.Time.Compare(b.Time) }) {
				t.Error("the events are not in order")
			}
		})
	}
}
