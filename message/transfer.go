package message

import (
	"bytes"
	"encoding/base64"
)

// The transfer encodings that change the bytes (RFC 2045 section 6).
const (
	encBase64 = "base64"
	encQP     = "quoted-printable"
	encUU     = "uuencode"
)

// isCoded tells whether the bytes of a body differ from its content.
func isCoded(encoding string) bool {
	return encoding == encBase64 || encoding == encQP || encoding == encUU
}

// undo takes off a transfer encoding, at most limit bytes. What does not decode
// stays as it is.
func undo(b []byte, encoding string, limit int) []byte {
	switch encoding {
	case encBase64:
		if !looksCoded(b, encoding) {
			break
		}
		return decodeBase64(b, limit)
	case encQP:
		return decodeQP(b, limit)
	case encUU:
		if out, ok := decodeUU(b, limit); ok {
			return out
		}
	}
	return b[:min(len(b), limit)]
}

// looksCoded tells whether a body is in the encoding that it claims: reports
// claim base64 for text that they put there in clear.
func looksCoded(b []byte, encoding string) bool {
	const sample = 4096
	head := b[:min(len(b), sample)]
	switch encoding {
	case encBase64:
		if startsBase64(head) {
			return true
		}
		junk, blank, n := 0, 0, 0
		for i, c := range head {
			switch {
			case c == '-' && i > 0 && isBreak(head[i-1]) && i+1 < len(head) && head[i+1] == '-':
				return (junk+blank)*10 <= n // the next boundary line
			case base64Value[c] < 64, c == '=':
				n++
			case isBreak(c):
			case isBlank(c):
				if i > 0 && i+1 < len(head) && base64Value[head[i-1]] < 64 && base64Value[head[i+1]] < 64 {
					blank++
				}
			default:
				junk++
			}
		}
		return (junk+blank)*10 <= n
	case encQP:
		for i, c := range head {
			if c == '-' && i > 0 && isBreak(head[i-1]) && i+1 < len(head) && head[i+1] == '-' {
				return true
			}
			if c != '=' || i+2 >= len(head) {
				continue
			}
			if !isSpace(head[i+1]) && (unhex(head[i+1]) < 0 || unhex(head[i+2]) < 0) {
				return false
			}
		}
	}
	return true
}

// startsBase64 tells whether the first line is of base64 beyond doubt: long,
// whole quanta, nothing else in it.
func startsBase64(b []byte) bool {
	const least = 20
	for len(b) > 0 && isSpace(b[0]) {
		b = b[1:]
	}
	n := 0
	for n < len(b) && base64Value[b[n]] <= 64 {
		n++
	}
	for end := n; ; end++ {
		if end == len(b) || isBreak(b[end]) {
			return n >= least && n%4 == 0
		}
		if !isBlank(b[end]) {
			return false
		}
	}
}

// base64Value maps a byte to its six bits, to 64 for padding, to 255 otherwise.
var base64Value = func() (t [256]byte) {
	for i := range t {
		t[i] = 255
	}
	for i, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/" {
		t[c] = byte(i)
	}
	t['='] = 64
	return t
}()

// decodeBase64 decodes what decodes: junk is passed over, a quantum may be cut,
// lines that are mostly no base64 (the footer that a list added) do not count.
func decodeBase64(b []byte, limit int) []byte {
	full := base64.StdEncoding.DecodedLen(len(b))
	if full <= limit {
		out := make([]byte, full)
		if n, err := base64.StdEncoding.Decode(out, b); err == nil {
			return out[:n]
		}
	}
	out := make([]byte, 0, min(full, limit)+3)
	var acc uint32
	bits := 0
	padded := false
	ln := lines{b: b}
	for i := 0; i < len(b) && len(out) < limit; {
		end, next := ln.at(i)
		line := b[i:end]
		i = next
		if !isBase64Line(line, padded) {
			continue
		}
		for _, c := range line {
			switch v := base64Value[c]; {
			case v < 64:
				acc = acc<<6 | uint32(v)
				if bits += 6; bits >= 8 {
					bits -= 8
					out = append(out, byte(acc>>bits))
				}
			case v == 64: // pieces that were coded one by one may follow
				acc, bits, padded = 0, 0, true
			}
		}
	}
	return out[:min(len(out), limit)]
}

// isBase64Line tells whether a line is worth decoding. Behind padding it must be
// whole quanta, or else a word of prose would pass.
func isBase64Line(line []byte, padded bool) bool {
	good, junk := 0, 0
	for i, c := range line {
		switch {
		case base64Value[c] <= 64:
			good++
		case !isBlank(c) || i > 0 && i < len(line)-1 && !isBlank(line[i-1]):
			junk++
		}
	}
	if padded && (good%4 != 0 || junk > 0) {
		return false
	}
	return junk*4 <= good
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'A' <= c && c <= 'F':
		return int(c - 'A' + 10)
	case 'a' <= c && c <= 'f':
		return int(c - 'a' + 10)
	}
	return -1
}

// decodeQP decodes quoted-printable (RFC 2045 section 6.7): blanks at line ends
// go, a soft line break may have blanks behind it, hex may be in lower case, an
// escape that is none stays as it is.
func decodeQP(b []byte, limit int) []byte {
	if bytes.IndexByte(b, '=') < 0 && len(b) <= limit {
		return b
	}
	out := make([]byte, 0, min(len(b), limit))
	for i := 0; i < len(b) && len(out) < limit; {
		c := b[i]
		switch {
		case c == '=':
			if i+2 < len(b) && unhex(b[i+1]) >= 0 && unhex(b[i+2]) >= 0 {
				out = append(out, byte(unhex(b[i+1])<<4|unhex(b[i+2])))
				i += 3
				continue
			}
			if next, ok := restBlank(b, i+1); ok {
				i = next
				continue
			}
			out = append(out, c)
			i++
		case isBlank(c):
			j := i
			for j < len(b) && isBlank(b[j]) {
				j++
			}
			if j == len(b) || !isBreak(b[j]) {
				out = append(out, b[i:j]...)
			}
			i = j
		default:
			out = append(out, c)
			i++
		}
	}
	return out[:min(len(out), limit)]
}

// decodeUU decodes uuencode, the lines between "begin" and "end". ok is false
// without a begin line.
func decodeUU(b []byte, limit int) (out []byte, ok bool) {
	ln := lines{b: b}
	i := 0
	for {
		if i >= len(b) {
			return nil, false
		}
		end, next := ln.at(i)
		line := b[i:end]
		i = next
		if bytes.HasPrefix(line, []byte("begin ")) {
			break
		}
	}
	out = make([]byte, 0, min(limit, (len(b)-i)*3/4))
	for i < len(b) && len(out) < limit {
		end, next := ln.at(i)
		line := b[i:end]
		i = next
		if string(line) == "end" || len(line) == 0 {
			if len(line) == 0 {
				continue
			}
			break
		}
		out = uuLine(out, line)
	}
	return out[:min(len(out), limit)], true
}

func uuLine(out, line []byte) []byte {
	n := int(line[0]-' ') & 63
	line = line[1:]
	at := func(i int) byte {
		if i >= len(line) {
			return 0 // blanks at the end of the line were lost
		}
		return (line[i] - ' ') & 63
	}
	for i := 0; n > 0 && i < len(line); i += 4 {
		a, b, c, d := at(i), at(i+1), at(i+2), at(i+3)
		q := [3]byte{a<<2 | b>>4, b<<4 | c>>2, c<<6 | d}
		out = append(out, q[:min(n, 3)]...)
		n -= 3
	}
	return out
}
