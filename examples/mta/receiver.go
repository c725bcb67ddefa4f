package mta

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"strings"
	"sync"
	"time"
)

// Receiver is a fake: it speaks SMTP (RFC 5321) as a receiving provider would,
// and says what its script tells it to say. It takes mail and forgets it.
type Receiver struct {
	Host       string   // its name in the banner and the reply to EHLO
	Extensions []string // of the reply to EHLO, without STARTTLS: "SIZE 1000", "PIPELINING", "DSN"
	TLS        bool     // offers STARTTLS, with a certificate that it has made itself
	Script     Script
	// Decide, if given, is asked before the script, for receivers that answer
	// otherwise at another time; false leaves it to the script. Of any goroutine.
	Decide func(stage, address string) (Answer, bool)
}

// Script says what is answered where it is not the ordinary answer. A key is a
// stage (banner, ehlo, starttls, tls, mail, rcpt, data, final) or a stage, a
// space and an address: of the sender at mail, of the recipient at rcpt, of the
// first recipient at data and final. The narrower key wins. At tls there is no
// reply: only Cut and Hold count, before the handshake.
type Script map[string]Answer

// Answer is what happens at one stage: wait, say, cut; each only if given.
type Answer struct {
	Hold  time.Duration // before all else; ended early by the client
	Reply string        // its lines are separated by "\n", each has its code: "550-no\n550 never"
	Cut   bool          // the connection, after the reply or without one
}

// Serve answers every connection until l is closed, and returns when the last
// one has ended.
func (r *Receiver) Serve(l net.Listener) error {
	var config *tls.Config
	if r.TLS {
		cert, err := selfSigned(r.Host)
		if err != nil {
			return fmt.Errorf("make a certificate: %w", err)
		}
		config = &tls.Config{Certificates: []tls.Certificate{cert}}
	}
	var all sync.WaitGroup
	defer all.Wait()
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("accept a connection: %w", err)
		}
		all.Go(func() {
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(time.Minute)) // no client is left hanging
			s := &session{receiver: r, conn: conn, in: bufio.NewReader(conn), config: config}
			s.run()
			if s.secure {
				_ = s.conn.Close() // says goodbye, which a mere end of TCP would not
			}
		})
	}
}

type session struct {
	receiver *Receiver
	conn     net.Conn
	in       *bufio.Reader
	config   *tls.Config
	secure   bool
	mail     bool
	rcpts    []string
}

// say gives the scripted answer for the stage, or the ordinary one, and whether
// the session goes on and the client's wish was granted.
func (s *session) say(stage, address, ordinary string) (more, granted bool) {
	a, ok := s.receiver.answer(stage, address)
	if a.Hold > 0 {
		s.hold(a.Hold)
	}
	reply := ordinary
	if ok && (a.Reply != "" || a.Cut) {
		reply = a.Reply
	}
	if reply != "" {
		if _, err := io.WriteString(s.conn, strings.ReplaceAll(reply, "\n", "\r\n")+"\r\n"); err != nil {
			return false, false
		}
	}
	return !a.Cut, reply != "" && (reply[0] == '2' || reply[0] == '3')
}

func (r *Receiver) answer(stage, address string) (Answer, bool) {
	address = strings.ToLower(address)
	if r.Decide != nil {
		if a, ok := r.Decide(stage, address); ok {
			return a, true
		}
	}
	if a, ok := r.Script[stage+" "+address]; ok {
		return a, true
	}
	a, ok := r.Script[stage]
	return a, ok
}

// hold waits until the client loses patience, at most for d.
func (s *session) hold(d time.Duration) {
	_ = s.conn.SetReadDeadline(time.Now().Add(d))
	_, _ = s.in.Peek(s.in.Buffered() + 1)
	_ = s.conn.SetDeadline(time.Now().Add(time.Minute))
}

func (s *session) run() {
	more, _ := s.say("banner", "", "220 "+s.receiver.Host+" ESMTP")
	for more {
		line, err := s.in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		verb, rest, _ := strings.Cut(line, " ")
		switch strings.ToUpper(verb) {
		case "EHLO":
			more, _ = s.say("ehlo", "", s.greeting())
		case "HELO":
			more, _ = s.say("ehlo", "", "250 "+s.receiver.Host)
		case "STARTTLS":
			more = s.startTLS()
		case "MAIL":
			s.rcpts = nil
			more, s.mail = s.say("mail", address(rest), "250 2.1.0 Sender ok")
		case "RCPT":
			more = s.rcpt(address(rest))
		case "DATA":
			more = s.data()
		case "RSET":
			s.mail, s.rcpts = false, nil
			more, _ = s.say("rset", "", "250 2.0.0 Reset")
		case "NOOP":
			more, _ = s.say("noop", "", "250 2.0.0 Ok")
		case "QUIT":
			_, _ = s.say("quit", "", "221 2.0.0 "+s.receiver.Host+" closing connection")
			return
		default:
			more, _ = s.say("other", "", "500 5.5.1 Command not recognized")
		}
	}
}

func (s *session) greeting() string {
	lines := append([]string{s.receiver.Host}, s.receiver.Extensions...)
	if s.config != nil && !s.secure {
		lines = append(lines, "STARTTLS")
	}
	last := len(lines) - 1
	for i := range lines {
		if i < last {
			lines[i] = "250-" + lines[i]
		} else {
			lines[i] = "250 " + lines[i]
		}
	}
	return strings.Join(lines, "\n")
}

func (s *session) startTLS() bool {
	if s.config == nil || s.secure {
		more, _ := s.say("other", "", "502 5.5.1 STARTTLS is not offered")
		return more
	}
	more, granted := s.say("starttls", "", "220 2.0.0 Ready to start TLS")
	if !more || !granted {
		return more
	}
	if a, ok := s.receiver.answer("tls", ""); ok {
		if a.Hold > 0 {
			s.hold(a.Hold)
		}
		if a.Cut {
			return false
		}
	}
	conn := tls.Server(s.conn, s.config)
	if conn.Handshake() != nil {
		return false
	}
	s.conn, s.in = conn, bufio.NewReader(conn)
	s.secure, s.mail, s.rcpts = true, false, nil
	return true
}

func (s *session) rcpt(to string) bool {
	if !s.mail {
		more, _ := s.say("other", "", "503 5.5.1 MAIL first")
		return more
	}
	more, granted := s.say("rcpt", to, "250 2.1.5 Recipient ok")
	if granted {
		s.rcpts = append(s.rcpts, to)
	}
	return more
}

func (s *session) data() bool {
	if len(s.rcpts) == 0 {
		more, _ := s.say("other", "", "503 5.5.1 RCPT first")
		return more
	}
	first := s.rcpts[0]
	more, granted := s.say("data", first, "354 End data with <CR><LF>.<CR><LF>")
	if !more || !granted {
		return more
	}
	for {
		line, err := s.in.ReadString('\n')
		if err != nil {
			return false
		}
		if strings.TrimRight(line, "\r\n") == "." {
			break
		}
	}
	s.mail, s.rcpts = false, nil
	more, _ = s.say("final", first, "250 2.0.0 Ok: queued")
	return more
}

// address reads the path out of "FROM:<a@b> SIZE=1".
func address(s string) string {
	_, s, ok := strings.Cut(s, "<")
	if !ok {
		return ""
	}
	s, _, _ = strings.Cut(s, ">")
	return s
}

func selfSigned(host string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()),
		Subject:      pkix.Name{CommonName: host},
		DNSNames:     []string{host},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(24 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
