package smtp

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postroad/postroad/mail"
)

// TestClientTLS: what was offered in clear is forgotten, the results are there, phases are apart.
func TestClientTLS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &recorder{}
		near, far := longPipe(oneWay)
		done := make(chan error, 1)
		go func() { done <- Serve(t.Context(), far, &ServerOptions{TLS: serverTLS(t), Auth: []string{"PLAIN"}}, h) }()
		c := NewClient(near, ClientOptions{})
		_, err := c.Greet(t.Context())
		if err == nil {
			_, err = c.Hello(t.Context(), "mail.example.org")
		}
		if err != nil || !c.Extensions().Has("STARTTLS") || c.Extensions().Has("AUTH") || c.TLS() != nil {
			t.Fatalf("%v: %v, TLS %v", err, c.Extensions(), c.TLS())
		}
		if err := c.StartTLS(t.Context(), clientTLS(t)); err != nil {
			t.Fatal(err)
		}
		if len(c.Extensions()) != 0 {
			t.Errorf("offered in clear and still known: %v", c.Extensions())
		}
		m := readMessage(t, "a", "x\r\n")
		if err := c.Send(t.Context(), m); err == nil || !errors.Is(m.To[0].Err, ErrNotTried) {
			t.Errorf("sent without a second EHLO: %v", m.To[0].Err)
		}
		if _, err := c.Hello(t.Context(), "mail.example.org"); err != nil || c.Extensions().Has("STARTTLS") || !c.Extensions().Has("AUTH") {
			t.Errorf("%v: %v", err, c.Extensions())
		}
		if s := c.TLS(); s == nil || s.Version != tls.VersionTLS13 || len(s.VerifiedChains) == 0 || len(s.PeerCertificates) != 1 {
			t.Errorf("TLS %+v", s)
		}
		if err := c.StartTLS(t.Context(), clientTLS(t)); err == nil || c.Broken() != nil {
			t.Errorf("TLS in TLS: %v", err)
		}
		if err := c.Send(t.Context(), m); err != nil || !m.To[0].Delivered {
			t.Errorf("%v, %v", err, m.To[0].Err)
		}
		if err := c.Quit(t.Context()); err != nil {
			t.Error(err)
		}
		<-done
		rtt := 2 * oneWay
		for stage, want := range map[mail.Stage]time.Duration{mail.StageBanner: oneWay, mail.StageEHLO: 2 * rtt, mail.StageSTARTTLS: rtt,
			mail.StageTLS: rtt, mail.StageMail: rtt, mail.StageRcpt: 0} {
			if got := c.Phases()[stage]; got != want {
				t.Errorf("%s took %s, want %s", stage, got, want)
			}
		}
	})
}

// TestInjection: octets in clear behind the 220 of STARTTLS end the session, whether they
// came with it or after it.
func TestInjection(t *testing.T) {
	for _, c := range []struct {
		name   string
		behind string
		later  bool
		stage  mail.Stage
	}{
		{"in one segment", "250-mx\r\n250 AUTH PLAIN\r\n", false, mail.StageSTARTTLS},
		{"a single octet", "2", false, mail.StageSTARTTLS},
		{"an LF", "\n", false, mail.StageSTARTTLS},
		{"later", "250-mx\r\n250 AUTH PLAIN\r\n", true, mail.StageTLS},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := longPipe(oneWay)
				done := make(chan struct{})
				go func() {
					defer close(done)
					defer far.Close()
					in := bufio.NewReader(far)
					_, _ = io.WriteString(far, "220 mx\r\n")
					_, _ = in.ReadString('\n')
					_, _ = io.WriteString(far, "250-mx\r\n250 starttls\r\n")
					_, _ = in.ReadString('\n')
					if c.later {
						_, _ = io.WriteString(far, "220 go\r\n")
						pause(time.Second)
						_, _ = io.WriteString(far, c.behind)
					} else {
						_, _ = io.WriteString(far, "220 go\r\n"+c.behind)
					}
					pause(time.Second)
					_ = tls.Server(far, serverTLS(t)).Handshake()
				}()
				client := NewClient(near, ClientOptions{})
				_, err := client.Greet(t.Context())
				if err == nil {
					_, err = client.Hello(t.Context(), "mail.example.org")
				}
				if err != nil {
					t.Fatal(err)
				}
				err = client.StartTLS(t.Context(), clientTLS(t))
				var e *Error
				if !errors.As(err, &e) || e.Stage != c.stage || !c.later && !errors.Is(err, ErrInjected) || client.Broken() == nil {
					t.Errorf("%v", err)
				}
				if _, err := client.Hello(t.Context(), "mail.example.org"); err == nil {
					t.Error("the session goes on")
				}
				_ = client.Quit(t.Context())
				<-done
			})
		})
	}
}

