package world

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/dns"
	"github.com/postroad/postroad/dns/zone"
)

const mess = `
name = "policies"
seed = 3
dns = """
$ORIGIN bakery.example.
@ SOA ns hostmaster 1 3600 600 86400 60
@ NS ns
@ TXT "v=spf1 ip4:198.51.100.7 -all"
"""
signed = ["bakery.example"]
[clock]
start = "2026-01-22T09:00:00Z"
speed = 0
[[change]]
from = "3h"
remove = ["post.example MX"]
dns = "new.example. A 192.0.2.77"
[[provider]]
id = "post"
domains = ["post.example"]
dane = "right"
sts = { mode = "enforce" }
[[provider.host]]
name = "mx1.post.example"
addresses = ["192.0.2.1", "2001:db8::1"]
[[provider.host]]
name = "mx2.post.example"
preference = 20
[[provider.temper]]
do = "dane"
dane = "wrong"
hosts = ["mx1.post.example"]
from = "1h"
until = "2h"
[[provider.temper]]
do = "dane"
dane = "failing"
from = "2h"
[[provider.temper]]
do = "sts"
sts = { mode = "testing", mx = ["*.elsewhere.example"] }
from = "1h"
until = "2h"
[[provider.temper]]
do = "sts"
sts = { trouble = "no-record" }
from = "2h"
`

