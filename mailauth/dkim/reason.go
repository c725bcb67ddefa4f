package dkim

import (
	"github.com/postroad/postroad/mailauth"
)

// Reason is the key of why a signature does not count. It is a word of the
// protocol, not for people: sentences are the catalogue's.
type Reason string

// The reasons, in the order in which a signature is looked at. The zero value is
// none: the signature passes.
const (
	TooMany          Reason = "too-many"         // behind the last signature that is looked at
	Syntax           Reason = "syntax"           // of the signature; Error.Tag says where
	Version          Reason = "version"          // v= is not 1
	TagMissing       Reason = "tag-missing"      // a required tag; Error.Tag says which
	Algorithm        Reason = "algorithm"        // a= is not known
	SHA1             Reason = "sha1"             // a=rsa-sha1, historic (RFC 8301 section 3.1)
	Canonicalizing   Reason = "canonicalization" // c= is not known
	Query            Reason = "query"            // q= has no method that is known
	IdentityForeign  Reason = "identity"         // i= is not d= or under it
	FromUnsigned     Reason = "from-unsigned"    // h= lacks From
	Future           Reason = "future"           // t= is ahead of the clock
	KeyUnavailable   Reason = "key-unavailable"  // DNS failed; later it may work
	KeyAbsent        Reason = "key-absent"       // no TXT record at the selector
	KeySeveral       Reason = "key-several"      // several key records: undefined (RFC 6376 section 3.6.2.2)
	KeyVersion       Reason = "key-version"      // v= is not DKIM1, or not first
	KeySyntax        Reason = "key-syntax"       // of the record, or of the key in it
	KeyRevoked       Reason = "key-revoked"      // p= is empty
	KeyService       Reason = "key-service"      // s= has neither * nor email
	KeyHash          Reason = "key-hash"         // h= of the key has not the hash of a=
	KeyType          Reason = "key-type"         // k= is unknown, or not that of a=
	KeyShort         Reason = "key-short"        // RSA of less than 1024 bits (RFC 8301 section 3.2)
	KeyLong          Reason = "key-long"         // RSA of more bits than we compute with
	KeyStrict        Reason = "key-strict"       // t=s, and i= is under d= and not d= itself
	LengthBeyondBody Reason = "length"           // l= is more than there is
	BodyHash         Reason = "body-hash"        // the body is not what was signed
	HeaderSignature  Reason = "signature"        // the header is not what was signed, or not with this key
	Expired          Reason = "expired"          // x= is past
	Partial          Reason = "partial"          // l= leaves bytes of the body unsigned, and the caller refuses that

	// Of ARC sets only.
	ChainFailed     Reason = "arc-failed"      // the newest seal says cv=fail
	ChainLong       Reason = "arc-long"        // more than 50 sets (RFC 8617 section 4.2.1)
	ChainInstance   Reason = "arc-instance"    // i= is not there, not a number from 1 to 50, or not the first tag of AAR
	ChainDuplicate  Reason = "arc-duplicate"   // a field is there twice in a set
	ChainIncomplete Reason = "arc-incomplete"  // a field is not there, or a whole set
	ChainStatus     Reason = "arc-status"      // cv= is not what it must be at this instance
	SealTag         Reason = "arc-seal-tag"    // a seal with a tag that it must not have: h=
	SealSigned      Reason = "arc-seal-signed" // the message signature covers seals (RFC 8617 section 4.1.2)
)

// Result gives the word for it (RFC 8601 section 2.7.1, with RFC 6376 section
// 6.1). What was no signature for us is neutral; what passed or would pass but
// is not good enough is policy; what the signer or its zone would have to
// repair is permerror.
func (r Reason) Result() mailauth.Result {
	switch r {
	case "":
		return mailauth.Pass
	case TooMany, Syntax, Version, TagMissing, Algorithm, Canonicalizing, Query:
		return mailauth.Neutral
	case SHA1, KeyShort, KeyLong, Future, Partial:
		return mailauth.Policy
	case KeyUnavailable:
		return mailauth.TempError
	case LengthBeyondBody, BodyHash, HeaderSignature, Expired:
		return mailauth.Fail
	case ChainFailed, ChainLong, ChainInstance, ChainDuplicate, ChainIncomplete, ChainStatus, SealTag, SealSigned:
		return mailauth.Fail // ARC knows no other word (RFC 8617 section 4.4)
	}
	return mailauth.PermError
}

// Error is a reason with its grounds, for operators.
type Error struct {
	Reason Reason
	Tag    string // the tag that is wrong, if one is
	What   string // in short English
	Err    error  // of DNS, of the decoding of a key
}

func (e *Error) Error() string {
	text := string(e.Reason)
	if e.Tag != "" {
		text += " (" + e.Tag + "=)"
	}
	if e.What != "" {
		text += ": " + e.What
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }
