package message

import (
	"slices"
	"strings"
	"unsafe"
)

// Field is one header field where it stands. Both ranges count from the start
// of what the header was read from: the part's source, or ParseHeader's raw.
type Field struct {
	Name  string // as written
	Line  Range  // the whole field: name, folded lines, last line end
	Value Range  // behind the colon, without surrounding white space, still folded
}

// Header is a block of header fields (RFC 5322 section 2.2). It holds offsets
// and looks into the raw bytes when it is asked. The zero Header has no fields.
type Header struct {
	src   []byte
	block Range
	idx   []fieldAt
}

// fieldAt is a field in twelve bytes: where its name starts, where its colon
// is, where its last line ends (before the line end).
type fieldAt struct{ from, colon, end uint32 }

// ParseHeader reads a block of header fields at the start of raw and tells
// where the body starts. It serves for whole mails and for loose blocks. A
// mbox line, blank lines in front, lines without a colon and a missing blank
// line are put up with; without any field, bodyStart is 0. No more than the
// default HeaderBytes is read.
func ParseHeader(raw []byte) (h Header, bodyStart int) {
	lim := Limits{}.orDefault()
	s := headScan{lines: lines{b: raw}, budget: lim.HeaderBytes}
	s.message(0)
	return Header{src: raw, block: Range{s.begin, s.end}, idx: s.idx}, s.body
}

// ParseBlocks reads blocks of header fields that blank lines separate, as in
// message/delivery-status (RFC 3464 section 2.1). Lines that are no fields are
// passed over and end no block: a field that was wrapped in two must not tear a
// recipient's fields apart, and its second half belongs to it. At most 10,000 blocks are read.
func ParseBlocks(raw []byte) []Header {
	const most = 10_000
	var hs []Header
	s := headScan{lines: lines{b: raw}, budget: Limits{}.orDefault().HeaderBytes, blocks: true}
	for i := 0; i < len(raw) && len(hs) < most; i = s.body {
		n := len(s.idx)
		s.block(i)
		if len(s.idx) > n {
			hs = append(hs, Header{src: raw, block: Range{i, s.end}, idx: s.idx[n:len(s.idx):len(s.idx)]})
		}
	}
	return hs
}

// Len is the number of fields.
func (h Header) Len() int { return len(h.idx) }

// Raw is the header as it stands, without the blank line that ends it.
func (h Header) Raw() []byte { return h.src[h.block.From:h.block.To:h.block.To] }

// Range says where the header stands in its source.
func (h Header) Range() Range { return h.block }

// Fields lists the fields in order.
func (h Header) Fields() []Field {
	fs := make([]Field, len(h.idx))
	for i, at := range h.idx {
		from, to := h.value(at)
		fs[i] = Field{
			Name:  string(h.name(at)),
			Line:  Range{int(at.from), min(afterBreak(h.src, int(at.end)), h.block.To)},
			Value: Range{from, to},
		}
	}
	return fs
}

// Value is the unfolded value of a field of this header.
func (h Header) Value(f Field) string {
	return unfold(h.src[f.Value.From:f.Value.To])
}

// Has reports whether a field of this name is there, empty or not.
func (h Header) Has(name string) bool { return h.find(name, 0) >= 0 }

// Get is the value of the first field of this name: unfolded, trimmed, encoded
// words left as they are. The name is compared without regard to case. Without
// such a field it is "".
func (h Header) Get(name string) string {
	i := h.find(name, 0)
	if i < 0 {
		return ""
	}
	return unfold(h.rawValue(i))
}

// Values lists the values of all fields of this name, see [Header.Get].
func (h Header) Values(name string) []string {
	var vs []string
	for i := h.find(name, 0); i >= 0; i = h.find(name, i+1) {
		vs = append(vs, unfold(h.rawValue(i)))
	}
	return vs
}

// Text is Get with RFC 2047 encoded words decoded; valid UTF-8.
func (h Header) Text(name string) string { return DecodeWords(h.Get(name)) }

// Param is a parameter of a field of the form "value; name=value", such as
// Content-Type or Content-Disposition; RFC 2231 decoded. "" if there is none.
func (h Header) Param(field, name string) string {
	i := h.find(field, 0)
	if i < 0 {
		return ""
	}
	return param(h.rawValue(i), name)
}

func (h Header) name(at fieldAt) []byte {
	from, to := int(at.from), int(at.colon)
	for to > from && isBlank(h.src[to-1]) {
		to--
	}
	return h.src[from:to]
}

func (h Header) value(at fieldAt) (from, to int) {
	return trimSpace(h.src, int(at.colon)+1, int(at.end))
}

