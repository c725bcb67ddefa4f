package zone

import (
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// maxAliases is how many CNAMEs are followed for one answer; whoever asks goes on.
const maxAliases = 16

// answering is one honest answer in the making.
type answering struct {
	x    *index
	m    *dns.Msg
	kind uint16
	do   bool
}

// answer fills m with what the zones say (RFC 1034 section 4.3.2).
func (x *index) answer(m *dns.Msg, q dns.Question, do bool) {
	a := &answering{x: x, m: m, kind: q.Qtype, do: do}
	name := fold(q.Name)
	var seen []string
	for len(seen) <= maxAliases {
		if slices.Contains(seen, name) {
			return // a circle of aliases: whoever asks finds out
		}
		seen = append(seen, name)
		next, more := a.step(name, len(seen) == 1)
		if !more {
			return
		}
		name = next
	}
}

// step answers for one name, and gives the name that it is an alias of.
func (a *answering) step(name string, first bool) (next string, more bool) {
	z := a.x.find(name)
	if z != nil && a.kind == dns.TypeDS && name == z.origin {
		if above := a.x.above(z.origin); above != nil {
			z = above
		}
	}
	if z == nil {
		if first {
			a.m.Rcode = dns.RcodeRefused
		}
		return "", false
	}
	if cut := z.cutAbove(name, a.kind); cut != "" {
		if first {
			a.refer(z, cut)
		}
		return "", false
	}
	a.m.Authoritative = true
	n, owner, encloser := z.nodes[name], "", name
	if n == nil {
		for z.nodes[encloser] == nil {
			encloser = parentOf(encloser)
		}
		if target, ok := a.redirect(z, name, encloser); ok {
			return target, target != ""
		}
		owner = name
		if n = z.nodes[below("*", encloser)]; n == nil {
			a.m.Rcode = dns.RcodeNameError
			a.deny(z)
			a.cover(z, name)
			a.cover(z, below("*", encloser))
			return "", false
		}
		// RFC 4035 section 3.1.3.3 and 3.1.3.4: the name itself is not there.
		defer a.cover(z, name)
	}
	if alias := n.sets[dns.TypeCNAME]; len(alias) > 0 && a.kind != dns.TypeCNAME && a.kind != dns.TypeANY && a.kind != dns.TypeNSEC {
		a.take(&a.m.Answer, n, dns.TypeCNAME, owner)
		if c, ok := alias[0].(*dns.CNAME); ok {
			return fold(c.Target), true
		}
		return "", false
	}
	if !a.found(n, owner) {
		a.deny(z)
		a.nothing(z, name, owner, encloser)
	}
	return "", false
}

// found puts the records asked for into the answer.
func (a *answering) found(n *node, owner string) bool {
	switch a.kind {
	case dns.TypeANY:
		for _, t := range kinds(n.sets) {
			a.take(&a.m.Answer, n, t, owner)
		}
	case dns.TypeRRSIG:
		for _, t := range kinds(n.sigs) {
			a.m.Answer = append(a.m.Answer, owned(n.sigs[t], owner)...)
		}
	default:
		a.take(&a.m.Answer, n, a.kind, owner)
	}
	return len(a.m.Answer) > 0 && (a.kind == dns.TypeANY || a.kind == dns.TypeRRSIG || len(n.sets[a.kind]) > 0)
}

func kinds(m map[uint16][]dns.RR) []uint16 {
	var all []uint16
	for t := range m {
		all = append(all, t)
	}
	slices.Sort(all)
	return all
}

// redirect follows a DNAME at or above the closest encloser (RFC 6672 section 3.2).
func (a *answering) redirect(z *zone, name, encloser string) (target string, ok bool) {
	for at := encloser; ; at = parentOf(at) {
		if set := z.nodes[at].sets[dns.TypeDNAME]; len(set) > 0 {
			d, isDNAME := set[0].(*dns.DNAME)
			if !isDNAME {
				return "", true
			}
			a.take(&a.m.Answer, z.nodes[at], dns.TypeDNAME, "")
			target = name // of a DNAME at the root
			if at != "." {
				target = strings.TrimSuffix(name, at)
			}
			target += strings.TrimPrefix(fold(d.Target), ".")
			if _, valid := dns.IsDomainName(target); !valid {
				a.m.Rcode = dns.RcodeYXDomain
				return "", true
			}
			a.m.Answer = append(a.m.Answer, &dns.CNAME{Target: target,
				Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeCNAME, Class: dns.ClassINET, Ttl: d.Hdr.Ttl}})
			return target, true
		}
		if at == z.origin {
			return "", false
		}
	}
}

