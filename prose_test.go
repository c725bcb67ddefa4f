package postroad_test

import (
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// What users read stands in lang/catalogue, in six languages, and code names it by key. A sentence in
// Go code is therefore a text that five of the six cannot read.
//
// The rule for cmd/postroad and explain: no string literal with three or more words. A word is two or
// more letters, not all capitals (FILE, --as KIND), with or without a punctuation mark at its ends; text
// between words that is no word ("%d", "2>", "<FILE>", an HTML comment) does not count, and literals that are added
// together are one. Literals are exempt where they are
//
//   - arguments of fmt.Errorf, errors.New or panic: errors are English (CONTRIBUTING.md);
//   - arguments of regexp functions and of those of strings and bytes that search: they are looked for, not shown;
//   - struct tags and import paths;
//   - in a statement, declaration or element whose line, or the line above, has a comment that begins
//     with "not shown:" and says why.

// speaking are the packages that write what users read.
var speaking = []string{"cmd/postroad", "explain"}

// lookingFor begins the names of the functions of strings and bytes that look for a text.
var lookingFor = []string{"Contains", "Count", "Cut", "Equal", "Fields", "Has", "Index", "LastIndex", "Split", "Trim"}

const notShown = "not shown:"

// sentences finds user-visible sentences in Go code.
func (t *tree) sentences() (faults []string) {
	for _, s := range t.sources {
		if s.test || s.generated || !slices.ContainsFunc(speaking, func(p string) bool { return within(s.folder, p) }) {
			continue
		}
		excused := map[int]bool{}
		for _, group := range s.file.Comments {
			for _, c := range group.List {
				text := strings.TrimSpace(strings.TrimLeft(c.Text, "/*"))
				if strings.HasPrefix(text, notShown) && len(text) > len(notShown)+5 {
					line := t.fset.Position(c.Pos()).Line
					excused[line], excused[line+1] = true, true
				}
			}
		}
		ast.Inspect(s.file, func(node ast.Node) bool {
			switch n := node.(type) {
			case *ast.ImportSpec:
				return false
			case *ast.Field:
				n.Tag = nil
			case *ast.CallExpr:
				return !exemptCall(n)
			case *ast.GenDecl, *ast.AssignStmt, *ast.KeyValueExpr, *ast.CompositeLit:
				return !excused[t.fset.Position(node.Pos()).Line]
			case *ast.BinaryExpr, *ast.BasicLit:
				text, ok := literal(n.(ast.Expr))
				if !ok {
					return true
				}
				line := t.fset.Position(node.Pos()).Line
				if words(text) >= 3 && !excused[line] {
					faults = append(faults, s.name+":"+strconv.Itoa(line)+": a sentence belongs in lang/catalogue: "+strconv.Quote(text))
				}
				return false
			}
			return true
		})
	}
	return faults
}

// exemptCall tells the calls whose texts no user is meant to read, or whose texts are errors.
func exemptCall(call *ast.CallExpr) bool {
	switch fun := call.Fun.(type) {
	case *ast.Ident:
		return fun.Name == "panic"
	case *ast.SelectorExpr:
		pkg, ok := fun.X.(*ast.Ident)
		if !ok {
			return false
		}
		switch pkg.Name {
		case "regexp":
			return true
		case "strings", "bytes":
			return slices.ContainsFunc(lookingFor, func(prefix string) bool { return strings.HasPrefix(fun.Sel.Name, prefix) })
		case "fmt":
			return fun.Sel.Name == "Errorf"
		case "errors":
			return fun.Sel.Name == "New"
		}
	}
	return false
}

// literal gives the text of a string literal or of a sum with string literals in it; what is not literal
// becomes a "?". ok is false where there is no string literal.
func literal(expr ast.Expr) (text string, ok bool) {
	switch e := expr.(type) {
	case *ast.BasicLit:
		if e.Kind != token.STRING {
			return "?", false
		}
		text, err := strconv.Unquote(e.Value)
		return text, err == nil
	case *ast.BinaryExpr:
		if e.Op != token.ADD {
			return "?", false
		}
		left, lok := literal(e.X)
		right, rok := literal(e.Y)
		return left + right, lok || rok
	case *ast.ParenExpr:
		return literal(e.X)
	}
	return "?", false
}

// markupComment is what nobody sees in a generated document.
var markupComment = regexp.MustCompile(`(?s)<!--.*?-->`)

// words counts the words of a text, as defined above.
func words(text string) (n int) {
	text = markupComment.ReplaceAllString(text, "")
	for _, token := range strings.Fields(text) {
		token = strings.Trim(token, `.,:;!?"'()`)
		letters, lower := 0, false
		for _, r := range token {
			if !unicode.IsLetter(r) && r != '-' && r != '\'' && r != '’' {
				letters = -1
				break
			}
			letters++
			lower = lower || unicode.IsLower(r)
		}
		if letters >= 2 && lower && !strings.HasPrefix(token, "-") {
			n++
		}
	}
	return n
}
