package analyze

import (
	"fmt"
	"testing"
	"time"

	"github.com/postroad/postroad/diagnose"
	"github.com/postroad/postroad/event"
	"github.com/postroad/postroad/lang"
	"github.com/postroad/postroad/mail"
	"github.com/postroad/postroad/provider"
)

func newPile(t testing.TB, o Options) *Pile {
	t.Helper()
	engine, err := diagnose.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	providers, err := provider.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	o.Engine, o.Providers, o.Texts = engine, providers, lang.Open("en")
	if o.Now.IsZero() {
		o.Now = base.Add(30 * 24 * time.Hour)
	}
	if o.Zone == nil {
		o.Zone = time.UTC
	}
	p, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

var base = time.Date(2024, 1, 22, 9, 10, 0, 0, time.UTC)

const cutReply = "421 4.4.2 Connection dropped due to SocketError"

// attemptAt is one attempt for message n as the evidence of a format has it.
func attemptAt(format string, grade event.Grade, n int, at time.Time, outcome mail.Outcome, last bool) *event.Event {
	a := &event.Attempt{MessageID: fmt.Sprintf("<m%d@contoso.example>", n), Recipient: fmt.Sprintf("user%d@yahoo.com", n),
		SenderDomain: "contoso.example", Outcome: outcome, Final: last}
	if outcome != mail.Delivered {
		a.Spoke, a.RemoteHost = true, "mta5.am0.yahoodns.net"
		a.Reply = event.Reply{Code: 421, Enhanced: "4.4.2", Lines: []string{cutReply}}
	}
	return &event.Event{ID: fmt.Sprint(format, n, at, outcome), Time: at, Origin: event.Origin{Format: format, Host: format, Grade: grade}, Body: a}
}

func bounceAt(n int, at, attempt time.Time) *event.Event {
	return &event.Event{ID: fmt.Sprint("ndr", n), Time: at, Origin: event.Origin{Format: "exchange-ndr", Grade: event.GradeReport},
		Body: &event.Bounce{Recipient: fmt.Sprintf("user%d@yahoo.com", n), MessageID: fmt.Sprintf("m%d@contoso.example", n),
			Action: mail.ActionFailed, Status: "5.4.300", Outcome: mail.Temporary, LastAttempt: attempt, Ours: mail.OursUnknown,
			RemoteHost: "mx-eu.mail.yahoo.com", Diagnostic: "550 5.4.300 Message expired -> " + cutReply}}
}

// add gives a pile events as if each format were a file of its own.
func add(t testing.TB, p *Pile, events ...*event.Event) {
	t.Helper()
	p.covered = span{1<<63 - 1, -1 << 63}
	for _, e := range events {
		if err := p.Add(e); err != nil {
			t.Fatal(err)
		}
	}
	if p.covered.from <= p.covered.to {
		p.spans = append(p.spans, p.covered)
	}
	p.inputs++
}

// TestTenInEveryForm is the promise of the pipeline: ten messages in whatever
// forms, and in whatever order these are read, are ten.
func TestTenInEveryForm(t *testing.T) {
	const n = 10
	sent := func(i int) time.Time { return base.Add(time.Duration(i) * 7 * time.Minute) }
	tried := func(i int) time.Time { return sent(i).Add(24 * time.Hour) }
	forms := map[string]func(i int) *event.Event{
		"log": func(i int) *event.Event {
			return attemptAt("postfix-log", event.GradeLog, i, tried(i), mail.Temporary, true)
		},
		"exim": func(i int) *event.Event {
			return attemptAt("exim-log", event.GradeLog, i, tried(i).Add(time.Second), mail.Temporary, true)
		},
		"detail": func(i int) *event.Event {
			return attemptAt("exchange-trace-detail", event.GradeDetail, i, tried(i).Add(30*time.Second), mail.Temporary, true)
		},
		"esp": func(i int) *event.Event {
			return attemptAt("sendgrid-events", event.GradeDetail, i, tried(i).Add(-50*time.Second), mail.Temporary, true)
		},
		"summary": func(i int) *event.Event {
			return attemptAt("exchange-trace-summary", event.GradeSummary, i, sent(i), mail.Temporary, true)
		},
		"dated": func(i int) *event.Event { return bounceAt(i, tried(i).Add(time.Hour), tried(i)) },
		"undated": func(i int) *event.Event {
			e := bounceAt(i, tried(i).Add(time.Hour), time.Time{})
			e.ID += "u"
			return e
		},
	}
	names := []string{"log", "exim", "detail", "esp", "summary", "dated", "undated"}
	for mask := 1; mask < 1<<len(names); mask++ {
		for _, backwards := range []bool{false, true} {
			p := newPile(t, Options{})
			label := ""
			for k := range names {
				if backwards {
					k = len(names) - 1 - k
				}
				if mask&(1<<k) == 0 {
					continue
				}
				label += " " + names[k]
				var events []*event.Event
				for i := range n {
					events = append(events, forms[names[k]](i))
				}
				add(t, p, events...)
				add(t, p, events...) // the same file twice
			}
			r, err := p.Report()
			if err != nil {
				t.Fatal(err)
			}
			if r.Facts != n || len(r.Providers) != 1 || r.Providers[0].ID != "yahoo" || r.Providers[0].Attempts != n || r.Providers[0].Messages != n {
				t.Errorf("%s: %d facts, %+v", label, r.Facts, r.Providers)
			}
		}
	}
}

// TestRetriesStay keeps what is not one attempt apart: retries, two recipients,
// a relay of ours and the provider behind it.
func TestRetriesStay(t *testing.T) {
	p := newPile(t, Options{})
	var log, trace []*event.Event
	for k := range 4 { // three deferrals and the end, five minutes apart
		at := base.Add(time.Duration(k) * 5 * time.Minute)
		outcome, last := mail.Temporary, false
		if k == 3 {
			outcome, last = mail.Delivered, true
		}
		log = append(log, attemptAt("postfix-log", event.GradeLog, 1, at, outcome, last))
		trace = append(trace, attemptAt("exchange-trace-detail", event.GradeDetail, 1, at.Add(20*time.Second), outcome, last))
	}
	hop := attemptAt("postfix-log", event.GradeLog, 2, base, mail.Delivered, true)
	hop.Body.(*event.Attempt).RemoteHost = "relay.contoso.example"
	out := attemptAt("exim-log", event.GradeLog, 2, base.Add(time.Second), mail.Delivered, true)
	out.Body.(*event.Attempt).RemoteHost = "mta7.am0.yahoodns.net"
	two := attemptAt("postfix-log", event.GradeLog, 2, base, mail.Delivered, true)
	two.ID += "other"
	two.Body.(*event.Attempt).Recipient = "another@yahoo.com"
	add(t, p, append(log, hop, two)...)
	add(t, p, append(trace, out)...)
	r, err := p.Report()
	if err != nil {
		t.Fatal(err)
	}
	if r.Facts != 7 || r.Events != 11 {
		t.Errorf("%d facts of %d events, want 7 of 11", r.Facts, r.Events)
	}
	for _, row := range r.Providers {
		if row.ID == "yahoo" && (row.Attempts != 6 || row.Deferred != 3 || row.Messages != 3 || row.Waiting != 0) {
			t.Errorf("yahoo: %+v", row)
		}
	}
}

// TestBounceEndsWaiting: a log that stops before the end, and the bounce that
// knows it.
func TestBounceEndsWaiting(t *testing.T) {
	p := newPile(t, Options{})
	add(t, p, attemptAt("postfix-log", event.GradeLog, 1, base, mail.Temporary, false),
		attemptAt("postfix-log", event.GradeLog, 2, base, mail.Temporary, false))
	add(t, p, bounceAt(1, base.Add(time.Minute), base.Add(2*time.Second)))
	r, err := p.Report()
	if err != nil {
		t.Fatal(err)
	}
	if r.Facts != 2 || r.Providers[0].Waiting != 1 {
		t.Errorf("%d facts, %d waiting; want 2 and 1", r.Facts, r.Providers[0].Waiting)
	}
}

// TestBackscatterIsNotOurs leaves bounces of others' mail out of the facts.
func TestBackscatterIsNotOurs(t *testing.T) {
	p := newPile(t, Options{})
	e := bounceAt(1, base, base)
	e.Body.(*event.Bounce).Ours = mail.OursNo
	add(t, p, e)
	r, err := p.Report()
	if err != nil {
		t.Fatal(err)
	}
	if r.Facts != 0 || r.Backscatter != 1 || len(r.Incidents) != 0 {
		t.Errorf("%d facts, %d backscatter, %d incidents", r.Facts, r.Backscatter, len(r.Incidents))
	}
}
