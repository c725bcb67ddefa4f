package source

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/bzip2"
	"errors"
	"io"
	"strings"
	"time"
	"unicode"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/postroad/postroad/event"
)

// form is how bytes are packed.
type form int

const (
	plain form = iota
	gzipForm
	bzip2Form
	xzForm
	zstdForm
	zipForm
	tarForm
)

// formOf tells the form by the head of the content.
func formOf(head []byte) form {
	has := func(magic string) bool { return bytes.HasPrefix(head, []byte(magic)) }
	switch {
	case has("\x1f\x8b\x08"):
		return gzipForm
	case has("BZh") && len(head) >= 10 && head[3] >= '1' && head[3] <= '9' &&
		(string(head[4:10]) == "1AY&SY" || string(head[4:10]) == "\x17rE8P\x90"):
		return bzip2Form
	case has("\xfd7zXZ\x00"):
		return xzForm
	case has("\x28\xb5\x2f\xfd"),
		len(head) >= 4 && head[0]>>4 == 5 && string(head[1:4]) == "\x2a\x4d\x18": // a frame to be skipped comes first
		return zstdForm
	case has("PK\x03\x04"), has("PK\x05\x06"), has("PK\x07\x08PK\x03\x04"):
		return zipForm
	case isTar(head):
		return tarForm
	}
	return plain
}

// isTar checks the sum of a tar header; old ones have no other mark.
func isTar(head []byte) bool {
	const size, from, to = 512, 148, 156
	if len(head) < size || head[0] == 0 {
		return false
	}
	want, digits := 0, 0
	for _, c := range bytes.Trim(head[from:to], " \x00") {
		if c < '0' || c > '7' {
			return false
		}
		want, digits = want<<3|int(c-'0'), digits+1
	}
	sum := 0
	for i, c := range head[:size] {
		if i >= from && i < to {
			c = ' '
		}
		sum += int(c)
	}
	return digits > 0 && sum == want
}

// fault is what ends the reading of a layer before its end.
type fault struct {
	name string
	why  event.Skip
	err  error
	told bool
}

func (f *fault) Error() string { return f.err.Error() }
func (f *fault) Unwrap() error { return f.err }

var (
	errUnpacked = errors.New("unpack: the limit is reached; unpack it by hand and name the files that matter")
	errEntries  = errors.New("unpack: too many entries; unpack it by hand and name the files that matter")
	errWindow   = errors.New("unpack: it takes more memory than allowed; unpack it by hand and name the files")
)

// tell reports what ended a layer, once, whatever layers it went through.
func (w *walk) tell(name string, err error) error {
	var f *fault
	switch {
	case err == nil || errors.Is(err, io.EOF):
		return nil
	case cancelled(err):
		return w.ctx.Err()
	case !errors.As(err, &f):
		f = &fault{name: name, why: reason(err), err: err}
	}
	if !f.told {
		f.told = true
		w.skip(f.name, f.why, f.err)
	}
	return nil
}

// reason gives the reason that stands behind an error of a decoder.
func reason(err error) event.Skip {
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return event.SkipCut
	case errors.Is(err, errUnpacked), errors.Is(err, errWindow),
		errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return event.SkipBomb
	case errors.Is(err, errEntries):
		return event.SkipMany
	}
	return event.SkipBroken
}

func cancelled(err error) bool {
	var c *cancel
	return errors.As(err, &c)
}

// cancel is the error of the walk's context on its way through the decoders.
type cancel struct{ error }

func (c *cancel) Unwrap() error { return c.error }

// input is one file on the disk, or a pipe: what the limits count against.
type input struct {
	w        *walk
	r        io.Reader
	name     string
	size     int64
	read     int64 // bytes of it
	unpacked int64 // bytes that the decoders made of it, one behind the other or side by side
	produced int64 // ... and what archives that pack nothing passed on, or holes that they filled
	entries  int   // of all its archives
	spent    bool  // it has unpacked to all that it may
	progress
	err error
}

