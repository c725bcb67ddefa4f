package diagnose

import (
	"fmt"
	"math/bits"
	"slices"
)

// table is a list of rules made ready for questions. Every rule has branches
// (the alternatives of its pattern), every branch has sets of literals: one
// literal of each set must be in a text that it fits. All are numbered in the
// order of the rules.
type table struct {
	rules  []*Rule
	tier   [len(tierNames) + 1]int // where each tier begins, if the rules are sorted by it
	from   []uint16                // by rule: its first branch; one more than there are rules
	owner  []uint16                // by branch: its rule
	set    []uint16                // by branch: its first set; one more than there are branches
	begins []uint16                // by set: the branch whose first one it is, or notFirst
	always bitset                  // the sets of branches without a usable literal
	index  *index                  // literals to sets
}

const (
	// maxSets bounds a table: sets are numbered with 16 bits.
	maxSets  = 60000
	notFirst = 1<<16 - 1
)

// newTable makes a table of the rules, in their order.
func newTable(rules []*Rule) (*table, error) {
	t := &table{rules: rules}
	var literals []string
	var owners []uint16
	for _, r := range rules {
		if err := t.add(r.shape()); err != nil {
			return nil, fmt.Errorf("%s:%d: rule %q: %w", r.File, r.Line, r.ID, err)
		}
		first := int(t.from[len(t.from)-1])
		for j := range r.alternatives() {
			for k, set := range r.branches[j].needs {
				for _, l := range set {
					literals, owners = append(literals, l), append(owners, t.set[first+j]+uint16(k))
				}
			}
		}
	}
	t.index = fileLiterals(literals, owners)
	t.close()
	return t, nil
}

// shape gives for each branch of the rule the number of its sets.
func (r *Rule) shape() []int {
	shape := make([]int, len(r.alternatives()))
	for i := range r.branches {
		shape[i] = len(r.branches[i].needs)
	}
	return shape
}

// add numbers the branches and sets of the next rule.
func (t *table) add(shape []int) error {
	rule := uint16(len(t.from))
	t.from = append(t.from, uint16(len(t.owner)))
	for _, sets := range shape {
		if len(t.begins) > maxSets {
			return fmt.Errorf("is one too many: there are %d alternatives before it; use fewer rules", len(t.owner))
		}
		branch := uint16(len(t.owner))
		t.owner, t.set = append(t.owner, rule), append(t.set, uint16(len(t.begins)))
		t.begins = append(t.begins, branch)
		for range sets - 1 {
			t.begins = append(t.begins, notFirst)
		}
		if sets == 0 {
			n := len(t.begins) - 1
			t.always = append(t.always, make(bitset, max(0, n/64+1-len(t.always)))...)
			t.always.add(n)
		}
	}
	return nil
}

// close ends the numbering.
func (t *table) close() {
	t.from, t.set = append(t.from, uint16(len(t.owner))), append(t.set, uint16(len(t.begins)))
	t.always = append(t.always, make(bitset, words(len(t.begins))-len(t.always))...)
	for i, r := range t.rules {
		t.tier[r.Tier+1] = i + 1
	}
	for k := 1; k < len(t.tier); k++ {
		t.tier[k] = max(t.tier[k], t.tier[k-1])
	}
}

// bitset is a set of numbers.
type bitset []uint64

func words(bits int) int { return (bits + 63) / 64 }

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

func (c bitset) add(i int)      { c[i/64] |= 1 << (i % 64) }
func (c bitset) drop(i int)     { c[i/64] &^= 1 << (i % 64) }
func (c bitset) has(i int) bool { return c[i/64]>>(i%64)&1 != 0 }

// all reports whether every number from i on and below end is a member.
func (c bitset) all(i, end int) bool {
	for ; i < end; i++ {
		if !c.has(i) {
			return false
		}
	}
	return true
}

// candidates are the branches that may fit a subject, and the rules whose they
// are. A rule that was asked in vain is dropped.
type candidates struct {
	branches bitset
	rules    bitset
}

// room is enough for the bits of a usual table without an allocation.
type room struct {
	sets     [128]uint64
	branches [96]uint64
	rules    [32]uint64
}

func (b *room) bits(t *table) (sets bitset, c candidates) {
	sets, c = b.sets[:], candidates{b.branches[:], b.rules[:]}
	if n := words(len(t.begins)); n > len(sets) {
		sets = make(bitset, n)
	}
	if n := words(len(t.owner)); n > len(c.branches) {
		c.branches = make(bitset, n)
	}
	if n := words(len(t.rules)); n > len(c.rules) {
		c.rules = make(bitset, n)
	}
	return sets, c
}

// candidates finds the rules worth asking about a subject; b is room for the
// answer. With slow set every rule is.
func (t *table) candidates(s *subject, b *room, slow bool) candidates {
	sets, c := b.bits(t)
	if slow {
		for i := range t.rules {
			c.rules.add(i)
		}
		for i := range t.owner {
			c.branches.add(i)
		}
		return c
	}
	copy(sets, t.always)
	t.index.scan(s.folded, sets)
	n := len(t.begins)
	for i := sets.next(0, n); i >= 0; i = sets.next(i+1, n) {
		j := int(t.begins[i])
		if j == notFirst { // of a branch whose first set was not found
			continue
		}
		if sets.all(i+1, int(t.set[j+1])) {
			c.branches.add(j)
			c.rules.add(int(t.owner[j]))
		}
	}
	return c
}

// find gives the place of the subject that a rule fits: of its branches the one
// whose match begins first.
func (t *table) find(i int, s *subject, c candidates) (from, end int, ok bool) {
	branches := t.rules[i].alternatives()
	first := int(t.from[i])
	for j := range branches {
		if !c.branches.has(first + j) {
			continue
		}
		if f, to, fits := branches[j].find(s.folded); fits && (!ok || f < from) {
			from, end, ok = f, to, true
		}
	}
	return from, end, ok
}

// sorted gives the rules of the files by tier, in the order of the files
// otherwise; an id may occur only once.
func sorted(files []*RuleFile) ([]*Rule, error) {
	var rules []*Rule
	for _, f := range files {
		rules = append(rules, f.Rules...)
	}
	if err := distinct(nil, rules); err != nil {
		return nil, err
	}
	slices.SortStableFunc(rules, func(a, b *Rule) int { return int(a.Tier) - int(b.Tier) })
	return rules, nil
}

// distinct finds an id that occurs twice.
func distinct(before, rules []*Rule) error {
	seen := make(map[string]*Rule, len(before)+len(rules))
	for _, r := range before {
		seen[r.ID] = r
	}
	for _, r := range rules {
		if first := seen[r.ID]; first != nil {
			return fmt.Errorf("%s:%d: rule %q stands in %s:%d already; rename one of them", r.File, r.Line, r.ID, first.File, first.Line)
		}
		seen[r.ID] = r
	}
	return nil
}
