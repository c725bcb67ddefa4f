package spf

// Reason is a key that says why a verdict is what it is, or what is wrong with a
// record. The sentences for it are in the catalogues.
type Reason string

// Why a verdict is what it is.
const (
	Matched   Reason = "matched"    // a directive matched
	Unmatched Reason = "unmatched"  // nothing matched and there is no redirect: neutral (RFC 7208 section 4.7)
	NoRecord  Reason = "no-record"  // the name has no SPF record: none (section 4.5)
	NoDomain  Reason = "no-domain"  // the name does not exist: none (section 4.3)
	BadDomain Reason = "bad-domain" // an address literal, one label, an empty or long label: none (section 4.3)
	NoAddress Reason = "no-address" // the client has no IP address: none

	DNSFailed Reason = "dns-failed"  // temperror (section 4.4, section 5)
	DNSBogus  Reason = "dns-bogus"   // DNSSEC refused the answer: temperror
	OutOfTime Reason = "out-of-time" // temperror (section 4.6.4)

	SeveralRecords        Reason = "several-records"         // permerror (section 4.5)
	TooManyLookups        Reason = "too-many-lookups"        // more than ten terms ask DNS: permerror (section 4.6.4)
	TooManyVoids          Reason = "too-many-void-lookups"   // more than two terms got nothing: permerror (section 4.6.4)
	TooManyMX             Reason = "too-many-mx"             // "mx" of a name with more than ten hosts: permerror (section 4.6.4)
	IncludeWithoutRecord  Reason = "include-without-record"  // permerror (section 5.2)
	RedirectWithoutRecord Reason = "redirect-without-record" // permerror (section 6.1)
)

// What is wrong with the text of a record; each is a permerror (RFC 7208
// section 4.6).
const (
	NotARecord         Reason = "not-a-record"        // does not begin with "v=spf1"
	UnknownMechanism   Reason = "unknown-mechanism"   // section 4.6.1
	UnexpectedArgument Reason = "unexpected-argument" // "all:x", "include/24", "ptr/0"
	MissingDomain      Reason = "missing-domain"      // "include", "a:", "redirect="
	MissingAddress     Reason = "missing-address"     // "ip4", "ip6:"
	BadDomainSpec      Reason = "bad-domain-spec"     // does not end in a macro or in a dot and a top label (section 7.1)
	AddressAsName      Reason = "address-as-name"     // "a:192.0.2.1"; ip4 is meant
	BadAddress         Reason = "bad-address"         // "ip4:mail.example.com", "ip4:192.0.2", an IPv6 address in ip4
	BadLength          Reason = "bad-prefix-length"   // "/33", "/08", "//129"
	BadMacro           Reason = "bad-macro"           // section 7.1
	BadOctet           Reason = "bad-octet"           // a control character or one beyond ASCII (section 3.1)
	RepeatedModifier   Reason = "repeated-modifier"   // redirect or exp twice (section 6)
)

// What a walk finds besides: nothing of it changes a verdict by itself.
const (
	ManyLookups       Reason = "many-lookups"          // eight to ten of the ten: one more include breaks it
	VoidLookup        Reason = "void-lookup"           // a term that asked for nothing (section 4.6.4)
	OpenEnd           Reason = "open-end"              // neither "all" nor redirect: neutral for everybody else (section 4.7)
	PassAll           Reason = "pass-all"              // "+all" or "all"
	NeutralAll        Reason = "neutral-all"           // "?all"
	PTRUsed           Reason = "ptr-used"              // "ptr" or %{p}: should not be published (section 5.5)
	TermAfterAll      Reason = "term-after-all"        // a mechanism that is never looked at (section 5.1)
	RedirectIgnored   Reason = "redirect-ignored"      // since there is an "all" (section 6.1)
	UnknownModifier   Reason = "unknown-modifier"      // ignored (section 6)
	RepeatedTerm      Reason = "repeated-term"         // the same mechanism again
	LongRecord        Reason = "long-record"           // more than 450 octets (section 3.4)
	LongAnswer        Reason = "long-answer"           // the name and all its TXT records: more than 450 octets (section 3.4)
	NearRecord        Reason = "near-record"           // looks like a record and is none: "v=spf1;", " v=spf1"
	HostBits          Reason = "host-bits"             // "ip4:192.0.2.1/24"
	WidePrefix        Reason = "wide-prefix"           // wider than /16 or /32: strangers may pass
	PrivateAddress    Reason = "private-address"       // loopback, private, link-local, documentation: useless
	MappedAddress     Reason = "mapped-address"        // an IPv4 address in ip6: matches nobody (section 5)
	UpperCase         Reason = "upper-case"            // in a name of a term or in the version
	TrailingSpace     Reason = "trailing-space"        //
	RepeatedSpace     Reason = "repeated-space"        //
	LongName          Reason = "long-name"             // a name over 253 octets, cut from the left (section 7.3)
	BadName           Reason = "bad-name"              // a name that DNS cannot have: taken as one that does not exist
	Loop              Reason = "loop"                  // a record that leads back to itself
	ManyMXAddresses   Reason = "many-mx-addresses"     // "mx" led to more than ten addresses
	ManyPTRNames      Reason = "many-ptr-names"        // more than ten names: the others are ignored (section 4.6.4)
	AliasedName       Reason = "aliased-name"          // the record is found through a CNAME
	MacroUsed         Reason = "macro-used"            // some receivers do not expand every macro
	SenderMacro       Reason = "sender-macro"          // %{s} or %{l}: never matches a local part beyond ASCII (RFC 8616 section 4)
	ExplanationBroken Reason = "explanation-broken"    // exp= leads to no text, to several or to a faulty one (section 6.2)
	WalkCut           Reason = "walk-cut"              // the tree is larger than what is walked
	NeedsMessage      Reason = "needs-message"         // a survey cannot expand the macro
	BeyondLimit       Reason = "look-ups-beyond-limit" // the whole tree has more than ten; which message fails depends on the order
)

// Finding is one thing that a walk noticed. The zero value of a field is that it
// does not apply.
type Finding struct {
	Reason Reason `json:"reason"`
	Domain string `json:"domain,omitempty"` // whose record it is
	Term   string `json:"term,omitempty"`   // as written
	Name   string `json:"name,omitempty"`   // the name that was asked for
	Count  int    `json:"count,omitempty"`  // octets, look-ups, hosts, addresses
}
