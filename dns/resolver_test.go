package dns_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/postroad/postroad/dns"
	"github.com/postroad/postroad/dns/zone"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// first and second are the addresses of servers that nobody dials.
var (
	first  = dns.Server{Address: netip.MustParseAddrPort("192.0.2.53:53")}
	second = dns.Server{Address: netip.MustParseAddrPort("198.51.100.53:53")}
	local  = dns.Server{Address: netip.MustParseAddrPort("127.0.0.1:53"), Trusted: true}
)

// over gives a resolver that asks zone data in memory.
func over(t testing.TB, data *zone.Data, o dns.Options) *dns.Resolver {
	t.Helper()
	if o.Servers == nil {
		o.Servers = []dns.Server{first}
	}
	if o.Exchange == nil {
		o.Exchange = dns.ExchangeFunc(func(ctx context.Context, _ dns.Server, network string, q []byte) ([]byte, error) {
			return data.Respond(ctx, network, q)
		})
	}
	r, err := dns.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func parse(t testing.TB, text string) *zone.Data {
	t.Helper()
	data, err := zone.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

const plainZone = `
$ORIGIN example.com.
$TTL 300
@       SOA ns hostmaster 1 3600 600 86400 60
        NS  ns
        MX  20 b
        MX  10 A.Example.com.
        MX  10 c
        TXT "v=spf1 " "-all"
        TXT "quote \" backslash \\ dot . high \200 end"
ns      A   192.0.2.1
a  60   A   192.0.2.2
a       A   192.0.2.3
a       AAAA 2001:db8::1
www     CNAME alias
alias 30 CNAME a
broken  CNAME gone
empty   CNAME ns
circle  CNAME circle2
circle2 CNAME circle
null    MX 0 .
_25._tcp.a TLSA 3 1 1 0101010101010101010101010101010101010101010101010101010101010101
under   NS ns.elsewhere.example.
`

func kind(err error) dns.Kind {
	if e, ok := errors.AsType[*dns.Error](err); ok {
		return e.Kind
	}
	return ""
}

func TestTypes(t *testing.T) {
	r := over(t, parse(t, plainZone), dns.Options{})
	ctx := t.Context()
	mx := r.MX(ctx, "Example.COM.")
	if want := []dns.MX{{10, "a.example.com"}, {10, "c.example.com"}, {20, "b.example.com"}}; mx.Status != dns.Found ||
		!slices.Equal(mx.Records, want) && !slices.Equal(mx.Records, []dns.MX{want[1], want[0], want[2]}) {
		t.Errorf("MX = %+v", mx)
	}
	if mx.Name != "example.com" || mx.Canonical != "example.com" || mx.TTL != 300*time.Second ||
		mx.Server != "192.0.2.53:53" || mx.Cached || mx.Security != dns.Unavailable {
		t.Errorf("MX = %+v", mx)
	}
	txt := r.TXT(ctx, "example.com")
	slices.Sort(txt.Records)
	if want := []string{"quote \" backslash \\ dot . high \xc8 end", "v=spf1 -all"}; !slices.Equal(txt.Records, want) {
		t.Errorf("TXT = %q, want %q", txt.Records, want)
	}
	a := r.A(ctx, "a.example.com")
	if a.Status != dns.Found || len(a.Records) != 2 || a.TTL != time.Minute {
		t.Errorf("A = %+v", a)
	}
	if aaaa := r.AAAA(ctx, "a.example.com"); !slices.Equal(aaaa.Records, []netip.Addr{netip.MustParseAddr("2001:db8::1")}) {
		t.Errorf("AAAA = %+v", aaaa)
	}
	if null := r.MX(ctx, "null.example.com"); !slices.Equal(null.Records, []dns.MX{{0, ""}}) {
		t.Errorf("null MX = %+v", null)
	}
	www := r.A(ctx, "www.example.com")
	if www.Canonical != "a.example.com" || www.TTL != 30*time.Second || len(www.Records) != 2 {
		t.Errorf("alias = %+v", www)
	}
}
