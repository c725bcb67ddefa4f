package smtp

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/postroad/postroad/mail"
)

// A SyntaxError is a command that is against the grammar. Text is for the peer
// and quotes nothing of what it sent.
type SyntaxError struct {
	Code     int // 500, 501, 553 or 555
	Enhanced mail.Enhanced
	Text     string
}

// Error gives the reply in one line.
func (e *SyntaxError) Error() string { return e.Reply().String() }

// Reply is what a server answers.
func (e *SyntaxError) Reply() mail.Reply {
	return mail.Reply{Code: e.Code, Enhanced: e.Enhanced, Lines: []string{e.Text}}
}

func syntax(code int, subject, detail uint16, text string) *SyntaxError {
	return &SyntaxError{Code: code, Enhanced: mail.Enhanced{Class: 5, Subject: subject, Detail: detail}, Text: text}
}

// Command is one command line, taken apart as far as every command is the same.
type Command struct {
	Verb string // upper case
	Arg  string // what follows, as written, without white space around it
}

// ParseCommand takes a line without its CRLF apart. The verb is of any case (RFC
// 5321 section 2.4) and has only letters, and trailing white space is none of the
// argument (section 4.1.1). No control character is let through: after this point a
// command cannot become two.
func ParseCommand(line []byte) (Command, error) {
	for _, c := range line {
		if c < ' ' && c != '\t' || c == 0x7f {
			return Command{}, syntax(500, 5, 2, "control character in a command")
		}
	}
	s := strings.TrimRight(string(line), " \t")
	n := 0
	for n < len(s) && isAlpha(s[n]) {
		n++
	}
	if n == 0 || n < len(s) && s[n] != ' ' && s[n] != '\t' {
		return Command{}, syntax(500, 5, 2, "not a command")
	}
	return Command{Verb: strings.ToUpper(s[:n]), Arg: strings.TrimLeft(s[n:], " \t")}, nil
}

// Body is the BODY parameter of MAIL (RFC 6152, RFC 3030).
type Body string

// The bodies. The zero value: not given, which is BodySeven.
const (
	BodySeven  Body = "7BIT"
	BodyEight  Body = "8BITMIME"
	BodyBinary Body = "BINARYMIME"
)

// Return is the RET parameter of MAIL (RFC 3461 section 4.3). The zero value: not given.
type Return string

// What comes back with a failure report.
const (
	ReturnFull    Return = "FULL"
	ReturnHeaders Return = "HDRS"
)

// Notify is the NOTIFY parameter of RCPT (RFC 3461 section 4.1), a set. The zero
// value: not given.
type Notify uint8

// When a report is wished.
const (
	NotifyNever Notify = 1 << iota // stands alone
	NotifySuccess
	NotifyFailure
	NotifyDelay
)

// MailCommand is MAIL FROM with its parameters.
type MailCommand struct {
	From       mail.Address
	Size       int64  // octets announced, RFC 1870; 0 if none
	Body       Body   // RFC 6152
	UTF8       bool   // SMTPUTF8, RFC 6531
	Return     Return // RET, RFC 3461
	EnvelopeID string // ENVID, decoded: printable ASCII
	Auth       string // AUTH, decoded: a mailbox or "<>" (RFC 4954 section 5); "" if not given
	RequireTLS bool   // RFC 8689
}

// RcptCommand is RCPT TO with its parameters.
type RcptCommand struct {
	To           mail.Address // Postmaster may stand without a domain
	Notify       Notify
	OriginalType string // ORCPT's address type in lower case, "rfc822" or "utf-8"; "" if not given
	Original     string // ORCPT's address, decoded; no controls
}

const (
	maxParameters = 32  // of one command; the standards have a dozen
	maxEnvelopeID = 100 // RFC 3461 section 4.4, encoded
	maxOriginal   = 500 // RFC 3461 section 4.2, encoded
)

