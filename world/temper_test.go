package world

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postroad/postroad/mail"
)

// play runs a scenario in memory with a clock that stands.
func play(t *testing.T, s func(t testing.TB) *Scenario, f func(t *testing.T, w *World)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w, err := Start(t.Context(), s(t), Options{Mode: Memory})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := w.Close(); err != nil {
				t.Error(err)
			}
		}()
		f(t, w)
	})
}

func standing(tempers ...string) func(testing.TB) *Scenario {
	return func(t testing.TB) *Scenario { return with(t, "speed = 0", tempers...) }
}

func expect(t *testing.T, w *World, d delivery, want string) {
	t.Helper()
	if got := d.try(t.Context(), w); got != want {
		t.Errorf("at %s: %q, want %q", w.Now().Format("15:04:05"), got, want)
	}
}

func TestGreylisting(t *testing.T) {
	play(t, standing(`do = "greylist"; delay = "10m"; keep = "2h"`), func(t *testing.T, w *World) {
		a := delivery{source: "192.0.2.1"}
		expect(t, w, a, "rcpt 451")
		w.Advance(9 * time.Minute)
		expect(t, w, a, "rcpt 451")
		expect(t, w, delivery{source: "198.51.100.1"}, "rcpt 451")
		w.Advance(time.Minute)
		expect(t, w, delivery{source: "192.0.2.200"}, "delivered") // the same network
		expect(t, w, delivery{source: "192.0.2.1", from: "other@bakery.example"}, "rcpt 451")
		expect(t, w, delivery{source: "192.0.2.1", to: []string{"bert@post.example"}}, "rcpt 451")
		w.Advance(time.Hour)
		expect(t, w, a, "delivered")
		w.Advance(121 * time.Minute)
		expect(t, w, a, "rcpt 451") // forgotten
		var said string
		for c := range w.Truth().Causes {
			if c.Code == 451 {
				said = c.Reason
			}
		}
		if said != "greylist rcpt" {
			t.Errorf("reason %q", said)
		}
	})
}

func TestThrottles(t *testing.T) {
	t.Run("messages", func(t *testing.T) {
		play(t, standing(`do = "throttle"; per = "1h"; messages = 2; preset = "outlook-s775"`), func(t *testing.T, w *World) {
			a, b := delivery{source: "192.0.2.1"}, delivery{source: "192.0.2.2"}
			expect(t, w, a, "delivered")
			expect(t, w, a, "delivered")
			expect(t, w, a, "mail 451")
			expect(t, w, b, "delivered")
			w.Advance(59 * time.Minute)
			expect(t, w, a, "mail 451")
			w.Advance(time.Minute)
			expect(t, w, a, "delivered")
		})
	})
	t.Run("recipients of a network", func(t *testing.T) {
		play(t, standing(`do = "throttle"; per = "1d"; accepted = 3; by = "network"; at = "rcpt"`), func(t *testing.T, w *World) {
			expect(t, w, delivery{source: "192.0.2.1", to: []string{"a@post.example", "b@post.example", "c@post.example"}}, "delivered")
			expect(t, w, delivery{source: "192.0.2.2"}, "rcpt 421")
			expect(t, w, delivery{source: "192.0.3.2"}, "delivered")
		})
	})
	t.Run("recipients of one message", func(t *testing.T) {
		play(t, standing(`do = "throttle"; per = "1d"; accepted = 2; at = "rcpt"; reply = "450 4.7.1 enough"`), func(t *testing.T, w *World) {
			delivery{to: []string{"a@post.example", "b@post.example", "c@post.example", "d@post.example"}}.try(t.Context(), w)
			synctest.Wait()
			if truth := w.Truth(); truth.Messages != 2 || truth.Count(Cause{Kind: Refused, Stage: mail.StageRcpt, Code: 450}) != 2 {
				t.Errorf("of four recipients, accepted %d: %v", truth.Messages, truth.Tally)
			}
		})
	})
	t.Run("volume of a sender", func(t *testing.T) {
		play(t, standing(`do = "throttle"; per = "1d"; volume = 5000; by = "sender"; at = "final"; reply = "452 4.3.1 enough"`), func(t *testing.T, w *World) {
			expect(t, w, delivery{size: 6000}, "delivered")
			expect(t, w, delivery{}, "final 452")
			expect(t, w, delivery{from: "x@other.example"}, "delivered")
		})
	})
	t.Run("connections", func(t *testing.T) {
		play(t, standing(`do = "throttle"; connections = 1`), func(t *testing.T, w *World) {
			held, err := w.Dial(t.Context(), "tcp", "mx.post.example:25")
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			expect(t, w, delivery{}, "banner 421")
			_ = held.Close()
			synctest.Wait()
			expect(t, w, delivery{}, "delivered")
		})
	})
	t.Run("capacity", func(t *testing.T) {
		play(t, func(t testing.TB) *Scenario {
			s := with(t, "speed = 0")
			s.Providers[0].Capacity = 1
			return s
		}, func(t *testing.T, w *World) {
			held, err := w.Dial(t.Context(), "tcp", "mx.post.example:25")
			if err != nil {
				t.Fatal(err)
			}
			defer held.Close()
			synctest.Wait()
			expect(t, w, delivery{}, "banner 421")
		})
	})
}

