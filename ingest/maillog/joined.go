package maillog

import (
	"hash/maphash"
	"strings"

	"github.com/postroad/postroad/event"
	"github.com/postroad/postroad/mail"
)

// message sorts the messages of a log: what the join has to know, what is a
// result, and all the rest, which are the most and have to go fast.
func (r *Reader) message(p *prefix, raw []byte, cutShort bool) error {
	now := int64(0)
	if !p.time.IsZero() {
		now = p.time.Unix()
		r.logs++
	} else if p.tag != "" {
		r.logs++
	}
	m := p.rest
	if len(m) < 7 {
		if p.time.IsZero() && p.tag == "" {
			r.o.Skip(r.n, event.SkipUnknown)
		}
		return nil
	}
	if len(r.wait.lines) > 0 {
		if err := r.overdue(now); err != nil {
			return err
		}
	}
	if p.host != r.host {
		r.newHost(p.host)
	}
	id, text := firstWord(m)
	if id == "" {
		if strings.HasPrefix(p.tag, "postfix") && !sessionBegins(m) {
			return nil
		}
		return r.other(p, raw, now, cutShort)
	}
	switch text[0] {
	case 't':
		if strings.HasPrefix(text, "to=<") && isQueueID(id) {
			r.clean(p)
			if !postfixText(&r.l, id, text, true) {
				break // Sendmail's look the same
			}
			r.finish()
			return r.joined(p, raw, now)
		}
	case 'c':
		if client, ok := strings.CutPrefix(text, "client="); ok {
			r.taken(r.key(id), now, client)
			return nil
		}
	case 'm':
		if value, ok := strings.CutPrefix(text, "message-id="); ok {
			key := r.key(id)
			r.wait.useful = true
			r.join.messageID(key, now, bareID(value))
			return r.release(key)
		}
	case 'f':
		if strings.HasPrefix(text, "from=") {
			return r.from(p, raw, now, id, text)
		}
	case 'r':
		if text == "removed" {
			key := r.key(id)
			if err := r.release(key); err != nil {
				return err
			}
			r.join.removed(key, now)
			return nil
		}
	case 'u':
		if strings.HasPrefix(text, "uid=") {
			r.join.begin(r.key(id), now)
			return nil
		}
	}
	return r.result(p, raw, now, cutShort)
}

// sessionBegins tells the words that the SMTP client's lines about one host
// begin with.
func sessionBegins(s string) bool {
	switch s[0] {
	case 'h':
		return strings.HasPrefix(s, "host ")
	case 'c':
		return strings.HasPrefix(s, "connect to ") || strings.HasPrefix(s, "conversation with ") || strings.HasPrefix(s, "certificate ")
	case 'l':
		return strings.HasPrefix(s, "lost connection with ")
	case 'S':
		return strings.HasPrefix(s, "SSL_connect error") || strings.HasPrefix(s, "SASL authentication failed; server ")
	case 'T':
		return strings.HasPrefix(s, "TLS is required")
	}
	return false
}

// key is the join's key of a queue id on the host of this line.
func (r *Reader) key(id string) uint64 {
	return maphash.String(r.join.seed, id) ^ r.hosted*0x9e3779b97f4a7c15
}

// bareID takes the brackets off a Message-ID.
func bareID(s string) string {
	if n := len(s); n > 2 && s[0] == '<' && s[n-1] == '>' {
		return s[1 : n-1]
	}
	return s
}

// taken reads smtpd's "client=host[ip], sasl_method=PLAIN, sasl_username=user".
func (r *Reader) taken(key uint64, now int64, s string) {
	host, ip, _, rest, _ := hostIP(s)
	if host == "unknown" {
		host = ""
	}
	user := ""
	if i := strings.Index(rest, "sasl_username="); i >= 0 {
		user, _, _ = strings.Cut(rest[i+len("sasl_username="):], ", ")
	}
	r.join.client(key, now, host, ip, user)
}

// from reads the queue manager's "from=<a>, size=1234, nrcpt=1 (queue active)"
// and "from=<a>, status=expired, returned to sender", and Sendmail's "from=<a>,
// size=1234, class=0, nrcpts=1, msgid=<x>, proto=ESMTP, relay=host [ip]".
func (r *Reader) from(p *prefix, raw []byte, now int64, id, text string) error {
	sender, rest := angle(text[len("from="):])
	key := r.key(id)
	switch {
	case strings.HasPrefix(rest, ", status="):
		return r.expired(p, raw, now, key)
	case strings.Contains(rest, ", msgid="):
		r.sendmail(key, now, text)
	default:
		r.join.sender(key, now, sender)
	}
	return nil
}

