package tlspolicy

import (
	"context"
	"sync"
	"time"
)

// Run keeps policies fresh until ctx ends: each is fetched again before it
// expires, so that somebody who keeps us from the policy host at the right
// moment gains nothing (RFC 8461 sections 3.3 and 10.2). A relay runs it beside
// its deliveries; without it policies are fetched when mail asks for them.
func (c *STSCache) Run(ctx context.Context) {
	tick := time.NewTicker(c.o.Interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.ctx.Done():
			return
		case now := <-tick.C:
			c.refresh(ctx, now)
		}
	}
}

// refresh fetches what is due. Domains do not wait for each other, save for
// the bound on fetches at once.
func (c *STSCache) refresh(ctx context.Context, now time.Time) {
	var wg sync.WaitGroup
	defer wg.Wait()
	workers := make(chan struct{}, c.o.Fetches)
	for _, domain := range c.due(now) {
		select {
		case workers <- struct{}{}:
		case <-ctx.Done():
			return
		}
		wg.Go(func() {
			defer func() { <-workers }()
			c.renew(ctx, domain)
		})
	}
}

// due gives the domains whose policy is to be fetched again, and lets go of
// those that nobody asked for in a month or that have expired.
func (c *STSCache) due(now time.Time) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var domains []string
	for e := c.recent.Front(); e != nil; {
		k, next := value(e), e.Next()
		switch {
		case now.After(k.expires()) && now.After(k.fetched.Add(c.o.Interval)):
			c.drop(e)
		case now.Before(k.due) || now.After(k.used.Add(unused)):
		default:
			domains = append(domains, k.domain)
		}
		e = next
	}
	return domains
}

// renew fetches the policy of one domain again, whatever became of its record: who
// can keep the record from us shall not be able to wait until the policy has
// expired (RFC 8461 section 10.2). A policy of mode none without a record is let
// go, since its domain is about to leave MTA-STS (section 8.3).
func (c *STSCache) renew(ctx context.Context, domain string) {
	record, state, _ := LookupSTSRecord(ctx, c.o.Resolver, domain)
	now := time.Now()
	c.mu.Lock()
	e := c.policies[domain]
	if e == nil {
		c.mu.Unlock()
		return
	}
	if state != Published {
		record.ID = value(e).id
		if value(e).policy.Mode == ModeNone {
			value(e).due = now.Add(c.o.Refresh)
			c.mu.Unlock()
			return
		}
	}
	if t, ok := c.failures[domain]; ok && t.id == record.ID && now.Before(t.until) {
		value(e).due = t.until
		c.mu.Unlock()
		return
	}
	f := c.fly(domain, record.ID)
	c.mu.Unlock()
	c.wait(ctx, f, domain, record.ID)
}
