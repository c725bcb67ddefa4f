package trace

import (
	"encoding/xml"
	"net/netip"
	"strings"

	"github.com/postroad/postroad/event"
	"github.com/postroad/postroad/mail"
)

// step makes the events of a row that tells of one step of a message.
func (in *interpreter) step(r *row, st stamp) error {
	var a event.Attempt
	key := in.message(r, &a)
	what := eventOf(r.get(colEvent))
	inbound, outbound := direction(r.get(colDirection))
	switch what {
	case "receive":
		in.received(r, &a, key, st, inbound, outbound)
		return nil
	case "send", "deliver", "fail", "defer", "expand":
	case "other":
		in.remember(key, func(k *known) { k.sender = first(k.sender, a.Sender) })
		return nil
	default:
		in.skip(r.line, event.SkipUnknown)
		return nil
	}
	d := properties(r.get(colData))
	in.hosts(r, &a, what)
	if what == "send" && in.hop(r, &a) {
		return nil // from one server of the organisation to the next
	}
	list, whole := recipients(in.lists, first(r.get(colRecipient), d["RecipientReference"]))
	in.lists = list
	if !whole {
		in.skip(r.line, event.SkipCut)
	}
	if len(list) == 0 {
		if r.cell[colRecipient] != nil && in.c.has[colRecipient] || key == "" {
			in.skip(r.line, event.SkipBroken)
			return nil
		}
		list = append(list, "") // Get-MessageTraceDetail and Graph are asked for one recipient and do not repeat it
	}
	status := first(r.get(colRecipientStatus), d["RecipientStatus"])
	in.texts = statuses(in.texts, status, len(list))
	origin := event.Origin{Format: in.format, Grade: event.GradeDetail}
	if in.format == FormatTracking {
		origin.Grade, origin.Host = event.GradeLog, a.SourceHost
	}
	local := what == "deliver" || what == "expand" || strings.EqualFold(r.get(colSource), "STOREDRIVER")
	for i, recipient := range list {
		b := a
		b.Recipient = recipient
		in.outcome(r, &b, what, in.texts[i], d)
		route := local || nobodyAsked(&b) || inbound && what != "send" && b.RemoteHost == "" && b.RemoteIP == ""
		switch {
		case route:
			b.Route = RouteInbound
		case r.cell[colConnector] != nil:
			b.Route = r.get(colConnector)
		}
		if err := in.queue.add(&event.Event{Body: &b, Origin: origin}, r, i, pending{
			stamp: st, key: key, join: true, mailbox: what == "deliver", text: what == "fail" || what == "defer",
		}); err != nil {
			return err
		}
	}
	return nil
}

// nobodyAsked reports whether the organisation's own directory refused the
// recipient: no other host was concerned.
func nobodyAsked(a *event.Attempt) bool {
	return a.RemoteHost == "" && a.RemoteIP == "" && len(a.Reply.Lines) > 0 && strings.Contains(a.Reply.Lines[0], "RESOLVER.")
}

// received notes what only the row of the reception says.
func (in *interpreter) received(r *row, a *event.Attempt, key string, st stamp, inbound, outbound bool) {
	client, ip := hostOrName(r.get(colClientHost)), ""
	for _, c := range [...]col{colOriginalClientIP, colClientIP} {
		if ip == "" {
			ip, _ = address(r.get(c))
		}
	}
	in.remember(key, func(k *known) {
		k.sender = first(k.sender, a.Sender)
		k.messageID, k.networkID = first(k.messageID, a.MessageID), first(k.networkID, a.NetworkID)
		k.client, k.clientIP = first(k.client, client), first(k.clientIP, ip)
		if k.received == (stamp{}) || st.time(false).Before(k.received.time(false)) {
			k.received = st
		}
		k.inbound, k.outbound = k.inbound || inbound, k.outbound || outbound
	})
}

// hostOrName gives a host name in lower case, also one without a domain.
func hostOrName(s string) string {
	if s == "" || len(s) > 253 || strings.ContainsAny(s, " ;,=") {
		return ""
	}
	return mail.NormalDomain(s)
}

// hosts fills in the hosts of a step: in a SEND the client is the server that
// sends and the server is the one that it sends to; else they are our own.
func (in *interpreter) hosts(r *row, a *event.Attempt, what string) {
	clientHost, serverHost := hostOrName(r.get(colClientHost)), hostOrName(r.get(colServerHost))
	clientIP, _ := address(r.get(colClientIP))
	serverIP, _ := address(r.get(colServerIP))
	if what == "send" {
		a.SourceHost, a.SourceIP = clientHost, clientIP
		a.RemoteHost, a.RemoteIP = serverHost, serverIP
		return
	}
	a.SourceHost = first(serverHost, clientHost)
	if what == "fail" || what == "defer" {
		a.SourceHost = first(clientHost, serverHost)
		if clientHost != "" && serverHost != "" && clientHost != serverHost && strings.Contains(serverHost, ".") &&
			strings.EqualFold(r.get(colSource), "SMTP") && !isFrontEnd(serverHost) {
			a.RemoteHost, a.RemoteIP = serverHost, serverIP
		}
	}
	if ip, _ := address(r.get(colOriginalServerIP)); ip != "" && public(ip) && ip != a.RemoteIP {
		a.SourceIP = ip
	}
}

