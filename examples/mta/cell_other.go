//go:build !linux

package mta

import (
	"context"
	"io"
	"net"
	"os/exec"
)

// Cell is a closed place for mail servers; there is none without Linux.
type Cell struct {
	deps   string
	env    []string
	syslog *Syslog
	closes []io.Closer
}

// Open says that there is no cell here.
func Open(context.Context, Options) (*Cell, error) { return nil, ErrUnavailable }

// Path is of no use here.
func (*Cell) Path(name string) string { return name }

// WriteFile is of no use here.
func (*Cell) WriteFile(string, string) error { return ErrUnavailable }

// Listen is of no use here.
func (*Cell) Listen(string, string) (net.Listener, error) { return nil, ErrUnavailable }

// ListenPacket is of no use here.
func (*Cell) ListenPacket(string, string) (net.PacketConn, error) { return nil, ErrUnavailable }

// Interfaces is of no use here.
func (*Cell) Interfaces() ([]net.Interface, error) { return nil, ErrUnavailable }

// Dial is of no use here.
func (*Cell) Dial(context.Context, string, string) (net.Conn, error) { return nil, ErrUnavailable }

// Deaf is of no use here.
func (*Cell) Deaf(string) error { return ErrUnavailable }

// Command is of no use here.
func (*Cell) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, name, args...)
}

// Run is of no use here.
func (*Cell) Run(context.Context, string, string, ...string) (string, error) {
	return "", ErrUnavailable
}

// Close has nothing to close.
func (*Cell) Close() error { return nil }
