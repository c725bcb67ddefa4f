package esp

import (
	"net/netip"
	"strings"
	"time"

	"github.com/postroad/postroad/event"
	"github.com/postroad/postroad/mail"
)

// happening is what a record tells of.
type happening uint8

const (
	nothing   happening = iota // opened, accepted, queued: no attempt
	delivered                  // a remote host took the mail
	deferred                   // it will be tried again
	failed                     // a remote host refused it, or the vendor gave up trying
	withheld                   // the vendor did not try: its own list, its own rules
	complained
	unheard // a word that is not known
)

// sight is what a record says of one recipient, in one vocabulary.
type sight struct {
	format string
	host   string // the account, server or node that the evidence names
	grade  event.Grade
	what   happening
	when   string // as given

	recipient, sender    string
	messageID, networkID string
	queueID              string
	remoteHost, remoteIP string
	sourceHost, sourceIP string
	clientIP             string
	route, stream        string

	code     int    // outside the text
	enhanced string // outside the text
	text     string
	local    bool // the words are the vendor's, codes and all
	stage    mail.Stage
	tls      *event.TLS
	number   int
	delay    time.Duration

	feedback  string // the type of the complaint
	userAgent string
	arrival   string
}

// emit turns the sight into an event.
func (d *reading) emit(s *sight) {
	if d.err != nil || s.what == nothing {
		return
	}
	if s.what == unheard {
		d.skip(event.SkipUnknown)
		return
	}
	when, ok := moment(s.when, d.o.Zone)
	if !ok || !when.IsZero() && (when.Year() < 1990 || when.After(d.latest)) {
		d.skip(event.SkipStamp)
		return
	}
	recipient := address(s.recipient)
	if recipient == "" {
		d.skip(event.SkipBroken)
		return
	}
	e := &event.Event{
		ID:     event.ID(s.host, d.raw, d.n),
		Time:   when,
		Origin: event.Origin{Format: s.format, Host: s.host, Grade: s.grade},
	}
	d.n++
	if s.what == complained {
		e.Body = s.complaint(recipient, d.o.Zone)
	} else {
		e.Body = s.attempt(recipient)
	}
	d.err = d.visit(e)
}

func (s *sight) complaint(recipient string, zone *time.Location) *event.Complaint {
	c := &event.Complaint{
		Type: s.feedback, Recipients: []string{recipient}, SourceIP: ip(s.sourceIP), MailFrom: address(s.sender),
		MessageID: bareID(s.messageID), UserAgent: short(s.userAgent), Count: 1,
	}
	if c.Type == "" {
		c.Type = "abuse"
	}
	c.Arrival, _ = moment(s.arrival, zone)
	return c
}

func (s *sight) attempt(recipient string) *event.Attempt {
	a := &event.Attempt{
		QueueID: short(s.queueID), MessageID: bareID(s.messageID), NetworkID: bareID(s.networkID),
		Sender: address(s.sender), Recipient: recipient,
		RemoteHost: hostName(s.remoteHost), RemoteIP: ip(s.remoteIP),
		SourceHost: hostName(s.sourceHost), SourceIP: ip(s.sourceIP), ClientIP: ip(s.clientIP),
		Route: short(s.route), Stream: short(s.stream), Stage: s.stage, TLS: s.tls, Number: s.number, Delay: s.delay,
	}
	if i := strings.LastIndexByte(a.Sender, '@'); i >= 0 {
		a.SenderDomain = mail.NormalDomain(a.Sender[i+1:])
	}
	switch s.what {
	case delivered:
		a.Outcome, a.Final = mail.Delivered, true
	case deferred:
		a.Outcome = mail.Temporary
	default:
		a.Outcome, a.Final = mail.Permanent, true
	}
	if s.what == withheld {
		// The vendor's codes are not SMTP's, and no one said them.
		a.Route = RouteWithheld
		a.Reply = reply(s.text, 0, "")
		a.Reply.Code, a.Reply.Enhanced = 0, ""
		return a
	}
	a.Reply = reply(s.text, s.code, s.enhanced)
	a.Spoke = s.what == delivered || !s.local && (a.Reply.Code != 0 || a.Reply.Enhanced != "") && !isOwnWords(s.text)
	return a
}