func public(ip string) bool {
	a, err := netip.ParseAddr(ip)
	return err == nil && a.IsGlobalUnicast() && !a.IsPrivate()
}

// hop reports whether a SEND is only one to the next server of Exchange.
func (in *interpreter) hop(r *row, a *event.Attempt) bool {
	if isFrontEnd(a.RemoteHost) {
		return true
	}
	c := canonical(r.get(colConnector))
	return strings.HasPrefix(c, "intraorganization") || strings.Contains(c, "hubtransport")
}

// outcome sets what became of the attempt, with the text that tells.
func (in *interpreter) outcome(r *row, a *event.Attempt, what, status string, d map[string]string) {
	detail := r.get(colDetail)
	switch what {
	case "send":
		a.Outcome, a.Final = mail.Delivered, true
		for _, s := range [...]string{r.get(colContext), status, detail} {
			if reply := delivered(s); reply != "" {
				fillDelivery(a, reply)
				break
			}
		}
		sentTo(a, detail)
	case "deliver", "expand":
		a.Outcome, a.Final = mail.Delivered, true
	case "fail", "defer":
		a.Outcome, a.Final = mail.Permanent, true
		if what == "defer" {
			a.Outcome, a.Final = mail.Temporary, false
		}
		text := ""
		for _, s := range [...]string{status, detail, d["RecipientStatus"], d["SourceContext"], r.get(colContext)} {
			if telling(s) {
				text = s
				break
			}
		}
		host, ip := a.RemoteHost, a.RemoteIP
		fill(a, first(text, detail))
		if a.RemoteHost == a.SourceHost && host == "" {
			a.SourceHost = ""
		}
		if a.RemoteHost == "" && a.RemoteIP == "" {
			a.RemoteHost, a.RemoteIP = host, ip
		}
	}
}

// telling reports whether a text says why: recipient statuses may be just "To",
// contexts a list of ids.
func telling(s string) bool {
	if low := lower(s); strings.Contains(low, "{led=") || strings.Contains(low, "{msg=") {
		return true
	}
	for i := 0; i+4 <= len(s); i++ {
		if (s[i] == '4' || s[i] == '5') && (i == 0 || s[i-1] == ' ' || s[i-1] == '[' || s[i-1] == '=' || s[i-1] == ';' || s[i-1] == '\'' || s[i-1] == '"') {
			if _, _, ok := mail.ParseCode(s[i:]); ok {
				return true
			}
			if _, _, ok := mail.ParseEnhanced(s[i:]); ok {
				return true
			}
		}
	}
	return false
}

// fillDelivery sets the reply to a delivery.
func fillDelivery(a *event.Attempt, reply string) {
	if len(reply) > maxText {
		reply = strings.ToValidUTF8(reply[:maxText], "")
	}
	p := mail.ParseReply(reply)
	a.Reply = event.Reply{Code: p.Code, Enhanced: p.Enhanced.String(), Lines: []string{reply}}
	a.Spoke = true
}

// sentTo reads "Message sent to mx.example.com at 192.0.2.1 using TLS1.2 with
// AES256": in every language the host, the address and the version stand in this
// order, each alone between blanks.
func sentTo(a *event.Attempt, s string) {
	if len(s) > 2000 {
		return
	}
	for word := range strings.FieldsSeq(s) {
		word = strings.Trim(word, ".,;:()[]'\"«»")
		if v, ok := strings.CutPrefix(word, "TLS"); ok && a.TLS == nil && v != "" {
			if v = strings.Trim(v, "v_"); v != "" && v[0] == '1' {
				a.TLS = &event.TLS{Version: strings.ReplaceAll(v, "_", ".")}
			}
			continue
		}
		if a.TLS != nil && a.TLS.Cipher == "" && strings.HasPrefix(word, "AES") {
			a.TLS.Cipher = word
		}
		if ip, _ := address(word); ip != "" {
			a.RemoteIP = first(a.RemoteIP, ip)
		} else if h := hostName(word); h != "" && a.RemoteHost == "" && strings.ContainsAny(h, "abcdefghijklmnopqrstuvwxyz") && !strings.Contains(word, "@") && a.RemoteIP == "" && !strings.HasPrefix(h, "2.") {
			a.RemoteHost = h
		}
	}
}

// properties reads the XML of a detail's Data: <root><MEP Name="RecipientStatus"
// String="..."/>...</root>. What was cut is read as far as it goes.
func properties(s string) map[string]string {
	if !strings.Contains(s, "<MEP") {
		return nil
	}
	d := make(map[string]string)
	x := xml.NewDecoder(strings.NewReader(s))
	x.Strict = false
	for n := 0; n < 1000; n++ {
		token, err := x.Token()
		if err != nil {
			break
		}
		e, ok := token.(xml.StartElement)
		if !ok || e.Name.Local != "MEP" {
			continue
		}
		name, value := "", ""
		for _, at := range e.Attr {
			if at.Name.Local == "Name" {
				name = at.Value
			} else {
				value = at.Value
			}
		}
		d[name] = value
	}
	return d
}
