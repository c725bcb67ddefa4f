package dkim

import (
	"crypto/sha256"
	"sync"
)

// desk is the room that one message needs while it is worked on. It is used again
// for the next one: making it anew and clearing it away is dear beside the 50 µs that
// checking a signature takes. Nothing on it is given out.
type desk struct {
	fields []field
	taken  []bool
	hashes []uint32 // of the names of h=
	names  []string // of h=
	text   []byte   // the header in canonical form
	body   *body
}

// desks are those that nobody works at.
type desks struct{ pool sync.Pool }

func (d *desks) take() *desk {
	if free, ok := d.pool.Get().(*desk); ok {
		return free
	}
	return &desk{
		fields: make([]field, 0, 32), names: make([]string, 0, 32), text: make([]byte, 0, 2048),
		body: newBody(Relaxed, sha256.New(), -1),
	}
}

// leave tidies up. What a huge message has grown is not kept.
func (d *desks) leave(free *desk) {
	if cap(free.fields) > 512 || cap(free.text) > 64<<10 || cap(free.names) > 512 {
		return
	}
	clear(free.fields[:cap(free.fields)]) // they hold on to the message
	free.fields, free.text, free.names = free.fields[:0], free.text[:0], free.names[:0]
	d.pool.Put(free)
}
