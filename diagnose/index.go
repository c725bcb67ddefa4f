package diagnose

// index finds which of many literals are in a text, in one pass: it looks every
// four bytes up in a table and compares where the table knows them. The few
// literals of three bytes have a table of their own.
type index struct {
	four, three grams
	lits        []indexed
}

// indexed is one literal of an index.
type indexed struct {
	text   string   // folded
	at     uint8    // where in it the bytes are under which it is filed
	owners []uint16 // whose literal it is
}

// grams is a hash table from some bytes to literals.
type grams struct {
	filter [filterSize / 64]uint64 // a bit for each hash that occurs
	heads  []uint16                // by the hash's low bits: number of the first literal + 1
	chain  []link                  // by literal
}

type link struct {
	gram uint32
	next uint16 // the next literal with the same low bits, + 1
}

const (
	filterBits = 16
	filterSize = 1 << filterBits
	headBits   = 12
)

func hashGram(g uint32) uint32 { return g * 0x9e3779b1 >> (32 - filterBits) }

// gramAt gives the bytes of a literal at i, as a number: four, or three where it
// has no more.
func gramAt(s string, i int) uint32 {
	g := uint32(s[i])<<16 | uint32(s[i+1])<<8 | uint32(s[i+2])
	if len(s) > gram {
		g = g<<8 | uint32(s[i+3])
	}
	return g
}

// gramLen is how many bytes of a literal are looked up.
func gramLen(s string) int { return min(len(s), gram+1) }

// fileLiterals makes an index; owners[i] is whose literals[i] is. Each literal is
// filed under the one of its grams that fewest others have.
func fileLiterals(literals []string, owners []uint16) *index {
	x := &index{}
	known := make(map[string]int, len(literals))
	often := make(map[uint32]int, 4*len(literals))
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
		for i := 0; i+gramLen(l) <= len(l); i++ {
			often[gramAt(l, i)]++
		}
	}
	for n := range x.lits {
		l := &x.lits[n]
		fewest := len(literals) + 1
		for i := 0; i+gramLen(l.text) <= len(l.text) && i < 256; i++ {
			if c := often[gramAt(l.text, i)]; c < fewest {
				l.at, fewest = uint8(i), c
			}
		}
	}
	x.hash()
	return x
}

// hash fills the tables of the index.
func (x *index) hash() {
	for _, t := range [...]*grams{&x.four, &x.three} {
		t.heads, t.chain = make([]uint16, 1<<headBits), make([]link, len(x.lits))
	}
	for n := range x.lits {
		l := &x.lits[n]
		t := &x.four
		if len(l.text) == gram {
			t = &x.three
		}
		g := gramAt(l.text, int(l.at))
		h := hashGram(g)
		t.filter[h/64] |= 1 << (h % 64)
		head := &t.heads[h&(1<<headBits-1)]
		t.chain[n] = link{g, *head}
		*head = uint16(n + 1)
	}
}

// scan sets the owners' bits of every literal that occurs in the folded text.
func (x *index) scan(s string, found []uint64) {
	if len(s) < gram {
		return
	}
	g := uint32(s[0])<<8 | uint32(s[1])
	for i := 2; i < len(s); i++ {
		g = g<<8 | uint32(s[i])
		if h := hashGram(g); x.four.filter[h/64]>>(h%64)&1 != 0 && i > 2 {
			x.look(&x.four, s, i-3, g, h, found)
		}
		t := g & 0xffffff
		if h := hashGram(t); x.three.filter[h/64]>>(h%64)&1 != 0 {
			x.look(&x.three, s, i-2, t, h, found)
		}
	}
}

// look compares the literals that are filed under the gram at i.
func (x *index) look(t *grams, s string, i int, g, h uint32, found []uint64) {
	for n := t.heads[h&(1<<headBits-1)]; n != 0; n = t.chain[n-1].next {
		if t.chain[n-1].gram != g {
			continue
		}
		l := &x.lits[n-1]
		if from := i - int(l.at); from >= 0 && len(s)-from >= len(l.text) && s[from:from+len(l.text)] == l.text {
			for _, o := range l.owners {
				found[o/64] |= 1 << (o % 64)
			}
		}
	}
}
