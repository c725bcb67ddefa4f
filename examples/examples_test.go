// Package examples_test checks that what stands in this folder is answered as
// expected.tsv says, and that Postfix and Exim still write what we understand.
package examples_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/diagnose"
	"github.com/postroad/postroad/examples/mta"
	"github.com/postroad/postroad/explain"
	"github.com/postroad/postroad/lang"
	"github.com/postroad/postroad/mail"
	"github.com/postroad/postroad/provider"
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

// live are a bounce and a log line that each server must write afresh.
const (
	refusal  = "550-5.7.26 Your email has been blocked because the sender is unauthenticated.\n550 5.7.26  https://support.google.com/mail/answer/81126#authentication x1-20020a17si1.1 - gsmtp"
	deferral = "421 4.7.0 [TSS04] Messages from " + mta.Address + " temporarily deferred due to unexpected volume or user complaints - 4.16.55.1; see https://postmaster.yahooinc.com/error-codes"
	message  = "From: <orders@bakery.example>\nTo: <anna@example.com>\nSubject: Your order\nMessage-ID: <1@bakery.example>\n\nIt is ready.\n"
)

// street opens a cell with two receiving hosts: Google's refuses, Yahoo's defers.
func street(ctx context.Context, t *testing.T) *mta.Cell {
	t.Helper()
	deps, err := mta.Find()
	if err != nil {
		t.Skip(err)
	}
	cell, err := mta.Open(ctx, mta.Options{Deps: deps, Host: "mail.bakery.example", Zone: map[string][]string{
		"gmail.com":                  {"MX 5 gmail-smtp-in.l.google.com"},
		"gmail-smtp-in.l.google.com": {"A 192.0.2.27"},
		"yahoo.com":                  {"MX 1 mta5.am0.yahoodns.net"},
		"mta5.am0.yahoodns.net":      {"A 192.0.2.73"},
	}})
	if errors.Is(err, mta.ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cell.Close(); err != nil {
			t.Error(err)
		}
	})
	for addr, r := range map[string]*mta.Receiver{
		"192.0.2.27:25": {Host: "mx.google.com", TLS: true, Extensions: []string{"PIPELINING"}, Script: mta.Script{"final": {Reply: refusal}}},
		"192.0.2.73:25": {Host: "mtaproxy511.free.mail.bf1.yahoo.com", TLS: true, Script: mta.Script{"mail": {Reply: deferral, Cut: true}}},
	} {
		l, err := cell.Listen(addr)
		if err != nil {
			t.Fatal(err)
		}
		go func() { _ = r.Serve(l) }()
	}
	return cell
}

// check sends two mails and judges what the server writes about them.
func check(ctx context.Context, t *testing.T, cell *mta.Cell, log string, deferred string,
	submit func(ctx context.Context, from, to, message string, args ...string) error) {
	t.Helper()
	const (
		from   = "orders@bakery.example"
		google = "anna.example@gmail.com"
		yahoo  = "usuario.ejemplo@yahoo.com"
	)
	for _, to := range []string{google, yahoo} {
		if err := submit(ctx, from, to, message); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := cell.WaitMail(ctx, func(raw string) bool { return strings.Contains(raw, google) })
	if err != nil {
		t.Fatal(err)
	}
	line, err := cell.WaitLine(ctx, log, yahoo, deferred)
	if err != nil {
		t.Fatal(err)
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
	cell := street(ctx, t)
	p, err := mta.StartPostfix(ctx, cell, mta.Setup{Host: "mail.bakery.example", Domain: "bakery.example"})
	if err != nil {
		t.Fatal(err)
	}
	check(ctx, t, cell, "log/mail.log", "status=deferred", p.Submit)
}

func TestLiveEximIsUnderstood(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cell := street(ctx, t)
	x, err := mta.SetUpExim(ctx, cell, mta.Setup{Host: "mail.bakery.example", Domain: "bakery.example"})
	if err != nil {
		t.Fatal(err)
	}
	check(ctx, t, cell, "log/exim4/mainlog", " == ", x.Submit)
}
