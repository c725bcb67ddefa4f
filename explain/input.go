package explain

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/postroad/postroad/diagnose"
	"github.com/postroad/postroad/lang"
	"github.com/postroad/postroad/mail"
	"github.com/postroad/postroad/message"
)

// UnreadableError says that a file or stream could not be read.
type UnreadableError struct {
	Name string
	Err  error // the operating system's own word
}

func (e *UnreadableError) Error() string { return "read " + e.Name + ": " + e.Err.Error() }
func (e *UnreadableError) Unwrap() error { return e.Err }

// errDirectory is the reason why a directory that is no Maildir is not read.
var errDirectory = errors.New("is a directory")

// Path answers what a file, a mailbox or a Maildir holds, one yield a piece of
// evidence; yield returns false to stop. A directory that is no Maildir gives
// an answer of kind unknown and an [UnreadableError].
func (x *Explainer) Path(name string, yield func(*Answer) bool) error {
	info, err := os.Stat(name)
	if err != nil {
		return x.unreadable(name, err)
	}
	if !info.IsDir() {
		return x.file(name, name, yield)
	}
	files := []string{}
	for f, err := range message.Maildir(name) {
		if errors.Is(err, fs.ErrNotExist) {
			break // it has neither cur nor new: no Maildir
		}
		if err != nil {
			return x.unreadable(name, err)
		}
		files = append(files, f)
	}
	if len(files) == 0 {
		a := x.unknown("input.directory", lang.Args{"File": name})
		a.File = name
		yield(a)
		return &UnreadableError{name, errDirectory}
	}
	for _, f := range files {
		more := true
		err := x.file(f, f, func(a *Answer) bool { more = yield(a); return more })
		if err != nil {
			return err
		}
		if !more {
			return nil
		}
	}
	return nil
}

func (x *Explainer) unreadable(name string, err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return &UnreadableError{name, err}
}

func (x *Explainer) file(path, name string, yield func(*Answer) bool) error {
	f, err := os.Open(path)
	if err != nil {
		return x.unreadable(name, err)
	}
	defer f.Close()
	return x.Reader(name, f, yield)
}

// Reader answers what a stream holds: one mail, every mail of an mbox, or a
// text. Memory is bounded by the limits, not by the stream.
func (x *Explainer) Reader(name string, r io.Reader, yield func(*Answer) bool) error {
	br := bufio.NewReaderSize(r, 64<<10)
	head, err := br.Peek(4 << 10)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
		return x.unreadable(name, err)
	}
	if (x.As == "" || x.As == KindMessage) && message.IsMbox(head) {
		return x.mbox(name, br, yield)
	}
	raw, cut, err := message.ReadFrom(br, x.Limits)
	if err != nil {
		return x.unreadable(name, err)
	}
	yield(x.Answer(name, raw, cut))
	return nil
}

func (x *Explainer) mbox(name string, r io.Reader, yield func(*Answer) bool) error {
	box := message.OpenMbox(r, x.Limits)
	for {
		raw, _, cut, err := box.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return x.unreadable(name, err)
		}
		if !yield(x.Answer(name, raw, cut)) {
			return nil
		}
	}
}

// Answer tells what raw is and answers it. cut says that there was more than
// the limits allowed to read.
func (x *Explainer) Answer(name string, raw []byte, cut bool) *Answer {
	a := x.recognised(raw)
	if cut {
		a.Notes = append(a.Notes, x.Texts.Text("input.cut", lang.Args{"Size": x.Texts.Number(len(raw) >> 20)}))
	}
	a.Schema, a.File = Schema, name
	if a.Results == nil {
		a.Results = []Result{}
	}
	return a
}

func (x *Explainer) recognised(raw []byte) *Answer {
	if len(bytes.TrimSpace(raw)) == 0 {
		return x.unknown("input.empty", nil)
	}
	m := message.Read(raw, x.Limits)
	text := func() string { return strings.ToValidUTF8(string(m.Raw), "\uFFFD") }
	switch x.As {
	case KindMessage:
		return x.mail(m)
	case KindBounce:
		return x.notice(text())
	case KindHeaders:
		return x.headers(m)
	case KindReply:
		return x.reply(text())
	case KindLog:
		return x.log(text())
	}
	a := x.guess(m, text)
	for _, n := range m.Notes {
		if key := noteKeys[n.Key]; key != "" {
			a.Notes = append(a.Notes, x.Texts.Text(key, nil))
		}
	}
	return a
}

