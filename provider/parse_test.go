package provider

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/pelletier/go-toml/v2"
)

// small is a whole catalogue; %s stands in it where a case puts its lines.
const small = `schema = 1
registries = ["uk.com"]
[source.A]
url = "https://a.example/"
read = "2026-10"
[[operator]]
id = "one"
name = "One"
kind = "mailbox"
mx = [".one.example"]
domains = ["one.example"]
sources = ["A"]
`

func manyKeys() string {
	var s strings.Builder
	for i := range 50 {
		fmt.Fprintf(&s, "k%d = 1\n", i)
	}
	return s.String()
}

func TestParseErrors(t *testing.T) {
	operator := func(id, more string) string {
		return "[[operator]]\nid = \"" + id + "\"\nname = \"N\"\nkind = \"mailbox\"\nsources = [\"A\"]\n" + more
	}
	for _, k := range []struct{ name, data, want string }{
		{"no schema", strings.Replace(small, "schema = 1", "", 1), "line 1: schema is missing"},
		{"newer schema", strings.Replace(small, "schema = 1", "schema = 2", 1), "line 1: schema is missing or not 1"},
		{"no TOML", small + "what is this", "line 13: this is no TOML"},
		{"unknown key", small + "colour = \"blue\"\n", `line 13: unknown key "colour": use one of id, name`},
		{"key twice", small + "id = \"two\"\n", `line 13: key "id" stands twice`},
		{"unknown table", small + "[[brand]]\nid = \"x\"\n", "line 13: unknown table"},
		{"wrong kind of table", small + "[operator]\nid = \"x\"\n", "line 13: unknown table"},
		{"dotted key", small + "a.b = 1\n", `line 13: dotted key at "a"`},
		{"a number for a string", small + "note = 1\n", `line 13: the value of "note" is wrong: write a string`},
		{"a string for a list", small + "texts = \"two\"\n", `line 13: the value of "texts" is wrong: write a list of strings`},
		{"numbers in a list", small + "texts = [1]\n", `line 13: the list "texts" has something else than strings`},
		{"a date", small + "note = 2026-10-01\n", `line 13: the value of "note" is a LocalDate`},
		{"id twice", small + operator("one", ""), `line 14: operator id "one" is taken`},
		{"bad id", small + operator("One", ""), `line 13: operator id "One": give it an id`},
		{"no name", small + "[[operator]]\nid = \"two\"\nkind = \"mailbox\"\nsources = [\"A\"]\n", `line 13: operator "two" has no name`},
		{"bad kind", small + "[[operator]]\nid = \"two\"\nname = \"N\"\nkind = \"isp\"\nsources = [\"A\"]\n", `line 13: operator "two" is of kind "isp": use mailbox`},
		{"no sources", small + "[[operator]]\nid = \"two\"\nname = \"N\"\nkind = \"mailbox\"\n", `line 13: operator "two" has no sources`},
		{"source missing", small + operator("two", "mx = [\".two.example\"]\n[[operator.limit]]\nsource = \"B\"\nmessages = 1\n"), `line 20: source "B" is not there: add [source.B]`},
		{"source without date", small + "[source.B]\nurl = \"https://b.example/\"\n", `line 13: source "B" has no date`},
		{"source with nothing", small + "[source.B]\nread = \"2026\"\n", `line 13: source "B" is empty`},
		{"source twice", small + "[source.A]\nread = \"2026\"\nnote = \"x\"\n", `line 13: source "A" stands twice`},
		{"source with a bad url", small + "[source.B]\nread = \"2026\"\nurl = \"ftp://b\"\n", `line 15: url "ftp://b" of source "B"`},
		{"nothing to recognise", small + operator("two", ""), `line 13: operator "two" has neither mx nor hosts nor domains`},
		{"pattern twice", small + operator("two", "mx = [\".one.example\"]\n"), `line 18: pattern "one.example" belongs to "one" already (line 10)`},
		{"pattern as mx and host", small + operator("two", "mx = [\".two.example\"]\nhosts = [\".two.example\"]\n"), `line 19: pattern "two.example" belongs to "two" already (line 18)`},
		{"pattern with from", small + operator("two", "mx = [\".two.example from 2020\"]\n"), `line 18: pattern ".two.example from 2020" has a from`},
		{"domain twice", small + operator("two", "domains = [\"one.example\"]\n"), `line 18: domain "one.example" belongs to "one" already (line 11)`},
		{"domain overlaps", small + operator("two", "domains = [\"one.example until 2020\"]\n"), `line 18: domain "one.example" belongs to "one" already`},
		{"bad date", small + operator("two", "domains = [\"two.example until 2020-13\"]\n"), `line 18: date "2020-13": write YYYY`},
		{"dates turned round", small + operator("two", "domains = [\"two.example from 2020 until 2019\"]\n"), "line 18: \"two.example from 2020 until 2019\": write"},
		{"half a date", small + operator("two", "domains = [\"two.example until\"]\n"), "line 18: \"two.example until\": write"},
		{"from after until", small + operator("two", "domains = [\"two.example until 2020 from 2019\"]\n"), "line 18: \"two.example until 2020 from 2019\": write"},
		{"empty name", small + operator("two", "domains = [\"\"]\n"), `line 18: "" is no name`},
		{"only spaces", small + operator("two", "domains = [\" \"]\n"), `line 18: " ": write "NAME`},
		{"capitals", small + operator("two", "domains = [\"Two.example\"]\n"), `line 18: "Two.example" is no name: write it in lower case`},
		{"one label", small + operator("two", "mx = [\".com\"]\n"), `line 18: ".com" is no name`},
		{"IDN", small + operator("two", "domains = [\"bücher.example\"]\n"), `line 18: "bücher.example" is no name`},
		{"an address", small + operator("two", "mx = [\"192.0.2.1\"]\n"), `line 18: "192.0.2.1" is no name`},
		{"texts of nobody", small + operator("two", "texts = [\"three\"]\nmx = [\".two.example\"]\n"), `line 18: operator "three" is missing`},
		{"texts of itself", small + operator("two", "texts = [\"two\"]\nmx = [\".two.example\"]\n"), `line 18: operator "two" is missing: name another`},
		{"shared with nobody", small + operator("two", "shared = [\"three\"]\nmx = [\".two.example\"]\n"), `line 18: operator "three" is missing`},
		{"brand without operator", "schema = 1\n[[operator.brand]]\nid = \"b\"\n", "line 2: [[operator.brand]] before any operator"},
		{"brand without name", small + "[[operator.brand]]\nid = \"b\"\ndomains = [\"b.example\"]\nsources = [\"A\"]\n", `line 13: brand "b" has no name`},
		{"brand of nothing", small + "[[operator.brand]]\nid = \"b\"\nname = \"B\"\nsources = [\"A\"]\n", `line 13: brand "b" has neither mx nor domains`},
		{"brand without sources", small + "[[operator.brand]]\nid = \"b\"\nname = \"B\"\ndomains = [\"b.example\"]\n", `line 13: operator.brand "b" has no sources`},
		{"brand twice", small + strings.Repeat("[[operator.brand]]\nid = \"b\"\nname = \"B\"\nalso = [\"b.example\"]\nsources = [\"A\"]\n", 2), `line 19: brand "b" stands twice under "one"`},
		{"brand like its operator", small + "[[operator.brand]]\nid = \"one\"\nname = \"B\"\nalso = [\"b.example\"]\nsources = [\"A\"]\n", `line 14: brand "one" stands twice under "one"`},
		{"brand with two names", small + "[[operator.brand]]\nid = \"b\"\nname = \"B\"\nalso = [\"b.example\"]\nsources = [\"A\"]\n" +
			operator("two", "mx = [\".two.example\"]\n[[operator.brand]]\nid = \"b\"\nname = \"Bee\"\nalso = [\"b.example\"]\nsources = [\"A\"]\n"), `line 25: brand "b" is called "B" elsewhere`},
		{"also its own", small + "[[operator.brand]]\nid = \"b\"\nname = \"B\"\nalso = [\"one.example\"]\nsources = [\"A\"]\n", `line 16: domain "one.example" stands under also`},
		{"source without a key", small + "[source.\"\"]\nread = \"2026\"\nnote = \"x\"\n", "line 13: source without a key"},
		{"too many keys", small + manyKeys(), "line 39: more than 32 keys"},
		{"link kind", small + "[[operator.link]]\nkind = \"page\"\nurl = \"https://a.example\"\nchecked = \"2026\"\n", `line 13: link of kind "page"`},
		{"link url", small + "[[operator.link]]\nkind = \"form\"\nurl = \"a.example\"\nchecked = \"2026\"\n", `line 13: link "a.example": begin it with https:`},
		{"link date", small + "[[operator.link]]\nkind = \"form\"\nurl = \"https://a.example\"\n", `line 13: link "https://a.example" has no good date`},
		{"link of no brand", small + "[[operator.link]]\nkind = \"form\"\nurl = \"https://a.example\"\nchecked = \"2026\"\nbrand = \"b\"\n", `line 17: brand "b" is missing: name a brand of "one"`},
		{"doubtful", small + "[[operator.link]]\nkind = \"form\"\nurl = \"https://a.example\"\nchecked = \"2026\"\ndoubtful = \"yes\"\n", `line 17: the value of "doubtful" is wrong: write true or false`},
		{"limit without source", small + "[[operator.limit]]\nmessages = 1\n", `line 13: limit of "one" has no source`},
		{"limit of nothing", small + "[[operator.limit]]\nsource = \"A\"\n", `line 13: limit of "one" limits nothing`},
		{"limit of zero", small + "[[operator.limit]]\nsource = \"A\"\nmessages = 0\n", `line 15: the value of "messages" is wrong: write a whole number from 1`},
		{"limit too large", small + "[[operator.limit]]\nsource = \"A\"\nmessages = 99999999999999999999\n", `line 15: the value of "messages" is wrong`},
		{"registry with a dot", "schema = 1\nregistries = [\".uk.com\"]\n", `line 2: registry ".uk.com" begins with a dot`},
		{"too large", "#" + strings.Repeat("x", maxFile), "at most 1048576 are read"},
	} {
		t.Run(k.name, func(t *testing.T) {
			c, err := Parse([]byte(k.data))
			if err == nil || c != nil {
				t.Fatalf("no error")
			}
			if !strings.HasPrefix(err.Error(), "read providers: ") || !strings.Contains(err.Error(), k.want) {
				t.Errorf("got  %v\nwant %s", err, k.want)
			}
		})
	}
}

