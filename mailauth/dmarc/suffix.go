package dmarc

import (
	"strings"

	"golang.org/x/net/publicsuffix"

	"github.com/postroad/postroad/dns"
)

// OrganizationalDomain gives the organisational domain as RFC 7489 section 3.2
// found it: one label below the public suffix, by the list of publicsuffix.org as
// the program was built with it (both its parts; a top-level domain that it
// does not know is a suffix). The answer is in lower case with A-labels.
//
// ok is false for a name that is a public suffix itself, and for what is no name.
// RFC 9989 finds the organisational domain in DNS instead: [Discover].
func OrganizationalDomain(domain string) (organization string, ok bool) {
	domain = normal(domain)
	if domain == "" {
		return "", false
	}
	organization, err := publicsuffix.EffectiveTLDPlusOne(domain)
	return organization, err == nil
}

// normal gives a domain name in lower case with A-labels and without the final
// dot, or "" for what is no name of a mail domain.
func normal(domain string) string {
	if domain = strings.TrimSpace(domain); domain == "" {
		return ""
	}
	domain, err := dns.ParseName(domain)
	if err != nil || domain == dns.Root || len(domain) > maxDomain {
		return ""
	}
	for i := 0; i < len(domain); i++ {
		c := domain[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '.' && c != '_' {
			return ""
		}
	}
	return domain
}

// maxDomain is the length of a name as text (RFC 1035 section 2.3.4 counts one
// byte more for the root and one for the first label).
const maxDomain = 253

// under tells whether domain is parent or below it.
func under(domain, parent string) bool {
	return domain == parent || strings.HasSuffix(domain, "."+parent)
}

func labels(domain string) int { return strings.Count(domain, ".") + 1 }

// last gives the n last labels of a domain.
func last(domain string, n int) string {
	for i := len(domain) - 1; i >= 0; i-- {
		if domain[i] == '.' {
			if n--; n == 0 {
				return domain[i+1:]
			}
		}
	}
	return domain
}
