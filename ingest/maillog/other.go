package maillog

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/postroad/postroad/event"
	"github.com/postroad/postroad/mail"
)

// parseSendmail reads "40M9AB: to=<a>, ctladdr=, delay=00:00:01, xdelay=00:00:01,
// mailer=esmtp, relay=mx. [ip], dsn=5.1.1, stat=User unknown".
func parseSendmail(l *Line, s string) bool {
	id := ""
	if i := strings.Index(s, ": to="); i > 0 && i <= 32 && strings.IndexByte(s[:i], ' ') < 0 {
		id, s = s[:i], s[i+2:]
	}
	if !strings.HasPrefix(s, "to=") {
		return false
	}
	stat := strings.Index(s, ", stat=")
	if stat < 0 {
		return false
	}
	a := l.begin()
	a.QueueID = id
	text := s[stat+len(", stat="):]
	fields, reply := s[:stat], ""
	if i := strings.Index(fields, ", reply="); i >= 0 { // since 8.16; the text may hold anything
		fields, reply = fields[:i], fields[i+len(", reply="):]
	}
	for fields != "" {
		eq := strings.IndexByte(fields, '=')
		if eq <= 0 {
			break
		}
		key, value := fields[:eq], ""
		fields = fields[eq+1:]
		if fields != "" && fields[0] == '<' {
			value, fields = angle(fields)
			for key == "to" && strings.HasPrefix(fields, ",<") {
				var other string
				other, fields = angle(fields[1:])
				l.Others = append(l.Others, other)
			}
			if i := strings.Index(fields, ", "); i >= 0 {
				fields = fields[i+2:]
			} else {
				fields = ""
			}
		} else if i := strings.Index(fields, ", "); i >= 0 {
			value, fields = fields[:i], fields[i+2:]
		} else {
			value, fields = fields, ""
		}
		switch key {
		case "to":
			a.Recipient = value
		case "delay":
			a.Delay = clock(value)
		case "xdelay":
			l.Took = clock(value)
		case "mailer":
			a.Route = value
		case "dsn":
			l.Enhanced, _, _ = mail.ParseEnhanced(value)
		case "relay":
			if host, ip, port, _, ok := hostIP(value); ok {
				setHost(a, host, ip, port)
			} else {
				setHost(a, value, "", 0)
			}
		}
	}
	l.Attempt, l.Kind, l.Origin.Format = a, KindDelivery, FormatSendmail
	sendmailStat(l, text)
	if reply != "" && a.Outcome != mail.Delivered {
		l.Diagnostic = reply
		_, _, a.Spoke = mail.ParseCode(reply)
	}
	return true
}

// sendmailStat reads "Sent (ok)", "Deferred: Connection refused by mx.", "User
// unknown", "Service unavailable" and their texts.
func sendmailStat(l *Line, text string) {
	a := l.Attempt
	l.Status, l.Diagnostic = text, text
	switch {
	case strings.HasPrefix(text, "Sent"):
		a.Outcome, a.Final, l.Status = mail.Delivered, true, "Sent"
		if rest, ok := strings.CutPrefix(text, "Sent ("); ok {
			l.Diagnostic = strings.TrimSuffix(rest, ")")
			a.Stage, a.Spoke = mail.StageFinal, a.RemoteHost != ""
		}
	case strings.HasPrefix(text, "Deferred"), strings.HasPrefix(text, "queued"):
		a.Outcome, l.Status = mail.Temporary, "Deferred"
		if rest, ok := strings.CutPrefix(text, "Deferred: "); ok {
			l.Diagnostic = rest
		}
	default:
		a.Outcome, a.Final = mail.Permanent, true
		if l.Enhanced.Class == 4 {
			a.Outcome, a.Final = mail.Temporary, false
		}
	}
	if a.Outcome == mail.Delivered {
		return
	}
	switch d := l.Diagnostic; {
	case strings.HasPrefix(d, "Connection "), strings.HasPrefix(d, "Operation timed out"),
		strings.HasPrefix(d, "No route to host"), strings.HasPrefix(d, "Network is unreachable"):
		a.Stage = mail.StageConnect
	case strings.HasPrefix(d, "Name server"), strings.HasPrefix(d, "Host unknown"):
		a.Stage = mail.StageResolve
	default:
		_, _, a.Spoke = mail.ParseCode(d)
	}
}