// sendmail reads the line with which Sendmail takes a message.
func (r *Reader) sendmail(key uint64, now int64, text string) {
	rest := text[len("from="):]
	var sender string
	if strings.HasPrefix(rest, "<") {
		sender, _ = angle(rest)
	} else {
		sender, _, _ = strings.Cut(rest, ", ")
	}
	host, ip := "", ""
	if i := strings.LastIndex(rest, ", relay="); i >= 0 {
		host, ip, _, _, _ = hostIP(rest[i+len(", relay="):])
	}
	r.join.client(key, now, host, ip, "")
	r.join.sender(key, now, sender)
	if i := strings.Index(rest, ", msgid="); i >= 0 {
		value, _, _ := strings.Cut(rest[i+len(", msgid="):], ", ")
		r.join.messageID(key, now, bareID(value))
	}
}

// other reads what is no line of Postfix with a queue id.
func (r *Reader) other(p *prefix, raw []byte, now int64, cutShort bool) error {
	m := p.rest
	if strings.HasPrefix(p.tag, "postfix") {
		return r.result(p, raw, now, cutShort)
	}
	var l Line
	s := m
	if eximPrefix(&l, &s, r.cut) {
		n, ok := isEximID(s)
		if !ok || len(s) < n+4 {
			return r.result(p, raw, now, cutShort)
		}
		id, text := s[:n], trim(s[n:])
		switch {
		case strings.HasPrefix(text, "<= "):
			r.eximTaken(r.key(id), now, text[3:])
			return nil
		case text == "Completed", strings.HasPrefix(text, "Completed "):
			r.join.removed(r.key(id), now)
			return nil
		}
		return r.result(p, raw, now, cutShort)
	}
	if handled, err := r.qmail(p, raw, now); handled {
		return err
	}
	if i := strings.Index(m, ": from="); i > 0 && i <= 32 && strings.Contains(m[i:], ", msgid=") {
		r.sendmail(r.key(m[:i]), now, m[i+2:])
		return nil
	}
	return r.result(p, raw, now, cutShort)
}

// eximTaken reads "sender H=host (helo) [ip] P=esmtpsa A=plain:user S=1234 id=x".
func (r *Reader) eximTaken(key uint64, now int64, s string) {
	end := addressEnd(s)
	sender := s[:end]
	l := Line{room: &r.room}
	l.Attempt = l.begin()
	r.room.login, r.room.id, r.room.local = "", "", ""
	l.eximFields(trim(s[end:]))
	user := r.room.login
	if _, login, ok := strings.Cut(user, ":"); ok {
		user = login
	} else if user == "" {
		user = r.room.local
	}
	r.join.client(key, now, l.Attempt.RemoteHost, l.Attempt.RemoteIP, user)
	if sender == "<>" {
		sender = ""
	}
	r.join.sender(key, now, sender)
	if r.room.id != "" {
		r.join.messageID(key, now, bareID(r.room.id))
	}
}

// parse reads a line into r.l.
func (r *Reader) parse(p *prefix) bool {
	r.clean(p)
	if !parseMessage(&r.l, *p, r.cut) {
		return false
	}
	r.finish()
	return true
}

func (r *Reader) clean(p *prefix) {
	r.l = Line{Time: p.time, Host: p.host, Service: p.tag, PID: p.pid, room: &r.room}
}

func (r *Reader) finish() {
	l := &r.l
	l.Origin.Host, l.Origin.Grade = l.Host, event.GradeLog
	if l.Direction == "" {
		l.Direction = Outbound
	}
	finish(l.Attempt, l)
}

// firstWord takes off the word of letters and digits that stands before the
// first colon, where a queue id would stand.
func firstWord(s string) (word, rest string) {
	for i := 0; i < len(s) && i <= 32; i++ {
		c := s[i]
		if '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' {
			continue
		}
		if c == ':' && i >= 5 && i+2 < len(s) && s[i+1] == ' ' {
			return s[:i], s[i+2:]
		}
		break
	}
	return "", s
}

// result reads a line that tells of a delivery, a session or a refusal.
func (r *Reader) result(p *prefix, raw []byte, now int64, cutShort bool) error {
	if !r.parse(p) {
		if cutShort && strings.Contains(p.rest, ": to=<") {
			r.o.Skip(r.n, event.SkipCut)
		} else if p.time.IsZero() && p.tag == "" {
			r.o.Skip(r.n, event.SkipUnknown)
		}
		return nil
	}
	return r.joined(p, raw, now)
}

