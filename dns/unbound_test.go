package dns_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postroad/postroad/dns"
	"github.com/postroad/postroad/dns/zone"
)

// world is what unbound finds below the trust anchor, "example".
const world = `
$TTL 300
$ORIGIN example.
@        SOA ns hostmaster 1 3600 600 86400 60
         NS  ns
ns       A   127.0.0.1
signed   NS  ns
unsigned NS  ns
broken   NS  ns
expired  NS  ns

$ORIGIN signed.example.
@        SOA ns.example. hostmaster 1 3600 600 86400 60
         NS  ns.example.
         MX  10 mx
         TXT "v=spf1 mx -all"
mx       A   192.0.2.2
www      CNAME mx
away     CNAME www.unsigned.example.
bad      CNAME www.broken.example.
*.wild   TXT "anything"
_25._tcp.mx TLSA 3 1 1 0102030405060708091011121314151617181920212223242526272829303132

$ORIGIN unsigned.example.
@        SOA ns.example. hostmaster 1 3600 600 86400 60
         NS  ns.example.
www      A   192.0.2.3

$ORIGIN broken.example.
@        SOA ns.example. hostmaster 1 3600 600 86400 60
         NS  ns.example.
www      A   203.0.113.66
$ANSWER *.broken.example. badsig

$ORIGIN expired.example.
@        SOA ns.example. hostmaster 1 3600 600 86400 60
         NS  ns.example.
www      A   203.0.113.67
`

// signed gives the world signed, and its trust anchor.
func signed(t *testing.T) (data *zone.Data, anchor string) {
	t.Helper()
	data = parse(t, world)
	for _, apex := range []string{"example.", "signed.example.", "broken.example.", "expired.example."} {
		var o zone.SignOptions
		if apex == "expired.example." {
			o.Inception, o.Expiration = time.Now().Add(-48*time.Hour), time.Now().Add(-24*time.Hour)
		}
		ds, err := data.Sign(apex, o)
		if err != nil {
			t.Fatal(err)
		}
		if apex == "example." {
			anchor = ds
		}
	}
	return data, anchor
}

// unbound runs Debian's unbound for the zones of data, with more lines for its
// server section, and gives its address.
func unbound(t *testing.T, data *zone.Data, lines ...string) dns.Server {
	t.Helper()
	deps := os.Getenv("POSTROAD_TEST_DEPS")
	if deps == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			t.Skip("unbound is not here: ", err, "; set POSTROAD_TEST_DEPS to where etc/test-deps put it")
		}
		deps = filepath.Join(home, ".cache", "postroad", "test-deps")
	}
	program := filepath.Join(deps, "unbound", "usr", "sbin", "unbound")
	if _, err := os.Stat(program); err != nil {
		t.Skip("unbound is not here: ", err, "; run etc/test-deps")
	}
	authority := serve(t, data)
	said := ""
	for range 3 { // somebody may take the port before unbound does
		udp, tcp, server := sockets(t)
		_, _ = udp.Close(), tcp.Close()
		dir := t.TempDir()
		file := filepath.Join(dir, "unbound.conf")
		if err := os.WriteFile(file, configuration(dir, server, authority, data.Zones(), lines), 0o600); err != nil {
			t.Fatal(err)
		}
		var ok bool
		if said, ok = start(t, server, program, "-d", "-c", file); ok {
			return server
		}
	}
	t.Fatalf("unbound does not answer:\n%s", said)
	return dns.Server{}
}

func configuration(dir string, server, authority dns.Server, zones, lines []string) []byte {
	var conf bytes.Buffer
	fmt.Fprintf(&conf, `server:
	directory: %q
	chroot: ""
	username: ""
	pidfile: ""
	logfile: ""
	use-syslog: no
	verbosity: 1
	num-threads: 1
	do-ip6: no
	do-not-query-localhost: no
	interface: %s@%d
	access-control: 127.0.0.0/8 allow
	target-fetch-policy: "0 0 0 0 0"
`, dir, server.Address.Addr(), server.Address.Port())
	for _, line := range lines {
		fmt.Fprintf(&conf, "\t%s\n", line)
	}
	conf.WriteString("remote-control:\n\tcontrol-enable: no\n")
	for _, name := range zones {
		fmt.Fprintf(&conf, "stub-zone:\n\tname: %q\n\tstub-addr: %s@%d\n",
			name, authority.Address.Addr(), authority.Address.Port())
	}
	return conf.Bytes()
}

