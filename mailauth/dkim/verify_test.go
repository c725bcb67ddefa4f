package dkim

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/postroad/postroad/dns"
	"github.com/postroad/postroad/mailauth"
)

const plain = "From: Anna <anna@example.com>\r\nTo: Ben <ben@example.net>\r\nSubject: Lunch\r\n" +
	"Date: Sun, 22 Nov 2026 12:00:00 +0000\r\nMessage-ID: <1@example.com>\r\n\r\nAt noon?\r\n\r\nAnna\r\n"

// sign signs by hand, so that a test can have any tags. tags is what stands before
// bh= and b=.
func sign(t testing.TB, tags, header, text string) string {
	t.Helper()
	private, edwards := testKeys(t)
	s, _ := parseSignature(tags, dkimSignature)
	b := newBody(s.BodyCanon, sha256.New(), s.Length)
	if err := hashBody(t.Context(), strings.NewReader(text), []*body{b}); err != nil {
		t.Fatal(err)
	}
	field := "DKIM-Signature: " + tags + "; bh=" + base64.StdEncoding.EncodeToString(b.sum()) + "; b="
	list, _, err := fields(nil, []byte(field+"\r\n"+header))
	if err != nil {
		t.Fatal(err)
	}
	e := examination{fields: list, desk: &desk{fields: list}}
	sum := e.headerHash(&check{Verification: &Verification{Signature: s}})
	var key crypto.Signer = private
	how := crypto.SHA256
	if strings.Contains(tags, "ed25519") {
		key, how = edwards, 0
	}
	signature, err := key.Sign(rand.Reader, sum[:], how)
	if err != nil {
		t.Fatal(err)
	}
	return field + base64.StdEncoding.EncodeToString(signature) + "\r\n" + header + "\r\n" + text
}

