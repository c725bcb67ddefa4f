package world

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/postroad/postroad/dns"
	"github.com/postroad/postroad/dns/zone"
)

const (
	smtpPort  = 25
	httpsPort = 443
	dnsPort   = 53

	maxSessions = 5000      // of a world at once
	keptByRule  = 1_000_000 // accepted messages that the truth keeps
)

// Options say where a world is and who hears of it. The zero value is a world
// on free ports of 127.0.0.0/8.
type Options struct {
	Mode Mode
	Port uint16 // of all hosts in mode Ports, each on an address of its own; 0 is any free one each

	DNS   netip.AddrPort // the name server; 127.0.0.1 and a free port, 53 in mode Native
	HTTPS uint16         // of the MTA-STS policies on 127.77.0.1 in mode Ports; 0 is any free one

	// StandIns has DNS tell where the hosts really are in mode Ports, for programs
	// that know nothing of the port map but can be told a port: the stand-in in the
	// place of an address that is not loopback.
	StandIns bool

	// Listen, ListenPacket and Interfaces are those of package net; for a world
	// in another network namespace they are given by who lives in it.
	Listen       func(network, address string) (net.Listener, error)
	ListenPacket func(network, address string) (net.PacketConn, error)
	Interfaces   func() ([]net.Interface, error)

	// Now is a clock that somebody else moves, in the place of the scenario's: it
	// runs as real time does and may jump ahead. Its time at Start is the begin that
	// offsets count from.
	Now func() time.Time
	// Pass, if given, moves that clock on by a span that a temper lets pass, which
	// then takes no real time. It is called from any session.
	Pass func(time.Duration)

	Truth io.Writer   // each event as a line of JSON, when it happens
	Watch func(Event) // each event, when it happens; it must be quick and call nothing of the world
	Keep  int         // accepted messages in Truth; a million
}

// World is a simulated outside that runs until [World.Close], or until the
// context of [Start] ends; Close is called in any case.
type World struct {
	scenario  *Scenario
	options   Options
	clock     *Clock
	authority *authority
	zones     *zone.Data
	anchors   []string
	ledger    *ledger

	places []*place
	byName map[string]netip.AddrPort         // hosts and policy hosts
	byAddr map[netip.AddrPort]netip.AddrPort // what a scenario says to where it is
	dns    netip.AddrPort
	https  *http.Server

	ctx    context.Context // of all that runs; ended by Close
	cancel context.CancelCauseFunc
	all    sync.WaitGroup

	mu       sync.Mutex
	state    *state
	sessions uint64
	open     map[*Provider]int
	total    int
	changed  int                       // how many of the scenario's changes are made
	last     string                    // the policies in the zones
	sources  map[netip.Addr]netip.Addr // real loopback addresses that stand for others
	alias    map[netip.Addr]netip.Addr // the other way round
	links    map[net.Conn]struct{}     // connections in memory, and those that hang
	pipes    *pipes                    // of the policies, in memory
	dialled  int
	failed   error
}

// Start makes a world of a scenario and runs it. The error wraps
// [ErrNotLoopback] where it would have to listen elsewhere.
func Start(ctx context.Context, s *Scenario, o Options) (*World, error) {
	w, err := newWorld(s, o)
	if err != nil {
		return nil, fmt.Errorf("start the world: %w", err)
	}
	w.ctx, w.cancel = context.WithCancelCause(ctx)
	context.AfterFunc(w.ctx, w.end)
	if err := w.run(); err != nil {
		return nil, errors.Join(fmt.Errorf("start the world: %w", err), w.Close())
	}
	return w, nil
}

func newWorld(s *Scenario, o Options) (*World, error) {
	if err := s.check(nil); err != nil {
		return nil, err
	}
	if o.Keep <= 0 {
		o.Keep = keptByRule
	}
	if o.Listen == nil {
		o.Listen = net.Listen
	}
	if o.ListenPacket == nil {
		o.ListenPacket = net.ListenPacket
	}
	w := &World{scenario: s, options: o, state: newState(), open: make(map[*Provider]int),
		byName: make(map[string]netip.AddrPort), byAddr: make(map[netip.AddrPort]netip.AddrPort),
		sources: make(map[netip.Addr]netip.Addr), alias: make(map[netip.Addr]netip.Addr), links: make(map[net.Conn]struct{})}
	start := s.start()
	w.clock = NewClock(start, s.speed())
	if o.Now != nil {
		w.clock = followClock(o.Now, o.Pass)
		start = w.clock.Start()
	}
	var err error
	if w.authority, err = newAuthority(s.Seed, time.Now()); err != nil {
		return nil, err
	}
	w.ledger = newLedger(o.Keep, o.Truth, o.Watch)
	for i := range s.Providers {
		p := &s.Providers[i]
		for j := range p.Hosts {
			for _, a := range p.Hosts[j].Addresses {
				if w.placed(a) { // of another host of the provider, which answers there
					continue
				}
				w.places = append(w.places, &place{provider: p, host: &p.Hosts[j], address: a})
			}
			w.byName[p.Hosts[j].Name] = netip.AddrPortFrom(p.Hosts[j].Addresses[0], smtpPort)
		}
		for _, d := range p.Domains {
			w.byName["mta-sts."+d] = netip.AddrPortFrom(policyAddress, httpsPort)
		}
	}
	if o.Mode != Memory {
		if err := o.ports(w.places); err != nil {
			return nil, err
		}
	}
	w.zones, w.anchors, err = furnish(s, w.authority, start, w.told)
	return w, err
}

