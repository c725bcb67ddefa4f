package world

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/dns"
	"github.com/postroad/postroad/dns/zone"
)

// example reads a documented scenario. Its clock stands, so that the test can
// be at each hour of it.
func example(t *testing.T, name string) *World {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "examples", "world", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s, err := ReadScenario(f)
	if err != nil {
		t.Fatal(err)
	}
	s.Clock.Speed = new(float64)
	return begin(t, s, Options{})
}

// TestExamplesAreTested: each scenario has a test here.
func TestExamplesAreTested(t *testing.T) {
	files, err := filepath.Glob("../examples/world/*.toml")
	if err != nil || len(files) < 4 {
		t.Fatalf("%d scenarios, %v", len(files), err)
	}
	own, err := os.ReadFile("examples_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !strings.Contains(string(own), `"`+filepath.Base(f)+`"`) {
			t.Errorf("%s has no test", f)
		}
	}
}

func TestYahooSTARTTLS(t *testing.T) {
	w := example(t, "yahoo-starttls.toml")
	hit, spared := "198.51.100.7", "203.0.113.7"
	try := func(source, address string) string {
		return delivery{source: source, host: address, plain: true, to: []string{"usuario@yahoo.example"}}.try(t.Context(), w)
	}
	secure := func(source, address string) string {
		d := delivery{source: source, host: address, to: []string{"usuario@yahoo.example"}, id: "<" + address + source + w.Now().String() + "@bakery.example>"}
		d.tls = w.clientTLS("mx1.yahoo.example")
		return d.try(t.Context(), w)
	}
	bad := []string{"192.0.2.73", "192.0.2.74"}
	for _, hours := range []int{0, 2, 27} { // before, in the middle, after
		w.Advance(time.Duration(hours)*time.Hour - w.Now().Sub(w.Clock().Start()))
		if hours == 27 {
			w.Advance(2 * time.Hour)
		}
		for _, a := range bad {
			want := "delivered"
			if hours == 2 {
				want = "starttls lost"
			}
			if got := secure(hit, a); got != want {
				t.Errorf("hour %d, %s: %s, want %s", hours, a, got, want)
			}
			if got := secure(spared, a); got != "delivered" {
				t.Errorf("hour %d, %s from elsewhere: %s", hours, a, got)
			}
		}
		if got := secure(hit, "192.0.2.71"); got != "delivered" {
			t.Errorf("hour %d, another address: %s", hours, got)
		}
	}
	if got := try(hit, "192.0.2.73"); got != "delivered" {
		t.Errorf("without TLS: %s", got)
	}
	truth := w.Truth()
	if n := truth.Count(Cause{Provider: "yahoo", Kind: Cut, Stage: "starttls", Reason: "closes at STARTTLS"}); n != 2 {
		t.Errorf("%d cuts in the truth", n)
	}
}

func TestGreylistingAndLimits(t *testing.T) {
	w := example(t, "greylisting.toml")
	grey := delivery{host: "mail.smith.example", to: []string{"john@smith.example"}}
	expect(t, w, grey, "rcpt 450")
	w.Advance(6 * time.Minute)
	expect(t, w, grey, "delivered")
	expect(t, w, delivery{host: "mail.smith.example", to: []string{"nobody@smith.example"}}, "rcpt 450")
	w.Advance(6 * time.Minute)
	expect(t, w, delivery{host: "mail.smith.example", to: []string{"nobody@smith.example"}}, "rcpt 550")
	for i := range 51 {
		want := "delivered"
		if i == 50 {
			want = "mail 451"
		}
		expect(t, w, delivery{host: "mx.outlook.example", to: []string{"a@hotmail.example"}, plain: true}, want)
	}
	w.Advance(time.Hour)
	expect(t, w, delivery{host: "mx.outlook.example", to: []string{"a@hotmail.example"}}, "delivered")
}

func TestCertificatesAndPolicies(t *testing.T) {
	w := example(t, "certificates.toml")
	host := func(name string) delivery {
		return delivery{host: "mx." + name + ".example", to: []string{"a@" + name + ".example"}}
	}
	tlsa := func(name string) dns.Answer[dns.TLSA] {
		r, err := dns.New(w.Resolver())
		if err != nil {
			t.Fatal(err)
		}
		return r.TLSA(t.Context(), "_25._tcp.mx."+name+".example")
	}
	policy := func(ctx context.Context, name string) string {
		status, _, body, err := fetch(ctx, t, w, name+".example")
		if err != nil {
			t.Error(err)
		}
		_, rest, _ := strings.Cut(body, "mx: ")
		mx, _, _ := strings.Cut(rest, "\r\n")
		return fmt.Sprint(status, " ", mx)
	}
	right := tlsa("dane-broken")
	expect(t, w, host("expired"), "delivered")
	w.Advance(90 * time.Minute)
	expect(t, w, host("right"), "delivered")
	expect(t, w, host("expired"), "tls lost")
	expect(t, w, host("stripped"), "delivered") // in clear
	wrong := tlsa("dane-broken")
	if string(right.Records[0].Data) == string(wrong.Records[0].Data) || tlsa("right").Security != dns.Secure {
		t.Error("TLSA records")
	}
	if got := policy(t.Context(), "sts-broken"); got != "200 old.sts-broken.example" {
		t.Error(got)
	}
	w.Advance(time.Hour)
	if got := policy(t.Context(), "sts-broken"); got != "302 " {
		t.Error(got)
	}
	if tlsa("dane-broken").Status != dns.Failed {
		t.Error("TLSA records that cannot be looked up")
	}
	w.Advance(time.Hour)
	expect(t, w, host("expired"), "delivered")
	last := w.Truth().Accepted
	for _, e := range last {
		if e.Recipient == "a@stripped.example" && e.TLS != "" {
			t.Error("TLS where none is offered")
		}
	}
}

