package spool

import (
	"bytes"
	"context"
	"hash/crc32"
	"io"
	"reflect"
	"testing"
	"time"
)

func FuzzParseID(f *testing.F) {
	f.Add("1z141z8")
	f.Add("-1")
	f.Fuzz(func(t *testing.T, s string) {
		if id, err := ParseID(s); err == nil {
			if again, err := ParseID(id.String()); err != nil || again != id {
				t.Errorf("%q: %v becomes %v (%v)", s, id, again, err)
			}
		}
	})
}

// FuzzRecords: what is read is what would be written, and nothing else is read.
func FuzzRecords(f *testing.F) {
	m := messageRecord{created: 5, from: "a@example.com", meta: []byte("m"), size: 10, chunks: []chunk{{place{1, 8}, 10}}}
	p := partRecord{lane: "l", tries: 2, next: 7, note: []byte{}, to: []Recipient{{Address: "x@example.net", Status: Deferred, Next: time.Unix(0, 9).UTC(), Reason: "450 later"}}}
	f.Add(m.encode())
	f.Add(p.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := decodeMessage(b); err == nil {
			again, err := decodeMessage(m.encode())
			if err != nil || !reflect.DeepEqual(m, again) {
				t.Errorf("%+v becomes %+v (%v)", m, again, err)
			}
		}
		if p, err := decodePart(b); err == nil {
			again, err := decodePart(p.encode())
			if err != nil || !reflect.DeepEqual(p, again) {
				t.Errorf("%+v becomes %+v (%v)", p, again, err)
			}
		}
	})
}

// bytesFS is one segment in memory, enough to open a spool.
type bytesFS struct{ files map[string]*bytesFile }

type bytesFile struct{ b []byte }

func (f *bytesFile) ReadAt(p []byte, off int64) (int, error) {
	if off >= int64(len(f.b)) {
		return 0, io.EOF
	}
	n := copy(p, f.b[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *bytesFile) WriteAt(p []byte, off int64) (int, error) {
	_ = f.Truncate(max(int64(len(f.b)), off+int64(len(p))))
	return copy(f.b[off:], p), nil
}

func (f *bytesFile) Truncate(n int64) error {
	if n <= int64(len(f.b)) {
		f.b = f.b[:n]
		return nil
	}
	f.b = append(f.b, make([]byte, n-int64(len(f.b)))...)
	return nil
}
func (f *bytesFile) Preallocate(int64) error { return nil }
func (f *bytesFile) Size() (int64, error)    { return int64(len(f.b)), nil }
func (f *bytesFile) Sync() error             { return nil }
func (f *bytesFile) Close() error            { return nil }

func (s bytesFS) Create(n string) (File, error) {
	s.files[n] = &bytesFile{}
	return s.files[n], nil
}
func (s bytesFS) Open(n string) (File, error) { return s.files[n], nil }
func (s bytesFS) List() (names []string, err error) {
	for n := range s.files {
		names = append(names, n)
	}
	return names, nil
}
func (s bytesFS) Rename(a, b string) error {
	s.files[b] = s.files[a]
	return s.Remove(a)
}
func (s bytesFS) Remove(n string) error {
	delete(s.files, n)
	return nil
}
func (s bytesFS) SyncDir() error                 { return nil }
func (s bytesFS) Lock(string) (io.Closer, error) { return &bytesFile{}, nil }
func (s bytesFS) Free() (int64, error)           { return 1 << 40, nil }

// FuzzRecovery opens a spool on any bytes: it opens, what it shows can be asked for, a new mail is kept over a
// restart, and the accounts of live bytes are not negative.
func FuzzRecovery(f *testing.F) {
	seed := func(cut int) []byte {
		fs := bytesFS{map[string]*bytesFile{}}
		s, _ := Open(Options{FS: fs, SegmentSize: 1 << 20, salt: func() uint32 { return 0 }})
		for range 3 {
			m := Mail{Parts: []Part{{Lane: "l", Recipients: []Recipient{{Address: "x@example.net"}}}}, Events: [][]byte{{1}}, Key: "k"}
			_, _ = s.Put(context.Background(), m, bytes.NewReader(make([]byte, 100)))
		}
		_ = s.Close()
		b := fs.files[segmentName(1)].b
		return b[segHeader : len(b)-cut]
	}
	f.Add(seed(0), false)
	f.Add(seed(40), true)
	f.Add([]byte{}, true)
	f.Fuzz(func(t *testing.T, b []byte, mend bool) {
		if len(b) > 1<<16 {
			return
		}
		file := append(segmentHeader{number: 1, spool: 1}.encode(), b...)
		if mend { // give changed records their checksums, so that what they say is tried too
			for off := segHeader; off+headerSize <= len(file); off += unit {
				if file[off+12] > 0 && file[off+12] < byte(kinds) && file[off+28] == 1 {
					r, ok := decodeHeader(file[off:], 1, 0)
					if n := off + headerSize + int(r.length); ok && n <= len(file) {
						sum := crc32.Checksum(file[off+headerSize:n], castagnoli)
						file[off+4], file[off+5], file[off+6], file[off+7] = byte(sum), byte(sum>>8), byte(sum>>16), byte(sum>>24)
					}
					sum := headerSum(file[off:], 0)
					file[off], file[off+1], file[off+2], file[off+3] = byte(sum), byte(sum>>8), byte(sum>>16), byte(sum>>24)
				}
			}
		}
		fs := bytesFS{map[string]*bytesFile{segmentName(1): {file}}}
		var id ID
		for round := range 2 {
			s, err := Open(Options{FS: fs, SegmentSize: 1 << 20})
			if err != nil {
				t.Fatal(err)
			}
			<-s.Loaded()
			if err := s.Scan("", func(w Waiting) bool {
				_, _ = s.Look(w.ID)
				return true
			}); err != nil {
				t.Fatal(err)
			}
			if _, _, err := s.Events(context.Background(), "", 100); err != nil {
				t.Fatal(err)
			}
			if round == 0 {
				m := Mail{Parts: []Part{{Lane: "mine", Recipients: []Recipient{{Address: "x@example.net"}}}}}
				if id, err = s.Put(context.Background(), m, bytes.NewReader(b)); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := s.Look(id); err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			for _, x := range s.segs {
				if x.live < 0 {
					t.Errorf("segment %d has %d live bytes", x.number, x.live)
				}
			}
		}
	})
}
