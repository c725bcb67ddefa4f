// Package tlspolicy says how a domain wants its mail to be encrypted, and
// whether a session keeps to it: MTA-STS (RFC 8461), DANE for SMTP (RFC 7672),
// and where failures are to be reported (TLS-RPT, RFC 8460). A recipient domain
// and its hosts come in; a policy for each host and a verdict on the
// certificate come out.
//
// MTA-STS policies outlive DNS trouble in a cache, which its user may keep
// over a restart.
package tlspolicy
