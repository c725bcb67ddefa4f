package spf

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/postroad/postroad/dns"
)

// The lengths of RFC 7208 section 3.4: so much fits into an answer of 512
// octets, with the name.
const guideline = 450

// maxFindings bounds what one walk says; a record of 64 KB can have a fault in
// every term.
const maxFindings = 500

// Lint says what is wrong with the text of a record, or could be better. It asks
// nobody. Faults that make it a permerror come too, all of them. What it gives is
// shared: do not change it.
func (r *Record) Lint() []Finding {
	r.once.Do(func() { r.found = r.lint() })
	return r.found
}

func (r *Record) lint() (found []Finding) {
	if !IsRecord(r.Text) { // the zero value; Parse gives none
		return []Finding{{Reason: NotARecord}}
	}
	say := func(reason Reason, term string, count int) {
		found = append(found, Finding{Reason: reason, Term: term, Count: count})
	}
	if len(r.Text) > guideline {
		say(LongRecord, "", len(r.Text))
	}
	if strings.HasSuffix(r.Text, " ") {
		say(TrailingSpace, "", 0)
	}
	if strings.Contains(strings.TrimRight(r.Text, " "), "  ") {
		say(RepeatedSpace, "", 0)
	}
	if hasUpper(r.Text[:len(version)]) {
		say(UpperCase, r.Text[:len(version)], 0)
	}
	seen := make(map[string]bool)
	for i := range r.Terms {
		t := &r.Terms[i]
		if t.Kind == Invalid {
			say(t.Reason, clip(t.Text), 0)
			continue
		}
		if r.all >= 0 && i > r.all && t.Kind.Mechanism() {
			say(TermAfterAll, clip(t.Text), 0)
		}
		if plain := t.String(); t.Kind.Mechanism() {
			if seen[plain] {
				say(RepeatedTerm, clip(t.Text), 0)
			}
			seen[plain] = true
		}
		t.lint(func(reason Reason) { say(reason, clip(t.Text), 0) })
	}
	switch {
	case r.all < 0 && r.redirect < 0:
		say(OpenEnd, "", 0)
	case r.all >= 0 && r.redirect >= 0:
		say(RedirectIgnored, clip(r.Terms[r.redirect].Text), 0)
	}
	return found
}

// lint looks at one term.
func (t *Term) lint(say func(Reason)) {
	name := strings.TrimLeft(t.Text, "+-~?")
	if end := strings.IndexAny(name, ":/="); end >= 0 {
		name = name[:end]
	}
	if hasUpper(name) {
		say(UpperCase)
	}
	switch t.Kind {
	case All:
		switch t.Qualifier {
		case '+':
			say(PassAll)
		case '?':
			say(NeutralAll)
		}
	case PTR:
		say(PTRUsed)
	case IP4, IP6:
		t.lintPrefix(say)
	case Modifier:
		say(UnknownModifier)
		return
	case Invalid, Include, A, MX, Exists, Redirect, Exp:
	}
	if t.Domain.letters != 0 && t.Kind != Exp {
		say(MacroUsed)
	}
	if t.Domain.uses("p") {
		say(PTRUsed)
	}
	if t.Domain.uses("sl") && t.Kind != Exp {
		say(SenderMacro)
	}
	if t.Kind == A || t.Kind == MX {
		if t.Bits4 < widest4 || t.Bits6 < widest6 {
			say(WidePrefix)
		}
	}
}

// The widest networks that one sender may plausibly have.
const (
	widest4 = 16
	widest6 = 32
)

func (t *Term) lintPrefix(say func(Reason)) {
	addr := t.Prefix.Addr()
	if t.Prefix.Masked().Addr() != addr {
		say(HostBits)
	}
	widest := widest4
	if t.Kind == IP6 {
		widest = widest6
	}
	if t.Prefix.Bits() < widest {
		say(WidePrefix)
	}
	switch {
	case addr.Is4In6():
		say(MappedAddress)
	case isPrivate(addr):
		say(PrivateAddress)
	}
}

