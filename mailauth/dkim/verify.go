package dkim

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/postroad/postroad/dns"
	"github.com/postroad/postroad/mailauth"
)

// Resolver asks for TXT records; a *dns.Resolver is one.
type Resolver interface {
	TXT(ctx context.Context, name string) dns.Answer[string]
}

// Options are the bounds of a verification. The zero value is good.
type Options struct {
	Now           time.Time     // 0: the clock
	Skew          time.Duration // how far t= may be ahead of Now, and x= behind; 0: 5 minutes
	MaxSignatures int           // how many DKIM-Signature fields are looked at, from the top; 0: 10
	Keys          *Keys         // keys that were read before; nil reads each anew
	RefusePartial bool          // a signature that leaves bytes of the body unsigned (l=) is Partial, not a pass
}

// withDefaults fills in what is zero.
func (o Options) withDefaults() Options {
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	if o.Skew == 0 {
		o.Skew = 5 * time.Minute
	}
	if o.MaxSignatures == 0 {
		o.MaxSignatures = 10
	}
	return o
}

// Bounds of what one message can make us do.
const (
	maxKeys    = 64 // keys asked for: 50 ARC sets and 10 signatures with one key each
	maxAtOnce  = 8  // of them at the same time
	maxBodies  = 8  // ways to hash one body: two algorithms, and l=
	bodyBuffer = 32 << 10
)

// Verification is what one signature came to.
type Verification struct {
	Signature

	Result mailauth.Result
	Reason Reason // why it is not a pass; zero if it is
	Err    error  // the same as an *Error with its details; nil if it is a pass

	Key     KeyRecord          // as far as it was found and read
	Answer  dns.Answer[string] // of DNS for the key; zero if it was not asked
	Bits    int                // of the key, 0 without one
	Testing bool               // t=y of the key: the result must not count (RFC 6376 section 3.6.1)

	// HeaderIntact says that the signature proper is right, whatever else is wrong:
	// with BodyHash as the reason it was the body alone that was changed.
	HeaderIntact bool
	BodySize     int64    // bytes of the body in canonical form; -1 if it was not read
	Unsigned     int64    // bytes of them that l= leaves unsigned: anyone may change or append them
	Oversigned   []string // names that h= has once more than the message: none may be added
	Added        []string // names that the message has more often than h=: one may have been added
}

// Oversigns reports whether no field of that name can be added without breaking
// the signature.
func (v *Verification) Oversigns(header string) bool {
	return containsFold(v.Oversigned, header)
}

// Report is what all DKIM signatures of a message came to.
type Report struct {
	Signatures []Verification // from the top
	Skipped    int            // signatures behind Options.MaxSignatures
	BareLF     bool           // the message has LF without CR, which was hashed as CRLF
}

// Verify checks the DKIM signatures of a message. Whatever is wrong with a
// signature is in the report; the error is for a message that cannot be read
// (ErrHeader, the reader's error) and a context that is done.
func Verify(ctx context.Context, r Resolver, m Message, o Options) (Report, error) {
	report, _, err := examine(ctx, r, m, o, true, false)
	return report, err
}

// VerifyARC checks the ARC chain of a message (RFC 8617 section 5.2). Errors are as
// those of Verify.
func VerifyARC(ctx context.Context, r Resolver, m Message, o Options) (Chain, error) {
	_, chain, err := examine(ctx, r, m, o, false, true)
	return chain, err
}

// VerifyAll does both and reads the body once.
func VerifyAll(ctx context.Context, r Resolver, m Message, o Options) (Report, Chain, error) {
	return examine(ctx, r, m, o, true, true)
}

// examination is one message on its way through.
type examination struct {
	Options
	fields []field
	bareLF bool
	checks []*check
	bodies []*body
	keys   []*key
	desk   *desk
}

// check is one signature on its way through.
type check struct {
	*Verification
	kind  kind
	field int // index of the field
	key   *key
	body  *body
	fault *Error
}

// key is one key on its way from DNS.
type key struct {
	name   string
	answer dns.Answer[string]
	record KeyRecord
	fault  *Error
}

