package esp

import (
	"github.com/postroad/postroad/event"
	"github.com/postroad/postroad/mail"
)

// vendor is one form of record.
type vendor struct {
	format string
	is     func(v val) bool // by members that no other vendor has together
	read   func(d *reading, v val)
}

// vendors gives all forms, the narrow signatures first.
func vendors() []vendor {
	return []vendor{
		{FormatMailgun, isMailgun, readMailgun},
		{FormatSendGrid, isSendGrid, readSendGrid},
		{FormatSES, isSES, readSES},
		{FormatKumoMTA, isKumo, readKumo},
		{FormatPostmark, isPostmark, readPostmark},
		{FormatSparkPost, isSparkPost, readSparkPost},
		{FormatMandrill, isMandrill, readMandrill},
		{FormatMailjet, isMailjet, readMailjet},
		{FormatBrevo, isBrevo, readBrevo},
		{FormatMailerSend, isMailerSend, readMailerSend},
		{FormatResend, isResend, readResend},
		{FormatMailtrap, isMailtrap, readMailtrap},
		{FormatSweego, isSweego, readSweego},
		{FormatMailomat, isMailomat, readMailomat},
		{FormatPostal, isPostal, readPostal},
		{FormatUnisender, isUnisender, readUnisender},
		{FormatSendGrid, isSendGridList, readSendGridList}, // the weakest signature
	}
}

// recognise gives the index of the vendor, -1 for none. likely is asked first.
func recognise(all []vendor, likely int, v val) int {
	if !v.isObject() {
		return -1
	}
	if all[likely].is(v) {
		return likely
	}
	for i := range all {
		if i != likely && all[i].is(v) {
			return i
		}
	}
	return -1
}

// json reads a stream of JSON.
func (d *reading) json(w *window) {
	f := frames{w: w, skip: d.o.Skip}
	all := vendors()
	for d.err == nil {
		record, line, ok := f.next()
		if !ok {
			return
		}
		d.line, d.raw, d.n = line, record, 0
		v, ok := d.doc.parse(record)
		if !ok {
			why := event.SkipBroken
			if len(d.doc.nodes) > maxNodes {
				why = event.SkipLong
			}
			d.skip(why)
			continue
		}
		d.record(all, v)
	}
}

// record reads one record, out of the envelopes that queues put round it.
func (d *reading) record(all []vendor, v val) {
	for range 3 {
		inner, ok := enclosed(v)
		if !ok {
			break
		}
		if inner.isObject() {
			v = inner
			continue
		}
		// A record in a string: the notification itself is the evidence, the
		// envelope differs each time that it is sent.
		b := append([]byte(nil), unescape(inner.bytes())...)
		var again doc
		if v, ok = again.parse(b); !ok {
			d.skip(event.SkipBroken)
			return
		}
		d.raw = b
	}
	i := recognise(all, d.last, v)
	if i < 0 {
		if !isAside(v) {
			d.skip(event.SkipUnknown)
		}
		return
	}
	d.last = i
	all[i].read(d, v)
}

// enclosed takes off one envelope: Amazon's notification service, its event
// bus, its queues, and functions that are called by them.
func enclosed(v val) (inner val, ok bool) {
	switch {
	case v.has("Message", "TopicArn"), v.has("Message", "Type", "MessageId"):
		inner = v.get("Message")
	case v.has("Sns"):
		inner = v.get("Sns", "Message")
	case v.has("detail-type", "detail"):
		inner = v.get("detail")
	case v.has("eventSource", "body"):
		inner = v.get("body")
	case v.has("Body", "ReceiptHandle"):
		inner = v.get("Body")
	default:
		return val{}, false
	}
	b := inner.bytes()
	return inner, inner.isObject() || inner.node().kind == kindString && len(b) > 1 && b[0] == '{'
}

// isAside knows records that belong to a vendor's stream and tell of no mail:
// a subscription's confirmation, a test message of SES, an empty object.
func isAside(v val) bool {
	return v.len() == 0 || v.has("SubscribeURL") || v.has("Message", "TopicArn")
}

// sniffJSON recognises the first record that is of any vendor.
func sniffJSON(head []byte) (string, bool) {
	w := &window{buf: head, end: len(head), line: 1, err: errSniff}
	f := frames{w: w, skip: func(int64, event.Skip) {}}
	all := vendors()
	var format string
	d := &reading{o: Options{Skip: func(int64, event.Skip) {}}}
	look := func(b []byte) bool {
		v, _ := d.doc.parse(b)
		for range 3 {
			inner, ok := enclosed(v)
			if !ok {
				break
			}
			if v = inner; inner.node().kind == kindString {
				var again doc
				v, _ = again.parse(unescape(inner.bytes()))
			}
		}
		i := recognise(all, 0, v)
		if i >= 0 {
			format = all[i].format
		}
		return i >= 0
	}
	for range 20 {
		record, _, ok := f.next()
		if !ok {
			// The head ends in a record: what is there of it may be enough.
			return format, f.cut && look(head[f.began:])
		}
		if look(record) {
			return format, true
		}
	}
	return "", false
}

// tlsOf gives a session's encryption from what is said of it; nil if nothing is.
func tlsOf(v val) *event.TLS {
	if !v.isTrue() {
		return nil
	}
	return &event.TLS{}
}

// stageOf reads the command that a reply answered.
func stageOf(command string) mail.Stage {
	var space [10]byte
	b := space[:0]
	for i := 0; i < len(command) && len(b) < len(space); i++ {
		c := command[i]
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		b = append(b, c)
	}
	for _, s := range [...]struct {
		start string
		stage mail.Stage
	}{
		{"RCPT", mail.StageRcpt},
		{"MAIL", mail.StageMail},
		{"DATA", mail.StageData},
		{"BDAT", mail.StageData},
		{".", mail.StageFinal},
		{"STARTTLS", mail.StageSTARTTLS},
		{"AUTH", mail.StageAuth},
		{"EHLO", mail.StageEHLO},
		{"HELO", mail.StageEHLO},
		{"LHLO", mail.StageEHLO},
	} {
		if len(b) >= len(s.start) && string(b[:len(s.start)]) == s.start {
			return s.stage
		}
	}
	return mail.StageUnknown
}