// Read gives the bytes as they lie on the disk.
func (in *input) Read(p []byte) (int, error) {
	if in.err != nil {
		return 0, in.err
	}
	if err := in.w.ctx.Err(); err != nil {
		in.err = &cancel{err}
		return 0, in.err
	}
	n, err := in.r.Read(p)
	in.read += int64(n)
	in.advance(in.consumed())
	if err != nil && err != io.EOF {
		if ctxErr := in.w.ctx.Err(); ctxErr != nil {
			err = &cancel{ctxErr}
		} else {
			err = &fault{name: in.name, why: event.SkipUnreadable, err: err}
		}
	}
	in.err = err
	return n, err
}

// consumed is how many bytes of the input were read. Entries of an archive may
// share bytes, which are then read more than once.
func (in *input) consumed() int64 {
	if in.size < 0 {
		return in.read
	}
	return min(in.read, in.size)
}

// layer is what comes out of one decoder, counted.
type layer struct {
	in   *input
	r    io.Reader
	name string
	from int64 // what had been read of the input when the layer began
	out  int64
	tar  bool // it takes apart and unpacks nothing, but holes
	err  error
}

// Read unpacks, within the limits.
func (l *layer) Read(p []byte) (int, error) {
	if l.err == nil && l.in.spent {
		l.err = &fault{name: l.name, why: event.SkipBomb, err: errUnpacked}
	}
	if l.err != nil {
		return 0, l.err
	}
	w := l.in.w
	if err := w.ctx.Err(); err != nil {
		l.err = &cancel{err}
		return 0, l.err
	}
	n, err := l.r.Read(p)
	l.out += int64(n)
	l.in.produced += int64(n)
	if !l.tar {
		l.in.unpacked += int64(n)
	}
	if err == nil && w.o.tooLarge(l) {
		err = errUnpacked
	}
	if err != nil && err != io.EOF {
		var f *fault
		if !errors.As(err, &f) && !cancelled(err) {
			err = &fault{name: l.name, why: reason(err), err: err}
		}
	}
	l.err = err
	return n, err
}

// tooLarge tells a bomb. One layer may not grow too much of what it was given, and
// all layers of an input together not too much of the input, or an archive of a
// million small bombs would pass.
func (o *Options) tooLarge(l *layer) bool {
	in := l.in
	given := in.read - l.from + min(l.from, bufferSize) // a buffer may hold what the layer begins with
	in.spent = in.unpacked > o.Unpacked || in.produced > 16*o.Floor && in.produced/o.Ratio > in.consumed()
	return in.spent || l.out > o.Floor && l.out/o.Ratio > given
}

// input reads a file on the disk or a pipe and all that is packed in it.
func (w *walk) input(s Stream, r io.Reader) error {
	in := &input{w: w, r: r, name: s.Name, size: s.Size}
	in.begin()
	err := w.unpack(in, s, in, 0, false)
	in.end(in.consumed())
	return err
}

// buffers are what one layer needs; a layer is done before its neighbour begins.
type buffers struct {
	buf  *bufio.Reader
	gzip *gzip.Reader
	zstd *zstd.Decoder
}

// at gives the buffers of a nesting.
func (w *walk) at(nesting int) *buffers {
	for len(w.buffers) <= nesting {
		w.buffers = append(w.buffers, &buffers{buf: bufio.NewReaderSize(nil, bufferSize)})
	}
	return w.buffers[nesting]
}

// unpack looks at what r gives and visits it, or what is packed in it. level
// counts the layers over the disk, s.nesting those that count as nesting.
func (w *walk) unpack(in *input, s Stream, r io.Reader, level int, compressed bool) error {
	b := w.at(level)
	b.buf.Reset(r)
	head, err := b.buf.Peek(512)
	if len(head) == 0 {
		if err == io.EOF {
			w.skip(s.Name, event.SkipEmpty, nil)
			return nil
		}
		return w.tell(s.Name, err)
	}
	f := formOf(head)
	switch {
	case f == plain:
		return w.leaf(s, b.buf)
	case s.nested >= w.o.Nesting && !(f == tarForm && compressed):
		w.skip(s.Name, event.SkipNested, nil)
		return nil
	case f == tarForm:
		if !compressed {
			s.nested++
		}
		return w.tar(in, s, b.buf, level)
	case f == zipForm:
		s.nested++
		return w.zip(in, s, b.buf, level)
	}
	s.nested++
	return w.compressed(in, s, f, level)
}

