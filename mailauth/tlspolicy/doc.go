// Package tlspolicy says how a domain wants its mail to be encrypted, and
// whether a session keeps to it: MTA-STS (RFC 8461), DANE for SMTP (RFC 7672),
// where failures are to be reported (TLS-RPT, RFC 8460), and what the sender of
// a message asked for (RFC 8689).
//
// In comes a recipient domain with the answer to its MX question. [Hosts]
// makes the hosts of it, [LookupDANE] asks for their TLSA records, an
// [STSCache] knows the policy of the domain. [Plan] makes one [Requirement] of
// all that for each host: pure, with its reason. A session then uses the
// [Requirement]'s TLS configuration, and [Judge] says of what came of it
// whether mail may go that way, in the words of RFC 8460.
//
// The relay, the audit and the probe use it. MTA-STS policies outlive DNS
// trouble in the cache, which its user may keep over a restart (Snapshot and
// Restore); nothing else survives a crash, and nothing else needs to.
package tlspolicy
