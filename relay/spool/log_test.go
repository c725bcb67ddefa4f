package spool_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postroad/postroad/relay/spool"
	"github.com/postroad/postroad/relay/spool/conformance"
)

func open(t testing.TB, o spool.Options) *spool.Log {
	t.Helper()
	if o.MinFree == 0 {
		o.MinFree = -1
	}
	s, err := spool.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func small(fs spool.FS) spool.Options {
	return spool.Options{FS: fs, SegmentSize: 1 << 20, Slack: 1 << 20}
}

func letter(lane string) spool.Mail {
	return spool.Mail{From: "sender@example.com", Parts: []spool.Part{{Lane: lane, Recipients: []spool.Recipient{{Address: "x@example.net"}}}}}
}

func put(t testing.TB, s spool.Spool, lane string, size int) spool.ID {
	t.Helper()
	id, err := s.Put(context.Background(), letter(lane), bytes.NewReader(bytes.Repeat([]byte("mail "), size/5+1)[:size]))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func finish(t testing.TB, s spool.Spool, lane string, n int) {
	t.Helper()
	got, err := s.Claim(context.Background(), lane, n, time.Hour)
	if err != nil || len(got) != n {
		t.Fatalf("claimed %d of %d: %v", len(got), n, err)
	}
	for _, c := range got {
		o := spool.Outcome{Results: []spool.Result{{Status: spool.Delivered}}, Events: [][]byte{[]byte("delivered " + c.ID.String())}}
		if err := s.Finish(context.Background(), c.Token, o); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSyncBeforeAnswer shows the order of what reaches the disk. On a real one:
//
//	strace -f -e trace=pwrite64,fdatasync,fsync,fallocate,openat go test -run TestOnDisk ./relay/spool
//
// shows pwrite64 and fdatasync of the segment between each Put and its return.
func TestSyncBeforeAnswer(t *testing.T) {
	p := conformance.NewPower(1)
	s := open(t, small(p.FS()))
	defer s.Close()
	made := p.Operations()
	name := strings.TrimPrefix(made[0], "create ")
	want := []string{"create " + name, "preallocate " + name, "write " + name, "sync " + name, "syncdir "}
	if !slices.Equal(made, want) {
		t.Errorf("a new segment: %q, want %q", made, want)
	}
	want = []string{"write " + name, "sync " + name}
	put(t, s, "a", 4096)
	if got := p.Operations(); !slices.Equal(got, want) {
		t.Errorf("Put: %q, want %q", got, want)
	}
	c, err := s.Claim(context.Background(), "a", 1, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Begin(context.Background(), c[0].Token, time.Now()); err != nil {
		t.Fatal(err)
	}
	if got := p.Operations(); !slices.Equal(got, want[:1]) {
		t.Errorf("Begin: %q, want %q", got, want[:1])
	}
	if err := s.Finish(context.Background(), c[0].Token, spool.Outcome{Results: []spool.Result{{Status: spool.Failed}}}); err != nil {
		t.Fatal(err)
	}
	if got := p.Operations(); !slices.Equal(got, want) {
		t.Errorf("Finish: %q, want %q", got, want)
	}
}

func TestOnDisk(t *testing.T) {
	dir, err := spool.Dir(filepath.Join(t.TempDir(), "new", "spool"))
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, small(dir))
	if _, err := spool.Open(small(dir)); !errors.Is(err, spool.ErrLocked) {
		t.Errorf("two on one spool: %v", err)
	}
	for range 700 {
		put(t, s, "a", 5000)
	}
	finish(t, s, "a", 650)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, small(dir))
	defer s.Close()
	<-s.Loaded()
	finish(t, s, "a", 50)
	events, _, err := s.Events(context.Background(), "", 1000)
	if err != nil || len(events) != 700 || events[0].Gap != 0 {
		t.Errorf("%d events, %v", len(events), err)
	}
	if st := s.Stats(); st.Parts != 0 || st.LiveBytes > 200<<10 || len(st.Damage) > 0 {
		t.Errorf("%+v", st)
	}
}

// TestDiskStaysSmall holds what a crowd of short-lived mail with some that waits leaves on the disk.
func TestDiskStaysSmall(t *testing.T) { synctest.Test(t, diskStaysSmall) }

func diskStaysSmall(t *testing.T) {
	p := conformance.NewPower(1)
	o := small(p.FS())
	o.EventBytes = 1 << 10
	s := open(t, o)
	for range 40 {
		for i := range 100 {
			if i == 0 {
				put(t, s, "waits", 10_000)
			}
			put(t, s, "a", 10_000)
		}
		finish(t, s, "a", 100)
		synctest.Wait() // what is written faster than it is copied lies around for a moment
		st := s.Stats()
		if most := 2*st.LiveBytes + 5<<20; st.DiskBytes > most {
			t.Fatalf("%d bytes on disk, %d live", st.DiskBytes, st.LiveBytes)
		}
	}
	if s.Stats().Copied == 0 {
		t.Error("nothing was compacted: the test tests nothing")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, o)
	defer s.Close()
	finish(t, s, "waits", 40)
	if got, err := s.Claim(context.Background(), "a", 1, time.Hour); err != nil || len(got) > 0 {
		t.Errorf("finished mail came back: %v, %v", got, err)
	}
}

func TestDamageIsToldAndIsolated(t *testing.T) {
	p := conformance.NewPower(1)
	s := open(t, small(p.FS()))
	var ids []spool.ID
	for range 300 {
		ids = append(ids, put(t, s, "a", 10_000))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	p.Flip("0000000001.log", 200)     // in the first body
	p.Flip("0000000002.log", 64+3)    // the header of a record
	p.Flip("0000000002.log", 500_000) // somewhere
	s = open(t, small(p.FS()))
	defer s.Close()
	<-s.Loaded()
	bad, gone := 0, 0
	for _, id := range ids {
		if _, err := s.Look(id); err != nil {
			gone++
			continue
		}
		b, err := s.Body(id)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.ReadAt(make([]byte, 10_000), 0); errors.Is(err, spool.ErrDamaged) {
			bad++
		} else if err != nil {
			t.Error(err)
		}
	}
	if bad+gone == 0 || bad+gone > 3 {
		t.Errorf("%d bodies and %d messages damaged, want 3 at most, and some", bad, gone)
	}
	if d := s.Stats().Damage; len(d) == 0 {
		t.Error("damage of a record's header was not told")
	}
	finish(t, s, "a", 250) // what is whole goes on
}

func TestFailingDisk(t *testing.T) {
	for _, op := range []string{"write", "sync", "create", "preallocate", "syncdir", "truncate"} {
		t.Run(op, func(t *testing.T) {
			p := conformance.NewPower(1)
			fail := false
			p.Fail = func(what, _ string) error {
				if fail && what == op {
					return errors.New("disk says no")
				}
				return nil
			}
			s := open(t, small(p.FS()))
			kept := []spool.ID{put(t, s, "a", 1000)}
			fail = true
			failed := 0
			for range 300 {
				id, err := s.Put(context.Background(), letter("a"), bytes.NewReader(make([]byte, 10_000)))
				if err == nil {
					kept = append(kept, id)
				} else {
					failed++
				}
			}
			if failed == 0 {
				t.Errorf("no Put failed")
			}
			fail = false
			_, err := s.Put(context.Background(), letter("a"), nil)
			if broken := op == "sync"; broken != errors.Is(err, spool.ErrBroken) && op != "truncate" {
				t.Errorf("after the disk is well: %v", err)
			} else if err == nil {
				kept = append(kept, 0)
			}
			_ = s.Close()
			p.Restore()
			s = open(t, small(p.FS()))
			defer s.Close()
			<-s.Loaded()
			if st := s.Stats(); st.Messages < len(kept) || len(st.Damage) > 0 {
				t.Errorf("%d acknowledged, %d there, damage %v", len(kept), st.Messages, st.Damage)
			}
		})
	}
}

func TestFull(t *testing.T) {
	p := conformance.NewPower(1)
	o := small(p.FS())
	o.MinFree = 100 << 20
	s := open(t, o)
	put(t, s, "a", 10)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	p.Room = 99 << 20
	s = open(t, o)
	defer s.Close()
	if _, err := s.Put(context.Background(), letter("a"), nil); !errors.Is(err, spool.ErrFull) {
		t.Errorf("put: %v", err)
	}
	finish(t, s, "a", 1) // what waits goes out all the same
}

func TestLeasesAndAges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		p := conformance.NewPower(1)
		o := small(p.FS())
		o.EventAge, o.KeyLife = time.Hour, time.Hour
		s := open(t, o)
		defer s.Close()
		m := letter("a")
		m.Key, m.Events = "key", [][]byte{[]byte("old")}
		first, err := s.Put(ctx, m, nil)
		if err != nil {
			t.Fatal(err)
		}
		c, _ := s.Claim(ctx, "a", 1, time.Minute)
		time.Sleep(50 * time.Second) //nolint:forbidigo // the clock of a bubble
		if err := s.Renew(c[0].Token, time.Minute); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Second) //nolint:forbidigo // the clock of a bubble
		if got, _ := s.Claim(ctx, "a", 1, time.Minute); len(got) > 0 {
			t.Error("a renewed lease was given to another")
		}
		time.Sleep(11 * time.Second) //nolint:forbidigo // the clock of a bubble
		if got, _ := s.Claim(ctx, "a", 1, time.Minute); len(got) != 1 {
			t.Error("a lease that was over was not given again")
		}
		if err := s.Finish(ctx, c[0].Token, spool.Outcome{Results: []spool.Result{{Status: spool.Delivered}}}); !errors.Is(err, spool.ErrToken) {
			t.Errorf("finish by the late one: %v", err)
		}
		time.Sleep(2 * time.Hour) //nolint:forbidigo // the clock of a bubble
		m.Events = [][]byte{[]byte("new")}
		second, err := s.Put(ctx, m, nil)
		if err != nil || first == second {
			t.Errorf("a key was known beyond its life: %v", err)
		}
		events, _, err := s.Events(ctx, "", 10)
		if err != nil || len(events) != 2 || events[0].Gap != 1 || string(events[1].Data) != "new" {
			t.Errorf("events %+v, %v", events, err)
		}
	})
}

