package queue_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/event"
	"github.com/postroad/postroad/examples/mta"
	"github.com/postroad/postroad/ingest/queue"
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

func open(ctx context.Context, t *testing.T) *mta.Cell {
	t.Helper()
	deps, err := mta.Find()
	if err != nil {
		t.Skip(err)
	}
	cell, err := mta.Open(ctx, mta.Options{Deps: deps, Host: "mail.bakery.example", Zone: map[string][]string{
		"yahoo.com":             {"MX 1 mta5.am0.yahoodns.net"},
		"mta5.am0.yahoodns.net": {"A 192.0.2.73"},
		"closed.example":        {"MX 1 mx.closed.example"},
		"mx.closed.example":     {"A 192.0.2.70"},
		"broken.example":        {"SERVFAIL"},
	}})
	if errors.Is(err, mta.ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cell.Close(); err != nil {
			t.Error(err)
		}
	})
	l, err := cell.Listen("192.0.2.73:25")
	if err != nil {
		t.Fatal(err)
	}
	r := &mta.Receiver{Host: "mta5.am0.yahoodns.net", Script: mta.Script{"rcpt": {Reply: deferral}}}
	go func() { _ = r.Serve(l) }()
	return cell
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
	cell := open(ctx, t)
	p, err := mta.StartPostfix(ctx, cell, mta.Setup{Host: "mail.bakery.example", Domain: "bakery.example"})
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
		if _, err := cell.WaitLine(ctx, "log/mail.log", "to=<"+to+">", "status=deferred"); err != nil {
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
	cell := open(ctx, t)
	x, err := mta.SetUpExim(ctx, cell, mta.Setup{Host: "mail.bakery.example", Domain: "bakery.example"})
	if err != nil {
		t.Fatal(err)
	}
	submit(ctx, t, x.Submit)
	text, err := x.Queue(ctx)
	if err != nil {
		t.Fatal(err)
	}
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
