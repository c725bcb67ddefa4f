package analyze

import (
	"encoding/binary"
	"math/bits"
	"time"

	"github.com/postroad/postroad/event"
	"github.com/postroad/postroad/mail"
	"github.com/postroad/postroad/watch/detect"
)

// fact is one attempt, as much of it as has to be kept for every one of
// millions: hashes in place of names, table ids, no pointers.
type fact struct {
	at        int64  // nanoseconds since 1970, UTC
	message   uint64 // the message: its Message-ID, else queue id and host
	queue     uint64 // its queue id, 0 where none is known
	recipient uint64
	evidence  uint64 // the piece of evidence: host and raw text
	delay     uint32 // milliseconds since the message was received
	provider  uint32 // ids of the tables of a [Pile]
	address   uint32
	source    uint32
	sender    uint32
	domain    uint32
	class     uint8 // index into mail.Classes plus 1, 0 for none
	outcome   uint8
	stage     uint8
	actor     uint8
	grade     uint8
	format    uint8 // id of the table of formats
	flags     uint8
	marks     uint8
}

// The flags of a fact.
const (
	final     = 1 << iota
	suspended // deferred without an attempt of its own
	session   // one host on the way; no message
	weak      // the time is that of the message, not of the attempt
	hosted    // the evidence names the remote host
	expired   // given up after temporary refusals
	queued    // a row of a queue listing
	silent    // the text is our own side's
)

// The marks of a fact: how well it says of which message it tells.
const (
	named    = 1 << iota // by its Message-ID
	unlinked             // by an id that only the system knows which wrote the evidence
)

// pair is the identity of one message to one recipient: all retries share it.
func (f *fact) pair() uint64 { return mix(f.message, f.recipient) }

func (f *fact) is(flag uint8) bool { return f.flags&flag != 0 }

func (f *fact) has(mark uint8) bool { return f.marks&mark != 0 }

// The outcomes, as a fact holds them.
const (
	delivered = iota + 1
	temporary
	permanent
)

func outcomeCode(o mail.Outcome) uint8 {
	switch o {
	case mail.Delivered:
		return delivered
	case mail.Temporary:
		return temporary
	}
	return permanent
}

// codes turn the words of the vocabulary into single bytes and back.
type codes struct {
	classes map[mail.Class]uint8
	stages  map[mail.Stage]uint8
	actors  map[mail.Actor]uint8
}

func newCodes() codes {
	c := codes{map[mail.Class]uint8{}, map[mail.Stage]uint8{}, map[mail.Actor]uint8{}}
	for i, v := range mail.Classes {
		c.classes[v] = uint8(i + 1)
	}
	for i, v := range mail.Stages {
		c.stages[v] = uint8(i + 1)
	}
	for i, v := range mail.Actors {
		c.actors[v] = uint8(i + 1)
	}
	return c
}

func classOf(code uint8) mail.Class {
	if code == 0 || int(code) > len(mail.Classes) {
		return ""
	}
	return mail.Classes[code-1]
}

func stageOf(code uint8) mail.Stage {
	if code == 0 || int(code) > len(mail.Stages) {
		return mail.StageUnknown
	}
	return mail.Stages[code-1]
}

func actorOf(code uint8) mail.Actor {
	if code == 0 || int(code) > len(mail.Actors) {
		return ""
	}
	return mail.Actors[code-1]
}

// observe fills o with what the detector sees of the fact.
func (f *fact) observe(o *detect.Observation) {
	*o = detect.Observation{
		Time:            f.at,
		Message:         f.pair(),
		Mail:            f.message,
		Recipient:       f.recipient,
		Provider:        f.provider,
		Address:         f.address,
		Source:          f.source,
		SenderDomain:    f.sender,
		RecipientDomain: f.domain,
		Class:           classOf(f.class),
		Stage:           stageOf(f.stage),
		Delay:           int64(f.delay) * 1e6,
		Actor:           actorOf(f.actor),
		Final:           f.is(final) || f.is(queued) && f.delay > uint32(stale/time.Millisecond), // its retries failed too
		Suspended:       f.is(suspended),
		Session:         f.is(session),
		Summary:         f.is(weak),
	}
	switch f.outcome {
	case delivered:
		o.Outcome = mail.Delivered
	case temporary:
		o.Outcome = mail.Temporary
	default:
		o.Outcome = mail.Permanent
	}
	if f.is(session) {
		o.Message, o.Recipient = 0, 0
	}
}

