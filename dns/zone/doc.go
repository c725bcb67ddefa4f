// Package zone is an authoritative name server whose zones are plain data: what
// the tests of everything that asks DNS talk to, and the DNS of the simulated
// outside (world). Text of master files (RFC 1035 section 5) comes in; answers
// go out over UDP, over TCP or in memory.
//
// It answers as RFC 1034 section 4.3.2 says, with wildcards (RFC 4592), empty
// non-terminals, negative answers that carry the SOA (RFC 2308), referrals and,
// for zones that it signs, the proofs of DNSSEC (RFC 4035 section 3.1). Where its
// data says so it misbehaves instead: slow, truncated, lame, silent, spoofed,
// malformed; see [Behaviour] and the $ANSWER lines of [Parse].
//
// A [Data] may be changed while it serves. Nothing survives a crash: the data is
// the caller's.
package zone
