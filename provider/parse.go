package provider

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Caps of one file: a catalogue of the whole world is far below them, and a
// file beyond them is a mistake.
const (
	maxFile   = 1 << 20   // bytes
	maxKeys   = 32        // of one table
	maxNumber = 1_000_000 // largest limit
)

// builder collects one catalogue. Words keep their place in the file until all
// references are checked.
type builder struct {
	doc      document
	cat      *Catalogue
	schema   int
	at       []int    // offset of each operator
	texts    [][]item // of each operator: references to other operators
	shared   [][]item
	cited    []item      // references to sources
	linked   []reference // of links to brands
	claimed  []int       // offset of each claim, parallel to Catalogue.claims
	owned    []int       // parallel to Catalogue.owners
	brandIDs map[string]string
}

// reference is a word in an operator's tables that names one of its brands.
type reference struct {
	operator int
	brand    item
}

// Parse reads a catalogue. It is strict: an unknown key, an id or a name that
// two operators claim at the same time, a reference to nothing, a missing
// source is an error that names the line and what to do.
func Parse(data []byte) (*Catalogue, error) {
	if len(data) > maxFile {
		return nil, fmt.Errorf("read providers: the file has %d bytes, at most %d are read: split off what is not about providers", len(data), maxFile)
	}
	b := &builder{
		doc: document{data: data, text: string(data)},
		cat: &Catalogue{
			providers:  make([]Provider, 0, 160),
			byID:       make(map[string]int32, 160),
			sources:    make(map[string]Source, 64),
			registries: make(map[string]bool, 32),
			hosts:      make(map[string]int32, 512),
			claims:     make([]hostClaim, 0, 512),
			domains:    make(map[string]int32, 1400),
			owners:     make([]domainClaim, 0, 1400),
		},
		brandIDs: make(map[string]string, 64),
	}
	if err := b.doc.each(b.take); err != nil {
		return nil, err
	}
	if err := b.references(); err != nil {
		return nil, err
	}
	return b.cat, nil
}

func (b *builder) take(t *table) error {
	switch t.name {
	case "":
		return b.top(t)
	case "source":
		return b.source(t)
	case "operator":
		return b.operator(t)
	}
	if len(b.cat.providers) == 0 {
		return b.doc.errorf(t.at, "[[%s]] before any operator: put it under the [[operator]] it belongs to", t.name)
	}
	switch t.name {
	case "operator.brand":
		return b.brandTable(t)
	case "operator.link":
		return b.link(t)
	default:
		return b.limit(t)
	}
}

func (b *builder) top(t *table) error {
	var registries []item
	err := b.doc.into(t, field{"schema", &b.schema}, field{"registries", &registries})
	if err != nil {
		return err
	}
	if b.schema != 1 {
		return b.doc.errorf(0, "schema is missing or not 1: write schema = 1 in the first line, or use the program that the file was written for")
	}
	for _, r := range registries {
		name, suffix, err := b.name(r)
		if err != nil {
			return err
		}
		if suffix {
			return b.doc.errorf(r.at, "registry %q begins with a dot: leave it away", r.text)
		}
		b.cat.registries[name] = true
	}
	return nil
}

func (b *builder) source(t *table) error {
	var s Source
	var url, read item
	err := b.doc.into(t, field{"url", &url}, field{"read", &read}, field{"note", &s.Note})
	if err != nil {
		return err
	}
	s.Key, s.URL, s.Read = t.key.text, url.text, read.text
	if s.Key == "" {
		return b.doc.errorf(t.at, "source without a key: write [source.KEY]")
	}
	if _, twice := b.cat.sources[s.Key]; twice {
		return b.doc.errorf(t.at, "source %q stands twice: merge the two", s.Key)
	}
	if _, err := b.date(read); read.text == "" || err != nil {
		return b.doc.errorf(t.at, "source %q has no date: add read = \"2026-10\", when it was read", s.Key)
	}
	if s.URL == "" && s.Note == "" {
		return b.doc.errorf(t.at, "source %q is empty: add its url, or a note where the knowledge comes from", s.Key)
	}
	if s.URL != "" && !isURL(s.URL) {
		return b.doc.errorf(url.at, "url %q of source %q: begin it with https: or http:", s.URL, s.Key)
	}
	b.cat.sources[s.Key] = s
	return nil
}

