package dkim

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
)

// pair is what every private key of the standard library can do.
type pair interface{ Equal(crypto.PrivateKey) bool }

func TestParseKey(t *testing.T) {
	private, edwards := testKeys(t)
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8 := func(key crypto.PrivateKey) []byte {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	}
	for name, c := range map[string]struct {
		text []byte
		want pair
	}{
		"PKCS #1":          {[]byte(rsa2048), private},
		"PKCS #8 RSA":      {pkcs8(private), private},
		"PKCS #8 Ed25519":  {pkcs8(edwards), edwards},
		"after other text": {append([]byte("key of 2026\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), pkcs8(edwards)...), edwards},
		"CRLF":             {bytes.ReplaceAll(pkcs8(edwards), []byte("\n"), []byte("\r\n")), edwards},
	} {
		key, err := ParseKey(c.text)
		if err != nil || !c.want.Equal(key) {
			t.Errorf("%s: %T, %v", name, key, err)
		}
	}
	for want, text := range map[string]string{
		"no PEM block":          "",
		"no PEM block of":       "hello",
		"this is the public":    "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
		"it is encrypted":       "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
		"openssl pkey":          "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n",
		"(PKCS #1)":             "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n",
		"(PKCS #8)":             "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
		"ecdsa.PrivateKey cann": string(pkcs8(curve)),
	} {
		if key, err := ParseKey([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %T, %v; want %q", text, key, err, want)
		}
	}
}

func TestKeyRecord(t *testing.T) {
	private, edwards := testKeys(t)
	k, err := NewKeyRecord(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	text := k.String()
	if !strings.HasPrefix(text, "v=DKIM1; k=rsa; p=MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A") || len(text) < 400 {
		t.Error(text)
	}
	parts := k.Strings()
	if len(parts) != 2 || len(parts[0]) != 255 || strings.Join(parts, "") != text {
		t.Error(parts)
	}
	if zone := k.Zone("s1._domainkey.example.com"); zone != `s1._domainkey.example.com. TXT ( "`+parts[0]+`" "`+parts[1]+`" )` {
		t.Error(zone)
	}
	ed, err := NewKeyRecord(edwards.Public())
	if err != nil || len(ed.Strings()) != 1 {
		t.Error(ed, err)
	}
	for _, k := range []KeyRecord{k, ed} {
		read, err := ParseKeyRecord(k.String())
		if public, ok := k.Public.(interface{ Equal(crypto.PublicKey) bool }); err != nil || !ok || !public.Equal(read.Public) || read.Bits() != k.Bits() {
			t.Error(read, err)
		}
	}
	if _, err := NewKeyRecord("a string"); err == nil {
		t.Error("a string became a key")
	}
	read, err := ParseKeyRecord("v=DKIM1;k=rsa;\tt=y : s;s=email;h= sha256 ;n=see=3B note; p=; future=1;")
	if err != nil || !read.Revoked || !read.Testing() || !read.Strict() || !read.Email() || read.Notes != "see; note" ||
		len(read.Hashes) != 1 || read.Hashes[0] != "sha256" || read.Bits() != 0 {
		t.Errorf("%+v, %v", read, err)
	}
}

func TestKeyRecordPKCS1(t *testing.T) {
	private, _ := testKeys(t)
	k, err := NewKeyRecord(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	pkcs1, fault := parseKeyRecord("p=" + encode(x509.MarshalPKCS1PublicKey(&private.PublicKey)))
	if public, ok := pkcs1.Public.(*rsa.PublicKey); fault != nil || !ok || !public.Equal(k.Public) {
		t.Error(pkcs1, fault)
	}
	big, fault := parseKeyRecord("p=" + encode(x509.MarshalPKCS1PublicKey(&rsa.PublicKey{N: new(big.Int).Lsh(private.N, 6145), E: 65537})))
	if fault == nil {
		fault = big.fits(&Signature{Algorithm: "rsa-sha256"}, false)
	}
	if fault == nil || fault.Reason != KeyLong {
		t.Error(big.Bits(), fault)
	}
}

func FuzzParseKeyRecord(f *testing.F) {
	private, edwards := testKeys(f)
	for _, public := range []crypto.PublicKey{private.Public(), edwards.Public()} {
		k, err := NewKeyRecord(public)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(k.String())
	}
	f.Add("v=DKIM1; p=")
	f.Add("k=ed25519; t=y:s; s=email:*; h=sha1 : sha256; n=a=20b; p=SvoPT692bVrQBT8UNxt6SF538O3snA4fE3/i/glCxwQ")
	f.Fuzz(func(t *testing.T, text string) {
		k, err := ParseKeyRecord(text)
		_, again := ParseKeyRecord(k.String())
		switch {
		case err == nil && again != nil:
			t.Fatalf("%q is a key, and %q is not: %v", text, k.String(), again)
		case err == nil && k.Revoked == (k.Public != nil):
			t.Fatalf("%q: revoked %v with key %v", text, k.Revoked, k.Public)
		case err != nil && k.Public != nil:
			t.Fatalf("%q: %v with a key", text, err)
		}
		if public, ok := k.Public.(ed25519.PublicKey); ok && len(public) != ed25519.PublicKeySize {
			t.Fatalf("%q: a key of %d bytes", text, len(public))
		}
		if parts := k.Strings(); strings.Join(parts, "") != k.String() {
			t.Fatalf("%q: strings %q", text, parts)
		}
	})
}

func FuzzParseKey(f *testing.F) {
	f.Add([]byte(rsa2048))
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH\n-----END PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		key, err := ParseKey(text)
		if (err == nil) != (key != nil) {
			t.Fatalf("%T with error %v", key, err)
		}
		if err != nil {
			return
		}
		if _, err := NewKeyRecord(key.Public()); err != nil {
			t.Fatal("a key without a record: ", err)
		}
	})
}