// TestHandshakeFails: a handshake that goes wrong or hangs is its own stage, and ends in time.
func TestHandshakeFails(t *testing.T) {
	for _, c := range []struct {
		name      string
		handshake Handshake
		config    func(*tls.Config)
		want      error
		took      time.Duration
	}{
		{"hangs", func(ctx context.Context, _ net.Conn, _ *tls.Config) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}, nil, ErrTimeout, 2 * time.Minute},
		{"cut", func(_ context.Context, conn net.Conn, _ *tls.Config) (net.Conn, error) {
			_ = conn.Close()
			return nil, ErrCut
		}, nil, nil, 0},
		{"another name", nil, func(c *tls.Config) { c.ServerName = "other.example" }, nil, 2 * oneWay},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := longPipe(oneWay)
				done := make(chan error, 1)
				o := ServerOptions{TLS: serverTLS(t), Handshake: c.handshake, Timeouts: ServerTimeouts{TLS: time.Hour}}
				go func() { done <- Serve(t.Context(), far, &o, Ordinary{}) }()
				client := NewClient(near, ClientOptions{})
				_, err := client.Greet(t.Context())
				if err == nil {
					_, err = client.Hello(t.Context(), "mail.example.org")
				}
				if err != nil {
					t.Fatal(err)
				}
				config := clientTLS(t)
				if c.config != nil {
					c.config(config)
				}
				err = client.StartTLS(t.Context(), config)
				var e *Error
				if !errors.As(err, &e) || e.Stage != mail.StageTLS || c.want != nil && !errors.Is(err, c.want) {
					t.Errorf("%v", err)
				}
				if took := client.Phases()[mail.StageTLS]; took != c.took {
					t.Errorf("took %s, want %s", took, c.took)
				}
				_ = client.Close()
				_ = far.Close()
				<-done
			})
		})
	}
}

// TestImplicitTLS: its handshake comes before the banner and is a stage of its own.
func TestImplicitTLS(t *testing.T) {
	for _, name := range []string{"mx.example", "other.example"} {
		synctest.Test(t, func(t *testing.T) {
			near, far := longPipe(oneWay)
			done := make(chan error, 1)
			go func() {
				done <- Serve(t.Context(), far, &ServerOptions{TLS: serverTLS(t), ImplicitTLS: true}, Ordinary{})
			}()
			config := clientTLS(t)
			config.ServerName = name
			c := NewClient(tls.Client(near, config), ClientOptions{})
			_, err := c.Greet(t.Context())
			if err == nil {
				_, err = c.Hello(t.Context(), "mail.example.org")
			}
			var e *Error
			if trusted := name == "mx.example"; trusted != (err == nil) || !trusted && (!errors.As(err, &e) || e.Stage != mail.StageTLS) ||
				trusted && (c.TLS() == nil || c.Phases()[mail.StageBanner] != 2*oneWay) || c.Phases()[mail.StageTLS] != 2*oneWay {
				t.Errorf("%s: %v, phases %v", name, err, c.Phases())
			}
			_ = c.Quit(t.Context())
			<-done
		})
	}
}

