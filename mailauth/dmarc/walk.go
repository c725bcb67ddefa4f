package dmarc

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/postroad/postroad/dns"
)

// Resolver is what this package asks of DNS; *dns.Resolver is one.
type Resolver interface {
	TXT(ctx context.Context, name string) dns.Answer[string]
	A(ctx context.Context, host string) dns.Answer[netip.Addr]
}

// MaxQueries is how many names a walk asks for at most (RFC 9989 section 4.10).
const MaxQueries = 8

// Step is one name of a walk.
type Step struct {
	Domain   string       `json:"domain"`             // whose record is sought
	Name     string       `json:"name"`               // what was asked for: "_dmarc." before it
	Status   dns.Status   `json:"status"`             // of the answer
	Record   *Record      `json:"record,omitempty"`   // the only record there
	Security dns.Security `json:"-"`                  // what DNSSEC proves of the answer
	Err      error        `json:"-"`                  // why DNS did not say
	Findings []Finding    `json:"findings,omitempty"` // several records, text that is none
}

// Basis is the rule that made a domain the organisational domain (RFC 9989
// section 4.10.2; RFC 7489 section 3.2).
type Basis string

// The rules.
const (
	BySelf   Basis = "self"          // no record on the way: it is its own
	ByFewest Basis = "fewest-labels" // the highest domain with a record
	ByNo     Basis = "psd-n"         // the domain says so itself
	ByPublic Basis = "psd-y"         // one label below a public suffix that says it is one
	ByList   Basis = "list"          // the public suffix list
)

// Walk is a way up the tree and what follows from it.
type Walk struct {
	Domain       string `json:"domain"` // where it began
	Steps        []Step `json:"steps"`  // at most MaxQueries
	Organization string `json:"organization"`
	Basis        Basis  `json:"basis"`
	Failed       bool   `json:"failed,omitempty"` // the last question had no answer: Organization is a guess
}

// Found says where a policy was found.
type Found string

// The places, the preferred one first (RFC 9989 section 4.10.1).
const (
	AtAuthor       Found = "author"
	AtOrganization Found = "organization"
	AtPublic       Found = "public-suffix"
)

// Discovery is the record that applies to a domain and the way to it.
type Discovery struct {
	Walk
	Record *Record `json:"record,omitempty"` // nil: none applies, or with Failed perhaps one does
	At     string  `json:"at,omitempty"`     // the domain that has it
	Found  Found   `json:"found,omitempty"`
}

// ErrDomain is what is said of a name that cannot be an author's domain.
var ErrDomain = errors.New("find DMARC policy: not a domain name")

// Discover finds the policy of a domain and its organisational domain by the DNS
// Tree Walk (RFC 9989 sections 4.10, 4.10.1 and 4.10.2). Where Failed is set and
// Record is nil, DNS did not say whether there is one.
func Discover(ctx context.Context, r Resolver, domain string) (Discovery, error) {
	name := normal(domain)
	if name == "" {
		return Discovery{}, fmt.Errorf("%w: %q", ErrDomain, clip(domain, maxShown))
	}
	w := walker{r: some(r), steps: make(map[string]Step)}
	return w.discover(ctx, name), nil
}

// some gives a resolver that knows nothing in the place of none.
func some(r Resolver) Resolver {
	if r == nil {
		return (*dns.Resolver)(nil)
	}
	return r
}

// targets are the domains of a walk from a domain, in their order: the domain
// itself, then upwards, but from eight labels on the next has seven.
func targets(domain string) []string {
	out := []string{domain}
	for n := min(labels(domain)-1, MaxQueries-1); n > 0; n-- {
		out = append(out, last(domain, n))
	}
	return out
}

// walker asks each name once for a message.
type walker struct {
	r     Resolver
	steps map[string]Step
	exist map[string]dns.Status
}

