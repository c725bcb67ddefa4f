package bounce

import (
	"cmp"
	"slices"
	"strings"

	"github.com/postroad/postroad/mail"
)

// strength is how sure it is that an address is a recipient of the report.
type strength uint8

const (
	weak    strength = iota + 1 // a word of failure stands beside it
	fair                        // a sentence or a reply names it
	certain                     // it stands in a list, or behind a label
)

// found is an address that a notice names as a recipient, with its reason.
type found struct {
	address  string
	original string // what it was expanded from
	action   mail.Action
	strength strength
	from, to int    // of the address in the notice
	start    int    // where its reason begins, if not behind the address
	summary  bool   // it is the last line of a session, which stands before it
	indent   int    // of its line, where it begins one
	reason   string // what the notice says of it, folded
	table    bool   // the reason stands in a table of labels and values
	host     string // that refused, where a table has it
}

// tail is how a line goes on behind the address that begins it.
type tail uint8

const (
	tailNone  tail = iota
	tailColon      // "<a@example.com>: host mx said ..."
	tailEnd        // nothing
	tailOther      // "a@example.com on Thu, 29 Apr ..."
)

// finder goes through the lines of a notice once. A list is open from an
// introduction to the words that end it; while it is, a line that begins with
// an address is a recipient. The first such line sets the form of the list:
// deeper lines, and lines of another form that directly follow one, belong to
// the reason.
type finder struct {
	*notice
	out []found

	open     bool
	closed   bool // by a reason: another recipient of the same form may follow it
	action   mail.Action
	indent   int // of the list's first recipient, -1 before it
	tail     tail
	members  int // recipients of this list
	locals   []found
	unlisted bool  // a line that stands out from the names followed them
	stops    []int // where the reason of what came before ends
}

// findRecipients gives every address that a notice names as a recipient, in
// order, each with its reason.
func (n *notice) findRecipients() []found {
	f := finder{notice: n, indent: -1}
	next := 0
	for i, l := range n.lines {
		for next < len(n.hits) && n.hits[next].from < l.to {
			f.hit(&n.hits[next])
			next++
		}
		if !l.blank() {
			f.line(i, l)
		}
	}
	if !f.has(fair) {
		f.out = append(f.out, f.locals...)
	}
	f.reasons()
	return f.best()
}

func (f *finder) has(s strength) bool {
	for i := range f.out {
		if f.out[i].strength >= s {
			return true
		}
	}
	return false
}

func (f *finder) hit(h *hit) {
	switch h.class {
	case clsList:
		if !f.open || f.members > 0 || h.action != "" || saysNot(h.text) {
			f.action, f.indent, f.tail, f.members = f.listAction(h), -1, tailNone, 0
		}
		f.open, f.closed = true, false
		f.sentence(h, fair)
	case clsAddress:
		f.sentence(h, fair)
	case clsFailed:
		f.before(h)
	case clsReason:
		if f.members > 0 {
			f.open, f.closed = false, true
		}
	case clsStop:
		if l := f.lineAt(h.from); h.from > skipBullets(f.text, l.first, l.to) {
			return // in the middle of a sentence, perhaps of a reply
		}
		if i := f.hitAt(h.from); slices.ContainsFunc(f.hits[i:min(len(f.hits), i+4)], func(g hit) bool {
			return g.class == clsReason && g.from == h.from && g.to > h.to
		}) {
			return // "additional information follows": the reason goes on
		}
		if f.members > 0 {
			f.open, f.closed = false, false
		}
		f.stops = append(f.stops, h.from)
	}
}

// sentence takes the address that stands behind the words of h in the same
// sentence, and those that are listed with it.
func (f *finder) sentence(h *hit, s strength) {
	limit := min(len(f.text), h.to+240)
	p, ok := nextAddress(f.text[:limit], h.to)
	if !ok || !f.gap(h.to, p.from) || f.quoting(h.to, p.from) {
		return
	}
	for n := 0; n < 100; n++ {
		if !f.turnTo(p) {
			f.add(p, s, f.listAction(h))
		}
		q, ok := nextAddress(f.text[:min(len(f.text), p.to+240)], p.to)
		if !ok || strings.Trim(f.text[p.to:q.from], " ,;\n\t<>\"'()&") != "" || !strings.ContainsAny(f.text[p.to:q.from], ",;&") {
			return
		}
		p = q
	}
}

