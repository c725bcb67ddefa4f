package bounce

import (
	"strings"

	"github.com/postroad/postroad/mail"
	"github.com/postroad/postroad/message"
)

// readForwarded looks for a report in a mail that is none: attached by somebody
// who asks what it means, or pasted below "Forwarded message".
func readForwarded(d *draft) (Report, bool) {
	if d.depth >= maxDepth {
		return Report{}, false
	}
	var all Report
	for _, p := range d.attached {
		if p.Body.Len() == 0 || len(all.Results) >= MaxResults {
			continue
		}
		r := read(d.m, p, d.depth+1)
		switch {
		case !r.isReport():
		case all.Kind == "":
			all = r
		default:
			all.add(&r)
		}
	}
	if all.Kind != "" {
		return all.forwarded("message/rfc822"), true
	}
	if d.env.robot && d.texts != nil && strings.TrimSpace(d.notice().text) == "" {
		return d.insideReturned() // Majordomo asks an owner to approve a report that came to the list
	}
	if !d.env.forward {
		return Report{}, false
	}
	text := d.notification()
	if !strings.Contains(text, "@") {
		return Report{}, false
	}
	if r := readPasted(text, d.depth+1); r.isReport() {
		return r.forwarded(d.env.subject), true
	}
	return Report{}, false
}

// add takes over the results of another report that was forwarded in the same
// mail. A recipient stays what the first report said.
func (r *Report) add(other *Report) {
	if r.Kind == KindFeedback || other.Kind == KindFeedback {
		return
	}
	seen := make(map[string]bool, len(r.Results))
	for i := range r.Results {
		seen[addressKey(r.Results[i].Recipient)] = true
	}
	for i := range other.Results {
		if k := addressKey(other.Results[i].Recipient); !seen[k] {
			seen[k] = true
			r.Results = append(r.Results, other.Results[i])
		}
	}
	r.Kind = kindOf(r.Results)
}

func (r *Report) isReport() bool {
	switch r.Kind {
	case KindBounce, KindDelayed, KindDelivered:
		return len(r.Results) > 0
	case KindFeedback:
		return true
	}
	return false
}

func (r Report) forwarded(fragment string) Report {
	r.Why = append(r.Why, mail.Reason{Key: whyForwarded, Fragment: fragment})
	return r
}

// insideReturned reads the message that a report without recipients returns: a
// provider's note above the report that another host wrote.
func (d *draft) insideReturned() (Report, bool) {
	if d.depth >= maxDepth {
		return Report{}, false
	}
	for _, p := range d.attached {
		if p.Body.Len() == 0 {
			continue
		}
		if r := read(d.m, p, d.depth+1); r.isReport() {
			return r, true
		}
	}
	if d.n == nil || d.n.returned == "" {
		return Report{}, false
	}
	raw := afterRule(d.n.returned)
	m := message.Read([]byte(raw), message.Limits{})
	if r := read(m, &m.Parts[0], d.depth+1); r.isReport() {
		return r, true
	}
	return Report{}, false
}

// afterRule takes the line of the separator off.
func afterRule(s string) string {
	for range 4 {
		line, rest, ok := strings.Cut(s, "\n")
		if name, _, isField := statusField(line); isField && isMailName(name) || strings.HasPrefix(line, "From ") || !ok {
			return s
		}
		s = rest
	}
	return s
}
