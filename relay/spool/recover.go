package spool

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
)

// list finds the segments, oldest first, and reads their headers.
func (s *Log) list() ([]*segment, error) {
	names, err := s.fs.List()
	if err != nil {
		return nil, fmt.Errorf("list spool: %w", err)
	}
	slices.Sort(names)
	var old []*segment
	for _, name := range names {
		var n uint32
		if _, err := fmt.Sscanf(name, "%010d.log", &n); err != nil || n == 0 || name != segmentName(n) {
			continue
		}
		s.last = max(s.last, n)
		x := &segment{number: n, name: name, sealed: true}
		ok, err := s.openSegment(x)
		if err != nil {
			return nil, err
		}
		if ok {
			old = append(old, x)
		}
	}
	return old, nil
}

// openSegment is false for a file that no record can be read from: one that was never begun, which is removed, or
// one whose header is damaged, which is kept and told of.
func (s *Log) openSegment(x *segment) (bool, error) {
	f, err := s.fs.Open(x.name)
	if err != nil {
		return false, fmt.Errorf("open segment: %w", err)
	}
	x.f = f
	size, err := f.Size()
	if err != nil {
		return false, errors.Join(fmt.Errorf("open segment %s: %w", x.name, err), f.Close())
	}
	b := make([]byte, segHeader)
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return false, errors.Join(fmt.Errorf("read segment %s: %w", x.name, err), f.Close())
	}
	h, err := decodeSegmentHeader(b[:n])
	if err == nil && h.number != x.number {
		err = ErrDamaged // a file under another's name
	}
	if err == nil && s.spool != 0 && h.spool != s.spool {
		return false, errors.Join(fmt.Errorf("open spool: %s belongs to another spool; remove the one that does not belong here", x.name), f.Close())
	}
	switch {
	case errors.Is(err, ErrVersion):
		return false, errors.Join(fmt.Errorf("%w (%s)", err, x.name), f.Close())
	case err != nil && blank(f, size): // not even its header was promised to anybody
		return false, errors.Join(f.Close(), s.fs.Remove(x.name))
	case err != nil:
		s.damage = append(s.damage, Damage{File: x.name, Length: size, What: err.Error()})
		return false, f.Close()
	}
	s.spool, x.salt = h.spool, h.salt
	s.w.event = max(s.w.event, h.event)
	s.segs[x.number] = x
	s.disk(x, size)
	return true, nil
}

// blank reports a file with nothing after its header.
func blank(f io.ReaderAt, size int64) bool {
	b := make([]byte, 64<<10)
	for off := int64(segHeader); off < size; off += int64(len(b)) {
		n, err := f.ReadAt(b, off)
		if err != nil && !errors.Is(err, io.EOF) {
			return false
		}
		for _, c := range b[:n] {
			if c != 0 {
				return false
			}
		}
	}
	return true
}

// found is what a scan of a segment meets.
type found struct {
	off    int64
	size   int64
	rec    record // payload only where it was asked for
	broken bool   // these bytes are not a record, or its payload does not fit
}

// scanner reads a segment from its beginning.
type scanner struct {
	x      *segment
	size   int64
	off    int64
	buf    []byte // bytes of the file from base
	base   int64
	bodies bool // verify chunks too
}

const window = 1 << 20

// bytes gives n bytes at off, fewer at the end of the file.
func (c *scanner) bytes(off int64, n int) ([]byte, error) {
	n = int(min(int64(n), c.size-off))
	if n <= 0 {
		return nil, nil
	}
	if off < c.base || off+int64(n) > c.base+int64(len(c.buf)) {
		want := max(n, window)
		if cap(c.buf) < want {
			c.buf = make([]byte, want)
		}
		c.base = off
		m, err := c.x.f.ReadAt(c.buf[:want], off)
		c.buf = c.buf[:m]
		if m < n && err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("read segment %s: %w", c.x.name, err)
		}
		n = min(n, m)
	}
	return c.buf[off-c.base:][:n], nil
}

