package detect

import (
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"testing"

	"github.com/postroad/postroad/lang"
	"github.com/postroad/postroad/mail"
)

// stream is a life with trouble, and long enough to see ends and relapses.
func stream(seed uint64) []Observation {
	l := foreign(seed, 400, 50)
	l.plant(12, 5, 2*day)
	l.troubles = append(l.troubles, trouble{name: "again", class: mail.Transport, provider: l.troubles[0].provider, rate: 0.8,
		from: l.troubles[0].until + 3*day, until: l.troubles[0].until + 4*day})
	var all []Observation
	l.run(func(o *Observation, _ int) { all = append(all, *o) })
	return all
}

func watch(all []Observation) []Incident {
	d := New(Options{})
	for i := range all {
		d.Observe(&all[i])
	}
	return d.Incidents()
}

func TestSameInputSameAnswer(t *testing.T) {
	all := stream(1)
	if a, b := watch(all), watch(all); !reflect.DeepEqual(a, b) || len(a) < 5 {
		t.Fatalf("%d and %d incidents", len(a), len(b))
	}
}

// TestOrderWithinOneTimeDoesNotMatter shuffles what happened in the same second.
func TestOrderWithinOneTimeDoesNotMatter(t *testing.T) {
	all := stream(2)
	want := watch(all)
	rng := rand.New(rand.NewPCG(1, 1))
	same := 0
	for range 3 {
		shuffled := slices.Clone(all)
		for i := 0; i < len(all); {
			k := i
			for k < len(all) && all[k].Time == all[i].Time {
				k++
			}
			part := shuffled[i:k]
			rng.Shuffle(len(part), func(a, b int) { part[a], part[b] = part[b], part[a] })
			same += k - i - 1
			i = k
		}
		if got := watch(shuffled); !reflect.DeepEqual(got, want) {
			t.Fatalf("another order within a second gives\n%v\nwant\n%v", got, want)
		}
	}
	if same < 100 {
		t.Fatalf("only %d observations share a time with another", same)
	}
}

// TestWhatComesLaterChangesNothing feeds beginnings of the stream: what had
// been detected by then, and when it was, is the same.
func TestWhatComesLaterChangesNothing(t *testing.T) {
	all := stream(3)
	whole := watch(all)
	if len(whole) < 4 {
		t.Fatalf("only %d incidents", len(whole))
	}
	relapses := 0
	for cut := len(all) / 10; cut < len(all); cut += len(all) / 10 {
		for cut < len(all) && all[cut].Time == all[cut-1].Time {
			cut++
		}
		now := all[cut-1].Time
		part := watch(all[:cut])
		for k, i := range whole {
			var spans []Span
			for _, s := range i.Spans {
				if s.Detected > now {
					break
				}
				if s.Recovered > now {
					s.Ended, s.Recovered = 0, 0
				}
				spans = append(spans, s)
			}
			if len(spans) == 0 {
				if len(part) > k {
					t.Fatalf("by %d: %d incidents, later %d of them", now, len(part), k)
				}
				break
			}
			relapses += len(spans) - 1
			if len(part) <= k || !slices.Equal(part[k].Spans, spans) || part[k].Provider != i.Provider {
				t.Fatalf("by %d: %v, later %v", now, part[k:], spans)
			}
		}
	}
	if relapses == 0 {
		t.Fatal("no relapse was seen")
	}
}

func TestSpansAreInOrder(t *testing.T) {
	for seed := uint64(1); seed <= 6; seed++ {
		open := map[[2]int]bool{}
		for _, i := range watch(stream(seed)) {
			for k, s := range i.Spans {
				if s.Began > s.Detected || s.Ended != 0 && (s.Ended < s.Detected || s.Recovered < s.Ended) || s.Sufficed < 1 ||
					s.Ended == 0 && k != len(i.Spans)-1 || k > 0 && s.Began < i.Spans[k-1].Ended {
					t.Errorf("seed %d: %v", seed, i.String())
				}
			}
			if key := [2]int{int(i.Provider), int(i.group)}; i.Open() {
				if open[key] {
					t.Errorf("two open incidents for one provider and cause: %v", i.String())
				}
				open[key] = true
			}
		}
	}
}

// TestRetriesAreOnePieceOfEvidence has single messages that one receiver never
// takes, tried again and again for days.
func TestRetriesAreOnePieceOfEvidence(t *testing.T) {
	d := New(Options{})
	now := simStart
	for i := range 20_000 {
		now += 5 * minute
		o := Observation{Time: now, Message: mix(uint64(i)), Recipient: mix(uint64(i) + 7), Provider: 1, Outcome: mail.Delivered}
		if i%2 == 0 && i > 3000 { // two messages that come up again and again
			o.Message, o.Recipient = uint64(i%4)+1, uint64(i%4)+1
			o.Outcome, o.Class = mail.Temporary, mail.Transport
		}
		d.Observe(&o)
	}
	if i := d.Incidents(); len(i) != 0 {
		t.Fatalf("%v", i)
	}
}

