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
	Reason string    // what was seen; where it did not pass, what to do
	Tested time.Time // zero: not yet
}

// How long a test holds that was not passed.
const (
	retestRefused = time.Minute     // the server does not validate
	retestSilent  = 5 * time.Second // it did not answer
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
// cut off from the world is not taken for one that validates.
func (r *Resolver) SelfTest(ctx context.Context) []Trust {
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

// test tests a server and keeps what it finds, unless ctx ended before.
func (r *Resolver) test(ctx context.Context, u *upstream) {
	passed, reason, again := r.examine(ctx, u)
	if ctx.Err() != nil {
		return
	}
	now := time.Now()
	u.mu.Lock()
	lost := u.trust.Passed && !passed
	u.trust.Trust = Trust{Passed: passed, Reason: reason, Tested: now}
	u.trust.next = now.Add(again)
	u.mu.Unlock()
	if lost { // what it called secure may be no more
		r.Forget()
	}
}

// examine is the self-test. again is how long the result holds.
func (r *Resolver) examine(ctx context.Context, u *upstream) (passed bool, reason string, again time.Duration) {
	signed, _ := parseName(r.options.Signed) // New has read both
	bogus, _ := parseName(r.options.BogusName)
	silent := func(name string, err error) (bool, string, time.Duration) {
		return false, fmt.Sprintf("no answer to the self-test's question for %q: %v; "+
			"check that the server runs and may be asked from here", name, err), retestSilent
	}
	m, err := r.talk(ctx, u, query{name: signed, kind: typeSOA})
	switch {
	case err != nil:
		return silent(signed, err)
	case m.code != mdns.RcodeSuccess:
		return false, fmt.Sprintf("the signed name %q is not answered (%s); "+
			"check that the server can reach the world", signed, m.reason()), retestRefused
	case !m.ad:
		return false, fmt.Sprintf("the answer for the signed name %q has no AD bit: this server does not validate, "+
			"or does not tell; switch DNSSEC validation on there, or do not mark it as trusted", signed), retestRefused
	}
	q := query{name: bogus, kind: typeA}
	if m, err = r.talk(ctx, u, q); err != nil {
		return silent(bogus, err)
	}
	if m.code != mdns.RcodeServerFailure {
		return false, fmt.Sprintf("%q, whose signatures are wrong, is not refused (%s): this server sets AD and does not "+
			"validate; switch DNSSEC validation on there, or do not mark it as trusted", bogus, m.reason()), retestRefused
	}
	if !m.refusedByValidation() {
		q.cd = true
		if m, err = r.talk(ctx, u, q); err != nil {
			return silent(bogus, err)
		}
		if m.code != mdns.RcodeSuccess && m.code != mdns.RcodeNameError {
			return false, fmt.Sprintf("%q is refused with checking disabled too (%s), so the refusal does not show that "+
				"this server validates; check that the server can reach the world", bogus, m.reason()), retestRefused
		}
	}
	return true, fmt.Sprintf("validates: %q comes with AD, %q is refused", signed, bogus), r.options.Retest
}
