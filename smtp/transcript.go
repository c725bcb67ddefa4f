package smtp

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// A Side is one of the two that speak.
type Side byte

// The sides, as they stand in a transcript.
const (
	FromClient Side = 'C'
	FromServer Side = 'S'
)

// Other is the one at the far end.
func (s Side) Other() Side {
	if s == FromClient {
		return FromServer
	}
	return FromClient
}

const (
	transcriptBytes = 32 << 10
	transcriptLine  = 512 // of one entry; the rest is counted
	masked          = "[masked]"
)

// A Transcript is what the two sides said, line by line, bounded, with the time of
// each line, fit to be shown: what a client says to prove who it is (AUTH and the
// lines that follow it, the LOGIN of XCLIENT) is masked, of message content there is
// the size only, control characters are spelled out. The addresses are as they
// were said.
//
// The first lines are kept, and the last: what is left out of the middle is counted.
// A nil Transcript keeps nothing. It may be used by several goroutines.
type Transcript struct {
	mu    sync.Mutex
	start time.Time
	head  []Entry
	tail  []Entry
	left  [2]int // room in head and tail, bytes
	gone  int    // entries left out between head and tail

	auth   bool // an AUTH exchange is under way
	authed bool // there was an AUTH: what looks like no command may be a secret
}

// An Entry is one line.
type Entry struct {
	At   time.Duration // since the start
	From Side          // 0 for a note of our own
	Text string        // masked, printable
}

// NewTranscript begins now. max bounds the text that is kept, in bytes; 0 is 32 KiB.
func NewTranscript(max int) *Transcript {
	if max <= 0 {
		max = transcriptBytes
	}
	return &Transcript{start: time.Now(), left: [2]int{max / 2, max / 2}}
}

// Line records one line that a side said, without its CRLF.
func (t *Transcript) Line(from Side, line []byte) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.add(from, t.mask(from, line))
}

// Content records that a side sent n octets of message content.
func (t *Transcript) Content(from Side, n int64) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.add(from, fmt.Sprintf("[%d octets of content]", n))
}

// Note records what happened beside the lines: TLS, a timeout, the end.
func (t *Transcript) Note(text string) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.add(0, printable([]byte(text)))
}

// add keeps an entry; the caller holds the lock.
func (t *Transcript) add(from Side, text string) {
	e := Entry{At: time.Since(t.start), From: from, Text: text}
	cost := len(text) + 32
	if t.gone == 0 && len(t.tail) == 0 && cost <= t.left[0] {
		t.left[0] -= cost
		t.head = append(t.head, e)
		return
	}
	t.tail = append(t.tail, e)
	t.left[1] -= cost
	drop := 0
	for t.left[1] < 0 && drop < len(t.tail)-1 {
		t.left[1] += len(t.tail[drop].Text) + 32
		drop++
	}
	t.gone += drop
	t.tail = t.tail[drop:]
}

// mask takes the secrets out of a line and makes it printable; the caller holds the
// lock.
func (t *Transcript) mask(from Side, line []byte) string {
	if from == FromServer {
		if len(line) >= 3 && string(line[:3]) == "334" {
			t.auth = true // also where a reply to an earlier command came in between
			return "334 " + masked
		}
		if len(line) < 4 || line[3] != '-' {
			t.auth = false
		}
		return printable(line)
	}
	if t.auth {
		return masked
	}
	// What stands behind a CR or LF would be another line to a careless reader.
	more := 0
	if i := bytes.IndexAny(line, "\r\n"); i >= 0 {
		more = len(line) - i
		line = line[:i]
	}
	words := strings.FieldsFunc(string(line), isBlank)
	if len(words) > 0 && len(words[0]) >= 4 && strings.EqualFold(words[0][:4], "AUTH") {
		t.auth, t.authed = true, true
		return maskAuth(words)
	}
	s := maskCommand(line, words, t.authed)
	if more > 0 {
		s += fmt.Sprintf(" [and %d octets]", more)
	}
	return s
}

func isBlank(c rune) bool { return c == ' ' || c == '\t' }

// maskAuth leaves the name of the mechanism, if it is one.
func maskAuth(words []string) string {
	if len(words[0]) != 4 {
		return "AUTH " + masked
	}
	if len(words) == 1 {
		return "AUTH"
	}
	if !slices.Contains(authMechanisms[:], strings.ToUpper(words[1])) {
		return "AUTH " + masked
	}
	s := "AUTH " + strings.ToUpper(words[1])
	if len(words) > 2 {
		s += " " + masked
	}
	return s
}

// maskCommand masks a command that is not AUTH. What is no command of SMTP may be a
// mistyped one: its arguments are not shown, and after an AUTH nothing of it.
func maskCommand(line []byte, words []string, authed bool) string {
	if len(words) == 0 {
		return printable(line)
	}
	switch strings.ToUpper(words[0]) {
	case "XCLIENT":
		for i, w := range words {
			if name, _, ok := strings.Cut(w, "="); ok && strings.EqualFold(name, "LOGIN") {
				words[i] = name + "=" + masked
			}
		}
		return printable([]byte(strings.Join(words, " ")))
	case "EHLO", "HELO", "LHLO", "MAIL", "RCPT", "DATA", "BDAT", "RSET", "NOOP", "QUIT", "STARTTLS", "VRFY",
		"EXPN", "HELP", "ETRN", "PROXY":
		return printable(line)
	}
	switch {
	case authed && words[0] != "*":
		return fmt.Sprintf("[%d octets, no command]", len(line))
	case len(words) == 1:
		return printable(line)
	}
	return printable([]byte(words[0])) + fmt.Sprintf(" [and %d octets]", len(line)-len(words[0]))
}

// printable cuts a text and spells out what a terminal would act on.
func printable(line []byte) string {
	more := 0
	if len(line) > transcriptLine {
		more = len(line) - transcriptLine
		line = line[:transcriptLine]
	}
	plain := true
	for _, c := range line {
		if c < ' ' || c > '~' {
			plain = false
			break
		}
	}
	s := string(line)
	if !plain {
		s = spellOut(line)
	}
	if more > 0 {
		s += fmt.Sprintf(" [and %d octets]", more)
	}
	return s
}

func spellOut(line []byte) string {
	var b strings.Builder
	for len(line) > 0 {
		r, n := utf8.DecodeRune(line)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, "\\x%02x", line[0])
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r < 0x80:
			fmt.Fprintf(&b, "\\x%02x", r)
		default:
			fmt.Fprintf(&b, "\\u%04x", r)
		}
		line = line[n:]
	}
	return b.String()
}

// Entries gives what was kept, in order; a note stands where lines were left out.
func (t *Transcript) Entries() []Entry {
	if t == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	all := append([]Entry(nil), t.head...)
	if t.gone > 0 {
		all = append(all, Entry{At: t.tail[0].At, Text: fmt.Sprintf("%d lines left out", t.gone)})
	}
	return append(all, t.tail...)
}

// String gives the transcript as a postmaster reads it: seconds since the start, who
// spoke (C, S, or * for a note), what.
func (t *Transcript) String() string {
	var b strings.Builder
	for _, e := range t.Entries() {
		who := "*"
		if e.From != 0 {
			who = string(rune(e.From))
		}
		fmt.Fprintf(&b, "%8.3f %s: %s\n", e.At.Seconds(), who, e.Text)
	}
	return b.String()
}
