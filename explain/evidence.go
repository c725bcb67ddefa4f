package explain

import (
	"strings"
	"time"

	"github.com/postroad/postroad/diagnose"
	"github.com/postroad/postroad/diagnose/bounce"
	"github.com/postroad/postroad/diagnose/header"
	"github.com/postroad/postroad/event"
	"github.com/postroad/postroad/ingest/maillog"
	"github.com/postroad/postroad/lang"
	"github.com/postroad/postroad/mail"
	"github.com/postroad/postroad/message"
)

// mail answers a mail: a report of any kind, or an ordinary message.
func (x *Explainer) mail(m *message.Message) *Answer {
	return x.report(bounce.Read(m, x.bounces), &m.Parts[0].Header)
}

// notice answers a pasted report; kind unknown if it is none.
func (x *Explainer) notice(s string) *Answer {
	r := bounce.ReadText(s, x.bounces)
	if r.Kind == bounce.KindMessage {
		return x.unknown("kind.unknown", nil)
	}
	return x.report(r, nil)
}

// kinds maps the kinds of a report to those of an answer.
var kinds = map[bounce.Kind]Kind{
	bounce.KindBounce: KindBounce, bounce.KindDelayed: KindDelayed,
	bounce.KindDelivered: KindDelivered, bounce.KindFeedback: KindFeedback,
	bounce.KindAutoReply: KindAutoReply, bounce.KindChallenge: KindAutoReply,
	bounce.KindBackscatter: KindBackscatter, bounce.KindMessage: KindMessage,
}

func (x *Explainer) report(r bounce.Report, h *message.Header) *Answer {
	a := &Answer{Kind: kinds[r.Kind], About: r.Original.MessageID, challenge: r.Kind == bounce.KindChallenge}
	for _, w := range r.Why {
		a.Grounds = append(a.Grounds, x.reason(w))
		if strings.HasPrefix(w.Key, "bounce.ours.") {
			a.ground = a.Grounds[len(a.Grounds)-1]
		}
	}
	if h != nil {
		a.when, _ = message.ParseDate(h.Get("Date"))
	}
	for i := range r.Results {
		a.Results = append(a.Results, x.judged(&r.Results[i], a.when))
	}
	if c := r.Feedback; c != nil {
		a.Feedback = &Feedback{Type: c.Type, SourceIP: c.SourceIP}
		if len(c.Recipients) > 0 {
			// Not Reported-Domain: that is ours, which the complaint is about.
			a.Feedback.Recipient = c.Recipients[0]
			id := x.Providers.Identify("", domainOf(c.Recipients[0]), x.Now)
			if p := x.provider(id); p != nil {
				a.Feedback.reporter = p.Name
			}
		}
	}
	if r.Kind == bounce.KindMessage && h != nil {
		a.Headers = x.header(*h)
	}
	if len(a.Results) == 0 && (a.Kind == KindBounce || a.Kind == KindBackscatter || a.Kind == KindDelayed || a.Kind == KindDelivered) {
		a.Reason = x.Texts.Text("kind.no-failure", nil)
	}
	return a
}

// headers answers a header block.
func (x *Explainer) headers(m *message.Message) *Answer {
	h := m.Parts[0].Header
	if mailFields(h) == 0 {
		return x.unknown("kind.unknown", nil)
	}
	return &Answer{Kind: KindHeaders, Headers: x.header(h)}
}

func (x *Explainer) header(h message.Header) *Headers {
	out := &Headers{Report: header.Read(h, x.Now), Findings: []Finding{}, Why: []string{}}
	for _, f := range out.Report.Findings {
		text := x.Texts.Text(f.Key, lang.Args{"Value": f.Value, "Fragment": f.Fragment,
			"Host": f.Host, "Duration": x.Texts.Duration(f.Duration)})
		out.Findings = append(out.Findings, Finding{f, text})
	}
	for _, r := range out.Report.Why {
		text := x.reason(r)
		for _, f := range out.Findings { // a ground is mostly a finding, told with its value
			if f.Key == r.Key {
				text = f.Text
				break
			}
		}
		out.Why = append(out.Why, text)
	}
	if out.Hops == nil {
		out.Hops = []header.Hop{}
	}
	return out
}

