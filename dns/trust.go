package dns

import (
	"context"
	"fmt"
	"time"

	mdns "github.com/miekg/dns"
)

// Trust is what the self-test of a trusted server found.
type Trust struct {
	Server Server
	Passed bool      // its AD bit is believed
	Reason string    // what was seen last; where that was not good, what to do
	Tested time.Time // when; zero: not yet
}

// How long a test holds that was not passed.
const (
	retestFailed = time.Minute     // the server does not validate, or cannot show it
	retestSilent = 5 * time.Second // it did not answer
)

// outcome is what a self-test shows.
type outcome uint8

const (
	unclear outcome = iota // nothing: the server, or the world behind it, did not answer
	failed                 // the server does not validate
	passed                 // it does
)

// trust is the state of the self-test of one server; its upstream locks.
type trust struct {
	Trust
	next    time.Time
	running chan struct{} // closed when the test that runs has ended
}

// SelfTest tests each trusted server now and gives what was found: DNSSEC is
// available if and only if one has passed. Without it a server is tested when it
// is first asked. No trusted servers: nothing.
//
// A server passes if it sets AD on a signed name, and refuses a name whose
// signatures are wrong: with an extended error that says so, or by giving with
// checking disabled what it refused before. A resolver that sets AD on
// everything, or passes on the AD of others, answers the second; one that is
// cut off from the world is not taken for one that validates, unless it has
// passed before.
func (r *Resolver) SelfTest(ctx context.Context) []Trust {
	if r == nil {
		return nil
	}
	for _, u := range r.upstreams {
		if u.Trusted {
			r.test(ctx, u)
		}
	}
	return r.Trust()
}

// Trust gives what the last self-test of each trusted server found, without
// asking anybody.
func (r *Resolver) Trust() []Trust {
	if r == nil {
		return nil
	}
	var all []Trust
	for _, u := range r.upstreams {
		if !u.Trusted {
			continue
		}
		u.mu.Lock()
		found := u.trust.Trust
		u.mu.Unlock()
		found.Server = u.Server
		if found.Tested.IsZero() {
			found.Reason = "not tested yet"
		}
		all = append(all, found)
	}
	return all
}

// passed reports whether the AD bit of the server is believed.
func (u *upstream) passed() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.Trusted && u.trust.Passed
}

// tested sees to it that the server was tested, and not too long ago. One tests;
// the others wait for the first test, and live with the old one later.
func (r *Resolver) tested(ctx context.Context, u *upstream) {
	for ctx.Err() == nil {
		u.mu.Lock()
		t := &u.trust
		if !t.Tested.IsZero() && (t.running != nil || time.Now().Before(t.next)) {
			u.mu.Unlock()
			return
		}
		if running := t.running; running != nil {
			u.mu.Unlock()
			select {
			case <-running:
			case <-ctx.Done():
			}
			continue
		}
		running := make(chan struct{})
		t.running = running
		u.mu.Unlock()
		r.test(ctx, u)
		u.mu.Lock()
		t.running = nil
		u.mu.Unlock()
		close(running)
		return
	}
}

// fit reports whether a server may be asked now, and tests it if that is due.
// Trusted servers that have not passed are asked only where none has: else who
// can silence the one that passed would take DNSSEC away from us.
func (r *Resolver) fit(ctx context.Context, u *upstream) bool {
	if !u.Trusted {
		return true
	}
	if r.tested(ctx, u); u.passed() {
		return true
	}
	for _, other := range r.upstreams {
		if other != u && r.alive(ctx, other) {
			r.tested(ctx, other)
		}
		if other.passed() {
			return false
		}
	}
	return true
}

// test tests a server and keeps what it finds, unless ctx ended before. A test
// that shows nothing does not undo one that was passed: the names that it needs
// are others', and who can keep us from them must not be able to switch off
// what DNSSEC protects.
func (r *Resolver) test(ctx context.Context, u *upstream) {
	found, reason, again := r.examine(ctx, u)
	if ctx.Err() != nil {
		return
	}
	now := time.Now()
	u.mu.Lock()
	before := u.trust.Passed
	u.trust.Trust = Trust{Passed: found == passed || found == unclear && before, Reason: reason, Tested: now}
	u.trust.next = now.Add(again)
	u.mu.Unlock()
	if before && found == failed { // what it called secure may be no more
		r.Forget()
	}
}

// examine is the self-test. again is how long the result holds.
func (r *Resolver) examine(ctx context.Context, u *upstream) (found outcome, reason string, again time.Duration) {
	signed, _ := parseName(r.options.Signed) // New has read both
	bogus, _ := parseName(r.options.BogusName)
	silent := func(name string, err error) (outcome, string, time.Duration) {
		return unclear, fmt.Sprintf("no answer to the self-test's question for %q: %v; "+
			"check that the server runs and may be asked from here", name, err), retestSilent
	}
	m, err := r.talk(ctx, u, query{name: signed, kind: typeSOA})
	switch {
	case err != nil:
		return silent(signed, err)
	case m.code != mdns.RcodeSuccess:
		return unclear, fmt.Sprintf("the signed name %q is not answered (%s); "+
			"check that the server can reach the world", signed, m.reason()), retestFailed
	case !m.ad:
		return failed, fmt.Sprintf("the answer for the signed name %q has no AD bit: this server does not validate, "+
			"or does not tell; switch DNSSEC validation on there, or do not mark it as trusted", signed), retestFailed
	}
	q := query{name: bogus, kind: typeA}
	if m, err = r.talk(ctx, u, q); err != nil {
		return silent(bogus, err)
	}
	switch m.code {
	case mdns.RcodeServerFailure:
	case mdns.RcodeSuccess, mdns.RcodeNameError:
		return failed, fmt.Sprintf("%q, whose signatures are wrong, is not refused (%s): this server sets AD and does not "+
			"validate; switch DNSSEC validation on there, or do not mark it as trusted", bogus, m.reason()), retestFailed
	default:
		return unclear, fmt.Sprintf("%q, whose signatures are wrong, is answered with %s, not with SERVFAIL; "+
			"check that the server may be asked from here", bogus, m.reason()), retestFailed
	}
	if !m.refusedByValidation() {
		q.cd = true
		if m, err = r.talk(ctx, u, q); err != nil {
			return silent(bogus, err)
		}
		if m.code != mdns.RcodeSuccess && m.code != mdns.RcodeNameError {
			return unclear, fmt.Sprintf("%q is refused with checking disabled too (%s), so the refusal does not show that "+
				"this server validates; check that the server can reach the world", bogus, m.reason()), retestFailed
		}
	}
	return passed, fmt.Sprintf("validates: %q comes with AD, %q is refused", signed, bogus), r.options.Retest
}
