package detect

import (
	"fmt"
	"strings"
	"testing"

	"github.com/postroad/postroad/mail"
)

// BenchmarkDetection shows what TestDetectionGoals holds, on all volumes and
// more seeds: distinct failed messages until detection (median/worst, and how
// many were missed) by kind of trouble, and false incidents a provider-year;
// beside it a textbook CUSUM of failed attempts and one that counts each
// message once, on the same streams.
func BenchmarkDetection(b *testing.B) {
	for _, v := range volumes {
		for _, life := range lives {
			seeds := uint64(3)
			if v.perDay >= 20_000 {
				seeds = 1
			}
			if v.perDay > 1e6 && life.name != "usual" {
				continue // what differs is small providers
			}
			b.Run(fmt.Sprintf("%.0f-a-day/%s", v.perDay, life.name), func(b *testing.B) {
				var ours, book, once score
				for range b.N {
					ours, book, once = score{}, score{}, score{}
					for seed := uint64(11); seed < 11+seeds; seed++ {
						v.compete(life.make(seed, v.perDay, v.days), &ours, &book, &once)
					}
				}
				b.Logf("\n%s\n%s\n%s", ours.row("postroad"), book.row("cusum"), once.row("cusum, each message once"))
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(float64(ours.median()), "median-messages")
				b.ReportMetric(float64(ours.worst()), "worst-messages")
				b.ReportMetric(float64(len(ours.missed)), "missed")
				b.ReportMetric(float64(ours.incidents())/ours.years, "false/provider-year")
				b.ReportMetric(float64(book.incidents())/book.years, "cusum-false/provider-year")
				b.ReportMetric(float64(once.incidents())/once.years, "cusum-once-false/provider-year")
			})
		}
	}
}

// compete runs one life in peace and one with trouble past all three.
func (v watched) compete(l life, ours, book, once *score) {
	for _, peace := range []bool{true, false} {
		if !peace {
			l.plant(v.warm, v.apart, v.long)
		}
		d, b, o := New(Options{}), newTextbook(false), newTextbook(true)
		p := l.watch(func(x *Observation) {
			d.Observe(x)
			b.observe(x)
			o.observe(x)
		})
		d.Advance(simStart + int64(l.days)*day)
		ours.add(l.judge(p, alarmsOf(d.Incidents())))
		book.add(l.judge(p, b.alarms))
		once.add(l.judge(p, o.alarms))
	}
}

// row is a line of the table.
func (s *score) row(name string) string {
	var out strings.Builder
	fmt.Fprintf(&out, "  %-25s median %d worst %d missed %d of %d, false %.2f a provider-year:", name, s.median(), s.worst(),
		len(s.missed), len(s.missed)+len(s.needs), float64(s.incidents())/s.years)
	for _, t := range kinds {
		if n := s.kinds[t.name]; len(n)+s.lost[t.name] > 0 {
			fmt.Fprintf(&out, " %s %d/%d", t.name, quantile(n, 0.5), quantile(n, 1))
			if s.lost[t.name] > 0 {
				fmt.Fprintf(&out, " (-%d)", s.lost[t.name])
			}
		}
	}
	return out.String()
}

// healthy gives a detector that knows six providers in good health, and a
// stream of their deliveries.
func healthy() (*Detector, []Observation) {
	d := New(Options{})
	l := usual(1, 2000, 10)
	l.run(func(o *Observation, _ int) { d.Observe(o) })
	out := make([]Observation, 4096)
	for i := range out {
		out[i] = Observation{Message: mix(uint64(i)), Recipient: mix(uint64(i) + 1), Provider: ID(1 + i*i%6), Outcome: mail.Delivered,
			Address: ID(100*(1+i*i%6) + 1 + i%4), Source: ID(1 + i%3), SenderDomain: ID(1 + i%9), Final: true}
	}
	return d, out
}

// BenchmarkObserve is the path of a delivery at a provider in good health.
func BenchmarkObserve(b *testing.B) {
	d, stream := healthy()
	now := d.now
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		o := &stream[i%len(stream)]
		now += second / 10
		o.Time = now
		d.Observe(o)
		i++
	}
}

// BenchmarkObserveFailures is a stream of which a tenth fails.
func BenchmarkObserveFailures(b *testing.B) {
	d, stream := healthy()
	now := d.now
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		o := stream[i%len(stream)]
		now += second / 10
		o.Time = now
		if i%10 == 0 {
			o.Message, o.Outcome, o.Class = mix(uint64(i)<<20), mail.Temporary, mail.Throttling
		}
		d.Observe(&o)
		i++
	}
}
