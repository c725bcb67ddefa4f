package main

import (
	_ "embed"
	"fmt"
	"net/netip"
	"strings"

	"github.com/postroad/postroad/examples/mta"
	"github.com/postroad/postroad/world"
)

// us is what the receivers know of us.
const us = mta.Address

// deaf is the port of mx.faraway.example, at which connecting times out.
const deaf = "203.0.113.60:25"

//go:embed hosts.toml
var hostsScenario string

// person is who sends, and from where.
type person struct{ name, address, domain, host string }

var (
	bakery  = person{"Corner Bakery", "orders@bakery.example", "bakery.example", "mail.bakery.example"}
	hosting = person{"Atelier Lumi\u00e8re", "info@atelier.example", "atelier.example", "srv7.hosting.example"}
)

// hosts gives the receivers that a round meets, with the DNS of who sends.
func hosts(r *round) (*world.Scenario, error) { return scenario(hostsScenario, r.from) }

// scenario reads one, and adds to its DNS who sends and the machines that hand mail
// to the server.
func scenario(text string, from person, more ...client) (*world.Scenario, error) {
	s, err := world.ReadScenario(strings.NewReader(text))
	if err != nil {
		return nil, err
	}
	s.DNS += "\n$ORIGIN .\n" + from.domain + ". MX 10 " + from.host + ".\n"
	for _, c := range append(more, client{from.host, us}) {
		s.DNS += c.records()
	}
	return s, nil
}

// records are its name's address and its address's name.
func (c client) records() string {
	a := netip.MustParseAddr(c.ip).As4()
	return fmt.Sprintf("%s. A %s\n%d.%d.%d.%d.in-addr.arpa. PTR %s.\n", c.name, c.ip, a[3], a[2], a[1], a[0], c.name)
}
