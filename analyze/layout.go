package analyze

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/postroad/postroad/explain"
	"github.com/postroad/postroad/lang"
	"github.com/postroad/postroad/mail"
)

func (p *Printer) text(key string, args lang.Args) string { return p.Texts.Text(key, args) }

func (p *Printer) number(n int64) string { return p.Texts.Number(int(n)) }

func (p *Printer) width() int {
	if p.Width > 0 {
		return min(p.Width, explain.Width)
	}
	return explain.Width
}

// The colours, each beside a word that says the same.
const (
	bold  = "\x1b[1m"
	red   = "\x1b[1;31m"
	green = "\x1b[1;32m"
	plain = "\x1b[0m"
)

func (p *Printer) paint(colour, s string) string {
	if !p.Colour || s == "" {
		return s
	}
	return colour + s + plain
}

// para prints a paragraph.
func (p *Printer) para(s string) { p.hang("", s) }

// hang prints a text behind a prefix, wrapped with a hanging indent. Everything
// from evidence passes here or through a table, and is cleaned there.
func (p *Printer) hang(prefix, s string) {
	p.b.WriteString(strings.TrimRight(explain.Wrap(explain.Clean(prefix), explain.Clean(s), p.width()), " ") + "\n")
}

// title begins a section.
func (p *Printer) title(s string) {
	p.b.WriteString("\n" + p.paint(bold, explain.Clean(s)) + "\n")
}

// series gives the texts key.1, key.2, ...
func (p *Printer) series(key string) (list []string) {
	for i := 1; p.Texts.Has(key + "." + strconv.Itoa(i)); i++ {
		list = append(list, p.text(key+"."+strconv.Itoa(i), nil))
	}
	return list
}

// numbered prints steps under the word for "now".
func (p *Printer) numbered(steps []string) {
	if len(steps) == 0 {
		return
	}
	p.title(p.text("label.now", nil))
	for i, s := range steps {
		p.hang("  "+strconv.Itoa(i+1)+". ", s)
	}
}

// rows prints labels, given by their keys, and values in two columns; a row
// without a value is left out.
func (p *Printer) rows(rows [][2]string) {
	wide := 0
	for i := range rows {
		rows[i][0] = p.text(rows[i][0], nil)
		if rows[i][1] != "" {
			wide = max(wide, utf8.RuneCountInString(rows[i][0]))
		}
	}
	for _, row := range rows {
		if row[1] != "" {
			p.hang("  "+pad(row[0], wide)+"  ", row[1])
		}
	}
}

// pad fills a text with spaces on its right, lead on its left.
func pad(s string, n int) string {
	return s + strings.Repeat(" ", max(0, n-utf8.RuneCountInString(s)))
}

func lead(s string, n int) string {
	return strings.Repeat(" ", max(0, n-utf8.RuneCountInString(s))) + s
}

// table is columns without boxes: names on the left, numbers to the right of
// their column, the last column wrapped.
type table struct {
	p    *Printer
	head []string
	list [][]string
	bad  map[int]bool // rows of what is in trouble
	name int          // the widest first column, 0 for any
}

// table begins one with the heads of its columns, by their keys.
func (p *Printer) table(keys ...string) *table {
	t := &table{p: p, bad: map[int]bool{}}
	for _, k := range keys {
		t.head = append(t.head, p.text(k, nil))
	}
	return t
}

// oneLine keeps a cell in its row; spaces that do not break stay what they are.
var oneLine = strings.NewReplacer("\n", " ", "\r", " ", "\t", " ")

func (t *table) row(cells ...string) {
	for i := range cells {
		cells[i] = explain.Clean(oneLine.Replace(cells[i]))
	}
	t.list = append(t.list, cells)
}

// narrow reports whether the lines are too short for all columns.
func (p *Printer) narrow() bool { return p.width() < 90 }

// nameWidth is the widest first column of names, which may be cut as addresses
// may not.
func (p *Printer) nameWidth() int {
	if p.narrow() {
		return p.width() / 5
	}
	return 28
}

func (t *table) print() {
	wide := make([]int, len(t.head))
	for _, cells := range append([][]string{t.head}, t.list...) {
		for i, c := range cells {
			wide[i] = max(wide[i], utf8.RuneCountInString(c))
		}
	}
	if t.name > 0 {
		wide[0] = min(wide[0], t.name)
	}
	last := len(t.head) - 1
	line := func(cells []string, bad bool) {
		var b strings.Builder
		b.WriteString("  ")
		for i, c := range cells[:last] {
			if i == 0 {
				b.WriteString(pad(cut(c, wide[0]), wide[0]))
			} else {
				b.WriteString("  " + lead(c, wide[i]))
			}
		}
		text := strings.TrimRight(explain.Wrap(b.String()+"  ", cells[last], t.p.width()), " ")
		if bad {
			name := cut(cells[0], wide[0])
			text = "  " + t.p.paint(red, name) + text[2+len(name):]
		}
		t.p.b.WriteString(text + "\n")
	}
	line(t.head, false)
	for i, cells := range t.list {
		line(cells, t.bad[i])
	}
}

// cut shortens a name to n columns.
func cut(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + "…"
}

// class is a class in few words, without its code.
func (p *Printer) class(c mail.Class) string {
	s, _, _ := strings.Cut(p.text("class."+string(c), nil), " (")
	return s
}

// mostly is the class that occurs most; "" where there is none.
func mostly(classes map[mail.Class]int64) mail.Class {
	best, n := mail.Class(""), int64(0)
	for _, c := range mail.Classes {
		if classes[c] > n {
			best, n = c, classes[c]
		}
	}
	return best
}