func (b *builder) operator(t *table) error {
	var p Provider
	var id, kind item
	var texts, shared, mx, hosts, domains, sources []item
	err := b.doc.into(t,
		field{"id", &id}, field{"name", &p.Name}, field{"kind", &kind}, field{"texts", &texts},
		field{"shared", &shared}, field{"mx", &mx}, field{"hosts", &hosts},
		field{"domains", &domains}, field{"sources", &sources}, field{"note", &p.Note},
	)
	if err != nil {
		return err
	}
	p.ID, p.Kind = id.text, Kind(kind.text)
	switch {
	case !isID(p.ID):
		return b.doc.errorf(t.at, "operator id %q: give it an id of lower-case letters, digits and hyphens", p.ID)
	case p.Name == "":
		return b.doc.errorf(t.at, "operator %q has no name: add name = \"...\" as people call it", p.ID)
	case !slices.Contains([]Kind{Mailbox, Hosting, Gateway, Forwarder}, p.Kind):
		return b.doc.errorf(t.at, "operator %q is of kind %q: use mailbox, hosting, gateway or forwarder", p.ID, p.Kind)
	}
	if _, twice := b.cat.byID[p.ID]; twice {
		return b.doc.errorf(id.at, "operator id %q is taken: choose another, or merge the two", p.ID)
	}
	if p.Sources, err = b.cite(sources, t, p.ID); err != nil {
		return err
	}
	n := int32(len(b.cat.providers))
	b.cat.byID[p.ID] = n
	b.cat.providers = append(b.cat.providers, p)
	b.texts, b.shared = append(b.texts, slices.Clone(texts)), append(b.shared, slices.Clone(shared))
	b.at = append(b.at, t.at)
	last := &b.cat.providers[n]
	if last.MX, err = b.patterns(mx, n, "", ""); err != nil {
		return err
	}
	if last.Hosts, err = b.patterns(hosts, n, "", ""); err != nil {
		return err
	}
	if len(domains) == 0 {
		return nil
	}
	own := Brand{ID: p.ID, Name: p.Name, Sources: p.Sources}
	if own.Domains, err = b.domains(domains, n, p.Name); err != nil {
		return err
	}
	last.Brands = append(last.Brands, own)
	return nil
}

func (b *builder) brandTable(t *table) error {
	var br Brand
	var id item
	var mx, domains, also, sources []item
	err := b.doc.into(t,
		field{"id", &id}, field{"name", &br.Name}, field{"mx", &mx}, field{"domains", &domains},
		field{"also", &also}, field{"sources", &sources}, field{"note", &br.Note},
	)
	if err != nil {
		return err
	}
	n := int32(len(b.cat.providers) - 1)
	p := &b.cat.providers[n]
	br.ID = id.text
	switch {
	case !isID(br.ID):
		return b.doc.errorf(t.at, "brand id %q: give it an id of lower-case letters, digits and hyphens", br.ID)
	case br.Name == "":
		return b.doc.errorf(t.at, "brand %q has no name: add name = \"...\" as people call it", br.ID)
	case len(mx)+len(domains)+len(also) == 0:
		return b.doc.errorf(t.at, "brand %q has neither mx nor domains: nothing can be recognised by it, add one", br.ID)
	}
	if _, twice := p.Brand(br.ID); twice {
		return b.doc.errorf(id.at, "brand %q stands twice under %q: merge the two", br.ID, p.ID)
	}
	if name, other := b.brandIDs[br.ID]; other && name != br.Name {
		return b.doc.errorf(id.at, "brand %q is called %q elsewhere: use one name", br.ID, name)
	}
	b.brandIDs[br.ID] = br.Name
	if br.Sources, err = b.cite(sources, t, br.ID); err != nil {
		return err
	}
	patterns, err := b.patterns(mx, n, br.ID, br.Name)
	if err != nil {
		return err
	}
	p.MX = append(p.MX, patterns...)
	if br.Domains, err = b.domains(domains, n, br.Name); err != nil {
		return err
	}
	for _, a := range also {
		name, suffix, err := b.name(a)
		if err != nil {
			return err
		}
		br.Also = append(br.Also, a.text)
		if b.cat.brandAt([]byte(name), n) != "" {
			return b.doc.errorf(a.at, "domain %q stands under also, but %q has it already: leave it away", a.text, p.ID)
		}
		b.own(name, domainClaim{provider: n, suffix: suffix, also: true, brand: br.Name}, a.at)
	}
	p.Brands = append(p.Brands, br)
	return nil
}

