package queue

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"github.com/postroad/postroad/event"
)

// sniffExchange tells a line that has the names of Get-Queue or Get-Message: the
// head of a table or of CSV, or a property of a list. PowerShell does not
// translate them.
func sniffExchange(line string) string {
	if name, _, ok := property(line); ok {
		switch name {
		case "nexthopdomain", "messagecount", "deliverytype", "nexthopcategory", "nexthopconnector":
			return Exchange
		case "fromaddress":
			return ExchangeMessage
		}
		return ""
	}
	return sniffHeader(line)
}

// sniffHeader tells the head of a table or of CSV.
func sniffHeader(line string) string {
	names := map[string]bool{}
	for _, word := range strings.FieldsFunc(line, func(r rune) bool { return !unicode.IsLetter(r) }) {
		names[strings.ToLower(word)] = true
	}
	switch {
	case names["fromaddress"] && (names["queue"] || names["status"] || names["identity"]):
		return ExchangeMessage
	case names["nexthopdomain"] && (names["messagecount"] || names["identity"] || names["deliverytype"] || names["status"]),
		names["messagecount"] && names["status"] && (names["identity"] || names["deliverytype"]):
		return Exchange
	}
	return ""
}

// property reads a line of Format-List, "MessageCount     : 12".
func property(line string) (name, value string, ok bool) {
	name, value, ok = strings.Cut(line, ":")
	name = strings.TrimSpace(name)
	if !ok || name == "" || line[0] == ' ' || value != "" && value[0] != ' ' {
		return "", "", false
	}
	for i := range len(name) {
		if c := name[i] | 0x20; c < 'a' || c > 'z' {
			return "", "", false
		}
	}
	return strings.ToLower(name), strings.TrimSpace(value), true
}

const (
	maxValue   = 16 << 10 // of a value that goes over lines
	maxColumns = 100      // of a table
)

// record is one queue or message: values by name in lower case.
type record map[string]string

// exchange reads what Get-Queue and Get-Message give, in any of the forms that
// PowerShell can give it.
func (c *listing) exchange(head string) error {
	if sniffJSON(head) != "" {
		return c.objects(c.exchangeObject)
	}
	for {
		line, ok := c.next()
		if !ok {
			return nil
		}
		if _, _, ok := property(line); ok {
			if err := c.list(line); err != nil {
				return err
			}
			continue
		}
		if sniffHeader(line) == "" {
			continue // above, between and below stands what a terminal shows
		}
		var err error
		if names, comma := csvNames(line); comma != 0 {
			err = c.csv(names, comma)
		} else {
			err = c.table(line)
		}
		if err != nil {
			return err
		}
	}
}

// list reads a record of Format-List that begins with a line. Long values are
// folded to the right of the colon.
func (c *listing) list(line string) error {
	r, at, last, before := record{}, c.n, "", ""
	for ok := true; ok; line, ok = c.next() {
		if strings.TrimSpace(line) == "" {
			break
		}
		name, value, isProperty := property(line)
		switch {
		case isProperty && r.has(name):
			c.back(line) // the next record, without a line between
			return c.record(r, at)
		case isProperty:
			r[name], last = value, name
		case line[0] == ' ' && last != "" && len(r[last]) < maxValue:
			r[last] = fold(r[last], strings.TrimSpace(line), strings.HasSuffix(before, " "))
		default:
			c.back(line)
			return c.record(r, at)
		}
		if before = line; len(r) > 200 {
			break
		}
	}
	return c.record(r, at)
}

// fold joins a value that goes on in the next line. PowerShell breaks lines at
// spaces, and in a word where there is none.
func fold(a, b string, spaced bool) string {
	if a == "" || b == "" {
		return a + b
	}
	x, y := a[len(a)-1], b[0]
	digits := x >= '0' && x <= '9' && y >= '0' && y <= '9'
	if !spaced && (digits || strings.IndexByte("{[(=.@", x) >= 0 || strings.IndexByte(".,;:}])=@", y) >= 0) {
		return a + b
	}
	return a + " " + b
}

func (r record) has(name string) bool {
	_, ok := r[name]
	return ok
}

// column is where a column of a table stands: from the first dash under its name
// to the first of the next.
type column struct {
	name     string
	from, to int
}

// table reads a table, which ends with an empty line and what is no row.
func (c *listing) table(head string) error {
	dashes, ok := c.next()
	if !ok {
		return nil
	}
	if strings.Trim(dashes, "- ") != "" || !strings.Contains(dashes, "--") {
		c.back(dashes)
		return nil
	}
	columns := underlined(head, dashes)
	var r record
	var at int64
	flush := func() error {
		if r == nil {
			return nil
		}
		done := r
		r = nil
		return c.record(done, at)
	}
	for {
		line, ok := c.next()
		if !ok || strings.TrimSpace(line) == "" {
			break
		}
		cells := divide(line, columns)
		if sniffHeader(line) != "" {
			c.back(line)
			break
		}
		if r != nil && len(columns) > 1 && cells[0] == "" { // a value went on in the next line
			for i, cell := range cells {
				if name := columns[i].name; cell != "" && len(r[name]) < maxValue {
					r[name] = fold(r[name], cell, false)
				}
			}
			continue
		}
		if err := flush(); err != nil {
			return err
		}
		r, at = record{}, c.n
		for i, cell := range cells {
			r[columns[i].name] = cell
		}
	}
	return flush()
}

