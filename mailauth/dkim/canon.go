package dkim

import (
	"bytes"
	"encoding/binary"
	"hash"
	"math"
	"math/bits"
)

// Canonicalization is one of the two algorithms of RFC 6376 section 3.4, for
// the header or for the body.
type Canonicalization string

// The algorithms.
const (
	Simple  Canonicalization = "simple"
	Relaxed Canonicalization = "relaxed"
)

// known tells the algorithms that exist; the words are case sensitive.
func (c Canonicalization) known() bool { return c == Simple || c == Relaxed }

// appendField appends a header field in its canonical form, with the CRLF at its
// end (RFC 6376 sections 3.4.1 and 3.4.2). raw is the field as it stands in the
// message.
func appendField(to []byte, c Canonicalization, raw []byte) []byte {
	if c == Relaxed {
		return appendRelaxedField(to, raw)
	}
	for len(raw) > 0 {
		i := bytes.IndexByte(raw, '\n')
		if i < 0 {
			to = append(to, raw...)
			break
		}
		to = append(append(to, raw[:withoutCR(raw, i)]...), '\r', '\n')
		if raw = raw[i+1:]; len(raw) == 0 {
			return to
		}
	}
	return append(to, '\r', '\n')
}

// withoutCR gives the end of a line whose LF is at i: at its CR, or at the LF
// where there is none.
func withoutCR(b []byte, i int) int {
	if i > 0 && b[i-1] == '\r' {
		return i - 1
	}
	return i
}

// appendRelaxedField appends a field's name in lower case, a colon, and its value on
// one line, with each run of white space as one space and none at its ends.
func appendRelaxedField(to, raw []byte) []byte {
	name, value, _ := bytes.Cut(raw, []byte{':'})
	for _, c := range trimSpace(name) {
		to = append(to, lower(c))
	}
	to = append(to, ':')
	start := len(to)
	space := false
	for i := 0; i < len(value); i++ {
		c := value[i]
		switch {
		case isWSP(c):
			space = true
			continue
		case c == '\n', c == '\r' && i+1 < len(value) && value[i+1] == '\n':
			continue // unfolding takes the line end only; white space follows it
		}
		if space && len(to) > start {
			to = append(to, ' ')
		}
		space = false
		to = append(to, c)
	}
	return append(to, '\r', '\n')
}

func isWSP(c byte) bool { return c == ' ' || c == '\t' }

// isFWS tells folding white space where it has been found to be in a proper place.
func isFWS(c byte) bool { return isWSP(c) || c == '\r' || c == '\n' }

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

