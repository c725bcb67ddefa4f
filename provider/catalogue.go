package provider

import (
	_ "embed"
	"fmt"
	"sync"
)

//go:embed providers.toml
var shippedData []byte

// shipped is parsed at the first use: commands that never name a provider do
// not pay for it.
var shipped = sync.OnceValues(func() (*Catalogue, error) {
	c, err := Parse(shippedData)
	if err != nil {
		return nil, fmt.Errorf("read shipped providers: %w", err)
	}
	return c, nil
})

// Shipped gives the catalogue that comes with the program. It is parsed once
// and shared.
func Shipped() (*Catalogue, error) { return shipped() }

// Catalogue is what is known of the world's receiving providers. It does not
// change; any number of goroutines may use it.
type Catalogue struct {
	providers  []Provider
	byID       map[string]int32
	sources    map[string]Source
	registries map[string]bool // suffixes under which private companies sell domains

	// Patterns and domains by name without the leading dot. One name may have
	// several claims (a suffix and a whole name; one after another in time):
	// they are chained by next, most special first.
	hosts   map[string]int32
	claims  []hostClaim
	domains map[string]int32
	owners  []domainClaim
}

type hostClaim struct {
	provider int32
	next     int32 // index into claims, -1 at the end
	suffix   bool
	until    int64 // seconds since 1970, 0 for open
	brand    string
}

type domainClaim struct {
	provider    int32
	next        int32 // index into owners, -1 at the end
	suffix      bool
	also        bool  // names a brand only, where the host has decided
	from, until int64 // seconds since 1970, 0 for open
	brand       string
}

// All gives every operator, in the order of the file. The slice is shared.
func (c *Catalogue) All() []Provider { return c.providers }

// ByID gives the operator with that id. Identities of the rest of the world
// ("mx:...", "domain:...") have none.
func (c *Catalogue) ByID(id string) (*Provider, bool) {
	i, ok := c.byID[id]
	if !ok {
		return nil, false
	}
	return &c.providers[i], true
}

// Source gives the source with that key.
func (c *Catalogue) Source(key string) (Source, bool) {
	s, ok := c.sources[key]
	return s, ok
}

// Texts gives the operators whose rules may explain a text of this one, without
// itself; none for an unknown id.
func (c *Catalogue) Texts(id string) []string {
	if p, ok := c.ByID(id); ok {
		return p.Texts
	}
	return nil
}
