package esp

import (
	"github.com/postroad/postroad/event"
)

// Postmark: webhooks, the bounce API, messages with their events.
// Members: postmarkapp.com/developer/api/bounce-api and .../webhooks

func isPostmark(v val) bool {
	switch {
	case v.has("RecordType", "MessageID"), v.has("RecordType", "Email"):
		return true
	case v.has("TypeCode", "BouncedAt"), v.has("MessageEvents", "MessageID"):
		return true
	}
	return v.has("MessageID", "Recipients", "ReceivedAt") || v.has("EmailAddress", "SuppressionReason")
}

func readPostmark(d *reading, v val) {
	s := sight{format: FormatPostmark, grade: event.GradeDetail}
	s.host = v.get("ServerID").str()
	if s.host == "" {
		s.host = v.get("ServerId").str()
	}
	s.networkID, s.stream = v.get("MessageID").str(), v.get("MessageStream").str()
	s.sender = v.get("From").str()
	switch {
	case v.has("MessageEvents"):
		readPostmarkMessage(d, &s, v)
		return
	case v.has("SuppressionReason", "EmailAddress"):
		s.recipient, s.when, s.grade = v.get("EmailAddress").str(), v.get("CreatedAt").str(), event.GradeSummary
		s.what = map[string]happening{"HardBounce": failed, "SpamComplaint": complained}[v.get("SuppressionReason").str()]
	case v.get("RecordType").is("Delivery"):
		s.what, s.when = delivered, v.get("DeliveredAt").str()
		s.recipient, s.text = v.get("Recipient").str(), v.get("Details").str()
	case v.has("Type") && (v.has("TypeCode") || v.has("BouncedAt")):
		s.what = postmarkType(v.get("Type").str())
		s.when, s.recipient = v.get("BouncedAt").str(), v.get("Email").str()
		if s.text = v.get("Details").str(); s.text == "" {
			s.text = v.get("Description").str()
		}
	}
	d.emit(&s)
}

// postmarkType sorts the types of bounces. Some are no failure: an automatic
// answer, a request to be taken off.
// postmarkapp.com/developer/api/bounce-api#bounce-types
func postmarkType(t string) happening {
	switch t {
	case "HardBounce", "SoftBounce", "Blocked", "DnsError", "SpamNotification", "VirusNotification", "Unknown",
		"DMARCPolicy", "SMTPApiError", "Undeliverable":
		return failed
	case "Transient":
		return deferred
	case "BadEmailAddress", "ManuallyDeactivated", "TemplateRenderingFailed", "Unconfirmed":
		return withheld
	case "SpamComplaint":
		return complained
	}
	return nothing
}

// readPostmarkMessage reads a message of messages/outbound with its events.
func readPostmarkMessage(d *reading, whole *sight, v val) {
	v.get("MessageEvents").each(func(e val) {
		s := *whole
		s.recipient, s.when = e.get("Recipient").str(), e.get("ReceivedAt").str()
		details := e.get("Details")
		s.text = details.get("DeliveryMessage").str()
		if s.text == "" {
			s.text = details.get("Summary").str()
		}
		s.remoteHost, s.remoteIP = details.get("DestinationServer").str(), details.get("DestinationIP").str()
		switch e.get("Type").str() {
		case "Delivered":
			s.what = delivered
		case "Transient":
			s.what = deferred
		case "Bounced":
			s.what = failed
		}
		d.emit(&s)
	})
}
