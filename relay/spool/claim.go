package spool

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Claim implements Spool.
func (s *Log) Claim(ctx context.Context, name string, n int, lease time.Duration) ([]*Claim, error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	now := s.o.Now()
	s.mu.Lock()
	s.expire(now)
	var taken []*claim
	for l := s.lanes[name]; l != nil && len(taken) < n && len(l.heap) > 0 && l.heap[0].next <= now.UnixNano(); {
		taken = append(taken, s.claim(l.heap[0], now.Add(lease)))
	}
	s.mu.Unlock()
	out := make([]*Claim, 0, len(taken))
	var failed error
	for _, c := range taken {
		v, err := s.open(c)
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		out = append(out, v)
	}
	if len(out) > 0 {
		return out, nil // what could not be read is in Stats.Damage, or is due again
	}
	return nil, failed
}

// ClaimPart implements Spool.
func (s *Log) ClaimPart(ctx context.Context, id ID, no int, lease time.Duration) (*Claim, error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	now := s.o.Now()
	s.mu.Lock()
	s.expire(now)
	m := s.messages[id]
	if m == nil || no < 0 || no >= 1<<16 || m.part(uint16(no)) == nil {
		s.mu.Unlock()
		return nil, ErrUnknown
	}
	p := m.part(uint16(no))
	if p.state&flagClaimed != 0 {
		s.mu.Unlock()
		return nil, ErrClaimed
	}
	c := s.claim(p, now.Add(lease))
	s.mu.Unlock()
	return s.open(c)
}

// claim takes a part out of the order of its lane. Tokens begin with the first segment of this run: none of an
// earlier run is valid.
func (s *Log) claim(p *part, until time.Time) *claim {
	s.tokens++
	c := &claim{token: Token(uint64(s.boot)<<32 | uint64(s.tokens)), part: p, until: until}
	p.lane.remove(p)
	p.lane.taken++
	p.state |= flagClaimed
	s.claims[c.token] = c
	if s.expiry.IsZero() || until.Before(s.expiry) {
		s.expiry = until
	}
	return c
}

// unclaim ends a claim; the part is not yet back in its lane's order.
func (s *Log) unclaim(c *claim) {
	delete(s.claims, c.token)
	if c.part.state&flagClaimed != 0 && c.part.lane != nil {
		c.part.lane.taken--
	}
	c.part.state &^= flagClaimed | flagPending
}

// expire gives back what was leased until now. The times carry the monotonic clock: a clock that is set does not
// end or lengthen leases.
func (s *Log) expire(now time.Time) {
	if s.expiry.IsZero() || now.Before(s.expiry) {
		return
	}
	s.expiry = time.Time{}
	for _, c := range s.claims {
		switch {
		case c.part.state&flagPending == 0 && !now.Before(c.until):
			s.unclaim(c)
			s.enter(c.part)
		case s.expiry.IsZero() || c.until.Before(s.expiry):
			s.expiry = c.until
		}
	}
}

// open reads what a claim is about.
func (s *Log) open(c *claim) (*Claim, error) {
	rec, head, err := s.readPart(c.part)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.unclaim(c)
		if errors.Is(err, ErrDamaged) {
			s.damaged(c.part, err)
		} else {
			s.enter(c.part)
		}
		return nil, err
	}
	c.rec = rec
	v := view(c.part, &c.rec, &head)
	v.Token, v.Until = c.token, c.until
	return v, nil
}

// damaged keeps a part that cannot be read out of the way, and says so.
func (s *Log) damaged(p *part, err error) {
	p.state |= flagDamaged
	if p.lane != nil {
		p.lane.remove(p)
	}
	d := Damage{Offset: int64(p.at.off) * unit, Length: int64(p.size), Messages: []ID{p.msg.id}, What: err.Error()}
	if x := s.segs[p.at.seg]; x != nil {
		x.damaged = true
		d.File = x.name
	}
	s.damage = append(s.damage, d)
}

func view(p *part, rec *partRecord, head *messageRecord) *Claim {
	return &Claim{
		ID: p.msg.id, Part: int(p.no), Lane: rec.lane, From: head.from, Meta: head.meta,
		Recipients: slices.Clone(rec.to), Note: rec.note, Duty: rec.duty, Tries: int(p.tries), Next: moment(p.next),
		Created: moment(p.msg.created), Size: p.msg.total,
	}
}

// readPart reads the records of a part and its message; compaction may move them meanwhile.
func (s *Log) readPart(p *part) (rec partRecord, head messageRecord, err error) {
	r, err := s.fetch(func() (place, uint32) { return p.at, p.size })
	if err != nil {
		return rec, head, err
	}
	if rec, err = decodePart(r.payload); err != nil {
		return rec, head, err
	}
	if r, err = s.fetch(func() (place, uint32) { return p.msg.at, p.msg.size }); err != nil {
		return rec, head, err
	}
	head, err = decodeMessage(r.payload)
	return rec, head, err
}

// fetch reads a record where the index has it.
func (s *Log) fetch(where func() (place, uint32)) (record, error) {
	s.mu.Lock()
	at, size := where()
	x, err := s.use(at.seg)
	s.mu.Unlock()
	if err != nil {
		return record{}, err
	}
	defer s.done(x)
	return x.read(at.off, int64(size), nil)
}

