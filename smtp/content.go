package smtp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Content is a message that can be read more than once: a file, or a
// bytes.Reader. Its lines end with CRLF.
type Content interface {
	io.ReaderAt
	Size() int64
}

// ContentError says where in a message there is something that no message may have:
// ErrBareCR or ErrBareLF.
type ContentError struct {
	Offset int64 // of the octet, counted from 0 and before any dot was added
	Err    error
}

// Error gives the place and the fault.
func (e *ContentError) Error() string { return fmt.Sprintf("content at octet %d: %v", e.Offset, e.Err) }

// Unwrap gives the fault.
func (e *ContentError) Unwrap() error { return e.Err }

// ContentForm is how a ContentWriter writes.
type ContentForm uint8

// The forms, a set.
const (
	// Stuffed is the form of DATA (RFC 5321 section 4.5.2): a dot before each line that
	// begins with one, and the line with a single dot at the end. Without it: of BDAT.
	Stuffed ContentForm = 1 << iota
	// Normalised takes LF and CR alone for line ends and writes CRLF, for mail from
	// files of this machine. Never set it for what came by SMTP: it would make two lines of
	// what the peer's filters saw as one.
	Normalised
)

// A ContentWriter writes message content to the wire. CR stands only before LF, LF only
// after CR (RFC 5321 section 2.3.8): anything else is refused, and of the block in which
// it stands nothing is written, so that nobody's content can become a command at the peer.
// Every other octet goes out as it is, 0 too (section 4.5.2 has all 128 codes): it frames
// nothing, and what a server took must be fit to be passed on.
// After an error the message is lost; the connection has to be closed unless the form is that
// of BDAT.
type ContentWriter struct {
	w     io.Writer
	form  ContentForm
	taken int64 // octets of Write, the offset for errors
	wrote int64
	mid   bool // within a line
	cr    bool // a CR was held back until its LF comes
	err   error
}

// NewContentWriter begins a message on w.
func NewContentWriter(w io.Writer, form ContentForm) *ContentWriter {
	return &ContentWriter{w: w, form: form}
}

// Written counts the octets written so far, dots and line ends that were added
// included.
func (c *ContentWriter) Written() int64 { return c.wrote }

// Write writes a block, or nothing of it if there is a fault in it.
func (c *ContentWriter) Write(p []byte) (int, error) {
	if c.err != nil || len(p) == 0 {
		return 0, c.err
	}
	if c.form&Normalised != 0 {
		c.err = c.normalise(p)
	} else if at, fault := contentFault(p, c.cr); fault != nil {
		c.err = &ContentError{c.taken + int64(at), fault}
	} else {
		c.err = c.stuff(p)
	}
	if c.err != nil {
		return 0, c.err
	}
	c.taken += int64(len(p))
	return len(p), nil
}

// contentFault finds the first octet of p that may not stand there; cr says that a CR came
// before. A CR at the end is none yet.
func contentFault(p []byte, cr bool) (at int, fault error) {
	if cr && p[0] != '\n' {
		return -1, ErrBareCR
	}
	// The counts are so much cheaper than a look at each line that they come first.
	ends := bytes.Count(p, crlf[1:])
	if cr {
		ends--
	}
	from := 0
	for ; ; ends-- {
		i := bytes.IndexByte(p[from:], '\r')
		if i < 0 || from+i == len(p)-1 {
			break
		}
		if from += i + 1; p[from] != '\n' {
			return firstFault(p, cr)
		}
	}
	if ends != 0 {
		return firstFault(p, cr)
	}
	return 0, nil
}

// firstFault goes octet by octet, where it is known that there is a fault.
func firstFault(p []byte, cr bool) (int, error) {
	for i, c := range p {
		switch {
		case cr && c != '\n':
			return i - 1, ErrBareCR
		case c == '\n' && !cr:
			return i, ErrBareLF
		}
		cr = c == '\r'
	}
	return 0, nil
}

