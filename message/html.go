package message

import (
	stdhtml "html"
	"strings"
	"unicode/utf8"
)

// PlainText gives the readable text of HTML: blocks, rows and <br> become line
// ends, paragraphs stand apart by an empty line, cells become tabs; comments,
// styles, scripts and the head's title go. It reads tag by tag and builds no
// tree, so that nesting costs nothing; its time is linear, its result valid
// UTF-8 and no longer than the text that is in the HTML. An address in angle
// brackets that nobody escaped is text.
func PlainText(html string) string {
	t := textWriter{}
	t.out = make([]byte, 0, len(html)/4)
	s := htmlScan{s: html, quotes: true, lastGT: strings.LastIndexByte(html, '>')}
	for s.i < len(s.s) {
		lt := strings.IndexByte(s.s[s.i:], '<')
		if lt < 0 {
			t.text(s.s[s.i:])
			break
		}
		t.text(s.s[s.i : s.i+lt])
		s.i += lt
		if name, closing, ok := s.tag(); ok {
			t.tag(name, closing)
		} else {
			t.text("<")
			s.i++
		}
	}
	return t.String()
}

// htmlScan passes over tags.
type htmlScan struct {
	s      string
	i      int
	lastGT int  // no '>' follows it
	quotes bool // a quoted attribute may hold a '>'
	open   bool // no comment ends from here on
	titled bool // no title ends from here on
}

// tag reads the tag, comment or declaration at s.i and steps behind it; of a
// script, style or title the content too. ok is false if the '<' is text.
func (s *htmlScan) tag() (name string, closing, ok bool) {
	rest := s.s[s.i:]
	if len(rest) < 3 || s.i > s.lastGT {
		return "", false, false
	}
	if rest[1] == '!' || rest[1] == '?' {
		s.comment()
		return "", false, true
	}
	at := 1
	if rest[1] == '/' {
		closing = true
		at = 2
	}
	n := at
	for n < len(rest) && n < at+32 && (isAlnum(rest[n]) || rest[n] == ':' || rest[n] == '-') {
		n++
	}
	if n == at || !isAlnum(rest[at]) || '0' <= rest[at] && rest[at] <= '9' {
		return "", false, false
	}
	if n < len(rest) && !isSpace(rest[n]) && rest[n] != '>' && rest[n] != '/' && rest[n] != '\f' || rest[n-1] == ':' {
		return "", false, false // <user@example.com>, <https://example.com>
	}
	name = lowerTag(rest[at:n])
	s.i += n
	selfClosed := s.skipAttributes()
	if !closing && !selfClosed {
		s.skipContent(name)
	}
	return name, closing, true
}

// comment steps behind a comment or a declaration. Of a comment without an end
// only the mark goes: what follows it is better shown than lost.
func (s *htmlScan) comment() {
	rest := s.s[s.i:]
	if strings.HasPrefix(rest, "<!--") {
		j := -1
		if !s.open {
			j = strings.Index(rest[2:], "-->")
		}
		if j >= 0 {
			s.i += 2 + j + 3
			return
		}
		s.open = true
		s.i += len("<!--")
		return
	}
	s.i += strings.IndexByte(rest, '>') + 1
}

// skipAttributes steps behind the '>' that ends a tag. There is one, by the
// check against lastGT.
func (s *htmlScan) skipAttributes() (selfClosed bool) {
	const most = 2048 // bytes that a quoted '>' may make a tag longer
	gt := s.i + strings.IndexByte(s.s[s.i:], '>')
	if !s.quotes {
		s.i = gt + 1
		return s.s[gt-1] == '/'
	}
	end, limit := gt, min(len(s.s), gt+most)
	var quote byte
	for i := s.i; i < limit; i++ {
		switch c := s.s[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '>':
			s.i = i + 1
			return s.s[i-1] == '/'
		case (c == '"' || c == '\'') && afterEquals(s.s[:i]):
			quote = c
		}
	}
	s.quotes = false // unbalanced: from here on a tag ends at its first '>'
	s.i = end + 1
	return s.s[end-1] == '/'
}

// afterEquals tells whether s ends with an equals sign and perhaps a few blanks.
func afterEquals(s string) bool {
	for n := 0; n < 4 && len(s) > 0; n++ {
		switch c := s[len(s)-1]; {
		case c == '=':
			return true
		case !isSpace(c):
			return false
		}
		s = s[:len(s)-1]
	}
	return false
}

// skipContent steps behind what nobody sees of an element: to its end tag. A
// script or style without one takes the rest with it, a title does not.
func (s *htmlScan) skipContent(name string) {
	if name != "script" && name != "style" && (name != "title" || s.titled) {
		return
	}
	for i := s.i; ; {
		j := strings.Index(s.s[i:], "</")
		if j < 0 {
			break
		}
		i += j + 2
		if len(s.s)-i >= len(name) && strings.EqualFold(s.s[i:i+len(name)], name) {
			s.i = i - 2
			return
		}
	}
	if name == "title" {
		s.titled = true
		return
	}
	s.i = len(s.s)
}

// lowerTag is the name in lower case; no allocation for those that matter.
func lowerTag(s string) string {
	for i := 0; i < len(s); i++ {
		if 'A' <= s[i] && s[i] <= 'Z' {
			return strings.ToLower(s)
		}
	}
	return s
}

