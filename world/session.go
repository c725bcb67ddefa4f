package world

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/postroad/postroad/mail"
	"github.com/postroad/postroad/smtp"
)

// session is one client at one address of a host: it asks the tempers at each
// stage, does what they say and tells the ledger.
type session struct {
	smtp.Ordinary
	world    *World
	provider *Provider
	place    *place
	conn     *conn
	number   uint64
	source   netip.Addr
	ended    bool // by a temper: what the client does then is not its doing
}

var (
	errCutThere = errors.New("cut in the handshake")
	_           = smtp.Handler(&session{})
)

// facts gives what is known at a stage.
func (s *session) facts(stage mail.Stage, x *smtp.Session) *facts {
	f := &facts{start: s.world.clock.Start(), now: s.world.clock.Now(), seed: s.world.scenario.Seed, session: s.number,
		host: s.place.host.Name, address: s.place.address, source: s.source, stage: stage}
	if x == nil {
		return f
	}
	f.tls, f.messages = x.TLS != nil, x.Messages
	if x.Sender != nil {
		f.sender, f.known = x.Sender.From, true
	}
	for _, r := range x.Recipients {
		f.to = append(f.to, r.To)
	}
	return f
}

// event begins the record of something that happens in the session.
func (s *session) event(kind Kind, stage mail.Stage, x *smtp.Session) Event {
	e := Event{Time: s.world.clock.Now(), Kind: kind, Session: s.number, Provider: s.provider.ID, Host: s.place.host.Name,
		Address: s.place.address, Source: s.source, Stage: stage}
	if x == nil {
		return e
	}
	e.Hello, e.User = x.HelloName, x.User
	if x.TLS != nil {
		e.TLS = tls.VersionName(x.TLS.Version)
	}
	if x.Sender != nil {
		e.Sender = x.Sender.From.String()
	}
	return e
}

// refused records a refusal, of all recipients that it concerns.
func (s *session) refused(f *facts, x *smtp.Session, r mail.Reply, reason, messageID string) {
	e := s.event(Refused, f.stage, x)
	e.Code, e.Text, e.Reason, e.MessageID = r.Code, r.Text(), reason, messageID
	e.Sender = f.sender.String()
	s.record(e, f)
}

// record writes one line, or one for each recipient.
func (s *session) record(e Event, f *facts) {
	to := f.to
	if !f.recipient.IsNull() {
		to = []mail.Address{f.recipient}
	}
	if len(to) == 0 {
		s.world.ledger.record(e)
	}
	for _, a := range to {
		e.Recipient = a.Key()
		s.world.ledger.record(e)
	}
}

// pass asks the tempers and does what they say. granted is false where the
// stage ends with the reply, or with the connection; the zero reply and granted
// is the ordinary answer.
func (s *session) pass(ctx context.Context, f *facts, x *smtp.Session) (r mail.Reply, granted bool) {
	v := s.world.decide(s.provider, f)
	s.conn.slow(v.rate)
	_ = s.world.clock.Sleep(ctx, v.delay)
	if v.temper == nil {
		return r, true
	}
	switch v.temper.Do {
	case doCut, doHang:
		return s.silent(ctx, v.temper, f, x)
	}
	s.refused(f, x, v.reply, v.reason, "")
	s.closing(v.temper)
	return v.reply, false
}

// closing has the connection end after a reply. After 421 package smtp ends it, so
// that the client hears the last word also if it was talking meanwhile.
func (s *session) closing(t *Temper) {
	if t.Close && t.reply.Code != 421 {
		s.conn.then(closeAfter)
	}
}

// silent cuts or hangs. The record comes first: who sees the connection end may
// look at the truth at once.
func (s *session) silent(ctx context.Context, t *Temper, f *facts, x *smtp.Session) (r mail.Reply, granted bool) {
	s.ended = t.For == 0
	kind, end := Cut, closeAfter
	if t.Do == doHang {
		kind, end = Hung, hangAfter
	}
	e := s.event(kind, f.stage, x)
	e.Reason, e.Sender = t.Name, f.sender.String()
	s.record(e, f)
	switch {
	case t.After:
		s.conn.then(end)
		return r, true
	case kind == Cut:
		if x != nil {
			x.Cut()
		} else {
			_ = s.conn.Close()
		}
		return r, false
	}
	return r, s.hang(ctx, t) == nil && t.For > 0
}

func (s *session) hang(ctx context.Context, t *Temper) error {
	if t.For > 0 {
		return s.world.clock.Sleep(ctx, time.Duration(t.For))
	}
	<-ctx.Done()
	return context.Cause(ctx)
}

// Connect comes before the banner.
func (s *session) Connect(ctx context.Context, x *smtp.Session) mail.Reply {
	r, granted := s.pass(ctx, s.facts(mail.StageBanner, x), x)
	if granted {
		r = mail.Reply{Code: 220, Lines: []string{s.place.host.Banner + " ESMTP"}}
	}
	return r
}

