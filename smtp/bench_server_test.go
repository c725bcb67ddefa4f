package smtp

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/textproto"
	"strings"
	"syscall"
	"testing"
	"time"

	gosmtp "github.com/emersion/go-smtp"
)

// worked is the time that the process has worked: on a busy machine the clock says
// little.
func worked() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// letter is content of about size octets, seeded, some lines with a dot at the start.
func letter(size int) []byte {
	r := rand.New(rand.NewPCG(4, 2))
	var b bytes.Buffer
	b.WriteString("Subject: measured\r\nFrom: a@c.example\r\n\r\n")
	for b.Len() < size {
		if r.IntN(50) == 0 {
			b.WriteByte('.')
		}
		b.WriteString(strings.Repeat(string(rune('a'+r.IntN(26))), 40+r.IntN(38)) + "\r\n")
	}
	return b.Bytes()
}

func stuffed(content []byte) []byte {
	return append(bytes.ReplaceAll(content, []byte("\r\n."), []byte("\r\n..")), ".\r\n"...)
}

// deliver sends n messages over one connection, three round trips each as most clients do.
func deliver(conn net.Conn, n int, body []byte) error {
	defer conn.Close()
	r := bufio.NewReader(conn)
	expect := func(replies int) error {
		for replies > 0 {
			line, err := r.ReadSlice('\n')
			if err != nil {
				return err
			}
			if line[0] > '3' {
				return fmt.Errorf("%s", line)
			}
			if line[3] == ' ' {
				replies--
			}
		}
		return nil
	}
	if err := expect(1); err != nil {
		return err
	}
	say := func(text []byte, replies int) error {
		if _, err := conn.Write(text); err != nil {
			return err
		}
		return expect(replies)
	}
	if err := say([]byte("EHLO c.example\r\n"), 1); err != nil {
		return err
	}
	head := []byte("MAIL FROM:<a@c.example>\r\nRCPT TO:<b@mx.example>\r\nDATA\r\n")
	for range n {
		if err := say(head, 3); err != nil {
			return err
		}
		if err := say(body, 1); err != nil {
			return err
		}
	}
	return say([]byte("QUIT\r\n"), 1)
}

type discarding struct{}

func (discarding) NewSession(*gosmtp.Conn) (gosmtp.Session, error) { return discarding{}, nil }
func (discarding) Reset()                                          {}
func (discarding) Logout() error                                   { return nil }
func (discarding) Mail(string, *gosmtp.MailOptions) error          { return nil }
func (discarding) Rcpt(string, *gosmtp.RcptOptions) error          { return nil }
func (discarding) Data(r io.Reader) error                          { _, err := io.Copy(io.Discard, r); return err }

// listen takes connections on loopback until the benchmark ends.
func listen(b *testing.B, serve func(net.Listener)) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); serve(l) }()
	b.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

// BenchmarkServe is 1,000 messages through our server and, in turn, through go-smtp's, over
// loopback; work of both ends together.
func BenchmarkServe(b *testing.B) {
	const messages = 1000
	for _, size := range []int{2_000, 50_000} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			body := stuffed(letter(size))
			ours := listen(b, func(l net.Listener) {
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					if err := Serve(context.Background(), conn, &ServerOptions{}, Ordinary{}); err != nil {
						b.Error(err)
					}
				}
			})
			peer := gosmtp.NewServer(discarding{})
			peer.Domain = "mx.example"
			theirs := listen(b, func(l net.Listener) { _ = peer.Serve(l) })
			b.Cleanup(func() { peer.Close() })
			run := func(address string) time.Duration {
				from := worked()
				conn, err := net.Dial("tcp", address)
				if err == nil {
					err = deliver(conn, messages, body)
				}
				if err != nil {
					b.Fatal(err)
				}
				return worked() - from
			}
			var own, other time.Duration
			n := 0
			for b.Loop() {
				own += run(ours)
				other += run(theirs)
				n++
			}
			b.ReportMetric(float64(n*messages)/own.Seconds(), "msgs/cpu-s")
			b.ReportMetric(float64(n*messages)/other.Seconds(), "go-smtp-msgs/cpu-s")
			b.ReportMetric(other.Seconds()/own.Seconds(), "x-go-smtp")
		})
	}
}

// BenchmarkServeAllocs is one message of a session in memory: what the server alone
// allocates.
func BenchmarkServeAllocs(b *testing.B) {
	const messages = 1000
	one := "MAIL FROM:<a@c.example>\r\nRCPT TO:<b@mx.example>\r\nDATA\r\n" + string(stuffed(letter(2000)))
	in := []byte("EHLO c.example\r\n" + strings.Repeat(one, messages) + "QUIT\r\n")
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if err := Serve(context.Background(), &tape{in: in}, &ServerOptions{}, Ordinary{}); err != nil {
			b.Fatal(err)
		}
		n++
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n*messages), "ns/msg")
}

// BenchmarkDataReader is content in memory through our reader and, in turn, through
// net/textproto's, which checks nothing.
func BenchmarkDataReader(b *testing.B) {
	in := stuffed(letter(16 << 20))
	b.SetBytes(int64(len(in)))
	var own, other time.Duration
	limits := contentLimits{drain: 1 << 20, times: ServerTimeouts{}.orDefault()}
	c := &tape{}
	w := NewWire(c, FromServer, nil)
	for b.Loop() {
		from := worked()
		*c = tape{in: in}
		r := &contentReader{source: newDataReader(w, limits)}
		if n, err := io.Copy(io.Discard, r); err != nil || n < 16<<20 {
			b.Fatal(n, err)
		}
		own += worked() - from
		from = worked()
		dot := textproto.NewReader(bufio.NewReader(bytes.NewReader(in))).DotReader()
		if n, err := io.Copy(io.Discard, dot); err != nil || n < 15<<20 {
			b.Fatal(n, err)
		}
		other += worked() - from
	}
	b.ReportMetric(float64(b.N)*float64(len(in))/1e6/own.Seconds(), "MB/cpu-s")
	b.ReportMetric(float64(b.N)*float64(len(in))/1e6/other.Seconds(), "textproto-MB/cpu-s")
	b.ReportMetric(other.Seconds()/own.Seconds(), "x-textproto")
}
