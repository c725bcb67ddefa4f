package esp

import (
	"strings"
	"time"

	"github.com/postroad/postroad/event"
	"github.com/postroad/postroad/mail"
)

// SparkPost: webhooks and the events API.
// Members: developers.sparkpost.com/api/webhooks/#header-event-types

func isSparkPost(v val) bool {
	return v.has("msys") || v.has("rcpt_to", "type") && (v.has("transmission_id") || v.has("customer_id") || v.has("raw_rcpt_to"))
}

func readSparkPost(d *reading, v val) {
	if msys := v.get("msys"); msys.isObject() {
		// The one member is named after the family of the event.
		if n := msys.node(); n.filled {
			v = val{v.d, msys.i + 1}
		} else {
			return // a ping
		}
	}
	s := sight{format: FormatSparkPost, grade: event.GradeDetail, what: heard(v.get("type").str())}
	s.host, s.when = v.get("customer_id").str(), v.get("timestamp").str()
	if s.recipient = v.get("raw_rcpt_to").str(); s.recipient == "" {
		s.recipient = v.get("rcpt_to").str()
	}
	if s.sender = v.get("msg_from").str(); s.sender == "" {
		s.sender = v.get("friendly_from").str()
	}
	s.networkID = v.get("message_id").str()
	if s.networkID == "" {
		s.networkID = v.get("transmission_id").str()
	}
	if s.text = v.get("raw_reason").str(); s.text == "" {
		s.text = v.get("reason").str()
	}
	s.code, s.remoteIP, s.sourceIP = v.get("error_code").count(), v.get("ip_address").str(), v.get("sending_ip").str()
	s.route = v.get("ip_pool").str()
	if n := v.get("num_retries"); n.ok() && s.what != complained {
		s.number = n.count() + 1
	}
	s.delay = seconds(v.get("queue_time").num(), time.Millisecond)
	s.tls = tlsOf(v.get("outbound_tls"))
	switch v.get("bounce_class").str() {
	case "60", "80", "90", "100": // an answer of a person or a machine, not a failure
		if s.what == failed {
			return
		}
	case "25": // "admin failure": SparkPost's own suppression
		if s.what == failed {
			s.what = withheld
		}
	}
	s.feedback, s.userAgent = v.get("fbtype").str(), v.get("user_str").str()
	if s.what == complained {
		s.sourceIP = s.remoteIP
	}
	d.emit(&s)
}

// Mandrill, Mailchimp Transactional: webhooks.
// Members: mailchimp.com/developer/transactional/docs/webhooks/

func isMandrill(v val) bool {
	return v.has("event", "msg") && v.get("msg").has("email")
}

func readMandrill(d *reading, v val) {
	m := v.get("msg")
	s := sight{format: FormatMandrill, grade: event.GradeDetail, what: heard(v.get("event").str())}
	s.when, s.recipient, s.sender = v.get("ts").str(), m.get("email").str(), m.get("sender").str()
	s.networkID, s.host = m.get("_id").str(), m.get("subaccount").str()
	if s.text = m.get("diag").str(); s.text == "" {
		s.text = m.get("bounce_description").str()
	}
	last := m.get("smtp_events").latest()
	if last.isObject() {
		if v.get("event").is("send") && last.get("type").is("sent") {
			s.what = delivered // with the reply of the host that took it
		}
		s.sourceIP, s.remoteIP = last.get("source_ip").str(), last.get("destination_ip").str()
		if diag := last.get("diag").str(); diag != "" && (s.what == delivered || s.what == deferred) {
			s.text = diag
		}
	}
	if s.what == withheld {
		s.text = m.get("reject", "reason").str()
	}
	d.emit(&s)
}

// Mailjet: the event callback.
// Members: dev.mailjet.com/email/guides/webhooks/

func isMailjet(v val) bool {
	return v.has("event", "time", "MessageID") || v.has("event", "mj_campaign_id")
}

