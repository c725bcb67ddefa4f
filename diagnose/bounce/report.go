package bounce

import (
	"strings"

	"github.com/postroad/postroad/event"
	"github.com/postroad/postroad/mail"
	"github.com/postroad/postroad/message"
)

// readStatus reads a mail with a delivery status: in a part of its own, or as
// fields in the text where the envelope is one of a report.
func readStatus(d *draft) (Report, bool) {
	var facts envelopeFacts
	var groups []group
	why := whyStatus
	for _, p := range d.status {
		f, g := parseStatus(d.m.Text(p), false)
		if facts.reporting == "" {
			facts = f
		}
		groups = append(groups, g...)
	}
	if len(groups) == 0 {
		if len(d.status) == 0 && d.env.score() < 2 {
			return Report{}, false
		}
		text := d.notification()
		if low := asciiLower(text); !strings.Contains(low, "final-recipient") && !strings.Contains(low, "original-recipient") {
			return Report{}, false
		}
		facts, groups = parseStatus(d.notice().text, true)
		why = whyLoose
		if len(groups) == 0 {
			return Report{}, false
		}
	}
	r := d.report("dsn", why)
	r.Results = d.fromGroups(&facts, groups)
	if len(r.Results) == 0 {
		return Report{}, false // no address that can be used: the words may have one
	}
	d.finish(&r, &facts)
	return r, true
}

// report begins a report.
func (d *draft) report(format, why string) Report {
	r := Report{Format: format, Why: make([]mail.Reason, 0, len(d.env.why)+2)}
	r.Why = append(r.Why, mail.Reason{Key: why})
	r.Why = append(r.Why, d.env.why...)
	if d.env.from != "" {
		r.reporter = domainOf(d.env.from)
	}
	return r
}

// finish gives a report its kind and what it has of the returned message.
func (d *draft) finish(r *Report, facts *envelopeFacts) {
	r.Kind = kindOf(r.Results)
	if len(d.env.failed) > 0 && d.n != nil && r.Format == "dsn" && d.n.format != "" {
		r.Format = d.n.format
	}
	h := d.returnedHeader()
	if h.Len() == 0 && d.n == nil && len(d.texts) > 0 {
		d.notice()
		h = d.returnedHeader()
	}
	r.Original = readOriginal(h)
	if h.Len() > 0 {
		r.Original.Recipients = d.wentTo()
	}
	if r.Original.EnvelopeFrom == "" {
		r.Original.EnvelopeFrom = facts.sender
	}
	if r.Original.MessageID == "" {
		r.Original.MessageID = strings.Trim(facts.messageID, "<> ")
	}
	for i := range r.Results {
		r.Results[i].MessageID = r.Original.MessageID
	}
}

// fromGroups makes results of the groups of a delivery status. What the status
// leaves out, the words of the notification may have.
func (d *draft) fromGroups(facts *envelopeFacts, groups []group) []event.Bounce {
	results := make([]event.Bounce, 0, len(groups))
	var said []found
	read := false
	words := func() []found {
		if !read {
			said, read = d.notice().findRecipients(), true
		}
		return said
	}
	seen := make(map[string]int, len(groups))
	for i := range groups {
		g := &groups[i]
		b := fromGroup(g, facts)
		b.Recipient, b.OrigRcpt = d.recipients(g, facts, words)
		if b.Recipient == "" {
			continue
		}
		if g.diagnostic == "" || b.Reply.Code == 0 || strings.HasPrefix(g.diagnostic[min(3, len(g.diagnostic)):], "-") || isExpiry(b.Reply) {
			d.supplement(&b, g, words())
		}
		d.fromProse(&b)
		d.fromExchange(&b, words)
		k := addressKey(b.Recipient)
		if at, ok := seen[k]; ok {
			if results[at].Action != mail.ActionFailed && b.Action == mail.ActionFailed {
				results[at] = b
			}
			continue
		}
		seen[k] = len(results)
		if results = append(results, b); len(results) == MaxResults {
			break
		}
	}
	return results
}

