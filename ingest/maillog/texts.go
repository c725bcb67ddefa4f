package maillog

import (
	"encoding/binary"
	"math/bits"
)

// texts keeps many short texts in few large pieces of memory: the collector has
// nothing to look at, and what is dropped is used again. A text lies in a slot of
// 32, 64, ... 1024 bytes, of which the first two tell its length; longer texts
// are cut.
type texts struct {
	chunks [][]byte // each has slots of one size
	free   [slotSizes]uint32
	limit  int // of chunks
}

const (
	slotUnit  = 32
	slotSizes = 6
	chunkSize = 64 << 10
	maxText   = slotUnit<<(slotSizes-1) - 2
)

// text names a text in [texts]; 0 is none.
type text uint32

func slotSize(n int) int { return max(bits.Len(uint(n+1))-5, 0) }

func (t *texts) slot(id uint32) []byte {
	const perChunk = chunkSize / slotUnit
	return t.chunks[(id-1)/perChunk][(id-1)%perChunk*slotUnit:]
}

// get gives a text. It is good until the text is dropped.
func (t *texts) get(id text) string {
	if id == 0 {
		return ""
	}
	b := t.slot(uint32(id))
	n := binary.LittleEndian.Uint16(b) & lengthMask
	return view(b[2 : 2+int(n)])
}

// The upper bits of the length hold the size of the slot.
const lengthMask = 1<<11 - 1

// put keeps up to three texts, one behind the other, with a NUL between them.
// It gives 0 if there is nothing to keep, or no room.
func (t *texts) put(a, b, c string) text {
	n := len(a)
	if b != "" || c != "" {
		n += 2 + len(b) + len(c)
	}
	if n == 0 {
		return 0
	}
	n = min(n, maxText)
	size := slotSize(n)
	id := t.free[size]
	if id == 0 {
		if id = t.grow(size); id == 0 {
			return 0
		}
	}
	s := t.slot(id)
	t.free[size] = binary.LittleEndian.Uint32(s)
	binary.LittleEndian.PutUint16(s, uint16(n|size<<11))
	s = s[2 : 2+n]
	s = s[copy(s, a):]
	for _, more := range [...]string{b, c} {
		if len(s) == 0 {
			break
		}
		s[0] = 0
		s = s[1:]
		s = s[copy(s, more):]
	}
	return text(id)
}

// grow cuts a new chunk into slots.
func (t *texts) grow(size int) uint32 {
	if len(t.chunks) >= t.limit {
		return 0
	}
	b := make([]byte, chunkSize)
	first := uint32(len(t.chunks))*(chunkSize/slotUnit) + 1
	t.chunks = append(t.chunks, b)
	step := slotUnit << size
	for at := 0; at+step < chunkSize; at += step {
		binary.LittleEndian.PutUint32(b[at:], first+uint32((at+step)/slotUnit))
	}
	t.free[size] = first
	return first
}

// drop gives a text's slot back.
func (t *texts) drop(id text) {
	if id == 0 {
		return
	}
	s := t.slot(uint32(id))
	size := binary.LittleEndian.Uint16(s) >> 11
	binary.LittleEndian.PutUint32(s, t.free[size])
	t.free[size] = uint32(id)
}