// TestStartTLSNotOffered: nothing is said, and the session goes on.
func TestStartTLSNotOffered(t *testing.T) {
	between(t, ServerOptions{}, Ordinary{}, ClientOptions{}, false, func(c *Client) {
		var e *Error
		if err := c.StartTLS(t.Context(), clientTLS(t)); !errors.Is(err, ErrNotOffered) || !errors.As(err, &e) || e.Stage != mail.StageSTARTTLS {
			t.Error(err)
		}
		if err := c.Noop(t.Context()); err != nil {
			t.Error(err)
		}
		if err := c.Reset(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestClientCancel: the end of the context ends each stage at once.
func TestClientCancel(t *testing.T) {
	const stages = 5
	for stage := range stages {
		synctest.Test(t, func(t *testing.T) {
			near, far := net.Pipe()
			steps := []string{"S 220 mx", "C EHLO mail.example.org", "S 250-mx|250 PIPELINING", "C MAIL FROM:<s@example.org>", "C RCPT TO:<a@example.com>",
				"C DATA", "S 250 ok|250 ok|354 go", "C content"}
			steps = steps[:[stages]int{0, 2, 4, 7, 8}[stage]]
			done := make(chan struct{})
			go func() { defer close(done); _ = play(far, append(steps, "X wait 1h")) }()
			why := errors.New("enough")
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Minute, func() { cancel(why) })
			c := NewClient(near, ClientOptions{})
			began := time.Now()
			m := readMessage(t, "a", "x\r\n")
			_, err := c.Greet(ctx)
			if err == nil {
				_, err = c.Hello(ctx, "mail.example.org")
			}
			if err == nil {
				err = c.Send(ctx, m)
			}
			if !errors.Is(err, why) || time.Since(began) != time.Minute {
				t.Errorf("stage %d: %v after %s", stage, err, time.Since(began))
			}
			if uncertain := m.To[0].Uncertain(); uncertain != (stage == stages-1) {
				t.Errorf("stage %d: uncertain %t: %v", stage, uncertain, m.To[0].Err)
			}
			_ = c.Quit(ctx)
			<-done
		})
	}
}

// TestQuitIsBounded: a server that does not answer QUIT costs five seconds.
func TestQuitIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		done := make(chan struct{})
		go func() { defer close(done); _ = play(far, []string{"S 220 mx", "C QUIT", "X wait 1h"}) }()
		c := NewClient(near, ClientOptions{})
		if _, err := c.Greet(t.Context()); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := c.Quit(t.Context()); err == nil || time.Since(began) != 5*time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		if _, err := c.Hello(t.Context(), "mail.example.org"); !errors.Is(err, net.ErrClosed) && !errors.Is(err, ErrTimeout) {
			t.Errorf("after QUIT: %v", err)
		}
		<-done
	})
}

// introduced keeps what a server was told of the client.
type introduced struct {
	Ordinary
	remote, local netip.AddrPort
	name, helo    string
	user          string
}

func (k *introduced) Mail(_ context.Context, s *Session, _ MailCommand) mail.Reply {
	k.remote, k.local, k.name, k.helo, k.user = s.Remote, s.Local, s.Name, s.HelloName, s.User
	return mail.Reply{}
}

