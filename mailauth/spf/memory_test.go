package spf

import (
	"context"
	"errors"
	"net/netip"
	"strings"

	"github.com/postroad/postroad/dns"
)

// memory is DNS as plain data: what a name has. A name with slow set times out
// for every type that it has no records of.
type memory map[string]*entry

type entry struct {
	txt   []string
	addrs []netip.Addr
	mx    []dns.MX
	ptr   []string
	cname string
	slow  bool
}

var errSlow = errors.New("no answer in time")

func (m memory) at(name string) *entry {
	name = strings.ToLower(name)
	e := m[name]
	if e == nil {
		e = &entry{}
		m[name] = e
	}
	return e
}

// find follows aliases and gives what the name has; ok is false for a loop.
func (m memory) find(name string) (e *entry, canonical string, ok bool) {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	for range 8 {
		e = m[name]
		if e == nil || e.cname == "" {
			return e, name, true
		}
		name = strings.ToLower(strings.TrimSuffix(e.cname, "."))
	}
	return nil, name, false
}

func answer[T any](m memory, name string, get func(*entry) []T) dns.Answer[T] {
	e, canonical, ok := m.find(name)
	a := dns.Answer[T]{Name: name, Canonical: canonical}
	switch {
	case !ok:
		a.Status, a.Err = dns.Failed, errSlow
	case e == nil:
		a.Status = dns.Absent
	default:
		a.Records = get(e)
		switch {
		case len(a.Records) > 0:
			a.Status = dns.Found
		case e.slow:
			a.Status, a.Err = dns.Failed, errSlow
		default:
			a.Status = dns.Empty
		}
	}
	return a
}

func (m memory) TXT(_ context.Context, name string) dns.Answer[string] {
	return answer(m, name, func(e *entry) []string { return e.txt })
}

func (m memory) A(_ context.Context, name string) dns.Answer[netip.Addr] {
	return answer(m, name, func(e *entry) []netip.Addr { return family(e.addrs, netip.Addr.Is4) })
}

func (m memory) AAAA(_ context.Context, name string) dns.Answer[netip.Addr] {
	return answer(m, name, func(e *entry) []netip.Addr { return family(e.addrs, netip.Addr.Is6) })
}

func (m memory) MX(_ context.Context, name string) dns.Answer[dns.MX] {
	return answer(m, name, func(e *entry) []dns.MX { return e.mx })
}

func (m memory) PTR(_ context.Context, ip netip.Addr) dns.Answer[string] {
	return answer(m, reverseName(ip), func(e *entry) []string { return e.ptr })
}

func family(all []netip.Addr, is func(netip.Addr) bool) (some []netip.Addr) {
	for _, a := range all {
		if is(a) {
			some = append(some, a)
		}
	}
	return some
}

func reverseName(ip netip.Addr) string {
	labels := strings.Split(dotted(ip), ".")
	for i, j := 0, len(labels)-1; i < j; i, j = i+1, j-1 {
		labels[i], labels[j] = labels[j], labels[i]
	}
	name := strings.ToLower(strings.Join(labels, "."))
	if ip.Is4() {
		return name + ".in-addr.arpa"
	}
	return name + ".ip6.arpa"
}