// Hello adds the provider's own extensions.
func (s *session) Hello(ctx context.Context, x *smtp.Session, name string, extended bool) mail.Reply {
	before := *x
	before.HelloName = name
	r, granted := s.pass(ctx, s.facts(mail.StageEHLO, x), &before)
	if !granted {
		return r
	}
	r = mail.Reply{Code: 250, Lines: []string{s.place.host.Banner}}
	if extended {
		r.Lines = append(r.Lines, s.provider.Extra...)
	}
	return r
}

// StartTLS comes before the handshake.
func (s *session) StartTLS(ctx context.Context, x *smtp.Session) mail.Reply {
	r, _ := s.pass(ctx, s.facts(mail.StageSTARTTLS, x), x)
	return r
}

// handshake is the server's side of TLS, with its troubles.
func (s *session) handshake(ctx context.Context, under net.Conn, _ *tls.Config) (net.Conn, error) {
	f := s.facts(mail.StageTLS, nil)
	v := s.world.decide(s.provider, f)
	s.conn.slow(v.rate)
	_ = s.world.clock.Sleep(ctx, v.delay)
	if v.temper != nil && !v.temper.After {
		if _, goes := s.silent(ctx, v.temper, f, nil); !goes {
			return nil, errCutThere
		}
	}
	kind, why := certRight, "handshake"
	if t := s.world.current(s.provider, f, doCertificate); t != nil {
		kind, why = t.Certificate, t.Name
	}
	config, err := s.world.authority.config(s.place.host.Name, kind)
	if err != nil {
		return nil, err
	}
	config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		f := s.facts(stageHello, nil)
		v := s.world.decide(s.provider, f)
		if v.temper != nil {
			if _, goes := s.silent(ctx, v.temper, f, nil); !goes {
				return nil, errCutThere
			}
		}
		return nil, nil // crypto/tls: go on with the same configuration
	}
	secure, err := smtp.ServerHandshake(ctx, under, config)
	if err != nil {
		e := s.event(Lost, mail.StageTLS, nil)
		e.Reason, e.Text = why, "the client broke off the handshake: "+err.Error()
		if !s.ended {
			s.world.ledger.record(e)
		}
		return nil, err
	}
	if v.temper != nil { // after the handshake
		e := s.event(Cut, mail.StageTLS, nil)
		e.Reason = v.reason
		if v.temper.Do == doHang {
			e.Kind = Hung
		}
		s.world.ledger.record(e)
		if v.temper.Do == doCut {
			_ = s.conn.Close()
			return nil, errCutThere
		}
		if s.hang(ctx, v.temper) != nil {
			return nil, errCutThere
		}
	}
	return secure, nil
}

// Auth judges a password. MX hosts do not offer AUTH.
func (s *session) Auth(ctx context.Context, x *smtp.Session, c smtp.Credentials) mail.Reply {
	f := s.facts(mail.StageAuth, x)
	if r, granted := s.pass(ctx, f, x); !granted {
		return r
	}
	if password, known := s.provider.Users[c.User]; known && password == c.Password {
		return mail.Reply{Code: 235, Enhanced: mail.Enhanced{Class: 2, Subject: 7}, Lines: []string{"Authentication successful"}}
	}
	r := mail.Reply{Code: 535, Enhanced: mail.Enhanced{Class: 5, Subject: 7, Detail: 8}, Lines: []string{"Authentication credentials invalid"}}
	s.refused(f, x, r, "wrong password", "")
	return r
}

// Mail takes a sender.
func (s *session) Mail(ctx context.Context, x *smtp.Session, c smtp.MailCommand) mail.Reply {
	f := s.facts(mail.StageMail, x)
	f.sender, f.known = c.From, true
	r, _ := s.pass(ctx, f, x)
	return r
}

// Rcpt takes a recipient if the provider receives for its domain, the tempers
// let it pass and the mailbox is there.
func (s *session) Rcpt(ctx context.Context, x *smtp.Session, c smtp.RcptCommand) mail.Reply {
	f := s.facts(mail.StageRcpt, x)
	f.recipient = c.To
	own := x.User != "" || c.To.Domain == "" || slices.Contains(s.provider.Domains, mail.NormalDomain(c.To.Domain)) // <Postmaster>
	if !own {
		r := mail.Reply{Code: 550, Enhanced: mail.Enhanced{Class: 5, Subject: 7, Detail: 1}, Lines: []string{"Relaying denied"}}
		s.refused(f, x, r, "relay denied", "")
		return r
	}
	if r, granted := s.pass(ctx, f, x); !granted {
		return r
	}
	if r, reason := s.provider.mailbox(f); reason != "" {
		s.refused(f, x, r, reason, "")
		return r
	}
	return mail.Reply{}
}

