package zone

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/miekg/dns"
)

// SignOptions say how a zone is signed.
type SignOptions struct {
	Key        ed25519.PrivateKey // the only key of the zone; nil makes one
	Inception  time.Time          // the zero value: an hour ago
	Expiration time.Time          // the zero value: in 30 days; in the past the zone is bogus
	NoDS       bool               // no DS is put into the zone above, as if the registrar had forgotten it
}

// Sign signs a zone (RFC 4035 section 2) with Ed25519 (RFC 8080) and NSEC, now and
// after every change, and gives its DS record as text: the trust anchor for a
// validating resolver. Where the zone around it is in the same Data and signed
// too, the DS is put there. A signed zone needs NS records.
func (d *Data) Sign(apex string, o SignOptions) (ds string, err error) {
	apex = fold(apex)
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.sets[apex][dns.TypeSOA]) == 0 || len(d.sets[apex][dns.TypeNS]) == 0 {
		return "", fmt.Errorf("sign %s: needs a SOA and NS records there", apex)
	}
	if o.Key == nil {
		if _, o.Key, err = ed25519.GenerateKey(rand.Reader); err != nil {
			return "", fmt.Errorf("sign %s: make a key: %w", apex, err)
		}
	}
	public, ok := o.Key.Public().(ed25519.PublicKey)
	if !ok {
		return "", errors.New("sign " + apex + ": not an Ed25519 key")
	}
	now := time.Now()
	if o.Inception.IsZero() {
		o.Inception = now.Add(-time.Hour)
	}
	if o.Expiration.IsZero() {
		o.Expiration = now.Add(30 * 24 * time.Hour)
	}
	s := &signer{options: o, key: &dns.DNSKEY{
		Hdr:   dns.RR_Header{Name: apex, Rrtype: dns.TypeDNSKEY, Class: dns.ClassINET, Ttl: 3600},
		Flags: dns.ZONE | dns.SEP, Protocol: 3, Algorithm: dns.ED25519,
		PublicKey: base64.StdEncoding.EncodeToString(public),
	}}
	d.signing[apex] = s
	d.built = nil
	return s.key.ToDS(dns.SHA256).String(), nil
}

// signer signs one zone whenever the data is arranged anew.
type signer struct {
	options SignOptions
	key     *dns.DNSKEY
}

// publish puts the DNSKEY into the zone and the DS into the signed zone above it.
func (s *signer) publish(z *zone, above *zone, aboveSigned bool) {
	z.at(z.origin).sets[dns.TypeDNSKEY] = []dns.RR{s.key}
	if above != nil && aboveSigned && !s.options.NoDS {
		ds := s.key.ToDS(dns.SHA256)
		above.at(z.origin).sets[dns.TypeDS] = []dns.RR{ds}
	}
}

// sign makes the NSEC chain and the signatures.
func (s *signer) sign(z *zone) {
	var owners []string
	for name, n := range z.nodes {
		n.sigs = make(map[uint16][]dns.RR)
		delete(n.sets, dns.TypeNSEC)
		if len(n.sets) > 0 && (!n.cut || z.delegation(name) && !z.delegatedAbove(name)) {
			owners = append(owners, name)
		}
	}
	slices.SortFunc(owners, canonical)
	ttl := min(z.soa.Hdr.Ttl, z.soa.Minttl) // RFC 9077
	for i, name := range owners {
		n := z.nodes[name]
		nsec := &dns.NSEC{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeNSEC, Class: dns.ClassINET, Ttl: ttl},
			NextDomain: owners[(i+1)%len(owners)], TypeBitMap: []uint16{dns.TypeRRSIG, dns.TypeNSEC}}
		cut := z.delegation(name)
		for t := range n.sets {
			if !cut || t == dns.TypeNS || t == dns.TypeDS {
				nsec.TypeBitMap = append(nsec.TypeBitMap, t)
			}
		}
		slices.Sort(nsec.TypeBitMap)
		n.sets[dns.TypeNSEC] = []dns.RR{nsec}
		for t, set := range n.sets {
			if cut && t != dns.TypeDS && t != dns.TypeNSEC {
				continue
			}
			if sig := s.signature(z.origin, set); sig != nil {
				n.sigs[t] = []dns.RR{sig}
			}
		}
	}
}

// delegatedAbove reports whether a name lies below a delegation.
func (z *zone) delegatedAbove(name string) bool {
	return name != z.origin && z.nodes[parentOf(name)].cut
}

func (s *signer) signature(origin string, set []dns.RR) dns.RR {
	sig := &dns.RRSIG{Hdr: dns.RR_Header{Ttl: set[0].Header().Ttl}, Algorithm: s.key.Algorithm, KeyTag: s.key.KeyTag(),
		SignerName: origin, Inception: uint32(s.options.Inception.Unix()), Expiration: uint32(s.options.Expiration.Unix())}
	// The TTL that is signed is the first record's, whatever the others have.
	if sig.Sign(s.options.Key, set) != nil {
		return nil // a set that cannot be packed cannot be sent either
	}
	return sig
}
