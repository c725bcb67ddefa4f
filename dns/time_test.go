package dns_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postroad/postroad/dns"
	"github.com/postroad/postroad/dns/zone"
)

// outside is servers in memory, each with zone data or dead, and a note of what
// they were asked.
type outside struct {
	mu    sync.Mutex
	data  map[dns.Server]*zone.Data
	dead  map[dns.Server]error // what comes instead of answers; io.EOF: nothing, until the context ends
	asked []string             // "192.0.2.53 udp"
}

func (o *outside) Exchange(ctx context.Context, s dns.Server, network string, q []byte) ([]byte, error) {
	o.mu.Lock()
	o.asked = append(o.asked, s.Address.Addr().String()+" "+network)
	data, fault := o.data[s], o.dead[s]
	o.mu.Unlock()
	switch {
	case errors.Is(fault, io.EOF):
		<-ctx.Done()
		return nil, ctx.Err()
	case fault != nil:
		return nil, fault
	}
	return data.Respond(ctx, network, q)
}

// since gives how often servers were asked since the last call.
func (o *outside) since() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := len(o.asked)
	o.asked = nil
	return n
}

func (o *outside) kill(s dns.Server, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.dead[s] = err
}

const small = `
$ORIGIN example.com.
$TTL 300
@    SOA ns hostmaster 1 3600 600 86400 60
     NS  ns
a    A   192.0.2.2
long 900000 A 192.0.2.3
short 7 A 192.0.2.4
slow A   192.0.2.5
`

// pass lets time go by, in a bubble.
func pass(d time.Duration) { <-time.After(d) }

func between(t *testing.T, what string, got, least, most time.Duration) {
	t.Helper()
	if got < least || got > most {
		t.Errorf("%s after %v, want %v to %v", what, got, least, most)
	}
}

// Whatever is wrong, there is an answer of a kind, in bounded time.
func TestNoAnswerInTime(t *testing.T) {
	for _, c := range []struct {
		words       string
		kind        dns.Kind
		least, most time.Duration
	}{
		{"drop", dns.KindTimeout, 3 * time.Second, 10 * time.Second},
		{"delay=59m", dns.KindTimeout, 3 * time.Second, 10 * time.Second},
		{"tc endless", dns.KindTimeout, 3 * time.Second, 10 * time.Second},
		{"tc delay=900ms", "", 1800 * time.Millisecond, 1800 * time.Millisecond},
		{"noedns delay=900ms", "", 1800 * time.Millisecond, 1800 * time.Millisecond},
		{"drop times=1", "", time.Second, time.Second},
		{"drop times=2", "", 2 * time.Second, 2 * time.Second},
		{"delay=5s times=1", "", time.Second, time.Second},
		{"servfail delay=400ms", dns.KindServFail, 400 * time.Millisecond, 400 * time.Millisecond},
		{"chain delay=999ms", dns.KindTimeout, 6 * time.Second, 6 * time.Second},
	} {
		t.Run(c.words, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				data := parse(t, small+"$ANSWER a "+c.words+"\n$ANSWER *.a "+c.words+"\n")
				r := over(t, data, dns.Options{Timeout: time.Second, Total: 6 * time.Second})
				start := time.Now()
				a := r.A(t.Context(), "a.example.com")
				if kind(a.Err) != c.kind || a.Status.Known() != (c.kind == "") {
					t.Errorf("got %+v, want kind %q", a, c.kind)
				}
				between(t, "answer", time.Since(start), c.least, c.most)
				if c.kind == "" {
					return
				}
				start = time.Now()
				if again := r.A(t.Context(), "a.example.com"); !again.Cached || kind(again.Err) != c.kind {
					t.Errorf("the failure is not remembered: %+v", again)
				}
				between(t, "answer", time.Since(start), 0, 0)
			})
		})
	}
}

