package world

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/postroad/postroad/mail"
)

// Kind is what an event is.
type Kind string

// The kinds of events.
const (
	Began    Kind = "began"    // a session; of a refused connection only the refusal
	Accepted Kind = "accepted" // one message for one recipient is here
	Refused  Kind = "refused"  // a reply of 4xx or 5xx, for one recipient where there are any
	Cut      Kind = "cut"      // the connection, by us
	Hung     Kind = "hung"     // we fell silent
	Lost     Kind = "lost"     // the client left or broke off in the middle of a message
	Policy   Kind = "policy"   // an MTA-STS policy was fetched, or asked for in vain
	Ended    Kind = "ended"    // a session
)

// Event is one thing that happened. It is a line of the JSON that a world
// writes; fields that do not apply are absent.
type Event struct {
	Time     time.Time  `json:"time"` // of the world's clock
	Kind     Kind       `json:"kind"`
	Session  uint64     `json:"session,omitempty"`
	Provider string     `json:"provider,omitempty"`
	Host     string     `json:"host,omitempty"`
	Address  netip.Addr `json:"address,omitzero"`
	Source   netip.Addr `json:"source,omitzero"`
	Hello    string     `json:"hello,omitempty"`
	User     string     `json:"user,omitempty"`  // who authenticated
	Stage    mail.Stage `json:"stage,omitempty"` // as in a temper's at

	// Of a message. Answered says that the last reply was given to the
	// connection; without it the sender cannot know that the message is here.
	MessageID string `json:"message_id,omitempty"` // with its angle brackets
	Sender    string `json:"sender,omitempty"`
	Recipient string `json:"recipient,omitempty"`
	TLS       string `json:"tls,omitempty"` // "TLS 1.3"; "" in clear
	Bytes     int64  `json:"bytes,omitempty"`
	SHA256    string `json:"sha256,omitempty"` // of the content, without dot-stuffing
	Answered  bool   `json:"answered,omitempty"`

	Code   int    `json:"code,omitempty"`
	Text   string `json:"text,omitempty"`
	Reason string `json:"reason,omitempty"` // the name of the temper, or what it was else
}

// Cause groups refusals, cuts and silences.
type Cause struct {
	Provider string     `json:"provider"`
	Kind     Kind       `json:"kind"`
	Stage    mail.Stage `json:"stage"`
	Code     int        `json:"code,omitempty"`
	Reason   string     `json:"reason"`
}

// Arrival names a message at a recipient.
type Arrival struct {
	MessageID string `json:"message_id"`
	Recipient string `json:"recipient"`
}

// Truth is what really happened: the count of everything that arrived and did
// not.
type Truth struct {
	Sessions  int             `json:"sessions"`
	Accepted  []Event         `json:"accepted"`  // in their order; at most Options.Keep of them
	Messages  int             `json:"messages"`  // all that were accepted, by recipient
	Forgotten int             `json:"forgotten"` // of these not in Accepted
	Causes    map[Cause]int   `json:"-"`
	Copies    map[Arrival]int `json:"-"` // of what is in Accepted: how often it arrived
	By        map[string]int  `json:"by_provider"`
	Tally     []Tally         `json:"causes"` // Causes, most first
	Again     []Repeated      `json:"duplicates"`
}

// Tally is a cause with its number.
type Tally struct {
	Cause
	Count int `json:"count"`
}

// Repeated is a message that a recipient has more than once.
type Repeated struct {
	Arrival
	Count int `json:"count"`
}

// Delivered says how often a message arrived at a recipient, both without angle
// brackets or with them.
func (t *Truth) Delivered(messageID, recipient string) int {
	return t.Copies[Arrival{bracketed(messageID), address(recipient)}]
}

// Count adds up causes: "" and 0 stand for any.
func (t *Truth) Count(c Cause) (n int) {
	for have, count := range t.Causes {
		if (c.Provider == "" || c.Provider == have.Provider) && (c.Kind == "" || c.Kind == have.Kind) &&
			(c.Stage == "" || c.Stage == have.Stage) && (c.Code == 0 || c.Code == have.Code) &&
			(c.Reason == "" || c.Reason == have.Reason) {
			n += count
		}
	}
	return n
}

