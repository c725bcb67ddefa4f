package world

import (
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"
)

// mute has a port drop what arrives at it, so that who connects waits in vain:
// by a filter on the socket that lets nothing through, or where the kernel has
// none by a queue that is full. What it returns keeps it so; nil where nothing
// has to.
func mute(l net.Listener) (filler net.Conn, err error) {
	s, ok := l.(syscall.Conn)
	if !ok {
		return nil, errors.New("drop packets: not a socket")
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("drop packets: %w", err)
	}
	nothing := []syscall.SockFilter{{Code: syscall.BPF_RET | syscall.BPF_K}} // returns 0: no byte is kept
	var unfiltered, failed error
	if err := raw.Control(func(fd uintptr) {
		if unfiltered = syscall.AttachLsf(int(fd), nothing); unfiltered != nil { //nolint:staticcheck // one setsockopt
			failed = syscall.Listen(int(fd), 0) // again, for a queue of one
		}
	}); err != nil {
		return nil, fmt.Errorf("drop packets: %w", err)
	}
	if failed != nil {
		return nil, fmt.Errorf("drop packets: %w", errors.Join(unfiltered, failed))
	}
	if unfiltered == nil {
		return nil, nil
	}
	filler, err = net.DialTimeout("tcp", l.Addr().String(), time.Second)
	if err != nil { // it is full: somebody else waits in it
		return nil, nil //nolint:nilerr // which is what was wanted
	}
	return filler, nil
}
