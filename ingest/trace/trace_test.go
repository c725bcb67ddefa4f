package trace

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/event"
)

// readAll reads a text and gives its events as one line each, and what was left out.
func readAll(t testing.TB, s string, o Options) (events []*event.Event, skipped []string) {
	t.Helper()
	o.Skip = func(line int64, why event.Skip) { skipped = append(skipped, fmt.Sprintf("%d %s", line, why)) }
	if err := Read(strings.NewReader(s), o, func(e *event.Event) error {
		events = append(events, e)
		return nil
	}); err != nil {
		skipped = append(skipped, err.Error())
	}
	return events, skipped
}

func attempt(e *event.Event) *event.Attempt { return e.Body.(*event.Attempt) }

func TestSmoke(t *testing.T) {
	in := "origin_timestamp_utc,sender_address,recipient_status,message_subject,total_bytes,message_id,network_message_id,original_client_ip,directionality,connector_id,delivery_priority\r\n" +
		"2026-09-03T08:10:00.1234567Z,a@example.com,\"b@example.org##Receive, Send;c@example.net##Receive, Fail\",\"Hi, \"\"you\"\"\",1234,<1@example.com>,1341ac7b13fb42ab4d4408cf7f55890f,192.0.2.1,Outbound,,Normal\r\n"
	events, skipped := readAll(t, in, Options{})
	for _, e := range events {
		t.Log(e.Time.Format(time.RFC3339Nano), e.Origin, *attempt(e))
	}
	t.Log(skipped)
	if len(events) != 2 || len(skipped) != 0 {
		t.Fatal("not two events")
	}
}
