package analyze

import "strings"

const (
	// tableSize is how many names a table holds; what comes beyond it is one name,
	// "other". A million made-up domains must not take the memory of the real ones.
	tableSize = 100_000
	// tableText is how many bytes of names a table holds.
	tableText = 4 << 20
)

// register is a table of names. Id 0 is "not known", id 1 "all others". It has no
// pointers but its own few, so that the collector has nothing to look at.
type register struct {
	text  []byte   // all names, one behind the other
	ends  []uint32 // of the names in text, by id
	slots []uint64 // half of a name's hash, and its id; 0 is free
	last  uint32   // the id that was asked for last
}

const others = 1

func newRegister() *register {
	return &register{ends: make([]uint32, 2), slots: make([]uint64, 64)}
}

// id gives the id of a name, which may be a piece of a buffer that is used
// again.
func (n *register) id(name string) uint32 {
	if name == "" {
		return 0
	}
	if string(n.bytes(n.last)) == name { // the host that writes the log, our sender domain
		return n.last
	}
	h := hash(6, name)
	mask := uint64(len(n.slots) - 1)
	i := h & mask
	for ; n.slots[i] != 0; i = (i + 1) & mask {
		if s := n.slots[i]; s>>32 == h>>32 && string(n.bytes(uint32(s))) == name {
			n.last = uint32(s)
			return n.last
		}
	}
	if len(n.ends) >= tableSize || len(n.text)+len(name) > tableText {
		return others
	}
	id := uint32(len(n.ends))
	n.text = append(n.text, name...)
	n.ends = append(n.ends, uint32(len(n.text)))
	n.slots[i] = h>>32<<32 | uint64(id)
	if len(n.ends)*4 > len(n.slots)*3 {
		n.grow()
	}
	n.last = id
	return id
}

func (n *register) grow() {
	n.slots = make([]uint64, 2*len(n.slots))
	mask := uint64(len(n.slots) - 1)
	for id := uint32(others + 1); int(id) < len(n.ends); id++ {
		h := hash(6, n.bytes(id))
		i := h & mask
		for n.slots[i] != 0 {
			i = (i + 1) & mask
		}
		n.slots[i] = h>>32<<32 | uint64(id)
	}
}

func (n *register) bytes(id uint32) []byte {
	if id == 0 {
		return nil
	}
	return n.text[n.ends[id-1]:n.ends[id]]
}

// name gives a name, "" for the two ids that have none.
func (n *register) name(id uint32) string { return string(n.bytes(id)) }

// size is how many ids there are, the two without a name among them.
func (n *register) size() int { return len(n.ends) }

// hosts is a table of addresses with the name that each was first known by.
type hosts struct {
	register
	host  []uint32 // in names
	names *register
}

func newHosts(names *register) *hosts {
	return &hosts{register: *newRegister(), host: make([]uint32, 2), names: names}
}

// at gives the id of an address; where only a name is known, of the name.
func (h *hosts) at(host, ip string) uint32 {
	key := ip
	if key == "" {
		key = host
	}
	id := h.id(key)
	if int(id) == len(h.host) {
		h.host = append(h.host, h.names.id(host))
	} else if id > others && h.host[id] == 0 {
		h.host[id] = h.names.id(host)
	}
	return id
}

// both gives address and host name of an id; the address is "" where only a
// name is known.
func (h *hosts) both(id uint32) (ip, host string) {
	ip, host = h.name(id), h.names.name(h.host[id])
	if ip == host {
		return "", host
	}
	return ip, host
}

// lower gives s in lower case, itself where it is.
func lower(s string) string {
	for i := 0; i < len(s); i++ {
		if c := s[i]; 'A' <= c && c <= 'Z' || c >= 0x80 {
			return strings.ToLower(s)
		}
	}
	return s
}
