package spool

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

type keyHash [16]byte

type keyAt struct {
	id   ID
	time int64
	at   place
}

const keySize = headerSize + 24

func hashKey(key string) keyHash {
	sum := sha256.Sum256([]byte(key))
	return keyHash(sum[:16])
}

func (m *Mail) check() error {
	if len(m.Parts) == 0 || len(m.Parts) > 1<<15 || len(m.Meta) > MaxMeta {
		return ErrMail
	}
	n := 0
	for i := range m.Parts {
		if len(m.Parts[i].Recipients) == 0 {
			return ErrMail
		}
		n += len(m.Parts[i].Recipients)
	}
	if n > MaxRecipients {
		return ErrMail
	}
	return nil
}

// Put implements Spool.
func (s *Log) Put(ctx context.Context, m Mail, body io.Reader) (ID, error) {
	if err := m.check(); err != nil {
		return 0, err
	}
	if m.Key != "" {
		h := hashKey(m.Key)
		if id, known, err := s.reserve(ctx, h); err != nil || known {
			return id, err
		}
		defer s.unreserve(h)
	}
	if !s.checkSpace(false) {
		return 0, ErrFull
	}
	var duty *claim
	if m.Discharge != 0 {
		var err error
		if duty, err = s.hold(m.Discharge); err != nil {
			return 0, err
		}
		if !duty.rec.duty {
			s.unhold(duty)
			return 0, ErrToken
		}
	}
	id, err := s.put(ctx, &m, body, duty)
	if err != nil && duty != nil {
		s.unhold(duty)
	}
	return id, err
}

func (s *Log) put(ctx context.Context, m *Mail, body io.Reader, duty *claim) (ID, error) {
	id, err := s.newID()
	if err != nil {
		return 0, err
	}
	if body == nil {
		body = eof{}
	}
	now := s.o.Now()
	in := intake{s: s, id: id}
	defer in.release()
	if err := in.read(ctx, body); err != nil {
		return 0, err
	}
	rec := messageRecord{created: now.UnixNano(), from: m.From, meta: m.Meta, size: in.size, chunks: in.chunks}
	o := &op{sync: true}
	if len(in.rest) > 0 {
		rec.chunks = append(rec.chunks, chunk{at: place{0, uint32(space(len(in.rest)) / unit)}, len: uint32(len(in.rest))})
		o.recs = append(o.recs, record{kind: kindChunk, id: uint64(id), payload: in.rest})
	}
	main := len(o.recs)
	o.recs = append(o.recs, record{kind: kindMessage, id: uint64(id), payload: rec.encode()})
	parts := make([]partRecord, len(m.Parts))
	for i := range m.Parts {
		parts[i] = newPart(&m.Parts[i], now)
		parts[i].no = uint16(i)
		o.recs = append(o.recs, record{kind: kindPart, part: uint16(i), id: uint64(id), payload: parts[i].encode()})
	}
	if duty != nil {
		o.recs = append(o.recs, record{kind: kindEnd, part: duty.part.no, id: uint64(duty.part.msg.id)})
	}
	if m.Key != "" {
		h := hashKey(m.Key)
		p := binary.LittleEndian.AppendUint64(h[:], uint64(now.UnixNano()))
		o.recs = append(o.recs, record{kind: kindKey, id: uint64(id), payload: p})
	}
	o.recs = appendEvents(o.recs, m.Events, now)
	if err := bounded(o.recs); err != nil {
		return 0, err
	}
	o.apply = func(at []place) {
		s.putMessage(id, at[main], space(len(o.recs[main].payload)), rec.created, rec.size, absolute(rec.chunks, at[main]))
		in.unpin()
		for i := main + 1; i < len(o.recs); i++ {
			s.applied(&o.recs[i], at[i], duty, parts)
		}
	}
	if err := s.submit(o); err != nil {
		return 0, err
	}
	return id, nil
}

// applied notes a record of Put or Finish other than the message's.
func (s *Log) applied(r *record, at place, c *claim, parts []partRecord) {
	switch r.kind {
	case kindPart:
		for i := range parts {
			if parts[i].no == r.part {
				s.putPart(ID(r.id), r.part, at, space(len(r.payload)), &parts[i])
			}
		}
	case kindEnd:
		s.unclaim(c)
		s.end(c.part, at)
	case kindKey:
		s.keys[keyHash(r.payload[:16])] = keyAt{ID(r.id), int64(binary.LittleEndian.Uint64(r.payload[16:])), at}
		s.take(at, keySize)
	case kindEvent:
		s.putEvent(r.id, at, int64(len(r.payload)), int64(binary.LittleEndian.Uint64(r.payload)))
	}
}

