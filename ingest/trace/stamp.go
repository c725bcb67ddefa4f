package trace

import (
	"strings"
	"time"
	"unicode/utf8"
)

// stamp is a time as a row gives it. Where day and month could be either, it
// waits for what the other rows say.
type stamp struct {
	at     time.Time // complete unless either
	either bool      // a and b are day and month in one order or the other
	year   int
	a, b   int
	clock  time.Duration
	zone   *time.Location
}

// time gives the time, with the day before the month or not.
func (s stamp) time(dayFirst bool) time.Time {
	if !s.either {
		return s.at
	}
	month, day := s.a, s.b
	if dayFirst {
		month, day = s.b, s.a
	}
	return clockTime(s.year, month, day, s.clock, s.zone)
}

// clockTime is what a clock on the wall shows at a date: the clock counts, not
// the hours that have passed since midnight.
func clockTime(year, month, day int, clock time.Duration, zone *time.Location) time.Time {
	h, m, s := int(clock/time.Hour), int(clock/time.Minute%60), int(clock/time.Second%60)
	return time.Date(year, time.Month(month), day, h, m, s, int(clock%time.Second), zone).UTC()
}

// order is what the rows so far say of the order of day and month.
type order struct {
	day, month int // rows in which the one or the other is certain to be first
}

func (o *order) dayFirst(otherwise bool) bool {
	if o.day == o.month {
		return otherwise
	}
	return o.day > o.month
}

// parseStamp reads a time in the forms of exports and of PowerShell in any
// culture. ok is false for what is none.
func parseStamp(s string, zone *time.Location, o *order) (st stamp, ok bool) {
	s = strings.TrimSpace(s)
	if len(s) < 8 || len(s) > 100 {
		return stamp{}, false
	}
	if t, ok := isoTime(s, zone); ok {
		return stamp{at: t}, true
	}
	if ms, ok := strings.CutPrefix(s, "/Date("); ok {
		return epoch(ms)
	}
	p := scanner{s: s}
	p.date()
	if !p.fine || !p.time(zone) {
		return stamp{}, false
	}
	if p.year < 100 {
		p.year += 2000
	}
	switch {
	case p.year < 1990 || p.year > 2199:
		return stamp{}, false
	case p.month > 0:
		return onDay(p.year, p.month, p.a, p.clock, p.zone)
	case p.a > 12:
		o.day++
		return onDay(p.year, p.b, p.a, p.clock, p.zone)
	case p.b > 12:
		o.month++
		return onDay(p.year, p.a, p.b, p.clock, p.zone)
	case p.a < 1 || p.b < 1:
		return stamp{}, false
	case p.a == p.b:
		return onDay(p.year, p.a, p.b, p.clock, p.zone)
	}
	return stamp{either: true, year: p.year, a: p.a, b: p.b, clock: p.clock, zone: p.zone}, true
}

func onDay(year, month, day int, clock time.Duration, zone *time.Location) (stamp, bool) {
	if month < 1 || month > 12 || day < 1 || day > 31 {
		return stamp{}, false
	}
	return stamp{at: clockTime(year, month, day, clock, zone)}, true
}

// isoTime reads the forms that begin with the year.
func isoTime(s string, zone *time.Location) (time.Time, bool) {
	if len(s) < 10 || s[4] != '-' && s[4] != '/' && s[4] != '.' || s[7] != s[4] {
		return time.Time{}, false
	}
	year, month, day := number(s[:4]), number(s[5:7]), number(s[8:10])
	if year < 1990 || year > 2199 || month < 1 || month > 12 || day < 1 || day > 31 {
		return time.Time{}, false
	}
	p := scanner{s: s, i: 10, fine: true}
	if p.i < len(s) && (s[p.i] == 'T' || s[p.i] == 't') {
		p.i++
	}
	if !p.time(zone) {
		return time.Time{}, false
	}
	return clockTime(year, month, day, p.clock, p.zone), true
}

// epoch reads what ConvertTo-Json of Windows PowerShell makes of a time:
// milliseconds since 1970.
func epoch(s string) (stamp, bool) {
	v, n := int64(0), 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' && n < 15 {
		v = v*10 + int64(s[n]-'0')
		n++
	}
	t := time.UnixMilli(v).UTC()
	return stamp{at: t}, n >= 10 && t.Year() >= 1990 && t.Year() < 2200
}