// ParseMail reads what follows MAIL. Unless strict, white space after the colon is
// borne: RFC 5321 section 3.3 forbids it, but clients that send "MAIL FROM: <a@b>"
// never died out and every large server takes it; nothing can be hidden in it.
// Angle brackets are asked for always: without them it would be a guess where an address
// ends. A parameter may stand once; an unknown one is 555, as section 4.1.1.11 says.
func ParseMail(arg string, strict bool) (MailCommand, error) {
	var c MailCommand
	a, params, err := pathAndParams(arg, "FROM:", true, strict)
	if err != nil {
		return c, err
	}
	c.From = a
	var seen seenNames
	for params != "" {
		var name, value string
		if name, value, params, err = nextParameter(params, &seen, strict); err != nil {
			return MailCommand{}, err
		}
		if err := c.set(name, value); err != nil {
			return MailCommand{}, err
		}
	}
	if !c.UTF8 && (!isASCII(c.From.String()) || !isASCII(c.Auth)) {
		return MailCommand{}, syntax(553, 6, 7, "a non-ASCII address needs SMTPUTF8")
	}
	return c, nil
}

// ParseRcpt is ParseMail for RCPT. Whether a non-ASCII address is in place is for the
// caller to say: that depends on the MAIL before it.
func ParseRcpt(arg string, strict bool) (RcptCommand, error) {
	var c RcptCommand
	a, params, err := pathAndParams(arg, "TO:", false, strict)
	if err != nil {
		return c, err
	}
	c.To = a
	var seen seenNames
	for params != "" {
		var name, value string
		if name, value, params, err = nextParameter(params, &seen, strict); err != nil {
			return RcptCommand{}, err
		}
		if err := c.set(name, value); err != nil {
			return RcptCommand{}, err
		}
	}
	return c, nil
}

func pathAndParams(arg, word string, sender, strict bool) (a mail.Address, params string, err error) {
	if hasControl(arg) {
		return a, "", syntax(501, 5, 2, "control character in a command")
	}
	if len(arg) < len(word) || !strings.EqualFold(arg[:len(word)], word) {
		return a, "", syntax(501, 5, 4, "expected "+word+"<address>")
	}
	arg = arg[len(word):]
	if !strict {
		arg = strings.TrimLeft(arg, " \t")
	}
	detail := uint16(3) // 5.1.3 bad destination mailbox syntax
	if sender {
		detail = 7 // 5.1.7 bad sender's mailbox syntax
	}
	a, params, fault := scanPath(arg, sender, !sender, strict)
	if fault != "" {
		return a, "", syntax(501, 1, detail, fault)
	}
	if params != "" && params[0] != ' ' && (strict || params[0] != '\t') {
		return a, "", syntax(501, 5, 4, "expected a space after the address")
	}
	return a, trimParams(params, strict), nil
}

// trimParams takes the white space before the next parameter off: one space is the
// grammar, more is borne.
func trimParams(s string, strict bool) string {
	if strict {
		return strings.TrimPrefix(s, " ")
	}
	return strings.Trim(s, " \t")
}

// seenNames are the parameters that a command had so far.
type seenNames struct {
	names [maxParameters]string
	n     int
}

func nextParameter(s string, seen *seenNames, strict bool) (name, value, rest string, err error) {
	word := s
	if i := strings.IndexAny(s, " \t"); i >= 0 {
		word, rest = s[:i], trimParams(s[i:], strict)
		if rest == "" {
			return "", "", "", syntax(501, 5, 4, "a space too many")
		}
	}
	name, value, has := strings.Cut(word, "=")
	name = strings.ToUpper(name)
	if !isKeyword(name) || has && !isValue(value) {
		return "", "", "", syntax(501, 5, 4, "not a parameter")
	}
	for _, n := range seen.names[:seen.n] {
		if n == name {
			return "", "", "", syntax(501, 5, 4, "a parameter stands twice")
		}
	}
	if seen.n == maxParameters {
		return "", "", "", syntax(501, 5, 4, "too many parameters")
	}
	seen.names[seen.n] = name
	seen.n++
	return name, value, rest, nil
}

// isKeyword is esmtp-keyword, RFC 5321 section 4.1.2.
func isKeyword(s string) bool {
	if s == "" || s[0] == '-' || len(s) > 64 {
		return false
	}
	for i := 0; i < len(s); i++ {
		if !isLDH(s[i]) {
			return false
		}
	}
	return true
}

