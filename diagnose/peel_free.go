package diagnose

import (
	"strings"
	"unicode/utf8"

	"github.com/postroad/postroad/mail"
)

func mayHaveType(s string) bool {
	return isAlpha(s[0]) && strings.IndexByte(s[:min(len(s), 25)], ';') > 0
}

// diagnosticType takes off the type of a Diagnostic-Code field (RFC 3464
// section 2.3.6): "smtp; 550 ...", "X-Postfix; connect to ...". A type other
// than smtp means that no SMTP reply is quoted as such.
func diagnosticType(t text) (wrap, bool) {
	i := strings.IndexByte(t.s, ';')
	kind := trimSpace(t.low[:i])
	w := wrap{from: 0, inner: t.s[i+1:]}
	switch {
	case kind == "smtp" || kind == "lmtp" || kind == "esmtp" || kind == "500":
		return w, true
	case strings.HasPrefix(kind, "x-") && nameBytes(kind), kind == "unix", kind == "local":
		w.local = true
		if kind == "x-notes" {
			w.name = "notes"
		}
		return w, true
	}
	return wrap{}, false
}

// parentheses takes off the pair in which Postfix's log and queue listings put
// the whole reason.
func parentheses(t text) (wrap, bool) {
	if len(t.s) < 2 || t.s[0] != '(' || t.s[len(t.s)-1] != ')' {
		return wrap{}, false
	}
	depth := 0
	for i := 0; i < len(t.s)-1; i++ {
		switch t.s[i] {
		case '(':
			depth++
		case ')':
			depth--
		}
		if depth == 0 {
			return wrap{}, false
		}
	}
	return wrap{from: 0, inner: t.s[1 : len(t.s)-1]}, true
}

func mayHaveAddress(s string) bool {
	for i := 0; i < len(s) && i <= mail.MaxAddress && !isSpace(s[i]); i++ {
		if s[i] == '@' {
			return true
		}
	}
	return false
}

// addressPrefix takes off the recipient that reports write before the reply:
// "<a@b>: host mx[ip] said: ...", "a@b: 550 ...".
func addressPrefix(t text) (wrap, bool) {
	i := 0
	for i < len(t.s) && i < mail.MaxAddress && !isSpace(t.s[i]) {
		i++
	}
	word := t.s[:i]
	if !strings.HasSuffix(word, ":") || strings.Count(word, "@") != 1 {
		return wrap{}, false
	}
	if _, err := mail.ParseAddress(strings.TrimSuffix(word, ":")); err != nil {
		return wrap{}, false
	}
	return wrap{from: 0, inner: t.s[i:]}, trimSpace(t.s[i:]) != ""
}

// notesTransfer reads Domino's "Error transferring to mx.example.com; 550 ...".
func notesTransfer(t text) (wrap, bool) {
	const words = "error transferring to "
	i := t.has(words)
	if i < 0 {
		return wrap{}, false
	}
	rest := t.s[i+len(words):]
	j := strings.IndexByte(rest, ';')
	if j <= 0 || j > 255 {
		return wrap{}, false
	}
	inner := rest[j+1:]
	for _, said := range [...]string{"smtp protocol returned a permanent error", "smtp protocol returned a transient error"} {
		if k := strings.Index(lower(inner), said); k >= 0 {
			inner = inner[k+len(said):]
		}
	}
	w := wrap{from: i, name: "notes", host: trimSpace(rest[:j]), inner: strings.TrimLeft(inner, " \t\n:;")}
	w.remote = startsReply(w.inner)
	w.local = !w.remote
	return w, w.inner != ""
}

// quotedTail reads a reply in angle brackets behind a summary, as Amazon SES
// writes it: "554 4.4.7 Message expired: unable to deliver in 840
// minutes.<421 4.4.2 Connection timed out>".
func quotedTail(t text) (wrap, bool) {
	if len(t.s) == 0 || t.s[len(t.s)-1] != '>' {
		return wrap{}, false
	}
	for i := len(t.s) - 2; i > 0; i-- {
		if t.s[i] != '<' {
			continue
		}
		inner := t.s[i+1 : len(t.s)-1]
		if code, _, ok := replyCode(inner); ok && code >= 400 {
			if outer := outerReply(t.s[:i]); outer != "" {
				return wrap{from: i, name: "ses", outer: outer, inner: inner}, true
			}
		}
	}
	return wrap{}, false
}

