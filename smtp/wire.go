package smtp

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// What can be wrong with the bytes of a peer. They are wrapped in the errors of
// this package: ask with errors.Is.
var (
	// ErrBareCR is a CR without LF, ErrBareLF an LF without CR. One side may take it
	// for the end of a line and the other not, which is how a second message is
	// hidden in a first (SMTP smuggling), so neither is ever taken for one. RFC 5321
	// section 2.3.8.
	ErrBareCR = errors.New("bare CR")
	ErrBareLF = errors.New("bare LF")
	// ErrLineTooLong is a line beyond the limit; it was read to its end and thrown
	// away.
	ErrLineTooLong = errors.New("line too long")
	// ErrNUL is an octet 0 in a line.
	ErrNUL = errors.New("NUL in a line")
	// ErrFlood is a line so far beyond the limit that its end was not waited for: the
	// connection is of no further use.
	ErrFlood = errors.New("endless line")
	// ErrInjected says that there were bytes in clear behind STARTTLS or its reply: they
	// would be taken for what came through TLS (CVE-2011-0411). The connection is of no
	// further use.
	ErrInjected = errors.New("clear text behind STARTTLS")
	// ErrTimeout says that a phase took longer than it may. The chain holds
	// os.ErrDeadlineExceeded too.
	ErrTimeout = errors.New("timed out")
	// ErrCut says that this side closed the connection on purpose and without a word.
	ErrCut = errors.New("cut")
)

const (
	wireBuffer = 16 << 10 // of one direction
	// wireStart is the size of the buffers before there is more to read or write at once:
	// most sessions of a server wait, and many are over after a few lines.
	wireStart = 1 << 10
	// floodLimit is how much of an overlong line is thrown away while its end is waited
	// for, so that the next line is one again.
	floodLimit = 1 << 20
)

// A Wire is one connection of either side: lines and octets with bounds, time
// limits, and a transcript.
//
// Reading and writing may be done by two goroutines at once, one each; Bind,
// Upgrade and the rest belong to the owner while neither is at work. The first
// error of the network in a direction stays; errors of a single line (ErrBareCR,
// ErrBareLF, ErrLineTooLong, ErrNUL) leave the wire at the start of the next line.
type Wire struct {
	conn       net.Conn
	us         Side
	transcript *Transcript

	in        []byte // what was read and not yet taken: in[from:to]
	from, to  int
	full      bool // the last read found no end: there is more than the buffer holds
	inErr     error
	readBytes int64
	eager     bool // replies wait in the buffer no longer than until a read may block

	outMu      sync.Mutex // Cut may come from anywhere
	out        []byte     // grows up to wireBuffer
	scratch    []byte     // for a line that is put together
	outErr     error
	wroteBytes int64
	writeLimit time.Duration // for each sending of the buffer; 0: the deadline is the owner's

	mu    sync.Mutex // guards what a context's end changes while reading and writing go on
	ended error      // why all further reads and writes fail
}

// NewWire begins with conn. us is the side that this end speaks for; t may be nil.
func NewWire(conn net.Conn, us Side, t *Transcript) *Wire {
	return &Wire{conn: conn, us: us, transcript: t, in: make([]byte, wireStart)}
}

// Conn is the connection: after Upgrade the one through TLS.
func (w *Wire) Conn() net.Conn { return w.conn }

// Transcript is the record that lines go to; nil if none is kept.
func (w *Wire) Transcript() *Transcript { return w.transcript }

// BytesRead counts the octets taken from the connection, as this end sees them
// (under TLS: without its overhead).
func (w *Wire) BytesRead() int64 { return w.readBytes }

// BytesWritten counts the octets given to the connection.
func (w *Wire) BytesWritten() int64 { return w.wroteBytes }

// Bind makes the end of ctx interrupt every read and write, at once, also those
// that block. They and all later ones fail with the cause; a session that was
// interrupted anywhere is in no known state. Call release when ctx no longer rules.
func (w *Wire) Bind(ctx context.Context) (release func()) {
	if ctx.Done() == nil {
		return func() {}
	}
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		w.end(context.Cause(ctx))
	})
	return sync.OnceFunc(func() {
		if !stop() {
			<-done
		}
	})
}

// end makes all reads and writes fail with err.
func (w *Wire) end(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended == nil {
		w.ended = err
	}
	_ = w.conn.SetDeadline(longAgo) // of a closed connection there is nothing to interrupt
}

