package trace

import (
	"bytes"
	"strings"

	"github.com/postroad/postroad/event"
)

// rule reports whether a line is the one under the names of Format-Table:
// dashes and blanks, three columns at least.
func rule(line []byte) bool {
	n := 0
	for i, c := range line {
		switch {
		case c == '-' && (i == 0 || line[i-1] == ' '):
			n++
		case c != '-' && c != ' ':
			return false
		}
	}
	return n >= 3
}

func looksLikeGrid(head []byte) bool {
	n := 0
	var before []byte
	for line := range bytes.SplitSeq(head[:min(len(head), 16<<10)], []byte{'\n'}) {
		line = bytes.TrimRight(plainText(line), "\r ")
		if n++; n > 60 {
			break
		}
		if rule(line) && gridOf(before, line).format() != "" {
			return true
		}
		before = line
	}
	return false
}

// grid is the columns of a Format-Table.
type grid struct {
	columns
	from []int // where the dashes of each column begin, in letters
}

func gridOf(names, dashes []byte) *grid {
	g := &grid{}
	title := []rune(fromNarrow(names))
	for i, c := range dashes {
		if c == '-' && (i == 0 || dashes[i-1] == ' ') {
			g.from = append(g.from, i)
		}
	}
	if len(g.from) > MaxColumns {
		g.from = g.from[:MaxColumns]
	}
	for _, cell := range g.cells(title) {
		g.name(cell)
	}
	g.settle()
	return g
}

// cells divides a line at the columns. Numbers are set to the right and begin
// before their dashes: the blank before the column is the boundary.
func (g *grid) cells(line []rune) []string {
	out := make([]string, 0, len(g.from))
	begin := 0
	for i := range g.from {
		end := len(line)
		if i+1 < len(g.from) {
			end = min(end, g.from[i+1])
			for end > begin && end < len(line) && line[end-1] != ' ' {
				end--
			}
		}
		end = max(end, begin)
		out = append(out, strings.TrimSpace(string(line[begin:end])))
		begin = end
	}
	return out
}

// readGrid reads what Format-Table prints. It cuts long values: a row of which an
// address was cut tells of nobody.
func readGrid(t *text, s sink) error {
	var g *grid
	var before []byte
	for {
		at := t.line
		line, cut, long, ok := t.next()
		if !ok {
			if g == nil {
				return errNoTable
			}
			return nil
		}
		if long {
			s.skip(at, event.SkipLong)
			continue
		}
		line = bytes.TrimRight(plainText(line), " ")
		t.notice(line)
		switch {
		case rule(line):
			next := gridOf(before, line)
			if next.format() == "" {
				break
			}
			g = next
			if err := s.columns(&g.columns); err != nil {
				return err
			}
		case len(line) == 0 || g == nil:
		case isNames(g, line):
		default:
			if err := g.row(s, line, at, cut); err != nil {
				return err
			}
		}
		before = append(before[:0], line...)
	}
}

// isNames reports whether a line repeats the names, as it does on every page.
func isNames(g *grid, line []byte) bool {
	known := 0
	cells := g.cells([]rune(fromNarrow(line)))
	for _, cell := range cells {
		if _, _, ok := columnOf(cell); ok {
			known++
		}
	}
	return known == len(cells)
}

func (g *grid) row(s sink, line []byte, at int64, cut bool) error {
	var r row
	r.reset(&g.columns, at)
	r.raw = line
	shortened := false
	for i, cell := range g.cells([]rune(fromNarrow(line))) {
		c := g.cols[i]
		r.cell[c] = []byte(cell)
		if strings.HasSuffix(cell, "...") || strings.HasSuffix(cell, "…") {
			switch c {
			case colRecipient, colRecipientStatus, colStatus, colEvent, colDate:
				shortened = true
			case colSender, colMessageID, colNetworkID:
				r.cell[c] = nil
			default: // text that is cut is still text
			}
		}
	}
	r.cell[noCol], r.cell[colIgnored] = nil, nil
	if cut {
		r.open = g.cols[len(g.cols)-1]
		if len([]rune(fromNarrow(line))) < g.from[len(g.from)-1] {
			shortened = true
		}
	}
	if shortened {
		s.skip(at, event.SkipCut)
		return nil
	}
	return s.row(&r)
}
