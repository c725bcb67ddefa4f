package maillog

import (
	"strings"
	"time"

	"github.com/postroad/postroad/mail"
)

// parsePostfix reads a message of any Postfix daemon. tagged says that a syslog
// tag stood in front of it: a bare "host X said: ..." without queue id is a
// reply that somebody pasted, not a log line.
func parsePostfix(l *Line, s string, tagged bool) bool {
	queueID, text := cutQueueID(s)
	return postfixText(l, queueID, text, tagged)
}

// postfixText reads what stands behind the queue id.
func postfixText(l *Line, queueID, text string, tagged bool) bool {
	ok := false
	switch {
	case strings.HasPrefix(text, "to=") || strings.HasPrefix(text, "orig_to="):
		ok = postfixDelivery(l, text)
	case queueID != "" && strings.HasPrefix(text, "from="):
		ok = postfixExpired(l, text)
	case queueID != "" && refusal(l, text):
		if queueID == "NOQUEUE" {
			queueID = ""
		}
		ok = true
	default:
		ok = postfixSession(l, text, queueID != "" || tagged)
	}
	if !ok {
		*l = Line{Time: l.Time, Host: l.Host, Service: l.Service, PID: l.PID, room: l.room}
		return false
	}
	l.Origin.Format = FormatPostfix
	l.Attempt.QueueID = queueID
	if l.Attempt.Route == "" && l.Direction != Inbound && l.Kind != KindExpired {
		l.Attempt.Route = routeOf(l.Service)
	}
	return true
}

// cutQueueID takes "4T6X0z3kWqz9vB: " off.
func cutQueueID(s string) (id, rest string) {
	i := strings.IndexByte(s, ':')
	if i < 5 || i > 32 || i+2 >= len(s) || s[i+1] != ' ' {
		return "", s
	}
	id = s[:i]
	rest = s[i+2:]
	if id == "NOQUEUE" || isQueueID(id) {
		return id, rest
	}
	return "", s
}

// routeOf gives the transport out of a service name: the last part, or the one
// before where master.cf gives the transport its own name ("postfix/relay/smtp").
func routeOf(service string) string {
	i := strings.LastIndexByte(service, '/')
	if i < 0 {
		return ""
	}
	if j := strings.LastIndexByte(service[:i], '/'); j >= 0 {
		return service[j+1 : i]
	}
	return service[i+1:]
}

// daemonOf gives the Postfix program out of a service name.
func daemonOf(service string) string { return service[strings.LastIndexByte(service, '/')+1:] }

// delivery holds the fields of a delivery line until all are known.
type delivery struct {
	to, origTo, relay, delay, delays, tls, dsn, status, text string
	connUse                                                  int
}

// cut reads "key=value, key=value, ... status=word (text)". ok is false if it
// is not a Postfix delivery line.
func (d *delivery) cut(s string) bool {
	for s != "" {
		eq := strings.IndexByte(s, '=')
		if eq <= 0 || eq > 16 {
			return false
		}
		key := s[:eq]
		s = s[eq+1:]
		if key == "status" {
			d.status, d.text = cutStatus(s)
			return d.status != ""
		}
		if key == "stat" {
			return false // Sendmail
		}
		var value string
		if s != "" && s[0] == '<' {
			value, s = angle(s)
			if i := strings.Index(s, ", "); i >= 0 {
				s = s[i+2:]
			} else {
				s = ""
			}
		} else if i := strings.Index(s, ", "); i >= 0 {
			value, s = s[:i], s[i+2:]
		} else {
			value, s = strings.TrimSuffix(s, ","), ""
		}
		d.set(key, value)
	}
	// Cut short before the status: nothing is known.
	return false
}

func (d *delivery) set(key, value string) {
	switch key {
	case "to":
		d.to = value
	case "orig_to":
		d.origTo = value
	case "relay":
		d.relay = value
	case "delay":
		d.delay = value
	case "delays":
		d.delays = value
	case "tls":
		d.tls = value
	case "dsn":
		d.dsn = value
	case "conn_use":
		d.connUse, _ = number(value)
	}
}

