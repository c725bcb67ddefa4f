package maillog

import (
	"bytes"
	"math"
	"strings"
	"time"
)

const (
	// wholeSize is up to where a file is looked through for years; larger ones are
	// looked at in maxProbes places, probeSize bytes each.
	wholeSize = 4 << 20
	maxProbes = 1024
	probeSize = 8 << 10
)

// survey follows the stamps of a file without placing them.
type survey struct {
	walk walk
	any  bool
	last monthDay // the last stamp
	leap int      // a year that has a 29 February, 0 if none was seen
}

type monthDay struct{ month, day, second int }

// base is the year that a survey begins with.
const base = 10000

// firstYear finds the year of the first stamp that has none: the last of the
// file is of the latest year that does not put it behind the time of the file,
// and the years between them are counted. It gives 0 if no stamp needs it.
func (r *Reader) firstYear() int {
	var s survey
	s.block(r.lines.block, true)
	if !s.any {
		return 0
	}
	if r.o.At != nil && !r.lines.wide && r.o.Size > int64(len(r.lines.block)) {
		s = survey{}
		r.probe(&s)
		if !s.any {
			return 0
		}
	}
	year := r.cal.guess(s.last.month, s.last.day, s.last.second) - (s.walk.year - base)
	if s.leap != 0 {
		for !leap(year + s.leap - base) {
			year--
		}
	}
	return year
}

// probe looks at a file in many places.
func (r *Reader) probe(s *survey) {
	size := r.o.Size
	if size <= wholeSize {
		b := make([]byte, size)
		n, _ := r.o.At.ReadAt(b, 0) // what cannot be read tells nothing
		s.block(b[:n], true)
		return
	}
	b := make([]byte, probeSize)
	step := max(size/maxProbes, probeSize)
	before := int64(0)
	for at := int64(0); at < size; at += step {
		at = min(at, size-probeSize)
		n, _ := r.o.At.ReadAt(b, at)
		year, ord := s.walk.year, s.walk.ord
		s.block(b[:n], at == 0)
		const leapDay = (31 + 28) * daySeconds // 29 February
		if s.leap == 0 && year != 0 && year == s.walk.year && ord < leapDay && s.walk.ord >= leapDay+daySeconds {
			if r.leapDay(b, before, at, leapDay) {
				s.leap = year
			}
		}
		before = at
		if at == size-probeSize {
			break
		}
	}
}

// leapDay looks for 29 February between two places of a file.
func (r *Reader) leapDay(b []byte, from, to, ord int64) bool {
	for to-from > probeSize/2 {
		at := from + (to-from)/2
		n, _ := r.o.At.ReadAt(b, at)
		var s survey
		s.block(b[:n], false)
		switch {
		case s.leap != 0:
			return true
		case !s.any || s.walk.ord >= ord+daySeconds:
			to = at
		default:
			from = at
		}
	}
	return false
}

// block looks at the lines of a piece of the file.
func (s *survey) block(b []byte, whole bool) {
	if !whole {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			return
		}
		b = b[i+1:]
	}
	for len(b) > 0 {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			i = len(b)
		}
		s.line(view(b[:i]))
		b = b[min(i+1, len(b)):]
	}
}

func (s *survey) line(line string) {
	line = cutPriority(cutGrep(cutContainer(line)))
	if len(line) < 16 || line[3] != ' ' || isDigit(line[0]) {
		return
	}
	t, _, has, ok := readTraditional(line, 1996, time.UTC)
	if !ok || has || t.Equal(never) {
		return
	}
	m := monthDay{int(t.Month()), t.Day(), t.Hour()*3600 + t.Minute()*60 + t.Second()}
	ord := ordinal(m.month, m.day, m.second)
	year := base
	if s.any {
		year = s.walk.next(ord)
	}
	s.walk.move(year, ord)
	s.any, s.last = true, m
	if m.month == 2 && m.day == 29 {
		s.leap = year
	}
}

// cutPriority takes syslog's <PRI> off.
func cutPriority(s string) string {
	if s != "" && s[0] == '<' {
		if v, n := number(s[1:]); n > 0 && n <= 3 && v < 192 && 1+n < len(s) && s[1+n] == '>' {
			return trim(s[n+2:])
		}
	}
	return s
}

// Sniff reports whether the beginning of a file looks like the log of a mail
// server: half of its lines begin as those of a log do, with a time, a host and
// a program or an Exim message id, or tell of a delivery. A few lines of another
// program among them do no harm, so the log of another program looks the same:
// nothing will be found in it.
func Sniff(head []byte) bool {
	text := head
	if high, ok := wideOrder(head); ok {
		w := wide{src: bytes.NewReader(head), high: high}
		b := make([]byte, 2*len(head))
		n := 0
		for {
			k, err := w.Read(b[n:])
			if n += k; err != nil {
				break
			}
		}
		text = b[:n]
	}
	text = bytes.TrimLeft(bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")), "\x00")
	good, all := 0, 0
	cal := calendar{zone: time.UTC, latest: math.MaxInt32}
	for line := range bytes.Lines(text) {
		s := trim(view(line))
		if s == "" || len(s) > MaxLine || line[len(line)-1] != '\n' && all > 0 {
			continue
		}
		all++
		if isLogLine(s, &cal) {
			good++
		}
		if all == 200 {
			break
		}
	}
	return good > 0 && 2*good >= all
}

// isLogLine tells a line of a mail log, or of another program's in the same form.
func isLogLine(s string, cal *calendar) bool {
	if s[0] == '{' {
		// Most entries of the journal tell of no delivery, as most lines of a log.
		if rec, ok := readRecord(s); ok && (rec.Message != "" && rec.Realtime != "" || rec.Log != "" && !rec.Time.IsZero()) {
			return true
		}
		_, ok := parseJSON(s, cal.cut)
		return ok
	}
	if len(s) < 12 {
		return false
	}
	p := cutPrefix(s, cal.cut)
	if p.time.IsZero() {
		if p.tag == "" && !strings.Contains(p.rest, ": to=<") {
			return false
		}
		_, ok := parseLine(s, cal.cut)
		return ok
	}
	if p.tag != "" {
		return true
	}
	_, exim := isEximID(p.rest)
	if !exim {
		_, exim = parseLine(s, cal.cut)
	}
	return exim || isQuietWord(p.rest)
}

// isQuietWord tells what Exim's main log says without a message id, and what
// qmail-send says beside its results.
func isQuietWord(s string) bool {
	if len(s) > 4 && s[0] == '[' {
		if i := strings.Index(s, "] "); i > 0 && i < 12 {
			s = s[i+2:]
		}
	}
	for _, word := range [...]string{"Start queue run: ", "End queue run: ", "exim ", "H=", "SMTP connection ", "no host name found ",
		"new msg ", "info msg ", "starting delivery ", "status: ", "end msg ", "bounce msg ", "TLS error ", "cwd=", "Warning: ", "SMTP protocol ", "SMTP syntax ", "unexpected disconnection "} {
		if strings.HasPrefix(s, word) {
			return true
		}
	}
	return false
}
