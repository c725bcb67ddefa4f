package dns

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Server is a recursive resolver that may be asked.
type Server struct {
	Address netip.AddrPort

	// Trusted says that this server validates DNSSEC and that nobody can change
	// its answers on the way: its AD bit is believed once it passed the
	// self-test. Only a server on a loopback address or with a TLSName may be
	// trusted.
	Trusted bool

	// TLSName makes it DNS over TLS (RFC 7858): the name that the server's
	// certificate must prove (RFC 8310 section 8.1). Address then has port 853.
	TLSName string
}

// Exchanger carries one query to a server and brings its reply, over network
// "udp", "tcp" or "tls". Both are DNS messages without the length prefix of
// TCP. It ends when ctx ends. A reply with another id or question is the
// Exchanger's to skip where others may follow; the resolver looks again.
type Exchanger interface {
	Exchange(ctx context.Context, server Server, network string, query []byte) (reply []byte, err error)
}

// ExchangeFunc is an Exchanger made of a function.
type ExchangeFunc func(ctx context.Context, server Server, network string, query []byte) (reply []byte, err error)

// Exchange calls f.
func (f ExchangeFunc) Exchange(ctx context.Context, server Server, network string, query []byte) ([]byte, error) {
	return f(ctx, server, network, query)
}

// Options say how a Resolver works. Zero values stand for what is written.
type Options struct {
	// Servers are asked in this order: the next where one fails. At least one.
	// Either all are trusted or none: who can silence a trusted server would else
	// take DNSSEC away from us.
	Servers []Server

	Exchange Exchanger      // how queries get there; nil: over the network
	Roots    *x509.CertPool // who may vouch for a TLSName; nil: the system's

	Timeout  time.Duration // for one try; 4 s
	Attempts int           // tries of one question over all servers together; 3, or one for each server
	Total    time.Duration // for one question with all its tries and CNAMEs; 20 s
	Asking   int           // questions on their way at once, others wait; 512
	UDPSize  uint16        // the largest reply wanted over UDP, 512 to 4095 (RFC 6891); 1232

	CacheEntries int           // answers kept; 100,000
	CacheBytes   int           // memory for them, about; 64 MiB
	MaxTTL       time.Duration // no record is kept longer; 24 h
	NegativeTTL  time.Duration // no absence is kept longer (RFC 2308 section 5); 1 h
	FailureTTL   time.Duration // how long nobody asks again what just failed (RFC 9520 section 3.2); 5 s

	// The self-test asks a trusted server for the SOA of Signed, which must come
	// with AD, and of BogusName, whose signatures must be wrong on purpose, which
	// must be refused. The root and dnssec-failed.org.
	Signed, BogusName string
	Retest            time.Duration // a test that passed is made again after it; 1 h
}

// filled gives the options with the standing values in place of zeros.
func (o Options) filled() Options {
	number(&o.Timeout, 4*time.Second)
	number(&o.Attempts, max(3, len(o.Servers)))
	number(&o.Total, 20*time.Second)
	number(&o.Asking, 512)
	number(&o.UDPSize, 1232)
	number(&o.CacheEntries, 100_000)
	number(&o.CacheBytes, 64<<20)
	number(&o.MaxTTL, 24*time.Hour)
	number(&o.NegativeTTL, time.Hour)
	number(&o.FailureTTL, 5*time.Second)
	number(&o.Retest, time.Hour)
	if o.Signed == "" {
		o.Signed = Root
	}
	if o.BogusName == "" {
		o.BogusName = "dnssec-failed.org"
	}
	o.UDPSize = min(max(o.UDPSize, 512), datagram-1) // RFC 6891 section 6.2.3
	// RFC 9520 section 3.2 and RFC 2308 section 7: at most five minutes.
	o.FailureTTL = min(o.FailureTTL, 5*time.Minute)
	return o
}

func number[T int | uint16 | time.Duration](value *T, standing T) {
	if *value <= 0 {
		*value = standing
	}
}

// check refuses servers that cannot be asked or must not be trusted, in words
// that say what to do.
func (o Options) check() error {
	if len(o.Servers) == 0 {
		return errors.New("no DNS server to ask: name at least one, for example those of /etc/resolv.conf")
	}
	for _, s := range o.Servers {
		if !s.Address.IsValid() || s.Address.Port() == 0 {
			return fmt.Errorf("no address with a port: %q: write the DNS server as 192.0.2.53:53", s.Address)
		}
		if s.Trusted && s.TLSName == "" && !s.Address.Addr().IsLoopback() {
			return fmt.Errorf("will not trust %s: whoever is on the way to it can forge its answers; "+
				"trust a validating resolver on a loopback address, or use DNS over TLS with the name in its certificate",
				s.Address)
		}
		if s.Trusted != o.Servers[0].Trusted {
			return fmt.Errorf("will not ask both %s, which is trusted, and %s, which is not: whoever silences the one "+
				"could forge the answers of the other; trust all servers or none",
				o.one(true).Address, o.one(false).Address)
		}
		if s.TLSName != "" {
			if name, err := ParseName(s.TLSName); err != nil || name == Root {
				return fmt.Errorf("no name for the certificate of %s: %q: write it as dns.example", s.Address, s.TLSName)
			}
		}
	}
	for _, name := range []string{o.Signed, o.BogusName} {
		if _, err := ParseName(name); err != nil {
			return fmt.Errorf("cannot be used for the self-test: %w", err)
		}
	}
	return nil
}

// one gives a server that is trusted, or one that is not.
func (o Options) one(trusted bool) (s Server) {
	if i := slices.IndexFunc(o.Servers, func(s Server) bool { return s.Trusted == trusted }); i >= 0 {
		s = o.Servers[i]
	}
	return s
}

// servers gives the servers as they are asked; they have passed check.
func (o Options) servers() []Server {
	servers := slices.Clone(o.Servers)
	for i, s := range servers {
		if s.TLSName != "" {
			servers[i].TLSName, _ = parseName(s.TLSName)
		}
	}
	return servers
}
