// Package mailauth is the vocabulary of mail authentication: the results of
// RFC 8601 and the Authentication-Results field, read as receivers write it
// (Microsoft's form too) and written as the RFC says.
//
// Field bodies come in, results come out and the other way round; no I/O,
// nothing survives a crash. The methods themselves are in the folders below:
// spf, dkim (with ARC), dmarc, tlspolicy (MTA-STS, DANE, TLS-RPT).
package mailauth
