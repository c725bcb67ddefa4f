package maillog

import (
	"strings"

	"github.com/postroad/postroad/event"
	"github.com/postroad/postroad/mail"
)

// isEximID tells a message id: 6-6-2 characters, since Exim 4.97 6-11-4.
func isEximID(s string) (n int, ok bool) {
	for _, shape := range [...][3]int{{6, 6, 2}, {6, 11, 4}} {
		n = shape[0] + shape[1] + shape[2] + 2
		if len(s) < n || len(s) > n && s[n] != ' ' ||
			s[shape[0]] != '-' || s[shape[0]+1+shape[1]] != '-' {
			continue
		}
		ok = true
		for i := 0; i < n && ok; i++ {
			ok = isAlnum(s[i]) || i == shape[0] || i == shape[0]+1+shape[1]
		}
		if ok {
			return n, true
		}
	}
	return 0, false
}

// eximPrefix takes off what Exim puts in front itself: the marks of an entry
// that syslog made it split ("[1/2] "), its own time and zone, its pid. It
// reports whether an entry of the main log follows.
func eximPrefix(l *Line, s *string, cut stamp) bool {
	rest := *s
	if n := splitMark(rest); n > 0 {
		rest = rest[n:]
	}
	if len(rest) > 20 && isDigit(rest[0]) && rest[4] == '-' {
		if t, after, ok := cut(rest); ok {
			l.Time, rest = t, after
		}
	}
	if len(rest) > 4 && rest[0] == '[' {
		if v, n := number(rest[1:]); n > 0 && strings.HasPrefix(rest[1+n:], "] ") {
			l.PID, rest = v, rest[n+3:]
		}
	}
	_, ok := isEximID(rest)
	if !ok && !strings.HasPrefix(rest, "H=") {
		return false
	}
	*s = rest
	return true
}

