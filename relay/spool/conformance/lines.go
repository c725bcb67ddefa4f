package conformance

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing/iotest"
	"time"

	"github.com/postroad/postroad/relay/spool"
)

// lines are the lines of the contract, without those that need a clock of their own.
var lines = []struct {
	name string
	run  func(c *check)
}{
	{"what was put is there after a crash", putSurvives},
	{"a body is read in ranges, large or empty", bodies},
	{"a body that breaks off stores nothing", brokenBody},
	{"a key puts once, after a crash and after the end too", keys},
	{"a claim is one worker's", claims},
	{"a token ends with Finish, Release and the process", tokens},
	{"a try is written before the dial", begin},
	{"Finish writes per recipient", finish},
	{"parts go their own ways and the body dies with the last", parts},
	{"what is left can move to another lane", move},
	{"a duty keeps the body and survives a crash", duty},
	{"events come in order, at least once", outbox},
	{"the due are claimed in order, others not", order},
}

func putSurvives(c *check) {
	b := content(5000, 1)
	id := c.put(simple("a", "x@example.com", "y@example.com"), b)
	c.crash()
	got := c.one("a")
	if got.ID != id || got.From != "sender@example.com" || string(got.Meta) != "meta" || len(got.Recipients) != 2 ||
		got.Recipients[1].Address != "y@example.com" || got.Size != 5000 || got.Tries != 0 {
		c.t.Fatalf("claimed %+v", got)
	}
	c.body(id, b)
}

func bodies(c *check) {
	for _, n := range []int{0, 1, 4095, 256 << 10, 256<<10 + 1, 3<<20 + 17} {
		b := content(n, 2)
		id := c.put(simple("a", "x@example.com"), b)
		c.body(id, b)
		r, err := c.s.Body(id)
		c.must(err)
		if n > 10 {
			p := make([]byte, 7)
			_, err := r.ReadAt(p, int64(n-9))
			c.must(err)
			if !bytes.Equal(p, b[n-9:n-2]) {
				c.t.Fatalf("range of a body of %d bytes is wrong", n)
			}
		}
		if k, err := r.ReadAt(make([]byte, 4), int64(n)); k != 0 || !errors.Is(err, io.EOF) {
			c.t.Fatalf("read after the end: %d, %v", k, err)
		}
		c.must(r.Close())
	}
	c.crash()
	if n := c.s.Stats(); n.Damage != nil {
		c.t.Fatal(n.Damage)
	}
}

func brokenBody(c *check) {
	bad := errors.New("line cut")
	body := io.MultiReader(bytes.NewReader(content(600<<10, 3)), iotest.ErrReader(bad))
	_, err := c.s.Put(ctx(), simple("a", "x@example.com"), body)
	c.is(err, bad)
	c.none("a")
	c.crash()
	c.none("a")
}

func keys(c *check) {
	m := simple("a", "x@example.com")
	m.Key = "once"
	id := c.put(m, []byte("1"))
	if again := c.put(m, []byte("2")); again != id {
		c.t.Fatalf("put again: %s, want %s", again, id)
	}
	c.crash()
	if again := c.put(m, []byte("3")); again != id {
		c.t.Fatalf("put again after a crash: %s, want %s", again, id)
	}
	c.must(c.s.Finish(ctx(), c.one("a").Token, delivered(0)))
	c.crash()
	if again := c.put(m, []byte("4")); again != id {
		c.t.Fatalf("put again after its end: %s, want %s", again, id)
	}
	c.none("a")
}

func claims(c *check) {
	id := c.put(simple("a", "x@example.com"), nil)
	got := c.one("a")
	c.none("a")
	_, err := c.s.ClaimPart(ctx(), id, 0, time.Minute)
	c.is(err, spool.ErrClaimed)
	c.must(c.s.Renew(got.Token, time.Hour))
	c.must(c.s.Release(got.Token))
	if again := c.one("a"); again.Token == got.Token {
		c.t.Fatal("two claims with the same token")
	}
	_, err = c.s.ClaimPart(ctx(), id+1, 0, time.Minute)
	c.is(err, spool.ErrUnknown)
}

func tokens(c *check) {
	c.put(simple("a", "x@example.com"), nil)
	first := c.one("a").Token
	c.must(c.s.Release(first))
	c.is(c.s.Finish(ctx(), first, delivered(0)), spool.ErrToken)
	second := c.one("a").Token
	c.crash()
	c.is(c.s.Finish(ctx(), second, delivered(0)), spool.ErrToken)
	third := c.one("a").Token
	c.must(c.s.Finish(ctx(), third, delivered(0)))
	c.is(c.s.Finish(ctx(), third, delivered(0)), spool.ErrToken)
	_, err := c.s.Begin(ctx(), third, time.Now())
	c.is(err, spool.ErrToken)
	c.is(c.s.Renew(third, time.Hour), spool.ErrToken)
}

func begin(c *check) {
	id := c.put(simple("a", "x@example.com"), nil)
	next := time.Now().Add(time.Hour).UTC()
	n, err := c.s.Begin(ctx(), c.one("a").Token, next)
	c.must(err)
	if n != 1 {
		c.t.Fatalf("first try has number %d", n)
	}
	c.put(simple("b", "x@example.com"), nil) // a commit that is synced
	c.crash()
	c.none("a")
	got, err := c.s.ClaimPart(ctx(), id, 0, time.Minute)
	c.must(err)
	if got.Tries != 1 || !got.Next.Equal(next) {
		c.t.Fatalf("after a crash: %d tries, next %v, want 1 and %v", got.Tries, got.Next, next)
	}
}

