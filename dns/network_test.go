package dns_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	mdns "github.com/miekg/dns"

	"github.com/postroad/postroad/dns"
	"github.com/postroad/postroad/dns/zone"
)

// sockets opens the same port of loopback for UDP and TCP.
func sockets(t testing.TB) (net.PacketConn, net.Listener, dns.Server) {
	t.Helper()
	for range 20 {
		tcp, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		udp, err := net.ListenPacket("udp", tcp.Addr().String())
		if err != nil { // somebody else's
			_ = tcp.Close()
			continue
		}
		t.Cleanup(func() { _, _ = udp.Close(), tcp.Close() })
		return udp, tcp, dns.Server{Address: netip.MustParseAddrPort(tcp.Addr().String())}
	}
	t.Fatal("no port for both UDP and TCP")
	return nil, nil, dns.Server{}
}

// serve answers from zone data over sockets.
func serve(t testing.TB, data *zone.Data) dns.Server {
	t.Helper()
	udp, tcp, server := sockets(t)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- data.Serve(ctx, udp, tcp) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return server
}

// scripted runs what a server does with each UDP query and each TCP connection.
func scripted(t testing.TB, packet func(net.PacketConn, net.Addr, []byte), conn func(net.Conn)) dns.Server {
	t.Helper()
	udp, tcp, server := sockets(t)
	var all sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	all.Go(func() {
		buffer := make([]byte, 4096)
		for {
			n, from, err := udp.ReadFrom(buffer)
			if err != nil {
				return
			}
			packet(udp, from, buffer[:n])
		}
	})
	all.Go(func() {
		for {
			c, err := tcp.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				defer context.AfterFunc(ctx, func() { _ = c.Close() })()
				conn(c)
			})
		}
	})
	t.Cleanup(func() {
		cancel()
		_, _ = udp.Close(), tcp.Close()
		all.Wait()
	})
	return server
}

// reply makes an honest answer to a query: one address.
func reply(query []byte, change func(*mdns.Msg)) []byte {
	var q, m mdns.Msg
	if q.Unpack(query) != nil || len(q.Question) != 1 {
		return nil
	}
	m.SetReply(&q)
	m.RecursionAvailable = true
	m.Answer = []mdns.RR{&mdns.A{
		Hdr: mdns.RR_Header{Name: q.Question[0].Name, Rrtype: mdns.TypeA, Class: mdns.ClassINET, Ttl: 60},
		A:   net.IPv4(192, 0, 2, 1),
	}}
	if change != nil {
		change(&m)
	}
	packed, err := m.Pack()
	if err != nil {
		return nil
	}
	return packed
}

func framed(message []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(message))), message...)
}

func readFramed(c io.Reader) []byte {
	var length [2]byte
	if _, err := io.ReadFull(c, length[:]); err != nil {
		return nil
	}
	query := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(c, query); err != nil {
		return nil
	}
	return query
}

func cut(m *mdns.Msg)     { m.Truncated, m.Answer = true, nil }
func wrongID(m *mdns.Msg) { m.Id++ }

func refuseTCP(net.Conn) {}

