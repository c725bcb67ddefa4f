package tlspolicy

import (
	"context"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"testing"
	"time"

	miekg "github.com/miekg/dns"

	"github.com/postroad/postroad/dns"
)

// BenchmarkVerifyDANE proves chains by TLSA records, beside what does the same work
// with less of a result: for DANE-EE miekg/dns, whose Verify compares one record
// with one certificate; for DANE-TA crypto/x509 with the anchor already in a pool.
func BenchmarkVerifyDANE(b *testing.B) {
	p := certificates()
	chain := p.chain(b, "leaf", "inter", "root")
	names := []string{"mx.example.com"}
	for _, c := range []struct {
		name    string
		records []string
	}{
		{"EE", []string{"3 1 1 leaf"}},
		{"EE-rollover", []string{"3 1 1 renewed", "3 1 1 leaf"}},
		{"TA", []string{"2 0 1 root"}},
	} {
		var records []dns.TLSA
		for _, line := range c.records {
			records = append(records, p.tlsa(b, line))
		}
		peer := func() error { return asMiekg(records, chain[0]) }
		if c.name == "TA" {
			roots, between := p.roots(b, "root"), p.roots(b, "inter")
			peer = func() error {
				_, err := chain[0].Verify(x509.VerifyOptions{
					Roots: roots, Intermediates: between, CurrentTime: caseMoment, DNSName: names[0],
				})
				return err
			}
		}
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := VerifyDANE(records, names, chain, caseMoment); err != nil {
					b.Fatal(err)
				}
			}
			ours := time.Duration(b.Elapsed().Nanoseconds() / int64(b.N))
			const turns = 200
			start := time.Now()
			for range turns {
				if err := peer(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(ours)/float64(time.Since(start)/turns), "times-peer")
		})
	}
}

// asMiekg asks miekg/dns about records one after another.
func asMiekg(records []dns.TLSA, c *x509.Certificate) (err error) {
	for _, r := range records {
		theirs := miekg.TLSA{
			Usage: r.Usage, Selector: r.Selector, MatchingType: r.MatchingType, Certificate: hex.EncodeToString(r.Data),
		}
		if err = theirs.Verify(c); err == nil {
			return nil
		}
	}
	return err
}

// still is a resolver with the record of every domain at hand, as a cache has it.
type still struct{ *zone }

func (still) TXT(_ context.Context, name string) dns.Answer[string] {
	return dns.Answer[string]{Name: name, Canonical: name, Status: dns.Found, Records: []string{"v=STSv1; id=1;"}}
}

// BenchmarkSTSGet asks for a policy that is kept, among 10,000 of them: what each
// message costs a relay. There is no peer in Go that keeps policies and is here.
func BenchmarkSTSGet(b *testing.B) {
	cache, err := NewSTSCache(STSOptions{FetchOptions: FetchOptions{Resolver: still{}}})
	if err != nil {
		b.Fatal(err)
	}
	defer cache.Close()
	const domains = 10_000
	name := func(n int) string { return fmt.Sprintf("d%d.example", n%domains) }
	now := time.Now()
	for n := range domains {
		cache.keep(&kept{domain: name(n), id: "1", fetched: now, used: now,
			policy: STSPolicy{Mode: ModeEnforce, MX: []string{"mx." + name(n)}, MaxAge: 604800 * time.Second}})
	}
	names := make([]string, domains)
	for n := range names {
		names[n] = name(n * 7919)
	}
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for n := 0; pb.Next(); n++ {
			s := cache.Get(context.Background(), names[n%domains])
			if s.State != Published || !s.Live {
				b.Error(s.State, s.Failure)
				return
			}
		}
	})
}
