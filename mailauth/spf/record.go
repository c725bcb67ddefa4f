package spf

import (
	"net/netip"
	"strconv"
	"strings"
	"sync"
)

// Kind is what a term of a record is.
type Kind uint8

// The kinds of terms: mechanisms (RFC 7208 section 5), then modifiers (section
// 6). The zero value is a term that is none of them.
const (
	Invalid Kind = iota
	All
	Include
	A
	MX
	PTR
	IP4
	IP6
	Exists
	Redirect
	Exp
	Modifier // one that RFC 7208 does not know; it is ignored
)

// kindNames are the names as written in records, in the order of the kinds.
var kindNames = [...]string{"invalid", "all", "include", "a", "mx", "ptr", "ip4", "ip6", "exists", "redirect", "exp", ""}

// String gives the name as written in a record; "modifier" for an unknown one.
func (k Kind) String() string {
	if k < Modifier {
		return kindNames[k]
	}
	return "modifier"
}

// MarshalText writes the name.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// Mechanism reports whether the kind is a mechanism, which may match.
func (k Kind) Mechanism() bool { return All <= k && k <= Exists }

// Asks reports whether a term of this kind counts as one of the ten look-ups
// (RFC 7208 section 4.6.4). The look-up of "exp" does not.
func (k Kind) Asks() bool {
	switch k {
	case Include, A, MX, PTR, Exists, Redirect:
		return true
	case Invalid, All, IP4, IP6, Exp, Modifier:
	}
	return false
}

// Term is one directive or modifier.
type Term struct {
	Text      string // as written, with its qualifier
	Offset    int    // in octets, in the record
	Kind      Kind
	Qualifier byte         // '+', '-', '~' or '?'; '+' where none is written; 0 for a modifier
	Name      string       // of a modifier that we do not know, as written
	Domain    Macro        // the domain-spec, or the value of an unknown modifier
	HasDomain bool         // there is a domain-spec
	Bits4     int          // prefix length for IPv4 of "a" and "mx"; 32 where none is written
	Bits6     int          // prefix length for IPv6 of "a" and "mx"; 128 where none is written
	Prefix    netip.Prefix // of "ip4" and "ip6", with the host bits as written
	Reason    Reason       // why the term is Invalid
}

// Record is one record, read. It is not changed after Parse, and many checks
// share it.
type Record struct {
	Text     string
	Terms    []Term // as they stand in the record
	redirect int    // place of the term, -1 for none
	exp      int    // place of the term, -1 for none
	all      int    // place of the first "all", -1 for none
	err      *SyntaxError

	once  sync.Once
	found []Finding // what Lint says
}

// SyntaxError is the first fault of a record; it makes the whole record a
// permerror (RFC 7208 section 4.6). Record.Terms has the other faults.
type SyntaxError struct {
	Reason Reason
	Term   string // as written
	Offset int    // of the term, in octets
}

// Error names the term.
func (e *SyntaxError) Error() string {
	return "read spf record: " + string(e.Reason) + " in " + strconv.Quote(clip(e.Term)) + " at " + strconv.Itoa(e.Offset)
}

// version begins every record (RFC 7208 section 4.5).
const version = "v=spf1"

// IsRecord reports whether a TXT record is an SPF record: it is the version, or
// begins with the version and a space, in any case (RFC 7208 sections 4.5 and 12).
func IsRecord(text string) bool {
	return len(text) >= len(version) && equalFold(text[:len(version)], version) &&
		(len(text) == len(version) || text[len(version)] == ' ')
}

// Parse reads a record. Where the error is a *SyntaxError the record is not nil
// and has every term, the faulty ones as Invalid.
func Parse(text string) (*Record, error) {
	if !IsRecord(text) {
		return nil, &SyntaxError{Reason: NotARecord, Term: text}
	}
	r := &Record{Text: text, redirect: -1, exp: -1, all: -1}
	r.Terms = make([]Term, 0, strings.Count(text, " "))
	for i := len(version); i < len(text); {
		if text[i] == ' ' {
			i++
			continue
		}
		end := len(text)
		if n := strings.IndexByte(text[i:], ' '); n >= 0 {
			end = i + n
		}
		r.add(text[i:end], i)
		i = end
	}
	if r.err != nil {
		return r, r.err
	}
	return r, nil
}

