package spool

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// outbox knows where the events are. Their numbers have no holes, so what is missing can be counted.
type outbox struct {
	first   uint64 // the number of the oldest
	entries []eventAt
	bytes   int64
	dropped int64
	floor   place  // the newest record that says up to where events are forgotten
	floorTo uint64 // what it says
}

// eventAt is where an event is; segment 0 for one that is lost.
type eventAt struct {
	at   place
	size uint32
	time int64
}

func (o *outbox) count() int   { return len(o.entries) }
func (o *outbox) last() uint64 { return o.first + uint64(len(o.entries)) - 1 }

// putEvent notes a new event and lets the cap take the oldest: mail is never refused for the ledger's sake.
func (s *Log) putEvent(n uint64, at place, size, t int64) {
	o := &s.out
	for o.last()+1 < n {
		o.entries = append(o.entries, eventAt{}) // one of a group that was not written: it counts as missing
	}
	o.entries = append(o.entries, eventAt{at: at, size: uint32(size), time: t})
	o.bytes += size
	s.take(at, space(int(size)))
	s.trimEvents()
}

func (s *Log) trimEvents() {
	o, oldest := &s.out, s.o.Now().Add(-s.o.EventAge).UnixNano()
	for len(o.entries) > 0 && (o.bytes > s.o.EventBytes || o.entries[0].time != 0 && o.entries[0].time < oldest) {
		s.shiftEvent()
		o.dropped++
	}
}

func (s *Log) shiftEvent() {
	o := &s.out
	if e := o.entries[0]; e.at.seg != 0 {
		s.drop(e.at, space(int(e.size)))
		o.bytes -= int64(e.size)
	}
	o.entries = o.entries[1:]
	o.first++
}

// merge puts the events of earlier runs before those of this one.
func (o *outbox) merge(s *Log, old map[uint64]eventAt, floor uint64, at place) {
	from := o.first
	for n := range old {
		if n > floor {
			from = min(from, n)
		}
	}
	if floor >= from && floor < o.first {
		from = floor + 1
	}
	if most := 2*uint64(len(old)) + 1<<20; o.first-from > most {
		from = o.first - most // beyond that the holes are larger than what is left
	}
	all := make([]eventAt, o.first-from, int(o.first-from)+len(o.entries))
	for n, e := range old {
		if n >= from && n < o.first {
			all[n-from] = e
			o.bytes += int64(e.size)
			s.take(e.at, space(int(e.size)))
		}
	}
	o.entries, o.first = append(all, o.entries...), from
	if o.floor.seg == 0 && at.seg != 0 {
		o.floor, o.floorTo = at, floor
		s.take(at, headerSize)
	}
	s.trimEvents()
}

// cursor is the number of the last event that was read, of this spool.
func (s *Log) cursor(n uint64) Cursor {
	return Cursor(strconv.FormatUint(s.spool, 36) + "-" + strconv.FormatUint(n, 36))
}

func (s *Log) parseCursor(c Cursor) (uint64, error) {
	if c == "" {
		return 0, nil
	}
	id, number, ok := strings.Cut(string(c), "-")
	spool, err := strconv.ParseUint(id, 36, 64)
	n, err2 := strconv.ParseUint(number, 36, 64)
	if !ok || err != nil || err2 != nil || spool != s.spool || n > s.out.last() {
		return 0, ErrCursor
	}
	return n, nil
}

const (
	maxRead  = 1 << 20
	maxEvent = 1 << 60 // no spool lives to see it
)

// Events implements Spool.
func (s *Log) Events(ctx context.Context, after Cursor, n int) ([]Event, Cursor, error) {
	if err := s.ready(ctx); err != nil {
		return nil, after, err
	}
	s.mu.Lock()
	s.trimEvents()
	seen, err := s.parseCursor(after)
	if err != nil {
		s.mu.Unlock()
		return nil, after, err
	}
	if after == "" && seen < s.out.floorTo {
		seen = s.out.floorTo // forgotten is not missing
	}
	s.mu.Unlock()
	var events []Event
	for bytes := 0; len(events) < n && bytes < maxRead; {
		e, ok, err := s.event(seen)
		if err != nil {
			return nil, after, err
		}
		if !ok {
			break
		}
		seen = e.number
		bytes += len(e.Data)
		if k := len(events); e.Gap > 0 && k > 0 && events[k-1].Gap > 0 {
			e.Gap += events[k-1].Gap
			events = events[:k-1]
		}
		events = append(events, e.Event)
	}
	return events, s.cursor(seen), nil
}

type numbered struct {
	Event
	number uint64
}

// event gives what follows the event of that number.
func (s *Log) event(seen uint64) (numbered, bool, error) {
	s.mu.Lock()
	o := &s.out
	if seen+1 < o.first {
		gap := int64(o.first - seen - 1)
		c := s.cursor(o.first - 1)
		n := o.first - 1
		s.mu.Unlock()
		return numbered{Event{Cursor: c, Gap: gap}, n}, true, nil
	}
	if len(o.entries) == 0 || seen >= o.last() {
		s.mu.Unlock()
		return numbered{}, false, nil
	}
	e := o.entries[seen+1-o.first]
	c := s.cursor(seen + 1)
	lost := numbered{Event{Cursor: c, Gap: 1, Time: moment(e.time)}, seen + 1}
	if e.at.seg == 0 {
		for next := seen + 2; next <= o.last() && o.entries[next-o.first].at.seg == 0; next++ {
			lost.Gap, lost.number = lost.Gap+1, next
		}
		lost.Cursor = s.cursor(lost.number)
		s.mu.Unlock()
		return lost, true, nil
	}
	x, err := s.use(e.at.seg)
	s.mu.Unlock()
	var r record
	if err == nil {
		defer s.done(x)
		r, err = x.read(e.at.off, space(int(e.size)), nil)
	}
	switch {
	case errors.Is(err, ErrDamaged):
		return lost, true, nil
	case err != nil:
		return numbered{}, false, fmt.Errorf("read outbox: %w", err)
	}
	t := int64(binary.LittleEndian.Uint64(r.payload))
	return numbered{Event{Cursor: c, Time: moment(t), Data: r.payload[8:]}, seen + 1}, true, nil
}

// Forget implements Spool.
func (s *Log) Forget(ctx context.Context, upTo Cursor) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	n, err := s.parseCursor(upTo)
	s.mu.Unlock()
	if err != nil || n == 0 {
		return err
	}
	o := &op{recs: []record{{kind: kindFloor, id: n}}, sync: false}
	o.apply = func(at []place) {
		s.drop(s.out.floor, headerSize)
		s.out.floor, s.out.floorTo = at[0], max(n, s.out.floorTo)
		s.take(at[0], headerSize)
		for s.out.first <= n && len(s.out.entries) > 0 {
			s.shiftEvent()
		}
	}
	return s.submit(o)
}
