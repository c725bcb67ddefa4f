package main

import (
	"context"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pelletier/go-toml/v2"

	"github.com/postroad/postroad/dns"
	"github.com/postroad/postroad/world"
)

// outside starts a scenario in memory and asks its DNS.
func outside(t *testing.T, s *world.Scenario, err error) (*world.World, *dns.Resolver) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	w, err := world.Start(t.Context(), s, world.Options{Mode: world.Memory})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	r, err := dns.New(w.Resolver())
	if err != nil {
		t.Fatal(err)
	}
	return w, r
}

// exchange gives the first address that mail for a domain goes to.
func exchange(ctx context.Context, r *dns.Resolver, domain string) (netip.Addr, dns.Status) {
	mx := r.MX(ctx, domain)
	if len(mx.Records) == 0 || mx.Records[0].Host == "" || mx.Records[0].Host == "." {
		return netip.Addr{}, mx.Status
	}
	a := r.A(ctx, mx.Records[0].Host)
	if len(a.Records) == 0 {
		return netip.Addr{}, a.Status
	}
	return a.Records[0], a.Status
}

// TestCasesHaveReceivers: the mail of each case goes somewhere, and that of three domains nowhere, each
// for a reason of its own; and no receiver waits for nothing.
func TestCasesHaveReceivers(t *testing.T) {
	nowhere := map[string]dns.Status{"no-such-domain.example": dns.Absent, "broken.example": dns.Failed, "nomail.example": dns.Found}
	unmet := make(map[string]bool)
	for i, r := range rounds() {
		s, err := hosts(&r)
		w, resolver := outside(t, s, err)
		places := make(map[netip.Addr]world.Place)
		for _, p := range w.Places() {
			places[p.Address.Addr()] = p
			if p.Kind == "smtp" && i == 0 {
				unmet[p.Provider] = true
			}
		}
		for _, c := range r.cases {
			_, domain, _ := strings.Cut(c.to, "@")
			to, status := exchange(t.Context(), resolver, domain)
			p, known := places[to]
			delete(unmet, p.Provider)
			switch want, none := nowhere[domain]; {
			case none && (to.IsValid() || status != want):
				t.Errorf("%s: %s leads to %s (%s), want %s", c.name, domain, to, status, want)
			case none, to.String()+":25" == deaf:
			case !known || !slices.Contains(p.Domains, domain):
				t.Errorf("%s: nobody takes mail for %s at %s", c.name, domain, to)
			}
		}
	}
	if len(unmet) > 0 {
		t.Errorf("no case is for %v", unmet)
	}
}

// TestWeekIsTheScenario holds week.toml against the week that lies in the repository and against who is
// written to in it.
func TestWeekIsTheScenario(t *testing.T) {
	what, err := readPlanted()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../week/truth.toml")
	if err != nil {
		t.Fatal(err)
	}
	var truth struct {
		Planted struct {
			Provider, Stage string
			Begin, End      time.Time
			Addresses       []netip.Addr
		}
		Taken map[netip.Addr]int
	}
	if err := toml.Unmarshal(text, &truth); err != nil {
		t.Fatal(err)
	}
	p := truth.Planted
	if p.Provider != what.provider || p.Stage != string(what.at) || !p.Begin.Equal(what.begin) || !p.End.Equal(what.end) || !slices.Equal(p.Addresses, what.addresses) {
		t.Errorf("planted is %+v, in the week %+v", what, p)
	}
	s, err := scenario(weekScenario, bakery, clients()...)
	w, resolver := outside(t, s, err)
	addresses := make(map[netip.Addr]bool)
	for _, p := range w.Places() {
		if p.Kind == "smtp" {
			addresses[p.Address.Addr()] = true
		}
	}
	for a := range truth.Taken {
		if !addresses[a] {
			t.Errorf("%s has taken mail in the week, and is nobody's", a)
		}
	}
	for _, d := range domains {
		if to, status := exchange(t.Context(), resolver, d.name); !addresses[to] {
			t.Errorf("mail for %s goes to %s (%s)", d.name, to, status)
		}
	}
	for _, c := range append(clients(), client{bakery.host, us}) {
		if name := resolver.PTR(t.Context(), netip.MustParseAddr(c.ip)); len(name.Records) != 1 || name.Records[0] != c.name {
			t.Errorf("%s is called %v", c.ip, name.Records)
		}
	}
}
