package trace

import (
	"strings"
	"time"

	"github.com/postroad/postroad/event"
	"github.com/postroad/postroad/mail"
)

// interpreter turns rows into events.
type interpreter struct {
	o      Options
	queue  *queue
	known  *memory[known]
	c      *columns
	format string
	zone   *time.Location
	lists  []string // used again
	texts  []string
}

func newInterpreter(o Options, visit func(*event.Event) error) *interpreter {
	in := &interpreter{o: o, known: newMemory[known](remembered), zone: o.Zone}
	in.queue = newQueue(o, in.known, visit)
	return in
}

func (in *interpreter) skip(line int64, why event.Skip) { in.o.skip(line, why) }

func (in *interpreter) end() error { return in.queue.flush(0) }

// columns notes what the rows that follow have, and in which zone they are.
func (in *interpreter) columns(c *columns) error {
	f := c.format()
	in.c = c
	if f == in.format && c.json {
		return nil
	}
	in.format = f
	in.zone = in.o.Zone
	zone, named := offsetZone(c.zone)
	switch {
	case named:
		in.zone = zone
	case c.dateUTC, c.raw, c.json && f != FormatTracking:
		in.zone = time.UTC
	case f != FormatTracking && c.has[colNetworkID] && c.lang == "" && c.sep != ';':
		in.zone = time.UTC // the cmdlets of the service give UTC whatever was asked for
	}
	if c.lang != "" && c.lang != "en" || c.sep == ';' {
		in.queue.european = true
	}
	return nil
}

// known is what one row says of a message and the others leave out.
type known struct {
	sender, messageID string
	client, clientIP  string
	received          stamp
	inbound, outbound bool
	networkID         string
}

// row makes the events of one row.
func (in *interpreter) row(r *row) error {
	if in.format == "" {
		return nil
	}
	st, ok := parseStamp(r.get(colDate), in.zone, &in.queue.order)
	if !ok || r.open == colDate {
		if r.open == noCol || r.open == colDate && !ok {
			in.skip(r.line, event.SkipStamp)
		} else {
			in.skip(r.line, event.SkipCut)
		}
		return nil
	}
	switch r.open {
	case colSender, colRecipient, colRecipientStatus, colMessageID, colNetworkID, colStatus, colEvent, colInternalID:
		in.skip(r.line, event.SkipCut)
		return nil
	}
	if in.format == FormatSummary {
		return in.summary(r, st)
	}
	return in.step(r, st)
}

// message fills in what identifies the message of a row, and gives the key
// under which other rows of it are found.
func (in *interpreter) message(r *row, a *event.Attempt) (key string) {
	a.MessageID = strings.Trim(r.get(colMessageID), "<> ")
	a.NetworkID = networkID(first(r.get(colNetworkID), r.get(colIdentity)))
	a.Sender = sender(r.get(colSender))
	if p := sender(r.get(colReturn)); p != "" {
		a.Sender = p // the envelope's
	}
	internal := r.get(colInternalID)
	if in.format == FormatTracking && internal != "0" {
		a.QueueID = internal
	}
	return first(a.NetworkID, a.MessageID, internal)
}

// networkID gives a network message id in its form with dashes: reports have it
// without, cmdlets with.
func networkID(s string) string {
	s = strings.ToLower(strings.Trim(s, "{}<> "))
	if strings.Trim(s, "0-") == "" {
		return ""
	}
	if len(s) == 32 && strings.Trim(s, "0123456789abcdef") == "" {
		return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
	}
	return s
}

// sender gives an envelope sender, "" for the null sender.
func sender(s string) string {
	s = strings.Trim(s, "<>{} ")
	if strings.IndexByte(s, '@') <= 0 || strings.ContainsAny(s, " ;") {
		return ""
	}
	return s
}

