package world

import (
	"context"
	"sync"
	"time"
)

// Clock is the time of a world. It runs at a multiple of real time, or stands
// and is moved by [Clock.Advance]. Its methods may be called from any goroutine.
type Clock struct {
	mu    sync.Mutex
	start time.Time
	real  time.Time // when it was at start
	speed float64   // 0: stands
	moved time.Duration
	other func() time.Time // in its place, if it is not nil
	pass  func(time.Duration)
	tick  chan struct{} // closed at each Advance
}

// NewClock makes a clock that is at start now. A speed of 600 is ten minutes a
// second; 0 stands until it is advanced.
func NewClock(start time.Time, speed float64) *Clock {
	return &Clock{start: start, real: time.Now(), speed: speed, tick: make(chan struct{})}
}

// followClock makes a clock that shows what another one does. That one runs as
// real time does, may jump ahead and does not go back; after a jump, Advance(0)
// wakes who waits.
func followClock(now func() time.Time, pass func(time.Duration)) *Clock {
	return &Clock{start: now(), real: time.Now(), speed: 1, tick: make(chan struct{}), other: now, pass: pass}
}

// Now gives the time of the world.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now()
}

func (c *Clock) now() time.Time {
	if c.other != nil {
		return c.other()
	}
	run := time.Duration(float64(time.Since(c.real)) * c.speed)
	return c.start.Add(c.moved + run)
}

// Start gives the time at which the clock began.
func (c *Clock) Start() time.Time { return c.start }

// Advance moves the clock on by d and wakes who waits for a time that has come.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.moved += max(d, 0)
	close(c.tick)
	c.tick = make(chan struct{})
}

// Sleep waits for a span of the world's time, or for ctx, whose cause it returns.
func (c *Clock) Sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	if c.pass != nil {
		c.pass(d)
		return context.Cause(ctx)
	}
	return c.Until(ctx, c.Now().Add(d))
}

// Until waits for a time of the world, or for ctx, whose cause it returns.
func (c *Clock) Until(ctx context.Context, t time.Time) error {
	for {
		c.mu.Lock()
		left, tick := t.Sub(c.now()), c.tick
		c.mu.Unlock()
		if left <= 0 {
			return nil
		}
		if err := c.wait(ctx, left, tick); err != nil {
			return err
		}
	}
}

func (c *Clock) wait(ctx context.Context, left time.Duration, tick <-chan struct{}) error {
	var alarm <-chan time.Time
	if c.speed > 0 {
		// A microsecond more, so that rounding cannot make it ring too early.
		t := time.NewTimer(min(time.Duration(float64(left)/c.speed), time.Hour) + time.Microsecond)
		defer t.Stop()
		alarm = t.C
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-alarm:
	case <-tick:
	}
	return nil
}
