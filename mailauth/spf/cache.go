package spf

import "sync"

// recordCache keeps records that were read, by their text. It has two
// generations: when the young one is full it becomes the old one, and what is
// asked for in the old one moves over. So it is bounded, and what is in use stays.
type recordCache struct {
	limit int // octets of text in both generations; below 0 nothing is kept

	mu         sync.RWMutex
	young, old map[string]*Record
	octets     int // of the young
}

// maxKept is the longest record that is kept; few are longer than 450 octets.
const maxKept = 4096

// overhead is what a term takes besides its text, roughly, in octets.
const overhead = 200

// get gives the record, read.
func (c *recordCache) get(text string) *Record {
	if c.limit < 0 || len(text) > maxKept {
		return read(text)
	}
	c.mu.RLock()
	r, young := c.young[text]
	if !young {
		r = c.old[text]
	}
	c.mu.RUnlock()
	if young {
		return r
	}
	if r == nil {
		r = read(text)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	size := len(text) + overhead*(len(r.Terms)+1)
	if c.octets += size; c.octets > c.limit/2 || c.young == nil {
		c.old, c.young, c.octets = c.young, make(map[string]*Record), size
	}
	c.young[text] = r
	return r
}

// read parses a text that was selected as a record, so that there always is one.
func read(text string) *Record {
	r, _ := Parse(text) // the record has the error
	return r
}
