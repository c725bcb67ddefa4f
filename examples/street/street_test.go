package street_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/examples/mta"
	"github.com/postroad/postroad/examples/street"
	"github.com/postroad/postroad/mail"
	"github.com/postroad/postroad/smtp"
	"github.com/postroad/postroad/world"
)

const scenario = `
name = "A street with one house"

[[provider]]
id = "house"
domains = ["house.example"]
[[provider.host]]
name = "mx.house.example"
addresses = ["203.0.113.9"]
[[provider.temper]]
do = "refuse"
until = "1h"
[[provider.temper]]
do = "slow"
at = "final"
delay = "20m"
`

// TestClockOfTheCell: the world is at port 25 of the cell, lives by the cell's clock, wakes from its
// sleep when that jumps, and lets time pass there.
func TestClockOfTheCell(t *testing.T) {
	deps, err := mta.Find()
	if err != nil {
		t.Skip(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	outside, err := world.ReadScenario(strings.NewReader(scenario))
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Date(2031, 2, 3, 4, 5, 6, 0, time.UTC)
	clock := mta.NewClock(begin)
	s, err := street.Open(ctx, outside, mta.Options{Deps: deps, Host: "mail.contoso.example", Clock: clock},
		world.Options{Pass: func(d time.Duration) { _ = clock.Pass(d) }})
	if errors.Is(err, mta.ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	if out, err := s.Run(ctx, "", "getent", "hosts", "mx.house.example"); err != nil || !strings.HasPrefix(out, "203.0.113.9 ") {
		t.Errorf("the cell asks the world for names: %q, %v", out, err)
	}
	if conn, err := s.Dial(ctx, mta.Address, "203.0.113.9:25"); err == nil {
		conn.Close()
		t.Fatal("the port is open in the first hour")
	}
	if err := clock.Jump(begin.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	s.World.Advance(0)
	conn, err := s.Dial(ctx, mta.Address, "203.0.113.9:25")
	for err != nil && ctx.Err() == nil { // it opens some time after
		conn, err = s.Dial(ctx, mta.Address, "203.0.113.9:25")
	}
	if err != nil {
		t.Fatal(err)
	}
	c := smtp.NewClient(conn, smtp.ClientOptions{})
	defer c.Close()
	if _, err = c.Greet(ctx); err == nil {
		_, err = c.Hello(ctx, "mail.contoso.example")
	}
	if err != nil {
		t.Fatal(err)
	}
	const text = "Message-ID: <1@contoso.example>\r\n\r\nA letter.\r\n"
	anna := mail.Address{Local: "anna", Domain: "house.example"}
	m := &smtp.Message{Mail: smtp.MailCommand{From: mail.Address{Local: "bob", Domain: "contoso.example"}},
		To: []*smtp.Recipient{{RcptCommand: smtp.RcptCommand{To: anna}}}, Content: strings.NewReader(text)}
	if err := c.Send(ctx, m); err != nil {
		t.Fatal(err)
	}
	if err := c.Quit(ctx); err != nil {
		t.Error(err)
	}
	truth := s.World.Truth()
	if len(truth.Accepted) != 1 || truth.Delivered("1@contoso.example", anna.String()) != 1 {
		t.Fatalf("the truth is %+v", truth)
	}
	e := truth.Accepted[0]
	if late := e.Time.Sub(begin); e.Source.String() != mta.Address || late < 80*time.Minute || late > 81*time.Minute {
		t.Errorf("%s after the begin from %s", late, e.Source)
	}
}
