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
	for i := 0; i < len(value); {
		switch c := value[i]; {
		case isWSP(c):
			space = true
			i++
			continue
		case c == '\n', c == '\r' && i+1 < len(value) && value[i+1] == '\n':
			i++ // unfolding takes the line end only; white space follows it
			continue
		}
		if space && len(to) > start {
			to = append(to, ' ')
		}
		space = false
		end := wordsEnd(value, i)
		to = append(to, value[i:end]...)
		i = end
	}
	return append(to, '\r', '\n')
}

// wordsEnd gives the end of the words from i on that have one space between them, at least
// one byte.
func wordsEnd(value []byte, i int) int {
	end := twoControls(value, i)
	if end < 0 {
		end = len(value)
	}
	for _, c := range []byte{'\t', '\n'} {
		if at := bytes.IndexByte(value[i:end], c); at >= 0 {
			end = i + at
		}
	}
	if end > i && value[end-1] == ' ' {
		end--
	}
	return max(end, i+1)
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

// trimSpace takes folding white space off both ends.
func trimSpace[T []byte | string](b T) T {
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
	bareLF  bool       // an LF without CR was taken as CRLF
	cr      bool       // held back: a CR, the last byte so far
	space   bool       // held back: white space (relaxed)
	begun   bool       // something has been written
	ends    int64      // held back: line ends
	hash    hash.Hash  // where it goes
	limit   int64      // how much of it: l=, or math.MaxInt64
	size    int64      // bytes of the canonical form so far
	scratch [1024]byte // small pieces on their way to the hash, which does not like them
	n       int        // bytes in scratch
}

// newBody gives a canonicaliser. A negative limit is none.
func newBody(c Canonicalization, h hash.Hash, limit int64) *body {
	if limit < 0 {
		limit = math.MaxInt64
	}
	return &body{relaxed: c == Relaxed, hash: h, limit: limit}
}

// again makes it ready for another body.
func (b *body) again(c Canonicalization, limit int64) *body {
	b.hash.Reset()
	*b = *newBody(c, b.hash, limit)
	return b
}

// Write takes a piece of the body. It never fails.
func (b *body) Write(p []byte) (int, error) {
	i := 0
	if b.cr || b.space {
		if i = bytes.IndexByte(p, '\n') + 1; i == 0 {
			i = len(p)
		}
		b.bytes(p[:i])
	}
	if b.relaxed {
		i = b.relaxedLines(p, i)
	} else {
		i = b.simpleLines(p, i)
	}
	b.bytes(p[i:])
	b.flush()
	return len(p), nil
}

// run is a stretch of lines in canonical form that has not been written: whole
// lines but for the line end of the last one.
type run struct {
	start, end int
	crlf       int // line ends seen since start
	inside     int // those of them before end
}

// line takes the line from bol to eol, its CRLF behind it.
func (b *body) line(r *run, bol, eol int) {
	switch {
	case eol > bol && r.end == r.start:
		*r = run{start: bol, end: eol, crlf: 1}
	case eol > bol:
		r.end, r.inside = eol, r.crlf
		r.crlf++
	case r.end == r.start:
		b.ends++
	default:
		r.crlf++
	}
}

// take writes a run, and begins anew. If an LF in it is not of a CRLF, it is
// taken byte by byte instead.
func (b *body) take(r *run, p []byte) {
	if r.end == r.start {
		return
	}
	if text := p[r.start:r.end]; bytes.Count(text, []byte{'\n'}) == r.inside {
		b.lineEnds()
		b.write(text)
	} else {
		b.bytes(text)
	}
	b.ends += int64(r.crlf - r.inside)
	*r = run{}
}

// simpleLines takes whole lines from p[pos:], as long as there are any, and gives the
// position behind the last one.
func (b *body) simpleLines(p []byte, pos int) int {
	var r run
	for {
		i := bytes.IndexByte(p[pos:], '\n')
		if i < 0 {
			break
		}
		lf := pos + i
		if eol := withoutCR(p[pos:lf+1], i) + pos; eol < lf {
			b.line(&r, pos, eol)
		} else {
			b.take(&r, p)
			b.bytes(p[pos : lf+1])
		}
		pos = lf + 1
	}
	b.take(&r, p)
	return pos
}

// relaxedLines does the same for relaxed bodies. It looks at the places where two
// white spaces or control characters are side by side, and at tabs: the first is
// a CRLF, or the line is not in canonical form.
func (b *body) relaxedLines(p []byte, pos int) int {
	var r run
	tab := -1
	for {
		at := twoControls(p, pos)
		if at < 0 { // nor is there a CRLF
			break
		}
		if tab < pos {
			if tab = pos + bytes.IndexByte(p[pos:], '\t'); tab < pos {
				tab = len(p)
			}
		}
		if p[at] == '\r' && p[at+1] == '\n' && tab > at {
			b.line(&r, pos, at)
			pos = at + 2
			continue
		}
		if next := b.spaces(&r, p, pos, at, tab); next > pos {
			pos = next
			continue
		}
		at = min(at, tab)
		lf := bytes.IndexByte(p[at:], '\n')
		if lf < 0 {
			break
		}
		b.take(&r, p)
		b.reduce(p[pos : at+lf+1])
		pos = at + lf + 1
	}
	b.take(&r, p)
	return pos
}

// spaces takes what is before several spaces at p[at:], of a line that begins at pos, and
// gives where the line goes on: at the last of them, for that one counts, or behind the CRLF
// that follows them. It gives pos where there is something else, or their end is not in p.
func (b *body) spaces(r *run, p []byte, pos, at, tab int) int {
	end := at
	for end < len(p) && p[end] == ' ' {
		end++
	}
	switch {
	case end < at+2 || end >= len(p)-1 || tab < end+1 || p[end] == '\n':
		return pos
	case p[end] == '\r' && p[end+1] == '\n':
		b.line(r, pos, at)
		b.take(r, p)
		return end + 2
	case p[end] == '\r':
		return pos
	}
	switch {
	case at == pos: // at the begin of the line
	case r.end == r.start:
		*r = run{start: pos, end: at}
	default:
		r.end, r.inside = at, r.crlf
	}
	b.take(r, p)
	return end - 1
}

// reduce takes a line that is not in canonical form, its LF included. Lines before it may
// end with bare LFs.
func (b *body) reduce(p []byte) {
	if bytes.IndexByte(p, '\n') != len(p)-1 {
		b.bytes(p)
		return
	}
	for i := 0; i < len(p); {
		switch c := p[i]; {
		case isWSP(c):
			b.space = true
			i++
			continue
		case c == '\r' || c == '\n':
			b.bytes(p[i:])
			return
		}
		at := twoControls(p, i)
		if at < 0 {
			at = len(p) - 1
		}
		if tab := bytes.IndexByte(p[i:at], '\t'); tab >= 0 {
			at = i + tab
		}
		at = max(at, i+1) // some other control character
		b.content()
		b.write(p[i:at])
		i = at
	}
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

// twoControls gives the index of the first two bytes side by side that are white space
// or other control characters, from i on, or -1. It looks at eight bytes at a time.
func twoControls(p []byte, i int) int {
	for i+29 <= len(p) {
		q := p[i : i+29]
		v, w, x, y := lowPairs(q), lowPairs(q[7:]), lowPairs(q[14:]), lowPairs(q[21:])
		if v|w|x|y == 0 {
			i += 28
			continue
		}
		low, at := y, 21
		if x != 0 {
			low, at = x, 14
		}
		if w != 0 {
			low, at = w, 7
		}
		if v != 0 {
			low, at = v, 0
		}
		i += at + bits.TrailingZeros64(low)/8
		if p[i+1] <= ' ' {
			return i
		}
		i++
	}
	for ; i+1 < len(p); i++ {
		if p[i] <= ' ' && p[i+1] <= ' ' {
			return i
		}
	}
	return -1
}

// lowPairs marks, in the high bits of the first seven bytes of p, the bytes below '!' that are
// followed by such a byte. By the borrow it also takes a '!' for one if it stands behind one; the
// lowest mark is that of such a byte.
func lowPairs(p []byte) uint64 {
	const exclamation, high = 0x2121212121212121, 0x0080808080808080
	v := binary.LittleEndian.Uint64(p)
	low := (v - exclamation) &^ v
	return low & (low >> 8) & high
}

// unlimited reports whether there is no l=.
func (b *body) unlimited() bool { return b.limit == math.MaxInt64 }

// sum gives the hash, after close.
func (b *body) sum() []byte { return b.hash.Sum(nil) }
