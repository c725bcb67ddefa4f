package spool

import "io"

// FS is what the engine asks of a file system, so that a test can fail each operation and take the power away.
// Names are plain, without directories.
type FS interface {
	Create(name string) (File, error) // a new file; its name is durable after SyncDir
	Open(name string) (File, error)   // an existing one, for reading and writing
	List() ([]string, error)
	Rename(from, to string) error
	Remove(name string) error
	SyncDir() error
	Lock(name string) (io.Closer, error) // ErrLocked where another has it; ends with the process
	Free() (int64, error)                // bytes that may still be written
}

// File is a file of an FS.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Sync() error // contents and length are durable when it returns
	Truncate(size int64) error
	Preallocate(size int64) error // the file gets that size, and its space
	Size() (int64, error)
}
