package diagnose

import (
	"strings"
	"sync"

	"github.com/postroad/postroad/mail"
)

// MaxDepth is how many wrappers are taken off at most. Real mail has up to
// four (a report in a report, each of them with two).
const MaxDepth = 8

// Layer is one reply of a chain of replies that quote each other.
type Layer struct {
	Reply   mail.Reply // code, enhanced code and the text of every line; Code 0 where the text has none
	Text    string     // the layer as the evidence has it, without its wrapper
	Host    string     // who wrote it or was spoken to, lower case; "" if the wrapper does not say
	IP      string     // that host's address, without port
	Stage   mail.Stage // as the wrapper says; unknown if it does not
	Remote  bool       // a remote host wrote the reply
	Local   bool       // the sending side wrote it: no remote host spoke. Neither: the evidence does not say
	Wrapper string     // what was taken off to get here, such as "postfix" or "exchange-online"; "" for bare text
}

// Peel takes the wrappers off a reply: what an MTA, a log or a report writes
// round the words that it was told. The outermost layer comes first, the
// innermost last; there is at least one layer unless text is blank. A wrapper
// that is no reply of its own ("host mx[192.0.2.1] said: ...") leaves no layer,
// only what it says of the one inside; one that is ("550 5.4.300 Message
// expired -> ...") stays as a layer. At most [mail.MaxReply] bytes are read and
// [MaxDepth] wrappers taken off.
func Peel(raw string) []Layer {
	s := bared(tidy(raw))
	if s == "" {
		return nil
	}
	layers := make([]Layer, 0, 2)
	var at Layer // what the wrappers so far say of the text that is left
	var t text
	var m marks
	for depth := 0; ; depth++ {
		t = newText(s)
		m = findMarks(t)
		w, ok := unwrap(t, m)
		if !ok || depth == MaxDepth {
			break
		}
		inner := trimSpace(w.inner)
		if w.outer != "" {
			layers = append(layers, finishOuter(at, w.outer))
			if !w.same {
				at = Layer{}
			}
		}
		if inner == "" && w.outer != "" {
			return layers
		}
		at.take(w)
		if inner == "" { // the wrapper's own words are all there is
			break
		}
		s = inner
	}
	return append(layers, finish(at, t, m))
}

func finishOuter(at Layer, s string) Layer {
	t := newText(s)
	return finish(at, t, findMarks(t))
}

// wrap is what one wrapper says and holds.
type wrap struct {
	from   int    // where it begins; of several the first one is the outermost
	name   string // see Layer.Wrapper; "" keeps the name of the wrapper before
	outer  string // a reply of its own that stays in the chain, or ""
	inner  string
	host   string
	ip     string
	stage  mail.Stage
	remote bool
	local  bool
	same   bool // what was said before of host and stage is about the inner reply too
}

// take notes what the wrapper w says; what it leaves open stays as it was.
func (l *Layer) take(w wrap) {
	if w.name != "" {
		l.Wrapper = w.name
	}
	if w.host != "" {
		l.Host = mail.NormalDomain(w.host)
	}
	if w.ip != "" {
		l.IP = w.ip
	}
	if w.stage != mail.StageUnknown {
		l.Stage = w.stage
	}
	if w.remote || w.local {
		l.Remote, l.Local = w.remote, w.local
	}
}

// finish reads the reply of a layer and, where the text is a sending MTA's own
// report of a broken session, the host and phase that it names.
func finish(at Layer, t text, m marks) Layer {
	at.Text = t.s
	if !at.Remote && m.own() {
		if w, ok := localWords(t); ok {
			at.take(w)
		}
	}
	at.Reply = parseReply(t.s)
	return at
}

// unwrap finds the outermost wrapper of a text.
func unwrap(t text, m marks) (best wrap, ok bool) {
	best.from = len(t.s) + 1
	for i := range wrappers {
		if wr := &wrappers[i]; wr.words != nil && !m.wrapper(i) || wr.words == nil && !wr.may(t.s) {
			continue
		}
		if w, found := wrappers[i].read(t); found && w.from < best.from && len(w.inner) < len(t.s) {
			best, ok = w, true
		}
	}
	return best, ok
}

// wrapper is a form of wrapping. read finds it anywhere in a text; it is called
// where one of the words is in the text, or, if there are none, may says yes.
type wrapper struct {
	read  func(text) (wrap, bool)
	may   func(string) bool
	words []string
}

