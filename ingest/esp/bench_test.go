package esp

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/postroad/postroad/event"
)

// pile writes n messages in a form.
func pile(b *testing.B, form string, n int) []byte {
	b.Helper()
	if _, err := os.Stat(filepath.Join("testdata/forms", form)); err != nil {
		b.Fatal(err)
	}
	all := ten()
	for len(all) < n {
		all = append(all, all[:min(10, n-len(all))]...)
	}
	text, _ := write(b, filepath.Join("testdata/forms", form), all)
	return text
}

// BenchmarkRead measures records a second, all there is to do included: the
// framing, the parsing, the event with its id.
func BenchmarkRead(b *testing.B) {
	for _, form := range []string{"mailgun-webhooks", "sendgrid-webhook", "ses-firehose", "kumomta", "sendgrid-activity-csv"} {
		b.Run(form, func(b *testing.B) {
			text := pile(b, form+".tmpl", 2000)
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				err := Read(bytes.NewReader(text), Options{Now: now}, func(*event.Event) error { n++; return nil })
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

// BenchmarkUnmarshal is the peer: encoding/json alone, into a value of no form
// and into a struct, without framing and without making events.
func BenchmarkUnmarshal(b *testing.B) {
	text := bytes.TrimSpace(pile(b, "mailgun-webhooks.tmpl", 2000))
	lines := bytes.Split(text, []byte("\n"))
	run := func(b *testing.B, into func() any) {
		b.SetBytes(int64(len(text)))
		b.ReportAllocs()
		n := 0
		for b.Loop() {
			for _, l := range lines {
				if err := json.Unmarshal(l, into()); err != nil {
					b.Fatal(err)
				}
				n++
			}
		}
		b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "records/s")
	}
	b.Run("any", func(b *testing.B) { run(b, func() any { return new(any) }) })
	b.Run("struct", func(b *testing.B) {
		run(b, func() any {
			return new(struct {
				Data struct {
					Event, Severity, Recipient, ID string
					Timestamp                      float64
					Envelope                       struct{ Sender, SendingIP string }
					Message                        struct{ Headers map[string]string }
					Status                         struct {
						Host    string `json:"mx-host"`
						Message string
						Code    int
						Attempt int `json:"attempt-no"`
					} `json:"delivery-status"`
				} `json:"event-data"`
			})
		})
	})
}
