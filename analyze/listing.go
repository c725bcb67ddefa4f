package analyze

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/postroad/postroad/event"
	"github.com/postroad/postroad/ingest/queue"
	"github.com/postroad/postroad/ingest/source"
	"github.com/postroad/postroad/mail"
)

// listings is what the queue listings of a pile have. A queue has as many
// providers as it has domains, most of them with a row or two: what is kept of
// each is one flat record with its first class and domain, and the further ones
// stand in tables of all.
type listings struct {
	many    int      // listings
	of      []listed // by provider
	classes map[uint64]int64
	domains map[uint64]int64
	known   identities // recipients of queue files, by provider
	now     int64      // the time of the listing that is being read
	arrived []arrival  // of that listing: what has no place in old yet
}

// listed is what the queue listings have of one provider.
type listed struct {
	recipients, messages int64
	deferred             int64 // with a reason
	old                  int64 // in the queue for longer than stale, or of unknown age and tried
	oldest, newest       int64
	last                 uint64 // the queue file that was counted last
	ofClass, ofDomain    int64  // rows of the first of each
	domain               uint32
	class                uint8
}

// arrival is when a row's message came into the queue, in Unix seconds.
type arrival struct{ provider, at uint32 }

// stale is how long a message may wait before it counts as stuck: by then every
// MTA has tried at least twice (RFC 5321 section 4.5.4.1).
const stale = time.Hour

// fromListing is the source of a queue of the report that a listing gives.
const fromListing = "listing"

// maxKept is how many identities of rows are kept of all listings (they fill a
// table of a million by three quarters), and how many times of arrival of one;
// maxPairs is how many classes, and how many domains, of providers.
const (
	maxKept  = 3 << 18
	maxPairs = 4 * tableSize
)

// formatQueue is the format of a fact that a listing tells of.
const formatQueue = "queue-listing"

// listing takes a queue listing. A row with a reason is also evidence of a
// failed attempt, the last one, at a time that the row does not give.
func (p *Pile) listing(s *source.Stream, skip func(int64, event.Skip)) error {
	now := s.Modified
	if now.IsZero() || now.After(p.Now) {
		now = p.Now
	}
	p.queue.many++
	p.queue.now = now.UnixNano()
	before := len(p.late)
	o := queue.Options{Zone: p.Zone, Modified: s.Modified, Now: p.Now, Skip: skip}
	err := queue.Read(s, o, func(it queue.Item) error {
		p.events++
		return p.item(&it)
	})
	p.grow(before)
	return err
}

// queueLife is for how long a queue keeps mail at most, by the defaults of Postfix
// and Exim, with a day to spare.
const queueLife = 6 * 24 * time.Hour

// grow counts what has waited for long at the time of a listing, and tells the
// facts of it, those from first on, for how long they have. A listing does
// not say when it was made: it is the file's time, unless that is further from
// the newest message than mail stays in a queue; then the file is a copy.
func (p *Pile) grow(first int) {
	now := p.queue.now
	for i := first; i < len(p.late); i++ {
		f := &p.late[i]
		if at := p.queue.of[f.provider].asOf(now); f.is(queued) && at > f.at {
			f.delay = millis(time.Duration(at - f.at))
		}
	}
	for _, a := range p.queue.arrived {
		q := &p.queue.of[a.provider]
		if q.asOf(now)-int64(a.at)*second > int64(stale) {
			q.old++
		}
	}
	p.queue.arrived = p.queue.arrived[:0]
}

// asOf gives the time of a listing whose file is of the time now.
func (q *listed) asOf(now int64) int64 {
	if now-q.newest > int64(queueLife) {
		return q.newest
	}
	return now
}

