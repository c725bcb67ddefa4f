package provider

import (
	_ "embed"
	"slices"
	"strings"
	"testing"
	"time"
)

//go:embed testdata/identify.txt
var identifyCases string

// today is after everything that the shipped file knows.
var today = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

func mustShipped(t testing.TB) *Catalogue {
	t.Helper()
	c, err := Shipped()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestIdentify(t *testing.T) {
	c := mustShipped(t)
	n := 0
	for number, line := range strings.Split(identifyCases, "\n") {
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Split(line, "|")
		if len(f) != 6 {
			t.Fatalf("identify.txt:%d: %d fields, want 6", number+1, len(f))
		}
		for i := range f {
			f[i] = strings.TrimSpace(f[i])
		}
		at := today
		if f[2] != "" {
			var err error
			if at, err = time.Parse(time.DateOnly, f[2]); err != nil {
				t.Fatalf("identify.txt:%d: %v", number+1, err)
			}
		}
		got := c.Identify(f[0], f[1], at)
		if got.ID != f[3] || got.Brand != f[4] || string(got.By) != f[5] {
			t.Errorf("identify.txt:%d: Identify(%q, %q, %s) = %q %q by %q, want %q %q by %q",
				number+1, f[0], f[1], at.Format(time.DateOnly), got.ID, got.Brand, got.By, f[3], f[4], f[5])
		}
		checkIdentity(t, c, got)
		n++
	}
	if n < 150 {
		t.Errorf("only %d cases were read", n)
	}
}

// checkIdentity holds what is true of every identity.
func checkIdentity(t testing.TB, c *Catalogue, id Identity) {
	t.Helper()
	if (id.ID == "") != (id.By == ByNone) || (id.ID == "") != (id.Name == "") {
		t.Errorf("half an identity: %+v", id)
	}
	if len(id.ID) > maxName+len("domain:") {
		t.Errorf("id of %d bytes", len(id.ID))
	}
	p, known := c.ByID(id.ID)
	bare, isMX := strings.CutPrefix(id.ID, "mx:")
	if !isMX {
		bare, isMX = strings.CutPrefix(id.ID, "domain:")
	}
	switch {
	case id.ID == "":
	case isMX && (bare != id.Name || id.Brand != ""):
		t.Errorf("identity of the rest of the world: %+v", id)
	case !isMX && !known:
		t.Errorf("id of nobody: %+v", id)
	case known && id.Name != p.Name:
		t.Errorf("name of somebody else: %+v", id)
	}
}

// Zero means now, and now btinternet.com has left Yahoo.
func TestIdentifyZeroTime(t *testing.T) {
	if got := mustShipped(t).Identify("", "btinternet.com", time.Time{}); got.ID != "bt" {
		t.Errorf("got %+v", got)
	}
}

func TestShippedIsWhole(t *testing.T) {
	c := mustShipped(t)
	used := map[string]bool{}
	cite := func(keys ...string) {
		for _, k := range keys {
			used[k] = true
		}
	}
	for i := range c.All() {
		p := &c.All()[i]
		cite(p.Sources...)
		for _, l := range p.Limits {
			cite(l.Source)
		}
		for _, l := range p.Links {
			if l.Checked < "2026" || l.Checked > "2026-10-31" {
				t.Errorf("%s: link %s was checked %q", p.ID, l.URL, l.Checked)
			}
		}
		for _, b := range p.Brands {
			cite(b.Sources...)
			for _, d := range b.Domains {
				checkOwnDomain(t, c, p, b, d)
			}
			for _, d := range b.Also {
				if got := c.Identify("", d, today); got.ID == p.ID {
					t.Errorf("%s: %s stands under also, but belongs to it", p.ID, d)
				}
			}
		}
		for _, pattern := range slices.Concat(p.MX, p.Hosts) {
			checkOwnPattern(t, c, p, pattern)
		}
		if got, ok := c.ByID(p.ID); !ok || got != p {
			t.Errorf("ByID(%q) is somebody else", p.ID)
		}
	}
	for key := range c.sources {
		if !used[key] {
			t.Errorf("source %s is cited by nobody", key)
		}
	}
}

func checkOwnDomain(t *testing.T, c *Catalogue, p *Provider, b Brand, d Domain) {
	t.Helper()
	at := today
	if !d.Until.IsZero() {
		at = d.Until.Add(-time.Second)
	}
	got := c.Identify("", strings.TrimPrefix(d.Name, "."), at)
	if got.ID != p.ID || got.Brand != b.Name {
		t.Errorf("%s of %s, brand %s: got %+v", d.Name, p.ID, b.Name, got)
	}
	if !d.Until.IsZero() {
		if got := c.Identify("", d.Name, d.Until); got.ID == p.ID {
			t.Errorf("%s is still %s's at the end of its time", d.Name, p.ID)
		}
	}
	if !d.From.IsZero() {
		if got := c.Identify("", d.Name, d.From.Add(-time.Second)); got.ID == p.ID {
			t.Errorf("%s is %s's already, before its time", d.Name, p.ID)
		}
	}
}

func checkOwnPattern(t *testing.T, c *Catalogue, p *Provider, pattern Pattern) {
	t.Helper()
	hosts := []string{strings.TrimPrefix(pattern.Name, ".")}
	if pattern.Name[0] == '.' {
		hosts = append(hosts, "x"+pattern.Name, "mx01.x-1"+pattern.Name)
	}
	for _, host := range hosts {
		for _, at := range []time.Time{today, pattern.Until} {
			got := c.Identify(host, "", at)
			brand := ""
			if b, ok := p.Brand(pattern.Brand); ok {
				brand = b.Name
			}
			if got.ID != p.ID || got.Brand != brand || got.By != ByHost {
				t.Errorf("%s of %s: got %+v", host, p.ID, got)
			}
		}
	}
}

// The links that a ticket needs are there for the largest receivers.
func TestLinks(t *testing.T) {
	c := mustShipped(t)
	for id, kind := range map[string]LinkKind{
		"yahoo": Form, "google": Form, "outlook": Form, "exchange-online": Delist, "apple": Form,
		"gmx": Form, "t-online": Delist, "orange": Postmaster, "comcast": Form, "mailru": FBL, "barracuda": Delist,
	} {
		p, ok := c.ByID(id)
		if !ok {
			t.Errorf("no %s", id)
			continue
		}
		if l, ok := p.Link(kind); !ok || l.URL == "" || l.Checked == "" {
			t.Errorf("%s has no %s: %+v", id, kind, l)
		}
	}
	if l, ok := (&Provider{}).Link(Form); ok {
		t.Errorf("a link of nobody: %+v", l)
	}
	p := Provider{Links: []Link{{Kind: FBL, URL: "https://a.example", Doubtful: true}, {Kind: FBL, URL: "https://b.example"}}}
	if l, _ := p.Link(FBL); l.URL != "https://b.example" {
		t.Errorf("the doubtful link goes first: %+v", l)
	}
	if l, ok := (&Provider{Links: []Link{{Kind: FBL, URL: "https://a.example", Brand: "b"}}}).Link(FBL); ok {
		t.Errorf("the link of one brand is given for all: %+v", l)
	}
	if l, ok := (&Provider{Links: p.Links[:1]}).Link(FBL); !ok || !l.Doubtful {
		t.Errorf("a doubtful link is better than none: %+v", l)
	}
}

func TestTexts(t *testing.T) {
	c := mustShipped(t)
	for id, want := range map[string]string{
		"outlook": "exchange-online", "exchange-online": "outlook", "ionos": "gmx", "google": "", "mx:example.com": "",
	} {
		if got := strings.Join(c.Texts(id), " "); got != want {
			t.Errorf("Texts(%q) = %q, want %q", id, got, want)
		}
	}
}

func FuzzIdentify(f *testing.F) {
	for _, line := range strings.Split(identifyCases, "\n") {
		if host, rest, ok := strings.Cut(line, "|"); ok && !strings.HasPrefix(line, "#") {
			domain, _, _ := strings.Cut(rest, "|")
			f.Add(strings.TrimSpace(host), strings.TrimSpace(domain), int64(1_700_000_000))
		}
	}
	f.Add(strings.Repeat("a.", 500), strings.Repeat("ü", 300)+".example", int64(0))
	f.Add("\xff.\xfe", "a\x00b.example", int64(-1))
	c := mustShipped(f)
	f.Fuzz(func(t *testing.T, host, domain string, second int64) {
		at := time.Unix(second, 0)
		id := c.Identify(host, domain, at)
		checkIdentity(t, c, id)
		if again := c.Identify(host, domain, at); again != id {
			t.Errorf("%+v, then %+v", id, again)
		}
		if isASCII(host) && isASCII(domain) {
			if upper := c.Identify(strings.ToUpper(host), strings.ToUpper(domain), at); upper != id {
				t.Errorf("%+v, in capitals %+v", id, upper)
			}
		}
		if bare, ok := strings.CutPrefix(id.ID, "mx:"); ok {
			if c.registrable(bare) != bare {
				t.Errorf("%q is registrable, but not of itself: %q", bare, c.registrable(bare))
			}
			if tld := flat(bare); tld != "" && lastLabels(bare, c.publicSuffix(bare)) != bare {
				t.Errorf("%q: the list says %q below the flat %s", bare, c.publicSuffix(bare), tld)
			}
		}
	})
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= 0x80 }) < 0
}

