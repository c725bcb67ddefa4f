package esp

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"unicode/utf16"
	"unicode/utf8"
)

// window is the part of the stream that is being looked at.
type window struct {
	r          io.Reader
	buf        []byte
	start, end int
	line       int64 // of the byte at start
	err        error
}

func newWindow(r io.Reader) *window { return &window{r: r, buf: make([]byte, 128<<10), line: 1} }

// b is what is there and not yet consumed.
func (w *window) b() []byte { return w.buf[w.start:w.end] }

// more reports whether at least one byte is there.
func (w *window) more() bool { return w.start < w.end || w.fill() }

// fill gets more bytes behind those that are there; false at the end.
func (w *window) fill() bool {
	if w.err != nil {
		return false
	}
	if w.start > 0 {
		copy(w.buf, w.buf[w.start:w.end])
		w.start, w.end = 0, w.end-w.start
	}
	if w.end == len(w.buf) {
		w.buf = append(w.buf, make([]byte, len(w.buf))...)
	}
	for range 100 { // a reader may give nothing without an error, but not for ever
		n, err := w.r.Read(w.buf[w.end:])
		w.end += n
		if err != nil {
			w.err = err
		}
		if n > 0 || err != nil {
			return n > 0
		}
	}
	w.err = io.ErrNoProgress
	return false
}

// advance consumes n bytes.
func (w *window) advance(n int) {
	w.line += int64(bytes.Count(w.buf[w.start:w.start+n], []byte{'\n'}))
	w.start += n
}

// nextLine consumes up to the next line, or all there is.
func (w *window) nextLine() {
	for w.more() {
		if i := bytes.IndexByte(w.b(), '\n'); i >= 0 {
			w.advance(i + 1)
			return
		}
		w.advance(len(w.b()))
	}
}

// toUTF8 gives the stream in UTF-8 without a byte-order mark.
func toUTF8(r io.Reader) io.Reader {
	br := bufio.NewReaderSize(r, 64<<10)
	head, _ := br.Peek(1024)
	order, bom := encodingOf(head)
	_, _ = br.Discard(bom)
	if order == nil {
		return br
	}
	return &wide{r: br, order: order}
}

// plain gives the head of a stream in UTF-8 without a byte-order mark.
func plain(head []byte) []byte {
	order, bom := encodingOf(head)
	head = head[bom:]
	if order == nil {
		return head
	}
	out, _ := io.ReadAll(&wide{r: bufio.NewReader(bytes.NewReader(head)), order: order})
	return out
}

// encodingOf tells UTF-16 (not nil) from UTF-8, with or without a byte-order
// mark: all that exports begin with is ASCII, which is every other byte zero in
// UTF-16.
func encodingOf(head []byte) (order binary.ByteOrder, bom int) {
	switch {
	case bytes.HasPrefix(head, []byte("\xef\xbb\xbf")):
		return nil, 3
	case bytes.HasPrefix(head, []byte("\xff\xfe")):
		return binary.LittleEndian, 2
	case bytes.HasPrefix(head, []byte("\xfe\xff")):
		return binary.BigEndian, 2
	case len(head) >= 4 && head[0] != 0 && head[1] == 0 && head[2] != 0 && head[3] == 0:
		return binary.LittleEndian, 0
	case len(head) >= 4 && head[0] == 0 && head[1] != 0 && head[2] == 0 && head[3] != 0:
		return binary.BigEndian, 0
	}
	return nil, 0
}

// wide turns UTF-16 into UTF-8.
type wide struct {
	r     *bufio.Reader
	order binary.ByteOrder
	out   [4]byte // a character that found no room
	left  []byte
	high  rune // a surrogate that waits for its second half
}

func (u *wide) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if len(u.left) > 0 {
			k := copy(p[n:], u.left)
			n, u.left = n+k, u.left[k:]
			continue
		}
		if n > 0 && u.r.Buffered() < 2 {
			return n, nil
		}
		var unit [2]byte
		if _, err := io.ReadFull(u.r, unit[:]); err != nil {
			if err == io.ErrUnexpectedEOF {
				err = io.EOF // half a character is a cut file: the record says so
			}
			return n, err
		}
		c := rune(u.order.Uint16(unit[:]))
		switch {
		case u.high != 0:
			c, u.high = utf16.DecodeRune(u.high, c), 0
		case 0xd800 <= c && c < 0xdc00:
			u.high = c
			continue
		}
		u.left = utf8.AppendRune(u.out[:0], c)
	}
	return n, nil
}
