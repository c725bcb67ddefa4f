package esp

import (
	"bytes"
	"math"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// doc is one parsed JSON value. The memory is used again for the next one, and
// the values refer into the text: a record has a hundred members of which ten
// are wanted, so nothing is copied before it is asked for. A member of the wrong
// type reads as absent, of doubled members the last counts.
type doc struct {
	b     []byte
	nodes []node
}

type kind uint8

const (
	kindNone kind = iota
	kindNull
	kindBool
	kindNumber
	kindString
	kindObject
	kindArray
)

type node struct {
	kind     kind
	filled   bool  // the next node is its first child
	escaped  bool  // the string holds escapes
	ks, ke   int32 // the key, without quotes
	s, e     int32 // the value, strings without quotes
	next     int32 // the next child of the same parent, 0 for none
	children int32
}

// val is a value of a document; the zero val is an absent one.
type val struct {
	d *doc
	i int32
}

// parse reads one value that fills b. If ok is false what was read so far is
// there: of a record that is cut, all members before the cut.
func (d *doc) parse(b []byte) (v val, ok bool) {
	d.b, d.nodes = b, append(d.nodes[:0], node{}) // 0 is "none"
	if len(b) > math.MaxInt32 {
		return val{}, false
	}
	i, ok := d.value(0, 0)
	if len(d.nodes) == 1 {
		return val{}, false
	}
	return val{d, 1}, ok && d.blank(i) == len(b)
}

func (d *doc) blank(i int) int {
	for i < len(d.b) && isSpace(d.b[i]) {
		i++
	}
	return i
}

// value reads the value at i and returns where it ends.
func (d *doc) value(i, depth int) (int, bool) {
	i = d.blank(i)
	if i >= len(d.b) || depth > maxDepth || len(d.nodes) > maxNodes {
		return i, false
	}
	me := len(d.nodes)
	d.nodes = append(d.nodes, node{s: int32(i)})
	switch c := d.b[i]; c {
	case '{', '[':
		return d.container(me, i, depth, c == '{')
	case '"':
		end, escaped, ok := d.quoted(i)
		n := &d.nodes[me]
		n.kind, n.escaped, n.s, n.e = kindString, escaped, int32(i+1), int32(end)
		return min(end+1, len(d.b)), ok
	}
	end := i
	for end < len(d.b) && !isSpace(d.b[end]) && strings.IndexByte(",]}:[{\"", d.b[end]) < 0 {
		end++
	}
	n := &d.nodes[me]
	n.e = int32(end)
	switch word := d.b[i:end]; string(word) {
	case "true", "false":
		n.kind = kindBool
	case "null":
		n.kind = kindNull
	default:
		n.kind = kindNumber
		return end, isNumber(word)
	}
	return end, true
}

// isNumber is generous: what reads it decides.
func isNumber(b []byte) bool {
	for _, c := range b {
		if (c < '0' || c > '9') && strings.IndexByte("+-.eE", c) < 0 {
			return false
		}
	}
	return len(b) > 0 && (b[0] == '-' || '0' <= b[0] && b[0] <= '9')
}

// quoted finds the end of the string whose quote is at i.
func (d *doc) quoted(i int) (end int, escaped, ok bool) {
	for j := i + 1; j < len(d.b); j++ {
		switch c := d.b[j]; {
		case c == '"':
			return j, escaped, true
		case c == '\\':
			escaped = true
			j++
		case c < ' ' && c != '\t':
			return j, escaped, false
		}
	}
	return len(d.b), escaped, false
}

// container reads an object or an array.
func (d *doc) container(me, i, depth int, object bool) (int, bool) {
	d.nodes[me].kind = kindArray
	closing := byte(']')
	if object {
		d.nodes[me].kind, closing = kindObject, '}'
	}
	last := 0
	for i = d.blank(i + 1); ; i = d.blank(i + 1) {
		if i < len(d.b) && d.b[i] == closing && last == 0 {
			return i + 1, true
		}
		var key, keyEnd int
		if object {
			if i >= len(d.b) || d.b[i] != '"' {
				return i, false
			}
			end, _, ok := d.quoted(i)
			if !ok {
				return end, false
			}
			key, keyEnd = i+1, end
			if i = d.blank(end + 1); i >= len(d.b) || d.b[i] != ':' {
				return i, false
			}
			i++
		}
		child := len(d.nodes)
		end, ok := d.value(i, depth+1)
		if child < len(d.nodes) {
			n := &d.nodes[child]
			n.ks, n.ke = int32(key), int32(keyEnd)
			if last == 0 {
				d.nodes[me].filled = true
			} else {
				d.nodes[last].next = int32(child)
			}
			last = child
			d.nodes[me].children++
		}
		if !ok {
			return end, false
		}
		i = d.blank(end)
		if i >= len(d.b) {
			return i, false
		}
		if d.b[i] == closing {
			return i + 1, true
		}
		if d.b[i] != ',' {
			return i, false
		}
	}
}

func (v val) node() *node {
	if v.d == nil || v.i == 0 {
		return &node{}
	}
	return &v.d.nodes[v.i]
}

func (v val) ok() bool       { return v.node().kind > kindNull }
func (v val) isObject() bool { return v.node().kind == kindObject }
func (v val) isArray() bool  { return v.node().kind == kindArray }
func (v val) len() int       { return int(v.node().children) }

// get follows the keys.
func (v val) get(keys ...string) val {
	for _, key := range keys {
		v = v.member(key)
	}
	return v
}

func (v val) member(key string) val {
	n := v.node()
	if n.kind != kindObject || !n.filled {
		return val{}
	}
	found := val{}
	for i := v.i + 1; i != 0; i = v.d.nodes[i].next {
		c := &v.d.nodes[i]
		if int(c.ke-c.ks) == len(key) && string(v.d.b[c.ks:c.ke]) == key {
			found = val{v.d, i}
		}
	}
	return found
}

// has reports whether all the members are there, null or not.
func (v val) has(keys ...string) bool {
	for _, key := range keys {
		if v.member(key).i == 0 {
			return false
		}
	}
	return true
}

// each gives the elements of an array; a value that is no array is the only
// element of itself, since some vendors leave the brackets off a single one.
func (v val) each(visit func(val)) {
	n := v.node()
	switch {
	case n.kind != kindArray:
		if v.ok() {
			visit(v)
		}
	case n.filled:
		for i := v.i + 1; i != 0; i = v.d.nodes[i].next {
			visit(val{v.d, i})
		}
	}
}

// first gives the first element of an array, or the value itself.
func (v val) first() val {
	n := v.node()
	if n.kind != kindArray {
		return v
	}
	if !n.filled {
		return val{}
	}
	return val{v.d, v.i + 1}
}

// latest gives the last element of an array, or the value itself.
func (v val) latest() val {
	last := val{}
	v.each(func(e val) { last = e })
	return last
}

// bytes gives the text of a string or a number as it stands in the record.
func (v val) bytes() []byte {
	n := v.node()
	if n.kind != kindString && n.kind != kindNumber {
		return nil
	}
	return v.d.b[n.s:n.e]
}

// is compares without making a string.
func (v val) is(s string) bool { return string(v.bytes()) == s }

// str gives the text of a string or a number, trimmed, "" for anything else.
func (v val) str() string {
	b := v.bytes()
	if len(b) == 0 {
		return ""
	}
	if v.node().escaped {
		b = unescape(b)
	}
	b = bytes.TrimSpace(b)
	if !utf8.Valid(b) {
		return strings.ToValidUTF8(string(b), "\ufffd")
	}
	return string(b)
}

// isTrue is for flags, which vendors write as true, 1 and "true".
func (v val) isTrue() bool {
	n := v.node()
	if n.kind < kindBool || n.kind > kindString {
		return false
	}
	switch string(v.d.b[n.s:n.e]) {
	case "true", "True", "1", "yes", "TRUE":
		return true
	}
	return false
}

// num gives a number, also one in quotes; 0 for anything else and for what is
// no number that can be counted with.
func (v val) num() float64 {
	b := v.bytes()
	if len(b) == 0 || len(b) > 40 {
		return 0
	}
	f, err := strconv.ParseFloat(string(bytes.TrimSpace(b)), 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return 0
	}
	return f
}

// count gives a whole number from 0 to a million, 0 for anything else.
func (v val) count() int {
	if f := v.num(); f >= 0 && f <= 1e6 {
		return int(f)
	}
	return 0
}

// unescape resolves the escapes of a JSON string. What is no escape stays.
func unescape(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] != '\\' || i+1 >= len(b) {
			out = append(out, b[i])
			continue
		}
		i++
		switch c := b[i]; c {
		case 'n':
			out = append(out, '\n')
		case 't':
			out = append(out, '\t')
		case 'r':
			out = append(out, '\r')
		case 'b', 'f':
			out = append(out, ' ')
		case 'u':
			r, n := escapedRune(b[i+1:])
			out = utf8.AppendRune(out, r)
			i += n
		default:
			out = append(out, c)
		}
	}
	return out
}

// escapedRune reads the digits behind \u, and a second half if there is one.
func escapedRune(b []byte) (r rune, n int) {
	r, ok := hex4(b)
	if !ok {
		return utf8.RuneError, 0
	}
	if utf16.IsSurrogate(r) {
		if len(b) >= 10 && b[4] == '\\' && b[5] == 'u' {
			if low, ok := hex4(b[6:]); ok {
				if r := utf16.DecodeRune(r, low); r != utf8.RuneError {
					return r, 10
				}
			}
		}
		return utf8.RuneError, 4
	}
	return r, 4
}

func hex4(b []byte) (rune, bool) {
	if len(b) < 4 {
		return 0, false
	}
	v, err := strconv.ParseUint(string(b[:4]), 16, 32)
	return rune(v), err == nil
}
