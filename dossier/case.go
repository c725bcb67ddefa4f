package dossier

import (
	"time"

	"github.com/postroad/postroad/mail"
)

// Case is one incident in facts. What is not known is left at its zero value
// and is not spoken of, or is said not to be known.
type Case struct {
	Provider     string // the receiving provider's name, for people
	ProviderID   string
	Domains      []string   // recipient domains that are concerned
	MoreDomains  int        // beyond those
	Class        mail.Class // why the attempts fail
	Contributing []mail.Class
	Actor        mail.Actor
	Stage        mail.Stage // where the attempts end, "" where not known
	Several      []string   // other providers that began to fail in the same way at the same time

	Began, Detected time.Time
	Ended           time.Time // zero while it lasts
	Until           time.Time // the last entry of the evidence, zero where not known
	Relapses        []Span

	Messages       int64 // tried; 0 where deliveries are not in the evidence
	FailedMessages int64
	Attempts       int64
	Failures       int64
	Waiting        int64    // messages that wait now
	Rate           *float64 // failed attempts of all attempts; nil where deliveries are not in the evidence
	Baseline       *float64 // the same before it began
	After          *After   // what was tried since it ended

	Addresses []Tally // theirs
	Sources   []Tally // ours

	Senders  []string // domains of ours that are concerned
	Excluded []string // what was excluded and how: sentences in the language of the ticket
	Samples  []Sample // the first five are used

	SPF, DKIM, DMARC Check

	Gateways    []string // in the path between author and sending host, where known
	Attachments []Attachment

	Platform string // the mail platform that sends for us and whose servers we cannot see, such as "Exchange Online"; "" with servers of our own
	Link     string // where the provider takes such requests, "" where not known
	Checked  string // the date on which the link was checked
}

// Span is a time in which it came back; Ended is zero while that lasts.
type Span struct{ Began, Ended time.Time }

// After counts messages that were tried since the end.
type After struct{ Messages, Delivered int64 }

// Tally is what one address did, in attempts.
type Tally struct {
	Address, Host     string
	Delivered, Failed int64
}

// Sample is one failed attempt.
type Sample struct {
	Time                    time.Time
	MessageID, QueueID      string
	SenderDomain, Recipient string
	Host, Address           string // theirs
	SourceHost, Source      string // ours
	Reply                   string // in full
	Evidence                []string
}

// Check is what the evidence shows of SPF, DKIM or DMARC of the mail that is
// concerned.
type Check struct {
	State State
	Since time.Time // since when the record is in force, zero where not known
}

// State is a check's answer.
type State string

// The states; the zero value is "not examined".
const (
	NotExamined State = ""
	Pass        State = "pass"
	Fail        State = "fail"
)

// Attachment is a file to go with the ticket.
type Attachment struct {
	Name   string
	SHA256 string // in hexadecimal
}

// To is whom a ticket is for.
type To string

// The addressees; the zero value leaves the choice to [Addressee].
const (
	Receiving To = "receiving" // the receiving provider's postmaster
	Own       To = "own"       // the support of the sender's own mail provider
)

// Addressee says whom to write to about a case, and why: a key of the catalogue.
// Who does not run the servers that send can only have their provider look at
// them, and it is believed where they are not; but what is in the sender's own
// hands (authentication, content) and what concerns single mailboxes is between
// the sender and the receiving side whoever runs the servers.
func Addressee(c *Case) (to To, why string) {
	switch {
	case c.Actor == mail.ActorSenderProvider:
		return Own, "ticket.to.own.actor"
	case c.Platform == "":
		return Receiving, "ticket.to.receiving.server"
	}
	switch c.Class {
	case mail.Authentication, mail.Content, mail.ReputationDomain, mail.Policy, mail.SenderRejected, mail.Size,
		mail.RecipientUnknown, mail.RecipientInactive, mail.MailboxFull:
		return Receiving, "ticket.to.receiving.class"
	}
	return Own, "ticket.to.own.platform"
}
