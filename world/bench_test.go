package world

import (
	"fmt"
	"strings"
	"testing"

	"github.com/postroad/postroad/mail"
	"github.com/postroad/postroad/smtp"
)

// BenchmarkSessions delivers one message a session, with and without TLS: what a
// world can take from a sender that is to be measured itself.
func BenchmarkSessions(b *testing.B) {
	for _, mode := range []Mode{Memory, Ports} {
		for _, plain := range []bool{true, false} {
			b.Run(fmt.Sprintf("mode=%d/plain=%v", mode, plain), func(b *testing.B) {
				w := begin(b, with(b, "", `do = "greylist"; delay = "1h"; recipients = ["nobody@post.example"]`), Options{Mode: mode})
				for i := 0; b.Loop(); i++ {
					if got := (delivery{plain: plain, id: fmt.Sprintf("<%d@bakery.example>", i)}).try(b.Context(), w); got != "delivered" {
						b.Fatal(got)
					}
				}
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "sessions/s")
			})
		}
	}
}

// BenchmarkMessages delivers many messages in one session.
func BenchmarkMessages(b *testing.B) {
	w := begin(b, with(b, "", `do = "throttle"; messages = 1000000000; per = "1h"`), Options{Mode: Ports})
	conn, err := w.Dial(b.Context(), "tcp", "mx.post.example:25")
	if err != nil {
		b.Fatal(err)
	}
	c := smtp.NewClient(conn, smtp.ClientOptions{})
	defer c.Close()
	if _, err := c.Greet(b.Context()); err != nil {
		b.Fatal(err)
	}
	if _, err := c.Hello(b.Context(), "mail.bakery.example"); err != nil {
		b.Fatal(err)
	}
	from, _ := mail.ParseAddress("orders@bakery.example")
	to, _ := mail.ParseAddress("anna@post.example")
	for sent := 0; b.Loop(); sent++ {
		m := &smtp.Message{Content: strings.NewReader(fmt.Sprintf("Message-ID: <%d@bakery.example>\r\n\r\nIt is ready.\r\n", sent)),
			To: []*smtp.Recipient{{RcptCommand: smtp.RcptCommand{To: to}}}}
		m.Mail.From = from
		if err := c.Send(b.Context(), m); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}
