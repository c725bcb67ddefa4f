package bounce

import (
	"strings"

	"github.com/postroad/postroad/message"
)

// draft is a mail while it is read: its parts by what they are in a report.
type draft struct {
	m     *message.Message
	root  *message.Part
	depth int // of reports in forwarded mails
	env   envelope

	texts    []*message.Part // of the notification
	late     []*message.Part // texts behind the returned message: mostly footers
	status   []*message.Part // delivery status
	feedback []*message.Part
	receipt  *message.Part   // a disposition notification
	attached []*message.Part // the messages that are attached; the first one is taken for the returned one
	returned message.Header

	to      []string // to whom the returned message went
	hasTo   bool
	posted  bool // it names the list by whose return path it came; see ofList
	text    string
	hasText bool
	n       *notice
}

// survey sorts the parts of the mail under root.
func survey(m *message.Message, root *message.Part) *draft {
	d := &draft{m: m, root: root, env: readEnvelope(root.Header)}
	d.walk(root)
	return d
}

// walk looks at a part and, in document order, at those inside of it. What is
// inside of an attached message belongs to that message.
func (d *draft) walk(p *message.Part) {
	if p.IsMultipart() && len(p.Children) > 0 {
		if p.MediaType == "multipart/alternative" {
			d.alternative(p)
			return
		}
		for _, i := range p.Children {
			d.walk(&d.m.Parts[i])
		}
		return
	}
	switch {
	case strings.HasSuffix(p.MediaType, "delivery-status"):
		d.status = append(d.status, p)
	case p.MediaType == "message/feedback-report":
		d.feedback = append(d.feedback, p)
	case strings.HasSuffix(p.MediaType, "disposition-notification"):
		d.receipt = p
	case d.m.Inner(p) != nil:
		in := d.m.Inner(p)
		d.attached = append(d.attached, in)
		if d.returned.Len() == 0 {
			d.returned = in.Header
		}
	case strings.HasPrefix(p.MediaType, "text/rfc822-header"):
		if h, _ := message.ParseHeader(d.m.Bytes(p)); d.returned.Len() == 0 {
			d.returned = h
		}
	case strings.HasPrefix(p.MediaType, "text/") || p.IsMultipart():
		d.textPart(p)
	case p != d.root:
		d.otherPart(p)
	default:
		d.texts = append(d.texts, p)
	}
}

// textPart is a piece of the notification, unless its own header is that of a
// mail: some programs put the returned message there without a type.
func (d *draft) textPart(p *message.Part) {
	if p != d.root && d.returned.Len() == 0 && p.Header.Has("From") && (p.Header.Has("Received") || p.Header.Has("Message-ID") || p.Header.Has("Date")) {
		d.returned = p.Header
		return
	}
	if d.returned.Len() > 0 {
		d.late = append(d.late, p)
		return
	}
	d.texts = append(d.texts, p)
}

// otherPart looks for a delivery status under a wrong type: gateways and mail
// clients make "details.txt" and "ATT00001.dat" of it.
func (d *draft) otherPart(p *message.Part) {
	if p.Body.Len() > 64<<10 || !strings.HasPrefix(p.MediaType, "application/") && !strings.HasPrefix(p.MediaType, "message/") {
		return
	}
	if low := asciiLower(string(d.m.Bytes(p))); strings.Contains(low, "final-recipient:") || strings.Contains(low, "original-recipient:") {
		d.status = append(d.status, p)
	}
}

// alternative takes the plain text of several forms of one text, and the others
// only where that is empty.
func (d *draft) alternative(p *message.Part) {
	var plain, rest []*message.Part
	for _, i := range p.Children {
		c := &d.m.Parts[i]
		if c.MediaType == "text/plain" && len(strings.TrimSpace(string(d.m.Body(c)))) > 40 {
			plain = append(plain, c)
		} else {
			rest = append(rest, c)
		}
	}
	if len(plain) == 0 {
		plain = rest
	} else {
		for _, c := range rest { // a delivery status that got in there
			if !strings.HasPrefix(c.MediaType, "text/") {
				d.walk(c)
			}
		}
	}
	for _, c := range plain {
		d.walk(c)
	}
}

// notification gives the text of the notification, all parts of it.
func (d *draft) notification() string {
	if d.hasText {
		return d.text
	}
	d.hasText = true
	parts := d.texts
	if len(parts) == 0 {
		parts = d.late
	}
	room := MaxText
	for i, p := range parts {
		t := d.m.Text(p)
		if p.MediaType == "text/html" || p.MediaType == "text/plain" && looksHTML(t) {
			t = message.PlainText(t)
		}
		t = cutText(t, room)
		room -= len(t)
		if i == 0 {
			d.text = t
		} else {
			d.text += "\n\n" + t
		}
		if room <= 0 {
			break
		}
	}
	return d.text
}

func looksHTML(s string) bool {
	head := asciiLower(strings.TrimSpace(s[:min(len(s), 200)]))
	return strings.HasPrefix(head, "<html") || strings.HasPrefix(head, "<!doctype html")
}

// notice gives the notification prepared for reading.
func (d *draft) notice() *notice {
	if d.n == nil {
		d.n = readNotice(d.notification())
	}
	return d.n
}