// start runs a server until the end of the test, and waits until it answers.
func start(t *testing.T, server dns.Server, program string, args ...string) (said string, ok bool) {
	t.Helper()
	var log bytes.Buffer
	ctx, stop := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Skip("unbound does not start: ", err)
	}
	var ended atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = cmd.Wait() // it is killed in the end
		ended.Store(true)
	}()
	t.Cleanup(func() {
		stop()
		<-done
		if t.Failed() {
			t.Logf("unbound says:\n%s", &log)
		}
	})
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for i := 0; i < 500 && !ended.Load(); i++ {
		r, err := dns.New(dns.Options{Servers: []dns.Server{server}, Timeout: time.Second, Attempts: 1})
		if err != nil {
			t.Fatal(err)
		}
		a := r.SOA(t.Context(), "unsigned.example")
		if a.Status.Known() || kind(a.Err) == dns.KindServFail {
			return "", true
		}
		<-tick.C
	}
	stop()
	<-done
	return log.String(), false
}

// anchored gives the lines for a trust anchor.
func anchored(anchor string) string {
	return fmt.Sprintf("trust-anchor: %q", strings.ReplaceAll(anchor, "\t", " "))
}

func trustingUnbound(server dns.Server) dns.Options {
	server.Trusted = true
	return dns.Options{
		Servers: []dns.Server{server}, Signed: "signed.example", BogusName: "www.broken.example", Timeout: 5 * time.Second,
	}
}

func TestUnboundValidates(t *testing.T) {
	for _, c := range []struct{ what, line string }{
		{"with reasons", "ede: yes"},
		{"without reasons", "ede: no"},
	} {
		t.Run(c.what, func(t *testing.T) {
			data, anchor := signed(t)
			r, err := dns.New(trustingUnbound(unbound(t, data, anchored(anchor), c.line)))
			if err != nil {
				t.Fatal(err)
			}
			validates(t, r)
		})
	}
}

// validates asks for what the world above has, secure and not.
func validates(t *testing.T, r *dns.Resolver) {
	t.Helper()
	if trust := r.SelfTest(t.Context()); len(trust) != 1 || !trust[0].Passed {
		t.Fatalf("self-test: %+v", trust)
	}
	for _, c := range []struct {
		rrtype, name, status string
		security             dns.Security
	}{
		{"A", "mx.signed.example", "found", dns.Secure},
		{"MX", "signed.example", "found", dns.Secure},
		{"TXT", "signed.example", "found", dns.Secure},
		{"TXT", "a.b.wild.signed.example", "found", dns.Secure},
		{"TLSA", "_25._tcp.mx.signed.example", "found", dns.Secure},
		{"A", "www.signed.example", "found", dns.Secure},
		{"TLSA", "_25._tcp.www.signed.example", "absent", dns.Secure},
		{"A", "nothing.signed.example", "absent", dns.Secure},
		{"AAAA", "mx.signed.example", "empty", dns.Secure},
		{"A", "_tcp.mx.signed.example", "empty", dns.Secure},
		{"A", "www.unsigned.example", "found", dns.Insecure},
		{"AAAA", "www.unsigned.example", "empty", dns.Insecure},
		{"A", "nothing.unsigned.example", "absent", dns.Insecure},
		{"A", "away.signed.example", "found", dns.Insecure},
		{"A", "www.broken.example", "bogus", dns.Unavailable},
		{"A", "www.expired.example", "bogus", dns.Unavailable},
		{"A", "bad.signed.example", "bogus", dns.Unavailable},
		{"A", "nothing.expired.example", "bogus", dns.Unavailable},
	} {
		got := ask(t.Context(), r, c.rrtype, c.name)
		if got[0] != c.status {
			t.Errorf("%s %s: %v, want %s", c.rrtype, c.name, got, c.status)
		}
		var security dns.Security
		switch c.rrtype {
		case "A":
			security = r.A(t.Context(), c.name).Security
		case "AAAA":
			security = r.AAAA(t.Context(), c.name).Security
		case "MX":
			security = r.MX(t.Context(), c.name).Security
		case "TXT":
			security = r.TXT(t.Context(), c.name).Security
		case "TLSA":
			security = r.TLSA(t.Context(), c.name).Security
		}
		if security != c.security {
			t.Errorf("%s %s: %v, want %v", c.rrtype, c.name, security, c.security)
		}
	}
}

