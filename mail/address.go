package mail

import (
	"errors"
	"strings"
)

// MaxAddress is the longest address that is taken for one, in bytes. RFC 5321
// section 4.5.3.1 allows 64 for the local part and 255 for the domain; reports
// about other people's mail carry longer ones (VERP, SRS), so twice that.
const MaxAddress = 640

// Address is an RFC 5321 mailbox. The domain is kept as written; compare with
// [Address.Key]. The zero Address is the null reverse-path "<>".
type Address struct {
	Local  string // as written, with quotes if it had any
	Domain string // as written, without a trailing dot; "" for a local name
}

// ErrAddress says that a text is no mailbox.
var ErrAddress = errors.New("parse address: not of the form local@domain")

// ParseAddress reads one mailbox as it occurs in protocols and reports:
// surrounding white space, angle brackets, an address type ("rfc822;") and a
// source route (RFC 5321 section 4.1.2) are taken off. It accepts what mail
// carries rather than what the grammar allows: a bare local part is an error,
// a dot in the wrong place is not.
func ParseAddress(s string) (Address, error) {
	s = strings.TrimSpace(s)
	if i := strings.IndexByte(s, ';'); i >= 0 && isAddressType(strings.TrimSpace(s[:i])) {
		s = strings.TrimSpace(s[i+1:])
	}
	if len(s) >= 2 && s[0] == '<' && s[len(s)-1] == '>' {
		s = strings.TrimSpace(s[1 : len(s)-1])
	}
	if strings.HasPrefix(s, "@") {
		if i := strings.IndexByte(s, ':'); i > 0 {
			s = s[i+1:]
		}
	}
	if s == "" || len(s) > MaxAddress {
		return Address{}, ErrAddress
	}
	at := lastAt(s)
	if at <= 0 || at == len(s)-1 {
		return Address{}, ErrAddress
	}
	local, domain := s[:at], strings.TrimSuffix(s[at+1:], ".")
	if !validLocal(local) || !validDomain(domain) {
		return Address{}, ErrAddress
	}
	return Address{Local: local, Domain: domain}, nil
}

// isAddressType tells the address types of RFC 3464 section 2.3.1 and RFC 6533.
func isAddressType(s string) bool {
	switch strings.ToLower(s) {
	case "rfc822", "utf-8", "smtp", "unknown":
		return true
	}
	return false
}

// lastAt finds the @ that separates local part and domain: the last one that
// is not inside a quoted string.
func lastAt(s string) int {
	if s[0] != '"' {
		return strings.LastIndexByte(s, '@')
	}
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			if i+1 < len(s) && s[i+1] == '@' {
				return i + 1
			}
			return -1
		}
	}
	return -1
}

func validLocal(s string) bool {
	if s[0] == '"' {
		return len(s) >= 2 && s[len(s)-1] == '"' && !strings.ContainsAny(s, "\r\n\x00")
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; c <= ' ' || c == 0x7f || strings.IndexByte("<>()[]\\,;:\"", c) >= 0 {
			return false
		}
	}
	return true
}

func validDomain(s string) bool {
	if s == "" {
		return false
	}
	if s[0] == '[' {
		return len(s) > 2 && s[len(s)-1] == ']' && !strings.ContainsAny(s[1:len(s)-1], "[]\r\n \x00")
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		ok := c == '.' || c == '-' || c == '_' || c >= 0x80 ||
			'0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !ok || c == '.' && (i == 0 || i == len(s)-1 || s[i-1] == '.') {
			return false
		}
	}
	return true
}

// IsNull reports whether a is the null reverse-path of RFC 5321 section 4.5.5.
func (a Address) IsNull() bool { return a.Local == "" && a.Domain == "" }

// String gives the address as it stands on the wire, without angle brackets.
func (a Address) String() string {
	if a.Domain == "" {
		return a.Local
	}
	return a.Local + "@" + a.Domain
}

// Key is the form under which two spellings of one mailbox are equal: the
// domain in lower case; the local part too, because no provider of note keeps
// case apart (RFC 5321 section 2.4 would allow it).
func (a Address) Key() string { return strings.ToLower(a.String()) }

// Masked hides the local part: the form for tickets and logs.
func (a Address) Masked() string {
	if a.Domain == "" {
		return "***"
	}
	return "***@" + a.Domain
}

// NormalDomain gives a host or domain name in the form in which it is compared
// and stored: lower case, no surrounding space, no trailing dot.
func NormalDomain(s string) string {
	return strings.ToLower(strings.TrimSuffix(strings.TrimSpace(s), "."))
}

// Envelope is what RFC 5321 section 2.3.1 calls the envelope of a mail object.
type Envelope struct {
	From Address   // the reverse-path; null for a bounce
	To   []Address // the forward-paths
}
