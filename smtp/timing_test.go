package smtp

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postroad/postroad/mail"
)

// after lets the bubble's clock run.
func after(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

var inData = []string{"EHLO c.example", "MAIL FROM:<a@c.example>", "RCPT TO:<b@mx.example>", "DATA"}

// Each phase has its time, all of it together: a byte now and then buys none.
func TestTimeouts(t *testing.T) {
	for _, c := range []struct {
		name  string
		lines []string
		every time.Duration // an octet comes that often; 0: none
		octet string
		want  time.Duration
		reply string
	}{
		{"silence after the banner", nil, 0, "", 5 * time.Minute, "421 4.4.2 timeout, closing\r\n"},
		{"a command a byte a minute", nil, time.Minute, "N", 5 * time.Minute, "421 4.4.2 timeout, closing\r\n"},
		{"silence in the content", inData, 0, "", 5 * time.Minute, "421 4.4.2 timeout, closing\r\n"},
		{"content a byte a minute", inData, time.Minute, "x", 10 * time.Minute, "421 4.4.2 timeout, closing\r\n"},
		{"an empty line a minute", inData, time.Minute, "\r\n", 10 * time.Minute, "421 4.4.2 timeout, closing\r\n"},
		{"refused content a byte a minute", inData, time.Minute, "\n", 10 * time.Minute, "421 4.4.2 timeout, closing\r\n"},
		{"a chunk a byte a minute", append(inData[:3:3], "BDAT 1000"), time.Minute, "x", 10 * time.Minute, "421 4.4.2 timeout, closing\r\n"},
		{"the login a byte a minute", []string{"EHLO c.example", "AUTH LOGIN"}, time.Minute, "x", 5 * time.Minute, "421 4.4.2 timeout, closing\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := &keeper{}
				p := begin(t.Context(), t, &ServerOptions{Auth: []string{"LOGIN"}, AuthClear: true}, k)
				p.talk(c.lines...)
				start := time.Now()
				for !p.closed() && time.Since(start) < time.Hour {
					if c.every > 0 {
						after(c.every)
						p.send(c.octet)
					} else {
						after(time.Second)
					}
				}
				if got := time.Since(start); got != c.want {
					t.Errorf("it took %v, want %v", got, c.want)
				}
				if got := p.take(); got != c.reply {
					t.Errorf("the server said %q", got)
				}
				if err := p.end(); !errors.Is(err, ErrTimeout) || k.message != nil {
					t.Errorf("ended with %v, message %q", err, k.message)
				}
			})
		})
	}
}

// A message that comes slowly but faster than the rate is taken however long it lasts;
// the same for pauses within one.
func TestSlowContent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &keeper{}
		p := begin(t.Context(), t, &ServerOptions{}, k)
		p.talk(inData...)
		line := strings.Repeat("x", 1022) + "\r\n"
		for range 60 {
			after(time.Minute)
			for range 70 { // 1,195 octets a second
				p.send(line)
			}
		}
		p.send(".\r\n")
		if got := p.take(); got != "250 2.0.0 OK\r\n" || len(k.message) != 60*70*1024 {
			t.Errorf("the server said %q of %d octets", got, len(k.message))
		}
		p.end()
	})
}

// A peer that does not read our replies does not hold us.
func TestPeerDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		done := make(chan error, 1)
		start := time.Now()
		go func() { done <- Serve(t.Context(), there, &ServerOptions{}, Ordinary{}) }()
		err := <-done
		if got := time.Since(start); !errors.Is(err, ErrTimeout) || got < 5*time.Minute || got > 5*time.Minute+2*time.Second {
			t.Errorf("%v after %v", err, got)
		}
		here.Close()
	})
}

