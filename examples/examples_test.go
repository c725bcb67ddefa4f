// Package examples_test checks that what stands in this folder is answered as
// expected.tsv says, and that Postfix and Exim still write what we understand.
package examples_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/diagnose"
	"github.com/postroad/postroad/examples/mta"
	"github.com/postroad/postroad/examples/street"
	"github.com/postroad/postroad/explain"
	"github.com/postroad/postroad/lang"
	"github.com/postroad/postroad/mail"
	"github.com/postroad/postroad/provider"
	"github.com/postroad/postroad/world"
)

// verdict is what is checked of one result.
type verdict struct {
	recipient string
	class     mail.Class
	provider  string
	outcome   mail.Outcome
}

// expectation is one group of lines of expected.tsv: a file, read with the
// given options.
type expectation struct {
	file, kind, ours string
	verdicts         []verdict
}

func explainer(t *testing.T, ours string) *explain.Explainer {
	t.Helper()
	engine, err := diagnose.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	providers, err := provider.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	o := explain.Options{Engine: engine, Providers: providers, Texts: lang.Open("en"), Zone: time.UTC,
		Now: time.Date(2026, 11, 21, 20, 0, 0, 0, time.UTC)}
	if ours != "" {
		o.Ours = []string{ours}
	}
	x, err := explain.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// verdicts gives each different verdict of an answer once, in its order: a log
// has an attempt often.
func verdicts(a *explain.Answer) []verdict {
	var out []verdict
	for i := range a.Results {
		r := &a.Results[i]
		v := verdict{recipient: r.Recipient, outcome: r.Outcome}
		if r.Diagnosis != nil {
			v.class = r.Diagnosis.Class
		}
		if r.Provider != nil {
			v.provider = r.Provider.ID
		}
		if !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}

func (v verdict) String() string {
	return strings.Join([]string{dash(v.recipient), dash(string(v.class)), dash(v.provider), dash(string(v.outcome))}, "\t")
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// readExpected reads expected.tsv; the form is described there.
func readExpected(t *testing.T) []expectation {
	t.Helper()
	text, err := os.ReadFile("expected.tsv")
	if err != nil {
		t.Fatal(err)
	}
	var out []expectation
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\n")
		if line == "" || line[0] == '#' {
			continue
		}
		f := strings.Split(line, "\t")
		if len(f) != 6 && len(f) != 7 {
			t.Fatalf("expected.tsv: %d columns, want 6 or 7: %s", len(f), line)
		}
		for i := range f {
			if f[i] == "-" {
				f[i] = ""
			}
		}
		e := expectation{file: f[0], kind: f[1]}
		if len(f) == 7 {
			e.ours = f[6]
		}
		if n := len(out); n == 0 || out[n-1].file != e.file || out[n-1].ours != e.ours {
			out = append(out, e)
		}
		last := &out[len(out)-1]
		if last.kind != e.kind {
			t.Fatalf("expected.tsv: %s is of two kinds", e.file)
		}
		if v := (verdict{f[2], mail.Class(f[3]), f[4], mail.Outcome(f[5])}); v != (verdict{}) {
			last.verdicts = append(last.verdicts, v)
		}
	}
	return out
}

func TestExamplesAreAnsweredAsExpected(t *testing.T) {
	for _, e := range readExpected(t) {
		name := e.file
		if e.ours != "" {
			name += " of " + e.ours
		}
		t.Run(name, func(t *testing.T) {
			raw, err := os.ReadFile(e.file)
			if err != nil {
				t.Fatal(err)
			}
			a := explainer(t, e.ours).Answer(e.file, raw, false)
			if string(a.Kind) != e.kind {
				t.Errorf("kind %s, want %s", a.Kind, e.kind)
			}
			got := verdicts(a)
			if slices.Equal(got, e.verdicts) {
				return
			}
			same := true
			for _, v := range e.verdicts {
				if !slices.Contains(got, v) {
					same = false
					t.Errorf("missing:    %s", v)
				}
			}
			for _, v := range got {
				if !slices.Contains(e.verdicts, v) {
					same = false
					t.Errorf("unexpected: %s", v)
				}
			}
			if same {
				t.Errorf("in another order: %s", got)
			}
		})
	}
}

// TestEveryExampleIsTold holds the folder, expected.tsv and README.md together.
func TestEveryExampleIsTold(t *testing.T) {
	expected := make(map[string]bool)
	for _, e := range readExpected(t) {
		expected[e.file] = true
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, pattern := range []string{"*.eml", "*.log", "*.txt"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("no %s here: %v", pattern, err)
		}
		for _, f := range files {
			if !expected[f] {
				t.Errorf("%s has no line in expected.tsv", f)
			}
			if !strings.Contains(string(readme), "`"+f+"`") {
				t.Errorf("%s is not told of in README.md", f)
			}
			raw, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			mark := strings.Contains(string(raw), "\nX-Postroad-Example: written by hand after ")
			if made := strings.Contains(string(raw), "(Postfix") || strings.Contains(string(raw), "(Exim"); filepath.Ext(f) == ".eml" && !mark && !made {
				t.Errorf("%s is neither marked as written by hand nor from Postfix or Exim", f)
			}
		}
	}
}

// outside has two receivers: Google's refuses one mailbox and takes the rest, Yahoo's defers.
const outside = `
name = "Google refuses, Yahoo defers"

[[provider]]
id = "google"
domains = ["gmail.com"]
queued = "250 2.0.0 OK  {id} - gsmtp"
[[provider.host]]
name = "gmail-smtp-in.l.google.com"
banner = "mx.google.com"
addresses = ["192.0.2.27"]
[[provider.temper]]
do = "reject"
preset = "gmail-5.7.26"
recipients = ["anna.example@gmail.com"]

[[provider]]
id = "yahoo"
domains = ["yahoo.com"]
without = ["CHUNKING"] # a pipelining Exim would tell of the content, not of MAIL
[[provider.host]]
name = "mta5.am0.yahoodns.net"
banner = "mtaproxy511.free.mail.bf1.yahoo.com"
addresses = ["192.0.2.73"]
[[provider.temper]]
do = "reject"
preset = "yahoo-tss04"
`

const message = "From: <orders@bakery.example>\nTo: <anna@example.com>\nSubject: Your order\nMessage-ID: <1@bakery.example>\n\nIt is ready.\n"

// check sends three mails and judges what the server writes about them, then holds it against what
// the receivers say. The words are those of the server's log about a mail that waits, and one that is gone.
func check(ctx context.Context, t *testing.T, s *street.Street, log, deferred, sent string,
	submit func(ctx context.Context, from, to, message string, args ...string) error) {
	t.Helper()
	const (
		from   = "orders@bakery.example"
		google = "anna.example@gmail.com"
		taken  = "tom.example@gmail.com"
		yahoo  = "usuario.ejemplo@yahoo.com"
	)
	for _, to := range []string{google, taken, yahoo} {
		if err := submit(ctx, from, to, message); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := s.WaitMail(ctx, func(raw string) bool { return strings.Contains(raw, google) })
	if err != nil {
		t.Fatal(err)
	}
	line, err := s.WaitLine(ctx, log, yahoo, deferred)
	if err != nil {
		t.Fatal(err)
	}
	gone, err := s.WaitLine(ctx, log, taken, sent)
	if err != nil {
		t.Fatal(err)
	}
	truth := s.World.Truth()
	for _, c := range []struct {
		cause world.Cause
		want  int
	}{
		{world.Cause{Kind: world.Refused, Provider: "google", Stage: mail.StageFinal, Code: 550}, 1},
		{world.Cause{Kind: world.Refused, Provider: "yahoo", Stage: mail.StageMail, Code: 421}, 1},
		{world.Cause{}, 2},
	} {
		if n := truth.Count(c.cause); n != c.want {
			t.Errorf("the receivers know %+v %d times, want %d: %+v", c.cause, n, c.want, truth.Tally)
		}
	}
	if truth.Messages != 1 || truth.Delivered("1@bakery.example", taken) != 1 {
		t.Errorf("%d messages arrived: %+v", truth.Messages, truth.Accepted)
	}
	x := explainer(t, "bakery.example")
	for _, c := range []struct {
		name, text string
		kind       explain.Kind
		stage      mail.Stage // of a bounce it stands in the words for people alone
		want       verdict
	}{
		{"bounce", raw, explain.KindBounce, mail.StageFinal, verdict{google, mail.Authentication, "google", mail.Permanent}},
		{"log line", line, explain.KindLog, mail.StageMail, verdict{yahoo, mail.Throttling, "yahoo", mail.Temporary}},
		{"log line of a delivery", gone, explain.KindLog, mail.StageFinal, verdict{taken, "", "google", mail.Delivered}},
	} {
		a := x.Answer(c.name, []byte(c.text), false)
		if got := verdicts(a); a.Kind != c.kind || len(got) != 1 || got[0] != c.want {
			t.Errorf("%s: %s %v, want %s %v\n%s", c.name, a.Kind, got, c.kind, c.want, c.text)
			continue
		}
		if s := a.Results[0].Stage; s == nil || *s != c.stage {
			t.Errorf("%s: stage %v, want %s\n%s", c.name, s, c.stage, c.text)
		}
	}
	if a := x.Answer("bounce", []byte(raw), false); len(a.Results) == 1 && a.Results[0].Ours != mail.OursYes {
		t.Errorf("the bounce of our own mail: ours %q", a.Results[0].Ours)
	}
}

func TestLivePostfixIsUnderstood(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	s := street.Try(ctx, t, "mail.bakery.example", outside)
	p, err := mta.StartPostfix(ctx, s.Cell, mta.Setup{Host: "mail.bakery.example", Domain: "bakery.example"})
	if err != nil {
		t.Fatal(err)
	}
	check(ctx, t, s, "log/mail.log", "status=deferred", "status=sent", p.Submit)
}

func TestLiveEximIsUnderstood(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	s := street.Try(ctx, t, "mail.bakery.example", outside)
	x, err := mta.SetUpExim(ctx, s.Cell, mta.Setup{Host: "mail.bakery.example", Domain: "bakery.example"})
	if err != nil {
		t.Fatal(err)
	}
	check(ctx, t, s, "log/exim4/mainlog", " == ", " => ", x.Submit)
}