// announcements are words that stand before a quoted reply in the free forms:
// webmail reports, client libraries, ESPs. A reply code must follow.
var announcements = [...]struct {
	words, name string
}{
	{"the error that the other server returned was:", "gmail"},
	{"the response from the remote server was:", "gmail"},
	{"the response was:", "gmail"},
	{"remote server replied:", ""},
	{"remote server said:", ""},
	{"remote host replied:", ""},
	{"remote mail server replied:", ""},
	{"remote-mta said:", ""},
	{"remote mta said:", ""},
	{"server responded with:", ""},
	{"responded with code", ""},
	{"server response:", ""},
	{"smtp server response:", ""},
	{"smtp response:", ""},
	{"smtp error:", ""},
	{"reported error:", "exchange-online"},
	{"diagnostic code: smtp;", ""},
	{"diagnostic-code: smtp;", ""},
	{"smtp; error", ""},
	{"the following reply:", ""},
	{"reason given:", ""},
	{"the reason given by the remote server:", ""},
	{"error message:", ""},
	{"remote server error:", ""},
	{"command failed:", "nodemailer"},
	{"message failed:", "nodemailer"},
	{"recipients were rejected:", "nodemailer"},
	{"failed to connect to any candidate hosts:", "kumomta"},
	{"last response:", ""},
	{"last error:", ""},
	{"last smtp error:", ""},
	{"upstream error:", ""},
	{"was rejected:", ""},
	{" says:", ""},
	{" said:", ""},
	{"message rejected:", ""},
}

func announcementWords() []string {
	words := make([]string, len(announcements))
	for i, a := range announcements {
		words[i] = a.words
	}
	return words
}

func announced(t text) (wrap, bool) {
	best, found := wrap{}, false
	for _, a := range announcements {
		i := t.has(a.words)
		if i < 0 || found && i >= best.from {
			continue
		}
		inner := strings.TrimLeft(t.s[i+len(a.words):], " \t\n\"'")
		if code, _, ok := replyCode(inner); !ok || code < 400 {
			continue
		}
		best, found = wrap{from: i, name: a.name, inner: strings.TrimRight(untilField(inner), "\"'"), remote: true}, true
	}
	if found {
		best.outer = outerReply(t.s[:best.from])
		if i := strings.LastIndex(t.low[:best.from], " by "); i >= 0 {
			best.host, best.ip, _, _ = hostIP(t.s[i+len(" by ") : best.from])
		}
		if words := strings.Fields(t.s[max(0, best.from-300):best.from]); best.host == "" && len(words) > 1 &&
			strings.EqualFold(words[len(words)-2], "host") { // "host mx.example.com said:", the address left out
			best.host, best.ip = namedHost(words[len(words)-1])
		}
	}
	return best, found
}

// untilField cuts a quoted reply before a line that is a field of the report
// ("Remote-MTA: dns; mx.example.com", "DSN generated by: ...") or blank.
func untilField(s string) string {
	at := 0
	for line := range strings.SplitSeq(s, "\n") {
		if at > 0 {
			name, _, ok := strings.Cut(line, ":")
			if trimSpace(line) == "" || ok && fieldNames[lower(name)] {
				return s[:at-1]
			}
		}
		at += len(line) + 1
	}
	return s
}

// fieldNames are those that stand behind a reply in reports.
var fieldNames = map[string]bool{
	"remote-mta": true, "remote system": true, "last-attempt-date": true, "final-log-id": true, "status": true, "action": true,
	"final-recipient": true, "original-recipient": true, "will-retry-until": true, "x-display-name": true, "recipient address": true,
	"dsn generated by": true, "message rejected by": true, "reason": true, "step": true,
}

// amavis reads the reply that the filter got when it passed the mail on:
// "451 4.5.0 id=1-1, from MTA(smtp:[127.0.0.1]:10025): 451 4.3.0 ...".
func amavis(t text) (wrap, bool) {
	const words = "from mta("
	i := t.has(words)
	if i < 0 {
		return wrap{}, false
	}
	j := strings.Index(t.s[i:], "): ")
	if j < 0 || !startsReply(t.s[i+j+3:]) {
		return wrap{}, false
	}
	return wrap{from: i, name: "amavis", inner: t.s[i+j+3:], remote: true}, true
}

