package dkim

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/postroad/postroad/dns"
	"github.com/postroad/postroad/mailauth"
)

// records is DNS for tests: TXT records by name. A name that is not there is
// absent; a record that begins with "!" is a failure instead.
type records map[string][]string

func (r records) TXT(_ context.Context, name string) dns.Answer[string] {
	found, ok := r[name]
	a := dns.Answer[string]{Name: name, Status: dns.Found, Records: found}
	switch {
	case !ok:
		a.Status = dns.Absent
	case len(found) == 0:
		a.Status = dns.Empty
	case found[0] == "!failed":
		a.Status, a.Records, a.Err = dns.Failed, nil, errors.New("SERVFAIL")
	case found[0] == "!bogus":
		a.Status, a.Records, a.Err = dns.Bogus, nil, errors.New("bogus")
	}
	return a
}

// corpus gives a folder of the shared corpus, or skips the test.
func corpus(t testing.TB, folder string) string {
	t.Helper()
	dir := filepath.Join("..", "..", "..", "shared", "corpus", folder)
	if _, err := os.Stat(dir); err != nil {
		t.Skip("corpus not here: ", err)
	}
	return dir
}

func read(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// conformance logs the line that etc/conformance gathers.
func conformance(t *testing.T, suite string, cases, passed int, exceptions ...string) {
	t.Helper()
	if cases == 0 || passed+len(exceptions) != cases {
		t.Errorf("%s: %d cases, %d passed, %d exceptions", suite, cases, passed, len(exceptions))
	}
	text := "none"
	if len(exceptions) > 0 {
		text = strings.Join(exceptions, "; ")
	}
	t.Logf("CONFORMANCE suite=%s cases=%d passed=%d exceptions=%s", suite, cases, passed, text)
}

// arcSuite is one scenario of the ARC suite's files.
type arcSuite struct {
	Description string
	Tests       yaml.Node         // a mapping; the suite has one name twice
	TXT         map[string]string `yaml:"txt-records"`
}

type arcCase struct {
	Name        string `yaml:"-"`
	Description string
	Message     string
	CV          string
	AS          string `yaml:"AS"`
	AMS         string `yaml:"AMS"`
	AAR         string `yaml:"AAR"`
}

func (s *arcSuite) cases(t *testing.T) (list []arcCase) {
	t.Helper()
	for i := 0; i+1 < len(s.Tests.Content); i += 2 {
		c := arcCase{Name: s.Tests.Content[i].Value}
		if err := s.Tests.Content[i+1].Decode(&c); err != nil {
			t.Fatal(err)
		}
		list = append(list, c)
	}
	return list
}

func arcSuites(t *testing.T, name string) (list []arcSuite) {
	t.Helper()
	d := yaml.NewDecoder(strings.NewReader(read(t, filepath.Join(corpus(t, "arc"), name))))
	for {
		var s arcSuite
		err := d.Decode(&s)
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, s)
	}
}

func (s *arcSuite) dns() records {
	r := records{}
	for name, text := range s.TXT {
		r[name] = []string{strings.TrimSpace(text)}
	}
	return r
}

// arcExceptions are cases of the ARC suite, made for a draft of December 2016, that
// RFC 8617 decides otherwise: its section 4.1.2 gives the message signature the
// syntax and meaning of a DKIM-Signature.
var arcExceptions = map[string]struct{ result, section string }{
	"ams_fields_c_na": {"fail", "signed relaxed/relaxed without c=: RFC 6376 section 3.5, the default is simple/simple"},
	// "ams_fields_h_empty" would let a chain pass that covers no header field at all.
	"ams_fields_h_empty": {"fail", "h= is empty: RFC 6376 section 3.5, the list MUST NOT be empty"},
}

