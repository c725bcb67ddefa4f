package world

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/postroad/postroad/mail"
	"github.com/postroad/postroad/smtp"
)

// listenSMTP opens the ports of all hosts.
func (w *World) listenSMTP() error {
	for _, p := range w.places {
		l, err := w.options.Listen("tcp", p.listen.String())
		if err != nil {
			return fmt.Errorf("listen for %s: %w; is another world running? Choose other addresses or another port", p.host.Name, err)
		}
		p.listen = addrPort(l.Addr())
		w.byAddr[netip.AddrPortFrom(p.address, smtpPort)] = p.listen
		w.byAddr[netip.AddrPortFrom(p.listen.Addr(), smtpPort)] = p.listen
		w.all.Go(func() { w.fail(w.port(p, l)) })
	}
	return nil
}

// gate is how a port is.
type gate uint8

const (
	open  gate = iota
	shut       // nobody listens: connections are refused
	muted      // packets are dropped
)

// port keeps a port open, closes it while the tempers refuse everybody, and has it
// hear nothing while they drop.
func (w *World) port(p *place, l net.Listener) error {
	for {
		now, _ := w.refusing(p, w.clock.Now())
		if now == shut && l != nil {
			_ = l.Close()
			l = nil
		}
		if now != shut && l == nil {
			var err error
			if l, err = w.options.Listen("tcp", p.listen.String()); err != nil {
				return fmt.Errorf("listen again for %s: %w", p.host.Name, err)
			}
		}
		var accepting sync.WaitGroup
		var filler net.Conn
		if now == open {
			accepting.Go(func() { w.accept(p, l) })
		}
		if now == muted {
			var err error
			if filler, err = mute(l); err != nil {
				return errors.Join(err, l.Close())
			}
		}
		ended := w.flips(p, now)
		if filler != nil {
			_ = filler.Close()
		}
		if l != nil {
			_ = l.Close()
			accepting.Wait()
			l = nil
		}
		if ended != nil {
			return nil //nolint:nilerr // the end of the world is no error
		}
	}
}

// flips waits until a port has to be otherwise.
func (w *World) flips(p *place, was gate) error {
	for {
		now, next := w.refusing(p, w.clock.Now())
		if now != was {
			return nil
		}
		if next.IsZero() {
			<-w.ctx.Done()
			return context.Cause(w.ctx)
		}
		if err := w.clock.Until(w.ctx, next); err != nil {
			return err
		}
	}
}

