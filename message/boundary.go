package message

import "bytes"

// nextDelimiter finds the next boundary line of an open multipart at or behind
// pos: where it starts, where the next line starts, the frame that it belongs
// to, and whether it is the end line.
func (w *walk) nextDelimiter(pos int) (start, next, k int, end, ok bool) {
	b := w.src
	from := pos
	defer func() { w.work += pos - from }()
	for pos < len(b) {
		i := bytes.Index(b[pos:], []byte("--"))
		if i < 0 {
			pos = len(b)
			break
		}
		i += pos
		if i == w.base || isBreak(b[i-1]) {
			if k, next, end, ok = w.match(i); ok {
				return i, next, k, end, true
			}
		}
		for pos = i + 2; pos < len(b) && b[pos] == '-'; {
			pos++
		}
	}
	return 0, 0, 0, false, false
}

// isDelimiter tells whether the line at i is a boundary line of any open
// multipart.
func (w *walk) isDelimiter(i int) bool {
	_, _, _, ok := w.match(i)
	return ok
}

// match compares the line at i with the boundaries that are open, the innermost
// first: a line that is not exactly a boundary (but for white space behind it,
// RFC 2046 section 5.1.1) is none, so that one boundary may be the start of
// another.
func (w *walk) match(i int) (k, next int, end, ok bool) {
	line := w.src[i:]
	if len(line) < 3 || line[1] != '-' {
		return 0, 0, false, false
	}
	for k := len(w.stack) - 1; k >= 0; k-- {
		bd := w.stack[k].boundary
		if bd == nil || !bytes.HasPrefix(line[2:], bd) {
			continue
		}
		at := 2 + len(bd)
		if n, ok := restBlank(line, at); ok {
			return k, i + n, false, true
		}
		if at+1 < len(line) && line[at] == '-' && line[at+1] == '-' {
			if n, ok := restBlank(line, at+2); ok {
				return k, i + n, true, true
			}
		}
	}
	return 0, 0, false, false
}

// restBlank tells whether nothing but blanks follows from at to the end of the
// line, and where the next line starts.
func restBlank(b []byte, at int) (next int, ok bool) {
	for at < len(b) && isBlank(b[at]) {
		at++
	}
	if at < len(b) && !isBreak(b[at]) {
		return 0, false
	}
	return afterBreak(b, at), true
}

// maxBoundary is above the 70 characters of RFC 2046 that nobody keeps to.
const maxBoundary = 250

// boundaryAt takes the line at i, which starts with "--", for a boundary line
// if a field of a body part follows it.
func boundaryAt(b []byte, i int) (boundary []byte, ok bool) {
	end := i + 2
	for end < len(b) && !isBreak(b[end]) && end-i-2 <= maxBoundary {
		end++
	}
	next := afterBreak(b, end)
	if next == end || !hasPrefixFold(b[next:], "content-") {
		return nil, false
	}
	for end > i+2 && isBlank(b[end-1]) {
		end--
	}
	if end == i+2 {
		return nil, false
	}
	return b[i+2 : end : end], true
}

// sniffBoundary finds a line from pos on that can only be a boundary line.
func sniffBoundary(b []byte, pos int) []byte {
	base := pos
	for pos < len(b) {
		i := bytes.Index(b[pos:], []byte("--"))
		if i < 0 {
			return nil
		}
		i += pos
		if i == base || isBreak(b[i-1]) {
			if bd, ok := boundaryAt(b, i); ok {
				return bd
			}
		}
		for pos = i + 2; pos < len(b) && b[pos] == '-'; {
			pos++
		}
	}
	return nil
}
