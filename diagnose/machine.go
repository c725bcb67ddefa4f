package diagnose

import (
	"encoding/binary"
	"regexp/syntax"
	"slices"
	"sync"
	"sync/atomic"
	"unicode/utf8"
)

// machine looks for one pattern as Go's regexp does, in a tenth of the time and
// in time linear in the text: a deterministic automaton whose states are made
// when a text first needs them. Patterns of the rules are wide alternatives
// without a fixed beginning, the worst case of regexp's backtracking.
//
// It answers where the match that ends first ends; the reversed machine, run
// back from there, where the longest such match begins.
type machine struct {
	prog     *syntax.Prog
	reversed bool
	anchored bool        // can match at the start only
	ascii    [128]uint16 // class of each ASCII byte
	bounds   []rune      // class i+1 begins at bounds[i]

	mu     sync.Mutex
	states map[string]*state
	marks  []uint32 // of a place: the round in which it was reached last
	round  uint32
	starts [4]atomic.Pointer[state] // by what stands before the start
}

// maxStates bounds the memory of one machine; beyond, it begins anew.
const maxStates = 2000

// state is a set of places in the program. Empty-width instructions whose
// condition depends on the next rune wait in it.
type state struct {
	places  []uint32
	behind  behind
	matched bool
	next    []atomic.Pointer[state] // by class; the last one is the end of the text
	before  []bool                  // of a reversed machine, by class: a match ends before the rune
}

// behind is what the rune before a place was.
type behind uint8

const (
	behindOther behind = iota
	behindWord
	behindStart // no rune: the start of the text
	behindLine  // a line feed
)

// Two states are no places of a program: nothing can match any more, and a
// match has ended before the rune.
var dead, already = new(state), new(state)

// newMachine makes the automaton of a pattern; reversed, of the pattern read
// backwards.
func newMachine(re *syntax.Regexp, reversed bool) (*machine, error) {
	if reversed {
		re = reverse(re)
	}
	prog, err := syntax.Compile(re.Simplify())
	if err != nil {
		return nil, err
	}
	m := &machine{prog: prog, reversed: reversed, states: make(map[string]*state), marks: make([]uint32, len(prog.Inst))}
	m.anchored = reversed || prog.StartCond()&syntax.EmptyBeginText != 0
	m.divide()
	return m, nil
}

// reverse gives the pattern that matches what re does, read backwards.
func reverse(re *syntax.Regexp) *syntax.Regexp {
	r := *re
	switch re.Op {
	case syntax.OpLiteral:
		r.Rune = slices.Clone(re.Rune)
		slices.Reverse(r.Rune)
	case syntax.OpBeginText:
		r.Op = syntax.OpEndText
	case syntax.OpEndText:
		r.Op = syntax.OpBeginText
	case syntax.OpBeginLine:
		r.Op = syntax.OpEndLine
	case syntax.OpEndLine:
		r.Op = syntax.OpBeginLine
	}
	r.Sub = make([]*syntax.Regexp, len(re.Sub))
	for i, sub := range re.Sub {
		r.Sub[i] = reverse(sub)
	}
	if re.Op == syntax.OpConcat {
		slices.Reverse(r.Sub)
	}
	return &r
}

// divide parts the runes into classes that the program cannot tell apart.
func (m *machine) divide() {
	at := []rune{'\n', '\n' + 1, '0', '9' + 1, 'A', 'Z' + 1, '_', '_' + 1, 'a', 'z' + 1, utf8.RuneSelf}
	for i := range m.prog.Inst {
		in := &m.prog.Inst[i]
		switch in.Op {
		case syntax.InstRune1:
			at = append(at, in.Rune[0], in.Rune[0]+1)
		case syntax.InstRune:
			if len(in.Rune) == 1 {
				at = append(at, in.Rune[0], in.Rune[0]+1)
			}
			for j := 0; j+1 < len(in.Rune); j += 2 {
				at = append(at, in.Rune[j], in.Rune[j+1]+1)
			}
		}
	}
	slices.Sort(at)
	m.bounds = slices.Compact(at)
	for c := range m.ascii {
		m.ascii[c] = m.find(rune(c))
	}
}

func (m *machine) find(r rune) uint16 {
	i, found := slices.BinarySearch(m.bounds, r)
	if found {
		i++
	}
	return uint16(i)
}

// member gives a rune of the class.
func (m *machine) member(class uint16) rune {
	if class == 0 {
		return 0
	}
	return m.bounds[class-1]
}

// search gives the end of the match that ends first, -1 if there is none.
func (m *machine) search(s string) int {
	st := m.start(behindStart)
	if st.matched {
		return 0
	}
	for i := 0; i < len(s); {
		class, n := uint16(0), 1
		if c := s[i]; c < utf8.RuneSelf {
			class = m.ascii[c]
		} else {
			var r rune
			r, n = utf8.DecodeRuneInString(s[i:])
			class = m.find(r)
		}
		to := st.next[class].Load()
		if to == nil {
			to = m.step(st, class)
		}
		switch {
		case to == dead:
			return -1
		case to == already:
			return i
		case to.matched:
			return i + n
		}
		st = to
		i += n
	}
	to := st.next[m.end()].Load()
	if to == nil {
		to = m.step(st, m.end())
	}
	if to == already {
		return len(s)
	}
	return -1
}

// end is the class of the end of the text.
func (m *machine) end() uint16 { return uint16(len(m.bounds) + 1) }

