package dns_test

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	mdns "github.com/miekg/dns"

	"github.com/postroad/postroad/dns"
	"github.com/postroad/postroad/dns/zone"
)

// validating is the data of a server that behaves as a validating resolver
// does, for a world of three names.
const validating = `
$ORIGIN example.
$TTL 300
@        SOA ns hostmaster 1 3600 600 86400 60
         NS  ns
signed   SOA ns hostmaster 1 3600 600 86400 60
         NS  ns
         A   192.0.2.2
www.signed  CNAME unsigned
both.signed CNAME signed
back     CNAME signed
unsigned A   192.0.2.3
broken   A   203.0.113.66
$ANSWER signed ad
$ANSWER *.signed ad
$ANSWER broken bogus
`

func trusting(servers ...dns.Server) dns.Options {
	return dns.Options{Servers: servers, Signed: "signed.example", BogusName: "broken.example", Timeout: time.Second}
}

func TestSelfTest(t *testing.T) {
	for _, c := range []struct {
		what, change string // lines of $ANSWER, with the zone's origin
		passed       bool
		reason       string
	}{
		{"a validating resolver", "", true, "validates"},
		{"AD on everything", "$ANSWER * ad\n$ANSWER broken ad", false, "is not refused"},
		{"no AD", "$ANSWER signed tc", false, "has no AD bit"},
		{"AD only", "$ANSWER broken noedns", false, "is not refused"},
		{"cut off from the world", "$ANSWER signed servfail", false, "SERVFAIL"},
		{"cut off from the bogus name", "$ANSWER broken servfail", false, "is refused with checking disabled too"},
		{"refuses all", "$ANSWER signed refused", false, "REFUSED"},
		{"silent", "$ANSWER signed drop", false, "no answer to the self-test"},
		{"silent about the bogus name", "$ANSWER broken drop", false, "no answer to the self-test"},
	} {
		t.Run(c.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := trusting(local)
				r := over(t, parse(t, validating+c.change+"\n"), o)
				if before := r.Trust(); len(before) != 1 || before[0].Passed || !before[0].Tested.IsZero() {
					t.Errorf("before: %+v", before)
				}
				got := r.SelfTest(t.Context())
				if len(got) != 1 || got[0].Passed != c.passed || !strings.Contains(got[0].Reason, c.reason) ||
					got[0].Server != local || got[0].Tested.IsZero() {
					t.Errorf("got %+v, want passed %v, %q", got, c.passed, c.reason)
				}
				want := dns.Unavailable
				if c.passed {
					want = dns.Insecure
				}
				if a := r.A(t.Context(), "unsigned.example"); a.Status != dns.Found || a.Security != want {
					t.Errorf("got %+v, want %v", a, want)
				}
			})
		})
	}
	r := over(t, parse(t, validating), dns.Options{})
	if got := r.SelfTest(t.Context()); got != nil {
		t.Errorf("no trusted server, and %+v", got)
	}
}

func TestSecurity(t *testing.T) {
	r := over(t, parse(t, validating), trusting(local))
	for _, c := range []struct {
		name     string
		status   dns.Status
		security dns.Security
	}{
		{"signed.example", dns.Found, dns.Secure},
		{"unsigned.example", dns.Found, dns.Insecure},
		{"both.signed.example", dns.Found, dns.Secure},
		{"absent.signed.example", dns.Absent, dns.Secure},
		{"absent.example", dns.Absent, dns.Insecure},
		{"broken.example", dns.Bogus, dns.Unavailable},
	} {
		a := r.A(t.Context(), c.name)
		if a.Status != c.status || a.Security != c.security || (a.Status == dns.Bogus) != (kind(a.Err) == dns.KindBogus) {
			t.Errorf("%s: %+v, want %v %v", c.name, a, c.status, c.security)
		}
	}
	if a := r.MX(t.Context(), "signed.example"); a.Status != dns.Empty || a.Security != dns.Secure {
		t.Errorf("no MX: %+v", a)
	}
	// Without a server that is trusted the same AD bits mean nothing.
	a := over(t, parse(t, validating+"$ANSWER * ad\n"), dns.Options{}).A(t.Context(), "signed.example")
	if a.Status != dns.Found || a.Security != dns.Unavailable {
		t.Errorf("untrusted: %+v", a)
	}
}

