package smtp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"
)

// Why content is refused. The peer is told so when it has sent all of it.
var (
	// ErrTooBig is content beyond ServerOptions.MaxSize.
	ErrTooBig = errors.New("message too big")
	// ErrDrained is content that was refused and went on so long that its end was not
	// waited for: the connection is closed.
	ErrDrained = errors.New("refused content without end")
	// ErrAborted is content whose sender gave it up between two chunks: RSET, QUIT or
	// another EHLO came instead of the next BDAT.
	ErrAborted = errors.New("content given up by its sender")
)

// contentLimits bound what is read of one message.
type contentLimits struct {
	size  int64 // octets of the message; 0 is no limit
	drain int64 // octets that are thrown away of content that nobody wants
	line  int   // octets of one line with its CRLF; 0 is no limit
	times ServerTimeouts
}

// contentClock holds content to ServerTimeouts: Block without a byte, and Content for all of
// it, with a second more for every Rate octets that came. Only the time in which this
// side waited counts.
type contentClock struct {
	times  ServerTimeouts
	waited time.Duration
	start  int64 // octets that the wire had read before
}

// fill reads once from the wire within the limits of time.
func (c *contentClock) fill(w *Wire) error {
	came := w.readBytes - c.start
	left := c.times.Content + time.Duration(came/int64(c.times.Rate))*time.Second - c.waited
	if left <= 0 {
		return fmt.Errorf("content came at less than %d octets a second: %w", c.times.Rate, ErrTimeout)
	}
	w.SetReadTimeout(min(left, c.times.Block))
	from := time.Now()
	err := w.fill()
	c.waited += time.Since(from)
	return err
}

// A checker looks at content as it passes: a CR must be followed by LF and an LF must
// follow a CR, in whatever pieces they come. It keeps the first fault.
type checker struct {
	limits contentLimits
	size   int64 // octets of the message so far
	line   int   // octets of the line under way
	fault  error
}

func (c *checker) refuse(err error) {
	if c.fault == nil {
		c.fault = err
	}
}

// count takes n octets more into the size.
func (c *checker) count(n int) {
	c.size += int64(n)
	if c.limits.size > 0 && c.size > c.limits.size {
		c.refuse(ErrTooBig)
	}
}

// grow takes n octets more into the line under way, ended says that they end it.
func (c *checker) grow(n int, ended bool) {
	c.line += n
	if c.limits.line > 0 && c.line > c.limits.line {
		c.refuse(ErrLineTooLong)
	}
	if ended {
		c.line = 0
	}
}

// pieces gives content piece by piece.
type pieces interface {
	// next gives a piece that is valid until the next call; io.EOF after the last, also
	// of content that has a fault: any other error is the end of the connection.
	next() ([]byte, error)
	// faulty says why the content is refused so far.
	faulty() error
	// unwanted says that the rest is thrown away. refused says that there will be an error
	// for it whatever comes, so that of chunks the one under way is the last.
	unwanted(refused bool)
}

// contentReader is the content as a handler sees it.
type contentReader struct {
	source pieces
	rest   []byte
	err    error
	watch  *watch // of the peer, while the handler is busy with what it has; may be nil
}

// busy takes the wire from the watch, idle gives it back.
func (r *contentReader) busy() {
	if r.watch != nil {
		r.watch.off()
	}
}

func (r *contentReader) idle() {
	if r.watch != nil {
		if len(r.rest) == 0 {
			r.watch.w.compact()
		}
		r.watch.on()
	}
}

