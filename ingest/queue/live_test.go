package queue_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/event"
	"github.com/postroad/postroad/examples/mta"
	"github.com/postroad/postroad/examples/street"
	"github.com/postroad/postroad/ingest/queue"
	"github.com/postroad/postroad/mail"
	"github.com/postroad/postroad/world"
)

const (
	deferral = "421 4.7.0 [TSS04] Messages from " + mta.Address + " temporarily deferred (unexpected volume"
	message  = "From: <orders@bakery.example>\nSubject: Your order\n\nIt is ready.\n"
)

// waiting are the mails that cannot be delivered, by recipient: a part of the reason that Postfix gives.
var waiting = map[string]string{
	"bob@yahoo.com":        "said: " + deferral,
	"carol@yahoo.com":      "said: " + deferral,
	"dave@closed.example":  "[192.0.2.70]:25: Connection refused",
	"eve@broken.example":   "Host or domain name not found. Name service error for name=broken.example type=",
	"\"fay x\"@yahoo.com":  "said: " + deferral,
	"gus+tag@yahoo.com":    "said: " + deferral,
	"hal.o'neil@yahoo.com": "said: " + deferral,
}

// outside defers at Yahoo's, refuses connections at one host, and fails in DNS at another domain.
const outside = `
name = "What makes mail wait"
dns = "$ANSWER broken.example. servfail"

[[provider]]
id = "yahoo"
domains = ["yahoo.com"]
[[provider.host]]
name = "mta5.am0.yahoodns.net"
addresses = ["192.0.2.73"]
[[provider.temper]]
do = "reject"
at = "rcpt"
reply = "421 4.7.0 [TSS04] Messages from {source} temporarily deferred (unexpected volume"

[[provider]]
id = "closed"
domains = ["closed.example"]
[[provider.host]]
name = "mx.closed.example"
addresses = ["192.0.2.70"]
[[provider.temper]]
do = "refuse"
`

// arrived holds what waits against the truth: nothing has arrived, and each of Yahoo's recipients was
// deferred. A 421 ends a session, so what came in it after the first was tried again.
func arrived(t *testing.T, s *street.Street) {
	t.Helper()
	truth := s.World.Truth()
	yahoo := 0
	for to := range waiting {
		if strings.HasSuffix(to, "@yahoo.com") {
			yahoo++
		}
	}
	deferred := truth.Count(world.Cause{Provider: "yahoo", Kind: world.Refused, Stage: mail.StageRcpt, Code: 421})
	if truth.Messages != 0 || deferred != yahoo || deferred != truth.Count(world.Cause{}) {
		t.Errorf("%d arrived, and of %d at Yahoo's were deferred: %+v", truth.Messages, yahoo, truth.Tally)
	}
}

// read reads a listing of a real server, of which nothing may be left out.
func read(t *testing.T, format, listing string) (items []queue.Item) {
	t.Helper()
	if got, ok := queue.Sniff([]byte(listing)); !ok || got != format {
		t.Fatalf("taken for %q:\n%s", got, listing)
	}
	o := queue.Options{Now: time.Now(), Skip: func(line int64, why event.Skip) { t.Errorf("line %d is left out: %s\n%s", line, why, listing) }}
	if err := queue.Read(strings.NewReader(listing), o, func(m queue.Item) error {
		items = append(items, m)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(items, func(a, b queue.Item) int { return strings.Compare(a.Recipient, b.Recipient) })
	return items
}

func sender(to string) string {
	if strings.HasPrefix(to, "dave") {
		return "" // a bounce that waits
	}
	return "orders@bakery.example"
}

func submit(ctx context.Context, t *testing.T, give func(ctx context.Context, from, to, message string, args ...string) error) {
	t.Helper()
	for to := range waiting {
		if err := give(ctx, sender(to), to, message); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLivePostfix(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	defer cancel()
	s := street.Try(ctx, t, "mail.bakery.example", outside)
	p, err := mta.StartPostfix(ctx, s.Cell, mta.Setup{Host: "mail.bakery.example", Domain: "bakery.example"})
	if err != nil {
		t.Fatal(err)
	}
	empty, err := p.Queue(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if items := read(t, queue.Postfix, empty); len(items) != 0 {
		t.Errorf("an empty queue gives %v", items)
	}
	submit(ctx, t, p.Submit)
	for to := range waiting {
		if _, err := s.WaitLine(ctx, "log/mail.log", "to=<"+to+">", "status=deferred"); err != nil {
			t.Fatal(err)
		}
	}
	var table, lines []queue.Item
	for ctx.Err() == nil { // until none is on the way to its place any more
		text, err := p.Queue(ctx)
		if err != nil {
			t.Fatal(err)
		}
		table = read(t, queue.Postfix, text)
		if text, err = p.QueueJSON(ctx); err != nil {
			t.Fatal(err)
		}
		lines = read(t, queue.PostfixJSON, text)
		for _, items := range [][]queue.Item{table, lines} {
			for i := range items {
				items[i].Line = 0
			}
		}
		if len(table) == len(waiting) && slices.Equal(table, lines) && !slices.ContainsFunc(table, func(m queue.Item) bool { return m.Active }) {
			break
		}
	}
	if len(table) != len(waiting) || !slices.Equal(table, lines) {
		t.Fatalf("postqueue -p gives\n%s\nand -j\n%s", show(table), show(lines))
	}
	arrived(t, s)
	for _, m := range table {
		if want, ok := waiting[m.Recipient]; !ok || !strings.Contains(m.Reason, want) || m.Sender != sender(m.Recipient) || m.Size < 100 || m.Count != 1 ||
			time.Since(m.Arrived) > time.Minute || len(m.QueueID) < 8 || (m.RemoteIP == "") != strings.HasSuffix(m.Recipient, "broken.example") {
			t.Errorf("%+v", m)
		}
	}
}

func show(items []queue.Item) string {
	var b strings.Builder
	for _, m := range items {
		fmt.Fprintf(&b, "%+v\n", m)
	}
	return b.String()
}

func TestLiveExim(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	defer cancel()
	s := street.Try(ctx, t, "mail.bakery.example", outside)
	x, err := mta.SetUpExim(ctx, s.Cell, mta.Setup{Host: "mail.bakery.example", Domain: "bakery.example"})
	if err != nil {
		t.Fatal(err)
	}
	submit(ctx, t, x.Submit)
	text, err := x.Queue(ctx)
	if err != nil {
		t.Fatal(err)
	}
	arrived(t, s)
	items := read(t, queue.Exim, text)
	if len(items) != len(waiting) {
		t.Errorf("of\n%s\n%d items are read", text, len(items))
	}
	for _, m := range items {
		_, ok := waiting[m.Recipient]
		if !ok || m.Sender != sender(m.Recipient) || m.Size < 100 || time.Since(m.Arrived) > 2*time.Minute {
			t.Errorf("%+v of\n%s", m, text)
		}
	}
}
