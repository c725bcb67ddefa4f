package bounce

import (
	"strings"

	"github.com/postroad/postroad/mail"
)

// readReceipt reads a disposition notification (RFC 8098): the recipient's
// program tells that the mail was shown or deleted. A mailbox answered.
func readReceipt(d *draft) (Report, bool) {
	if d.receipt == nil {
		return Report{}, false
	}
	r := d.report("mdn", whyReceipt)
	r.Kind = KindAutoReply
	r.Original = readOriginal(d.returnedHeader())
	return r, true
}

// readChallenge reads the question of a filter that holds the mail until the
// sender proves to be a person.
func readChallenge(d *draft) (Report, bool) {
	named := ""
	for _, name := range [...]string{"X-Boxtrapper", "X-Challenge", "X-Delivery-Agent", "X-TMDA-Fingerprint", "X-Primary-Address", "X-AskVersion", "X-Spamarrest"} {
		if v := d.env.h.Get(name); v != "" && (name != "X-Delivery-Agent" || strings.Contains(v, "TMDA")) && name != "X-Primary-Address" {
			named = name
		}
	}
	if strings.HasPrefix(strings.TrimLeft(d.env.subject, " re:"), "your email requires verification") {
		named = d.env.subject
	}
	if named == "" {
		if d.env.certain || d.env.list || len(d.status) > 0 || d.env.undeliv && d.env.daemon {
			return Report{}, false
		}
		if !d.env.nullPath && !d.env.generated && !d.env.replied && !d.env.daemon && !d.env.answer && !d.env.robot {
			return Report{}, false
		}
		n := d.notice()
		marks := 0
		for i := range n.hits {
			if n.hits[i].class == clsChallenge {
				if marks++; marks == 1 {
					named = n.text[n.hits[i].from:n.hits[i].to]
				}
			}
		}
		if marks == 0 || marks == 1 && !d.env.nullPath && !d.env.replied {
			return Report{}, false
		}
	}
	r := d.report("challenge", whyChallenge)
	r.Kind = KindChallenge
	r.Why[0] = mail.Reason{Key: whyChallenge, Fragment: named}
	r.Original = readOriginal(d.returned)
	return r, true
}

// readAutoReply reads vacation notices and the like (RFC 3834). Auto-generated
// alone is no reply: every program marks its mail so.
func readAutoReply(d *draft) (Report, bool) {
	e := &d.env
	reply := e.replied || e.vacation && (e.nullPath || e.generated || e.answer || e.h.Has("In-Reply-To") || e.h.Has("References") || e.h.Has("X-Auto-Response-Suppress") || e.startsVacation())
	if !reply || e.list {
		return Report{}, false
	}
	if _, ok := readUnsubscribe(d); ok {
		return Report{}, false
	}
	r := d.report("auto-reply", whyAuto)
	r.Kind = KindAutoReply
	r.Why[0].Fragment = e.subject
	r.Original = readOriginal(d.returned)
	return r, true
}

// startsVacation reports whether the subject begins with words of an automatic
// reply, as "Automatic reply: Order 17" does.
func (e *envelope) startsVacation() bool {
	start := strings.TrimLeft(e.subject, " [*\"'")
	for _, h := range subjects().find(start, nil) {
		if h.detail == "auto-reply" && h.from == 0 {
			rest := strings.TrimSpace(start[h.to:])
			return rest == "" || rest[0] == ':' || rest[0] == '(' || rest[0] == '-' || rest[0] == ']' || h.to-h.from > 8
		}
	}
	return false
}
