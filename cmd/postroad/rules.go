package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/postroad/postroad/diagnose"
	"github.com/postroad/postroad/lang"
	"github.com/postroad/postroad/mail"
	"github.com/postroad/postroad/provider"
)

func rulesCommand(c console, texts *lang.Catalogue) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rules",
		Short: texts.Text("cli.rules.short", nil),
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var asJSON bool
	check := &cobra.Command{
		Use:   texts.Text("cli.rules.check.use", nil),
		Short: texts.Text("cli.rules.check.short", nil),
		Long:  texts.Text("cli.rules.check.long", nil),
		RunE:  func(_ *cobra.Command, args []string) error { return checkRules(c, texts, args, asJSON) },
	}
	check.Flags().BoolVar(&asJSON, "json", false, texts.Text("cli.flag.json", nil))
	var f testFlags
	test := &cobra.Command{
		Use:   texts.Text("cli.rules.test.use", nil),
		Short: texts.Text("cli.rules.test.short", nil),
		Long:  texts.Text("cli.rules.test.long", nil),
		Args:  cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return testRules(c, texts, f, strings.Join(args, " "))
		},
	}
	test.Flags().BoolVar(&f.json, "json", false, texts.Text("cli.flag.json", nil))
	test.Flags().StringVar(&f.provider, "provider", "", texts.Text("cli.flag.provider", nil))
	test.Flags().StringArrayVar(&f.rules, "rules", nil, texts.Text("cli.flag.rules", nil))
	cmd.AddCommand(check, test)
	return cmd
}

// fault is the JSON form of one finding.
type fault struct {
	File  string `json:"file"`
	Line  int    `json:"line"`
	Error bool   `json:"error"`
	Key   string `json:"key"`
	Text  string `json:"text"`
}

func checkRules(c console, texts *lang.Catalogue, names []string, asJSON bool) error {
	shipped, err := diagnose.ShippedRules()
	if err != nil {
		return exit{exitUsage, err}
	}
	files, before := shipped, []*diagnose.RuleFile(nil)
	var findings []diagnose.Finding
	if len(names) > 0 {
		files, before = nil, shipped
		for _, name := range names {
			data, err := os.ReadFile(name)
			if err != nil {
				return exit{exitUsage, readError(texts, name, err)}
			}
			f, err := diagnose.ParseRules(name, data)
			if err != nil {
				findings = append(findings, diagnose.Unreadable(err)...)
				continue
			}
			files = append(files, f)
		}
	}
	findings = append(findings, diagnose.Check(files, before)...)
	if err := printFindings(c, texts, findings, asJSON); err != nil {
		return exit{exitUsage, err}
	}
	if !asJSON {
		printCheckSummary(c, texts, files, findings)
	}
	if len(findings) > 0 {
		return exit{status: exitNothing}
	}
	return nil
}

func printFindings(c console, texts *lang.Catalogue, findings []diagnose.Finding, asJSON bool) error {
	enc := json.NewEncoder(c.out)
	enc.SetEscapeHTML(false)
	for _, f := range findings {
		text := texts.Text(f.Key, lang.Args(f.Args))
		if asJSON {
			if err := enc.Encode(fault{f.File, f.Line, f.Error, f.Key, text}); err != nil {
				return err
			}
			continue
		}
		severity := "rules.severity.warning"
		if f.Error {
			severity = "rules.severity.error"
		}
		where := f.File
		if f.Line > 0 {
			where += ":" + strconv.Itoa(f.Line)
		}
		if where != "" && !strings.HasPrefix(text, where) {
			text = where + ": " + texts.Text(severity, nil) + ": " + text
		}
		if _, err := fmt.Fprintln(c.out, text); err != nil {
			return err
		}
	}
	return nil
}

func printCheckSummary(c console, texts *lang.Catalogue, files []*diagnose.RuleFile, findings []diagnose.Finding) {
	rules, faults := 0, 0
	for _, f := range files {
		rules += len(f.Rules)
	}
	for _, f := range findings {
		if f.Error {
			faults++
		}
	}
	args := lang.Args{
		"Files":  texts.Count("rules.files", len(files), nil),
		"Errors": texts.Number(faults), "Warnings": texts.Number(len(findings) - faults),
	}
	key := "rules.check.clean"
	if len(findings) > 0 {
		key = "rules.check.summary"
	}
	fmt.Fprintln(c.out, texts.Count(key, rules, args))
}

type testFlags struct {
	json     bool
	provider string
	rules    []string
}

// tested is the JSON form of one rule that was looked at.
type tested struct {
	Layer    int        `json:"layer"`
	Line     string     `json:"line"`
	Turn     string     `json:"turn"`
	Rule     string     `json:"rule"`
	Class    mail.Class `json:"class"`
	Won      bool       `json:"won"`
	Result   string     `json:"result"`
	Fragment string     `json:"fragment"`
}

func testRules(c console, texts *lang.Catalogue, f testFlags, text string) error {
	providers, err := provider.Shipped()
	if err != nil {
		return exit{exitUsage, err}
	}
	engine, err := loadEngine(texts, f.rules, providers)
	if err != nil {
		return exit{exitUsage, err}
	}
	tried := engine.Explain(diagnose.Evidence{Text: text, Provider: f.provider})
	if f.json {
		err = encodeTried(c, texts, tried)
	} else {
		err = printTried(c, texts, tried)
	}
	if err != nil {
		return exit{exitUsage, err}
	}
	if !slices.ContainsFunc(tried, func(t diagnose.Tried) bool { return t.Result == diagnose.TriedWon }) {
		return exit{status: exitNothing}
	}
	return nil
}

func encodeTried(c console, texts *lang.Catalogue, tried []diagnose.Tried) error {
	enc := json.NewEncoder(c.out)
	enc.SetEscapeHTML(false)
	for _, t := range tried {
		err := enc.Encode(tested{
			Layer: t.Layer, Line: t.Line, Turn: strings.TrimPrefix(t.Turn, "rules.turn."), Rule: t.Rule.ID, Class: t.Rule.Class,
			Won: t.Result == diagnose.TriedWon, Result: triedText(texts, t), Fragment: t.Fragment,
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func triedText(texts *lang.Catalogue, t diagnose.Tried) string {
	args := lang.Args{}
	if t.Rule.Outcome != "" {
		args["Outcome"] = texts.Text("outcome."+string(t.Rule.Outcome), nil)
	}
	return texts.Text(t.Result, args)
}

func printTried(c console, texts *lang.Catalogue, tried []diagnose.Tried) error {
	if len(tried) == 0 {
		_, err := fmt.Fprintln(c.out, texts.Text("rules.test.none", nil))
		return err
	}
	tab := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	layer := -1
	for _, t := range tried {
		if t.Layer != layer {
			layer = t.Layer
			fmt.Fprintln(tab, texts.Text("rules.test.layer", lang.Args{"Number": strconv.Itoa(layer + 1), "Line": t.Line}))
		}
		fmt.Fprintf(tab, "  %s\t%s\t%s\t%s\n", t.Rule.ID, texts.Text(t.Turn, nil), texts.Text("class."+string(t.Rule.Class), nil), triedText(texts, t))
	}
	return tab.Flush()
}
