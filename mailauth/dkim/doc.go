// Package dkim signs and verifies mail (RFC 6376 with RFC 8301, 8463 and 8616)
// and verifies ARC chains (RFC 8617).
//
// A message comes in as its header and a reader of its body, which is read
// once and never held: 50 MB cost as much memory as 5 kB. Out come
// DKIM-Signature fields to put before the message, or what each signature and
// each ARC set came to, with a typed Reason, the key it was checked with and
// what it leaves open (fields that may be added, bytes that may be appended).
// Chains are not sealed: ARC is on its way to Historic.
//
// Keys are asked through the resolver that it is given. Nothing survives a
// crash. The relay signs with it, the audit reads signatures and key records
// with it, and package dmarc judges by its results.
//
// # Line ends
//
// The algorithms are defined for lines that end with CRLF (RFC 6376 section
// 5.3). Stored mail has often lost the CR, so an LF without a CR before it is
// hashed as CRLF, in the header and in the body, for signing as for
// verifying; Report.BareLF says that it happened. On the wire there is no such
// LF: package smtp refuses it. A CR without an LF behind it is a byte like any
// other.
package dkim
