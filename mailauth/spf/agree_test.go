package spf

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/postroad/postroad/dns"
	"github.com/postroad/postroad/mailauth"
)

// counted counts the questions to another resolver.
type counted struct {
	Resolver
	n int
}

func (c *counted) TXT(ctx context.Context, name string) dns.Answer[string] {
	c.n++
	return c.Resolver.TXT(ctx, name)
}

func (c *counted) A(ctx context.Context, name string) dns.Answer[netip.Addr] {
	c.n++
	return c.Resolver.A(ctx, name)
}

func (c *counted) AAAA(ctx context.Context, name string) dns.Answer[netip.Addr] {
	c.n++
	return c.Resolver.AAAA(ctx, name)
}

func (c *counted) MX(ctx context.Context, name string) dns.Answer[dns.MX] {
	c.n++
	return c.Resolver.MX(ctx, name)
}

func (c *counted) PTR(ctx context.Context, ip netip.Addr) dns.Answer[string] {
	c.n++
	return c.Resolver.PTR(ctx, ip)
}

// The most questions that one check may cost: eleven records, ten terms with ten
// hosts each, the names of the client, an explanation.
const maxQuestions = 11 + maxLookups*(1+maxMX) + 1 + maxPTR + 1

// fatal is what a test ends with, of the testing package or of rapid.
type fatal interface {
	Fatalf(format string, args ...any)
}

// judge runs check, walk and library on one zone and holds them together. The
// library is left out where agreeable says that the two may differ.
func judge(t fatal, m memory, q Query) {
	ctx := context.Background()
	c := &counted{Resolver: m}
	v := New(Options{Resolver: c}).Check(ctx, q)
	asked := c.n
	w := New(Options{Resolver: c}).Walk(ctx, q)
	walked := c.n - asked

	v.Err, w.Err = nil, nil
	if v != w.Verdict {
		t.Fatalf("check %+v\n walk %+v", v, w.Verdict)
	}
	if !slices.Contains([]mailauth.Result{"none", "neutral", "pass", "fail", "softfail", "temperror", "permerror"}, v.Result) {
		t.Fatalf("result %q", v.Result)
	}
	if v.Reason == "" || v.Lookups > maxLookups || v.Voids > maxVoids+1 || asked > maxQuestions {
		t.Fatalf("%d questions for %+v", asked, v)
	}
	if walked > maxWalked*(1+maxMX)+maxQuestions || len(w.Findings) > maxFindings {
		t.Fatalf("%d questions and %d findings for the tree", walked, len(w.Findings))
	}
	sum(t, w)
	if !agreeable(w.Root) || !plainQuery(q) {
		return
	}
	second, err := SecondOpinion(ctx, m, q)
	if second != v.Result {
		t.Fatalf("library %s (%v), ours %+v", second, err, v)
	}
}

// sum holds the look-ups of the steps together with those of the verdict.
func sum(t fatal, w *Walk) {
	if w.Root == nil {
		return
	}
	lookups, voids := 0, 0
	for i := range w.Root.Steps {
		if s := &w.Root.Steps[i]; !s.Beyond {
			lookups += int(s.Lookups)
			voids += int(s.Voids)
		}
	}
	if lookups != w.Lookups || voids != w.Voids || w.AllLookups < w.Lookups {
		t.Fatalf("the steps count %d look-ups and %d void ones, the verdict %d and %d, the tree %d",
			lookups, voids, w.Lookups, w.Voids, w.AllLookups)
	}
}

// agreeable reports whether library and walker must agree on a tree: it has
// nothing of what docs/decisions/0010 lists.
func agreeable(p *Policy) bool {
	if p == nil {
		return true
	}
	if len(p.Texts) == 1 && (p.Record == nil || p.Record.err != nil) {
		return false
	}
	if p.Record == nil {
		return true
	}
	for i := range p.Record.Terms {
		t := &p.Record.Terms[i]
		if t.Kind == IP6 && t.Prefix.Addr().Is4In6() || strings.Contains(t.Domain.text, "/") || t.Domain.uses("p") {
			return false
		}
		for _, part := range t.Domain.parts {
			if part.escape || part.keep > 1000 {
				return false
			}
		}
	}
	for i := range p.Steps {
		s := &p.Steps[i]
		failed := false
		for _, question := range s.Questions {
			failed = failed || !question.Status.Known()
		}
		if s.Term.Kind == MX && failed || !isName(s.Target) && s.Target != "" || !agreeable(s.Policy) {
			return false
		}
		for _, part := range s.Term.Domain.parts {
			// empty parts of a value
			if part.letter != 0 && strings.Contains("."+s.Target+".", "..") {
				return false
			}
		}
	}
	return true
}