// recipients gives the recipient of a group: the final one, unless it is no
// mailbox (a program, a host, an X.400 name), then the one that it really went
// to, then the one that was written to; a name without a domain is completed.
func (d *draft) recipients(g *group, facts *envelopeFacts, words func() []found) (recipient, original string) {
	final, usable := recipientOf(g.final)
	orig, origUsable := recipientOf(g.original)
	actual, actualUsable := recipientOf(g.actual)
	switch {
	case usable:
		recipient = final
	case actualUsable:
		recipient = actual
	case origUsable:
		recipient = orig
	default:
		recipient = d.complete(firstWord(final, orig), facts.reporting, words)
	}
	if origUsable && addressKey(orig) != addressKey(recipient) {
		original = orig
	}
	return recipient, original
}

func firstWord(list ...string) string {
	for _, s := range list {
		if s != "" {
			return s
		}
	}
	return ""
}

// complete makes an address of a name without a domain: the one with this local
// part that the notification, its header or the returned message has; where
// there is none the only address they have; where there are none the name at
// the reporting host, which took it for local.
func (d *draft) complete(name, host string, words func() []found) string {
	name = strings.Trim(name, "<>\"' ")
	var known []string
	known = append(known, d.env.failed...)
	for _, x := range words() {
		if x.strength >= fair && strings.Contains(x.address, "@") {
			known = append(known, x.address)
		}
	}
	if a := pick(known, name); a != "" {
		return a
	}
	if a := pick(d.wentTo(), name); a != "" {
		return a
	}
	if name == "" || strings.ContainsAny(name, " /|@;=:\"") || host == "" || strings.HasPrefix(host, "[") {
		return ""
	}
	return name + "@" + host
}

// pick gives the address with the local part name, else the only one that there
// is where the name says nothing (a pipe, a host, an X.400 name).
func pick(addresses []string, name string) string {
	for _, a := range addresses {
		if strings.EqualFold(localOf(a), name) {
			return a
		}
	}
	if len(addresses) == 1 && (name == "" || strings.ContainsAny(name, " /|@;=")) {
		return addresses[0]
	}
	return ""
}

// supplement adds what the words say of a recipient whose group has no reply,
// or only the first line of one: Sendmail's Diagnostic-Code stops at the line
// end, its transcript does not.
func (d *draft) supplement(b *event.Bounce, g *group, words []found) {
	reason := ""
	for i := range words {
		if k := addressKey(words[i].address); k == addressKey(b.Recipient) || k == addressKey(b.OrigRcpt) || len(words) == 1 {
			reason = words[i].reason
			break
		}
	}
	if isExpiry(b.Reply) {
		if last := lastAttempt(reason); last != "" {
			status := b.Status
			speak(b, b.Diagnostic+"\n"+last)
			b.Status = status
			return
		}
	}
	if g.diagnostic != "" {
		if full := d.notice().wholeReply(g.diagnostic); full != "" {
			status := b.Status
			b.Reply = event.Reply{}
			speak(b, full)
			b.Status = status
			b.Spoke = true
			return
		}
	}
	if g.diagnostic != "" && b.Reply.Code != 0 {
		return
	}
	if _, ok := codeIn(reason); !ok && len(words) <= 1 {
		if all := d.notice().afterIntroduction(); hasWords(all) && (!hasWords(reason) || looseCode(all) != 0) {
			reason = all
		}
	}
	if !hasWords(reason) {
		return
	}
	x := *b
	speak(&x, reason)
	if g.diagnostic != "" && x.Reply.Code == 0 && countWords(g.diagnostic) > 1 {
		return
	}
	if x.RemoteHost == "" || b.RemoteHost != "" {
		x.RemoteHost = b.RemoteHost
	}
	if x.RemoteIP == "" || b.RemoteIP != "" {
		x.RemoteIP = b.RemoteIP
	}
	if b.Status != "" {
		x.Status = b.Status
	}
	*b = x
}

