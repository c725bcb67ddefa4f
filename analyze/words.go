package analyze

import (
	"time"

	"github.com/postroad/postroad/event"
	"github.com/postroad/postroad/lang"
)

// summary is the answer on one incident in one or two sentences that can be read
// aloud; times are in z.
func summary(t *lang.Catalogue, in *Incident, z *time.Location) string {
	return ""
}

// nextSteps are the steps to take now, the most urgent first.
func nextSteps(t *lang.Catalogue, in *Incident) []string {
	return []string{}
}

// skipWords says why a piece of input was left out.
func skipWords(t *lang.Catalogue, why event.Skip) string {
	return t.Text("skip."+string(why), nil)
}
