package analyze

import (
	"slices"
	"strings"
	"time"
)

// samples is the pool of failed attempts from which those of an incident are
// taken. It is bounded for each provider and class and in all, and spread over
// time: of a slot of time it keeps the first few, and slots grow when there
// are too many.
type samples struct {
	pools map[uint64]*pool
	all   int
}

const (
	perSlot    = 3
	maxSlots   = 48
	maxSamples = 6000
	firstSlot  = int64(10 * time.Minute)
	maxReply   = 2 << 10 // bytes of a reply that are kept
)

// pool is the samples of one provider and class.
type pool struct {
	width  int64 // of a slot, in nanoseconds
	slots  map[int64][]kept
	advice string // narrower than the class's, of the first reply that has one
}

// kept is one failed attempt in full.
type kept struct {
	fact
	messageID, queueID, recipient, senderDomain string
	host, ip, sourceHost, sourceIP              string
	user, client                                string
	reply                                       string
	ids                                         []string
}

func newSamples() *samples { return &samples{pools: make(map[uint64]*pool)} }

func poolKey(provider uint32, class uint8) uint64 { return uint64(provider)<<8 | uint64(class) }

// offer keeps f if its slot has room; full is only asked then.
func (s *samples) offer(f *fact, advice string, full func() kept) {
	key := poolKey(f.provider, f.class)
	p := s.pools[key]
	if p == nil {
		if s.all >= maxSamples {
			return
		}
		p = &pool{width: firstSlot, slots: make(map[int64][]kept)}
		s.pools[key] = p
	}
	if p.advice == "" {
		p.advice = advice
	}
	slot := f.at / p.width
	if len(p.slots[slot]) >= perSlot {
		return
	}
	for _, k := range p.slots[slot] {
		if k.pair() == f.pair() {
			return // another attempt of the same message says little more
		}
	}
	if s.all >= maxSamples && len(p.slots) > 1 {
		return
	}
	k := full()
	k.fact = *f
	p.slots[slot] = append(p.slots[slot], k)
	s.all++
	for len(p.slots) > maxSlots {
		s.all -= p.widen()
	}
}

// widen doubles the slots; it says how many samples gave way.
func (p *pool) widen() (gone int) {
	p.width *= 2
	wide := make(map[int64][]kept, len(p.slots)/2+1)
	for _, slot := range sortedKeys(p.slots) {
		for _, k := range p.slots[slot] {
			to := k.at / p.width
			if len(wide[to]) >= perSlot {
				gone++
				continue
			}
			wide[to] = append(wide[to], k)
		}
	}
	p.slots = wide
	return gone
}

func sortedKeys[V any](m map[int64]V) []int64 {
	keys := make([]int64, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// of gives at most n samples of a provider and its classes from the given spans
// of time, spread over it and over addresses.
func (s *samples) of(provider uint32, classes []uint8, spans []span, n int) []kept {
	var all []kept
	for _, c := range classes {
		p := s.pools[poolKey(provider, c)]
		if p == nil {
			continue
		}
		for _, slot := range sortedKeys(p.slots) {
			for _, k := range p.slots[slot] {
				if within(spans, k.at) {
					all = append(all, k)
				}
			}
		}
	}
	slices.SortFunc(all, func(a, b kept) int { return before(&a.fact, &b.fact) })
	all = distinct(all, n)
	if len(all) <= n {
		return all
	}
	// The first, the last, and between them those whose address was not seen yet.
	chosen := map[int]bool{0: true, len(all) - 1: true}
	seen := map[uint32]bool{all[0].address: true, all[len(all)-1].address: true}
	for i := range all {
		if len(chosen) < n && !seen[all[i].address] {
			chosen[i], seen[all[i].address] = true, true
		}
	}
	for i := 1; len(chosen) < n; i++ {
		chosen[i*(len(all)-1)/n] = true
		if i == n { // the places were taken already
			for j := 0; len(chosen) < n; j++ {
				chosen[j] = true
			}
		}
	}
	var out []kept
	for i := range all {
		if chosen[i] {
			out = append(out, all[i])
		}
	}
	return out
}

// distinct leaves out further attempts of one message, as long as n others are
// there to be shown.
func distinct(all []kept, n int) []kept {
	seen := make(map[uint64]bool, len(all))
	first := make([]kept, 0, len(all))
	for i := range all {
		if pair := all[i].pair(); !seen[pair] {
			seen[pair] = true
			first = append(first, all[i])
		}
	}
	if len(first) < n {
		return all
	}
	return first
}

func within(spans []span, at int64) bool {
	for _, s := range spans {
		if at >= s.from && at <= s.to {
			return true
		}
	}
	return false
}

func keptOf(v *evidence) kept {
	a := v.attempt
	reply := strings.Join(strings.Fields(v.text), " ")
	if len(reply) > maxReply {
		reply = strings.ToValidUTF8(reply[:maxReply], "")
	}
	host := a.SourceHost
	if host == "" {
		host = v.origin.Host
	}
	client := a.Client
	if client == "" {
		client = a.ClientIP
	}
	k := kept{
		user: strings.Clone(a.User), client: strings.Clone(client),
		messageID: strings.Clone(a.MessageID), queueID: strings.Clone(a.QueueID),
		recipient: strings.Clone(a.Recipient), senderDomain: strings.Clone(a.SenderDomain),
		host: strings.Clone(a.RemoteHost), ip: strings.Clone(a.RemoteIP),
		sourceHost: strings.Clone(host), sourceIP: strings.Clone(a.SourceIP),
		reply: strings.Clone(reply),
	}
	if id := v.id(); id != "" {
		k.ids = []string{id}
	}
	return k
}

// also notes one more piece of evidence of a failed attempt.
func (s *samples) also(f *fact, id string) {
	if id == "" {
		return
	}
	pair := f.pair()
	for _, p := range s.pools {
		for _, list := range p.slots {
			for i := range list {
				if list[i].pair() == pair && !slices.Contains(list[i].ids, id) {
					list[i].ids = append(list[i].ids, id)
				}
			}
		}
	}
}