// isPrivate tells addresses that no client of the public network has (RFC 6890,
// RFC 5737, RFC 3849, RFC 6598).
func isPrivate(addr netip.Addr) bool {
	if addr.IsPrivate() || addr.IsLoopback() || addr.IsLinkLocalUnicast() || addr.IsMulticast() || addr.IsUnspecified() {
		return !addr.IsUnspecified() // 0.0.0.0/0 is wide, not private
	}
	for _, p := range [...]netip.Prefix{
		netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2}), 24),
		netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, 100}), 24),
		netip.PrefixFrom(netip.AddrFrom4([4]byte{203, 0, 113}), 24),
		netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64}), 10),
		netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8}), 32),
	} {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

func hasUpper(s string) bool {
	for i := range len(s) {
		if lower(s[i]) != s[i] {
			return true
		}
	}
	return false
}

// visit remembers a record for what Lint says of it, once for each name.
func (e *evaluation) visit(r *Record, domain string) {
	v := visited{r, domain}
	if !slices.Contains(e.visited, v) {
		e.visited = append(e.visited, v)
	}
}

// visited is a record and the name that it was found at.
type visited struct {
	record *Record
	domain string
}

// lintAnswer writes down what is wrong with the TXT records of a name.
func (e *evaluation) lintAnswer(domain string, a *dns.Answer[string]) {
	if e.walk == nil {
		return
	}
	size, records := len(domain), 0
	for _, text := range a.Records {
		size += len(text)
		if IsRecord(text) {
			records++
		} else if looksLikeRecord(text) {
			e.find(Finding{Reason: NearRecord, Domain: domain, Term: clip(text)})
		}
	}
	if records > 0 && size > guideline {
		e.find(Finding{Reason: LongAnswer, Domain: domain, Count: size})
	}
	if records > 1 {
		e.find(Finding{Reason: SeveralRecords, Domain: domain, Count: records})
	}
	if records > 0 && a.Canonical != "" && !strings.EqualFold(a.Canonical, domain) {
		e.find(Finding{Reason: AliasedName, Domain: domain, Name: a.Canonical})
	}
}

// looksLikeRecord tells what somebody meant as a record and what nobody reads as
// one: "v=spf1;", " v=spf1", "spf1 ", "v=spf 1", "v=spf2", quotation marks.
// "spf2.0/" is Sender ID (RFC 4406), which is something else.
func looksLikeRecord(text string) bool {
	text = text[:min(len(text), 32)]
	plain := strings.Map(func(r rune) rune {
		if r <= ' ' || r == '"' || r == '\'' || r == '=' || r == ':' || r > '~' {
			return -1
		}
		return r
	}, strings.ToLower(text))
	return strings.HasPrefix(plain, "vspf") || strings.HasPrefix(plain, "spf1")
}

// close ends a walk: what only shows when the whole tree is there.
func (w *Walk) close(e *evaluation) {
	w.AllLookups = e.asked
	switch {
	case e.asked > maxLookups-3 && e.asked <= maxLookups:
		e.find(Finding{Reason: ManyLookups, Domain: w.Domain, Count: e.asked})
	case e.asked > maxLookups && w.Reason != TooManyLookups:
		e.find(Finding{Reason: BeyondLimit, Domain: w.Domain, Count: e.asked})
	}
	if w.Reason == TooManyVoids {
		e.find(Finding{Reason: TooManyVoids, Domain: w.Record, Term: w.Term, Count: e.voids})
	}
	n := len(w.Findings)
	for _, v := range e.visited {
		n += len(v.record.Lint())
	}
	w.Findings = slices.Grow(w.Findings, min(n, maxFindings)-len(w.Findings))
	for _, v := range e.visited {
		for _, f := range v.record.Lint() {
			if len(w.Findings) == maxFindings {
				return
			}
			f.Domain = v.domain
			w.Findings = append(w.Findings, f)
		}
	}
}
