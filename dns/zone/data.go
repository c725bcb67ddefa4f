package zone

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/miekg/dns"
)

// Bounds of what one Data holds and remembers.
const (
	MaxText    = 16 << 20 // bytes of text in one call
	MaxRecords = 200_000  // records in all zones together
	maxCounted = 50_000   // different questions that are counted apart
)

// Data is zones and how they are answered for. The zero value is not usable:
// take [Parse]. All methods may be called from any goroutine.
type Data struct {
	mu      sync.Mutex
	sets    map[string]map[uint16][]dns.RR // by name in lower case, then type; RRSIGs under TypeRRSIG
	signing map[string]*signer             // by apex
	faults  map[scope]*Behaviour
	left    map[scope]int // answers that a Behaviour with Times still spoils
	counts  map[Question]int
	other   int    // questions beyond maxCounted
	built   *index // nil after a change
}

// Question is what is counted: a name in lower case without the final dot and a
// type as text ("MX", "TYPE65280").
type Question struct{ Name, Type string }

// Set puts the records of text in the place of all records that have the same
// name and type, and adds the others: changing DNS while it is served. A SOA
// begins a zone. The text is as in [Parse]; on an error nothing is changed.
func (d *Data) Set(text string) error {
	p, err := read(text)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	have := 0
	for name, types := range d.sets {
		for t, set := range types {
			if _, replaced := p.sets[name][t]; !replaced {
				have += len(set)
			}
		}
	}
	if have+p.records > MaxRecords {
		return fmt.Errorf("change the zones: more than %d records", MaxRecords)
	}
	for _, r := range p.removed {
		d.remove(r)
	}
	for name, types := range p.sets {
		if d.sets[name] == nil {
			d.sets[name] = make(map[uint16][]dns.RR)
		}
		maps.Copy(d.sets[name], types)
	}
	for s, b := range p.faults {
		d.behave(s, b)
	}
	d.built = nil
	return nil
}

// Remove takes away the records of the name, of all types if none are given:
// Remove("mx.example", "TLSA").
func (d *Data) Remove(name string, types ...string) {
	name = fold(name)
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(types) == 0 {
		d.remove(removal{name: name})
	}
	for _, t := range types {
		if n, ok := dns.StringToType[strings.ToUpper(t)]; ok {
			d.remove(removal{name, n})
		}
	}
	d.built = nil
}

func (d *Data) remove(r removal) {
	if r.kind != 0 {
		delete(d.sets[r.name], r.kind)
	}
	if r.kind == 0 || len(d.sets[r.name]) == 0 {
		delete(d.sets, r.name)
	}
}

// Zones lists the apexes, without the final dot ("." is the root), sorted.
func (d *Data) Zones() []string {
	var names []string
	for origin := range d.look().zones {
		names = append(names, bare(origin))
	}
	slices.Sort(names)
	return names
}

// Count says how often a question was asked since the beginning; the type "" is
// all types of the name.
func (d *Data) Count(name, rrtype string) int {
	name = bare(fold(name))
	d.mu.Lock()
	defer d.mu.Unlock()
	if rrtype != "" {
		return d.counts[Question{name, strings.ToUpper(rrtype)}]
	}
	n := 0
	for q, c := range d.counts {
		if q.Name == name {
			n += c
		}
	}
	return n
}

// Counts gives all questions and how often each was asked. Beyond 50,000
// different ones they are counted together, under the empty Question.
func (d *Data) Counts() map[Question]int {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := maps.Clone(d.counts)
	if d.other > 0 {
		all[Question{}] = d.other
	}
	return all
}

func (d *Data) count(q dns.Question) {
	k := Question{bare(fold(q.Name)), dns.Type(q.Qtype).String()}
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, known := d.counts[k]; !known && len(d.counts) >= maxCounted {
		d.other++
		return
	}
	d.counts[k]++
}

// look gives the index of the data as it is now. It is never changed, only
// replaced.
func (d *Data) look() *index {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.built == nil {
		d.built = build(d.sets, d.signing)
	}
	return d.built
}

// index is the data arranged for answering.
type index struct{ zones map[string]*zone }

// zone is one zone with all names in it, the empty non-terminals too.
type zone struct {
	origin string
	soa    *dns.SOA
	nodes  map[string]*node
	signed bool
	sorted []string // in the order of RFC 4034 section 6.1: the names that own an NSEC
}

type node struct {
	sets map[uint16][]dns.RR
	sigs map[uint16][]dns.RR // by the type that is covered
	cut  bool                // a delegation, or below one
}