// A handler hangs: until the context ends, or until the client leaves.
func TestHang(t *testing.T) {
	hang := func(ctx context.Context, _ *Session) { <-ctx.Done() }
	for _, where := range []string{"rcpt", "message"} {
		for _, leave := range []bool{true, false} {
			t.Run(where, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					k := &keeper{}
					if where == "rcpt" {
						k.onRcpt = hang
					} else {
						k.onEnd = hang
					}
					ctx, cancel := context.WithCancelCause(t.Context())
					p := begin(ctx, t, &ServerOptions{}, k)
					p.send(strings.Join(inData[:3], "\r\n") + "\r\n")
					if where == "message" {
						p.send("DATA\r\n")
						p.send("x\r\n.\r\nNOOP\r\n")
					}
					after(time.Hour)
					if got := p.take(); strings.Contains(got, "250 2.1.5") != (where == "message") || strings.Contains(got, "250 2.0.0") ||
						!strings.Contains(got, "250 2.1.0") {
						t.Errorf("the server said %q", got)
					}
					start := time.Now()
					because := errors.New("enough")
					if leave {
						p.conn.Close()
					} else {
						cancel(because)
					}
					err := <-p.done
					if time.Since(start) > time.Second || leave && !errors.Is(err, io.EOF) || !leave && !errors.Is(err, because) {
						t.Errorf("ended with %v after %v", err, time.Since(start))
					}
					if got := p.take(); strings.Contains(got, "250") {
						t.Errorf("what hung was answered: %q", got)
					}
					cancel(nil)
					p.conn.Close()
				})
			})
		}
	}
}

// A handler that only takes its time is answered, and what the client said meanwhile is
// not lost, nor is the time limit of the next command.
func TestSlowHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &keeper{onRcpt: func(context.Context, *Session) { <-time.After(20 * time.Minute) }}
		p := begin(t.Context(), t, &ServerOptions{}, k)
		p.send(strings.Join(inData[:3], "\r\n") + "\r\n")
		after(2 * time.Second)
		p.send("NO")
		after(time.Minute)
		p.send("OP\r\nNOOP\r\n")
		p.take()
		after(20 * time.Minute)
		if got := p.take(); got != "250 2.1.5 OK\r\n250 2.0.0 OK\r\n250 2.0.0 OK\r\n" {
			t.Errorf("the server said %q", got)
		}
		after(3 * time.Minute)
		if got := p.talk("NOOP"); got != "250 2.0.0 OK\r\n" {
			t.Errorf("the server said %q", got)
		}
		after(5 * time.Minute)
		if !p.closed() {
			t.Error("no time limit after the slow command")
		}
		p.end()
		if got := k.phases[mail.StageRcpt]; got != 20*time.Minute {
			t.Errorf("RCPT took %v", got)
		}
	})
}

// Cut says nothing to the command at hand, but what was answered before it is sent.
func TestCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &keeper{onRcpt: func(_ context.Context, s *Session) { s.Cut() }}
		p := begin(t.Context(), t, &ServerOptions{}, k)
		p.send(strings.Join(inData, "\r\n") + "\r\n")
		got := p.take()
		if !strings.HasSuffix(got, "250 2.1.0 OK\r\n") || !p.closed() {
			t.Errorf("the server said %q, closed %t", got, p.closed())
		}
		if err := p.end(); !errors.Is(err, ErrCut) || !errors.Is(k.closed, ErrCut) {
			t.Errorf("ended with %v, %v", err, k.closed)
		}
	})
}

// Cut from elsewhere interrupts whatever is under way.
func TestCutFromElsewhere(t *testing.T) {
	for name, lines := range map[string][]string{"command": nil, "content": inData, "hang": inData[:3]} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var session *Session
				k := &keeper{}
				h := &holding{Handler: k, got: func(s *Session) { session = s }}
				if name == "hang" {
					k.onRcpt = func(ctx context.Context, _ *Session) { <-ctx.Done() }
				}
				p := begin(t.Context(), t, &ServerOptions{}, h)
				p.talk(lines...)
				session.Cut()
				synctest.Wait()
				if !p.closed() {
					t.Error("not closed")
				}
				if err := p.end(); !errors.Is(err, ErrCut) || k.message != nil {
					t.Errorf("ended with %v", err)
				}
			})
		})
	}
}

// holding lets a test have the session.
type holding struct {
	Handler
	got func(*Session)
}

func (h *holding) Connect(ctx context.Context, s *Session) mail.Reply {
	h.got(s)
	return h.Handler.Connect(ctx, s)
}

// The end of the context is told where the client waits for nothing else.
func TestShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		k := &keeper{}
		p := begin(ctx, t, &ServerOptions{Host: "mx.example"}, k)
		p.talk(inData...)
		p.send("half a mess")
		cancel()
		if got := p.take(); got != "421 4.3.2 mx.example is closing, try again\r\n" || !p.closed() {
			t.Errorf("the server said %q", got)
		}
		if err := p.end(); !errors.Is(err, context.Canceled) || k.message != nil {
			t.Errorf("ended with %v, message %q", err, k.message)
		}
	})
}

