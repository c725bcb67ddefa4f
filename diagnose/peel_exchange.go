package diagnose

import (
	"strings"
	"unicode/utf8"

	"github.com/postroad/postroad/mail"
)

// exchangeLastError reads the last error of a message trace:
//
//	Reason: [{LED=<reply>};{MSG=<words>};{FQDN=<host>};{IP=<ip>};{LRT=<time>}].
//	OutboundProxyTargetIP: <ip>. OutboundProxyTargetHostName: <host>
//
// Traces cut it anywhere, so every part may be missing.
func exchangeLastError(t text) (wrap, bool) {
	i := t.has("{led=")
	if i < 0 {
		if i = t.has("[{msg="); i < 0 {
			return wrap{}, false
		}
		i++
	}
	w := wrap{from: i, name: "exchange-online", local: true}
	w.outer = outerReply(strings.TrimSuffix(strings.TrimRight(t.s[:i], " [{"), "Reason:"))
	rest := t.from(i)
	w.inner = braced(rest, "{led=")
	if w.inner == "" {
		w.inner = braced(rest, "{msg=")
	}
	w.host = braced(rest, "{fqdn=")
	w.ip = address(braced(rest, "{ip="))
	if w.host == "" {
		w.host = labelled(rest, "outboundproxytargethostname:")
	}
	if w.ip == "" {
		w.ip = address(labelled(rest, "outboundproxytargetip:"))
	}
	return w, true
}

// braced gives the value of a "{KEY=value}" field, as much as is left of it.
func braced(t text, key string) string {
	i := t.has(key)
	if i < 0 {
		return ""
	}
	t = t.from(i + len(key))
	for _, end := range [...]string{"};{", "}].", "}]", ". outboundproxytarget"} {
		if j := t.has(end); j >= 0 {
			t = t.upto(j)
		}
	}
	return strings.TrimSuffix(trimSpace(t.s), "}")
}

// labelled gives the word behind a label.
func labelled(t text, label string) string {
	i := t.has(label)
	if i < 0 {
		return ""
	}
	s := strings.TrimLeft(t.s[i+len(label):], " \t")
	if j := strings.IndexAny(s, " \t\n;,"); j >= 0 {
		s = s[:j]
	}
	return strings.TrimRight(s, ".")
}

// exchangeMessage reads the reply that a front end of Exchange quotes:
//
//	450 4.4.317 Cannot connect to remote server [Message=550-5.7.0 ...]
//	[LastAttemptedServerName=host] [LastAttemptedIP=ip:25] [SmtpSecurity=-2;-2]
func exchangeMessage(t text) (wrap, bool) {
	i := t.has("[message=")
	if i < 0 {
		return wrap{}, false
	}
	w := wrap{from: i, name: "exchange-online", outer: outerReply(t.s[:i])}
	rest := t.from(i + len("[message="))
	w.host, w.ip = lastAttempted(rest)
	w.inner = rest.s[:messageEnd(rest)]
	// A reply begins with its code. What does not is the front end's own words:
	// "Socket error code 10061", "TLS negotiation failed".
	w.remote = startsReply(w.inner)
	w.local = !w.remote
	return w, true
}

// messageEnd finds the bracket that closes [Message=. The reply inside may hold
// brackets, and may have lost its end.
func messageEnd(t text) int {
	if i := t.has("] [lastattempted"); i >= 0 {
		return i
	}
	if i := t.has("] [smtpsecurity"); i >= 0 {
		return i
	}
	depth := 0
	for i := 0; i < len(t.s); i++ {
		switch t.s[i] {
		case '[':
			depth++
		case ']':
			if depth == 0 {
				return i
			}
			depth--
		}
	}
	return len(t.s)
}

func lastAttempted(t text) (host, ip string) {
	if i := t.has("[lastattemptedservername="); i >= 0 {
		host = upTo(t.s[i+len("[lastattemptedservername="):], ']')
	}
	if i := t.has("[lastattemptedip="); i >= 0 {
		ip = address(upTo(t.s[i+len("[lastattemptedip="):], ']'))
	}
	return host, ip
}