func (h Header) rawValue(i int) []byte {
	from, to := h.value(h.idx[i])
	return h.src[from:to]
}

func (h Header) find(name string, from int) int {
	for i := from; i < len(h.idx); i++ {
		at := h.idx[i]
		n := int(at.colon - at.from)
		if n < len(name) || lower(h.src[at.from]) != lower(first(name)) {
			continue
		}
		if n == len(name) && equalFold(h.src[at.from:at.colon], name) || n > len(name) && equalFold(h.name(at), name) {
			return i
		}
	}
	return -1
}

func first(s string) byte {
	if s == "" {
		return 0
	}
	return s[0]
}

// unfold joins the lines of a value: each line end, with the white space round
// it, becomes one space.
func unfold(b []byte) string {
	i := 0
	for i < len(b) && !isBreak(b[i]) {
		i++
	}
	if i == len(b) {
		return string(b)
	}
	out := make([]byte, 0, len(b))
	for i = 0; i < len(b); {
		if !isBreak(b[i]) {
			out = append(out, b[i])
			i++
			continue
		}
		for i < len(b) && isSpace(b[i]) {
			i++
		}
		for len(out) > 0 && isBlank(out[len(out)-1]) {
			out = out[:len(out)-1]
		}
		out = append(out, ' ')
	}
	return unsafe.String(unsafe.SliceData(out), len(out)) // out is not used again
}

// headScan reads header blocks line by line.
type headScan struct {
	lines
	idx    []fieldAt
	budget int            // bytes that may still be read into fields
	stop   func(int) bool // tells a boundary line, which ends any header; nil: none

	mail   bool // the block is the header of a mail, not of a body part
	blocks bool // blank lines alone, also of blanks, end a block

	begin, end int  // of the block that was read last
	body       int  // where what follows it starts
	cut        bool // the budget did not suffice
	junk       bool // lines that are no fields were passed over
	noBlank    bool // the body starts without a blank line
}

// message reads the header of a mail, with what may stand in front of it.
func (s *headScan) message(from int) {
	s.cut, s.junk, s.noBlank = false, false, false
	i := from
	for i < len(s.b) {
		end, next := s.at(i)
		if !s.isEmptyLine(i, end) && !isFromLine(s.b[i:end]) {
			break
		}
		i = next
	}
	s.begin, s.end, s.body = from, from, from
	if i >= len(s.b) {
		if len(s.b) > from { // only blank lines and mbox lines
			s.begin, s.end, s.body = i, i, i
		}
		return
	}
	n := len(s.idx)
	s.mail = true
	s.block(i)
	s.mail = false
	if len(s.idx) == n && !s.cut {
		s.begin, s.end, s.body = from, from, from // no header at all: all is text
		s.noBlank = s.noBlank || s.junk
	}
}

// block reads fields from the line at i on.
func (s *headScan) block(i int) {
	s.begin, s.end, s.body = i, i, i
	s.cut, s.junk, s.noBlank = false, false, false
	open := false // a field that folded lines belong to
	for first := i; i < len(s.b); {
		end, next := s.at(i)
		if end == i {
			s.finish(i, next)
			return
		}
		switch c := s.b[i]; {
		case isBlank(c) && s.isEmptyLine(i, end) && (s.blocks || !s.fieldFollows(next)):
			s.finish(i, next)
			return
		case isBlank(c) && i > first:
			if open && !s.spend(next-i) {
				open = false
			}
			if open {
				s.idx[len(s.idx)-1].end = uint32(end)
			}
		case c == '-' && s.stop != nil && s.stop(i):
			s.finish(i, i)
			return
		default:
			if colon := colonAt(s.b[i:end]); colon > 0 {
				if open = s.spend(next - i); open {
					s.add(fieldAt{uint32(i), uint32(i + colon), uint32(end)})
				}
				break
			}
			var ok bool
			mbox := isFromLine(s.b[i:end])
			if end, next, ok = s.lostFold(i, first); !ok {
				s.finish(i, i)
				s.noBlank = true
				return
			}
			s.junk = true
			if open = open && !mbox && s.spend(next-i); open {
				s.idx[len(s.idx)-1].end = uint32(end)
			}
		}
		i = next
	}
	s.finish(len(s.b), len(s.b))
}

func (s *headScan) add(at fieldAt) {
	if len(s.idx) == cap(s.idx) {
		s.idx = slices.Grow(s.idx, 32+len(s.idx)) // twice: append would allocate five times what is needed
	}
	s.idx = append(s.idx, at)
}

func (s *headScan) finish(end, body int) { s.end, s.body = end, body }

// spend takes n bytes off the budget. Once it did not suffice nothing more is
// read, lest a header be cut in its middle and go on after it.
func (s *headScan) spend(n int) bool {
	if s.cut || n > s.budget {
		s.cut = true
		return false
	}
	s.budget -= n
	return true
}