func examine(ctx context.Context, r Resolver, m Message, o Options, signatures, chain bool) (Report, Chain, error) {
	e := examination{Options: o.withDefaults()}
	room := new(desks)
	if e.Keys != nil {
		room = &e.Keys.desks
	}
	e.desk = room.take()
	defer room.leave(e.desk)
	var err error
	e.fields, e.bareLF, err = fields(e.desk.fields, m.Header)
	if e.desk.fields = e.fields; err != nil {
		return Report{}, Chain{}, fmt.Errorf("verify DKIM: %w", err)
	}
	var report Report
	var links *links
	if signatures {
		report = e.signatures()
	}
	if chain {
		links = e.chain()
	}
	if r == nil {
		r = (*dns.Resolver)(nil) // no key can be had, which is no verdict about a signature
	}
	e.ask(ctx, r)
	if err := e.readBody(ctx, m.Body); err != nil {
		return Report{}, Chain{}, fmt.Errorf("verify DKIM: read the body: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return Report{}, Chain{}, fmt.Errorf("verify DKIM: %w", err)
	}
	for _, c := range e.checks {
		e.finish(c)
	}
	report.BareLF = e.bareLF
	if links == nil {
		return report, Chain{}, nil
	}
	return report, links.judge(e.bareLF), nil
}

// signatures finds the DKIM signatures.
func (e *examination) signatures() Report {
	const name = "dkim-signature"
	var report Report
	hash := nameHash(name)
	n := 0
	for i := range e.fields {
		if e.fields[i].is(name, hash) {
			n++
		}
	}
	report.Skipped = max(0, n-e.MaxSignatures)
	report.Signatures = make([]Verification, 0, n-report.Skipped)
	for i := range e.fields {
		if len(report.Signatures) < cap(report.Signatures) && e.fields[i].is(name, hash) {
			report.Signatures = append(report.Signatures, Verification{})
			e.add(&report.Signatures[len(report.Signatures)-1], dkimSignature, i)
		}
	}
	return report
}

// add reads the signature in a field and puts it down for checking.
func (e *examination) add(v *Verification, k kind, index int) *check {
	c := &check{Verification: v, kind: k, field: index}
	v.BodySize = -1
	v.Signature, c.fault = parseSignature(string(e.fields[index].value()), k)
	if c.fault == nil && k == dkimSignature && v.Time.After(e.Now.Add(e.Skew)) {
		c.fault = &Error{Reason: Future, Tag: "t", What: v.Time.Format(time.RFC3339)}
	}
	e.checks = append(e.checks, c)
	return c
}

// ask gets the keys of all signatures that are worth it, several at a time.
func (e *examination) ask(ctx context.Context, r Resolver) {
	e.keys = make([]*key, 0, 4)
	for _, c := range e.checks {
		if c.fault != nil {
			continue
		}
		name := c.KeyName()
		at := slices.IndexFunc(e.keys, func(k *key) bool { return k.name == name })
		switch {
		case at >= 0:
			c.key = e.keys[at]
		case len(e.keys) == maxKeys:
			c.fault = &Error{Reason: TooMany, What: fmt.Sprintf("more than %d keys to ask for", maxKeys)}
		default:
			c.key = &key{name: name}
			e.keys = append(e.keys, c.key)
		}
	}
	if len(e.keys) == 1 {
		e.keys[0].ask(ctx, r, e.Keys)
	} else {
		var all sync.WaitGroup
		slots := make(chan struct{}, maxAtOnce)
		for _, k := range e.keys {
			slots <- struct{}{}
			all.Go(func() {
				k.ask(ctx, r, e.Keys)
				<-slots
			})
		}
		all.Wait()
	}
	for _, c := range e.checks {
		if c.fault == nil {
			c.Answer, c.Key, c.fault = c.key.answer, c.key.record, c.key.fault
			c.Bits, c.Testing = c.Key.Bits(), c.Key.Testing()
			if c.fault == nil {
				c.fault = c.Key.fits(&c.Signature, c.kind != dkimSignature)
			}
		}
	}
}

// ask asks DNS for a key (RFC 6376 section 6.1.2).
func (k *key) ask(ctx context.Context, r Resolver, known *Keys) {
	name := k.name
	k.answer = r.TXT(ctx, name)
	switch k.answer.Status {
	case dns.Found:
	case dns.Absent, dns.Empty:
		k.fault = &Error{Reason: KeyAbsent, What: name}
		return
	default: // Failed, Bogus: nothing is known
		k.fault = &Error{Reason: KeyUnavailable, What: name, Err: k.answer.Err}
		return
	}
	found := 0
	var first *Error
	for _, text := range k.answer.Records {
		record, fault := known.parse(text)
		if _, isKey := record.Tags.Get("p"); fault != nil && !isKey {
			// Something else at the name, as a wildcard brings. It counts if there is no key.
			if first == nil && found == 0 {
				first, k.record = fault, record
			}
			continue
		}
		if found++; found == 1 {
			k.record, k.fault = record, fault
		}
	}
	switch {
	case found == 0:
		k.fault = first
	case found > 1:
		k.fault = &Error{Reason: KeySeveral, What: fmt.Sprintf("%d keys at %s", found, name)}
	}
}

// readBody reads the body once, for all signatures that need it.
func (e *examination) readBody(ctx context.Context, r io.Reader) error {
	for _, c := range e.checks {
		if c.fault == nil && c.kind != arcSeal {
			c.body, c.fault = e.body(&c.Signature)
		}
	}
	if len(e.bodies) == 0 {
		return nil
	}
	if err := hashBody(ctx, r, e.bodies); err != nil {
		return err
	}
	for _, b := range e.bodies {
		e.bareLF = e.bareLF || b.bareLF
	}
	return nil
}

// body gives the hash that a signature needs, a new one only where no other
// signature needs the same.
func (e *examination) body(s *Signature) (*body, *Error) {
	for _, b := range e.bodies {
		if b.relaxed == (s.BodyCanon == Relaxed) && (b.limit == s.Length || s.Length < 0 && b.unlimited()) {
			return b, nil
		}
	}
	if len(e.bodies) == maxBodies {
		return nil, &Error{Reason: TooMany, What: "too many different l= in one message"}
	}
	var b *body
	if len(e.bodies) == 0 {
		b = e.desk.body.again(s.BodyCanon, s.Length)
	} else {
		b = newBody(s.BodyCanon, sha256.New(), s.Length)
	}
	e.bodies = append(e.bodies, b)
	return b, nil
}

// hashBody reads a body to its end into all the hashes.
func hashBody(ctx context.Context, r io.Reader, bodies []*body) error {
	var to io.Writer = bodies[0]
	if len(bodies) > 1 {
		writers := make([]io.Writer, len(bodies))
		for i, b := range bodies {
			writers[i] = b
		}
		to = io.MultiWriter(writers...)
	}
	if whole, ok := r.(*bytes.Reader); ok { // in memory: no need to copy it, nor to look at the context
		if _, err := whole.WriteTo(to); err != nil {
			return err
		}
	} else if r != nil {
		piece := make([]byte, bodyBuffer)
		for {
			n, err := r.Read(piece)
			if _, werr := to.Write(piece[:n]); werr != nil {
				return werr
			}
			if errors.Is(err, io.EOF) {
				break
			}
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				return err
			}
		}
	}
	for _, b := range bodies {
		b.close()
	}
	return nil
}

