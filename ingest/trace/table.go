package trace

import (
	"bytes"
	"strings"

	"github.com/postroad/postroad/event"
)

// table reads rows with separators: CSV in all its kinds, and the tracking log
// as the server writes it.
type table struct {
	t      *text
	s      sink
	c      *columns
	row    row
	field  []span // of the record that was read, relative to its beginning
	loose  []byte // fields that had doubled quotes
	single int    // bytes from t.r on in which a line end ends a row, whatever the quotes say
}

// span is a field: from and to in the record, or in table.loose.
type span struct {
	from, to int
	loose    bool
	open     bool // it is quoted and the quote was not closed
	quoted   bool
}

func readTable(t *text, s sink) error {
	tb := &table{t: t, s: s}
	if ok, err := tb.findHeader(); !ok || err != nil {
		return err
	}
	for {
		n, lines, ended, ok := tb.record()
		if !ok {
			return nil
		}
		if n > 0 {
			if err := tb.use(n, ended); err != nil {
				return err
			}
		}
		tb.take(n, lines)
	}
}

func (tb *table) take(n int, lines int64) {
	tb.t.take(n, lines)
	tb.single = max(0, tb.single-n)
}

// findHeader looks for the columns at the beginning of the input; before them
// stand "#TYPE ...", "sep=;" or a title.
func (tb *table) findHeader() (bool, error) {
	read := 0
	for read < headerRoom {
		line, cut, long, ok := tb.t.next()
		if !ok || long {
			return false, errNoTable
		}
		read += len(line) + 1
		c, fine := header(line, tb.c)
		if !fine {
			continue
		}
		if cut && tb.t.err == nil {
			return false, errNoTable
		}
		tb.c = c
		if err := tb.s.columns(c); err != nil {
			return false, err
		}
		if c.format() != "" {
			return true, nil
		}
	}
	return false, errNoTable
}

// header reads a line as the names of columns: at least three that are known
// and that make a format. The separator is the one that makes most of them.
func header(line []byte, _ *columns) (*columns, bool) {
	raw := false
	if rest, ok := bytes.CutPrefix(line, []byte("#Fields:")); ok {
		line, raw = bytes.TrimSpace(rest), true
	}
	if len(line) < 10 || len(line) > headerRoom || line[0] == '#' {
		return nil, false
	}
	var best *columns
	for _, sep := range []byte{',', ';', '\t', '|'} {
		if bytes.IndexByte(line, sep) < 0 {
			continue
		}
		c := &columns{sep: sep, raw: raw}
		for name := range bytes.SplitSeq(line, []byte{sep}) {
			if len(c.cols) < MaxColumns {
				c.name(strings.Trim(fromNarrow(name), "\" \t\r\ufeff"))
			}
		}
		if best == nil || c.names > best.names {
			best = c.settle()
		}
	}
	if best == nil || best.names < 3 || best.format() == "" {
		return nil, false
	}
	return best, true
}

// at makes sure that byte i of the record is there.
func (tb *table) at(i int) bool {
	for tb.t.r+i >= tb.t.w {
		if i >= MaxRow || !tb.t.more() {
			return false
		}
	}
	return true
}

// record reads the fields of one row; n is its length with the line end. ok is
// false at the end of the input.
func (tb *table) record() (n int, lines int64, ended, ok bool) {
	tb.field, tb.loose = tb.field[:0], tb.loose[:0]
	if !tb.at(0) {
		return 0, 0, false, false
	}
	first, fine := tb.t.look(0)
	if !fine && first >= MaxRow {
		tb.s.skip(tb.t.line, event.SkipLong)
		tb.t.stepOver()
		tb.single = 0
		return 0, 0, true, true
	}
	line := tb.t.buf[tb.t.r : tb.t.r+first]
	if bytes.IndexByte(line, '"') < 0 {
		tb.plain(line, fine)
		return first, btoi(fine), fine, true
	}
	n, lines, ended = tb.quoted(tb.single > 0, first)
	if lines <= 1 && ended || tb.right() {
		return n, lines, ended, true
	}
	if lines == 0 || lines == 1 && n == first {
		return n, lines, ended, true
	}
	// A quote that was never closed took other rows with it. If the row after
	// this line is one for itself, this line is what is left of a cut row.
	tb.single = max(tb.single, n)
	tb.field, tb.loose = tb.field[:0], tb.loose[:0]
	n, lines, ended = tb.quoted(true, first)
	return n, lines, ended, true
}

