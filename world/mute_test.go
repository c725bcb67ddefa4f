package world

import (
	"context"
	"errors"
	"net"
	"os"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

// TestDropped: who connects hears nothing, not even a refusal, and the next
// address is as ever.
func TestDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, with(t, "speed = 0", `do = "drop"; until = "1h"`), Options{Mode: Memory})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began := time.Now()
		if c, err := w.Dial(ctx, "tcp", "mx.post.example:25"); c != nil || !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Minute {
			t.Errorf("dropped in memory: %v after %v", err, time.Since(began))
		}
		w.Advance(time.Hour)
		if got := (delivery{plain: true}).try(t.Context(), w); got != "delivered" {
			t.Errorf("after it: %q", got)
		}
		if truth := w.Truth(); truth.Sessions != 1 {
			t.Errorf("sessions %d, want 1", truth.Sessions)
		}
	})
}

func TestDroppedOnSockets(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs Linux")
	}
	w := begin(t, with(t, "speed = 0", `do = "drop"`), Options{Mode: Ports})
	var timeout net.Error
	for range 50 { // until the port is mute, connections wait for a word
		d := net.Dialer{Timeout: 300 * time.Millisecond}
		c, err := d.DialContext(t.Context(), "tcp", w.Places()[1].Listen.String())
		if err != nil {
			if !errors.As(err, &timeout) || !timeout.Timeout() {
				t.Fatalf("not a timeout: %v", err)
			}
			return
		}
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		if n, err := c.Read(make([]byte, 1)); n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a word from a port that drops: %d, %v", n, err)
		}
		_ = c.Close()
	}
	t.Error("connections are still taken")
}