// TestReasons makes one fault at a time.
func TestReasons(t *testing.T) {
	const good = "v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.com; s=rsa; t=1795348800; h=from:to:subject"
	header, body, _ := strings.Cut(plain, "\r\n\r\n")
	header += "\r\n"
	rsaKey := keyRecords(t)["rsa._domainkey.example.com"][0]
	p := rsaKey[strings.Index(rsaKey, "p="):]
	signed := sign(t, good, header, body)
	tags := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatal("not in it: ", old)
		}
		return sign(t, strings.Replace(good, old, new, 1), header, body)
	}
	change := func(old, new string) string {
		if !strings.Contains(signed, old) {
			t.Fatal("not in it: ", old)
		}
		return strings.Replace(signed, old, new, 1)
	}
	key := func(records ...string) []string { return append([]string{}, records...) }
	partial := sign(t, good+"; l=8", header, body)

	for _, c := range []struct {
		name   string
		mail   string
		key    []string // nil: the right one
		want   Reason
		result mailauth.Result
	}{
		{"right", signed, nil, "", mailauth.Pass},
		{"right with LF", strings.ReplaceAll(signed, "\r\n", "\n"), nil, "", mailauth.Pass},
		{"right, simple", tags("c=relaxed/relaxed", "c=simple/simple"), nil, "", mailauth.Pass},
		{"right, no c=", tags("c=relaxed/relaxed; ", ""), nil, "", mailauth.Pass},
		{"right, no t=", tags("t=1795348800; ", ""), nil, "", mailauth.Pass},
		{"right, unknown tags", sign(t, good+"; zz=1; r=y", header, body), nil, "", mailauth.Pass},
		{"right, i= under d=", tags("s=rsa", "s=rsa; i=anna=3Btwo@mail.example.com"), nil, "", mailauth.Pass},
		{"right, upper case", tags("d=example.com", "d=EXAMPLE.com"), nil, "", mailauth.Pass},
		{"right, Ed25519", sign(t, strings.NewReplacer("rsa-", "ed25519-", "s=rsa", "s=ed").Replace(good), header, body), nil, "", mailauth.Pass},
		{"right, something else at the name", signed, key("v=spf1 -all", rsaKey), "", mailauth.Pass},
		{"right, something else behind the key", signed, key(rsaKey, "v=spf1 -all"), "", mailauth.Pass},
		{"right, key without v= and k=", signed, key(p), "", mailauth.Pass},
		{"right, key for all", signed, key("v=DKIM1; s=*; h=sha1:sha256; t=y:s; n=a=20note; " + p), "", mailauth.Pass},
		{"right, x= ahead", tags("t=1795348800", "t=1795348800; x=1795435200"), nil, "", mailauth.Pass},
		{"right, x= just past", tags("t=1795348800", "t=1795262400; x=1795348700"), nil, "", mailauth.Pass},
		{"right, t= just ahead", tags("t=1795348800", "t=1795348900"), nil, "", mailauth.Pass},
		{"right, several q=", tags("s=rsa", "s=rsa; q=x/y:dns/txt"), nil, "", mailauth.Pass},
		{"right, padding left out", strings.Replace(signed, "==\r\n", "\r\n", 1), nil, "", mailauth.Pass},
		{"partial", partial + "More.\r\n", nil, "", mailauth.Pass},

		{"tag twice", change("d=example.com;", "d=example.com; d=example.com;"), nil, Syntax, mailauth.Neutral},
		{"tag without =", change("s=rsa;", "s;"), nil, Syntax, mailauth.Neutral},
		{"empty tag", change("s=rsa;", "s=rsa;;"), nil, Syntax, mailauth.Neutral},
		{"name of a tag", change("s=rsa;", "s=rsa; 1=2;"), nil, Syntax, mailauth.Neutral},
		{"NUL", change("s=rsa;", "s=rsa; z=\x00;"), nil, Syntax, mailauth.Neutral},
		{"t= empty", change("t=1795348800", "t="), nil, Syntax, mailauth.Neutral},
		{"t= of 13 digits", change("t=1795348800", "t=1795348800000"), nil, Syntax, mailauth.Neutral},
		{"x= before t=", tags("t=1795348800", "t=1795348800; x=1795348800"), nil, Syntax, mailauth.Neutral},
		{"b= no base64", change("; b=", "; b=%"), nil, Syntax, mailauth.Neutral},
		{"bh= empty", change("bh=", "bh=; zz="), nil, Syntax, mailauth.Neutral},
		{"d= no name", change("d=example.com", "d=example..com"), nil, Syntax, mailauth.Neutral},
		{"d= a TLD", change("d=example.com", "d=com"), nil, Syntax, mailauth.Neutral},
		{"l= no number", change("s=rsa;", "s=rsa; l=-1;"), nil, Syntax, mailauth.Neutral},
		{"i= without @", change("s=rsa;", "s=rsa; i=example.com;"), nil, Syntax, mailauth.Neutral},
		{"version", change("v=1", "v=2"), nil, Version, mailauth.Neutral},
		{"version of something else", change("v=1;", "v=2; new syntax;"), nil, Version, mailauth.Neutral},
		{"no version", change("v=1; ", ""), nil, TagMissing, mailauth.Neutral},
		{"no selector", change(" s=rsa;", ""), nil, TagMissing, mailauth.Neutral},
		{"unknown algorithm", change("rsa-sha256", "rsa-sha512"), nil, Algorithm, mailauth.Neutral},
		{"case of the algorithm", change("rsa-sha256", "RSA-SHA256"), nil, Algorithm, mailauth.Neutral},
		{"sha1", change("rsa-sha256", "rsa-sha1"), nil, SHA1, mailauth.Policy},
		{"canonicalization", change("relaxed/relaxed", "relaxed/nofws"), nil, Canonicalizing, mailauth.Neutral},
		{"query", change("s=rsa;", "s=rsa; q=http;"), nil, Query, mailauth.Neutral},
		{"i= elsewhere", change("s=rsa;", "s=rsa; i=@example.org;"), nil, IdentityForeign, mailauth.PermError},
		{"i= looks alike", change("s=rsa;", "s=rsa; i=@badexample.com;"), nil, IdentityForeign, mailauth.PermError},
		{"From", tags("h=from:to:subject", "h=to:subject"), nil, FromUnsigned, mailauth.PermError},
		{"h= empty", change("h=from:to:subject", "h="), nil, FromUnsigned, mailauth.PermError},
		{"future", tags("t=1795348800", "t=1795352400"), nil, Future, mailauth.Policy},

		{"DNS failed", signed, key("!failed"), KeyUnavailable, mailauth.TempError},
		{"DNS bogus", signed, key("!bogus"), KeyUnavailable, mailauth.TempError},
		{"no record", signed, key(), KeyAbsent, mailauth.PermError},
		{"no name", change("s=rsa", "s=other"), nil, KeyAbsent, mailauth.PermError},
		{"two keys", signed, key(rsaKey, rsaKey), KeySeveral, mailauth.PermError},
		{"a key and a revoked one", signed, key("p=", rsaKey), KeySeveral, mailauth.PermError},
		{"key version", signed, key("v=DKIM2; " + p), KeyVersion, mailauth.PermError},
		{"key version not first", signed, key("k=rsa; v=DKIM1; " + p), KeyVersion, mailauth.PermError},
		{"no p=", signed, key("v=DKIM1; k=rsa"), KeySyntax, mailauth.PermError},
		{"not a key", signed, key("hello"), KeySyntax, mailauth.PermError},
		{"empty record", signed, key(""), KeySyntax, mailauth.PermError},
		{"cut key", signed, key(rsaKey[:len(rsaKey)-40]), KeySyntax, mailauth.PermError},
		{"quoted key", signed, key(`"` + rsaKey + `"`), KeySyntax, mailauth.PermError},
		{"long key record", signed, key(rsaKey + "; n=" + strings.Repeat("x", maxKeyRecord)), KeySyntax, mailauth.PermError},
		{"revoked", signed, key("v=DKIM1; p="), KeyRevoked, mailauth.PermError},
		{"service", signed, key("v=DKIM1; s=tlsrpt; " + p), KeyService, mailauth.PermError},
		{"hash", signed, key("v=DKIM1; h=sha1; " + p), KeyHash, mailauth.PermError},
		{"type", signed, keyRecords(t)["ed._domainkey.example.com"], KeyType, mailauth.PermError},
		{"unknown type", signed, key("v=DKIM1; k=mldsa; " + p), KeyType, mailauth.PermError},
		{"short", signed, key("v=DKIM1; p=MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAKj34GkxFhD90vcNLYLInFEX6Ppy1tPf9Cnzj4p4WGeKLs1Pt8QuKUpRKfFLfRYC9AIKjbJTWit+CqvjWYzvQwECAwEAAQ=="),
			KeyShort, mailauth.Policy},
		{"strict", tags("s=rsa", "s=rsa; i=@mail.example.com"), key("v=DKIM1; t=s; " + p), KeyStrict, mailauth.PermError},

		{"l= beyond", sign(t, good+"; l=1000", header, body), nil, LengthBeyondBody, mailauth.Fail},
		{"l= a monster", change("s=rsa;", "s=rsa; l="+strings.Repeat("9", 76)+";"), nil, LengthBeyondBody, mailauth.Fail},
		{"body", signed + "PS\r\n", nil, BodyHash, mailauth.Fail},
		{"body in the first bytes of l=", strings.Replace(partial, "At noon", "At dawn", 1), nil, BodyHash, mailauth.Fail},
		{"header", change("Subject: Lunch", "Subject: Dinner"), nil, HeaderSignature, mailauth.Fail},
		{"field on top of the signed one", "Subject: Dinner\r\n" + signed, nil, "", mailauth.Pass}, // and not oversigned
		{"field below the signed one", change("\r\n\r\n", "\r\nSubject: Dinner\r\n\r\n"), nil, HeaderSignature, mailauth.Fail},
		{"tag", change("d=example.com;", "d=example.com; zz=1;"), nil, HeaderSignature, mailauth.Fail},
		{"another key", signed, key("v=DKIM1; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB"),
			HeaderSignature, mailauth.Fail},
		{"expired", tags("t=1795348800", "t=1795262400; x=1795348000"), nil, Expired, mailauth.Fail},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := keyRecords(t)
			if c.key != nil {
				r["rsa._domainkey.example.com"] = c.key
			}
			for _, wrap := range []func(string) Message{
				func(mail string) Message { return NewMessage([]byte(mail)) },
				func(mail string) Message {
					m, err := ReadMessage(iotest.HalfReader(strings.NewReader(mail)))
					if err != nil {
						t.Fatal(err)
					}
					return m
				},
			} {
				report, err := Verify(t.Context(), r, wrap(c.mail), Options{Now: testTime})
				if err != nil || len(report.Signatures) != 1 {
					t.Fatal(report, err)
				}
				v := report.Signatures[0]
				if v.Reason != c.want || v.Result != c.result {
					t.Errorf("%s, %s (%v), want %s, %s", v.Result, v.Reason, v.Err, c.result, c.want)
				}
				if (v.Err == nil) != (v.Reason == "") {
					t.Errorf("reason %q with error %v", v.Reason, v.Err)
				}
				var e *Error
				if v.Err != nil && (!errors.As(v.Err, &e) || e.Reason != v.Reason) {
					t.Errorf("error %#v", v.Err)
				}
				if v.Reason != "" && c.want != Version && v.Domain != "example.com" && !strings.HasPrefix(c.name, "d=") {
					t.Errorf("the domain is not shown: %+v", v.Signature)
				}
			}
		})
	}
}