func newPart(p *Part, now time.Time) partRecord {
	rec := partRecord{lane: p.Lane, next: nanos(p.Next), note: p.Note, to: slices.Clone(p.Recipients), duty: len(p.Recipients) == 0}
	if rec.next == 0 {
		rec.next = nanos(now)
	}
	return rec
}

// bounded refuses records that could not be read again.
func bounded(recs []record) error {
	for i := range recs {
		if len(recs[i].payload) > maxRecord {
			return ErrMail
		}
	}
	return nil
}

func appendEvents(recs []record, events [][]byte, now time.Time) []record {
	for _, e := range events {
		p := binary.LittleEndian.AppendUint64(make([]byte, 0, 8+len(e)), uint64(now.UnixNano()))
		recs = append(recs, record{kind: kindEvent, payload: append(p, e...)})
	}
	return recs
}

// newID gives an id that begins with the segment which is current: no record of the message is in an older one.
func (s *Log) newID() (ID, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(); err != nil {
		return 0, err
	}
	s.serial++
	return ID(uint64(s.current)<<32 | uint64(s.serial)), nil
}

func (id ID) birth() uint32 { return uint32(id >> 32) }

// reserve looks a key up, and waits for a Put that has the same one now.
func (s *Log) reserve(ctx context.Context, h keyHash) (id ID, known bool, err error) {
	if err := s.ready(ctx); err != nil {
		return 0, false, err
	}
	for {
		s.mu.Lock()
		if k, ok := s.keys[h]; ok && !s.stale(k) {
			s.mu.Unlock()
			return k.id, true, nil
		}
		busy := s.keysBusy[h]
		if busy == nil {
			s.keysBusy[h] = make(chan struct{})
			s.mu.Unlock()
			return 0, false, nil
		}
		s.mu.Unlock()
		select {
		case <-busy:
		case <-ctx.Done():
			return 0, false, ctx.Err()
		}
	}
}

func (s *Log) stale(k keyAt) bool { return s.o.Now().UnixNano()-k.time > int64(s.o.KeyLife) }

func (s *Log) unreserve(h keyHash) {
	s.mu.Lock()
	close(s.keysBusy[h])
	delete(s.keysBusy, h)
	s.mu.Unlock()
}

// intake streams a body into the log: all chunks but the last are written as they come, the last goes with the
// commit. A body that does not come to its end leaves chunks that nothing names.
type intake struct {
	s      *Log
	id     ID
	size   int64
	chunks []chunk
	rest   []byte
	buf    *[]byte
	pinned []uint32
}

type eof struct{}

func (eof) Read([]byte) (int, error) { return 0, io.EOF }

const smallBuffer = 8 << 10

func (in *intake) read(ctx context.Context, body io.Reader) error {
	buf := make([]byte, 0, smallBuffer)
	for {
		if len(buf) == cap(buf) {
			switch {
			case cap(buf) < maxChunk:
				buf = in.grow(buf)
			default:
				if err := in.chunk(buf); err != nil {
					return err
				}
				buf = buf[:0]
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := body.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		in.size += int64(n)
		if errors.Is(err, io.EOF) {
			in.rest = buf
			return nil
		}
		if err != nil {
			return fmt.Errorf("read mail: %w", err)
		}
	}
}

func (in *intake) grow(buf []byte) []byte {
	b, ok := in.s.buffers.Get().(*[]byte)
	if !ok {
		fresh := make([]byte, 0, maxChunk)
		b = &fresh
	}
	in.buf = b
	return append((*b)[:0], buf...)
}

func (in *intake) chunk(b []byte) error {
	s := in.s
	o := &op{recs: []record{{kind: kindChunk, id: uint64(in.id), payload: b}}}
	o.apply = func(at []place) {
		in.chunks = append(in.chunks, chunk{at: at[0], len: uint32(len(b))})
		s.segs[at[0].seg].pins++ // the compactor must not take it for dead
		in.pinned = append(in.pinned, at[0].seg)
	}
	return s.submit(o)
}

// unpin is called with the index's lock.
func (in *intake) unpin() {
	for _, n := range in.pinned {
		if x := in.s.segs[n]; x != nil {
			x.pins--
		}
	}
	in.pinned = nil
}

func (in *intake) release() {
	in.s.mu.Lock()
	in.unpin()
	in.s.mu.Unlock()
	if in.buf != nil {
		in.s.buffers.Put(in.buf)
	}
}