func finish(c *check) {
	c.put(simple("a", "0@example.com", "1@example.com", "2@example.com", "3@example.com", "4@example.com", "5@example.com"), nil)
	got := c.one("a")
	states := []spool.Status{spool.Delivered, spool.MaybeDelivered, spool.Failed, spool.Expired, spool.Dropped, spool.Deferred}
	var o spool.Outcome
	next := time.Now().Add(-time.Minute).UTC()
	for i, st := range states {
		o.Results = append(o.Results, spool.Result{Recipient: i, Status: st, Next: next, Reason: "said " + st.String()})
	}
	c.must(c.s.Finish(ctx(), got.Token, o))
	c.crash()
	got = c.one("a")
	for i, r := range got.Recipients {
		if r.Status != states[i] || r.Reason != "said "+states[i].String() {
			c.t.Fatalf("recipient %d: %+v", i, r)
		}
	}
	if !got.Next.Equal(next) {
		c.t.Fatalf("next %v, want %v", got.Next, next)
	}
	if err := c.s.Finish(ctx(), got.Token, delivered(0)); err == nil {
		c.t.Fatal("a final recipient was finished again")
	}
	c.must(c.s.Finish(ctx(), got.Token, delivered(5)))
	c.none("a")
	if n := c.s.Stats(); n.Messages != 0 || n.Parts != 0 || n.Claims != 0 {
		c.t.Fatalf("left over: %+v", n)
	}
}

func parts(c *check) {
	m := simple("a", "x@example.com")
	m.Parts = append(m.Parts, simple("b", "y@example.net").Parts...)
	b := content(3000, 4)
	id := c.put(m, b)
	c.must(c.s.Finish(ctx(), c.one("a").Token, delivered(0)))
	c.body(id, b)
	c.crash()
	c.none("a")
	c.body(id, b)
	c.must(c.s.Finish(ctx(), c.one("b").Token, delivered(0)))
	_, err := c.s.Body(id)
	c.is(err, spool.ErrUnknown)
	_, err = c.s.Look(id)
	c.is(err, spool.ErrUnknown)
	c.crash()
	c.none("b")
}

func move(c *check) {
	id := c.put(simple("a", "x@example.com"), nil)
	c.must(c.s.Finish(ctx(), c.one("a").Token, spool.Outcome{Lane: "b"}))
	c.none("a")
	c.crash()
	if got := c.one("b"); got.ID != id || got.Lane != "b" {
		c.t.Fatalf("claimed %+v", got)
	}
	l, err := c.s.Lanes()
	c.must(err)
	if len(l) != 1 || l[0].Lane != "b" || l[0].Waiting != 1 || l[0].Taken != 1 {
		c.t.Fatalf("lanes %+v", l)
	}
}

func duty(c *check) {
	b := content(1000, 5)
	id := c.put(simple("a", "x@example.com"), b)
	o := spool.Outcome{Results: []spool.Result{{Status: spool.Failed}}, Owe: []spool.Part{{Lane: "dsn", Note: []byte("tell the sender")}}}
	c.must(c.s.Finish(ctx(), c.one("a").Token, o))
	c.crash()
	c.none("a")
	d := c.one("dsn")
	if d.ID != id || !d.Duty || string(d.Note) != "tell the sender" {
		c.t.Fatalf("duty %+v", d)
	}
	c.body(id, b)
	report := simple("a", "sender@example.com")
	report.Discharge = d.Token
	c.put(report, []byte("the report"))
	c.none("dsn")
	_, err := c.s.Body(id)
	c.is(err, spool.ErrUnknown)
	c.crash()
	c.none("dsn")
	c.one("a")
}

func outbox(c *check) {
	m := simple("a", "x@example.com")
	m.Events = [][]byte{[]byte("1"), []byte("2")}
	c.put(m, nil)
	o := delivered(0)
	o.Events = [][]byte{[]byte("3")}
	c.must(c.s.Finish(ctx(), c.one("a").Token, o))
	read := func(after spool.Cursor, n int, want ...string) spool.Cursor {
		c.t.Helper()
		events, cursor, err := c.s.Events(ctx(), after, n)
		c.must(err)
		var got []string
		for _, e := range events {
			got = append(got, string(e.Data))
			if e.Gap != 0 {
				c.t.Fatalf("gap of %d", e.Gap)
			}
		}
		if !slices.Equal(got, want) {
			c.t.Fatalf("read %q, want %q", got, want)
		}
		return cursor
	}
	two := read("", 2, "1", "2")
	c.crash()
	end := read(two, 10, "3")
	read(end, 10)
	read("", 10, "1", "2", "3")
	c.must(c.s.Forget(ctx(), two))
	read("", 10, "3")
	m.Events = [][]byte{[]byte("4")}
	c.put(m, nil)
	c.crash()
	read(end, 10, "4")
	read("", 10, "3", "4")
	_, _, err := c.s.Events(ctx(), "x"+end, 1)
	c.is(err, spool.ErrCursor)
}

func order(c *check) {
	now := time.Now()
	for i, d := range []time.Duration{-time.Minute, -time.Hour, time.Hour, -time.Second} {
		m := simple("a", string(rune('a'+i))+"@example.com")
		m.Parts[0].Next = now.Add(d)
		c.put(m, nil)
	}
	c.crash()
	got, err := c.s.Claim(ctx(), "a", 10, time.Minute)
	c.must(err)
	var to string
	for _, g := range got {
		to += g.Recipients[0].Address[:1]
	}
	if to != "bad" {
		c.t.Fatalf("claimed %q, want b, a, d", to)
	}
}
