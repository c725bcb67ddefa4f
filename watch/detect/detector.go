package detect

import (
	"cmp"
	"math"
	"slices"

	"github.com/postroad/postroad/mail"
)

// Detector watches a stream of observations. It is not safe for concurrent use.
type Detector struct {
	options Options
	now     int64 // the time of the stream: the latest that was seen
	started bool
	begin   int64

	pending []Observation // of the time now, not yet weighed: the order within one time does not matter

	providers map[ID]*provider
	tiny      map[ID]tiny
	ring      []*provider
	hand      int
	recent    *provider // the last one looked up

	seen       seen
	tempo      tempo
	remembered int    // failures that excursions may hold
	delivered  uint64 // anything delivered to anyone

	incidents []*track
	live      []*track // with an open incident
	swept     int64
	dropped   int
}

// New gives a detector that has seen nothing.
func New(o Options) *Detector {
	if o.Providers <= 0 {
		o.Providers = 20_000
	}
	if o.Messages <= 0 {
		o.Messages = 1_000_000
	}
	if o.Incidents <= 0 {
		o.Incidents = 10_000
	}
	return &Detector{
		options: o, now: math.MinInt64,
		providers: map[ID]*provider{}, tiny: map[ID]tiny{}, seen: newSeen(o.Messages), tempo: newTempo(),
	}
}

// Observe takes one observation. They come in the order of time; one that is
// late counts as of the latest time seen. o is not kept.
func (d *Detector) Observe(o *Observation) {
	if o.Time > d.now {
		d.turn(o.Time)
	}
	if o.Outcome != mail.Delivered || o.Session {
		if !o.Session && o.Outcome != "" {
			d.hold(o)
		}
		return
	}
	p := d.recent
	if p == nil || p.id != o.Provider {
		if p = d.providers[o.Provider]; p == nil {
			d.small(o)
			return
		}
		d.recent = p
	}
	if p.watched {
		d.hold(o)
		return
	}
	d.delivered++
	p.delivered++
	p.count(o, d.now)
	d.tempo.add(o, d.now)
}

// maxPending bounds what waits for its time to pass.
const maxPending = 1 << 16

func (d *Detector) hold(o *Observation) {
	if len(d.pending) >= maxPending {
		d.settle()
	}
	d.pending = append(d.pending, *o)
}

// small takes a delivery at a provider that is not followed in full.
func (d *Detector) small(o *Observation) {
	d.delivered++
	d.tempo.add(o, d.now)
	t, ok := d.tiny[o.Provider]
	if !ok {
		t.first = d.now
	}
	t.trials++
	t.delivered++
	t.last = d.now
	d.remember(o.Provider, t)
	if t.trials >= promote {
		d.follow(o.Provider)
	}
}

// Advance tells that the time is now: the end of the input, or a tick of a
// clock. What is over by silence is over then.
func (d *Detector) Advance(now int64) {
	if now > d.now {
		d.turn(now)
	}
	d.settle()
	d.sweep()
}

// Incidents gives all incidents so far in the order of detection. What it gives
// is a copy.
func (d *Detector) Incidents() []Incident {
	d.settle()
	out := make([]Incident, len(d.incidents))
	for i, t := range d.incidents {
		out[i] = t.report()
	}
	return out
}

// Dropped is how many incidents there were beyond Options.Incidents.
func (d *Detector) Dropped() int { return d.dropped }

// turn moves the time on, after what is pending has been weighed.
func (d *Detector) turn(now int64) {
	d.settle()
	if !d.started {
		d.started, d.begin = true, now
		d.swept = now
	}
	d.now = now
	if now-d.swept >= 10*minute {
		d.sweep()
	}
}

// settle weighs the observations of one time, in an order that does not depend
// on theirs.
func (d *Detector) settle() {
	if len(d.pending) == 0 {
		return
	}
	if len(d.pending) > 1 {
		slices.SortFunc(d.pending, compare)
	}
	for i := range d.pending {
		o := &d.pending[i]
		p := d.follow(o.Provider)
		if o.Outcome == mail.Delivered {
			d.deliver(p, o)
		} else {
			d.fail(p, o)
		}
	}
	d.pending = d.pending[:0]
}