// mailbox says why a mailbox takes nothing.
func (p *Provider) mailbox(f *facts) (r mail.Reply, reason string) {
	key, state := f.recipient.Key(), "exists"
	if p.Mailboxes == "unknown" {
		state = "unknown"
	}
	text := ""
	for _, m := range p.Mailbox {
		if m.Address == key && (!m.From.set || !f.now.Before(m.From.in(f.start))) && (!m.Until.set || f.now.Before(m.Until.in(f.start))) {
			state, text = m.State, m.Reply
			break
		}
	}
	if state == "exists" {
		return r, ""
	}
	if text == "" {
		text = map[string]string{
			"unknown":  "550 5.1.1 <{recipient}>: no such user here",
			"full":     "452 4.2.2 <{recipient}>: mailbox full",
			"disabled": "550 5.2.1 <{recipient}>: mailbox disabled, not accepting messages",
		}[state]
	}
	r, err := parseReply(text)
	if err != nil { // it was read before
		return mail.Reply{Code: 451}, "mailbox " + state
	}
	return fill(r, f, 0), "mailbox " + state
}

// Data comes before the content.
func (s *session) Data(ctx context.Context, x *smtp.Session) mail.Reply {
	r, _ := s.pass(ctx, s.facts(mail.StageData, x), x)
	return r
}

// Message takes the content, and this is where it is decided whether it is here.
func (s *session) Message(ctx context.Context, x *smtp.Session, content io.Reader) []mail.Reply {
	f := s.facts(stageContent, x)
	c := newReceipt()
	v := s.world.decide(s.provider, f)
	s.conn.slow(v.rate)
	if t := v.temper; t != nil {
		_, err := io.CopyN(c, content, t.Bytes)
		if err == nil || t.Bytes == 0 || errors.Is(err, io.EOF) { // a short message ends sooner
			if _, goes := s.silent(ctx, t, f, x); !goes {
				return nil
			}
		}
	}
	if _, err := io.Copy(c, content); err != nil {
		e := s.event(Lost, stageContent, x)
		e.Reason, e.Text, e.MessageID, e.Bytes = "content", err.Error(), c.messageID(), c.size
		if !s.ended {
			s.record(e, f)
		}
		return nil // Serve answers it
	}
	return []mail.Reply{s.final(ctx, x, c)}
}

// final is the last word about a message.
func (s *session) final(ctx context.Context, x *smtp.Session, c *receipt) mail.Reply {
	f := s.facts(mail.StageFinal, x)
	v := s.world.decide(s.provider, f)
	_ = s.world.clock.Sleep(ctx, v.delay)
	f.now = s.world.clock.Now()
	t := v.temper
	switch {
	case t == nil:
		s.accepted(f, x, c, "", true)
		return s.queued(f)
	case t.Do != doCut && t.Do != doHang:
		s.refused(f, x, v.reply, v.reason, c.messageID())
		s.closing(t)
		return v.reply
	case t.After:
		s.accepted(f, x, c, "", true)
	case t.Kept:
		s.accepted(f, x, c, v.reason, false)
	}
	_, goes := s.silent(ctx, t, f, x)
	if goes && !t.After && !t.Kept { // a hang that ended
		s.accepted(f, x, c, v.reason, true)
	}
	return s.queued(f)
}

// queued is the provider's way to say that it has taken a message; the ordinary
// reply if it has none.
func (s *session) queued(f *facts) mail.Reply {
	if s.provider.Queued == "" {
		return mail.Reply{}
	}
	r, err := parseReply(s.provider.Queued)
	if err != nil { // it was read before
		return mail.Reply{}
	}
	return fill(r, f, 0)
}

// accepted records that a message is here.
func (s *session) accepted(f *facts, x *smtp.Session, c *receipt, reason string, answered bool) {
	e := s.event(Accepted, mail.StageFinal, x)
	e.MessageID, e.Bytes, e.SHA256, e.Answered, e.Reason = c.messageID(), c.size, hex.EncodeToString(c.sum.Sum(nil)), answered, reason
	s.world.taken(s.provider, f, c.size)
	s.record(e, f)
}

// Close comes last.
func (s *session) Close(x *smtp.Session, err error) {
	e := s.event(Ended, "", x)
	if err != nil {
		e.Text = err.Error()
	}
	s.world.ledger.record(e)
}

// receipt is what is kept of a message: its size, its digest and its header.
type receipt struct {
	size   int64
	sum    hash.Hash
	header []byte
}

const maxHeader = 64 << 10

func newReceipt() *receipt { return &receipt{sum: sha256.New()} }

func (c *receipt) Write(b []byte) (int, error) {
	c.size += int64(len(b))
	c.header = append(c.header, b[:min(len(b), maxHeader-len(c.header))]...)
	return c.sum.Write(b)
}

// messageID gives the first Message-ID of the header, with its brackets.
func (c *receipt) messageID() string {
	value, inside := "", false
	for line := range bytes.Lines(c.header) {
		text := strings.TrimRight(string(line), "\r\n")
		switch {
		case text == "", inside && text[0] != ' ' && text[0] != '\t':
			return strings.TrimSpace(value)
		case inside:
			value += strings.TrimSpace(text)
		default:
			if name, rest, ok := strings.Cut(text, ":"); ok && strings.EqualFold(strings.TrimSpace(name), "Message-ID") {
				inside, value = true, strings.TrimSpace(rest)
			}
		}
	}
	return strings.TrimSpace(value)
}
