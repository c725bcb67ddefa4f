// Package dmarc finds a domain's DMARC policy and judges a message by it
// (RFC 9989, and the older records of RFC 7489 as they were meant). The author's
// domain and the results of SPF and DKIM come in; the verdict, the record, the
// way it was found and every alignment come out.
//
//   - [ParseRecord] reads a record, [ParseFrom] a From field, [ParseBIMI] a BIMI
//     record: pure functions that say what is wrong with what they read.
//   - [Discover] walks up the DNS tree to a domain's policy and its
//     organisational domain and keeps every step; [Evaluate] judges a message;
//     [Compare] judges it by both standards and says where receivers will differ.
//   - [ReportAuthorised] says whether reports about a domain may go to an
//     address elsewhere.
//
// What DNS denies is knowledge, what it fails to answer is not: the first can end
// in none, the second only in temperror. DNS is asked through the resolver that
// is given, and bounded: eight questions for a domain, and few domains for a
// message. Nothing survives a crash. What receives mail uses it, and the audit.
package dmarc