// number gives the value of a text of digits, -1 for another one.
func number(s string) int {
	v := 0
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return -1
		}
		v = v*10 + int(s[i]-'0')
	}
	return v
}

// scanner reads a time from left to right.
type scanner struct {
	s     string
	i     int
	fine  bool
	a, b  int // first and second number of the date
	month int // where it stands as a word; the day is a
	year  int
	clock time.Duration
	zone  *time.Location
}

// digits reads a number of at most four digits.
func (p *scanner) digits() int {
	from := p.i
	for p.i < len(p.s) && p.s[p.i] >= '0' && p.s[p.i] <= '9' && p.i < from+4 {
		p.i++
	}
	if p.i == from {
		return -1
	}
	return number(p.s[from:p.i])
}

// blanks steps over white space, also the narrow kinds that new cultures put
// before AM and PM.
func (p *scanner) blanks() {
	for p.i < len(p.s) {
		r, n := utf8.DecodeRuneInString(p.s[p.i:])
		switch r {
		case ' ', '\t', ',', '\u00a0', '\u202f', '\u2009', '\u200e', '\u200f':
			p.i += n
		default:
			return
		}
	}
}

// word reads letters.
func (p *scanner) word() string {
	from := p.i
	for p.i < len(p.s) {
		c := p.s[p.i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0xc3 && c <= 0xc5 {
			p.i++
			continue
		}
		if c >= 0x80 && c < 0xc0 && p.i > from {
			p.i++
			continue
		}
		break
	}
	return p.s[from:p.i]
}

// date reads "10/12/2026", "12.10.26", "12-10-2026" or one with the month as a
// word: "Monday, October 12, 2026", "12 oct. 2026", "12. Oktober 2026".
func (p *scanner) date() {
	var numbers [3]int
	n, month := 0, 0
	for n < 3 && (month == 0 || n < 2) {
		p.blanks()
		if p.i >= len(p.s) {
			return
		}
		if c := p.s[p.i]; c >= '0' && c <= '9' {
			from := p.i
			numbers[n] = p.digits()
			if n++; n < 2 && p.i-from > 2 {
				return
			}
			if p.i < len(p.s) && strings.IndexByte("/.-", p.s[p.i]) >= 0 && (n < 3) {
				p.i++
			}
			continue
		}
		w := p.word()
		if w == "" {
			return
		}
		if m := monthOf(w); m > 0 {
			month = m
		}
		if p.i < len(p.s) && (p.s[p.i] == '.' || p.s[p.i] == '-') {
			p.i++
		}
	}
	p.fine = true
	p.a, p.b, p.year, p.month = numbers[0], numbers[1], numbers[2], month
	if month > 0 {
		p.year = numbers[1]
	}
}

// monthOf knows the months by their first letters, in six languages.
func monthOf(w string) int {
	w = canonical(w)
	if len(w) < 3 {
		return 0
	}
	const known = "jan1 ene1 gen1 janv1 feb2 fev2 fevr2 mar3 mrz3 mae3 apr4 avr4 abr4 mai5 may5 mag5 jun6 juin6 giu6 " +
		"jul7 juil7 lug7 aug8 aou8 ago8 sep9 set9 oct10 okt10 ott10 out10 nov11 dec12 dez12 dic12"
	best, length := 0, 0
	for k := range strings.FieldsSeq(known) {
		name := strings.TrimRight(k, "0123456789")
		if strings.HasPrefix(w, name) && len(name) > length && len(w) < 11 {
			best, length = number(k[len(name):]), len(name)
		}
	}
	if strings.HasPrefix(w, "mart") || strings.HasPrefix(w, "mard") || strings.HasPrefix(w, "marte") {
		return 0 // Tuesday
	}
	return best
}

// time reads the clock and the zone that may follow a date; none is midnight.
func (p *scanner) time(zone *time.Location) bool {
	p.zone = zone
	p.blanks()
	if p.i == len(p.s) {
		return true
	}
	for w := p.word(); w != ""; w = p.word() { // "at", "um", "a las", "à"
		p.blanks()
		if p.i == len(p.s) || len(w) > 4 {
			return false
		}
	}
	h, m, s := p.digits(), 0, 0
	var frac time.Duration
	if h < 0 || h > 24 {
		return false
	}
	if p.i < len(p.s) && strings.IndexByte(":.h", p.s[p.i]) >= 0 {
		p.i++
		m = p.digits()
		if p.i < len(p.s) && (p.s[p.i] == ':' || p.s[p.i] == '.') {
			p.i++
			s = p.digits()
			frac = p.fraction()
		}
	}
	if m < 0 || m > 59 || s < 0 || s > 60 {
		return false
	}
	p.blanks()
	if half := p.half(); half != 0 {
		if h < 1 || h > 12 {
			return false
		}
		h = h%12 + 12*(half-1)
	}
	p.clock = time.Duration(h)*time.Hour + time.Duration(m)*time.Minute + time.Duration(s)*time.Second + frac
	p.blanks()
	return p.offset() && p.i == len(p.s)
}

func (p *scanner) fraction() time.Duration {
	if p.i+1 >= len(p.s) || p.s[p.i] != '.' && p.s[p.i] != ',' || p.s[p.i+1] < '0' || p.s[p.i+1] > '9' {
		return 0
	}
	p.i++
	v, unit := time.Duration(0), 100*time.Millisecond
	for ; p.i < len(p.s) && p.s[p.i] >= '0' && p.s[p.i] <= '9'; p.i++ {
		v += unit * time.Duration(p.s[p.i]-'0')
		unit /= 10
	}
	return v
}

// half reads AM (1) and PM (2), also as "a. m.".
func (p *scanner) half() int {
	if p.i >= len(p.s) {
		return 0
	}
	h := 0
	switch p.s[p.i] {
	case 'a', 'A':
		h = 1
	case 'p', 'P':
		h = 2
	default:
		return 0
	}
	at := p.i
	p.i++
	for p.i < len(p.s) && (p.s[p.i] == '.' || p.s[p.i] == ' ') {
		p.i++
	}
	p.blanks()
	if p.i >= len(p.s) || p.s[p.i] != 'm' && p.s[p.i] != 'M' {
		p.i = at
		return 0
	}
	p.i++
	if p.i < len(p.s) && p.s[p.i] == '.' {
		p.i++
	}
	return h
}

// offset reads Z, UTC, GMT and +02:00.
func (p *scanner) offset() bool {
	p.i += len(p.s[p.i:]) - len(strings.TrimLeft(p.s[p.i:], "( "))
	switch rest := strings.ToUpper(strings.TrimRight(p.s[p.i:], ") ")); {
	case rest == "":
		return true
	case rest == "Z" || rest == "UTC" || rest == "GMT":
		p.zone, p.i = time.UTC, len(p.s)
		return true
	case strings.HasPrefix(rest, "UTC") || strings.HasPrefix(rest, "GMT"):
		p.i += 3
	}
	zone, ok := offsetZone(strings.TrimRight(p.s[p.i:], ") "))
	if ok {
		p.zone, p.i = zone, len(p.s)
	}
	return ok
}

// offsetZone reads "+02:00", "-0330", "+2".
func offsetZone(s string) (*time.Location, bool) {
	sign := 1
	switch {
	case strings.HasPrefix(s, "+"):
	case strings.HasPrefix(s, "-"):
		sign = -1
	default:
		return nil, false
	}
	s = s[1:]
	h, m := s, "0"
	if i := strings.IndexByte(s, ':'); i >= 0 {
		h, m = s[:i], s[i+1:]
	} else if len(s) == 4 {
		h, m = s[:2], s[2:]
	}
	hours, minutes := number(h), number(m)
	if h == "" || m == "" || len(h) > 2 || len(m) > 2 || hours < 0 || hours > 14 || minutes < 0 || minutes > 59 {
		return nil, false
	}
	if hours == 0 && minutes == 0 {
		return time.UTC, true
	}
	return time.FixedZone("", sign*(hours*3600+minutes*60)), true
}
