package diagnose

import (
	"cmp"
	"slices"
	"sync"
)

// Unknown counts the texts that no rule knows, by template, so that the rules can
// learn them. It holds no address and a bounded number of templates: of those
// that are seen least, the oldest give way. It is kept in memory only, and safe
// for concurrent use.
type Unknown struct {
	mu     sync.Mutex
	max    int
	counts map[string]*UnknownText
	next   uint64 // number of the next template that is new
	lost   uint64
}

// UnknownText is one template and how often it was seen.
type UnknownText struct {
	Template string
	Count    uint64
	order    uint64
}

// NewUnknown makes a collector of at most max templates, 1000 if max is 0 or less.
func NewUnknown(max int) *Unknown {
	if max <= 0 {
		max = 1000
	}
	return &Unknown{max: max, counts: make(map[string]*UnknownText)}
}

// Add counts a reply text, as the evidence has it.
func (u *Unknown) Add(text string) {
	template := Template(text)
	if template == "" {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if t := u.counts[template]; t != nil {
		t.Count++
		return
	}
	if len(u.counts) >= u.max {
		u.forget()
	}
	u.counts[template] = &UnknownText{Template: template, Count: 1, order: u.next}
	u.next++
}

// forget makes room: of the templates that were seen least, the oldest goes.
func (u *Unknown) forget() {
	var least *UnknownText
	for _, t := range u.counts {
		if least == nil || t.Count < least.Count || t.Count == least.Count && t.order < least.order {
			least = t
		}
	}
	u.lost += least.Count
	delete(u.counts, least.Template)
}

// List gives the templates, most frequent first, and how many texts were counted
// under templates that gave way.
func (u *Unknown) List() (texts []UnknownText, lost uint64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, t := range u.counts {
		texts = append(texts, *t)
	}
	slices.SortFunc(texts, func(a, b UnknownText) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.order, b.order))
	})
	return texts, u.lost
}
