package detect

// distinct remembers which of a set of identities have which marks. Beyond its
// limit it keeps every second identity by its bits, then every fourth, and so
// on (Wegman's adaptive sampling): counts are exact up to the limit and
// estimates, to some per mille, beyond.
type distinct struct {
	marks map[uint64]uint8
	limit int
	level uint // identities whose lowest level bits are zero are kept
}

func newDistinct(limit int) distinct { return distinct{marks: map[uint64]uint8{}, limit: limit} }

// mark sets bits for an identity.
func (d *distinct) mark(id uint64, bits uint8) {
	h := mix(id)
	if h&(1<<d.level-1) != 0 {
		return
	}
	had, known := d.marks[h]
	if known && had|bits == had {
		return
	}
	d.marks[h] = had | bits
	for len(d.marks) > d.limit {
		d.level++
		for k := range d.marks {
			if k&(1<<d.level-1) != 0 {
				delete(d.marks, k)
			}
		}
	}
}

// count is how many identities have all the bits.
func (d *distinct) count(bits uint8) int64 {
	n := int64(0)
	for _, m := range d.marks {
		if m&bits == bits {
			n++
		}
	}
	return n << d.level
}

func (d *distinct) estimated() bool { return d.level > 0 }
