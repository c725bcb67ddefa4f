package world

import (
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
)

// Bounds of a scenario.
const (
	MaxScenario  = 4 << 20 // bytes
	maxProviders = 250
	maxHosts     = 64 // of a provider, and addresses of a host
	maxTempers   = 500
)

// Scenario is what a world is made of. docs/world.md is the reference of its
// TOML form, whose keys are the fields' names in lower case.
type Scenario struct {
	Name  string `toml:"name"`
	About string `toml:"about"`
	Seed  uint64 `toml:"seed"` // of the keys, of the shares of sessions
	Clock struct {
		Start Moment   `toml:"start"` // a time; without one the real one
		Speed *float64 `toml:"speed"` // 1 without one; 0 stands
	} `toml:"clock"`
	DNS     string   `toml:"dns"`    // further zone text, as dns/zone reads it
	Signed  []string `toml:"signed"` // zones of it that are signed with DNSSEC
	Changes []Change `toml:"change"`
	// Sources are the addresses that clients have in the scenario, by the prefix of
	// the loopback addresses that they connect from: "127.9.0.0/16" = "198.51.100.0/24".
	Sources   map[string]string `toml:"sources"`
	Providers []Provider        `toml:"provider"`

	checked bool
	mapped  []mapping // Sources, longest prefix first
}

// Change is zone text that takes the place of what was there, from a time on.
type Change struct {
	From   Moment   `toml:"from"`
	DNS    string   `toml:"dns"`
	Remove []string `toml:"remove"` // names, or a name and a type: "mx.example TLSA"
}

// Provider is one receiving provider.
type Provider struct {
	ID        string    `toml:"id"`
	Domains   []string  `toml:"domains"` // that it receives for
	Hosts     []Host    `toml:"host"`
	Mailboxes string    `toml:"mailboxes"` // those that are not listed: "exist" (the default) or "unknown"
	Mailbox   []Mailbox `toml:"mailbox"`

	Capacity      int      `toml:"capacity"` // sessions at once, over all hosts; 200
	MaxSize       int64    `toml:"max_size"` // of a message, in bytes; 25 MiB
	MaxRecipients int      `toml:"max_recipients"`
	Without       []string `toml:"without"` // extensions that it does not offer
	Extra         []string `toml:"extra"`   // further lines of the reply to EHLO
	Queued        string   `toml:"queued"`  // what it says to a message that it takes: "250 2.0.0 OK {id}"

	// Users makes it a submission server as well: with TLS it offers AUTH, and who
	// authenticated may send to any domain. By user, the password.
	Users map[string]string `toml:"users"`

	STS     *STS     `toml:"sts"`
	DANE    string   `toml:"dane"`   // "", "right", "wrong" (does not match), "failing" (the look-up), "unusable"
	Secure  bool     `toml:"secure"` // its names are answered as a validating resolver does for a signed zone
	Tempers []Temper `toml:"temper"`
}

// Host is one MX host.
type Host struct {
	Name       string       `toml:"name"`
	Preference uint16       `toml:"preference"` // 10
	Banner     string       `toml:"banner"`     // the name that it says; its own
	Addresses  []netip.Addr `toml:"addresses"`  // made up in 127.77.0.0/16 without any
}

// Mailbox is one mailbox that is not as all others.
type Mailbox struct {
	Address string `toml:"address"`
	State   string `toml:"state"` // "exists", "unknown", "full", "disabled"
	Reply   string `toml:"reply"` // instead of the ordinary one
	From    Moment `toml:"from"`
	Until   Moment `toml:"until"`
}

// STS is the MTA-STS policy of all domains of a provider (RFC 8461).
type STS struct {
	Mode    string   `toml:"mode"`    // "enforce", "testing", "none"
	MX      []string `toml:"mx"`      // the right hosts without any
	MaxAge  Duration `toml:"max_age"` // 1d
	Trouble string   `toml:"trouble"` // one of stsTroubles
}

var (
	stsTroubles  = []string{"", "404", "500", "redirect", "expired", "wrong-name", "untrusted", "too-large", "slow", "cut", "no-record", "two-records", "wrong-type", "garbage"}
	daneKinds    = []string{"", "none", "right", "wrong", "failing", "unusable"}
	mailboxKinds = []string{"exists", "unknown", "full", "disabled"}
)

// ReadScenario reads a scenario from TOML. Unknown keys and values are errors
// that name the line and say what to do.
func ReadScenario(r io.Reader) (*Scenario, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxScenario+1))
	if err != nil {
		return nil, fmt.Errorf("read scenario: %w", err)
	}
	if len(data) > MaxScenario {
		return nil, fmt.Errorf("read scenario: more than %d bytes; make it shorter", MaxScenario)
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff")) // as some editors begin a file
	s := new(Scenario)
	if err := toml.NewDecoder(bytes.NewReader(data)).DisallowUnknownFields().Decode(s); err != nil {
		return nil, fmt.Errorf("read scenario: %w", tomlError(err))
	}
	if err := s.check(headings(data)); err != nil {
		return nil, fmt.Errorf("read scenario: %w", err)
	}
	return s, nil
}

// lines are where the tables of each name begin, in their order.
type lines map[string][]int

func headings(data []byte) lines {
	all, number := make(lines), 0
	for line := range bytes.Lines(data) {
		number++
		line = bytes.TrimSpace(line)
		if name, ok := bytes.CutPrefix(line, []byte("[[")); ok {
			if name, _, ok := bytes.Cut(name, []byte("]]")); ok {
				key := string(bytes.ReplaceAll(name, []byte(" "), nil))
				key = strings.TrimPrefix(key, "provider.")
				all[key] = append(all[key], number)
			}
		}
	}
	return all
}

// fault is an error with the line of the table that it is in. n counts the
// tables of that name over the whole file.
func (l lines) fault(table string, n int, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	if n < len(l[table]) {
		return fmt.Errorf("line %d: %s: %w", l[table][n], table, err)
	}
	return fmt.Errorf("%s: %w", table, err)
}

// start gives the begin of the scenario's clock.
func (s *Scenario) start() time.Time {
	if s.Clock.Start.at.IsZero() {
		return time.Now()
	}
	return s.Clock.Start.at
}

func (s *Scenario) speed() float64 {
	if s.Clock.Speed == nil {
		return 1
	}
	return *s.Clock.Speed
}
