package spf

import (
	"cmp"
	"net/netip"
	"strconv"
	"time"

	"github.com/postroad/postroad/dns"
	"github.com/postroad/postroad/mailauth"
)

// Walk is a verdict with everything that was looked at.
type Walk struct {
	Verdict
	Query      Query     `json:"query"`
	Root       *Policy   `json:"root,omitempty"` // nil if there was nothing to check
	AllLookups int       `json:"all_lookups"`    // of the whole tree: those of the verdict and those behind it
	Findings   []Finding `json:"findings,omitempty"`
}

// Policy is what one name says, as it was come by: the checked domain, an
// include, a redirect.
type Policy struct {
	Domain   string          `json:"domain"`
	Question *Question       `json:"question,omitempty"` // for TXT; nil if the name was not asked for
	Texts    []string        `json:"texts,omitempty"`    // the SPF records at the name; one, if all is well
	Record   *Record         `json:"-"`                  // nil unless there is exactly one
	Result   mailauth.Result `json:"result"`             // of this record for the client; "" behind the verdict if cut
	Reason   Reason          `json:"reason,omitempty"`
	Steps    []Step          `json:"steps,omitempty"` // one for each term, in the order of the record
}

// Outcome is what came of a term.
type Outcome uint8

// The outcomes. NotReached is for terms that an error kept from being looked at,
// and those that RFC 7208 ignores (behind "all").
const (
	NotReached Outcome = iota
	Match
	NoMatch
	Broken
	Unknown // in a survey: needs a message
)

// String gives the word used in JSON.
func (o Outcome) String() string {
	switch o {
	case Match:
		return "match"
	case NoMatch:
		return "no-match"
	case Broken:
		return "error"
	case Unknown:
		return "unknown"
	case NotReached:
	}
	return "not-reached"
}

// MarshalText gives the word used in JSON.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// Step is a term and what it did.
type Step struct {
	Term    *Term   `json:"term"` // in JSON: as written
	Outcome Outcome `json:"outcome"`
	Beyond  bool    `json:"behind_verdict,omitempty"` // looked at for the tree only
	// Lookups and Voids are what the term counts, with what is below it; Total is how
	// many of the ten were used when it was done, 0 behind the verdict.
	Lookups   uint8      `json:"lookups,omitempty"`
	Voids     uint8      `json:"void_lookups,omitempty"`
	Total     uint8      `json:"lookups_so_far,omitempty"`
	Reason    Reason     `json:"reason,omitempty"`    // of an error
	Target    string     `json:"target,omitempty"`    // the name after macro expansion
	Questions []Question `json:"questions,omitempty"` // in the order asked
	Policy    *Policy    `json:"policy,omitempty"`    // of include and redirect
	Text      string     `json:"text,omitempty"`      // of exp: the explanation before macro expansion
}

// Question is one question to DNS and its answer.
type Question struct {
	Name     string        `json:"name"`
	Type     string        `json:"type"` // "TXT", "A", "AAAA", "MX", "PTR"
	Status   dns.Status    `json:"status"`
	Security dns.Security  `json:"-"`
	Records  []string      `json:"records,omitempty"` // as text, at most 64
	Count    int           `json:"count"`             // of the records
	Octets   int           `json:"octets"`            // of the answer as it is on the wire, without EDNS and other sections
	TTL      time.Duration `json:"ttl_ns,omitempty"`
	Server   string        `json:"server,omitempty"`
	Cached   bool          `json:"cached,omitempty"`
	Void     bool          `json:"void,omitempty"` // counted as a void look-up
	Err      error         `json:"-"`
}

const maxShown = 64

// ask writes an answer down: texts writes the records, size says how many octets
// the data of one has.
func ask[T any](name, kind string, a *dns.Answer[T], texts func([]T) []string, size func(T) int) Question {
	q := Question{
		Name: name, Type: kind, Status: a.Status, Security: a.Security,
		Count: len(a.Records), TTL: a.TTL, Server: a.Server, Cached: a.Cached, Err: a.Err,
	}
	q.Octets = 12 + len(name) + 2 + 4
	for _, record := range a.Records {
		q.Octets += 12 + size(record) // a pointer to the name, type, class, TTL, length
	}
	q.Records = texts(a.Records[:min(len(a.Records), maxShown)])
	return q
}

func asTexts(texts []string) []string { return texts }

func asAddrs(addrs []netip.Addr) []string {
	texts := make([]string, len(addrs))
	for i, a := range addrs {
		texts[i] = a.String()
	}
	return texts
}

func asHosts(hosts []dns.MX) []string {
	texts := make([]string, len(hosts))
	for i, mx := range hosts {
		texts[i] = strconv.Itoa(int(mx.Preference)) + " " + cmp.Or(mx.Host, ".")
	}
	return texts
}

func textSize(s string) int { return len(s) + max(1, (len(s)+254)/255) }

func nameSize(s string) int { return len(s) + 2 }

func mxSize(m dns.MX) int { return 2 + len(m.Host) + 2 }

func addrSize(a netip.Addr) int { return a.BitLen() / 8 }

// step gives the place of a term in the tree, nil where no tree is made.
func (p *Policy) step(i int) *Step {
	if p == nil {
		return nil
	}
	return &p.Steps[i]
}

// open makes the places of all terms.
func (p *Policy) open(r *Record) {
	p.Record = r
	p.Steps = make([]Step, len(r.Terms))
	for i := range r.Terms {
		p.Steps[i].Term, p.Steps[i].Reason = &r.Terms[i], r.Terms[i].Reason
	}
}
