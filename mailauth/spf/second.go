package spf

import (
	"context"
	"net"
	"net/netip"

	library "blitiri.com.ar/go/spf"

	"github.com/postroad/postroad/dns"
	"github.com/postroad/postroad/mailauth"
)

// SecondOpinion gives the verdict of a library that others wrote and many mail
// servers use, through the same resolver. It is more lenient than RFC 7208 where
// the two differ (docs/decisions/0010 lists it): a fault behind the term that
// matches is not seen, for one. So a domain whose two verdicts differ has a record
// that passes at some receivers only.
func SecondOpinion(ctx context.Context, r Resolver, q Query) (mailauth.Result, error) {
	if r == nil {
		r = (*dns.Resolver)(nil)
	}
	e := evaluation{ip: q.IP.Unmap().WithZone("")}
	v := e.identify(q)
	if !e.ip.IsValid() || !isDomain(v.Domain) {
		return mailauth.None, nil // the library leaves these to its caller
	}
	result, err := library.CheckHostWithSender(net.IP(e.ip.AsSlice()), e.helo, v.Sender,
		library.WithContext(ctx), library.WithResolver(bridge{r: r, six: e.ip.Is6()}))
	return mailauth.Result(result), err
}

// bridge is our resolver as the library wants it.
type bridge struct {
	r   Resolver
	six bool // the client has an IPv6 address
}

// known turns what an answer says into the errors that the library understands:
// an absent name and an empty answer are void look-ups, all else is temporary.
func known[T any](name string, a *dns.Answer[T]) error {
	switch a.Status {
	case dns.Found, dns.Empty:
		return nil
	case dns.Absent:
		return &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	case dns.Failed, dns.Bogus:
	}
	text := "no answer"
	if a.Err != nil {
		text = a.Err.Error()
	}
	return &net.DNSError{Err: text, Name: name, IsTimeout: true, IsTemporary: true}
}

// absent is for names that DNS cannot have, which are not asked for.
func absent(name string) error {
	return &net.DNSError{Err: "no such host", Name: clip(name), IsNotFound: true}
}

func trim(name string) string {
	if n := len(name); n > 0 && name[n-1] == '.' {
		return name[:n-1]
	}
	return name
}

func (b bridge) LookupTXT(ctx context.Context, name string) ([]string, error) {
	if name = trim(name); !isDomain(name) {
		return nil, absent(name)
	}
	a := b.r.TXT(ctx, presented(name))
	return a.Records, known(name, &a)
}

func (b bridge) LookupMX(ctx context.Context, name string) ([]*net.MX, error) {
	if name = trim(name); !isName(name) {
		return nil, absent(name)
	}
	a := b.r.MX(ctx, presented(name))
	hosts := make([]*net.MX, len(a.Records))
	for i, mx := range a.Records {
		hosts[i] = &net.MX{Host: mx.Host, Pref: mx.Preference}
	}
	return hosts, known(name, &a)
}

// LookupIPAddr asks for A, and for AAAA as well if the client has an IPv6
// address: the library does not say whether "exists" asks, which wants A.
func (b bridge) LookupIPAddr(ctx context.Context, name string) ([]net.IPAddr, error) {
	if name = trim(name); !isName(name) {
		return nil, absent(name)
	}
	a := b.r.A(ctx, presented(name))
	addrs := appendAddrs(nil, a.Records)
	if !b.six || !a.Status.Known() {
		return addrs, known(name, &a)
	}
	six := b.r.AAAA(ctx, presented(name))
	if addrs = appendAddrs(addrs, six.Records); len(addrs) > 0 {
		return addrs, nil
	}
	return nil, known(name, &six)
}

func appendAddrs(to []net.IPAddr, addrs []netip.Addr) []net.IPAddr {
	for _, addr := range addrs {
		to = append(to, net.IPAddr{IP: net.IP(addr.AsSlice())})
	}
	return to
}

func (b bridge) LookupAddr(ctx context.Context, addr string) ([]string, error) {
	ip, err := netip.ParseAddr(addr)
	if err != nil {
		return nil, absent(addr)
	}
	a := b.r.PTR(ctx, ip)
	return a.Records, known(addr, &a)
}
