package smtp

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postroad/postroad/mail"
)

// TestDrain: a server that stops tells sessions so between two transactions, and lets one
// that is under way come to its end.
func TestDrain(t *testing.T) {
	const closing = "421 4.3.2 mx.example is closing, try again"
	for name, c := range map[string]struct {
		before, after, want string // said before the end, and then
	}{
		"a client that waits":    {"EHLO c.example\r\n", "", closing},
		"before EHLO":            {"", "", closing},
		"between two messages":   {envelope + "DATA\r\n.\r\n", "MAIL FROM:<>\r\n", "250 2.0.0 OK|" + closing},
		"in a transaction":       {envelope, "DATA\r\nx\r\n.\r\n", "250 2.1.5 OK|354 end with <CRLF>.<CRLF>|250 2.0.0 OK|" + closing},
		"in content":             {envelope + "DATA\r\nx", "\r\n.\r\n", "354 end with <CRLF>.<CRLF>|250 2.0.0 OK|" + closing},
		"between two chunks":     {envelope + "BDAT 1\r\nx", "BDAT 2 LAST\r\n\r\n", "250 2.0.0 1 octets so far|250 2.0.0 OK|" + closing},
		"a transaction given up": {envelope, "RSET\r\nMAIL FROM:<>\r\n", "250 2.1.5 OK|250 2.0.0 OK|" + closing},
		"within a command":       {"EHLO c.example\r\nNO", "OP\r\n", closing},
		"out of what is waiting": {"EHLO c.example\r\n", "NOOP\r\nNOOP\r\n", closing},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				drain, stop := context.WithCancel(t.Context())
				here, there := net.Pipe()
				done := make(chan error, 1)
				o := &ServerOptions{Host: "mx.example", Drain: drain}
				go func() { done <- Serve(t.Context(), there, o, Ordinary{}) }()
				heard := make(chan []string, 1)
				go func() {
					b, _ := io.ReadAll(here)
					heard <- strings.Split(strings.TrimSuffix(string(b), "\r\n"), "\r\n")
				}()
				_, _ = io.WriteString(here, c.before)
				synctest.Wait()
				stop()
				synctest.Wait()
				_, _ = io.WriteString(here, c.after) // it may be closed by now
				if err := <-done; err != nil {
					t.Error(err)
				}
				lines, want := <-heard, strings.Split(c.want, "|")
				if got := lines[max(0, len(lines)-len(want)):]; !slices.Equal(got, want) {
					t.Errorf("got %q, want %q", got, want)
				}
				here.Close()
			})
		})
	}
}

// TestRested: on a connection that was silent no content goes out before the server has shown
// that it is still there. If it is not, nothing may be delivered.
func TestRested(t *testing.T) {
	for _, rest := range []time.Duration{time.Second, time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			here, far := net.Pipe()
			near, there := net.Pipe()
			w := &witness{accepted: map[string]int{}}
			done := make(chan struct{}, 3)
			go func() { _ = Serve(t.Context(), there, &ServerOptions{}, w); done <- struct{}{} }()
			// The network takes all that is said, whether the server is there or not.
			go func() { _, _ = io.Copy(far, near); far.Close(); done <- struct{}{} }()
			go func() {
				r := bufio.NewReader(far)
				for {
					b := make([]byte, 4096)
					n, err := r.Read(b)
					if err != nil {
						break
					}
					_, _ = near.Write(b[:n]) // it may be closed by now
				}
				near.Close()
				done <- struct{}{}
			}()
			c := NewClient(here, ClientOptions{})
			message := func() *Message {
				return &Message{Content: strings.NewReader("x\r\n"), To: []*Recipient{
					{RcptCommand: RcptCommand{To: mail.Address{Local: "a", Domain: "mx.example"}}}}}
			}
			ctx := t.Context()
			if _, err := c.Greet(ctx); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Hello(ctx, "c.example"); err != nil {
				t.Fatal(err)
			}
			m := message()
			if err := c.Send(ctx, m); err != nil || !m.To[0].Delivered {
				t.Fatal(err, m.To[0].Err)
			}
			pause(rest)
			there.Close()
			m = message()
			err := c.Send(ctx, m)
			if m.To[0].Delivered || err == nil {
				t.Error("delivered to nobody")
			}
			if m.To[0].Uncertain() && rest > restedAfter {
				t.Errorf("after %v: %v", rest, m.To[0].Err)
			}
			c.Close()
			for range 3 {
				<-done
			}
		})
	}
}