func TestOrdinaryDay(t *testing.T) {
	w := example(t, "ordinary-day.toml")
	w.Advance(5 * time.Hour) // 11:00
	for _, c := range []struct{ host, to, want string }{
		{"gmail-smtp-in.google.example", "anna@gmail.example", "delivered"},
		{"gmail-smtp-in.google.example", "full@gmail.example", "rcpt 452"},
		{"mta5.am0.yahoodns.example", "usuario@yahoo.example", "delivered"},
		{"mx.cafe.example", "info@cafe.example", "delivered"},
		{"mx.cafe.example", "otto@cafe.example", "rcpt 550"},
	} {
		expect(t, w, delivery{host: c.host, to: []string{c.to}}, c.want)
	}
	r, err := dns.New(w.Resolver())
	if err != nil {
		t.Fatal(err)
	}
	if x := r.PTR(t.Context(), netip.MustParseAddr("198.51.100.7")); len(x.Records) != 1 || x.Records[0] != "mail.bakery.example" {
		t.Errorf("PTR %+v", x)
	}
	if x := r.TXT(t.Context(), "bakery.example"); len(x.Records) != 1 {
		t.Errorf("SPF %+v", x)
	}
}

// TestMaybeDelivered: what the sender cannot know, the truth does; sending
// again makes copies at the one and saves the mail at the other.
func TestMaybeDelivered(t *testing.T) {
	w := example(t, "maybe-delivered.toml")
	uncertain := map[string][]string{}
	for i := range 40 {
		for _, name := range []string{"kept", "lost"} {
			id := fmt.Sprintf("<%d@bakery.example>", i)
			got := delivery{host: "mx." + name + ".example", to: []string{"a@" + name + ".example"}, id: id, plain: true}.try(t.Context(), w)
			switch got {
			case "delivered":
			case "final lost uncertain":
				uncertain[name] = append(uncertain[name], id)
			default:
				t.Fatal(got)
			}
		}
	}
	if len(uncertain["kept"]) == 0 || len(uncertain["lost"]) == 0 {
		t.Fatalf("uncertain %v", uncertain)
	}
	truth := w.Truth()
	for name, ids := range uncertain {
		for _, id := range ids {
			if got := truth.Delivered(id, "a@"+name+".example"); (got == 1) != (name == "kept") {
				t.Errorf("%s at %s: arrived %d times", id, name, got)
			}
		}
	}
	for _, id := range uncertain["kept"][:1] {
		for range 20 { // until it is taken with a reply
			if (delivery{host: "mx.kept.example", to: []string{"a@kept.example"}, id: id, plain: true}).try(t.Context(), w) == "delivered" {
				break
			}
		}
	}
	truth = w.Truth()
	if len(truth.Again) != 1 || truth.Again[0].Recipient != "a@kept.example" {
		t.Errorf("duplicates %v", truth.Again)
	}
}

// TestTheReferenceIsRight reads the scenario of docs/world.md, and wants every
// key of a temper told of there.
func TestTheReferenceIsRight(t *testing.T) {
	page, err := os.ReadFile("../docs/world.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```toml\n")
	text, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("no scenario in docs/world.md")
	}
	scenario(t, text)
	for _, typ := range []reflect.Type{reflect.TypeFor[Scenario](), reflect.TypeFor[Provider](), reflect.TypeFor[Host](),
		reflect.TypeFor[Mailbox](), reflect.TypeFor[Temper](), reflect.TypeFor[STS](), reflect.TypeFor[Change]()} {
		for f := range typ.Fields() {
			if key := f.Tag.Get("toml"); key != "" && !strings.Contains(string(page), "`"+key) && !strings.Contains(string(page), key+" = ") &&
				!strings.Contains(string(page), "[["+key) && !strings.Contains(string(page), "."+key+"]]") {
				t.Errorf("docs/world.md does not tell of %s.%s", typ.Name(), key)
			}
		}
	}
	for do := range needs {
		if !strings.Contains(string(page), "`"+do+"`") {
			t.Errorf("docs/world.md does not tell of do = %q", do)
		}
	}
	for _, words := range [][]string{stsTroubles, daneKinds, mailboxKinds, certificates} {
		for _, word := range words {
			if word != "" && !strings.Contains(string(page), "`"+word+"`") {
				t.Errorf("docs/world.md does not tell of %q", word)
			}
		}
	}
	for _, word := range zone.Faults() {
		if !strings.Contains(string(page), "`"+string(word)+"`") {
			t.Errorf("docs/world.md does not tell of $ANSWER %s", word)
		}
	}
	for _, stage := range stages {
		if !strings.Contains(string(page), "`"+string(stage)+"`") {
			t.Errorf("docs/world.md does not tell of at = %q", stage)
		}
	}
}
