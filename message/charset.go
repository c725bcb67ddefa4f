package message

import (
	"bytes"
	"errors"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/unicode/utf32"
	"golang.org/x/text/transform"
)

// byteOrderMark is U+FEFF in UTF-8.
const byteOrderMark = "\xef\xbb\xbf"

// textOf turns bytes in the declared charset into valid UTF-8 with LF line
// ends, at most about limit bytes. A charset that is unknown, or that the bytes
// belie, is guessed.
func textOf(b []byte, charset string, limit int) string {
	switch charsetName(charset) {
	case "", "us-ascii", "utf-8":
		b = bytes.TrimPrefix(b, []byte(byteOrderMark))
		if len(b) <= limit && utf8.Valid(b) && (bytes.IndexByte(b, 0x1b) < 0 || !isISO2022JP(b)) {
			return normalLines(b) // by far the most; copied once
		}
	}
	return cutText(normalLines(decodeCharset(b, charset, limit)), limit)
}

func decodeCharset(b []byte, charset string, limit int) string {
	switch name := charsetName(charset); name {
	case "", "utf-8", "us-ascii":
		if bytes.IndexByte(b, 0x1b) >= 0 && name != "utf-8" && isISO2022JP(b) {
			return decodeWith(japanese.ISO2022JP, b, limit)
		}
		return guess(b, limit)
	case "utf-7":
		return decodeUTF7(b, limit)
	case "utf-16", "utf-16le", "utf-16be":
		return decodeUTF16(b, name, limit)
	case "iso-2022-kr":
		return orUTF8(korean.EUCKR, shifted(b, "\x1b$)C"), limit)
	case "iso-2022-cn":
		return orUTF8(simplifiedchinese.GB18030, shifted(b, "\x1b$)A"), limit)
	default:
		enc := lookup(name)
		if enc == nil {
			return guess(b, limit)
		}
		return orUTF8(enc, b, limit)
	}
}

// charsetName brings the names that mail uses into the form in which they are
// looked up.
func charsetName(s string) string {
	s = strings.ToLower(strings.Trim(strings.TrimSpace(s), `"'`))
	if i := strings.IndexByte(s, '*'); i >= 0 { // RFC 2231 section 5, language
		s = s[:i]
	}
	switch s {
	case "utf8", "unicode-1-1-utf-8", "x-utf-8", "utf-8-mac", "utf8mb4", "utf-8n", "cp65001":
		return "utf-8"
	case "ascii", "ansi_x3.4-1968", "iso646-us", "us", "7bit", "8bit", "binary", "unknown-8bit", "x-unknown", "unknown", "default", "x-user-defined", "iso-ir-6", "none":
		return "us-ascii"
	case "unicode-1-1-utf-7", "x-unicode-1-1-utf-7", "unicode-2-0-utf-7", "csunicode11utf7", "utf7", "x-utf-7":
		return "utf-7"
	case "utf16", "unicode", "ucs-2", "iso-10646-ucs-2", "csunicode":
		return "utf-16"
	case "utf16le", "unicodefffe", "ucs-2le":
		return "utf-16le"
	case "utf16be", "unicodefeff", "ucs-2be":
		return "utf-16be"
	case "csiso2022kr":
		return "iso-2022-kr"
	case "iso-2022-cn-ext":
		return "iso-2022-cn"
	}
	return s
}

// lookup finds the charset of that name; nil if nobody knows it.
func lookup(name string) encoding.Encoding {
	switch name {
	case "hz-gb-2312", "hz":
		return simplifiedchinese.HZGB2312 // htmlindex gives the replacement encoding
	case "gb2312", "gb_2312-80", "csgb2312", "x-gbk", "gbk", "cp936", "ms936", "windows-936", "euc-cn":
		return simplifiedchinese.GB18030 // a superset of each
	case "ks_c_5601", "ks_c_5601-1987", "ks_c_5601-1989", "ks_c_5601_1987", "cp949", "ms949", "uhc", "x-windows-949", "ksc5601", "ksc_5601", "euc_kr":
		return korean.EUCKR
	case "iso-2022-jp-1", "iso-2022-jp-2", "iso-2022-jp-3", "iso-2022-jp-ms", "cp50220", "cp50221", "cp50222", "_iso-2022-jp$esc", "jis":
		return japanese.ISO2022JP
	case "cp932", "ms932", "x-ms-cp932", "sjis", "shift-jis", "windows-932", "x-sjis-cp932":
		return japanese.ShiftJIS
	case "eucjp", "x-eucjp", "euc_jp", "cp51932", "eucjp-ms":
		return japanese.EUCJP
	case "utf-32", "utf32":
		return utf32.UTF32(utf32.BigEndian, utf32.UseBOM)
	case "utf-32le":
		return utf32.UTF32(utf32.LittleEndian, utf32.IgnoreBOM)
	case "utf-32be":
		return utf32.UTF32(utf32.BigEndian, utf32.IgnoreBOM)
	case "cp-850", "850":
		return charmap.CodePage850
	case "437":
		return charmap.CodePage437
	case "ansi", "windows-ansi", "iso8859_1", "8859_1", "latin-1", "iso-8859", "iso_8859":
		return charmap.Windows1252
	case "replacement", "iso-2022-cn":
		return nil
	}
	if enc, err := htmlindex.Get(name); err == nil && enc != encoding.Replacement {
		return enc
	}
	for _, ix := range [...]*ianaindex.Index{ianaindex.MIME, ianaindex.IANA} {
		if enc, err := ix.Encoding(name); err == nil && enc != nil {
			return enc
		}
	}
	if rest, ok := strings.CutPrefix(name, "x-"); ok {
		return lookup(rest)
	}
	if rest, ok := strings.CutPrefix(name, "cp"); ok && len(rest) == 4 {
		return lookup("windows-" + rest)
	}
	if rest, ok := strings.CutPrefix(name, "iso8859-"); ok {
		return lookup("iso-8859-" + rest)
	}
	return nil
}

