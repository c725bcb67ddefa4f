package tlspolicy

import (
	"container/list"
	"context"
	"errors"
	"sync"
	"time"
)

// STSOptions say how an STSCache works. Zero values stand for what is written.
type STSOptions struct {
	FetchOptions

	MaxPolicies int // policies kept; 100,000. Beyond it the one that was longest not used goes
	MaxBytes    int // memory for them, about; 64 MiB
	Fetches     int // fetches at once, others wait; 32

	Pause    time.Duration // after a failing fetch nobody asks again for it; 5 min, doubled each time up to 1 h
	Interval time.Duration // no domain is fetched from more often, whatever its record says; 1 min
	Refresh  time.Duration // a policy of this age is fetched again by Run; 24 h

	// Failed hears of every fetch that failed, with the policy that is kept instead
	// or the zero value, so that the administrator can be told; not where what is
	// kept is of mode none (RFC 8461 sections 3.3 and 10.2). It is called without
	// locks held; it may be nil.
	Failed func(domain string, kept STSPolicy, failure *Failure)
}

// unused is how long Run keeps a policy fresh that nobody asked for: then it may
// run out like any other.
const unused = 31 * 24 * time.Hour

// shortest is the max_age below which Run lets a policy expire: who wants to be
// forgotten within the hour does not want to be asked all day.
const shortest = time.Hour

// STS is what is known about the MTA-STS of a domain at one moment.
type STS struct {
	Domain string

	// State is Published if there is a policy to keep to, which may be one of
	// mode none. Broken: there is a record, and no policy could be had by it.
	// Unknown: DNS failed, and nothing is kept from before.
	State  State
	Policy STSPolicy // shared with the cache: do not change MX
	ID     string    // of the record by which the policy was fetched

	Fetched, Expires time.Time

	// Live says that the record in DNS names this policy now. A policy that is
	// not live was kept because DNS or the policy host is in trouble, or the
	// record is gone: it binds all the same (RFC 8461 sections 3.3 and 5.1).
	Live bool

	// Failure is what a report should say of the policy itself, also beside a
	// policy that is kept. nil: nothing.
	Failure *Failure
}

// STSCache knows the policies of domains: it looks for them, keeps them until
// their max_age, and asks again when the record says so. For use by many
// goroutines. Close ends it.
type STSCache struct {
	o     STSOptions
	ctx   context.Context // of all fetches
	end   context.CancelFunc
	wg    sync.WaitGroup
	slots chan struct{}

	mu       sync.Mutex
	closed   bool
	policies map[string]*list.Element // of *kept
	recent   *list.List               // of *kept, the one used last in front
	bytes    int
	failures map[string]trouble
	flights  map[string]*flight
}

// kept is one policy in the cache.
type kept struct {
	domain        string
	id            string
	policy        STSPolicy
	fetched, used time.Time
	due           time.Time // when Run fetches it again
}

func (k *kept) expires() time.Time { return k.fetched.Add(k.policy.MaxAge) }

// trouble is what is remembered of a domain whose policy could not be fetched.
type trouble struct {
	id      string
	at      time.Time // of the last try
	until   time.Time // nobody asks before it
	count   int
	failure *Failure
}

// flight is a fetch on its way. Its goroutine ends when everybody who waits has
// gone.
type flight struct {
	done    chan struct{}
	cancel  context.CancelFunc
	waiting int
	policy  STSPolicy // valid when done is closed
	fetched time.Time
	failure *Failure
}

// NewSTSCache makes an empty cache. The error says what is missing in o.
func NewSTSCache(o STSOptions) (*STSCache, error) {
	if o.Resolver == nil {
		return nil, errors.New("no resolver for MTA-STS: give one in STSOptions")
	}
	standing(&o.Timeout, time.Minute)
	standing(&o.MaxPolicies, 100_000)
	standing(&o.MaxBytes, 64<<20)
	standing(&o.Fetches, 32)
	standing(&o.Pause, 5*time.Minute)
	standing(&o.Interval, time.Minute)
	standing(&o.Refresh, 24*time.Hour)
	c := &STSCache{
		o: o, slots: make(chan struct{}, o.Fetches),
		policies: map[string]*list.Element{}, recent: list.New(),
		failures: map[string]trouble{}, flights: map[string]*flight{},
	}
	c.ctx, c.end = context.WithCancel(context.Background())
	return c, nil
}

