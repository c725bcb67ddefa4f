// Package street puts the simulated outside (package world) into the closed place
// of real mail servers (package mta). A scenario comes in; what comes out is a
// cell in whose network its providers listen on port 25 at the addresses that the
// scenario says, and its name server where the cell's servers ask, so that a
// Postfix or Exim started there meets them as in life, and the truth about what
// arrived.
//
// The command that makes the examples uses it, and the tests that hold our readers
// to what real servers write. Nothing survives [Street.Close].
package street

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/postroad/postroad/examples/mta"
	"github.com/postroad/postroad/world"
)

// Street is a cell and the world in it.
type Street struct {
	*mta.Cell
	World *world.World
}

// Open makes a cell and starts the world in it. Of w, what says where a world
// listens is filled in; the cell's clock, if it has one, becomes the world's too.
// The error wraps [mta.ErrUnavailable] where there can be no cell.
func Open(ctx context.Context, s *world.Scenario, o mta.Options, w world.Options) (*Street, error) {
	o.Zone = ""
	cell, err := mta.Open(ctx, o)
	if err != nil {
		return nil, err
	}
	w.Mode, w.DNS = world.Native, netip.MustParseAddrPort(mta.NameServer)
	w.Listen, w.ListenPacket, w.Interfaces = cell.Listen, cell.ListenPacket, cell.Interfaces
	if o.Clock != nil {
		w.Now = o.Clock.Now
	}
	outside, err := world.Start(ctx, s, w)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open a street: %w", err), cell.Close())
	}
	return &Street{Cell: cell, World: outside}, nil
}

// Close ends the world, then the cell.
func (s *Street) Close() error { return errors.Join(s.World.Close(), s.Cell.Close()) }

// Try opens a street for a test, with a scenario in TOML and a machine of this
// name, and closes it when the test is over. Where real mail servers cannot run it
// skips the test, and says why.
func Try(ctx context.Context, t testing.TB, host, scenario string) *Street {
	t.Helper()
	deps, err := mta.Find()
	if err != nil {
		t.Skip(err)
	}
	outside, err := world.ReadScenario(strings.NewReader(scenario))
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(ctx, outside, mta.Options{Deps: deps, Host: host}, world.Options{})
	if errors.Is(err, mta.ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}
