package dkim

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	msgauth "github.com/emersion/go-msgauth/dkim"
)

// keys are one pair for all tests: making RSA keys is slow.
func testKeys(tb testing.TB) (*rsa.PrivateKey, ed25519.PrivateKey) {
	tb.Helper()
	key, err := ParseKey([]byte(rsa2048))
	if err != nil {
		tb.Fatal(err)
	}
	private, ok := key.(*rsa.PrivateKey)
	if !ok {
		tb.Fatalf("%T", key)
	}
	return private, ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
}

// keyRecords publishes keys under rsa._domainkey and ed._domainkey of example.com.
func keyRecords(tb testing.TB) records {
	tb.Helper()
	private, edwards := testKeys(tb)
	r := records{}
	for name, public := range map[string]crypto.PublicKey{"rsa": private.Public(), "ed": edwards.Public()} {
		k, err := NewKeyRecord(public)
		if err != nil {
			tb.Fatal(err)
		}
		r[name+"._domainkey.example.com"] = []string{k.String()}
	}
	return r
}

// signer is a Signer without the rule that Ed25519 does not come alone.
func signer(tb testing.TB, selectors ...string) *Signer {
	tb.Helper()
	private, edwards := testKeys(tb)
	all := map[string]Key{
		"rsa": {Domain: "example.com", Selector: "rsa", Private: private},
		"ed":  {Domain: "example.com", Selector: "ed", Private: edwards},
	}
	s, err := NewSigner(SignOptions{Keys: []Key{all["rsa"], all["ed"]}, Now: func() time.Time { return testTime }})
	if err != nil {
		tb.Fatal(err)
	}
	s.keys = s.keys[:0]
	for _, name := range selectors {
		s.keys = append(s.keys, all[name])
	}
	return s
}

var testTime = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// mail20k is a message of 20 kB, as a newsletter's text, as the HTML of one, or as
// base64.
func mail20k(form string) []byte {
	var b bytes.Buffer
	b.WriteString("From: News <news@example.com>\r\nTo: reader@example.net\r\nSubject: The week in twenty kilobytes\r\n" +
		"Date: Sun, 22 Nov 2026 12:00:00 +0000\r\nMessage-ID: <20261122120000.4711@example.com>\r\nMIME-Version: 1.0\r\n" +
		"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n" +
		"List-Unsubscribe: <https://news.example.com/u/4711>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" +
		"Received: from app.example.com (app.example.com [192.0.2.1])\r\n\tby mail.example.com with ESMTPS id 4711;\r\n" +
		"\tSun, 22 Nov 2026 12:00:00 +0000\r\n\r\n")
	r := mathrand.New(mathrand.NewPCG(1, 2))
	for b.Len() < 20<<10 {
		switch form {
		case "text":
			line := ""
			for len(line) < 66 {
				line += strings.Repeat("e", 1+r.IntN(9)) + " "
			}
			b.WriteString(strings.TrimRight(line, " ") + "\r\n")
			if r.IntN(8) == 0 {
				b.WriteString("\r\n")
			}
		case "html":
			fmt.Fprintf(&b, "%s<td class=3D\"cell\" width=3D\"%d\"><a href=3D\"https://example.com/%x\">Read</a></td>\r\n",
				strings.Repeat("  ", r.IntN(12)), r.IntN(600), r.Uint32())
		case "base64":
			for range 76 {
				b.WriteByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[r.IntN(64)])
			}
			b.WriteString("\r\n")
		}
	}
	return b.Bytes()
}

