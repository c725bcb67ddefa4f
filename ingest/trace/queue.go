package trace

import (
	"cmp"
	"hash/maphash"
	"slices"
	"strings"
	"time"

	"github.com/postroad/postroad/event"
	"github.com/postroad/postroad/mail"
)

// memory remembers the last n to 2n keys: two generations, of which the older
// one is forgotten when the younger one is full.
type memory[T any] struct {
	young, old map[string]*T
	room       int
}

func newMemory[T any](room int) *memory[T] {
	return &memory[T]{young: make(map[string]*T), room: room}
}

func (m *memory[T]) get(key string) (*T, bool) {
	if v, ok := m.young[key]; ok {
		return v, true
	}
	v, ok := m.old[key]
	return v, ok
}

func (m *memory[T]) put(key string, v *T) {
	if len(m.young) >= m.room {
		m.old, m.young = m.young, make(map[string]*T, m.room/4)
	}
	m.young[key] = v
}

// pending is an event that waits for its place in time and for what later rows
// say of its message.
type pending struct {
	e     *event.Event
	stamp stamp
	key   string
	at    int64 // the time once day and month are settled
	seq   int64
	line  int64

	join    bool // fill in what is known of the message
	mailbox bool // a delivery into a mailbox: the domain is ours
	text    bool // a failure
	toIP    bool // the table says to which address a message went,
	noTo    bool // ... and this one went to none but came from one
}

// queue holds the last events to put them in order.
type queue struct {
	o        Options
	visit    func(*event.Event) error
	wait     []*pending
	seq      int64
	order    order
	decided  bool
	open     bool // there was a date in which day and month could be either
	dayFirst bool
	european bool // by the language and separator of the table
	sawToIP  bool
	known    *memory[known]
	seed     maphash.Seed
	counts   [2]map[uint64]uint16
	ours     map[string]bool // domains with a mailbox of ours
	newest   time.Time       // no event is later
	written  time.Time       // ... nor later than this, if the time of the file can be believed
}

func newQueue(o Options, k *memory[known], visit func(*event.Event) error) *queue {
	q := &queue{o: o, visit: visit, known: k, seed: maphash.MakeSeed(), ours: make(map[string]bool)}
	q.counts[0] = make(map[uint64]uint16)
	const leeway = 26 * time.Hour // clocks and zones differ
	if !o.Now.IsZero() {
		q.newest = o.Now.Add(leeway)
		q.written = q.newest
	}
	if !o.Modified.IsZero() {
		q.written = o.Modified.Add(leeway)
	}
	return q
}

// add takes the n-th event of a row.
func (q *queue) add(e *event.Event, r *row, n int, p pending) error {
	e.ID = event.ID(e.Origin.Host, r.raw, n)
	p.e, p.seq, p.line = e, q.seq, r.line
	q.seq++
	a, _ := e.Body.(*event.Attempt)
	if p.toIP && a.RemoteIP != "" {
		q.sawToIP = true
	}
	if d := domain(a.Recipient); p.mailbox && d != "" && len(q.ours) < 1000 {
		q.ours[d] = true
	}
	q.wait = append(q.wait, &p)
	q.open = q.open || p.stamp.either
	limit := window
	if e.Origin.Grade == event.GradeSummary && (!q.open || q.order.day+q.order.month > 0) {
		limit = shortWindow // nothing to join, no order of day and month to find out
	}
	if len(q.wait) < limit {
		return nil
	}
	return q.flush(limit / 2)
}

func domain(address string) string {
	return mail.NormalDomain(address[strings.LastIndexByte(address, '@')+1:])
}

// flush visits the oldest events until no more than keep wait.
func (q *queue) flush(keep int) error {
	if !q.decided && (keep > 0 || len(q.wait) > 0) {
		q.decide()
	}
	for i := range q.wait {
		p := q.wait[i]
		p.e.Time = p.stamp.time(q.dayFirst)
		p.at = p.e.Time.UnixNano()
	}
	slices.SortFunc(q.wait, func(a, b *pending) int {
		if c := cmp.Compare(a.at, b.at); c != 0 {
			return c
		}
		return cmp.Compare(a.seq, b.seq)
	})
	n := max(0, len(q.wait)-keep)
	for i := range q.wait[:n] {
		if err := q.give(q.wait[i]); err != nil {
			return err
		}
	}
	rest := copy(q.wait, q.wait[n:])
	clear(q.wait[rest:])
	q.wait = q.wait[:rest]
	return nil
}

