package dkim

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postroad/postroad/dns"
	"github.com/postroad/postroad/mailauth"
)

// TestMethod: what is written is read again as it was.
func TestMethod(t *testing.T) {
	field, err := signer(t, "rsa", "ed").Sign(t.Context(), NewMessage([]byte(plain)))
	if err != nil {
		t.Fatal(err)
	}
	sealed := seal(t, 1, "none", string(field)+strings.Replace(plain, "Lunch", "Dinner", 1))
	report, chain, err := VerifyAll(t.Context(), keyRecords(t), NewMessage([]byte(sealed)), Options{Now: testTime})
	if err != nil || len(report.Signatures) != 2 {
		t.Fatal(report, err)
	}
	written := mailauth.Results{AuthServID: "mx.example.net", Methods: []mailauth.MethodResult{
		report.Signatures[0].Method(), report.Signatures[1].Method(), chain.Method(),
	}}
	if all := report.Methods(); !reflect.DeepEqual(all, written.Methods[:2]) {
		t.Errorf("all are %+v", all)
	}
	if none := (&Report{}).Methods(); len(none) != 1 || none[0].Method != mailauth.DKIM || none[0].Result != mailauth.None {
		t.Errorf("of no signature %+v", none)
	}
	read, err := mailauth.Parse(written.String())
	if err != nil || len(read.Methods) != 3 {
		t.Fatalf("%+v, %v of %s", read, err, written)
	}
	for i, want := range []struct {
		result mailauth.Result
		name   string
		value  string
	}{{mailauth.Fail, "s", "rsa"}, {mailauth.Fail, "a", "ed25519-sha256"}, {mailauth.Pass, "oldest-pass", "0"}} {
		got := read.Methods[i]
		if value, _ := got.Property("header", want.name); got.Result != want.result || value != want.value {
			t.Errorf("%+v of\n%s, want %+v", got, written, want)
		}
	}
	if m := report.Signatures[0].Method(); m.Comment != "2048-bit key" || m.Reason != "signature" {
		t.Errorf("%+v", m)
	}
}

// TestComment: a key that was not read has no length to tell.
func TestComment(t *testing.T) {
	for _, c := range []struct {
		bits    int
		testing bool
		want    string
	}{{0, false, ""}, {0, true, "testing"}, {1024, false, "1024-bit key"}, {1024, true, "1024-bit key, testing"}} {
		v := Verification{Bits: c.bits, Testing: c.testing}
		if got := v.Method().Comment; got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// hanging is DNS that never answers.
type hanging struct{}

func (hanging) TXT(ctx context.Context, name string) dns.Answer[string] {
	<-ctx.Done()
	return dns.Answer[string]{Name: name, Status: dns.Failed, Err: ctx.Err()}
}

// TestHangingDNS: when the caller's time is over nothing goes on.
func TestHangingDNS(t *testing.T) {
	field, err := signer(t, "rsa", "ed").Sign(t.Context(), NewMessage([]byte(plain)))
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) { // it waits for all goroutines of the bubble
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		begin := time.Now()
		_, err := Verify(ctx, hanging{}, NewMessage(append(field, plain...)), Options{Now: testTime})
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != 10*time.Second {
			t.Errorf("after %v: %v", time.Since(begin), err)
		}
	})
}