// TestMessagePhases: each message has its own times.
func TestMessagePhases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		w := &witness{pause: 3 * time.Second, accepted: map[string]int{}}
		done := make(chan struct{})
		go func() { defer close(done); _ = Serve(t.Context(), there, &ServerOptions{}, w) }()
		c := NewClient(here, ClientOptions{})
		if _, err := c.Greet(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Hello(t.Context(), "c.example"); err != nil {
			t.Fatal(err)
		}
		var sent []*Message
		for range 2 {
			sent = append(sent, &Message{Content: strings.NewReader("x\r\n"), To: []*Recipient{
				{RcptCommand: RcptCommand{To: mail.Address{Local: "a", Domain: "mx.example"}}}}})
		}
		if err := c.Send(t.Context(), sent...); err != nil {
			t.Fatal(err)
		}
		var all time.Duration
		for i, m := range sent {
			for _, d := range m.Phases {
				all += d
			}
			if m.Phases[mail.StageFinal] < 2*time.Second {
				t.Errorf("message %d: %v", i, m.Phases)
			}
		}
		if all != 6*time.Second {
			t.Errorf("%v, %v: %v in all", sent[0].Phases, sent[1].Phases, all)
		}
		_ = c.Quit(t.Context())
		<-done
	})
}

// TestKnown: what is said to be known of content spares a look at it, and cannot make commands
// of it.
func TestKnown(t *testing.T) {
	long := bytes.Repeat([]byte("MAIL FROM:<evil@c.example>\r\n"), 5000)
	for name, of := range map[string]struct {
		content string
		known   Examined
		taken   bool
	}{
		"right":           {"x\r\n", Examined{Octets: 3}, true},
		"without its end": {"x", Examined{Octets: 3}, true},
		"too few":         {string(long), Examined{Octets: 28}, false},
		"one too few":     {"xy\r\n", Examined{Octets: 3}, false},
		"too many":        {"x\r\n", Examined{Octets: 4}, false},
		"a bare LF":       {"x\ny\r\n", Examined{Octets: 5}, false},
	} {
		for _, without := range []string{"", "CHUNKING"} {
			t.Run(name+without, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					here, there := net.Pipe()
					k := &recorder{}
					done := make(chan struct{})
					go func() {
						defer close(done)
						_ = Serve(t.Context(), there, &ServerOptions{Without: []string{without}}, k)
					}()
					c := NewClient(here, ClientOptions{})
					if _, err := c.Greet(t.Context()); err != nil {
						t.Fatal(err)
					}
					if _, err := c.Hello(t.Context(), "c.example"); err != nil {
						t.Fatal(err)
					}
					m := &Message{Content: strings.NewReader(of.content), Known: &of.known, To: []*Recipient{
						{RcptCommand: RcptCommand{To: mail.Address{Local: "a", Domain: "mx.example"}}}}}
					err := c.Send(t.Context(), m)
					c.Close()
					<-done
					sizes := without != "" && !strings.Contains(of.content, "\ny") // DATA has no size to be wrong
					if taken := of.taken || sizes; m.To[0].Delivered != taken || (err == nil) != taken || m.To[0].Uncertain() {
						t.Errorf("delivered %t: %v, %v", m.To[0].Delivered, err, m.To[0].Err)
					}
					if len(k.senders) > 1 || !m.To[0].Delivered && len(k.messages) > 0 {
						t.Errorf("%d senders, %d messages", len(k.senders), len(k.messages))
					}
				})
			})
		}
	}
}