func TestServersOnTheWire(t *testing.T) {
	onlyTCP := func(udp net.PacketConn, from net.Addr, q []byte) { _, _ = udp.WriteTo(reply(q, cut), from) }
	answerTCP := func(c net.Conn) {
		if q := readFramed(c); q != nil {
			_, _ = c.Write(framed(reply(q, nil)))
		}
	}
	for _, c := range []struct {
		what   string
		packet func(net.PacketConn, net.Addr, []byte)
		conn   func(net.Conn)
		kind   dns.Kind // "" is found
	}{
		{"forged packets before the right one", func(udp net.PacketConn, from net.Addr, q []byte) {
			for range 50 {
				_, _ = udp.WriteTo(reply(q, wrongID), from)
			}
			_, _ = udp.WriteTo(reply(q, func(m *mdns.Msg) { m.Question[0].Name = "x.example." }), from)
			_, _ = udp.WriteTo(reply(q, func(m *mdns.Msg) { m.Question[0].Qtype = mdns.TypeMX }), from)
			_, _ = udp.WriteTo(reply(q, func(m *mdns.Msg) { m.Response = false }), from)
			_, _ = udp.WriteTo(nil, from)
			_, _ = udp.WriteTo([]byte{q[0], q[1], 0x80}, from)
			_, _ = udp.WriteTo(reply(q, nil), from)
		}, refuseTCP, ""},
		{"a flood of forged packets, then TCP", func(udp net.PacketConn, from net.Addr, q []byte) {
			for range 1000 {
				_, _ = udp.WriteTo(reply(q, wrongID), from)
			}
		}, answerTCP, ""},
		{"only forged packets", func(udp net.PacketConn, from net.Addr, q []byte) {
			_, _ = udp.WriteTo(reply(q, wrongID), from)
		}, refuseTCP, dns.KindTimeout},
		{"another case of letters", func(udp net.PacketConn, from net.Addr, q []byte) {
			_, _ = udp.WriteTo(reply(q, func(m *mdns.Msg) { m.Question[0].Name = "A.eXAMPLE." }), from)
		}, refuseTCP, ""},
		{"a datagram larger than anybody asked for", func(udp net.PacketConn, from net.Addr, q []byte) {
			_, _ = udp.WriteTo(reply(q, func(m *mdns.Msg) {
				for i := range byte(250) {
					m.Answer = append(m.Answer, &mdns.A{Hdr: *m.Answer[0].Header(), A: net.IPv4(192, 0, 2, i)})
				}
			}), from)
		}, answerTCP, ""},
		{"UDP says nothing", func(net.PacketConn, net.Addr, []byte) {}, answerTCP, dns.KindTimeout},
		{"cut, then TCP", onlyTCP, answerTCP, ""},
		{"cut, then TCP that is closed", onlyTCP, refuseTCP, dns.KindUnreachable},
		{"cut, then TCP that says nothing", onlyTCP, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }, dns.KindTimeout},
		{"TCP: wrong ids, then the right one", onlyTCP, func(c net.Conn) {
			if q := readFramed(c); q != nil {
				_, _ = c.Write(append(framed(reply(q, wrongID)), framed(reply(q, nil))...))
			}
		}, ""},
		{"TCP: messages without end", onlyTCP, func(c net.Conn) {
			q := readFramed(c)
			for q != nil {
				if _, err := c.Write(framed(reply(q, wrongID))); err != nil {
					return
				}
			}
		}, dns.KindMalformed},
		{"TCP: empty messages without end", onlyTCP, func(c net.Conn) {
			for readFramed(c) != nil {
				for {
					if _, err := c.Write([]byte{0, 0}); err != nil {
						return
					}
				}
			}
		}, dns.KindMalformed},
		{"TCP: a length that is a lie, closed", onlyTCP, func(c net.Conn) {
			if readFramed(c) != nil {
				_, _ = c.Write([]byte{0xff, 0xff, 1, 2, 3})
			}
		}, dns.KindMalformed},
		{"TCP: a length that is a lie, open", onlyTCP, func(c net.Conn) {
			if readFramed(c) != nil {
				_, _ = c.Write([]byte{0xff, 0xff, 1, 2, 3})
				_, _ = io.Copy(io.Discard, c)
			}
		}, dns.KindTimeout},
		{"TCP: half a length", onlyTCP, func(c net.Conn) {
			if readFramed(c) != nil {
				_, _ = c.Write([]byte{0})
			}
		}, dns.KindUnreachable},
		{"TCP: a length that cuts the message", onlyTCP, func(c net.Conn) {
			if q := readFramed(c); q != nil {
				r := reply(q, nil)
				_, _ = c.Write(framed(r[:len(r)-2]))
			}
		}, dns.KindMalformed},
		{"TCP: cut too", onlyTCP, func(c net.Conn) {
			if q := readFramed(c); q != nil {
				_, _ = c.Write(framed(reply(q, cut)))
			}
		}, dns.KindMalformed},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			server := scripted(t, c.packet, c.conn)
			timeout := 10 * time.Second // of a busy machine
			if c.kind == dns.KindTimeout {
				timeout = 300 * time.Millisecond
			}
			r, err := dns.New(dns.Options{Servers: []dns.Server{server}, Timeout: timeout, Attempts: 2})
			if err != nil {
				t.Fatal(err)
			}
			a := r.A(t.Context(), "a.example")
			if kind(a.Err) != c.kind || (a.Status == dns.Found) != (c.kind == "") {
				t.Errorf("got %+v, want kind %q", a, c.kind)
			}
		})
	}
}

func TestNobodyListens(t *testing.T) {
	udp, tcp, server := sockets(t)
	_, _ = udp.Close(), tcp.Close()
	r, err := dns.New(dns.Options{Servers: []dns.Server{server}})
	if err != nil {
		t.Fatal(err)
	}
	if a := r.A(t.Context(), "a.example"); kind(a.Err) != dns.KindUnreachable {
		t.Errorf("got %+v", a)
	}
}

// 64 KiB of records, and no more, whatever a server has to say.
func TestHuge(t *testing.T) {
	server := serve(t, parse(t, small+`
big  TXT "first"
$ANSWER big tc huge
`))
	r, err := dns.New(dns.Options{Servers: []dns.Server{server}})
	if err != nil {
		t.Fatal(err)
	}
	a := r.TXT(t.Context(), "big.example.com")
	bytes := 0
	for _, text := range a.Records {
		bytes += len(text)
	}
	if a.Status != dns.Found || len(a.Records) < 100 || bytes > 65535 {
		t.Errorf("%v: %d records of %d bytes, %v", a.Status, len(a.Records), bytes, a.Err)
	}
}

