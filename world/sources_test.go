package world

import (
	"net/netip"
	"strings"
	"testing"
)

func TestSources(t *testing.T) {
	for _, c := range []struct{ from, to, real, want string }{
		{"127.9.0.0/16", "198.51.100.0/24", "127.9.0.7", "198.51.100.7"},
		{"127.9.0.0/16", "198.51.100.0/24", "127.9.3.7", "198.51.100.7"},
		{"127.9.0.0/16", "198.51.100.0/24", "127.8.0.7", "127.8.0.7"},
		{"127.9.0.5", "203.0.113.25", "127.9.0.5", "203.0.113.25"},
		{"127.9.0.0/24", "203.0.113.25/32", "127.9.0.77", "203.0.113.25"},
		{"127.9.0.0/24", "203.0.113.64/26", "127.9.0.77", "203.0.113.77"},
		{"127.9.0.0/16", "2001:db8::/64", "127.9.1.2", "2001:db8::102"},
		{"::1", "2001:db8::5", "::1", "2001:db8::5"},
	} {
		s := scenario(t, "name = 'x'\n[sources]\n'"+c.from+"' = '"+c.to+"'")
		if got := s.source(netip.MustParseAddr(c.real)); got != netip.MustParseAddr(c.want) {
			t.Errorf("%s with %s as %s is %s, want %s", c.real, c.from, c.to, got, c.want)
		}
	}
	s := scenario(t, "name = 'x'\n[sources]\n'127.9.0.0/16' = '198.51.100.0/24'\n'127.9.1.0/24' = '203.0.113.0/24'")
	if got := s.source(netip.MustParseAddr("127.9.1.4")); got.String() != "203.0.113.4" {
		t.Errorf("the longer prefix does not win: %s", got)
	}
}

// TestSourcesOnSockets: a client that binds a loopback address is refused for the
// address that the scenario gives it, as the truth has it.
func TestSourcesOnSockets(t *testing.T) {
	text := strings.Replace(one, "%s", "", 1) + "[[provider.temper]]\ndo = 'reject'\nat = 'mail'\nreply = '450 4.7.1 not {source}'\n" +
		"sources = ['198.51.100.0/24']\n[sources]\n'127.9.0.0/16' = '198.51.100.0/24'"
	w := begin(t, scenario(t, text), Options{Mode: Ports})
	if got := (delivery{source: "127.9.0.7", plain: true}).try(t.Context(), w); !strings.Contains(got, "450") {
		t.Errorf("from a mapped source: %q", got)
	}
	if got := (delivery{source: "127.10.0.7", plain: true}).try(t.Context(), w); got != "delivered" {
		t.Errorf("from another source: %q", got)
	}
}
