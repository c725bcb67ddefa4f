package analyze

import (
	"slices"
	"strings"
	"time"

	"github.com/postroad/postroad/explain"
	"github.com/postroad/postroad/lang"
	"github.com/postroad/postroad/mail"
)

// incident prints one incident in full.
func (p *Printer) incident(r *Report, in *Incident) {
	title := explain.Clean(p.text("incident.title", lang.Args{"Provider": in.Name, "Class": p.class(in.Class)}))
	colour, state := red, "incident.open"
	if in.State == Recovered {
		colour, state = green, "incident.recovered"
	}
	p.b.WriteString("\n" + p.paint(bold, title) + ", " + p.paint(colour, p.text(state, nil)) + "\n")
	rows := [][2]string{
		{"row.began", p.w.long(in.Began) + " " + p.w.zone(in.Began)},
		{"row.certain", p.certain(r, in)},
		{"row.state", p.state(r, in)},
	}
	for _, s := range in.Relapses {
		rows = append(rows, [2]string{"row.state", p.again(s)})
	}
	rows = append(rows, [][2]string{
		{"row.where", p.stage(in)},
		{"row.many", p.many(in)},
		{"row.recipients", p.domains(in.RecipientDomains, in.MoreRecipientDomains)},
		{"row.senders", p.domains(in.SenderDomains, in.MoreSenderDomains)},
		{"row.reply", reply(in)},
		{"row.verdict", p.judged(in)},
		{"row.whose", p.whose(in)},
	}...)
	p.rows(rows)
	p.tallies("table.theirs", in.Addresses, in.MoreAddresses, in.Rate == nil)
	p.tallies("table.ours", in.Sources, in.MoreSources, in.Rate == nil)
	p.grounds("incident.for", "+ ", in.Why)
	p.grounds("incident.against", "- ", in.Against)
	p.numbered(in.Next)
	if in.Link != nil && in.Link.URL != "" {
		p.b.WriteString("\n")
		p.rows([][2]string{{"row.write", p.text("write."+in.Link.Kind, lang.Args{"Link": in.Link.URL, "Checked": in.Link.Checked})}})
	}
}

// certain says when the evidence sufficed.
func (p *Printer) certain(r *Report, in *Incident) string {
	return p.Texts.Count("certain.after", int(in.SufficedAfter), lang.Args{
		"When": p.moment(r, in.Detected), "Zone": p.w.zone(in.Detected),
		"Duration": p.Texts.Duration(in.Detected.Sub(in.Began).Truncate(time.Second)),
	})
}

func (p *Printer) state(r *Report, in *Incident) string {
	if in.State == Recovered && in.Ended != nil {
		s := p.text("state.over", lang.Args{
			"When": p.moment(r, *in.Ended), "Zone": p.w.zone(*in.Ended), "Duration": p.lasting(in.Began, *in.Ended),
		})
		if a := in.After; a != nil && a.Messages > 0 {
			return p.Texts.Reasons([]string{s, p.Texts.Count("state.after", int(a.Messages), lang.Args{
				"Delivered": p.number(a.Delivered), "Share": percent(p.Texts, a.Delivered, a.Messages),
			})})
		}
		return s
	}
	if to := r.Period.To; to != nil && to.Sub(in.Began) >= time.Minute {
		return p.text("state.open.lasting", lang.Args{"Duration": p.lasting(in.Began, *to)})
	}
	return p.text("state.open", nil)
}

func (p *Printer) lasting(from, to time.Time) string {
	d := to.Sub(from)
	if d >= time.Minute {
		d = d.Truncate(time.Minute)
	}
	return p.Texts.Duration(d)
}

// again tells of a relapse.
func (p *Printer) again(s Span) string {
	args := lang.Args{"When": p.w.long(s.Began), "Zone": p.w.zone(s.Began)}
	if s.Ended == nil {
		return p.text("state.again.open", args)
	}
	args["Duration"] = p.lasting(s.Began, *s.Ended)
	return p.text("state.again", args)
}

func (p *Printer) stage(in *Incident) string {
	switch {
	case in.Stage != nil && *in.Stage != mail.StageUnknown:
		return p.text("stage."+string(*in.Stage), nil)
	case in.Class == mail.Transport:
		return p.text("stage.unknown.transport", nil)
	}
	return ""
}

