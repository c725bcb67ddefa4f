package detect

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/postroad/postroad/mail"
)

// kinds are the troubles that are planted.
var kinds = []trouble{
	{name: "drop", class: mail.Transport, rate: 0.25},
	{name: "outage", class: mail.Transport, rate: 1},
	{name: "throttle", class: mail.Throttling, rate: 0.6},
	{name: "block", class: mail.ReputationIP, rate: 0.95, permanent: true},
	{name: "auth", class: mail.Authentication, rate: 1, permanent: true},
	{name: "tls", class: mail.TLS, also: mail.Transport, rate: 0.3},
	{name: "system", class: mail.System, rate: 0.4},
	{name: "listed", class: mail.Blocklist, also: mail.ReputationIP, rate: 0.9, permanent: true},
	{name: "content", class: mail.Content, rate: 0.5, permanent: true},
	{name: "drop2", class: mail.System, also: mail.Transport, rate: 0.25},
	{name: "ramp", class: mail.Transport, rate: 0.5, ramp: 2 * day},
}

// plant places one trouble of each kind, one after the other, at changing providers.
func (l *life) plant(firstDay, apart int, long int64) {
	at := firstDay
	for i := 0; at+apart <= l.days; i++ {
		t := kinds[i%len(kinds)]
		t.provider = l.places[(i*5+i/6)%6].id
		t.from = simStart + int64(at)*day + int64(i*7%24)*hour
		t.until = t.from + long
		if t.ramp > 0 {
			t.until += t.ramp
		}
		l.troubles = append(l.troubles, t)
		at += apart
	}
}

func usual(seed uint64, perDay float64, days int) life {
	return life{seed: seed, perDay: perDay, days: days, places: bigSix(0.002 + 0.018*float64(seed%5)/4), senders: 1 + int(seed%3)*7, sources: 1 + int(seed%4),
		weekend: 0.3, stuck: 0.002, newsletter: 0.5, letterSize: perDay, letterHit: 0.2, badLists: 0.5}
}

// exotic is a life of many habits: small receivers that greylist, clumps, a
// provider that never worked, a newcomer, weekends without mail.
func exotic(seed uint64, perDay float64, days int) life {
	l := usual(seed, perDay, days)
	six := bigSix(0.002)
	for i := range six {
		six[i].share *= 0.85
	}
	if seed%2 == 0 {
		six[2].clumps, six[2].clumpy, six[2].clumpLen = 0.3, 0.3, 8*minute
		six[3].clumps, six[3].clumpy, six[3].clumpLen = 4, 0.15, 4*minute
		six[1].clumps, six[1].clumpy, six[1].clumpLen = 0.1, 0.6, 3*minute
	}
	l.places = six
	for i := range 12 {
		l.places = append(l.places, place{id: ID(20 + i), share: 0.01, addresses: 1, grey: i%2 == 0, fault: 0.003, judged: 0.002, unknown: 0.01})
	}
	weekly := 1 / 7.0 / perDay
	l.places = append(l.places,
		place{id: 40, share: weekly, addresses: 1, dead: true},
		place{id: 41, share: 2 * weekly, addresses: 1, dead: true},
		place{id: 42, share: 6 * weekly, addresses: 1, dead: true},
		place{id: 43, share: 0.01, addresses: 2, from: simStart + int64(days/3)*day, fault: 0.002, grey: true},
		place{id: 44, share: 0.01, addresses: 2, from: simStart + int64(days/2)*day, fault: 0.03, judged: 0.01})
	if seed%3 == 0 {
		l.weekend = 0
	}
	l.holidays = true
	if seed%2 == 1 {
		l.growth = 4
	}
	if seed%4 == 1 {
		l.clients = 40
	}
	l.letterSize, l.letterHit, l.newsletter = max(1000, perDay/5), 0.5, 1
	if seed%2 == 1 {
		l.senders = 1
	}
	return l
}

