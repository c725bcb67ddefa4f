package smtp

import (
	"github.com/postroad/postroad/mail"
)

// Body is the BODY parameter of MAIL (RFC 6152, RFC 3030).
type Body string

// The bodies. The zero value: not given, which is BodySeven.
const (
	BodySeven  Body = "7BIT"
	BodyEight  Body = "8BITMIME"
	BodyBinary Body = "BINARYMIME"
)

// Return is the RET parameter of MAIL (RFC 3461 section 4.3). The zero value: not given.
type Return string

// What comes back with a failure report.
const (
	ReturnFull    Return = "FULL"
	ReturnHeaders Return = "HDRS"
)

// Notify is the NOTIFY parameter of RCPT (RFC 3461 section 4.1), a set. The zero
// value: not given.
type Notify uint8

// When a report is wished.
const (
	NotifyNever Notify = 1 << iota // stands alone
	NotifySuccess
	NotifyFailure
	NotifyDelay
)

// MailCommand is MAIL FROM with its parameters.
type MailCommand struct {
	From       mail.Address
	Size       int64  // octets announced, RFC 1870; 0 if none
	Body       Body   // RFC 6152
	UTF8       bool   // SMTPUTF8, RFC 6531
	Return     Return // RET, RFC 3461
	EnvelopeID string // ENVID, decoded
	Auth       string // AUTH, decoded: a mailbox or "<>" (RFC 4954 section 5); "" if not given
	RequireTLS bool   // RFC 8689
}

// RcptCommand is RCPT TO with its parameters.
type RcptCommand struct {
	To           mail.Address // Postmaster may stand without a domain
	Notify       Notify
	OriginalType string // ORCPT's address type, "rfc822" or "utf-8"; "" if not given
	Original     string // ORCPT's address, decoded
}
