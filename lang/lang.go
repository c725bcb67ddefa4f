// Package lang holds every sentence that a user reads, in six languages.
//
// The texts live in catalogue/<topic>.<language>.toml, flat keys with
// {{.Name}} placeholders and plural forms (the go-i18n file format, so that
// its tools can merge and extract). Code refers to a sentence by its key; a test
// fails when a key that code or another language uses is missing. What goes out
// is a [Catalogue] for one language, safe for concurrent use. Everything that
// speaks to a person uses it: commands, pages, tickets, notices.
package lang

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"sync"

	"github.com/nicksnyder/go-i18n/v2/i18n"
	"github.com/pelletier/go-toml/v2"
	"golang.org/x/text/feature/plural"
	"golang.org/x/text/language"
	textmessage "golang.org/x/text/message"
)

//go:embed catalogue/*.toml
var files embed.FS

// tags are the languages, English first: it is what any other language falls
// back to.
var tags = [...]language.Tag{
	language.English, language.French, language.Italian,
	language.Portuguese, language.Spanish, language.German,
}

// Languages lists the tags of the languages that have a catalogue.
func Languages() []string {
	out := make([]string, len(tags))
	for i, t := range tags {
		out[i] = t.String()
	}
	return out
}

// Match gives the catalogue language nearest to the wishes, best first (BCP 47
// tags, POSIX locales such as "fr_CH.UTF-8", or an Accept-Language value), and
// whether it is any of them; otherwise English.
func Match(wishes ...string) (tag string, ok bool) {
	var want []language.Tag
	for _, w := range wishes {
		if !strings.ContainsAny(w, ",;") { // a locale, not an Accept-Language value
			w, _, _ = strings.Cut(w, ".")
			w, _, _ = strings.Cut(w, "@")
		}
		list, _, err := language.ParseAcceptLanguage(strings.ReplaceAll(w, "_", "-"))
		if err == nil {
			want = append(want, list...)
		}
	}
	for _, w := range want {
		base, _ := w.Base()
		for _, t := range tags {
			if b, _ := t.Base(); b == base {
				return t.String(), true
			}
		}
	}
	return "en", false
}

// FromEnvironment gives the language that the environment asks for, by the
// POSIX order LC_ALL, LC_MESSAGES, LANG; getenv is os.Getenv but for tests.
func FromEnvironment(getenv func(string) string) string {
	for _, name := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		if v := getenv(name); v != "" {
			tag, _ := Match(v)
			return tag
		}
	}
	return "en"
}

// Catalogue is the texts of one language.
type Catalogue struct {
	tag      language.Tag
	texts    map[string]text
	fallback func() *Catalogue // English; nil in English itself
	printer  *textmessage.Printer
}

// text is one message: its plural forms, cut at the placeholders.
type text struct {
	other []piece
	one   []piece
	many  []piece
}

// piece is literal text, or the name of a placeholder.
type piece struct{ literal, name string }

// opened keeps the catalogues that were asked for, in the order of tags;
// parsing one takes a few milliseconds, so the others are left alone.
var opened [len(tags)]struct {
	once      sync.Once
	catalogue *Catalogue
}

// Open gives the catalogue of the language nearest to tag; English for a
// language that has none.
func Open(tag string) *Catalogue {
	name, _ := Match(tag)
	for i, t := range tags {
		if t.String() == name {
			o := &opened[i]
			o.once.Do(func() { o.catalogue = load(t) })
			return o.catalogue
		}
	}
	panic("lang: " + name + " is matched but not listed")
}

// load reads the embedded files of one language. They are checked by the tests,
// so that an error here is a broken build.
func load(tag language.Tag) *Catalogue {
	c := &Catalogue{tag: tag, texts: map[string]text{}, printer: textmessage.NewPrinter(tag)}
	if tag != language.English {
		c.fallback = func() *Catalogue { return Open("en") }
	}
	names, err := fs.Glob(files, "catalogue/*."+tag.String()+".toml")
	if err != nil {
		panic(err)
	}
	for _, name := range names {
		data, err := files.ReadFile(name)
		if err != nil {
			panic(err)
		}
		if err := c.add(name, data); err != nil {
			panic(err)
		}
	}
	return c
}