// before is the order of facts: by time; within one instant, which for
// traditional stamps is a second, by what says the same on every reading.
func before(a, b *fact) int {
	switch {
	case a.at != b.at:
		return order(a.at, b.at)
	case a.is(final) != b.is(final): // an attempt that failed, then the one that ended it
		if b.is(final) {
			return -1
		}
		return 1
	case a.message != b.message:
		return order(a.message, b.message)
	case a.recipient != b.recipient:
		return order(a.recipient, b.recipient)
	case a.grade != b.grade: // the nearest evidence first
		return order(b.grade, a.grade)
	case a.format != b.format:
		return order(a.format, b.format)
	}
	return order(a.evidence, b.evidence)
}

func order[T int64 | uint64 | uint8](a, b T) int {
	if a < b {
		return -1
	}
	if a > b {
		return 1
	}
	return 0
}

// factSize is the size of a fact in a temporary file, in bytes.
const factSize = 5*8 + 6*4 + 8

func (f *fact) put(b *[factSize]byte) {
	le := binary.LittleEndian
	le.PutUint64(b[0:], uint64(f.at))
	le.PutUint64(b[8:], f.message)
	le.PutUint64(b[16:], f.queue)
	le.PutUint64(b[24:], f.recipient)
	le.PutUint64(b[32:], f.evidence)
	le.PutUint32(b[40:], f.delay)
	le.PutUint32(b[44:], f.provider)
	le.PutUint32(b[48:], f.address)
	le.PutUint32(b[52:], f.source)
	le.PutUint32(b[56:], f.sender)
	le.PutUint32(b[60:], f.domain)
	b[64], b[65], b[66], b[67] = f.class, f.outcome, f.stage, f.actor
	b[68], b[69], b[70], b[71] = f.grade, f.format, f.flags, f.marks
}

func (f *fact) get(b *[factSize]byte) {
	le := binary.LittleEndian
	*f = fact{
		at: int64(le.Uint64(b[0:])), message: le.Uint64(b[8:]), queue: le.Uint64(b[16:]),
		recipient: le.Uint64(b[24:]), evidence: le.Uint64(b[32:]), delay: le.Uint32(b[40:]),
		provider: le.Uint32(b[44:]), address: le.Uint32(b[48:]), source: le.Uint32(b[52:]),
		sender: le.Uint32(b[56:]), domain: le.Uint32(b[60:]),
		class: b[64], outcome: b[65], stage: b[66], actor: b[67],
		grade: b[68], format: b[69], flags: b[70], marks: b[71],
	}
}

// gradeOf gives the grade of an origin; a reader that does not say read a log.
func gradeOf(o event.Origin) uint8 {
	if o.Grade == 0 {
		return uint8(event.GradeLog)
	}
	return uint8(o.Grade)
}

// The multipliers are large odd constants without structure (the fractional
// parts of the golden ratio and of the square root of 2).
const (
	mulA = 0x9E3779B97F4A7C15
	mulB = 0x6A09E667F3BCC909
)

// mix folds two words into one; a 128-bit product mixes every bit of both.
func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a^mulA, b^mulB)
	return hi ^ lo
}

// hash gives 64 bits for a text. It is the same on every run, because facts are
// put in order by it, and it is not meant to stand against forgery: two texts
// that were made to collide would only be counted as one.
func hash[T string | []byte](seed uint64, s T) uint64 {
	h := mix(seed, uint64(len(s)))
	for len(s) >= 8 {
		w := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
			uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
		h = mix(h^w, mulA)
		s = s[8:]
	}
	var w uint64
	for i := 0; i < len(s); i++ {
		w |= uint64(s[i]) << (8 * i)
	}
	return mix(h^w, mulB+1)
}

// fold hashes a text without regard to the case of ASCII letters.
func fold(seed uint64, s string) uint64 {
	h := mix(seed, uint64(len(s)))
	var w uint64
	for i := 0; i < len(s); i++ {
		c := s[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		w |= uint64(c) << (8 * (i & 7))
		if i&7 == 7 {
			h = mix(h^w, mulA)
			w = 0
		}
	}
	return mix(h^w, mulB+1)
}
