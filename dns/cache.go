package dns

import (
	"time"
)

// key is what a cached answer answers.
type key struct {
	name string
	kind kind
}

// entry is one answer, with its records decoded ([]T as any), so that a hit has
// nothing to do but copy. It is not changed once others can see it, but for
// prev and next, which are the cache's.
type entry struct {
	key        key
	canonical  string
	status     Status
	security   Security
	records    any
	server     string
	err        *Error
	ttl        time.Duration
	expires    time.Time
	size       int
	prev, next *entry
}

// cache holds answers until they expire, and throws out what was not used for
// the longest time where they become too many or too large. The caller locks.
type cache struct {
	entries    map[key]*entry
	first      *entry // used last
	last       *entry
	bytes      int
	maxEntries int
	maxBytes   int
}

func newCache(entries, bytes int) *cache {
	return &cache{entries: map[key]*entry{}, maxEntries: entries, maxBytes: bytes}
}

// get gives an answer that still holds, or nil.
func (c *cache) get(k key, now time.Time) *entry {
	e := c.entries[k]
	if e == nil {
		return nil
	}
	if !now.Before(e.expires) {
		c.drop(e)
		return nil
	}
	if c.first != e {
		c.unlink(e)
		c.link(e)
	}
	return e
}

// put keeps an answer. One that would fill an eighth of the cache alone is not
// kept: it would push out what thousands of others need.
func (c *cache) put(e *entry) {
	if old := c.entries[e.key]; old != nil {
		c.drop(old)
	}
	if e.size > c.maxBytes/8 {
		return
	}
	c.entries[e.key] = e
	c.link(e)
	c.bytes += e.size
	for len(c.entries) > c.maxEntries || c.bytes > c.maxBytes {
		c.drop(c.last)
	}
}

// clear forgets everything.
func (c *cache) clear() {
	clear(c.entries)
	c.first, c.last, c.bytes = nil, nil, 0
}

func (c *cache) drop(e *entry) {
	c.unlink(e)
	delete(c.entries, e.key)
	c.bytes -= e.size
}

func (c *cache) link(e *entry) {
	e.prev, e.next = nil, c.first
	if c.first != nil {
		c.first.prev = e
	} else {
		c.last = e
	}
	c.first = e
}

func (c *cache) unlink(e *entry) {
	if e.prev != nil {
		e.prev.next = e.next
	} else {
		c.first = e.next
	}
	if e.next != nil {
		e.next.prev = e.prev
	} else {
		c.last = e.prev
	}
	e.prev, e.next = nil, nil
}
