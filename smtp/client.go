package smtp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/postroad/postroad/mail"
)

// ClientOptions say how a client speaks. A zero field is its default.
type ClientOptions struct {
	LMTP    bool     // RFC 2033: LHLO, a reply for each recipient after the content
	Without []string // extensions that are not used though the server offers them

	// Ahead is up to how many octets a message goes out before it is known whether a
	// recipient is accepted, where the server offers PIPELINING and CHUNKING: a round trip
	// less against content sent in vain. 0 is 128 KiB, below 0 never.
	Ahead int64
	// InFlight is how many messages may wait for the reply to their content at once: as
	// many may be uncertain after a cut. 0 is 10.
	InFlight int

	AuthClear bool // let mechanisms that show the secret be used without TLS

	Handshake  Handshake // nil: ClientHandshake
	Timeouts   Timeouts
	Transcript int // bytes of transcript to keep; 0: none
}

// Timeouts bound each stage: not one read or write but all until the reply is whole. A
// zero field is its default, from RFC 5321 section 4.5.3.2 where it has one.
type Timeouts struct {
	Banner   time.Duration // 5 minutes
	EHLO     time.Duration // 5 minutes
	STARTTLS time.Duration // 2 minutes, for the reply
	TLS      time.Duration // 2 minutes, for the handshake
	Auth     time.Duration // 2 minutes, for each reply
	Mail     time.Duration // 5 minutes
	Rcpt     time.Duration // 5 minutes
	Data     time.Duration // 2 minutes
	Block    time.Duration // 3 minutes for each 32 KiB of content to be taken
	Content  time.Duration // 10 minutes for all of a small content
	Rate     int           // octets a second at which larger content has to be taken: 1024
	Final    time.Duration // 10 minutes
	Quit     time.Duration // 5 seconds, for QUIT and its reply; RFC 5321 has none
	Linger   time.Duration // 10 seconds, for last words of a peer that closes or takes nothing more
}

func (t Timeouts) orDefault() Timeouts {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&t.Banner, 5 * time.Minute}, {&t.EHLO, 5 * time.Minute}, {&t.STARTTLS, 2 * time.Minute},
		{&t.TLS, 2 * time.Minute}, {&t.Auth, 2 * time.Minute}, {&t.Mail, 5 * time.Minute}, {&t.Rcpt, 5 * time.Minute},
		{&t.Data, 2 * time.Minute}, {&t.Block, 3 * time.Minute}, {&t.Content, 10 * time.Minute},
		{&t.Final, 10 * time.Minute}, {&t.Quit, 5 * time.Second}, {&t.Linger, 10 * time.Second},
	} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	if t.Rate <= 0 {
		t.Rate = 1024
	}
	return t
}

// of gives the time for a reply at a stage.
func (t *Timeouts) of(stage mail.Stage) time.Duration {
	switch stage {
	case mail.StageBanner:
		return t.Banner
	case mail.StageSTARTTLS:
		return t.STARTTLS
	case mail.StageTLS:
		return t.TLS
	case mail.StageAuth:
		return t.Auth
	case mail.StageMail:
		return t.Mail
	case mail.StageRcpt:
		return t.Rcpt
	case mail.StageData:
		return t.Data
	case mail.StageFinal:
		return t.Final
	}
	return t.EHLO
}

// A Client is the sending side of one session. Its methods are called one after the
// other: Greet, Hello, StartTLS and Hello again, Auth, Send as often as wanted, Quit. A
// method whose error is not about a message or a refusal has ended the session: the
// connection is closed, and so do later calls say. The end of a context ends the session.
type Client struct {
	o    ClientOptions
	wire *Wire

	extensions Extensions
	offered    Extensions // with those that are not used
	hello      bool       // EHLO or HELO was accepted since the last reset of the session
	dirty      bool       // a transaction may be open at the server
	odd        Odd
	phases     map[mail.Stage]time.Duration
	tls        *tls.ConnectionState
	heard      time.Time // when the last reply came
	broken     *Error    // why the session is over
	block      []byte    // of content
}

// NewClient begins with conn, which it closes in the end. For implicit TLS give it a
// *tls.Conn.
func NewClient(conn net.Conn, o ClientOptions) *Client {
	o.Timeouts = o.Timeouts.orDefault()
	if o.Ahead == 0 {
		o.Ahead = 128 << 10
	}
	if o.InFlight <= 0 {
		o.InFlight = 10
	}
	if o.Handshake == nil {
		o.Handshake = ClientHandshake
	}
	var t *Transcript
	if o.Transcript > 0 {
		t = NewTranscript(o.Transcript)
	}
	return &Client{o: o, wire: NewWire(conn, FromClient, t), phases: make(map[mail.Stage]time.Duration)}
}

// Extensions are those of the last Hello, without those of ClientOptions.Without.
func (c *Client) Extensions() Extensions { return c.extensions }

// Offered are the extensions as the server said them.
func (c *Client) Offered() Extensions { return c.offered }

// Phases gives how long each stage took, summed up over the session. Of commands that
// went out together the first one's stage has the wait.
func (c *Client) Phases() map[mail.Stage]time.Duration { return maps.Clone(c.phases) }