func TestConditions(t *testing.T) {
	for _, c := range []struct {
		temper   string
		yes, no  delivery
		yesAfter time.Duration // of the clock
	}{
		{`do = "reject"; at = "mail"; reply = "550 x"; sources = ["192.0.2.0/25"]`, delivery{source: "192.0.2.1"}, delivery{source: "192.0.2.129"}, 0},
		{`do = "reject"; at = "mail"; reply = "550 x"; senders = ["bad.example"]`, delivery{from: "a@BAD.example"}, delivery{from: "a@good.example"}, 0},
		{`do = "reject"; at = "mail"; reply = "550 x"; senders = [""]`, delivery{from: "<>"}, delivery{}, 0},
		{`do = "reject"; at = "rcpt"; reply = "550 x"; recipients = ["Bert@post.example"]`, delivery{to: []string{"bert@post.example"}}, delivery{}, 0},
		{`do = "reject"; at = "final"; reply = "550 x"; recipients = ["bert@post.example"]`, delivery{to: []string{"bert@post.example"}}, delivery{}, 0},
		{`do = "reject"; at = "mail"; reply = "550 x"; clear = true`, delivery{plain: true}, delivery{}, 0},
		{`do = "reject"; at = "mail"; reply = "550 x"; from = "1h"`, delivery{}, delivery{}, time.Hour},
		{`do = "reject"; at = "mail"; reply = "550 x"; from = "2026-01-22T10:30:00Z"`, delivery{}, delivery{}, 90 * time.Minute},
		{`do = "reject"; at = "mail"; reply = "550 x"; daily = "22:00-02:00"`, delivery{}, delivery{}, 16 * time.Hour},
		{`do = "accept"; from = "0s"; until = "1h"` + "\n[[provider.temper]]\n" + `do = "reject"; at = "mail"; reply = "550 x"`, delivery{}, delivery{}, time.Hour},
	} {
		play(t, standing(c.temper), func(t *testing.T, w *World) {
			if got := c.no.try(t.Context(), w); got != "delivered" {
				t.Errorf("%s: %s where it should not act", c.temper, got)
			}
			w.Advance(c.yesAfter)
			if got := c.yes.try(t.Context(), w); !strings.HasSuffix(got, " 550") {
				t.Errorf("%s: %s where it should act", c.temper, got)
			}
		})
	}
	play(t, standing(`do = "cut"; at = "mail"; times = 2`), func(t *testing.T, w *World) {
		for _, want := range []string{"mail lost", "mail lost", "delivered", "delivered"} {
			expect(t, w, delivery{}, want)
		}
	})
}

func TestShare(t *testing.T) {
	results := func(seed uint64) (s string) {
		temper := Temper{Do: doCut, At: mail.StageMail, id: "p/1", Share: new(0.3)}
		if err := temper.checkConditions(&Provider{}); err != nil {
			t.Fatal(err)
		}
		for n := uint64(1); n <= 1000; n++ {
			v, _ := decide([]Temper{temper}, newState(), &facts{seed: seed, session: n, stage: mail.StageMail})
			s += fmt.Sprintf("%t ", v.temper != nil)
		}
		return s
	}
	a, again, b := results(1), results(1), results(2)
	if a != again {
		t.Error("the same seed draws other lots")
	}
	if a == b {
		t.Error("another seed draws the same lots")
	}
	if n := strings.Count(a, "true"); n < 250 || n > 350 {
		t.Errorf("%d of 1000 sessions for a share of 0.3", n)
	}
}

func TestMailboxes(t *testing.T) {
	play(t, standing(), func(t *testing.T, w *World) {
		full := delivery{to: []string{"full@post.example"}}
		expect(t, w, full, "delivered")
		w.Advance(time.Hour)
		expect(t, w, full, "rcpt 452")
		expect(t, w, delivery{to: []string{"GONE@post.example"}}, "rcpt 550")
		expect(t, w, delivery{to: []string{"a@elsewhere.example"}}, "rcpt 550")
		w.Advance(time.Hour)
		expect(t, w, full, "delivered")
		truth := w.Truth()
		if truth.Count(Cause{Reason: "mailbox full"}) != 1 || truth.Count(Cause{Reason: "relay denied"}) != 1 || truth.Count(Cause{Kind: Refused}) != 3 {
			t.Errorf("causes %v", truth.Tally)
		}
	})
}

