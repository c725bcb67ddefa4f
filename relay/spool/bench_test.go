package spool_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postroad/postroad/relay/spool"
)

// BenchmarkPutFinish is durable Put, Claim, Begin and Finish of one mail (two syncs that count), by committers and
// size; in the same run a queue of files with fsync, rename and fsync of the directory, then removal, as those have
// it that sync at all. Metrics: mails/s, syncs and bytes on disk for each mail, and how many times the peer it is.
func BenchmarkPutFinish(b *testing.B) {
	for _, size := range []int{4 << 10, 50 << 10} {
		for _, committers := range []int{1, 16, 64} {
			b.Run(fmt.Sprintf("%dKiB/%d", size>>10, committers), func(b *testing.B) {
				fs, err := spool.Dir(b.TempDir())
				if err != nil {
					b.Fatal(err)
				}
				o := spool.Options{FS: fs}
				if b.N > 1 {
					o.EventBytes = 16 << 20
				}
				s := open(b, o)
				body := bytes.Repeat([]byte("x"), size)
				before := s.Stats()
				b.ResetTimer()
				share(b, committers, func(w int) error { return mailOnce(s, "lane"+strconv.Itoa(w), body) })
				ours := b.Elapsed()
				b.StopTimer()
				st := s.Stats()
				n := float64(b.N)
				b.ReportMetric(n/ours.Seconds(), "mails/s")
				b.ReportMetric(float64(st.Syncs-before.Syncs)/n, "syncs/mail")
				b.ReportMetric(float64(st.Written-before.Written)/n/float64(size), "written/byte")
				b.ReportMetric(float64(st.Copied)/n/float64(size), "copied/byte")
				if err := s.Close(); err != nil {
					b.Fatal(err)
				}
				dir := b.TempDir()
				var names atomic.Int64
				start := time.Now()
				share(b, committers, func(int) error { return fileOnce(dir, names.Add(1), body) })
				b.ReportMetric(time.Since(start).Seconds()/ours.Seconds(), "times-files")
			})
		}
	}
}

// share runs b.N pieces of work in so many goroutines.
func share(b *testing.B, workers int, work func(worker int) error) {
	var wg sync.WaitGroup
	var next atomic.Int64
	for w := range workers {
		wg.Go(func() {
			for next.Add(1) <= int64(b.N) {
				if err := work(w); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func mailOnce(s spool.Spool, lane string, body []byte) error {
	ctx := context.Background()
	if _, err := s.Put(ctx, letter(lane), bytes.NewReader(body)); err != nil {
		return err
	}
	got, err := s.Claim(ctx, lane, 1, time.Hour)
	if err != nil || len(got) != 1 {
		return fmt.Errorf("claimed %d: %w", len(got), err)
	}
	if _, err := s.Begin(ctx, got[0].Token, time.Now()); err != nil {
		return err
	}
	return s.Finish(ctx, got[0].Token, spool.Outcome{
		Results: []spool.Result{{Status: spool.Delivered, Reason: "250 2.0.0 Ok"}}, Events: [][]byte{make([]byte, 300)}})
}

// fileOnce keeps and removes a mail as a queue of files does; the removal is not synced, as with those.
func fileOnce(dir string, n int64, body []byte) error {
	temp, name := filepath.Join(dir, fmt.Sprintf("tmp%d", n)), filepath.Join(dir, fmt.Sprintf("mail%d", n))
	f, err := os.Create(temp)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(body); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := os.Rename(temp, name); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return err
	}
	return os.Remove(name)
}

// BenchmarkBacklog is what many waiting mails take: memory for each, the time until a restarted spool has accepted
// one, and until all of it can be claimed. POSTROAD_BACKLOG=1000000 for the figure of the goal.
func BenchmarkBacklog(b *testing.B) {
	n := 50_000
	if v, err := strconv.Atoi(os.Getenv("POSTROAD_BACKLOG")); err == nil {
		n = v
	}
	dir := b.TempDir()
	fs, err := spool.Dir(dir)
	if err != nil {
		b.Fatal(err)
	}
	for range b.N {
		s := open(b, spool.Options{FS: fs})
		body := bytes.Repeat([]byte("x"), 1024)
		var wg sync.WaitGroup
		start := time.Now()
		for w := range 64 {
			wg.Go(func() {
				for i := w; i < n; i += 64 {
					m := letter("lane" + strconv.Itoa(i%50))
					m.Parts[0].Next = time.Now().Add(time.Hour)
					if _, err := s.Put(context.Background(), m, bytes.NewReader(body)); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		filled := time.Since(start)
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		s = nil
		before := heap()
		start = time.Now()
		s = open(b, spool.Options{FS: fs})
		if _, err := s.Put(context.Background(), letter("a"), bytes.NewReader(body)); err != nil {
			b.Fatal(err)
		}
		accepted := time.Since(start)
		<-s.Loaded()
		loaded := time.Since(start)
		after := heap()
		st := s.Stats()
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(float64(n)/filled.Seconds(), "puts/s")
		b.ReportMetric(float64(after-before)/float64(n), "heap-bytes/mail")
		b.ReportMetric(accepted.Seconds()*1000, "ms-to-first-accept")
		b.ReportMetric(loaded.Seconds()*1000, "ms-to-all-loaded")
		b.ReportMetric(float64(st.DiskBytes)/float64(st.LiveBytes), "disk/live")
		if st.Parts != n+1 {
			b.Fatalf("%d parts", st.Parts)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
