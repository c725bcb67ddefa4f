package spf

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postroad/postroad/dns"
	"github.com/postroad/postroad/mailauth"
)

// flat writes a tree as lines: depth, term, outcome, target, look-ups counted and
// so far, what was asked.
func flat(p *Policy, depth int, to *strings.Builder) {
	for i := range p.Steps {
		s := &p.Steps[i]
		fmt.Fprintf(to, "%s%s %s", strings.Repeat("  ", depth), s.Term.Text, s.Outcome)
		if s.Reason != "" {
			fmt.Fprintf(to, " (%s)", s.Reason)
		}
		if s.Target != "" {
			fmt.Fprintf(to, " target=%s", s.Target)
		}
		if s.Beyond {
			to.WriteString(" beyond")
		}
		if s.Lookups > 0 {
			fmt.Fprintf(to, " used=%d/%d total=%d", s.Lookups, s.Voids, s.Total)
		}
		for _, q := range s.Questions {
			fmt.Fprintf(to, " %s:%s=%s%v", q.Type, q.Name, q.Status, q.Records)
			if q.Void {
				to.WriteString(" void")
			}
		}
		to.WriteByte('\n')
		if s.Policy != nil {
			flat(s.Policy, depth+1, to)
		}
	}
}

func tree(w *Walk) string {
	var b strings.Builder
	flat(w.Root, 0, &b)
	return b.String()
}

const company = `a TXT v=spf1 mx a:none.example include:b.example exists:%{ir}.x.example redirect=c.example exp=why.example
a MX h
h A 192.0.2.9
h A 2001:db8::9
b TXT v=spf1 ip4:192.0.2.1 ptr -all mx
c TXT v=spf1 -all
why TXT sorry, %{i}
1.2.0.192.in-addr.arpa PTR h`

func TestTree(t *testing.T) {
	w := New(Options{Resolver: zoneOf(company)}).Walk(t.Context(),
		Query{IP: netip.MustParseAddr("192.0.2.1"), Helo: "h.example", From: "anna@a.example"})
	want := `mx no-match target=a.example used=1/0 total=1 MX:a.example=found[0 h.example] A:h.example=found[192.0.2.9]
a:none.example no-match target=none.example used=1/1 total=2 A:none.example=absent[] void
include:b.example match target=b.example used=1/0 total=3
  ip4:192.0.2.1 match
  ptr no-match target=b.example beyond used=1/0 total=0 PTR:192.0.2.1=found[h.example] A:h.example=found[192.0.2.9]
  -all match beyond
  mx not-reached
exists:%{ir}.x.example no-match target=1.2.0.192.x.example beyond used=1/0 total=0 A:1.2.0.192.x.example=absent[] void
redirect=c.example match target=c.example beyond used=1/0 total=0
  -all match beyond
exp=why.example not-reached
`
	if got := tree(w); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if w.Lookups != 3 || w.Voids != 1 || w.AllLookups != 6 || w.Result != mailauth.Pass || w.Term != "include:b.example" {
		t.Errorf("%+v", w.Verdict)
	}
	if q := w.Root.Question; q == nil || q.Octets != 12+len("a.example")+2+4+12+len(w.Root.Record.Text)+1 {
		t.Errorf("question %+v", q)
	}
	text, err := json.Marshal(w)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{`"result":"pass"`, `"term":"include:b.example"`, `"outcome":"not-reached"`, `"behind_verdict":true`} {
		if !strings.Contains(string(text), part) {
			t.Errorf("no %s in %s", part, text)
		}
	}
}

func TestExplanationStep(t *testing.T) {
	zone := zoneOf("a TXT v=spf1 -all exp=%{d2}\na.example TXT sorry, %{i}\nb TXT v=spf1 -all exp=why.example\nwhy TXT sorry, %{i}")
	q := Query{IP: netip.MustParseAddr("192.0.2.1"), Helo: "h.example", From: "anna@b.example"}
	w := New(Options{Resolver: zone}).Walk(t.Context(), q)
	want := "-all match\nexp=why.example match target=why.example TXT:why.example=found[sorry, %{i}]\n"
	if got := tree(w); got != want || w.Explanation != "sorry, 192.0.2.1" || w.Root.Steps[1].Text != "sorry, %{i}" {
		t.Errorf("%s%q", got, w.Explanation)
	}
	if v := New(Options{Resolver: zone, Terse: true}).Check(t.Context(), q); v.Result != mailauth.Fail || v.Explanation != "" {
		t.Errorf("terse: %+v", v)
	}
	if v := Check(t.Context(), zone, q); v != w.Verdict {
		t.Errorf("%+v, %+v", v, w.Verdict)
	}
}

