package analyze

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/DataDog/sketches-go/ddsketch"

	"github.com/postroad/postroad/mail"
)

// tally is what is counted of one provider over the period.
type tally struct {
	delivered, deferred, bounced, expired int64
	messages, waiting                     int64
	oldest                                int64 // first attempt of the oldest message that waits
	lastOut                               int64 // last delivery
	classes                               []classCount
	few                                   []uint32 // the first delays, in milliseconds
	delays                                *ddsketch.DDSketch
}

// classCount counts the failures of one class. Most providers have few classes.
type classCount struct {
	class uint8
	n     int64
}

func (t *tally) count(class uint8) {
	for i := range t.classes {
		if t.classes[i].class == class {
			t.classes[i].n++
			return
		}
	}
	t.classes = append(t.classes, classCount{class, 1})
}

const (
	fewDelays = 16        // delays that are kept as they are; a sketch costs more than most providers are worth
	maxOpen   = 1_000_000 // messages whose end is waited for
	accuracy  = 0.01      // of the quantiles, relative
)

func (t *tally) attempts() int64 { return t.delivered + t.deferred + t.bounced + t.expired }

// census counts facts in the order of time.
type census struct {
	p       *Pile
	tallies []tally            // by provider
	open    map[uint64]waiting // messages that were deferred, by message and recipient
	domains map[uint64]int64   // provider and domain -> attempts
	closed  map[uint64]bool
	held    map[uint64]int64 // provider and class -> messages that wait at the end
}

// waiting is a message that was deferred and is not over.
type waiting struct {
	since int64
	of    uint64 // provider, domain and class; a million of them wait at times
}

func waits(f *fact, since int64) waiting {
	return waiting{since, uint64(f.provider)<<36 | uint64(f.domain)<<8 | uint64(f.class)}
}

func (w waiting) provider() uint32 { return uint32(w.of >> 36) }
func (w waiting) domain() uint32   { return uint32(w.of >> 8 & (1<<28 - 1)) }
func (w waiting) class() uint8     { return uint8(w.of) }

func newCensus(p *Pile) *census {
	return &census{p: p, tallies: make([]tally, p.providers.size()), open: make(map[uint64]waiting), domains: make(map[uint64]int64), closed: p.closed,
		held: make(map[uint64]int64)}
}

// add counts one fact.
func (c *census) add(f *fact) {
	p := c.p
	if f.is(session) {
		return
	}
	p.facts++
	if p.from == 0 || f.at < p.from {
		p.from = f.at
	}
	p.to = max(p.to, f.at)
	t := &c.tallies[f.provider]
	pair := f.pair()
	w, known := c.open[pair]
	if !known {
		t.messages++
	}
	over := true
	switch {
	case f.outcome == delivered:
		t.delivered++
		if !p.ownSide(f) {
			p.deliveries++
		}
		t.lastOut = max(t.lastOut, f.at)
		t.delay(f)
	case f.is(expired):
		t.expired++
	case f.outcome == temporary && !f.is(final):
		t.deferred++
		over = false
	default:
		t.bounced++
	}
	if f.class != 0 {
		t.count(f.class)
	}
	key := uint64(f.provider)<<32 | uint64(f.domain)
	if n, ok := c.domains[key]; ok || len(c.domains) < 2*tableSize {
		c.domains[key] = n + 1
	}
	switch {
	case over:
		if known {
			delete(c.open, pair)
		}
	case known:
		c.open[pair] = waits(f, w.since)
	case len(c.open) < maxOpen:
		c.open[pair] = waits(f, f.at)
	}
}

// delay counts how long a delivery took.
func (t *tally) delay(f *fact) {
	if f.delay == 0 {
		return
	}
	s := float64(f.delay) / 1000
	if t.delays == nil {
		t.few = append(t.few, f.delay)
		if len(t.few) <= fewDelays {
			return
		}
		sketch, err := ddsketch.NewDefaultDDSketch(accuracy)
		if err != nil {
			return // only for an accuracy that is none
		}
		t.delays = sketch
		for _, v := range t.few {
			_ = sketch.Add(float64(v) / 1000) // only negative and infinite values are refused
		}
		t.few = nil
		return
	}
	_ = t.delays.Add(s)
}

