// Package spf evaluates the Sender Policy Framework (RFC 7208). An address, a
// HELO name and a reverse-path come in; out comes the verdict of a library, and
// from a walker of our own the same verdict with every look-up that led to it,
// the limits it used up and what is wrong with the records.
//
// DNS is asked through the resolver that it is given. Nothing survives a crash.
package spf
