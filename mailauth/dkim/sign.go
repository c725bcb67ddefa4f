package dkim

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Key is a private key with the name under which its public half is published.
type Key struct {
	Domain   string        // d=; U-labels are written as A-labels
	Selector string        // s=
	Identity string        // i=: "", "@sub.domain" or "user@sub.domain"; needed by nobody, and shown to all
	Private  crypto.Signer // RSA of 1024 to 8192 bits, or Ed25519
}

// SignOptions say how mail is signed. What is not an option: relaxed/relaxed, so
// that refolding and trailing spaces do no harm; t= always; l= never, for it lets
// anyone append (RFC 6376 section 8.2).
type SignOptions struct {
	// Keys make one signature each, on top of the message in this order. An Ed25519 key
	// needs an RSA key for the same domain beside it: most receivers cannot read its
	// signature, and some take it for a syntax error.
	Keys []Key
	// Expires sets x= that long behind t=; 0 writes none. It should be longer than mail
	// may wait in queues: a week.
	Expires time.Duration
	// Always and Present replace AlwaysSigned and SignedIfPresent; nil keeps them.
	Always, Present []string
	// Now is the clock of t=; nil is time.Now.
	Now func() time.Time
}

// AlwaysSigned are the fields that are signed once more than the message has
// them, also those that it has not: they decide what a reader sees, and nobody
// on the way has a reason to add one. Without, a signed mail could be sent again
// with a second Subject or From on top, a Cc with new readers, or a
// Content-Type under which the same body reads otherwise (RFC 6376 section
// 8.15).
//
// A list that sets Reply-To breaks the signature so; it should, for it decides
// where the answers go.
func AlwaysSigned() []string {
	return []string{
		"From", "Reply-To", "Subject", "To", "Cc",
		"MIME-Version", "Content-Type", "Content-Transfer-Encoding",
		"In-Reply-To", "References",
	}
}

// SignedIfPresent are the fields that are signed once more than the message has
// them only if it has one. Where they are missing others add them and may: a
// submission server Date and Message-ID (RFC 6409 section 8), a mailing list
// Sender and the List- fields. Where they are there a second one is an attack,
// as on one-click unsubscription (RFC 8058 section 4) and feedback loops.
//
// Nothing that travel changes is in either list: Received, Return-Path,
// Delivered-To, the results and signatures of others, Resent- fields.
func SignedIfPresent() []string {
	return []string{
		"Date", "Message-ID", "Sender",
		"List-Unsubscribe", "List-Unsubscribe-Post", "List-Id", "List-Help", "List-Subscribe", "List-Post",
		"List-Owner", "List-Archive", "Feedback-ID",
		"Content-ID", "Content-Description", "Content-Disposition", "Content-Language", "Auto-Submitted",
	}
}

// unsignable are fields that change on the way (RFC 6376 section 5.4), or
// that are taken out (Bcc).
var unsignable = []string{
	"received", "return-path", "delivered-to", "x-original-to", "authentication-results", "received-spf",
	"dkim-signature", "arc-seal", "arc-message-signature", "arc-authentication-results", "bcc", "comments", "keywords",
}

// Errors of NewSigner and Sign that a caller may want to tell.
var (
	ErrFrom         = errors.New("a signed mail needs exactly one From field (RFC 6376 section 5.4, RFC 5322 section 3.6)")
	ErrEd25519Alone = errors.New("most receivers cannot read an Ed25519 signature; add an RSA key for the same domain")
)

var errNoKey = errors.New("no key; give NewSigner at least one")

// Signer signs mail. It may be used by several goroutines at the same time if
// its keys may.
type Signer struct {
	keys            []Key
	always, present []string
	expires         time.Duration
	now             func() time.Time
	desks           desks
}