// foreign is a life told in other ways: whole seconds, little known of an
// attempt, mail put off without one, throttling that differs by day.
func foreign(seed uint64, perDay float64, days int) life {
	l := usual(seed, perDay, days)
	l.seconds, l.wander = true, true
	l.bare = seed%2 == 0
	l.suspends = seed%3 != 0
	l.flat = seed%4 == 1
	l.newsletter = 0
	if seed%5 == 2 {
		l.senders, l.clients = 1, 30
	}
	return l
}

// watched is one volume as it is measured: some seeds, a run with trouble
// planted and a run of ordinary life.
type watched struct {
	perDay      float64
	days, apart int
	long        int64
	warm        int
}

var volumes = []watched{
	{30, 400, 30, 20 * day, 40},
	{120, 340, 12, 8 * day, 30},
	{2_000, 120, 6, 2 * day, 10},
	{20_000, 40, 3, 1 * day, 5},
	{100_000, 20, 2, 12 * hour, 3},
	{2_000_000, 4, 1, 3 * hour, 1},
}

var lives = []struct {
	name string
	make func(seed uint64, perDay float64, days int) life
}{{"usual", usual}, {"foreign", foreign}, {"exotic", exotic}}

// watch plants and scores; in peace nothing is planted.
func (v watched) watch(make func(uint64, float64, int) life, seed uint64) (found, peace *score) {
	l := make(seed, v.perDay, v.days)
	quiet := l
	l.plant(v.warm, v.apart, v.long)
	return l.ours(), quiet.ours()
}

// TestDetectionGoals holds what the detector has to reach on a small set of
// seeds; BenchmarkDetection shows the figures on more.
func TestDetectionGoals(t *testing.T) {
	if testing.Short() {
		t.Skip("short: months of mail are simulated")
	}
	for _, c := range []struct {
		v     watched
		seeds []uint64
	}{
		{watched{30, 300, 30, 20 * day, 40}, []uint64{1}},
		{watched{120, 340, 12, 8 * day, 30}, []uint64{1, 4}},
		{watched{2_000, 60, 8, 2 * day, 10}, []uint64{2}},
		{watched{100_000, 6, 1, 8 * hour, 1}, []uint64{3}},
	} {
		for _, life := range lives {
			t.Run(fmt.Sprintf("%.0f a day, %s", c.v.perDay, life.name), func(t *testing.T) {
				t.Parallel()
				var found, peace score
				for _, seed := range c.seeds {
					f, p := c.v.watch(life.make, seed)
					found.add(f)
					peace.add(p)
				}
				if found.median() > 5 || life.name != "exotic" && found.worst() > 12 {
					t.Errorf("found after %d failed messages, at worst %d: %v", found.median(), found.worst(), found.kinds)
				}
				if len(found.missed) > 0 {
					t.Errorf("missed %v", found.missed)
				}
				for _, s := range []*score{&found, &peace} {
					if n := s.incidents(); float64(n) > max(1, s.years/4) {
						t.Errorf("%d false incidents in %.1f provider-years: %+v", n, s.years, s.false_)
					}
				}
				if found.flapped > max(1, len(found.needs)/20) || found.unended > 0 {
					t.Errorf("%d of %d flapped, %d did not end", found.flapped, len(found.needs), found.unended)
				}
				t.Log(&found)
			})
		}
	}
}

func (i Incident) String() string {
	out := fmt.Sprintf("%d at %d %s%v scope %d/%d ordinary %.4f of %d concord %v failed %d:", i.Number, i.Provider, i.Class, i.Contributing, i.Scope, i.Target, i.Ordinary, i.OrdinaryOf, i.Concordance, i.Failed)
	for _, s := range i.Spans {
		at := func(t int64) string { return time.Unix(0, t).UTC().Format("060102T150405") }
		out += fmt.Sprintf(" [%s %s..%s %s after %d]", at(s.Began), at(s.Detected), at(s.Ended), at(s.Recovered), s.Sufficed)
	}
	return out
}

// verbose tells more, where one looks for why.
func verbose(f string, args ...any) {
	if os.Getenv("VERBOSE") != "" {
		fmt.Fprintf(os.Stderr, f, args...)
	}
}