// TestNewsletterThrottledForMinutes is ordinary life: one sender's thousand
// recipients meet a limit that lifts.
func TestNewsletterThrottledForMinutes(t *testing.T) {
	for _, perDay := range []float64{120, 1200, 12_000} {
		l := life{seed: 5, perDay: perDay, days: 60, places: bigSix(0.004), senders: 8, weekend: 0.3, newsletter: 2, letterSize: 1500, letterHit: 1}
		if s := l.ours(); s.incidents() > 0 {
			t.Errorf("%.0f a day: %+v", perDay, s.false_)
		}
	}
}

// TestProviderThatNeverWorked is no incident: nothing has changed.
func TestProviderThatNeverWorked(t *testing.T) {
	l := quiet(4, 200, 200)
	l.places = append(l.places, place{id: 60, share: 1.0 / 7 / 200, addresses: 1, dead: true}, place{id: 61, share: 3.0 / 7 / 200, addresses: 1, dead: true})
	_, all := l.oursAnd()
	for _, i := range all {
		if i.Provider >= 60 {
			t.Error(i.String())
		}
	}
}

// TestInsideTheTrouble begins when it has long begun: no before, but the other
// providers and different recipients.
func TestInsideTheTrouble(t *testing.T) {
	for _, rate := range []float64{0.4, 1} {
		l := quiet(6, 300, 3)
		l.troubles = []trouble{{provider: 2, class: mail.Transport, rate: rate, from: simStart - day, until: simStart + 30*day}}
		ms, as := study(l)
		if len(ms) != 1 || ms[0].Incident.Provider != 2 || ms[0].BaselineRate != nil || as[0].Confidence > 0.75 ||
			!slices.ContainsFunc(as[0].Against, func(r Reason) bool { return r.Key == "detect.against.no-before" }) {
			t.Errorf("%.1f: %d incidents, %+v", rate, len(ms), as)
		}
	}
}

// TestPartialOutageDoesNotFlap holds an incident open while a quarter fails.
// TestInsideTheTroubleWhileOthersWork: ten messages to ten people in two and a
// half days, all refused, where little mail to another provider arrives. A
// single mailbox that refuses as often is none.
func TestInsideTheTroubleWhileOthersWork(t *testing.T) {
	run := func(people uint64) []Incident {
		d := New(Options{})
		now := 1_700_000_000 * second
		for n := range uint64(30) {
			now += 2 * hour
			o := Observation{Time: now, Message: mix(n), Mail: mix(n), Recipient: mix(n + 1000), Provider: 2, Outcome: mail.Delivered, Final: true}
			if n%3 == 0 {
				o.Provider, o.Outcome, o.Class = 1, mail.Permanent, mail.Blocklist
				o.Recipient = mix(2000 + n/3%people)
			}
			d.Observe(&o)
		}
		return d.Incidents()
	}
	if i := run(10); len(i) != 1 || i[0].Provider != 1 || !i[0].Open() {
		t.Errorf("ten people: %+v", i)
	}
	if i := run(1); len(i) != 0 {
		t.Errorf("one mailbox: %+v", i)
	}
}

// TestSmallLimitForAnHour: one message in eight put off for an hour is ordinary
// life, one in two is a limit that somebody must know of.
func TestSmallLimitForAnHour(t *testing.T) {
	for every, want := range map[uint64]int{8: 0, 2: 1} {
		d := New(Options{})
		now := 1_700_000_000 * second
		for n := range uint64(6200) {
			now += minute
			o := Observation{Time: now, Message: mix(n), Mail: mix(n), Recipient: mix(n + 10000), SenderDomain: 1 + ID(n%5), Provider: 1, Outcome: mail.Delivered, Final: true}
			if n >= 6000 && n < 6120 && n%every == 0 {
				o.Outcome, o.Class, o.Final = mail.Temporary, mail.Throttling, false
			}
			d.Observe(&o)
		}
		if i := d.Incidents(); len(i) != want {
			t.Errorf("one in %d: %d incidents, want %d: %+v", every, len(i), want, i)
		}
	}
}

