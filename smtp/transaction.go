package smtp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/postroad/postroad/mail"
)

// mail answers MAIL.
func (c *conversation) mail(cmd Command) error {
	switch {
	case c.s.HelloName == "":
		return c.refuse(mail.StageMail, reply(503, 5, 1, "say EHLO first"))
	case c.s.Sender != nil:
		return c.refuse(mail.StageMail, reply(503, 5, 1, "a transaction is under way"))
	case c.o.RequireTLS && c.s.TLS == nil:
		return c.refuse(mail.StageMail, reply(530, 7, 0, "say STARTTLS first"))
	case c.o.RequireAuth && c.s.User == "":
		return c.refuse(mail.StageMail, reply(530, 7, 0, "authentication required"))
	}
	m, err := ParseMail(cmd.Arg, c.o.Strict)
	if r, bad := lineReply(err); bad {
		return c.refuse(mail.StageMail, r)
	}
	if name := c.notOffered(m); name != "" {
		return c.refuse(mail.StageMail, reply(555, 5, 4, name+" is not offered"))
	}
	if c.limits.size > 0 && m.Size > c.limits.size {
		return c.say(mail.StageMail, c.own(tooBig(c.limits.size)))
	}
	r, err := c.ask(func(ctx context.Context) mail.Reply { return c.h.Mail(ctx, c.s, m) },
		reply(250, 1, 0, "OK"))
	if err != nil {
		return err
	}
	if r.Code/100 == 2 {
		c.s.Sender, c.s.Recipients = &m, nil
	}
	return c.say(mail.StageMail, r)
}

// notOffered names the extension that a parameter belongs to and that is not offered.
func (c *conversation) notOffered(m MailCommand) string {
	extra := func(keyword string) bool {
		for _, line := range c.o.Extra {
			if word, _, _ := strings.Cut(line, " "); strings.EqualFold(word, keyword) {
				return true
			}
		}
		return false
	}
	for _, use := range [...]struct {
		keyword string
		used    bool
	}{
		{"SIZE", m.Size != 0},
		{"8BITMIME", m.Body == BodySeven || m.Body == BodyEight},
		{"SMTPUTF8", m.UTF8},
		{"DSN", m.Return != "" || m.EnvelopeID != ""},
	} {
		if use.used && c.without(use.keyword) {
			return use.keyword
		}
	}
	switch {
	case m.Body == BodyBinary && !c.binary():
		return "BINARYMIME"
	case m.Auth != "" && len(c.o.Auth) == 0:
		return "AUTH"
	case m.RequireTLS && (c.s.TLS == nil || !extra("REQUIRETLS")):
		return "REQUIRETLS"
	}
	return ""
}

// binary reports whether BINARYMIME is offered; RFC 3030 section 3 has none without CHUNKING.
func (c *conversation) binary() bool {
	return c.o.Binary && !c.without("CHUNKING") && !c.without("BINARYMIME")
}

// rcpt answers RCPT.
func (c *conversation) rcpt(cmd Command) error {
	if c.s.Sender == nil {
		return c.refuse(mail.StageRcpt, reply(503, 5, 1, "say MAIL first"))
	}
	m, err := ParseRcpt(cmd.Arg, c.o.Strict)
	if r, bad := lineReply(err); bad {
		return c.refuse(mail.StageRcpt, r)
	}
	limit := c.o.MaxRecipients
	if limit <= 0 {
		limit = defaultRecipients
	}
	switch {
	case (m.Notify != 0 || m.Original != "") && c.without("DSN"):
		return c.refuse(mail.StageRcpt, reply(555, 5, 4, "DSN is not offered"))
	case !c.s.Sender.UTF8 && !isASCII(m.To.String()):
		return c.refuse(mail.StageRcpt, reply(553, 6, 7, "a non-ASCII address needs SMTPUTF8"))
	case len(c.s.Recipients) >= limit:
		return c.say(mail.StageRcpt, c.own(reply(452, 5, 3, "too many recipients, send the rest in another message")))
	}
	r, err := c.ask(func(ctx context.Context) mail.Reply { return c.h.Rcpt(ctx, c.s, m) },
		reply(250, 1, 5, "OK"))
	if err != nil {
		return err
	}
	if r.Code/100 == 2 {
		c.s.Recipients = append(c.s.Recipients, m)
	}
	return c.say(mail.StageRcpt, r)
}