// refusing reports whether the port is closed or mute for everybody now, and when
// that may change.
func (w *World) refusing(p *place, now time.Time) (is gate, next time.Time) {
	f := &facts{start: w.clock.Start(), now: now, host: p.host.Name, address: p.address}
	for i := range p.provider.Tempers {
		t := &p.provider.Tempers[i]
		if !t.refusesAll() && t.Do != doDrop {
			continue
		}
		if is == open && t.fits(f) {
			is = shut
			if t.Do == doDrop {
				is = muted
			}
		}
		if at := t.next(f.start, now); !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	return is, next
}

func (w *World) accept(p *place, l net.Listener) {
	for {
		raw, err := l.Accept()
		if err != nil {
			return
		}
		w.all.Go(func() { w.serve(p, raw, w.source(addrPort(raw.RemoteAddr()))) })
	}
}

// source gives the address that a client has in the simulated world.
func (w *World) source(real netip.AddrPort) netip.AddrPort {
	w.mu.Lock()
	defer w.mu.Unlock()
	if a, ok := w.sources[real.Addr()]; ok {
		return netip.AddrPortFrom(a, real.Port())
	}
	return netip.AddrPortFrom(w.scenario.source(real.Addr()), real.Port())
}

func (w *World) peer(hostport string) netip.Addr {
	ap, err := netip.ParseAddrPort(hostport)
	if err != nil {
		return netip.Addr{}
	}
	return w.source(ap).Addr()
}

// serve leads one session.
func (w *World) serve(p *place, raw net.Conn, from netip.AddrPort) {
	number, full := w.enter(p, raw)
	defer w.leave(p, raw)
	s := &session{world: w, provider: p.provider, place: p, number: number, source: from.Addr(),
		conn: &conn{Conn: raw, clock: w.clock, ctx: w.ctx, remote: from}}
	f := s.facts(mail.StageConnect, nil)
	if full {
		e := s.event(Refused, mail.StageConnect, nil)
		e.Code, e.Reason = 421, "capacity"
		w.ledger.record(e)
		_ = raw.SetDeadline(time.Now().Add(10 * time.Second))
		_, _ = io.WriteString(raw, "421 4.3.2 "+p.host.Banner+" has too many connections\r\n")
		_ = raw.Close()
		return
	}
	v := w.decide(p.provider, f)
	begun := v.temper != nil && v.temper.Do != doRefuse // the client is connected, and waits for the banner
	if begun {
		w.ledger.record(s.event(Began, "", nil))
	}
	if t := v.temper; t != nil && !s.connected(f, t) {
		_ = raw.Close()
		if begun {
			w.ledger.record(s.event(Ended, "", nil))
		}
		return
	}
	w.mu.Lock()
	w.state.opened(p.provider.Tempers, f, 1)
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.state.opened(p.provider.Tempers, f, -1)
	}()
	s.conn.slow(v.rate)
	if !begun {
		w.ledger.record(s.event(Began, "", nil))
	}
	o := &smtp.ServerOptions{Host: p.host.Banner, MaxSize: p.provider.MaxSize, MaxRecipients: p.provider.MaxRecipients,
		Without: p.provider.Without, Handshake: s.handshake, Timeouts: smtp.ServerTimeouts{TLS: time.Hour}}
	if len(p.provider.Users) > 0 {
		o.Auth = []string{"PLAIN", "LOGIN"}
	}
	if w.current(p.provider, f, doNoStartTLS) == nil {
		o.TLS = &tls.Config{MinVersion: tls.VersionTLS12} // that it is offered; handshake takes another
	}
	_ = smtp.Serve(w.ctx, s.conn, o, s) // the session's Close has recorded it
}

// connected is what happens between TCP and the banner; false ends it.
func (s *session) connected(f *facts, t *Temper) bool {
	e := s.event(Cut, f.stage, nil)
	e.Reason = t.Name
	switch t.Do {
	case doRefuse:
		e.Kind = Refused
		s.world.ledger.record(e)
		reset(s.conn.Conn)
		return false
	case doHang:
		e.Kind = Hung
		s.world.ledger.record(e)
		if t.For > 0 {
			return s.world.clock.Sleep(s.world.ctx, time.Duration(t.For)) == nil
		}
		_, _ = s.conn.ignore()
		return false
	}
	s.world.ledger.record(e)
	return false
}

// enter counts a session in, and leave out.
func (w *World) enter(p *place, raw net.Conn) (number uint64, full bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sessions++
	w.open[p.provider]++
	w.total++
	w.links[raw] = struct{}{}
	return w.sessions, w.open[p.provider] > p.provider.Capacity || w.total > maxSessions
}

func (w *World) leave(p *place, raw net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open[p.provider]--
	w.total--
	delete(w.links, raw)
}

// listenHTTPS opens the port of the policies, if there are any.
func (w *World) listenHTTPS() error {
	if !slices.ContainsFunc(w.scenario.Providers, func(p Provider) bool { return p.STS != nil || p.changes(doSTS) }) {
		return nil
	}
	https := w.policyServer()
	w.mu.Lock()
	w.https = https
	w.mu.Unlock()
	var l net.Listener
	if w.options.Mode == Memory {
		w.pipes = newPipes()
		l = w.pipes
	} else {
		port := w.options.HTTPS
		if w.options.Mode == Native {
			port = httpsPort
		}
		var err error
		if l, err = w.options.Listen("tcp", netip.AddrPortFrom(policyAddress, port).String()); err != nil {
			return fmt.Errorf("serve policies: %w; is another world running? Choose another port", err)
		}
		w.byAddr[netip.AddrPortFrom(policyAddress, httpsPort)] = addrPort(l.Addr())
	}
	w.all.Go(func() { _ = https.ServeTLS(l, "", "") }) // ends with Close
	return nil
}