// TestDecisionsChangeNothing: a decision that is not applied leaves no trace.
func TestDecisionsChangeNothing(t *testing.T) {
	s := with(t, "", `do = "greylist"`, `do = "throttle"; per = "1h"; messages = 1`)
	st := newState()
	f := &facts{start: s.start(), now: s.start(), stage: mail.StageRcpt, source: netip.MustParseAddr("192.0.2.1"), known: true}
	for range 3 {
		if v, changes := decide(s.Providers[0].Tempers, st, f); v.temper == nil || len(changes) != 1 || len(st.entries) != 0 {
			t.Fatalf("%v, %v, %v", v, changes, st.entries)
		}
	}
}

func TestMemoryIsBounded(t *testing.T) {
	st := newState()
	st.limit = 1000
	at := time.Unix(0, 0)
	for i := range st.limit + 10 {
		st.apply([]change{{fmt.Sprint(i), entry{last: at.Add(time.Duration(i))}}})
	}
	if len(st.entries) > st.limit {
		t.Errorf("%d entries", len(st.entries))
	}
	if _, ok := st.entries[fmt.Sprint(st.limit+9)]; !ok {
		t.Error("the newest is forgotten")
	}
}

func TestRefusedPortOnSockets(t *testing.T) {
	s := with(t, "speed = 0", `do = "refuse"; from = "1h"; until = "2h"`)
	w := begin(t, s, Options{})
	settled := func(want string) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); ; {
			got := delivery{}.try(t.Context(), w)
			if got == want {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%q, want %q", got, want)
			}
		}
	}
	settled("delivered")
	w.Advance(time.Hour)
	settled("connection refused")
	w.Advance(time.Hour)
	settled("delivered")
}

func TestFastClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, err := Start(t.Context(), with(t, "speed = 600", `do = "greylist"; delay = "10m"`), Options{Mode: Memory})
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		expect(t, w, delivery{}, "rcpt 451")
		time.Sleep(time.Second) //nolint:forbidigo // the clock of the bubble
		expect(t, w, delivery{}, "delivered")
	})
}

// TestSubmission: who authenticates may send anywhere, who does not may not.
func TestSubmission(t *testing.T) {
	play(t, func(t testing.TB) *Scenario {
		s := with(t, "speed = 0", `do = "reject"; at = "auth"; reply = "454 4.7.0 later"; from = "1h"`)
		s.Providers[0].Users = map[string]string{"anna": "secret"}
		return s
	}, func(t *testing.T, w *World) {
		far := []string{"john@smith.example"}
		expect(t, w, delivery{to: far}, "rcpt 550")
		expect(t, w, delivery{to: far, user: "anna", password: "secret"}, "delivered")
		expect(t, w, delivery{to: far, user: "anna", password: "wrong"}, "auth 535")
		w.Advance(time.Hour)
		expect(t, w, delivery{to: far, user: "anna", password: "secret"}, "auth 454")
		truth := w.Truth()
		if truth.Accepted[0].User != "anna" || truth.Count(Cause{Reason: "wrong password", Stage: "auth"}) != 1 {
			t.Errorf("%+v", truth)
		}
	})
}

// TestWithoutChunking: the stages around the content for DATA.
func TestWithoutChunking(t *testing.T) {
	for _, c := range []struct{ temper, sender, truth string }{
		{`do = "cut"; at = "data"`, "data lost", "0, cut data"},
		{`do = "cut"; at = "data"; after = true`, "data lost", "0, cut data"},
		{`do = "reject"; at = "data"; reply = "451 4.3.0 no disk"`, "data 451", "0, refused data 451"},
		{`do = "cut"; at = "content"; bytes = 100`, "data lost", "0, cut content"},
		{`do = "cut"; at = "final"; kept = true`, "final lost uncertain", "1, cut final"},
		{`do = "slow"; rate = 1000`, "delivered", "1, "},
	} {
		play(t, func(t testing.TB) *Scenario {
			s := with(t, "", c.temper)
			s.Providers[0].Without = []string{"CHUNKING", "PIPELINING"}
			return s
		}, func(t *testing.T, w *World) {
			if got := (delivery{size: 200_000}).try(t.Context(), w); got != c.sender {
				t.Errorf("%s: the sender knows %q, want %q", c.temper, got, c.sender)
			}
			synctest.Wait()
			if truth := causes(w.Truth()); truth != c.truth {
				t.Errorf("%s: the truth is %q, want %q", c.temper, truth, c.truth)
			}
		})
	}
}
