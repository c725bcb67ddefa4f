package zone

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func parse(t testing.TB, text string) *Data {
	t.Helper()
	d, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func load(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func question(name, kind string) *dns.Msg {
	q := new(dns.Msg)
	q.SetQuestion(dns.Fqdn(name), dns.StringToType[kind])
	return q
}

func ask(t testing.TB, d *Data, network string, q *dns.Msg) *dns.Msg {
	t.Helper()
	raw, err := q.Pack()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	got, err := d.Respond(ctx, network, raw)
	if err != nil {
		t.Fatal(err)
	}
	m := new(dns.Msg)
	if err := m.Unpack(got); err != nil {
		t.Fatalf("unpack the answer to %s: %v", q.Question[0].String(), err)
	}
	return m
}

// told renders an answer as the test data write it.
func told(m *dns.Msg) string {
	section := func(all []dns.RR) string {
		var texts []string
		for _, rr := range all {
			f := strings.Fields(rr.String())
			if rr.Header().Rrtype == dns.TypeSOA {
				f = f[:4]
			}
			f[0] = bare(f[0])
			texts = append(texts, strings.Join(append(f[:2], f[3:]...), " "))
		}
		return strings.Join(texts, " ; ")
	}
	s := dns.RcodeToString[m.Rcode]
	if m.Authoritative {
		s += " aa"
	}
	return strings.TrimSpace(strings.Join(strings.Fields(s+" | "+section(m.Answer)+" | "+section(m.Ns)), " "))
}

func TestAnswers(t *testing.T) {
	d := parse(t, load(t, "plain.zone"))
	n := 0
	for line := range strings.Lines(load(t, "plain.txt")) {
		ask0, want, ok := strings.Cut(strings.TrimSpace(line), " => ")
		if !ok || ask0[0] == '#' {
			continue
		}
		n++
		name, kind, _ := strings.Cut(ask0, " ")
		m := ask(t, d, "udp", question(name, kind))
		if got := told(m); got != strings.TrimSpace(want) {
			t.Errorf("%s:\n got %s\nwant %s", ask0, got, want)
		}
		if !m.Response || len(m.Question) != 1 || m.Question[0].Name != dns.Fqdn(name) {
			t.Errorf("%s: question %v is not repeated as it was asked", ask0, m.Question)
		}
		if d.Count(name, kind) == 0 {
			t.Errorf("%s: not counted", ask0)
		}
	}
	if n < 25 {
		t.Fatalf("%d questions", n)
	}
}

func TestNamesWithoutZone(t *testing.T) {
	d := parse(t, "a.example. TXT \"v=spf1 -all\"\nb.example. MX 5 a.example.")
	if got := told(ask(t, d, "udp", question("a.example", "TXT"))); got != `NOERROR aa | a.example 300 TXT "v=spf1 -all" |` {
		t.Error(got)
	}
	if got := told(ask(t, d, "udp", question("c.example", "TXT"))); got != "NXDOMAIN aa | | . 300 SOA" {
		t.Error(got)
	}
}

func TestChanges(t *testing.T) {
	d := parse(t, load(t, "plain.zone"))
	if err := d.Set("mx.example. 5 A 192.0.2.99\nfresh.example. 300 A 192.0.2.98\n$ANSWER alias.example. refused"); err != nil {
		t.Fatal(err)
	}
	d.Remove("long.example")
	d.Remove("mx.example", "AAAA")
	for q, want := range map[string]string{
		"mx A":    "NOERROR aa | mx.example 5 A 192.0.2.99 |",
		"mx AAAA": "NOERROR aa | | example 120 SOA",
		"fresh A": "NOERROR aa | fresh.example 300 A 192.0.2.98 |",
		"long A":  "NXDOMAIN aa | | example 120 SOA",
		"alias A": "REFUSED | |",
	} {
		name, kind, _ := strings.Cut(q, " ")
		if got := told(ask(t, d, "udp", question(name+".example", kind))); got != want {
			t.Errorf("%s: %s, want %s", q, got, want)
		}
	}
	if err := d.Set("$REMOVE fresh.example.\n$ORIGIN example.\n$REMOVE mx A TXT\nmx TXT back"); err != nil {
		t.Fatal(err)
	}
	for q, want := range map[string]string{
		"mx A":    "NOERROR aa | | example 120 SOA",
		"mx TXT":  `NOERROR aa | mx.example 300 TXT "back" |`,
		"fresh A": "NXDOMAIN aa | | example 120 SOA",
	} {
		name, kind, _ := strings.Cut(q, " ")
		if got := told(ask(t, d, "udp", question(name+".example", kind))); got != want {
			t.Errorf("after $REMOVE: %s: %s, want %s", q, got, want)
		}
	}
	if err := d.Behave("alias.example", ""); err != nil {
		t.Fatal(err)
	}
	if got := ask(t, d, "udp", question("alias.example", "A")); got.Rcode != 0 {
		t.Error("not honest again")
	}
}

func TestErrorsNameTheLine(t *testing.T) {
	for text, want := range map[string]string{
		"a. A 192.0.2.1\nb. A nonsense": "line: 2",
		"\n\n$ANSWER a. dance":          "line 3",
		"$ANSWER a.":                    "line 1",
		"$INCLUDE /etc/passwd":          "INCLUDE",
		"a. CH TXT x":                   "not IN",
		"a. SOA a. b. 1 1 1 1 1\na. SOA a. b. 2 1 1 1 1": "two SOA",
		"$GENERATE 1-65000 a$ A 192.0.2.1\n$GENERATE 1-65000 b$ A 192.0.2.1\n$GENERATE 1-65000 c$ A 192.0.2.1\n$GENERATE 1-65000 d$ A 192.0.2.1": "more than",
	} {
		if _, err := Parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text[:min(len(text), 40)], err, want)
		}
	}
}

