package world

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/postroad/postroad/dns"
	"github.com/postroad/postroad/mail"
	"github.com/postroad/postroad/smtp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// one is a provider with one host, whose tempers a test adds.
const one = `
name = "test"
seed = 7
[clock]
start = "2026-01-22T09:00:00Z"
%s
[[provider]]
id = "post"
domains = ["post.example"]
[[provider.host]]
name = "mx.post.example"
[[provider.mailbox]]
address = "gone@post.example"
state = "unknown"
[[provider.mailbox]]
address = "full@post.example"
state = "full"
from = "1h"
until = "2h"
`

func scenario(t testing.TB, text string) *Scenario {
	t.Helper()
	s, err := ReadScenario(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return s
}

func begin(t testing.TB, s *Scenario, o Options) *World {
	t.Helper()
	w, err := Start(t.Context(), s, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// with makes a scenario of the one provider and the tempers.
func with(t testing.TB, clock string, tempers ...string) *Scenario {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, one, clock)
	for _, x := range tempers {
		b.WriteString("[[provider.temper]]\n" + strings.ReplaceAll(x, "; ", "\n") + "\n")
	}
	return scenario(t, b.String())
}

// delivery is one try to deliver, as a sending server makes it.
type delivery struct {
	host     string // "mx.post.example"
	source   string
	from     string
	to       []string
	id       string
	size     int
	plain    bool        // no STARTTLS
	tls      *tls.Config // what is asked of the certificate; the roots of the world
	patient  smtp.Timeouts
	user     string
	password string
	reply    *mail.Reply // of the first recipient, if wanted
}

// try gives what the client knows afterwards: for each recipient "delivered",
// or the stage and what was said there.
func (d delivery) try(ctx context.Context, w *World) string {
	if d.host == "" {
		d.host = "mx.post.example"
	}
	if d.from == "" {
		d.from = "orders@bakery.example"
	}
	if len(d.to) == 0 {
		d.to = []string{"anna@post.example"}
	}
	if d.id == "" {
		d.id = "<1@bakery.example>"
	}
	source, _ := netip.ParseAddr(d.source)
	conn, err := w.DialFrom(ctx, source, "tcp", d.host+":25")
	if err != nil {
		if errors.Is(err, syscall.ECONNREFUSED) {
			return "connection refused"
		}
		return "connect: " + err.Error()
	}
	c := smtp.NewClient(conn, smtp.ClientOptions{Timeouts: d.patient, Ahead: -1})
	defer c.Close()
	if _, err := c.Greet(ctx); err != nil {
		return failure(err)
	}
	if _, err := c.Hello(ctx, "mail.bakery.example"); err != nil {
		return failure(err)
	}
	if _, offered := c.Extensions()["STARTTLS"]; offered && !d.plain {
		config := d.tls
		if config == nil {
			config = w.clientTLS(d.host)
		}
		if err := c.StartTLS(ctx, config); err != nil {
			return failure(err)
		}
		if _, err := c.Hello(ctx, "mail.bakery.example"); err != nil {
			return failure(err)
		}
	}
	if d.user != "" {
		if err := c.Auth(ctx, smtp.PlainAuth("", d.user, d.password)); err != nil {
			return failure(err)
		}
	}
	m := &smtp.Message{}
	m.Mail.From, _ = mail.ParseAddress(d.from)
	for _, to := range d.to {
		r := &smtp.Recipient{}
		r.To, _ = mail.ParseAddress(to)
		m.To = append(m.To, r)
	}
	text := "From: <orders@bakery.example>\r\nMessage-ID: " + d.id + "\r\nSubject: Your order\r\n\r\n" +
		strings.Repeat("It is ready.\r\n", 1+d.size/14)
	m.Content = strings.NewReader(text)
	_ = c.Send(ctx, m) // the recipients say it
	var results []string
	for _, r := range m.To {
		if r.Delivered {
			results = append(results, "delivered")
		} else {
			results = append(results, failure(r.Err))
		}
	}
	if d.reply != nil {
		*d.reply = m.To[0].Reply
	}
	_ = c.Quit(ctx)
	return strings.Join(slices.Compact(results), ", ")
}

// clientTLS is what a sender asks of a host that it verifies.
func (w *World) clientTLS(host string) *tls.Config {
	return &tls.Config{RootCAs: w.Roots(), ServerName: host, MinVersion: tls.VersionTLS12}
}

func failure(err error) string {
	var e *smtp.Error
	if !errors.As(err, &e) {
		return err.Error()
	}
	s := string(e.Stage)
	switch {
	case e.Reply.Code != 0:
		s += fmt.Sprintf(" %d", e.Reply.Code)
	case errors.Is(e.Err, smtp.ErrTimeout), errors.Is(e.Err, context.DeadlineExceeded): // the handshake has the latter
		s += " timeout"
	default:
		s += " lost"
	}
	if e.Uncertain {
		s += " uncertain"
	}
	return s
}

// causes writes the truth in one line.
func causes(t Truth) string {
	var all []string
	for c, n := range t.Causes {
		s := fmt.Sprintf("%s %s", c.Kind, c.Stage)
		if c.Code > 0 {
			s += fmt.Sprintf(" %d", c.Code)
		}
		if n > 1 {
			s += fmt.Sprintf(" x%d", n)
		}
		all = append(all, s)
	}
	slices.Sort(all)
	return fmt.Sprintf("%d, %s", t.Messages, strings.Join(all, ", "))
}

// TestStages makes one delivery for each temper, and compares what the sender
// knows with the truth.
func TestStages(t *testing.T) {
	for _, c := range []struct{ temper, sender, truth string }{
		{"", "delivered", "1, "},
		{`do = "accept"`, "delivered", "1, "},
		{`do = "reject"; at = "banner"; reply = "554 no"`, "banner 554", "0, refused banner 554"},
		{`do = "reject"; at = "banner"; reply = "421 busy"`, "banner 421", "0, refused banner 421"},
		{`do = "reject"; at = "ehlo"; reply = "450 4.1.8 no name"`, "ehlo 450", "0, refused ehlo 450"},
		{`do = "reject"; at = "starttls"; reply = "454 4.7.0 TLS not available"`, "starttls 454", "0, refused starttls 454"},
		{`do = "reject"; at = "mail"; reply = "550 5.7.1 no"`, "mail 550", "0, refused mail 550"},
		{`do = "reject"; at = "rcpt"; reply = "450 4.7.1 later"`, "rcpt 450", "0, refused rcpt 450"},
		{`do = "reject"; at = "final"; reply = "554 5.7.1 spam"`, "final 554", "0, refused final 554"},
		{`do = "reject"; at = "mail"; reply = "550 5.7.1 bye"; close = true`, "mail 550", "0, refused mail 550"},
		{`do = "reject"; preset = "yahoo-tss04"`, "mail 421", "0, refused mail 421"},
		{`do = "reject"; preset = "gmail-4.7.28"`, "final 421", "0, refused final 421"},
		{`do = "refuse"`, "connection refused", "0, "},
		{`do = "refuse"; share = 1.0`, "banner lost", "0, refused connect"},
		{`do = "cut"; at = "connect"`, "banner lost", "0, cut connect"},
		{`do = "cut"; at = "banner"`, "banner lost", "0, cut banner"},
		{`do = "cut"; at = "banner"; after = true`, "ehlo lost", "0, cut banner"},
		{`do = "cut"; at = "ehlo"`, "ehlo lost", "0, cut ehlo"},
		{`do = "cut"; at = "ehlo"; after = true`, "starttls lost", "0, cut ehlo"},
		{`do = "cut"; at = "starttls"`, "starttls lost", "0, cut starttls"},
		{`do = "cut"; at = "starttls"; after = true`, "tls lost", "0, cut starttls"},
		{`do = "cut"; at = "tls"`, "tls lost", "0, cut tls"},
		{`do = "cut"; at = "clienthello"`, "tls lost", "0, cut clienthello"},
		{`do = "cut"; at = "tls"; after = true`, "ehlo lost", "0, cut tls"},
		{`do = "cut"; at = "mail"`, "mail lost", "0, cut mail"},
		{`do = "cut"; at = "rcpt"`, "rcpt lost", "0, cut rcpt"},
		{`do = "cut"; at = "data"`, "final lost uncertain", "0, cut data"}, // of BDAT, whose content is on its way
		{`do = "reject"; at = "data"; reply = "451 4.3.0 no disk"`, "final 451", "0, refused data 451"},
		{`do = "hang"; at = "data"`, "final timeout uncertain", "0, hung data"},
		{`do = "hang"; at = "content"`, "final timeout uncertain", "0, hung content"},
		{`do = "hang"; at = "content"; for = "5s"`, "delivered", "1, hung content"},
		{`do = "cut"; at = "content"; bytes = 100`, "final lost uncertain", "0, cut content"},
		{`do = "cut"; at = "final"`, "final lost uncertain", "0, cut final"},
		{`do = "cut"; at = "final"; kept = true`, "final lost uncertain", "1, cut final"},
		{`do = "cut"; at = "final"; after = true`, "delivered", "1, cut final"},
		{`do = "hang"; at = "connect"`, "banner timeout", "0, hung connect"},
		{`do = "hang"; at = "banner"`, "banner timeout", "0, hung banner"},
		{`do = "hang"; at = "banner"; after = true`, "ehlo timeout", "0, hung banner"},
		{`do = "hang"; at = "ehlo"`, "ehlo timeout", "0, hung ehlo"},
		{`do = "hang"; at = "starttls"`, "starttls timeout", "0, hung starttls"},
		{`do = "hang"; at = "tls"`, "tls timeout", "0, hung tls"},
		{`do = "hang"; at = "clienthello"`, "tls timeout", "0, hung clienthello"},
		{`do = "hang"; at = "tls"; after = true`, "ehlo timeout", "0, hung tls"},
		{`do = "hang"; at = "mail"`, "mail timeout", "0, hung mail"},
		{`do = "hang"; at = "rcpt"`, "rcpt timeout", "0, hung rcpt"},
		{`do = "hang"; at = "final"`, "final timeout uncertain", "0, hung final"},
		{`do = "hang"; at = "final"; kept = true`, "final timeout uncertain", "1, hung final"},
		{`do = "hang"; at = "final"; after = true`, "delivered", "1, hung final"},
		{`do = "hang"; at = "ehlo"; for = "10s"`, "delivered", "1, hung ehlo x2"},
		{`do = "hang"; at = "final"; for = "30s"`, "delivered", "1, hung final"},
		{`do = "slow"; delay = "20s"`, "delivered", "1, "},
		{`do = "slow"; rate = 100`, "delivered", "1, "},
		{`do = "no-starttls"`, "delivered", "1, "},
		{`do = "certificate"; certificate = "self-signed"`, "tls lost", "0, lost tls"},
		{`do = "certificate"; certificate = "expired"`, "tls lost", "0, lost tls"},
		{`do = "certificate"; certificate = "not-yet-valid"`, "tls lost", "0, lost tls"},
		{`do = "certificate"; certificate = "wrong-name"`, "tls lost", "0, lost tls"},
		{`do = "certificate"; certificate = "untrusted"`, "tls lost", "0, lost tls"},
		{`do = "certificate"; certificate = "no-intermediate"`, "tls lost", "0, lost tls"},
		{`do = "certificate"; certificate = "old-tls"`, "tls lost", "0, lost tls"},
	} {
		t.Run(strings.ReplaceAll(c.temper, `"`, ""), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var s *Scenario
				if c.temper == "" {
					s = with(t, "")
				} else {
					s = with(t, "", c.temper)
				}
				w, err := Start(t.Context(), s, Options{Mode: Memory})
				if err != nil {
					t.Fatal(err)
				}
				defer w.Close()
				got := delivery{}.try(t.Context(), w)
				synctest.Wait()
				if got != c.sender {
					t.Errorf("the sender knows %q, want %q", got, c.sender)
				}
				all := w.Truth()
				if tempers := w.scenario.Providers[0].Tempers; strings.Contains(c.temper, "certificate = ") &&
					all.Count(Cause{Kind: Lost, Reason: tempers[0].Name}) != 1 {
					t.Errorf("the truth does not name the certificate: %v", all.Tally)
				}
				if all.Sessions != 1 && !strings.Contains(c.temper, "refuse") {
					t.Errorf("sessions %d, want 1", all.Sessions)
				}
				if truth := causes(w.Truth()); truth != c.truth {
					t.Errorf("the truth is %q, want %q", truth, c.truth)
				}
			})
		})
	}
}

