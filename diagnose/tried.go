package diagnose

// Tried is one rule that was looked at for one layer of a reply, and what came
// of it.
type Tried struct {
	Layer    int    // number of the layer, outermost 0
	Line     string // the line on which the rule looked
	Turn     string // catalogue key of the round of questions
	Rule     *Rule
	Result   string // catalogue key, one of the tried... constants
	Fragment string // the piece of the line that it fits, "" if it does not
}

// What came of a rule, see lang/catalogue/rules.en.toml.
const (
	TriedWon      = "rules.test.won"       // it answers for its layer
	TriedOutcome  = "rules.test.outcome"   // its words fit, its outcome does not
	TriedNoFit    = "rules.test.no-fit"    // its words are there, its pattern does not fit
	TriedLater    = "rules.test.later"     // it would fit, another one came first
	TriedNotAsked = "rules.test.not-asked" // it would fit, but it is another provider's and no token
)

// Explain says which rules [Engine.Diagnose] looks at, layer by layer in the
// order in which they are asked: those whose words are in the text. The rest,
// nearly all, is ruled out by a word that is missing.
func (e *Engine) Explain(ev Evidence) []Tried {
	var out []Tried
	operators := e.providers(ev.Provider)
	layers := Peel(ev.Text)
	for i := range layers {
		s := e.subject(&layers[i], ev, i == len(layers)-1)
		turns := e.turns(nil, operators, layers[i].spoke(ev, len(layers)))
		tried := e.explain(i, &s, turns)
		if whole, ok := withWrapper(ev, layers, &s); ok && !won(tried) {
			if more := e.explain(i, &whole, e.turns(nil, operators, Local)); won(more) {
				tried, s = append(tried, more...), whole
			}
		}
		f := withStatus(&s)
		last := e.explain(i, f, []turn{e.tier(turnFallback, TierFallback, everyones, nil)})
		if won(tried) {
			for j := range last {
				if last[j].Result == TriedWon {
					last[j].Result = TriedLater
				}
			}
		}
		out = append(append(out, tried...), last...)
	}
	return out
}

func won(tried []Tried) bool {
	for _, t := range tried {
		if t.Result == TriedWon {
			return true
		}
	}
	return false
}

func (e *Engine) explain(layer int, s *subject, turns []turn) (out []Tried) {
	done := false
	seen := make(map[*Rule]bool)
	look := func(t *turn, i int, c candidates, asked bool) {
		r := t.table.rules[i]
		from, end, fits := t.table.find(i, s, c)
		tried := Tried{Layer: layer, Line: s.line, Turn: t.key, Rule: r, Result: TriedNoFit}
		if fits {
			tried.Fragment = s.fragment(from, end)
		}
		switch {
		case fits && !r.about(s):
			tried.Result = TriedOutcome
		case fits && !asked:
			tried.Result = TriedNotAsked
			if t.key == turnToken {
				tried.Turn = turnProvider // it is no token: that turn merely came across it
			}
		case fits && done:
			tried.Result = TriedLater
		case fits:
			tried.Result, done = TriedWon, true
		}
		if fits || asked && !done {
			out = append(out, tried)
		}
	}
	for k := range turns {
		t := &turns[k]
		var b room
		c := t.table.candidates(s, &b, e.slow)
		for i := c.rules.next(t.from, t.end); i >= 0; i = c.rules.next(i+1, t.end) {
			if r := t.table.rules[i]; t.asks(r) && !seen[r] {
				seen[r] = true
				look(t, i, c, true)
			}
		}
	}
	for k := range turns {
		t := &turns[k]
		var b room
		c := t.table.candidates(s, &b, e.slow)
		for i := c.rules.next(t.from, t.end); i >= 0; i = c.rules.next(i+1, t.end) {
			if r := t.table.rules[i]; !seen[r] {
				seen[r] = true
				look(t, i, c, false)
			}
		}
	}
	return out
}
