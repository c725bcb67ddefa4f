package trace

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postroad/postroad/event"
)

// grown repeats the rows of one of the ten forms, each time as other messages.
func grown(tb testing.TB, name string, rows int) []byte {
	tb.Helper()
	text := tenFiles(tb)[name]
	head, body := "", ""
	for line := range strings.SplitAfterSeq(text, "\n") {
		if body == "" && (line[0] == '#' || strings.Contains(line, "ecipient") && !strings.Contains(line, "@")) {
			head += line
		} else {
			body += line
		}
	}
	n := strings.Count(body, "\n")
	var b bytes.Buffer
	b.WriteString(head)
	for i := 0; i*n < rows; i++ {
		b.WriteString(strings.ReplaceAll(strings.ReplaceAll(body, "<m", fmt.Sprintf("<m%d-", i)), "a1b2", fmt.Sprintf("%04x", i&0xffff)))
	}
	return b.Bytes()
}

// cpu is the time that the process has worked: on a busy machine the clock says
// little.
func cpu() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

var benchmarked = []string{"summary-historical.csv", "detail-historical.csv", "get-messagetrace.csv", "MSGTRK2026091108-1.LOG"}

// BenchmarkRead is rows a second of work with diagnosis left to others; its peer is
// encoding/csv, which only divides the rows: BenchmarkDivide.
func BenchmarkRead(b *testing.B) {
	for _, name := range benchmarked {
		b.Run(name, func(b *testing.B) {
			in := grown(b, name, 50_000)
			rows := bytes.Count(in, []byte("\n"))
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			from := cpu()
			for b.Loop() {
				n := 0
				if err := Read(bytes.NewReader(in), Options{}, func(*event.Event) error { n++; return nil }); err != nil || n < rows/4 {
					b.Fatal(n, err)
				}
			}
			b.ReportMetric(float64(rows)*float64(b.N)/(cpu()-from).Seconds(), "rows/cpu-s")
		})
	}
}

func BenchmarkDivide(b *testing.B) {
	for _, name := range benchmarked {
		b.Run(name, func(b *testing.B) {
			in := grown(b, name, 50_000)
			rows := bytes.Count(in, []byte("\n"))
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			from := cpu()
			for b.Loop() {
				r := csv.NewReader(bytes.NewReader(in))
				r.FieldsPerRecord, r.LazyQuotes, r.ReuseRecord = -1, true, true
				for {
					if _, err := r.Read(); err == io.EOF {
						break
					} else if err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(rows)*float64(b.N)/(cpu()-from).Seconds(), "rows/cpu-s")
		})
	}
}

func BenchmarkLastError(b *testing.B) {
	cases := readLEDs(b)
	for i := 0; b.Loop(); i++ {
		var a event.Attempt
		fill(&a, cases[i%len(cases)].text)
	}
}