func standing[T int | time.Duration](value *T, standing T) {
	if *value <= 0 {
		*value = standing
	}
}

// Close ends all fetches and waits for them. What is kept stays readable.
func (c *STSCache) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.end()
	c.wg.Wait()
}

// Get says what is known about a policy domain: the recipient's domain or, on
// the way over a smart host, the smart host's name (RFC 8461 section 3.4), never
// a parent of either. It asks DNS for the record each time, which costs
// nothing while the resolver has it, and fetches a policy where the record
// names one that is not here. It waits for that until ctx ends.
//
// Asked again before a message is returned to its sender, it sees a policy
// that changed meanwhile, as RFC 8461 section 5.1 demands.
func (c *STSCache) Get(ctx context.Context, domain string) STS {
	name, ok := hostName(domain)
	if !ok { // an address literal has no policy
		return STS{Domain: domain}
	}
	record, state, err := LookupSTSRecord(ctx, c.o.Resolver, name)
	now := time.Now()
	c.mu.Lock()
	k := c.find(name, now)
	if state != Published {
		defer c.mu.Unlock()
		s := k.answer(name, state)
		switch {
		case s.Policy.Mode == ModeNone: // taken back in order, which nobody needs to hear of (RFC 8461 sections 6 and 8.3)
		case state == Broken:
			s.Failure = &Failure{Result: STSPolicyInvalid, Code: "record-syntax", Reason: "the record is not valid", Err: err}
		case state == Unknown:
			s.Failure = fetchFailure("record-lookup", "the record is not known", err)
		case k != nil:
			s.Failure = fetchFailure("record-missing", "the record is gone, and mode none did not take the policy back", nil)
		}
		return s
	}
	if k != nil && (k.id == record.ID || now.Before(k.fetched.Add(c.o.Interval))) {
		defer c.mu.Unlock()
		s := k.answer(name, Published)
		s.Live = k.id == record.ID
		return s
	}
	if t, ok := c.failures[name]; ok && (t.id == record.ID && now.Before(t.until) || now.Before(t.at.Add(c.o.Interval))) {
		defer c.mu.Unlock()
		s := k.answer(name, Broken)
		s.Failure = t.failure
		return s
	}
	f := c.fly(name, record.ID)
	c.mu.Unlock()
	return c.wait(ctx, f, name, record.ID)
}

// answer tells what is kept, or state where nothing is.
func (k *kept) answer(domain string, state State) STS {
	if k == nil {
		return STS{Domain: domain, State: state}
	}
	return STS{
		Domain: domain, State: Published, Policy: k.policy, ID: k.id, Fetched: k.fetched, Expires: k.expires(),
	}
}

// find gives what is kept of a domain and marks it as used. What is too old
// goes, unless it was fetched this moment: a max_age of zero still serves those
// who waited for it.
func (c *STSCache) find(domain string, now time.Time) *kept {
	e := c.policies[domain]
	if e == nil {
		return nil
	}
	k := value(e)
	if now.After(k.expires()) && now.After(k.fetched.Add(c.o.Interval)) {
		c.drop(e)
		return nil
	}
	k.used = now
	c.recent.MoveToFront(e)
	return k
}

func value(e *list.Element) *kept {
	k, _ := e.Value.(*kept)
	return k
}

func (c *STSCache) drop(e *list.Element) {
	k := value(e)
	c.recent.Remove(e)
	delete(c.policies, k.domain)
	c.bytes -= k.policy.size() + len(k.domain)
}

// keep stores a policy in place of an older one and makes room for it.
func (c *STSCache) keep(k *kept) {
	if e := c.policies[k.domain]; e != nil {
		c.drop(e)
	}
	k.due = k.fetched.Add(min(c.o.Refresh, k.policy.MaxAge/2))
	if k.policy.MaxAge < shortest {
		k.due = k.expires().Add(c.o.Refresh)
	}
	c.policies[k.domain] = c.recent.PushFront(k)
	c.bytes += k.policy.size() + len(k.domain)
	for len(c.policies) > 1 && (len(c.policies) > c.o.MaxPolicies || c.bytes > c.o.MaxBytes) {
		c.drop(c.recent.Back())
	}
}

