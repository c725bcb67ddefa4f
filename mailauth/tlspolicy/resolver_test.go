package tlspolicy_test

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/postroad/postroad/dns"
	"github.com/postroad/postroad/dns/zone"
	"github.com/postroad/postroad/mailauth/tlspolicy"
)

// world is what a validating resolver tells: example is signed but for what has
// no "ad".
const world = `
$ORIGIN example.
$TTL 300
@                 SOA ns hostmaster 1 3600 600 86400 60
                  NS  ns
signed            A     192.0.2.2
broken            A     203.0.113.66
dane              MX 10 mx
sts               MX 10 mx.hosted
_mta-sts.sts      TXT   "v=STSv1; " "id=20261122;"
_smtp._tls.sts    TXT   "v=TLSRPTv1; rua=mailto:tls@sts.example"
mx                A     192.0.2.25
_25._tcp.mx       TLSA  3 1 1 0000000000000000000000000000000000000000000000000000000000000000
alias             MX 10 www
www               CNAME mx
trouble           MX 10 mx.trouble
mx.trouble        A     192.0.2.26
mx.hosted         A     192.0.2.27
mta-sts.sts       CNAME hosting
hosting           A     192.0.2.80
none              MX 0  .
hosted            MX 10 mx
_mta-sts.hosted   CNAME _mta-sts.sts
tlsa              MX 10 mx2
mx2               A     192.0.2.28
_25._tcp.mx2      CNAME _25._tcp.mx
$ANSWER signed ad
$ANSWER broken bogus
$ANSWER dane ad
$ANSWER mx ad
$ANSWER *.mx ad
$ANSWER _25._tcp.mx ad
$ANSWER alias ad
$ANSWER www ad
$ANSWER _25._tcp.www ad
$ANSWER tlsa ad
$ANSWER mx2 ad
$ANSWER _25._tcp.mx2 ad
$ANSWER trouble ad
$ANSWER mx.trouble ad
$ANSWER _25._tcp.mx.trouble servfail
`

func resolver(t *testing.T, trusted bool) *dns.Resolver {
	data, err := zone.Parse(world)
	if err != nil {
		t.Fatal(err)
	}
	r, err := dns.New(dns.Options{
		Servers: []dns.Server{{Address: netip.MustParseAddrPort("127.0.0.1:53"), Trusted: trusted}},
		Signed:  "signed.example", BogusName: "broken.example", Timeout: 5 * time.Second,
		Exchange: dns.ExchangeFunc(func(ctx context.Context, _ dns.Server, network string, q []byte) ([]byte, error) {
			return data.Respond(ctx, network, q)
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestWithResolver goes the whole way with the product's own resolver.
func TestWithResolver(t *testing.T) {
	for _, c := range []struct {
		domain  string
		trusted bool
		want    string
	}{
		{"dane.example", true, "usable mx.example dane"},
		{"dane.example", false, "not available  opportunistic"},
		{"alias.example", true, "usable mx.example dane"},
		{"trouble.example", true, "failed  unusable"},
		{"trouble.example", false, "not available  opportunistic"},
		{"sts.example", true, "insecure  opportunistic"},
		{"hosted.example", true, "usable mx.example dane"}, // an MX answer that is not signed
		{"hosted.example", false, "not available  opportunistic"},
		{"tlsa.example", true, "usable mx2.example dane"}, // the records are an alias
	} {
		r := resolver(t, c.trusted)
		hosts, err := tlspolicy.Hosts(c.domain, r.MX(t.Context(), c.domain))
		if err != nil {
			t.Fatal(c.domain, err)
		}
		d := tlspolicy.LookupDANE(t.Context(), r, hosts[0])
		p := tlspolicy.Plan(hosts[0], d, tlspolicy.STS{}, tlspolicy.Rule{})
		if got := d.State.String() + " " + d.Base + " " + p.Level.String(); got != c.want {
			t.Errorf("%s, trusted %v: %s, want %s (%s)", c.domain, c.trusted, got, c.want, d.Reason)
		}
	}
	r := resolver(t, true)
	if _, err := tlspolicy.Hosts("none.example", r.MX(t.Context(), "none.example")); err != tlspolicy.ErrNullMX {
		t.Error(err)
	}
	record, state, err := tlspolicy.LookupSTSRecord(t.Context(), r, "sts.example")
	if state != tlspolicy.Published || record.ID != "20261122" {
		t.Error(record, state, err)
	}
	record, state, err = tlspolicy.LookupSTSRecord(t.Context(), r, "hosted.example") // RFC 8461 section 8.2
	if state != tlspolicy.Published || record.ID != "20261122" {
		t.Error(record, state, err)
	}
	report, state, err := tlspolicy.LookupReport(t.Context(), r, "sts.example")
	if state != tlspolicy.Published || len(report.Mail) != 1 || report.Mail[0] != "tls@sts.example" {
		t.Error(report, state, err)
	}
	_, state, err = tlspolicy.LookupReport(t.Context(), r, "dane.example")
	if state != tlspolicy.NotPublished || err != nil {
		t.Error(state, err)
	}
	_, err = tlspolicy.FetchSTSPolicy(t.Context(), "nowhere.example", tlspolicy.FetchOptions{Resolver: r})
	if f, ok := err.(*tlspolicy.Failure); !ok || f.Code != "policy-host-address" {
		t.Error(err)
	}
}
