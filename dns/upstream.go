package dns

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	mdns "github.com/miekg/dns"
)

// Of a server that does not answer.
const (
	maxSilences = 2                // tries without a reply before it is looked at
	look        = time.Second      // how long a sign of life may take
	firstOff    = time.Second      // how long it is left alone then; doubled
	maxOff      = 30 * time.Second // to this
	plainFor    = 10 * time.Minute // how long a server is asked without EDNS that did not take it
)

// upstream is a server and what is known of it.
type upstream struct {
	Server
	name string

	mu       sync.Mutex
	silences int           // tries without a reply since the last reply
	fault    error         // of the last of them
	heard    uint64        // replies so far
	off      time.Duration // how long it is left alone; 0: it is alive
	until    time.Time     // the end of that
	probed   bool          // somebody is looking whether it is alive
	plain    time.Time     // no EDNS before this time
	trust    trust
}

// network is how the server is asked first.
func (u *upstream) network() string {
	if u.TLSName != "" {
		return "tls"
	}
	return "udp"
}

// usable says whether the server may be asked, and whether the caller shall
// look first whether it is alive (signOfLife).
//
// One name whose own servers are slow makes many tries without a reply, and must
// not make a server dead for all other names: so after some of them somebody
// looks, by a question that any server answers at once.
func (u *upstream) usable(now time.Time) (ok, look bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case u.off == 0 && (u.probed || u.silences < maxSilences):
		return true, false
	case u.probed || now.Before(u.until):
		return false, false
	}
	u.probed = true
	return true, true
}

// replied takes note of a reply: whatever it says, the server is alive.
func (u *upstream) replied() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.silences, u.off = 0, 0
	u.heard++
}

// silence takes note of a try without a reply, and why there was none.
func (u *upstream) silence(why error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.silences++
	u.fault = why
}

// silent gives why there was no reply to the last try; nil where there was one.
func (u *upstream) silent() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.silences == 0 {
		return nil
	}
	return u.fault
}

// edns gives the size to announce, 0 for a server that does not take EDNS.
func (u *upstream) edns(size uint16, now time.Time) uint16 {
	u.mu.Lock()
	defer u.mu.Unlock()
	if now.Before(u.plain) {
		return 0
	}
	return size
}

func (u *upstream) withoutEDNS(now time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.plain = now.Add(plainFor)
}

// signOfLife asks a server for what any server has an answer to, if only
// REFUSED: the name servers of the root. Who calls it has set probed.
func (r *Resolver) signOfLife(ctx context.Context, u *upstream) bool {
	u.mu.Lock()
	before := u.heard
	u.mu.Unlock()
	short, stop := context.WithTimeout(ctx, min(look, r.options.Timeout))
	defer stop()
	_, err := r.carry(short, u, u.network(), query{name: Root, kind: typeNS})
	u.mu.Lock()
	defer u.mu.Unlock()
	u.probed = false
	switch {
	case err == nil || u.heard != before:
		u.silences, u.off = 0, 0
		return true
	case ctx.Err() != nil:
		return false // we did not wait to the end
	}
	u.fault = err
	u.off = min(max(2*u.off, firstOff), maxOff)
	u.until = time.Now().Add(u.off)
	return false
}

// carry brings one query to a server and its reply back, which matches.
func (r *Resolver) carry(ctx context.Context, u *upstream, network string, q query) ([]byte, error) {
	var id [2]byte
	_, _ = rand.Read(id[:]) // never fails
	packed, err := q.pack(binary.BigEndian.Uint16(id[:]))
	if err != nil {
		return nil, err
	}
	reply, err := r.exchange.Exchange(ctx, u.Server, network, packed)
	if err != nil {
		return nil, err
	}
	if len(reply) > maxMessage || !matches(packed, reply) {
		return nil, errForeign
	}
	u.replied()
	return reply, nil
}

// once brings one query and reads the reply: over TCP where the one over UDP was
// cut (RFC 7766 section 5), cannot be read, or may be forged.
func (r *Resolver) once(ctx context.Context, u *upstream, q query) (*message, error) {
	bring := func(network string) ([]byte, error) {
		short, stop := context.WithTimeout(ctx, r.options.Timeout)
		defer stop()
		return r.carry(short, u, network, q)
	}
	network := u.network()
	reply, err := bring(network)
	if network == "udp" {
		if err == nil && !truncated(reply) {
			if m, broken := readMessage(reply); broken == nil {
				return m, nil
			}
		}
		if err == nil || errors.Is(err, errForeign) {
			reply, err = bring("tcp")
		}
	}
	if err != nil {
		return nil, err
	}
	if truncated(reply) {
		return nil, fmt.Errorf("%w: cut where nothing has to be cut", errMalformed)
	}
	return readMessage(reply)
}

// talk has one try at a server, without EDNS where the server does not take it
// (RFC 6891 section 7).
func (r *Resolver) talk(ctx context.Context, u *upstream, q query) (*message, error) {
	q.ad = u.Trusted
	begin := time.Now()
	q.edns = u.edns(r.options.UDPSize, begin)
	m, err := r.once(ctx, u, q)
	if err == nil && q.edns > 0 && refusesEDNS(m) {
		q.edns = 0
		if m, err = r.once(ctx, u, q); err == nil && !refusesEDNS(m) {
			u.withoutEDNS(time.Now())
		}
	}
	if err != nil {
		switch kindOf(err) {
		case KindTimeout, KindUnreachable, KindTLS:
			// Where nobody waits so long any more the time that was waited counts.
			if ctx.Err() == nil || time.Since(begin) >= look {
				u.silence(err)
			}
		default: // something was said
		}
	}
	return m, err
}

// refusesEDNS reports whether a reply may be one to the EDNS of the query.
func refusesEDNS(m *message) bool {
	return m.code == mdns.RcodeFormatError || m.code == mdns.RcodeNotImplemented || m.code == mdns.RcodeBadVers
}

// kindOf sorts what came of an exchange.
func kindOf(err error) Kind {
	var timeout net.Error
	var (
		verify  *tls.CertificateVerificationError
		host    x509.HostnameError
		issuer  x509.UnknownAuthorityError
		invalid x509.CertificateInvalidError
	)
	switch {
	case errors.Is(err, errForeign), errors.Is(err, errMalformed):
		return KindMalformed
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return KindTimeout
	case errors.As(err, &verify), errors.As(err, &host), errors.As(err, &issuer), errors.As(err, &invalid):
		return KindTLS
	}
	return KindUnreachable
}
