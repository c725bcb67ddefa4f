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
	text   string   // lower case
	at     uint8    // where in it the three bytes are under which it is filed
	next   uint16   // the next one with the same hash, + 1
	owners []uint16 // whose literal it is
}

const (
	filterBits = 15
	filterSize = 1 << filterBits
	headBits   = 12
)

func hash3(g uint32) uint32 { return g * 0x9e3779b1 >> (32 - filterBits) }

func gram3(s string, i int) uint32 {
	return uint32(s[i])<<16 | uint32(s[i+1])<<8 | uint32(s[i+2])
}

// fileLiterals makes an index; owners[i] is whose literals[i] is. Each literal is
// filed under the one of its grams that fewest others have.
func fileLiterals(literals []string, owners []uint16) *index {
	x := &index{}
	known := make(map[string]int, len(literals))
	var often [filterSize]uint16
	for n, l := range literals {
		if len(l) < gram {
			continue
		}
		if i, ok := known[l]; ok {
			x.lits[i].owners = append(x.lits[i].owners, owners[n])
			continue
		}
		known[l] = len(x.lits)
		x.lits = append(x.lits, indexed{text: l, owners: owners[n : n+1 : n+1]})
		for i := 0; i+gram <= len(l); i++ {
			often[hash3(gram3(l, i))]++
		}
	}
	for n := range x.lits {
		l := &x.lits[n]
		fewest := ^uint16(0)
		for i := 0; i+gram <= len(l.text) && i < 256; i++ {
			if c := often[hash3(gram3(l.text, i))]; c < fewest {
				l.at, fewest = uint8(i), c
			}
		}
	}
	x.hash()
	return x
}

// hash fills the tables of the index.
func (x *index) hash() {
	x.heads = make([]uint16, 1<<headBits)
	for n := range x.lits {
		l := &x.lits[n]
		h := hash3(gram3(l.text, int(l.at)))
		x.filter[h/64] |= 1 << (h % 64)
		slot := h & (1<<headBits - 1)
		l.next = x.heads[slot]
		x.heads[slot] = uint16(n + 1)
	}
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

// scan sets the owners' bits of every literal that occurs in s, in any case.
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
			if from := i - 2 - int(l.at); from >= 0 && len(s)-from >= len(l.text) && equalLower(s[from:from+len(l.text)], l.text) {
				for _, o := range l.owners {
					found[o/64] |= 1 << (o % 64)
				}
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
