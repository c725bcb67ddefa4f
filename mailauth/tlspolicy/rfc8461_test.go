package tlspolicy

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestConformanceRFC8461 runs the cases that were written from RFC 8461. Those that
// need time (section 3.3 and 5.1: the cache) are in cache_test.go.
func TestConformanceRFC8461(t *testing.T) {
	runCases(t, "testdata/rfc8461.txt", 200, map[string]func(*testing.T, rfcCase) []string{
		"record":  doRecord,
		"policy":  doPolicy,
		"match":   doMatch,
		"fetch":   doFetch,
		"session": doSession,
	})
}

// doRecord asks for the record of example.com among the TXT records of the case.
func doRecord(t *testing.T, c rfcCase) []string {
	z := newZone(t)
	for _, line := range c.in {
		z.add("txt _mta-sts.example.com - " + line)
	}
	record, state, err := LookupSTSRecord(t.Context(), z, "example.com")
	if (err != nil) != (state == Broken || state == Unknown) {
		t.Errorf("state %v with error %v", state, err)
	}
	if state != Published {
		return []string{state.String()}
	}
	return []string{"published " + record.ID}
}

func policyText(p STSPolicy) string {
	return fmt.Sprintf("%s %s %d", p.Mode, strings.Join(p.MX, ","), p.MaxAge/time.Second)
}

// doPolicy reads a policy: input lines are lines of it, ended as the argument
// says ("lf", "crlf", "none": the line ends are written in the case).
func doPolicy(t *testing.T, c rfcCase) []string {
	end := map[string]string{"": "\n", "lf": "\n", "crlf": "\r\n", "none": ""}[strings.Join(c.args, " ")]
	body := strings.Join(c.in, end) + end
	p, err := ParseSTSPolicy(body)
	if err != nil {
		return []string{"invalid " + strings.TrimPrefix(err.Error(), "read the MTA-STS policy: ")}
	}
	again, err := ParseSTSPolicy(strings.Join(p.Lines(), "\r\n"))
	if err != nil || policyText(again) != policyText(p) {
		t.Errorf("its lines are read as another policy: %v, %v", again, err)
	}
	return []string{policyText(p)}
}

// doMatch says for each input line "HOST PATTERN PATTERN..." whether the policy
// takes the host.
func doMatch(_ *testing.T, c rfcCase) []string {
	var out []string
	for _, line := range c.in {
		words := strings.Fields(line)
		out = append(out, map[bool]string{true: "yes", false: "no"}[STSPolicy{MX: words[1:]}.Matches(words[0])])
	}
	return out[:1]
}

// doFetch fetches a policy from a host that sends the input: the lines are joined
// with CRLF; "POLICY" stands for a policy, "LONG n" for n bytes of a field.
func doFetch(t *testing.T, c rfcCase) []string {
	chain, domain := []string{"policyhost", "inter"}, "example.com"
	z := newZone(t)
	addresses := []string{"192.0.2.1"}
	for _, arg := range c.args {
		key, value, _ := strings.Cut(arg, "=")
		switch key {
		case "chain":
			chain = strings.Split(value, ",")
		case "domain":
			domain = value
		case "a":
			addresses = strings.Split(value, ",")
		}
	}
	name, _ := hostName(domain)
	for _, a := range addresses {
		z.add("a mta-sts." + name + " - " + a)
	}
	const policy = "version: STSv1\nmode: enforce\nmx: mx.example.com\nmax_age: 604800\n"
	var response []string
	for _, line := range c.in {
		if rest, ok := strings.CutPrefix(line, "LONG "); ok {
			var n int
			fmt.Sscan(rest, &n)
			line = policy + "note: " + strings.Repeat("x", n-len(policy)-len("note: \n")) + "\n"
		}
		response = append(response, strings.ReplaceAll(line, "POLICY", policy))
	}
	h := says(t, strings.Join(response, "\r\n"), chain...)
	got, err := FetchSTSPolicy(t.Context(), domain, h.options(t, z))
	h.wg.Wait()
	out := []string{"policy " + policyText(got)}
	if err != nil {
		out[0] = told(err)
	}
	if len(h.requests) > 1 {
		t.Errorf("%d requests: %q", len(h.requests), h.requests)
	}
	for _, r := range h.requests {
		out = append(out, "asked "+r)
	}
	return append(out, "dialled "+strings.Join(h.dialled, " "))
}
