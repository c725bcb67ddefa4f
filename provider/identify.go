package provider

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"
)

// maxName is the longest name that DNS has (RFC 1035 section 2.3.4), with room
// for a root dot. What is longer is no name.
const maxName = 254

// Identify says who receives. host is the receiving host as the evidence names
// it (case, a root dot, an address in brackets and a port do not matter); it
// decides where it is a name. recipientDomain decides where there is none, as of
// the time at (zero: now), and otherwise tells the brand.
//
// A host that is only an address or a bare label ("mail") says nothing of its
// owner, a name under .local or another private suffix says so only where the
// catalogue has it.
func (c *Catalogue) Identify(host, recipientDomain string, at time.Time) Identity {
	if at.IsZero() {
		at = time.Now()
	}
	var hb, db [maxName]byte
	h := cleanHost(hb[:0], host)
	d := cleanDomain(db[:0], recipientDomain)

	when := at.Unix()
	if claim, ok := c.host(h, when); ok {
		return c.atHost(claim, d, when)
	}
	if len(h) > 0 && (!privateName(h) || len(d) == 0) {
		id := "mx:" + c.registrable(view(h, host))
		return Identity{ID: id, Name: id[len("mx:"):], By: ByHost}
	}
	if owner, ok := c.owner(d, when); ok {
		p := &c.providers[owner.provider]
		return Identity{ID: p.ID, Name: p.Name, Brand: owner.brand, By: ByDomain}
	}
	if len(d) > 0 {
		id := "domain:" + string(d)
		return Identity{ID: id, Name: id[len("domain:"):], By: ByDomain}
	}
	return Identity{}
}

// atHost gives the identity of a known host. The brand is that of the
// recipient's domain if it folds into this operator, else that of the host.
func (c *Catalogue) atHost(claim hostClaim, d []byte, at int64) Identity {
	p := &c.providers[claim.provider]
	if len(p.Shared) > 0 {
		if owner, ok := c.owner(d, at); ok && owner.provider != claim.provider {
			if other := &c.providers[owner.provider]; slices.Contains(p.Shared, other.ID) {
				return Identity{ID: other.ID, Name: other.Name, Brand: owner.brand, By: ByHost}
			}
		}
	}
	brand := c.brandAt(d, claim.provider)
	if brand == "" {
		brand = claim.brand
	}
	return Identity{ID: p.ID, Name: p.Name, Brand: brand, By: ByHost}
}

// host finds the longest pattern of a host. A pattern that was in use at that
// time goes before one that was not; but a name that has only a former owner is
// still recognised, because stale names outlive a move in queues and caches.
func (c *Catalogue) host(h []byte, at int64) (hostClaim, bool) {
	former, haveFormer := hostClaim{}, false
	whole := true
	for name := h; len(name) > 0; {
		if i, ok := c.hosts[string(name)]; ok {
			for ; i >= 0; i = c.claims[i].next {
				claim := c.claims[i]
				if !claim.suffix && !whole {
					continue
				}
				if valid(0, claim.until, at) {
					return claim, true
				}
				if !haveFormer {
					former, haveFormer = claim, true
				}
			}
		}
		name = parent(name)
		whole = false
	}
	return former, haveFormer
}

// owner finds to whom a recipient domain belonged at that time.
func (c *Catalogue) owner(d []byte, at int64) (domainClaim, bool) {
	whole := true
	for name := d; len(name) > 0; {
		if i, ok := c.domains[string(name)]; ok {
			for ; i >= 0; i = c.owners[i].next {
				claim := c.owners[i]
				if (whole || claim.suffix) && !claim.also && valid(claim.from, claim.until, at) {
					return claim, true
				}
			}
		}
		name = parent(name)
		whole = false
	}
	return domainClaim{}, false
}

// brandAt gives the brand of a domain at one operator, whenever it was there:
// the host has said that the mailbox is there now.
func (c *Catalogue) brandAt(d []byte, provider int32) string {
	whole := true
	for name := d; len(name) > 0; {
		if i, ok := c.domains[string(name)]; ok {
			for ; i >= 0; i = c.owners[i].next {
				claim := c.owners[i]
				if (whole || claim.suffix) && claim.provider == provider {
					return claim.brand
				}
			}
		}
		name = parent(name)
		whole = false
	}
	return ""
}

// view gives name as a string; as a part of s where it stands there as it is,
// which costs nothing.
func view(name []byte, s string) string {
	if len(s) >= len(name) && s[:len(name)] == string(name) {
		return s[:len(name)]
	}
	return string(name)
}

// valid reports whether at lies in [from, until); a zero bound is open.
func valid(from, until, at int64) bool {
	return (from == 0 || at >= from) && (until == 0 || at < until)
}

// parent cuts the first label; empty at the end.
func parent(name []byte) []byte {
	for i, b := range name {
		if b == '.' {
			return name[i+1:]
		}
	}
	return nil
}