func (w *walker) walk(ctx context.Context, domain string) Walk {
	out := Walk{Domain: domain, Organization: domain, Basis: BySelf}
	for _, target := range targets(domain) {
		s := w.step(ctx, target)
		out.Steps = append(out.Steps, s)
		if out.Failed = !s.Status.Known(); out.Failed {
			break // what is above could not make it certain, and would keep us waiting too
		}
		if s.Record != nil && s.Record.PSD != PSDUnknown {
			break
		}
	}
	out.choose()
	return out
}

// choose selects the organisational domain (RFC 9989 section 4.10.2).
func (w *Walk) choose() {
	for i, s := range w.Steps { // from the longest to the shortest
		switch {
		case s.Record == nil:
		case s.Record.PSD == PSDNo:
			w.Organization, w.Basis = s.Domain, ByNo
			return
		case s.Record.PSD == PSDYes && i > 0:
			w.Organization, w.Basis = last(w.Domain, labels(s.Domain)+1), ByPublic
			return
		default:
			w.Organization, w.Basis = s.Domain, ByFewest
		}
	}
}

func (w *walker) discover(ctx context.Context, domain string) Discovery {
	d := Discovery{Walk: w.walk(ctx, domain)}
	steps := d.Steps
	if s := steps[0]; s.Record != nil || !s.Status.Known() {
		if s.Record != nil {
			d.Record, d.At, d.Found = s.Record, s.Domain, AtAuthor
		}
		return d
	}
	if d.Failed { // a failed one may have been nearer, or the boundary
		return d
	}
	for _, s := range steps[1:] {
		switch {
		case s.Record == nil:
		case s.Domain == d.Organization:
			d.Record, d.At, d.Found = s.Record, s.Domain, AtOrganization
			return d
		case s.Record.PSD == PSDYes:
			d.Record, d.At, d.Found = s.Record, s.Domain, AtPublic
		}
	}
	return d
}

func (w *walker) step(ctx context.Context, domain string) Step {
	if s, ok := w.steps[domain]; ok {
		return s
	}
	s := Step{Domain: domain, Name: "_dmarc." + domain}
	if len(s.Name) > maxDomain { // such a name cannot be
		s.Status = dns.Absent
	} else {
		s.ask(ctx, w.r)
	}
	w.steps[domain] = s
	return s
}

func (s *Step) ask(ctx context.Context, r Resolver) {
	a := r.TXT(ctx, s.Name)
	s.Status, s.Security, s.Err = a.Status, a.Security, a.Err
	if a.Status != dns.Found {
		return
	}
	n := 0
	for _, text := range a.Records {
		switch {
		case IsRecord(text):
			if n++; n > 1 {
				continue
			}
			if r, err := ParseRecord(text); err == nil {
				s.Record = &r
			}
		case resembles(text):
			s.Findings = append(s.Findings, Finding{FindVersion, s.Name, clip(text, maxShown)})
		case len(s.Findings) < maxTags:
			s.Findings = append(s.Findings, Finding{FindOther, s.Name, clip(text, maxShown)})
		}
	}
	if n > 1 {
		s.Record = nil
		s.Findings = append(s.Findings, Finding{FindSeveral, s.Name, fmt.Sprint(n)})
	}
}

// exists asks whether a domain is there: only NXDOMAIN says that it is not
// (RFC 9989 sections 3.2.13 and A.4, RFC 8020), whatever record was asked for.
func (w *walker) exists(ctx context.Context, domain string) dns.Status {
	if s, ok := w.exist[domain]; ok {
		return s
	}
	if s, ok := w.steps[domain]; ok && (s.Status == dns.Found || s.Status == dns.Empty) {
		return dns.Empty // there is something below it
	}
	s := w.r.A(ctx, domain).Status
	if w.exist == nil {
		w.exist = make(map[string]dns.Status)
	}
	w.exist[domain] = s
	return s
}

// failures names what DNS did not answer.
func (w *Walk) failures() []Finding {
	var out []Finding
	for _, s := range w.Steps {
		if !s.Status.Known() {
			out = append(out, Finding{FindDNS, s.Name, strings.TrimSpace(s.Status.String() + " " + errText(s.Err))})
		}
	}
	return out
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return clip(err.Error(), maxShown)
}
