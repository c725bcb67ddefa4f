package analyze

import (
	"cmp"
	"slices"

	"github.com/postroad/postroad/lang"
)

// providers prints the table of providers: those in trouble first, then those
// with most mail, the rest in one row.
func (p *Printer) providers(r *Report, worst []*Incident) {
	if len(r.Providers) == 0 {
		return
	}
	trouble := map[string]*Incident{}
	rank := map[string]int{}
	for i, in := range worst {
		if trouble[in.Provider] == nil {
			trouble[in.Provider], rank[in.Provider] = in, i
		}
	}
	list := make([]*Provider, len(r.Providers))
	for i := range r.Providers {
		list[i] = &r.Providers[i]
	}
	place := func(v *Provider) int {
		if _, bad := trouble[v.ID]; bad {
			return rank[v.ID]
		}
		return len(worst)
	}
	slices.SortStableFunc(list, func(a, b *Provider) int {
		return cmp.Or(cmp.Compare(place(a), place(b)), cmp.Compare(b.Messages, a.Messages))
	})
	keys := []string{"table.provider", "table.sent", "table.delivered", "table.waiting", "table.bounced", "table.median", "table.why"}
	if r.FailuresOnly {
		keys = []string{"table.provider", "table.failed", "table.waiting", "table.bounced", "table.why"}
	}
	if p.narrow() {
		keys = slices.DeleteFunc(keys, func(k string) bool { return k == "table.median" })
	}
	p.b.WriteString("\n")
	t := p.table(keys...)
	t.name = p.nameWidth()
	show := len(list)
	if show > maxRows {
		show = maxRows - 1
	}
	for i, v := range list[:show] {
		in := trouble[v.ID]
		if in != nil && in.State == Open {
			t.bad[i] = true
		}
		p.provider(t, r, v, v.Name, p.why(r, v, in))
	}
	if rest := list[show:]; len(rest) > 0 {
		var sum Provider
		for _, v := range rest {
			sum.Attempts += v.Attempts
			sum.Delivered += v.Delivered
			sum.Bounced += v.Bounced
			sum.Expired += v.Expired
			sum.Messages += v.Messages
			sum.Waiting += v.Waiting
		}
		p.provider(t, r, &sum, p.Texts.Count("table.others", len(rest), nil), "")
	}
	t.print()
	if r.MoreProviders > 0 {
		p.hang("  ", p.Texts.Count("table.more", r.MoreProviders, nil))
	}
}

// provider prints one row: shares of messages, or counts where shares would say
// nothing.
func (p *Printer) provider(t *table, r *Report, v *Provider, name, why string) {
	bounced := v.Bounced + v.Expired
	if r.FailuresOnly {
		t.row(name, p.number(v.Messages), p.number(v.Waiting), p.number(bounced), why)
		return
	}
	part := func(n int64) string {
		if v.Messages == 0 {
			return ""
		}
		return percent(p.Texts, n, v.Messages)
	}
	cells := []string{name, p.number(v.Messages), part(v.Delivered), part(v.Waiting), part(bounced)}
	if !p.narrow() {
		cells = append(cells, p.seconds(v.Seconds.P50))
	}
	t.row(append(cells, why)...)
}

// seconds says a time of delivery.
func (p *Printer) seconds(s *float64) string {
	if s == nil {
		return ""
	}
	if *s < 1 {
		return "<1 s"
	}
	return p.Texts.Duration(seconds(*s))
}

// much is the share of attempts from which on failures without an incident are
// named in the table.
const much = 0.005

// why says in few words what ails a provider.
func (p *Printer) why(r *Report, v *Provider, in *Incident) string {
	if in == nil {
		c := mostly(v.Classes)
		n := v.Classes[c]
		if c == "" || float64(n) < much*float64(v.Attempts) {
			return ""
		}
		return p.Texts.Count("table.why.some", int(n), lang.Args{"Class": p.class(c)})
	}
	args := lang.Args{"Class": p.class(in.Class)}
	if in.Ended != nil && in.State == Recovered {
		args["When"] = p.moment(r, *in.Ended)
		return p.text("table.why.over", args)
	}
	if bad, good := split(in.Addresses); len(bad) > 0 && len(good) > 0 {
		args["List"] = names(p.Texts, bad)
		return p.text("table.why.at", args)
	}
	if bad, good := split(in.Sources); len(bad) > 0 && len(good) > 0 {
		args["List"] = names(p.Texts, bad)
		return p.text("table.why.from", args)
	}
	return args["Class"]
}
