package dns

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/net/idna"
)

// Bounds of RFC 1035 section 2.3.4. A name in wire form has a length byte for
// each label and one for the root.
const (
	maxLabel = 63
	maxName  = 255
)

// Root is the name of the root, the only name that is a dot.
const Root = "."

// errName is wrapped by everything that is wrong with a name.
var errName = errors.New("no name that can be asked")

// ParseName gives a name as this package has all names: lower case, without
// the final dot, U-labels as A-labels (RFC 5891), the root as ".".
//
// Any byte may stand in a label (RFC 2181 section 11: "_dmarc", and what SPF
// macros make of local parts), so the result writes those that would be
// mistaken as RFC 1035 section 5.1 does: "\." and "\\", and "\DDD" for what is
// not printable. The same is read, so every name that an answer holds can be
// asked again; a backslash before anything else stands for itself.
//
// The error is an *Error of KindName: a label that is empty or over 63 bytes, a
// name over 255, or letters outside ASCII that IDNA does not have.
func ParseName(name string) (string, error) {
	canonical, fault := parseName(name)
	if fault != nil {
		return "", fault
	}
	return canonical, nil
}

func parseName(name string) (string, *Error) {
	if plain(name) || name == Root {
		return name, nil
	}
	fail := func(why string) (string, *Error) {
		return "", &Error{Kind: KindName, Name: clip(name), Err: fmt.Errorf("%w: %s", errName, why)}
	}
	if len(name) > 4*maxName+1 { // no escape is longer than four bytes
		return fail("longer than 255 bytes")
	}
	for i := range len(name) {
		if name[i] < 0x80 {
			continue
		}
		ascii, err := idnaLookup.ToASCII(name)
		if err != nil {
			return fail(err.Error())
		}
		name = ascii
		break
	}
	canonical, fault := normal(name)
	if fault != "" {
		return fail(fault)
	}
	return canonical, nil
}

// idnaLookup is IDNA for look-ups (UTS 46, not transitional) without the rules for
// host names: an underscore is fine in an owner name.
var idnaLookup = idna.New(
	idna.MapForLookup(), idna.BidiRule(), idna.Transitional(false), idna.StrictDomainName(false),
)

// plain reports whether a name is already as ParseName would give it, for
// names of letters, digits, hyphens and underscores: nearly all, and the
// reason why a question answered from the cache allocates nothing.
func plain(name string) bool {
	if len(name) == 0 || len(name) > maxName-2 {
		return false
	}
	label := 0
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_':
			if label++; label > maxLabel {
				return false
			}
		case c == '.' && label > 0:
			label = 0
		default:
			return false
		}
	}
	return label > 0
}

// normal reads a name of ASCII bytes, or one in the presentation form that the
// wire library gives, and writes it our way. fault says what is wrong with it.
func normal(name string) (canonical, fault string) {
	text := make([]byte, 0, len(name)+8)
	wire, label := 1, 0
	for i := 0; i < len(name); {
		c := name[i]
		if c == '.' {
			if label == 0 {
				return "", "an empty label"
			}
			label = 0
			if i++; i < len(name) {
				text = append(text, '.')
			}
			continue
		}
		c, n := unescape(name[i:])
		i += n
		if label++; label > maxLabel {
			return "", "a label longer than 63 bytes"
		}
		if wire++; label == 1 {
			wire++
		}
		text = appendByte(text, c)
	}
	switch {
	case len(text) == 0:
		return "", "empty"
	case wire > maxName:
		return "", "longer than 255 bytes"
	}
	return string(text), ""
}

// unescape reads one byte of a label in presentation form (RFC 1035 section
// 5.1), and how long it is written. s is not empty.
func unescape(s string) (c byte, n int) {
	if s[0] != '\\' || len(s) < 2 {
		return s[0], 1
	}
	if digit(s[1]) && len(s) >= 4 && digit(s[2]) && digit(s[3]) {
		if v := int(s[1]-'0')*100 + int(s[2]-'0')*10 + int(s[3]-'0'); v <= 255 {
			return byte(v), 4
		}
		return '\\', 1
	}
	if s[1] == '.' || s[1] == '\\' {
		return s[1], 2
	}
	return '\\', 1
}

func digit(c byte) bool { return '0' <= c && c <= '9' }

// appendByte writes one byte of a label in presentation form.
func appendByte(text []byte, c byte) []byte {
	switch {
	case 'A' <= c && c <= 'Z':
		return append(text, c+'a'-'A')
	case c == '.' || c == '\\':
		return append(text, '\\', c)
	case c <= ' ' || c > '~':
		return append(text, '\\', '0'+c/100, '0'+c/10%10, '0'+c%10)
	}
	return append(text, c)
}

// received gives a name out of a message, in the wire library's presentation
// form, our way. It comes off the wire, so it has no fault that normal finds.
func received(name string) string {
	if name == Root {
		return Root
	}
	if bare := strings.TrimSuffix(name, "."); plain(bare) {
		return bare
	}
	// The library writes more escapes than we: "\(" for "(".
	var text []byte
	for i := 0; i < len(name); {
		switch {
		case name[i] == '.':
			if i++; i < len(name) {
				text = append(text, '.')
			}
		case name[i] == '\\' && i+1 < len(name) && !digit(name[i+1]):
			text = appendByte(text, name[i+1])
			i += 2
		default:
			c, n := unescape(name[i:])
			text = appendByte(text, c)
			i += n
		}
	}
	return string(text)
}

// below reports whether a name is parent or under it.
func below(name, parent string) bool {
	if parent == Root || name == parent {
		return true
	}
	rest, ok := strings.CutSuffix(name, "."+parent)
	// "a\.example" is one label, not "a" below "example".
	return ok && (len(rest)-len(strings.TrimRight(rest, `\`)))%2 == 0
}

// Reverse gives the name at which an address has its PTR records (RFC 1035
// section 3.5, RFC 3596 section 2.5): "1.2.0.192.in-addr.arpa" for 192.0.2.1.
// An IPv4 address in IPv6 form counts as IPv4; an invalid address gives "".
func Reverse(address netip.Addr) string {
	address = address.Unmap()
	if !address.IsValid() {
		return ""
	}
	const digits = "0123456789abcdef"
	text := make([]byte, 0, 72)
	raw := address.AsSlice()
	for i := len(raw) - 1; i >= 0; i-- {
		b := raw[i]
		if address.Is6() {
			text = append(text, digits[b&15], '.', digits[b>>4], '.')
			continue
		}
		if b >= 100 {
			text = append(text, '0'+b/100)
		}
		if b >= 10 {
			text = append(text, '0'+b/10%10)
		}
		text = append(text, '0'+b%10, '.')
	}
	if address.Is6() {
		return string(append(text, "ip6.arpa"...))
	}
	return string(append(text, "in-addr.arpa"...))
}

// clip bounds what an error quotes of a name that may be anything.
func clip(name string) string {
	const most = 100
	if len(name) > most {
		return strings.ToValidUTF8(name[:most], "") + "..."
	}
	return name
}
