package smtp

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postroad/postroad/examples/mta"
	"github.com/postroad/postroad/mail"
)

const (
	farHost   = "mail.contoso.example" // the real servers' own name
	farDomain = "contoso.example"
)

// openCell makes a place for real mail servers, or skips aloud.
func openCell(t *testing.T, zone string) (context.Context, *mta.Cell) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts real mail servers")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	cell := mta.Try(ctx, t, mta.Options{Host: farHost, Zone: zone})
	return ctx, cell
}

// rsaCertificate is one of RSA, which also those servers can use that keep their keys in a process
// of their own.
var rsaCertificate = sync.OnceValues(func() (tls.Certificate, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: farHost}, DNSNames: []string{farHost}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, err
	}
	leaf, err := x509.ParseCertificate(der)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, err
})

// pemOf gives it in files' form.
func pemOf(t *testing.T) (certificate, key string) {
	t.Helper()
	c, err := rsaCertificate()
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// farTLS trusts it.
func farTLS(t *testing.T) *tls.Config {
	t.Helper()
	c, err := rsaCertificate()
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(c.Leaf)
	return &tls.Config{RootCAs: pool, ServerName: farHost, MinVersion: tls.VersionTLS12}
}

// farMail is content that is hard to carry, or large, with what no server has to add.
func farMail(id, body string) string {
	return "Date: Sat, 21 Nov 2026 10:00:00 +0000\r\nFrom: s@example.org\r\nTo: a@" + farDomain + "\r\nMessage-ID: <" + id +
		"@example.org>\r\nSubject: " + id + "\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n" +
		"Content-Transfer-Encoding: 8bit\r\n\r\n" + body
}

// dots are all the places in which a dot can be mistaken for the end.
const dots = ".\r\n..\r\n...\r\n.\r\n\r\n.a\r\na.\r\n \t.\r\n\r\n\r\n.. \r\n. .\r\nFrom s@example.org\r\nQUIT\r\n.\r\n.\r\n"

func large(size int) string {
	const line = "A line of some seventy octets, as most of the lines in mail are, ä at times.\r\n"
	return strings.Repeat(line, size/len(line)+1)
}

// target is a real server that our client speaks to.
type target struct {
	address string
	lmtp    bool
	secure  bool
	without []string
	offers  []string // that it must offer in the end
	refuses string   // a local part that it refuses at RCPT, "" none
	full    string   // a local part that it refuses after the content (LMTP), "" none
	quoted  bool     // it takes a quoted local part
	inboxes string   // where mail arrives, a pattern for Cell.Path with %s for the local part
}

// connect leads a session up to its last EHLO.
func (x target) connect(ctx context.Context, t *testing.T, cell *mta.Cell) *Client {
	t.Helper()
	conn, err := cell.Dial(ctx, "127.0.0.1", x.address)
	if err != nil {
		t.Fatal(err)
	}
	c := NewClient(conn, ClientOptions{LMTP: x.lmtp, Without: x.without, Transcript: 64 << 10,
		Timeouts: Timeouts{Banner: 20 * time.Second, Mail: 20 * time.Second, Rcpt: 20 * time.Second, Final: 30 * time.Second}})
	if _, err = c.Greet(ctx); err == nil {
		_, err = c.Hello(ctx, "client.example.org")
	}
	if err == nil && x.secure {
		if err = c.StartTLS(ctx, farTLS(t)); err == nil {
			_, err = c.Hello(ctx, "client.example.org")
		}
	}
	if err != nil {
		_ = c.Close()
		t.Fatalf("%v\n%s", err, c.Transcript())
	}
	return c
}

// farMessages are the messages of a run, to users of the far domain.
func (x target) farMessages(run string) []*Message {
	to := func(local string) *Recipient {
		return &Recipient{RcptCommand: RcptCommand{To: mail.Address{Local: local, Domain: farDomain}, Notify: NotifyFailure,
			OriginalType: "rfc822", Original: local + "+x@" + farDomain}}
	}
	message := func(id, body string, locals ...string) *Message {
		m := &Message{Mail: MailCommand{From: mail.Address{Local: "s", Domain: "example.org"}, Return: ReturnHeaders, EnvelopeID: "QQ+" + id},
			Content: strings.NewReader(farMail(run+"-"+id, body))}
		for _, local := range locals {
			m.To = append(m.To, to(local))
		}
		return m
	}
	first := []string{"a"}
	if x.refuses != "" {
		first = append(first, x.refuses)
	}
	if x.full != "" {
		first = append(first, x.full)
	}
	all := []*Message{message("dots", dots, append(first, "b")...), message("large", large(1<<20), "a"),
		message("end", "no end of the last line", "b")}
	if x.refuses != "" {
		all = append(all, message("nobody", "x\r\n", x.refuses))
	}
	if x.quoted {
		all = append(all, message("quoted", "x\r\n", `"q. u\"o\\ted"`))
	}
	return append(all, message("last", "ä\r\n", "a"))
}

// run sends all messages in one call and looks for them at the far end.
func (x target) run(ctx context.Context, t *testing.T, cell *mta.Cell, name string) {
	c := x.connect(ctx, t, cell)
	defer c.Close()
	for _, keyword := range x.offers {
		if !c.Offered().Has(keyword) {
			t.Errorf("it does not offer %s: %v", keyword, c.Offered())
		}
	}
	if x.secure && (c.TLS() == nil || len(c.TLS().VerifiedChains) == 0) {
		t.Errorf("TLS %+v", c.TLS())
	}
	messages := x.farMessages(name)
	if err := c.Send(ctx, messages...); err != nil {
		t.Errorf("send: %v", err)
	}
	if err := c.Quit(ctx); err != nil {
		t.Errorf("quit: %v", err)
	}
	for i, m := range messages {
		for _, r := range m.To {
			refused, full := r.To.Local == x.refuses, r.To.Local == x.full
			switch {
			case refused && (r.Delivered || r.Stage != mail.StageRcpt || r.Reply.Code/100 != 5),
				full && (r.Delivered || r.Stage != mail.StageFinal || r.Reply.Code < 400),
				!refused && !full && !r.Delivered:
				t.Errorf("message %d to %s: delivered %t, %s: %v %v", i, r.To, r.Delivered, r.Stage, r.Reply, r.Err)
			case r.Delivered:
				x.arrived(ctx, t, cell, r.To.Local, m)
			}
		}
	}
	if t.Failed() {
		t.Logf("\n%s", c.Transcript())
	}
}

// arrived compares what lies in the Maildir with what was sent: all servers add lines before it,
// and none changes one.
func (x target) arrived(ctx context.Context, t *testing.T, cell *mta.Cell, local string, m *Message) {
	t.Helper()
	b, err := io.ReadAll(io.NewSectionReader(m.Content, 0, m.Content.Size()))
	if err != nil {
		t.Fatal(err)
	}
	want := strings.ReplaceAll(string(b), "\r\n", "\n")
	if !strings.HasSuffix(want, "\n") {
		want += "\n"
	}
	subject := want[strings.Index(want, "\nSubject:"):]
	subject = subject[:strings.Index(subject[1:], "\n")+2]
	pattern := cell.Path("mail/inbox/new/*")
	if x.inboxes != "" {
		pattern = cell.Path(fmt.Sprintf(x.inboxes, local))
	}
	for ctx.Err() == nil {
		files, _ := filepath.Glob(pattern)
		for _, f := range files {
			got, _ := os.ReadFile(f)
			if !strings.Contains(string(got), subject) {
				continue
			}
			if text := strings.ReplaceAll(string(got), "\r\n", "\n"); !strings.HasSuffix(text, want) {
				t.Errorf("%s: %d octets arrived, %d were sent; the end is\n%.300q", strings.TrimSpace(subject), len(text), len(want),
					text[max(0, len(text)-300):])
			}
			return
		}
		pause(20 * time.Millisecond)
	}
	t.Errorf("%s did not arrive", strings.TrimSpace(subject))
}

func (x target) variants() map[string]target {
	bare, slow := x, x
	bare.without, slow.without = []string{"CHUNKING"}, []string{"CHUNKING", "PIPELINING"}
	return map[string]target{"all": x, "DATA": bare, "step": slow}
}

func runTargets(ctx context.Context, t *testing.T, cell *mta.Cell, targets map[string]target) {
	for name, x := range targets {
		for how, v := range x.variants() {
			t.Run(name+" "+how, func(t *testing.T) { v.run(ctx, t, cell, name+"-"+how) })
		}
	}
}

func TestPostfixTakes(t *testing.T) {
	ctx, cell := openCell(t, "")
	certificate, key := pemOf(t)
	writePEM(t, cell, "etc/postfix/own", certificate, key, 0)
	_, err := mta.StartPostfix(ctx, cell, mta.Setup{Host: farHost, Domain: farDomain, Main: map[string]string{
		"smtpd_tls_security_level": "may", "smtpd_tls_cert_file": "/etc/postfix/own.pem", "smtpd_tls_key_file": "/etc/postfix/own.key",
		"smtpd_recipient_restrictions": "check_recipient_access inline:{unknown@" + farDomain + "=REJECT}, permit_mynetworks, reject",
		"smtpd_relay_restrictions":     "permit_mynetworks, reject", "smtpd_client_connection_rate_limit": "0",
	}})
	if err != nil {
		t.Fatal(err)
	}
	offers := []string{"PIPELINING", "SIZE", "8BITMIME", "DSN", "CHUNKING", "ENHANCEDSTATUSCODES"}
	runTargets(ctx, t, cell, map[string]target{
		"clear": {address: "127.0.0.1:25", offers: append(offers, "STARTTLS"), refuses: "unknown", quoted: true},
		"TLS":   {address: "127.0.0.1:25", offers: offers, refuses: "unknown", quoted: true, secure: true},
	})
}

// TestPostfixIsIntroduced: what PROXY and XCLIENT say of the client stands in Postfix's Received field.
func TestPostfixIsIntroduced(t *testing.T) {
	ctx, cell := openCell(t, "localhost. A 127.0.0.1\n")
	_, err := mta.StartPostfix(ctx, cell, mta.Setup{Host: farHost, Domain: farDomain, Main: map[string]string{
		"inet_protocols": "all", "smtpd_upstream_proxy_protocol": "haproxy", "smtpd_authorized_xclient_hosts": "203.0.113.9",
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		version int
		source  string
		xclient map[string]string
		want    string
	}{
		{"v1", 1, "203.0.113.7:4711", nil, "from client.example.org (unknown [203.0.113.7])"},
		{"v2", 2, "203.0.113.8:4711", nil, "from client.example.org (unknown [203.0.113.8])"},
		{"xclient", 2, "203.0.113.9:4711", map[string]string{"NAME": "spammer.example", "ADDR": "198.51.100.77", "HELO": "he.example", "LOGIN": "jane+doe"},
			"from he.example (spammer.example [198.51.100.77])"},
		{"xclient-v6", 2, "203.0.113.9:4711", map[string]string{"NAME": "six.example", "ADDR": "2001:db8::77", "HELO": "he.example"},
			"from he.example (six.example [IPv6:2001:db8::77])"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, err := cell.Dial(ctx, "127.0.0.1", "127.0.0.1:25")
			if err != nil {
				t.Fatal(err)
			}
			client := NewClient(conn, ClientOptions{Transcript: 8 << 10})
			defer client.Close()
			err = client.ProxyHeader(ctx, c.version, netip.MustParseAddrPort(c.source), netip.MustParseAddrPort("198.51.100.25:25"))
			if err == nil {
				_, err = client.Greet(ctx)
			}
			if err == nil {
				_, err = client.Hello(ctx, "client.example.org")
			}
			if err == nil && c.xclient != nil {
				if err = client.XClient(ctx, c.xclient); err == nil {
					_, err = client.Hello(ctx, c.xclient["HELO"])
				}
			}
			m := readMessage(t, "a", farMail("introduced-"+c.name, "x\r\n"))
			m.To[0].To.Domain = farDomain
			if err == nil {
				err = client.Send(ctx, m)
			}
			if err != nil || !m.To[0].Delivered {
				t.Fatalf("%v, %v\n%s", err, m.To[0].Err, client.Transcript())
			}
			_ = client.Quit(ctx)
			raw, err := cell.WaitMail(ctx, func(raw string) bool { return strings.Contains(raw, "Subject: introduced-"+c.name+"\n") })
			if err != nil || !strings.Contains(raw, c.want) {
				t.Errorf("%v: no %q in\n%s", err, c.want, raw)
			}
		})
	}
}

// writePEM writes certificate and key where the owner of a server may read them.
func writePEM(t *testing.T, cell *mta.Cell, name, certificate, key string, mode os.FileMode) {
	t.Helper()
	err := errors.Join(cell.WriteFile(name+".pem", certificate), cell.WriteFile(name+".key", key))
	if mode != 0 {
		err = errors.Join(err, os.Chmod(cell.Path(name+".key"), mode))
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestEximTakes(t *testing.T) {
	ctx, cell := openCell(t, "")
	certificate, key := pemOf(t)
	writePEM(t, cell, "etc/exim4/own", certificate, key, 0o644) // read by a user of its own
	x, err := mta.SetUpExim(ctx, cell, mta.Setup{Host: farHost, Domain: farDomain, Main: map[string]string{
		"tls_advertise_hosts": "*", "tls_certificate": "/etc/exim4/own.pem", "tls_privatekey": "/etc/exim4/own.key",
		"dsn_advertise_hosts": "*", "smtp_accept_max_per_host": "0",
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := x.Listen(ctx, 25); err != nil {
		t.Fatal(err)
	}
	offers := []string{"PIPELINING", "SIZE", "8BITMIME", "DSN", "CHUNKING"}
	runTargets(ctx, t, cell, map[string]target{
		"clear": {address: "127.0.0.1:25", offers: append(offers, "STARTTLS"), quoted: true},
		"TLS":   {address: "127.0.0.1:25", offers: offers, quoted: true, secure: true},
	})
}

func TestOpenSMTPDTakes(t *testing.T) {
	ctx, cell := openCell(t, "")
	// In clear only: Debian's OpenSMTPD 6.8 keeps its key in another process by means that OpenSSL 3 does
	// not honour, and fails each handshake.
	_, err := mta.StartOpenSMTPD(ctx, cell, mta.Setup{Host: farHost, Domain: farDomain}, 2525, []string{"a", "b"})
	if errors.Is(err, mta.ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	offers := []string{"SIZE", "8BITMIME", "DSN", "ENHANCEDSTATUSCODES"}
	runTargets(ctx, t, cell, map[string]target{
		"clear": {address: "127.0.0.1:2525", offers: offers, refuses: "unknown"},
	})
}

func TestDovecotTakes(t *testing.T) {
	ctx, cell := openCell(t, "")
	certificate, key := pemOf(t)
	_, err := mta.StartDovecot(ctx, cell, mta.Setup{Host: farHost, Domain: farDomain}, 24, []string{"a", "b", "full"}, certificate, key)
	if errors.Is(err, mta.ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	offers := []string{"PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES", "CHUNKING"}
	runTargets(ctx, t, cell, map[string]target{
		"clear": {address: "127.0.0.1:24", lmtp: true, offers: append(offers, "STARTTLS"), refuses: "unknown", full: "full", inboxes: "mail/%s/new/*"},
		"TLS":   {address: "127.0.0.1:24", lmtp: true, offers: offers, refuses: "unknown", full: "full", secure: true, inboxes: "mail/%s/new/*"},
	})
}

// taker keeps all that real clients bring.
type taker struct {
	Ordinary
	mu    sync.Mutex
	taken []taken
	came  chan struct{}
}

type taken struct {
	from    MailCommand
	to      []RcptCommand
	content string
	tls     bool
}

func (k *taker) Rcpt(_ context.Context, _ *Session, c RcptCommand) mail.Reply {
	if c.To.Local == "unknown" {
		return mail.Reply{Code: 550, Enhanced: mail.Enhanced{Class: 5, Subject: 1, Detail: 1}, Lines: []string{"nobody of this name"}}
	}
	return mail.Reply{}
}

func (k *taker) Message(_ context.Context, s *Session, content io.Reader) []mail.Reply {
	b, err := io.ReadAll(content)
	if err != nil {
		return nil
	}
	k.mu.Lock()
	k.taken = append(k.taken, taken{*s.Sender, s.Recipients, string(b), s.TLS != nil})
	k.mu.Unlock()
	k.came <- struct{}{}
	return nil
}

// serveAll leads a session for each connection until l is closed.
func serveAll(ctx context.Context, l net.Listener, o *ServerOptions, h Handler) (wait func()) {
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { _ = Serve(ctx, conn, o, h) })
		}
	})
	return all.Wait
}

// TestPostfixAndEximBring has real clients send to our server: with everything offered and with
// next to nothing.
func TestPostfixAndEximBring(t *testing.T) {
	ctx, cell := openCell(t, "all.example. MX 10 mx.all.example.\nmx.all.example. A 192.0.2.10\n"+
		"bare.example. MX 10 mx.bare.example.\nmx.bare.example. A 192.0.2.11\n")
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	k := &taker{came: make(chan struct{}, 100)}
	for address, o := range map[string]*ServerOptions{
		"192.0.2.10:25": {Host: "mx.all.example", TLS: serverTLS(t)},
		"192.0.2.11:25": {Host: "mx.bare.example", Without: []string{"PIPELINING", "CHUNKING", "DSN", "SMTPUTF8", "SIZE"}},
	} {
		l, err := cell.Listen("tcp4", address)
		if err != nil {
			t.Fatal(err)
		}
		wait := serveAll(ctx, l, o, k)
		defer func() { l.Close(); cancel(); wait() }()
	}
	postfix, err := mta.StartPostfix(ctx, cell, mta.Setup{Host: farHost, Domain: farDomain})
	if err != nil {
		t.Fatal(err)
	}
	exim, err := mta.SetUpExim(ctx, cell, mta.Setup{Host: farHost, Domain: farDomain,
		SMTP: map[string]string{"dnssec_request_domains": ""}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, to, body string
		bring          func(ctx context.Context, from, to, message string, args ...string) error
		args           []string
		secure         bool
	}{
		{"postfix-all", "all.example", dots, postfix.Submit, []string{"-N", "success,delay", "-V", "QQ42"}, true},
		{"postfix-large", "all.example", large(1 << 20), postfix.Submit, nil, true},
		{"postfix-bare", "bare.example", dots, postfix.Submit, nil, false},
		{"exim-all", "all.example", dots, exim.Submit, nil, true},
		{"exim-large", "all.example", large(1 << 20), exim.Submit, nil, true},
		{"exim-bare", "bare.example", dots, exim.Submit, nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := strings.ReplaceAll(farMail(c.name, c.body), "\r\n", "\n")
			if err := c.bring(ctx, "s@"+farDomain, `"q. u"@`+c.to, text, c.args...); err != nil {
				t.Fatal(err)
			}
			select {
			case <-k.came:
			case <-ctx.Done():
				t.Fatal("nothing came")
			}
			k.mu.Lock()
			got := k.taken[len(k.taken)-1]
			k.mu.Unlock()
			if !strings.HasSuffix(got.content, "\r\n\r\n"+c.body) || !strings.Contains(got.content, "Subject: "+c.name) {
				t.Errorf("%d octets came, their end is\n%.300q", len(got.content), got.content[max(0, len(got.content)-300):])
			}
			if got.tls != c.secure || len(got.to) != 1 || got.to[0].To != (mail.Address{Local: `"q. u"`, Domain: c.to}) ||
				got.from.From != (mail.Address{Local: "s", Domain: farDomain}) {
				t.Errorf("TLS %t, %+v", got.tls, got)
			}
			if c.args != nil && (got.to[0].Notify != NotifySuccess|NotifyDelay || got.from.EnvelopeID != "QQ42") {
				t.Errorf("DSN %v, %q", got.to[0].Notify, got.from.EnvelopeID)
			}
		})
	}
	// A refusal of ours comes back as their bounce.
	if err := postfix.Submit(ctx, "s@"+farDomain, "unknown@all.example", farMail("refused", "x\n")); err != nil {
		t.Fatal(err)
	}
	bounce, err := cell.WaitMail(ctx, func(raw string) bool { return strings.Contains(raw, "Final-Recipient: rfc822; unknown@all.example") })
	if err != nil || !strings.Contains(bounce, "5.1.1") || !strings.Contains(bounce, "nobody of this name") {
		t.Errorf("%v: %s", err, bounce)
	}
}
