package spool

import (
	"errors"
	"fmt"
	"runtime"
	"time"
)

// segment is one file of the log. Fields are the index's (Log.mu), but for what never changes.
type segment struct {
	number, salt uint32
	name         string
	f            File
	disk         int64 // the file's size
	live         int64 // bytes of records that still count
	pins         int   // chunks of messages that are not yet committed
	refs         int   // readers; a removed segment is closed by the last
	sealed, gone bool
	damaged      bool
	tombs        []tomb // ends of parts that this segment tells of; known while it was written by this process
	known        bool
}

// tomb is the end of a part.
type tomb struct {
	id   ID
	part uint16
}

func segmentName(n uint32) string { return fmt.Sprintf("%010d.log", n) }

// op is one commit: its records are written together or not at all.
type op struct {
	recs   []record
	sync   bool
	copied bool          // by compaction
	check  func() error  // under Log.mu, before the records get their place
	apply  func([]place) // under Log.mu, when written (and durable, where sync)
	places []place
	err    error
	done   chan struct{}
}

// writer is the end of the log. Only the committer touches it.
type writer struct {
	seg       *segment
	off       int64 // written or in buf
	good      int64 // the end of the last group that was written whole
	durable   int64 // synced until here
	buf       []byte
	event     uint64 // number of the newest event
	goodEvent uint64
}

// submit hands a commit to the committer and waits until it is written, and synced where it wants that. Whoever
// comes while a sync is running joins the next one: nobody waits for a timer.
func (s *Log) submit(o *op) error {
	for i := range o.recs {
		o.recs[i].sum()
	}
	o.done = make(chan struct{})
	s.mu.Lock()
	if err := s.usable(); err != nil {
		s.mu.Unlock()
		return err
	}
	s.pending = append(s.pending, o)
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
	<-o.done // the committer always answers: the disk's time is not the caller's to cut
	return o.err
}

func (s *Log) usable() error {
	if s.broken != nil {
		return s.broken
	}
	if s.closing {
		return ErrClosed
	}
	return nil
}

// commitLoop is the only one that writes to the log. It ends when the spool is closed and nothing is pending.
func (s *Log) commitLoop() {
	defer close(s.stopped)
	for {
		<-s.wake
		for {
			s.mu.Lock()
			batch := s.pending
			s.pending = nil
			closing := s.closing
			s.mu.Unlock()
			if len(batch) == 0 {
				if closing {
					return
				}
				break
			}
			s.commit(batch)
			if len(batch) > 1 {
				runtime.Gosched() // let those who were just answered come into one group, not into two by turns
			}
		}
	}
}

func (s *Log) commit(batch []*op) {
	group := make([]*op, 0, len(batch))
	for _, o := range batch {
		var size int64
		for i := range o.recs {
			size += space(int(o.recs[i].length))
		}
		if size > s.o.SegmentSize-segHeader-space(0) {
			s.answer(o, ErrMail)
			continue
		}
		if s.w.seg == nil || s.w.off+size > s.o.SegmentSize-space(0) {
			s.flush(group)
			group = group[:0]
			if err := s.roll(); err != nil {
				s.answer(o, err)
				continue
			}
		}
		if o.check != nil {
			s.mu.Lock()
			err := o.check()
			s.mu.Unlock()
			if err != nil {
				s.answer(o, err)
				continue
			}
		}
		s.place(o)
		group = append(group, o)
	}
	s.flush(group)
}

func (s *Log) answer(o *op, err error) {
	if o.err == nil {
		o.err = err
	}
	close(o.done)
}

// place gives the records of a commit their places and puts them into the buffer.
func (s *Log) place(o *op) {
	w := &s.w
	o.places = make([]place, len(o.recs))
	for i := range o.recs {
		r := &o.recs[i]
		r.more = i < len(o.recs)-1
		if r.kind == kindEvent && r.id == 0 {
			w.event++
			r.id = w.event
		}
		o.places[i] = place{w.seg.number, uint32(w.off / unit)}
		w.buf = r.append(w.buf, w.seg.number, uint32(w.durable/unit), w.seg.salt)
		w.off += space(int(r.length))
		if len(w.buf) >= 1<<20 {
			if err := s.writeOut(); err != nil && o.err == nil {
				o.err = err
			}
		}
	}
}

func (s *Log) writeOut() error {
	w := &s.w
	if len(w.buf) == 0 {
		return nil
	}
	n := int64(len(w.buf))
	_, err := w.seg.f.WriteAt(w.buf, w.off-n)
	w.buf = w.buf[:0]
	if err != nil {
		return fmt.Errorf("write spool: %w", err)
	}
	s.written.Add(n)
	return nil
}

// flush writes the group, syncs it where one of it wants that, makes it visible and answers.
func (s *Log) flush(group []*op) {
	if len(group) == 0 {
		return
	}
	w := &s.w
	err := s.writeOut()
	sync := false
	for _, o := range group {
		sync = sync || o.sync
		if err == nil {
			err = o.err
		}
	}
	if err == nil && sync {
		err = s.sync()
	}
	if err != nil {
		s.undo(err)
		for _, o := range group {
			s.answer(o, err)
		}
		return
	}
	w.good, w.goodEvent = w.off, w.event
	s.mu.Lock()
	for _, o := range group {
		if o.apply != nil {
			o.apply(o.places)
		}
		if o.copied {
			for i := range o.recs {
				s.copied += space(int(o.recs[i].length))
			}
		}
	}
	s.mu.Unlock()
	s.commits.Add(int64(len(group)))
	for _, o := range group {
		close(o.done)
	}
}

