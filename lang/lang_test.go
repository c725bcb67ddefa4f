package lang

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestMatch(t *testing.T) {
	for wish, want := range map[string]string{
		"": "en", "C": "en", "POSIX": "en", "fr_CH.UTF-8": "fr", "de": "de", "pt-BR": "pt",
		"es_ES@euro": "es", "sv, it;q=0.5": "it", "xx": "en", "en_GB.UTF-8": "en",
	} {
		if got, _ := Match(wish); got != want {
			t.Errorf("Match(%q) = %q, want %q", wish, got, want)
		}
	}
	if _, ok := Match("sv"); ok {
		t.Error("Swedish is said to have a catalogue")
	}
}

func TestEnvironmentOrder(t *testing.T) {
	env := map[string]string{"LANG": "de_DE.UTF-8", "LC_MESSAGES": "it_IT"}
	get := func(k string) string { return env[k] }
	if got := FromEnvironment(get); got != "it" {
		t.Errorf("LC_MESSAGES does not go before LANG: %q", got)
	}
	env["LC_ALL"] = "C"
	if got := FromEnvironment(get); got != "en" {
		t.Errorf("LC_ALL does not go before the others: %q", got)
	}
}

// TestEveryLanguageSaysTheSame holds the catalogues together: the same keys, the
// same placeholders, plural forms where English has them, nothing empty.
func TestEveryLanguageSaysTheSame(t *testing.T) {
	english := Open("en")
	for _, tag := range Languages() {
		c := Open(tag)
		for key, want := range english.texts {
			got, ok := c.texts[key]
			if !ok {
				t.Errorf("%s: key %q is missing; translate it in catalogue/*.%s.toml", tag, key, tag)
				continue
			}
			if a, b := placeholders(want.other), placeholders(got.other); !slices.Equal(a, b) {
				t.Errorf("%s: %q has the placeholders %v, English has %v", tag, key, b, a)
			}
			if len(got.other) == 0 {
				t.Errorf("%s: %q is empty", tag, key)
			}
			if want.one != nil && got.one == nil {
				t.Errorf("%s: %q has no form for one", tag, key)
			}
		}
		for key := range c.texts {
			if _, ok := english.texts[key]; !ok {
				t.Errorf("%s: %q is in no English catalogue; delete it or add it there", tag, key)
			}
		}
	}
}

func placeholders(pieces []piece) []string {
	var out []string
	for _, p := range pieces {
		if p.name != "" && !slices.Contains(out, p.name) {
			out = append(out, p.name)
		}
	}
	slices.Sort(out)
	return out
}

// TestTopicsAreWhole sees to it that each topic has a file in each language.
func TestTopicsAreWhole(t *testing.T) {
	names, err := fs.Glob(files, "catalogue/*.toml")
	if err != nil {
		t.Fatal(err)
	}
	topics := map[string][]string{}
	for _, n := range names {
		parts := strings.Split(strings.TrimPrefix(n, "catalogue/"), ".")
		if len(parts) != 3 || !slices.Contains(Languages(), parts[1]) {
			t.Errorf("%s: a catalogue is named topic.language.toml", n)
			continue
		}
		topics[parts[0]] = append(topics[parts[0]], parts[1])
	}
	for topic, have := range topics {
		for _, tag := range Languages() {
			if !slices.Contains(have, tag) {
				t.Errorf("catalogue/%s.%s.toml is missing", topic, tag)
			}
		}
	}
}

// keyForm is how a key looks in code: words with dots, the first one a topic.
var keyForm = regexp.MustCompile(`^[a-z]+(\.[a-z0-9-]+)+$`)

// TestKeysInCodeExist reads every string of the program that looks like a key of
// a known topic, and wants it in the catalogue.
func TestKeysInCodeExist(t *testing.T) {
	english := Open("en")
	topics := map[string]bool{}
	for key := range english.texts {
		topic, _, _ := strings.Cut(key, ".")
		topics[topic] = true
	}
	found := 0
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && len(d.Name()) > 2 {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			lit, ok := n.(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				return true
			}
			s, err := strconv.Unquote(lit.Value)
			if err != nil || !keyForm.MatchString(s) {
				return true
			}
			topic, _, _ := strings.Cut(s, ".")
			if !topics[topic] || fileName.MatchString(s) {
				return true
			}
			if _, ok := english.texts[s]; ok {
				found++
				return true
			}
			for key := range english.texts {
				if strings.HasPrefix(key, s+".") {
					found++
					return true // the stem of numbered steps or variants
				}
			}
			t.Errorf("%s: key %q is in no catalogue", path, s)
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if found < 50 {
		t.Errorf("only %d keys were found in the code: the test does not see it", found)
	}
}

// fileName tells strings such as "reply.go" from keys.
var fileName = regexp.MustCompile(`\.(go|toml|eml|com|org|net|txt|md|local)$`)

func TestTextFillsPlaceholders(t *testing.T) {
	c := &Catalogue{tag: tags[0], texts: map[string]text{}}
	if err := c.add("x.en.toml", []byte("\"a.b\" = \"{{.X}} and {{ .Y }}.\"\n\"n\" = { one = \"{{.Count}} mail\", other = \"{{.Count}} mails\" }\n")); err != nil {
		t.Fatal(err)
	}
	if got := c.Text("a.b", Args{"X": "1", "Y": "{{.X}}"}); got != "1 and {{.X}}." {
		t.Errorf("got %q", got)
	}
	if got := c.Text("a.c", nil); got != "a.c" {
		t.Errorf("a missing key gives %q, want the key", got)
	}
	for n, want := range map[int]string{0: "0 mails", 1: "1 mail", 2: "2 mails"} {
		if got := c.Count("n", n, nil); got != want {
			t.Errorf("Count(%d) = %q, want %q", n, got, want)
		}
	}
	if err := c.add("y.en.toml", []byte("\"bad\" = \"{{X}}\"\n")); err == nil {
		t.Error("a placeholder without a dot is accepted")
	}
	if err := c.add("z.en.toml", []byte("\"a.b\" = \"again\"\n")); err == nil {
		t.Error("a key in two files is accepted")
	}
}

func TestFormats(t *testing.T) {
	for _, c := range []struct {
		tag, got, want string
	}{
		{"en", Open("en").Number(1204), "1,204"},
		{"de", Open("de").Number(1204), "1.204"},
		{"en", Open("en").Number(-7), "-7"},
		{"en", Open("en").Number(0), "0"},
		{"en", Open("en").Confidence(0.934), "0.93"},
		{"fr", Open("fr").Confidence(0.05), "0,05"},
		{"en", Open("en").Confidence(1), "1.00"},
		{"en", Open("en").Percent(0.608), "61\u00a0%"},
		{"de", Open("de").Percent(0.0042), "0,4\u00a0%"},
		{"en", Open("en").Percent(0.0001), "<0.1\u00a0%"},
		{"en", Open("en").Percent(0), "0\u00a0%"},
		{"en", Open("en").Percent(0.9996), "99\u00a0%"},
		{"it", Open("it").Percent(1), "100%"},
		{"en", Open("en").Duration(3*time.Hour + 10*time.Minute + 5*time.Second), "3 h 10 min"},
		{"en", Open("en").Duration(49 * time.Hour), "2 d 1 h"},
		{"en", Open("en").Duration(2 * time.Hour), "2 h"},
		{"en", Open("en").Duration(-90 * time.Second), "-1 min 30 s"},
		{"en", Open("en").Duration(0), "0 s"},
		{"en", Open("en").List([]string{"a", "b", "c"}), "a, b and c"},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %q, want %q", c.tag, c.got, c.want)
		}
	}
}
