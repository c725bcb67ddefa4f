package bounce

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// notice is the text of a notification, prepared for reading: one form of
// quotation marks and spaces, cut where the returned message begins.
type notice struct {
	text     string // up to the returned message
	low      string // the same in lower case, ASCII only: offsets agree
	returned string // what followed the separator, with its mark
	lines    []line
	hits     []hit
	foot     []span // the stretches that are no part of the report
	format   string // by the words that only one program has
	mark     string // these words, or else those that introduce the recipients
	delay    int    // how many phrases say that it is still being tried
	sure     bool   // one of them says so whatever else is said
	final    int    // how many say that it is over
}

// line is one line of a notice.
type line struct {
	from, to int // without its line end
	first    int // the first byte that is no blank; to, if there is none
}

func (l line) blank() bool { return l.first == l.to }
func (l line) indent() int { return l.first - l.from }

// readNotice prepares a text.
func readNotice(text string) *notice {
	text = cutText(text, MaxText)
	n := &notice{text: joinWrapped(plainMarks(text))}
	n.lines = splitLines(n.text)
	if at := n.bareHeader(); at >= 0 { // before the phrases are looked for: there is much text behind it
		n.cut(at)
	}
	n.low = lower(n.text)
	n.hits = phrases().find(n.low, make([]hit, 0, 32))
	for i := range n.hits {
		h := &n.hits[i]
		if (h.class == clsSeparator || h.class == clsSeparatorLine) && n.separates(h) {
			n.cut(n.lineAt(h.from).from)
			break
		}
	}
	n.foot = n.footers()
	for _, h := range n.hits {
		switch h.class {
		case clsDelay:
			n.delay++
			n.sure = n.sure || h.detail == "sure"
		case clsFinal:
			n.final++
		case clsList, clsAddress:
			if n.mark == "" {
				n.mark = n.text[h.from:h.to]
			}
		case clsFormat:
			if n.format == "" || n.format == "generic" && h.detail != "generic" {
				n.format, n.mark = h.detail, n.text[h.from:h.to]
			}
		}
	}
	return n
}

// cut takes the returned message off, which begins with the line at index at.
func (n *notice) cut(at int) {
	n.returned = n.text[at:] + n.returned
	n.text = n.text[:at]
	if n.low != "" {
		n.low = n.low[:at]
	}
	for i := range n.lines {
		if n.lines[i].from >= at {
			n.lines = n.lines[:i]
			break
		}
	}
	for i := range n.hits {
		if n.hits[i].from >= at {
			n.hits = n.hits[:i]
			break
		}
	}
}

// lower lowers ASCII letters and those of two bytes that have a small form of
// two bytes: the Latin ones of Europe, Greek and Cyrillic. Offsets stay true.
// Warnings are written in capitals, and sentences begin with one ("Échec").
func lower(s string) string {
	s = asciiLower(s)
	var b []byte
	for i := 0; i+1 < len(s); i++ {
		c, d := s[i], s[i+1]
		if c < 0xc3 || c > 0xd0 {
			continue
		}
		switch {
		case c == 0xc3 && 0x80 <= d && d <= 0x9e && d != 0x97: // À-Þ
			d += 0x20
		case (c == 0xc4 || c == 0xc5) && 0x80 <= d && d <= 0xb6: // Ā-Ŷ, in pairs
			if r := rune(c&0x1f)<<6 | rune(d&0x3f); r != 0x130 && unicode.IsUpper(r) && r != 0x178 {
				if d++; d > 0xbf {
					continue
				}
			}
		case c == 0xc5 && (d == 0xb9 || d == 0xbb || d == 0xbd): // Ź Ż Ž
			d++
		case c == 0xce && 0x91 <= d && d <= 0x9f: // Α-Ο
			d += 0x20
		case c == 0xce && 0xa0 <= d && d <= 0xa9: // Π-Ω
			c, d = 0xcf, d-0x20
		case c == 0xd0 && 0x90 <= d && d <= 0x9f: // А-П
			d += 0x20
		case c == 0xd0 && 0xa0 <= d && d <= 0xaf: // Р-Я
			c, d = 0xd1, d-0x20
		default:
			continue
		}
		if b == nil {
			b = []byte(s)
		}
		b[i], b[i+1] = c, d
		i++
	}
	if b == nil {
		return s
	}
	return string(b)
}