func TestSurvey(t *testing.T) {
	w := New(Options{Resolver: zoneOf(company)}).Survey(t.Context(), "a.example")
	want := `mx no-match target=a.example used=1/0 total=1 MX:a.example=found[0 h.example] A:h.example=found[192.0.2.9] AAAA:h.example=found[2001:db8::9]
a:none.example no-match target=none.example used=1/1 total=2 A:none.example=absent[] AAAA:none.example=absent[] void
include:b.example no-match target=b.example used=2/0 total=4
  ip4:192.0.2.1 no-match
  ptr unknown target=b.example used=1/0 total=4
  -all match
  mx not-reached
exists:%{ir}.x.example unknown used=1/0 total=5
redirect=c.example match target=c.example used=1/0 total=6
  -all match
exp=why.example not-reached
`
	if got := tree(w); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if w.Result != mailauth.Fail || w.Record != "c.example" || w.Explanation != "" {
		t.Errorf("%+v", w.Verdict)
	}
	zone := zoneOf("a TXT v=spf1 -all exp=why.example\nwhy TXT not you, %{i}")
	if w := New(Options{Resolver: zone}).Survey(t.Context(), "a.example"); w.Result != mailauth.Fail || w.Explanation != "" {
		t.Errorf("%+v", w.Verdict)
	}
	for _, name := range []string{"", "x", "[192.0.2.1]", strings.Repeat("a", 300), "nothing.example", "a..b"} {
		if w := New(Options{Resolver: memory{}}).Survey(t.Context(), name); w.Result != mailauth.None || len(w.Findings) > 0 {
			t.Errorf("%q: %+v %v", name, w.Verdict, w.Findings)
		}
	}
}

// TestNoAddress is a client without an address: a socket of the same machine.
func TestNoAddress(t *testing.T) {
	zone := zoneOf(company)
	q := Query{Helo: "h.example", From: "anna@a.example"}
	w := New(Options{Resolver: zone}).Walk(t.Context(), q)
	if w.Result != mailauth.None || w.Reason != NoAddress || w.Root != nil {
		t.Errorf("%+v", w)
	}
	if r, err := SecondOpinion(t.Context(), zone, q); r != mailauth.None || err != nil {
		t.Error(r, err)
	}
}

func TestMethod(t *testing.T) {
	zone := zoneOf(company)
	ip := netip.MustParseAddr("192.0.2.1")
	for q, want := range map[Query]mailauth.Property{
		{IP: ip, Helo: "h.example", From: "anna@a.example"}: {Type: "smtp", Name: "mailfrom", Value: "anna@a.example"},
		{IP: ip, Helo: "h.example"}:                         {Type: "smtp", Name: "helo", Value: "h.example"},
	} {
		v := Check(t.Context(), zone, q)
		if m := v.Method(); m.Method != mailauth.SPF || m.Result != v.Result || !slices.Equal(m.Properties, []mailauth.Property{want}) {
			t.Errorf("%+v: %+v", q, m)
		}
	}
}

// never is DNS that does not answer before the context ends, from the n-th
// question on.
type never struct {
	memory
	n int
}

func (s *never) TXT(ctx context.Context, name string) dns.Answer[string] {
	if s.n--; s.n >= 0 {
		return s.memory.TXT(ctx, name)
	}
	<-ctx.Done()
	return dns.Answer[string]{Name: name, Status: dns.Failed, Err: ctx.Err()}
}

func TestTime(t *testing.T) {
	q := Query{IP: netip.MustParseAddr("192.0.2.1"), Helo: "h.example", From: "anna@a.example"}
	for _, answered := range []int{0, 1} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			c := New(Options{Resolver: &never{zoneOf(company), answered}})
			v := c.Check(t.Context(), q)
			if v.Result != mailauth.TempError || v.Reason != OutOfTime || !errors.Is(v.Err, context.DeadlineExceeded) {
				t.Errorf("%+v", v)
			}
			if d := time.Since(start); d != 20*time.Second {
				t.Errorf("after %v", d)
			}
			// the tree does not go on when the time is over
			c = New(Options{Resolver: &never{zoneOf(company), answered}, Timeout: time.Minute})
			w := c.Walk(t.Context(), q)
			if d := time.Since(start); w.Reason != OutOfTime || d != 80*time.Second {
				t.Errorf("%+v after %v", w.Verdict, d)
			}
		})
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			start := time.Now()
			time.AfterFunc(time.Second, cancel)
			v := Check(ctx, &never{zoneOf(company), answered}, q)
			if v.Result != mailauth.TempError || v.Reason != OutOfTime || time.Since(start) != time.Second {
				t.Errorf("%+v", v)
			}
		})
	}
}

func TestBogus(t *testing.T) {
	v := Check(t.Context(), bogus{}, Query{IP: netip.MustParseAddr("192.0.2.1"), From: "anna@a.example"})
	if v.Result != mailauth.TempError || v.Reason != DNSBogus || !errors.Is(v.Err, errSlow) {
		t.Errorf("%+v", v)
	}
}

type bogus struct{ memory }

func (bogus) TXT(_ context.Context, name string) dns.Answer[string] {
	return dns.Answer[string]{Name: name, Status: dns.Bogus, Err: errSlow}
}

