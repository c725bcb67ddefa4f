package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/postroad/postroad/diagnose"
	"github.com/postroad/postroad/diagnose/bounce"
	"github.com/postroad/postroad/explain"
	"github.com/postroad/postroad/lang"
	"github.com/postroad/postroad/mail"
	"github.com/postroad/postroad/provider"
)

// asKinds are the words of --as.
var asKinds = map[string]explain.Kind{
	"":        "",
	"mail":    explain.KindMessage,
	"message": explain.KindMessage,
	"notice":  explain.KindBounce,
	"bounce":  explain.KindBounce,
	"headers": explain.KindHeaders,
	"reply":   explain.KindReply,
	"log":     explain.KindLog,
}

type explainFlags struct {
	json  bool
	as    string
	color string
	ours  []string
	rules []string
}

func explainCommand(c console, texts *lang.Catalogue) *cobra.Command {
	var f explainFlags
	cmd := &cobra.Command{
		Use:     texts.Text("cli.explain.use", nil),
		Short:   texts.Text("cli.explain.short", nil),
		Long:    texts.Text("cli.explain.long", nil),
		Example: texts.Text("cli.explain.example", nil),
		RunE:    func(_ *cobra.Command, args []string) error { return explainFiles(c, texts, f, args) },
	}
	fs := cmd.Flags()
	fs.BoolVar(&f.json, "json", false, texts.Text("cli.flag.json", nil))
	fs.StringVar(&f.as, "as", "", texts.Text("cli.flag.as", nil))
	fs.StringVar(&f.color, "color", "auto", texts.Text("cli.flag.color", nil))
	fs.StringArrayVar(&f.ours, "ours", nil, texts.Text("cli.flag.ours", nil))
	fs.StringArrayVar(&f.rules, "rules", nil, texts.Text("cli.flag.rules", nil))
	return cmd
}

func explainFiles(c console, texts *lang.Catalogue, f explainFlags, files []string) error {
	as, ok := asKinds[f.as]
	if !ok {
		return exit{exitUsage, errors.New(texts.Text("cli.error.flag.as", lang.Args{"Value": f.as}))}
	}
	useColour, ok := colour(f.color, c)
	if !ok {
		return exit{exitUsage, errors.New(texts.Text("cli.error.flag.color", lang.Args{"Value": f.color}))}
	}
	for _, v := range f.ours {
		if !bounce.ValidOurs(v) {
			return exit{exitUsage, errors.New(texts.Text("cli.error.flag.ours", lang.Args{"Value": v}))}
		}
	}
	x, err := newExplainer(texts, f, as)
	if err != nil {
		return exit{exitUsage, err}
	}
	if len(files) == 0 {
		if _, tty := terminal(c.in); tty {
			fmt.Fprintln(c.err, texts.Text("cli.paste", nil))
		}
		files = []string{"-"}
	}
	out := bufio.NewWriterSize(c.out, 64<<10)
	defer out.Flush()
	columns, _ := terminal(c.out)
	s := speaker{
		json:    json.NewEncoder(out),
		text:    &explain.Printer{W: out, Texts: texts, Width: columns, Color: useColour},
		asJSON:  f.json,
		several: len(files) > 1,
		unknown: diagnose.NewUnknown(0),
	}
	s.json.SetEscapeHTML(false)
	return s.all(c, x, texts, files, out)
}

func newExplainer(texts *lang.Catalogue, f explainFlags, as explain.Kind) (*explain.Explainer, error) {
	providers, err := provider.Shipped()
	if err != nil {
		return nil, err
	}
	engine, err := loadEngine(texts, f.rules, providers)
	if err != nil {
		return nil, err
	}
	return explain.New(explain.Options{Engine: engine, Providers: providers, Texts: texts, Ours: f.ours, As: as})
}

// loadEngine gives the shipped rules with the operator's own files in front.
func loadEngine(texts *lang.Catalogue, files []string, providers *provider.Catalogue) (*diagnose.Engine, error) {
	own, err := readRules(texts, files)
	if err != nil {
		return nil, err
	}
	return diagnose.New(diagnose.Options{Rules: own, Texts: providers.Texts})
}

func readRules(texts *lang.Catalogue, names []string) ([]*diagnose.RuleFile, error) {
	files := make([]*diagnose.RuleFile, 0, len(names))
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, readError(texts, name, err)
		}
		f, err := diagnose.ParseRules(name, data)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

// speaker writes the answers, and remembers what the exit status must be.
type speaker struct {
	json       *json.Encoder
	text       *explain.Printer
	asJSON     bool
	several    bool
	unknown    *diagnose.Unknown // texts that no rule knew
	count      int
	answered   bool
	unreadable bool
	failed     error // writing failed: there is nobody to answer
}

func (s *speaker) all(c console, x *explain.Explainer, texts *lang.Catalogue, files []string, out *bufio.Writer) error {
	for _, name := range files {
		var err error
		before := s.count
		if name == "-" {
			err = x.Reader(name, c.in, s.answer)
		} else {
			err = x.Path(name, s.answer)
		}
		if err != nil && s.failed == nil {
			s.unread(c, readError(texts, name, err), name, s.count == before, out)
		}
		if s.failed != nil {
			return exit{exitUsage, s.failed}
		}
	}
	if !s.asJSON && s.count > 1 {
		if err := s.text.PrintUnknown(s.unknown); err != nil {
			return exit{exitUsage, err}
		}
	}
	if err := out.Flush(); err != nil {
		return exit{exitUsage, err}
	}
	switch {
	case s.unreadable:
		return exit{status: exitUsage}
	case !s.answered:
		return exit{status: exitNothing}
	}
	return nil
}

// unread tells of a file that could not be read: to the person on standard
// error, and to the program that reads the JSON as an object of kind unknown, so
// that no file it named goes without one.
func (s *speaker) unread(c console, err error, name string, silent bool, out *bufio.Writer) {
	s.unreadable = true
	if s.asJSON && silent {
		s.answer(&explain.Answer{Schema: explain.Schema, File: name, Kind: explain.KindUnknown,
			Results: []explain.Result{}, Reason: err.Error()})
	}
	if ferr := out.Flush(); ferr != nil {
		s.failed = ferr
		return
	}
	fmt.Fprintf(c.err, "postroad: %s\n", err)
}

// readError says that a file cannot be read, and what to do.
func readError(texts *lang.Catalogue, name string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errors.New(texts.Text("cli.error.read.missing", lang.Args{"File": name}))
	case errors.Is(err, fs.ErrPermission):
		return errors.New(texts.Text("cli.error.read.forbidden", lang.Args{"File": name}))
	}
	return errors.New(texts.Text("cli.error.read", lang.Args{"File": name, "Error": cause(err)}))
}

// cause gives the innermost error: the operating system's own word, such as
// "permission denied".
func cause(err error) string {
	var ue *explain.UnreadableError
	if errors.As(err, &ue) {
		return ue.Err.Error()
	}
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}

func (s *speaker) answer(a *explain.Answer) bool {
	s.answered = s.answered || a.Answered()
	s.count++
	for i := range a.Results {
		if d := a.Results[i].Diagnosis; d != nil && d.Class == mail.Unknown && a.Results[i].Text != "" {
			s.unknown.Add(a.Results[i].Text)
		}
	}
	if s.asJSON {
		s.failed = s.json.Encode(a)
	} else {
		title := ""
		if s.several {
			title = a.File
		}
		s.failed = s.text.Print(a, title)
	}
	return s.failed == nil
}
