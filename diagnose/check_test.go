package diagnose

import (
	"slices"
	"strings"
	"testing"

	"github.com/postroad/postroad/lang"
)

const checkHead = `
contacts = ["help@moon.biz"]
[sources]
S = "https://example.com (made up)"
`

func checkRule(id string, more ...string) string {
	return "[[rule]]\nid = \"" + id + "\"\nclass = \"policy\"\nsources = [\"S\"]\n" + strings.Join(more, "\n") + "\n"
}

func TestCheck(t *testing.T) {
	good := checkRule("generic-good", `match = 'green cheese'`, `examples = ['550 no green cheese here']`)
	for _, c := range []struct {
		name, rules, shipped string
		want                 []string
	}{
		{"clean", good, "", nil},
		{"duplicate id", good + checkRule("generic-good", `match = 'blue moon'`, `examples = ['550 blue moon']`), "", []string{"duplicate-id"}},
		{"no example", checkRule("generic-x", `match = 'blue moon'`), "", []string{"no-example"}},
		{"misses example", checkRule("generic-x", `match = 'blue moon'`, `examples = ['550 red moon']`), "", []string{"misses-example"}},
		{"other outcome", checkRule("generic-x", `match = 'blue moon'`, `outcome = "permanent"`, `examples = ['550 blue moon']`), "", nil},
		{"taken before", checkRule("generic-a", `match = 'moon'`, `examples = ['550 half moon']`) +
			strings.Replace(checkRule("generic-b", `match = 'blue moon'`, `examples = ['550 blue moon']`), "policy", "content", 1), "",
			[]string{"loses-example", "unreachable", "unreachable"}},
		{"covered although no example shows it", checkRule("generic-a", `match = 'moon'`, `examples = ['550 moon']`) +
			checkRule("generic-b", `match = '(blue|red) moon.{0,9}x'`), "", []string{"no-example", "unreachable"}},
		{"not covered: other outcome", checkRule("generic-a", `match = 'moon'`, `outcome = "temporary"`, `examples = ['450 moon']`) +
			checkRule("generic-b", `match = 'blue moon'`, `examples = ['550 blue moon']`), "", nil},
		{"not covered: word boundary", checkRule("generic-a", `match = 'moon\b'`, `examples = ['550 moon']`) +
			checkRule("generic-b", `match = 'blue moons'`, `examples = ['550 blue moons']`), "", nil},
		{"empty", checkRule("generic-x", `match = 'moon|'`, `examples = ['550 moon']`), "", []string{"matches-empty", "no-literal"}},
		{"anything", checkRule("generic-x", `match = '[a-z]{3}'`, `examples = ['550 moon']`), "",
			[]string{"matches-anything", "matches-anything", "matches-anything", "no-literal"}},
		{"no literal", checkRule("generic-x", `match = 'x[a-z][a-z]y'`, `examples = ['550 xaby']`), "", []string{"no-literal"}},
		{"costly", checkRule("generic-x", `match = 'moon(\w{1,30} \d{1,30}){16}x|moon(\w{1,30}-\d{1,30}){16}y|moon(\d{1,30}-\d{1,30}){16}'`, `examples = ['550 moon-less']`), "",
			[]string{"nested-repeat", "costly", "misses-example"}},
		{"no source", strings.ReplaceAll(good, `sources = ["S"]`, ""), "", []string{"unused-source", "no-source"}},
		{"unknown source", strings.ReplaceAll(good, `"S"`, `"S", "T"`), "", []string{"unknown-source"}},
		{"unknown provider", checkRule("nowhere-x", `provider = "nowhere"`, `match = 'blue moon'`, `examples = ['550 blue moon']`), "",
			[]string{"unknown-provider"}},
		{"id form", strings.ReplaceAll(good, "generic-good", "Good"), "", []string{"id-form"}},
		{"redundant", good + checkRule("generic-x", `match = 'blue moon'`, `actor = "sender"`, `examples = ['550 blue moon']`), "",
			[]string{"redundant"}},
		{"real address", checkRule("generic-x", `match = 'blue moon'`, `examples = ['550 blue moon for 8.8.8.8']`), "",
			[]string{"example-address"}},
		{"contact of the writer", checkRule("generic-x", `match = 'blue moon'`, `examples = ['550 blue moon (see RFC 5321 4.1.1.1), write to Help@moon.biz']`), "", nil},
		{"somebody else than the contact", checkRule("generic-x", `match = 'blue moon'`, `examples = ['550 blue moon, write to me@moon.biz']`), "",
			[]string{"example-address"}},
		{"an inner layer answers alike", checkRule("generic-a", `match = 'half moon'`, `examples = ['550 half moon']`) +
			checkRule("generic-b", `match = 'blue moon'`, `examples = ['550 5.7.1 blue moon -> 550 5.7.1 half moon']`), "", nil},
		{"own rule takes a shipped one's example", checkRule("mine", `match = 'cheese'`, `examples = ['550 cheese']`),
			strings.Replace(good, "policy", "content", 1), []string{"takes-example"}},
		{"own rule, own manners", strings.ReplaceAll(checkRule("mine", `match = 'brie'`, `examples = ['550 brie 8.8.8.8']`), `sources = ["S"]`, ""),
			good, []string{"unused-source"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := ParseRules("rules.toml", []byte(checkHead+c.rules))
			if err != nil {
				t.Fatal(err)
			}
			var shipped []*RuleFile
			if c.shipped != "" {
				s, err := ParseRules("shipped.toml", []byte(checkHead+c.shipped))
				if err != nil {
					t.Fatal(err)
				}
				shipped = []*RuleFile{s}
			}
			var got []string
			for _, finding := range Check([]*RuleFile{f}, shipped) {
				got = append(got, strings.TrimPrefix(finding.Key, "rules."))
				if text := lang.Open("en"); !text.Has(finding.Key) {
					t.Errorf("%s has no text", finding.Key)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("findings %q, want %q", got, c.want)
			}
		})
	}
}

// The shipped rules themselves.
func TestShippedRulesAreClean(t *testing.T) {
	files, err := ShippedRules()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range Check(files, nil) {
		t.Error(f)
	}
}

func TestExplainAgreesWithDiagnose(t *testing.T) {
	e := shippedEngine(t)
	for _, r := range exampleRules(t) {
		for _, example := range r.Examples {
			ev := Evidence{Text: example, Provider: r.Provider}
			d, tried := e.Diagnose(ev), e.Explain(ev)
			if d.Rule == "" || len(Peel(example)) > 1 {
				continue
			}
			wins := slices.IndexFunc(tried, func(t Tried) bool { return t.Result == TriedWon })
			if wins < 0 || tried[wins].Rule.ID != d.Rule {
				t.Errorf("%q: rule %q decides, not shown: %+v", example, d.Rule, tried)
			}
		}
	}
}

// A rule that is no token is never shown in the round of the tokens.
func TestExplainShowsTokensAsTokensOnly(t *testing.T) {
	e, notAsked := shippedEngine(t), 0
	for _, r := range exampleRules(t) {
		for _, tried := range e.Explain(Evidence{Text: r.Examples[0]}) {
			if tried.Turn == turnToken && !tried.Rule.Token {
				t.Errorf("%q: %s is no token and shown as one", r.Examples[0], tried.Rule.ID)
			}
			if tried.Result == TriedNotAsked {
				notAsked++
			}
		}
	}
	if notAsked == 0 {
		t.Error("no example shows a rule that is not asked")
	}
}

// Errors of a rule file say where and what to do.
func TestParseRulesErrors(t *testing.T) {
	for _, c := range []struct{ rules, want string }{
		{"[[rule]]\nid = 7", "x.toml:2: read rules"},
		{"[[rule]]\nid = 'a'\nclas = 'policy'", `x.toml:3: read rules: unknown key "rule.clas"`},
		{"\n[[rule]]\nid = 'a'\nmatch = 'b'\nclass = 'polcy'", `x.toml:2: rule "a": unknown class "polcy"; see`},
		{"[[rule]]\nmatch = 'b'\nclass = 'policy'", `has no id; add id`},
		{"[[rule]]\nid = 'a'\nmatch = '(?-i:B)'\nclass = 'policy'", `match keeps case apart`},
		{"[[rule]]\nid = 'a'\nclass = 'policy'", `has no match; add match`},
		{"[[rule]]\nid = 'a'\nmatch = '('\nclass = 'policy'", `match is no RE2 pattern`},
		{"[[rule]]\nid = 'a'\nmatch = 'b'\nclass = 'policy'\nretry = 'soon'", `unknown retry "soon"; use elsewhere`},
		{"[[rule]]\nid = 'a'\nmatch = 'b'\nclass = 'policy'\nactor = 'me'", `unknown actor "me"`},
		{"[[rule]]\nid = 'a'\nmatch = 'b'\nclass = 'policy'\ntier = 'first'", `unknown tier "first"; use provider`},
		{"[[rule]]\nid = 'a'\nmatch = 'b'\nclass = 'policy'\ntoken = true", `names no provider; add provider`},
		{"[[rule]]\nid = 'a'\nmatch = 'b'\nclass = 'policy'\ncontributing = ['x']", `unknown contributing class "x"`},
		{"[[rule]]\nid = 'a'\nmatch = 'b'\nclass = 'policy'\nconfidence = 2", `not between 0 and 1`},
		{"[[rule]]\nid = 'a'\nmatch = 'b'\nclass = 'policy'\noutcome = 'never'", `unknown outcome "never"; use temporary`},
	} {
		_, err := ParseRules("x.toml", []byte(c.rules))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q:\n got  %v\n want %s", c.rules, err, c.want)
		}
		if err != nil && len(Unreadable(err)) == 0 {
			t.Errorf("%q: no finding", c.rules)
		}
	}
}

func FuzzParseRules(f *testing.F) {
	f.Add([]byte(checkHead + checkRule("generic-x", `match = 'a|b'`, `examples = ['550 a']`)))
	f.Add([]byte("[[rule]]\nid = 'a'\nmatch = '(a{1,9}){1,9}'\nclass = 'policy'\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := ParseRules("x.toml", data)
		if err != nil {
			return
		}
		for _, r := range file.Rules {
			if r.ID == "" || r.Match == "" || !r.Class.Valid() {
				t.Errorf("incomplete rule %+v", r.ID)
			}
		}
		if len(data) < 300 {
			Check([]*RuleFile{file}, nil)
		}
	})
}