// isExpiry tells Exchange's own words about a mail that it gave up, which say
// nothing of the last attempt.
func isExpiry(r event.Reply) bool {
	if len(r.Lines) == 0 {
		return false
	}
	low := asciiLower(r.Lines[0])
	return (strings.HasPrefix(low, "message expired") || strings.HasPrefix(low, "queue.expired")) && !strings.Contains(low, "->")
}

// lastAttempt finds in the history that Exchange prints what the other server
// said last: "... - Server at mx.example.com (192.0.2.1) returned '450 ...'".
func lastAttempt(reason string) string {
	const words = " returned '"
	i := strings.LastIndex(reason, words)
	if i < 0 {
		return ""
	}
	reply := reason[i+len(words):]
	if !strings.HasPrefix(reply, "4") {
		return ""
	}
	end := strings.LastIndexByte(reply, '\'')
	from := strings.LastIndex(asciiLower(reason[:i]), "server at ")
	if end < 0 || from < 0 {
		return ""
	}
	return reason[from : i+len(words)+end+1]
}

// wholeReply finds in the transcript the lines of the reply whose first line is
// given.
func (n *notice) wholeReply(first string) string {
	if strings.Contains(first, "\n") || len(first) < 5 || first[3] != '-' {
		return ""
	}
	i := strings.Index(n.text, "<<< "+first)
	if i < 0 {
		return ""
	}
	var b strings.Builder
	for l := range strings.SplitSeq(n.text[i:min(len(n.text), i+mail.MaxReply)], "\n") {
		l, ok := strings.CutPrefix(strings.TrimSpace(l), "<<< ")
		if !ok || len(l) < 3 || l[:3] != first[:3] {
			break
		}
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(l)
		if len(l) == 3 || l[3] != '-' {
			break
		}
	}
	if !strings.Contains(b.String(), "\n") {
		return ""
	}
	return b.String()
}

// readWords reads a report without a delivery status, by its words. The
// envelope must speak for a report, and so must the words.
func readWords(d *draft) (Report, bool) {
	env := d.env.score()
	if env < 1 || env < 2 && !d.env.robot || d.env.answers() || d.env.other && !d.env.undeliv && !d.env.certain {
		return Report{}, false
	}
	n := d.notice()
	list := d.named(n)
	if !d.speaks(n, list) {
		return Report{}, false
	}
	r := d.report(n.format, whyWords)
	if r.Format == "" || r.Format == "generic" {
		r.Format = "text"
	}
	r.Why[0].Fragment = n.mark
	if len(list) == 0 {
		if inner, ok := d.insideReturned(); ok {
			return inner, true
		}
		if list = d.guess(n); len(list) > 0 {
			r.Why = append(r.Why, mail.Reason{Key: whyReturned, Fragment: list[0].address})
		}
	}
	if len(list) == 0 && !d.env.daemon && !d.env.certain && !n.ofMail(d.env.subject) {
		return Report{}, false
	}
	if len(list) == 0 && !d.posted && (env < 4 || !n.failing() || !d.about(n) || d.toReader(n)) {
		return Report{}, false
	}
	r.Results = d.fromWords(n, list)
	d.finish(&r, &envelopeFacts{})
	if len(r.Results) == 0 && n.tone(&d.env) == mail.ActionDelayed {
		r.Kind = KindDelayed
	}
	return r, true
}

// named gives the recipients that the header and the words name. The header
// X-Failed-Recipients of Exim, and of those who copied it, is complete; the
// words then only give the reasons.
func (d *draft) named(n *notice) []found {
	list := n.findRecipients()
	if len(d.env.failed) == 0 {
		return d.plausible(n, list)
	}
	out := make([]found, 0, len(d.env.failed))
	for _, a := range d.env.failed {
		x := found{address: a, strength: certain}
		for i := range list {
			y := &list[i]
			if addressKey(y.address) == addressKey(a) || strings.EqualFold(y.address, localOf(a)) || len(list) == 1 && len(d.env.failed) == 1 {
				x.original, x.action = y.original, y.action
				if y.strength > weak {
					x.reason, x.host = y.reason, y.host
				}
				break
			}
		}
		if x.reason == "" {
			x.reason = n.afterIntroduction()
		}
		out = append(out, x)
	}
	return out
}

