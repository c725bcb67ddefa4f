package tlspolicy

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/postroad/postroad/dns"
)

// Demand is what the operator of the relay wants of a destination, whatever its
// domain publishes.
type Demand uint8

// The demands, each stronger than the one before.
const (
	DemandNothing  Demand = iota // what the domain publishes decides
	DemandTLS                    // encrypted, with no matter whom
	DemandVerified               // the host proves its name: by DANE where it has records, else by a certificate
	DemandDANE                   // by DANE only (RFC 7672 section 6)
)

// Rule is what is wanted of a session beside what the domain publishes.
type Rule struct {
	Demand Demand

	// Names are what a certificate must prove one of under DemandVerified, in
	// place of the host's own name: "*.mail.protection.outlook.com".
	Names []string

	// SignedMXOnly leaves DANE aside for hosts that an unsigned MX answer named
	// (RFC 7672 section 2.2.1 leaves that to us). Without it their TLSA records
	// are kept to as long as nothing else says which hosts are the right ones.
	SignedMXOnly bool

	// RequireTLS: the message came with REQUIRETLS (RFC 8689 section 2). Not to be
	// set for a message to the empty return path, which must not be lost for want
	// of it (sections 4.2.1 and 5).
	RequireTLS bool

	// Relaxed: the message has "TLS-Required: No" (RFC 8689 section 3): its sender
	// prefers that it arrives over what the domain publishes. It loses against
	// RequireTLS, and does not lift a Demand.
	Relaxed bool
}

// Level is what a session must prove.
type Level uint8

// The levels. The zero value is the weakest.
const (
	LevelOpportunistic Level = iota // TLS where it can be had, with no matter whom; else in clear
	LevelEncrypted                  // TLS with no matter whom
	LevelPKIX                       // TLS with a certificate for one of Names from a trusted authority
	LevelDANE                       // TLS with a certificate that Records prove
	LevelUnusable                   // no session with this host: Failure says why
)

// String gives the word used in logs and JSON.
func (l Level) String() string {
	switch l {
	case LevelEncrypted:
		return "encrypted"
	case LevelPKIX:
		return "pkix"
	case LevelDANE:
		return "dane"
	case LevelUnusable:
		return "unusable"
	case LevelOpportunistic:
	}
	return "opportunistic"
}

// Applied is a policy that a session was under, as a TLS report names it (RFC
// 8460 section 4.4).
type Applied struct {
	Type   string   // "tlsa", "sts", "no-policy-found"
	Domain string   // policy-domain
	Text   []string // policy-string: the TLSA records, or the lines of the MTA-STS policy
	Hosts  []string // mx-host: the patterns of an MTA-STS policy
}

// Requirement is what a session with one host must prove, and why.
type Requirement struct {
	Level   Level
	Host    string     // of the session
	SNI     string     // what the client asks for in the handshake (RFC 7672 section 8.1, RFC 8461 section 7.1)
	Names   []string   // LevelPKIX: one of them must be in the certificate; LevelDANE: under DANE-TA
	Records []dns.TLSA // LevelDANE

	// MXProven: DNSSEC, an MTA-STS policy or the operator says that this host takes
	// mail for the domain. Without it a session that proves the host proves no more
	// than the host: whoever forged the MX answer may have named his own.
	MXProven bool

	// Testing, with LevelOpportunistic and LevelEncrypted: the domain has an
	// MTA-STS policy in testing mode. The certificate is looked at as for LevelPKIX,
	// what is wrong is told, and mail goes all the same (RFC 8461 section 5).
	Testing bool

	// NeedRequireTLS: the server must offer REQUIRETLS after the handshake, and
	// MAIL FROM must have it (RFC 8689 section 4.2.1).
	NeedRequireTLS bool

	Reason  string   // a sentence part: why it is this level
	Failure *Failure // of LevelUnusable: why; under Testing: what would make the host unusable
	Applied []Applied
}

