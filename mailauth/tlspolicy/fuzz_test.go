package tlspolicy

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	miekg "github.com/miekg/dns"

	"github.com/postroad/postroad/dns"
)

// seeds gives the input lines of the cases of a kind.
func seeds(f *testing.F, file, kind, join string) {
	for _, c := range readCases(f, file) {
		if c.kind == kind {
			f.Add(strings.Join(c.in, join))
		}
	}
}

func FuzzSTSRecord(f *testing.F) {
	seeds(f, "testdata/rfc8461.txt", "record", "")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseSTSRecord(text)
		if err != nil {
			return
		}
		if len(r.ID) < 1 || len(r.ID) > 32 || strings.Trim(r.ID, alphanumeric) != "" || !strings.HasPrefix(text, "v=STSv1") {
			t.Errorf("id %q of %q", r.ID, text)
		}
		if again, err := ParseSTSRecord("v=STSv1; id=" + r.ID); err != nil || again != r {
			t.Errorf("%q is not read again: %v", r.ID, err)
		}
		if longer, err := ParseSTSRecord(strings.TrimRight(text, " \t;") + "; another=1; id=zzz"); err != nil || longer != r {
			t.Errorf("further fields change %q: %v %v", text, longer, err)
		}
	})
}

func FuzzSTSPolicy(f *testing.F) {
	seeds(f, "testdata/rfc8461.txt", "policy", "\n")
	f.Fuzz(func(t *testing.T, body string) {
		p, err := ParseSTSPolicy(body)
		if err != nil {
			return
		}
		if p.MaxAge < 0 || p.MaxAge > maxAge*time.Second || len(p.MX) == 0 && p.Mode != ModeNone ||
			p.Mode != ModeNone && p.Mode != ModeTesting && p.Mode != ModeEnforce {
			t.Errorf("%+v", p)
		}
		for _, end := range []string{"\n", "\r\n", " \t\r\n"} {
			again, err := ParseSTSPolicy(strings.Join(p.Lines(), end) + end)
			if err != nil || policyText(again) != policyText(p) {
				t.Errorf("its own lines are read as %+v, %v", again, err)
			}
		}
		for _, pattern := range p.MX {
			host := strings.Replace(pattern, "*", "mx", 1)
			if _, ok := hostName(host); ok && (!p.Matches(host) || !p.Matches(strings.ToUpper(host)+".")) {
				t.Errorf("%q does not match %q", pattern, host)
			}
		}
	})
}

func FuzzReport(f *testing.F) {
	seeds(f, "testdata/rfc8460.txt", "report", "")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseReport(text)
		if err != nil {
			return
		}
		if len(r.Mail)+len(r.Web) == 0 {
			t.Error("a record that names nobody")
		}
		for _, address := range r.Mail {
			if i := strings.LastIndex(address, "@"); i < 1 || i == len(address)-1 || strings.ContainsAny(address, "\r\n\x00") {
				t.Errorf("mail %q", address)
			}
		}
		for _, uri := range r.Web {
			if u, err := url.Parse(uri); err != nil || u.Scheme != "https" || u.Host == "" {
				t.Errorf("web %q", uri)
			}
		}
	})
}

// FuzzMatch: a pattern never matches across labels, and only what ends like it.
func FuzzMatch(f *testing.F) {
	for _, c := range readCases(f, "testdata/rfc8461.txt") {
		if c.kind == "match" {
			words := append(strings.Fields(c.in[0]), "*.example.com")
			f.Add(words[1], words[0])
		}
	}
	f.Fuzz(func(t *testing.T, pattern, host string) {
		p, err := ParseSTSPolicy("version: STSv1\nmode: enforce\nmax_age: 1\nmx: " + pattern)
		if err != nil || len(p.MX) != 1 || !p.Matches(host) {
			return
		}
		name, ok := hostName(host)
		if !ok {
			t.Fatalf("%q matches %q, which is no host", pattern, host)
		}
		have, want := strings.Split(name, "."), strings.Split(p.MX[0], ".")
		if len(have) != len(want) {
			t.Fatalf("%q matches %q across labels", pattern, host)
		}
		for i := range want {
			if have[i] == "" || have[i] != want[i] && !(i == 0 && want[i] == "*") {
				t.Errorf("%q matches %q", pattern, host)
			}
		}
	})
}

// agree says what miekg/dns says of a record and a certificate.
func agree(t *testing.T, r dns.TLSA, name string) bool {
	var text string
	for _, b := range r.Data {
		text += string("0123456789abcdef"[b>>4]) + string("0123456789abcdef"[b&15])
	}
	other := miekg.TLSA{Usage: r.Usage, Selector: r.Selector, MatchingType: r.MatchingType, Certificate: text}
	return other.Verify(certificates().chain(t, name)[0]) == nil
}