// isOwnWords knows texts that vendors write with a code although no host spoke.
func isOwnWords(text string) bool {
	for _, words := range [...]string{
		"[internal]",                                // SparkPost
		"unable to get mx info",                     // SendGrid
		"Error dialing remote address",              // SendGrid
		"Message expired: unable to deliver in",     // SES
		"Unable to connect to remote host",          // SES
		"Unable to lookup DNS for",                  // SES
		"KumoMTA internal:",                         // KumoMTA
		"Amazon SES has suppressed",                 // SES
		"Amazon SES did not send the message",       // SES
		"No MX for",                                 // Mailgun
		"Too old",                                   // Mailgun
		"Unable to find MX of domain",               // Brevo
		"recipient address suppressed due to",       // SparkPost
		"suppressed sending to this address",        // Resend
		"Not delivering to previously bounced",      // Mailgun
		"Not delivering to a user who marked your",  // Mailgun
		"Not delivering to unsubscribed",            // Mailgun
		"recipient's email provider sent a hard bo", // Resend's general words
	} {
		if strings.Contains(text, words) {
			return true
		}
	}
	return false
}

// reply makes the stored reply of a text and of the codes that stand beside it.
// Codes that the text lacks are put in front of it, as the host will have said
// them: who reads the lines has the whole reply.
func reply(text string, code int, enhanced string) event.Reply {
	text = unwrap(text)
	if len(text) > mail.MaxReply {
		text = strings.ToValidUTF8(text[:mail.MaxReply], "")
	}
	if code < 200 || code > 599 {
		code = 0
	}
	e, _, _ := mail.ParseEnhanced(strings.TrimSpace(enhanced))
	read, after := codesOf(text)
	switch {
	case read.Code == 0 && code != 0 && read.Enhanced.IsZero() && !e.IsZero():
		text = strings.TrimSpace(mail.Reply{Code: code, Enhanced: e}.String() + " " + text)
		read.Code, read.Enhanced = code, e
	case read.Code == 0 && code != 0:
		text = strings.TrimSpace(mail.Reply{Code: code}.String() + " " + text)
		read.Code = code
	case read.Code == 0 && code == 0 && read.Enhanced.IsZero() && !e.IsZero():
		text = strings.TrimSpace(e.String() + " " + text)
		read.Enhanced = e
	case read.Code != 0 && read.Enhanced.IsZero() && !e.IsZero():
		if after > 0 && after <= len(text) && (text[after-1] == ' ' || text[after-1] == '-') {
			text = text[:after] + e.String() + " " + text[after:]
		}
		read.Enhanced = e
	}
	r := event.Reply{Code: read.Code, Enhanced: read.Enhanced.String()}
	for line := range strings.SplitSeq(text, "\n") {
		if line = strings.TrimSpace(line); line != "" {
			r.Lines = append(r.Lines, line)
		}
	}
	return r
}

// codesOf reads the codes that the text begins with; after is where the words
// begin behind the reply code.
func codesOf(text string) (r mail.Reply, after int) {
	rest := text
	if code, tail, ok := mail.ParseCode(text); ok {
		r.Code, rest = code, tail
		after = len(text) - len(tail)
	}
	if e, _, ok := mail.ParseEnhanced(rest); ok {
		r.Enhanced = e
	}
	if r.Code == 0 && r.Enhanced.IsZero() {
		// "550 RecipientError: 550 5.1.1 ..." has its code in front; this is for
		// words before the reply: "host x said: 550 5.1.1 ...".
		for i := strings.Index(text, ": "); i >= 0 && i < 200; {
			if code, tail, ok := mail.ParseCode(text[i+2:]); ok && len(tail) > 0 {
				r.Code = code
				r.Enhanced, _, _ = mail.ParseEnhanced(tail)
				return r, 0
			}
			j := strings.Index(text[i+2:], ": ")
			if j < 0 {
				break
			}
			i += 2 + j
		}
	}
	return r, after
}

// unwrap takes off what vendors put round the words of the host: the type of a
// diagnostic (RFC 3464 section 2.3.6) and the name of the event.
func unwrap(text string) string {
	text = strings.TrimSpace(text)
	if i := strings.IndexByte(text, ';'); i > 0 && i <= 8 {
		switch strings.ToLower(strings.TrimSpace(text[:i])) {
		case "smtp", "x-unix", "dns", "esmtp", "lmtp", "x-smtp":
			text = strings.TrimSpace(text[i+1:])
		}
	}
	if i := strings.Index(text, ": smtp;"); i > 0 && i < 40 { // Postmark: "action failed: smtp;550 ..."
		text = strings.TrimSpace(text[i+len(": smtp;"):])
	}
	if strings.HasSuffix(text, ")") {
		for _, word := range [...]string{"sent (", "bounced (", "soft bounce (", "deferred (", "delivered ("} {
			if inner, ok := strings.CutPrefix(text, word); ok {
				return strings.TrimSpace(inner[:len(inner)-1])
			}
		}
	}
	return text
}

