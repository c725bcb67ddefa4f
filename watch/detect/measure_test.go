package detect

import (
	"math/rand/v2"
	"testing"

	"github.com/postroad/postroad/mail"
)

// TestMeasureCounts has one small incident, every number of it known.
func TestMeasureCounts(t *testing.T) {
	const began = simStart + 30*day
	incident := Incident{Number: 1, Provider: 1, Class: mail.Transport, group: groupRoute,
		Spans: []Span{{Began: began, Detected: began + 10*minute, Ended: began + hour, Recovered: began + 2*hour}}}
	m := NewMeasure([]Incident{incident}, MeasureOptions{})
	at := func(t int64, message, recipient uint64, p ID, class mail.Class, address ID) Observation {
		o := Observation{Time: t, Message: message, Recipient: recipient, Provider: p, Address: address, Source: 9, SenderDomain: 4, RecipientDomain: 5, Outcome: mail.Delivered}
		if class != "" {
			o.Outcome, o.Class, o.Stage = mail.Temporary, class, mail.StageSTARTTLS
		}
		return o
	}
	for _, o := range []Observation{
		at(began-8*day, 90, 90, 1, "", 71), // too long before
		at(began-2*day, 91, 91, 1, "", 71), at(began-day, 92, 92, 1, mail.Transport, 71), at(began-day, 93, 93, 1, "", 71), at(began-day, 94, 94, 1, "", 72),
		at(began-day, 95, 95, 2, "", 80), at(began-day, 96, 96, 2, mail.System, 80),
		at(began, 1, 11, 1, mail.Transport, 71),
		at(began+5*minute, 1, 11, 1, mail.TLS, 71), // its retry
		at(began+6*minute, 2, 12, 1, mail.Transport, 71),
		at(began+7*minute, 3, 11, 1, "", 72), // the same recipient gets another one
		at(began+8*minute, 4, 13, 1, mail.MailboxFull, 72),
		at(began+9*minute, 97, 97, 2, "", 80), at(began+9*minute, 98, 98, 2, mail.RecipientUnknown, 80),
		at(began+20*minute, 1, 11, 1, "", 72),
		at(began+3*hour, 5, 14, 1, mail.Transport, 71), // after its end
	} {
		m.Observe(&o)
	}
	session := at(began+10*minute, 0, 0, 1, mail.Transport, 73)
	session.Session = true
	m.Observe(&session)
	r := m.Result()[0]
	if r.Messages != 4 || r.FailedMessages != 2 || r.Attempts != 6 || r.Failures != 3 || r.Delivered != 2 || r.Recipients != 2 {
		t.Errorf("messages %d, failed %d, attempts %d, failures %d, delivered %d, recipients %d", r.Messages, r.FailedMessages, r.Attempts, r.Failures, r.Delivered, r.Recipients)
	}
	if r.Rate == nil || *r.Rate != 0.5 || r.BaselineRate == nil || *r.BaselineRate != 0.25 || r.Baseline != 4 || r.NoBefore || r.FailuresOnly {
		t.Errorf("rate %v, before %v of %d", r.Rate, r.BaselineRate, r.Baseline)
	}
	if len(r.Addresses) != 2 || r.Addresses[0] != (Tally{71, 0, 3}) || r.Addresses[1] != (Tally{72, 2, 0}) {
		t.Errorf("addresses %v", r.Addresses)
	}
	if r.RecipientsMixed == nil || !*r.RecipientsMixed || r.MixedRecipients != 1 || r.Stage != mail.StageSTARTTLS || r.StageShare != 1 {
		t.Errorf("mixed %v (%d), stage %s %v", r.RecipientsMixed, r.MixedRecipients, r.Stage, r.StageShare)
	}
	if len(r.Others) != 1 || r.Others[0].Messages != 1 || r.Others[0].Failed != 0 || r.Others[0].Before != 0.5 {
		t.Errorf("others %+v", r.Others)
	}
	if r.Classes[mail.Transport] != 2 || r.Classes[mail.TLS] != 1 || len(r.Classes) != 2 {
		t.Errorf("classes %v", r.Classes)
	}
}

func TestMeasureWithoutDeliveries(t *testing.T) {
	m := NewMeasure([]Incident{{Number: 1, Provider: 1, Class: mail.Transport, group: groupRoute, Spans: []Span{{Began: simStart, Detected: simStart}}}}, MeasureOptions{})
	m.Observe(&Observation{Time: simStart, Message: 1, Recipient: 1, Provider: 1, Outcome: mail.Permanent, Class: mail.Transport})
	if r := m.Result()[0]; r.Rate != nil || r.BaselineRate != nil || r.RecipientsMixed != nil || !r.FailuresOnly || r.Permanent != 1 {
		t.Errorf("%+v", r)
	}
}

// TestDistinctIsBounded counts far more identities than are kept.
func TestDistinctIsBounded(t *testing.T) {
	d := newDistinct(1000)
	for range 2 { // all of them twice
		ids := rand.New(rand.NewPCG(1, 2))
		for i := range 200_000 {
			id := ids.Uint64()
			d.mark(id, 1)
			if i%4 == 0 {
				d.mark(id, 2)
			}
		}
	}
	if len(d.marks) > 1000 || !d.estimated() {
		t.Fatalf("%d are kept", len(d.marks))
	}
	if n := d.count(1); n < 180_000 || n > 220_000 {
		t.Errorf("%d, want about 200,000", n)
	}
	if n := d.count(3); n < 40_000 || n > 60_000 {
		t.Errorf("%d, want about 50,000", n)
	}
}
