package smtp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/postroad/postroad/mail"
)

// Why Serve ended a session by itself.
var (
	// ErrTooManyErrors is a client that sends nonsense, ErrTooManyCommands one that sends
	// commands without end and no mail.
	ErrTooManyErrors   = errors.New("too many bad commands")
	ErrTooManyCommands = errors.New("too many commands")
	// ErrNotSMTP is a client that speaks HTTP, TLS, or the header of a mail as commands:
	// somebody else's words in its mouth.
	ErrNotSMTP = errors.New("the client does not speak SMTP")
	// ErrEarlyContent is content sent behind a DATA that was refused. It would be taken
	// for commands.
	ErrEarlyContent = errors.New("content sent before the reply to DATA")
	// ErrChunkSize is a BDAT without a size: where the next command begins is not known.
	ErrChunkSize = errors.New("BDAT without a size")

	errQuit = errors.New("quit") // QUIT, or a 421 of the handler
)

const (
	defaultSize       = 50 << 20
	defaultRecipients = 1000
	defaultCommands   = 10000
	defaultErrors     = 20
	defaultDrain      = 64 << 20

	// maxCommandLine is what RFC 4954 section 4 asks for AUTH, with its CRLF. RFC 5321
	// section 4.5.3.1.4 has 512 for the others; the grammar bounds them.
	maxCommandLine = 12288 + 2
	maxHelloName   = 255
)

// Serve leads one session on conn to its end and closes conn. The error says why it
// ended where neither QUIT nor a 421 of the handler ended it: io.EOF is a client that left
// between two commands. The end of ctx ends the session at once, with a 421 where no
// other reply is under way; the end of ServerOptions.Drain ends it in peace.
func Serve(ctx context.Context, conn net.Conn, o *ServerOptions, h Handler) error {
	c := newConversation(conn, o, h)
	handlers, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	c.ctx = handlers
	c.watch = newWatch(c.w, func(err error) { cancel(fmt.Errorf("the client left: %w", err)) })
	defer func() { _ = c.w.Close() }() // a second one, but for a handler that panics
	release := c.w.Bind(ctx)
	defer release()
	if o.Drain != nil {
		stop := context.AfterFunc(o.Drain, c.drain.begin)
		defer stop()
	}
	err := c.run()
	release()
	err = c.finish(ctx, err)
	h.Close(c.s, err)
	return err
}

// conversation is a session as Serve leads it.
type conversation struct {
	o     *ServerOptions
	h     Handler
	w     *Wire
	s     *Session
	ctx   context.Context // of the handler's calls; it lives as long as the session
	watch *watch
	drain drain

	times   ServerTimeouts
	limits  contentLimits
	asked   time.Time // when this side began to wait for the command under way
	pending *Command  // a command that ended a message between two chunks
	idle    int       // commands since the last message
	since   time.Time // of the last message, or the beginning
	wasted  int64     // octets of chunks thrown away since then
	told    bool      // the last word was said
}

func newConversation(conn net.Conn, o *ServerOptions, h Handler) *conversation {
	now := time.Now()
	var t *Transcript
	if o.Transcript > 0 {
		t = NewTranscript(o.Transcript)
	}
	w := NewWire(conn, FromServer, t)
	times := o.Timeouts.orDefault()
	w.eager, w.writeLimit = true, times.Write
	peer := addrPort(conn.RemoteAddr())
	c := &conversation{o: o, h: h, w: w, times: times, asked: now, since: now, s: &Session{
		Remote: peer, Peer: peer, Local: addrPort(conn.LocalAddr()),
		Started: now, Transcript: t, phases: map[mail.Stage]time.Duration{},
	}}
	c.drain.w = w
	c.s.cut = func() { _ = w.Cut() } // nothing is left to do about a failing close
	c.limits = contentLimits{size: o.MaxSize, line: o.MaxLine, times: times}
	if o.MaxSize == 0 {
		c.limits.size = defaultSize
	}
	c.limits.size = max(c.limits.size, 0)
	c.limits.drain = max(defaultDrain, c.limits.size)
	return c
}