func TestSize(t *testing.T) {
	var b strings.Builder
	for range 40 {
		b.WriteString(" \"" + strings.Repeat("y", 200) + "\"")
	}
	d := parse(t, "big.example. TXT"+b.String())
	q := question("big.example", "TXT")
	if m := ask(t, d, "udp", q); !m.Truncated || len(m.Answer) > 0 {
		t.Error("512 bytes: not truncated")
	}
	if m := ask(t, d, "tcp", q); m.Truncated || len(m.Answer) != 1 {
		t.Error("TCP: truncated")
	}
	q.SetEdns0(4096, false)
	if m := ask(t, d, "udp", q); !m.Truncated || m.IsEdns0() == nil {
		t.Error("4096 bytes: not truncated, or no EDNS")
	}
	q = question("big.example", "TXT")
	q.SetEdns0(9000, false)
	if m := ask(t, d, "udp", q); m.Truncated {
		t.Error("9000 bytes: truncated")
	}
}

func TestFaults(t *testing.T) {
	base := "h.example. A 192.0.2.1\nh.example. TXT \"text\"\n"
	edns := question("h.example", "A")
	edns.SetEdns0(1232, true)
	plain := question("h.example", "A")
	for _, c := range []struct {
		words, network string
		q              *dns.Msg
		want           func(*dns.Msg) bool
	}{
		{"refused", "udp", plain, func(m *dns.Msg) bool { return m.Rcode == dns.RcodeRefused && len(m.Answer) == 0 }},
		{"servfail", "udp", plain, func(m *dns.Msg) bool { return m.Rcode == dns.RcodeServerFailure }},
		{"formerr", "udp", plain, func(m *dns.Msg) bool { return m.Rcode == dns.RcodeFormatError }},
		{"notimp", "udp", plain, func(m *dns.Msg) bool { return m.Rcode == dns.RcodeNotImplemented }},
		{"nxdomain", "udp", plain, func(m *dns.Msg) bool { return m.Rcode == dns.RcodeNameError && len(m.Answer) == 0 }},
		{"empty", "udp", plain, func(m *dns.Msg) bool { return m.Rcode == 0 && len(m.Answer)+len(m.Ns) == 0 }},
		{"noedns", "udp", edns, func(m *dns.Msg) bool { return m.Rcode == dns.RcodeFormatError && m.IsEdns0() == nil }},
		{"noedns", "udp", plain, func(m *dns.Msg) bool { return len(m.Answer) == 1 }},
		{"tc", "udp", plain, func(m *dns.Msg) bool { return m.Truncated && len(m.Answer) == 0 }},
		{"tc", "tcp", plain, func(m *dns.Msg) bool { return !m.Truncated && len(m.Answer) == 1 }},
		{"tc-always", "tcp", plain, func(m *dns.Msg) bool { return m.Truncated }},
		{"referral", "udp", plain, func(m *dns.Msg) bool { return !m.Authoritative && len(m.Ns) == 13 && m.Rcode == 0 }},
		{"chain", "udp", plain, func(m *dns.Msg) bool { return strings.HasSuffix(m.Answer[0].String(), "CNAME\t1.h.example.") }},
		{"wrong-id", "udp", plain, func(m *dns.Msg) bool { return m.Id != plain.Id }},
		{"wrong-question", "udp", plain, func(m *dns.Msg) bool { return m.Id == plain.Id && m.Question[0].Name == "other.invalid." }},
		{"spoofed", "udp", plain, func(m *dns.Msg) bool { return m.Id == plain.Id && strings.HasSuffix(m.Answer[0].String(), "192.0.2.1") }},
		{"forged", "udp", plain, func(m *dns.Msg) bool { return strings.HasSuffix(m.Answer[0].String(), "203.0.113.66") }},
		{"poison", "udp", plain, func(m *dns.Msg) bool { return len(m.Answer) == 3 && len(m.Extra) == 1 }},
		{"ad", "udp", edns, func(m *dns.Msg) bool { return m.AuthenticatedData && len(m.Answer) == 1 }},
		{"ad", "udp", plain, func(m *dns.Msg) bool { return !m.AuthenticatedData }},
		{"bogus", "udp", edns, func(m *dns.Msg) bool { return m.Rcode == dns.RcodeServerFailure && len(m.IsEdns0().Option) == 1 }},
		{"huge", "tcp", plain, func(m *dns.Msg) bool { return len(m.Answer) > 200 }},
	} {
		d := parse(t, base+"$ANSWER h.example. A "+c.words)
		if m := ask(t, d, c.network, c.q); !c.want(m) {
			t.Errorf("%s over %s: %v", c.words, c.network, m)
		}
		if m := ask(t, d, c.network, question("h.example", "TXT")); len(m.Answer) != 1 {
			t.Errorf("%s: another type suffers too", c.words)
		}
	}
	checking := question("h.example", "A")
	checking.CheckingDisabled = true
	if m := ask(t, parse(t, base+"$ANSWER * bogus"), "udp", checking); len(m.Answer) != 1 {
		t.Error("bogus with CD: no answer")
	}
	for _, words := range []string{"garbage", "loop", "half"} {
		raw, _ := plain.Pack()
		got, err := parse(t, base+"$ANSWER * "+words).Respond(t.Context(), "udp", raw)
		if err != nil {
			t.Fatal(err)
		}
		if m := new(dns.Msg); m.Unpack(got) == nil {
			t.Errorf("%s can be read: %v", words, m)
		}
	}
}