// isValue is esmtp-value with the UTF-8 of RFC 6531 section 3.3.
func isValue(s string) bool {
	for i := 0; i < len(s); {
		switch c := s[i]; {
		case c >= utf8.RuneSelf:
			n := wideSize(s[i:])
			if n == 0 {
				return false
			}
			i += n
		case c <= ' ' || c == '=' || c == 0x7f:
			return false
		default:
			i++
		}
	}
	return s != ""
}

// set takes one parameter of MAIL; value is "" where there was no "=".
func (c *MailCommand) set(name, value string) error {
	bad := func() error { return syntax(501, 5, 4, "bad value of "+name) }
	switch name {
	case "SIZE":
		if len(value) > 20 || strings.Trim(value, "0123456789") != "" || value == "" {
			return bad()
		}
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil { // beyond all limits, and the grammar allows it
			n = math.MaxInt64
		}
		c.Size = n
	case "BODY":
		switch b := Body(strings.ToUpper(value)); b {
		case BodySeven, BodyEight, BodyBinary:
			c.Body = b
		default:
			return bad()
		}
	case "SMTPUTF8", "REQUIRETLS":
		if value != "" {
			return bad()
		}
		if name == "SMTPUTF8" {
			c.UTF8 = true
		} else {
			c.RequireTLS = true
		}
	case "RET":
		switch r := Return(strings.ToUpper(value)); r {
		case ReturnFull, ReturnHeaders:
			c.Return = r
		default:
			return bad()
		}
	case "ENVID":
		id, ok := decodeXtext(value)
		if !ok || id == "" || len(value) > maxEnvelopeID || !isASCII(id) {
			return bad()
		}
		c.EnvelopeID = id
	case "AUTH":
		who, ok := decodeXtext(value)
		if !ok || who != "<>" && !isMailbox(who) {
			return bad()
		}
		c.Auth = who
	default:
		return syntax(555, 5, 4, "unknown parameter of MAIL")
	}
	return nil
}

// set takes one parameter of RCPT.
func (c *RcptCommand) set(name, value string) error {
	bad := func() error { return syntax(501, 5, 4, "bad value of "+name) }
	switch name {
	case "NOTIFY":
		for word := range strings.SplitSeq(strings.ToUpper(value), ",") {
			var n Notify
			switch word {
			case "NEVER":
				n = NotifyNever
			case "SUCCESS":
				n = NotifySuccess
			case "FAILURE":
				n = NotifyFailure
			case "DELAY":
				n = NotifyDelay
			default:
				return bad()
			}
			c.Notify |= n
		}
		if c.Notify&NotifyNever != 0 && c.Notify != NotifyNever {
			return bad()
		}
	case "ORCPT":
		kind, coded, ok := strings.Cut(value, ";")
		kind = strings.ToLower(kind)
		if !ok || !isKeyword(kind) || len(value) > maxOriginal {
			return bad()
		}
		decode := decodeXtext
		if kind == "utf-8" {
			decode = decodeUnitext
		}
		address, ok := decode(coded)
		if !ok || address == "" || kind != "utf-8" && !isASCII(address) {
			return bad()
		}
		c.OriginalType, c.Original = kind, address
	default:
		return syntax(555, 5, 4, "unknown parameter of RCPT")
	}
	return nil
}

// isMailbox tells "local@domain" without brackets.
func isMailbox(s string) bool {
	_, rest, fault := scanPath("<"+s+">", false, false, false)
	return fault == "" && rest == "" && !strings.HasPrefix(s, "@")
}

func hasControl(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return true
		}
	}
	return false
}

