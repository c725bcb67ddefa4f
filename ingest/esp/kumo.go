package esp

import (
	"strconv"
	"strings"
	"time"

	"github.com/postroad/postroad/event"
	"github.com/postroad/postroad/mail"
)

// KumoMTA's own log: docs.kumomta.com/reference/log_record/

func isKumo(v val) bool {
	return v.has("type", "response") && (v.has("queue") || v.has("nodeid")) && (v.has("num_attempts") || v.has("site") || v.has("peer_address"))
}

func readKumo(d *reading, v val) {
	s := sight{format: FormatKumoMTA, grade: event.GradeLog}
	kind := v.get("type").str()
	switch kind {
	case "Delivery":
		s.what, s.stage = delivered, mail.StageFinal
	case "TransientFailure":
		s.what = deferred
	case "Bounce", "OOB":
		s.what = failed
	case "Expiration", "AdminBounce":
		s.what, s.local = failed, true // its queue life or its operator ended the mail
	case "Feedback":
		s.what = complained
	case "Reception", "Delayed", "Rejection", "XferOut", "XferIn", "AdminRebind", "DeferredInjectionRebind":
		return
	default:
		s.what = unheard
	}
	s.host = v.get("nodeid").str()
	s.when = v.get("timestamp").str()
	if at := v.get("event_time").str(); at != "" {
		s.when = at
	}
	s.queueID, s.sender = v.get("id").str(), v.get("sender").str()
	s.messageID = kumoHeader(v, "Message-ID")
	s.route = v.get("egress_pool").str()
	s.remoteHost, s.remoteIP = v.get("peer_address", "name").str(), v.get("peer_address", "addr").str()
	if (kind == "TransientFailure" || kind == "Bounce") && !v.get("peer_address").ok() {
		s.local = true // no connection, no words
	}
	if kind == "OOB" || kind == "Feedback" {
		s.remoteHost, s.remoteIP = "", "" // who brought us the report, not who was tried
	}
	s.sourceIP = v.get("source_address", "address").str()
	s.number = v.get("num_attempts").count()
	response := v.get("response")
	s.code, s.text = response.get("code").count(), response.get("content").str()
	s.enhanced = kumoEnhanced(response.get("enhanced_code"))
	if s.stage == "" {
		s.stage = stageOf(response.get("command").str())
	}
	if version, cipher := v.get("tls_protocol_version").str(), v.get("tls_cipher").str(); version != "" || cipher != "" {
		s.tls = &event.TLS{Version: version, Cipher: cipher}
	}
	if created, ok := moment(v.get("created").str(), d.o.Zone); ok && !created.IsZero() {
		if at, ok := moment(s.when, d.o.Zone); ok && at.After(created) {
			s.delay = min(at.Sub(created), 365*24*time.Hour)
		}
	}
	if s.what == complained {
		kumoFeedback(d, &s, v.get("feedback_report"), v.get("recipient"))
		return
	}
	// One record may be for several recipients of one transaction.
	v.get("recipient").each(func(r val) {
		one := s
		one.recipient = r.str()
		d.emit(&one)
	})
}

func kumoEnhanced(v val) string {
	class := v.get("class").count()
	if class == 0 {
		return ""
	}
	return strconv.Itoa(class) + "." + strconv.Itoa(v.get("subject").count()) + "." + strconv.Itoa(v.get("detail").count())
}

// kumoHeader finds a header that the operator chose to log.
func kumoHeader(v val, name string) string {
	for _, key := range [...]string{name, "Message-Id", strings.ToLower(name)} {
		if h := v.get("headers", key).first().str(); h != "" {
			return h
		}
	}
	return ""
}

func kumoFeedback(d *reading, s *sight, report, recipient val) {
	s.feedback, s.userAgent = report.get("feedback_type").str(), report.get("user_agent").str()
	s.arrival, s.sourceIP = report.get("arrival_date").str(), report.get("source_ip").str()
	if from := report.get("original_mail_from").str(); from != "" {
		s.sender = from
	}
	if to := report.get("original_rcpt_to").first().str(); to != "" {
		s.recipient = to
	} else {
		s.recipient = recipient.first().str()
	}
	d.emit(s)
}
