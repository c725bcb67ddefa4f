// Package spool keeps the mail that waits, and loses none of it.
//
// In comes a message with its envelope (Put, which returns when it is durable), and what became of each try (Begin,
// Finish). Out go claims: a part of a message (its recipients of one lane), leased to one worker under a token that
// no other has; the body as a ranged reader; and the outbox, the events in the order of their commits. Over a crash
// survives all that was acknowledged: message, body, the state of every recipient, duties (a report that is owed),
// events not yet forgotten, keys of idempotence. Leases do not survive; a try whose outcome was not yet written is
// due again at the time that its Begin named. Submission puts, the scheduler and the deliverer claim and finish, the
// ledger reads the outbox.
//
// Spool is the contract; Open gives the engine that needs nothing installed, a log of segments with group commit.
// relay/spool/conformance is the contract as a test, for any engine.
package spool

import (
	"context"
	"errors"
	"io"
	"strconv"
	"time"
)

// Spool is durable storage of waiting mail. All methods may be called at the same time.
type Spool interface {
	// Put stores a message and returns its id when it is durable. It reads body to its end. With a key that was
	// put before (within the engine's memory of keys) it stores nothing and gives the first id.
	Put(ctx context.Context, m Mail, body io.Reader) (ID, error)
	// Claim leases up to n parts of the lane that are due, the longest due first. None due is no error.
	Claim(ctx context.Context, lane string, n int, lease time.Duration) ([]*Claim, error)
	// ClaimPart leases one part whether or not it is due: what a person asked for.
	ClaimPart(ctx context.Context, id ID, part int, lease time.Duration) (*Claim, error)
	// Renew makes a lease end after the given time from now.
	Renew(t Token, lease time.Duration) error
	// Release gives a claim back as it was.
	Release(t Token) error
	// Begin writes that a try starts: before the dial. The part is due again at next if no Finish follows, after a
	// crash too. It gives the number of the try, from 1. What is written survives the end of the process at once,
	// and the loss of power with the next commit: the try itself is what may be repeated.
	Begin(ctx context.Context, t Token, next time.Time) (int, error)
	// Finish writes what became of recipients, new duties and the events in one commit, and ends the claim.
	Finish(ctx context.Context, t Token, o Outcome) error
	// Body opens the message's content. Close it.
	Body(id ID) (Body, error)
	// Look reads a message with its live parts.
	Look(id ID) (Message, error)
	// Scan calls visit with the waiting parts of a lane, "" for all lanes, in no order, until it gives false.
	Scan(lane string, visit func(Waiting) bool) error
	// Lanes gives the lanes that hold parts.
	Lanes() ([]LaneState, error)
	// Events reads the outbox after a cursor ("" is its beginning), at most n events and about 1 MiB of them. It does not wait.
	Events(ctx context.Context, after Cursor, n int) ([]Event, Cursor, error)
	// Forget lets go of the events up to the cursor: the reader has them.
	Forget(ctx context.Context, upTo Cursor) error
	// Stats is cheap: counters.
	Stats() Stats
	Close() error
}

// ID names a message in its spool. It is never used twice there.
type ID uint64

func (id ID) String() string { return strconv.FormatUint(uint64(id), 36) }

// ParseID reads what String wrote.
func ParseID(s string) (ID, error) {
	n, err := strconv.ParseUint(s, 36, 64)
	if err != nil {
		return 0, errors.New("parse message id: not an id of this spool: " + strconv.Quote(s))
	}
	return ID(n), nil
}

// Token proves a claim. Finish and the others refuse one whose lease was lost.
type Token uint64

// Cursor is a place in the outbox: opaque, and valid in one spool only.
type Cursor string

// Mail is what Put stores beside the body.
type Mail struct {
	From      string // the reverse-path, "" for null
	Meta      []byte // the caller's own: how it came, DSN parameters, names; at most MaxMeta
	Key       string // of idempotence, "" for none
	Parts     []Part // at least one
	Events    [][]byte
	Discharge Token // a claimed duty that this message fulfils: it ends in the same commit; 0 for none
}

// Part is the recipients of a message that share a lane, or a duty (Note, no recipients).
type Part struct {
	Lane       string
	Next       time.Time // the first try
	Recipients []Recipient
	Note       []byte // of a duty: what is owed
}

// Status is where a recipient stands. A hold is a property of lanes and is not one of them.
type Status uint8

// The states. Queued and Deferred wait, the others are final; being delivered is a claim, not a status.
const (
	Queued Status = iota
	Deferred
	Delivered
	MaybeDelivered // the connection ended after the final dot: RFC 5321 section 4.5.3.2.6; final unless tried again by a person
	Failed
	Expired
	Dropped
	statuses // how many there are
)

