package message

import (
	"bytes"
	"strings"
)

// knownTypes spares an allocation for the media types that mail is made of.
var knownTypes = [...]string{
	"text/plain", "text/html", "text/rfc822-headers", "text/calendar",
	"multipart/report", "multipart/mixed", "multipart/alternative", "multipart/related",
	"multipart/signed", "multipart/digest",
	"message/rfc822", "message/delivery-status", "message/global", "message/global-delivery-status",
	"message/global-headers", "message/rfc822-headers", "message/feedback-report",
	"message/disposition-notification", "message/partial", "message/external-body",
	"application/octet-stream", "application/pdf", "image/png", "image/jpeg", "image/gif",
}

// mediaTypeOf reads the type of a Content-Type value. What is no type is
// text/plain, as RFC 2045 section 5.2 has it.
func mediaTypeOf(v []byte) string {
	v = skipComment(v)
	n := 0
	for n < len(v) && v[n] != ';' && v[n] != '(' && v[n] != ',' && !isSpace(v[n]) {
		n++
	}
	t := bytes.Trim(v[:n], `"'`)
	for _, k := range knownTypes {
		if equalFold(t, k) {
			return k
		}
	}
	slash := bytes.IndexByte(t, '/')
	if slash <= 0 || slash == len(t)-1 || len(t) > 200 || bytes.IndexByte(t[slash+1:], '/') >= 0 {
		if equalFold(t, "html") {
			return "text/html"
		}
		return "text/plain"
	}
	for _, c := range t {
		if c <= ' ' || c >= 0x7f {
			return "text/plain"
		}
	}
	return strings.ToLower(string(t))
}

func skipComment(v []byte) []byte {
	for {
		for len(v) > 0 && isSpace(v[0]) {
			v = v[1:]
		}
		if len(v) == 0 || v[0] != '(' {
			return v
		}
		n := commentEnd(v)
		if n == 0 {
			return v
		}
		v = v[n:]
	}
}

// maxComment is how far the end of a comment is looked for: without a bound, a
// row of brackets that do not close would be gone over once for each.
const maxComment = 2000

// commentEnd is the length of the comment (RFC 5322 section 3.2.2) that v starts
// with, 0 if it does not end.
func commentEnd[T []byte | string](v T) int {
	depth := 0
	for i := 0; i < min(len(v), maxComment); i++ {
		switch v[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return 0
}

// nestOf tells the types whose body is a message or the header of one.
func nestOf(mediaType string, h Header) nest {
	switch mediaType {
	case "message/rfc822", "message/global", "message/news":
		return nestMessage
	case "message/partial": // RFC 2046 section 5.2.2: the first piece has the header
		if n := h.Param("Content-Type", "number"); n == "" || n == "1" {
			return nestMessage
		}
	case "text/rfc822-headers", "message/rfc822-headers", "message/global-headers", "text/rfc822-header":
		return nestHeader
	}
	return nestNone
}

// transferEncoding reads Content-Transfer-Encoding: lower case, without "x-"
// and what may stand round it.
func transferEncoding(h Header) string {
	i := h.find("Content-Transfer-Encoding", 0)
	if i < 0 {
		return ""
	}
	v := skipComment(h.rawValue(i))
	n := 0
	for n < len(v) && v[n] != ';' && v[n] != '(' && v[n] != ',' && !isSpace(v[n]) {
		n++
	}
	v = bytes.Trim(v[:n], `"'`)
	if hasPrefixFold(v, "x-") {
		v = v[2:]
	}
	for _, k := range [...]string{"7bit", "8bit", "binary", encBase64, encQP, encUU} {
		if equalFold(v, k) {
			return k
		}
	}
	switch {
	case equalFold(v, "uue"), equalFold(v, "uu"):
		return encUU
	case equalFold(v, "quotedprintable"), equalFold(v, "quoted_printable"), equalFold(v, "qp"):
		return encQP
	case equalFold(v, "base-64"), equalFold(v, "b64"):
		return encBase64
	}
	return strings.ToLower(string(v[:min(len(v), 40)]))
}

// boundaryOf reads the boundary parameter; nil if there is none.
func boundaryOf(ct []byte) []byte {
	b := bytes.TrimRight(rawParam(ct, "boundary"), " \t\r\n")
	if len(b) == 0 {
		if s := param(ct, "boundary"); s != "" { // boundary*0=
			b = []byte(s)
		}
	}
	if len(b) == 0 || len(b) > 4*maxBoundary {
		return nil
	}
	return b
}

// nextParam reads one "name=value" at the start of v, behind the semicolon. ok
// is false at the end of v.
func nextParam(v []byte) (name, value, rest []byte, ok bool) {
	for {
		v = skipComment(v)
		if len(v) == 0 {
			return nil, nil, nil, false
		}
		if v[0] == ';' {
			v = v[1:]
			continue
		}
		n := 0
		for n < len(v) && v[n] != '=' && v[n] != ';' && v[n] != '"' {
			n++
		}
		if n == len(v) {
			return nil, nil, nil, false
		}
		if v[n] != '=' { // no parameter: pass over it
			v = v[n+1:]
			continue
		}
		name = bytes.TrimSpace(v[:n])
		if i := bytes.LastIndexAny(name, " \t\r\n"); i >= 0 {
			name = name[i+1:] // junk, or a missing semicolon in front
		}
		value, rest = paramValue(skipComment(v[n+1:]))
		return name, value, rest, true
	}
}

// paramValue reads a quoted or bare value. A bare one goes to the semicolon,
// whatever it holds, but for a comment and for a further parameter whose
// semicolon is missing.
func paramValue(v []byte) (value, rest []byte) {
	if len(v) > 0 && v[0] == '"' {
		for i := 1; i < len(v); i++ {
			switch v[i] {
			case '\\':
				i++
			case '"':
				return unquote(v[1:i]), v[i+1:]
			}
		}
		if i := bytes.IndexAny(v, "\r\n"); i > 0 { // a quote that does not end: one line at most
			return bytes.TrimRight(v[1:i], "; \t"), v[i:]
		}
		if i := bytes.IndexByte(v, ';'); i > 0 {
			return v[1:i], v[i:]
		}
		return v[1:], nil
	}
	n := bytes.IndexByte(v, ';')
	if n < 0 {
		n = len(v)
	}
	value, rest = v[:n], v[n:]
	for i := 0; i < len(value); i++ {
		if !isSpace(value[i]) {
			continue
		}
		j := i
		for j < len(value) && isSpace(value[j]) {
			j++
		}
		if j < len(value) && (value[j] == '(' || isParamName(value[j:])) {
			rest = v[j:]
			value = value[:i]
			break
		}
		i = j
	}
	value = bytes.TrimSpace(value)
	if len(value) >= 2 && value[0] == '\'' && value[len(value)-1] == '\'' {
		value = value[1 : len(value)-1]
	}
	return value, rest
}

// isParamName tells whether v starts with a token and an equals sign.
func isParamName(v []byte) bool {
	n := 0
	for n < len(v) && n < 40 && (isAlnum(v[n]) || v[n] == '-' || v[n] == '*') {
		n++
	}
	return n > 1 && n+1 < len(v) && v[n] == '='
}

// unquote takes backslashes and folds out of a quoted string. Without any it is
// b itself.
func unquote(b []byte) []byte {
	if bytes.IndexByte(b, '\\') < 0 && bytes.IndexByte(b, '\n') < 0 && bytes.IndexByte(b, '\r') < 0 {
		return b
	}
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] == '\\' && i+1 < len(b) {
			i++
		} else if isBreak(b[i]) {
			continue
		}
		out = append(out, b[i])
	}
	return out
}

