package spf

import (
	"context"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postroad/postroad/dns"
	"github.com/postroad/postroad/mailauth"
)

// evaluation is one check_host() with all that it includes and redirects to
// (RFC 7208 section 4). With a walk it writes down what it sees and goes on
// behind the verdict.
type evaluation struct {
	checker *Checker
	ctx     context.Context //nolint:containedctx // lives as long as the one call that has it
	time    time.Time
	ip      netip.Addr // not valid in a survey
	v4, v6  bool       // which addresses are asked for
	survey  bool

	local, domain, sender, helo string
	foreign                     bool // the local part is beyond ASCII

	lookups, voids int // counted for the verdict
	asked          int // look-ups of the whole tree
	beyond         int // above 0: the verdict of this record is there, the rest is for the tree

	ptrAsked bool
	ptrVoid  bool     // the address has no name
	ptrPaid  bool     // counted for the verdict, by "ptr" or by %{p}
	ptrNames []string // validated names of the address

	explanation string
	walk        *Walk
	path        []string // the names whose records are being evaluated; for the tree only
	visited     []visited
}

// outcome is what a record or a term came to. The zero value is no decision.
type outcome struct {
	result mailauth.Result
	reason Reason
	domain string // whose record the term is in
	term   *Term
	err    error
}

// at adds the place of an error, unless it is known from further down.
func (o outcome) at(domain string, t *Term) outcome {
	if o.domain == "" {
		o.domain, o.term = domain, t
	}
	return o
}

func permanent(reason Reason) outcome { return outcome{result: mailauth.PermError, reason: reason} }

// temporary is a look-up that failed, or one that there is no time for.
func (e *evaluation) temporary(name string, status dns.Status, err error) outcome {
	o := outcome{result: mailauth.TempError, reason: DNSFailed, err: err}
	switch {
	case e.ctx.Err() != nil:
		o.reason = OutOfTime
		if err == nil {
			o.err = e.ctx.Err()
		}
	case status == dns.Bogus:
		o.reason = DNSBogus
	}
	e.find(Finding{Reason: o.reason, Domain: e.here(), Name: name})
	return o
}

// policy evaluates the record of a name. included says that it is an include's,
// whose explanation nobody asks for (RFC 7208 section 6.2).
func (e *evaluation) policy(domain string, p *Policy, included bool) outcome {
	domain = strings.TrimSuffix(domain, ".")
	if p != nil {
		e.path = append(e.path, domain)
		defer func() { e.path = e.path[:len(e.path)-1] }()
	}
	r, out := e.fetch(domain, p)
	if r != nil {
		out = e.record(r, domain, p, included)
	}
	if p != nil {
		p.Result, p.Reason = out.result, out.reason
	}
	return out
}

// fetch gets the one record of a name, or says what stands for it (RFC 7208
// sections 4.3 to 4.6).
func (e *evaluation) fetch(domain string, p *Policy) (*Record, outcome) {
	if !isDomain(domain) {
		return nil, outcome{result: mailauth.None, reason: BadDomain}
	}
	if err := e.ctx.Err(); err != nil {
		return nil, e.temporary(domain, dns.Failed, err)
	}
	a := e.checker.o.Resolver.TXT(e.ctx, presented(domain))
	if p != nil {
		q := ask(domain, "TXT", &a, asTexts, textSize)
		p.Question = &q
	}
	switch a.Status {
	case dns.Found, dns.Empty:
	case dns.Absent:
		return nil, outcome{result: mailauth.None, reason: NoDomain}
	case dns.Failed, dns.Bogus:
		return nil, e.temporary(domain, a.Status, a.Err)
	}
	text, n := "", 0
	for _, record := range a.Records {
		if len(record) <= maxRecord && IsRecord(record) {
			text = record
			n++
			if p != nil {
				p.Texts = append(p.Texts, record)
			}
		}
	}
	e.lintAnswer(domain, &a)
	switch {
	case n == 0:
		return nil, outcome{result: mailauth.None, reason: NoRecord}
	case n > 1:
		return nil, outcome{result: mailauth.PermError, reason: SeveralRecords, domain: domain}
	}
	r := e.checker.record.get(text)
	if p != nil {
		p.open(r)
		e.visit(r, domain)
	}
	if r.err != nil {
		o := outcome{result: mailauth.PermError, reason: r.err.Reason, err: r.err, domain: domain}
		for i := range r.Terms {
			if r.Terms[i].Offset == r.err.Offset {
				o.term = &r.Terms[i]
			}
		}
		return nil, o
	}
	return r, outcome{}
}

