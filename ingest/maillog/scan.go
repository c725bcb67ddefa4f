package maillog

import (
	"strings"
	"time"

	"github.com/postroad/postroad/event"
	"github.com/postroad/postroad/mail"
)

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isAlnum(c byte) bool {
	return isDigit(c) || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// trim takes off white space and line ends on both sides.
func trim(s string) string {
	for s != "" && s[0] <= ' ' {
		s = s[1:]
	}
	for s != "" && s[len(s)-1] <= ' ' {
		s = s[:len(s)-1]
	}
	return s
}

// number reads decimal digits at the start of s; n is how many, at most 9.
func number(s string) (v, n int) {
	for n < len(s) && n < 9 && isDigit(s[n]) {
		v = v*10 + int(s[n]-'0')
		n++
	}
	return v, n
}

// seconds reads a decimal number of seconds ("0.06", "11", "1e+03" is cut) as
// Postfix writes them. Absurd values (over a year) are 0.
func seconds(s string) time.Duration {
	v, n := number(s)
	if n == 0 || v > 366*86400 {
		return 0
	}
	d := time.Duration(v) * time.Second
	if n < len(s) && s[n] == '.' {
		unit := time.Second / 10
		for i := n + 1; i < len(s) && isDigit(s[i]) && unit > 0; i++ {
			d += time.Duration(s[i]-'0') * unit
			unit /= 10
		}
	}
	return d
}

// spelled reads a duration with unit letters, "1d2h3m4.5s" (Exim, OpenSMTPD).
func spelled(s string) time.Duration {
	var sum time.Duration
	for s != "" {
		i := 0
		for i < len(s) && (isDigit(s[i]) || s[i] == '.') {
			i++
		}
		if i == 0 || i == len(s) {
			return sum
		}
		d := seconds(s[:i])
		switch s[i] {
		case 'w':
			d *= 7 * 86400
		case 'd':
			d *= 86400
		case 'h':
			d *= 3600
		case 'm':
			d *= 60
		}
		if d < 0 || d > 366*24*time.Hour {
			return 0
		}
		sum += d
		s = s[i+1:]
	}
	return sum
}

// clock reads Sendmail's "[days+]hh:mm:ss".
func clock(s string) time.Duration {
	var days int
	if v, n := number(s); n > 0 && n < len(s) && s[n] == '+' {
		days, s = v, s[n+1:]
	}
	if len(s) < 8 || s[2] != ':' || s[5] != ':' || days > 366 {
		return 0
	}
	h, _ := number(s[:2])
	m, _ := number(s[3:5])
	return time.Duration(days)*24*time.Hour + time.Duration(h)*time.Hour +
		time.Duration(m)*time.Minute + seconds(s[6:])
}

// angle reads an address at the start of s that stands in angle brackets, and
// gives what follows the closing one. Brackets, commas and spaces inside a
// quoted local part belong to the address. Without a closing bracket (a line
// cut short) the rest of the line is the address.
func angle(s string) (address, rest string) {
	if s == "" || s[0] != '<' {
		return "", s
	}
	quoted := false
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			quoted = !quoted
		case '>':
			if !quoted {
				return s[1:i], s[i+1:]
			}
		}
	}
	// The quotes do not pair (a log that takes escapes off): the first bracket.
	if i := strings.IndexByte(s, '>'); i > 0 {
		return s[1:i], s[i+1:]
	}
	return s[1:], ""
}

// hostIP reads "host[ip]:port", "host[ip]", "[ip]:port" or "host [ip]:port" at
// the start of s and gives the rest. ok is false if there are no brackets.
// A socket path in the brackets ("private/dovecot-lmtp") gives no address.
func hostIP(s string) (host, ip string, port int, rest string, ok bool) {
	open := strings.IndexByte(s, '[')
	if open < 0 || open > 256 {
		return "", "", 0, s, false
	}
	host = s[:open]
	if host != "" && host[len(host)-1] == ' ' {
		host = host[:len(host)-1]
	}
	if strings.IndexByte(host, ' ') >= 0 {
		return "", "", 0, s, false
	}
	end := strings.IndexByte(s[open:], ']')
	if end < 0 {
		return host, "", 0, "", true // cut short
	}
	inside := s[open+1 : open+end]
	rest = s[open+end+1:]
	if isIP(inside) {
		ip = strings.TrimPrefix(inside, "IPv6:")
	}
	if len(rest) > 1 && rest[0] == ':' && isDigit(rest[1]) {
		v, n := number(rest[1:])
		if v <= 65535 {
			port = v
		}
		rest = rest[1+n:]
	}
	return host, ip, port, rest, true
}

// isIP tells addresses from names and socket paths without allocating.
func isIP(s string) bool {
	s = strings.TrimPrefix(s, "IPv6:")
	dots, colons := 0, 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '.':
			dots++
		case c == ':':
			colons++
		case isDigit(c):
		case 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F':
			if dots > 0 && colons == 0 {
				return false
			}
		case c == '%' && colons > 1: // a zone
			return i+1 < len(s)
		default:
			return false
		}
	}
	return colons >= 2 || dots == 3 && colons == 0
}

// setHost takes the remote host into the attempt. "unknown" is Postfix's word
// for a client without a name.
func setHost(a *event.Attempt, host, ip string, port int) {
	if host == "unknown" {
		host = ""
	}
	if isIP(host) { // "127.0.0.1[127.0.0.1]": an address is no name
		if ip == "" {
			ip = host
		}
		host = ""
	}
	if n := len(host); n > 1 && host[n-1] == '.' {
		host = host[:n-1]
	}
	a.RemoteHost, a.RemoteIP, a.RemotePort = host, ip, port
}

// domainOf gives the domain of an address as written.
func domainOf(address string) string {
	if i := strings.LastIndexByte(address, '@'); i >= 0 {
		return address[i+1:]
	}
	return ""
}

// findReply finds the remote host's reply in a text: at the start, or behind
// the wrapper of the MTA that wrote the log. enhanced is a piece of s; at is
// where the code stands, -1 if there is none.
func findReply(s string) (code int, enhanced string, at int) {
	if code, rest, ok := mail.ParseCode(s); ok {
		return code, enhancedText(rest), 0
	}
	for i := 0; i < len(s); {
		j := strings.Index(s[i:], ": ")
		if j < 0 {
			break
		}
		i += j + 2
		if code, rest, ok := mail.ParseCode(s[i:]); ok {
			return code, enhancedText(rest), i
		}
	}
	return 0, "", -1
}

// enhancedText gives the enhanced status code at the start of s as it is
// written, so that nothing has to be formatted.
func enhancedText(s string) string {
	_, rest, ok := mail.ParseEnhanced(s)
	if !ok {
		return ""
	}
	return s[:len(s)-len(rest)]
}
