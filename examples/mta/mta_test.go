package mta_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/examples/mta"
)

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
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel) // after the cell has ended
	start := time.Date(2031, 2, 3, 4, 5, 6, 0, time.UTC)
	clock := mta.NewClock(start)
	zone := time.FixedZone("CET", 3600)
	c := mta.Try(ctx, t, mta.Options{Host: "mail.example.org", Clock: clock, Local: "CET-1",
		Syslog: &mta.Syslog{Name: "log/syslog", Host: "mail", Zone: zone, Drop: []string{"nonsense"}}})
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
