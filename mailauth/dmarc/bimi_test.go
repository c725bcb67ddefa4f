package dmarc

import (
	"errors"
	"strings"
	"testing"

	"github.com/postroad/postroad/dns"
	"github.com/postroad/postroad/mailauth"
)

var bimiCases = []struct{ text, want string }{
	{"v=BIMI1; l=https://example.com/logo.svg; a=https://example.com/vmc.pem", "l a"},
	{"v=BIMI1;l=https://example.com/logo.svg;a=", "l bimi.a.missing"},
	{"v=BIMI1; l=https://example.com/logo.svg", "l bimi.a.missing"},
	{"v=BIMI1; a=https://example.com/vmc.pem", "a"},
	{"v=BIMI1; l=; a=", "declined bimi.declined"},
	{"v=BIMI1; l=;", "declined bimi.declined"},
	{"v=BIMI1", "bimi.l.missing"},
	{"v=BIMI1; l=http://example.com/logo.svg", "bimi.l.invalid bimi.l.missing"},
	{"v=BIMI1; l=https://example.com/a.svg,https://example.com/b.svg; a=x", "bimi.a.invalid bimi.l.invalid bimi.l.missing"},
	{"v=BIMI1; l=https://example.com/l.svg; a=https://example.com/v.pem; avp=personal; lps=a,b", "l a personal"},
	{"v=BIMI1; l=https://example.com/l.svg; a=https://example.com/v.pem; avp=x; x=y; l=; z", "l a bimi.avp.invalid bimi.tag.malformed bimi.tag.twice bimi.tag.unknown"},
	{" v = BIMI1 ; L=https://example.com/l.svg; a=HTTPS://example.com/v.pem", "l a"},
	{"l=https://example.com/logo.svg; v=BIMI1", "error"},
	{"v=bimi1; l=https://example.com/logo.svg", "error"},
	{"v=BIMI1 l=https://example.com/logo.svg", "error"},
	{"", "error"},
}

func bimiSays(b BIMI, err error) string {
	var got []string
	add := func(word string, is bool) {
		if is {
			got = append(got, word)
		}
	}
	add("error", errors.Is(err, ErrBIMI))
	add("l", b.Logo != "")
	add("a", b.Proof != "")
	add("personal", b.Avatar == "personal")
	add("declined", b.Declined)
	if k := keys(b.Findings); k != "" {
		got = append(got, k)
	}
	return strings.Join(got, " ")
}

func TestParseBIMI(t *testing.T) {
	for _, c := range bimiCases {
		if got := bimiSays(ParseBIMI(c.text)); got != c.want {
			t.Errorf("%q: %s, want %s", c.text, got, c.want)
		}
	}
}

func FuzzParseBIMI(f *testing.F) {
	for _, c := range bimiCases {
		f.Add(c.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		b, err := ParseBIMI(text)
		if err != nil {
			return
		}
		for _, u := range []string{b.Logo, b.Proof} {
			if u != "" && (!strings.EqualFold(u[:8], "https://") || strings.ContainsAny(u, "; ,\t")) {
				t.Errorf("%q gives the address %q", text, u)
			}
		}
		if b.Avatar != "brand" && b.Avatar != "personal" || b.Declined && (b.Logo != "" || b.Proof != "") {
			t.Errorf("%q: %+v", text, b)
		}
		if len(b.Tags) > maxTags || len(b.Findings) > maxTags {
			t.Errorf("bounds: %d tags, %d findings", len(b.Tags), len(b.Findings))
		}
		if b.Logo == "" && b.Proof == "" && len(b.Findings) == 0 {
			t.Errorf("%q shows nothing and nothing is wrong", text)
		}
	})
}

func TestLookupBIMI(t *testing.T) {
	const zone = `
com. SOA ns.example. h.example. 1 1 1 1 1
default._bimi.example.com. TXT "v=BIMI1; l=https://example.com/l.svg; a=https://example.com/v.pem"
winter._bimi.example.com. TXT "v=BIMI1; l=https://example.com/w.svg; a=https://example.com/v.pem"
default._bimi.two.com. TXT "v=BIMI1; l="
default._bimi.two.com. TXT "v=BIMI1; l=https://two.com/l.svg"
default._bimi.own.example.com. TXT "v=BIMI1; l=; a="
default._bimi.case.com. TXT "v=bimi1; l=https://case.com/l.svg"
$ANSWER default._bimi.broken.example.com. TXT servfail
`
	for _, c := range []struct{ domain, organization, selector, name, want string }{
		{"example.com", "example.com", "", "default._bimi.example.com", "l a"},
		{"www.example.com", "example.com", "", "default._bimi.example.com", "l a"},
		{"www.example.com", "", "", "default._bimi.www.example.com", "none"},
		{"www.example.com", "example.com", "winter", "winter._bimi.example.com", "l a"},
		{"own.example.com", "example.com", "", "default._bimi.own.example.com", "declined bimi.declined"},
		{"two.com", "two.com", "", "default._bimi.two.com", "none bimi.record.several"},
		{"case.com", "case.com", "", "default._bimi.case.com", "none bimi.record.version"},
		{"broken.example.com", "example.com", "", "default._bimi.broken.example.com", "failed"},
		{"a..b", "", "", "", "error"},
		{"example.com", "", "a b", "", "error"},
	} {
		i, err := LookupBIMI(t.Context(), resolve(t, zone), c.domain, c.organization, c.selector)
		got := "error"
		switch {
		case err != nil:
		case i.Record != nil:
			got = bimiSays(*i.Record, nil)
		case i.Status == dns.Failed:
			got = "failed"
		default:
			got = strings.TrimSpace("none " + keys(i.Findings))
		}
		if got != c.want || i.Name != c.name {
			t.Errorf("%+v: %s at %q (%v)", c, got, i.Name, err)
		}
	}
}

func TestForBIMI(t *testing.T) {
	for record, want := range map[string]string{
		"v=DMARC1; p=reject":                   "",
		"v=DMARC1; p=quarantine; sp=reject":    "",
		"v=DMARC1; p=none":                     FindBIMIPolicy,
		"v=DMARC1; p=reject; sp=none":          FindBIMISub,
		"v=DMARC1; p=reject; pct=50":           FindBIMIPercent,
		"v=DMARC1; p=reject; t=y":              FindBIMIPercent,
		"v=DMARC1; p=reject; adkim=s; aspf=s;": FindBIMIFail,
	} {
		r := &table{texts: map[string][]string{"_dmarc.example.com": {record}}}
		v := Evaluate(t.Context(), r, Input{From: []string{"example.com"},
			DKIM: []Identifier{{Domain: "www.example.com", Result: mailauth.Pass}}})
		if got := keys(v.ForBIMI()); got != want {
			t.Errorf("%s: %s, want %s", record, got, want)
		}
	}
	if got := keys(Evaluate(t.Context(), &table{}, Input{}).ForBIMI()); got != FindBIMIFail {
		t.Errorf("without anything: %s", got)
	}
}