// cutAbove gives the topmost delegation that the name belongs to, "" if the
// zone itself answers for it.
func (z *zone) cutAbove(name string, kind uint16) (cut string) {
	for at := name; at != z.origin; at = parentOf(at) {
		if z.delegation(at) && (kind != dns.TypeDS || at != name) {
			cut = at
		}
	}
	return cut
}

// refer names the servers of the zone below (RFC 1034 section 4.3.2, 3b), with
// the proof of RFC 4035 section 3.1.4.
func (a *answering) refer(z *zone, cut string) {
	n := z.nodes[cut]
	a.m.Ns = append(a.m.Ns, n.sets[dns.TypeNS]...)
	if len(n.sets[dns.TypeDS]) > 0 && a.do {
		a.take(&a.m.Ns, n, dns.TypeDS, "")
	} else {
		a.prove(n)
	}
	for _, rr := range n.sets[dns.TypeNS] {
		ns, ok := rr.(*dns.NS)
		if !ok {
			continue
		}
		if glue := z.nodes[fold(ns.Ns)]; glue != nil {
			a.m.Extra = append(a.m.Extra, glue.sets[dns.TypeA]...)
			a.m.Extra = append(a.m.Extra, glue.sets[dns.TypeAAAA]...)
		}
	}
}

// deny adds the SOA with the time for which the absence counts (RFC 2308 section 3).
func (a *answering) deny(z *zone) {
	at := len(a.m.Ns)
	a.take(&a.m.Ns, z.nodes[z.origin], dns.TypeSOA, "")
	ttl := min(z.soa.Hdr.Ttl, z.soa.Minttl)
	for i := at; i < len(a.m.Ns); i++ {
		a.m.Ns[i] = dns.Copy(a.m.Ns[i])
		a.m.Ns[i].Header().Ttl = ttl
	}
}

// nothing proves that the name has no record of the type (RFC 4035 sections
// 3.1.3.1 and 3.1.3.4).
func (a *answering) nothing(z *zone, name, owner, encloser string) {
	if owner != "" {
		name = below("*", encloser)
	}
	if n := z.nodes[name]; len(n.sets[dns.TypeNSEC]) > 0 {
		a.prove(n)
		return
	}
	a.cover(z, name) // an empty non-terminal owns no NSEC
}

// cover adds the NSEC that says that the name is not there.
func (a *answering) cover(z *zone, name string) {
	if !a.do || len(z.sorted) == 0 {
		return
	}
	i, found := slices.BinarySearchFunc(z.sorted, name, canonical)
	if !found {
		i = (i + len(z.sorted) - 1) % len(z.sorted)
	}
	a.prove(z.nodes[z.sorted[i]])
}

func (a *answering) prove(n *node) {
	if !a.do || len(n.sets[dns.TypeNSEC]) == 0 || slices.Contains(a.m.Ns, n.sets[dns.TypeNSEC][0]) {
		return
	}
	a.take(&a.m.Ns, n, dns.TypeNSEC, "")
}

// take adds a set and, if asked for, its signatures to a section, under another
// owner where a wildcard stands for it.
func (a *answering) take(section *[]dns.RR, n *node, kind uint16, owner string) {
	*section = append(*section, owned(n.sets[kind], owner)...)
	if a.do {
		*section = append(*section, owned(n.sigs[kind], owner)...)
	}
}

func owned(set []dns.RR, owner string) []dns.RR {
	if owner == "" {
		return set
	}
	all := make([]dns.RR, len(set))
	for i, rr := range set {
		all[i] = dns.Copy(rr)
		all[i].Header().Name = owner
	}
	return all
}

func below(label, name string) string {
	if name == "." {
		return label + "."
	}
	return label + "." + name
}
