package spool_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/postroad/postroad/relay/spool"
	"github.com/postroad/postroad/relay/spool/conformance"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// engine is the log on a file system whose power can be cut.
type engine struct{ *conformance.Power }

func (e engine) Open() (spool.Spool, error) {
	return spool.Open(spool.Options{FS: e.FS(), SegmentSize: 2 << 20, MinFree: -1, Slack: 1 << 20})
}

func (e engine) CutAfter(n int) { e.Power.CutAfter(n) }

func (e engine) Crash() {
	e.Power.CutAfter(0)
	e.Power.Restore()
}

func TestConformance(t *testing.T) {
	conformance.Test(t, func(_ *testing.T, seed uint64) conformance.Engine { return engine{conformance.NewPower(seed)} })
}
