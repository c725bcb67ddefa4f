// Package explain answers the question of somebody who holds one piece of
// evidence: which receiving provider, which phase, why, whose move it is, what
// to do.
//
// What comes in is bytes: a mail, a mailbox, a pasted notice, headers, one SMTP
// reply, a log line; the kind is told by itself. What goes out is an [Answer],
// as JSON or as text in the reader's language. It reads evidence with
// diagnose/bounce, diagnose/header and ingest/maillog, recognises the receiver
// with provider, and judges with diagnose; it asks nothing of the network and
// keeps nothing. The command explain uses it, a page can.
package explain

import (
	"errors"
	"strings"
	"time"

	"github.com/postroad/postroad/diagnose"
	"github.com/postroad/postroad/diagnose/bounce"
	"github.com/postroad/postroad/event"
	"github.com/postroad/postroad/lang"
	"github.com/postroad/postroad/mail"
	"github.com/postroad/postroad/message"
	"github.com/postroad/postroad/provider"
)

// MaxAttempts is how many attempts of one log are answered one by one; beyond
// it they are counted in Answer.More.
const MaxAttempts = 1000

// Options say with what an [Explainer] works. Engine, Providers and Texts are
// needed.
type Options struct {
	Engine    *diagnose.Engine
	Providers *provider.Catalogue
	Texts     *lang.Catalogue
	Ours      []string       // our domains, hosts and addresses
	As        Kind           // KindMessage, KindBounce (a pasted notice), KindHeaders, KindReply or KindLog; "" = told by itself
	Now       time.Time      // for what has no date; zero = the time of New
	Zone      *time.Location // of log stamps without one; nil = local
	Limits    message.Limits
}

// Explainer answers; it is safe for concurrent use.
type Explainer struct {
	Options
	bounces bounce.Options
}

// New makes an Explainer.
func New(o Options) (*Explainer, error) {
	if o.Engine == nil || o.Providers == nil || o.Texts == nil {
		return nil, errors.New("explain: engine, providers and texts are needed")
	}
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	if o.Zone == nil {
		o.Zone = time.Local
	}
	return &Explainer{Options: o, bounces: bounce.Options{Ours: o.Ours}}, nil
}

// judged turns one recipient of a report into its result.
func (x *Explainer) judged(b *event.Bounce, at time.Time) Result {
	domain := domainOf(b.Recipient)
	ev := diagnose.Evidence{
		Text:     b.Diagnostic,
		Stage:    b.Stage,
		Spoke:    diagnose.Local,
		Provider: "",
	}
	if b.Spoke {
		ev.Spoke = diagnose.Remote
	}
	ev.Status, _, _ = mail.ParseEnhanced(b.Status)
	if !b.LastAttempt.IsZero() {
		at = b.LastAttempt
	}
	return x.result(b, ev, domain, at)
}

// result is the one way from facts to an answer, whatever they were read from.
// at is when the attempt was made, zero where the evidence does not say.
func (x *Explainer) result(b *event.Bounce, ev diagnose.Evidence, domain string, at time.Time) Result {
	day := at
	if day.IsZero() {
		day = x.Now
	}
	id := x.Providers.Identify(b.RemoteHost, domain, day)
	ev.Provider = id.ID
	d := x.Engine.Diagnose(ev)
	if d.Provider != "" && (id.ID == "" || id.By == provider.ByDomain && strings.HasPrefix(id.ID, "domain:")) {
		// No host is named and the domain is nobody's that we know, but only
		// one provider writes this text.
		if p, ok := x.Providers.ByID(d.Provider); ok {
			id = provider.Identity{ID: p.ID, Name: p.Name}
		}
	}
	r := Result{
		Recipient:         b.Recipient,
		OriginalRecipient: b.OrigRcpt,
		Action:            b.Action,
		Status:            b.Status,
		RemoteHost:        b.RemoteHost,
		RemoteIP:          b.RemoteIP,
		Outcome:           b.Outcome,
		Ours:              b.Ours,
		Provider:          x.provider(id),
		verdict:           d,
		at:                at,
		until:             b.WillRetryUntil,
	}
	stage := b.Stage
	if stage == mail.StageUnknown {
		stage = d.Stage
	}
	if stage != mail.StageUnknown {
		r.Stage = &stage
	}
	if r.Ours == "" {
		r.Ours = mail.OursUnknown
	}
	x.fillReply(&r, b, d)
	if r.Outcome != mail.Delivered {
		r.Diagnosis = x.diagnosis(d)
		if d.Class == mail.Unknown {
			r.Diagnosis.Template = diagnose.Template(ev.Text)
		}
	}
	r.Explanation = x.explanation(&r)
	r.Next = x.next(&r)
	return r
}

