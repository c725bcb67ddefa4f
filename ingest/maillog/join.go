package maillog

import (
	"hash/maphash"
	"strings"
)

// Join remembers what the lines of a message say together: who gave it to us,
// its sender and Message-ID, how often each recipient was tried, and the last
// answer for each that is still waiting. It is shared by the files of a pile, so
// that a message which was taken in mail.log.1 and delivered in mail.log is one.
//
// The files may come in any order: what a later file knew of a message is not
// used for lines that are older. It is not safe for readers that run at the same
// time.
//
// It remembers at most half a million messages and 24 MiB of texts, 60 MB
// altogether; what was not heard of for longest is forgotten first, and its
// later attempts come out without what was forgotten.
type Join struct {
	seed    maphash.Seed
	index   map[uint64]uint32 // host and queue id -> message
	slabs   [][]message       // number 0 is the ring of all messages, the newest first
	used    uint32
	free    uint32
	live    int
	limit   int
	rcpts   map[uint64]uint32 // message and recipient -> waiter
	waiters [][]waiter
	wused   uint32
	wfree   uint32
	wlive   int
	texts   texts
	gone    [256]uint64 // keys of messages that the log says are over
	next    uint8
}

// message is one queue id on one host.
type message struct {
	key          uint64
	seen         int64 // Unix seconds of its last line, 0 where lines have no time
	born         int64 // ... of its first line; when it is over, of that
	newer, older uint32
	rcpts        uint32 // the first waiter
	sender, id   text
	client       text // host NUL address NUL user
	marks        uint8
}

// The marks of a message.
const (
	begun   uint8 = 1 << iota // its first line was seen, so attempts can be numbered
	named                     // sender is known, and be it the null sender
	tried                     // there was an attempt
	over                      // the log said "removed"
	clientd                   // who gave it to us is known
)

// waiter is one recipient that was deferred at least once.
type waiter struct {
	key      uint64
	next     uint32 // of the same message
	attempts uint16
	done     bool
	last     text // the service, NUL, and the message of the last deferral
}

const (
	slabSize    = 4096
	maxMessages = 500_000
	maxWaiters  = 500_000
	maxTexts    = 24 << 20 / chunkSize
	// forget is for how long a queue id without news is still the same message:
	// longer than the queues of mail servers keep anything.
	forget = 10 * daySeconds
	// ordered is how far lines may be out of order, in seconds.
	ordered = 2
	// older is how far before what is known a line may lie and still go on with it.
	older = 3600
)

// NewJoin makes an empty memory.
func NewJoin() *Join {
	return &Join{
		seed:    maphash.MakeSeed(),
		index:   make(map[uint64]uint32),
		slabs:   [][]message{make([]message, slabSize)},
		used:    1,
		limit:   maxMessages,
		rcpts:   make(map[uint64]uint32),
		waiters: [][]waiter{make([]waiter, slabSize)},
		wused:   1,
		texts:   texts{limit: maxTexts},
	}
}

func (j *Join) at(i uint32) *message { return &j.slabs[i/slabSize][i%slabSize] }

func (j *Join) waiter(i uint32) *waiter { return &j.waiters[i/slabSize][i%slabSize] }

// find gives the message of a key; nil if it is not known, or if what is known
// is of another time. now is the time of the line, 0 if it has none.
func (j *Join) find(key uint64, now int64) *message {
	i, ok := j.index[key]
	if !ok {
		return nil
	}
	m := j.at(i)
	if now != 0 && m.seen != 0 && (now > m.seen+forget || now < m.seen-older) {
		j.clear(m)
		m.born = now
	}
	m.seen = now
	j.touch(i, m)
	return m
}

// open gives the message of a key, a new one if it is not known.
func (j *Join) open(key uint64, now int64) *message {
	if m := j.find(key, now); m != nil {
		return m
	}
	for j.live >= j.limit {
		j.evict()
	}
	i := j.free
	if i != 0 {
		j.free = j.at(i).newer
	} else {
		i = j.used
		if int(i/slabSize) == len(j.slabs) {
			j.slabs = append(j.slabs, make([]message, slabSize))
		}
		j.used++
	}
	j.live++
	j.index[key] = i
	m := j.at(i)
	*m = message{key: key, seen: now, born: now, newer: i, older: i}
	j.touch(i, m)
	return m
}

// touch makes a message the newest.
func (j *Join) touch(i uint32, m *message) {
	ring := j.at(0)
	if ring.older == i {
		return
	}
	j.at(m.newer).older, j.at(m.older).newer = m.older, m.newer
	m.newer, m.older = 0, ring.older
	j.at(ring.older).newer = i
	ring.older = i
}

// evict forgets the message that was not heard of for longest.
func (j *Join) evict() {
	if i := j.at(0).newer; i != 0 {
		j.drop(j.at(i), i)
	}
}

// drop forgets a message.
func (j *Join) drop(m *message, i uint32) {
	j.clear(m)
	j.at(m.newer).older, j.at(m.older).newer = m.older, m.newer
	delete(j.index, m.key)
	m.newer = j.free
	j.free = i
	j.live--
}