// BenchmarkDKIM signs and verifies 20 kB. The peer does what nobody can do without:
// SHA-256 of the same bytes, and the private or the public operation with a key that is
// there as a value. It is measured in the same run, in turns of a few operations, for the
// machine has other guests. "x-crypto" is our time by its time: the aim is 1.25 at most.
func BenchmarkDKIM(b *testing.B) {
	private, edwards := testKeys(b)
	dns := keyRecords(b)
	sum := sha256.Sum256([]byte("some header"))
	signRSA, err := private.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		b.Fatal(err)
	}
	signEd := ed25519.Sign(edwards, sum[:])
	public, ok := edwards.Public().(ed25519.PublicKey)
	if !ok {
		b.Fatal("not an Ed25519 key")
	}
	bare := map[string]func() bool{
		"sign/rsa": func() bool {
			_, err := private.Sign(rand.Reader, sum[:], crypto.SHA256)
			return err == nil
		},
		"sign/ed":    func() bool { return len(ed25519.Sign(edwards, sum[:])) > 0 },
		"verify/rsa": func() bool { return rsa.VerifyPKCS1v15(&private.PublicKey, crypto.SHA256, sum[:], signRSA) == nil },
		"verify/ed":  func() bool { return ed25519.Verify(public, sum[:], signEd) },
	}
	var known Keys
	for _, form := range []string{"text", "html", "base64"} {
		raw := mail20k(form)
		for _, selector := range []string{"rsa", "ed"} {
			s := signer(b, selector)
			field, err := s.Sign(b.Context(), NewMessage(raw))
			if err != nil {
				b.Fatal(err)
			}
			signed := append(field, raw...)
			ours := map[string]func() bool{
				"sign": func() bool {
					_, err := s.Sign(b.Context(), NewMessage(raw))
					return err == nil
				},
				"verify": func() bool {
					r, err := Verify(b.Context(), dns, NewMessage(signed), Options{Now: testTime, Keys: &known})
					return err == nil && r.Signatures[0].Reason == ""
				},
			}
			theirs := msgauthFuncs(b, raw, signed, selector)
			for _, verb := range []string{"sign", "verify"} {
				floor := bare[verb+"/"+selector]
				b.Run(form+"/"+verb+"/"+selector, func(b *testing.B) {
					in := map[string][]byte{"sign": raw, "verify": signed}[verb]
					compare(b, func() bool { return sha256.Sum256(in) != [32]byte{} && floor() }, ours[verb], theirs[verb])
				})
			}
		}
	}
}

// msgauthFuncs are the same two operations of go-msgauth.
func msgauthFuncs(b *testing.B, raw, signed []byte, selector string) map[string]func() bool {
	b.Helper()
	private, edwards := testKeys(b)
	o := &msgauth.SignOptions{
		Domain: "example.com", Selector: selector, Signer: private, HeaderKeys: AlwaysSigned(),
		HeaderCanonicalization: "relaxed", BodyCanonicalization: "relaxed",
	}
	if selector == "ed" {
		o.Signer = edwards
	}
	dns := keyRecords(b)
	return map[string]func() bool{
		"sign": func() bool {
			s, err := msgauth.NewSigner(o)
			if err != nil {
				return false
			}
			_, err = s.Write(raw)
			return err == nil && s.Close() == nil && s.Signature() != ""
		},
		"verify": func() bool {
			v, err := msgauth.VerifyWithOptions(bytes.NewReader(signed), &msgauth.VerifyOptions{
				LookupTXT: func(name string) ([]string, error) { return dns.TXT(context.Background(), name).Records, nil },
			})
			return err == nil && v[0].Err == nil
		},
	}
}

// compare runs three functions in turns, and compares the work of the process for
// them, collector and all, by the best of the turns: the machine has other guests.
func compare(b *testing.B, floor, ours, theirs func() bool) {
	b.Helper()
	var spent [3][]time.Duration
	const each = 16
	for b.Loop() {
		for i, f := range []func() bool{floor, ours, theirs} {
			begin := cpu()
			for range each {
				if !f() {
					b.Fatal("failed: ", i)
				}
			}
			spent[i] = append(spent[i], cpu()-begin)
		}
	}
	var best [3]float64
	for i := range spent {
		best[i] = float64(slices.Min(spent[i])) / each / 1e3
	}
	b.ReportMetric(best[0], "µs-crypto")
	b.ReportMetric(best[1], "µs")
	b.ReportMetric(best[1]/best[0], "x-crypto")
	b.ReportMetric(best[2]/best[0], "msgauth-x-crypto")
	b.ReportMetric(0, "ns/op")
}

// cpu is the time that the process has worked.
func cpu() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkBody is the canonicaliser alone, with its hash left out.
func BenchmarkBody(b *testing.B) {
	for _, form := range []string{"text", "html", "base64"} {
		for _, c := range []Canonicalization{Simple, Relaxed} {
			b.Run(form+"/"+string(c), func(b *testing.B) {
				raw := mail20k(form)
				raw = raw[bytes.Index(raw, []byte("\r\n\r\n"))+4:]
				b.SetBytes(int64(len(raw)))
				b.ReportAllocs()
				for b.Loop() {
					w := newBody(c, nothing{}, -1)
					if _, err := w.Write(raw); err != nil {
						b.Fatal(err)
					}
					w.close()
				}
			})
		}
	}
}

