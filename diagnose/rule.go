package diagnose

import (
	"regexp"
	"strings"
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
	TierFallback             // codes alone
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

	once    sync.Once
	pattern *regexp.Regexp // over folded text
	exact   *regexp.Regexp // over text as written, for what cannot be folded
}

// confidence is the rule's own figure or its tier's.
func (r *Rule) confidence() float64 {
	if r.Confidence != 0 {
		return r.Confidence
	}
	return r.Tier.confidence()
}

// compile makes the pattern on first use. [ParseRules] has parsed it already,
// so that it cannot fail here.
func (r *Rule) compile() {
	r.once.Do(func() {
		r.pattern = regexp.MustCompile("(?i)" + r.Match)
	})
}

// find gives the place where the rule's pattern fits the subject, nil if it
// does not.
func (r *Rule) find(s *subject) []int {
	r.compile()
	return r.pattern.FindStringIndex(s.line)
}

// fits reports whether the rule takes the subject.
func (r *Rule) fits(s *subject) bool {
	if r.Outcome != "" && r.Outcome != s.outcome {
		return false
	}
	r.compile()
	return r.pattern.MatchString(s.line)
}

// subject is one layer as rules see it.
type subject struct {
	line    string // canonical
	outcome mail.Outcome
	status  mail.Enhanced // the report's, where the line has no enhanced code
}

// fragment is the piece of the line that the rule's pattern fits.
func (s *subject) fragment(r *Rule) string {
	at := r.find(s)
	if at == nil {
		return s.line
	}
	return strings.Trim(s.line[at[0]:at[1]], " ")
}
