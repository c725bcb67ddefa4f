package smtp

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/postroad/postroad/mail"
)

const authRounds = 10 // of one exchange; SCRAM has three

// mechanisms gives those that are offered now: in clear none that shows the password, nor
// the one that binds to TLS (RFC 5802 section 6).
func (c *conversation) mechanisms() []string {
	if c.s.TLS == nil && c.o.RequireTLS && !c.o.AuthClear {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(c.o.Auth), func(m string) bool {
		if isPlus(m) {
			_, err := channelBinding(c.s.TLS) // TLS 1.2 may have nothing to bind to
			return err != nil
		}
		return c.s.TLS == nil && !c.o.AuthClear && showsPassword(m)
	})
}

// auth answers AUTH, RFC 4954.
func (c *conversation) auth(cmd Command) error {
	if r, bad := c.unauthable(); bad {
		return c.refuse(mail.StageAuth, r)
	}
	name, initial, _ := strings.Cut(cmd.Arg, " ")
	name = strings.ToUpper(name)
	if !slices.ContainsFunc(c.o.Auth, func(m string) bool { return strings.EqualFold(m, name) }) {
		return c.refuse(mail.StageAuth, reply(504, 5, 4, "mechanism not offered"))
	}
	if c.s.TLS == nil && !c.o.AuthClear && (showsPassword(name) || c.o.RequireTLS) {
		return c.refuse(mail.StageAuth, reply(538, 7, 11, "say STARTTLS first: this mechanism needs TLS"))
	}
	m, ok := newServerAuth(name, c.host(), c.s.TLS, slices.ContainsFunc(c.mechanisms(), isPlus))
	if !ok {
		return c.refuse(mail.StageAuth, reply(504, 5, 4, "mechanism not known"))
	}
	if err := c.exchange(m, strings.TrimLeft(initial, " ")); err != nil {
		if r, ok := lineReply(err); ok {
			return c.refuse(mail.StageAuth, r)
		}
		return err
	}
	return c.judge(name, m)
}

// isPlus tells the mechanism that binds to TLS; a client that could have used it must
// have.
func isPlus(mechanism string) bool { return strings.EqualFold(mechanism, "SCRAM-SHA-256-PLUS") }

func (c *conversation) unauthable() (mail.Reply, bool) {
	switch {
	case len(c.o.Auth) == 0 || c.without("AUTH"):
		return reply(502, 5, 1, "AUTH is not offered"), true
	case c.s.HelloName == "" || !c.s.Extended:
		return reply(503, 5, 1, "say EHLO first"), true
	case c.s.User != "":
		return reply(503, 5, 1, "authenticated already"), true // RFC 4954 section 4
	case c.s.Sender != nil:
		return reply(503, 5, 1, "a transaction is under way"), true
	}
	return mail.Reply{}, false
}

// exchange leads the mechanism to the point where there are credentials. A refusal is an
// error that lineReply knows.
func (c *conversation) exchange(m serverAuth, initial string) error {
	var response []byte
	if initial != "" {
		var err error
		if response, err = decodeInitial(initial); err != nil {
			return errors.Join(syntax(501, 5, 2, "not base64"), err)
		}
	}
	for range authRounds {
		challenge, done, err := m.next(response)
		switch {
		case err != nil:
			return errors.Join(syntax(501, 5, 2, "not a response of this mechanism"), err)
		case done:
			return nil
		}
		if response, err = c.challenge(challenge); err != nil {
			return err
		}
	}
	return syntax(501, 5, 2, "exchange too long")
}

// challenge sends one and reads the response. A line that is too long is 500 5.5.6, RFC 4954
// section 6.
func (c *conversation) challenge(text []byte) ([]byte, error) {
	if err := c.w.WriteLine([]byte("334 " + encodeAuth(text))); err != nil {
		return nil, err
	}
	c.w.SetReadTimeout(c.times.Command)
	line, err := c.w.ReadLine(maxCommandLine)
	if err != nil {
		return nil, eofIsUnexpected(err)
	}
	response, err := decodeAuth(line)
	switch {
	case errors.Is(err, errAuthCancelled):
		return nil, errors.Join(syntax(501, 7, 0, "cancelled"), err)
	case err != nil:
		return nil, errors.Join(syntax(501, 5, 2, "not base64"), err)
	}
	return response, nil
}

// judge asks the handler about credentials.
func (c *conversation) judge(mechanism string, m serverAuth) error {
	k := m.credentials()
	k.Mechanism = mechanism
	r, err := c.ask(func(ctx context.Context) mail.Reply { return c.h.Auth(ctx, c.s, k) },
		reply(535, 7, 8, "credentials invalid"))
	if err != nil {
		return err
	}
	accepted := r.Code/100 == 2
	if last := m.verdict(accepted); last != nil {
		// The mechanism's own last word; what the client answers to it changes nothing.
		if _, err := c.challenge(last); err != nil {
			if _, ok := lineReply(err); !ok {
				return err
			}
		}
	}
	if !accepted {
		c.s.User = ""
		return c.refuse(mail.StageAuth, r)
	}
	if c.s.User == "" {
		c.s.User = k.User
	}
	if c.s.User == "" {
		return c.say(mail.StageAuth, c.own(reply(454, 7, 0, "the token names nobody")))
	}
	k.Password, k.Token, k.Verify = "", "", nil
	c.s.Via = k
	if r.Code != 235 || r.Enhanced.IsZero() && r.Lines[0] == "OK" {
		r = c.own(reply(235, 7, 0, "authenticated"))
	}
	return c.say(mail.StageAuth, r)
}
