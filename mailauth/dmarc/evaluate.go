package dmarc

import (
	"cmp"
	"context"
	"slices"
	"strconv"

	"github.com/postroad/postroad/dns"
	"github.com/postroad/postroad/mailauth"
)

// The bounds of an evaluation, so that a message cannot make us ask DNS without
// end (RFC 9989 sections 4.10 and 11.5).
const (
	MaxAuthors     = 4   // domains of the From field that are judged
	MaxIdentifiers = 100 // identifiers that are looked at, SPF's first
	MaxWalks       = 10  // organisational domains that are sought for identifiers
)

// Rules are the standard by which a message is judged.
type Rules string

// The standards. The zero value is today's.
const (
	RFC9989 Rules = "RFC 9989" // the tree walk, np, psd and t
	RFC7489 Rules = "RFC 7489" // the public suffix list, and pct
)

// The findings of an evaluation; the first of a Verdict is its reason where the
// result is none, temperror or permerror.
const (
	FindDNS         = "dmarc.dns.failed"           // a question without an answer
	FindNoRecord    = "dmarc.record.none"          // no record applies
	FindNoAuthor    = "dmarc.from.none"            // no author's domain
	FindAuthor      = "dmarc.from.invalid"         // the author's domain is no domain name
	FindAuthors     = "dmarc.from.several"         // more than one: each was judged
	FindAuthorsMany = "dmarc.from.many"            // more than MaxAuthors: the rest was not judged
	FindIdentifiers = "dmarc.identifiers.many"     // over MaxIdentifiers or MaxWalks: the rest was not looked at
	FindExistence   = "dmarc.existence.unknown"    // np would count if the domain did not exist, and DNS did not say
	FindInput       = "dmarc.identifier.temperror" // SPF or DKIM of an aligned domain could not be checked
	FindAlignment   = "dmarc.identifier.unknown"   // passes, and DNS did not say whose it is
	FindUnaligned   = "dmarc.identifier.unaligned" // passes, and is another organisation's
	FindSampled     = "dmarc.pct.spared"           // RFC 7489: the message is not among the percentage
	FindOrgDiffers  = "dmarc.differ.organization"  // the two standards find different organisational domains
	FindAtDiffers   = "dmarc.differ.record"        // ... or different records
	FindResDiffers  = "dmarc.differ.result"        // ... or come to different results
	FindDispDiffers = "dmarc.differ.disposition"   // ... or want different things done
)

// Identifier is a domain that SPF or DKIM looked at and what came of it.
type Identifier struct {
	Domain   string          `json:"domain"`
	Selector string          `json:"selector,omitempty"` // of a DKIM signature
	Result   mailauth.Result `json:"result"`
}

// Input is what is known of a message.
type Input struct {
	// From are the domains of the From field, as ParseFrom gives them.
	From []string

	// SPF is the result for the domain of MAIL FROM, which of a null
	// reverse-path is that of HELO (RFC 7208 section 2.4). HELO as an identity
	// of its own does not count (RFC 9989 section 4.4.2). Zero: not checked.
	SPF Identifier

	// DKIM are the results of all signatures, with their d=.
	DKIM []Identifier

	Rules Rules

	// Sample is the number from 0 to 99 that was drawn for this message: by
	// RFC 7489 section 6.6.4 the policy counts for it if pct is greater. RFC
	// 9989 has no use for it.
	Sample int
}

// Alignment says how an identifier relates to the author's domain (RFC 9989
// section 3.2.10).
type Alignment string

// The alignments.
const (
	AlignedStrict  Alignment = "strict"
	AlignedRelaxed Alignment = "relaxed"
	NotAligned     Alignment = "none"
	AlignUnknown   Alignment = "unknown" // DNS did not say, or a bound was reached
)

// Aligned is an identifier and its alignment by the mode that the record asks
// for.
type Aligned struct {
	Identifier
	Method       mailauth.Method `json:"method"`
	Organization string          `json:"organization,omitempty"` // where it had to be found
	Alignment    Alignment       `json:"alignment"`
	Counts       bool            `json:"counts,omitempty"` // passes and is aligned: one is enough
}

