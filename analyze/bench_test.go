//go:build unix

package analyze

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"syscall"
	"testing"
	"time"
)

// pile asks for one measurement more, which takes minutes: the command itself on
// a log of so many messages, 8400000 for 13 GB.
var pile = flag.Int("pile", 0, "messages of the log that BenchmarkPile pipes into the command")

// BenchmarkPile holds the command's memory against a log of any length: a third
// fails, to 200,000 domains from 3,000 hosts, and an eighth is never delivered.
func BenchmarkPile(b *testing.B) {
	if *pile == 0 {
		b.Skip("skipped: takes minutes; ask for it with: go test ./analyze -run xxx -bench Pile -benchtime 1x -timeout 30m -pile 8400000")
	}
	command := filepath.Join(b.TempDir(), "postroad")
	if out, err := exec.Command("go", "build", "-o", command, "../cmd/postroad").CombinedOutput(); err != nil {
		b.Fatalf("build: %v: %s", err, out)
	}
	log := sender{seed: 1, messages: *pile, over: 720 * time.Hour, failing: 333, lost: 125, domains: 200_000, hosts: 3000}
	for b.Loop() {
		cmd := exec.Command(command, "analyze", "--json", "-")
		in, err := cmd.StdinPipe()
		if err != nil {
			b.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		size := &sized{w: in}
		lines, err := log.write(size)
		if err := errors.Join(err, in.Close()); err != nil {
			b.Fatal(err)
		}
		var status *exec.ExitError
		if err := cmd.Wait(); err != nil && !(errors.As(err, &status) && status.ExitCode() == 1) {
			b.Fatal(err) // 1 is trouble found
		}
		worked := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
		b.ReportMetric(float64(size.n)/1e9, "GB")
		b.ReportMetric(float64(lines)/worked.Seconds(), "lines/cpu-s")
		if u, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
			b.ReportMetric(float64(u.Maxrss)/1e3, "peak-MB") // Linux counts in kilobytes
		}
	}
}

// sized counts what is written.
type sized struct {
	w io.Writer
	n int64
}

func (s *sized) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	s.n += int64(n)
	return n, err
}

// cpu is how long this process, or what it started and waited for, has worked:
// wall time says little on a machine with neighbours.
func cpu(who int) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(who, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// peak watches by how much the heap grows while f runs, in bytes.
func peak(f func()) uint64 {
	runtime.GC()
	stop, done := make(chan struct{}), make(chan uint64)
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	begin := sample[0].Value.Uint64()
	go func() {
		top := begin
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				done <- top - begin
				return
			case <-tick.C:
				metrics.Read(sample)
				top = max(top, sample[0].Value.Uint64())
			}
		}
	}()
	f()
	close(stop)
	return <-done
}

// benchLogs are what is measured: the log of a submission server, as it is in
// ordinary life and in trouble.
var benchLogs = []struct {
	name string
	log  sender
}{
	{"healthy", sender{seed: 1, messages: 60_000, over: 48 * time.Hour}},
	{"traditional", sender{seed: 1, messages: 60_000, over: 48 * time.Hour, traditional: true}},
	{"third-fails", sender{seed: 1, messages: 60_000, over: 48 * time.Hour, failing: 333}},
	{"outage", sender{seed: 1, messages: 60_000, over: 48 * time.Hour, failing: 20, outage: true}},
}

// BenchmarkAnalyze measures the whole way from a log to its report, beside what
// any reader has to do at least and beside pflogsumm. "x" is how many times the
// processor time of analyze the peer takes.
func BenchmarkAnalyze(b *testing.B) {
	for _, of := range benchLogs {
		log, lines := of.log.log()
		file := filepath.Join(b.TempDir(), "mail.log")
		if err := os.WriteFile(file, log, 0o600); err != nil {
			b.Fatal(err)
		}
		ours := 0.0
		b.Run(of.name+"/postroad", func(b *testing.B) {
			ours = measured(b, lines, len(log), syscall.RUSAGE_SELF, func() { benchRun(b, file, lines/8) })
		})
		b.Run(of.name+"/field-search", func(b *testing.B) {
			n := 0
			theirs := measured(b, lines, len(log), syscall.RUSAGE_SELF, func() { n = fieldSearch(log) })
			b.ReportMetric(theirs/ours, "x")
			b.ReportMetric(float64(n), "results")
		})
		b.Run(of.name+"/pflogsumm", func(b *testing.B) {
			command, err := pflogsumm()
			if err != nil {
				b.Skip("skipped: no pflogsumm here: ", err)
			}
			theirs := measured(b, lines, len(log), syscall.RUSAGE_CHILDREN, func() {
				cmd := exec.Command(command[0], append(command[1:], file)...)
				if out, err := cmd.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("delivered")) {
					b.Fatalf("pflogsumm: %v: %.200s", err, out)
				}
			})
			b.ReportMetric(theirs/ours, "x")
		})
	}
}

// measured runs f and reports lines a CPU second, bytes a line and by how
// much the heap grew; it gives CPU seconds a run.
func measured(b *testing.B, lines int64, size, who int, f func()) float64 {
	b.SetBytes(int64(size))
	before := cpu(who)
	top := uint64(0)
	runs := 0
	for b.Loop() {
		top = max(top, peak(f))
		runs++
	}
	each := (cpu(who) - before).Seconds() / float64(runs)
	b.ReportMetric(float64(lines)/each, "lines/cpu-s")
	b.ReportMetric(float64(size)/float64(lines), "B/line")
	if who == syscall.RUSAGE_SELF {
		b.ReportMetric(float64(top)/1e6, "heap-MB")
	}
	return each
}

// benchRun analyses a file as the command does.
func benchRun(b *testing.B, file string, least int64) {
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	p := newPile(b, Options{})
	r, err := Run(context.Background(), []string{file}, strings.NewReader(""), p.Options)
	if err != nil {
		b.Fatal(err)
	}
	if r.Facts < least || len(r.Unknown) > 0 && r.Unknown[0].Count > uint64(r.Facts) {
		b.Fatalf("%d facts", r.Facts)
	}
}

// fieldSearch is the least that any reader does: it cuts lines and looks for one
// field in each.
func fieldSearch(log []byte) (n int) {
	for len(log) > 0 {
		i := bytes.IndexByte(log, '\n')
		if i < 0 {
			break
		}
		if bytes.Contains(log[:i], []byte(" status=")) {
			n++
		}
		log = log[i+1:]
	}
	return n
}

// pflogsumm finds Postfix's log summarizer: installed, or unpacked by
// etc/test-deps.
func pflogsumm() ([]string, error) {
	if path, err := exec.LookPath("pflogsumm"); err == nil {
		return []string{path}, nil
	}
	dir := os.Getenv("POSTROAD_TEST_DEPS")
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return nil, err
		}
		dir = filepath.Join(home, ".cache", "postroad", "test-deps")
	}
	script := filepath.Join(dir, "pflogsumm", "usr", "sbin", "pflogsumm")
	if _, err := os.Stat(script); err != nil {
		return nil, errors.New("install it, or run etc/test-deps")
	}
	perl, err := exec.LookPath("perl")
	if err != nil {
		return nil, fmt.Errorf("it needs perl: %w", err)
	}
	return []string{perl, "-I" + filepath.Join(dir, "pflogsumm", "usr", "share", "perl5"), script}, nil
}