// As many records as fit into 64 KiB, and a header that counts more.
func TestThousandsOfRecords(t *testing.T) {
	for count, want := range map[int]dns.Kind{4000: "", 10_000: dns.KindMalformed} {
		r := over(t, nil, dns.Options{Exchange: dns.ExchangeFunc(
			func(_ context.Context, _ dns.Server, network string, q []byte) ([]byte, error) {
				if network == "udp" {
					return reply(q, cut), nil
				}
				packed := reply(q, func(m *mdns.Msg) {
					m.Compress = true
					for i := range 3999 {
						m.Answer = append(m.Answer, &mdns.A{Hdr: *m.Answer[0].Header(), A: net.IPv4(192, 0, byte(i>>8), byte(i))})
					}
				})
				if packed != nil {
					binary.BigEndian.PutUint16(packed[6:], uint16(count))
				}
				return packed, nil
			})})
		a := r.A(t.Context(), "a.example")
		if kind(a.Err) != want || want == "" && len(a.Records) != 4000 {
			t.Errorf("%d: %d records, %v", count, len(a.Records), a.Err)
		}
	}
}

// The end of the caller's context ends it at once, whatever the server does.
func TestLeavingOnTheWire(t *testing.T) {
	server := scripted(t, func(net.PacketConn, net.Addr, []byte) {}, refuseTCP)
	r, err := dns.New(dns.Options{Servers: []dns.Server{server}, Timeout: time.Hour, Total: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if a := r.A(ctx, "a.example"); kind(a.Err) != dns.KindCanceled {
		t.Errorf("got %+v", a)
	}
}

// certificate makes a certificate for names, and what vouches for it.
func certificate(t *testing.T, names ...string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}

func TestOverTLS(t *testing.T) {
	cert, roots := certificate(t, "dns.example", "xn--mnchen-3ya.example")
	_, strangers := certificate(t, "dns.example")
	var connections atomic.Int32
	var once atomic.Bool // closes after each answer
	server := scripted(t, func(net.PacketConn, net.Addr, []byte) {
		t.Error("asked over UDP")
	}, func(raw net.Conn) {
		connections.Add(1)
		c := tls.Server(raw, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12})
		for q := readFramed(c); q != nil; q = readFramed(c) {
			_, _ = c.Write(framed(reply(q, nil)))
			if once.Load() {
				_ = c.Close()
				return
			}
		}
	})
	try := func(name string, roots *x509.CertPool) (*dns.Resolver, dns.Answer[netip.Addr]) {
		s := server
		s.TLSName = name
		r, err := dns.New(dns.Options{Servers: []dns.Server{s}, Roots: roots})
		if err != nil {
			t.Fatal(err)
		}
		return r, r.A(t.Context(), "a.example")
	}
	r, a := try("other.example", roots)
	if kind(a.Err) != dns.KindTLS {
		t.Errorf("another name: %+v", a)
	}
	for _, name := range []string{"b.example", "c.example"} { // also while the server is left alone
		if a := r.A(t.Context(), name); kind(a.Err) != dns.KindTLS {
			t.Errorf("another name: %+v", a)
		}
	}
	if _, a := try("dns.example", strangers); kind(a.Err) != dns.KindTLS {
		t.Errorf("nobody vouches: %+v", a)
	}
	for _, name := range []string{"DNS.example.", "münchen.example"} {
		if _, a := try(name, roots); a.Status != dns.Found {
			t.Errorf("%s: %+v", name, a)
		}
	}
	connections.Store(0)
	r, a = try("dns.example", roots)
	if a.Status != dns.Found || a.Security != dns.Unavailable {
		t.Errorf("got %+v", a)
	}
	for _, name := range []string{"b.example", "c.example"} {
		if a := r.A(t.Context(), name); a.Status != dns.Found {
			t.Errorf("got %+v", a)
		}
	}
	if n := connections.Load(); n != 1 {
		t.Errorf("%d connections for three questions, want 1", n)
	}
	once.Store(true)
	for _, name := range []string{"d.example", "e.example", "f.example"} {
		if a := r.A(t.Context(), name); a.Status != dns.Found {
			t.Errorf("a connection that the server closed: %+v", a)
		}
	}
}

// Many questions at once each get their own answer.
func TestManyOnTheWire(t *testing.T) {
	var text strings.Builder
	text.WriteString(small)
	for i := range 250 {
		fmt.Fprintf(&text, "n%d A 192.0.2.%d\n", i, i)
	}
	r, err := dns.New(dns.Options{Servers: []dns.Server{serve(t, parse(t, text.String()))}, Asking: 50})
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for i := range 250 {
		all.Go(func() {
			a := r.A(t.Context(), fmt.Sprintf("n%d.example.com", i))
			if want := netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}); len(a.Records) != 1 || a.Records[0] != want {
				t.Errorf("n%d: %+v", i, a)
			}
		})
	}
	all.Wait()
}
