package trace

import (
	"bytes"
	"io"
	"testing"
	"time"

	"github.com/postroad/postroad/event"
	"github.com/postroad/postroad/mail"
)

// checkEvent holds what is true of every event, whatever was read.
func checkEvent(t testing.TB, e *event.Event) {
	t.Helper()
	a := attempt(e)
	switch {
	case e.ID == "" || e.Origin.Format == "" || e.Origin.Grade == 0:
		t.Fatalf("an event without origin: %+v", e)
	case a.Outcome != mail.Delivered && a.Outcome != mail.Temporary && a.Outcome != mail.Permanent:
		t.Fatalf("an event without outcome: %+v", a)
	case a.Recipient != "" && !addressLike(a.Recipient):
		t.Fatalf("recipient %q", a.Recipient)
	case e.Time.IsZero() || e.Time.Location() != time.UTC:
		t.Fatalf("time %v", e.Time)
	case len(a.Reply.Lines) > 0 && len(a.Reply.Lines[0]) > maxText:
		t.Fatalf("a reply of %d bytes", len(a.Reply.Lines[0]))
	case a.Delay < 0:
		t.Fatalf("delay %v", a.Delay)
	}
}

func FuzzRead(f *testing.F) {
	for _, text := range tenFiles(f) {
		f.Add([]byte(text[:min(len(text), 1500)]))
		f.Add(encodings["utf-16le"](text[:min(len(text), 600)]))
	}
	f.Add([]byte("#Fields: date-time,source,event-id,message-id,recipient-address\n2026-09-03T08:10:00Z,SMTP,SEND,<1@example.com>,b@example.org\n"))
	f.Add([]byte("Received : 9/3/2026\nSenderAddress : a@example.com\nRecipientAddress : b@example.org\nStatus : Failed\nSubject : x\n\n"))
	f.Add([]byte(`{"value":[{"receivedDateTime":"2026-09-03T08:10:00Z","senderAddress":"a@example.com","recipientAddress":"b@example.org","status":"failed","id":"1"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		Sniff(b)
		var last int64
		n := 0
		o := Options{Skip: func(line int64, why event.Skip) {
			if line < 0 || line > int64(len(b))+2 || why == "" {
				t.Fatalf("skip %d %q", line, why)
			}
			last = line
		}}
		visit := func(e *event.Event) error { n++; checkEvent(t, e); return nil }
		if err := Read(bytes.NewReader(b), o, visit); err != nil && n > 0 {
			t.Fatalf("%d events, then %v (%d)", n, err, last)
		}
		again := 0
		_ = Read(io.MultiReader(bytes.NewReader(b[:len(b)/2]), bytes.NewReader(b[len(b)/2:])), o, func(*event.Event) error { again++; return nil })
		if again != n {
			t.Fatalf("%d events, read in pieces %d", n, again)
		}
	})
}
