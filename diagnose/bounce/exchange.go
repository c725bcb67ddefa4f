package bounce

import (
	"slices"
	"strings"

	"github.com/postroad/postroad/event"
	"github.com/postroad/postroad/mail"
)

// valueAt gives what stands behind a label that ends at index at of line i: the
// rest of the line, or, where a table was copied cell by cell, the next line.
func (n *notice) valueAt(i, at int) string {
	v := strings.TrimSpace(n.text[at:max(at, n.lines[i].to)])
	for j := i + 1; v == "" && j < len(n.lines) && j <= i+2; j++ {
		v = strings.TrimSpace(n.text[n.lines[j].from:n.lines[j].to])
	}
	return v
}

// bareLabel tells a line that is nothing but the label of a cell, in whatever
// language, from a sentence that introduces a quotation ("Remote host said:").
func bareLabel(low string) bool {
	words, ok := strings.CutSuffix(low, ":")
	if !ok || len(words) > 40 || countWords(words) > 3 || strings.HasSuffix(words, " said") || strings.HasSuffix(words, " was") {
		return false
	}
	return !strings.ContainsAny(words, ".@[](){}<>=;:,\"0123456789")
}

// statusCells are the labels of the code that Exchange Online's notices have
// under "More Info for Email Admins".
var statusCells = [...]string{"status code", "code d'état", "codice di stato", "código de status", "código de estado", "statuscode", "statuskod"}

// statusCell gives the enhanced code of Exchange Online's "Status code: 550
// 5.4.300": the report's own status, where it has no delivery-status part.
func (n *notice) statusCell() string {
	for i, l := range n.lines {
		j := strings.IndexByte(n.low[l.first:l.to], ':')
		if j < 6 || j > 24 || !slices.Contains(statusCells[:], strings.TrimSpace(n.low[l.first:l.first+j])) {
			continue
		}
		v := n.valueAt(i, l.first+j+1)
		if _, rest, ok := mail.ParseCode(v); ok {
			v = rest
		}
		if e, rest, ok := mail.ParseEnhanced(v); ok && strings.TrimSpace(rest) == "" {
			return e.String()
		}
	}
	return ""
}

// refusingHost gives the host that a label names as the one that refused:
// "Receiving server: mx.example.com (192.0.2.1)", "Message rejected by: ...".
func (n *notice) refusingHost() (host, ip string) {
	for i, l := range n.lines {
		c, at := n.labelAt(l.first, l.to)
		if c != clsHost {
			continue
		}
		v := n.valueAt(i, at)
		name, rest, _ := strings.Cut(v, " ")
		if host = hostName(name); !strings.Contains(host, ".") || frontEnd(host) {
			continue
		}
		return host, address(strings.Trim(rest, "()[] "))
	}
	return "", ""
}

// frontEnd tells a host of the sender's side of Exchange Online, which writes
// the notice, from one that receives.
func frontEnd(host string) bool { return strings.HasSuffix(host, ".prod.outlook.com") }

// fromExchange adds what only the words of Exchange's own notice tell where its
// delivery status leaves it out: the host that refused, and the outer reply of
// which the Diagnostic-Code has the inner one.
func (d *draft) fromExchange(b *event.Bounce, words func() []found) {
	if b.Reply.Code/100 == 4 && strings.HasPrefix(b.Status, "5") {
		if full := chainAround(d.notification(), b.Diagnostic); full != "" {
			status, host, ip := b.Status, b.RemoteHost, b.RemoteIP
			b.Reply = event.Reply{}
			speak(b, full)
			b.Status, b.Spoke = status, true
			if host != "" || ip != "" {
				b.RemoteHost, b.RemoteIP = host, ip
			}
		}
	}
	if b.RemoteHost != "" || !d.env.h.Has("X-MS-Exchange-Message-Is-Ndr") {
		return
	}
	for _, x := range words() {
		if addressKey(x.address) != addressKey(b.Recipient) {
			continue
		}
		var said event.Bounce
		speak(&said, x.reason)
		if x.host != "" {
			said.RemoteHost = x.host
		}
		if said.RemoteHost != "" && !frontEnd(said.RemoteHost) {
			b.RemoteHost = said.RemoteHost
			if b.RemoteIP == "" {
				b.RemoteIP = said.RemoteIP
			}
			return
		}
	}
	if len(words()) <= 1 {
		b.RemoteHost, b.RemoteIP = d.notice().refusingHost()
	}
}

// chainAround finds the reply in which inner stands behind an arrow: "550
// 5.4.300 Message expired -> 421 4.4.2 ...".
func chainAround(text, inner string) string {
	if inner == "" || strings.Contains(inner, "\n") {
		return ""
	}
	i := strings.Index(text, "-> "+inner)
	if i < 0 {
		return ""
	}
	from := strings.LastIndexByte(text[:i], '\n') + 1
	at, ok := codeIn(text[from:i])
	if !ok {
		return ""
	}
	return text[from+at : i+len("-> ")+len(inner)]
}
