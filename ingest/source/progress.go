package source

import "time"

// progress tells how far the reading of one input is.
type progress struct {
	tell func(read int64)
	step int64 // bytes between two looks at the clock
	next int64
	last time.Time
}

const (
	firstStep = 4 * bufferSize
	interval  = 100 * time.Millisecond
)

func (in *input) begin() {
	if tell := in.w.o.Progress; tell != nil {
		in.tell = func(read int64) { tell(in.name, read, in.size) }
		in.step, in.next, in.last = firstStep, firstStep, time.Now()
		in.tell(0)
	}
}

// advance looks at the clock once in so many bytes, and learns how many they are
// in an interval: reading never waits for the clock.
func (p *progress) advance(read int64) {
	if p.tell == nil || read < p.next {
		return
	}
	now := time.Now()
	passed := now.Sub(p.last)
	if passed >= interval {
		p.tell(read)
		p.last = now
	}
	switch {
	case passed < interval/4:
		p.step = min(2*p.step, 256*firstStep)
	case passed > interval:
		p.step = max(p.step/2, bufferSize)
	}
	p.next = read + p.step
}

func (p *progress) end(read int64) {
	if p.tell != nil {
		p.tell(read)
	}
}