// TestCoversOtherSignatures: h= may have DKIM-Signature for others, never for itself (RFC 6376
// section 3.5).
func TestCoversOtherSignatures(t *testing.T) {
	header, body, _ := strings.Cut(plain, "\r\n\r\n")
	const tags = "v=1; a=rsa-sha256; d=example.com; s=rsa; h=from:dkim-signature:dkim-signature"
	mail := sign(t, tags, "DKIM-Signature: v=1; of another\r\n"+header+"\r\n", body)
	for _, c := range []struct {
		mail string
		want Reason
	}{{mail, ""}, {strings.Replace(mail, "of another", "of a third", 1), HeaderSignature}} {
		report, err := Verify(t.Context(), keyRecords(t), NewMessage([]byte(c.mail)), Options{Now: testTime})
		if err != nil || len(report.Signatures) != 2 || report.Signatures[0].Reason != c.want {
			t.Error(report, err)
		}
	}
}

// counting counts the questions, which come from several goroutines.
type counting struct{ questions chan string }

func (c counting) TXT(_ context.Context, name string) dns.Answer[string] {
	c.questions <- name
	return dns.Answer[string]{Name: name, Status: dns.Absent}
}

// TestBoundedQuestions: what one message can make us ask has an end, and each name is asked
// for once.
func TestBoundedQuestions(t *testing.T) {
	var mail strings.Builder
	for i := 1; i <= maxInstance; i++ {
		cv := "pass"
		if i == 1 {
			cv = "none"
		}
		fmt.Fprintf(&mail, "ARC-Seal: i=%d; a=rsa-sha256; cv=%s; d=example.com; s=seal%d; b=AAAA\r\n"+
			"ARC-Message-Signature: i=%d; a=rsa-sha256; d=example.com; s=message%d; h=from; bh=AAAA; b=AAAA\r\n"+
			"ARC-Authentication-Results: i=%d; none\r\n", i, cv, i, i, i, i)
	}
	for range 3 {
		mail.WriteString("DKIM-Signature: v=1; a=rsa-sha256; d=example.com; s=same; h=from; bh=AAAA; b=AAAA\r\n")
	}
	c := counting{make(chan string, 1000)}
	if _, _, err := VerifyAll(t.Context(), c, NewMessage([]byte(mail.String())), Options{}); err != nil {
		t.Fatal(err)
	}
	close(c.questions)
	asked := map[string]int{}
	for name := range c.questions {
		asked[name]++
	}
	if len(asked) != maxKeys || asked["same._domainkey.example.com"] != 1 {
		t.Errorf("%d names were asked for: %v", len(asked), asked)
	}
}