func (p *Pile) item(it *queue.Item) error {
	count := int64(max(it.Count, 1))
	a := &event.Attempt{
		QueueID: it.QueueID, Sender: it.Sender, SenderDomain: domainOf(it.Sender), Recipient: it.Recipient,
		RemoteHost: it.RemoteHost, RemoteIP: it.RemoteIP, Outcome: mail.Temporary,
	}
	domain := domainOf(it.Recipient)
	if domain == "" {
		domain = it.NextHop
	}
	at := it.LastRetry
	if at.IsZero() {
		at = it.Arrived
	}
	v := evidence{at: at, origin: event.Origin{Format: formatQueue, Grade: event.GradeSummary}, attempt: a,
		text: it.Reason, flags: weak | queued,
		mark: hash(hash(hash(5, it.QueueID), it.Recipient), it.Reason)}
	if it.Reason != "" {
		v.name = event.ID("", []byte(it.QueueID+" "+it.Recipient+" "+it.Reason), 0)
	}
	f := fact{at: at.UnixNano(), recipient: fold(0, it.Recipient), evidence: v.mark, outcome: temporary,
		grade: uint8(event.GradeSummary), format: uint8(min(p.formats.id(formatQueue), 255)), flags: v.flags,
		domain: p.domains.id(lower(domain)), sender: p.domains.id(lower(a.SenderDomain))}
	if at.IsZero() {
		f.at = 0
	}
	if a.Recipient == "" {
		a.Recipient = "@" + domain // of a listing by next hop: whom it is for is not said
	}
	f.message, f.queue = messageOf(a, "")
	f.marks = marksOf(a, f.grade)
	p.whose(&f, &v)
	if it.Reason != "" {
		p.judge(&f, &v)
	}
	p.waits(&f, it, count)
	if it.Reason == "" || it.Recipient == "" {
		return nil // it waits for its first attempt, or is a count of many
	}
	return p.keep(&f, &v)
}

// waits counts one row by provider.
func (p *Pile) waits(f *fact, it *queue.Item, count int64) {
	if n := int(f.provider) + 1 - len(p.queue.of); n > 0 {
		p.queue.of = append(p.queue.of, make([]listed, n)...)
	}
	q := &p.queue.of[f.provider]
	if f.queue != 0 && it.Recipient != "" {
		if p.queue.known.met(mix(queuePair(f), uint64(f.provider))) {
			return // one queue in two forms
		}
	}
	q.recipients += count
	if f.queue == 0 || it.Recipient == "" {
		q.messages += count
	} else if q.last != f.queue { // its recipients stand together
		q.last = f.queue
		q.messages++
	}
	tried := it.Reason != "" || it.Retrying
	if tried {
		q.deferred += count
	}
	if it.Reason != "" && f.class != 0 {
		if q.class == 0 {
			q.class = f.class
		}
		if q.class == f.class {
			q.ofClass += count
		} else {
			tell(p.queue.classes, poolKey(f.provider, f.class), count)
		}
	}
	if f.domain > others {
		if q.domain == 0 {
			q.domain = f.domain
		}
		if q.domain == f.domain {
			q.ofDomain += count
		} else {
			tell(p.queue.domains, uint64(f.provider)<<32|uint64(f.domain), count)
		}
	}
	if it.Arrived.IsZero() {
		if tried {
			q.old += count // counted by queue: what has failed was tried before
		}
		return
	}
	at := it.Arrived.UnixNano()
	if q.oldest == 0 || at < q.oldest {
		q.oldest = at
	}
	q.newest = max(q.newest, at)
	switch {
	case q.asOf(p.queue.now) == p.queue.now: // and a newer row does not change it
		if p.queue.now-at > int64(stale) {
			q.old++
		}
	case q.newest-at > int64(stale):
		q.old++
	case len(p.queue.arrived) < maxKept:
		p.queue.arrived = append(p.queue.arrived, arrival{f.provider, uint32(min(max(it.Arrived.Unix(), 0), 1<<32-1))})
	}
}

// tell adds to a count of a table that holds no more than maxPairs.
func tell(counts map[uint64]int64, key uint64, n int64) {
	if _, ok := counts[key]; ok || len(counts) < maxPairs {
		counts[key] += n
	}
}

// identities are the hashes of what was listed. A map takes four times the room.
type identities struct {
	slots []uint64 // 0 is free
	n     int
}

// met reports whether a recipient of a queue file was listed before for a
// provider, and remembers it.
func (k *identities) met(key uint64) bool {
	if key == 0 {
		key = 1 // one in 2^64
	}
	if k.n < maxKept && 4*k.n >= 3*len(k.slots) {
		k.grow()
	}
	i := k.place(key)
	if k.slots[i] == key {
		return true
	}
	if k.n < maxKept {
		k.slots[i] = key
		k.n++
	}
	return false
}

// place gives where a key stands or belongs. Keys are hashes already.
func (k *identities) place(key uint64) uint64 {
	mask := uint64(len(k.slots) - 1)
	i := key & mask
	for k.slots[i] != 0 && k.slots[i] != key {
		i = (i + 1) & mask
	}
	return i
}

func (k *identities) grow() {
	before := k.slots
	k.slots = make([]uint64, max(2*len(before), 64))
	for _, key := range before {
		if key != 0 {
			k.slots[k.place(key)] = key
		}
	}
}

