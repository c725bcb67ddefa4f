package dkim

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	msgauth "github.com/emersion/go-msgauth/dkim"
)

// verified signs a message and verifies it, with us and with go-msgauth.
func verified(t *testing.T, s *Signer, r records, raw string) []Verification {
	t.Helper()
	field, err := s.Sign(t.Context(), NewMessage([]byte(raw)))
	if err != nil {
		t.Fatal(err)
	}
	report, err := Verify(t.Context(), r, NewMessage(append(field, raw...)), Options{Now: testTime})
	if err != nil || len(report.Signatures) != len(s.keys) {
		t.Fatal(report, err)
	}
	theirs, err := msgauth.VerifyWithOptions(strings.NewReader(string(field)+raw), &msgauth.VerifyOptions{LookupTXT: r.lookup(t)})
	if err != nil || len(theirs) != len(s.keys) {
		t.Fatal(theirs, err)
	}
	for i, v := range report.Signatures {
		if v.Err != nil || theirs[i].Err != nil {
			t.Errorf("we say %v, go-msgauth says %v of\n%s%s", v.Err, theirs[i].Err, field, raw)
		}
	}
	return report.Signatures
}

// lookup is the same DNS for go-msgauth.
func (r records) lookup(tb testing.TB) func(string) ([]string, error) {
	tb.Helper()
	return func(name string) ([]string, error) {
		if a := r.TXT(tb.Context(), name); len(a.Records) > 0 {
			return a.Records, nil
		}
		return nil, errors.New("no such name")
	}
}

func TestSign(t *testing.T) {
	private, edwards := testKeys(t)
	long := strings.Repeat("a-rather-long-label.", 8) + "example.com"
	r := keyRecords(t)
	r["s1._domainkey."+long] = r["rsa._domainkey.example.com"]
	r["xn--schlssel-95a._domainkey.xn--bcher-kva.example"] = r["rsa._domainkey.example.com"]
	r["ed._domainkey.xn--bcher-kva.example"] = r["ed._domainkey.example.com"]
	for _, c := range []struct {
		name  string
		o     SignOptions
		mail  string
		want  []string // in the first field, unfolded
		never []string
	}{
		{"two keys", SignOptions{Keys: []Key{
			{Domain: "example.com", Selector: "rsa", Private: private},
			{Domain: "Example.COM", Selector: "ed", Private: edwards},
		}}, plain, []string{
			"v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.com; s=rsa; t=1795348800; ",
			"h=From:From:Reply-To:Subject:Subject:To:To:Cc:MIME-Version:Content-Type:" +
				"Content-Transfer-Encoding:In-Reply-To:References:Date:Date:Message-ID:Message-ID; ",
		}, []string{"x=", "l=", "i=", "List-", "Sender"}},
		{"newsletter", SignOptions{Keys: []Key{{Domain: "example.com", Selector: "rsa", Private: private, Identity: "@news.example.com"}},
			Expires: 7 * 24 * time.Hour},
			"List-Unsubscribe: <https://example.com/u>\r\nlist-unsubscribe-post: List-Unsubscribe=One-Click\r\nFeedback-ID: a:b:c:d\r\n" + plain,
			[]string{
				"i=@news.example.com; t=1795348800; x=1795953600; ",
				"List-Unsubscribe:List-Unsubscribe:List-Unsubscribe-Post:List-Unsubscribe-Post:Feedback-ID:Feedback-ID; ",
			}, nil},
		{"our own lists", SignOptions{Keys: []Key{{Domain: "example.com", Selector: "rsa", Private: private}},
			Always: []string{"from", "X-Ours"}, Present: []string{}}, plain, []string{"h=from:from:X-Ours; "}, nil},
		{"long domain", SignOptions{Keys: []Key{{Domain: long, Selector: "s1", Private: private}}}, plain, []string{"d=" + long + ";"}, nil},
		{"A-labels", SignOptions{Keys: []Key{
			{Domain: "Bücher.example", Selector: "schlüssel", Private: private, Identity: "Änne;@lesen.bücher.example"},
			{Domain: "bücher.example", Selector: "ed", Private: edwards},
		}}, plain, []string{"d=xn--bcher-kva.example; s=xn--schlssel-95a; i==C3=84nne=3B@lesen.xn--bcher-kva.example;"}, nil},
		{"no body", SignOptions{Keys: []Key{{Domain: "example.com", Selector: "rsa", Private: private}}},
			"From: a@example.com\r\n\r\n", []string{"bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=;"}, nil},
		{"UTF-8 and LF", SignOptions{Keys: []Key{{Domain: "example.com", Selector: "rsa", Private: private}}},
			"From: Änne <a@example.com>\nSubject:  é\n  è\n\nGrüße  \n\n", nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.o.Now = func() time.Time { return testTime }
			s, err := NewSigner(c.o)
			if err != nil {
				t.Fatal(err)
			}
			field, err := s.Sign(t.Context(), NewMessage([]byte(c.mail)))
			if err != nil {
				t.Fatal(err)
			}
			list, short, err := fields(nil, field)
			if err != nil || short || len(list) != len(c.o.Keys) || !bytes.HasSuffix(field, []byte("\r\n")) {
				t.Fatalf("%d fields, %v:\n%s", len(list), err, field)
			}
			first := strings.ReplaceAll(string(list[0].raw), "\r\n ", " ")
			first = strings.ReplaceAll(first, ": ", ":") // the folds of h=
			for _, want := range c.want {
				if !strings.Contains(first, want) {
					t.Errorf("no %q in\n%s", want, first)
				}
			}
			for _, never := range c.never {
				if strings.Contains(first, never) {
					t.Errorf("%q in\n%s", never, first)
				}
			}
			for line := range strings.SplitSeq(string(field), "\r\n") {
				if len(line) > 77 && !strings.Contains(line, "d="+long) {
					t.Errorf("%d columns: %q", len(line), line)
				}
			}
			for _, v := range verified(t, s, r, c.mail) {
				if !v.Oversigns("From") {
					t.Errorf("From is not oversigned: %+v", v.Signature)
				}
			}
		})
	}
}

