package zone

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// TestUnboundBelieves asks Debian's unbound all questions of the table, of zones
// that are signed here: each answer must be proved to its satisfaction, absences,
// wildcards and empty non-terminals too.
func TestUnboundBelieves(t *testing.T) {
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
	d, anchor := signed(t)
	host, port, err := net.SplitHostPort(serve(t, d))
	if err != nil {
		t.Fatal(err)
	}
	udp, tcp := sockets(t)
	at := udp.LocalAddr().String()
	_, _ = udp.Close(), tcp.Close() // unbound takes it; who is quicker makes the test fail
	file := filepath.Join(t.TempDir(), "unbound.conf")
	text := fmt.Sprintf("server:\n directory: %q\n chroot: \"\"\n username: \"\"\n pidfile: \"\"\n use-syslog: no\n logfile: \"\"\n verbosity: 1\n"+
		" val-log-level: 2\n num-threads: 1\n do-ip6: no\n do-not-query-localhost: no\n interface: %s\n trust-anchor: %q\n"+
		"remote-control:\n control-enable: no\nstub-zone:\n name: \"example\"\n stub-addr: %s@%s\n",
		t.TempDir(), strings.Replace(at, ":", "@", 1), strings.ReplaceAll(anchor, "\t", " "), host, port)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	ctx, stop := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, "-d", "-c", file)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		stop()
		t.Skip("unbound does not start: ", err)
	}
	defer func() {
		stop()
		_ = cmd.Wait() // it is killed
		if t.Failed() {
			t.Logf("unbound says:\n%s", &log)
		}
	}()
	client := &dns.Client{Timeout: 2 * time.Second}
	ask := func(name, kind string) (*dns.Msg, error) {
		q := question(name, kind)
		q.SetEdns0(1232, true)
		m, _, err := client.ExchangeContext(t.Context(), q, at)
		return m, err
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		if _, err := ask("example", "SOA"); err == nil {
			break
		} else if i == 200 {
			t.Fatal(err)
		}
		<-tick.C
	}
	asked := 0
	for line := range strings.Lines(load(t, "plain.txt")) {
		about, want, ok := strings.Cut(strings.TrimSpace(line), " => ")
		name, kind, _ := strings.Cut(about, " ")
		// Unbound refuses circles, and cannot follow what leads out or to a server that is not there.
		if !ok || about[0] == '#' || strings.HasPrefix(want, "REFUSED") || strings.Contains(about, "round.") ||
			strings.Contains(about, "out.example") || strings.Contains(about, "host.child") {
			continue
		}
		asked++
		m, err := ask(name, kind)
		if err != nil {
			t.Fatal(err)
		}
		if rcode, _, _ := strings.Cut(want, " "); dns.RcodeToString[m.Rcode] != rcode || !m.AuthenticatedData {
			t.Errorf("%s: %s, AD %v, want %s", about, dns.RcodeToString[m.Rcode], m.AuthenticatedData, want)
		}
	}
	if asked < 25 {
		t.Errorf("%d questions", asked)
	}
}