// finish judges a signature when its key and its body hash are there.
func (e *examination) finish(c *check) {
	if c.fault == nil && c.kind != arcSeal { // seals are checked by the chain, which has their input
		c.fault = e.proof(c)
	}
	c.conclude()
}

// conclude writes down what the check came to.
func (c *check) conclude() {
	c.Result, c.Reason, c.Err = mailauth.Pass, "", nil
	if c.fault != nil {
		c.Reason, c.Err = c.fault.Reason, c.fault
		c.Result = c.Reason.Result()
	}
}

// proof is the computing part of RFC 6376 section 6.1.3.
func (e *examination) proof(c *check) *Error {
	c.BodySize = c.body.size
	c.Unsigned = max(0, c.body.size-c.body.limit)
	c.HeaderIntact = c.holds(e.headerHash(c))
	switch {
	case c.Length > c.BodySize:
		return &Error{Reason: LengthBeyondBody, Tag: "l", What: fmt.Sprintf("%d bytes of %d", c.Length, c.BodySize)}
	case !bytes.Equal(c.body.sum(), c.BodyHash):
		return &Error{Reason: BodyHash, Tag: "bh", What: "the body is not the one that was signed"}
	case !c.HeaderIntact:
		return &Error{Reason: HeaderSignature, Tag: "b", What: "a signed field was changed, or another key signed"}
	case c.kind == dkimSignature && !c.Expires.IsZero() && e.Now.After(c.Expires.Add(e.Skew)):
		return &Error{Reason: Expired, Tag: "x", What: c.Expires.Format(time.RFC3339)}
	case c.Unsigned > 0 && e.RefusePartial:
		return &Error{Reason: Partial, Tag: "l", What: fmt.Sprintf("%d bytes are not signed", c.Unsigned)}
	}
	return nil
}