// decodeWith decodes piece by piece, so that the limit bounds memory too.
func decodeWith(enc encoding.Encoding, b []byte, limit int) string {
	var out strings.Builder
	out.Grow(min(len(b)+len(b)/8, limit) + 16)
	dec := enc.NewDecoder()
	var buf [2048]byte
	for out.Len() < limit {
		n, used, err := dec.Transform(buf[:], b, true)
		out.Write(buf[:n])
		b = b[used:]
		if !errors.Is(err, transform.ErrShortDst) || n == 0 && used == 0 {
			break
		}
	}
	return strings.ToValidUTF8(out.String(), "\uFFFD")
}

// guess reads bytes as UTF-8, or, where they are not, as windows-1252. A text
// that is UTF-8 but for a few bytes (cut, or mended by a gateway) stays UTF-8.
func guess(b []byte, limit int) string {
	b = bytes.TrimPrefix(b, []byte(byteOrderMark))
	if len(b) > limit {
		b = b[:limit]
		for n := 0; n < 3 && len(b) > 0 && !utf8.Valid(b[max(0, len(b)-4):]) && b[len(b)-1] >= 0x80; n++ {
			b = b[:len(b)-1]
		}
	}
	if utf8.Valid(b) {
		return string(b)
	}
	good, bad := 0, 0
	for i := 0; i < len(b); {
		if b[i] < utf8.RuneSelf {
			i++
			continue
		}
		if r, n := utf8.DecodeRune(b[i:]); r != utf8.RuneError || n > 1 {
			good++
			i += n
		} else {
			bad++
			i++
		}
	}
	if good > 2*bad {
		return strings.ToValidUTF8(string(b), "\uFFFD")
	}
	return decodeWith(charmap.Windows1252, b, limit)
}

// orUTF8 decodes with enc, unless the text was recoded into UTF-8 on its way and
// its header left as it was. One-byte charsets can hold anything, but no text
// in them comes out as UTF-8 by chance; the others show it by not decoding.
func orUTF8(enc encoding.Encoding, b []byte, limit int) string {
	utf8 := looksUTF8(b)
	if _, oneByte := enc.(*charmap.Charmap); oneByte && utf8 {
		return guess(b, limit)
	}
	s := decodeWith(enc, b, limit)
	if utf8 && strings.ContainsRune(s, '\uFFFD') {
		return guess(b, limit)
	}
	return s
}

// looksUTF8 tells text outside of ASCII that is UTF-8 beyond doubt.
func looksUTF8(b []byte) bool {
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return utf8.Valid(b)
		}
	}
	return false
}

func isISO2022JP(b []byte) bool {
	return bytes.Contains(b, []byte("\x1b$B")) || bytes.Contains(b, []byte("\x1b$@"))
}

// shifted turns a seven-bit charset with SO and SI into its eight-bit form
// (RFC 1557, RFC 1922; of the latter the GB 2312 part alone).
func shifted(b []byte, designator string) []byte {
	out := make([]byte, 0, len(b))
	high := false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == 0x1b && bytes.HasPrefix(b[i:], []byte(designator)):
			i += len(designator) - 1
		case c == 0x0e:
			high = true
		case c == 0x0f:
			high = false
		case isBreak(c):
			high = false
			out = append(out, c)
		case high && c > ' ' && c < 0x7f:
			out = append(out, c|0x80)
		default:
			out = append(out, c)
		}
	}
	return out
}