// noteKeys says which of the mail reader's notes a user must know.
var noteKeys = map[string]string{
	message.NoteDepth:    "input.depth",
	message.NoteParts:    "input.parts",
	message.NoteUTF16:    "input.utf16",
	message.NoteUnclosed: "input.truncated",
}

// guess tells the kinds apart, the ones with the firmest marks first.
func (x *Explainer) guess(m *message.Message, text func() string) *Answer {
	root := &m.Parts[0]
	fields := mailFields(root.Header)
	body := len(bytes.TrimSpace(m.Body(root))) > 0
	if fields >= 2 && !body {
		return x.headers(m)
	}
	if fields >= 2 {
		a := x.mail(m)
		if a.Kind != KindMessage || transported(root.Header) {
			return a
		}
		// "From: ... Subject: ..." without a trace of transport is how a mail
		// program shows or copies a message.
		if n := x.notice(text()); n.Kind != KindUnknown {
			return n
		}
		return a
	}
	if binary(m.Raw) {
		return x.unknown("input.binary", nil)
	}
	s := text()
	if looksLikeLog(s, x) {
		return x.log(s)
	}
	if _, _, ok := mail.ParseCode(strings.TrimSpace(s)); ok && strings.Count(s, "\n") < 40 && !hasStatusFields(s) {
		return x.reply(s)
	}
	if n := x.notice(s); n.Kind != KindUnknown {
		return n
	}
	if strings.Count(strings.TrimSpace(s), "\n") < 40 {
		if a := x.reply(s); a.Kind != KindUnknown {
			return a
		}
	}
	if fields == 1 && !body {
		return x.headers(m)
	}
	return x.unknown("kind.unknown", nil)
}

// hasStatusFields reports whether a text that begins with a reply goes on with
// the fields of a delivery status: people copy both together.
func hasStatusFields(s string) bool {
	low := strings.ToLower(s)
	return strings.Contains(low, "final-recipient:") && strings.Contains(low, "action:")
}

// mailFields counts the header fields that only a mail has. A log or a text
// with a colon in its first line has none.
func mailFields(h message.Header) int {
	n := 0
	for _, name := range []string{"Received", "Return-Path", "From", "To", "Subject", "Date",
		"Message-ID", "MIME-Version", "Content-Type", "Delivered-To", "Reply-To", "Sender",
		"Auto-Submitted", "Authentication-Results", "DKIM-Signature", "X-Forefront-Antispam-Report",
		"X-Microsoft-Antispam", "ARC-Seal", "Received-SPF", "X-Failed-Recipients", "X-Received"} {
		if h.Get(name) != "" {
			n++
		}
	}
	return n
}

// transported reports whether a header shows that the message went through a
// mail system, rather than being what a program displays.
func transported(h message.Header) bool {
	for _, name := range []string{"Received", "Message-ID", "MIME-Version", "Return-Path", "Content-Type"} {
		if h.Get(name) != "" {
			return true
		}
	}
	return false
}

// binary reports whether a text is none: it holds NULs or is mostly no UTF-8
// and no printable Latin.
func binary(b []byte) bool {
	b = b[:min(len(b), 4<<10)]
	odd := 0
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == 0 {
			return true
		}
		if r == utf8.RuneError && n == 1 || r < ' ' && r != '\n' && r != '\r' && r != '\t' && r != '\f' && r != 0x1b {
			odd++
		}
		b = b[n:]
	}
	return odd > 400
}

// unknown is the answer that there is none, and why.
func (x *Explainer) unknown(why string, args lang.Args) *Answer {
	return &Answer{Schema: Schema, Kind: KindUnknown, Results: []Result{}, Reason: x.Texts.Text(why, args)}
}

// looksLikeReply reports whether the engine or the wrappers see an SMTP reply
// in a text.
func looksLikeReply(layers []diagnose.Layer, d mail.Diagnosis) bool {
	for _, l := range layers {
		if l.Reply.Code != 0 || !l.Reply.Enhanced.IsZero() || l.Wrapper != "" {
			return true
		}
	}
	return d.Class != mail.Unknown && d.Confidence >= 0.8
}