func (c *Catalogue) add(name string, data []byte) error {
	unmarshal := map[string]i18n.UnmarshalFunc{"toml": toml.Unmarshal}
	f, err := i18n.ParseMessageFileBytes(data, path.Base(name), unmarshal)
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	for _, m := range f.Messages {
		if _, twice := c.texts[m.ID]; twice {
			return fmt.Errorf("read %s: key %q stands in two files, delete one", name, m.ID)
		}
		t := text{}
		for _, form := range []struct {
			s   string
			out *[]piece
		}{{m.Other, &t.other}, {m.One, &t.one}, {m.Many, &t.many}} {
			if *form.out, err = cut(form.s); err != nil {
				return fmt.Errorf("read %s: key %q: %w", name, m.ID, err)
			}
		}
		c.texts[m.ID] = t
	}
	return nil
}

// cut splits a message at its {{.Name}} placeholders.
func cut(s string) ([]piece, error) {
	if s == "" {
		return nil, nil
	}
	var out []piece
	for {
		before, after, found := strings.Cut(s, "{{")
		if before != "" {
			out = append(out, piece{literal: before})
		}
		if !found {
			return out, nil
		}
		name, rest, found := strings.Cut(after, "}}")
		name = strings.TrimSpace(name)
		if !found || !strings.HasPrefix(name, ".") {
			return nil, fmt.Errorf("placeholder {{%s: write {{.Name}}", name)
		}
		out = append(out, piece{name: name[1:]})
		s = rest
	}
}

// Language gives the tag of the catalogue, such as "fr".
func (c *Catalogue) Language() string { return c.tag.String() }

// Has reports whether the key has a text, in this language or in English.
func (c *Catalogue) Has(key string) bool {
	_, ok := c.find(key)
	return ok
}

func (c *Catalogue) find(key string) (text, bool) {
	t, ok := c.texts[key]
	if !ok && c.fallback != nil {
		return c.fallback().find(key)
	}
	return t, ok
}

// Needs reports whether the text of a key has a placeholder of that name.
func (c *Catalogue) Needs(key, placeholder string) bool {
	t, _ := c.find(key)
	for _, p := range t.other {
		if p.name == placeholder {
			return true
		}
	}
	return false
}

// Args are the values of a text's placeholders, by name.
type Args map[string]string

// Text gives the sentence of a key with its placeholders filled in. A missing
// key gives the key itself, so that a gap is seen and nothing is hidden.
func (c *Catalogue) Text(key string, args Args) string {
	t, ok := c.find(key)
	if !ok {
		return key
	}
	return fill(t.other, args)
}

// Count gives the sentence of a key in the plural form for n; the placeholder
// {{.Count}} is n, grouped as the language does.
func (c *Catalogue) Count(key string, n int, args Args) string {
	t, ok := c.find(key)
	if !ok {
		return key
	}
	pieces := t.other
	switch plural.Cardinal.MatchPlural(c.tag, abs(n), 0, 0, 0, 0) {
	case plural.One:
		if t.one != nil {
			pieces = t.one
		}
	case plural.Many:
		if t.many != nil {
			pieces = t.many
		}
	}
	all := Args{"Count": c.Number(n)}
	for k, v := range args {
		all[k] = v
	}
	return fill(pieces, all)
}

func abs(n int) int {
	if n < 0 {
		return -n
	}
	return n
}

func fill(pieces []piece, args Args) string {
	if len(pieces) == 1 && pieces[0].name == "" {
		return pieces[0].literal
	}
	var b strings.Builder
	for _, p := range pieces {
		if p.name == "" {
			b.WriteString(p.literal)
		} else {
			b.WriteString(args[p.name])
		}
	}
	return b.String()
}
