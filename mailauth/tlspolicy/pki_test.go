package tlspolicy

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postroad/postroad/dns"
)

// The certificates of the cases. They are valid from 1999 to 2100, so that both
// the real clock and that of a synctest bubble are within; the expired ones ended
// before either.
var (
	longAgo    = time.Date(1998, 1, 1, 0, 0, 0, 0, time.UTC)
	begin      = time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)
	finish     = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
	caseMoment = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
)

// identity is a certificate with its key.
type identity struct {
	cert *x509.Certificate
	key  crypto.Signer
}

type pki map[string]identity

// certificates makes all of them once; the tests only read them.
var certificates = sync.OnceValue(func() pki {
	p := pki{}
	ca := func(c *x509.Certificate) {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
	}
	names := func(names ...string) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.DNSNames = names }
	}
	old := func(c *x509.Certificate) { c.NotBefore, c.NotAfter = longAgo, begin }
	future := func(c *x509.Certificate) { c.NotBefore = finish.AddDate(-1, 0, 0) }
	client := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }

	p.make("root", "", ca)
	p.make("inter", "root", ca)
	p.make("leaf", "inter", names("mx.example.com"))
	p.make("renewed", "inter", names("mx.example.com"))
	p.make("old", "inter", names("mx.example.com"), old)
	p.make("future", "inter", names("mx.example.com"), future)
	p.make("wild", "inter", names("*.example.com"))
	p.make("partial", "inter", names("mx*.example.com"))
	p.make("inner", "inter", names("mx.*.com"))
	p.make("upper", "inter", names("MX.Example.COM"))
	p.make("elsewhere", "inter", names("mx.elsewhere.example"))
	p.make("domain", "inter", names("example.com"))
	p.make("hosted", "inter", names("mx.hosted.example"))
	p.make("idn", "inter", names("mx.xn--bcher-kva.example"))
	p.make("nameless", "inter", func(c *x509.Certificate) { c.Subject.CommonName = "mx.example.com" })
	p.make("both", "inter", names("other.example.com"), func(c *x509.Certificate) {
		c.Subject.CommonName = "mx.example.com"
	})
	p.make("client", "inter", names("mx.example.com"), client)
	p.make("self", "", names("mx.example.com"))
	p.make("selfold", "", names("mx.example.com"), old)
	p.make("selfelsewhere", "", names("mx.elsewhere.example"))
	p.make("otherroot", "", ca)
	p.make("other", "otherroot", names("mx.example.com"))
	p.make("oldroot", "", ca, old)
	p.make("underold", "oldroot", names("mx.example.com"))
	p.make("direct", "root", names("mx.example.com"))
	p.make("notca", "root")
	p.make("undernotca", "notca", names("mx.example.com"))
	p.make("rsa", "inter", names("mx.example.com"))
	p.make("ed", "inter", names("mx.example.com"))
	p.make("rsaroot", "", ca)
	p.make("underrsa", "rsaroot", names("mx.example.com"))
	p.make("edroot", "", ca)
	p.make("undered", "edroot", names("mx.example.com"))
	p.make("shortroot", "", ca, func(c *x509.Certificate) { c.MaxPathLenZero = true })
	p.make("shortinter", "shortroot", ca)
	p.make("undershort", "shortinter", names("mx.example.com"))
	p.make("direct2", "shortroot", names("mx.example.com"))
	p.make("narrowroot", "", ca, func(c *x509.Certificate) { c.PermittedDNSDomains = []string{"elsewhere.example"} })
	p.make("undernarrow", "narrowroot", names("mx.example.com"))

	p.make("policyhost", "inter", names("mta-sts.example.com"))
	p.make("policywild", "inter", names("*.example.com"))
	p.make("policypartial", "inter", names("mta-*.example.com"))
	p.make("policyprovider", "inter", names("mta-sts.provider.example"))
	p.make("policydomain", "inter", names("example.com"))
	p.make("policyold", "inter", names("mta-sts.example.com"), old)
	p.make("policyself", "", names("mta-sts.example.com"))
	p.make("policynameless", "inter", func(c *x509.Certificate) { c.Subject.CommonName = "mta-sts.example.com" })
	p.make("policyany", "inter", func(c *x509.Certificate) {
		for n := range 10 {
			c.DNSNames = append(c.DNSNames, fmt.Sprintf("mta-sts.d%d.example", n))
		}
	})
	p.make("policyidn", "inter", names("mta-sts.xn--bcher-kva.example"))
	return p
})

var serial int64

func (p pki) make(name, issuer string, change ...func(*x509.Certificate)) {
	var key crypto.Signer
	var err error
	switch {
	case strings.HasPrefix(name, "rsa"):
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	case strings.HasPrefix(name, "ed"):
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		panic(err)
	}
	serial++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name},
		NotBefore: begin, NotAfter: finish, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	for _, c := range change {
		c(template)
	}
	parent, signer := template, key
	if issuer != "" {
		parent, signer = p[issuer].cert, p[issuer].key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		panic(name + ": " + err.Error())
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	p[name] = identity{cert, key}
}

// chain gives certificates by their names.
func (p pki) chain(t testing.TB, names ...string) []*x509.Certificate {
	var all []*x509.Certificate
	for _, name := range names {
		id, ok := p[name]
		if !ok {
			t.Fatalf("no certificate %q", name)
		}
		all = append(all, id.cert)
	}
	return all
}

// server gives a TLS configuration with a chain, and a key for its first.
func (p pki) server(t testing.TB, names ...string) *tls.Config {
	var c tls.Certificate
	for _, cert := range p.chain(t, names...) {
		c.Certificate = append(c.Certificate, cert.Raw)
	}
	c.PrivateKey = p[names[0]].key
	return &tls.Config{Certificates: []tls.Certificate{c}}
}

// roots gives a pool, as the system's would be.
func (p pki) roots(t testing.TB, names ...string) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, c := range p.chain(t, names...) {
		pool.AddCert(c)
	}
	return pool
}

// tlsa reads "3 1 1 leaf": usage, selector, matching type, and the certificate
// that the data are made of; "hex:00ff" stands for data as they are, and
// "leaf+00" for those of a certificate with a byte too many.
func (p pki) tlsa(t testing.TB, text string) dns.TLSA {
	var usage, selector, matching uint8
	var of string
	if _, err := fmt.Sscanf(text, "%d %d %d %s", &usage, &selector, &matching, &of); err != nil {
		t.Fatalf("no TLSA: %q: %v", text, err)
	}
	r := dns.TLSA{Usage: usage, Selector: selector, MatchingType: matching}
	if digits, ok := strings.CutPrefix(of, "hex:"); ok {
		r.Data, _ = hex.DecodeString(digits)
		return r
	}
	of, extra, _ := strings.Cut(of, "+")
	c := p.chain(t, of)[0]
	r.Data = c.Raw
	if selector == 1 {
		r.Data = c.RawSubjectPublicKeyInfo
	}
	switch matching {
	case 1:
		sum := sha256.Sum256(r.Data)
		r.Data = sum[:]
	case 2:
		sum := sha512.Sum512(r.Data)
		r.Data = sum[:]
	}
	more, _ := hex.DecodeString(extra)
	r.Data = append(r.Data[:len(r.Data):len(r.Data)], more...)
	return r
}