// recipients divides a cell with addresses. more is false if the list was cut by
// PowerShell, which prints four.
func recipients(into []string, s string) (out []string, whole bool) {
	out, whole = into[:0], true
	s = strings.TrimSpace(s)
	if strings.HasPrefix(s, "{") && strings.HasSuffix(s, "}") {
		s = s[1 : len(s)-1]
	}
	for len(out) < maxRcpts && s != "" {
		i := strings.IndexAny(s, ";,| \r\n\t")
		one := s
		if i >= 0 {
			one, s = s[:i], s[i+1:]
		} else {
			s = ""
		}
		if cut := strings.TrimSuffix(strings.TrimSuffix(one, "..."), "…"); cut != one {
			one, whole = cut, false
		}
		one = strings.Trim(one, "<>\"'")
		if one = strings.TrimPrefix(one, "SMTP:"); addressLike(one) {
			out = append(out, one)
		}
	}
	return out, whole
}

// addressLike reports whether s can be a mail address, as Exchange writes it.
func addressLike(s string) bool {
	i := strings.LastIndexByte(s, '@')
	if i <= 0 || i == len(s)-1 || len(s) > 320 {
		return false
	}
	for j := 0; j < len(s); j++ {
		if s[j] <= ' ' || s[j] == 0x7f || j > i && strings.IndexByte(`"'()<>[]{}#:;,\/`, s[j]) >= 0 && s[i+1] != '[' {
			return false
		}
	}
	return true
}

// statuses divides the recipient statuses of a row among n recipients. They are
// texts with semicolons and commas of their own, so only those outside of
// brackets count; a text for all is given to all.
func statuses(into []string, s string, n int) []string {
	out := into[:0]
	if strings.HasPrefix(s, "{") && strings.HasSuffix(s, "}") && !strings.HasPrefix(s, "{L") && !strings.HasPrefix(s, "{M") {
		s = s[1 : len(s)-1]
	}
	if n <= 1 {
		return append(out, strings.TrimSpace(s))
	}
	for _, sep := range [...]byte{';', ',', '|', '\n'} {
		out = divide(out[:0], s, sep)
		if len(out) == n {
			return out
		}
	}
	for out = out[:0]; len(out) < n; {
		out = append(out, strings.TrimSpace(s))
	}
	return out
}

func divide(out []string, s string, sep byte) []string {
	depth, from := 0, 0
	s = strings.TrimRight(s, "; ")
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '[', '{':
			depth++
		case ']', '}':
			depth = max(0, depth-1)
		case sep:
			if depth == 0 && beginsStatus(s[i+1:]) {
				out = append(out, strings.TrimSpace(s[from:i]))
				from = i + 1
			}
		}
	}
	return append(out, strings.TrimSpace(s[from:]))
}

// beginsStatus reports whether s begins as recipient statuses do: with a bracket
// or a code.
func beginsStatus(s string) bool {
	s = strings.TrimLeft(s, " ")
	if s == "" || s[0] == '[' || s[0] == '{' {
		return true
	}
	_, _, ok := mail.ParseCode(s)
	return ok
}

// direction reads the directionality of a row.
func direction(s string) (inbound, outbound bool) {
	switch canonical(s) {
	case "1", "inbound", "incoming", "entrant", "inbinario", "entrante", "eingehend", "inarrivo", "entrada", "recebidas", "received":
		return true, false
	case "2", "outbound", "originating", "sortant", "saliente", "ausgehend", "inuscita", "saida", "salida", "sent":
		return false, true
	}
	return false, false
}

// RouteInbound is the route of an attempt that did not leave the organisation:
// to a mailbox, a group or the filter of the tenant itself.
const RouteInbound = "inbound"

