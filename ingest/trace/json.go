package trace

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/postroad/postroad/event"
)

// objects reads JSON: an array, an object with an array in it ("value" of Graph,
// "d.results" of the old reporting service), one object after the other. It is
// no validator; what it cannot read it leaves out up to the next object.
type objects struct {
	t     *text
	s     sink
	told  string
	wrong error // what stopped it
	ended bool  // the input ended inside a value
	said  bool  // ... and that was said
}

// object is one object while it is read.
type object struct {
	c     columns
	cells [][]byte
	size  int
	line  int64
	rows  int // objects in arrays in it
	raw   []byte
}

func readJSON(t *text, s sink) error {
	o := &objects{t: t, s: s}
	for o.wrong == nil {
		c, ok := o.peek()
		if !ok {
			break
		}
		switch c {
		case '{':
			o.object(nil, 0)
		case '[', ']', ',':
			o.step()
		default:
			o.step()
		}
	}
	if o.wrong != nil {
		return o.wrong
	}
	if o.told == "" {
		return errNoTable
	}
	return nil
}

// peek gives the next byte that is not blank.
func (o *objects) peek() (byte, bool) {
	for {
		if o.t.r == o.t.w && !o.t.more() {
			return 0, false
		}
		if o.t.r == o.t.w {
			continue
		}
		c := o.t.buf[o.t.r]
		if c != ' ' && c != '\n' && c != '\r' && c != '\t' {
			return c, true
		}
		o.step()
	}
}

func (o *objects) step() {
	if o.t.buf[o.t.r] == '\n' {
		o.t.line++
	}
	o.t.r++
}

// raw gives the next byte whatever it is.
func (o *objects) raw() (byte, bool) {
	for o.t.r == o.t.w {
		if !o.t.more() {
			o.ended = true
			return 0, false
		}
	}
	c := o.t.buf[o.t.r]
	o.step()
	return c, true
}

// object reads an object and hands it on if it is a row. outer is the object in
// whose array it stands: what that one says holds for its rows too.
func (o *objects) object(outer *object, depth int) bool {
	ob := &object{line: o.t.line}
	ob.c.json = true
	o.step()
	for o.wrong == nil {
		c, ok := o.peek()
		if !ok {
			o.ended = true
			return o.cut(ob)
		}
		switch c {
		case '}':
			o.step()
			return o.row(ob, outer)
		case ',':
			o.step()
			continue
		case '"':
		default:
			o.s.skip(o.t.line, event.SkipBroken)
			o.step()
			return false
		}
		key, ok := o.text()
		if !ok || !o.colon() {
			if o.ended {
				return o.cut(ob)
			}
			return false
		}
		if !o.member(ob, outer, string(key), depth) {
			if o.ended {
				return o.cut(ob)
			}
			return false
		}
	}
	return false
}

// cut notes an object of which the end is missing. Its columns are columns
// nevertheless.
func (o *objects) cut(ob *object) bool {
	if !o.said {
		o.said = true // not again of the objects round it
		o.s.skip(ob.line, event.SkipCut)
	}
	if f := ob.c.format(); f != "" && o.wrong == nil {
		o.told = f
		o.wrong = o.s.columns(&ob.c)
	}
	return false
}

func (o *objects) colon() bool {
	c, ok := o.peek()
	if !ok {
		o.ended = true
		return false
	}
	if c != ':' {
		o.s.skip(o.t.line, event.SkipBroken)
		return false
	}
	o.step()
	return true
}