func (b *builder) link(t *table) error {
	var l Link
	var kind, url, checked, brand item
	err := b.doc.into(t,
		field{"kind", &kind}, field{"url", &url}, field{"checked", &checked},
		field{"doubtful", &l.Doubtful}, field{"brand", &brand}, field{"note", &l.Note},
	)
	if err != nil {
		return err
	}
	l.Kind, l.URL, l.Checked, l.Brand = LinkKind(kind.text), url.text, checked.text, brand.text
	if !slices.Contains([]LinkKind{Postmaster, Form, Delist, FBL, LimitsPage}, l.Kind) {
		return b.doc.errorf(t.at, "link of kind %q: use postmaster, form, delist, fbl or limits", l.Kind)
	}
	if !isURL(l.URL) && !strings.HasPrefix(l.URL, "mailto:") {
		return b.doc.errorf(t.at, "link %q: begin it with https:, http: or mailto:", l.URL)
	}
	if _, err := b.date(checked); err != nil || l.Checked == "" {
		return b.doc.errorf(t.at, "link %q has no good date: add checked = \"2026-10\", when it was last seen", l.URL)
	}
	if l.Brand != "" {
		b.linked = append(b.linked, reference{len(b.cat.providers) - 1, brand})
	}
	p := &b.cat.providers[len(b.cat.providers)-1]
	p.Links = append(p.Links, l)
	return nil
}

func (b *builder) limit(t *table) error {
	var l Limit
	var source item
	err := b.doc.into(t,
		field{"connections", &l.Connections}, field{"messages", &l.Messages},
		field{"recipients", &l.Recipients}, field{"size_mb", &l.SizeMB}, field{"source", &source},
		field{"note", &l.Note},
	)
	if err != nil {
		return err
	}
	p := &b.cat.providers[len(b.cat.providers)-1]
	if source.text == "" {
		return b.doc.errorf(t.at, "limit of %q has no source: add source = \"KEY\" of a [source.KEY]", p.ID)
	}
	if l.Connections+l.Messages+l.Recipients+l.SizeMB == 0 {
		return b.doc.errorf(t.at, "limit of %q limits nothing: add connections, messages, recipients or size_mb", p.ID)
	}
	l.Source = source.text
	b.cited = append(b.cited, source)
	p.Limits = append(p.Limits, l)
	return nil
}

// cite checks that a list of sources is there; whether they exist is checked at
// the end, so that sources may stand anywhere in the file.
func (b *builder) cite(list []item, t *table, id string) ([]string, error) {
	if len(list) == 0 {
		return nil, b.doc.errorf(t.at, "%s %q has no sources: add sources = [\"KEY\"] of a [source.KEY]", t.name, id)
	}
	b.cited = append(b.cited, list...)
	keys := make([]string, len(list))
	for i, s := range list {
		keys[i] = s.text
	}
	return keys, nil
}

