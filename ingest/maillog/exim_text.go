package maillog

import (
	"strings"

	"github.com/postroad/postroad/mail"
)

// cutDefer takes "defer (-53): " off, and the fields that stand behind it in
// newer versions ("defer (-44) H=mx [ip]: SMTP error ...").
func cutDefer(l *Line, s string) string {
	rest, ok := strings.CutPrefix(s, "defer (")
	if !ok {
		rest, ok = strings.CutPrefix(s, "routing defer (")
	}
	if !ok {
		return s
	}
	i := strings.IndexByte(rest, ')')
	if i < 0 {
		return s
	}
	// "retry time not reached" and its kin: nothing was tried.
	switch rest[:i] {
	case "-51", "-52", "-53", "-54":
		l.Kind = KindSuspended
	}
	rest = rest[i+1:]
	if t, ok := strings.CutPrefix(rest, ": "); ok {
		return t
	}
	return l.eximFields(trim(rest))
}

// eximText takes stage, speaker and host out of the text of a failure.
func (l *Line) eximText() {
	a := l.Attempt
	text := l.Diagnostic
	a.Stage = eximStage(text)
	if i := remoteError(text); i >= 0 {
		a.Spoke = true
	}
	if a.RemoteHost == "" && a.RemoteIP == "" {
		// Older versions: "...: host mx.example.com [192.0.2.1]: 550 ..."
		rest, ok := strings.CutPrefix(text, "host ")
		if !ok {
			if i := strings.Index(text, ": host "); i >= 0 {
				rest, ok = text[i+7:], true
			} else if i := strings.Index(text, " H="); i >= 0 {
				// "defer (110): Connection timed out H=mx [192.0.2.1]: SMTP timeout after ..."
				rest, ok = text[i+3:], true
			}
		}
		if ok {
			if host, ip, port, _, ok := hostIP(rest); ok && host != "" {
				setHost(a, host, ip, port)
			}
		}
	}
}

// remoteError finds Exim's words for "the other side said".
func remoteError(s string) int {
	if i := strings.Index(s, "SMTP error from remote mail"); i >= 0 {
		return i
	}
	return strings.Index(s, "LMTP error from")
}

// eximStage tells the phase from the words of Exim's smtp transport.
func eximStage(s string) mail.Stage {
	head := s
	if len(head) > 300 {
		head = head[:300]
	}
	if i := remoteError(head); i >= 0 {
		if j := strings.Index(head[i:], " after "); j >= 0 {
			return eximCommand(head[i+j+7:])
		}
		return mail.StageUnknown
	}
	if i := strings.Index(head, "closed connection in response to "); i >= 0 {
		return eximCommand(head[i+len("closed connection in response to "):])
	}
	if i := strings.Index(head, "timeout after "); i >= 0 {
		return eximCommand(head[i+len("timeout after "):])
	}
	switch {
	case strings.Contains(head, "TLS session is required, but"):
		return mail.StageSTARTTLS
	case strings.Contains(head, "TLS error on connection"), strings.Contains(head, "TLS session"):
		return mail.StageTLS
	case strings.Contains(head, "Connection refused"), strings.Contains(head, "Connection timed out"),
		strings.Contains(head, "No route to host"), strings.Contains(head, "Network is unreachable"),
		strings.Contains(head, "Operation timed out"), strings.Contains(head, "Connection reset by peer"):
		return mail.StageConnect
	case strings.Contains(head, "host lookup did not complete"), strings.Contains(head, "lookup of host"),
		strings.Contains(head, "all relevant MX records point to non-existent hosts"),
		strings.Contains(head, "an MX or SRV record indicated no SMTP service"),
		strings.Contains(head, "domain has no MX"), strings.Contains(head, "all host address lookups failed"),
		strings.Contains(head, "lowest numbered MX record points to local host"):
		return mail.StageResolve
	}
	return mail.StageUnknown
}

