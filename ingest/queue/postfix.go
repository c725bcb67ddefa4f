package queue

import (
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"github.com/postroad/postroad/event"
)

func isPostfixHeader(s string) bool {
	return strings.HasPrefix(s, "-Queue ID-") && strings.Contains(s, "Arrival Time")
}

// postfixMessage reads "3A2F1C0A7E*    1234 Mon Jan 22 09:10:00  sender@example.com".
func (o *Options) postfixMessage(line string) (m Item, ok bool) {
	if line == "" || line[0] == ' ' || line[0] == '\t' || line[0] == '(' || line[0] == '-' {
		return m, false
	}
	f := strings.Fields(line)
	if len(f) < 6 {
		return m, false
	}
	id := f[0]
	if len(f) > 7 && (f[1] == "*" || f[1] == "!") { // a mark that stands apart
		id, f = id+f[1], f[1:]
	}
	size, err := strconv.ParseInt(f[1], 10, 64)
	if err != nil || size < 0 {
		return m, false
	}
	at, ok := o.ctime(strings.Join(f[2:6], " "))
	if !ok {
		return m, false
	}
	m = Item{Arrived: at, Size: size, Count: 1}
	m.QueueID = strings.TrimRight(id, "*!#")
	m.Active, m.Held = strings.Contains(id, "*"), strings.Contains(id, "!")
	if !isQueueID(m.QueueID) {
		return m, false
	}
	if len(f) > 6 {
		m.Sender = address(strings.Join(f[6:], " "))
	}
	return m, true
}

func isQueueID(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && c != '-' {
			return false
		}
	}
	return len(s) >= 5 && len(s) <= 64
}

// address gives a sender or recipient as the envelope has it.
func address(s string) string {
	s = strings.TrimSpace(s)
	if strings.HasPrefix(s, "<") && strings.HasSuffix(s, ">") {
		s = s[1 : len(s)-1]
	}
	if s == "MAILER-DAEMON" || s == "MAILER_DAEMON" {
		return ""
	}
	return s
}

// postfix reads "postqueue -p". A reason stands in brackets before the recipients
// that it is of, and is not said again for those that follow.
func (c *listing) postfix() error {
	var m Item
	in, waiting, ended := false, false, true // in a message; it has shown no recipient; the listing is complete
	for {
		line, ok := c.next()
		if !ok {
			break
		}
		text := strings.TrimSpace(line)
		switch {
		case text == "":
			in = false
			continue
		case isPostfixHeader(text):
			in, ended = false, false
			continue
		case strings.HasPrefix(text, "-- ") && strings.Contains(text, " Request"), text == "Mail queue is empty":
			in, ended = false, true
			continue
		}
		if next, ok := c.o.postfixMessage(line); ok {
			m, in, waiting = next, true, true
			m.Line = c.n
			ended = false
			if strings.HasPrefix(m.Sender, "(maildrop queue") {
				m.Sender, in = "", false
				if err := c.visit(m); err != nil {
					return err
				}
			}
			continue
		}
		switch {
		case !in:
			if c.read > 0 || waiting { // above the listing stands what a terminal shows
				c.skip(c.n, event.SkipBroken)
			}
		case text[0] == '(':
			m.Reason = c.bracket(text)
			m.RemoteHost, m.RemoteIP = remote(m.Reason)
		case !c.ended:
			// The end of a listing is its sum; half an address is none.
		default:
			waiting = false
			c.read++
			m.Recipient, m.Line = address(text), c.n
			if err := c.visit(m); err != nil {
				return err
			}
		}
	}
	if !ended {
		c.skip(c.n, event.SkipCut)
	}
	return nil
}

// bracket gives the text in brackets that begins in a line. Where it was folded by
// a mail program or a terminal, it goes on until the brackets are closed. Replies
// have brackets that nobody closes, so it also ends before a recipient.
func (c *listing) bracket(text string) string {
	for range 20 {
		if closed(text) {
			break
		}
		line, ok := c.next()
		if !ok {
			break
		}
		next := strings.TrimSpace(line)
		_, message := c.o.postfixMessage(line)
		if next == "" || message || strings.HasPrefix(next, "-- ") || isRecipient(line) {
			c.back(line)
			break
		}
		text += " " + next
	}
	return strings.TrimSuffix(strings.TrimPrefix(text, "("), ")")
}

// isRecipient tells a line that stands where recipients stand, or is an address.
func isRecipient(line string) bool {
	const column = 30 // Postfix and Sendmail write them farther to the right
	text := strings.TrimSpace(line)
	return isAddress(text) || strings.HasPrefix(text, `"`) && strings.Contains(text, `"@`) ||
		strings.HasPrefix(line, strings.Repeat(" ", column)) || strings.HasPrefix(line, "\t\t\t\t")
}

// closed tells a text whose brackets are closed at its end.
func closed(s string) bool {
	if !strings.HasSuffix(s, ")") {
		return false
	}
	depth := 0
	for i := range len(s) {
		switch s[i] {
		case '(':
			depth++
		case ')':
			depth--
		}
	}
	return depth <= 0
}

// isAddress tells a line that is one address and nothing else.
func isAddress(s string) bool {
	at := strings.LastIndexByte(s, '@')
	return at > 0 && at < len(s)-1 && !strings.ContainsAny(s, " \t()") && strings.Contains(s[at:], ".")
}

// remote finds the host that a reason names: "host mx.example.com[192.0.2.1] said:".
func remote(reason string) (host, ip string) {
	m := hostInBrackets.FindStringSubmatch(reason)
	if m == nil {
		return "", ""
	}
	a, err := netip.ParseAddr(strings.TrimPrefix(m[2], "IPv6:"))
	if err != nil {
		return "", ""
	}
	if m[1] != "unknown" {
		host = m[1]
	}
	return host, a.String()
}

var hostInBrackets = regexp.MustCompile(`([A-Za-z0-9][A-Za-z0-9._-]*)\[([0-9A-Fa-f:.]{3,45}|IPv6:[0-9A-Fa-f:.]{2,45})\]`)
