package detect

import (
	"math"

	"github.com/postroad/postroad/mail"
)

const (
	confirmGrey  = hour        // a greylisting that a retry so much later does not lift is none
	confirmBurst = 30 * minute // the same for a limit that a burst has met
	burstLife    = 2 * minute
	confirmOther = 10 * minute // the same for temporary failures at a newcomer
	belated      = 0.25        // what a failure that had to wait for its retry is worth
	tempoSlots   = 1 << 13
	tempoLife    = 10 * day
	tempoTimes   = 5.0 // working hours are busier than the mean of the week
	tempoCap     = 1.6 // failures at once that count in full
)

// tempo knows at which pace a sender domain's mail goes to a provider, so that
// a burst of one sender which meets a limit is told from a limit that all meet.
// Pairs share slots by hash; a collision only makes the usual pace larger.
type tempo struct {
	slots []pace
}

type pace struct {
	first, last int64
	count       float64 // messages, decayed over days: the usual pace
	tokens      float64 // failures that count in full right now
	short       float64 // messages, decayed over minutes
}

func newTempo() tempo { return tempo{make([]pace, tempoSlots)} }

func (t *tempo) slot(o *Observation) *pace { return t.of(o.Provider, o.SenderDomain) }

func (t *tempo) of(provider, sender ID) *pace {
	return &t.slots[mix(uint64(provider)<<32|uint64(sender))%tempoSlots]
}

// part is the sender domain's usual share of the provider's mail.
func (t *tempo) part(p *provider, sender ID, now int64) float64 {
	return min(1, t.of(p.id, sender).usual()*float64(year)/p.aYear(now))
}

func (t *tempo) add(o *Observation, now int64) {
	s := t.slot(o)
	s.refill(now)
	s.count++
	s.short++
}

func (s *pace) refill(now int64) {
	if s.first == 0 {
		s.first, s.last, s.tokens = now, now, tempoCap
		return
	}
	dt := now - s.last
	if dt < 10*second {
		return
	}
	s.tokens = min(tempoCap, s.tokens+tempoTimes*s.usual()*float64(dt))
	s.count *= math.Exp(-float64(dt) / float64(tempoLife))
	s.short *= math.Exp(-float64(dt) / float64(burstLife))
	s.last = now
}

// usual is the mean pace in messages a nanosecond.
func (s *pace) usual() float64 {
	return s.count / min(max(float64(s.last-s.first), float64(6*hour)), float64(tempoLife))
}

// take gives the evidence that one failure is worth now: in a burst none.
func (t *tempo) take(o *Observation, now int64) float64 {
	s := t.slot(o)
	s.refill(now)
	if s.short > 6+8*s.usual()*float64(burstLife) {
		return 0
	}
	w := min(1, s.tokens)
	s.tokens -= w
	return w
}

// weight says how much evidence one failed message is: 1 where it stands for
// itself. waits: the message has not counted in full and may do so by a retry.
func (d *Detector) weight(p *provider, l line, o *Observation, was trace, known bool) (w float64, waits bool) {
	settled := o.Outcome == mail.Permanent || o.Final
	late := d.now - was.first
	w = 1
	switch {
	case l == lineGrey && !settled && (!known || late < confirmGrey):
		return 0, true
	case p.delivered < newcomer && !settled && (l == lineSystem || l == lineThrottle || l == lineJudged) &&
		(!known || late < confirmOther):
		return 0, true
	}
	if l.nature().bursts && (!known || late < confirmBurst) {
		if was.waits&(1<<l) != 0 {
			return 0, true
		}
		if w *= d.tempo.take(o, d.now); w < 0.3 {
			return 0, true
		}
	}
	if was.waits&(1<<l) != 0 {
		w *= belated // the messages that got through meanwhile were not set against it
	}
	if o.Suspended { // it says no more than the attempts that led to it
		room := 0.0
		if e := p.lines[l]; e != nil {
			room = e.own - e.lent
		}
		if w = min(w, 0.5, room); w < 0.1 {
			return 0, true
		}
	}
	if e := p.lines[l]; e != nil && e.count > 0 && len(e.ring) > 0 {
		last := &e.ring[len(e.ring)-1]
		switch {
		case o.Mail != 0 && o.Mail == e.letter && d.now-last.time < 6*hour:
			e.repeat++
			w *= 0.2 / float64(e.repeat)
		case d.now-last.time <= p.clump(d.now) && last.sender == o.SenderDomain:
			e.repeat++
			w /= float64(min(e.repeat, 3) + 1)
		default:
			e.repeat = 0
		}
		if o.Recipient != 0 && e.knows(o.Recipient, len(e.ring)) {
			w *= 0.3
		}
	}
	return w, false
}

// clump is the time between two failures of one sender below which they are
// hardly two: far less than the provider's mail is usually apart.
func (p *provider) clump(now int64) int64 {
	return min(max(int64(float64(year)/p.aYear(now)/20), second), 2*minute)
}