// decodeUTF7 decodes RFC 2152.
func decodeUTF7(b []byte, limit int) string {
	var out strings.Builder
	out.Grow(min(len(b), limit))
	var units []uint16
	for i := 0; i < len(b) && out.Len() < limit; {
		c := b[i]
		i++
		if c != '+' {
			if c < utf8.RuneSelf {
				out.WriteByte(c)
			} else {
				out.WriteRune(utf8.RuneError)
			}
			continue
		}
		if i < len(b) && b[i] == '-' {
			out.WriteByte('+')
			i++
			continue
		}
		units = units[:0]
		var acc uint32
		bits, start := 0, i
		for i < len(b) && base64Value[b[i]] < 64 {
			acc = acc<<6 | uint32(base64Value[b[i]])
			if bits += 6; bits >= 16 {
				bits -= 16
				units = append(units, uint16(acc>>bits))
			}
			i++
		}
		if i == start {
			out.WriteByte('+') // not a shift
			continue
		}
		for _, r := range utf16.Decode(units) {
			out.WriteRune(r)
		}
		if i < len(b) && b[i] == '-' {
			i++
		}
	}
	return out.String()
}

// decodeUTF16 decodes UTF-16 of a body. Without a mark and a declared order,
// the zero bytes of Latin text tell it; else it is big-endian (RFC 2781).
func decodeUTF16(b []byte, name string, limit int) string {
	order := byteOrder(b)
	switch {
	case len(b) >= 2 && (b[0] == 0xff && b[1] == 0xfe || b[0] == 0xfe && b[1] == 0xff):
	case name == "utf-16le":
		order = littleEndian
	case name == "utf-16be":
		order = bigEndian
	case order == 0:
		if bytes.IndexByte(b, 0) < 0 && utf8.Valid(b) {
			return guess(b, limit) // declared so, never recoded
		}
		order = bigEndian
	}
	return string(utf16ToUTF8(b[:min(len(b), limit)], order))
}

// The byte orders of UTF-16.
const (
	bigEndian    = 1
	littleEndian = 2
)

// byteOrder tells the byte order of UTF-16 text by its mark, or by the zeros
// that Latin letters leave; 0 if neither is there.
func byteOrder(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch {
	case b[0] == 0xff && b[1] == 0xfe:
		return littleEndian
	case b[0] == 0xfe && b[1] == 0xff:
		return bigEndian
	}
	n := min(len(b), 64) &^ 1
	even, odd := 0, 0
	for i := 0; i < n; i += 2 {
		if b[i] == 0 && b[i+1] != 0 {
			even++
		}
		if b[i+1] == 0 && b[i] != 0 {
			odd++
		}
	}
	switch {
	case odd*10 >= n/2*9:
		return littleEndian
	case even*10 >= n/2*9:
		return bigEndian
	}
	return 0
}

// utf16Order tells whether a whole mail is in UTF-16: 0 if not.
func utf16Order(raw []byte) int {
	if len(raw) < 8 {
		return 0
	}
	if bytes.IndexByte(raw[:8], 0) < 0 && !(raw[0] == 0xff && raw[1] == 0xfe) && !(raw[0] == 0xfe && raw[1] == 0xff) {
		return 0
	}
	return byteOrder(raw)
}

// utf16ToUTF8 recodes; what is no UTF-16 becomes U+FFFD. The mark goes.
func utf16ToUTF8(b []byte, order int) []byte {
	unit := func(i int) rune {
		if i+1 >= len(b) {
			return -1
		}
		if order == littleEndian {
			return rune(b[i]) | rune(b[i+1])<<8
		}
		return rune(b[i])<<8 | rune(b[i+1])
	}
	each := func(f func(rune)) {
		for i := 0; i < len(b); i += 2 {
			r := unit(i)
			switch {
			case i == 0 && r == 0xfeff:
				continue
			case r < 0:
				r = utf8.RuneError
			case utf16.IsSurrogate(r):
				if r = utf16.DecodeRune(r, max(unit(i+2), 0)); r != utf8.RuneError {
					i += 2
				}
			}
			f(r)
		}
	}
	size := 0
	each(func(r rune) { size += utf8.RuneLen(r) })
	out := make([]byte, 0, size)
	each(func(r rune) { out = utf8.AppendRune(out, r) })
	return out
}

// normalLines turns every line end into LF.
func normalLines[T string | []byte](s T) string {
	i := 0
	for i < len(s) && s[i] != '\r' {
		i++
	}
	if i == len(s) {
		return string(s)
	}
	var out strings.Builder
	out.Grow(len(s))
	from := 0
	for i < len(s) {
		if s[i] != '\r' {
			i++
			continue
		}
		out.WriteString(string(s[from:i]))
		out.WriteByte('\n')
		switch {
		case i+1 < len(s) && s[i+1] == '\n':
			i += 2
		case i+2 < len(s) && s[i+1] == '\r' && s[i+2] == '\n':
			i += 3
		default:
			i++
		}
		from = i
	}
	out.WriteString(string(s[from:]))
	return out.String()
}

// cutText cuts s to limit bytes, not inside of a character.
func cutText(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}
