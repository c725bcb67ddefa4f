package dkim

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/postroad/postroad/mailauth"
)

// seal adds an ARC set to a message: a sealer for tests, by RFC 8617 section 5.1.
func seal(t testing.TB, instance int, cv, mail string) string {
	t.Helper()
	private, _ := testKeys(t)
	head := fmt.Sprintf("i=%d; a=rsa-sha256; d=example.com; s=rsa; ", instance)
	mail = fmt.Sprintf("ARC-Authentication-Results: i=%d; relay%d.example.net;\r\n  dkim=pass\r\n", instance, instance) + mail
	header, text, _ := strings.Cut(mail, "\r\n\r\n")
	header += "\r\n"
	b := newBody(Relaxed, sha256.New(), -1)
	if err := hashBody(t.Context(), strings.NewReader(text), []*body{b}); err != nil {
		t.Fatal(err)
	}
	prove := func(text []byte) string {
		sum := sha256.Sum256(text)
		signature, err := private.Sign(rand.Reader, sum[:], crypto.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		return encode(signature)
	}
	ams := "ARC-Message-Signature: " + head + "c=relaxed/relaxed; h=from:subject; bh=" + encode(b.sum()) + "; b="
	list, _, err := fields(nil, []byte(ams+"\r\n"+header))
	if err != nil {
		t.Fatal(err)
	}
	e := examination{fields: list, desk: &desk{fields: list}}
	s, _ := parseSignature(strings.TrimPrefix(ams, "ARC-Message-Signature:"), arcSignature)
	v := Verification{Signature: s}
	e.headerHash(&check{Verification: &v})
	header = ams + prove(e.desk.text) + "\r\n" + header
	if list, _, err = fields(nil, []byte(header)); err != nil {
		t.Fatal(err)
	}
	var all []byte
	for n := 1; n <= instance; n++ {
		for _, name := range []string{"arc-authentication-results", "arc-message-signature", "arc-seal"} {
			for i := range list {
				if got, _ := instanceOf(list[i]); got == n && list[i].is(name, nameHash(name)) {
					all = appendField(all, Relaxed, list[i].raw)
				}
			}
		}
	}
	as := "ARC-Seal: " + head + "cv=" + cv + "; b="
	all = appendField(all, Relaxed, []byte(as))
	return as + prove(all[:len(all)-2]) + "\r\n" + header + "\r\n" + text
}

func instanceOf(f field) (int, *Error) { return instance(string(f.value()), false) }

func chainOf(t testing.TB, r records, mail string) Chain {
	t.Helper()
	chain, err := VerifyARC(t.Context(), r, NewMessage([]byte(mail)), Options{Now: testTime})
	if err != nil {
		t.Fatal(err)
	}
	return chain
}

func TestChain(t *testing.T) {
	dns := keyRecords(t)
	one := seal(t, 1, "none", plain)
	two := seal(t, 2, "pass", one)
	changed := strings.Replace(two, "Subject: Lunch", "Subject: [list] Lunch", 1) // as a list does
	three := seal(t, 3, "pass", changed)
	four := seal(t, 4, "pass", three)
	failed := func(answer string) records {
		r := keyRecords(t)
		r["rsa._domainkey.example.com"] = []string{answer}
		return r
	}
	long := plain
	for i := range 50 {
		cv := "pass"
		if i == 0 {
			cv = "none"
		}
		long = seal(t, i+1, cv, long)
	}
	for _, c := range []struct {
		name     string
		mail     string
		dns      records
		want     Reason
		instance int
		oldest   int
	}{
		{"one", one, dns, "", 0, 0},
		{"two, LF", strings.ReplaceAll(two, "\r\n", "\n"), dns, "", 0, 0},
		{"changed by the third", three, dns, "", 0, 3},
		{"and passed on", four, dns, "", 0, 3},
		{"fifty", long, dns, "", 0, 0},
		{"fifty-one", "ARC-Seal: i=51; cv=pass\r\n" + long, dns, ChainLong, 0, 0},
		{"changed behind the last", changed, dns, HeaderSignature, 2, 0},
		{"body", two + "footer\r\n", dns, BodyHash, 2, 0},
		{"results", strings.Replace(two, "relay1.example.net", "relay9.example.net", 1), dns, HeaderSignature, 2, 0},
		{"first seal", strings.Replace(two, "cv=none", "cv=none; x=1", 1), dns, HeaderSignature, 2, 0},
		{"failed", strings.Replace(two, "cv=pass", "cv=fail", 1), dns, ChainFailed, 2, 0},
		{"status", strings.Replace(two, "cv=none", "cv=pass", 1), dns, ChainStatus, 1, 0},
		{"status of the second", strings.Replace(two, "cv=pass", "cv=none", 1), dns, ChainStatus, 2, 0},
		{"twice", "ARC-Authentication-Results: i=1; none\r\n" + one, dns, ChainDuplicate, 1, 0},
		{"results without i=", "ARC-Authentication-Results: relay; i=2\r\n" + one, dns, ChainInstance, 0, 0},
		{"a gap", strings.ReplaceAll(one, "i=1;", "i=2;"), dns, ChainIncomplete, 1, 0},
		{"no seal", one[strings.Index(one, "ARC-Message"):], dns, ChainIncomplete, 1, 0},
		{"seal with h=", strings.Replace(one, "cv=none", "cv=none; h=from", 1), dns, SealTag, 1, 0},
		{"seal signed", strings.Replace(one, "h=from:", "h=arc-seal:from:", 1), dns, SealSigned, 1, 0},
		{"nothing signed", strings.Replace(one, "h=from:subject", "h=", 1), dns, Syntax, 1, 0},
		{"sha1", strings.ReplaceAll(one, "rsa-sha256", "rsa-sha1"), dns, SHA1, 1, 0},
		{"no key", one, records{}, KeyAbsent, 1, 0},
		{"DNS failed", one, failed("!failed"), KeyUnavailable, 1, 0},
		{"revoked", one, failed("v=DKIM1; p="), KeyRevoked, 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			chain := chainOf(t, c.dns, c.mail)
			want := mailauth.Pass
			if c.want != "" {
				want = mailauth.Fail
			}
			if chain.Result != want || chain.Reason != c.want || chain.Instance != c.instance || chain.OldestPass != c.oldest {
				t.Errorf("%s, %q at %d, oldest %d (%v), want %s, %q at %d, oldest %d",
					chain.Result, chain.Reason, chain.Instance, chain.OldestPass, chain.Err, want, c.want, c.instance, c.oldest)
			}
			if chain.Temporary != (c.want == KeyUnavailable) {
				t.Error("temporary:", chain.Temporary)
			}
			for i, s := range chain.Sets {
				if s.Instance != i+1 {
					t.Errorf("set %d has instance %d", i, s.Instance)
				}
			}
		})
	}
	s := chainOf(t, dns, four).Sets[3]
	got := fmt.Sprint(s.Results, s.Seal.Domain, s.Seal.Selector, s.Seal.Status, s.Seal.Bits, s.Seal.Result, s.Message.Headers, s.Message.Result)
	if want := fmt.Sprint("relay4.example.net; dkim=pass", "example.com", "rsa", "pass", 2048, "pass", []string{"from", "subject"}, "pass"); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if s := chainOf(t, dns, four).Sets[0]; s.Message.Reason != HeaderSignature || s.Seal.Reason != "" {
		t.Error("the first set is changed and sealed:", s.Message.Reason, s.Seal.Reason)
	}
	if none := chainOf(t, dns, plain); none.Result != mailauth.None || len(none.Sets) != 0 {
		t.Error(none)
	}
}

