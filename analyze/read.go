package analyze

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"path"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/postroad/postroad/diagnose/bounce"
	"github.com/postroad/postroad/dossier"
	"github.com/postroad/postroad/event"
	"github.com/postroad/postroad/ingest/esp"
	"github.com/postroad/postroad/ingest/maillog"
	"github.com/postroad/postroad/ingest/queue"
	"github.com/postroad/postroad/ingest/source"
	"github.com/postroad/postroad/ingest/trace"
	"github.com/postroad/postroad/message"
)

// Run reads what args name (files, directories, "-" for stdin) and says what it
// tells. What cannot be read is in the report; an error is one of a cancelled
// context, or of a temporary file that cannot be written.
func Run(ctx context.Context, args []string, stdin io.Reader, o Options) (*Report, error) {
	p, err := New(o)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	err = source.Walk(ctx, args, stdin, source.Options{
		Skip: func(name string, why event.Skip, err error) {
			if errors.Is(err, fs.ErrNotExist) {
				why = event.SkipMissing
			}
			p.skips.add(name, 0, why)
		},
		Progress: o.Progress,
	}, p.read)
	if err != nil {
		return nil, err
	}
	return p.Report()
}

// read takes one stream, of whatever form.
func (p *Pile) read(s *source.Stream) error {
	head := s.Peek(source.PeekSize)
	skip := func(line int64, why event.Skip) { p.skips.add(s.Name, line, why) }
	if len(bytes.TrimSpace(head)) == 0 {
		skip(0, event.SkipEmpty)
		return nil
	}
	p.covered = span{1<<63 - 1, -1 << 63}
	s.Modified = p.sameTime(s, head)
	p.dated = s.Modified
	before := p.events
	err := p.dispatch(s, head, skip)
	if p.covered.from <= p.covered.to {
		p.spans = append(p.spans, p.covered)
	}
	if p.events > before {
		p.inputs++
	}
	return err
}

// sameTime gives the time of a file, for a copy of one that was read that of the
// first: the year of its stamps is told from it, and a copy is no second year.
func (p *Pile) sameTime(s *source.Stream, head []byte) time.Time {
	size := s.Size
	if len(head) < source.PeekSize {
		size = int64(len(head)) // all of it, packed or not
	}
	if size < 0 {
		return s.Modified
	}
	key := mix(hash(6, head), uint64(size))
	if t, ok := p.heads[key]; ok {
		return t
	}
	if p.heads == nil {
		p.heads = make(map[uint64]time.Time)
	}
	if len(p.heads) < maxLate {
		p.heads[key] = s.Modified
	}
	return s.Modified
}

func (p *Pile) dispatch(s *source.Stream, head []byte, skip func(int64, event.Skip)) error {
	if message.IsMbox(head) {
		return p.mbox(s, skip)
	}
	if _, ok := queue.Sniff(head); ok {
		return p.listing(s, skip)
	}
	if _, ok := trace.Sniff(head); ok {
		return trace.Read(s, trace.Options{Zone: p.Zone, Modified: s.Modified, Now: p.Now, Skip: skip}, p.Add)
	}
	if _, ok := esp.Sniff(head); ok {
		return esp.Read(s, esp.Options{Zone: p.Zone, Modified: s.Modified, Now: p.Now, Skip: skip}, p.Add)
	}
	if maillog.Sniff(head) {
		o := maillog.ReaderOptions{Year: p.Year, Zone: p.Zone, Modified: s.Modified, Now: p.Now, Skip: skip, Join: p.join}
		if at, size, ok := s.At(); ok {
			o.At, o.Size = at, size
		}
		return maillog.NewReader(s, o).Each(p.line)
	}
	return p.mail(s, skip)
}

// mbox reads the mails of a mailbox one by one.
func (p *Pile) mbox(s *source.Stream, skip func(int64, event.Skip)) error {
	box := message.OpenMbox(s, message.Limits{})
	for {
		raw, _, cut, err := box.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if cut {
			skip(0, event.SkipCut) // a mail beyond the limit: its begin was read
		}
		p.report(s, raw)
	}
}

// maxAttached is how many bounces a ticket lists as attachments.
const maxAttached = 10

// mail reads a file that is one mail, or a notice that somebody pasted.
func (p *Pile) mail(s *source.Stream, skip func(int64, event.Skip)) error {
	raw, _, err := message.ReadFrom(s, message.Limits{})
	if err != nil {
		return err
	}
	before := p.events
	if p.report(s, raw) {
		if p.events > before && len(p.attached) < maxAttached {
			sum := sha256.Sum256(raw)
			p.attached = append(p.attached, dossier.Attachment{Name: path.Base(s.Name), SHA256: hex.EncodeToString(sum[:])})
		}
		return nil
	}
	if notText(raw) {
		skip(0, event.SkipBinary)
		return nil
	}
	if !pasteable(s.Name) {
		skip(0, event.SkipUnknown)
		return nil
	}
	m := message.Read(raw, message.Limits{})
	r := bounce.ReadText(string(bytes.ToValidUTF8(m.Raw, []byte("\uFFFD"))), p.bounces)
	if !p.told(s, r, raw, time.Time{}) {
		skip(0, event.SkipUnknown)
	}
	return nil
}

// pasteable reports whether a file may hold a notice that somebody saved without
// its header. A program, a page of documentation or a table that quotes replies
// is none, and lies in many directories.
func pasteable(name string) bool {
	switch strings.ToLower(path.Ext(name)) {
	case "", ".txt", ".text", ".eml", ".msg", ".log", ".htm", ".html", ".ndr", ".mail":
		return true
	}
	return false
}

// report takes a mail; it says whether the bytes were one. A mail that reports
// nothing, as most of a mailbox do, is passed over in silence.
func (p *Pile) report(s *source.Stream, raw []byte) bool {
	m := message.Read(raw, message.Limits{})
	if len(m.Parts) == 0 {
		return false
	}
	h := m.Parts[0].Header
	date, _ := message.ParseDate(h.Get("Date"))
	if p.told(s, bounce.Read(m, p.bounces), raw, date) {
		return true
	}
	return h.Get("From") != "" && (h.Get("Message-ID") != "" || h.Get("Received") != "" || h.Get("MIME-Version") != "")
}

// told takes what a report says; it says whether it said anything.
func (p *Pile) told(s *source.Stream, r bounce.Report, raw []byte, date time.Time) bool {
	if date.IsZero() {
		date = s.Modified
	}
	switch r.Kind {
	case bounce.KindMessage:
		return false
	case bounce.KindFeedback:
		p.events++
		p.complaints++
		return true
	case bounce.KindBackscatter:
		p.events++
		p.backscatter++
		return true
	}
	for i := range r.Results {
		b := &r.Results[i]
		if b.MessageID == "" {
			b.MessageID = r.Original.MessageID
		}
		e := event.Event{ID: event.ID(b.ReportingHost, raw, i), Time: date, Body: b,
			Origin: event.Origin{Format: r.Format, Host: b.ReportingHost, Grade: event.GradeReport}}
		if err := p.Add(&e); err != nil {
			p.failed = errors.Join(p.failed, err)
		}
	}
	return true
}

// notText reports whether a text is none.
func notText(b []byte) bool {
	b = b[:min(len(b), 4<<10)]
	odd, n := 0, 0
	for len(b) > 0 {
		r, size := utf8.DecodeRune(b)
		if r == 0 || r == utf8.RuneError && size == 1 || r < ' ' && r != '\n' && r != '\r' && r != '\t' && r != '\f' && r != 0x1b {
			odd++
		}
		n++
		b = b[size:]
	}
	return odd*10 > n
}
