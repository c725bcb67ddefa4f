package spool

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Compaction keeps the disk below twice the live bytes and a constant. A segment in which nothing lives is removed
// unread: mail that goes within seconds is written once and never copied. Of the others the emptiest is copied to the
// end of the log when the dead bytes of all outweigh the live ones.
//
// The end of a part is written to a later segment than the part: it must not go before what it ends, or that would
// come back at the next start. So it is copied on as long as a segment exists that can hold older records of it.

func (s *Log) nudge() {
	select {
	case s.nudges <- struct{}{}:
	default:
	}
}

func (s *Log) compactLoop() {
	for {
		for s.ctx.Err() == nil {
			x := s.choose()
			if x == nil {
				break
			}
			if err := s.compact(x); err != nil {
				break // in use, or the disk: with the next bytes that die
			}
		}
		select {
		case <-s.nudges:
		case <-s.ctx.Done():
			return
		}
	}
}

// choose gives the segment to work on, nil for none.
func (s *Log) choose() *segment {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return nil
	}
	s.trimEvents()
	if now := s.o.Now(); now.Sub(s.swept) >= time.Minute || now.Before(s.swept) {
		s.swept = now
		for h, k := range s.keys {
			if s.stale(k) {
				s.drop(k.at, keySize)
				delete(s.keys, h)
			}
		}
	}
	var oldest, emptiest *segment
	for _, x := range s.segs {
		if !x.sealed || x.pins > 0 {
			continue
		}
		if x.live == 0 && (oldest == nil || x.number < oldest.number) {
			oldest = x
		}
		if !x.damaged && (emptiest == nil || x.live*emptiest.disk < emptiest.live*x.disk) {
			emptiest = x
		}
	}
	if oldest != nil {
		return oldest
	}
	if s.diskBytes-s.live > s.live+s.o.Slack && emptiest != nil && emptiest.live < emptiest.disk*3/4 {
		return emptiest
	}
	return nil
}

var errBusy = errors.New("compact: in use")

// compact moves what lives in a segment to the end of the log, and removes it.
func (s *Log) compact(x *segment) error {
	s.mu.Lock()
	x.refs++
	live := x.live
	s.mu.Unlock()
	defer s.done(x)
	if live > 0 {
		mv := mover{s: s, x: x, messages: map[ID]bool{}}
		if err := scan(x, x.disk, false, mv.visit); err != nil {
			return err
		}
	}
	if err := s.moveTombs(x); err != nil {
		return err
	}
	// what the index no longer needs must be dead on the disk too, before its bytes go
	if err := s.submit(&op{sync: true}); err != nil {
		return err
	}
	s.mu.Lock()
	if x.live != 0 || x.pins > 0 || s.closing {
		s.mu.Unlock()
		return errBusy
	}
	delete(s.segs, x.number)
	x.gone = true
	s.disk(x, 0)
	s.mu.Unlock()
	var err error
	if x.damaged {
		err = s.fs.Rename(x.name, x.name+".damaged") // a person may want to look at it
	} else {
		err = s.fs.Remove(x.name)
	}
	if err == nil {
		err = s.fs.SyncDir() // in this order also after a loss of power: see above
	}
	if err != nil {
		s.stop(fmt.Errorf("%w: remove segment %s: %w", ErrBroken, x.name, err))
	}
	return err
}

// moveTombs copies the ends of parts whose older records may still be in older segments.
func (s *Log) moveTombs(x *segment) error {
	s.mu.Lock()
	numbers := make([]uint32, 0, len(s.segs))
	for n := range s.segs {
		if n < x.number {
			numbers = append(numbers, n)
		}
	}
	tombs := x.tombs
	s.mu.Unlock()
	slices.Sort(numbers)
	if len(numbers) == 0 {
		return nil
	}
	newest := numbers[len(numbers)-1]
	for _, t := range tombs {
		if newest < t.id.birth() {
			continue
		}
		o := &op{copied: true, recs: []record{{kind: kindEnd, id: uint64(t.id), part: t.part}}}
		o.check = func() error {
			if m := s.messages[t.id]; m != nil && m.part(t.part) != nil {
				return errBusy // the number was given again: its end is still to come
			}
			return nil
		}
		o.apply = func(at []place) {
			y := s.segs[at[0].seg]
			y.tombs = append(y.tombs, t)
		}
		if err := s.submit(o); err != nil && !errors.Is(err, errBusy) {
			return err
		}
	}
	return nil
}

// mover copies what lives in a segment.
type mover struct {
	s        *Log
	x        *segment
	messages map[ID]bool
}

func (v *mover) visit(f *found) error {
	if err := v.s.ctx.Err(); err != nil {
		return err
	}
	if f.broken {
		v.s.mu.Lock()
		v.x.damaged = true
		v.s.damage = append(v.s.damage, Damage{File: v.x.name, Offset: f.off, Length: f.size, What: ErrDamaged.Error()})
		v.s.mu.Unlock()
		return ErrDamaged
	}
	r, at := f.rec, place{v.x.number, uint32(f.off / unit)}
	r.payload = slices.Clone(r.payload)
	var err error
	switch r.kind {
	case kindChunk, kindMessage:
		if id := ID(r.id); !v.messages[id] {
			v.messages[id] = true
			for more := true; more && err == nil; {
				more, err = v.message(id)
			}
		}
	case kindPart:
		err = v.part(r, at)
	case kindBegin:
		err = v.begin(r, at)
	case kindEvent, kindFloor, kindKey:
		err = v.other(r, at)
	}
	if errors.Is(err, errBusy) {
		err = nil // it is dead by now, or the pass fails at its end
	}
	return err
}