// The way from a host name to an identity is taken for every event: a known
// host costs no allocation, an unknown one a string.
func TestIdentifyAllocations(t *testing.T) {
	c := mustShipped(t)
	for _, k := range []struct {
		host, domain string
		max          float64
	}{
		{"mx-eu.mail.yahoo.com", "btinternet.com", 0},
		{"SG2APC01FT133.eop-APC01.prod.protection.outlook.com", "hotmail.com", 0},
		{"", "gmail.com", 0},
		{"", "customer.example", 1},
		{"mx1.mail.example.com", "customer.example", 1},
		{"mx1.mail.example.co.uk", "customer.example", 2}, // the public suffix list takes one
	} {
		if got := testing.AllocsPerRun(100, func() { c.Identify(k.host, k.domain, today) }); got > k.max {
			t.Errorf("Identify(%q, %q): %v allocations, want at most %v", k.host, k.domain, got, k.max)
		}
	}
}

func BenchmarkIdentify(b *testing.B) {
	c := mustShipped(b)
	for _, k := range []struct{ name, host, domain string }{
		{"host", "mx-eu.mail.am0.yahoodns.net", "btinternet.com"},
		{"shared", "SG2APC01FT133.eop-APC01.prod.protection.outlook.com", "hotmail.com"},
		{"domain", "", "gmail.com"},
		{"unknown-host", "mx1.mail.example.com", "customer.example"},
		{"unknown-host-list", "mx1.mail.example.co.uk", "customer.example"},
		{"unknown-domain", "", "customer.example"},
	} {
		b.Run(k.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.Identify(k.host, k.domain, today)
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(shippedData); err != nil {
			b.Fatal(err)
		}
	}
}
