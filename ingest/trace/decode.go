package trace

import (
	"bytes"
	"io"
	"unicode/utf16"
	"unicode/utf8"
)

// encoding is the way in which bytes stand for text.
type encoding uint8

const (
	narrow encoding = iota // UTF-8 or windows-1252: the rows tell
	utf16le
	utf16be
)

const (
	rawRoom = 32 << 10
	// pairRun is how many units of UTF-16 in a row must look like pairs of
	// ASCII letters to be just that. In Chinese text a third of the characters
	// do; sixteen in a row do not occur.
	pairRun = 16
)

// decoder gives UTF-8 for UTF-16 with or without byte-order mark, and passes
// 8-bit text on as it is. Where a file goes on in another width, as when
// PowerShell's >> and Add-Content wrote to it in turn, it follows.
type decoder struct {
	src     io.Reader
	raw     []byte
	r, w    int
	err     error
	enc     encoding
	begun   bool
	changed func() // the encoding changed in the middle; may be nil
	out     []byte
	o       int
}

func newDecoder(src io.Reader, changed func()) *decoder {
	return &decoder{src: src, raw: make([]byte, rawRoom), changed: changed}
}

// Read implements [io.Reader].
func (d *decoder) Read(p []byte) (int, error) {
	for d.o == len(d.out) {
		d.out, d.o = d.out[:0], 0
		if !d.load() {
			return 0, d.err
		}
		if !d.begun {
			d.begin()
		}
		if d.enc == narrow {
			d.passOn()
		} else {
			d.decode()
		}
	}
	n := copy(p, d.out[d.o:])
	d.o += n
	return n, nil
}

// load gets raw bytes, more than a few if there are; false at the end.
func (d *decoder) load() bool {
	if d.begun && d.w-d.r > 1024 {
		return true // a piece was left over, long enough for all that follows
	}
	if d.r > 0 {
		d.w = copy(d.raw, d.raw[d.r:d.w])
		d.r = 0
	}
	for empty := 0; d.err == nil && d.w < len(d.raw)/2; {
		n, err := d.src.Read(d.raw[d.w:])
		d.w += n
		d.err = err
		if n > 0 && d.begun && d.w > 64 {
			break
		}
		if n == 0 && err == nil {
			if empty++; empty > 100 {
				d.err = io.ErrNoProgress
			}
		}
	}
	return d.w > 0
}

// begin looks for a byte-order mark, or for the zero bytes of ASCII in UTF-16.
func (d *decoder) begin() {
	d.begun = true
	b := d.raw[:d.w]
	switch {
	case bytes.HasPrefix(b, []byte{0xef, 0xbb, 0xbf}):
		d.r = 3
	case bytes.HasPrefix(b, []byte{0xff, 0xfe}):
		d.enc, d.r = utf16le, 2
	case bytes.HasPrefix(b, []byte{0xfe, 0xff}):
		d.enc, d.r = utf16be, 2
	default:
		even, odd := 0, 0
		for i, c := range b[:min(len(b), 512)] {
			if c == 0 {
				if i%2 == 0 {
					even++
				} else {
					odd++
				}
			}
		}
		switch n := min(len(b), 512); {
		case odd > even && odd*4 >= n:
			d.enc = utf16le
		case even > odd && even*4 >= n:
			d.enc = utf16be
		}
	}
}

func (d *decoder) change(to encoding) {
	d.enc = to
	if d.changed != nil {
		d.changed()
	}
}

// passOn hands 8-bit text on up to the first zero byte: no such text holds one,
// and in UTF-16 every second byte is one.
func (d *decoder) passOn() {
	b := d.raw[d.r:d.w]
	i := bytes.IndexByte(b, 0)
	if i < 0 {
		n := len(b)
		if d.err == nil && n > 4 {
			n -= 3 // the letter before a zero byte, and a mark before it, belong to what follows
		}
		d.out = append(d.out, b[:n]...)
		d.r += n
		return
	}
	wide := i+2 >= len(b) || b[i+2] == 0
	if !wide {
		d.out = append(append(d.out, b[:i]...), ' ')
		d.r += i + 1
		return
	}
	from, to := i-1, utf16le
	if i == 0 || b[i-1] == '\n' && i+1 < len(b) && b[i+1] >= ' ' {
		from, to = i, utf16be
	}
	text := b[:max(from, 0)]
	text = bytes.TrimSuffix(bytes.TrimSuffix(text, []byte{0xff, 0xfe}), []byte{0xfe, 0xff})
	d.out = append(d.out, text...)
	d.r += max(from, 0)
	d.change(to)
}

