package diagnose

import (
	"regexp"
	"regexp/syntax"
	"testing"
	"unicode/utf8"
)

// checkMachine compares the automaton with Go's regexp, which is the meaning of
// a pattern.
func checkMachine(t *testing.T, pattern, s string) {
	t.Helper()
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return
	}
	forward, err := newMachine(re, false)
	if err != nil {
		return
	}
	backward, err := newMachine(re, true)
	if err != nil {
		t.Fatal(err)
	}
	want := regexp.MustCompile(pattern).FindStringIndex(s)
	end := forward.search(s)
	if (want != nil) != (end >= 0) {
		t.Fatalf("%q in %q: regexp %v, machine %d", pattern, s, want, end)
	}
	if end < 0 {
		return
	}
	if end > want[1] {
		t.Errorf("%q in %q: regexp ends at %d, the first end is said to be %d", pattern, s, want[1], end)
	}
	from := backward.back(s, end)
	if from < 0 || from > end || from < len(s) && !utf8.RuneStart(s[from]) && utf8.ValidString(s) {
		t.Fatalf("%q in %q: begins at %d, ends at %d", pattern, s, from, end)
	}
	whole := regexp.MustCompile(`\A(?s:.{` + itoa(utf8.RuneCountInString(s[:from])) + `})(?:` + re.String() + `)`)
	if utf8.RuneCountInString(s[:from]) < 900 && !whole.MatchString(s) {
		t.Errorf("%q in %q: no match begins at %d", pattern, s, from)
	}
	if again := forward.search(s); again != end {
		t.Errorf("%q in %q: %d, then %d", pattern, s, end, again)
	}
}

func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + string(rune('0'+n%10))
}

var machinePatterns = []string{
	`rp-001`, `\brp-001\b`, `^421\b`, `blocked$`, `^550 blocked$`, `a|b|cd`, `(^|[^\d.])5\.7\.26\.?([^\d.]|$)`,
	`user( \S+){0,4} unknown`, `x.{0,3}y`, `\Bx\B`, `(a*)*b`, `(|a)+`, ``, `^$`, `é+`, `[^a-z]x`, `(?s)a.b`, `a.b`,
	`(?m)^b$`, `(\bus|er\b){1,2}`, `\b`, `\b\b`, `q?$`, `\x{FFFD}`, `[\x{80}-\x{10ffff}]`, `^(a|^b)`, `(a|ab)(c|bcd)`,
}

var machineTexts = []string{
	"", "421 rp-001 (x)", "421 xrp-001", "xrp-0012", "550 blocked", "550 blocked ", "5.7.26", "15.7.26", "5.7.261", "550 5.7.26",
	"user a b c d unknown", "user a b c d e unknown", "user unknown", "xaay", "xaaaay", "x", "axa", "aaab", "aaa", "éé", "É",
	"a\nb", "b\n", "\nb\n", "user er", "\xff", "a\xffb", "ab", "abcd", "us er", "Kx ſ",
}

func TestMachineMatchesAsRegexp(t *testing.T) {
	for _, p := range machinePatterns {
		for _, s := range machineTexts {
			checkMachine(t, p, s)
		}
	}
}

// The memory of a machine is bounded, and its answers are right beyond that.
func TestMachineForgets(t *testing.T) {
	re, err := syntax.Parse(`a[ab]{12}c`, syntax.Perl)
	if err != nil {
		t.Fatal(err)
	}
	m, err := newMachine(re, false)
	if err != nil {
		t.Fatal(err)
	}
	s := make([]byte, 0, 1<<16)
	for i := range 1 << 16 {
		s = append(s, "ab"[(i*i*7+i*i*i/11)>>3&1])
	}
	s = append(s, 'c')
	want := regexp.MustCompile(`a[ab]{12}c`).Match(s)
	if got := m.search(string(s)) >= 0; got != want {
		t.Errorf("machine %v, regexp %v", got, want)
	}
	if len(m.states) > maxStates {
		t.Errorf("%d states, at most %d", len(m.states), maxStates)
	}
}

func FuzzMachine(f *testing.F) {
	for i, p := range machinePatterns {
		f.Add(p, machineTexts[i%len(machineTexts)])
	}
	f.Fuzz(func(t *testing.T, pattern, s string) {
		if len(pattern) > 60 || len(s) > 200 {
			return
		}
		if re, err := syntax.Parse(pattern, syntax.Perl); err != nil || re.MaxCap() > 20 {
			return
		}
		if _, err := regexp.Compile(pattern); err != nil {
			return
		}
		checkMachine(t, pattern, s)
	})
}
