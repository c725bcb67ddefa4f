package world

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// tomlError says what is wrong with the TOML of a scenario: the line, what
// stands there, and what to do.
func tomlError(err error) error {
	var strict *toml.StrictMissingError
	if errors.As(err, &strict) && len(strict.Errors) > 0 {
		line, _ := strict.Errors[0].Position()
		key := strict.Errors[0].Key()
		return fmt.Errorf("line %d: unknown key %q; %s", line, strings.Join(key, "."), misplaced(key))
	}
	var at *toml.DecodeError
	if errors.As(err, &at) {
		line, _ := at.Position()
		return fmt.Errorf("line %d: %s; correct it there", line, plainly(at))
	}
	return fmt.Errorf("%w; correct the file", err)
}

var (
	wrongType   = regexp.MustCompile(`cannot decode TOML (\w+) into struct field .* of type (\S+)`)
	wrongPrefix = regexp.MustCompile(`netip\.ParsePrefix\("(.*)"\)`)
	wrongAddr   = regexp.MustCompile(`ParseAddr\("(.*)"\)`)
)

// plainly puts what the decoder says of Go into the words of a scenario.
func plainly(err *toml.DecodeError) string {
	text, key := strings.TrimPrefix(err.Error(), "toml: "), strings.Join(err.Key(), ".")
	switch {
	case wrongType.MatchString(text):
		m := wrongType.FindStringSubmatch(text)
		want := map[string]string{"string": `a text in quotes ("...")`, "bool": "true or false", "int": "a whole number",
			"int64": "a whole number", "uint16": "a whole number", "uint64": "a whole number", "float64": "a number"}[m[2]]
		switch {
		case strings.HasPrefix(m[2], "[]"):
			want = `a list (["...", "..."])`
		case want == "":
			want = `a table or a text in quotes ("...")`
		}
		return fmt.Sprintf("%s is given as %s; it has to be %s", key, m[1], want)
	case wrongPrefix.MatchString(text):
		given := wrongPrefix.FindStringSubmatch(text)[1]
		return fmt.Sprintf("%q is no network: write it as 198.51.100.0/24, one address as 198.51.100.7/32", given)
	case wrongAddr.MatchString(text):
		return fmt.Sprintf("%q is no IP address", wrongAddr.FindStringSubmatch(text)[1])
	}
	if key != "" && !strings.Contains(text, key) {
		return key + ": " + text
	}
	return text
}

// misplaced says where a key belongs that stands in the wrong table: in TOML a
// key belongs to the table that was begun last, which is easily forgotten.
func misplaced(key []string) string {
	name := key[len(key)-1]
	if name == "address" && slices.Contains(key, "host") {
		return `it is "addresses", a list, here`
	}
	var in []string
	for _, t := range []struct {
		where string
		keys  any
	}{
		{"above the first [table] of the file", Scenario{}}, {"under [[provider]], above its [[provider.host]]", Provider{}},
		{"under [[provider.host]]", Host{}}, {"under [[provider.temper]]", Temper{}}, {"under [[provider.mailbox]]", Mailbox{}},
	} {
		for f := range reflect.TypeOf(t.keys).Fields() {
			if f.Tag.Get("toml") == name {
				in = append(in, t.where)
			}
		}
	}
	if slices.Contains([]string{"start", "speed"}, name) {
		in = append(in, "under [clock]")
	}
	if len(in) == 0 || len(in) > 3 {
		return "correct its spelling or remove it"
	}
	return fmt.Sprintf("%q belongs %s; move it there, or correct it", name, strings.Join(in, ", or "))
}
