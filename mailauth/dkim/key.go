package dkim

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// Bounds of keys.
const (
	minRSA       = 1024     // RFC 8301 section 3.2
	maxRSA       = 8192     // twice what verifiers must handle; one check takes half a millisecond
	maxKeyRecord = 16 << 10 // bytes of a TXT record
)

// KeyRecord is a TXT record at selector._domainkey.domain (RFC 6376 section
// 3.6.1).
type KeyRecord struct {
	Tags     Tags             // all tags in their order, unknown ones too
	Type     string           // k=: rsa (also if absent), ed25519, or what we do not know
	Hashes   []string         // h=; nil is all
	Services []string         // s=; nil is all
	Flags    []string         // t=
	Notes    string           // n=
	Public   crypto.PublicKey // p=: *rsa.PublicKey or ed25519.PublicKey; nil if revoked or not read
	Revoked  bool             // p= is empty
}

// Bits is the length of an RSA modulus, 256 of an Ed25519 key, 0 without a key.
func (k *KeyRecord) Bits() int {
	switch public := k.Public.(type) {
	case *rsa.PublicKey:
		return public.N.BitLen()
	case ed25519.PublicKey:
		return 8 * len(public)
	}
	return 0
}

// Testing reports t=y: the signer tries DKIM out, and a verifier must not treat
// the mail otherwise than unsigned mail (RFC 6376 section 3.6.1).
func (k *KeyRecord) Testing() bool { return slices.Contains(k.Flags, "y") }

// Strict reports t=s: the domain of i= must be d= itself.
func (k *KeyRecord) Strict() bool { return slices.Contains(k.Flags, "s") }

// Email reports whether the key may sign mail at all: s= is absent or has * or
// email.
func (k *KeyRecord) Email() bool {
	return k.Services == nil || slices.Contains(k.Services, "*") || slices.Contains(k.Services, "email")
}

// ParseKeyRecord reads a key record, the strings of the TXT record joined. Every
// error is an *Error; the record is then as complete as it could be read. A
// revoked key is no error here: Revoked says so.
func ParseKeyRecord(text string) (KeyRecord, error) {
	k, fault := parseKeyRecord(text)
	if fault != nil {
		return k, fault
	}
	return k, nil
}

func parseKeyRecord(text string) (KeyRecord, *Error) {
	if len(text) > maxKeyRecord {
		return KeyRecord{}, &Error{Reason: KeySyntax, What: fmt.Sprintf("longer than %d bytes", maxKeyRecord)}
	}
	tags, fault := parseTags(text)
	k := KeyRecord{Tags: tags, Type: "rsa"}
	if fault != nil {
		fault.Reason = KeySyntax
		return k, fault
	}
	for i, t := range tags {
		switch t.Name {
		case "v":
			if i > 0 || t.Value != "DKIM1" {
				return k, &Error{Reason: KeyVersion, Tag: "v", What: "must come first and be DKIM1"}
			}
		case "k":
			k.Type = t.Value
		case "h":
			k.Hashes = list(t.Value)
		case "s":
			k.Services = list(t.Value)
		case "t":
			k.Flags = list(t.Value)
		case "n":
			k.Notes = unquotePrintableText(t.Value)
		}
	}
	p, ok := tags.Get("p")
	if !ok {
		return k, &Error{Reason: KeySyntax, Tag: "p", What: "there is none"}
	}
	if k.Revoked = p == ""; k.Revoked {
		return k, nil
	}
	return k, k.readKey(p)
}

// readKey reads p=.
func (k *KeyRecord) readKey(p string) *Error {
	der, err := decode(p)
	if err != nil {
		return &Error{Reason: KeySyntax, Tag: "p", What: "not base64; is it cut, or has it stray quotation marks?", Err: err}
	}
	switch k.Type {
	case "rsa":
		// The RFC's text says RSAPublicKey and its examples are SubjectPublicKeyInfo: both
		// are in use (erratum 3017).
		any, err := x509.ParsePKIXPublicKey(der)
		if err != nil {
			if any, err = x509.ParsePKCS1PublicKey(der); err != nil {
				return &Error{Reason: KeySyntax, Tag: "p", What: "not an RSA public key; is it cut?", Err: err}
			}
		}
		public, ok := any.(*rsa.PublicKey)
		if !ok {
			return &Error{Reason: KeySyntax, Tag: "p", What: fmt.Sprintf("not an RSA public key but %T", any)}
		}
		k.Public = public
	case "ed25519":
		if len(der) != ed25519.PublicKeySize { // RFC 8463 section 4.2: the bare 32 bytes
			return &Error{Reason: KeySyntax, Tag: "p", What: fmt.Sprintf("%d bytes and not the 32 of an Ed25519 key", len(der))}
		}
		k.Public = ed25519.PublicKey(der)
	default:
		return &Error{Reason: KeyType, Tag: "k", What: clip(k.Type)}
	}
	return nil
}

// Keys remembers what was read from key records, by their text: big senders use one
// key for very many mails, and reading it takes as long as a tenth of the check. It
// says nothing about DNS: the record is asked for each time. It may be used by
// several goroutines; the zero value is ready.
type Keys struct {
	mu    sync.Mutex
	read  map[string]readKey
	desks desks
}

type readKey struct {
	record KeyRecord
	fault  *Error
}