func trimSpace(b []byte) []byte {
	for len(b) > 0 && isFWS(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && isFWS(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

// body is the canonical form of a body on its way into a hash (RFC 6376
// sections 3.4.3 and 3.4.4), as an io.Writer: a body may come in any pieces.
//
// Bodies are mostly canonical already, so what is canonical is handed to the
// hash where it stands, in long runs, and only what is not is copied. Line ends
// are held back until something follows them, for those at the end of the body
// do not count.
type body struct {
	relaxed bool
	bareLF  bool         // an LF without CR was taken as CRLF
	cr      bool         // held back: a CR, the last byte so far
	space   bool         // held back: white space (relaxed)
	begun   bool         // something has been written
	ends    int64        // held back: line ends
	hash    hash.Hash    // where it goes
	limit   int64        // how much of it: l=, or math.MaxInt64
	size    int64        // bytes of the canonical form so far
	scratch [1024]byte   // small pieces on their way to the hash, which does not like them
	n       int          // bytes in scratch
	look    [2]lookAhead // of the piece that is being written: for a tab, for two spaces
}

// lookAhead remembers where the next trouble is, so that a body without any is
// searched once and not once a line.
type lookAhead struct {
	at   int
	find func(b []byte) int
}

// newBody gives a canonicaliser. A negative limit is none.
func newBody(c Canonicalization, h hash.Hash, limit int64) *body {
	if limit < 0 {
		limit = math.MaxInt64
	}
	b := &body{relaxed: c == Relaxed, hash: h, limit: limit}
	b.look[0].find = func(b []byte) int { return bytes.IndexByte(b, '\t') }
	b.look[1].find = twoSpaces
	return b
}

// Write takes a piece of the body. It never fails.
func (b *body) Write(p []byte) (int, error) {
	b.look[0].at, b.look[1].at = -1, -1
	for i := 0; i < len(p); {
		if !b.cr && !b.space {
			if i = b.lines(p, i); i == len(p) {
				break
			}
		}
		end := len(p)
		if lf := bytes.IndexByte(p[i:], '\n'); lf >= 0 {
			end = i + lf + 1
		}
		b.bytes(p[i:end])
		i = end
	}
	b.flush()
	return len(p), nil
}

// lines takes whole lines from p[pos:], as long as there are any, and gives the
// position behind the last one.
func (b *body) lines(p []byte, pos int) int {
	start, end := pos, pos // what is canonical and not yet written; it ends with an octet that counts
	for pos < len(p) {
		i := bytes.IndexByte(p[pos:], '\n')
		if i < 0 {
			break
		}
		lf := pos + i
		e := withoutCR(p[:lf+1], lf)
		dirty := b.relaxed && e > pos && (isWSP(p[e-1]) || b.next(p, pos) < e)
		switch {
		case e == lf: // no CR
			b.bareLF = true
			b.write(p[start:end])
			b.line(p, pos, e)
			b.ends++
			start, end = lf+1, lf+1
		case dirty:
			b.write(p[start:end])
			b.line(p, pos, e)
			b.ends++
			start, end = lf+1, lf+1
		case e == pos: // empty
			b.ends++
			if start == end {
				start, end = lf+1, lf+1
			}
		case start == end: // begin of a run
			b.lineEnds()
			start, end = pos, e
			b.ends = 1
		default: // the line ends since the run's end stand in p, and will be written with it
			end = e
			b.ends = 1
		}
		pos = lf + 1
	}
	b.write(p[start:end])
	return pos
}

// next gives the position of the next tab or pair of spaces at pos or behind it.
func (b *body) next(p []byte, pos int) int {
	at := len(p)
	for i := range b.look {
		l := &b.look[i]
		if l.at < pos {
			if l.at = l.find(p[pos:]); l.at < 0 {
				l.at = len(p)
			} else {
				l.at += pos
			}
		}
		at = min(at, l.at)
	}
	return at
}

// line writes the content of one line, p[pos:e], reducing its white space
// (relaxed).
func (b *body) line(p []byte, pos, e int) {
	if b.relaxed {
		for e > pos && isWSP(p[e-1]) {
			e--
		}
	}
	if pos == e {
		return
	}
	b.lineEnds()
	if b.relaxed {
		for {
			at := b.next(p, pos)
			if at >= e {
				break
			}
			for at > pos && p[at-1] == ' ' { // of " \t" the tab was found
				at--
			}
			b.write(p[pos:at])
			b.put(" ")
			for pos = at; isWSP(p[pos]); pos++ { // ends before e, where no white space is
			}
		}
	}
	b.write(p[pos:e])
}

// bytes takes what is not a whole line: the ends of a piece, and whatever follows
// something that is held back.
func (b *body) bytes(p []byte) {
	for i := 0; i < len(p); {
		switch c := p[i]; {
		case c == '\n':
			b.bareLF = b.bareLF || !b.cr
			b.cr, b.space = false, false
			b.ends++
			i++
			continue
		case b.cr: // a CR that ends no line is an octet like others
			b.content()
			b.put("\r")
			b.cr = false
		}
		start := i
		for i < len(p) && p[i] != '\r' && p[i] != '\n' && (!b.relaxed || !isWSP(p[i])) {
			i++
		}
		if i > start {
			b.content()
			b.write(p[start:i])
		} else if p[i] == '\r' {
			b.cr = true
			i++
		} else if p[i] != '\n' {
			b.space = true
			i++
		}
	}
}

// content writes what was held back before an octet that counts.
func (b *body) content() {
	b.lineEnds()
	if b.space {
		b.space = false
		b.put(" ")
	}
}

// lineEnds writes the line ends that were held back.
func (b *body) lineEnds() {
	b.begun = true
	for ; b.ends > 0; b.ends-- {
		b.put("\r\n")
	}
}

// write sends octets of the canonical form to the hash.
func (b *body) write(p []byte) {
	p = p[:b.count(len(p))]
	if len(p) > len(b.scratch)-b.n {
		b.flush()
		if len(p) > len(b.scratch)/2 {
			b.hash.Write(p)
			return
		}
	}
	b.n += copy(b.scratch[b.n:], p)
}

// put is write for the few octets that are not of the body itself.
func (b *body) put(s string) {
	s = s[:b.count(len(s))]
	if len(s) > len(b.scratch)-b.n {
		b.flush()
	}
	b.n += copy(b.scratch[b.n:], s)
}

// count counts n more octets and gives how many of them are to be hashed.
func (b *body) count(n int) int {
	rest := b.limit - b.size
	b.size += int64(n)
	return int(min(int64(n), max(rest, 0)))
}

func (b *body) flush() {
	b.hash.Write(b.scratch[:b.n])
	b.n = 0
}

// close writes what the end of the body brings: one line end, even to an empty
// body if it is simple. The hash is complete then.
func (b *body) close() {
	if b.cr {
		b.cr = false
		b.content()
		b.put("\r")
	}
	b.space, b.ends = false, 0
	if b.begun || !b.relaxed {
		b.put("\r\n")
	}
	b.flush()
}

// twoSpaces gives the index of the first pair of spaces, or -1. It looks at
// eight bytes and the eight that begin one later: where a byte is a space in
// both, their distance from eight spaces is zero in both.
func twoSpaces(p []byte) int {
	const spaces, ones, highs = 0x2020202020202020, 0x0101010101010101, 0x8080808080808080
	i := 0
	for ; i+9 <= len(p); i += 8 {
		v := (binary.LittleEndian.Uint64(p[i:]) ^ spaces) | (binary.LittleEndian.Uint64(p[i+1:]) ^ spaces)
		// The lowest zero byte is found exactly, see Warren, Hacker's Delight, section 6-1.
		if zero := (v - ones) &^ v & highs; zero != 0 {
			return i + bits.TrailingZeros64(zero)/8
		}
	}
	for ; i+1 < len(p); i++ {
		if p[i] == ' ' && p[i+1] == ' ' {
			return i
		}
	}
	return -1
}

// unlimited reports whether there is no l=.
func (b *body) unlimited() bool { return b.limit == math.MaxInt64 }

// sum gives the hash, after close.
func (b *body) sum() []byte { return b.hash.Sum(nil) }
