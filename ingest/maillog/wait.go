package maillog

import "strings"

// waiting are deliveries whose queue id is new and whose Message-ID has not come
// yet: syslog does not keep the order of lines that different processes write
// at the same time. They wait until it comes, but not for long.
type waiting struct {
	useful bool // the file has Message-IDs, so it may be worth waiting for one
	lines  []waitingLine
	spare  [][]byte
}

type waitingLine struct {
	key  uint64
	now  int64
	n    int64
	raw  []byte
	rest int // where the message stands in raw
	size int
	p    prefix // without rest
}

const (
	maxWaiting   = 64
	waitingLines = 200
)

// hold lets a delivery wait.
func (r *Reader) hold(key uint64, now int64, p *prefix, raw []byte) error {
	w := &r.wait
	if len(w.lines) >= maxWaiting {
		if err := r.pass(0); err != nil {
			return err
		}
	}
	var b []byte
	if n := len(w.spare); n > 0 {
		b, w.spare = w.spare[n-1][:0], w.spare[:n-1]
	}
	at := strings.LastIndex(view(raw), p.rest)
	b = append(b, raw...)
	if at < 0 { // unpacked from something: the message is not a piece of the line
		at = len(b)
		b = append(b, p.rest...)
	}
	held := *p
	held.host, held.tag, held.rest = strings.Clone(p.host), strings.Clone(p.tag), ""
	w.lines = append(w.lines, waitingLine{key, now, r.n, b, at, len(raw), held})
	// Something may have been parsed into the room since; the line is read again.
	return nil
}

// release gives out what waits for a key; 0 for all.
func (r *Reader) release(key uint64) error {
	for i := 0; i < len(r.wait.lines); {
		if key != 0 && r.wait.lines[i].key != key {
			i++
			continue
		}
		if err := r.pass(i); err != nil {
			return err
		}
	}
	return nil
}

// overdue gives out what has waited long enough.
func (r *Reader) overdue(now int64) error {
	for len(r.wait.lines) > 0 {
		first := &r.wait.lines[0]
		if r.n-first.n < waitingLines && now-first.now <= ordered && first.now-now <= ordered {
			return nil
		}
		if err := r.pass(0); err != nil {
			return err
		}
	}
	return nil
}

// pass gives one waiting line out.
func (r *Reader) pass(i int) error {
	w := r.wait.lines[i]
	r.wait.lines = append(r.wait.lines[:i], r.wait.lines[i+1:]...)
	w.p.rest = view(w.raw[w.rest:])
	if w.rest < w.size {
		w.p.rest = view(w.raw[w.rest:w.size])
	}
	var err error
	if host, hosted := r.host, r.hosted; r.parse(&w.p) {
		err = r.tell(w.key, w.now, r.join.find(w.key, w.now), w.p.rest, w.raw[:w.size])
		r.host, r.hosted = host, hosted
	}
	r.wait.spare = append(r.wait.spare, w.raw)
	return err
}
