package trace

import (
	"bytes"
	"io"
	"unicode/utf8"
)

// text is decoded text with a place in it. Only one row is held, MaxRow bytes at
// most.
type text struct {
	src   io.Reader
	buf   []byte
	r, w  int
	err   error // why no more comes; io.EOF at the end
	line  int64 // number of the line at r, from 1
	mixed func()

	utf8, other bool // kinds of 8-bit text that were seen
	told        bool
}

func newText(src io.Reader) *text {
	return &text{src: src, buf: make([]byte, 64<<10), line: 1}
}

// rest is what is there.
func (t *text) rest() []byte { return t.buf[t.r:t.w] }

// more reads on; false if nothing came: the end, or no room left in a row.
func (t *text) more() bool {
	if t.err != nil {
		return false
	}
	if t.w == len(t.buf) {
		switch {
		case t.r > len(t.buf)/2:
			t.w = copy(t.buf, t.buf[t.r:t.w])
			t.r = 0
		case len(t.buf) < 2*MaxRow:
			grown := make([]byte, 2*len(t.buf))
			t.w = copy(grown, t.buf[t.r:t.w])
			t.buf, t.r = grown, 0
		case t.r > 0:
			t.w = copy(t.buf, t.buf[t.r:t.w])
			t.r = 0
		default:
			return false
		}
	}
	n, err := t.src.Read(t.buf[t.w:])
	t.w += n
	t.err = err
	return n > 0 || err == nil
}

// fill reads until n bytes are there, and gives how many are.
func (t *text) fill(n int) int {
	for t.w-t.r < n && t.more() {
	}
	return t.w - t.r
}

// take steps over n bytes of which lines are line ends.
func (t *text) take(n int, lines int64) {
	t.r += n
	t.line += lines
}

// look finds the end of the line that begins from bytes on: its length with the
// line end. ended is false if the input or the room ends first.
func (t *text) look(from int) (n int, ended bool) {
	for at := from; ; {
		if i := bytes.IndexByte(t.buf[t.r+at:t.w], '\n'); i >= 0 {
			return at + i + 1 - from, true
		}
		at = t.w - t.r
		if at >= MaxRow || !t.more() {
			return t.w - t.r - from, false
		}
	}
}

// next gives the next line without its end and steps over it. cut is true if it
// has no end; long if it went beyond MaxRow, of which the rest is stepped over.
func (t *text) next() (line []byte, cut, long, ok bool) {
	n, ended := t.look(0)
	if n == 0 {
		return nil, false, false, false
	}
	if !ended && n >= MaxRow {
		t.stepOver()
		return nil, false, true, true
	}
	line = t.buf[t.r : t.r+n]
	if ended {
		line = line[:n-1]
		if k := len(line); k > 0 && line[k-1] == '\r' {
			line = line[:k-1]
		}
		t.take(n, 1)
	} else {
		t.take(n, 0)
	}
	return line, !ended, false, true
}

// stepOver leaves the rest of the line, however long.
func (t *text) stepOver() {
	for {
		if i := bytes.IndexByte(t.rest(), '\n'); i >= 0 {
			t.take(i+1, 1)
			return
		}
		t.r = t.w
		if !t.more() {
			return
		}
	}
}

// notice tells once of 8-bit text that is UTF-8 here and not there. Characters
// that were cut are no other encoding.
func (t *text) notice(row []byte) {
	if t.told || ascii(row) {
		return
	}
	if utf8.Valid(row) {
		t.utf8 = true
	} else {
		t.other = true
	}
	if t.utf8 && t.other && t.mixed != nil {
		t.told = true
		t.mixed()
	}
}

func ascii(b []byte) bool {
	for len(b) >= 8 {
		if (b[0]|b[1]|b[2]|b[3]|b[4]|b[5]|b[6]|b[7])&0x80 != 0 {
			return false
		}
		b = b[8:]
	}
	for _, c := range b {
		if c >= 0x80 {
			return false
		}
	}
	return true
}
