package esp

import (
	"strings"

	"github.com/postroad/postroad/event"
)

// SendGrid: the Event Webhook, the Email Activity and Email Logs answers, the
// suppression lists.
// Members: twilio.com/docs/sendgrid/for-developers/tracking-events/event

func isSendGrid(v val) bool {
	switch {
	case v.has("sg_event_id"), v.has("sg_message_id"), v.has("sg_template_id", "event"):
		return true
	case v.has("event", "email", "timestamp"):
		return v.has("smtp-id") || v.has("useragent", "ip")
	case v.has("msg_id", "from_email"):
		return true
	}
	return false
}

func readSendGrid(d *reading, v val) {
	if events := v.get("events"); events.isArray() || v.has("msg_id") {
		readSendGridMessage(d, v, events)
		return
	}
	s := sight{format: FormatSendGrid, grade: event.GradeDetail, what: heard(v.get("event").str())}
	if s.what == nothing {
		return
	}
	s.when, s.recipient = v.get("timestamp").str(), v.get("email").str()
	s.messageID, s.networkID = v.get("smtp-id").str(), v.get("sg_message_id").str()
	s.text = v.get("reason").str()
	if s.text == "" {
		s.text = v.get("response").str()
	}
	s.enhanced = v.get("status").str()
	s.number = v.get("attempt").count()
	s.remoteHost = v.get("mx_server").str()
	if s.tls = tlsOf(v.get("tls")); s.tls != nil {
		s.tls.Verified = v.has("cert_err") && !v.get("cert_err").isTrue()
	}
	// In events of delivery "ip" is the address that sent; in those of the
	// reader, who is passed over here, the reader's.
	if s.what != complained {
		s.sourceIP = v.get("ip").str()
	}
	d.emit(&s)
}

// readSendGridMessage reads a message with its events, or without them.
func readSendGridMessage(d *reading, v val, events val) {
	whole := sight{format: FormatSendGrid, grade: event.GradeDetail}
	whole.recipient, whole.sender = v.get("to_email").str(), v.get("from_email").str()
	whole.networkID = v.get("msg_id").str()
	if whole.networkID == "" {
		whole.networkID = v.get("sg_message_id").str()
	}
	whole.sourceIP = v.get("outbound_ip").str()
	if !events.isArray() {
		whole.grade, whole.when = event.GradeSummary, v.get("last_event_time").str()
		switch v.get("status").str() {
		case "delivered":
			whole.what = delivered
		case "not_delivered":
			whole.what = failed
		}
		whole.text = v.get("reason").str()
		d.emit(&whole)
		return
	}
	events.each(func(e val) {
		s := whole
		name := e.get("event_name").str()
		if name == "" {
			name = e.get("event").str()
		}
		s.what = heard(name)
		s.when = e.get("processed").str()
		for _, key := range [...]string{"timestamp", "recv_timestamp", "date"} {
			if s.when == "" {
				s.when = e.get(key).str()
			}
		}
		s.text, s.number = e.get("reason").str(), e.get("attempt_num").count()
		s.remoteHost = e.get("mx_server").str()
		d.emit(&s)
	})
}

// isSendGridList knows the rows of the suppression lists, which name nothing
// but an address, a reason and a date.
func isSendGridList(v val) bool {
	return v.has("created", "email") && v.len() <= 5 && (v.has("reason") || v.has("ip"))
}

func readSendGridList(d *reading, v val) {
	s := sendGridRow(v.get("email").str(), v.get("created").str(), v.get("reason").str(), v.get("status").str())
	if !v.has("reason") {
		s.what = complained // the list of spam reports has an "ip" in its place
	}
	d.emit(&s)
}

// sendGridRow is a row of the list of bounces, blocks or invalid addresses.
func sendGridRow(recipient, when, reason, status string) sight {
	s := sight{format: FormatSendGrid, grade: event.GradeSummary, what: failed, recipient: recipient, when: when, text: reason}
	if strings.Contains(status, ".") {
		s.enhanced = status
	}
	return s
}