func TestOutboxCap(t *testing.T) {
	o := small(conformance.NewPower(1).FS())
	o.EventBytes = 1000
	s := open(t, o)
	defer s.Close()
	m := letter("a")
	for i := range 100 {
		m.Events = [][]byte{fmt.Appendf(nil, "%92d", i)}
		if _, err := s.Put(context.Background(), m, nil); err != nil {
			t.Fatal(err)
		}
	}
	events, cursor, err := s.Events(context.Background(), "", 100)
	if err != nil || len(events) != 11 || events[0].Gap != 90 || strings.TrimSpace(string(events[1].Data)) != "90" {
		t.Fatalf("%d events, first %+v, %v", len(events), events[0], err)
	}
	if events, _, err = s.Events(context.Background(), cursor, 100); err != nil || len(events) > 0 {
		t.Errorf("after the end: %v, %v", events, err)
	}
}

// TestClockSetBack: mail that is put before and after the clock is set is all there, and due.
func TestClockSetBack(t *testing.T) {
	p := conformance.NewPower(1)
	now := time.Now()
	o := small(p.FS())
	o.Now = func() time.Time { return now }
	s := open(t, o)
	put(t, s, "a", 10)
	now = now.Add(-time.Hour)
	put(t, s, "a", 10)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, o)
	defer s.Close()
	finish(t, s, "a", 1)
	now = now.Add(2 * time.Hour)
	finish(t, s, "a", 1)
}
