package dns

import (
	"context"
	"fmt"
	"slices"
	"time"

	mdns "github.com/miekg/dns"
)

// try asks for the last name of a finding's chain until a server says something
// about it, and takes that into the finding. It gives who was asked last, and
// what DNSSEC proves of the reply.
//
// A server that does not answer is asked again; one that answered that it does
// not know is not, in the same question. A refusal by validation is final: to
// ask a server that does not validate would be to ask for the forged answer.
func (r *Resolver) try(ctx context.Context, k kind, found *finding) (*upstream, Security, *Error) {
	name := found.chain[len(found.chain)-1]
	q := query{name: name, kind: k}
	var fault *Error
	var last *upstream
	var done []*upstream
	for tries := 0; tries < r.options.Attempts; {
		asked := false
		for _, u := range r.upstreams {
			if tries == r.options.Attempts || slices.Contains(done, u) || !r.alive(ctx, u) || !r.fit(ctx, u) {
				continue
			}
			asked, last = true, u
			tries++
			security, err := r.attempt(ctx, u, q, found)
			if err == nil {
				return u, security, nil
			}
			err.Name, err.Type, err.Server = name, k.String(), u.name
			if ctx.Err() != nil {
				err.Kind = ended(ctx)
			}
			switch err.Kind {
			case KindBogus, KindChain, KindCanceled:
				return u, Unavailable, err
			case KindTimeout, KindUnreachable, KindTLS:
				if len(done) == 0 { // what a server said tells more
					fault = err
				}
			default:
				fault = err
				done = append(done, u)
			}
		}
		if !asked || ctx.Err() != nil {
			break
		}
	}
	if fault == nil {
		fault = r.dead()
		fault.Name, fault.Type = name, k.String()
		if ctx.Err() != nil {
			fault.Kind = ended(ctx)
		}
	}
	return last, Unavailable, fault
}

// dead gives the error for a question that nobody was asked.
func (r *Resolver) dead() *Error {
	e := &Error{Kind: KindUnreachable, Err: errDead}
	for _, u := range r.upstreams {
		if why := u.silent(); why != nil {
			if e.Err = fmt.Errorf("%w: %w", errDead, why); kindOf(why) == KindTLS {
				e.Kind = KindTLS
			}
			e.Server = u.name
			break
		}
	}
	return e
}

// errDead is the reason where nobody was asked.
var errDead = plainError("no server answers; they are looked at again within half a minute; " +
	"check the network and the DNS servers that are configured")

// alive reports whether a server may be asked.
func (r *Resolver) alive(ctx context.Context, u *upstream) bool {
	ok, look := u.usable(time.Now())
	if look {
		return r.signOfLife(ctx, u)
	}
	return ok
}

// attempt is one try at one server. What it says is taken into the finding if it
// is an answer.
func (r *Resolver) attempt(ctx context.Context, u *upstream, q query, found *finding) (Security, *Error) {
	m, err := r.talk(ctx, u, q)
	if err != nil {
		return Unavailable, &Error{Kind: kindOf(err), Err: err}
	}
	switch m.code {
	case mdns.RcodeSuccess, mdns.RcodeNameError:
	case mdns.RcodeServerFailure:
		if r.bogus(ctx, u, q, m) {
			return Unavailable, &Error{Kind: KindBogus, Err: plainError(m.reason())}
		}
		return Unavailable, &Error{Kind: KindServFail, Err: plainError(m.reason())}
	case mdns.RcodeRefused:
		return Unavailable, &Error{Kind: KindRefused, Err: plainError(m.reason())}
	default:
		return Unavailable, &Error{Kind: KindCode, Err: plainError(m.reason())}
	}
	next := finding{chain: slices.Clone(found.chain), ttl: found.ttl}
	if next.take(q.kind, m); next.fault != "" {
		return Unavailable, &Error{Kind: next.fault, Err: plainError(next.why)}
	}
	*found = next
	switch {
	case !u.passed():
		return Unavailable, nil
	case m.ad:
		return Secure, nil
	}
	return Insecure, nil
}

// bogus reports whether a SERVFAIL of a server that we trust means that the
// answer was refused by validation. Where the server does not say so (RFC 8914)
// it is asked again not to validate: what comes then was refused before. That
// is one more query for each SERVFAIL, and where the trouble ended in between
// the answer counts as bogus for Options.FailureTTL; both end in the same
// caution.
func (r *Resolver) bogus(ctx context.Context, u *upstream, q query, m *message) bool {
	if !u.passed() {
		return false
	}
	if m.refusedByValidation() {
		return true
	}
	q.cd = true
	m, err := r.talk(ctx, u, q)
	return err == nil && (m.code == mdns.RcodeSuccess || m.code == mdns.RcodeNameError)
}

// ended says what a context that has ended means to who asked.
func ended(ctx context.Context) Kind {
	if ctx.Err() == context.DeadlineExceeded {
		return KindTimeout
	}
	return KindCanceled
}
