package detect

import (
	"fmt"
	"os"
	"testing"
)

func TestDebug(t *testing.T) {
	if os.Getenv("DEBUGRUN") == "" {
		t.Skip("debug")
	}
	for seed := uint64(3); seed <= 5; seed++ {
		for _, l := range []life{usual(seed, 1e5, 40), exotic(seed, 1e5, 40)} {
			_, inc := l.oursAnd()
			for _, i := range inc {
				if groupOf(i.Class) != groupRecipient {
					fmt.Println(seed, i.String()[:min(len(i.String()), 400)])
				}
			}
		}
	}
}
