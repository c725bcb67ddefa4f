package detect

import (
	"cmp"
	"math"
	"slices"

	"github.com/postroad/postroad/mail"
)

const (
	hold      = 30 * minute // health that recovery needs at least
	watchOn   = 14 * day    // a trouble that comes back within is the same one
	silence   = 7 * day     // without a failure, whatever else is not known
	blip      = hour        // what is over sooner may be ordinary life of a busy stream
	lasting   = 6 * hour    // for so long a small share is put off before it counts
	agreement = 60 * hour   // half-life of the agreement of different recipients
	grown     = uint64(200) // messages from which small shares of failure mean something
	noBefore  = 20          // messages of ordinary life below which there is no before
)

// track is an incident and what is needed to see its end.
type track struct {
	Incident
	line    line
	classes map[mail.Class]int64 // failed messages by class

	bad, good float64 // share of failures in the incident, and after it
	trials    float64
	fails     float64
	run       float64 // evidence that it is over
	runFrom   int64
	lastFail  int64
	gap       float64 // mean time between failed messages
}

// within reports whether the observation belongs to what the incident is bound to.
func (t *track) within(o *Observation) bool {
	switch t.Scope {
	case ScopeAddress:
		return o.Address == t.Target
	case ScopeSource:
		return o.Source == t.Target
	case ScopeSender:
		return o.SenderDomain == t.Target
	}
	return true
}

func (t *track) span() *Span { return &t.Spans[len(t.Spans)-1] }

// report gives the incident as it stands.
func (t *track) report() Incident {
	i := t.Incident
	i.Spans = slices.Clone(t.Spans)
	i.Contributing = nil
	type counted struct {
		class mail.Class
		n     int64
	}
	var all []counted
	for c, n := range t.classes {
		all = append(all, counted{c, n})
	}
	slices.SortFunc(all, func(a, b counted) int {
		return cmp.Or(cmp.Compare(b.n, a.n), cmp.Compare(a.class, b.class))
	})
	for _, c := range all {
		switch {
		case lineOf(c.class) == lineUnclear && len(all) > 1:
		case i.Class == "":
			i.Class = c.class
		case c.n*10 >= all[0].n && c.n >= 2:
			i.Contributing = append(i.Contributing, c.class)
		}
	}
	return i
}

// weigh adds one failed message to the evidence and opens an incident where it suffices.
func (d *Detector) weigh(p *provider, l line, o *Observation, weight float64) {
	f := failure{time: min(o.Time, d.now), trial: p.trials, weight: float32(weight), recipient: o.Recipient,
		sender: o.SenderDomain, address: o.Address, source: o.Source, suspended: o.Suspended,
		class: uint8(1 + slices.Index(mail.Classes[:], o.Class))} //nolint:gosec // there are 21 classes
	if f.recipient == 0 {
		f.recipient = o.Message
	}
	if t := p.open[l.nature().group]; t != nil { // of a narrower scope
		t.Failed++
		t.classes[o.Class]++
	}
	if d.weighLine(p, l, o, f) {
		return
	}
	if pool, ok := l.pool(); ok {
		d.weighLine(p, pool, o, f)
	}
}

// weighLine adds a failed message to one line's evidence, and reports whether
// that made an incident.
func (d *Detector) weighLine(p *provider, l line, o *Observation, f failure) bool {
	e := p.lines[l]
	if e == nil {
		e = &evidence{line: l, born: p.first, agedAt: d.now, tailAt: d.now, last: d.now}
		p.lines[l] = e
	}
	young := p.trials-min(p.trials, uint64(e.count)) < grown
	r := e.ratios(young)
	e.age(&r, d.now, p.trials-1)
	r = e.ratios(young)
	e.at = p.trials
	most, held := ringSize, cap(e.ring)
	if d.remembered > ringsAll {
		most = ringTight
	}
	e.add(&r, f, most)
	d.remembered += cap(e.ring) - held
	e.letter = o.Mail
	d.weighUnit(e, &r, ScopeAddress, o.Address, &p.addresses, float64(f.weight))
	d.weighUnit(e, &r, ScopeSource, o.Source, &p.sources, float64(f.weight))
	scope, target, k, ok := d.sufficient(p, e, &r)
	switch {
	case ok:
		d.open(p, e, &r, scope, target, k)
	case young && p.delivered >= 5:
		e.learn(p.trials)
	}
	return ok
}

// weighUnit keeps the case against one address or source.
func (d *Detector) weighUnit(e *evidence, r *ratios, s Scope, id ID, u *units, weight float64) {
	if id == 0 || len(u.ids) < 2 {
		return
	}
	i := slices.IndexFunc(e.units, func(x unitEvidence) bool { return x.scope == s && x.id == id })
	n := u.count(id)
	if i < 0 {
		if len(e.units) >= 2*maxUnits {
			return
		}
		e.units = append(e.units, unitEvidence{scope: s, id: id, at: n, last: d.now})
		i = len(e.units) - 1
	}
	x := &e.units[i]
	if n > 0 && n-1 > x.at {
		drain(&x.sum, r, &x.last, d.now, n-1-x.at)
	} else {
		drain(&x.sum, r, &x.last, d.now, 0)
	}
	x.at = n
	if x.sum == ([grid]float64{}) {
		x.count = 0
	}
	x.count++
	for k := range x.sum {
		x.sum[k] += weight * r.fail[k]
	}
}

