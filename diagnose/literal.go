package diagnose

import (
	"regexp/syntax"
	"slices"
	"strings"
	"unicode/utf8"
)

// A rule can fit a text only if certain words are in it. needs reads them out
// of the pattern, so that one look at the text rules out nearly all rules.

const (
	// gram is how many bytes the index looks up at once; a shorter literal is
	// of no use to it.
	gram = 3
	// maxExact bounds the strings that a part of a pattern is spelled out to.
	maxExact = 24
	// maxLiteral bounds their length, in bytes.
	maxLiteral = 64
	// maxClass is how many runes a class may have to be spelled out.
	maxClass = 10
)

// needs gives what a text must hold for the pattern to fit: of each set at
// least one literal. Literals are folded; the first set is the most telling one. nil means that nothing usable is required, and the rule has
// to be asked of every text.
func needs(re *syntax.Regexp) [][]string {
	n := need(re)
	sets := n.sets
	if n.exact != nil {
		sets = append(sets, n.exact)
	}
	var out [][]string
	for _, set := range sets {
		if set = prune(set); usable(set) && !slices.ContainsFunc(out, func(o []string) bool { return slices.Equal(o, set) }) {
			out = append(out, set)
		}
	}
	slices.SortStableFunc(out, func(a, b []string) int { return worth(b) - worth(a) })
	if len(out) > 3 {
		out = out[:3] // a fourth test costs more than it saves
	}
	return out
}

// needed is what one part of a pattern asks for: either all the strings that it
// fits, or sets of which one string each must occur, or nothing (neither).
type needed struct {
	exact []string
	sets  [][]string
	begin []string // if not exact: it begins with one of these
}

func need(re *syntax.Regexp) needed {
	switch re.Op {
	case syntax.OpEmptyMatch, syntax.OpBeginLine, syntax.OpEndLine, syntax.OpBeginText, syntax.OpEndText,
		syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return needed{exact: []string{""}}
	case syntax.OpLiteral:
		return needLiteral(re.Rune)
	case syntax.OpCharClass:
		return needClass(re.Rune)
	case syntax.OpCapture:
		return need(re.Sub[0])
	case syntax.OpQuest:
		if n := need(re.Sub[0]); n.exact != nil && len(n.exact) < maxExact {
			return needed{exact: append(slices.Clone(n.exact), "")}
		}
	case syntax.OpPlus:
		return occurs(need(re.Sub[0]))
	case syntax.OpRepeat:
		if re.Min > 0 {
			return occurs(need(re.Sub[0]))
		}
	case syntax.OpConcat:
		return needAll(re.Sub)
	case syntax.OpAlternate:
		return needAny(re.Sub)
	}
	return needed{}
}

// occurs turns "is one of" into "holds one of".
func occurs(n needed) needed {
	if n.exact != nil {
		n.begin = n.exact
		n.sets = append(n.sets, n.exact)
		n.exact = nil
	}
	return n
}

// needLiteral folds a literal; what is too long is cut.
func needLiteral(runes []rune) needed {
	var b strings.Builder
	for _, r := range runes {
		if b.Len() > maxLiteral-utf8.UTFMax {
			return needed{sets: [][]string{{b.String()}}}
		}
		b.WriteRune(foldRune(r))
	}
	return needed{exact: []string{b.String()}}
}

// needClass spells out a small class.
func needClass(ranges []rune) needed {
	var out []string
	for i := 0; i+1 < len(ranges); i += 2 {
		for r := ranges[i]; r <= ranges[i+1]; r++ {
			f := foldRune(r)
			if len(out) > maxClass {
				return needed{}
			}
			if c := string(f); !slices.Contains(out, c) {
				out = append(out, c)
			}
		}
	}
	return needed{exact: out}
}

// needAll joins the parts of a sequence: strings are multiplied out as far as
// that stays small.
func needAll(subs []*syntax.Regexp) needed {
	var n needed
	run := []string{""}
	flush := func() {
		if run != nil {
			n.sets = append(n.sets, run)
		}
		run = []string{""}
	}
	whole := true
	for _, sub := range subs {
		s := need(sub)
		if s.exact == nil {
			if longer := product(run, s.begin); len(longer) > 0 {
				run = longer
			}
			flush()
			whole = false
			n.sets = append(n.sets, s.sets...)
			continue
		}
		next := product(run, s.exact)
		if next == nil {
			flush()
			whole = false
			next = s.exact
		}
		run = next
	}
	if whole {
		return needed{exact: run}
	}
	flush()
	return n
}

func product(a, b []string) []string {
	if len(a)*len(b) > maxExact {
		return nil
	}
	out := make([]string, 0, len(a)*len(b))
	for _, x := range a {
		for _, y := range b {
			if len(x)+len(y) > maxLiteral {
				return nil
			}
			out = append(out, x+y)
		}
	}
	return out
}

// needAny joins alternatives: each of them must ask for something.
func needAny(subs []*syntax.Regexp) needed {
	var exact, any []string
	all := true
	for _, sub := range subs {
		n := need(sub)
		if n.exact != nil {
			exact = append(exact, n.exact...)
			any = append(any, n.exact...)
			continue
		}
		all = false
		best := []string(nil)
		for _, set := range n.sets {
			if set = prune(set); usable(set) && (best == nil || worth(set) > worth(best)) {
				best = set
			}
		}
		if best == nil {
			return needed{}
		}
		any = append(any, best...)
	}
	if all && len(exact) <= maxExact {
		return needed{exact: exact}
	}
	return needed{sets: [][]string{any}}
}

// prune drops the strings of a set that hold another one of it.
func prune(set []string) []string {
	var out []string
	for i, s := range set {
		redundant := false
		for j, o := range set {
			if i != j && strings.Contains(s, o) && (s != o || j < i) {
				redundant = true
				break
			}
		}
		if !redundant {
			out = append(out, s)
		}
	}
	return out
}

func usable(set []string) bool {
	if len(set) == 0 || len(set) > 96 {
		return false
	}
	for _, s := range set {
		if len(s) < gram {
			return false
		}
	}
	return true
}

// worth tells how much a set rules out: long literals, few of them.
func worth(set []string) int {
	shortest := maxLiteral
	for _, s := range set {
		shortest = min(shortest, len(s))
	}
	return 8*min(shortest, 12) - len(set)
}
