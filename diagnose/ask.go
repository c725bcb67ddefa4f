package diagnose

import (
	"slices"

	"github.com/postroad/postroad/mail"
)

// ask runs the tiers on one subject, all but the fallback: the operator's own
// rules, the provider's, tokens of any provider, then generic and local ones,
// local first where no remote host spoke. operators are the provider and those
// whose texts it writes.
func (e *Engine) ask(s *subject, operators []string, spoke Spoke) answer {
	if a, ok := e.askOwn(s, operators); ok {
		return a
	}
	t := e.shipped
	var b room
	c := t.candidates(s, &b, e.slow)
	tier := func(i Tier, pass func(*Rule) bool) (answer, bool) { return t.run(s, c, t.tier[i], t.tier[i+1], pass) }
	for _, id := range operators {
		if a, ok := tier(TierProvider, func(r *Rule) bool { return r.Provider == id }); ok {
			return a
		}
	}
	if a, ok := tier(TierProvider, func(r *Rule) bool { return r.Token }); ok {
		return a
	}
	one, other := TierGeneric, TierLocal
	if spoke == Local {
		one, other = other, one
	}
	if a, ok := tier(one, nil); ok {
		return a
	}
	if a, ok := tier(other, nil); ok {
		return a
	}
	return answer{class: mail.Unknown}
}

// askOwn runs the operator's own rules, all tiers in the order of the files.
func (e *Engine) askOwn(s *subject, operators []string) (answer, bool) {
	if e.own == nil {
		return answer{}, false
	}
	var b room
	c := e.own.candidates(s, &b, e.slow)
	return e.own.run(s, c, 0, len(e.own.rules), func(r *Rule) bool {
		return r.Provider == "" || r.Token || slices.Contains(operators, r.Provider)
	})
}

// fallback judges by the code alone; the report's status stands in for a code
// that the text lacks.
func (e *Engine) fallback(s *subject) answer {
	f := s
	if !s.status.IsZero() {
		with := newSubject(s.status.String() + " " + s.line)
		with.outcome = s.outcome
		f = &with
	}
	var b room
	t := e.shipped
	c := t.candidates(f, &b, e.slow)
	if a, ok := t.run(f, c, t.tier[TierFallback], t.tier[TierFallback+1], nil); ok {
		return a
	}
	return answer{class: mail.Unknown}
}