// add reads one term.
func (r *Record) add(text string, offset int) {
	r.Terms = append(r.Terms, Term{Bits4: 32, Bits6: 128})
	n := len(r.Terms) - 1
	t := &r.Terms[n]
	if t.Reason = t.parse(text); t.Reason == "" {
		t.Reason = r.place(t.Kind, n)
	}
	t.Text, t.Offset = text, offset
	if t.Reason == "" {
		return
	}
	t.Kind = Invalid
	if r.err == nil {
		r.err = &SyntaxError{Reason: t.Reason, Term: text, Offset: offset}
	}
}

// place remembers where the terms are that stand for the whole record.
func (r *Record) place(k Kind, n int) Reason {
	at := (*int)(nil)
	switch k {
	case All:
		if r.all < 0 {
			r.all = n
		}
		return ""
	case Redirect:
		at = &r.redirect
	case Exp:
		at = &r.exp
	case Invalid, Include, A, MX, PTR, IP4, IP6, Exists, Modifier:
		return ""
	}
	if *at >= 0 { // RFC 7208 section 6: at most once
		return RepeatedModifier
	}
	*at = n
	return ""
}

// parse reads the text of a term (RFC 7208 section 4.6.1 and section 12).
func (t *Term) parse(text string) Reason {
	if name, value, ok := cutModifier(text); ok {
		return t.parseModifier(name, value)
	}
	t.Qualifier = '+'
	if strings.IndexByte("+-~?", text[0]) >= 0 {
		t.Qualifier, text = text[0], text[1:]
	}
	end := strings.IndexAny(text, ":/")
	if end < 0 {
		end = len(text)
	}
	name, rest := text[:end], text[end:]
	for kind := All; kind <= Exists; kind++ {
		if equalFold(name, kindNames[kind]) {
			t.Kind = kind
			return t.parseArgument(rest)
		}
	}
	if i := strings.IndexFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }); i >= 0 {
		return BadOctet
	}
	return UnknownMechanism
}

// cutModifier divides "name=value". The name has no ":" and no "/" in it, which
// is what tells a modifier from a mechanism (RFC 7208 section 4.6.1).
func cutModifier(text string) (name, value string, ok bool) {
	name, value, ok = strings.Cut(text, "=")
	if !ok || name == "" || lower(name[0]) < 'a' || lower(name[0]) > 'z' {
		return "", "", false
	}
	for i := range len(name) {
		c := lower(name[i])
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
			return "", "", false
		}
	}
	return name, value, true
}

func (t *Term) parseModifier(name, value string) (reason Reason) {
	where := inDomain
	switch {
	case equalFold(name, "redirect"):
		t.Kind = Redirect
	case equalFold(name, "exp"):
		t.Kind = Exp
	default:
		t.Kind, t.Name, where = Modifier, name, inModifier
	}
	t.HasDomain = t.Kind != Modifier
	t.Domain, reason = parseMacro(value, where)
	return reason
}

// parseArgument reads what follows the name of a mechanism.
func (t *Term) parseArgument(rest string) (reason Reason) {
	switch t.Kind {
	case All:
		if rest != "" {
			return UnexpectedArgument
		}
	case IP4, IP6:
		return t.parsePrefix(rest)
	case A, MX:
		if rest, reason = t.parseBits(rest); reason != "" || rest == "" {
			return reason
		}
		return t.parseDomain(rest)
	case PTR:
		if rest != "" {
			return t.parseDomain(rest)
		}
	case Include, Exists:
		return t.parseDomain(rest)
	case Invalid, Redirect, Exp, Modifier:
	}
	return ""
}

// parseDomain reads ":" domain-spec.
func (t *Term) parseDomain(rest string) (reason Reason) {
	switch {
	case rest == "":
		return MissingDomain
	case rest[0] != ':':
		return UnexpectedArgument
	}
	t.HasDomain = true
	t.Domain, reason = parseMacro(rest[1:], inDomain)
	return reason
}

// parseBits takes a dual-cidr-length off the end: "/24", "//64", "/24//64". A
// slash may also be part of a domain-spec, so only slash and digits at the very
// end are a length (RFC 7208 section 5.3).
func (t *Term) parseBits(rest string) (string, Reason) {
	head, digits, ok := cutDigits(rest)
	if !ok {
		return rest, ""
	}
	if before, six := strings.CutSuffix(head, "/"); six {
		bits, ok := parseLength(digits, 128)
		if !ok {
			return rest, BadLength
		}
		t.Bits6 = bits
		rest = before
		if head, digits, ok = cutDigits(rest); !ok {
			return rest, ""
		}
	}
	bits, ok := parseLength(digits, 32)
	if !ok {
		return rest, BadLength
	}
	t.Bits4 = bits
	return head, ""
}

