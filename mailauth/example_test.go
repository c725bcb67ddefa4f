package mailauth_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"net/netip"

	"github.com/postroad/postroad/dns"
	"github.com/postroad/postroad/dns/zone"
	"github.com/postroad/postroad/mailauth"
	"github.com/postroad/postroad/mailauth/dkim"
	"github.com/postroad/postroad/mailauth/dmarc"
	"github.com/postroad/postroad/mailauth/spf"
)

// What a server does with a message: every method once, and one field that says what they came to.
func Example() {
	ctx := context.Background()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	mail, resolver := signedMail(ctx, key)

	client := netip.MustParseAddr("192.0.2.25")
	sender := spf.Check(ctx, resolver, spf.Query{IP: client, Helo: "out.example.com", From: "news@bounce.example.com"})
	signatures, chain, err := dkim.VerifyAll(ctx, resolver, dkim.NewMessage(mail), dkim.Options{})
	if err != nil {
		panic(err) // no mail, or ctx is done
	}
	in := dmarc.Input{
		From: dmarc.ParseFrom("News <news@example.com>").Domains,
		SPF:  dmarc.Identifier{Domain: sender.Domain, Result: sender.Result},
	}
	for _, s := range signatures.Signatures {
		in.DKIM = append(in.DKIM, dmarc.Identifier{Domain: s.Domain, Selector: s.Selector, Result: s.Result})
	}
	verdict := dmarc.Evaluate(ctx, resolver, in)

	results := mailauth.Results{AuthServID: "mx.example.net"}
	results.Methods = append(results.Methods, sender.Method())
	results.Methods = append(results.Methods, signatures.Methods()...)
	results.Methods = append(results.Methods, chain.Method(), verdict.Method())
	field := results.Append(nil) // goes before the message

	read, err := mailauth.Parse(string(field[len("Authentication-Results:"):]))
	fmt.Println(read.AuthServID, err)
	for _, m := range read.Methods {
		fmt.Println(m.Method, m.Result)
	}
	// Output:
	// mx.example.net <nil>
	// spf pass
	// dkim pass
	// arc none
	// dmarc pass
}

// signedMail gives a mail as example.com sends it, and the DNS of example.com.
func signedMail(ctx context.Context, key *rsa.PrivateKey) ([]byte, *dns.Resolver) {
	const mail = "From: News <news@example.com>\r\nTo: ben@example.net\r\nSubject: Spring\r\n\r\nIt is here.\r\n"
	signer, err := dkim.NewSigner(dkim.SignOptions{
		Keys: []dkim.Key{{Domain: "example.com", Selector: "s2026", Private: key}},
	})
	if err != nil {
		panic(err)
	}
	fields, err := signer.Sign(ctx, dkim.NewMessage([]byte(mail)))
	if err != nil {
		panic(err)
	}
	record, err := dkim.NewKeyRecord(key.Public())
	if err != nil {
		panic(err)
	}
	data, err := zone.Parse(`
bounce.example.com. TXT "v=spf1 ip4:192.0.2.0/24 -all"
_dmarc.example.com. TXT "v=DMARC1; p=reject; rua=mailto:dmarc@example.com"
` + record.Zone("s2026._domainkey.example.com") + "\n")
	if err != nil {
		panic(err)
	}
	resolver, err := dns.New(dns.Options{
		Servers: []dns.Server{{Address: netip.MustParseAddrPort("192.0.2.53:53")}},
		Exchange: dns.ExchangeFunc(func(ctx context.Context, _ dns.Server, network string, query []byte) ([]byte, error) {
			return data.Respond(ctx, network, query)
		}),
	})
	if err != nil {
		panic(err)
	}
	return append(fields, mail...), resolver
}
