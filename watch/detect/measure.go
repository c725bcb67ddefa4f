package detect

import (
	"cmp"
	"slices"

	"github.com/postroad/postroad/mail"
)

// MeasureOptions are the limits of a [Measure]; the zero value is right.
type MeasureOptions struct {
	Distinct int   // identities kept an incident before counts become estimates, 100,000 where 0
	Tallies  int   // addresses, sources and domains kept an incident, 1,000 each where 0
	Before   int64 // longest stretch before an incident that it is compared with, nanoseconds; 7 days where 0
}

// Measure counts, in a second pass over the same observations, what happened in
// each incident, before it, and elsewhere meanwhile.
type Measure struct {
	options   MeasureOptions
	all       []*measuring
	by        map[ID][]*measuring // by provider
	places    map[ID]int          // providers as neighbours, numbered as they come
	ids       []ID                // ... and back
	last      ID                  // the provider that was asked for last
	place     int                 // ... and its number
	waiting   []*measuring        // by the begin of the stretch before, not yet reached
	active    []*measuring
	began     bool
	first     int64
	delivered bool // anything, to anyone
}

type measuring struct {
	m           Measurement
	from, until int64 // of the stretch before and of the last span; until 0: open

	messages   distinct // marks: 1 tried, 2 failed for the cause
	recipients distinct // marks: 1 failed, 2 delivered
	before     counted
	tallies    [4]map[ID]*Tally
	stages     map[mail.Stage]int64
	neighbours []neighbour     // by their number in Measure
	hours      map[int64]int64 // messages an hour, the stretch before and the begin
}

type counted struct{ attempts, failures, delivered int64 }

type neighbour struct{ during, before counted }

const (
	tallyAddress = iota
	tallySource
	tallySender
	tallyRecipient
)

// maxNeighbours is how many providers are followed beside those in trouble.
const maxNeighbours = 512

// NewMeasure prepares the second pass.
func NewMeasure(incidents []Incident, o MeasureOptions) *Measure {
	if o.Distinct <= 0 {
		o.Distinct = 100_000
	}
	if o.Tallies <= 0 {
		o.Tallies = 1000
	}
	if o.Before <= 0 {
		o.Before = 7 * day
	}
	a := &Measure{options: o, by: map[ID][]*measuring{}, places: map[ID]int{}, place: -1}
	for _, i := range incidents {
		x := &measuring{
			m:    Measurement{Incident: i, Classes: map[mail.Class]int64{}},
			from: i.Began() - o.Before, until: i.Ended(),
			messages: newDistinct(o.Distinct), recipients: newDistinct(o.Distinct),
			stages: map[mail.Stage]int64{}, hours: map[int64]int64{},
		}
		for k := range x.tallies {
			x.tallies[k] = map[ID]*Tally{}
		}
		a.all = append(a.all, x)
		a.by[i.Provider] = append(a.by[i.Provider], x)
		a.waiting = append(a.waiting, x)
	}
	slices.SortStableFunc(a.waiting, func(x, y *measuring) int { return cmp.Compare(x.from, y.from) })
	return a
}

// Observe takes an observation, in the order in which the detector saw them.
func (a *Measure) Observe(o *Observation) {
	if !a.began {
		a.began, a.first = true, o.Time
	}
	if o.Outcome == mail.Delivered && !o.Session {
		a.delivered = true
	}
	for len(a.waiting) > 0 && a.waiting[0].from <= o.Time {
		a.active = append(a.active, a.waiting[0])
		a.waiting = a.waiting[1:]
	}
	if len(a.active) == 0 {
		return
	}
	// What is the recipient's own part at another provider says nothing about
	// the way.
	n := -1
	if !o.Session && !o.Suspended && (o.Outcome == mail.Delivered || groupOf(o.Class) != groupRecipient) {
		n = a.number(o.Provider)
	}
	for i := 0; i < len(a.active); i++ {
		x := a.active[i]
		if x.until != 0 && o.Time > x.until+hour {
			a.active = slices.Delete(a.active, i, i+1)
			i--
			continue
		}
		switch {
		case x.m.Incident.Provider == o.Provider:
			x.own(o, &a.options)
		case n >= 0:
			x.other(o, n)
		}
	}
}