// TestLongRecord is the largest record that DNS can have, of the shortest terms.
func TestLongRecord(t *testing.T) {
	for _, term := range []string{" a", " x", " ptr", " ?all", " a:%{l9999r.}.%{s}.%{d}.example", " exists:%{p}.example", " 4=x", " x=%{s}"} {
		text := version + strings.Repeat(term, maxRecord/len(term)-5)
		m := zoneOf("a A 192.0.2.9")
		m.at("a.example").txt = []string{text}
		judge(t, m, Query{IP: netip.MustParseAddr("192.0.2.1"), Helo: "h.example", From: strings.Repeat("l.", 30) + "@a.example"})
	}
	m := zoneOf("a TXT v=spf1 -all exp=why.example")
	m.at("why.example").txt = []string{strings.Repeat("%{s}", 10000)}
	w := New(Options{Resolver: m}).Walk(t.Context(), Query{IP: netip.MustParseAddr("192.0.2.1"), From: "anna@a.example"})
	if w.Result != mailauth.Fail || w.Explanation != "" || !slices.ContainsFunc(w.Findings, func(f Finding) bool { return f.Reason == ExplanationBroken }) {
		t.Errorf("%+v", w.Verdict)
	}
}

// TestManyIncludes is a tree that is far larger than what is walked.
func TestManyIncludes(t *testing.T) {
	m := memory{}
	m.at("a.example").txt = []string{"v=spf1 ip4:192.0.2.1"}
	for i := range 300 {
		m.at("a.example").txt[0] += fmt.Sprintf(" include:i%d.example", i)
		m.at(fmt.Sprintf("i%d.example", i)).txt = []string{"v=spf1 include:a.example include:i1.example ?all"}
	}
	judge(t, m, Query{IP: netip.MustParseAddr("192.0.2.1"), From: "anna@a.example"})
	c := &counted{Resolver: m}
	w := New(Options{Resolver: c}).Walk(t.Context(), Query{IP: netip.MustParseAddr("192.0.2.1"), From: "anna@a.example"})
	if w.Result != mailauth.Pass || c.n > maxWalked+1 || w.AllLookups != maxWalked || !slices.ContainsFunc(w.Findings, func(f Finding) bool { return f.Reason == WalkCut }) {
		t.Errorf("%d questions, %+v", c.n, w.Findings[:5])
	}
}

func TestRecordCache(t *testing.T) {
	c := recordCache{limit: 100_000}
	keep := "v=spf1 ip4:192.0.2.1 -all"
	first := c.get(keep)
	for i := range 5000 {
		text := fmt.Sprintf("v=spf1 a:h%d.example -all", i)
		if r := c.get(text); r.Text != text {
			t.Fatal(r.Text)
		}
		if c.get(keep) != first {
			t.Fatalf("what is in use was thrown away after %d", i)
		}
	}
	if n := len(c.young) + len(c.old); n > 100_000/(3*overhead) || n < 50 {
		t.Errorf("%d records", n)
	}
	long := version + strings.Repeat(" a", maxKept)
	if r := c.get(long); r == c.get(long) {
		t.Error("a long record was kept")
	}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for i := range 500 {
				if text := fmt.Sprintf("v=spf1 a:h%d.example -all", i%50); c.get(text).Text != text {
					t.Error("another record")
				}
			}
		})
	}
	group.Wait()
}

func TestSyntaxErrorNamesTheTerm(t *testing.T) {
	_, err := Parse("v=spf1 a ip4:300.1.1.1 -all")
	var syntax *SyntaxError
	if !errors.As(err, &syntax) || *syntax != (SyntaxError{BadAddress, "ip4:300.1.1.1", 9}) ||
		err.Error() != `read spf record: bad-address in "ip4:300.1.1.1" at 9` {
		t.Error(err)
	}
	if r, err := Parse("spf1 -all"); r != nil || err == nil {
		t.Error(r, err)
	}
}

// TestLengths are the findings about 450 octets, and that a record which is come
// to twice is looked at once.
func TestLengths(t *testing.T) {
	m := zoneOf("a TXT v=spf1 include:b.example include:b.example include:c.example ?all")
	m.at("b.example").txt = []string{"v=spf1" + strings.Repeat(" ip4:198.51.100.1/32", 23) + " -all"}
	m.at("c.example").txt = []string{"v=spf1 -all", strings.Repeat("x", 440)}
	w := New(Options{Resolver: m}).Walk(t.Context(), Query{IP: netip.MustParseAddr("192.0.2.1"), From: "anna@a.example"})
	count := map[Finding]int{}
	for _, f := range w.Findings {
		count[f]++
	}
	for f, want := range map[Finding]int{
		{Reason: LongRecord, Domain: "b.example", Count: 471}:   1,
		{Reason: LongAnswer, Domain: "b.example", Count: 480}:   1,
		{Reason: LongAnswer, Domain: "c.example", Count: 460}:   1,
		{Reason: LongRecord, Domain: "c.example", Count: 11}:    0,
		{Reason: NeutralAll, Domain: "a.example", Term: "?all"}: 1,
	} {
		if count[f] != want {
			t.Errorf("%+v: %d times, want %d, of %v", f, count[f], want, w.Findings)
		}
	}
}
