package tlspolicy

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postroad/postroad/dns"
)

// The fields of a TLSA record that SMTP knows (RFC 6698 section 2.1, RFC 7218).
const (
	usageTA, usageEE       = 2, 3
	selectCert, selectKey  = 0, 1
	full, sha2256, sha2512 = 0, 1, 2
	maxTLSA, maxChain      = 64, 32
)

// usable gives the records that a client may prove a host by. Usages 0 and 1 are
// not for SMTP (RFC 7672 section 3.1.3); a digest of the wrong length or data
// that are no DER match nothing, and records that match nothing must not make a
// demand that cannot be met (RFC 7671 section 9, RFC 6698 section 4.1).
//
// Where a digest is published by SHA2-512 for the same usage and selector, those
// by SHA2-256 are left out (RFC 7672 section 5, RFC 7671 section 9).
func usable(records []dns.TLSA) []dns.TLSA {
	var good []dns.TLSA
	var strong [4][2]bool // by usage and selector
	for _, r := range records {
		if len(good) == maxTLSA {
			break
		}
		if r.Usage != usageTA && r.Usage != usageEE || r.Selector > selectKey {
			continue
		}
		switch r.MatchingType {
		case full:
			var der asn1.RawValue
			if rest, err := asn1.Unmarshal(r.Data, &der); err != nil || len(rest) > 0 || der.Tag != asn1.TagSequence {
				continue
			}
		case sha2256:
			if len(r.Data) != sha256.Size {
				continue
			}
		case sha2512:
			if len(r.Data) != sha512.Size {
				continue
			}
			strong[r.Usage][r.Selector] = true
		default:
			continue
		}
		good = append(good, r)
	}
	return slices.DeleteFunc(good, func(r dns.TLSA) bool {
		return r.MatchingType == sha2256 && strong[r.Usage][r.Selector]
	})
}

// matches reports whether a record is about a certificate (RFC 6698 section
// 2.1.2 and 2.1.3).
func matches(r dns.TLSA, c *x509.Certificate) bool {
	data := c.Raw
	if r.Selector == selectKey {
		data = c.RawSubjectPublicKeyInfo
	}
	switch r.MatchingType {
	case sha2256:
		sum := sha256.Sum256(data)
		data = sum[:]
	case sha2512:
		sum := sha512.Sum512(data)
		data = sum[:]
	}
	return bytes.Equal(r.Data, data)
}

// VerifyDANE proves a chain as a server sent it, its own certificate first, by
// TLSA records (RFC 7672 section 3), and gives the record that did. Any record
// that matches is enough, so that keys can be changed.
//
// DANE-EE(3) binds the server's key or certificate and nothing else: neither its
// names nor its dates count (section 3.1.1). DANE-TA(2) wants a chain to the
// trust anchor, valid at the moment at, with one of names in the server's
// certificate (sections 3.1.2 and 3.2.2); the anchor is in the chain or, given in
// full by the record, beside it.
//
// The error is a *Failure: tlsa-invalid where no record matches, else what is
// wrong with the chain to the anchor.
func VerifyDANE(records []dns.TLSA, names []string, chain []*x509.Certificate, at time.Time) (dns.TLSA, error) {
	records = usable(records)
	switch {
	case len(records) == 0:
		return dns.TLSA{}, &Failure{Result: TLSAInvalid, Code: "no-usable-record", Reason: "no TLSA record can be used"}
	case len(chain) == 0:
		return dns.TLSA{}, &Failure{Result: ValidationFailure, Code: "no-certificate",
			Reason: "the server sent no certificate"}
	}
	chain = chain[:min(len(chain), maxChain)]
	if slices.Contains(chain, nil) {
		return dns.TLSA{}, &Failure{Result: ValidationFailure, Code: "no-certificate",
			Reason: "a certificate of the chain is missing"}
	}
	for _, r := range records {
		if r.Usage == usageEE && matches(r, chain[0]) {
			return r, nil
		}
	}
	failure := &Failure{Result: TLSAInvalid, Code: "no-record-matches",
		Reason: "no TLSA record matches the certificates of the server"}
	for _, r := range records {
		if r.Usage != usageTA {
			continue
		}
		roots := anchors(r, chain)
		if len(roots) == 0 {
			continue
		}
		f := verifyChain(chain, roots, at)
		if f == nil {
			f = verifyNames(chain[0], names, true)
		}
		if f == nil {
			return r, nil
		}
		failure = f // an anchor that is there and does not do says more than none
	}
	return dns.TLSA{}, failure
}

