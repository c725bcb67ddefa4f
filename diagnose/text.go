package diagnose

import (
	"strings"

	"github.com/postroad/postroad/mail"
)

// text is a text and the same in ASCII lower case with spaces for line ends, so
// that words can be looked for however they are written; offset by offset.
type text struct{ s, low string }

func newText(s string) text { return text{s, mapBytes(s, &spaced)} }

// spaced maps ASCII letters to lower case, line ends and tabs to spaces; small
// only does the former.
var spaced, small = func() (spaced, small [256]byte) {
	for i := range spaced {
		small[i] = byte(i)
		if 'A' <= i && i <= 'Z' {
			small[i] += 'a' - 'A'
		}
		spaced[i] = small[i]
	}
	spaced['\n'], spaced['\t'] = ' ', ' '
	return spaced, small
}()

// mapBytes gives s with every byte mapped; s itself if none changes.
func mapBytes(s string, to *[256]byte) string {
	i := 0
	for i < len(s) && to[s[i]] == s[i] {
		i++
	}
	if i == len(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	b.WriteString(s[:i])
	for ; i < len(s); i++ {
		b.WriteByte(to[s[i]])
	}
	return b.String()
}

func (t text) from(i int) text  { return text{t.s[i:], t.low[i:]} }
func (t text) upto(i int) text  { return text{t.s[:i], t.low[:i]} }
func (t text) has(w string) int { return strings.Index(t.low, w) }

// lower is [strings.ToLower] for ASCII letters alone, so that offsets agree.
func lower(s string) string { return mapBytes(s, &small) }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }
func isAlpha(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }

// wordByte reports whether c can be inside a host name, a code or a word.
func wordByte(c byte) bool { return isAlpha(c) || isDigit(c) || c == '_' || c >= 0x80 }

// startsReply reports whether s begins as a reply does: with a reply code or an
// enhanced status code.
func startsReply(s string) bool {
	s = strings.TrimLeft(s, " \t\n\"'<(")
	if _, _, ok := replyCode(s); ok {
		return true
	}
	_, _, ok := mail.ParseEnhanced(strings.TrimPrefix(s, "#"))
	return ok
}

// replyCode is [mail.ParseCode] that also takes the line end and the colon that
// some MTAs write behind the code.
func replyCode(s string) (code int, rest string, ok bool) {
	if len(s) > 3 && (s[3] == '\n' || s[3] == ':') {
		code, _, ok = mail.ParseCode(s[:3])
		return code, strings.TrimLeft(s[4:], " \t\n"), ok
	}
	return mail.ParseCode(s)
}

// hostIP reads "name[address]", "name[address]:25", "name [address]:" or
// "name (address)" at the start of s, as MTAs write a host. Without an address
// it fails: a lone word could be anything. rest begins behind it.
func hostIP(s string) (host, ip, rest string, ok bool) {
	i := 0
	for i < len(s) && i < 256 && !isSpace(s[i]) && s[i] != '[' && s[i] != '(' {
		i++
	}
	host = strings.Trim(s[:i], ".,:;<>\"'")
	j := i
	for j < len(s) && isSpace(s[j]) {
		j++
	}
	if j >= len(s) || s[j] != '[' && s[j] != '(' {
		return "", "", s, false
	}
	closing := byte(']')
	if s[j] == '(' {
		closing = ')'
	}
	end := strings.IndexByte(s[j:], closing)
	if end < 0 || end > 64 {
		return "", "", s, false
	}
	ip = address(s[j+1 : j+end])
	if ip == "" {
		return "", "", s, false
	}
	rest = s[j+end+1:]
	if len(rest) > 1 && rest[0] == ':' && isDigit(rest[1]) {
		rest = strings.TrimLeft(rest[1:], "0123456789")
	}
	if !strings.Contains(host, ".") && len(host) > 0 && !nameBytes(host) {
		host = ""
	}
	return host, ip, rest, true
}

func nameBytes(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; !wordByte(c) && c != '-' && c != '.' {
			return false
		}
	}
	return s != ""
}

// address gives the IP address in s ("192.0.2.1", "IPv6:2001:db8::1",
// "192.0.2.1:25") without prefix and port, "" if s is none. It looks at the
// form only: net/netip would refuse the masked addresses of real reports.
func address(s string) string {
	s = trimSpace(s)
	if len(s) > 5 && strings.EqualFold(s[:5], "ipv6:") {
		s = s[5:]
	}
	dots, colons := strings.Count(s, "."), strings.Count(s, ":")
	if dots == 3 && colons == 1 {
		s = s[:strings.IndexByte(s, ':')]
	}
	v6 := colons > 2 || strings.Contains(s, "::") // two colons alone are a time of day
	if dots != 3 && !v6 || len(s) > 45 {
		return ""
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		hex := isDigit(c) || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F' || c == 'x' || c == '*'
		if !hex && c != '.' && (c != ':' || !v6) {
			return ""
		}
	}
	return s
}

// command reads an SMTP command out of the words in which an MTA says during
// which one a session ended, and gives the stage. The words of Postfix
// (src/smtp), Exim (src/transports/smtp.c), qmail-remote and Sendmail.
func command(low string) mail.Stage {
	for _, c := range commands {
		if strings.Contains(low, c.words) {
			return c.stage
		}
	}
	return mail.StageUnknown
}

var commands = [...]struct {
	words string
	stage mail.Stage
}{
	{"end of data", mail.StageFinal},
	{"final dot", mail.StageFinal},
	{"message body", mail.StageData},
	{"sending data block", mail.StageData},
	{"data block", mail.StageData},
	{"message content", mail.StageData},
	{"server greeting", mail.StageBanner},
	{"initial connection", mail.StageBanner},
	{"initial smtp greeting", mail.StageBanner},
	{"starttls", mail.StageSTARTTLS},
	{"tls handshake", mail.StageTLS},
	{"rcpt", mail.StageRcpt},
	{"mail from", mail.StageMail},
	{"ehlo", mail.StageEHLO},
	{"helo", mail.StageEHLO},
	{"lhlo", mail.StageEHLO},
	{"auth", mail.StageAuth},
	{"data", mail.StageData},
	{"bdat", mail.StageData},
}
