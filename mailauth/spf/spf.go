package spf

import (
	"context"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/net/idna"

	"github.com/postroad/postroad/dns"
	"github.com/postroad/postroad/mailauth"
)

// Resolver is what SPF asks of DNS; *dns.Resolver is one. Names are given
// without the final dot.
type Resolver interface {
	TXT(ctx context.Context, name string) dns.Answer[string]
	A(ctx context.Context, name string) dns.Answer[netip.Addr]
	AAAA(ctx context.Context, name string) dns.Answer[netip.Addr]
	MX(ctx context.Context, name string) dns.Answer[dns.MX]
	PTR(ctx context.Context, ip netip.Addr) dns.Answer[string]
}

// The limits of RFC 7208 section 4.6.4, and ours.
const (
	maxLookups = 10
	maxVoids   = 2
	maxMX      = 10
	maxPTR     = 10

	maxName        = 253
	maxLabel       = 63
	maxExplanation = 4096    // octets; an SMTP reply has no room for more
	maxRecord      = 1 << 16 // octets; a TXT record has no room for more
	maxWalked      = 64      // look-ups of a whole tree, past the verdict too

	defaultTimeout = 20 * time.Second // the least that section 4.6.4 allows
	defaultRecords = 4 << 20
)

// Options of a [Checker].
type Options struct {
	Resolver Resolver      // without one every domain is a temperror
	Timeout  time.Duration // of one check; 0 is 20 s (RFC 7208 section 4.6.4)
	Receiver string        // our host name, for %{r} in explanations; "" is "unknown"
	Terse    bool          // verdicts of Check without explanation, which saves its look-up
	Records  int           // octets of records kept after reading; 0 is 4 MiB, below 0 none
}

// Checker evaluates SPF. It may be used by several goroutines at once and holds
// nothing that must be closed.
type Checker struct {
	o      Options
	record recordCache
}

// New gives a checker.
func New(o Options) *Checker {
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	if o.Resolver == nil {
		o.Resolver = (*dns.Resolver)(nil)
	}
	if o.Receiver == "" {
		o.Receiver = "unknown"
	}
	c := &Checker{o: o}
	c.record.limit = o.Records
	if o.Records == 0 {
		c.record.limit = defaultRecords
	}
	return c
}

// Query is what is known of a client when it has said MAIL FROM. With an empty
// From the HELO name is checked, as for a bounce (RFC 7208 section 2.4); to check
// the HELO of another message (section 2.3) leave From out.
type Query struct {
	IP   netip.Addr `json:"ip"`   // IPv4 in IPv6 is taken as IPv4
	Helo string     `json:"helo"` // as the client said it
	From string     `json:"from"` // the reverse-path without the angle brackets; "" is the null sender
	Time time.Time  `json:"-"`    // when the message came, for %{t}; zero is now
}

// Identity says which name was checked (RFC 7208 section 2).
type Identity string

// The identities; the words are those of Received-SPF (RFC 7208 section 9.1).
const (
	MailFrom Identity = "mailfrom"
	Helo     Identity = "helo"
)

// Verdict is what came of a check.
type Verdict struct {
	Result   mailauth.Result `json:"result"`
	Identity Identity        `json:"identity"`
	Domain   string          `json:"domain"`           // that was checked, as A-labels, without the final dot
	Sender   string          `json:"sender,omitempty"` // with the local part; "postmaster@" and the HELO name for the null sender
	Reason   Reason          `json:"reason"`
	// Term is the one that decided, as written, and Record the name whose record it
	// is in. Of a match that is the term with the qualifier that gave the result; of
	// an error it is the term at fault, in whichever record it stands.
	Term   string `json:"term,omitempty"`
	Record string `json:"record,omitempty"`
	// Explanation is what the domain says to a client that failed; a stranger's
	// text, visible ASCII and spaces only. "" is none (RFC 7208 section 6.2).
	Explanation string `json:"explanation,omitempty"`
	Lookups     int    `json:"lookups"`      // of the ten
	Voids       int    `json:"void_lookups"` // of the two
	Err         error  `json:"-"`            // of an error result, where there is more to say: a *SyntaxError, a *dns.Error
}

// Method gives the verdict as it stands in Authentication-Results (RFC 8601
// section 2.7.2).
func (v *Verdict) Method() mailauth.MethodResult {
	property := mailauth.Property{Type: "smtp", Name: "mailfrom", Value: v.Sender}
	if v.Identity == Helo || v.Sender == "" {
		property.Name, property.Value = string(v.Identity), v.Domain
	}
	return mailauth.MethodResult{
		Method: mailauth.SPF, Result: v.Result, Properties: []mailauth.Property{property},
	}
}

// Check gives the verdict for one message. Whoever checks many keeps a [Checker].
func Check(ctx context.Context, r Resolver, q Query) Verdict {
	return New(Options{Resolver: r, Records: -1}).Check(ctx, q)
}

