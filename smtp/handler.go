package smtp

import (
	"context"
	"crypto/tls"
	"io"
	"net/netip"
	"time"

	"github.com/postroad/postroad/mail"
)

// A Handler decides what a server says at each stage of one session. A zero
// mail.Reply is the ordinary answer; a reply with code 421 closes the connection
// after it was sent (RFC 5321 section 3.8). The calls of one session come one after
// the other from the goroutine of Serve. A call may block: its context ends with the
// session's, and when the peer leaves. Session.Cut ends the connection without a
// word.
type Handler interface {
	// Connect comes before the banner; the zero reply is 220 with the host.
	Connect(ctx context.Context, s *Session) mail.Reply
	// Hello comes for EHLO, HELO and LHLO, extended but for HELO. Lines of a 250 after the
	// first are sent as more extensions.
	Hello(ctx context.Context, s *Session, name string, extended bool) mail.Reply
	// StartTLS comes before the handshake; a 220 starts it.
	StartTLS(ctx context.Context, s *Session) mail.Reply
	// Auth judges credentials; a 2xx lets the client in. The zero reply is 535: nobody is
	// let in who was not judged. Where the credentials name no user (a token may hold the
	// name), it sets s.User.
	Auth(ctx context.Context, s *Session, c Credentials) mail.Reply
	// Mail and Rcpt come for commands that are right and in their place; a 2xx takes the
	// sender or recipient.
	Mail(ctx context.Context, s *Session, c MailCommand) mail.Reply
	Rcpt(ctx context.Context, s *Session, c RcptCommand) mail.Reply
	// Data comes before the 354, or at the first BDAT. Anything but a 354 (2xx and the zero
	// reply are taken for it) refuses the content, of BDAT after it was read.
	Data(ctx context.Context, s *Session) mail.Reply
	// Message gets the content, lines with CRLF, dots unstuffed. io.EOF comes only where
	// the peer has said that this is the end and nothing in it has to be refused; every
	// other end is an error, and then what was read must not be taken for a message: the
	// replies given back are not sent. Not reading to the end is no fault; the rest is
	// thrown away within bounds, and if there is something wrong with it the peer is told so
	// instead of the replies. SMTP takes the first reply; LMTP one for each accepted
	// recipient, in order, or a single one for all.
	Message(ctx context.Context, s *Session, content io.Reader) []mail.Reply
	// Close comes last, once. err is nil after QUIT and after a 421 of the handler's own.
	Close(s *Session, err error)
}

// Ordinary gives the ordinary answer to everything: every address is taken, every
// message thrown away with 250, nobody is authenticated. Embed it in a Handler that decides a part.
type Ordinary struct{}

// Connect gives the ordinary answer.
func (Ordinary) Connect(context.Context, *Session) mail.Reply { return mail.Reply{} }

// Hello gives the ordinary answer.
func (Ordinary) Hello(context.Context, *Session, string, bool) mail.Reply { return mail.Reply{} }

// StartTLS gives the ordinary answer.
func (Ordinary) StartTLS(context.Context, *Session) mail.Reply { return mail.Reply{} }

// Auth gives the ordinary answer.
func (Ordinary) Auth(context.Context, *Session, Credentials) mail.Reply { return mail.Reply{} }

// Mail gives the ordinary answer.
func (Ordinary) Mail(context.Context, *Session, MailCommand) mail.Reply { return mail.Reply{} }

// Rcpt gives the ordinary answer.
func (Ordinary) Rcpt(context.Context, *Session, RcptCommand) mail.Reply { return mail.Reply{} }

// Data gives the ordinary answer.
func (Ordinary) Data(context.Context, *Session) mail.Reply { return mail.Reply{} }

// Message reads to the end and gives the ordinary answer.
func (Ordinary) Message(_ context.Context, _ *Session, content io.Reader) []mail.Reply {
	_, _ = io.Copy(io.Discard, content) // Serve knows of the error and answers it
	return nil
}

// Close does nothing.
func (Ordinary) Close(*Session, error) {}

var _ Handler = Ordinary{}

