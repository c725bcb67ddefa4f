package dmarc

import (
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/postroad/postroad/mail"
)

// The bounds of a record. What is over them is left out with a finding.
const (
	MaxRecord = 64 << 10 // bytes
	maxTags   = 64
	maxURIs   = 32 // of one tag
	maxShown  = 200
)

// Policy is what a domain owner wants done with mail that fails (RFC 9989
// section 4.7, the tag p). The zero value is no wish at all.
type Policy string

// The policies.
const (
	PolicyNone       Policy = "none"
	PolicyQuarantine Policy = "quarantine"
	PolicyReject     Policy = "reject"
)

// rank orders policies by strictness.
func (p Policy) rank() int {
	switch p {
	case PolicyReject:
		return 2
	case PolicyQuarantine:
		return 1
	case PolicyNone:
	}
	return 0
}

// lower gives the policy one level below, which a domain that is testing expects
// (RFC 9989 section 4.7, the tag t; RFC 7489 section 6.6.4 for pct).
func (p Policy) lower() Policy {
	if p == PolicyReject {
		return PolicyQuarantine
	}
	return PolicyNone
}

// Mode is how near an authenticated domain has to be to the author's.
type Mode string

// The modes (RFC 9989 section 4.7, the tags adkim and aspf).
const (
	Relaxed Mode = "r" // the same organisational domain
	Strict  Mode = "s" // the same domain
)

// PSD says whether a domain is a public suffix (RFC 9989 section 4.7, the tag psd).
type PSD string

// The values of PSD.
const (
	PSDUnknown PSD = "u"
	PSDYes     PSD = "y" // a public suffix: the organisational domains are below it
	PSDNo      PSD = "n" // an organisational domain for itself and what is below it
)

// Finding is one thing that is worth telling about a record, a field or a
// look-up. Keys are stable and name no language.
type Finding struct {
	Key   string `json:"key"`
	Where string `json:"where,omitempty"` // the tag, the domain or the name that was asked
	Value string `json:"value,omitempty"` // as it stands there, cut
}

// The findings of a record.
const (
	FindVersion    = "dmarc.record.version"  // looks like a record, but v=DMARC1 is not first or not exact
	FindSeveral    = "dmarc.record.several"  // more than one record at a name: as if there were none
	FindOther      = "dmarc.record.other"    // other text at the _dmarc name: a wildcard as a rule
	FindTooLong    = "dmarc.record.too-long" // over a bound of this package
	FindSpace      = "dmarc.record.space"    // white space before the record
	FindUnusable   = "dmarc.record.unusable" // an invalid policy and no address for reports: no DMARC at all
	FindAsNone     = "dmarc.record.as-none"  // an invalid policy with an address for reports: read as p=none
	FindNoPolicy   = "dmarc.p.missing"       // read as p=none today; older receivers may ignore the record
	FindPolicyLate = "dmarc.p.not-second"    // RFC 7489 wanted p behind v
	FindInvalid    = "dmarc.tag.invalid"     // a value that the tag does not have: the default counts
	FindUnknown    = "dmarc.tag.unknown"     // ignored
	FindMalformed  = "dmarc.tag.malformed"   // no tag at all ("p:reject"): ignored
	FindTwice      = "dmarc.tag.twice"       // the first counts
	FindCase       = "dmarc.tag.case"        // a tag in capital letters: not all receivers know it
	FindHistoric   = "dmarc.tag.historic"    // pct, rf, ri: gone with RFC 9989
	FindURI        = "dmarc.uri.invalid"     // an address for reports that cannot be used
	FindURIScheme  = "dmarc.uri.scheme"      // a valid address, but nobody has to send there (only mailto)
	FindURISize    = "dmarc.uri.size"        // "!10m": ignored since RFC 9989
	FindURIMany    = "dmarc.uri.many"        // more than two: reporters may stop there (RFC 7489 section 6.2)
	FindNoReports  = "dmarc.rua.missing"     // nobody will know what fails
	FindSubWeaker  = "dmarc.sp.weaker"       // sub-domains are protected less than the domain
	FindTesting    = "dmarc.t.testing"       // t=y: the policy counts one level lower
	FindPublic     = "dmarc.psd.public"      // psd=y: sub-domains are other people's
	FindNoRUF      = "dmarc.fo.without-ruf"  // fo says nothing without ruf
	FindPSDReports = "dmarc.psd.ruf"         // a public suffix must not ask for failure reports (section 10.2)
)

