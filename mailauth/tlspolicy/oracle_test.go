package tlspolicy

import (
	"context"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestMatchesAsMiekg compares selector and matching type with miekg/dns for all
// certificates and records of the cases.
func TestMatchesAsMiekg(t *testing.T) {
	p := certificates()
	compared := 0
	for of := range p {
		for other := range p {
			for _, fields := range []string{"3 0 0", "3 0 1", "3 0 2", "3 1 0", "3 1 1", "3 1 2"} {
				r := p.tlsa(t, fields+" "+of)
				if got, want := matches(r, p[other].cert), agree(t, r, other); got != want || got != (of == other) {
					t.Errorf("%s %s of %s: %v, miekg/dns says %v", fields, of, other, got, want)
				}
				compared++
			}
		}
	}
	t.Logf("%d comparisons", compared)
}

// TestConformanceOpenSSL asks OpenSSL's own DANE about every case of verification
// in rfc7672.txt, over a socket. Where OpenSSL differs, the case says why here.
func TestConformanceOpenSSL(t *testing.T) {
	if testing.Short() {
		t.Skip("short: a process for each case")
	}
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl not here: apt-get install openssl")
	}
	help, _ := exec.CommandContext(t.Context(), openssl, "s_client", "-help").CombinedOutput()
	if !strings.Contains(string(help), "-dane_ee_no_namechecks") {
		t.Skip("openssl has no -dane_ee_no_namechecks: 1.1.1 or newer is needed")
	}
	differs := map[string]string{
		"3.2.3 a wildcard within a label": "s_client takes partial wildcards; " +
			"Postfix turns them off in OpenSSL as RFC 7672 wants",
	}
	same, known := 0, 0
	for _, c := range readCases(t, "testdata/rfc7672.txt") {
		names := strings.Fields(c.input("names", "mx.example.com"))
		if c.kind != "verify" || len(names) != 1 || names[0] == "-" || c.input("chain", "") == "" ||
			strings.Contains(c.want[0], "no-usable") {
			continue
		}
		t.Run(c.section+" "+c.name, func(t *testing.T) {
			ours := strings.HasPrefix(c.want[0], "proven")
			theirs, said := askOpenSSL(t, openssl, c, names[0])
			if why, expected := differs[c.section+" "+c.name]; ours != theirs && !expected {
				t.Errorf("we say %v, OpenSSL %v: %s", ours, theirs, said)
			} else if ours != theirs {
				known++
				t.Skip("OpenSSL differs: ", why)
			}
			if !t.Failed() {
				same++
			}
		})
	}
	exceptions := make([]string, 0, len(differs))
	for _, name := range slices.Sorted(maps.Keys(differs)) {
		exceptions = append(exceptions, name+": RFC 7672 section "+name[:strings.Index(name, " ")])
	}
	conformance(t, "RFC 7672 DANE, as OpenSSL", same+known, same, exceptions)
}

func askOpenSSL(t *testing.T, openssl string, c rfcCase, name string) (proven bool, said string) {
	p := certificates()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", p.server(t, strings.Fields(c.input("chain", ""))...))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			io.Copy(io.Discard, conn)
			conn.Close()
		}
	}()
	defer func() { listener.Close(); <-done }()
	at := caseMoment
	if day := c.input("at", ""); day != "" {
		at, _ = time.Parse(time.DateOnly, day)
	}
	ascii, _ := hostName(name)
	args := []string{"s_client", "-connect", listener.Addr().String(), "-servername", ascii, "-brief",
		"-verify_return_error",
		"-no-CAfile", "-no-CApath", "-no-CAstore", "-attime", strconv.FormatInt(at.Unix(), 10),
		"-dane_tlsa_domain", ascii, "-dane_ee_no_namechecks"}
	for _, line := range c.inputs("tlsa") {
		r := p.tlsa(t, line)
		data := hex.EncodeToString(r.Data)
		args = append(args, "-dane_tlsa_rrdata", fmt.Sprintf("%d %d %d %s", r.Usage, r.Selector, r.MatchingType, data))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, openssl, args...).CombinedOutput()
	return err == nil && strings.Contains(string(out), "Verification: OK"), strings.TrimSpace(string(out))
}

// TestFetchAsNetHTTP fetches from a real web server on a socket, as net/http does.
func TestFetchAsNetHTTP(t *testing.T) {
	const policy = "version: STSv1\r\nmode: enforce\r\nmx: *.example.com\r\nmax_age: 604800\r\n"
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/.well-known/mta-sts.txt" || r.TLS.ServerName != "mta-sts.example.com" ||
			r.Host != r.TLS.ServerName {
			http.Redirect(w, r, "/", http.StatusFound)
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		for _, line := range strings.SplitAfter(policy, "\n") {
			io.WriteString(w, line)
			w.(http.Flusher).Flush()
		}
	}))
	server.EnableHTTP2 = true
	server.TLS = certificates().server(t, "policyhost", "inter")
	server.StartTLS()
	defer server.Close()
	o := FetchOptions{
		Resolver: newZone(t, "a mta-sts.example.com - 127.0.0.2", "a mta-sts.example.com - 127.0.0.1"),
		Refuse:   func(netip.Addr) bool { return false },
		Roots:    certificates().roots(t, "root"),
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			host, port, _ := net.SplitHostPort(address)
			if port != "443" {
				t.Errorf("dials %s", address)
			}
			if host == "127.0.0.2" { // a dead address comes first
				return nil, fmt.Errorf("dial %s: connection refused", address)
			}
			return new(net.Dialer).DialContext(ctx, network, server.Listener.Addr().String())
		},
	}
	got, err := FetchSTSPolicy(t.Context(), "Example.COM", o)
	if err != nil || policyText(got) != "enforce *.example.com 604800" {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestProxiesAreNotAsked: the environment has no say in where policies come from.
func TestProxiesAreNotAsked(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://192.0.2.99:8080")
	t.Setenv("https_proxy", "http://192.0.2.99:8080")
	h := says(t, ok("version: STSv1\nmode: none\nmax_age: 1\n"))
	z := newZone(t, "a mta-sts.example.com - 192.0.2.1")
	if _, err := FetchSTSPolicy(t.Context(), "example.com", h.options(t, z)); err != nil {
		t.Error(err)
	}
	h.wg.Wait()
	if len(h.dialled) != 1 || h.dialled[0] != "192.0.2.1:443" {
		t.Error("dialled", h.dialled)
	}
}