func TestConformanceARCValidation(t *testing.T) {
	var cases, passed int
	var exceptions []string
	for _, suite := range arcSuites(t, "validation-tests.yml") {
		for _, c := range suite.cases(t) {
			cases++
			if t.Run(suite.Description+"/"+c.Name, func(t *testing.T) {
				chain, err := VerifyARC(t.Context(), suite.dns(), NewMessage([]byte(c.Message)), Options{})
				if err != nil {
					t.Fatal(err)
				}
				// "" is the suite's word for a chain whose newest seal says cv=fail, or whose first one
				// does: there was no value to write on. It is fail, RFC 8617 section 5.2 steps 2 and 3.
				want := strings.ToLower(strings.TrimSpace(c.CV))
				if want == "" {
					want = "fail"
				}
				if e, ok := arcExceptions[c.Name]; ok {
					if want == e.result {
						t.Error("no exception: the suite says so too")
					}
					want = e.result
				}
				if string(chain.Result) != want {
					t.Errorf("%s: %s (%v), want %s\n%s", c.Description, chain.Result, chain.Err, want, c.Message)
				}
				if (chain.Result == mailauth.Fail) != (chain.Err != nil) {
					t.Errorf("%s with error %v", chain.Result, chain.Err)
				}
			}) {
				if e, ok := arcExceptions[c.Name]; ok {
					exceptions = append(exceptions, c.Name+": "+strings.ReplaceAll(e.section, ";", ","))
				} else {
					passed++
				}
			}
		}
	}
	conformance(t, "ARC, validation of chains (ValiMail)", cases, passed, exceptions...)
}

// TestConformanceARCSigning: we do not seal; the sets that the suite expects of a
// sealer must verify on the messages that they were made for.
func TestConformanceARCSigning(t *testing.T) {
	var cases, passed int
	for _, suite := range arcSuites(t, "sign-tests.yml") {
		for _, c := range suite.cases(t) {
			cases++
			if t.Run(suite.Description+"/"+c.Name, func(t *testing.T) {
				sealed, want, reason := c.Message, mailauth.Pass, Reason("")
				if strings.TrimSpace(c.AS) != "" {
					// The sealer of the suite folds b= and bh= after it has sealed them, which the seal's
					// relaxed form would see.
					sealed = arcField("ARC-Seal", c.AS) + arcField("ARC-Message-Signature", unfoldBase64(c.AMS)) +
						arcField("ARC-Authentication-Results", c.AAR) + c.Message
				}
				if strings.Contains(sealed, "cv=fail") { // a broken chain, sealed or not to be sealed again
					want, reason = mailauth.Fail, ChainFailed
				}
				chain, err := VerifyARC(t.Context(), suite.dns(), NewMessage([]byte(sealed)), Options{})
				if err != nil {
					t.Fatal(err)
				}
				if chain.Result != want || chain.Reason != reason {
					t.Errorf("%s: %s (%v), want %s\n%s", c.Description, chain.Result, chain.Err, want, sealed)
				}
			}) {
				passed++
			}
		}
	}
	conformance(t, "ARC, sets that a sealer would write (ValiMail)", cases, passed)
}

var base64Tag = regexp.MustCompile(`\bbh?=[^;]*`)

func unfoldBase64(value string) string { return base64Tag.ReplaceAllStringFunc(value, strip) }

func arcField(name, value string) string {
	return name + ": " + strings.ReplaceAll(strings.TrimSpace(value), "\n", "\n  ") + "\n"
}

