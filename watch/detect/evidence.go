package detect

import (
	"math"
	"slices"
)

const (
	second = int64(1e9)
	minute = 60 * second
	hour   = 60 * minute
	day    = 24 * hour
	year   = 365 * day
)

const (
	grid       = 4        // shares that a trouble may have, tried side by side
	priorOf    = 300.0    // messages that the shipped prior counts for
	memory     = 45 * day // half-life of what is ordinary
	suspicion  = 5 * day  // half-life of evidence: what comes slower is not one trouble
	tailMemory = 90 * day // half-life of what is known of ordinary clumps
	falseYear  = 0.05     // false alarms a year that one line of one provider may raise
	ringSize   = 64       // failures of an excursion that are remembered
	ringTight  = 16       // ... where very many excursions are open
	ringsAll   = 1 << 19  // remembered failures, of all, from which it is tight
)

// failure is one failed message of an excursion.
type failure struct {
	time      int64
	trial     uint64 // the provider's count of messages at that time
	recipient uint64
	weight    float32
	sender    ID
	address   ID
	source    ID
	class     uint8 // of mail.Classes, from 1
	suspended bool
}

// evidence is the case against one line of one provider: what is ordinary, and
// a cumulative sum of log-likelihood ratios for several shares of failure. A
// delivery only lowers the sums, so they are brought up to date when the next
// failure comes: a provider in good health costs nothing here.
type evidence struct {
	line line

	fails, trials float64 // what is ordinary, decayed
	merged        uint64  // the provider's count up to which that is known
	held          float64 // failures since, not yet taken for ordinary
	agedAt        int64

	sum    [grid]float64
	at     uint64 // the provider's count when the sums were right
	last   int64  // when
	peak   float64
	count  int64 // failed messages of this excursion
	ring   []failure
	units  []unitEvidence
	letter uint64  // mail of the last failure, to tell one mail to many recipients
	repeat int     // failures in a row of one clump
	own    float64 // evidence of attempts
	lent   float64 // evidence of mail put off without one

	tailCount, tailSum float64 // excursions of ordinary life that went high, and how high
	tailAt             int64
	born               int64
}

// unitEvidence is the same case against one of their addresses or from one of ours.
type unitEvidence struct {
	scope Scope
	id    ID
	sum   [grid]float64
	at    uint64 // the unit's count
	last  int64
	count int64
}

// ratios are the log-likelihood ratios of one failed and one delivered message
// at each share of the grid, against the ordinary share.
type ratios struct {
	ordinary  float64
	fail, win [grid]float64
	share     [grid]float64
}

// ordinary is the share of messages that fail so in ordinary life: the shipped
// prior, and what this stream has shown.
func (e *evidence) ordinary() float64 {
	n := e.line.nature()
	p := (n.prior*priorOf + e.fails) / (priorOf + e.trials)
	return min(max(p, n.floor), 0.9)
}

func (e *evidence) ratios(young bool) ratios {
	n := e.line.nature()
	r := ratios{ordinary: e.ordinary()}
	p0 := r.ordinary
	if young {
		n.least = max(n.least, 0.3)
	}
	for k, g := range [grid]struct{ absolute, times, room float64 }{
		{n.least, 5, 0.25}, {max(0.2, n.least), 12, 0.4}, {0.5, 30, 0.6}, {0.92, 1e3, 0.85},
	} {
		p := max(g.absolute, p0+(1-p0)*g.room*0.2, min(g.times*p0, p0+(1-p0)*g.room))
		p = min(p, 0.98)
		r.share[k] = p
		r.fail[k] = math.Log(p / p0)
		r.win[k] = math.Log((1 - p0) / (1 - p)) // taken off for a delivery
	}
	return r
}

// age brings the sums up to the time and count of the next failure, and closes
// the excursion when nothing of it is left.
func (e *evidence) age(r *ratios, now int64, count uint64) {
	drain(&e.sum, r, &e.last, now, count-min(e.at, count))
	e.at = count
	if e.sum == ([grid]float64{}) {
		e.close(r, now, count)
	}
}

// drain takes n deliveries and the time passed off the sums.
func drain(sum *[grid]float64, r *ratios, last *int64, now int64, n uint64) {
	fade := 1.0
	if dt := now - *last; dt > 0 {
		fade = math.Exp2(-float64(dt) / float64(suspicion))
	}
	for k := range sum {
		sum[k] = max(0, sum[k]*fade-float64(n)*r.win[k])
	}
	*last = max(*last, now)
}