// number gives the number of a provider as a neighbour, -1 beyond the limit.
// Every incident looks at every observation elsewhere, so that the search is
// done once for all of them.
func (a *Measure) number(p ID) int {
	if p == a.last && len(a.ids) > 0 {
		return a.place
	}
	n, ok := a.places[p]
	if !ok {
		if n = -1; len(a.ids) < maxNeighbours {
			n = len(a.ids)
			a.ids = append(a.ids, p)
			a.places[p] = n
		}
	}
	a.last, a.place = p, n
	return n
}

// own takes an observation of the incident's provider.
func (x *measuring) own(o *Observation, limits *MeasureOptions) {
	i := &x.m.Incident
	began := i.Began()
	fails := o.Outcome != mail.Delivered && i.Covers(o.Class)
	if !o.Session && o.Time <= began+hour {
		x.hours[floorHour(o.Time)]++
	}
	if o.Time < began {
		if !o.Session && o.Time >= x.from {
			x.before.add(o, fails)
		}
		return
	}
	if !i.At(o.Time) {
		return
	}
	if o.Session {
		if fails {
			x.tally(tallyAddress, o.Address, false, limits)
		}
		return
	}
	m := &x.m
	m.Attempts++
	ok := o.Outcome == mail.Delivered
	if ok {
		m.Delivered++
	}
	if fails {
		m.Failures++
		m.Classes[o.Class]++
		if o.Suspended {
			m.Suspended++
		}
		if o.Outcome == mail.Permanent {
			m.Permanent++
		}
		if o.Stage != "" {
			x.stages[o.Stage]++
		}
	}
	bits := uint8(1)
	if fails {
		bits |= 2
	}
	x.messages.mark(o.Message, bits)
	if o.Recipient != 0 {
		switch {
		case fails:
			x.recipients.mark(o.Recipient, 1)
		case ok:
			x.recipients.mark(o.Recipient, 2)
		}
	}
	if ok || fails {
		x.tally(tallyAddress, o.Address, ok, limits)
		x.tally(tallySource, o.Source, ok, limits)
		x.tally(tallySender, o.SenderDomain, ok, limits)
		x.tally(tallyRecipient, o.RecipientDomain, ok, limits)
	}
}

func floorHour(t int64) int64 { return t - ((t%hour)+hour)%hour }

func (c *counted) add(o *Observation, fails bool) {
	c.attempts++
	if fails {
		c.failures++
	}
	if o.Outcome == mail.Delivered {
		c.delivered++
	}
}

func (x *measuring) tally(kind int, id ID, ok bool, limits *MeasureOptions) {
	if id == 0 {
		return
	}
	t := x.tallies[kind][id]
	if t == nil {
		if len(x.tallies[kind]) >= limits.Tallies {
			x.m.Truncated = true
			return
		}
		t = &Tally{ID: id}
		x.tallies[kind][id] = t
	}
	if ok {
		t.Delivered++
	} else {
		t.Failed++
	}
}

// other takes an observation of another provider.
func (x *measuring) other(o *Observation, place int) {
	if place >= len(x.neighbours) {
		x.neighbours = append(x.neighbours, make([]neighbour, place+1-len(x.neighbours))...)
	}
	switch {
	case o.Time < x.m.Incident.Began():
		x.neighbours[place].before.add(o, o.Outcome != mail.Delivered)
	case x.m.Incident.At(o.Time):
		x.neighbours[place].during.add(o, o.Outcome != mail.Delivered)
	}
}

// Result gives the measurements, in the order of the incidents.
func (a *Measure) Result() []Measurement {
	out := make([]Measurement, 0, len(a.all))
	for _, x := range a.all {
		x.finish(a)
		out = append(out, x.m)
	}
	for i := range out {
		meet(&out[i], out)
	}
	return out
}

