package spf

import (
	"net/netip"
	"strings"

	"github.com/postroad/postroad/dns"
	"github.com/postroad/postroad/mailauth"
)

// include evaluates another record and matches if that passes (RFC 7208 section
// 5.2).
func (e *evaluation) include(name string, s *Step) (bool, outcome) {
	out := e.descend(name, s, true)
	switch out.result {
	case mailauth.Pass:
		return true, outcome{}
	case mailauth.TempError, mailauth.PermError:
		return false, out
	case mailauth.None:
		e.find(Finding{Reason: IncludeWithoutRecord, Domain: e.here(), Term: s.text(), Name: clip(name)})
		return false, permanent(IncludeWithoutRecord)
	}
	return false, outcome{}
}

// redirect evaluates another record in place of this one (RFC 7208 section 6.1).
func (e *evaluation) redirect(t *Term, domain string, s *Step, included bool) outcome {
	lookups, voids, asked := e.lookups, e.voids, e.asked
	out := e.count(s)
	name, ok := "", false
	if out.result == "" {
		name, ok, out = e.target(t, domain, s)
	}
	switch {
	case out.result != "":
	case !ok: // as if it were not there
		out = outcome{result: mailauth.Neutral, reason: Unmatched, domain: domain}
	default:
		if out = e.descend(name, s, included); out.result == mailauth.None {
			e.find(Finding{Reason: RedirectWithoutRecord, Domain: domain, Term: t.Text, Name: clip(name)})
			out = permanent(RedirectWithoutRecord)
		}
	}
	out = out.at(domain, t)
	if s != nil {
		told := out
		if out.result != mailauth.TempError && out.result != mailauth.PermError {
			told = outcome{}
		}
		e.done(s, ok && told.result == "", told)
		s.count(e, lookups, voids, asked)
	}
	return out
}

// descend evaluates the record of another name. A loop is ended by the ten
// look-ups; behind the verdict it is not followed.
func (e *evaluation) descend(name string, s *Step, included bool) outcome {
	if s == nil {
		return e.policy(name, nil, included)
	}
	s.Policy = &Policy{Domain: name}
	for _, above := range e.path {
		if strings.EqualFold(above, name) {
			e.find(Finding{Reason: Loop, Domain: e.here(), Term: s.Term.Text, Name: name})
			if e.beyond > 0 {
				return outcome{result: mailauth.PermError, reason: Loop}
			}
			break
		}
	}
	return e.policy(name, s.Policy, included)
}

// hosts asks for the addresses of a name and reports whether the client's is
// among them, or shares as many bits as the term says (RFC 7208 section 5.3).
func (e *evaluation) hosts(name string, bits4, bits6 int, s *Step) (match bool, n int, out outcome) {
	if e.v4 {
		a := e.checker.o.Resolver.A(e.ctx, name)
		if s != nil {
			s.Questions = append(s.Questions, ask(name, "A", &a, asAddrs, addrSize))
		}
		if !a.Status.Known() {
			return false, 0, e.temporary(name, a.Status, a.Err)
		}
		match, n = e.among(a.Records, bits4), len(a.Records)
	}
	if e.v6 {
		a := e.checker.o.Resolver.AAAA(e.ctx, name)
		if s != nil {
			s.Questions = append(s.Questions, ask(name, "AAAA", &a, asAddrs, addrSize))
		}
		if !a.Status.Known() {
			return false, 0, e.temporary(name, a.Status, a.Err)
		}
		match, n = match || e.among(a.Records, bits6), n+len(a.Records)
	}
	return match, n, outcome{}
}

func (e *evaluation) among(addrs []netip.Addr, bits int) bool {
	for _, addr := range addrs {
		if netip.PrefixFrom(addr, bits).Contains(e.ip) {
			return true
		}
	}
	return false
}

// a is RFC 7208 section 5.3.
func (e *evaluation) a(t *Term, name string, s *Step) (bool, outcome) {
	match, n, out := e.hosts(presented(name), t.Bits4, t.Bits6, s)
	if out.result == "" && n == 0 {
		out = e.void(name, s)
	}
	return match, out
}

// mx is RFC 7208 section 5.4. The hosts are asked for one after the other, and
// only until one matches.
func (e *evaluation) mx(t *Term, name string, s *Step) (bool, outcome) {
	a := e.checker.o.Resolver.MX(e.ctx, presented(name))
	if s != nil {
		s.Questions = append(s.Questions, ask(name, "MX", &a, asHosts, mxSize))
	}
	switch {
	case !a.Status.Known():
		return false, e.temporary(name, a.Status, a.Err)
	case len(a.Records) == 0:
		return false, e.void(name, s)
	case len(a.Records) > maxMX:
		e.find(Finding{Reason: TooManyMX, Domain: e.here(), Term: t.Text, Name: name, Count: len(a.Records)})
		return false, permanent(TooManyMX)
	}
	match, addresses := false, 0
	for _, mx := range a.Records {
		if !isName(mx.Host) { // the null MX of RFC 7505, or nonsense
			continue
		}
		if err := e.ctx.Err(); err != nil && !match {
			return false, e.temporary(mx.Host, dns.Failed, err)
		}
		got, n, out := e.hosts(mx.Host, t.Bits4, t.Bits6, s)
		addresses += n
		if out.result != "" && !match {
			return false, out
		}
		if match = match || got; match && s == nil {
			return true, outcome{}
		}
	}
	if addresses > maxMX {
		e.find(Finding{Reason: ManyMXAddresses, Domain: e.here(), Term: t.Text, Name: name, Count: addresses})
	}
	return match, outcome{}
}

