package diagnose

import (
	"regexp/syntax"
	"sync"

	"github.com/postroad/postroad/mail"
)

// Tier is when a rule is asked. Within a tier the first rule that fits wins, in
// the order of the files; the files in the order of their names.
type Tier uint8

// The tiers, in the order in which they are asked of a reply that a remote host
// wrote. Where the sending side wrote the text, TierLocal comes before
// TierGeneric: "Host not found, try again" is about a resolver there.
const (
	TierProvider Tier = iota // texts of one provider; asked for it, and everywhere if they are tokens
	TierGeneric              // texts that many write
	TierLocal                // texts of the sender's own queue
	TierFallback             // codes, and the mere subject of a text
)

var tierNames = [...]string{"provider", "generic", "local", "fallback"}

// String gives the word that rule files use.
func (t Tier) String() string { return tierNames[t] }

// confidence is what a rule of the tier is worth if it says nothing itself.
func (t Tier) confidence() float64 { return [...]float64{0.95, 0.85, 0.85, 0.5}[t] }

// Rule is one entry of a rule file.
type Rule struct {
	ID           string
	Provider     string // operator id; "" if it is no single provider's text
	Brand        string // information only
	Tier         Tier
	Token        bool // only this provider writes the text
	Match        string
	Outcome      mail.Outcome // "" for any
	Class        mail.Class
	Contributing []mail.Class
	Retry        mail.Retry // "" for the class's own
	Actor        mail.Actor // "" for the class's own
	Confidence   float64    // 0 for the tier's own
	Advice       string
	Note         string
	Sources      []string
	Examples     []string
	File         string // where it stands
	Line         int
	Own          bool // the operator's own, not shipped

	splitOnce sync.Once
	branches  []branch // see alternatives
}

// branch is one of the alternatives at the top of a pattern. Rules are wide
// alternatives, and nearly all of them can be ruled out one by one.
type branch struct {
	tree  *syntax.Regexp // for folded text
	needs [][]string     // literals without which it cannot fit, see needs

	once     sync.Once
	forward  *machine
	backward *machine
}

// confidence is the rule's own figure or its tier's.
func (r *Rule) confidence() float64 {
	if r.Confidence != 0 {
		return r.Confidence
	}
	return r.Tier.confidence()
}
