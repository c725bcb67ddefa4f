package maillog

import (
	"bytes"
	"io"
	"unicode/utf8"
)

// lines cuts a stream into lines. It holds one block of the stream.
type lines struct {
	src   io.Reader
	buf   []byte
	block []byte // what of buf is read and not given out
	err   error
	wide  bool // the stream is UTF-16
	end   byte // of a line: '\n', or '\r' in a text that has no other
	long  bool // inside a line that is too long
	mid   bool // inside a line
}

type lineState uint8

const (
	lineWhole lineState = iota
	lineCut             // the last, without a line end
	lineLong            // beyond MaxLine: nothing of it is given
	lineEnd             // there are no more
)

const blockSize = 256 << 10

// open reads the first block and looks how the text is written.
func (l *lines) open() {
	l.buf = make([]byte, blockSize)
	l.first()
	order, ok := wideOrder(l.block)
	if !ok {
		l.block = bytes.TrimPrefix(l.block, []byte("\xef\xbb\xbf"))
		l.look()
		return
	}
	l.wide = true
	rest := l.src
	if l.err != nil {
		rest = failing{l.err}
	}
	l.src = &wide{src: io.MultiReader(bytes.NewReader(bytes.Clone(l.block)), rest), high: order}
	l.block, l.err = nil, nil
	l.first()
	l.look()
}

// look finds how lines end; a text that went through an old Mac's hands, or a
// spreadsheet's, ends them with a bare CR.
func (l *lines) look() {
	l.end = '\n'
	if bytes.IndexByte(l.block, '\n') < 0 && bytes.IndexByte(bytes.TrimRight(l.block, "\r"), '\r') >= 0 {
		l.end = '\r'
	}
}

// failing is a stream that has come to its end.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// first fills the first block.
func (l *lines) first() {
	for l.err == nil && len(l.block) < len(l.buf) {
		l.fill()
	}
}

// fill reads more behind what is left.
func (l *lines) fill() {
	n := copy(l.buf, l.block)
	for range 100 {
		if l.err != nil || n == len(l.buf) {
			break
		}
		var k int
		k, l.err = l.src.Read(l.buf[n:])
		if n += k; k > 0 {
			l.block = l.buf[:n]
			return
		}
	}
	if l.block = l.buf[:n]; l.err == nil && n < len(l.buf) {
		l.err = io.ErrNoProgress
	}
}

// next gives the next line without its line end.
func (l *lines) next() ([]byte, lineState) {
	for {
		if !l.mid && len(l.block) > 0 && l.block[0] == 0 {
			// What logrotate's copytruncate and a crash leave: nothing, and a lot of it.
			l.block = bytes.TrimLeft(l.block, "\x00")
		}
		i := bytes.IndexByte(l.block, l.end)
		switch {
		case i >= 0:
			b := l.block[:i]
			l.block = l.block[i+1:]
			long := l.long || len(b) > MaxLine
			l.long, l.mid = false, false
			if long {
				return nil, lineLong
			}
			return b, lineWhole
		case len(l.block) > MaxLine || l.long:
			l.long, l.block = true, nil
		}
		if l.err != nil {
			return l.last()
		}
		l.mid = l.long || len(l.block) > 0
		l.fill()
	}
}

// last gives what stands behind the last line end.
func (l *lines) last() ([]byte, lineState) {
	b := l.block
	l.block = nil
	switch {
	case l.long:
		l.long = false
		return nil, lineLong
	case len(b) == 0:
		return nil, lineEnd
	}
	return b, lineCut
}

// wideOrder tells UTF-16 by its mark, or by the zeros in every other byte; high
// is where the upper byte of each pair stands.
func wideOrder(b []byte) (high int, ok bool) {
	switch {
	case len(b) < 4:
		return 0, false
	case b[0] == 0xff && b[1] == 0xfe:
		return 1, true
	case b[0] == 0xfe && b[1] == 0xff:
		return 0, true
	}
	var zeros [2]int
	n := min(len(b)&^1, 512)
	for i, c := range b[:n] {
		if c == 0 {
			zeros[i&1]++
		}
	}
	for high, other := range [2]int{1, 0} {
		if n >= 32 && zeros[high] > n/2*8/10 && zeros[other] < n/2/10 {
			return high, true
		}
	}
	return 0, false
}

// wide turns UTF-16 into UTF-8.
type wide struct {
	src  io.Reader
	high int
	in   [8192]byte
	have int
	err  error
}

func (w *wide) Read(p []byte) (int, error) {
	if len(p) < utf8.UTFMax {
		return 0, io.ErrShortBuffer
	}
	for w.have < 4 && w.err == nil {
		var k int
		k, w.err = w.src.Read(w.in[w.have:])
		w.have += k
	}
	n, i := 0, 0
	for i+1 < w.have && n+utf8.UTFMax <= len(p) {
		c := rune(w.in[i+w.high])<<8 | rune(w.in[i+1-w.high])
		size := 2
		if c >= 0xd800 && c < 0xdc00 {
			if i+3 >= w.have {
				if w.err == nil {
					break
				}
				c = utf8.RuneError
			} else if d := rune(w.in[i+2+w.high])<<8 | rune(w.in[i+3-w.high]); d >= 0xdc00 && d < 0xe000 {
				c, size = (c-0xd800)<<10|(d-0xdc00)+0x10000, 4
			} else {
				c = utf8.RuneError
			}
		}
		i += size
		if c != 0xfeff {
			n += utf8.EncodeRune(p[n:], c)
		}
	}
	w.have = copy(w.in[:], w.in[i:w.have])
	if n == 0 && w.err != nil {
		return 0, w.err
	}
	return n, nil
}
