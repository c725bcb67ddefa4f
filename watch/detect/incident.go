package detect

import "github.com/postroad/postroad/mail"

// Options are the limits of a [Detector]; the zero value is right for a file
// as for a server.
type Options struct {
	// Providers is how many receiving providers are followed in full, 20,000
	// where 0. Beyond it those that were idle longest shrink to their counts.
	Providers int
	// Messages is how many failed messages are remembered, so that a retry is
	// told from a message of its own; 1,000,000 where 0.
	Messages int
	// Incidents is how many incidents are kept, 10,000 where 0. Beyond it they
	// are counted in [Detector.Dropped].
	Incidents int
}

// Scope says what of a provider an incident is bound to.
type Scope uint8

// The scopes.
const (
	ScopeAll     Scope = iota // its failures stand out among all mail to the provider
	ScopeAddress              // they stand out only at one of their addresses
	ScopeSource               // they stand out only from one of our addresses
	ScopeSender               // they stand out only for one of our sender domains
)

// Span is one stretch of an incident. A relapse begins the next one. Times are
// nanoseconds since 1970, UTC, and the time of an observation.
type Span struct {
	Began     int64 // the estimated change point, never after Detected
	Detected  int64 // when the evidence sufficed
	Ended     int64 // when it was over, by estimate; 0 while it lasts
	Recovered int64 // when that was certain; 0 while it lasts

	Sufficed int64 // distinct failed messages from Began to Detected
}

// Open reports whether the span lasts.
func (s Span) Open() bool { return s.Ended == 0 }

// Incident is one trouble at one provider: at most one is open at a time for
// a provider and a cause, and a relapse reopens it.
type Incident struct {
	Number   int // 1, 2, 3 in the order of detection
	Provider ID

	Class        mail.Class   // what most of its messages failed for
	Contributing []mail.Class // related classes that had their part, the bigger first
	Spans        []Span       // at least one

	Scope  Scope
	Target ID // the address, source or sender domain of the scope, 0 for ScopeAll

	// Ordinary is the share of messages that failed for the cause before, as
	// the detector took it: learned from OrdinaryOf messages, and where these
	// are few mostly the shipped prior.
	Ordinary   float64
	OrdinaryOf int64
	// Concordance: there was no working time to compare with. What spoke was
	// that different recipients' mail failed alike.
	Concordance bool

	Failed int64 // distinct failed messages so far, all spans, by first failure

	group group
}

// Began is when the first span began.
func (i *Incident) Began() int64 { return i.Spans[0].Began }

// Detected is when the evidence for the first span sufficed.
func (i *Incident) Detected() int64 { return i.Spans[0].Detected }

// Ended is when the last span ended, 0 while it lasts.
func (i *Incident) Ended() int64 { return i.Spans[len(i.Spans)-1].Ended }

// Open reports whether the incident lasts.
func (i *Incident) Open() bool { return i.Ended() == 0 }

// At reports whether t lies in one of the spans.
func (i *Incident) At(t int64) bool {
	for _, s := range i.Spans {
		if t >= s.Began && (s.Ended == 0 || t <= s.Ended) {
			return true
		}
	}
	return false
}

// Covers reports whether failures of class c at the provider belong to the
// incident: its own class and those that are one trouble with it.
func (i *Incident) Covers(c mail.Class) bool {
	g := groupOf(c)
	return g == i.group || g == groupUnclear
}
