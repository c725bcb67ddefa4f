// Command make makes the examples that real mail servers wrote: it starts
// Postfix and Exim in a closed place (package mta), has them send mail into a
// simulated outside (package world) whose receivers refuse, delay or cut it as
// hosts.toml says, and keeps the bounces and the logs. What stands in examples/*.eml and *.log after it ran is
// as the servers wrote it, byte for byte.
//
// It needs root, for a network of its own, and the servers that etc/test-deps
// fetches. Nothing outside the -o directory is changed, and no process is left.
//
//	go run ./examples/make            # writes into ./examples
//	go run ./examples/make -o DIR
//	go run ./examples/make -week      # only examples/week: some minutes
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"mime"
	"net/smtp"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"github.com/postroad/postroad/examples/mta"
	"github.com/postroad/postroad/examples/street"
	"github.com/postroad/postroad/world"
)

func main() {
	out := flag.String("o", "examples", "directory to write to")
	seven := flag.Bool("week", false, "make the week instead of the other examples")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, *out, *seven)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "make examples:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out string, seven bool) error {
	deps, err := mta.Find()
	if err != nil {
		return err
	}
	if _, err := os.Stat(out); err != nil {
		return fmt.Errorf("%w; run it from the root of the repository", err)
	}
	for _, d := range []string{"week", "trace"} {
		if err := os.MkdirAll(filepath.Join(out, d), 0o755); err != nil {
			return err
		}
	}
	if seven {
		return week(ctx, deps, filepath.Join(out, "week"))
	}
	if err := traces(filepath.Join(out, "trace")); err != nil {
		return err
	}
	for _, r := range rounds() {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
		begin := time.Now()
		version, err := r.make(ctx, deps, out)
		cancel()
		if err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		fmt.Fprintf(os.Stderr, "%-22s %2d cases in %4.1f s, version %s\n", r.name, len(r.cases), time.Since(begin).Seconds(), version)
	}
	return nil
}

// server is the part of a mail server that a round needs.
type server interface {
	Submit(ctx context.Context, from, to, message string, args ...string) error
	Flush(ctx context.Context) error
	Version(ctx context.Context) (string, error)
}

// make plays the cases of a round in one cell, one after the other.
func (r *round) make(ctx context.Context, deps, out string) (version string, err error) {
	outside, err := hosts(r)
	if err != nil {
		return "", err
	}
	cell, err := street.Open(ctx, outside, mta.Options{Deps: deps, Host: r.setup.Host}, world.Options{})
	if err != nil {
		return "", err
	}
	defer func() {
		if e := cell.Close(); err == nil {
			err = e
		}
	}()
	if err := cell.Deaf(deaf); err != nil {
		return "", err
	}
	s, err := r.start(ctx, cell.Cell)
	if err != nil {
		return "", err
	}
	for i, c := range r.cases {
		if err := r.play(ctx, cell.Cell, s, i, c, out); err != nil {
			return "", fmt.Errorf("case %s: %w", c.name, err)
		}
	}
	if r.keep != "" {
		text, err := os.ReadFile(cell.Path(r.log()))
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(out, r.keep), text, 0o644); err != nil {
			return "", err
		}
	}
	return s.Version(ctx)
}

func (r *round) start(ctx context.Context, c *mta.Cell) (server, error) {
	if r.exim {
		return mta.SetUpExim(ctx, c, r.setup)
	}
	return mta.StartPostfix(ctx, c, r.setup)
}

func (r *round) log() string {
	if r.exim {
		return "log/exim4/mainlog"
	}
	return "log/mail.log"
}

// play sends the message of a case and waits for what it comes to.
func (r *round) play(ctx context.Context, cell *mta.Cell, s server, i int, c example, out string) error {
	id := fmt.Sprintf("%s.%d.%s@%s", time.Now().UTC().Format("20060102"), 1041+i, c.name, r.from.domain)
	var err error
	if c.forged == "" {
		err = s.Submit(ctx, r.from.address, c.to, r.message(id, c), c.args...)
	} else {
		id, err = c.forged, forge(ctx, cell, r.from, c)
	}
	if err != nil {
		return err
	}
	if c.file == "" {
		_, err := cell.WaitLine(ctx, r.log(), c.to, c.ends)
		return err
	}
	wait, stop := context.WithCancel(ctx)
	tried := make(chan struct{})
	go func() {
		defer close(tried)
		// Exim has no daemon here that would try again.
		for tick := time.Tick(time.Second); r.exim; {
			select {
			case <-wait.Done():
				return
			case <-tick:
				_ = s.Flush(wait)
			}
		}
	}()
	raw, err := cell.WaitMail(ctx, func(raw string) bool {
		return strings.Contains(raw, id) && strings.Contains(raw, c.subject)
	})
	stop()
	<-tried
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(out, c.file), []byte(raw), 0o644)
}

// message is what is sent: word that an order is ready, and where the size
// counts, a list of figures.
func (r *round) message(id string, c example) string {
	var b strings.Builder
	fmt.Fprintf(&b, "From: %s <%s>\nTo: <%s>\nSubject: Your order is ready\nMessage-ID: <%s>\nDate: %s\n",
		mime.QEncoding.Encode("utf-8", r.from.name), r.from.address, c.to, id, time.Now().UTC().Format(time.RFC1123Z))
	b.WriteString("MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n" +
		"Good morning,\n\nyour order is ready, you can fetch it until six.\n\n" + r.from.name + "\n")
	for day := 1; c.long && day <= 31; day++ {
		fmt.Fprintf(&b, "day %2d: %4d loaves of bread, %4d rolls, %3d cakes\n", day, 100+day, 300+7*day, 10+day%7)
	}
	return b.String()
}

// forge hands a message over as a spammer does: by SMTP, from an address of
// nobody we know, in our name.
func forge(ctx context.Context, cell *mta.Cell, victim person, c example) error {
	conn, err := cell.Dial(ctx, "203.0.113.66", "127.0.0.1:25")
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	client, err := smtp.NewClient(conn, "mail")
	if err != nil {
		return err
	}
	text := fmt.Sprintf("From: %s <%s>\r\nTo: <%s>\r\nSubject: Overdue invoice\r\nMessage-ID: <%s>\r\nDate: %s\r\n\r\n"+
		"Pay now: http://203.0.113.66/pay\r\n", victim.name, victim.address, c.to, c.forged, time.Now().UTC().Format(time.RFC1123Z))
	for _, step := range []func() error{
		func() error { return client.Hello("adsl-66.dialup.example") },
		func() error { return client.Mail(victim.address) },
		func() error { return client.Rcpt(c.to) },
		func() error {
			w, err := client.Data()
			if err != nil {
				return err
			}
			_, err = io.WriteString(w, text)
			return errors.Join(err, w.Close())
		},
		client.Quit,
	} {
		if err := step(); err != nil {
			return fmt.Errorf("forge a message: %w", err)
		}
	}
	return nil
}
