// Package conformance is the contract of the spool as a test that any engine has to pass.
//
// In comes an engine: how to open it, and how to take the power away from it. Out come failed tests, one for each
// line of the contract that it breaks, with crashes among them. Nothing is kept. Tests of engines use it, and
// nothing else does; Power is a file system that loses what was not synced.
package conformance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/postroad/postroad/relay/spool"
)

// Engine is a spool's storage, empty at first.
type Engine interface {
	Open() (spool.Spool, error) // again after Close or Crash: on what is there
	CutAfter(operations int)    // the power goes after so many more operations on the disk
	Crash()                     // it goes now, at the latest, and comes back
}

// Test runs every line of the contract.
func Test(t *testing.T, fresh func(t *testing.T, seed uint64) Engine) {
	for _, line := range lines {
		t.Run(line.name, func(t *testing.T) {
			c := &check{t: t, e: fresh(t, 1)}
			c.open()
			line.run(c)
			_ = c.s.Close() // some lines close it themselves
		})
	}
	for seed := range uint64(10) {
		rounds := 12
		if testing.Short() {
			rounds = 3
		}
		t.Run(fmt.Sprintf("crashes/%d", seed), func(t *testing.T) { Crashes(t, fresh(t, seed), seed, rounds) })
	}
}

type check struct {
	t *testing.T
	e Engine
	s spool.Spool
}

func (c *check) open() {
	c.t.Helper()
	s, err := c.e.Open()
	if err != nil {
		c.t.Fatalf("open: %v", err)
	}
	c.s = s
}

// crash takes the power away and opens again.
func (c *check) crash() {
	c.t.Helper()
	c.e.Crash()
	_ = c.s.Close() // its files are gone
	c.open()
}

func (c *check) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *check) is(err, want error) {
	c.t.Helper()
	if !errors.Is(err, want) {
		c.t.Fatalf("got error %v, want %v", err, want)
	}
}

func ctx() context.Context { return context.Background() }

func content(n int, seed uint64) []byte {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(seed, uint64(n)))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func simple(lane string, to ...string) spool.Mail {
	p := spool.Part{Lane: lane}
	for _, a := range to {
		p.Recipients = append(p.Recipients, spool.Recipient{Address: a})
	}
	return spool.Mail{From: "sender@example.com", Meta: []byte("meta"), Parts: []spool.Part{p}}
}

func (c *check) put(m spool.Mail, body []byte) spool.ID {
	c.t.Helper()
	id, err := c.s.Put(ctx(), m, bytes.NewReader(body))
	c.must(err)
	return id
}

// one claims exactly one part.
func (c *check) one(lane string) *spool.Claim {
	c.t.Helper()
	got, err := c.s.Claim(ctx(), lane, 10, time.Minute)
	c.must(err)
	if len(got) != 1 {
		c.t.Fatalf("claimed %d parts of %s, want 1", len(got), lane)
	}
	return got[0]
}

func (c *check) none(lane string) {
	c.t.Helper()
	if got, err := c.s.Claim(ctx(), lane, 10, time.Minute); err != nil || len(got) > 0 {
		c.t.Fatalf("claimed %d parts of %s (%v), want none", len(got), lane, err)
	}
}

func (c *check) body(id spool.ID, want []byte) {
	c.t.Helper()
	c.must(sameBody(c.s, id, want))
}

func sameBody(s spool.Spool, id spool.ID, want []byte) error {
	b, err := s.Body(id)
	if err != nil {
		return err
	}
	defer func() { _ = b.Close() }()
	got, err := io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
	if err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("body of %s has %d bytes that are not the %d that were put", id, len(got), len(want))
	}
	return nil
}

func delivered(places ...int) spool.Outcome {
	var o spool.Outcome
	for _, p := range places {
		o.Results = append(o.Results, spool.Result{Recipient: p, Status: spool.Delivered, Reason: "250 ok"})
	}
	return o
}