// cutDigits divides "head/123".
func cutDigits(s string) (head, digits string, ok bool) {
	i := len(s)
	for i > 0 && '0' <= s[i-1] && s[i-1] <= '9' {
		i--
	}
	if i == len(s) || i == 0 || s[i-1] != '/' {
		return s, "", false
	}
	return s[:i-1], s[i:], true
}

// parseLength reads a prefix length: no leading zero (RFC 7208 section 5.6).
func parseLength(digits string, most int) (int, bool) {
	n, err := strconv.Atoi(digits)
	if err != nil || n > most || len(digits) > 1 && digits[0] == '0' || digits[0] < '0' || digits[0] > '9' {
		return 0, false
	}
	return n, true
}

// parsePrefix reads the network of "ip4" and "ip6".
func (t *Term) parsePrefix(rest string) Reason {
	if len(rest) < 2 || rest[0] != ':' {
		return MissingAddress
	}
	network, length, hasLength := strings.Cut(rest[1:], "/")
	parse, bits := parseIP4, 32
	if t.Kind == IP6 {
		parse, bits = parseIP6, 128
	}
	addr, ok := parse(network)
	if !ok {
		return BadAddress
	}
	if hasLength {
		if length == "" {
			return BadLength
		}
		if bits, ok = parseLength(length, bits); !ok {
			return BadLength
		}
	}
	t.Prefix = netip.PrefixFrom(addr, bits)
	return ""
}

func parseIP4(s string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(s)
	return addr, err == nil && addr.Is4()
}

// parseIP6 reads an address of RFC 4291 section 2.2. One that is an IPv4 address
// in IPv6 stays what it is, and matches no client: such a client is an IPv4
// client (RFC 7208 section 5).
func parseIP6(s string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(s)
	return addr, err == nil && addr.Is6() && addr.Zone() == ""
}

// String writes the record in its plain form: one space between terms, names in
// lower case, "+" left out, lengths that say nothing left out. Parse reads it
// back as the same terms.
func (r *Record) String() string {
	b := append(make([]byte, 0, len(r.Text)), version...)
	for i := range r.Terms {
		b = append(b, ' ')
		b = r.Terms[i].append(b)
	}
	return string(b)
}

// MarshalText gives the term as written.
func (t *Term) MarshalText() ([]byte, error) { return []byte(t.Text), nil }

// String writes the term in its plain form.
func (t *Term) String() string { return string(t.append(nil)) }

func (t *Term) append(b []byte) []byte {
	switch t.Kind {
	case Invalid:
		return append(b, t.Text...)
	case Modifier:
		return append(append(append(b, t.Name...), '='), t.Domain.text...)
	case Redirect, Exp:
		return append(append(append(b, kindNames[t.Kind]...), '='), t.Domain.text...)
	case All, Include, A, MX, PTR, IP4, IP6, Exists:
	}
	if t.Qualifier != '+' {
		b = append(b, t.Qualifier)
	}
	b = append(b, kindNames[t.Kind]...)
	switch {
	case t.Kind == IP4 || t.Kind == IP6:
		b = append(b, ':')
		if t.Prefix.IsSingleIP() {
			return t.Prefix.Addr().AppendTo(b)
		}
		return t.Prefix.AppendTo(b)
	case t.HasDomain:
		b = append(append(b, ':'), t.Domain.text...)
	}
	if t.Bits4 != 32 {
		b = strconv.AppendInt(append(b, '/'), int64(t.Bits4), 10)
	}
	if t.Bits6 != 128 {
		b = strconv.AppendInt(append(b, "//"...), int64(t.Bits6), 10)
	}
	return b
}

// equalFold compares with a name in lower case, folding ASCII only.
func equalFold(s, name string) bool {
	if len(s) != len(name) {
		return false
	}
	for i := range len(s) {
		if lower(s[i]) != name[i] {
			return false
		}
	}
	return true
}

// clip bounds what goes into an error: a record may have 64 KB without a space.
func clip(s string) string {
	const most = 200
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
