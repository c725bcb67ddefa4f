package source

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"encoding/binary"
	"errors"
	"hash"
	"hash/crc32"
	"io"
	"strings"
	"time"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zstd"

	"github.com/postroad/postroad/event"
)

// The reader of archive/zip keeps the whole directory in memory, and reads nothing
// of an archive that is cut or that comes from a pipe. This one goes through the
// directory entry by entry, and where there is none, or no way to it, through the
// entries as they lie. APPNOTE.TXT 6.3.10 is the format.

const (
	zipEntryMark      = "PK\x03\x04" // 4.3.7
	zipDescriptorMark = "PK\x07\x08" // 4.3.9
	zipDirectoryMark  = "PK\x01\x02" // 4.3.12
	zip64EndMark      = "PK\x06\x06" // 4.3.14
	zip64LocatorMark  = "PK\x06\x07" // 4.3.15
	zipEndMark        = "PK\x05\x06" // 4.3.16
)

var (
	errZip       = errors.New("read zip: what stands there is not what the format asks for")
	errZipMethod = errors.New("read zip: the method of compression is not known here; unpack it by hand")
	errZipLocked = errors.New("read zip: the entry is encrypted; unpack it by hand")
	errZipCheck  = errors.New("read zip: the checksum is wrong")
)

// zipEntry is what the directory or the entry's own header says of it.
type zipEntry struct {
	name     string
	flags    uint16
	method   uint16
	modified time.Time
	sum      uint32
	packed   int64
	size     int64
	offset   int64 // of the entry's header
}

func (e *zipEntry) open() bool   { return e.flags&0x0008 != 0 } // sizes and sum come after the data
func (e *zipEntry) locked() bool { return e.flags&0x0001 != 0 }

// zip reads the files of a zip archive.
func (w *walk) zip(in *input, s Stream, buf *bufio.Reader, level int) error {
	z := &zipReader{w: w, in: in, s: s, buf: buf, level: level}
	var err error
	if dir, found := findDirectory(s.at, s.Size); found {
		err = z.byDirectory(dir)
	} else {
		err = z.asItLies()
	}
	if err == nil && !z.any {
		w.skip(s.Name, event.SkipEmpty, nil)
	}
	return err
}

type zipReader struct {
	w       *walk
	in      *input
	s       Stream
	buf     *bufio.Reader // of the archive; of an entry's data where there is a directory
	level   int
	any     bool
	inflate io.ReadCloser
}

// fail tells why there is no more of the archive or an entry.
func (z *zipReader) fail(name string, err error) error {
	z.any = z.any || err != nil && !errors.Is(err, io.EOF)
	return z.w.tell(name, err)
}

// directory is where the directory of a zip archive lies.
type directory struct{ from, to, base int64 }

// findDirectory looks for the directory at the end of an archive.
func findDirectory(at io.ReaderAt, size int64) (d directory, found bool) {
	const end, locator, end64, comment = 22, 20, 56, 1<<16 - 1
	if at == nil || size < end {
		return d, false
	}
	tail := make([]byte, min(size, end+comment+locator))
	if n, err := at.ReadAt(tail, size-int64(len(tail))); n < len(tail) || err != nil && err != io.EOF {
		return d, false
	}
	i := bytes.LastIndex(tail, []byte(zipEndMark))
	if i < 0 || i+end > len(tail) {
		return d, false
	}
	b := tail[i:]
	length, offset := int64(binary.LittleEndian.Uint32(b[12:])), int64(binary.LittleEndian.Uint32(b[16:]))
	d.to = size - int64(len(tail)) + int64(i)
	if i >= locator && string(tail[i-locator:i-locator+4]) == zip64LocatorMark {
		pos := int64(binary.LittleEndian.Uint64(tail[i-locator+8:]))
		var e [end64]byte
		if n, _ := at.ReadAt(e[:], pos); n == end64 && string(e[:4]) == zip64EndMark {
			length, offset = int64(binary.LittleEndian.Uint64(e[40:])), int64(binary.LittleEndian.Uint64(e[48:]))
			d.to = pos
		}
	}
	if length < 0 || offset < 0 || length > d.to || d.to-length < offset {
		return d, false
	}
	d.from = d.to - length
	d.base = d.from - offset // bytes before the archive
	return d, true
}