// A server that fails is not asked again and again; the next one is.
func TestNextServer(t *testing.T) {
	for _, c := range []struct {
		what  string
		words string // of the first server, for everything
		dead  error
		most  time.Duration
	}{
		{"servfail", "servfail", nil, 0},
		{"refused", "refused", nil, 0},
		{"lame", "referral", nil, 0},
		{"garbage", "garbage", nil, 0},
		{"forged", "wrong-id", nil, 0},
		{"connection refused", "", errors.New("connection refused"), 0},
		{"silent", "", io.EOF, time.Second},
	} {
		t.Run(c.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bad := parse(t, small)
				if c.words != "" {
					if err := bad.Behave("*", c.words); err != nil {
						t.Fatal(err)
					}
				}
				o := &outside{
					data: map[dns.Server]*zone.Data{first: bad, second: parse(t, small)},
					dead: map[dns.Server]error{first: c.dead},
				}
				r := over(t, nil, dns.Options{Servers: []dns.Server{first, second}, Exchange: o, Timeout: time.Second})
				start := time.Now()
				a := r.A(t.Context(), "a.example.com")
				if a.Status != dns.Found || a.Server != second.Address.String() {
					t.Errorf("got %+v, want the answer of the second server", a)
				}
				between(t, "answer", time.Since(start), c.most, c.most)
			})
		})
	}
}

// What a server said tells more than that another said nothing.
func TestWhichFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bad := parse(t, small+"$ANSWER * servfail\n")
		o := &outside{data: map[dns.Server]*zone.Data{first: bad}, dead: map[dns.Server]error{second: io.EOF}}
		r := over(t, nil, dns.Options{Servers: []dns.Server{first, second}, Exchange: o})
		if a := r.A(t.Context(), "a.example.com"); kind(a.Err) != dns.KindServFail {
			t.Errorf("got %+v, want servfail", a)
		}
	})
}

// A dead server is found out by callers, too, who never wait as long as one try.
func TestImpatientCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &outside{data: map[dns.Server]*zone.Data{}, dead: map[dns.Server]error{first: io.EOF}}
		r := over(t, nil, dns.Options{Exchange: o})
		for i := range 3 {
			ctx, leave := context.WithTimeout(t.Context(), 2*time.Second)
			r.A(ctx, fmt.Sprintf("%d.example.com", i))
			leave()
			synctest.Wait()
		}
		start := time.Now()
		a := r.A(t.Context(), "a.example.com")
		if kind(a.Err) != dns.KindUnreachable || !errors.Is(a.Err, context.DeadlineExceeded) ||
			!strings.Contains(a.Err.Error(), "check the network") {
			t.Errorf("got %v", a.Err)
		}
		between(t, "answer", time.Since(start), 0, 0)
	})
}

// Callers who leave at once say nothing about a server.
func TestHastyCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &outside{data: map[dns.Server]*zone.Data{}, dead: map[dns.Server]error{first: io.EOF}}
		r := over(t, nil, dns.Options{Exchange: o})
		for i := range 10 {
			ctx, leave := context.WithTimeout(t.Context(), 100*time.Millisecond)
			r.A(ctx, fmt.Sprintf("%d.example.com", i))
			leave()
			synctest.Wait()
		}
		start := time.Now()
		if a := r.A(t.Context(), "a.example.com"); kind(a.Err) != dns.KindTimeout {
			t.Errorf("got %v", a.Err)
		}
		between(t, "answer", time.Since(start), 9*time.Second, 9*time.Second)
	})
}

// While one looks whether a server that was silent is alive, the others ask it.
func TestOthersAskWhileOneLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := parse(t, small+"$ANSWER *.slow drop times=2\n$ANSWER . NS delay=900ms refused\n")
		r := over(t, data, dns.Options{Timeout: time.Second, Attempts: 2})
		r.A(t.Context(), "a.slow.example.com")
		start, slow := time.Now(), 0
		var mu sync.Mutex
		var all sync.WaitGroup
		for i := range 20 {
			all.Go(func() {
				if a := r.A(t.Context(), fmt.Sprintf("%d.example.com", i)); a.Status != dns.Absent {
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
			t.Errorf("%d of 20 waited, want 1", slow)
		}
	})
}