// cutStatus reads "deferred (text)". The text may hold brackets of its own, so
// it ends at the last one of the line; without one the line was cut short.
func cutStatus(s string) (status, text string) {
	i := 0
	for i < len(s) && (isAlnum(s[i]) || s[i] == '-' || s[i] == '_') {
		i++
	}
	status, s = s[:i], s[i:]
	switch {
	case strings.HasPrefix(s, " ("):
		s = s[2:]
		if s != "" && s[len(s)-1] == ')' {
			s = s[:len(s)-1]
		}
		return status, trim(s)
	case strings.HasPrefix(s, ", "):
		return status, trim(s[2:])
	}
	return status, trim(s)
}

// postfixDelivery reads the line that smtp, lmtp, local, virtual, pipe, error,
// retry, discard and bounce write for each recipient.
func postfixDelivery(l *Line, s string) bool {
	var d delivery
	if !d.cut(s) {
		return false
	}
	a := l.begin()
	a.Recipient, a.Delay = d.to, seconds(d.delay)
	if d.origTo != d.to {
		a.OrigRcpt = d.origTo
	}
	l.Attempt, l.Status, l.Diagnostic, l.Kind = a, d.status, d.text, KindDelivery
	l.Enhanced, _, _ = mail.ParseEnhanced(d.dsn)
	if !l.outcome() {
		return false
	}
	relayed := l.relay(d.relay)
	l.delays(d.delays)
	if d.tls != "" {
		l.tlsLevel(d.tls)
	}
	text, suspended := strings.CutPrefix(d.text, "delivery temporarily suspended: ")
	switch daemon := daemonOf(l.Service); {
	case suspended, l.Status == "deferred" && (daemon == "error" || daemon == "retry"):
		l.Kind = KindSuspended
	}
	if a.Outcome == mail.Delivered && relayed {
		a.Stage = mail.StageFinal
		code, _, ok := mail.ParseCode(text)
		a.Spoke = ok && code/100 == 2
		return true
	}
	l.read(text, relayed)
	l.severity()
	return true
}

// outcome reads the log's own word into the attempt.
func (l *Line) outcome() bool {
	a := l.Attempt
	switch l.Status {
	case "sent":
		a.Outcome, a.Final = mail.Delivered, true
	case "deferred", "SOFTBOUNCE":
		a.Outcome = mail.Temporary
	case "bounced", "expired", "force-expired":
		a.Outcome, a.Final = mail.Permanent, true
	case "undeliverable", "deliverable":
		l.Kind = KindProbe
		a.Outcome = mail.OutcomeOf(0, l.Enhanced)
	default:
		return false
	}
	return true
}

// severity sets the outcome of what is over by the reply that ended it: mail
// that was given up after temporary refusals is final, and its last attempt was
// refused for a time. Where no host spoke, an expiry has the queue's own code.
func (l *Line) severity() {
	a := l.Attempt
	if !a.Final || a.Outcome != mail.Permanent {
		return
	}
	code, _, _ := findReply(l.Diagnostic)
	switch {
	case a.Spoke && code/100 == 4:
		a.Outcome = mail.Temporary
	case code == 0 && strings.HasSuffix(l.Status, "expired") && l.Enhanced.Class == 4:
		a.Outcome = mail.Temporary
	}
}

// relay reads relay=: a host, or the name of a transport. It reports whether a
// host was there.
func (l *Line) relay(s string) bool {
	if s == "" || s == "none" {
		return false
	}
	host, ip, port, _, ok := hostIP(s)
	if !ok {
		l.Attempt.Route = s // local, virtual, the name of a pipe service
		return false
	}
	setHost(l.Attempt, host, ip, port)
	return true
}

// delays reads "a/b/c/d": before the queue manager, in it, connection set-up
// with DNS, EHLO and TLS, transmission. The last two are the attempt's own.
func (l *Line) delays(s string) {
	var d [4]time.Duration
	n := 0
	for s != "" && n < 4 {
		i := strings.IndexByte(s, '/')
		if i < 0 {
			i = len(s)
		}
		d[n] = seconds(s[:i])
		n++
		s = s[min(i+1, len(s)):]
	}
	if n < 4 {
		return
	}
	l.BeforeQ, l.InQ, l.Took = d[0], d[1], d[2]+d[3]
	if l.Took == 0 || l.room != nil {
		return // a reader of whole logs makes no map for each line
	}
	m := make(map[mail.Stage]time.Duration, 2)
	if d[2] > 0 {
		m[mail.StageConnect] = d[2]
	}
	if d[3] > 0 {
		m[mail.StageData] = d[3]
	}
	l.Attempt.Durations = m
}

