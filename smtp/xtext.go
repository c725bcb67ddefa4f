package smtp

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const upperHex = "0123456789ABCDEF"

// decodeXtext reads xtext, RFC 3461 section 4. Control characters are refused though
// "+0D+0A" is in the grammar: what is decoded goes into reports and logs. UTF-8 may stand as
// it is (RFC 6531 section 3.3 lets it into values); lower-case hex digits are borne.
func decodeXtext(s string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '+' {
			if i+2 >= len(s) {
				return "", false
			}
			n, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
			if err != nil {
				return "", false
			}
			c = byte(n)
			i += 2
		} else if c == '=' || c <= ' ' {
			return "", false
		}
		b.WriteByte(c)
	}
	return b.String(), isText(b.String())
}

// appendXtext encodes quotes and backslashes too, which it need not: Exim looks for the end of the
// address from the end of the command and takes a quote in a parameter for a local part's.
func appendXtext(b []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c <= ' ' || c == '+' || c == '=' || c == '"' || c == '\\' || c == 0x7f {
			b = append(b, '+', upperHex[c>>4], upperHex[c&15])
		} else {
			b = append(b, c)
		}
	}
	return b
}

// decodeUnitext reads utf-8-addr-xtext and utf-8-addr-unitext, RFC 6533 section 3:
// characters as they are, or as \x{HEX}.
func decodeUnitext(s string) (string, bool) {
	var b strings.Builder
	for s != "" {
		if strings.HasPrefix(s, `\x{`) {
			hex, rest, ok := strings.Cut(s[3:], "}")
			n, err := strconv.ParseUint(hex, 16, 32)
			if !ok || err != nil || len(hex) > 6 || n > unicode.MaxRune || !utf8.ValidRune(rune(n)) {
				return "", false
			}
			b.WriteRune(rune(n))
			s = rest
			continue
		}
		if s[0] == '\\' || s[0] == '=' || s[0] <= ' ' {
			return "", false
		}
		b.WriteByte(s[0])
		s = s[1:]
	}
	return b.String(), isText(b.String())
}

// appendUnitext writes the form that needs no SMTPUTF8 on the way.
func appendUnitext(b []byte, s string) []byte {
	for _, r := range s {
		if r > ' ' && r < 0x7f && r != '+' && r != '=' && r != '\\' {
			b = append(b, byte(r))
			continue
		}
		b = append(b, `\x{`...)
		hex := strings.ToUpper(strconv.FormatInt(int64(r), 16))
		if len(hex) < 2 {
			b = append(b, '0')
		}
		b = append(append(b, hex...), '}')
	}
	return b
}

func isControlRune(r rune) bool { return unicode.IsControl(r) }

// isText tells UTF-8 without control characters.
func isText(s string) bool { return utf8.ValidString(s) && strings.IndexFunc(s, isControlRune) < 0 }
