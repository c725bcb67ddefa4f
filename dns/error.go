package dns

import (
	"fmt"
)

// Kind says why there is no answer. Every kind but KindName may pass: a later
// question can be answered.
type Kind string

// The kinds.
const (
	KindName        Kind = "name"        // the name cannot be asked: too long, an empty label, not IDNA
	KindTimeout     Kind = "timeout"     // nobody answered in time
	KindUnreachable Kind = "unreachable" // no connection to any server, or all are known to be dead
	KindTLS         Kind = "tls"         // DNS over TLS: the certificate does not prove the server's name
	KindServFail    Kind = "servfail"    // SERVFAIL: the server could not find out
	KindRefused     Kind = "refused"     // REFUSED: the server does not answer us
	KindCode        Kind = "code"        // another response code
	KindLame        Kind = "lame"        // a referral in place of an answer: the server is no resolver for this name
	KindMalformed   Kind = "malformed"   // what came is no DNS message, or contradicts itself, or answers another question
	KindChain       Kind = "chain"       // the CNAMEs go in a circle, or there are too many
	KindBogus       Kind = "bogus"       // DNSSEC validation refused the answer
	KindCanceled    Kind = "canceled"    // the caller's context ended first
)

// Error says why an answer is Failed or Bogus.
type Error struct {
	Kind   Kind
	Name   string // the name asked last: behind CNAMEs not the one the caller asked
	Type   string // "MX"
	Server string // who was asked last, "192.0.2.53:53"; "" if nobody was
	Err    error  // what came of it; may be nil
}

// Error gives all of it in a line.
func (e *Error) Error() string {
	text := fmt.Sprintf("look up %s of %q: %s", e.Type, e.Name, e.Kind)
	if e.Server != "" {
		text += " (server " + e.Server + ")"
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap gives what came of it.
func (e *Error) Unwrap() error { return e.Err }

// Timeout reports whether nobody answered in time, as net.Error has it.
func (e *Error) Timeout() bool { return e.Kind == KindTimeout }