// anchors gives the trust anchors that one DANE-TA record makes of a chain.
func anchors(r dns.TLSA, chain []*x509.Certificate) []*x509.Certificate {
	var roots []*x509.Certificate
	for _, c := range chain[1:] { // the server's own certificate is no anchor, which is what DANE-EE is for
		if matches(r, c) {
			roots = append(roots, c)
		}
	}
	if len(roots) > 0 || r.MatchingType != full {
		return roots
	}
	if r.Selector == selectCert {
		if anchor, err := x509.ParseCertificate(r.Data); err == nil && !anchor.Equal(chain[0]) {
			return []*x509.Certificate{anchor}
		}
		return nil
	}
	key, err := x509.ParsePKIXPublicKey(r.Data)
	if err != nil {
		return nil
	}
	// A bare key has no name and no dates. Whatever of the chain it signed is as
	// good as an anchor: the rest of the chain and all dates are checked from there.
	signer := &x509.Certificate{
		Version: 3, PublicKey: key, BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign,
	}
	for _, c := range chain {
		signer.PublicKeyAlgorithm = keyAlgorithm(c)
		if c.CheckSignatureFrom(signer) == nil {
			roots = append(roots, c)
		}
	}
	return roots
}

// keyAlgorithm says what kind of key made the signature of c.
func keyAlgorithm(c *x509.Certificate) x509.PublicKeyAlgorithm {
	switch c.SignatureAlgorithm {
	case x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512:
		return x509.ECDSA
	case x509.PureEd25519:
		return x509.Ed25519
	}
	return x509.RSA
}

// verifyChain builds a chain from the server's certificate to one of roots, the
// system's if roots is nil, valid at a moment.
func verifyChain(chain, roots []*x509.Certificate, at time.Time) *Failure {
	pool := x509.NewCertPool()
	for _, c := range roots {
		pool.AddCert(c)
	}
	// An anchor that is an intermediate too would have its signature checked twice.
	between := chain[:1:1]
	for _, c := range chain[1:] {
		if !slices.ContainsFunc(roots, c.Equal) {
			between = append(between, c)
		}
	}
	if f := verifyPool(between, pool, at); f == nil || len(between) == len(chain) {
		return f
	}
	return verifyPool(chain, pool, at) // the reason may be in what was left out
}

func verifyPool(chain []*x509.Certificate, roots *x509.CertPool, at time.Time) *Failure {
	if at.IsZero() {
		at = time.Now()
	}
	intermediates := x509.NewCertPool()
	for _, c := range chain[1:min(len(chain), maxChain)] {
		intermediates.AddCert(c)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: intermediates, CurrentTime: at})
	if err == nil {
		return nil
	}
	var invalid x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return &Failure{Result: CertificateExpired, Code: "dates",
			Reason: "a certificate is not valid at this time", Err: err}
	case errors.As(err, &unknown) && expired(chain, at):
		// A chain over an expired certificate is told as unknown where its leaf is fine.
		return &Failure{Result: CertificateExpired, Code: "dates",
			Reason: "a certificate is not valid at this time", Err: err}
	case errors.As(err, &unknown):
		return &Failure{Result: CertificateNotTrusted, Code: "no-chain",
			Reason: "no chain from the certificate to an authority that is trusted", Err: err}
	}
	return &Failure{Result: CertificateNotTrusted, Code: "chain",
		Reason: "the chain of certificates is not valid", Err: err}
}

func expired(chain []*x509.Certificate, at time.Time) bool {
	return slices.ContainsFunc(chain, func(c *x509.Certificate) bool {
		return at.Before(c.NotBefore) || at.After(c.NotAfter)
	})
}

// verifyNames looks for one of names in a certificate. The common name counts
// only under DANE-TA and only in a certificate without DNS names (RFC 7672
// section 3.2.3); MTA-STS wants a DNS name (RFC 8461 section 4.2). Of wildcards
// "*" as the whole left-most label counts, for one label.
func verifyNames(c *x509.Certificate, names []string, commonName bool) *Failure {
	has := c.DNSNames
	if len(has) == 0 && commonName {
		has = []string{c.Subject.CommonName}
	}
	for _, pattern := range has {
		pattern = strings.ToLower(strings.TrimSuffix(pattern, "."))
		if !ldh(strings.TrimPrefix(pattern, "*.")) {
			continue
		}
		for _, name := range names {
			if name, ok := hostName(name); ok && matchName(pattern, name) {
				return nil
			}
			// An operator's own "*.example.com" takes any host below, and the wildcard itself.
			if name = strings.ToLower(name); strings.HasPrefix(name, "*.") && (name == pattern || matchName(name, pattern)) {
				return nil
			}
		}
	}
	told := "no DNS name"
	if len(has) > 0 {
		told = clip(strings.Join(has, ", "))
	}
	return &Failure{Result: CertificateHostMismatch, Code: "names",
		Reason: "the certificate is for " + strconv.Quote(told) + ", not for " + strings.Join(names, ", ")}
}