// close ends an excursion of ordinary life: what was held becomes part of what
// is ordinary, and its height part of what is known of clumps.
func (e *evidence) close(r *ratios, now int64, count uint64) {
	e.fadeTail(now)
	if over := e.peak - e.high(r); e.count > 0 && over > 0 {
		e.tailCount++
		e.tailSum += min(over, 40)
	}
	if dt := now - e.agedAt; dt > 0 {
		f := math.Exp2(-float64(dt) / float64(memory))
		e.fails *= f
		e.trials *= f
	}
	e.agedAt = max(e.agedAt, now)
	e.learn(count)
	e.forgive(count)
}

// learn takes what is held for ordinary. A provider that is new does so at
// once: its first weeks are what it is like, and only what stands out by far is
// trouble.
func (e *evidence) learn(count uint64) {
	e.fails += e.held
	e.trials += float64(count - min(e.merged, count))
	e.held, e.merged = 0, count
}

// forgive drops the excursion without a trace.
func (e *evidence) forgive(count uint64) {
	e.merged, e.at = count, count
	e.held, e.peak, e.count, e.repeat = 0, 0, 0, 0
	e.own, e.lent = 0, 0
	e.sum = [grid]float64{}
	e.ring = e.ring[:0]
	e.units = e.units[:0]
}

func (e *evidence) fadeTail(now int64) {
	if dt := now - e.tailAt; dt > 0 {
		f := math.Exp2(-float64(dt) / float64(tailMemory))
		e.tailCount *= f
		e.tailSum *= f
		e.tailAt = now
	}
}

// high is the height from which an excursion tells of clumps: one failure and
// then some.
func (e *evidence) high(r *ratios) float64 { return r.fail[grid-1] + 2 }

// threshold is the height at which an excursion is no longer ordinary life. It
// grows with the messages a year, because false alarms are counted by time; and
// it grows where excursions of ordinary life have been higher than independent
// failures make them (peaks over a threshold have an exponential tail, whose
// scale is learned).
func (e *evidence) threshold(r *ratios, now int64, aYear float64) float64 {
	n := e.line.nature()
	plain := math.Log(aYear * grid * 0.3 / falseYear)
	e.fadeTail(now)
	scale := 1.0
	if n.bursts {
		scale += 0.6 * min(1, aYear/(365*288)/5) // clumps last minutes: who sends little there meets none
	}
	const weight = 3.0
	scale = (weight*scale + e.tailSum) / (weight + e.tailCount)
	scale = min(max(scale, 1), 15)
	life := min(float64(now-e.born), 1.44*float64(tailMemory)) / float64(year)
	const prior = 0.1
	often := (aYear*r.ordinary*math.Exp(-2)*prior + e.tailCount) / (prior + life)
	learned := e.high(r) + scale*math.Log(max(often/falseYear, 1))
	return max(plain, learned, 9) + n.extra
}

// add counts one failed message. The last few are remembered, at most so many.
func (e *evidence) add(r *ratios, f failure, most int) {
	for k := range e.sum {
		e.sum[k] += float64(f.weight) * r.fail[k]
	}
	e.peak = max(e.peak, slices.Max(e.sum[:]))
	e.held += float64(f.weight)
	if f.suspended {
		e.lent += float64(f.weight)
	} else {
		e.own += float64(f.weight)
	}
	e.count++
	if n := len(e.ring); n >= most {
		copy(e.ring, e.ring[1:])
		e.ring = e.ring[:n-1]
	}
	e.ring = append(e.ring, f)
}

// recipients counts the distinct recipients of the excursion, as far as remembered.
func (e *evidence) recipients() int {
	n := 0
	for i := range e.ring {
		if !e.knows(e.ring[i].recipient, i) {
			n++
		}
	}
	return n
}

// knows reports whether the recipient is among the first n failures.
func (e *evidence) knows(recipient uint64, n int) bool {
	for i := range e.ring[:n] {
		if e.ring[i].recipient == recipient {
			return true
		}
	}
	return false
}

// began estimates where the trouble set in: the failure from which on the
// evidence is strongest, whatever share of the grid explains it, among those
// that match. part is the share of the provider's mail that goes their way.
func (e *evidence) began(r *ratios, part float64, match func(*failure) bool) (time int64, failures int64) {
	best := math.Inf(-1)
	var sums [grid]float64
	var n int64
	var next uint64
	for i := len(e.ring) - 1; i >= 0; i-- {
		f := &e.ring[i]
		if match != nil && !match(f) {
			continue
		}
		between := 0.0
		if n > 0 && next > f.trial {
			between = float64(next-f.trial-1) * part
		}
		next = f.trial
		n++
		for k := range sums {
			sums[k] += float64(f.weight)*r.fail[k] - between*r.win[k]
			if sums[k] > best {
				best, time, failures = sums[k], f.time, n
			}
		}
	}
	return time, failures
}