// NewSigner checks the options.
func NewSigner(o SignOptions) (*Signer, error) {
	s := &Signer{always: o.Always, present: o.Present, expires: o.Expires, now: o.Now}
	if s.always == nil {
		s.always = AlwaysSigned()
	}
	if s.present == nil {
		s.present = SignedIfPresent()
	}
	if s.now == nil {
		s.now = time.Now
	}
	if err := checkNames(s.always, s.present); err != nil {
		return nil, fmt.Errorf("set up DKIM: %w", err)
	}
	if s.expires != 0 && s.expires < time.Second {
		return nil, errors.New("set up DKIM: x= would not be later than t=; leave Expires 0 or set it to a week")
	}
	withRSA := map[string]bool{}
	for _, k := range o.Keys {
		checked, err := checkKey(k)
		if err != nil {
			return nil, fmt.Errorf("set up DKIM for %q, selector %q: %w", k.Domain, k.Selector, err)
		}
		s.keys = append(s.keys, checked)
		if _, isRSA := checked.Private.Public().(*rsa.PublicKey); isRSA {
			withRSA[checked.Domain] = true
		}
	}
	if len(s.keys) == 0 {
		return nil, fmt.Errorf("set up DKIM: %w", errNoKey)
	}
	for _, k := range s.keys {
		if !withRSA[k.Domain] {
			return nil, fmt.Errorf("set up DKIM for %q, selector %q: %w", k.Domain, k.Selector, ErrEd25519Alone)
		}
	}
	return s, nil
}

// checkNames looks at the names that h= is made of.
func checkNames(always, present []string) error {
	seen := map[string]bool{}
	for _, name := range slices.Concat(always, present) {
		l := strings.ToLower(name)
		switch {
		case strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == ':' || r == ';' }) || name == "":
			return fmt.Errorf("%q is not the name of a header field", name)
		case slices.Contains(unsignable, l):
			return fmt.Errorf("%s changes on the way and cannot be signed; take it off the list", name)
		case seen[l]:
			return fmt.Errorf("%s is on the lists twice; once is enough", name)
		}
		seen[l] = true
	}
	if !slices.ContainsFunc(always, func(n string) bool { return strings.EqualFold(n, "From") }) {
		return errors.New("From must be signed always; add it to the list")
	}
	return nil
}

// checkKey looks at a key and writes its names as A-labels.
func checkKey(k Key) (Key, error) {
	domain, okDomain := domainName(k.Domain)
	selector, okSelector := domainName(k.Selector)
	switch {
	case !okDomain || !strings.Contains(domain, "."):
		return k, errors.New("the domain is not a domain name")
	case !okSelector:
		return k, errors.New("the selector is not a label, or labels with dots between them")
	case !there(k.Private):
		return k, errors.New("there is no private key")
	}
	if k.Identity != "" {
		at := strings.LastIndexByte(k.Identity, '@')
		d, ok := domainName(k.Identity[at+1:])
		if at < 0 || !ok || d != domain && !strings.HasSuffix(d, "."+domain) {
			return k, fmt.Errorf("the identity %q is not of the form local@domain, at the signing domain or under it", k.Identity)
		}
		k.Identity = quotePrintable(k.Identity[:at]) + "@" + d
	}
	k.Domain, k.Selector = domain, selector
	switch public := k.Private.Public().(type) {
	case ed25519.PublicKey:
	case *rsa.PublicKey:
		if n := public.N.BitLen(); n < minRSA || n > maxRSA {
			return k, fmt.Errorf("the RSA key has %d bits; use 2048 (RFC 8301 section 3.2)", n)
		}
	default:
		return k, fmt.Errorf("%T cannot sign mail; use RSA of 2048 bits", public)
	}
	return k, nil
}

// there reports whether there is a key behind the interface: the zero keys of crypto panic
// when they are asked for their public half.
func there(k crypto.Signer) bool {
	switch k := k.(type) {
	case nil:
		return false
	case *rsa.PrivateKey:
		return k != nil && k.N != nil
	case ed25519.PrivateKey:
		return len(k) == ed25519.PrivateKeySize
	}
	return true
}

