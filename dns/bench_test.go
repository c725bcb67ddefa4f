package dns_test

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	mdns "github.com/miekg/dns"

	"github.com/postroad/postroad/dns"
)

// What is in the cache: the way of nearly all questions of mail. SPF at 50,000
// checks a second leaves 2 µs for each of ten look-ups on one core.
func BenchmarkCached(b *testing.B) {
	r := over(b, parse(b, small), dns.Options{})
	ctx := b.Context()
	names := make([]string, 10_000)
	for i := range names {
		names[i] = fmt.Sprintf("host%d.example.com", i)
		r.A(ctx, names[i])
	}
	r.A(ctx, "a.example.com")
	b.Run("one name", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if !r.A(ctx, "a.example.com").Cached {
				b.Fatal("not from the cache")
			}
		}
	})
	b.Run("10000 names", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if !r.A(ctx, names[i%len(names)]).Cached {
				b.Fatal("not from the cache")
			}
		}
	})
	b.Run("upper case", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r.A(ctx, "A.Example.com.")
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for i := 0; pb.Next(); i++ {
				r.A(ctx, names[i%len(names)])
			}
		})
	})
}

// What is not: packing, one exchange in memory, reading, keeping.
func BenchmarkMiss(b *testing.B) {
	r := over(b, nil, dns.Options{CacheEntries: 1, Exchange: dns.ExchangeFunc(
		func(_ context.Context, _ dns.Server, _ string, q []byte) ([]byte, error) { return reply(q, nil), nil })})
	ctx := b.Context()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if a := r.A(ctx, [...]string{"a.example.com", "b.example.com"}[i%2]); a.Cached || a.Status != dns.Found {
			b.Fatalf("got %+v", a)
		}
	}
}

// The same over loopback, beside the wire library's own client and Go's
// resolver: their time as a multiple of ours.
func BenchmarkOverLoopback(b *testing.B) {
	server := scripted(b, func(udp net.PacketConn, from net.Addr, q []byte) { _, _ = udp.WriteTo(reply(q, nil), from) },
		func(net.Conn) {})
	ctx := b.Context()
	names := [...]string{"a.example.com", "b.example.com"}
	r, err := dns.New(dns.Options{Servers: []dns.Server{server}, CacheEntries: 1})
	if err != nil {
		b.Fatal(err)
	}
	client := &mdns.Client{}
	standard := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, server.Address.String())
	}}
	var base time.Duration
	for _, c := range []struct {
		who string
		ask func(name string) error
	}{
		{"ours", func(name string) error { return r.A(ctx, name).Err }},
		{"miekg", func(name string) error {
			m := new(mdns.Msg).SetQuestion(name+".", mdns.TypeA)
			m.SetEdns0(1232, false)
			_, _, err := client.ExchangeContext(ctx, m, server.Address.String())
			return err
		}},
		{"net.Resolver", func(name string) error {
			_, err := standard.LookupNetIP(ctx, "ip4", name+".")
			return err
		}},
	} {
		b.Run(c.who, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if err := c.ask(names[i%2]); err != nil {
					b.Fatal(err)
				}
			}
			if took := b.Elapsed() / time.Duration(b.N); c.who == "ours" {
				base = took
			} else if base > 0 {
				b.ReportMetric(float64(took)/float64(base), "x-ours")
			}
		})
	}
}
