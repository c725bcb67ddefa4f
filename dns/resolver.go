package dns

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"
)

// Resolver answers questions. It is safe for concurrent use. It needs no
// closing: whatever it does ends when nobody waits for it, and at the latest
// after Options.Total. A nil Resolver answers every question with Failed.
type Resolver struct {
	options   Options
	exchange  Exchanger
	upstreams []*upstream
	slots     chan struct{} // one for each question on its way

	mu      sync.Mutex
	cache   *cache
	flights map[key]*flight
}

// New gives a resolver that has asked nobody yet. The error says what is wrong
// with the options, and what to write.
func New(o Options) (*Resolver, error) {
	o = o.filled()
	if err := o.check(); err != nil {
		return nil, err
	}
	r := &Resolver{
		options: o, exchange: o.Exchange,
		slots:   make(chan struct{}, o.Asking),
		cache:   newCache(o.CacheEntries, o.CacheBytes),
		flights: map[key]*flight{},
	}
	if r.exchange == nil {
		r.exchange = newNetwork(o.Roots)
	}
	for _, s := range o.servers() {
		r.upstreams = append(r.upstreams, &upstream{Server: s, name: s.Address.String()})
	}
	return r, nil
}

// TXT gives the texts at a name, the strings of each record joined without a
// space.
func (r *Resolver) TXT(ctx context.Context, name string) Answer[string] {
	return ask(ctx, r, name, typeTXT, decodeTXTs)
}

// A gives the IPv4 addresses of a host.
func (r *Resolver) A(ctx context.Context, host string) Answer[netip.Addr] {
	return ask(ctx, r, host, typeA, decodeAddrs)
}

// AAAA gives the IPv6 addresses of a host.
func (r *Resolver) AAAA(ctx context.Context, host string) Answer[netip.Addr] {
	return ask(ctx, r, host, typeAAAA, decodeAddrs)
}

// MX gives the mail exchangers of a domain in the order of preference; equal
// ones are in no order that means anything (RFC 5321 section 5.1).
func (r *Resolver) MX(ctx context.Context, domain string) Answer[MX] {
	return ask(ctx, r, domain, typeMX, decodeMXs)
}

// PTR gives the names that an address points to. That they point back is for
// the caller to ask.
func (r *Resolver) PTR(ctx context.Context, address netip.Addr) Answer[string] {
	return ask(ctx, r, Reverse(address), typePTR, decodeNames)
}

// CNAME gives what a name is an alias of. It is not followed.
func (r *Resolver) CNAME(ctx context.Context, name string) Answer[string] {
	return ask(ctx, r, name, typeCNAME, decodeNames)
}

// NS gives the name servers of a zone.
func (r *Resolver) NS(ctx context.Context, zone string) Answer[string] {
	return ask(ctx, r, zone, typeNS, decodeNames)
}

// SOA gives the start of authority of a zone. Empty or Absent of a name inside
// a zone.
func (r *Resolver) SOA(ctx context.Context, zone string) Answer[SOA] {
	return ask(ctx, r, zone, typeSOA, decodeSOAs)
}

// TLSA gives the records of RFC 6698 at a name like _25._tcp.mx.example. They
// mean something only where the answer is Secure.
func (r *Resolver) TLSA(ctx context.Context, name string) Answer[TLSA] {
	return ask(ctx, r, name, typeTLSA, decodeTLSAs)
}

// Forget throws away what is known: an operator has changed a record and wants
// to see it. What is on its way still answers those who wait for it.
func (r *Resolver) Forget() {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cache.clear()
	clear(r.flights)
}

// errNoResolver is what a nil resolver knows.
var errNoResolver = errors.New("there is no resolver; make one with New")

// flight is a question on its way, for all who asked it meanwhile.
type flight struct {
	done    chan struct{} // closed when entry is there
	entry   *entry
	waiting int
	stop    context.CancelFunc
}

