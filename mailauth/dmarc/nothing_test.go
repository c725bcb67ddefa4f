package dmarc

import (
	"testing"

	"github.com/postroad/postroad/dns"
	"github.com/postroad/postroad/mailauth"
)

// TestNothing: without a resolver nothing is known, which is no answer "there is none".
func TestNothing(t *testing.T) {
	in := Input{From: []string{"example.com"}, SPF: Identifier{Domain: "example.com", Result: mailauth.Pass}}
	for name, r := range map[string]Resolver{"none": nil, "a nil one": (*dns.Resolver)(nil)} {
		if v := Evaluate(t.Context(), r, in); v.Result != mailauth.TempError {
			t.Errorf("%s: %+v", name, v)
		}
		if c := Compare(t.Context(), r, in); c.Older.Result != mailauth.TempError {
			t.Errorf("%s: %+v", name, c)
		}
		if i, err := LookupBIMI(t.Context(), r, "example.com", "", ""); err != nil || i.Err == nil {
			t.Errorf("%s: %+v, %v", name, i, err)
		}
		if d := ReportAuthorised(t.Context(), r, "example.com", URI{Host: "example.net"}, "rua"); d.Authorised || !d.Temporary {
			t.Errorf("%s: %+v", name, d)
		}
	}
}
