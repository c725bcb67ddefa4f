package mailauth

import (
	"errors"
	"strconv"
	"strings"
)

// The bounds of a field. What is over them is left out, never an error.
const (
	MaxField      = 16 << 10 // bytes that are read
	MaxMethods    = 50
	MaxProperties = 32 // of one result
	MaxValue      = 480
	MaxComment    = 1 << 10
	maxKeyword    = 64
	maxInstance   = 50 // RFC 8617 section 4.2.1
	maxOpen       = 8  // brackets and quotation marks that nothing closes, before all are taken as text
)

// ErrNoResults is what Parse says of a field in which nothing stands.
var ErrNoResults = errors.New("read authentication results: neither an authserv-id nor a result")

// Parse reads the body of an Authentication-Results or
// ARC-Authentication-Results field, folded or not. It takes what receivers
// write: comments and white space anywhere (RFC 8601 section 2.2), no
// authserv-id and properties without a type (Microsoft), results without their
// semicolon, properties in a part of their own (Yahoo), brackets that nothing
// closes. What is no result is left out. The error is ErrNoResults or nil.
func Parse(field string) (Results, error) {
	p := parser{s: clean(field), first: true, cur: -1}
	for {
		p.space()
		if p.at == len(p.s) {
			break
		}
		if p.s[p.at] == ';' {
			p.at++
			p.endPart()
			continue
		}
		p.take(p.word())
	}
	if p.res.AuthServID == "" && len(p.res.Methods) == 0 {
		return Results{}, ErrNoResults
	}
	return p.res, nil
}

// clean bounds a field, unfolds it (RFC 5322 section 2.2.3) and makes every
// other control character a space, so that nothing read here can end a line
// where it is written again.
func clean(s string) string {
	s = clip(s, MaxField)
	plain := true
	for i := 0; i < len(s) && plain; i++ {
		plain = s[i] >= ' ' && s[i] < 0x7f
	}
	if plain {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '\r' || c == '\n' {
			j := i + 1
			if c == '\r' && j < len(s) && s[j] == '\n' {
				j++
			}
			if j < len(s) && (s[j] == ' ' || s[j] == '\t') {
				i = j - 1
				continue
			}
		}
		if c < ' ' || c == 0x7f {
			c = ' '
		}
		b.WriteByte(c)
	}
	return strings.ToValidUTF8(b.String(), "\uFFFD")
}

// parser reads a field from left to right.
type parser struct {
	s    string
	at   int
	open int // brackets and quotation marks found without an end
	res  Results

	first   bool   // in the part of the authserv-id
	cur     int    // index of the result that the part is about, -1 before it began
	skip    bool   // the part began with something that is no result: its properties are nobody's
	pending string // a comment before the result that it belongs to
}

// word is "key=value", or a word without "=".
type word struct {
	text   string // the key, or the word
	quoted bool   // text was in quotation marks
	pair   bool
	value  string
}

func (p *parser) endPart() {
	// After "i=1;" the authserv-id is still to come.
	p.first = p.first && p.res.Instance > 0 && p.res.AuthServID == "" && len(p.res.Methods) == 0 && !p.skip
	p.cur, p.skip, p.pending = -1, false, ""
}

// space skips white space and comments, and keeps the first comment.
func (p *parser) space() (skipped bool) {
	from := p.at
	for p.at < len(p.s) {
		switch p.s[p.at] {
		case ' ':
			p.at++
			continue
		case '(':
			if c, end, ok := p.comment(); ok {
				p.note(c)
				p.at = end
				continue
			}
		}
		break
	}
	return p.at > from
}

func (p *parser) note(c string) {
	if p.cur >= 0 {
		if m := &p.res.Methods[p.cur]; m.Comment == "" {
			m.Comment = c
		}
	} else if p.pending == "" {
		p.pending = c
	}
}

// comment reads the comment that begins here: its text without the outer
// brackets and without quoting, and where it ends.
func (p *parser) comment() (text string, end int, ok bool) {
	if p.open >= maxOpen {
		return "", 0, false
	}
	depth, escaped := 0, false
	for i := p.at; i < len(p.s); i++ {
		switch p.s[i] {
		case '\\':
			escaped = true
			i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				text = p.s[p.at+1 : i]
				if escaped {
					text = unescape(text)
				}
				return clipComment(text), i + 1, true
			}
		}
	}
	p.open++
	return "", 0, false
}

// quoted finds the end of the quoted string that begins at i.
func (p *parser) quoted(i int) (end int, ok bool) {
	if p.open >= maxOpen {
		return 0, false
	}
	for j := i + 1; j < len(p.s); j++ {
		switch p.s[j] {
		case '\\':
			j++
		case '"':
			return j + 1, true
		}
	}
	p.open++
	return 0, false
}

// run reads text up to white space, a comment, the end of the part or, in a key,
// "=". One quoted string and nothing else is given without its quotation marks.
func (p *parser) run(key bool) (text string, quoted bool) {
	from, whole := p.at, -1
	for p.at < len(p.s) {
		switch c := p.s[p.at]; {
		case c == ' ' || c == ';' || key && c == '=':
			return p.cut(from, whole)
		case c == '(':
			if _, _, ok := p.comment(); ok {
				return p.cut(from, whole)
			}
		case c == '"':
			if end, ok := p.quoted(p.at); ok {
				if p.at == from {
					whole = end
				}
				p.at = end
				continue
			}
		}
		p.at++
	}
	return p.cut(from, whole)
}

