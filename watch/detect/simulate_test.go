package detect

import (
	"container/heap"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/postroad/postroad/mail"
)

// The simulator: a sender's ordinary life with six big providers and some small
// ones, and trouble planted into it. All is seeded; no clock.

const simStart = int64(1_704_067_200) * second // Monday 1 January 2024

// place is a receiving provider and its habits.
type place struct {
	id        ID
	share     float64 // of the mail
	addresses int
	throttle  float64 // share of ordinary throttling, independent
	clumps    float64 // clumps of throttling a day
	clumpy    float64 // share throttled in a clump
	clumpLen  int64
	grey      bool
	dead      bool    // never took anything
	from      int64   // appears at
	fault     float64 // ordinary transport and system failures, each
	judged    float64 // ordinary policy and content refusals
	unknown   float64 // ordinary unknown recipients
}

// trouble is what a detector has to find.
type trouble struct {
	name        string
	provider    ID
	class       mail.Class
	also        mail.Class // half of the failures say this
	from, until int64
	rate        float64 // share of attempts that fail
	ramp        int64   // grows to rate over this time
	permanent   bool
	address     int // 1 to n: only there
	source      int
	sender      int
}

func (t *trouble) at(now int64) float64 {
	if now < t.from || now >= t.until {
		return 0
	}
	if t.ramp > 0 && now < t.from+t.ramp {
		return t.rate * float64(now-t.from) / float64(t.ramp)
	}
	return t.rate
}

// life is what is simulated.
type life struct {
	seed       uint64
	perDay     float64
	days       int
	places     []place
	sources    int
	senders    int // sender domains, of unequal size
	weekend    float64
	flat       bool    // no rhythm
	growth     float64 // factor over the whole time
	newsletter float64 // a week
	letterSize float64 // recipients
	letterHit  float64 // share of newsletters whose recipients at one provider are throttled for minutes
	badLists   float64 // a month
	stuck      float64 // share of messages that are never taken by one receiver
	holidays   bool
	clients    int // recipients an address book has; 0: all are different
	troubles   []trouble
	failures   bool // the input has failures only
	seconds    bool // times are whole seconds, as in a log
	bare       bool // nothing is known but provider and message
	wander     bool // ordinary throttling is another one each day
	suspends   bool // after five failures in a row the rest is put off without an attempt, as Postfix does
}

// bigSix are providers such as most senders have.
func bigSix(throttle float64) []place {
	var out []place
	for i, share := range []float64{0.34, 0.22, 0.16, 0.12, 0.1, 0.06} {
		out = append(out, place{id: ID(i + 1), share: share, addresses: 2 + i, throttle: throttle,
			fault: 0.0008, judged: 0.0008, unknown: 0.006})
	}
	return out
}

type event struct {
	at      int64
	message uint64
	place   int
	first   int64
	try     int
	rcpt    uint64
	sender  int
	grey    bool // will be greylisted until it was tried twice
	bad     bool
	stuck   mail.Class
	letter  bool
}

type queue []event

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].message < q[j].message
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(event)) }
func (q *queue) Pop() any {
	old := *q
	e := old[len(old)-1]
	*q = old[:len(old)-1]
	return e
}

type simulation struct {
	life
	rng    *rand.Rand
	queue  queue
	visit  func(o *Observation, planted int)
	next   uint64
	clumps [][]int64 // per place: begins
	hit    []int64   // per place: letters are throttled until
	daily  []float64 // per place: today's throttling
	today  int64
	row    map[ID]int   // failures in a row
	dead   map[ID]int64 // put off until
}

