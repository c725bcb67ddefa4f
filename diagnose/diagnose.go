package diagnose

import (
	"strings"

	"github.com/postroad/postroad/mail"
)

// Keys of the reasons that a diagnosis gives, see lang/catalogue/why.en.toml.
// Each speaks of one piece of the evidence.
const (
	whyToken      = "why.token"            // the words that only this provider writes
	whyProvider   = "why.provider-text"    // words that this provider is known to write
	whyText       = "why.rule-text"        // words whose meaning is known
	whyOwn        = "why.own-rule"         // words that the operator's own rule knows
	whyCode       = "why.code-only"        // the code, the words are not known
	whyTopic      = "why.topic"            // the wording is not known, only what it is about
	whyInner      = "why.inner-reply"      // the inner reply's code: it decided
	whyTempInside = "why.temporary-inside" // the same, temporary under a permanent one
	whyOuter      = "why.outer-reply"      // the outer reply that decided, as the inner one says nothing
	whyNoRemote   = "why.no-remote"        // the sending side's words
	whyNoBlame    = "why.no-blame"         // the text, which names no cause but the broken connection
	whyUnknown    = "why.unknown-text"     // the text, which no rule knows
	whyNoText     = "why.no-text"          // the report's status: there is no text
	whyNothing    = "why.nothing"          // nothing at all
	whySynthetic  = "why.synthetic"        // the mark of what we wrote ourselves
)

// outerDiscount is how much less a verdict is worth that an outer layer gave:
// it summarises, and may do so wrongly.
const outerDiscount = 0.85

// answer is what one layer says by itself.
type answer struct {
	rule     *Rule
	class    mail.Class
	fragment string // of the subject's line, where the rule's pattern fits
}

// Diagnose says what the reply means. It is a pure function of the evidence and
// the rules.
func (e *Engine) Diagnose(ev Evidence) mail.Diagnosis {
	if strings.Contains(ev.Text, mail.SyntheticMark) {
		return synthetic(ev)
	}
	layers := Peel(ev.Text)
	if len(layers) == 0 {
		return e.diagnoseStatus(ev)
	}
	subjects := make([]subject, len(layers))
	answers := make([]answer, len(layers))
	rules := e.providers(ev.Provider)
	for i := range layers {
		subjects[i] = e.subject(&layers[i], ev, i == len(layers)-1)
		answers[i] = e.ask(&subjects[i], rules, layers[i].spoke(ev, len(layers)))
	}
	at := decide(answers)
	if at < 0 && answers[0].rule == nil {
		at = e.wholeText(ev, layers, subjects, answers, rules)
	}
	if at < 0 {
		for i := len(layers) - 1; i >= 0 && at < 0; i-- {
			if answers[i].rule != nil {
				continue
			}
			answers[i] = e.fallback(&subjects[i])
			if says(answers, i) {
				at = i
			}
		}
	}
	if at < 0 {
		at = len(layers) - 1
	}
	return verdict(ev, layers, subjects, answers, at)
}

// wholeText asks the rules about the words with their wrapper, where what is
// inside says nothing: "refused to talk to me: too busy".
func (e *Engine) wholeText(ev Evidence, layers []Layer, subjects []subject, answers []answer, operators []string) int {
	s, ok := withWrapper(ev, layers, &subjects[0])
	if !ok {
		return -1
	}
	a := e.ask(&s, operators, Local)
	if a.rule == nil {
		return -1
	}
	subjects[0], answers[0] = s, a
	return decide(answers)
}

// withWrapper gives the subject with its wrapper, if one was taken off.
func withWrapper(ev Evidence, layers []Layer, inner *subject) (subject, bool) {
	text := tidy(ev.Text)
	if len(layers) != 1 || len(text) == len(layers[0].Text) {
		return subject{}, false
	}
	s := newSubject(canonical(parseReply(text)))
	s.outcome, s.status = inner.outcome, inner.status
	return s, true
}

// subject makes the line on which the rules look. The report's own status is
// the innermost layer's where that has no code at all.
func (e *Engine) subject(l *Layer, ev Evidence, innermost bool) subject {
	s := newSubject(canonical(l.Reply))
	s.outcome = l.Reply.Outcome()
	if s.outcome == "" && innermost {
		s.outcome = mail.OutcomeOf(0, ev.Status)
	}
	if innermost && l.Reply.Enhanced.IsZero() {
		s.status = ev.Status
	}
	return s
}

// spoke combines what the wrapper says with what the evidence says, which is
// about the outermost words.
func (l *Layer) spoke(ev Evidence, layers int) Spoke {
	switch {
	case l.Remote:
		return Remote
	case layers == 1 && ev.Spoke != SpokeUnknown:
		return ev.Spoke
	case l.Local:
		return Local
	}
	return SpokeUnknown
}

// providers gives the operators whose rules are asked: the provider and those
// whose texts it also writes.
func (e *Engine) providers(operator string) []string {
	if operator == "" {
		return nil
	}
	ids := make([]string, 1, 4)
	ids[0] = operator
	return append(ids, e.texts(operator)...)
}

// decide gives the layer whose answer counts, -1 if none says anything: the
// innermost that does.
func decide(answers []answer) int {
	for i := len(answers) - 1; i >= 0; i-- {
		if says(answers, i) {
			return i
		}
	}
	return -1
}

