package spf

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	library "blitiri.com.ar/go/spf"

	"github.com/postroad/postroad/dns"
	"github.com/postroad/postroad/mailauth"
)

// outside is a zone as senders have it: a company with its own hosts and three
// large services, whose records are as long and as nested as the real ones.
func outside() memory {
	m := memory{}
	blocks := func(prefix string, from, n int, v6 bool) string {
		var terms []string
		for i := range n {
			if v6 {
				terms = append(terms, fmt.Sprintf("ip6:2001:db8:%x::/48", from+i))
			} else {
				terms = append(terms, fmt.Sprintf("ip4:%s.%d.0/%d", prefix, from+i, 19+i%6))
			}
		}
		return strings.Join(terms, " ")
	}
	m.at("company.example").txt = []string{
		"site-verification=4RPbJ6QvVJ9mWkD2Xc3n7q8sT5u1yZ0aBcDeFgHiJk",
		"v=spf1 include:_spf.mailhost.example include:spf.office.example include:spf.newsletter.example mx ~all",
	}
	m.at("_spf.mailhost.example").txt = []string{
		"v=spf1 include:_netblocks.mailhost.example include:_netblocks2.mailhost.example include:_netblocks3.mailhost.example ~all",
	}
	m.at("_netblocks.mailhost.example").txt = []string{"v=spf1 " + blocks("10.1", 10, 14, false) + " ~all"}
	m.at("_netblocks2.mailhost.example").txt = []string{"v=spf1 " + blocks("", 10, 6, true) + " ~all"}
	m.at("_netblocks3.mailhost.example").txt = []string{"v=spf1 " + blocks("10.2", 10, 8, false) + " ~all"}
	m.at("spf.office.example").txt = []string{"v=spf1 " + blocks("10.3", 10, 10, false) + " " + blocks("", 40, 3, true) + " -all"}
	m.at("spf.newsletter.example").txt = []string{"v=spf1 " + blocks("10.4", 10, 12, false) + " ip4:198.51.100.0/25 ~all"}
	m.at("company.example").mx = []dns.MX{{Preference: 10, Host: "mx1.company.example"}, {Preference: 20, Host: "mx2.company.example"}}
	m.at("mx1.company.example").addrs = []netip.Addr{netip.MustParseAddr("203.0.113.10")}
	m.at("mx2.company.example").addrs = []netip.Addr{netip.MustParseAddr("203.0.113.20")}
	m.at("small.example").txt = []string{"v=spf1 ip4:192.0.2.10 -all"}
	m.at("strict.example").txt = []string{"v=spf1 a mx include:spf.office.example -all"}
	m.at("strict.example").mx = m.at("company.example").mx
	m.at("strict.example").addrs = m.at("mx1.company.example").addrs
	return m
}

var scenes = []struct {
	name, ip, from string
	want           mailauth.Result
}{
	{"deep", "198.51.100.9", "news@company.example", mailauth.Pass},
	{"simple", "192.0.2.10", "info@small.example", mailauth.Pass},
	{"fail", "192.0.2.99", "info@strict.example", mailauth.Fail},
}

// maps is the in-memory DNS that the peer gets: no work but a look into a map.
type maps struct {
	txt map[string][]string
	mx  map[string][]*net.MX
	ip  map[string][]net.IPAddr
}

func (m memory) maps() *maps {
	p := &maps{map[string][]string{}, map[string][]*net.MX{}, map[string][]net.IPAddr{}}
	for name, e := range m {
		p.txt[name] = e.txt
		p.ip[name] = appendAddrs(nil, e.addrs)
		for _, mx := range e.mx {
			p.mx[name] = append(p.mx[name], &net.MX{Host: mx.Host, Pref: mx.Preference})
		}
	}
	return p
}

func (p *maps) LookupTXT(_ context.Context, name string) ([]string, error)       { return p.txt[name], nil }
func (p *maps) LookupMX(_ context.Context, name string) ([]*net.MX, error)       { return p.mx[name], nil }
func (p *maps) LookupIPAddr(_ context.Context, n string) ([]net.IPAddr, error)   { return p.ip[n], nil }
func (p *maps) LookupAddr(_ context.Context, _ string) (names []string, e error) { return nil, nil }

// BenchmarkCheck measures checks a second with all answers in the cache of the
// resolver: one at a time, on all processors, with the tree, and the library on a
// map in memory and on the same resolver. "x-library" is how many times as fast
// as the library on a map.
func BenchmarkCheck(b *testing.B) {
	zone := outside()
	resolver := zone.resolver(b)
	checker := New(Options{Resolver: resolver})
	peer := zone.maps()
	ctx := context.Background()
	for _, scene := range scenes {
		q := Query{IP: netip.MustParseAddr(scene.ip), Helo: "mail.example.net", From: scene.from}
		if v := checker.Check(ctx, q); v.Result != scene.want {
			b.Fatalf("%s: %+v", scene.name, v)
		}
		byLibrary := func(n int) time.Duration {
			ip, start := net.IP(q.IP.AsSlice()), time.Now()
			for range n {
				r, _ := library.CheckHostWithSender(ip, q.Helo, q.From, library.WithContext(ctx), library.WithResolver(peer))
				if mailauth.Result(r) != scene.want {
					b.Fatal(r)
				}
			}
			return time.Since(start)
		}
		rate := func(b *testing.B) { b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "checks/s") }
		b.Run(scene.name+"/check", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if v := checker.Check(ctx, q); v.Result != scene.want {
					b.Fatal(v)
				}
			}
			rate(b)
			const n = 2000
			b.ReportMetric(float64(byLibrary(n))/n/(float64(b.Elapsed())/float64(b.N)), "x-library")
		})
		b.Run(scene.name+"/parallel", func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					checker.Check(ctx, q)
				}
			})
			rate(b)
		})
		b.Run(scene.name+"/walk", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if w := checker.Walk(ctx, q); w.Result != scene.want {
					b.Fatal(w.Verdict)
				}
			}
			rate(b)
		})
		b.Run(scene.name+"/walk-parallel", func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					checker.Walk(ctx, q)
				}
			})
			rate(b)
		})
		b.Run(scene.name+"/library-on-map", func(b *testing.B) {
			byLibrary(b.N)
			rate(b)
		})
		b.Run(scene.name+"/library-on-resolver", func(b *testing.B) {
			for b.Loop() {
				if r, err := SecondOpinion(ctx, resolver, q); r != scene.want {
					b.Fatal(r, err)
				}
			}
			rate(b)
		})
	}
}

// BenchmarkParse measures reading one record of 14 networks.
func BenchmarkParse(b *testing.B) {
	text := outside().at("_netblocks.mailhost.example").txt[0]
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(text); err != nil {
			b.Fatal(err)
		}
	}
}
