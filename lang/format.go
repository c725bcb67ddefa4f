package lang

import (
	"strings"
	"time"

	"golang.org/x/text/number"
)

// Number groups the digits of n as the language does: 1,204 or 1 204.
func (c *Catalogue) Number(n int) string {
	if n > -1000 && n < 1000 {
		return c.small(n)
	}
	return c.printer.Sprint(number.Decimal(n))
}

// small writes a number without groups; it spares the formatter of x/text,
// which is slow to start.
func (c *Catalogue) small(n int) string {
	if n < 0 {
		return "-" + c.small(-n)
	}
	var b [3]byte
	i := len(b)
	for {
		i--
		b[i] = byte('0' + n%10)
		if n /= 10; n == 0 {
			return string(b[i:])
		}
	}
}

// Confidence writes a probability with two digits and the language's decimal
// mark: 0.93 or 0,93.
func (c *Catalogue) Confidence(p float64) string {
	hundredths := int(p*100 + 0.5)
	s := c.small(hundredths / 100)
	rest := c.small(hundredths % 100)
	if len(rest) == 1 {
		rest = "0" + rest
	}
	mark := ","
	if c.tag.String() == "en" {
		mark = "."
	}
	return s + mark + rest
}

// Percent writes a share from 0 to 1 in per cent: "61 %", with one decimal below
// one per cent. Only none is 0 and only all is 100.
func (c *Catalogue) Percent(share float64) string {
	n := c.Number(int(share*100 + 0.5))
	switch {
	case share <= 0:
		n = "0"
	case share < 0.0005:
		n = "<" + c.decimal(1)
	case share < 0.00995:
		n = c.decimal(int(share*1000 + 0.5))
	case share < 1 && share >= 0.995:
		n = "99"
	}
	return c.Text("number.percent", Args{"Number": n})
}

// decimal writes n tenths, less than ten.
func (c *Catalogue) decimal(n int) string {
	s := c.Confidence(float64(n) / 10)
	return s[:len(s)-1]
}

// Duration writes d in words of two units at most: "3 h 10 min", "2 d 4 h".
// The unit signs are those of the SI and are the same in all six languages but
// for the day, which is a text of the catalogue.
func (c *Catalogue) Duration(d time.Duration) string {
	if d < 0 {
		return "-" + c.Duration(-d)
	}
	units := []struct {
		size time.Duration
		sign string
	}{{24 * time.Hour, c.Text("unit.day", nil)}, {time.Hour, "h"}, {time.Minute, "min"}, {time.Second, "s"}}
	var parts []string
	for _, u := range units {
		n := d / u.size
		d -= n * u.size
		if n > 0 {
			parts = append(parts, c.Number(int(n))+" "+u.sign)
		}
		if len(parts) == 2 || len(parts) == 1 && n == 0 {
			break
		}
	}
	if len(parts) == 0 {
		return "0 s"
	}
	return strings.Join(parts, " ")
}

// List joins names as the language lists them: "a, b and c".
func (c *Catalogue) List(items []string) string {
	switch len(items) {
	case 0:
		return ""
	case 1:
		return items[0]
	}
	last := len(items) - 1
	return c.Text("list.last", Args{"Head": strings.Join(items[:last], ", "), "Last": items[last]})
}

// Reasons joins short grounds, each a phrase that may hold commas itself.
func (c *Catalogue) Reasons(items []string) string {
	out := ""
	for i, s := range items {
		if i == 0 {
			out = s
			continue
		}
		out = c.Text("list.reasons", Args{"Head": out, "Next": s})
	}
	return out
}