// address gives the bare address of "Name <a@b>", "rfc822; a@b" and the like;
// what is no address stays as it is, shortened.
func address(s string) string {
	s = strings.TrimSpace(s)
	if i := strings.LastIndexByte(s, '<'); i >= 0 {
		if j := strings.IndexByte(s[i:], '>'); j > 0 {
			s = s[i+1 : i+j]
		}
	}
	if a, err := mail.ParseAddress(s); err == nil {
		return a.String()
	}
	return short(s)
}

// short bounds what is kept of a name.
func short(s string) string {
	s = strings.TrimSpace(s)
	if len(s) > mail.MaxAddress {
		s = strings.ToValidUTF8(s[:mail.MaxAddress], "")
	}
	return s
}

// bareID gives a message's id without the angle brackets.
func bareID(s string) string { return short(strings.Trim(s, "<> \t")) }

// hostName gives the host of "dns; host", "host (1.2.3.4)" and "[1.2.3.4]".
func hostName(s string) string {
	if _, rest, ok := strings.Cut(s, ";"); ok {
		s = rest
	}
	s = strings.TrimSpace(s)
	if i := strings.IndexAny(s, " \t("); i >= 0 {
		s = s[:i]
	}
	s = strings.Trim(s, "[]<>")
	if s == "" || len(s) > 255 || strings.ContainsAny(s, "/@,|") {
		return ""
	}
	if _, err := netip.ParseAddr(s); err == nil {
		return ""
	}
	return mail.NormalDomain(s)
}

// ip gives an address without port, "" for what is none.
func ip(s string) string {
	s = strings.TrimSpace(s)
	if a, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return a.Unmap().WithZone("").String()
	}
	if a, err := netip.ParseAddrPort(s); err == nil {
		return a.Addr().Unmap().WithZone("").String()
	}
	return ""
}

// heard knows the words by which vendors name events. Their case, spaces and
// marks vary; severity and such may say more and are the caller's.
func heard(word string) happening {
	var space [40]byte
	b := space[:0]
	for i := 0; i < len(word) && len(b) < len(space); i++ {
		c := word[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if 'a' <= c && c <= 'z' || '0' <= c && c <= '9' {
			b = append(b, c)
		}
	}
	switch string(b) {
	case "delivered", "delivery", "messagedelivered", "emaildelivered":
		return delivered
	case "deferred", "deferral", "delayed", "delay", "deliverydelay", "deliverydelayed", "temporaryfailure",
		"temporaryfail", "transient", "transientfailure", "tempfail", "failuretmp", "messagedelayed":
		return deferred
	case "bounce", "bounced", "hardbounce", "hardbounced", "softbounce", "softbounced", "failed", "failure",
		"permanentfailure", "permanentfail", "permanentbounce", "transientbounce", "undeterminedbounce", "blocked",
		"block", "outofband", "oob", "failureperm", "messagedeliveryfailed", "undelivered", "notdelivered":
		return failed
	case "dropped", "drop", "rejected", "reject", "suppressed", "suppression", "invalid", "invalidemail",
		"renderingfailure", "policyrejection", "generationfailure", "generationrejection", "notaccepted":
		return withheld
	case "complained", "complaint", "spam", "spamreport", "spamreports", "spamcomplaint", "spamcomplaints", "spamreported":
		return complained
	case "":
		return unheard
	}
	for _, start := range [...]string{
		"open", "click", "unsub", "accept", "process", "queue", "send", "sent", "stor", "request", "list", "subscri",
		"load", "group", "resub", "inbound", "proxy", "unique", "transfer", "schedul", "recipient", "inject", "link",
		"amp", "initial", "reception", "sync", "survey", "contact", "whitelist", "blacklist", "activity", "test",
		"relay", "held", "hold", "domain", "template", "suspen",
	} {
		if len(b) >= len(start) && string(b[:len(start)]) == start {
			return nothing
		}
	}
	return unheard
}
