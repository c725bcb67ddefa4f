//go:build !linux

package spool

import "errors"

// Dir is for Linux: the promises of sync and lock elsewhere are not proven.
func Dir(string) (FS, error) {
	return nil, errors.New("open spool: this system is not supported; use Linux")
}