// textWriter collects text with white space collapsed.
type textWriter struct {
	out     []byte
	blank   bool // white space is due before the next letter
	breaks  int  // line ends are due before the next letter, at most two
	tabs    int  // cells are due
	cells   int  // cells of the row so far
	fresh   bool // at the start of a cell: blocks in it start no line
	pre     int  // depth of <pre>
	started bool
}

// maxTabs caps the empty cells that are kept in a row.
const maxTabs = 64

func (t *textWriter) tag(name string, closing bool) {
	switch name {
	case "tr", "table", "tbody", "thead", "tfoot":
		if t.cells > 1 { // rows of cells stand line by line, whatever is in the cells
			t.breaks = 0
		}
		t.line(1)
		t.fresh = false
		t.cells = 0
		return
	case "td", "th":
		if !closing {
			t.cell()
		}
		return
	}
	if name == "pre" && !closing {
		t.pre++
	} else if name == "pre" && t.pre > 0 {
		t.pre--
	}
	if t.fresh {
		return
	}
	switch name {
	case "br":
		t.line(t.breaks + 1)
	case "p", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "ul", "ol", "dl", "hr", "pre":
		t.line(2)
	case "div", "li", "caption", "section", "article", "header", "footer", "address",
		"center", "dt", "dd", "form", "fieldset", "option", "body", "html", "head", "main", "nav", "figure", "title":
		t.line(1)
	}
}

// cell starts a cell; a block at the end of the cell before it ends no line.
func (t *textWriter) cell() {
	t.fresh = true
	if t.cells++; t.cells > 1 {
		t.tabs, t.breaks = min(t.tabs+1, maxTabs), 0
	}
}

func (t *textWriter) line(n int) {
	t.breaks = max(t.breaks, min(n, 2))
	t.blank = false
	t.tabs = 0
}

// due writes the white space that is due.
func (t *textWriter) due() {
	switch {
	case !t.started:
	case t.breaks > 0:
		t.out = append(t.out, "\n\n"[:t.breaks]...)
	case t.tabs > 0:
		for range t.tabs {
			t.out = append(t.out, '\t')
		}
	case t.blank:
		t.out = append(t.out, ' ')
	}
	t.started, t.fresh = true, false
	t.blank, t.breaks, t.tabs = false, 0, 0
}

func (t *textWriter) text(s string) {
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '&':
			r, n := entity(s[i:])
			if r == "" { // only an ampersand
				r, n = "&", 1
			}
			t.plain(r)
			i += n
		case t.pre > 0 && isBreak(c):
			t.line(t.breaks + 1)
			i = breakEnd(s, i)
		case isSpace(c) || c == '\f' || c == 0:
			if t.pre > 0 && c != 0 {
				t.due()
				t.out = append(t.out, c)
			} else {
				t.blank = true
			}
			i++
		case c == 0xc2 && i+1 < len(s) && s[i+1] == 0xa0: // no-break space
			t.blank = true
			i += 2
		default:
			j := i + 1
			for j < len(s) && s[j] > ' ' && s[j] != 0xc2 && s[j] != '&' {
				j++
			}
			t.due()
			t.out = append(t.out, s[i:j]...)
			i = j
		}
	}
}

// plain writes what an entity stands for.
func (t *textWriter) plain(s string) {
	if s == "\u00a0" || s == " " || s == "\t" || s == "\n" || s == "\r" {
		t.blank = true
		return
	}
	t.due()
	t.out = append(t.out, s...)
}

// entity reads the character reference that s starts with; "" if it is none. The
// few that mail is full of cost nothing.
func entity(s string) (text string, n int) {
	switch {
	case strings.HasPrefix(s, "&lt;"):
		return "<", 4
	case strings.HasPrefix(s, "&gt;"):
		return ">", 4
	case strings.HasPrefix(s, "&amp;"):
		return "&", 5
	case strings.HasPrefix(s, "&quot;"):
		return `"`, 6
	case strings.HasPrefix(s, "&nbsp;"):
		return "\u00a0", 6
	case strings.HasPrefix(s, "&#39;"):
		return "'", 5
	}
	const longest = 40
	n = 1
	digit := isAlnum
	if strings.HasPrefix(s, "&#") { // a number ends where its digits do, semicolon or not
		n, digit = 2, isDigit
		if n < len(s) && (s[n] == 'x' || s[n] == 'X') {
			n, digit = 3, isHex
		}
	}
	for n < len(s) && n < longest && digit(s[n]) {
		n++
	}
	if n < len(s) && s[n] == ';' {
		n++
	}
	text = stdhtml.UnescapeString(s[:n])
	if text == s[:n] {
		return "", 0
	}
	return text, n
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isHex(c byte) bool { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f' }

func breakEnd(s string, i int) int {
	if s[i] == '\r' && i+1 < len(s) && s[i+1] == '\n' {
		return i + 2
	}
	return i + 1
}

// String ends the text with one line end.
func (t *textWriter) String() string {
	if len(t.out) == 0 {
		return ""
	}
	s := string(append(t.out, '\n'))
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	return s
}
