package diagnose

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
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
	own     *table // the operator's; nil if there are none
	shipped *table
	texts   func(string) []string
	slow    bool // ask every rule; the tests compare with it
}

// Shipped gives the engine with the shipped rules alone, made once.
func Shipped() (*Engine, error) { return shippedOnce() }

var shippedOnce = sync.OnceValues(func() (*Engine, error) { return New(Options{}) })

// New makes an engine of the shipped rules and those of o.
func New(o Options) (*Engine, error) {
	t, err := shippedTable()
	if err != nil {
		return nil, err
	}
	e := &Engine{shipped: t, texts: o.Texts}
	if e.texts == nil {
		e.texts = shippedTexts
	}
	if len(o.Rules) == 0 {
		return e, nil
	}
	if err := e.takeIn(o.Rules); err != nil {
		return nil, err
	}
	return e, nil
}

// takeIn puts an operator's own rules before the shipped ones.
func (e *Engine) takeIn(files []*RuleFile) error {
	var own []*Rule
	for _, f := range files {
		for _, r := range f.Rules {
			r.Own = true
			own = append(own, r)
		}
	}
	if err := distinct(e.shipped.rules, own); err != nil {
		return err
	}
	t, err := newTable(own)
	e.own = t
	return err
}

// shippedTable gives the shipped rules ready for questions: as compiled if that
// was of these very files, else from the files.
var shippedTable = sync.OnceValues(func() (*table, error) {
	if t, of, err := readTable(compiledText); err == nil {
		if sum, err := shippedSum(); err == nil && sum == of {
			return t, nil
		}
	}
	files, err := ShippedRules()
	if err != nil {
		return nil, err
	}
	rules, err := sorted(files)
	if err != nil {
		return nil, err
	}
	return newTable(rules)
})

// shippedSum is the checksum of the shipped files.
func shippedSum() (sum uint32, err error) {
	err = eachShipped(func(name string, data []byte) { sum = checksum(sum, name, data) })
	return sum, err
}

func eachShipped(visit func(name string, data []byte)) error {
	names, err := fs.Glob(shipped, "rules/*.toml")
	if err != nil {
		return fmt.Errorf("list shipped rules: %w", err)
	}
	for _, name := range names {
		data, err := shipped.ReadFile(name)
		if err != nil {
			return fmt.Errorf("read shipped rules: %w", err)
		}
		visit(strings.TrimPrefix(name, "rules/"), data)
	}
	return nil
}

// ShippedRules reads the rule files that are part of the program, with notes,
// sources and examples, which [Engine] does not need.
func ShippedRules() ([]*RuleFile, error) {
	var files []*RuleFile
	var faults []error
	err := eachShipped(func(name string, data []byte) {
		f, err := ParseRules(name, data)
		files, faults = append(files, f), append(faults, err)
	})
	return files, errors.Join(append(faults, err)...)
}

// shippedTexts asks the shipped catalogue. Its own tests hold it right; were it
// broken, a provider's own rules would still be asked.
func shippedTexts(operator string) []string {
	c, err := provider.Shipped()
	if err != nil {
		return nil
	}
	return c.Texts(operator)
}

// Rule finds a rule by its id, nil if there is none. Shipped rules come without
// notes, sources and examples; [ShippedRules] has those.
func (e *Engine) Rule(id string) *Rule {
	for _, t := range [...]*table{e.own, e.shipped} {
		if t == nil {
			continue
		}
		for _, r := range t.rules {
			if r.ID == id {
				return r
			}
		}
	}
	return nil
}