// URI is one address for reports (RFC 9989 section 4.6).
type URI struct {
	Text   string `json:"text"`           // without the size
	Scheme string `json:"scheme"`         // lower case
	Host   string `json:"host"`           // lower case: the domain of a mailto address, or the host
	Size   int64  `json:"size,omitempty"` // bytes, from the "!10m" of RFC 7489 section 6.4; 0 is none
}

// Tag is one tag of a record as it stands there.
type Tag struct {
	Name  string `json:"name"` // lower case
	Value string `json:"value"`
}

// Record is a DMARC Policy Record (RFC 9989 section 4.7), with the defaults in
// place of what is absent or invalid.
type Record struct {
	Text        string    `json:"text"`
	Policy      Policy    `json:"p"`            // for the domain itself; none where the tag is absent or nothing else can be done
	Subdomains  Policy    `json:"sp,omitempty"` // "" if absent
	NonExistent Policy    `json:"np,omitempty"` // "" if absent
	DKIM        Mode      `json:"adkim"`
	SPF         Mode      `json:"aspf"`
	Aggregate   []URI     `json:"rua,omitempty"`
	Failure     []URI     `json:"ruf,omitempty"`
	Options     []string  `json:"fo"` // 0, 1, d, s; "0" by default
	PSD         PSD       `json:"psd"`
	Testing     bool      `json:"t,omitempty"`
	Percent     int       `json:"pct"`                 // of RFC 7489; 100 by default
	Missing     bool      `json:"p_missing,omitempty"` // there is no p
	Unusable    bool      `json:"unusable,omitempty"`  // an invalid p, sp or np and no rua: no DMARC (section 4.10.1)
	Tags        []Tag     `json:"tags"`
	Findings    []Finding `json:"findings,omitempty"`
}

// ErrVersion is what ParseRecord says of a text that is no DMARC record: the tag v with
// the exact value DMARC1 is not the first (RFC 9989 section 4.7).
var ErrVersion = errors.New("read DMARC record: it does not begin with v=DMARC1")

// For gives the policy for mail of a domain below the record's (RFC 9989 section
// 4.7), and the tag that says so: np, sp or p.
func (r *Record) For(exists bool) (Policy, string) {
	switch {
	case !exists && r.NonExistent != "":
		return r.NonExistent, "np"
	case r.Subdomains != "":
		return r.Subdomains, "sp"
	}
	return r.Policy, "p"
}

// IsRecord reports whether a text begins as a DMARC record does, so that it counts in
// a walk (RFC 9989 section 4.10 step 2).
func IsRecord(text string) bool {
	first, _, _ := strings.Cut(clip(text, MaxRecord), ";")
	name, value, ok := strings.Cut(trim(first), "=")
	return ok && strings.EqualFold(trim(name), "v") && trim(value) == "DMARC1"
}

