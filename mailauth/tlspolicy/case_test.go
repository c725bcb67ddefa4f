package tlspolicy

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// rfcCase is one case of testdata/rfc*.txt:
//
//	== 3.1 what the case is about
//	do KIND ARGUMENTS
//	| input, one line each, with the escapes of a Go string
//	> what must come out, one line each
//
// Lines that begin with "#" are notes.
type rfcCase struct {
	section, name string
	kind          string
	args          []string
	in, want      []string
}

func readCases(t testing.TB, file string) []rfcCase {
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var cases []rfcCase
	names := map[string]bool{}
	for number, line := range strings.Split(string(raw), "\n") {
		where := fmt.Sprintf("%s:%d", file, number+1)
		if line == "" || line[0] == '#' {
			continue
		}
		head, rest, _ := strings.Cut(line, " ")
		if head == "==" {
			section, name, ok := strings.Cut(rest, " ")
			if !ok || strings.Trim(section, "0123456789.") != "" || names[rest] {
				t.Fatalf("%s: not a section and a name of its own: %q", where, rest)
			}
			names[rest] = true
			cases = append(cases, rfcCase{section: section, name: name})
			continue
		}
		if len(cases) == 0 {
			t.Fatalf("%s: a line before the first case", where)
		}
		c := &cases[len(cases)-1]
		switch head {
		case "do":
			words := strings.Fields(rest)
			c.kind, c.args = words[0], words[1:]
		case "|":
			text, err := strconv.Unquote(`"` + strings.ReplaceAll(rest, `"`, `\"`) + `"`)
			if err != nil {
				t.Fatalf("%s: %v: %q", where, err, rest)
			}
			c.in = append(c.in, text)
		case ">":
			c.want = append(c.want, rest)
		default:
			t.Fatalf("%s: neither ==, do, | nor >: %q", where, line)
		}
	}
	for _, c := range cases {
		if c.kind == "" || len(c.want) == 0 {
			t.Fatalf("%s: %s %s: nothing to do, or nothing that must come out", file, c.section, c.name)
		}
	}
	return cases
}

// inputs gives what follows a word at the begin of input lines.
func (c rfcCase) inputs(word string) (all []string) {
	for _, line := range c.in {
		if rest, ok := strings.CutPrefix(line, word+" "); ok {
			all = append(all, rest)
		}
	}
	return all
}

func (c rfcCase) input(word, otherwise string) string {
	if all := c.inputs(word); len(all) > 0 {
		return all[len(all)-1]
	}
	return otherwise
}

func (c rfcCase) has(line string) bool { return slices.Contains(c.in, line) }

// runCases runs a file; a kind gives what came out, a line each. Only lines that
// begin with a word that the case wants are compared.
func runCases(t *testing.T, file string, atLeast int, kinds map[string]func(*testing.T, rfcCase) []string) {
	cases := readCases(t, file)
	sections := map[string]bool{}
	suite := strings.Replace(strings.ToUpper(strings.TrimSuffix(filepath.Base(file), ".txt")), "RFC", "RFC ", 1)
	passed := 0
	for _, c := range cases {
		done := t.Run(c.section+" "+c.name, func(t *testing.T) {
			do := kinds[c.kind]
			if do == nil {
				t.Fatalf("no kind %q", c.kind)
			}
			var got []string
			for _, line := range do(t, c) {
				word, _, _ := strings.Cut(line, " ")
				if len(got) == 0 || slices.ContainsFunc(c.want, func(w string) bool { return strings.HasPrefix(w, word+" ") }) {
					got = append(got, line)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("\n got %s\nwant %s", strings.Join(got, "\n     "), strings.Join(c.want, "\n     "))
			}
		})
		if done {
			passed++
		}
		sections[c.section] = true
	}
	if len(cases) < atLeast {
		t.Errorf("%s: %d cases; there were %d and more", file, len(cases), atLeast)
	}
	t.Logf("%d cases from %d sections", len(cases), len(sections))
	conformance(t, suite+suiteNames[suite], len(cases), passed, nil)
}

var suiteNames = map[string]string{
	"RFC 8461": " MTA-STS", "RFC 7672": " DANE", "RFC 8460": " TLS-RPT record", "RFC 8689": " REQUIRETLS",
}

// conformance prints what etc/conformance makes a table of.
func conformance(t *testing.T, suite string, cases, passed int, exceptions []string) {
	named := strings.Join(exceptions, "; ")
	if named == "" {
		named = "none"
	}
	t.Logf("CONFORMANCE suite=%s cases=%d passed=%d exceptions=%s", suite, cases, passed, named)
}

// told gives a failure as the files have it.
func told(err error) string {
	f, ok := err.(*Failure)
	if !ok {
		return fmt.Sprint("error ", err)
	}
	return string(f.Result) + " " + f.Code
}