func TestParseSmall(t *testing.T) {
	c, err := Parse([]byte(small))
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Identify("mx.one.example", "one.example", today); got != (Identity{"one", "One", "One", ByHost}) {
		t.Errorf("got %+v", got)
	}
	if s, ok := c.Source("A"); !ok || s != (Source{"A", "https://a.example/", "2026-10", ""}) {
		t.Errorf("got %+v", s)
	}
	if _, err := Parse([]byte("schema = 1\n")); err != nil {
		t.Errorf("a catalogue of nobody: %v", err)
	}
}

// A pattern that changed hands: the date tells the owner; before and after there
// is exactly one.
func TestFormerPatterns(t *testing.T) {
	c, err := Parse([]byte(`schema = 1
[source.A]
note = "made up"
read = "2026"
[[operator]]
id = "new"
name = "New"
kind = "mailbox"
mx = [".mail.example", ".cloud.example", "mx.mail.example"]
sources = ["A"]
[[operator]]
id = "old"
name = "Old"
kind = "mailbox"
mx = [".mail.example until 2024-05", ".eu.cloud.example until 2025", ".gone.example until 2020-02-29"]
sources = ["A"]
`))
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []struct{ host, at, want string }{
		{"a.mail.example", "2024-04-30", "old"},
		{"a.mail.example", "2024-05-01", "new"},
		{"mx.mail.example", "2024-04-30", "new"}, // the whole name is longer than the suffix
		{"a.eu.cloud.example", "2024-12-31", "old"},
		{"a.eu.cloud.example", "2025-01-01", "new"}, // what is valid goes before what is longer
		{"a.us.cloud.example", "2024-12-31", "new"},
		{"a.gone.example", "2020-02-28", "old"},
		{"a.gone.example", "2026-01-01", "old"}, // nobody else claims it
		{"cloud.example", "2026-01-01", "new"},
	} {
		at, err := time.Parse(time.DateOnly, k.at)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Identify(k.host, "", at); got.ID != k.want {
			t.Errorf("%s at %s: got %s, want %s", k.host, k.at, got.ID, k.want)
		}
	}
	p, _ := c.ByID("old")
	if got := p.MX[2]; !got.Until.Equal(time.Date(2020, 2, 29, 0, 0, 0, 0, time.UTC)) || got.Name != ".gone.example" {
		t.Errorf("got %+v", got)
	}
}