// wrappers are the forms that are known. Where two begin at the same place, the
// earlier one in this list is meant.
var wrappers = [...]wrapper{
	{read: diagnosticType, may: mayHaveType},
	{read: parentheses, may: func(s string) bool { return s[0] == '(' }},
	{read: addressPrefix, may: mayHaveAddress},
	{read: exchangeLastError, words: []string{"{led=", "[{msg="}},
	{read: exchangeMessage, words: []string{"[message="}},
	{read: exchangeTrailer, words: []string{"[lastattempted"}},
	{read: exchangeOld, may: func(s string) bool { return s[0] == '<' || s[0] == '#' || s[len(s)-1] == '#' }},
	{read: remoteReturned, words: []string{"server returned", "serveur", "remoteserver", "remoto", "server at ", "server unter "}},
	{read: primaryTarget, words: []string{"primary target ip address"}},
	{read: arrow, words: []string{" ->", "-> ", "\n->", "->\n", "\t->", "->\t", " -&gt;", "-&gt; "}},
	{read: postfixSaid, words: []string{" said:", " refused to talk to me:", " responded with failure:"}},
	{read: postfixInReply, words: []string{"(in reply to "}},
	{read: postfixSuspended, words: []string{"delivery temporarily suspended:"}},
	{read: eximError, words: []string{"smtp error from remote "}},
	{read: gaveUp, words: []string{"retry timeout exceeded", "i'm not going to try again"}},
	{read: dmaDislike, words: []string{" did not like our "}},
	{read: qmailSaid, words: []string{"remote host said:", "remote_host_said:"}},
	{read: qmailProgress, words: []string{"most progress was "}},
	{read: transcriptHead, may: func(s string) bool { return s[0] == '-' }},
	{read: sendmailReason, words: []string{"(reason: "}},
	{read: transcript, words: []string{"<<< "}},
	{read: amavis, words: []string{"from mta("}},
	{read: notesTransfer, words: []string{"error transferring to "}},
	{read: quotedTail, may: func(s string) bool { return s[len(s)-1] == '>' }},
	{read: exchangeGave, words: []string{" gave this error:"}},
	{read: announced, words: announcementWords()},
}

// marks says which wrappers' words and which own words are in a text: a bit for
// each wrapper, then one for all [ownWords].
type marks [1]uint64

func (m marks) wrapper(i int) bool { return m[0]>>i&1 != 0 }
func (m marks) own() bool          { return m[0]>>len(wrappers)&1 != 0 }

// findMarks looks for all the words at once.
func findMarks(t text) (m marks) {
	markIndex().scan(t.low, m[:])
	return m
}

var markIndex = sync.OnceValue(func() *index {
	var literals []string
	var owners []uint16
	for i, w := range wrappers {
		for _, l := range w.words {
			literals, owners = append(literals, l), append(owners, uint16(i))
		}
	}
	for _, l := range [...]string{"connect to ", "connection timed out", "connection refused", "no route to host", "is unreachable", "network unreachable"} {
		literals, owners = append(literals, l), append(owners, uint16(len(wrappers)))
	}
	for _, o := range ownWords {
		literals, owners = append(literals, o.words), append(owners, uint16(len(wrappers)))
	}
	return fileLiterals(literals, owners)
})

// tidy makes one kind of line end, drops what no reply holds, bounds the length
// and undoes the folding of long lines.
func tidy(s string) string {
	if len(s) > mail.MaxReply {
		s = s[:mail.MaxReply]
	}
	s = trimSpace(s)
	lines := false
	for i := 0; i < len(s); i++ {
		c := s[i]
		if untidy[c] && (c != 0xc2 || i+1 < len(s) && s[i+1] == 0xa0) {
			return unfoldLines(trimSpace(clean.Replace(s)))
		}
		lines = lines || c == '\n'
	}
	if lines {
		return unfoldLines(s)
	}
	return s
}

// unfoldLines joins the lines that begin with white space to those before: MTAs
// fold what they write, also in the middle of "(in reply to RCPT TO command)".
// Marks of a transcript begin a line wherever they stand.
func unfoldLines(s string) string {
	if !strings.Contains(s, "\n ") && !strings.Contains(s, "\n\t") {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for line := range strings.SplitSeq(s, "\n") {
		text := trimSpace(line)
		switch {
		case b.Len() == 0:
		case text != "" && text != line && isSpace(line[0]) && !mark(text):
			b.WriteByte(' ')
		default:
			b.WriteByte('\n')
		}
		b.WriteString(text)
	}
	return trimSpace(b.String())
}

func mark(line string) bool {
	return strings.HasPrefix(line, "<<<") || strings.HasPrefix(line, ">>>") || strings.HasPrefix(line, "---")
}

// untidy are the bytes at which clean may have something to do.
var untidy = func() (t [256]bool) {
	for c := range ' ' {
		t[c] = c != '\n' && c != '\t'
	}
	t[0x7f], t[0xc2] = true, true // the latter begins a no-break space
	return t
}()

var clean = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u00a0", " ",
	"\x00", "", "\x01", " ", "\x02", " ", "\x03", " ", "\x04", " ", "\x05", " ", "\x06", " ", "\x07", " ",
	"\x08", " ", "\x0b", " ", "\x0c", " ", "\x0e", " ", "\x0f", " ", "\x10", " ", "\x11", " ", "\x12", " ",
	"\x13", " ", "\x14", " ", "\x15", " ", "\x16", " ", "\x17", " ", "\x18", " ", "\x19", " ", "\x1a", " ",
	"\x1b", " ", "\x1c", " ", "\x1d", " ", "\x1e", " ", "\x1f", " ", "\x7f", " ")

func trimSpace(s string) string { return strings.Trim(s, " \t\r\n") }
