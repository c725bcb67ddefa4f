package esp

import (
	"bytes"

	"github.com/postroad/postroad/event"
)

// frames cuts a stream of JSON into records: the objects at its top, in arrays
// there, and in the lists that wrappers hold. It looks at brackets and strings
// only, so that a record may be of any form; the parser judges what is inside.
type frames struct {
	w      *window
	skip   func(line int64, why event.Skip)
	levels []byte // the open brackets round the next record
	cut    bool   // the stream ends in a record or a list
	began  int    // where in the window the last object begins
}

// maxLevels is how many brackets may stand round a record: an array of pages
// that each wrap a list.
const maxLevels = 8

// lists are the members of a wrapper that hold records.
func isList(key []byte) bool {
	switch string(key) {
	case "items", "events", "mandrill_events", "Bounces", "Messages", "messages", "Records", "results", "result", "Suppressions":
		return true
	}
	return false
}

// beside are members of a wrapper that may stand before its list. Any other
// member makes the object a record of its own, list and all.
func isBeside(key []byte) bool {
	switch string(key) {
	case "TotalCount", "total_count", "links", "paging", "signature", "X-Mandrill-Signature", "_metadata", "meta", "start", "end", "pagination":
		return true
	}
	return false
}

// next gives the next record and its line; it is valid until the next call.
// ok is false at the end.
func (f *frames) next() (record []byte, line int64, ok bool) {
	for f.w.more() {
		c := f.w.b()[0]
		inArray := len(f.levels) > 0
		switch {
		case isSpace(c) || c == ',':
			f.w.advance(f.blank())
		case c == '[' && len(f.levels) < maxLevels:
			f.levels = append(f.levels, '[')
			f.w.advance(1)
		case c == ']' && inArray:
			f.w.advance(1)
			f.pop()
		case c == '{':
			if record, line, ok := f.object(); ok {
				return record, line, true
			}
		case inArray && c != '}' && c != ':' && c != '[':
			f.scalar()
		default:
			f.broken(f.w.line)
		}
	}
	if len(f.levels) > 0 {
		f.skip(f.w.line, event.SkipCut)
		f.cut, f.levels = true, nil
	}
	return nil, 0, false
}

func (f *frames) blank() int {
	b := f.w.b()
	for i, c := range b {
		if !isSpace(c) && c != ',' {
			return i
		}
	}
	return len(b)
}

// pop leaves a list, and the rest of the wrapper round it.
func (f *frames) pop() {
	f.levels = f.levels[:len(f.levels)-1]
	if n := len(f.levels); n > 0 && f.levels[n-1] == '{' {
		f.levels = f.levels[:n-1]
		s := scan{depth: 1, kinds: 1, prev: ']', drop: true, only: true}
		f.end(&s, f.w.line, s.run(f.w))
	}
}

// object reads from a brace on: a record, or the way into a wrapper's list.
func (f *frames) object() (record []byte, line int64, ok bool) {
	line, f.began = f.w.line, f.w.start
	s := scan{depth: 1, kinds: 1, prev: '{', i: 1, only: len(f.levels) < maxLevels-1}
	found := s.run(f.w)
	if found == scanWhole && !s.drop && s.i <= maxRecord {
		record = f.w.b()[:s.i]
		f.w.advance(s.i) // it stays where it is until the next fill
		return record, line, true
	}
	f.end(&s, line, found)
	return nil, 0, false
}

// end does what a scan that gave no record asks for.
func (f *frames) end(s *scan, line int64, found scanResult) {
	s.long = s.long || s.i > maxRecord
	switch found {
	case scanWhole:
		f.w.advance(s.i)
		if s.long {
			f.skip(line, event.SkipLong)
		}
	case scanList:
		f.w.advance(s.i + 1)
		f.levels = append(f.levels, '{', '[')
	case scanCut:
		f.cut = true
		why := event.SkipCut
		if s.long {
			why = event.SkipLong
		}
		f.skip(line, why)
		f.levels = nil
		f.resume(s)
	case scanBad:
		if s.long {
			f.skip(line, event.SkipLong)
			f.levels = nil
			f.resume(s)
			return
		}
		at := line + int64(bytes.Count(f.w.b()[:min(s.i, len(f.w.b()))], []byte{'\n'}))
		if len(f.levels) == 0 {
			at = line
		}
		f.broken(at)
	}
}

// broken reports a syntax error and goes on at the next line that begins a
// value. In an array that ends the array: what stands there cannot be told.
func (f *frames) broken(line int64) {
	why := event.SkipBroken
	if len(f.levels) > 0 {
		why = event.SkipCut
	}
	f.skip(line, why)
	f.levels = nil
	f.resume(nil)
}

