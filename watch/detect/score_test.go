package detect

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/postroad/postroad/mail"
)

// alarm is what a detector or a peer raised.
type alarm struct {
	provider ID
	class    mail.Class
	detected int64
	ended    int64 // 0 open
	began    int64
	number   int
}

// score is how well a run was watched.
type score struct {
	needs    []int            // distinct failed messages until detection, of each found trouble
	kinds    map[string][]int // the same by kind
	lost     map[string]int   // missed by kind
	missed   []string
	false_   []alarm
	flapped  int     // recovered while the trouble lasted
	unended  int     // not recovered two weeks, or at all, after it was over
	recovery []int64 // time from the end of trouble to the certainty
	began    []int64 // error of the estimated begin
	years    float64 // provider-years of ordinary life
}

func (s *score) median() int { return quantile(s.needs, 0.5) }
func (s *score) worst() int  { return quantile(s.needs, 1) }

func quantile(xs []int, q float64) int {
	if len(xs) == 0 {
		return 0
	}
	c := slices.Clone(xs)
	slices.Sort(c)
	return c[int(math.Ceil(q*float64(len(c)-1)))]
}

func (s *score) add(t *score) {
	s.needs = append(s.needs, t.needs...)
	if s.kinds == nil {
		s.kinds, s.lost = map[string][]int{}, map[string]int{}
	}
	for k, n := range t.kinds {
		s.kinds[k] = append(s.kinds[k], n...)
	}
	for k, n := range t.lost {
		s.lost[k] += n
	}
	s.missed = append(s.missed, t.missed...)
	s.false_ = append(s.false_, t.false_...)
	s.flapped += t.flapped
	s.unended += t.unended
	s.recovery = append(s.recovery, t.recovery...)
	s.began = append(s.began, t.began...)
	s.years += t.years
}

func (s *score) String() string {
	return fmt.Sprintf("found %d, median %d, p90 %d, worst %d, missed %v, false %d in %.1f provider-years, flapped %d, unended %d",
		len(s.needs), s.median(), quantile(s.needs, 0.9), s.worst(), s.missed, s.incidents(), s.years, s.flapped, s.unended)
}

// planted notes, for each trouble, when each distinct message failed for it.
type planted struct {
	seen  []map[uint64]bool
	times [][]int64
}

func (l *life) watch(observe func(o *Observation)) *planted {
	p := &planted{times: make([][]int64, len(l.troubles))}
	for range l.troubles {
		p.seen = append(p.seen, map[uint64]bool{})
	}
	l.run(func(o *Observation, i int) {
		if i >= 0 && !p.seen[i][o.Message] {
			p.seen[i][o.Message] = true
			p.times[i] = append(p.times[i], o.Time)
		}
		observe(o)
	})
	return p
}

// judge compares alarms with what was planted. An alarm about recipients is
// no false one: bad lists are ordinary life, and are listed.
func (l *life) judge(p *planted, alarms []alarm) *score {
	s := &score{kinds: map[string][]int{}, lost: map[string]int{}, years: float64(l.days) / 365 * float64(len(l.places))}
	used := make([]bool, len(alarms))
	for i := range l.troubles {
		t := &l.troubles[i]
		found := false
		for k, a := range alarms {
			if a.provider != t.provider || !akin(a.class, t) || a.detected < t.from || a.detected > t.until+2*hour {
				continue
			}
			used[k] = true
			if found {
				s.flapped++
				verbose("   flap %s at %d after %v, %d planted, %.0f/day seed %d\n", t.name, t.provider, time.Duration(a.detected-t.from), len(p.times[i]), l.perDay, l.seed)
				continue
			}
			found = true
			n, _ := slices.BinarySearch(p.times[i], a.detected+1)
			s.needs = append(s.needs, n)
			s.kinds[t.name] = append(s.kinds[t.name], n)
			if n > 9 {
				verbose("   late %s at %d: %d of %d, %.0f/day seed %d from %s detected %s\n", t.name, t.provider, n, len(p.times[i]), l.perDay, l.seed, time.Unix(0, t.from).UTC(), time.Unix(0, a.detected).UTC())
			}
			s.began = append(s.began, a.began-t.from)
			if t.until+day > simStart+int64(l.days)*day {
				continue // the input ends before its end can be seen
			}
			if a.ended == 0 || a.ended > t.until+14*day {
				s.unended++
			} else {
				s.recovery = append(s.recovery, a.ended-t.until)
			}
		}
		if !found && slices.ContainsFunc(alarms, func(a alarm) bool {
			return a.provider == t.provider && akin(a.class, t) && a.detected < t.from && (a.ended == 0 || a.ended > t.from)
		}) {
			continue // the one before is still open: it has not healed for long enough
		}
		if !found {
			s.lost[t.name]++
			s.missed = append(s.missed, fmt.Sprintf("%s(%d of %d)", t.name, len(p.times[i]), t.provider))
		}
	}
	for k, a := range alarms {
		if !used[k] && groupOf(a.class) != groupRecipient {
			s.false_ = append(s.false_, a)
		}
	}
	return s
}

func akin(c mail.Class, t *trouble) bool { return groupOf(c) == groupOf(t.class) }

// ours runs the detector.
func (l *life) ours() *score { s, _ := l.oursAnd(); return s }

func (l *life) oursAnd() (*score, []Incident) {
	d := New(Options{})
	p := l.watch(d.Observe)
	d.Advance(simStart + int64(l.days)*day)
	return l.judge(p, alarmsOf(d.Incidents())), d.Incidents()
}

func alarmsOf(all []Incident) (out []alarm) {
	for _, i := range all {
		for _, s := range i.Spans {
			out = append(out, alarm{i.Provider, i.Class, s.Detected, s.Recovered, s.Began, i.Number})
		}
	}
	return out
}

// textbook is a CUSUM for a provider and class, shares 0.005 and 0.25.
type textbook struct {
	once   bool
	limit  float64
	sums   map[ID]*[len(mail.Classes)]cusum
	seen   map[uint64]bool
	alarms []alarm
}

// cusum is one sum. It is open from its alarm until it was at nothing for
// twenty deliveries.
type cusum struct {
	sum   float64
	quiet int
	open  bool
}

func newTextbook(once bool) *textbook {
	return &textbook{once: once, limit: 9, sums: map[ID]*[len(mail.Classes)]cusum{}, seen: map[uint64]bool{}}
}

func (c *textbook) observe(o *Observation) {
	win, fail := math.Log(0.75/0.995), math.Log(0.25/0.005)
	p := c.sums[o.Provider]
	if p == nil {
		p = &[len(mail.Classes)]cusum{}
		c.sums[o.Provider] = p
	}
	if o.Outcome == mail.Delivered {
		for i := range p {
			s := &p[i]
			s.sum = max(0, s.sum+win)
			if s.quiet++; s.sum == 0 && s.quiet > 20 {
				s.open = false
			}
		}
		return
	}
	if c.once {
		if c.seen[o.Message] {
			return
		}
		c.seen[o.Message] = true
	}
	s := &p[slices.Index(mail.Classes[:], o.Class)]
	s.sum, s.quiet = min(s.sum+fail, 30), 0
	if s.sum >= c.limit && !s.open {
		s.open = true
		c.alarms = append(c.alarms, alarm{provider: o.Provider, class: o.Class, detected: o.Time, began: o.Time, number: len(c.alarms)})
	}
}

// incidents counts the false ones; a relapse is the same incident.
func (s *score) incidents() int {
	seen := map[[2]int]bool{}
	for _, a := range s.false_ {
		seen[[2]int{int(a.provider), a.number}] = true
	}
	return len(seen)
}
