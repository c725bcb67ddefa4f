package diagnose

import (
	_ "embed"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"

	"github.com/postroad/postroad/mail"
)

// The shipped rules are part of the program in two forms: the TOML files as
// people write them, and a table made of them, which takes a fiftieth of the
// time to read: no TOML, no pattern to parse, no literals to look for. The table
// names the files that it was made of by their checksum. If they are others, it
// is not used: then the program is slower to start, but never wrong. A test
// fails until it is made anew.

//go:generate go test -run TestTableIsOfTheseRules -args -write

//go:embed compiled.txt
var compiledText string

const compiledHead = "postroad rules 2 "

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum adds a file to a sum over all.
func checksum(sum uint32, name string, data []byte) uint32 {
	sum = crc32.Update(sum, castagnoli, []byte(name))
	return crc32.Update(sum, castagnoli, data)
}

// writeTable gives the text form of a table: a head, one line for each rule, an
// empty line, one line for each literal.
func writeTable(t *table, sum uint32) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s%08x\n", compiledHead, sum)
	for i, r := range t.rules {
		contributing := make([]string, len(r.Contributing))
		for j, c := range r.Contributing {
			contributing[j] = string(c)
		}
		var shape []string
		for j := t.from[i]; j < t.from[i+1]; j++ {
			sets := int(t.set[j+1] - t.set[j])
			if t.always.has(int(t.set[j])) {
				sets = 0
			}
			shape = append(shape, strconv.Itoa(sets))
		}
		token := ""
		if r.Token {
			token = "token"
		}
		confidence := ""
		if r.Confidence != 0 {
			confidence = strconv.FormatFloat(r.Confidence, 'g', -1, 64)
		}
		fields := []string{
			r.ID, r.Provider, r.Brand, strconv.Itoa(int(r.Tier)), token, string(r.Outcome), string(r.Class),
			strings.Join(contributing, ","), string(r.Retry), string(r.Actor), confidence, r.Advice,
			r.File, strconv.Itoa(r.Line), strings.Join(shape, ","), r.Match,
		}
		for _, f := range fields {
			if strings.ContainsAny(f, "\t\n") {
				return "", fmt.Errorf("%s:%d: rule %q: has a tab or a line break in it; write \\t or \\n", r.File, r.Line, r.ID)
			}
		}
		b.WriteString(strings.Join(fields, "\t"))
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
	for _, l := range t.index.lits {
		b.WriteString(strconv.Itoa(int(l.at)))
		for i, o := range l.owners {
			b.WriteByte("\t,"[min(i, 1)])
			b.WriteString(strconv.Itoa(int(o)))
		}
		if strings.ContainsAny(l.text, "\t\n") {
			return "", fmt.Errorf("literal %q has a tab or a line break in it, which no reply has in one line; correct the rule", l.text)
		}
		b.WriteString("\t" + l.text + "\n")
	}
	return b.String(), nil
}

var errTable = errors.New("read compiled rules: not of this program's form")

// readTable reads what writeTable wrote. The strings of the table are parts of
// the text.
func readTable(text string) (t *table, sum uint32, err error) {
	head, text, _ := strings.Cut(text, "\n")
	head, ok := strings.CutPrefix(head, compiledHead)
	n, err := strconv.ParseUint(head, 16, 32)
	if !ok || err != nil {
		return nil, 0, errTable
	}
	rules, literals, ok := strings.Cut(text, "\n\n")
	if !ok {
		return nil, 0, errTable
	}
	t = &table{}
	all := make([]Rule, strings.Count(rules, "\n")+1)
	for i := range all {
		var line string
		line, rules, _ = strings.Cut(rules, "\n")
		if err := t.readRule(&all[i], line); err != nil {
			return nil, 0, err
		}
	}
	if t.index, err = readLiterals(literals, len(t.begins)); err != nil {
		return nil, 0, err
	}
	t.close()
	return t, uint32(n), nil
}

func (t *table) readRule(r *Rule, line string) error {
	var f [16]string
	for i := range f {
		f[i], line, _ = strings.Cut(line, "\t")
	}
	tier, err := strconv.Atoi(f[3])
	if err != nil || tier < 0 || tier >= len(tierNames) || !mail.Class(f[6]).Valid() {
		return errTable
	}
	*r = Rule{
		ID: f[0], Provider: f[1], Brand: f[2], Tier: Tier(tier), Token: f[4] != "", Outcome: mail.Outcome(f[5]),
		Class: mail.Class(f[6]), Retry: mail.Retry(f[8]), Actor: mail.Actor(f[9]), Advice: f[11], File: f[12], Match: f[15],
	}
	if f[7] != "" {
		for c := range strings.SplitSeq(f[7], ",") {
			r.Contributing = append(r.Contributing, mail.Class(c))
		}
	}
	if f[10] != "" {
		if r.Confidence, err = strconv.ParseFloat(f[10], 64); err != nil {
			return errTable
		}
	}
	if r.Line, err = strconv.Atoi(f[13]); err != nil {
		return errTable
	}
	var room [64]int
	shape := room[:0]
	for s := range strings.SplitSeq(f[14], ",") {
		n, err := strconv.Atoi(s)
		if err != nil {
			return errTable
		}
		shape = append(shape, n)
	}
	t.rules = append(t.rules, r)
	return t.add(shape)
}

func readLiterals(text string, sets int) (*index, error) {
	x := &index{lits: make([]indexed, 0, strings.Count(text, "\n"))}
	owners := make([]uint16, 0, 2*cap(x.lits))
	for text != "" {
		var at, list, literal string
		at, text, _ = strings.Cut(text, "\t")
		list, text, _ = strings.Cut(text, "\t")
		literal, text, _ = strings.Cut(text, "\n")
		n, err := strconv.ParseUint(at, 10, 8)
		if err != nil || len(literal) < gram || int(n)+gramLen(literal) > len(literal) {
			return nil, errTable
		}
		from := len(owners)
		for list != "" {
			var o string
			o, list, _ = strings.Cut(list, ",")
			v, err := strconv.ParseUint(o, 10, 16)
			if err != nil || int(v) >= sets {
				return nil, errTable
			}
			owners = append(owners, uint16(v))
		}
		x.lits = append(x.lits, indexed{text: literal, at: uint8(n), owners: owners[from:]})
	}
	x.hash()
	return x, nil
}
