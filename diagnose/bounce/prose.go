package bounce

import (
	"strings"

	"github.com/postroad/postroad/event"
	"github.com/postroad/postroad/mail"
)

// maxProse is how much of the notification is looked through for a recipient
// whose group in the delivery status has a reply already.
const maxProse = 16 << 10

// fromProse adds what only the words for people tell of a recipient whose reply
// stands in the delivery status: Postfix and Exim put the reply alone into the
// Diagnostic-Code, and the phase and the address of the host into their words.
// It looks for the recipient's line by itself, because most reports that it
// reads need nothing else of their words.
func (d *draft) fromProse(b *event.Bounce) {
	if b.Reply.Code == 0 || b.Stage != mail.StageUnknown && b.RemoteIP != "" {
		return
	}
	text := d.notification()
	if len(text) > maxProse {
		text = cutText(text, maxProse)
	}
	block := proseOf(text, b.Recipient)
	if block == "" && b.OrigRcpt != "" {
		block = proseOf(text, b.OrigRcpt)
	}
	if one := onlySession(text); one != "" {
		block = one
	} else if !strings.Contains(block, " said:") && !strings.Contains(block, " refused to talk to me:") && !strings.Contains(block, "SMTP error from ") {
		return
	}
	var x event.Bounce
	speak(&x, block)
	if x.Reply.Code != b.Reply.Code || b.RemoteHost != "" && x.RemoteHost != "" && !strings.EqualFold(b.RemoteHost, x.RemoteHost) {
		return // about another attempt
	}
	if b.Stage == mail.StageUnknown {
		b.Stage = x.Stage
	}
	if b.RemoteIP == "" {
		b.RemoteIP = x.RemoteIP
	}
	if b.RemoteHost == "" {
		b.RemoteHost = x.RemoteHost
	}
}

// onlySession gives the transcript of Sendmail, if there is one of a single
// session with a single recipient: with several, nobody can tell whose it is.
func onlySession(text string) string {
	const words = "while talking to "
	i := strings.Index(text, words)
	if i < 0 || !strings.Contains(text[i:], "\n<<< ") || strings.Count(text, words) > 1 {
		return ""
	}
	session := text[i:]
	names := strings.Count(text, "\n<") - strings.Count(text, "\n<<<")
	if n := strings.Count(session, "\n>>> RCPT"); n > 1 || n == 0 && names > 2 {
		return ""
	}
	end := strings.LastIndex(session, "\n<<< ") + 1 // what follows is Sendmail's own summary
	if n := strings.IndexByte(session[end:], '\n'); n >= 0 {
		session = session[:end+n]
	}
	return session
}

// proseOf gives what follows the address at the start of a line of text, folded:
// up to an empty line, and to a line that stands no deeper than the address.
func proseOf(text, address string) string {
	for from := 0; ; {
		i := indexFold(text[from:], address)
		if i < 0 {
			return ""
		}
		i += from
		from = i + len(address)
		start := strings.LastIndexByte(text[:i], '\n') + 1
		lead := text[start:i]
		if strings.Trim(lead, " \t<") != "" {
			continue
		}
		indent := len(lead) - len(strings.TrimLeft(lead, " \t"))
		end := from
		for end < len(text) {
			n := strings.IndexByte(text[end:], '\n')
			if n < 0 {
				end = len(text)
				break
			}
			line, _, _ := strings.Cut(text[end+n+1:], "\n")
			rest := strings.TrimLeft(line, " \t\r")
			if end += n; rest == "" || len(line)-len(rest) <= indent {
				break
			}
			end++
		}
		block := foldReason(strings.TrimLeft(text[from:end], ">: \t"))
		_, block = parent(block)
		return strings.TrimLeft(block, ": ")
	}
}

// indexFold finds part, an address, in s, whatever the case of ASCII letters is.
func indexFold(s, part string) int {
	if i := strings.Index(s, part); i >= 0 || part == "" {
		return i
	}
	return strings.Index(asciiLower(s), asciiLower(part))
}

// attempts shortens the history of attempts that Exchange prints, each as
// "9/2/2025 12:24:31 PM - Server at mx.example.com (192.0.2.75) returned
// '421 ...'", the newest first: what was said first, which holds the sum of it,
// and the last of the others, if it says something else. The address of the host
// stands in any of them.
func attempts(reason string) (short, ip string) {
	const words = " returned '"
	first := strings.Index(reason, words)
	if first < 0 || !strings.Contains(reason[first+len(words):], words) {
		return reason, ""
	}
	var kept []string
	said := ""
	for rest := reason; ; {
		i := strings.Index(rest, words)
		if i < 0 {
			break
		}
		next, after := len(rest), ""
		if j := strings.Index(rest[i+len(words):], words); j >= 0 {
			next = i + len(words) + j
			if k := strings.LastIndex(asciiLower(rest[:next]), "server"); k > i {
				next = k
			}
			after = rest[next:]
		}
		end := strings.LastIndexByte(rest[:next], '\'')
		if end <= i+len(words) {
			return reason, "" // no closing quotation mark: not this form
		}
		entry := rest[:end+1]
		if _, at := looseHost(entry[:i]); at != "" {
			ip = at
		}
		switch reply := rest[i+len(words) : end]; {
		case said == "":
			kept, said = append(kept, entry), reply
		case !strings.Contains(said, reply):
			kept = append(kept[:1], entry)
		}
		rest = after
	}
	return strings.Join(kept, "\n"), ip
}
