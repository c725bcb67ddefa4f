package analyze

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func randomFacts(n int) []fact {
	r := rand.New(rand.NewPCG(1, 2))
	out := make([]fact, n)
	for i := range out {
		out[i] = fact{at: int64(i/3)*second + r.Int64N(20)*second, message: r.Uint64N(50), queue: r.Uint64(), recipient: r.Uint64N(9),
			evidence: r.Uint64(), delay: r.Uint32(), provider: r.Uint32N(7), address: r.Uint32(), source: r.Uint32(), sender: r.Uint32(),
			domain: r.Uint32(), class: uint8(r.Uint32N(20)), outcome: uint8(1 + r.Uint32N(3)), stage: uint8(r.Uint32N(9)),
			actor: uint8(r.Uint32N(5)), grade: uint8(1 + r.Uint32N(4)), format: uint8(r.Uint32N(9)), flags: uint8(r.Uint32())}
	}
	return out
}

// TestStoreOrder gives the same facts in the same order whatever the limit of
// memory, and with it whether they went through the file.
func TestStoreOrder(t *testing.T) {
	facts := randomFacts(5000)
	want := slices.Clone(facts)
	slices.SortFunc(want, func(a, b fact) int { return before(&a, &b) })
	for _, limit := range []int{10000, 5000, 999, 64} {
		s := newStore(limit, t.TempDir())
		for _, f := range facts {
			if err := s.add(f); err != nil {
				t.Fatal(err)
			}
		}
		if spilled := len(s.runs) > 0; spilled != (limit < 5000) {
			t.Errorf("limit %d: spilled %v", limit, spilled)
		}
		for pass := range 2 {
			i := 0
			err := s.each(func(f *fact) error {
				if *f != want[i] {
					t.Fatalf("limit %d, pass %d: fact %d is %+v, want %+v", limit, pass, i, *f, want[i])
				}
				i++
				return nil
			})
			if err != nil || i != len(want) {
				t.Errorf("limit %d: %d facts, %v", limit, i, err)
			}
		}
		s.close()
	}
}

// TestStoreLeavesNothing looks for the temporary file while and after it is used.
func TestStoreLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	s := newStore(10, dir)
	for _, f := range randomFacts(100) {
		if err := s.add(f); err != nil {
			t.Fatal(err)
		}
	}
	s.close()
	left, _ := filepath.Glob(filepath.Join(dir, "*"))
	if len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestStoreNoRoom says what to do where there is no place for the file.
func TestStoreNoRoom(t *testing.T) {
	s := newStore(10, filepath.Join(t.TempDir(), "missing"))
	var err error
	for _, f := range randomFacts(100) {
		if err = s.add(f); err != nil {
			break
		}
	}
	var spill *SpillError
	if !errors.As(err, &spill) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error is %v", err)
	}
}

func TestFold(t *testing.T) {
	if fold(1, "A@Example.COM") != fold(1, "a@example.com") {
		t.Error("case matters")
	}
	seen := map[uint64]string{}
	for _, s := range []string{"", "a", "b", "ab", "ba", "aaaaaaaa", "aaaaaaaaa", "aaaaaaaaaaaaaaaa", "aaaaaaab", "a\x00"} {
		for kind, h := range []uint64{hash(1, s), fold(2, s), hash(3, s)} {
			if old, ok := seen[h]; ok {
				t.Errorf("%q and %q (%d) are one", s, old, kind)
			}
			seen[h] = s
		}
	}
	if hash(3, "text of more than eight") != hash(3, []byte("text of more than eight")) {
		t.Error("bytes and strings differ")
	}
}