// fillReply takes code, enhanced code and text from the outermost layer that
// has them: that is what the reader sees in the report.
func (x *Explainer) fillReply(r *Result, b *event.Bounce, d mail.Diagnosis) {
	reply := b.Reply.Mail()
	r.Text = oneLine(b.Diagnostic)
	for _, l := range d.Chain {
		if reply.Code == 0 {
			reply.Code = l.Code
		}
		if reply.Enhanced.IsZero() {
			reply.Enhanced = l.Enhanced
		}
	}
	if reply.Code != 0 {
		r.Code = &reply.Code
	}
	r.Enhanced = reply.Enhanced.String()
	if r.Status == "" {
		r.Status = r.Enhanced
	}
	if r.Outcome == "" {
		r.Outcome = mail.OutcomeOf(reply.Code, reply.Enhanced)
	}
	if r.Outcome == "" {
		// Neither an action nor a code: the class tells, and where that is not
		// known either, nobody said that it was final.
		r.Outcome = mail.Temporary
		if d.Retry == mail.RetryNever || d.Retry == mail.RetryAfterFix {
			r.Outcome = mail.Permanent
		}
	}
}

func (x *Explainer) provider(id provider.Identity) *Provider {
	if id.ID == "" {
		return nil
	}
	p := &Provider{ID: id.ID, Name: id.Name, Brand: id.Brand}
	known, ok := x.Providers.ByID(id.ID)
	if !ok {
		return p
	}
	p.known = true
	p.domains = exampleDomains(known)
	page, _ := known.SenderPage()
	p.link = page.URL
	return p
}

// exampleDomains gives one domain of each of the provider's first brands: they
// tell the reader which other recipients share the fate of this one.
func exampleDomains(p *provider.Provider) []string {
	var out []string
	for _, b := range p.Brands {
		if len(b.Domains) > 0 && len(out) < 3 {
			out = append(out, b.Domains[0].Name)
		}
	}
	return out
}

func (x *Explainer) diagnosis(d mail.Diagnosis) *Diagnosis {
	out := &Diagnosis{
		Class:        d.Class,
		Contributing: append([]mail.Class{}, d.Contributing...),
		Retry:        d.Retry,
		Actor:        d.Actor,
		Confidence:   d.Confidence,
		Rule:         d.Rule,
		Why:          make([]string, 0, len(d.Why)),
		Chain:        make([]Link, 0, len(d.Chain)),
	}
	for _, w := range d.Why {
		out.Why = append(out.Why, x.reason(w))
	}
	for _, l := range d.Chain {
		link := Link{Enhanced: l.Enhanced.String(), Text: l.Text, Class: l.Class}
		if l.Code != 0 {
			link.Code = &l.Code
		}
		out.Chain = append(out.Chain, link)
	}
	return out
}

func (x *Explainer) reason(r mail.Reason) string {
	return x.Texts.Text(r.Key, lang.Args{"Fragment": r.Fragment, "Value": r.Fragment})
}

// domainOf gives the domain of a recipient, "" for a local name.
func domainOf(recipient string) string {
	i := strings.LastIndexByte(recipient, '@')
	if i < 0 {
		return ""
	}
	return mail.NormalDomain(recipient[i+1:])
}

// oneLine joins the lines of a text with single spaces.
func oneLine(s string) string {
	if !strings.ContainsAny(s, "\r\n\t") {
		return strings.TrimSpace(s)
	}
	return strings.Join(strings.Fields(s), " ")
}
