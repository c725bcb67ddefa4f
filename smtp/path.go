package smtp

import (
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/postroad/postroad/mail"
)

// The limits of RFC 5321 section 4.5.3.1. They are kept in strict mode only: the
// section asks for no limits where possible, and VERP and SRS make local parts
// beyond 64 octets every day. mail.MaxAddress bounds the rest.
const (
	maxLocal  = 64
	maxDomain = 255
	maxPath   = 256 // with the angle brackets
	maxLabel  = 63  // RFC 1035 section 2.3.4
)

// scanPath takes a path in angle brackets from the start of s: "<a@b.example>", "<>"
// where null is allowed, "<Postmaster>" where bare is (RFC 5321 section 4.1.1.3). A source
// route is read and dropped (section 4.1.1.3 and appendix C). Local part and domain
// are kept as written, quotes included. Why it fails is a word for the reply.
func scanPath(s string, null, bare, strict bool) (a mail.Address, rest, fault string) {
	if s == "" || s[0] != '<' {
		return a, s, "the address must stand in angle brackets"
	}
	all := s
	s = s[1:]
	if strings.HasPrefix(s, ">") {
		if !null {
			return a, s, "the null path is for senders only"
		}
		return a, s[1:], ""
	}
	if strings.HasPrefix(s, "@") {
		if s, fault = scanRoute(s, strict); fault != "" {
			return a, s, fault
		}
	}
	n, fault := scanLocal(s, strict)
	if fault != "" {
		return a, s, fault
	}
	a.Local, s = s[:n], s[n:]
	if bare && strings.EqualFold(a.Local, "postmaster") && strings.HasPrefix(s, ">") {
		return a, s[1:], ""
	}
	if s == "" || s[0] != '@' {
		return a, s, "no domain"
	}
	s = s[1:]
	if n, fault = scanDomain(s, strict); fault != "" {
		return a, s, fault
	}
	a.Domain, s = s[:n], s[n:]
	if !strict {
		a.Domain = strings.TrimSuffix(a.Domain, ".")
	}
	if s == "" || s[0] != '>' {
		return a, s, "a character that may not stand in an address"
	}
	if size := len(all) - len(s) + 1; strict && size > maxPath || len(a.Local)+1+len(a.Domain) > mail.MaxAddress {
		return a, s, "address too long"
	}
	return a, s[1:], ""
}

// scanRoute takes "@one.example,@two.example:" off.
func scanRoute(s string, strict bool) (rest, fault string) {
	for hops := 0; hops < 20; hops++ {
		if !strings.HasPrefix(s, "@") {
			break
		}
		n, fault := scanDomain(s[1:], strict)
		if fault != "" {
			return s, fault
		}
		s = s[1+n:]
		if strings.HasPrefix(s, ":") {
			return s[1:], ""
		}
		if !strings.HasPrefix(s, ",") {
			break
		}
		s = s[1:]
	}
	return s, "a source route that is none"
}

// scanLocal gives the length of the local part at the start of s.
func scanLocal(s string, strict bool) (n int, fault string) {
	if strings.HasPrefix(s, `"`) {
		n = quotedEnd(s)
		if n == 0 {
			return 0, "a quoted local part without its end"
		}
	} else {
		for n < len(s) {
			size := 1
			if s[n] >= utf8.RuneSelf {
				size = wideSize(s[n:])
			} else if !isAtext(s[n]) && s[n] != '.' {
				size = 0
			}
			if size == 0 {
				break
			}
			n += size
		}
		// A dot at the end, at the start or two together are against the grammar and in
		// use: Japanese carriers gave out such mailboxes until 2009.
		if dots := s[:n]; strict && (strings.Contains(dots, "..") || strings.HasPrefix(dots, ".") || strings.HasSuffix(dots, ".")) {
			return 0, "a dot in the wrong place"
		}
	}
	switch {
	case n == 0:
		return 0, "no local part, or a character that may not stand in one"
	case strict && n > maxLocal || n > mail.MaxAddress:
		return 0, "local part too long"
	}
	return n, ""
}

