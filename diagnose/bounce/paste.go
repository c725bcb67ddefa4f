package bounce

import (
	"strings"

	"github.com/postroad/postroad/mail"
	"github.com/postroad/postroad/message"
)

// ReadText reads the text of a report that somebody pasted: what a mail client
// or a webmail shows of it, with or without some header lines, quoted or not.
// Kind is message, without results, where nothing is recognised.
func ReadText(s string, o Options) Report {
	r := readPasted(s, 0)
	r.outcomes()
	r.judge(newOwn(o.Ours))
	return r
}

// readPasted reads a text without an envelope. Its words must be those of a
// report: a form that one program has, or fields of a delivery status.
func readPasted(s string, depth int) Report {
	s = strings.ToValidUTF8(cutText(s, MaxText), "\ufffd")
	s = strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n")
	s = unquote(s)
	if looksHTML(s) {
		s = message.PlainText(s)
	}
	if h, body := message.ParseHeader([]byte(s)); body > 0 && h.Has("Subject") && (h.Has("MIME-Version") || h.Has("Received") || h.Has("Content-Type") && h.Has("From")) {
		m := message.Read([]byte(s), message.Limits{})
		if r := read(m, &m.Parts[0], depth); r.Kind != KindMessage {
			return r
		}
	}
	m := &message.Message{}
	d := &draft{m: m, depth: depth, hasText: true}
	head, text := splitShown(s)
	d.env = shownEnvelope(head)
	d.text = text
	for range 3 {
		d.n = readNotice(d.text)
		if r, ok := d.pasted(); ok {
			return r
		}
		if d.n.returned == "" {
			break
		}
		_, d.text, _ = strings.Cut(d.n.returned, "\n") // "-----Original Message-----" on top
		var more shown
		if more, d.text = splitShown(d.text); len(more) > 0 {
			d.env = shownEnvelope(more)
		}
	}
	return ordinary()
}

// pasted reads the notice of d.
func (d *draft) pasted() (Report, bool) {
	n := d.n
	if strings.Contains(n.low, "final-recipient") || strings.Contains(n.low, "original-recipient") {
		if facts, groups := parseStatus(n.text, true); len(groups) > 0 {
			r := d.report("dsn", whyLoose)
			if r.Results = d.fromGroups(&facts, groups); len(r.Results) > 0 {
				d.finish(&r, &facts)
				return r, true
			}
		}
	}
	list := d.named(n)
	if !d.speaksPasted(n, list) {
		return Report{}, false
	}
	r := d.report(n.format, whyWords)
	if r.Format == "" || r.Format == "generic" {
		r.Format = "text"
	}
	if len(list) == 0 {
		if list = d.guess(n); len(list) == 0 {
			_, hasCode := codeIn(n.text)
			if !hasCode || n.format == "" {
				return Report{}, false
			}
			list = []found{{reason: n.afterIntroduction()}} // the address was taken out
		}
	}
	r.Results = d.fromWords(n, list)
	d.finish(&r, &envelopeFacts{})
	return r, true
}

// speaksPasted weighs the words of a pasted text: those that only one program
// has are enough, and so is a piece that only a report has. Else a list of
// recipients must come with a failure, or the header lines name a mail program.
func (d *draft) speaksPasted(n *notice, list []found) bool {
	if n.format != "" && n.format != "generic" {
		return true
	}
	top, code := strength(0), false
	for i := range list {
		top = max(top, list[i].strength)
		if list[i].strength >= fair && (list[i].table || isPostfix(list[i].reason)) {
			return true
		}
		if tells(list[i].reason) >= 2 {
			code = true
		}
	}
	over := n.final > 0 || n.delay > 0
	if top >= fair && d.returnedHeader().Len() > 0 {
		return true // with the mail that it is about
	}
	switch {
	case d.env.daemon && d.env.undeliv:
		return true
	case d.env.daemon || d.env.undeliv:
		return top > 0 && (code || over || n.format != "" || top == certain) || over && n.format != ""
	case n.format != "" && len(list) == 0 && len(n.lines) > 2:
		// A form that names the recipient in words of its own. A single reply that
		// speaks of a failure is shorter.
		_, code := codeIn(n.text)
		return code && len(d.guess(n)) == 1
	case n.format != "":
		if !code && top >= fair {
			_, code = codeIn(n.text)
			code = code || len(n.lines) > 2 && n.failing()
		}
		return top == certain || top > 0 && code
	}
	return top == certain && code
}

