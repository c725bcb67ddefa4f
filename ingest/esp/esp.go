package esp

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
	FormatMailgun    = "mailgun-events"
	FormatSendGrid   = "sendgrid-events"
	FormatSES        = "ses-events"
	FormatPostmark   = "postmark-events"
	FormatKumoMTA    = "kumomta-log"
	FormatSparkPost  = "sparkpost-events"
	FormatMailjet    = "mailjet-events"
	FormatMandrill   = "mandrill-events"
	FormatBrevo      = "brevo-events"
	FormatMailerSend = "mailersend-events"
	FormatResend     = "resend-events"
	FormatMailtrap   = "mailtrap-events"
	FormatSweego     = "sweego-events"
	FormatMailomat   = "mailomat-events"
	FormatPostal     = "postal-events"
	FormatUnisender  = "unisender-events"
)

// RouteWithheld is the route of an attempt that was none: the vendor refused by
// its own list or rules before it asked any host. It tells about the sender's
// list, never about the receiver.
const RouteWithheld = "withheld"

// The limits. A record beyond them is left out, and reading goes on behind it.
const (
	maxRecord = 4 << 20 // bytes of one record
	maxDepth  = 32      // of nested JSON; the deepest payload known has 9
	maxNodes  = 1 << 17 // JSON values in one record
)

// Options are what a reader needs to know beside the bytes.
type Options struct {
	Zone     *time.Location // of times without one; nil is UTC
	Modified time.Time      // of the file; zero if unknown
	Now      time.Time      // times later than a day after it cannot be; zero is the clock's
	// Skip is told of what is left out: the line, counted from 1, and why. It
	// may be nil.
	Skip func(line int64, why event.Skip)
}

// Sniff tells from the head of a stream whether it is an export that Read
// knows, and which. Some KiB are enough; the last record may be cut.
func Sniff(head []byte) (format string, ok bool) {
	if len(head) > maxRecord {
		head = head[:maxRecord]
	}
	head = plain(head)
	switch firstByte(head) {
	case '{', '[':
		return sniffJSON(head)
	case 0:
		return "", false
	}
	return sniffCSV(head)
}

// Read gives every attempt and complaint of the stream to visit, in the order
// of the stream. The event may be kept. What is left out goes to o.Skip. The
// error is visit's own, or that of the stream.
func Read(r io.Reader, o Options, visit func(e *event.Event) error) error {
	if o.Zone == nil {
		o.Zone = time.UTC
	}
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	if o.Skip == nil {
		o.Skip = func(int64, event.Skip) {}
	}
	d := &reading{o: o, visit: visit, latest: o.Now.Add(24 * time.Hour)}
	w := newWindow(toUTF8(r))
	for w.more() && isSpace(w.b()[0]) {
		w.advance(1)
	}
	switch c := firstByte(w.b()); {
	case !w.more():
		if w.line == 1 {
			o.Skip(0, event.SkipEmpty)
		}
	case c == '{' || c == '[' || looksLikeLines(w):
		d.json(w)
	default:
		d.csv(w)
	}
	if d.err != nil {
		return d.err
	}
	if w.err != nil && !errors.Is(w.err, io.EOF) {
		return fmt.Errorf("read export near line %d: %w", w.line, w.err)
	}
	return nil
}

// looksLikeLines reports whether lines of JSON follow a first line that is none
// and no header either.
func looksLikeLines(w *window) bool {
	for !bytes.ContainsRune(w.b(), '\n') && len(w.b()) < 16<<10 && w.fill() {
		continue // until there is a line
	}
	b := w.b()
	if _, ok := sniffCSV(b); ok {
		return false
	}
	return bytes.Contains(b, []byte("\n{")) || bytes.Contains(b, []byte("\n["))
}

// reading is one run of Read.
type reading struct {
	o      Options
	visit  func(*event.Event) error
	latest time.Time // that an event may have
	err    error     // visit's
	doc    doc       // the record that is read, its memory used again
	last   int       // the vendor of the last record: the next one's is likely the same
	line   int64     // of the record
	raw    []byte    // of the record
	n      int       // events that it gave
}

func (d *reading) skip(why event.Skip) { d.o.Skip(d.line, why) }

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// firstByte gives the first byte that is no white space, 0 for none.
func firstByte(b []byte) byte {
	for _, c := range b {
		if !isSpace(c) {
			return c
		}
	}
	return 0
}
