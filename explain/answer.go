package explain

import (
	"time"

	"github.com/postroad/postroad/diagnose/header"
	"github.com/postroad/postroad/mail"
)

// Schema is the version of the JSON form.
const Schema = 1

// Kind says what a piece of evidence is.
type Kind string

// The kinds.
const (
	KindBounce      Kind = "bounce"      // a report of a failure
	KindDelayed     Kind = "delayed"     // a report of a delay; the sender goes on trying
	KindDelivered   Kind = "delivered"   // a confirmation
	KindFeedback    Kind = "feedback"    // a complaint, RFC 5965
	KindAutoReply   Kind = "auto-reply"  // an absence note, a receipt, a challenge
	KindBackscatter Kind = "backscatter" // a bounce of what was never ours
	KindReply       Kind = "reply"       // an SMTP reply
	KindLog         Kind = "log"         // a log line of an attempt
	KindHeaders     Kind = "headers"     // a header block without a message
	KindMessage     Kind = "message"     // an ordinary mail
	KindUnknown     Kind = "unknown"
)

// Answer is what is said of one piece of evidence: one mail, one pasted text,
// one log. Its JSON form is described in docs/json.md and is stable.
type Answer struct {
	Schema   int       `json:"schema"`
	File     string    `json:"file"` // as given; "-" for standard input
	Kind     Kind      `json:"kind"`
	Results  []Result  `json:"results"`
	Feedback *Feedback `json:"feedback,omitempty"`
	Headers  *Headers  `json:"headers,omitempty"`
	Reason   string    `json:"reason,omitempty"`  // why the kind is unknown, or why there is no result
	Notes    []string  `json:"notes,omitempty"`   // what was cut, converted or left out
	Grounds  []string  `json:"grounds,omitempty"` // what the kind of a mail, and ours, were told from
	About    string    `json:"about,omitempty"`   // Message-ID of the message that a report is about
	More     int       `json:"more,omitempty"`    // attempts of a log beyond the cap

	ground    string    // the one that decided on ours
	challenge bool      // an auto-reply that wants an answer
	inbound   bool      // a line about mail that we refused ourselves
	when      time.Time // of the report or the line
}

// Answered reports whether anything was recognised.
func (a *Answer) Answered() bool { return a.Kind != KindUnknown }

// Result is the answer for one recipient.
type Result struct {
	Recipient         string       `json:"recipient"`
	OriginalRecipient string       `json:"original_recipient,omitempty"`
	Action            mail.Action  `json:"action,omitempty"`
	Status            string       `json:"status"`
	Code              *int         `json:"code"` // of the outermost reply, null if there is none
	Enhanced          string       `json:"enhanced"`
	Text              string       `json:"text"`
	RemoteHost        string       `json:"remote_host"`
	RemoteIP          string       `json:"remote_ip"`
	Stage             *mail.Stage  `json:"stage"` // null where the evidence does not say
	Outcome           mail.Outcome `json:"outcome"`
	Ours              mail.Ours    `json:"ours"`
	Provider          *Provider    `json:"provider"` // null where nothing names one
	Diagnosis         *Diagnosis   `json:"diagnosis"`
	Explanation       string       `json:"explanation"`
	Next              []string     `json:"next"`

	verdict mail.Diagnosis
	at      time.Time
	until   time.Time // how long the sending side goes on trying
}

// Provider is who runs the receiving hosts, and the name on the mailbox.
type Provider struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Brand string `json:"brand"`

	known   bool     // in the catalogue
	domains []string // some recipient domains that are the same provider
	link    string   // the provider's form or page for senders
}

// Diagnosis is the verdict, its texts in the reader's language.
type Diagnosis struct {
	Class        mail.Class   `json:"class"`
	Contributing []mail.Class `json:"contributing"`
	Retry        mail.Retry   `json:"retry"`
	Actor        mail.Actor   `json:"actor"`
	Confidence   float64      `json:"confidence"`
	Rule         string       `json:"rule"`
	Why          []string     `json:"why"`
	Chain        []Link       `json:"chain"`
	Template     string       `json:"template,omitempty"` // of a text that no rule knows
}

// Link is one layer of the reply, outermost first.
type Link struct {
	Code     *int       `json:"code"`
	Enhanced string     `json:"enhanced"`
	Text     string     `json:"text"`
	Class    mail.Class `json:"class"`
}

// Feedback is a complaint.
type Feedback struct {
	Type      string `json:"type"`
	Recipient string `json:"recipient"`
	SourceIP  string `json:"source_ip"`

	reporter string
}

// Headers is what a header block tells, its findings in the reader's language.
type Headers struct {
	header.Report
	Findings []Finding `json:"findings"` // in place of the report's own
	Why      []string  `json:"why"`      // the grounds of the verdict
}

// Finding is one thing that a header says, with its meaning in words.
type Finding struct {
	header.Finding
	Text string `json:"text"`
}
