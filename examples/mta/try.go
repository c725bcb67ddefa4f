package mta

import (
	"context"
	"errors"
	"testing"
)

// Try opens a cell for a test and closes it when the test is over, after all that
// the test arranges to be closed later. The servers are where [Find] says; where
// they or a cell cannot be had it skips the test, and says why.
func Try(ctx context.Context, t testing.TB, o Options) *Cell {
	t.Helper()
	deps, err := Find()
	if err != nil {
		t.Skip(err)
	}
	o.Deps = deps
	c, err := Open(ctx, o)
	if errors.Is(err, ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}
