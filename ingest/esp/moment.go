package esp

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// layouts are the forms of a time that exports write, the common ones first.
// Names of zones are not among them: only UTC has one that is the same for all.
var layouts = [...]string{
	time.RFC3339Nano,
	"2006-01-02T15:04:05.999999999Z0700",
	"2006-01-02 15:04:05.999999999Z07:00",
	"2006-01-02 15:04:05.999999999 Z07:00",
	"2006-01-02 15:04:05.999999999 Z0700",
	"2006-01-02 15:04:05.999999999 -0700 MST", // the offset counts, not the name
	"2006-01-02 15:04:05.999999999",
	"2006-01-02T15:04:05.999999999",
	"2006-01-02 15:04",
	"2006/01/02 15:04:05",
	"Mon, 2 Jan 2006 15:04:05 -0700",
	"Mon, 2 Jan 2006 15:04:05",
	"2 Jan 2006 15:04:05 -0700",
	"Jan 2, 2006 15:04:05",
	"Jan 2, 2006 3:04:05 PM",
	"2006-01-02",
}

// moment reads a time: a number since 1970 in whatever unit, or a text. The zero
// time is no time; ok is false where something stands that is none.
func moment(s string, zone *time.Location) (t time.Time, ok bool) {
	s = strings.TrimSpace(s)
	if s == "" {
		return time.Time{}, true
	}
	if len(s) > 64 {
		return time.Time{}, false
	}
	if t, ok := epoch(s); ok {
		return t, true
	}
	for _, utc := range [...]string{" UTC", " GMT", " +0000 UTC"} {
		if rest, ok := strings.CutSuffix(s, utc); ok {
			s, zone = rest, time.UTC
		}
	}
	for _, layout := range layouts {
		if t, err := time.ParseInLocation(layout, s, zone); err == nil {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}

// epoch reads seconds, milliseconds, microseconds or nanoseconds since 1970;
// the size tells which. Whole and broken part are read apart: a float64 holds
// today's seconds to a quarter of a microsecond only.
func epoch(s string) (time.Time, bool) {
	whole, part, _ := strings.Cut(s, ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || strings.TrimLeft(part, "0123456789") != "" {
		f, err := strconv.ParseFloat(s, 64)
		if err != nil || math.IsNaN(f) || f < 0 || f > math.MaxInt64/2 {
			return time.Time{}, false
		}
		n, part = int64(f), ""
	}
	if n < 0 || n > math.MaxInt64/2 {
		return time.Time{}, false
	}
	t, unit := time.Unix(n, 0), time.Second
	switch {
	case n >= 1e17:
		t, unit = time.Unix(0, n), time.Nanosecond
	case n >= 1e14:
		t, unit = time.UnixMicro(n), time.Microsecond
	case n >= 1e11:
		t, unit = time.UnixMilli(n), time.Millisecond
	}
	if part != "" {
		part = (part + "000000000")[:9]
		frac, _ := strconv.ParseInt(part, 10, 64)
		t = t.Add(time.Duration(frac) * unit / time.Second)
	}
	return t.UTC(), true
}

// seconds reads a duration that a vendor gives as a number of units.
func seconds(f float64, unit time.Duration) time.Duration {
	if f <= 0 || f*float64(unit) > float64(365*24*time.Hour) {
		return 0
	}
	return time.Duration(f * float64(unit))
}