// SetReadTimeout gives all reading from now on d together, not d for each read: a
// peer that sends a byte a minute has no more time than others. 0 is no limit.
func (w *Wire) SetReadTimeout(d time.Duration) { w.setDeadline(d, net.Conn.SetReadDeadline) }

// SetWriteTimeout is the same for writing.
func (w *Wire) SetWriteTimeout(d time.Duration) { w.setDeadline(d, net.Conn.SetWriteDeadline) }

func (w *Wire) setDeadline(d time.Duration, set func(net.Conn, time.Time) error) {
	var t time.Time
	if d > 0 {
		t = time.Now().Add(d)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended == nil {
		_ = set(w.conn, t) // fails only on a closed connection, as the next read will
	}
}

// failure turns an error of the connection into what the caller is told.
func (w *Wire) failure(doing string, err error) error {
	w.mu.Lock()
	ended := w.ended
	w.mu.Unlock()
	switch {
	case ended != nil:
		return fmt.Errorf("%s: %w", doing, ended)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("%s: %w: %w", doing, ErrTimeout, err)
	case errors.Is(err, io.EOF):
		return io.EOF
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// Buffered is how many octets were read from the connection and not yet taken.
func (w *Wire) Buffered() int { return w.to - w.from }

// fill reads once from the connection.
func (w *Wire) fill() error {
	if w.inErr != nil {
		return w.inErr
	}
	if w.eager {
		if err := w.Flush(); err != nil {
			return err
		}
	}
	w.compact()
	if w.full {
		w.grow()
	}
	if w.to == len(w.in) {
		w.to = copy(w.in, w.in[w.from:w.to])
		w.from = 0
	}
	return w.readMore()
}

// grow takes a larger buffer, false if it is as large as it gets. What was given to somebody
// out of the old one stays as it is.
func (w *Wire) grow() bool {
	if len(w.in) >= wireBuffer {
		return false
	}
	in := make([]byte, min(4*len(w.in), wireBuffer))
	w.to = copy(in, w.in[w.from:w.to])
	w.in, w.from, w.full = in, 0, false
	return true
}

// compact makes all of the buffer free where nothing is in it.
func (w *Wire) compact() {
	if w.from == w.to {
		w.from, w.to = 0, 0
	}
}

// readMore reads once from the connection, behind what is in the buffer, which stays
// where it is; there must be room.
func (w *Wire) readMore() error {
	for tries := 0; ; tries++ {
		n, err := w.conn.Read(w.in[w.to:])
		w.to += n
		w.full = w.to == len(w.in)
		w.readBytes += int64(n)
		if err != nil {
			w.inErr = w.failure("read", err)
		}
		if n > 0 {
			return nil
		}
		if err == nil && tries > 100 {
			w.inErr = fmt.Errorf("read: %w", io.ErrNoProgress)
		}
		if w.inErr != nil {
			return w.inErr
		}
	}
}

// Read takes octets as they are; nothing goes to the transcript. It is for message
// content: say its size to the transcript with Transcript.Content.
func (w *Wire) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if w.from == w.to {
		if err := w.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, w.in[w.from:w.to])
	w.from += n
	return n, nil
}

// ReadLine takes one line and gives it without its CRLF; it is valid until the
// next read. max bounds the line with its CRLF. Only CRLF ends a line. A line with
// a fault is taken whole and comes with its error, one that is too long is cut; io.EOF is
// the end of the connection before a line began, io.ErrUnexpectedEOF within one.
func (w *Wire) ReadLine(max int) ([]byte, error) { return w.readLine(max, false) }

// ReadLineLoose is ReadLine for a client: a bare LF ends a line too. Replies carry no
// commands, so nothing can be hidden in them, and a few servers end theirs so; waiting
// for a CR would be a hang.
func (w *Wire) ReadLineLoose(max int) ([]byte, error) { return w.readLine(max, true) }

func (w *Wire) readLine(max int, loose bool) ([]byte, error) {
	max = min(max, wireBuffer-1)
	for seen := w.from; ; {
		if i := w.lineEnd(seen, loose); i >= 0 {
			line := w.in[w.from:i]
			w.from = i + 1
			line = bytes.TrimSuffix(line, crlf[:1])
			if len(line)+2 > max {
				w.record(w.us.Other(), line[:max-2])
				return line[:max-2], ErrLineTooLong
			}
			w.record(w.us.Other(), line)
			return line, lineFault(line)
		}
		if w.to-w.from > max {
			return w.overlong(max, loose)
		}
		had := w.to - w.from
		if err := w.fill(); err != nil {
			if errors.Is(err, io.EOF) && had > 0 {
				w.record(w.us.Other(), w.in[w.from:w.to])
				w.from = w.to
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		seen = w.from + had
	}
}

// lineEnd gives the index of the LF that ends the line, looking from seen on; the CR
// before it may have been seen already.
func (w *Wire) lineEnd(seen int, loose bool) int {
	for at := seen; ; {
		i := bytes.IndexByte(w.in[at:w.to], '\n')
		if i < 0 {
			return -1
		}
		at += i
		if loose || at > w.from && w.in[at-1] == '\r' {
			return at
		}
		at++
	}
}

// overlong throws away the rest of a line and keeps its start.
func (w *Wire) overlong(max int, loose bool) ([]byte, error) {
	head := bytes.Clone(w.in[w.from : w.from+max-2])
	w.record(w.us.Other(), head)
	for thrown := 0; ; {
		if i := w.lineEnd(w.from, loose); i >= 0 {
			w.from = i + 1
			return head, ErrLineTooLong
		}
		keep := 0
		if w.to > w.from && w.in[w.to-1] == '\r' {
			keep = 1
		}
		thrown += w.to - w.from - keep
		w.from = w.to - keep
		if thrown > floodLimit {
			w.inErr = ErrFlood
			return nil, ErrFlood
		}
		if err := w.fill(); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
}

var (
	crlf    = []byte("\r\n")
	longAgo = time.Unix(1, 0)
)

// lineFault says what is wrong with a line: what must not be in any.
func lineFault(line []byte) error {
	for _, c := range line {
		switch c {
		case '\n':
			return ErrBareLF
		case '\r':
			return ErrBareCR
		case 0:
			return ErrNUL
		}
	}
	return nil
}

// Write puts octets into the buffer and sends it when it is full; nothing goes to the
// transcript.
func (w *Wire) Write(p []byte) (int, error) {
	w.outMu.Lock()
	defer w.outMu.Unlock()
	return w.write(p)
}

func (w *Wire) write(p []byte) (int, error) {
	total := len(p)
	for len(p) > 0 {
		if w.outErr != nil {
			return total - len(p), w.outErr
		}
		if len(w.out) == 0 && len(p) >= wireBuffer {
			if err := w.send(p); err != nil {
				return total - len(p), err
			}
			return total, nil
		}
		n := min(len(p), wireBuffer-len(w.out))
		w.out = append(w.out, p[:n]...)
		if p = p[n:]; len(p) > 0 {
			if err := w.flush(); err != nil {
				return total - len(p), err
			}
		}
	}
	return total, nil
}

// WriteLine writes one line and its CRLF into the buffer. A CR, LF or NUL in it is
// refused: it would be two lines to the peer.
func (w *Wire) WriteLine(line []byte) error {
	if err := lineFault(line); err != nil {
		return fmt.Errorf("write line: %w", err)
	}
	w.record(w.us, line)
	w.outMu.Lock()
	defer w.outMu.Unlock()
	if _, err := w.write(line); err != nil {
		return err
	}
	_, err := w.write(crlf)
	return err
}

// Flush sends what is in the buffer.
func (w *Wire) Flush() error {
	w.outMu.Lock()
	defer w.outMu.Unlock()
	return w.flush()
}

func (w *Wire) flush() error {
	if w.outErr != nil {
		return w.outErr
	}
	if len(w.out) == 0 {
		return nil
	}
	err := w.send(w.out)
	w.out = w.out[:0]
	return err
}

func (w *Wire) send(p []byte) error {
	if w.writeLimit > 0 {
		w.SetWriteTimeout(w.writeLimit)
	}
	n, err := w.conn.Write(p)
	w.wroteBytes += int64(n)
	if err != nil {
		w.outErr = w.failure("write", err)
	}
	return w.outErr
}

// Upgrade hands the connection to handshake and goes on with what it gives back.
// Octets that are already buffered came in clear and are no part of what follows:
// the answer is ErrInjected, and the wire is of no further use.
func (w *Wire) Upgrade(ctx context.Context, c *tls.Config, handshake Handshake) error {
	if err := w.Flush(); err != nil {
		return err
	}
	if w.Buffered() > 0 {
		w.inErr, w.from, w.to = ErrInjected, 0, 0
		return ErrInjected
	}
	conn, err := handshake(ctx, w.conn, c)
	if err != nil {
		err = w.failure("TLS handshake", err)
		w.inErr = err
		w.transcript.Note(err.Error())
		return err
	}
	w.mu.Lock()
	w.conn = conn
	ended := w.ended
	w.mu.Unlock()
	if ended != nil {
		return ended
	}
	if s := w.TLS(); s != nil {
		w.transcript.Note(tls.VersionName(s.Version) + ", " + tls.CipherSuiteName(s.CipherSuite))
	}
	return nil
}

// TLS is the state of the connection's TLS; nil in clear.
func (w *Wire) TLS() *tls.ConnectionState {
	c, ok := w.conn.(interface{ ConnectionState() tls.ConnectionState })
	if !ok {
		return nil
	}
	s := c.ConnectionState()
	return &s
}

// A Handshake does one side of TLS on conn.
type Handshake func(ctx context.Context, conn net.Conn, c *tls.Config) (net.Conn, error)

// ServerHandshake is the ordinary server side.
func ServerHandshake(ctx context.Context, conn net.Conn, c *tls.Config) (net.Conn, error) {
	t := tls.Server(conn, c)
	return t, t.HandshakeContext(ctx)
}

// ClientHandshake is the ordinary client side.
func ClientHandshake(ctx context.Context, conn net.Conn, c *tls.Config) (net.Conn, error) {
	t := tls.Client(conn, c)
	return t, t.HandshakeContext(ctx)
}

// Close closes the connection; what is buffered is not sent.
func (w *Wire) Close() error { return w.conn.Close() }

// Cut closes the connection without a further word: what was said before is still
// sent if the peer takes it at once; later reads and writes fail with ErrCut. It may be called from
// any goroutine.
func (w *Wire) Cut() error {
	if w.outMu.TryLock() { // else somebody is writing, and the end below interrupts them
		w.writeLimit = partingTime
		_ = w.flush() // best effort: the connection is given up
		w.outMu.Unlock()
	}
	w.end(ErrCut)
	w.transcript.Note("cut")
	return w.conn.Close()
}

const (
	partingTime  = time.Second // for last words to a peer that may not listen
	partingBytes = 1 << 20
)

// part sends what is in the buffer as last words and closes. A TCP connection with
// unread input would be reset, and the reset can overtake the last words, so the rest of the
// input is thrown away first, for a short time.
func (w *Wire) part() {
	w.outMu.Lock()
	w.writeLimit = partingTime
	w.outMu.Unlock()
	if w.Flush() == nil {
		if half, ok := w.conn.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
			w.SetReadTimeout(partingTime)
			for thrown := 0; thrown < partingBytes && w.inErr == nil; thrown += w.to - w.from {
				w.from, w.to = 0, 0
				_ = w.fill() // the loop looks at inErr
			}
		}
	}
	_ = w.conn.Close() // nothing is left to lose
}

// Await waits up to d for the peer to say something and reports whether it has.
func (w *Wire) Await(d time.Duration) (bool, error) {
	if w.Buffered() > 0 {
		return true, nil
	}
	w.SetReadTimeout(d)
	err := w.fill()
	if errors.Is(err, ErrTimeout) {
		w.inErr = nil // it may still talk later
		return false, nil
	}
	return err == nil, err
}

func (w *Wire) record(from Side, line []byte) { w.transcript.Line(from, line) }

// taken counts the octets that were read and taken out of the buffer.
func (w *Wire) taken() int64 { return w.readBytes - int64(w.to-w.from) }

// interruptRead makes a read that blocks in another goroutine return; resumeRead
// forgets that, after the goroutine has ended and before the next time limit is set.
func (w *Wire) interruptRead() {
	w.mu.Lock()
	defer w.mu.Unlock()
	_ = w.conn.SetReadDeadline(longAgo) // of a closed connection there is nothing to interrupt
}

func (w *Wire) resumeRead() {
	if isInterrupt(w.inErr) {
		w.inErr = nil
	}
}

// isInterrupt tells the end of waiting from the end of the connection.
func isInterrupt(err error) bool { return errors.Is(err, ErrTimeout) }

// gone gives why all reads and writes fail by now; nil while they do not.
func (w *Wire) gone() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ended
}

// revive lets last words be written after the end of a context.
func (w *Wire) revive() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !errors.Is(w.ended, ErrCut) {
		w.ended, w.inErr = nil, nil
	}
}

// peek waits for n octets and gives them without taking them; n is at most the size
// of the buffer.
func (w *Wire) peek(n int) ([]byte, error) {
	for w.Buffered() < n {
		if err := w.fill(); err != nil {
			return w.in[w.from:w.to], err
		}
	}
	return w.in[w.from : w.from+n], nil
}
