package diagnose

import (
	"strings"

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
func Peel(text string) []Layer {
	s := tidy(text)
	if s == "" {
		return nil
	}
	layers := make([]Layer, 0, 2)
	var at Layer // what the wrappers so far say of the text that is left
	for range MaxDepth {
		w, ok := unwrap(s)
		if !ok {
			break
		}
		inner := trimSpace(w.inner)
		if w.outer != "" {
			layers = append(layers, finish(at, w.outer))
			at = Layer{}
		}
		if inner == "" {
			s = ""
			break
		}
		at.take(w)
		s = inner
	}
	if s != "" || len(layers) == 0 {
		layers = append(layers, finish(at, s))
	}
	return layers
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
func finish(at Layer, text string) Layer {
	text = trimSpace(text)
	at.Text = text
	if !at.Remote {
		if w, ok := localWords(text); ok {
			at.take(w)
		}
	}
	at.Reply = parseReply(text)
	return at
}

// unwrap finds the outermost wrapper of s.
func unwrap(s string) (best wrap, ok bool) {
	t := text{s, lower(s)}
	best.from = len(s) + 1
	for _, try := range wrappers {
		if w, found := try(t); found && w.from < best.from && len(w.inner) < len(s) {
			best, ok = w, true
		}
	}
	return best, ok
}

// wrappers are the forms that are known. Each function finds its own form
// anywhere in a text and says where it begins; where two begin at the same
// place, the earlier one in this list is meant.
var wrappers = [...]func(text) (wrap, bool){
	diagnosticType,
	parentheses,
	addressPrefix,
	exchangeLastError,
	exchangeMessage,
	exchangeTrailer,
	exchangeOld,
	remoteReturned,
	primaryTarget,
	arrow,
	postfixSaid,
	postfixInReply,
	postfixSuspended,
	eximError,
	eximRetryEnd,
	qmailSaid,
	transcript,
	notesTransfer,
	quotedTail,
	announced,
}

// tidy makes one kind of line end, drops what no reply holds and bounds the
// length.
func tidy(s string) string {
	if len(s) > mail.MaxReply {
		s = s[:mail.MaxReply]
	}
	s = trimSpace(s)
	for i := 0; i < len(s); i++ {
		if c := s[i]; c == '\r' || c < ' ' && c != '\n' && c != '\t' || c == 0x7f || c == 0xc2 && i+1 < len(s) && s[i+1] == 0xa0 {
			return trimSpace(clean.Replace(s))
		}
	}
	return s
}

var clean = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u00a0", " ",
	"\x00", "", "\x01", " ", "\x02", " ", "\x03", " ", "\x04", " ", "\x05", " ", "\x06", " ", "\x07", " ",
	"\x08", " ", "\x0b", " ", "\x0c", " ", "\x0e", " ", "\x0f", " ", "\x10", " ", "\x11", " ", "\x12", " ",
	"\x13", " ", "\x14", " ", "\x15", " ", "\x16", " ", "\x17", " ", "\x18", " ", "\x19", " ", "\x1a", " ",
	"\x1b", " ", "\x1c", " ", "\x1d", " ", "\x1e", " ", "\x1f", " ", "\x7f", " ")

func trimSpace(s string) string { return strings.Trim(s, " \t\r\n") }