func underlined(head, dashes string) (columns []column) {
	runes, under := []rune(head), []rune(dashes)
	for i := 0; i < len(under); {
		if under[i] != '-' {
			i++
			continue
		}
		from := i
		for i < len(under) && under[i] == '-' {
			i++
		}
		name := ""
		if from < len(runes) {
			name = strings.ToLower(strings.TrimSpace(string(runes[from:min(i, len(runes))])))
		}
		if columns = append(columns, column{name, from, i}); len(columns) == maxColumns {
			break
		}
	}
	return columns
}

// divide cuts a row at its columns. A number stands at the right of its column and
// may begin left of its name.
func divide(line string, columns []column) []string {
	runes := []rune(line)
	cells := make([]string, len(columns))
	from := 0
	for i := range columns {
		to := len(runes)
		if i+1 < len(columns) {
			to = min(to, columns[i+1].from)
			for to > from && to < len(runes) && to > columns[i].to && runes[to-1] != ' ' {
				to--
			}
		}
		if from < to {
			cells[i] = strings.TrimSpace(string(runes[from:to]))
		}
		from = max(from, to)
	}
	return cells
}

// csvNames gives the names in the first line of CSV and what divides them, 0 where
// it is no such line.
func csvNames(line string) (names []string, comma byte) {
	for _, d := range []byte{'\t', ';', ','} {
		names, closed := cut(line, d)
		good := closed && len(names) > 1
		for i, name := range names {
			names[i] = strings.ToLower(strings.TrimSpace(name))
			good = good && names[i] != "" && strings.Trim(names[i], "abcdefghijklmnopqrstuvwxyz0123456789") == ""
		}
		if good {
			return names, d
		}
	}
	return nil, 0
}

// csv reads the rows of an export.
func (c *listing) csv(names []string, comma byte) error {
	for {
		line, ok := c.next()
		if !ok {
			return nil
		}
		at := c.n
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#TYPE") {
			continue
		}
		fields, closed := cut(line, comma)
		for more := 0; !closed && more < 100 && len(line) < maxLine; more++ {
			next, ok := c.next()
			if !ok {
				break
			}
			line += "\n" + next
			fields, closed = cut(line, comma)
		}
		// Of a last line without an end nothing tells that all of it is there.
		if !closed || len(fields) != len(names) || !c.ended {
			why := event.SkipBroken
			if !c.ended {
				why = event.SkipCut
			}
			c.skip(at, why)
			continue
		}
		r := record{}
		for i, f := range fields {
			r[names[i]] = f
		}
		if err := c.record(r, at); err != nil {
			return err
		}
	}
}

// cut divides a row of CSV; closed is false where a quote goes on in the next line.
func cut(line string, comma byte) (fields []string, closed bool) {
	for {
		if !strings.HasPrefix(line, `"`) {
			i := strings.IndexByte(line, comma)
			if i < 0 {
				return append(fields, line), true
			}
			fields, line = append(fields, line[:i]), line[i+1:]
			continue
		}
		var b strings.Builder
		line = line[1:]
		for {
			i := strings.IndexByte(line, '"')
			if i < 0 {
				return fields, false
			}
			b.WriteString(line[:i])
			line = line[i+1:]
			if !strings.HasPrefix(line, `"`) {
				break
			}
			b.WriteByte('"')
			line = line[1:]
		}
		i := strings.IndexByte(line, comma)
		if i < 0 {
			return append(fields, b.String()+line), true
		}
		fields, line = append(fields, b.String()+line[:i]), line[i+1:]
	}
}

// exchangeObject reads an object of ConvertTo-Json.
func (c *listing) exchangeObject(object []byte, line int64) error {
	return c.propertiesOf(object, line, true)
}

// propertiesOf reads an object, or where outer, those in {"value":[...],"Count":3}.
func (c *listing) propertiesOf(object []byte, line int64, outer bool) error {
	var all map[string]json.RawMessage
	if json.Unmarshal(object, &all) != nil {
		c.skip(line, event.SkipBroken)
		return nil //nolint:nilerr // it is told to Skip
	}
	var many []json.RawMessage
	if outer && all["Identity"] == nil && json.Unmarshal(all["value"], &many) == nil {
		for _, one := range many {
			if err := c.propertiesOf(one, line, false); err != nil {
				return err
			}
		}
		return nil
	}
	r := record{}
	for name, raw := range all {
		r[strings.ToLower(name)] = textOf(raw)
	}
	return c.record(r, line)
}

