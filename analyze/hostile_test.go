package analyze

import (
	"archive/zip"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/event"
)

// sentLine is one delivery in a log.
func sentLine(stamp, id, to, host string) string {
	return fmt.Sprintf("%s mail postfix/smtp[77]: %s: to=<%s>, relay=%s[192.0.2.7]:25, delay=1.2, delays=0.1/0/0.5/0.6, dsn=2.0.0, status=sent (250 2.0.0 Ok)\n", stamp, id, to, host)
}

func write(t *testing.T, dir, name string, data []byte) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func analysed(t *testing.T, o Options, args ...string) *Report {
	t.Helper()
	p := newPile(t, o)
	r, err := Run(context.Background(), args, strings.NewReader(""), p.Options)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func skipped(r *Report, why event.Skip) int64 {
	for _, s := range r.Skipped {
		if s.Code == string(why) {
			if s.Reason == "" || strings.HasPrefix(s.Reason, "skip.") {
				return -1 // no words for it
			}
			return s.Count
		}
	}
	return 0
}

// zeros reads as n bytes of one kind without having them.
type zeros struct {
	n int64
	b byte
}

func (z *zeros) Read(p []byte) (int, error) {
	if z.n == 0 {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), z.n))
	for i := range p[:n] {
		p[i] = z.b
	}
	z.n -= int64(n)
	return n, nil
}

// TestLongLine: 200 MB without a line end, between two good lines.
func TestLongLine(t *testing.T) {
	if testing.Short() {
		t.Skip("short: 200 MB are read")
	}
	good := sentLine("2024-01-22T09:10:11+00:00", "4T6X0z3kWqz9vB", "a@example.com", "mx.example.com")
	in := io.MultiReader(strings.NewReader(good), &zeros{200 << 20, 'x'}, strings.NewReader("\n"+good))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	p := newPile(t, Options{})
	r, err := Run(context.Background(), []string{"-"}, in, p.Options)
	runtime.ReadMemStats(&after)
	if err != nil {
		t.Fatal(err)
	}
	if r.Facts != 1 || r.Events != 2 || skipped(r, event.SkipLong) != 1 { // the same line twice is one fact
		t.Errorf("%d facts, %d events, skipped %+v", r.Facts, r.Events, r.Skipped)
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 100<<20 {
		t.Errorf("%d MB were allocated for it", grown>>20)
	}
}

// TestOddTimes: a log of a year that has not come, and one with two years in it.
func TestOddTimes(t *testing.T) {
	dir := t.TempDir()
	future := write(t, dir, "future.log", []byte(sentLine("2031-01-22T09:10:11+00:00", "4T6X0z3kWqz9vB", "a@example.com", "mx.example.com")))
	r := analysed(t, Options{Now: time.Date(2024, 3, 1, 0, 0, 0, 0, time.UTC)}, future)
	if r.Facts != 0 || skipped(r, event.SkipStamp) != 1 || r.Period.From != nil {
		t.Errorf("future: %d facts, %+v", r.Facts, r.Skipped)
	}
	var two strings.Builder
	for i, stamp := range []string{"Nov 11 10:00:00", "Dec 31 23:59:59", "Jan  1 00:00:01", "Jun 30 12:00:00", "Dec 24 18:00:00", "Jan  6 08:00:00"} {
		two.WriteString(sentLine(stamp, fmt.Sprintf("4T6X0z3kWqz9v%d", i), "a@example.com", "mx.example.com"))
	}
	file := write(t, dir, "two.log", []byte(two.String()))
	modified := time.Date(2024, 1, 6, 9, 0, 0, 0, time.UTC)
	if err := os.Chtimes(file, modified, modified); err != nil {
		t.Fatal(err)
	}
	r = analysed(t, Options{Now: time.Date(2024, 3, 1, 0, 0, 0, 0, time.UTC)}, file)
	if r.Facts != 6 || r.Period.From == nil || !r.Period.From.Equal(time.Date(2022, 11, 11, 10, 0, 0, 0, time.UTC)) ||
		!r.Period.To.Equal(time.Date(2024, 1, 6, 8, 0, 0, 0, time.UTC)) {
		t.Errorf("two years: %d facts from %v to %v, %+v", r.Facts, r.Period.From, r.Period.To, r.Skipped)
	}
}

// TestCutTrace: a CSV that ends in the middle of a row, and one whose encoding
// changes on the way.
func TestCutTrace(t *testing.T) {
	dir := t.TempDir()
	head := "origin_timestamp_utc,sender_address,recipient_status,message_subject,total_bytes,message_id\n"
	row := func(i int, status string) string {
		return fmt.Sprintf("2024-01-22T09:1%d:00.000Z,sales@contoso.example,user%d@yahoo.com##%s,Offre n\u00b0 %d,1200,<m%d@contoso.example>\n", i, i, status, i, i)
	}
	whole := head + row(1, "Delivered") + row(2, "Failed") + row(3, "Delivered")
	cut := write(t, dir, "cut.csv", []byte(whole[:len(whole)-60]))
	r := analysed(t, Options{}, cut)
	if r.Facts != 2 || skipped(r, event.SkipCut) != 1 {
		t.Errorf("cut: %d facts, %+v", r.Facts, r.Skipped)
	}
	var mixed bytes.Buffer
	mixed.WriteString(head + row(1, "Delivered"))
	for _, c := range []byte("2024-01-22T09:12:00.000Z,x@contoso.example,user2@yahoo.com##Failed,x,1,<m2@contoso.example>\n") {
		mixed.Write([]byte{c, 0})
	}
	mixed.WriteString(row(3, "Delivered"))
	r = analysed(t, Options{}, write(t, dir, "mixed.csv", mixed.Bytes()))
	if r.Facts < 1 || r.Facts > 3 || r.Facts < 3 && len(r.Skipped) == 0 {
		t.Errorf("mixed: %d facts, %+v", r.Facts, r.Skipped)
	}
}

// TestBomb: an archive that unpacks to more than it may.
func TestBomb(t *testing.T) {
	var packed bytes.Buffer
	z := zip.NewWriter(&packed)
	w, err := z.Create("mail.log")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(w, &zeros{150 << 20, 0}); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	var twice bytes.Buffer
	g := gzip.NewWriter(&twice)
	if _, err := g.Write(packed.Bytes()); err != nil {
		t.Fatal(err)
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write(t, dir, "bomb.zip", packed.Bytes())
	write(t, dir, "bomb.zip.gz", twice.Bytes())
	r := analysed(t, Options{}, dir)
	if r.Facts != 0 || len(r.Skipped) < 2 {
		t.Errorf("%d facts, %+v", r.Facts, r.Skipped)
	}
}

// TestLoop: links that lead back, an unreadable file, a directory with nothing.
func TestLoop(t *testing.T) {
	dir := t.TempDir()
	good := sentLine("2024-01-22T09:10:11+00:00", "4T6X0z3kWqz9vB", "a@example.com", "mx.example.com")
	write(t, dir, "mail.log", []byte(good))
	for link, to := range map[string]string{"self": "self", "up": ".", "a": "b", "b": "a", "gone": "nowhere"} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Skip("no links here: ", err)
		}
	}
	r := analysed(t, Options{}, dir)
	if r.Facts != 1 || len(r.Skipped) == 0 || r.Unreadable() {
		t.Errorf("%d facts, %+v", r.Facts, r.Skipped)
	}
	empty := t.TempDir()
	r = analysed(t, Options{}, empty)
	if skipped(r, event.SkipEmpty) != 1 || r.Unreadable() || len(r.Incidents) != 0 {
		t.Errorf("empty directory: %+v", r.Skipped)
	}
	r = analysed(t, Options{}, filepath.Join(dir, "missing.log"))
	if skipped(r, event.SkipMissing) != 1 || !r.Unreadable() {
		t.Errorf("missing: %+v", r.Skipped)
	}
}

