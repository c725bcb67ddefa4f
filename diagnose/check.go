package diagnose

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"

	"github.com/postroad/postroad/mail"
	"github.com/postroad/postroad/provider"
)

// Finding is a fault of a rule file. The sentence is in the catalogue
// (lang/catalogue/rules.en.toml) under the key, with the arguments put in.
type Finding struct {
	Key   string
	Args  map[string]string
	File  string
	Line  int
	Error bool // the file must not be used so; otherwise advice
}

// maxProgram bounds the instructions of a rule's pattern. The matching itself is
// linear in the text whatever the pattern; the memory is not.
const maxProgram = 4000

// Check finds what is wrong with rule files, in the order of their lines. Where
// the files are an operator's own, shipped are the rules that they are put before;
// where they are the shipped ones themselves, shipped is nil, and they are held to
// the house's own manners as well.
func Check(files, shipped []*RuleFile) []Finding {
	c := &checking{house: shipped == nil, at: make(map[string]*Rule)}
	for _, f := range files {
		c.file(f)
	}
	c.together(files, shipped)
	slices.SortStableFunc(c.findings, func(a, b Finding) int {
		if a.File != b.File {
			return strings.Compare(a.File, b.File)
		}
		return a.Line - b.Line
	})
	return c.findings
}

// Unreadable turns the error of [ParseRules] into findings.
func Unreadable(err error) []Finding {
	if err == nil {
		return nil
	}
	var several interface{ Unwrap() []error }
	if errors.As(err, &several) {
		var out []Finding
		for _, e := range several.Unwrap() {
			out = append(out, Unreadable(e)...)
		}
		return out
	}
	return []Finding{{Key: "rules.unreadable", Args: map[string]string{"Error": err.Error()}, Error: true}}
}

// checking collects findings.
type checking struct {
	house    bool
	findings []Finding
	at       map[string]*Rule // the first rule with an id
}

func (c *checking) fault(r *Rule, key string, args ...string) { c.add(r, true, key, args) }
func (c *checking) hint(r *Rule, key string, args ...string)  { c.add(r, false, key, args) }

func (c *checking) add(r *Rule, isError bool, key string, args []string) {
	f := Finding{Key: "rules." + key, Args: map[string]string{"Rule": r.ID}, File: r.File, Line: r.Line, Error: isError}
	for i := 0; i+1 < len(args); i += 2 {
		f.Args[args[i]] = args[i+1]
	}
	c.findings = append(c.findings, f)
}

func place(r *Rule) string { return r.File + ":" + strconv.Itoa(r.Line) }

// file checks what one file shows by itself.
func (c *checking) file(f *RuleFile) {
	used := make(map[string]bool)
	for _, r := range f.Rules {
		if first := c.at[r.ID]; first != nil {
			c.fault(r, "duplicate-id", "At", place(first))
		} else {
			c.at[r.ID] = r
		}
		for _, key := range r.Sources {
			used[key] = true
			if _, ok := f.Sources[key]; !ok {
				c.fault(r, "unknown-source", "Key", key)
			}
		}
		c.words(r)
		c.pattern(r)
		c.examples(r, f.Contacts)
	}
	keys := make([]string, 0, len(f.Sources))
	for key := range f.Sources {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		if !used[key] {
			c.hint(&Rule{File: f.Name, Line: 1}, "unused-source", "Key", key)
		}
	}
}

