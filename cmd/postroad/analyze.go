package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	"github.com/postroad/postroad/analyze"
	"github.com/postroad/postroad/diagnose/bounce"
	"github.com/postroad/postroad/lang"
	"github.com/postroad/postroad/provider"
)

// pileMemory is where the garbage collector begins to work harder while a pile is
// analysed. What it has to look at then has few pointers, so that it may come
// often; decision 0009 says what takes how much.
const pileMemory = 120 << 20

type analyzeFlags struct {
	json   bool
	ticket bool
	full   bool
	year   int
	zone   string
	color  string
	ours   []string
	rules  []string
}

func analyzeCommand(c console, texts *lang.Catalogue) *cobra.Command {
	var f analyzeFlags
	cmd := &cobra.Command{
		Use:     texts.Text("cli.analyze.use", nil),
		Short:   texts.Text("cli.analyze.short", nil),
		Long:    texts.Text("cli.analyze.long", nil),
		Example: texts.Text("cli.analyze.example", nil),
		RunE:    func(_ *cobra.Command, args []string) error { return analyzeFiles(c, texts, f, args) },
	}
	fs := cmd.Flags()
	fs.BoolVar(&f.json, "json", false, texts.Text("cli.flag.json.one", nil))
	fs.BoolVar(&f.ticket, "ticket", false, texts.Text("cli.flag.ticket", nil))
	fs.BoolVar(&f.full, "full", false, texts.Text("cli.flag.full", nil))
	fs.IntVar(&f.year, "year", 0, texts.Text("cli.flag.year", nil))
	fs.StringVar(&f.zone, "tz", "", texts.Text("cli.flag.tz", nil))
	fs.StringVar(&f.color, "color", "auto", texts.Text("cli.flag.color", nil))
	fs.StringArrayVar(&f.ours, "ours", nil, texts.Text("cli.flag.ours", nil))
	fs.StringArrayVar(&f.rules, "rules", nil, texts.Text("cli.flag.rules", nil))
	return cmd
}

// options turns flags into what the pipeline works with.
func (f *analyzeFlags) options(texts *lang.Catalogue, now time.Time) (o analyze.Options, err error) {
	wrong := func(key, value string) error {
		return exit{exitUsage, errors.New(texts.Text(key, lang.Args{"Value": value}))}
	}
	for _, v := range f.ours {
		if !bounce.ValidOurs(v) {
			return o, wrong("cli.error.flag.ours", v)
		}
	}
	if f.year != 0 && (f.year < 1990 || f.year > now.Year()+1) {
		return o, wrong("cli.error.flag.year", fmt.Sprint(f.year))
	}
	zone := time.Local
	if f.zone != "" {
		if zone, err = time.LoadLocation(f.zone); err != nil {
			return o, wrong("cli.error.flag.tz", f.zone)
		}
	}
	providers, err := provider.Shipped()
	if err != nil {
		return o, exit{exitUsage, err}
	}
	engine, err := loadEngine(texts, f.rules, providers)
	if err != nil {
		return o, exit{exitUsage, err}
	}
	return analyze.Options{Engine: engine, Providers: providers, Texts: texts, Ours: f.ours,
		Year: f.year, Zone: zone, Now: now, Full: f.full}, nil
}

func analyzeFiles(c console, texts *lang.Catalogue, f analyzeFlags, files []string) error {
	useColour, ok := colour(f.color, c)
	if !ok {
		return exit{exitUsage, errors.New(texts.Text("cli.error.flag.color", lang.Args{"Value": f.color}))}
	}
	o, err := f.options(texts, time.Now())
	if err != nil {
		return err
	}
	if len(files) == 0 {
		if _, tty := terminal(c.in); tty {
			return exit{exitUsage, errors.New(texts.Text("cli.error.analyze.nothing", nil))}
		}
		files = []string{"-"}
	}
	debug.SetMemoryLimit(pileMemory)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	bar := newProgress(c, texts)
	o.Progress = bar.show
	report, err := analyze.Run(ctx, files, c.in, o)
	bar.clear()
	if err != nil {
		if errors.Is(err, context.Canceled) {
			return exit{exitUsage, errors.New(texts.Text("cli.error.analyze.stopped", nil))}
		}
		return exit{exitUsage, err}
	}
	if err := f.print(c, texts, report, o, useColour); err != nil {
		return exit{exitUsage, err}
	}
	switch {
	case report.Unreadable():
		return exit{status: exitUsage}
	case len(report.Incidents) > 0, report.Stuck():
		return exit{status: exitNothing}
	}
	return nil
}

func (f *analyzeFlags) print(c console, texts *lang.Catalogue, r *analyze.Report, o analyze.Options, useColour bool) error {
	out := bufio.NewWriterSize(c.out, 64<<10)
	if f.json {
		enc := json.NewEncoder(out)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(r); err != nil {
			return err
		}
		return out.Flush()
	}
	columns, _ := terminal(c.out)
	p := analyze.Printer{W: out, Texts: texts, Colour: useColour, Width: columns, Zone: o.Zone, Now: o.Now}
	if err := p.Print(r); err != nil {
		return err
	}
	if f.ticket {
		if err := p.Tickets(r, o.Full); err != nil {
			return err
		}
	}
	return out.Flush()
}

// progress tells a person on a terminal what is being read and how much is
// left, on one line that is gone at the end; not within the first second.
type progress struct {
	c     console
	texts *lang.Catalogue
	wide  int // columns, 0 for no terminal
	start time.Time
	last  time.Time
	drawn bool
}

func newProgress(c console, texts *lang.Catalogue) *progress {
	columns, tty := terminal(c.err)
	if tty && columns == 0 {
		columns = 80
	}
	return &progress{c: c, texts: texts, wide: columns, start: time.Now()}
}

func (p *progress) show(name string, read, total int64) {
	now := time.Now()
	if p.wide == 0 || now.Sub(p.start) < time.Second || now.Sub(p.last) < 100*time.Millisecond {
		return
	}
	p.last = now
	key := "cli.progress.open"
	args := lang.Args{"File": name, "Read": p.texts.Number(int(read >> 20))}
	if total > 0 {
		key = "cli.progress"
		args["Total"] = p.texts.Number(int(total >> 20))
		args["Percent"] = fmt.Sprint(min(read*100/total, 100))
	}
	line := []rune(p.texts.Text(key, args))
	if len(line) >= p.wide {
		line = line[:p.wide-1]
	}
	fmt.Fprintf(p.c.err, "\r\x1b[K%s", string(line)) // not shown: moves the cursor
	p.drawn = true
}

func (p *progress) clear() {
	if p.drawn {
		fmt.Fprint(p.c.err, "\r\x1b[K") // not shown: moves the cursor
	}
}
