//go:build unix

package source

import (
	"io/fs"
	"path/filepath"
	"syscall"
)

// identity tells files apart, whatever paths and links lead to them.
type identity struct {
	device, inode uint64
	path          string // where the file system does not say
}

func identify(path string, info fs.FileInfo) identity {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return identity{device: uint64(s.Dev), inode: s.Ino} //nolint:unconvert // an int32 on other systems
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	return identity{path: path}
}
