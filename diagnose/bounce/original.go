package bounce

import (
	"slices"
	"strings"

	"github.com/postroad/postroad/message"
)

// maxHeader is how much of a returned message in the text of a notification is
// read for its header, in bytes.
const maxHeader = 32 << 10

// returnedHeader finds the header of the returned message: that of the attached
// one, else the one that follows the separator in the text.
func (d *draft) returnedHeader() message.Header {
	if d.returned.Len() == 0 && d.n != nil && d.n.returned != "" {
		d.returned = headerInText(d.n.returned)
	}
	return d.returned
}

// wentTo gives to whom the returned message went.
func (d *draft) wentTo() []string {
	if !d.hasTo {
		d.to, d.hasTo = slices.DeleteFunc(originalRecipients(d.returnedHeader()), d.ofList), d.returned.Len() > 0 || d.n != nil
	}
	return d.to
}

// headerInText reads the header at the start of a text that begins with the
// words of a separator.
func headerInText(s string) message.Header {
	s = s[:min(len(s), maxHeader)]
	for range 6 {
		line, rest, more := strings.Cut(s, "\n")
		name, _, ok := statusField(strings.TrimRight(line, " \t\r"))
		if ok && !strings.HasPrefix(line, " ") && (isMailName(name) || strings.HasPrefix(name, "X-")) {
			break
		}
		if lead := leadOf(s); lead != "" && strings.Count(s, "\n"+lead) >= 3 {
			s = withoutLead(s, lead) // quoted or indented as a whole
			continue
		}
		if !more {
			return message.Header{}
		}
		s = rest
	}
	h, _ := message.ParseHeader([]byte(s))
	if !h.Has("From") && !h.Has("Received") && !h.Has("Message-ID") && !h.Has("To") && !h.Has("Subject") && !h.Has("Return-Path") {
		return message.Header{}
	}
	return h
}

// leadOf gives the indent and marks of quotation in front of the field that s
// begins with, "" where there are none or no field.
func leadOf(s string) string {
	rest := strings.TrimLeft(s, "> \t")
	lead := s[:len(s)-len(rest)]
	line, _, _ := strings.Cut(rest, "\n")
	if name, _, ok := statusField(line); len(lead) > 8 || !ok || !isMailName(name) {
		return ""
	}
	return lead
}

func withoutLead(s, lead string) string {
	var b strings.Builder
	b.Grow(len(s))
	for line := range strings.Lines(s) {
		b.WriteString(strings.TrimPrefix(line, lead))
	}
	return b.String()
}

func isMailName(name string) bool {
	switch asciiLower(name) {
	case "from", "to", "cc", "subject", "date", "received", "return-path", "message-id", "mime-version", "content-type",
		"dkim-signature", "sender", "reply-to", "delivered-to", "arc-seal", "authentication-results", "errors-to":
		return true
	}
	return false
}

// readOriginal gives what a header says of the mail that it belongs to.
func readOriginal(h message.Header) Original {
	o := Original{Header: h}
	if h.Len() == 0 {
		return o
	}
	o.MessageID = strings.Trim(h.Get("Message-ID"), "<> \t")
	o.From, o.To, o.Subject = h.Text("From"), h.Text("To"), h.Text("Subject")
	o.Date = dateOf(h.Get("Date"))
	for _, name := range [...]string{"Return-Path", "X-Envelope-From", "Envelope-From"} {
		if a := addressIn(h.Get(name)); a != "" {
			o.EnvelopeFrom = a
			break
		}
	}
	return o
}

// listedByName gives the recipients of the returned message whose display names
// begin a line of the notice: older Exchange servers name people so, "Jane Doe
// on Wed, 20 Mar 2002 05:01".
func (d *draft) listedByName(n *notice) []found {
	var list []found
	h := d.returnedHeader()
	for _, field := range [...]string{"To", "Cc"} {
		for piece := range strings.SplitSeq(h.Text(field), ",") {
			name, rest, ok := strings.Cut(piece, "<")
			address := addressIn(rest)
			if name = asciiLower(strings.Trim(name, " \t\"'")); !ok || address == "" || len(name) < 4 || strings.Contains(name, "@") {
				continue
			}
			for _, l := range n.lines {
				said := strings.TrimLeft(n.low[l.first:l.to], "'\"")
				if rest, ok := strings.CutPrefix(said, name); ok && (rest == "" || !isAlnum(rest[0])) {
					list = append(list, found{address: address, strength: weak, from: l.first, to: l.to})
					break
				}
			}
			if len(list) == MaxResults {
				return list
			}
		}
	}
	return list
}

// ofMail tells whether a notice speaks of mail at all: parcels cannot be
// delivered either, and who tells so names somebody to write to.
func (n *notice) ofMail(subject string) bool {
	for _, words := range [...]string{n.low, subject} {
		for _, w := range [...]string{"mail", "messag", "mensa", "messagg", "nachricht", "bericht", "meddel", "besked", "smtp", "recipient", "user", "письм", "сообщ", "メール", "邮", "郵"} {
			if strings.Contains(words, w) {
				return true
			}
		}
	}
	_, ok := codeIn(n.text)
	return ok
}

// originalRecipients gives to whom a mail went, the envelope's first.
func originalRecipients(h message.Header) []string {
	var list []string
	seen := map[string]bool{}
	add := func(a string) {
		if k := addressKey(a); a != "" && !seen[k] && len(list) < MaxResults {
			seen[k] = true
			list = append(list, a)
		}
	}
	for _, name := range [...]string{"X-Original-To", "Envelope-To", "X-Envelope-To", "X-Rcpt-To", "X-HmXmrOriginalRecipient", "To", "Cc", "Bcc", "Apparently-To", "Resent-To"} {
		for _, v := range h.Values(name) {
			for _, a := range headerAddresses(v, MaxResults) {
				add(a)
			}
		}
	}
	for _, v := range h.Values("Received") {
		add(receivedFor(v))
	}
	return list
}

// receivedFor gives the address of the "for" clause of a Received field (RFC
// 5321 section 4.4).
func receivedFor(v string) string {
	low := asciiLower(v)
	for from := 0; ; {
		i := strings.Index(low[from:], "for ")
		if i < 0 {
			return ""
		}
		i += from
		from = i + 4
		if i > 0 && !isBlank(v[i-1]) && v[i-1] != ')' {
			continue
		}
		at := i + 4
		for at < len(v) && (isBlank(v[at]) || v[at] == '<') {
			at++
		}
		if p, ok := nextAddress(v[:min(len(v), at+330)], at); ok && p.from == at {
			return p.of(v)
		}
	}
}
