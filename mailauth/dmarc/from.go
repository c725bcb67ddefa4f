package dmarc

import (
	"slices"
	"strings"
)

// The bounds of From fields.
const (
	maxFrom      = 64 << 10
	maxAddresses = 1000
	maxDomains   = 100
)

// The findings of From fields (RFC 9989 section 11.5).
const (
	FindFromFields    = "dmarc.from.fields"    // more than one field: no message of RFC 5322
	FindFromAddresses = "dmarc.from.addresses" // more than one address
	FindFromDisplay   = "dmarc.from.display"   // the name shown has another domain in it
	FindFromMalformed = "dmarc.from.malformed" // not of the grammar of RFC 5322 section 3.4
	FindFromLiteral   = "dmarc.from.literal"   // an address literal, which has no domain
	FindFromLong      = "dmarc.from.too-long"  // over a bound of this package
)

// From is what the From fields of a message say about who wrote it.
type From struct {
	Domains   []string  `json:"domains"`   // each once, in their order: lower case, A-labels
	Addresses int       `json:"addresses"` // with or without a domain
	Findings  []Finding `json:"findings,omitempty"`
}

// ParseFrom takes the authors' domains out of the bodies of all From fields of a
// message, as they stand there, folded and not decoded (RFC 9989 section 5.3.1).
// It reads display names, quoted strings, comments, groups and the obsolete
// forms of RFC 5322 section 4.4 as names and not as addresses, whatever stands
// in them. Where an address breaks the grammar every domain that a program could
// take for the author's is given, so that none can be smuggled past the check;
// domains in the name that is shown are findings only, because that attack is
// another one (RFC 9989 section 11.4) and mailing lists write such names.
func ParseFrom(fields ...string) From {
	var p fromParser
	if len(fields) > 1 {
		p.find(FindFromFields, "")
	}
	for _, f := range fields {
		if len(f) > maxFrom {
			p.find(FindFromLong, "")
			f = f[:maxFrom]
		}
		p.lex = fromLexer{s: f}
		p.field()
	}
	if p.out.Addresses > 1 {
		p.find(FindFromAddresses, "")
	}
	for _, d := range p.shown {
		if !slices.Contains(p.out.Domains, d) {
			p.find(FindFromDisplay, d)
		}
	}
	return p.out
}

// fromToken is an atom, a quoted string 'q', a domain literal '[', a special
// character, or 0 at the end. Comments and white space are no tokens.
type fromToken struct {
	kind byte // 'a', 'q', '[', or the character
	text string
}

// fromLexer takes a quotation mark or bracket that nothing closes for nothing, so
// that it does not hide the rest of the field; then all of its kind.
type fromLexer struct {
	s                             string
	at                            int
	noQuote, noComment, noLiteral bool
}

func (l *fromLexer) torn() bool { return l.noQuote || l.noComment || l.noLiteral }