// says reports whether the layer's answer can be the verdict. "Expired" is one
// only where nothing is inside.
func says(answers []answer, i int) bool {
	return answers[i].class != mail.Unknown && (answers[i].class != mail.Expired || i == len(answers)-1)
}

// verdict puts the answer of layer at into words.
func verdict(ev Evidence, layers []Layer, subjects []subject, answers []answer, at int) mail.Diagnosis {
	last := len(layers) - 1
	a := answers[at]
	d := mail.Diagnosis{Class: a.class, Stage: layers[at].Stage, Chain: make([]mail.Link, len(layers))}
	if d.Stage == mail.StageUnknown && last == 0 {
		d.Stage = ev.Stage
	}
	for i := range layers {
		r := layers[i].Reply
		d.Chain[i] = mail.Link{Code: r.Code, Enhanced: r.Enhanced, Text: r.Text(), Class: answers[i].class}
	}
	d.Why = make([]mail.Reason, 0, 3)
	switch {
	case last > 0 && at == last:
		d.Why = append(d.Why, insideReason(subjects[0].outcome, subjects[last].outcome, layers[last].Reply))
	case at < last:
		d.Why = append(d.Why, mail.Reason{Key: whyOuter, Fragment: subjects[at].line})
	}
	if a.rule == nil {
		d.Retry, d.Actor = mail.RetryByCode(subjects[at].outcome), mail.Unknown.Actor()
		d.Why = append(d.Why, mail.Reason{Key: whyUnknown, Fragment: subjects[at].line})
		return d
	}
	apply(&d, a, &subjects[at])
	if at < last {
		d.Confidence *= outerDiscount
	}
	if layers[at].spoke(ev, len(layers)) == Local {
		d.Why = append(d.Why, mail.Reason{Key: whyNoRemote, Fragment: subjects[at].line})
		if d.Class == mail.System && d.Actor == mail.ActorReceivingProvider {
			d.Actor = mail.ActorSender // the trouble is inside the server that speaks
		}
	}
	if d.Class == mail.Transport && len(d.Contributing) == 0 && a.rule.Tier != TierFallback {
		d.Why = append(d.Why, mail.Reason{Key: whyNoBlame, Fragment: subjects[at].line})
	}
	return d
}

// insideReason says that the inner reply decided.
func insideReason(outer, inner mail.Outcome, r mail.Reply) mail.Reason {
	code := mail.Reply{Code: r.Code, Enhanced: r.Enhanced}.String()
	if code == "" {
		code = r.Text()
	}
	if outer == mail.Permanent && inner == mail.Temporary {
		return mail.Reason{Key: whyTempInside, Fragment: code}
	}
	return mail.Reason{Key: whyInner, Fragment: code}
}

// apply takes over what the rule says.
func apply(d *mail.Diagnosis, a answer, s *subject) {
	r := a.rule
	d.Rule, d.Contributing, d.Confidence, d.Advice = r.ID, r.Contributing, r.confidence(), r.Advice
	d.Retry, d.Actor = r.Retry, r.Actor
	if d.Retry == "" {
		d.Retry = r.Class.Retry()
		if r.Class == mail.Unknown {
			d.Retry = mail.RetryByCode(s.outcome)
		}
	}
	if d.Actor == "" {
		d.Actor = r.Class.Actor()
	}
	if r.Token {
		d.Provider = r.Provider
	}
	d.Why = append(d.Why, mail.Reason{Key: r.why(a.fragment), Fragment: a.fragment})
}

// why is the reason that a rule gives for its verdict.
func (r *Rule) why(fragment string) string {
	switch {
	case r.Own:
		return whyOwn
	case r.Token:
		return whyToken
	case r.Tier == TierProvider:
		return whyProvider
	case r.Tier == TierFallback && strings.Trim(fragment, "0123456789. ") != "":
		return whyTopic
	case r.Tier == TierFallback:
		return whyCode
	}
	return whyText
}

// diagnoseStatus judges evidence without a text.
func (e *Engine) diagnoseStatus(ev Evidence) mail.Diagnosis {
	s := newSubject(ev.Status.String())
	s.outcome = mail.OutcomeOf(0, ev.Status)
	d := mail.Diagnosis{Class: mail.Unknown, Stage: ev.Stage, Retry: mail.RetryByCode(s.outcome), Actor: mail.ActorUnknown}
	if !ev.Status.IsZero() {
		if a := e.fallback(&s); a.rule != nil {
			d.Class = a.class
			apply(&d, a, &s)
			return d
		}
	}
	key := whyNoText
	if s.line == "" {
		key = whyNothing
	}
	d.Why = []mail.Reason{{Key: key, Fragment: s.line}}
	return d
}

// synthetic answers for a text that we wrote ourselves: it says nothing about
// anybody else.
func synthetic(ev Evidence) mail.Diagnosis {
	r := parseReply(tidy(ev.Text))
	return mail.Diagnosis{
		Class: mail.Unknown, Stage: ev.Stage, Retry: mail.RetryByCode(r.Outcome()), Actor: mail.ActorUnknown,
		Why:   []mail.Reason{{Key: whySynthetic, Fragment: mail.SyntheticMark}},
		Chain: []mail.Link{{Code: r.Code, Enhanced: r.Enhanced, Text: r.Text(), Class: mail.Unknown}},
	}
}
