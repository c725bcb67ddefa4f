package source

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
	"testing"

	"github.com/postroad/postroad/event"
)

func crc(s string) uint32 { return crc32.ChecksumIEEE([]byte(s)) }

// measured walks over bytes and gives how much came out and what was left out.
func measured(t *testing.T, o Options, b []byte) (bytesOut int64, skips map[string]int) {
	t.Helper()
	skips = map[string]int{}
	for _, arg := range []string{"-", write(t, t.TempDir(), "f", b)} {
		var out int64
		o.Skip = func(name string, why event.Skip, err error) { skips[string(why)]++ }
		err := Walk(t.Context(), []string{arg}, bytes.NewReader(b), o, func(s *Stream) error {
			n, err := io.Copy(io.Discard, s)
			out += n
			return err
		})
		if err != nil {
			t.Error(err)
		}
		bytesOut = max(bytesOut, out)
	}
	return bytesOut, skips
}

func TestBombs(t *testing.T) {
	zeros := make([]byte, 10<<20)
	small := Options{Floor: 1 << 20, Ratio: 100}
	one := gz(zeros)
	many := func(n int, b []byte) (files []file) {
		for i := range n {
			files = append(files, file{fmt.Sprint(i), b})
		}
		return files
	}
	layer := zipped(zip.Deflate, many(16, zeros)...)
	for name, c := range map[string]struct {
		o    Options
		b    []byte
		most int64
		why  event.Skip
	}{
		"twice gz":              {small, gz(one), 2 << 20, event.SkipBomb},
		"zst":                   {small, zst(zeros), 2 << 20, event.SkipBomb},
		"xz":                    {small, xzip(zeros), 2 << 20, event.SkipBomb},
		"zip of zips":           {small, zipped(zip.Deflate, many(16, layer)...), 40 << 20, event.SkipBomb},
		"many small":            {small, zipped(zip.Deflate, many(300, gz(make([]byte, 900<<10)))...), 40 << 20, event.SkipBomb},
		"entries that overlap":  {small, overlapping(1000, 1<<20), 40 << 20, event.SkipBomb},
		"holes":                 {small, hole(1 << 40), 40 << 20, event.SkipBomb},
		"absolute":              {Options{Unpacked: 1 << 20}, gz(lines(100_000)), 2 << 20, event.SkipBomb},
		"too deep":              {Options{}, gz(gz(gz(gz(lines(10))))), 0, event.SkipNested},
		"too many":              {Options{Entries: 10}, tarred(many(11, []byte(line))...), 1000, event.SkipMany},
		"too many in zip":       {Options{Entries: 10}, zipped(zip.Deflate, many(11, []byte(line))...), 1000, event.SkipMany},
		"xz, too much memory":   {Options{Window: 1 << 15}, xzip(lines(100_000)), 0, event.SkipBomb},
		"zst, too much memory":  {Options{Window: 1 << 12}, zst(lines(100_000)), 0, event.SkipBomb},
		"xz, memory many times": {Options{}, claims(20_000), 0, event.SkipBomb},
	} {
		t.Run(name, func(t *testing.T) {
			out, skips := measured(t, c.o, c.b)
			if skips[string(c.why)] == 0 {
				t.Errorf("left out: %v", skips)
			}
			if out > c.most {
				t.Errorf("%d bytes came of %d", out, len(c.b))
			}
		})
	}
}

// Ordinary rotated logs are no bombs, nor is a large tar.
func TestNoBombs(t *testing.T) {
	o := Options{Floor: 1 << 18, Unpacked: 9 << 20}
	log := logLike(50_000)
	for name, b := range map[string][]byte{
		"plain": log, "gz": gz(log), "zst": zst(log), "tar": tarred(file{"a", log}, file{"b", log}), "tar.gz": gz(tarred(file{"a", log})),
		"zip": zipped(zip.Deflate, file{"a", log}),
	} {
		if _, skips := measured(t, o, b); len(skips) != 0 {
			t.Errorf("%s: %v", name, skips)
		}
	}
}

