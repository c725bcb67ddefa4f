package tlspolicy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/postroad/postroad/dns"
)

// TestConformanceRFC7672 runs the cases that were written from RFC 7672 and what
// it builds on (RFC 6698, RFC 7671).
func TestConformanceRFC7672(t *testing.T) {
	runCases(t, "testdata/rfc7672.txt", 225, map[string]func(*testing.T, rfcCase) []string{
		"hosts":   doHosts,
		"lookup":  doLookup,
		"usable":  doUsable,
		"verify":  doVerify,
		"session": doSession,
	})
}

// TestConformanceRFC8689 runs the cases about what a message demands, which RFC
// 8689 puts on top of RFC 7672 and RFC 8461.
func TestConformanceRFC8689(t *testing.T) {
	runCases(t, "testdata/rfc8689.txt", 20, map[string]func(*testing.T, rfcCase) []string{"session": doSession})
}

// TestConformanceRFC8460 runs the cases about where reports go.
func TestConformanceRFC8460(t *testing.T) {
	runCases(t, "testdata/rfc8460.txt", 30, map[string]func(*testing.T, rfcCase) []string{"report": doReport})
}

func doReport(t *testing.T, c rfcCase) []string {
	z := newZone(t)
	for _, line := range c.in {
		z.add("txt _smtp._tls.example.com - " + line)
	}
	r, state, err := LookupReport(t.Context(), z, "example.com")
	if (err != nil) != (state == Broken || state == Unknown) {
		t.Errorf("state %v with error %v", state, err)
	}
	if state != Published {
		return []string{state.String()}
	}
	return []string{"published " + strings.Join(r.Mail, " ") + " | " + strings.Join(r.Web, " ")}
}

// doHosts gives the hosts of example.com.
func doHosts(t *testing.T, c rfcCase) []string {
	hosts, err := Hosts("example.com", newZone(t, c.inputs("zone")...).MX("example.com"))
	switch {
	case errors.Is(err, ErrNullMX):
		return []string{"null"}
	case errors.Is(err, ErrNoDomain):
		return []string{"nodomain"}
	case err != nil:
		return []string{"wait " + told(err)}
	}
	out := []string{"hosts"}
	for _, h := range hosts {
		out[0] += " " + h.Name
	}
	return append(out, "expanded "+hosts[0].Expanded, "security "+hosts[0].MX.String())
}

// doLookup looks for the TLSA records of the first host of example.com, or of the
// one that the operator gave.
func doLookup(t *testing.T, c rfcCase) []string {
	z := newZone(t, c.inputs("zone")...)
	d := LookupDANE(t.Context(), z, caseHost(t, c, z))
	if (d.State == DANEFailed) != (d.Failure != nil) || d.Reason == "" {
		t.Errorf("%v with failure %v, reason %q", d.State, d.Failure, d.Reason)
	}
	asked := slices.DeleteFunc(z.questions(), func(q string) bool { return strings.HasPrefix(q, "mx:") })
	out := []string{strings.TrimSpace(d.State.String() + " " + failureText(d.Failure))}
	return append(out, "base "+d.Base, "names "+strings.Join(d.Names, " "),
		fmt.Sprintf("records %d", len(d.Records)), "asked "+strings.Join(asked, " "))
}

// doUsable tells which of the records can be used.
func doUsable(t *testing.T, c rfcCase) []string {
	var records []dns.TLSA
	for _, line := range c.inputs("tlsa") {
		records = append(records, certificates().tlsa(t, line))
	}
	out := "usable"
	for _, r := range usable(records) {
		out += fmt.Sprintf(" %d-%d-%d", r.Usage, r.Selector, r.MatchingType)
	}
	return []string{out}
}