// A chain that is asked for in two steps is as secure as its weaker step.
func TestSecurityOfChain(t *testing.T) {
	data := parse(t, validating)
	r := over(t, nil, func() dns.Options {
		o := trusting(local)
		o.Exchange = dns.ExchangeFunc(func(ctx context.Context, _ dns.Server, network string, q []byte) ([]byte, error) {
			reply, err := data.Respond(ctx, network, q)
			if err != nil {
				return nil, err
			}
			var m mdns.Msg
			if err := m.Unpack(reply); err != nil {
				return nil, err
			}
			if len(m.Answer) == 2 { // only the alias
				m.Answer = m.Answer[:1]
				m.Answer[0].Header().Ttl = 17
			}
			return m.Pack()
		})
		return o
	}())
	if a := r.A(t.Context(), "www.signed.example"); a.Status != dns.Found || a.Security != dns.Insecure ||
		a.Canonical != "unsigned.example" {
		t.Errorf("got %+v, want insecure", a)
	}
	if a := r.A(t.Context(), "back.example"); a.Status != dns.Found || a.Security != dns.Insecure {
		t.Errorf("got %+v, want insecure", a)
	}
	if a := r.A(t.Context(), "both.signed.example"); a.Status != dns.Found || a.Security != dns.Secure ||
		a.TTL != 17*time.Second {
		t.Errorf("got %+v, want secure", a)
	}
}

// A server that does not give reasons is asked again without checking.
func TestBogusWithoutReason(t *testing.T) {
	data := parse(t, validating+"$ANSWER down servfail\n")
	o := trusting(local)
	asked := 0
	o.Exchange = dns.ExchangeFunc(func(ctx context.Context, _ dns.Server, network string, q []byte) ([]byte, error) {
		reply, err := data.Respond(ctx, network, q)
		if err != nil {
			return nil, err
		}
		asked++
		var m mdns.Msg
		if err := m.Unpack(reply); err != nil {
			return nil, err
		}
		m.Extra = nil
		return m.Pack()
	})
	r := over(t, nil, o)
	if trust := r.SelfTest(t.Context()); !trust[0].Passed {
		t.Fatalf("self-test: %+v", trust)
	}
	asked = 0
	if a := r.A(t.Context(), "broken.example"); a.Status != dns.Bogus || kind(a.Err) != dns.KindBogus || asked != 2 {
		t.Errorf("got %+v after %d queries, want bogus after 2", a, asked)
	}
	if a := r.A(t.Context(), "down.example"); a.Status != dns.Failed || kind(a.Err) != dns.KindServFail {
		t.Errorf("got %+v, want failed", a)
	}
}

// other is a second server of this machine.
var other = dns.Server{Address: netip.MustParseAddrPort("127.0.0.2:53"), Trusted: true}

// What validation refused is not asked of another server.
func TestBogusIsFinal(t *testing.T) {
	o := trusting(local, other)
	o.Exchange = &outside{data: map[dns.Server]*zone.Data{
		local: parse(t, validating+"$ANSWER unsigned bogus\n"), other: parse(t, validating),
	}}
	r := over(t, nil, o)
	if a := r.A(t.Context(), "unsigned.example"); a.Status != dns.Bogus || a.Records != nil {
		t.Errorf("got %+v, want bogus", a)
	}
}

// Where one of two trusted servers is down the other proves as much.
func TestTrustedServerIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &outside{
			data: map[dns.Server]*zone.Data{local: parse(t, validating), other: parse(t, validating)},
			dead: map[dns.Server]error{local: io.EOF},
		}
		o := trusting(local, other)
		o.Exchange = out
		r := over(t, nil, o)
		a := r.A(t.Context(), "signed.example")
		if a.Status != dns.Found || a.Security != dns.Secure || a.Server != "127.0.0.2:53" {
			t.Errorf("got %+v", a)
		}
		out.kill(local, nil)
		pass(time.Minute)
		if a := r.MX(t.Context(), "signed.example"); a.Security != dns.Secure || a.Server != "127.0.0.1:53" {
			t.Errorf("a minute after the server is back: %+v", a)
		}
	})
}