// patterns reads "NAME" and "NAME until DATE".
func (b *builder) patterns(list []item, n int32, brand, brandName string) ([]Pattern, error) {
	if len(list) == 0 {
		return nil, nil
	}
	out := make([]Pattern, 0, len(list))
	for _, it := range list {
		word, from, until, err := b.period(it)
		if err != nil {
			return nil, err
		}
		if !from.IsZero() {
			return nil, b.doc.errorf(it.at, "pattern %q has a from: only until is meant for host names", it.text)
		}
		name, suffix, err := b.name(item{word, it.at})
		if err != nil {
			return nil, err
		}
		claim := hostClaim{provider: n, suffix: suffix, until: unix(until), brand: brandName}
		if err := b.claim(name, claim, it.at); err != nil {
			return nil, err
		}
		out = append(out, Pattern{Name: word, Until: until, Brand: brand})
	}
	return out, nil
}

// claim enters a pattern for an operator. Whole names go before suffixes, and
// what ended earlier goes before what ended later or goes on, so that the first
// claim that is valid is the right one.
func (b *builder) claim(name string, c hostClaim, at int) error {
	first, ok := b.cat.hosts[name]
	if !ok {
		first = -1
	}
	for i := first; i >= 0; i = b.cat.claims[i].next {
		o := b.cat.claims[i]
		if o.suffix == c.suffix && (o.until == 0) == (c.until == 0) {
			return b.doc.errorf(at, "pattern %q belongs to %q already (line %d): a pattern has one owner at a time, remove one or date it with until",
				name, b.cat.providers[o.provider].ID, b.doc.line(b.claimed[i]))
		}
	}
	n := int32(len(b.cat.claims))
	prev, next := int32(-1), first
	for next >= 0 && before(b.cat.claims[next], c) {
		prev, next = next, b.cat.claims[next].next
	}
	c.next = next
	b.cat.claims = append(b.cat.claims, c)
	b.claimed = append(b.claimed, at)
	if prev < 0 {
		b.cat.hosts[name] = n
	} else {
		b.cat.claims[prev].next = n
	}
	return nil
}

func before(a, c hostClaim) bool {
	if a.suffix != c.suffix {
		return !a.suffix
	}
	return a.until != 0
}

// domains reads "NAME", "NAME from DATE", "NAME until DATE", "NAME from DATE
// until DATE".
func (b *builder) domains(list []item, n int32, brand string) ([]Domain, error) {
	out := make([]Domain, 0, len(list))
	for _, it := range list {
		word, from, until, err := b.period(it)
		if err != nil {
			return nil, err
		}
		name, suffix, err := b.name(item{word, it.at})
		if err != nil {
			return nil, err
		}
		if i, ok := b.cat.domains[name]; ok {
			for ; i >= 0; i = b.cat.owners[i].next {
				o := b.cat.owners[i]
				if !o.also && o.suffix == suffix && overlap(o.from, o.until, unix(from), unix(until)) {
					return nil, b.doc.errorf(it.at, "domain %q belongs to %q already (line %d): remove one, or date both with from and until",
						name, b.cat.providers[o.provider].ID, b.doc.line(b.owned[i]))
				}
			}
		}
		b.own(name, domainClaim{provider: n, suffix: suffix, from: unix(from), until: unix(until), brand: brand}, it.at)
		out = append(out, Domain{Name: word, From: from, Until: until})
	}
	return out, nil
}

// own enters a claim on a domain, whole names before suffixes.
func (b *builder) own(name string, c domainClaim, at int) {
	first, ok := b.cat.domains[name]
	if !ok {
		first = -1
	}
	n := int32(len(b.cat.owners))
	prev, next := int32(-1), first
	for next >= 0 && (!b.cat.owners[next].suffix || c.suffix) {
		prev, next = next, b.cat.owners[next].next
	}
	c.next = next
	b.cat.owners = append(b.cat.owners, c)
	b.owned = append(b.owned, at)
	if prev < 0 {
		b.cat.domains[name] = n
	} else {
		b.cat.owners[prev].next = n
	}
}

func overlap(from1, until1, from2, until2 int64) bool {
	return (until1 == 0 || from2 == 0 || from2 < until1) && (until2 == 0 || from1 == 0 || from1 < until2)
}

