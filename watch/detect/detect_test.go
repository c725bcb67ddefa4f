package detect

import (
	"testing"

	"github.com/postroad/postroad/mail"
)

func TestOutageIsFound(t *testing.T) {
	d := New(Options{})
	now := 1_700_000_000 * second
	send := func(p ID, n int, class mail.Class) {
		for range n {
			now += 40 * minute
			o := Observation{Time: now, Message: mix(uint64(now)), Recipient: mix(uint64(now) + 1), Provider: p, Outcome: mail.Delivered}
			if class != "" {
				o.Outcome, o.Class = mail.Temporary, class
			}
			d.Observe(&o)
		}
	}
	send(1, 500, "")
	from := now
	send(1, 6, mail.Transport)
	i := d.Incidents()
	if len(i) != 1 || i[0].Began() <= from || i[0].Spans[0].Sufficed > 4 || !i[0].Open() || i[0].Class != mail.Transport {
		t.Fatalf("%+v", i)
	}
	send(1, 30, "")
	if i = d.Incidents(); len(i) != 1 || i[0].Open() || i[0].Ended() < i[0].Detected() {
		t.Fatalf("%+v", i)
	}
}
