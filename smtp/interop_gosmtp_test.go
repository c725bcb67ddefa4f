package smtp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-sasl"
	gosmtp "github.com/emersion/go-smtp"

	"github.com/postroad/postroad/mail"
)

// goBackend is go-smtp's server side of a session.
type goBackend struct {
	mu    sync.Mutex
	mails []goMail
}

type goMail struct {
	from    string
	options gosmtp.MailOptions
	to      []string
	content string
	user    string
}

func (b *goBackend) NewSession(*gosmtp.Conn) (gosmtp.Session, error) {
	return &goSession{backend: b}, nil
}

type goSession struct {
	backend *goBackend
	mail    goMail
}

func (s *goSession) AuthMechanisms() []string { return []string{"PLAIN"} }

func (s *goSession) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != "jane" || password != "secret" {
			return errors.New("no")
		}
		s.mail.user = user
		return nil
	}), nil
}

func (s *goSession) Mail(from string, o *gosmtp.MailOptions) error {
	s.mail.from, s.mail.options = from, *o
	return nil
}

func (s *goSession) Rcpt(to string, _ *gosmtp.RcptOptions) error {
	if strings.HasPrefix(to, "unknown@") {
		return &gosmtp.SMTPError{Code: 550, EnhancedCode: gosmtp.EnhancedCode{5, 1, 1}, Message: "nobody"}
	}
	s.mail.to = append(s.mail.to, to)
	return nil
}

func (s *goSession) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.mail.content = string(b)
	s.backend.mu.Lock()
	defer s.backend.mu.Unlock()
	s.backend.mails = append(s.backend.mails, s.mail)
	return nil
}

func (s *goSession) Reset()        { s.mail = goMail{user: s.mail.user} }
func (s *goSession) Logout() error { return nil }

// TestGoSMTPTakes sends to go-smtp's server with all that it offers, in clear and in TLS.
func TestGoSMTPTakes(t *testing.T) {
	for _, secure := range []bool{false, true} {
		for _, without := range [][]string{nil, {"CHUNKING"}, {"CHUNKING", "PIPELINING"}} {
			t.Run(fmt.Sprintf("TLS %t without %s", secure, without), func(t *testing.T) {
				backend := &goBackend{}
				s := gosmtp.NewServer(backend)
				s.Domain, s.AllowInsecureAuth, s.MaxRecipients, s.MaxMessageBytes = "mx.example", true, 1000, 64<<20
				s.EnableSMTPUTF8, s.EnableDSN = true, true
				s.TLSConfig = serverTLS(t)
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				done := make(chan error, 1)
				go func() { done <- s.Serve(l) }()
				goSMTPTakes(t, l.Addr().String(), backend, ClientOptions{Without: without, AuthClear: true, Transcript: 32 << 10}, secure)
				_ = s.Close()
				<-done
			})
		}
	}
}

func goSMTPTakes(t *testing.T, address string, backend *goBackend, o ClientOptions, secure bool) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	c := NewClient(conn, o)
	defer c.Close()
	if _, err = c.Greet(t.Context()); err == nil {
		_, err = c.Hello(t.Context(), "client.example.org")
	}
	if err == nil && secure {
		if err = c.StartTLS(t.Context(), clientTLS(t)); err == nil {
			_, err = c.Hello(t.Context(), "client.example.org")
		}
	}
	if err == nil {
		err = c.Auth(t.Context(), c.Mechanism(Credentials{User: "jane", Password: "secret"}))
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, c.Transcript())
	}
	var all []*Message
	for i, body := range []string{dots, large(1 << 20), "ä\r\n", "x\r\n"} {
		m := &Message{Mail: MailCommand{From: mail.Address{Local: "s", Domain: "example.org"}}, Content: strings.NewReader(farMail(fmt.Sprint(i), body))}
		for n := range 100 {
			m.To = append(m.To, &Recipient{RcptCommand: RcptCommand{To: mail.Address{Local: fmt.Sprint("r", n), Domain: "example.com"}}})
		}
		m.To[i].To.Local = "unknown"
		all = append(all, m)
	}
	if err := c.Send(t.Context(), all...); err != nil {
		t.Error(err)
	}
	if err := c.Quit(t.Context()); err != nil {
		t.Error(err)
	}
	if len(backend.mails) != len(all) {
		t.Fatalf("%d mails came\n%s", len(backend.mails), c.Transcript())
	}
	for i, got := range backend.mails {
		want, _ := io.ReadAll(io.NewSectionReader(all[i].Content, 0, all[i].Content.Size()))
		if got.content != string(want) || got.from != "s@example.org" || len(got.to) != 99 || got.user != "jane" || got.options.Size != int64(len(want)) {
			t.Errorf("mail %d: %d octets from %q to %d by %q", i, len(got.content), got.from, len(got.to), got.user)
		}
		for n, r := range all[i].To {
			if r.Delivered != (n != i) || n == i && r.Reply.Enhanced != (mail.Enhanced{Class: 5, Subject: 1, Detail: 1}) {
				t.Errorf("mail %d, recipient %d: %v %v", i, n, r.Reply, r.Err)
			}
		}
	}
}