func (t *tally) quantiles() Quantiles {
	at := func(q float64) *float64 {
		if t.delays != nil {
			if v, err := t.delays.GetValueAtQuantile(q); err == nil {
				return round(v)
			}
			return nil
		}
		if len(t.few) == 0 {
			return nil
		}
		s := slices.Clone(t.few)
		slices.Sort(s)
		return round(float64(s[int(q*float64(len(s)-1)+0.5)]) / 1000)
	}
	return Quantiles{at(0.5), at(0.95)}
}

// round gives seconds to the third digit.
func round(v float64) *float64 {
	v = float64(int64(v*1000+0.5)) / 1000
	return &v
}

// domainsOf lists the domains of some providers, the most used first, from
// counts by provider and domain.
func (p *Pile) domainsOf(counts map[uint64]int64, ids []uint32) map[uint32][]string {
	all := make(map[uint32]map[uint32]int64, len(ids))
	for _, id := range ids {
		all[id] = make(map[uint32]int64)
	}
	for key, n := range counts {
		domain := uint32(key & (1<<32 - 1))
		if used := all[uint32(key>>32)]; used != nil && domain > others {
			used[domain] = n
		}
	}
	out := make(map[uint32][]string, len(ids))
	for id, used := range all {
		out[id] = p.byUse(used)
	}
	return out
}

// capped gives the first MaxList of a list and how many more there are.
func capped[T any](list []T) ([]T, int) {
	if list == nil {
		list = []T{}
	}
	if len(list) <= MaxList {
		return list, 0
	}
	return list[:MaxList:MaxList], len(list) - MaxList
}

// tables builds the providers of the report, the ones with most attempts first.
func (c *census) table(sparks map[uint32][]float64) (list []Provider, more int) {
	p := c.p
	var ids []uint32
	for id := range c.tallies {
		if c.tallies[id].attempts() > 0 {
			ids = append(ids, uint32(id))
		}
	}
	slices.SortFunc(ids, func(a, b uint32) int {
		x, y := &c.tallies[a], &c.tallies[b]
		return cmp.Or(cmp.Compare(y.attempts(), x.attempts()), bytes.Compare(p.providers.bytes(a), p.providers.bytes(b)))
	})
	kept, more := capped(ids)
	domains := p.domainsOf(c.domains, kept)
	list = make([]Provider, 0, len(kept))
	for _, id := range kept {
		t := &c.tallies[id]
		row := Provider{
			ID: p.label(id).ID, Name: p.label(id).Name,
			Attempts: t.attempts(), Delivered: t.delivered, Deferred: t.deferred, Bounced: t.bounced, Expired: t.expired,
			Messages: t.messages, Waiting: t.waiting, Classes: t.classCounts(), Seconds: t.quantiles(), Spark: sparks[id],
		}
		row.Domains, row.MoreDomains = capped(domains[id])
		list = append(list, row)
	}
	return list, more
}

func (p *Pile) label(id uint32) providerLabel {
	if id == others {
		return providerLabel{"other", p.Texts.Text("provider.other", nil)}
	}
	if i, ok := p.named[id]; ok {
		return providerLabel{i.ID, i.Name}
	}
	name := p.providers.name(id)
	return providerLabel{name, name[strings.IndexByte(name, ':')+1:]}
}

// providerLabel is what a reader sees of a provider.
type providerLabel struct{ ID, Name string }

func (t *tally) classCounts() map[mail.Class]int64 {
	out := make(map[mail.Class]int64)
	for _, k := range t.classes {
		out[classOf(k.class)] = k.n
	}
	return out
}

// settleOpen counts what is still waiting at the end.
func (c *census) settleOpen() {
	for pair, w := range c.open {
		if c.closed[pair] {
			continue
		}
		t := &c.tallies[w.provider()]
		t.waiting++
		c.held[poolKey(w.provider(), w.class())]++
		if t.oldest == 0 || w.since < t.oldest {
			t.oldest = w.since
		}
	}
}

func utc(ns int64) time.Time { return time.Unix(0, ns).UTC() }

// instant is null for 0, which is "not known".
func instant(ns int64) *time.Time {
	if ns == 0 {
		return nil
	}
	t := utc(ns)
	return &t
}