func bracketed(id string) string {
	if id == "" || strings.HasPrefix(id, "<") {
		return id
	}
	return "<" + id + ">"
}

func address(s string) string {
	if a, err := mail.ParseAddress(s); err == nil {
		return a.Key()
	}
	return strings.ToLower(s)
}

// ledger collects events into the truth.
type ledger struct {
	mu     sync.Mutex
	keep   int
	truth  Truth
	out    *json.Encoder
	outErr error
	watch  func(Event)
}

// maxCauses bounds the causes that are counted apart.
const maxCauses = 10_000

func newLedger(keep int, out io.Writer, watch func(Event)) *ledger {
	l := &ledger{keep: keep, watch: watch, truth: newTruth()}
	if out != nil {
		l.out = json.NewEncoder(out)
		l.out.SetEscapeHTML(false)
	}
	return l
}

func newTruth() Truth {
	return Truth{Causes: make(map[Cause]int), Copies: make(map[Arrival]int), By: make(map[string]int)}
}

func (l *ledger) record(e Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.truth.add(e, l.keep)
	if l.out != nil && l.outErr == nil {
		l.outErr = l.out.Encode(e)
	}
	if l.watch != nil {
		l.watch(e)
	}
}

func (t *Truth) add(e Event, keep int) {
	switch e.Kind {
	case Began:
		t.Sessions++
	case Accepted:
		t.Messages++
		t.By[e.Provider]++
		if len(t.Accepted) >= keep {
			t.Forgotten++
			return
		}
		t.Accepted = append(t.Accepted, e)
		t.Copies[Arrival{e.MessageID, e.Recipient}]++
	case Refused, Cut, Hung, Lost:
		c := Cause{e.Provider, e.Kind, e.Stage, e.Code, e.Reason}
		if _, known := t.Causes[c]; !known && len(t.Causes) >= maxCauses {
			c = Cause{Kind: e.Kind}
		}
		t.Causes[c]++
	case Ended, Policy:
	}
}

// snapshot gives a copy of the truth as it is now.
func (l *ledger) snapshot() Truth {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.truth.copied()
}

func (t *Truth) copied() Truth {
	c := *t
	c.Accepted = append([]Event{}, t.Accepted...) // empty and not null in JSON, as the others
	c.Causes, c.Copies, c.By = clone(t.Causes), clone(t.Copies), clone(t.By)
	c.Tally, c.Again = []Tally{}, []Repeated{}
	for cause, n := range c.Causes {
		c.Tally = append(c.Tally, Tally{cause, n})
	}
	slices.SortFunc(c.Tally, func(a, b Tally) int {
		if a.Count != b.Count {
			return b.Count - a.Count
		}
		return strings.Compare(fmt.Sprint(a.Cause), fmt.Sprint(b.Cause))
	})
	for arrival, n := range c.Copies {
		if n > 1 {
			c.Again = append(c.Again, Repeated{arrival, n})
		}
	}
	slices.SortFunc(c.Again, func(a, b Repeated) int {
		return strings.Compare(a.MessageID+a.Recipient, b.MessageID+b.Recipient)
	})
	return c
}

func clone[K comparable, V any](m map[K]V) map[K]V {
	c := make(map[K]V, len(m))
	for k, v := range m {
		c[k] = v
	}
	return c
}

const maxEventLine = 64 << 10

// ReadTruth reads the lines that a world wrote, for other processes. A last
// line that is not whole (the world is writing it) is left out; any other that
// cannot be read is an error with its number. At most keep accepted messages
// are kept, 0 being a million.
func ReadTruth(r io.Reader, keep int) (Truth, error) {
	if keep <= 0 {
		keep = 1_000_000
	}
	t := newTruth()
	in := bufio.NewReaderSize(r, maxEventLine)
	for number := 1; ; number++ {
		line, err := in.ReadSlice('\n')
		if err == io.EOF {
			return t.copied(), nil
		}
		if err != nil {
			return t.copied(), fmt.Errorf("read truth: line %d: %w", number, err)
		}
		var e Event
		if err := json.Unmarshal(line, &e); err != nil {
			return t.copied(), fmt.Errorf("read truth: line %d: %w", number, err)
		}
		t.add(e, keep)
	}
}
