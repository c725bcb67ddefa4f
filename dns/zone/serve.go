package zone

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

const (
	maxPending = 512              // UDP queries that wait for their delay
	maxClients = 128              // TCP connections at once
	idle       = 30 * time.Second // of a TCP connection (RFC 7766 section 6.2.3)
)

// Serve answers over UDP and TCP, either of which may be nil, until ctx ends or
// one of them fails; it closes both, and returns when all is quiet. The end of
// ctx is no error.
func (d *Data) Serve(ctx context.Context, udp net.PacketConn, tcp net.Listener) error {
	outer := ctx
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(ctx, func() {
		if udp != nil {
			_ = udp.Close()
		}
		if tcp != nil {
			_ = tcp.Close()
		}
	})
	defer stop()
	var all sync.WaitGroup
	if udp != nil {
		all.Go(func() { cancel(d.packets(ctx, udp)) })
	}
	if tcp != nil {
		all.Go(func() { cancel(d.streams(ctx, tcp)) })
	}
	if udp == nil && tcp == nil {
		cancel(net.ErrClosed)
	}
	<-ctx.Done()
	all.Wait()
	if err := context.Cause(ctx); outer.Err() == nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("serve DNS: %w", err)
	}
	return nil
}

func (d *Data) packets(ctx context.Context, conn net.PacketConn) error {
	var all sync.WaitGroup
	defer all.Wait()
	pending := make(chan struct{}, maxPending)
	buf := make([]byte, maxMessage)
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			return err
		}
		x := d.deed("udp", buf[:n])
		if x.delay == 0 {
			x.send(conn, from)
			continue
		}
		select {
		case pending <- struct{}{}:
			all.Go(func() {
				defer func() { <-pending }()
				if wait(ctx, x.delay) == nil {
					x.send(conn, from)
				}
			})
		default: // too many wait: as a server that is overrun
		}
	}
}

func (x *deed) send(conn net.PacketConn, to net.Addr) {
	for i, reply := range x.replies {
		if x.half && i == len(x.replies)-1 {
			reply = reply[:len(reply)/2]
		}
		_, _ = conn.WriteTo(reply, to) // who is gone asks no more
	}
}

func (d *Data) streams(ctx context.Context, l net.Listener) error {
	var all sync.WaitGroup
	defer all.Wait()
	clients := make(chan struct{}, maxClients)
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		select {
		case clients <- struct{}{}:
			all.Go(func() {
				defer func() { <-clients }()
				d.stream(ctx, conn)
			})
		default:
			_ = conn.Close()
		}
	}
}

func (d *Data) stream(ctx context.Context, conn net.Conn) {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	defer conn.Close()
	buf := make([]byte, maxMessage)
	for {
		_ = conn.SetDeadline(time.Now().Add(idle))
		if _, err := io.ReadFull(conn, buf[:2]); err != nil {
			return
		}
		query := buf[:binary.BigEndian.Uint16(buf)]
		if _, err := io.ReadFull(conn, query); err != nil {
			return
		}
		x := d.deed("tcp", query)
		if wait(ctx, x.delay) != nil {
			return
		}
		_ = conn.SetDeadline(time.Now().Add(idle))
		if !x.write(ctx, conn) {
			return
		}
	}
}

// write sends what is to be sent over TCP, and says whether it goes on.
func (x *deed) write(ctx context.Context, conn net.Conn) bool {
	if x.endless {
		next := []byte{0xff, 0xff}
		for {
			_ = conn.SetDeadline(time.Now().Add(idle))
			if _, err := conn.Write(next); err != nil || wait(ctx, time.Second) != nil {
				return false
			}
			next = []byte{0}
		}
	}
	for _, reply := range x.replies {
		framed := append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...)
		if x.half {
			framed = framed[:len(framed)/2]
		}
		if _, err := conn.Write(framed); err != nil {
			return false
		}
	}
	return !x.half && !x.close
}