// Odd gives the liberties that the server has taken so far.
func (c *Client) Odd() Odd { return c.odd }

// Transcript is nil if none is kept.
func (c *Client) Transcript() *Transcript { return c.wire.Transcript() }

// TLS is the state of the connection's TLS: version, cipher, certificates, and the
// chains by which they were verified. nil in clear.
func (c *Client) TLS() *tls.ConnectionState {
	return c.tls
}

// Broken says why the session is over; nil while it is not.
func (c *Client) Broken() error {
	if c.broken == nil {
		return nil
	}
	return c.broken
}

// Close closes the connection without QUIT. Calling it twice is no fault.
func (c *Client) Close() error {
	if c.broken == nil {
		c.broken = &Error{Err: net.ErrClosed}
	}
	if err := c.wire.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("close: %w", err)
	}
	return nil
}

// over ends the session.
func (c *Client) over(e *Error) *Error {
	if c.broken == nil {
		c.broken = e
		c.wire.Transcript().Note(e.Error())
		_ = c.wire.Close() // the session is lost with or without an error of this
	}
	return e
}

// lost is what a call on a session that is over gets.
func (c *Client) lost(stage mail.Stage) error {
	return &Error{Stage: stage, Reply: c.broken.Reply, Err: fmt.Errorf("the session is over: %w", c.broken)}
}

// Greet waits for the banner, after the handshake where TLS is implicit (RFC 8314). Anything
// but 220 is an error with the reply.
func (c *Client) Greet(ctx context.Context) (mail.Reply, error) {
	if c.broken != nil {
		return mail.Reply{}, c.lost(mail.StageBanner)
	}
	if t, ok := c.wire.Conn().(*tls.Conn); ok {
		if err := c.handshake(ctx, t.HandshakeContext); err != nil {
			return mail.Reply{}, err
		}
	}
	v := c.begin(ctx)
	r, err := v.await(-1, mail.StageBanner)
	v.end()
	switch {
	case err != nil:
		return r, c.over(&Error{Stage: mail.StageBanner, Reply: r, Err: err})
	case r.Code != 220:
		// RFC 5321 section 3.1: after 554 only QUIT may follow, so the session is not over.
		return r, c.verdict(mail.StageBanner, r)
	}
	return r, nil
}

// verdict makes an error of a reply that is no success: a refusal leaves the session
// as it is, 421 and what makes no sense end it.
func (c *Client) verdict(stage mail.Stage, r mail.Reply) *Error {
	switch {
	case r.Code == 421:
		return c.over(&Error{Stage: stage, Reply: r})
	case r.Code < 400:
		return c.over(&Error{Stage: stage, Reply: r, Err: ErrUnexpected})
	}
	return &Error{Stage: stage, Reply: r}
}

// command says one line and waits for its reply. The error is of the session; a refusal
// is none.
func (c *Client) command(ctx context.Context, stage mail.Stage, line string) (mail.Reply, error) {
	if c.broken != nil {
		return mail.Reply{}, c.lost(stage)
	}
	v := c.begin(ctx)
	defer v.end()
	if r, err := v.stray(); err != nil {
		return r, c.over(&Error{Stage: stage, Reply: r, Err: err})
	}
	r, err := v.await(v.submit(write{line: []byte(line)}), stage)
	if err == nil && r.Code == 421 {
		return r, c.over(&Error{Stage: stage, Reply: r})
	}
	if err != nil {
		return r, c.over(&Error{Stage: stage, Reply: r, Err: err})
	}
	return r, nil
}

// Hello says EHLO with name, and HELO if that is refused with 5yz (RFC 5321 section
// 3.2); LHLO for LMTP. What the server offers is in Extensions afterwards. A refusal
// of both is an error with the reply to the last.
func (c *Client) Hello(ctx context.Context, name string) (mail.Reply, error) {
	if !isHelloName(name) {
		return mail.Reply{}, &Error{Stage: mail.StageEHLO, Err: argument("host name", name)}
	}
	verb := "EHLO "
	if c.o.LMTP {
		verb = "LHLO "
	}
	c.hello, c.extensions, c.offered = false, nil, nil
	r, err := c.command(ctx, mail.StageEHLO, verb+name)
	if err != nil {
		return r, err
	}
	if r.Code/100 == 5 && !c.o.LMTP {
		refused := r
		if r, err = c.command(ctx, mail.StageEHLO, "HELO "+name); err != nil {
			var e *Error
			if errors.As(err, &e) && e.Reply.Code == 0 { // closed after its "no", which is what counts
				e.Reply, r = refused, refused
			}
			return r, err
		}
		if r.Code/100 == 2 { // and HELO offers nothing, whatever else it says
			c.odd |= OddHELO
			c.hello, c.dirty, c.extensions, c.offered = true, false, Extensions{}, Extensions{}
			return r, nil
		}
	}
	if r.Code/100 != 2 {
		return r, c.verdict(mail.StageEHLO, r)
	}
	c.hello, c.dirty = true, false // EHLO resets what was under way, RFC 5321 section 4.1.4
	c.offered = ParseExtensions(r)
	c.extensions = maps.Clone(c.offered)
	for _, x := range c.o.Without {
		delete(c.extensions, strings.ToUpper(x))
	}
	return r, nil
}

