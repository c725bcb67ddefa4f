package diagnose

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/postroad/postroad/lang"
	"github.com/postroad/postroad/mail"
)

// shippedEngine is the engine that the tests ask; they fail where its rules
// cannot be read.
func shippedEngine(t testing.TB) *Engine {
	t.Helper()
	e, err := Shipped()
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// slowEngine asks every rule of every text.
func slowEngine(t testing.TB) *Engine {
	t.Helper()
	e, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	e.slow = true
	return e
}

// corpus gives a folder of the shared test data beside the project.
func corpus(t testing.TB, name string) string {
	t.Helper()
	path := filepath.Join("../../shared", "corpus", filepath.FromSlash(name))
	if _, err := os.Stat(path); err != nil {
		t.Skip("corpus not here: " + name)
	}
	return path
}

// exampleRules are the shipped rules with their examples.
func exampleRules(t testing.TB) (rules []*Rule) {
	t.Helper()
	files, err := ShippedRules()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		rules = append(rules, f.Rules...)
	}
	return rules
}

// exampleTexts are all replies that the rules give as examples.
func exampleTexts(t testing.TB) (texts []string, providers []string) {
	t.Helper()
	seen := map[string]bool{"": true}
	providers = []string{""}
	for _, r := range exampleRules(t) {
		texts = append(texts, r.Examples...)
		if !seen[r.Provider] {
			seen[r.Provider] = true
			providers = append(providers, r.Provider)
		}
	}
	return texts, providers
}

func same(t *testing.T, fast, slow *Engine, ev Evidence) {
	t.Helper()
	if a, b := fast.Diagnose(ev), slow.Diagnose(ev); !reflect.DeepEqual(a, b) {
		t.Errorf("%+v:\n  index %+v\n  slow  %+v", ev, a, b)
	}
}

// The index must never change an answer: every example of every rule, with its
// provider and with none, and mixtures that tear literals apart.
func TestIndexAnswersAsTheSlowPath(t *testing.T) {
	fast, slow := shippedEngine(t), slowEngine(t)
	texts, providers := exampleTexts(t)
	random := rand.New(rand.NewPCG(1, 2))
	pick := func() string { return texts[random.IntN(len(texts))] }
	for i, text := range texts {
		same(t, fast, slow, Evidence{Text: text, Provider: providers[i%len(providers)], Spoke: Spoke(i % 3)})
	}
	for range 300 {
		a, b := pick(), pick()
		text := a[:random.IntN(len(a)+1)] + b[random.IntN(len(b)+1):]
		if random.IntN(2) == 0 {
			text = strings.ToUpper(text)
		}
		same(t, fast, slow, Evidence{Text: text, Provider: providers[random.IntN(len(providers))]})
	}
}

// What a pattern takes is what Go's regexp says of it: folding, parting into
// branches and the automata must not change that.
func TestRulesMatchAsRegexp(t *testing.T) {
	texts, _ := exampleTexts(t)
	random := rand.New(rand.NewPCG(3, 4))
	for _, r := range exampleRules(t) {
		re := regexp.MustCompile("(?i)" + r.Match)
		lines := append([]string{}, r.Examples...)
		for range 12 {
			lines = append(lines, texts[random.IntN(len(texts))])
		}
		for _, line := range lines {
			line = canonical(parseReply(line))
			if random.IntN(2) == 0 {
				line = strings.ToUpper(line)
			}
			if got, want := r.takes(line), re.MatchString(line); got != want {
				t.Errorf("%s: %v, regexp says %v: %q", r.ID, got, want, line)
			}
		}
	}
}

// Beyond ASCII a letter can be longer or shorter in its other case, and two signs
// are the other case of ASCII letters.
func TestFoldingBeyondASCII(t *testing.T) {
	fast, slow := shippedEngine(t), slowEngine(t)
	for text, fragment := range map[string]string{
		"550 5.1.1 unknown uſer":           "unknown uſer",
		"550 5.1.1 un\u212anown user":      "un\u212anown user",
		"550 5.1.1 İ: no ſuch user here ẞ": "no ſuch user here",
		"550 5.1.1 UTILISATEUR INCONNU É":  "UTILISATEUR INCONNU",
		"550 \xff\xfe user unknown \x80":   "user unknown",
	} {
		ev := Evidence{Text: text}
		same(t, fast, slow, ev)
		d := fast.Diagnose(ev)
		if d.Class != mail.RecipientUnknown || !strings.Contains(d.Why[0].Fragment, fragment) && !strings.Contains(fragment, d.Why[0].Fragment) {
			t.Errorf("%q: %s, fragment %q, want %q", text, d.Class, d.Why[0].Fragment, fragment)
		}
	}
}

