package diagnose

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"github.com/postroad/postroad/mail"
	"github.com/postroad/postroad/provider"
)

//go:embed rules/*.toml
var shipped embed.FS

// Spoke says who wrote a text.
type Spoke uint8

// The answers; SpokeUnknown where the evidence does not say.
const (
	SpokeUnknown Spoke = iota
	Remote             // a remote host: it is its reply
	Local              // the sending side: no remote host spoke
)

// Evidence is one refusal and what is known beside its text.
type Evidence struct {
	Text     string        // as the evidence has it, wrappers and all; may be many lines
	Status   mail.Enhanced // the report's own code, outside the text; zero if there is none
	Provider string        // operator id of the receiving provider, or ""
	Spoke    Spoke         // who wrote the text, if something beside it says so
	Stage    mail.Stage    // in which the attempt ended, if something beside the text says so
}

// Options are what an engine is made of beside the shipped rules.
type Options struct {
	// Rules are the operator's own files. They are asked before the shipped
	// ones, in this order.
	Rules []*RuleFile
	// Texts gives the operators whose texts a provider also writes; nil asks the
	// shipped catalogue of providers.
	Texts func(operator string) []string
}

// Engine answers what a reply means. It never changes once it is made.
type Engine struct {
	rules  []*Rule // in the order in which they are asked: own, provider, generic, local, fallback
	first  [turns + 1]int
	branch []*branch // of all rules, in their order
	from   []uint16  // where a rule's branches begin; one more than there are rules
	owner  []uint16  // whose a branch is
	index  *index
	always []uint64 // branches without a usable literal
	slow   bool     // ask every rule; the tests compare with it
	texts  func(string) []string
}

// Shipped gives the engine with the shipped rules alone, made once.
func Shipped() (*Engine, error) { return shippedOnce() }

var shippedOnce = sync.OnceValues(func() (*Engine, error) { return New(Options{}) })

// New makes an engine of the shipped rules and those of o.
func New(o Options) (*Engine, error) {
	files, err := ShippedRules()
	if err != nil {
		return nil, err
	}
	return newEngine(o, files)
}

// ShippedRules reads the rule files that are part of the program.
func ShippedRules() ([]*RuleFile, error) {
	names, err := fs.Glob(shipped, "rules/*.toml")
	if err != nil {
		return nil, fmt.Errorf("list shipped rules: %w", err)
	}
	var files []*RuleFile
	var faults []error
	for _, name := range names {
		data, err := shipped.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read shipped rules: %w", err)
		}
		f, err := ParseRules(strings.TrimPrefix(name, "rules/"), data)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		files = append(files, f)
	}
	return files, errors.Join(faults...)
}

func newEngine(o Options, files []*RuleFile) (*Engine, error) {
	e := &Engine{texts: o.Texts}
	if e.texts == nil {
		e.texts = shippedTexts
	}
	seen := make(map[string]*Rule)
	add := func(files []*RuleFile, own bool) error {
		for _, f := range files {
			for _, r := range f.Rules {
				if before := seen[r.ID]; before != nil {
					return fmt.Errorf("%s:%d: rule %q stands in %s:%d already; rename one of them", r.File, r.Line, r.ID, before.File, before.Line)
				}
				seen[r.ID] = r
				r.Own = own
				e.rules = append(e.rules, r)
			}
		}
		return nil
	}
	if err := add(o.Rules, true); err != nil {
		return nil, err
	}
	own := len(e.rules)
	if err := add(files, false); err != nil {
		return nil, err
	}
	slices.SortStableFunc(e.rules[own:], func(a, b *Rule) int { return int(a.Tier) - int(b.Tier) })
	e.divide()
	if err := e.file(); err != nil {
		return nil, err
	}
	return e, nil
}

// divide notes where each kind of rule begins.
func (e *Engine) divide() {
	for i, r := range e.rules {
		e.first[r.kind()+1] = i + 1
	}
	for k := 1; k < len(e.first); k++ {
		e.first[k] = max(e.first[k], e.first[k-1])
	}
}

// file puts the rules' branches into the index.
func (e *Engine) file() error {
	var literals []string
	var owners []uint16
	for i, r := range e.rules {
		e.from = append(e.from, uint16(len(e.branch)))
		for j := range r.branches {
			b := &r.branches[j]
			for _, l := range b.index() {
				literals, owners = append(literals, l), append(owners, uint16(len(e.branch)))
			}
			e.branch, e.owner = append(e.branch, b), append(e.owner, uint16(i))
		}
		if len(r.branches) == 0 { // cannot be folded: a branch that is always asked stands for it
			e.branch, e.owner = append(e.branch, nil), append(e.owner, uint16(i))
		}
	}
	if len(e.branch) > maxBranches {
		return fmt.Errorf("take in rules: their patterns have %d alternatives, at most %d; use fewer rules", len(e.branch), maxBranches)
	}
	e.from = append(e.from, uint16(len(e.branch)))
	e.always = make([]uint64, words(len(e.branch)))
	for i, b := range e.branch {
		if b == nil || len(b.needs) == 0 {
			e.always[i/64] |= 1 << (i % 64)
		}
	}
	e.index = newIndex(literals, owners)
	return nil
}

// maxBranches bounds the engine: branches are numbered with 16 bits.
const maxBranches = 60000

// index gives the literals under which the branch is filed.
func (b *branch) index() []string {
	if len(b.needs) == 0 {
		return nil
	}
	return b.needs[0]
}

func words(bits int) int { return (bits + 63) / 64 }

// shippedTexts asks the shipped catalogue. Its own tests hold it right; were it
// broken, a provider's own rules would still be asked.
func shippedTexts(operator string) []string {
	c, err := provider.Shipped()
	if err != nil {
		return nil
	}
	return c.Texts(operator)
}

// Rules lists the engine's rules in the order in which they are asked.
func (e *Engine) Rules() []*Rule { return slices.Clone(e.rules) }

// Rule finds a rule by its id, nil if there is none.
func (e *Engine) Rule(id string) *Rule {
	for _, r := range e.rules {
		if r.ID == id {
			return r
		}
	}
	return nil
}
