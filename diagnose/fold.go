package diagnose

import (
	"regexp/syntax"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/postroad/postroad/mail"
)

// Rules ignore case. The text is folded once, the patterns are folded once, and
// both are compared as they are: what a pattern means is what it matches in the
// folded text.

// foldRune gives the one rune that stands for all that differ from r in case
// only: the lower-case letter in ASCII, the smallest of them elsewhere.
func foldRune(r rune) rune {
	if r < utf8.RuneSelf {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}
	least := r
	for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
		least = min(least, f)
	}
	if 'A' <= least && least <= 'Z' { // the long s, the Kelvin sign
		least += 'a' - 'A'
	}
	return least
}

// foldText folds every rune. Where one becomes shorter or longer by that, places
// gives the place in s of every byte of the result and of its end; nil says that
// they are the same.
func foldText(s string) (folded string, places []int) {
	ascii := true
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			ascii = false
			break
		}
	}
	if ascii {
		return lower(s), nil
	}
	b := make([]byte, 0, len(s)+8)
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		before := len(b)
		if r == utf8.RuneError && n <= 1 {
			b = append(b, s[i])
		} else {
			b = utf8.AppendRune(b, foldRune(r))
		}
		if places == nil && len(b)-before != n {
			places = make([]int, before, len(s)+8)
			for j := range places {
				places[j] = j
			}
		}
		if places != nil {
			for range len(b) - before {
				places = append(places, i)
			}
		}
		i += n
	}
	if places != nil {
		places = append(places, len(s))
	}
	return string(b), places
}

// alternatives gives the branches of the rule. A rule from the compiled table
// parses its pattern when it is first asked.
func (r *Rule) alternatives() []branch {
	r.splitOnce.Do(func() {
		if r.branches != nil {
			return
		}
		re, err := syntax.Parse(r.Match, syntax.Perl|syntax.FoldCase)
		if err != nil { // it was parsed when the rule was read or compiled
			panic("diagnose: rule " + r.ID + ": " + err.Error())
		}
		r.branches = split(re)
	})
	return r.branches
}

// split parts a pattern into the alternatives at its top, each made to do on
// folded text what it does with "(?i)" on the text itself.
func split(re *syntax.Regexp) []branch {
	for re.Op == syntax.OpCapture {
		re = re.Sub[0]
	}
	subs := []*syntax.Regexp{re}
	if re.Op == syntax.OpAlternate {
		subs = re.Sub
	}
	out := make([]branch, len(subs))
	for i, sub := range subs {
		out[i].needs = needs(sub)
		foldTree(sub)
		out[i].tree = sub
	}
	return out
}

// keepsCase looks for a group that takes a flag back, "(?-i:...)": such a pattern
// cannot be folded, and no rule may have one.
func keepsCase(pattern string) bool {
	for {
		_, rest, ok := strings.Cut(pattern, "(?")
		if !ok {
			return false
		}
		if i := strings.IndexAny(rest, ":)<"); i >= 0 && strings.Contains(rest[:i], "-") {
			return true
		}
		pattern = rest
	}
}

// foldTree folds the literals of the tree. Classes need nothing: the parser has
// made them hold every case of what they hold.
func foldTree(re *syntax.Regexp) {
	if re.Op == syntax.OpLiteral {
		for i, r := range re.Rune {
			re.Rune[i] = foldRune(r)
		}
		re.Flags &^= syntax.FoldCase
	}
	for _, sub := range re.Sub {
		foldTree(sub)
	}
}

// compile makes the automata on first use: most runs of the command need a
// dozen of some three thousand.
func (b *branch) compile() {
	b.once.Do(func() {
		var err error
		if b.forward, err = newMachine(b.tree, false); err == nil {
			b.backward, err = newMachine(b.tree, true)
		}
		if err != nil { // parsed patterns compile
			panic("diagnose: pattern " + b.tree.String() + ": " + err.Error())
		}
	})
}

// find gives the place that the branch fits, ok false if there is none: of the
// match that ends first, the longest.
func (b *branch) find(folded string) (from, end int, ok bool) {
	b.compile()
	end = b.forward.search(folded)
	if end < 0 {
		return 0, 0, false
	}
	return b.backward.back(folded, end), end, true
}

// subject is one layer as rules see it.
type subject struct {
	line    string // canonical
	folded  string // the same without case
	places  []int  // see foldText
	outcome mail.Outcome
	status  mail.Enhanced // the report's, where the line has no enhanced code
}

func newSubject(line string) subject {
	s := subject{line: line}
	s.folded, s.places = foldText(line)
	return s
}

// fragment is the piece of the line at a place of the folded text, with the words
// at its ends made whole.
func (s *subject) fragment(from, end int) string {
	if s.places != nil {
		from, end = s.places[from], s.places[end]
	}
	for from > 0 && end > from && wordByte(s.line[from]) && wordByte(s.line[from-1]) {
		from--
	}
	for end < len(s.line) && end > from && wordByte(s.line[end]) && wordByte(s.line[end-1]) {
		end++
	}
	return strings.Trim(s.line[from:end], " ")
}