// Plan says what a session with a host must prove, of what DNS and the domain
// say and what the rule wants. It is pure.
//
// DANE comes before MTA-STS. Where a host has usable records they alone decide,
// since MTA-STS is not to interfere; where DANE fails, MTA-STS does not rescue
// the host (RFC 8461 section 2). Only records that none can use leave room for
// MTA-STS to want more than the TLS without proof that they stand for (RFC 7672
// section 2.2).
//
// All that is said of hosts that are known for sure. Whoever forges an unsigned
// MX answer can name a host of his own with TLSA records of his own, so there
// DANE is never in the place of something that knows the domain's hosts: see
// aside.
//
// A caller that switches DANE off for a destination (RFC 7672 section 9.1) gives
// the zero DANE, one that switches MTA-STS off the zero STS.
func Plan(h Host, d DANE, sts STS, rule Rule) Requirement {
	r := Requirement{Host: h.Name, SNI: serverName(h.Name), Reason: "no policy"}
	switch sts.State { // a session in clear should not look as if all were well
	case Unknown:
		r.Reason = "whether there is an MTA-STS policy is not known"
	case Broken:
		r.Reason = "no MTA-STS policy could be had by the record"
	}
	if d.Reason != "" {
		r.Reason += ": " + d.Reason
	}
	if rule.RequireTLS {
		rule.Relaxed = false // RFC 8689 section 4.1
		rule.Demand = max(rule.Demand, DemandVerified)
		r.NeedRequireTLS = true
	}
	if rule.Relaxed {
		d, sts = DANE{Reason: "the message says TLS-Required: No"}, STS{}
		r.Reason = d.Reason
	}
	if why := aside(h, sts, rule); why != "" {
		d = DANE{State: DANEInsecure, Reason: "the mail exchangers of " + h.Domain + " are not signed" + why}
	}
	r.MXProven = h.proven() || active(sts) && sts.Policy.Matches(h.Name)
	r.apply(d, sts, h.Domain)
	switch d.State {
	case DANEFailed:
		return r.unusable(d.Failure)
	case DANEUsable:
		r.Level, r.SNI, r.Names, r.Records, r.Reason = LevelDANE, d.Base, d.Names, d.Records, d.Reason
	case DANEUnusable:
		r.Level, r.SNI, r.Reason = LevelEncrypted, d.Base, d.Reason
	}
	if rule.Demand == DemandDANE && r.Level != LevelDANE {
		return r.unusable(&Failure{Result: DANERequired, Code: "dane-required",
			Reason: "DANE is demanded, and " + h.Name + " has none that can be used: " + d.Reason})
	}
	if r.Level != LevelDANE {
		r.applySTS(h, sts)
	}
	if r.Level == LevelUnusable {
		return r
	}
	if rule.RequireTLS && !r.MXProven {
		return r.unusable(&Failure{Result: ValidationFailure, Code: "requiretls-mx",
			Reason: "the message demands TLS (REQUIRETLS), and neither DNSSEC nor MTA-STS proves that " + h.Name +
				" takes mail for " + h.Domain})
	}
	return r.demand(rule)
}

// aside says why DANE is left aside where an MX answer is not signed; "" where
// it is not. An enforced policy and an operator's names say which hosts are the
// right ones, which DANE of a host that a forger may have named does not; a
// demand for DANE wants all of it (RFC 7672 section 2.2.1).
func aside(h Host, sts STS, rule Rule) string {
	switch {
	case h.Given || h.MX != dns.Insecure:
		return ""
	case active(sts) && sts.Policy.Mode == ModeEnforce:
		return ", and its MTA-STS policy says which they are"
	case rule.Demand == DemandVerified && len(rule.Names) > 0:
		return ", and a name is demanded"
	case rule.Demand == DemandDANE:
		return ", and DANE is demanded"
	case rule.SignedMXOnly:
		return ", and DANE is wanted for signed ones only"
	}
	return ""
}

// serverName is a host as a client may ask for it: never in U-labels (RFC 6066
// section 3).
func serverName(host string) string {
	if name, ok := hostName(host); ok && !strings.EqualFold(name, host) {
		return name
	}
	return host
}

