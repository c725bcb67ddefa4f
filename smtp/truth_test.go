package smtp

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postroad/postroad/mail"
)

// road joins a client and a server. After so many octets in a direction, both ends are
// closed; below 0 it is endless.
type road struct {
	up, down int
	exact    bool // the octets beyond are not even taken
	piece    int  // octets at once
	delay    time.Duration
	passed   [2]int
}

func (r *road) open() (client, server net.Conn) {
	c1, c2 := net.Pipe()
	s1, s2 := net.Pipe()
	go r.carry(s1, c2, r.up, &r.passed[0])
	go r.carry(c2, s1, r.down, &r.passed[1])
	return c1, s2
}

func (r *road) carry(to, from net.Conn, left int, passed *int) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, max(r.piece, 4096))
	for left != 0 {
		b := buf
		if r.piece > 0 {
			b = b[:r.piece]
		}
		if r.exact && left > 0 {
			b = b[:min(left, len(b))]
		}
		n, err := from.Read(b)
		if left > 0 {
			n = min(n, left)
			left -= n
		}
		pause(r.delay)
		if _, e := to.Write(b[:n]); e != nil || err != nil {
			return
		}
		*passed += n
	}
}

// witness is a server's handler that knows what was really accepted.
type witness struct {
	Ordinary
	lmtp     bool
	pause    time.Duration
	accepted map[string]int
}

func (w *witness) Rcpt(_ context.Context, _ *Session, c RcptCommand) mail.Reply {
	if c.To.Local == "refused" {
		return mail.ParseReply("550 5.1.1 nobody")
	}
	return mail.Reply{}
}

func (w *witness) Message(_ context.Context, s *Session, content io.Reader) (replies []mail.Reply) {
	if _, err := io.ReadAll(content); err != nil {
		return nil
	}
	pause(w.pause)
	for _, to := range s.Recipients {
		if w.lmtp && to.To.Local == "full" {
			replies = append(replies, mail.ParseReply("452 4.2.2 full"))
			continue
		}
		w.accepted[s.Sender.From.Local+" "+to.To.Local]++
		replies = append(replies, mail.ParseReply("250 2.0.0 taken"))
	}
	return replies
}

// passage is a session of three messages, and what may go wrong with it.
type passage struct {
	o                ServerOptions
	co               ClientOptions
	road             road
	client, server   time.Duration // when its context ends; 0: never
	pause            time.Duration // of the handler with a message
	uncertain, taken int
}

// lead leads the session and compares what the client says of each recipient with what the
// server knows.
func (p *passage) lead(t *testing.T) {
	t.Helper()
	here, there := p.road.open()
	w := &witness{lmtp: p.o.LMTP, pause: p.pause, accepted: map[string]int{}}
	until := func(d time.Duration) (context.Context, context.CancelFunc) {
		if d == 0 {
			return context.WithCancel(t.Context())
		}
		return context.WithTimeout(t.Context(), d)
	}
	serving, stop := until(p.server)
	defer stop()
	ctx, cancel := until(p.client)
	defer cancel()
	done := make(chan struct{})
	go func() { defer close(done); _ = Serve(serving, there, &p.o, w) }()

	var messages []*Message
	for i := range 3 {
		m := &Message{
			Mail:    MailCommand{From: mail.Address{Local: fmt.Sprint("s", i), Domain: "c.example"}},
			Content: strings.NewReader(fmt.Sprintf("Subject: %d\r\n\r\n.dot\r\n", i)),
		}
		for _, name := range []string{"a", "refused", "full"} {
			m.To = append(m.To, &Recipient{RcptCommand: RcptCommand{To: mail.Address{Local: name, Domain: "mx.example"}}})
		}
		messages = append(messages, m)
	}
	c := NewClient(here, p.co)
	if _, err := c.Greet(ctx); err == nil {
		if _, err = c.Hello(ctx, "c.example"); err == nil {
			if err = c.Send(ctx, messages...); err == nil {
				_ = c.Quit(ctx)
			}
		}
	}
	c.Close()
	<-done
	pause(time.Hour) // the road is empty

	for _, m := range messages {
		for _, to := range m.To {
			n := w.accepted[m.Mail.From.Local+" "+to.To.Local]
			switch {
			case n > 1, to.Delivered && n == 0, !to.Delivered && !to.Uncertain() && n > 0:
				t.Errorf("%s to %s: delivered %t, uncertain %t (%v), and the server accepted it %d times; %+v",
					m.Mail.From.Local, to.To.Local, to.Delivered, to.Uncertain(), to.Err, n, p.road)
			case to.Uncertain():
				p.uncertain++
			case to.Delivered:
				p.taken++
			}
		}
	}
}