// told gives the address of a host as DNS tells it.
func (w *World) told(a netip.Addr) netip.Addr {
	if w.options.StandIns && w.options.Mode == Ports {
		for _, p := range w.places {
			if p.address == a {
				return p.listen.Addr()
			}
		}
	}
	return a
}

func (w *World) placed(a netip.Addr) bool {
	return slices.ContainsFunc(w.places, func(p *place) bool { return p.address == a })
}

// run starts everything.
func (w *World) run() error {
	if w.options.Mode == Memory {
		w.dns = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), dnsPort)
	} else {
		if err := w.listenSMTP(); err != nil {
			return err
		}
		if err := w.listenDNS(); err != nil {
			return err
		}
	}
	if err := w.listenHTTPS(); err != nil {
		return err
	}
	w.all.Go(w.tide)
	return nil
}

func (w *World) listenDNS() error {
	at := w.options.DNS
	if !at.IsValid() {
		port := uint16(0)
		if w.options.Mode == Native {
			port = dnsPort
		}
		at = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)
	}
	var interfaces []net.Interface
	if w.options.Mode == Native {
		var err error
		if interfaces, err = w.options.interfaces(); err != nil {
			return fmt.Errorf("look at the network: %w", err)
		}
	}
	if err := mayListen(at.Addr(), interfaces); err != nil {
		return err
	}
	udp, tcp, err := w.socketsDNS(at)
	for i := 0; err != nil && at.Port() == 0 && i < 20; i++ { // a port that is free for UDP may not be for TCP
		udp, tcp, err = w.socketsDNS(at)
	}
	if err != nil {
		return fmt.Errorf("serve DNS: %w; is another name server running? Choose another port", err)
	}
	w.dns = addrPort(udp.LocalAddr())
	w.all.Go(func() { w.fail(w.zones.Serve(w.ctx, udp, tcp)) })
	return nil
}

// socketsDNS opens one port for UDP and TCP.
func (w *World) socketsDNS(at netip.AddrPort) (net.PacketConn, net.Listener, error) {
	udp, err := w.options.ListenPacket("udp", at.String())
	if err != nil {
		return nil, nil, err
	}
	tcp, err := w.options.Listen("tcp", addrPort(udp.LocalAddr()).String())
	if err != nil {
		return nil, nil, errors.Join(err, udp.Close())
	}
	return udp, tcp, nil
}

// fail keeps the first thing that went wrong while the world ran.
func (w *World) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil && w.failed == nil && w.ctx.Err() == nil {
		w.failed = err
	}
}

// Close ends every connection and all that runs, and gives what went wrong
// meanwhile.
func (w *World) Close() error {
	w.mu.Lock()
	w.cancel(errors.New("the world is closed")) // under the lock: no session in memory begins after it
	w.mu.Unlock()
	w.end()
	w.all.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ledger.mu.Lock()
	defer w.ledger.mu.Unlock()
	if w.ledger.outErr != nil {
		return errors.Join(w.failed, fmt.Errorf("write the truth: %w", w.ledger.outErr))
	}
	return w.failed
}

// end closes what does not listen to the context.
func (w *World) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.https != nil {
		_ = w.https.Close()
	}
	for c := range w.links {
		_ = c.Close()
	}
}

// tide changes what the time changes.
func (w *World) tide() {
	for {
		w.refresh()
		next := w.next(w.clock.Now())
		if next.IsZero() {
			return
		}
		if w.clock.Until(w.ctx, next) != nil {
			return
		}
	}
}

// refresh brings the zones to the time that it is.
func (w *World) refresh() {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.clock.Now()
	text, err := policies(w.scenario, w.authority, w.clock.Start(), now)
	if err == nil && text != w.last {
		err = w.zones.Set(text)
		w.last = text
	}
	for err == nil && w.changed < len(w.scenario.Changes) && !now.Before(w.scenario.Changes[w.changed].From.in(w.clock.Start())) {
		c := w.scenario.Changes[w.changed]
		w.changed++
		var b strings.Builder
		for _, r := range c.Remove {
			b.WriteString("$REMOVE " + r + "\n")
		}
		err = w.zones.Set(b.String() + c.DNS)
	}
	if err != nil && w.failed == nil {
		w.failed = fmt.Errorf("change DNS: %w", err)
	}
}

