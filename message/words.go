package message

import (
	"strings"
	"unicode/utf8"
)

// DecodeWords decodes the encoded words of RFC 2047 in s. It takes them where
// they are in practice: inside of quotes, without white space between, longer
// than 75 characters, with blanks inside, without padding, with a character cut
// in two between words of one charset. What is none stays as it is. The result
// is valid UTF-8.
func DecodeWords(s string) string {
	if !strings.Contains(s, "=?") {
		if utf8.ValidString(s) {
			return s
		}
		return guess([]byte(s), len(s)*4)
	}
	var out strings.Builder
	out.Grow(len(s))
	var pend []byte // decoded bytes of words of one charset in a row
	charset := ""
	flush := func() {
		if len(pend) > 0 {
			out.WriteString(decodeCharset(pend, charset, len(pend)*4))
			pend = pend[:0]
		}
	}
	ends := len(s) - strings.LastIndex(s, "?=") // counted from the end of s
	after := false                              // a word came right before, blanks between words go
	for len(s) > 0 {
		i := strings.Index(s, "=?")
		if i < 0 {
			break
		}
		if left := len(s) - i; left < ends {
			break // no word ends behind this
		}
		w, n := encodedWord(s[i:])
		if n == 0 {
			flush()
			writeValid(&out, s[:i+2])
			s, after = s[i+2:], false
			continue
		}
		if between := s[:i]; !after || strings.Trim(between, " \t\r\n") != "" {
			flush()
			writeValid(&out, between)
		}
		if charset != w.charset {
			flush()
			charset = w.charset
		}
		pend = w.decode(pend)
		s, after = s[i+n:], true
	}
	flush()
	writeValid(&out, s)
	return out.String()
}

func writeValid(out *strings.Builder, s string) {
	if utf8.ValidString(s) {
		out.WriteString(s)
		return
	}
	out.WriteString(guess([]byte(s), len(s)*4))
}

type word struct {
	charset, text string
	q             bool
}

// encodedWord reads an encoded word at the start of s, which starts with "=?";
// n is its length, 0 if it is none.
func encodedWord(s string) (w word, n int) {
	const most = 60 // of a charset's name
	i := 2
	for i < len(s) && i < most && s[i] > ' ' && s[i] != '?' {
		i++
	}
	if i == 2 || i+2 >= len(s) || s[i] != '?' || s[i+2] != '?' {
		return word{}, 0
	}
	switch s[i+1] {
	case 'q', 'Q':
		w.q = true
	case 'b', 'B':
	default:
		return word{}, 0
	}
	w.charset = s[2:i]
	rest := s[i+3:]
	end := strings.Index(rest, "?=")
	for w.q && end >= 0 && isEscapedMark(rest[end:]) {
		end += 2 + strings.Index(rest[end+2:], "?=")
	}
	if end < 0 {
		return word{}, 0
	}
	w.text = rest[:end]
	return w, i + 3 + end + 2
}

// isEscapedMark tells whether the "?=" that s starts with is not the end of a Q
// word but a bare question mark in front of an escape, as in "now?=20Or_later?=":
// then the word goes on without white space to a "?=" not far away.
func isEscapedMark(s string) bool {
	if len(s) < 4 || unhex(s[2]) < 0 || unhex(s[3]) < 0 {
		return false
	}
	s = s[2:min(len(s), 80)]
	end := strings.Index(s, "?=")
	return end > 0 && !strings.ContainsAny(s[:end], " \t\r\n") && !strings.Contains(s[:end], "=?")
}

// decode appends the bytes of the word.
func (w word) decode(out []byte) []byte {
	if !w.q {
		return append(out, decodeBase64([]byte(w.text), len(w.text))...)
	}
	for i := 0; i < len(w.text); i++ {
		switch c := w.text[i]; {
		case c == '_':
			out = append(out, ' ')
		case c == '=' && i+2 < len(w.text) && unhex(w.text[i+1]) >= 0 && unhex(w.text[i+2]) >= 0:
			out = append(out, byte(unhex(w.text[i+1])<<4|unhex(w.text[i+2])))
			i += 2
		case isBreak(c):
		default:
			out = append(out, c)
		}
	}
	return out
}