// splitMark measures "[1/2] " or "[1\2] "; only the first piece of a split
// entry says what it is.
func splitMark(s string) int {
	if !strings.HasPrefix(s, "[1/") && !strings.HasPrefix(s, `[1\`) {
		return 0
	}
	if _, n := number(s[3:]); n > 0 && strings.HasPrefix(s[3+n:], "] ") {
		return 5 + n
	}
	return 0
}

// parseExim reads an entry of Exim's main log (specification, "Log files").
func parseExim(l *Line, s string) bool {
	l.Origin.Format = FormatExim
	l.Attempt = l.begin()
	if n, ok := isEximID(s); ok {
		l.Attempt.QueueID = s[:n]
		s = trim(s[n:])
	}
	if len(s) < 4 {
		return false
	}
	ok := false
	switch {
	case s[2] == ' ' && l.Attempt.QueueID != "" && isEximFlag(s[:2]):
		l.Status = s[:2]
		ok = eximDelivery(l, trim(s[3:]))
	case strings.Contains(s, " rejected "):
		ok = eximRefusal(l, s)
	case l.Attempt.QueueID != "":
		ok = eximSession(l, s)
	}
	if ok && l.Service == "" {
		l.Service = "exim"
	}
	return ok
}

func isEximFlag(s string) bool {
	switch s {
	case "=>", "->", ">>", "*>", "==", "**":
		return true
	}
	return false
}

// eximDelivery reads "address <original> R=router T=transport ...: text".
func eximDelivery(l *Line, s string) bool {
	a := l.Attempt
	l.Kind = KindDelivery
	s = eximAddress(a, s)
	if a.Recipient == "" {
		return false
	}
	switch l.Status {
	case "=>", "->", ">>":
		a.Outcome, a.Final = mail.Delivered, true
	case "*>": // suppressed by -N: nothing was sent, nothing will be
		a.Final = true
	case "**":
		a.Outcome, a.Final = mail.Permanent, true
	case "==":
		a.Outcome = mail.Temporary
	}
	text := l.eximFields(s)
	if l.Status == "==" {
		text = cutDefer(l, text)
	}
	if l.Diagnostic == "" {
		l.Diagnostic = unescape(text)
	}
	remote := a.RemoteHost != "" || a.RemoteIP != ""
	if a.Outcome != mail.Delivered || !remote {
		l.eximText()
		l.severity()
	}
	if a.Outcome == mail.Delivered {
		if remote || a.RemoteHost != "" || a.RemoteIP != "" {
			a.Stage = mail.StageFinal
		}
		code, _, ok := mail.ParseCode(l.Diagnostic)
		a.Spoke = ok && code/100 == 2
	}
	return true
}

// eximAddress reads the address at the start: the final one, its parents in
// round brackets, the original in angle brackets. A local delivery has a file,
// a pipe, ":blackhole:" or a bare user in the place of the final address: then
// the original is the recipient.
func eximAddress(a *event.Attempt, s string) string {
	end := addressEnd(s)
	if s[0] == '/' || s[0] == '|' {
		// File names and commands may hold spaces.
		if i := strings.Index(s, " <"); i >= 0 {
			end = i
		} else if i := strings.Index(s, " R="); i >= 0 {
			end = i
		}
	}
	final := s[:end]
	if final[0] != ':' { // ":blackhole:"
		final = strings.TrimSuffix(final, ":")
	}
	rest := trim(s[len(final):])
	for strings.HasPrefix(rest, "(") {
		i := strings.IndexByte(rest, ')')
		if i < 0 {
			break
		}
		rest = trim(rest[i+1:])
	}
	original := ""
	if strings.HasPrefix(rest, "<") {
		original, rest = angle(rest)
	}
	a.Recipient = final
	if original != "" && original != final {
		a.OrigRcpt = original
		if strings.IndexByte(final, '@') < 0 || final[0] == '/' || final[0] == '|' {
			a.Recipient, a.OrigRcpt = original, ""
		}
	}
	return trim(rest)
}

// addressEnd measures an address: to the next space, or colon at the end of a
// word, outside quotes.
func addressEnd(s string) int {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			quoted = !quoted
		case ' ':
			if !quoted {
				return i
			}
		}
	}
	if quoted {
		if i := strings.IndexByte(s, ' '); i > 0 {
			return i
		}
	}
	return len(s)
}

// eximFields reads "R=dnslookup T=remote_smtp H=mx [ip]:25 X=... C="..."" and
// gives the text behind them. A field that ends with a colon is the last.
func (l *Line) eximFields(s string) string {
	for len(s) > 1 {
		if s[0] == ':' {
			return trim(s[1:])
		}
		key, size := eximKey(s)
		if size == 0 {
			if i := strings.IndexByte(s, ' '); i > 0 && i <= 3 && isEximFlagWord(s[:i]) {
				s = trim(s[i:])
				continue
			}
			return s
		}
		s = s[size:]
		last := false
		switch {
		case key == "H":
			s, last = l.eximHost(s)
		case s != "" && s[0] == '"':
			var value string
			value, s = quoted(s)
			l.eximField(key, value)
			last = strings.HasPrefix(s, ":")
		case s != "" && s[0] == '<':
			var value string
			value, s = angle(s)
			l.eximField(key, value)
			last = strings.HasPrefix(s, ":")
		default:
			i := strings.IndexByte(s, ' ')
			if i < 0 {
				i = len(s)
			}
			value := s[:i]
			s = s[i:]
			if n := len(value); n > 0 && value[n-1] == ':' {
				value, last = value[:n-1], true
			}
			l.eximField(key, value)
		}
		s = strings.TrimLeft(s, " ")
		if last {
			return trim(strings.TrimPrefix(s, ":"))
		}
	}
	return trim(s)
}

// eximKey tells a field's key: one to four letters and "=".
func eximKey(s string) (key string, size int) {
	for i := 0; i < len(s) && i <= 4; i++ {
		if s[i] == '=' {
			if i == 0 {
				return "", 0
			}
			return s[:i], i + 1
		}
		if c := s[i]; !('A' <= c && c <= 'Z' || 'a' <= c && c <= 'z') {
			return "", 0
		}
	}
	return "", 0
}

// isEximFlagWord tells the fields without a value: chunking, pipelining, TCP
// fast open, DNSSEC, early pipe.
func isEximFlagWord(s string) bool {
	switch s {
	case "K", "L", "L*", "L.", "TFO", "TFO*", "DS", "PRX", "M8S", "*":
		return true
	}
	return false
}

// quoted reads a quoted value; \" and \\ are escapes.
func quoted(s string) (value, rest string) {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return s[1:i], s[i+1:]
		}
	}
	return s[1:], ""
}

func (l *Line) eximField(key, value string) {
	a := l.Attempt
	switch key {
	case "R":
		l.Router = value
	case "T":
		a.Route = value
	case "F", "P":
		if d := domainOf(strings.Trim(value, "<>")); d != "" {
			a.SenderDomain = d
		}
	case "I":
		if _, ip, _, _, ok := hostIP(value); ok {
			a.SourceIP = ip
		}
	case "X":
		version, cipher, _ := strings.Cut(value, ":")
		t := l.tls()
		t.Version, t.Cipher = tlsVersion(version), cipher
		if i := strings.LastIndexByte(cipher, ':'); i > 0 {
			t.Cipher = cipher[:i] // the number of bits
		}
	case "CV":
		t := l.tls()
		t.Verified = value == "yes" || value == "dane"
		if value == "dane" {
			t.Policy = "dane"
		}
	case "C":
		// Escaped twice: the line ends of the reply, then the quoted string.
		l.Diagnostic = unescape(unescape(value))
	case "A", "U", "id":
		l.taken(key, value)
	case "QT":
		a.Delay = spelled(value)
	case "DT":
		l.Took = spelled(value)
	}
}

// tlsVersion gives Exim's "TLS1.3" the name that everybody else uses.
func tlsVersion(s string) string {
	switch s {
	case "TLS1.3":
		return "TLSv1.3"
	case "TLS1.2":
		return "TLSv1.2"
	case "TLS1.1":
		return "TLSv1.1"
	case "TLS1", "TLS1.0":
		return "TLSv1"
	}
	return s
}

// eximHost reads "mx.example.com [192.0.2.1]:25", the helo in round brackets of
// incoming mail included.
func (l *Line) eximHost(s string) (rest string, last bool) {
	a := l.Attempt
	from := 0
	if i := strings.Index(s, " ("); i >= 0 && i < 256 && strings.IndexByte(s[:i], ' ') < 0 || strings.HasPrefix(s, "(") {
		// The helo may be an address in brackets itself.
		from = max(strings.IndexByte(s, ')'), 0)
	}
	open := strings.IndexByte(s[from:], '[')
	if open >= 0 {
		open += from
	}
	space := strings.IndexByte(s, ' ')
	if open < 0 || space < 0 || open > space+1 && !strings.HasPrefix(s[space+1:], "(") {
		if space < 0 {
			space = len(s)
		}
		name := s[:space]
		last = strings.HasSuffix(name, ":")
		setHost(a, strings.TrimSuffix(name, ":"), "", 0)
		return s[space:], last
	}
	name := s[:open]
	if i := strings.IndexByte(name, '('); i >= 0 {
		if j := strings.IndexByte(name[i:], ')'); j > 0 {
			a.HELO = name[i+1 : i+j]
		}
		name = name[:i]
	}
	_, ip, port, rest, _ := hostIP(s[open:])
	setHost(a, trim(name), ip, port)
	return rest, strings.HasPrefix(rest, ":")
}

// unescape puts the line ends of a reply back, which the log writes as \n, and
// takes the escapes off quotes.
func unescape(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '\\' && i+1 < len(s) {
			switch s[i+1] {
			case 'n':
				b.WriteByte('\n')
				i++
				continue
			case '"', '\\':
				c = s[i+1]
				i++
			}
		}
		b.WriteByte(c)
	}
	return b.String()
}

// taken keeps who gave a message to us and its Message-ID. Only a reader of
// whole logs has a use for them.
func (l *Line) taken(key, value string) {
	if l.room == nil {
		return
	}
	switch key {
	case "A":
		l.room.login = value
	case "U":
		l.room.local = value
	case "id":
		l.room.id = value
	}
}
