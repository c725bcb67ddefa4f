package explain

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/postroad/postroad/diagnose/header"
	"github.com/postroad/postroad/lang"
)

// headers prints what a header block tells: where the message was put and why,
// its way, who vouched for it, what the filters wrote.
func (p *Printer) headers(a *Answer) {
	h := a.Headers
	if h == nil {
		return
	}
	if a.Kind == KindMessage {
		p.para(p.text("kind.message", nil))
	}
	p.para(p.text("header.verdict."+string(h.Verdict), nil))
	if h.Verdict != header.Unknown {
		p.list(h.Why)
	}
	p.hops(h)
	p.authentication(h)
	p.findings(h)
}

func (p *Printer) title(key string) {
	p.b.WriteString("\n" + p.bold(p.text(key, nil)) + "\n")
}

// hops prints the way of the message, oldest hop first: when, how long after the
// hop before, from where to where, over what.
func (p *Printer) hops(h *Headers) {
	if len(h.Hops) == 0 {
		return
	}
	p.title("headers.title.hops")
	type row struct{ at, delay, way string }
	rows := make([]row, 0, len(h.Hops))
	wide := 0
	for i := range h.Hops {
		hop := &h.Hops[i]
		r := row{at: "-", way: hopWay(hop)}
		if !hop.Time.IsZero() {
			r.at = hop.Time.UTC().Format("2006-01-02 15:04:05Z")
		}
		if i > 0 && (hop.Delay != 0 || !hop.Time.IsZero()) {
			r.delay = "+" + p.Texts.Duration(hop.Delay.Round(time.Second))
		}
		if hop.Skew != 0 {
			r.way += "  " + p.text("headers.skew", lang.Args{"Duration": p.Texts.Duration(hop.Skew.Round(time.Second))})
		}
		wide = max(wide, utf8.RuneCountInString(r.delay))
		rows = append(rows, r)
	}
	for _, r := range rows {
		p.hang(fmt.Sprintf("  %-20s  %s%s  ", r.at, strings.Repeat(" ", wide-utf8.RuneCountInString(r.delay)), r.delay), r.way)
	}
	if h.Transit > 0 {
		s := p.text("headers.total", lang.Args{"Duration": p.Texts.Duration(h.Transit.Round(time.Second))})
		if h.Slowest > 0 && h.Hops[h.Slowest].Delay > time.Second {
			s += " " + p.text("headers.slowest", lang.Args{"Host": h.Hops[h.Slowest-1].By,
				"Duration": p.Texts.Duration(h.Hops[h.Slowest].Delay.Round(time.Second))})
		}
		p.hang("  ", s)
	}
}

func hopWay(hop *header.Hop) string {
	from := first(hop.From, hop.HELO, hop.FromIP)
	if hop.FromIP != "" && from != hop.FromIP {
		from += " [" + hop.FromIP + "]"
	}
	way := strings.TrimSpace(from + " -> " + hop.By)
	if from == "" {
		way = hop.By
	}
	if way == "" {
		way = hop.Raw
	}
	for _, s := range []string{hop.With, hop.TLS} {
		if s != "" {
			way += ", " + s
		}
	}
	return way
}

func first(names ...string) string {
	for _, n := range names {
		if n != "" {
			return n
		}
	}
	return ""
}

// authentication prints the results of the receiving side, and says of the
// others that they are claims.
func (p *Printer) authentication(h *Headers) {
	if len(h.Auth) == 0 {
		return
	}
	p.title("headers.title.auth")
	for _, a := range h.Auth {
		id := first(a.ID, a.Field)
		if !a.Trusted {
			id = p.text("headers.claim", lang.Args{"Who": id})
		}
		parts := make([]string, 0, len(a.Results))
		for _, r := range a.Results {
			s := r.Method + "=" + r.Result
			if r.Reason != "" {
				s += " (" + r.Reason + ")"
			}
			for _, k := range propKeys(r.Props) {
				s += " " + k + "=" + r.Props[k]
			}
			parts = append(parts, s)
		}
		p.hang("  ", id+": "+strings.Join(parts, "; "))
	}
}

func propKeys(props map[string]string) []string {
	keys := make([]string, 0, len(props))
	for k := range props {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func (p *Printer) findings(h *Headers) {
	texts := make([]string, 0, len(h.Findings))
	for _, f := range h.Findings {
		if h.Verdict != header.Unknown && !f.Claim && slices.Contains(h.Why, f.Text) {
			continue // stands above, under the verdict
		}
		if f.Claim {
			f.Text = p.text("headers.claim.finding", lang.Args{"Text": f.Text})
		}
		texts = append(texts, f.Text)
	}
	if len(texts) == 0 {
		return
	}
	p.title("headers.title.findings")
	p.list(texts)
}

// list prints sentences under each other, each of them once.
func (p *Printer) list(texts []string) {
	for i, t := range texts {
		if !slices.Contains(texts[:i], t) {
			p.hang("  - ", t)
		}
	}
}