// ServerOptions say what a server offers and how much it bears. One value may serve
// many sessions; it is not changed.
type ServerOptions struct {
	Host string // in the banner and the reply to EHLO; "localhost" if empty

	MaxSize       int64 // of one message, announced with SIZE; 0 is 50 MiB, below 0 no limit and SIZE without a number
	MaxLine       int   // octets of a line of content; 0 is no limit, see RFC 5321 section 4.5.3.1.6
	MaxRecipients int   // of one message; 0 is 1,000. RFC 5321 section 4.5.3.1.8 asks for 100 at least
	MaxCommands   int   // since the last accepted message; 0 is 10,000
	MaxErrors     int   // refused commands in one session before 421; 0 is 20

	Without []string // extensions not offered and not taken: "PIPELINING", "CHUNKING", "DSN", "SIZE", ...
	Extra   []string // further EHLO lines, said and not acted on
	Strict  bool     // refuse the space after "MAIL FROM:" and "RCPT TO:", see ParseMail

	TLS         *tls.Config // nil: STARTTLS is not offered
	Handshake   Handshake   // nil: ServerHandshake; the simulated outside cuts and hangs here
	ImplicitTLS bool        // TLS from the first byte (RFC 8314)
	RequireTLS  bool        // 530 to MAIL and AUTH in clear (for submission; RFC 3207 section 4 forbids it on public port 25)

	// Binary offers BINARYMIME (RFC 3030). It is off because nobody can pass such a message on
	// without changing it: few servers take it, and Client never sends it.
	Binary bool

	LMTP        bool     // RFC 2033: LHLO, a reply for each recipient
	Auth        []string // mechanisms offered, in order of preference; none: AUTH is not offered
	AuthClear   bool     // offer and take mechanisms that show the password without TLS (tests, loopback)
	RequireAuth bool     // 530 to MAIL before AUTH

	XClient func(peer netip.Addr) bool // who may say XCLIENT; nil: nobody
	Proxy   func(peer netip.Addr) bool // from whom a PROXY header comes first, always; nil: from nobody

	// Drain is for a server that stops: when it ends, a session is told 421 as soon as it waits
	// for a command and no transaction is under way, and Serve gives nil. nil: never.
	Drain context.Context

	Pregreet   time.Duration // how long to watch for a client that talks before the banner; 0: not at all
	Timeouts   ServerTimeouts
	Transcript int // bytes of transcript to keep of a session; 0: none
}

// ServerTimeouts bound the phases of a session. A zero field is its default.
type ServerTimeouts struct {
	Proxy   time.Duration // for the PROXY header: 5 s
	TLS     time.Duration // for a handshake: 1 minute
	Command time.Duration // for a whole command line: 5 minutes, RFC 5321 section 4.5.3.2.7
	Idle    time.Duration // without an accepted message: 1 hour; then no further command is waited for
	Block   time.Duration // without a byte of content: 5 minutes
	Content time.Duration // of waiting for the content of one message: 10 minutes, and more for a large one:
	Rate    int           // a second for every so many octets that came: 1024
	Write   time.Duration // for a peer to take our replies: 5 minutes
}

func (t ServerTimeouts) orDefault() ServerTimeouts {
	set := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	set(&t.Proxy, 5*time.Second)
	set(&t.TLS, time.Minute)
	set(&t.Command, 5*time.Minute)
	set(&t.Idle, time.Hour)
	set(&t.Block, 5*time.Minute)
	set(&t.Content, 10*time.Minute)
	set(&t.Write, 5*time.Minute)
	if t.Rate <= 0 {
		t.Rate = 1024
	}
	return t
}

// Session is what is known of one session. Its handler may read it during a call.
type Session struct {
	Remote netip.AddrPort // of the client: as PROXY or XCLIENT gave it, else the peer's
	Local  netip.AddrPort
	Peer   netip.AddrPort // who really connected

	Name      string // the client's host name as XCLIENT gave it; "" else
	HelloName string // as EHLO, HELO or LHLO gave it, or XCLIENT's HELO
	Extended  bool   // it was not HELO
	TLS       *tls.ConnectionState
	User      string      // who authenticated; "" nobody
	Via       Credentials // with what, without the secret

	Sender     *MailCommand  // of the transaction under way; nil else
	Recipients []RcptCommand // accepted so far

	Messages int  // accepted so far
	Commands int  // so far
	Errors   int  // refused for their grammar or place so far
	Pregreet bool // the client talked before the banner

	Started    time.Time
	Transcript *Transcript // nil if none is kept

	phases  map[mail.Stage]time.Duration
	cut     func()
	refused bool // the banner was a refusal

	xHello    string // XCLIENT's HELO and PROTO
	xExtended bool
}

// Phases gives how long each stage took so far: from the moment when this side began to
// wait for the command until the reply to it was ready, summed up over several. A hanging client and a
// slow handler both show here.
func (s *Session) Phases() map[mail.Stage]time.Duration {
	m := make(map[mail.Stage]time.Duration, len(s.phases))
	for k, v := range s.phases {
		m[k] = v
	}
	return m
}

// Cut closes the connection without a word: no reply to what was asked, no 421. It
// may be called from any goroutine. Serve returns ErrCut.
func (s *Session) Cut() { s.cut() }

// Credentials are what a client showed to AUTH.
type Credentials struct {
	Mechanism string // "PLAIN"
	Identity  string // whom to act for, if it is not the user (RFC 4616: authzid)
	User      string
	Password  string
	Token     string // OAuth bearer token instead of a password

	// Verify says whether the client proved to know this password, where the mechanism
	// shows a proof and not the password itself (CRAM-MD5, SCRAM); else nil, and then
	// Password or Token is to be judged.
	Verify func(password string) bool
}
