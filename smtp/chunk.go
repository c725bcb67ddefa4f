package smtp

import (
	"bytes"
	"io"
	"strconv"
	"strings"
)

// parseChunk reads what follows BDAT, RFC 3030 section 2.
func parseChunk(arg string) (size int64, last bool, err error) {
	number, rest, more := strings.Cut(arg, " ")
	if more {
		rest = strings.TrimLeft(rest, " \t")
		last = strings.EqualFold(rest, "LAST")
	}
	// The grammar allows 20 digits; what is beyond an int64 cannot be read anyway.
	size, err = strconv.ParseInt(number, 10, 64)
	if err != nil || more && !last || number == "" || !isDigit(number[0]) {
		return 0, false, syntax(501, 5, 4, "expected BDAT size [LAST]")
	}
	return size, last, nil
}

// chunkReader reads content that comes with BDAT, RFC 3030. Where it ends is told by
// counting, so nothing can hide in it; but it will be handed on to others by DATA, so that
// unless it is BODY=BINARYMIME a bare CR or LF is refused here too. A CRLF may be divided
// between two chunks.
type chunkReader struct {
	w     *Wire
	clock contentClock
	checker
	binary  bool
	left    int64 // of the chunk under way
	began   int64 // size at its begin
	told    bool  // the transcript has it
	last    bool
	cr      bool  // the last octet was a CR
	waste   int64 // octets thrown away
	refused bool  // the rest of the chunk is thrown away, and that is the end
	ended   error

	// more answers the chunk that was read and waits for the next.
	more func() (size int64, last bool, err error)
}

func newChunkReader(w *Wire, limits contentLimits, binary bool, size int64, last bool) *chunkReader {
	c := &chunkReader{
		w: w, clock: contentClock{times: limits.times, start: w.taken()}, checker: checker{limits: limits},
		binary: binary,
	}
	c.begin(size, last)
	return c
}

// begin takes the next chunk up. One that is too big is refused before it is read.
func (c *chunkReader) begin(size int64, last bool) {
	c.left, c.last, c.began, c.told = size, last, c.size, false
	if c.limits.size > 0 && size > c.limits.size-c.size {
		c.refuse(ErrTooBig)
	}
}

// tell puts what came of the chunk into the transcript.
func (c *chunkReader) tell() {
	if !c.told {
		c.told = true
		c.w.transcript.Content(c.w.us.Other(), c.size-c.began)
	}
}

func (c *chunkReader) faulty() error { return c.fault }

func (c *chunkReader) unwanted(refused bool) { c.refused = c.refused || refused }

func (c *chunkReader) next() ([]byte, error) {
	for c.ended == nil {
		if c.left == 0 {
			c.tell()
		}
		switch {
		case c.left == 0 && c.last:
			if c.cr && !c.binary {
				c.refuse(ErrBareCR)
			}
			c.ended = io.EOF
		case c.left == 0 && (c.refused || c.fault != nil):
			c.ended = io.EOF
		case c.left == 0:
			size, last, err := c.more()
			if err != nil {
				c.ended = err
				break
			}
			c.begin(size, last)
		case (c.refused || c.fault != nil) && c.left > c.limits.drain-c.waste:
			c.ended = ErrDrained
		case c.w.Buffered() == 0:
			if err := c.clock.fill(c.w); err != nil {
				c.ended = eofIsUnexpected(err)
			}
		default:
			return c.take(), nil
		}
	}
	c.tell()
	return nil, c.ended
}

// take takes what there is of the chunk.
func (c *chunkReader) take() []byte {
	n := int(min(int64(c.w.Buffered()), c.left))
	piece := c.w.in[c.w.from : c.w.from+n]
	c.w.from += n
	c.left -= int64(n)
	if c.refused || c.fault != nil {
		c.waste += int64(n)
	}
	c.count(n)
	if !c.binary {
		c.check(piece)
	}
	return piece
}

// check looks for a CR or LF by itself.
func (c *chunkReader) check(piece []byte) {
	if c.cr {
		c.cr = false
		if piece[0] != '\n' {
			c.refuse(ErrBareCR)
		} else {
			c.grow(1, true)
			piece = piece[1:]
		}
	}
	for len(piece) > 0 && c.fault == nil {
		i := bytes.IndexByte(piece, '\n')
		line := piece
		if i >= 0 {
			line = piece[:i]
		}
		switch j := bytes.IndexByte(line, '\r'); {
		case i < 0 && j < 0:
			c.grow(len(line), false)
			return
		case i < 0 && j == len(line)-1:
			c.grow(len(line), false)
			c.cr = true
			return
		case i >= 0 && j < 0:
			c.refuse(ErrBareLF)
		case i < 0 || j != i-1:
			c.refuse(ErrBareCR)
		}
		c.grow(i+1, true)
		piece = piece[i+1:]
	}
}