// byDirectory reads the entries that the directory names, in its order.
func (z *zipReader) byDirectory(d directory) error {
	r := bufio.NewReader(io.NewSectionReader(z.s.at, d.from, d.to-d.from))
	for {
		var b [46]byte
		n, err := io.ReadFull(r, b[:])
		if n == 0 && err == io.EOF {
			return nil
		}
		if err != nil || string(b[:4]) != zipDirectoryMark {
			return z.fail(z.s.Name, errZip)
		}
		e := header(b[8:])
		names := make([]byte, int(binary.LittleEndian.Uint16(b[28:]))+int(binary.LittleEndian.Uint16(b[30:])))
		if _, err := io.ReadFull(r, names); err != nil {
			return z.fail(z.s.Name, errZip)
		}
		if _, err := r.Discard(int(binary.LittleEndian.Uint16(b[32:]))); err != nil {
			return z.fail(z.s.Name, errZip)
		}
		e.offset = int64(binary.LittleEndian.Uint32(b[42:]))
		e.extra(names, int(binary.LittleEndian.Uint16(b[28:])))
		if stop, err := z.entry(&e, func() error { return z.seek(&e, d) }); stop || err != nil {
			return err
		}
	}
}

// seek sets the buffer to the data of an entry.
func (z *zipReader) seek(e *zipEntry, d directory) error {
	var b [30]byte
	at := d.base + e.offset
	if at < 0 || e.packed < 0 {
		return errZip
	}
	if n, _ := z.s.at.ReadAt(b[:], at); n < len(b) || string(b[:4]) != zipEntryMark {
		return errZip
	}
	from := at + int64(len(b)) + int64(binary.LittleEndian.Uint16(b[26:])) + int64(binary.LittleEndian.Uint16(b[28:]))
	if from > z.s.Size {
		return errZip
	}
	z.buf.Reset(&part{in: z.in, r: io.NewSectionReader(z.s.at, from, min(e.packed, z.s.Size-from))})
	return nil
}

// part counts what is read of the input at some place of it.
type part struct {
	in *input
	r  io.Reader
}

// Read implements io.Reader.
func (p *part) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	p.in.read += int64(n)
	p.in.advance(p.in.consumed())
	return n, err
}

// asItLies reads the entries one after the other, without the directory.
func (z *zipReader) asItLies() error {
	for {
		var b [30]byte
		if _, err := io.ReadFull(z.buf, b[:4]); err != nil {
			return z.fail(z.s.Name, eofIsCut(err))
		}
		switch string(b[:4]) {
		case zipEntryMark:
		case zipDescriptorMark: // of an archive that was to be split
			continue
		case zipDirectoryMark, zip64EndMark, zipEndMark:
			_, err := io.Copy(io.Discard, z.buf) // so that what holds the archive can go on
			return z.fail(z.s.Name, err)
		default:
			return z.fail(z.s.Name, errZip)
		}
		if _, err := io.ReadFull(z.buf, b[4:]); err != nil {
			return z.fail(z.s.Name, eofIsCut(err))
		}
		e := header(b[6:])
		names := make([]byte, int(binary.LittleEndian.Uint16(b[26:]))+int(binary.LittleEndian.Uint16(b[28:])))
		if _, err := io.ReadFull(z.buf, names); err != nil {
			return z.fail(z.s.Name, eofIsCut(err))
		}
		e.extra(names, int(binary.LittleEndian.Uint16(b[26:])))
		if e.open() && e.packed == 0 && (e.method != 8 || e.locked()) {
			return z.fail(inside(z.s.Name, e.name), errZip) // nothing says where it ends
		}
		if e.packed < 0 {
			return z.fail(inside(z.s.Name, e.name), errZip)
		}
		if stop, err := z.entry(&e, nil); stop || err != nil {
			return err
		}
		if e.open() && e.packed > 0 {
			z.passDescriptor()
		}
	}
}

