package message

import (
	"strings"
	"time"
)

// maxDate is the longest text that is read as a date.
const maxDate = 200

// ParseDate reads the dates that mail carries: RFC 5322 with its obsolete forms
// (two-digit years, no seconds, zone names, comments), asctime as in mbox
// lines, ISO 8601, "GMT+0200", and the month/day/year of English Windows. The
// weekday is not checked; a missing or unknown zone is UTC (RFC 5322 section
// 4.3). ok is false if there is no day, month and year in s, or if more
// follows than a date has.
func ParseDate(s string) (t time.Time, ok bool) {
	if len(s) > maxDate {
		s = s[:maxDate]
	}
	d := dateParts{year: -1, day: -1, hour: -1}
	for s != "" {
		var tok string
		if tok, s = dateToken(s); tok == "" {
			break
		}
		if !d.add(tok) {
			return time.Time{}, false
		}
	}
	return d.time()
}

// dateToken takes the next token: up to white space or a comma, without
// comments.
func dateToken(s string) (tok, rest string) {
	for {
		s = strings.TrimLeft(s, " \t\r\n,;")
		if !strings.HasPrefix(s, "(") {
			break
		}
		n := commentEnd(s)
		if n == 0 {
			return "", "" // a comment without end
		}
		s = s[n:]
	}
	n := strings.IndexAny(s, " \t\r\n,;(")
	if n < 0 {
		n = len(s)
	}
	return s[:n], s[n:]
}

type dateParts struct {
	year, day int
	month     int
	hour      int
	min, sec  int
	nsec      int
	zone      int // seconds east
	hasZone   bool
	pm, am    bool
	junk      int
}

// add takes one token in; false if it shows that the text is no date.
func (d *dateParts) add(tok string) bool {
	switch c := tok[0]; {
	case '0' <= c && c <= '9':
		return d.number(tok)
	case (c == '+' || c == '-') && len(tok) > 1:
		if off, ok := offset(tok); ok && d.hour >= 0 {
			d.zone, d.hasZone = off, true // also behind a name: GMT +0200
			return true
		}
		return d.other()
	case c == '\'' && len(tok) == 3: // '26
		return d.number(tok[1:])
	default:
		return d.word(tok)
	}
}

// other counts a token that means nothing; a few are borne.
func (d *dateParts) other() bool {
	d.junk++
	return d.junk <= 2
}

func (d *dateParts) word(tok string) bool {
	w := strings.ToLower(strings.TrimSuffix(tok, "."))
	switch w {
	case "am", "a.m":
		d.am = true
		return true
	case "pm", "p.m":
		d.pm = true
		return true
	case "at", "on", "de", "of":
		return true
	}
	if m := monthOf(w); m > 0 && d.month == 0 {
		d.month = m
		return true
	}
	if isWeekday(w) {
		return true
	}
	if i := strings.IndexAny(w, "+-"); i > 0 { // GMT+0200, UTC-5
		if off, ok := offset(w[i:]); ok && (w[:i] == "gmt" || w[:i] == "utc" || w[:i] == "ut") {
			d.zone, d.hasZone = off, true
			return true
		}
	}
	if off, ok := zoneNames(w); ok && d.hour >= 0 {
		if !d.hasZone {
			d.zone, d.hasZone = off, true
		}
		return true
	}
	return d.other()
}

// number takes a token that starts with a digit.
func (d *dateParts) number(tok string) bool {
	if i := strings.IndexByte(tok, 'T'); i == 10 && tok[4] == '-' { // ISO 8601
		return d.number(tok[:i]) && d.clock(tok[i+1:])
	}
	if strings.IndexByte(tok, ':') > 0 || strings.Count(tok, ".") == 2 && d.day >= 0 && d.year >= 0 {
		return d.clock(tok)
	}
	if i := strings.IndexAny(tok, "-/."); i > 0 && strings.Count(tok, tok[i:i+1]) == 2 {
		return d.joined(strings.Split(tok, tok[i:i+1]), tok[i])
	}
	tok = strings.TrimSuffix(tok, ".")
	n, digits := 0, 0
	for digits < len(tok) && digits < 5 && '0' <= tok[digits] && tok[digits] <= '9' {
		n = n*10 + int(tok[digits]-'0')
		digits++
	}
	if rest := strings.ToLower(tok[digits:]); rest != "" && rest != "st" && rest != "nd" && rest != "rd" && rest != "th" {
		return d.other()
	}
	switch {
	case digits <= 2 && d.day < 0:
		d.day = n
	case d.year < 0 && digits >= 2 && digits <= 4:
		d.setYear(n, digits)
	default:
		return d.other()
	}
	return true
}

// setYear applies RFC 5322 section 4.3 to years of two and three digits.
func (d *dateParts) setYear(n, digits int) {
	switch {
	case digits == 2 && n < 50:
		n += 2000
	case digits <= 3:
		n += 1900
	}
	d.year = n
}

// joined takes 2026-11-02, 02-Nov-2026, 2/11/26, 11/2/2026, 2.11.2026.
func (d *dateParts) joined(p []string, sep byte) bool {
	v := [3]int{}
	for i := range p {
		if m := monthOf(strings.ToLower(p[i])); m > 0 && i == 1 {
			d.month = m
			continue
		}
		if len(p[i]) == 0 || len(p[i]) > 4 {
			return d.other()
		}
		for _, c := range []byte(p[i]) {
			if c < '0' || c > '9' {
				return d.other()
			}
			v[i] = v[i]*10 + int(c-'0')
		}
	}
	if n := len(p[2]); len(p[0]) != 4 && n != 2 && n != 4 {
		return d.other() // 5.1.1
	}
	switch {
	case len(p[0]) == 4:
		d.year, d.day = v[0], v[2]
		if d.month == 0 {
			d.month = v[1]
		}
		return true
	case d.month > 0:
		d.day = v[0]
	case sep == '/' && v[0] <= 12: // month first, as Exchange writes it
		d.month, d.day = v[0], v[1]
	default:
		d.day, d.month = v[0], v[1]
	}
	if d.month > 12 && d.day <= 12 {
		d.month, d.day = d.day, d.month
	}
	d.setYear(v[2], len(p[2]))
	return true
}

