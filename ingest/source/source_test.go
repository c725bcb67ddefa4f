package source

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
	"go.uber.org/goleak"

	"github.com/postroad/postroad/event"
)

// line is what the files of these tests hold.
const line = "Jan 22 09:10:00 mx postfix/smtp[1]: 3A2F1C0A7E: to=<a@example.com>, status=sent\n"

var when = time.Date(2024, 1, 22, 9, 10, 0, 0, time.UTC)

// told is what a walk gave: "name: content" of the streams, "name: reason" of what was left out.
func told(t *testing.T, o Options, stdin []byte, args ...string) (streams, skips []string) {
	t.Helper()
	o.Skip = func(name string, why event.Skip, _ error) { skips = append(skips, name+": "+string(why)) }
	err := Walk(t.Context(), args, bytes.NewReader(stdin), o, func(s *Stream) error {
		var b bytes.Buffer
		n, err := io.CopyBuffer(struct{ io.Writer }{&b}, struct{ io.Reader }{s}, make([]byte, 3000))
		if err != nil {
			t.Errorf("%s: %v", s.Name, err)
		}
		text := b.String()
		switch {
		case n > 1000 && strings.Count(text, line)*len(line) == len(text):
			text = fmt.Sprintf("%d lines", strings.Count(text, line))
		case n > 1000:
			text = fmt.Sprintf("%d bytes", n)
		}
		streams = append(streams, s.Name+": "+text)
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return streams, skips
}

func expect(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n%s\nwant:\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// write puts a file where the test keeps its files.
func write(t *testing.T, dir, name string, b []byte) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func packed(w io.Closer, err error, out *bytes.Buffer, b []byte) []byte {
	if to, ok := w.(io.Writer); ok && err == nil && b != nil {
		_, err = to.Write(b)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		panic(err)
	}
	return out.Bytes()
}

func gz(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	w.ModTime = when
	return packed(w, nil, &out, b)
}

func xzip(b []byte) []byte {
	var out bytes.Buffer
	w, err := xz.WriterConfig{DictCap: 1 << 16, BlockSize: 1 << 17}.NewWriter(&out)
	return packed(w, err, &out, b)
}

func zst(b []byte) []byte {
	var out bytes.Buffer
	w, err := zstd.NewWriter(&out)
	return packed(w, err, &out, b)
}

// bz2 unpacks to "Jan 22 09:10:00 mx postfix/smtp[1]: line of bzip2\n".
func bz2() []byte {
	b, err := hex.DecodeString("425a6839314159265359396ffd4400000b5f8000104000f0300010000a3327cc502000545000340c9904536936" +
		"4693351a3d32940d2d8d5c067541c32509659c1594f2ced1a289338f4359ed0e00a3e2ee48a70a12072dffa880")
	if err != nil {
		panic(err)
	}
	return b
}

// file is an entry of an archive that a test makes.
type file struct {
	name string
	b    []byte
}

func tarred(files ...file) []byte {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, f := range files {
		h := &tar.Header{Name: f.name, Size: int64(len(f.b)), Mode: 0o600, ModTime: when}
		switch {
		case strings.HasSuffix(f.name, "/"):
			h.Typeflag = tar.TypeDir
		case f.name == "fifo":
			h.Typeflag = tar.TypeFifo
		case f.name == "link":
			h.Typeflag, h.Linkname = tar.TypeSymlink, "/etc/passwd"
		}
		if err := w.WriteHeader(h); err != nil {
			panic(err)
		}
		if _, err := w.Write(f.b); err != nil {
			panic(err)
		}
	}
	return packed(w, nil, &out, nil)
}

// zipped uses data descriptors for what it deflates, as archive/zip always does.
func zipped(method uint16, files ...file) []byte {
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	w.RegisterCompressor(zstd.ZipMethodWinZip, zstd.ZipCompressor())
	for _, f := range files {
		h := &zip.FileHeader{Name: f.name, Method: method, Modified: when}
		e, err := w.CreateHeader(h)
		if err == nil {
			_, err = e.Write(f.b)
		}
		if err != nil {
			panic(err)
		}
	}
	return packed(w, nil, &out, nil)
}

func lines(n int) []byte { return bytes.Repeat([]byte(line), n) }

func TestUnpacks(t *testing.T) {
	log := lines(10000)
	two := []file{{"a/mail.log", log}, {"b/", nil}, {"b/mail.log", lines(20)}, {"b/.hidden", log}, {"b/~", log}}
	for name, c := range map[string]struct {
		b    []byte
		want []string
	}{
		"plain":         {log, []string{": 10000 lines"}},
		"gz":            {gz(log), []string{": 10000 lines"}},
		"gz of parts":   {append(gz(log), gz(lines(5))...), []string{": 10005 lines"}},
		"xz":            {xzip(log), []string{": 10000 lines"}},
		"xz of parts":   {slices.Concat(xzip(log), make([]byte, 8), xzip(lines(5))), []string{": 10005 lines"}},
		"zst":           {zst(log), []string{": 10000 lines"}},
		"zst of parts":  {append(zst(log), zst(lines(5))...), []string{": 10005 lines"}},
		"zst, skipping": {append([]byte("\x50\x2a\x4d\x18\x04\x00\x00\x00abcd"), zst(log)...), []string{": 10000 lines"}},
		"bz2":           {bz2(), []string{": Jan 22 09:10:00 mx postfix/smtp[1]: line of bzip2\n"}},
		"bz2 of parts":  {append(bz2(), bz2()...), []string{": " + strings.Repeat("Jan 22 09:10:00 mx postfix/smtp[1]: line of bzip2\n", 2)}},
		"tar":           {tarred(two...), []string{": a/mail.log: 10000 lines", ": b/mail.log: 20 lines"}},
		"tar.gz":        {gz(tarred(two...)), []string{": a/mail.log: 10000 lines", ": b/mail.log: 20 lines"}},
		"tar.xz":        {xzip(tarred(two...)), []string{": a/mail.log: 10000 lines", ": b/mail.log: 20 lines"}},
		"zip":           {zipped(zip.Deflate, two...), []string{": a/mail.log: 10000 lines", ": b/mail.log: 20 lines"}},
		"zip in zip":    {zipped(zip.Deflate, file{"b.zip", zipped(zip.Deflate, two...)}), []string{": b.zip: a/mail.log: 10000 lines", ": b.zip: b/mail.log: 20 lines"}},
		"mixed": {zipped(zip.Deflate, file{"x", gz(tarred(file{"y.gz", gz(log)}, file{"z", bz2()}))}),
			[]string{": x: y.gz: 10000 lines", ": x: z: Jan 22 09:10:00 mx postfix/smtp[1]: line of bzip2\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			path := write(t, t.TempDir(), "named-by-mistake.txt", c.b)
			for i, arg := range []string{path, "-"} { // from a file and from a pipe
				want := slices.Clone(c.want)
				for i := range want {
					want[i] = arg + want[i]
				}
				streams, skips := told(t, Options{}, c.b, arg)
				expect(t, []string{"file", "pipe"}[i], streams, want...)
				expect(t, "left out", skips)
			}
		})
	}
}

// Of a pipe nothing says where an entry ends whose size comes after it, unless its data do.
func TestZipMethods(t *testing.T) {
	b := zipped(zstd.ZipMethodWinZip, file{"a", lines(20)})
	path := write(t, t.TempDir(), "z", b)
	streams, skips := told(t, Options{}, b, path, "-")
	expect(t, "read", streams, path+": a: 20 lines")
	expect(t, "left out", skips, "-: a: broken")
	binary.LittleEndian.PutUint16(b[bytes.LastIndex(b, []byte(zipDirectoryMark))+10:], 98) // PPMd
	_, skips = told(t, Options{}, nil, write(t, t.TempDir(), "z", b))
	if len(skips) != 1 || !strings.HasSuffix(skips[0], ": a: not-recognised") {
		t.Error(skips)
	}
}

// A stored entry with its sizes in front, as most programs write it.
func TestZipStored(t *testing.T) {
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	h := &zip.FileHeader{Name: "a", Method: zip.Store, CompressedSize64: uint64(len(line)), UncompressedSize64: uint64(len(line)), CRC32: crc(line)}
	for range 2 {
		e, err := w.CreateRaw(h)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(e, line)
		h = &zip.FileHeader{Name: "b", Method: zip.Store, CompressedSize64: h.CompressedSize64, UncompressedSize64: h.UncompressedSize64, CRC32: 7}
	}
	b := packed(w, nil, &out, nil)
	for _, arg := range []string{"-", write(t, t.TempDir(), "z", b)} {
		streams, skips := told(t, Options{}, b, arg)
		expect(t, "read", streams, arg+": a: "+line, arg+": b: "+line)
		expect(t, "left out", skips, arg+": b: broken") // its sum is wrong
	}
}

// What can be read of a damaged file is read.
func TestCut(t *testing.T) {
	noise := make([]byte, 300_000)
	for i, x := 0, uint32(1); i < len(noise); i++ {
		x = x*1664525 + 1013904223
		noise[i] = 'a' + byte(x>>24)&15
	}
	two := []file{{"a", noise}, {"b", noise}}
	for name, c := range map[string]struct {
		b     []byte
		skips string
		least int // bytes that come before the cut
	}{
		"gz":     {gz(noise), "-: cut", 100_000},
		"xz":     {xzip(noise), "-: cut", 100_000},
		"zst":    {zst(noise), "-: cut", 100_000},
		"tar":    {tarred(two...), "-: b: cut", 400_000},
		"tar.gz": {gz(tarred(two...)), "-: cut", 400_000},
		"zip":    {zipped(zip.Deflate, two...), "-: b: cut", 400_000},
		"bz2":    {bz2()[:70], "-: cut", 0},
	} {
		t.Run(name, func(t *testing.T) {
			b := c.b[:len(c.b)*3/4]
			for _, arg := range []string{"-", write(t, t.TempDir(), "f", b)} {
				got := 0
				var skips []string
				err := Walk(t.Context(), []string{arg}, bytes.NewReader(b), Options{Skip: func(name string, why event.Skip, err error) {
					skips = append(skips, name+": "+string(why))
					if err == nil {
						t.Error("no cause")
					}
				}}, func(s *Stream) error {
					n, err := io.Copy(io.Discard, s)
					got += int(n)
					return err
				})
				if err != nil || got < c.least {
					t.Errorf("%s: read %d bytes of at least %d, %v", arg, got, c.least, err)
				}
				expect(t, arg, skips, strings.Replace(c.skips, "-", arg, 1))
			}
		})
	}
}

func TestDamaged(t *testing.T) {
	log := lines(10000)
	flip := func(b []byte, at int) []byte {
		b = slices.Clone(b)
		if at < 0 {
			at += len(b)
		}
		b[at] ^= 0x55
		return b
	}
	locked := zipped(zip.Deflate, file{"a", log})
	for _, at := range []int{6, bytes.LastIndex(locked, []byte("PK\x01\x02")) + 8} {
		locked[at] |= 1
	}
	for name, c := range map[string]struct {
		b    []byte
		want string
	}{
		"gz, sum":          {flip(gz(log), -7), "-: broken"},
		"gz, then not":     {append(gz(log), "other things"...), "-: broken"},
		"gz, head only":    {gz(log)[:5], "-: cut"},
		"xz, sum of index": {flip(xzip(log), -13), "-: broken"},
		"xz, block":        {flip(xzip(log), 14), "-: broken"},
		"zst":              {flip(zst(log), -2), "-: broken"},
		"tar":              {flip(tarred(file{"a", log}, file{"b", log}), 512+(len(log)+511)/512*512+1), "-: broken"},
		"zip, sum":         {flip(zipped(zip.Deflate, file{"a", log}), bytes.LastIndex(zipped(zip.Deflate, file{"a", log}), []byte("PK\x07\x08"))+5), "-: a: broken"},
		"zip, locked":      {locked, "-: broken"}, // of a pipe nothing says where it ends
		"empty":            {nil, "-: empty"},
		"empty in gz":      {gz(nil), "-: empty"},
		"empty in tar":     {tarred(file{"a", nil}), "-: a: empty"},
		"nothing in tar":   {tarred(file{"a/", nil}), "-: empty"},
		"nothing in zip":   {zipped(zip.Deflate), "-: empty"},
		"special in tar":   {tarred(file{"fifo", nil}, file{"link", nil}), "-: fifo: special-file"},
	} {
		t.Run(name, func(t *testing.T) {
			_, skips := told(t, Options{}, c.b, "-")
			if name == "zip, locked" {
				expect(t, "left out", skips, "-: a: broken")
				file := write(t, t.TempDir(), "f", c.b)
				_, skips = told(t, Options{}, nil, file)
				expect(t, "left out", skips, file+": a: unreadable")
				return
			}
			if name == "nothing in tar" || name == "special in tar" {
				skips = skips[:1]
			}
			expect(t, "left out", skips, c.want)
		})
	}
}

func TestNames(t *testing.T) {
	evil := "../../\x1b[2Jetc/pass\xffwd"
	streams, _ := told(t, Options{}, tarred(file{evil, []byte("x")}), "-")
	expect(t, "read", streams, "-: ../../\uFFFD[2Jetc/pass\uFFFDwd: x")
	streams, _ = told(t, Options{}, zipped(zip.Deflate, file{evil, []byte("x")}), "-")
	expect(t, "read", streams, "-: ../../\uFFFD[2Jetc/pass\uFFFDwd: x")
	streams, _ = told(t, Options{}, tarred(file{strings.Repeat("long/", 1000), []byte(nil)}, file{strings.Repeat("é", 1000), []byte("x")}), "-")
	if len(streams) != 1 || len(streams[0]) > 600 || !strings.HasSuffix(streams[0], "é: x") {
		t.Error(streams)
	}
}

func TestOrder(t *testing.T) {
	names := []string{"mail.log", "mail.log.1", "mail.log.2.gz", "mail.log.10.gz", "mail.log.100.gz", "maillog", "maillog-20240108", "maillog-20240101.xz",
		"trace-20240108.csv", "trace-20240101.csv", "trace.csv", "1705914600.M1.mx:2,S", "a.2024", "exim_mainlog.01", "10.eml", "9.eml", "ndr-1.eml", "ndr-10.eml", "ndr-2.eml"}
	want := []string{"10.eml", "1705914600.M1.mx:2,S", "9.eml", "a.2024", "exim_mainlog.01", "mail.log.100.gz", "mail.log.10.gz", "mail.log.2.gz", "mail.log.1", "mail.log",
		"maillog-20240101.xz", "maillog-20240108", "maillog", "ndr-1.eml", "ndr-10.eml", "ndr-2.eml", "trace-20240101.csv", "trace-20240108.csv", "trace.csv"}
	expect(t, "in order", inOrder(names), want...)
	slices.Reverse(names)
	expect(t, "in order", inOrder(names), want...)
}

func TestCancelled(t *testing.T) {
	big := gz(lines(200_000))
	for name, b := range map[string][]byte{"plain": lines(200_000), "gz": big, "tar.gz": gz(tarred(file{"a", lines(200_000)})), "zip": zipped(zip.Deflate, file{"a", lines(200_000)})} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			visits := 0
			err := Walk(ctx, []string{"-", write(t, t.TempDir(), "f", b)}, bytes.NewReader(b), Options{}, func(s *Stream) error {
				visits++
				p := make([]byte, 1<<20)
				if _, err := s.Read(p); err != nil {
					t.Error(err)
				}
				cancel()
				var read int64
				for {
					n, err := s.Read(p)
					if read += int64(n); err != nil {
						if !errors.Is(err, context.Canceled) {
							t.Errorf("ended with %v", err)
						}
						break
					}
				}
				if read > 2*bufferSize {
					t.Errorf("read %d bytes after it was cancelled", read)
				}
				return nil // who swallows the error does not make us go on
			})
			if !errors.Is(err, context.Canceled) || visits != 1 {
				t.Errorf("%v after %d visits", err, visits)
			}
		})
	}
	if err := Walk(t.Context(), []string{"-"}, strings.NewReader("x"), Options{}, func(*Stream) error { return io.ErrClosedPipe }); err != io.ErrClosedPipe {
		t.Errorf("the visitor's error came as %v", err)
	}
}