// A client that talks first is noted, and its words are kept.
func TestPregreet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &keeper{}
		p := begin(t.Context(), t, &ServerOptions{Pregreet: 3 * time.Second}, k)
		after(time.Second)
		p.send("HELO c.example\r\n")
		if got := p.take(); got != "220 localhost ESMTP\r\n250 localhost\r\n" || len(k.log) != 1 || k.log[0] != "pregreet" {
			t.Errorf("the server said %q; %q", got, k.log)
		}
		p.end()
		p = begin(t.Context(), t, &ServerOptions{Pregreet: 3 * time.Second}, k)
		after(2 * time.Second)
		if got := p.take(); got != "" {
			t.Errorf("the server said %q", got)
		}
		after(time.Second)
		if got := p.talk("HELO c.example"); got != "220 localhost ESMTP\r\n250 localhost\r\n" || len(k.log) != 1 {
			t.Errorf("the server said %q; %q", got, k.log)
		}
		p.end()
	})
}

// A client that leaves in the middle: the handler is told, and no message comes of it.
func TestClientLeaves(t *testing.T) {
	for in, want := range map[string]error{
		"":                           io.EOF,
		"NOO":                        io.ErrUnexpectedEOF,
		"DATA\r\nx\r\n":              io.ErrUnexpectedEOF,
		"DATA\r\nx\r\n.":             io.ErrUnexpectedEOF,
		"DATA\r\nx\r\n.\r":           io.ErrUnexpectedEOF,
		"DATA\r\nx\n":                io.ErrUnexpectedEOF,
		"BDAT 10 LAST\r\nx":          io.ErrUnexpectedEOF,
		"BDAT 1\r\nx":                io.ErrUnexpectedEOF,
		"BDAT 1\r\nxBDAT 1 LAST\r\n": io.ErrUnexpectedEOF,
	} {
		k, out, err := runTape(envelope+in, nil, &ServerOptions{})
		if !errors.Is(err, want) || len(k.messages) > 0 {
			t.Errorf("%q: ended with %v, messages %q\n%s", in, err, k.messages, out)
		}
	}
}

// A session through TLS: what was said in clear is forgotten, the capabilities are others.
func TestStartTLS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		k := &keeper{}
		var states []*tls.ConnectionState
		h := &hellos{keeper: k, seen: &states}
		done := make(chan error, 1)
		o := &ServerOptions{
			Host: "mx.example", TLS: serverTLS(t), RequireTLS: true, Auth: []string{"PLAIN"}, Extra: []string{"REQUIRETLS"},
			Transcript: 1 << 20,
		}
		go func() { done <- Serve(t.Context(), there, o, h) }()
		conn := here
		r := bufio.NewReader(conn)
		talk := func(line string) string {
			t.Helper()
			if line != "" {
				if _, err := io.WriteString(conn, line+"\r\n"); err != nil {
					t.Fatal(err)
				}
			}
			var b strings.Builder
			for {
				l, err := r.ReadString('\n')
				if err != nil {
					t.Fatal(err)
				}
				b.WriteString(l)
				if l[3] == ' ' {
					return b.String()
				}
			}
		}
		talk("")
		if got := talk("EHLO c.example"); !strings.Contains(got, "STARTTLS") || strings.Contains(got, "AUTH") {
			t.Errorf("in clear: %q", got)
		}
		if got := talk("starttls"); got != "220 2.0.0 ready to start TLS\r\n" {
			t.Fatal(got)
		}
		secure := tls.Client(here, clientTLS(t))
		if err := secure.Handshake(); err != nil {
			t.Fatal(err)
		}
		conn, r = secure, bufio.NewReader(secure)
		if got := talk("MAIL FROM:<a@c.example>"); !strings.HasPrefix(got, "503 5.5.1 say EHLO") {
			t.Errorf("EHLO was not forgotten: %q", got)
		}
		if got := talk("EHLO c.example"); strings.Contains(got, "STARTTLS") || !strings.Contains(got, "AUTH PLAIN") {
			t.Errorf("in TLS: %q", got)
		}
		if got := talk("STARTTLS"); !strings.HasPrefix(got, "503") {
			t.Errorf("%q", got)
		}
		for _, line := range []string{"AUTH PLAIN AHUAc2VjcmV0", "MAIL FROM:<a@c.example> REQUIRETLS", "RCPT TO:<b@mx.example>", "QUIT"} {
			if got := talk(line); got[0] != '2' {
				t.Errorf("%s: %q", line, got)
			}
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		if len(states) != 2 || states[0] != nil || states[1] == nil {
			t.Errorf("TLS at EHLO: %v", states)
		}
		here.Close()
	})
}

