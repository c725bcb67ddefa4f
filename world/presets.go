package world

import (
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/postroad/postroad/mail"
)

//go:embed presets.toml
var presetFile string

// Preset is a provider's own refusal: what it says, and where.
type Preset struct {
	ID       string     `toml:"id"` // "yahoo-tss04"
	Provider string     `toml:"provider"`
	Stage    mail.Stage `toml:"stage"`
	Reply    string     `toml:"reply"` // with {source}, {sender}, {recipient}, {host}
	Close    bool       `toml:"close"` // the connection is closed after it
	Source   string     `toml:"source"`
}

// Presets gives the refusals that scenarios may name, sorted by ID.
func Presets() ([]Preset, error) {
	var f struct {
		Preset []Preset `toml:"preset"`
	}
	if err := toml.NewDecoder(strings.NewReader(presetFile)).DisallowUnknownFields().Decode(&f); err != nil {
		return nil, fmt.Errorf("read presets: %w", err)
	}
	slices.SortFunc(f.Preset, func(a, b Preset) int { return strings.Compare(a.ID, b.ID) })
	return f.Preset, nil
}

func presetNames(presets map[string]Preset) []string { return slices.Sorted(maps.Keys(presets)) }
