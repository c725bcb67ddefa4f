package examples_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/analyze"
	"github.com/postroad/postroad/diagnose"
	"github.com/postroad/postroad/event"
	"github.com/postroad/postroad/lang"
	"github.com/postroad/postroad/mail"
	"github.com/postroad/postroad/provider"
)

// analysis is what Postroad says of a pile.
func analysis(t *testing.T, patterns ...string) *analyze.Report {
	t.Helper()
	engine, err := diagnose.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	providers, err := provider.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, p := range patterns {
		found, err := filepath.Glob(filepath.FromSlash(p))
		if err != nil || len(found) == 0 {
			t.Fatalf("no %s: %v", p, err)
		}
		files = append(files, found...)
	}
	r, err := analyze.Run(t.Context(), files, nil, analyze.Options{Engine: engine, Providers: providers, Texts: lang.Open("en"),
		Zone: time.UTC, Now: time.Date(2026, 11, 21, 20, 0, 0, 0, time.UTC), TempDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range r.Skipped {
		t.Errorf("skipped: %+v", s)
	}
	return r
}

// TestAnalysisFindsWhatWasPlanted holds the analysis of the week against the
// truth: from the log alone, and with everything else that tells of it.
func TestAnalysisFindsWhatWasPlanted(t *testing.T) {
	tr := readTruth(t)
	for name, patterns := range map[string][]string{
		"log":        {"week/mail.log*"},
		"everything": {"week/mail.log*", "week/*.eml", "week/queue.*"},
	} {
		t.Run(name, func(t *testing.T) {
			r := analysis(t, patterns...)
			found := 0
			for i := range r.Incidents {
				switch x := &r.Incidents[i]; {
				case x.Provider == tr["planted.provider"]:
					found++
					checkPlanted(t, tr, x)
				case x.Provider == "mx:cafe.example" && x.Began.Before(local(10, 12)):
					// It was down on Tuesday.
				default:
					t.Errorf("nothing was planted at %s: %s %s, %d messages: %v", x.Provider, x.Class, x.Began, x.FailedMessages, x.Why)
				}
			}
			if found != 1 {
				t.Errorf("%d incidents at %s, want one", found, tr["planted.provider"])
			}
		})
	}
}

// local is an hour of the week, where the bakery is.
func local(day, hour int) time.Time {
	return time.Date(2026, 11, day, hour, 0, 0, 0, time.FixedZone("", 3600))
}

func checkPlanted(t *testing.T, tr truth, x *analyze.Incident) {
	t.Helper()
	begin, end, first := tr.time(t, "planted.begin"), tr.time(t, "planted.end"), tr.time(t, "planted.first_cut")
	t.Logf("began %s, detected %s after %d messages, ended %v, confidence %.2f\nwhy %q\nagainst %q", x.Began, x.Detected, x.SufficedAfter,
		x.Ended, x.Confidence, x.Why, x.Against)
	if string(x.Class) != tr["planted.class"] || x.Stage == nil || string(*x.Stage) != tr["planted.stage"] {
		t.Errorf("%s at %v, planted was %s at %s", x.Class, x.Stage, tr["planted.class"], tr["planted.stage"])
	}
	// From one of our addresses alone the path to two of theirs looks the same.
	if x.Actor != mail.ActorReceivingProvider && x.Actor != mail.ActorPath {
		t.Errorf("laid at the door of %s", x.Actor)
	}
	if x.Began.Before(begin.Add(-time.Hour)) || x.Began.After(first.Add(time.Minute)) {
		t.Errorf("began %s, planted at %s, first seen at %s", x.Began, begin, first)
	}
	if x.Detected.Before(first) || x.SufficedAfter > 12 {
		t.Errorf("certain at %s after %d messages", x.Detected, x.SufficedAfter)
	}
	if x.State != analyze.Recovered || x.Ended == nil || x.Ended.Before(end.Add(-time.Hour)) || x.Ended.After(end.Add(2*time.Hour)) {
		t.Errorf("%s, ended %v, planted until %s", x.State, x.Ended, end)
	}
	idle := make(map[string]int) // deferred because of an address, without trying it
	eachAttempt(t, func(_ time.Time, a *event.Attempt, suspended bool) {
		if suspended {
			idle[strings.Clone(a.RemoteIP)]++
		}
	})
	var bad []string
	for _, a := range x.Addresses {
		if a.Failed > 0 {
			bad = append(bad, a.Address)
			if want := int64(tr.number(t, "cut."+a.Address) + idle[a.Address]); a.Failed != want {
				t.Errorf("%s: %d failed, the receiver counted %d", a.Address, a.Failed, want)
			}
		}
	}
	slices.Sort(bad)
	if want := tr.addresses("planted.addresses"); !slices.Equal(bad, want) {
		t.Errorf("failed at %v, planted at %v", bad, want)
	}
	if x.RecipientsMixed == nil || !*x.RecipientsMixed {
		t.Error("does not see that the same recipients got mail too")
	}
}

// TestTracesCountOnce gives one story in ever more forms: ten messages failed. A
// summary alone does not say why.
func TestTracesCountOnce(t *testing.T) {
	for _, c := range []struct {
		name     string
		patterns []string
		class    mail.Class
	}{
		{"summary", []string{"trace/summary.csv"}, mail.Unknown},
		{"French summary", []string{"trace/summary-fr.csv"}, mail.Unknown},
		{"both summaries", []string{"trace/summary*.csv"}, mail.Unknown},
		{"detail", []string{"trace/detail.csv"}, mail.Transport},
		{"summary and detail", []string{"trace/summary.csv", "trace/detail.csv"}, mail.Transport},
		{"everything", []string{"trace/*.csv", "trace/*.eml"}, mail.Transport},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := analysis(t, c.patterns...)
			if len(r.Incidents) != 1 || r.Incidents[0].Provider != "yahoo" || r.Incidents[0].Class != c.class {
				t.Errorf("incidents: %+v", r.Incidents)
			}
			seen := false
			for _, p := range r.Providers {
				if p.ID == "yahoo" {
					seen = true
					if p.Messages != 19 || p.Bounced+p.Expired != 10 || p.Delivered != 9 {
						t.Errorf("%d messages, %d delivered, %d+%d came back; want 19, 9, 10", p.Messages, p.Delivered, p.Bounced, p.Expired)
					}
				}
			}
			if !seen {
				t.Error("does not name Yahoo")
			}
		})
	}
}

// TestQueueIsWhatWaited reads what the queue showed on Thursday.
func TestQueueIsWhatWaited(t *testing.T) {
	want := int64(readTruth(t).number(t, "queue.messages"))
	for _, pattern := range []string{"week/queue.txt", "week/queue.json", "week/queue.*"} {
		all := int64(0)
		for _, q := range analysis(t, pattern).Queue {
			all += q.Messages
			if alone := q.Provider == "mx:mill.example"; alone != (q.Classes[mail.Transport] == 0) || alone != (q.Messages == 1) {
				t.Errorf("%s: %+v", pattern, q)
			}
		}
		if all != want {
			t.Errorf("%s: %d messages wait, want %d", pattern, all, want)
		}
	}
}
