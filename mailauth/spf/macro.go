package spf

import (
	"math"
	"strconv"
	"strings"
)

// Macro is a macro-string (RFC 7208 section 7.1), read once and expanded for
// each check. The zero value is the empty string.
type Macro struct {
	text    string
	parts   []macroPart
	letters uint32 // the macro letters in it, bit 0 is "a"
}

// macroPart is text as it stands, or one expansion of a letter.
type macroPart struct {
	literal    string
	letter     byte // lower case; 0 for text
	escape     bool // the letter was upper case: the value is escaped as in a URL
	reverse    bool
	keep       int    // how many parts, from the right; 0 for all
	delimiters string // "" is "."
}

// place says where a macro-string stands, since the grammar differs.
type place uint8

const (
	inDomain   place = iota // a domain-spec: must end in a macro or a top label; no spaces, no c, r, t
	inModifier              // the value of a modifier that we do not know: any macro-string
	inText                  // the text of an explanation: with spaces, and with c, r, t
)

const (
	macroLetters = "slodiphv" // RFC 7208 section 7.2
	textLetters  = "crt"      // in explanations only
	delimiterSet = ".-+,/_="
)

// String gives the macro-string as it is written in the record.
func (m *Macro) String() string { return m.text }

// uses reports whether one of the letters is in the macro-string.
func (m *Macro) uses(letters string) bool {
	for i := range len(letters) {
		if m.letters&(1<<(letters[i]-'a')) != 0 {
			return true
		}
	}
	return false
}

// parseMacro reads a macro-string. The reason is "" where it is right.
func parseMacro(text string, where place) (Macro, Reason) {
	m := Macro{text: text}
	start := 0
	flush := func(end int) {
		if start < end {
			m.parts = append(m.parts, macroPart{literal: text[start:end]})
		}
	}
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case c == '%':
			flush(i)
			part, n, ok := parseExpand(text[i:], where)
			if !ok {
				return m, BadMacro
			}
			m.parts = append(m.parts, part)
			if part.letter != 0 {
				m.letters |= 1 << (part.letter - 'a')
			}
			i += n
			start = i
		case c > '!'-1 && c <= '~', c == ' ' && where == inText:
			i++
		default:
			return m, BadOctet
		}
	}
	flush(len(text))
	if where == inDomain {
		return m, m.checkEnd(text[start:])
	}
	return m, ""
}

// parseExpand reads a macro-expand at the start of text and says how long it is.
func parseExpand(text string, where place) (part macroPart, n int, ok bool) {
	if len(text) < 2 {
		return part, 0, false
	}
	switch text[1] {
	case '%':
		return macroPart{literal: "%"}, 2, true
	case '_':
		return macroPart{literal: " "}, 2, true
	case '-':
		return macroPart{literal: "%20"}, 2, true
	case '{':
	default:
		return part, 0, false
	}
	end := strings.IndexByte(text, '}')
	if end < 3 {
		return part, 0, false
	}
	body := text[2:end]
	part.letter = lower(body[0])
	part.escape = part.letter != body[0]
	if strings.IndexByte(macroLetters, part.letter) < 0 &&
		(where == inDomain || strings.IndexByte(textLetters, part.letter) < 0) {
		return part, 0, false
	}
	digits := 1
	for digits < len(body) && '0' <= body[digits] && body[digits] <= '9' {
		digits++
	}
	if digits > 1 {
		// more parts than a name has labels are all of them, so that any number may be written
		keep, err := strconv.Atoi(body[1:digits])
		if err != nil {
			keep = math.MaxInt32
		}
		if keep == 0 {
			return part, 0, false
		}
		part.keep = keep
	}
	rest := body[digits:]
	if rest != "" && lower(rest[0]) == 'r' {
		part.reverse = true
		rest = rest[1:]
	}
	if strings.Trim(rest, delimiterSet) != "" {
		return part, 0, false
	}
	part.delimiters = rest
	return part, end + 1, true
}

// checkEnd holds the end of a domain-spec, the text after the last macro, to
// the grammar: a macro, or a dot and a top label (RFC 7208 section 7.1).
func (m *Macro) checkEnd(tail string) Reason {
	if m.text == "" {
		return MissingDomain
	}
	if tail == "" {
		return ""
	}
	tail = strings.TrimSuffix(tail, ".")
	dot := strings.LastIndexByte(tail, '.')
	if dot < 0 {
		return BadDomainSpec
	}
	top := tail[dot+1:]
	letter := false
	for i := range len(top) {
		switch c := lower(top[i]); {
		case 'a' <= c && c <= 'z':
			letter = true
		case '0' <= c && c <= '9':
		case c == '-' && i > 0 && i < len(top)-1:
			letter = true // with a dash in it the label needs no letter
		default:
			return BadDomainSpec
		}
	}
	if letter {
		return ""
	}
	if _, ok := parseIP4(strings.TrimSuffix(m.text, ".")); ok {
		return AddressAsName
	}
	return BadDomainSpec
}

// transform splits a value, keeps the parts that are asked for and joins them
// with dots (RFC 7208 section 7.3). Empty parts count.
func (p *macroPart) transform(value string) string {
	if p.keep == 0 && !p.reverse && p.delimiters == "" {
		return value
	}
	delimiters := p.delimiters
	if delimiters == "" {
		delimiters = "."
	}
	parts := make([]string, 0, 8)
	for {
		i := strings.IndexAny(value, delimiters)
		if i < 0 {
			break
		}
		parts = append(parts, value[:i])
		value = value[i+1:]
	}
	parts = append(parts, value)
	if p.reverse {
		for i, j := 0, len(parts)-1; i < j; i, j = i+1, j-1 {
			parts[i], parts[j] = parts[j], parts[i]
		}
	}
	if p.keep > 0 && p.keep < len(parts) {
		parts = parts[len(parts)-p.keep:]
	}
	return strings.Join(parts, ".")
}

// appendEscaped writes what is not unreserved in RFC 3986 section 2.3 as %XX.
func appendEscaped(b []byte, value string) []byte {
	const hex = "0123456789ABCDEF"
	for i := range len(value) {
		switch c := value[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9',
			c == '-', c == '.', c == '_', c == '~':
			b = append(b, c)
		default:
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return b
}

// expand appends the macro-string with its letters replaced by values. It stops
// when the text is longer than limit octets and says so with false.
func (m *Macro) expand(b []byte, limit int, value func(letter byte) string) ([]byte, bool) {
	for i := range m.parts {
		p := &m.parts[i]
		switch {
		case p.letter == 0:
			b = append(b, p.literal...)
		case p.escape:
			b = appendEscaped(b, p.transform(value(p.letter)))
		default:
			b = append(b, p.transform(value(p.letter))...)
		}
		if len(b) > limit {
			return b, false
		}
	}
	return b, true
}

// lower is the letter in lower case; other octets stay. DNS and the grammar of
// SPF fold ASCII only (RFC 4343).
func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