// isPostfix tells the line of a Postfix report without its letter, which is the
// piece that people copy.
func isPostfix(reason string) bool {
	for _, words := range [...]string{"host ", "connect to ", "lost connection with ", "conversation with ", "delivery temporarily suspended: "} {
		if strings.HasPrefix(reason, words) {
			return strings.Contains(reason, "said:") || strings.Contains(reason, "]:") || strings.Contains(reason, "] while") || strings.Contains(reason, "refused to talk")
		}
	}
	return strings.HasPrefix(reason, "Host or domain name not found. Name service error")
}

// unquote takes the marks of a quoted mail off, where most lines have them.
func unquote(s string) string {
	quoted, lines := 0, 0
	for l := range strings.SplitSeq(s, "\n") {
		if l != "" {
			lines++
		}
		if strings.HasPrefix(l, ">") || strings.HasPrefix(l, "| ") {
			quoted++
		}
	}
	if quoted < 3 || quoted*2 < lines {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for l := range strings.SplitSeq(s, "\n") {
		b.WriteString(unquoteLine(l))
		b.WriteByte('\n')
	}
	return b.String()
}

// shown is the header lines that mail clients show above a mail, by what they
// mean: "from", "to", "subject", "date".
type shown map[string]string

// shownNames are the names of these lines in the languages of the clients.
var shownNames = map[string]string{
	"from": "from", "von": "from", "de": "from", "da": "from", "från": "from", "van": "from", "fra": "from", "от": "from", "od": "from", "发件人": "from", "差出人": "from",
	"to": "to", "an": "to", "à": "to", "a": "to", "para": "to", "till": "to", "aan": "to", "til": "to", "кому": "to", "do": "to", "收件人": "to", "宛先": "to",
	"subject": "subject", "betreff": "subject", "objet": "subject", "oggetto": "subject", "asunto": "subject", "assunto": "subject", "ämne": "subject", "onderwerp": "subject", "emne": "subject", "тема": "subject", "temat": "subject", "主题": "subject", "件名": "subject",
	"date": "date", "sent": "date", "datum": "date", "gesendet": "date", "envoyé": "date", "inviato": "date", "data": "date", "enviado": "date", "enviado el": "date", "enviada": "date", "enviada em": "date", "fecha": "date", "skickat": "date", "verzonden": "date", "sendt": "date", "дата": "date",
	"cc": "cc", "reply-to": "reply", "return-path": "path", "x-failed-recipients": "failed",
}

// splitShown parts the header lines at the start of a pasted mail from its
// text. Lines of a forwarding mark or of nothing before them are passed over.
func splitShown(s string) (shown, string) {
	head := shown{}
	rest := s
	for n := 0; n < 40; n++ {
		line, after, more := strings.Cut(rest, "\n")
		trimmed := strings.Trim(plainMarks(line), " \t*")
		name, value, ok := strings.Cut(trimmed, ":")
		key := shownNames[strings.ToLower(strings.Trim(name, " *"))]
		switch {
		case ok && key != "" && len(name) < 24:
			if head[key] == "" {
				head[key] = strings.Trim(value, " *")
			}
		case trimmed == "" && len(head) >= 2:
			return head, after
		case trimmed == "" || hasRule(trimmed) || len(head) == 0 && n < 6 && len(trimmed) < 120 && !strings.Contains(trimmed, "@"):
		case len(head) >= 2:
			return head, rest
		default:
			return shown{}, s
		}
		if !more {
			break
		}
		rest = after
	}
	if len(head) < 2 {
		return shown{}, s
	}
	return head, rest
}

// shownEnvelope makes an envelope of shown header lines.
func shownEnvelope(s shown) envelope {
	var b strings.Builder
	for _, x := range [...][2]string{{"from", "From"}, {"to", "To"}, {"subject", "Subject"}, {"path", "Return-Path"}, {"failed", "X-Failed-Recipients"}} {
		if v := s[x[0]]; v != "" {
			b.WriteString(x[1] + ": " + strings.ReplaceAll(v, "\n", " ") + "\n")
		}
	}
	b.WriteString("\n")
	h, _ := message.ParseHeader([]byte(b.String()))
	e := readEnvelope(h)
	if len(s) == 0 {
		e.why = []mail.Reason{}
	}
	return e
}
