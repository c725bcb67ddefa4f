package spool

import (
	"errors"
	"fmt"
	"io"
	"sync"
)

// body reads a message's content where the index has it at that moment: compaction may move it between two reads.
type body struct {
	s    *Log
	id   ID
	size int64

	mu    sync.Mutex
	start int64 // of the chunk that is kept
	kept  []byte
	held  []byte // its buffer
}

// Body implements Spool. One chunk is in memory, at most 256 KiB.
func (s *Log) Body(id ID) (Body, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.messages[id]
	if m == nil || m.at.seg == 0 {
		return nil, ErrUnknown
	}
	return &body{s: s, id: id, size: m.total}, nil
}

func (b *body) Size() int64  { return b.size }
func (b *body) Close() error { return nil }

func (b *body) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, errors.New("read body: negative offset")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for n < len(p) {
		at := off + int64(n)
		if at >= b.size {
			return n, io.EOF
		}
		if at < b.start || at >= b.start+int64(len(b.kept)) {
			if err := b.load(at); err != nil {
				return n, err
			}
		}
		n += copy(p[n:], b.kept[at-b.start:])
	}
	return n, nil
}

// load reads and verifies the chunk that holds an offset.
func (b *body) load(at int64) error {
	b.kept = nil
	x, c, start, err := b.find(at)
	if err != nil {
		return fmt.Errorf("read body: %w", err)
	}
	defer b.s.done(x)
	size := space(int(c.len))
	if int64(cap(b.held)) < size {
		b.held = make([]byte, size)
	}
	r, err := x.read(c.at.off, size, b.held)
	if err != nil {
		return fmt.Errorf("read body: %w", err)
	}
	b.start, b.kept = start, r.payload
	return nil
}

// find gives the chunk that holds an offset, where it begins, and its segment in use.
func (b *body) find(at int64) (x *segment, c chunk, start int64, err error) {
	b.s.mu.Lock()
	defer b.s.mu.Unlock()
	m := b.s.messages[b.id]
	if m == nil {
		return nil, c, 0, ErrUnknown
	}
	for _, c = range m.chunks() {
		if at < start+int64(c.len) {
			x, err = b.s.use(c.at.seg)
			return x, c, start, err
		}
		start += int64(c.len)
	}
	return nil, c, 0, ErrDamaged
}

// Look implements Spool.
func (s *Log) Look(id ID) (Message, error) {
	if err := s.ready(s.ctx); err != nil {
		return Message{}, err
	}
	s.mu.Lock()
	m := s.messages[id]
	if m == nil {
		s.mu.Unlock()
		return Message{}, ErrUnknown
	}
	var parts []*part
	for p := m.parts; p != nil; p = p.sibling {
		parts = append(parts, p)
	}
	out := Message{ID: id, Created: moment(m.created), Size: m.total}
	s.mu.Unlock()
	for i := len(parts) - 1; i >= 0; i-- {
		rec, head, err := s.readPart(parts[i])
		if err != nil {
			return Message{}, err
		}
		out.From, out.Meta = head.from, head.meta
		s.mu.Lock()
		out.Parts = append(out.Parts, view(parts[i], &rec, &head))
		s.mu.Unlock()
	}
	return out, nil
}

// Scan implements Spool. It holds the index for a thousand parts at a time; parts that come or go meanwhile may be
// missed or seen, no other.
func (s *Log) Scan(name string, visit func(Waiting) bool) error {
	if err := s.ready(s.ctx); err != nil {
		return err
	}
	s.mu.Lock()
	ids := make([]ID, 0, len(s.messages))
	for id, m := range s.messages {
		if name == "" || m.in(name) {
			ids = append(ids, id)
		}
	}
	s.mu.Unlock()
	batch := make([]Waiting, 0, 1024)
	for len(ids) > 0 {
		n := min(len(ids), 1000)
		batch = batch[:0]
		s.mu.Lock()
		for _, id := range ids[:n] {
			m := s.messages[id]
			if m == nil {
				continue
			}
			for p := m.parts; p != nil; p = p.sibling {
				if p.lane != nil && (name == "" || p.lane.name == name) {
					batch = append(batch, Waiting{ID: id, Part: int(p.no), Lane: p.lane.name, Next: moment(p.next),
						Tries: int(p.tries), Created: moment(m.created), Size: m.total,
						Claimed: p.state&flagClaimed != 0, Duty: p.state&flagDuty != 0})
				}
			}
		}
		s.mu.Unlock()
		ids = ids[n:]
		for _, w := range batch {
			if !visit(w) {
				return nil
			}
		}
	}
	return nil
}

func (m *message) in(name string) bool {
	for p := m.parts; p != nil; p = p.sibling {
		if p.lane != nil && p.lane.name == name {
			return true
		}
	}
	return false
}

// Lanes implements Spool.
func (s *Log) Lanes() ([]LaneState, error) {
	if err := s.ready(s.ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]LaneState, 0, len(s.lanes))
	for _, l := range s.lanes {
		st := LaneState{Lane: l.name, Waiting: l.count, Taken: l.taken}
		if len(l.heap) > 0 {
			st.Next = moment(l.heap[0].next)
		}
		out = append(out, st)
	}
	return out, nil
}