// compare orders the observations of one time: deliveries first, so that they
// speak for the provider, then by what tells them apart.
func compare(a, b Observation) int {
	if x, y := a.Outcome == mail.Delivered, b.Outcome == mail.Delivered; x != y {
		if x {
			return -1
		}
		return 1
	}
	return cmp.Or(
		cmp.Compare(a.Provider, b.Provider), cmp.Compare(a.Time, b.Time), cmp.Compare(a.Message, b.Message),
		cmp.Compare(a.Class, b.Class), cmp.Compare(a.Outcome, b.Outcome), cmp.Compare(a.Recipient, b.Recipient),
		cmp.Compare(a.Address, b.Address), cmp.Compare(a.Source, b.Source),
		cmp.Compare(a.SenderDomain, b.SenderDomain), cmp.Compare(truth(a.Suspended), truth(b.Suspended)),
		cmp.Compare(truth(a.Final), truth(b.Final)), cmp.Compare(a.Mail, b.Mail),
	)
}

func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}

// deliver takes a delivery at a provider with an open incident.
func (d *Detector) deliver(p *provider, o *Observation) {
	d.delivered++
	p.delivered++
	p.count(o, d.now)
	d.tempo.add(o, d.now)
	weight := 1.0
	if _, known := d.seen.get(o.Message); known {
		weight = retried
	}
	for _, t := range p.open {
		if t != nil && t.within(o) {
			d.worked(p, t, weight)
		}
	}
}

// fail takes a failed attempt.
func (d *Detector) fail(p *provider, o *Observation) {
	l := lineOf(o.Class)
	switch {
	case o.Message != 0:
	case o.Recipient != 0: // all that one sender's mail to one recipient met counts as one message
		o.Message = mix(o.Recipient^uint64(o.SenderDomain)) | 1
	default: // nothing tells it from others: it stands for itself
		o.Message = mix(uint64(o.Time)^uint64(p.id)<<32) | 1
	}
	was, known := d.seen.get(o.Message)
	if !known {
		was.first = d.now
		p.count(o, d.now)
		d.tempo.add(o, d.now)
	}
	if l == lineUnclear {
		if known && was.counts|was.waits != 0 {
			d.seen.put(o.Message, was, d.now)
			return // it has failed for a clear cause before: this is its end
		}
		l = p.near(d.now)
	}
	if t := p.open[l.nature().group]; t != nil && t.within(o) && (l != lineGrey || t.line == lineGrey) {
		d.seen.put(o.Message, t.fail(o, l, was, d.now), d.now)
		return
	}
	bit := uint16(1) << l
	if was.counts&bit != 0 {
		d.seen.put(o.Message, was, d.now)
		return // a retry says nothing new
	}
	weight, waits := d.weight(p, l, o, was, known)
	if waits {
		was.waits |= bit
	} else {
		was.counts |= bit
	}
	d.seen.put(o.Message, was, d.now)
	if weight > 0 {
		d.weigh(p, l, o, weight)
	}
}

// A retry speaks for or against the end of an incident, less than a new
// message does, and one that nobody will ever take not for long.
const (
	retried  = 0.5
	maxTries = 6
)

// near gives the line that an unclear failure belongs to: that of an open
// incident, else the one that failed last within hours, else its own.
func (p *provider) near(now int64) line {
	best, at := lineUnclear, now-6*hour
	for l, e := range p.lines {
		if e == nil || line(l) >= lineRecipient {
			continue
		}
		if t := p.open[line(l).nature().group]; t != nil && t.line == line(l) {
			return line(l)
		}
		if e.count > 0 && e.last > at {
			best, at = line(l), e.last
		}
	}
	return best
}

// mix scatters the bits of x (the finalizer of splitmix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
