// Package queue reads what mail servers show of their queues: what waits, since
// when, for whom, and why it was not delivered.
//
// Listings come in: Postfix (postqueue -p, mailq, postqueue -j), Exim (exim -bp,
// exiqgrep), Sendmail (mailq), qmail (qmail-qread), OpenSMTPD (smtpctl show queue)
// and Exchange (Get-Queue and Get-Message as table, list, CSV or JSON), in UTF-8 or
// UTF-16, also as they are copied from a terminal, with the prompt above. An
// [Item] goes out for each recipient of each message, or for each queue where only
// those are listed. What cannot be read is told to [Options].Skip. Memory is
// bounded by the longest record, nothing is kept, nothing survives. The pipeline
// of analyze uses it to say by provider what waits and whether it moves.
package queue

import (
	"bufio"
	"bytes"
	"io"
	"strings"
	"time"

	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"

	"github.com/postroad/postroad/event"
)

// The formats that [Sniff] tells.
const (
	Postfix         = "postfix-queue"
	PostfixJSON     = "postfix-queue-json"
	Exim            = "exim-queue"
	Sendmail        = "sendmail-queue"
	Qmail           = "qmail-queue"
	OpenSMTPD       = "opensmtpd-queue"
	Exchange        = "exchange-queue"    // Get-Queue
	ExchangeMessage = "exchange-messages" // Get-Message
)

const (
	maxLine   = 1 << 20  // of a listing
	maxObject = 16 << 20 // of a JSON object: a message may have many recipients
	headSize  = 8 << 10  // what Sniff looks at
	headLines = 40
)

// Item is one recipient of one message that waits, or, with Count, all that waits
// in one queue.
type Item struct {
	QueueID    string
	Sender     string    // "" for the null sender and where it is not listed
	Recipient  string    // "" where only queues are listed
	NextHop    string    // the domain that the queue is for, where it is listed
	RemoteHost string    // of the last attempt, as the reason names it
	RemoteIP   string    //
	Arrived    time.Time // zero where it is not listed
	Size       int64     // bytes; 0 where it is not listed
	Held       bool      // by hand, or frozen: it is not tried again by itself
	Active     bool      // it is being delivered now
	Retrying   bool      // it waits after an attempt that failed, though no reason may be listed
	Reason     string    // the last error, as given
	Count      int       // messages: 1 but for a queue
	LastRetry  time.Time // zero where it is not listed
	NextRetry  time.Time
	Line       int64 // where it stands, from 1
}

// Options say what a listing leaves open. Zero values are allowed.
type Options struct {
	Zone     *time.Location // of times without one; UTC where nil
	Modified time.Time      // when the listing was written: what "25m" old and a missing year count from
	Now      time.Time      // instead, where that is not known
	Skip     func(line int64, why event.Skip)
}

// written is when the listing was written.
func (o *Options) written() time.Time {
	if !o.Modified.IsZero() {
		return o.Modified
	}
	return o.Now
}

// Sniff tells by its first lines whether a text is a listing, and which. A listing
// of an empty queue is one, if the server says so much.
func Sniff(head []byte) (format string, ok bool) {
	if len(head) > headSize {
		head = head[:headSize]
	}
	text, _, _ := transform.Bytes(decoder(head), head)
	return sniff(string(text))
}

func sniff(text string) (format string, ok bool) {
	if format := sniffJSON(text); format != "" {
		return format, true
	}
	lines := strings.SplitN(text, "\n", headLines+1)
	for i, line := range lines[:min(len(lines), headLines)] {
		if format := sniffLine(strings.TrimRight(line, "\r")); format != "" {
			return format, true
		}
		if i == 0 && (strings.HasPrefix(line, "From ") || strings.HasPrefix(line, "Received:") || strings.HasPrefix(line, "Return-Path:")) {
			return "", false // a mail that may quote a listing
		}
	}
	return "", false
}

func sniffLine(line string) string {
	start := strings.TrimSpace(line)
	switch {
	case start == "":
		return ""
	case isPostfixHeader(start), start == "Mail queue is empty":
		return Postfix
	case isSendmailHeader(start), strings.HasPrefix(start, "/") && (strings.HasSuffix(start, " is empty") || strings.HasSuffix(start, " requests)") || strings.HasSuffix(start, " request)")),
		strings.HasPrefix(start, "Total requests: "):
		return Sendmail
	}
	if _, ok := eximMessage(line); ok {
		return Exim
	}
	if _, ok := qmailMessage(line); ok {
		return Qmail
	}
	if _, ok := opensmtpdFields(line); ok {
		return OpenSMTPD
	}
	return sniffExchange(line)
}

