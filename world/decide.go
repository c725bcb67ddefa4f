package world

import (
	"fmt"
	"hash/fnv"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postroad/postroad/mail"
)

// facts are what a provider knows of a session at one stage.
type facts struct {
	start     time.Time // of the world's clock
	now       time.Time
	seed      uint64
	session   uint64 // counts the sessions of the world
	host      string
	address   netip.Addr
	source    netip.Addr
	tls       bool
	stage     mail.Stage
	sender    mail.Address
	known     bool           // the sender is known: MAIL was said
	recipient mail.Address   // at rcpt
	to        []mail.Address // taken so far
	messages  int            // accepted in the session before this one
}

// verdict is what a temper makes of a stage. Without a temper the ordinary
// answer is given.
type verdict struct {
	temper *Temper // that decided; nil
	reason string  // its name
	reply  mail.Reply
	delay  time.Duration // before all else
	rate   int           // bytes a second; 0 is as fast as it goes
}

// entry is what is remembered under one key: of a greylisted triplet its first
// and last time, of a throttle the begin of the span and what was taken in it,
// of a temper with times how often it was applied.
type entry struct {
	first, last time.Time
	used        [3]int64 // messages, recipients, bytes
	passed      bool
}

// change is what a decision asks to be remembered.
type change struct {
	key   string
	entry entry
}

// maxEntries bounds the memory; beyond it the oldest half is forgotten, which a
// real greylist does too.
const maxEntries = 200_000

// state is what the tempers of a world remember. It is changed in one place,
// by its owner.
type state struct {
	limit   int // of entries
	entries map[string]entry
	open    map[string]int // sessions at once, by temper and key
}

func newState() *state {
	return &state{limit: maxEntries, entries: make(map[string]entry), open: make(map[string]int)}
}

func (s *state) apply(changes []change) {
	for _, c := range changes {
		s.entries[c.key] = c.entry
	}
	if len(s.entries) <= s.limit {
		return
	}
	keys := slices.SortedFunc(maps.Keys(s.entries), func(a, b string) int {
		return s.entries[a].last.Compare(s.entries[b].last)
	})
	for _, k := range keys[:len(keys)/2] {
		delete(s.entries, k)
	}
}

// decide is what a provider does at one stage, and what it will remember of it.
// It changes nothing.
func decide(tempers []Temper, s *state, f *facts) (v verdict, changes []change) {
	for i := range tempers {
		t := &tempers[i]
		if !t.fits(f) || !t.left(s) {
			continue
		}
		switch t.Do {
		case doSlow:
			if t.At == "" || t.At == f.stage {
				v.delay += time.Duration(t.Delay)
				if t.Rate > 0 && (v.rate == 0 || t.Rate < v.rate) {
					v.rate = t.Rate
				}
			}
			continue
		case doCertificate, doNoStartTLS, doSTS, doDANE, doDrop:
			continue // they are asked for by name: current
		case doAccept:
			if t.At == "" || t.At == f.stage {
				return v, changes
			}
			continue
		}
		if t.At != f.stage {
			continue
		}
		yes, reply, c := t.judge(s, f)
		changes = append(changes, c...)
		if yes {
			v.temper, v.reason, v.reply = t, t.Name, reply
			return v, append(changes, t.once(s, f)...)
		}
	}
	return v, changes
}

// judge is one temper at its stage.
func (t *Temper) judge(s *state, f *facts) (yes bool, reply mail.Reply, changes []change) {
	switch t.Do {
	case doGreylist:
		return t.greylist(s, f)
	case doThrottle:
		if !t.beyond(s, f) {
			return false, reply, nil
		}
	}
	return true, t.filled(f, 0), nil
}

// greylist is RFC 6647 section 2.4: the network of the source, the sender and
// the recipient must come again after the delay and before they are forgotten.
func (t *Temper) greylist(s *state, f *facts) (bool, mail.Reply, []change) {
	key := t.id + "|" + network(f.source, t.Network) + "|" + f.sender.Key() + "|" + f.recipient.Key()
	e, known := s.entries[key]
	if !known || f.now.Sub(e.last) > time.Duration(t.Keep) {
		e = entry{first: f.now}
	}
	e.last = f.now
	left := time.Duration(t.Delay) - f.now.Sub(e.first)
	e.passed = e.passed || left <= 0
	changes := []change{{key, e}}
	if e.passed {
		return false, mail.Reply{}, changes
	}
	return true, t.filled(f, left), changes
}

// beyond reports whether a limit is reached.
func (t *Temper) beyond(s *state, f *facts) bool {
	if t.Connections > 0 && s.open[t.key(f)] > t.Connections {
		return true
	}
	if t.Per == 0 {
		return false
	}
	e := s.entries[t.key(f)]
	if f.now.Sub(e.first) >= time.Duration(t.Per) {
		e = entry{}
	}
	if f.stage == mail.StageRcpt { // those of this message count as well
		e.used[1] += int64(len(f.to))
	}
	return t.Messages > 0 && e.used[0] >= int64(t.Messages) || t.Accepted > 0 && e.used[1] >= int64(t.Accepted) ||
		t.Volume > 0 && e.used[2] >= t.Volume
}

