package mta

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

// ErrUnavailable says that real mail servers cannot run here. It is a reason to
// skip a test, aloud; any other error is a failure.
var ErrUnavailable = errors.New("real mail servers cannot run here")

// Find gives the directory in which etc/test-deps has unpacked Postfix and Exim:
// $POSTROAD_TEST_DEPS, else ~/.cache/postroad/test-deps. The error wraps
// [ErrUnavailable].
func Find() (string, error) {
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		return "", fmt.Errorf("%w: it takes Linux and root, for a network of their own", ErrUnavailable)
	}
	dir := os.Getenv("POSTROAD_TEST_DEPS")
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		dir = filepath.Join(home, ".cache", "postroad", "test-deps")
	}
	// Exim and Postfix look at their files as users who may not enter /root, so
	// the place behind the link counts.
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return "", fmt.Errorf("%w: %w; run etc/test-deps", ErrUnavailable, err)
	}
	for _, name := range []string{postfixSbin + "/postfix", eximSbin + "/exim4"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return "", fmt.Errorf("%w: %w; run etc/test-deps", ErrUnavailable, err)
		}
	}
	return dir, nil
}

const (
	postfixSbin = "postfix/usr/sbin"
	postfixLib  = "postfix/usr/lib/postfix/sbin"
	eximSbin    = "exim/usr/sbin"
	fakeTime    = "faketime/usr/lib/*/faketime/libfaketime.so.1"
)