func (p *parser) cut(from, whole int) (text string, quoted bool) {
	if whole == p.at {
		return unescape(p.s[from+1 : p.at-1]), true
	}
	return p.s[from:p.at], false
}

// word reads the next word; p stands neither on white space nor on ";".
func (p *parser) word() word {
	var w word
	w.text, w.quoted = p.run(true)
	id := p.first && p.res.AuthServID == "" // may end in a dot and be followed by anything
	for !w.quoted && len(w.text) < MaxValue {
		p.space()
		if p.at == len(p.s) || p.s[p.at] == ';' || p.s[p.at] == '=' {
			break
		}
		// "dkim / 1 = pass" and "smtp . mailfrom = x".
		if c, last := p.s[p.at], w.text[max(len(w.text)-1, 0):]; c != '/' && c != '.' && last != "/" && last != "." || id {
			break
		}
		more, _ := p.run(true)
		w.text += more
	}
	p.space()
	if p.at == len(p.s) || p.s[p.at] != '=' {
		return w
	}
	p.at++
	w.pair = true
	if p.space() && p.pairFollows() {
		return w // "smtp.mailfrom= header.from=x": the value is empty
	}
	w.value, _ = p.run(false)
	return w
}

// pairFollows tells whether "key=" stands here, with a key that cannot be meant
// as a value.
func (p *parser) pairFollows() bool {
	n := strings.IndexAny(p.s[p.at:], "= ;(\"")
	if n < 0 || p.s[p.at+n] != '=' {
		return false
	}
	key := strings.ToLower(p.s[p.at : p.at+n])
	kind, name, dotted := strings.Cut(key, ".")
	if dotted {
		switch kind {
		case "smtp", "header", "policy", "body", "dns":
			return isName(name)
		}
		return false
	}
	return key == "reason" || key == "action" || Method(key).Known()
}

// take puts a word where it belongs.
func (p *parser) take(w word) {
	if !w.pair {
		if p.first && p.cur < 0 && !p.skip {
			switch {
			case p.res.AuthServID == "":
				p.res.AuthServID = clip(w.text, MaxValue)
			case p.res.Version == "" && isVersion(w.text):
				p.res.Version = w.text
			}
		}
		return
	}
	if w.quoted {
		return
	}
	key := strings.ToLower(w.text)
	value := clip(w.value, MaxValue)
	if p.first && key == "i" && p.res.AuthServID == "" && p.cur < 0 {
		if n, err := strconv.Atoi(value); err == nil && n > 0 && n <= maxInstance && isVersion(value) {
			p.res.Instance = n
			return
		}
	}
	kind, name, dotted := strings.Cut(key, ".")
	switch {
	case key == "reason":
		if m := p.about(); m != nil && m.Reason == "" {
			m.Reason = value
		}
	case dotted:
		if kind != "" {
			p.property(Property{kind, name, value})
		}
	case p.cur < 0 || beginsResult(key, value):
		p.begin(key, value)
	default:
		p.property(Property{"", key, value})
	}
}

// beginsResult tells whether "key=value" is a result although no semicolon stands
// before it: some forget it.
func beginsResult(key, value string) bool {
	return Method(key).Known() && Result(strings.ToLower(value)).Known()
}

// about gives the result that a property belongs to: that of its part, or the
// one before where the part has none.
func (p *parser) about() *MethodResult {
	at := p.cur
	if at < 0 {
		at = len(p.res.Methods) - 1
	}
	if at < 0 || p.skip {
		return nil
	}
	return &p.res.Methods[at]
}

func (p *parser) property(prop Property) {
	m := p.about()
	if m == nil || len(m.Properties) >= MaxProperties || !isName(prop.Name) || prop.Type != "" && !isKeyword(prop.Type) {
		return
	}
	m.Properties = append(m.Properties, prop)
}

// begin takes "method[/version]=result".
func (p *parser) begin(key, value string) {
	key, version, _ := strings.Cut(key, "/")
	m := MethodResult{Method: Method(key), Result: Result(strings.TrimRight(strings.ToLower(value), ",."))}
	if isVersion(version) {
		m.Version = version
	}
	if !m.valid() && !m.Method.Known() && !p.skip && isKeyword(key) && len(p.res.Methods) > 0 {
		p.property(Property{"", key, value}) // Amazon: "; client-ip=192.0.2.1; helo=mail.example"
		return
	}
	if !m.valid() || len(p.res.Methods) >= MaxMethods {
		p.cur, p.skip = -1, true
		return
	}
	m.Comment, p.pending = p.pending, ""
	p.res.Methods = append(p.res.Methods, m)
	p.cur, p.skip = len(p.res.Methods)-1, false
}

// valid tells whether the method and result can be written so that they are
// read again. "i" is the instance of an ARC set, "reason" a word of the grammar.
func (m MethodResult) valid() bool {
	return isKeyword(string(m.Method)) && isKeyword(string(m.Result)) && m.Method != "i" && m.Method != "reason"
}

// unescape takes the quoting out of a comment or a quoted string.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// clip cuts s to n bytes, not inside a character.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xc0 == 0x80 {
		n--
	}
	return s[:n]
}

// clipComment gives a comment with single spaces, cut to MaxComment, and before
// the first word that would not go on a line when it is written.
func clipComment(s string) string {
	var b strings.Builder
	for w := range strings.FieldsFuncSeq(s, func(r rune) bool { return r == ' ' }) {
		if len(w) > MaxValue || b.Len()+1+len(w) > MaxComment {
			break
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(w)
	}
	return b.String()
}