// quotedEnd gives the length of a quoted string: qtextSMTP or quoted pairs of
// printable characters; 0 if it is none. An empty one is in the grammar.
func quotedEnd(s string) int {
	for i := 1; i < len(s); {
		switch c := s[i]; {
		case c == '"':
			return i + 1
		case c == '\\':
			if i+1 >= len(s) || s[i+1] < ' ' || s[i+1] > '~' {
				return 0
			}
			i += 2
		case c >= utf8.RuneSelf:
			size := wideSize(s[i:])
			if size == 0 {
				return 0
			}
			i += size
		case c < ' ' || c == 0x7f:
			return 0
		default:
			i++
		}
	}
	return 0
}

// scanDomain gives the length of the domain or address literal at the start of s.
func scanDomain(s string, strict bool) (n int, fault string) {
	if strings.HasPrefix(s, "[") {
		end := strings.IndexByte(s, ']')
		if end < 0 || end > maxDomain || !isLiteral(s[1:end]) {
			return 0, "not an address literal"
		}
		return end + 1, ""
	}
	for n < len(s) && (isLDH(s[n]) || s[n] == '.' || s[n] == '_' || s[n] >= utf8.RuneSelf) {
		n++
	}
	if !validHost(s[:n], strict) {
		return 0, "not a domain"
	}
	return n, ""
}

// validHost holds the grammar of Domain. Beyond it, unless strict: "_", which stands in
// names that do receive mail, and one dot at the end.
func validHost(s string, strict bool) bool {
	if !strict {
		s = strings.TrimSuffix(s, ".")
	}
	if s == "" || len(s) > maxDomain {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		wide := false
		for i := 0; i < len(label); {
			switch c := label[i]; {
			case isLDH(c), c == '_' && !strict:
				i++
			case c >= utf8.RuneSelf:
				size := wideSize(label[i:])
				if size == 0 {
					return false
				}
				wide = true
				i += size
			default:
				return false
			}
		}
		// The limit counts octets of the A-label; a U-label's own octets say nothing.
		if len(label) > maxLabel && !wide {
			return false
		}
	}
	return true
}

// isLiteral tells the inside of an address literal, RFC 5321 section 4.1.3.
func isLiteral(s string) bool {
	tag, rest, ok := strings.Cut(s, ":")
	if !ok {
		ip, err := netip.ParseAddr(s)
		return err == nil && ip.Is4()
	}
	if strings.EqualFold(tag, "IPv6") {
		ip, err := netip.ParseAddr(rest)
		return err == nil && ip.Is6() && ip.Zone() == ""
	}
	if tag == "" || rest == "" || tag[len(tag)-1] == '-' {
		return false
	}
	for i := 0; i < len(tag); i++ {
		if !isLDH(tag[i]) {
			return false
		}
	}
	for i := 0; i < len(rest); i++ { // dcontent; the "]" ended the literal
		if c := rest[i]; c <= ' ' || c > '~' || c == '[' || c == '\\' {
			return false
		}
	}
	return true
}

// wideSize gives the length of the UTF-8 character at the start of s that RFC 6531
// section 3.3 allows where ASCII has atext; 0 for what is none: malformed octets,
// controls, spaces of any kind.
func wideSize(s string) int {
	r, n := utf8.DecodeRuneInString(s)
	if r == utf8.RuneError && n <= 1 || unicode.IsControl(r) || unicode.IsSpace(r) {
		return 0
	}
	return n
}

func isAlpha(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isLDH(c byte) bool { return isAlpha(c) || isDigit(c) || c == '-' }

// isAtext is RFC 5322 section 3.2.3 without the UTF-8 of RFC 6532.
func isAtext(c byte) bool {
	return isAlpha(c) || isDigit(c) || c > ' ' && c < 0x7f && strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) >= 0
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
