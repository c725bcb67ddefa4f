package analyze

import (
	"cmp"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/postroad/postroad/explain"
	"github.com/postroad/postroad/lang"
	"github.com/postroad/postroad/mail"
)

// Printer writes a report as text for a person: the verdict, the providers, the
// incidents with what to do, what waits, what was left out.
type Printer struct {
	W      io.Writer
	Texts  *lang.Catalogue
	Colour bool           // as a second channel only: nothing is said by colour alone
	Width  int            // columns, 0 = explain.Width
	Zone   *time.Location // of all times; nil = UTC
	Now    time.Time      // zero where it does not matter how old the input is

	b strings.Builder
	w clock
}

// Limits of the text form; the JSON form has more.
const (
	maxVerdicts = 3  // incidents that are told before the table
	maxTold     = 10 // incidents that are told in full
	maxRows     = 10 // of the table of providers
	maxShown    = 10 // addresses, unknown replies, files left out
	maxQuote    = 600
)

// Print writes the report.
func (p *Printer) Print(r *Report) error {
	p.b.Reset()
	p.w = clock{p.Texts, p.Zone}
	worst := worstFirst(r.Incidents)
	if r.Facts == 0 && len(r.Queue) == 0 {
		p.para(p.text("nothing", nil))
		p.numbered(p.series("nothing"))
		p.skipped(r)
		return p.write()
	}
	p.verdict(r, worst)
	p.providers(r, worst)
	p.sparks(r, worst)
	for _, in := range worst[:min(len(worst), maxTold)] {
		p.incident(r, in)
	}
	if n := len(worst) - maxTold + r.MoreIncidents; n > 0 && len(worst) > maxTold {
		p.b.WriteString("\n")
		p.para(p.Texts.Count("verdict.rest", n, nil))
	}
	p.queue(r)
	if r.Facts == 0 {
		p.numbered([]string{p.text("step.more-input", nil)})
	}
	p.unknown(r)
	p.skipped(r)
	p.read(r)
	return p.write()
}

func (p *Printer) write() error {
	_, err := io.WriteString(p.W, strings.TrimRight(p.b.String(), "\n")+"\n")
	return err
}

// worstFirst orders incidents for a reader: what lasts before what is over,
// mailboxes that are the recipients' own matter last, then by what it holds up.
func worstFirst(list []Incident) []*Incident {
	out := make([]*Incident, len(list))
	for i := range list {
		out[i] = &list[i]
	}
	rank := func(in *Incident) int {
		n := 0
		if in.State != Open {
			n += 2
		}
		if in.Actor == mail.ActorRecipient {
			n++
		}
		return n
	}
	slices.SortStableFunc(out, func(a, b *Incident) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(b.Waiting, a.Waiting),
			cmp.Compare(b.FailedMessages, a.FailedMessages), a.Began.Compare(b.Began))
	})
	return out
}

// verdict is what can be read aloud.
func (p *Printer) verdict(r *Report, worst []*Incident) {
	if len(worst) == 0 {
		p.calm(r)
	}
	if n := len(worst); n > 1 {
		p.para(p.Texts.Count("verdict.several", n, nil))
		p.b.WriteString("\n")
	}
	for i, in := range worst[:min(len(worst), maxVerdicts)] {
		if i > 0 {
			p.b.WriteString("\n")
		}
		p.para(in.Summary)
	}
	if n := len(worst) - maxVerdicts + r.MoreIncidents; n > 0 && len(worst) > maxVerdicts {
		p.b.WriteString("\n")
		p.para(p.Texts.Count("verdict.more", n, nil))
	}
	p.notes(r)
}

// notes are what a reader must know to take the numbers for what they are.
func (p *Printer) notes(r *Report) {
	if r.Backscatter > 0 {
		p.b.WriteString("\n")
		p.para(p.Texts.Count("note.backscatter", int(r.Backscatter), nil))
	}
	if r.Complaints > 0 {
		p.b.WriteString("\n")
		p.para(p.Texts.Count("note.complaints", int(r.Complaints), nil))
	}
}