// quoting tells whether a line between two places begins with a reply code and
// goes on with words: the address behind them is one that the reply speaks of
// ("554 go away, ask abuse@example.com").
func (f *finder) quoting(from, to int) bool {
	for from < to {
		i := strings.IndexByte(f.text[from:to], '\n')
		if i < 0 {
			return false
		}
		from += i + 1
		if code, rest, ok := mail.ParseCode(strings.TrimLeft(f.text[from:to], " \t")); ok && code >= 400 {
			if _, words, ok := mail.ParseEnhanced(rest); ok {
				rest = words
			}
			return countWords(rest) > 2
		}
	}
	return false
}

// listAction is what the words of h say happened. A sentence ("your message to
// a@example.com ...") says it of its own; only lists are of successes.
func (f *finder) listAction(h *hit) mail.Action {
	if h.class == clsList && !(h.action == mail.ActionDelivered && f.denied(h)) {
		return h.action
	}
	return ""
}

// gap tells whether only filling stands between two places: no end of a
// sentence or paragraph, no label, at most a few words.
func (f *finder) gap(from, to int) bool {
	s := f.low[from:to]
	if len(s) > 160 || strings.Count(s, "\n") > 2 || strings.Contains(s, "\n\n") && !strings.Contains(s, ":") {
		return false
	}
	for i := 0; i+1 < len(s); i++ {
		if c := s[i]; (c == '.' || c == '!' || c == '?') && isBlank(s[i+1]) {
			return false
		}
	}
	if strings.ContainsAny(s, "|/") || strings.Contains(s, "from") || strings.Contains(s, "message-id") || strings.Contains(s, "sender") {
		return false
	}
	return countWords(s) <= 7
}

// turnTo tells an address that somebody is to write to from one that failed: a
// word such as "contact" stands before it in its sentence.
func (f *finder) turnTo(p span) bool {
	if rest := strings.TrimLeft(f.low[p.to:min(len(f.low), p.to+40)], "> \n"); strings.HasPrefix(rest, "へ") && !strings.HasPrefix(rest, "への") || strings.HasPrefix(rest, "まで") {
		return true // Japanese puts the word behind
	}
	for i := f.hitAt(p.from) - 1; i >= 0; i-- {
		h := &f.hits[i]
		if p.from-h.from > 120 || h.class == clsList {
			break // "trying to deliver the mail to the following recipients"
		}
		if h.class == clsContact && h.to <= p.from {
			s := f.low[h.to:p.from]
			if !strings.Contains(s, ". ") && !strings.Contains(s, ".\n") && !strings.Contains(s, "\n\n") && !strings.Contains(s, "@") {
				return !f.yours(h)
			}
		}
	}
	return false
}

// yours tells "your mail to a@example.com", which is about the mail that came
// back, and Postfix's "(in reply to RCPT TO command)" from "send mail to a@example.com".
func (f *finder) yours(h *hit) bool {
	head := strings.TrimRight(f.low[max(0, h.from-14):h.from], " \n\t")
	return strings.HasSuffix(head, "your") || strings.HasSuffix(head, "(in") || strings.HasSuffix(head, "tried to") || strings.HasSuffix(head, "deliver") || strings.HasSuffix(head, "delivering") || strings.HasSuffix(head, "this")
}