// isEmptyLine tells a line of nothing but blanks.
func (s *headScan) isEmptyLine(i, end int) bool {
	for i < end && isBlank(s.b[i]) {
		i++
	}
	return i == end
}

// fieldFollows tells whether the line at i is a field.
func (s *headScan) fieldFollows(i int) bool {
	end, _ := s.at(i)
	return colonAt(s.b[i:end]) > 0
}

// lostFold decides whether the line at i, which is no field, belongs to the
// header nevertheless: a folded line that lost its blank (gateways and people
// who paste do that), or a slip. It does if the field before it lacks a
// parameter, or if a field with a name that mail has follows before a blank
// line. end and next are the end and the follower of the last such line; ok is
// false if the body starts here.
func (s *headScan) lostFold(i, first int) (end, next int, ok bool) {
	end, next = s.at(i)
	if s.blocks {
		return end, next, true
	}
	look := 1 // without any field yet it is rather text
	if i > first {
		look = maxLostFold
		if isParamName(s.b[i:end]) && s.lastByte(i) == ';' {
			return end, next, true
		}
	} else if !s.mail {
		return 0, 0, false
	}
	fields := false // a line that may be a field, whatever its name
	for at, ahead := next, end; look > 0; look-- {
		e, n := s.at(at)
		if s.isEmptyLine(at, e) {
			return 0, 0, false
		}
		if colon := colonAt(s.b[at:e]); colon > 0 {
			if !fields {
				end, next, fields = ahead, at, true
			}
			if isMailField(s.b[at : at+colon]) {
				return end, next, true
			}
		}
		at, ahead = n, e
	}
	return 0, 0, false
}

// maxLostFold is how many lines a field may have whose folds were lost.
const maxLostFold = 30

// lastByte is the last byte in front of i that is not white space.
func (s *headScan) lastByte(i int) byte {
	for i--; i >= s.begin; i-- {
		if !isSpace(s.b[i]) {
			return s.b[i]
		}
	}
	return 0
}

// maxFieldName is far above any real name and keeps prose and binary out.
const maxFieldName = 100

// colonAt gives the index of the colon if line starts with a field name, else
// 0. RFC 5322 allows every printable character in a name; those that never
// occur in one but start lines of prose and reports ("<a@b>:") are left out.
func colonAt(line []byte) int {
	if len(line) == 0 || !isAlnum(line[0]) && line[0] != '_' {
		return 0
	}
	for i := 1; i < len(line) && i <= maxFieldName; i++ {
		switch c := line[i]; {
		case c == ':':
			if i+2 < len(line) && line[i+1] == '/' && line[i+2] == '/' {
				return 0 // http://
			}
			return i
		case isAlnum(c), c == '-', c == '_', c == '.', c == '/', c == '+', c == '#', c == '$', c == '!', c == '%', c == '*', c == '&', c == '\'', c == '~', c == '|', c == '^', c == '`':
		case isBlank(c):
			j := i
			for j < len(line) && isBlank(line[j]) {
				j++
			}
			if j < len(line) && line[j] == ':' && j <= maxFieldName {
				return j
			}
			return 0
		default:
			return 0
		}
	}
	return 0
}

func isAlnum(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// isMailField tells the names that make a line part of a mail's header beyond
// doubt.
func isMailField(name []byte) bool {
	var buf [32]byte
	n := 0
	for n < len(name) && n < len(buf) && !isBlank(name[n]) {
		buf[n] = lower(name[n])
		n++
	}
	switch s := string(buf[:n]); s {
	case "from", "to", "cc", "bcc", "subject", "date", "message-id", "received", "return-path",
		"reply-to", "sender", "mime-version", "in-reply-to", "references", "delivered-to",
		"errors-to", "precedence", "priority", "importance", "user-agent", "auto-submitted",
		"dkim-signature", "domainkey-signature", "authentication-results", "received-spf",
		"thread-topic", "thread-index", "organization", "organisation", "lines", "status", "feedback-id",
		"envelope-to", "original-recipient", "accept-language":
		return true
	default:
		for _, p := range [...]string{"x-", "content-", "resent-", "arc-", "list-"} {
			if strings.HasPrefix(s, p) {
				return true
			}
		}
	}
	return false
}

// isFromLine tells the line that mbox files and some gateways put in front of a
// header: "From " or, quoted, ">From ".
func isFromLine(line []byte) bool {
	if len(line) > 0 && line[0] == '>' {
		line = line[1:]
	}
	return len(line) > 5 && string(line[:5]) == "From " && colonAt(line) == 0
}
