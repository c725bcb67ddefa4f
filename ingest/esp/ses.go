package esp

import (
	"strings"
	"time"

	"github.com/postroad/postroad/event"
)

// Amazon SES: notifications, event publishing, message insights.
// Members: docs.aws.amazon.com/ses/latest/dg/notification-contents.html and
// .../event-publishing-retrieving-sns-contents.html

func isSES(v val) bool {
	if v.has("mail") && (v.has("notificationType") || v.has("eventType")) {
		return true
	}
	return v.has("MessageId", "Insights") || v.has("MessageId", "FromEmailAddress", "Destination")
}

func readSES(d *reading, v val) {
	if !v.has("mail") {
		readSESInsights(d, v)
		return
	}
	kind := v.get("eventType").str()
	if kind == "" {
		kind = v.get("notificationType").str()
	}
	whole := sight{format: FormatSES, grade: event.GradeDetail, what: heard(kind)}
	if whole.what == nothing {
		return
	}
	m := v.get("mail")
	whole.host, whole.sender = m.get("sendingAccountId").str(), m.get("source").str()
	whole.networkID, whole.messageID = m.get("messageId").str(), m.get("commonHeaders", "messageId").str()
	if whole.messageID == "" {
		m.get("headers").each(func(h val) {
			if strings.EqualFold(h.get("name").str(), "Message-ID") {
				whole.messageID = h.get("value").str()
			}
		})
	}
	whole.clientIP = m.get("sourceIp").str() // who handed the mail to SES
	whole.sourceIP = m.get("tags", "ses:outgoing-ip").first().str()
	whole.when = m.get("timestamp").str()
	part := sesPart(v)
	if when := part.get("timestamp").str(); when != "" {
		sent, ok := moment(whole.when, d.o.Zone)
		at, _ := moment(when, d.o.Zone)
		if ok && !sent.IsZero() && at.After(sent) {
			whole.delay = at.Sub(sent)
		}
		whole.when = when
	}
	whole.remoteIP = part.get("remoteMtaIp").str()
	if host := part.get("reportingMTA").str(); strings.HasSuffix(hostName(host), "amazonses.com") {
		whole.sourceHost = host
	} else {
		whole.remoteHost = host
	}
	d.sesRecipients(&whole, part, m.get("destination"))
}

// sesPart gives the object that is named after the event.
func sesPart(v val) val {
	for _, key := range [...]string{"delivery", "bounce", "deliveryDelay", "complaint", "reject", "failure", "renderingFailure"} {
		if part := v.get(key); part.isObject() {
			return part
		}
	}
	return val{}
}

// sesRecipients gives one sight for each recipient that the event is about.
func (d *reading) sesRecipients(whole *sight, part, destination val) {
	switch whole.what {
	case delivered:
		whole.text = part.get("smtpResponse").str()
		if ms := part.get("processingTimeMillis").num(); ms > 0 {
			whole.delay = seconds(ms, time.Millisecond)
		}
		part.get("recipients").each(func(r val) {
			s := *whole
			s.recipient = r.str()
			d.emit(&s)
		})
	case complained:
		whole.feedback = part.get("complaintFeedbackType").str()
		whole.userAgent, whole.arrival = part.get("userAgent").str(), part.get("arrivalDate").str()
		part.get("complainedRecipients").each(func(r val) {
			s := *whole
			s.recipient = r.get("emailAddress").str()
			d.emit(&s)
		})
	case withheld:
		whole.text = part.get("reason").str()
		if whole.text == "" {
			whole.text = part.get("errorMessage").str()
		}
		destination.each(func(r val) {
			s := *whole
			s.recipient = r.str()
			d.emit(&s)
		})
	default:
		recipients := part.get("bouncedRecipients")
		if whole.what == deferred {
			recipients = part.get("delayedRecipients")
		}
		own := sesOwn(part.get("bounceSubType").str())
		recipients.each(func(r val) {
			s := *whole
			s.recipient, s.text = r.get("emailAddress").str(), r.get("diagnosticCode").str()
			s.enhanced = r.get("status").str()
			switch {
			case own:
				s.what = withheld
			case r.get("action").is("delayed"):
				s.what = deferred
			}
			if s.text == "" && s.what == deferred {
				s.text = part.get("delayType").str()
			}
			d.emit(&s)
		})
	}
}

// sesOwn knows the sub-types of bounces that SES makes itself.
func sesOwn(sub string) bool { return sub == "Suppressed" || sub == "OnAccountSuppressionList" }

// readSESInsights reads what became of a message as Virtual Deliverability
// Manager tells it: docs.aws.amazon.com/ses/latest/APIReference-V2/API_EmailInsights.html
func readSESInsights(d *reading, v val) {
	whole := sight{format: FormatSES, grade: event.GradeDetail, networkID: v.get("MessageId").str(), sender: v.get("FromEmailAddress").str()}
	one := func(i val) {
		recipient := i.get("Destination").first().str()
		i.get("Events").each(func(e val) {
			s := whole
			s.recipient, s.when = recipient, e.get("Timestamp").str()
			s.what = sesInsight(e.get("Type").str())
			bounce := e.get("Details", "Bounce")
			s.text = bounce.get("DiagnosticCode").str()
			if sesOwn(bounce.get("BounceSubType").str()) || bounce.get("BounceSubType").is("SUPPRESSED") {
				s.what = withheld
			}
			if s.what == complained {
				s.feedback = e.get("Details", "Complaint", "ComplaintFeedbackType").str()
			}
			d.emit(&s)
		})
	}
	if v.has("Insights") {
		v.get("Insights").each(one)
		return
	}
	one(v)
}

func sesInsight(word string) happening {
	switch word {
	case "TRANSIENT_BOUNCE", "PERMANENT_BOUNCE", "UNDETERMINED_BOUNCE":
		return failed
	}
	return heard(word)
}