// before takes the address in front of words of failure.
func (f *finder) before(h *hit) {
	low := max(0, h.from-100)
	at := strings.LastIndexByte(f.text[low:h.from], '@')
	if at < 0 {
		return
	}
	from := low + at
	if i := strings.LastIndexAny(f.text[low:from], " \n\t"); i >= 0 {
		from = low + i + 1
	} else {
		from = low
	}
	p, ok := nextAddress(f.text[:h.from], from)
	if !ok || f.turnTo(p) {
		return
	}
	gap := f.low[p.to:h.from]
	if strings.Contains(gap, "\n\n") || strings.Contains(gap, ". ") && !strings.HasPrefix(gap, "...") && !strings.HasPrefix(gap, ">...") || len(gap) > 60 {
		return
	}
	n := len(f.out)
	if f.add(p, weak, ""); len(f.out) > n {
		f.out[n].start = f.lineAt(p.from).first
	}
}

// whole tells an address of the report from one in its footer, and from the
// name@name of Notes: a domain without a dot is one in angle brackets only.
func (n *notice) whole(p span) bool {
	if n.inFooter(p.from) {
		return false
	}
	a := p.of(n.text)
	return p.from > 0 && n.text[p.from-1] == '<' || strings.Contains(domainOf(a), ".") || strings.HasSuffix(a, "]")
}

// add notes an address.
func (f *finder) add(p span, s strength, a mail.Action) {
	if len(f.out) >= 4*MaxResults || !f.whole(p) {
		return
	}
	f.out = append(f.out, found{address: p.of(f.text), strength: s, action: a, from: p.from, to: p.to})
}

// line looks at the start of line i: a label, a reply of a transcript, or an
// address.
func (f *finder) line(i int, l line) {
	if said := f.low[l.first:l.to]; strings.HasPrefix(said, ">>>") || strings.HasPrefix(said, "<<<") {
		return // a session: what was asked and answered names senders too
	}
	start := skipBullets(f.text, l.first, l.to)
	if f.label(i, l, start) || f.reply(l) {
		return
	}
	p, how, ok := f.head(start, l)
	if !ok {
		if f.open {
			f.named(l)
			f.local(i, l)
		}
		return
	}
	if f.turnTo(p) {
		return
	}
	again := f.closed && f.members > 0 && how == f.tail && how != tailOther && l.indent() == f.indent && i > 0 &&
		(f.lines[i-1].blank() || f.lines[i-1].indent() > l.indent())
	switch {
	case again || f.open && f.belongs(i, l, how):
		if f.members == 0 {
			f.indent, f.tail = l.indent(), how
		}
		f.members++
		n := len(f.out)
		if f.add(p, certain, f.fate(p, l)); len(f.out) > n {
			f.out[n].indent = l.indent()
		}
		f.more(p, l)
	case how == tailColon && l.indent() == 0 && i > 0 && (f.lines[i-1].blank() || isPostfix(strings.TrimLeft(f.text[p.to:l.to], ">: "))) && (f.format == "postfix" || f.format == "qmail"):
		f.add(p, certain, "") // the form of these two, whatever the introduction says
	case f.fate(p, l) != "":
		f.add(p, fair, f.fate(p, l)) // a table that says of each what became of it
	case how == tailColon && f.failing(p.to, i), how == tailOther && f.failsAtOnce(p.to, l):
		f.add(p, fair, "")
	}
}

// fate is what happened to the recipient p, which begins the line l: what its
// own line says directly behind it, else what the list is one of.
func (f *finder) fate(p span, l line) mail.Action {
	if f.action != "" {
		return f.action
	}
	for i := f.hitAt(p.to); i < len(f.hits) && f.hits[i].from < l.to; i++ {
		if h := &f.hits[i]; h.class == clsFate && strings.Trim(f.text[p.to:h.from], "<>[](){}\"'.,;:-=* \t") == "" {
			return h.action
		}
	}
	return ""
}

// more takes the other addresses of a list that is written in one line.
func (f *finder) more(p span, l line) {
	for n := 0; n < 1000; n++ {
		q, ok := nextAddress(f.text[:l.to], p.to)
		if !ok || strings.Trim(f.text[p.to:q.from], " \t<>\"',;") != "" || !strings.ContainsAny(f.text[p.to:q.from], ",;") {
			return
		}
		f.add(q, certain, f.action)
		p = q
	}
}