func (l *fromLexer) next() fromToken {
	var t fromToken
	for l.at < len(l.s) {
		switch c := l.s[l.at]; {
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
			l.at++
			continue
		case c == '(' && !l.noComment:
			l.noComment = !l.comment()
			continue
		case c == '"' && !l.noQuote:
			if text, ok := l.until('"'); ok {
				return fromToken{'q', text}
			}
			l.noQuote = true
			continue
		case c == '[' && !l.noLiteral:
			if text, ok := l.until(']'); ok {
				return fromToken{'[', text}
			}
			l.noLiteral = true
			continue
		case c == '(' || c == '"' || c == '[':
			l.at++
			continue
		case strings.IndexByte(`<>,;:@.)]\`, c) >= 0:
			l.at++
			t.kind = c
			return t
		default:
			from := l.at
			for l.at < len(l.s) && strings.IndexByte(" \t\r\n()<>[]:;@\\,.\"", l.s[l.at]) < 0 {
				l.at++
			}
			t.kind, t.text = 'a', l.s[from:l.at]
			return t
		}
	}
	return t
}

// comment skips one, with those inside it.
func (l *fromLexer) comment() bool {
	depth := 0
	for i := l.at; i < len(l.s); i++ {
		switch l.s[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				l.at = i + 1
				return true
			}
		}
	}
	return false
}

// until reads to the closing character.
func (l *fromLexer) until(end byte) (string, bool) {
	for i := l.at + 1; i < len(l.s); i++ {
		switch l.s[i] {
		case '\\':
			i++
		case end:
			text := l.s[l.at+1 : i]
			l.at = i + 1
			return text, true
		}
	}
	return "", false
}

type fromParser struct {
	lex   fromLexer
	out   From
	shown []string // domains in display names
}

func (p *fromParser) find(key, value string) {
	f := Finding{key, "From", clip(value, maxShown)}
	if !slices.Contains(p.out.Findings, f) && len(p.out.Findings) < maxTags {
		p.out.Findings = append(p.out.Findings, f)
	}
}

// field reads an address-list (RFC 5322 section 3.4).
func (p *fromParser) field() {
	var words []fromToken // since the last "," ";" or ":"
	angle := false        // an address in angle brackets was read since
	group := false
	for {
		t := p.lex.next()
		switch t.kind {
		case 0, ',', ';':
			p.mailbox(words, angle)
			if t.kind == ';' && !group {
				p.find(FindFromMalformed, ";")
			}
			words, angle = words[:0], false
			if t.kind == 0 {
				if group || p.lex.torn() {
					p.find(FindFromMalformed, "")
				}
				return
			}
			group = group && t.kind == ','
		case ':':
			if group || angle {
				p.find(FindFromMalformed, ":")
			}
			// The words are the group's name, which has no address.
			if at := indexKind(words, '@'); at >= 0 {
				p.find(FindFromMalformed, ":")
				p.mailbox(words, angle)
			}
			words, angle, group = words[:0], false, true
		case '<':
			if angle {
				p.find(FindFromMalformed, "<")
			}
			p.display(words)
			words = words[:0]
			p.angle()
			angle = true
		case '>', ')', ']', '\\':
			p.find(FindFromMalformed, string(t.kind))
		default:
			if len(words) < maxFrom {
				words = append(words, t)
			}
		}
	}
}

func indexKind(words []fromToken, kind byte) int {
	return slices.IndexFunc(words, func(t fromToken) bool { return t.kind == kind })
}

// angle reads what stands in angle brackets.
func (p *fromParser) angle() {
	var words []fromToken
	for {
		t := p.lex.next()
		switch t.kind {
		case '>':
			p.address(words)
			return
		case 0:
			p.find(FindFromMalformed, "<")
			p.address(words)
			return
		case ':': // the end of a source route, RFC 5322 section 4.4
			if len(words) == 0 || words[0].kind != '@' {
				p.find(FindFromMalformed, ":")
				p.address(words)
			}
			words = words[:0]
		case ',': // between the domains of a route
			if len(words) > 0 && words[0].kind != '@' {
				p.find(FindFromMalformed, ",")
				p.address(words)
				words = words[:0]
			}
		case '<', ';', ')', ']', '\\':
			p.find(FindFromMalformed, string(t.kind))
			p.address(words)
			words = words[:0]
		default:
			words = append(words, t)
		}
	}
}

// mailbox takes the words of a list member: an addr-spec, if no address in angle
// brackets was there.
func (p *fromParser) mailbox(words []fromToken, angle bool) {
	switch {
	case len(words) == 0:
	case angle:
		p.find(FindFromMalformed, "") // words behind the address
		if indexKind(words, '@') >= 0 {
			p.address(words)
		}
	default:
		p.address(words)
	}
}

// address takes an addr-spec. Of several "@" each has a domain behind it, and a
// program may take any.
func (p *fromParser) address(words []fromToken) {
	if p.out.Addresses == maxAddresses {
		p.find(FindFromLong, "")
		return
	}
	p.out.Addresses++
	ats := 0
	for i, t := range words {
		if t.kind != '@' {
			continue
		}
		if ats++; ats > 1 || i == 0 || !isLocal(words[:i]) {
			p.find(FindFromMalformed, "@")
		}
		p.domain(words[i+1:])
	}
	if ats == 0 {
		p.find(FindFromMalformed, "")
	}
}

// isLocal tells a local part: words with dots between them (RFC 5322 sections
// 3.4.1 and 4.4).
func isLocal(words []fromToken) bool {
	for i, t := range words {
		if (i%2 == 1) != (t.kind == '.') || t.kind == '[' {
			return false
		}
	}
	return len(words)%2 == 1
}

// domain takes the domain that these words begin with.
func (p *fromParser) domain(words []fromToken) {
	if len(words) > 0 && words[0].kind == '[' {
		p.find(FindFromLiteral, words[0].text)
		if len(words) > 1 {
			p.find(FindFromMalformed, "]")
		}
		return
	}
	name, n := domainText(words)
	if n < len(words) && words[n].kind != '@' {
		p.find(FindFromMalformed, name)
	}
	d := normal(name)
	if d == "" || strings.HasSuffix(name, ".") {
		p.find(FindFromMalformed, name)
	}
	if d == "" { // a program may stop at what is no letter of a name, a NUL most of all
		d = normal(name[:nameEnd(name)])
	}
	if d == "" || slices.Contains(p.out.Domains, d) {
		return
	}
	if len(p.out.Domains) == maxDomains {
		p.find(FindFromLong, "")
		return
	}
	p.out.Domains = append(p.out.Domains, d)
}

// nameEnd is how far a name goes by its letters.
func nameEnd(s string) int {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c <= ' ' || c < 0x80 && strings.IndexByte("!\"#$%&'*+/=?^`{|}~\x7f", c) >= 0 {
			return i
		}
	}
	return len(s)
}

// domainText joins atoms and the dots between them; n is how many words it took.
func domainText(words []fromToken) (name string, n int) {
	var b strings.Builder
	for i, t := range words {
		switch {
		case t.kind == 'a' && (i == 0 || words[i-1].kind == '.'):
			b.WriteString(t.text)
		case t.kind == '.' && i > 0 && words[i-1].kind == 'a':
			b.WriteByte('.')
		default:
			return b.String(), i
		}
	}
	return b.String(), len(words)
}

// display notes domains in a display name: what a reader may take for the
// author's address.
func (p *fromParser) display(words []fromToken) {
	for i, t := range words {
		var d string
		switch t.kind {
		case '@':
			p.find(FindFromMalformed, "@") // has to be quoted
			d, _ = domainText(words[i+1:])
		case 'q':
			_, d, _ = strings.Cut(t.text, "@")
			if end := strings.IndexAny(d, " \t,;<>()'\"\\"); end >= 0 {
				d = d[:end]
			}
		case ':', '[':
			p.find(FindFromMalformed, string(t.kind))
		}
		if d = normal(d); strings.Contains(d, ".") && len(p.shown) < maxDomains {
			p.shown = append(p.shown, d)
		}
	}
}
