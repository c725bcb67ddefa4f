package spool

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// Options are the settings of the engine. The zero value of each means what is said beside it.
type Options struct {
	FS          FS
	SegmentSize int64            // of a file of the log; 64 MiB
	MinFree     int64            // Put gives ErrFull below it; 256 MiB, negative for none
	Slack       int64            // dead bytes beyond as many as live ones that wait for compaction; 128 MiB
	EventBytes  int64            // the outbox's cap; 256 MiB
	EventAge    time.Duration    // ... and the age of its oldest; a week
	KeyLife     time.Duration    // how long a key of idempotence is known; a day
	Now         func() time.Time // time.Now

	salt func() uint32
}

// Log is the engine of one machine: a log of segments, each body written once, with the index in memory.
type Log struct {
	o       Options
	fs      FS
	lock    io.Closer
	spool   uint64
	wake    chan struct{}
	nudges  chan struct{}
	stopped chan struct{} // the committer has ended
	ended   chan struct{} // the compactor has ended
	loaded  chan struct{} // all older mail is in the index
	quit    context.CancelFunc
	ctx     context.Context // of what goes on behind the callers
	w       writer          // the committer's own
	buffers sync.Pool

	commits, syncs, written atomic.Int64

	mu        sync.Mutex
	pending   []*op
	closing   bool
	broken    error
	loading   bool
	loadErr   error
	last      uint32 // the newest segment's number
	current   uint32
	boot      uint32
	segs      map[uint32]*segment
	messages  map[ID]*message
	lanes     map[string]*lane
	parts     int
	claims    map[Token]*claim
	expiry    time.Time // no lease ends before
	serial    uint32    // of ids
	tokens    uint32
	out       outbox
	keys      map[keyHash]keyAt
	keysBusy  map[keyHash]chan struct{}
	live      int64
	diskBytes int64
	copied    int64
	full      bool
	spaceAt   time.Time
	swept     time.Time
	damage    []Damage
}

var _ Spool = (*Log)(nil)

func (o *Options) defaults() {
	set := func(v *int64, d int64) {
		if *v == 0 {
			*v = d
		}
	}
	set(&o.SegmentSize, defaultSize)
	set(&o.MinFree, 256<<20)
	set(&o.Slack, 128<<20)
	set(&o.EventBytes, 256<<20)
	set((*int64)(&o.EventAge), int64(7*24*time.Hour))
	set((*int64)(&o.KeyLife), int64(24*time.Hour))
	if o.Now == nil {
		o.Now = time.Now
	}
	o.SegmentSize = min(max(o.SegmentSize, 1<<20), 1<<30) &^ (unit - 1)
	if o.salt == nil {
		o.salt = func() uint32 { return uint32(random()) }
	}
}

func random() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails: it ends the program instead
	return binary.LittleEndian.Uint64(b[:])
}

// Open takes the spool, makes its end whole and begins a new segment, so that mail is accepted at once. What waits
// from before is read meanwhile: Claim, Look, Events and a Put with a key wait for it.
func Open(o Options) (*Log, error) {
	o.defaults()
	if o.FS == nil {
		return nil, errors.New("open spool: Options.FS is missing")
	}
	lock, err := o.FS.Lock("lock")
	if err != nil {
		return nil, err
	}
	s := &Log{
		o: o, fs: o.FS, lock: lock, loading: true,
		wake: make(chan struct{}, 1), nudges: make(chan struct{}, 1),
		stopped: make(chan struct{}), ended: make(chan struct{}), loaded: make(chan struct{}),
		segs: map[uint32]*segment{}, messages: map[ID]*message{}, lanes: map[string]*lane{},
		claims: map[Token]*claim{}, keys: map[keyHash]keyAt{}, keysBusy: map[keyHash]chan struct{}{},
	}
	if err := s.start(); err != nil {
		for _, x := range s.segs {
			_ = x.f.Close() // the first error says more
		}
		return nil, errors.Join(err, lock.Close())
	}
	s.ctx, s.quit = context.WithCancel(context.Background())
	go s.commitLoop()
	go s.behind()
	return s, nil
}

// start does what must be done before the first accept.
func (s *Log) start() error {
	old, err := s.list()
	if err != nil {
		return err
	}
	if s.spool == 0 {
		s.spool = random() | 1
	}
	if len(old) > 0 {
		if err := s.heal(old[len(old)-1]); err != nil {
			return err
		}
	}
	s.out.first = s.w.event + 1
	s.w.goodEvent = s.w.event
	s.boot = s.last + 1
	if err := s.begin(); err != nil {
		return err
	}
	return nil
}

// behind reads what waits from before, and then compacts until the spool is closed.
func (s *Log) behind() {
	defer close(s.ended)
	err := s.load(s.ctx)
	s.mu.Lock()
	s.loading, s.loadErr = false, err
	s.mu.Unlock()
	close(s.loaded)
	if err == nil {
		s.compactLoop()
	}
}

// ready waits until what waits from before is in the index.
func (s *Log) ready(ctx context.Context) error {
	select {
	case <-s.loaded:
	default:
		select {
		case <-s.loaded:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.loadErr != nil {
		return fmt.Errorf("load spool: %w", s.loadErr)
	}
	if s.closing {
		return ErrClosed
	}
	return nil
}

// Loaded is closed when the mail from before is in the index.
func (s *Log) Loaded() <-chan struct{} { return s.loaded }

// Close ends what goes on, writes the end of the log and gives up the lock. Commits that were handed in are written.
func (s *Log) Close() error {
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		return ErrClosed
	}
	s.closing = true
	s.mu.Unlock()
	s.quit()
	<-s.ended
	select {
	case s.wake <- struct{}{}:
	default:
	}
	<-s.stopped
	var err error
	if s.w.seg != nil && !s.isBroken() {
		err = s.seal()
	}
	s.mu.Lock()
	for _, x := range s.segs {
		x.gone = true
		if x.refs == 0 {
			err = errors.Join(err, x.f.Close())
		}
	}
	s.mu.Unlock()
	return errors.Join(err, s.lock.Close())
}

// Stats gives counters.
func (s *Log) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Stats{
		Loading: s.loading, Messages: len(s.messages), Parts: s.parts, Claims: len(s.claims),
		LiveBytes: s.live, DiskBytes: s.diskBytes, Segments: len(s.segs),
		Events: s.out.count(), EventBytes: s.out.bytes, EventsDropped: s.out.dropped,
		Commits: s.commits.Load(), Syncs: s.syncs.Load(), Written: s.written.Load(), Copied: s.copied,
		Damage: append([]Damage(nil), s.damage...),
	}
}
