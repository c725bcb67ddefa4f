package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/postroad/postroad/lang"
	"github.com/postroad/postroad/mail"
	"github.com/postroad/postroad/world"
)

type worldFlags struct {
	json   bool
	check  bool
	native bool
	lasts  time.Duration
	port   uint16
	dns    uint16
	dir    string
}

func worldCommand(c console, texts *lang.Catalogue) *cobra.Command {
	var f worldFlags
	cmd := &cobra.Command{
		Use:     texts.Text("world.use", nil),
		Short:   texts.Text("world.short", nil),
		Long:    texts.Text("world.long", nil),
		Example: texts.Text("world.example", nil),
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return simulate(cmd.Context(), c, texts, f, args[0])
		},
	}
	fs := cmd.Flags()
	fs.BoolVar(&f.check, "check", false, texts.Text("world.flag.check", nil))
	fs.DurationVar(&f.lasts, "for", 0, texts.Text("world.flag.for", nil))
	fs.Uint16Var(&f.port, "port", 0, texts.Text("world.flag.port", nil))
	fs.Uint16Var(&f.dns, "dns-port", 0, texts.Text("world.flag.dns-port", nil))
	fs.BoolVar(&f.native, "native", false, texts.Text("world.flag.native", nil))
	fs.StringVar(&f.dir, "dir", "", texts.Text("world.flag.dir", nil))
	fs.BoolVar(&f.json, "json", false, texts.Text("world.flag.json", nil))
	return cmd
}

func simulate(ctx context.Context, c console, texts *lang.Catalogue, f worldFlags, name string) error {
	if ctx == nil {
		ctx = context.Background()
	}
	if f.lasts < 0 {
		return exit{exitUsage, errors.New("--for is below 0; give a time as 30s or 5m, see 'postroad world --help'")}
	}
	s, err := readScenario(c, name)
	if err != nil {
		return exit{exitUsage, fmt.Errorf("%s: %w", name, err)}
	}
	if f.check {
		return checked(c, texts, s, name)
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	if f.lasts > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, f.lasts)
		defer cancel()
	}
	o := world.Options{Port: f.port, StandIns: true}
	if f.native {
		o.Mode = world.Native
	}
	if f.dns > 0 {
		o.DNS = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), f.dns)
	}
	p := &worldPrinter{texts: texts, out: c.out}
	if !f.json {
		o.Watch = p.event
	}
	truth, err := f.truthFile()
	if err != nil {
		return exit{exitUsage, err}
	}
	if truth != nil {
		defer truth.Close()
		o.Truth = truth
	}
	w, err := world.Start(ctx, s, o)
	if err != nil {
		return exit{exitUsage, err}
	}
	err = f.run(ctx, w, s, p)
	if closed := w.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = p.end(w.Truth(), f.json)
	}
	if err != nil {
		return exit{exitUsage, err}
	}
	return nil
}

