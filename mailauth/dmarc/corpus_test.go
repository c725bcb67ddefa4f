package dmarc

import (
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/postroad/postroad/mailauth/dkim"
	"github.com/postroad/postroad/mailauth/spf"
	"github.com/postroad/postroad/message"
)

// corpus gives a folder of the public test data, which lies beside the
// repository on the machines of its authors and nowhere else.
func corpus(t testing.TB, sub string) string {
	dir := filepath.Join("../../../shared", "corpus", sub)
	if _, err := os.Stat(dir); err != nil {
		t.Skip("corpus not here: ", err)
	}
	return dir
}

// TestConformancePublicSuffix is the suite of publicsuffix.org.
func TestConformancePublicSuffix(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(corpus(t, "publicsuffix"), "test_psl.txt"))
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^checkPublicSuffix\((null|'[^']*'), (null|'[^']*')\);`)
	cases, passed := 0, 0
	for _, m := range line.FindAllStringSubmatch(string(raw), -1) {
		in, want := strings.Trim(m[1], "'"), strings.Trim(m[2], "'")
		if m[1] == "null" {
			in = ""
		}
		cases++
		got, ok := OrganizationalDomain(in)
		if m[2] == "null" {
			want = ""
		}
		// The suite gives U-labels where it asks for them; we always give A-labels.
		if ok != (want != "") || got != normal(want) && want != "" {
			t.Errorf("%s: %q %v, want %q", m[0], got, ok, want)
			continue
		}
		passed++
	}
	if cases < 70 || strings.Count(string(raw), "\ncheckPublicSuffix(") != cases {
		t.Errorf("%d cases", cases)
	}
	t.Logf("CONFORMANCE suite=%s cases=%d passed=%d exceptions=%s", "publicsuffix.org", cases, passed, "none")
}

// TestConformanceRspamd judges whole messages: SPF and DKIM are checked, and what
// they come to is judged by both standards.
func TestConformanceRspamd(t *testing.T) {
	dir := filepath.Join(corpus(t, "dmarc-eval"), "rspamd", "dmarc")
	raw, err := os.ReadFile("testdata/rspamd.txt")
	if err != nil {
		t.Fatal(err)
	}
	var zone strings.Builder
	var rows [][]string
	files := make(map[string]bool)
	for line := range strings.Lines(string(raw)) {
		switch f := strings.Fields(line); {
		case strings.HasPrefix(line, "| "):
			zone.WriteString(line[2:])
		case len(f) == 0 || f[0] == "#" || strings.HasPrefix(f[0], "#"):
		default:
			if f[0] == "sure" {
				f = f[1:]
			}
			rows = append(rows, f)
			files[f[0]] = true
		}
	}
	there, err := filepath.Glob(filepath.Join(dir, "*.eml"))
	if err != nil || len(there) != len(files) {
		t.Errorf("%d files in the corpus and %d in the table, %v", len(there), len(files), err)
	}
	now, older := 0, 0
	for _, row := range rows {
		t.Run(row[0]+" "+row[1], func(t *testing.T) {
			message, err := os.ReadFile(filepath.Join(dir, row[0]))
			if err != nil {
				t.Fatal(err)
			}
			c := Compare(t.Context(), resolve(t, zone.String()), judged(t, zone.String(), message, row[1], row[2]))
			checkVerdict(t, c.Now)
			checkVerdict(t, c.Older)
			if got := string(c.Older.Result) + " " + string(c.Older.Disposition); got != row[3]+" "+row[4] {
				t.Errorf("RFC 7489: %s, want %s\n%+v", got, row[3:5], c.Older)
			} else {
				older++
			}
			if got := string(c.Now.Result) + " " + string(c.Now.Disposition); got != row[5]+" "+row[6] {
				t.Errorf("RFC 9989: %s, want %s\n%+v", got, row[5:7], c.Now)
			} else if row[3] == row[5] && row[4] == row[6] {
				now++
			}
		})
	}
	t.Logf("CONFORMANCE suite=%s cases=%d passed=%d exceptions=%s", "rspamd DMARC, by RFC 7489", len(rows), older, "none")
	t.Logf("CONFORMANCE suite=%s cases=%d passed=%d exceptions=%s", "rspamd DMARC, by RFC 9989", len(rows), now,
		"onsubdomain_fail: RFC 9989 section 4.10.2; pct_none1: RFC 9989 appendix A.6")
	if older != len(rows) || now != len(rows)-2 {
		t.Errorf("of %d cases %d pass by RFC 7489 and %d by RFC 9989", len(rows), older, now)
	}
}

// judged checks SPF and DKIM of a message.
func judged(t *testing.T, zone string, raw []byte, client, from string) Input {
	t.Helper()
	h, _ := message.ParseHeader(raw)
	in := Input{From: ParseFrom(h.Values("From")...).Domains}
	r := resolve(t, zone)
	if client != "-" {
		v := spf.Check(t.Context(), r.Resolver, spf.Query{IP: netip.MustParseAddr(client), Helo: "x.example", From: from})
		in.SPF = Identifier{Domain: v.Domain, Result: v.Result}
	}
	report, err := dkim.Verify(t.Context(), r.Resolver, dkim.NewMessage(raw), dkim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range report.Signatures {
		in.DKIM = append(in.DKIM, Identifier{Domain: s.Domain, Selector: s.Selector, Result: s.Result})
	}
	return in
}
