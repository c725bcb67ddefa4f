package detect

import "math"

const (
	maxUnits = 24         // addresses, or sources, of a provider that are counted apart
	paceLife = 14 * day   // half-life of a provider's pace
	newcomer = uint64(20) // deliveries below which a provider has no ordinary life of its own yet
	paceTick = hour
)

// provider is what is known of one receiving provider that is followed in full.
type provider struct {
	id          ID
	first, last int64
	trials      uint64 // messages, at their first attempt, and messages that got through later
	delivered   uint64
	watched     bool // an incident is open: deliveries are looked at one by one
	used        bool // since the clock hand last came by

	pace   float64 // messages, decayed
	paceAt int64

	addresses, sources units

	lines  [allLines]*evidence
	open   [groups]*track
	closed [groups]*track
}

// units counts messages by address or source. Linear search: providers have few.
type units struct {
	ids    []ID
	counts []uint64
	lasts  []int64
}

func (u *units) add(id ID, now int64) {
	if id == 0 {
		return
	}
	for i, have := range u.ids {
		if have == id {
			u.counts[i]++
			u.lasts[i] = now
			return
		}
	}
	if len(u.ids) < maxUnits {
		u.ids, u.counts, u.lasts = append(u.ids, id), append(u.counts, 1), append(u.lasts, now)
		return
	}
	idle := 0
	for i := range u.lasts {
		if u.lasts[i] < u.lasts[idle] {
			idle = i
		}
	}
	u.ids[idle], u.counts[idle], u.lasts[idle] = id, 1, now
}

func (u *units) count(id ID) uint64 {
	for i, have := range u.ids {
		if have == id {
			return u.counts[i]
		}
	}
	return 0
}

// count takes one message into the counts.
func (p *provider) count(o *Observation, now int64) {
	p.trials++
	p.last = now
	p.used = true
	if now-p.paceAt > paceTick {
		p.fade(now)
	}
	p.pace++
	p.addresses.add(o.Address, now)
	p.sources.add(o.Source, now)
}

func (p *provider) fade(now int64) {
	if now > p.paceAt {
		p.pace *= math.Exp2(-float64(now-p.paceAt) / float64(paceLife))
		p.paceAt = now
	}
}

// aYear is how many messages a year the provider gets at its present pace, at
// least 1,000 so that a newcomer is not judged lightly.
func (p *provider) aYear(now int64) float64 {
	p.fade(now)
	const tau = 1.4427 * float64(paceLife)
	window := tau * (1 - math.Exp(-float64(now-p.first)/tau))
	return max((p.pace+5)/(window+float64(day))*float64(year), 1000)
}

// tiny is what is kept of a provider that never failed and is little used, or
// was idle for long.
type tiny struct {
	trials, delivered uint64
	first, last       int64
}

// maxTiny bounds the tiny states; beyond it all are forgotten, which costs
// those providers their short history and nothing else.
const maxTiny = 1 << 18

// promote is the number of messages from which a provider is followed in full.
const promote = 8

// follow gives the full state of a provider, made from the tiny one if needed.
func (d *Detector) follow(id ID) *provider {
	if p := d.providers[id]; p != nil {
		return p
	}
	if len(d.ring) >= d.options.Providers {
		d.shrink()
	}
	p := &provider{id: id, first: d.now, paceAt: d.now, last: d.now, used: true}
	if t, ok := d.tiny[id]; ok {
		p.first, p.last, p.trials, p.delivered, p.pace = t.first, t.last, t.trials, t.delivered, float64(t.trials)
		delete(d.tiny, id)
	}
	d.providers[id] = p
	d.ring = append(d.ring, p)
	return p
}

// shrink makes room: the first provider that was not used since the hand last
// came by, and has no open incident, becomes tiny.
func (d *Detector) shrink() {
	for range 2 * len(d.ring) {
		if d.hand >= len(d.ring) {
			d.hand = 0
		}
		p := d.ring[d.hand]
		if p.used || p.watched {
			p.used = false
			d.hand++
			continue
		}
		d.remember(p.id, tiny{p.trials, p.delivered, p.first, p.last})
		delete(d.providers, p.id)
		for _, e := range p.lines {
			if e != nil {
				d.remembered -= cap(e.ring)
			}
		}
		last := len(d.ring) - 1
		d.ring[d.hand] = d.ring[last]
		d.ring[last] = nil
		d.ring = d.ring[:last]
		return
	}
}

func (d *Detector) remember(id ID, t tiny) {
	if _, ok := d.tiny[id]; !ok && len(d.tiny) >= maxTiny {
		clear(d.tiny)
	}
	d.tiny[id] = t
}