// sufficient decides whether the evidence makes an incident, and of what.
func (d *Detector) sufficient(p *provider, e *evidence, r *ratios) (s Scope, target ID, k int, ok bool) {
	n := e.line.nature()
	if e.count < int64(n.messages) {
		return
	}
	h := e.threshold(r, d.now, p.aYear(d.now))
	if p.delivered < 5 { // nothing to compare with: different recipients must agree
		need := 3.5 + 4*min(1, float64(d.delivered)/50)
		if e.line == lineDNS || e.line == lineRecipient {
			need += 4
		}
		if float64(e.count) < need || d.agree(e) < need {
			return
		}
		return ScopeAll, 0, grid - 1, true
	}
	if p.trials < 100 {
		h += 2
	}
	hosts := func() bool { return e.recipients() >= n.hosts }
	from := e.plain(d.now)
	k = from + argmax(e.sum[from:])
	if e.sum[k] >= h && hosts() {
		s, target = d.bound(p, e)
		return s, target, k, true
	}
	more := 1 + math.Log(float64(max(len(e.units), 2)))
	for i := range e.units {
		x := &e.units[i]
		if x.count < int64(n.messages)+1 {
			continue
		}
		if k = from + argmax(x.sum[from:]); x.sum[k] >= h+more && hosts() {
			return x.scope, x.id, k, true
		}
	}
	return
}

// plain gives the first of the shares of failure that may speak now. A provider
// that puts off a small part of its mail for an hour lives its ordinary life:
// of a limit only a large share counts at once, a small one when it lasts.
func (e *evidence) plain(now int64) int {
	if len(e.ring) == 0 || now-e.ring[0].time >= lasting {
		return 0
	}
	for i := range e.ring {
		c := e.ring[i].class
		if c == 0 || lineOf(mail.Classes[c-1]) != lineThrottle {
			return 0
		}
	}
	return 2
}

// agree weighs how many different recipients' mail failed lately.
func (d *Detector) agree(e *evidence) float64 {
	sum := 0.0
	for i := range e.ring {
		f := &e.ring[i]
		if e.knows(f.recipient, i) {
			continue
		}
		w := min(1, 2*float64(f.weight))
		if i > 0 && d.delivered > 50 && f.sender == e.ring[i-1].sender && f.time-e.ring[i-1].time < 10*minute {
			w *= 0.15 // one burst that met a closed door
		}
		sum += w * math.Exp2(-float64(d.now-f.time)/float64(agreement))
	}
	return sum
}

func argmax(s []float64) int {
	best := 0
	for i := range s {
		if s[i] > s[best] {
			best = i
		}
	}
	return best
}

// bound tells whether all failures of the excursion share an address, a source
// or a sender domain that so many would hardly share by chance.
func (d *Detector) bound(p *provider, e *evidence) (Scope, ID) {
	first := &e.ring[0]
	address, source, sender := first.address, first.source, first.sender
	for i := range e.ring {
		f := &e.ring[i]
		if f.address != address {
			address = 0
		}
		if f.source != source {
			source = 0
		}
		if f.sender != sender {
			sender = 0
		}
	}
	chance := func(usual float64) bool { return math.Pow(usual, float64(len(e.ring))) > 0.05 }
	part := func(u *units, id ID) float64 { return float64(u.count(id)) / float64(max(p.trials, 1)) }
	switch {
	case address != 0 && len(p.addresses.ids) > 1 && !chance(part(&p.addresses, address)):
		return ScopeAddress, address
	case source != 0 && len(p.sources.ids) > 1 && !chance(part(&p.sources, source)):
		return ScopeSource, source
	case sender != 0 && e.line.nature().group != groupRoute && !chance(d.tempo.part(p, sender, d.now)):
		return ScopeSender, sender
	}
	return ScopeAll, 0
}