// Verdict is what came of a message.
type Verdict struct {
	Rules     Rules           `json:"rules"`
	Author    string          `json:"author"`
	Result    mailauth.Result `json:"result"` // pass, fail, none, temperror, permerror
	Discovery Discovery       `json:"discovery"`
	Tag       string          `json:"tag,omitempty"`    // p, sp or np: whose policy it is
	Policy    Policy          `json:"policy,omitempty"` // that the owner has published for this author
	// Disposition is what the owner wants done with this message; none unless
	// the result is fail. The receiver decides (RFC 9989 section 5.4).
	Disposition Policy    `json:"disposition"`
	Testing     bool      `json:"testing,omitempty"` // t=y took one level off
	Spared      bool      `json:"spared,omitempty"`  // pct did (RFC 7489)
	Identifiers []Aligned `json:"identifiers,omitempty"`
	Walks       []Walk    `json:"walks,omitempty"` // those for identifiers
	Findings    []Finding `json:"findings,omitempty"`
	Others      []Verdict `json:"others,omitempty"` // of the further authors; this one is the worst
}

// Method gives the verdict for an Authentication-Results field.
func (v Verdict) Method() mailauth.MethodResult {
	m := mailauth.MethodResult{Method: mailauth.DMARC, Result: v.Result}
	if v.Discovery.Record != nil && v.Policy != "" {
		m.Comment = "p=" + string(v.Policy) + " dis=" + string(v.Disposition)
	}
	if (v.Result == mailauth.TempError || v.Result == mailauth.PermError) && len(v.Findings) > 0 {
		m.Reason = v.Findings[0].Key
	}
	if v.Author != "" {
		m.Properties = []mailauth.Property{{Type: "header", Name: "from", Value: v.Author}}
	}
	return m
}

// Evaluate judges a message. With several authors each is judged and the worst
// verdict given, as RFC 9989 section 11.5 recommends: the strictest policy of
// those that fail; it passes only if all do.
func Evaluate(ctx context.Context, r Resolver, in Input) Verdict {
	return evaluate(ctx, &walker{r: some(r), steps: make(map[string]Step)}, in)
}

func evaluate(ctx context.Context, w *walker, in Input) Verdict {
	if in.Rules == "" {
		in.Rules = RFC9989
	}
	if len(in.From) == 0 {
		return Verdict{Rules: in.Rules, Result: mailauth.None, Disposition: PolicyNone,
			Findings: []Finding{{Key: FindNoAuthor}}}
	}
	var authors []string
	for _, from := range in.From {
		if d := normal(from); d == "" || !slices.Contains(authors, d) {
			authors = append(authors, cmp.Or(d, from))
		}
		if len(authors) > MaxAuthors {
			break
		}
	}
	var all []Verdict
	worst := 0
	for i, from := range authors[:min(len(authors), MaxAuthors)] {
		all = append(all, evaluateOne(ctx, w, in, from))
		if all[i].severity() > all[worst].severity() {
			worst = i
		}
	}
	v := all[worst]
	if len(authors) == 1 {
		return v
	}
	v.Others = append(append([]Verdict(nil), all[:worst]...), all[worst+1:]...)
	v.find(FindAuthors, "From", strconv.Itoa(len(in.From)))
	if len(authors) > MaxAuthors {
		many := Finding{FindAuthorsMany, "From", strconv.Itoa(len(in.From))}
		if v.Result == mailauth.Pass || v.Result == mailauth.None {
			v.Result = mailauth.PermError // not all were judged: it is not known to pass
			v.Findings = append([]Finding{many}, v.Findings...)
		} else {
			v.Findings = append(v.Findings, many)
		}
	}
	return v
}

// severity orders the verdicts on several authors.
func (v *Verdict) severity() int {
	switch v.Result {
	case mailauth.Fail:
		return 3 + 2*v.Disposition.rank() // 3, 5, 7
	case mailauth.TempError:
		return 4
	case mailauth.PermError:
		return 2
	case mailauth.None:
		return 1
	}
	return 0
}

