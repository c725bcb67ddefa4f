package smtp_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"

	"github.com/postroad/postroad/mail"
	"github.com/postroad/postroad/smtp"
)

// mailbox takes mail for one address and leaves the rest to smtp.Ordinary.
type mailbox struct {
	smtp.Ordinary
	address string
	kept    *string
}

func (m mailbox) Rcpt(_ context.Context, _ *smtp.Session, c smtp.RcptCommand) mail.Reply {
	if c.To.Key() != m.address {
		return mail.Reply{Code: 550, Enhanced: mail.Enhanced{Class: 5, Subject: 1, Detail: 1}, Lines: []string{"no such mailbox"}}
	}
	return mail.Reply{} // the ordinary answer
}

func (m mailbox) Message(_ context.Context, s *smtp.Session, content io.Reader) []mail.Reply {
	text, err := io.ReadAll(content)
	if err != nil {
		return nil // it is no message, and no reply will be sent
	}
	*m.kept = fmt.Sprintf("for %s from %s: %q", s.Recipients[0].To, s.Sender.From, text)
	return []mail.Reply{{Code: 250, Lines: []string{"kept"}}}
}

func ExampleServe() {
	client, server := net.Pipe()
	done := make(chan error)
	var kept string
	go func() {
		h := mailbox{address: "b@mx.example", kept: &kept}
		done <- smtp.Serve(context.Background(), server, &smtp.ServerOptions{Host: "mx.example"}, h)
	}()
	go func() {
		for _, text := range []string{
			"HELO c.example\r\nMAIL FROM:<a@c.example>\r\nRCPT TO:<x@mx.example>\r\nRCPT TO:<b@mx.example>\r\nDATA\r\n",
			"..\r\n.\r\nQUIT\r\n",
		} {
			if _, err := io.WriteString(client, text); err != nil {
				return
			}
		}
	}()
	for replies := bufio.NewScanner(client); replies.Scan(); {
		fmt.Println(replies.Text())
	}
	err := <-done
	fmt.Println(kept, err)
	// Output:
	// 220 mx.example ESMTP
	// 250 mx.example
	// 250 2.1.0 OK
	// 550 5.1.1 no such mailbox
	// 250 2.1.5 OK
	// 354 end with <CRLF>.<CRLF>
	// 250 kept
	// 221 2.0.0 mx.example closing
	// for b@mx.example from a@c.example: ".\r\n" <nil>
}