// TestOversigned: nobody can add what decides how the mail reads.
func TestOversigned(t *testing.T) {
	s := signer(t, "rsa", "ed")
	field, err := s.Sign(t.Context(), NewMessage([]byte(plain)))
	if err != nil {
		t.Fatal(err)
	}
	signed := string(field) + plain
	for header, want := range map[string]Reason{
		"From: Eve <eve@example.com>":          HeaderSignature,
		"subject: Dinner":                      HeaderSignature,
		"Cc: victim@example.org":               HeaderSignature,
		"Content-Type: text/html":              HeaderSignature,
		"Reply-To: eve@example.org":            HeaderSignature,
		"Date: Mon, 23 Nov 2026 12:00:00 +000": HeaderSignature,
		"Received: from a relay":               "",
		"Sender: list@example.org":             "",
		"List-Id: <list.example.org>":          "",
		"Return-Path: <anna@example.com>":      "",
		"Authentication-Results: example.org":  "",
	} {
		for _, mail := range []string{header + "\r\n" + signed, strings.Replace(signed, "\r\n\r\n", "\r\n"+header+"\r\n\r\n", 1)} {
			report, err := Verify(t.Context(), keyRecords(t), NewMessage([]byte(mail)), Options{Now: testTime})
			if err != nil || len(report.Signatures) != 2 {
				t.Fatal(report, err)
			}
			for _, v := range report.Signatures {
				if v.Reason != want {
					t.Errorf("%s: %q (%v), want %q", header, v.Reason, v.Err, want)
				}
			}
		}
	}
}