// eximCommand reads "RCPT TO:<a@b>", "end of data", "initial connection",
// "pipelined MAIL FROM:<>" and their siblings.
func eximCommand(s string) mail.Stage {
	s = strings.TrimPrefix(s, "pipelined ")
	s = strings.TrimPrefix(s, "sending ")
	switch {
	case strings.HasPrefix(s, "initial connection"):
		return mail.StageBanner
	case strings.HasPrefix(s, "end of data"):
		return mail.StageFinal
	case strings.HasPrefix(s, "data block"):
		return mail.StageData
	}
	return commandStage(s)
}

// eximSession reads what was logged of one host while others were left to try:
//
//	H=mx.example.com [192.0.2.1] Connection timed out
//	mx.example.com [192.0.2.1] Connection refused
//	H=mx.example.com [192.0.2.1]: SMTP error from remote mail server after initial connection: 554 ...
//	Remote host mx.example.com [192.0.2.1] closed connection in response to initial connection
func eximSession(l *Line, s string) bool {
	a := l.Attempt
	text := s
	switch {
	case strings.HasPrefix(s, "H="):
		text = l.eximFields(s)
	case strings.HasPrefix(s, "Remote host "), strings.HasPrefix(s, "SMTP "):
		rest := strings.TrimPrefix(s, "Remote host ")
		if i := strings.Index(s, " to "); i > 0 && rest == s {
			rest = s[i+4:]
		}
		host, ip, port, _, ok := hostIP(rest)
		if !ok {
			return false
		}
		setHost(a, host, ip, port)
	default:
		host, ip, port, rest, ok := hostIP(s)
		if !ok || ip == "" || host == "" || strings.IndexByte(host, '.') < 0 {
			return false
		}
		setHost(a, host, ip, port)
		text = trim(strings.TrimPrefix(rest, ":"))
	}
	if a.RemoteIP == "" && a.RemoteHost == "" || text == "" {
		return false
	}
	l.Kind, l.Diagnostic = KindSession, unescape(text)
	l.eximText()
	if a.Stage == mail.StageUnknown && !a.Spoke {
		return false
	}
	a.Outcome = mail.Temporary
	if code, _, _ := findReply(l.Diagnostic); a.Spoke && code/100 == 5 {
		a.Outcome = mail.Permanent
	}
	return true
}

// eximRefusal reads our own refusals:
//
//	H=client (helo) [192.0.2.1] F=<a@b> rejected RCPT <c@d>: relay not permitted
//	H=client [192.0.2.1] F=<a@b> temporarily rejected RCPT <c@d>: greylisted
//	1rRabc-0001Ab-2C H=... F=<a@b> rejected after DATA: text
func eximRefusal(l *Line, s string) bool {
	a := l.Attempt
	text := l.eximFields(s)
	a.Outcome = mail.Permanent
	if rest, ok := strings.CutPrefix(text, "temporarily "); ok {
		text, a.Outcome = rest, mail.Temporary
	}
	text, ok := strings.CutPrefix(text, "rejected ")
	if !ok || a.RemoteIP == "" {
		return false
	}
	what, reason, _ := strings.Cut(text, ": ")
	switch {
	case strings.HasPrefix(what, "RCPT"):
		a.Stage = mail.StageRcpt
		if i := strings.IndexByte(text, '<'); i >= 0 {
			a.Recipient, reason = angle(text[i:])
			reason = strings.TrimPrefix(reason, ": ")
		} else if _, r, ok := strings.Cut(what, " "); ok {
			a.Recipient = r
		}
	case strings.HasPrefix(what, "MAIL"), strings.HasPrefix(what, "<"):
		a.Stage = mail.StageMail
	case strings.HasPrefix(what, "EHLO"), strings.HasPrefix(what, "HELO"):
		a.Stage = mail.StageEHLO
	case strings.HasPrefix(what, "after DATA"), strings.HasPrefix(what, "during MIME"):
		a.Stage = mail.StageFinal
	case strings.HasPrefix(what, "DATA"):
		a.Stage = mail.StageData
	case strings.HasPrefix(what, "connection"):
		a.Stage = mail.StageConnect
	}
	l.Kind, l.Direction, l.Status = KindRefusal, Inbound, "rejected"
	if a.Outcome == mail.Temporary {
		l.Status = "temporarily rejected"
	}
	a.Final = a.Outcome == mail.Permanent
	l.Diagnostic = unescape(trim(reason))
	return true
}
