package trace

import (
	"fmt"
	"strings"
	"testing"

	"github.com/postroad/postroad/event"
)

func says(e *event.Event) string {
	a := attempt(e)
	return fmt.Sprint(e.Time.Format("2006-01-02T15:04:05.000 "), a.Recipient, a.MessageID, a.Outcome, a.RemoteHost, a.RemoteIP)
}

// Whatever is cut off, what is left says nothing that the whole does not say.
func TestCutAnywhere(t *testing.T) {
	for name, text := range tenFiles(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for enc, step := range map[string]int{"utf-8": 50, "utf-16le": 450} {
				b := encodings[enc](text)
				whole := make(map[string]string)
				events, _ := readAll(t, string(b), Options{})
				for _, e := range events {
					whole[says(e)] = strings.Join(attempt(e).Reply.Lines, "\n")
				}
				most := 0
				b = b[:min(len(b), 12_000)] // every row has its cuts by then
				for n := 0; n < len(b); n += step {
					Sniff(b[:n])
					some, _ := readAll(t, string(b[:n]), Options{})
					for _, e := range some {
						if reply, ok := whole[says(e)]; !ok || !strings.HasPrefix(reply, strings.Join(attempt(e).Reply.Lines, "\n")) {
							t.Fatalf("%s cut at %d of %d: invented %s", enc, n, len(b), says(e))
						}
					}
					if len(some) < most-1 { // the object at the end may be whole, or cut in its address
						t.Fatalf("%s cut at %d: %d events, and %d of less text", enc, n, len(some), most)
					}
					most = max(most, len(some))
				}
				if most == 0 {
					t.Errorf("%s: no events", enc)
				}
			}
		})
	}
}

// A cut row is said to be cut.
func TestCutIsSaid(t *testing.T) {
	for name, text := range tenFiles(t) {
		text = strings.TrimRight(text, "\r\n ]}")
		text = text[:strings.LastIndexAny(text, ",;:\t")-2]
		if strings.Contains(name, "folded") || strings.HasPrefix(name, "MSGTRK") || strings.HasPrefix(name, "summary") || strings.Contains(name, ".ft") {
			text = text[:len(text)-30]
		}
		_, skipped := readAll(t, text, Options{})
		if len(skipped) != 1 || !strings.HasSuffix(skipped[0], " "+string(event.SkipCut)) {
			t.Errorf("%s: skipped %q, at its end %q", name, skipped, text[len(text)-60:])
		}
	}
}