func TestSignRefuses(t *testing.T) {
	private, edwards := testKeys(t)
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good := Key{Domain: "example.com", Selector: "rsa", Private: private}
	with := func(change func(*Key)) []Key {
		k := good
		change(&k)
		return []Key{k}
	}
	for name, c := range map[string]struct {
		o    SignOptions
		want string
	}{
		"no key":             {SignOptions{}, "no key"},
		"no domain":          {SignOptions{Keys: with(func(k *Key) { k.Domain = "" })}, "not a domain name"},
		"domain with a dot":  {SignOptions{Keys: with(func(k *Key) { k.Domain = "example.com." })}, "not a domain name"},
		"injection":          {SignOptions{Keys: with(func(k *Key) { k.Selector = "a;l=0" })}, "selector"},
		"no private key":     {SignOptions{Keys: with(func(k *Key) { k.Private = nil })}, "no private key"},
		"curve":              {SignOptions{Keys: with(func(k *Key) { k.Private = curve })}, "cannot sign mail"},
		"identity":           {SignOptions{Keys: with(func(k *Key) { k.Identity = "a@example.org" })}, "at the signing domain"},
		"identity without @": {SignOptions{Keys: with(func(k *Key) { k.Identity = "example.com" })}, "local@domain"},
		"Ed25519 alone":      {SignOptions{Keys: with(func(k *Key) { k.Private = edwards })}, ErrEd25519Alone.Error()},
		"Ed25519 elsewhere":  {SignOptions{Keys: []Key{good, {Domain: "example.org", Selector: "ed", Private: edwards}}}, ErrEd25519Alone.Error()},
		"without From":       {SignOptions{Keys: []Key{good}, Always: []string{"Subject"}}, "From must be signed"},
		"Received":           {SignOptions{Keys: []Key{good}, Present: []string{"Received"}}, "changes on the way"},
		"twice":              {SignOptions{Keys: []Key{good}, Present: []string{"SUBJECT"}}, "twice"},
		"not a field":        {SignOptions{Keys: []Key{good}, Present: []string{"a:b"}}, "not the name"},
		"expires":            {SignOptions{Keys: []Key{good}, Expires: -time.Hour}, "x= would not"},
	} {
		if _, err := NewSigner(c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
		}
	}
	s := signer(t, "rsa")
	for raw, want := range map[string]error{
		"Subject: a\r\n\r\n":                          ErrFrom,
		"From: a@b.example\r\nFROM : c@d.example\r\n": ErrFrom,
		" a\r\n\r\n":                                  ErrHeader,
		"":                                            ErrFrom,
	} {
		if _, err := s.Sign(t.Context(), NewMessage([]byte(raw))); !errors.Is(err, want) {
			t.Errorf("%q: error %v, want %v", raw, err, want)
		}
	}
	broken := errors.New("disk on fire")
	if _, err := s.Sign(t.Context(), Message{Header: []byte("From: a@example.com\r\n"), Body: iotest.ErrReader(broken)}); !errors.Is(err, broken) {
		t.Error(err)
	}
	s.keys[0].Private = failing{private, broken}
	if _, err := s.Sign(t.Context(), NewMessage([]byte(plain))); !errors.Is(err, broken) {
		t.Error(err)
	}
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Sign(done, Message{Header: []byte("From: a@example.com\r\n"), Body: endless{}}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// failing is a key in a device that is broken.
type failing struct {
	*rsa.PrivateKey
	err error
}

func (f failing) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return nil, f.err }

// TestMemory: a body of 50 MB is never in memory.
func TestMemory(t *testing.T) {
	s := signer(t, "rsa", "ed")
	header := []byte("From: a@example.com\r\nSubject: big\r\n")
	body := func() io.Reader { return io.LimitReader(endless{}, 50<<20) }
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	field, err := s.Sign(t.Context(), Message{Header: header, Body: body()})
	if err != nil {
		t.Fatal(err)
	}
	report, err := Verify(t.Context(), keyRecords(t), Message{Header: append(field, header...), Body: body()}, Options{Now: testTime})
	if err != nil || report.Signatures[0].Reason != "" || report.Signatures[1].Reason != "" {
		t.Fatal(report, err)
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 1<<20 {
		t.Errorf("%d bytes of memory were used for 50 MB", used)
	}
}

// randomMail is a message of odd but legal parts: no bare CR, which go-msgauth takes for
// white space.
func randomMail(r *mathrand.Rand) string {
	var b strings.Builder
	end := []string{"\r\n", "\n"}[r.IntN(2)]
	pick := func(from ...string) string { return from[r.IntN(len(from))] }
	text := func() {
		for range r.IntN(12) {
			b.WriteString(pick("word", "a", " ", "  ", "\t", "é", ":", ";", "b=", "=", "\x01", strings.Repeat("x", 70)))
		}
	}
	names := []string{"From", "To", "Subject", "subject", "Date", "X-Odd", "MIME-Version", "Received", "Cc "}
	r.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	for _, name := range names {
		b.WriteString(name + ":")
		text()
		for range r.IntN(3) {
			b.WriteString(end + pick(" ", "\t") + "c")
			text()
		}
		b.WriteString(end)
	}
	b.WriteString(end)
	for range r.IntN(12) {
		text()
		b.WriteString(pick(end, end, end+end, end+" "+end, ""))
	}
	return b.String()
}

// TestGoMsgauth: what we sign they verify, and what they sign with any pair of
// algorithms we verify; what is changed afterwards both find broken.
func TestGoMsgauth(t *testing.T) {
	private, edwards := testKeys(t)
	dns := keyRecords(t)
	r := mathrand.New(mathrand.NewPCG(5, 6))
	s := signer(t, "rsa", "ed")
	pairs := []msgauth.Canonicalization{"simple", "relaxed"}
	for range 40 {
		mail := randomMail(r)
		verified(t, s, dns, mail)
		for i := range 4 {
			o := &msgauth.SignOptions{Domain: "example.com", Selector: "rsa", Signer: private,
				HeaderCanonicalization: pairs[i&1], BodyCanonicalization: pairs[i>>1]}
			if r.IntN(4) > 0 {
				o.Selector, o.Signer = "ed", edwards
			}
			var signed bytes.Buffer
			if err := msgauth.Sign(&signed, strings.NewReader(mail), o); err != nil {
				t.Fatal(err)
			}
			if ours, theirs := bothVerify(t, dns, signed.Bytes()); ours != nil || theirs != nil {
				t.Errorf("%s/%s: we say %v, go-msgauth says %v of\n%q", o.HeaderCanonicalization, o.BodyCanonicalization, ours, theirs, signed.Bytes())
			}
			changed := signed.Bytes()
			at := r.IntN(len(changed))
			changed[at] ^= 1 << r.IntN(7)
			if bytes.IndexByte(changed, '\r') >= 0 && strings.Count(string(changed), "\r") != strings.Count(string(changed), "\r\n") {
				continue // a bare CR
			}
			ours, theirs := bothVerify(t, dns, changed)
			if (ours == nil) != (theirs == nil) {
				t.Errorf("changed at %d: we say %v, go-msgauth says %v of\n%q", at, ours, theirs, changed)
			}
		}
	}
}

var errNone = errors.New("no signature")

// bothVerify gives what we and go-msgauth say of the first signature.
func bothVerify(tb testing.TB, r records, mail []byte) (ours, theirs error) {
	tb.Helper()
	report, err := Verify(tb.Context(), r, NewMessage(mail), Options{Now: testTime})
	switch {
	case err != nil:
		ours = err
	case len(report.Signatures) == 0:
		ours = errNone
	default:
		ours = report.Signatures[0].Err
	}
	list, err := msgauth.VerifyWithOptions(bytes.NewReader(mail), &msgauth.VerifyOptions{LookupTXT: r.lookup(tb), MaxVerifications: 10})
	switch {
	case err != nil && !errors.Is(err, msgauth.ErrTooManySignatures):
		theirs = err
	case len(list) == 0:
		theirs = errNone
	default:
		theirs = list[0].Err
	}
	return ours, theirs
}

func ExampleSigner_Sign() {
	key, err := ParseKey([]byte(rsa2048))
	if err != nil {
		fmt.Println(err)
		return
	}
	s, err := NewSigner(SignOptions{
		Keys: []Key{{Domain: "example.com", Selector: "2026a", Private: key}},
		Now:  func() time.Time { return time.Unix(1795348800, 0) },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fields, err := s.Sign(context.Background(), NewMessage([]byte("From: anna@example.com\r\nSubject: Lunch\r\n\r\nAt noon?\r\n")))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(strings.ReplaceAll(string(fields), "\r\n", "\n"))
	// Output:
	// DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.com;
	//  s=2026a; t=1795348800; h=From:From:Reply-To:Subject:Subject:To:Cc:
	//  MIME-Version:Content-Type:Content-Transfer-Encoding:In-Reply-To:References;
	//  bh=4daN71HNdn/d5SSJNrmA4GnDoSU3uSw9/N1YsKJOhFc=;
	//  b=s4aQbMn4Gh2ok4Zm8Zo6uTef+91YzbC3t7h6oku0iN9hijcpSRtaWgmlNPFAv76TXmF75fg+n
	//  UEALdDZ+IfHYPMAuIP5bO8AuLXOUmxsVSNzO4ClTyugLedwtCrXSvSZWvSvxvccthJlx8Azd9Av
	//  XTIrHF9/x9Wg1w0vElfH340SK+or3hrcSaDTrlfNAjEr3+7sfkx3u9KWXlJOrh0h9Myld6Hwol9
	//  54a1VN9tCwlg78F/fBBgZooJPGsDgnHzpnbR0IG1Azk6FeHcP9WWfY5E1GP28KW89ClBJleHgyI
	//  +7M1iS9TjeIooJPYpFjuPTDNCDKuAbzCSDJ4yH8lQfCQ==
}
