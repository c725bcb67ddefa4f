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
	// Opening waits for a writer. When it must not wait any longer we are the writer,
	// until it is open.
	opened := make(chan struct{})
	stop := context.AfterFunc(w.ctx, func() {
		if fd, err := syscall.Open(path, syscall.O_RDWR|syscall.O_NONBLOCK, 0); err == nil {
			<-opened
			_ = syscall.Close(fd)
		}
	})
	f, err := os.Open(path)
	close(opened)
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
