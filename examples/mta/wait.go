package mta

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// look is how often a condition is looked at: files of other people's programs
// cannot be waited for otherwise without a dependency.
const look = 20 * time.Millisecond

// WaitMail waits until the Maildir of the cell's domain has a mail for which
// want is true, and gives it.
func (c *Cell) WaitMail(ctx context.Context, want func(raw string) bool) (string, error) {
	seen := make(map[string]bool)
	var found string
	err := wait(ctx, func() bool {
		files, _ := filepath.Glob(c.Path("mail/inbox/new/*"))
		for _, f := range files {
			if seen[f] {
				continue
			}
			seen[f] = true
			if b, err := os.ReadFile(f); err == nil && want(string(b)) {
				found = string(b)
				return true
			}
		}
		return false
	})
	if err != nil {
		return "", fmt.Errorf("wait for a mail: %w (%d came)", err, len(seen))
	}
	return found, nil
}

// WaitLine waits until a whole line of a log, a name as for [Cell.Path],
// contains all of words, and gives the first such line.
func (c *Cell) WaitLine(ctx context.Context, log string, words ...string) (string, error) {
	var found, text string
	err := wait(ctx, func() bool {
		b, _ := os.ReadFile(c.Path(log))
		text = string(b)
		for line := range strings.Lines(text) {
			if strings.HasSuffix(line, "\n") && containsAll(line, words) {
				found = strings.TrimSuffix(line, "\n")
				return true
			}
		}
		return false
	})
	if err != nil {
		if len(text) > 2000 {
			text = text[len(text)-2000:]
		}
		return "", fmt.Errorf("wait for %q in %s: %w; it ends:\n%s", words, log, err, text)
	}
	return found, nil
}

func containsAll(s string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(s, w) {
			return false
		}
	}
	return true
}

// wait looks until the condition holds or ctx ends.
func wait(ctx context.Context, holds func() bool) error {
	tick := time.NewTicker(look)
	defer tick.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}
