package world

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/postroad/postroad/dns/zone"
)

// policyAddress is where the MTA-STS policies of all domains are.
var policyAddress = netip.AddrFrom4([4]byte{127, 77, 0, 1})

// records are the zones of a scenario as they are for all time: MX, addresses,
// reverse names, and that the world's name server speaks as a validating
// resolver for what is signed.
func records(s *Scenario, told func(netip.Addr) netip.Addr) string {
	ttl := lifetime(s)
	var b strings.Builder
	fmt.Fprintf(&b, "$TTL %d\n. SOA ns.invalid. hostmaster.invalid. 1 3600 600 86400 %d\n. NS ns.invalid.\n", ttl, ttl)
	// What the self-test of a resolver asks for.
	b.WriteString("$ANSWER . SOA ad\n$ANSWER dnssec-failed.org. bogus\n$ANSWER *.dnssec-failed.org. bogus\n")
	for _, apex := range s.Signed {
		secure(&b, apex)
	}
	for i := range s.Providers {
		p := &s.Providers[i]
		safe := p.Secure || p.DANE != "" || p.changes(doDANE)
		for _, d := range p.Domains {
			for _, h := range p.Hosts {
				fmt.Fprintf(&b, "%s. MX %d %s.\n", d, h.Preference, h.Name)
			}
			if p.STS != nil || p.changes(doSTS) {
				fmt.Fprintf(&b, "mta-sts.%s. A %s\n", d, policyAddress)
			}
			if safe {
				secure(&b, d)
			}
		}
		for _, h := range p.Hosts {
			if safe {
				secure(&b, h.Name)
			}
			for _, a := range h.Addresses {
				a = told(a)
				kind := "A"
				if a.Is6() {
					kind = "AAAA"
				}
				fmt.Fprintf(&b, "%s. %s %s\n%s PTR %s.\n", h.Name, kind, a, reverse(a), h.Name)
			}
		}
	}
	return b.String()
}

// lifetime is five minutes of the world's clock, in real seconds as resolvers
// count them.
func lifetime(s *Scenario) int {
	speed := s.speed()
	if speed == 0 {
		return 1
	}
	return int(min(max(300/speed, 1), 86400))
}

func secure(b *strings.Builder, name string) {
	name = strings.TrimSuffix(name, ".")
	fmt.Fprintf(b, "$ANSWER %s. ad\n$ANSWER *.%s. ad\n", name, name)
}

func (p *Provider) changes(do string) bool {
	for i := range p.Tempers {
		if p.Tempers[i].Do == do {
			return true
		}
	}
	return false
}

// policies are the records that tempers change: TLSA and MTA-STS as they are
// now, in the place of what was there.
func policies(s *Scenario, a *authority, start, now time.Time) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "$TTL %d\n", lifetime(s))
	for i := range s.Providers {
		p := &s.Providers[i]
		if p.DANE != "" || p.changes(doDANE) {
			for _, h := range p.Hosts {
				if err := tlsa(&b, a, h.Name, p.dane(h.Name, start, now)); err != nil {
					return "", err
				}
			}
		}
		if p.STS == nil && !p.changes(doSTS) {
			continue
		}
		for _, d := range p.Domains {
			policy := p.sts(start, now)
			fmt.Fprintf(&b, "$REMOVE _mta-sts.%s. TXT\n", d)
			if policy == nil || policy.Trouble == "no-record" {
				continue
			}
			fmt.Fprintf(&b, "_mta-sts.%s. TXT \"v=STSv1; id=%s;\"\n", d, p.policyID(policy))
			if policy.Trouble == "two-records" { // RFC 8461 section 3.1: then there is none
				fmt.Fprintf(&b, "_mta-sts.%s. TXT \"v=STSv1; id=%sX;\"\n", d, p.policyID(policy))
			}
		}
	}
	return b.String(), nil
}

func tlsa(b *strings.Builder, a *authority, host, kind string) error {
	digest, err := a.tlsa(host)
	if err != nil {
		return err
	}
	name := "_25._tcp." + host + "."
	fmt.Fprintf(b, "$REMOVE %s TLSA\n", name)
	how := "ad"
	switch kind {
	case "right":
		fmt.Fprintf(b, "%s TLSA 3 1 1 %s\n", name, digest)
	case "wrong":
		fmt.Fprintf(b, "%s TLSA 3 1 1 %s\n", name, strings.Repeat("66", 32))
	case "unusable": // RFC 7672 section 3.1.3: usages 0 and 1 are not for SMTP
		fmt.Fprintf(b, "%s TLSA 1 1 1 %s\n", name, digest)
	case "failing":
		how = "servfail"
	}
	fmt.Fprintf(b, "$ANSWER %s TLSA %s\n", name, how)
	return nil
}

// dane gives how a host is at a time.
func (p *Provider) dane(host string, start, now time.Time) string {
	for i := range p.Tempers {
		t := &p.Tempers[i]
		if t.Do == doDANE && t.active(start, now) && (len(t.Hosts) == 0 || contains(t.Hosts, host)) {
			return t.DANE
		}
	}
	return p.DANE
}

// sts gives the policy at a time, nil for none.
func (p *Provider) sts(start, now time.Time) *STS {
	for i := range p.Tempers {
		if t := &p.Tempers[i]; t.Do == doSTS && t.active(start, now) {
			return t.STS
		}
	}
	return p.STS
}

func contains(all []string, s string) bool {
	for _, x := range all {
		if x == s {
			return true
		}
	}
	return false
}

// reverse gives the name of an address's PTR record.
func reverse(a netip.Addr) string {
	var labels []string
	if a.Is4() {
		for _, b := range a.As4() {
			labels = append([]string{strconv.Itoa(int(b))}, labels...)
		}
		return strings.Join(labels, ".") + ".in-addr.arpa."
	}
	for _, b := range a.As16() {
		labels = append([]string{strconv.FormatInt(int64(b&15), 16), strconv.FormatInt(int64(b>>4), 16)}, labels...)
	}
	return strings.Join(labels, ".") + ".ip6.arpa."
}

// furnish makes the zones of a scenario.
func furnish(s *Scenario, a *authority, start time.Time, told func(netip.Addr) netip.Addr) (*zone.Data, []string, error) {
	d, err := zone.Parse(records(s, told))
	if err != nil {
		return nil, nil, fmt.Errorf("make the zones: %w", err)
	}
	text, err := policies(s, a, start, start)
	if err != nil {
		return nil, nil, err
	}
	if err := d.Set(text); err != nil {
		return nil, nil, fmt.Errorf("make the zones: %w", err)
	}
	if err := d.Set(s.DNS); err != nil {
		return nil, nil, fmt.Errorf("make the zones: %w", err)
	}
	var anchors []string
	for _, apex := range s.Signed {
		ds, err := d.Sign(apex, zone.SignOptions{})
		if err != nil {
			return nil, nil, fmt.Errorf("make the zones: signed: %w", err)
		}
		anchors = append(anchors, ds)
	}
	return d, anchors, nil
}
