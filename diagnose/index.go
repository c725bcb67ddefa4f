package diagnose

// index finds which of many literals are in a text, in one pass: it looks every
// three bytes up in a table and compares where the table knows them.
type index struct {
	filter [filterSize / 64]uint64 // a bit for each hash that occurs
	heads  []uint16                // by the hash's low bits; number of the first literal + 1
	lits   []indexed
}

// indexed is one literal of an index.
type indexed struct {
	text  string // lower case
	at    uint8  // where in it the three bytes are under which it is filed
	next  uint16 // the next one with the same hash, + 1
	owner uint16 // whose literal it is
}

const (
	filterBits = 15
	filterSize = 1 << filterBits
	headBits   = 11
)

func hash3(g uint32) uint32 { return g * 0x9e3779b1 >> (32 - filterBits) }

func gram3(s string, i int) uint32 {
	return uint32(s[i])<<16 | uint32(s[i+1])<<8 | uint32(s[i+2])
}

// newIndex files the literals; owners[i] is whose literals[i] is. Each is filed
// under the one of its grams that fewest others have.
func newIndex(literals []string, owners []uint16) *index {
	x := &index{heads: make([]uint16, 1<<headBits), lits: make([]indexed, 0, len(literals))}
	var often [filterSize]uint16
	for _, l := range literals {
		for i := 0; i+gram <= len(l); i++ {
			often[hash3(gram3(l, i))]++
		}
	}
	for n, l := range literals {
		if len(l) < gram {
			continue
		}
		best, fewest := 0, ^uint16(0)
		for i := 0; i+gram <= len(l) && i < 256; i++ {
			if c := often[hash3(gram3(l, i))]; c < fewest {
				best, fewest = i, c
			}
		}
		h := hash3(gram3(l, best))
		x.filter[h/64] |= 1 << (h % 64)
		slot := h & (1<<headBits - 1)
		x.lits = append(x.lits, indexed{text: l, at: uint8(best), next: x.heads[slot], owner: owners[n]})
		x.heads[slot] = uint16(len(x.lits))
	}
	return x
}

// lowered maps ASCII letters to lower case and every other byte to itself.
var lowered = func() (t [256]byte) {
	for i := range t {
		t[i] = byte(i)
		if 'A' <= i && i <= 'Z' {
			t[i] += 'a' - 'A'
		}
	}
	return t
}()

// scan sets the owner's bit of every literal that occurs in s, in any case.
func (x *index) scan(s string, found []uint64) {
	if len(s) < gram {
		return
	}
	g := uint32(lowered[s[0]])<<8 | uint32(lowered[s[1]])
	for i := 2; i < len(s); i++ {
		g = (g<<8 | uint32(lowered[s[i]])) & 0xffffff
		h := hash3(g)
		if x.filter[h/64]>>(h%64)&1 == 0 {
			continue
		}
		for n := x.heads[h&(1<<headBits-1)]; n != 0; {
			l := &x.lits[n-1]
			n = l.next
			if found[l.owner/64]>>(l.owner%64)&1 != 0 {
				continue
			}
			if from := i - 2 - int(l.at); from >= 0 && len(s)-from >= len(l.text) && equalLower(s[from:from+len(l.text)], l.text) {
				found[l.owner/64] |= 1 << (l.owner % 64)
			}
		}
	}
}

func equalLower(s, low string) bool {
	for i := 0; i < len(low); i++ {
		if lowered[s[i]] != low[i] {
			return false
		}
	}
	return true
}
