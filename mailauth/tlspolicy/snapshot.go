package tlspolicy

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// snapshotFormat is the first line of a snapshot.
const snapshotFormat = `{"format":"postroad mta-sts policies","version":1}`

// maxSnapshotLine bounds a line: the longest policy as JSON, and room.
const maxSnapshotLine = 4 * maxPolicy

// saved is a line of a snapshot: a policy with what is known of it.
type saved struct {
	Domain  string    `json:"domain"`
	ID      string    `json:"id"`
	Fetched time.Time `json:"fetched"`
	Used    time.Time `json:"used"`
	Policy  string    `json:"policy"` // as it would be fetched
}

// Snapshot writes all policies that are valid now, a JSON object a line, those
// used last first. A policy protects only who has seen it before, so a relay
// that forgets them at each restart is open at each restart.
func (c *STSCache) Snapshot(w io.Writer) error {
	now := time.Now()
	c.mu.Lock()
	all := make([]kept, 0, len(c.policies))
	for e := c.recent.Front(); e != nil; e = e.Next() {
		if k := value(e); now.Before(k.expires()) {
			all = append(all, *k)
		}
	}
	c.mu.Unlock()
	out := bufio.NewWriter(w)
	if _, err := out.WriteString(snapshotFormat + "\n"); err != nil {
		return fmt.Errorf("write the MTA-STS policies: %w", err)
	}
	encoder := json.NewEncoder(out)
	for i := range all {
		k := &all[i]
		line := saved{k.domain, k.id, k.fetched, k.used, strings.Join(k.policy.Lines(), "\n")}
		if err := encoder.Encode(line); err != nil {
			return fmt.Errorf("write the MTA-STS policies: %w", err)
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write the MTA-STS policies: %w", err)
	}
	return nil
}

// Restore reads what Snapshot wrote into a cache, and says how many policies it
// took. What expired meanwhile is left out, as is what is already here and
// newer; a policy from the future (the clock was set) is taken as if fetched
// now. Lines that are damaged are left out and told in the error, the others
// count: a torn file is better than none.
func (c *STSCache) Restore(r io.Reader) (taken int, err error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxSnapshotLine)
	if !lines.Scan() || lines.Text() != snapshotFormat {
		return 0, errors.New("read the MTA-STS policies: no snapshot of them; remove the file, they will be fetched again")
	}
	now := time.Now()
	var all []*kept
	damaged := 0
	for lines.Scan() && len(all) < c.o.MaxPolicies {
		k, err := restored(lines.Bytes(), now)
		switch {
		case err != nil:
			damaged++
		case now.Before(k.expires()):
			all = append(all, k)
		}
	}
	c.mu.Lock()
	for i := len(all) - 1; i >= 0; i-- { // the one used last comes in last and stays longest
		k := all[i]
		if e := c.policies[k.domain]; e == nil || value(e).fetched.Before(k.fetched) {
			c.keep(k)
			taken++
		}
	}
	c.mu.Unlock()
	switch {
	case lines.Err() != nil:
		return taken, fmt.Errorf("read the MTA-STS policies: %w", lines.Err())
	case damaged > 0:
		return taken, fmt.Errorf("read the MTA-STS policies: %d damaged line(s) left out, to be fetched again", damaged)
	}
	return taken, nil
}

// restored reads one line and believes none of it.
func restored(line []byte, now time.Time) (*kept, error) {
	var s saved
	if err := json.Unmarshal(line, &s); err != nil {
		return nil, err
	}
	name, ok := hostName(s.Domain)
	if !ok {
		return nil, errors.New("no domain")
	}
	if _, err := ParseSTSRecord(stsVersion + ";id=" + s.ID); err != nil {
		return nil, err
	}
	policy, err := ParseSTSPolicy(s.Policy)
	if err != nil {
		return nil, err
	}
	k := &kept{domain: name, id: s.ID, policy: policy, fetched: s.Fetched, used: s.Used}
	if k.fetched.After(now) {
		k.fetched = now
	}
	if k.used.After(now) {
		k.used = now
	}
	return k, nil
}