// maxKnown bounds what Keys remembers; beyond it begins anew.
const maxKnown = 4096

// parse is parseKeyRecord, remembered. Records and faults are shared: nobody may
// change them.
func (k *Keys) parse(text string) (KeyRecord, *Error) {
	if k == nil {
		return parseKeyRecord(text)
	}
	k.mu.Lock()
	known, ok := k.read[text]
	k.mu.Unlock()
	if ok {
		return known.record, known.fault
	}
	known.record, known.fault = parseKeyRecord(text)
	if len(text) > 4<<10 { // no key of a decent sender
		return known.record, known.fault
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.read == nil || len(k.read) == maxKnown {
		k.read = make(map[string]readKey)
	}
	k.read[text] = known
	return known.record, known.fault
}

// unquotePrintableText is unquotePrintable for text with spaces in it.
func unquotePrintableText(s string) string {
	words := strings.Fields(s)
	for i := range words {
		words[i] = unquotePrintable(words[i])
	}
	return strings.Join(words, " ")
}

// fits says why a signature may not be checked with the key, or nil.
func (k *KeyRecord) fits(s *Signature, isARC bool) *Error {
	_, hash, _ := strings.Cut(s.Algorithm, "-")
	bits := k.Bits()
	switch {
	case k.Revoked:
		return &Error{Reason: KeyRevoked, Tag: "p"}
	case !k.Email():
		return &Error{Reason: KeyService, Tag: "s", What: clip(strings.Join(k.Services, ":"))}
	case k.Hashes != nil && !slices.Contains(k.Hashes, hash):
		return &Error{Reason: KeyHash, Tag: "h", What: clip(strings.Join(k.Hashes, ":"))}
	case k.Type != s.keyType():
		return &Error{Reason: KeyType, Tag: "k", What: k.Type + " cannot check " + s.Algorithm}
	case k.Type == "rsa" && bits < minRSA:
		return &Error{Reason: KeyShort, Tag: "p", What: fmt.Sprintf("%d bits", bits)}
	case k.Type == "rsa" && bits > maxRSA:
		return &Error{Reason: KeyLong, Tag: "p", What: fmt.Sprintf("%d bits", bits)}
	case !isARC && k.Strict() && s.Identity[strings.LastIndexByte(s.Identity, '@')+1:] != s.Domain:
		return &Error{Reason: KeyStrict, Tag: "i", What: clip(s.Identity) + " is not at " + s.Domain}
	}
	return nil
}

// NewKeyRecord gives the record to publish for a key.
func NewKeyRecord(public crypto.PublicKey) (KeyRecord, error) {
	k := KeyRecord{Public: public}
	var der []byte
	switch public := public.(type) {
	case *rsa.PublicKey:
		var err error
		if der, err = x509.MarshalPKIXPublicKey(public); err != nil {
			return KeyRecord{}, fmt.Errorf("write the public key: %w", err)
		}
		k.Type = "rsa"
	case ed25519.PublicKey:
		der, k.Type = public, "ed25519"
	default:
		return KeyRecord{}, fmt.Errorf("write the public key: %T cannot sign mail; use RSA of 2048 bits", public)
	}
	k.Tags = Tags{{"v", "DKIM1"}, {"k", k.Type}, {"p", base64.StdEncoding.EncodeToString(der)}}
	return k, nil
}

// String gives the record's text.
func (k KeyRecord) String() string {
	var b strings.Builder
	for i, t := range k.Tags {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(t.Name + "=" + t.Value)
	}
	return b.String()
}

// Strings gives the text as the strings of a TXT record, at most 255 bytes each
// (RFC 1035 section 3.3.14, RFC 6376 section 3.6.2.2).
func (k KeyRecord) Strings() []string {
	text := k.String()
	var parts []string
	for len(text) > 255 {
		parts, text = append(parts, text[:255]), text[255:]
	}
	return append(parts, text)
}

// Zone gives the record as a line of a zone file, for the name of Signature.KeyName.
func (k KeyRecord) Zone(name string) string {
	return name + `. TXT ( "` + strings.Join(k.Strings(), `" "`) + `" )`
}

// ParseKey reads a private key from PEM: PKCS #8 ("PRIVATE KEY", RSA or Ed25519)
// or PKCS #1 ("RSA PRIVATE KEY").
func ParseKey(text []byte) (crypto.Signer, error) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		switch {
		case block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "":
			return nil, errors.New("read the key: it is encrypted; decrypt it with openssl pkey -in KEY -out PLAIN")
		case block.Type == "RSA PRIVATE KEY":
			key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
			if err != nil {
				return nil, fmt.Errorf("read the key (PKCS #1): %w", err)
			}
			return key, nil
		case block.Type == "PRIVATE KEY":
			any, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			if err != nil {
				return nil, fmt.Errorf("read the key (PKCS #8): %w", err)
			}
			switch key := any.(type) {
			case *rsa.PrivateKey:
				return key, nil
			case ed25519.PrivateKey:
				return key, nil
			}
			return nil, fmt.Errorf("read the key: %T cannot sign mail; make one with openssl genrsa 2048", any)
		}
	}
	if bytes.Contains(text, []byte("PUBLIC KEY")) {
		return nil, errors.New("read the key: this is the public key; the private one is needed to sign")
	}
	return nil, errors.New("read the key: no PEM block of a private key; expected -----BEGIN PRIVATE KEY-----")
}