// words checks the fields of a rule but its pattern.
func (c *checking) words(r *Rule) {
	if r.Provider != "" {
		if known, err := provider.Shipped(); err == nil {
			if _, ok := known.ByID(r.Provider); !ok {
				c.fault(r, "unknown-provider", "Provider", r.Provider)
			}
		}
	}
	if len(r.Sources) == 0 && c.house {
		c.hint(r, "no-source")
	}
	for key, isDefault := range map[string]bool{
		"retry":      r.Retry != "" && r.Retry == r.Class.Retry() && r.Class != mail.Unknown,
		"actor":      r.Actor != "" && r.Actor == r.Class.Actor(),
		"confidence": r.Confidence != 0 && r.Confidence == r.Tier.confidence(),
	} {
		if isDefault {
			c.hint(r, "redundant", "Key", key)
		}
	}
	prefix := r.Tier.String() + "-"
	if r.Tier == TierProvider {
		prefix = r.Provider + "-"
	}
	plain := strings.Trim(r.ID, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
	if !plain || c.house && !strings.HasPrefix(r.ID, prefix) {
		c.fault(r, "id-form", "Prefix", prefix)
	}
}

// nonsense are lines that only a rule that takes everything fits.
var nonsense = [...]string{"xyzzy", "250 2.0.0 Ok: queued as 4ABCDEF", "hello world"}

// pattern checks a rule's pattern: what it takes and what it costs.
func (c *checking) pattern(r *Rule) {
	re, err := syntax.Parse(r.Match, syntax.Perl|syntax.FoldCase)
	if err != nil {
		c.fault(r, "unreadable", "Error", place(r)+": "+err.Error())
		return
	}
	if r.takes("") {
		c.fault(r, "matches-empty")
	} else {
		for _, line := range nonsense {
			if r.takes(line) {
				c.fault(r, "matches-anything", "Fragment", line)
			}
		}
	}
	if nested := nestedRepeat(re, false); nested != nil {
		c.hint(r, "nested-repeat", "Fragment", nested.String())
	}
	if prog, err := syntax.Compile(re.Simplify()); err == nil && len(prog.Inst) > maxProgram {
		c.fault(r, "costly", "Size", strconv.Itoa(len(prog.Inst)), "Limit", strconv.Itoa(maxProgram))
	}
	branches := split(re)
	for i := range branches {
		if len(branches[i].needs) == 0 {
			c.hint(r, "no-literal", "Fragment", branches[i].tree.String())
			return
		}
	}
}

// nestedRepeat finds a counted repeat inside a counted repeat of some size.
func nestedRepeat(re *syntax.Regexp, inside bool) *syntax.Regexp {
	counted := re.Op == syntax.OpRepeat && max(re.Min, re.Max) > 8
	if counted && inside {
		return re
	}
	for _, sub := range re.Sub {
		if found := nestedRepeat(sub, inside || counted); found != nil {
			return found
		}
	}
	return nil
}

// takes reports whether the rule's pattern fits a line.
func (r *Rule) takes(line string) bool {
	s := newSubject(line)
	_, _, ok := r.find(&s)
	return ok
}

// find gives the place that the rule fits, asked by itself.
func (r *Rule) find(s *subject) (from, end int, ok bool) {
	t, err := newTable([]*Rule{r})
	if err != nil {
		return 0, 0, false
	}
	var b room
	return t.find(0, s, t.candidates(s, &b, true))
}

// examples checks that a rule takes its own examples, and that they name nobody
// but the contacts.
func (c *checking) examples(r *Rule, contacts []string) {
	if len(r.Examples) == 0 {
		c.hint(r, "no-example")
	}
	for _, example := range r.Examples {
		if !r.takesExample(example) {
			c.fault(r, "misses-example", "Example", example)
		}
		if c.house {
			if real := realAddress(example, contacts); real != "" {
				c.hint(r, "example-address", "Fragment", real)
			}
		}
	}
}

// takesExample looks at every layer, and at the whole text, as Diagnose does.
func (r *Rule) takesExample(example string) bool {
	if r.takes(canonical(parseReply(tidy(example)))) {
		return true
	}
	return slices.ContainsFunc(Peel(example), func(l Layer) bool { return r.takes(canonical(l.Reply)) })
}

// realAddress finds an IP or mail address outside what RFC 5737, RFC 3849 and
// RFC 2606 keep for documentation, and outside contacts. Host names stay out of
// it: replies are full of their writers' links. "RFC2821 4.1.1.1" is a section.
func realAddress(s string, contacts []string) string {
	section := false
	for word := range strings.FieldsFuncSeq(s, func(r rune) bool { return strings.ContainsRune(" \t\n<>()[]{}\"',;=", r) }) {
		word = strings.Trim(word, ".:/!?")
		afterRFC := section
		section = strings.HasPrefix(lower(word), "rfc") || afterRFC && !strings.Contains(word, ".") // "RFC 5321 4.1.1.1" too
		if afterRFC || slices.ContainsFunc(contacts, func(c string) bool { return strings.EqualFold(c, word) }) {
			continue
		}
		if i := strings.LastIndexByte(word, '@'); i > 0 && !strings.Contains(word, "://") {
			domain := lower(word[i+1:])
			if isHostName(domain) && !documentation(domain) {
				return word
			}
		}
		if ip, err := netip.ParseAddr(word); err == nil && !slices.ContainsFunc(documentationNets[:], func(n netip.Prefix) bool { return n.Contains(ip) }) {
			return word
		}
	}
	return ""
}

func documentation(domain string) bool {
	for _, d := range [...]string{"example.com", "example.net", "example.org", "example", "test", "invalid"} {
		if domain == d || strings.HasSuffix(domain, "."+d) {
			return true
		}
	}
	return false
}

var documentationNets = [...]netip.Prefix{
	netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("203.0.113.0/24"),
	netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128"),
}

// together checks how the rules get on with each other.
func (c *checking) together(files, shipped []*RuleFile) {
	own, rest := files, shipped
	if c.house {
		own, rest = nil, files
	}
	e, err := engineOf(own, rest)
	if err != nil {
		return // the ids are not distinct, which has been said
	}
	for _, f := range files {
		for _, r := range f.Rules {
			c.loses(e, r)
			c.covered(e, r)
		}
	}
	for _, f := range shipped {
		for _, r := range f.Rules {
			c.robbed(e, r)
		}
	}
}

// engineOf makes an engine of nothing but these files.
func engineOf(own, shipped []*RuleFile) (*Engine, error) {
	rules, err := sorted(shipped)
	if err != nil {
		return nil, err
	}
	e := &Engine{texts: func(string) []string { return nil }}
	if e.shipped, err = newTable(rules); err != nil || own == nil {
		return e, err
	}
	return e, e.takeIn(own)
}

// judge diagnoses an example of a rule under the rule's own conditions.
func judge(e *Engine, r *Rule, example string) (mail.Diagnosis, *Rule) {
	d := e.Diagnose(evidenceOf(r, example))
	return d, e.Rule(d.Rule)
}

func evidenceOf(r *Rule, example string) Evidence {
	ev := Evidence{Text: example, Provider: r.Provider}
	if r.Tier == TierLocal {
		ev.Spoke = Local
	}
	return ev
}

// winsLayer reports whether the rule answers for a layer of its example: an inner
// layer that another rule answers is meant to go before it.
func winsLayer(e *Engine, r *Rule, example string) bool {
	return slices.ContainsFunc(e.Explain(evidenceOf(r, example)), func(t Tried) bool {
		return t.Rule == r && t.Result == TriedWon
	})
}

// loses finds examples that another rule answers; if it is all of them, the rule
// is never reached.
func (c *checking) loses(e *Engine, r *Rule) {
	lost := 0
	var by *Rule
	for _, example := range r.Examples {
		d, other := judge(e, r, example)
		if d.Rule == r.ID || other == nil || d.Class == r.Class && winsLayer(e, r, example) {
			continue
		}
		lost, by = lost+1, other
		c.add(r, d.Class != r.Class, "loses-example", []string{"Other", other.ID, "At", place(other), "Example", example})
	}
	if lost > 0 && lost == len(r.Examples) && by.Tier == r.Tier {
		c.hint(r, "unreachable", "Other", by.ID, "At", place(by))
	}
}

// robbed finds examples of a shipped rule that an operator's own rule answers in
// another way.
func (c *checking) robbed(e *Engine, r *Rule) {
	for _, example := range r.Examples {
		if d, other := judge(e, r, example); other != nil && other.Own && d.Class != r.Class {
			c.hint(other, "takes-example", "Other", r.ID, "At", place(r), "Example", example)
		}
	}
}

// covered finds a rule of which an earlier one of the same turn takes all: every
// text that the rule fits holds a word that the other asks no more than.
func (c *checking) covered(e *Engine, r *Rule) {
	t := e.shipped
	if r.Own {
		t = e.own
	}
	for _, before := range t.rules {
		if before == r {
			return
		}
		same := before.Tier == r.Tier && before.Provider == r.Provider && (before.Token || !r.Token)
		if same && (before.Outcome == "" || before.Outcome == r.Outcome) && before.takesAll(r) {
			c.fault(r, "unreachable", "Other", before.ID, "At", place(before))
			return
		}
	}
}

// takesAll reports whether it is certain that r fits whatever other fits.
func (r *Rule) takesAll(other *Rule) bool {
	if r.Match == other.Match {
		return true
	}
	words := r.wholeWords()
	if len(words) == 0 {
		return false
	}
	for i := range other.alternatives() {
		sure := slices.ContainsFunc(other.branches[i].needs, func(set []string) bool {
			return !slices.ContainsFunc(set, func(l string) bool {
				return !slices.ContainsFunc(words, func(w string) bool { return strings.Contains(l, w) })
			})
		})
		if !sure {
			return false
		}
	}
	return true
}

// wholeWords gives the words any of which is enough for the rule.
func (r *Rule) wholeWords() []string {
	re, err := syntax.Parse(r.Match, syntax.Perl|syntax.FoldCase)
	if err != nil {
		return nil
	}
	var words []string
	for re.Op == syntax.OpCapture {
		re = re.Sub[0]
	}
	subs := []*syntax.Regexp{re}
	if re.Op == syntax.OpAlternate {
		subs = re.Sub
	}
	for _, sub := range subs {
		if n := need(sub); n.exact != nil && !conditional(sub) {
			words = append(words, n.exact...)
		}
	}
	return slices.DeleteFunc(words, func(w string) bool { return w == "" })
}

// conditional reports whether a pattern asks for more than its runes: a beginning,
// an end, a word boundary.
func conditional(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpBeginLine, syntax.OpEndLine, syntax.OpBeginText, syntax.OpEndText, syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return true
	}
	return slices.ContainsFunc(re.Sub, conditional)
}

// String gives the finding as maintainers read it, without a catalogue.
func (f Finding) String() string {
	keys := make([]string, 0, len(f.Args))
	for k := range f.Args {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d: %s", f.File, f.Line, f.Key)
	for _, k := range keys {
		fmt.Fprintf(&b, " %s=%q", k, f.Args[k])
	}
	return b.String()
}
