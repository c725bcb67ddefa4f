package spool

import (
	"slices"
	"time"
)

// The index is all in memory: about 250 bytes for a message with one part. What is only needed when a part is tried
// (envelope, recipients, reasons) stays in the log.

type message struct {
	id      ID
	at      place
	size    uint32 // of its record in the log
	next    uint16 // the number of the next part
	created int64
	total   int64
	one     chunk
	more    *[]chunk // where there are several; most bodies are one
	parts   *part
}

type part struct {
	msg     *message
	sibling *part
	lane    *lane
	at      place
	begun   place // the newest record of a try, where it is newer than at
	size    uint32
	heap    int32 // where in the lane's heap, -1 outside
	next    int64
	tries   uint32
	no      uint16
	state   flags
}

type flags uint8

const (
	flagClaimed flags = 1 << iota
	flagPending       // a commit of it is on its way
	flagDuty
	flagDamaged // cannot be read: it is in no lane, and kept
)

// lane orders its parts by the time of their next try.
type lane struct {
	name  string
	heap  []*part
	count int
	taken int
}

type claim struct {
	token Token
	part  *part
	rec   partRecord
	until time.Time
}

func (m *message) chunks() []chunk {
	if m.more != nil {
		return *m.more
	}
	if m.one.len > 0 {
		return []chunk{m.one}
	}
	return nil
}

func (m *message) setChunks(c []chunk) {
	m.one, m.more = chunk{}, nil
	switch len(c) {
	case 0:
	case 1:
		m.one = c[0]
	default:
		c = slices.Clip(slices.Clone(c))
		m.more = &c
	}
}

func (m *message) part(no uint16) *part {
	for p := m.parts; p != nil; p = p.sibling {
		if p.no == no {
			return p
		}
	}
	return nil
}

// take and drop count bytes of a segment as live or dead.
func (s *Log) take(at place, size int64) {
	if x := s.segs[at.seg]; x != nil && at.seg != 0 {
		x.live += size
		s.live += size
	}
}

func (s *Log) drop(at place, size int64) {
	x := s.segs[at.seg]
	if x == nil || at.seg == 0 {
		return
	}
	x.live -= size
	s.live -= size
	if x.sealed && (x.live == 0 || s.diskBytes-s.live > s.live+s.o.Slack) {
		s.nudge()
	}
}

func (s *Log) lane(name string) *lane {
	l := s.lanes[name]
	if l == nil {
		l = &lane{name: name}
		s.lanes[name] = l
	}
	return l
}

// absolute resolves chunks that stand right before the message's record.
func absolute(chunks []chunk, at place) []chunk {
	for i, c := range chunks {
		if c.at.seg == 0 {
			chunks[i].at = place{at.seg, at.off - c.at.off}
		}
	}
	return chunks
}

func (s *Log) message(id ID) *message {
	m := s.messages[id]
	if m == nil {
		m = &message{id: id}
		s.messages[id] = m
	}
	return m
}

// putMessage notes a message's record, new or copied.
func (s *Log) putMessage(id ID, at place, size int64, created, total int64, chunks []chunk) {
	m := s.message(id)
	s.dropMessage(m)
	m.at, m.size, m.created, m.total = at, uint32(size), created, total
	m.setChunks(chunks)
	s.take(at, size)
	for _, c := range m.chunks() {
		s.take(c.at, space(int(c.len)))
	}
}

func (s *Log) dropMessage(m *message) {
	if m.at.seg == 0 {
		return
	}
	s.drop(m.at, int64(m.size))
	for _, c := range m.chunks() {
		s.drop(c.at, space(int(c.len)))
	}
}

// putPart notes a part's record: all of how it stands.
func (s *Log) putPart(id ID, no uint16, at place, size int64, rec *partRecord) {
	m := s.message(id)
	p := m.part(no)
	if p == nil {
		p = &part{msg: m, no: no, heap: -1, sibling: m.parts}
		m.parts = p
		s.parts++
	} else {
		s.leave(p)
		s.drop(p.at, int64(p.size))
		s.drop(p.begun, beginSize)
	}
	m.next = max(m.next, no+1)
	p.at, p.size, p.begun = at, uint32(size), place{}
	p.next, p.tries = rec.next, uint32(rec.tries)
	if rec.duty {
		p.state |= flagDuty
	}
	s.take(at, size)
	l := s.lane(rec.lane)
	p.lane = l
	l.count++
	if p.state&flagClaimed != 0 {
		l.taken++
	}
	s.enter(p)
}

// leave takes a part out of its lane.
func (s *Log) leave(p *part) {
	l := p.lane
	if l == nil {
		return
	}
	l.remove(p)
	l.count--
	if p.state&flagClaimed != 0 {
		l.taken--
	}
	if l.count == 0 {
		delete(s.lanes, l.name)
	}
	p.lane = nil
}

// enter puts a part into its lane's order, if it may be claimed.
func (s *Log) enter(p *part) {
	if p.state&(flagClaimed|flagDamaged) == 0 && p.heap < 0 {
		p.lane.push(p)
	}
}

// beginSize is what the record of a try takes: its payload has a fixed length.
const beginSize = headerSize + 16

func (s *Log) putBegin(p *part, at place, tries uint32, next int64) {
	s.drop(p.begun, beginSize)
	p.begun, p.tries, p.next = at, tries, next
	s.take(at, beginSize)
	if p.heap >= 0 {
		p.lane.fix(int(p.heap))
	}
}

// end takes a part away, and its message with the last.
func (s *Log) end(p *part, at place) {
	s.leave(p)
	s.drop(p.at, int64(p.size))
	s.drop(p.begun, beginSize)
	s.parts--
	m := p.msg
	for q := &m.parts; *q != nil; q = &(*q).sibling {
		if *q == p {
			*q = p.sibling
			break
		}
	}
	if x := s.segs[at.seg]; x != nil {
		x.tombs = append(x.tombs, tomb{m.id, p.no})
	}
	if m.parts == nil && !s.loading {
		s.dropMessage(m)
		delete(s.messages, m.id)
	}
}

func (l *lane) less(i, j int) bool { return l.heap[i].next < l.heap[j].next }

func (l *lane) swap(i, j int) {
	l.heap[i], l.heap[j] = l.heap[j], l.heap[i]
	l.heap[i].heap, l.heap[j].heap = int32(i), int32(j)
}

func (l *lane) push(p *part) {
	p.heap = int32(len(l.heap))
	l.heap = append(l.heap, p)
	l.up(len(l.heap) - 1)
}

func (l *lane) remove(p *part) {
	i := int(p.heap)
	if i < 0 {
		return
	}
	last := len(l.heap) - 1
	l.swap(i, last)
	l.heap[last] = nil
	l.heap = l.heap[:last]
	p.heap = -1
	if i < last {
		l.fix(i)
	}
}

func (l *lane) fix(i int) {
	if !l.down(i) {
		l.up(i)
	}
}

func (l *lane) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if !l.less(i, parent) {
			return
		}
		l.swap(i, parent)
		i = parent
	}
}

func (l *lane) down(from int) bool {
	i := from
	for {
		child := 2*i + 1
		if child >= len(l.heap) {
			break
		}
		if child+1 < len(l.heap) && l.less(child+1, child) {
			child++
		}
		if !l.less(child, i) {
			break
		}
		l.swap(i, child)
		i = child
	}
	return i > from
}