// build arranges the sets. Names outside every zone that has a SOA make a root
// zone of their own, so that a test needs to write only the records that it
// means.
func build(sets map[string]map[uint16][]dns.RR, signing map[string]*signer) *index {
	x := &index{zones: make(map[string]*zone)}
	for name, types := range sets {
		if set := types[dns.TypeSOA]; len(set) > 0 {
			if soa, ok := set[0].(*dns.SOA); ok {
				x.zones[name] = &zone{origin: name, soa: soa, nodes: make(map[string]*node)}
			}
		}
	}
	for name := range sets {
		if x.find(name) == nil {
			soa := &dns.SOA{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: 300},
				Ns: "ns.invalid.", Mbox: "hostmaster.invalid.", Serial: 1, Refresh: 3600, Retry: 600, Expire: 86400, Minttl: 300}
			x.zones["."] = &zone{origin: ".", soa: soa, nodes: make(map[string]*node)}
			x.zones["."].at(".").sets[dns.TypeSOA] = []dns.RR{soa}
			break
		}
	}
	for name, types := range sets {
		z := x.find(name)
		parent := x.above(z.origin)
		n := z.at(name)
		for t, set := range types {
			apex := name == z.origin && parent != nil
			switch {
			case apex && t == dns.TypeDS: // RFC 4035 section 3.1.4.1: of the parent's side
				parent.at(name).sets[t] = set
				continue
			case apex && t == dns.TypeNS:
				parent.at(name).sets[t] = set
			case t == dns.TypeRRSIG:
				n.takeSignatures(set)
				continue
			}
			n.sets[t] = set
		}
	}
	for _, z := range x.zones {
		z.occlude()
	}
	for origin, s := range signing {
		if z := x.zones[origin]; z != nil {
			above := x.above(origin)
			s.publish(z, above, above != nil && signing[above.origin] != nil)
		}
	}
	for origin, z := range x.zones {
		if s := signing[origin]; s != nil {
			s.sign(z)
		}
		z.order()
	}
	return x
}

// at gives the node of a name that is in the zone, and makes it and all above it.
func (z *zone) at(name string) *node {
	n := z.nodes[name]
	if n != nil {
		return n
	}
	n = &node{sets: make(map[uint16][]dns.RR), sigs: make(map[uint16][]dns.RR)}
	z.nodes[name] = n
	if name != z.origin {
		z.at(parentOf(name))
	}
	return n
}

func (n *node) takeSignatures(set []dns.RR) {
	for _, rr := range set {
		if sig, ok := rr.(*dns.RRSIG); ok {
			n.sigs[sig.TypeCovered] = append(n.sigs[sig.TypeCovered], sig)
		}
	}
}

// occlude marks the delegations and what is below them: glue, RFC 4035 section 2.2.
func (z *zone) occlude() {
	for name, n := range z.nodes {
		for at := name; at != z.origin; at = parentOf(at) {
			if len(z.nodes[at].sets[dns.TypeNS]) > 0 {
				n.cut = true
				break
			}
		}
	}
}

// delegation reports whether the name is where another zone begins.
func (z *zone) delegation(name string) bool {
	n := z.nodes[name]
	return n != nil && name != z.origin && len(n.sets[dns.TypeNS]) > 0
}

func (z *zone) order() {
	z.signed = len(z.nodes[z.origin].sigs[dns.TypeSOA]) > 0
	for name, n := range z.nodes {
		if len(n.sets[dns.TypeNSEC]) > 0 {
			z.sorted = append(z.sorted, name)
		}
	}
	slices.SortFunc(z.sorted, canonical)
}

// find gives the zone that holds the name, nil if none does.
func (x *index) find(name string) *zone {
	for at := name; ; at = parentOf(at) {
		if z := x.zones[at]; z != nil {
			return z
		}
		if at == "." {
			return nil
		}
	}
}

// above gives the zone around the zone that begins at origin.
func (x *index) above(origin string) *zone {
	if origin == "." {
		return nil
	}
	return x.find(parentOf(origin))
}

// fold gives a name as the maps have it: lower case, with the final dot.
func fold(name string) string { return strings.ToLower(dns.Fqdn(name)) }

// bare gives a name as people write it.
func bare(name string) string {
	if name == "." {
		return name
	}
	return strings.TrimSuffix(name, ".")
}

// parentOf takes the first label off; the root is its own parent.
func parentOf(name string) string {
	i, end := dns.NextLabel(name, 0)
	if end || i >= len(name) {
		return "."
	}
	return name[i:]
}

// canonical is the order of names of RFC 4034 section 6.1.
func canonical(a, b string) int {
	x, y := dns.SplitDomainName(a), dns.SplitDomainName(b)
	for i := 1; i <= min(len(x), len(y)); i++ {
		if c := cmp.Compare(unescape(x[len(x)-i]), unescape(y[len(y)-i])); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(x), len(y))
}

// unescape gives the octets of a label: "\." and "\032" stand for one each.
func unescape(label string) string {
	if !strings.Contains(label, `\`) {
		return label
	}
	var b []byte
	for i := 0; i < len(label); i++ {
		if label[i] != '\\' || i+1 == len(label) {
			b = append(b, label[i])
			continue
		}
		if i+3 < len(label) && digits(label[i+1:i+4]) {
			b = append(b, (label[i+1]-'0')*100+(label[i+2]-'0')*10+label[i+3]-'0')
			i += 3
			continue
		}
		i++
		b = append(b, label[i])
	}
	return string(b)
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}