// maxParams is how much of a field is searched for parameters, in bytes.
const maxParams = 32 << 10

// params steps behind the value itself.
func params(v []byte) []byte {
	v = v[:min(len(v), maxParams)]
	if i := bytes.IndexByte(v, ';'); i >= 0 {
		return v[i:]
	}
	if i := bytes.IndexAny(v, " \t\r\n,"); i >= 0 { // a missing semicolon
		return v[i+1:]
	}
	return nil
}

// rawParam is the parameter as written, without RFC 2231.
func rawParam(v []byte, name string) []byte {
	for v = params(v); ; {
		n, value, rest, ok := nextParam(v)
		if !ok {
			return nil
		}
		if equalFold(n, name) {
			return value
		}
		v = rest
	}
}

// maxSegments caps the pieces of one parameter (RFC 2231 section 3).
const maxSegments = 1000

// param is the parameter of that name, put together and decoded after RFC 2231.
func param(v []byte, name string) string {
	var plain []byte
	var segs map[int]segment
	most := -1
	for v = params(v); ; {
		n, value, rest, ok := nextParam(v)
		if !ok {
			break
		}
		v = rest
		if !hasPrefixFold(n, name) {
			continue
		}
		tail := n[len(name):]
		if len(tail) == 0 {
			if plain == nil {
				plain = append([]byte{}, value...)
			}
			continue
		}
		num, coded, ok := segmentNumber(tail)
		if !ok {
			continue
		}
		if segs == nil {
			segs = make(map[int]segment)
		}
		if _, dup := segs[num]; !dup {
			segs[num] = segment{value, coded}
			most = max(most, num)
		}
	}
	if segs == nil {
		return validText(plain)
	}
	charset, out := "", []byte(nil)
	for i := 0; i <= most; i++ {
		s, ok := segs[i]
		if !ok {
			break
		}
		if s.coded && i == 0 {
			if q := bytes.SplitN(s.value, []byte("'"), 3); len(q) == 3 {
				charset, s.value = string(q[0]), q[2]
			}
		}
		if s.coded {
			s.value = unpercent(s.value)
		}
		out = append(out, s.value...)
	}
	if out == nil {
		return validText(plain)
	}
	return textOf(out, charset, len(out)*4)
}

type segment struct {
	value []byte
	coded bool
}

// segmentNumber reads "*", "*N" or "*N*".
func segmentNumber(tail []byte) (n int, coded, ok bool) {
	if tail[0] != '*' {
		return 0, false, false
	}
	if tail = tail[1:]; len(tail) == 0 {
		return 0, true, true
	}
	i := 0
	for i < len(tail) && i < 4 && '0' <= tail[i] && tail[i] <= '9' {
		n = n*10 + int(tail[i]-'0')
		i++
	}
	if i == 0 || n >= maxSegments {
		return 0, false, false
	}
	coded = i+1 == len(tail) && tail[i] == '*'
	return n, coded, coded || i == len(tail)
}

func unpercent(b []byte) []byte {
	if bytes.IndexByte(b, '%') < 0 {
		return b
	}
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] == '%' && i+2 < len(b) && unhex(b[i+1]) >= 0 && unhex(b[i+2]) >= 0 {
			out = append(out, byte(unhex(b[i+1])<<4|unhex(b[i+2])))
			i += 2
			continue
		}
		out = append(out, b[i])
	}
	return out
}

// validText makes a header's bytes valid UTF-8.
func validText(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	return guess(b, len(b)*4)
}