// belongs tells a member of the open list from a line of the last one's reason.
func (f *finder) belongs(i int, l line, how tail) bool {
	if f.members == 0 {
		return true
	}
	if l.indent() > f.indent+1 {
		return false
	}
	if how == f.tail {
		return true
	}
	return i > 0 && f.lines[i-1].blank() || how != tailOther && f.tail != tailColon
}

// failing tells whether a reply code or words of failure follow within the
// line, or on the next one.
func (f *finder) failing(at, i int) bool {
	end := f.lines[i].to
	if i+1 < len(f.lines) {
		end = f.lines[i+1].to
	}
	if i+2 < len(f.lines) {
		end = f.lines[i+2].to
	}
	for k := f.hitAt(at); k < len(f.hits) && f.hits[k].from < end; k++ {
		if h := &f.hits[k]; h.class == clsFailed || h.class == clsReason || h.class == clsFinal {
			return true
		}
	}
	_, ok := codeIn(f.text[at:end])
	return ok || strings.Contains(f.low[at:end], "said:") || strings.Contains(f.low[at:end], "connect")
}

// skipBullets gives where the words of a line begin: behind marks, and behind
// the number of a numbered list ("1. a@example.com", "2) ...").
func skipBullets(s string, from, to int) int {
	n := from
	for n < to && n < from+4 && isDigit(s[n]) {
		n++
	}
	if n > from && n+1 < to && (s[n] == '.' || s[n] == ')') && isBlank(s[n+1]) {
		from = n + 1
	}
	for from < to {
		switch s[from] {
		case ' ', '\t', '*', '-', '>', '|', '+', '~', '#', '.', '=':
			from++
		default:
			return from
		}
	}
	return from
}

// head tells whether an address begins the line at start, and how the line goes
// on behind it.
func (f *finder) head(start int, l line) (p span, how tail, ok bool) {
	at, brackets := f.insideX400(start, l), 0
	for at < l.to && brackets < 3 && strings.IndexByte("<\"'([", f.text[at]) >= 0 {
		if q, ok := nextAddress(f.text[:l.to], at); ok && q.from == at {
			break // a quoted local part
		}
		at++
		brackets++
	}
	p, ok = nextAddress(f.text[:l.to], at)
	if !ok || p.from != at && !(p.from == at-1 && f.text[p.from] == '"') {
		return p, 0, false
	}
	rest := f.text[p.to:l.to]
	closed := strings.TrimLeft(rest, ">\"')]")
	if strings.ContainsAny(rest[:len(rest)-len(closed)], ")]") && brackets == 0 {
		return p, 0, false // the end of "(expanded from ...)"
	}
	if i := strings.IndexByte(rest, ')'); i >= 0 && i < len(rest)-len(closed) && !strings.ContainsAny(f.text[start:at], "([") {
		return p, 0, false
	}
	closed = strings.TrimSpace(closed)
	switch {
	case closed == "" || strings.HasPrefix(closed, "<mailto:"):
		return p, tailEnd, true
	case closed[0] == ':':
		return p, tailColon, true
	case strings.HasPrefix(closed, "(expanded from") || strings.HasPrefix(closed, "(generated from"):
		return p, tailColon, true
	}
	return p, tailOther, true
}

// named reads the forms with a name in front: "Jane Doe <jane@example.com>",
// "Jane Doe (jane@example.com)", "Jane Doe<mailto:jane@example.com>".
func (f *finder) named(l line) {
	p, ok := nextAddress(f.text[:l.to], l.first)
	if !ok || p.from == l.first || f.members > 0 && l.indent() > f.indent+1 {
		return
	}
	name := f.low[l.first : p.from-1]
	open := f.text[p.from-1]
	if open == ':' && strings.HasSuffix(name, "<mailto") {
		name = name[:len(name)-len("<mailto")]
	} else if open != '<' && open != '(' && open != '[' {
		return
	}
	rest := strings.TrimLeft(f.text[p.to:l.to], ">)] \"'")
	if rest != "" && !strings.HasPrefix(rest, "<mailto:") && rest[0] != ':' && !dated(rest) {
		return
	}
	if len(name) > 80 || countWords(name) > 6 || strings.ContainsAny(name, ":;!?@") || strings.Contains(name, ". ") || f.turnTo(p) {
		return
	}
	if f.members > 0 && f.tail == tailColon || strings.HasPrefix(name, "(") {
		return
	}
	f.members++
	if f.indent < 0 {
		f.indent, f.tail = l.indent(), tailEnd
	}
	f.add(p, certain, f.action)
}