// Check gives the verdict. It ends when the context does, with temperror.
func (c *Checker) Check(ctx context.Context, q Query) Verdict {
	e := evaluation{checker: c}
	return e.run(ctx, q)
}

// Walk gives the same verdict as Check with the tree of all look-ups. The tree
// goes on behind the verdict, so that it shows the whole policy.
func (c *Checker) Walk(ctx context.Context, q Query) *Walk {
	w := &Walk{Query: q}
	e := evaluation{checker: c, walk: w}
	w.Verdict = e.run(ctx, q)
	w.close(&e)
	return w
}

// Survey gives the tree of a domain without a message: no address matches, A and
// AAAA are both asked for, and terms whose macros need a message are not
// expanded. The verdict is that for a stranger.
func (c *Checker) Survey(ctx context.Context, domain string) *Walk {
	w := &Walk{Query: Query{From: "postmaster@" + domain}}
	e := evaluation{checker: c, walk: w, survey: true}
	w.Verdict = e.run(ctx, w.Query)
	w.close(&e)
	return w
}

// run prepares an evaluation and brings it to its verdict.
func (e *evaluation) run(ctx context.Context, q Query) Verdict {
	ctx, cancel := context.WithTimeout(ctx, e.checker.o.Timeout)
	defer cancel()
	e.ctx, e.time = ctx, q.Time
	e.ip = q.IP.Unmap().WithZone("")
	e.v4, e.v6 = e.ip.Is4() || e.survey, e.ip.Is6() || e.survey
	v := e.identify(q)
	if !e.ip.IsValid() && !e.survey {
		v.Result, v.Reason = mailauth.None, NoAddress
		return v
	}
	var root *Policy
	if e.walk != nil {
		root = &Policy{Domain: v.Domain}
		e.walk.Root = root
	}
	out := e.policy(v.Domain, root, false)
	v.Result, v.Reason, v.Err, v.Record = out.result, out.reason, out.err, out.domain
	if out.term != nil {
		v.Term = out.term.Text
	}
	v.Lookups, v.Voids, v.Explanation = e.lookups, e.voids, e.explanation
	return v
}

// identify says which name is checked, and who the sender is (RFC 7208 sections
// 2.4 and 4.3).
func (e *evaluation) identify(q Query) (v Verdict) {
	e.helo = ascii(strings.TrimSuffix(q.Helo, "."))
	v.Identity = MailFrom
	local, domain := "", ""
	switch at := strings.LastIndexByte(q.From, '@'); {
	case q.From == "":
		v.Identity, domain = Helo, e.helo
	case at < 0:
		domain = q.From // a sender without a local part is a domain
	default:
		local, domain = q.From[:at], q.From[at+1:]
	}
	e.domain = ascii(strings.TrimSuffix(domain, "."))
	e.local = local
	e.sender = q.From
	if local == "" {
		e.local = "postmaster"
	}
	if local == "" || domain != e.domain {
		e.sender = e.local + "@" + e.domain
	}
	v.Domain, v.Sender = e.domain, e.sender
	for i := range len(e.local) {
		if e.local[i] >= 0x80 {
			e.foreign = true
			break
		}
	}
	return v
}

// ascii gives a name as A-labels (RFC 7208 section 4.3). What cannot be one
// stays as it is and is refused as a name later.
func ascii(name string) string {
	for i := range len(name) {
		if name[i] < 0x80 {
			continue
		}
		if len(name) > 4*maxName {
			return name
		}
		profile := idna.New(idna.MapForLookup(), idna.Transitional(false), idna.StrictDomainName(false))
		if a, err := profile.ToASCII(name); err == nil {
			return a
		}
		return name
	}
	return name
}

// isName reports whether DNS can have the name: labels of 1 to 63 octets, 253 in
// all, visible ASCII and spaces.
func isName(name string) bool {
	if name == "" || len(name) > maxName {
		return false
	}
	label := 0
	for i := range len(name) {
		switch c := name[i]; {
		case c == '.':
			if label == 0 {
				return false
			}
			label = 0
			continue
		case c < ' ' || c > '~':
			return false
		}
		if label++; label > maxLabel {
			return false
		}
	}
	return label > 0
}

// presented gives a name as the resolver wants it. A backslash in a local part or
// in a record stands for itself; in a name of DNS it would begin an escape (RFC
// 1035 section 5.1).
func presented(name string) string {
	if strings.IndexByte(name, '\\') < 0 {
		return name
	}
	return strings.ReplaceAll(name, `\`, `\\`)
}

// isDomain reports whether a name may have a policy: more than one label, no
// address with or without brackets (RFC 7208 section 4.3).
func isDomain(name string) bool {
	dot := strings.LastIndexByte(name, '.')
	return isName(name) && dot > 0 && name[0] != '[' && strings.Trim(name[dot+1:], "0123456789") != ""
}
