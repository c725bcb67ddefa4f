package dkim

import (
	"fmt"
	"strings"
	"time"

	"golang.org/x/net/idna"
)

// maxSigned bounds h=: each name is searched in the header.
const maxSigned = 200

// Signature is what a DKIM-Signature field says (RFC 6376 section 3.5), or of an
// ARC set the ARC-Message-Signature or the ARC-Seal (RFC 8617 section 4.1).
type Signature struct {
	Tags      Tags   // all tags in their order, unknown ones too
	Algorithm string // a=: rsa-sha256, ed25519-sha256, or what we do not know
	Domain    string // d=, lower case, as A-labels: the signing domain
	Selector  string // s=, lower case, as A-labels
	Identity  string // i=, decoded, its domain like Domain; "@" and the domain if there is none. Not of ARC
	Instance  int    // i= of ARC; else 0
	Status    string // cv= of a seal: none, pass, fail

	HeaderCanon, BodyCanon Canonicalization // c=

	Headers  []string  // h=: names of header fields, as written
	Length   int64     // l=: how much of the canonical body is signed; -1 is all of it
	Time     time.Time // t=; zero if absent
	Expires  time.Time // x=; zero if absent
	BodyHash []byte    // bh=
	Bytes    []byte    // b=: the signature proper
}

// KeyName is the DNS name of the key (RFC 6376 section 3.6.2.1).
func (s *Signature) KeyName() string { return s.Selector + "._domainkey." + s.Domain }

// Signs counts how often h= has the name: one more than the message has such
// fields is "oversigned", none can be added then.
func (s *Signature) Signs(header string) int {
	n := 0
	for _, h := range s.Headers {
		if len(h) == len(header) && strings.EqualFold(h, header) {
			n++
		}
	}
	return n
}

// kind is which field a signature stands in.
type kind uint8

const (
	dkimSignature kind = iota
	arcSignature       // ARC-Message-Signature
	arcSeal
)

// required are the tags without which there is no signature.
func (k kind) required() [7]string {
	switch k {
	case arcSeal:
		return [7]string{"i", "a", "b", "cv", "d", "s", "s"}
	case arcSignature:
		return [7]string{"i", "a", "b", "bh", "d", "h", "s"}
	case dkimSignature:
	}
	return [7]string{"v", "a", "b", "bh", "d", "h", "s"}
}

// ParseSignature reads the value of a DKIM-Signature field: what is behind the
// colon. Every error is an *Error that says what is wrong and where; the
// signature is then as complete as it could be read.
//
// It reads the grammar and what the RFC wants of a signature alone: that is
// version, required tags, known algorithms, From in h=, i= under d=, x= behind t=.
// That the result can be computed with is no promise about the message.
func ParseSignature(value string) (Signature, error) {
	s, fault := parseSignature(value, dkimSignature)
	if fault != nil {
		return s, fault
	}
	return s, nil
}

// reading is a signature on its way; it keeps the first fault, and goes on.
type reading struct {
	Signature
	fault *Error
}

func (r *reading) wrong(reason Reason, tag, what string) {
	if r.fault == nil {
		r.fault = &Error{Reason: reason, Tag: tag, What: what}
	}
}

func parseSignature(value string, k kind) (Signature, *Error) {
	var r reading
	r.Length, r.HeaderCanon, r.BodyCanon = -1, Simple, Simple
	r.Tags, r.fault = parseTags(value)
	if v, ok := r.Tags.Get("v"); ok && v != "1" && k == dkimSignature {
		r.fault = &Error{Reason: Version, Tag: "v", What: "not 1"} // whatever else is wrong, it is not for us
	}
	for _, tag := range k.required() {
		if _, ok := r.Tags.Get(tag); !ok {
			r.wrong(TagMissing, tag, "")
		}
	}
	for _, t := range r.Tags {
		r.tag(t, k)
	}
	if k == dkimSignature {
		r.whole()
	}
	return r.Signature, r.fault
}

// tag takes one tag.
func (r *reading) tag(t Tag, k kind) {
	ok := true
	var err error
	switch t.Name {
	case "a":
		r.algorithm(t.Value)
	case "b":
		r.Bytes, err = decode(t.Value)
		ok = len(r.Bytes) > 0
	case "bh":
		r.BodyHash, err = decode(t.Value)
		ok = len(r.BodyHash) > 0
	case "c":
		r.canon(t.Value)
	case "d":
		r.Domain, ok = domainName(t.Value)
		ok = ok && strings.Contains(r.Domain, ".") // a TLD signs for nobody (the ABNF of d=)
	case "s":
		r.Selector, ok = domainName(t.Value)
	case "h":
		r.headers(t.Value, k)
	case "i":
		r.identity(t.Value, k)
	case "cv":
		if r.Status = t.Value; k == arcSeal {
			ok = t.Value == "none" || t.Value == "pass" || t.Value == "fail"
		}
	case "l":
		r.Length, ok = number(t.Value, 76)
	case "q":
		r.query(t.Value)
	case "t":
		r.Time, ok = seconds(t.Value)
	case "x":
		r.Expires, ok = seconds(t.Value)
	}
	if !ok || err != nil {
		r.wrong(Syntax, t.Name, "not what such a tag holds")
	}
}

