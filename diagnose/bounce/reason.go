package bounce

import (
	"slices"
	"strings"

	"github.com/postroad/postroad/mail"
)

// maxReason is the longest reason that is kept of one recipient, in bytes.
const maxReason = 4 << 10

// reasons gives every address that was found what the notice says of it: the
// text up to the next address that was found, or to where the notice speaks of
// something else. Recipients that are listed together share what follows the
// list, and where nothing follows what stands before it.
func (f *finder) reasons() {
	order := make([]*found, 0, len(f.out))
	for i := range f.out {
		order = append(order, &f.out[i])
	}
	slices.SortStableFunc(order, func(a, b *found) int { return a.from - b.from })
	total, session := 0, 0
	for i, x := range order {
		end := f.reasonEnd(x, order[i+1:])
		if total += end - x.to; total > 4*MaxText {
			break // nested ranges of a hostile text
		}
		block := f.text[x.to:end]
		x.original, block = parent(block)
		if x.start > 0 && !x.summary {
			block = f.text[x.start:end]
		} else if x.summary { // the summary of a session that stands before it
			at := f.lines[f.lineIndex(x.start)].to
			block = f.text[max(session, f.sessionStart(x.start), x.start-maxReason):at]
			session = at
		} else {
			block = strings.TrimLeft(strings.TrimPrefix(block, ">"), "\"')]: \t")
			if i := strings.IndexAny(block, "\t("); i > 0 && i < 24 && countWords(block[:i]) == 1 && startsWithCode(block[i+1:]) {
				block = block[i:] // "a@example.com	Failed	550 ..."
			}
		}
		if reply, host := f.cell(x.to, end); reply != "" {
			x.reason, x.host, x.table = reply, host, true
		} else {
			x.reason = f.trimReason(foldReason(block))
		}
	}
	before := ""
	if session == 0 {
		before = f.reasonBefore(order)
	}
	shared := ""
	for _, x := range slices.Backward(order) {
		worth := tells(x.reason)
		switch {
		case worth < 2 && before != "":
			x.reason = before
		case worth > 0:
			shared = x.reason
		case shared != "":
			x.reason = shared
		default:
			x.reason = f.aside(x)
		}
	}
}

// cell finds the reply in a table of labels and values, as Exchange Online
// writes it ("Error:	550 5.1.10 ..."), with the host that refused.
func (f *finder) cell(from, to int) (reply, host string) {
	for i := f.lineIndex(from); i < len(f.lines) && f.lines[i].from < to; i++ {
		l := f.lines[i]
		c, at := f.labelAt(l.first, l.to)
		if tab := strings.IndexByte(f.text[l.first:l.to], '\t'); c == clsNone && tab > 0 {
			c, at = clsReply, l.first+tab // whatever the label is called in this language
		}
		if c == clsNone && bareLabel(f.low[l.first:l.to]) {
			c, at = clsReply, l.to // the same, with its value in the next line
		}
		value := strings.TrimSpace(f.text[at:max(at, l.to)])
		if c == clsReply || c == clsHost {
			value = f.valueAt(i, at)
		}
		switch {
		case c == clsReply && reply == "" && startsWithCode(value):
			if _, rest, ok := mail.ParseCode(value); !ok || rest == "" || !isDigit(rest[0]) || countWords(rest) > 4 {
				reply = value
			}
		case c == clsHost && host == "" && strings.Contains(value, ".") && !strings.ContainsAny(value, " @"):
			if host = hostName(value); frontEnd(host) {
				host = "" // a front end of the sender's side
			}
		}
	}
	return reply, host
}

// sessionStart gives where the transcript begins in which index i stands.
func (f *finder) sessionStart(i int) int {
	for k := f.hitAt(i) - 1; k >= 0 && i-f.hits[k].from < maxReason; k-- {
		if h := &f.hits[k]; h.class == clsReason && h.to < i {
			return f.lines[f.lineIndex(h.from)].to
		}
	}
	return 0
}

// reasonEnd gives where the reason of x ends: at the next recipient, at words
// that speak of something else or of a new list, at a line that stands out from
// an indented list.
func (f *finder) reasonEnd(x *found, next []*found) int {
	end := min(len(f.text), x.to+maxReason)
	for _, y := range next {
		if y.from >= end {
			break
		}
		if y.from > x.to && y.strength >= x.strength {
			end = f.lineStart(y.from, x.to)
			break
		}
	}
	if i, _ := slices.BinarySearch(f.stops, x.to+1); i < len(f.stops) {
		end = min(end, f.lineStart(f.stops[i], x.to))
	}
	if x.indent < 2 {
		return end
	}
	words := false
	for i := f.lineIndex(x.to) + 1; i < len(f.lines) && f.lines[i].from < end; i++ {
		l := f.lines[i]
		if l.blank() {
			continue
		}
		if l.indent() < x.indent && words {
			return l.from
		}
		words = words || l.indent() >= x.indent
	}
	return end
}

// trimReason takes a heading off the front of a reason: "Reason:", "because:",
// and the brackets of Sendmail's "(reason: 550 ...)".
func (f *finder) trimReason(s string) string {
	low := asciiLower(s[:min(len(s), 64)])
	if rest, ok := strings.CutPrefix(low, "(reason: "); ok {
		s = s[len(low)-len(rest):]
		for i := 0; i < len(s); i++ {
			if s[i] == ')' && (i+1 == len(s) || isBlank(s[i+1])) && strings.Count(s[:i], "(") == strings.Count(s[:i], ")") {
				return strings.TrimSpace(s[:i] + s[i+1:])
			}
		}
		return s
	}
	for _, words := range [...]string{"reason:", "because:", "reason :", "for the following reason:", "grund:", "motivo:", "raison :"} {
		if rest, ok := strings.CutPrefix(low, words); ok && strings.TrimSpace(rest) != "" {
			return strings.TrimSpace(s[len(words):])
		}
	}
	return s
}

