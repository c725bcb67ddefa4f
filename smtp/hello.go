package smtp

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/postroad/postroad/mail"
)

// hello answers EHLO, HELO and LHLO. Any name is taken that is a word: RFC 5321 section
// 4.1.4 forbids to refuse one that does not fit the address, and what is no domain is common
// in the field; the handler may judge.
func (c *conversation) hello(cmd Command) error {
	if (cmd.Verb == "LHLO") != c.o.LMTP {
		return c.refuse(mail.StageEHLO, reply(500, 5, 1, "command not known"))
	}
	if cmd.Arg == "" || len(cmd.Arg) > maxHelloName || strings.ContainsAny(cmd.Arg, " \t") {
		return c.refuse(mail.StageEHLO, reply(501, 5, 4, "expected "+cmd.Verb+" host"))
	}
	extended := cmd.Verb != "HELO"
	r, err := c.ask(func(ctx context.Context) mail.Reply { return c.h.Hello(ctx, c.s, cmd.Arg, extended) },
		mail.Reply{Code: 250, Lines: []string{c.host()}})
	if err != nil {
		return err
	}
	if r.Code/100 == 2 {
		c.reset()
		c.s.HelloName, c.s.Extended = cmd.Arg, extended
		r.Enhanced = mail.Enhanced{} // RFC 2034 section 4: not here
		if extended {
			r.Lines = c.offers(r.Lines)
		}
	}
	return c.say(mail.StageEHLO, r)
}

// offers gives the lines of the reply to EHLO: the handler's own, and the extensions.
func (c *conversation) offers(lines []string) []string {
	if len(lines) == 0 {
		lines = []string{c.host()}
	}
	lines = slices.Clone(lines)
	add := func(keyword, values string) {
		if !c.without(keyword) {
			lines = append(lines, strings.TrimSuffix(keyword+" "+values, " "))
		}
	}
	add("PIPELINING", "")
	if c.limits.size > 0 {
		add("SIZE", strconv.FormatInt(c.limits.size, 10))
	} else {
		add("SIZE", "")
	}
	if c.o.TLS != nil && c.s.TLS == nil {
		add("STARTTLS", "")
	}
	if m := c.mechanisms(); len(m) > 0 {
		add("AUTH", strings.Join(m, " "))
	}
	add("ENHANCEDSTATUSCODES", "")
	add("8BITMIME", "")
	add("DSN", "")
	add("SMTPUTF8", "")
	add("CHUNKING", "")
	if c.binary() {
		add("BINARYMIME", "")
	}
	if c.mayXClient() {
		add("XCLIENT", "NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT")
	}
	return append(lines, c.o.Extra...)
}

// startTLS answers STARTTLS, RFC 3207.
func (c *conversation) startTLS(cmd Command) error {
	switch {
	case c.o.TLS == nil || c.without("STARTTLS"):
		return c.refuse(mail.StageSTARTTLS, reply(502, 5, 1, "STARTTLS is not offered"))
	case c.s.TLS != nil:
		return c.refuse(mail.StageSTARTTLS, reply(503, 5, 1, "TLS is active"))
	case cmd.Arg != "":
		return c.refuse(mail.StageSTARTTLS, reply(501, 5, 4, "STARTTLS takes no argument"))
	}
	r, err := c.ask(func(ctx context.Context) mail.Reply { return c.h.StartTLS(ctx, c.s) },
		reply(220, 0, 0, "ready to start TLS"))
	if err != nil {
		return err
	}
	if r.Code/100 == 2 && c.w.Buffered() > 0 { // with the command, or while the handler thought
		return c.hangUp(mail.StageSTARTTLS, reply(421, 5, 1, "nothing may follow STARTTLS before its reply"), ErrInjected)
	}
	if err := c.say(mail.StageSTARTTLS, r); err != nil || r.Code/100 != 2 {
		return err
	}
	return c.handshake()
}

