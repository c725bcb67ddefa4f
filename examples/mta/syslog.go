package mta

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

// Syslog is a fake of the system's log daemon: it takes what programs in the
// cell give to syslog(3) and writes it as rsyslog does on Debian 12, by its own
// clock to the microsecond and with the zone. It is there before the first program.
type Syslog struct {
	Name string         // of the file, as for [Cell.Path]
	Host string         // as the lines name it
	Zone *time.Location // of the stamps
	Drop []string       // a line that contains one of these words is left out

	written chan struct{} // answers the mark of [Cell.Written]
}

// mark is what no program logs.
const mark = "\x00mark"

// serve writes what comes until the socket is closed.
func (s *Syslog) serve(conn *net.UnixConn, file *os.File, clock *Clock) {
	defer file.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		if string(buf[:n]) == mark {
			s.written <- struct{}{}
			continue
		}
		now := time.Now()
		if clock != nil {
			now = clock.Now()
		}
		text := message(string(buf[:n]))
		drop := text == ""
		for _, w := range s.Drop {
			drop = drop || strings.Contains(text, w)
		}
		if !drop {
			fmt.Fprintf(file, "%s %s %s\n", now.In(s.Zone).Format("2006-01-02T15:04:05.000000-07:00"), s.Host, text)
		}
	}
}

// message takes priority and stamp off what the C library sends:
// "<22>Nov  9 06:02:11 postfix/smtp[17]: text".
func message(s string) string {
	if i := strings.IndexByte(s, '>'); strings.HasPrefix(s, "<") && i > 0 && i < 5 {
		s = s[i+1:]
	}
	if n := len(time.Stamp); len(s) >= n {
		if _, err := time.Parse(time.Stamp, s[:n]); err == nil {
			s = strings.TrimPrefix(s[n:], " ")
		}
	}
	return strings.TrimRight(s, "\n\x00")
}

// log opens the socket of the cell's log daemon.
func (c *Cell) log(s *Syslog, clock *Clock) error {
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: c.Path("dev/log"), Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	c.closes = append(c.closes, conn)
	file, err := os.OpenFile(c.Path(s.Name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	s.written = make(chan struct{}, 1)
	c.syslog = s
	go s.serve(conn, file, clock)
	// The servers' own users write to it.
	return errors.Join(conn.SetReadBuffer(4<<20), os.Chmod(c.Path("dev/log"), 0o666))
}

// Written waits until all that was logged before is in the file, so that no line is
// stamped after a jump of the clock that came later.
func (c *Cell) Written(ctx context.Context) error {
	conn, err := net.Dial("unixgram", c.Path("dev/log"))
	if err != nil {
		return fmt.Errorf("wait for the log: %w", err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(mark)); err != nil {
		return fmt.Errorf("wait for the log: %w", err)
	}
	select {
	case <-c.syslog.written:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the log: %w", ctx.Err())
	}
}
