package world

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// Mode says where a world listens.
type Mode uint8

// The modes.
const (
	// Ports listens on ports of 127.0.0.0/8 that need no root: an address of the
	// scenario and its port 25 stand for one of them, see [World.Dial] and
	// [World.WriteMap].
	Ports Mode = iota
	// Native listens on port 25 of the addresses of the scenario: for root in a
	// network namespace that has no interface but its loopback.
	Native
	// Memory listens nowhere: [World.Dial] makes the connections.
	Memory
)

// ErrNotLoopback says that a world was asked to listen where others could
// reach it.
var ErrNotLoopback = errors.New("a simulated outside listens on loopback only")

// mayListen is the check that keeps a world from being an open door: loopback
// addresses always, others only where there is no interface but loopback.
func mayListen(a netip.Addr, interfaces []net.Interface) error {
	a = a.Unmap()
	if a.IsLoopback() {
		return nil
	}
	if a.IsUnspecified() || !a.IsValid() {
		return fmt.Errorf("%w: %s is every address; name one in 127.0.0.0/8", ErrNotLoopback, a)
	}
	if len(interfaces) == 0 {
		return fmt.Errorf("%w: %s, and no interface is known here", ErrNotLoopback, a)
	}
	for _, i := range interfaces {
		if i.Flags&net.FlagLoopback == 0 {
			return fmt.Errorf("%w: %s, and this network has %s; use an address in 127.0.0.0/8, or a network namespace "+
				"with nothing but lo", ErrNotLoopback, a, i.Name)
		}
	}
	return nil
}

// place is one address of one host.
type place struct {
	provider *Provider
	host     *Host
	address  netip.Addr     // in the scenario and in DNS
	listen   netip.AddrPort // really
}

// Place is where something of a world is found.
type Place struct {
	Kind       string         `json:"kind"` // "smtp", "dns", "https"
	Provider   string         `json:"provider,omitempty"`
	Domains    []string       `json:"domains,omitempty"`
	Host       string         `json:"host,omitempty"`
	Preference uint16         `json:"preference,omitempty"`
	Address    netip.AddrPort `json:"address"`           // in the scenario and its DNS
	Listen     netip.AddrPort `json:"listen"`            // where to connect; the zero value in memory
	Tempers    []string       `json:"tempers,omitempty"` // names of those that have their time now
}

// maxPlaces is what fits into 127.76.0.0/16, with room to spare.
const maxPlaces = 60_000

// ports assigns the addresses on which places really listen in mode Ports:
// their own if it is loopback, one of 127.76.0.0/16 else.
func (o *Options) ports(places []*place) error {
	if len(places) > maxPlaces {
		return fmt.Errorf("%d addresses; at most %d", len(places), maxPlaces)
	}
	var interfaces []net.Interface
	if o.Mode == Native {
		var err error
		if interfaces, err = o.interfaces(); err != nil {
			return fmt.Errorf("look at the network: %w", err)
		}
	}
	for i, p := range places {
		port, at := o.Port, p.address
		switch {
		case o.Mode == Native:
			port = smtpPort
		case !at.IsLoopback():
			at = netip.AddrFrom4([4]byte{127, 76, byte((i + 1) >> 8), byte(i + 1)})
		}
		if err := mayListen(at, interfaces); err != nil {
			return err
		}
		p.listen = netip.AddrPortFrom(at, port)
	}
	return nil
}

func (o *Options) interfaces() ([]net.Interface, error) {
	if o.Interfaces != nil {
		return o.Interfaces()
	}
	return net.Interfaces()
}
