package analyze

import (
	"strings"
	"time"

	"github.com/postroad/postroad/lang"
)

// bars are the steps of a sparkline, the lowest first.
var bars = []rune("▁▂▃▄▅▆▇█")

// gap stands where nothing was tried.
const gap = '·'

const (
	maxBars = 36 // columns that a sparkline may take
	minBars = 4  // bars that make a line
)

// drawn counts the parts in which something was tried.
func drawn(shares []float64) (n int) {
	for _, s := range shares {
		if s >= 0 {
			n++
		}
	}
	return n
}

// spark draws shares from 0 to 1; below 0 means that nothing was tried. Only
// all is the highest bar and only nothing the lowest: what is between is not
// rounded to them, so that a small loss is seen.
func spark(shares []float64) string {
	var b strings.Builder
	for _, s := range shares {
		switch {
		case s < 0:
			b.WriteRune(gap)
		case s >= 1:
			b.WriteRune(bars[7])
		case s <= 0:
			b.WriteRune(bars[0])
		default:
			b.WriteRune(bars[1+min(int(s*6), 5)])
		}
	}
	return b.String()
}

// squeeze joins neighbours until there are at most n: each is the mean of
// those of its parts in which something was tried.
func squeeze(shares []float64, n int) []float64 {
	for len(shares) > n {
		half := make([]float64, 0, len(shares)/2+1)
		for i := 0; i < len(shares); i += 2 {
			a, b := shares[i], -1.0
			if i+1 < len(shares) {
				b = shares[i+1]
			}
			switch {
			case a < 0:
				a = b
			case b >= 0:
				a = (a + b) / 2
			}
			half = append(half, a)
		}
		shares = half
	}
	return shares
}

// each says how long one bar of n is.
func each(t *lang.Catalogue, p Period, n int) string {
	if p.From == nil || p.To == nil || n == 0 {
		return ""
	}
	part := p.To.Sub(*p.From) / time.Duration(n)
	switch {
	case near(part, time.Hour):
		return t.Text("spark.hour", nil)
	case near(part, 24*time.Hour):
		return t.Text("spark.day", nil)
	case part >= time.Hour:
		part = part.Round(time.Minute)
	case part >= time.Minute:
		part = part.Round(time.Second)
	}
	return t.Text("spark.part", lang.Args{"Duration": t.Duration(part)})
}

// near reports whether d is a unit within a tenth: a period seldom ends on the hour.
func near(d, unit time.Duration) bool { return (d - unit).Abs() <= unit/10 }
