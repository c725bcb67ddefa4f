package mailauth

import "strings"

// Result is the word that says what came of a method (RFC 8601 section 2.7),
// lower case. Other words than those below are written by receivers and kept as
// they are.
type Result string

// The results of RFC 8601 section 2.7, and those of others that are common.
const (
	None      Result = "none"
	Pass      Result = "pass"
	Fail      Result = "fail"
	SoftFail  Result = "softfail"
	Neutral   Result = "neutral"
	TempError Result = "temperror"
	PermError Result = "permerror"
	Policy    Result = "policy"

	HardFail      Result = "hardfail"      // what RFC 5451 called fail
	Skipped       Result = "skipped"       // BIMI: not looked at
	Declined      Result = "declined"      // BIMI: the domain wants no mark
	BestGuessPass Result = "bestguesspass" // Microsoft: no DMARC record, and it would have passed
	SoftPass      Result = "softpass"      // Microsoft's compauth
)

// Known reports whether a receiver that writes the word means a result by it.
func (r Result) Known() bool {
	switch r {
	case None, Pass, Fail, SoftFail, Neutral, TempError, PermError, Policy,
		HardFail, Skipped, Declined, BestGuessPass, SoftPass,
		"discard", "nxdomain", "signed", "unknown": // DKIM-ADSP, RRVS and older drafts
		return true
	}
	return false
}

// Method is the name of an authentication method (the registry of RFC 8601
// section 6.2), lower case.
type Method string

// The methods that a receiver of today writes.
const (
	SPF      Method = "spf"
	DKIM     Method = "dkim"
	DMARC    Method = "dmarc"
	ARC      Method = "arc"
	Auth     Method = "auth"     // SMTP AUTH
	IPRev    Method = "iprev"    // reverse DNS that leads back, RFC 8601 section 3
	BIMI     Method = "bimi"     // draft-brand-indicators-for-message-identification
	DNSWL    Method = "dnswl"    // RFC 8904
	CompAuth Method = "compauth" // Microsoft's sum of them all
)

// Known reports whether the name is a registered method, or one that large
// receivers use without a registration.
func (m Method) Known() bool {
	switch m {
	case SPF, DKIM, DMARC, ARC, Auth, IPRev, BIMI, DNSWL, CompAuth,
		"dkim-adsp", "dkim-atps", "domainkeys", "sender-id", "vbr", "rrvs", "smime":
		return true
	}
	return strings.HasPrefix(string(m), "x-")
}

// Property is one "ptype.property=pvalue": what the method looked at.
type Property struct {
	Type  string `json:"type,omitempty"` // smtp, header, body, policy, dns; "" where a receiver writes none ("action=none")
	Name  string `json:"name"`
	Value string `json:"value"` // without the quotation marks that stood round the whole of it
}

// Key gives the property's name as it is written: "smtp.mailfrom", "action".
func (p Property) Key() string {
	if p.Type == "" {
		return p.Name
	}
	return p.Type + "." + p.Name
}

// MethodResult is what one method came to.
type MethodResult struct {
	Method     Method     `json:"method"`
	Version    string     `json:"version,omitempty"` // of the method; digits, as a rule none
	Result     Result     `json:"result"`
	Reason     string     `json:"reason,omitempty"`
	Comment    string     `json:"comment,omitempty"` // the first one, without its brackets
	Properties []Property `json:"properties,omitempty"`
}

// Property gives the value of the first property of that type and name, both
// lower case; type "" is a property without one. The value may be "".
func (m MethodResult) Property(kind, name string) (value string, ok bool) {
	for _, p := range m.Properties {
		if p.Type == kind && p.Name == name {
			return p.Value, true
		}
	}
	return "", false
}

// Results is one Authentication-Results field (RFC 8601 section 2.2) or
// ARC-Authentication-Results field (RFC 8617 section 4.1.1).
type Results struct {
	Instance   int            `json:"instance,omitempty"` // i= of an ARC set, 1 to 50; 0 in the plain field
	AuthServID string         `json:"authserv_id"`        // who says so; "" in Microsoft's form, which has none
	Version    string         `json:"version,omitempty"`  // of the field's syntax; digits, as a rule none
	Methods    []MethodResult `json:"methods"`            // none: the field says "none"
}

// Find gives the first result of a method.
func (r Results) Find(m Method) (MethodResult, bool) {
	for _, res := range r.Methods {
		if res.Method == m {
			return res, true
		}
	}
	return MethodResult{}, false
}

// isKeyword tells the Keyword of RFC 8601 section 2.2 (Ldh-str of RFC 5321), and
// the underscore that some write.
func isKeyword(s string) bool {
	if s == "" || len(s) > maxKeyword {
		return false
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; !isAlnum(c) && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// isName tells the name of a property: a Keyword in which dots may stand, for
// names of header fields and of sub-properties do have them.
func isName(s string) bool {
	if s == "" || len(s) > maxKeyword {
		return false
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; !isAlnum(c) && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}

func isVersion(s string) bool { return s != "" && len(s) <= 8 && strings.Trim(s, "0123456789") == "" }

func isAlnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