// Final reports whether nothing more is tried.
func (s Status) Final() bool { return s > Deferred }

func (s Status) String() string {
	if s < statuses {
		return [...]string{"queued", "deferred", "delivered", "maybe-delivered", "failed", "expired", "dropped"}[s]
	}
	return "status " + strconv.Itoa(int(s))
}

// Recipient is one forward-path and where it stands.
type Recipient struct {
	Address string // as it came in RCPT TO
	Params  string // the caller's own, as DSN parameters
	Status  Status
	Next    time.Time // when Deferred
	Reason  string    // why, as the caller words it
}

// Outcome is what a try came to.
type Outcome struct {
	Results []Result  // of some recipients; the others stay as they are
	Next    time.Time // for recipients that stay queued and for duties; zero leaves the time that Begin set
	Lane    string    // where what is left waits from now on, "" for the same lane
	Done    bool      // a duty is fulfilled
	Owe     []Part    // duties: parts without recipients
	Events  [][]byte  // for the outbox, in order
}

// Result is what became of one recipient, by its place in Claim.Recipients.
type Result struct {
	Recipient int
	Status    Status
	Next      time.Time // when Deferred
	Reason    string
}

// Claim is a leased part.
type Claim struct {
	Token      Token
	ID         ID
	Part       int
	Lane       string
	From       string
	Meta       []byte
	Recipients []Recipient // all of the part, the final ones too, so that places stay
	Note       []byte
	Duty       bool
	Tries      int // begun until now
	Next       time.Time
	Created    time.Time
	Size       int64
	Until      time.Time // the end of the lease
}

// Message is a message as it stands.
type Message struct {
	ID      ID
	From    string
	Meta    []byte
	Created time.Time
	Size    int64
	Parts   []*Claim // the live parts, without tokens
}

// Waiting is a part as the index has it, without its recipients.
type Waiting struct {
	ID      ID
	Part    int
	Lane    string
	Next    time.Time
	Tries   int
	Created time.Time
	Size    int64
	Claimed bool
	Duty    bool
}

// LaneState is a lane at a glance. Next is zero where all is claimed.
type LaneState struct {
	Lane           string
	Waiting, Taken int
	Next           time.Time
}

// Event is one entry of the outbox. Gap is how many events are missing here (then Data is nil): the cap took the
// oldest, or damage did.
type Event struct {
	Cursor Cursor
	Time   time.Time
	Data   []byte
	Gap    int64
}

// Stats are counters since Open, and the state now.
type Stats struct {
	Loading                   bool // older mail is still being read: it is safe, and not yet due
	Messages, Parts, Claims   int
	LiveBytes, DiskBytes      int64
	Segments                  int
	Events                    int
	EventBytes, EventsDropped int64
	Commits, Syncs            int64 // Commits counts operations; the ratio is what group commit gave
	Written, Copied           int64 // bytes to the log; of them by compaction
	Damage                    []Damage
}

// Body is a message's content. ReadAt verifies checksums: ErrDamaged is what does not fit its own.
type Body interface {
	io.ReaderAt
	io.Closer
	Size() int64
}

// Damage is bytes of the log that are not what was written. The file is kept under the name that File says.
type Damage struct {
	File     string
	Offset   int64
	Length   int64
	Messages []ID // as far as known
	What     string
}

// Errors of the contract. Others are those of the file system.
var (
	ErrFull    = errors.New("store mail: the disk has less free space than the limit; free some or lower the limit")
	ErrToken   = errors.New("use claim: its lease was lost or it was finished")
	ErrUnknown = errors.New("find message: no such message or part; it may be done")
	ErrLocked  = errors.New("open spool: another process has it; stop that one first")
	ErrDamaged = errors.New("read spool: the checksum does not fit")
	ErrCursor  = errors.New("read outbox: the cursor is not of this spool, or from after its backup; begin again with an empty one")
	ErrBroken  = errors.New("write spool: an earlier sync failed, so nothing more is accepted; see to the disk and restart")
	ErrClosed  = errors.New("use spool: it is closed")
	ErrVersion = errors.New("open spool: written by a newer version; use that one")
	ErrMail    = errors.New("store mail: over the spool's bounds, or a part without recipients")
	ErrClaimed = errors.New("claim part: somebody has it now")
)

// Bounds of what a message may have beside its body.
const (
	MaxMeta       = 1 << 20
	MaxRecipients = 50_000
	maxRecord     = 16 << 20
)
