package analyze

import (
	"cmp"
	"slices"

	"github.com/postroad/postroad/event"
)

// skips counts what was left out, by file and reason.
type skips struct {
	list  map[skipKey]*Skipped
	order []*Skipped
	more  int
}

type skipKey struct {
	file string
	why  event.Skip
}

// maxSkips is how many files and reasons are told apart.
const maxSkips = 2000

func newSkips() *skips { return &skips{list: make(map[skipKey]*Skipped)} }

// add counts one line or file; the first line of a kind is kept.
func (s *skips) add(file string, line int64, why event.Skip) {
	key := skipKey{file, why}
	k := s.list[key]
	if k == nil {
		if len(s.list) >= maxSkips {
			s.more++
			return
		}
		k = &Skipped{File: file, Line: line, Code: string(why)}
		s.list[key] = k
		s.order = append(s.order, k)
	}
	k.Count++
}

// report gives what was left out, in the order of files and lines.
func (s *skips) report(words func(event.Skip) string) (list []Skipped, more int) {
	list = make([]Skipped, 0, min(len(s.order), MaxList))
	all := slices.Clone(s.order)
	slices.SortStableFunc(all, func(a, b *Skipped) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Code, b.Code))
	})
	for _, k := range all {
		if len(list) == MaxList {
			break
		}
		k.Reason = words(event.Skip(k.Code))
		list = append(list, *k)
	}
	return list, len(all) - len(list) + s.more
}