func TestPartialOutageDoesNotFlap(t *testing.T) {
	for seed := uint64(1); seed <= 4; seed++ {
		l := quiet(seed, 2000, 40)
		l.troubles = []trouble{{name: "drop", provider: 3, class: mail.Transport, rate: 0.25, from: simStart + 10*day, until: simStart + 30*day}}
		s := l.ours()
		if len(s.needs) != 1 || s.flapped > 0 || s.unended > 0 {
			t.Errorf("seed %d: %v", seed, s)
		}
		if len(s.recovery) > 0 && s.recovery[0] > day {
			t.Errorf("seed %d: the end was certain %d h after it", seed, s.recovery[0]/hour)
		}
	}
}

// TestMillionProviders holds the memory of a pile of foreign domains: each
// with a delivery, some with failures.
func TestMillionProviders(t *testing.T) {
	if testing.Short() {
		t.Skip("short: a million observations and their memory")
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	d := New(Options{})
	for i := range 1_000_000 {
		o := Observation{Time: simStart + int64(i)*second, Message: mix(uint64(i)), Recipient: mix(uint64(i)), Provider: ID(i + 1), Address: ID(i + 1), Outcome: mail.Delivered}
		if i%3 == 0 {
			o.Outcome, o.Class = mail.Temporary, mail.Greylisting
		}
		d.Observe(&o)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if n := len(d.Incidents()); n != 0 {
		t.Errorf("%d incidents", n)
	}
	if mb := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) >> 20; mb > 100 {
		t.Errorf("%d MB are held", mb)
	}
	if len(d.providers) > 20_000 || len(d.tiny) > maxTiny {
		t.Errorf("%d providers in full, %d small", len(d.providers), len(d.tiny))
	}
	runtime.KeepAlive(d)
}

// TestManyDeadProviders holds the memory where tens of thousands never work.
func TestManyDeadProviders(t *testing.T) {
	if testing.Short() {
		t.Skip("short: a million observations and their memory")
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	d := New(Options{})
	for i := range 1_000_000 {
		o := Observation{Time: simStart + int64(i)*second/10, Message: mix(uint64(i)), Recipient: mix(uint64(i)), Provider: ID(i%25_000 + 1), Address: ID(i % 50_000), Outcome: mail.Permanent, Class: mail.DNS}
		d.Observe(&o)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if mb := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) >> 20; mb > 160 {
		t.Errorf("%d MB are held", mb)
	}
	runtime.KeepAlive(d)
}

func TestHealthyPathDoesNotAllocate(t *testing.T) {
	d, stream := healthy()
	now, i := d.now, 0
	if n := testing.AllocsPerRun(2000, func() {
		now += second / 10
		stream[i%len(stream)].Time = now
		d.Observe(&stream[i%len(stream)])
		i++
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestReasonsHaveWords holds reasons and catalogue in step: each placeholder of
// each text is a field of Reason that its reason fills.
func TestReasonsHaveWords(t *testing.T) {
	fields := map[string]func(*Reason) bool{
		"Count": func(*Reason) bool { return true }, "Of": func(r *Reason) bool { return r.Of > 0 },
		"Share": func(r *Reason) bool { return r.Share > 0 }, "Before": func(*Reason) bool { return true },
		"Factor": func(r *Reason) bool { return r.Factor > 0 }, "Address": func(r *Reason) bool { return len(r.Addresses) > 0 },
		"Source": func(r *Reason) bool { return len(r.Sources) > 0 }, "Provider": func(r *Reason) bool { return len(r.Providers) > 0 },
		"Domain": func(r *Reason) bool { return len(r.Domains) > 0 }, "Time": func(r *Reason) bool { return r.Time != 0 },
		"Duration": func(r *Reason) bool { return r.Duration > 0 }, "Class": func(r *Reason) bool { return r.Class != "" },
		"Stage": func(r *Reason) bool { return r.Stage != "" },
	}
	english := lang.Open("en")
	seen := map[string]bool{}
	check := func(rs []Reason) {
		for i := range rs {
			seen[rs[i].Key] = true
			if !english.Has(rs[i].Key) {
				t.Errorf("%s has no text", rs[i].Key)
			}
			for name, filled := range fields {
				if english.Needs(rs[i].Key, name) && !filled(&rs[i]) {
					t.Errorf("%s: nothing for {{.%s}}: %+v", rs[i].Key, name, rs[i])
				}
			}
		}
	}
	for seed := uint64(1); seed <= 3; seed++ {
		for _, f := range []func(uint64, float64, int) life{usual, exotic} {
			l := f(seed, 500, 100)
			l.plant(20, 6, 2*day)
			_, as := study(l)
			for _, a := range as {
				check(a.Why)
				check(a.Against)
				if a.Actor == "" || a.Confidence < 0.1 || a.Confidence > 1 || len(a.Why) == 0 {
					t.Errorf("%+v", a)
				}
			}
		}
	}
	if len(seen) < 12 {
		t.Errorf("only %d kinds of reasons were seen: %v", len(seen), seen)
	}
}
