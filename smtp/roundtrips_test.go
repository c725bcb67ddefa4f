package smtp

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	gosmtp "github.com/emersion/go-smtp"

	"github.com/postroad/postroad/mail"
)

// longPipe gives both ends of a connection whose octets arrive one way later than they
// were written, in order, at unlimited speed and with unlimited room on the way. Time is the only thing
// that it models.
func longPipe(oneWay time.Duration) (client, server net.Conn) {
	there, back := newLongLine(oneWay), newLongLine(oneWay)
	return &longConn{in: back, out: there}, &longConn{in: there, out: back}
}

// longLine is one direction.
type longLine struct {
	delay time.Duration

	mu       sync.Mutex
	flying   []flight
	rest     []byte
	closed   bool // the writer has; seen when all before has arrived
	gone     bool // the reader has
	deadline time.Time
	change   chan struct{} // closed and made anew whenever something above changes
}

type flight struct {
	at   time.Time
	data []byte // nil: the end
}

func newLongLine(d time.Duration) *longLine { return &longLine{delay: d, change: make(chan struct{})} }

// changed wakes the reader; the caller holds the lock.
func (l *longLine) changed() {
	close(l.change)
	l.change = make(chan struct{})
}

func (l *longLine) write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.gone {
		return 0, io.ErrClosedPipe
	}
	l.flying = append(l.flying, flight{time.Now().Add(l.delay), append([]byte(nil), p...)})
	l.changed()
	return len(p), nil
}

func (l *longLine) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.closed = true
		l.flying = append(l.flying, flight{time.Now().Add(l.delay), nil})
		l.changed()
	}
}

func (l *longLine) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gone = true
	l.changed()
}

func (l *longLine) setDeadline(t time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deadline = t
	l.changed()
}

func (l *longLine) read(p []byte) (int, error) {
	for {
		l.mu.Lock()
		now := time.Now()
		for len(l.rest) == 0 && len(l.flying) > 0 && !l.flying[0].at.After(now) && l.flying[0].data != nil {
			l.rest, l.flying = l.flying[0].data, l.flying[1:]
		}
		if l.gone {
			l.mu.Unlock()
			return 0, net.ErrClosed
		}
		if !l.deadline.IsZero() && !l.deadline.After(now) {
			l.mu.Unlock()
			return 0, os.ErrDeadlineExceeded
		}
		if len(l.rest) > 0 {
			n := copy(p, l.rest)
			l.rest = l.rest[n:]
			l.mu.Unlock()
			return n, nil
		}
		until := l.deadline
		if len(l.flying) > 0 {
			if !l.flying[0].at.After(now) {
				l.mu.Unlock()
				return 0, io.EOF
			}
			if until.IsZero() || l.flying[0].at.Before(until) {
				until = l.flying[0].at
			}
		}
		change := l.change
		l.mu.Unlock()
		if until.IsZero() {
			<-change
			continue
		}
		t := time.NewTimer(time.Until(until))
		select {
		case <-change:
		case <-t.C:
		}
		t.Stop()
	}
}

type longConn struct{ in, out *longLine }

func (c *longConn) Read(p []byte) (int, error)         { return c.in.read(p) }
func (c *longConn) Write(p []byte) (int, error)        { return c.out.write(p) }
func (c *longConn) Close() error                       { c.out.close(); c.in.leave(); return nil }
func (c *longConn) LocalAddr() net.Addr                { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }
func (c *longConn) RemoteAddr() net.Addr               { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 2} }
func (c *longConn) SetReadDeadline(t time.Time) error  { c.in.setDeadline(t); return nil }
func (c *longConn) SetWriteDeadline(_ time.Time) error { return nil }
func (c *longConn) SetDeadline(t time.Time) error      { return c.SetReadDeadline(t) }

// oneWay is half a round trip of 40 ms.
const oneWay = 20 * time.Millisecond

// fiveMessages are 5 messages of about 2 kB to 10 recipients each.
func fiveMessages() []*Message {
	body := "Subject: five times ten\r\n\r\n" + strings.Repeat("A line as long as most lines are in mail that people write.\r\n", 32)
	var all []*Message
	for range 5 {
		m := &Message{Mail: MailCommand{From: mail.Address{Local: "news", Domain: "example.org"}}, Content: strings.NewReader(body)}
		for i := range 10 {
			m.To = append(m.To, &Recipient{RcptCommand: RcptCommand{To: mail.Address{Local: fmt.Sprintf("r%d", i), Domain: "example.com"}}})
		}
		all = append(all, m)
	}
	return all
}

// counter counts what arrives.
type counter struct {
	Ordinary
	messages, recipients int
	octets               int64
}

