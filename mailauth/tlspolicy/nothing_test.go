package tlspolicy

import (
	"crypto/x509"
	"testing"
	"time"

	"github.com/postroad/postroad/dns"
)

// TestReason: a session that need not prove anything says whether that is the domain's wish.
func TestReason(t *testing.T) {
	h := Host{Name: "mx.example.com", Domain: "example.com"}
	for state, want := range map[State]string{
		NotPublished: "no policy", Unknown: "whether there is an MTA-STS policy is not known",
		Broken: "no MTA-STS policy could be had by the record",
	} {
		r := Plan(h, DANE{}, STS{Domain: "example.com", State: state}, Rule{})
		if r.Level != LevelOpportunistic || r.Reason != want {
			t.Errorf("%v: %v, %q, want %q", state, r.Level, r.Reason, want)
		}
	}
}

// TestNothing: without a resolver nothing is known, and nothing may be concluded.
func TestNothing(t *testing.T) {
	for name, r := range map[string]Resolver{"none": nil, "a nil one": (*dns.Resolver)(nil)} {
		h := Host{Name: "mx.example.com", Domain: "example.com", MX: dns.Secure}
		if d := LookupDANE(t.Context(), r, h); d.State != DANEFailed {
			t.Errorf("%s: %+v", name, d)
		}
		if _, state, err := LookupSTSRecord(t.Context(), r, "example.com"); state != Unknown || err == nil {
			t.Errorf("%s: %v, %v", name, state, err)
		}
		if _, state, err := LookupReport(t.Context(), r, "example.com"); state != Unknown || err == nil {
			t.Errorf("%s: %v, %v", name, state, err)
		}
	}
	record := dns.TLSA{Usage: 3, Selector: 1, MatchingType: 1, Data: make([]byte, 32)}
	if _, err := VerifyDANE([]dns.TLSA{record}, nil, []*x509.Certificate{nil}, time.Now()); err == nil {
		t.Error("a certificate that is not there was proven")
	}
}