// member reads the value of one key.
func (o *objects) member(ob, outer *object, key string, depth int) bool {
	c, ok := o.peek()
	if !ok {
		o.ended = true
		return false
	}
	var v []byte
	switch c {
	case '{':
		if depth >= MaxDepth {
			o.s.skip(o.t.line, event.SkipBroken)
			return false
		}
		v, ok = o.inner(ob, outer, depth+1)
	case '[':
		v, ok = o.array(ob, outer, depth+1)
	default:
		v, ok = o.scalar(c)
	}
	if !ok {
		return false
	}
	if strings.HasPrefix(key, "@odata.") {
		asked(ob, string(v))
	}
	if len(ob.cells) < MaxColumns && ob.size+len(v) <= MaxRow {
		ob.c.name(key)
		ob.cells = append(ob.cells, v)
		ob.size += len(v)
		ob.raw = append(append(append(append(ob.raw, key...), '='), v...), '\n')
	}
	return true
}

// asked reads the address of a Graph answer, "...messageTraces('<id>')/...getDetails
// ByRecipient(recipientAddress='<address>')": the rows of the answer name neither.
func asked(ob *object, address string) {
	for _, q := range [...]struct{ before, name string }{{"recipientAddress='", "RecipientAddress"}, {"messageTraces('", "MessageTraceId"}} {
		_, v, ok := strings.Cut(address, q.before)
		v, _, closed := strings.Cut(v, "'")
		if v = strings.ReplaceAll(v, "%40", "@"); ok && closed && v != "" && len(v) < 400 && len(ob.cells) < MaxColumns {
			ob.c.name(q.name)
			ob.cells = append(ob.cells, []byte(v))
		}
	}
}

// inner reads an object in an object: a time of Windows PowerShell ({"value":
// "/Date(...)/", "DateTime": "..."}), or a wrapper round rows.
func (o *objects) inner(ob, outer *object, depth int) ([]byte, bool) {
	o.step()
	var value []byte
	for o.wrong == nil {
		c, ok := o.peek()
		if !ok {
			o.ended = true
			return nil, false
		}
		switch c {
		case '}':
			o.step()
			return value, true
		case ',':
			o.step()
			continue
		case '"':
		default:
			o.s.skip(o.t.line, event.SkipBroken)
			return nil, false
		}
		key, ok := o.text()
		if !ok || !o.colon() {
			return nil, false
		}
		if c, ok = o.peek(); !ok {
			o.ended = true
			return nil, false
		}
		var v []byte
		switch {
		case c == '[':
			v, ok = o.array(ob, outer, depth+1)
		case c == '{' && depth < MaxDepth:
			v, ok = o.inner(ob, outer, depth+1)
		case c == '{':
			ok = false
		default:
			v, ok = o.scalar(c)
		}
		if !ok {
			return nil, false
		}
		if k := string(key); k == "value" || k == "Value" || value == nil && k == "DateTime" {
			value = v
		}
	}
	return nil, false
}

// array reads an array: of rows, or of texts that make one cell with semicolons.
func (o *objects) array(ob, outer *object, depth int) (v []byte, ok bool) {
	o.step()
	parent := *ob
	if outer != nil {
		parent = merge(outer, ob)
	}
	for o.wrong == nil {
		c, ok := o.peek()
		if !ok {
			o.ended = true
			return nil, false
		}
		switch {
		case c == ']':
			o.step()
			return v, true
		case c == ',':
			o.step()
		case c == '{' && depth < MaxDepth:
			ob.rows++
			if !o.object(&parent, depth+1) && o.ended {
				return nil, false
			}
		case c == '[' && depth < MaxDepth:
			if _, ok := o.array(ob, outer, depth+1); !ok {
				return nil, false
			}
		case c == '{' || c == '[' || c == '}':
			o.s.skip(o.t.line, event.SkipBroken)
			o.step()
			return nil, false
		default:
			one, ok := o.scalar(c)
			if !ok {
				return nil, false
			}
			if len(v) > 0 {
				v = append(v, ';')
			}
			if len(v)+len(one) <= MaxRow {
				v = append(v, one...)
			}
		}
	}
	return nil, false
}