// Append appends the command as it stands on the wire, without CRLF. What ParseMail
// would not read back as the same is refused, above all what would end the command
// and begin another.
func (c MailCommand) Append(dst []byte) ([]byte, error) {
	b, err := appendPath(append(dst, "MAIL FROM:"...), c.From, true)
	if err != nil {
		return dst, err
	}
	if c.Size < 0 {
		return dst, fmt.Errorf("write MAIL: size %d", c.Size)
	}
	if c.Size > 0 {
		b = strconv.AppendInt(append(b, " SIZE="...), c.Size, 10)
	}
	switch c.Body {
	case "":
	case BodySeven, BodyEight, BodyBinary:
		b = append(append(b, " BODY="...), c.Body...)
	default:
		return dst, fmt.Errorf("write MAIL: body %q", c.Body)
	}
	if c.UTF8 {
		b = append(b, " SMTPUTF8"...)
	}
	switch c.Return {
	case "":
	case ReturnFull, ReturnHeaders:
		b = append(append(b, " RET="...), c.Return...)
	default:
		return dst, fmt.Errorf("write MAIL: return %q", c.Return)
	}
	if c.EnvelopeID != "" {
		at := len(b) + len(" ENVID=")
		b = appendXtext(append(b, " ENVID="...), c.EnvelopeID)
		if len(b)-at > maxEnvelopeID || !isASCII(c.EnvelopeID) || hasControl(c.EnvelopeID) || strings.Contains(c.EnvelopeID, "\t") {
			return dst, fmt.Errorf("write MAIL: envelope id %q", c.EnvelopeID)
		}
	}
	if c.Auth != "" {
		if c.Auth != "<>" && !isMailbox(c.Auth) {
			return dst, fmt.Errorf("write MAIL: auth %q", c.Auth)
		}
		b = appendXtext(append(b, " AUTH="...), c.Auth)
	}
	if c.RequireTLS {
		b = append(b, " REQUIRETLS"...)
	}
	if !c.UTF8 && (!isASCII(c.From.String()) || !isASCII(c.Auth)) {
		return dst, fmt.Errorf("write MAIL: %q needs SMTPUTF8", c.From)
	}
	return b, nil
}

// Append is MailCommand.Append for RCPT.
func (c RcptCommand) Append(dst []byte) ([]byte, error) {
	b, err := appendPath(append(dst, "RCPT TO:"...), c.To, false)
	if err != nil {
		return dst, err
	}
	switch n := c.Notify; {
	case n == 0:
	case n == NotifyNever:
		b = append(b, " NOTIFY=NEVER"...)
	case n&NotifyNever != 0 || n >= NotifyDelay<<1:
		return dst, fmt.Errorf("write RCPT: notify %#x", uint8(n))
	default:
		b = append(b, " NOTIFY="...)
		for i, word := range [...]string{"SUCCESS", "FAILURE", "DELAY"} {
			if n&(NotifySuccess<<i) != 0 {
				b = append(append(b, word...), ',')
			}
		}
		b = b[:len(b)-1]
	}
	if c.Original == "" {
		return b, nil
	}
	kind := strings.ToLower(c.OriginalType)
	if !isKeyword(kind) || strings.IndexFunc(c.Original, isControlRune) >= 0 || !utf8.ValidString(c.Original) ||
		kind != "utf-8" && !isASCII(c.Original) {
		return dst, fmt.Errorf("write RCPT: original recipient %q of type %q", c.Original, c.OriginalType)
	}
	at := len(b) + len(" ORCPT=")
	b = append(append(append(b, " ORCPT="...), kind...), ';')
	if kind == "utf-8" {
		b = appendUnitext(b, c.Original)
	} else {
		b = appendXtext(b, c.Original)
	}
	if len(b)-at > maxOriginal {
		return dst, fmt.Errorf("write RCPT: original recipient of %d octets", len(b)-at)
	}
	return b, nil
}

// appendPath writes an address that scanPath reads back as the same.
func appendPath(b []byte, a mail.Address, sender bool) ([]byte, error) {
	at := len(b)
	b = append(append(append(b, '<'), a.String()...), '>')
	got, rest, fault := scanPath(string(b[at:]), sender, !sender, false)
	if fault == "" && (rest != "" || got != a) {
		fault = "a character that may not stand in an address"
	}
	if fault != "" {
		return b, fmt.Errorf("write address %q: %s", a.String(), fault)
	}
	return b, nil
}
