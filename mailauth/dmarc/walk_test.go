package dmarc

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/postroad/postroad/dns"
	"github.com/postroad/postroad/mailauth"
)

// TestTargets has the walks of RFC 9989 section 4.10 for each length of name.
func TestTargets(t *testing.T) {
	name := "com"
	for n := 1; n <= 40; n++ {
		got := targets(name)
		if len(got) != min(n, MaxQueries) || got[0] != name || got[len(got)-1] != "com" {
			t.Errorf("%d labels: %q", n, got)
		}
		for i, d := range got[1:] {
			if want := min(n-1, 7) - i; labels(d) != want || !strings.HasSuffix(name, "."+d) {
				t.Errorf("%d labels: %q has %d labels, want %d", n, d, labels(d), want)
			}
		}
		name = "x" + strconv.Itoa(n) + "." + name
	}
}

func TestDiscover(t *testing.T) {
	r := resolve(t, "com. SOA ns.example. h.example. 1 1 1 1 1\n_dmarc.example.com. TXT \"v=DMARC1; p=reject\"\n")
	for _, bad := range []string{"", ".", "a..b", "a b.com", strings.Repeat("a.", 200) + "com", strings.Repeat("a", 64) + ".com"} {
		if _, err := Discover(t.Context(), r, bad); !errors.Is(err, ErrDomain) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	// A name so long that "_dmarc." does not fit before it has no record, and its parents have.
	long := strings.Repeat(strings.Repeat("a", 60)+".", 3) + strings.Repeat("b", 58) + ".example.com"
	if len(long) != 253 {
		t.Fatal(len(long))
	}
	d, err := Discover(t.Context(), r, long)
	if err != nil || d.At != "example.com" || d.Failed || d.Steps[0].Status != dns.Absent {
		t.Errorf("%+v %v", d, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	d, err = Discover(ctx, resolve(t, "com. SOA ns.example. h.example. 1 1 1 1 1\n"), "example.com")
	if err != nil || !d.Failed || d.Record != nil {
		t.Errorf("with a context that is done: %+v %v", d, err)
	}
}

// table is a resolver out of a map: a name that is not in it does not exist, "!"
// is an answer that failed, "-" a name without TXT records.
type table struct {
	texts map[string][]string
	asked int
}

func (f *table) TXT(_ context.Context, name string) dns.Answer[string] {
	f.asked++
	a := dns.Answer[string]{Name: name, Status: dns.Absent}
	texts, ok := f.texts[name]
	switch {
	case !ok:
	case len(texts) == 0 || texts[0] == "-":
		a.Status = dns.Empty
	case texts[0] == "!bogus":
		a.Status, a.Err = dns.Bogus, errors.New("signatures do not fit")
	case texts[0] == "!":
		a.Status, a.Err = dns.Failed, errors.New("SERVFAIL")
	default:
		a.Status, a.Records = dns.Found, texts
	}
	return a
}

func (f *table) A(ctx context.Context, name string) dns.Answer[netip.Addr] {
	t := f.TXT(ctx, name)
	a := dns.Answer[netip.Addr]{Name: name, Status: t.Status, Err: t.Err}
	if a.Status == dns.Found {
		a.Status = dns.Empty
	}
	return a
}

// FuzzEvaluate makes a zone and a message out of bytes: whatever DNS says, the
// verdict keeps to its rules and the questions to their bounds.
func FuzzEvaluate(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8}, "a.b.example.com", "b.example.com", "example.com", uint8(0))
	f.Add([]byte{9, 9, 9, 9}, "a.b.c.d.e.f.g.h.i.j.example.com", "x.example.com", "a.b.c.d.e.f.g.h.i.j.example.com", uint8(7))
	f.Add([]byte{1, 11, 12}, "giant.bank.example", "mail.giant.bank.example", "mail.mega.bank.example", uint8(255))
	choices := [][]string{
		nil, {"-"}, {"!"}, {"!bogus"}, {"v=DMARC1; p=reject"}, {"v=DMARC1; p=none; sp=reject; np=quarantine"},
		{"v=DMARC1; p=reject; psd=y"}, {"v=DMARC1; p=quarantine; psd=n; t=y"}, {"v=DMARC1; p=x"},
		{"v=DMARC1; p=x; rua=mailto:a@example.com"}, {"v=DMARC1; p=none", "v=DMARC1; p=reject"},
		{"v=spf1 -all"}, {"v=DMARC1; p=reject; adkim=s; aspf=s"}, {"v=DMARC1; pct=0; p=reject; np=none"},
	}
	results := []mailauth.Result{mailauth.Pass, mailauth.Fail, mailauth.TempError, mailauth.None}
	f.Fuzz(func(t *testing.T, zone []byte, author, spf, dkim string, bits uint8) {
		r := &table{texts: make(map[string][]string)}
		in := Input{From: []string{author}, SPF: Identifier{Domain: spf, Result: results[bits&3]},
			DKIM:   []Identifier{{Domain: dkim, Result: results[bits>>2&3]}, {Domain: "x." + dkim, Result: results[bits>>4&3]}},
			Sample: int(bits) % 100}
		if bits&0x80 != 0 {
			in.From = append(in.From, spf)
		}
		// Every name that can be asked for gets one of the answers.
		var names []string
		for _, d := range []string{author, spf, dkim, "x." + dkim} {
			if d = normal(d); d != "" {
				names = append(names, d)
				for _, target := range targets(d) {
					names = append(names, "_dmarc."+target)
				}
			}
		}
		for i, name := range names {
			if len(zone) > 0 {
				if texts := choices[int(zone[i%len(zone)])%len(choices)]; texts != nil {
					r.texts[name] = texts
				}
			}
		}
		c := Compare(t.Context(), r, in)
		checkVerdict(t, c.Now)
		checkVerdict(t, c.Older)
		if most := 5*MaxQueries + 8; r.asked > most {
			t.Errorf("%d questions", r.asked)
		}
		r.asked = 0
		if d, err := Discover(t.Context(), r, author); err == nil {
			if r.asked > MaxQueries || len(d.Steps) > MaxQueries {
				t.Errorf("%d questions, %d steps", r.asked, len(d.Steps))
			}
			if v := Evaluate(t.Context(), r, Input{From: []string{author}}); v.Result == mailauth.Pass {
				t.Error("a pass of nothing")
			}
		}
		// The order of signatures does not matter.
		slices.Reverse(in.DKIM)
		if again := Evaluate(t.Context(), r, in); again.Result != c.Now.Result || again.Disposition != c.Now.Disposition {
			t.Errorf("with the signatures the other way round %s %s, not %s %s", again.Result, again.Disposition,
				c.Now.Result, c.Now.Disposition)
		}
	})
}

// TestBounds gives a message more identifiers than anybody needs.
func TestBounds(t *testing.T) {
	r := &table{texts: map[string][]string{"_dmarc.example.com": {"v=DMARC1; p=reject"}}}
	in := Input{From: []string{"example.com"}}
	for i := range 5000 {
		in.DKIM = append(in.DKIM, Identifier{Domain: "d" + strconv.Itoa(i) + ".evil.example", Result: mailauth.Pass})
	}
	v := Evaluate(t.Context(), r, in)
	checkVerdict(t, v)
	if v.Result != mailauth.Fail || r.asked != 2 || !strings.Contains(keys(v.Findings), FindIdentifiers) {
		t.Errorf("%s, %d questions", v.Result, r.asked)
	}
	r.asked = 0
	in.DKIM = nil
	for i := range 50 {
		in.DKIM = append(in.DKIM, Identifier{Domain: "a.b.c.d.e.f.g.d" + strconv.Itoa(i) + ".example.com", Result: mailauth.Pass})
	}
	r.texts["_dmarc.g.d0.example.com"] = []string{"v=DMARC1; p=none; psd=n"}
	if v = Evaluate(t.Context(), r, in); v.Result != mailauth.Pass || r.asked > 2+MaxWalks*MaxQueries {
		t.Errorf("%s, %d questions", v.Result, r.asked)
	}
	checkVerdict(t, v)
}

// TestBogus: what a validating resolver refuses is not known, and no absence.
func TestBogus(t *testing.T) {
	for _, name := range []string{"_dmarc.www.example.com", "_dmarc.example.com", "_dmarc.com"} {
		r := &table{texts: map[string][]string{name: {"!bogus"}}}
		for _, rules := range []Rules{RFC9989, RFC7489} {
			v := Evaluate(t.Context(), r, Input{From: []string{"www.example.com"}, Rules: rules})
			checkVerdict(t, v)
			if want := rules == RFC9989 || name != "_dmarc.com"; (v.Result == mailauth.TempError) != want ||
				want && (v.Findings[0].Key != FindDNS || !strings.HasPrefix(v.Findings[0].Value, "bogus")) {
				t.Errorf("%s, %s: %s %+v", name, rules, v.Result, v.Findings)
			}
		}
	}
}

func BenchmarkEvaluate(b *testing.B) {
	r := &table{texts: map[string][]string{"_dmarc.example.com": {"v=DMARC1; p=reject; rua=mailto:dmarc@example.com"}}}
	in := Input{From: []string{"example.com"}, SPF: Identifier{Domain: "bounce.example.com", Result: mailauth.Pass},
		DKIM: []Identifier{{Domain: "example.com", Result: mailauth.Pass}, {Domain: "esp.example", Result: mailauth.Pass}}}
	b.ReportAllocs()
	for b.Loop() {
		if v := Evaluate(b.Context(), r, in); v.Result != mailauth.Pass {
			b.Fatal(v.Result)
		}
	}
}