// clock takes 15:04, 15:04:05, 15.04.05, 15:04:05.123, with a zone or AM right
// behind.
func (d *dateParts) clock(tok string) bool {
	if d.hour >= 0 {
		return d.other()
	}
	var v [3]int
	k, i := 0, 0
	for k < 3 {
		n := 0
		for i < len(tok) && n < 2 && '0' <= tok[i] && tok[i] <= '9' {
			v[k] = v[k]*10 + int(tok[i]-'0')
			i++
			n++
		}
		if n == 0 {
			return d.other()
		}
		k++
		if i >= len(tok) || tok[i] != ':' && tok[i] != '.' || k == 3 {
			break
		}
		i++
	}
	d.hour, d.min, d.sec = v[0], v[1], v[2]
	if i < len(tok) && (tok[i] == '.' || tok[i] == ',') {
		i++
		for unit := 100_000_000; i < len(tok) && '0' <= tok[i] && tok[i] <= '9'; i++ {
			d.nsec += int(tok[i]-'0') * unit
			unit /= 10
		}
	}
	if rest := tok[i:]; rest != "" {
		if off, ok := offset(rest); ok {
			d.zone, d.hasZone = off, true
			return true
		}
		return d.word(rest)
	}
	return true
}

func (d *dateParts) time() (time.Time, bool) {
	if d.year < 0 || d.month < 1 || d.month > 12 || d.day < 1 || d.day > 31 {
		return time.Time{}, false
	}
	h := max(d.hour, 0)
	if d.pm && h < 12 {
		h += 12
	}
	if d.am && h == 12 {
		h = 0
	}
	if h > 24 || d.min > 59 || d.sec > 60 {
		return time.Time{}, false
	}
	loc := time.UTC
	if d.zone != 0 {
		loc = time.FixedZone("", d.zone)
	}
	t := time.Date(d.year, time.Month(d.month), d.day, h, d.min, d.sec, d.nsec, loc)
	if h < 24 && d.sec < 60 && t.Day() != d.day {
		return time.Time{}, false // 31 February
	}
	return t, true
}

// offset reads +0200, -05:00, +2, Z; in seconds east of Greenwich.
func offset(s string) (int, bool) {
	if s == "Z" || s == "z" {
		return 0, true
	}
	if len(s) < 2 || s[0] != '+' && s[0] != '-' {
		return 0, false
	}
	var digits [4]int
	n := 0
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case '0' <= c && c <= '9' && n < 4:
			digits[n] = int(c - '0')
			n++
		case c == ':' && n >= 1 && i < len(s)-1:
		default:
			return 0, false
		}
	}
	var h, m int
	switch n {
	case 1:
		h = digits[0]
	case 2:
		h = digits[0]*10 + digits[1]
	case 3:
		h, m = digits[0], digits[1]*10+digits[2]
	default:
		h, m = digits[0]*10+digits[1], digits[2]*10+digits[3]
	}
	if h > 14 || m > 59 {
		return 0, true // nonsense: as if it were UTC
	}
	off := h*3600 + m*60
	if s[0] == '-' {
		off = -off
	}
	return off, true
}

// monthOf knows English months, short and long.
func monthOf(w string) int {
	if len(w) < 3 {
		return 0
	}
	for i, m := range [...]string{"january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december"} {
		if w == m || w == m[:3] || len(w) == 4 && w == m[:min(4, len(m))] {
			return i + 1
		}
	}
	return 0
}

func isWeekday(w string) bool {
	if len(w) < 3 {
		return false
	}
	for _, d := range [...]string{"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"} {
		if len(w) <= len(d) && w == d[:len(w)] {
			return true
		}
	}
	return false
}

// zoneNames knows the zones of RFC 5322 section 4.3 and a few that gateways
// write. What is ambiguous (BST, IST, CST of China) is as mail uses it most.
func zoneNames(w string) (int, bool) {
	const h = 3600
	switch w {
	case "ut", "utc", "gmt", "z", "wet":
		return 0, true
	case "est":
		return -5 * h, true
	case "edt":
		return -4 * h, true
	case "cst":
		return -6 * h, true
	case "cdt":
		return -5 * h, true
	case "mst":
		return -7 * h, true
	case "mdt":
		return -6 * h, true
	case "pst":
		return -8 * h, true
	case "pdt":
		return -7 * h, true
	case "hst":
		return -10 * h, true
	case "akst":
		return -9 * h, true
	case "akdt":
		return -8 * h, true
	case "bst", "cet", "met", "mez", "west":
		return h, true
	case "cest", "mest", "mesz", "eet", "sast":
		return 2 * h, true
	case "eest", "msk":
		return 3 * h, true
	case "ist":
		return 5*h + h/2, true
	case "hkt", "sgt", "awst":
		return 8 * h, true
	case "jst", "kst":
		return 9 * h, true
	case "aest":
		return 10 * h, true
	case "aedt":
		return 11 * h, true
	case "nzst":
		return 12 * h, true
	case "nzdt":
		return 13 * h, true
	}
	if len(w) == 1 { // military zones: RFC 5322 says to take them for -0000
		return 0, true
	}
	return 0, false
}
