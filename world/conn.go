package world

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// ending is what a connection does after it has sent what it has to send.
type ending uint8

const (
	goOn ending = iota
	closeAfter
	hangAfter
)

// conn is a connection that can be slow, fall silent and end after its next
// words. TLS runs above it.
type conn struct {
	net.Conn
	clock  *Clock
	ctx    context.Context // a net.Conn has no other way to learn of the session's end
	remote netip.AddrPort  // as the simulated world sees the client

	mu    sync.Mutex
	rate  int
	after ending
	deaf  bool
	last  bool // the last word was said
}

// LocalAddr and RemoteAddr are the addresses of the simulated world.
func (c *conn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.remote) }

func (c *conn) slow(rate int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rate = rate
}

// then says what happens after the next write.
func (c *conn) then(e ending) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.after = e
}

// piece is how much goes at once at a rate: a tenth of a second.
func piece(rate int) int { return max(1, rate/10) }

func (c *conn) Read(b []byte) (int, error) {
	c.mu.Lock()
	rate, deaf, last := c.rate, c.deaf, c.last
	c.mu.Unlock()
	if deaf {
		return c.ignore()
	}
	if last {
		return c.part()
	}
	if rate > 0 && len(b) > piece(rate) {
		b = b[:piece(rate)]
	}
	n, err := c.Conn.Read(b)
	if rate > 0 && n > 0 {
		_ = c.clock.Sleep(c.ctx, time.Duration(n)*time.Second/time.Duration(rate))
	}
	c.mu.Lock()
	deaf = c.deaf
	c.mu.Unlock()
	if deaf {
		return c.ignore()
	}
	return n, err
}

// ignore reads until the client leaves or the world ends, and hears nothing: not
// even that somebody has waited long enough.
func (c *conn) ignore() (int, error) {
	stop := context.AfterFunc(c.ctx, func() { _ = c.Conn.Close() })
	defer stop()
	buf := make([]byte, 4096)
	for {
		_ = c.Conn.SetReadDeadline(time.Time{})
		_, err := c.Conn.Read(buf)
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return 0, err
		}
	}
}

// CloseWrite is what TCP offers, so that the last words arrive.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

func (c *conn) Write(b []byte) (n int, err error) {
	c.mu.Lock()
	rate, deaf, last := c.rate, c.deaf, c.last
	c.mu.Unlock()
	if deaf {
		return len(b), nil
	}
	if last {
		return 0, net.ErrClosed
	}
	for rest := b; len(rest) > 0 && err == nil; rest = b[n:] {
		if rate > 0 {
			rest = rest[:min(len(rest), piece(rate))]
			_ = c.clock.Sleep(c.ctx, time.Duration(len(rest))*time.Second/time.Duration(rate))
		}
		var m int
		m, err = c.Conn.Write(rest)
		n += m
	}
	c.mu.Lock()
	after := c.after
	c.after = goOn
	c.deaf = c.deaf || after == hangAfter
	c.mu.Unlock()
	if after == closeAfter {
		if c.CloseWrite() == nil {
			c.mu.Lock()
			c.last = true
			c.mu.Unlock()
		} else {
			_ = c.Conn.Close()
		}
	}
	return n, err
}

// part throws away what the client still says, for a while: a close with unread
// octets is a reset, which may overtake the last word.
func (c *conn) part() (int, error) {
	stop := context.AfterFunc(c.ctx, func() { _ = c.Conn.Close() })
	defer stop()
	_ = c.Conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	_, _ = io.Copy(io.Discard, io.LimitReader(c.Conn, 1<<20))
	_ = c.Conn.Close()
	return 0, io.EOF
}

// reset ends a connection as a port does at which nobody listens, as far as that
// is possible after it was taken.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}