// cutText gives the first n bytes of s, less what would be half a character.
func cutText(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

func splitLines(s string) []line {
	lines := make([]line, 0, 1+strings.Count(s, "\n"))
	for from := 0; from < len(s); {
		to := len(s)
		if i := strings.IndexByte(s[from:], '\n'); i >= 0 {
			to = from + i
		}
		first := from
		for first < to && (s[first] == ' ' || s[first] == '\t') {
			first++
		}
		lines = append(lines, line{from, to, first})
		from = to + 1
	}
	return lines
}

// typography maps the marks of word processors and of other languages to plain
// ones: Exchange writes "couldn’t", German reports quote „so“, French ones put
// narrow spaces in front of colons.
var typography = strings.NewReplacer(
	"\u2018", "'", "\u2019", "'", "\u201a", "'", "\u201b", "'", "\u2032", "'",
	"\u201c", `"`, "\u201d", `"`, "\u201e", `"`, "\u00ab", `"`, "\u00bb", `"`,
	"\u00a0", " ", "\u202f", " ", "\u2009", " ", "\u3000", " ",
	"\u200b", "", "\u200e", "", "\u200f", "", "\ufeff", "", "\u2022", "*", "\u00b7", "*",
	"\uff1c", "<", "\uff1e", ">", "\uff1a", ":", "\uff20", "@",
	"\r", "", "\x00", "",
)

func plainMarks(s string) string {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c == 0xe2 || c == 0xc2 || c == 0xe3 || c == 0xef || c == '\r' || c == 0 {
			return typography.Replace(s)
		}
	}
	return s
}

// hitAt gives the index of the first hit that begins at or behind i.
func (n *notice) hitAt(i int) int {
	at, _ := slices.BinarySearchFunc(n.hits, i, func(h hit, i int) int { return h.from - i })
	return at
}

func (n *notice) lineAt(i int) line { return n.lines[n.lineIndex(i)] }

// lineIndex gives the line that holds index i of the text.
func (n *notice) lineIndex(i int) int {
	lo, hi := 0, len(n.lines)
	for lo+1 < hi {
		mid := (lo + hi) / 2
		if n.lines[mid].from <= i {
			lo = mid
		} else {
			hi = mid
		}
	}
	return lo
}

// separates tells a separator from a sentence that has the same words: it
// begins its line, but for dashes and some words ("--- The header of the
// original message is following. ---"), and nothing much follows it there.
func (n *notice) separates(h *hit) bool {
	l := n.lineAt(h.from)
	if h.from-l.first > 100 {
		return false
	}
	before, after := n.low[l.first:h.from], ""
	if h.to < l.to {
		after = n.low[h.to:min(l.to, h.to+200)]
	}
	for _, w := range [...]string{"detail", "détail", "dettagli", "detal", "detaljer"} {
		if strings.Contains(before, w) {
			return false // the heading of a table in an Exchange report
		}
	}
	if strings.HasPrefix(after, "の詳細") || strings.HasPrefix(after, "详细") {
		return false // the same, where no spaces part the words
	}
	wordsBefore, wordsAfter := countWords(before), countWords(after)
	marked := hasRule(before) || hasRule(after)
	if h.class == clsSeparatorLine {
		return wordsBefore <= 1 && wordsAfter == 0 && !strings.Contains(after, "@") || marked && wordsBefore <= 3 && wordsAfter <= 3
	}
	if marked {
		return wordsBefore <= 6
	}
	if attached(after) || strings.Contains(after, "received at") || strings.Contains(after, "was ") {
		return false
	}
	if strings.Contains(after, "details") || strings.Contains(after, "cannot") || strings.Contains(after, "could not") {
		return false
	}
	if strings.HasPrefix(h.text, "original message is") || strings.HasPrefix(h.text, "undeliver") ||
		strings.HasPrefix(h.text, "returned m") || strings.HasPrefix(h.text, "your original message") {
		if countWords(n.text[:l.from]) < 3 {
			return false // the title of the notice
		}
		return wordsBefore <= 2 && wordsAfter <= 2
	}
	return wordsBefore <= 5 && wordsAfter <= 8
}

