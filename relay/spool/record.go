package spool

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"time"
)

// A segment is a header and records, each aligned to 8 bytes. A record is a header of 32 bytes and its payload:
//
//	 0 checksum of bytes 4 to 32, begun with the segment's salt
//	 4 checksum of the payload
//	 8 length of the payload
//	12 kind, flags, number of the part
//	16 id: of the message, or the number of the event
//	24 how far this segment was durable when this was written, in units of 8 bytes
//	28 number of the segment
//
// The salt is random and in no mail: a body that looks like records is not taken for them where a search for the
// next record has to pass over it. The durable offset tells a torn end, which nobody was promised, from damage.

type kind uint8

const (
	kindNone    kind = iota
	kindChunk        // bytes of a body
	kindMessage      // what a message is, and where its chunks are
	kindPart         // a part as it stands
	kindBegin        // a try of a part: number, next time
	kindEnd          // a part is done
	kindEvent        // an event of the outbox
	kindFloor        // events up to here are forgotten or dropped
	kindKey          // a key of idempotence
	kindSeal         // nothing follows in this segment
	kinds
)

const (
	headerSize  = 32
	segHeader   = 64
	unit        = 8
	flagMore    = 1 // the next record belongs to the same commit
	version     = 1
	segMagic    = "PRSPOOL\n"
	maxChunk    = 256 << 10
	defaultSize = 64 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// place is where a record is: its segment and offset in units of 8 bytes. Segment 0 is nowhere.
type place struct{ seg, off uint32 }

// record is one entry of a commit, or one that was read.
type record struct {
	kind    kind
	more    bool
	part    uint16
	id      uint64
	durable uint32
	length  uint32
	pcrc    uint32
	payload []byte
}

// space is what a payload of n bytes takes in a segment.
func space(n int) int64 { return int64(headerSize+n+unit-1) &^ (unit - 1) }

func (r *record) sum() {
	r.length, r.pcrc = uint32(len(r.payload)), crc32.Checksum(r.payload, castagnoli)
}

func headerSum(b []byte, salt uint32) uint32 { return crc32.Update(salt, castagnoli, b[4:headerSize]) }

// append writes the record with its padding. sum was called before.
func (r *record) append(b []byte, seg, durable, salt uint32) []byte {
	var h [headerSize]byte
	binary.LittleEndian.PutUint32(h[4:], r.pcrc)
	binary.LittleEndian.PutUint32(h[8:], r.length)
	h[12] = byte(r.kind)
	if r.more {
		h[13] = flagMore
	}
	binary.LittleEndian.PutUint16(h[14:], r.part)
	binary.LittleEndian.PutUint64(h[16:], r.id)
	binary.LittleEndian.PutUint32(h[24:], durable)
	binary.LittleEndian.PutUint32(h[28:], seg)
	binary.LittleEndian.PutUint32(h[0:], headerSum(h[:], salt))
	b = append(b, h[:]...)
	b = append(b, r.payload...)
	var pad [unit]byte
	return append(b, pad[:space(len(r.payload))-int64(headerSize+len(r.payload))]...)
}

// decodeHeader reads a record's header. ok is false for what no record of this segment begins with.
func decodeHeader(b []byte, seg, salt uint32) (r record, ok bool) {
	if len(b) < headerSize || binary.LittleEndian.Uint32(b) != headerSum(b, salt) ||
		binary.LittleEndian.Uint32(b[28:]) != seg {
		return record{}, false
	}
	r = record{
		kind: kind(b[12]), more: b[13]&flagMore != 0, part: binary.LittleEndian.Uint16(b[14:]),
		id: binary.LittleEndian.Uint64(b[16:]), durable: binary.LittleEndian.Uint32(b[24:]),
		length: binary.LittleEndian.Uint32(b[8:]), pcrc: binary.LittleEndian.Uint32(b[4:]),
	}
	return r, r.kind > kindNone && r.kind < kinds && r.length <= maxRecord
}

// segmentHeader is the start of a segment's file.
type segmentHeader struct {
	number, salt uint32
	spool        uint64 // the same in all segments of a spool
	event        uint64 // the newest event when it was begun
}

func (h segmentHeader) encode() []byte {
	b := make([]byte, segHeader)
	copy(b, segMagic)
	binary.LittleEndian.PutUint32(b[8:], version)
	binary.LittleEndian.PutUint32(b[12:], h.number)
	binary.LittleEndian.PutUint32(b[16:], h.salt)
	binary.LittleEndian.PutUint64(b[24:], h.spool)
	binary.LittleEndian.PutUint64(b[32:], h.event)
	binary.LittleEndian.PutUint32(b[60:], crc32.Checksum(b[:60], castagnoli))
	return b
}

func decodeSegmentHeader(b []byte) (h segmentHeader, err error) {
	if len(b) < segHeader || string(b[:8]) != segMagic ||
		binary.LittleEndian.Uint32(b[60:]) != crc32.Checksum(b[:60], castagnoli) {
		return h, fmt.Errorf("read segment header: %w", ErrDamaged)
	}
	if binary.LittleEndian.Uint32(b[8:]) > version {
		return h, ErrVersion
	}
	return segmentHeader{number: binary.LittleEndian.Uint32(b[12:]), salt: binary.LittleEndian.Uint32(b[16:]),
		spool: binary.LittleEndian.Uint64(b[24:]), event: binary.LittleEndian.Uint64(b[32:])}, nil
}

// chunk is a piece of a body. In a message's record segment 0 means "off units before this record".
type chunk struct {
	at  place
	len uint32
}

// messageRecord is the payload of kindMessage.
type messageRecord struct {
	created int64
	from    string
	meta    []byte
	size    int64
	chunks  []chunk
}

func (m *messageRecord) encode() []byte {
	b := make([]byte, 0, 64+len(m.from)+len(m.meta)+12*len(m.chunks))
	b = binary.AppendVarint(b, m.created)
	b = appendString(b, m.from)
	b = appendString(b, m.meta)
	b = binary.AppendUvarint(b, uint64(m.size))
	b = binary.AppendUvarint(b, uint64(len(m.chunks)))
	for _, c := range m.chunks {
		b = binary.AppendUvarint(b, uint64(c.at.seg))
		b = binary.AppendUvarint(b, uint64(c.at.off))
		b = binary.AppendUvarint(b, uint64(c.len))
	}
	return b
}

func decodeMessage(b []byte) (m messageRecord, err error) {
	d := decoder{b: b}
	m.created, m.from, m.meta, m.size = d.int(), d.string(), []byte(d.string()), int64(d.uint())
	n := d.count(3)
	m.chunks = make([]chunk, 0, n)
	var sum int64
	for range n {
		c := chunk{at: place{d.uint32(), d.uint32()}, len: d.uint32()}
		if c.len > maxChunk {
			d.bad = true
		}
		sum += int64(c.len)
		m.chunks = append(m.chunks, c)
	}
	if sum != m.size {
		d.bad = true
	}
	return m, d.end("message")
}

// partRecord is the payload of kindPart: all of a part, so that the newest record alone says how it stands.
type partRecord struct {
	no    uint16 // not in the payload: the record names it
	lane  string
	tries int
	next  int64
	duty  bool
	note  []byte
	to    []Recipient
}

func (p *partRecord) encode() []byte {
	b := make([]byte, 0, 64+len(p.note)+48*len(p.to))
	b = appendString(b, p.lane)
	b = binary.AppendUvarint(b, uint64(p.tries))
	b = binary.AppendVarint(b, p.next)
	var duty uint64
	if p.duty {
		duty = 1
	}
	b = binary.AppendUvarint(b, duty)
	b = appendString(b, p.note)
	var reasons []string // most recipients of a part share theirs
	index := map[string]int{}
	for _, r := range p.to {
		if _, ok := index[r.Reason]; !ok {
			index[r.Reason] = len(reasons)
			reasons = append(reasons, r.Reason)
		}
	}
	b = binary.AppendUvarint(b, uint64(len(reasons)))
	for _, r := range reasons {
		b = appendString(b, r)
	}
	b = binary.AppendUvarint(b, uint64(len(p.to)))
	for _, r := range p.to {
		b = appendString(b, r.Address)
		b = appendString(b, r.Params)
		b = append(b, byte(r.Status))
		b = binary.AppendVarint(b, nanos(r.Next))
		b = binary.AppendUvarint(b, uint64(index[r.Reason]))
	}
	return b
}

func decodePart(b []byte) (p partRecord, err error) {
	d := decoder{b: b}
	p.lane, p.tries, p.next, p.duty, p.note = d.string(), int(d.uint32()), d.int(), d.uint() == 1, []byte(d.string())
	reasons := make([]string, d.count(1))
	for i := range reasons {
		reasons[i] = d.string()
	}
	p.to = make([]Recipient, d.count(5))
	for i := range p.to {
		r := Recipient{Address: d.string(), Params: d.string(), Status: Status(d.byte()), Next: moment(d.int())}
		why := d.uint()
		if r.Status >= statuses || why >= uint64(len(reasons)) {
			d.bad = true
			break
		}
		r.Reason = reasons[why]
		p.to[i] = r
	}
	return p, d.end("part")
}

// nanos and moment keep the zero time as 0.
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func moment(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}

func appendString[T string | []byte](b []byte, s T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// decoder reads a payload; bad stays set, and end says so.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) uint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.b, d.bad = nil, true
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) uint32() uint32 {
	v := d.uint()
	if v > 1<<32-1 {
		d.bad = true
	}
	return uint32(v)
}

func (d *decoder) int() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.b, d.bad = nil, true
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) byte() byte {
	if len(d.b) == 0 {
		d.bad = true
		return 0
	}
	v := d.b[0]
	d.b = d.b[1:]
	return v
}

func (d *decoder) string() string {
	n := d.uint()
	if n > uint64(len(d.b)) {
		d.b, d.bad = nil, true
		return ""
	}
	s := string(d.b[:n])
	d.b = d.b[n:]
	return s
}

// count reads how many entries follow, each of at least size bytes: what cannot be there is not allocated.
func (d *decoder) count(size int) int {
	n := d.uint()
	if n > uint64(len(d.b)/size) {
		d.b, d.bad = nil, true
		return 0
	}
	return int(n)
}

func (d *decoder) end(what string) error {
	if d.bad || len(d.b) > 0 {
		return fmt.Errorf("read record of a %s: %w", what, ErrDamaged)
	}
	return nil
}

// fits verifies the payload and keeps it.
func (r *record) fits(payload []byte) bool {
	r.payload = payload
	return crc32.Checksum(payload, castagnoli) == r.pcrc
}