// run simulates and calls visit for each attempt in the order of time, with the
// index of the trouble that made it fail, -1 for none.
func (l life) run(visit func(o *Observation, planted int)) {
	s := &simulation{life: l, rng: rand.New(rand.NewPCG(l.seed, 7)), visit: visit}
	s.sources, s.senders = max(l.sources, 1), max(l.senders, 1)
	s.hit, s.daily = make([]int64, len(l.places)), make([]float64, len(l.places))
	s.row, s.dead = map[ID]int{}, map[ID]int64{}
	end := simStart + int64(l.days)*day
	for _, p := range l.places {
		var begins []int64
		for at := simStart; p.clumps > 0; {
			at += int64(s.rng.ExpFloat64() / p.clumps * float64(day))
			if at > end {
				break
			}
			begins = append(begins, at)
		}
		s.clumps = append(s.clumps, begins)
	}
	for now := simStart; now < end; now += minute {
		if s.wander && now/day != s.today {
			s.today = now / day
			for i := range s.daily {
				s.daily[i] = 0.002 + 0.018*s.rng.Float64()
			}
		}
		rate := l.perDay / 1440 * s.rhythm(now)
		n := s.poisson(rate)
		var fresh []event
		for range n {
			if e, ok := s.compose(now + s.rng.Int64N(minute)); ok {
				fresh = append(fresh, e)
			}
		}
		fresh = append(fresh, s.special(now)...)
		slices.SortFunc(fresh, func(a, b event) int {
			if a.at != b.at {
				if a.at < b.at {
					return -1
				}
				return 1
			}
			return int(int64(a.message) - int64(b.message))
		})
		for _, e := range fresh {
			for len(s.queue) > 0 && s.queue[0].at <= e.at {
				s.attempt(heap.Pop(&s.queue).(event))
			}
			s.attempt(e)
		}
		for len(s.queue) > 0 && s.queue[0].at <= now+minute {
			s.attempt(heap.Pop(&s.queue).(event))
		}
	}
}

func (s *simulation) rhythm(now int64) float64 {
	f := 1.0
	if s.growth > 0 {
		f *= 1 + (s.growth-1)*float64(now-simStart)/float64(int64(s.days)*day)
	}
	if s.flat {
		return f
	}
	d := (now - simStart) / day
	h := float64((now-simStart)%day) / float64(hour)
	f *= 0.15 + 1.7*math.Exp(-(h-13)*(h-13)/24)
	if d%7 >= 5 {
		f *= s.weekend
	}
	if s.holidays && d%180 > 172 {
		f *= 0.05
	}
	return f
}

func (s *simulation) poisson(rate float64) int {
	if rate > 30 {
		return max(0, int(math.Round(rate+math.Sqrt(rate)*s.rng.NormFloat64())))
	}
	n, p, limit := 0, s.rng.Float64(), math.Exp(-rate)
	for p > limit {
		n++
		p *= s.rng.Float64()
	}
	return n
}

func (s *simulation) pick() int {
	x := s.rng.Float64()
	for i := range s.places {
		x -= s.places[i].share
		if x < 0 {
			return i
		}
	}
	return 0
}

func (s *simulation) compose(at int64) (event, bool) {
	p := s.pick()
	if s.places[p].from > at {
		return event{}, false
	}
	return s.message(at, p), true
}

func (s *simulation) message(at int64, p int) event {
	s.next++
	e := event{at: at, first: at, message: mix(s.next), place: p, rcpt: s.rng.Uint64() | 1}
	if s.clients > 0 {
		e.rcpt = mix(uint64(s.rng.IntN(s.clients))<<8|uint64(p)) | 1
	}
	e.sender = int(float64(s.senders) * s.rng.Float64() * s.rng.Float64())
	pl := &s.places[p]
	e.grey = pl.grey && s.rng.Float64() < 0.4
	e.bad = s.rng.Float64() < pl.unknown
	if s.rng.Float64() < s.stuck {
		e.stuck = []mail.Class{mail.Transport, mail.System, mail.Policy, mail.Throttling, mail.MailboxFull}[s.rng.IntN(5)]
	}
	return e
}

// special composes newsletters and bad lists.
func (s *simulation) special(now int64) (out []event) {
	minutes := 7 * 1440.0
	if s.newsletter > 0 && s.rng.Float64() < s.newsletter/minutes*s.rhythm(now) {
		if s.rng.Float64() < s.letterHit {
			s.hit[s.pick()] = now + int64(2+s.rng.IntN(8))*minute
		}
		for range int(s.letterSize * (0.5 + s.rng.Float64())) {
			if e, ok := s.compose(now + s.rng.Int64N(6*minute)); ok {
				e.sender, e.letter, e.rcpt = 0, true, s.rng.Uint64()|1
				if e.at < now+minute {
					out = append(out, e)
				} else {
					heap.Push(&s.queue, e)
				}
			}
		}
	}
	if s.badLists > 0 && s.rng.Float64() < s.badLists/(30*1440) {
		p := s.pick()
		for range 60 {
			e := s.message(now+s.rng.Int64N(hour), p)
			e.bad = s.rng.Float64() < 0.5
			heap.Push(&s.queue, e)
		}
	}
	return out
}

