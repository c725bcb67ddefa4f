package mta

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Clock is the time in which the servers of a cell live, so that a week need not
// last a week: it runs as fast as ours, so that what a server measures is what
// happened, and jumps over the hours in which nothing does. It never goes
// back. Its methods may be called from any goroutine.
//
// The servers see it through Debian's libfaketime, which etc/test-deps unpacks:
// it stands between them and the C library and adds what a file of the cell says.
type Clock struct {
	mu     sync.Mutex
	offset time.Duration
	path   string // of that file, "" before the cell is open
	err    error  // of the last time it was written
}

// NewClock gives a clock that shows start now.
func NewClock(start time.Time) *Clock {
	return &Clock{offset: time.Until(start)}
}

// Now is the time in the cell.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.offset)
}

// Jump sets the clock to t if that is ahead. It gives the first error that this or
// an earlier change met.
func (c *Clock) Jump(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.shift(time.Until(t) - c.offset)
}

// Pass lets the time d pass at once.
func (c *Clock) Pass(d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.shift(d)
}

func (c *Clock) shift(d time.Duration) error {
	if d > 0 {
		c.offset += d
		if err := c.write(); c.err == nil {
			c.err = err
		}
	}
	return c.err
}

// write replaces the file as a whole: a server may be reading it.
func (c *Clock) write() error {
	if c.path == "" {
		return nil
	}
	text := fmt.Sprintf("%+.6f\n", c.offset.Seconds())
	if err := os.WriteFile(c.path+".new", []byte(text), 0o644); err != nil {
		return fmt.Errorf("set the cell's clock: %w", err)
	}
	if err := os.Rename(c.path+".new", c.path); err != nil {
		return fmt.Errorf("set the cell's clock: %w", err)
	}
	return nil
}

// settle gives the clock its file, and what the servers' environment needs for it.
func (c *Clock) settle(deps, ours, theirs string) ([]string, error) {
	found, err := filepath.Glob(filepath.Join(deps, fakeTime))
	if err != nil || len(found) != 1 {
		return nil, fmt.Errorf("%w: no libfaketime in %s; run etc/test-deps", ErrUnavailable, deps)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.path = ours
	return []string{
		"LD_PRELOAD=" + found[0],
		"FAKETIME_TIMESTAMP_FILE=" + theirs,
		"FAKETIME_NO_CACHE=1",
		// Time-outs are measured by the monotonic clock, which must not jump.
		"FAKETIME_DONT_FAKE_MONOTONIC=1",
		// Postfix keeps the time of the next attempt as the file's time.
		"NO_FAKE_STAT=1",
	}, c.write()
}