// Each server gets its turn in the first question.
func TestManyServers(t *testing.T) {
	o := &outside{data: map[dns.Server]*zone.Data{}}
	var servers []dns.Server
	for i := range byte(6) {
		s := dns.Server{Address: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, i}), 53)}
		servers = append(servers, s)
		o.data[s] = parse(t, small+"$ANSWER * refused\n")
	}
	o.data[servers[5]] = parse(t, small)
	r := over(t, nil, dns.Options{Servers: servers, Exchange: o})
	if a := r.A(t.Context(), "a.example.com"); a.Status != dns.Found || a.Server != "192.0.2.5:53" {
		t.Errorf("got %+v", a)
	}
}

// Limits that standards set are kept whatever the options say.
func TestLimitsOfOptions(t *testing.T) {
	for set, want := range map[uint16]uint16{0: 1232, 100: 512, 4000: 4000, 65535: 4095} {
		data := parse(t, small+"$ANSWER a servfail\n")
		r := over(t, nil, dns.Options{FailureTTL: time.Hour, UDPSize: set, Exchange: dns.ExchangeFunc(
			func(ctx context.Context, _ dns.Server, network string, q []byte) ([]byte, error) {
				if opt := q[len(q)-11:]; opt[2] != 41 || binary.BigEndian.Uint16(opt[3:]) != want {
					t.Errorf("UDPSize %d: the query ends with %x", set, opt)
				}
				return data.Respond(ctx, network, q)
			})})
		if a := r.A(t.Context(), "a.example.com"); a.TTL != 5*time.Minute {
			t.Errorf("got %+v", a)
		}
	}
}

// When a server has been dead for its time, one looks; the others do not wait.
func TestOneLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &outside{data: map[dns.Server]*zone.Data{first: parse(t, small)}, dead: map[dns.Server]error{first: io.EOF}}
		r := over(t, nil, dns.Options{Exchange: o})
		for i := range 4 { // the pauses: 1, 2, 4, 8 s
			r.A(t.Context(), fmt.Sprintf("%d.example.com", i))
			pass(time.Duration(1<<i) * time.Second)
		}
		o.since()
		var all sync.WaitGroup
		for i := range 50 {
			all.Go(func() { r.A(t.Context(), fmt.Sprintf("all%d.example.com", i)) })
		}
		all.Wait()
		if n := o.since(); n != 1 {
			t.Errorf("%d queries to a server that is dead, want 1", n)
		}
	})
}

// The cache holds as many bytes as it may, whatever the answers are.
func TestCacheBytes(t *testing.T) {
	long := strings.Repeat(`"`+strings.Repeat("x", 250)+`" `, 40)
	r := over(t, parse(t, "$ORIGIN example.com.\n@ SOA ns h 1 2 3 4 5\n*.big TXT "+long), dns.Options{CacheBytes: 200_000})
	for i := range 100 {
		r.TXT(t.Context(), fmt.Sprintf("%d.big.example.com", i))
	}
	cached := 0
	for i := 99; i >= 0; i-- {
		if r.TXT(t.Context(), fmt.Sprintf("%d.big.example.com", i)).Cached {
			cached++
		}
	}
	if cached < 15 || cached > 20 {
		t.Errorf("%d answers of 10,000 bytes in 200,000", cached)
	}
}

