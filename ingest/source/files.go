package source

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/postroad/postroad/event"
)

// maxDepth is how deep directories may be nested.
const maxDepth = 200

// walk is one call of [Walk].
type walk struct {
	ctx   context.Context
	stdin io.Reader
	o     Options
	visit func(*Stream) error

	seen  map[identity]bool // files and directories that were read
	stack []identity        // the directories that we are in
	found bool              // something was read or skipped since the argument began
	took  bool              // stdin was read

	buffers []*buffers // by nesting, used again and again
}

func (w *walk) skip(name string, why event.Skip, err error) {
	w.found = true
	if w.o.Skip != nil {
		w.o.Skip(name, why, err)
	}
}

// unreadable says why the operating system refused a file.
func (w *walk) unreadable(name string, err error) {
	why := event.SkipUnreadable
	if errors.Is(err, syscall.ELOOP) {
		why = event.SkipLoop
	}
	w.skip(name, why, err)
}

// argument reads what a person named.
func (w *walk) argument(arg string) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	if arg == "-" || arg == "/dev/stdin" {
		return w.standardInput(arg)
	}
	info, err := os.Stat(arg)
	if err != nil {
		w.unreadable(arg, err)
		return nil
	}
	w.found = false
	if err := w.file(arg, info, true); err != nil {
		return err
	}
	if info.IsDir() && !w.found {
		w.skip(arg, event.SkipEmpty, nil)
	}
	return nil
}

func (w *walk) standardInput(name string) error {
	if w.took || w.stdin == nil {
		return nil
	}
	w.took = true
	size, modified := int64(-1), time.Time{}
	if f, ok := w.stdin.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			size, modified = info.Size(), info.ModTime()
		}
	}
	defer w.interrupt(w.stdin)()
	return w.input(Stream{Name: name, Modified: modified, Size: size}, w.stdin)
}

// interrupt ends a read that waits for a pipe when the context is cancelled, where
// the operating system can do that.
func (w *walk) interrupt(r io.Reader) (stop func() bool) {
	f, ok := r.(interface{ SetReadDeadline(time.Time) error })
	if !ok {
		return func() bool { return true }
	}
	return context.AfterFunc(w.ctx, func() { _ = f.SetReadDeadline(time.Unix(1, 0)) })
}

// file reads what lies at path; named tells that a person named it, and not we
// found it in a directory.
func (w *walk) file(path string, info fs.FileInfo, named bool) error {
	switch {
	case info.IsDir():
		return w.directory(path, info)
	case info.Mode().IsRegular():
		return w.regular(path, info)
	case info.Mode().Type() == fs.ModeNamedPipe && named:
		return w.pipe(path, info)
	}
	w.skip(path, event.SkipSpecial, nil)
	return nil
}

func (w *walk) regular(path string, info fs.FileInfo) error {
	id := identify(path, info)
	if w.seen[id] {
		w.found = true
		return nil
	}
	w.seen[id] = true
	f, err := os.Open(path)
	if err != nil {
		w.unreadable(path, err)
		return nil
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil {
		w.unreadable(path, err)
		return nil
	}
	// A log grows while we read it. Where we stop must not depend on how fast we are.
	size := info.Size()
	return w.input(Stream{Name: path, Modified: info.ModTime(), Size: size, at: f}, io.NewSectionReader(f, 0, size))
}

// directory reads all files in and under a directory.
func (w *walk) directory(path string, info fs.FileInfo) error {
	id := identify(path, info)
	if slices.Contains(w.stack, id) {
		w.skip(path, event.SkipLoop, nil)
		return nil
	}
	if w.seen[id] {
		w.found = true
		return nil
	}
	w.seen[id] = true
	if len(w.stack) >= maxDepth {
		w.skip(path, event.SkipNested, nil)
		return nil
	}
	names, err := list(path)
	if err != nil {
		w.unreadable(path, err)
	}
	w.stack = append(w.stack, id)
	defer func() { w.stack = w.stack[:len(w.stack)-1] }()
	for _, name := range names {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		if ignored(name) {
			continue
		}
		path := filepath.Join(path, name)
		info, err := os.Stat(path)
		if err != nil {
			w.unreadable(path, err)
			continue
		}
		if err := w.file(path, info, false); err != nil {
			return err
		}
	}
	return nil
}

// list gives the names in a directory in our order, as many as could be read.
func list(path string) ([]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	return inOrder(names), err
}

// ignored tells the files that nobody means who names their directory.
func ignored(name string) bool {
	return strings.HasPrefix(name, ".") || strings.HasSuffix(name, "~") ||
		strings.HasPrefix(name, "#") && strings.HasSuffix(name, "#")
}
