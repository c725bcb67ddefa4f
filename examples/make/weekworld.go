package main

import (
	_ "embed"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/pelletier/go-toml/v2"

	"github.com/postroad/postroad/mail"
	"github.com/postroad/postroad/world"
)

// berlin is where the bakery is. A fixed offset: no change of the clocks is in
// the week.
var berlin = time.FixedZone("CET", 3600)

func local(day, hour, minute int) time.Time {
	return time.Date(2026, 11, day, hour, minute, 0, 0, berlin)
}

// The week. What its receivers do, also what is planted, is in week.toml.
var (
	weekBegin = local(9, 0, 0) // a Monday
	weekEnd   = local(16, 0, 0)
	look      = local(12, 11, 0) // when the queue is looked at
)

//go:embed week.toml
var weekScenario string

// domain is where a share of the customers has mail.
type domain struct {
	name      string
	customers int
	surname   string
}

// domains are where the customers are.
var domains = []domain{
	{"gmail.com", 210, "example"},
	{"googlemail.com", 14, "beispiel"},
	{"yahoo.com", 64, "example"},
	{"ymail.com", 16, "example"},
	{"aol.com", 34, "example"},
	{"sky.com", 26, "example"},
	{"outlook.com", 64, "example"},
	{"hotmail.com", 50, "example"},
	{"fabrikam.example", 24, ""},
	{"orange.fr", 34, "exemple"}, //nolint:misspell // as the French would
	{"gmx.de", 46, "beispiel"},
	{"web.de", 44, "beispiel"},
	{"t-online.de", 40, "beispiel"},
	{"example.com", 8, ""},
	{"example.net", 6, ""},
	{"hotel.example", 6, ""},
	{"flour.example", 5, ""},
	{"school.example", 6, ""},
	{"cafe.example", 6, ""},
	{"mill.example", 4, ""},
}

// planted is what is not ordinary life: the temper of week.toml with this name.
type planted struct {
	name, provider string
	begin, end     time.Time
	at             mail.Stage
	addresses      []netip.Addr
}

// readPlanted finds it; a scenario keeps its times to itself.
func readPlanted() (planted, error) {
	var file struct {
		Providers []struct {
			ID      string `toml:"id"`
			Tempers []struct {
				Name      string       `toml:"name"`
				At        mail.Stage   `toml:"at"`
				From      time.Time    `toml:"from"`
				Until     time.Time    `toml:"until"`
				Addresses []netip.Addr `toml:"addresses"`
			} `toml:"temper"`
		} `toml:"provider"`
	}
	if err := toml.Unmarshal([]byte(weekScenario), &file); err != nil {
		return planted{}, fmt.Errorf("read week.toml: %w", err)
	}
	for _, p := range file.Providers {
		for _, t := range p.Tempers {
			if t.Name == "planted" {
				return planted{t.Name, p.ID, t.From, t.Until, t.At, t.Addresses}, nil
			}
		}
	}
	return planted{}, errors.New("week.toml has no temper with the name \"planted\"")
}

// counter is what the receivers count.
type counter struct {
	mu    sync.Mutex
	cut   map[netip.Addr]int // sessions cut by what is planted, by address
	taken map[netip.Addr]int // messages taken, by address
	first time.Time          // the first and the last session that was cut
	last  time.Time
}

func newCounter() *counter {
	return &counter{cut: make(map[netip.Addr]int), taken: make(map[netip.Addr]int)}
}

// watch is told of each event of the world.
func (c *counter) watch(e world.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch e.Kind {
	case world.Cut:
		c.cut[e.Address]++
		if c.first.IsZero() {
			c.first = e.Time
		}
		c.last = e.Time
	case world.Accepted:
		c.taken[e.Address]++
	}
}