// dated tells what Exchange and Outlook put behind a recipient: "on 3/10/2026
// 9:12 AM", "am 10.03.2026 09:12", "2026/03/10 9:12".
func dated(s string) bool {
	for n := 0; n < 3 && s != "" && !isDigit(s[0]); n++ {
		word, rest, _ := strings.Cut(s, " ")
		if len(word) > 5 {
			return false
		}
		s = strings.TrimLeft(rest, " ")
	}
	digits := 0
	for digits < len(s) && isDigit(s[digits]) {
		digits++
	}
	return digits > 0 && digits <= 4 && digits+1 < len(s) && strings.IndexByte("./-", s[digits]) >= 0 && isDigit(s[digits+1])
}

// label reads "Recipient: a@example.com" and the lines that look alike but name
// the sender or an id.
func (f *finder) label(i int, l line, start int) bool {
	c, end := f.labelAt(start, l.to)
	if c == clsNone {
		return false
	}
	to := l.to
	if strings.TrimSpace(f.text[end:to]) == "" && i+1 < len(f.lines) && c == clsLabel {
		to = f.lines[i+1].to // the value has a line of its own
	}
	p, ok := nextAddress(f.text[:to], end)
	if c != clsLabel {
		if strings.TrimSpace(f.text[end:l.to]) == "" && f.members > 0 {
			f.open, f.closed = false, f.open && c == clsReply
		}
		return ok
	}
	if to > l.to && ok {
		if _, _, heads := f.head(skipBullets(f.text, f.lines[i+1].first, to), f.lines[i+1]); heads {
			f.open, f.closed, f.members, f.indent = true, false, 0, -1
			return true // a list, under a heading that is a label elsewhere
		}
	}
	if !ok || countWords(f.text[end:p.from]) > 4 || f.turnTo(p) {
		return false
	}
	f.add(p, certain, f.action)
	f.members++
	if f.indent < 0 {
		f.indent, f.tail = l.indent(), tailOther
	}
	f.more(p, l)
	return true
}

// labelAt looks up the words in front of the first colon or tab.
func (n *notice) labelAt(start, to int) (c class, end int) {
	limit := min(to, start+48)
	for i := start; i < limit; i++ {
		if b := n.low[i]; b == ':' || b == '\t' || b == '=' {
			words := strings.TrimRight(n.low[start:i], " \t")
			if c := phrases().labels[words]; c != clsNone {
				return c, i + 1
			}
			if b == ':' {
				return clsNone, 0
			}
		}
	}
	return clsNone, 0
}

// reply reads a line of a transcript: "550 5.1.1 <a@example.com>... User
// unknown". What the remote host said ("<<< 550 ...") may name the sender; the
// MTA's own summary names the recipient.
func (f *finder) reply(l line) bool {
	code, rest, ok := mail.ParseCode(f.text[l.first:l.to])
	if !ok || code < 400 {
		return false
	}
	if _, tail, ok := mail.ParseEnhanced(rest); ok {
		rest = strings.TrimLeft(tail, " \t")
	}
	f.refusedName(rest, l)
	at := l.to - len(rest)
	if p, ok := nextAddress(f.text[:l.to], at); ok && p.from <= at+1 && strings.HasPrefix(strings.TrimLeft(f.text[p.to:l.to], ">"), "...") {
		n := len(f.out)
		if f.add(p, fair, ""); len(f.out) > n {
			f.out[n].start, f.out[n].summary = l.first, true
		}
	}
	return true
}

