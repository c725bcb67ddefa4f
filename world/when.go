package world

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Moment is a time in a scenario: written as an offset from the begin of the
// clock ("90m", "2d6h") or as a time (RFC 3339). The zero value is no limit.
type Moment struct {
	set    bool
	offset time.Duration
	at     time.Time
}

// After gives the moment at an offset from the begin of the clock, for scenarios
// that are made in Go.
func After(d time.Duration) Moment { return Moment{set: true, offset: d} }

// At gives the moment of a time.
func At(t time.Time) Moment { return Moment{set: true, at: t} }

// UnmarshalText reads either form.
func (m *Moment) UnmarshalText(text []byte) error {
	s := string(text)
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		*m = Moment{set: true, at: t}
		return nil
	}
	d, err := parseDuration(s)
	if err != nil {
		return fmt.Errorf("%q is neither an offset (1h30m, 2d) nor a time (2026-01-22T09:00:00Z)", s)
	}
	*m = Moment{set: true, offset: d}
	return nil
}

// in gives the time, with the clock that began at start.
func (m Moment) in(start time.Time) time.Time {
	if m.at.IsZero() {
		return start.Add(m.offset)
	}
	return m.at
}

// Duration is a time span of the simulated clock: "5m", "36h", "2d".
type Duration time.Duration

// UnmarshalText reads what [time.ParseDuration] does, and days.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := parseDuration(string(text))
	*d = Duration(v)
	return err
}

const maxDuration = 10 * 365 * 24 * time.Hour

func parseDuration(s string) (time.Duration, error) {
	days, rest := 0, s
	if n, after, ok := strings.Cut(s, "d"); ok {
		v, err := strconv.Atoi(n)
		if err != nil || v < 0 || v > 3650 {
			return 0, fmt.Errorf("%q is no duration", s)
		}
		days, rest = v, after
	}
	d := time.Duration(days) * 24 * time.Hour
	if rest != "" || s == "" {
		more, err := time.ParseDuration(rest)
		if err != nil {
			return 0, fmt.Errorf("%q is no duration: write it as 90s, 5m, 36h or 2d", s)
		}
		d += more
	}
	if d < 0 || d > maxDuration {
		return 0, fmt.Errorf("%q is not between 0 and ten years", s)
	}
	return d, nil
}

// Daily is a time of day in UTC, "09:00-11:30"; over midnight too. The zero
// value is all day.
type Daily struct {
	from, until time.Duration
	set         bool
}

// UnmarshalText reads "09:00-11:30".
func (d *Daily) UnmarshalText(text []byte) error {
	from, until, ok := strings.Cut(string(text), "-")
	a, err1 := clockTime(from)
	b, err2 := clockTime(until)
	if err := errors.Join(err1, err2); !ok || err != nil || a == b {
		return fmt.Errorf("%q is no time of day: write it as 09:00-11:30 (UTC)", text)
	}
	*d = Daily{from: a, until: b, set: true}
	return nil
}

func clockTime(s string) (time.Duration, error) {
	if s == "24:00" {
		return 24 * time.Hour, nil
	}
	t, err := time.Parse("15:04", s)
	return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute, err
}

func (d Daily) holds(now time.Time) bool {
	if !d.set {
		return true
	}
	at := now.UTC().Sub(now.UTC().Truncate(24 * time.Hour))
	if d.from < d.until {
		return d.from <= at && at < d.until
	}
	return at >= d.from || at < d.until
}

// next gives the next time after now at which the answer of holds may change.
func (d Daily) next(now time.Time) time.Time {
	midnight := now.UTC().Truncate(24 * time.Hour)
	for _, t := range []time.Time{midnight.Add(min(d.from, d.until)), midnight.Add(max(d.from, d.until))} {
		if t.After(now) {
			return t
		}
	}
	return midnight.Add(24*time.Hour + min(d.from, d.until))
}
