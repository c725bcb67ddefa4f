package bounce

import (
	"net/netip"
	"strings"

	"github.com/postroad/postroad/diagnose"
	"github.com/postroad/postroad/event"
	"github.com/postroad/postroad/mail"
)

// speak fills in what the diagnostic text of b says: the reply, who spoke,
// where and in which phase.
func speak(b *event.Bounce, text string) {
	text = strings.TrimSpace(text)
	if text == "" {
		return
	}
	b.Diagnostic = text
	layers := diagnose.Peel(text)
	var local bool
	for i := range layers {
		l := &layers[i]
		if b.Reply.Code == 0 && (l.Reply.Code != 0 || len(b.Reply.Lines) == 0) {
			b.Reply = event.FromReply(l.Reply)
		}
		if l.Host != "" {
			b.RemoteHost = l.Host
		}
		if l.IP != "" {
			b.RemoteIP = l.IP
		}
		if l.Stage != mail.StageUnknown {
			b.Stage = l.Stage
		}
		b.Spoke = l.Remote
		local = l.Local
	}
	if local {
		b.Spoke = false
	}
	if b.Reply.Code == 0 {
		b.Reply.Code = looseCode(text)
	}
	if b.RemoteHost == "" && b.RemoteIP == "" {
		b.RemoteHost, b.RemoteIP = looseHost(text)
	}
	if b.Status == "" {
		if b.Status = b.Reply.Enhanced; b.Status == "" {
			b.Status = enhancedIn(text)
		}
	}
}

// looseCode finds a reply code behind a word in running text ("... remote host
// 192.0.2.1 said: 550 Unknown user"): in front of words or an enhanced code.
func looseCode(s string) int {
	for from := 0; from < len(s); {
		i, ok := codeIn(s[from:])
		if !ok {
			return 0
		}
		i += from
		from = i + 3
		if i+3 < len(s) && s[i+3] == ',' && strings.HasSuffix(asciiLower(strings.TrimRight(s[:i], " :")), "code") {
			code, _, _ := mail.ParseCode(s[i : i+3])
			return code // Zoho's "ERROR_CODE :550, ERROR_CODE :5.1.1"
		}
		code, rest, ok := mail.ParseCode(s[i:])
		if !ok || i > 0 && strings.IndexByte(" :;'\"(\n>#", s[i-1]) < 0 || rest == "" {
			continue
		}
		before := strings.TrimRight(s[:i], " \n\t")
		marked := before == "" || strings.IndexByte(":;(['\"#>", before[len(before)-1]) >= 0 ||
			strings.HasSuffix(before, "<--") || strings.HasSuffix(before, "<<<") || strings.HasSuffix(before, "],") || strings.HasSuffix(before, "),")
		if again, _, ok := mail.ParseCode(rest); ok && again == code {
			return code // doubled: "421 421 RP-001"
		}
		if _, _, ok := mail.ParseEnhanced(rest); ok || marked && !isDigit(rest[0]) {
			return code
		}
	}
	return 0
}

// looseHost finds the host that a text names in front of the reply: a name with
// its address in brackets, or behind the word "host". Behind the reply code
// names are those of the sending side as often as not.
func looseHost(s string) (host, ip string) {
	if at, ok := codeIn(s); ok {
		s = s[:at]
	}
	s = s[:min(len(s), 1000)]
	for i := 1; i < len(s); i++ {
		if s[i] != '[' && s[i] != '(' {
			continue
		}
		end := i + 1
		for end < len(s) && end < i+48 && strings.IndexByte(" ,)]|", s[end]) < 0 {
			end++
		}
		inside := s[i+1 : end]
		if ip = address(inside); ip == "" {
			if word, _, _ := strings.Cut(s[end:], ":"); strings.Contains(inside, ".") && end < len(s) && s[end] == ' ' {
				if ip = address(strings.TrimSpace(word)); ip != "" {
					return hostName(inside), ip // Gmail's "[mx.example.com 192.0.2.1: timed out]"
				}
			}
			continue
		}
		before := strings.TrimRight(s[:i], " :.")
		name := before[strings.LastIndexAny(before, " \n\t:<")+1:]
		if strings.Contains(name, ".") && !strings.Contains(name, "@") {
			return hostName(name), ip
		}
	}
	low := asciiLower(s)
	if i := strings.Index(low, "host"); i >= 0 {
		word, _, _ := strings.Cut(strings.TrimLeft(s[i+4:], ": "), " ")
		word = strings.TrimRight(word, ":.,")
		if a := address(strings.Trim(word, "[]")); a != "" {
			return "", a
		}
		if strings.Contains(word, ".") && !strings.ContainsAny(word, "@<>/") {
			return hostName(word), ""
		}
	}
	return "", ""
}

