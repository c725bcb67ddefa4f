package conformance

import (
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"sync"

	"github.com/postroad/postroad/relay/spool"
)

// Power is a file system in memory whose power can be cut: what was not synced is then lost, torn or in another
// order. It can also fail single operations.
type Power struct {
	// Fail is asked before each operation ("write", "sync", "create", "open", "remove", "rename", "syncdir",
	// "truncate", "preallocate", "read") and fails it with what it gives. Set it before use.
	Fail func(op, name string) error
	// Room is what Free gives.
	Room int64

	mu     sync.Mutex
	rnd    *rand.Rand
	life   int // operations of an earlier life fail
	left   int // operations until the power goes; below zero: never
	locked bool
	now    map[string]*disk
	kept   map[string]*disk // the names that are durable
	log    []string
}

type disk struct {
	now, kept []byte
	todo      []change // since the last sync
}

// change is a write of bytes at off, or a new size where bytes is nil.
type change struct {
	off   int64
	bytes []byte
}

var errPower = errors.New("the power is off")

// NewPower gives an empty file system.
func NewPower(seed uint64) *Power {
	return &Power{rnd: rand.New(rand.NewPCG(seed, 7)), left: -1, Room: 1 << 40, now: map[string]*disk{}, kept: map[string]*disk{}}
}

// CutAfter takes the power away after n more operations.
func (p *Power) CutAfter(n int) {
	p.mu.Lock()
	p.left = n
	p.mu.Unlock()
}

// Restore ends a loss of power: the file system is as a disk may be then. Files of before fail for ever.
func (p *Power) Restore() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.life++
	p.left, p.locked = -1, false
	names := map[string]bool{}
	for n := range p.now {
		names[n] = true
	}
	for n := range p.kept {
		names[n] = true
	}
	next := map[string]*disk{}
	for n := range names {
		d := p.kept[n]
		if p.now[n] != d && p.rnd.IntN(2) == 0 {
			d = p.now[n] // the change of the name reached the disk by itself
		}
		if d != nil {
			next[n] = d
		}
	}
	chance := p.rnd.IntN(5) // from "all is lost" to "nothing is"
	for _, d := range next {
		for _, c := range d.todo {
			for _, piece := range c.pages() {
				if p.rnd.IntN(4) < chance {
					d.kept = piece.apply(d.kept)
				}
			}
		}
		d.todo = nil
		d.now = append([]byte(nil), d.kept...)
	}
	p.now, p.kept = next, map[string]*disk{}
	for n, d := range next {
		p.kept[n] = d
	}
}

// Operations gives what was done since the last call, as "op name".
func (p *Power) Operations() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	log := p.log
	p.log = nil
	return log
}

// Flip changes a bit of a file, as bad disks do.
func (p *Power) Flip(name string, off int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if d := p.now[name]; d != nil && off < int64(len(d.now)) {
		d.now[off] ^= 4
		if off < int64(len(d.kept)) {
			d.kept[off] ^= 4
		}
	}
}

// pages divides a write as a disk may: at pages of 4096 bytes, and one of them in the middle.
func (c change) pages() []change {
	if c.bytes == nil {
		return []change{c}
	}
	var out []change
	for off, b := c.off, c.bytes; len(b) > 0; {
		n := min(4096-int(off%4096), len(b))
		if n > 512 && len(out) == 0 {
			n = 512
		}
		out = append(out, change{off, b[:n]})
		off, b = off+int64(n), b[n:]
	}
	return out
}

func (c change) apply(to []byte) []byte {
	end := c.off + int64(len(c.bytes))
	if c.bytes == nil && end < int64(len(to)) {
		return to[:end]
	}
	if grow := end - int64(len(to)); grow > 0 {
		to = append(to, make([]byte, grow)...)
	}
	copy(to[c.off:], c.bytes)
	return to
}

// do says whether an operation happens. The lock is held.
func (p *Power) do(life int, op, name string) error {
	if life != p.life || p.left == 0 {
		return errPower
	}
	if p.left > 0 {
		p.left--
	}
	if p.Fail != nil {
		if err := p.Fail(op, name); err != nil {
			return err
		}
	}
	if op != "read" {
		p.log = append(p.log, op+" "+name)
	}
	return nil
}

