package maillog

import (
	"bytes"
	"errors"
	"hash/maphash"
	"io"
	"strings"
	"time"
	"unsafe"

	"github.com/postroad/postroad/event"
)

// ReaderOptions is what a [Reader] has to know beside the text.
type ReaderOptions struct {
	// Year is the year in which the file begins, for stamps without one. 0: it
	// follows from Modified, which the last line does not lie behind.
	Year     int
	Zone     *time.Location // of stamps without one; nil for UTC
	Modified time.Time      // of the file; zero if not known
	Now      time.Time      // no line lies more than two days behind it; zero for the clock's
	// At and Size give the file a second way in, so that the years it spans can be
	// counted before the first line is placed. Without them (a pipe, a compressed
	// file) only the beginning is looked at: where a file spans several years the
	// first may come out a year too late. That is said with event.SkipStamp for
	// the line that gives it away, and the lines after it are right.
	At   io.ReaderAt
	Size int64
	// Skip is told of every line that is left out (counted from 1), and of a file
	// that is no log (line 0). Lines of a log that tell of no delivery are not left
	// out. May be nil.
	Skip func(line int64, why event.Skip)
	// Join remembers messages from file to file; nil for one of its own.
	Join *Join
}

// Reader reads one log file. It needs memory for a block of text, whatever the
// file holds.
type Reader struct {
	o      ReaderOptions
	cal    calendar
	cut    stamp
	join   *Join
	lines  *lines
	visit  func(*Line, []byte) error
	now    int64 // Unix seconds; no stamp is more than ahead behind it
	n      int64 // the line
	logs   int64 // lines that have the shape of a log's
	told   bool  // that the first year of a stream was guessed too late
	l      Line
	room   room
	host   string       // of the last line
	hosted uint64       // ... hashed
	hosts  [1024]string // of lines before, by hash
	wait   waiting
}

// NewReader makes a reader of one file.
func NewReader(r io.Reader, o ReaderOptions) *Reader {
	if o.Zone == nil {
		o.Zone = time.UTC
	}
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	if o.Join == nil {
		o.Join = NewJoin()
	}
	if o.Skip == nil {
		o.Skip = func(int64, event.Skip) {}
	}
	rd := &Reader{o: o, join: o.Join, lines: &lines{src: r}, now: o.Now.Unix()}
	end := o.Now
	if m := o.Modified; !m.IsZero() && m.Year() >= firstYear && m.Before(end) {
		end = m
	}
	rd.cal = calendar{zone: o.Zone, latest: end.Unix() + slack}
	rd.cut = rd.cal.cut
	return rd
}

// view gives bytes as a string without a copy: the string is good as long as the
// bytes do not change.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// Each reads the file to its end and calls visit for each delivery, session,
// refusal and expiry. The line, its attempt, all their strings and raw (without
// its line end) are good only during the call. An error of visit or of the file
// ends the reading and is returned.
func (r *Reader) Each(visit func(l *Line, raw []byte) error) error {
	r.visit = visit
	r.lines.open()
	if r.lines.end == '\r' {
		r.o.At = nil // what counts the years looks for other line ends
	}
	r.begin()
	for {
		b, state := r.lines.next()
		if state == lineEnd {
			break
		}
		r.n++
		if state == lineLong {
			r.o.Skip(r.n, event.SkipLong)
			continue
		}
		if err := r.line(b, state == lineCut); err != nil {
			return err
		}
	}
	if err := r.release(0); err != nil {
		return err
	}
	if err := r.lines.err; err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	switch {
	case r.n == 0:
		r.o.Skip(0, event.SkipEmpty)
	case r.logs == 0:
		r.o.Skip(0, event.SkipUnknown)
	}
	return nil
}

// begin finds the year of the first stamp.
func (r *Reader) begin() {
	if r.o.Year != 0 {
		r.cal.first, r.cal.fixed = r.o.Year, true
		return
	}
	r.cal.first = r.firstYear()
}

// line reads one line.
func (r *Reader) line(b []byte, cutShort bool) error {
	for len(b) > 0 && b[len(b)-1] <= ' ' {
		b = b[:len(b)-1]
	}
	s := view(b)
	if s == "" {
		return nil
	}
	if s[0] <= ' ' {
		s = trim(s)
	}
	if s[0] == '{' {
		return r.json(s, b)
	}
	var p prefix
	if !r.head(s, &p) {
		p = cutPrefix(s, r.cut)
		if p.time.IsZero() && strings.IndexByte(s, 0) >= 0 {
			return r.zeros(b, cutShort)
		}
	}
	return r.stamped(&p, b, cutShort)
}