// unix gives the seconds since 1970, 0 for the zero time.
func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// references checks what the file says of other entries, when all are known.
func (b *builder) references() error {
	for _, key := range b.cited {
		if _, ok := b.cat.sources[key.text]; !ok {
			return b.doc.errorf(key.at, "source %q is not there: add [source.%s] with url and read, or correct the key", key.text, key.text)
		}
	}
	for _, l := range b.linked {
		p := &b.cat.providers[l.operator]
		if _, ok := p.Brand(l.brand.text); !ok {
			return b.doc.errorf(l.brand.at, "brand %q is missing: name a brand of %q", l.brand.text, p.ID)
		}
	}
	for i := range b.cat.providers {
		p := &b.cat.providers[i]
		var err error
		if p.Texts, err = b.others(b.texts[i], p.ID); err != nil {
			return err
		}
		if p.Shared, err = b.others(b.shared[i], p.ID); err != nil {
			return err
		}
		if len(p.MX)+len(p.Hosts)+len(p.Brands) == 0 {
			return b.doc.errorf(b.at[i], "operator %q has neither mx nor hosts nor domains: nothing can be recognised by it, add one", p.ID)
		}
	}
	return nil
}

func (b *builder) others(list []item, self string) ([]string, error) {
	var out []string
	for _, it := range list {
		if _, ok := b.cat.byID[it.text]; !ok || it.text == self {
			return nil, b.doc.errorf(it.at, "operator %q is missing: name another operator of this file", it.text)
		}
		out = append(out, it.text)
	}
	return out, nil
}

// name checks a host or domain name and gives it without its leading dot.
func (b *builder) name(it item) (name string, suffix bool, err error) {
	s := strings.TrimPrefix(it.text, ".")
	var buf [maxName]byte
	n := appendName(buf[:0], s)
	if !hasDot(n) || isAddress(n) || bytes.IndexByte(n, ':') >= 0 || string(n) != s {
		return "", false, b.doc.errorf(it.at, "%q is no name: write it in lower case with at least two labels, IDNs in A-labels (xn--...)", it.text)
	}
	return s, len(s) < len(it.text), nil
}

// period splits "NAME from DATE until DATE", of which either date, and in most
// entries both, may be missing.
func (b *builder) period(it item) (name string, from, until time.Time, err error) {
	name, rest, dated := strings.Cut(it.text, " ")
	if !dated {
		return name, from, until, nil
	}
	for words := strings.Fields(rest); len(words) > 0 || from.IsZero() && until.IsZero(); words = words[2:] {
		if len(words) < 2 || words[0] != "from" && words[0] != "until" || !until.IsZero() || words[0] == "from" && !from.IsZero() {
			return "", from, until, b.doc.errorf(it.at, "%q: write \"NAME from DATE until DATE\", either part may be missing", it.text)
		}
		d, err := b.date(item{words[1], it.at})
		if err != nil {
			return "", from, until, err
		}
		if words[0] == "from" {
			from = d
		} else {
			until = d
		}
	}
	if !until.IsZero() && !from.Before(until) {
		return "", from, until, b.doc.errorf(it.at, "%q: write \"NAME from DATE until DATE\" with the earlier date first", it.text)
	}
	return name, from, until, nil
}

// date reads YYYY, YYYY-MM or YYYY-MM-DD as the first instant of it in UTC.
func (b *builder) date(it item) (time.Time, error) {
	layout := "2006-01-02"
	if n := len(it.text); n == 4 || n == 7 {
		layout = layout[:n]
	}
	d, err := time.Parse(layout, it.text)
	if err != nil || d.Year() <= 1970 {
		return time.Time{}, b.doc.errorf(it.at, "date %q: write YYYY, YYYY-MM or YYYY-MM-DD", it.text)
	}
	return d, nil
}

func isURL(s string) bool {
	return (strings.HasPrefix(s, "https://") || strings.HasPrefix(s, "http://")) && !strings.ContainsAny(s, " \t<>\"") && len(s) > 10
}

func isID(s string) bool {
	if s == "" || len(s) > 64 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-') {
			return false
		}
	}
	return true
}