// entry reads one entry; seek is nil where the buffer stands at its data and must
// stand after them when we are done. stop tells that nothing more can be read.
func (z *zipReader) entry(e *zipEntry, seek func() error) (stop bool, err error) {
	w, name := z.w, inside(z.s.Name, e.name)
	if z.in.entries++; z.in.entries > w.o.Entries {
		return true, z.fail(z.s.Name, errEntries)
	}
	if z.in.spent {
		return true, z.fail(z.s.Name, errUnpacked)
	}
	var rest *io.LimitedReader
	raw := z.buf
	var r io.Reader
	switch {
	case seek != nil:
		r = raw
	case e.open() && e.packed == 0:
		r = raw
	default:
		rest = &io.LimitedReader{R: raw, N: e.packed}
		r = rest
	}
	pass := func() (bool, error) { // on to the next entry
		if rest == nil || rest.N == 0 {
			return false, nil
		}
		if _, err := io.Copy(io.Discard, rest); err != nil || rest.N > 0 {
			return true, z.fail(z.s.Name, eofIsCut(err))
		}
		return false, nil
	}
	if strings.HasSuffix(e.name, "/") || ignored(base(e.name)) && !e.open() {
		return pass()
	}
	z.any = true
	if e.locked() {
		w.skip(name, event.SkipUnreadable, errZipLocked)
		return pass()
	}
	if seek != nil {
		if err := seek(); err != nil {
			return false, z.fail(name, err)
		}
	}
	d, err := z.decode(e.method, r)
	if err != nil {
		w.skip(name, event.SkipUnknown, err)
		return pass()
	}
	c := &checked{r: d, sum: crc32.NewIEEE(), e: e, after: seek == nil && e.open() && e.packed == 0, buf: raw}
	l := &layer{in: z.in, r: c, name: name, from: z.in.read}
	if !ignored(base(e.name)) {
		s := Stream{Name: name, Modified: e.modified, Size: e.size, nested: z.s.nested}
		if c.after {
			s.Size = -1
		}
		if err := w.unpack(z.in, s, l, z.level+1, false); err != nil {
			return true, err
		}
	}
	if c.after { // only its end says where the next begins
		if _, err := io.Copy(io.Discard, l); err != nil {
			return true, z.fail(name, err)
		}
	}
	return pass()
}

// decode gives the decoder for a method (4.4.5).
func (z *zipReader) decode(method uint16, r io.Reader) (io.Reader, error) {
	buffered := func() *bufio.Reader {
		if b, ok := r.(*bufio.Reader); ok {
			return b
		}
		return bufio.NewReader(r)
	}
	switch method {
	case 0:
		return r, nil
	case 8:
		if z.inflate == nil {
			z.inflate = flate.NewReader(r)
		} else if err := z.inflate.(flate.Resetter).Reset(r, nil); err != nil { //nolint:errcheck // so the package says
			return nil, err
		}
		return z.inflate, nil
	case 12:
		return bzip2.NewReader(r), nil
	case 93, 20:
		return zstd.NewReader(r, zstdOptions(z.w.o.Window)...)
	case 95:
		return newXZ(buffered(), z.w.o.Window), nil
	}
	return nil, errZipMethod
}

// checked compares what was unpacked with what is said of it.
type checked struct {
	r     io.Reader
	sum   hash.Hash32
	n     int64
	e     *zipEntry
	after bool          // it is said after the data ...
	buf   *bufio.Reader // ... here
	err   error
}

// Read implements io.Reader.
func (c *checked) Read(p []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	n, err := c.r.Read(p)
	c.n += int64(n)
	c.sum.Write(p[:n])
	switch {
	case !errors.Is(err, io.EOF):
	case c.after:
		if e := c.descriptor(); e != nil {
			err = e
		}
	case c.e.method == 0 && c.n < c.e.size:
		err = io.ErrUnexpectedEOF
	case c.sum.Sum32() != c.e.sum:
		err = errZipCheck
	}
	c.err = err
	return n, err
}

