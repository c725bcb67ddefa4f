package event_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/event"
	"github.com/postroad/postroad/mail"
)

var when = time.Date(2024, 1, 22, 9, 10, 0, 123456789, time.UTC)

var events = []event.Event{
	{
		ID: "a", Time: when, Origin: event.Origin{Format: "postfix-log", Host: "mx.example.com"}, Node: "n1",
		Body: &event.Attempt{
			QueueID: "3A2F1C0A7E", Recipient: "usuario@yahoo.com", RemoteHost: "mx-eu.mail.am0.yahoodns.net",
			RemoteIP: "192.0.2.72", RemotePort: 25, Stage: mail.StageTLS, Spoke: true, Outcome: mail.Temporary,
			Reply:     event.Reply{Code: 421, Enhanced: "4.4.2", Lines: []string{"Connection dropped", "due to SocketError"}},
			TLS:       &event.TLS{Version: "1.3", Verified: true},
			Delay:     3 * time.Second,
			Durations: map[mail.Stage]time.Duration{mail.StageConnect: time.Millisecond},
		},
	},
	{
		ID: "b", Origin: event.Origin{Format: "dsn"},
		Body: &event.Bounce{Recipient: "a@example.com", Action: mail.ActionFailed, Outcome: mail.Permanent, Ours: mail.OursUnknown},
	},
	{
		ID: "c", Time: when, Origin: event.Origin{Format: "arf"},
		Body: &event.Complaint{Type: "abuse", Recipients: []string{"a@example.com"}, SourceIP: "192.0.2.1", Arrival: when, Count: 2},
	},
}

func TestWrittenAndReadBack(t *testing.T) {
	for _, e := range events {
		b, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		var back event.Event
		if err := json.Unmarshal(b, &back); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(back, e) {
			t.Errorf("%s came back as %+v of %+v", b, back, e)
		}
	}
}

// Guessing at an event from a later version would lose what it says.
func TestWhatCannotBeReadIsAnError(t *testing.T) {
	for in, want := range map[string]string{
		`{"schema":2,"id":"x","kind":"attempt","body":{}}`:    "schema 2",
		`{"schema":0,"id":"x","kind":"attempt","body":{}}`:    "schema 0",
		`{"schema":1,"id":"x","kind":"weather","body":{}}`:    `unknown kind "weather"`,
		`{"schema":1,"id":"x","kind":"attempt","body":[]}`:    "read event x",
		`{"schema":1,"id":"x","kind":"bounce"}`:               "read event x",
		`{"schema":1,"id":7,"kind":"attempt","body":{}}`:      "read event",
		`{"schema":1,"id":"x","kind":"complaint","body":"a"}`: "read event x",
	} {
		var e event.Event
		if err := json.Unmarshal([]byte(in), &e); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", in, err, want)
		}
	}
	if _, err := json.Marshal(event.Event{ID: "x"}); err == nil {
		t.Error("an event without a body was written")
	}
}

func TestIDIsStable(t *testing.T) {
	raw := []byte("3A2F1C0A7E: to=<usuario@yahoo.com>, status=deferred")
	id := event.ID("mx.example.com", raw, 0)
	if want := "O9S4QFGOE330ATOMQ53NDBFB"; id != want {
		t.Errorf("the id of this evidence is now %s and was %s: stored events would be counted twice", id, want)
	}
	for other, what := range map[string]string{
		event.ID("mx2.example.com", raw, 0):              "another host",
		event.ID("mx.example.com", raw, 1):               "another recipient",
		event.ID("mx.example.com", raw[1:], 0):           "another text",
		event.ID("mx.example.com3", raw[1:], 0):          "a byte moved from text to host",
		event.ID("mx.example.com", append(raw, '\n'), 0): "another line end",
	} {
		if other == id || len(other) != len(id) {
			t.Errorf("%s gives id %s, as %s", what, other, id)
		}
	}
}

func TestReplyThereAndBack(t *testing.T) {
	r := mail.ParseReply("550-5.7.26 one\r\n550 5.7.26 two")
	if back := event.FromReply(r).Mail(); !reflect.DeepEqual(back, r) {
		t.Errorf("%+v came back as %+v", r, back)
	}
	if back := event.FromReply(mail.Reply{}).Mail(); !reflect.DeepEqual(back, mail.Reply{}) {
		t.Errorf("no reply came back as %+v", back)
	}
}

func FuzzUnmarshal(f *testing.F) {
	for _, e := range events {
		b, err := json.Marshal(e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var e event.Event
		if json.Unmarshal(b, &e) != nil {
			return
		}
		one, err := json.Marshal(e)
		if err != nil {
			t.Fatalf("%s was read and cannot be written: %v", b, err)
		}
		var again event.Event
		if err := json.Unmarshal(one, &again); err != nil {
			t.Fatalf("%s cannot be read again: %v", one, err)
		}
		if two, err := json.Marshal(again); err != nil || string(two) != string(one) {
			t.Fatalf("%s became %s, %v", one, two, err)
		}
	})
}