// ask answers from the cache, or waits for the answer with all who wait for it.
func ask[T any](
	ctx context.Context, r *Resolver, asked string, k kind, decode func([]record) ([]T, int, bool),
) Answer[T] {
	name, fault := parseName(asked)
	if fault == nil && r == nil {
		fault = &Error{Kind: KindUnreachable, Name: name, Err: errNoResolver}
	}
	if fault != nil {
		fault.Type = k.String()
		return Answer[T]{Name: asked, Canonical: asked, Status: Failed, Err: fault}
	}
	where := key{name, k}
	now := time.Now()
	r.mu.Lock()
	if e := r.cache.get(where, now); e != nil {
		r.mu.Unlock()
		return answer[T](e, e.expires.Sub(now), true)
	}
	if err := ctx.Err(); err != nil {
		r.mu.Unlock()
		return canceled[T](where, err)
	}
	f := r.flights[where]
	if f == nil {
		// The flight is for all who wait, so one who leaves does not end it.
		alone, stop := context.WithTimeout(context.WithoutCancel(ctx), r.options.Total)
		f = &flight{done: make(chan struct{}), stop: stop}
		r.flights[where] = f
		go r.fly(alone, f, where, func(records []record) (any, int, bool) { return decode(records) })
	}
	f.waiting++
	r.mu.Unlock()
	select {
	case <-f.done:
		return answer[T](f.entry, f.entry.ttl, false)
	case <-ctx.Done():
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if f.waiting--; f.waiting == 0 {
		f.stop()
		if r.flights[where] == f {
			delete(r.flights, where)
		}
	}
	return canceled[T](where, ctx.Err())
}

// fly brings the answer of one flight.
func (r *Resolver) fly(ctx context.Context, f *flight, k key, decode func([]record) (any, int, bool)) {
	defer f.stop()
	e := r.resolve(ctx, k, decode)
	r.mu.Lock()
	defer r.mu.Unlock()
	f.entry = e
	close(f.done)
	if r.flights[k] != f {
		return // nobody waits any more, or it was asked before Forget
	}
	delete(r.flights, k)
	if e.ttl > 0 {
		e.expires = time.Now().Add(e.ttl)
		r.cache.put(e)
	}
}

// answer makes of an entry what the caller gets.
func answer[T any](e *entry, ttl time.Duration, cached bool) Answer[T] {
	a := Answer[T]{
		Name: e.key.name, Canonical: e.canonical, Status: e.status, TTL: ttl,
		Security: e.security, Server: e.server, Cached: cached,
	}
	if e.err != nil {
		a.Err = e.err
	}
	a.Records, _ = e.records.([]T) // nil where there are none
	return a
}

func canceled[T any](k key, err error) Answer[T] {
	return Answer[T]{Name: k.name, Canonical: k.name, Status: Failed, Err: &Error{
		Kind: KindCanceled, Name: k.name, Type: k.kind.String(), Err: err,
	}}
}

// resolve asks, and asks on where the answer is only an alias.
func (r *Resolver) resolve(ctx context.Context, k key, decode func([]record) (any, int, bool)) *entry {
	const overhead = 350 // of the entry, its place in the map and its strings
	e := &entry{key: k, canonical: k.name, status: Failed, size: overhead + len(k.name)}
	fail := func(err *Error) *entry {
		e.err, e.ttl = err, r.options.FailureTTL
		if err.Kind == KindBogus {
			e.status = Bogus
		}
		return e
	}
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	case <-ctx.Done():
		return fail(&Error{Kind: ended(ctx), Name: k.name, Type: k.kind.String(), Err: context.Cause(ctx)})
	}
	found := finding{chain: []string{k.name}, ttl: -1}
	security := Secure
	for found.status == 0 {
		up, proof, err := r.try(ctx, k.kind, &found)
		if up != nil {
			e.server = up.name
		}
		if err != nil {
			return fail(err)
		}
		security = min(security, proof)
	}
	e.canonical = found.chain[len(found.chain)-1]
	if found.status == Found {
		records, size, ok := decode(found.records)
		if !ok {
			return fail(&Error{
				Kind: KindMalformed, Name: e.canonical, Type: k.kind.String(), Server: e.server,
				Err: plainError("a record that cannot be read"),
			})
		}
		e.records = records
		e.size += size
	}
	e.status, e.security = found.status, security
	e.size += len(e.canonical)
	e.ttl = r.keep(&found, security)
	return e
}

// keep says how long an answer stays in the cache.
func (r *Resolver) keep(f *finding, security Security) time.Duration {
	ttl := f.ttl
	switch {
	case ttl < 0:
		ttl = r.options.FailureTTL
	case f.status == Found:
		ttl = min(ttl, r.options.MaxTTL)
	default:
		ttl = min(ttl, r.options.NegativeTTL, r.options.MaxTTL)
	}
	if security == Unavailable && r.upstreams[0].Trusted {
		// No self-test was passed yet. One may be soon.
		ttl = min(ttl, time.Minute)
	}
	return ttl
}

// plainError is an error that is only its words.
type plainError string

func (e plainError) Error() string { return string(e) }