// headerHash hashes the header fields that a signature covers, and the signature's own
// field without the signature proper (RFC 6376 section 3.7).
func (e *examination) headerHash(c *check) [sha256.Size]byte {
	p := newPicker(e.desk)
	p.taken[c.field] = true // it does not cover itself, whatever h= says
	text := e.desk.text[:0]
	e.desk.hashes = slices.Grow(e.desk.hashes[:0], len(c.Headers))
	hashes := e.desk.hashes[:len(c.Headers)]
	for i, name := range c.Headers {
		hashes[i] = nameHash(name)
		if f := p.take(name, hashes[i]); f != nil {
			text = appendField(text, c.HeaderCanon, f.raw)
		} else if name != "" && !containsFold(c.Oversigned, name) {
			if c.Oversigned == nil {
				c.Oversigned = make([]string, 0, min(16, len(c.Headers)-i))
			}
			c.Oversigned = append(c.Oversigned, name)
		}
	}
	for i := range e.fields {
		f := &e.fields[i]
		if at := slices.Index(hashes, f.hash); !p.taken[i] && at >= 0 && f.is(c.Headers[at], f.hash) &&
			!containsFold(c.Added, c.Headers[at]) {
			c.Added = append(c.Added, c.Headers[at])
		}
	}
	text = appendUnsigned(text, c.HeaderCanon, e.fields[c.field].raw)
	e.desk.text = text
	return sha256.Sum256(text)
}

func containsFold(names []string, name string) bool {
	for _, n := range names {
		if len(n) == len(name) && strings.EqualFold(n, name) {
			return true
		}
	}
	return false
}

// appendUnsigned appends the field of a signature as it was before it had one: the value
// of b= with the white space around it deleted, and no line end behind it.
func appendUnsigned(to []byte, c Canonicalization, raw []byte) []byte {
	colon := bytes.IndexByte(raw, ':') + 1
	for i := colon; i < len(raw); {
		end := len(raw)
		if semicolon := bytes.IndexByte(raw[i:], ';'); semicolon >= 0 {
			end = i + semicolon
		}
		if equals := bytes.IndexByte(raw[i:end], '='); equals >= 0 && string(trimSpace(raw[i:i+equals])) == "b" {
			cut := make([]byte, 0, len(raw))
			cut = append(append(cut, raw[:i+equals+1]...), raw[end:]...)
			raw = cut
			break
		}
		i = end + 1
	}
	to = appendField(to, c, raw)
	return to[:len(to)-2]
}

// holds checks the signature proper against a hash.
func (v *Verification) holds(sum [sha256.Size]byte) bool {
	switch public := v.Key.Public.(type) {
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(public, crypto.SHA256, sum[:], v.Bytes) == nil
	case ed25519.PublicKey: // the hash is what is signed (RFC 8463 section 3)
		return len(public) == ed25519.PublicKeySize && ed25519.Verify(public, sum[:], v.Bytes)
	}
	return false
}