func (c *counter) Message(_ context.Context, s *Session, content io.Reader) []mail.Reply {
	n, err := io.Copy(io.Discard, content)
	if err == nil {
		c.messages++
		c.recipients += len(s.Recipients)
		c.octets += n
	}
	return nil
}

// ourFive sends the five messages from TCP's SYN to the end of QUIT. Connecting costs a
// round trip: SYN and its answer.
func ourFive(ctx context.Context, o ServerOptions) (*counter, error) {
	client, server := longPipe(oneWay)
	got, done := &counter{}, make(chan error, 1)
	pause(2 * oneWay)
	go func() { done <- Serve(ctx, server, &o, got) }()
	c := NewClient(client, ClientOptions{})
	if _, err := c.Greet(ctx); err != nil {
		return got, err
	}
	if _, err := c.Hello(ctx, "mail.example.org"); err != nil {
		return got, err
	}
	all := fiveMessages()
	if err := c.Send(ctx, all...); err != nil {
		return got, err
	}
	for _, m := range all {
		for _, r := range m.To {
			if !r.Delivered {
				return got, r.Err
			}
		}
	}
	if err := c.Quit(ctx); err != nil {
		return got, err
	}
	return got, <-done
}

// goSMTPFive is the same with go-smtp's client.
func goSMTPFive(ctx context.Context, o ServerOptions) (*counter, error) {
	client, server := longPipe(oneWay)
	got, done := &counter{}, make(chan error, 1)
	pause(2 * oneWay)
	go func() { done <- Serve(ctx, server, &o, got) }()
	c := gosmtp.NewClient(client)
	if err := c.Hello("mail.example.org"); err != nil {
		return got, err
	}
	for _, m := range fiveMessages() {
		if err := c.Mail(m.Mail.From.String(), nil); err != nil {
			return got, err
		}
		for _, r := range m.To {
			if err := c.Rcpt(r.To.String(), nil); err != nil {
				return got, err
			}
		}
		w, err := c.Data()
		if err != nil {
			return got, err
		}
		if _, err := io.Copy(w, io.NewSectionReader(m.Content, 0, m.Content.Size())); err != nil {
			return got, err
		}
		if err := w.Close(); err != nil {
			return got, err
		}
	}
	if err := c.Quit(); err != nil {
		return got, err
	}
	return got, <-done
}

func pause(d time.Duration) { <-time.After(d) }

// TestRoundTrips holds the client to the number of round trips; in a bubble time is exact.
func TestRoundTrips(t *testing.T) {
	// TCP, banner (half of its round trip is in TCP's), EHLO, all five, QUIT.
	for _, c := range []struct {
		name    string
		without []string
		want    time.Duration
		run     func(context.Context, ServerOptions) (*counter, error)
	}{
		{"CHUNKING", nil, 40 + 20 + 40 + 40 + 40, ourFive},
		{"PIPELINING", []string{"CHUNKING"}, 40 + 20 + 40 + 6*40 + 40, ourFive},
		{"CHUNKING alone", []string{"PIPELINING"}, 40 + 20 + 40 + 5*12*40 + 40, ourFive},
		{"neither", []string{"PIPELINING", "CHUNKING"}, 40 + 20 + 40 + 5*13*40 + 40, ourFive},
		{"go-smtp", nil, 40 + 20 + 40 + 5*13*40 + 40, goSMTPFive},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				got, err := c.run(t.Context(), ServerOptions{Without: c.without})
				if err != nil {
					t.Fatal(err)
				}
				if got.messages != 5 || got.recipients != 50 {
					t.Errorf("%d messages to %d recipients arrived", got.messages, got.recipients)
				}
				if took := time.Since(began); took != c.want*time.Millisecond {
					t.Errorf("took %s, want %s", took, c.want*time.Millisecond)
				}
			})
		})
	}
}

// BenchmarkRoundTrips sends 5 messages to 10 recipients each over 40 ms, from TCP's SYN to the
// end of QUIT. The peer is go-smtp's client; both speak to our server.
func BenchmarkRoundTrips(b *testing.B) {
	run := func(b *testing.B, send func(context.Context, ServerOptions) (*counter, error)) float64 {
		for b.Loop() {
			if _, err := send(b.Context(), ServerOptions{}); err != nil {
				b.Fatal(err)
			}
		}
		s := b.Elapsed().Seconds() / float64(b.N)
		b.ReportMetric(s, "s/5x10")
		return s
	}
	var ours float64
	b.Run("postroad", func(b *testing.B) { ours = run(b, ourFive) })
	b.Run("go-smtp", func(b *testing.B) { b.ReportMetric(run(b, goSMTPFive)/ours, "x-ours") })
}
