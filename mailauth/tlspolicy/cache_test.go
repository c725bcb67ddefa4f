package tlspolicy

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const day = 24 * time.Hour

// outside is the record and the policy host of example.com, to be changed while a
// test runs.
type outside struct {
	*zone
	*policyHost
	mu     sync.Mutex
	policy string // "": the host answers 500
}

func newOutside(t *testing.T) *outside {
	certificates()
	o := &outside{zone: newZone(t, "a mta-sts.example.com - 192.0.2.1", "txt _mta-sts.example.com - v=STSv1; id=1;")}
	o.policyHost = says(t, "")
	o.respond = func(conn net.Conn, _ int) {
		o.mu.Lock()
		defer o.mu.Unlock()
		if o.policy == "" {
			io.WriteString(conn, "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
			return
		}
		io.WriteString(conn, ok(o.policy))
	}
	o.publish(ModeEnforce, 604800)
	return o
}

func (o *outside) publish(mode Mode, maxAge int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.policy = fmt.Sprintf("version: STSv1\nmode: %s\nmx: mx.example.com\nmax_age: %d\n", mode, maxAge)
}

func (o *outside) breakDown() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.policy = ""
}

func (o *outside) record(text string) { o.set("txt _mta-sts.example.com - " + text) }

func (o *outside) cache(t *testing.T, change ...func(*STSOptions)) *STSCache {
	options := STSOptions{FetchOptions: o.options(t, o.zone)}
	for _, c := range change {
		c(&options)
	}
	c, err := NewSTSCache(options)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// pass lets time go by, of the bubble.
func pass(d time.Duration) { <-time.After(d) }

// want compares state, mode, id, live, and the code of the failure.
func want(t *testing.T, s STS, expected string) {
	t.Helper()
	code := "-"
	if s.Failure != nil {
		code = s.Failure.Code
	}
	mode, id := string(s.Policy.Mode), s.ID
	if mode == "" {
		mode, id = "-", "-"
	}
	got := fmt.Sprintf("%v %s %s live=%v %s", s.State, mode, id, s.Live, code)
	if got != expected {
		t.Errorf("\n got %s\nwant %s", got, expected)
	}
}

func fetched(t *testing.T, o *outside, n int) {
	t.Helper()
	if got := o.count(); got != n {
		t.Errorf("%d fetches, want %d", got, n)
	}
}

// TestConformanceRFC8461Time runs what RFC 8461 says about time: each case has its
// own clock.
func TestConformanceRFC8461Time(t *testing.T) {
	cases := []struct {
		name string
		run  func(t *testing.T, o *outside)
	}{
		{"3.2 a policy is fetched once and kept", func(t *testing.T, o *outside) {
			c := o.cache(t)
			defer c.Close()
			for range 5 {
				want(t, c.Get(t.Context(), "example.com"), "published enforce 1 live=true -")
				pass(day)
			}
			fetched(t, o, 1)
		}},
		{"3.3 DNS fails: the kept policy holds", func(t *testing.T, o *outside) {
			c := o.cache(t)
			defer c.Close()
			c.Get(t.Context(), "example.com")
			o.record("failed")
			pass(6 * day)
			want(t, c.Get(t.Context(), "example.com"), "published enforce 1 live=false record-lookup")
			fetched(t, o, 1)
		}},
		{"3.3 DNS fails and nothing is kept: nothing is concluded", func(t *testing.T, o *outside) {
			c := o.cache(t)
			defer c.Close()
			o.record("bogus")
			want(t, c.Get(t.Context(), "example.com"), "unknown - - live=false record-lookup")
			fetched(t, o, 0)
		}},
		{"3.3 a host that fails is not asked for each message", func(t *testing.T, o *outside) {
			c := o.cache(t)
			defer c.Close()
			o.breakDown()
			for range 100 {
				want(t, c.Get(t.Context(), "example.com"), "broken - - live=false policy-http-500")
				pass(time.Second)
			}
			fetched(t, o, 1)
			pass(5 * time.Minute)
			c.Get(t.Context(), "example.com")
			fetched(t, o, 2)
			pass(6 * time.Minute) // the second pause is twice the first
			c.Get(t.Context(), "example.com")
			fetched(t, o, 2)
			for range 7 * 24 {
				pass(time.Hour + time.Second)
				c.Get(t.Context(), "example.com")
			}
			fetched(t, o, 2+7*24) // an hour at most
		}},
		{"3.3 a new id may be tried before the pause is over", func(t *testing.T, o *outside) {
			c := o.cache(t)
			defer c.Close()
			o.breakDown()
			c.Get(t.Context(), "example.com")
			o.publish(ModeEnforce, 604800)
			o.record("v=STSv1; id=2;")
			pass(61 * time.Second)
			want(t, c.Get(t.Context(), "example.com"), "published enforce 2 live=true -")
		}},
		{"3.3 ids that change by the second are not followed by the second", func(t *testing.T, o *outside) {
			c := o.cache(t)
			defer c.Close()
			for n := range 60 {
				o.record(fmt.Sprintf("v=STSv1; id=%d;", n%2))
				c.Get(t.Context(), "example.com")
				pass(time.Second)
			}
			fetched(t, o, 1)
		}},
		{"3.3 policies are fetched again before they expire", func(t *testing.T, o *outside) {
			c := o.cache(t)
			defer c.Close()
			c.Get(t.Context(), "example.com")
			ctx, cancel := context.WithCancel(t.Context())
			go c.Run(ctx)
			pass(10*day + time.Hour)
			cancel()
			synctest.Wait()
			fetched(t, o, 11)
			o.record("failed")
			want(t, c.Get(t.Context(), "example.com"), "published enforce 1 live=false record-lookup")
		}},
		{"3.3 a refresh that fails is told and tried again", func(t *testing.T, o *outside) {
			var told []string
			c := o.cache(t, func(options *STSOptions) {
				options.Failed = func(domain string, kept STSPolicy, f *Failure) {
					told = append(told, fmt.Sprintf("%s %s %s", domain, kept.Mode, f.Code))
				}
			})
			defer c.Close()
			c.Get(t.Context(), "example.com")
			o.breakDown()
			ctx, cancel := context.WithCancel(t.Context())
			go c.Run(ctx)
			pass(day + 12*time.Minute)
			cancel()
			synctest.Wait()
			if len(told) != 2 || told[0] != "example.com enforce policy-http-500" {
				t.Errorf("told %q", told)
			}
			want(t, c.Get(t.Context(), "example.com"), "published enforce 1 live=true -")
		}},
		{"3.2 a max_age of a minute is not fetched every minute", func(t *testing.T, o *outside) {
			o.publish(ModeEnforce, 60)
			c := o.cache(t)
			defer c.Close()
			c.Get(t.Context(), "example.com")
			ctx, cancel := context.WithCancel(t.Context())
			go c.Run(ctx)
			pass(day)
			cancel()
			synctest.Wait()
			fetched(t, o, 1)
			if c.Len() != 0 {
				t.Error("still kept")
			}
		}},
		{"3.3 a policy that nobody needs is let go", func(t *testing.T, o *outside) {
			c := o.cache(t)
			defer c.Close()
			c.Get(t.Context(), "example.com")
			ctx, cancel := context.WithCancel(t.Context())
			go c.Run(ctx)
			pass(60 * day)
			cancel()
			synctest.Wait()
			if c.Len() != 0 {
				t.Error("still kept after two months")
			}
		}},
		{"3.3 a fetch takes a minute at most: a host that does not answer", func(t *testing.T, o *outside) {
			c := o.cache(t)
			defer c.Close()
			o.respond = func(conn net.Conn, _ int) { io.Copy(io.Discard, conn) }
			start := time.Now()
			want(t, c.Get(t.Context(), "example.com"), "broken - - live=false policy-host-http")
			if took := time.Since(start); took != time.Minute {
				t.Errorf("took %v", took)
			}
		}},
		{"3.3 a fetch takes a minute at most: a byte a minute", func(t *testing.T, o *outside) {
			c := o.cache(t)
			defer c.Close()
			o.respond = func(conn net.Conn, _ int) {
				io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
				for {
					if _, err := io.WriteString(conn, "v"); err != nil {
						return
					}
					pass(time.Minute)
				}
			}
			start := time.Now()
			want(t, c.Get(t.Context(), "example.com"), "broken - - live=false policy-host-http")
			if took := time.Since(start); took != time.Minute {
				t.Errorf("took %v", took)
			}
			pass(2 * time.Minute)
		}},
		{"3.3 a fetch takes a minute at most: a host that does not take the connection", func(t *testing.T, o *outside) {
			hang := func(ctx context.Context, _, _ string) (net.Conn, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			c := o.cache(t, func(options *STSOptions) { options.Dial = hang })
			defer c.Close()
			start := time.Now()
			want(t, c.Get(t.Context(), "example.com"), "broken - - live=false policy-host-connect")
			if took := time.Since(start); took > time.Minute {
				t.Errorf("took %v", took)
			}
		}},
		{"3.3 a body without end", func(t *testing.T, o *outside) {
			c := o.cache(t)
			defer c.Close()
			o.respond = func(conn net.Conn, _ int) {
				io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
				for {
					if _, err := io.WriteString(conn, strings.Repeat("x", 1000)); err != nil {
						return
					}
				}
			}
			want(t, c.Get(t.Context(), "example.com"), "broken - - live=false policy-too-long")
		}},
		{"3.3 a header without end", func(t *testing.T, o *outside) {
			c := o.cache(t)
			defer c.Close()
			o.respond = func(conn net.Conn, _ int) {
				io.WriteString(conn, "HTTP/1.1 200 OK\r\n")
				for {
					if _, err := io.WriteString(conn, "X-Y: "+strings.Repeat("x", 1000)+"\r\n"); err != nil {
						return
					}
				}
			}
			want(t, c.Get(t.Context(), "example.com"), "broken - - live=false policy-host-http")
		}},
		{"3.3 a chunk that says that it has no end", func(t *testing.T, o *outside) {
			c := o.cache(t)
			defer c.Close()
			o.respond = func(conn net.Conn, _ int) {
				io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n")
				for {
					if _, err := io.WriteString(conn, "1;"+strings.Repeat("x", 1000)+"\r\nx\r\n"); err != nil {
						return
					}
				}
			}
			if s := c.Get(t.Context(), "example.com"); s.State != Broken || s.Failure.Result != STSPolicyFetchError {
				t.Errorf("%v %v", s.State, s.Failure)
			}
		}},
		{"3.3 a body without length that is cut between records", func(t *testing.T, o *outside) {
			c := o.cache(t)
			defer c.Close()
			o.respond = func(conn net.Conn, _ int) {
				body := "version: STSv1\nmode: enforce\nmx: mx.example.com\nmax_age: 604800\n" // and "mx: mx2..." is cut off
				io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"+body)
				under, _ := conn.(*tls.Conn)
				under.NetConn().Close()
			}
			want(t, c.Get(t.Context(), "example.com"), "broken - - live=false policy-host-http")
		}},
		{"5 the policy may change without the old one having expired", func(t *testing.T, o *outside) {
			c := o.cache(t)
			defer c.Close()
			c.Get(t.Context(), "example.com")
			pass(day)
			o.publish(ModeTesting, 86400)
			want(t, c.Get(t.Context(), "example.com"), "published enforce 1 live=true -")
			o.record("v=STSv1; id=2;")
			want(t, c.Get(t.Context(), "example.com"), "published testing 2 live=true -")
			fetched(t, o, 2)
		}},
		{"3.3 a new policy that cannot be fetched leaves the old one", func(t *testing.T, o *outside) {
			c := o.cache(t)
			defer c.Close()
			c.Get(t.Context(), "example.com")
			pass(day)
			o.breakDown()
			o.record("v=STSv1; id=2;")
			for range 3 {
				want(t, c.Get(t.Context(), "example.com"), "published enforce 1 live=false policy-http-500")
			}
			fetched(t, o, 2)
		}},
		{"5.1 a record that is gone leaves the policy until it expires", func(t *testing.T, o *outside) {
			c := o.cache(t)
			defer c.Close()
			c.Get(t.Context(), "example.com")
			o.record("absent")
			pass(7*day - time.Second)
			want(t, c.Get(t.Context(), "example.com"), "published enforce 1 live=false record-missing")
			pass(2 * time.Second)
			want(t, c.Get(t.Context(), "example.com"), "none - - live=false -")
			fetched(t, o, 1)
		}},
		{"5.1 a record that breaks leaves the policy", func(t *testing.T, o *outside) {
			c := o.cache(t)
			defer c.Close()
			c.Get(t.Context(), "example.com")
			o.record("v=STSv1; id=;")
			want(t, c.Get(t.Context(), "example.com"), "published enforce 1 live=false record-syntax")
		}},
		{"5.1 after max_age the policy is fetched again", func(t *testing.T, o *outside) {
			c := o.cache(t)
			defer c.Close()
			c.Get(t.Context(), "example.com")
			pass(7*day + time.Second)
			want(t, c.Get(t.Context(), "example.com"), "published enforce 1 live=true -")
			fetched(t, o, 2)
		}},
		{"3.3 after max_age a host in trouble has no policy", func(t *testing.T, o *outside) {
			c := o.cache(t)
			defer c.Close()
			c.Get(t.Context(), "example.com")
			o.breakDown()
			pass(7*day + time.Second)
			want(t, c.Get(t.Context(), "example.com"), "broken - - live=false policy-http-500")
		}},
		{"3.2 a max_age of zero serves those who are here", func(t *testing.T, o *outside) {
			o.publish(ModeEnforce, 0)
			c := o.cache(t)
			defer c.Close()
			for range 50 {
				want(t, c.Get(t.Context(), "example.com"), "published enforce 1 live=true -")
			}
			fetched(t, o, 1)
			pass(2 * time.Minute)
			o.record("absent")
			want(t, c.Get(t.Context(), "example.com"), "none - - live=false -")
		}},
		{"8.3 mode none takes a policy back", func(t *testing.T, o *outside) {
			c := o.cache(t)
			defer c.Close()
			c.Get(t.Context(), "example.com")
			pass(day)
			o.publish(ModeNone, 86400)
			o.record("v=STSv1; id=2;")
			s := c.Get(t.Context(), "example.com")
			want(t, s, "published none 2 live=true -")
			r := Plan(Host{Name: "mx9.example.com", Domain: "example.com"}, DANE{}, s, Rule{})
			if r.Level != LevelOpportunistic {
				t.Error(r.Level, r.Reason)
			}
			o.record("absent")
			pass(day + time.Second)
			want(t, c.Get(t.Context(), "example.com"), "none - - live=false -")
		}},
		{"8.3 a domain that leaves by mode none is let go, and nobody is told", func(t *testing.T, o *outside) {
			o.publish(ModeNone, 864000)
			c := o.cache(t, func(options *STSOptions) {
				options.Failed = func(domain string, kept STSPolicy, f *Failure) { t.Error(domain, kept.Mode, f) }
			})
			defer c.Close()
			c.Get(t.Context(), "example.com")
			ctx, cancel := context.WithCancel(t.Context())
			go c.Run(ctx)
			pass(day + time.Hour)
			fetched(t, o, 2)
			o.record("absent")
			o.breakDown()
			pass(3 * day)
			want(t, c.Get(t.Context(), "example.com"), "published none 1 live=false -")
			o.record("failed")
			want(t, c.Get(t.Context(), "example.com"), "published none 1 live=false -")
			pass(20 * day)
			cancel()
			synctest.Wait()
			fetched(t, o, 2)
			if c.Len() != 0 {
				t.Error("still kept")
			}
		}},
		{"8.3 a policy of mode none whose host is in trouble is nobody's alarm", func(t *testing.T, o *outside) {
			o.publish(ModeNone, 864000)
			c := o.cache(t, func(options *STSOptions) {
				options.Failed = func(domain string, kept STSPolicy, f *Failure) { t.Error(domain, kept.Mode, f) }
			})
			defer c.Close()
			c.Get(t.Context(), "example.com")
			o.breakDown()
			ctx, cancel := context.WithCancel(t.Context())
			go c.Run(ctx)
			pass(day + time.Hour)
			cancel()
			synctest.Wait()
			if o.count() < 2 {
				t.Error("not fetched again")
			}
		}},
		{"10.2 a policy is fetched again though its record is kept from us", func(t *testing.T, o *outside) {
			c := o.cache(t)
			defer c.Close()
			c.Get(t.Context(), "example.com")
			ctx, cancel := context.WithCancel(t.Context())
			go c.Run(ctx)
			for n, record := range []string{"failed", "absent", "bogus", "v=STSv1; id=;"} {
				o.record(record)
				pass(5 * day) // the four are more than max_age
				s := c.Get(t.Context(), "example.com")
				if s.State != Published || s.Live || s.ID != "1" || time.Since(s.Fetched) > day+time.Hour {
					t.Errorf("%d: %v live=%v id %s, fetched %v ago", n, s.State, s.Live, s.ID, time.Since(s.Fetched))
				}
			}
			pass(2 * time.Minute) // a refresh may have been this moment, and is followed by none at once
			o.record("v=STSv1; id=2;")
			o.publish(ModeTesting, 604800)
			want(t, c.Get(t.Context(), "example.com"), "published testing 2 live=true -")
			cancel()
			synctest.Wait()
		}},
		{"10.2 a refresh that fails without a record is told long before the policy expires", func(t *testing.T, o *outside) {
			var told atomic.Int32
			c := o.cache(t, func(options *STSOptions) {
				options.Failed = func(string, STSPolicy, *Failure) { told.Add(1) }
			})
			defer c.Close()
			c.Get(t.Context(), "example.com")
			o.breakDown()
			o.record("absent")
			ctx, cancel := context.WithCancel(t.Context())
			go c.Run(ctx)
			pass(2 * day)
			if n := told.Load(); n < 5 {
				t.Errorf("told %d times", n)
			}
			pass(6 * day)
			cancel()
			synctest.Wait()
			want(t, c.Get(t.Context(), "example.com"), "none - - live=false -")
		}},
		{"3.3 a record and no policy to be had: as if there were no MTA-STS", func(t *testing.T, o *outside) {
			c := o.cache(t)
			defer c.Close()
			o.breakDown()
			s := c.Get(t.Context(), "example.com")
			want(t, s, "broken - - live=false policy-http-500")
			r := Plan(Host{Name: "mx9.example.com", Domain: "example.com"}, DANE{}, s, Rule{})
			if r.Level != LevelOpportunistic || r.Testing || r.MXProven {
				t.Error(r.Level, r.Reason)
			}
		}},
		{"3.4 a subdomain has no policy of its parent", func(t *testing.T, o *outside) {
			c := o.cache(t)
			defer c.Close()
			c.Get(t.Context(), "example.com")
			want(t, c.Get(t.Context(), "sub.example.com"), "none - - live=false -")
			for _, q := range o.questions() {
				if strings.HasSuffix(q, "sub.example.com") && q != "txt:_mta-sts.sub.example.com" {
					t.Error("asked", q)
				}
			}
		}},
		{"3.4 an address literal has no policy", func(t *testing.T, o *outside) {
			c := o.cache(t)
			defer c.Close()
			want(t, c.Get(t.Context(), "[192.0.2.1]"), "none - - live=false -")
			if len(o.questions()) > 0 {
				t.Error("asked", o.questions())
			}
		}},
	}
	certificates()
	passed := 0
	for _, c := range cases {
		done := t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newOutside(t)
				c.run(t, o)
				o.wg.Wait()
			})
		})
		if done {
			passed++
		}
	}
	conformance(t, "RFC 8461 MTA-STS, over time", len(cases), passed, nil)
}

