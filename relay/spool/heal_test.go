package spool_test

import (
	"testing"
	"time"

	"github.com/postroad/postroad/relay/spool"
	"github.com/postroad/postroad/relay/spool/conformance"
)

// TestPowerLostWhileHealing takes the power away at each operation of an opening that has a torn end to cut off: what
// is left of that end beside the seal that took its place is no damage.
func TestPowerLostWhileHealing(t *testing.T) {
	for seed := range uint64(15) {
		for after := range 14 {
			p := conformance.NewPower(seed*100 + uint64(after))
			s := open(t, small(p.FS()))
			for range 3 {
				put(t, s, "a", 3000)
			}
			claims, err := s.Claim(t.Context(), "a", 3, time.Hour)
			if err != nil {
				t.Fatal(err)
			}
			for range 40 { // written, and not synced
				for _, c := range claims {
					if _, err := s.Begin(t.Context(), c.Token, time.Now().Add(time.Hour)); err != nil {
						t.Fatal(err)
					}
				}
			}
			p.Restore()
			_ = s.Close() // its files are gone
			p.CutAfter(after)
			if s, err = spool.Open(small(p.FS())); err == nil {
				p.Restore()
				_ = s.Close()
			} else {
				p.Restore()
			}
			s = open(t, small(p.FS()))
			<-s.Loaded()
			if d := s.Stats().Damage; len(d) > 0 {
				t.Fatalf("seed %d, cut after %d operations: %v", seed, after, d)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}