// enhancedIn finds an enhanced code that stands anywhere in a text, such as
// qmail's "(#5.1.1)".
func enhancedIn(s string) string {
	for i := 0; i+4 < len(s); i++ {
		if c := s[i]; c != '2' && c != '4' && c != '5' || s[i+1] != '.' || i > 0 && (isAlnum(s[i-1]) || s[i-1] == '.') {
			continue
		}
		if e, rest, ok := mail.ParseEnhanced(s[i:]); ok && (rest == "" || !isAlnum(rest[0])) {
			return e.String()
		}
	}
	return ""
}

// remoteMTA reads a Remote-MTA field: "dns; mx.example.com (192.0.2.1)" and what
// programs make of it, up to PMDF's "(TCP|local|port|192.0.2.1|25)".
func remoteMTA(field string) (host, ip string) {
	typ, v := splitType(field)
	v = strings.Trim(v, "<> \t")
	if strings.EqualFold(typ, "x-unix") || v == "" {
		return "", ""
	}
	if i := strings.Index(v, "(TCP|"); i >= 0 {
		if cells := strings.Split(v[i:], "|"); len(cells) >= 4 {
			ip = address(cells[3])
		}
	}
	host = hostName(v)
	if a := address(strings.Trim(host, "[]")); a != "" {
		host = ""
		ip = a
	}
	for i := 0; ip == "" && i < len(v); i++ {
		if v[i] == '(' || v[i] == '[' {
			end := i + 1
			for end < len(v) && strings.IndexByte(" ,)]|", v[end]) < 0 {
				end++
			}
			ip = address(v[i+1 : end])
		}
	}
	return host, ip
}

func address(s string) string {
	if len(s) > 5 && strings.EqualFold(s[:5], "ipv6:") {
		s = s[5:]
	}
	if a, err := netip.ParseAddr(s); err == nil {
		return a.String()
	}
	return ""
}

// hostName gives the host at the start of s in its normal form; "" if what
// stands there is none.
func hostName(s string) string {
	s = strings.TrimSpace(s)
	if i := strings.IndexAny(s, " \t(,;"); i >= 0 {
		s = s[:i]
	}
	s = mail.NormalDomain(s)
	for i := 0; i < len(s); i++ {
		if c := s[i]; !isAlnum(c) && c < 0x80 && strings.IndexByte(".-_[]:", c) < 0 {
			return ""
		}
	}
	return s
}

// ownWords begin texts that a reporting MTA writes itself, although it types
// them "smtp" (RFC 3464 section 2.3.6 means a reply of the remote host by it):
// Exchange's components, expiry of Amazon's and Exchange's queues, Gmail's DNS.
var ownWords = [...]string{
	"resolver.", "storedrv.", "queue.", "routing.", "smtpsend.", "agentinfo", "message expired", "dns error",
	"the recipient server did not accept our requests", "delivery expired", "hop count exceeded",
}

// local tells a reply that the reporter wrote itself.
func isOwn(r event.Reply) bool {
	if len(r.Lines) == 0 {
		return true
	}
	low := asciiLower(r.Lines[0])
	for _, w := range ownWords {
		if strings.HasPrefix(low, w) {
			return true
		}
	}
	return false
}

// fromGroup makes a result of one recipient's fields.
func fromGroup(g *group, facts *envelopeFacts) event.Bounce {
	b := event.Bounce{
		Action: g.actionOf(), Status: g.status, ReportingHost: facts.reporting,
		LastAttempt: g.lastAttempt, Arrival: facts.arrival, WillRetryUntil: g.retryUntil,
		EnvelopeID: facts.envelopeID, Ours: mail.OursUnknown,
	}
	said(&b, g.diagType, g.diagnostic, g.remote)
	return b
}

// said fills in a Diagnostic-Code and a Remote-MTA.
func said(b *event.Bounce, typ, diagnostic, remote string) {
	speak(b, diagnostic)
	host, ip := remoteMTA(remote)
	if host != "" && host != b.ReportingHost {
		b.RemoteHost = host
	}
	if ip != "" {
		b.RemoteIP = ip
	}
	if strings.EqualFold(typ, "smtp") && b.Reply.Code != 0 && !isOwn(b.Reply) {
		b.Spoke = true
	}
}
