package smtp

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// lines reads all lines of in, each with its fault, through a small buffer.
func lines(in string, cuts []int, size, max int, loose bool) []string {
	w := &Wire{conn: &tape{in: []byte(in), cuts: cuts}, us: FromServer, in: make([]byte, size)}
	var all []string
	for {
		line, err := w.readLine(max, loose)
		s := string(line)
		if err != nil {
			s += "!" + err.Error()
		}
		all = append(all, s)
		if err != nil && !errors.Is(err, ErrLineTooLong) && !errors.Is(err, ErrBareCR) && !errors.Is(err, ErrBareLF) && !errors.Is(err, ErrNUL) {
			return all
		}
	}
}

// modelLines does the same with the whole input at hand.
func modelLines(in string, max int) []string {
	var all []string
	for {
		line, rest, ok := strings.Cut(in, "\r\n")
		switch {
		case !ok && in == "":
			return append(all, "!EOF")
		case !ok:
			return append(all, "!unexpected EOF")
		case len(line)+2 > max:
			line = line[:max-2] + "!line too long"
		default:
			if i := strings.IndexAny(line, "\r\n\x00"); i >= 0 {
				line += map[byte]string{'\r': "!bare CR", '\n': "!bare LF", 0: "!NUL in a line"}[line[i]]
			}
		}
		all = append(all, line)
		in = rest
	}
}

// Every combination of CR, LF, NUL and a letter as lines, in all pieces.
func TestReadLineModel(t *testing.T) {
	longest := 7
	if testing.Short() {
		longest = 6
	}
	sequences("\r\n\x00a", longest, func(s string) {
		for _, in := range []string{s, s + "\r\nQUIT\r\n"} {
			want := strings.Join(modelLines(in, 6), "|")
			for _, cuts := range [][]int{nil, everywhere(len(in))} {
				for _, size := range []int{7, 64} {
					if got := strings.Join(lines(in, cuts, size, 6, false), "|"); got != want {
						t.Fatalf("%q: got %q, want %q (pieces %d, buffer %d)", in, got, want, len(cuts), size)
					}
				}
			}
		}
	})
}

func TestReadLineLoose(t *testing.T) {
	got := strings.Join(lines("a\nb\r\n\nc\rd\n\r\r\n0123456789\ne", nil, 64, 8, true), "|")
	if want := "a|b||c\rd!bare CR|\r!bare CR|012345!line too long|!unexpected EOF"; got != want {
		t.Errorf("got %q", got)
	}
}

// What is written is one line or nothing.
func TestWriteLine(t *testing.T) {
	c := &tape{}
	w := NewWire(c, FromClient, NewTranscript(0))
	for s, want := range map[string]error{"a\r\nb": ErrBareCR, "a\nb": ErrBareLF, "\x00": ErrNUL, "\r": ErrBareCR} {
		if err := w.WriteLine([]byte(s)); !errors.Is(err, want) {
			t.Errorf("%q: %v", s, err)
		}
	}
	long := strings.Repeat("x", 3*wireBuffer)
	if err := w.WriteLine([]byte(long)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.WriteLine([]byte("QUIT")), w.Flush()); err != nil || c.out.String() != long+"\r\nQUIT\r\n" {
		t.Errorf("%v: %d octets", err, c.out.Len())
	}
	if w.BytesWritten() != int64(c.out.Len()) || len(w.Transcript().Entries()) != 2 {
		t.Errorf("%d octets, %v", w.BytesWritten(), w.Transcript())
	}
}

// The end of a context interrupts a read or a write that blocks; the errors of the
// first stay.
func TestBind(t *testing.T) {
	because := errors.New("enough")
	for _, write := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			here, there := net.Pipe()
			defer there.Close()
			w := NewWire(here, FromClient, nil)
			ctx, cancel := context.WithCancelCause(t.Context())
			release := w.Bind(ctx)
			time.AfterFunc(time.Hour, func() { cancel(because) })
			do := func() error {
				if write {
					w.Write([]byte("x"))
					return w.Flush()
				}
				_, err := w.ReadLine(100)
				return err
			}
			start := time.Now()
			if err := do(); !errors.Is(err, because) || time.Since(start) != time.Hour {
				t.Errorf("%v after %v", err, time.Since(start))
			}
			release()
			w.SetReadTimeout(time.Minute)
			w.SetWriteTimeout(time.Minute)
			if err := do(); !errors.Is(err, because) {
				t.Errorf("the second time: %v", err)
			}
			here.Close()
		})
	}
}

// A context that ends after its release does nothing, one that has ended before Bind
// does at once.
func TestBindReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		w := NewWire(here, FromClient, nil)
		ctx, cancel := context.WithCancel(t.Context())
		w.Bind(ctx)()
		cancel()
		go io.WriteString(there, "x\r\n")
		if line, err := w.ReadLine(10); err != nil || string(line) != "x" {
			t.Errorf("%q, %v", line, err)
		}
		release := w.Bind(ctx)
		synctest.Wait()
		if _, err := w.ReadLine(10); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		release()
		here.Close()
		there.Close()
	})
}

func TestReadTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		w := NewWire(here, FromClient, nil)
		w.SetReadTimeout(5 * time.Second)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range 10 {
				if _, err := io.WriteString(there, "x"); err != nil {
					return
				}
				<-time.After(time.Second)
			}
		}()
		start := time.Now()
		_, err := w.ReadLine(100)
		if !errors.Is(err, ErrTimeout) || !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != 5*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		here.Close()
		there.Close()
		<-done
	})
}

// Octets behind the last clear line are not carried over into TLS.
func TestUpgradeInjected(t *testing.T) {
	for in, want := range map[string]error{"220 go\r\n250 injected\r\n": ErrInjected, "220 go\r\nx": ErrInjected, "220 go\r\n": nil} {
		w := NewWire(&tape{in: []byte(in)}, FromClient, nil)
		if _, err := w.ReadLine(100); err != nil {
			t.Fatal(err)
		}
		called := false
		err := w.Upgrade(t.Context(), nil, func(context.Context, net.Conn, *tls.Config) (net.Conn, error) {
			called = true
			return &tape{}, nil
		})
		if !errors.Is(err, want) || called != (want == nil) {
			t.Errorf("%q: %v, handshake %t", in, err, called)
		}
		if _, err := w.ReadLine(100); want != nil && !errors.Is(err, ErrInjected) {
			t.Errorf("%q: read on: %v", in, err)
		}
	}
}

// A connection that reads nothing and reports nothing does not hold a reader for ever.
func TestNoProgress(t *testing.T) {
	w := NewWire(&idle{}, FromClient, nil)
	if _, err := w.ReadLine(100); !errors.Is(err, io.ErrNoProgress) {
		t.Error(err)
	}
}

type idle struct{ tape }

func (*idle) Read([]byte) (int, error) { return 0, nil }

// Last words arrive though the client still talks: closing with unread input would
// reset the connection.
func TestLastWords(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	done := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			done <- err
			return
		}
		done <- Serve(context.Background(), conn, &ServerOptions{MaxErrors: 1}, Ordinary{})
	}()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write(bytes.Repeat([]byte("nonsense\r\n"), 20_000)); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(conn)
	if err != nil || !strings.HasSuffix(string(out), "421 4.7.0 too many errors\r\n") {
		t.Errorf("%q, %v", out, err)
	}
	if err := <-done; !errors.Is(err, ErrTooManyErrors) {
		t.Error(err)
	}
}
