package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net"
	"net/smtp"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/postroad/postroad/examples/mta"
	"github.com/postroad/postroad/examples/street"
	"github.com/postroad/postroad/world"
)

// week plays the week and writes its files to out.
func week(ctx context.Context, deps, out string) (err error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Minute)
	defer cancel()
	what, err := readPlanted()
	if err != nil {
		return err
	}
	outside, err := scenario(weekScenario, bakery, clients()...)
	if err != nil {
		return err
	}
	clock, count := mta.NewClock(weekBegin.Add(-time.Minute)), newCounter()
	cell, err := street.Open(ctx, outside, mta.Options{Deps: deps, Host: bakery.host, Clock: clock, Local: "Europe/Berlin",
		Syslog: &mta.Syslog{Name: "log/mail.log", Host: "mail", Zone: berlin,
			// Postfix wonders about files that bear the machine's time, and when the
			// clock jumps while one of its processes waits for another.
			Drop: []string{"file system clock is", "resetting file time stamps", "unix_trigger_event: read timeout"}}},
		world.Options{Watch: count.watch, Pass: func(d time.Duration) { _ = clock.Pass(d) }}) // its error comes again at the next jump
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cell.Close()) }()
	p, err := mta.StartPostfix(ctx, cell.Cell, mta.Setup{Host: bakery.host, Domain: bakery.domain, Main: map[string]string{
		"maillog_file":    "",
		"inet_interfaces": "127.0.0.1, " + us,
		"mynetworks":      "127.0.0.0/8, 198.51.100.0/24",
		// One attempt, one address, as Exchange Online does: with Postfix's five
		// an attempt would find an address that works.
		"smtp_mx_address_limit": "1",
		"delay_warning_time":    "1h",
		"smtputf8_enable":       "no",
	}})
	if err != nil {
		return err
	}
	t := &teller{counter: count, planted: what, clock: clock, cell: cell.Cell, postfix: p, out: out}
	if err := t.tell(ctx, letters()); err != nil {
		return err
	}
	if again := cell.World.Truth().Again; len(again) > 0 { // nothing here makes a server send twice
		return fmt.Errorf("%d letters arrived more than once, %s at %s among them", len(again), again[0].MessageID, again[0].Recipient)
	}
	return t.keep()
}

// teller lets the week happen: it hands over the letters, wakes the queue when a
// message is due, and jumps over the time between.
type teller struct {
	*counter
	planted planted
	clock   *mta.Clock
	cell    *mta.Cell
	postfix *mta.Postfix
	out     string
	looked  bool
	waiting int // messages in the queue when it was looked at
	sent    int
}

func (t *teller) tell(ctx context.Context, all []letter) error {
	for i, l := range all {
		if err := t.run(ctx, l.at); err != nil {
			return err
		}
		if err := t.submit(ctx, l); err != nil {
			return fmt.Errorf("letter %s: %w", l.id, err)
		}
		t.sent++
		if i+1 < len(all) && l.burst && all[i+1].burst && all[i+1].at.Equal(l.at) {
			continue // handed over together
		}
		if err := t.quiet(ctx); err != nil {
			return fmt.Errorf("letter %s to %s: %w", l.id, l.to, err)
		}
		if i%200 == 0 {
			fmt.Fprintf(os.Stderr, "%s  %d of %d letters\n", t.clock.Now().In(berlin).Format("Mon 15:04"), i, len(all))
		}
	}
	return t.run(ctx, weekEnd.Add(-time.Second))
}

// run lets the time until end pass, with the queue runs in it.
func (t *teller) run(ctx context.Context, end time.Time) error {
	for {
		due, any, err := t.due()
		if err != nil {
			return err
		}
		// Postfix looks every five minutes.
		next := t.clock.Now().Truncate(5 * time.Minute).Add(5*time.Minute + 7*time.Second)
		if due.After(next) {
			next = due.Truncate(5 * time.Minute).Add(5*time.Minute + 7*time.Second)
		}
		if !t.looked && !end.Before(look) && (!any || next.After(look)) {
			if err := t.look(ctx); err != nil {
				return err
			}
			continue
		}
		if !any || next.After(end) {
			return t.clock.Jump(end)
		}
		if err := t.clock.Jump(next); err != nil {
			return err
		}
		if err := t.wake(ctx); err != nil {
			return err
		}
	}
}