// FS gives the file system as the spool uses it, for one life.
func (p *Power) FS() spool.FS {
	p.mu.Lock()
	defer p.mu.Unlock()
	return &life{p, p.life}
}

type life struct {
	p    *Power
	life int
}

type handle struct {
	*life
	name string
	d    *disk
}

func (l *life) file(op, name string) (spool.File, error) {
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	if err := l.p.do(l.life, op, name); err != nil {
		return nil, err
	}
	d := l.p.now[name]
	switch {
	case op == "open" && d == nil:
		return nil, fs.ErrNotExist
	case op == "create" && d != nil:
		return nil, fs.ErrExist
	case d == nil:
		d = &disk{}
		l.p.now[name] = d
	}
	return &handle{l, name, d}, nil
}

func (l *life) Create(name string) (spool.File, error) { return l.file("create", name) }
func (l *life) Open(name string) (spool.File, error)   { return l.file("open", name) }

func (l *life) List() ([]string, error) {
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	var names []string
	for n := range l.p.now {
		names = append(names, n)
	}
	return names, nil
}

func (l *life) Rename(from, to string) error {
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	err := l.p.do(l.life, "rename", from)
	if err == nil {
		l.p.now[to] = l.p.now[from]
		delete(l.p.now, from)
	}
	return err
}

func (l *life) Remove(name string) error {
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	err := l.p.do(l.life, "remove", name)
	if err == nil {
		delete(l.p.now, name)
	}
	return err
}

func (l *life) SyncDir() error {
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	err := l.p.do(l.life, "syncdir", "")
	if err == nil {
		l.p.kept = map[string]*disk{}
		for n, d := range l.p.now {
			l.p.kept[n] = d
		}
	}
	return err
}

func (l *life) Lock(string) (io.Closer, error) {
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	if l.p.locked {
		return nil, spool.ErrLocked
	}
	l.p.locked = true
	return &held{l}, nil
}

type held struct{ *life }

func (h *held) Close() error {
	h.p.mu.Lock()
	defer h.p.mu.Unlock()
	if h.life.life == h.p.life {
		h.p.locked = false
	}
	return nil
}

func (l *life) Free() (int64, error) {
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	return l.p.Room, nil
}

func (h *handle) ReadAt(b []byte, off int64) (int, error) {
	h.p.mu.Lock()
	defer h.p.mu.Unlock()
	if err := h.p.do(h.life.life, "read", h.name); err != nil {
		return 0, err
	}
	if off >= int64(len(h.d.now)) {
		return 0, io.EOF
	}
	n := copy(b, h.d.now[off:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// change does a change now, and durably with the next sync.
func (h *handle) change(op string, c change) error {
	h.p.mu.Lock()
	defer h.p.mu.Unlock()
	if err := h.p.do(h.life.life, op, h.name); err != nil {
		return err
	}
	h.d.now = c.apply(h.d.now)
	h.d.todo = append(h.d.todo, c)
	return nil
}

func (h *handle) WriteAt(b []byte, off int64) (int, error) {
	if err := h.change("write", change{off, append([]byte{}, b...)}); err != nil {
		return 0, err
	}
	return len(b), nil
}

func (h *handle) Truncate(size int64) error    { return h.change("truncate", change{off: size}) }
func (h *handle) Preallocate(size int64) error { return h.change("preallocate", change{off: size}) }

func (h *handle) Sync() error {
	h.p.mu.Lock()
	defer h.p.mu.Unlock()
	err := h.p.do(h.life.life, "sync", h.name)
	if err == nil {
		for _, c := range h.d.todo {
			h.d.kept = c.apply(h.d.kept)
		}
		h.d.todo = nil
	}
	return err
}

func (h *handle) Size() (int64, error) {
	h.p.mu.Lock()
	defer h.p.mu.Unlock()
	return int64(len(h.d.now)), nil
}

func (h *handle) Close() error { return nil }
