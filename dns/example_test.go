package dns_test

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/postroad/postroad/dns"
	"github.com/postroad/postroad/dns/zone"
)

// A resolver over zone data in memory, as tests have it. Without Exchange it
// asks the servers over the network.
func ExampleNew() {
	data, err := zone.Parse(`
$ORIGIN example.com.
@    SOA ns hostmaster 1 3600 600 86400 60
@    MX  20 b
@    MX  10 a
@    TXT "v=spf1 " "mx -all"
a    A   192.0.2.1
$ANSWER b servfail
`)
	if err != nil {
		fmt.Println(err)
		return
	}
	resolver, err := dns.New(dns.Options{
		Servers: []dns.Server{{Address: netip.MustParseAddrPort("192.0.2.53:53")}},
		Exchange: dns.ExchangeFunc(func(ctx context.Context, _ dns.Server, network string, query []byte) ([]byte, error) {
			return data.Respond(ctx, network, query)
		}),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	fmt.Println(resolver.MX(ctx, "Example.COM.").Records)
	fmt.Println(resolver.TXT(ctx, "example.com").Records)
	for _, host := range []string{"a.example.com", "b.example.com", "c.example.com"} {
		a := resolver.A(ctx, host)
		fmt.Println(host, a.Status, a.Security, a.Records, a.Err)
	}
	// Output:
	// [{10 a.example.com} {20 b.example.com}]
	// [v=spf1 mx -all]
	// a.example.com found unavailable [192.0.2.1] <nil>
	// b.example.com failed unavailable [] look up A of "b.example.com": servfail (server 192.0.2.53:53): SERVFAIL
	// c.example.com absent unavailable [] <nil>
}