// unit gives the i-th unit of b.
func (d *decoder) unit(b []byte, i int) uint16 {
	if d.enc == utf16le {
		return uint16(b[2*i]) | uint16(b[2*i+1])<<8
	}
	return uint16(b[2*i])<<8 | uint16(b[2*i+1])
}

func letter(c byte) bool { return c >= ' ' && c < 0x7f || c == '\n' || c == '\r' || c == '\t' }

// decode turns units into UTF-8 up to where they stop to be units.
func (d *decoder) decode() {
	b := d.raw[d.r:d.w]
	n := len(b) / 2
	stop, pairs, shifted := n, 0, 0
	for i := range n {
		u := d.unit(b, i)
		hi, lo := byte(u>>8), byte(u)
		if letter(hi) && letter(lo) {
			pairs++
		} else {
			pairs = 0
		}
		if lo == 0 && letter(hi) {
			shifted++
		} else {
			shifted = 0
		}
		if pairs == pairRun || shifted == pairRun {
			stop = i + 1 - pairRun
			break
		}
	}
	run := max(pairs, shifted)
	whole := run == pairRun
	if !whole && d.err == nil && run < n {
		stop = n - run // what it is shows with the next bytes
	}
	if stop > 0 && stop == n && d.err == nil && utf16.IsSurrogate(rune(d.unit(b, stop-1))) && stop > 1 {
		stop--
	}
	d.units(b, stop)
	d.r += 2 * stop
	switch {
	case whole && pairs == pairRun:
		d.change(narrow)
	case whole:
		d.r++ // a byte is missing or too many: go on in step again
		d.change(d.enc)
	case d.err != nil && stop == n:
		d.r = d.w // half a unit at the end
	}
}

// units appends the first n units of b.
func (d *decoder) units(b []byte, n int) {
	for i := 0; i < n; i++ {
		u := d.unit(b, i)
		switch {
		case u == 0xfeff: // a mark in the middle: files put together
		case u < 0x80:
			d.out = append(d.out, byte(u))
		case utf16.IsSurrogate(rune(u)):
			r := rune(utf8.RuneError)
			if i+1 < n {
				if r = utf16.DecodeRune(rune(u), rune(d.unit(b, i+1))); r != utf8.RuneError {
					i++
				}
			}
			d.out = utf8.AppendRune(d.out, r)
		default:
			d.out = utf8.AppendRune(d.out, rune(u))
		}
	}
}

// windows1252 holds what the bytes from 0x80 to 0x9f stand for; the others
// are as in Unicode.
const windows1252 = "€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008dŽ\u008f\u0090‘’“”•–—˜™š›œ\u009džŸ"

// fromNarrow gives a piece of 8-bit text as UTF-8. Text that is not UTF-8 is
// windows-1252, unless most of its other characters are UTF-8: then it was cut
// in the middle of one.
func fromNarrow(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	good, bad := 0, 0
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			bad++
		case n > 1:
			good++
		}
		i += n
	}
	if good >= bad {
		return string(bytes.ToValidUTF8(b, []byte("\uFFFD")))
	}
	upper := []rune(windows1252)
	out := make([]byte, 0, len(b)+len(b)/4)
	for _, c := range b {
		switch {
		case c < 0x80:
			out = append(out, c)
		case c < 0xa0:
			out = utf8.AppendRune(out, upper[c-0x80])
		default:
			out = utf8.AppendRune(out, rune(c))
		}
	}
	return string(out)
}