// decide settles the order of day and month: by the rows in which it shows; else
// by which order leaves no row in the future and puts them nearer together, as a
// table is of some days; else by the language.
func (q *queue) decide() {
	if q.decided = q.order.day+q.order.month > 0; q.decided {
		q.dayFirst = q.order.dayFirst(q.european)
		return
	}
	type side struct {
		from, to time.Time
		late     int
	}
	var sides [2]side
	for _, p := range q.wait {
		if !p.stamp.either {
			continue
		}
		for i := range sides {
			s, t := &sides[i], p.stamp.time(i == 1)
			if s.from.IsZero() || t.Before(s.from) {
				s.from = t
			}
			if t.After(s.to) {
				s.to = t
			}
			if !q.written.IsZero() && t.After(q.written) {
				s.late++
			}
		}
	}
	monthFirst, dayFirst := sides[0], sides[1]
	a, b := monthFirst.to.Sub(monthFirst.from), dayFirst.to.Sub(dayFirst.from)
	switch {
	case monthFirst.late != dayFirst.late:
		q.dayFirst = dayFirst.late < monthFirst.late
	case a > 20*24*time.Hour && a > 3*b:
		q.dayFirst = true
	case b > 20*24*time.Hour && b > 3*a:
		q.dayFirst = false
	default:
		q.dayFirst = q.european
	}
}

// give completes an event and visits it.
func (q *queue) give(p *pending) error {
	a, _ := p.e.Body.(*event.Attempt)
	if !q.newest.IsZero() && p.e.Time.After(q.newest) {
		q.o.skip(p.line, event.SkipStamp)
		return nil
	}
	if k, _ := q.known.get(p.key); k != nil {
		q.join(a, p, k)
	}
	if d := domain(a.Recipient); d != "" && q.ours[d] && a.RemoteHost == "" && a.RemoteIP == "" {
		a.Route = RouteInbound
	}
	if p.toIP && p.noTo && q.sawToIP && a.Outcome == mail.Delivered {
		a.Route = RouteInbound
	}
	a.SenderDomain = ""
	if a.Sender != "" {
		a.SenderDomain = domain(a.Sender)
	}
	if p.e.Origin.Grade != event.GradeSummary { // a summary tells of no single attempt
		a.Number = q.count(p.key, a.Recipient)
	}
	return q.visit(p.e)
}

// join fills in what other rows said of the message.
func (q *queue) join(a *event.Attempt, p *pending, k *known) {
	a.Sender = first(a.Sender, k.sender)
	a.MessageID, a.NetworkID = first(a.MessageID, k.messageID), first(a.NetworkID, k.networkID)
	if !p.join {
		return
	}
	a.Client, a.ClientIP = first(a.Client, k.client), first(a.ClientIP, k.clientIP)
	if k.received != (stamp{}) {
		if d := p.e.Time.Sub(k.received.time(q.dayFirst)); d >= 0 && d < 90*24*time.Hour {
			a.Delay = d
		}
	}
	if k.inbound && !k.outbound && a.RemoteHost == "" && a.RemoteIP == "" {
		a.Route = RouteInbound
	}
}

// count numbers the attempts of a message for a recipient.
func (q *queue) count(key, recipient string) int {
	if key == "" {
		return 0
	}
	var h maphash.Hash
	h.SetSeed(q.seed)
	h.WriteString(key)
	h.WriteByte(0)
	h.WriteString(strings.ToLower(recipient))
	sum := h.Sum64()
	n, ok := q.counts[0][sum]
	if !ok {
		n = q.counts[1][sum]
		if len(q.counts[0]) >= counted {
			q.counts[1], q.counts[0] = q.counts[0], make(map[uint64]uint16, counted)
		}
	}
	if n < 1<<16-1 {
		n++
	}
	q.counts[0][sum] = n
	return int(n)
}
