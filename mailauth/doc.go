// Package mailauth is the vocabulary of mail authentication: the results of
// RFC 8601 and the Authentication-Results field, read as receivers write it
// (Microsoft's form too) and written as the RFC says.
//
// Field bodies come in, results come out and the other way round; no I/O,
// nothing survives a crash. [Parse] reads what others wrote and never fails on a
// part of it, [Results.Append] writes a field that no value can break out of, and
// [Claims] tells the fields that a border has to take out of mail from outside.
// The methods themselves are in the folders below: spf, dkim (with ARC), dmarc,
// tlspolicy (MTA-STS, DANE, TLS-RPT). What reads headers of received mail
// (diagnose/header) uses it, and whoever receives mail.
//
// A field says what its writer says; who wrote it has to be known from where it
// stands in the header (RFC 8601 section 4.1).
package mailauth