// attached tells a sentence that says where the returned message is from the mark
// before it: "Your original message is attached", and in other languages.
func attached(s string) bool {
	for _, w := range [...]string{
		"attach", "angehängt", "beigefügt", "im anhang", "anbei", "allegat", "adjunt", "joint", "annexe",
		"em anexo", "anexad", "bijgevoegd", "bijlage", "bifoga", "bilaga", "vedlagt", "vedhæft", "liitteenä",
		"załącz", "přilož", "прилож", "вложен", "添付", "附件", "附加", "첨부",
	} {
		if strings.Contains(s, w) {
			return true
		}
	}
	return false
}

// hasRule reports whether s has a drawn line: three marks in a row.
func hasRule(s string) bool {
	run := 0
	for i := 0; i < len(s); i++ {
		if c := s[i]; c == '-' || c == '=' || c == '_' || c == '*' || c == '#' || c == '+' || c == '~' {
			if run++; run == 3 {
				return true
			}
			continue
		}
		run = 0
	}
	return false
}

func countWords(s string) (words int) {
	in := false
	for i := 0; i < len(s); i++ {
		letter := isAlnum(s[i]) || s[i] >= 0x80 || s[i] == '\''
		if letter && !in {
			words++
		}
		in = letter
	}
	return words
}

// bareHeader finds a mail header that starts without an announcement:
// "Received:" or "Return-Path:" or an mbox line at the start of a paragraph,
// with other fields of a mail behind it. Some programs quote or indent it.
func (n *notice) bareHeader() int {
	opening := true
	for i, l := range n.lines {
		if opening && !l.blank() {
			if lead := n.lead(l); lead <= 8 && isTraceField(n.text[l.from+lead:l.to]) && n.headerLines(i, lead) >= 3 {
				return l.from
			}
		}
		opening = l.blank() || hasRule(n.text[l.from:l.to])
	}
	return -1
}

var traceFields = [...]string{"received:", "return-path:", "x-received:", "from mailer-daemon", "dkim-signature:", "delivered-to:", "x-google-smtp-source:"}

func isTraceField(s string) bool {
	for _, name := range traceFields {
		if len(s) >= len(name) && s[0]|0x20 == name[0] && strings.EqualFold(s[:len(name)], name) {
			return true
		}
	}
	return false
}

// lead gives how many bytes of a line are its indent and marks of quotation.
func (n *notice) lead(l line) int {
	i := l.from
	for i < l.to && (isBlank(n.text[i]) || n.text[i] == '>') {
		i++
	}
	return i - l.from
}

// headerLines counts the lines from i that are fields of a mail header, each
// behind as many bytes of indent.
func (n *notice) headerLines(i, lead int) (fields int) {
	for j := i; j < len(n.lines) && j < i+30; j++ {
		l := n.lines[j]
		at := n.lead(l)
		if l.blank() || l.from+at == l.to {
			break
		}
		l.from += at
		name, _, ok := statusField(n.text[l.from:l.to])
		if ok && at == lead && (isMailName(name) || strings.EqualFold(name, "x-received") || strings.EqualFold(name, "x-original-to") || strings.EqualFold(name, "x-mailer")) {
			fields++
		} else if isTraceField(n.text[l.from:l.to]) {
			fields++
		}
	}
	return fields
}
