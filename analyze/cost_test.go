package analyze

import (
	"bytes"
	"context"
	"io"
	"runtime"
	"testing"
)

// run analyses what a sender logs.
func (s sender) run(t *testing.T, o Options) (*Report, int64) {
	t.Helper()
	pr, pw := io.Pipe()
	var lines int64
	go func() {
		var err error
		lines, err = s.write(pw)
		pw.CloseWithError(err)
	}()
	o.TempDir = t.TempDir()
	p := newPile(t, o)
	r, err := Run(context.Background(), []string{"-"}, pr, p.Options)
	if err != nil {
		t.Fatal(err)
	}
	return r, lines
}

// TestSender holds the generator to what it promises, and the report to what it
// wrote: every message is there, and every failure has its cause.
func TestSender(t *testing.T) {
	const n = 3000
	for _, s := range []sender{{messages: n}, {messages: n, traditional: true}, {messages: n, failing: 333}, {messages: n, lost: 100}} {
		r, lines := s.run(t, Options{})
		var messages, waiting, delivered, bounced int64
		for _, row := range r.Providers {
			messages += row.Messages
			waiting += row.Waiting
			delivered += row.Delivered
			bounced += row.Bounced
		}
		if r.MoreProviders == 0 {
			t.Errorf("%+v: few providers", s)
		}
		if lines < 7*n || r.Events != r.Facts || r.Facts < n || len(r.Skipped) > 0 || len(r.Unknown) > 0 {
			t.Errorf("%+v: %d lines, %d events, %d facts, skipped %+v, unknown %+v", s, lines, r.Events, r.Facts, r.Skipped, r.Unknown)
		}
		if (waiting > 0) != (s.lost > 0) || (bounced > 0) != (s.failing > 0) || delivered == 0 || messages != delivered+waiting+bounced {
			t.Errorf("%+v: %d messages, %d waiting, %d delivered, %d bounced", s, messages, waiting, delivered, bounced)
		}
	}
}

// TestAllocations bounds what a line costs the collector: nearly nothing in
// ordinary life, and little where a third of the mail fails.
func TestAllocations(t *testing.T) {
	const n = 30_000
	for _, c := range []struct {
		s        sender
		objects  float64
		allBytes float64
	}{
		{sender{messages: n}, 0.1, 100},
		{sender{messages: n, failing: 333}, 0.8, 200},
		{sender{messages: n, hosts: 500, domains: 50}, 0.1, 100},
	} {
		p := newPile(t, Options{TempDir: t.TempDir()})
		log, lines := c.s.log()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := Run(context.Background(), []string{"-"}, bytes.NewReader(log), p.Options); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		objects := float64(after.Mallocs-before.Mallocs) / float64(lines)
		size := float64(after.TotalAlloc-before.TotalAlloc) / float64(lines)
		t.Logf("%+v: %.3f objects and %.0f bytes a line", c.s, objects, size)
		if objects > c.objects || size > c.allBytes {
			t.Errorf("%+v: %.3f objects and %.0f bytes a line, want at most %.2f and %.0f", c.s, objects, size, c.objects, c.allBytes)
		}
	}
}
