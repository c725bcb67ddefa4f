package esp

import (
	"strings"
	"time"

	"github.com/postroad/postroad/event"
)

// Mailgun: the events API, its webhooks, and lines of either.
// Members: documentation.mailgun.com/docs/mailgun/user-manual/events/event-structure

func isMailgun(v val) bool {
	if v.has("event-data") {
		return true
	}
	if !v.has("event") || !v.has("timestamp") && !v.has("@timestamp") {
		return false
	}
	return v.has("delivery-status") || v.has("log-level") || v.has("recipient-domain") ||
		v.has("recipient", "message") && v.get("message").has("headers")
}

func readMailgun(d *reading, v val) {
	if data := v.get("event-data"); data.ok() {
		v = data
	}
	s := sight{format: FormatMailgun, grade: event.GradeDetail, what: heard(v.get("event").str())}
	if s.what == nothing {
		return
	}
	s.host = v.get("domain", "name").str()
	if s.host == "" {
		s.host = v.get("account", "id").str()
	}
	status, envelope, headers := v.get("delivery-status"), v.get("envelope"), v.get("message", "headers")
	if s.when = v.get("timestamp").str(); s.when == "" {
		s.when = v.get("@timestamp").str() // the Logs API
	}
	s.recipient = v.get("recipient").str()
	s.sender = envelope.get("sender").str()
	s.messageID, s.networkID = headers.get("message-id").str(), v.get("id").str()
	s.remoteHost, s.remoteIP = status.get("mx-host").str(), status.get("mx-host-ip").str()
	s.sourceIP = envelope.get("sending-ip").str()
	s.code, s.enhanced = status.get("code").count(), status.get("enhanced-code").str()
	s.text = mailgunText(status.get("message").str(), status.get("description").str())
	s.number = status.get("attempt-no").count()
	if s.number == 1 {
		s.delay = seconds(status.get("first-delivery-attempt-seconds").num(), time.Second)
	}
	if s.tls = tlsOf(status.get("tls")); s.tls != nil {
		s.tls.Verified = status.get("certificate-verified").isTrue()
	}
	reason := v.get("reason").str()
	switch {
	case s.what == withheld:
		s.text = mailgunText(v.get("reject", "reason").str(), v.get("reject", "description").str())
	case s.what == failed && (v.get("severity").is("temporary") || !v.has("severity") && s.code/100 == 4):
		s.what = deferred
	}
	mailgunOwn(&s, reason)
	if last := status.get("last-message").str(); last != "" && s.code == 0 && s.what != withheld {
		// It gave up; why, the last attempt says.
		s.text, s.code = last, status.get("last-code").count()
	}
	d.emit(&s)
}

// mailgunOwn tells what Mailgun says itself: 605 to 607 are its suppression
// lists, before any attempt; 498, 499 and the other codes from 600 are given
// where no host answered.
func mailgunOwn(s *sight, reason string) {
	if s.what != failed && s.what != deferred {
		return
	}
	switch {
	case strings.HasPrefix(reason, "suppress-"), s.code >= 605 && s.code <= 607:
		s.what = withheld
	case s.code == 498 || s.code == 499 || s.code >= 600:
		s.code = 0
	}
	if s.text == "" {
		s.text = reason
	}
}

// mailgunText joins the two places of a text; the second may repeat the first.
func mailgunText(message, description string) string {
	switch {
	case description == "" || strings.Contains(message, description):
		return message
	case message == "" || strings.Contains(description, message):
		return description
	}
	return message + "\n" + description
}