// many says how much of the mail it is about.
func (p *Printer) many(in *Incident) string {
	var s []string
	if in.Rate == nil {
		s = append(s, p.Texts.Count("many.counted", int(in.FailedMessages), nil))
	} else {
		args := lang.Args{"Failed": p.number(in.FailedMessages), "Share": percent(p.Texts, in.FailedMessages, in.Messages)}
		s = append(s, p.Texts.Count("many.messages", int(in.Messages), args))
		args = lang.Args{"Failed": p.number(in.Failures), "Share": p.Texts.Percent(*in.Rate)}
		key := "many.attempts"
		if in.BaselineRate != nil {
			key, args["Before"] = "many.attempts.before", p.Texts.Percent(*in.BaselineRate)
		}
		if in.Attempts != in.Messages || in.Failures != in.FailedMessages || in.BaselineRate != nil {
			s = append(s, p.Texts.Count(key, int(in.Attempts), args))
		}
	}
	if in.Waiting > 0 {
		s = append(s, p.Texts.Count("many.waiting", int(in.Waiting), nil))
	}
	if in.RecipientsMixed != nil && *in.RecipientsMixed {
		s = append(s, p.text("many.mixed", nil))
	}
	return p.Texts.Reasons(s)
}

func (p *Printer) domains(list []string, more int) string {
	shown := slices.Clone(list[:min(len(list), maxShown)])
	if n := len(list) - len(shown) + more; n > 0 {
		return strings.Join(append(shown, p.Texts.Count("table.more-rows", n, nil)), ", ")
	}
	return strings.Join(shown, ", ")
}

// reply is what the servers said, by the first sample.
func reply(in *Incident) string {
	for _, s := range in.Samples {
		if s.Reply != "" {
			return explain.Shorten(s.Reply, maxQuote)
		}
	}
	return ""
}

func (p *Printer) judged(in *Incident) string {
	args := lang.Args{"Class": p.text("class."+string(in.Class), nil), "Confidence": p.Texts.Confidence(in.Confidence)}
	if len(in.Contributing) == 0 {
		return p.text("verdict.plain", args)
	}
	var others []string
	for _, c := range in.Contributing {
		others = append(others, p.text("class."+string(c), nil))
	}
	args["Others"] = p.Texts.List(others)
	return p.text("verdict.also", args)
}

func (p *Printer) whose(in *Incident) string {
	return p.text("actor."+string(in.Actor), lang.Args{"Provider": in.Name})
}

// tallies prints what each address did, those that fail first.
func (p *Printer) tallies(head string, list []Tally, more int, failuresOnly bool) {
	if len(list) == 0 {
		return
	}
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b Tally) int {
		// More failures for each attempt first; without division, since there may be none.
		return int(sign(b.Failed*(a.Failed+a.Delivered) - a.Failed*(b.Failed+b.Delivered)))
	})
	p.b.WriteString("\n")
	keys := []string{head, "table.delivered", "table.failed", "table.host"}
	if failuresOnly {
		keys = []string{head, "table.failed", "table.host"}
	}
	t := p.table(keys...)
	for _, a := range list[:min(len(list), maxShown)] {
		host := a.Host
		if host == name(a) {
			host = ""
		}
		if failuresOnly {
			t.row(name(a), p.number(a.Failed), host)
		} else {
			t.row(name(a), p.number(a.Delivered), p.number(a.Failed), host)
		}
	}
	t.print()
	if n := len(list) - maxShown; max(n, 0)+more > 0 {
		p.hang("  ", p.Texts.Count("table.more-rows", max(n, 0)+more, nil))
	}
}

func sign(n int64) int64 {
	switch {
	case n < 0:
		return -1
	case n > 0:
		return 1
	}
	return 0
}

// grounds prints reasons, each behind a mark.
func (p *Printer) grounds(key, mark string, list []string) {
	if len(list) == 0 {
		return
	}
	p.title(p.text(key, nil))
	for _, s := range list {
		p.hang("  "+mark, s)
	}
}