// exists is RFC 7208 section 5.7: always A, of an IPv6 client too.
func (e *evaluation) exists(name string, s *Step) (bool, outcome) {
	a := e.checker.o.Resolver.A(e.ctx, presented(name))
	if s != nil {
		s.Questions = append(s.Questions, ask(name, "A", &a, asAddrs, addrSize))
	}
	switch {
	case !a.Status.Known():
		return false, e.temporary(name, a.Status, a.Err)
	case len(a.Records) == 0:
		return false, e.void(name, s)
	}
	return true, outcome{}
}

// ptr is RFC 7208 section 5.5.
func (e *evaluation) ptr(name string, s *Step) (bool, outcome) {
	if e.survey {
		s.Outcome = Unknown
		return false, outcome{}
	}
	names := e.reverse(s)
	void := e.ptrVoid && !e.ptrPaid
	if e.beyond == 0 {
		e.ptrPaid = true
	}
	if void {
		return false, e.void(e.ip.String(), s)
	}
	for _, n := range names {
		if isBelow(n, name) {
			return true, outcome{}
		}
	}
	return false, outcome{}
}

// reverse gives the names of the client that lead back to its address, at most
// ten of them looked at (RFC 7208 sections 4.6.4 and 5.5). It asks once. That a
// name server of the client fails is no matter of the domain: no name then.
func (e *evaluation) reverse(s *Step) []string {
	if e.ptrAsked {
		return e.ptrNames
	}
	e.ptrAsked = true
	a := e.checker.o.Resolver.PTR(e.ctx, e.ip)
	if s != nil {
		s.Questions = append(s.Questions, ask(e.ip.String(), "PTR", &a, asTexts, nameSize))
	}
	e.ptrVoid = a.Status.Known() && len(a.Records) == 0
	names := a.Records
	if len(names) > maxPTR {
		e.find(Finding{Reason: ManyPTRNames, Domain: e.here(), Term: s.text(), Name: e.ip.String(), Count: len(names)})
		names = names[:maxPTR]
	}
	for _, name := range names {
		name = strings.TrimSuffix(name, ".")
		// with an escaped dot in it, "a\.example.com" is not below example.com
		if !isName(name) || strings.IndexByte(name, '\\') >= 0 || e.ctx.Err() != nil {
			continue
		}
		if match, _, out := e.hosts(name, 32, 128, s); match && out.result == "" {
			e.ptrNames = append(e.ptrNames, name)
		}
	}
	return e.ptrNames
}

// validated is the value of %{p}: the domain itself if it is among the names,
// else a name below it, else any (RFC 7208 section 7.3).
func (e *evaluation) validated(domain string) string {
	best := "unknown"
	for _, name := range e.reverse(nil) {
		switch {
		case strings.EqualFold(name, domain):
			return name
		case isBelow(name, domain):
			if !isBelow(best, domain) {
				best = name
			}
		case best == "unknown":
			best = name
		}
	}
	return best
}

// isBelow reports whether a name is the domain or below it.
func isBelow(name, domain string) bool {
	cut := len(name) - len(domain)
	if cut < 0 || cut > 0 && name[cut-1] != '.' {
		return false
	}
	for i := range len(domain) {
		if lower(name[cut+i]) != lower(domain[i]) {
			return false
		}
	}
	return true
}

// explain gets the text that a domain has for clients that fail. Where anything
// is wrong with it there is none (RFC 7208 section 6.2).
func (e *evaluation) explain(t *Term, domain string, s *Step) {
	if e.walk == nil && e.checker.o.Terse || e.survey {
		return
	}
	text, ok := e.explanationOf(t, domain, s)
	e.explanation = text
	if s == nil {
		return
	}
	s.Outcome = Match
	if !ok {
		s.Outcome = Broken
		e.find(Finding{Reason: ExplanationBroken, Domain: domain, Term: t.Text, Name: s.Target})
	}
}

// explanationOf asks for the one text there may be and expands it.
func (e *evaluation) explanationOf(t *Term, domain string, s *Step) (string, bool) {
	name := e.expandName(&t.Domain, domain, s)
	if s != nil {
		s.Target = name
	}
	if e.foreign && t.Domain.uses("sl") || !isName(name) || e.ctx.Err() != nil {
		return "", false
	}
	a := e.checker.o.Resolver.TXT(e.ctx, presented(name))
	if s != nil {
		s.Questions = append(s.Questions, ask(name, "TXT", &a, asTexts, textSize))
	}
	if len(a.Records) != 1 || len(a.Records[0]) > maxRecord {
		return "", false
	}
	if s != nil {
		s.Text = a.Records[0]
	}
	m, reason := parseMacro(a.Records[0], inText)
	if reason != "" || e.foreign && m.uses("sl") {
		return "", false
	}
	b, ok := m.expand(nil, maxExplanation, e.value(domain))
	if !ok || !isText(b) {
		return "", false
	}
	return string(b), true
}

// isText holds an explanation to visible ASCII and spaces: it goes into an SMTP
// reply, and what macros put into it is a stranger's.
func isText(b []byte) bool {
	for _, c := range b {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
}
