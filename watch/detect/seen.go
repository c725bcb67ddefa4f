package detect

// trace is what is remembered of a message that has failed.
type trace struct {
	first  int64  // when it failed first
	counts uint16 // lines it has counted for, a bit each
	waits  uint16 // lines it has failed for and has not counted in full
	tries  uint8  // failed retries that spoke in an open incident
}

// seen remembers failed messages in two generations: what neither failed nor
// was touched for a while is forgotten, so that memory is bounded and a retry
// still is told from a new message after days in a queue.
type seen struct {
	now, old map[uint64]trace
	limit    int
	turned   int64
}

// generation is how long a message may rest before it can be forgotten. No
// sender that is still trying waits longer between two attempts (RFC 5321
// section 4.5.4.1 asks for 30 minutes or more; hours are usual).
const generation = 3 * day

func newSeen(limit int) seen {
	return seen{now: map[uint64]trace{}, limit: max(limit/2, 1)}
}

// get gives what is known of the message, and keeps it known.
func (s *seen) get(id uint64) (trace, bool) {
	t, ok := s.now[id]
	if ok {
		return t, true
	}
	if t, ok = s.old[id]; ok {
		s.now[id] = t
	}
	return t, ok
}

func (s *seen) put(id uint64, t trace, at int64) {
	if len(s.now) >= s.limit || at-s.turned > generation {
		s.old, s.now, s.turned = s.now, make(map[uint64]trace, 64), at
	}
	s.now[id] = t
}