// A trusted server that does not validate is asked only while none does: not
// when the one that does is silent, or does not know.
func TestOneOfTwoValidates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		liar := parse(t, validating)
		if err := liar.Behave("broken.example.", ""); err != nil {
			t.Fatal(err)
		}
		out := &outside{
			data: map[dns.Server]*zone.Data{local: liar, other: parse(t, validating+"$ANSWER unsigned servfail\n")},
			dead: map[dns.Server]error{},
		}
		o := trusting(local, other)
		o.Exchange = out
		r := over(t, nil, o)
		if a := r.A(t.Context(), "signed.example"); a.Security != dns.Secure || a.Server != "127.0.0.2:53" {
			t.Errorf("got %+v, want the answer of the second server", a)
		}
		if a := r.A(t.Context(), "unsigned.example"); kind(a.Err) != dns.KindServFail {
			t.Errorf("got %+v, want servfail", a)
		}
		out.kill(other, io.EOF)
		for _, name := range []string{"a.example", "b.example", "c.example"} {
			if a := r.A(t.Context(), name); a.Status != dns.Failed || a.Server == "127.0.0.1:53" {
				t.Errorf("got %+v, want failed", a)
			}
		}
	})
	// None validates: the answers are there, and prove nothing.
	liar := parse(t, validating)
	if err := liar.Behave("broken.example.", ""); err != nil {
		t.Fatal(err)
	}
	a := over(t, liar, trusting(local, other)).A(t.Context(), "signed.example")
	if a.Status != dns.Found || a.Security != dns.Unavailable || a.TTL > time.Minute {
		t.Errorf("got %+v", a)
	}
}

// Who can keep a server from the names of the self-test cannot switch off what
// was passed before.
func TestUnclearRetest(t *testing.T) {
	for _, c := range []struct {
		what, words string
		secure      dns.Security
	}{
		{"broken.example.", "servfail", dns.Secure},
		{"broken.example.", "drop", dns.Secure},
		{"broken.example.", "refused", dns.Secure},
		{"signed.example. SOA", "servfail", dns.Secure},
		{"signed.example. SOA", "drop", dns.Secure},
		{"broken.example.", "", dns.Unavailable},
		{"broken.example.", "nxdomain", dns.Unavailable},
		{"signed.example. SOA", "", dns.Unavailable},
	} {
		t.Run(c.what+" "+c.words, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				data := parse(t, validating+"$ANSWER signed SOA ad\n")
				r := over(t, data, trusting(local))
				if a := r.A(t.Context(), "signed.example"); a.Security != dns.Secure {
					t.Fatalf("got %+v", a)
				}
				words := c.words
				if words == "" {
					words = "tc" // honest, and without AD
				}
				if err := data.Behave(c.what, words); err != nil {
					t.Fatal(err)
				}
				pass(61 * time.Minute)
				a := r.A(t.Context(), "signed.example")
				if trust := r.Trust(); a.Security != c.secure || trust[0].Passed != (c.secure == dns.Secure) ||
					strings.HasPrefix(trust[0].Reason, "validates") {
					t.Errorf("%+v after %+v", a, trust)
				}
			})
		})
	}
}

// A server that could not show that it validates when it was first asked is
// believed soon after it can.
func TestLateStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := parse(t, validating+"$ANSWER signed SOA servfail\n")
		r := over(t, data, trusting(local))
		a := r.A(t.Context(), "signed.example")
		if a.Status != dns.Found || a.Security != dns.Unavailable || a.TTL != time.Minute {
			t.Errorf("got %+v", a)
		}
		if err := data.Behave("signed.example. SOA", "ad"); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		if a := r.A(t.Context(), "signed.example"); a.Security != dns.Secure || a.TTL != 300*time.Second {
			t.Errorf("after a minute: %+v", a)
		}
	})
}

// The test is made once for all who wait, and again from time to time; what was
// called secure is forgotten where the server fails it.
func TestRetest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := parse(t, strings.Replace(validating, "$TTL 300", "$TTL 80000", 1))
		r := over(t, data, trusting(local))
		var all sync.WaitGroup
		for i := range 50 {
			all.Go(func() {
				if a := r.A(t.Context(), fmt.Sprintf("h%d.signed.example", i)); a.Security != dns.Secure {
					t.Errorf("got %+v", a)
				}
			})
		}
		all.Wait()
		if n := data.Count("signed.example", "SOA"); n != 1 {
			t.Errorf("tested %d times, want once", n)
		}
		if a := r.A(t.Context(), "signed.example"); a.Security != dns.Secure {
			t.Errorf("got %+v", a)
		}
		pass(59 * time.Minute)
		r.A(t.Context(), "unsigned.example")
		if n := data.Count("signed.example", "SOA"); n != 1 {
			t.Errorf("tested %d times in an hour, want once", n)
		}
		if err := data.Behave("broken.example.", ""); err != nil { // it validates no more
			t.Fatal(err)
		}
		pass(2 * time.Minute)
		if a := r.MX(t.Context(), "signed.example"); a.Security != dns.Unavailable {
			t.Errorf("got %+v", a)
		}
		if a := r.A(t.Context(), "signed.example"); a.Security != dns.Unavailable || a.Cached {
			t.Errorf("got %+v, want nothing from before", a)
		}
		if err := data.Behave("broken.example.", "bogus"); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		if a := r.A(t.Context(), "signed.example"); a.Security != dns.Secure {
			t.Errorf("a minute after it validates again: %+v", a)
		}
	})
}

