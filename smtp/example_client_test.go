package smtp_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/postroad/postroad/mail"
	"github.com/postroad/postroad/smtp"
)

// fussy is a server that knows one recipient.
type fussy struct{ smtp.Ordinary }

func (fussy) Rcpt(_ context.Context, _ *smtp.Session, c smtp.RcptCommand) mail.Reply {
	if c.To.Local != "jane" {
		return mail.Reply{Code: 550, Enhanced: mail.Enhanced{Class: 5, Subject: 1, Detail: 1}, Lines: []string{"nobody of this name"}}
	}
	return mail.Reply{}
}

// A session from the banner to QUIT, and what became of each recipient.
func ExampleClient() {
	ctx := context.Background()
	near, far := net.Pipe() // in life: net.Dialer.DialContext
	done := make(chan error)
	go func() { done <- smtp.Serve(ctx, far, &smtp.ServerOptions{Host: "mx.example.com"}, fussy{}) }()

	c := smtp.NewClient(near, smtp.ClientOptions{})
	_, err := c.Greet(ctx)
	if err == nil {
		_, err = c.Hello(ctx, "mail.example.org")
	}
	message := &smtp.Message{
		Mail:    smtp.MailCommand{From: mail.Address{Local: "news", Domain: "example.org"}},
		Content: strings.NewReader("Subject: hello\r\n\r\n.\r\n"),
	}
	for _, local := range []string{"jane", "joe"} {
		message.To = append(message.To, &smtp.Recipient{RcptCommand: smtp.RcptCommand{To: mail.Address{Local: local, Domain: "example.com"}}})
	}
	if err == nil {
		err = c.Send(ctx, message)
	}
	err = errors.Join(err, c.Quit(ctx), <-done)
	for _, r := range message.To {
		fmt.Println(r.To, r.Delivered, r.Stage, r.Reply)
	}
	fmt.Println(err)
	// Output:
	// jane@example.com true final 250 2.0.0 OK
	// joe@example.com false rcpt 550 5.1.1 nobody of this name
	// <nil>
}