// merge gives what an object says and, for the rest, what the one round it says.
func merge(outer, ob *object) object {
	m := *ob
	m.cells = append([][]byte(nil), ob.cells...)
	m.c.cols = append([]col(nil), ob.c.cols...)
	for i, c := range outer.c.cols {
		if c != noCol && c != colIgnored && !m.c.has[c] && len(m.cells) < MaxColumns {
			m.c.cols = append(m.c.cols, c)
			m.c.has[c] = true
			m.cells = append(m.cells, outer.cells[i])
		}
	}
	return m
}

// row hands an object on. One that holds rows is none itself.
func (o *objects) row(ob, outer *object) bool {
	c, cells := &ob.c, ob.cells
	if c.has[colEvent] { // of a detail this is the id of the step
		for i, k := range c.cols {
			if k == colIdentity {
				c.cols[i] = colIgnored
			}
		}
		c.has[colIdentity] = false
	}
	if outer != nil {
		for i, k := range outer.c.cols {
			switch k {
			case colSender, colRecipient, colMessageID, colNetworkID, colDirection, colIdentity:
				if !c.has[k] && len(cells) < MaxColumns {
					c.cols, cells = append(c.cols, k), append(cells, outer.cells[i])
					c.has[k] = true
				}
			}
		}
	}
	f := c.format()
	if f == "" {
		if ob.rows == 0 && c.names >= 3 {
			o.s.skip(ob.line, event.SkipBroken)
		}
		return true
	}
	o.told = f
	if o.wrong = o.s.columns(c); o.wrong != nil {
		return false
	}
	var r row
	r.reset(c, ob.line)
	r.raw = ob.raw
	for i, k := range c.cols {
		r.cell[k] = cells[i]
	}
	r.cell[noCol], r.cell[colIgnored] = nil, nil
	o.wrong = o.s.row(&r)
	return o.wrong == nil
}

// scalar reads a text, number or word; null is empty.
func (o *objects) scalar(c byte) ([]byte, bool) {
	if c == '"' {
		return o.text()
	}
	var v []byte
	for {
		c, ok := o.peekRaw()
		if !ok {
			o.ended = true // a number may go on
			return nil, false
		}
		if c == ',' || c == '}' || c == ']' || c == ' ' || c == '\n' || c == '\r' || c == '\t' {
			break
		}
		o.step()
		if len(v) < 64 {
			v = append(v, c)
		}
	}
	if string(v) == "null" {
		v = nil
	}
	return v, true
}

func (o *objects) peekRaw() (byte, bool) {
	for o.t.r == o.t.w {
		if !o.t.more() {
			return 0, false
		}
	}
	return o.t.buf[o.t.r], true
}

// text reads a text in quotes; what is beyond MaxRow of it is left out.
func (o *objects) text() ([]byte, bool) {
	o.step()
	v := make([]byte, 0, 32)
	var high rune // the first half of a pair
	for {
		c, ok := o.raw()
		if !ok {
			return nil, false
		}
		if c == '"' {
			return v, true
		}
		if c != '\\' {
			if len(v) < MaxRow {
				v = append(v, c)
			}
			high = 0
			continue
		}
		if c, ok = o.raw(); !ok {
			return nil, false
		}
		var r rune
		switch c {
		case 'n':
			r = '\n'
		case 'r':
			r = '\r'
		case 't':
			r = '\t'
		case 'b', 'f':
			r = ' '
		case 'u':
			if r, ok = o.hex(); !ok {
				return nil, false
			}
		default:
			r = rune(c)
		}
		if utf16.IsSurrogate(r) {
			if pair := utf16.DecodeRune(high, r); high != 0 && pair != utf8.RuneError {
				r, high = pair, 0
			} else {
				high = r
				continue
			}
		}
		if len(v) < MaxRow {
			v = utf8.AppendRune(v, r)
		}
	}
}

func (o *objects) hex() (rune, bool) {
	var b [4]byte
	for i := range b {
		c, ok := o.raw()
		if !ok {
			return 0, false
		}
		b[i] = c
	}
	v, err := strconv.ParseUint(string(b[:]), 16, 32)
	if err != nil {
		return utf8.RuneError, true
	}
	return rune(v), true
}
