package diagnose

import (
	"strings"

	"github.com/postroad/postroad/mail"
)

// postfixSaid reads what Postfix writes of a peer's reply
// (src/smtp/smtp_chat.c, smtp_trouble.c):
//
//	host mx.example.com[192.0.2.1] said: 550 ... (in reply to RCPT TO command)
//	host mx.example.com[192.0.2.1] refused to talk to me: 554 ...
//	host mail.example.com[private/dovecot-lmtp] said: 550 ...
func postfixSaid(t text) (wrap, bool) {
	best, found := wrap{}, false
	for _, verb := range [...]struct {
		words string
		stage mail.Stage
	}{{" said:", mail.StageUnknown}, {" refused to talk to me:", mail.StageBanner}, {" responded with failure:", mail.StageUnknown}} {
		for at := 0; ; {
			i := strings.Index(t.low[at:], verb.words)
			if i < 0 {
				break
			}
			i += at
			at = i + len(verb.words)
			from, ok := peerBefore(t, i)
			if !ok || found && best.from < from {
				continue
			}
			best, found = wrap{from: from, name: "postfix", remote: true, outer: outerReply(t.s[:from])}, true
			best.host, best.ip = peer(t.s[from:i])
			best.inner, best.stage = inReplyTo(t.s[at:], verb.stage)
			break
		}
	}
	return best, found
}

// peerBefore finds where "host name[address]" begins that ends at i.
func peerBefore(t text, i int) (from int, ok bool) {
	end := strings.LastIndexByte(t.s[:i], ']')
	if end < 0 || i-end > 7 || strings.Trim(t.s[end+1:i], ":0123456789") != "" {
		return 0, false
	}
	open := strings.LastIndexByte(t.s[:end], '[')
	if open < 0 || end-open > 80 {
		return 0, false
	}
	from = open
	for from > 0 && !isSpace(t.s[from-1]) && t.s[from-1] != '(' && t.s[from-1] != ';' {
		from--
	}
	return len(strings.TrimSuffix(t.low[:from], "host ")), from < open
}

// peer reads "host name[address]:port"; what stands in the brackets of a local
// socket is no address.
func peer(s string) (host, ip string) {
	if hasPrefixFold(s, "host ") {
		s = s[len("host "):]
	}
	host, rest, _ := strings.Cut(s, "[")
	return host, address(upTo(rest, ']'))
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// postfixInReply takes the tail "(in reply to RCPT TO command)" off a reply
// whose head was already taken.
func postfixInReply(t text) (wrap, bool) {
	i := strings.LastIndex(t.low, "(in reply to ")
	if i <= 0 {
		return wrap{}, false
	}
	inner, stage := inReplyTo(t.s, mail.StageUnknown)
	return wrap{from: i, name: "postfix", inner: inner, stage: stage, remote: true}, len(inner) < len(t.s)
}

func inReplyTo(s string, stage mail.Stage) (string, mail.Stage) {
	i := strings.LastIndex(lower(s), "(in reply to ")
	if i < 0 {
		return s, stage
	}
	words := lower(s[i+len("(in reply to "):])
	if j := strings.IndexByte(words, ')'); j >= 0 {
		words = words[:j]
	}
	if st := command(words); st != mail.StageUnknown {
		stage = st
	}
	return s[:i], stage
}

// postfixSuspended takes off the words with which the queue manager repeats the
// reason of an earlier attempt: it held the mail back without a new one.
func postfixSuspended(t text) (wrap, bool) {
	const words = "delivery temporarily suspended:"
	i := t.has(words)
	if i < 0 {
		return wrap{}, false
	}
	return wrap{from: i, name: "postfix", inner: t.s[i+len(words):]}, true
}

// eximError reads Exim's report of a reply (src/deliver.c, transports/smtp.c):
//
//	SMTP error from remote mail server after RCPT TO:<a@b>: host mx [ip]: 550 ...
//	H=mx.example.com [192.0.2.1]: SMTP error from remote mail server after end of data: 550 ...
func eximError(t text) (wrap, bool) {
	const words = "smtp error from remote "
	i := t.has(words)
	if i < 0 {
		return wrap{}, false
	}
	rest := t.from(i + len(words))
	w := wrap{from: i, name: "exim", remote: true}
	w.host, w.ip = hostBefore(t.upto(i))
	if j := rest.has(" after "); j >= 0 && j < 14 {
		rest = rest.from(j + len(" after "))
		end := commandEnd(rest.s)
		w.stage = command(rest.low[:end])
		rest = rest.from(end)
	} else if j := strings.IndexByte(rest.s, ':'); j >= 0 && j < 14 {
		rest = rest.from(j)
	}
	inner := strings.TrimLeft(rest.s, ": \t\n")
	if hasPrefixFold(inner, "host ") {
		if host, ip, tail, ok := hostIP(inner[len("host "):]); ok {
			w.host, w.ip, inner = host, ip, strings.TrimLeft(tail, ": \t\n")
		}
	} else if hasPrefixFold(inner, "host: ") { // as GMX writes it
		w.host = firstWord(inner[len("host: "):])
		inner = inner[len("host: ")+len(w.host):]
	}
	w.inner = inner
	return w, true
}

// commandEnd finds the colon that ends the command in "RCPT TO:<a@b>: host ...":
// one with white space or the end behind it, outside angle brackets.
func commandEnd(s string) int {
	angle := false
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '<':
			angle = true
		case '>':
			angle = false
		case '\n':
			if !angle && i > 0 {
				return i
			}
		case ':':
			if !angle && (i+1 == len(s) || isSpace(s[i+1])) {
				return i
			}
		}
	}
	return len(s)
}