// TestOneFetchForAll asks from many sides at once: one fetch serves them, also
// those whose time ran out when others still wait, and it ends when all have gone.
func TestOneFetchForAll(t *testing.T) {
	certificates()
	synctest.Test(t, func(t *testing.T) {
		o := newOutside(t)
		c := o.cache(t)
		defer c.Close()
		answer := o.respond
		o.respond = func(conn net.Conn, n int) {
			pass(20 * time.Second)
			answer(conn, n)
		}
		hasty, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() { want(t, c.Get(hasty, "example.com"), "unknown - - live=false given-up") })
		for range 50 {
			wg.Go(func() { want(t, c.Get(t.Context(), "example.com"), "published enforce 1 live=true -") })
		}
		wg.Wait()
		fetched(t, o, 1)

		c.Forget("Example.COM.")
		gone, cancel2 := context.WithTimeout(t.Context(), time.Second)
		defer cancel2()
		want(t, c.Get(gone, "example.com"), "unknown - - live=false given-up")
		synctest.Wait()
		// The fetch was given up, and that says nothing about the host.
		want(t, c.Get(t.Context(), "example.com"), "published enforce 1 live=true -")
		o.wg.Wait()
	})
}

// TestGivenUpFetch: nobody joins a fetch that was given up, and its late end does
// not disturb the one that came after it.
func TestGivenUpFetch(t *testing.T) {
	certificates()
	synctest.Test(t, func(t *testing.T) {
		o := newOutside(t)
		answer := o.respond
		o.respond = func(conn net.Conn, n int) {
			pass(20 * time.Second)
			answer(conn, n)
		}
		var dials atomic.Int32
		c := o.cache(t, func(options *STSOptions) {
			dial := options.Dial
			options.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
				if dials.Add(1) == 1 { // hears of the end of ctx late
					pass(10 * time.Second)
				}
				return dial(ctx, network, address)
			}
		})
		defer c.Close()
		hasty, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		want(t, c.Get(hasty, "example.com"), "unknown - - live=false given-up")
		var wg sync.WaitGroup
		for _, after := range []time.Duration{time.Second, 12 * time.Second} {
			wg.Go(func() {
				pass(after)
				want(t, c.Get(t.Context(), "example.com"), "published enforce 1 live=true -")
			})
		}
		wg.Wait()
		if n := dials.Load(); n != 2 {
			t.Errorf("%d dials, want 2", n)
		}
		o.wg.Wait()
	})
}