// submit copies one commit.
func (v *mover) submit(check func() bool, apply func([]place), recs ...record) error {
	return v.s.submit(&op{copied: true, recs: recs, apply: apply, check: func() error {
		if !check() {
			return errBusy
		}
		return nil
	}})
}

const moveAtOnce = 4 << 20

// message copies chunks of a body that are in the segment, and the message's record with their new places.
func (v *mover) message(id ID) (more bool, err error) {
	s := v.s
	s.mu.Lock()
	m := s.messages[id]
	if m == nil {
		s.mu.Unlock()
		return false, nil
	}
	chunks, old := slices.Clone(m.chunks()), m.at
	s.mu.Unlock()
	r, err := s.fetch(func() (place, uint32) { return m.at, m.size })
	if err != nil {
		return false, err
	}
	head, err := decodeMessage(r.payload)
	if err != nil {
		return false, err
	}
	var recs []record
	var moved []int
	bytes := 0
	for i, c := range chunks {
		if c.at.seg != v.x.number {
			continue
		}
		if bytes >= moveAtOnce {
			more = true
			break
		}
		r, err := v.x.read(c.at.off, space(int(c.len)), nil)
		if err != nil {
			return false, err
		}
		recs, moved, bytes = append(recs, record{kind: kindChunk, id: uint64(id), payload: r.payload}), append(moved, i), bytes+len(r.payload)
	}
	if len(recs) == 0 && old.seg != v.x.number {
		return false, nil
	}
	back := int64(0)
	for k := len(moved) - 1; k >= 0; k-- {
		back += space(len(recs[k].payload))
		chunks[moved[k]].at = place{0, uint32(back / unit)}
	}
	head.chunks = chunks
	rec := record{kind: kindMessage, id: uint64(id), payload: head.encode()}
	return more, v.submit(func() bool { return s.messages[id] == m && m.at == old }, func(at []place) {
		to := at[len(at)-1]
		if s.messages[id] == m { // it may have ended in the same group
			s.putMessage(id, to, space(len(rec.payload)), head.created, head.size, absolute(chunks, to))
		}
	}, append(recs, rec)...)
}

func (v *mover) find(r *record) *part {
	if m := v.s.messages[ID(r.id)]; m != nil {
		return m.part(r.part)
	}
	return nil
}

// part copies how a part stands, with what its last try changed.
func (v *mover) part(r record, at place) error {
	s := v.s
	s.mu.Lock()
	p := v.find(&r)
	if p == nil || p.at != at {
		s.mu.Unlock()
		return nil
	}
	begun, tries, next := p.begun, p.tries, p.next
	s.mu.Unlock()
	rec, err := decodePart(r.payload)
	if err != nil {
		return err
	}
	rec.tries, rec.next = int(tries), next
	fresh := record{kind: kindPart, part: r.part, id: r.id, payload: rec.encode()}
	return v.submit(func() bool {
		return v.find(&r) == p && p.at == at && p.begun == begun && p.state&flagPending == 0
	}, func(to []place) {
		s.drop(p.at, int64(p.size))
		s.drop(p.begun, beginSize)
		p.at, p.begun, p.size = to[0], place{}, uint32(space(len(fresh.payload)))
		s.take(p.at, int64(p.size))
	}, fresh)
}

func (v *mover) begin(r record, at place) error {
	s := v.s
	s.mu.Lock()
	p := v.find(&r)
	if p == nil || p.begun != at {
		s.mu.Unlock()
		return nil
	}
	tries, next := p.tries, p.next
	s.mu.Unlock()
	return v.submit(func() bool { return v.find(&r) == p && p.begun == at && p.state&flagPending == 0 },
		func(to []place) { s.putBegin(p, to[0], tries, next) }, beginRecord(ID(r.id), r.part, tries, next))
}

// other copies events, the floor of the outbox and keys.
func (v *mover) other(r record, at place) error {
	s := v.s
	is := func() bool {
		switch r.kind {
		case kindEvent:
			o := &s.out
			return r.id >= o.first && len(o.entries) > 0 && r.id <= o.last() && o.entries[r.id-o.first].at == at
		case kindFloor:
			return s.out.floor == at
		default:
			return len(r.payload) == 24 && s.keys[keyHash(r.payload[:16])].at == at
		}
	}
	s.mu.Lock()
	ok := is()
	s.mu.Unlock()
	if !ok {
		return nil
	}
	return v.submit(is, func(to []place) {
		if !is() { // forgotten in the same group
			return
		}
		size := space(len(r.payload))
		s.drop(at, size)
		s.take(to[0], size)
		switch r.kind {
		case kindEvent:
			s.out.entries[r.id-s.out.first].at = to[0]
		case kindFloor:
			s.out.floor = to[0]
		default:
			k := s.keys[keyHash(r.payload[:16])]
			k.at = to[0]
			s.keys[keyHash(r.payload[:16])] = k
		}
	}, record{kind: r.kind, id: r.id, payload: r.payload})
}
