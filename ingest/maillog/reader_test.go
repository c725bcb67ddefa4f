package maillog

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/event"
)

// read gives everything that a reader says of a log, one event a paragraph.
func read(t testing.TB, log string, o ReaderOptions) string {
	t.Helper()
	var out strings.Builder
	if o.Skip == nil {
		o.Skip = func(line int64, why event.Skip) { fmt.Fprintf(&out, "skip %d %s\n\n", line, why) }
	}
	err := NewReader(strings.NewReader(log), o).Each(func(l *Line, raw []byte) error {
		out.WriteString(dump(*l) + "\n\n")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestX(t *testing.T) {
	for _, f := range []string{"postfix-expired.log", "exim-expired.log"} {
		raw, err := os.ReadFile(filepath.Join("../../examples", f))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println(read(t, string(raw), ReaderOptions{Now: time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)}))
	}
}
