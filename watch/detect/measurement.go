package detect

import "github.com/postroad/postroad/mail"

// Tally is what came of the attempts at one address, from one source, for one
// domain during an incident.
type Tally struct {
	ID        ID
	Delivered int64
	Failed    int64 // failed attempts of the incident's cause
}

// Neighbour is another provider while an incident lasted.
type Neighbour struct {
	Provider ID
	Messages int64 // attempts with a result: Delivered + Failed
	Failed   int64 // attempts that failed for anything but the recipient's part
	Share    float64
	Before   float64 // the same share in the stretch before
	Incident int     // Number of an incident of its own that overlaps, 0 for none
	Alike    bool    // ... of the same cause
}

// Measurement is what a second pass over the observations counts for one
// incident, over its spans.
type Measurement struct {
	Incident Incident

	Messages       int64 // distinct message-recipients that were tried
	FailedMessages int64 // ... that failed at least once for the cause
	Attempts       int64
	Failures       int64 // failed attempts of the cause
	Suspended      int64 // ... without an attempt of their own
	Permanent      int64 // ... that were final refusals
	Delivered      int64 // attempts that delivered

	Rate         *float64 // Failures / Attempts; nil where no delivery is in the input
	BaselineRate *float64 // the same in the stretch before; nil where there is none
	Baseline     int64    // attempts in the stretch before

	Addresses        []Tally // theirs, the most failed first
	Sources          []Tally // ours
	SenderDomains    []Tally
	RecipientDomains []Tally

	Stage           mail.Stage // where most failures with a known stage ended
	StageShare      float64    // their share of the failures with a known stage
	Recipients      int64      // distinct recipients whose mail failed
	RecipientsMixed *bool      // the same recipients got some messages and not others; nil where that cannot be seen
	MixedRecipients int64      // how many of them

	Classes map[mail.Class]int64 // failed messages' attempts by class, of the cause
	Others  []Neighbour          // other providers meanwhile, the busiest first

	VolumeFactor float64 // messages in the hour around the begin, against a busy hour before; 0 where unknown
	FailuresOnly bool    // nothing in the input tells of a delivery
	NoBefore     bool    // the input begins within the trouble
	Estimated    bool    // distinct counts are estimates: there were more than are kept
	Truncated    bool    // a list reached its limit
}
