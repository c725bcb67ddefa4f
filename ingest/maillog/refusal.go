package maillog

import (
	"strings"

	"github.com/postroad/postroad/mail"
)

// refusal reads what smtpd, postscreen and cleanup say of mail that we did not
// take:
//
//	reject: RCPT from client[ip]: 554 5.7.1 <a@b>: ...; from=<> to=<> proto=ESMTP helo=<x>
//	milter-reject: END-OF-MESSAGE from client[ip]: 5.7.1 ...; from=<> ...
//	reject: header Subject: ... from client[ip]; from=<> to=<> ...: 5.7.1 text
func refusal(l *Line, s string) bool {
	i := strings.IndexByte(s, ':')
	if i < 4 || i+2 >= len(s) || s[i+1] != ' ' {
		return false
	}
	action := s[:i]
	switch action {
	case "reject", "reject_warning", "milter-reject", "proxy-reject", "milter-discard", "milter-hold", "discard", "hold":
	default:
		return false
	}
	s = s[i+2:]
	a := l.begin()
	l.Attempt, l.Kind, l.Direction, l.Status = a, KindRefusal, Inbound, action
	phase, client, ok := strings.Cut(s, " from ")
	if strings.HasPrefix(s, "header ") || strings.HasPrefix(s, "body ") || strings.HasPrefix(s, "mime-header ") {
		if !contentRefusal(l, s) {
			return false
		}
	} else {
		if !ok || len(phase) > 24 {
			// "proxy-reject: END-OF-MESSAGE: 451 ...": a filter before the queue
			// spoke, the line does not name the client.
			if phase, client, ok = strings.Cut(s, ": "); !ok || len(phase) > 24 {
				return false
			}
			a.Stage = phaseStage(phase)
			l.Diagnostic = l.envelope(client)
		} else {
			host, ip, port, rest, ok := hostIP(client)
			if !ok {
				return false
			}
			setHost(a, host, ip, port)
			a.Stage = phaseStage(phase)
			l.Diagnostic = l.envelope(strings.TrimPrefix(rest, ": "))
		}
	}
	if !strings.HasSuffix(action, "reject") {
		return true // taken all the same, or thrown away in silence
	}
	code, e, _ := findReply(l.Diagnostic)
	enhanced, _, _ := mail.ParseEnhanced(e)
	if code == 0 {
		enhanced, _, _ = mail.ParseEnhanced(l.Diagnostic)
	}
	a.Outcome = mail.OutcomeOf(code, enhanced)
	if code == 0 && a.Stage == mail.StageConnect {
		a.Outcome = mail.Temporary // postscreen's "too many connections" is a 421
	}
	l.Enhanced = enhanced
	a.Final = a.Outcome == mail.Permanent
	return true
}

// contentRefusal reads what header_checks and body_checks refuse.
func contentRefusal(l *Line, s string) bool {
	i := strings.LastIndex(s, "; from=<")
	if i < 0 {
		return false
	}
	if j := strings.LastIndex(s[:i], " from "); j >= 0 {
		if host, ip, port, _, ok := hostIP(s[j+6 : i]); ok {
			setHost(l.Attempt, host, ip, port)
		}
	}
	l.Attempt.Stage = mail.StageFinal
	rest := l.fields(s[i+2:])
	if t, ok := strings.CutPrefix(rest, ": "); ok {
		l.Diagnostic = t
	} else {
		l.Diagnostic = s[:i]
	}
	return true
}

// envelope cuts "; from=<a> to=<b> proto=SMTP helo=<x>" off the end of a text,
// takes the values into the attempt and gives the text.
func (l *Line) envelope(s string) string {
	at := -1
	for _, key := range [...]string{"; from=<", "; to=<", "; proto=", "; helo=<"} {
		if i := strings.LastIndex(s, key); i >= 0 && (at < 0 || i < at) {
			at = i
		}
	}
	if at < 0 {
		return trim(s)
	}
	l.fields(s[at+2:])
	return trim(s[:at])
}

// fields reads "from=<a> to=<b> proto=SMTP helo=<x>", with or without commas
// (postscreen writes them), and gives what follows.
func (l *Line) fields(s string) string {
	a := l.Attempt
	for {
		eq := strings.IndexByte(s, '=')
		if eq <= 0 || eq > 16 || strings.IndexByte(s[:eq], ' ') >= 0 {
			return s
		}
		key, value := s[:eq], ""
		s = s[eq+1:]
		if s != "" && s[0] == '<' {
			value, s = angle(s)
		} else {
			i := strings.IndexAny(s, " ,:")
			if i < 0 {
				i = len(s)
			}
			value, s = s[:i], s[i:]
		}
		switch key {
		case "from":
			a.Sender, a.SenderDomain = value, domainOf(value)
		case "to":
			a.Recipient = value
		case "helo":
			a.HELO = value
		}
		trimmed := strings.TrimLeft(strings.TrimPrefix(s, ","), " ")
		if trimmed == "" || s[0] == ':' {
			return s
		}
		s = trimmed
	}
}

// phaseStage reads smtpd's name for the phase.
func phaseStage(s string) mail.Stage {
	switch s {
	case "CONNECT":
		return mail.StageConnect
	case "HELO", "EHLO":
		return mail.StageEHLO
	case "STARTTLS":
		return mail.StageSTARTTLS
	case "AUTH":
		return mail.StageAuth
	case "MAIL":
		return mail.StageMail
	case "RCPT":
		return mail.StageRcpt
	case "DATA", "BDAT":
		return mail.StageData
	case "END-OF-MESSAGE":
		return mail.StageFinal
	}
	return mail.StageUnknown
}
