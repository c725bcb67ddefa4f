// Package event is the record of facts: every delivery attempt that Postroad
// made or read about, every bounce and complaint that came back, is one [Event].
//
// Formats come in through the readers (diagnose/bounce, ingest/...), which give
// bodies; what is derived from them (provider, diagnosis) is never stored here,
// so that history can be diagnosed again with better rules. An Event is plain
// data with a JSON form and a stable id; the package does no I/O, and what
// survives a crash is the business of who stores it.
package event

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/postroad/postroad/mail"
)

// Schema is the version of the JSON form that this package writes.
const Schema = 1

// Kind names the body that an event carries.
type Kind string

// The kinds. More come with the parts that write them.
const (
	KindAttempt   Kind = "attempt"   // one try to deliver to one recipient
	KindBounce    Kind = "bounce"    // what a report says of one recipient
	KindComplaint Kind = "complaint" // a feedback report, RFC 5965
)

// Origin is where the evidence came from.
type Origin struct {
	Format string `json:"format"`          // "postfix-log", "dsn", "exchange-ndr", ...
	Host   string `json:"host,omitempty"`  // the host that wrote the evidence, as it calls itself
	Grade  Grade  `json:"grade,omitempty"` // how near the evidence is to the attempt
}

// Grade says how near a piece of evidence is to the attempt that it tells of. Where
// several tell of one attempt the highest grade is the fact, and the others
// stand beside it.
type Grade uint8

// The grades, the farthest first.
const (
	GradeReport  Grade = iota + 1 // a bounce: the last attempt of a message, told to its sender
	GradeSummary                  // a row for a message and recipient: what became of it in the end
	GradeDetail                   // a row for each step or attempt, exported from the sender's platform
	GradeLog                      // the log of the host that made the attempt
)

// Skip is why a piece of input was left out. The words a user reads for it are
// in the catalogue under "skip." and the value.
type Skip string

// The reasons to leave input out.
const (
	SkipUnreadable Skip = "unreadable"     // the operating system refused it
	SkipMissing    Skip = "missing"        // there is no such file
	SkipEmpty      Skip = "empty"          // nothing is in it
	SkipUnknown    Skip = "not-recognised" // no reader knows the form
	SkipBinary     Skip = "binary"         // not text
	SkipLong       Skip = "long-line"      // a line beyond the limit
	SkipCut        Skip = "cut"            // it ends in the middle: of a row, of an archive
	SkipEncoding   Skip = "encoding"       // the character encoding changes in the middle or is none that is known
	SkipBomb       Skip = "too-large"      // it unpacks to more than the limit
	SkipNested     Skip = "nested"         // archives in archives beyond the limit
	SkipLoop       Skip = "loop"           // a link that leads back, or a file that was read already
	SkipSpecial    Skip = "special-file"   // a device, socket or pipe
	SkipStamp      Skip = "time-stamp"     // a time that cannot be: none, in the future, before there was mail
	SkipBroken     Skip = "broken"         // the form is known, the content is not what the form asks for
	SkipMany       Skip = "too-many"       // beyond what is kept
)

// Body is one of the typed bodies: [Attempt], [Bounce], [Complaint].
type Body interface{ EventKind() Kind }

// Event is the fixed header and one typed body.
type Event struct {
	ID     string
	Time   time.Time // UTC, to the nanosecond; zero where the evidence has none
	Origin Origin
	Node   string // the Postroad node that recorded it, "" for a command
	Body   Body
}

// ID gives the stable id of a piece of evidence: the same raw text of the same
// host is the same event, whatever file it was read from and whatever year or
// zone had to be guessed. n tells apart the recipients of one report.
func ID(host string, raw []byte, n int) string {
	h := sha256.New()
	fmt.Fprintf(h, "%d:%s:%d:", len(host), host, n)
	h.Write(raw)
	sum := h.Sum(nil)
	return base32.HexEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:15])
}

// Attempt is one try to deliver one message to one recipient.
type Attempt struct {
	QueueID      string                       `json:"queue_id,omitempty"`
	MessageID    string                       `json:"message_id,omitempty"`
	NetworkID    string                       `json:"network_id,omitempty"` // Exchange's own id of a message, kept from hop to hop
	Sender       string                       `json:"sender,omitempty"`     // the envelope sender, "" for the null sender and where not known
	SenderDomain string                       `json:"sender_domain,omitempty"`
	Recipient    string                       `json:"recipient,omitempty"`
	OrigRcpt     string                       `json:"original_recipient,omitempty"`
	RemoteHost   string                       `json:"remote_host,omitempty"` // the MX host that was reached or tried
	RemoteIP     string                       `json:"remote_ip,omitempty"`
	RemotePort   int                          `json:"remote_port,omitempty"`
	SourceIP     string                       `json:"source_ip,omitempty"`
	SourceHost   string                       `json:"source_host,omitempty"` // our host that made the attempt, where it is not the origin's
	Client       string                       `json:"client,omitempty"`      // who gave the message to us: host name
	ClientIP     string                       `json:"client_ip,omitempty"`
	User         string                       `json:"user,omitempty"` // ... and login (SASL user)
	HELO         string                       `json:"helo,omitempty"`
	Route        string                       `json:"route,omitempty"`  // transport or connector
	Stream       string                       `json:"stream,omitempty"` // the kind of mail, where known
	Stage        mail.Stage                   `json:"stage,omitempty"`
	Reply        Reply                        `json:"reply"`
	Spoke        bool                         `json:"spoke"` // the text is the remote host's, not our own MTA's
	TLS          *TLS                         `json:"tls,omitempty"`
	Outcome      mail.Outcome                 `json:"outcome,omitempty"`
	Final        bool                         `json:"final,omitempty"` // the MTA gave up or delivered
	Number       int                          `json:"number,omitempty"`
	Delay        time.Duration                `json:"delay_ns,omitempty"` // since the message was received
	Durations    map[mail.Stage]time.Duration `json:"durations_ns,omitempty"`
}

