package trace

import (
	"net/netip"
	"strings"
	"time"

	"github.com/postroad/postroad/diagnose"
	"github.com/postroad/postroad/event"
	"github.com/postroad/postroad/mail"
)

// fill puts a text into an attempt: the last error of a trace, a recipient
// status, a reply. The text stays whole; code, speaker, host and phase are
// those of its innermost reply. The trace cuts such texts anywhere.
func fill(a *event.Attempt, s string) {
	s = strings.TrimSpace(s)
	if s == "" {
		return
	}
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "")
	}
	a.Reply.Lines = []string{s}
	low := lower(s)
	remote(a, s, low)
	layers := diagnose.Peel(s)
	for i := len(layers) - 1; i >= 0 && a.Reply.Code == 0; i-- {
		a.Reply.Code, a.Reply.Enhanced = layers[i].Reply.Code, layers[i].Reply.Enhanced.String()
	}
	if len(layers) > 0 {
		last := layers[len(layers)-1]
		a.Stage = last.Stage
		a.Spoke = last.Reply.Code != 0 && (last.Remote || len(layers) > 1 || a.RemoteHost != "" || a.RemoteIP != "") && !own(last)
	}
	if frontEnd, ip := ours(s, low, a.RemoteHost, a.RemoteIP); frontEnd != "" || ip != "" {
		a.SourceHost = first(frontEnd, a.SourceHost)
		a.SourceIP = first(ip, a.SourceIP)
	}
	if a.Stage == mail.StageUnknown {
		a.Stage = stageOf(low)
	}
}

// own reports whether a reply is in the words of Exchange itself, which gives
// codes to what it finds out before anybody speaks.
func own(l diagnose.Layer) bool {
	if e := l.Reply.Enhanced; e.Subject == 4 && e.Detail >= 300 && e.Detail < 400 || e.Subject == 7 && e.Detail >= 320 && e.Detail < 330 {
		return true // connection, DNS and expiry; DANE and MTA-STS
	}
	low := lower(l.Text)
	for _, words := range [...]string{
		"starttls is required to send mail", "connection dropped", "connection timed out", "unable to connect", "cannot connect",
		"socket error", "winsock error", "message expired", "communicating with", "tls negotiation", "security status",
		"tlscertificatename", "certificate validation failure", "dns query", "dns domain", "proxy session",
		"resolver.", "storedrv", "transport.", "queue.", "routing.", "smtpsend.", "approval.", "delivery.",
	} {
		if strings.Contains(low, words) {
			return true
		}
	}
	return false
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// remote finds whom the text says was tried: the last attempt, else the host of
// the queue.
func remote(a *event.Attempt, s, low string) {
	host := hostName(field(s, low, "[lastattemptedservername=", "]"))
	ip, port := address(field(s, low, "[lastattemptedip=", "]"))
	queueHost := hostName(field(s, low, "{fqdn=", "}"))
	queueIP, _ := address(field(s, low, "{ip=", "}"))
	if host == "" && ip == "" {
		host, ip = queueHost, queueIP
	} else if ip == "" && strings.EqualFold(host, queueHost) {
		ip = queueIP
	} else if host == "" && ip == queueIP {
		host = queueHost
	}
	if host == "" && ip == "" {
		target := hostName(field(s, low, "outboundproxytargethostname:", " "))
		if !isFrontEnd(target) {
			host = target
			ip, port = address(field(s, low, "outboundproxytargetip:", " "))
		}
	}
	if host == "" && ip == "" {
		ip, port = address(field(s, low, "last endpoint attempted was ", " "))
	}
	if host != "" || ip != "" {
		a.RemoteHost, a.RemoteIP = host, ip
	}
	if port != 0 {
		a.RemotePort = port
	}
}

// lower gives s in lower case, byte by byte: places in it are places in s.
func lower(s string) string {
	for i := 0; i < len(s); i++ {
		if s[i] >= 'A' && s[i] <= 'Z' {
			b := []byte(s)
			for ; i < len(b); i++ {
				if b[i] >= 'A' && b[i] <= 'Z' {
					b[i] |= 0x20
				}
			}
			return string(b)
		}
	}
	return s
}

// field gives what stands behind a label, up to its end; half a name of a host
// is none, so what was cut is not there. A blank ends at the end of the text too.
// low is s in lower case, as the label is.
func field(s, low, label, end string) string {
	i := strings.Index(low, label)
	if i < 0 {
		return ""
	}
	s = strings.TrimLeft(s[i+len(label):], " ")
	j := strings.Index(s, end)
	switch {
	case j >= 0:
		s = s[:j]
	case end != " ":
		return ""
	}
	return strings.TrimSpace(s)
}

// hostName gives s if it can be the name of a host, in lower case.
func hostName(s string) string {
	s = strings.TrimRight(s, ".")
	if len(s) > 253 || !strings.Contains(s, ".") {
		return ""
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '.' && c != '-' && c != '_' {
			return ""
		}
	}
	if _, err := netip.ParseAddr(s); err == nil {
		return ""
	}
	return mail.NormalDomain(s)
}

// address reads "192.0.2.1", "192.0.2.1:25", "[2001:db8::1]:25".
func address(s string) (ip string, port int) {
	s = strings.Trim(s, " .;,")
	if a, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return a.WithZone("").Unmap().String(), 0
	}
	if a, err := netip.ParseAddrPort(s); err == nil {
		return a.Addr().WithZone("").Unmap().String(), int(a.Port())
	}
	return "", 0
}