func (s *simulation) attempt(e event) {
	p := &s.places[e.place]
	o := Observation{
		Time: e.at, Message: e.message, Recipient: e.rcpt, Provider: p.id,
		Address: p.id*100 + ID(1+s.rng.IntN(max(p.addresses, 1))), Source: ID(1 + s.rng.IntN(s.sources)),
		SenderDomain: ID(1 + e.sender), RecipientDomain: p.id*10 + ID(e.rcpt%3),
		Outcome: mail.Delivered, Delay: e.at - e.first, Stage: mail.StageFinal, Final: true,
	}
	if s.seconds {
		o.Time -= o.Time % second
	}
	if s.bare {
		o.Address, o.Source, o.SenderDomain, o.RecipientDomain = 0, 0, 0, 0
	}
	planted := -1
	class, permanent := s.ordinary(&e, p)
	for i := range s.troubles {
		t := &s.troubles[i]
		if t.provider != p.id || t.address > 0 && ID(t.address) != o.Address-p.id*100 ||
			t.source > 0 && ID(t.source) != o.Source || t.sender > 0 && ID(t.sender) != o.SenderDomain {
			continue
		}
		if r := t.at(e.at); r > 0 && s.rng.Float64() < r {
			class, permanent, planted = t.class, t.permanent, i
			if t.also != "" && s.rng.IntN(2) == 0 {
				class = t.also
			}
		}
	}
	if s.suspends && e.at < s.dead[p.id] {
		o.Suspended, o.Class = true, mail.Transport
		class, permanent, planted = mail.Transport, false, s.active(p.id, e.at)
	}
	if class == "" {
		s.row[p.id] = 0
		s.tell(&o, planted)
		return
	}
	if s.suspends && !o.Suspended && class == mail.Transport {
		if s.row[p.id]++; s.row[p.id] >= 5 {
			s.dead[p.id] = e.at + 5*minute
		}
	}
	o.Class, o.Outcome, o.Final, o.Stage = class, mail.Temporary, false, mail.StageRcpt
	if e.try++; permanent || e.at-e.first > 5*day {
		o.Outcome, o.Final = mail.Permanent, true
	} else {
		wait := min(int64(5)<<min(e.try-1, 8), 60) * minute
		e.at += wait + s.rng.Int64N(wait/4)
		heap.Push(&s.queue, e)
	}
	s.tell(&o, planted)
}

// active gives the trouble at the place, -1 for none.
func (s *simulation) active(id ID, now int64) int {
	return slices.IndexFunc(s.troubles, func(t trouble) bool { return t.provider == id && t.at(now) > 0 })
}

func (s *simulation) tell(o *Observation, planted int) {
	if s.failures && o.Outcome == mail.Delivered {
		return
	}
	s.visit(o, planted)
}

// ordinary is what happens to an attempt in ordinary life.
func (s *simulation) ordinary(e *event, p *place) (mail.Class, bool) {
	switch {
	case p.dead:
		return mail.Transport, false
	case e.bad:
		return mail.RecipientUnknown, true
	case e.stuck != "":
		return e.stuck, false
	case e.grey && e.try == 0:
		return mail.Greylisting, false
	case e.letter && e.at < s.hit[e.place] && s.rng.Float64() < 0.6:
		return mail.Throttling, false
	}
	if c := s.clumps[e.place]; len(c) > 0 {
		i, _ := slices.BinarySearch(c, e.at)
		if i > 0 && e.at < c[i-1]+p.clumpLen && s.rng.Float64() < p.clumpy {
			return mail.Throttling, false
		}
	}
	throttle := p.throttle
	if s.wander {
		throttle = s.daily[e.place]
	}
	x := s.rng.Float64()
	for _, c := range []struct {
		p         float64
		class     mail.Class
		permanent bool
	}{
		{throttle, mail.Throttling, false}, {p.fault, mail.Transport, false}, {p.fault, mail.System, false},
		{p.judged, mail.Policy, true}, {p.judged, mail.Content, true}, {p.judged / 3, mail.ReputationIP, false},
		{p.judged / 3, mail.Authentication, true}, {p.unknown / 2, mail.MailboxFull, false},
	} {
		if x -= c.p; x < 0 {
			return c.class, c.permanent
		}
	}
	return "", false
}
