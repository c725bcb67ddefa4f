package smtp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/postroad/postroad/mail"
)

// What can be wrong with a reply. The session is not to be trusted afterwards: which
// reply belongs to which command is no longer known.
var (
	// ErrReply is a line that is no reply.
	ErrReply = errors.New("no SMTP reply")
	// ErrReplyTooLong is a reply of more lines or bytes than anybody would read.
	ErrReplyTooLong = errors.New("reply too long")
	// ErrUnexpected is a reply that nothing was asked for, or one whose code has no
	// meaning at its place.
	ErrUnexpected = errors.New("unexpected reply")
)

// The bounds of a reply. RFC 5321 section 4.5.3.1.5 has 512 bytes a line; texts with
// links are longer. What is kept is bounded apart from what is read: an endless greeting
// is no reason to lose the reply, a reply that does not end is.
const (
	replyLine  = 8 << 10 // one line
	replyKept  = 100     // lines that are kept: the first ones and the last
	replyLines = 1000    // lines after which it is no reply
	replyBytes = 256 << 10
)

// Odd is a set of liberties that a server takes with its replies. None of them is
// an error; a postmaster may want to know.
type Odd uint16

// The liberties.
const (
	OddBareLF   Odd = 1 << iota // a line ended with LF alone
	OddCodes                    // the codes differ between the lines; the last one counts (as Postfix has it)
	OddNoCode                   // a line within a reply had no code
	OddNoSpace                  // text follows the code at once
	OddControls                 // CR, NUL or other controls in the text
	OddEightBit                 // octets over 127 in the text
	OddLong                     // a line over 512 octets
	OddLeftOut                  // more lines or bytes than are kept
	OddHELO                     // EHLO was refused and HELO was not
)

var oddNames = [...]string{"bare LF", "codes differ", "line without code", "no space after code", "control characters",
	"8-bit text", "long line", "lines left out", "no EHLO"}