func (x *measuring) finish(a *Measure) {
	m := &x.m
	m.Messages, m.FailedMessages = x.messages.count(1), x.messages.count(2)
	m.Recipients, m.MixedRecipients = x.recipients.count(1), x.recipients.count(3)
	m.Estimated = x.messages.estimated() || x.recipients.estimated()
	m.FailuresOnly = !a.delivered
	m.Baseline = x.before.attempts
	m.NoBefore = x.before.delivered == 0
	if a.delivered && m.Attempts > 0 {
		r := float64(m.Failures) / float64(m.Attempts)
		m.Rate = &r
	}
	if a.delivered && x.before.delivered > 0 {
		r := float64(x.before.failures) / float64(x.before.attempts)
		m.BaselineRate = &r
	}
	if m.Recipients > 0 && m.Delivered > 0 {
		mixed := m.MixedRecipients > 0
		m.RecipientsMixed = &mixed
	}
	m.Addresses, m.Sources = x.list(tallyAddress), x.list(tallySource)
	m.SenderDomains, m.RecipientDomains = x.list(tallySender), x.list(tallyRecipient)
	most, all := int64(0), int64(0)
	for _, s := range mail.Stages {
		n := x.stages[s]
		all += n
		if n > most {
			most, m.Stage = n, s
		}
	}
	if all > 0 {
		m.StageShare = float64(most) / float64(all)
	}
	m.VolumeFactor = x.volume()
	for place := range x.neighbours {
		n := &x.neighbours[place]
		if n.during.attempts == 0 {
			continue
		}
		o := Neighbour{Provider: a.ids[place], Messages: n.during.attempts, Failed: n.during.failures,
			Share: float64(n.during.failures) / float64(n.during.attempts)}
		if n.before.attempts > 0 {
			o.Before = float64(n.before.failures) / float64(n.before.attempts)
		}
		m.Others = append(m.Others, o)
	}
	slices.SortFunc(m.Others, func(a, b Neighbour) int {
		return cmp.Or(cmp.Compare(b.Messages, a.Messages), cmp.Compare(a.Provider, b.Provider))
	})
}

func (x *measuring) list(kind int) []Tally {
	out := make([]Tally, 0, len(x.tallies[kind]))
	for _, t := range x.tallies[kind] {
		out = append(out, *t)
	}
	slices.SortFunc(out, func(a, b Tally) int {
		return cmp.Or(cmp.Compare(b.Failed, a.Failed), cmp.Compare(b.Delivered, a.Delivered), cmp.Compare(a.ID, b.ID))
	})
	return out
}

// volume compares the busier of the two hours around the begin with a busy
// hour (the ninth decile of those with mail) of the stretch before.
func (x *measuring) volume() float64 {
	began := floorHour(x.m.Incident.Began())
	var before []int64
	for h, n := range x.hours {
		if h < began-hour {
			before = append(before, n)
		}
	}
	if len(before) < 12 {
		return 0
	}
	slices.Sort(before)
	busy := before[len(before)*9/10]
	return float64(max(x.hours[began-hour], x.hours[began])) / float64(max(busy, 1))
}

// meet marks the neighbours that have an incident of their own meanwhile.
func meet(m *Measurement, all []Measurement) {
	for k := range m.Others {
		o := &m.Others[k]
		for i := range all {
			x := &all[i].Incident
			if x.Provider == o.Provider && x.group != groupRecipient && overlap(&m.Incident, x) {
				if o.Incident == 0 || x.group == m.Incident.group {
					o.Incident, o.Alike = x.Number, x.group == m.Incident.group
				}
			}
		}
	}
}

// overlap reports whether two incidents were open at the same time.
func overlap(a, b *Incident) bool {
	for _, s := range a.Spans {
		for _, t := range b.Spans {
			if (s.Ended == 0 || t.Began <= s.Ended) && (t.Ended == 0 || s.Began <= t.Ended) {
				return true
			}
		}
	}
	return false
}