// clear empties a message: its queue id is used afresh.
func (j *Join) clear(m *message) {
	for i := m.rcpts; i != 0; {
		w := j.waiter(i)
		delete(j.rcpts, w.key)
		j.texts.drop(w.last)
		next := w.next
		w.next, j.wfree = j.wfree, i
		j.wlive--
		i = next
	}
	j.texts.drop(m.sender)
	j.texts.drop(m.id)
	j.texts.drop(m.client)
	m.rcpts, m.sender, m.id, m.client, m.marks = 0, 0, 0, 0, 0
}

// keep stores a text, in the place of an old one. Where there is no room the
// oldest messages go.
func (j *Join) keep(old text, a, b, c string) text {
	j.texts.drop(old)
	for range 64 {
		if id := j.texts.put(a, b, c); id != 0 || a == "" && b == "" && c == "" {
			return id
		}
		// Never the message itself: it was touched just now and is the newest.
		if j.live < 2 {
			break
		}
		j.evict()
	}
	return 0
}

// begin is told of the first line of a message: client=, uid=, <=.
func (j *Join) begin(key uint64, now int64) *message {
	m := j.open(key, now)
	// A line of cleanup may come before that of smtpd by milliseconds.
	if m.marks&(over|clientd|tried) != 0 || now-m.born > ordered || m.born-now > ordered {
		j.clear(m)
		m.born = now
	}
	m.marks |= begun
	return m
}

// client is told who gave a message to us.
func (j *Join) client(key uint64, now int64, host, ip, user string) {
	m := j.begin(key, now)
	m.marks |= clientd
	m.client = j.keep(m.client, host, ip, user)
}

// messageID is told the Message-ID.
func (j *Join) messageID(key uint64, now int64, id string) {
	m := j.open(key, now)
	if m.id != 0 && j.texts.get(m.id) != id[:min(len(id), maxText)] || m.marks&over != 0 ||
		m.id == 0 && m.marks&tried != 0 && now-m.born > ordered {
		j.clear(m)
		m.born = now
	}
	m.marks |= begun
	if m.id == 0 {
		m.id = j.keep(0, id, "", "")
	}
}

// sender is told the envelope sender, again with each attempt.
func (j *Join) sender(key uint64, now int64, sender string) {
	m := j.find(key, now)
	switch {
	case m == nil:
		m = j.open(key, now)
	case m.marks&over != 0 && now-m.born > ordered,
		m.marks&named != 0 && j.texts.get(m.sender) != sender[:min(len(sender), maxText)]:
		j.clear(m)
		m.born = now
	case m.marks&named != 0:
		return
	}
	m.marks |= named
	m.sender = j.keep(0, sender, "", "")
}

// removed is told that a message has left the queue. It is kept for a moment:
// the line may have come before that of the delivery.
func (j *Join) removed(key uint64, now int64) {
	m := j.find(key, now)
	if m == nil || m.marks&over != 0 {
		return
	}
	m.marks |= over
	m.born = now
	if old := j.gone[j.next]; old != 0 {
		if i, ok := j.index[old]; ok && j.at(i).marks&over != 0 {
			j.drop(j.at(i), i)
		}
	}
	j.gone[j.next] = key
	j.next++
}

// attempt is told of an attempt that was made (made) or put off without one, and
// counts. deferral is what has to be kept of it until the recipient's fate is
// known; "" where it is known now. It gives the number of the attempt, 0 if the
// beginning of the message was not seen.
func (j *Join) attempt(m *message, recipient, service, deferral string, made bool) int {
	m.marks |= tried
	var w *waiter
	var key uint64
	if m.rcpts != 0 || deferral != "" {
		key = maphash.String(j.seed, recipient) ^ m.key*0x9e3779b97f4a7c15
		if i, ok := j.rcpts[key]; ok {
			w = j.waiter(i)
		}
	}
	if w == nil {
		if deferral == "" {
			return number1(m, made)
		}
		if w = j.await(m, key); w == nil {
			return 0
		}
	}
	if made {
		w.attempts = min(w.attempts, 1<<16-2) + 1
	}
	w.done = deferral == ""
	if w.done {
		j.texts.drop(w.last)
		w.last = 0
	} else if made || w.last == 0 {
		w.last = j.keep(w.last, service, deferral, "")
	}
	if m.marks&begun == 0 {
		return 0
	}
	return int(w.attempts)
}

func number1(m *message, made bool) int {
	if made && m.marks&begun != 0 {
		return 1
	}
	return 0
}

// await makes a waiter.
func (j *Join) await(m *message, key uint64) *waiter {
	for range 64 {
		if j.wlive < maxWaiters || j.live < 2 {
			break
		}
		j.evict()
	}
	if j.wlive >= maxWaiters {
		return nil
	}
	i := j.wfree
	if i != 0 {
		j.wfree = j.waiter(i).next
	} else {
		i = j.wused
		if int(i/slabSize) == len(j.waiters) {
			j.waiters = append(j.waiters, make([]waiter, slabSize))
		}
		j.wused++
	}
	j.wlive++
	w := j.waiter(i)
	*w = waiter{key: key, next: m.rcpts}
	m.rcpts = i
	j.rcpts[key] = i
	return w
}

// cutNUL takes "a NUL b NUL c" apart.
func cutNUL(s string) (a, b, c string) {
	a, s, _ = strings.Cut(s, "\x00")
	b, c, _ = strings.Cut(s, "\x00")
	return a, b, c
}