// calm says that there is no incident, with the numbers that show it.
func (p *Printer) calm(r *Report) {
	var messages, done int64
	for i := range r.Providers {
		messages += r.Providers[i].Messages
		done += min(r.Providers[i].Delivered, r.Providers[i].Messages)
	}
	switch {
	case r.Facts == 0:
		waiting := 0
		for _, q := range r.Queue {
			waiting += int(q.Messages)
		}
		p.para(p.Texts.Count("waits.only", waiting, nil))
	case r.FailuresOnly:
		p.para(p.Texts.Count("calm.failures", int(r.Facts), nil) + " " + p.text("calm.failures.alone", nil))
	default:
		args := lang.Args{
			"Share": percent(p.Texts, done, messages), "Messages": p.number(messages),
			"Providers": p.Texts.Count("calm.providers", len(r.Providers)+r.MoreProviders, nil),
		}
		key := "calm.undated"
		if r.Period.From != nil && r.Period.To != nil {
			key = "calm"
			args["From"], args["To"] = p.w.long(*r.Period.From), p.w.after(*r.Period.From, *r.Period.To)
			args["Zone"] = p.w.zone(*r.Period.To)
		}
		text := p.text(key, args)
		if low := poor(r); len(low) > 0 {
			text += " " + p.text("calm.poor", lang.Args{"List": p.Texts.List(low)})
		}
		p.para(text)
	}
}

// poor names providers that take too little for a calm word, although nothing
// about them changed.
func poor(r *Report) (list []string) {
	for i := range r.Providers {
		if v := &r.Providers[i]; v.Messages >= 20 && v.Delivered*10 < v.Messages*9 && len(list) < maxNames {
			list = append(list, v.Name)
		}
	}
	return list
}

// sparks draws a line over time for each provider in trouble.
func (p *Printer) sparks(r *Report, worst []*Incident) {
	type line struct{ title, bars, note string }
	var lines []line
	wide, gaps := 0, false
	for _, in := range worst {
		shares := squeeze(in.Spark, maxBars)
		if drawn(shares) < minBars || r.FailuresOnly || in.Actor == mail.ActorRecipient {
			continue // nothing that a line could show
		}
		title := p.text("spark.title", lang.Args{"Provider": in.Name, "Each": each(p.Texts, r.Period, len(shares))})
		l := line{title, spark(shares), p.sparkNote(r, in)}
		wide = max(wide, utf8.RuneCountInString(title))
		gaps = gaps || strings.ContainsRune(l.bars, gap)
		lines = append(lines, l)
	}
	if len(lines) == 0 {
		return
	}
	p.b.WriteString("\n")
	for _, l := range lines {
		p.hang("  "+pad(l.title, wide)+"  ", l.bars)
		p.hang("    ", l.note)
	}
	if gaps {
		p.hang("    ", p.text("spark.gap", nil))
	}
}

func (p *Printer) sparkNote(r *Report, in *Incident) string {
	args := lang.Args{"Began": p.moment(r, in.Began), "Detected": p.moment(r, in.Detected)}
	note := p.Texts.Count("spark.note", int(in.SufficedAfter), args)
	if in.Ended != nil {
		note += ", " + p.text("spark.over", lang.Args{"Ended": p.moment(r, *in.Ended)})
	}
	return note
}

// moment is a time with its preposition: the hour alone where the whole period
// is within one day, the year where it is in two.
func (p *Printer) moment(r *Report, t time.Time) string {
	local := p.w.in(t)
	args := lang.Args{
		"Time": local.Format("15:04"), "Day": strconv.Itoa(local.Day()), "Month": p.text("month."+strconv.Itoa(int(local.Month())), nil),
	}
	f, l := r.Period.From, r.Period.To
	switch {
	case f == nil || l == nil || p.w.in(*f).Year() != p.w.in(*l).Year():
		return p.w.long(t)
	case p.w.in(*f).Format(time.DateOnly) == p.w.in(*l).Format(time.DateOnly):
		return p.text("spark.time", args)
	}
	return p.text("spark.date", args)
}

