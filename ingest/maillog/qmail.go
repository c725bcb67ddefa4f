package maillog

import (
	"strings"
)

// qmail reads the lines of qmail-send that surround a result:
//
//	info msg 123: bytes 456 from <a@b> qp 789 uid 64011
//	starting delivery 3: msg 123 to remote c@d
//	delivery 3: success: ...
//	end msg 123
//
// The result names neither message nor recipient; the line before it does.
// handled is false for lines that are not of these.
func (r *Reader) qmail(p *prefix, raw []byte, now int64) (handled bool, err error) {
	s := p.rest
	if _, after, ok := cutUnix(s); ok { // splogger's own stamp
		s = after
	}
	if rest, ok := strings.CutPrefix(s, "info msg "); ok {
		id, rest, _ := strings.Cut(rest, ": ")
		i := strings.Index(rest, " from <")
		if i < 0 {
			return false, nil
		}
		sender, _ := angle(rest[i+len(" from "):])
		key := r.key(id)
		r.join.begin(key, now)
		r.join.sender(key, now, sender)
		return true, nil
	}
	if id, ok := strings.CutPrefix(s, "end msg "); ok {
		r.join.removed(r.key(id), now)
		return true, nil
	}
	if rest, ok := strings.CutPrefix(s, "starting "); ok {
		delivery, rest, _ := strings.Cut(rest, ": msg ")
		id, rest, _ := strings.Cut(rest, " to ")
		where, recipient, _ := strings.Cut(rest, " ")
		if !strings.HasPrefix(delivery, "delivery ") || where != "remote" && where != "local" {
			return false, nil
		}
		key := r.key(delivery)
		m := r.join.open(key, now)
		r.join.clear(m)
		m.client = r.join.keep(0, recipient, id, "")
		return true, nil
	}
	if !strings.HasPrefix(s, "delivery ") || !r.parse(p) {
		return false, nil
	}
	delivery, _, _ := strings.Cut(s, ": ")
	m := r.join.find(r.key(delivery), now)
	if m == nil {
		return false, nil
	}
	r.l.Attempt.Recipient, r.l.Attempt.QueueID, _ = cutNUL(r.join.texts.get(m.client))
	r.join.removed(r.key(delivery), now)
	return true, r.joined(p, raw, now)
}
