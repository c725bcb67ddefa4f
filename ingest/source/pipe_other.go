//go:build !unix

package source

import (
	"io/fs"
	"os"
)

// pipe reads a named pipe that a person named.
func (w *walk) pipe(path string, _ fs.FileInfo) error {
	f, err := os.Open(path)
	if err != nil {
		w.unreadable(path, err)
		return nil
	}
	defer f.Close()
	return w.input(Stream{Name: path, Size: -1}, f)
}
