package world

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/examples/mta"
)

const beside = `
name = "beside Postfix"
seed = 1
[[provider]]
id = "yahoo"
domains = ["yahoo.example"]
[[provider.host]]
name = "mx.yahoo.example"
addresses = ["192.0.2.73", "192.0.2.74"]
[[provider.temper]]
do = "cut"
at = "starttls"
addresses = ["192.0.2.73"]
[[provider.temper]]
do = "reject"
preset = "yahoo-tss04"
recipients = ["busy@yahoo.example"]
at = "rcpt"
[[provider]]
id = "smith"
domains = ["smith.example"]
queued = "250 2.0.0 taken as {id}"
[[provider.host]]
name = "mail.smith.example"
addresses = ["203.0.113.20"]
[[provider.temper]]
do = "greylist"
delay = "1ms"
`

// TestPostfix has a real server deliver to the outside: what it writes in its
// log is what the truth says.
func TestPostfix(t *testing.T) {
	if testing.Short() {
		t.Skip("starts Postfix")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel) // after the cell has ended
	cell := mta.Try(ctx, t, mta.Options{Host: "mail.bakery.example"})
	w := begin(t, scenario(t, beside), Options{Mode: Native, Listen: cell.Listen, ListenPacket: cell.ListenPacket, Interfaces: cell.Interfaces})
	p, err := mta.StartPostfix(ctx, cell, mta.Setup{Host: "mail.bakery.example", Domain: "bakery.example"})
	if err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{"usuario@yahoo.example", "busy@yahoo.example", "john@smith.example"} {
		text := "From: <orders@bakery.example>\nTo: <" + to + ">\nMessage-ID: <" + to + ".1>\nSubject: Your order\n\nIt is ready.\n"
		if err := p.Submit(ctx, "orders@bakery.example", to, text); err != nil {
			t.Fatal(err)
		}
	}
	for _, words := range [][]string{
		{"to=<usuario@yahoo.example>", "relay=mx.yahoo.example[192.0.2.74]:25", "status=sent"},
		{"host mx.yahoo.example[192.0.2.74] said: 421 4.7.0 [TSS04] Messages from " + mta.Address}, // and then the other address
		{"to=<busy@yahoo.example>", "status=deferred"},
		{"to=<john@smith.example>", "status=deferred", "451 4.7.1 Greylisted"},
	} {
		if _, err := cell.WaitLine(ctx, "log/mail.log", words...); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if line, err := cell.WaitLine(ctx, "log/mail.log", "to=<john@smith.example>", "status=sent", "taken as "); err != nil {
		t.Fatal(err, line)
	}
	if w.Zones().Count("yahoo.example", "MX") == 0 {
		t.Error("Postfix has not asked the world")
	}
	truth := w.Truth()
	if truth.Messages != 2 || truth.Delivered("usuario@yahoo.example.1", "usuario@yahoo.example") != 1 ||
		truth.Delivered("john@smith.example.1", "john@smith.example") != 1 || len(truth.Again) != 0 {
		t.Errorf("accepted %+v", truth.Accepted)
	}
	for _, e := range truth.Accepted {
		if e.Source.String() != mta.Address || !strings.HasPrefix(e.TLS, "TLS 1.") || e.Hello != "mail.bakery.example" {
			t.Errorf("accepted %+v", e)
		}
	}
	if truth.Count(Cause{Kind: Refused, Stage: "rcpt", Code: 421}) == 0 || truth.Count(Cause{Kind: Refused, Stage: "rcpt", Code: 451}) == 0 {
		t.Errorf("causes %v", truth.Tally)
	}
}
