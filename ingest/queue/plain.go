package queue

import (
	"strconv"
	"strings"
	"time"

	"github.com/postroad/postroad/event"
)

// eximMessage reads "25m  2.9K 0t5C6f-0000c8-00 <alice@example.com> *** frozen ***".
func eximMessage(line string) (f []string, ok bool) {
	f = strings.Fields(line)
	if len(f) < 4 || !isEximID(f[2]) || !strings.HasPrefix(f[3], "<") {
		return nil, false
	}
	if _, ok := (&Options{}).age(f[0]); !ok {
		return nil, false
	}
	if _, ok := size(f[1]); !ok {
		return nil, false
	}
	return f, true
}

// isEximID tells 1rRn2Q-0001Ab-2C and, since 4.97, 1rRn2Q-00000001AbC-2CzF.
func isEximID(s string) bool {
	if len(s) != 16 && len(s) != 23 {
		return false
	}
	for i := range len(s) {
		dash := i == 6 || i == 13 && len(s) == 16 || i == 18 && len(s) == 23
		c := s[i]
		if dash != (c == '-') || !dash && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}

// size reads "834", "2.9K", "12M".
func size(s string) (int64, bool) {
	unit := 1.0
	if s != "" {
		switch s[len(s)-1] {
		case 'K', 'k':
			unit, s = 1<<10, s[:len(s)-1]
		case 'M':
			unit, s = 1<<20, s[:len(s)-1]
		case 'G':
			unit, s = 1<<30, s[:len(s)-1]
		}
	}
	if strings.Trim(s, "0123456789.") != "" {
		return 0, false
	}
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || n > 1e12 {
		return 0, false
	}
	return int64(n * unit), true
}

// exim reads "exim -bp" and its relatives. D stands before recipients that have
// it, +D before those that an address stood for (-bpa).
func (c *listing) exim() error {
	var m Item
	in := false
	for {
		line, ok := c.next()
		if !ok {
			return nil
		}
		text := strings.TrimSpace(line)
		if text == "" {
			in = false
			continue
		}
		if f, ok := eximMessage(line); ok {
			m, in = Item{QueueID: f[2], Count: 1}, true
			m.Arrived, _ = c.o.age(f[0])
			m.Size, _ = size(f[1])
			sender, _, _ := strings.Cut(strings.Join(f[3:], " "), ">")
			m.Sender = strings.TrimPrefix(sender, "<")
			m.Held = strings.Contains(text, "*** frozen ***")
			c.read++
			continue
		}
		f := strings.Fields(text)
		switch {
		case !in:
			if c.read > 0 {
				c.skip(c.n, event.SkipBroken)
			}
		case len(f) == 2 && (f[0] == "D" || f[0] == "+D" || f[0] == "+"):
		case line[0] != ' ' && line[0] != '\t':
			c.skip(c.n, event.SkipBroken)
		default:
			m.Recipient, m.Line = address(text), c.n
			if err := c.visit(m); err != nil {
				return err
			}
		}
	}
}

func isSendmailHeader(s string) bool {
	return strings.HasPrefix(s, "-") && strings.Contains(s, "Q-ID-") && strings.Contains(s, "Q-Time-")
}

// sendmailMessage reads "40M9AB012345*      123 Mon Jan 22 09:10 <sender@example.com>",
// with -v also "     123      30405+Jan 22 09:10 <sender@example.com>".
func (o *Options) sendmailMessage(line string) (m Item, ok bool) {
	f := strings.Fields(line)
	if len(f) < 6 || line[0] == ' ' || line[0] == '\t' {
		return m, false
	}
	id, f := f[0], f[1:]
	if len(f[0]) == 1 && strings.ContainsAny(f[0], "*-X?Q") && len(f) > 5 {
		id, f = id+f[0], f[1:]
	}
	m = Item{QueueID: strings.TrimRight(id, "*-X?"), Active: strings.Contains(id, "*"), Count: 1}
	n, err := strconv.ParseInt(f[0], 10, 64)
	if err != nil || n < 0 || !isQueueID(m.QueueID) {
		return m, false
	}
	m.Size = n
	if m.Arrived, ok = o.ctime(strings.Join(f[1:5], " ")); !ok {
		return m, false
	}
	m.Sender = address(strings.Join(f[5:], " "))
	return m, true
}

// sendmail reads Sendmail's mailq.
func (c *listing) sendmail() error {
	var m Item
	in := false
	announced, seen := 0, 0
	for {
		line, ok := c.next()
		if !ok {
			break
		}
		text := strings.TrimSpace(line)
		if text == "" || isSendmailHeader(text) || strings.HasPrefix(text, "Total requests: ") {
			continue
		}
		if strings.HasPrefix(text, "/") && (strings.HasSuffix(text, " is empty") || strings.HasSuffix(text, "s)") || strings.HasSuffix(text, " request)")) {
			in = false
			if _, n, ok := strings.Cut(text, "("); ok {
				n, _, _ = strings.Cut(n, " ")
				more, _ := strconv.Atoi(n)
				announced += min(max(more, 0), 1<<30)
			}
			continue
		}
		if next, ok := c.o.sendmailMessage(line); ok {
			m, in, seen = next, true, seen+1
			c.read++
			continue
		}
		bracket := strings.IndexByte(text, '(')
		switch {
		case !in:
			if c.read > 0 {
				c.skip(c.n, event.SkipBroken)
			}
		case bracket >= 0 && (bracket == 0 || strings.HasPrefix(text, "8BITMIME") || strings.HasPrefix(text, "7BIT")):
			m.Reason = c.bracket(text[bracket:])
			m.RemoteHost, m.RemoteIP = withHost(m.Reason)
		case text == "8BITMIME", text == "7BIT":
		case line[0] != ' ' && line[0] != '\t':
			c.skip(c.n, event.SkipBroken)
		default:
			m.Recipient, m.Line = address(strings.TrimPrefix(text, "+")), c.n
			if err := c.visit(m); err != nil {
				return err
			}
		}
	}
	if seen < announced {
		c.skip(c.n, event.SkipCut)
	}
	return nil
}

// withHost finds the host in "Deferred: Connection timed out with mx.example.com.".
func withHost(reason string) (host, ip string) {
	for _, word := range []string{" with ", " by ", " from "} {
		if i := strings.LastIndex(reason, word); i >= 0 {
			host, _, _ = strings.Cut(reason[i+len(word):], " ")
			host = strings.TrimRight(host, ".:,")
			if strings.Contains(host, ".") && strings.Trim(strings.ToLower(host), "abcdefghijklmnopqrstuvwxyz0123456789.-") == "" {
				return host, ""
			}
		}
	}
	return remote(reason)
}

// qmailMessage reads "22 Jan 2024 09:10:00 GMT  #1234  567  <sender@example.com>  bouncing".
func qmailMessage(line string) (m Item, ok bool) {
	f := strings.Fields(line)
	if len(f) < 8 || f[4] != "GMT" || !strings.HasPrefix(f[5], "#") || !strings.HasPrefix(f[7], "<") {
		return m, false
	}
	at, err := time.Parse("2 Jan 2006 15:04:05", strings.Join(f[:4], " "))
	if err != nil {
		return m, false
	}
	m = Item{QueueID: f[5][1:], Arrived: at, Count: 1}
	m.Size, ok = size(f[6])
	sender, _, _ := strings.Cut(strings.Join(f[7:], " "), ">")
	m.Sender = strings.TrimPrefix(sender, "<")
	return m, ok
}

// qmail reads "qmail-qread".
func (c *listing) qmail() error {
	var m Item
	in := false
	for {
		line, ok := c.next()
		if !ok {
			return nil
		}
		if next, ok := qmailMessage(line); ok {
			m, in = next, true
			c.read++
			continue
		}
		f := strings.Fields(line)
		switch {
		case len(f) == 0, len(f) == 3 && f[0] == "done":
		case in && len(f) == 2 && (f[0] == "remote" || f[0] == "local"):
			m.Recipient, m.Line = address(f[1]), c.n
			if err := c.visit(m); err != nil {
				return err
			}
		case c.read > 0:
			c.skip(c.n, event.SkipBroken)
		}
	}
}

// opensmtpdFields divides a line of "smtpctl show queue", see smtpctl(8). The last
// field is a reply, which may have bars of its own.
func opensmtpdFields(line string) ([]string, bool) {
	f := strings.SplitN(line, "|", 14)
	if len(f) < 14 || len(f[0]) != 16 || strings.Trim(f[0], "0123456789abcdef") != "" {
		return nil, false
	}
	switch f[2] {
	case "mta", "mda", "bounce":
		return f, true
	}
	return nil, false
}

// opensmtpd reads "smtpctl show queue".
func (c *listing) opensmtpd() error {
	for {
		line, ok := c.next()
		if !ok {
			return nil
		}
		f, ok := opensmtpdFields(line)
		if !ok {
			if strings.TrimSpace(line) == "" || c.read == 0 {
				continue
			}
			why := event.SkipBroken
			if !c.ended {
				why = event.SkipCut
			}
			c.skip(c.n, why)
			continue
		}
		c.read++
		number := func(i int) int64 {
			n, _ := strconv.ParseInt(f[i], 10, 64)
			return n
		}
		m := Item{QueueID: f[0], Sender: address(f[4]), Recipient: address(f[6]), Arrived: epoch(number(7)), LastRetry: epoch(number(9)),
			Active: f[11] == "inflight", Held: strings.Contains(f[3], "suspend") || strings.Contains(f[3], "hold"),
			Reason: f[13], Count: 1, Line: c.n}
		if m.Sender == "@" { // so it writes the null sender
			m.Sender = ""
		}
		if m.Recipient == "" {
			m.Recipient = address(f[5])
		}
		if written := c.o.written(); f[11] == "pending" && f[12] != "" && !written.IsZero() {
			m.NextRetry = written.Add(time.Duration(min(max(number(12), 0), 1<<30)) * time.Second).UTC()
		}
		m.RemoteHost, m.RemoteIP = remote(m.Reason)
		if err := c.visit(m); err != nil {
			return err
		}
	}
}