// TestCloseEndsFetches: nothing hangs on a policy host after Close.
func TestCloseEndsFetches(t *testing.T) {
	certificates()
	synctest.Test(t, func(t *testing.T) {
		o := newOutside(t)
		c := o.cache(t)
		o.respond = func(conn net.Conn, _ int) { io.Copy(io.Discard, conn) }
		start := time.Now()
		go func() {
			pass(time.Second)
			c.Close()
		}()
		if s := c.Get(t.Context(), "example.com"); s.State != Broken || time.Since(start) != time.Second {
			t.Errorf("%v after %v", s.State, time.Since(start))
		}
		want(t, c.Get(t.Context(), "example.com"), "broken - - live=false closed")
		o.wg.Wait()
	})
}

// TestBounds: neither many domains nor long policies fill the memory, and the
// policy that is used stays.
func TestBounds(t *testing.T) {
	certificates()
	for _, bound := range []func(*STSOptions){
		func(o *STSOptions) { o.MaxPolicies = 3 },
		func(o *STSOptions) { o.MaxBytes = 3 * 320 },
	} {
		synctest.Test(t, func(t *testing.T) {
			o := newOutside(t)
			o.config = certificates().server(t, "policyany", "inter")
			c := o.cache(t, bound)
			defer c.Close()
			for n := range 10 {
				domain := fmt.Sprintf("d%d.example", n)
				o.add("a mta-sts." + domain + " - 192.0.2.1")
				o.add("txt _mta-sts." + domain + " - v=STSv1; id=1;")
				want(t, c.Get(t.Context(), domain), "published enforce 1 live=true -")
				want(t, c.Get(t.Context(), "d0.example"), "published enforce 1 live=true -")
				if c.Len() > 3 {
					t.Fatalf("%d kept", c.Len())
				}
			}
			fetched(t, o, 10)
			o.wg.Wait()
		})
	}
}