// unready says why there can be no content now.
func (c *conversation) unready() (mail.Reply, bool) {
	switch {
	case c.s.Sender == nil:
		return reply(503, 5, 1, "say MAIL first"), true
	case len(c.s.Recipients) == 0 && c.o.LMTP:
		return reply(503, 5, 1, "no valid recipients"), true // RFC 2033 section 4.2
	case len(c.s.Recipients) == 0:
		return reply(554, 5, 1, "no valid recipients"), true
	}
	return mail.Reply{}, false
}

// data answers DATA and receives what follows.
func (c *conversation) data(cmd Command) error {
	r, bad := c.unready()
	switch {
	case cmd.Arg != "":
		r, bad = reply(501, 5, 4, "DATA takes no argument"), true
	case !bad && c.s.Sender.Body == BodyBinary:
		r, bad = reply(503, 5, 1, "BINARYMIME comes with BDAT"), true // RFC 3030 section 3
	}
	if bad {
		return c.noContent(c.refuse(mail.StageData, r))
	}
	r, err := c.ask(func(ctx context.Context) mail.Reply { return c.h.Data(ctx, c.s) }, mail.Reply{Code: 354})
	if err != nil {
		return err
	}
	if r.Code/100 != 2 && r.Code != 354 {
		c.reset()
		return c.noContent(c.say(mail.StageData, r))
	}
	if r.Code != 354 || len(r.Lines) == 0 {
		r = mail.Reply{Code: 354, Lines: []string{"end with <CRLF>.<CRLF>"}}
	}
	if err := c.say(mail.StageData, r); err != nil {
		return err
	}
	return c.message(newDataReader(c.w, c.limits))
}

// noContent ends a session whose client did not wait for the refusal of its DATA: RFC 2920
// section 3.1 has DATA last in a group, so what stands behind it can only be content,
// and content is not to be read as commands.
func (c *conversation) noContent(err error) error {
	if err == nil && c.w.Buffered() > 0 {
		c.told = true
		return ErrEarlyContent
	}
	return err
}

// bdat answers BDAT and receives the message.
func (c *conversation) bdat(cmd Command) error {
	size, last, err := parseChunk(cmd.Arg)
	if r, bad := lineReply(err); bad {
		return c.hangUp(mail.StageData, r, ErrChunkSize)
	}
	r, bad := c.unready()
	if c.without("CHUNKING") {
		r, bad = reply(502, 5, 1, "BDAT is not offered"), true
	}
	if bad {
		return c.skip(size, c.own(r))
	}
	r, err = c.ask(func(ctx context.Context) mail.Reply { return c.h.Data(ctx, c.s) }, mail.Reply{Code: 354})
	if err != nil {
		return err
	}
	if r.Code/100 != 2 && r.Code != 354 {
		c.reset()
		return c.skip(size, r)
	}
	chunks := newChunkReader(c.w, c.limits, c.s.Sender.Body == BodyBinary, size, last)
	chunks.more = func() (int64, bool, error) { return c.nextChunk(chunks.size) }
	return c.message(chunks)
}

// skip throws a chunk away that is not wanted: its octets come whatever is answered.
func (c *conversation) skip(size int64, r mail.Reply) error {
	chunk := newChunkReader(c.w, contentLimits{drain: c.limits.drain, times: c.times}, true, size, true)
	chunk.unwanted(true)
	chunk.waste = c.wasted // one chunk after the other is no less than one
	for {
		_, err := chunk.next()
		c.wasted = chunk.waste
		switch {
		case errors.Is(err, io.EOF):
			return c.say(mail.StageData, r)
		case errors.Is(err, ErrDrained):
			return c.hangUp(mail.StageData, r, err)
		case err != nil:
			return err
		}
	}
}