// plainQuery reports whether the names of a query are such that the library takes
// them as we do.
func plainQuery(q Query) bool {
	for _, s := range []string{q.From, q.Helo} {
		for i := range len(s) {
			if c := lower(s[i]); (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '.' && c != '@' {
				return false
			}
		}
		if strings.Contains("."+s+".", "..") || strings.Count(s, "@") > 1 || len(s) > 60 || s == "" {
			return false
		}
	}
	return q.IP.Unmap().Is4() && strings.Contains(q.From, "@") && q.From[0] != '@'
}

// TestAgreement makes zones at random, of right records only, and holds check,
// walk and the library together.
func TestAgreement(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := memory{}
		domains := []string{"a.example", "b.example", "c.example", "d.example", "e.example"}
		hosts := []string{"h1.a.example", "h2.b.example", "h3.example", "h4.example"}
		networks := []string{"192.0.2.1", "192.0.2.9", "198.51.100.7", "203.0.113.200"}
		for _, h := range hosts {
			for range rapid.IntRange(0, 3).Draw(t, "addresses") {
				e := m.at(h)
				e.addrs = append(e.addrs, netip.MustParseAddr(rapid.SampledFrom(networks).Draw(t, "address")))
			}
		}
		for _, n := range networks {
			for range rapid.IntRange(0, 3).Draw(t, "names") {
				e := m.at(reverseName(netip.MustParseAddr(n)))
				e.ptr = append(e.ptr, rapid.SampledFrom(append(hosts, "nobody.example")).Draw(t, "name"))
			}
		}
		for _, d := range domains {
			e := m.at(d)
			e.slow = rapid.IntRange(0, 15).Draw(t, "slow") == 0
			switch rapid.IntRange(0, 12).Draw(t, "records") {
			case 0:
			case 1:
				e.txt = []string{record(t, domains, hosts, networks), record(t, domains, hosts, networks)}
			default:
				e.txt = []string{"site=x", record(t, domains, hosts, networks)}
			}
			for range rapid.IntRange(0, 4).Draw(t, "mx") {
				e.mx = append(e.mx, dns.MX{Host: rapid.SampledFrom(hosts).Draw(t, "host")})
			}
			if rapid.IntRange(0, 30).Draw(t, "many") == 0 {
				e.mx = slices.Repeat([]dns.MX{{Host: hosts[0]}}, 11)
			}
			if rapid.Bool().Draw(t, "addressed") {
				e.addrs = append(e.addrs, netip.MustParseAddr(rapid.SampledFrom(networks).Draw(t, "address")))
			}
		}
		judge(t, m, Query{
			IP:   netip.MustParseAddr(rapid.SampledFrom(append(networks, "192.0.2.77")).Draw(t, "ip")),
			Helo: rapid.SampledFrom(append(hosts, "h9.example", "host")).Draw(t, "helo"),
			From: rapid.SampledFrom([]string{"x", "anna-b", "x.y"}).Draw(t, "local") + "@" + rapid.SampledFrom(domains).Draw(t, "domain"),
		})
	})
}

// record draws a record that is right.
func record(t *rapid.T, domains, hosts, networks []string) string {
	name := func() string {
		switch rapid.IntRange(0, 11).Draw(t, "target") {
		case 0:
			return "nothing.example"
		case 1:
			return "%{d}"
		case 2:
			return "%{ir}.%{v}.arpa"
		case 3:
			return "%{l1r-}.%{d2}"
		case 4:
			return "h1.%{o}"
		case 5:
			return "%{h}"
		case 6, 7, 8:
			return rapid.SampledFrom(hosts).Draw(t, "host")
		}
		return rapid.SampledFrom(domains).Draw(t, "domain")
	}
	bits := func() string {
		return rapid.SampledFrom([]string{"", "", "", "/24", "/32", "/0", "//64", "/28//64"}).Draw(t, "bits")
	}
	words := []string{rapid.SampledFrom([]string{"v=spf1", "V=SPF1"}).Draw(t, "version")}
	for range rapid.IntRange(0, 6).Draw(t, "terms") {
		q := rapid.SampledFrom([]string{"", "", "+", "-", "~", "?"}).Draw(t, "qualifier")
		switch rapid.IntRange(0, 9).Draw(t, "term") {
		case 0:
			words = append(words, q+"a:"+name()+bits())
		case 1:
			words = append(words, q+"A"+bits())
		case 2:
			words = append(words, q+"mx"+bits())
		case 3:
			words = append(words, q+"mx:"+rapid.SampledFrom(domains).Draw(t, "domain")+bits())
		case 4, 5:
			words = append(words, q+"include:"+rapid.SampledFrom(domains).Draw(t, "domain"))
		case 6:
			words = append(words, q+"exists:"+name())
		case 7:
			words = append(words, q+"ip4:"+rapid.SampledFrom(networks).Draw(t, "network")+
				rapid.SampledFrom([]string{"", "/28", "/8"}).Draw(t, "length"))
		case 8:
			words = append(words, q+rapid.SampledFrom([]string{"ptr", "ptr:example", "PTR:a.example"}).Draw(t, "ptr"))
			if words[len(words)-1] == q+"ptr:example" {
				words[len(words)-1] = q + "ip6:2001:db8::/32"
			}
		case 9:
			words = append(words, fmt.Sprintf("x-%d=%%{d}", len(words)))
		}
	}
	if rapid.IntRange(0, 3).Draw(t, "redirect") == 0 {
		words = append(words, "redirect="+name())
	}
	if rapid.Bool().Draw(t, "all") {
		words = append(words, rapid.SampledFrom([]string{"-all", "~ALL", "?all", "all"}).Draw(t, "all"))
	}
	return strings.Join(words, rapid.SampledFrom([]string{" ", "  "}).Draw(t, "space"))
}

// TestNamesCanBeAsked holds that the resolver takes every name that we would ask
// for: one that it refuses would be a temperror and not a name that does not
// exist. What it reads out of it is what we meant.
func TestNamesCanBeAsked(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		octet := rapid.SampledFrom([]byte("..aA09-_\\\\\" %@/:;()~"))
		name := string(rapid.SliceOfN(octet, 0, 270).Draw(t, "name"))
		if rapid.Bool().Draw(t, "long") {
			name = strings.Repeat(name, 3)
		}
		got, err := dns.ParseName(presented(name))
		if !isName(name) {
			return
		}
		if err != nil {
			t.Fatalf("%q: %v", name, err)
		}
		want := strings.ReplaceAll(strings.ToLower(presented(name)), " ", `\032`)
		if got != want {
			t.Fatalf("%q is asked for as %q", name, got)
		}
	})
}