// TestConformanceChasquid: what a verifier that is in use says of its own cases.
func TestConformanceChasquid(t *testing.T) {
	dir := corpus(t, filepath.Join("dkim", "chasquid-dkim"))
	mails, err := filepath.Glob(filepath.Join(dir, "*.msg"))
	if err != nil {
		t.Fatal(err)
	}
	passed := 0
	for _, mail := range mails {
		base := strings.TrimSuffix(mail, ".msg")
		if t.Run(filepath.Base(base), func(t *testing.T) {
			r := records{}
			if text, err := os.ReadFile(base + ".dns"); err == nil {
				joined := strings.ReplaceAll(string(text), "\\\n", "")
				for line := range strings.Lines(joined) {
					if name, record, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
						r[name] = append(r[name], strings.TrimSpace(record))
					}
				}
			}
			report, err := Verify(t.Context(), r, NewMessage([]byte(read(t, mail))), Options{})
			if _, noMail := os.Stat(base + ".error"); noMail == nil {
				if !errors.Is(err, ErrHeader) {
					t.Errorf("error %v, want ErrHeader", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var want struct {
				Found, Valid int
				Results      []struct{ Domain, Selector, State, B string }
			}
			if err := json.Unmarshal([]byte(read(t, base+".result")), &want); err != nil {
				t.Fatal(err)
			}
			if len(report.Signatures) != want.Found {
				t.Fatalf("%d signatures, want %d", len(report.Signatures), want.Found)
			}
			for i, v := range report.Signatures {
				w := want.Results[i]
				b, _ := v.Tags.Get("b")
				if (v.Result == mailauth.Pass) != (w.State == "SUCCESS") {
					t.Errorf("%d: %s (%v), want %s", i, v.Result, v.Err, w.State)
				}
				// Of a field of another version chasquid says nothing; we show what can be read.
				if w.Domain != "" && (v.Domain != w.Domain || v.Selector != w.Selector || strip(b) != w.B) {
					t.Errorf("%d: %s %s %s, want %+v", i, v.Domain, v.Selector, b, w)
				}
			}
		}) {
			passed++
		}
	}
	conformance(t, "DKIM of chasquid", len(mails), passed)
}

// stalwart reads a file of the corpus: lines "name record", an empty line, the
// mail.
func stalwart(t *testing.T, name string) (records, Message) {
	t.Helper()
	head, mail, _ := strings.Cut(read(t, name), "\n\n")
	r := records{}
	for line := range strings.Lines(head) {
		name, record, _ := strings.Cut(strings.TrimSpace(line), " ")
		r[name] = []string{record}
	}
	return r, NewMessage([]byte(mail))
}

func TestConformanceStalwart(t *testing.T) {
	dir := corpus(t, filepath.Join("auth-mail", "stalwart-mail-auth"))
	mails, err := filepath.Glob(filepath.Join(dir, "dkim", "*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	passed := 0
	for _, mail := range mails {
		if t.Run("dkim/"+filepath.Base(mail), func(t *testing.T) {
			r, m := stalwart(t, mail)
			report, err := Verify(t.Context(), r, m, Options{Now: time.Unix(1667862801, 0)}) // one expires
			if err != nil || len(report.Signatures) == 0 {
				t.Fatal(report, err)
			}
			for _, v := range report.Signatures {
				if v.Result != mailauth.Pass {
					t.Errorf("%s: %s (%v)", v.Domain, v.Result, v.Err)
				}
			}
		}) {
			passed++
		}
	}
	if t.Run("arc/001.txt", func(t *testing.T) {
		r, m := stalwart(t, filepath.Join(dir, "arc", "001.txt"))
		report, chain, err := VerifyAll(t.Context(), r, m, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if chain.Result != mailauth.Pass || len(chain.Sets) != 1 || chain.OldestPass != 0 ||
			!strings.HasPrefix(chain.Sets[0].Results, "mx.google.com; dkim=pass header.i=@ietf.org") {
			t.Errorf("%s (%v), sets %+v", chain.Result, chain.Err, chain.Sets)
		}
		// Google's own words on the three signatures are in the set: pass, pass, body hash.
		var got []Reason
		for _, v := range report.Signatures {
			got = append(got, v.Reason)
		}
		if want := []Reason{"", "", BodyHash}; !slices.Equal(got, want) {
			t.Errorf("reasons %q, want %q", got, want)
		}
	}) {
		passed++
	}
	conformance(t, "DKIM and ARC of stalwart mail-auth", len(mails)+1, passed)
}
