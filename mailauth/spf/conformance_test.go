package spf

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/postroad/postroad/dns"
)

// suitePath is the conformance suite of RFC 7208, from this package.
var suitePath = filepath.Join("..", "..", "..", "shared", "corpus", "spf", "rfc7208-tests.yml")

// chapter is one document of the suite: tests and the zone they run on.
type chapter struct {
	Description string
	Tests       map[string]suiteCase
	ZoneData    map[string][]yaml.Node `yaml:"zonedata"`
}

type suiteCase struct {
	Helo        string
	Host        string
	MailFrom    string `yaml:"mailfrom"`
	Result      oneOrMore
	Explanation string
	Spec        oneOrMore
}

// oneOrMore is a word or a list of words.
type oneOrMore []string

func (o *oneOrMore) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind != yaml.SequenceNode {
		*o = oneOrMore{node.Value}
		return nil
	}
	for _, n := range node.Content {
		*o = append(*o, n.Value)
	}
	return nil
}

func readSuite(t testing.TB) []chapter {
	t.Helper()
	text, err := os.ReadFile(suitePath)
	if err != nil {
		t.Skip("corpus not here: " + err.Error())
	}
	var all []chapter
	for decoder := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var c chapter
		err := decoder.Decode(&c)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
}

// zone turns the zone data of a chapter into DNS. Records of type SPF are TXT
// records of a name that has no TXT of its own, as the suite asks for; "TXT:
// NONE" is no TXT. A time-out is that of all types which stand behind it or are
// not there.
func (c *chapter) zone(t testing.TB) memory {
	t.Helper()
	m := memory{}
	for name, nodes := range c.ZoneData {
		e := m.at(name)
		var asSPF []string
		hasTXT := false
		for i := range nodes {
			n := &nodes[i]
			if n.Kind == yaml.ScalarNode && n.Value == "TIMEOUT" {
				e.slow = true
				continue
			}
			if n.Kind != yaml.MappingNode || len(n.Content) != 2 {
				t.Fatalf("%s: a record that is not understood: %v", name, n)
			}
			value := n.Content[1]
			var words oneOrMore
			if err := words.UnmarshalYAML(value); err != nil {
				t.Fatal(err)
			}
			switch kind := n.Content[0].Value; kind {
			case "SPF":
				asSPF = append(asSPF, octets(strings.Join(words, "")))
			case "TXT":
				hasTXT = true
				if words[0] != "NONE" {
					e.txt = append(e.txt, octets(strings.Join(words, "")))
				}
			case "A", "AAAA":
				e.addrs = append(e.addrs, netip.MustParseAddr(words[0]))
			case "MX":
				var preference uint16
				if _, err := fmt.Sscan(words[0], &preference); err != nil {
					t.Fatal(err)
				}
				e.mx = append(e.mx, dns.MX{Preference: preference, Host: strings.ToLower(words[1])})
			case "PTR":
				e.ptr = append(e.ptr, strings.TrimSuffix(words[0], "."))
			case "CNAME":
				e.cname = words[0]
			default:
				t.Fatalf("%s: a record of type %s", name, kind)
			}
		}
		if !hasTXT && !e.slow {
			e.txt = asSPF
		}
	}
	return m
}

// octets gives the octets that YAML wrote as \xNN, which it reads as characters.
func octets(s string) string {
	b := make([]byte, 0, len(s))
	for _, r := range s {
		if r > 0xff {
			return s
		}
		b = append(b, byte(r))
	}
	return string(b)
}

func (c *suiteCase) query() Query {
	return Query{IP: netip.MustParseAddr(c.Host), Helo: c.Helo, From: c.MailFrom}
}

// fits reports what is wrong with a verdict, "" if nothing is.
func (c *suiteCase) fits(v *Verdict) string {
	if !slices.Contains(c.Result, string(v.Result)) {
		return fmt.Sprintf("got %s (%s, term %q of %s, %v), want %v", v.Result, v.Reason, v.Term, v.Record, v.Err, c.Result)
	}
	want := c.Explanation
	if want == "DEFAULT" {
		want = ""
	}
	if c.Explanation != "" && v.Explanation != want {
		return fmt.Sprintf("explanation %q, want %q", v.Explanation, want)
	}
	return ""
}

// TestConformance holds verdict and walk to all cases of the suite, with the
// explanations where it has them.
func TestConformance(t *testing.T) {
	ctx := context.Background()
	cases, checked, walked, explained, library := 0, 0, 0, 0, 0
	for _, c := range readSuite(t) {
		zone := c.zone(t)
		checker := New(Options{Resolver: zone})
		for name, test := range c.Tests {
			cases++
			t.Run(name, func(t *testing.T) {
				v := checker.Check(ctx, test.query())
				if fault := test.fits(&v); fault != "" {
					t.Errorf("check: %s", fault)
				} else {
					checked++
				}
				w := checker.Walk(ctx, test.query())
				if fault := test.fits(&w.Verdict); fault != "" {
					t.Errorf("walk: %s", fault)
				} else {
					walked++
				}
				if test.Explanation != "" {
					explained++
				}
				second, _ := SecondOpinion(ctx, zone, test.query())
				if slices.Contains(test.Result, string(second)) {
					library++
				} else {
					t.Logf("library: %s, want %v", second, test.Result)
				}
			})
		}
	}
	if cases != 203 {
		t.Errorf("the suite has %d cases, want 203", cases)
	}
	t.Logf("CONFORMANCE suite=%s cases=%d passed=%d exceptions=%s", "RFC 7208 SPF, verdict", cases, checked, "none")
	t.Logf("CONFORMANCE suite=%s cases=%d passed=%d exceptions=%s", "RFC 7208 SPF, walk with tree", cases, walked, "none")
	t.Logf("%d of the cases have an explanation; the library has %d of the %d right", explained, library, cases)
}