// next gives the next time at which something changes by itself.
func (w *World) next(now time.Time) (next time.Time) {
	consider := func(t time.Time) {
		if t.After(now) && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	for _, c := range w.scenario.Changes {
		consider(c.From.in(w.clock.Start()))
	}
	for i := range w.scenario.Providers {
		for j := range w.scenario.Providers[i].Tempers {
			if t := &w.scenario.Providers[i].Tempers[j]; t.Do == doSTS || t.Do == doDANE {
				consider(t.next(w.clock.Start(), now))
			}
		}
	}
	return next
}

// Advance moves the clock on, for scenarios whose clock stands, and returns when
// DNS is as it then is.
func (w *World) Advance(d time.Duration) {
	w.clock.Advance(d)
	w.refresh()
}

// Clock gives the clock of the world.
func (w *World) Clock() *Clock { return w.clock }

// Now gives the time of the world.
func (w *World) Now() time.Time { return w.clock.Now() }

// Zones gives the name server's data, which may be changed.
func (w *World) Zones() *zone.Data { return w.zones }

// DNS gives where the name server is; in memory a mere name for it.
func (w *World) DNS() netip.AddrPort { return w.dns }

// Anchors gives the DS records of the signed zones, for a validating resolver.
func (w *World) Anchors() []string { return w.anchors }

// Resolver gives the options of a resolver that asks the world's name server,
// and trusts it: it answers for signed zones as a validating resolver does.
func (w *World) Resolver() dns.Options {
	o := dns.Options{Servers: []dns.Server{{Address: w.dns, Trusted: true}}}
	if w.options.Mode == Memory {
		o.Exchange = dns.ExchangeFunc(func(ctx context.Context, _ dns.Server, network string, query []byte) ([]byte, error) {
			return w.zones.Respond(ctx, network, query)
		})
	}
	return o
}

// Roots gives the root certificate that vouches for the world's hosts.
func (w *World) Roots() *x509.CertPool { return w.authority.pool() }

// RootPEM gives it as PEM, for other programs.
func (w *World) RootPEM() []byte { return w.authority.pem() }

// Truth gives what really happened so far.
func (w *World) Truth() Truth { return w.ledger.snapshot() }

// Places lists where everything is.
func (w *World) Places() []Place {
	now := w.clock.Now()
	all := []Place{{Kind: "dns", Address: netip.AddrPortFrom(w.dns.Addr(), dnsPort), Listen: w.dns}}
	policy := netip.AddrPortFrom(policyAddress, httpsPort)
	if w.https != nil {
		all = append(all, Place{Kind: "https", Address: policy, Listen: w.byAddr[policy]})
	}
	for _, p := range w.places {
		x := Place{Kind: "smtp", Provider: p.provider.ID, Domains: p.provider.Domains, Host: p.host.Name,
			Preference: p.host.Preference, Address: netip.AddrPortFrom(p.address, smtpPort), Listen: p.listen}
		for i := range p.provider.Tempers {
			t := &p.provider.Tempers[i]
			if t.active(w.clock.Start(), now) && (len(t.Hosts) == 0 || contains(t.Hosts, p.host.Name)) &&
				(len(t.Addresses) == 0 || slices.Contains(t.Addresses, p.address)) {
				name := t.Name
				if t.Share != nil {
					name += " (" + strconv.FormatFloat(*t.Share*100, 'g', 3, 64) + " %)"
				}
				x.Tempers = append(x.Tempers, name)
			}
		}
		all = append(all, x)
	}
	return all
}

// WriteMap writes the port map, for other programs: in each line an address and
// port of the scenario, where it is, and the host's name.
func (w *World) WriteMap(out io.Writer) error {
	for _, p := range w.Places() {
		name := p.Host
		if name == "" {
			name = p.Kind
		}
		if _, err := fmt.Fprintf(out, "%s %s %s\n", p.Address, p.Listen, name); err != nil {
			return fmt.Errorf("write the port map: %w", err)
		}
	}
	return nil
}

func addrPort(a net.Addr) netip.AddrPort {
	switch a := a.(type) {
	case *net.TCPAddr:
		return netip.AddrPortFrom(a.AddrPort().Addr().Unmap(), a.AddrPort().Port())
	case *net.UDPAddr:
		return netip.AddrPortFrom(a.AddrPort().Addr().Unmap(), a.AddrPort().Port())
	}
	return netip.AddrPort{}
}

// decide asks the tempers, and remembers what they want remembered.
func (w *World) decide(p *Provider, f *facts) verdict {
	w.mu.Lock()
	defer w.mu.Unlock()
	v, changes := decide(p.Tempers, w.state, f)
	w.state.apply(changes)
	return v
}

func (w *World) current(p *Provider, f *facts, do string) *Temper {
	w.mu.Lock()
	defer w.mu.Unlock()
	return current(p.Tempers, w.state, f, do)
}

func (w *World) taken(p *Provider, f *facts, size int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.state.apply(taken(p.Tempers, w.state, f, size))
}