// run shows where everything is, and waits.
func (f *worldFlags) run(ctx context.Context, w *world.World, s *world.Scenario, p *worldPrinter) error {
	if f.dir != "" {
		if err := f.write(w); err != nil {
			return err
		}
	}
	if !f.json {
		if err := p.begin(w, s); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return nil
}

func readScenario(c console, name string) (*world.Scenario, error) {
	if name == "-" {
		return world.ReadScenario(c.in)
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, errors.Unwrap(err) // the name stands before it
	}
	defer file.Close()
	return world.ReadScenario(file)
}

func checked(c console, texts *lang.Catalogue, s *world.Scenario, name string) error {
	hosts, tempers := 0, 0
	for i := range s.Providers {
		hosts += len(s.Providers[i].Hosts)
		tempers += len(s.Providers[i].Tempers)
	}
	_, err := fmt.Fprintln(c.out, texts.Text("world.checked", lang.Args{"File": name, "Providers": texts.Number(len(s.Providers)),
		"Hosts": texts.Number(hosts), "Tempers": texts.Number(tempers)}))
	return err
}

// The files of --dir.
const (
	truthName   = "truth.jsonl"
	mapName     = "ports.txt"
	rootName    = "root.pem"
	anchorsName = "anchors.txt"
)

func (f *worldFlags) truthFile() (*os.File, error) {
	if f.dir == "" {
		return nil, nil // nobody asked for it
	}
	if err := os.MkdirAll(f.dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the folder: %w", err)
	}
	file, err := os.Create(filepath.Join(f.dir, truthName))
	if err != nil {
		return nil, fmt.Errorf("write the truth: %w", err)
	}
	return file, nil
}

// write leaves what other programs need to know of the world.
func (f *worldFlags) write(w *world.World) error {
	var ports, anchors strings.Builder
	if err := w.WriteMap(&ports); err != nil {
		return err
	}
	for _, ds := range w.Anchors() {
		anchors.WriteString(ds + "\n")
	}
	for name, text := range map[string]string{mapName: ports.String(), rootName: string(w.RootPEM()), anchorsName: anchors.String()} {
		if err := os.WriteFile(filepath.Join(f.dir, name), []byte(text), 0o644); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	return nil
}

// worldPrinter speaks to people.
type worldPrinter struct {
	texts *lang.Catalogue
	out   io.Writer
	day   string // of the last event
	err   error  // of an event that could not be written
}

func (p *worldPrinter) text(key string) string { return p.texts.Text(key, nil) }

// begin prints where everything is.
func (p *worldPrinter) begin(w *world.World, s *world.Scenario) error {
	key := "world.begins"
	speed := 1.0
	if s.Clock.Speed != nil {
		speed = *s.Clock.Speed
	}
	switch speed {
	case 0:
		key = "world.begins.standing"
	case 1:
		key = "world.begins.real"
	}
	fmt.Fprintln(p.out, p.texts.Text(key, lang.Args{"Name": s.Name, "Time": w.Now().UTC().Format(time.DateTime),
		"Speed": strconv.FormatFloat(speed, 'f', -1, 64)}))
	if s.About != "" {
		fmt.Fprintln(p.out, strings.TrimSpace(s.About))
	}
	fmt.Fprintln(p.out)
	tab := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	columns := []string{"", p.text("world.column.provider"), p.text("world.column.domains"), p.text("world.column.host"),
		p.text("world.column.address"), p.text("world.column.listen"), p.text("world.column.now")}
	fmt.Fprintln(tab, strings.Join(columns, "\t"))
	for _, x := range w.Places() {
		host, now := x.Host, strings.Join(x.Tempers, ", ")
		if x.Kind != "smtp" {
			host = p.text("world.place." + x.Kind)
		}
		fmt.Fprintf(tab, "\t%s\t%s\t%s\t%s\t%s\t%s\n", x.Provider, strings.Join(x.Domains, " "), host, x.Address, x.Listen, now)
	}
	if err := tab.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(p.out, "\n%s\n\n", p.text("world.waiting"))
	return err
}

// event prints one thing that happens in one line. The beginning and the end of
// sessions are left out: what happens between them says it.
func (p *worldPrinter) event(e world.Event) {
	if e.Kind == world.Began || e.Kind == world.Ended || p.err != nil {
		return
	}
	if day := e.Time.UTC().Format(time.DateOnly); day != p.day { // a fast clock soon has another
		p.day = day
		fmt.Fprintln(p.out, "-- "+day)
	}
	where := e.Host
	if e.Address.IsValid() {
		where += " " + e.Address.String()
	}
	parts := []string{e.Time.UTC().Format(time.TimeOnly), p.text("world.kind." + string(e.Kind)), where}
	if e.Source.IsValid() {
		parts = append(parts, "< "+e.Source.String())
	}
	if e.Session > 0 {
		parts = append(parts, "#"+strconv.FormatUint(e.Session, 10))
	}
	if e.Stage != "" {
		parts = append(parts, p.stage(e.Stage)+":")
	}
	if e.Sender != "" && e.Recipient != "" {
		parts = append(parts, e.Sender, ">")
	}
	parts = append(parts, e.Recipient, e.MessageID)
	if e.Code > 0 {
		parts = append(parts, strconv.Itoa(e.Code))
	}
	if e.Kind == world.Accepted && !e.Answered {
		parts = append(parts, p.text("world.unanswered"))
	}
	parts = append(parts, e.TLS, e.Text)
	if e.Reason != "" {
		parts = append(parts, "("+e.Reason+")")
	}
	line := strings.Join(strings.Fields(strings.Join(parts, "  ")), " ")
	_, p.err = fmt.Fprintln(p.out, printable(line))
}

// stage names a stage for people.
func (p *worldPrinter) stage(s mail.Stage) string {
	if s == "" {
		return "" // a policy
	}
	return p.text("world.stage." + string(s))
}

// printable replaces control characters: what a client says goes to a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return '?'
		}
		return r
	}, s)
}

// end prints the truth.
func (p *worldPrinter) end(t world.Truth, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(p.out)
		enc.SetEscapeHTML(false)
		return enc.Encode(t)
	}
	if p.err != nil {
		return p.err
	}
	fmt.Fprintf(p.out, "\n%s\n", p.texts.Text("world.truth", lang.Args{"Messages": p.texts.Number(t.Messages),
		"Sessions": p.texts.Number(t.Sessions)}))
	if len(t.Tally)+len(t.By) > 0 {
		fmt.Fprintln(p.out)
		tab := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
		columns := []string{"", p.text("world.column.count"), p.text("world.column.provider"), p.text("world.column.kind"),
			p.text("world.column.stage"), p.text("world.column.code"), p.text("world.column.reason")}
		fmt.Fprintln(tab, strings.Join(columns, "\t"))
		for _, id := range slices.Sorted(maps.Keys(t.By)) {
			fmt.Fprintf(tab, "\t%s\t%s\t%s\t\t\t\n", p.texts.Number(t.By[id]), id, p.text("world.kind.accepted"))
		}
		for _, x := range t.Tally {
			code := ""
			if x.Code > 0 {
				code = strconv.Itoa(x.Code)
			}
			fmt.Fprintf(tab, "\t%s\t%s\t%s\t%s\t%s\t%s\n", p.texts.Number(x.Count), x.Provider, p.text("world.kind."+string(x.Kind)),
				p.stage(x.Stage), code, x.Reason)
		}
		if err := tab.Flush(); err != nil {
			return err
		}
	}
	if len(t.Again) > 0 {
		fmt.Fprintf(p.out, "\n%s\n", p.text("world.duplicates"))
		for _, x := range t.Again {
			fmt.Fprintf(p.out, "  %s  %s  %s\n", p.texts.Number(x.Count), printable(x.MessageID), printable(x.Recipient))
		}
	}
	return nil
}
