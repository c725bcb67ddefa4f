package diagnose

import (
	"math/bits"
	"slices"

	"github.com/postroad/postroad/mail"
)

// kind is the place of a rule in the engine's list: the operator's own first,
// then by tier.
type kind int

const (
	kindOwn kind = iota
	kindProvider
	kindGeneric
	kindLocal
	kindFallback
	turns = 5
)

func (r *Rule) kind() kind {
	if r.Own {
		return kindOwn
	}
	return kindProvider + kind(r.Tier)
}

// candidates are the rules that may fit a subject, as bits by their number.
type candidates []uint64

// next gives the first candidate from i on and below end, -1 if there is none.
func (c candidates) next(i, end int) int {
	for i < end {
		if w := c[i/64] >> (i % 64); w != 0 {
			if i += bits.TrailingZeros64(w); i < end {
				return i
			}
			return -1
		}
		i = i/64*64 + 64
	}
	return -1
}

func (c candidates) drop(i int) { c[i/64] &^= 1 << (i % 64) }

// candidates finds the rules worth asking about a subject. found is room for
// their bits.
func (e *Engine) candidates(s *subject, found candidates) candidates {
	if e.slow || !s.foldable {
		for i := range e.rules {
			found[i/64] |= 1 << (i % 64)
		}
		return found
	}
	copy(found, e.always)
	e.index.scan(s.folded, found)
	return found
}

// try asks one rule, if it is a candidate still; a rule that does not fit is
// asked only once.
func (e *Engine) try(i int, s *subject, c candidates) (answer, bool) {
	r := e.rules[i]
	if e.slow || !s.foldable || r.holds(s.folded) {
		if at := r.find(s); at != nil {
			return answer{r, r.Class, s.fragment(at)}, true
		}
	}
	c.drop(i)
	return answer{}, false
}

// room is enough for the bits of every rule of a usual engine without an
// allocation.
type room [32]uint64

func (b *room) bits(e *Engine) candidates {
	if n := words(len(e.rules)); n <= len(b) {
		return b[:n]
	}
	return make(candidates, words(len(e.rules)))
}

// ask runs the tiers on one subject, all but the fallback: the operator's own
// rules, the provider's, tokens of any provider, then generic and local ones,
// local first where no remote host spoke. operators are the provider and those
// whose texts it writes.
func (e *Engine) ask(s *subject, operators []string, spoke Spoke) answer {
	var b room
	c := e.candidates(s, b.bits(e))
	if a, ok := e.own(s, c, operators); ok {
		return a
	}
	for _, id := range operators {
		if a, ok := e.run(s, c, kindProvider, func(r *Rule) bool { return r.Provider == id }); ok {
			return a
		}
	}
	if a, ok := e.run(s, c, kindProvider, func(r *Rule) bool { return r.Token }); ok {
		return a
	}
	one, other := kindGeneric, kindLocal
	if spoke == Local {
		one, other = other, one
	}
	if a, ok := e.run(s, c, one, nil); ok {
		return a
	}
	if a, ok := e.run(s, c, other, nil); ok {
		return a
	}
	return answer{class: mail.Unknown}
}

// own runs the operator's own rules: all tiers in the order of the file.
func (e *Engine) own(s *subject, c candidates, operators []string) (answer, bool) {
	return e.run(s, c, kindOwn, func(r *Rule) bool {
		return r.Provider == "" || r.Token || slices.Contains(operators, r.Provider)
	})
}

// run asks the candidates of one kind that pass the filter; nil passes all.
func (e *Engine) run(s *subject, c candidates, k kind, pass func(*Rule) bool) (answer, bool) {
	end := e.first[k+1]
	for i := c.next(e.first[k], end); i >= 0; i = c.next(i+1, end) {
		if pass != nil && !pass(e.rules[i]) {
			continue
		}
		if a, ok := e.try(i, s, c); ok {
			return a, true
		}
	}
	return answer{}, false
}

// fallback judges by the code alone; the report's status stands in for a code
// that the text lacks.
func (e *Engine) fallback(s *subject) answer {
	f := *s
	if !s.status.IsZero() {
		f = newSubject(s.status.String() + " " + s.line)
		f.outcome = s.outcome
	}
	var b room
	c := e.candidates(&f, b.bits(e))
	if a, ok := e.run(&f, c, kindFallback, nil); ok {
		return a
	}
	return answer{class: mail.Unknown}
}
