package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/postroad/postroad/lang"
	"github.com/postroad/postroad/provider"
)

func providersCommand(c console, texts *lang.Catalogue) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "providers",
		Short: texts.Text("cli.providers.short", nil),
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var asJSON bool
	var at string
	lookup := &cobra.Command{
		Use:   texts.Text("cli.providers.lookup.use", nil),
		Short: texts.Text("cli.providers.lookup.short", nil),
		Long:  texts.Text("cli.providers.lookup.long", nil),
		Args:  cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			day := time.Now()
			if at != "" {
				var err error
				if day, err = time.Parse(time.DateOnly, at); err != nil {
					return exit{exitUsage, errors.New(texts.Text("cli.error.flag.at", lang.Args{"Value": at}))}
				}
			}
			return lookUp(c, texts, args, day, asJSON)
		},
	}
	lookup.Flags().BoolVar(&asJSON, "json", false, texts.Text("cli.flag.json", nil))
	lookup.Flags().StringVar(&at, "at", "", texts.Text("cli.flag.at", nil))
	cmd.AddCommand(lookup)
	return cmd
}

// lookedUp is the JSON form of one look-up.
type lookedUp struct {
	Asked string `json:"asked"`
	ID    string `json:"id"`
	Name  string `json:"name"`
	Brand string `json:"brand"`
	By    string `json:"by"`
	Known bool   `json:"known"`
	Link  string `json:"link"`
}

func lookUp(c console, texts *lang.Catalogue, args []string, day time.Time, asJSON bool) error {
	catalogue, err := provider.Shipped()
	if err != nil {
		return exit{exitUsage, err}
	}
	tab := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	enc := json.NewEncoder(c.out)
	enc.SetEscapeHTML(false)
	allKnown := true
	for _, asked := range args {
		l := lookUpOne(catalogue, asked, day)
		allKnown = allKnown && l.Known
		if asJSON {
			if err := enc.Encode(l); err != nil {
				return exit{exitUsage, err}
			}
			continue
		}
		how := texts.Text("cli.providers.unknown", nil)
		if l.Known {
			how = texts.Text("cli.providers.by."+l.By, nil)
		}
		name := l.Name
		if l.Brand != "" && l.Brand != l.Name {
			name += " (" + l.Brand + ")"
		}
		fmt.Fprintf(tab, "%s\t%s\t%s\t%s\n", l.Asked, l.ID, name, how)
	}
	if err := tab.Flush(); err != nil {
		return exit{exitUsage, err}
	}
	if !allKnown {
		return exit{status: exitNothing}
	}
	return nil
}

// lookUpOne reads an argument as an address if it has an @; else as a host if
// the catalogue knows it as one, else as a domain.
func lookUpOne(catalogue *provider.Catalogue, asked string, day time.Time) lookedUp {
	var id provider.Identity
	if _, domain, ok := strings.Cut(asked, "@"); ok {
		id = catalogue.Identify("", domain, day)
	} else {
		id = catalogue.Identify(asked, "", day)
		if _, known := catalogue.ByID(id.ID); !known {
			id = catalogue.Identify("", asked, day)
		}
	}
	l := lookedUp{Asked: asked, ID: id.ID, Name: id.Name, Brand: id.Brand, By: string(id.By)}
	p, known := catalogue.ByID(id.ID)
	if l.Known = known; known {
		page, _ := p.SenderPage()
		l.Link = page.URL
	}
	return l
}