// Read gives content. io.EOF comes only after the peer said that this is the end and if
// nothing in it is to be refused.
func (r *contentReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	r.busy()
	defer r.idle()
	if len(r.rest) == 0 {
		if err := r.advance(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// WriteTo spares io.Copy its buffer.
func (r *contentReader) WriteTo(to io.Writer) (written int64, err error) {
	for {
		if len(r.rest) == 0 {
			r.busy()
			err := r.advance()
			r.idle()
			if err != nil {
				if errors.Is(err, io.EOF) {
					err = nil
				}
				return written, err
			}
		}
		n, err := to.Write(r.rest)
		written += int64(n)
		r.rest = r.rest[n:]
		if err != nil {
			return written, err
		}
		if len(r.rest) > 0 {
			return written, io.ErrShortWrite
		}
	}
}

// advance fetches the next piece. Of content with a fault nothing more is given, not
// even its end.
func (r *contentReader) advance() error {
	if r.err == nil {
		r.rest, r.err = r.source.next()
	}
	if fault := r.source.faulty(); fault != nil {
		r.rest, r.err = nil, fault
	}
	return r.err
}

// drain throws away what is left, to the true end. The error is nil after it; else
// the connection is of no further use.
func (r *contentReader) drain(refused bool) error {
	r.rest = nil
	if r.err == nil {
		r.err = ErrAborted // a handler that kept the reader gets nothing more from it
	}
	r.source.unwanted(refused)
	for {
		_, err := r.source.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// dataReader reads the content that follows DATA, RFC 5321 section 4.5.2: dots are
// unstuffed, and only CRLF.CRLF is the end.
//
// A CR or an LF by itself makes the whole message refused (section 2.3.8). It is not taken
// for the end of a line while the rest is read: whatever dots and commands stand
// behind it belong to the refused message, as they do for every sender that keeps to the
// standard, and are never looked at as commands. An octet 0 is let through: it is in the
// grammar of content (section 4.1.1.4 with 2.3.1), and hides nothing from a reader that
// counts. Lines may be longer than the 1,000 octets of section 4.5.3.1.6: nothing here
// holds a line, and changing or refusing them breaks signatures and mail that others
// deliver.
type dataReader struct {
	w     *Wire
	clock contentClock
	checker
	atStart bool  // of a line
	waste   int64 // where the content began to be thrown away; -1: it is wanted
	ended   error
}

func newDataReader(w *Wire, limits contentLimits) *dataReader {
	return &dataReader{
		w: w, clock: contentClock{times: limits.times, start: w.taken()}, checker: checker{limits: limits},
		atStart: true, waste: -1,
	}
}

func (d *dataReader) faulty() error { return d.fault }

func (d *dataReader) unwanted(bool) {
	if d.waste < 0 {
		d.waste = d.w.taken()
	}
}

func (d *dataReader) next() ([]byte, error) {
	for d.ended == nil {
		piece, more := d.scan(d.w.in[d.w.from:d.w.to])
		if len(piece) > 0 {
			d.count(len(piece))
			return piece, nil
		}
		if d.ended != nil {
			break
		}
		if d.fault != nil {
			d.unwanted(true)
		}
		if d.waste >= 0 && d.w.taken()-d.waste > d.limits.drain {
			d.end(ErrDrained)
			break
		}
		if more {
			if err := d.clock.fill(d.w); err != nil {
				d.end(eofIsUnexpected(err))
			}
		}
	}
	return nil, d.ended
}

// end closes the reader.
func (d *dataReader) end(err error) {
	d.ended = err
	d.w.transcript.Content(d.w.us.Other(), d.w.taken()-d.clock.start)
}

// scan takes from buf what can be decided: a piece of content that stands in it as it
// is, the end of the content, or a dot that is none of it. more says that nothing can be
// decided before further octets came. One CR at the end of buf is always left
// there: what it is depends on the next octet.
func (d *dataReader) scan(buf []byte) (piece []byte, more bool) {
	if d.atStart && len(buf) > 0 && buf[0] == '.' {
		return nil, d.scanDot(buf)
	}
	n := 0
	for n < len(buf) {
		if d.atStart && buf[n] == '.' {
			break
		}
		i := bytes.IndexByte(buf[n:], '\n')
		line := buf[n:]
		if i >= 0 {
			line = line[:i]
		}
		j := bytes.IndexByte(line, '\r')
		if i >= 0 && j >= 0 && j == i-1 {
			d.grow(i+1, true)
			n += i + 1
			d.atStart = true
			continue
		}
		took := 0
		switch {
		case i < 0 && j < 0: // a line under way
			took = len(line)
		case i < 0 && j == len(line)-1: // the CR waits for its LF
			took = j
		case j < 0:
			d.refuse(ErrBareLF)
			took = i + 1
		default:
			d.refuse(ErrBareCR)
			took = j + 1
		}
		if took == 0 {
			break
		}
		d.atStart = false
		d.grow(took, false)
		n += took
	}
	d.w.from += n
	return buf[:n], n == 0
}

// scanDot looks at a dot that begins a line.
func (d *dataReader) scanDot(buf []byte) (more bool) {
	switch {
	case len(buf) < 2 || buf[1] == '\r' && len(buf) < 3:
		return true
	case buf[1] == '\r' && buf[2] == '\n':
		d.w.from += 3
		d.end(io.EOF)
	default:
		d.w.from++
		d.atStart = false
	}
	return false
}
