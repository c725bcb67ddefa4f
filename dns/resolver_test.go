package dns_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/postroad/postroad/dns"
	"github.com/postroad/postroad/dns/zone"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// first and second are the addresses of servers that nobody dials.
var (
	first  = dns.Server{Address: netip.MustParseAddrPort("192.0.2.53:53")}
	second = dns.Server{Address: netip.MustParseAddrPort("198.51.100.53:53")}
	local  = dns.Server{Address: netip.MustParseAddrPort("127.0.0.1:53"), Trusted: true}
)

// over gives a resolver that asks zone data in memory.
func over(t testing.TB, data *zone.Data, o dns.Options) *dns.Resolver {
	t.Helper()
	if o.Servers == nil {
		o.Servers = []dns.Server{first}
	}
	if o.Exchange == nil {
		o.Exchange = dns.ExchangeFunc(func(ctx context.Context, _ dns.Server, network string, q []byte) ([]byte, error) {
			return data.Respond(ctx, network, q)
		})
	}
	r, err := dns.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func parse(t testing.TB, text string) *zone.Data {
	t.Helper()
	data, err := zone.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func kind(err error) dns.Kind {
	if e, ok := errors.AsType[*dns.Error](err); ok {
		return e.Kind
	}
	return ""
}

// told renders an answer in the words of testdata/answers.txt.
func told[T any](a dns.Answer[T]) (words []string) {
	words = []string{a.Status.String(), "=" + a.Canonical, a.TTL.String()}
	if a.TTL >= time.Minute {
		words[2] = strconv.Itoa(int(a.TTL.Seconds())) + "s"
	}
	if k := kind(a.Err); k != "" {
		words = append(words, "!"+string(k))
	}
	for _, record := range a.Records {
		switch v := any(record).(type) {
		case netip.Addr:
			words = append(words, v.String())
		case dns.MX:
			words = append(words, fmt.Sprintf("%d/%s", v.Preference, v.Host))
		case dns.SOA:
			words = append(words, fmt.Sprintf("%s/%s/%d/%d/%d/%d/%d",
				v.Primary, v.Mailbox, v.Serial, v.Refresh, v.Retry, v.Expire, v.Minimum))
		case dns.TLSA:
			words = append(words, fmt.Sprintf("%d/%d/%d/%x", v.Usage, v.Selector, v.MatchingType, v.Data))
		case string:
			words = append(words, v)
		}
	}
	return words
}

// ask asks by the name of the type.
func ask(ctx context.Context, r *dns.Resolver, rrtype, name string) []string {
	switch rrtype {
	case "A":
		return told(r.A(ctx, name))
	case "AAAA":
		return told(r.AAAA(ctx, name))
	case "MX":
		return told(r.MX(ctx, name))
	case "NS":
		return told(r.NS(ctx, name))
	case "CNAME":
		return told(r.CNAME(ctx, name))
	case "SOA":
		return told(r.SOA(ctx, name))
	case "TLSA":
		return told(r.TLSA(ctx, name))
	case "PTR":
		address, _ := netip.ParseAddr(name)
		return told(r.PTR(ctx, address))
	case "TXT":
		a := r.TXT(ctx, name)
		words := told(a)
		for i, text := range a.Records {
			words[len(words)-len(a.Records)+i] = `"` + strings.ReplaceAll(text, " ", "_") + `"`
		}
		return words
	}
	return nil
}

// check asks as a line of testdata/answers.txt says.
func check(t *testing.T, r *dns.Resolver, words []string) {
	got := ask(t.Context(), r, words[0], words[1])
	line := strings.Join(words, " ")
	want, records := []string{words[3]}, 0
	for _, word := range words[4:] {
		want = append(want, word)
		if _, err := time.ParseDuration(word); err != nil && word[0] != '=' && word[0] != '!' {
			records++
		}
	}
	for _, word := range want {
		if !slices.Contains(got, word) {
			t.Errorf("got %s\nwant %s: %s is missing", strings.Join(got, " "), line, word)
		}
	}
	others := 3
	if strings.HasPrefix(got[min(3, len(got)-1)], "!") {
		others++
	}
	if len(got)-others != records {
		t.Errorf("got %s\nwant %s: %d records, want %d", strings.Join(got, " "), line, len(got)-others, records)
	}
	if again := ask(t.Context(), r, words[0], words[1]); !slices.Equal(again, got) {
		t.Errorf("from the cache: %q, was %q", again, got)
	}
}

func TestAnswers(t *testing.T) {
	text, err := os.ReadFile("testdata/answers.txt")
	if err != nil {
		t.Fatal(err)
	}
	zones, cases, ok := strings.Cut(string(text), "\n====\n")
	if !ok {
		t.Fatal("no line of equals signs")
	}
	data := parse(t, zones)
	count := 0
	for line := range strings.Lines(cases) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == ';' {
			continue
		}
		words := strings.Fields(line)
		if len(words) < 4 || words[2] != "->" {
			t.Fatalf("no case: %q", line)
		}
		count++
		t.Run(words[0]+"/"+words[1], func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { check(t, over(t, data, dns.Options{}), words) })
		})
	}
	if count < 60 {
		t.Errorf("%d cases: the file was cut", count)
	}
}

func TestTXTIsBytes(t *testing.T) {
	data := parse(t, `example.com. 300 TXT "quote \" backslash \\ dot \. high \200 nul \000 end"`)
	a := over(t, data, dns.Options{}).TXT(t.Context(), "example.com")
	if want := "quote \" backslash \\ dot . high \xc8 nul \x00 end"; len(a.Records) != 1 || a.Records[0] != want {
		t.Errorf("got %q, want %q", a.Records, want)
	}
}
