package spool_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postroad/postroad/relay/spool"
)

// TestKill ends a process that writes, finishes and compacts, by SIGKILL at random times. What it said before was
// durable, or it lied: POSTROAD_CRASHES=200 makes more rounds.
func TestKill(t *testing.T) {
	if dir := os.Getenv("POSTROAD_SPOOL_CHILD"); dir != "" {
		child(t, dir)
		return
	}
	rounds := 5
	if n, err := strconv.Atoi(os.Getenv("POSTROAD_CRASHES")); err == nil {
		rounds = n
	} else if testing.Short() {
		rounds = 1
	}
	dir := t.TempDir()
	promised := map[string]string{} // id -> "put" or "begun"
	finished := map[string]bool{}
	copied := 0
	for round := range rounds {
		inFlight, moved := life(t, dir, promised, finished)
		copied += moved
		fs, err := spool.Dir(dir)
		if err != nil {
			t.Fatal(err)
		}
		s := open(t, small(fs))
		there := map[string]bool{}
		<-s.Loaded()
		if err := s.Scan("", func(w spool.Waiting) bool {
			there[w.ID.String()] = true
			return true
		}); err != nil {
			t.Fatal(err)
		}
		lost := 0
		for id, state := range promised {
			switch {
			case there[id]:
				if err := verify(s, id); err != nil {
					t.Errorf("round %d: %v", round, err)
				}
			case state == "begun": // it was finished, and killed before it could say so
				delete(promised, id)
			default:
				lost++
			}
		}
		again := 0
		for id := range there {
			if finished[id] {
				again++
			}
		}
		if d := s.Stats().Damage; lost > 0 || again > 0 || len(d) > 0 {
			t.Fatalf("round %d: %d lost, %d came back, damage %v", round, lost, again, d)
		}
		t.Logf("round %d: %d promised, %d there, %d finished in all, %d in flight, %d bytes compacted",
			round, len(promised), len(there), len(finished), inFlight, moved)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if rounds >= 5 && copied == 0 {
		t.Error("nothing was compacted while processes were killed: the test tests less than it says")
	}
}

// life runs a child, kills it, and notes what it said.
func life(t *testing.T, dir string, promised map[string]string, finished map[string]bool) (inFlight, moved int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond+time.Duration(rand.IntN(600))*time.Millisecond)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestKill$")
	cmd.Env = append(os.Environ(), "POSTROAD_SPOOL_CHILD="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(out)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			break // an unfinished line was not said
		}
		word, id, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch word {
		case "put":
			if promised[id] == "" && !finished[id] { // another worker may have been faster to say what it did
				promised[id] = word
			}
		case "begun":
			promised[id] = word
		case "done":
			delete(promised, id)
			finished[id] = true
		case "deferred":
			promised[id] = "put"
		case "copied":
			moved, _ = strconv.Atoi(id)
		}
	}
	_ = cmd.Wait() // killed
	for _, state := range promised {
		if state == "begun" {
			inFlight++
		}
	}
	return inFlight, moved
}

func verify(s spool.Spool, id string) error {
	n, err := spool.ParseID(id)
	if err != nil {
		return err
	}
	m, err := s.Look(n)
	if err != nil {
		return fmt.Errorf("%s: %w", id, err)
	}
	b, err := s.Body(n)
	if err != nil {
		return fmt.Errorf("%s: %w", id, err)
	}
	got, err := io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
	if err != nil || !bytes.Equal(got, bytes.Repeat([]byte(m.From+"\n"), len(got)/(len(m.From)+1))) {
		return fmt.Errorf("%s: the body is another: %w", id, err)
	}
	return nil
}

// child writes under load until it is killed, and says what it was promised, a line each, unbuffered.
func child(t *testing.T, dir string) {
	fs, err := spool.Dir(dir)
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, small(fs))
	ctx := context.Background()
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for n := 0; ; n++ {
				m := letter("a")
				m.From = fmt.Sprintf("w%d-%d@example.com", w, rand.Uint32())
				id, err := s.Put(ctx, m, strings.NewReader(strings.Repeat(m.From+"\n", rand.IntN(1000))))
				if err != nil {
					panic(err)
				}
				fmt.Fprintf(os.Stdout, "put %s\n", id)
				got, err := s.Claim(ctx, "a", 1, time.Hour)
				if err != nil {
					panic(err)
				}
				for _, c := range got {
					if _, err := s.Begin(ctx, c.Token, time.Now().Add(-time.Hour)); err != nil {
						panic(err)
					}
					fmt.Fprintf(os.Stdout, "begun %s\n", c.ID)
					st := spool.Delivered
					if rand.IntN(20) == 0 {
						st = spool.Deferred
					}
					r := spool.Result{Status: st, Next: time.Now().Add(time.Hour)}
					if err := s.Finish(ctx, c.Token, spool.Outcome{Results: []spool.Result{r}, Events: [][]byte{make([]byte, 100)}}); err != nil {
						panic(err)
					}
					if st == spool.Delivered {
						fmt.Fprintf(os.Stdout, "done %s\n", c.ID)
					} else {
						fmt.Fprintf(os.Stdout, "deferred %s\n", c.ID)
					}
				}
				if n%50 == 0 {
					events, cursor, err := s.Events(ctx, "", 10_000)
					if err != nil {
						panic(err)
					}
					if len(events) > 0 && s.Forget(ctx, cursor) != nil {
						panic("forget")
					}
					fmt.Fprintf(os.Stdout, "copied %d\n", s.Stats().Copied)
				}
			}
		})
	}
	wg.Wait()
}
