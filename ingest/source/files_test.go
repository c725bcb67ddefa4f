//go:build unix

package source

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postroad/postroad/event"
)

// under makes the names in a walk's answer relative to dir.
func under(dir string, all []string) []string {
	for i := range all {
		all[i] = strings.ReplaceAll(all[i], dir+"/", "")
	}
	return all
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestDirectory(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"mail.log", "mail.log.1", "sub/b", "sub/a", "sub/.hidden", ".git/config", "mail.log~", "#mail.log#", "cur/1705.M1:2,S", "#one"} {
		write(t, dir, name, []byte(name))
	}
	write(t, dir, "nothing", nil)
	must(t, os.Mkdir(filepath.Join(dir, "tmp"), 0o755)) // of a Maildir: no news
	streams, skips := told(t, Options{}, nil, dir)
	expect(t, "read", under(dir, streams), "#one: #one", "cur/1705.M1:2,S: cur/1705.M1:2,S", "mail.log.1: mail.log.1", "mail.log: mail.log", "sub/a: sub/a", "sub/b: sub/b")
	expect(t, "left out", under(dir, skips), "nothing: empty")

	streams, skips = told(t, Options{}, nil, filepath.Join(dir, "mail.log~"), filepath.Join(dir, ".git"), filepath.Join(dir, "sub/.hidden"))
	expect(t, "named", under(dir, streams), ".git/config: .git/config", "mail.log~: mail.log~", "sub/.hidden: sub/.hidden")
	expect(t, "left out", skips)

	_, skips = told(t, Options{}, nil, filepath.Join(dir, "tmp"), filepath.Join(dir, "tmp"), filepath.Join(dir, "absent"))
	expect(t, "left out", under(dir, skips), "absent: unreadable", "tmp: empty")
}

func TestReadOnce(t *testing.T) {
	dir := t.TempDir()
	a := write(t, dir, "a", []byte("a"))
	must(t, os.Link(a, filepath.Join(dir, "b")))
	must(t, os.Symlink("a", filepath.Join(dir, "c")))
	must(t, os.Symlink(".", filepath.Join(dir, "z"))) // a loop
	must(t, os.Mkdir(filepath.Join(dir, "sub"), 0o755))
	write(t, dir, "sub/x", []byte("x"))
	must(t, os.Symlink("sub", filepath.Join(dir, "sub2")))      // no loop
	must(t, os.Symlink("..", filepath.Join(dir, "sub/up")))     // a loop
	must(t, os.Symlink("l2", filepath.Join(dir, "l1")))         // two links that lead to each other
	must(t, os.Symlink("l1", filepath.Join(dir, "l2")))         //
	must(t, os.Symlink("gone", filepath.Join(dir, "dangling"))) // a link to nothing
	streams, skips := told(t, Options{}, nil, dir, a, a, dir, filepath.Join(dir, "sub"))
	expect(t, "read", under(dir, streams), "a: a", "sub/x: x")
	expect(t, "left out", under(dir, skips), "dangling: unreadable", "l1: loop", "l2: loop", "sub/up: loop", "z: loop")
}

func TestSpecialFiles(t *testing.T) {
	dir := t.TempDir()
	must(t, syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600))
	l, err := net.Listen("unix", filepath.Join(dir, "socket"))
	must(t, err)
	defer l.Close()
	must(t, os.Symlink("/dev/zero", filepath.Join(dir, "zero")))
	_, skips := told(t, Options{}, nil, dir, "/dev/zero")
	expect(t, "left out", under(dir, skips), "/dev/zero: special-file", "fifo: special-file", "socket: special-file", "zero: special-file")

	go func() {
		_ = os.WriteFile(filepath.Join(dir, "fifo"), gz(lines(5000)), 0)
	}()
	streams, skips := told(t, Options{}, nil, filepath.Join(dir, "fifo"))
	expect(t, "read", under(dir, streams), "fifo: 5000 lines")
	expect(t, "left out", skips)
}

// Nobody ever writes to the pipe.
func TestPipeOfNobody(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	must(t, syscall.Mkfifo(fifo, 0o600))
	streams, skips := told(t, Options{PipeWait: time.Millisecond}, nil, fifo)
	expect(t, "read", streams)
	expect(t, "left out", under(filepath.Dir(fifo), skips), "fifo: special-file")
}