func readMailjet(d *reading, v val) {
	s := sight{format: FormatMailjet, grade: event.GradeDetail}
	s.when, s.recipient = v.get("time").str(), v.get("email").str()
	s.networkID, s.stream = v.get("MessageID").str(), ""
	s.text = v.get("comment").str()
	if s.text == "" {
		s.text = v.get("error").str()
	}
	switch word := v.get("event").str(); word {
	case "sent": // said when the receiver took it, with its reply
		s.what, s.text = delivered, v.get("smtp_reply").str()
	case "bounce":
		s.what = failed
		if !v.get("hard_bounce").isTrue() && !strings.HasPrefix(s.text, "5") {
			s.what = deferred
		}
	case "blocked":
		s.what = withheld
	default:
		s.what = heard(word)
	}
	d.emit(&s)
}

// Brevo, once Sendinblue: transactional webhooks.
// Members: developers.brevo.com/docs/transactional-webhooks

func isBrevo(v val) bool { return v.has("event", "email", "message-id") }

func readBrevo(d *reading, v val) {
	s := sight{format: FormatBrevo, grade: event.GradeDetail}
	switch word := v.get("event").str(); word {
	case "blocked", "error":
		s.what = withheld
	default:
		s.what = heard(word)
	}
	// ts_epoch is UTC; ts_event and ts are said to depend on the account's zone.
	for _, key := range [...]string{"ts_epoch", "ts_event", "ts", "date"} {
		if s.when = v.get(key).str(); s.when != "" {
			break
		}
	}
	s.recipient, s.messageID = v.get("email").str(), v.get("message-id").str()
	s.sender, s.sourceIP = v.get("sender_email").str(), v.get("sending_ip").str()
	s.text = v.get("reason").str()
	d.emit(&s)
}

// MailerSend: webhooks and the activity API.
// Members: developers.mailersend.com/api/v1/webhooks.html

func isMailerSend(v val) bool {
	if strings.HasPrefix(string(v.get("type").bytes()), "activity.") {
		return true
	}
	return v.get("object").is("activity") && v.has("email", "type")
}

func readMailerSend(d *reading, v val) {
	s := sight{format: FormatMailerSend, grade: event.GradeDetail, host: v.get("domain_id").str()}
	if data := v.get("data"); data.isObject() {
		v = data
	}
	s.what = heard(v.get("type").str())
	s.when, s.recipient = v.get("created_at").str(), v.get("email", "recipient", "email").str()
	s.sender, s.networkID = v.get("email", "from").str(), v.get("email", "message", "id").str()
	s.text = v.get("morph", "reason").str()
	if s.text == "" {
		s.text = v.get("morph", "readable_reason").str()
	}
	d.emit(&s)
}

// Resend: webhooks. Members: resend.com/docs/dashboard/webhooks/event-types

func isResend(v val) bool {
	return strings.HasPrefix(string(v.get("type").bytes()), "email.") && v.has("data")
}

func readResend(d *reading, v val) {
	data := v.get("data")
	word := strings.TrimPrefix(v.get("type").str(), "email.")
	s := sight{format: FormatResend, grade: event.GradeDetail, what: heard(word)}
	s.when, s.recipient, s.sender = v.get("created_at").str(), data.get("to").first().str(), data.get("from").str()
	s.messageID, s.networkID = data.get("message_id").str(), data.get("email_id").str()
	bounce := data.get("bounce")
	if s.text = bounce.get("diagnosticCode").first().str(); s.text == "" {
		s.text = bounce.get("message").str()
	}
	if word == "failed" { // before anything was sent: a quota, a domain that is not verified
		s.what, s.text = withheld, data.get("failed", "reason").str()
	}
	if s.what == failed && (sesOwn(bounce.get("subType").str()) || isOwnWords(s.text)) {
		s.what = withheld
	}
	d.emit(&s)
}

// Mailtrap: webhooks. Members: docs.mailtrap.io/developers/email-sending/webhooks

func isMailtrap(v val) bool { return v.has("event", "event_id", "message_id", "email") }

func readMailtrap(d *reading, v val) {
	s := sight{format: FormatMailtrap, grade: event.GradeDetail}
	switch word := v.get("event").str(); word {
	case "soft bounce", "suspension": // it is tried again
		s.what = deferred
	default:
		s.what = heard(word)
	}
	s.when, s.recipient, s.networkID = v.get("timestamp").str(), v.get("email").str(), v.get("message_id").str()
	s.stream = v.get("sending_stream").str()
	s.code, s.text = v.get("response_code").count(), v.get("response").str()
	if s.text == "" {
		s.text = v.get("reason").str()
	}
	d.emit(&s)
}

