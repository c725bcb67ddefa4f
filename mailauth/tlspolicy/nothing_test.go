package tlspolicy

import (
	"crypto/x509"
	"testing"
	"time"

	"github.com/postroad/postroad/dns"
)

// TestNothing: without a resolver nothing is known, and nothing may be concluded.
func TestNothing(t *testing.T) {
	for name, r := range map[string]Resolver{"none": nil, "a nil one": (*dns.Resolver)(nil)} {
		if d := LookupDANE(t.Context(), r, Host{Name: "mx.example.com", Domain: "example.com", MX: dns.Secure}); d.State != DANEFailed {
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