// record goes through the terms (RFC 7208 sections 4.6.2 to 4.7). Behind the
// verdict it goes on for the tree only.
func (e *evaluation) record(r *Record, domain string, p *Policy, included bool) (out outcome) {
	outside := e.beyond
	defer func() { e.beyond = outside }()
	last := len(r.Terms)
	if r.all >= 0 {
		last = r.all + 1 // what stands behind is ignored (section 5.1)
	}
	for i := range r.Terms[:last] {
		t := &r.Terms[i]
		if !t.Kind.Mechanism() {
			continue
		}
		if (t.Kind == IP4 || t.Kind == IP6) && !t.Prefix.Contains(e.ip) {
			// as directive would say, in less time: these are nearly all terms that there are
			if s := p.step(i); s != nil {
				s.Outcome = NoMatch
				s.count(e, e.lookups, e.voids, e.asked)
			}
			continue
		}
		if got := e.directive(t, domain, p.step(i)); got.result != "" && out.result == "" {
			out = got
			if p == nil {
				break
			}
			e.beyond++
		}
	}
	if r.redirect >= 0 && r.all < 0 && (out.result == "" || p != nil) {
		got := e.redirect(&r.Terms[r.redirect], domain, p.step(r.redirect), included)
		if out.result == "" {
			return got
		}
	}
	e.beyond = outside
	if out.result == "" {
		return outcome{result: mailauth.Neutral, reason: Unmatched, domain: domain}
	}
	if r.exp >= 0 && !included && e.beyond == 0 && out.result == mailauth.Fail {
		e.explain(&r.Terms[r.exp], domain, p.step(r.exp))
	}
	return out
}

// qualified gives the result of a qualifier (RFC 7208 section 4.6.2).
func qualified(qualifier byte) mailauth.Result {
	switch qualifier {
	case '-':
		return mailauth.Fail
	case '~':
		return mailauth.SoftFail
	case '?':
		return mailauth.Neutral
	}
	return mailauth.Pass
}

// directive evaluates one mechanism.
func (e *evaluation) directive(t *Term, domain string, s *Step) outcome {
	lookups, voids, asked := e.lookups, e.voids, e.asked
	match, out := e.mechanism(t, domain, s)
	switch {
	case out.result != "":
		out = out.at(domain, t)
	case match:
		out = outcome{result: qualified(t.Qualifier), reason: Matched, domain: domain, term: t}
	}
	if s != nil {
		e.done(s, match, out)
		s.count(e, lookups, voids, asked)
	}
	return out
}

// done writes down what came of a term.
func (e *evaluation) done(s *Step, match bool, out outcome) {
	switch {
	case s.Outcome == Unknown:
	case match:
		s.Outcome = Match
	case out.result != "":
		s.Outcome, s.Reason = Broken, out.reason
	default:
		s.Outcome = NoMatch
	}
}

// count writes down what a term used up; the numbers are those before it.
func (s *Step) count(e *evaluation, lookups, voids, asked int) {
	s.Beyond = e.beyond > 0
	if s.Beyond {
		s.Lookups = uint8(e.asked - asked) //nolint:gosec // at most maxWalked
		return
	}
	s.Lookups, s.Voids, s.Total = uint8(e.lookups-lookups), uint8(e.voids-voids), uint8(e.lookups) //nolint:gosec // ten
}

// mechanism reports whether the mechanism matches, or what it ends the check with.
func (e *evaluation) mechanism(t *Term, domain string, s *Step) (match bool, out outcome) {
	switch t.Kind {
	case All:
		return true, outcome{}
	case IP4, IP6:
		return t.Prefix.Contains(e.ip), outcome{}
	case Include, A, MX, PTR, Exists:
	case Invalid, Redirect, Exp, Modifier:
		return false, outcome{}
	}
	if out = e.count(s); out.result != "" {
		return false, out
	}
	name, ok, out := e.target(t, domain, s)
	if out.result != "" || !ok {
		return false, out
	}
	switch t.Kind {
	case Include:
		return e.include(name, s)
	case A:
		return e.a(t, name, s)
	case MX:
		return e.mx(t, name, s)
	case PTR:
		return e.ptr(name, s)
	case Exists:
		return e.exists(name, s)
	case Invalid, All, IP4, IP6, Redirect, Exp, Modifier:
	}
	return false, outcome{}
}

// count counts a term that asks DNS (RFC 7208 section 4.6.4), and ends the check
// when the time is over.
func (e *evaluation) count(s *Step) outcome {
	e.asked++
	if err := e.ctx.Err(); err != nil {
		return e.temporary("", dns.Failed, err)
	}
	if e.beyond > 0 {
		if e.asked > maxWalked {
			e.asked--
			e.find(Finding{Reason: WalkCut, Count: maxWalked})
			return outcome{result: mailauth.PermError, reason: WalkCut}
		}
		return outcome{}
	}
	if e.lookups >= maxLookups {
		e.find(Finding{Reason: TooManyLookups, Domain: e.here(), Term: s.text()})
		return permanent(TooManyLookups)
	}
	e.lookups++
	return outcome{}
}