// leaf gives a stream to the visitor.
func (w *walk) leaf(s Stream, buf *bufio.Reader) error {
	w.found = true
	s.buf = buf
	if err := w.visit(&s); err != nil {
		return err
	}
	return w.tell(s.Name, s.err)
}

// compressed reads one compressed stream.
func (w *walk) compressed(in *input, s Stream, f form, level int) error {
	b := w.at(level)
	var r io.Reader
	var err error
	switch f {
	case gzipForm:
		if b.gzip == nil {
			b.gzip, err = gzip.NewReader(b.buf)
		} else {
			err = b.gzip.Reset(b.buf)
		}
		if err == nil && !b.gzip.ModTime.IsZero() {
			s.Modified = b.gzip.ModTime
		}
		r = b.gzip
	case bzip2Form:
		r = bzip2.NewReader(b.buf)
	case xzForm:
		r = newXZ(b.buf, w.o.Window)
	case zstdForm:
		if b.zstd == nil {
			b.zstd, err = zstd.NewReader(b.buf, zstdOptions(w.o.Window)...)
		} else {
			err = b.zstd.Reset(b.buf)
		}
		r = b.zstd
	}
	if err != nil {
		return w.tell(s.Name, eofIsCut(err))
	}
	s.Size, s.at = -1, nil
	return w.unpack(in, s, &layer{in: in, r: r, name: s.Name, from: in.read}, level+1, true)
}

// zstdOptions: one block at a time, which is without goroutines.
func zstdOptions(window int64) []zstd.DOption {
	return []zstd.DOption{zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(uint64(max(window, zstd.MinWindowSize)))}
}

func eofIsCut(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// tar reads the files of a tar archive. Links are left out: what they lead to is
// an entry of its own.
func (w *walk) tar(in *input, s Stream, buf *bufio.Reader, level int) error {
	t := tar.NewReader(buf)
	empty := true
	for {
		h, err := t.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return w.tell(s.Name, err)
		}
		if in.entries++; in.entries > w.o.Entries {
			return w.tell(s.Name, errEntries)
		}
		name := inside(s.Name, h.Name)
		switch h.Typeflag {
		case tar.TypeReg, tar.TypeGNUSparse:
		case tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
			w.skip(name, event.SkipSpecial, nil)
			continue
		default:
			continue
		}
		empty = false
		if ignored(base(h.Name)) {
			continue
		}
		e := Stream{Name: name, Modified: modified(h.ModTime), Size: h.Size, nested: s.nested}
		l := &layer{in: in, r: t, name: name, from: in.read, tar: true}
		if err := w.unpack(in, e, l, level+1, false); err != nil {
			return err
		}
		if l.err != nil && !errors.Is(l.err, io.EOF) { // it will not get better
			return w.tell(s.Name, l.err)
		}
	}
	if empty {
		w.skip(s.Name, event.SkipEmpty, nil)
	}
	return nil
}

// modified is a time that an archive gives; 1970 is what programs write who know none.
func modified(t time.Time) time.Time {
	if t.Unix() <= 0 {
		return time.Time{}
	}
	return t
}

// inside names an entry of an archive. What is foreign in a name is not passed on
// to a terminal.
func inside(archive, entry string) string {
	const longest = 255
	entry = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, strings.ToValidUTF8(entry, string(unicode.ReplacementChar)))
	if r := []rune(entry); len(r) > longest {
		entry = "..." + string(r[len(r)-longest:])
	}
	return archive + ": " + entry
}

func base(entry string) string {
	return entry[strings.LastIndexAny(entry, `/\`)+1:]
}