// ownWords are the sentences with which a sending MTA reports that a session
// broke. They hold no reply; they name the host and often the phase. Host and
// phase are read where they stand; at is the phase if the words alone say it.
var ownWords = [...]struct {
	words, name string
	at          mail.Stage
}{
	{"lost connection with ", "postfix", ""},
	{"conversation with ", "postfix", ""},
	{"cannot start tls:", "postfix", mail.StageTLS},
	{"ssl_connect error to ", "postfix", mail.StageTLS},
	{"tls is required, but was not offered by host ", "postfix", mail.StageSTARTTLS},
	{"refused to start tls", "postfix", mail.StageSTARTTLS},
	{"server certificate not ", "postfix", mail.StageTLS},
	{"host or domain name not found. name service error", "postfix", mail.StageResolve},
	{"name service error for", "postfix", mail.StageResolve},
	{"unable to look up host", "postfix", mail.StageResolve},
	{"loops back to myself", "postfix", mail.StageResolve},
	{"tlsa lookup error", "postfix", mail.StageResolve},
	{"failed to connect to any candidate hosts", "kumomta", mail.StageConnect},
	{"message has been in queue too long", "", ""},
	{"smtp timeout while connected to ", "exim", ""},
	{"smtp timeout after ", "exim", ""},
	{"remote host closed connection in response to ", "exim", ""},
	{"closed connection in response to ", "exim", ""},
	{"tls session: (", "exim", mail.StageTLS},
	{"have been failing for a long time", "exim", ""},
	{"retry timeout exceeded", "exim", ""},
	{"retry time not reached for any host", "exim", ""},
	{"all relevant mx records point to non-existent hosts", "exim", mail.StageResolve},
	{"unrouteable address", "exim", mail.StageResolve},
	{"unrouteable mail domain", "exim", mail.StageResolve},
	{"wasn't able to establish an smtp connection", "qmail", mail.StageConnect},
	{"couldn't find any host", "qmail", mail.StageResolve},
	{"couldn't find a mail exchanger or ip address", "qmail", mail.StageResolve},
	{"cname lookup failed temporarily", "qmail", mail.StageResolve},
	{"but connection died", "qmail", ""},
	{"reply: read error from ", "sendmail", ""},
	{"deferred: ", "sendmail", ""},
	{"host unknown (name server:", "sendmail", mail.StageResolve},
	{"name server: ", "sendmail", mail.StageResolve},
	{"socket error code 10060", "exchange-online", mail.StageConnect}, // timed out
	{"socket error code 10061", "exchange-online", mail.StageConnect}, // refused
	{"socket error code", "exchange-online", ""},
	{"winsock error code", "exchange", mail.StageConnect},
	{"failed to connect.", "exchange", mail.StageConnect},
	{"dns query failed", "exchange", mail.StageResolve},
}

// localWords recognises a report in the sending side's own words.
func localWords(t text) (wrap, bool) {
	_, _, coded := replyCode(t.s)
	if !coded {
		if w, ok := connecting(t); ok {
			return w, true
		}
	}
	for _, o := range ownWords {
		if coded && !codes(o.name) {
			continue
		}
		i := t.has(o.words)
		if i < 0 {
			continue
		}
		w := wrap{name: o.name, stage: o.at, local: true}
		rest := t.from(i)
		w.host, w.ip = hostWithin(t, i+len(o.words))
		if o.at == mail.StageUnknown {
			w.stage = phaseWithin(rest.low)
		}
		return w, true
	}
	return wrap{}, false
}

// codes reports whether the program puts a reply code before its own words. Where
// one stands before the words of another, a server has passed them on: a Postfix
// that verifies a recipient says "450 4.1.1 ...: unverified address: connect to".
func codes(program string) bool {
	return program == "exchange" || program == "exchange-online" || program == "sendmail"
}

