//go:build unix

package source

import (
	"context"
	"io/fs"
	"os"
	"syscall"

	"github.com/postroad/postroad/event"
)

// pipe reads a FIFO that a person named: <(zcat ...). One that nobody comes to
// write to is left out.
func (w *walk) pipe(path string, _ fs.FileInfo) error {
	// Opening waits for a writer. When it must not wait any longer we are the writer,
	// until it is open.
	opened := make(chan struct{})
	wait, enough := context.WithTimeout(w.ctx, w.o.PipeWait)
	defer enough()
	stop := context.AfterFunc(wait, func() {
		if fd, err := syscall.Open(path, syscall.O_RDWR|syscall.O_NONBLOCK, 0); err == nil {
			<-opened
			_ = syscall.Close(fd)
		}
	})
	f, err := os.Open(path)
	close(opened)
	late := !stop()
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
	if late {
		w.skip(path, event.SkipSpecial, nil)
		return nil
	}
	defer w.interrupt(f)()
	return w.input(Stream{Name: path, Size: -1}, f)
}
