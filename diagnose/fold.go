package diagnose

import (
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/postroad/postroad/mail"
)

// Rules ignore case. Go's regexp does that by comparing runes one by one, which
// costs it the fast search for a pattern's beginning. So the text is folded
// once, the patterns are folded once, and both are compared as they are. The
// answer is the same wherever folding keeps every rune's length, see
// [foldText]; elsewhere the patterns as written are used.

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

// foldText folds every rune. It fails where a rune's length would change: then
// places in the result would not be places in s, and the two runes that fold to
// ASCII letters would make word boundaries that are not there.
func foldText(s string) (string, bool) {
	ascii := true
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			ascii = false
			break
		}
	}
	if ascii {
		return lower(s), true
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n <= 1 {
			b = append(b, s[i])
			i++
			continue
		}
		f := foldRune(r)
		if utf8.RuneLen(f) != n {
			return s, false
		}
		b = utf8.AppendRune(b, f)
		i += n
	}
	return string(b), true
}

// foldPattern gives the pattern that does on folded text what "(?i)"+pattern
// does on the text itself. A pattern with a part that keeps case apart,
// "(?-i:...)", cannot be folded: then ok is false.
func foldPattern(pattern string) (folded string, ok bool) {
	if keepsCase(pattern) {
		return "", false
	}
	re, err := syntax.Parse(pattern, syntax.Perl|syntax.FoldCase)
	if err != nil {
		return "", false
	}
	foldTree(re)
	return re.String(), true
}

// keepsCase looks for a group that takes a flag back.
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

// compile makes the rule's pattern on first use: most runs of the command need
// three of some nine hundred.
func (r *Rule) compile() {
	r.once.Do(func() {
		if folded, ok := foldPattern(r.Match); ok {
			if re, err := regexp.Compile(folded); err == nil {
				r.folded = re
				return
			}
		}
		r.exact = r.compileExact()
	})
}

// compileExact makes the pattern as written. It has been parsed when the rule
// was read, so it cannot fail but by its size; a rule that does matches nothing.
func (r *Rule) compileExact() *regexp.Regexp {
	re, err := regexp.Compile("(?i)" + r.Match)
	if err != nil {
		return nothing
	}
	return re
}

var nothing = regexp.MustCompile(`[^\x00-\x{10FFFF}]`)

// find gives the place where the rule's pattern fits the subject, nil if it
// does not or the rule is about the other outcome.
func (r *Rule) find(s *subject) []int {
	if r.Outcome != "" && r.Outcome != s.outcome {
		return nil
	}
	r.compile()
	if s.foldable && r.folded != nil {
		return r.folded.FindStringIndex(s.folded)
	}
	r.exactOnce.Do(func() {
		if r.exact == nil {
			r.exact = r.compileExact()
		}
	})
	return r.exact.FindStringIndex(s.line)
}

// subject is one layer as rules see it.
type subject struct {
	line     string // canonical
	folded   string // the same without case, byte for byte as long
	foldable bool   // whether there is such a thing
	outcome  mail.Outcome
	status   mail.Enhanced // the report's, where the line has no enhanced code
}

func newSubject(line string) subject {
	s := subject{line: line}
	s.folded, s.foldable = foldText(line)
	return s
}

// fragment is the piece of the line at a place that [Rule.find] gave.
func (s *subject) fragment(at []int) string {
	return strings.Trim(s.line[at[0]:at[1]], " ")
}