// descriptor reads what follows the data (4.3.9): with or without a mark, with
// sizes of 4 or of 8 bytes, and nothing says which. The sum and the size do.
func (c *checked) descriptor() error {
	b, err := c.buf.Peek(26)
	if len(b) < 12 {
		return eofIsCut(err)
	}
	for _, mark := range []int{4, 0} {
		if mark == 4 && string(b[:4]) != zipDescriptorMark {
			continue
		}
		d := b[mark:]
		if len(d) < 12 || binary.LittleEndian.Uint32(d) != c.sum.Sum32() {
			continue
		}
		end := func(n int) bool { return len(d) <= n || d[n] == 'P' }
		switch {
		case binary.LittleEndian.Uint32(d[8:]) == uint32(c.n) && end(12):
			_, err = c.buf.Discard(mark + 12)
			return err
		case len(d) >= 20 && binary.LittleEndian.Uint64(d[12:]) == uint64(c.n) && end(20):
			_, err = c.buf.Discard(mark + 20)
			return err
		}
	}
	return errZipCheck
}

// passDescriptor passes over a descriptor that says again what the entry's header
// said.
func (z *zipReader) passDescriptor() {
	b, _ := z.buf.Peek(26)
	for _, n := range []int{16, 24, 12, 20} {
		if len(b) >= n+2 && string(b[n:n+2]) == "PK" && (n < 16 || n == 20 || string(b[:4]) == zipDescriptorMark) {
			_, _ = z.buf.Discard(n)
			return
		}
	}
}

// header reads what the directory and the entry's own header have in common.
func header(b []byte) zipEntry {
	return zipEntry{
		flags:    binary.LittleEndian.Uint16(b),
		method:   binary.LittleEndian.Uint16(b[2:]),
		modified: dosTime(binary.LittleEndian.Uint16(b[6:]), binary.LittleEndian.Uint16(b[4:])),
		sum:      binary.LittleEndian.Uint32(b[8:]),
		packed:   int64(binary.LittleEndian.Uint32(b[12:])),
		size:     int64(binary.LittleEndian.Uint32(b[16:])),
	}
}

// dosTime is in the zone of who packed it, which is not known.
func dosTime(date, clock uint16) time.Time {
	if date == 0 {
		return time.Time{}
	}
	return time.Date(1980+int(date>>9), time.Month(date>>5&15), int(date&31),
		int(clock>>11), int(clock>>5&63), int(clock&31)*2, 0, time.UTC)
}

// extra reads the name and the extra fields (4.5): sizes beyond 4 GiB, and times
// that have a zone.
func (e *zipEntry) extra(b []byte, name int) {
	e.name = string(b[:name])
	for b = b[name:]; len(b) >= 4; {
		id, n := binary.LittleEndian.Uint16(b), int(binary.LittleEndian.Uint16(b[2:]))
		if b = b[4:]; n > len(b) {
			return
		}
		field := b[:n]
		b = b[n:]
		switch id {
		case 0x0001: // in this order those that did not fit
			for _, v := range []*int64{&e.size, &e.packed, &e.offset} {
				if *v == 1<<32-1 && len(field) >= 8 {
					*v = int64(binary.LittleEndian.Uint64(field))
					field = field[8:]
				}
			}
		case 0x5455:
			if len(field) >= 5 && field[0]&1 != 0 {
				e.modified = modified(time.Unix(int64(int32(binary.LittleEndian.Uint32(field[1:]))), 0).UTC())
			}
		case 0x000a:
			const until1970 = 11644473600 // seconds from 1601
			if len(field) >= 16 && binary.LittleEndian.Uint16(field[4:]) == 1 {
				e.modified = modified(time.Unix(int64(binary.LittleEndian.Uint64(field[8:])/1e7)-until1970, 0).UTC())
			}
		}
	}
}
