package zone

import (
	"errors"
	"fmt"
	"strings"

	"github.com/miekg/dns"
)

// parsed is what a text says.
type parsed struct {
	sets    map[string]map[uint16][]dns.RR
	faults  map[scope]*Behaviour
	removed []removal
	records int
	seen    map[string]bool
}

// removal takes the records of a name away, of all types if kind is 0.
type removal struct {
	name string
	kind uint16
}

// Parse reads zones in the form of master files: records, $ORIGIN, $TTL and
// $GENERATE; $INCLUDE is refused. A SOA begins a zone, so that one text may hold
// several; names that are in none make a root zone of their own. Without $TTL a
// record lives as long as the one before it, the first 300 seconds, and without $ORIGIN names are below the root.
//
// A line that begins with $ANSWER says how a name is answered for:
//
//	$ANSWER mx.example. TLSA servfail
//	$ANSWER slow.example. delay=2s tc
//	$ANSWER *.lame.example. refused times=2
//	$ANSWER * udp drop
//
// that is: the name (as in records, relative to $ORIGIN; "*." before it means all
// names below it; "*" alone means everything), a type, udp or tcp, and the words
// of [ParseBehaviour]. Of the lines that fit a question the narrowest counts.
//
// A line that begins with $REMOVE and has a name, perhaps with types, takes
// records away before those of the text are put in their place; it is for
// [Data.Set], where both happen at once.
//
// Errors name the line. Text beyond [MaxText] and records beyond [MaxRecords]
// are an error.
func Parse(text string) (*Data, error) {
	p, err := read(text)
	if err != nil {
		return nil, err
	}
	d := &Data{sets: p.sets, signing: make(map[string]*signer), faults: make(map[scope]*Behaviour),
		left: make(map[scope]int), counts: make(map[Question]int)}
	for s, b := range p.faults {
		d.behave(s, b)
	}
	return d, nil
}

func read(text string) (*parsed, error) {
	if len(text) > MaxText {
		return nil, fmt.Errorf("parse zone: %d bytes are more than %d", len(text), MaxText)
	}
	p := &parsed{sets: make(map[string]map[uint16][]dns.RR), faults: make(map[scope]*Behaviour),
		seen: make(map[string]bool)}
	text, err := p.directives(text)
	if err != nil {
		return nil, err
	}
	zp := dns.NewZoneParser(strings.NewReader(text), ".", "")
	zp.SetDefaultTTL(300)
	for rr, ok := zp.Next(); ok; rr, ok = zp.Next() {
		if p.records++; p.records > MaxRecords {
			return nil, fmt.Errorf("parse zone: more than %d records", MaxRecords)
		}
		if err := p.add(rr); err != nil {
			return nil, err
		}
	}
	if err := zp.Err(); err != nil {
		return nil, fmt.Errorf("parse zone: %w", err)
	}
	return p, nil
}

func (p *parsed) add(rr dns.RR) error {
	h := rr.Header()
	if h.Class != dns.ClassINET {
		return fmt.Errorf("parse zone: %s: class %s is not IN", h.Name, dns.Class(h.Class))
	}
	// The parser takes records that cannot be sent, and writes odd bytes in several ways:
	// what comes from the wire is the record.
	buf := make([]byte, dns.Len(rr)+1)
	n, err := dns.PackRR(rr, buf, 0, nil, false)
	if err == nil {
		rr, _, err = dns.UnpackRR(buf[:n], 0)
	}
	if err != nil {
		return fmt.Errorf("parse zone: %s %s: %w", h.Name, dns.Type(h.Rrtype), err)
	}
	h = rr.Header()
	name := strings.ToLower(h.Name)
	if p.sets[name] == nil {
		p.sets[name] = make(map[uint16][]dns.RR)
	}
	if _, at, err := dns.UnpackDomainName(buf[:n], 0); err == nil && at+8 <= n {
		clear(buf[at+4 : at+8]) // two records that differ by their TTL alone are one: RFC 2181 section 5
	}
	if p.seen[string(buf[:n])] {
		return nil
	}
	p.seen[string(buf[:n])] = true
	if h.Rrtype == dns.TypeSOA && len(p.sets[name][h.Rrtype]) > 0 {
		return fmt.Errorf("parse zone: %s: two SOA records", h.Name)
	}
	p.sets[name][h.Rrtype] = append(p.sets[name][h.Rrtype], rr)
	return nil
}