// queue lists what waits, the most first.
func (p *Printer) queue(r *Report) {
	if len(r.Queue) == 0 {
		return
	}
	p.title(p.text("waits.title", nil))
	t := p.table("table.provider", "table.waiting", "table.oldest", "table.why")
	t.name = p.nameWidth()
	byLog := false
	for _, q := range r.Queue[:min(len(r.Queue), maxRows)] {
		byLog = byLog || q.Source == "log"
		oldest := ""
		if q.Oldest != nil && r.Period.To != nil && r.Period.To.After(*q.Oldest) {
			oldest = p.Texts.Duration(r.Period.To.Sub(*q.Oldest).Truncate(time.Minute))
		}
		var why []string
		if c := mostly(q.Classes); c != "" {
			why = append(why, p.class(c))
		}
		if q.Stagnates {
			why = append(why, p.text("waits.stagnates", nil))
		}
		t.row(q.Name, p.number(q.Messages), oldest, p.Texts.Reasons(why))
	}
	t.print()
	if n := len(r.Queue) - maxRows; n > 0 {
		p.hang("  ", p.Texts.Count("table.more-rows", n, nil))
	}
	if byLog {
		p.hang("  ", p.text("waits.source.log", nil))
	}
}

// unknown lists the replies that no rule knows.
func (p *Printer) unknown(r *Report) {
	if len(r.Unknown) == 0 {
		return
	}
	p.title(p.text("unknown-replies.title", nil))
	list := r.Unknown[:min(len(r.Unknown), maxShown)]
	wide := 0
	for _, u := range list {
		wide = max(wide, utf8.RuneCountInString(p.number(int64(u.Count))))
	}
	for _, u := range list {
		p.hang("  "+lead(p.number(int64(u.Count)), wide)+"  ", explain.Shorten(u.Template, maxQuote))
	}
	if n := len(r.Unknown) - len(list) + r.MoreUnknown; n > 0 {
		p.hang("  ", p.Texts.Count("table.more-rows", n, nil))
	}
	p.hang("  ", p.text("unknown-replies.hint", nil))
}

// skipped says what was left out and why.
func (p *Printer) skipped(r *Report) {
	if len(r.Skipped) == 0 {
		return
	}
	p.title(p.text("skipped.title", nil))
	list := r.Skipped[:min(len(r.Skipped), maxShown)]
	for _, s := range list {
		key, args := "skipped.file", lang.Args{"File": s.File, "Reason": s.Reason}
		if s.Line > 0 {
			key, args["Line"] = "skipped.line", p.number(s.Line)
		}
		p.hang("  ", p.Texts.Count(key, int(max(s.Count, 1)), args))
	}
	if n := len(r.Skipped) - len(list) + r.MoreSkipped; n > 0 {
		p.hang("  ", p.Texts.Count("table.more-rows", n, nil))
	}
}

// until is the end of a period: the hour alone on the day of its begin.
func (p *Printer) until(from, to time.Time) string {
	if p.w.in(from).Format(time.DateOnly) == p.w.in(to).Format(time.DateOnly) {
		return p.w.in(to).Format("15:04")
	}
	return p.w.long(to)
}

// read says what all this rests on.
func (p *Printer) read(r *Report) {
	p.b.WriteString("\n")
	period := ""
	if f, l := r.Period.From, r.Period.To; f != nil && l != nil {
		period = p.text("read.period", lang.Args{
			"From": p.w.long(*f), "To": p.until(*f, *l), "Zone": p.w.zone(*l), "Offset": "UTC" + p.w.in(*l).Format("-07:00"),
		})
	}
	p.rows([][2]string{
		{"row.period", period},
		{"row.read", p.text("read.counts", lang.Args{
			"Events": p.number(r.Events), "Facts": p.number(r.Facts), "Inputs": p.number(int64(r.Inputs)),
		})},
	})
	if to := r.Period.To; to != nil && !p.Now.IsZero() && p.Now.Sub(*to) > 24*time.Hour {
		p.b.WriteString("\n")
		p.para(p.text("note.old", lang.Args{"Duration": p.Texts.Duration(p.Now.Sub(*to).Truncate(time.Hour))}))
	}
}