// Dial connects to "address:25" of a simulated host, or to "name:25"; to the
// policies with port 443. Where nobody listens or the port is closed it fails as
// a network would.
func (w *World) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return w.DialFrom(ctx, netip.Addr{}, network, address)
}

// DialFrom connects from an address of the simulated world. In mode Ports an
// address that is not loopback is stood for by one of 127.78.0.0/16.
func (w *World) DialFrom(ctx context.Context, source netip.Addr, network, address string) (net.Conn, error) {
	to, err := w.find(address)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	if w.options.Mode == Memory {
		return w.link(ctx, source, network, to)
	}
	if real, ok := w.byAddr[to]; ok {
		to = real
	}
	var d net.Dialer
	if source.IsValid() {
		d.LocalAddr = &net.TCPAddr{IP: w.standIn(source.Unmap()).AsSlice()}
	}
	return d.DialContext(ctx, network, to.String())
}

// find gives the address of the scenario that is meant.
func (w *World) find(address string) (netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return netip.AddrPort{}, err
	}
	if named, ok := w.byName[mail.NormalDomain(host)]; ok {
		host = named.Addr().String()
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return netip.AddrPort{}, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("port %q: %w", port, err)
	}
	return netip.AddrPortFrom(a.Unmap(), uint16(n)), nil
}

// standIn gives the loopback address that stands for a source.
func (w *World) standIn(source netip.Addr) netip.Addr {
	if source.IsLoopback() || w.options.Mode == Native {
		return source
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if a, ok := w.alias[source]; ok {
		return a
	}
	n := len(w.alias) + 1
	a := netip.AddrFrom4([4]byte{127, 78, byte(n >> 8), byte(n)})
	w.alias[source], w.sources[a] = a, source
	return a
}

// link makes a connection in memory.
func (w *World) link(ctx context.Context, source netip.Addr, network string, to netip.AddrPort) (net.Conn, error) {
	if !source.IsValid() {
		source = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	refused := &net.OpError{Op: "dial", Net: network, Addr: net.TCPAddrFromAddrPort(to), Err: syscall.ECONNREFUSED}
	w.mu.Lock()
	w.dialled++
	from := netip.AddrPortFrom(source, uint16(1024+w.dialled%60000))
	w.mu.Unlock()
	client, server := pipe(from, to)
	if to == netip.AddrPortFrom(policyAddress, httpsPort) && w.pipes != nil {
		if w.pipes.offer(server) {
			return client, nil
		}
		return nil, refused
	}
	for _, p := range w.places {
		if netip.AddrPortFrom(p.address, smtpPort) != to {
			continue
		}
		is, _ := w.refusing(p, w.clock.Now())
		if is == muted {
			select {
			case <-ctx.Done():
				return nil, &net.OpError{Op: "dial", Net: network, Addr: refused.Addr, Err: context.Cause(ctx)}
			case <-w.ctx.Done():
				return nil, refused
			}
		}
		if is == shut || !w.begin(func() { w.serve(p, server, from) }) {
			return nil, refused
		}
		return client, nil
	}
	return nil, refused
}

// begin runs a session in memory, unless the world is closed.
func (w *World) begin(f func()) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ctx.Err() != nil {
		return false
	}
	w.all.Go(f)
	return true
}

// pipes is a listener for connections in memory.
type pipes struct {
	offered chan net.Conn
	closed  chan struct{}
	once    sync.Once
}

func newPipes() *pipes { return &pipes{offered: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) offer(c net.Conn) bool {
	select {
	case p.offered <- c:
		return true
	case <-p.closed:
		return false
	}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.offered:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(policyAddress, httpsPort))
}