// plausible drops what cannot be: the sender of the returned message where
// others are named, unless a list has it, and names without a domain that can
// be told.
func (d *draft) plausible(n *notice, list []found) []found {
	h := d.returnedHeader()
	sender := addressKey(addressIn(h.Text("From")))
	to := addressKey(addressIn(d.env.h.Text("To")))
	known := d.wentTo()
	keys := make(map[string]bool, len(known))
	for _, a := range known {
		keys[addressKey(a)] = true
	}
	isKnown := func(a string) bool { return keys[addressKey(a)] }
	some := false
	for i := range list {
		some = some || isKnown(list[i].address)
	}
	out := list[:0:0]
	for _, x := range list {
		if !strings.Contains(x.address, "@") {
			a := pick(known, x.address)
			if a == "" && len(known) == 0 && d.env.daemon && d.env.from != "" && (d.env.score() >= 5 || n.format != "" && n.format != "generic") {
				a = x.address + "@" + domainOf(d.env.from)
			}
			if a == "" {
				continue
			}
			x.address, x.strength = a, certain
		}
		k := addressKey(x.address)
		if !isKnown(x.address) && (k == to && (n.format == "" || n.format == "generic") && !(x.strength == certain && d.env.nullPath) || x.strength < certain && (k == sender || k == to)) {
			continue // a notice about mail that was kept from the one who reads it
		}
		if x.strength < certain && d.ofList(k) {
			continue
		}
		if x.strength == weak && some && !isKnown(x.address) {
			continue
		}
		out = append(out, x)
	}
	return out
}

// guess gives the recipient where the words name none: an address of the text
// to which the returned message went, the only address of the text, or the only
// recipient of the returned message. Where there are several nobody can tell.
func (d *draft) guess(n *notice) []found {
	known := d.wentTo()
	isKnown := make(map[string]bool, len(known))
	for _, a := range known {
		isKnown[addressKey(a)] = true
	}
	mine := map[string]bool{
		d.env.from: true,
		addressKey(addressIn(d.env.h.Text("To"))):              true,
		addressKey(addressIn(d.returnedHeader().Text("From"))): true,
	}
	f := finder{notice: n}
	var both, only []found
	seen := map[string]bool{}
	for from := 0; len(seen) < 100; {
		p, ok := nextAddress(n.text, from)
		if !ok {
			break
		}
		from = p.to
		k := addressKey(p.of(n.text))
		if seen[k] || !n.whole(p) || f.turnTo(p) || d.ofList(k) {
			continue
		}
		seen[k] = true
		x := found{address: p.of(n.text), strength: weak, from: p.from, to: p.to}
		f.out = append(f.out, x)
		if isKnown[k] {
			both = append(both, x)
		} else if l := n.lineAt(p.from); !mine[k] && !f.isSender(l) {
			only = append(only, x)
		}
	}
	reason := n.afterIntroduction()
	list := both
	if len(list) == 0 && len(only) == 1 && (d.env.daemon || n.ofMail(d.env.subject)) {
		list = only
	}
	if len(list) == 0 {
		list = d.listedByName(n)
	}
	if len(list) == 0 && len(known) > 0 {
		list = n.oneOf(known, domainOf(d.env.from))
	}
	if a := addressesIn(d.env.subject, 2); len(list) == 0 && len(a) == 1 && !mine[addressKey(a[0])] {
		list = []found{{address: a[0], strength: weak}}
	}
	if len(list) == 0 {
		if a := bouncedAddress(d.env.h); a != "" {
			list = []found{{address: a, strength: weak}}
		}
	}
	for i := range list {
		list[i].reason = reason
	}
	return list
}