// textOf gives the text of a JSON value as PowerShell would show it.
func textOf(raw json.RawMessage) string {
	var v any
	if json.Unmarshal(raw, &v) != nil {
		return ""
	}
	switch v := v.(type) {
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case bool:
		return strconv.FormatBool(v)
	case []any:
		var parts []string
		for _, p := range v {
			if s, ok := p.(string); ok {
				parts = append(parts, s)
			}
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case map[string]any:
		for _, name := range []string{"value", "DateTime", "Value"} {
			if s, ok := v[name].(string); ok {
				return s
			}
		}
		if server, ok := v["Server"].(string); ok { // of an identity
			return fmt.Sprintf(`%s\%v`, server, v["RowId"])
		}
	}
	return ""
}

// record makes items of a queue or a message.
func (c *listing) record(r record, line int64) error {
	if r.has("fromaddress") {
		return c.message(r, line)
	}
	if !r.has("messagecount") && !r.has("nexthopdomain") && !r.has("deliverytype") {
		c.skip(line, event.SkipBroken)
		return nil
	}
	c.read++
	m := c.common(r, line)
	m.NextHop = whole(r["nexthopdomain"])
	if r.has("messagecount") {
		if m.Count = int(number(r["messagecount"])); m.Count == 0 {
			return nil // nothing waits there
		}
	}
	return c.visit(m)
}

// common reads what queues and messages both have.
func (c *listing) common(r record, line int64) Item {
	m := Item{QueueID: r["identity"], Reason: r["lasterror"], LastRetry: c.o.local(r["lastretrytime"]), NextRetry: c.o.local(r["nextretrytime"]), Count: 1, Line: line}
	status := strings.ToLower(strings.TrimRight(r["status"], ".\u2026"))
	for _, s := range []string{"active", "connecting", "1", "5"} { // a table may cut it
		m.Active = m.Active || strings.HasPrefix(s, status) && status != ""
	}
	for _, s := range []string{"retry", "3"} {
		m.Retrying = m.Retrying || strings.HasPrefix(s, status) && len(status) >= min(len(s), 3) // "re" may be "ready"
	}
	for _, s := range []string{"suspended", "pendingsuspend", "4"} {
		m.Held = m.Held || strings.HasPrefix(s, status) && status != ""
	}
	m.RemoteHost, m.RemoteIP = exchangeRemote(m.Reason)
	if m.LastRetry.IsZero() {
		m.LastRetry = c.o.local(labelled(m.Reason, "LRT"))
	}
	return m
}

// message reads what Get-Message gives of a message.
func (c *listing) message(r record, line int64) error {
	c.read++
	m := c.common(r, line)
	if s := r["status"]; s == "3" || s == "4" { // the numbers are those of another list
		m.Held, m.Retrying = false, false
	}
	m.Sender = address(r["fromaddress"])
	m.Arrived = c.o.local(r["datereceived"])
	m.Size = number(bytesIn(r["size"]))
	if _, hop, ok := strings.Cut(r["queue"], `\`); ok && strings.Contains(hop, ".") {
		m.NextHop = whole(hop)
	}
	visited := false
	parts := strings.Split(strings.Trim(r["recipients"], "{}"), ", ")
	for i, part := range parts {
		to, rest, _ := strings.Cut(part, ";")
		if to = address(to); !isAddress(to) {
			continue
		}
		m.Recipient = to
		if r["lasterror"] == "" {
			// Its text may have had the mark that we cut at.
			for _, more := range parts[i+1:] {
				if next, _, _ := strings.Cut(more, ";"); isAddress(next) || len(rest) > 1<<12 {
					break
				}
				rest += ", " + more
			}
			m.Reason = ""
			if from, to := strings.Index(rest, "["), strings.LastIndex(rest, "]"); from >= 0 && to > from {
				m.Reason = rest[from : to+1]
			}
			m.RemoteHost, m.RemoteIP = exchangeRemote(m.Reason)
		}
		visited = true
		if err := c.visit(m); err != nil {
			return err
		}
	}
	if visited {
		return nil
	}
	return c.visit(m)
}

// whole gives a name that a table shows in full, "" for one that it cut.
func whole(s string) string {
	if strings.HasSuffix(s, "...") || strings.HasSuffix(s, "\u2026") {
		return ""
	}
	return s
}

// number reads a number with the marks of any language between thousands.
func number(s string) int64 {
	digits := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, s)
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n > 1<<50 {
		return 0
	}
	return n
}

// bytesIn gives the bytes of "12.34 KB (12,636 bytes)".
func bytesIn(s string) string {
	if _, in, ok := strings.Cut(s, "("); ok {
		return in
	}
	if strings.ContainsAny(s, "BKMGbkmg") {
		return ""
	}
	return s
}

var label = regexp.MustCompile(`\{(LED|MSG|FQDN|IP|LRT)=([^{}]*)\}`)

// labelled finds a part of an error of Exchange: "[{LED=421 4.4.2 ...};{FQDN=mx.example.com};{IP=192.0.2.1};{LRT=...}]".
func labelled(s, name string) string {
	for _, m := range label.FindAllStringSubmatch(s, 16) {
		if m[1] == name {
			return strings.TrimSpace(m[2])
		}
	}
	return ""
}

func exchangeRemote(reason string) (host, ip string) {
	host = labelled(reason, "FQDN")
	if a, err := netip.ParseAddr(labelled(reason, "IP")); err == nil {
		ip = a.String()
	}
	if host == "" && ip == "" {
		return remote(reason)
	}
	return host, ip
}
