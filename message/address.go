package message

import "strings"

// maxAddresses caps what one call to Addresses gives back.
const maxAddresses = 10_000

// Addresses lists the bare addresses (local@domain, RFC 5322 section 3.4.1) in
// all fields of this name. Comments, groups, display names, encoded words and
// source routes are passed over; brackets may be missing on either side. What
// has no @ is not listed.
func (h Header) Addresses(name string) []string {
	var out []string
	for i := h.find(name, 0); i >= 0 && len(out) < maxAddresses; i = h.find(name, i+1) {
		out = appendAddresses(out, unfold(h.rawValue(i)))
	}
	return out
}

// maxUnclosed is how many comments and quotes without an end a list may have.
const maxUnclosed = 10

func appendAddresses(out []string, s string) []string {
	a := addressScan{}
	take := func() {
		if addr := a.address(); addr != "" && len(out) < maxAddresses {
			out = append(out, addr)
		}
		a = addressScan{}
	}
	unclosed := 0 // brackets and quotes that do not end; after some, none is looked for
	for i := 0; i < len(s); {
		switch c := s[i]; c {
		case '(':
			a.space()
			n := 0
			if unclosed < maxUnclosed {
				n = commentEnd(s[i:])
			}
			if n == 0 { // only a bracket
				unclosed++
				n = 1
			}
			i += n
		case '"':
			n := 0
			if unclosed < maxUnclosed {
				n = quoteEnd(s[i:])
			}
			if n == 0 {
				unclosed++
				i++
				continue
			}
			a.quoted(s[i : i+n])
			i += n
		case '<':
			n := angleEnd(s[i:])
			a.angle(s[i+1 : i+n])
			i += n
			if i < len(s) && s[i] == '>' {
				i++
			}
		case ',', ';':
			take()
			i++
		case ':':
			if a.at || a.bare != "" {
				a.add(c)
			} else {
				a = addressScan{} // the name of a group
			}
			i++
		case ' ', '\t', '\r', '\n':
			a.space()
			i++
		default:
			a.add(c)
			i++
		}
	}
	take()
	return out
}

// addressScan collects one element of a list.
type addressScan struct {
	word   []byte // the word in hand
	bare   string // the first word with an @
	inside string // what stood in angle brackets
	hasAng bool
	at     bool // the word has an @
	glue   bool // the word in hand ends at a blank, it goes on if an @ follows
}

func (a *addressScan) add(c byte) {
	if a.glue && c != '@' && (len(a.word) == 0 || a.word[len(a.word)-1] != '@') {
		a.flush()
	}
	a.glue = false
	a.at = a.at || c == '@'
	a.word = append(a.word, c)
}

func (a *addressScan) space() { a.glue = len(a.word) > 0 }

// quoted takes a quoted string: a local part if an @ follows, else a name.
func (a *addressScan) quoted(q string) {
	if a.glue || len(a.word) > 0 && a.word[len(a.word)-1] != '.' {
		a.flush()
	}
	a.glue = false
	a.word = append(a.word, q...)
}

func (a *addressScan) angle(s string) {
	if !a.hasAng || a.inside == "" {
		a.inside, a.hasAng = s, true
	}
	a.word, a.glue, a.at = a.word[:0], false, false
}

func (a *addressScan) flush() {
	if a.bare == "" {
		a.bare = bareAddress(string(a.word))
	}
	a.word, a.glue, a.at = a.word[:0], false, false
}

func (a *addressScan) address() string {
	a.flush()
	if a.hasAng {
		s := strings.Map(func(r rune) rune {
			if r == ' ' || r == '\t' {
				return -1
			}
			return r
		}, a.inside)
		if strings.ContainsRune(a.inside, '"') {
			s = strings.TrimSpace(a.inside)
		}
		if strings.HasPrefix(s, "@") { // source route
			if i := strings.IndexByte(s, ':'); i > 0 {
				s = s[i+1:]
			}
		}
		if s = bareAddress(s); s != "" {
			return s
		}
	}
	return a.bare
}

// bareAddress gives s without what stands round an address, "" if it is none.
func bareAddress(s string) string {
	s = strings.Trim(s, "<>'`(){},;")
	if strings.HasPrefix(s, "[") { // [a@example.com], but not a@[192.0.2.1]
		s = strings.Trim(s, "[]")
	}
	if len(s) > 7 && strings.EqualFold(s[:7], "mailto:") {
		s = s[7:]
	}
	s = strings.TrimSuffix(s, ".")
	at := strings.LastIndexByte(s, '@')
	if at <= 0 || at == len(s)-1 || s[0] == '"' && s[at-1] != '"' {
		return ""
	}
	return s
}

// maxQuoted is how far the end of a quoted string is looked for, see
// [maxComment].
const maxQuoted = 2000

// quoteEnd is the length of the quoted string at the start of s, 0 if it does
// not end.
func quoteEnd(s string) int {
	for i := 1; i < min(len(s), maxQuoted); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return 0
}

// angleEnd finds the end of <...>, or where it should have ended.
func angleEnd(s string) int {
	unclosed := 0
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '>', '<':
			return i
		case ',', ';':
			if !strings.HasPrefix(s, "<@") { // not a source route
				return i
			}
		case '"':
			if unclosed == maxUnclosed {
				continue
			}
			if n := quoteEnd(s[i:]); n > 0 {
				i += n - 1
			} else {
				unclosed++
			}
		}
	}
	return len(s)
}