// next gives the next record or stretch of bytes that is none; size 0 at the end.
func (c *scanner) next() (found, error) {
	at := c.off
	for off := at; off+headerSize <= c.size; off += unit {
		b, err := c.bytes(off, headerSize)
		if err != nil {
			return found{}, err
		}
		if len(b) < headerSize {
			break
		}
		if b[12] == 0 || b[12] >= byte(kinds) {
			continue // quick: most of what is searched is zeros
		}
		r, ok := decodeHeader(b, c.x.number, c.x.salt)
		if !ok {
			continue
		}
		if off > at {
			c.off = off
			return found{off: at, size: off - at, broken: true}, nil
		}
		size := space(int(r.length))
		c.off = off + size
		if r.kind == kindChunk && !c.bodies && off+size <= c.size {
			return found{off: off, size: size, rec: r}, nil
		}
		p, err := c.bytes(off+headerSize, int(r.length))
		if err != nil {
			return found{}, err
		}
		if len(p) < int(r.length) || !r.fits(p) {
			c.off = min(c.off, c.size)
			return found{off: off, size: c.off - off, rec: r, broken: true}, nil
		}
		return found{off: off, size: size, rec: r}, nil
	}
	c.off = c.size
	return found{off: at}, nil
}

// scan visits the records of a segment, and what is broken between them.
func scan(x *segment, size int64, bodies bool, visit func(*found) error) error {
	c := scanner{x: x, size: size, off: segHeader, bodies: bodies}
	for {
		f, err := c.next()
		if err != nil || f.size == 0 {
			return err
		}
		if err := visit(&f); err != nil {
			return err
		}
	}
}

// heal makes the newest segment whole: its torn end, of which nobody was told that it is durable, is cut off; what
// is broken before that is damage and stays where it is. It is sealed then, so that it never has a torn end again.
func (s *Log) heal(x *segment) error {
	durable, sealed := int64(segHeader), false
	err := scan(x, x.disk, false, func(f *found) error {
		if !f.broken || f.rec.kind != kindNone { // a header is to be trusted even where its payload is not
			durable = max(durable, int64(f.rec.durable)*unit)
		}
		sealed = sealed || !f.broken && f.rec.kind == kindSeal
		return nil
	})
	if err != nil {
		return err
	}
	if sealed {
		durable = x.disk
	}
	end, torn, event := int64(segHeader), false, s.w.event
	err = scan(x, x.disk, true, func(f *found) error {
		if f.rec.kind == kindEvent && f.rec.id <= maxEvent {
			event = max(event, f.rec.id)
		}
		switch {
		case torn:
		case f.broken && f.off+f.size > durable:
			end, torn = max(end, durable), true
		case f.rec.kind != kindNone && f.rec.more && f.off >= durable: // a commit that may not be whole
		default:
			end = f.off + f.size
			s.w.event = event
		}
		return nil
	})
	if err != nil || sealed {
		return err
	}
	if err := x.f.Truncate(end); err != nil {
		return fmt.Errorf("cut torn end of %s: %w", x.name, err)
	}
	if err := x.f.Sync(); err != nil { // before the seal vouches for it
		return fmt.Errorf("cut torn end of %s: %w", x.name, err)
	}
	r := record{kind: kindSeal}
	r.sum()
	if _, err := x.f.WriteAt(r.append(nil, x.number, uint32(end/unit), x.salt), end); err != nil {
		return fmt.Errorf("seal %s: %w", x.name, err)
	}
	if err := x.f.Sync(); err != nil {
		return fmt.Errorf("seal %s: %w", x.name, err)
	}
	s.disk(x, end+space(0))
	return nil
}