// joined gives the line in r.l out with what is known of its message.
func (r *Reader) joined(p *prefix, raw []byte, now int64) error {
	r.logs++
	id := r.l.Attempt.QueueID
	if id == "" || r.l.Direction == Inbound {
		return r.visit(&r.l, raw)
	}
	key := r.key(id)
	m := r.join.find(key, now)
	if m != nil && m.marks&over != 0 && now-m.born > ordered {
		// The queue id is used afresh, and the lines that begin it are not here.
		r.join.clear(m)
		m.born = now
	}
	if r.l.Kind == KindDelivery && now != 0 && r.wait.useful && (m == nil || m.id == 0 && now-m.born <= ordered) {
		if m == nil {
			r.join.open(key, now)
		}
		return r.hold(key, now, p, raw)
	}
	return r.tell(key, now, m, p.rest, raw)
}

// tell gives the line in r.l out, joined.
func (r *Reader) tell(key uint64, now int64, m *message, rest string, raw []byte) error {
	l := &r.l
	if m == nil {
		if l.Attempt.Outcome != mail.Temporary || l.Kind != KindDelivery && l.Kind != KindSuspended {
			return r.visit(l, raw)
		}
		m = r.join.open(key, now)
	}
	switch l.Kind {
	case KindDelivery, KindSuspended:
		if l.Origin.Format == FormatExim && l.Status == "**" && strings.HasPrefix(l.Diagnostic, "retry time") {
			if done, err := r.eximExpired(m, raw); done {
				return err
			}
		}
		deferral := ""
		if !l.Attempt.Final {
			deferral = rest
		}
		n := r.join.attempt(m, l.Attempt.Recipient, l.Service, deferral, l.Kind == KindDelivery)
		if l.Attempt.Number == 0 {
			l.Attempt.Number = n
		}
	}
	r.know(m)
	return r.visit(l, raw)
}

// know puts into the attempt what is known of its message.
func (r *Reader) know(m *message) {
	a, t := r.l.Attempt, &r.join.texts
	if m.marks&named != 0 {
		a.Sender = t.get(m.sender)
		if a.SenderDomain == "" {
			a.SenderDomain = domainOf(a.Sender)
		}
	}
	if m.id != 0 {
		a.MessageID = t.get(m.id)
	}
	if m.client != 0 {
		a.Client, a.ClientIP, a.User = cutNUL(t.get(m.client))
	}
}

// expired gives a message that was given up out as one event for each recipient
// that is still waiting, with the answer to its last attempt. Where none is
// known it is one event without a recipient.
func (r *Reader) expired(p *prefix, raw []byte, now int64, key uint64) error {
	if err := r.release(key); err != nil {
		return err
	}
	if !r.parse(p) {
		return nil
	}
	status := r.l.Status
	m := r.join.find(key, now)
	if m == nil {
		return r.visit(&r.l, raw)
	}
	queueID, part := r.l.Attempt.QueueID, 0
	for i := m.rcpts; i != 0; {
		w := r.join.waiter(i)
		i = w.next
		if w.done || w.last == 0 {
			continue
		}
		if !r.again(p, w, status) {
			continue
		}
		r.l.Part, r.l.Attempt.QueueID = part, queueID
		if m.marks&begun != 0 {
			r.l.Attempt.Number = int(w.attempts)
		}
		r.know(m)
		part++
		w.done = true
		if err := r.visit(&r.l, raw); err != nil {
			return err
		}
	}
	if part > 0 {
		return nil
	}
	if !r.parse(p) {
		return nil
	}
	r.know(m)
	return r.visit(&r.l, raw)
}

// again reads the last deferral of a recipient into r.l, as what ends it now.
func (r *Reader) again(p *prefix, w *waiter, status string) bool {
	service, rest, _ := cutNUL(r.join.texts.get(w.last))
	last := *p
	last.tag, last.rest = service, rest
	if !r.parse(&last) {
		return false
	}
	l := &r.l
	l.Kind, l.Status, l.Attempt.Final = KindExpired, status, true
	l.Service, l.BeforeQ, l.InQ, l.Took, l.Attempt.Delay = p.tag, 0, 0, 0, 0
	return true
}

// eximExpired gives "** address: retry timeout exceeded" the answer to the last
// attempt, which is what it is about.
func (r *Reader) eximExpired(m *message, raw []byte) (done bool, err error) {
	l := &r.l
	recipient := l.Attempt.Recipient
	key := maphash.String(r.join.seed, recipient) ^ m.key*0x9e3779b97f4a7c15
	i, ok := r.join.rcpts[key]
	if !ok {
		return false, nil
	}
	w := r.join.waiter(i)
	p := prefix{time: l.Time, host: l.Host, tag: l.Service, pid: l.PID}
	status := l.Status
	if w.last == 0 || !r.again(&p, w, status) {
		return false, nil
	}
	w.done = true
	if m.marks&begun != 0 {
		l.Attempt.Number = int(w.attempts)
	}
	r.know(m)
	return true, r.visit(l, raw)
}
