package bounce

import "strings"

// Bounds: a signature has few lines (more behind two hyphens is the report
// itself), and an address that is wrapped is rare.
const (
	maxSignature = 15
	maxWrapped   = 50
)

// footers gives the stretches of a notice that are not the report's: the
// paragraphs in which a company says who may read its mail, and what stands
// behind a line of two hyphens, which begins a signature (RFC 3676 section 4.3).
// They have addresses, and words such as "intended recipient".
func (n *notice) footers() []span {
	var list []span
	for i, l := range n.lines {
		if i > 0 && len(n.lines)-i <= maxSignature && l.to-l.from <= 3 && strings.TrimRight(n.text[l.from:l.to], " ") == "--" &&
			strings.Contains(n.text[:l.from], "@") {
			list = append(list, span{l.from, len(n.text)})
			break
		}
	}
	for i := range n.hits {
		if h := &n.hits[i]; h.class == clsFooter && (len(list) == 0 || h.from >= list[len(list)-1].to || h.from < list[len(list)-1].from) {
			list = append(list, n.paragraph(h.from))
		}
	}
	return list
}

// paragraph gives the lines round index i up to blank ones and drawn ones.
func (n *notice) paragraph(i int) span {
	divides := func(l line) bool { return l.blank() || hasRule(n.text[l.from:l.to]) }
	first := n.lineIndex(i)
	last := first
	for first > 0 && !divides(n.lines[first-1]) {
		first--
	}
	for last+1 < len(n.lines) && !divides(n.lines[last+1]) {
		last++
	}
	return span{n.lines[first].from, n.lines[last].to}
}

// inFooter tells whether index i stands in one of the footers.
func (n *notice) inFooter(i int) bool {
	for _, p := range n.foot {
		if p.from <= i && i < p.to {
			return true
		}
	}
	return false
}

// joinWrapped joins an address in angle brackets that was broken at a line's
// end, as programs do that fold at dots: "<bob@department.of.\n  example.com>".
func joinWrapped(s string) string {
	joins := 0
	for from := 0; ; {
		i := strings.IndexByte(s[from:], '\n')
		if i < 0 || joins == maxWrapped {
			return s
		}
		i += from
		head, tail := s[from:i], strings.TrimLeft(s[i+1:], " \t")
		from = i + 1
		open := strings.LastIndexByte(head, '<')
		if open < 0 || len(head)-open > 100 || strings.ContainsAny(head[open+1:], "> \t:") || len(tail) == len(s)-i-1 {
			continue
		}
		shut := strings.IndexByte(tail[:min(len(tail), 256)], '>')
		if shut < 1 || strings.ContainsAny(tail[:shut], " \t\n<:") || strings.Count(head[open:], "@")+strings.Count(tail[:shut], "@") != 1 {
			continue
		}
		s = s[:i] + tail
		from = i
		joins++
	}
}
