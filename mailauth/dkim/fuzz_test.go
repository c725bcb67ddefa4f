package dkim

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/postroad/postroad/mailauth"
)

func encode(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

func FuzzParseSignature(f *testing.F) {
	f.Add("v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.com; s=rsa; t=1795348800; x=1795435200;\r\n h=from:to : subject; bh=AAAA; b=BB\r\n BB==")
	f.Add("v=1;a=ed25519-sha256;d=bücher.example;s=a.b;i=anna=40x@mail.bücher.example;l=12;q=dns/txt:x;h=From;bh=AAAA;b=AAAA;z=From:a|To:b")
	f.Add("i=1; a=rsa-sha256; cv=none; d=example.org; s=dummy; t=12345; b=AAAA")
	f.Fuzz(func(t *testing.T, value string) {
		s, err := ParseSignature(value)
		for _, k := range []kind{arcSignature, arcSeal} {
			if set, fault := parseSignature(value, k); fault == nil && (set.Instance < 1 || set.Instance > maxInstance) {
				t.Fatalf("%q: instance %d", value, set.Instance)
			}
		}
		if err != nil {
			if e, ok := err.(*Error); !ok || e.Reason == "" || e.Reason.Result() == mailauth.Pass {
				t.Fatalf("%q: error %#v", value, err)
			}
			return
		}
		if len(s.Bytes) == 0 || len(s.BodyHash) == 0 || s.Signs("from") == 0 || len(s.Headers) > maxSigned ||
			!isDomainName(s.Domain) || !isDomainName(s.Selector) || strings.ToLower(s.KeyName()) != s.KeyName() {
			t.Fatalf("%q is read as %+v", value, s)
		}
		var again strings.Builder // the tags alone say the same
		for _, tag := range s.Tags {
			again.WriteString(tag.Name + "=" + tag.Value + ";")
		}
		if r, err := ParseSignature(again.String()); err != nil || r.KeyName() != s.KeyName() || r.Identity != s.Identity || !bytes.Equal(r.Bytes, s.Bytes) {
			t.Fatalf("%q: %+v, and again %+v, %v", value, s, r, err)
		}
	})
}

// FuzzVerify: whatever comes, nothing passes that go-msgauth does not let pass too, but for
// l=, which it refuses; and what it lets pass we do, but for syntax that it does not look at.
func FuzzVerify(f *testing.F) {
	dns := keyRecords(f)
	for _, selector := range []string{"rsa", "ed"} {
		for _, raw := range []string{plain, "From: a@example.com\n\nb  \n\n"} {
			field, err := signer(f, selector).Sign(f.Context(), NewMessage([]byte(raw)))
			if err != nil {
				f.Fatal(err)
			}
			f.Add(append(field, raw...))
		}
	}
	f.Add([]byte("ARC-Seal: i=1; a=rsa-sha256; cv=none; d=example.com; s=rsa; b=AAAA\nARC-Message-Signature: i=1; a=rsa-sha256; d=example.com; s=rsa; h=from; bh=AAAA; b=AAAA\n" +
		"ARC-Authentication-Results: i=1; none\nFrom: a\n\n"))
	f.Fuzz(func(t *testing.T, mail []byte) {
		report, chain, err := VerifyAll(t.Context(), dns, NewMessage(mail), Options{Now: testTime})
		if err != nil {
			return
		}
		if chain.Result == mailauth.Pass {
			t.Fatalf("nobody has sealed %q", mail)
		}
		if strings.Count(string(mail), "\r") != strings.Count(string(mail), "\r\n") {
			return // go-msgauth takes a bare CR for white space
		}
		for i, v := range report.Signatures {
			if (v.Reason == "") != (v.Err == nil) || (v.Result == mailauth.Pass) != (v.Err == nil) {
				t.Fatalf("%q: %s, %s, %v", mail, v.Result, v.Reason, v.Err)
			}
			if i > 0 {
				continue
			}
			ours, theirs := bothVerify(t, dns, mail)
			if ours == nil && theirs != nil && v.Length < 0 && !v.Expires.Before(testTime) {
				t.Fatalf("we say pass, go-msgauth %v of %q", theirs, mail)
			}
			if ours != nil && theirs == nil && v.Reason != Syntax && v.Reason != Future {
				t.Fatalf("go-msgauth says pass, we %v of %q", ours, mail)
			}
		}
	})
}

// FuzzSign: whatever can be signed verifies.
func FuzzSign(f *testing.F) {
	f.Add([]byte(plain))
	f.Add([]byte("From:\n\n \r\n\r"))
	f.Add([]byte("X: y\r\nfrom : a\r\n b\r\nno colon\r\n\r\n\ta\r\n.\r\n"))
	s, dns := signer(f, "rsa", "ed"), keyRecords(f)
	f.Fuzz(func(t *testing.T, mail []byte) {
		field, err := s.Sign(t.Context(), NewMessage(mail))
		if err != nil {
			return
		}
		report, err := Verify(t.Context(), dns, NewMessage(append(field, mail...)), Options{Now: testTime, MaxSignatures: 2})
		if err != nil || len(report.Signatures) != 2 {
			t.Fatal(report, err)
		}
		for _, v := range report.Signatures {
			if v.Err != nil || !v.Oversigns("from") || len(v.Added) > 0 {
				t.Fatalf("%s: %v, oversigned %q, added %q: %q", v.Algorithm, v.Err, v.Oversigned, v.Added, mail)
			}
		}
	})
}

// FuzzReadMessage: reading divides a mail where dividing it in memory does, and no byte but
// the empty line is lost.
func FuzzReadMessage(f *testing.F) {
	f.Add([]byte(plain))
	f.Add([]byte("\n\n"))
	f.Add([]byte("a\r\n\r"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := ReadMessage(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		var body, same bytes.Buffer
		if _, err := body.ReadFrom(m.Body); err != nil {
			t.Fatal(err)
		}
		w := NewMessage(raw)
		if _, err := same.ReadFrom(w.Body); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(m.Header, w.Header) || !bytes.Equal(body.Bytes(), same.Bytes()) {
			t.Fatalf("%q: header %q or %q, body %q or %q", raw, m.Header, w.Header, body.Bytes(), same.Bytes())
		}
		between := bytes.TrimPrefix(bytes.TrimSuffix(raw, body.Bytes()), m.Header)
		if len(between) > 2 || strings.Trim(string(between), "\r\n") != "" {
			t.Fatalf("%q: lost %q", raw, between)
		}
	})
}
