//go:build !unix

package source

import (
	"io/fs"
	"path/filepath"
)

// identity tells files apart, whatever paths and links lead to them. Without
// inodes a hard link is a file of its own.
type identity struct{ path string }

func identify(path string, _ fs.FileInfo) identity {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	return identity{path}
}