// sync makes what was written durable. After a failed one nobody knows what the kernel still holds (it may drop the
// pages and succeed the next time), so nothing more is promised: the spool stops, and reads its files anew.
func (s *Log) sync() error {
	if err := s.w.seg.f.Sync(); err != nil {
		s.stop(fmt.Errorf("%w: %w", ErrBroken, err))
		return fmt.Errorf("sync spool: %w", err)
	}
	s.w.durable = s.w.off
	s.syncs.Add(1)
	return nil
}

func (s *Log) stop(err error) {
	s.mu.Lock()
	if s.broken == nil {
		s.broken = err
	}
	s.mu.Unlock()
}

// undo takes back a group that was not written whole: those who waited for it are told so, and it must not come
// back after a restart. The rest of the segment is made zeros again, so that what is written next ends cleanly.
func (s *Log) undo(cause error) {
	w := &s.w
	w.buf, w.event = w.buf[:0], w.goodEvent
	w.off = w.good
	if s.isBroken() {
		return
	}
	if err := w.seg.f.Truncate(w.good); err != nil {
		s.stop(fmt.Errorf("%w: %w", ErrBroken, errors.Join(cause, err)))
		return
	}
	s.mu.Lock()
	s.disk(w.seg, w.good)
	s.mu.Unlock()
}

func (s *Log) isBroken() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.broken != nil
}

// roll seals the segment and begins the next. The old one is durable, with its end, before the new one exists: only
// the last segment can have a torn end.
func (s *Log) roll() error {
	if s.isBroken() {
		return ErrBroken
	}
	if s.w.seg != nil {
		if err := s.seal(); err != nil {
			return err
		}
	}
	return s.begin()
}

// seal ends the segment. All before the seal is durable before the seal is written: where there is one, what is
// broken before it is damage, and never a torn end.
func (s *Log) seal() error {
	w := &s.w
	if w.durable != w.off {
		if err := s.sync(); err != nil {
			return err
		}
	}
	r := record{kind: kindSeal}
	r.sum()
	w.buf = r.append(w.buf, w.seg.number, uint32(w.durable/unit), w.seg.salt)
	w.off += space(0)
	err := s.writeOut()
	if err == nil {
		err = w.seg.f.Truncate(w.off)
	}
	if err != nil {
		s.undo(err)
		return fmt.Errorf("seal segment: %w", err)
	}
	if err := s.sync(); err != nil {
		return err
	}
	s.mu.Lock()
	w.seg.sealed = true
	s.disk(w.seg, w.off)
	s.mu.Unlock()
	w.seg = nil
	s.nudge()
	return nil
}

// begin makes the next segment: its header and its name are durable before anything is written to it.
func (s *Log) begin() error {
	s.mu.Lock()
	s.last++
	h := segmentHeader{number: s.last, salt: s.o.salt(), spool: s.spool, event: s.w.event}
	s.mu.Unlock()
	name := segmentName(h.number)
	f, err := s.fs.Create(name)
	if err != nil {
		return fmt.Errorf("begin segment: %w", err)
	}
	if err = f.Preallocate(s.o.SegmentSize); err == nil {
		if _, err = f.WriteAt(h.encode(), 0); err == nil {
			if err = f.Sync(); err == nil {
				err = s.fs.SyncDir()
			}
		}
	}
	if err != nil {
		return fmt.Errorf("begin segment: %w", errors.Join(err, f.Close(), s.fs.Remove(name)))
	}
	s.syncs.Add(2)
	seg := &segment{number: h.number, salt: h.salt, name: name, f: f, known: true}
	s.mu.Lock()
	s.segs[seg.number] = seg
	s.current = seg.number
	s.disk(seg, s.o.SegmentSize)
	s.mu.Unlock()
	s.w.seg, s.w.off, s.w.good, s.w.durable = seg, segHeader, segHeader, segHeader
	s.checkSpace(true)
	return nil
}

// disk notes the size of a segment's file.
func (s *Log) disk(seg *segment, size int64) {
	s.diskBytes += size - seg.disk
	seg.disk = size
}

// checkSpace asks for the free space, at most once a second.
func (s *Log) checkSpace(now bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := time.Now()
	if now || at.Sub(s.spaceAt) >= time.Second || at.Before(s.spaceAt) {
		s.spaceAt = at
		if free, err := s.fs.Free(); err == nil {
			s.full = free < s.o.MinFree
		}
	}
	return !s.full
}

// use opens a segment for reading: done must be called.
func (s *Log) use(seg uint32) (*segment, error) {
	x := s.segs[seg]
	if x == nil {
		return nil, fmt.Errorf("%w: segment %d is not there", ErrDamaged, seg)
	}
	x.refs++
	return x, nil
}

func (s *Log) done(x *segment) {
	s.mu.Lock()
	x.refs--
	last := x.gone && x.refs == 0
	s.mu.Unlock()
	if last {
		_ = x.f.Close() // it was only read
	}
}

// read gets the payload of a record and verifies it. x is in use.
func (x *segment) read(at uint32, size int64, buf []byte) (record, error) {
	if int64(cap(buf)) < size {
		buf = make([]byte, size)
	}
	buf = buf[:size]
	off := int64(at) * unit
	if _, err := x.f.ReadAt(buf, off); err != nil {
		return record{}, fmt.Errorf("read %s at %d: %w", x.name, off, err)
	}
	r, ok := decodeHeader(buf, x.number, x.salt)
	if !ok || space(int(r.length)) != size || !r.fits(buf[headerSize:headerSize+int64(r.length)]) {
		return r, fmt.Errorf("%w (%s at %d)", ErrDamaged, x.name, off)
	}
	return r, nil
}