// TLS is what a session came to agree on.
type TLS struct {
	Version  string `json:"version,omitempty"`
	Cipher   string `json:"cipher,omitempty"`
	Verified bool   `json:"verified"`
	Policy   string `json:"policy,omitempty"`
}

// Reply is the JSON form of a reply: as read, with the wrappers that the
// evidence put round it.
type Reply struct {
	Code     int      `json:"code,omitempty"`
	Enhanced string   `json:"enhanced,omitempty"`
	Lines    []string `json:"lines,omitempty"`
}

// FromReply gives the stored form of a reply.
func FromReply(r mail.Reply) Reply {
	return Reply{Code: r.Code, Enhanced: r.Enhanced.String(), Lines: r.Lines}
}

// Mail gives the reply back as the vocabulary's type.
func (r Reply) Mail() mail.Reply {
	e, _, _ := mail.ParseEnhanced(r.Enhanced)
	return mail.Reply{Code: r.Code, Enhanced: e, Lines: r.Lines}
}

// Bounce is what a delivery report says of one recipient.
type Bounce struct {
	Recipient      string       `json:"recipient"`                    // as the report names it, final recipient first
	OrigRcpt       string       `json:"original_recipient,omitempty"` // where it differs
	Action         mail.Action  `json:"action"`
	Status         string       `json:"status,omitempty"` // the report's own enhanced code
	Reply          Reply        `json:"reply"`            // as read, wrappers included
	Diagnostic     string       `json:"diagnostic"`       // the raw text that Reply was read from, unfolded
	Spoke          bool         `json:"spoke"`            // the text is a remote host's, not the reporter's own
	RemoteHost     string       `json:"remote_host,omitempty"`
	RemoteIP       string       `json:"remote_ip,omitempty"`
	ReportingHost  string       `json:"reporting_host,omitempty"`
	Stage          mail.Stage   `json:"stage,omitempty"`
	Outcome        mail.Outcome `json:"outcome,omitempty"`
	LastAttempt    time.Time    `json:"last_attempt,omitzero"`
	Arrival        time.Time    `json:"arrival,omitzero"`
	WillRetryUntil time.Time    `json:"will_retry_until,omitzero"`
	EnvelopeID     string       `json:"envelope_id,omitempty"`
	MessageID      string       `json:"message_id,omitempty"` // of the returned message
	Ours           mail.Ours    `json:"ours"`
}

// Complaint is one feedback report (RFC 5965).
type Complaint struct {
	Type         string    `json:"type"` // abuse, fraud, virus, other, not-spam, auth-failure, opt-out
	Recipients   []string  `json:"recipients,omitempty"`
	SourceIP     string    `json:"source_ip,omitempty"`
	MailFrom     string    `json:"mail_from,omitempty"`
	MessageID    string    `json:"message_id,omitempty"`
	UserAgent    string    `json:"user_agent,omitempty"`
	ReportedHost string    `json:"reported_host,omitempty"`
	Arrival      time.Time `json:"arrival,omitzero"`
	Count        int       `json:"count,omitempty"` // Incidents
}

// EventKind implements [Body].
func (*Attempt) EventKind() Kind { return KindAttempt }

// EventKind implements [Body].
func (*Bounce) EventKind() Kind { return KindBounce }

// EventKind implements [Body].
func (*Complaint) EventKind() Kind { return KindComplaint }

type wire struct {
	Schema int             `json:"schema"`
	ID     string          `json:"id"`
	Time   time.Time       `json:"time,omitzero"`
	Kind   Kind            `json:"kind"`
	Origin Origin          `json:"origin"`
	Node   string          `json:"node,omitempty"`
	Body   json.RawMessage `json:"body"`
}

// MarshalJSON writes the event as one object: header, kind, body.
func (e Event) MarshalJSON() ([]byte, error) {
	if e.Body == nil {
		return nil, errors.New("write event: it has no body")
	}
	body, err := json.Marshal(e.Body)
	if err != nil {
		return nil, fmt.Errorf("write event %s: %w", e.ID, err)
	}
	return json.Marshal(wire{Schema, e.ID, e.Time.UTC(), e.Body.EventKind(), e.Origin, e.Node, body})
}

// UnmarshalJSON reads what MarshalJSON wrote. A newer schema or an unknown kind
// is an error: guessing would lose what the event says.
func (e *Event) UnmarshalJSON(b []byte) error {
	var w wire
	if err := json.Unmarshal(b, &w); err != nil {
		return fmt.Errorf("read event: %w", err)
	}
	if w.Schema < 1 || w.Schema > Schema {
		return fmt.Errorf("read event %s: schema %d, this program knows 1 to %d", w.ID, w.Schema, Schema)
	}
	var body Body
	switch w.Kind {
	case KindAttempt:
		body = new(Attempt)
	case KindBounce:
		body = new(Bounce)
	case KindComplaint:
		body = new(Complaint)
	default:
		return fmt.Errorf("read event %s: unknown kind %q", w.ID, w.Kind)
	}
	if err := json.Unmarshal(w.Body, body); err != nil {
		return fmt.Errorf("read event %s: %w", w.ID, err)
	}
	*e = Event{ID: w.ID, Time: w.Time, Origin: w.Origin, Node: w.Node, Body: body}
	return nil
}