func TestVerificationShows(t *testing.T) {
	header, body, _ := strings.Cut(plain, "\r\n\r\n")
	mail := sign(t, "v=1; a=rsa-sha256; c=relaxed/simple; d=example.com; s=rsa; t=1795348800; x=1795435200; l=8; i=anna@example.com; "+
		"h=From:from:to:Subject:Reply-To:reply-to", header+"\r\n", body)
	mail = "Subject: another\r\n" + mail + "appended\n"
	r := keyRecords(t)
	r["rsa._domainkey.example.com"][0] += "; t=y"
	report, err := Verify(t.Context(), r, NewMessage([]byte(mail)), Options{Now: testTime})
	if err != nil || len(report.Signatures) != 1 {
		t.Fatal(report, err)
	}
	v := report.Signatures[0]
	got := fmt.Sprint(v.Result, v.Domain, v.Selector, v.Identity, v.Algorithm, v.Bits, v.Testing, v.HeaderCanon, v.BodyCanon,
		v.Length, v.BodySize, v.Unsigned, v.HeaderIntact, v.Oversigned, v.Added, v.Oversigns("FROM"), v.Oversigns("to"),
		v.Signs("reply-to"), v.Time.Unix(), v.Expires.Unix(), v.Answer.Name, report.BareLF)
	want := fmt.Sprint(mailauth.Pass, "example.com", "rsa", "anna@example.com", "rsa-sha256", 2048, true, Relaxed, Simple,
		8, 28, 20, true, []string{"from", "Reply-To"}, []string{"Subject"}, true, false,
		2, 1795348800, 1795435200, "rsa._domainkey.example.com", true)
	if got != want {
		t.Errorf("%s, want\n%s", got, want)
	}
	report, err = Verify(t.Context(), r, NewMessage([]byte(mail)), Options{Now: testTime, RefusePartial: true})
	if err != nil || report.Signatures[0].Reason != Partial || report.Signatures[0].Result != mailauth.Policy {
		t.Error(report, err)
	}
	changed := strings.Replace(mail, "At noon", "At dawn", 1)
	report, err = Verify(t.Context(), r, NewMessage([]byte(changed)), Options{Now: testTime})
	if v := report.Signatures[0]; err != nil || v.Reason != BodyHash || !v.HeaderIntact {
		t.Error("of a changed body:", v.Reason, v.HeaderIntact, err)
	}
}

