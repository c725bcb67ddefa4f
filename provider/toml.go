package provider

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// The file is TOML. It is read through go-toml's token level and not into
// structs: every error, also of meaning (an id given twice, an operator that
// does not exist), can then name its line, and the whole is read and checked in
// less time than structs are filled (1.2 ms against 2.1 ms, of which every start
// of the command would pay).

// item is a word of the file and where it stands.
type item struct {
	text string
	at   int // byte offset
}

// table is one [table] or [[table]] with its keys, which must be known.
type table struct {
	name   string // "operator", "operator.brand", ..., "source.KEY" as "source"
	key    item   // of a source: its key
	at     int
	values []keyValue
}

type keyValue struct {
	key  item
	kind unstable.Kind
	word item   // String, Integer, Bool
	list []item // Array
}

// document reads tables in the order of the file and gives each to take when it
// is whole. The first table is "", the keys before any header.
type document struct {
	parser unstable.Parser
	data   []byte
	text   string // the same
	items  []item // of the lists of the current table
}

func (d *document) line(at int) int {
	n := 1
	for _, b := range d.data[:min(at, len(d.data))] {
		if b == '\n' {
			n++
		}
	}
	return n
}

// errorf is an error that names the line.
func (d *document) errorf(at int, format string, args ...any) error {
	return fmt.Errorf("read providers: line %d: %w", d.line(at), fmt.Errorf(format, args...))
}

func (d *document) each(take func(*table) error) error {
	d.parser.Reset(d.data)
	current := &table{}
	for d.parser.NextExpression() {
		e := d.parser.Expression()
		if e.Kind == unstable.KeyValue {
			v, err := d.keyValue(e)
			if err != nil {
				return err
			}
			for _, other := range current.values {
				if other.key.text == v.key.text {
					return d.errorf(v.key.at, "key %q stands twice in this table: merge the two", v.key.text)
				}
			}
			if len(current.values) == maxKeys {
				return d.errorf(v.key.at, "more than %d keys in one table: is this the right file?", maxKeys)
			}
			current.values = append(current.values, v)
			continue
		}
		if err := take(current); err != nil {
			return err
		}
		next, err := d.header(e)
		if err != nil {
			return err
		}
		next.values, d.items = current.values[:0], d.items[:0] // take keeps no table
		current = next
	}
	if err := d.parser.Error(); err != nil {
		at := len(d.data)
		var pe *unstable.ParserError
		if errors.As(err, &pe) && len(pe.Highlight) > 0 {
			at = int(d.parser.Range(pe.Highlight).Offset)
		}
		return d.errorf(at, "this is no TOML: %w", err)
	}
	return take(current)
}

// header reads [source.KEY], [[operator]] and [[operator.PART]].
func (d *document) header(e *unstable.Node) (*table, error) {
	var parts []item
	for it := e.Key(); it.Next(); {
		parts = append(parts, d.word(it.Node()))
	}
	t := &table{at: parts[0].at}
	switch {
	case e.Kind == unstable.Table && len(parts) == 2 && parts[0].text == "source":
		t.name, t.key = "source", parts[1]
	case e.Kind == unstable.ArrayTable && len(parts) == 1 && parts[0].text == "operator":
		t.name = "operator"
	case e.Kind == unstable.ArrayTable && len(parts) == 2 && parts[0].text == "operator" &&
		slices.Contains([]string{"brand", "link", "limit"}, parts[1].text):
		t.name = "operator." + parts[1].text
	default:
		return nil, d.errorf(t.at, "unknown table: use [source.KEY], [[operator]], [[operator.brand]], [[operator.link]] or [[operator.limit]]")
	}
	return t, nil
}

// word gives a key or a scalar. Nearly all stand in the file as they are meant
// (no escapes), so that they are slices of its text.
func (d *document) word(n *unstable.Node) item {
	at := int(n.Raw.Offset)
	for _, from := range [2]int{at, at + 1} { // bare, in quotes
		if to := from + len(n.Data); to <= len(d.text) && d.text[from:to] == string(n.Data) {
			return item{text: d.text[from:to], at: at}
		}
	}
	return item{text: string(n.Data), at: at}
}

func (d *document) keyValue(e *unstable.Node) (keyValue, error) {
	var v keyValue
	for it := e.Key(); it.Next(); {
		if v.key.text != "" {
			return v, d.errorf(v.key.at, "dotted key at %q: write a table of its own", v.key.text)
		}
		v.key = d.word(it.Node())
	}
	n := e.Value()
	v.kind = n.Kind
	switch n.Kind {
	case unstable.String, unstable.Integer, unstable.Bool:
		v.word = d.word(n)
	case unstable.Array:
		from := len(d.items)
		for it := n.Children(); it.Next(); {
			c := it.Node()
			if c.Kind == unstable.Comment {
				continue
			}
			if c.Kind != unstable.String {
				return v, d.errorf(v.key.at, "the list %q has something else than strings: write each entry in quotes", v.key.text)
			}
			d.items = append(d.items, d.word(c))
		}
		v.list = d.items[from:len(d.items):len(d.items)]
	default:
		return v, d.errorf(v.key.at, "the value of %q is a %s: use a string, a whole number, true or false, or a list of strings", v.key.text, n.Kind)
	}
	return v, nil
}

// field is a key that a table may have, and where its value goes: a *string,
// *item, *[]item, *int or *bool.
type field struct {
	key string
	to  any
}

// into puts the values of a table into the fields; a key without one is an
// error.
func (d *document) into(t *table, fields ...field) error {
	for _, v := range t.values {
		i := slices.IndexFunc(fields, func(f field) bool { return f.key == v.key.text })
		if i < 0 {
			names := make([]string, len(fields))
			for i, f := range fields {
				names[i] = f.key
			}
			return d.errorf(v.key.at, "unknown key %q: use one of %s", v.key.text, strings.Join(names, ", "))
		}
		if err := d.put(v, fields[i].to); err != nil {
			return err
		}
	}
	return nil
}

func (d *document) put(v keyValue, to any) error {
	want := ""
	switch f := to.(type) {
	case *item:
		if *f = v.word; v.kind != unstable.String {
			want = "a string"
		}
	case *string:
		if *f = v.word.text; v.kind != unstable.String {
			want = "a string"
		}
	case *[]item:
		if *f = v.list; v.kind != unstable.Array {
			want = "a list of strings"
		}
	case *bool:
		if *f = v.word.text == "true"; v.kind != unstable.Bool {
			want = "true or false"
		}
	case *int:
		n, err := strconv.Atoi(v.word.text)
		if *f = n; v.kind != unstable.Integer || err != nil || n < 1 || n > maxNumber {
			want = fmt.Sprintf("a whole number from 1 to %d", maxNumber)
		}
	}
	if want != "" {
		return d.errorf(v.key.at, "the value of %q is wrong: write %s", v.key.text, want)
	}
	return nil
}
