package postroad_test

import (
	"bytes"
	"go/ast"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/postroad/postroad/mail"
)

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.FromSlash(name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestLicence(t *testing.T) {
	text := read(t, "LICENSE")
	for _, want := range []string{"Apache License", "Version 2.0, January 2004", "END OF TERMS AND CONDITIONS"} {
		if !strings.Contains(text, want) {
			t.Errorf("LICENSE lacks %q", want)
		}
	}
}

// The drawing is of today's house: each room with Go files is in it, and each place of the order.
func TestArchitectureNamesEveryPackage(t *testing.T) {
	tr, err := readTree(".")
	if err != nil {
		t.Fatal(err)
	}
	text := read(t, "docs/architecture.md")
	for _, folder := range tr.folders() {
		if i := slices.IndexFunc(workshop, func(w string) bool { return within(folder, w) }); i >= 0 {
			folder = workshop[i]
		}
		if folder != "." && !strings.Contains(text, "`"+folder+"`") {
			t.Errorf("docs/architecture.md does not tell what `%s` is", folder)
		}
	}
	i := strings.Index(text, "## Import order")
	if i < 0 {
		t.Fatal("docs/architecture.md has no section \"Import order\"")
	}
	for _, places := range order {
		if want := "    " + strings.Join(places, "  ") + "\n"; !strings.Contains(text[i:], want) {
			t.Errorf("docs/architecture.md, import order: lacks the line %q of house_test.go", want)
		}
	}
}

// docs/classes.md has each class with the defaults that the code gives it.
func TestClassesAreDocumented(t *testing.T) {
	text := read(t, "docs/classes.md")
	for _, class := range mail.Classes {
		row := regexp.MustCompile("(?m)^\\| `" + string(class) + "` \\| [^|]+ \\| ([a-z-]+) \\| ([a-z-]+) \\|").FindStringSubmatch(text)
		if row == nil {
			t.Errorf("docs/classes.md has no row for %s", class)
			continue
		}
		if mail.Retry(row[1]) != class.Retry() || mail.Actor(row[2]) != class.Actor() {
			t.Errorf("docs/classes.md gives %s retry %s and actor %s, the code %s and %s",
				class, row[1], row[2], class.Retry(), class.Actor())
		}
	}
}

// A link to a file that moved is worse than none.
func TestLinksOfDocuments(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#\s]+)(#[^)\s]*)?\)`)
	seen := 0
	err := walk(".", func(name string) error {
		if path.Ext(name) != ".md" {
			return nil
		}
		for _, m := range link.FindAllStringSubmatch(read(t, name), -1) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			seen++
			if _, err := os.Stat(filepath.FromSlash(path.Join(path.Dir(name), m[1]))); err != nil {
				t.Errorf("%s links to %s, which is not there", name, m[1])
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen == 0 {
		t.Error("no links found: the pattern is broken")
	}
}

// The repository stands alone: what surrounds it on one machine is not part of it. Tests may look for
// the corpus beside it, and skip where it is not.
var (
	beside  = regexp.MustCompile(`\.\./shared\b`)
	machine = regexp.MustCompile(`(^|[^\w./-])/work/\w`)
)

func strays(name string, text []byte) (faults []string) {
	if !strings.HasSuffix(name, "_test.go") {
		if m := beside.Find(text); m != nil {
			faults = append(faults, name+": only tests may look beside the repository: "+string(m))
		}
	}
	if m := machine.Find(text); m != nil {
		faults = append(faults, name+": names a place of one machine: "+string(m))
	}
	return faults
}

func TestRepositoryStandsAlone(t *testing.T) {
	err := walk(".", func(name string) error {
		text := []byte(read(t, name))
		if bytes.IndexByte(text[:min(len(text), 8192)], 0) >= 0 {
			return nil // binary
		}
		report(t, strays(name, text))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, text string
		faults     int
	}{
		{"a.go", "open(\"../sha" + "red/corpus\")", 1},
		{"a_test.go", "open(\"../sha" + "red/corpus\")", 0},
		{"a_test.go", "open(\"/wo" + "rk/main\")", 1},
		{"a.md", "see https://example.com/work/main and net/work/x", 0},
		{"a.md", "cd /wo" + "rk/main", 1},
	} {
		if got := strays(c.name, []byte(c.text)); len(got) != c.faults {
			t.Errorf("%s %q: faults %q, want %d", c.name, c.text, got, c.faults)
		}
	}
}

// The rotation finds its targets with grep; this finds them with the parser.
func TestFuzzRotationKnowsEveryTarget(t *testing.T) {
	tr, err := readTree(".")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, s := range tr.sources {
		for _, decl := range s.file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && s.test && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Fuzz") {
				want = append(want, "./"+s.folder+" "+f.Name.Name)
			}
		}
	}
	read(t, "etc/fuzz") // so that the test cache sees a change of the script
	out, err := exec.Command("sh", "etc/fuzz", "-l").Output()
	if err != nil {
		t.Skipf("no POSIX shell here: %v", err)
	}
	got := strings.Split(strings.TrimSpace(string(out)), "\n")
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("etc/fuzz -l gives %q, the tree has %q", got, want)
	}
}
