package smtp

import "sync"

// A drain ends a session in peace: once it has begun, the next command outside of a
// transaction is not waited for.
type drain struct {
	w *Wire

	mu      sync.Mutex
	due     bool
	waiting bool // for a command, in a read that may be interrupted
}

// begin is what the end of ServerOptions.Drain does.
func (d *drain) begin() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.due = true
	if d.waiting {
		d.w.interruptRead()
	}
}

// wait says that a read begins; false: there is to be none.
func (d *drain) wait() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.waiting = !d.due
	return d.waiting
}

// over says that the read has ended, and reports whether the drain has begun.
func (d *drain) over() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.waiting = false
	return d.due
}

// firstOctet waits for the beginning of a command; draining says that it did not. A transaction
// that is under way may go on.
func (c *conversation) firstOctet() (octet byte, draining bool, err error) {
	between := c.s.Sender == nil
	if between && !c.drain.wait() {
		return 0, true, nil
	}
	start, err := c.w.peek(1)
	if between && c.drain.over() && isInterrupt(err) {
		c.w.resumeRead()
		return 0, true, nil
	}
	if err != nil {
		return 0, false, err
	}
	return start[0], false, nil
}
