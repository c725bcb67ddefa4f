// Package source opens what a person names: files, directories, standard input,
// and what is packed in them.
//
// Paths come in ([Walk]). Out go streams of bytes ([Stream]), one for each file
// and each entry of an archive, with the name by which a person would know it and
// the time at which it was last written. gz, bz2, xz, zst, zip and tar are told
// by their content, never by a name, and unpacked as they are read: nothing is
// ever written, so a path in an archive has no power, and memory does not grow
// with the input. What is left out is said with its reason ([Options].Skip).
// Nothing is kept and nothing survives. The pipeline of analyze uses it and gives
// the streams to the readers of ingest and diagnose/bounce.
package source

import (
	"bufio"
	"context"
	"errors"
	"io"
	"time"

	"github.com/postroad/postroad/event"
)

// The limits that hold where [Options] sets none.
const (
	DefaultNesting  = 3         // archives in archives
	DefaultUnpacked = 64 << 30  // bytes that one input unpacks to
	DefaultRatio    = 1000      // bytes unpacked for each byte read ...
	DefaultFloor    = 64 << 20  // ... beyond so many unpacked bytes
	DefaultEntries  = 1_000_000 // entries of the archives of one input
	DefaultWindow   = 64 << 20  // memory of one decoder: dictionary, window
	DefaultPipeWait = 5 * time.Second
)

const (
	bufferSize = 256 << 10 // of each layer; a read from a file is never smaller
	// PeekSize is how much of the head [Stream.Peek] can show.
	PeekSize = bufferSize
)

// Options are the limits of a walk and who hears of it. Zero is the default.
type Options struct {
	Nesting  int   // how deep archives may be nested; a tar in its compression counts as one
	Unpacked int64 // to how many bytes one input may unpack
	Ratio    int64 // how many bytes may come of one byte ...
	Floor    int64 // ... once so many bytes have been unpacked
	Entries  int   // how many entries the archives of one input may have
	Window   int64 // how many bytes one decoder may keep

	PipeWait time.Duration // for how long a named pipe may wait for somebody to write to it

	// Skip is told what is left out: the name, the reason, and the cause where
	// there is one. It may be nil.
	Skip func(name string, why event.Skip, err error)
	// Progress is told of an input (a file as it lies on the disk, a pipe) how
	// many bytes were read of how many, -1 where that is not known: at its
	// begin, at its end and now and then between. It may be nil.
	Progress func(name string, read, total int64)
}

// Stream is one file or one entry of an archive, unpacked. It is valid during the
// visit only. Reading ends with io.EOF also where the input is cut or damaged:
// what could be read was read, and Skip is told why there is no more.
type Stream struct {
	Name     string    // as a person would name it: "mail.log.2.gz", "logs.zip: a/mail.log"
	Modified time.Time // of the file or the entry; zero where it is not known
	Size     int64     // in bytes, unpacked; -1 where it is not known

	buf  *bufio.Reader
	at   io.ReaderAt
	err  error // what ended the reading, other than io.EOF
	stop error // the walk was cancelled: the one error that a consumer sees

	nested int // how many archives it lies in
}

// Peek gives the next n bytes without reading them, fewer where there are fewer,
// at most [PeekSize]. The bytes are valid until the next Read.
func (s *Stream) Peek(n int) []byte {
	b, err := s.buf.Peek(min(n, PeekSize))
	if err != nil {
		s.note(err)
	}
	return b
}

// Read reads on. The only errors are io.EOF and the one of a cancelled context.
func (s *Stream) Read(p []byte) (int, error) {
	n, err := s.buf.Read(p)
	if err != nil {
		s.note(err)
		if err = io.EOF; s.stop != nil {
			err = s.stop
		}
	}
	return n, err
}

// At gives access to any place of a plain file and its size when it was opened.
// ok is false for everything else: archives, pipes.
func (s *Stream) At() (r io.ReaderAt, size int64, ok bool) {
	return s.at, s.Size, s.at != nil
}

// note keeps the first error that is not the end.
func (s *Stream) note(err error) {
	if errors.Is(err, io.EOF) || errors.Is(err, bufio.ErrBufferFull) || s.err != nil {
		return
	}
	s.err = err
	var c *cancel
	if errors.As(err, &c) {
		s.stop = c.error
	}
}

// Walk visits everything that args name, in an order that depends on the names
// alone: of rotated logs the oldest first. A directory stands for all files in and
// under it that are neither hidden nor an editor's backup; "-" and "/dev/stdin"
// stand for stdin. A file that is reached twice is visited once.
//
// What cannot be read is told to Skip and is no error. Walk ends early with the
// error of visit or of ctx.
func Walk(ctx context.Context, args []string, stdin io.Reader, o Options, visit func(*Stream) error) error {
	w := newWalk(ctx, stdin, o, visit)
	for _, arg := range inOrder(args) {
		if err := w.argument(arg); err != nil {
			return err
		}
	}
	return nil
}

func newWalk(ctx context.Context, stdin io.Reader, o Options, visit func(*Stream) error) *walk {
	w := &walk{ctx: ctx, stdin: stdin, o: o, visit: visit, seen: map[identity]bool{}}
	setDefault(&w.o.Nesting, DefaultNesting)
	setDefault(&w.o.Unpacked, DefaultUnpacked)
	setDefault(&w.o.Ratio, DefaultRatio)
	setDefault(&w.o.Floor, DefaultFloor)
	setDefault(&w.o.Entries, DefaultEntries)
	setDefault(&w.o.Window, DefaultWindow)
	setDefault(&w.o.PipeWait, DefaultPipeWait)
	return w
}

func setDefault[T int | int64 | time.Duration](v *T, to T) {
	if *v <= 0 {
		*v = to
	}
}