// taken says what the throttles remember of a message that was accepted.
func taken(tempers []Temper, s *state, f *facts, size int64) (changes []change) {
	for i := range tempers {
		t := &tempers[i]
		at := *f
		at.stage = t.At
		if t.Do != doThrottle || t.Per == 0 || !t.fits(&at) {
			continue
		}
		e := s.entries[t.key(f)]
		if f.now.Sub(e.first) >= time.Duration(t.Per) {
			e = entry{first: f.now}
		}
		e.last = f.now
		e.used[0]++
		e.used[1] += int64(len(f.to))
		e.used[2] += size
		changes = append(changes, change{t.key(f), e})
	}
	return changes
}

// opened counts a session that begins or ends (by 1 or -1) for the throttles of
// connections.
func (s *state) opened(tempers []Temper, f *facts, by int) {
	for i := range tempers {
		if t := &tempers[i]; t.Do == doThrottle && t.Connections > 0 {
			k := t.key(f)
			if s.open[k] += by; s.open[k] <= 0 {
				delete(s.open, k)
			}
		}
	}
}

func (t *Temper) key(f *facts) string {
	switch t.By {
	case "network":
		return t.id + "|" + network(f.source, t.Network)
	case "sender":
		return t.id + "|" + mail.NormalDomain(f.sender.Domain)
	case "all":
		return t.id
	}
	return t.id + "|" + f.source.String()
}

func network(a netip.Addr, bits int) string {
	if bits == 0 {
		bits = 24
		if a.Is6() {
			bits = 64
		}
	}
	p, err := a.Prefix(min(bits, a.BitLen()))
	if err != nil {
		return a.String()
	}
	return p.String()
}

// left reports whether a temper with times may still be applied.
func (t *Temper) left(s *state) bool {
	return t.Times == 0 || s.entries[t.id+"|times"].used[0] < int64(t.Times)
}

func (t *Temper) once(s *state, f *facts) []change {
	if t.Times == 0 {
		return nil
	}
	e := s.entries[t.id+"|times"]
	e.used[0]++
	e.last = f.now.Add(maxDuration) // never among the oldest
	return []change{{t.id + "|times", e}}
}

// active reports whether the temper has its time.
func (t *Temper) active(start, now time.Time) bool {
	return (!t.From.set || !now.Before(t.From.in(start))) && (!t.Until.set || now.Before(t.Until.in(start))) && t.Daily.holds(now)
}

// next gives the next time after now at which active may change; the zero time
// if it never will.
func (t *Temper) next(start, now time.Time) (next time.Time) {
	consider := func(at time.Time) {
		if at.After(now) && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	if t.From.set {
		consider(t.From.in(start))
	}
	if t.Until.set {
		consider(t.Until.in(start))
	}
	if t.Daily.set {
		consider(t.Daily.next(now))
	}
	return next
}

// fits reports whether all conditions hold.
func (t *Temper) fits(f *facts) bool {
	if !t.active(f.start, f.now) || t.Clear && f.tls {
		return false
	}
	if len(t.Hosts) > 0 && !slices.Contains(t.Hosts, f.host) || len(t.Addresses) > 0 && !slices.Contains(t.Addresses, f.address) {
		return false
	}
	if len(t.Sources) > 0 && !slices.ContainsFunc(t.Sources, func(p netip.Prefix) bool { return p.Contains(f.source) }) {
		return false
	}
	if len(t.Senders) > 0 && (!f.known || !slices.Contains(t.Senders, mail.NormalDomain(f.sender.Domain))) {
		return false
	}
	if len(t.Recipients) > 0 && !t.meant(f.recipient) && !slices.ContainsFunc(f.to, t.meant) {
		return false
	}
	return t.Share == nil || draw(f.seed, t.id, f.session) <= t.share
}

// meant reports whether a recipient is among those that the temper is for.
func (t *Temper) meant(a mail.Address) bool {
	return slices.Contains(t.Recipients, a.Key()) || slices.Contains(t.Recipients, mail.NormalDomain(a.Domain))
}

// draw is the lot of one session for one temper: the same in every run with the
// same seed.
func draw(seed uint64, id string, session uint64) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(strconv.FormatUint(seed, 10) + "|" + id + "|" + strconv.FormatUint(session, 10)))
	x := h.Sum64() // the high bits of FNV are poor: mix as splitmix64 does
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// current gives the first temper that does this and fits, nil if none does.
func current(tempers []Temper, s *state, f *facts, do string) *Temper {
	for i := range tempers {
		if t := &tempers[i]; t.Do == do && t.fits(f) && t.left(s) {
			return t
		}
	}
	return nil
}

// filled puts what a reply speaks of into it.
func (t *Temper) filled(f *facts, left time.Duration) mail.Reply { return fill(t.reply, f, left) }

// queueID looks like one that a receiver gives to a message.
func queueID(f *facts) string {
	return fmt.Sprintf("%010X", draw(f.seed, "queue "+strconv.Itoa(f.messages), f.session)>>24)
}

func fill(r mail.Reply, f *facts, left time.Duration) mail.Reply {
	to := f.recipient
	if to.IsNull() && len(f.to) > 0 {
		to = f.to[0]
	}
	names := strings.NewReplacer("{source}", f.source.String(), "{sender}", f.sender.Domain, "{recipient}", to.String(),
		"{domain}", to.Domain, "{host}", f.host, "{id}", queueID(f), "{seconds}", strconv.Itoa(int((left+time.Second-1)/time.Second)))
	r.Lines = slices.Clone(r.Lines)
	for i := range r.Lines {
		r.Lines[i] = names.Replace(r.Lines[i])
	}
	return r
}