func TestManySignatures(t *testing.T) {
	header, body, _ := strings.Cut(plain, "\r\n\r\n")
	mail := header + "\r\n\r\n" + body
	for i := range 14 {
		s := sign(t, fmt.Sprintf("v=1; a=rsa-sha256; d=example.com; s=rsa; h=from; l=%d", i%12), header+"\r\n", body)
		mail = s[:strings.Index(s, "From:")] + mail
	}
	report, err := Verify(t.Context(), keyRecords(t), NewMessage([]byte(mail)), Options{Now: testTime, MaxSignatures: 12})
	if err != nil || len(report.Signatures) != 12 || report.Skipped != 2 {
		t.Fatal(len(report.Signatures), report.Skipped, err)
	}
	var pass, many int
	for _, v := range report.Signatures {
		switch v.Reason {
		case "":
			pass++
		case TooMany: // more ways to hash the body than we follow
			many++
		}
	}
	if pass != maxBodies || many != 12-maxBodies {
		t.Errorf("%d pass, %d are too many", pass, many)
	}
}

func TestUnreadable(t *testing.T) {
	broken := errors.New("disk on fire")
	ok := keyRecords(t)
	header, body, _ := strings.Cut(plain, "\r\n\r\n")
	signed := NewMessage([]byte(sign(t, "v=1; a=rsa-sha256; d=example.com; s=rsa; h=from", header+"\r\n", body))).Header
	done, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		name string
		ctx  context.Context
		m    Message
		want error
	}{
		{"reader", t.Context(), Message{Header: signed, Body: iotest.ErrReader(broken)}, broken},
		{"first line", t.Context(), NewMessage([]byte(" a\r\nb: c\r\n\r\n")), ErrHeader},
		{"fields", t.Context(), NewMessage(bytes.Repeat([]byte("a: b\r\n"), maxFields+1)), ErrHeader},
		{"bytes", t.Context(), Message{Header: make([]byte, MaxHeader+1)}, ErrHeader},
		{"context", done, Message{Header: signed, Body: endless{}}, context.Canceled},
	} {
		if _, err := Verify(c.ctx, ok, c.m, Options{Now: testTime}); !errors.Is(err, c.want) {
			t.Errorf("%s: error %v, want %v", c.name, err, c.want)
		}
	}
	if _, err := ReadMessage(io.MultiReader(strings.NewReader("a: b\r\n"), iotest.ErrReader(broken))); !errors.Is(err, broken) {
		t.Error(err)
	}
	if _, err := ReadMessage(endless{}); !errors.Is(err, ErrHeader) {
		t.Error(err)
	}
}

