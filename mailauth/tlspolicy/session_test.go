package tlspolicy

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/dns"
)

// doSession plans a session and makes it, with a real handshake over a line in memory:
//
//	zone LINE                what DNS says; with an mx line DANE is looked up
//	policy LINE              a line of the MTA-STS policy
//	rule tls|verified|dane|signedmx|requiretls|relaxed|name=...
//	host NAME                the host; mx.example.com
//	given NAME               the operator named the host
//	chain NAME...            what the server sends
//	max 1.1                  the server's best TLS
//	nostarttls, refused, cut the server does none
//
// Out come the level with the reason's code, then what the session is worth.
func doSession(t *testing.T, c rfcCase) []string {
	p := certificates()
	domain := c.input("domain", "example.com")
	h := Host{Name: c.input("host", "mx.example.com"), Domain: domain}
	var d DANE
	if lines := c.inputs("zone"); len(lines) > 0 {
		z := newZone(t, lines...)
		h = caseHost(t, c, z)
		d = LookupDANE(t.Context(), z, h)
	}
	r := Plan(h, d, casePolicy(t, c, domain), caseRule(c))
	out := []string{strings.TrimSpace("plan " + r.Level.String() + " " + failureText(r.Failure))}
	types := make([]string, 0, len(r.Applied))
	for _, a := range r.Applied {
		types = append(types, a.Type)
	}
	out = append(out, "applied "+strings.Join(types, " "), "names "+strings.Join(r.Names, " "))
	trust := Trust{Roots: p.roots(t, "root"), At: caseMoment}
	v := Judge(r, caseHandshake(t, c, r, trust), trust)
	words := []string{"session wait"}
	if v.Deliver {
		words[0] = "session deliver"
	}
	if v.Verified {
		words = append(words, "verified")
	}
	if v.Verified && !v.Secure {
		words = append(words, "host-only")
	}
	if v.Secure && !v.Verified {
		t.Error("secure and not verified")
	}
	if v.Clear {
		words = append(words, "clear")
	}
	if v.Failure != nil {
		words = append(words, failureText(v.Failure))
	}
	needs := map[bool]string{false: "nothing", true: "requiretls"}[r.NeedRequireTLS]
	return append(out, strings.Join(words, " "), "sni "+r.Config(nil, Trust{}).ServerName, "needs "+needs)
}

// caseHost gives the host that the operator gave, or the first that takes mail for
// the domain of the case.
func caseHost(t *testing.T, c rfcCase, z *zone) Host {
	port, _ := strconv.Atoi(c.input("port", "0"))
	if name := c.input("given", ""); name != "" {
		return Host{Name: name, Domain: name, Given: true, Port: uint16(port)}
	}
	domain := c.input("domain", "example.com")
	hosts, err := Hosts(domain, z.MX(domain))
	if err != nil {
		t.Fatal(err)
	}
	return hosts[0]
}

func failureText(f *Failure) string {
	if f == nil {
		return ""
	}
	return told(f)
}

func casePolicy(t *testing.T, c rfcCase, domain string) STS {
	lines := c.inputs("policy")
	if len(lines) == 0 {
		return STS{}
	}
	policy, err := ParseSTSPolicy(strings.Join(lines, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	return STS{Domain: domain, State: Published, Policy: policy}
}

func caseRule(c rfcCase) (rule Rule) {
	for _, word := range strings.Fields(c.input("rule", "")) {
		switch word {
		case "tls":
			rule.Demand = DemandTLS
		case "verified":
			rule.Demand = DemandVerified
		case "dane":
			rule.Demand = DemandDANE
		case "requiretls":
			rule.RequireTLS = true
		case "relaxed":
			rule.Relaxed = true
		case "signedmx":
			rule.SignedMXOnly = true
		default:
			rule.Names = append(rule.Names, strings.TrimPrefix(word, "name="))
		}
	}
	return rule
}

// caseHandshake does what the case says that happened.
func caseHandshake(t *testing.T, c rfcCase, r Requirement, trust Trust) Handshake {
	switch {
	case c.has("nostarttls"):
		return Handshake{}
	case c.has("refused"):
		return Handshake{Offered: true, Refused: errors.New("454 4.7.0 TLS not available")}
	}
	client, server := line()
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer server.Close()
		if c.has("cut") {
			return
		}
		config := certificates().server(t, strings.Fields(c.input("chain", "leaf inter"))...)
		if c.input("max", "") == "1.1" {
			config.MinVersion, config.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
		}
		conn := tls.Server(server, config)
		if conn.Handshake() == nil {
			conn.Read(make([]byte, 1))
		}
	}()
	conn := tls.Client(client, r.Config(&tls.Config{MinVersion: tls.VersionTLS10}, trust))
	err := conn.HandshakeContext(t.Context())
	h := Handshake{Offered: true, Err: err}
	if err == nil {
		state := conn.ConnectionState()
		h.State = &state
	}
	client.Close()
	<-done
	return h
}

// doVerify proves a chain by records: "tlsa 3 1 1 leaf", "chain leaf inter",
// "names mx.example.com", "at 2100-06-01".
func doVerify(t *testing.T, c rfcCase) []string {
	p := certificates()
	var records []dns.TLSA
	for _, line := range c.inputs("tlsa") {
		records = append(records, p.tlsa(t, line))
	}
	at := caseMoment
	if day := c.input("at", ""); day != "" {
		var err error
		if at, err = time.Parse(time.DateOnly, day); err != nil {
			t.Fatal(err)
		}
	}
	names := strings.Fields(c.input("names", "mx.example.com"))
	used, err := VerifyDANE(records, names, p.chain(t, strings.Fields(c.input("chain", ""))...), at)
	if err != nil {
		return []string{told(err)}
	}
	return []string{fmt.Sprintf("proven %d %d %d", used.Usage, used.Selector, used.MatchingType)}
}
