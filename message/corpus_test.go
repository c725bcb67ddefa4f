package message

import (
	"os"
	"path/filepath"
	"testing"
)

// corpusDir finds the shared corpus next to the project, or skips aloud.
func corpusDir(t testing.TB, sub string) string {
	t.Helper()
	path := filepath.Join("../../shared", "corpus", sub)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("corpus not here: %s", path)
	}
	return path
}

// TestCorpusLineEnds holds that the dos and mac copies of a mail are taken
// apart as the bsd one is.
func TestCorpusLineEnds(t *testing.T) {
	dir := corpusDir(t, "bounces/sisimai-set-of-emails")
	bsd, _ := filepath.Glob(filepath.Join(dir, "*", "bsd", "*"))
	more, _ := filepath.Glob(filepath.Join(dir, "bsd", "*"))
	pairs := 0
	for _, file := range append(bsd, more...) {
		want, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		w := shape(Read(want, Limits{}))
		for _, other := range []string{"dos", "mac"} {
			b, err := os.ReadFile(filepath.Join(filepath.Dir(filepath.Dir(file)), other, filepath.Base(file)))
			if err != nil {
				continue
			}
			pairs++
			if g := shape(Read(b, Limits{})); g != w {
				t.Errorf("%s as %s:\n%s\nwant\n%s", filepath.Base(file), other, g, w)
			}
		}
	}
	if pairs == 0 {
		t.Error("no dos or mac copies found in the corpus")
	}
	t.Logf("%d copies compared", pairs)
}

// TestCorpusSound holds the invariants for every file of the corpus.
func TestCorpusSound(t *testing.T) {
	dir := corpusDir(t, "")
	n, parts := 0, 0
	notes := map[string]int{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		m := Read(b, Limits{})
		sound(t, m, Limits{}.orDefault(), len(b))
		n++
		parts += len(m.Parts)
		for _, x := range m.Notes {
			notes[x.Key]++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d files, %d parts, notes %v", n, parts, notes)
}
