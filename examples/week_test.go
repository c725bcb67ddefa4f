package examples_test

import (
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/event"
	"github.com/postroad/postroad/ingest/maillog"
	"github.com/postroad/postroad/ingest/trace"
	"github.com/postroad/postroad/mail"
)

// truth is what week/truth.toml says: "section.key" to its value, without quotes.
type truth map[string]string

func readTruth(t *testing.T) truth {
	t.Helper()
	text, err := os.ReadFile("week/truth.toml")
	if err != nil {
		t.Fatal(err)
	}
	out, section := make(truth), ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			section = strings.Trim(line, "[]")
		} else if key, value, ok := strings.Cut(line, " = "); ok && line[0] != '#' {
			out[section+"."+strings.Trim(key, `"`)] = strings.Trim(value, `"`)
		}
	}
	return out
}

func (tr truth) time(t *testing.T, key string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, tr[key])
	if err != nil {
		t.Fatalf("truth.toml: %s: %v", key, err)
	}
	return at
}

func (tr truth) number(t *testing.T, key string) int {
	t.Helper()
	n, err := strconv.Atoi(tr[key])
	if err != nil {
		t.Fatalf("truth.toml: %s: %v", key, err)
	}
	return n
}

// addresses are those of a list.
func (tr truth) addresses(key string) []string {
	return strings.Split(strings.NewReplacer("[", "", "]", "", `"`, "", " ", "").Replace(tr[key]), ",")
}

// weekLogs are the files of the log, the oldest first.
var weekLogs = []string{"mail.log.6.gz", "mail.log.5.gz", "mail.log.4.gz", "mail.log.3.gz", "mail.log.2.gz", "mail.log.1", "mail.log"}

// eachAttempt reads the week as it was logged. What is visited is valid during the call only. Where
// Postfix has deferred without an attempt, because those before it had failed, suspended is true.
func eachAttempt(t *testing.T, visit func(at time.Time, a *event.Attempt, suspended bool)) {
	t.Helper()
	join := maillog.NewJoin()
	for _, name := range weekLogs {
		f, err := os.Open(filepath.Join("week", name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		var in io.Reader = f
		if strings.HasSuffix(name, ".gz") {
			if in, err = gzip.NewReader(f); err != nil {
				t.Fatal(err)
			}
		}
		r := maillog.NewReader(in, maillog.ReaderOptions{Join: join})
		if err := r.Each(func(l *maillog.Line, _ []byte) error {
			visit(l.Time, l.Attempt, l.Kind == maillog.KindSuspended)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestWeekIsAsPlanted holds the log against what the receivers counted.
func TestWeekIsAsPlanted(t *testing.T) {
	tr := readTruth(t)
	begin, end := tr.time(t, "planted.begin"), tr.time(t, "planted.end")
	cut, taken := make(map[string]int), make(map[string]int)
	eachAttempt(t, func(at time.Time, a *event.Attempt, suspended bool) {
		if at.Before(tr.time(t, "week.begin").Add(-time.Minute)) || at.After(tr.time(t, "week.end")) {
			t.Errorf("%s is not in the week", at)
		}
		if a.Outcome == mail.Delivered && a.RemoteIP != "" {
			taken[strings.Clone(a.RemoteIP)]++
		}
		if a.Stage == mail.StageSTARTTLS && a.Outcome == mail.Temporary && a.RemoteIP != "" && !suspended {
			cut[strings.Clone(a.RemoteIP)]++
			if at.Before(begin) || at.After(end.Add(time.Minute)) {
				t.Errorf("cut at %s, outside of what was planted", at)
			}
		}
	})
	bad := tr.addresses("planted.addresses")
	if len(bad) != 2 || len(cut) != 2 {
		t.Errorf("cut at %v, planted at %v", cut, bad)
	}
	for _, ip := range bad {
		if want := tr.number(t, "cut."+ip); cut[ip] != want || want < 30 {
			t.Errorf("%s: %d cut in the log, the receiver counted %d", ip, cut[ip], want)
		}
	}
	for key := range tr {
		if ip, ok := strings.CutPrefix(key, "taken."); ok && taken[ip] != tr.number(t, key) {
			t.Errorf("%s: %d delivered in the log, the receiver counted %s", ip, taken[ip], tr[key])
		}
	}
}

// TestWeekReports holds the reports of the week to what they are about.
func TestWeekReports(t *testing.T) {
	for name, want := range map[string]struct {
		kind  string
		class mail.Class
		to    string
	}{
		"yahoo-delayed-1.eml": {"delayed", mail.Transport, "yahoo"},
		"yahoo-delayed-2.eml": {"delayed", mail.Transport, "yahoo"},
		"yahoo-unknown.eml":   {"bounce", mail.RecipientUnknown, "yahoo"},
		"mill-expired.eml":    {"bounce", mail.System, "mx:mill.example"},
	} {
		raw, err := os.ReadFile(filepath.Join("week", name))
		if err != nil {
			t.Fatal(err)
		}
		a := explainer(t, "bakery.example").Answer(name, raw, false)
		got := verdicts(a)
		if string(a.Kind) != want.kind || len(got) != 1 || got[0].class != want.class || got[0].provider != want.to {
			t.Errorf("%s: %s %v", name, a.Kind, got)
		}
	}
}

// TestTracesTellOneStory reads the companions of trace/.
func TestTracesTellOneStory(t *testing.T) {
	for name, want := range map[string]struct {
		format                    string
		failed, delivered, others int
	}{
		"summary.csv":    {trace.FormatSummary, 10, 32, 0},
		"summary-fr.csv": {trace.FormatSummary, 10, 32, 0},
		"detail.csv":     {trace.FormatDetail, 10, 9, 93},
	} {
		t.Run(name, func(t *testing.T) {
			raw, err := os.ReadFile(filepath.Join("trace", name))
			if err != nil {
				t.Fatal(err)
			}
			if format, _ := trace.Sniff(raw[:min(len(raw), 8<<10)]); format != want.format {
				t.Errorf("format %q, want %q", format, want.format)
			}
			failed, delivered, others := make(map[string]bool), make(map[string]bool), 0
			err = trace.Read(strings.NewReader(string(raw)), trace.Options{Skip: func(line int64, why event.Skip) {
				t.Errorf("line %d skipped: %s", line, why)
			}}, func(e *event.Event) error {
				a, ok := e.Body.(*event.Attempt)
				switch {
				case !ok:
					t.Errorf("%T", e.Body)
				case a.Outcome == mail.Delivered:
					delivered[a.MessageID] = true
				case a.Final:
					failed[a.MessageID] = true
				default:
					others++
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if len(failed) != want.failed || len(delivered) != want.delivered || others != want.others {
				t.Errorf("%d failed, %d delivered, %d others; want %d, %d, %d", len(failed), len(delivered), others,
					want.failed, want.delivered, want.others)
			}
		})
	}
}
