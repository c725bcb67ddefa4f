//go:build unix

package explain_test

import (
	"encoding/json"
	"syscall"
	"testing"
	"time"
)

// BenchmarkAnswer is the throughput that the project promises: mails of the
// corpus, from bytes to the JSON line.
func BenchmarkAnswer(b *testing.B) {
	expected := corpusExpected(b)
	x := explainer(b, nil)
	var mails [][]byte
	size := 0
	for _, name := range sortedKeys(expected) {
		raw := corpusMail(b, "bsd", name)
		mails = append(mails, raw)
		size += len(raw)
	}
	b.SetBytes(int64(size / len(mails)))
	b.ReportAllocs()
	i, begin := 0, cpuTime(b)
	for b.Loop() {
		a := x.Answer("x", mails[i%len(mails)], false)
		if _, err := json.Marshal(a); err != nil {
			b.Fatal(err)
		}
		i++
	}
	b.ReportMetric(float64(b.N)/(cpuTime(b)-begin).Seconds(), "mails/cpu-s")
}

// cpuTime is the processor time of this process: what the promise is about, and
// less moved by other work on the machine than the clock on the wall.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
