package analyze

import (
	"github.com/postroad/postroad/event"
)

// Report says what the pile tells. It may be asked once; the pile is used up.
func (p *Pile) Report() (*Report, error) {
	if p.failed != nil {
		return nil, p.failed
	}
	// What only reading needs makes room for what counts.
	p.join, p.known, p.said = nil, nil, evidence{}
	queue := p.listedQueues()
	if err := p.settle(); err != nil {
		return nil, err
	}
	c := newCensus(p)
	w := newWatch(p)
	err := p.attempts(func(f *fact) error {
		c.add(f)
		w.watch(f)
		return nil
	})
	if err != nil {
		return nil, err
	}
	c.settleOpen()
	if p.queue.many == 0 {
		queue = c.leftOpen()
	}
	c.open = nil // the second pass needs room too
	w.end()
	if err := p.attempts(w.measure); err != nil {
		return nil, err
	}
	r := &Report{
		Schema:       Schema,
		Period:       Period{instant(p.from), instant(p.to)},
		Events:       p.events,
		Facts:        p.facts,
		Inputs:       p.inputs,
		FailuresOnly: p.facts > 0 && p.deliveries == 0,
		Platform:     p.platform(),
		attached:     p.attached,
		Backscatter:  p.backscatter,
		Complaints:   p.complaints,
		Queue:        longest(queue),
	}
	r.Providers, r.MoreProviders = c.table(w.sparks())
	r.Incidents, r.MoreIncidents = w.incidents(c)
	templates := p.memo.templates()
	r.Unknown, r.MoreUnknown = capped(templates)
	r.Skipped, r.MoreSkipped = p.skips.report(func(why event.Skip) string { return skipWords(p.Texts, why) })
	return r, nil
}

// Stuck reports whether a queue listing shows mail that does not go out: it may
// be all that is known of the trouble, and holds no attempts then.
func (r *Report) Stuck() bool {
	for i := range r.Queue {
		if r.Queue[i].Stagnates && r.Queue[i].Source == fromListing {
			return true
		}
	}
	return false
}

// Unreadable reports whether nothing of what was named could be read.
func (r *Report) Unreadable() bool {
	if r.Events > 0 || r.Inputs > 0 {
		return false
	}
	for _, s := range r.Skipped {
		if s.Code != string(event.SkipEmpty) {
			return true
		}
	}
	return false
}
