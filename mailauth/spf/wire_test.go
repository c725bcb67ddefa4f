package spf

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/postroad/postroad/dns"
	"github.com/postroad/postroad/dns/zone"
)

// text writes the data as a master file, every odd octet escaped.
func (m memory) text() string {
	var b strings.Builder
	for name, e := range m {
		owner := escaped(name, true) + "."
		for _, txt := range e.txt {
			fmt.Fprintf(&b, "%s TXT", owner)
			for rest := txt; ; {
				n := min(len(rest), 255)
				fmt.Fprintf(&b, " \"%s\"", escaped(rest[:n], false))
				if rest = rest[n:]; rest == "" {
					break
				}
			}
			b.WriteByte('\n')
		}
		for _, a := range e.addrs {
			kind := "AAAA"
			if a.Is4() {
				kind = "A"
			}
			fmt.Fprintf(&b, "%s %s %s\n", owner, kind, a)
		}
		for _, mx := range e.mx {
			fmt.Fprintf(&b, "%s MX %d %s.\n", owner, mx.Preference, escaped(mx.Host, true))
		}
		for _, ptr := range e.ptr {
			fmt.Fprintf(&b, "%s PTR %s.\n", owner, escaped(ptr, true))
		}
		if e.cname != "" {
			fmt.Fprintf(&b, "%s CNAME %s.\n", owner, escaped(strings.TrimSuffix(e.cname, "."), true))
		}
		if !e.slow {
			continue
		}
		for kind, has := range map[string]bool{"TXT": len(e.txt) > 0, "A": false, "AAAA": false, "MX": len(e.mx) > 0} {
			if !has {
				fmt.Fprintf(&b, "$ANSWER %s %s servfail\n", owner, kind)
			}
		}
	}
	return b.String()
}

func escaped(s string, name bool) string {
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.' && name:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "\\%03d", c)
		}
	}
	return b.String()
}

// resolver gives the data through our resolver, over messages as on the wire.
func (m memory) resolver(t testing.TB) *dns.Resolver {
	t.Helper()
	data, err := zone.Parse(m.text())
	if err != nil {
		t.Fatal(err)
	}
	r, err := dns.New(dns.Options{
		Servers: []dns.Server{{Address: netip.MustParseAddrPort("192.0.2.53:53")}}, Attempts: 1,
		Exchange: dns.ExchangeFunc(func(ctx context.Context, _ dns.Server, network string, q []byte) ([]byte, error) {
			return data.Respond(ctx, network, q)
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestConformanceOverDNS is the suite once more, through the resolver of the
// product and its wire.
func TestConformanceOverDNS(t *testing.T) {
	cases, passed := 0, 0
	for _, c := range readSuite(t) {
		checker := New(Options{Resolver: c.zone(t).resolver(t)})
		for name, test := range c.Tests {
			cases++
			t.Run(name, func(t *testing.T) {
				v := checker.Check(t.Context(), test.query())
				if fault := test.fits(&v); fault != "" {
					t.Error(fault)
				} else {
					passed++
				}
			})
		}
	}
	t.Logf("CONFORMANCE suite=%s cases=%d passed=%d exceptions=%s", "RFC 7208 SPF, over the resolver", cases, passed, "none")
}
