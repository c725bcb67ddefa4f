package tlspolicy

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/postroad/postroad/dns"
)

// Host is one host that takes mail for a domain, and how sure it is that it does.
type Host struct {
	Name     string       // as the MX record names it; the domain itself where there is no MX
	Domain   string       // the next-hop domain: of the recipient, or the name of a smart host
	Expanded string       // what Domain is an alias of; "" if it is none
	MX       dns.Security // of the MX answer, also of one that says that there is no MX

	// Given: the operator's own settings name the host, and no MX question was
	// asked. Nobody can forge which host it is; MX does not count.
	Given bool

	Port uint16 // of the session, which is where TLSA records are looked for; 0 is 25
}

// proven reports whether it is sure that the host takes mail for the domain.
func (h Host) proven() bool { return h.Given || h.MX == dns.Secure }

// What Hosts finds that is no host.
var (
	ErrNullMX   = errors.New("takes no mail: null MX (RFC 7505)")
	ErrNoDomain = errors.New("no such domain")
)

// Hosts gives the hosts of a domain in the order of the answer to its MX
// question; without MX records the domain itself (RFC 5321 section 5.1). The
// error is ErrNullMX, ErrNoDomain, or a *Failure where the answer is not known:
// then mail waits, since any host that we made up could be a forger's (RFC 7672
// sections 2.1.2 and 2.2.1).
func Hosts(domain string, mx dns.Answer[dns.MX]) ([]Host, error) {
	h := Host{Name: domain, Domain: domain, MX: mx.Security}
	if mx.Canonical != "" && mx.Canonical != mx.Name {
		h.Expanded = mx.Canonical
	}
	switch mx.Status {
	case dns.Empty:
		return []Host{h}, nil
	case dns.Absent:
		return nil, ErrNoDomain
	case dns.Found:
	default:
		return nil, &Failure{Result: DNSSECInvalid, Code: "mx-lookup",
			Reason: "the mail exchangers of " + domain + " are not known", Err: orNoAnswer(mx.Err)}
	}
	var hosts []Host
	for _, record := range mx.Records {
		if record.Host == "" || record.Host == dns.Root {
			continue
		}
		h.Name = record.Host
		hosts = append(hosts, h)
	}
	if len(hosts) == 0 {
		return nil, ErrNullMX
	}
	return hosts, nil
}

// DANEState is what came of the search for TLSA records of a host. The zero value
// is DANENotAvailable.
type DANEState uint8

// The states.
const (
	DANENotAvailable DANEState = iota // no resolver that validates and may be trusted: nothing is known
	DANEInsecure                      // something on the way to the records is not signed: DANE is not for this host
	DANENone                          // the host is in a signed zone and has no TLSA records
	DANEUnusable                      // there are records, none that a client may use: TLS without a proof
	DANEUsable                        // there are records to prove the host by
	DANEFailed                        // a look-up failed or was forged: this host must not be used now
)

// String gives the word used in logs and JSON.
func (s DANEState) String() string {
	switch s {
	case DANEInsecure:
		return "insecure"
	case DANENone:
		return "none"
	case DANEUnusable:
		return "unusable"
	case DANEUsable:
		return "usable"
	case DANEFailed:
		return "failed"
	case DANENotAvailable:
	}
	return "not available"
}

// DANE is what a host's TLSA records say (RFC 7672 section 2.2).
type DANE struct {
	State   DANEState
	Base    string     // the TLSA base domain, where the records were found: what SNI must say
	Records []dns.TLSA // all that are there, those that cannot be used too
	Names   []string   // any of these proves a certificate under a trust anchor (section 3.2.2)
	Reason  string     // a sentence part: why the state is this one
	Failure *Failure   // of DANEFailed
}