func logLike(n int) []byte {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "Jan 22 %02d:%02d:%02d mx postfix/smtp[%d]: %X: to=<u%d@example.com>, status=sent\n", i/36000%24, i/600%60, i/10%60, i%7, i*7919, i*31%997)
	}
	return []byte(b.String())
}

// claims is an xz stream of blocks that each take much memory for nothing.
func claims(n int) []byte {
	b := []byte("\xfd7zXZ\x00\x00\x00")
	b = binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(b[6:8]))
	head := []byte{2, 0, 0x21, 1, 28, 0, 0, 0} // a dictionary of 64 MiB
	head = binary.LittleEndian.AppendUint32(head, crc32.ChecksumIEEE(head))
	for range n {
		b = append(b, head...)
		b = append(b, 0, 0, 0, 0) // no data, padding
	}
	return b
}

// hole is a tar with a file of zeros that take no room.
func hole(size int64) []byte {
	b := tarred(file{"hole", []byte("x")})
	h := b[:512]
	copy(h[257:], "ustar  \x00") // GNU
	h[156] = 'S'
	copy(h[329:], make([]byte, 512-329))
	octal := func(at int, v int64) { copy(h[at:at+12], fmt.Sprintf("%011o", v)) }
	octal(386, size-1) // one byte of data at the end
	octal(398, 1)
	h[483] = 0x80
	binary.BigEndian.PutUint64(h[487:], uint64(size))
	copy(h[148:156], "        ")
	sum := 0
	for _, c := range h {
		sum += int(c)
	}
	copy(h[148:156], fmt.Sprintf("%06o\x00 ", sum))
	return b
}

// overlapping is a zip whose directory names the same data n times.
func overlapping(n, size int) []byte {
	b := zipped(zip.Deflate, file{"a", make([]byte, size)})
	end := bytes.LastIndex(b, []byte(zipEndMark))
	dir := bytes.LastIndex(b, []byte(zipDirectoryMark))
	entry := bytes.Clone(b[dir:end])
	tail := bytes.Clone(b[end:])
	binary.LittleEndian.PutUint16(tail[8:], uint16(n))
	binary.LittleEndian.PutUint16(tail[10:], uint16(n))
	binary.LittleEndian.PutUint32(tail[12:], uint32(n*len(entry)))
	return append(append(b[:dir:dir], bytes.Repeat(entry, n)...), tail...)
}

func FuzzWalk(f *testing.F) {
	two := []file{{"a", lines(3)}, {"b", gz(lines(2))}}
	for _, b := range [][]byte{lines(3), gz(lines(3)), xzip(lines(3)), zst(lines(3)), bz2(), tarred(two...), gz(tarred(two...)), zipped(zip.Deflate, two...),
		zipped(zip.Store, two...), claims(3), hole(1 << 40), overlapping(3, 1000)} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		o := Options{Unpacked: 1 << 20, Floor: 1 << 16, Entries: 100, Window: 1 << 20}
		var skips int
		o.Skip = func(name string, why event.Skip, err error) {
			if why == "" || name == "" {
				t.Errorf("left out %q: %q, %v", name, why, err)
			}
			skips++
		}
		for _, at := range []bool{false, true} {
			var out int64
			w := newWalk(t.Context(), nil, o, func(s *Stream) error {
				if s.Name == "" || len(s.Peek(10)) == 0 {
					t.Errorf("an empty stream %q", s.Name)
				}
				n, err := io.Copy(io.Discard, s)
				out += n
				return err
			})
			s := Stream{Name: "-", Size: -1}
			if at {
				s.Size, s.at = int64(len(b)), bytes.NewReader(b)
			}
			skips = 0
			if err := w.input(s, bytes.NewReader(b)); err != nil {
				t.Error(err)
			}
			if out > 2<<20+int64(len(b)) {
				t.Errorf("%d bytes came of %d", out, len(b))
			}
			if skips > 300+len(b) {
				t.Errorf("%d skips", skips)
			}
		}
	})
}