// cleanHost appends the name in s in lower case to dst; nothing if s has no
// name of at least two labels.
func cleanHost(dst []byte, s string) []byte {
	s = strings.TrimSpace(s)
	if i := strings.IndexByte(s, ';'); i >= 0 { // "dns; mx.example.com", RFC 3464 section 2.1.2
		s = strings.TrimSpace(s[i+1:])
	}
	s = strings.TrimLeft(s, "[(<")
	if i := strings.IndexAny(s, "[](): \t<>,"); i >= 0 { // an address, a port or a comment follows
		s = s[:i]
	}
	name := appendName(dst, s)
	if !hasDot(name) || isAddress(name) {
		return nil
	}
	return name
}

// cleanDomain appends the recipient's domain in s, which may be a whole address.
func cleanDomain(dst []byte, s string) []byte {
	s = strings.TrimSpace(s)
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		s = s[i+1:]
	}
	s = strings.Trim(s, "<>[]")
	return appendName(dst, s)
}

// appendName appends s in lower case and A-labels, without a root dot; nothing
// if it cannot be a name. Underscores are let through, broken hosts have them.
func appendName(dst []byte, s string) []byte {
	s = strings.TrimRight(s, ".")
	if s == "" || len(s) >= maxName {
		return nil
	}
	for i := 0; i < len(s); i++ {
		b := s[i]
		switch {
		case 'A' <= b && b <= 'Z':
			b += 'a' - 'A'
		case 'a' <= b && b <= 'z', '0' <= b && b <= '9', b == '-', b == '_', b == ':':
		case b == '.':
			if i == 0 || s[i-1] == '.' {
				return nil
			}
		case b >= 0x80:
			return appendIDN(dst[:0], s)
		default:
			return nil
		}
		dst = append(dst, b)
	}
	return dst
}

// appendIDN brings a name with other than ASCII letters into A-labels
// (RFC 5891 section 4.4); where it breaks the rules it stays as it is, so that
// it still has an identity.
func appendIDN(dst []byte, s string) []byte {
	a, err := idna.New(idna.MapForLookup(), idna.StrictDomainName(false)).ToASCII(s)
	if err != nil || a == "" || len(a) >= maxName {
		a = strings.ToLower(strings.ToValidUTF8(s, "?"))
		if len(a) >= maxName {
			return nil
		}
		return append(dst, a...)
	}
	return append(dst, strings.TrimRight(a, ".")...)
}

func hasDot(name []byte) bool {
	for _, b := range name {
		if b == '.' {
			return true
		}
	}
	return false
}

func isAddress(name []byte) bool {
	if last := name[len(name)-1]; last < '0' || last > '9' {
		return false // no top-level domain ends in a digit but those of IDNs
	}
	_, err := netip.ParseAddr(string(name))
	return err == nil
}

// privateName reports whether a name cannot be an MX in public DNS: RFC 6762
// appendix G, RFC 8375 and .internal (reserved by ICANN in 2024).
func privateName(name []byte) bool {
	i := len(name) - 1
	for i >= 0 && name[i] != '.' {
		i--
	}
	switch string(name[i+1:]) {
	case "local", "localdomain", "localhost", "internal", "intranet", "private", "corp", "home", "lan", "arpa":
		return true
	}
	return false
}

// registrable gives the domain that was bought of a registry, for a host that
// nobody in the catalogue claims.
//
// Only the ICANN part of the public suffix list counts. Its private part
// (amazonaws.com and some thousand more) answers who may set a cookie: it would
// make every machine on a cloud, and every tenant name on a mail platform, a
// provider of its own, and would change ids whenever the list does. One
// exception are companies that sell names as a registry does (uk.com): they
// stand in the catalogue.
func (c *Catalogue) registrable(name string) string {
	suffix := flat(name)
	if suffix == "" || c.registries[lastLabels(name, suffix)] {
		suffix = c.publicSuffix(name)
	}
	return lastLabels(name, suffix)
}

// flat gives the top-level domain of a name where its registry sells nothing
// but names directly below it. Half of all hosts are there, and the walk
// through the list, which allocates, is spared.
func flat(name string) string {
	switch tld := name[strings.LastIndexByte(name, '.')+1:]; tld {
	case "com", "net", "org", "de", "nl", "ch", "eu":
		return tld
	}
	return ""
}

// publicSuffix gives the longest suffix under which a registry, or a company
// that the catalogue counts as one, sells names.
func (c *Catalogue) publicSuffix(name string) string {
	suffix, icann := publicsuffix.PublicSuffix(name)
	for !icann && !c.registries[suffix] {
		i := strings.IndexByte(suffix, '.')
		if i < 0 {
			break // no rule: the last label is the suffix
		}
		suffix, icann = publicsuffix.PublicSuffix(suffix[i+1:])
	}
	return suffix
}

// lastLabels gives the suffix of a name and one label more, the whole name if
// it has none.
func lastLabels(name, suffix string) string {
	if len(name) <= len(suffix) {
		return name
	}
	rest := name[:len(name)-len(suffix)-1]
	return name[strings.LastIndexByte(rest, '.')+1:]
}
