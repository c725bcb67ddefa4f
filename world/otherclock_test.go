package world

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestPassedTime: what a temper waits for passes on the clock of somebody else, and takes no time of ours.
func TestPassedTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		at := time.Date(2026, 1, 19, 8, 0, 0, 0, time.UTC)
		begin, real := at, time.Now()
		now := func() time.Time {
			mu.Lock()
			defer mu.Unlock()
			return at
		}
		pass := func(d time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			at = at.Add(d)
		}
		w, err := Start(t.Context(), with(t, "", `do = "slow"; at = "final"; delay = "20m"`, `do = "hang"; at = "mail"; for = "1h"`),
			Options{Mode: Memory, Now: now, Pass: pass})
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		expect(t, w, delivery{}, "delivered")
		if took := now().Sub(begin); took != 80*time.Minute || time.Since(real) > 0 {
			t.Errorf("took %s there and %s here", took, time.Since(real))
		}
	})
}