type failing struct{ n int }

func (f *failing) Read(p []byte) (int, error) {
	if f.n--; f.n < 0 {
		return 0, errors.New("input/output error")
	}
	return copy(p, line), nil
}

func TestUnreadableInTheMiddle(t *testing.T) {
	var skips []string
	var got int64
	err := Walk(t.Context(), []string{"-"}, &failing{100}, Options{Skip: func(name string, why event.Skip, err error) {
		skips = append(skips, fmt.Sprint(name, ": ", why, ": ", err))
	}}, func(s *Stream) error {
		n, err := io.Copy(io.Discard, s)
		got = n
		return err
	})
	if err != nil || got != int64(100*len(line)) {
		t.Errorf("read %d bytes, %v", got, err)
	}
	expect(t, "left out", skips, "-: unreadable: input/output error")
}

func TestStreams(t *testing.T) {
	dir := t.TempDir()
	plain := write(t, dir, "plain", lines(100))
	if err := os.Chtimes(plain, when, when.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "z.gz", gz(lines(10)))
	write(t, dir, "z.tar", tarred(file{"a", lines(10)}))
	write(t, dir, "z.zip", zipped(zip.Deflate, file{"a", lines(10)}))
	var seen []string
	err := Walk(t.Context(), []string{dir}, nil, Options{}, func(s *Stream) error {
		_, size, at := s.At()
		seen = append(seen, fmt.Sprint(filepath.Base(s.Name), " ", s.Modified.UTC().Format(time.RFC3339), " ", s.Size, at && size == s.Size))
		head := string(s.Peek(100))
		if head != string(lines(2)[:100]) || len(s.Peek(1<<30)) > PeekSize || string(s.Peek(10)) != line[:10] {
			t.Errorf("%s: the head is %q", s.Name, head)
		}
		b, err := io.ReadAll(s)
		if !bytes.HasPrefix(b, []byte(head)) || err != nil {
			t.Errorf("%s: what was looked at was not read, %v", s.Name, err)
		}
		if at, _, ok := s.At(); ok {
			if n, err := at.ReadAt(make([]byte, 10), 5); n != 10 || err != nil {
				t.Error(n, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	expect(t, "streams", seen, "plain 2024-01-22T10:10:00Z 8000 true", "z.gz 2024-01-22T09:10:00Z -1 false",
		"z.tar: a 2024-01-22T09:10:00Z 800 false", "z.zip: a 2024-01-22T09:10:00Z 800 false")
}

func TestPeekSeesFarEnough(t *testing.T) {
	for _, b := range [][]byte{lines(5000), gz(lines(5000)), gz(tarred(file{"a", lines(5000)}))} {
		err := Walk(t.Context(), []string{"-"}, bytes.NewReader(b), Options{}, func(s *Stream) error {
			if n := len(s.Peek(64 << 10)); n != 64<<10 {
				t.Errorf("looked at %d bytes", n)
			}
			if n := len(s.Peek(PeekSize)); n != PeekSize {
				t.Errorf("looked at %d bytes", n)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}

func TestProgress(t *testing.T) {
	path := write(t, t.TempDir(), "z.gz", gz(lines(1000)))
	size := int64(len(gz(lines(1000))))
	var seen []string
	o := Options{Progress: func(name string, read, total int64) {
		seen = append(seen, fmt.Sprint(filepath.Base(name), " ", read, " ", total))
	}}
	told(t, o, lines(10), "-", path)
	expect(t, "progress", seen, "- 0 -1", "- 800 -1", "z.gz 0 "+fmt.Sprint(size), fmt.Sprintf("z.gz %d %d", size, size))

	// Between the ends it is told as time passes, whatever the number of reads.
	tells := 0
	p := progress{tell: func(int64) { tells++ }, step: firstStep, next: firstStep, last: time.Now().Add(-time.Hour)}
	for read := int64(0); read < 100*firstStep; read += bufferSize {
		p.advance(read)
	}
	if tells == 0 || tells > 10 {
		t.Errorf("told %d times", tells)
	}
}

// Nothing goes on beside the reading, nor after Walk has returned.
func TestNoGoroutineIsLeft(t *testing.T) {
	before := goleak.IgnoreCurrent() // and it looks again at what is about to end, as the runtime's own are
	for _, b := range [][]byte{gz(lines(100_000)), xzip(lines(10_000)), zst(lines(100_000)), zipped(zstd.ZipMethodWinZip, file{"a", lines(10_000)})} {
		_ = Walk(t.Context(), []string{"-"}, bytes.NewReader(b), Options{}, func(s *Stream) error {
			if err := goleak.Find(before); err != nil {
				t.Error("while reading: ", err)
			}
			s.Peek(100)
			return nil
		})
	}
	if err := goleak.Find(before); err != nil {
		t.Error(err)
	}
}