// Sign gives the DKIM-Signature fields of a message, one a key, each with CRLF at
// its end. They belong before the message's first byte. The body is read once.
// Errors are ErrFrom, ErrHeader, those of the body's reader and of the keys.
func (s *Signer) Sign(ctx context.Context, m Message) ([]byte, error) {
	if len(s.keys) == 0 {
		return nil, fmt.Errorf("sign with DKIM: %w", errNoKey)
	}
	desk := s.desks.take()
	defer s.desks.leave(desk)
	list, _, err := fields(desk.fields, m.Header)
	if desk.fields = list; err != nil {
		return nil, fmt.Errorf("sign with DKIM: %w", err)
	}
	from := 0
	hash := nameHash("from")
	for i := range list {
		if list[i].is("from", hash) {
			from++
		}
	}
	if from != 1 {
		return nil, fmt.Errorf("sign with DKIM: %w; there are %d", ErrFrom, from)
	}
	b := desk.body.again(Relaxed, -1)
	if err := hashBody(ctx, m.Body, []*body{b}); err != nil {
		return nil, fmt.Errorf("sign with DKIM: read the body: %w", err)
	}
	bodyHash := base64.StdEncoding.EncodeToString(b.sum())
	signed, names := s.cover(desk)
	defer func() { desk.text, desk.names = signed, names }()
	now := s.now()
	fields := make([]byte, 0, 1024*len(s.keys))
	for i := range s.keys {
		k := &s.keys[i]
		_, isRSA := k.Private.Public().(*rsa.PublicKey)
		start := len(fields)
		fields = s.appendUnsigned(fields, k, isRSA, now, names, bodyHash)
		text := appendRelaxedField(signed, fields[start:])
		sum := sha256.Sum256(text[:len(text)-2])
		signed = text[:len(signed)] // keeps the room
		how := crypto.Hash(0)       // Ed25519 signs the hash as if it were the message (RFC 8463 section 3)
		if isRSA {
			how = crypto.SHA256
		}
		signature, err := k.Private.Sign(rand.Reader, sum[:], how)
		if err != nil {
			return nil, fmt.Errorf("sign with DKIM for %s, selector %s: %w", k.Domain, k.Selector, err)
		}
		fields = appendBase64(fields, signature)
	}
	return fields, nil
}

// cover gives the signed header fields in canonical form, and h=.
func (s *Signer) cover(d *desk) (text []byte, names []string) {
	p := newPicker(d)
	text, names = d.text[:0], d.names[:0]
	add := func(name string) (n int) {
		hash := nameHash(name)
		for f := p.take(name, hash); f != nil; f = p.take(name, hash) {
			text = appendRelaxedField(text, f.raw)
			names = append(names, name)
			n++
		}
		return n
	}
	for _, name := range s.always {
		add(name)
		names = append(names, name)
	}
	for _, name := range s.present {
		if add(name) > 0 {
			names = append(names, name)
		}
	}
	return text, names
}

// lineWidth is how wide a line may get (RFC 5322 section 2.1.1: 78, we stay below).
const lineWidth = 76

// appendUnsigned appends a DKIM-Signature field up to and with "b=".
func (s *Signer) appendUnsigned(to []byte, k *Key, isRSA bool, now time.Time, names []string, bodyHash string) []byte {
	w := folder{text: append(to, "DKIM-Signature: v=1;"...), bol: len(to)}
	if isRSA {
		w.add("a=rsa-sha256;")
	} else {
		w.add("a=ed25519-sha256;")
	}
	w.add("c=relaxed/relaxed;")
	w.add("d=" + k.Domain + ";")
	w.add("s=" + k.Selector + ";")
	if k.Identity != "" {
		w.add("i=" + k.Identity + ";")
	}
	w.add("t=" + strconv.FormatInt(now.Unix(), 10) + ";")
	if s.expires > 0 {
		w.add("x=" + strconv.FormatInt(now.Add(s.expires).Unix(), 10) + ";")
	}
	for i, name := range names {
		end := ":"
		if i == len(names)-1 {
			end = ";"
		}
		if i == 0 {
			w.add("h=" + name + end)
		} else {
			w.join(name + end)
		}
	}
	w.add("bh=" + bodyHash + ";")
	return append(w.text, "\r\n b="...)
}

// appendBase64 appends the signature proper behind "b=" and ends the field. White
// space may stand anywhere in it and does not count.
func appendBase64(to, signature []byte) []byte {
	text := base64.StdEncoding.EncodeToString(signature)
	for room := lineWidth - len(" b="); len(text) > room; room = lineWidth - 1 {
		to = append(append(to, text[:room]...), "\r\n "...)
		text = text[room:]
	}
	return append(append(to, text...), "\r\n"...)
}

// folder writes a field that is folded between its parts.
type folder struct {
	text []byte
	bol  int // where the line begins
}

// add writes a part behind a space or on a new line.
func (w *folder) add(part string) {
	if len(w.text)-w.bol+1+len(part) > lineWidth {
		w.fold()
	} else {
		w.text = append(w.text, ' ')
	}
	w.text = append(w.text, part...)
}

// join writes a part without a space before it, or on a new line.
func (w *folder) join(part string) {
	if len(w.text)-w.bol+len(part) > lineWidth {
		w.fold()
	}
	w.text = append(w.text, part...)
}

func (w *folder) fold() {
	w.text = append(w.text, "\r\n "...)
	w.bol = len(w.text) - 1
}