// Sweego: webhooks. Members: learn.sweego.io/docs/webhooks/

func isSweego(v val) bool { return v.has("event_type", "swg_uid") }

func readSweego(d *reading, v val) {
	s := sight{format: FormatSweego, grade: event.GradeDetail, what: heard(v.get("event_type").str())}
	if s.what == failed && strings.HasPrefix(v.get("event_type").str(), "soft") {
		s.what = deferred
	}
	if c := v.get("channel"); c.ok() && !c.is("email") {
		return // a text message
	}
	s.when, s.recipient, s.networkID = v.get("timestamp").str(), v.get("recipient").str(), v.get("swg_uid").str()
	s.messageID = v.get("headers", "message-id").str()
	for _, key := range [...]string{"details", "reason", "bounce_reason", "message"} {
		if s.text = v.get(key).str(); s.text != "" {
			break
		}
	}
	if from := v.get("domain_from").str(); from != "" {
		s.host = from
	}
	d.emit(&s)
}

// Mailomat: webhooks. Members: api.mailomat.swiss/docs/#tag/webhook

func isMailomat(v val) bool { return v.has("eventType", "messageUuid") }

func readMailomat(d *reading, v val) {
	s := sight{format: FormatMailomat, grade: event.GradeDetail, what: heard(v.get("eventType").str())}
	p := v.get("payload")
	status := p.get("delivery-status")
	if s.when = v.get("occurredAt").str(); s.when == "" {
		s.when = p.get("timestamp").str()
	}
	s.recipient, s.sender = v.get("recipient").str(), p.get("sender").str()
	s.messageID, s.networkID = v.get("messageId").str(), v.get("messageUuid").str()
	s.remoteHost, s.remoteIP = status.get("remote", "mx").str(), status.get("remote", "ip").str()
	s.sourceIP = status.get("local", "ip").str()
	s.code, s.enhanced = status.get("code").count(), status.get("enhanced-code").str()
	s.text, s.number = status.get("message").str(), status.get("attempt-nr").count()
	if s.text == "" {
		s.text = p.get("reason").str()
	}
	if t := status.get("remote", "tls"); t.get("started").isTrue() {
		s.tls = &event.TLS{Version: t.get("protocol").str()}
	}
	d.emit(&s)
}

// Postal: webhooks of a server of one's own.
// Members: docs.postalserver.io/developer/webhooks

func isPostal(v val) bool { return v.has("event", "payload", "uuid") }

func readPostal(d *reading, v val) {
	s := sight{format: FormatPostal, grade: event.GradeDetail}
	p := v.get("payload")
	m := p.get("message")
	switch v.get("event").str() {
	case "MessageSent":
		s.what = delivered
	case "MessageDelayed":
		s.what = deferred
	case "MessageDeliveryFailed":
		s.what = failed
	case "MessageBounced":
		s.what, m = failed, p.get("original_message")
	}
	s.when = v.get("timestamp").str()
	s.recipient, s.sender = m.get("to").str(), m.get("from").str()
	s.messageID, s.networkID = m.get("message_id").str(), m.get("token").str()
	if s.text = p.get("output").str(); s.text == "" {
		s.text = p.get("details").str()
	}
	s.tls = tlsOf(p.get("sent_with_ssl"))
	d.emit(&s)
}

// Unisender Go: webhooks. Members: godocs.unisender.ru/web-api-ref#webhook

func isUnisender(v val) bool { return v.get("event_name").is("transactional_email_status") }

func readUnisender(d *reading, v val) {
	if data := v.get("event_data"); data.isObject() {
		v = data
	}
	s := sight{format: FormatUnisender, grade: event.GradeDetail, what: heard(v.get("status").str())}
	info := v.get("delivery_info")
	if s.what == failed && v.get("status").is("soft_bounced") {
		s.what = deferred
	}
	s.when, s.recipient, s.networkID = v.get("event_time").str(), v.get("email").str(), v.get("job_id").str()
	if s.text = info.get("destination_response").str(); s.text == "" {
		s.text = info.get("delivery_status").str()
	}
	if e, _, ok := mail.ParseEnhanced(v.get("status_code").str()); ok {
		s.enhanced = e.String()
	}
	d.emit(&s)
}