func evaluateOne(ctx context.Context, w *walker, in Input, from string) Verdict {
	v := Verdict{Rules: in.Rules, Author: normal(from), Result: mailauth.None, Disposition: PolicyNone}
	if v.Author == "" {
		v.find(FindAuthor, "From", clip(from, maxShown))
		return v
	}
	if in.Rules == RFC7489 {
		v.Discovery = w.discoverByList(ctx, v.Author)
	} else {
		v.Discovery = w.discover(ctx, v.Author)
	}
	d := &v.Discovery
	switch {
	case d.Record == nil && d.Failed:
		v.Result = mailauth.TempError
		v.Findings = append(v.Findings, d.failures()...)
	case d.Record == nil:
		v.find(FindNoRecord, v.Author, "")
	case in.Rules == RFC7489 && !d.Record.usable7489() || in.Rules == RFC9989 && d.Record.Unusable:
		v.Result = mailauth.PermError
		v.find(FindUnusable, d.At, d.Record.Text)
	default:
		v.align(ctx, w, in)
		v.decide(ctx, w, in)
		v.Findings = append(v.Findings, d.failures()...)
		for i := range v.Walks {
			v.Findings = append(v.Findings, v.Walks[i].failures()...)
		}
		v.Findings = append(v.Findings, d.Record.Findings...)
	}
	for _, s := range d.Steps {
		v.Findings = append(v.Findings, s.Findings...)
	}
	return v
}

func (v *Verdict) find(key, where, value string) {
	v.Findings = append(v.Findings, Finding{key, where, clip(value, maxShown)})
}

// align looks at every identifier, first at those that pass: they decide.
func (v *Verdict) align(ctx context.Context, w *walker, in Input) {
	a := aligner{v: v, w: w, organizations: make(map[string]organization)}
	add := func(id Identifier, method mailauth.Method) {
		if id.Domain == "" {
			return
		}
		if len(v.Identifiers) == MaxIdentifiers {
			a.many = true
			return
		}
		v.Identifiers = append(v.Identifiers, Aligned{Identifier: id, Method: method})
	}
	add(in.SPF, mailauth.SPF)
	for _, id := range in.DKIM {
		add(id, mailauth.DKIM)
	}
	for _, passing := range []bool{true, false} {
		for i := range v.Identifiers {
			if id := &v.Identifiers[i]; (id.Result == mailauth.Pass) == passing {
				a.align(ctx, id)
				id.Counts = passing && (id.Alignment == AlignedStrict || id.Alignment == AlignedRelaxed)
			}
		}
	}
	if a.many {
		v.find(FindIdentifiers, "", strconv.Itoa(1+len(in.DKIM)))
	}
}

type organization struct {
	domain string
	known  bool
}

type aligner struct {
	v             *Verdict
	w             *walker
	organizations map[string]organization
	many          bool
}

func (a *aligner) align(ctx context.Context, id *Aligned) {
	author, record := a.v.Author, a.v.Discovery.Record
	mode := record.DKIM
	if id.Method == mailauth.SPF {
		mode = record.SPF
	}
	domain := normal(id.Domain)
	id.Alignment = NotAligned
	switch {
	case domain == "":
	case domain == author:
		id.Alignment = AlignedStrict
	case mode == Strict:
	case a.v.Rules == RFC7489:
		id.Organization = byList(domain)
		if id.Organization == a.v.Discovery.Organization {
			id.Alignment = AlignedRelaxed
		}
	case a.v.Discovery.Failed:
		// Any domain above the author's may be its organisational domain.
		switch {
		case last(domain, 1) != last(author, 1):
		case a.sameWhatever(ctx, domain):
			id.Organization, id.Alignment = a.v.Discovery.Organization, AlignedRelaxed
		default:
			id.Alignment = AlignUnknown
		}
	case !under(domain, a.v.Discovery.Organization):
		// Its organisational domain is above it or itself: never the author's.
	default:
		o := a.organization(ctx, domain)
		id.Organization = o.domain
		switch {
		case !o.known:
			id.Alignment = AlignUnknown
		case o.domain == a.v.Discovery.Organization:
			id.Alignment = AlignedRelaxed
		}
	}
}