// hostBefore reads "H=mx.example.com [192.0.2.1]" or "host mx.example.com
// [192.0.2.1]" out of what stands before Exim's words: the last one there.
func hostBefore(t text) (host, ip string) {
	for _, label := range [...]string{"h=", "host "} {
		for i := len(t.low); ; {
			if i = strings.LastIndex(t.low[:i], label); i < 0 {
				break
			}
			if i > 0 && wordByte(t.s[i-1]) {
				continue
			}
			if host, ip, _, ok := hostIP(t.s[i+len(label):]); ok {
				return host, ip
			}
		}
	}
	return "", ""
}

// gaveUp parts the last reply from the words that Exim and qmail add when they
// stop trying: the reply is the reason, the rest says "expired".
func gaveUp(t text) (wrap, bool) {
	for _, words := range [...]string{"retry timeout exceeded", "i'm not going to try again; this message has been in the queue too long"} {
		i := strings.LastIndex(t.low, words)
		if i < 0 {
			continue
		}
		inner := strings.TrimRight(t.s[:i], ": \t\n")
		if j := strings.LastIndex(lower(inner), "host "); j >= 0 {
			if _, _, rest, ok := hostIP(inner[j+len("host "):]); ok && strings.Trim(rest, ": ") == "" {
				return wrap{}, false // no reason, only the host
			}
		}
		if inner == "" {
			inner = strings.Trim(t.s[i+len(words):], ".: \t\n")
		}
		if inner != "" {
			return wrap{from: i, outer: t.s[i : i+len(words)], inner: inner, same: true}, true
		}
	}
	return wrap{}, false
}

// dmaDislike reads DragonFly's mail agent: "mx.example.com [192.0.2.1] did not
// like our RCPT TO: 550 ...".
func dmaDislike(t text) (wrap, bool) {
	const words = " did not like our "
	i := t.has(words)
	if i < 0 {
		return wrap{}, false
	}
	from := i
	if open := strings.LastIndexByte(t.s[:i], '['); open > 0 {
		from = strings.LastIndexAny(trimSpace(t.s[:open]), " \n\t:") + 1
	}
	w := wrap{from: from, name: "dma", remote: true}
	w.host, w.ip, _, _ = hostIP(t.s[from:i])
	rest := t.from(i + len(words))
	end := commandEnd(rest.s)
	w.stage = command(rest.low[:end])
	if strings.HasPrefix(rest.low, "final data") {
		w.stage = mail.StageFinal
	}
	w.inner = strings.TrimLeft(rest.s[end:], ": \t\n")
	return w, w.inner != ""
}

// qmailSaid reads qmail-remote's report (qmail-remote.c, quit()):
//
//	Connected to 192.0.2.1 but sender was rejected.
//	Remote host said: 550 ...
//
// Its log form has underscores for spaces and slashes for line ends.
func qmailSaid(t text) (wrap, bool) {
	i, n := t.has("remote host said:"), len("remote host said:")
	if i < 0 {
		if i = t.has("remote_host_said:"); i < 0 {
			return wrap{}, false
		}
		plain := unlog(t.s)
		t = text{plain, lower(plain)}
		if i = t.has("remote host said:"); i < 0 {
			return wrap{}, false
		}
	}
	before, inner := t.upto(i), t.s[i+n:]
	w := wrap{from: i, name: "qmail", remote: true}
	if j := strings.LastIndexByte(trimSpace(before.s), '\n'); j >= 0 && j+1 < len(before.s) {
		before = before.from(j + 1)
	}
	w.stage = qmailStage(before.low)
	for word := range strings.FieldsSeq(before.s) {
		if ip := address(strings.Trim(word, ".,:")); ip != "" {
			w.ip = ip
			w.from = min(w.from, strings.Index(t.s, word))
		}
	}
	if j := strings.Index(lower(inner), "giving up on "); j >= 0 {
		if w.ip == "" {
			w.ip = address(strings.Trim(firstWord(inner[j+len("giving up on "):]), " .\n/"))
		}
		if k := strings.Index(inner[j:], "I'm not going to try again"); k >= 0 {
			w.outer, w.same = firstLine(inner[j+k:]), true
		}
		inner = strings.TrimRight(inner[:j], " /\n")
	}
	w.inner, w.stage = yahooTail(inner, w.stage)
	return w, true
}

