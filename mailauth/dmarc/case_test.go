package dmarc

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/dns"
	"github.com/postroad/postroad/dns/zone"
	"github.com/postroad/postroad/mailauth"
)

// asking is a resolver over a zone that writes down what was asked for.
type asking struct {
	*dns.Resolver
	names []string
}

func (a *asking) TXT(ctx context.Context, name string) dns.Answer[string] {
	a.names = append(a.names, name)
	return a.Resolver.TXT(ctx, name)
}

func (a *asking) A(ctx context.Context, host string) dns.Answer[netip.Addr] {
	a.names = append(a.names, "A:"+host)
	return a.Resolver.A(ctx, host)
}

func resolve(t testing.TB, text string) *asking {
	t.Helper()
	data, err := zone.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	r, err := dns.New(dns.Options{
		Servers:  []dns.Server{{Address: netip.MustParseAddrPort("192.0.2.53:53")}},
		Attempts: 1, Timeout: 100 * time.Millisecond,
		Exchange: dns.ExchangeFunc(func(ctx context.Context, _ dns.Server, network string, query []byte) ([]byte, error) {
			return data.Respond(ctx, network, query)
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	return &asking{Resolver: r}
}

// dmarcCase is one case of testdata/*.txt: lines of a word and what belongs to it;
// lines of the zone begin with "|", wishes with "want".
type dmarcCase struct {
	name string
	zone string
	in   Input
	want [][]string
	both bool // judged by both standards
}

func readCases(t testing.TB, file string) []dmarcCase {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var all []dmarcCase
	shared := ""
	for line := range strings.Lines(string(raw)) {
		line = strings.TrimRight(line, "\n")
		word, rest, _ := strings.Cut(line, " ")
		if strings.HasPrefix(line, "#") || line == "" {
			continue
		}
		if word == "==" {
			all = append(all, dmarcCase{name: rest, zone: shared})
			continue
		}
		if len(all) == 0 { // zone lines before the first case are everybody's
			shared += rest + "\n"
			continue
		}
		c := &all[len(all)-1]
		f := strings.Fields(rest)
		switch word {
		case "|":
			c.zone += rest + "\n"
		case "from":
			c.in.From = f
		case "spf":
			c.in.SPF = Identifier{Result: mailauth.Result(f[0]), Domain: f[1]}
		case "dkim":
			c.in.DKIM = append(c.in.DKIM, Identifier{Result: mailauth.Result(f[0]), Domain: f[1]})
		case "rules":
			c.in.Rules = Rules(rest)
		case "sample":
			c.in.Sample, _ = strconv.Atoi(f[0])
		case "both":
			c.both = true
		case "want":
			c.want = append(c.want, f)
		default:
			t.Fatalf("%s: %s: what is %q?", file, c.name, line)
		}
	}
	return all
}

func TestEvaluate(t *testing.T) { runCases(t, "testdata/evaluate.txt") }

// TestConformanceRFC9989 has the examples of the standard itself.
func TestConformanceRFC9989(t *testing.T) {
	cases, passed := runCases(t, "testdata/rfc9989.txt")
	t.Logf("CONFORMANCE suite=%s cases=%d passed=%d exceptions=%s", "RFC 9989 DMARC, its examples", cases, passed, "none")
}

func runCases(t *testing.T, file string) (cases, passed int) {
	all := readCases(t, file)
	if len(all) < 25 {
		t.Fatalf("%s: %d cases", file, len(all))
	}
	for _, c := range all {
		if t.Run(c.name, c.run) {
			passed++
		}
	}
	return len(all), passed
}

func (c *dmarcCase) run(t *testing.T) {
	r := resolve(t, c.zone)
	var v Verdict
	var both Comparison
	if c.both {
		both = Compare(context.Background(), r, c.in)
		v = both.Now
	} else {
		v = Evaluate(context.Background(), r, c.in)
	}
	checkVerdict(t, v)
	if len(c.want) == 0 {
		t.Error("a case that wants nothing")
	}
	for _, want := range c.want {
		var got string
		switch want[0] {
		case "result":
			got = string(v.Result)
		case "policy":
			got = strings.TrimSpace(string(v.Policy) + " " + v.Tag)
		case "disposition":
			got = string(v.Disposition)
		case "organization":
			got = v.Discovery.Organization + " " + string(v.Discovery.Basis)
		case "at":
			got = strings.TrimSpace(v.Discovery.At + " " + string(v.Discovery.Found))
		case "asked":
			got = strings.Join(r.names, " ")
		case "others":
			got = strconv.Itoa(len(v.Others))
		case "author":
			got = v.Author
		case "align":
			for _, id := range v.Identifiers {
				got += fmt.Sprintf(" %s:%s:%s", id.Method, id.Domain, id.Alignment)
			}
			got = strings.TrimSpace(got)
		case "finding":
			got = fmt.Sprint(v.Findings)
			if slices.ContainsFunc(v.Findings, func(f Finding) bool { return f.Key == want[1] }) {
				continue
			}
		case "testing":
			got = strconv.FormatBool(v.Testing)
		case "field":
			got = strings.ReplaceAll(mailauth.Results{Methods: []mailauth.MethodResult{v.Method()}}.String(), "\r\n", "")
		case "unaligned":
			for _, f := range v.Findings {
				if f.Key == FindUnaligned {
					got = strings.TrimSpace(got + " " + f.Value)
				}
			}
		case "differs":
			for _, d := range both.Differences {
				got += " " + strings.TrimPrefix(d.Key, "dmarc.differ.") + ":" + d.Where + ":" + d.Value
			}
			got = strings.TrimSpace(got)
		default:
			t.Fatalf("what is %q?", want)
		}
		if got != strings.Join(want[1:], " ") {
			t.Errorf("%s: got %q, want %q\n%+v", want[0], got, strings.Join(want[1:], " "), v)
		}
	}
}

// checkVerdict holds for every verdict.
func checkVerdict(t testing.TB, v Verdict) {
	t.Helper()
	counts := slices.ContainsFunc(v.Identifiers, func(id Aligned) bool {
		if id.Counts && (id.Result != mailauth.Pass || id.Alignment != AlignedStrict && id.Alignment != AlignedRelaxed) {
			t.Errorf("counts, but should not: %+v", id)
		}
		if id.Counts && id.Alignment == AlignedRelaxed && id.Organization != v.Discovery.Organization {
			t.Errorf("aligned with %q, not with %q", id.Organization, v.Discovery.Organization)
		}
		return id.Counts
	})
	if len(v.Others) == 0 && (v.Result == mailauth.Pass) != counts {
		t.Errorf("result %s, but an aligned pass: %v", v.Result, counts)
	}
	switch v.Result {
	case mailauth.Pass, mailauth.Fail:
		if v.Discovery.Record == nil || v.Discovery.Record.Unusable && v.Rules == RFC9989 {
			t.Errorf("%s without a usable record", v.Result)
		}
	case mailauth.None, mailauth.TempError, mailauth.PermError:
		if len(v.Findings) == 0 {
			t.Errorf("%s without a reason", v.Result)
		}
	default:
		t.Errorf("result %q", v.Result)
	}
	if v.Result != mailauth.Fail && v.Disposition != PolicyNone {
		t.Errorf("%s and disposition %s", v.Result, v.Disposition)
	}
	if v.Disposition.rank() > v.Policy.rank() {
		t.Errorf("disposition %s is over the policy %s", v.Disposition, v.Policy)
	}
	if v.Discovery.Record != nil && v.Author != "" && !under(v.Author, v.Discovery.At) {
		t.Errorf("the record of %s is not above %s", v.Discovery.At, v.Author)
	}
	if o := v.Discovery.Organization; v.Author != "" && !under(v.Author, o) {
		t.Errorf("organisation %q is not above %q", o, v.Author)
	}
	for _, w := range append(v.Walks, v.Discovery.Walk) {
		if len(w.Steps) > MaxQueries {
			t.Errorf("%d queries", len(w.Steps))
		}
	}
	if len(v.Walks) > MaxWalks || len(v.Identifiers) > MaxIdentifiers {
		t.Errorf("bounds: %d walks, %d identifiers", len(v.Walks), len(v.Identifiers))
	}
	if got := v.Method(); got.Result != v.Result || got.Method != mailauth.DMARC {
		t.Errorf("written as %+v", got)
	}
	for _, o := range v.Others {
		checkVerdict(t, o)
	}
}
