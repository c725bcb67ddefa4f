package dns

import (
	"time"
)

// Status is what an answer says about the records asked for. The zero value is
// no answer at all.
type Status uint8

// The statuses. Only Found, Empty and Absent are knowledge; an absence may be
// concluded from Empty and Absent, never from Failed and Bogus.
const (
	Found  Status = iota + 1 // there are records
	Empty                    // the name exists and has no record of this type (NODATA, RFC 2308 section 2.2)
	Absent                   // the name does not exist (NXDOMAIN, RFC 8020)
	Failed                   // not known: a timeout, SERVFAIL, REFUSED, nonsense; Answer.Err says which
	Bogus                    // a validating resolver refused the answer (RFC 4035 section 4.3)
)

// Known reports whether the answer is knowledge about the name: records, or
// their absence.
func (s Status) Known() bool { return s == Found || s == Empty || s == Absent }

// String gives the word used in logs and JSON.
func (s Status) String() string {
	switch s {
	case Found:
		return "found"
	case Empty:
		return "empty"
	case Absent:
		return "absent"
	case Failed:
		return "failed"
	case Bogus:
		return "bogus"
	}
	return "none"
}

// MarshalText writes the word, so that JSON has it everywhere alike.
func (s Status) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Security says what DNSSEC proves of an answer (RFC 4035 section 4.3). The zero
// value is Unavailable: no resolver that we may trust was asked, so nothing is
// known and nothing may be guessed.
type Security uint8

// The values of Security.
const (
	Unavailable Security = iota // no trusted resolver, or it failed its self-test
	Insecure                    // a trusted resolver says: not signed, or in an unsigned zone
	Secure                      // a trusted resolver set AD
)

// String gives the word used in logs and JSON.
func (s Security) String() string {
	switch s {
	case Insecure:
		return "insecure"
	case Secure:
		return "secure"
	case Unavailable:
	}
	return "unavailable"
}

// Answer is what came of one question. Records is not empty if and only if
// Status is Found; Err is not nil if and only if Status is Failed or Bogus.
// Records are shared with the cache: do not change them.
type Answer[T any] struct {
	Name      string // as asked, lower case, without the final dot
	Canonical string // the owner of the records after all CNAMEs; Name if there were none
	Status    Status
	Records   []T
	TTL       time.Duration // what is left of it, also of an absence (RFC 2308 section 5)
	Security  Security
	Server    string // who answered, "192.0.2.53:53"; of a cached answer too
	Cached    bool
	Err       error // an *Error
}

// MX is one mail exchanger (RFC 5321 section 5.1). Host is lower case without
// the final dot; "" is the null MX of RFC 7505.
type MX struct {
	Preference uint16
	Host       string
}

// TLSA is one record of RFC 6698.
type TLSA struct {
	Usage, Selector, MatchingType uint8
	Data                          []byte
}

// SOA is the start of authority of a zone (RFC 1035 section 3.3.13).
type SOA struct {
	Primary, Mailbox                        string
	Serial, Refresh, Retry, Expire, Minimum uint32
}