// handshake begins TLS and forgets what was said in clear (RFC 3207 section 4.2).
func (c *conversation) handshake() error {
	ctx, cancel := context.WithTimeoutCause(c.ctx, c.times.TLS, ErrTimeout)
	defer cancel()
	shake := c.o.Handshake
	if shake == nil {
		shake = ServerHandshake
	}
	config := c.o.TLS
	if config == nil {
		config = &tls.Config{MinVersion: tls.VersionTLS12} // without a certificate: it fails, and says so
	}
	c.w.SetReadTimeout(c.times.TLS)
	err := c.w.Upgrade(ctx, config, shake)
	c.phase(mail.StageTLS)
	if err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("TLS handshake: %w", context.Cause(ctx))
		}
		c.told = true // in clear there is nothing more to say
		return err
	}
	c.s.TLS = c.w.TLS()
	c.forget()
	return nil
}

// forget makes the session as it was before EHLO.
func (c *conversation) forget() {
	c.reset()
	c.s.HelloName, c.s.Extended, c.s.User, c.s.Via = "", false, "", Credentials{}
}

func (c *conversation) mayXClient() bool {
	return c.o.XClient != nil && !c.without("XCLIENT") && c.o.XClient(c.s.Peer.Addr())
}

// xclient answers XCLIENT (postfix.org/XCLIENT_README): a trusted proxy says for whom it
// speaks. The session begins again with a new banner; the right to say it stays the
// peer's.
func (c *conversation) xclient(cmd Command) error {
	switch {
	case !c.mayXClient():
		return c.refuse(mail.StageConnect, reply(550, 7, 0, "XCLIENT is not for you"))
	case c.s.Sender != nil:
		return c.refuse(mail.StageConnect, reply(503, 5, 1, "a transaction is under way"))
	}
	next := *c.s
	if !applyXClient(&next, cmd.Arg) {
		return c.refuse(mail.StageConnect, reply(501, 5, 4, "bad attribute of XCLIENT"))
	}
	c.forget()
	c.s.Remote, c.s.Local, c.s.Name = next.Remote, next.Local, next.Name
	c.s.HelloName, c.s.Extended, c.s.User = next.xHello, next.xExtended, next.User
	c.phase(mail.StageConnect)
	return c.greet()
}

// applyXClient puts the attributes into s; what is "[UNAVAILABLE]" or "[TEMPUNAVAIL]" is
// not known.
func applyXClient(s *Session, arg string) bool {
	s.xHello, s.xExtended, s.User = "", false, ""
	words := strings.FieldsFunc(arg, isBlank)
	for _, word := range words {
		name, coded, ok := strings.Cut(word, "=")
		value, valid := decodeXtext(coded)
		if !ok || !valid {
			return false
		}
		if strings.EqualFold(value, "[UNAVAILABLE]") || strings.EqualFold(value, "[TEMPUNAVAIL]") {
			value = ""
		}
		if !setXClient(s, strings.ToUpper(name), value) {
			return false
		}
	}
	return len(words) > 0
}

func setXClient(s *Session, name, value string) bool {
	ok := true
	switch name {
	case "NAME":
		s.Name = value
		ok = len(value) <= maxHelloName
	case "ADDR":
		s.Remote, ok = withAddr(s.Remote, value)
	case "PORT":
		s.Remote, ok = withPort(s.Remote, value)
	case "DESTADDR":
		s.Local, ok = withAddr(s.Local, value)
	case "DESTPORT":
		s.Local, ok = withPort(s.Local, value)
	case "PROTO":
		s.xExtended = strings.EqualFold(value, "ESMTP")
		ok = s.xExtended || value == "" || strings.EqualFold(value, "SMTP")
	case "HELO":
		s.xHello = value
		ok = len(value) <= maxHelloName
	case "LOGIN":
		s.User = value
	default:
		return false
	}
	return ok
}

func withAddr(a netip.AddrPort, value string) (netip.AddrPort, bool) {
	if value == "" {
		return netip.AddrPortFrom(netip.Addr{}, a.Port()), true
	}
	if len(value) > 5 && strings.EqualFold(value[:5], "IPV6:") {
		value = value[5:]
	}
	ip, err := netip.ParseAddr(value)
	return netip.AddrPortFrom(ip.Unmap(), a.Port()), err == nil && ip.Zone() == ""
}

func withPort(a netip.AddrPort, value string) (netip.AddrPort, bool) {
	if value == "" {
		return netip.AddrPortFrom(a.Addr(), 0), true
	}
	n, err := strconv.ParseUint(value, 10, 16)
	return netip.AddrPortFrom(a.Addr(), uint16(n)), err == nil
}