// isFrontEnd reports whether a host is one of those with which Exchange Online
// sends, and not one that receives for a domain.
func isFrontEnd(host string) bool {
	host = strings.ToLower(host)
	for _, suffix := range [...]string{".prod.outlook.com", ".prod.protection.outlook.com", ".prod.exchangelabs.com"} {
		if strings.HasSuffix(host, suffix) {
			return true
		}
	}
	return false
}

// ours finds the front end that made the attempt: named behind the reply with
// the time and an id, or as the target of the proxy where the remote host is
// another one.
func ours(s, low, remoteHost, remoteIP string) (host, ip string) {
	if !strings.Contains(low, ".prod.") {
		return "", ""
	}
	for rest := s; ; {
		i := strings.IndexByte(rest, '[')
		if i < 0 {
			break
		}
		rest = rest[i+1:]
		words := strings.Fields(rest[:min(len(rest), 200)])
		if len(words) >= 2 && isFrontEnd(words[0]) {
			if _, ok := isoTime(words[1], time.UTC); ok {
				host = mail.NormalDomain(words[0])
			}
		}
	}
	target := hostName(field(s, low, "outboundproxytargethostname:", " "))
	if isFrontEnd(target) && target != remoteHost {
		host = first(host, target)
		ip, _ = address(field(s, low, "outboundproxytargetip:", " "))
		if ip == remoteIP {
			ip = ""
		}
	}
	return host, ip
}

// stageOf reads the phase from the words of Exchange itself.
func stageOf(low string) mail.Stage {
	for _, w := range [...]struct {
		words string
		stage mail.Stage
	}{
		{"starttls is required", mail.StageSTARTTLS},
		{"tls negotiation failed", mail.StageTLS},
		{"security status", mail.StageTLS},
		{"untrustedroot", mail.StageTLS},
		{"certificateexpired", mail.StageTLS},
		{"subjectmismatch", mail.StageTLS},
		{"dns query failed", mail.StageResolve},
		{"dns domain does not exist", mail.StageResolve},
		{"socket error code", mail.StageConnect},
		{"winsock error code", mail.StageConnect},
		{"socketconnectionrefused", mail.StageConnect},
		{"sockettimedout", mail.StageConnect},
		{"failed to connect", mail.StageConnect},
	} {
		if strings.Contains(low, w.words) {
			return w.stage
		}
	}
	return mail.StageUnknown
}

// delivered finds the reply to a delivery: in the context of a tracking log
// ("08DC...;250 2.0.0 OK;ClientSubmitTime:..."), in a detail ("... with 250 2.0.0 OK"),
// as a status of its own.
func delivered(s string) string {
	for i := 0; i+4 <= len(s); i++ {
		if s[i] != '2' || i > 0 && (s[i-1] >= '0' && s[i-1] <= '9' || s[i-1]|0x20 >= 'a' && s[i-1]|0x20 <= 'z' || s[i-1] == '.' || s[i-1] == '-') {
			continue
		}
		code, rest, ok := mail.ParseCode(s[i:])
		if !ok || code < 200 || code > 299 || strings.HasPrefix(s[i+3:], ".") || strings.HasPrefix(s[i+3:], ":") {
			continue
		}
		if strings.HasPrefix(strings.TrimSpace(rest), "bytes") {
			continue
		}
		reply := s[i:]
		for _, end := range [...]string{";ClientSubmitTime", "};{", "}]"} {
			if j := strings.Index(reply, end); j >= 0 {
				reply = reply[:j]
			}
		}
		return strings.TrimRight(strings.TrimSpace(reply), "; ")
	}
	return ""
}
