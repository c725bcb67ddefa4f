package tlspolicy

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/postroad/postroad/dns"
)

// zone is a resolver that knows what a case wrote down:
//
//	TYPE NAME SECURITY STATUS
//	TYPE NAME SECURITY [>CANONICAL] RECORD
//
// "a mx.example.com secure 192.0.2.1", "tlsa _25._tcp.mx.example.com insecure
// absent", "txt example.com - v=spf1". What is not written down is an error
// of the test when it is asked, save AAAA, which is Empty and as secure as A.
type zone struct {
	t       testing.TB
	mu      sync.Mutex
	answers map[string][]string // "a mx.example.com": the rests of its lines
	asked   []string
	pki     pki
}

func newZone(t testing.TB, lines ...string) *zone {
	z := &zone{t: t, answers: map[string][]string{}, pki: certificates()}
	for _, line := range lines {
		z.add(line)
	}
	return z
}

func (z *zone) add(line string) {
	words := strings.SplitN(line, " ", 3)
	if len(words) != 3 {
		z.t.Fatalf("not TYPE NAME ANSWER: %q", line)
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	key := words[0] + " " + words[1]
	z.answers[key] = append(z.answers[key], words[2])
}

// set replaces an answer.
func (z *zone) set(line string) {
	words := strings.SplitN(line, " ", 3)
	z.mu.Lock()
	delete(z.answers, words[0]+" "+words[1])
	z.mu.Unlock()
	z.add(line)
}

var statuses = map[string]dns.Status{"empty": dns.Empty, "absent": dns.Absent, "failed": dns.Failed, "bogus": dns.Bogus}

func answerOf[T any](z *zone, kind, name string, read func(string) T) dns.Answer[T] {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.asked = append(z.asked, kind+":"+name)
	a := dns.Answer[T]{Name: name, Canonical: name, Status: dns.Found, Server: "192.0.2.53:53"}
	lines, ok := z.answers[kind+" "+name]
	if !ok && kind == "aaaa" {
		a.Status = dns.Empty
		for _, line := range z.answers["a "+name] {
			a.Security = securities[strings.Fields(line)[0]]
		}
		return a
	}
	if !ok && kind == "txt" {
		a.Status = dns.Absent
		return a
	}
	if !ok {
		z.t.Errorf("asked for %s %s, which the case does not expect", kind, name)
	}
	for _, line := range lines {
		security, rest, _ := strings.Cut(line, " ")
		a.Security = securities[security]
		if canonical, ok := strings.CutPrefix(rest, ">"); ok {
			a.Canonical, rest, _ = strings.Cut(canonical, " ")
		}
		if status, ok := statuses[rest]; ok {
			if a.Status = status; !status.Known() {
				a.Err = errors.New(rest)
			}
			return a
		}
		a.Records = append(a.Records, read(rest))
	}
	return a
}

var securities = map[string]dns.Security{"secure": dns.Secure, "insecure": dns.Insecure, "-": dns.Unavailable}

func same(s string) string { return s }

func (z *zone) TXT(_ context.Context, name string) dns.Answer[string] {
	return answerOf(z, "txt", name, same)
}

func (z *zone) A(_ context.Context, name string) dns.Answer[netip.Addr] {
	return answerOf(z, "a", name, netip.MustParseAddr)
}

func (z *zone) AAAA(_ context.Context, name string) dns.Answer[netip.Addr] {
	return answerOf(z, "aaaa", name, netip.MustParseAddr)
}

func (z *zone) CNAME(_ context.Context, name string) dns.Answer[string] {
	return answerOf(z, "cname", name, same)
}

func (z *zone) TLSA(_ context.Context, name string) dns.Answer[dns.TLSA] {
	return answerOf(z, "tlsa", name, func(s string) dns.TLSA { return z.pki.tlsa(z.t, s) })
}

// MX is for the cases: Hosts takes the answer.
func (z *zone) MX(name string) dns.Answer[dns.MX] {
	return answerOf(z, "mx", name, func(s string) dns.MX {
		return dns.MX{Preference: 10, Host: strings.TrimSuffix(s, ".")}
	})
}

func (z *zone) questions() []string {
	z.mu.Lock()
	defer z.mu.Unlock()
	return slices.Clone(z.asked)
}