// yahooTail takes off the phase that Yahoo's qmail wrote behind a reply:
// "[RCPT_TO]".
func yahooTail(s string, stage mail.Stage) (string, mail.Stage) {
	s = trimSpace(s)
	i := strings.LastIndexByte(s, '[')
	if i < 0 || !strings.HasSuffix(s, "]") {
		return s, stage
	}
	switch s[i:] {
	case "[RCPT_TO]":
		return s[:i], mail.StageRcpt
	case "[MAIL_FROM]":
		return s[:i], mail.StageMail
	case "[BODY]":
		return s[:i], mail.StageFinal
	}
	return s, stage
}

// qmailProgress reads the report of a qmail that tries every MX: "no SMTP
// connection got far enough; most progress was RCPT TO response; remote host
// 192.0.2.1 said: 550 ... (Other MXes tried: ...)".
func qmailProgress(t text) (wrap, bool) {
	i := t.has("most progress was ")
	if i < 0 {
		return wrap{}, false
	}
	rest := t.from(i + len("most progress was "))
	j, k := rest.has("remote host "), rest.has(" said:")
	if j < 0 || k < j {
		return wrap{}, false
	}
	w := wrap{from: i, name: "qmail", remote: true, stage: command(rest.low[:j])}
	w.ip = address(rest.s[j+len("remote host ") : k])
	w.inner = rest.s[k+len(" said:"):]
	if l := strings.Index(w.inner, "(Other MXes tried"); l >= 0 {
		w.inner = w.inner[:l]
	}
	return w, true
}

// unlog gives the words that qmail-send made one word of for its log: spaces
// became underscores, line ends slashes.
func unlog(s string) string {
	b := []byte(strings.TrimRight(s, "/"))
	for i, c := range b {
		switch {
		case c == '_':
			b[i] = ' '
		case c == '/' && i > 0 && b[i-1] == '.' && i+1 < len(b) && b[i+1] != '/':
			b[i] = '\n'
		case c == '/':
			if _, _, ok := mail.ParseCode(strings.ReplaceAll(string(b[i+1:min(i+5, len(b))]), "_", " ")); ok {
				b[i] = '\n'
			}
		}
	}
	return string(b)
}

func qmailStage(low string) mail.Stage {
	for _, p := range [...]struct {
		words string
		stage mail.Stage
	}{
		{"greeting failed", mail.StageBanner},
		{"my name was rejected", mail.StageEHLO},
		{"sender was rejected", mail.StageMail},
		{"does not like recipient", mail.StageRcpt},
		{"failed on data command", mail.StageData},
		{"failed after i sent the message", mail.StageFinal},
		{"unable to auth", mail.StageAuth},
	} {
		if strings.Contains(low, p.words) {
			return p.stage
		}
	}
	return mail.StageUnknown
}

// transcript reads the session that Sendmail, Courier and others print:
//
//	... while talking to mx.example.com.:
//	>>> RCPT To:<a@b>
//	<<< 550 5.1.1 ...
//	550 5.1.1 <a@b>... User unknown
//
// The last refusal is the reply; the summary behind it stays a layer.
func transcript(t text) (wrap, bool) {
	first := strings.Index(t.s, "<<< ")
	if first < 0 {
		return wrap{}, false
	}
	from, end := lastRefusal(t.s)
	if from < 0 {
		return wrap{}, false
	}
	w := wrap{from: first, name: "sendmail", remote: true, inner: joinMarked(t.s[from:end])}
	if i := strings.LastIndex(t.s[:from], ">>> "); i >= 0 {
		w.from = min(w.from, i)
		w.stage = command(lower(firstLine(t.s[i:from])))
		switch {
		case strings.Contains(t.s[i:from], "<<< 354") || strings.HasPrefix(t.s[i:], ">>> ."):
			w.stage = mail.StageFinal
		case w.stage == mail.StageData && strings.Contains(t.s[end:], "<<< ") && followUp(t.low[end:]):
			w.stage = mail.StageRcpt // sent together with DATA, which then failed for lack of recipients
		}
	}
	if i := strings.LastIndex(t.low[:from], "while talking to "); i >= 0 {
		w.from = min(w.from, i)
		if !strings.Contains(t.s[i:from], ">>> ") {
			w.stage = mail.StageBanner // nothing was said before
		}
		w.host = strings.Trim(firstWord(t.s[i+len("while talking to "):]), ".:,[]")
		if ip := address(w.host); ip != "" {
			w.host, w.ip = "", ip
		}
	} else if w.host, w.ip = hostLine(t.s[:w.from]); w.ip != "" {
		w.name = "courier"
	}
	if end < len(t.s) {
		w.outer = outerReply(upToMark(t.s[end:]))
	}
	return w, true
}