func TestCorpusTextsAnswerAsTheSlowPath(t *testing.T) {
	dir := corpus(t, "bounces/sisimai-set-of-emails/bsd")
	fast, slow := shippedEngine(t), slowEngine(t)
	files, err := filepath.Glob(filepath.Join(dir, "*.eml"))
	if err != nil || len(files) == 0 {
		t.Fatal("no mails in the corpus: ", err)
	}
	for i, file := range files {
		if testing.Short() && i%10 != 0 {
			continue
		}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(data)) {
			if len(line) > 60 && i%4 == 0 {
				same(t, fast, slow, Evidence{Text: line})
				break
			}
		}
		if i := strings.Index(string(data), "iagnostic-Code:"); i >= 0 {
			text := string(data[i+len("iagnostic-Code:"):])
			if j := strings.Index(text, "\n\n"); j >= 0 {
				text = text[:j]
			}
			same(t, fast, slow, Evidence{Text: text})
		}
	}
}

// Every rule must be reachable by its own examples.
func TestExamplesAreTakenByTheirRule(t *testing.T) {
	e := shippedEngine(t)
	for _, r := range exampleRules(t) {
		for _, example := range r.Examples {
			d := e.Diagnose(Evidence{Text: example, Provider: r.Provider, Spoke: map[Tier]Spoke{TierLocal: Local}[r.Tier]})
			if d.Rule != r.ID && d.Class != r.Class {
				t.Errorf("%s:%d: %s: example goes to %q (%s, want %s): %s", r.File, r.Line, r.ID, d.Rule, d.Class, r.Class, example)
			}
		}
	}
}

func TestSyntheticTextsNeverMatch(t *testing.T) {
	e := shippedEngine(t)
	for _, text := range []string{
		"421 4.7.0 [TSS04] " + mail.SyntheticMark + " deferred due to unexpected volume",
		"550 5.4.300 Message expired -> 421 4.4.2 Connection dropped due to SocketError " + mail.SyntheticMark,
	} {
		if d := e.Diagnose(Evidence{Text: text, Provider: "yahoo"}); d.Class != mail.Unknown || d.Rule != "" {
			t.Errorf("%q: class %s by rule %q", text, d.Class, d.Rule)
		}
	}
}

// An engine answers any number of callers at once, also the first ones, for whom
// patterns and automata are still being made.
func TestEngineIsConcurrent(t *testing.T) {
	texts, providers := exampleTexts(t)
	want := make([]mail.Diagnosis, len(texts))
	for i, text := range texts {
		want[i] = shippedEngine(t).Diagnose(Evidence{Text: text, Provider: providers[i%len(providers)]})
	}
	fresh := &Engine{shipped: tableOfFiles(t), texts: shippedTexts}
	var all sync.WaitGroup
	for w := range 4 {
		all.Go(func() {
			for i := w; i < len(texts); i += 3 {
				got := fresh.Diagnose(Evidence{Text: texts[i], Provider: providers[i%len(providers)]})
				if !reflect.DeepEqual(got, want[i]) {
					t.Errorf("%q: %+v, alone %+v", texts[i], got, want[i])
				}
			}
		})
	}
	all.Wait()
}

