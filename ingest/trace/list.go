package trace

import (
	"bytes"

	"github.com/postroad/postroad/event"
)

// property splits "Name   : value" of Format-List. A name has no blanks but
// those in front of the colon.
func property(line []byte) (name, value []byte, ok bool) {
	i := bytes.IndexByte(line, ':')
	if i < 2 || i > 60 || line[0] == ' ' || line[0] == '\t' {
		return nil, nil, false
	}
	name = bytes.TrimRight(line[:i], " ")
	for _, c := range name {
		if c != '_' && (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') {
			return nil, nil, false
		}
	}
	rest := line[i+1:]
	if len(rest) > 0 && rest[0] != ' ' {
		return nil, nil, false
	}
	return name, bytes.TrimSpace(rest), len(name) > 0
}

// looksLikeList reports whether there are properties that we know near the
// beginning. A prompt and the command may stand before them.
func looksLikeList(head []byte) bool {
	known, n := 0, 0
	for line := range bytes.SplitSeq(head[:min(len(head), 16<<10)], []byte{'\n'}) {
		if n++; n > 60 {
			break
		}
		name, _, ok := property(bytes.TrimRight(plainText(line), "\r"))
		if !ok {
			continue
		}
		if _, _, ok := columnOf(string(name)); ok {
			known++
		}
	}
	return known >= 3
}

// plainText takes the colours off that PowerShell 7 writes.
func plainText(line []byte) []byte {
	if bytes.IndexByte(line, 0x1b) < 0 {
		return line
	}
	out := make([]byte, 0, len(line))
	for i := 0; i < len(line); i++ {
		if line[i] != 0x1b {
			out = append(out, line[i])
			continue
		}
		for i++; i < len(line) && line[i] != 'm'; i++ {
		}
	}
	return out
}

// list reads what Format-List prints: a property a line, an empty line behind
// each object, long values folded.
type list struct {
	t     *text
	s     sink
	cells [][]byte
	names [][]byte
	raw   []byte
	line  int64 // of the first property
	piece int   // where the last line of the last value begins
	width int   // of the window in which it was printed, as far as seen
	last  int   // length of the line before, in letters
	told  bool  // an object was one of ours
	most  int   // properties of an object
	long  bool  // beyond MaxRow
	open  bool  // the last line has no end
}

func readList(t *text, s sink) error {
	l := &list{t: t, s: s}
	for {
		at := t.line
		line, cut, long, ok := t.next()
		if !ok {
			if err := l.object(true); err != nil || l.told {
				return err
			}
			return errNoTable
		}
		if long {
			l.long = true
			continue
		}
		if l.open = cut; cut && len(bytes.TrimSpace(line)) == 0 {
			return l.object(true) // blanks before what was cut off are no empty line
		}
		if err := l.add(plainText(line), at); err != nil {
			return err
		}
		if cut {
			return l.object(true)
		}
	}
}

func (l *list) add(line []byte, at int64) error {
	l.t.notice(line)
	if len(bytes.TrimSpace(line)) == 0 {
		return l.object(false)
	}
	if name, value, ok := property(line); ok {
		if len(l.names) > 0 && bytes.Equal(name, l.names[0]) {
			if err := l.object(false); err != nil { // the empty line between them was lost
				return err
			}
		}
		if len(l.names) == 0 {
			l.line = at
		}
		if len(l.names) < MaxColumns && len(l.raw) < MaxRow {
			l.names = append(l.names, bytes.Clone(name))
			l.cells = append(l.cells, bytes.Clone(value))
			l.piece = 0
		} else {
			l.long = true
		}
	} else if n := len(l.cells); n > 0 && line[0] == ' ' {
		if l.long {
			return nil
		}
		l.unfold(n-1, bytes.TrimSpace(line))
	} else {
		return nil // a prompt, a title
	}
	l.last = len([]rune(string(line)))
	l.width = max(l.width, l.last)
	if l.long = l.long || len(l.raw) > MaxRow; !l.long {
		l.raw = append(append(l.raw, line...), '\n')
	}
	return nil
}

// unfold puts a folded value together: at a blank, unless a word was longer
// than the window.
func (l *list) unfold(i int, more []byte) {
	if len(l.cells[i])+len(more) > MaxRow {
		l.long = true
		return
	}
	before := l.cells[i][min(l.piece, len(l.cells[i])):]
	word := before[bytes.LastIndexByte(before, ' ')+1:]
	broken := l.last == l.width && l.width >= 60 && len(word) > l.width/2
	if !broken && len(before) > 0 {
		l.cells[i] = append(l.cells[i], ' ')
	}
	l.piece = len(l.cells[i])
	l.cells[i] = append(l.cells[i], more...)
}

// object hands the properties on. At the end of the input, without an empty line
// behind it, an object may lack some: those before it tell how many there should be,
// and the first one must at least say for whom it is.
func (l *list) object(end bool) error {
	defer func() { l.names, l.cells, l.raw, l.long = l.names[:0], l.cells[:0], l.raw[:0], false }()
	if len(l.names) == 0 {
		return nil
	}
	if l.long {
		l.s.skip(l.line, event.SkipLong)
		return nil
	}
	c := &columns{}
	for _, n := range l.names {
		c.name(string(n))
	}
	if c.names < 3 {
		return nil
	}
	f := c.format()
	if end && (f == "" || len(l.names) < l.most || !c.has[colRecipient] && !c.has[colRecipientStatus]) {
		l.s.skip(l.line, event.SkipCut)
		return nil
	}
	if f == "" {
		if l.told {
			l.s.skip(l.line, event.SkipBroken)
		}
		return nil
	}
	l.told = true
	l.most = max(l.most, len(l.names))
	if err := l.s.columns(c); err != nil {
		return err
	}
	var r row
	r.reset(c, l.line)
	r.raw = l.raw
	for i, k := range c.cols {
		r.cell[k] = l.cells[i]
	}
	r.cell[noCol], r.cell[colIgnored] = nil, nil
	if end && l.open {
		r.open = c.cols[len(c.cols)-1]
	}
	return l.s.row(&r)
}