// addrPort gives the address of a TCP connection; others have none.
func addrPort(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := t.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// run leads the session until there is a reason to end it.
func (c *conversation) run() error {
	if err := c.begin(); err != nil {
		return err
	}
	if err := c.greet(); err != nil {
		return err
	}
	for {
		cmd, err := c.readCommand()
		if err != nil {
			return err
		}
		if err := c.deal(cmd); err != nil {
			return err
		}
	}
}

// begin does what comes before the first word.
func (c *conversation) begin() error {
	if c.o.Proxy != nil && c.o.Proxy(c.s.Peer.Addr()) {
		c.w.SetReadTimeout(c.times.Proxy)
		p, err := readProxy(c.w)
		if err != nil {
			c.told = true // who is not our proxy has no claim to a reply
			return err
		}
		if !p.Own {
			c.s.Remote, c.s.Local = p.Source, p.Destination
		}
		c.phase(mail.StageConnect)
	}
	if c.o.ImplicitTLS {
		if err := c.handshake(); err != nil {
			return err
		}
	}
	if c.o.Pregreet > 0 {
		early, err := c.w.Await(c.o.Pregreet)
		if err != nil {
			return err
		}
		c.s.Pregreet = early
	}
	return nil
}

// greet sends the banner.
func (c *conversation) greet() error {
	kind := " ESMTP"
	if c.o.LMTP {
		kind = " LMTP"
	}
	r, err := c.ask(func(ctx context.Context) mail.Reply { return c.h.Connect(ctx, c.s) },
		mail.Reply{Code: 220, Lines: []string{c.host() + kind}})
	if err != nil {
		return err
	}
	err = c.say(mail.StageBanner, r)
	if err == nil && r.Code/100 != 2 {
		// RFC 5321 section 3.1: after a 554 the client may only QUIT; every command is 503.
		c.s.refused = true
	}
	return err
}

func (c *conversation) host() string {
	if c.o.Host == "" {
		return "localhost"
	}
	return c.o.Host
}

// ask has the handler decide; a zero code means ordinary, with the handler's lines if it
// gives any.
func (c *conversation) ask(call func(context.Context) mail.Reply, ordinary mail.Reply) (mail.Reply, error) {
	c.w.compact()
	c.watch.on()
	r := call(c.ctx)
	c.watch.off()
	return c.decided(r, ordinary)
}

func (c *conversation) decided(r, ordinary mail.Reply) (mail.Reply, error) {
	if err := c.w.gone(); errors.Is(err, ErrCut) {
		return r, err
	}
	if r.Code == 0 {
		// A call that was interrupted has decided nothing, least of all that a message is safe.
		if c.ctx.Err() != nil {
			return r, context.Cause(c.ctx)
		}
		if len(r.Lines) > 0 {
			ordinary.Lines = r.Lines
		}
		return c.own(ordinary), nil
	}
	if len(r.Lines) == 0 { // RFC 5321 section 4.2 asks for a text
		switch {
		case r.Code == ordinary.Code:
			r.Lines = ordinary.Lines
		case r.Code/100 == 4:
			r.Lines = []string{"try again later"}
		case r.Code/100 == 5:
			r.Lines = []string{"refused"}
		default:
			r.Lines = []string{"OK"}
		}
	}
	return r, nil
}

// own takes the enhanced code off where the client is not told of them.
func (c *conversation) own(r mail.Reply) mail.Reply {
	if c.without("ENHANCEDSTATUSCODES") {
		r.Enhanced = mail.Enhanced{}
	}
	return r
}

// say sends a reply and closes the phase that it belongs to.
func (c *conversation) say(stage mail.Stage, r mail.Reply) error {
	err := WriteReply(c.w, r)
	if errors.Is(err, ErrReply) { // the handler gave a code that is none
		err = WriteReply(c.w, c.own(reply(451, 3, 0, "internal error")))
	}
	c.phase(stage)
	if err == nil && r.Code == 421 {
		c.told = true
		return errQuit
	}
	return err
}

// phase adds the time since the last reply.
func (c *conversation) phase(stage mail.Stage) {
	now := time.Now()
	c.s.phases[stage] += now.Sub(c.asked)
	c.asked = now
}

// reply makes a reply of one line; the class of the enhanced code is the code's.
func reply(code int, subject, detail uint16, text string) mail.Reply {
	e := mail.Enhanced{Class: uint16(code / 100), Subject: subject, Detail: detail}
	return mail.Reply{Code: code, Enhanced: e, Lines: []string{text}}
}

// refuse answers a command that is against the grammar or out of its place, and counts
// it.
func (c *conversation) refuse(stage mail.Stage, r mail.Reply) error {
	c.s.Errors++
	limit := c.o.MaxErrors
	if limit <= 0 {
		limit = defaultErrors
	}
	if c.s.Errors >= limit {
		return c.hangUp(stage, reply(421, 7, 0, "too many errors"), ErrTooManyErrors)
	}
	return c.say(stage, c.own(r))
}

// hangUp says the last word; cause is why.
func (c *conversation) hangUp(stage mail.Stage, r mail.Reply, cause error) error {
	err := c.say(stage, c.own(r))
	c.told = true
	if err == nil || errors.Is(err, errQuit) {
		err = cause
	}
	return err
}

// finish says what there is to be said at the end, closes the connection and gives the error
// for the caller.
func (c *conversation) finish(ctx context.Context, err error) error {
	c.watch.off()
	switch {
	case errors.Is(err, ErrCut):
		return err // it is closed
	case errors.Is(err, errQuit):
		err = nil
	case ctx.Err() != nil:
		c.w.revive()
		if !c.told {
			_ = c.say(mail.StageUnknown, c.own(reply(421, 3, 2, c.host()+" is closing, try again"))) // best effort
		}
	case errors.Is(err, ErrTimeout) && !c.told:
		_ = c.say(mail.StageUnknown, c.own(reply(421, 4, 2, "timeout, closing"))) // best effort
	case errors.Is(err, ErrFlood) && !c.told:
		_ = c.say(mail.StageUnknown, c.own(reply(421, 5, 2, "line too long, closing"))) // best effort
	}
	if err != nil {
		c.w.transcript.Note(err.Error())
	}
	c.w.part()
	return err
}

// readCommand gives the next command that is one.
func (c *conversation) readCommand() (Command, error) {
	if c.pending != nil {
		cmd := *c.pending
		c.pending = nil
		return cmd, nil
	}
	limit := c.o.MaxCommands
	if limit <= 0 {
		limit = defaultCommands
	}
	for {
		c.asked = time.Now()
		left := c.times.Idle - c.asked.Sub(c.since)
		if left <= 0 { // whoever says NOOP in time could stay for weeks
			return Command{}, fmt.Errorf("no message in %v: %w", c.times.Idle, ErrTimeout)
		}
		c.w.SetReadTimeout(min(left, c.times.Command))
		start, draining, err := c.firstOctet()
		switch {
		case draining:
			return Command{}, c.hangUp(mail.StageUnknown, reply(421, 3, 2, c.host()+" is closing, try again"), errQuit)
		case err != nil:
			return Command{}, err
		case start == tlsHandshake: // whose first line may never end
			return Command{}, c.hangUp(mail.StageUnknown, reply(554, 5, 1, "this is not SMTP"), ErrNotSMTP)
		}
		line, err := c.w.ReadLine(maxCommandLine)
		c.s.Commands++
		c.idle++
		if c.idle > limit {
			return Command{}, c.hangUp(mail.StageUnknown, reply(421, 7, 0, "too many commands"), ErrTooManyCommands)
		}
		var cmd Command
		if err == nil {
			if foreign(line) {
				return cmd, c.hangUp(mail.StageUnknown, reply(554, 5, 1, "this is not SMTP"), ErrNotSMTP)
			}
			if cmd, err = ParseCommand(line); err == nil {
				return cmd, nil
			}
		}
		r, ok := lineReply(err)
		if !ok {
			return cmd, err
		}
		if err := c.refuse(mail.StageUnknown, r); err != nil {
			return cmd, err
		}
	}
}

// lineReply gives the answer to a line with a fault; not ok is the end of the
// connection.
func lineReply(err error) (mail.Reply, bool) {
	if err == nil {
		return mail.Reply{}, false
	}
	var s *SyntaxError
	switch {
	case errors.As(err, &s):
		return s.Reply(), true
	case errors.Is(err, ErrLineTooLong):
		return reply(500, 5, 6, "line too long"), true
	case errors.Is(err, ErrBareLF), errors.Is(err, ErrBareCR), errors.Is(err, ErrNUL):
		return reply(500, 5, 2, err.Error()+": a command ends with CRLF"), true
	}
	return mail.Reply{}, false
}

// tlsHandshake begins a TLS record that opens a connection, RFC 8446 section 5.1.
const tlsHandshake = 0x16

// foreign tells a line of HTTP, and a header field: that is content that came where
// commands are read.
func foreign(line []byte) bool {
	text := string(line[:min(len(line), 80)])
	word, _, _ := strings.Cut(text, " ")
	switch strings.ToUpper(word) {
	case "GET", "POST", "PUT", "HEAD", "OPTIONS", "CONNECT", "DELETE", "PATCH", "TRACE":
		return true
	}
	name, value, ok := strings.Cut(text, ":")
	return ok && isKeyword(name) && (value == "" || isBlank(rune(value[0])))
}

// without reports whether an extension is not offered.
func (c *conversation) without(keyword string) bool {
	return slices.ContainsFunc(c.o.Without, func(w string) bool { return strings.EqualFold(w, keyword) })
}

// deal answers one command.
func (c *conversation) deal(cmd Command) error {
	if c.s.refused && cmd.Verb != "QUIT" {
		if cmd.Verb == "BDAT" {
			return c.hangUp(mail.StageUnknown, reply(503, 5, 1, "no service here"), errQuit)
		}
		return c.refuse(mail.StageUnknown, reply(503, 5, 1, "no service here"))
	}
	switch cmd.Verb {
	case "EHLO", "HELO", "LHLO":
		return c.hello(cmd)
	case "STARTTLS":
		return c.startTLS(cmd)
	case "AUTH":
		return c.auth(cmd)
	case "XCLIENT":
		return c.xclient(cmd)
	case "MAIL":
		return c.mail(cmd)
	case "RCPT":
		return c.rcpt(cmd)
	case "DATA":
		return c.data(cmd)
	case "BDAT":
		return c.bdat(cmd)
	case "RSET":
		if cmd.Arg != "" {
			return c.refuse(mail.StageUnknown, reply(501, 5, 4, "RSET takes no argument"))
		}
		c.reset()
		return c.say(mail.StageUnknown, c.own(reply(250, 0, 0, "OK")))
	case "QUIT":
		if cmd.Arg != "" {
			return c.refuse(mail.StageUnknown, reply(501, 5, 4, "QUIT takes no argument"))
		}
		return c.hangUp(mail.StageUnknown, reply(221, 0, 0, c.host()+" closing"), errQuit)
	}
	return c.aside(cmd)
}

// aside answers a command that changes nothing.
func (c *conversation) aside(cmd Command) error {
	switch cmd.Verb {
	case "NOOP":
		return c.say(mail.StageUnknown, c.own(reply(250, 0, 0, "OK")))
	case "HELP":
		return c.say(mail.StageUnknown, c.own(reply(214, 0, 0, "see RFC 5321")))
	case "VRFY":
		if cmd.Arg == "" {
			return c.refuse(mail.StageUnknown, reply(501, 5, 4, "VRFY needs an argument"))
		}
		// RFC 5321 section 7.3: who exists is told to nobody who does not send to them.
		return c.say(mail.StageUnknown, c.own(reply(252, 5, 0, "send some mail, and it will be seen")))
	case "EXPN", "ETRN", "TURN", "ATRN", "SEND", "SOML", "SAML":
		return c.refuse(mail.StageUnknown, reply(502, 5, 1, "command not implemented"))
	}
	return c.refuse(mail.StageUnknown, reply(500, 5, 1, "command not known"))
}

// reset forgets the transaction.
func (c *conversation) reset() {
	c.s.Sender = nil
	c.s.Recipients = nil
}

// eofIsUnexpected is for ends within something.
func eofIsUnexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