func TestDNS(t *testing.T) {
	for _, mode := range []Mode{Memory, Ports} {
		w := begin(t, scenario(t, mess), Options{Mode: mode})
		fresh := func() *dns.Resolver {
			r, err := dns.New(w.Resolver())
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		r := fresh()
		mx := r.MX(t.Context(), "post.example")
		if len(mx.Records) != 2 || mx.Records[0].Host != "mx1.post.example" || mx.Security != dns.Secure {
			t.Fatalf("MX %+v", mx)
		}
		if a := r.A(t.Context(), "mx1.post.example"); !slices.Equal(a.Records, []netip.Addr{netip.MustParseAddr("192.0.2.1")}) {
			t.Errorf("A %+v", a)
		}
		if a := r.AAAA(t.Context(), "mx1.post.example"); len(a.Records) != 1 {
			t.Errorf("AAAA %+v", a)
		}
		for _, ip := range []string{"192.0.2.1", "2001:db8::1"} {
			if p := r.PTR(t.Context(), netip.MustParseAddr(ip)); !slices.Equal(p.Records, []string{"mx1.post.example"}) {
				t.Errorf("PTR %+v", p)
			}
		}
		if x := r.TXT(t.Context(), "bakery.example"); x.Security != dns.Secure || len(x.Records) != 1 {
			t.Errorf("TXT %+v", x)
		}
		if x := r.TXT(t.Context(), "nothing.example"); x.Status != dns.Absent || x.Security == dns.Secure {
			t.Errorf("absent %+v", x)
		}
		right := r.TLSA(t.Context(), "_25._tcp.mx1.post.example")
		sts := r.TXT(t.Context(), "_mta-sts.post.example")
		w.Advance(time.Hour)
		r = fresh()
		wrong, other := r.TLSA(t.Context(), "_25._tcp.mx1.post.example"), r.TLSA(t.Context(), "_25._tcp.mx2.post.example")
		changed := r.TXT(t.Context(), "_mta-sts.post.example")
		if len(right.Records) != 1 || len(wrong.Records) != 1 || slices.Equal(right.Records[0].Data, wrong.Records[0].Data) || wrong.Security != dns.Secure || other.Status != dns.Found {
			t.Errorf("TLSA %+v then %+v, other host %+v", right, wrong, other)
		}
		if len(sts.Records) != 1 || len(changed.Records) != 1 || sts.Records[0] == changed.Records[0] {
			t.Errorf("_mta-sts %v then %v", sts, changed)
		}
		w.Advance(2 * time.Hour)
		r = fresh()
		if x := r.TLSA(t.Context(), "_25._tcp.mx1.post.example"); x.Status != dns.Failed && x.Status != dns.Bogus {
			t.Errorf("TLSA that fails: %+v", x)
		}
		if x := r.TXT(t.Context(), "_mta-sts.post.example"); x.Status.Known() && x.Status == dns.Found {
			t.Errorf("no record: %+v", x)
		}
		if x := r.MX(t.Context(), "post.example"); x.Status != dns.Empty && x.Status != dns.Absent {
			t.Errorf("MX after the change: %+v", x)
		}
		if x := r.A(t.Context(), "new.example"); x.Status != dns.Found {
			t.Errorf("A after the change: %+v", x)
		}
		if len(w.Anchors()) != 1 || w.Zones().Count("post.example", "MX") < 2 {
			t.Error("anchors or counts")
		}
	}
}

// fetch is what a sender does for RFC 8461 section 3.3.
func fetch(ctx context.Context, t *testing.T, w *World, domain string) (status int, kind, body string, err error) {
	t.Helper()
	transport := &http.Transport{DialContext: w.Dial, TLSClientConfig: &tls.Config{RootCAs: w.Roots(), MinVersion: tls.VersionTLS12}}
	defer transport.CloseIdleConnections()
	c := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://mta-sts."+domain+policyPath, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	a, err := c.Do(q)
	if err != nil {
		return 0, "", "", err
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	return a.StatusCode, a.Header.Get("Content-Type"), string(b), err
}

func TestPolicies(t *testing.T) {
	for _, c := range []struct {
		sts    string
		status int
		begins string
		fault  string
	}{
		{`mode = "enforce"`, 200, "version: STSv1\r\nmode: enforce\r\nmx: mx.post.example\r\nmax_age: 86400\r\n", ""},
		{`mode = "testing", mx = ["*.x.example"], max_age = "7d"`, 200, "version: STSv1\r\nmode: testing\r\nmx: *.x.example\r\nmax_age: 604800\r\n", ""},
		{`trouble = "404"`, 404, "", ""},
		{`trouble = "500"`, 500, "", ""},
		{`trouble = "redirect"`, 302, "", ""},
		{`trouble = "garbage"`, 200, "<html>", ""},
		{`trouble = "too-large"`, 200, "version: STSv1\r\n", ""},
		{`trouble = "wrong-type"`, 200, "version: STSv1\r\n", ""},
		{`trouble = "expired"`, 0, "", "expired"},
		{`trouble = "wrong-name"`, 0, "", "wrong.invalid"},
		{`trouble = "untrusted"`, 0, "", "unknown authority"},
		{`trouble = "cut"`, 200, "version", "EOF"},
		{`trouble = "slow"`, 200, "version: STSv1\r\n", ""},
	} {
		for _, mode := range []Mode{Memory, Ports} {
			s := with(t, "speed = 10000")
			s.Providers[0].STS = scenario(t, mess).Providers[0].STS
			text := strings.Replace(mess, `sts = { mode = "enforce" }`, "sts = { "+c.sts+" }", 1)
			s.Providers[0].STS = scenario(t, text).Providers[0].STS
			w := begin(t, s, Options{Mode: mode})
			status, kind, body, err := fetch(t.Context(), t, w, "post.example")
			if status != c.status || !strings.HasPrefix(body, c.begins) || (err == nil) != (c.fault == "") || err != nil && !strings.Contains(err.Error(), c.fault) {
				t.Errorf("%s: %d %q %v", c.sts, status, body[:min(len(body), 80)], err)
			}
			if err == nil && strings.Contains(c.sts, "too-large") && len(body) <= 64<<10 || err == nil && strings.Contains(c.sts, "wrong-type") == strings.HasPrefix(kind, "text/plain") {
				t.Errorf("%s: %d bytes of %s", c.sts, len(body), kind)
			}
		}
	}
}

func TestMayListen(t *testing.T) {
	lo := net.Interface{Name: "lo", Flags: net.FlagUp | net.FlagLoopback}
	eth := net.Interface{Name: "eth0", Flags: net.FlagUp}
	for _, c := range []struct {
		address    string
		interfaces []net.Interface
		ok         bool
	}{
		{"127.0.0.1", []net.Interface{lo, eth}, true},
		{"127.77.3.1", nil, true},
		{"::1", []net.Interface{lo, eth}, true},
		{"::ffff:127.0.0.1", []net.Interface{lo, eth}, true},
		{"192.0.2.1", []net.Interface{lo}, true},
		{"192.0.2.1", []net.Interface{lo, eth}, false},
		{"192.0.2.1", []net.Interface{eth}, false},
		{"192.0.2.1", nil, false},
		{"0.0.0.0", []net.Interface{lo}, false},
		{"::", []net.Interface{lo}, false},
		{"::ffff:0.0.0.0", []net.Interface{lo}, false},
		{"128.0.0.1", []net.Interface{lo, eth}, false},
	} {
		err := mayListen(netip.MustParseAddr(c.address), c.interfaces)
		if (err == nil) != c.ok || err != nil && !errors.Is(err, ErrNotLoopback) {
			t.Errorf("%s with %d interfaces: %v", c.address, len(c.interfaces), err)
		}
	}
	eths := func() ([]net.Interface, error) { return []net.Interface{lo, eth}, nil }
	never := func(_, address string) (net.Listener, error) {
		t.Errorf("listened on %s", address)
		return nil, errors.New("no")
	}
	s := with(t, "")
	s.Providers[0].Hosts[0].Addresses = []netip.Addr{netip.MustParseAddr("192.0.2.25")}
	if _, err := Start(t.Context(), s, Options{Mode: Native, Interfaces: eths, Listen: never}); !errors.Is(err, ErrNotLoopback) {
		t.Errorf("started where others could reach it: %v", err)
	}
	for _, at := range []string{"0.0.0.0:0", "192.0.2.53:0"} {
		if _, err := Start(t.Context(), with(t, ""), Options{DNS: netip.MustParseAddrPort(at)}); !errors.Is(err, ErrNotLoopback) {
			t.Errorf("name server on %s: %v", at, err)
		}
	}
}

// TestInjected: a world in another network listens through who lives there.
func TestInjected(t *testing.T) {
	var asked []string
	o := Options{Mode: Native, Interfaces: func() ([]net.Interface, error) {
		return []net.Interface{{Name: "lo", Flags: net.FlagLoopback}}, nil
	}}
	o.Listen = func(network, address string) (net.Listener, error) {
		asked = append(asked, network+" "+address)
		return net.Listen("tcp4", "127.0.0.1:0")
	}
	o.ListenPacket = func(network, address string) (net.PacketConn, error) {
		asked = append(asked, network+" "+address)
		return net.ListenPacket("udp4", "127.0.0.1:0")
	}
	s := with(t, "")
	s.Providers[0].Hosts[0].Addresses = []netip.Addr{netip.MustParseAddr("192.0.2.25")}
	w := begin(t, s, o)
	if len(asked) != 3 || asked[0] != "tcp 192.0.2.25:25" || asked[1] != "udp 127.0.0.1:53" {
		t.Errorf("asked for %v", asked)
	}
	if got := (delivery{}).try(t.Context(), w); got != "delivered" {
		t.Error(got)
	}
}

func TestZonesOfTheScenarioWin(t *testing.T) {
	s := with(t, "")
	s.DNS = "post.example. MX 5 mx.other.example."
	w := begin(t, s, Options{Mode: Memory})
	r, err := dns.New(w.Resolver())
	if err != nil {
		t.Fatal(err)
	}
	if x := r.MX(t.Context(), "post.example"); len(x.Records) != 1 || x.Records[0].Host != "mx.other.example" {
		t.Errorf("%+v", x)
	}
	if w.Zones().Counts()[zone.Question{Name: "post.example", Type: "MX"}] != 1 {
		t.Error("not counted")
	}
}

func TestStandIns(t *testing.T) {
	s := with(t, "")
	s.Providers[0].Hosts[0].Addresses = []netip.Addr{netip.MustParseAddr("192.0.2.25"), netip.MustParseAddr("127.77.9.9")}
	w := begin(t, s, Options{StandIns: true})
	r, err := dns.New(w.Resolver())
	if err != nil {
		t.Fatal(err)
	}
	a := r.A(t.Context(), "mx.post.example")
	if len(a.Records) != 2 || !slices.Contains(a.Records, netip.MustParseAddr("127.76.0.1")) || !slices.Contains(a.Records, netip.MustParseAddr("127.77.9.9")) {
		t.Errorf("told %+v", a)
	}
	for _, told := range a.Records {
		if got := (delivery{host: told.String(), plain: true}).try(t.Context(), w); got != "delivered" {
			t.Errorf("%s: %s", told, got)
		}
	}
	if e := w.Truth().Accepted; len(e) != 2 || e[0].Address == e[1].Address || e[0].Address.As4()[1] == 76 {
		t.Errorf("the truth speaks of stand-ins: %+v", e)
	}
}