// valid gives the claim of a token. A lease that is over is given back.
func (s *Log) valid(t Token) (*claim, error) {
	if err := s.usable(); err != nil {
		return nil, err
	}
	s.expire(s.o.Now())
	c := s.claims[t]
	if c == nil || c.part.state&flagPending != 0 {
		return nil, ErrToken
	}
	return c, nil
}

// hold gives the claim of a token and keeps it from ending while a commit of it is on its way.
func (s *Log) hold(t Token) (*claim, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.valid(t)
	if err == nil {
		c.part.state |= flagPending
	}
	return c, err
}

func (s *Log) unhold(c *claim) {
	s.mu.Lock()
	c.part.state &^= flagPending
	s.mu.Unlock()
}

// Renew implements Spool.
func (s *Log) Renew(t Token, lease time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.valid(t)
	if err == nil {
		c.until = s.o.Now().Add(lease)
		if c.until.Before(s.expiry) {
			s.expiry = c.until
		}
	}
	return err
}

// Release implements Spool.
func (s *Log) Release(t Token) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.valid(t)
	if err == nil {
		s.unclaim(c)
		s.enter(c.part)
	}
	return err
}

// Begin implements Spool.
func (s *Log) Begin(_ context.Context, t Token, next time.Time) (int, error) {
	c, err := s.hold(t)
	if err != nil {
		return 0, err
	}
	defer s.unhold(c)
	tries := c.part.tries + 1
	o := &op{recs: []record{beginRecord(c.part.msg.id, c.part.no, tries, nanos(next))}}
	o.apply = func(at []place) { s.putBegin(c.part, at[0], tries, nanos(next)) }
	if err := s.submit(o); err != nil {
		return 0, err
	}
	return int(tries), nil
}

func beginRecord(id ID, no uint16, tries uint32, next int64) record {
	p := binary.LittleEndian.AppendUint64(nil, uint64(tries))
	return record{kind: kindBegin, id: uint64(id), part: no, payload: binary.LittleEndian.AppendUint64(p, uint64(next))}
}

// Finish implements Spool.
func (s *Log) Finish(_ context.Context, t Token, out Outcome) error {
	c, err := s.hold(t)
	if err != nil {
		return err
	}
	if err := s.finish(c, &out); err != nil {
		s.unhold(c)
		return err
	}
	return nil
}

func (s *Log) finish(c *claim, out *Outcome) error {
	now := s.o.Now()
	rec, left, err := c.rec.after(out, c.part)
	if err != nil {
		return err
	}
	id, o := c.part.msg.id, &op{sync: true}
	s.mu.Lock()
	no := c.part.msg.next
	c.part.msg.next += uint16(len(out.Owe))
	s.mu.Unlock()
	parts := make([]partRecord, 0, 1+len(out.Owe))
	for i := range out.Owe {
		if len(out.Owe[i].Recipients) > 0 {
			return ErrMail
		}
		p := newPart(&out.Owe[i], now)
		p.no = no + uint16(i)
		parts = append(parts, p)
		o.recs = append(o.recs, record{kind: kindPart, part: p.no, id: uint64(id), payload: p.encode()})
	}
	if left {
		rec.no = c.part.no
		parts = append(parts, rec)
		o.recs = append(o.recs, record{kind: kindPart, part: rec.no, id: uint64(id), payload: rec.encode()})
	} else {
		o.recs = append(o.recs, record{kind: kindEnd, part: c.part.no, id: uint64(id)})
	}
	o.recs = appendEvents(o.recs, out.Events, now)
	if err := bounded(o.recs); err != nil {
		return err
	}
	o.apply = func(at []place) {
		if left {
			s.unclaim(c)
		}
		for i := range o.recs {
			s.applied(&o.recs[i], at[i], c, parts)
		}
	}
	return s.submit(o)
}

// after gives the part as it stands after a try; left is false where nothing of it waits.
func (p *partRecord) after(out *Outcome, at *part) (rec partRecord, left bool, err error) {
	rec = *p
	rec.to = slices.Clone(p.to)
	rec.tries, rec.next = int(at.tries), at.next
	if out.Lane != "" {
		rec.lane = out.Lane
	}
	for _, r := range out.Results {
		if r.Recipient < 0 || r.Recipient >= len(rec.to) || r.Status >= statuses {
			return rec, false, fmt.Errorf("finish try: no recipient %d, or no such status", r.Recipient)
		}
		to := &rec.to[r.Recipient]
		if to.Status.Final() {
			return rec, false, fmt.Errorf("finish try: recipient %d was %s already", r.Recipient, to.Status)
		}
		to.Status, to.Next, to.Reason = r.Status, r.Next, r.Reason
	}
	if !out.Next.IsZero() {
		rec.next = nanos(out.Next)
	}
	if rec.duty {
		return rec, !out.Done, nil
	}
	first := int64(0)
	for _, r := range rec.to {
		if r.Status.Final() {
			continue
		}
		next := rec.next
		if r.Status == Deferred && !r.Next.IsZero() {
			next = nanos(r.Next)
		}
		if !left || next < first {
			first = next
		}
		left = true
	}
	if left {
		rec.next = first
	}
	return rec, left, nil
}