// stuck reports whether a queue stagnates: a few messages wait, and most of
// them have been tried and have been there for long.
func (q *listed) stuck() bool {
	tried := q.deferred*2 >= q.recipients || q.deferred == 0 // Exim lists no reasons
	return q.recipients >= 3 && q.old*2 >= q.recipients && tried
}

// longest puts the queues of a report in order: where most waits, first.
func longest(queues []Queue) []Queue {
	slices.SortFunc(queues, func(a, b Queue) int {
		return cmp.Or(cmp.Compare(b.Recipients, a.Recipients), strings.Compare(a.Provider, b.Provider))
	})
	queues, _ = capped(queues)
	return queues
}

// listedQueues builds the queues of the providers for whom most is listed, and
// gives back what was kept of the rest. It may be asked once.
func (p *Pile) listedQueues() []Queue {
	many := make(map[uint32]int64)
	for id := range p.queue.of {
		if n := p.queue.of[id].recipients; n > 0 {
			many[uint32(id)] = n
		}
	}
	ids, _ := capped(mostFirst(many, p.providers))
	classes := make(map[uint32]map[mail.Class]int64, len(ids))
	for _, id := range ids {
		q := &p.queue.of[id]
		classes[id] = make(map[mail.Class]int64)
		if q.class != 0 {
			classes[id][classOf(q.class)] = q.ofClass
		}
		if q.domain != 0 { // the few that are shown find room
			p.queue.domains[uint64(id)<<32|uint64(q.domain)] = q.ofDomain
		}
	}
	for key, n := range p.queue.classes {
		if counts := classes[uint32(key>>8)]; counts != nil {
			counts[classOf(uint8(key))] = n
		}
	}
	domains := p.domainsOf(p.queue.domains, ids)
	out := make([]Queue, 0, len(ids))
	for _, id := range ids {
		q := &p.queue.of[id]
		row := Queue{Provider: p.label(id).ID, Name: p.label(id).Name, Source: fromListing,
			Recipients: q.recipients, Messages: q.messages, Oldest: instant(q.oldest), Newest: instant(q.newest),
			Stagnates: q.stuck(), Classes: classes[id]}
		row.Domains, row.MoreDomains = capped(domains[id])
		out = append(out, row)
	}
	p.queue = listings{many: p.queue.many}
	return out
}

// byUse lists domains, the most used first.
func (p *Pile) byUse(m map[uint32]int64) []string {
	ids := mostFirst(m, p.domains)
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = p.domains.name(id)
	}
	return out
}

// openQueue is a queue that logs leave open.
type openQueue struct {
	listed
	classes map[mail.Class]int64
	domains map[uint32]int64
}

// leftOpen gives what the logs show as deferred and never as over, of the
// providers for whom most waits.
func (c *census) leftOpen() []Queue {
	p := c.p
	many := make(map[uint32]int64)
	for pair, w := range c.open {
		if !c.closed[pair] && w.class() != 0 {
			many[w.provider()]++
		}
	}
	rows := make(map[uint32]*openQueue)
	for _, id := range mostFirst(many, p.providers) {
		if len(rows) == MaxList {
			break
		}
		rows[id] = &openQueue{classes: map[mail.Class]int64{}, domains: map[uint32]int64{}}
	}
	for pair, w := range c.open {
		q := rows[w.provider()]
		if q == nil || c.closed[pair] || w.class() == 0 {
			continue
		}
		q.recipients++
		q.classes[classOf(w.class())]++
		if d := w.domain(); d > others {
			q.domains[d]++
		}
		if q.oldest == 0 || w.since < q.oldest {
			q.oldest = w.since
		}
		q.newest = max(q.newest, w.since)
		if p.to-w.since > int64(stale) {
			q.old++
		}
	}
	out := []Queue{}
	for id, q := range rows {
		row := Queue{Provider: p.label(id).ID, Name: p.label(id).Name, Source: "log",
			Recipients: q.recipients, Messages: q.recipients, Oldest: instant(q.oldest), Newest: instant(q.newest), Classes: q.classes}
		q.deferred = q.recipients
		row.Stagnates = q.stuck() && p.to-c.tallies[id].lastOut > int64(stale)
		row.Domains, row.MoreDomains = capped(p.byUse(q.domains))
		out = append(out, row)
	}
	return out
}

// mostFirst lists ids by what is counted of them, then by name.
func mostFirst(counts map[uint32]int64, names *register) []uint32 {
	ids := make([]uint32, 0, len(counts))
	for id := range counts {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b uint32) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), bytes.Compare(names.bytes(a), names.bytes(b)))
	})
	return ids
}
