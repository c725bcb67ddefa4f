// Command postroad says why mail does not arrive, whose move it is, and what to
// do. It is the one binary of the project: this package turns arguments into
// calls of the packages that do the work, and their answers into text, JSON and
// an exit status. It keeps nothing and holds no sentence of its own: the texts
// come from package lang.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	_ "time/tzdata" // --tz must work on a machine without a zone database

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/postroad/postroad/explain"
	"github.com/postroad/postroad/lang"
)

// The exit statuses of every command.
const (
	exitFine    = 0
	exitNothing = 1 // nothing recognisable, or findings
	exitUsage   = 2 // wrong usage or unreadable input
)

// softMemory is where the garbage collector begins to work harder: the largest
// input that is taken in (message.Limits) fits below it with room to spare.
const softMemory = 64 << 20

func main() {
	debug.SetGCPercent(400) // the heap is small: collect seldom, the limit below holds it
	debug.SetMemoryLimit(softMemory)
	os.Exit(run(os.Args[1:], console{in: os.Stdin, out: os.Stdout, err: os.Stderr, getenv: os.Getenv}))
}

// console is the world of a command.
type console struct {
	in     io.Reader
	out    io.Writer
	err    io.Writer
	getenv func(string) string
}

// exit ends a command with a status and, unless it is nil, an error that the
// user reads.
type exit struct {
	status int
	err    error
}

func (e exit) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

// run executes one command line and returns the exit status.
func run(args []string, c console) int {
	tag := lang.FromEnvironment(c.getenv)
	if wish, ok := langFlag(args); ok {
		if t, ok := lang.Match(wish); ok {
			tag = t
		}
	}
	texts := lang.Open(tag)
	root := newRoot(c, texts)
	root.SetArgs(args)
	cmd, err := root.ExecuteC()
	if err == nil {
		return exitFine
	}
	var e exit
	if errors.As(err, &e) {
		if e.err != nil {
			fmt.Fprintf(c.err, "postroad: %s\n", e.err)
		}
		return e.status
	}
	fmt.Fprintf(c.err, "postroad: %s\n", texts.Text("cli.error.usage",
		lang.Args{"Error": err.Error(), "Command": cmd.CommandPath()}))
	return exitUsage
}

// langFlag finds --lang before the arguments are parsed: help texts and usage
// errors are to be in that language too.
func langFlag(args []string) (string, bool) {
	for i, a := range args {
		if v, ok := strings.CutPrefix(a, "--lang="); ok {
			return v, true
		}
		if a == "--lang" && i+1 < len(args) {
			return args[i+1], true
		}
	}
	return "", false
}

func newRoot(c console, texts *lang.Catalogue) *cobra.Command {
	root := &cobra.Command{
		Use:           "postroad",
		Short:         texts.Text("cli.root.short", nil),
		Long:          texts.Text("cli.root.long", nil),
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(c.in)
	root.SetOut(c.out)
	root.SetErr(c.err)
	root.SetVersionTemplate("postroad {{.Version}}\n")
	root.PersistentFlags().String("lang", "", texts.Text("cli.flag.lang", nil))
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		wish, _ := cmd.Flags().GetString("lang")
		if _, ok := lang.Match(wish); wish != "" && !ok {
			return exit{exitUsage, errors.New(texts.Text("cli.error.flag.lang", lang.Args{"Value": wish}))}
		}
		return nil
	}
	root.AddCommand(
		explainCommand(c, texts),
		analyzeCommand(c, texts),
		rulesCommand(c, texts),
		providersCommand(c, texts),
		worldCommand(c, texts),
		versionCommand(c, texts),
		referenceCommand(c),
	)
	localise(root, texts)
	return root
}