// stamped leaves out what is of a time that cannot be.
func (r *Reader) stamped(p *prefix, b []byte, cutShort bool) error {
	if !p.time.IsZero() {
		if unix := p.time.Unix(); unix > r.now+ahead || unix < firstUnix {
			r.logs++
			r.o.Skip(r.n, event.SkipStamp)
			return nil
		}
		if r.cal.guessedLate() && r.o.At == nil && !r.told {
			r.told = true
			r.o.Skip(r.n, event.SkipStamp)
		}
	}
	return r.message(p, b, cutShort)
}

// zeros reads a line with NULs in it: a piece of UTF-16 that was added to a file
// in another encoding, what a crash left in front of a line, or no text.
func (r *Reader) zeros(b []byte, cutShort bool) error {
	n := bytes.Count(b, []byte{0})
	if 2*n >= len(b)-2 && 2*n <= len(b)+2 {
		b = bytes.ReplaceAll(b, []byte{0}, nil)
	} else {
		b = b[bytes.LastIndexByte(b, 0)+1:]
	}
	if p := cutPrefix(trim(view(b)), r.cut); p.time.IsZero() {
		r.o.Skip(r.n, event.SkipBinary)
		return nil
	}
	return r.line(b, cutShort)
}

// firstUnix is the beginning of firstYear.
const firstUnix = 788918400

// head reads "stamp host tag[pid]: message", which is what almost all lines look
// like. ok is false for all others: they are read at leisure.
func (r *Reader) head(s string, p *prefix) bool {
	t, rest, ok := r.cal.cut(s)
	if !ok {
		return false
	}
	if len(rest) > 16 && rest[6] == '-' && isEximEntry(rest) {
		p.time, p.rest = t, rest
		return true
	}
	i, known := len(r.host), true
	if i == 0 || len(rest) <= i || rest[i] != ' ' || rest[:i] != r.host {
		known = false
		if i = strings.IndexByte(rest, ' '); i <= 0 || !isHost(rest[:i]) {
			return false
		}
	}
	tag := rest[i+1:]
	open := strings.IndexByte(tag[:min(len(tag), 100)], '[')
	if open <= 0 || strings.IndexByte(tag[:open], ' ') >= 0 {
		return false
	}
	pid, n := number(tag[open+1:])
	end := open + 1 + n
	if n == 0 || end+4 > len(tag) || tag[end:end+3] != "]: " || tag[end+3] == ' ' || tag[end+3] == '[' {
		return false
	}
	if !known {
		r.newHost(rest[:i])
	}
	p.time, p.host, p.tag, p.pid, p.rest = t, r.host, tag[:open], pid, tag[end+3:]
	return true
}

// isEximEntry tells the entries of Exim's main log that are the most, and are not
// the name of a host that looks like a message id.
func isEximEntry(s string) bool {
	n, ok := isEximID(s)
	if !ok || len(s) < n+4 {
		return false
	}
	s = s[n+1:]
	return s[2] == ' ' && (s[:2] == "<=" || isEximFlag(s[:2])) || s == "Completed"
}

// isHost tells a word that can only be the name of the host.
func isHost(s string) bool {
	if s[len(s)-1] == ':' || s[0] == '<' || isLevel(s) || strings.IndexByte(s, '=') >= 0 || strings.IndexByte(s, '<') >= 0 {
		return false
	}
	_, _, again := cutTime(s, firstYear, time.UTC)
	return !again
}

// newHost remembers the host of the lines that follow. In a log of many hosts
// each line has another one.
func (r *Reader) newHost(s string) {
	r.hosted = maphash.String(r.join.seed, s)
	known := &r.hosts[r.hosted%uint64(len(r.hosts))]
	if *known != s {
		*known = strings.Clone(s)
	}
	r.host = *known
}

// json reads journald's export, the wrapper of a container engine, KumoMTA.
func (r *Reader) json(s string, raw []byte) error {
	rec, ok := readRecord(s)
	switch {
	case !ok:
		r.o.Skip(r.n, event.SkipUnknown)
		return nil
	case rec.Message != "":
		p := prefix{host: rec.Hostname, tag: rec.Identifier, rest: trim(rec.Message)}
		p.pid, _ = number(rec.JournalPID)
		if us, n := number64(rec.Realtime); n > 0 {
			p.time = time.UnixMicro(us).UTC()
		}
		return r.stamped(&p, raw, false)
	case rec.Log != "" && rec.Log[0] != '{':
		p := cutPrefix(trim(rec.Log), r.cut)
		if p.time.IsZero() {
			p.time = rec.Time
		}
		return r.stamped(&p, raw, false)
	}
	l, ok := parseRecord(rec, r.cut)
	if !ok {
		r.o.Skip(r.n, event.SkipUnknown)
		return nil
	}
	r.logs++
	if !l.Time.IsZero() && (l.Time.Unix() > r.now+ahead || l.Time.Unix() < firstUnix) {
		r.o.Skip(r.n, event.SkipStamp)
		return nil
	}
	l.Origin.Grade = event.GradeLog
	return r.visit(&l, raw)
}