// sameWhatever reports whether a domain has the author's organisational domain whatever the name
// says that did not answer: both walks came by the same record before they ended there, and have
// the same way on. So a top-level domain whose servers are down does not hold up mail.
func (a *aligner) sameWhatever(ctx context.Context, domain string) bool {
	d := &a.v.Discovery.Walk
	if d.Basis != ByFewest || !under(domain, d.Organization) {
		return false
	}
	a.organization(ctx, domain)
	i := slices.IndexFunc(a.v.Walks, func(w Walk) bool { return w.Domain == domain })
	if i < 0 { // a bound was reached
		return false
	}
	w := &a.v.Walks[i]
	return w.Failed && w.Basis == ByFewest && w.Organization == d.Organization &&
		w.Steps[len(w.Steps)-1].Domain == d.Steps[len(d.Steps)-1].Domain
}

// organization walks from an identifier's domain, each domain once.
func (a *aligner) organization(ctx context.Context, domain string) organization {
	if o, ok := a.organizations[domain]; ok {
		return o
	}
	if len(a.v.Walks) == MaxWalks {
		a.many = true
		return organization{}
	}
	walk := a.w.walk(ctx, domain)
	a.v.Walks = append(a.v.Walks, walk)
	o := organization{domain: walk.Organization, known: !walk.Failed}
	if walk.Failed {
		o.domain = ""
	}
	a.organizations[domain] = o
	return o
}

// decide comes to the result, the policy and what it wants done.
func (v *Verdict) decide(ctx context.Context, w *walker, in Input) {
	v.Result = mailauth.Fail
	var open []Finding // what might have made it pass
	for i := range v.Identifiers {
		id := &v.Identifiers[i]
		aligned := id.Alignment == AlignedStrict || id.Alignment == AlignedRelaxed
		switch {
		case id.Counts:
			v.Result = mailauth.Pass
		case id.Result == mailauth.Pass && id.Alignment == AlignUnknown:
			open = append(open, Finding{FindAlignment, string(id.Method), clip(id.Domain, maxShown)})
		case id.Result == mailauth.TempError && (aligned || id.Alignment == AlignUnknown):
			open = append(open, Finding{FindInput, string(id.Method), clip(id.Domain, maxShown)})
		case id.Result == mailauth.Pass:
			v.find(FindUnaligned, string(id.Method), clip(id.Domain, maxShown))
		}
	}
	if v.Result == mailauth.Fail && len(open) > 0 {
		// RFC 9989 section 5.3.6: then it neither passes nor fails.
		v.Result = mailauth.TempError
		v.Findings = append(open, v.Findings...)
	}
	v.wish(ctx, w)
	if v.Result != mailauth.Fail {
		return
	}
	v.Disposition = v.Policy
	record := v.Discovery.Record
	switch {
	case v.Policy == PolicyNone:
	case v.Rules == RFC7489 && in.Sample >= record.Percent:
		v.Spared, v.Disposition = true, v.Policy.lower()
		v.find(FindSampled, "pct", strconv.Itoa(record.Percent))
	case v.Rules == RFC9989 && record.Testing:
		v.Testing, v.Disposition = true, v.Policy.lower()
	}
}

// wish finds the policy for this author (RFC 9989 section 4.10.1).
func (v *Verdict) wish(ctx context.Context, w *walker) {
	d := &v.Discovery
	r := d.Record
	if v.Rules == RFC7489 {
		p, sp := r.policies7489()
		v.Policy, v.Tag = p, "p"
		if d.Found != AtAuthor && sp != "" {
			v.Policy, v.Tag = sp, "sp"
		}
		return
	}
	if d.Found == AtAuthor {
		v.Policy, v.Tag = r.Policy, "p"
		return
	}
	exists := dns.Empty
	if r.NonExistent != "" {
		exists = w.exists(ctx, v.Author)
	}
	v.Policy, v.Tag = r.For(exists != dns.Absent)
	if exists.Known() {
		return
	}
	if p, _ := r.For(false); p != v.Policy && v.Result == mailauth.Fail {
		v.Result = mailauth.TempError
		v.Findings = append([]Finding{{FindExistence, v.Author, exists.String()}}, v.Findings...)
	}
}
