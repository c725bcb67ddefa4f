package mta_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/smtp"
	"net/textproto"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/examples/mta"
)

func TestDNS(t *testing.T) {
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go mta.ServeDNS(conn, map[string][]string{
		"example.com":               {"MX 10 mx1.example.com", "MX 20 mx2.example.com", "TXT v=spf1 -all"},
		"mx1.example.com":           {"A 192.0.2.1", "A 192.0.2.2"},
		"mx2.example.com":           {"CNAME mx1.example.com"},
		"null.example":              {"MX 0 ."},
		"broken.example":            {"SERVFAIL"},
		mta.Reverse("192.0.2.1"):    {"PTR mx1.example.com"},
		"empty.example":             {},
		"only.under.empty.example.": nil,
	})
	t.Cleanup(func() { conn.Close() })
	r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()

	mx, err := r.LookupMX(ctx, "Example.COM.")
	if err != nil || len(mx) != 2 || mx[0].Host != "mx1.example.com." || mx[0].Pref != 10 {
		t.Errorf("MX: %v, %v", mx, err)
	}
	if a, err := r.LookupHost(ctx, "mx1.example.com."); err != nil || !slices.Equal(a, []string{"192.0.2.1", "192.0.2.2"}) {
		t.Errorf("A: %v, %v", a, err)
	}
	if p, err := r.LookupAddr(ctx, "192.0.2.1"); err != nil || !slices.Equal(p, []string{"mx1.example.com."}) {
		t.Errorf("PTR: %v, %v", p, err)
	}
	if s, err := r.LookupTXT(ctx, "example.com."); err != nil || !slices.Equal(s, []string{"v=spf1 -all"}) {
		t.Errorf("TXT: %v, %v", s, err)
	}
	if mx, err := r.LookupMX(ctx, "null.example."); err == nil && (len(mx) != 1 || mx[0].Host != ".") {
		t.Errorf("null MX: %v, %v", mx, err)
	}
	var e *net.DNSError
	if _, err := r.LookupMX(ctx, "absent.example."); !errors.As(err, &e) || !e.IsNotFound {
		t.Errorf("absent name: %v", err)
	}
	if _, err := r.LookupMX(ctx, "broken.example."); !errors.As(err, &e) || e.IsNotFound || !e.IsTemporary {
		t.Errorf("broken zone: %v", err)
	}
	if _, err := r.LookupTXT(ctx, "empty.example."); err == nil {
		t.Error("a name without records has one")
	}
}

// send makes one attempt and gives the stage and the error at which it ended.
func send(t *testing.T, addr, from, to string) (stage string, err error) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return "connect", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	c, err := smtp.NewClient(conn, "mx.example.com")
	if err != nil {
		return "banner", err
	}
	if err := c.Hello("mail.example.org"); err != nil {
		return "ehlo", err
	}
	if err := c.Mail(from); err != nil {
		return "mail", err
	}
	if err := c.Rcpt(to); err != nil {
		return "rcpt", err
	}
	w, err := c.Data()
	if err != nil {
		return "data", err
	}
	_, _ = io.WriteString(w, "Subject: test\r\n\r\n.dot\r\n")
	if err := w.Close(); err != nil {
		return "final", err
	}
	return "quit", c.Quit()
}

func TestReceiver(t *testing.T) {
	for _, c := range []struct {
		name   string
		script mta.Script
		stage  string
		code   int    // 0: the connection was cut, or nothing was wrong
		text   string // of the reply
	}{
		{"ordinary", nil, "quit", 0, ""},
		{"banner", mta.Script{"banner": {Reply: "554 go away"}}, "banner", 554, "go away"},
		{"cut before the banner", mta.Script{"banner": {Cut: true}}, "banner", 0, ""},
		{"sender", mta.Script{"mail b@example.org": {Reply: "550 other"}, "mail a@example.org": {Reply: "421-one\n421 two", Cut: true}},
			"mail", 421, "one\ntwo"},
		{"narrower key", mta.Script{"rcpt": {Reply: "550 all"}, "rcpt z@example.com": {Reply: "551 you"}}, "rcpt", 551, "you"},
		{"other recipient", mta.Script{"rcpt y@example.com": {Reply: "551 not you"}}, "quit", 0, ""},
		{"data", mta.Script{"data": {Reply: "451 not now"}}, "data", 451, "not now"},
		{"final", mta.Script{"final": {Reply: "554 spam"}}, "final", 554, "spam"},
		{"cut at final", mta.Script{"final": {Cut: true}}, "final", 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, err := net.Listen("tcp4", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan error)
			r := &mta.Receiver{Host: "mx.example.com", Extensions: []string{"SIZE 1000"}, Script: c.script}
			go func() { done <- r.Serve(l) }()
			stage, err := send(t, l.Addr().String(), "a@example.org", "Z@example.com")
			l.Close()
			if err := <-done; err != nil {
				t.Error(err)
			}
			var reply *textproto.Error
			switch errors.As(err, &reply); {
			case stage != c.stage:
				t.Errorf("ended at %s (%v), want %s", stage, err, c.stage)
			case c.code != 0 && (reply == nil || reply.Code != c.code || reply.Msg != c.text):
				t.Errorf("answered %v, want %d %q", err, c.code, c.text)
			case c.code == 0 && stage != "quit" && (err == nil || reply != nil):
				t.Errorf("answered %v, want a cut", err)
			case c.stage == "quit" && err != nil:
				t.Error(err)
			}
		})
	}
}