// endless is a body without an end.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return copy(p, "endless line\r\n"), nil }

// TestReadMessage: in memory or read, a mail is divided at the same place.
func TestReadMessage(t *testing.T) {
	for _, raw := range []string{
		"", "a: b", "a: b\r\n", "a: b\r\n\r\n", "a: b\n\nbody\n", "a: b\r\n\r\nbody", "\r\nbody", "\nbody", "a: b\n\r\nbody",
		"a: " + strings.Repeat("long ", 20000) + "\r\n\r\nbody\r\n\r\nmore", strings.Repeat("x", 32<<10) + "\n\nbody",
	} {
		m := NewMessage([]byte(raw))
		read, err := ReadMessage(iotest.OneByteReader(strings.NewReader(raw)))
		if err != nil {
			t.Fatal(err)
		}
		a, errA := io.ReadAll(m.Body)
		b, errB := io.ReadAll(read.Body)
		if errA != nil || errB != nil || !bytes.Equal(m.Header, read.Header) || !bytes.Equal(a, b) {
			t.Errorf("%.40q: header %.40q or %.40q, body %.40q or %.40q", raw, m.Header, read.Header, a, b)
		}
		if whole := slices.Concat(m.Header, a); len(raw)-len(whole) > 2 || !strings.HasPrefix(raw, string(m.Header)) || !strings.HasSuffix(raw, string(a)) {
			t.Errorf("%.40q: bytes are lost", raw)
		}
	}
}

// TestKeysRemembered: what was read stays what it was, also for two at a time.
func TestKeysRemembered(t *testing.T) {
	var known Keys
	for name, want := range keyRecords(t) {
		for range 3 {
			got, fault := known.parse(want[0])
			if fault != nil || got.String() != want[0] {
				t.Error(name, got, fault)
			}
		}
	}
	if _, fault := known.parse("p=%"); fault == nil || fault.Reason != KeySyntax {
		t.Error(fault)
	}
	if len(known.read) != 3 {
		t.Error(len(known.read), "are remembered")
	}
	for i := range 2 * maxKnown {
		known.parse(fmt.Sprint("p=; n=", i))
	}
	if len(known.read) > maxKnown {
		t.Error(len(known.read), "are remembered")
	}
}
