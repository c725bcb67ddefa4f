package smtp

import (
	"errors"
	"fmt"
	"strings"

	"github.com/postroad/postroad/mail"
)

// Why a client does not send what it was asked to. Nothing of the message has gone
// out.
var (
	// ErrArgument is a name, an address or a parameter that may not stand in a command,
	// above all because it would end the command and begin another.
	ErrArgument = errors.New("not to be sent in a command")
	// ErrNotOffered is an extension that the server does not offer and that was asked for.
	ErrNotOffered = errors.New("not offered by the server")
	// ErrTooBigForPeer is a message over the limit that the server gave with SIZE.
	ErrTooBigForPeer = errors.New("larger than the server takes")
	// ErrEightBit is content with octets over 127 for a server without 8BITMIME.
	ErrEightBit = errors.New("8-bit content, and the server offers no 8BITMIME")
	// ErrUTF8 is an address or a header in UTF-8 for a server without SMTPUTF8.
	ErrUTF8 = errors.New("internationalised mail, and the server offers no SMTPUTF8")
	// ErrBinary is a message with BODY=BINARYMIME: CR and LF by themselves are never sent.
	ErrBinary = errors.New("binary content is not sent")
	// ErrRequireTLS is a message that may go only where REQUIRETLS is offered in TLS,
	// RFC 8689.
	ErrRequireTLS = errors.New("TLS is required all the way, and the server offers no REQUIRETLS")
	// ErrNotTried is a message that was not begun because the session had ended: it may be
	// tried over another connection at once.
	ErrNotTried = errors.New("not begun before the session ended")
)

// Error says where in a session something went wrong. Either the peer said so, then
// Reply has what and Err is nil, or Err says what happened; both if the reply is what
// is wrong.
type Error struct {
	Stage mail.Stage
	Reply mail.Reply
	// Uncertain: all of the content was handed to the network and no reply came, so the
	// message may be delivered. To send it again may be to send it twice.
	Uncertain bool
	Err       error
}

// Error gives the stage, what happened, and the reply.
func (e *Error) Error() string {
	var parts []string
	if e.Stage != mail.StageUnknown {
		parts = append(parts, string(e.Stage))
	}
	if e.Err != nil {
		parts = append(parts, e.Err.Error())
	}
	if e.Reply.Code != 0 {
		parts = append(parts, e.Reply.String())
	}
	s := strings.Join(parts, ": ")
	if e.Uncertain {
		s += " (may be delivered)"
	}
	return s
}

// Unwrap gives what happened.
func (e *Error) Unwrap() error { return e.Err }

func argument(what string, value string) error {
	return fmt.Errorf("%w: %s %q", ErrArgument, what, printable([]byte(value)))
}