// Resolvers that do not validate fail the self-test, whatever bits they set.
func TestUnboundDoesNotValidate(t *testing.T) {
	for _, c := range []struct {
		what   string
		lines  func(anchor string) []string
		reason string
	}{
		{"no validator", func(string) []string { return []string{`module-config: "iterator"`} }, "no AD bit"},
		{"no anchor", func(string) []string { return nil }, "no AD bit"},
		{"permissive", func(anchor string) []string {
			return []string{anchored(anchor), "val-permissive-mode: yes"}
		}, "is not refused"},
		{"an anchor that does not fit", func(anchor string) []string {
			words := strings.Fields(anchor)
			words[len(words)-1] = strings.Repeat("ab", 32)
			return []string{anchored(strings.Join(words, " "))}
		}, "is not answered (SERVFAIL"},
	} {
		t.Run(c.what, func(t *testing.T) {
			data, anchor := signed(t)
			r, err := dns.New(trustingUnbound(unbound(t, data, c.lines(anchor)...)))
			if err != nil {
				t.Fatal(err)
			}
			trust := r.SelfTest(t.Context())
			if len(trust) != 1 || trust[0].Passed || !strings.Contains(trust[0].Reason, c.reason) {
				t.Errorf("got %+v, want %q", trust, c.reason)
			}
			if a := r.A(t.Context(), "www.unsigned.example"); a.Security != dns.Unavailable {
				t.Errorf("got %+v", a)
			}
			if a := r.MX(t.Context(), "signed.example"); a.Status == dns.Found && a.Security != dns.Unavailable {
				t.Errorf("got %+v", a)
			}
		})
	}
}

// DNS over TLS to unbound, with the name in its certificate.
func TestUnboundOverTLS(t *testing.T) {
	data, anchor := signed(t)
	cert, roots := certificate(t, "dns.example")
	dir := t.TempDir()
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"cert.pem": {Type: "CERTIFICATE", Bytes: cert.Certificate[0]}, "key.pem": {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	udp, tcp, secret := sockets(t)
	_, _ = udp.Close(), tcp.Close()
	unbound(t, data, anchored(anchor),
		fmt.Sprintf("interface: %s@%d", secret.Address.Addr(), secret.Address.Port()),
		fmt.Sprintf("tls-port: %d", secret.Address.Port()),
		fmt.Sprintf("tls-service-pem: %q", filepath.Join(dir, "cert.pem")),
		fmt.Sprintf("tls-service-key: %q", filepath.Join(dir, "key.pem")))
	secret.TLSName = "dns.example"
	o := trustingUnbound(secret)
	o.Roots = roots
	r, err := dns.New(o)
	if err != nil {
		t.Fatal(err)
	}
	validates(t, r)
	secret.TLSName = "other.example"
	o.Servers = []dns.Server{secret}
	if r, err = dns.New(o); err != nil {
		t.Fatal(err)
	}
	if a := r.A(t.Context(), "mx.signed.example"); kind(a.Err) != dns.KindTLS || a.Server != secret.Address.String() {
		t.Errorf("another name: %+v", a)
	}
}

// What unbound and an authority say of the same names is the same for us.
func TestUnboundAgrees(t *testing.T) {
	data, anchor := signed(t)
	server := unbound(t, data, anchored(anchor))
	r, err := dns.New(dns.Options{Servers: []dns.Server{server}})
	if err != nil {
		t.Fatal(err)
	}
	direct := over(t, data, dns.Options{})
	for _, question := range []string{
		"A mx.signed.example", "A www.signed.example", "AAAA www.signed.example", "A nothing.signed.example",
		"A away.signed.example", "MX signed.example", "TXT x.wild.signed.example", "SOA unsigned.example",
		"NS unsigned.example", "CNAME away.signed.example", "A no.unsigned.example",
	} {
		rrtype, name, _ := strings.Cut(question, " ")
		got, want := ask(t.Context(), r, rrtype, name), ask(t.Context(), direct, rrtype, name)
		got[2], want[2] = "", "" // the time that is left
		if !slices.Equal(got, want) {
			t.Errorf("%s: unbound %v, the authority %v", question, got, want)
		}
	}
}