// tlsLevel reads tls=: the levels that authenticate the server are few.
func (l *Line) tlsLevel(s string) {
	t := l.tls()
	t.Policy = s
	// "level?" was not decided, "level:lower" came down, "!" was violated.
	if strings.ContainsAny(s, "?:!") {
		return
	}
	level, _, _ := strings.Cut(s, "/")
	switch level {
	case "verify", "secure", "dane", "dane-only", "fingerprint":
		t.Verified = true
	}
}

// postfixExpired reads the queue manager's "from=<a>, status=expired, returned
// to sender": a message was given up, the bounces of its recipients follow.
func postfixExpired(l *Line, s string) bool {
	from, rest := angle(s[len("from="):])
	rest, ok := strings.CutPrefix(rest, ", status=")
	if !ok {
		return false
	}
	l.Status, l.Diagnostic = cutStatus(rest)
	if l.Status != "expired" && l.Status != "force-expired" {
		return false
	}
	l.Kind = KindExpired
	a := l.begin()
	a.Sender, a.SenderDomain = from, domainOf(from)
	a.Outcome, a.Final = mail.Permanent, true
	l.Attempt = a
	return true
}

// read takes stage, speaker and, where relay= gave none, the host out of the
// text of a failure.
func (l *Line) read(text string, relayed bool) {
	a := l.Attempt
	a.Stage = postfixStage(text)
	host, ip, port, spoke := postfixPeer(text)
	a.Spoke = spoke
	if !relayed && (host != "" || ip != "") {
		setHost(a, host, ip, port)
	}
}

// postfixPeer finds the remote host that a text names, and whether the text is
// that host's own.
func postfixPeer(s string) (host, ip string, port int, spoke bool) {
	var rest string
	said := false
	switch {
	case strings.HasPrefix(s, "host "):
		rest, said = s[5:], true
	case strings.HasPrefix(s, "connect to "):
		rest = s[11:]
	case strings.HasPrefix(s, "lost connection with "):
		rest = s[21:]
	case strings.HasPrefix(s, "conversation with "):
		rest = s[18:]
	case strings.HasPrefix(s, "SSL_connect error to "):
		rest = s[21:]
	case strings.HasPrefix(s, "certificate verification failed for "):
		rest = s[36:]
	case strings.HasPrefix(s, "certificate peer name verification failed for "):
		rest = s[46:]
	case strings.HasPrefix(s, "SASL authentication failed; server "):
		rest, said = s[35:], true
	case strings.HasPrefix(s, "TLS is required, but host "):
		rest, said = s[26:], true
	case strings.HasPrefix(s, "TLS is required, but was not offered by host "):
		rest = s[45:]
	default:
		return "", "", 0, false
	}
	host, ip, port, after, ok := hostIP(rest)
	if !ok {
		return "", "", 0, false
	}
	if said {
		said = strings.HasPrefix(after, " said: ") ||
			strings.HasPrefix(after, " refused to talk to me: ") ||
			strings.HasPrefix(after, " refused to start TLS: ")
	}
	return host, ip, port, said
}