// active reports whether there is a policy that asks something of senders.
func active(sts STS) bool {
	return sts.State == Published && (sts.Policy.Mode == ModeEnforce || sts.Policy.Mode == ModeTesting)
}

// applySTS raises the level to what the MTA-STS policy wants (RFC 8461 sections
// 4 and 5). MTA-STS proves the host's own name, and no other.
func (r *Requirement) applySTS(h Host, sts STS) {
	if !active(sts) {
		return
	}
	if !sts.Policy.Matches(h.Name) {
		r.Failure = &Failure{Result: ValidationFailure, Code: "mx-not-in-policy",
			Reason: fmt.Sprintf("the MTA-STS policy of %s has no mx for %s", sts.Domain, h.Name)}
	}
	r.SNI, r.Names = serverName(h.Name), []string{h.Name}
	switch {
	case sts.Policy.Mode == ModeTesting:
		r.Testing = true
		r.Reason = "the MTA-STS policy of " + sts.Domain + " is in testing mode"
	case r.Failure != nil:
		r.Level, r.Reason = LevelUnusable, r.Failure.Reason
	default:
		r.Level, r.Reason = LevelPKIX, "the MTA-STS policy of "+sts.Domain+" is enforced"
	}
}

// demand raises the level to what the rule wants.
func (r Requirement) demand(rule Rule) Requirement {
	switch {
	case rule.Demand == DemandTLS && r.Level < LevelEncrypted:
		r.Level, r.Reason = LevelEncrypted, "TLS is demanded"
	case rule.Demand >= DemandVerified && r.Level < LevelPKIX:
		r.Level, r.Reason, r.Names = LevelPKIX, "a verified host is demanded", []string{r.Host}
		r.Testing, r.Failure = false, nil
		switch {
		case rule.RequireTLS && len(rule.Names) > 0 && !slices.ContainsFunc(rule.Names, r.isHost):
			return r.unusable(&Failure{Result: ValidationFailure, Code: "requiretls-name", Reason: "the message demands that " +
				r.Host + " proves its own name (REQUIRETLS), and another is demanded of it"})
		case rule.RequireTLS: // the host's own name and no other, RFC 8689 section 4.2.1
			r.Reason = "the message demands TLS (REQUIRETLS)"
		case len(rule.Names) > 0:
			r.Names, r.MXProven = rule.Names, true
		}
	}
	return r
}

// isHost reports whether a name of a rule, which may be a wildcard, is the host's.
func (r Requirement) isHost(pattern string) bool {
	name, ok := hostName(r.Host)
	return ok && matchName(strings.ToLower(pattern), name)
}

func (r Requirement) unusable(f *Failure) Requirement {
	if f == nil {
		f = &Failure{Result: ValidationFailure, Code: "unusable", Reason: r.Host + " must not be used"}
	}
	r.Level, r.Failure, r.Testing, r.Reason = LevelUnusable, f, false, f.Reason
	return r
}

// apply notes the policies that a report must name.
func (r *Requirement) apply(d DANE, sts STS, domain string) {
	if d.State == DANEUsable || d.State == DANEUnusable || d.State == DANEFailed {
		a := Applied{Type: "tlsa", Domain: domain}
		for _, t := range d.Records {
			data := hex.EncodeToString(t.Data)
			a.Text = append(a.Text, fmt.Sprintf("%d %d %d %s", t.Usage, t.Selector, t.MatchingType, data))
		}
		r.Applied = append(r.Applied, a)
	}
	if active(sts) || sts.Failure != nil && sts.State != Unknown {
		a := Applied{Type: "sts", Domain: domain}
		if sts.State == Published {
			a.Text, a.Hosts = sts.Policy.Lines(), slices.Clone(sts.Policy.MX)
		}
		r.Applied = append(r.Applied, a)
	}
	if len(r.Applied) == 0 {
		r.Applied = []Applied{{Type: "no-policy-found", Domain: domain}}
	}
}
