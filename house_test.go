package postroad_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// module is the module path, as in go.mod.
const module = "github.com/postroad/postroad"

// order is the import order, lowest first: a package imports only packages of the lines above its own;
// packages in one line do not know each other. docs/architecture.md says what each is for.
//
// A new package needs a place here before its first import. Put it as low as it can live.
var order = [][]string{
	{"mail", "lang"},
	{"event", "message", "smtp", "dns", "dns/zone"},
	{"provider", "mailauth"},
	{"mailauth/spf", "mailauth/dkim", "mailauth/dmarc", "mailauth/tlspolicy"},
	{"diagnose", "world"},
	{"diagnose/header"},
	{"diagnose/bounce"},
	{"relay/spool"},
	{"relay/spool/conformance"},
	{"ingest/maillog", "ingest/trace", "ingest/esp", "ingest/queue", "ingest/source", "watch/detect"},
	{"explain"},
	{"dossier"},
	{"analyze"},
	{"cmd/postroad"},
}

// workshop are folders whose programs make things for the repository (examples, generated files). They
// may import any package and each other; no package may import them, only its tests.
var workshop = []string{"examples", "etc"}

// forbidden are imports that would break a promise: a package (and what is under it) does without them.
var forbidden = []struct{ in, imports, why string }{
	{"mail", "os", "the vocabulary does no I/O"},
	{"mail", "io", "the vocabulary does no I/O"},
	{"mail", "golang.org", "the vocabulary is standard library only"},
	{"mail", "github.com", "the vocabulary is standard library only"},
	{"event", "os", "facts do no I/O"},
	{"message", module + "/mail", "the reader of mail stands alone"},
	{"diagnose", "os", "a verdict is a pure function of the evidence"},
	{"", "os/exec", "nothing in the tree starts another program"},
}

// online are the packages that may open connections. README promises that no byte of the evidence leaves
// the machine, so what answers on evidence (offline) may not even import them through others.
// net/netip, net/textproto and net/mail are parsers and open nothing.
var (
	online     = []string{"smtp", "dns", "mailauth/spf", "mailauth/tlspolicy", "world"}
	offline    = []string{"explain", "analyze", "dossier"}
	connecting = []string{"net", "net/http", "net/smtp", "crypto/tls", "blitiri.com.ar/go/spf", "github.com/miekg/dns"}
)

// reserved are packages that only some may import: settings are read once, where the parts are wired,
// and go on as Options.
var reserved = map[string][]string{
	"config": {"server/app", "cmd"},
}

const (
	maxFileLines = 700 // of a file that is neither a test nor generated
	maxFuncLines = 80  // of a function in such a file
)

// source is one Go file of the tree.
type source struct {
	name      string // slash-separated, from the root: "diagnose/peel.go"
	folder    string // "diagnose"; "." is the root
	test      bool
	generated bool
	text      []byte
	file      *ast.File
}

// tree is all Go files of the module, parsed.
type tree struct {
	fset    *token.FileSet
	sources []source
}

// readTree parses the module below root. It reads files and does not ask "go list", so that the test
// cache sees what the answer depends on.
func readTree(root string) (*tree, error) {
	t := &tree{fset: token.NewFileSet()}
	err := walk(root, func(name string) error {
		if path.Ext(name) != ".go" || strings.Contains("/"+name, "/testdata/") {
			return nil
		}
		text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(t.fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		t.sources = append(t.sources, source{
			name: name, folder: path.Dir(name), text: text, file: file,
			test: strings.HasSuffix(name, "_test.go"), generated: ast.IsGenerated(file),
		})
		return nil
	})
	return t, err
}

// walk calls visit with every file of the module, slash-separated from root: what git keeps to itself,
// what was built and other modules (tools) are left out.
func walk(root string, visit func(name string) error) error {
	return filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		if !entry.IsDir() {
			if entry.Type().IsRegular() {
				return visit(name)
			}
			return nil
		}
		if name == ".git" || name == "bin" {
			return fs.SkipDir
		}
		if _, err := os.Stat(filepath.Join(file, "go.mod")); err == nil && name != "." {
			return fs.SkipDir
		}
		return nil
	})
}

// imports gives the import paths of a file.
func (s *source) imports() []string {
	var paths []string
	for _, spec := range s.file.Imports {
		if p, err := strconv.Unquote(spec.Path.Value); err == nil {
			paths = append(paths, p)
		}
	}
	return paths
}

// local gives the folder of an import of this module, "." for the root.
func local(importPath string) (folder string, ok bool) {
	if importPath == module {
		return ".", true
	}
	return strings.CutPrefix(importPath, module+"/")
}