// One name, claimed as a whole by one operator and as a suffix by another: the
// whole goes first, in whatever order they stand in the file.
func TestWholeNamesBeforeSuffixes(t *testing.T) {
	whole := "[[operator]]\nid = \"whole\"\nname = \"W\"\nkind = \"mailbox\"\nsources = [\"A\"]\nmx = [\"x.example\"]\ndomains = [\"d.example\"]\n"
	suffix := "[[operator]]\nid = \"suffix\"\nname = \"S\"\nkind = \"mailbox\"\nsources = [\"A\"]\nmx = [\".x.example\"]\ndomains = [\".d.example\"]\n"
	former := "[[operator]]\nid = \"former\"\nname = \"F\"\nkind = \"mailbox\"\nsources = [\"A\"]\nmx = [\".b.a.example until 2020\"]\n" +
		"[[operator]]\nid = \"older\"\nname = \"O\"\nkind = \"mailbox\"\nsources = [\"A\"]\nmx = [\".a.example until 2010\"]\n"
	for _, data := range []string{whole + suffix + former, former + suffix + whole} {
		c, err := Parse([]byte(small + data))
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range []struct{ host, domain, want string }{
			{"x.example", "", "whole"},
			{"mx.x.example", "", "suffix"},
			{"", "d.example", "whole"},
			{"", "sub.d.example", "suffix"},
			{"mx.b.a.example", "", "former"}, // of two former owners the longer pattern
			{"mx.a.example", "", "older"},
		} {
			if got := c.Identify(k.host, k.domain, today); got.ID != k.want {
				t.Errorf("Identify(%q, %q) = %s, want %s", k.host, k.domain, got.ID, k.want)
			}
		}
	}
}

