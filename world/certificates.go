package world

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"sync"
	"time"
)

// The kinds of certificate troubles. Each is seen with an otherwise right
// server, so that one thing is wrong at a time.
const (
	certRight       = ""
	certSelfSigned  = "self-signed"
	certExpired     = "expired"
	certNotYet      = "not-yet-valid"
	certWrongName   = "wrong-name"
	certUntrusted   = "untrusted"       // a root that nobody has
	certNoMiddle    = "no-intermediate" // the chain has a hole
	certOldTLS      = "old-tls"         // the certificate is right, TLS 1.1 the newest version
	certOldProtocol = tls.VersionTLS11
)

var certificates = []string{certSelfSigned, certExpired, certNotYet, certWrongName, certUntrusted, certNoMiddle, certOldTLS}

// authority makes the certificates of a world: a root, an intermediate, and
// another root that nobody trusts. The keys come from the seed, so that TLSA
// records are the same in every run; the times are real ones, as clients judge
// them by their own clock.
type authority struct {
	seed        uint64
	now         time.Time
	root, other issuer
	middle      issuer

	mu   sync.Mutex
	made map[[2]string]*tls.Certificate // by host and kind
}

type issuer struct {
	cert *x509.Certificate
	key  crypto.Signer
}

func newAuthority(seed uint64, now time.Time) (*authority, error) {
	a := &authority{seed: seed, now: now, made: make(map[[2]string]*tls.Certificate)}
	var err error
	if a.root, err = a.issuer("Postroad world root", issuer{}); err != nil {
		return nil, err
	}
	if a.other, err = a.issuer("Somebody else's root", issuer{}); err != nil {
		return nil, err
	}
	a.middle, err = a.issuer("Postroad world intermediate", a.root)
	return a, err
}

// key derives a P-256 key from the seed.
func (a *authority) key(name string) (*ecdsa.PrivateKey, error) {
	for i := uint64(0); ; i++ {
		text := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, a.seed), i)
		raw := sha256.Sum256(append(text, name...))
		key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), raw[:])
		if err == nil || i > 100 { // 0 and what is beyond the order are no keys
			return key, err
		}
	}
}

func (a *authority) issuer(name string, by issuer) (issuer, error) {
	key, err := a.key(name)
	if err != nil {
		return issuer{}, fmt.Errorf("make a key: %w", err)
	}
	template := &x509.Certificate{SerialNumber: serial(name), Subject: pkix.Name{CommonName: name},
		NotBefore: a.now.Add(-time.Hour), NotAfter: a.now.AddDate(5, 0, 0), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	parent, signer := by.cert, by.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return issuer{}, fmt.Errorf("make a certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	return issuer{cert, key}, err
}

func serial(name string) *big.Int {
	sum := sha256.Sum256([]byte(name))
	return new(big.Int).SetBytes(sum[:12])
}

// certificate gives the one of a host, right or with a trouble.
func (a *authority) certificate(host, kind string) (*tls.Certificate, error) {
	if kind == certOldTLS {
		kind = certRight
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if c := a.made[[2]string{host, kind}]; c != nil {
		return c, nil
	}
	key, err := a.key("host " + host)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	t := &x509.Certificate{SerialNumber: serial(host + kind), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: a.now.Add(-time.Hour), NotAfter: a.now.AddDate(1, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	by, chain := a.middle, [][]byte{a.middle.cert.Raw}
	switch kind {
	case certSelfSigned:
		by, chain = issuer{t, key}, nil
	case certExpired:
		t.NotBefore, t.NotAfter = a.now.AddDate(-1, 0, 0), a.now.Add(-24*time.Hour)
	case certNotYet:
		t.NotBefore = a.now.Add(48 * time.Hour)
	case certWrongName:
		t.Subject.CommonName, t.DNSNames = "wrong.invalid", []string{"wrong.invalid"}
	case certUntrusted:
		by, chain = a.other, [][]byte{a.other.cert.Raw}
	case certNoMiddle:
		chain = nil
	}
	der, err := x509.CreateCertificate(rand.Reader, t, by.cert, key.Public(), by.key)
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read the certificate: %w", err)
	}
	c := &tls.Certificate{Certificate: append([][]byte{der}, chain...), PrivateKey: key, Leaf: leaf}
	a.made[[2]string{host, kind}] = c
	return c, nil
}

// config gives the server side of TLS for a host.
func (a *authority) config(host, kind string) (*tls.Config, error) {
	cert, err := a.certificate(host, kind)
	if err != nil {
		return nil, err
	}
	c := &tls.Config{Certificates: []tls.Certificate{*cert}, MinVersion: tls.VersionTLS12}
	if kind == certOldTLS {
		c.MinVersion, c.MaxVersion = tls.VersionTLS10, certOldProtocol
	}
	return c, nil
}

// pool has the root alone.
func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.root.cert)
	return p
}

func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.root.cert.Raw})
}

// tlsa gives the data of a record 3 1 1 (RFC 7672 section 3.1.1): the digest of
// the host's public key.
func (a *authority) tlsa(host string) (string, error) {
	key, err := a.key("host " + host)
	if err != nil {
		return "", fmt.Errorf("make a key: %w", err)
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return "", fmt.Errorf("make a TLSA record: %w", err)
	}
	sum := sha256.Sum256(spki)
	return hex.EncodeToString(sum[:]), nil
}
