package analyze

import "strings"

// tableSize is how many names a table holds; what comes beyond it is one name,
// "other". A million made-up domains must not take the memory of the real ones.
const tableSize = 100_000

// register is a table of names. Id 0 is "not known", id 1 "all others".
type register struct {
	ids  map[string]uint32
	list []string
}

const others = 1

func newRegister() *register {
	return &register{ids: make(map[string]uint32), list: []string{"", ""}}
}

// id gives the id of a name, which may be a piece of a buffer that is used
// again.
func (n *register) id(name string) uint32 {
	if name == "" {
		return 0
	}
	if id, ok := n.ids[name]; ok {
		return id
	}
	if len(n.list) >= tableSize {
		return others
	}
	name = strings.Clone(name)
	id := uint32(len(n.list))
	n.list = append(n.list, name)
	n.ids[name] = id
	return id
}

func (n *register) name(id uint32) string { return n.list[id] }

// hosts is a table of addresses with the name that each was last known by.
type hosts struct {
	register
	host []string
}

func newHosts() *hosts {
	return &hosts{register: *newRegister(), host: []string{"", ""}}
}

// at gives the id of an address; where only a name is known, of the name.
func (h *hosts) at(host, ip string) uint32 {
	key := ip
	if key == "" {
		key = host
	}
	id := h.id(key)
	if int(id) == len(h.host) {
		h.host = append(h.host, strings.Clone(host))
	} else if host != "" && id > others && h.host[id] == "" {
		h.host[id] = strings.Clone(host)
	}
	return id
}

// both gives address and host name of an id; the address is "" where only a
// name is known.
func (h *hosts) both(id uint32) (ip, host string) {
	ip, host = h.list[id], h.host[id]
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
