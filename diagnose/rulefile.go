package diagnose

import (
	"bytes"
	"errors"
	"fmt"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/postroad/postroad/mail"
)

// RuleFile is a rule file that has been read.
type RuleFile struct {
	Name     string
	Contacts []string          // addresses that the writers of these replies print in them, and that examples may therefore name
	Sources  map[string]string // key to what it is, where and when read
	Rules    []*Rule
}

// file and entry are the TOML form.
type file struct {
	Contacts []string          `toml:"contacts"`
	Sources  map[string]string `toml:"sources"`
	Rule     []entry           `toml:"rule"`
}

type entry struct {
	ID           string       `toml:"id"`
	Provider     string       `toml:"provider"`
	Brand        string       `toml:"brand"`
	Tier         string       `toml:"tier"`
	Token        bool         `toml:"token"`
	Match        string       `toml:"match"`
	Outcome      mail.Outcome `toml:"outcome"`
	Class        mail.Class   `toml:"class"`
	Contributing []mail.Class `toml:"contributing"`
	Retry        mail.Retry   `toml:"retry"`
	Actor        mail.Actor   `toml:"actor"`
	Confidence   float64      `toml:"confidence"`
	Advice       string       `toml:"advice"`
	Note         string       `toml:"note"`
	Sources      []string     `toml:"sources"`
	Examples     []string     `toml:"examples"`
}

// ParseRules reads one rule file. Errors name the file and the line and say
// what to do; all that are found are joined.
func ParseRules(name string, data []byte) (*RuleFile, error) {
	var f file
	d := toml.NewDecoder(bytes.NewReader(data)).DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return nil, tomlError(name, err)
	}
	lines := ruleLines(data)
	out := &RuleFile{Name: name, Contacts: f.Contacts, Sources: f.Sources, Rules: make([]*Rule, 0, len(f.Rule))}
	var faults []error
	for i := range f.Rule {
		line := 0
		if i < len(lines) {
			line = lines[i]
		}
		r, err := f.Rule[i].rule()
		if err != nil {
			faults = append(faults, fmt.Errorf("%s:%d: rule %q: %w", name, line, f.Rule[i].ID, err))
			continue
		}
		r.File, r.Line = name, line
		out.Rules = append(out.Rules, r)
	}
	return out, errors.Join(faults...)
}

func tomlError(name string, err error) error {
	var strict *toml.StrictMissingError
	if errors.As(err, &strict) && len(strict.Errors) > 0 {
		line, _ := strict.Errors[0].Position()
		return fmt.Errorf("%s:%d: read rules: unknown key %q; correct its spelling or remove it", name, line,
			strings.Join(strict.Errors[0].Key(), "."))
	}
	var at *toml.DecodeError
	if errors.As(err, &at) {
		line, _ := at.Position()
		return fmt.Errorf("%s:%d: read rules: %w; correct the TOML there", name, line, err)
	}
	return fmt.Errorf("%s: read rules: %w; correct the file", name, err)
}

// ruleLines gives the line of every [[rule]] heading.
func ruleLines(data []byte) []int {
	var lines []int
	n := 0
	for line := range bytes.Lines(data) {
		n++
		if bytes.HasPrefix(bytes.TrimLeft(line, " \t"), []byte("[[rule]]")) {
			lines = append(lines, n)
		}
	}
	return lines
}

// rule checks an entry and fills in what it leaves out.
func (e *entry) rule() (*Rule, error) {
	r := &Rule{
		ID: e.ID, Provider: e.Provider, Brand: e.Brand, Token: e.Token, Match: e.Match, Outcome: e.Outcome,
		Class: e.Class, Contributing: e.Contributing, Retry: e.Retry, Actor: e.Actor, Confidence: e.Confidence,
		Advice: e.Advice, Note: e.Note, Sources: e.Sources, Examples: e.Examples,
	}
	switch {
	case e.ID == "":
		return nil, errors.New(`has no id; add id = "..."`)
	case e.Match == "":
		return nil, errors.New("has no match; add match = '...'")
	case !e.Class.Valid():
		return nil, fmt.Errorf("unknown class %q; see docs/classes.md", e.Class)
	case e.Retry != "" && !slices.Contains(mail.Retries[:], e.Retry):
		return nil, fmt.Errorf("unknown retry %q; use elsewhere, later, days, after-fix or never", e.Retry)
	case e.Actor != "" && !slices.Contains(mail.Actors[:], e.Actor):
		return nil, fmt.Errorf("unknown actor %q; see docs/classes.md", e.Actor)
	case e.Outcome != "" && e.Outcome != mail.Temporary && e.Outcome != mail.Permanent:
		return nil, fmt.Errorf("unknown outcome %q; use temporary or permanent", e.Outcome)
	case e.Confidence < 0 || e.Confidence > 1:
		return nil, fmt.Errorf("confidence %v is not between 0 and 1", e.Confidence)
	case e.Token && e.Provider == "":
		return nil, errors.New("is a token but names no provider; add provider = \"...\" or remove token")
	}
	for _, c := range e.Contributing {
		if !c.Valid() {
			return nil, fmt.Errorf("unknown contributing class %q; see docs/classes.md", c)
		}
	}
	switch i := slices.Index(tierNames[:], e.Tier); {
	case i >= 0:
		r.Tier = Tier(i)
	case e.Tier != "":
		return nil, fmt.Errorf("unknown tier %q; use provider, generic, local or fallback", e.Tier)
	case e.Provider == "":
		r.Tier = TierGeneric
	}
	if r.Tier == TierProvider && e.Provider == "" {
		return nil, errors.New("is in tier provider but names none; add provider = \"...\" or another tier")
	}
	re, err := syntax.Parse(e.Match, syntax.Perl|syntax.FoldCase)
	if err != nil {
		return nil, fmt.Errorf("match is no RE2 pattern: %w; correct it", err)
	}
	if keepsCase(e.Match) {
		return nil, errors.New("match keeps case apart with (?-...), and rules ignore case; remove that")
	}
	r.branches = split(re)
	return r, nil
}
