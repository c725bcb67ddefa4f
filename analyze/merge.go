package analyze

import (
	"slices"

	"github.com/postroad/postroad/event"
	"github.com/postroad/postroad/mail"
)

const (
	second = int64(1e9)
	minute = 60 * second
	hour   = 60 * minute
	day    = 24 * hour

	// tolerance is how far apart two hosts may date one attempt: clocks that are
	// set differ by seconds, a trace notes the end of what a log notes the begin
	// of. It is shorter than the shortest ordinary retry interval (5 minutes).
	tolerance = 2 * minute

	// nearby is the same where only the recipient tells that two messages are one.
	nearby = minute

	// maxLate is how many rows of summaries, bounces and listings are held
	// against the logs; what comes beyond it is counted as it is.
	maxLate = 500_000

	// maxLateIDs is of how many of these the evidence's id is kept for samples.
	maxLateIDs = 20_000
)

// settle decides which of the summaries and bounces tell of what a log or a
// detailed trace tells too. What tells of something new becomes a fact.
func (p *Pile) settle() error {
	if len(p.late) == 0 {
		return nil
	}
	l := newLateIndex(p.late, p.mixed())
	if p.primaries > 0 {
		err := p.attempts(func(f *fact) error {
			if !f.is(session) {
				p.absorb(l, f)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	p.settleAmong(l)
	for i := range p.late {
		if l.taken[i] {
			continue
		}
		if err := p.store.add(p.late[i]); err != nil {
			return err
		}
	}
	p.late = nil
	return nil
}

// lateIndex finds late facts by message and recipient.
type lateIndex struct {
	facts []fact
	first map[uint64]int32 // pair, queue id and recipient, or recipient
	next  []int32
	nextQ []int32
	nextR []int32 // by recipient; empty where every attempt can be found by its message
	taken []bool
}

func newLateIndex(facts []fact, unlinked bool) *lateIndex {
	l := &lateIndex{facts: facts, first: make(map[uint64]int32, len(facts)),
		next: make([]int32, len(facts)), nextQ: make([]int32, len(facts)), taken: make([]bool, len(facts))}
	if unlinked {
		l.nextR = make([]int32, len(facts))
	}
	for i := range facts {
		f := &facts[i]
		l.next[i] = l.chain(f.pair(), i)
		if f.queue != 0 {
			l.nextQ[i] = l.chain(queuePair(f), i)
		}
		if unlinked {
			l.nextR[i] = l.chain(recipientKey(f), i)
		}
	}
	return l
}

// queuePair is the identity of a queue file and one of its recipients.
func queuePair(f *fact) uint64 { return mix(f.queue, f.recipient+1) }

// mixed reports whether attempts have to be found by their recipients too: some
// do not say of which message they tell, and forms that could are beside them.
func (p *Pile) mixed() bool { return p.unlinked && len(p.formats.ends) > 3 }

// recipientKey is where the attempts to one recipient are found.
func recipientKey(f *fact) uint64 { return mix(f.recipient, 2) }

// marksOf says how well the evidence names its message.
func marksOf(a *event.Attempt, grade uint8) uint8 {
	switch {
	case a.MessageID != "":
		return named
	case a.Recipient != "" && grade >= uint8(event.GradeDetail):
		return unlinked
	}
	return 0
}

// chain puts i in front of the facts of one key; indices are kept plus 1.
func (l *lateIndex) chain(key uint64, i int) int32 {
	before := l.first[key]
	l.first[key] = int32(i + 1)
	return before
}

// absorb takes the late facts that tell of f.
func (p *Pile) absorb(l *lateIndex, f *fact) {
	for i := l.first[f.pair()]; i != 0; i = l.next[i-1] {
		p.take(l, int(i-1), f)
	}
	if f.queue != 0 {
		for i := l.first[queuePair(f)]; i != 0; i = l.nextQ[i-1] {
			p.take(l, int(i-1), f)
		}
	}
	if f.has(unlinked) && l.nextR != nil {
		for i := l.first[recipientKey(f)]; i != 0; i = l.nextR[i-1] {
			if closeBy(f, &l.facts[i-1]) {
				p.take(l, int(i-1), f)
			}
		}
	}
}

// closeBy reports whether two pieces of evidence of one recipient are so close in
// time that they tell of one attempt, though one of them does not say of which
// message it tells.
func closeBy(f, late *fact) bool {
	gap := f.at - late.at
	if late.is(weak) && !f.is(weak) { // of the message, which the attempt comes after
		if came := gap - int64(f.delay)*1e6; f.delay > 0 && came > -nearby && came < nearby {
			return true
		}
		return gap > -nearby && gap < 10*nearby
	}
	return gap > -nearby && gap < nearby
}

func (p *Pile) take(l *lateIndex, i int, f *fact) {
	late := &l.facts[i]
	if !sameAttempt(f, late) {
		return
	}
	if !l.taken[i] {
		p.samples.also(late, p.lateIDs[i])
	}
	l.taken[i] = true
	if late.is(final) && !f.is(final) {
		p.closed[f.pair()] = true
	}
}

// sameAttempt reports whether a summary, a bounce or a row of a listing tells of
// the attempt f of the same message and recipient.
func sameAttempt(f, late *fact) bool {
	if (f.outcome == delivered) != (late.outcome == delivered) {
		return false
	}
	gap := f.at - late.at
	switch {
	case late.at == 0 || f.at == 0:
		return true
	case late.is(weak) || f.is(weak):
		// A summary has the time of the message, a bounce without attempt time
		// its own; a message is retried for some days.
		return gap > -7*day && gap < 7*day
	case late.is(final) && f.is(final):
		return gap > -day && gap < day
	}
	return gap > -10*minute && gap < 10*minute
}

// settleAmong merges the late facts that no log told of: a bounce and a summary
// row of one message are one, and so are two bounces of it.
func (p *Pile) settleAmong(l *lateIndex) {
	for i := range l.facts {
		if l.taken[i] {
			continue
		}
		f := &l.facts[i]
		for j := l.first[f.pair()]; j != 0; j = l.next[j-1] {
			k := int(j - 1)
			if k == i || l.taken[k] || l.facts[k].grade > f.grade || !sameAttempt(f, &l.facts[k]) {
				continue
			}
			if l.facts[k].grade == f.grade && k < i && !f.is(final) {
				continue // the final one of two is kept
			}
			// The summary is the nearer evidence, the bounce knows the reply.
			if other := &l.facts[k]; f.class == 0 || classOf(f.class) == "unknown" && other.class != 0 || !f.is(hosted) && other.is(hosted) {
				told(f, other)
			}
			l.taken[k] = true
			p.samples.also(&l.facts[k], p.lateIDs[k])
		}
	}
}

// told gives f what only the lesser evidence knows: why, and at which host.
func told(f, other *fact) {
	if other.class == 0 {
		return
	}
	f.class, f.actor, f.stage = other.class, other.actor, other.stage
	if other.is(hosted) && !f.is(hosted) {
		f.address, f.provider = other.address, other.provider
		f.flags |= hosted
	}
	if f.is(weak) && !other.is(weak) {
		f.at = other.at
		f.flags &^= weak
	}
	f.flags |= other.flags & expired
}

// attempts gives the facts of logs and detailed traces in order, each attempt
// once: the same line twice, or the row of a trace beside the line of a log, is
// one attempt.
func (p *Pile) attempts(visit func(*fact) error) error {
	if !p.overlapping() {
		return p.store.each(p.unrepeated(visit))
	}
	w := window{visit: visit, at: make(map[uint64]int), unlinked: p.mixed()}
	if err := p.store.each(p.unrepeated(w.add)); err != nil {
		return err
	}
	return w.flush(1<<63 - 1)
}

// unrepeated leaves out what is the same evidence as the fact before it. Equal
// evidence has equal times and identities, so it stands side by side.
func (p *Pile) unrepeated(visit func(*fact) error) func(*fact) error {
	var last fact
	return func(f *fact) error {
		p.settled(f)
		if f.evidence == last.evidence && f.at == last.at && f.pair() == last.pair() {
			return nil
		}
		last = *f
		return visit(f)
	}
}

// overlapping reports whether two streams tell of the same time; where none do,
// no attempt can be told of twice.
func (p *Pile) overlapping() bool {
	spans := slices.Clone(p.spans)
	slices.SortFunc(spans, func(a, b span) int { return order(a.from, b.from) })
	end := int64(-1 << 63)
	for _, s := range spans {
		if s.from <= end {
			return true
		}
		end = max(end, s.to+tolerance)
	}
	return false
}

// window holds facts back for the tolerance, so that several pieces of evidence
// about one attempt meet.
type window struct {
	visit func(*fact) error
	held  []fact
	gone  []bool
	head  int
	base  int            // number of held[0] since the begin
	at    map[uint64]int // pair, queue id and recipient, recipient -> number of its latest fact
	keys  [3]uint64

	unlinked bool
}

func (w *window) add(f *fact) error {
	if err := w.flush(f.at - tolerance); err != nil {
		return err
	}
	if f.is(session) {
		w.push(f)
		return nil
	}
	keys := w.keysOf(f)
	for _, key := range keys {
		n, ok := w.at[key]
		if !ok || n < w.base+w.head || w.gone[n-w.base] {
			continue
		}
		g := &w.held[n-w.base]
		if !twice(g, f) || key == recipientKey(f) && !alike(g, f) {
			continue
		}
		// The nearer evidence is the fact; of equals the one that names its
		// message, else the first.
		if f.grade > g.grade || f.grade == g.grade && f.has(named) && !g.has(named) {
			w.gone[n-w.base] = true
			other := *g
			w.hold(f, keys)
			learn(&w.held[len(w.held)-1], &other)
			return nil
		}
		learn(g, f)
		for _, key := range keys {
			w.at[key] = n
		}
		return nil
	}
	w.hold(f, keys)
	return nil
}

// alike reports whether two facts that have only the recipient in common tell of
// one attempt: one of them cannot say of which message it tells, and they come
// from two systems, which one message passes at one time.
func alike(a, b *fact) bool {
	return (a.has(unlinked) || b.has(unlinked)) && a.format != b.format && closeBy(b, a)
}

// keysOf gives the keys by which another piece of evidence about the attempt is
// found. They are good until the next call.
func (w *window) keysOf(f *fact) []uint64 {
	keys := append(w.keys[:0], f.pair())
	if f.queue != 0 {
		keys = append(keys, queuePair(f))
	}
	if w.unlinked {
		keys = append(keys, recipientKey(f))
	}
	return keys
}

func (w *window) hold(f *fact, keys []uint64) {
	for _, key := range keys {
		w.at[key] = w.base + len(w.held)
	}
	w.push(f)
}

// learn gives the fact what the other piece of evidence about the same attempt
// knows better.
func learn(f, other *fact) {
	f.flags |= other.flags & (final | expired)
	if other.has(named) && !f.has(named) {
		f.message = other.message
		f.marks = named
	}
	if classOf(f.class) == mail.Unknown && other.class != 0 {
		f.class, f.actor, f.stage = other.class, other.actor, other.stage
	}
}

// twice reports whether two facts of one message and recipient, close in time,
// are one attempt told of by two sources.
func twice(a, b *fact) bool {
	if (a.outcome == delivered) != (b.outcome == delivered) {
		return false
	}
	if a.is(hosted) && b.is(hosted) && a.provider != b.provider {
		return false // a hop to a relay of ours, and the relay's own attempt
	}
	if a.format == b.format && a.grade == b.grade {
		// One log in two forms (syslog's and the journal's), one trace in two
		// encodings: within the second that the coarser stamp has.
		return b.at-a.at < second && (a.grade < uint8(event.GradeLog) || a.queue != 0 && a.queue == b.queue)
	}
	return true
}

func (w *window) push(f *fact) {
	w.held = append(w.held, *f)
	w.gone = append(w.gone, false)
}

// flush gives out what no later fact can meet any more.
func (w *window) flush(until int64) error {
	for w.head < len(w.held) && w.held[w.head].at < until {
		f := w.held[w.head]
		if !w.gone[w.head] {
			if err := w.visit(&f); err != nil {
				return err
			}
		}
		for _, key := range w.keysOf(&f) {
			if n, ok := w.at[key]; ok && n == w.base+w.head {
				delete(w.at, key)
			}
		}
		w.head++
	}
	if w.head > 4096 && w.head > len(w.held)/2 {
		n := copy(w.held, w.held[w.head:])
		copy(w.gone, w.gone[w.head:])
		w.held, w.gone = w.held[:n], w.gone[:n]
		w.base += w.head
		w.head = 0
	}
	return nil
}
