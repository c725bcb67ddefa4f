package bounce

import (
	"time"

	"github.com/postroad/postroad/event"
	"github.com/postroad/postroad/mail"
	"github.com/postroad/postroad/message"
)

// Bounds of one reading. A report about more recipients, or with a longer
// notification, is cut; real ones have hundreds of recipients at most (Exim
// and Sendmail, for a mailing list that died) and some kilobytes of text.
const (
	MaxResults = 1000
	MaxText    = 256 << 10 // bytes of notification text
	maxDepth   = 3         // of reports in forwarded mails that are looked into
)

// Kind says what a mail is.
type Kind string

// The kinds.
const (
	KindBounce      Kind = "bounce"      // at least one recipient failed
	KindDelayed     Kind = "delayed"     // nothing failed yet, it is still being tried
	KindDelivered   Kind = "delivered"   // a success report: delivered, relayed, expanded
	KindFeedback    Kind = "feedback"    // somebody complained, RFC 5965
	KindAutoReply   Kind = "auto-reply"  // a vacation notice, a read receipt: a mailbox answered
	KindChallenge   Kind = "challenge"   // a filter asks the sender to prove to be human
	KindBackscatter Kind = "backscatter" // a report about mail that was never ours
	KindMessage     Kind = "message"     // ordinary mail
)

// Options is what the caller knows.
type Options struct {
	// Ours are domains (with everything below them), addresses, hosts and IP
	// addresses that are ours. Where there are none nothing can be told, and
	// every result has Ours unknown.
	Ours []string
}

// Report is what one mail states.
type Report struct {
	Kind     Kind
	Format   string         // who wrote it, as far as the form shows: "dsn", "exchange-ndr", "postfix", ...
	Results  []event.Bounce // in the order of the report
	Feedback *event.Complaint
	Original Original
	Why      []mail.Reason // what the kind was told from; keys of the text catalogue

	reporter string // the domain that the report was sent from
}

// Original is what the report has of the mail that it is about.
type Original struct {
	MessageID    string
	From         string // the header as it stands, RFC 2047 decoded
	To           string
	Subject      string
	EnvelopeFrom string // the reverse-path, where the report knows it
	Recipients   []string
	Date         time.Time
	Header       message.Header // of the returned mail; empty where it was not returned
}

// The grounds of a kind: keys of the text catalogue.
const (
	whyStatus     = "bounce.why.delivery-status"   // it has a delivery status part
	whyLoose      = "bounce.why.loose-status"      // it has delivery status fields in its text
	whyHeader     = "bounce.why.header"            // a header that only reports have
	whyDaemon     = "bounce.why.daemon"            // the sender is a mail program
	whyNullSender = "bounce.why.null-sender"       // the return path is empty
	whySubject    = "bounce.why.subject"           // the subject is one of a report
	whyWords      = "bounce.why.words"             // the words that a report begins with
	whyReturned   = "bounce.why.returned-only"     // no address in the text; taken from the returned mail
	whyForwarded  = "bounce.why.forwarded"         // it was found in a forwarded mail
	whyFeedback   = "bounce.why.feedback"          // it has a feedback report part
	whyComplaint  = "bounce.why.complaint-form"    // the form of a provider's complaint mail
	whyEventMail  = "bounce.why.notification-json" // a mail service's event as JSON
	whyReceipt    = "bounce.why.receipt"           // it has a disposition notification part
	whyAuto       = "bounce.why.auto-reply"        // marked as an automatic reply
	whyChallenge  = "bounce.why.challenge"         // the words of a challenge
	whyOrdinary   = "bounce.why.ordinary"          // none of these
)

// Read tells what the mail m is and what it reports. It never fails: what is no
// report has Kind message.
func Read(m *message.Message, o Options) Report {
	if m == nil || len(m.Parts) == 0 {
		return ordinary()
	}
	r := read(m, &m.Parts[0], 0)
	r.outcomes()
	r.judge(newOwn(o.Ours))
	return r
}

func ordinary() Report {
	return Report{Kind: KindMessage, Why: []mail.Reason{{Key: whyOrdinary}}}
}

// read reads the mail whose outermost part is root: the mail itself, or one
// that was forwarded in it.
func read(m *message.Message, root *message.Part, depth int) Report {
	d := survey(m, root)
	d.depth = depth
	for _, try := range [...]func(*draft) (Report, bool){
		readFeedback, readStatus, readReceipt, readEventMail, readChallenge, readWords,
		readAutoReply, readComplaintForm, readForwarded,
	} {
		if r, ok := try(d); ok {
			if len(r.Results) > MaxResults {
				r.Results = r.Results[:MaxResults]
			}
			return r
		}
	}
	r := ordinary()
	return r
}

// kindOf gives the kind of a report by its results: one failure makes a bounce.
func kindOf(results []event.Bounce) Kind {
	kind := KindDelivered
	for i := range results {
		switch results[i].Action {
		case mail.ActionFailed, "":
			return KindBounce
		case mail.ActionDelayed:
			kind = KindDelayed
		}
	}
	if len(results) == 0 {
		return KindBounce
	}
	return kind
}

// outcomes says of every result how hard the refusal was.
func (r *Report) outcomes() {
	for i := range r.Results {
		r.Results[i].Outcome = outcomeOf(&r.Results[i])
	}
}

// outcomeOf gives the severity of what was reported: that of the report's own
// status, else that of the reply, else that of the action. Action and outcome
// are two facts: mail that was given up after temporary refusals has failed, and
// its outcome is temporary. Who reads both knows that a later message may pass.
func outcomeOf(b *event.Bounce) mail.Outcome {
	switch b.Action {
	case mail.ActionDelayed:
		return mail.Temporary
	case mail.ActionDelivered, mail.ActionRelayed, mail.ActionExpanded:
		return mail.Delivered
	}
	status, _, _ := mail.ParseEnhanced(b.Status)
	for _, o := range []mail.Outcome{mail.OutcomeOf(0, status), b.Reply.Mail().Outcome()} {
		if o == mail.Temporary || o == mail.Permanent {
			return o
		}
	}
	return mail.Permanent
}