// An operator's own rules come before the shipped ones, whatever their tier, and
// ids are never shared.
func TestOwnRulesComeFirst(t *testing.T) {
	own, err := ParseRules("own.toml", []byte(`
[[rule]]
id = "our-tss04"
match = 'temporarily deferred'
class = "policy"
tier = "fallback"
retry = "later"
`))
	if err != nil {
		t.Fatal(err)
	}
	e, err := New(Options{Rules: []*RuleFile{own}})
	if err != nil {
		t.Fatal(err)
	}
	ev := Evidence{Text: "421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to user complaints", Provider: "yahoo"}
	if d := e.Diagnose(ev); d.Rule != "our-tss04" || d.Class != mail.Policy || d.Retry != mail.RetryLater || d.Why[0].Key != whyOwn {
		t.Errorf("%+v", d)
	}
	if e.Rule("our-tss04") == nil || e.Rule("yahoo-tss04") == nil || e.Rule("nobody") != nil {
		t.Error("rules are not found by their id")
	}
	if d := shippedEngine(t).Diagnose(ev); d.Rule != "yahoo-tss04" {
		t.Errorf("the shipped engine has learnt an own rule: %+v", d)
	}
	twice, err := ParseRules("own.toml", []byte("[[rule]]\nid = 'yahoo-tss04'\nmatch = 'x'\nclass = 'policy'\n"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(Options{Rules: []*RuleFile{twice}}); err == nil || !strings.Contains(err.Error(), "own.toml:1: rule \"yahoo-tss04\" stands in") {
		t.Errorf("an id that is taken: %v", err)
	}
}

// What decides where a chain, a code or nothing is known.
func TestVerdicts(t *testing.T) {
	e := shippedEngine(t)
	for _, c := range []struct {
		name  string
		ev    Evidence
		class mail.Class
		retry mail.Retry
		why   string
		stage mail.Stage
	}{
		{"inner temporary under outer permanent", Evidence{Text: "550 5.4.300 Message expired -> 421 4.4.2 Connection dropped due to SocketError"},
			mail.Transport, mail.RetryElsewhere, whyTempInside, ""},
		{"outer says what the inner does not", Evidence{Text: "550 5.0.350 Remote server returned message detected as spam -> 554 xyzzy"},
			mail.Content, mail.RetryAfterFix, whyOuter, ""},
		{"empty inner reply", Evidence{Text: `550 5.1.351 Remote server returned unknown recipient or mailbox unavailable -> ""`},
			mail.RecipientUnknown, mail.RetryNever, whyText, ""},
		{"expired with nothing inside", Evidence{Text: "550 5.4.300 Message expired"}, mail.Expired, mail.RetryNever, whyText, ""},
		{"expired is not the verdict where a reply is inside", Evidence{Text: "550 5.4.300 Message expired -> 250 xyzzy"},
			mail.Unknown, mail.RetryLater, whyInner, ""},
		{"code alone", Evidence{Text: "550 5.1.1 xyzzy"}, mail.RecipientUnknown, mail.RetryNever, whyCode, ""},
		{"the report's status alone", Evidence{Status: mail.Enhanced{Class: 5, Subject: 1, Detail: 1}}, mail.RecipientUnknown, mail.RetryNever, whyCode, ""},
		{"the report's status beside unknown words", Evidence{Text: "xyzzy", Status: mail.Enhanced{Class: 5, Subject: 2, Detail: 2}},
			mail.MailboxFull, mail.RetryDays, whyCode, ""},
		{"nothing", Evidence{}, mail.Unknown, mail.RetryLater, whyNothing, ""},
		{"unknown words", Evidence{Text: "5xx xyzzy"}, mail.Unknown, mail.RetryLater, whyUnknown, ""},
		{"stage of the evidence", Evidence{Text: "550 5.1.1 user unknown", Stage: mail.StageRcpt}, mail.RecipientUnknown, mail.RetryNever, whyText, mail.StageRcpt},
		{"stage of the wrapper", Evidence{Text: "host a.example.com[192.0.2.1] said: 550 5.1.1 user unknown (in reply to end of DATA command)", Stage: mail.StageRcpt},
			mail.RecipientUnknown, mail.RetryNever, whyText, mail.StageFinal},
		{"own words", Evidence{Text: "Host or domain name not found. Name service error for name=example.com type=MX: Host not found, try again"},
			mail.DNS, mail.RetryLater, whyText, mail.StageResolve},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := e.Diagnose(c.ev)
			if d.Class != c.class || d.Retry != c.retry || d.Stage != c.stage || d.Why[0].Key != c.why && d.Why[0].Key != whyProvider && d.Why[0].Key != whyToken {
				t.Errorf("class %s retry %s stage %q why %+v by %q, want %s %s %q %s", d.Class, d.Retry, d.Stage, d.Why, d.Rule, c.class, c.retry, c.stage, c.why)
			}
			for _, w := range d.Why {
				if !lang.Open("en").Has(w.Key) {
					t.Errorf("no text for %s", w.Key)
				}
			}
		})
	}
}