// within reports whether folder is parent or below it; "" is above everything.
func within(folder, parent string) bool {
	return parent == "" || folder == parent || strings.HasPrefix(folder, parent+"/")
}

func inWorkshop(folder string) bool {
	return slices.ContainsFunc(workshop, func(w string) bool { return within(folder, w) })
}

// line gives a folder's line in the order, lowest 0; -1 where it has none.
func line(folder string) int {
	return slices.IndexFunc(order, func(places []string) bool { return slices.Contains(places, folder) })
}

// folders gives the folders that hold Go files other than tests, sorted.
func (t *tree) folders() []string {
	var all []string
	for _, s := range t.sources {
		if !s.test {
			all = append(all, s.folder)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// places finds folders without a place in the order, and places without a folder.
func (t *tree) places() (faults []string) {
	have := t.folders()
	for _, folder := range have {
		if folder != "." && line(folder) < 0 && !inWorkshop(folder) {
			faults = append(faults, folder+": has no place in the import order; give it one in house_test.go")
		}
	}
	for _, places := range order {
		for _, folder := range places {
			if !slices.Contains(have, folder) {
				faults = append(faults, folder+": has a place in the import order and no Go files; no empty rooms")
			}
		}
	}
	return faults
}

// upwards finds imports against the order. Tests may look up: they prove that parts fit together.
func (t *tree) upwards() (faults []string) {
	for _, s := range t.sources {
		if s.test {
			continue
		}
		for _, imported := range s.imports() {
			folder, ok := local(imported)
			if !ok {
				continue
			}
			switch from, to := line(s.folder), line(folder); {
			case inWorkshop(s.folder) && folder != ".":
			case folder == "." || inWorkshop(folder):
				faults = append(faults, s.name+": imports "+folder+", which is for nobody to import")
			case s.folder == "." || from < 0 || to < 0: // places finds the last two
			case to == from:
				faults = append(faults, s.name+": imports "+folder+", which stands on its own line of the order")
			case to > from:
				faults = append(faults, s.name+": imports "+folder+", which is above it in the order")
			}
		}
	}
	return faults
}

// promises finds imports that a package has promised to do without.
func (t *tree) promises() (faults []string) {
	for _, s := range t.sources {
		if s.test || inWorkshop(s.folder) {
			continue
		}
		for _, imported := range s.imports() {
			folder, _ := local(imported)
			if users, ok := reserved[folder]; ok &&
				!slices.ContainsFunc(users, func(user string) bool { return within(s.folder, user) }) {
				faults = append(faults, s.name+": imports "+folder+", which is for "+strings.Join(users, " and ")+" only")
			}
			for _, f := range forbidden {
				broad := strings.Contains(f.imports, ".") // "golang.org" stands for all that is there
				if within(s.folder, f.in) && (imported == f.imports || broad && within(imported, f.imports)) {
					faults = append(faults, s.name+": imports "+imported+": "+f.why)
				}
			}
		}
	}
	return faults
}

// leaks finds packages that could open a connection and should not: those that import what connects
// without being online, and those whose answers on evidence must stay on the machine.
func (t *tree) leaks() (faults []string) {
	imports := map[string][]string{} // of each folder, tests left out
	for _, s := range t.sources {
		if s.test || inWorkshop(s.folder) {
			continue
		}
		for _, imported := range s.imports() {
			if folder, ok := local(imported); ok {
				imports[s.folder] = append(imports[s.folder], folder)
			} else if slices.Contains(connecting, imported) &&
				!slices.ContainsFunc(online, func(o string) bool { return within(s.folder, o) }) {
				faults = append(faults, s.name+": imports "+imported+": only "+strings.Join(online, ", ")+" open connections")
			}
		}
	}
	for _, folder := range offline {
		seen := map[string]bool{folder: true}
		for todo := []string{folder}; len(todo) > 0; todo = todo[1:] {
			if slices.ContainsFunc(online, func(o string) bool { return within(todo[0], o) }) {
				faults = append(faults, folder+": reaches "+todo[0]+": no byte of the evidence leaves the machine")
			}
			for _, next := range imports[todo[0]] {
				if !seen[next] {
					seen[next], todo = true, append(todo, next)
				}
			}
		}
	}
	return faults
}

// comments finds packages without a package comment. "Package x is x" is none: a comment says what comes
// in, what goes out and who uses it, and that takes more than 80 bytes.
func (t *tree) comments() (faults []string) {
	for _, folder := range t.folders() {
		longest := 0
		for _, s := range t.sources {
			if s.folder == folder && !s.test && s.file.Doc != nil {
				longest = max(longest, len(s.file.Doc.Text()))
			}
		}
		if longest < 80 {
			faults = append(faults, folder+": no package comment, or one that says nothing")
		}
	}
	return faults
}

// sizes finds files and functions that are too long to be read in one go.
func (t *tree) sizes() (faults []string) {
	for _, s := range t.sources {
		if s.test || s.generated {
			continue
		}
		if n := strings.Count(string(s.text), "\n"); n > maxFileLines {
			faults = append(faults, s.name+": "+strconv.Itoa(n)+" lines; divide it by content")
		}
		ast.Inspect(s.file, func(node ast.Node) bool {
			var name string
			switch f := node.(type) {
			case *ast.FuncDecl:
				name = f.Name.Name
			case *ast.FuncLit:
				name = "a function literal"
			default:
				return true
			}
			from, to := t.fset.Position(node.Pos()).Line, t.fset.Position(node.End()).Line
			if n := to - from + 1; n > maxFuncLines {
				faults = append(faults, s.name+":"+strconv.Itoa(from)+": "+name+" has "+strconv.Itoa(n)+" lines")
			}
			return true
		})
	}
	return faults
}

// fuzzed finds packages that read foreign bytes and have no fuzz target: those with an exported function
// Parse..., Read..., Peel... or Decode...
func (t *tree) fuzzed() (faults []string) {
	reads, targets := map[string]string{}, map[string]bool{}
	for _, s := range t.sources {
		if inWorkshop(s.folder) {
			continue
		}
		for _, decl := range s.file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			switch {
			case !ok || f.Recv != nil:
			case s.test:
				targets[s.folder] = targets[s.folder] || strings.HasPrefix(f.Name.Name, "Fuzz")
			case slices.ContainsFunc([]string{"Parse", "Read", "Peel", "Decode"}, func(verb string) bool {
				return strings.HasPrefix(f.Name.Name, verb)
			}):
				reads[s.folder] = f.Name.Name
			}
		}
	}
	for _, folder := range t.folders() {
		if name, ok := reads[folder]; ok && !targets[folder] {
			faults = append(faults, folder+": "+name+" reads what others wrote, and the package has no fuzz target")
		}
	}
	return faults
}

func report(t *testing.T, faults []string) {
	t.Helper()
	for _, fault := range faults {
		t.Error(fault)
	}
}

func TestHouse(t *testing.T) {
	tr, err := readTree(".")
	if err != nil {
		t.Fatal(err)
	}
	if len(tr.sources) < 5 {
		t.Fatalf("only %d Go files found; does the test run at the module's root?", len(tr.sources))
	}
	for _, rule := range rules {
		t.Run(rule.name, func(t *testing.T) { report(t, rule.faults(tr)) })
	}
}

type rule struct {
	name   string
	faults func(*tree) []string
}

// rules are what the compiler does not check.
var rules = []rule{
	{"every folder has a place", (*tree).places},
	{"imports go down", (*tree).upwards},
	{"promises are kept", (*tree).promises},
	{"nothing leaks", (*tree).leaks},
	{"packages are explained", (*tree).comments},
	{"files and functions are short", (*tree).sizes},
	{"parsers are fuzzed", (*tree).fuzzed},
	{"no sentence for users in code", (*tree).sentences},
}

// TestRulesFindFaults builds small trees with one fault each: a rule that cannot fail guards nothing.
func TestRulesFindFaults(t *testing.T) {
	const comment = "// Package x reads what comes in, gives what goes out, keeps nothing over a crash; everyone uses it.\n"
	imports := func(paths ...string) string {
		return comment + "package x\n\nimport (\n\t_ \"" + strings.Join(paths, "\"\n\t_ \"") + "\"\n)\n"
	}
	body := func(statement string) string { return comment + "package x\n\nfunc f() {\n\t" + statement + "\n}\n" }
	cases := []struct{ rule, file, text, fault string }{
		{"every folder has a place", "attic/a.go", imports("fmt"), "attic: has no place"},
		{"every folder has a place", "examples/make/a.go", imports("fmt"), ""},
		{"imports go down", "mail/a.go", imports(module + "/explain"), "above it"},
		{"imports go down", "diagnose/header/a.go", imports(module + "/diagnose/bounce"), "above it"},
		{"imports go down", "event/a.go", imports(module + "/message"), "its own line"},
		{"imports go down", "explain/a.go", imports(module), "for nobody to import"},
		{"imports go down", "explain/a.go", imports(module + "/examples/make"), "for nobody to import"},
		{"imports go down", "examples/make/a.go", imports(module+"/examples/mta", module+"/explain"), ""},
		{"imports go down", "explain/a.go", imports(module+"/mail", module+"/diagnose/bounce", "fmt"), ""},
		{"imports go down", "mail/a_test.go", imports(module + "/explain"), ""},
		{"promises are kept", "mail/a.go", imports("os"), "no I/O"},
		{"promises are kept", "mail/a.go", imports("golang.org/x/net/idna"), "standard library only"},
		{"nothing leaks", "explain/a.go", imports("net/http"), "open connections"},
		{"nothing leaks", "provider/a.go", imports("crypto/tls"), "open connections"},
		{"nothing leaks", "analyze/a.go", imports(module+"/mail", module+"/dns"), "analyze: reaches dns"},
		{"nothing leaks", "world/a.go", imports("net", "crypto/tls", module+"/dns/zone"), ""},
		{"promises are kept", "diagnose/bounce/a.go", imports("os"), "pure function"},
		{"promises are kept", "diagnose/a.go", imports(module + "/config"), "server/app and cmd only"},
		{"promises are kept", "cmd/postroad/a.go", imports(module+"/config", "net/netip", "os"), ""},
		{"packages are explained", "mail/a.go", "package mail\n", "mail: no package comment"},
		{"packages are explained", "mail/a.go", "// Package mail is mail.\npackage mail\n", "says nothing"},
		{"packages are explained", "mail/a.go", imports("fmt"), ""},
		{"files and functions are short", "mail/a.go", comment + "package x\n" + strings.Repeat("\n", 699), "701 lines"},
		{"files and functions are short", "mail/a_test.go", comment + "package x\n" + strings.Repeat("\n", 700), ""},
		{"files and functions are short", "mail/a.go", body(strings.Repeat("\n", 79)), "f has 82 lines"},
		{"files and functions are short", "mail/a.go", comment + "package x\n\nvar f = func() {" + strings.Repeat("\n", 80) + "}\n", "function literal"},
		{"files and functions are short", "mail/a.go", body(strings.Repeat("\n", 77)), ""},
		{"parsers are fuzzed", "mail/a.go", comment + "package x\n\nfunc ParseX() {}\n", "no fuzz target"},
		{"parsers are fuzzed", "mail/a.go", comment + "package x\n\nfunc parse() {}\n\nfunc (a *A) Read() {}\n", ""},
		{"no sentence for users in code", "explain/a.go", body(`print("Yahoo closed the connection")`), "sentence"},
		{"no sentence for users in code", "cmd/postroad/a.go", body("x := \"Yahoo \" + name + ` closed the`"), "sentence"},
		{"no sentence for users in code", "explain/a.go", body(`x := map[string]string{"k": "three plain words"}`), "sentence"},
		{"no sentence for users in code", "explain/a.go", body(`x := strings.Join([]string{"three plain words"}, "")`), "sentence"},
		{"no sentence for users in code", "explain/a.go", body(`return fmt.Errorf("read the mail: %w", err)`), ""},
		{"no sentence for users in code", "explain/a.go", body(`return strings.Contains(s, "in reply to")`), ""},
		{"no sentence for users in code", "explain/a.go", body(`use := "explain [--json] [--as KIND] [FILE...|-]"`), ""},
		{"no sentence for users in code", "explain/a.go", body("// not shown: a header that Exchange writes\n\tx := \"Diagnostic information for\""), ""},
		{"no sentence for users in code", "diagnose/a.go", body(`x := "Yahoo closed the connection"`), ""},
	}
	for _, c := range cases {
		root := t.TempDir()
		file := filepath.Join(root, filepath.FromSlash(c.file))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		tr, err := readTree(root)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(rules, func(r rule) bool { return r.name == c.rule })
		faults := slices.DeleteFunc(rules[i].faults(tr), func(f string) bool { return strings.Contains(f, "no empty rooms") })
		if c.fault == "" && len(faults) > 0 || c.fault != "" && (len(faults) != 1 || !strings.Contains(faults[0], c.fault)) {
			t.Errorf("%s: in %s: faults %q, want %q:\n%s", c.rule, c.file, faults, c.fault, strings.TrimRight(c.text, "\n"))
		}
	}
	empty := tree{}
	if faults := empty.places(); len(faults) == 0 {
		t.Error("a tree without rooms has no fault")
	}
}
