package queue

import (
	"strconv"
	"strings"
	"time"
)

// ctime reads "Mon Jan 22 09:10:00", with or without seconds, which has no year:
// the day of the week tells it, if the listing is not many years old.
func (o *Options) ctime(s string) (t time.Time, ok bool) {
	for _, layout := range []string{"Mon Jan _2 15:04:05", "Mon Jan _2 15:04"} {
		if t, err := time.Parse(layout, s); err == nil {
			return o.withYear(t, s[:3]), true
		}
	}
	return t, false
}

func (o *Options) withYear(t time.Time, weekday string) time.Time {
	written := o.written()
	if written.IsZero() {
		return time.Time{}
	}
	const slack = 36 * time.Hour // clocks and zones differ
	var first time.Time
	for year := written.Year() + 1; year > written.Year()-8; year-- {
		at := time.Date(year, t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), 0, o.Zone)
		if at.Day() != t.Day() || at.After(written.Add(slack)) {
			continue
		}
		if at.Weekday().String()[:3] == weekday {
			return at.UTC()
		}
		if first.IsZero() {
			first = at.UTC()
		}
	}
	return first
}

// age reads "25m", "4d" and gives the time that long before the listing was written.
func (o *Options) age(s string) (t time.Time, ok bool) {
	if len(s) < 2 {
		return t, false
	}
	unit, known := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour}[s[len(s)-1]]
	n, err := strconv.ParseUint(s[:len(s)-1], 10, 16)
	if !known || err != nil {
		return t, false
	}
	if written := o.written(); !written.IsZero() {
		t = written.Add(-time.Duration(n) * unit).UTC()
	}
	return t, true
}

// epoch gives the time of seconds since 1970; zero of what cannot be one.
func epoch(n int64) time.Time {
	if n <= 0 || n > 1<<36 {
		return time.Time{}
	}
	return time.Unix(n, 0).UTC()
}

// local reads a date and time as Windows writes them in some language; zero where
// it is none. "3/4/2024 9:10:00 AM" has the month first, "3/4/2024 09:10:00" the day.
func (o *Options) local(s string) time.Time {
	s = strings.TrimSpace(strings.NewReplacer("\u202f", " ", "\u00a0", " ", "\u200e", "").Replace(s))
	if ms, ok := strings.CutPrefix(s, "/Date("); ok {
		ms, _, _ = strings.Cut(ms, ")")
		if i := strings.LastIndexAny(ms, "+-"); i > 0 {
			ms = ms[:i]
		}
		n, err := strconv.ParseInt(ms, 10, 64)
		if err != nil || n <= 0 {
			return time.Time{}
		}
		return epoch(n / 1000)
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05"} {
		if t, err := time.ParseInLocation(layout, s, o.Zone); err == nil {
			return t.UTC()
		}
	}
	n := strings.FieldsFunc(s, func(r rune) bool { return r < '0' || r > '9' })
	if len(n) < 5 || len(n) > 7 {
		return time.Time{}
	}
	var v [7]int
	for i, f := range n {
		v[i], _ = strconv.Atoi(f)
	}
	lower := strings.ToLower(s)
	morning := strings.HasSuffix(lower, "am") || strings.HasSuffix(lower, "a.m.") || strings.HasSuffix(lower, "a. m.")
	evening := strings.HasSuffix(lower, "pm") || strings.HasSuffix(lower, "p.m.") || strings.HasSuffix(lower, "p. m.")
	year, month, day := v[2], v[1], v[0]
	if len(n[2]) == 2 && len(n[0]) <= 2 {
		year += 2000
	}
	switch {
	case len(n[0]) == 4:
		year, month, day = v[0], v[1], v[2]
	case v[1] > 12, strings.Contains(s, "/") && (morning || evening) && v[0] <= 12:
		month, day = v[0], v[1]
	}
	hour := v[3]
	switch {
	case evening && hour < 12:
		hour += 12
	case morning && hour == 12:
		hour = 0
	}
	if year < 1990 || year > 2200 || month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || v[4] > 59 || v[5] > 59 {
		return time.Time{}
	}
	return time.Date(year, time.Month(month), day, hour, v[4], v[5], 0, o.Zone).UTC()
}