// due is when the next deferred message may be tried: Postfix keeps that as its
// file's time.
func (t *teller) due() (due time.Time, any bool, err error) {
	err = filepath.WalkDir(t.cell.Path("spool/postfix/deferred"), func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && (!any || info.ModTime().Before(due)) {
			due, any = info.ModTime(), true
		}
		return err
	})
	return due, any, err
}

// wake has the queue manager look for deferred messages that are due, which it
// would do by itself if it slept no longer than the cell's clock says.
func (t *teller) wake(ctx context.Context) error {
	conn, err := net.Dial("unix", t.cell.Path("spool/postfix/public/qmgr"))
	if err != nil {
		return fmt.Errorf("wake the queue manager: %w", err)
	}
	_, err = conn.Write([]byte("D"))
	if err = errors.Join(err, conn.Close()); err != nil {
		return fmt.Errorf("wake the queue manager: %w", err)
	}
	now := t.clock.Now()
	return t.until(ctx, func() (bool, error) {
		due, any, err := t.due()
		return !any || due.After(now), err
	})
}

// quiet waits until nothing is under way.
func (t *teller) quiet(ctx context.Context) error {
	return t.until(ctx, func() (bool, error) { return true, nil })
}

// until waits for the condition, and that nothing is under way.
func (t *teller) until(ctx context.Context, holds func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := holds()
		if err != nil {
			return err
		}
		for _, d := range []string{"maildrop", "incoming", "active"} {
			files, err := os.ReadDir(t.cell.Path("spool/postfix/" + d))
			if err != nil {
				return err
			}
			ok = ok && len(files) == 0
		}
		if ok {
			return t.cell.Written(ctx)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for Postfix to finish: %w", ctx.Err())
		case <-tick.C:
		}
	}
}

// look keeps what the queue shows.
func (t *teller) look(ctx context.Context) error {
	if err := t.clock.Jump(look); err != nil {
		return err
	}
	t.looked = true
	text, err := t.postfix.Queue(ctx)
	if err != nil {
		return err
	}
	lines, err := t.postfix.QueueJSON(ctx)
	if err != nil {
		return err
	}
	t.waiting = strings.Count(lines, "\n")
	return errors.Join(os.WriteFile(filepath.Join(t.out, "queue.txt"), []byte(text), 0o644),
		os.WriteFile(filepath.Join(t.out, "queue.json"), []byte(lines), 0o644))
}

// submit hands a letter over by SMTP, as a mail program and a shop do.
func (t *teller) submit(ctx context.Context, l letter) error {
	conn, err := t.cell.Dial(ctx, l.client.ip, us+":25")
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	c, err := smtp.NewClient(conn, bakery.host)
	if err != nil {
		return err
	}
	date := t.clock.Now().In(berlin).Format(time.RFC1123Z)
	text := fmt.Sprintf("From: %s <%s>\r\nTo: <%s>\r\nSubject: %s\r\nMessage-ID: <%s>\r\nDate: %s\r\n"+
		"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"+
		"Good day,\r\n\r\nthank you for asking the Corner Bakery. We are there from six to six.\r\n\r\n%s\r\n",
		mime.QEncoding.Encode("utf-8", l.name), l.from, l.to, l.subject, l.id, date, l.name)
	for _, step := range []func() error{
		func() error { return c.Hello(l.client.name) },
		func() error { return c.Mail(l.from) },
		func() error { return c.Rcpt(l.to) },
		func() error {
			w, err := c.Data()
			if err != nil {
				return err
			}
			_, err = io.WriteString(w, text)
			return errors.Join(err, w.Close())
		},
		c.Quit,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}
