package maillog

import (
	"strings"
	"time"
)

const (
	daySeconds = 86400
	// slack is how far zones and clocks may put the last line behind the time of
	// its file; ahead is how far a line may lie in the future.
	slack = 1 * daySeconds
	ahead = 2 * daySeconds
	// firstYear is the first that a log of today may be from; before it there was
	// no RFC 1869, and no server that writes these logs.
	firstYear = 1995
)

// calendar gives the stamps of one file their place in time: the year that a
// traditional stamp does not have, and the right one of the two times that a
// stamp without a zone has in the hour that a clock was put back over.
//
// Both follow from the order of the lines. A stamp that lies more than
// backwards before the last one begins a new year; one that lies more than
// forwards after it belongs to the year before.
type calendar struct {
	zone   *time.Location
	latest int64 // no line is later (Unix seconds)
	first  int   // the year of the first stamp without one, 0 if not known
	fixed  bool  // it was given: a line in the future is wrong, not of last year

	walk walk
	last int64 // Unix seconds of the last line
	late int   // how many stamps would have begun a year that has not come
	slip int   // how many came since the year had to be set back, 0 if it had not

	day    int64 // the civil day that offset belongs to
	known  bool  // day is set
	plain  bool  // the zone has one offset on that day and around it
	offset int64

	text   string // the second that was read last, as it stands in the log
	buf    [20]byte
	civil  int64          // that second as if the zone were UTC
	at     int64          // that second in Unix time, if the stamp has no zone
	placed bool           // at is set
	zoned  string         // the zone that was read last, as it stands in the log
	where  *time.Location // ... what it means
	shift  int            // ... and its offset in seconds
}

// anchor is where the stamps stood before they went to another year, kept for a
// while: one line with a wrong clock (a machine that boots on 1 January) must
// not move all lines after it.
type anchor struct {
	year  int
	ord   int64
	lines int
}

const (
	backwards = 60 * daySeconds
	forwards  = 300 * daySeconds
	// doubt is for how many seconds with lines a change of year can be taken back.
	doubt = 2000
	near  = 3 * daySeconds
)

// ordinal is a stamp's place in a year that has 31 days in every month. It is
// good for comparing.
func ordinal(month, day, second int) int64 {
	return int64((month-1)*31+day-1)*daySeconds + int64(second)
}

// yearStep tells from two stamps in a row whether a year ends between them: 1,
// 0, or -1 where the second is of the year before.
func yearStep(before, after int64) int {
	switch d := after - before; {
	case d < -backwards:
		return 1
	case d > forwards:
		return -1
	}
	return 0
}

func leap(year int) bool { return year%4 == 0 && (year%100 != 0 || year%400 == 0) }

// civilDay counts the days from 1 January 1970 (Howard Hinnant, "chrono-Compatible
// Low-Level Date Algorithms").
func civilDay(year, month, day int) int64 {
	if month <= 2 {
		year--
		month += 12
	}
	era := year / 400
	yoe := year - era*400
	doy := (153*(month-3)+2)/5 + day - 1
	doe := yoe*365 + yoe/4 - yoe/100 + doy
	return int64(era)*146097 + int64(doe) - 719468
}

// walk follows stamps without a year from year to year.
type walk struct {
	year int   // of the last stamp; 0 before the first
	ord  int64 // its place in the year, see ordinal
	was  anchor
}

// next gives the year of the stamp that follows.
func (w *walk) next(ord int64) int {
	if w.was.year != 0 {
		w.was.lines++
		if w.was.lines > doubt {
			w.was.year = 0
		} else if d, e := ord-w.was.ord, ord-w.ord; -near < d && d < near && (e < -near || e > near) {
			return w.was.year
		}
	}
	return w.year + yearStep(w.ord, ord)
}

// move takes a stamp for the last.
func (w *walk) move(year int, ord int64) {
	switch {
	case w.year == 0 || year == w.year:
	case year == w.was.year:
		w.was.year = 0
	default:
		w.was = anchor{w.year, w.ord, 0}
	}
	w.year, w.ord = year, ord
}

// place gives the Unix time of a stamp without a year and a zone.
func (c *calendar) place(month, day, second int) int64 {
	ord := ordinal(month, day, second)
	year := c.first
	if c.walk.year != 0 {
		year = c.walk.next(ord)
	} else if year == 0 {
		year = c.guess(month, day, second)
	}
	if c.slip > 0 {
		c.slip++
		if year == c.walk.was.year {
			c.slip = 0 // one wrong clock
		}
	}
	if !c.fixed && c.after(year, month, day, second) {
		year--
		if year != c.walk.year {
			c.slip = 1
		} else {
			c.late++
			// A stray line, or the first year was guessed too late and all is right
			// from here on. The lines after it stay where they are.
			return c.local(civilDay(year, month, day)*daySeconds + int64(second))
		}
	}
	if month == 2 && day == 29 && !leap(year) {
		if c.fixed {
			return never.Unix()
		}
		if c.walk.year != 0 {
			c.slip = 1
		}
		for !leap(year) {
			year--
		}
	}
	c.walk.move(year, ord)
	return c.local(civilDay(year, month, day)*daySeconds + int64(second))
}

// guessedLate reports that the first year of a stream was a year too late.
func (c *calendar) guessedLate() bool { return c.late > lateLines || c.slip > lateLines }

// lateLines is how many seconds with lines beyond the end of the file's time tell
// a first year that was guessed too late from a clock that was wrong for a while.
const lateLines = 20

func (c *calendar) after(year, month, day, second int) bool {
	return civilDay(year, month, day)*daySeconds+int64(second) > c.latest
}