// TestSnapshot keeps policies over a restart, and believes nothing that a
// snapshot says without looking.
func TestSnapshot(t *testing.T) {
	certificates()
	synctest.Test(t, func(t *testing.T) {
		o := newOutside(t)
		before := o.cache(t)
		before.Get(t.Context(), "example.com")
		before.Close()
		var file bytes.Buffer
		if err := before.Snapshot(&file); err != nil {
			t.Fatal(err)
		}
		text := file.String()
		pass(6 * day)
		o.record("failed")

		after := o.cache(t)
		defer after.Close()
		if n, err := after.Restore(strings.NewReader(text)); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		want(t, after.Get(t.Context(), "example.com"), "published enforce 1 live=false record-lookup")
		if n, err := after.Restore(strings.NewReader(text)); n != 0 || err != nil {
			t.Error("the same again:", n, err)
		}
		pass(2 * day) // expired since it was fetched, not since it was restored
		want(t, after.Get(t.Context(), "example.com"), "unknown - - live=false record-lookup")
		if n, err := after.Restore(strings.NewReader(text)); n != 0 || err != nil {
			t.Error("what expired is taken:", n, err)
		}
		for _, damaged := range []string{
			"", "{}\n", strings.Replace(text, `"version":1`, `"version":9`, 1), "\x00\xff",
		} {
			if n, err := after.Restore(strings.NewReader(damaged)); n != 0 || err == nil {
				t.Errorf("%q: %d %v", clip(damaged), n, err)
			}
		}
		head, entry, _ := strings.Cut(text, "\n")
		now := time.Now().UTC().Format(time.RFC3339)
		fresh := strings.ReplaceAll(entry, "2000-01-01T00:00:00Z", now)
		for _, damaged := range []string{
			`{"domain":"a..b"`, strings.Replace(fresh, "enforce", "strict", 1), strings.Replace(fresh, `"id":"1"`, `"id":""`, 1),
			strings.Replace(fresh, "example.com", "[192.0.2.1]", 1),
		} {
			n, err := after.Restore(strings.NewReader(head + "\n" + damaged + "\n" + fresh))
			if err == nil || damaged == fresh {
				t.Errorf("%q is not seen", damaged)
			}
			if n != 1 {
				t.Errorf("%d taken beside a damaged line", n)
			}
			after.Forget("example.com")
		}
		future := strings.ReplaceAll(entry, "2000-01-01T00:00:00Z", "2090-01-01T00:00:00Z")
		if n, err := after.Restore(strings.NewReader(head + "\n" + future)); n != 1 || err != nil {
			t.Error("from the future:", n, err)
		}
		if s := after.Get(t.Context(), "example.com"); !s.Expires.Equal(time.Now().Add(7 * day)) {
			t.Error("from the future, expires", s.Expires)
		}
		if err := before.Snapshot(failing{}); err == nil {
			t.Error("a snapshot that cannot be written is one")
		}
		o.wg.Wait()
	})
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestNewSTSCache(t *testing.T) {
	if _, err := NewSTSCache(STSOptions{}); err == nil {
		t.Error("a cache without resolver")
	}
}