// reasonBefore is the reason of a report that gives it first and the recipients
// after: the reply in front of the first recipient, with what follows it there.
func (f *finder) reasonBefore(order []*found) string {
	end := len(f.text)
	listed := f.has(certain)
	for _, x := range order {
		if x.strength == certain || !listed {
			end = f.lineStart(x.from, 0)
			break
		}
	}
	at, ok := codeIn(f.text[:end])
	if !ok {
		return ""
	}
	for i := f.hitAt(at + 1); i < len(f.hits) && f.hits[i].from < end; i++ {
		if h := &f.hits[i]; h.class == clsList { // words that open the list of recipients end the reason
			end = f.lineStart(h.from, at)
			break
		}
	}
	return foldReason(f.text[at:min(end, at+maxReason)])
}

// lineStart gives the start of the line that holds index i, not below floor.
func (f *finder) lineStart(i, floor int) int {
	if j := strings.LastIndexByte(f.text[:i], '\n'); j >= floor {
		return j
	}
	return max(floor, i)
}

// aside is the reason of an address behind which there is none: what stands
// before it in its line ("Unknown user: a@example.com"), else what stands
// behind the words that ended the list, else what stands between the
// introduction and the address.
func (f *finder) aside(x *found) string {
	from := strings.LastIndexByte(f.text[:x.from], '\n') + 1
	after := foldReason(strings.TrimLeft(f.text[x.to:min(len(f.text), x.to+maxReason)], ">\"')]: \t"))
	if tells(after) >= 2 {
		return after
	}
	if countWords(f.text[from:x.from]) >= 2 {
		return foldReason(f.text[from:min(len(f.text), x.to+1)])
	}
	if hasWords(after) {
		return after
	}
	intro := 0
	for i := f.hitAt(from) - 1; i >= 0 && from-f.hits[i].from < maxReason; i-- {
		if h := &f.hits[i]; h.class == clsList && h.to < from {
			intro = f.lines[f.lineIndex(h.to)].to
			break
		}
	}
	return foldReason(f.text[max(min(intro, from), from-maxReason):from])
}

// hasWords reports whether s says more than marks do.
func hasWords(s string) bool { return countWords(s) >= 1 }

// parents are the words with which Postfix, Exim and Sendmail name the address
// that was written in the mail, where it led to another.
var parents = [...]string{
	"(expanded from", "(ultimately generated from", "(generated from", "(generated by", "(aliased from", "(forwarded from", "generated by ",
}

// parent finds "(expanded from <a@example.com>)" and its kin at the start of a
// reason, or of one of its first lines, and gives the rest; only the first place
// is taken off.
func parent(s string) (address, rest string) {
	head := asciiLower(s[:min(len(s), 400)])
	for _, words := range parents {
		i := strings.Index(head, words)
		if i < 0 || strings.Trim(head[strings.LastIndexByte(head[:i], '\n')+1:i], "> \t") != "" {
			continue
		}
		end := strings.IndexByte(s[i:], ')')
		if words[0] != '(' {
			end = strings.IndexByte(s[i:], '\n')
		}
		if end < 0 {
			end = len(s) - i - 1
		}
		end += i
		address = addressIn(s[i:end])
		if strings.TrimSpace(strings.Trim(s[:i], "> ")) == "" {
			return address, strings.TrimLeft(s[end+1:], ": \t")
		}
		return address, s[:i] + s[end+1:]
	}
	return "", s
}

// foldReason makes one text of the lines of a reason: what was wrapped is
// joined, each line of a reply or transcript keeps a line of its own, drawn
// lines and blank ones go.
func foldReason(s string) string {
	var b strings.Builder
	b.Grow(min(len(s), maxReason))
	for l := range strings.SplitSeq(s, "\n") {
		l = strings.TrimSpace(l)
		if l == "" || countWords(l) == 0 && hasRule(l) {
			continue
		}
		if b.Len() > 0 {
			if startsWithCode(l) || strings.HasPrefix(l, "<<<") || strings.HasPrefix(l, ">>>") {
				b.WriteByte('\n')
			} else {
				b.WriteByte(' ')
			}
		}
		b.WriteString(l)
	}
	return strings.ToValidUTF8(strings.TrimSpace(b.String()), "") // the range may cut a character
}

// codeIn finds the first reply code of a text, an SMTP one or an enhanced one,
// and gives where it stands.
func codeIn(s string) (at int, ok bool) {
	for i := 0; i+2 < len(s); i++ {
		c := s[i]
		if c != '4' && c != '5' || i > 0 && (isAlnum(s[i-1]) || s[i-1] == '.' || s[i-1] == '-' && i > 1 && isAlnum(s[i-2])) {
			continue
		}
		if _, _, ok := mail.ParseEnhanced(s[i:]); ok {
			return i, true
		}
		if !isDigit(s[i+1]) || !isDigit(s[i+2]) || s[i+1] > '5' {
			continue
		}
		if i+3 == len(s) {
			return i, true
		}
		if d := s[i+3]; d == ' ' || d == '-' || d == ':' || d == '\n' || d == '\t' || d == ',' {
			return i, true
		}
	}
	return 0, false
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