// oneOf gives the recipient of the returned message that failed: the only one,
// or the only one whose name the notice has ("user bob does not exist"), or the
// only one at the domain that reports.
func (n *notice) oneOf(known []string, reporter string) []found {
	var called, local []string
	for _, a := range known {
		if name := asciiLower(localOf(a)); len(name) > 1 && hasWord(n.low, name) {
			called = append(called, a)
		}
		if reporter != "" && domainOf(a) == reporter {
			local = append(local, a)
		}
	}
	for _, list := range [...][]string{known, called, local} {
		if len(list) == 1 {
			return []found{{address: list[0], strength: weak}}
		}
	}
	return nil
}

// hasWord tells whether word stands in s on its own, not in an address.
func hasWord(s, word string) bool {
	for from := 0; ; {
		i := strings.Index(s[from:], word)
		if i < 0 {
			return false
		}
		i += from
		from = i + len(word)
		if i > 0 && (isLocalByte(s[i-1]) && s[i-1] != '\'' || s[i-1] == '@') {
			continue
		}
		rest := strings.TrimLeft(s[from:min(len(s), from+2)], ".'")
		if rest == "" || !isLocalByte(rest[0]) && rest[0] != '@' {
			return true
		}
	}
}

func (f *finder) isSender(l line) bool {
	c, _ := f.labelAt(skipBullets(f.text, l.first, l.to), l.to)
	return c == clsSender
}

// bouncedAddress takes the recipient out of the address that the report was
// sent to, where that is one of a variable envelope return path: the recipient
// with "=" for "@", before the last hyphen or plus.
func bouncedAddress(h message.Header) string {
	for _, name := range [...]string{"X-Bounced-Address", "X-Failed-Recipient", "X-Actual-Recipient"} {
		if a := addressIn(h.Get(name)); a != "" {
			return a
		}
	}
	for _, name := range [...]string{"To", "Delivered-To", "X-Original-To", "Envelope-To"} {
		local := localOf(addressIn(h.Get(name)))
		eq := strings.LastIndexByte(local, '=')
		if eq < 0 {
			continue
		}
		start := strings.LastIndexAny(local[:eq], "-+/")
		a := local[start+1:eq] + "@" + local[eq+1:]
		if p, ok := nextAddress(a, 0); ok && p.from == 0 && p.to == len(a) && strings.Contains(local[eq+1:], ".") {
			return a
		}
	}
	return ""
}

// afterIntroduction is the reason of a report that says nothing by recipient:
// the text from the first reply or words of failure on.
func (n *notice) afterIntroduction() string {
	from := -1
	for i := range n.hits {
		if c := n.hits[i].class; c == clsReason {
			if from = n.hits[i].to; from < len(n.text) && n.text[from] == ' ' {
				from = n.hits[i].from // in the middle of a sentence, which may tell who spoke
			}
			break
		}
	}
	if from < 0 {
		if at, ok := codeIn(n.text); ok {
			from = at
		} else {
			from = 0
		}
	}
	return foldReason(strings.TrimLeft(n.text[from:min(len(n.text), from+maxReason)], ": \n"))
}

// fromWords makes results of what the words say.
func (d *draft) fromWords(n *notice, list []found) []event.Bounce {
	tone := n.tone(&d.env)
	for i := range list {
		if list[i].action == mail.ActionDelayed {
			tone = mail.ActionFailed // the delayed ones have a list of their own
		}
	}
	results := make([]event.Bounce, 0, len(list))
	for i := range list {
		x := &list[i]
		b := event.Bounce{Recipient: x.address, Action: x.action, Ours: mail.OursUnknown}
		if x.original != "" && addressKey(x.original) != addressKey(x.address) {
			b.OrigRcpt = x.original
		}
		if b.Action == "" {
			b.Action = tone
		}
		if x.table {
			b.Status = n.statusCell()
		}
		reason, ip := attempts(x.reason)
		speak(&b, reason)
		if b.RemoteIP == "" {
			b.RemoteIP = ip
		}
		if x.host != "" {
			b.RemoteHost, b.Spoke = x.host, true
		} else if b.RemoteHost == "" && len(list) == 1 {
			if host, at := n.refusingHost(); host != "" {
				b.RemoteHost, b.RemoteIP = host, at
			}
		}
		results = append(results, b)
	}
	return results
}