// local notes a recipient without a domain: a single word that is alone in its
// line, directly in an open list. It counts only where the notice names nobody
// else, and where the domain can be told.
func (f *finder) local(i int, l line) {
	f.unlisted = f.unlisted || len(f.locals) > 0 && l.indent() < f.lineAt(f.locals[0].from).indent()
	if f.unlisted || f.members > 0 || len(f.locals) > 50 || i == 0 || !f.lines[i-1].blank() && f.lines[i-1].indent() == 0 && l.indent() == 0 {
		return
	}
	if above := f.lines[i-1]; !above.blank() && above.indent() > 0 && l.indent() > above.indent() && f.text[above.to-1] != ':' {
		return // the reason of the name above it: "Doe, Jane on 3/3/2003", and deeper "unknown"
	}
	s := strings.Trim(f.text[l.first:l.to], "<>\"' \t")
	word, _, _ := strings.Cut(s, "... ")
	if strings.HasSuffix(word, ")") {
		word, _, _ = strings.Cut(word, " (") // "anna (user not found)": GroupWise
	}
	if at := strings.IndexAny(word, " \t"); at > 0 && at+1 < len(word) && isBlank(word[at+1]) && f.failsAt(l, strings.TrimLeft(word[at:], " \t")) {
		word = word[:at] // "anna    User unknown": a table
	}
	word = strings.TrimSuffix(word, ":")
	if !strings.HasSuffix(s, ".") && isLocalName(word) {
		f.locals = append(f.locals, found{address: word, strength: weak, action: f.action, from: l.first, to: l.first + len(word)})
	}
}

// failsAtOnce tells whether words of failure stand directly behind an address:
// "a@example.com    FAILED    550 user unknown".
func (f *finder) failsAtOnce(at int, l line) bool {
	for k := f.hitAt(at); k < len(f.hits) && f.hits[k].from < l.to; k++ {
		h := &f.hits[k]
		if strings.Trim(f.text[at:h.from], "<>[](){}\"'.,;:-=|* \t") != "" {
			return false
		}
		if h.class == clsFailed {
			return true
		}
	}
	return false
}

// failsAt tells whether rest, a piece of line l, begins with words of failure.
func (f *finder) failsAt(l line, rest string) bool {
	at := strings.LastIndex(f.text[l.from:l.to], rest)
	if at < 0 {
		return false
	}
	at += l.from
	for k := f.hitAt(at); k < len(f.hits) && f.hits[k].from == at; k++ {
		if f.hits[k].class == clsFailed {
			return true
		}
	}
	return false
}

// best keeps the surest answers: where a list names the recipients, sentences
// may be about others. An address that is named twice is kept once, with the
// reason that has a reply in it.
func (f *finder) best() []found {
	top := weak
	for i := range f.out {
		top = max(top, f.out[i].strength)
	}
	list := f.out[:0:0]
	index := make(map[string]int, len(f.out))
	slices.SortStableFunc(f.out, func(a, b found) int {
		return cmp.Or(int(b.strength)-int(a.strength), a.from-b.from)
	})
	for _, x := range f.out {
		k := addressKey(x.address)
		at, seen := index[k]
		if !seen && (x.strength < top || len(list) >= MaxResults) {
			continue
		}
		if !seen {
			index[k] = len(list)
			list = append(list, x)
			continue
		}
		old := &list[at]
		if old.action == "" {
			old.action = x.action
		}
		if old.original == "" {
			old.original = x.original
		}
		if x.table && !old.table || x.table == old.table && tells(x.reason) > tells(old.reason) {
			old.reason, old.table = x.reason, x.table
			if x.host != "" {
				old.host = x.host
			}
		}
	}
	return list
}

// tells says how much a reason is worth: nothing, words, an enhanced code
// somewhere, a reply.
func tells(reason string) int {
	if looseCode(reason) != 0 {
		return 3
	}
	if _, ok := codeIn(reason); ok {
		return 2
	}
	if hasWords(reason) {
		return 1
	}
	return 0
}