// postfixStage tells the phase in which an attempt ended from the words of
// Postfix's SMTP client (smtp_proto.c, smtp_connect.c, smtp_trouble.c).
func postfixStage(s string) mail.Stage {
	if i := strings.LastIndex(s, "(in reply to "); i >= 0 {
		return commandStage(s[i+len("(in reply to "):])
	}
	switch {
	case strings.HasPrefix(s, "connect to "):
		return mail.StageConnect
	case strings.HasPrefix(s, "host "):
		if strings.Contains(s, "] refused to talk to me: ") {
			return mail.StageBanner // or a 421 to EHLO, which is rare
		}
	case strings.HasPrefix(s, "lost connection with "), strings.HasPrefix(s, "conversation with "):
		if i := strings.Index(s, " while "); i >= 0 {
			return whileStage(s[i+7:])
		}
	case strings.HasPrefix(s, "SSL_connect error"), strings.HasPrefix(s, "Cannot start TLS"),
		strings.HasPrefix(s, "certificate "), strings.HasPrefix(s, "Server certificate not"):
		return mail.StageTLS
	case strings.HasPrefix(s, "TLS is required, but"):
		return mail.StageSTARTTLS
	case strings.HasPrefix(s, "SASL authentication failed"):
		return mail.StageAuth
	case strings.HasPrefix(s, "Host or domain name not found"), strings.HasPrefix(s, "Host not found"),
		strings.HasPrefix(s, "Domain ") && strings.Contains(s, "does not accept mail"),
		strings.HasPrefix(s, "unable to look up host"), strings.HasPrefix(s, "Name service error"),
		strings.HasPrefix(s, "unable to find primary relay"), strings.HasPrefix(s, "no MX host for"),
		strings.HasPrefix(s, "TLSA lookup error"):
		return mail.StageResolve
	}
	return mail.StageUnknown
}

// commandStage reads "RCPT TO command)" and its siblings.
func commandStage(s string) mail.Stage {
	switch {
	case strings.HasPrefix(s, "RCPT"):
		return mail.StageRcpt
	case strings.HasPrefix(s, "MAIL"):
		return mail.StageMail
	case strings.HasPrefix(s, "end of DATA"):
		return mail.StageFinal
	case strings.HasPrefix(s, "DATA"), strings.HasPrefix(s, "BDAT"):
		return mail.StageData
	case strings.HasPrefix(s, "EHLO"), strings.HasPrefix(s, "HELO"), strings.HasPrefix(s, "LHLO"):
		return mail.StageEHLO
	case strings.HasPrefix(s, "STARTTLS"):
		return mail.StageSTARTTLS
	case strings.HasPrefix(s, "AUTH"):
		return mail.StageAuth
	}
	return mail.StageUnknown
}

// whileStage reads what was going on when the connection went.
func whileStage(s string) mail.Stage {
	switch {
	case strings.HasPrefix(s, "receiving the initial server greeting"):
		return mail.StageBanner
	case strings.HasPrefix(s, "performing the initial protocol handshake"),
		strings.HasPrefix(s, "performing the EHLO"), strings.HasPrefix(s, "performing the HELO"),
		strings.HasPrefix(s, "performing the LHLO"):
		return mail.StageEHLO
	case strings.Contains(s, "STARTTLS"):
		return mail.StageSTARTTLS
	case strings.HasPrefix(s, "sending MAIL"):
		return mail.StageMail
	case strings.HasPrefix(s, "sending RCPT"):
		return mail.StageRcpt
	case strings.HasPrefix(s, "sending end of data"):
		return mail.StageFinal
	case strings.HasPrefix(s, "sending DATA"), strings.HasPrefix(s, "sending message"):
		return mail.StageData
	}
	return mail.StageUnknown
}

// postfixSession reads what the SMTP client says of one host on the way to a
// result. known says that a queue id or a tag vouches for the line.
func postfixSession(l *Line, s string, known bool) bool {
	host, ip, port, spoke := postfixPeer(s)
	if host == "" && ip == "" {
		return false
	}
	sure := strings.HasPrefix(s, "connect to ") || strings.HasPrefix(s, "SSL_connect error to ") ||
		strings.HasPrefix(s, "certificate ")
	if !known && !(sure && port != 0) {
		return false
	}
	if strings.HasPrefix(s, "host ") && !spoke {
		return false // "host X[ip] offers SMTPUTF8 support, but ..."
	}
	a := l.begin()
	a.Spoke, a.Stage = spoke, postfixStage(s)
	setHost(a, host, ip, port)
	l.Attempt, l.Kind, l.Diagnostic = a, KindSession, s
	if !strings.HasPrefix(s, "certificate ") {
		// What one host says is not final: the next one is tried. A permanent
		// reply comes again on the delivery line.
		a.Outcome = mail.Temporary
		if code, _, _ := findReply(s); spoke && code/100 == 5 {
			a.Outcome = mail.Permanent
		}
	}
	return true
}
