package analyze

import (
	"bufio"
	"container/heap"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// store keeps facts in the order of time, whatever order they came in: in
// memory up to a limit, beyond it in sorted runs of one temporary file.
type store struct {
	limit int // facts in memory
	dir   string
	held  []fact
	dirty bool // held is not in order
	runs  []run
	file  *os.File
	end   int64 // of the file
}

// run is a sorted piece of the temporary file.
type run struct {
	from, to int64
	first    fact
}

// defaultHeld is how many facts stay in memory: 14 MB.
const defaultHeld = 200_000

func newStore(limit int, dir string) *store {
	if limit <= 0 {
		limit = defaultHeld
	}
	return &store{limit: limit, dir: dir}
}

func (s *store) add(f fact) error {
	if len(s.held) == s.limit {
		if err := s.spill(); err != nil {
			return err
		}
	}
	if n := len(s.held); n > 0 && before(&s.held[n-1], &f) > 0 {
		s.dirty = true
	}
	if n := len(s.held); n == cap(s.held) { // no more room than for the limit
		s.held = append(make([]fact, 0, min(max(n+n/2, 1024), s.limit)), s.held...)
	}
	s.held = append(s.held, f)
	return nil
}

func (s *store) sort() {
	if s.dirty {
		slices.SortFunc(s.held, func(a, b fact) int { return before(&a, &b) })
		s.dirty = false
	}
}

func (s *store) spill() error {
	s.sort()
	if s.file == nil {
		f, err := os.CreateTemp(s.dir, "postroad-*.facts")
		if err != nil {
			return &SpillError{err}
		}
		s.file = f
		// The file has no name from here on: whatever becomes of the process,
		// nothing is left. Where the system does not allow that, close removes it.
		_ = os.Remove(f.Name())
	}
	w := bufio.NewWriterSize(io.NewOffsetWriter(s.file, s.end), 256<<10)
	var b [factSize]byte
	for i := range s.held {
		s.held[i].put(&b)
		if _, err := w.Write(b[:]); err != nil {
			return &SpillError{err}
		}
	}
	if err := w.Flush(); err != nil {
		return &SpillError{err}
	}
	to := s.end + int64(len(s.held))*factSize
	s.runs = append(s.runs, run{s.end, to, s.held[0]})
	s.end = to
	s.held = s.held[:0]
	return nil
}

// SpillError says that the temporary file for facts cannot be written or read.
type SpillError struct{ Err error }

func (e *SpillError) Error() string {
	return fmt.Sprintf("keep facts in a temporary file: %v; make room there or set TMPDIR to a disk with room", e.Err)
}
func (e *SpillError) Unwrap() error { return e.Err }

// each gives every fact in order; the pointer is good during the call only.
func (s *store) each(visit func(*fact) error) error {
	if len(s.runs) == 0 {
		s.sort()
		var f fact // visit may change it
		for i := range s.held {
			f = s.held[i]
			if err := visit(&f); err != nil {
				return err
			}
		}
		return nil
	}
	if len(s.held) > 0 { // what counts the facts needs the room
		if err := s.spill(); err != nil {
			return err
		}
	}
	s.held = nil
	return s.merge(visit)
}

// merge gives the facts of all runs in order. A log is nearly in order as it is,
// so that few runs meet: one is opened when its first fact is due.
func (s *store) merge(visit func(*fact) error) error {
	runs := slices.Clone(s.runs)
	slices.SortFunc(runs, func(a, b run) int { return before(&a.first, &b.first) })
	var m merger
	var done *cursor // its buffer serves again
	var f fact       // visit may change it
	for len(m) > 0 || len(runs) > 0 {
		for len(runs) > 0 && (len(m) == 0 || before(&runs[0].first, &m[0].now) <= 0) {
			c := done
			if c == nil {
				c = &cursor{r: bufio.NewReaderSize(nil, 48<<10)}
			}
			done = nil
			c.r.Reset(io.NewSectionReader(s.file, runs[0].from, runs[0].to-runs[0].from))
			if err := c.next(); err != nil {
				return err
			}
			heap.Push(&m, c)
			runs = runs[1:]
		}
		c := m[0]
		f = c.now
		if err := visit(&f); err != nil {
			return err
		}
		switch err := c.next(); {
		case errors.Is(err, io.EOF):
			heap.Pop(&m)
			done = c
		case err != nil:
			return err
		case len(m) > 1:
			heap.Fix(&m, 0)
		}
	}
	return nil
}

// close gives the temporary file back.
func (s *store) close() {
	if s.file != nil {
		_ = s.file.Close()
		_ = os.Remove(s.file.Name()) // gone already where the system allows it
		s.file = nil
	}
}

// cursor reads one run.
type cursor struct {
	r   *bufio.Reader
	now fact
}

// next reads the fact that follows; io.EOF after the last.
func (c *cursor) next() error {
	b, err := c.r.Peek(factSize)
	if err != nil {
		if errors.Is(err, io.EOF) && len(b) == 0 {
			return io.EOF
		}
		return &SpillError{err}
	}
	c.now.get((*[factSize]byte)(b))
	_, err = c.r.Discard(factSize)
	return err
}

// merger is a heap of runs, the one with the earliest fact on top.
type merger []*cursor

func (m merger) Len() int           { return len(m) }
func (m merger) Less(i, j int) bool { return before(&m[i].now, &m[j].now) < 0 }
func (m merger) Swap(i, j int)      { m[i], m[j] = m[j], m[i] }
func (m *merger) Push(x any) {
	if c, ok := x.(*cursor); ok {
		*m = append(*m, c)
	}
}

func (m *merger) Pop() any {
	old := *m
	c := old[len(old)-1]
	*m = old[:len(old)-1]
	return c
}
