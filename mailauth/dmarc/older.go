package dmarc

import (
	"context"
	"strings"

	"github.com/postroad/postroad/dns"
)

// discoverByList finds a record as RFC 7489 section 6.6.3 says: at the domain,
// then at the organisational domain by the public suffix list.
func (w *walker) discoverByList(ctx context.Context, domain string) Discovery {
	d := Discovery{Walk: Walk{Domain: domain, Organization: byList(domain), Basis: ByList}}
	s := w.step(ctx, domain)
	d.Steps = append(d.Steps, s)
	if s.Record != nil {
		d.Record, d.At, d.Found = s.Record, domain, AtAuthor
		return d
	}
	d.Failed = !s.Status.Known()
	if d.Failed || d.Organization == domain {
		return d
	}
	s = w.step(ctx, d.Organization)
	d.Steps = append(d.Steps, s)
	d.Failed = !s.Status.Known()
	if s.Record != nil {
		d.Record, d.At, d.Found = s.Record, s.Domain, AtOrganization
	}
	return d
}

// byList gives the organisational domain by the public suffix list; a public
// suffix is its own.
func byList(domain string) string {
	if o, ok := OrganizationalDomain(domain); ok {
		return o
	}
	return domain
}

// policies7489 gives p and sp as RFC 7489 section 6.6.3 reads them, to which np
// is a tag like any other that it does not know.
func (r *Record) policies7489() (p, sp Policy) {
	p, sp, bad := r.tags7489()
	if bad {
		return PolicyNone, ""
	}
	return p, sp
}

// usable7489 tells whether RFC 7489 section 6.6.3 step 6 lets the record count:
// without a valid p there have to be addresses for reports.
func (r *Record) usable7489() bool {
	_, _, bad := r.tags7489()
	return !bad || len(r.Aggregate) > 0
}

func (r *Record) tags7489() (p, sp Policy, bad bool) {
	bad = true
	badSub := false
	for _, t := range r.Tags {
		policy := Policy(strings.ToLower(t.Value))
		valid := policy == PolicyNone || policy == PolicyQuarantine || policy == PolicyReject
		switch t.Name {
		case "p":
			p, bad = policy, !valid
		case "sp":
			sp, badSub = policy, !valid
		}
	}
	return p, sp, bad || badSub
}

// Comparison is a message judged by both standards: receivers of both kinds
// are there, and will be for years.
type Comparison struct {
	Now         Verdict   `json:"now"`   // by RFC 9989
	Older       Verdict   `json:"older"` // by RFC 7489
	Differences []Finding `json:"differences,omitempty"`
}

// Compare judges a message by both standards with the same answers of DNS, and
// says where they differ.
func Compare(ctx context.Context, r Resolver, in Input) Comparison {
	w := &walker{r: some(r), steps: make(map[string]Step), exist: make(map[string]dns.Status)}
	var c Comparison
	in.Rules = RFC9989
	c.Now = evaluate(ctx, w, in)
	in.Rules = RFC7489
	c.Older = evaluate(ctx, w, in)
	differ := func(key, now, older string) {
		if now != older {
			c.Differences = append(c.Differences, Finding{key, now, older})
		}
	}
	if c.Now.Author == c.Older.Author {
		differ(FindOrgDiffers, c.Now.Discovery.Organization, c.Older.Discovery.Organization)
		differ(FindAtDiffers, c.Now.Discovery.At, c.Older.Discovery.At)
	}
	differ(FindResDiffers, string(c.Now.Result), string(c.Older.Result))
	differ(FindDispDiffers, string(c.Now.Disposition), string(c.Older.Disposition))
	return c
}
