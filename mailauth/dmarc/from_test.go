package dmarc

import (
	netmail "net/mail"
	"slices"
	"strings"
	"testing"
)

func TestParseFrom(t *testing.T) {
	all := pairs(t, "testdata/from.txt")
	if len(all) < 35 {
		t.Fatalf("%d cases", len(all))
	}
	for _, c := range all {
		var fields []string
		if c[0] != "no field" {
			fields = strings.Split(c[1], "\n+\n")
		}
		a := ParseFrom(fields...)
		checkFrom(t, a)
		domains, findings, _ := strings.Cut(c[2], "!")
		if got := strings.Join(a.Domains, " "); got != strings.TrimSpace(domains) {
			t.Errorf("%s: %q\ngot  %s\nwant %s", c[0], c[1], got, domains)
		}
		if got := keys(a.Findings); got != sorted(findings) {
			t.Errorf("%s: %q\ngot findings %s\nwant %s", c[0], c[1], got, sorted(findings))
		}
	}
	a := ParseFrom("a@bank.example\x00.evil.example")
	if keys(a.Findings) != FindFromMalformed || !slices.Equal(a.Domains, []string{"bank.example"}) {
		t.Errorf("NUL in a domain: %+v", a)
	}
	a = ParseFrom(strings.Repeat("a@example.com,", 100_000))
	checkFrom(t, a)
	if len(a.Domains) != 1 || !strings.Contains(keys(a.Findings), FindFromLong) {
		t.Errorf("a long field: %+v", a)
	}
}

// checkFrom holds for every From field.
func checkFrom(t testing.TB, a From) {
	t.Helper()
	if len(a.Domains) > maxDomains || a.Addresses > maxAddresses || len(a.Findings) > maxTags {
		t.Errorf("bounds: %d domains, %d addresses, %d findings", len(a.Domains), a.Addresses, len(a.Findings))
	}
	for i, d := range a.Domains {
		if d == "" || d != normal(d) || slices.Contains(a.Domains[:i], d) {
			t.Errorf("domain %q in %q", d, a.Domains)
		}
	}
}

// FuzzAuthors holds the reader to that of the standard library wherever that can
// read a field: no domain that it finds may be missing here, and where nothing
// is malformed there are no others.
func FuzzParseFrom(f *testing.F) {
	for _, c := range pairs(f, "testdata/from.txt") {
		f.Add(c[1])
	}
	f.Fuzz(func(t *testing.T, field string) {
		a := ParseFrom(field)
		checkFrom(t, a)
		if again := ParseFrom(field, field); !slices.Equal(again.Domains, a.Domains) && len(field) < maxFrom {
			t.Errorf("%q twice: %q, then %q", field, a.Domains, again.Domains)
		}
		list, err := netmail.ParseAddressList(field)
		if err != nil {
			return
		}
		var want []string
		for _, address := range list {
			_, domain, _ := cutLast(address.Address)
			d := normal(domain)
			if d != "" && !strings.HasSuffix(domain, ".") && !slices.Contains(want, d) {
				want = append(want, d)
			}
		}
		for _, d := range want {
			if !slices.Contains(a.Domains, d) {
				t.Errorf("%q: %q is missing in %q", field, d, a.Domains)
			}
		}
		if !strings.Contains(keys(a.Findings), FindFromMalformed) && len(a.Domains) != len(want) {
			t.Errorf("%q: %q, want %q", field, a.Domains, want)
		}
	})
}

func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, '@')
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}