// keepAll takes mail of whoever said the password, and keeps it.
type keepAll struct {
	taker
	user string
}

func (k *keepAll) Auth(_ context.Context, _ *Session, c Credentials) mail.Reply {
	if c.User == "jane" && c.Password == "secret" {
		k.user = c.User
		return mail.Reply{Code: 235}
	}
	return mail.Reply{}
}

// TestGoSMTPBrings has go-smtp's client send to our server.
func TestGoSMTPBrings(t *testing.T) {
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("TLS %t", secure), func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			k := &keepAll{taker: taker{came: make(chan struct{}, 10)}}
			ctx, cancel := context.WithCancel(t.Context())
			wait := serveAll(ctx, l, &ServerOptions{Host: "mx.example", TLS: serverTLS(t), Auth: []string{"PLAIN"}, AuthClear: true}, k)
			defer func() { l.Close(); cancel(); wait() }()
			goSMTPBrings(t, l.Addr().String(), k, secure)
		})
	}
}

func goSMTPBrings(t *testing.T, address string, k *keepAll, secure bool) {
	var c *gosmtp.Client
	var err error
	if secure {
		c, err = gosmtp.DialStartTLS(address, clientTLS(t))
	} else {
		c, err = gosmtp.Dial(address)
	}
	if err == nil {
		err = c.Auth(sasl.NewPlainClient("", "jane", "secret"))
	}
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for i, body := range []string{dots, large(1 << 20), "ä\r\n"} {
		content := farMail(fmt.Sprint(i), body)
		err := c.Mail("s@example.org", &gosmtp.MailOptions{Size: int64(len(content)), Body: gosmtp.Body8BitMIME, Return: gosmtp.DSNReturnHeaders,
			EnvelopeID: "QQ+314159 ="})
		if err != nil {
			t.Fatal(err)
		}
		for n := range 50 {
			if err := c.Rcpt(fmt.Sprintf("r%d@example.com", n), &gosmtp.RcptOptions{Notify: []gosmtp.DSNNotify{gosmtp.DSNNotifyNever}}); err != nil {
				t.Fatal(err)
			}
		}
		var refused *gosmtp.SMTPError
		if err := c.Rcpt("unknown@example.com", nil); !errors.As(err, &refused) || refused.Code != 550 || refused.EnhancedCode != (gosmtp.EnhancedCode{5, 1, 1}) {
			t.Errorf("unknown: %v", err)
		}
		w, err := c.Data()
		if err != nil {
			t.Fatal(err)
		}
		if _, err = io.WriteString(w, content); err == nil {
			err = w.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, content)
	}
	if err := c.Quit(); err != nil {
		t.Error(err)
	}
	if k.user != "jane" || len(k.taken) != len(want) {
		t.Fatalf("user %q, %d mails", k.user, len(k.taken))
	}
	for i, got := range k.taken {
		if got.content != want[i] || len(got.to) != 50 || got.tls != secure || got.from.EnvelopeID != "QQ+314159 =" ||
			got.from.Return != ReturnHeaders || got.to[0].Notify != NotifyNever || got.from.Body != BodyEight {
			t.Errorf("mail %d: %d octets, want %d; %+v to %d", i, len(got.content), len(want[i]), got.from, len(got.to))
		}
	}
}