// void counts a term that DNS had nothing for (RFC 7208 section 4.6.4).
func (e *evaluation) void(name string, s *Step) outcome {
	if s != nil {
		if n := len(s.Questions); n > 0 {
			s.Questions[n-1].Void = true
		}
		e.find(Finding{Reason: VoidLookup, Domain: e.here(), Term: s.Term.Text, Name: name})
	}
	if e.beyond > 0 {
		return outcome{}
	}
	if e.voids++; e.voids > maxVoids {
		return permanent(TooManyVoids)
	}
	return outcome{}
}

// target gives the name that a term asks for; ok is false where the term cannot
// match.
func (e *evaluation) target(t *Term, domain string, s *Step) (name string, ok bool, out outcome) {
	if !t.HasDomain {
		if s != nil {
			s.Target = domain
		}
		return domain, true, out
	}
	if e.survey && t.Domain.uses("slohipv") {
		s.Outcome = Unknown
		e.find(Finding{Reason: NeedsMessage, Domain: domain, Term: t.Text})
		return "", false, out
	}
	if e.foreign && t.Domain.uses("sl") { // RFC 8616 section 4
		return "", false, out
	}
	if t.Domain.uses("p") {
		if out = e.payPTR(s); out.result != "" {
			return "", false, out
		}
	}
	name = e.expandName(&t.Domain, domain, s)
	if s != nil {
		s.Target = name
	}
	if !isName(name) && t.Kind != Include && t.Kind != Redirect {
		// DNS cannot have it, so it does not exist; RFC 7208 section 4.8 leaves it open
		e.find(Finding{Reason: BadName, Domain: domain, Term: t.Text, Name: clip(name)})
		return "", false, e.void(name, nil)
	}
	return name, true, out
}

// payPTR asks for the names that %{p} needs. The PTR records count like those of
// "ptr" (RFC 7208 section 4.6.4), once.
func (e *evaluation) payPTR(s *Step) (out outcome) {
	if !e.ptrPaid && (e.beyond == 0 || !e.ptrAsked) {
		if out = e.count(s); out.result != "" {
			return out
		}
		e.ptrPaid = e.beyond == 0
	}
	e.reverse(s)
	return out
}

// expandName expands a domain-spec and cuts it from the left to what a name may
// be long (RFC 7208 section 7.3).
func (e *evaluation) expandName(m *Macro, domain string, s *Step) string {
	if m.letters == 0 && len(m.parts) == 1 && len(m.text) <= maxName {
		return strings.TrimSuffix(m.text, ".")
	}
	var room [2 * maxName]byte
	b, ok := m.expand(room[:0], maxRecord, e.value(domain))
	if !ok {
		return "" // longer than anybody means it; no name at all
	}
	name := strings.TrimSuffix(string(b), ".")
	if len(name) <= maxName {
		return name
	}
	e.find(Finding{Reason: LongName, Domain: domain, Term: s.text(), Name: clip(name), Count: len(name)})
	for len(name) > maxName {
		dot := strings.IndexByte(name, '.')
		if dot < 0 {
			break
		}
		name = name[dot+1:]
	}
	return name
}

// value gives what the macro letters stand for (RFC 7208 section 7.2).
func (e *evaluation) value(domain string) func(letter byte) string {
	return func(letter byte) string {
		switch letter {
		case 's':
			return e.sender
		case 'l':
			return e.local
		case 'o':
			return e.domain
		case 'd':
			return domain
		case 'i':
			return dotted(e.ip)
		case 'p':
			return e.validated(domain)
		case 'v':
			if e.ip.Is4() {
				return "in-addr"
			}
			return "ip6"
		case 'h':
			return e.helo
		case 'c':
			return e.ip.String()
		case 'r':
			return e.checker.o.Receiver
		case 't':
			at := e.time
			if at.IsZero() {
				at = time.Now()
			}
			return strconv.FormatInt(at.Unix(), 10)
		}
		return ""
	}
}

// dotted gives an address as %{i} does: IPv6 as 32 digits with dots between. The
// digits are in upper case as the conformance suite has them; DNS does not mind.
func dotted(ip netip.Addr) string {
	if ip.Is4() {
		return ip.String()
	}
	const hex = "0123456789ABCDEF"
	b := make([]byte, 0, 63)
	for _, octet := range ip.As16() {
		if len(b) > 0 {
			b = append(b, '.')
		}
		b = append(b, hex[octet>>4], '.', hex[octet&15])
	}
	return string(b)
}

// here is the name whose record is being evaluated; for the tree only.
func (e *evaluation) here() string {
	if len(e.path) == 0 {
		return ""
	}
	return e.path[len(e.path)-1]
}

func (s *Step) text() string {
	if s == nil {
		return ""
	}
	return s.Term.Text
}

// find writes a finding down, if there is a tree. What is looked at twice is found
// once.
func (e *evaluation) find(f Finding) {
	if e.walk != nil && len(e.walk.Findings) < maxFindings && !slices.Contains(e.walk.Findings, f) {
		e.walk.Findings = append(e.walk.Findings, f)
	}
}