// TestSockets is the same world on real sockets, at addresses of the
// documentation networks.
func TestSockets(t *testing.T) {
	var out bytes.Buffer
	s := with(t, "", `do = "cut"; at = "starttls"; sources = ["198.51.100.0/24"]`)
	s.Providers[0].Hosts[0].Addresses = []netip.Addr{netip.MustParseAddr("192.0.2.25")}
	w, err := Start(t.Context(), s, Options{Truth: &out})
	if err != nil {
		t.Fatal(err)
	}
	if got := (delivery{source: "203.0.113.7"}).try(t.Context(), w); got != "delivered" {
		t.Error(got)
	}
	if got := (delivery{source: "198.51.100.7", id: "<2@bakery.example>"}).try(t.Context(), w); got != "starttls lost" {
		t.Error(got)
	}
	if got := (delivery{host: "192.0.2.25", plain: true, to: []string{"anna@post.example", "gone@post.example", "x@other.example"}}).try(t.Context(), w); got != "delivered, rcpt 550" {
		t.Error(got)
	}
	if _, err := w.Dial(t.Context(), "tcp", "nowhere.example:25"); err == nil {
		t.Error("connected to a host that is not there")
	}
	var m strings.Builder
	if err := w.WriteMap(&m); err != nil || !strings.Contains(m.String(), "192.0.2.25:25 127.76.0.1:") {
		t.Error(m.String(), err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	truth := w.Truth()
	if truth.Delivered("1@bakery.example", "Anna@post.example") != 2 || len(truth.Again) != 1 || truth.Sessions != 3 {
		t.Errorf("truth %+v", truth)
	}
	e := truth.Accepted[0]
	if e.Source.String() != "203.0.113.7" || e.TLS != "TLS 1.3" || e.Bytes == 0 || len(e.SHA256) != 64 || !e.Answered {
		t.Errorf("accepted: %+v", e)
	}
	again, err := ReadTruth(&out, 0)
	if err != nil || causes(again) != causes(truth) || again.Delivered("1@bakery.example", "anna@post.example") != 2 {
		t.Errorf("read back: %+v, %v", again, err)
	}
	if got := (delivery{}).try(t.Context(), w); got != "connection refused" {
		t.Error("after Close:", got)
	}
}

// TestFollowedClock: a clock of somebody else, which jumps.
func TestFollowedClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var jumped time.Duration
		begin := time.Date(2026, 1, 19, 8, 0, 0, 0, time.UTC)
		real := time.Now()
		now := func() time.Time { return begin.Add(time.Since(real) + jumped) }
		s := with(t, "", `do = "reject"; at = "mail"; reply = "450 x"; until = "1h"`, `do = "sts"; sts = { mode = "none" }; from = "2026-01-19T10:00:00Z"`)
		s.Providers[0].Queued = "250 2.0.0 Ok: queued as {id}"
		w, err := Start(t.Context(), s, Options{Mode: Memory, Now: now})
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		expect(t, w, delivery{}, "mail 450")
		jumped = time.Hour
		w.Advance(0)
		expect(t, w, delivery{}, "delivered")
		if w.Now().Sub(begin) < time.Hour || len(w.Truth().Accepted) != 1 || w.Truth().Accepted[0].Time.Before(begin.Add(time.Hour)) {
			t.Error("not the other clock")
		}
		time.Sleep(2 * time.Hour) //nolint:forbidigo // the clock of the bubble
		r, err := dns.New(w.Resolver())
		if err != nil {
			t.Fatal(err)
		}
		if x := r.TXT(t.Context(), "_mta-sts.post.example"); len(x.Records) != 1 {
			t.Errorf("after its time: %+v", x)
		}
	})
}

