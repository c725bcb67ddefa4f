// Package detect finds trouble in a stream of delivery facts: which receiving
// provider began to refuse for which cause, when that was certain, when it was
// over, and whose trouble it is.
//
// Facts come in one by one in the order of time ([Observation]); incidents go
// out. Every decision is a pure function of the facts so far and their times:
// no clock, no look-ahead, no I/O, so that a replay gives the same result and
// nothing has to survive a crash but the facts. It is used by analyze for files,
// and live by the server.
package detect

import "github.com/postroad/postroad/mail"

// ID stands for a name in a table of the caller's: a provider, an address, a
// domain. 0 is "not known".
type ID = uint32

// Observation is what the detector needs to know of one fact.
type Observation struct {
	Time int64 // nanoseconds since 1970, UTC

	// Message is the identity of one message to one recipient, a hash: all
	// retries share it. Recipient is the identity of the mailbox.
	Message, Recipient uint64

	// Mail is the identity of the message whatever its recipients, 0 where not
	// known: one mail that fails for thirty recipients at once is one piece of
	// evidence and a little more.
	Mail uint64

	Provider        ID // who receives
	Address         ID // their address that was reached or tried (or their host where only that is known)
	Source          ID // our address or host that made the attempt
	SenderDomain    ID
	RecipientDomain ID

	Class   mail.Class   // why it failed, "" for a delivery
	Outcome mail.Outcome // Delivered, Temporary, Permanent
	Stage   mail.Stage   // where the attempt ended, where known
	Delay   int64        // nanoseconds since the message was received, 0 where not known
	Actor   mail.Actor   // whose move the diagnosis says it is

	Final     bool // delivered, or given up
	Suspended bool // deferred without an attempt of its own, because an earlier one had failed
	Session   bool // one host failed on the way, the message itself may have gone to the next: no Message
	Summary   bool // the time is that of the message, not of the attempt (a trace summary, a bounce without attempt time)
}