// whole looks at what several tags of a DKIM-Signature say together.
func (r *reading) whole() {
	if r.Identity == "" {
		r.Identity = "@" + r.Domain
	}
	at := strings.LastIndexByte(r.Identity, '@')
	switch domain := r.Identity[at+1:]; {
	case domain != r.Domain && !strings.HasSuffix(domain, "."+r.Domain):
		r.wrong(IdentityForeign, "i", clip(domain)+" is not under "+clip(r.Domain))
	case r.Signs("from") == 0:
		r.wrong(FromUnsigned, "h", "From is not among the signed fields")
	case !r.Time.IsZero() && !r.Expires.IsZero() && !r.Expires.After(r.Time):
		r.wrong(Syntax, "x", "not later than t=")
	}
}

func (r *reading) algorithm(value string) {
	switch r.Algorithm = value; value {
	case "rsa-sha256", "ed25519-sha256":
	case "rsa-sha1":
		r.wrong(SHA1, "a", "rsa-sha1 must not be used any more")
	case "":
		r.wrong(Syntax, "a", "empty")
	default:
		r.wrong(Algorithm, "a", clip(value))
	}
}

// keyType is the part of a= that k= of a key must agree with.
func (s *Signature) keyType() string {
	k, _, _ := strings.Cut(s.Algorithm, "-")
	return k
}

func (r *reading) canon(value string) {
	header, body, both := strings.Cut(value, "/")
	r.HeaderCanon = Canonicalization(header)
	if both {
		r.BodyCanon = Canonicalization(body)
	}
	if !r.HeaderCanon.known() || !r.BodyCanon.known() {
		r.wrong(Canonicalizing, "c", clip(value))
	}
}

func (r *reading) headers(value string, k kind) {
	if strings.Count(value, ":") >= maxSigned {
		r.wrong(Syntax, "h", fmt.Sprintf("more than %d names", maxSigned))
		return
	}
	r.Headers = list(value)
	switch {
	case k == arcSeal:
		r.wrong(SealTag, "h", "a seal has no h=")
	case k == arcSignature && value == "": // of DKIM it is FromUnsigned
		r.wrong(Syntax, "h", "empty")
	case k == arcSignature && r.Signs("arc-seal") > 0:
		r.wrong(SealSigned, "h", "")
	}
}

func (r *reading) identity(value string, k kind) {
	if k != dkimSignature {
		n, ok := number(value, 3)
		if !ok || n < 1 || n > maxInstance {
			r.wrong(ChainInstance, "i", clip(value))
			return
		}
		r.Instance = int(n)
		return
	}
	id := unquotePrintable(value)
	at := strings.LastIndexByte(id, '@')
	domain, ok := domainName(id[at+1:])
	if at < 0 || !ok {
		r.wrong(Syntax, "i", "not of the form local@domain")
		return
	}
	r.Identity = id[:at+1] + domain
}

func (r *reading) query(value string) {
	for _, method := range list(value) {
		if method == "dns/txt" {
			return
		}
	}
	r.wrong(Query, "q", clip(value))
}

// domainName gives a name in lower case and as A-labels (RFC 8616), if it is one.
func domainName(s string) (string, bool) {
	plain := true
	for i := range len(s) {
		c := s[i]
		if c >= 0x80 {
			a, err := idna.New(idna.MapForLookup(), idna.StrictDomainName(false)).ToASCII(s)
			return a, err == nil && isDomainName(a)
		}
		plain = plain && lower(c) == c
	}
	if !plain {
		s = strings.ToLower(s)
	}
	return s, isDomainName(s)
}

// isDomainName allows what is found in DNS under real domains: letters, digits,
// hyphens, underscores.
func isDomainName(s string) bool {
	label := 0
	for i := range len(s) {
		switch c := s[i]; {
		case c == '.' && label > 0:
			label = 0
		case c == '.' || label == 63:
			return false
		case 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_':
			label++
		default:
			return false
		}
	}
	return label > 0 && len(s) <= 253
}

// unquotePrintable reads DKIM-Quoted-Printable (RFC 6376 section 2.11): white space does
// not count, =XX is an octet.
func unquotePrintable(s string) string {
	s = strip(s)
	if strings.IndexByte(s, '=') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '=' && i+2 < len(s) {
			hi, lo := strings.IndexByte(hexDigits, s[i+1]), strings.IndexByte(hexDigits, s[i+2])
			if hi >= 0 && lo >= 0 {
				b = append(b, byte(hi<<4|lo))
				i += 2
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}

const hexDigits = "0123456789ABCDEF"

// quotePrintable writes it: what is not printable ASCII, and what the tag list needs.
func quotePrintable(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == ';' || c == '=' || c == '|' || c == ':' {
			b.WriteByte('=')
			b.WriteByte(hexDigits[c>>4])
			b.WriteByte(hexDigits[c&15])
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
