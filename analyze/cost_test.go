package analyze

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/postroad/postroad/ingest/maillog"
	"github.com/postroad/postroad/watch/detect"
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

// TestTables holds the tables to their bounds: beyond them every name is
// "others", what is known stays known, and an address keeps its first name.
func TestTables(t *testing.T) {
	n := newRegister()
	for i := range 3 * tableSize / 2 {
		n.id(fmt.Sprintf("firm%d.example", i))
	}
	if n.size() != tableSize || len(n.slots) > 4*tableSize {
		t.Errorf("%d names in %d slots, want %d", n.size(), len(n.slots), tableSize)
	}
	for i := range 3 * tableSize / 2 {
		name := fmt.Sprintf("firm%d.example", i)
		id := n.id(name)
		if known := i < tableSize-2; known != (id > others) || known && n.name(id) != name {
			t.Fatalf("%s has id %d, which is %q", name, id, n.name(id))
		}
	}
	long := newRegister()
	for i := range 100 {
		long.id(fmt.Sprint(i, strings.Repeat("x", 100_000)))
	}
	if len(long.text) > tableText || long.size() < 30 {
		t.Errorf("%d bytes of %d names", len(long.text), long.size())
	}
	if long.id("") != 0 || long.name(0) != "" || long.name(others) != "" {
		t.Error("what is not known has a name")
	}
	h := newHosts(newRegister())
	id := h.at("", "192.0.2.1")
	h.at("mx1.example", "192.0.2.1")
	h.at("mx2.example", "192.0.2.1")
	if ip, host := h.both(id); ip != "192.0.2.1" || host != "mx1.example" {
		t.Errorf("%q %q", ip, host)
	}
	if ip, host := h.both(h.at("mx3.example", "")); ip != "" || host != "mx3.example" {
		t.Errorf("%q %q", ip, host)
	}
}

// TestWaiting packs a message that waits and gets it back.
func TestWaiting(t *testing.T) {
	f := fact{provider: tableSize, domain: tableSize - 1, class: 255}
	if w := waits(&f, 77); w.provider() != f.provider || w.domain() != f.domain || w.class() != f.class || w.since != 77 {
		t.Errorf("%+v of %+v", w, f)
	}
}

// TestLargest keeps what lasts and what is big, in the order of detection.
func TestLargest(t *testing.T) {
	var all []detect.Incident
	for i := range 10 {
		in := detect.Incident{Number: i + 1, Failed: int64(i), Spans: []detect.Span{{Began: 1, Ended: 2}}}
		if i == 3 {
			in.Spans[0].Ended = 0
		}
		all = append(all, in)
	}
	got := largest(all, 3)
	if len(got) != 3 || got[0].Number != 4 || got[1].Number != 9 || got[2].Number != 10 || all[0].Number != 1 {
		t.Errorf("%+v", got)
	}
}

// TestHeapOfReading bounds what a pile holds after it was read, where names,
// open messages and failures are many.
func TestHeapOfReading(t *testing.T) {
	s := sender{messages: 60_000, failing: 333, lost: 200, domains: 50_000, hosts: 3000}
	if testing.Short() {
		s.messages /= 4
	}
	log, _ := s.log()
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	p := newPile(t, Options{TempDir: t.TempDir(), Held: 20_000})
	before := heap()
	if err := maillog.NewReader(bytes.NewReader(log), maillog.ReaderOptions{Now: p.Now, Join: p.join}).Each(p.line); err != nil {
		t.Fatal(err)
	}
	read := heap() - before
	if _, err := p.Report(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%.1f MB when read", float64(read)/1e6)
	if read > 40e6 {
		t.Errorf("%d MB are held", read/1e6)
	}
	if p.join != nil || p.said.line != nil || cap(p.store.held) > 0 {
		t.Error("what only reading needs is still there")
	}
	runtime.KeepAlive(log)
}
