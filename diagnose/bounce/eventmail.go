package bounce

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/postroad/postroad/event"
	"github.com/postroad/postroad/mail"
)

// sesNotification is what Amazon SES tells by SNS: a bounce, a complaint or a
// delivery (Amazon SES Developer Guide, "Amazon SNS notification contents for
// Amazon SES").
type sesNotification struct {
	NotificationType string `json:"notificationType"`
	EventType        string `json:"eventType"`
	Bounce           struct {
		BounceType string `json:"bounceType"`
		Recipients []struct {
			Address    string `json:"emailAddress"`
			Action     string `json:"action"`
			Status     string `json:"status"`
			Diagnostic string `json:"diagnosticCode"`
		} `json:"bouncedRecipients"`
		Reporting string    `json:"reportingMTA"`
		RemoteIP  string    `json:"remoteMtaIp"`
		Time      time.Time `json:"timestamp"`
	} `json:"bounce"`
	Complaint struct {
		Recipients []struct {
			Address string `json:"emailAddress"`
		} `json:"complainedRecipients"`
		Type      string    `json:"complaintFeedbackType"`
		UserAgent string    `json:"userAgent"`
		Arrival   time.Time `json:"arrivalDate"`
	} `json:"complaint"`
	Delivery struct {
		Recipients []string  `json:"recipients"`
		Response   string    `json:"smtpResponse"`
		Reporting  string    `json:"reportingMTA"`
		RemoteIP   string    `json:"remoteMtaIp"`
		Time       time.Time `json:"timestamp"`
	} `json:"delivery"`
	Mail struct {
		Time     time.Time `json:"timestamp"`
		Source   string    `json:"source"`
		SourceIP string    `json:"sourceIp"`
		To       []string  `json:"destination"`
		Common   struct {
			From      []string `json:"from"`
			To        []string `json:"to"`
			Subject   string   `json:"subject"`
			MessageID string   `json:"messageId"`
		} `json:"commonHeaders"`
	} `json:"mail"`
}

// readEventMail reads the mail by which Amazon's notification service tells
// what became of a mail: JSON in the body, once or wrapped.
func readEventMail(d *draft) (Report, bool) {
	if len(d.texts) == 0 || d.root.IsMultipart() || !strings.Contains(d.env.from, "amazonaws.com") && !strings.Contains(d.env.subject, "notification") {
		return Report{}, false
	}
	text := strings.TrimSpace(d.notification())
	if !strings.HasPrefix(text, "{") || !strings.Contains(text, "notificationType") && !strings.Contains(text, "eventType") {
		return Report{}, false
	}
	text = strings.ReplaceAll(text, "!\n ", "") // Sendmail's break of a line that is too long
	var outer struct {
		Message string `json:"Message"`
	}
	if decode(text, &outer) && strings.HasPrefix(outer.Message, "{") {
		text = outer.Message
	}
	var n sesNotification
	if !decode(text, &n) {
		return Report{}, false
	}
	return n.report(d)
}

func decode(s string, v any) bool {
	return json.NewDecoder(strings.NewReader(s)).Decode(v) == nil
}

func (n *sesNotification) report(d *draft) (Report, bool) {
	r := d.report("ses-json", whyEventMail)
	r.Original = Original{
		MessageID: strings.Trim(n.Mail.Common.MessageID, "<>"), From: strings.Join(n.Mail.Common.From, ", "),
		To: strings.Join(n.Mail.Common.To, ", "), Subject: n.Mail.Common.Subject,
		EnvelopeFrom: n.Mail.Source, Recipients: n.Mail.To, Date: n.Mail.Time,
	}
	switch kind := n.NotificationType + n.EventType; kind {
	case "Bounce":
		for i := range n.Bounce.Recipients {
			x := &n.Bounce.Recipients[i]
			b := event.Bounce{
				Recipient: addressIn(x.Address), Action: parseAction(x.Action), Status: statusCode(x.Status),
				Arrival: n.Mail.Time, LastAttempt: n.Bounce.Time,
			}
			if b.Action == "" {
				b.Action = mail.ActionFailed
			}
			typ, diagnostic := splitType(x.Diagnostic)
			n.place(&b, n.Bounce.Reporting, n.Bounce.RemoteIP)
			said(&b, typ, diagnostic, "")
			r.Results = append(r.Results, b)
		}
	case "Delivery":
		for _, a := range n.Delivery.Recipients {
			b := event.Bounce{Recipient: addressIn(a), Action: mail.ActionDelivered, Arrival: n.Mail.Time, LastAttempt: n.Delivery.Time}
			n.place(&b, n.Delivery.Reporting, n.Delivery.RemoteIP)
			said(&b, "smtp", n.Delivery.Response, "")
			r.Results = append(r.Results, b)
		}
	case "Complaint":
		r.Kind = KindFeedback
		c := &event.Complaint{Type: n.Complaint.Type, UserAgent: n.Complaint.UserAgent, Arrival: n.Complaint.Arrival, SourceIP: address(n.Mail.SourceIP), MailFrom: n.Mail.Source, Count: 1, MessageID: r.Original.MessageID}
		if c.Type == "" {
			c.Type = "abuse"
		}
		for _, x := range n.Complaint.Recipients {
			c.Recipients = appendNew(c.Recipients, addressIn(x.Address))
		}
		r.Feedback = c
		return r, true
	default:
		return Report{}, false
	}
	if len(r.Results) == 0 {
		return Report{}, false
	}
	r.Kind = kindOf(r.Results)
	return r, true
}

func (n *sesNotification) place(b *event.Bounce, reporting, ip string) {
	_, host := splitType(reporting)
	b.ReportingHost, b.RemoteIP = hostName(host), address(ip)
	b.MessageID = strings.Trim(n.Mail.Common.MessageID, "<>")
}
