//go:build unix

package explain_test

import (
	"bytes"
	"encoding/json"
	"io"
	"syscall"
	"testing"
	"time"

	peer "github.com/emersion/go-message"
	_ "github.com/emersion/go-message/charset" // so that it decodes what we decode
)

// BenchmarkAnswer is the throughput that the project promises: mails of the
// corpus, from bytes to the JSON line.
func BenchmarkAnswer(b *testing.B) {
	x := explainer(b, nil)
	perMail(b, func(raw []byte) error {
		_, err := json.Marshal(x.Answer("x", raw, false))
		return err
	})
}

// BenchmarkPeerGoMessage is the yardstick of the same run: emersion/go-message
// only takes the same mails apart and decodes their parts, and judges nothing.
func BenchmarkPeerGoMessage(b *testing.B) {
	perMail(b, func(raw []byte) error {
		e, _ := peer.Read(bytes.NewReader(raw))
		if e == nil {
			return nil // it refuses some broken mails; that costs it nothing
		}
		_ = e.Walk(func(_ []int, part *peer.Entity, err error) error {
			if part != nil && err == nil {
				_, _ = io.Copy(io.Discard, part.Body)
			}
			return nil
		})
		return nil
	})
}

// perMail runs f over the mails of the corpus in turn.
func perMail(b *testing.B, f func([]byte) error) {
	var mails [][]byte
	size := 0
	expected := corpusExpected(b)
	for _, name := range sortedKeys(expected) {
		raw := corpusMail(b, "bsd", name)
		mails = append(mails, raw)
		size += len(raw)
	}
	b.SetBytes(int64(size / len(mails)))
	b.ReportAllocs()
	i, begin := 0, cpuTime(b)
	for b.Loop() {
		if err := f(mails[i%len(mails)]); err != nil {
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
