// Package maillog reads the logs that mail servers write: Postfix and Exim whole,
// and the delivery lines of Sendmail, OpenSMTPD, KumoMTA and qmail.
//
// One line comes in ([ParseLine]), or a file of them ([Reader]); delivery
// attempts, what was said on the way to them, and refusals of ours go out, as
// bodies for the event record, with the time, the host and the service that the
// log names. What several lines say together (Message-ID, sender, client, the
// number of the attempt, what a message that was given up was waiting for) is
// put together by a [Join], which is shared by the files of a pile, is bounded,
// and is gone when the program ends. ParseLine is used by explain for what was
// pasted, Reader by analyze.
//
// The scanner is written by hand because logs have millions of lines: no
// regular expressions, and every string of a result is a piece of the text that
// was given. Who keeps a result of Reader for longer than the call clones it.
package maillog

import (
	"strings"
	"time"

	"github.com/postroad/postroad/event"
	"github.com/postroad/postroad/mail"
)

// MaxLine is the longest line that is looked at, in bytes; the rest is cut.
// Syslog daemons cut at 1 to 8 KiB, Exim's own log at 8 KiB.
const MaxLine = 64 << 10

// The formats, as they stand in [event.Origin].
const (
	FormatPostfix   = "postfix-log"
	FormatExim      = "exim-log"
	FormatSendmail  = "sendmail-log"
	FormatOpenSMTPD = "opensmtpd-log"
	FormatKumoMTA   = "kumomta-log"
	FormatQmail     = "qmail-log"
)

// Kind is what sort of fact a line tells.
type Kind string

// The kinds of line.
const (
	// KindDelivery is the result of an attempt for one recipient.
	KindDelivery Kind = "delivery"
	// KindSession is what happened with one remote host before the result is
	// known: the next host may still take the mail. It names no recipient.
	KindSession Kind = "session"
	// KindSuspended is a result without an attempt: the MTA did not try because
	// an earlier attempt failed (Postfix's error and retry services, Exim's
	// "retry time not reached"). The text is that of the earlier attempt.
	KindSuspended Kind = "suspended"
	// KindExpired says that the MTA gave up a whole message. It names no recipient.
	KindExpired Kind = "expired"
	// KindProbe is the result of an address verification: no mail was sent.
	KindProbe Kind = "probe"
	// KindRefusal is our own refusal of a mail that somebody wanted to give us.
	KindRefusal Kind = "refusal"
)

// Direction is which way the mail was to go.
type Direction string

// The directions.
const (
	// Outbound: out of our queue, also into a local mailbox.
	Outbound Direction = "outbound"
	// Inbound: towards us. The remote host of the attempt is the client, HELO
	// is its name, the reply is ours.
	Inbound Direction = "inbound"
)

// Line is what one log line says. Its strings refer into the line.
type Line struct {
	Time      time.Time // as the log has it, in its zone; zero where there is none
	Host      string    // the host that wrote the line, as it calls itself
	Service   string    // "postfix/smtp", "postfix-out/relay/smtp", "exim"; "" if not said
	PID       int
	Origin    event.Origin
	Kind      Kind
	Direction Direction
	Status    string        // the log's own word: "deferred", "==", "milter-reject"
	Enhanced  mail.Enhanced // the log's own code (dsn=), outside the text
	// Diagnostic is the text of the result, wrappers and all ("host X[ip] said:
	// 550 ..."), without the brackets that the log puts round it.
	Diagnostic string
	Router     string        // Exim's router
	Others     []string      // further recipients with the same result (Sendmail)
	BeforeQ    time.Duration // Postfix delays=: before the queue manager had it
	InQ        time.Duration // ... waiting in the queue manager
	Took       time.Duration // the attempt itself: set-up and transmission
	QueuedAs   string        // the queue id that the next host gave the message, where its reply names it
	Part       int           // which of the events of one line this is, counted from 0
	Attempt    *event.Attempt

	room *room // where a reader of whole logs puts what it uses again for each line
}

// room is what a result needs beside the Line: used again for the next line, it
// keeps the reading of a log from allocating.
type room struct {
	attempt event.Attempt
	tls     event.TLS
	text    [1]string
	// Of the line with which Exim takes a message:
	login, local, id string
}

