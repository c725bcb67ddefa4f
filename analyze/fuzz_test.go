package analyze

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/postroad/postroad/lang"
)

// FuzzRun gives the pipeline any bytes as standard input: it answers within its
// own bounds, the same on every reading, and in numbers that fit together.
func FuzzRun(f *testing.F) {
	seeds, _ := filepath.Glob("testdata/ten/*")
	for _, name := range seeds {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		if len(data) < 16<<10 {
			f.Add(data)
		}
	}
	f.Add([]byte(sentLine("2024-01-22T09:10:11+00:00", "4T6X0z3kWqz9vB", "a@example.com", "mx.example.com")))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := answer(t, data)
		if r.Facts > r.Events || len(r.Providers) > MaxList || len(r.Skipped) > MaxList {
			t.Errorf("%d facts of %d events, %d providers, %d skips", r.Facts, r.Events, len(r.Providers), len(r.Skipped))
		}
		for _, p := range r.Providers {
			if p.Attempts != p.Delivered+p.Deferred+p.Bounced+p.Expired || p.Messages > p.Attempts || p.Waiting > p.Messages {
				t.Errorf("numbers do not fit: %+v", p)
			}
		}
		for _, in := range r.Incidents {
			if in.Began.After(in.Detected) || in.Failures > in.Attempts || in.Confidence < 0 || in.Confidence > 1 || in.Summary == "" {
				t.Errorf("incident does not fit: %+v", in)
			}
		}
		if err := (&Printer{W: io.Discard, Texts: lang.Open("de"), Zone: time.UTC, Now: base}).Print(r); err != nil {
			t.Error(err)
		}
		first, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if again, _ := json.Marshal(answer(t, data)); !bytes.Equal(first, again) {
			t.Errorf("two answers:\n%s\n%s", first, again)
		}
	})
}

func answer(t *testing.T, data []byte) *Report {
	p := newPile(t, Options{TempDir: t.TempDir()})
	r, err := Run(context.Background(), []string{"-"}, bytes.NewReader(data), p.Options)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