// Nobody writes to the pipe, or nobody goes on writing.
func TestCancelledWhileItWaits(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	must(t, syscall.Mkfifo(fifo, 0o600))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- Walk(ctx, []string{fifo}, nil, Options{}, func(*Stream) error { return nil }) }()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}

	ctx, cancel = context.WithCancel(t.Context())
	go func() {
		done <- Walk(ctx, []string{fifo}, nil, Options{}, func(s *Stream) error {
			_, err := io.ReadFull(s, make([]byte, len(line)*10))
			cancel()
			if _, ctxErr := s.Read(make([]byte, 3)); !errors.Is(ctxErr, context.Canceled) {
				t.Error(ctxErr)
			}
			return err
		})
	}()
	f, err := os.OpenFile(fifo, os.O_WRONLY, 0)
	must(t, err)
	defer f.Close()
	_, err = f.Write(lines(10))
	must(t, err)
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestStandardInput(t *testing.T) {
	streams, _ := told(t, Options{}, []byte("x"), "/dev/stdin", "-", "-")
	expect(t, "read once", streams, "-: x")
	f, err := os.Open(write(t, t.TempDir(), "f", lines(3)))
	must(t, err)
	defer f.Close()
	must(t, Walk(t.Context(), []string{"-"}, f, Options{}, func(s *Stream) error {
		if b, err := io.ReadAll(s); s.Size != int64(3*len(line)) || len(b) != 3*len(line) || err != nil || s.Modified.IsZero() {
			t.Errorf("of a file: %d bytes, %d read, %v", s.Size, len(b), err)
		}
		return nil
	}))
	if err := Walk(t.Context(), []string{"-"}, nil, Options{}, nil); err != nil {
		t.Error(err)
	}
}

func TestUnreadable(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Chmod(write(t, dir, "a", []byte("a")), 0))
	must(t, os.Mkdir(filepath.Join(dir, "b"), 0))
	if os.Geteuid() == 0 {
		giveUpRoot(t, dir)
	}
	_, skips := told(t, Options{}, nil, dir)
	expect(t, "left out", under(dir, skips), "a: unreadable", "b: unreadable")
}

// What disappears between the look at it and its opening is said and is no error.
func TestGoneMeanwhile(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a", []byte("a"))
	b := write(t, dir, "b", []byte("b"))
	write(t, dir, "c/d", []byte("d"))
	var causes []error
	o := Options{Skip: func(name string, why event.Skip, err error) {
		if why != event.SkipUnreadable {
			t.Errorf("%s: %s", name, why)
		}
		causes = append(causes, err)
	}}
	must(t, Walk(t.Context(), []string{dir}, nil, o, func(s *Stream) error {
		return errors.Join(os.Remove(b), os.RemoveAll(filepath.Join(dir, "c")))
	}))
	if len(causes) != 2 || !errors.Is(causes[0], fs.ErrNotExist) || !errors.Is(causes[1], fs.ErrNotExist) {
		t.Error(causes)
	}
}

// A log grows while it is read; we stop where it ended when we opened it.
func TestGrows(t *testing.T) {
	path := write(t, t.TempDir(), "mail.log", lines(10))
	must(t, Walk(t.Context(), []string{path}, nil, Options{}, func(s *Stream) error {
		f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		must(t, err)
		_, err = f.Write(lines(100_000))
		must(t, err)
		must(t, f.Close())
		if b, err := io.ReadAll(s); len(b) != 10*len(line) || err != nil {
			t.Errorf("read %d bytes, %v", len(b), err)
		}
		return nil
	}))
}

func TestDeepDirectories(t *testing.T) {
	dir := t.TempDir()
	deep := dir + strings.Repeat("/d", maxDepth+5)
	must(t, os.MkdirAll(deep, 0o755))
	write(t, deep, "f", []byte("x"))
	_, skips := told(t, Options{}, nil, dir)
	if len(skips) != 1 || !strings.HasSuffix(skips[0], "/d: nested") {
		t.Error(skips)
	}
}
