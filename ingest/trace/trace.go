// Package trace reads what Exchange tells of the mail that it sent: message
// traces of Exchange Online (summary, detail and historical reports of the
// portal, Get-MessageTrace and Get-MessageTraceDetail with and without V2, the
// traces of Graph) and the message tracking log of Exchange on premises, as the
// server writes it and as Get-MessageTrackingLog gives it.
//
// A stream of bytes comes in, as CSV in any separator, order of columns and
// encoding, as Format-List, Format-Table or JSON; one [event.Event] for each
// attempt, or for each row and recipient of a summary, goes out. Rows are read
// one by one; to put attempts in order, to join what several rows say of one
// message and to tell the order of day and month, a bounded number of them is
// held. Nothing survives a crash: who reads again gets the same events with the
// same ids. It is used by analyze.
package trace

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/postroad/postroad/event"
)

// The formats, as they stand in [event.Origin].
const (
	FormatSummary  = "exchange-trace-summary"
	FormatDetail   = "exchange-trace-detail"
	FormatTracking = "exchange-tracking-log"
)

// The limits. What is beyond them is left out and said through Options.Skip.
const (
	MaxRow      = 1 << 20   // bytes of one row, as text
	MaxColumns  = 512       // columns of a table, properties of an object
	MaxDepth    = 16        // of objects in objects
	window      = 8192      // events that are held to be put in order
	shortWindow = 1024      // ... of a summary, once day and month are settled
	remembered  = 1 << 15   // messages that are remembered, twice
	counted     = 1 << 17   // message-recipients whose attempts are counted, twice
	maxText     = 32 << 10  // bytes of a reply
	headerRoom  = 64 << 10  // bytes in which a header must be found
	maxRcpts    = 10_000    // recipients of one row
	sniffRoom   = 256 << 10 // bytes that Sniff looks at
)

// Options say how to read what a file does not say itself.
type Options struct {
	// Zone is the zone of times that have none and stand in no column that
	// says UTC; nil is UTC. What Microsoft documents as UTC stays UTC.
	Zone *time.Location
	// Modified is the time of the file, Now is the time of reading; zero is
	// unknown. They help to tell day from month, and no event is later than
	// Now; times of files are often those of a copy.
	Modified, Now time.Time
	// Skip is told what was left out: the line on which it begins, counted
	// from 1, or 0 for the whole input. May be nil.
	Skip func(line int64, why event.Skip)
}

func (o Options) skip(line int64, why event.Skip) {
	if o.Skip != nil {
		o.Skip(line, why)
	}
}

// errNoTable says that no header was found: not an error of the caller's input
// but a file of another kind.
var errNoTable = errors.New("find the columns of an Exchange trace: there are none; is this file an export of another kind?")

// Sniff says which of the formats the beginning of a file has; ok is false if
// none. A few kilobytes of head suffice.
func Sniff(head []byte) (format string, ok bool) {
	if len(head) > sniffRoom {
		head = head[:sniffRoom]
	}
	t := newText(newDecoder(bytes.NewReader(head), nil))
	s := &sniffer{}
	_ = readForm(t, s) // the head may end anywhere
	return s.format, s.format != ""
}

// sniffer is the sink that only wants to know the columns.
type sniffer struct{ format string }

var errSniffed = errors.New("sniffed")

func (s *sniffer) columns(c *columns) error {
	if s.format = c.format(); s.format != "" {
		return errSniffed
	}
	return nil
}

func (s *sniffer) row(*row) error { return errSniffed }

func (s *sniffer) skip(int64, event.Skip) {}

// sink takes what the readers of the forms find.
type sink interface {
	columns(*columns) error // the columns of the rows that follow
	row(*row) error         // valid during the call only
	skip(line int64, why event.Skip)
}

// Read reads a whole file and visits its events, each once; an event may be
// kept. They come nearly in the order of time: exactly so within 4,096 events, 512 of a
// summary.
// The error is the reader's or the visitor's, or says that the form is none of
// this package; bad rows are no error, see Options.Skip.
func Read(r io.Reader, o Options, visit func(e *event.Event) error) error {
	if o.Zone == nil {
		o.Zone = time.UTC
	}
	in := newInterpreter(o, visit)
	var t *text
	t = newText(newDecoder(r, func() { o.skip(t.line, event.SkipEncoding) }))
	t.mixed = func() { o.skip(t.line, event.SkipEncoding) }
	err := readForm(t, in)
	if err != nil && !errors.Is(err, errNoTable) {
		return err
	}
	switch {
	case t.err == nil || errors.Is(t.err, io.EOF):
	case errors.Is(t.err, io.ErrUnexpectedEOF):
		o.skip(t.line, event.SkipCut) // an archive that ends in the middle
	default:
		if end := in.end(); end != nil {
			return end
		}
		return fmt.Errorf("read the trace: %w", t.err)
	}
	if err != nil {
		return err
	}
	return in.end()
}

// readForm tells the forms apart and reads all that is there.
func readForm(t *text, s sink) error {
	t.fill(headerRoom)
	head := bytes.TrimLeft(t.rest(), " \t\r\n")
	switch {
	case len(head) == 0:
		if len(t.rest()) > 0 || t.fill(1) == 0 {
			s.skip(0, event.SkipEmpty)
			return nil
		}
		return errNoTable
	case head[0] == '{', head[0] == '[':
		return readJSON(t, s)
	case looksLikeList(head):
		return readList(t, s)
	case looksLikeGrid(head):
		return readGrid(t, s)
	}
	return readTable(t, s)
}
