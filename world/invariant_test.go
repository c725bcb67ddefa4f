package world

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"testing"
)

// TestTruthAndSendersAgree lets many senders deliver at once to a provider with
// random tempers. What a sender knows must be true: delivered is there once,
// refused or lost is not, uncertain is there once or not.
func TestTruthAndSendersAgree(t *testing.T) {
	tempers := []string{
		`do = "cut"; at = "%s"`, `do = "cut"; at = "%s"; after = true`, `do = "reject"; at = "%s"; reply = "450 4.7.1 later"`,
		`do = "reject"; at = "%s"; reply = "550 5.7.1 no"; close = true`, `do = "hang"; at = "%s"; for = "1s"`,
	}
	at := []string{"banner", "ehlo", "starttls", "mail", "rcpt", "data", "final"}
	for seed := range uint64(6) {
		r := rand.New(rand.NewPCG(seed, 1))
		var all []string
		for range 6 {
			all = append(all, fmt.Sprintf(tempers[r.IntN(len(tempers))], at[r.IntN(len(at))])+fmt.Sprintf("; share = %.2f", 0.05+r.Float64()/5))
		}
		all = append(all, `do = "cut"; at = "final"; kept = true; share = 0.2`, `do = "cut"; at = "content"; bytes = 200; share = 0.1`,
			`do = "throttle"; messages = 20; per = "1h"`, `do = "throttle"; connections = 3; by = "all"`)
		s := with(t, "speed = 1000", all...)
		s.Seed = seed
		mode := Memory
		if seed%2 == 1 {
			mode = Ports
		}
		w := begin(t, s, Options{Mode: mode})
		know := make([]string, 120)
		var group sync.WaitGroup
		for worker := range 6 {
			group.Go(func() {
				for i := worker; i < len(know); i += 6 {
					know[i] = delivery{source: fmt.Sprintf("192.0.2.%d", 1+i%4), id: fmt.Sprintf("<%d@bakery.example>", i), size: i * 40,
						plain: i%3 == 0}.try(context.Background(), w)
				}
			})
		}
		group.Wait()
		if err := w.Close(); err != nil { // every session has ended
			t.Fatal(err)
		}
		truth := w.Truth()
		delivered := 0
		for i, knows := range know {
			n := truth.Delivered(fmt.Sprintf("%d@bakery.example", i), "anna@post.example")
			right := n == 0
			switch {
			case knows == "delivered":
				delivered++
				right = n == 1
			case strings.HasSuffix(knows, "uncertain"):
				right = n <= 1
			}
			if !right {
				t.Errorf("seed %d, message %d: the sender knows %q, and it arrived %d times", seed, i, knows, n)
			}
		}
		if delivered == 0 || len(truth.Causes) < 4 {
			t.Errorf("seed %d: %d delivered, causes %v: nothing was tried", seed, delivered, truth.Tally)
		}
		if truth.Messages < delivered || len(w.open) > 1 || w.total != 0 || len(w.state.open) != 0 {
			t.Errorf("seed %d: %d messages, %d sessions open, %v", seed, truth.Messages, w.total, w.state.open)
		}
		for _, e := range truth.Accepted {
			if e.Source == (netip.Addr{}) || !e.Source.Is4() || e.Source.As4()[0] != 192 {
				t.Errorf("source %s", e.Source)
			}
		}
	}
}