type hellos struct {
	*keeper
	seen *[]*tls.ConnectionState
}

func (h *hellos) Hello(_ context.Context, s *Session, _ string, _ bool) mail.Reply {
	*h.seen = append(*h.seen, s.TLS)
	return mail.Reply{}
}

// A handshake that hangs, is garbage, or is cut by a hook.
func TestHandshakeTroubles(t *testing.T) {
	boom := errors.New("boom")
	for name, c := range map[string]struct {
		send string
		hook Handshake
		want error
	}{
		"silence": {want: ErrTimeout},
		"garbage": {send: "EHLO c.example\r\n"},
		"cut": {hook: func(_ context.Context, conn net.Conn, _ *tls.Config) (net.Conn, error) {
			conn.Close()
			return nil, boom
		}, want: boom},
		"hang": {hook: func(ctx context.Context, _ net.Conn, _ *tls.Config) (net.Conn, error) {
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}, want: ErrTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := begin(t.Context(), t, &ServerOptions{TLS: serverTLS(t), Handshake: c.hook}, Ordinary{})
				p.talk("EHLO c.example", "STARTTLS")
				p.send(c.send)
				after(2 * time.Minute)
				if !p.closed() {
					t.Error("not closed")
				}
				if err := p.end(); err == nil || c.want != nil && !errors.Is(err, c.want) {
					t.Errorf("ended with %v", err)
				}
				if got := p.take(); strings.Contains(got, "250") || strings.Contains(got, "421") {
					t.Errorf("the server said %q in clear", got)
				}
			})
		})
	}
}

// Content without end is read to a bound, answered, and the connection closed.
func TestTerabytes(t *testing.T) {
	line := []byte(strings.Repeat("x", 998) + "\r\n")
	for name, head := range map[string]string{
		"data": "DATA\r\n", "refused": "DATA\r\na\nb", "one line": "DATA\r\n", "chunks": "",
	} {
		t.Run(name, func(t *testing.T) {
			body := line
			switch name {
			case "one line":
				body = bytes.Repeat([]byte("x"), 1000)
			case "chunks":
				body = []byte("BDAT 100000\r\n" + strings.Repeat(string(line), 100))
			}
			c := &endless{tape: tape{in: []byte(envelope + head)}, body: body}
			k := &recorder{}
			err := Serve(context.Background(), c, &ServerOptions{MaxSize: 1 << 20}, k)
			if !errors.Is(err, ErrDrained) || len(k.messages) > 0 {
				t.Errorf("ended with %v", err)
			}
			if limit := int64(defaultDrain + 3<<20); c.gave > limit {
				t.Errorf("read %d octets", c.gave)
			}
			if out := c.out.String(); name != "refused" && !strings.Contains(out, "552 5.3.4") || name == "refused" && !strings.Contains(out, "554 5.6.0") {
				t.Errorf("the server said %q", out)
			}
		})
	}
}

// endless is a tape that goes on for ever.
type endless struct {
	tape
	body []byte
	at2  int
	gave int64
}

func (c *endless) Read(p []byte) (int, error) {
	if n, err := c.tape.Read(p); err == nil {
		return n, nil
	}
	n := 0
	for n < len(p) {
		m := copy(p[n:], c.body[c.at2:])
		c.at2 = (c.at2 + m) % len(c.body)
		n += m
	}
	c.gave += int64(n)
	return n, nil
}

// A handler may say as much as it likes; one command is one reply.
func TestLongReply(t *testing.T) {
	lines := make([]string, 10000)
	for i := range lines {
		lines[i] = strings.Repeat("y", 60)
	}
	lines[5000] = "break\r\n250 injected\r\nQUIT\x00"
	c := &tape{in: []byte("EHLO c.example\r\nMAIL FROM:<a@c.example>\r\nNOOP\r\nQUIT\r\n")}
	if err := Serve(context.Background(), c, &ServerOptions{}, &verbose{lines: lines}); err != nil {
		t.Fatal(err)
	}
	w := NewWire(&tape{in: c.out.Bytes()}, FromClient, nil)
	finals := 0
	for {
		line, err := w.ReadLine(4096)
		if err == io.EOF {
			break
		}
		if err != nil || len(line) < 4 || line[3] != '-' && line[3] != ' ' {
			t.Fatalf("%q: %v", line, err)
		}
		if line[3] == ' ' {
			finals++
		}
	}
	if finals != 5 { // banner, EHLO, MAIL, NOOP, QUIT
		t.Errorf("%d replies", finals)
	}
}