// resume goes to the next line that begins with a bracket.
func (f *frames) resume(s *scan) {
	if s != nil && s.drop {
		f.w.advance(min(s.i, len(f.w.b())))
	}
	for {
		f.w.nextLine()
		if !f.w.more() {
			return
		}
		if c := f.w.b()[0]; c == '{' || c == '[' {
			return
		}
	}
}

// scalar leaves out a value that is no object.
func (f *frames) scalar() {
	f.skip(f.w.line, event.SkipBroken)
	if f.w.b()[0] == '"' {
		s := scan{depth: 1, kinds: 0, prev: '[', drop: true, string: true, i: 1, one: true}
		if found := s.run(f.w); found != scanWhole {
			f.levels = nil
			f.resume(&s)
			return
		}
		f.w.advance(s.i)
		return
	}
	for f.w.more() {
		b := f.w.b()
		if i := bytes.IndexAny(b, ",]}{[ \t\r\n\""); i >= 0 {
			f.w.advance(max(i, 1))
			return
		}
		f.w.advance(len(b))
	}
}

type scanResult uint8

const (
	scanWhole scanResult = iota // up to i, which is behind the closing bracket
	scanList                    // i is at the bracket of a wrapper's list
	scanBad                     // i is where no value of this form can go on
	scanCut                     // the stream ends before the value does
)

// scan finds the end of an object.
type scan struct {
	i      int    // bytes of the window looked at
	depth  int    // open brackets
	kinds  uint64 // one bit for each open bracket, the innermost lowest: 1 is an object
	prev   byte   // the last byte that is not white space
	string bool   // i is in a string
	one    bool   // the string is all that is looked for
	only   bool   // all members so far may stand in a wrapper
	drop   bool   // what was looked at is not kept
	long   bool   // it is beyond the limit
	from   int    // where the last string at depth 1 begins
	key    []byte // the last string at depth 1, as far as it can be a key
	keep   [32]byte
}

func (s *scan) run(w *window) scanResult {
	for {
		b := w.b()
		for s.i < len(b) {
			if s.string {
				if found, done := s.inString(b); done {
					return found
				}
				continue
			}
			if found, done := s.step(b); done {
				return found
			}
		}
		if s.i >= maxRecord && !s.drop {
			s.drop, s.long = true, true
		}
		if s.drop {
			n := min(s.i, len(b))
			w.advance(n)
			s.i -= n
		}
		if !w.fill() {
			return scanCut
		}
	}
}

// inString goes to the end of the string.
func (s *scan) inString(b []byte) (scanResult, bool) {
	for s.i < len(b) {
		switch b[s.i] {
		case '\\':
			s.i++ // with the next byte, also in the next window
		case '\n':
			return scanBad, true
		case '"':
			if s.depth == 1 && s.only && !s.drop && (s.prev == '{' || s.prev == ',') {
				s.key = append(s.keep[:0], b[s.from:min(s.i, s.from+len(s.keep))]...)
			}
			s.string, s.prev = false, '"'
			s.i++
			return scanWhole, s.one
		}
		s.i++
	}
	return 0, false
}

// step looks at one byte outside strings.
func (s *scan) step(b []byte) (scanResult, bool) {
	c := b[s.i]
	object := s.kinds&1 == 1
	switch c {
	case ' ', '\t', '\r', '\n':
		s.i++
		return 0, false
	case '"':
		s.string, s.from = true, s.i+1
	case '{', '[':
		// A bracket where none can be is mostly the next line after one that was
		// cut: the check keeps one bad line from taking the rest with it.
		if object && s.prev != ':' || !object && s.prev != '[' && s.prev != ',' || s.depth == maxDepth {
			return scanBad, true
		}
		if c == '[' && s.depth == 1 && object && s.only && isList(s.key) {
			return scanList, true
		}
		s.kinds = s.kinds<<1 | uint64(c>>5&1) // '{' is 0x7b, '[' is 0x5b
		s.depth++
		s.prev = c
	case '}', ']':
		if object != (c == '}') {
			return scanBad, true
		}
		s.kinds >>= 1
		s.depth--
		s.prev = c
		if s.depth == 0 {
			s.i++
			return scanWhole, true
		}
	case ',':
		if s.depth == 1 && s.only && !isBeside(s.key) {
			s.only = false
		}
		s.prev = c
	default:
		s.prev = c
	}
	s.i++
	return 0, false
}
