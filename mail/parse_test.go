package mail_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/postroad/postroad/mail"
)

func TestParseAddress(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"a@example.com", "a@example.com"},
		{" <A.B@Example.COM> ", "A.B@Example.COM"},
		{"rfc822; usuario@yahoo.com", "usuario@yahoo.com"},
		{"utf-8;jürgen@exämple.com", "jürgen@exämple.com"},
		{"<@relay.example,@other.example:a@example.com>", "a@example.com"},
		{"a@example.com.", "a@example.com"},
		{`"a b@c"@example.com`, `"a b@c"@example.com`},
		{`"a\"b"@example.com`, `"a\"b"@example.com`},
		{"bounce+a=b.example@lists.example", "bounce+a=b.example@lists.example"},
		{"a@[192.0.2.1]", "a@[192.0.2.1]"},
		{"a..b@example.com", "a..b@example.com"}, // not by the grammar, but in the mail
		{"x-local;root@example.com", ""},         // not an address type of mail
		{"postmaster", ""},
		{"@example.com", ""},
		{"a@", ""},
		{"a b@example.com", ""},
		{"a@exa mple.com", ""},
		{"a@.example.com", ""},
		{"a@example.com..", ""},
		{"<>", ""},
		{"", ""},
		{strings.Repeat("a", mail.MaxAddress) + "@example.com", ""},
	} {
		got, err := mail.ParseAddress(c.in)
		if got.String() != c.want || (err != nil) != (c.want == "") {
			t.Errorf("ParseAddress(%.60q) = %q, %v, want %q", c.in, got, err, c.want)
		}
	}
}

func TestAddressForms(t *testing.T) {
	a := mail.Address{Local: "A.Person", Domain: "Example.COM"}
	if a.Key() != "a.person@example.com" || a.Masked() != "***@Example.COM" || a.IsNull() {
		t.Errorf("key %q, masked %q, null %t", a.Key(), a.Masked(), a.IsNull())
	}
	if local := (mail.Address{Local: "root"}); local.String() != "root" || local.Masked() != "***" {
		t.Errorf("a local name is %q, masked %q", local, local.Masked())
	}
	if null := (mail.Address{}); !null.IsNull() || null.String() != "" {
		t.Errorf("the null reverse-path is %q, null %t", null, null.IsNull())
	}
	if got := mail.NormalDomain(" MX.Example.COM. "); got != "mx.example.com" {
		t.Errorf("NormalDomain gives %q", got)
	}
}

func TestParseReply(t *testing.T) {
	for _, c := range []struct {
		in      string
		want    string
		outcome mail.Outcome
	}{
		{"421 4.4.2 Connection dropped due to SocketError", "421 4.4.2 Connection dropped due to SocketError", mail.Temporary},
		{"421 421 RP-001 (BLU004) Unfortunately", "421 RP-001 (BLU004) Unfortunately", mail.Temporary},
		{"550-5.7.26 This mail\r\n550-5.7.26 is not\r\n550 5.7.26 authenticated", "550 5.7.26 This mail is not authenticated", mail.Permanent},
		{"550-5.1.1 one\n550 two", "550 5.1.1 one two", mail.Permanent},
		{"250 ok", "250 ok", mail.Delivered},
		{"5.1.1 no such user", "5.1.1 no such user", mail.Permanent},
		{"550 192.0.2.1 is listed", "550 192.0.2.1 is listed", mail.Permanent},
		{"550 5.7.606.1 version", "550 5.7.606.1 version", mail.Permanent},
		{"354 go ahead", "354 go ahead", ""},
		{"connection timed out", "connection timed out", ""},
		{"5500 apples", "5500 apples", ""},
		{"", "", ""},
	} {
		r := mail.ParseReply(c.in)
		if r.String() != c.want || r.Outcome() != c.outcome {
			t.Errorf("ParseReply(%q) = %q, %q, want %q, %q", c.in, r, r.Outcome(), c.want, c.outcome)
		}
	}
}

func TestParseEnhanced(t *testing.T) {
	for _, c := range []struct{ in, want, rest string }{
		{"5.7.1 no", "5.7.1", " no"},
		{"4.7.650", "4.7.650", ""},
		{"5.7.1.", "5.7.1", "."},
		{"5.7.1234", "", "5.7.1234"},
		{"5.7.1.2", "", "5.7.1.2"}, // an address
		{"3.7.1", "", "3.7.1"},
		{"5.7", "", "5.7"},
		{"5..1 x", "", "5..1 x"},
	} {
		e, rest, ok := mail.ParseEnhanced(c.in)
		if e.String() != c.want || rest != c.rest || ok != (c.want != "") {
			t.Errorf("ParseEnhanced(%q) = %q, %q, %t, want %q, %q", c.in, e, rest, ok, c.want, c.rest)
		}
	}
}

// A class without its defaults would be retried "" by "".
func TestEachClassHasDefaults(t *testing.T) {
	for _, class := range mail.Classes {
		if !class.Valid() || !slices.Contains(mail.Retries[:], class.Retry()) || !slices.Contains(mail.Actors[:], class.Actor()) {
			t.Errorf("%s: valid %t, retry %q, actor %q", class, class.Valid(), class.Retry(), class.Actor())
		}
	}
	if mail.Class("spam").Valid() {
		t.Error("an invented class is valid")
	}
	if mail.RetryByCode(mail.Permanent) != mail.RetryAfterFix || mail.RetryByCode(mail.Temporary) != mail.RetryLater {
		t.Error("an unknown permanent reply needs a change, a temporary one is tried later")
	}
}

func FuzzParseAddress(f *testing.F) {
	for _, seed := range []string{"a@example.com", "<@r.example:a@b.example>", `"a@b\""@c.example`, "rfc822;x@y", "utf-8; ü@ü"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := mail.ParseAddress(s)
		if err != nil {
			if a != (mail.Address{}) {
				t.Fatalf("an error and %+v", a)
			}
			return
		}
		if a.Local == "" || a.Domain == "" || len(a.String()) > mail.MaxAddress || strings.ContainsAny(a.String(), "\r\n\x00") {
			t.Fatalf("%q gives %+v", s, a)
		}
		if again, err := mail.ParseAddress("<" + a.String() + ">"); err != nil || again != a {
			t.Fatalf("%q gives %+v, its own form %+v, %v", s, a, again, err)
		}
	})
}

func FuzzParseReply(f *testing.F) {
	for _, seed := range []string{
		"421 421 RP-001", "550-5.7.26 a\r\n550 5.7.26 b", "5.1.1 550 x", "550", "x\n550 5.1.1", "550 5.1.1\r421 y", "250-\n\n250 ok",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r := mail.ParseReply(s)
		if len(r.String()) > mail.MaxReply || r.Code != 0 && (r.Code < 200 || r.Code > 599) {
			t.Fatalf("%q gives %+v", s, r)
		}
		if slices.Contains(r.Lines, "") || strings.ContainsAny(r.Text(), "\r\n") {
			t.Fatalf("%q gives lines %q", s, r.Lines)
		}
		again := mail.ParseReply(r.String())
		if again.Code != r.Code || again.Enhanced != r.Enhanced || again.String() != r.String() {
			t.Fatalf("%q gives %q, its own form %q", s, r, again)
		}
	})
}
