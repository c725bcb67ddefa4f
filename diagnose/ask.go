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

// bitset is a set of numbers.
type bitset []uint64

// next gives the first member from i on and below end, -1 if there is none.
func (c bitset) next(i, end int) int {
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

func (c bitset) add(i int) { c[i/64] |= 1 << (i % 64) }

// candidates are the branches that may fit a subject, and the rules whose they
// are. A rule that was asked in vain is dropped.
type candidates struct {
	branches bitset
	rules    bitset
}

// room is enough for the bits of a usual engine without an allocation.
type room struct{ branches, rules [64]uint64 }

// candidates finds the rules worth asking about a subject; b is room for the
// answer.
func (e *Engine) candidates(s *subject, b *room) candidates {
	c := candidates{b.branches[:], b.rules[:]}
	if words(len(e.branch)) > len(c.branches) {
		c.branches = make(bitset, words(len(e.branch)))
	}
	if words(len(e.rules)) > len(c.rules) {
		c.rules = make(bitset, words(len(e.rules)))
	}
	if e.slow || !s.foldable {
		for i := range e.rules {
			c.rules.add(i)
		}
		return c
	}
	copy(c.branches, e.always)
	e.index.scan(s.folded, c.branches)
	for i := c.branches.next(0, len(e.branch)); i >= 0; i = c.branches.next(i+1, len(e.branch)) {
		c.rules.add(int(e.owner[i]))
	}
	return c
}

// try asks one rule, if it is a candidate still; a rule that does not fit is
// asked only once.
func (e *Engine) try(i int, s *subject, c candidates) (answer, bool) {
	r := e.rules[i]
	if r.Outcome == "" || r.Outcome == s.outcome {
		if from, end, ok := e.find(i, s, c); ok {
			return answer{r, r.Class, s.fragment(from, end)}, true
		}
	}
	c.rules[i/64] &^= 1 << (i % 64)
	return answer{}, false
}

// find gives the place of the subject that a rule fits: of its branches the one
// whose match begins first.
func (e *Engine) find(i int, s *subject, c candidates) (from, end int, ok bool) {
	if !s.foldable || e.branch[e.from[i]] == nil {
		return e.rules[i].findExact(s)
	}
	for j := int(e.from[i]); j < int(e.from[i+1]); j++ {
		b := e.branch[j]
		if !e.slow && (c.branches[j/64]>>(j%64)&1 == 0 || !b.holds(s.folded)) {
			continue
		}
		if f, t, fits := b.find(s.folded); fits && (!ok || f < from) {
			from, end, ok = f, t, true
		}
	}
	return from, end, ok
}

// ask runs the tiers on one subject, all but the fallback: the operator's own
// rules, the provider's, tokens of any provider, then generic and local ones,
// local first where no remote host spoke. operators are the provider and those
// whose texts it writes.
func (e *Engine) ask(s *subject, operators []string, spoke Spoke) answer {
	var b room
	c := e.candidates(s, &b)
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
	for i := c.rules.next(e.first[k], end); i >= 0; i = c.rules.next(i+1, end) {
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
	c := e.candidates(&f, &b)
	if a, ok := e.run(&f, c, kindFallback, nil); ok {
		return a
	}
	return answer{class: mail.Unknown}
}