func TestNarrowest(t *testing.T) {
	d := parse(t, `
$ORIGIN example.
a A 192.0.2.1
b.a A 192.0.2.1
$ANSWER * servfail
$ANSWER *.a refused
$ANSWER a A formerr
$ANSWER a A tcp notimp
$ANSWER c empty times=2
`)
	rcode := func(network, name string) string {
		return dns.RcodeToString[ask(t, d, network, question(name+".example", "A")).Rcode]
	}
	for _, c := range [][3]string{{"udp", "x", "SERVFAIL"}, {"udp", "b.a", "REFUSED"}, {"udp", "z.b.a", "REFUSED"},
		{"udp", "a", "FORMERR"}, {"tcp", "a", "NOTIMP"}, {"udp", "c", "NOERROR"}, {"udp", "c", "NOERROR"}, {"udp", "c", "SERVFAIL"}} {
		if got := rcode(c[0], c[1]); got != c[2] {
			t.Errorf("%s over %s: %s, want %s", c[1], c[0], got, c[2])
		}
	}
}

func TestTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := parse(t, "slow.example. A 192.0.2.1\n$ANSWER slow.example. delay=3s\n$ANSWER silent.example. drop\n$ANSWER closed.example. close")
		start := time.Now()
		ask(t, d, "udp", question("slow.example", "A"))
		if got := time.Since(start); got != 3*time.Second {
			t.Errorf("answered after %s", got)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		raw, _ := question("silent.example", "A").Pack()
		if _, err := d.Respond(ctx, "udp", raw); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("drop: %v", err)
		}
		raw, _ = question("closed.example", "A").Pack()
		if _, err := d.Respond(t.Context(), "tcp", raw); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("close: %v", err)
		}
	})
}

// sockets opens a port of loopback for UDP and TCP.
func sockets(t testing.TB) (net.PacketConn, net.Listener) {
	t.Helper()
	for range 20 {
		tcp, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		udp, err := net.ListenPacket("udp4", tcp.Addr().String())
		if err == nil {
			return udp, tcp
		}
		_ = tcp.Close() // the port is somebody else's for UDP
	}
	t.Fatal("no port for both UDP and TCP")
	return nil, nil
}

