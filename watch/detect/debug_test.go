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
	for seed := uint64(1); seed <= 3; seed++ {
		l := usual(seed, 120, 400)
		l.plant(30, 20, 8*day)
		s, inc := l.oursAnd()
		fmt.Println(s)
		for _, i := range inc {
			if len(i.Spans) > 1 {
				fmt.Println(i.String())
			}
		}
	}
}