// guess gives the latest year that does not put a stamp into the future.
func (c *calendar) guess(month, day, second int) int {
	year := time.Unix(c.latest, 0).UTC().Year()
	for c.after(year, month, day, second) || month == 2 && day == 29 && !leap(year) {
		year--
	}
	return year
}

// local gives the Unix time of a civil time of the calendar's zone.
func (c *calendar) local(civil int64) int64 {
	if day := floorDay(civil); day != c.day || !c.known {
		c.day, c.known = day, true
		_, before := time.Unix(day*daySeconds-daySeconds, 0).In(c.zone).Zone()
		_, after := time.Unix(day*daySeconds+2*daySeconds, 0).In(c.zone).Zone()
		c.plain, c.offset = before == after, int64(before)
	}
	if c.plain {
		c.last = civil - c.offset
		return c.last
	}
	c.last = c.around(civil)
	return c.last
}

func floorDay(civil int64) int64 {
	if civil < 0 {
		return (civil - daySeconds + 1) / daySeconds
	}
	return civil / daySeconds
}

// around gives the Unix time of a civil time near a change of the clock. Of the
// two times that an hour has when the clock goes back it is the first that does
// not lie before the last line; an hour that the clock leaves out is written by
// a process that does not know of the change yet.
func (c *calendar) around(civil int64) int64 {
	_, before := time.Unix(c.day*daySeconds-daySeconds, 0).In(c.zone).Zone()
	_, after := time.Unix(c.day*daySeconds+2*daySeconds, 0).In(c.zone).Zone()
	one, two := civil-int64(before), civil-int64(after)
	oneFits, twoFits := c.fits(one, before), c.fits(two, after)
	switch {
	case oneFits && !twoFits, !oneFits && !twoFits && c.last == 0:
		return one
	case twoFits && !oneFits:
		return two
	}
	const tolerance = 300
	first, second := min(one, two), max(one, two)
	if first >= c.last-tolerance || c.last == 0 {
		return first
	}
	// So far behind the last line that the order says nothing: an older file.
	if second < c.last-3*3600 {
		return first
	}
	return second
}

func (c *calendar) fits(unix int64, offset int) bool {
	_, have := time.Unix(unix, 0).In(c.zone).Zone()
	return have == offset
}

// cut reads a stamp at the start of a line; it is a [stamp].
func (c *calendar) cut(s string) (t time.Time, rest string, ok bool) {
	if len(s) > 4 && s[3] == ' ' && isWeekday(s[:3]) {
		s = s[4:]
		for s != "" && s[0] == ' ' {
			s = s[1:]
		}
	}
	switch {
	case len(s) < 16:
		return time.Time{}, s, false
	case s[4] == '-' && isDigit(s[0]):
		return c.cutISO(s)
	case s[3] == ' ' && s[0] >= 'A':
		return c.cutTraditional(s)
	}
	return cutTime(s, firstYear, c.zone)
}

// cutTraditional reads "Jan 22 09:10:11 ".
func (c *calendar) cutTraditional(s string) (t time.Time, rest string, ok bool) {
	if len(c.text) == 15 && s[:15] == c.text && s[15] == ' ' {
		return time.Unix(c.at, 0).In(c.zone), s[16:], true
	}
	// The year 1996 stands for none: it has a 29 February.
	t, rest, year, ok := readTraditional(s, 1996, time.UTC)
	if !ok {
		return t, s, false
	}
	if t.Equal(never) {
		return t, rest, true
	}
	second := t.Hour()*3600 + t.Minute()*60 + t.Second()
	if year {
		c.at = c.local(t.Unix())
	} else {
		c.at = c.place(int(t.Month()), t.Day(), second)
	}
	c.text = ""
	if len(s)-len(rest) == 16 {
		c.keep(s[:15])
	}
	return time.Unix(c.at, int64(t.Nanosecond())).In(c.zone), rest, true
}

// cutISO reads "2024-01-22T09:10:11.123456+01:00 " and its relatives.
func (c *calendar) cutISO(s string) (t time.Time, rest string, ok bool) {
	if len(s) < 19 {
		return t, s, false
	}
	if s[:19] != c.text {
		t, _, ok := cutISO(s[:19], time.UTC)
		if !ok {
			return t, s, false
		}
		c.keep(s[:19])
		c.civil, c.placed = t.Unix(), false
	}
	nano := int64(0)
	rest = s[19:]
	if len(rest) > 1 && (rest[0] == '.' || rest[0] == ',') && isDigit(rest[1]) {
		unit, i := int64(100_000_000), 1
		for ; i < len(rest) && isDigit(rest[i]); i++ {
			nano += int64(rest[i]-'0') * unit
			unit /= 10
		}
		rest = rest[i:]
	}
	rest = strings.TrimLeft(rest, " ")
	if n := len(c.zoned); n == 0 || len(rest) <= n || rest[:n] != c.zoned {
		zone, after := cutZone(rest, nil)
		if zone == nil {
			if !c.placed {
				c.at, c.placed = c.local(c.civil), true
			}
			return time.Unix(c.at, nano).In(c.zone), strings.TrimLeft(after, " "), true
		}
		c.zoned, c.where = strings.Clone(rest[:len(rest)-len(after)]), zone
		_, c.shift = time.Unix(c.civil, 0).In(zone).Zone()
	}
	return time.Unix(c.civil-int64(c.shift), nano).In(c.where), strings.TrimLeft(rest[len(c.zoned):], " "), true
}

// keep remembers the second that was read last.
func (c *calendar) keep(s string) {
	c.text = view(c.buf[:copy(c.buf[:], s)])
}