// serve runs a server on loopback until the test ends.
func serve(t testing.TB, d *Data) string {
	t.Helper()
	udp, tcp := sockets(t)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- d.Serve(ctx, udp, tcp) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return udp.LocalAddr().String()
}

func TestServe(t *testing.T) {
	d := parse(t, load(t, "plain.zone")+"\n$ANSWER mx.example. A spoofed\n$ANSWER ns.example. udp tc\n$ANSWER alias.example. tcp half\n$ANSWER gone.example. tcp endless")
	at := serve(t, d)
	for _, network := range []string{"udp", "tcp"} {
		c := &dns.Client{Net: network, Timeout: 5 * time.Second}
		m, _, err := c.Exchange(question("example", "MX"), at)
		if err != nil || len(m.Answer) != 1 {
			t.Errorf("%s: %v %v", network, m, err)
		}
	}
	conn, err := net.Dial("udp4", at)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	q := question("mx.example", "A")
	raw, _ := q.Pack()
	if _, err := conn.Write(raw); err != nil {
		t.Fatal(err)
	}
	var right []bool
	for range 3 {
		buf := make([]byte, 4096)
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		m := new(dns.Msg)
		if err := m.Unpack(buf[:n]); err != nil {
			t.Fatal(err)
		}
		right = append(right, m.Id == q.Id && m.Question[0] == q.Question[0])
	}
	if right[0] || right[1] || !right[2] {
		t.Errorf("spoofed: right ones are %v", right)
	}
	c := &dns.Client{Net: "udp"}
	if m, _, err := c.Exchange(question("ns.example", "A"), at); err != nil || !m.Truncated {
		t.Errorf("tc: %v %v", m, err)
	}
	c.Net = "tcp"
	if m, _, err := c.Exchange(question("alias.example", "A"), at); err == nil {
		t.Errorf("half an answer was read: %v", m)
	}
	c.Timeout = 100 * time.Millisecond
	if m, _, err := c.Exchange(question("gone.example", "A"), at); err == nil {
		t.Errorf("an endless answer was read: %v", m)
	}
}

// TestChangesWhileServing: for the race detector, and that an answer is of one
// state of the data: two records that change together are never seen apart.
func TestChangesWhileServing(t *testing.T) {
	d := parse(t, load(t, "plain.zone"))
	if _, err := d.Sign("example", SignOptions{}); err != nil {
		t.Fatal(err)
	}
	at := serve(t, d)
	var all sync.WaitGroup
	for n := range 3 {
		all.Go(func() {
			for i := range 30 {
				ip := fmt.Sprintf("203.0.113.%d", n*30+i)
				if err := d.Set("pair.example. A " + ip + "\npair.example. A 198.51.100." + ip[len("203.0.113."):]); err != nil {
					t.Error(err)
				}
				if err := d.Behave("slow.example", []string{"", "servfail"}[i%2]); err != nil {
					t.Error(err)
				}
				d.Remove("mx.example", "TXT")
			}
		})
		all.Go(func() {
			c := &dns.Client{Net: []string{"udp", "tcp"}[n%2], Timeout: 10 * time.Second}
			for range 30 {
				m, _, err := c.Exchange(question("pair.example", "A"), at)
				if err != nil {
					t.Error(err)
					return
				}
				if len(m.Answer) == 0 {
					continue
				}
				last := func(rr dns.RR) string { s := rr.String(); return s[strings.LastIndexByte(s, '.'):] }
				if len(m.Answer) != 2 || last(m.Answer[0]) != last(m.Answer[1]) {
					t.Errorf("seen apart: %v", m.Answer)
				}
				d.Counts()
			}
		})
	}
	all.Wait()
	if d.Count("pair.example", "A") != 90 || len(d.Zones()) != 2 {
		t.Errorf("%d questions, zones %v", d.Count("pair.example", "A"), d.Zones())
	}
}

// BenchmarkRespond answers in memory.
func BenchmarkRespond(b *testing.B) {
	for _, signed := range []bool{false, true} {
		b.Run(fmt.Sprintf("signed=%v", signed), func(b *testing.B) {
			d := parse(b, load(b, "plain.zone"))
			q := question("alias.example", "A")
			if signed {
				if _, err := d.Sign("example", SignOptions{}); err != nil {
					b.Fatal(err)
				}
				q.SetEdns0(4096, true)
			}
			raw, err := q.Pack()
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if _, err := d.Respond(b.Context(), "udp", raw); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
