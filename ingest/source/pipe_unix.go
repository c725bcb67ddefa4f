//go:build unix

package source

import (
	"context"
	"io/fs"
	"os"
	"syscall"
)

// pipe reads a FIFO that a person named: <(zcat ...).
func (w *walk) pipe(path string, _ fs.FileInfo) error {
	// Opening waits for a writer. Being one for a moment ends the wait.
	stop := context.AfterFunc(w.ctx, func() {
		if fd, err := syscall.Open(path, syscall.O_WRONLY|syscall.O_NONBLOCK, 0); err == nil {
			_ = syscall.Close(fd)
		}
	})
	f, err := os.Open(path)
	stop()
	if err := w.ctx.Err(); err != nil {
		if f != nil {
			_ = f.Close()
		}
		return err
	}
	if err != nil {
		w.unreadable(path, err)
		return nil
	}
	defer f.Close()
	defer w.interrupt(f)()
	return w.input(Stream{Name: path, Size: -1}, f)
}
