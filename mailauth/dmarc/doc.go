// Package dmarc finds a domain's DMARC policy and judges a message by it
// (RFC 9989, and the older records of RFC 7489 as they were meant). The author's
// domain and the results of SPF and DKIM come in; the verdict, the record, the
// way it was found and every alignment come out.
//
// DNS is asked through the resolver that it is given. Nothing survives a crash.
package dmarc