// FuzzVerifyDANE: with any record, a chain is proven by DANE-EE if and only if
// miekg/dns says that the record is the certificate's; by DANE-TA only if it is
// one of the chain's or gives the anchor in full; and never for another name.
func FuzzVerifyDANE(f *testing.F) {
	p := certificates()
	of := []string{"leaf", "inter", "root", "self", "other", "otherroot", "old"}
	chains := [][]string{{"leaf", "inter", "root"}, {"self"}, {"other", "otherroot"}, {"leaf"}, {"old", "inter"}}
	for n := range of {
		for usage := range uint8(4) {
			for which := range chains {
				f.Add(usage, uint8(n%2), uint8(n%3), byte(n), uint16(0), []byte(nil), byte(which))
				f.Add(usage, uint8(1), uint8(1), byte(n), uint16(n), []byte(nil), byte(which))
				f.Add(usage, uint8(1), uint8(0), byte(n), uint16(0), []byte{0x30, 0}, byte(which))
			}
		}
	}
	// The data are those of a certificate with one byte changed, or any; the
	// certificates are others in each process.
	f.Fuzz(func(t *testing.T, usage, selector, matching uint8, from byte, flip uint16, data []byte, which byte) {
		if len(data) == 0 {
			text := fmt.Sprintf("%d %d %d %s", usage, selector, matching, of[int(from)%len(of)])
			data = bytes.Clone(p.tlsa(t, text).Data)
			if flip > 0 {
				data[int(flip)%len(data)] ^= byte(flip>>8) | 1
			}
		}
		names := chains[int(which)%len(chains)]
		chain := p.chain(t, names...)
		r := dns.TLSA{Usage: usage, Selector: selector, MatchingType: matching, Data: data}
		used, err := VerifyDANE([]dns.TLSA{r}, []string{"mx.example.com"}, chain, caseMoment)
		var failure *Failure
		if err != nil && (!errors.As(err, &failure) || failure.Result == "" || failure.Reason == "") {
			t.Fatalf("no failure: %v", err)
		}
		switch {
		case usage == usageEE:
			if want := agree(t, r, names[0]); want != (err == nil) {
				t.Errorf("%d %d %d %x: proven %v, miekg/dns says %v", usage, selector, matching, data, err == nil, want)
			}
		case err == nil:
			ours := matching == full
			for _, name := range names {
				ours = ours || agree(t, r, name)
			}
			if usage != usageTA || !ours || names[0] == "old" {
				t.Errorf("%d %d %d %x proves %q", usage, selector, matching, data, names)
			}
			if _, err := VerifyDANE([]dns.TLSA{r}, []string{"mx.elsewhere.example"}, chain, caseMoment); err == nil {
				t.Error("and for another name too")
			}
		}
		if err == nil && !bytes.Equal(used.Data, data) {
			t.Error("proven by another record")
		}
	})
}

// FuzzResponse: whatever a policy host sends, no more than 64 KiB is a policy.
func FuzzResponse(f *testing.F) {
	seeds(f, "testdata/rfc8461.txt", "fetch", "\r\n")
	f.Fuzz(func(t *testing.T, response string) {
		body, failure := readResponse(strings.NewReader(response), "mta-sts.example.com", new(cutConn))
		if failure != nil {
			if body != "" || failure.Result != STSPolicyFetchError {
				t.Errorf("%q with %v", body, failure)
			}
			return
		}
		if len(body) > maxPolicy || !strings.HasPrefix(response, "HTTP/") {
			t.Errorf("%d bytes of %q", len(body), clip(response))
		}
	})
}

// FuzzRestore: whatever a file says, what is taken can be written and taken again.
func FuzzRestore(f *testing.F) {
	f.Add(snapshotFormat + "\n" + `{"domain":"example.com","id":"1","fetched":"2026-01-01T00:00:00Z",` +
		`"used":"2026-01-01T00:00:00Z",` +
		`"policy":"version: STSv1\nmode: enforce\nmx: *.example.com\nmax_age: 31557600"}` + "\n")
	f.Add(snapshotFormat + "\n{}\n")
	f.Fuzz(func(t *testing.T, text string) {
		newCache := func() *STSCache {
			c, err := NewSTSCache(STSOptions{FetchOptions: FetchOptions{Resolver: newZone(t)}, MaxPolicies: 4})
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		c := newCache()
		c.Restore(strings.NewReader(text))
		if c.Len() > 4 {
			t.Errorf("%d kept", c.Len())
		}
		var first, second bytes.Buffer
		again := newCache()
		if err := c.Snapshot(&first); err != nil {
			t.Fatal(err)
		}
		n, err := again.Restore(bytes.NewReader(first.Bytes()))
		if n != c.Len() && n != strings.Count(first.String(), "\n")-1 || err != nil {
			t.Errorf("%d of %d taken again: %v", n, c.Len(), err)
		}
		again.Snapshot(&second)
		if !bytes.Equal(first.Bytes(), second.Bytes()) {
			t.Errorf("\n%s\n%s", first.String(), second.String())
		}
	})
}