// LookupDANE searches the TLSA records of a host (RFC 7672 section 2.2.3).
// Nothing is concluded from silence: a failed look-up makes the host unusable
// (section 2.1.2), and so does a trusted resolver that answered for the MX and
// not for the rest; only an answer that is proven, or proven to be unsigned,
// says that there are none.
//
// TLSA is not asked where the host's addresses are not signed: the answer could
// not count, and the servers of such zones are those that fail on the question.
// That is also why the questions go one after another: the standard wants the
// answer to the first before the second is asked (section 2.2.2).
//
// A host that an unsigned MX answer names is searched like any other: a signed
// zone of a provider then protects the sessions with it for all whose mail it
// takes (section 2.2.1). What that is worth, Plan decides.
func LookupDANE(ctx context.Context, r Resolver, h Host) DANE {
	if r == nil {
		r = (*dns.Resolver)(nil)
	}
	if h.MX == dns.Unavailable && !h.Given {
		return DANE{Reason: "no trusted resolver vouches for the mail exchangers of " + h.Domain}
	}
	name, ok := hostName(h.Name)
	if _, err := netip.ParseAddr(name); !ok || err == nil {
		return DANE{State: DANEInsecure, Reason: clip(h.Name) + " is no host name"}
	}
	bases, end := bases(ctx, r, name, h.Given)
	if end != nil {
		return *end
	}
	port := h.Port
	if port == 0 {
		port = 25
	}
	for _, base := range bases {
		answer := r.TLSA(ctx, "_"+strconv.Itoa(int(port))+"._tcp."+base)
		switch {
		case !answer.Status.Known():
			return failed("tlsa-lookup", "the TLSA records of "+base+" are not known", answer.Err)
		case answer.Security == dns.Unavailable:
			return failed("tlsa-untrusted", "no trusted resolver vouches for the TLSA records of "+base, nil)
		case answer.Status != dns.Found || answer.Security != dns.Secure:
			continue
		}
		d := DANE{State: DANEUsable, Base: base, Records: answer.Records, Reason: base + " has TLSA records"}
		if len(usable(answer.Records)) == 0 {
			d.State, d.Reason = DANEUnusable, "no TLSA record of "+base+" can be used"
		}
		ids := []string{base, name}
		if h.proven() { // else the domain is no name of this host, whatever a forger says (section 3.2.2)
			ids = append(ids, h.Domain, h.Expanded)
		}
		for _, id := range ids {
			if id, ok := hostName(id); ok && !slices.Contains(d.Names, id) {
				d.Names = append(d.Names, id)
			}
		}
		return d
	}
	return DANE{State: DANENone, Reason: h.Name + " has no TLSA records that are signed"}
}

func failed(code, reason string, err error) DANE {
	return DANE{State: DANEFailed, Reason: reason,
		Failure: &Failure{Result: DNSSECInvalid, Code: code, Reason: reason, Err: err}}
}

// bases gives the names under which TLSA records may be, the first one first: of
// an alias that is signed all the way what it stands for, then the host itself;
// of an alias into an unsigned zone only the host (RFC 7672 sections 2.2.2 and
// 2.2.3). end is not nil where the search is over. Of a host that the operator
// gave nothing is known yet, so that its addresses are where it turns out that
// there is no trusted resolver.
func bases(ctx context.Context, r Resolver, host string, given bool) (names []string, end *DANE) {
	over := func(d DANE) ([]string, *DANE) { return nil, &d }
	address := r.A(ctx, host)
	if address.Status != dns.Found {
		// No IPv4 address, or none known: those of IPv6 may be there.
		if six := r.AAAA(ctx, host); six.Status == dns.Found || address.Status.Known() {
			address = six
		}
	}
	canonical, isName := hostName(address.Canonical)
	alias := isName && canonical != host
	switch {
	case !address.Status.Known():
		return over(failed("address-lookup", "the addresses of "+host+" are not known", address.Err))
	case address.Security == dns.Unavailable && given:
		return over(DANE{Reason: "no trusted resolver vouches for the addresses of " + host})
	case address.Security == dns.Unavailable:
		return over(failed("address-untrusted", "no trusted resolver vouches for the addresses of "+host, nil))
	case address.Security == dns.Secure && alias:
		return []string{canonical, host}, nil
	case address.Security == dns.Secure:
		return []string{host}, nil
	case !alias:
		return over(DANE{State: DANEInsecure, Reason: "the addresses of " + host + " are not signed"})
	}
	first := r.CNAME(ctx, host)
	switch {
	case !first.Status.Known():
		return over(failed("cname-lookup", "the alias "+host+" is not known", first.Err))
	case first.Security == dns.Unavailable:
		return over(failed("cname-untrusted", "no trusted resolver vouches for the alias "+host, nil))
	case first.Status == dns.Found && first.Security == dns.Secure:
		return []string{host}, nil
	}
	return over(DANE{State: DANEInsecure, Reason: "the alias " + strings.TrimSuffix(host, ".") + " is not signed"})
}