// resembles tells a text that was meant as a record.
func resembles(text string) bool {
	t := strings.ToLower(strings.Join(strings.Fields(clip(text, 1<<10)), ""))
	return strings.HasPrefix(t, "v=dmarc") || strings.Contains(t, ";v=dmarc1") ||
		strings.HasPrefix(strings.Trim(t, `"'\`), "v=dmarc")
}

// ParseRecord reads one TXT record, its strings joined. The error is ErrVersion or
// nil; everything else that is wrong is a finding, and the default counts.
func ParseRecord(text string) (Record, error) {
	if !IsRecord(text) {
		return Record{}, ErrVersion
	}
	p := recordParser{r: Record{Text: clip(text, MaxRecord), Policy: PolicyNone, DKIM: Relaxed, SPF: Relaxed,
		Options: []string{"0"}, PSD: PSDUnknown, Percent: 100}}
	p.read(text)
	p.judge()
	return p.r, nil
}

type recordParser struct {
	r   Record
	bad bool // p, sp or np has no valid value
	p   bool // there is a p
	ruf bool
	fo  bool
}

func (p *recordParser) find(key, where, value string) {
	p.r.Findings = append(p.r.Findings, Finding{Key: key, Where: where, Value: clip(value, maxShown)})
}

func (p *recordParser) read(text string) {
	if len(text) > MaxRecord {
		p.find(FindTooLong, "", "")
	}
	if text[0] == ' ' || text[0] == '\t' {
		p.find(FindSpace, "", "")
	}
	p.r.Tags = make([]Tag, 0, 8)
	for part := range strings.SplitSeq(p.r.Text, ";") {
		if part = trim(part); part == "" {
			continue
		}
		if len(p.r.Tags) == maxTags {
			p.find(FindTooLong, "", part)
			return
		}
		name, value, ok := strings.Cut(part, "=")
		name, value = trim(name), trim(value)
		if !ok || !isAlpha(name) {
			p.find(FindMalformed, "", part)
			continue
		}
		lower := strings.ToLower(name)
		if lower != name {
			p.find(FindCase, name, value)
		}
		if slices.ContainsFunc(p.r.Tags, func(t Tag) bool { return t.Name == lower }) {
			p.find(FindTwice, lower, value)
			continue
		}
		p.r.Tags = append(p.r.Tags, Tag{lower, value})
		p.tag(lower, value, len(p.r.Tags))
	}
}

// tag takes the n-th tag, v being the first.
func (p *recordParser) tag(name, value string, n int) {
	r := &p.r
	switch name {
	case "v":
	case "p":
		p.p = true
		if n != 2 {
			p.find(FindPolicyLate, "p", "")
		}
		r.Policy = p.policy(name, value)
	case "sp":
		r.Subdomains = p.policy(name, value)
	case "np":
		r.NonExistent = p.policy(name, value)
	case "adkim":
		r.DKIM = Mode(p.oneOf(name, value, string(Relaxed), string(Strict)))
	case "aspf":
		r.SPF = Mode(p.oneOf(name, value, string(Relaxed), string(Strict)))
	case "psd":
		r.PSD = PSD(p.oneOf(name, value, string(PSDUnknown), string(PSDYes), string(PSDNo)))
	case "t":
		r.Testing = p.oneOf(name, value, "n", "y") == "y"
	case "rua":
		r.Aggregate = p.uris(name, value)
	case "ruf":
		p.ruf = true
		r.Failure = p.uris(name, value)
	case "fo":
		p.fo = true
		p.options(value)
	case "pct":
		p.find(FindHistoric, name, value)
		if v, err := strconv.Atoi(value); err == nil && v >= 0 && v <= 100 && value[0] != '+' {
			r.Percent = v
		} else {
			p.find(FindInvalid, name, value)
		}
	case "rf", "ri":
		p.find(FindHistoric, name, value)
	default:
		p.find(FindUnknown, name, value)
	}
}

func (p *recordParser) policy(name, value string) Policy {
	switch v := Policy(strings.ToLower(value)); v {
	case PolicyNone, PolicyQuarantine, PolicyReject:
		return v
	}
	p.find(FindInvalid, name, value)
	p.bad = true
	return ""
}

// oneOf gives the value if it is one of those allowed, which are case-insensitive
// (RFC 9989 section 4.8), otherwise the first, which is the default.
func (p *recordParser) oneOf(name, value string, allowed ...string) string {
	for _, a := range allowed {
		if strings.EqualFold(value, a) {
			return a
		}
	}
	p.find(FindInvalid, name, value)
	return allowed[0]
}

func (p *recordParser) options(value string) {
	var options []string
	for o := range strings.SplitSeq(value, ":") {
		switch o = strings.ToLower(trim(o)); o {
		case "0", "1", "d", "s":
			if len(options) < 4 {
				options = append(options, o)
			}
		default:
			p.find(FindInvalid, "fo", value)
			return
		}
	}
	p.r.Options = options
}

func (p *recordParser) uris(name, value string) []URI {
	var out []URI
	for text := range strings.SplitSeq(value, ",") {
		if text = trim(text); text == "" && value != "" {
			p.find(FindURI, name, value)
			continue
		}
		if len(out) == maxURIs {
			p.find(FindTooLong, name, text)
			break
		}
		u, sized, ok := parseURI(text)
		if !ok {
			p.find(FindURI, name, text)
			continue
		}
		if sized {
			p.find(FindURISize, name, text)
		}
		if u.Scheme != "mailto" {
			p.find(FindURIScheme, name, text)
		}
		out = append(out, u)
	}
	if len(out) > 2 {
		p.find(FindURIMany, name, strconv.Itoa(len(out)))
	}
	return out
}

// parseURI reads one address for reports with the size of RFC 7489 section 6.4.
func parseURI(text string) (u URI, sized, ok bool) {
	u.Text = text
	if before, size, found := strings.Cut(text, "!"); found {
		u.Text, sized = before, true
		if u.Size, ok = parseSize(size); !ok {
			return u, sized, false
		}
	}
	if address, plain := strings.CutPrefix(u.Text, "mailto:"); plain && !strings.ContainsAny(address, "%?# \t") {
		u.Scheme = "mailto"
		return u, sized, u.mailto(address)
	}
	parsed, err := url.Parse(u.Text)
	if err != nil || parsed.Scheme == "" || strings.ContainsAny(u.Text, " \t") {
		return u, sized, false
	}
	u.Scheme = strings.ToLower(parsed.Scheme)
	if u.Scheme != "mailto" {
		u.Host = normal(parsed.Hostname())
		return u, sized, u.Host != "" || parsed.Opaque != ""
	}
	address, err := url.PathUnescape(parsed.Opaque)
	return u, sized, err == nil && u.mailto(address)
}

// mailto takes the host out of an address.
func (u *URI) mailto(address string) bool {
	a, err := mail.ParseAddress(address)
	if err != nil || a.Local == "" || strings.ContainsAny(a.Local, " \t\r\n") {
		return false
	}
	u.Host = normal(a.Domain)
	return u.Host != ""
}

// parseSize reads "10m" in bytes.
func parseSize(s string) (int64, bool) {
	shift := 0
	if n := len(s); n > 0 {
		switch s[n-1] | 0x20 {
		case 'k':
			shift = 10
		case 'm':
			shift = 20
		case 'g':
			shift = 30
		case 't':
			shift = 40
		}
		if shift > 0 {
			s = s[:n-1]
		}
	}
	v, err := strconv.ParseUint(s, 10, 20)
	if err != nil || s[0] == '+' {
		return 0, false
	}
	return int64(v) << shift, true //nolint:gosec // 20 bits shifted by 40
}

// judge settles what depends on several tags.
func (p *recordParser) judge() {
	r := &p.r
	switch {
	case p.bad && len(r.Aggregate) > 0:
		// RFC 9989 section 4.10.1: as if the record said p=none.
		p.find(FindAsNone, "", "")
		r.Policy, r.Subdomains, r.NonExistent = PolicyNone, "", ""
	case p.bad:
		p.find(FindUnusable, "", "")
		r.Policy, r.Subdomains, r.NonExistent, r.Unusable = PolicyNone, "", "", true
	case !p.p:
		// Section 4.7: a record that is valid otherwise is read as if it had p=none.
		p.find(FindNoPolicy, "p", "")
	}
	r.Missing = !p.p
	if len(r.Aggregate) == 0 {
		p.find(FindNoReports, "rua", "")
	}
	if r.Subdomains != "" && r.Subdomains.rank() < r.Policy.rank() {
		p.find(FindSubWeaker, "sp", string(r.Subdomains))
	}
	if r.Testing {
		p.find(FindTesting, "t", "y")
	}
	if r.PSD == PSDYes {
		p.find(FindPublic, "psd", "y")
		if p.ruf {
			p.find(FindPSDReports, "ruf", "")
		}
	}
	if p.fo && !p.ruf {
		p.find(FindNoRUF, "fo", "")
	}
}

func trim(s string) string { return strings.Trim(s, " \t\r\n") }

func isAlpha(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i] | 0x20; c < 'a' || c > 'z' {
			return false
		}
	}
	return s != ""
}

// clip cuts s to n bytes, not inside a character.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xc0 == 0x80 {
		n--
	}
	return s[:n]
}