// open begins an incident, or the next span of one that came back.
func (d *Detector) open(p *provider, e *evidence, r *ratios, s Scope, target ID, k int) {
	g := e.line.nature().group
	var match func(*failure) bool
	part := 1.0
	switch s {
	case ScopeAddress:
		match = func(f *failure) bool { return f.address == target }
		part = float64(p.addresses.count(target)) / float64(max(p.trials, 1))
	case ScopeSource:
		match = func(f *failure) bool { return f.source == target }
		part = float64(p.sources.count(target)) / float64(max(p.trials, 1))
	case ScopeSender:
		match = func(f *failure) bool { return f.sender == target }
		part = d.tempo.part(p, target, d.now)
	}
	began, n := e.began(r, part, match)
	before := p.trials - min(uint64(e.count), p.trials)
	span := Span{Began: min(began, d.now), Detected: d.now, Sufficed: n}
	t := p.open[g]
	if t != nil { // of another scope: it is wider than it seemed
		t.Scope, t.Target = ScopeAll, 0
		e.forgive(p.trials)
		return
	}
	if t = p.closed[g]; t != nil && (d.now-t.span().Recovered <= watchOn || t.Concordance && p.delivered < 5) {
		p.closed[g] = nil
		span.Began = max(span.Began, t.span().Ended)
		t.Spans = append(t.Spans, span)
		t.line = e.line
		if t.Scope != s || t.Target != target {
			t.Scope, t.Target = ScopeAll, 0
		}
	} else {
		t = &track{line: e.line, classes: map[mail.Class]int64{}}
		t.Number = len(d.incidents) + 1
		t.Provider, t.Scope, t.Target, t.group = p.id, s, target, g
		t.Spans = []Span{span}
		t.Ordinary, t.OrdinaryOf = r.ordinary, int64(before)
		t.Concordance = before < noBefore
		if len(d.incidents) < d.options.Incidents {
			d.incidents = append(d.incidents, t)
		} else {
			d.dropped++
		}
	}
	t.good = r.ordinary
	t.trials, t.fails, t.run, t.runFrom = 0, 0, 0, 0
	first := n
	t.fails = float64(first)
	t.trials = max(float64(first)/r.share[k], float64(first))
	t.lastFail = d.now
	t.gap = float64(d.now-began) / float64(max(n-1, 1))
	t.Failed += n
	for _, f := range e.ring[len(e.ring)-min(int(n), len(e.ring)):] {
		if f.class > 0 {
			t.classes[mail.Classes[f.class-1]]++
		} else {
			t.classes[mail.Unknown]++
		}
	}
	t.judge()
	p.open[g] = t
	p.watched = true
	d.live = append(d.live, t)
	e.forgive(p.trials)
}

// judge sets the shares that recovery is tested between.
func (t *track) judge() {
	inc := t.fails / max(t.trials, 1)
	t.bad = min(max(0.9*inc, 0.05, 3*t.good), 0.9)
	t.good = min(t.good, t.bad/3)
}

// fail counts a failed message of an open incident, and a retry for what it says.
func (t *track) fail(o *Observation, l line, was trace, now int64) trace {
	if bit := uint16(1) << l; was.counts&bit == 0 {
		was.counts |= bit
		t.Failed++
		t.classes[o.Class]++
		t.broke(now, 1)
	} else if was.tries < maxTries {
		was.tries++
		t.broke(now, retried)
	}
	return was
}

// broke takes a failed message of the incident into the case for its end.
func (t *track) broke(now int64, weight float64) {
	t.fails += weight
	t.trials += weight
	t.gap += 0.1 * (float64(now-t.lastFail) - t.gap)
	t.lastFail = now
	t.run = max(0, t.run-weight*math.Log(t.bad/t.good))
	t.judge()
}

// worked takes a delivery.
func (d *Detector) worked(p *provider, t *track, weight float64) {
	if t.run == 0 {
		t.runFrom = d.now
	}
	t.trials += weight
	t.run += weight * math.Log((1-t.good)/(1-t.bad))
	d.recover(p, t)
}

// recover ends a span where enough went well for long enough.
func (d *Detector) recover(p *provider, t *track) {
	aDay := p.aYear(d.now) / 365
	if t.run >= 7+1.4*math.Log(1+aDay*t.bad/2) && d.now-t.runFrom >= hold {
		d.end(p, t, max(t.runFrom, t.span().Detected))
	}
}

// end closes the open span.
func (d *Detector) end(p *provider, t *track, at int64) {
	s := t.span()
	s.Ended, s.Recovered = max(at, s.Detected), d.now
	p.open[t.group], p.closed[t.group] = nil, t
	p.watched = slices.ContainsFunc(p.open[:], func(t *track) bool { return t != nil })
	d.live = slices.DeleteFunc(d.live, func(x *track) bool { return x == t })
	for l, e := range p.lines {
		if e == nil || line(l).nature().group != t.group {
			continue
		}
		e.forgive(p.trials)
		if line(l).nature().bursts && s.Ended-s.Began < blip {
			e.fadeTail(d.now)
			e.tailCount++
			e.tailSum += min(3*t.fails, 80)
		}
	}
}

// sweep looks at the open incidents for what time alone decides.
func (d *Detector) sweep() {
	d.swept = d.now
	for i := len(d.live) - 1; i >= 0; i-- {
		t := d.live[i]
		p := d.providers[t.Provider]
		if p == nil {
			continue
		}
		if t.run > 0 {
			d.recover(p, t)
		}
		quiet := silence
		if t.run == 0 {
			quiet *= 3 // nor has anything gone well
		}
		if t.Open() && float64(d.now-t.lastFail) > max(float64(quiet), 8*t.gap) {
			d.end(p, t, t.lastFail)
		}
	}
}