func btoi(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// right reports whether the record has the columns that it should have.
func (tb *table) right() bool {
	n := len(tb.field)
	return n > 0 && !tb.field[n-1].open && tb.fits()
}

// fits compares the number of fields: spreadsheets put empty ones at the end.
func (tb *table) fits() bool {
	n := len(tb.c.cols)
	if len(tb.field) < n {
		return false
	}
	for _, f := range tb.field[n:] {
		if f.to > f.from {
			return false
		}
	}
	return true
}

// plain divides a line without quotes.
func (tb *table) plain(line []byte, ended bool) {
	if ended {
		line = line[:len(line)-1]
	}
	if k := len(line); k > 0 && line[k-1] == '\r' {
		line = line[:k-1]
	}
	from := 0
	for len(tb.field) < 2*MaxColumns {
		i := bytes.IndexByte(line[from:], tb.c.sep)
		if i < 0 {
			break
		}
		tb.field = append(tb.field, span{from: from, to: from + i})
		from += i + 1
	}
	tb.field = append(tb.field, span{from: from, to: len(line)})
}

// quoted divides a record with quotes. If single, its end is the first line end.
func (tb *table) quoted(single bool, first int) (n int, lines int64, ended bool) {
	limit := MaxRow
	if single {
		limit = first
	}
	i := 0
	for {
		if i < limit && tb.at(i) && tb.byte(i) == '"' {
			f, next, more := tb.inQuotes(i, limit)
			lines += more
			tb.add(f)
			i = next
		} else {
			from := i
			for i < limit && tb.at(i) && tb.byte(i) != tb.c.sep && tb.byte(i) != '\n' {
				i++
			}
			to := i
			if to > from && tb.byte(to-1) == '\r' {
				to--
			}
			tb.add(span{from: from, to: to})
		}
		if i >= limit || !tb.at(i) {
			return i, lines, false
		}
		if tb.byte(i) == '\n' {
			return i + 1, lines + 1, true
		}
		i++ // the separator
	}
}

func (tb *table) byte(i int) byte { return tb.t.buf[tb.t.r+i] }

func (tb *table) add(f span) {
	if len(tb.field) < 2*MaxColumns {
		tb.field = append(tb.field, f)
	}
}

// inQuotes reads a quoted field that begins at i and gives the place of the
// separator or line end behind it. A quote that ends nothing is a letter: in
// replies of servers there are some.
func (tb *table) inQuotes(i, limit int) (f span, next int, lines int64) {
	from := i + 1
	f = span{from: from, quoted: true}
	piece := from
	for i = from; ; {
		j := -1
		if tb.at(i) && i < limit {
			end := min(tb.t.r+limit, tb.t.w)
			j = bytes.IndexByte(tb.t.buf[tb.t.r+i:end], '"')
			upto := end
			if j >= 0 {
				upto = tb.t.r + i + j
			}
			lines += int64(bytes.Count(tb.t.buf[tb.t.r+i:upto], []byte{'\n'}))
			if j < 0 {
				i = end - tb.t.r
				continue
			}
		}
		if j < 0 { // the end is missing
			if f.open = true; limit < MaxRow && lines > 0 {
				lines, i = lines-1, i-1 // the line end belongs to the row
			}
			return tb.close(f, piece, i), i, lines
		}
		i += j
		if i+1 >= limit || !tb.at(i+1) {
			return tb.close(f, piece, i), i + 1, lines
		}
		switch c := tb.byte(i + 1); {
		case c == '"':
			if !f.loose {
				f.loose, f.from = true, len(tb.loose)
			}
			tb.loose = append(tb.loose, tb.t.buf[tb.t.r+piece:tb.t.r+i+1]...)
			i += 2
			piece = i
		case c == tb.c.sep || c == '\n':
			return tb.close(f, piece, i), i + 1, lines
		case c == '\r' && (!tb.at(i+2) || tb.byte(i+2) == '\n'):
			if !tb.at(i + 2) {
				return tb.close(f, piece, i), i + 2, lines
			}
			return tb.close(f, piece, i), i + 2, lines
		default:
			i++
		}
	}
}

// close ends a field whose last piece goes up to to.
func (tb *table) close(f span, piece, to int) span {
	if to < piece {
		to = piece
	}
	if !f.loose {
		f.to = to
		return f
	}
	tb.loose = append(tb.loose, tb.t.buf[tb.t.r+piece:tb.t.r+to]...)
	f.to = len(tb.loose)
	return f
}

// use hands a record of n bytes on.
func (tb *table) use(n int, ended bool) error {
	raw := tb.t.buf[tb.t.r : tb.t.r+n]
	line := bytes.TrimRight(raw, "\r\n")
	if len(bytes.TrimSpace(line)) == 0 {
		return nil
	}
	tb.t.notice(line)
	if line[0] == '#' || !tb.fits() {
		if c, ok := header(line, tb.c); ok {
			tb.c = c
			return tb.s.columns(c)
		}
		if line[0] == '#' {
			return nil // #TYPE, #Software, ... of a file that was put behind another
		}
	}
	last := tb.field[len(tb.field)-1]
	switch {
	case !tb.fits() && !ended, last.open:
		tb.s.skip(tb.t.line, event.SkipCut)
		return nil
	case !tb.fits():
		tb.s.skip(tb.t.line, event.SkipBroken)
		return nil
	}
	tb.row.reset(tb.c, tb.t.line)
	tb.row.raw = line
	for i, c := range tb.c.cols {
		if f := tb.field[i]; f.loose {
			tb.row.cell[c] = tb.loose[f.from:f.to]
		} else {
			tb.row.cell[c] = raw[f.from:f.to]
		}
	}
	tb.row.cell[noCol], tb.row.cell[colIgnored] = nil, nil
	if !ended && !last.quoted {
		tb.row.open = tb.c.cols[len(tb.c.cols)-1]
	}
	if tb.isHeader() {
		if c, ok := header(line, tb.c); ok {
			tb.c = c
			return tb.s.columns(c)
		}
	}
	return tb.s.row(&tb.row)
}

// isHeader reports whether the row repeats the names of the columns.
func (tb *table) isHeader() bool {
	d := tb.row.cell[colDate]
	if len(d) == 0 || d[0] >= '0' && d[0] <= '9' || len(d) > 60 {
		return false
	}
	_, _, ok := columnOf(string(d))
	return ok
}