func upTo(s string, c byte) string {
	if i := strings.IndexByte(s, c); i >= 0 {
		return s[:i]
	}
	return s
}

// exchangeTrailer takes the bracketed fields off a reply that stands before
// them, not inside [Message=...].
func exchangeTrailer(t text) (wrap, bool) {
	if t.has("[message=") >= 0 {
		return wrap{}, false
	}
	i := t.has("[lastattemptedservername=")
	if i < 0 {
		i = t.has("[lastattemptedip=")
	}
	if i <= 0 {
		return wrap{}, false
	}
	w := wrap{from: i, name: "exchange-online", inner: t.s[:i]}
	w.host, w.ip = lastAttempted(t.from(i))
	return w, true
}

// exchangeOld reads the forms of Exchange 2000 to 2016:
//
//	<mx.example.com #5.7.1 smtp;550 5.7.1 ...> #SMTP#
//	#550 5.1.1 RESOLVER.ADR.RecipNotFound; not found ##
func exchangeOld(t text) (wrap, bool) {
	s := strings.TrimLeft(t.s, "# ")
	if strings.HasPrefix(s, "<") {
		i := strings.Index(s, "#")
		if i < 1 || i > 260 || strings.ContainsAny(s[1:i], "@\n>") {
			return wrap{}, false
		}
		_, rest, ok := mail.ParseEnhanced(s[i+1:])
		if !ok {
			return wrap{}, false
		}
		rest = trimSpace(strings.TrimRight(trimSpace(trimHash(rest)), "#"))
		rest = strings.TrimSuffix(trimSpace(rest), ">")
		w := wrap{from: 0, name: "exchange", inner: rest, host: trimSpace(s[1:i])}
		if rest = trimSpace(rest); len(rest) > 5 && strings.EqualFold(rest[:5], "smtp;") {
			w.inner, w.remote = rest[5:], true
		}
		if strings.ContainsAny(w.host, " :;,") {
			w.host = ""
		}
		return w, trimSpace(w.inner) != ""
	}
	if strings.HasSuffix(t.s, "##") || strings.HasSuffix(t.s, "#SMTP#") {
		inner := trimHash(t.s)
		for i := range len(inner) { // what stands before the mark is the recipient
			if inner[i] == '#' && startsReply(inner[i+1:]) {
				inner = inner[i:]
				break
			}
		}
		return wrap{from: 0, name: "exchange", inner: strings.Trim(inner, "# ")}, true
	}
	return wrap{}, false
}

func trimHash(s string) string {
	return strings.TrimSuffix(strings.TrimSuffix(s, "#SMTP#"), "##")
}

// returned are the words with which Exchange introduces the reply of another
// host, and what may stand behind the quotation, in the six languages. Codes
// and replies stay English, the words round them do not.
var returned = [...]string{
	"remote server returned",
	"server returned",
	"serveur distant a renvoyé",
	"serveur distant a retourné",
	"serveur distant a répondu",
	"remoteserver hat folgendes zurückgegeben",
	"remoteserver hat",
	"remoteserver gab",
	"remoteserver antwortete",
	"server remoto ha restituito",
	"server remoto ha risposto",
	"servidor remoto devolvió",
	"servidor remoto ha devuelto",
	"servidor remoto respondió",
	"servidor remoto retornou",
	"servidor remoto devolveu",
	"servidor remoto respondeu",
	"servidor remoto (retornou)",
}

// at are the words of the longer form that names the host between two halves:
// "Remote Server at mx.example.com (192.0.2.1) returned '...'".
var returnedAt = [...]struct{ before, after string }{
	{"server at ", "returned"},
	{"serveur distant à ", "a renvoyé"},
	{"serveur distant à l'adresse ", "a renvoyé"},
	{"serveur à ", "a renvoyé"},
	{"server unter ", "hat"},
	{"remoteserver unter ", "hat"},
	{"remoteserver bei ", "hat"},
	{"server remoto in ", "ha restituito"},
	{"server remoto su ", "ha restituito"},
	{"servidor remoto en ", "devolvió"},
	{"servidor remoto en ", "ha devuelto"},
	{"servidor remoto em ", "retornou"},
	{"servidor remoto em ", "devolveu"},
}

