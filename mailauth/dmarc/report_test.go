package dmarc

import (
	"strings"
	"testing"
)

func TestReportAuthorised(t *testing.T) {
	const zone = `
com. SOA ns.example. h.example. 1 1 1 1 1
net. SOA ns.example. h.example. 1 1 1 1 1
_dmarc.example.com. TXT "v=DMARC1; p=none"
_dmarc.reports.example.net. TXT "v=DMARC1; p=none"
example.com._report._dmarc.thirdparty.example.net. TXT "v=DMARC1;"
example.com._report._dmarc.override.example.net. TXT ("v=DMARC1; rua=mailto:aggregate@override.example.net; "
	"ruf=mailto:failure@override.example.net")
example.com._report._dmarc.away.example.net. TXT "v=DMARC1; rua=mailto:victim@other.example.net"
*._report._dmarc.anybody.example.net. TXT "v=DMARC1"
example.com._report._dmarc.text.example.net. TXT "v=spf1 -all"
example.com._report._dmarc.mixed.example.net. TXT "hello"
example.com._report._dmarc.mixed.example.net. TXT "v=DMARC1"
$ANSWER example.com._report._dmarc.broken.example.net. TXT servfail
$ANSWER _dmarc.broken.example.com. TXT servfail
`
	for _, c := range []struct {
		at, uri, tag string
		want         string
		asked        string // the last name
	}{
		{"example.com", "mailto:d@example.com", "rua", "authorised inside", ""},
		{"EXAMPLE.com.", "mailto:d@Example.COM", "rua", "authorised inside", ""},
		{"example.com", "mailto:d@mail.example.com", "rua", "authorised inside", ""},
		{"news.example.com", "mailto:d@mail.example.com", "rua", "authorised inside", ""},
		// RFC 9989 appendix B.2.3
		{"example.com", "mailto:auth-reports@thirdparty.example.net", "ruf", "authorised", "example.com._report._dmarc.thirdparty.example.net"},
		// appendix B.2.4
		{"example.com", "mailto:x@override.example.net", "ruf", "authorised instead=mailto:failure@override.example.net dmarc.report.override", ""},
		{"example.com", "mailto:x@override.example.net", "rua", "authorised instead=mailto:aggregate@override.example.net dmarc.report.override", ""},
		// RFC 9990 section 4
		{"example.com", "mailto:x@away.example.net", "rua", "dmarc.report.elsewhere", ""},
		{"example.com", "mailto:x@away.example.net", "ruf", "authorised", ""},
		{"example.com", "mailto:x@anybody.example.net", "rua", "authorised", ""},
		{"example.com", "mailto:x@nobody.example.net", "rua", "dmarc.report.denied", ""},
		{"example.com", "mailto:x@text.example.net", "rua", "dmarc.report.denied", ""},
		{"example.com", "mailto:x@mixed.example.net", "rua", "authorised", ""},
		{"example.com", "https://thirdparty.example.net/in", "rua", "authorised", ""},
		{"example.com", "mailto:x@broken.example.net", "rua", "temporary dmarc.dns.failed", ""},
		{"other.com", "mailto:x@thirdparty.example.net", "rua", "dmarc.report.denied", "other.com._report._dmarc.thirdparty.example.net"},
		// Where the organisation is not known the other side has to say so.
		{"example.com", "mailto:x@broken.example.com", "rua", "temporary dmarc.report.denied", "example.com._report._dmarc.broken.example.com"},
		{"x.broken.example.com", "mailto:x@example.com", "rua", "temporary dmarc.report.denied", "x.broken.example.com._report._dmarc.example.com"},
		{"x.broken.example.com", "mailto:x@nobody.example.net", "rua", "dmarc.report.denied", ""},
		{strings.Repeat("a.", 90) + "com", "mailto:x@" + strings.Repeat("b.", 40) + "example.net", "rua", "dmarc.report.name", ""},
		{"a..b", "mailto:x@example.net", "rua", "dmarc.report.host", ""},
	} {
		r := resolve(t, zone)
		uri, _, ok := parseURI(c.uri)
		if !ok {
			t.Fatal(c.uri)
		}
		d := ReportAuthorised(t.Context(), r, c.at, uri, c.tag)
		var got []string
		if d.Authorised {
			got = append(got, "authorised")
		}
		if d.Inside {
			got = append(got, "inside")
		}
		if d.Temporary {
			got = append(got, "temporary")
		}
		for _, u := range d.Instead {
			got = append(got, "instead="+u.Text)
		}
		if k := keys(d.Findings); k != "" {
			got = append(got, k)
		}
		if g := strings.Join(got, " "); g != c.want {
			t.Errorf("%s, %s, %s: %s, want %s", c.at, c.uri, c.tag, g, c.want)
		}
		if c.asked != "" && r.names[len(r.names)-1] != c.asked {
			t.Errorf("%s, %s: asked for %q", c.at, c.uri, r.names)
		}
	}
}