// isHelloName tells what may follow EHLO: a name or an address literal.
func isHelloName(name string) bool {
	return name != "" && len(name) <= maxDomain && strings.IndexFunc(name, func(c rune) bool { return c <= ' ' || c > '~' }) < 0
}

// StartTLS says STARTTLS and shakes hands (RFC 3207). What the server offered in clear
// is forgotten: say Hello again. The error's stage is StageSTARTTLS for the
// command, ErrNotOffered and ErrInjected among them, and StageTLS for the handshake. A server that
// refuses leaves the session usable in clear; whether that is wanted is the caller's.
func (c *Client) StartTLS(ctx context.Context, config *tls.Config) error {
	switch {
	case c.broken != nil:
		return c.lost(mail.StageSTARTTLS)
	case c.tls != nil:
		return &Error{Stage: mail.StageSTARTTLS, Err: fmt.Errorf("%w: there is TLS already", ErrArgument)}
	case !c.extensions.Has("STARTTLS"):
		return &Error{Stage: mail.StageSTARTTLS, Err: fmt.Errorf("STARTTLS is %w", ErrNotOffered)}
	}
	r, err := c.command(ctx, mail.StageSTARTTLS, "STARTTLS")
	if err != nil {
		return err
	}
	if r.Code != 220 {
		return c.verdict(mail.StageSTARTTLS, r)
	}
	c.hello, c.extensions, c.offered = false, nil, nil
	if c.wire.Buffered() > 0 {
		return c.over(&Error{Stage: mail.StageSTARTTLS, Reply: r, Err: ErrInjected})
	}
	return c.handshake(ctx, func(ctx context.Context) error { return c.wire.Upgrade(ctx, config, c.o.Handshake) })
}

// handshake does one within its time, as a stage of its own.
func (c *Client) handshake(ctx context.Context, do func(context.Context) error) error {
	began := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, c.o.Timeouts.TLS, ErrTimeout)
	defer cancel()
	release := c.wire.Bind(ctx)
	defer release()
	c.wire.SetReadTimeout(c.o.Timeouts.TLS)
	c.wire.SetWriteTimeout(c.o.Timeouts.TLS)
	err := do(ctx)
	c.phases[mail.StageTLS] += time.Since(began)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = fmt.Errorf("TLS handshake: %w", cause)
		} else if errors.Is(err, io.EOF) {
			err = fmt.Errorf("the connection was closed in the handshake: %w", io.ErrUnexpectedEOF)
		}
		return c.over(&Error{Stage: mail.StageTLS, Err: err})
	}
	c.tls = c.wire.TLS()
	return nil
}

// Reset says RSET: a transaction that was begun is forgotten.
func (c *Client) Reset(ctx context.Context) error {
	r, err := c.command(ctx, mail.StageMail, "RSET")
	if err != nil {
		return err
	}
	if r.Code/100 != 2 {
		return c.verdict(mail.StageMail, r)
	}
	c.dirty = false
	return nil
}

// Noop asks whether the session still lives.
func (c *Client) Noop(ctx context.Context) error {
	r, err := c.command(ctx, mail.StageMail, "NOOP")
	if err == nil && r.Code/100 != 2 {
		return c.verdict(mail.StageMail, r)
	}
	return err
}

// Quit says QUIT, waits for the reply no longer than Timeouts.Quit, and closes. The
// error is for the curious: nothing depends on it. A session that is over is only closed.
func (c *Client) Quit(ctx context.Context) error {
	if c.broken != nil {
		return c.Close()
	}
	ctx, cancel := context.WithTimeoutCause(ctx, c.o.Timeouts.Quit, ErrTimeout)
	defer cancel()
	_, err := c.command(ctx, mail.StageUnknown, "QUIT")
	return errors.Join(err, c.Close())
}

// Mechanism gives the best of what the server offers for a user: with a token, the
// forms of OAuth, with a password the ones that do not show it first. nil: nothing fits.
func (c *Client) Mechanism(who Credentials) Mechanism {
	offered := c.extensions.Auth()
	has := func(name string) bool { return slices.Contains(offered, name) }
	shown := c.tls != nil || c.o.AuthClear
	switch {
	case who.Token != "" && shown && has("OAUTHBEARER"):
		return OAuthBearer(who.User, who.Token, "", 0)
	case who.Token != "" && shown && has("XOAUTH2"):
		return XOAuth2(who.User, who.Token)
	case who.Token != "":
		return nil
	case has("SCRAM-SHA-256") || has("SCRAM-SHA-256-PLUS") && c.tls != nil:
		if c.tls == nil {
			offered = nil
		}
		return ScramAuth(who.User, who.Password, offered)
	case shown && has("PLAIN"):
		return PlainAuth(who.Identity, who.User, who.Password)
	case shown && has("LOGIN"):
		return LoginAuth(who.User, who.Password)
	case has("CRAM-MD5"):
		return CRAMMD5Auth(who.User, who.Password)
	}
	return nil
}
