package header

import (
	"slices"
	"strings"
	"time"

	"github.com/postroad/postroad/mail"
	"github.com/postroad/postroad/message"
)

// Read tells what a header says. now is the clock against which dates are
// judged; with a zero now nothing is in the future and no signature expired.
func Read(h message.Header, now time.Time) Report {
	r := Report{Slowest: -1, Border: -1, Verdict: Unknown, Hops: []Hop{}, Findings: []Finding{}}
	r.From = fromDomain(h.Get("From"))
	r.Date, _ = message.ParseDate(h.Get("Date"))

	c := collector{r: &r, h: h}
	for i, f := range h.Fields() {
		c.field(i, f)
	}
	slices.Reverse(r.Hops)
	slices.Reverse(c.hopAt)
	r.measure(now)
	r.cross()
	r.expire(now)
	r.trust(c.authAt, c.hopAt)
	r.authFindings()
	r.readFilters(c.filters)
	r.Verdict, r.Why = decide(r.Findings)
	return r
}

// collector walks the fields once, in their order: it carries meaning.
type collector struct {
	r       *Report
	h       message.Header
	hopAt   []int // position of the field of each hop, newest first
	authAt  []int // position of each field in Report.Auth
	filters []filterField
}

type filterField struct {
	name  string // lower case
	field string // as written
	value string
}

func (c *collector) field(at int, f message.Field) {
	r := c.r
	if len(f.Name) > 80 {
		return
	}
	switch name := strings.ToLower(f.Name); name {
	case "received", "x-received":
		if len(r.Hops) == MaxHops {
			r.Dropped++
			return
		}
		hop := parseReceived(c.h.Value(f))
		hop.Extra = name[0] == 'x'
		r.Hops = append(r.Hops, hop)
		c.hopAt = append(c.hopAt, at)
	case "authentication-results":
		if len(r.Auth) < maxAuth {
			a := parseAuth(c.h.Value(f), r.From)
			a.Field = "Authentication-Results"
			r.Auth = append(r.Auth, a)
			c.authAt = append(c.authAt, at)
		}
	case "received-spf":
		if len(r.Auth) < maxAuth {
			r.Auth = append(r.Auth, parseReceivedSPF(c.h.Value(f), r.From))
			c.authAt = append(c.authAt, at)
		}
	case "dkim-signature":
		if len(r.DKIM) < maxAuth {
			r.DKIM = append(r.DKIM, parseSignature(c.h.Value(f), r.From))
		}
	case "arc-seal", "arc-authentication-results", "arc-message-signature":
		r.arc(name, c.h.Value(f))
	case "x-originating-ip", "x-client-ip", "x-sender-ip", "x-originating-client-ip":
		if r.Client == "" {
			r.Client = parseIP(strings.TrimSpace(c.h.Value(f)))
		}
	default:
		if isFilterField(name) && len(c.filters) < 100 {
			c.filters = append(c.filters, filterField{name, f.Name, clip(c.h.Value(f), maxField)})
		}
	}
}

// find takes a finding into the report.
func (r *Report) find(f Finding) {
	if len(r.Findings) >= maxFindings {
		return
	}
	f.Value, f.Fragment = clip(f.Value, maxValue), clip(f.Fragment, maxValue)
	r.Findings = append(r.Findings, f)
}

// fromDomain gives the domain of the first address in a From field.
func fromDomain(v string) string {
	v = clip(v, maxField)
	if i := strings.LastIndexByte(v, '<'); i >= 0 {
		v = v[i+1:]
		if j := strings.IndexByte(v, '>'); j >= 0 {
			v = v[:j]
		}
	}
	at := strings.LastIndexByte(v, '@')
	if at < 0 {
		return ""
	}
	v = v[at+1:]
	if i := strings.IndexAny(v, " \t(,;>"); i >= 0 {
		v = v[:i]
	}
	return clip(mail.NormalDomain(v), 255)
}