// fly joins the fetch of a domain that is on its way, or starts one.
func (c *STSCache) fly(domain, id string) *flight {
	f := c.flights[domain]
	if f == nil {
		ctx, cancel := context.WithCancel(c.ctx)
		f = &flight{done: make(chan struct{}), cancel: cancel}
		if c.closed {
			f.failure = fetchFailure("closed", "not fetched any more", context.Canceled)
			cancel()
			close(f.done)
			f.waiting++
			return f
		}
		c.flights[domain] = f
		c.wg.Go(func() { c.fetch(ctx, f, domain, id) })
	}
	f.waiting++
	return f
}

// fetch is the goroutine of a flight.
func (c *STSCache) fetch(ctx context.Context, f *flight, domain, id string) {
	defer f.cancel()
	var policy STSPolicy
	var err error
	select {
	case c.slots <- struct{}{}:
		policy, err = FetchSTSPolicy(ctx, domain, c.o.FetchOptions)
		<-c.slots
	case <-ctx.Done():
		err = fetchFailure("given-up", "not fetched", ctx.Err())
	}
	now := time.Now()
	c.mu.Lock()
	f.policy, f.fetched = policy, now
	var before STSPolicy
	if err == nil {
		k := &kept{domain: domain, id: id, policy: policy, fetched: now, used: now}
		if e := c.policies[domain]; e != nil {
			k.used = value(e).used
		}
		c.keep(k)
		delete(c.failures, domain)
	} else {
		if !errors.As(err, &f.failure) {
			f.failure = fetchFailure("fetch", "cannot fetch the policy", err)
		}
		if ctx.Err() == nil { // giving up says nothing about the host
			c.remember(domain, id, now, f.failure)
		}
		if e := c.policies[domain]; e != nil && now.Before(value(e).expires()) {
			before = value(e).policy
		}
	}
	if c.flights[domain] == f {
		delete(c.flights, domain)
	}
	gaveUp := ctx.Err() != nil
	c.mu.Unlock()
	close(f.done)
	if f.failure != nil && !gaveUp && before.Mode != ModeNone && c.o.Failed != nil {
		c.o.Failed(domain, before, f.failure)
	}
}

// remember keeps a failure, so that a broken host is not asked for each
// message: RFC 8461 section 3.3 wants five minutes or longer for each id.
func (c *STSCache) remember(domain, id string, now time.Time, failure *Failure) {
	t := c.failures[domain]
	if t.id != id {
		t.count = 0
	}
	pause := min(c.o.Pause<<min(t.count, 10), max(time.Hour, c.o.Pause))
	c.failures[domain] = trouble{id: id, at: now, until: now.Add(pause), count: t.count + 1, failure: failure}
	if e := c.policies[domain]; e != nil {
		value(e).due = now.Add(pause)
	}
	if len(c.failures) <= c.o.MaxPolicies {
		return
	}
	// Full: those that may be asked again go, else any one.
	for name, old := range c.failures {
		if now.After(old.until.Add(time.Hour)) {
			delete(c.failures, name)
		}
	}
	for name := range c.failures {
		if len(c.failures) <= c.o.MaxPolicies {
			break
		}
		if name != domain {
			delete(c.failures, name)
		}
	}
}

// wait waits for a flight until ctx ends, and tells what came of it, or what is
// kept where that is nothing.
func (c *STSCache) wait(ctx context.Context, f *flight, domain, id string) STS {
	select {
	case <-f.done:
	case <-ctx.Done():
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	landed := false
	select {
	case <-f.done:
		landed = true
	default:
	}
	if f.waiting--; f.waiting == 0 && !landed {
		f.cancel()
		delete(c.flights, domain) // nobody shall join a fetch that is given up
	}
	switch {
	case !landed:
		s := c.find(domain, time.Now()).answer(domain, Unknown)
		s.Failure = fetchFailure("given-up", "not fetched in the time that there was", ctx.Err())
		return s
	case f.failure != nil:
		s := c.find(domain, time.Now()).answer(domain, Broken)
		s.Failure = f.failure
		return s
	}
	fresh := &kept{domain: domain, id: id, policy: f.policy, fetched: f.fetched}
	s := fresh.answer(domain, Published)
	s.Live = true
	return s
}

// Forget drops what is kept of a domain, its failures too: an operator who
// knows that the domain was repaired does not want to wait.
func (c *STSCache) Forget(domain string) {
	name, ok := hostName(domain)
	if !ok {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.policies[name]; e != nil {
		c.drop(e)
	}
	delete(c.failures, name)
}

// Len says how many policies are kept.
func (c *STSCache) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.policies)
}
