package tlspolicy

import (
	"strings"

	"github.com/postroad/postroad/dns"
)

// hostName gives a host or domain name as it is compared: lower case, A-labels,
// without the final dot. false: it is no name that a certificate or a policy
// could have (an address literal, an empty label, what is not letters, digits
// and hyphens).
func hostName(name string) (string, bool) {
	name, err := dns.ParseName(name)
	if err != nil || !ldh(name) {
		return "", false
	}
	return name, true
}

// ldh reports whether a name has letters, digits and hyphens only, and no empty
// label. Underscores are let through: hosts with them exist.
func ldh(name string) bool {
	label := 0
	for i := range len(name) {
		switch c := name[i]; {
		case c == '.' && label == 0:
			return false
		case c == '.':
			label = 0
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
			if label++; label > 63 {
				return false
			}
		default:
			return false
		}
	}
	return label > 0 && len(name) <= 253
}

// matchName compares a name with a pattern that may have "*" as its whole
// left-most label, which stands for exactly one label (RFC 8461 section 4.1,
// RFC 7672 section 3.2.3, RFC 6125 section 6.4.3). Both are as hostName gives
// names.
func matchName(pattern, name string) bool {
	if name == "" || strings.HasPrefix(name, ".") {
		return false
	}
	if parent, ok := strings.CutPrefix(pattern, "*."); ok {
		_, rest, _ := strings.Cut(name, ".")
		return parent != "" && rest == parent
	}
	return pattern == name
}