// TestNoNeedlessWork: a chain that cannot be one costs no look-up and no look at the body.
func TestNoNeedlessWork(t *testing.T) {
	one := NewMessage([]byte(strings.Replace(seal(t, 1, "none", plain), "cv=none", "cv=pass", 1)))
	one.Body = iotest.ErrReader(fmt.Errorf("the body was read"))
	chain, err := VerifyARC(t.Context(), nil, one, Options{Now: testTime})
	if err != nil || chain.Reason != ChainStatus {
		t.Error(chain, err)
	}
}

// TestConformanceRspamd: rspamd's mails have their keys in its own configuration, which is
// not here. What can be said without is held: the signatures are read, and those of
// good mails have the right body hash. One has Google's seal, whose key another mail
// of the corpus brings.
func TestConformanceRspamd(t *testing.T) {
	dir := filepath.Join(corpus(t, filepath.Join("dmarc-eval", "rspamd", "dmarc")))
	mails, err := filepath.Glob(filepath.Join(dir, "*.eml"))
	if err != nil {
		t.Fatal(err)
	}
	google, _ := stalwart(t, filepath.Join(corpus(t, "auth-mail"), "stalwart-mail-auth", "arc", "001.txt"))
	var cases, passed int
	for _, name := range mails {
		m := NewMessage([]byte(read(t, name)))
		report, chain, err := VerifyAll(t.Context(), google, m, Options{})
		if err != nil {
			t.Fatal(name, err)
		}
		if len(report.Signatures) == 0 && len(chain.Sets) == 0 {
			continue
		}
		cases++
		if t.Run(filepath.Base(name), func(t *testing.T) {
			// Google sealed one of them, and the seal holds; the message was changed afterwards.
			changed := chain.Result == mailauth.Fail
			if s := chain.Sets; changed && (chain.Reason != BodyHash || s[0].Seal.Reason != "") {
				t.Errorf("chain: %v, seal: %v", chain.Err, s[0].Seal.Err)
			}
			for _, v := range report.Signatures {
				if v.Reason != KeyAbsent {
					t.Errorf("%s: %v, want no key", v.Domain, v.Err)
				}
				m := NewMessage([]byte(read(t, name)))
				b := newBody(v.BodyCanon, sha256.New(), v.Length)
				if err := hashBody(t.Context(), m.Body, []*body{b}); err != nil {
					t.Fatal(err)
				}
				if right := bytes.Equal(b.sum(), v.BodyHash); right == changed {
					t.Errorf("%s: the body hash is right: %v", v.Domain, right)
				}
			}
		}) {
			passed++
		}
	}
	conformance(t, "DKIM and ARC fields of rspamd, without keys", cases, passed)
}
