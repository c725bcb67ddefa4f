package smtp

import (
	"sync"
	"time"
)

// watchAfter is how long a handler may take before its peer is watched.
const watchAfter = time.Second

// A watch looks at the peer while a handler takes long: it sends what waits in the
// buffer, and reads ahead into the wire's own buffer to notice a peer that leaves. It
// owns the wire from the moment its timer fires until off returns.
type watch struct {
	w     *Wire
	gone  func(error) // called once, when the peer has left
	timer *time.Timer

	mu      sync.Mutex
	armed   bool
	reading chan struct{} // closed when the reading has ended; nil if there is none
}

func newWatch(w *Wire, gone func(error)) *watch {
	v := &watch{w: w, gone: gone}
	v.timer = time.AfterFunc(time.Hour, v.run)
	v.timer.Stop()
	return v
}

// on begins to watch after a while.
func (v *watch) on() {
	v.mu.Lock()
	v.armed = true
	v.mu.Unlock()
	v.timer.Reset(watchAfter)
}

// off gives the wire back to the session.
func (v *watch) off() {
	v.timer.Stop()
	v.mu.Lock()
	v.armed = false
	reading := v.reading
	v.reading = nil
	if reading != nil {
		v.w.interruptRead()
	}
	v.mu.Unlock()
	if reading != nil {
		<-reading
		v.w.resumeRead()
	}
}

func (v *watch) run() {
	v.mu.Lock()
	if !v.armed || v.reading != nil {
		v.mu.Unlock()
		return
	}
	done := make(chan struct{})
	v.reading = done
	v.w.SetReadTimeout(0)
	v.mu.Unlock()
	defer close(done)
	if v.w.Flush() != nil {
		return // the session will see
	}
	// A handler may be looking at a piece of content in the buffer: nothing in it is
	// moved. Where there is no room the peer is not watched.
	for v.w.inErr == nil && (v.w.to < len(v.w.in) || v.w.grow()) {
		if err := v.w.readMore(); err != nil && !isInterrupt(err) {
			v.gone(err)
		}
	}
}
