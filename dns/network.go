package dns

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"
)

// Bounds of an exchange over the network.
const (
	maxForeign   = 64               // messages that are not the reply, over UDP; then TCP is asked
	maxForeignIn = 8                // the same in one connection
	datagram     = 4096             // more than we announce; of a larger one the rest is lost, and TCP is asked
	maxIdle      = 4                // connections of DNS over TLS kept for each server
	idleFor      = 10 * time.Second // how long
)

// network is the Exchanger over sockets. Each query over UDP has a socket, and
// so a port, of its own, connected, so that the kernel drops what comes from
// elsewhere (RFC 5452 section 9.2).
type network struct {
	dialer net.Dialer
	tls    *tls.Config

	buffers sync.Pool // of *[datagram]byte

	mu   sync.Mutex
	idle map[Server][]*idleConn
}

// idleConn is a connection of DNS over TLS between two queries: RFC 7858 section
// 3.4 wants it used again, since a handshake costs more than a question.
type idleConn struct {
	net.Conn
	expiry *time.Timer
}

func newNetwork(roots *x509.CertPool) *network {
	return &network{
		tls: &tls.Config{
			RootCAs: roots, MinVersion: tls.VersionTLS12, NextProtos: []string{"dot"},
			ClientSessionCache: tls.NewLRUClientSessionCache(16),
		},
		buffers: sync.Pool{New: func() any { return new([datagram]byte) }},
		idle:    map[Server][]*idleConn{},
	}
}

// Exchange is Exchanger.
func (n *network) Exchange(ctx context.Context, server Server, network string, query []byte) ([]byte, error) {
	switch network {
	case "udp":
		return n.udp(ctx, server, query)
	case "tcp":
		conn, err := n.dialer.DialContext(ctx, "tcp", server.Address.String())
		if err != nil {
			return nil, err
		}
		defer conn.Close()
		defer guard(ctx, conn)()
		return stream(ctx, conn, query)
	case "tls":
		return n.overTLS(ctx, server, query)
	}
	return nil, fmt.Errorf("ask over %q: no such network", network)
}

// guard makes the end of ctx end what conn is doing. The function ends the
// watch, and reports whether conn was left alone.
func guard(ctx context.Context, conn net.Conn) (release func() bool) {
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	return context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
}

func (n *network) udp(ctx context.Context, server Server, query []byte) ([]byte, error) {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(server.Address)) // sends nothing, waits for nothing
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer guard(ctx, conn)()
	if _, err := conn.Write(query); err != nil {
		return nil, because(ctx, err)
	}
	buffer := n.buffers.Get().(*[datagram]byte) //nolint:errcheck,forcetypeassert // the pool has nothing else
	defer n.buffers.Put(buffer)
	for range maxForeign {
		got, err := conn.Read(buffer[:])
		if err != nil {
			return nil, because(ctx, err)
		}
		reply := buffer[:got]
		if !matches(query, reply) {
			continue // forged, or late: the right one may follow (RFC 5452 section 9.1)
		}
		return slices.Clone(reply), nil
	}
	return nil, fmt.Errorf("%w: %d messages with a wrong id or question", errForeign, maxForeign)
}

// stream has one exchange in a connection (RFC 1035 section 4.2.2).
func stream(ctx context.Context, conn net.Conn, query []byte) ([]byte, error) {
	framed := make([]byte, 2, 2+len(query))
	binary.BigEndian.PutUint16(framed, uint16(len(query)))
	if _, err := conn.Write(append(framed, query...)); err != nil {
		return nil, because(ctx, err)
	}
	for range maxForeignIn {
		var length [2]byte
		if _, err := io.ReadFull(conn, length[:]); err != nil {
			if errors.Is(err, io.EOF) {
				err = errClosed
			}
			return nil, because(ctx, err)
		}
		reply := make([]byte, binary.BigEndian.Uint16(length[:]))
		if got, err := io.ReadFull(conn, reply); err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return nil, fmt.Errorf("%w: ends after %d of %d bytes", errMalformed, got, len(reply))
			}
			return nil, because(ctx, err)
		}
		if matches(query, reply) {
			return reply, nil
		}
	}
	return nil, fmt.Errorf("%w: %d messages with a wrong id or question", errForeign, maxForeignIn)
}

// errClosed is a connection that ended without a word.
var errClosed = errors.New("the server closed the connection without a reply")

// because gives the end of ctx as the reason where it is.
func because(ctx context.Context, err error) error {
	if ended := ctx.Err(); ended != nil {
		return ended
	}
	return err
}

func (n *network) overTLS(ctx context.Context, server Server, query []byte) ([]byte, error) {
	if conn := n.take(server); conn != nil {
		reply, err := n.over(ctx, server, conn, query)
		if err == nil {
			return reply, nil
		}
		// The server, or something on the way, has closed it while it was idle,
		// and the others most likely too: a new one it is, this time or (where
		// nothing came until the end of ctx) the next.
		for conn := n.take(server); conn != nil; conn = n.take(server) {
			_ = conn.Close()
		}
		if ctx.Err() != nil {
			return nil, err
		}
	}
	raw, err := n.dialer.DialContext(ctx, "tcp", server.Address.String())
	if err != nil {
		return nil, err
	}
	config := n.tls.Clone()
	config.ServerName = server.TLSName
	conn := tls.Client(raw, config)
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, because(ctx, err)
	}
	return n.over(ctx, server, conn, query)
}

// over has an exchange in a TLS connection and keeps it where it went well.
func (n *network) over(ctx context.Context, server Server, conn net.Conn, query []byte) ([]byte, error) {
	release := guard(ctx, conn)
	reply, err := stream(ctx, conn, query)
	if release() && err == nil {
		n.keep(server, conn)
	} else {
		_ = conn.Close()
	}
	return reply, err
}

// take gives a connection that is idle, or nil.
func (n *network) take(server Server) net.Conn {
	n.mu.Lock()
	defer n.mu.Unlock()
	for idle := n.idle[server]; len(idle) > 0; idle = n.idle[server] {
		last := idle[len(idle)-1]
		n.idle[server] = idle[:len(idle)-1]
		if last.expiry.Stop() {
			return last.Conn
		}
	}
	return nil
}

// keep makes a connection idle. It is closed when nobody wants it for a while.
func (n *network) keep(server Server, conn net.Conn) {
	_ = conn.SetDeadline(time.Time{})
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.idle[server]) >= maxIdle {
		_ = conn.Close()
		return
	}
	kept := &idleConn{Conn: conn}
	kept.expiry = time.AfterFunc(idleFor, func() {
		_ = conn.Close()
		n.mu.Lock()
		defer n.mu.Unlock()
		for i, c := range n.idle[server] {
			if c == kept {
				n.idle[server] = append(n.idle[server][:i:i], n.idle[server][i+1:]...)
				break
			}
		}
	})
	n.idle[server] = append(n.idle[server], kept)
}