// go-toml, reading the same file by its own way, finds the same operators.
func TestParseAgreesWithGoTOML(t *testing.T) {
	var want struct {
		Schema     int
		Registries []string
		Source     map[string]struct{ URL, Read, Note string }
		Operator   []struct {
			ID, Name, Kind, Note                       string
			Texts, Shared, MX, Hosts, Domains, Sources []string
			Brand                                      []struct {
				ID, Name, Note             string
				MX, Domains, Also, Sources []string
			}
			Link []struct {
				Kind, URL, Checked, Brand, Note string
				Doubtful                        bool
			}
			Limit []struct {
				Connections, Messages, Recipients int
				SizeMB                            int `toml:"size_mb"`
				Source, Note                      string
			}
		}
	}
	d := toml.NewDecoder(strings.NewReader(string(shippedData)))
	if err := d.DisallowUnknownFields().Decode(&want); err != nil {
		t.Fatal(err)
	}
	c := mustShipped(t)
	if len(c.providers) != len(want.Operator) || len(c.sources) != len(want.Source) || len(c.registries) != len(want.Registries) {
		t.Fatalf("%d operators, %d sources, want %d, %d", len(c.providers), len(c.sources), len(want.Operator), len(want.Source))
	}
	for i, w := range want.Operator {
		p := c.providers[i]
		mx, brands := len(w.MX), len(w.Brand)
		for _, b := range w.Brand {
			mx += len(b.MX)
		}
		if len(w.Domains) > 0 {
			brands++
			if got := len(p.Brands[0].Domains); got != len(w.Domains) || p.Brands[0].ID != w.ID {
				t.Errorf("%s has %d domains, want %d", w.ID, got, len(w.Domains))
			}
		}
		if p.ID != w.ID || p.Name != w.Name || string(p.Kind) != w.Kind || p.Note != w.Note ||
			!reflect.DeepEqual(p.Texts, w.Texts) || !reflect.DeepEqual(p.Shared, w.Shared) || !reflect.DeepEqual(p.Sources, w.Sources) ||
			len(p.MX) != mx || len(p.Hosts) != len(w.Hosts) || len(p.Brands) != brands {
			t.Errorf("got  %+v\nwant %+v", p, w)
		}
		for j, b := range w.Brand {
			got := p.Brands[j+brands-len(w.Brand)]
			if got.ID != b.ID || got.Name != b.Name || got.Note != b.Note || len(got.Domains) != len(b.Domains) || len(got.Also) != len(b.Also) {
				t.Errorf("got  %+v\nwant %+v", got, b)
			}
		}
		for j, l := range w.Link {
			if got := p.Links[j]; got != (Link{LinkKind(l.Kind), l.URL, l.Checked, l.Doubtful, l.Brand, l.Note}) {
				t.Errorf("got  %+v\nwant %+v", got, l)
			}
		}
		for j, l := range w.Limit {
			if got := p.Limits[j]; got != (Limit{l.Connections, l.Messages, l.Recipients, l.SizeMB, l.Source, l.Note}) {
				t.Errorf("got  %+v\nwant %+v", got, l)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(small))
	f.Add([]byte(small + "[[operator.brand]]\nid = \"b\"\nname = \"B\"\nmx = [\"m.b.example until 2020\"]\ndomains = [\".b.example from 2019 until 2021\"]\nalso = [\"c.example\"]\nsources = [\"A\"]\n"))
	f.Add([]byte(small + "[[operator.link]]\nkind = \"form\"\nurl = \"https://a.example\"\nchecked = \"2026\"\ndoubtful = true\n[[operator.limit]]\nsource = \"A\"\nmessages = 1\n"))
	f.Add([]byte("schema = 1\nregistries = [ # comment\n \"uk\\u002ecom\", 'de.com', \"\"\"us.com\"\"\" ]\n"))
	f.Add([]byte("schema = 1\n[source.\"a b\"]\nread = \"2026\"\nnote = \"\"\"\nx\"\"\"\n"))
	f.Add([]byte("[[[["))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse(data)
		if (c == nil) != (err != nil) {
			t.Fatalf("catalogue %v, error %v", c, err)
		}
		if err != nil {
			if !strings.HasPrefix(err.Error(), "read providers: ") {
				t.Errorf("error without its place: %v", err)
			}
			return
		}
		for i := range c.providers {
			p := &c.providers[i]
			for _, m := range p.MX {
				id := c.Identify(strings.TrimPrefix(m.Name, "."), "", today)
				if _, ok := c.ByID(id.ID); !ok {
					t.Errorf("pattern %q of %q gives %+v", m.Name, p.ID, id)
				}
			}
			for _, b := range p.Brands {
				for _, d := range b.Domains {
					at := today
					if !d.From.IsZero() {
						at = d.From
					} else if !d.Until.IsZero() {
						at = d.Until.Add(-time.Second)
					}
					if id := c.Identify("", strings.TrimPrefix(d.Name, "."), at); id.ID == "" || strings.HasPrefix(id.ID, "domain:") {
						t.Errorf("domain %q of %q gives %+v", d.Name, p.ID, id)
					}
				}
			}
		}
	})
}
