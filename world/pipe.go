package world

import (
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// pipeBytes is how much one side may say before the other listens: about what
// a socket takes. net.Pipe takes nothing, and a TLS alert that meets a flight of
// the handshake would wait there for ever.
const pipeBytes = 64 << 10

// half is one direction of a connection in memory.
type half struct {
	mu    sync.Mutex
	data  []byte
	ended bool // nothing more will be written
	deaf  bool // nobody reads any more
	moved chan struct{}
}

func newHalf() *half { return &half{moved: make(chan struct{})} }

// change runs f and wakes who waits.
func (h *half) change(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
	close(h.moved)
	h.moved = make(chan struct{})
}

func (h *half) read(b []byte, over <-chan struct{}, closed <-chan struct{}) (n int, err error) {
	for {
		h.mu.Lock()
		moved, left, ended := h.moved, len(h.data), h.ended
		h.mu.Unlock()
		select {
		case <-over:
			return 0, os.ErrDeadlineExceeded
		default:
		}
		select {
		case <-closed:
			return 0, net.ErrClosed
		default:
		}
		if left > 0 || len(b) == 0 {
			h.change(func() {
				n = copy(b, h.data)
				h.data = h.data[n:]
			})
			return n, nil
		}
		if ended {
			return 0, io.EOF
		}
		select {
		case <-moved:
		case <-over:
		case <-closed:
		}
	}
}

func (h *half) write(b []byte, over <-chan struct{}, closed <-chan struct{}) (n int, err error) {
	for {
		h.mu.Lock()
		moved, room, deaf := h.moved, pipeBytes-len(h.data), h.deaf || h.ended
		h.mu.Unlock()
		select {
		case <-closed:
			return n, net.ErrClosed
		case <-over:
			return n, os.ErrDeadlineExceeded
		default:
		}
		if deaf {
			return n, io.ErrClosedPipe
		}
		if room > 0 {
			part := b[n:min(n+room, len(b))]
			h.change(func() { h.data = append(h.data, part...) })
			n += len(part)
		}
		if n == len(b) {
			return n, nil
		}
		select {
		case <-moved:
		case <-over:
		case <-closed:
		}
	}
}

// end is one side of a connection in memory, with the addresses of the simulated
// world.
type end struct {
	in, out       *half
	local, remote netip.AddrPort
	reads, writes deadline
	closed        chan struct{}
	once          sync.Once
}

// pipe makes a connection between two addresses.
func pipe(a, b netip.AddrPort) (from, to *end) {
	there, back := newHalf(), newHalf()
	return &end{in: back, out: there, local: a, remote: b, closed: make(chan struct{})},
		&end{in: there, out: back, local: b, remote: a, closed: make(chan struct{})}
}

func (e *end) Read(b []byte) (int, error)  { return e.in.read(b, e.reads.over(), e.closed) }
func (e *end) Write(b []byte) (int, error) { return e.out.write(b, e.writes.over(), e.closed) }

// CloseWrite ends what this side says, as TCP can.
func (e *end) CloseWrite() error {
	e.out.change(func() { e.out.ended = true })
	return nil
}

func (e *end) Close() error {
	e.once.Do(func() {
		close(e.closed)
		e.out.change(func() { e.out.ended = true })
		e.in.change(func() { e.in.deaf = true })
		e.reads.set(time.Time{})
		e.writes.set(time.Time{})
	})
	return nil
}

func (e *end) LocalAddr() net.Addr  { return net.TCPAddrFromAddrPort(e.local) }
func (e *end) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(e.remote) }

func (e *end) SetDeadline(t time.Time) error {
	e.reads.set(t)
	e.writes.set(t)
	return nil
}

func (e *end) SetReadDeadline(t time.Time) error {
	e.reads.set(t)
	return nil
}

func (e *end) SetWriteDeadline(t time.Time) error {
	e.writes.set(t)
	return nil
}

// deadline is a channel that is closed when the time has come. Who waits on an
// older channel is woken when that one would have come: moving a deadline out
// while somebody waits is what no user of it does, moving it in wakes them.
type deadline struct {
	mu    sync.Mutex
	ch    chan struct{}
	done  bool
	timer *time.Timer
}

func (d *deadline) over() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ch == nil {
		d.ch = make(chan struct{})
	}
	return d.ch
}

func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	if d.ch == nil || d.done {
		d.ch, d.done = make(chan struct{}), false
	}
	switch left := time.Until(t); {
	case t.IsZero():
	case left <= 0:
		close(d.ch)
		d.done = true
	default:
		ch := d.ch
		d.timer = time.AfterFunc(left, func() {
			d.mu.Lock()
			defer d.mu.Unlock()
			if d.ch == ch && !d.done {
				close(ch)
				d.done = true
			}
		})
	}
}