// load reads the segments of earlier runs into the index. Mail that came since Open is in newer ones.
func (s *Log) load(ctx context.Context) error {
	s.mu.Lock()
	var old []*segment
	for _, x := range s.segs {
		if x.number < s.boot {
			old = append(old, x)
		}
	}
	s.mu.Unlock()
	slices.SortFunc(old, func(a, b *segment) int { return int(a.number) - int(b.number) })
	l := loader{s: s, events: map[uint64]eventAt{}}
	for _, x := range old {
		var commit []found
		err := scan(x, x.disk, false, func(f *found) error {
			if f.broken {
				l.broken(x, f)
				l.apply(x, commit)
				commit = commit[:0]
				return ctx.Err()
			}
			f.rec.payload = slices.Clone(f.rec.payload)
			if f.rec.kind == kindChunk {
				f.rec.payload = nil
			}
			commit = append(commit, *f)
			if !f.rec.more {
				l.apply(x, commit)
				commit = commit[:0]
			}
			return ctx.Err()
		})
		if err != nil {
			return err
		}
		l.apply(x, commit)
		s.mu.Lock()
		x.known = true
		s.mu.Unlock()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l.finish()
	return nil
}

type loader struct {
	s      *Log
	events map[uint64]eventAt
	damage []Damage
	floor  uint64
	at     place
}

func (l *loader) broken(x *segment, f *found) {
	d := Damage{File: x.name, Offset: f.off, Length: f.size, What: ErrDamaged.Error()}
	if f.rec.kind != kindNone && f.rec.kind != kindEvent {
		d.Messages = []ID{ID(f.rec.id)}
	}
	l.s.mu.Lock()
	x.damaged = true
	l.s.mu.Unlock()
	l.damage = append(l.damage, d)
}

func (l *loader) apply(x *segment, commit []found) {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	for i := range commit {
		if err := l.record(x, &commit[i]); err != nil {
			x.damaged = true
			l.damage = append(l.damage, Damage{File: x.name, Offset: commit[i].off, Length: commit[i].size,
				Messages: []ID{ID(commit[i].rec.id)}, What: err.Error()})
		}
	}
}

// record puts one record of an earlier run into the index; a later one about the same thing takes its place.
func (l *loader) record(x *segment, f *found) error {
	s, r := l.s, &f.rec
	at, id := place{x.number, uint32(f.off / unit)}, ID(r.id)
	switch r.kind {
	case kindMessage:
		m, err := decodeMessage(r.payload)
		if err != nil {
			return err
		}
		s.putMessage(id, at, f.size, m.created, m.size, absolute(m.chunks, at))
	case kindPart:
		p, err := decodePart(r.payload)
		if err != nil {
			return err
		}
		s.putPart(id, r.part, at, f.size, &p)
	case kindBegin:
		if m := s.messages[id]; m != nil && len(r.payload) == 16 {
			if p := m.part(r.part); p != nil {
				s.putBegin(p, at, uint32(binary.LittleEndian.Uint64(r.payload)), int64(binary.LittleEndian.Uint64(r.payload[8:])))
			}
		}
	case kindEnd:
		if m := s.messages[id]; m != nil && m.part(r.part) != nil {
			s.end(m.part(r.part), at)
		} else {
			x.tombs = append(x.tombs, tomb{id, r.part})
		}
	case kindEvent:
		if len(r.payload) < 8 || r.id > maxEvent {
			return ErrDamaged
		}
		l.events[r.id] = eventAt{at: at, size: uint32(len(r.payload)), time: int64(binary.LittleEndian.Uint64(r.payload))}
	case kindFloor:
		l.floor, l.at = max(l.floor, r.id), at
	case kindKey:
		if len(r.payload) != 24 {
			return ErrDamaged
		}
		h := keyHash(r.payload[:16])
		if old, ok := s.keys[h]; ok {
			s.drop(old.at, keySize)
		}
		s.keys[h] = keyAt{id, int64(binary.LittleEndian.Uint64(r.payload[16:])), at}
		s.take(at, keySize)
	}
	return nil
}

// finish takes away messages without parts and finds what damage hit.
func (l *loader) finish() {
	s := l.s
	for id, m := range s.messages {
		switch {
		case m.parts == nil:
			s.dropMessage(m)
			delete(s.messages, id)
		case m.at.seg == 0:
			for p := m.parts; p != nil; p = p.sibling {
				s.damaged(p, fmt.Errorf("%w: the message of this part", ErrDamaged))
			}
		case len(l.damage) > 0:
			l.hit(m)
		}
	}
	s.damage = append(s.damage, l.damage...)
	s.out.merge(s, l.events, l.floor, l.at)
}

func (l *loader) hit(m *message) {
	for i := range l.damage {
		d := &l.damage[i]
		for _, c := range m.chunks() {
			off := int64(c.at.off) * unit
			if segmentName(c.at.seg) == d.File && off < d.Offset+d.Length && d.Offset < off+space(int(c.len)) &&
				!slices.Contains(d.Messages, m.id) {
				d.Messages = append(d.Messages, m.id)
			}
		}
	}
}
