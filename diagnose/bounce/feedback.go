package bounce

import (
	"strconv"
	"strings"

	"github.com/postroad/postroad/event"
	"github.com/postroad/postroad/mail"
	"github.com/postroad/postroad/message"
)

// readFeedback reads an abuse report of RFC 5965, and what is written in its
// name before and since.
func readFeedback(d *draft) (Report, bool) {
	if len(d.feedback) == 0 {
		return Report{}, false
	}
	r := d.report("arf", whyFeedback)
	r.Kind = KindFeedback
	c := &event.Complaint{}
	for _, p := range d.feedback {
		h, _ := message.ParseHeader([]byte(d.m.Text(p)))
		readComplaint(c, h)
	}
	r.Original = readOriginal(d.returnedHeader())
	r.Original.Recipients = d.wentTo()
	fromReturned(c, &r.Original)
	r.Feedback = c
	return r, true
}

// readComplaint adds the fields of one report (RFC 5965 section 3).
func readComplaint(c *event.Complaint, h message.Header) {
	set := func(to *string, name string) {
		if *to == "" {
			*to = strings.TrimSpace(h.Get(name))
		}
	}
	if c.Type == "" {
		c.Type = complaintType(h)
	}
	set(&c.UserAgent, "User-Agent")
	if c.SourceIP == "" {
		word, _, _ := strings.Cut(strings.TrimSpace(h.Get("Source-IP")), " ")
		c.SourceIP = address(strings.Trim(word, "[]"))
	}
	if c.MailFrom == "" {
		c.MailFrom = strings.Trim(h.Get("Original-Mail-From"), "<> ")
	}
	for _, name := range [...]string{"Original-Rcpt-To", "Removal-Recipient"} {
		for _, v := range h.Values(name) {
			c.Recipients = appendNew(c.Recipients, addressIn(v))
		}
	}
	set(&c.ReportedHost, "Reported-Domain")
	for _, name := range [...]string{"Arrival-Date", "Received-Date"} {
		if c.Arrival.IsZero() {
			c.Arrival = dateOf(h.Get(name))
		}
	}
	n, err := strconv.Atoi(strings.TrimSpace(h.Get("Incidents")))
	if err != nil || n < 1 {
		n = 1
	}
	c.Count += min(n, 1<<30)
}

func appendNew(list []string, a string) []string {
	if a == "" || len(list) >= MaxResults {
		return list
	}
	for _, x := range list {
		if addressKey(x) == addressKey(a) {
			return list
		}
	}
	return append(list, a)
}

// complaintType reads Feedback-Type; what has none is an abuse report, which is
// what the form was made for.
func complaintType(h message.Header) string {
	t := asciiLower(strings.TrimSpace(h.Get("Feedback-Type")))
	if i := strings.IndexAny(t, " ;("); i > 0 {
		t = t[:i]
	}
	switch t {
	case "":
		return "abuse"
	case "opt-out-list", "optout", "unsubscribe":
		return "opt-out"
	case "complaint", "spam":
		return "abuse"
	case "not_spam", "notspam":
		return "not-spam"
	}
	return t
}

// fromReturned takes from the reported mail what the report left out.
func fromReturned(c *event.Complaint, o *Original) {
	c.MessageID = o.MessageID
	if c.MailFrom == "" {
		if c.MailFrom = o.EnvelopeFrom; c.MailFrom == "" {
			c.MailFrom = addressIn(o.From)
		}
	}
	if len(c.Recipients) == 0 {
		c.Recipients = o.Recipients
	}
	if c.Count == 0 {
		c.Count = 1
	}
}

// complaintSubjects begin the subjects of complaint mails without a machine
// part: Microsoft's junk mail reporting, AOL's feedback loop before 2008 and
// those who took its form.
var complaintSubjects = [...]string{
	"complaint about message from", "email feedback report for ip", "client tos notification",
	"email abuse report", "abuse report for", "spam complaint", "[abuse] complaint", "feedback report for",
}

// readComplaintForm reads complaint mails that have the reported mail but no
// machine part, and the mail that Apple's Mail sends for "unsubscribe".
func readComplaintForm(d *draft) (Report, bool) {
	if r, ok := readUnsubscribe(d); ok {
		return r, true
	}
	if d.returned.Len() == 0 {
		return Report{}, false
	}
	named := ""
	start := strings.TrimLeft(d.env.subject, " [")
	for _, s := range complaintSubjects {
		if strings.HasPrefix(start, strings.TrimLeft(s, "[")) {
			named = s
		}
	}
	if d.returned.Has("X-HmXmrOriginalRecipient") {
		named = "X-HmXmrOriginalRecipient"
	}
	if named == "" {
		return Report{}, false
	}
	r := d.report("complaint-form", whyComplaint)
	r.Kind = KindFeedback
	r.Why[0].Fragment = named
	r.Original = readOriginal(d.returned)
	r.Original.Recipients = d.wentTo()
	c := &event.Complaint{Type: "abuse", SourceIP: ipIn(d.env.subject)}
	if a := addressIn(d.returned.Get("X-HmXmrOriginalRecipient")); a != "" {
		c.Recipients = []string{a}
	}
	fromReturned(c, &r.Original)
	r.Feedback = c
	return r, true
}

// ipIn gives the first IP address among the words of s.
func ipIn(s string) string {
	for w := range strings.FieldsSeq(s) {
		if a := address(strings.Trim(w, ".,;:()[]")); a != "" {
			return a
		}
	}
	return ""
}

// readUnsubscribe reads the mail by which Apple's Mail follows a
// List-Unsubscribe address (RFC 2369 section 3.2): it is no reply of a mailbox
// but a wish of its owner.
func readUnsubscribe(d *draft) (Report, bool) {
	if !d.env.generated || !strings.Contains(d.env.subject, "unsubscribe") {
		return Report{}, false
	}
	text := strings.TrimSpace(d.notification())
	if !strings.HasPrefix(text, "Apple Mail sent this email to unsubscribe") {
		return Report{}, false
	}
	r := d.report("list-unsubscribe", whyComplaint)
	r.Kind = KindFeedback
	r.Why[0] = mail.Reason{Key: whyComplaint, Fragment: d.env.subject}
	r.Feedback = &event.Complaint{Type: "opt-out", Recipients: appendNew(nil, d.env.from), Count: 1}
	return r, true
}