// When all servers are dead, questions fail at once; when one is back, it is
// found within half a minute.
func TestDeadNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &outside{
			data: map[dns.Server]*zone.Data{first: parse(t, small), second: parse(t, small)},
			dead: map[dns.Server]error{first: io.EOF, second: errors.New("network is unreachable")},
		}
		r := over(t, nil, dns.Options{
			Servers: []dns.Server{first, second}, Exchange: o, Timeout: 2 * time.Second, Attempts: 4,
		})
		start := time.Now()
		a := r.A(t.Context(), "a.example.com")
		if k := kind(a.Err); k != dns.KindTimeout && k != dns.KindUnreachable {
			t.Fatalf("got %+v", a)
		}
		between(t, "first answer", time.Since(start), 4*time.Second, 6*time.Second)

		// Ten minutes of a question each 100 ms: each is answered, and nearly all
		// at once and without asking.
		o.since()
		slow := 0
		start = time.Now()
		for i := 0; time.Since(start) < 10*time.Minute; i++ {
			before := time.Now()
			a := r.A(t.Context(), fmt.Sprintf("h%d.example.com", i))
			if kind(a.Err) != dns.KindUnreachable && kind(a.Err) != dns.KindTimeout {
				t.Fatalf("got %+v", a)
			}
			between(t, "answer", time.Since(before), 0, time.Second)
			if time.Since(before) > 0 {
				slow++
			}
			pass(100 * time.Millisecond)
		}
		if n := o.since(); slow > 30 || n > 60 {
			t.Errorf("%d questions waited, %d were sent, want at most 30 and 60", slow, n)
		}

		o.kill(second, nil)
		start = time.Now()
		for r.A(t.Context(), fmt.Sprintf("again%d.example.com", time.Since(start))).Status != dns.Absent {
			if time.Since(start) > 35*time.Second {
				t.Fatal("a server that is back is not found")
			}
			pass(time.Second)
		}
	})
}

// A name whose own servers are slow says nothing about the resolver.
func TestSlowNameIsNotADeadServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := parse(t, small+"$ANSWER slow drop\n$ANSWER *.slow drop\n")
		r := over(t, data, dns.Options{Timeout: time.Second})
		for i := range 20 {
			if a := r.A(t.Context(), fmt.Sprintf("%d.slow.example.com", i)); kind(a.Err) != dns.KindTimeout {
				t.Fatalf("slow name: %+v", a)
			}
			if a := r.A(t.Context(), fmt.Sprintf("%d.example.com", i)); a.Status != dns.Absent {
				t.Fatalf("other name: %+v", a)
			}
		}
	})
}

func TestTimeToLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := parse(t, small)
		r := over(t, data, dns.Options{MaxTTL: time.Hour, NegativeTTL: 20 * time.Second})
		for _, c := range []struct {
			name string
			ttl  time.Duration
		}{{"a", 300 * time.Second}, {"long", time.Hour}, {"short", 7 * time.Second}, {"absent", 20 * time.Second}} {
			name := c.name + ".example.com"
			if a := r.A(t.Context(), name); a.TTL != c.ttl || a.Cached {
				t.Errorf("%s: %+v, want %v", name, a, c.ttl)
			}
			pass(c.ttl - time.Second)
			if a := r.A(t.Context(), name); a.TTL != time.Second || !a.Cached {
				t.Errorf("%s, a second before the end: %+v", name, a)
			}
			pass(time.Second)
			if a := r.A(t.Context(), name); a.TTL != c.ttl || a.Cached {
				t.Errorf("%s, at the end: %+v", name, a)
			}
		}
		if n := data.Count("short.example.com", "A"); n != 2 {
			t.Errorf("asked %d times, want 2", n)
		}
		r.Forget()
		if a := r.A(t.Context(), "a.example.com"); a.Cached {
			t.Errorf("not forgotten: %+v", a)
		}
	})
}

// Equal questions share one exchange, and one who leaves does not end it.
func TestOneFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := parse(t, small+"$ANSWER slow delay=2s\n")
		r := over(t, data, dns.Options{})
		impatient, leave := context.WithTimeout(t.Context(), time.Second)
		defer leave()
		start := time.Now()
		var all sync.WaitGroup
		for i := range 100 {
			all.Go(func() {
				if i%2 == 0 {
					a := r.A(impatient, "slow.example.com")
					if kind(a.Err) != dns.KindCanceled || !errors.Is(a.Err, context.DeadlineExceeded) {
						t.Errorf("got %+v, want canceled", a)
					}
					between(t, "leaving", time.Since(start), time.Second, time.Second)
					return
				}
				if a := r.A(t.Context(), "slow.example.com"); a.Status != dns.Found || len(a.Records) != 1 {
					t.Errorf("got %+v", a)
				}
				between(t, "answer", time.Since(start), 2*time.Second, 2*time.Second)
			})
		}
		all.Wait()
		if n := data.Count("slow.example.com", "A"); n != 1 {
			t.Errorf("asked %d times, want once", n)
		}
	})
}

