package diagnose

import (
	"slices"

	"github.com/postroad/postroad/mail"
)

// turn is one round of questions: some rules of a table, in their order, the
// first that fits wins.
type turn struct {
	key       string // of its name in the catalogue
	table     *table
	from, end int // which rules of the table
	whose     whose
	operators []string
}

// whose says which of the turn's rules are asked.
type whose uint8

const (
	everyones whose = iota
	theirs          // rules of the operators
	tokens          // rules whose text only one provider writes
	theirsToo       // rules of the operators, tokens, and those that are no provider's
)

func (t *turn) asks(r *Rule) bool {
	switch t.whose {
	case theirs:
		return slices.Contains(t.operators, r.Provider)
	case tokens:
		return r.Token
	case theirsToo:
		return r.Provider == "" || r.Token || slices.Contains(t.operators, r.Provider)
	}
	return true
}

// Names of the turns, see lang/catalogue/rules.en.toml.
const (
	turnOwn      = "rules.turn.own"
	turnProvider = "rules.turn.provider"
	turnToken    = "rules.turn.token"
	turnGeneric  = "rules.turn.generic"
	turnLocal    = "rules.turn.local"
	turnFallback = "rules.turn.fallback"
)

// turns gives the order in which rules are asked, all but the fallback: the
// operator's own rules, the provider's, those of the operators whose texts it
// also writes, tokens of any provider, then generic and local ones, local first
// where no remote host spoke. room is where they are put.
func (e *Engine) turns(room []turn, operators []string, spoke Spoke) []turn {
	turns := room[:0]
	if e.own != nil {
		turns = append(turns, turn{turnOwn, e.own, 0, len(e.own.rules), theirsToo, operators})
	}
	for i := range operators {
		turns = append(turns, e.tier(turnProvider, TierProvider, theirs, operators[i:i+1]))
	}
	turns = append(turns, e.tier(turnToken, TierProvider, tokens, nil))
	generic, local := e.tier(turnGeneric, TierGeneric, everyones, nil), e.tier(turnLocal, TierLocal, everyones, nil)
	if spoke == Local {
		return append(turns, local, generic)
	}
	return append(turns, generic, local)
}

func (e *Engine) tier(key string, i Tier, w whose, operators []string) turn {
	return turn{key, e.shipped, e.shipped.tier[i], e.shipped.tier[i+1], w, operators}
}

// asking is a subject and the rules of both tables worth asking about it.
type asking struct {
	s            *subject
	own, shipped candidates
}

func (q *asking) of(t *table, e *Engine) candidates {
	if t == e.own {
		return q.own
	}
	return q.shipped
}

// ask runs the turns on one subject.
func (e *Engine) ask(s *subject, operators []string, spoke Spoke) answer {
	var own, shipped room
	q := asking{s: s, shipped: e.shipped.candidates(s, &shipped, e.slow)}
	if e.own != nil {
		q.own = e.own.candidates(s, &own, e.slow)
	}
	var space [8]turn
	turns := e.turns(space[:], operators, spoke)
	for i := range turns {
		if a, ok := turns[i].run(s, q.of(turns[i].table, e)); ok {
			return a
		}
	}
	return answer{class: mail.Unknown}
}

// run asks the candidates of the turn. What was asked in vain is dropped, so that
// a rule that has two turns is asked once.
func (t *turn) run(s *subject, c candidates) (answer, bool) {
	for i := c.rules.next(t.from, t.end); i >= 0; i = c.rules.next(i+1, t.end) {
		r := t.table.rules[i]
		if !t.asks(r) {
			continue
		}
		if r.about(s) {
			if from, end, ok := t.table.find(i, s, c); ok {
				return answer{r, r.Class, s.fragment(from, end)}, true
			}
		}
		c.rules.drop(i)
	}
	return answer{}, false
}

// about reports whether the rule is about replies of the subject's outcome.
func (r *Rule) about(s *subject) bool { return r.Outcome == "" || r.Outcome == s.outcome }

// fallback judges where no wording is known: by the code, or by what the text is
// about.
func (e *Engine) fallback(s *subject) answer {
	f := withStatus(s)
	var b room
	last := e.tier(turnFallback, TierFallback, everyones, nil)
	if a, ok := last.run(f, e.shipped.candidates(f, &b, e.slow)); ok {
		return a
	}
	return answer{class: mail.Unknown}
}

// withStatus puts the report's status before a line that has no code of its own.
func withStatus(s *subject) *subject {
	if s.status.IsZero() {
		return s
	}
	with := newSubject(s.status.String() + " " + s.line)
	with.outcome = s.outcome
	return &with
}