// reply answers one SMTP reply, with whatever wrappers it was copied.
func (x *Explainer) reply(s string) *Answer {
	s = strings.TrimSpace(s)
	if len(s) > mail.MaxReply {
		s = s[:mail.MaxReply]
	}
	layers := diagnose.Peel(s)
	b := event.Bounce{Diagnostic: s}
	ev := diagnose.Evidence{Text: s}
	for _, l := range layers {
		if l.Host != "" {
			b.RemoteHost, b.RemoteIP = l.Host, l.IP
		} else if l.IP != "" && b.RemoteIP == "" {
			b.RemoteIP = l.IP
		}
	}
	r := x.result(&b, ev, "", time.Time{})
	if rcpt := namedRecipient(s, r.verdict.Class); rcpt != "" {
		b.Recipient = rcpt
		r = x.result(&b, ev, domainOf(rcpt), time.Time{})
	}
	if !looksLikeReply(layers, r.verdict) && x.As != KindReply {
		return x.unknown("kind.unknown", nil)
	}
	return &Answer{Kind: KindReply, Results: []Result{r}}
}

// namedRecipient gives the address that a reply about the recipient names in
// angle brackets. In other replies the address in brackets is the sender's as
// often as not.
func namedRecipient(s string, c mail.Class) string {
	switch c {
	case mail.RecipientUnknown, mail.RecipientInactive, mail.MailboxFull:
	default:
		return ""
	}
	for {
		_, after, ok := strings.Cut(s, "<")
		if !ok {
			return ""
		}
		inner, rest, ok := strings.Cut(after, ">")
		if !ok {
			return ""
		}
		if a, err := mail.ParseAddress(inner); err == nil {
			return a.String()
		}
		s = rest
	}
}

// firstLines is how many lines are tried before a text is taken for no log.
const firstLines = 50

func looksLikeLog(s string, x *Explainer) bool {
	n := 0
	for line := range strings.Lines(s) {
		if strings.TrimSpace(line) == "" {
			continue
		}
		if _, ok := maillog.ParseLine(strings.TrimRight(line, "\r\n"), 0, x.Zone); ok {
			return true
		}
		if n++; n == firstLines {
			return false
		}
	}
	return false
}

// log answers every delivery line of a log, up to [MaxAttempts]. A line about a
// session alone (one host that failed on the way, no recipient named) is told
// only where there is nothing better: the recipient's own line follows it.
func (x *Explainer) log(s string) *Answer {
	a := &Answer{Kind: KindLog}
	for _, sessions := range []bool{false, true} {
		for line := range strings.Lines(s) {
			l, ok := maillog.ParseLine(strings.TrimRight(line, "\r\n"), 0, x.Zone)
			if !ok || (l.Kind == maillog.KindSession) != sessions {
				continue
			}
			if len(a.Results) == MaxAttempts {
				a.More++
				continue
			}
			if a.when.IsZero() {
				a.when = l.Time
			}
			a.inbound = a.inbound || l.Direction == maillog.Inbound
			a.Results = append(a.Results, x.attempt(&l))
		}
		if len(a.Results) > 0 {
			return a
		}
	}
	return x.unknown("kind.unknown", nil)
}

func (x *Explainer) attempt(l *maillog.Line) Result {
	t := l.Attempt
	b := event.Bounce{
		Recipient:  t.Recipient,
		OrigRcpt:   t.OrigRcpt,
		Action:     actionOf(t),
		Status:     l.Enhanced.String(),
		Diagnostic: l.Diagnostic,
		Spoke:      t.Spoke,
		RemoteHost: t.RemoteHost,
		RemoteIP:   t.RemoteIP,
		Stage:      t.Stage,
		Outcome:    t.Outcome,
	}
	ev := diagnose.Evidence{Text: l.Diagnostic, Stage: t.Stage, Spoke: diagnose.Local}
	if t.Spoke {
		ev.Spoke = diagnose.Remote
	}
	ev.Status = l.Enhanced
	return x.result(&b, ev, domainOf(t.Recipient), l.Time)
}

func actionOf(t *event.Attempt) mail.Action {
	switch {
	case t.Outcome == mail.Delivered:
		return mail.ActionDelivered
	case t.Outcome == mail.Permanent || t.Final:
		return mail.ActionFailed
	}
	return mail.ActionDelayed
}