// Crashes runs workers on one spool and takes the power away at random, rounds times: everything that was
// acknowledged must be there each time, and nothing that was finished may come back.
func Crashes(t *testing.T, e Engine, seed uint64, rounds int) {
	rnd := rand.New(rand.NewPCG(seed, 1))
	workers := make([]*worker, 4)
	for i := range workers {
		workers[i] = &worker{lane: fmt.Sprint("lane", i), rnd: rand.New(rand.NewPCG(seed, uint64(i)+2)), mail: map[spool.ID]*known{}}
	}
	for round := range rounds {
		if round%3 == 2 { // the power goes again while it is being opened
			e.CutAfter(rnd.IntN(30))
			s, err := e.Open()
			e.Crash()
			if err == nil {
				_ = s.Close() // its files are gone
			}
		}
		s, err := e.Open()
		if err != nil {
			t.Fatalf("round %d: open: %v", round, err)
		}
		for _, w := range workers {
			if err := w.verify(s); err != nil {
				t.Fatalf("round %d: %s: %v", round, w.lane, err)
			}
		}
		if d := s.Stats().Damage; len(d) > 0 {
			t.Fatalf("round %d: a loss of power is no damage: %v", round, d)
		}
		e.CutAfter(rnd.IntN(400))
		var wg sync.WaitGroup
		for _, w := range workers {
			wg.Go(func() { w.run(s) })
		}
		wg.Wait()
		e.Crash()
		_ = s.Close() // its files are gone
	}
}

// worker is one that puts and finishes in a lane of its own, and knows what it was promised.
type worker struct {
	lane  string
	rnd   *rand.Rand
	mail  map[spool.ID]*known
	done  map[spool.ID]bool
	count int
}

type known struct {
	body  []byte
	final []int // statuses of the recipients as acknowledged, 1 for final
	doubt []int // after a Finish that gave an error: these may be final too
}

func (w *worker) run(s spool.Spool) {
	if w.done == nil {
		w.done = map[spool.ID]bool{}
	}
	for range 200 {
		var err error
		if w.rnd.IntN(3) > 0 && len(w.mail) < 60 {
			err = w.put(s)
		} else {
			err = w.try(s)
		}
		if err != nil {
			return
		}
	}
}

func (w *worker) put(s spool.Spool) error {
	w.count++
	n := w.rnd.IntN(6000)
	if w.rnd.IntN(20) == 0 {
		n = 300<<10 + w.rnd.IntN(300<<10)
	}
	b := content(n, uint64(w.count))
	to := make([]string, 1+w.rnd.IntN(4))
	for i := range to {
		to[i] = fmt.Sprintf("r%d@example.com", i)
	}
	id, err := s.Put(ctx(), simple(w.lane, to...), bytes.NewReader(b))
	if err == nil {
		w.mail[id] = &known{body: b, final: make([]int, len(to)), doubt: make([]int, len(to))}
	}
	return err
}

// try claims one part and finishes some of its recipients.
func (w *worker) try(s spool.Spool) error {
	got, err := s.Claim(ctx(), w.lane, 1, time.Hour)
	if err != nil || len(got) == 0 {
		return err
	}
	c := got[0]
	k := w.mail[c.ID]
	if _, err := s.Begin(ctx(), c.Token, time.Now().Add(-time.Second)); err != nil {
		return err
	}
	out, places := spool.Outcome{Events: [][]byte{[]byte("event")}}, []int(nil)
	for i, r := range c.Recipients {
		if !r.Status.Final() && w.rnd.IntN(3) > 0 {
			out.Results = append(out.Results, spool.Result{Recipient: i, Status: spool.Delivered})
			places = append(places, i)
		}
	}
	err = s.Finish(ctx(), c.Token, out)
	for _, i := range places {
		switch {
		case k == nil: // of a Put that gave an error
		case err == nil:
			k.final[i] = 1
		default:
			k.doubt[i] = 1
		}
	}
	if k != nil && err == nil && !slices.Contains(k.final, 0) {
		delete(w.mail, c.ID)
		w.done[c.ID] = true
	}
	return err
}

// verify compares what is there with what was promised.
func (w *worker) verify(s spool.Spool) error {
	there := map[spool.ID]bool{}
	err := s.Scan(w.lane, func(x spool.Waiting) bool {
		there[x.ID] = true
		return true
	})
	if err != nil {
		return err
	}
	for id := range there {
		if w.done[id] {
			return fmt.Errorf("message %s came back after it was finished", id)
		}
	}
	for id, k := range w.mail {
		if !there[id] {
			for i := range k.final {
				if k.final[i]+k.doubt[i] == 0 {
					return fmt.Errorf("message %s is lost", id)
				}
			}
			delete(w.mail, id)
			w.done[id] = true
			continue
		}
		m, err := s.Look(id)
		if err != nil {
			return fmt.Errorf("message %s: %w", id, err)
		}
		for i, r := range m.Parts[0].Recipients {
			final := r.Status.Final()
			if k.final[i] == 1 && !final || k.final[i]+k.doubt[i] == 0 && final {
				return fmt.Errorf("message %s: recipient %d is %s", id, i, r.Status)
			}
			k.doubt[i] = 0
			if final {
				k.final[i] = 1
			}
		}
		if err := sameBody(s, id, k.body); err != nil {
			return err
		}
	}
	return nil
}