// remoteReturned reads "Remote Server returned '550 ...'" in six languages,
// with or without the host in the middle.
func remoteReturned(t text) (wrap, bool) {
	if t.has("server") < 0 && t.has("serv") < 0 {
		return wrap{}, false
	}
	best, found := wrap{from: len(t.s) + 1}, false
	for _, words := range returned {
		i := t.has(words)
		if i < 0 || i >= best.from {
			continue
		}
		if inner, ok := quotation(t.s[i+len(words):]); ok {
			best, found = wrap{from: i, name: "exchange", inner: inner, remote: true}, true
		}
	}
	for _, words := range returnedAt {
		i := t.has(words.before)
		if i < 0 || i >= best.from {
			continue
		}
		rest := t.from(i + len(words.before))
		j := rest.has(words.after)
		if j < 0 || j > 320 {
			continue
		}
		if inner, ok := quotation(rest.s[j+len(words.after):]); ok {
			best, found = wrap{from: i, name: "exchange", inner: inner, remote: true}, true
			best.host, best.ip = namedHost(rest.s[:j])
		}
	}
	if found {
		before := t.s[:best.from]
		if best.host == "" && best.ip == "" {
			best.host, best.ip = hostInFront(before)
		}
		best.outer = outerReply(before)
	}
	return best, found
}

// hostInFront reads the host that Exchange writes in a line of its own in front
// of "Remote Server returned"; an article of the words may stand between.
func hostInFront(s string) (host, ip string) {
	words := strings.Fields(s[max(0, len(s)-300):])
	if n := len(words); n > 1 && len(words[n-1]) <= 3 { // Le, Il, El, O, Der
		words = words[:n-1]
	}
	if n := len(words); n > 1 && address(strings.Trim(words[n-1], "[]()")) != "" {
		return namedHost(words[n-2] + " " + words[n-1])
	}
	if n := len(words); n > 0 && strings.Count(words[n-1], ".") >= 2 {
		return namedHost(strings.TrimRight(words[n-1], ":."))
	}
	return "", ""
}

// exchangeGave reads the form of Exchange Online's notices: "mx.example.com gave
// this error:" and the error, with its code or without.
func exchangeGave(t text) (wrap, bool) {
	const words = " gave this error:"
	i := t.has(words)
	if i < 0 {
		return wrap{}, false
	}
	from := strings.LastIndexAny(t.s[:i], " \n\t") + 1
	w := wrap{from: from, name: "exchange-online", inner: t.s[i+len(words):], remote: true}
	w.host, w.ip = namedHost(t.s[from:i])
	if j := strings.Index(w.inner, "\n\n"); j > 0 && trimSpace(w.inner[:j]) != "" {
		w.inner = w.inner[:j]
	}
	return w, trimSpace(w.inner) != ""
}

// namedHost reads "mx.example.com (192.0.2.1)" or "mx.example.com".
func namedHost(s string) (host, ip string) {
	s = trimSpace(s)
	if h, a, _, ok := hostIP(s); ok {
		return h, a
	}
	if i := strings.IndexAny(s, " ("); i >= 0 {
		s = s[:i]
	}
	if a := address(strings.Trim(s, "[]")); a != "" {
		return "", a
	}
	if nameBytes(s) && strings.Contains(s, ".") {
		return s, ""
	}
	return "", ""
}

// quotes maps an opening quotation mark to those that may close it; mail uses
// every pairing.
const (
	openQuotes  = "'\"‘’“”„«»‹"
	closeQuotes = "'\"‘’“”«»›"
)

