// Package header reads the header of a received message: which hosts handed it
// on and how long each took, what the receiving side's checks of SPF, DKIM and
// DMARC came to, what its filters wrote down, and whether the message went to
// the inbox or was put aside in silence.
//
// A parsed header and the current time come in, a [Report] goes out: facts with
// a JSON form, and findings, which are keys of the text catalogue
// (lang/catalogue/header.en.toml) with the value that they speak of. Reading is
// a pure function; nothing is kept and nothing survives a crash. It is used by
// explain, and by whoever compares test messages to see a filter's mind change.
//
// What a header says can be forged by anybody who handled the message before the
// receiver did. Fields of the receiving side count; the others are reported as
// claims ([Authority.Trusted], [Finding.Claim]).
package header

import (
	"time"

	"github.com/postroad/postroad/mail"
)

// The bounds. What is over them is counted or left out, never an error.
const (
	MaxHops     = 100     // Received fields; the newest are kept
	maxAuth     = 50      // Authentication-Results, DKIM-Signature, ARC sets, Received-SPF, each
	maxResults  = 50      // results in one Authentication-Results
	maxFindings = 200     // findings
	maxValue    = 1 << 10 // bytes of a value in the report
	maxField    = 16 << 10
)

// Report is what a header tells.
type Report struct {
	Hops     []Hop         `json:"hops"`               // oldest first
	Dropped  int           `json:"dropped,omitempty"`  // Received fields over MaxHops, the oldest
	Transit  time.Duration `json:"transit_ns"`         // from the first to the last hop whose clocks agree
	Slowest  int           `json:"slowest"`            // index in Hops of the longest delay, -1 if none
	Border   int           `json:"border"`             // index in Hops where the receiving organisation took the message, -1 if not recognised
	Date     time.Time     `json:"date,omitzero"`      // the Date field: the sender's own clock
	From     string        `json:"from,omitempty"`     // domain of the From field
	Client   string        `json:"client,omitempty"`   // address of the submitting client, where a field names it
	Auth     []Authority   `json:"auth,omitempty"`     // newest first
	DKIM     []Signature   `json:"dkim,omitempty"`     // the signatures as written, not verified
	ARC      []ARCSet      `json:"arc,omitempty"`      // by instance, oldest first
	Antispam []Verdicts    `json:"antispam,omitempty"` // what each filter wrote, taken apart
	Findings []Finding     `json:"findings"`
	Verdict  Verdict       `json:"verdict"`
	Why      []mail.Reason `json:"-"` // the grounds of the verdict
}

// Verdict is where the message went, as far as the header shows it.
type Verdict string

// The verdicts.
const (
	Inbox      Verdict = "inbox"
	Junk       Verdict = "junk"
	Quarantine Verdict = "quarantine"
	Rejected   Verdict = "rejected"
	Unknown    Verdict = "unknown"
)

// Hop is one Received field (RFC 5321 section 4.4).
type Hop struct {
	From   string        `json:"from,omitempty"`    // name of the sending host, verified by reverse DNS where the field says so
	FromIP string        `json:"from_ip,omitempty"` // its address
	HELO   string        `json:"helo,omitempty"`    // what it called itself, where that differs
	By     string        `json:"by,omitempty"`      // the host that wrote the field
	With   string        `json:"with,omitempty"`    // protocol: "ESMTPS", "Microsoft SMTP Server", "LMTP"
	Via    string        `json:"via,omitempty"`     // "Frontend Transport"
	TLS    string        `json:"tls,omitempty"`     // "TLSv1.3"
	Cipher string        `json:"cipher,omitempty"`
	ID     string        `json:"id,omitempty"`
	For    string        `json:"for,omitempty"`
	Time   time.Time     `json:"time,omitzero"`
	Delay  time.Duration `json:"delay_ns"`          // since the hop before it whose clock agrees; 0 where unknown
	Skew   time.Duration `json:"skew_ns,omitempty"` // its clock is so much ahead of the others; negative: behind
	Border bool          `json:"border,omitempty"`  // here the receiving organisation took the message
	Extra  bool          `json:"extra,omitempty"`   // from X-Received: Google's inner steps
	Raw    string        `json:"raw,omitempty"`     // the field as it stands, where it could not be read whole
}

// Authority is one Authentication-Results field (RFC 8601), or what stands for
// one.
type Authority struct {
	ID      string   `json:"id"`      // authserv-id; "" in Microsoft's form, which has none
	Field   string   `json:"field"`   // Authentication-Results, Received-SPF
	Trusted bool     `json:"trusted"` // written by the receiving side; the others are claims
	Results []Result `json:"results"`
}

// Result is one method's result.
type Result struct {
	Method  string            `json:"method"` // spf, dkim, dmarc, arc, compauth ...
	Result  string            `json:"result"` // pass, fail ...
	Reason  string            `json:"reason,omitempty"`
	Comment string            `json:"comment,omitempty"`
	Props   map[string]string `json:"props,omitempty"` // "smtp.mailfrom", "header.d", "action" ...
	Aligned Alignment         `json:"aligned,omitempty"`
}

// Alignment says how an authenticated domain relates to the From domain
// (RFC 9989, formerly RFC 7489 section 3.1).
type Alignment string

// The alignments; "" where there is nothing to compare.
const (
	AlignStrict  Alignment = "strict"  // the same domain
	AlignRelaxed Alignment = "relaxed" // the same organisation
	AlignNone    Alignment = "none"
)

// Signature is one DKIM-Signature (RFC 6376), read and not verified.
type Signature struct {
	Domain    string    `json:"domain"`
	Selector  string    `json:"selector,omitempty"`
	Algorithm string    `json:"algorithm,omitempty"`
	Signed    time.Time `json:"signed,omitzero"`
	Expires   time.Time `json:"expires,omitzero"`
	Expired   bool      `json:"expired,omitempty"` // when the message arrived
	Aligned   Alignment `json:"aligned,omitempty"`
	Length    bool      `json:"length,omitempty"` // l= is there: the end of the body is not signed
}

// ARCSet is one instance of the ARC fields (RFC 8617).
type ARCSet struct {
	Instance int       `json:"instance"`
	Seal     string    `json:"seal,omitempty"`   // cv= of ARC-Seal: none, pass, fail
	Domain   string    `json:"domain,omitempty"` // who sealed
	Results  Authority `json:"results,omitzero"` // ARC-Authentication-Results
}

// Verdicts is one field of a filter, taken apart.
type Verdicts struct {
	Filter string            `json:"filter"` // microsoft, spamassassin, rspamd ...
	Field  string            `json:"field"`
	Values map[string]string `json:"values"`
	Claim  bool              `json:"claim,omitempty"` // not of the receiving side, as far as one can see
}

// Finding is one thing that the header says and its meaning.
type Finding struct {
	Key      string        `json:"key"`   // of the text catalogue
	Field    string        `json:"field"` // the field that it was found in
	Value    string        `json:"value,omitempty"`
	Fragment string        `json:"fragment,omitempty"` // verbatim
	Host     string        `json:"host,omitempty"`
	Duration time.Duration `json:"duration_ns,omitempty"`
	Claim    bool          `json:"claim,omitempty"`
}

// Reason gives the finding in the vocabulary's form.
func (f Finding) Reason() mail.Reason { return mail.Reason{Key: f.Key, Fragment: f.Fragment} }
