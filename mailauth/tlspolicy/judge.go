package tlspolicy

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

// Trust is by whom and when certificates are believed.
type Trust struct {
	Roots *x509.CertPool // nil: the system's
	At    time.Time      // zero: the moment of the handshake
}

// Handshake is what came of TLS in a session. The zero value is a server that
// did not offer STARTTLS.
type Handshake struct {
	Offered bool                 // EHLO had STARTTLS, or the session began with TLS
	Refused error                // what the server said to STARTTLS other than 220
	Err     error                // why the handshake failed
	State   *tls.ConnectionState // after a handshake that succeeded
}

// Verdict is what a requirement says of a session.
type Verdict struct {
	// Deliver: mail may go over this session as it is now.
	Deliver bool

	// Clear: mail may go over another session without TLS (RFC 7435); only ever
	// true under LevelOpportunistic. Whether it should is the caller's to know.
	Clear bool

	// Verified: the host proved its name, by DANE or by a certificate.
	Verified bool

	// Secure: Verified, and MXProven. A log may call nothing else a secure delivery
	// to the domain (RFC 7672 section 2.2.1).
	Secure bool

	// Failure is what a report tells of the session (RFC 8460 section 4.3); nil is
	// success. It may stand beside Deliver: under testing mode, and where nothing
	// was demanded.
	Failure *Failure

	Reason string // a sentence part for logs
}

// Judge says whether a session keeps to a requirement. It is pure, save that the
// system's roots are read where trust names none.
func Judge(r Requirement, h Handshake, trust Trust) Verdict {
	if r.Level == LevelUnusable {
		return Verdict{Failure: r.Failure, Reason: r.Reason}
	}
	failure := handshakeFailure(r, h)
	if failure == nil {
		failure = r.prove(h.State, trust)
	}
	v := Verdict{Failure: failure}
	encrypted := h.State != nil && h.Err == nil
	switch {
	case failure == nil:
		v.Deliver, v.Verified = true, r.Level >= LevelPKIX || r.Testing
		v.Reason = "encrypted"
		switch v.Secure = v.Verified && r.MXProven; {
		case v.Secure:
			v.Reason = "encrypted and verified"
		case v.Verified:
			v.Reason = "encrypted, the host is verified; that it takes mail for the domain is not proven"
		}
	case r.Level == LevelOpportunistic:
		// A connection whose handshake failed is of no use, a new one is.
		v.Deliver, v.Clear, v.Reason = h.Err == nil, true, failure.Reason
	case r.Level == LevelEncrypted && encrypted:
		v.Deliver, v.Reason = true, failure.Reason
	default:
		v.Reason = failure.Reason
	}
	return v
}

// handshakeFailure tells what kept a session from being encrypted (RFC 8460
// section 4.3.1).
func handshakeFailure(r Requirement, h Handshake) *Failure {
	var ours *Failure
	switch {
	case h.Refused != nil:
		return &Failure{Result: StartTLSNotSupported, Code: "starttls-refused",
			Reason: r.Host + " refuses STARTTLS", Err: h.Refused}
	case !h.Offered:
		return &Failure{Result: StartTLSNotSupported, Code: "starttls-not-offered",
			Reason: r.Host + " does not offer STARTTLS"}
	case h.Err == nil && h.State == nil:
		return &Failure{Result: ValidationFailure, Code: "no-handshake", Reason: "there was no handshake"}
	case h.Err == nil:
		return nil
	case errors.As(h.Err, &ours):
		return ours
	}
	return &Failure{Result: ValidationFailure, Code: "handshake",
		Reason: "the TLS handshake with " + r.Host + " failed", Err: h.Err}
}

// prove checks the certificates of a session.
func (r Requirement) prove(state *tls.ConnectionState, trust Trust) *Failure {
	at := trust.At
	if at.IsZero() {
		at = time.Now()
	}
	switch {
	case r.Level == LevelDANE:
		_, err := VerifyDANE(r.Records, r.Names, state.PeerCertificates, at)
		var f *Failure
		if err != nil && !errors.As(err, &f) {
			f = &Failure{Result: ValidationFailure, Code: "dane", Reason: "DANE failed", Err: err}
		}
		return f
	case r.Level != LevelPKIX && !r.Testing:
		return nil
	case r.Failure != nil: // testing: the host is not in the policy
		return r.Failure
	case len(state.PeerCertificates) == 0:
		return &Failure{Result: ValidationFailure, Code: "no-certificate", Reason: "the server sent no certificate"}
	case state.Version < tls.VersionTLS12: // RFC 8461 section 7.2
		return &Failure{Result: ValidationFailure, Code: "tls-version", Reason: "older than TLS 1.2"}
	}
	if f := verifyPool(state.PeerCertificates, trust.Roots, at); f != nil {
		return f
	}
	return verifyNames(state.PeerCertificates[0], r.Names, false)
}

// Config gives the TLS configuration for a session under the requirement, made
// of base, which may be nil. A certificate that the requirement does not accept
// ends the handshake, so that not a word goes over such a session; the error
// then holds the *Failure. crypto/tls's own check is off, and so are checks that
// base brings: they know neither TLSA records nor what may be overlooked.
func (r Requirement) Config(base *tls.Config, trust Trust) *tls.Config {
	config := new(tls.Config)
	if base != nil {
		config = base.Clone()
	}
	config.ServerName = r.SNI
	config.InsecureSkipVerify = true
	config.VerifyPeerCertificate = nil
	config.VerifyConnection = nil
	if r.Level < LevelPKIX {
		return config
	}
	config.MinVersion = max(config.MinVersion, tls.VersionTLS12)
	config.VerifyConnection = func(state tls.ConnectionState) error {
		if r.Level == LevelUnusable {
			return fmt.Errorf("must not be used: %w", r.Failure)
		}
		if f := r.prove(&state, trust); f != nil {
			return f
		}
		return nil
	}
	return config
}