func firstLine(s string) string { return upTo(s, '\n') }

func firstWord(s string) string {
	if i := strings.IndexAny(s, " \t\n"); i >= 0 {
		return s[:i]
	}
	return s
}

// upToMark cuts a transcript before its next mark.
func upToMark(s string) string {
	for _, mark := range [...]string{"<<< ", ">>> "} {
		if i := strings.Index(s, mark); i >= 0 {
			s = s[:i]
		}
	}
	return s
}

// hostLine finds the last line that ends in "mx.example.com [192.0.2.1]:", as
// Courier begins a session.
func hostLine(s string) (host, ip string) {
	for line := range strings.SplitSeq(s, "\n") {
		line = trimSpace(line)
		open := strings.LastIndexByte(line, '[')
		if open <= 0 || !strings.HasSuffix(line, "]:") {
			continue
		}
		from := strings.LastIndexAny(trimSpace(line[:open]), " \t") + 1
		if h, a, _, ok := hostIP(line[from:]); ok {
			host, ip = h, a
		}
	}
	return host, ip
}

// lastRefusal finds the last group of "<<<" lines that holds a 4yz or 5yz reply,
// from its first mark to where other lines begin. What only says that the session
// went on without what was refused is passed over.
func lastRefusal(s string) (from, end int) {
	from = -1
	group := 0 // code of the group before
	for i := 0; ; {
		j := strings.Index(s[i:], "<<< ")
		if j < 0 {
			return from, end
		}
		start := i + j
		stop := markedEnd(s, start+4)
		code, _, ok := replyCode(s[start+4:])
		quit := strings.HasSuffix(strings.ToUpper(trimSpace(s[:start])), ">>> QUIT")
		i = start + 4
		if !ok || code < 400 || from >= 0 && (quit || followUp(lower(s[start:stop]))) {
			group = 0
			continue
		}
		if code != group || trimSpace(s[end:start]) != "" {
			from = start
		}
		group, end = code, stop
	}
}

// followUp tells the replies that come because an earlier command was refused.
func followUp(low string) bool {
	return strings.Contains(low, "<<< 503") || strings.Contains(low, "no valid recipients") || strings.Contains(low, "need rcpt")
}

// transcriptHead takes the headings of Sendmail's report off a transcript that
// quotes no session.
func transcriptHead(t text) (wrap, bool) {
	const words = "----- transcript of session follows -----"
	i := t.has(words)
	if i < 0 || strings.Contains(t.s, "<<< ") {
		return wrap{}, false
	}
	inner := t.s[i+len(words):]
	return wrap{from: 0, name: "sendmail", inner: inner}, trimSpace(inner) != ""
}

// sendmailReason reads "(reason: 550 5.1.1 <a@b>... User unknown)".
func sendmailReason(t text) (wrap, bool) {
	const words = "(reason: "
	i := t.has(words)
	if i < 0 {
		return wrap{}, false
	}
	inner := t.s[i+len(words):]
	if strings.Contains(inner, "<<< ") { // the transcript below has the reply with all its lines
		return wrap{}, false
	}
	depth := 1
	for j := 0; j < len(inner); j++ {
		switch inner[j] {
		case '(':
			depth++
		case ')':
			depth--
		}
		if depth == 0 || inner[j] == '\n' {
			inner = inner[:j]
		}
	}
	return wrap{from: i, name: "sendmail", inner: inner}, startsReply(inner)
}

// markedEnd gives the end of one "<<<" line. In a transcript whose lines were
// run together the next mark or the next reply code behind it ends it.
func markedEnd(s string, i int) int {
	end := len(s)
	if j := strings.IndexByte(s[i:], '\n'); j >= 0 {
		end = i + j
	}
	for _, mark := range [...]string{"<<< ", ">>> "} {
		if j := strings.Index(s[i:end], mark); j >= 0 {
			end = i + j
		}
	}
	return end
}

func joinMarked(s string) string {
	lines := strings.Split(s, "<<< ")
	for i := range lines {
		lines[i] = trimSpace(lines[i])
	}
	return trimSpace(strings.Join(lines, "\n"))
}