// localise puts cobra's own help into the reader's language.
func localise(root *cobra.Command, texts *lang.Catalogue) {
	t := func(key string) string { return texts.Text(key, nil) }
	cobra.AddTemplateFunc("options", options)
	root.SetUsageTemplate(t("cli.help.usage") + `:
  {{if .HasAvailableSubCommands}}{{.CommandPath}} COMMAND{{else}}{{.UseLine}}{{end}}{{if .HasExample}}

` + t("cli.help.examples") + `:
{{.Example}}{{end}}{{if .HasAvailableSubCommands}}

` + t("cli.help.commands") + `:{{range .Commands}}{{if .IsAvailableCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}{{end}}{{if .HasAvailableLocalFlags}}

` + t("cli.help.flags") + `:
{{options .LocalFlags .InheritedFlags}}{{end}}{{if .HasAvailableSubCommands}}

` + texts.Text("cli.help.more", lang.Args{"Command": "{{.CommandPath}}"}) + `{{end}}
`)
	root.SetHelpCommand(&cobra.Command{Use: "help", Hidden: true, RunE: func(cmd *cobra.Command, args []string) error {
		found, _, err := cmd.Root().Find(args)
		if err != nil {
			return err
		}
		return found.Help()
	}})
	root.CompletionOptions.HiddenDefaultCmd = true
	for _, cmd := range append(root.Commands(), root) {
		for _, cmd := range append(cmd.Commands(), cmd) {
			cmd.InitDefaultHelpFlag()
			cmd.Flags().Lookup("help").Usage = t("cli.help.help")
			cmd.DisableFlagsInUseLine = true
			cmd.Long = wrapLines(cmd.Long)
		}
	}
	root.InitDefaultVersionFlag()
	root.Flags().Lookup("version").Usage = t("cli.version.short")
}

// values name what an option takes; an option that is not here takes nothing.
var values = map[string]string{
	"as": "KIND", "at": "DATE", "color": "WHEN", "dir": "DIR", "dns-port": "PORT", "for": "DURATION", "lang": "LANG",
	"ours": "NAME", "port": "PORT", "provider": "ID", "rules": "FILE", "tz": "ZONE", "year": "YEAR",
}

// options lists options as the other tables of the help are listed, in lines as
// wide as all others.
func options(sets ...*pflag.FlagSet) string {
	var names, usages []string
	wide := 0
	add := func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		name := "    --" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", --" + f.Name
		}
		if v := values[f.Name]; v != "" {
			name += " " + v
		}
		names, usages = append(names, name), append(usages, f.Usage)
		wide = max(wide, len(name))
	}
	for _, flags := range sets {
		flags.VisitAll(add)
	}
	var b strings.Builder
	for i, name := range names {
		label := "  " + name + strings.Repeat(" ", wide-len(name)+2)
		b.WriteString(explain.Wrap(label, usages[i], explain.Width) + "\n")
	}
	return strings.TrimRight(b.String(), "\n")
}

// wrapLines wraps each line of a text as a paragraph of its own.
func wrapLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i] = explain.Wrap("", l, explain.Width)
	}
	return strings.Join(lines, "\n")
}

// version is the module version that the binary was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "development"
	}
	return info.Main.Version
}

func versionCommand(c console, texts *lang.Catalogue) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: texts.Text("cli.version.short", nil),
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(c.out, "postroad", version())
			return err
		},
	}
}

// terminal gives the columns of a terminal; ok is false for anything else.
func terminal(w any) (columns int, ok bool) {
	f, isFile := w.(*os.File)
	if !isFile || !term.IsTerminal(int(f.Fd())) {
		return 0, false
	}
	columns, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0, true
	}
	return columns, true
}

// colour decides whether colour is used: never without a terminal unless it is
// asked for, never with NO_COLOR (https://no-color.org).
func colour(wish string, c console) (bool, bool) {
	if !slices.Contains([]string{"auto", "always", "never"}, wish) {
		return false, false
	}
	_, tty := terminal(c.out)
	return wish == "always" || wish == "auto" && tty && c.getenv("NO_COLOR") == "", true
}