// TestCellEndsItsProcesses is why tests may start daemons at all.
func TestCellEndsItsProcesses(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("not root: no network of its own")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c, err := mta.Open(ctx, mta.Options{Host: "mail.example.org"})
	if errors.Is(err, mta.ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	// A daemon that has left its parent, session and pipes and heeds no signal, as
	// the worst would.
	length := fmt.Sprintf("600.%06d", os.Getpid()) // tells it from others' sleeps
	_, err = c.Run(ctx, "", "/bin/sh", "-c",
		`setsid sh -c 'trap "" TERM HUP; exec sleep "$0"' `+length+` >/dev/null 2>&1 </dev/null &`)
	if err != nil {
		t.Fatal(err)
	}
	for running(t, "sleep\x00"+length) == 0 {
		if ctx.Err() != nil {
			t.Fatal("the daemon does not run: the test shows nothing")
		}
		runtime.Gosched()
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if n := running(t, length); n != 0 {
		t.Errorf("%d processes outlive their cell", n)
	}
	if _, err := os.Stat(c.Path("etc")); !errors.Is(err, os.ErrNotExist) {
		t.Error("the directory is still there")
	}
	if err := c.Close(); err != nil {
		t.Errorf("closing twice: %v", err)
	}
}

// running counts the processes of the machine with such a command line.
func running(t *testing.T, what string) (n int) {
	t.Helper()
	dirs, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range dirs {
		b, _ := os.ReadFile("/proc/" + d.Name() + "/cmdline")
		if strings.Contains(string(b), what) {
			n++
		}
	}
	return n
}

// TestClockJumps shows that what runs in a cell lives in its time, also after a jump.
func TestClockJumps(t *testing.T) {
	deps, err := mta.Find()
	if err != nil {
		t.Skip(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	start := time.Date(2031, 2, 3, 4, 5, 6, 0, time.UTC)
	clock := mta.NewClock(start)
	zone := time.FixedZone("CET", 3600)
	c, err := mta.Open(ctx, mta.Options{Deps: deps, Host: "mail.example.org", Clock: clock, Local: "CET-1",
		Syslog: &mta.Syslog{Name: "log/syslog", Host: "mail", Zone: zone, Drop: []string{"nonsense"}}})
	if errors.Is(err, mta.ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	date := func(want time.Time) {
		t.Helper()
		out, err := c.Run(ctx, "", "date", "+%s %Z")
		if err != nil {
			t.Fatal(err)
		}
		var seconds int64
		if _, err := fmt.Sscanf(out, "%d CET\n", &seconds); err != nil {
			t.Fatalf("%q: %v", out, err)
		}
		if late := time.Unix(seconds, 0).Sub(want); late < -time.Second || late > time.Minute {
			t.Errorf("it is %s, want %s", time.Unix(seconds, 0).UTC(), want)
		}
	}
	date(start)
	if err := clock.Jump(start.AddDate(0, 0, 5)); err != nil {
		t.Fatal(err)
	}
	date(start.AddDate(0, 0, 5))
	if err := clock.Jump(start); err != nil {
		t.Fatal(err)
	}
	date(start.AddDate(0, 0, 5)) // it never goes back
	for _, text := range []string{"this is nonsense", "<22>Feb  8 04:05:06 postfix/smtp[17]: sense"} {
		if err := dgram(c.Path("dev/log"), text); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Written(ctx); err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(c.Path("log/syslog"))
	if err != nil {
		t.Fatal(err)
	}
	if line := string(log); !strings.HasPrefix(line, "2031-02-08T05:05:") || !strings.HasSuffix(line, "+01:00 mail postfix/smtp[17]: sense\n") {
		t.Errorf("logged %q", line)
	}
}

func dgram(path, text string) error {
	conn, err := net.Dial("unixgram", path)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Write([]byte(text))
	return err
}

func TestReceiverDecides(t *testing.T) {
	r := &mta.Receiver{Host: "mx.example.com", Script: mta.Script{"rcpt": {Reply: "550 by script"}},
		Decide: func(stage, address string) (mta.Answer, bool) {
			return mta.Answer{Reply: "450 not yet"}, stage == "rcpt" && address == "z@example.com"
		}}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- r.Serve(l) }()
	for to, want := range map[string]int{"Z@example.com": 450, "y@example.com": 550} {
		_, err := send(t, l.Addr().String(), "a@example.org", to)
		var reply *textproto.Error
		if !errors.As(err, &reply) || reply.Code != want {
			t.Errorf("%s: %v, want %d", to, err, want)
		}
	}
	l.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
