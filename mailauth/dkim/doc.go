// Package dkim signs and verifies mail (RFC 6376, RFC 8463) and verifies ARC
// chains (RFC 8617). A message as bytes comes in; signatures as header fields,
// or results with the reason, domain, selector and key of each signature come
// out.
//
// Keys are asked through the resolver that it is given. Nothing survives a
// crash.
package dkim