type verbose struct {
	Ordinary
	lines []string
}

func (v *verbose) Mail(context.Context, *Session, MailCommand) mail.Reply {
	return mail.Reply{Code: 550, Lines: v.lines}
}

// An endless line as a command is bounded too.
func TestEndlessCommand(t *testing.T) {
	c := &endless{tape: tape{in: []byte("EHLO c.example\r\n")}, body: []byte("x")}
	err := Serve(context.Background(), c, &ServerOptions{}, Ordinary{})
	if !errors.Is(err, ErrFlood) || c.gave > 2<<20 || !strings.Contains(c.out.String(), "421 4.5.2 line too long") {
		t.Errorf("ended with %v after %d octets: %q", err, c.gave, c.out.String())
	}
	// One that ends is thrown away, and the next is read.
	long := strings.Repeat("x", 100_000) + "\rQUIT\n\r\n"
	_, out, err := runTape("EHLO c.example\r\n"+long+"NOOP\r\nQUIT\r\n", []int{20, 17000, 33000}, &ServerOptions{})
	if err != nil || !strings.HasSuffix(out, "500 5.5.6 line too long\r\n250 2.0.0 OK\r\n221 2.0.0 localhost closing\r\n") {
		t.Errorf("ended with %v: %q", err, out)
	}
}

// A handler that takes its time between two reads gets what was sent, also where the
// peer is watched meanwhile.
func TestSlowReader(t *testing.T) {
	for _, direct := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var want strings.Builder
			for i := range 2000 {
				fmt.Fprintf(&want, "line %d of a message that is longer than the buffer of the wire\r\n", i)
			}
			k := &dawdler{direct: direct}
			p := begin(t.Context(), t, &ServerOptions{}, k)
			p.talk(inData...)
			go func() {
				text := want.String() + ".\r\n"
				for len(text) > 0 {
					n := min(len(text), 777)
					io.WriteString(p.conn, text[:n])
					text = text[n:]
					<-time.After(700 * time.Millisecond)
				}
			}()
			got := ""
			for range 3600 {
				if after(time.Second); got == "" {
					got = p.take()
				}
			}
			if got = strings.TrimSuffix(got, "421 4.4.2 timeout, closing\r\n"); got != "250 2.0.0 OK\r\n" || k.got.String() != want.String() {
				t.Errorf("direct %t: %q, %d of %d octets, differing", direct, got, k.got.Len(), want.Len())
			}
			p.end()
		})
	}
}

// dawdler reads a little and waits, by Read or by WriteTo.
type dawdler struct {
	Ordinary
	direct bool
	got    strings.Builder
	n      int
}

func (k *dawdler) Write(p []byte) (int, error) {
	k.n++
	half := len(p) / 2
	k.got.Write(p[:half])
	if k.n%20 == 0 {
		<-time.After(1500 * time.Millisecond)
	}
	k.got.Write(p[half:])
	return len(p), nil
}

func (k *dawdler) Message(_ context.Context, _ *Session, content io.Reader) []mail.Reply {
	if !k.direct {
		content = struct{ io.Reader }{content} // without WriteTo
	}
	if _, err := io.CopyBuffer(k, content, make([]byte, 100)); err != nil {
		k.got.WriteString(err.Error())
	}
	return nil
}

// A handler that panics takes its connection with it, and nothing else.
func TestHandlerPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		caught := make(chan any, 1)
		go func() {
			defer func() { caught <- recover() }()
			k := &keeper{onRcpt: func(context.Context, *Session) { panic("boom") }}
			_ = Serve(t.Context(), there, &ServerOptions{}, k)
		}()
		go io.Copy(io.Discard, here)
		if _, err := io.WriteString(here, strings.Join(inData[:3], "\r\n")+"\r\n"); err != nil {
			t.Fatal(err)
		}
		if got := <-caught; got != "boom" {
			t.Error(got)
		}
		if _, err := io.WriteString(here, "x"); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("the connection is open: %v", err)
		}
		here.Close()
	})
}
