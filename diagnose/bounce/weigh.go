package bounce

import (
	"strings"

	"github.com/postroad/postroad/mail"
)

// speaks weighs the words of a notice, together with the envelope. The less the
// envelope says, the more the words must: a person may write "could not be
// delivered" under a subject of this kind, but has no list, no form and no
// reply code; and a list alone is no failure.
func (d *draft) speaks(n *notice, list []found) bool {
	env := d.env.score()
	words := 0
	if n.format == "generic" {
		words = 1
	} else if n.format != "" {
		words = 2
	}
	if len(list) > 0 {
		words += int(list[0].strength) - 1
	}
	if d.returnedHeader().Len() > 0 {
		words++
	}
	if words == 0 && (len(d.status) > 0 || n.failing() || env >= 5 && (d.env.undeliv || d.env.certain || !n.familiar())) {
		words = 1
	}
	switch {
	case words == 0 || env+words < 4:
		return false
	case !d.env.daemon && !d.env.nullPath && !d.env.certain && !d.env.robot:
		if d.env.silent && words == 2 {
			_, code := codeIn(n.text)
			return code && d.env.titled
		}
		return words >= 3 && d.env.titled
	case d.env.named && !d.env.undeliv && !d.env.certain && !d.env.robot:
		// A postmaster who writes to people: a report has no sender to answer.
		return words >= 3 && n.format != "" && n.format != "generic"
	case !d.env.daemon && !d.env.undeliv && !d.env.certain && !d.env.robot && words < 2:
		return false // programs send much without a return path that is no report
	case env < 4:
		return n.failing() || n.format != "" && n.format != "generic"
	}
	return true
}

// familiar tells a text in a language whose words of failure are known, by words
// that every other sentence has: if it has none of those words, it is about
// something else. A daemon that writes in another language is believed.
func (n *notice) familiar() bool {
	for _, w := range [...]string{" the ", " your ", " der ", " die ", " ihre ", " les ", " votre ", " vous ", " los ", " su ", " il ", " della ", " os ", " sua ", " uw "} {
		if strings.Contains(n.low, w) || strings.HasPrefix(n.low, w[1:]) {
			return true
		}
	}
	return false
}

// about tells a report that names nobody from what else a daemon writes to a
// mailbox of its own: that its quota is used up, that a password ends.
func (d *draft) about(n *notice) bool {
	if d.env.undeliv || d.env.certain || n.format != "" || len(d.status) > 0 || d.returnedHeader().Len() > 0 {
		return true
	}
	_, code := codeIn(n.text)
	return code
}

// toReader tells a text whose only address is that of the one who reads it:
// mail about the own mailbox, most of it fraud ("5 messages to you could not be
// delivered, click here").
func (d *draft) toReader(n *notice) bool {
	p, ok := nextAddress(n.text, 0)
	if !ok || d.env.certain || len(d.status) > 0 || d.returnedHeader().Len() > 0 {
		return false
	}
	to := addressKey(addressIn(d.env.h.Text("To")))
	for ; ok; p, ok = nextAddress(n.text, p.to) {
		if addressKey(p.of(n.text)) != to {
			return false
		}
	}
	_, code := codeIn(n.text)
	return !code
}

// failing reports whether the text speaks of a failure at all.
func (n *notice) failing() bool {
	for i := range n.hits {
		if c := n.hits[i].class; c == clsFailed || c == clsFinal || c == clsDelay {
			return true
		}
	}
	_, ok := codeIn(n.text)
	return ok
}

// tone is what a notice says as a whole: a warning, unless something is over.
func (n *notice) tone(e *envelope) mail.Action {
	late := false
	for _, w := range [...]string{
		"delay", "still being retried", "verz", "retard", "ritard", "retras", "atras", "différé", "vertra", "försen",
		"fördröj", "forsink", "opóźni", "zpožd", "viiväs", "задерж", "отлож", "затрим", "遅延", "延迟", "延遲", "지연",
	} {
		late = late || strings.Contains(e.subject, w)
	}
	switch {
	case e.success && n.final == 0 && n.delay == 0:
		return mail.ActionDelivered
	case n.delay == 0 && (!late || n.final > 0):
		return mail.ActionFailed // "delivery delayed" is also how some begin the last report
	case n.final == 0 || n.sure || late || strings.Contains(e.subject, "warning"):
		return mail.ActionDelayed
	}
	return mail.ActionFailed
}