// connecting reads the forms that begin with the host: Postfix's "connect to
// mx.example.com[192.0.2.1]:25: Connection timed out", Exim's "H=mx.example.com
// [192.0.2.1]: Connection refused" and "host mx.example.com [192.0.2.1]: ...".
func connecting(t text) (wrap, bool) {
	if i := t.has("connect to "); i == 0 || i > 0 && isSpace(t.s[i-1]) {
		host, ip, _, ok := hostIP(t.s[i+len("connect to "):])
		if ok || i == 0 {
			return wrap{name: "postfix", host: host, ip: ip, stage: mail.StageConnect, local: true}, true
		}
	}
	for _, label := range [...]string{"h=", "host "} {
		if !strings.HasPrefix(t.low, label) {
			continue
		}
		host, ip, rest, ok := hostIP(t.s[len(label):])
		if !ok {
			return wrap{}, false
		}
		rest = lower(strings.TrimLeft(rest, ": \t\n"))
		for _, words := range [...]string{"connection timed out", "connection refused", "no route to host", "network is unreachable", "network unreachable", "host is unreachable"} {
			if strings.HasPrefix(rest, words) {
				return wrap{name: "exim", host: host, ip: ip, stage: mail.StageConnect, local: true}, true
			}
		}
	}
	return wrap{}, false
}

// hostWithin reads the host behind the words at i, or the first "name[address]"
// of the text.
func hostWithin(t text, i int) (host, ip string) {
	if i <= len(t.s) {
		if host, ip, _, ok := hostIP(t.s[i:]); ok {
			return host, ip
		}
	}
	if host, ip := hostBefore(t); ip != "" {
		return host, ip
	}
	if j := strings.IndexByte(t.s, '['); j > 0 {
		k := j
		for k > 0 && !isSpace(t.s[k-1]) && t.s[k-1] != '(' && t.s[k-1] != '=' {
			k--
		}
		if host, ip, _, ok := hostIP(t.s[k:]); ok {
			return host, ip
		}
	}
	return "", ""
}

// phaseWithin reads "while sending RCPT TO", "after end of data", "in response
// to MAIL FROM".
func phaseWithin(low string) mail.Stage {
	for _, word := range [...]string{" while ", " after ", "in response to "} {
		if i := strings.Index(low, word); i >= 0 {
			rest := low[i+len(word):]
			if strings.HasPrefix(rest, "connected to") {
				if j := strings.Index(rest, " after "); j >= 0 {
					rest = rest[j:]
				}
			}
			if s := command(rest); s != mail.StageUnknown {
				return s
			}
		}
	}
	return mail.StageUnknown
}

// bared takes off what people put round a reply when they copy it: quotation
// marks of any language, angle brackets, the marks of a quoted mail, a word such
// as "Error:" in front. What is inside must begin with a reply code, and nothing
// is taken off inside of it.
func bared(s string) string {
	rest := strings.TrimPrefix(s, "\ufeff")
	if rest == "" || isDigit(rest[0]) {
		return rest
	}
	if rest[0] == '>' && !strings.HasPrefix(rest, ">>") {
		rest = unquoteLines(rest)
	}
	for _, word := range [...]string{"error:", "said:", "reply:", "response:", "message:"} {
		if hasPrefixFold(rest, word) {
			rest = rest[len(word):]
			break
		}
	}
	rest = strings.TrimLeft(rest, " \t\n")
	inner, marks := rest, 0
	for marks < 3 {
		r, n := utf8.DecodeRuneInString(inner)
		if n == 0 || !strings.ContainsRune(openQuotes+"<`*", r) {
			break
		}
		inner = strings.TrimLeft(inner[n:], " \u00a0")
		marks++
	}
	if code, _, ok := replyCode(inner); !ok || code < 400 {
		return s
	}
	for ; marks > 0; marks-- {
		end := strings.TrimRight(inner, " \n.,\u00a0")
		r, n := utf8.DecodeLastRuneInString(end)
		if n == 0 || !strings.ContainsRune(closeQuotes+">`*", r) {
			break
		}
		inner = strings.TrimRight(end[:len(end)-n], " \n\u00a0")
	}
	return inner
}

// unquoteLines takes the mark of a quoted mail off every line, if every line
// has one.
func unquoteLines(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	for line := range strings.SplitSeq(s, "\n") {
		inner, ok := strings.CutPrefix(line, ">")
		if !ok {
			return s
		}
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(strings.TrimPrefix(inner, " "))
	}
	return b.String()
}