// quotation reads a quoted reply at the start of s, behind a colon or not. The
// reply itself may hold quotation marks, so the first one that ends a line is
// taken for the end, or the last one of the paragraph. Without a mark a reply code must follow.
func quotation(s string) (inner string, ok bool) {
	s = strings.TrimLeft(s, " \t\n:")
	open, size := utf8.DecodeRuneInString(s)
	if size == 0 {
		return "", false
	}
	if !strings.ContainsRune(openQuotes, open) {
		if !startsReply(s) || s[0] == '<' {
			return "", false
		}
		return s, true
	}
	s = strings.TrimLeft(s[size:], " \u00a0")
	if i := strings.Index(s, "\n\n"); i >= 0 {
		s = s[:i]
	}
	last := -1
	for i, r := range s {
		if !closes(open, r) {
			continue
		}
		last = i
		if rest := strings.TrimLeft(s[i+utf8.RuneLen(r):], " .\u00a0"); rest == "" || rest[0] == '\n' {
			break
		}
	}
	if last >= 0 {
		s = s[:last]
	}
	return strings.TrimRight(s, " \u00a0"), true
}

func closes(open, r rune) bool {
	switch open {
	case '\'', '‘', '’':
		return r == '\'' || r == '’' || r == '‘'
	case '"', '“', '”', '„':
		return r == '"' || r == '“' || r == '”'
	}
	return strings.ContainsRune("«»‹›", r)
}

// primaryTarget reads the queue's last error of an Exchange on premises:
//
//	451 4.4.0 Primary target IP address responded with: "421 4.2.1 Unable to
//	connect." Attempted failover to alternate host, but that did not succeed.
func primaryTarget(t text) (wrap, bool) {
	const responded, communicating = "primary target ip address responded with", "communicating with primary target ip address"
	i, words := t.has(responded), responded
	if i < 0 {
		i, words = t.has(communicating), communicating
	}
	if i < 0 {
		return wrap{}, false
	}
	rest := strings.TrimLeft(t.s[i+len(words):], " \t\n:")
	if !strings.HasPrefix(rest, `"`) && !strings.HasPrefix(rest, "'") {
		return wrap{}, false
	}
	inner := rest[1:]
	if j := strings.IndexByte(inner, rest[0]); j >= 0 {
		inner = inner[:j]
	}
	w := wrap{from: i, name: "exchange", inner: inner, outer: outerReply(t.s[:i+len(words)])}
	w.local = !startsReply(inner)
	return w, true
}

// arrow reads the chains of Exchange Online: "550 5.4.300 Message expired ->
// 421 4.4.2 ...". What stands before the arrow stays a layer.
func arrow(t text) (wrap, bool) {
	for from := 0; ; {
		i, n := strings.Index(t.s[from:], "->"), 2
		if j := strings.Index(t.s[from:], "-&gt;"); j >= 0 && (i < 0 || j < i) {
			i, n = j, 5
		}
		if i < 0 {
			return wrap{}, false
		}
		i += from
		left, right := trimSpace(t.s[:i]), trimSpace(t.s[i+n:])
		spaced := i > 0 && isSpace(t.s[i-1]) || i+n < len(t.s) && isSpace(t.s[i+n])
		chain := startsReply(right) || unquote(right) == "" && startsReply(left) || quoting(t.low[:i])
		if spaced && left != "" && chain && t.s[i-1] != '-' {
			return arrowWrap(t, i, left, right), true
		}
		from = i + n
	}
}

// quoting reports whether the words are those behind which Exchange quotes.
func quoting(low string) bool {
	return strings.Contains(low, "remote server returned") || strings.Contains(low, "message expired")
}

func arrowWrap(t text, i int, left, right string) wrap {
	w := wrap{from: i, name: "chain", inner: unquote(right), outer: left}
	if quoting(t.low[:i]) {
		w.name, w.remote = "exchange-online", strings.Contains(t.low[:i], "remote server returned")
	}
	return w
}

// unquote takes quotation marks off that stand round the whole text.
func unquote(s string) string {
	for len(s) >= 2 && (s[0] == '"' || s[0] == '\'') && s[len(s)-1] == s[0] {
		s = trimSpace(s[1 : len(s)-1])
	}
	return s
}

// outerReply gives s if it is a reply with words of its own: those stay in the
// chain, a mere code or a heading does not.
func outerReply(s string) string {
	s = trimSpace(s)
	if s == "" || !startsReply(s) {
		return ""
	}
	if r := parseReply(s); len(r.Lines) == 0 {
		return ""
	}
	return s
}
