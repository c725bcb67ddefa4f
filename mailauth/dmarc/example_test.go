package dmarc_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"github.com/postroad/postroad/dns"
	"github.com/postroad/postroad/mailauth"
	"github.com/postroad/postroad/mailauth/dmarc"
)

// records stands for a *dns.Resolver.
type records map[string]string

func (r records) TXT(_ context.Context, name string) dns.Answer[string] {
	if text, ok := r[name]; ok {
		return dns.Answer[string]{Name: name, Status: dns.Found, Records: []string{text}}
	}
	return dns.Answer[string]{Name: name, Status: dns.Absent}
}

func (r records) A(_ context.Context, name string) dns.Answer[netip.Addr] {
	return dns.Answer[netip.Addr]{Name: name, Status: dns.Absent}
}

// A message of a sub-domain that a service provider signed for itself.
func ExampleEvaluate() {
	resolver := records{"_dmarc.example.com": "v=DMARC1; p=reject; sp=quarantine; rua=mailto:dmarc@example.com"}
	from := dmarc.ParseFrom("News <hello@news.example.com>")

	v := dmarc.Evaluate(context.Background(), resolver, dmarc.Input{
		From: from.Domains,
		SPF:  dmarc.Identifier{Domain: "bounce.esp.example", Result: mailauth.Pass},
		DKIM: []dmarc.Identifier{{Domain: "esp.example", Selector: "s1", Result: mailauth.Pass}},
	})

	fmt.Println(v.Result, v.Disposition, "by", v.Tag, "at", v.Discovery.At)
	for _, step := range v.Discovery.Steps {
		fmt.Println(step.Name, step.Status)
	}
	field := mailauth.Results{AuthServID: "mx.example.net", Methods: []mailauth.MethodResult{v.Method()}}
	fmt.Print(strings.ReplaceAll(string(field.Append(nil)), "\r\n", "\n"))
	// Output:
	// fail quarantine by sp at example.com
	// _dmarc.news.example.com absent
	// _dmarc.example.com found
	// _dmarc.com absent
	// Authentication-Results: mx.example.net;
	//  dmarc=fail (p=quarantine dis=quarantine) header.from=news.example.com
}