// nothing is a hash that costs nothing.
type nothing struct{}

func (nothing) Write(p []byte) (int, error) { return len(p), nil }
func (nothing) Sum(b []byte) []byte         { return b }
func (nothing) Reset()                      {}
func (nothing) Size() int                   { return 0 }
func (nothing) BlockSize() int              { return 64 }

// rsa2048 is a key for tests, in no use.
const rsa2048 = `-----BEGIN RSA PRIVATE KEY-----
MIIEowIBAAKCAQEAvvIcMLZKV7+sNQ6JOV6yVgyuKDvkC5UEqc/zMfegkA893OFK
5aTSMw8f3gw3W/deFjAfMFP+jEnIlCTTWgFKx9WvDsGKu5OWTZCRpxJHpOBRVP20
fBm0cHT4SU0dcjt0kA8lAIUuGbyrzPYVwVADxLu+Fr+rLLfASa2oeRYRx1G4p5dx
aQAepqUDRU9L99KhfH36P2uDvduWsC8imynMLSssehTaJhvTC+zulHoGsIGqR7kg
gkD9gH2hRQ923VjagFvoXZIws9/VxpEa3Xj/cY0KB4C35hs1u3v6J/GS37L2OzoX
wJWXAqbOzsFYfL9IjEw6pIHZ1dTSrJDX4auavQIDAQABAoIBAAqolJrCfi1eQWRX
yqClcNJ9VDZiO3VLDO7WsQZTwoZwF12uRMJDXEll2XtJVsi/KuUVrBQESEP39WaR
lKukQVKc0rAB7TbRwvTS8lJvYojpTZjvLYU04R3a5aYf1Bo1h+jns4LPLFba8YMY
JHg9OWygpzh5W/p7ylPCihIyQW1NAX14VFgOFm6LbBwE8PADFCHfMFLSPQ63l7EY
tXGzmO4KxAPVZnbltF6+UlJpHM/FAl5NOpC7/mx9FJXkGgebAVLEiLSz0eWv0fIQ
k/HAqseb3WqsXbXOF1XupcqBp976dNUgI4PEz6QmDJB40eTHkzvPrp9l4QyaEEQM
NI4mU9kCgYEA7znnenmhK1uguX6fBBp43QGWb9x4w5oYCIbH+JhC9FZm5XtW5rdH
1giJsKqhKOaXPEAaAF0pqreTu+iA1a2owa7NH/gb2rY8ZB/sL6UxrP2CwGd/j2hP
d5j6jxEOdLgCqSgueq9YnihrpvbZr5FDeAKsQVx4ECtHkGkxrsjKj5kCgYEAzFWT
JXYnpojV85D577rHrTcx6hTz1/zzPBksw5GRcTkFUZKLDjJNVJPu2FKuE4XxoMKZ
IloPmN6tQQ2kl04FcOuZj7bl9m8p85MeVNjjwekEY91JQxJFE31kRiW1e5E/Dbho
Re7Er067hFGkI8K9nHs3FIPaPahN+OZspEmcKsUCgYEA1M1ThnVP0zvs21UxqvrJ
bP+OjO84VfdrTZpnpFH9rVB2s8hl41JCiriJkygVuEZ3Xdc/yfcVq5Elz8/hWzLh
nXkba0bPsFzPl9l1xmRSrinM986ZgD4wApmIuV9Y1qchZswhnG0CjZ4zNRD9T9oO
hGEMThAtlWSKgoGw+mQPHHECgYAFKPgRTx2LOBNnFjcplabrOeSZy7OotauSzfPy
cF+i41S+DZxTXHPVefLjJZtdxNkoPSHO20Vfj+gCJ40LgR3kDx8OoQjHo2EE1KdE
b0G5KOBCgVkTR4fVCSqaFuOxXiagexKvCWuQHcXgfotNl+Jf7ECk1PuS6QgnC/Kc
Z3t5HQKBgGSBZqIGPuIXPOjuxpZBg8DhMdvMWh0qj542WOb43+GyXRL+R77h/B+C
m5W0vfJTsEKFOix7po0mDazU6LXtntmtlFH4nzfMEkh3yEIByeHhTipz22xzZ2lF
ZTP10iYSqqWX5QtF8xFJMZ0UXMMOZRp/2LKhL4FYJsmS3/flnA8f
-----END RSA PRIVATE KEY-----
`