// parseOpenSMTPD reads `3d1c0a2b mta delivery evpid=... from=<a> to=<b> rcpt=<->
// source="ip" relay="ip (host)" delay=5s result="PermFail" stat="550 ..."`.
func parseOpenSMTPD(l *Line, s string) bool {
	i := strings.Index(s, "evpid=")
	if i < 0 || !strings.Contains(s[:i], "delivery") {
		return false
	}
	a := l.begin()
	for s = s[i:]; s != ""; s = trim(s) {
		eq := strings.IndexByte(s, '=')
		if eq <= 0 || strings.IndexByte(s[:eq], ' ') >= 0 {
			break
		}
		key, value := s[:eq], ""
		s = s[eq+1:]
		switch {
		case s != "" && s[0] == '"':
			value, s = quoted(s)
		case s != "" && s[0] == '<':
			value, s = angle(s)
		default:
			i := strings.IndexByte(s, ' ')
			if i < 0 {
				i = len(s)
			}
			value, s = s[:i], s[i:]
		}
		switch key {
		case "evpid":
			a.QueueID = value
		case "from":
			a.Sender, a.SenderDomain = value, domainOf(value)
		case "to":
			a.Recipient = value
		case "source":
			a.SourceIP = value
		case "relay":
			ip, host, _ := strings.Cut(value, " (")
			setHost(a, strings.TrimSuffix(host, ")"), strings.Trim(ip, "[]"), 0)
		case "delay":
			a.Delay = spelled(value)
		case "result":
			l.Status = value
		case "stat":
			l.Diagnostic = unescape(value)
		}
	}
	switch l.Status {
	case "Ok":
		a.Outcome, a.Final = mail.Delivered, true
	case "TempFail":
		a.Outcome = mail.Temporary
	case "PermFail":
		a.Outcome, a.Final = mail.Permanent, true
	default:
		return false
	}
	_, _, a.Spoke = mail.ParseCode(l.Diagnostic)
	l.Attempt, l.Kind, l.Origin.Format = a, KindDelivery, FormatOpenSMTPD
	return true
}

// parseQmail reads "delivery 3: failure: 192.0.2.1_does_not_like_recipient./
// Remote_host_said:_550_.../Giving_up_on_192.0.2.1./". The recipient stands on
// another line ("starting delivery 3: msg 123 to remote a@b").
func parseQmail(l *Line, s string) bool {
	if _, after, ok := cutUnix(s); ok { // splogger's own stamp
		s = after
	}
	rest, ok := strings.CutPrefix(s, "delivery ")
	if !ok {
		return false
	}
	_, n := number(rest)
	if n == 0 || !strings.HasPrefix(rest[n:], ": ") {
		return false
	}
	word, text, ok := strings.Cut(rest[n+2:], ": ")
	if !ok {
		return false
	}
	a := l.begin()
	switch word {
	case "success":
		a.Outcome, a.Final = mail.Delivered, true
	case "deferral":
		a.Outcome = mail.Temporary
	case "failure":
		a.Outcome, a.Final = mail.Permanent, true
	default:
		return false
	}
	// Spaces are written as _, line ends as /.
	text = strings.ReplaceAll(strings.Trim(text, "/"), "_", " ")
	text = strings.ReplaceAll(text, "./", ".\n")
	text = strings.ReplaceAll(text, "/Giving up on ", "\nGiving up on ")
	l.Attempt, l.Kind, l.Status, l.Diagnostic = a, KindDelivery, word, text
	l.Origin.Format = FormatQmail
	if ip, _, _ := strings.Cut(text, " "); isIP(ip) {
		a.RemoteIP = ip
	}
	a.Spoke = strings.Contains(text, "Remote host said: ")
	switch {
	case strings.Contains(text, "does not like recipient"):
		a.Stage = mail.StageRcpt
	case strings.Contains(text, "does not like sender"):
		a.Stage = mail.StageMail
	case strings.Contains(text, "couldn't find any host named"):
		a.Stage = mail.StageResolve
	case strings.Contains(text, "wasn't able to establish an SMTP connection"):
		a.Stage = mail.StageConnect
	case strings.Contains(text, "failed on DATA command"):
		a.Stage = mail.StageData
	case strings.Contains(text, "failed after I sent the message"), strings.Contains(text, " accepted message"):
		a.Stage = mail.StageFinal
	case strings.Contains(text, "onnected to ") && strings.Contains(text, "greeting"):
		a.Stage = mail.StageBanner
	}
	return true
}

// record is one line of JSON: KumoMTA's log record, journald's export, or the
// wrapper of a container engine.
type record struct {
	// KumoMTA
	Type      string `json:"type"`
	ID        string `json:"id"`
	Sender    string `json:"sender"`
	Recipient any    `json:"recipient"`
	Queue     string `json:"queue"`
	Response  *struct {
		Code     int `json:"code"`
		Enhanced *struct {
			Class   uint16 `json:"class"`
			Subject uint16 `json:"subject"`
			Detail  uint16 `json:"detail"`
		} `json:"enhanced_code"`
		Content string `json:"content"`
		Command string `json:"command"`
	} `json:"response"`
	Peer *struct {
		Name string `json:"name"`
		Addr string `json:"addr"`
	} `json:"peer_address"`
	Timestamp   json.Number `json:"timestamp"`
	Created     json.Number `json:"created"`
	NumAttempts int         `json:"num_attempts"`
	EgressPool  string      `json:"egress_pool"`
	Source      *struct {
		Address string `json:"address"`
	} `json:"source_address"`
	TLSCipher  string `json:"tls_cipher"`
	TLSVersion string `json:"tls_protocol_version"`

	// journalctl -o json
	Message    string `json:"MESSAGE"`
	Hostname   string `json:"_HOSTNAME"`
	Identifier string `json:"SYSLOG_IDENTIFIER"`
	JournalPID string `json:"_PID"`
	Realtime   string `json:"__REALTIME_TIMESTAMP"`

	// Docker's json-file
	Log  string    `json:"log"`
	Time time.Time `json:"time"`
}