// A test that was not waited for is none, and one that is made again keeps
// nobody waiting but who makes it.
func TestSlowSelfTest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := parse(t, validating+"$ANSWER signed delay=900ms ad\n")
		r := over(t, data, trusting(local))
		short, leave := context.WithTimeout(t.Context(), time.Second)
		defer leave()
		if err := data.Behave("broken.example.", "bogus delay=900ms"); err != nil {
			t.Fatal(err)
		}
		if trust := r.SelfTest(short); trust[0].Passed || !trust[0].Tested.IsZero() {
			t.Errorf("a test that was not waited for: %+v", trust)
		}
		if trust := r.SelfTest(t.Context()); !trust[0].Passed {
			t.Fatalf("got %+v", trust)
		}
		pass(61 * time.Minute)
		var all sync.WaitGroup
		start, slow := time.Now(), 0
		var mu sync.Mutex
		for i := range 20 {
			all.Go(func() {
				if a := r.A(t.Context(), fmt.Sprintf("h%d.unsigned.example", i)); a.Security != dns.Insecure {
					t.Errorf("got %+v", a)
				}
				mu.Lock()
				defer mu.Unlock()
				if time.Since(start) > 0 {
					slow++
				}
			})
		}
		all.Wait()
		if slow != 1 {
			t.Errorf("%d of 20 waited for the test, want 1", slow)
		}
	})
}

// Only trusted servers are asked whether an answer validates.
func TestQueryFlags(t *testing.T) {
	for _, server := range []dns.Server{first, local} {
		data := parse(t, validating)
		o := trusting(server)
		o.Exchange = dns.ExchangeFunc(func(ctx context.Context, s dns.Server, network string, q []byte) ([]byte, error) {
			var m mdns.Msg
			if err := m.Unpack(q); err != nil {
				t.Error(err)
			}
			opt := m.IsEdns0()
			if !m.RecursionDesired || m.AuthenticatedData != s.Trusted || opt == nil || opt.UDPSize() != 1232 || opt.Do() {
				t.Errorf("asked %v", &m)
			}
			return data.Respond(ctx, network, q)
		})
		over(t, nil, o).A(t.Context(), "unsigned.example")
	}
}

func TestNewRefuses(t *testing.T) {
	for _, c := range []struct {
		server dns.Server
		says   string
	}{
		{dns.Server{}, "write the DNS server as"},
		{dns.Server{Address: netip.MustParseAddrPort("192.0.2.53:0")}, "write the DNS server as"},
		{dns.Server{Address: first.Address, Trusted: true}, "use DNS over TLS"},
		{dns.Server{Address: netip.MustParseAddrPort("[2001:db8::53]:53"), Trusted: true}, "loopback address"},
		{dns.Server{Address: first.Address, TLSName: "dns..example"}, "write it as dns.example"},
		{dns.Server{Address: first.Address, Trusted: true, TLSName: "dns.example"}, ""},
		{dns.Server{Address: netip.MustParseAddrPort("[::1]:53"), Trusted: true}, ""},
		{dns.Server{Address: netip.MustParseAddrPort("[::ffff:127.0.0.2]:53"), Trusted: true}, ""},
		{local, ""},
	} {
		_, err := dns.New(dns.Options{Servers: []dns.Server{c.server}})
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("New with %+v: %v, want %q", c.server, err, c.says)
		}
	}
	_, err := dns.New(dns.Options{Servers: []dns.Server{first, local}})
	if err == nil || !strings.Contains(err.Error(), "both 127.0.0.1:53, which is trusted, and 192.0.2.53:53, which is not") {
		t.Errorf("New with servers of both kinds: %v", err)
	}
	if _, err := dns.New(dns.Options{}); err == nil || !strings.Contains(err.Error(), "/etc/resolv.conf") {
		t.Errorf("New without servers: %v", err)
	}
	if _, err := dns.New(dns.Options{Servers: []dns.Server{local}, BogusName: "a..b"}); err == nil {
		t.Error("New with a bogus name that cannot be asked: no error")
	}
}