// stuff writes lines that have no fault.
func (c *ContentWriter) stuff(p []byte) error {
	if c.cr {
		if err := c.emit(crlf); err != nil {
			return err
		}
		c.cr, c.mid, p = false, false, p[1:]
	}
	if n := len(p); n > 0 && p[n-1] == '\r' {
		c.cr, p = true, p[:n-1]
	}
	if len(p) == 0 {
		return nil
	}
	if c.form&Stuffed != 0 {
		if !c.mid && p[0] == '.' {
			if err := c.emit(dot); err != nil {
				return err
			}
		}
		for {
			i := bytes.Index(p, crlfDot)
			if i < 0 {
				break
			}
			if err := c.emit(p[:i+3]); err != nil {
				return err
			}
			p = p[i+2:] // with the dot, for the second time
			if err := c.emit(p[:1]); err != nil {
				return err
			}
			p = p[1:]
		}
	}
	if len(p) == 0 {
		c.mid = true // the last octet was a dot
		return nil
	}
	c.mid = p[len(p)-1] != '\n'
	return c.emit(p)
}

var (
	dot     = []byte(".")
	crlfDot = []byte("\r\n.")
)

// normalise makes every line end CRLF.
func (c *ContentWriter) normalise(p []byte) error {
	for len(p) > 0 {
		if c.cr { // its line end was written
			c.cr = false
			if p[0] == '\n' {
				p = p[1:]
				continue
			}
		}
		i := bytes.IndexAny(p, "\r\n")
		line := p
		if i >= 0 {
			line = p[:i]
		}
		if len(line) > 0 {
			if !c.mid && line[0] == '.' && c.form&Stuffed != 0 {
				if err := c.emit(dot); err != nil {
					return err
				}
			}
			if err := c.emit(line); err != nil {
				return err
			}
			c.mid = true
		}
		if i < 0 {
			return nil
		}
		if err := c.emit(crlf); err != nil {
			return err
		}
		c.mid, c.cr, p = false, p[i] == '\r', p[i+1:]
	}
	return nil
}

func (c *ContentWriter) emit(p []byte) error {
	n, err := c.w.Write(p)
	c.wrote += int64(n)
	return err
}

// Close ends the last line if it has no end, and in the form of DATA the message. It
// does not close what is below. After a fault it writes nothing and repeats the error: a
// message that was broken off must not look whole.
func (c *ContentWriter) Close() error {
	if c.err != nil {
		return c.err
	}
	if c.cr && c.form&Normalised == 0 {
		c.err = &ContentError{c.taken - 1, ErrBareCR}
		return c.err
	}
	if c.mid {
		c.err = c.emit(crlf)
	}
	if c.err == nil && c.form&Stuffed != 0 {
		c.err = c.emit([]byte(".\r\n"))
	}
	if c.err != nil {
		return c.err
	}
	c.err = errContentClosed
	return nil
}

var errContentClosed = errors.New("write content: already closed")

// Examined is what must be known of a message before it is offered to a peer.
type Examined struct {
	Octets   int64 // as SIZE and BDAT have it: with the CRLF of a last line that lacks it, without added dots
	EightBit bool  // there are octets over 127: BODY=8BITMIME
	Longest  int   // line, in octets with its CRLF; RFC 5321 section 4.5.3.1.6 allows 1000
}

// ExamineContent reads a message once, at the speed of memory. The error is a
// *ContentError for what may not stand in a message, else of reading.
func ExamineContent(c Content) (Examined, error) {
	var x Examined
	size, line, cr := c.Size(), 0, false
	buf := make([]byte, min(max(size, 1), 64<<10))
	for x.Octets < size {
		p := buf[:min(int64(len(buf)), size-x.Octets)]
		if n, err := c.ReadAt(p, x.Octets); n < len(p) {
			if err == nil || errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return x, fmt.Errorf("read content: %w", err)
		}
		if at, fault := contentFault(p, cr); fault != nil {
			return x, &ContentError{x.Octets + int64(at), fault}
		}
		x.Octets += int64(len(p))
		x.EightBit = x.EightBit || hasEightBit(p)
		cr = p[len(p)-1] == '\r'
		for {
			i := bytes.IndexByte(p, '\n')
			if i < 0 {
				break
			}
			x.Longest = max(x.Longest, line+i+1)
			line, p = 0, p[i+1:]
		}
		line += len(p)
	}
	if cr {
		return x, &ContentError{x.Octets - 1, ErrBareCR}
	}
	if line > 0 {
		x.Octets += 2
		x.Longest = max(x.Longest, line+2)
	}
	return x, nil
}

func hasEightBit(p []byte) bool {
	for ; len(p) >= 8; p = p[8:] {
		if binary.LittleEndian.Uint64(p)&0x8080808080808080 != 0 {
			return true
		}
	}
	for _, c := range p {
		if c >= 0x80 {
			return true
		}
	}
	return false
}