// summary makes the events of a row that says what became of a message.
func (in *interpreter) summary(r *row, st stamp) error {
	var a event.Attempt
	key := in.message(r, &a)
	in.sides(r, &a)
	inbound, outbound := direction(r.get(colDirection))
	if c := r.get(colConnector); c != "" {
		a.Route = c
	}
	made := 0
	one := func(recipient, status string) error {
		if !addressLike(recipient) {
			return nil
		}
		b := a
		b.Recipient = recipient
		ok, local := concluded(&b, status, in.c)
		if !ok {
			if statusOf(status) != "" {
				made++ // nothing is known yet: that is no fact
			}
			return nil
		}
		if inbound && !outbound || local {
			b.Route = RouteInbound
		}
		made++
		return in.queue.add(&event.Event{Body: &b, Origin: event.Origin{Format: in.format, Grade: event.GradeSummary}}, r, made, pending{
			stamp: st, key: key, toIP: in.c.has[colToIP] && !outbound && !inbound, noTo: len(r.cell[colToIP]) == 0 && len(r.cell[colFromIP]) > 0,
		})
	}
	err := in.eachStatus(r, one)
	if made == 0 && err == nil {
		in.skip(r.line, event.SkipBroken)
	}
	return err
}

// sides fills in the hosts that a summary names.
func (in *interpreter) sides(r *row, a *event.Attempt) {
	a.ClientIP, _ = address(first(r.get(colOriginalClientIP), r.get(colFromIP), r.get(colClientIP)))
	a.RemoteIP, _ = address(r.get(colToIP))
	if v := r.get(colTLS); v != "" {
		a.TLS = &event.TLS{Version: strings.TrimPrefix(strings.TrimPrefix(v, "TLS"), "v"), Cipher: r.get(colCipher)}
	}
}

// eachStatus visits the recipients of a summary row with their statuses:
// "a@example.com##Receive, Send;b@example.com##Receive, Fail", or one in a column
// of its own.
func (in *interpreter) eachStatus(r *row, one func(recipient, status string) error) error {
	all := r.get(colRecipientStatus)
	if !strings.Contains(all, "##") {
		status := first(r.get(colStatus), all)
		list, whole := recipients(in.lists, r.get(colRecipient))
		in.lists = list
		if !whole {
			in.skip(r.line, event.SkipCut)
		}
		for _, recipient := range list {
			if err := one(recipient, status); err != nil {
				return err
			}
		}
		return nil
	}
	for n := 0; all != "" && n < maxRcpts; n++ {
		part := all
		if i := strings.Index(all, "##"); i >= 0 {
			if j := strings.IndexByte(all[i:], ';'); j >= 0 {
				part, all = all[:i+j], all[i+j+1:]
			} else {
				all = ""
			}
		} else {
			all = ""
		}
		recipient, status, _ := strings.Cut(part, "##")
		if err := one(strings.Trim(recipient, " <>"), status); err != nil {
			return err
		}
	}
	return nil
}

// concluded sets what a status means. ok is false where it says nothing; local
// where the organisation itself did it.
func concluded(a *event.Attempt, status string, c *columns) (ok, local bool) {
	meaning := statusOf(status)
	if status == "" && c.has[colConnector] && !c.has[colStatus] && !c.has[colRecipientStatus] {
		meaning = "delivered" // a connector report lists what went through
	}
	switch meaning {
	case "delivered":
		a.Outcome, a.Final = mail.Delivered, true
		last := status[strings.LastIndexAny(status, ",/")+1:]
		local = eventOf(strings.TrimSpace(last)) == "deliver" && !isDone(last) && c.has[colRecipientStatus]
	case "failed":
		a.Outcome, a.Final = mail.Permanent, true
	case "pending":
		a.Outcome = mail.Temporary
	case "filtered", "quarantined":
		a.Outcome, a.Final, local = mail.Permanent, true, true
	case "expanded":
		a.Outcome, a.Final, local = mail.Delivered, true, true
	default:
		return false, false
	}
	return true, local
}

// isDone says that a word is the status of a message, which does not tell whether it left, and
// not the step "deliver", which is to a mailbox of one's own. Some languages have one word
// for both.
func isDone(s string) bool {
	switch canonical(s) {
	case "delivered", "remis", "recapitato", "entregue", "entregado", "zugestellt":
		return true
	}
	return false
}

// remember adds to what is known of a message.
func (in *interpreter) remember(key string, add func(*known)) {
	if key == "" {
		return
	}
	k, _ := in.known.get(key)
	if k == nil {
		k = &known{}
	}
	add(k)
	in.known.put(key, k)
}