// String names the liberties, "" for none.
func (o Odd) String() string {
	var names []string
	for i, name := range oddNames {
		if o&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// ReadReply reads one reply, RFC 5321 section 4.2. The lines have neither codes nor
// enhanced codes nor controls, those without text are left out but for the first of
// several, which is not a keyword of EHLO. The code is that of the last line.
//
// The error is of the wire (io.EOF only before the first byte), ErrReply or
// ErrReplyTooLong. The reply may hold what came until then.
func ReadReply(w *Wire) (r mail.Reply, odd Odd, err error) {
	var texts replyTexts
	for n, size := 0, 0; ; n++ {
		line, err := w.ReadLineLoose(replyLine)
		switch {
		case err == nil, errors.Is(err, ErrBareCR), errors.Is(err, ErrNUL):
		case errors.Is(err, ErrLineTooLong):
			odd |= OddLeftOut
		case errors.Is(err, ErrFlood):
			return texts.reply(r, &odd), odd, fmt.Errorf("read reply: %w: %w", ErrReplyTooLong, err)
		case errors.Is(err, io.EOF) && n > 0:
			return texts.reply(r, &odd), odd, fmt.Errorf("read reply: %w", io.ErrUnexpectedEOF)
		default:
			return texts.reply(r, &odd), odd, err
		}
		if err == nil && w.endedBare() {
			odd |= OddBareLF
		}
		if size += len(line) + 2; n >= replyLines || size > replyBytes {
			return texts.reply(r, &odd), odd, fmt.Errorf("read reply: %w", ErrReplyTooLong)
		}
		code, text, more, ok := cutReply(line, &odd)
		if !ok && n == 0 {
			return r, odd, fmt.Errorf("read reply: %w: %q", ErrReply, printable(line))
		}
		if !ok {
			odd |= OddNoCode
			more = true
		} else {
			if r.Code != 0 && r.Code != code {
				odd |= OddCodes
			}
			r.Code = code
		}
		if e, rest, ok := mail.ParseEnhanced(text); ok && (r.Enhanced.IsZero() || e == r.Enhanced) {
			r.Enhanced, text = e, strings.TrimLeft(rest, " \t")
		}
		texts.add(text)
		if !more {
			return texts.reply(r, &odd), odd, nil
		}
	}
}

// endedBare says whether the line that was just read ended with LF alone. The octets
// that were taken are still there until the next read.
func (w *Wire) endedBare() bool {
	return w.from > 0 && w.in[w.from-1] == '\n' && (w.from == 1 || w.in[w.from-2] != '\r')
}

// cutReply takes a line apart; ok is false for one without a code.
func cutReply(line []byte, odd *Odd) (code int, text string, more, ok bool) {
	if len(line) > 510 {
		*odd |= OddLong
	}
	rest := line
	if len(line) >= 3 && '2' <= line[0] && line[0] <= '5' && isDigit(line[1]) && isDigit(line[2]) &&
		(len(line) == 3 || !isDigit(line[3])) {
		code, ok = int(line[0]-'0')*100+int(line[1]-'0')*10+int(line[2]-'0'), true
		rest = line[3:]
		switch {
		case len(rest) == 0:
		case rest[0] == '-':
			rest, more = rest[1:], true
		case rest[0] == ' ' || rest[0] == '\t' || rest[0] == '\r':
			rest = rest[1:]
		default:
			*odd |= OddNoSpace
		}
	}
	text = strings.Trim(cleanText(rest, odd), " \t")
	for ok { // "421 421 RP-001": some say it twice
		again, rest, doubled := mail.ParseCode(text)
		if !doubled || again != code {
			break
		}
		text = rest
	}
	return code, text, more, ok
}

// cleanText puts a space for every control character.
func cleanText(b []byte, odd *Odd) string {
	clean := bytes.TrimRight(b, "\r")
	for _, c := range clean {
		switch {
		case c > '~':
			*odd |= OddEightBit
		case c < ' ' && c != '\t':
			*odd |= OddControls
		}
	}
	if len(clean) != len(b) {
		*odd |= OddControls
	}
	if *odd&(OddControls|OddEightBit) == 0 {
		return string(clean)
	}
	return strings.Map(func(c rune) rune {
		if c < ' ' && c != '\t' || 0x7f <= c && c < 0xa0 {
			return ' '
		}
		return c
	}, string(clean))
}

// replyTexts are the lines that are kept: the first ones, and the last.
type replyTexts struct {
	lines []string
	bytes int
	last  string // the last line that found no room
	out   bool   // there was one
}

func (t *replyTexts) add(text string) {
	switch {
	case text == "" && len(t.lines) > 0:
	case !t.out && len(t.lines) < replyKept-1 && t.bytes+len(text) <= mail.MaxReply-replyLine:
		t.lines = append(t.lines, text)
		t.bytes += len(text)
	default:
		t.last, t.out = text, true
	}
}

func (t *replyTexts) reply(r mail.Reply, odd *Odd) mail.Reply {
	r.Lines = t.lines
	if t.out {
		*odd |= OddLeftOut
		r.Lines = append(r.Lines, t.last)
	}
	if len(r.Lines) == 1 && r.Lines[0] == "" {
		r.Lines = nil
	}
	return r
}

// ReplyLines gives a reply as it stands on the wire, without line ends: the code and
// the enhanced code on each line (RFC 2034 section 4), lines of at most 512 octets with
// their end. A line break within a text begins another line, other controls become
// spaces: whatever goes into a reply, it stays one. An enhanced code of another class
// than the code is left out (RFC 2034 section 4 forbids it). The error is for a
// code outside 200 to 599.
func ReplyLines(r mail.Reply) ([]string, error) {
	if r.Code < 200 || r.Code > 599 {
		return nil, fmt.Errorf("write reply: %w: code %d", ErrReply, r.Code)
	}
	prefix := ""
	if int(r.Enhanced.Class) == r.Code/100 {
		prefix = r.Enhanced.String() + " "
	}
	var texts []string
	for _, line := range r.Lines {
		line = strings.ReplaceAll(line, "\r\n", "\n")
		for part := range strings.FieldsFuncSeq(line, func(c rune) bool { return c == '\n' || c == '\r' }) {
			texts = wrapText(texts, cleanText([]byte(part), new(Odd)), 510-4-len(prefix))
		}
	}
	if len(texts) == 0 {
		texts = append(texts, "")
	}
	code := strconv.Itoa(r.Code)
	for i, text := range texts {
		sep := "-"
		if i == len(texts)-1 {
			sep = " "
		}
		texts[i] = code + sep + prefix + text
	}
	return texts, nil
}

// wrapText appends text in pieces of at most limit octets, cut at spaces where there are
// any, never within a character.
func wrapText(lines []string, text string, limit int) []string {
	for len(text) > limit {
		at := strings.LastIndexByte(text[:limit+1], ' ')
		next := at + 1
		if at <= 0 {
			for at = limit; at > limit-4 && text[at]&0xc0 == 0x80; at-- {
			}
			next = at
		}
		lines = append(lines, text[:at])
		text = text[next:]
	}
	return append(lines, text)
}

// appendReply is [ReplyLines] for what nearly all replies are: one short line of printable
// ASCII.
func appendReply(dst []byte, r mail.Reply) ([]byte, bool) {
	if r.Code < 200 || r.Code > 599 || len(r.Lines) != 1 || r.Lines[0] == "" || len(r.Lines[0]) > 400 {
		return dst, false
	}
	for _, c := range []byte(r.Lines[0]) {
		if c < ' ' || c > '~' {
			return dst, false
		}
	}
	dst = append(strconv.AppendInt(dst, int64(r.Code), 10), ' ')
	if e := r.Enhanced; int(e.Class) == r.Code/100 {
		dst = append(strconv.AppendUint(dst, uint64(e.Class), 10), '.')
		dst = append(strconv.AppendUint(dst, uint64(e.Subject), 10), '.')
		dst = append(strconv.AppendUint(dst, uint64(e.Detail), 10), ' ')
	}
	return append(dst, r.Lines[0]...), true
}

// WriteReply writes a reply into the buffer of w, as [ReplyLines] has it.
func WriteReply(w *Wire, r mail.Reply) error {
	if line, ok := appendReply(w.scratch[:0], r); ok {
		w.scratch = line
		return w.WriteLine(line)
	}
	lines, err := ReplyLines(r)
	if err != nil {
		return err
	}
	for _, line := range lines {
		if err := w.WriteLine([]byte(line)); err != nil {
			return err
		}
	}
	return nil
}