// When nobody waits any more the exchange ends, nothing is kept of it, and a
// new question begins anew.
func TestNobodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := parse(t, small)
		ended := make(chan time.Time, 1)
		release := false
		r := over(t, nil, dns.Options{Exchange: dns.ExchangeFunc(
			func(ctx context.Context, _ dns.Server, network string, q []byte) ([]byte, error) {
				if release {
					return data.Respond(ctx, network, q)
				}
				<-ctx.Done()
				ended <- time.Now()
				return nil, ctx.Err()
			})})
		ctx, cancel := context.WithCancel(t.Context())
		start := time.Now()
		time.AfterFunc(100*time.Millisecond, cancel)
		if a := r.A(ctx, "a.example.com"); kind(a.Err) != dns.KindCanceled || !errors.Is(a.Err, context.Canceled) {
			t.Errorf("got %+v", a)
		}
		if d := (<-ended).Sub(start); d != 100*time.Millisecond {
			t.Errorf("the exchange ended after %v", d)
		}
		release = true
		if a := r.A(t.Context(), "a.example.com"); a.Status != dns.Found || a.Cached {
			t.Errorf("got %+v", a)
		}
		if a := r.A(ctx, "a.example.com"); a.Status != dns.Found || !a.Cached {
			t.Errorf("what is in the cache needs no waiting: %+v", a)
		}
		if a := r.A(ctx, "b.example.com"); kind(a.Err) != dns.KindCanceled {
			t.Errorf("got %+v", a)
		}
	})
}

// No more questions are on their way than Options.Asking; the others wait, and
// no longer than they may.
func TestAsking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		now, most := 0, 0
		data := parse(t, small)
		r := over(t, nil, dns.Options{Asking: 3, Exchange: dns.ExchangeFunc(
			func(ctx context.Context, _ dns.Server, network string, q []byte) ([]byte, error) {
				mu.Lock()
				now++
				most = max(most, now)
				mu.Unlock()
				pass(time.Second)
				mu.Lock()
				now--
				mu.Unlock()
				return data.Respond(ctx, network, q)
			})})
		start := time.Now()
		var all sync.WaitGroup
		for i := range 90 {
			all.Go(func() { r.A(t.Context(), fmt.Sprintf("h%d.example.com", i)) })
		}
		all.Wait()
		if most != 3 {
			t.Errorf("%d at once, want 3", most)
		}
		between(t, "the last", time.Since(start), 20*time.Second, 21*time.Second)
	})
}

// A server without EDNS is asked without it for a while.
func TestOldServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := parse(t, small+"$ANSWER * noedns\n")
		r := over(t, data, dns.Options{})
		for i := range 5 {
			if a := r.A(t.Context(), fmt.Sprintf("h%d.example.com", i)); a.Status != dns.Absent {
				t.Fatalf("got %+v", a)
			}
		}
		total := 0
		for _, n := range data.Counts() {
			total += n
		}
		if total != 6 {
			t.Errorf("asked %d times, want 6: once with EDNS, then without", total)
		}
	})
}

func TestReverse(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.1":          "1.2.0.192.in-addr.arpa",
		"198.51.100.250":     "250.100.51.198.in-addr.arpa",
		"::ffff:192.0.2.103": "103.2.0.192.in-addr.arpa",
		"2001:db8::567:89ab": "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa",
	} {
		if got := dns.Reverse(netip.MustParseAddr(in)); got != want {
			t.Errorf("Reverse(%s) = %q, want %q", in, got, want)
		}
	}
	if got := dns.Reverse(netip.Addr{}); got != "" {
		t.Errorf("Reverse of no address = %q", got)
	}
}