// decoder gives what turns a text that begins with head into UTF-8 without a mark
// of byte order. PowerShell's redirection writes UTF-16.
func decoder(head []byte) transform.Transformer {
	order, bom := unicode.LittleEndian, unicode.UseBOM
	switch {
	case bytes.HasPrefix(head, []byte("\xff\xfe")), bytes.HasPrefix(head, []byte("\xfe\xff")):
	case len(head) >= 4 && head[0] != 0 && head[1] == 0 && head[3] == 0:
		bom = unicode.IgnoreBOM
	case len(head) >= 4 && head[0] == 0 && head[1] != 0 && head[2] == 0:
		order, bom = unicode.BigEndian, unicode.IgnoreBOM
	default:
		return unicode.UTF8BOM.NewDecoder()
	}
	return unicode.UTF16(order, bom).NewDecoder()
}

// Read reads a listing and calls visit with each item in the order in which they
// stand. An input that is no listing is told to Skip. The error is that of visit
// or of r.
func Read(r io.Reader, o Options, visit func(Item) error) error {
	if o.Zone == nil {
		o.Zone = time.UTC
	}
	raw := bufio.NewReaderSize(r, headSize)
	head, _ := raw.Peek(headSize)
	l := &lines{buf: bufio.NewReaderSize(transform.NewReader(raw, decoder(head)), 64<<10), o: &o}
	text, _ := l.buf.Peek(headSize)
	format, ok := sniff(string(text))
	if !ok {
		if len(text) > 0 {
			l.skip(0, event.SkipUnknown)
		}
		return l.failure()
	}
	c := &listing{lines: l, o: &o, visit: visit}
	var err error
	switch format {
	case Postfix:
		err = c.postfix()
	case Exim:
		err = c.exim()
	case Sendmail:
		err = c.sendmail()
	case Qmail:
		err = c.qmail()
	case OpenSMTPD:
		err = c.opensmtpd()
	case PostfixJSON:
		err = c.objects(c.postfixObject)
	default:
		err = c.exchange(string(text))
	}
	if err != nil {
		return err
	}
	return l.failure()
}

// listing is one call of [Read].
type listing struct {
	*lines
	o     *Options
	visit func(Item) error
	read  int    // records that were read
	room  []byte // for an object
}

// lines gives the lines of a text.
type lines struct {
	buf    *bufio.Reader
	o      *Options
	n      int64 // number of the line
	ended  bool  // it ended with a line end
	unread *string
	err    error
}

func (l *lines) skip(line int64, why event.Skip) {
	if l.o.Skip != nil {
		l.o.Skip(line, why)
	}
}

// next gives the next line without its end. A longer one than the limit is left out.
func (l *lines) next() (string, bool) {
	if l.unread != nil {
		line := *l.unread
		l.unread = nil
		l.n++
		return line, true
	}
	for {
		line, err := l.line()
		if line == nil && err != nil {
			l.err = err
			return "", false
		}
		l.n++
		if len(line) > maxLine {
			l.skip(l.n, event.SkipLong)
			continue
		}
		return clean(line), true
	}
}

// back puts a line back.
func (l *lines) back(line string) {
	l.unread = &line
	l.n--
}

// line reads a line, of one that is too long no more than shows that it is.
func (l *lines) line() ([]byte, error) {
	var long []byte
	for {
		part, err := l.buf.ReadSlice('\n')
		l.ended = err == nil
		if err == nil && long == nil {
			return part, nil
		}
		if room := maxLine + 1 - len(long); room > 0 {
			long = append(long, part[:min(room, len(part))]...)
		}
		if err != bufio.ErrBufferFull { //nolint:errorlint // bufio gives it bare
			if len(long) > 0 {
				return long, nil
			}
			return nil, err
		}
	}
}

// failure is what ended the reading, other than the end.
func (l *lines) failure() error {
	if l.err == nil {
		_, err := l.buf.Peek(1)
		l.err = err
	}
	if l.err == io.EOF || l.err == io.ErrUnexpectedEOF { //nolint:errorlint // bufio and transform give them bare
		return nil
	}
	return l.err
}

func clean(line []byte) string {
	return strings.ToValidUTF8(strings.TrimRight(string(line), "\r\n"), "\uFFFD")
}
