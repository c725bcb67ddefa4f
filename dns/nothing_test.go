package dns_test

import (
	"testing"

	"github.com/postroad/postroad/dns"
)

// TestNothing: a nil resolver, as a caller passes it on that was never given one, knows nothing. That
// must not end the program, and must not look like an absence.
func TestNothing(t *testing.T) {
	var r *dns.Resolver
	if a := r.TXT(t.Context(), "example.com"); a.Status != dns.Failed || a.Err == nil {
		t.Errorf("%+v", a)
	}
	r.Forget()
	if trust := append(r.SelfTest(t.Context()), r.Trust()...); trust != nil {
		t.Errorf("trusts %+v", trust)
	}
}