// passages are the ways in which a session can go.
func passages() map[string]passage {
	return map[string]passage{
		"chunks":    {},
		"one ahead": {co: ClientOptions{Ahead: -1, InFlight: 1}},
		"DATA":      {o: ServerOptions{Without: []string{"CHUNKING"}}},
		"in steps":  {o: ServerOptions{Without: []string{"CHUNKING", "PIPELINING"}}},
		"LMTP":      {o: ServerOptions{LMTP: true}, co: ClientOptions{LMTP: true}},
		"LMTP DATA": {o: ServerOptions{LMTP: true, Without: []string{"CHUNKING"}}, co: ClientOptions{LMTP: true}},
	}
}

// TestTruthAfterCut cuts the connection after each octet of a session, in each direction: never is
// a message called delivered that the server did not accept, nor given up for certain when it
// did.
func TestTruthAfterCut(t *testing.T) {
	t.Parallel()
	for name, p := range passages() {
		t.Run(name, func(t *testing.T) {
			var whole passage
			synctest.Test(t, func(t *testing.T) {
				whole = p
				whole.road = road{up: -1, down: -1}
				whole.lead(t)
			})
			if want := 6; !p.o.LMTP && whole.taken != want || p.o.LMTP && whole.taken != want/2 || whole.uncertain > 0 {
				t.Fatalf("uncut: %d taken, %d uncertain", whole.taken, whole.uncertain)
			}
			uncertain := 0
			for at := range max(whole.road.passed[0], whole.road.passed[1]) {
				for i, r := range []road{
					{up: at, down: -1}, {up: -1, down: at}, {up: at, down: -1, exact: true}, {up: -1, down: at, exact: true},
				} {
					if at >= whole.road.passed[i%2] || testing.Short() && at%5 != i {
						continue
					}
					synctest.Test(t, func(t *testing.T) {
						cut := p
						cut.road = r
						cut.lead(t)
						uncertain += cut.uncertain
					})
				}
			}
			if uncertain == 0 {
				t.Error("no cut left anything uncertain")
			}
		})
	}
}

// TestTruthAfterEnd is the same for the end of the context of either side at any time.
func TestTruthAfterEnd(t *testing.T) {
	for name, p := range passages() {
		t.Run(name, func(t *testing.T) {
			for at := 5 * time.Millisecond; at < 800*time.Millisecond; at += 10 * time.Millisecond {
				for _, whose := range []time.Duration{0, at} {
					synctest.Test(t, func(t *testing.T) {
						ended := p
						ended.road = road{up: -1, down: -1, piece: 200, delay: 20 * time.Millisecond}
						ended.pause = 30 * time.Millisecond
						ended.client, ended.server = whose, at-whose
						ended.lead(t)
					})
				}
			}
		})
	}
}

// TestIdle: NOOP in time does not hold a session for ever.
func TestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		done := make(chan error, 1)
		go func() { done <- Serve(t.Context(), there, &ServerOptions{}, Ordinary{}) }()
		began := time.Now()
		heard := make(chan string, 1)
		go func() { b, _ := io.ReadAll(here); heard <- string(b) }()
		for {
			if _, err := io.WriteString(here, "NOOP\r\n"); err != nil {
				break
			}
			pause(4 * time.Minute)
		}
		if text := <-heard; !strings.HasSuffix(text, "\r\n421 4.4.2 timeout, closing\r\n") {
			t.Errorf("last words %q", text[max(0, len(text)-80):])
		}
		if took := time.Since(began); took > 64*time.Minute {
			t.Errorf("it took %v", took)
		}
		<-done
		here.Close()
	})
}
