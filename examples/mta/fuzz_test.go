package mta

import (
	"strings"
	"testing"
)

func FuzzSyslog(f *testing.F) {
	f.Add("<22>Nov  9 06:02:11 postfix/smtp[17]: text\n")
	f.Add("<22>Nov  9 06:02:11")
	f.Add("<>")
	f.Add("Nov 1 0:00:00") // no stamp of the C library, though time.Parse takes it
	f.Add("text < than > that")
	f.Fuzz(func(t *testing.T, s string) {
		if got := message(s); !strings.Contains(s, got) || strings.HasSuffix(got, "\n") {
			t.Errorf("%q gives %q", s, got)
		}
	})
}