// TestSharedAddresses: two names of one provider at one address, as at Yahoo.
func TestSharedAddresses(t *testing.T) {
	s := with(t, "")
	s.Providers[0].Hosts = append(s.Providers[0].Hosts, Host{Name: "mx2.post.example", Addresses: []netip.Addr{netip.MustParseAddr("127.77.1.1")}})
	s.checked = false
	s.Providers[0].Queued = "250 2.0.0 Ok: queued as {id}"
	w := begin(t, s, Options{})
	var said [2]mail.Reply
	for i := range said {
		if got := (delivery{host: "mx2.post.example", plain: true, reply: &said[i]}).try(t.Context(), w); got != "delivered" {
			t.Error(got)
		}
	}
	if a, b := said[0].Text(), said[1].Text(); !strings.HasPrefix(a, "Ok: queued as ") || len(a) != 24 || a == b {
		t.Errorf("said %q and %q", a, b)
	}
	if e := w.Truth().Accepted[0]; e.Host != "mx.post.example" {
		t.Errorf("answered by %s", e.Host)
	}
}

// TestLastWordOfARefusal: a client that says everything at once hears the reply
// after which the connection is closed.
func TestLastWordOfARefusal(t *testing.T) {
	w := begin(t, with(t, "", `do = "reject"; at = "mail"; reply = "550 5.7.1 go away"; close = true`), Options{})
	for range 20 {
		conn, err := w.Dial(t.Context(), "tcp", "mx.post.example:25")
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		_, _ = io.WriteString(conn, "EHLO a.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<anna@post.example>\r\n")
		_, _ = io.WriteString(conn, strings.Repeat("NOOP\r\n", 20_000))
		heard, err := io.ReadAll(conn)
		if err != nil || !strings.Contains(string(heard), "550 5.7.1 go away") {
			t.Errorf("heard %q, %v", heard, err)
		}
		_ = conn.Close()
	}
}
