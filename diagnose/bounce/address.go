package bounce

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// span is where an address stands in a text, without brackets or quotes of its
// surroundings.
type span struct{ from, to int }

func (p span) of(s string) string { return s[p.from:p.to] }

// nextAddress finds the first mail address of s at or behind from. It takes
// what the texts of reports have: addresses in brackets, quotes or bare, with
// quoted local parts, internationalised ones, and stuck to words of scripts
// that are written without spaces.
func nextAddress(s string, from int) (p span, ok bool) {
	floor := from
	for from < len(s) {
		i := strings.IndexByte(s[from:], '@')
		if i < 0 {
			return span{}, false
		}
		at := from + i
		from = at + 1
		p.from, p.to = localStart(s, at, floor), domainEnd(s, at)
		if p.from == at || p.to <= at+1 || p.to-p.from > 320 {
			continue
		}
		if p.from >= 3 && s[p.from-3:p.from] == "://" {
			continue // a URL with a user in it
		}
		return p, true
	}
	return span{}, false
}

const localMarks = "!#$%&'*+-/=?^_`{|}~."

func isAlnum(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

func isLocalByte(c byte) bool { return isAlnum(c) || strings.IndexByte(localMarks, c) >= 0 }

// localStart walks left from the @ at index at, not below floor. at itself is
// the answer where there is no local part.
func localStart(s string, at, floor int) int {
	if at > floor && s[at-1] == '"' {
		return quotedStart(s, at, floor)
	}
	i, ascii := at, false
	for i > floor {
		c := s[i-1]
		if isLocalByte(c) {
			i--
			ascii = true
			continue
		}
		if c < utf8.RuneSelf {
			break
		}
		r, size := utf8.DecodeLastRuneInString(s[floor:i])
		if !isWordRune(r) || isUnspaced(r) && ascii {
			break
		}
		i -= size
	}
	for i < at && strings.IndexByte("!#$%&'*-/=?^`{|}~.", s[i]) >= 0 && !strings.HasPrefix(s[i:], "=?") {
		if s[i] == '/' && i > floor && s[i-1] == '<' {
			break // an X.400 name: "</o=example/cn=bob@gw.example>"
		}
		i++ // a bullet, a quotation mark, an operator: no address begins so in practice
	}
	if eq := strings.IndexByte(s[i:at], '='); eq > 0 && isKeyword(s[i:i+eq]) {
		i += eq + 1 // to=user@example.com
		for i < at-1 && s[i] == '\'' {
			i++ // addr='user@example.com'
		}
	}
	return i
}

func isKeyword(s string) bool {
	switch strings.ToLower(s) {
	case "to", "rcpt", "addr", "recipient", "email", "address", "user", "for", "from", "orig_to":
		return true
	}
	return false
}

func quotedStart(s string, at, floor int) int {
	for i := at - 2; i >= floor && s[i] != '\n' && at-i < 130; i-- {
		if s[i] == '"' && (i == floor || s[i-1] != '\\') {
			return i
		}
	}
	return at
}

// domainEnd walks right from the @ and gives the end of the domain; at+1 or
// less where there is none.
func domainEnd(s string, at int) int {
	i := at + 1
	if i < len(s) && s[i] == '[' {
		if j := strings.IndexByte(s[i:min(len(s), i+66)], ']'); j > 1 {
			return i + j + 1
		}
		return at
	}
	ascii := true
	for i < len(s) {
		c := s[i]
		if isAlnum(c) || c == '-' || c == '_' || c == '.' && (i+1 >= len(s) || s[i+1] != '.') {
			i++
			continue
		}
		if c < utf8.RuneSelf {
			break
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if !isWordRune(r) || isUnspaced(r) && ascii && topLevel(s[at+1:i]) {
			break
		}
		ascii = false
		i += size
	}
	for i > at+1 && (s[i-1] == '.' || s[i-1] == '-' || s[i-1] == '_') {
		i--
	}
	if d := s[at+1 : i]; d == "" || d[0] == '.' || d[0] == '-' || !lettersAtEnd(d) {
		return at
	}
	return i
}

// lettersAtEnd tells a domain from a number: the last label has a letter.
func lettersAtEnd(d string) bool {
	label := d[strings.LastIndexByte(d, '.')+1:]
	for i := 0; i < len(label); i++ {
		if c := label[i]; c >= utf8.RuneSelf || 'a' <= c|0x20 && c|0x20 <= 'z' {
			return true
		}
	}
	return !strings.Contains(d, ".") && label != ""
}

// topLevel reports whether d ends like a whole domain: a dot and two letters or
// more.
func topLevel(d string) bool {
	i := strings.LastIndexByte(d, '.')
	return i > 0 && len(d)-i > 2
}

func isWordRune(r rune) bool {
	return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r))
}

// isUnspaced tells the scripts that put no space between words: there an
// address ends where the script changes.
func isUnspaced(r rune) bool {
	return r >= 0x2e80 && r <= 0x9fff || r >= 0xac00 && r <= 0xd7af || r >= 0xf900 && r <= 0xfaff ||
		r >= 0xff00 && r <= 0xffef || r >= 0x0e00 && r <= 0x0eff
}

// addressKey is the form in which addresses are compared.
func addressKey(a string) string { return strings.ToLower(strings.TrimSpace(a)) }

// addressIn gives the first address of s, "" if there is none.
func addressIn(s string) string {
	if p, ok := nextAddress(s, 0); ok {
		return p.of(s)
	}
	return ""
}

// addressesIn gives the addresses of a header or list, at most max of them.
func addressesIn(s string, limit int) []string {
	var list []string
	for from := 0; len(list) < limit; {
		p, ok := nextAddress(s, from)
		if !ok {
			break
		}
		list = append(list, p.of(s))
		from = p.to
	}
	return list
}

func domainOf(address string) string {
	return strings.ToLower(address[strings.LastIndexByte(address, '@')+1:])
}

func localOf(address string) string {
	if i := strings.LastIndexByte(address, '@'); i >= 0 {
		return address[:i]
	}
	return address
}

// headerAddresses gives the addresses of a To or From header: those in angle
// brackets where there are any, for display names look like addresses too
// ("a@example.com" <b@example.com>).
func headerAddresses(s string, limit int) []string {
	var list []string
	for from := 0; len(list) < limit && from < len(s); {
		p, ok := nextAddress(s, from)
		if !ok {
			break
		}
		from = p.to
		if next := strings.IndexByte(s[p.to:], '<'); next >= 0 && !strings.Contains(s[p.to:p.to+next], ",") &&
			(p.from == 0 || s[p.from-1] != '<') {
			if q, ok := nextAddress(s, p.to+next); ok && q.from == p.to+next+1 {
				p, from = q, q.to
			}
		}
		list = append(list, p.of(s))
	}
	return list
}