// begin gives an empty attempt to fill.
func (l *Line) begin() *event.Attempt {
	if l.room == nil {
		return new(event.Attempt)
	}
	l.room.attempt = event.Attempt{}
	return &l.room.attempt
}

// tls gives the attempt's TLS facts to fill.
func (l *Line) tls() *event.TLS {
	if a := l.Attempt; a.TLS == nil {
		if l.room == nil {
			a.TLS = new(event.TLS)
		} else {
			l.room.tls = event.TLS{}
			a.TLS = &l.room.tls
		}
	}
	return l.Attempt.TLS
}

// Event gives the line as an event; raw is the line as it was read, which makes
// the id.
func (l Line) Event(raw string) event.Event {
	return event.Event{
		ID:     event.ID(l.Host, []byte(raw), l.Part),
		Time:   l.Time.UTC(),
		Origin: l.Origin,
		Body:   l.Attempt,
	}
}

// ParseLine reads one line. ok is false if it tells neither of a delivery nor
// of a refusal; most lines of a log do not. year is the year of timestamps that
// have none, 0 for the latest year that does not put the line in the future;
// loc is the zone of timestamps that have none, nil for UTC.
func ParseLine(line string, year int, loc *time.Location) (l Line, ok bool) {
	return parseLine(line, func(s string) (time.Time, string, bool) { return cutTime(s, year, loc) })
}

func parseLine(line string, cut stamp) (l Line, ok bool) {
	if len(line) > MaxLine {
		line = line[:MaxLine]
	}
	line = trim(line)
	if len(line) < 12 {
		return Line{}, false
	}
	if line[0] == '{' {
		return parseJSON(line, cut)
	}
	p := cutPrefix(line, cut)
	if p.time.Equal(never) {
		p.time = time.Time{}
	}
	l.Time, l.Host, l.Service, l.PID = p.time, p.host, p.tag, p.pid
	if !parseMessage(&l, p, cut) {
		return Line{}, false
	}
	l.Origin.Host = l.Host
	if l.Direction == "" {
		l.Direction = Outbound
	}
	finish(l.Attempt, &l)
	return l, true
}

// parseMessage tells the formats apart by the shape of the message, not by the
// tag: service names are the user's own.
func parseMessage(l *Line, p prefix, cut stamp) bool {
	s := p.rest
	if s == "" {
		return false
	}
	if eximPrefix(l, &s, cut) {
		return parseExim(l, s)
	}
	if parsePostfix(l, s, p.tag != "") {
		return true
	}
	if strings.HasPrefix(p.tag, "postfix") {
		return false // most lines of its log tell of no delivery
	}
	return parseSendmail(l, s) || parseOpenSMTPD(l, s) || parseQmail(l, s)
}

// finish fills what is the same for every format: the reply's code and text.
func finish(a *event.Attempt, l *Line) {
	if l.Diagnostic == "" {
		if a.Reply.Enhanced == "" && !l.Enhanced.IsZero() {
			a.Reply.Enhanced = l.Enhanced.String()
		}
		return
	}
	code, e, at := findReply(l.Diagnostic)
	a.Reply.Code = code
	if code == 0 || at < 0 || e == "" {
		e = ""
		if !l.Enhanced.IsZero() {
			e = l.Enhanced.String()
		}
	}
	a.Reply.Enhanced = e
	if a.Outcome == mail.Delivered {
		l.QueuedAs = queuedAs(l.Diagnostic)
	}
	if l.room == nil {
		a.Reply.Lines = []string{l.Diagnostic}
		return
	}
	l.room.text[0] = l.Diagnostic
	a.Reply.Lines = l.room.text[:]
}

// queuedAs finds the queue id that the next host tells in its answer: "250 2.0.0
// Ok: queued as 4T6X0z3kWqz9vC" (Postfix), "250 OK id=1rRabc-0001Ab-2C" (Exim).
func queuedAs(s string) string {
	i := strings.Index(s, " queued as ")
	if i >= 0 {
		i += len(" queued as ")
	} else if i = strings.Index(s, " OK id="); i >= 0 {
		i += len(" OK id=")
	} else {
		return ""
	}
	end := i
	for end < len(s) && (isAlnum(s[end]) || s[end] == '-') {
		end++
	}
	if n := end - i; n < 5 || n > 32 {
		return ""
	}
	return s[i:end]
}