// back runs a reversed machine from end to the left and gives where the longest
// match begins, -1 if there is none.
func (m *machine) back(s string, end int) int {
	best := -1
	st := m.start(behindOf(s[end:]))
	if st.matched {
		best = end
	}
	for i := end; ; {
		class, n := m.end(), 0
		if i > 0 {
			var r rune
			r, n = utf8.DecodeLastRuneInString(s[:i])
			class = m.find(r)
		}
		to := st.next[class].Load()
		if to == nil {
			to = m.step(st, class)
		}
		if st.before[class] {
			best = i
		}
		if to == dead {
			return best
		}
		i -= n
		st = to
		if st.matched {
			best = i
		}
	}
}

func behindOf(rest string) behind {
	if rest == "" {
		return behindStart
	}
	return behindRune(rune(rest[0]))
}

func behindRune(r rune) behind {
	switch {
	case r == '\n':
		return behindLine
	case syntax.IsWordChar(r):
		return behindWord
	}
	return behindOther
}

// start gives the first state.
func (m *machine) start(b behind) *state {
	if st := m.starts[b].Load(); st != nil {
		return st
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var set places
	m.round++
	m.follow(&set, uint32(m.prog.Start), 0)
	st := m.intern(&set, b)
	m.starts[b].Store(st)
	return st
}

// step gives the state after a rune of the class, and remembers it.
func (m *machine) step(st *state, class uint16) *state {
	m.mu.Lock()
	defer m.mu.Unlock()
	if to := st.next[class].Load(); to != nil { // somebody else was quicker, and reads it by now
		return to
	}
	now := m.closed(st, class)
	var to *state
	if m.reversed {
		st.before[class] = now.matched
		to = m.after(now, class)
	} else if now.matched {
		to = already
	} else {
		to = m.after(now, class)
	}
	st.next[class].Store(to)
	return to
}

// places is a set of places in the program in the order in which they were
// reached.
type places struct {
	list    []uint32
	matched bool
}

// closed follows the conditions that hold between what is behind the state and
// a rune of the class.
func (m *machine) closed(st *state, class uint16) *places {
	var holds syntax.EmptyOp
	next := rune(-1)
	if class != m.end() {
		next = m.member(class)
	}
	switch st.behind {
	case behindStart:
		holds = syntax.EmptyBeginText | syntax.EmptyBeginLine
	case behindLine:
		holds = syntax.EmptyBeginLine
	}
	if next < 0 {
		holds |= syntax.EmptyEndText | syntax.EmptyEndLine
	} else if next == '\n' {
		holds |= syntax.EmptyEndLine
	}
	if (st.behind == behindWord) != (next >= 0 && syntax.IsWordChar(next)) {
		holds |= syntax.EmptyWordBoundary
	} else {
		holds |= syntax.EmptyNoWordBoundary
	}
	set := &places{list: make([]uint32, 0, len(st.places)+8), matched: st.matched}
	m.round++
	for _, p := range st.places {
		m.follow(set, p, holds)
	}
	return set
}

// after gives the state behind a rune of the class.
func (m *machine) after(now *places, class uint16) *state {
	if class == m.end() {
		return dead
	}
	r := m.member(class)
	var set places
	m.round++
	for _, p := range now.list {
		if in := &m.prog.Inst[p]; consumes(in) && in.MatchRune(r) {
			m.follow(&set, in.Out, 0)
		}
	}
	if !m.anchored {
		m.follow(&set, uint32(m.prog.Start), 0)
	}
	if len(set.list) == 0 && !set.matched {
		return dead
	}
	return m.intern(&set, behindRune(r))
}

func consumes(in *syntax.Inst) bool {
	switch in.Op {
	case syntax.InstRune, syntax.InstRune1, syntax.InstRuneAny, syntax.InstRuneAnyNotNL:
		return true
	}
	return false
}

// follow adds a place and all that are reached from it without a rune, through
// the conditions that hold. One that does not hold now waits in the set.
func (m *machine) follow(set *places, p uint32, holds syntax.EmptyOp) {
	if m.marks[p] == m.round {
		return
	}
	m.marks[p] = m.round
	set.list = append(set.list, p)
	switch in := &m.prog.Inst[p]; in.Op {
	case syntax.InstMatch:
		set.matched = true
	case syntax.InstAlt, syntax.InstAltMatch:
		m.follow(set, in.Out, holds)
		m.follow(set, in.Arg, holds)
	case syntax.InstCapture, syntax.InstNop:
		m.follow(set, in.Out, holds)
	case syntax.InstEmptyWidth:
		if c := syntax.EmptyOp(in.Arg); holds != 0 && c&^holds == 0 {
			m.follow(set, in.Out, holds)
		}
	}
}

// intern gives the one state that stands for the set. What only led on is left
// out: runes and waiting conditions say all.
func (m *machine) intern(set *places, b behind) *state {
	keep := set.list[:0]
	for _, p := range set.list {
		if in := &m.prog.Inst[p]; consumes(in) || in.Op == syntax.InstEmptyWidth {
			keep = append(keep, p)
		}
	}
	slices.Sort(keep)
	key := make([]byte, 0, 2*len(keep)+2)
	key = append(key, byte(b))
	if set.matched {
		key[0] |= 0x80
	}
	for _, p := range keep {
		key = binary.AppendUvarint(key, uint64(p))
	}
	if st := m.states[string(key)]; st != nil {
		return st
	}
	if len(m.states) >= maxStates {
		clear(m.states)
		for i := range m.starts {
			m.starts[i].Store(nil)
		}
	}
	st := &state{places: slices.Clone(keep), behind: b, matched: set.matched,
		next: make([]atomic.Pointer[state], len(m.bounds)+2)}
	if m.reversed {
		st.before = make([]bool, len(m.bounds)+2)
	}
	m.states[string(key)] = st
	return st
}
