package mailauth

import (
	"strconv"
	"strings"
)

// lineWidth is the length that lines should not pass (RFC 5322 section 2.1.1).
const lineWidth = 78

// String gives the field body by the grammar of RFC 8601 section 2.2, folded
// with CRLF, without the field name and without a final line end; the first
// line leaves room for the longer of the two field names. Parse reads back
// what it gave, as long as that is not over MaxField.
//
// What the grammar cannot say (a method or result that is no keyword) is left
// out, and control characters become spaces: no value can end the field. Results
// without an authserv-id, or properties without a type, as Microsoft writes
// them, are written as they were read.
func (r Results) String() string {
	w := writer{col: len("ARC-Authentication-Results: ")}
	r.write(&w)
	return w.b.String()
}

// Append appends the whole field with its name ("Authentication-Results"; of an
// ARC set "ARC-Authentication-Results") and its final CRLF.
func (r Results) Append(b []byte) []byte {
	name := "Authentication-Results: "
	if r.instance() > 0 {
		name = "ARC-" + name
	}
	w := writer{col: len(name)}
	r.write(&w)
	b = append(b, name...)
	b = append(b, w.b.String()...)
	return append(b, "\r\n"...)
}

func (r Results) instance() int {
	if r.Instance < 1 || r.Instance > maxInstance {
		return 0
	}
	return r.Instance
}

func (r Results) write(w *writer) {
	sep := ""
	if n := r.instance(); n > 0 {
		w.piece("i=" + strconv.Itoa(n))
		sep = ";"
	}
	var methods []MethodResult
	for _, m := range r.Methods {
		m.Method, m.Result = Method(strings.ToLower(string(m.Method))), Result(strings.ToLower(string(m.Result)))
		if m.valid() && len(methods) < MaxMethods {
			methods = append(methods, m)
		}
	}
	if r.AuthServID != "" || len(methods) == 0 {
		w.glue(sep)
		w.piece(value(text(r.AuthServID), false))
		if isVersion(r.Version) && r.AuthServID != "" {
			w.piece(r.Version)
		}
		sep = ";"
	}
	if len(methods) == 0 {
		w.glue(sep)
		w.piece("none") // no-result
		return
	}
	for i, m := range methods {
		w.glue(sep)
		sep = ";"
		if i > 0 || r.AuthServID != "" {
			w.newLine()
		}
		m.write(w)
	}
}

func (m MethodResult) write(w *writer) {
	name := string(m.Method)
	if isVersion(m.Version) {
		name += "/" + m.Version
	}
	w.piece(name + "=" + string(m.Result))
	if c := clipComment(clean(m.Comment)); c != "" {
		w.comment(c)
	}
	if reason := text(m.Reason); reason != "" {
		w.piece("reason=" + value(reason, true))
	}
	for i, p := range m.Properties {
		p.Type, p.Name = strings.ToLower(p.Type), strings.ToLower(p.Name)
		if i >= MaxProperties || !p.valid() {
			continue
		}
		w.piece(p.Key() + "=" + value(text(p.Value), true))
	}
}

// valid tells whether the property can be written so that it is read again.
func (p Property) valid() bool {
	if p.Type != "" {
		return isKeyword(p.Type) && isName(p.Name)
	}
	return isKeyword(p.Name) && p.Name != "reason" && !beginsResult(p.Name, p.Value)
}

// text makes a value safe: one line, valid UTF-8, bounded.
func text(s string) string { return clip(clean(s), MaxValue) }

// value writes a value: as it is where the grammar allows, otherwise as a quoted
// string. Addresses are only pvalues.
func value(s string, address bool) string {
	if isToken(s) || address && isAddress(s) {
		return s
	}
	var b strings.Builder
	b.WriteByte('"')
	for i := 0; i < len(s); i++ {
		if s[i] == '"' || s[i] == '\\' {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	b.WriteByte('"')
	return b.String()
}

// isToken tells the token of RFC 2045 section 5.1; characters outside ASCII are
// allowed (RFC 8601 section 1.5.2, RFC 6532).
func isToken(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c <= ' ' || c == 0x7f || strings.IndexByte(`()<>@,;:\"/[]?=`, c) >= 0 {
			return false
		}
	}
	return s != ""
}

// isAddress tells "[local-part]@domain", the second form of a pvalue.
func isAddress(s string) bool {
	at := strings.LastIndexByte(s, '@')
	if at < 0 || !isToken(s[at+1:]) {
		return false
	}
	local := s[:at]
	if n := len(local); n >= 2 && local[0] == '"' && local[n-1] == '"' {
		for i := 1; i < n-1; i++ {
			switch local[i] {
			case '\\':
				if i++; i == n-1 {
					return false
				}
			case '"':
				return false
			}
		}
		return true
	}
	for i := 0; i < len(local); i++ {
		if c := local[i]; !isAlnum(c) && c < 0x80 && strings.IndexByte("!#$%&'*+-/=?^_`{|}~.", c) < 0 {
			return false
		}
	}
	return true
}

// writer puts pieces on lines.
type writer struct {
	b   strings.Builder
	col int
}

// piece writes s after a space, on a new line where this one is full.
func (w *writer) piece(s string) {
	switch n := w.b.Len(); {
	case n > 0 && w.col+1+len(s)+len(";") > lineWidth:
		w.newLine()
		w.b.WriteByte(' ')
		w.col++
	case n > 0:
		w.b.WriteByte(' ')
		w.col++
	}
	w.b.WriteString(s)
	w.col += len(s)
}

// glue writes s behind the last piece.
func (w *writer) glue(s string) {
	w.b.WriteString(s)
	w.col += len(s)
}

// newLine folds; what comes next begins with a space.
func (w *writer) newLine() {
	if w.b.Len() > 0 {
		w.b.WriteString("\r\n")
		w.col = 0
	}
}

// comment writes c in brackets. Brackets in it stay as they are where they
// match, for people read comments.
func (w *writer) comment(c string) {
	special := `\()`
	if matched(c) {
		special = `\`
	}
	var b strings.Builder
	b.WriteByte('(')
	for i := 0; i < len(c); i++ {
		if strings.IndexByte(special, c[i]) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(c[i])
	}
	b.WriteByte(')')
	for word := range strings.SplitSeq(b.String(), " ") {
		w.piece(word)
	}
}

func matched(c string) bool {
	depth := 0
	for i := 0; i < len(c) && depth >= 0; i++ {
		switch c[i] {
		case '(':
			depth++
		case ')':
			depth--
		}
	}
	return depth == 0
}
