package message

import "bytes"

// lines finds line ends in b. It remembers how far ahead the next LF is, so
// that a mail with bare CRs, or one of a single long line, is searched once and
// not once a line.
type lines struct {
	b        []byte
	from, lf int // there is no LF in b[from:lf]; lf is len(b) if none follows
	work     int // bytes that were looked at: the tests of linear time count them
}

// at gives, for the line that starts at i, the end of its content and the start
// of the next line.
func (l *lines) at(i int) (end, next int) {
	if i >= len(l.b) {
		return len(l.b), len(l.b)
	}
	if isBreak(l.b[i]) {
		l.work++
		return i, afterBreak(l.b, i)
	}
	if l.lf == 0 || i < l.from || i > l.lf {
		l.from = i
		if n := bytes.IndexByte(l.b[i:], '\n'); n >= 0 {
			l.lf = i + n
		} else {
			l.lf = len(l.b)
		}
		l.work += l.lf - i
	}
	cr := bytes.IndexByte(l.b[i:l.lf], '\r')
	if cr < 0 {
		l.work += l.lf - i
		return l.lf, min(l.lf+1, len(l.b))
	}
	l.work += cr + 1
	end = i + cr
	return end, afterBreak(l.b, end)
}

// afterBreak gives the index behind the line end that starts at i: LF, CR,
// CR LF, or CR CR LF. Without one there it is i.
func afterBreak(b []byte, i int) int {
	if i >= len(b) {
		return i
	}
	if b[i] == '\n' {
		return i + 1
	}
	if b[i] != '\r' {
		return i
	}
	if i+1 < len(b) && b[i+1] == '\n' {
		return i + 2
	}
	if i+2 < len(b) && b[i+1] == '\r' && b[i+2] == '\n' {
		return i + 3
	}
	return i + 1
}

// beforeBreak gives the index at which the line end that stops at i starts;
// without one there it is i. It does not go below from.
func beforeBreak(b []byte, from, i int) int {
	if i <= from {
		return i
	}
	switch b[i-1] {
	case '\r':
		return i - 1
	case '\n':
		i--
		if i > from && b[i-1] == '\r' {
			i--
			if i > from && b[i-1] == '\r' {
				i--
			}
		}
	}
	return i
}

func isBreak(c byte) bool { return c == '\n' || c == '\r' }
func isBlank(c byte) bool { return c == ' ' || c == '\t' }
func isSpace(c byte) bool { return isBlank(c) || isBreak(c) }

// trimSpace narrows r to what is not white space at its ends.
func trimSpace(b []byte, from, to int) (int, int) {
	for from < to && isSpace(b[from]) {
		from++
	}
	for to > from && isSpace(b[to-1]) {
		to--
	}
	return from, to
}

// lower gives the ASCII lower case of c.
func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// equalFold compares ASCII text without regard to case.
func equalFold(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i := range b {
		if lower(b[i]) != lower(s[i]) {
			return false
		}
	}
	return true
}

// hasPrefixFold reports whether b starts with s, without regard to case.
func hasPrefixFold(b []byte, s string) bool {
	return len(b) >= len(s) && equalFold(b[:len(s)], s)
}
