package trace

import (
	"fmt"
	"strings"
	"testing"

	"github.com/postroad/postroad/event"
)

// readAll reads a text and gives its events as one line each, and what was left out.
func readAll(t testing.TB, s string, o Options) (events []*event.Event, skipped []string) {
	t.Helper()
	o.Skip = func(line int64, why event.Skip) { skipped = append(skipped, fmt.Sprintf("%d %s", line, why)) }
	if err := Read(strings.NewReader(s), o, func(e *event.Event) error {
		events = append(events, e)
		return nil
	}); err != nil {
		skipped = append(skipped, err.Error())
	}
	return events, skipped
}

func attempt(e *event.Event) *event.Attempt { return e.Body.(*event.Attempt) }