// directives takes the $ANSWER and $REMOVE lines out, leaving empty ones so that the numbers
// of lines stay right.
func (p *parsed) directives(text string) (rest string, err error) {
	if !strings.Contains(text, "$ANSWER") && !strings.Contains(text, "$REMOVE") {
		return text, nil
	}
	var b strings.Builder
	b.Grow(len(text))
	origin, number := ".", 0
	for line := range strings.Lines(text) {
		number++
		fields := strings.Fields(line)
		switch {
		case len(fields) >= 2 && fields[0] == "$ORIGIN" && line[0] == '$':
			origin = absolute(fields[1], origin)
		case len(fields) >= 1 && fields[0] == "$ANSWER" && line[0] == '$':
			line, _, _ = strings.Cut(line, ";")
			if err := p.answer(strings.Fields(line)[1:], origin); err != nil {
				return "", fmt.Errorf("parse zone: line %d: %w", number, err)
			}
			line = "\n"
		case len(fields) >= 1 && fields[0] == "$REMOVE" && line[0] == '$':
			line, _, _ = strings.Cut(line, ";")
			if err := p.remove(strings.Fields(line)[1:], origin); err != nil {
				return "", fmt.Errorf("parse zone: line %d: %w", number, err)
			}
			line = "\n"
		}
		b.WriteString(line)
	}
	return b.String(), nil
}

func absolute(name, origin string) string {
	switch {
	case name == "@":
		return origin
	case dns.IsFqdn(name):
		return strings.ToLower(name)
	case origin == ".":
		return strings.ToLower(name) + "."
	}
	return strings.ToLower(name) + "." + origin
}

func (p *parsed) remove(words []string, origin string) error {
	if len(words) == 0 {
		return errors.New("a $REMOVE line has a name and perhaps types: $REMOVE mx.example. TLSA")
	}
	name := absolute(words[0], origin)
	if len(words) == 1 {
		p.removed = append(p.removed, removal{name: name})
	}
	for _, w := range words[1:] {
		kind, ok := dns.StringToType[strings.ToUpper(w)]
		if !ok {
			return fmt.Errorf("%q is no type of records", w)
		}
		p.removed = append(p.removed, removal{name, kind})
	}
	return nil
}

var errAnswer = errors.New("an $ANSWER line has a name and how it is answered: $ANSWER mx.example. TLSA servfail")

func (p *parsed) answer(words []string, origin string) error {
	if len(words) < 2 {
		return errAnswer
	}
	s := scope{name: words[0]}
	switch {
	case s.name == "*":
		s.below, s.name = true, "."
	case strings.HasPrefix(s.name, "*."):
		s.below, s.name = true, absolute(s.name[2:], origin)
	default:
		s.name = absolute(s.name, origin)
	}
	if _, ok := dns.IsDomainName(s.name); !ok {
		return fmt.Errorf("%q is no name", words[0])
	}
	words = words[1:]
	for len(words) > 0 {
		if t, ok := dns.StringToType[strings.ToUpper(words[0])]; ok && s.kind == 0 {
			s.kind = t
		} else if w := strings.ToLower(words[0]); (w == "udp" || w == "tcp") && s.network == "" {
			s.network = w
		} else {
			break
		}
		words = words[1:]
	}
	b, err := ParseBehaviour(strings.Join(words, " "))
	if err != nil {
		return err
	}
	p.faults[s] = &b
	return nil
}