func parseJSON(s string, cut stamp) (Line, bool) {
	r, ok := readRecord(s)
	if !ok {
		return Line{}, false
	}
	return parseRecord(r, cut)
}

func readRecord(s string) (*record, bool) {
	r := new(record)
	return r, json.Unmarshal([]byte(s), r) == nil
}

func parseRecord(r *record, cut stamp) (Line, bool) {
	switch {
	case r.Message != "":
		l := Line{Service: r.Identifier}
		if !parseMessage(&l, prefix{rest: trim(r.Message), tag: r.Identifier}, cut) {
			return Line{}, false
		}
		if l.Direction == "" {
			l.Direction = Outbound
		}
		finish(l.Attempt, &l)
		if us, n := number64(r.Realtime); n > 0 && l.Time.IsZero() {
			l.Time = time.UnixMicro(us).UTC()
		}
		l.Host, l.Origin.Host = r.Hostname, r.Hostname
		l.PID, _ = number(r.JournalPID)
		return l, true
	case r.Log != "" && r.Log[0] != '{':
		l, ok := parseLine(r.Log, cut)
		if ok && l.Time.IsZero() {
			l.Time = r.Time
		}
		return l, ok
	case r.Response != nil && r.Type != "":
		return kumo(r)
	}
	return Line{}, false
}

func number64(s string) (v int64, n int) {
	for n < len(s) && n < 18 && isDigit(s[n]) {
		v = v*10 + int64(s[n]-'0')
		n++
	}
	return v, n
}

// kumo reads a record of KumoMTA's log.
func kumo(r *record) (Line, bool) {
	a := &event.Attempt{
		QueueID: r.ID, Sender: r.Sender, SenderDomain: domainOf(r.Sender), Number: r.NumAttempts,
		Route: r.EgressPool, Stage: commandStage(strings.ToUpper(r.Response.Command)),
	}
	switch v := r.Recipient.(type) {
	case string:
		a.Recipient = v
	case []any:
		if len(v) > 0 {
			a.Recipient, _ = v[0].(string)
		}
	}
	l := Line{Attempt: a, Kind: KindDelivery, Direction: Outbound, Status: r.Type, Service: "kumod"}
	l.Origin.Format = FormatKumoMTA
	switch r.Type {
	case "Delivery":
		a.Outcome, a.Final, a.Stage = mail.Delivered, true, mail.StageFinal
	case "TransientFailure":
		a.Outcome = mail.Temporary
	case "Bounce", "OOB", "AdminBounce", "Expiration":
		a.Outcome, a.Final = mail.Permanent, true
	default:
		return Line{}, false
	}
	if strings.HasPrefix(r.Response.Command, ".") {
		a.Stage = mail.StageFinal
	}
	if r.Peer != nil {
		setHost(a, r.Peer.Name, r.Peer.Addr, 0)
	}
	if r.Source != nil {
		a.SourceIP, _, _ = strings.Cut(r.Source.Address, ":")
		if strings.Count(r.Source.Address, ":") > 1 {
			a.SourceIP = r.Source.Address
		}
	}
	if r.TLSVersion != "" || r.TLSCipher != "" {
		a.TLS = &event.TLS{Version: r.TLSVersion, Cipher: r.TLSCipher}
	}
	reply := mail.Reply{Code: r.Response.Code, Lines: []string{r.Response.Content}}
	if e := r.Response.Enhanced; e != nil {
		reply.Enhanced = mail.Enhanced{Class: e.Class, Subject: e.Subject, Detail: e.Detail}
		l.Enhanced = reply.Enhanced
	}
	l.Diagnostic = reply.String()
	a.Spoke = r.Peer != nil && r.Response.Code != 0 && r.Type != "Expiration" && r.Type != "AdminBounce"
	if sec, n := number64(r.Timestamp.String()); n >= 9 {
		l.Time = time.Unix(sec, 0).UTC()
		if c, k := number64(r.Created.String()); k >= 9 && c <= sec {
			a.Delay = time.Duration(sec-c) * time.Second
		}
	}
	finish(a, &l)
	return l, true
}