// TestIntroductions: what PROXY and XCLIENT say arrives.
func TestIntroductions(t *testing.T) {
	for _, c := range []struct{ source, destination, want string }{
		{"192.0.2.7:4711", "198.51.100.25:25", "192.0.2.7:4711"},
		{"[2001:db8::7]:4711", "[2001:db8::25]:25", "[2001:db8::7]:4711"},
		{"[::ffff:192.0.2.7]:4711", "198.51.100.25:25", "192.0.2.7:4711"},
		{"192.0.2.7:4711", "[2001:db8::25]:25", ""},
	} {
		for version := 1; version <= 2; version++ {
			near, far := net.Pipe()
			k, done := &introduced{}, make(chan error, 1)
			go func() { done <- Serve(t.Context(), far, &ServerOptions{Proxy: everyone}, k) }()
			client := NewClient(near, ClientOptions{})
			err := client.ProxyHeader(t.Context(), version, netip.MustParseAddrPort(c.source), netip.MustParseAddrPort(c.destination))
			if err == nil {
				_, err = client.Greet(t.Context())
			}
			if err == nil {
				_, err = client.Hello(t.Context(), "mail.example.org")
			}
			if err == nil {
				err = client.Send(t.Context(), readMessage(t, "a", "x\r\n"))
			}
			_ = client.Quit(t.Context())
			<-done
			if got := k.remote.String(); err != nil || c.want != "" && got != c.want || c.want == "" && strings.Contains(got, "192") {
				t.Errorf("version %d from %s: %s, %v", version, c.source, got, err)
			}
		}
	}
	k := &introduced{}
	between(t, ServerOptions{XClient: everyone}, k, ClientOptions{}, false, func(c *Client) {
		for name, value := range map[string]string{"NAME": "a\r\nRSET", "A DDR": "192.0.2.1", "HELO": "", "LOGIN": "\x00"} {
			if err := c.XClient(t.Context(), map[string]string{name: value}); !errors.Is(err, ErrArgument) {
				t.Errorf("%q=%q: %v", name, value, err)
			}
		}
		err := c.XClient(t.Context(), map[string]string{"NAME": "sp ammer.example", "addr": "2001:db8::9", "PORT": "99", "HELO": "he+lo.example", "X-NEW": "1"})
		if err != nil {
			t.Fatal(err)
		}
		if len(c.Extensions()) != 0 {
			t.Error("what was offered before XCLIENT is still known")
		}
		if _, err := c.Hello(t.Context(), "mail.example.org"); err != nil {
			t.Fatal(err)
		}
		if err := c.Send(t.Context(), readMessage(t, "a", "x\r\n")); err != nil {
			t.Fatal(err)
		}
		if k.remote.String() != "[2001:db8::9]:99" || k.name != "sp ammer.example" {
			t.Errorf("told %+v", k)
		}
	})
	between(t, ServerOptions{}, k, ClientOptions{}, false, func(c *Client) {
		if err := c.XClient(t.Context(), map[string]string{"NAME": "x"}); !errors.Is(err, ErrNotOffered) {
			t.Error(err)
		}
	})
}

// TestHelloName: what is no name is not said.
func TestHelloName(t *testing.T) {
	c := NewClient(&tape{in: []byte("220 mx\r\n")}, ClientOptions{})
	for _, name := range []string{"", "a b", "a\r\nMAIL", "a\x00", "a\n", "\t", strings.Repeat("x", 300), "möx"} {
		if _, err := c.Hello(t.Context(), name); !errors.Is(err, ErrArgument) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if out := c.wire.Conn().(*tape).out; out.Len() != 0 || c.Broken() != nil {
		t.Errorf("said %q, %v", out.String(), c.Broken())
	}
}

// TestManyRecipients: a pipeline much longer than all buffers, on a connection that has none, does
// not stand still.
func TestManyRecipients(t *testing.T) {
	const many = 5000
	h := &counter{}
	between(t, ServerOptions{MaxRecipients: many, MaxCommands: 2 * many}, h, ClientOptions{}, false, func(c *Client) {
		m := readMessage(t, "a", "x\r\n")
		for range many - 1 {
			m.To = append(m.To, &Recipient{RcptCommand: m.To[0].RcptCommand})
		}
		if err := c.Send(t.Context(), m); err != nil {
			t.Error(err)
		}
	})
	if h.recipients != many {
		t.Errorf("%d recipients arrived", h.recipients)
	}
}

// TestHugeMessage: a large message goes out in the room of a block.
func TestHugeMessage(t *testing.T) {
	const size = 128 << 20
	h := &counter{}
	between(t, ServerOptions{MaxSize: -1}, h, ClientOptions{}, false, func(c *Client) {
		m := readMessage(t, "a", "")
		m.Content = &repeated{line: []byte("A line that is said again and again, as long as a line is.....\r\n"), size: size}
		if err := c.Send(t.Context(), m); err != nil || !m.To[0].Delivered {
			t.Errorf("%v, %v", err, m.To[0].Err)
		}
	})
	if h.octets != size {
		t.Errorf("%d octets arrived", h.octets)
	}
}

// repeated is one line of 64 octets said again and again.
type repeated struct {
	line []byte
	size int64
}

func (r *repeated) Size() int64 { return r.size }

func (r *repeated) ReadAt(p []byte, at int64) (int, error) {
	n := 0
	for n < len(p) && at+int64(n) < r.size {
		n += copy(p[n:min(int64(len(p)), r.size-at)], r.line[(at+int64(n))%int64(len(r.line)):])
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}