// TestManyProviders: more providers than the tables hold, all of them made up, beside one that
// is real. What is beyond the tables is counted as one, and memory stays.
func TestManyProviders(t *testing.T) {
	const n = 150_000 // domains; the tables hold fewer
	pr, pw := io.Pipe()
	go func() {
		w := bufio.NewWriterSize(pw, 1<<20)
		for i := range n {
			at := base.Add(time.Duration(i) * 100 * time.Millisecond).Format(time.RFC3339)
			line := sentLine(at, fmt.Sprintf("4T6X0z%08d", i), fmt.Sprintf("a@firm%d.example", i), fmt.Sprintf("mx.firm%d.example", i))
			if i%10 == 0 {
				line = sentLine(at, fmt.Sprintf("4T6X0z%08d", i), "a@gmail.com", "gmail-smtp-in.l.google.com")
			}
			if _, err := w.WriteString(line); err != nil {
				return
			}
		}
		pw.CloseWithError(w.Flush())
	}()
	p := newPile(t, Options{TempDir: t.TempDir()})
	r, err := Run(context.Background(), []string{"-"}, pr, p.Options)
	if err != nil {
		t.Fatal(err)
	}
	if r.Facts != int64(n) || len(r.Providers) != MaxList || r.MoreProviders < 90_000 {
		t.Errorf("%d facts, %d providers and %d more", r.Facts, len(r.Providers), r.MoreProviders)
	}
	found := false
	for _, row := range r.Providers {
		found = found || row.ID == "google" && row.Attempts == int64(n/10)
	}
	if !found || len(r.Incidents) != 0 {
		t.Errorf("google is lost, or trouble was made up: %+v", r.Incidents)
	}
}
