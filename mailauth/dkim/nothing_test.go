package dkim

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"testing"

	"github.com/postroad/postroad/dns"
	"github.com/postroad/postroad/mailauth"
)

// TestNothing: what is missing is an error or "not known", and never the end of the program.
func TestNothing(t *testing.T) {
	field, err := signer(t, "rsa").Sign(t.Context(), NewMessage([]byte(plain)))
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]Resolver{"none": nil, "a nil one": (*dns.Resolver)(nil)} {
		report, err := Verify(t.Context(), r, NewMessage(append(field, plain...)), Options{Now: testTime})
		if err != nil || report.Signatures[0].Result != mailauth.TempError {
			t.Errorf("%s: %+v, %v", name, report, err)
		}
	}
	if field, err := new(Signer).Sign(t.Context(), NewMessage([]byte(plain))); err == nil {
		t.Errorf("signed without a key: %q", field)
	}
	for _, private := range []crypto.Signer{
		nil, (*rsa.PrivateKey)(nil), &rsa.PrivateKey{}, ed25519.PrivateKey(nil), ed25519.PrivateKey("short"),
	} {
		if _, err := NewSigner(SignOptions{Keys: []Key{{Domain: "example.com", Selector: "s", Private: private}}}); err == nil {
			t.Errorf("took the key %#v", private)
		}
	}
}