// nextChunk answers a chunk and waits for the next BDAT. What ends the transaction waits
// until the handler knows.
func (c *conversation) nextChunk(got int64) (size int64, last bool, err error) {
	if err := c.say(mail.StageData, c.own(reply(250, 0, 0, fmt.Sprintf("%d octets so far", got)))); err != nil {
		return 0, false, err
	}
	for {
		cmd, err := c.readCommand()
		if err != nil {
			return 0, false, eofIsUnexpected(err)
		}
		switch cmd.Verb {
		case "BDAT":
			size, last, err := parseChunk(cmd.Arg)
			if r, bad := lineReply(err); bad {
				return 0, false, c.hangUp(mail.StageData, r, ErrChunkSize)
			}
			return size, last, nil
		case "RSET", "EHLO", "HELO", "LHLO", "QUIT":
			c.pending = &cmd
			return 0, false, ErrAborted
		case "MAIL", "RCPT", "DATA", "STARTTLS", "AUTH", "XCLIENT":
			err = c.refuse(mail.StageData, reply(503, 5, 1, "a message is under way"))
		default:
			err = c.aside(cmd)
		}
		if err != nil {
			return 0, false, err
		}
	}
}

// message gives content to the handler, and the client its replies.
func (c *conversation) message(source pieces) error {
	content := &contentReader{source: source, watch: c.watch}
	content.idle()
	replies := c.h.Message(c.ctx, c.s, content)
	c.watch.off()
	if err := c.w.gone(); errors.Is(err, ErrCut) {
		return err
	}
	err := content.drain(refuses(replies))
	recipients := len(c.s.Recipients)
	fault := source.faulty()
	switch {
	case errors.Is(err, ErrAborted):
		c.reset()
		return nil
	case errors.Is(err, ErrDrained):
		r := c.faultReply(fault)
		if fault == nil {
			r = reply(451, 3, 0, "content without end")
		}
		return c.hangUp(mail.StageFinal, r, err)
	case err != nil:
		return err
	}
	c.reset()
	if fault != nil {
		replies = []mail.Reply{c.own(c.faultReply(fault))}
	}
	n := 1
	if c.o.LMTP {
		n = recipients
	}
	delivered := false
	for i := range n {
		r, err := c.decided(pick(replies, i), reply(250, 0, 0, "OK"))
		if err != nil {
			return err
		}
		if err := c.say(mail.StageFinal, r); err != nil {
			return err
		}
		delivered = delivered || r.Code/100 == 2
	}
	if delivered {
		c.s.Messages++
		c.idle, c.wasted, c.since = 0, 0, time.Now()
	}
	return nil
}

// refuses reports whether there is a reply and it takes the message from nobody.
func refuses(replies []mail.Reply) bool {
	for _, r := range replies {
		if r.Code/100 != 4 && r.Code/100 != 5 {
			return false
		}
	}
	return len(replies) > 0
}

// pick gives the reply for recipient i: his own, or the one for all.
func pick(replies []mail.Reply, i int) mail.Reply {
	switch {
	case len(replies) == 0:
		return mail.Reply{}
	case len(replies) == 1:
		return replies[0]
	case i < len(replies):
		return replies[i]
	}
	return reply(451, 3, 0, "no result for this recipient") // a handler that lost count must not lose mail
}

func tooBig(limit int64) mail.Reply {
	return reply(552, 3, 4, fmt.Sprintf("message exceeds %d octets", limit))
}

// faultReply tells the client what is wrong with its content.
func (c *conversation) faultReply(fault error) mail.Reply {
	switch {
	case errors.Is(fault, ErrTooBig):
		return tooBig(c.limits.size)
	case errors.Is(fault, ErrLineTooLong):
		return reply(554, 6, 0, fmt.Sprintf("a line of the content exceeds %d octets", c.limits.line))
	case errors.Is(fault, ErrBareLF), errors.Is(fault, ErrBareCR):
		return reply(554, 6, 0, fault.Error()+" in the content: end lines with CRLF, RFC 5321 section 2.3.8")
	}
	return reply(554, 6, 0, "content refused")
}
