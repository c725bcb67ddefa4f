package spf

import (
	"net/netip"
	"testing"

	"github.com/postroad/postroad/dns"
	"github.com/postroad/postroad/mailauth"
)

// TestNothing: without a resolver nothing is known, which is no answer "there is none".
func TestNothing(t *testing.T) {
	q := Query{IP: netip.MustParseAddr("192.0.2.1"), From: "anna@example.com"}
	for name, r := range map[string]Resolver{"none": nil, "a nil one": (*dns.Resolver)(nil)} {
		if v := Check(t.Context(), r, q); v.Result != mailauth.TempError || v.Err == nil {
			t.Errorf("%s: %+v", name, v)
		}
		if result, _ := SecondOpinion(t.Context(), r, q); result != mailauth.TempError {
			t.Errorf("%s: the library says %s", name, result)
		}
	}
	if found := new(Record).Lint(); len(found) != 1 || found[0].Reason != NotARecord {
		t.Errorf("no record: %+v", found)
	}
}
