package detect

import (
	"slices"
	"testing"

	"github.com/postroad/postroad/mail"
)

// study runs a life to its end and gives what is to be said of it.
func study(l life) ([]Measurement, []Attribution) {
	d := New(Options{})
	var all []Observation
	l.run(func(o *Observation, _ int) {
		all = append(all, *o)
		d.Observe(o)
	})
	d.Advance(simStart + int64(l.days)*day)
	m := NewMeasure(d.Incidents(), MeasureOptions{})
	for i := range all {
		m.Observe(&all[i])
	}
	ms := m.Result()
	var as []Attribution
	for i := range ms {
		as = append(as, Attribute(&ms[i], ms))
	}
	return ms, as
}

func keys(rs []Reason) (out []string) {
	for _, r := range rs {
		out = append(out, r.Key)
	}
	return out
}

func quiet(seed uint64, perDay float64, days int) life {
	return life{seed: seed, perDay: perDay, days: days, places: bigSix(0.004), senders: 6, sources: 3, weekend: 0.3, stuck: 0.001, clients: 200}
}

func TestWhoseTroubleItIs(t *testing.T) {
	at := func(d int) int64 { return simStart + int64(d)*day + 9*hour }
	one := func(tr trouble) []trouble {
		if tr.provider == 0 {
			tr.provider = 2
		}
		tr.from, tr.until = at(22), at(25)
		return []trouble{tr}
	}
	all := func(tr trouble, ids ...ID) (out []trouble) {
		for _, id := range ids {
			tr.provider = id
			out = append(out, one(tr)...)
		}
		return out
	}
	for _, c := range []struct {
		name     string
		perDay   float64
		troubles []trouble
		life     func(*life)
		actor    mail.Actor
		why      []string // keys that must be among Why
		against  []string
		number   int // incidents
		scope    Scope
	}{
		{name: "two of their addresses", perDay: 3000, troubles: slices.Concat(one(trouble{class: mail.Transport, rate: 1, provider: 4, address: 1}), one(trouble{class: mail.Transport, rate: 1, provider: 4, address: 2})),
			actor: mail.ActorReceivingProvider, why: []string{"detect.why.some-addresses", "detect.why.others-fine", "detect.why.mixed"}, number: 1},
		{name: "one of ours", perDay: 3000, troubles: one(trouble{class: mail.Transport, rate: 1, source: 2}),
			actor: mail.ActorPath, why: []string{"detect.why.some-sources", "detect.why.others-fine"}, number: 1},
		{name: "one of ours is blocked", perDay: 3000, troubles: one(trouble{class: mail.ReputationIP, rate: 1, source: 2, permanent: true}),
			actor: mail.ActorSender, why: []string{"detect.why.some-sources", "detect.why.only-here"}, number: 1},
		{name: "all of theirs", perDay: 600, troubles: one(trouble{class: mail.Transport, rate: 1}),
			actor: mail.ActorReceivingProvider, why: []string{"detect.why.change", "detect.why.others-fine"}, number: 1},
		{name: "our network", perDay: 600, troubles: all(trouble{class: mail.Transport, rate: 1}, 1, 2, 3, 4, 5, 6),
			actor: mail.ActorPath, why: []string{"detect.why.several-providers"}, number: 6},
		{name: "our network, mostly", perDay: 600, troubles: all(trouble{class: mail.Transport, rate: 0.5}, 1, 2, 3, 4, 5),
			actor: mail.ActorPath, why: []string{"detect.why.several-providers"}, number: 5},
		{name: "DKIM is broken", perDay: 600, troubles: all(trouble{class: mail.Authentication, rate: 1, permanent: true}, 1, 2, 3),
			actor: mail.ActorSender, why: []string{"detect.why.judged-elsewhere", "detect.why.replies"}, number: 3},
		{name: "one asks for more", perDay: 600, troubles: one(trouble{class: mail.Authentication, rate: 1, permanent: true}),
			actor: mail.ActorSender, why: []string{"detect.why.replies"}, against: []string{"detect.against.accepted-elsewhere"}, number: 1},
		{name: "a throttle", perDay: 600, troubles: one(trouble{class: mail.Throttling, rate: 0.7}),
			actor: mail.ActorSender, why: []string{"detect.why.replies", "detect.why.only-here"}, number: 1},
		{name: "a bad list", perDay: 600, troubles: one(trouble{class: mail.RecipientUnknown, rate: 0.6, permanent: true}),
			actor: mail.ActorRecipient, why: []string{"detect.why.bad-list"}, number: 1},
		{name: "greylisting that does not lift", perDay: 600, troubles: one(trouble{class: mail.Greylisting, rate: 1}),
			actor: mail.ActorReceivingProvider, why: []string{"detect.why.grey-stays"}, number: 1},
		{name: "one address of many", perDay: 3000, troubles: one(trouble{class: mail.Transport, rate: 1, address: 7}), life: func(l *life) { l.places[1].addresses = 20 },
			actor: mail.ActorReceivingProvider, why: []string{"detect.why.some-addresses"}, number: 1, scope: ScopeAddress},
		{name: "one of ten of ours", perDay: 3000, troubles: one(trouble{class: mail.TLS, rate: 1, source: 7}), life: func(l *life) { l.sources = 10 },
			actor: mail.ActorPath, why: []string{"detect.why.some-sources"}, number: 1, scope: ScopeSource},
		{name: "one customer's domain", perDay: 3000, troubles: one(trouble{class: mail.Authentication, rate: 1, sender: 4, permanent: true}), life: func(l *life) { l.senders = 12 },
			actor: mail.ActorSender, why: []string{"detect.why.some-senders"}, number: 1, scope: ScopeSender},
		{name: "failures only", perDay: 60, troubles: one(trouble{class: mail.Transport, rate: 1}), life: func(l *life) {
			l.failures, l.stuck = true, 0
			l.days = 26
			l.places = []place{{id: 2, share: 1, addresses: 2}}
		},
			actor: mail.ActorPath, why: []string{"detect.why.alike"}, against: []string{"detect.against.failures-only", "detect.against.no-others"}, number: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := quiet(3, c.perDay, 30)
			l.troubles = c.troubles
			if c.life != nil {
				c.life(&l)
			}
			ms, as := study(l)
			if len(ms) != c.number {
				for _, m := range ms {
					t.Log(m.Incident.String())
				}
				t.Fatalf("%d incidents, want %d", len(ms), c.number)
			}
			for i, a := range as {
				t.Log(ms[i].Incident.String(), a.Actor, a.Confidence, keys(a.Why), keys(a.Against))
				if c.scope != ScopeAll && (ms[i].Incident.Scope != c.scope || ms[i].Incident.Target == 0) {
					t.Errorf("scope %d, want %d", ms[i].Incident.Scope, c.scope)
				}
				if a.Actor != c.actor {
					t.Errorf("actor %s, want %s", a.Actor, c.actor)
				}
				for _, key := range c.why {
					if !slices.Contains(keys(a.Why), key) {
						t.Errorf("%s is not among the reasons %v", key, keys(a.Why))
					}
				}
				for _, key := range c.against {
					if !slices.Contains(keys(a.Against), key) {
						t.Errorf("%s is not among the doubts %v", key, keys(a.Against))
					}
				}
				if ms[i].FailuresOnly && (ms[i].Rate != nil || ms[i].BaselineRate != nil || a.Confidence > 0.6) {
					t.Errorf("made-up rates or confidence: %v, %v, %v", ms[i].Rate, ms[i].BaselineRate, a.Confidence)
				}
			}
		})
	}
}
