package world

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
)

// mapping gives the clients that connect from one prefix addresses in another.
type mapping struct{ from, to netip.Prefix }

// mapSources reads Scenario.Sources.
func (s *Scenario) mapSources() error {
	s.mapped = nil
	for _, from := range slices.Sorted(maps.Keys(s.Sources)) {
		m := mapping{}
		var err error
		if m.from, err = prefix(from); err == nil {
			m.to, err = prefix(s.Sources[from])
		}
		if err != nil {
			return fmt.Errorf("sources: %w", err)
		}
		if !m.from.Addr().IsLoopback() || m.from.Bits() < 8 {
			return fmt.Errorf("sources: clients connect from loopback here, %s is not: \"127.9.0.0/16\" = %q", from, s.Sources[from])
		}
		s.mapped = append(s.mapped, m)
	}
	slices.SortStableFunc(s.mapped, func(a, b mapping) int { return b.from.Bits() - a.from.Bits() })
	return nil
}

// prefix reads a network, or one address.
func prefix(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return p, fmt.Errorf("%q is no network: write it as 198.51.100.0/24", text)
	}
	return p.Masked(), nil
}

// source gives the address that a client has in the scenario: the last bits of
// its own, behind the prefix that its network is mapped to.
func (s *Scenario) source(real netip.Addr) netip.Addr {
	for _, m := range s.mapped {
		if !m.from.Contains(real) {
			continue
		}
		own, to := real.AsSlice(), m.to.Addr().AsSlice()
		for bit := range min(m.to.Addr().BitLen()-m.to.Bits(), real.BitLen()-m.from.Bits()) { // from the last one on
			i, j, mask := len(own)-1-bit/8, len(to)-1-bit/8, byte(1)<<(bit%8)
			to[j] |= own[i] & mask
		}
		a, _ := netip.AddrFromSlice(to)
		return a
	}
	return real
}
