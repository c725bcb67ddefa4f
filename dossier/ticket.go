package dossier

import (
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/postroad/postroad/explain"
	"github.com/postroad/postroad/lang"
	"github.com/postroad/postroad/mail"
)

// Options say how a ticket is written.
type Options struct {
	Texts    *lang.Catalogue
	Zone     *time.Location // of all times; nil = UTC
	Full     bool           // mail addresses with their local parts
	To       To             // "" = as Addressee says
	Reseller bool           // the own provider's service was bought through the one who reads the ticket
}

const (
	width      = 78 // columns, so that a quoting reply does not break the lines
	maxSamples = 5
	maxTallies = 12
	maxNames   = 8 // domains or addresses in a sentence
)

// Ticket writes the support request about a case: the request, the impact in
// numbers, the timeline with zone, the servers, what was excluded, at most five
// samples, the state of SPF, DKIM and DMARC, and what is asked. Replies stand
// as they came, each on lines of its own that are not wrapped.
func Ticket(c Case, o Options) (subject, body string) {
	if o.To == "" {
		o.To, _ = Addressee(&c)
	}
	t := &ticket{Case: c, o: o, t: o.Texts}
	return t.subject(), t.body()
}

type ticket struct {
	Case
	o Options
	t *lang.Catalogue
	b strings.Builder
}

func (t *ticket) text(key string, args lang.Args) string { return t.t.Text(key, args) }

// stamp writes a time so that it cannot be misread; "" for the zero time.
func (t *ticket) stamp(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	if t.o.Zone == nil {
		return explain.Stamp(at.UTC())
	}
	return explain.Stamp(at.In(t.o.Zone))
}

func (t *ticket) minute(at time.Time) string {
	s := t.stamp(at)
	if len(s) < 19 {
		return s
	}
	return s[:16] + s[19:] // without the seconds
}

// symptom is what is seen, in a few words.
func (t *ticket) symptom() string {
	if t.Class.Valid() {
		return t.text("ticket.symptom."+string(t.Class), nil)
	}
	return t.text("ticket.symptom.unknown", nil)
}

// maxSubject is the longest reply in a subject, in bytes.
const maxSubject = 70

func (t *ticket) subject() string {
	args := lang.Args{"Provider": t.Provider, "Symptom": t.symptom(), "Began": t.minute(t.Began), "Ended": t.minute(t.Ended)}
	key := "ticket.subject"
	if !t.Ended.IsZero() {
		key += ".over"
	}
	s := t.text(key, args)
	if r := t.hide(t.said(), ""); r != "" {
		s += " (" + explain.Shorten(r, maxSubject) + ")"
	}
	return explain.Clean(s)
}

// said is the first reply that is known.
func (t *ticket) said() string {
	for _, s := range t.Samples {
		if s.Reply != "" {
			return s.Reply
		}
	}
	return ""
}

// hide takes local parts out of a reply, unless all is asked for.
func (t *ticket) hide(reply, recipient string) string {
	if t.o.Full {
		return reply
	}
	return MaskReply(reply, recipient)
}

func (t *ticket) body() string {
	t.para(t.text("ticket.greeting", nil))
	t.b.WriteString("\n")
	t.request()
	t.asks()
	t.impact()
	t.timeline()
	t.servers()
	t.excluded()
	t.samples()
	t.identity()
	t.path()
	t.b.WriteString("\n")
	t.para(t.text("ticket.closing", nil))
	return t.b.String()
}

func (t *ticket) request() {
	args := lang.Args{
		"Provider": t.Provider, "Symptom": t.symptom(), "Began": t.stamp(t.Began), "Ended": t.stamp(t.Ended),
		"Platform": t.Platform,
	}
	if t.Platform == "" {
		args["Platform"] = t.text("ticket.platform.anon", nil)
	}
	key := "ticket.request." + string(t.o.To)
	if !t.Ended.IsZero() {
		key = "ticket.request.over"
	}
	t.para(t.text(key, args))
	if t.o.Reseller && t.o.To == Own {
		t.para(t.text("ticket.reseller", nil))
	}
}

// impact says how much of the mail it is about.
func (t *ticket) impact() {
	t.title(t.text("ticket.title.impact", nil))
	if t.Rate != nil && t.Messages > 0 {
		t.item(t.t.Count("many.messages", int(t.Messages), lang.Args{
			"Failed": t.t.Number(int(t.FailedMessages)), "Share": t.t.Percent(float64(t.FailedMessages) / float64(t.Messages)),
		}))
		args := lang.Args{"Failed": t.t.Number(int(t.Failures)), "Share": t.t.Percent(*t.Rate)}
		key := "many.attempts"
		if t.Baseline != nil {
			key, args["Before"] = "many.attempts.before", t.t.Percent(*t.Baseline)
		}
		if t.Attempts != t.Messages || t.Failures != t.FailedMessages || t.Baseline != nil {
			t.item(t.t.Count(key, int(t.Attempts), args))
		}
	} else {
		t.item(t.t.Count("many.counted", int(t.FailedMessages), nil))
		t.item(t.text("ticket.impact.no-rate", nil))
	}
	if t.Waiting > 0 {
		t.item(t.t.Count("many.waiting", int(t.Waiting), nil))
	}
	if a := t.After; a != nil && a.Messages > 0 && !t.Ended.IsZero() {
		t.item(t.t.Count("ticket.impact.after", int(a.Messages), lang.Args{
			"Delivered": t.t.Number(int(a.Delivered)), "Share": t.t.Percent(float64(a.Delivered) / float64(a.Messages)),
		}))
	}
	t.itemOf("ticket.impact.domains", lang.Args{"Domains": t.list(t.Domains, t.MoreDomains)})
	t.itemOf("ticket.impact.senders", lang.Args{"Domains": t.list(t.Senders, 0)})
	t.itemOf("ticket.impact.several", lang.Args{"List": t.list(t.Several, 0)})
}

func (t *ticket) timeline() {
	t.title(t.text("ticket.title.timeline", nil))
	last := "ticket.time.lasts"
	rows := [][2]string{{"ticket.time.began", t.stamp(t.Began)}, {"ticket.time.certain", t.stamp(t.Detected)}}
	for _, s := range t.Relapses {
		rows = append(rows, [2]string{"ticket.time.again", t.stamp(s.Began)}, [2]string{"ticket.time.again.ended", t.stamp(s.Ended)})
	}
	if !t.Ended.IsZero() {
		last = "ticket.time.last"
		if n := len(t.Relapses); n == 0 || !t.Relapses[n-1].Ended.Equal(t.Ended) {
			rows = append(rows, [2]string{"ticket.time.ended", t.stamp(t.Ended)})
		}
	}
	t.rows(append(rows, [2]string{last, t.stamp(t.Until)}), "  ")
}

// servers lists what each address did, theirs and ours.
func (t *ticket) servers() {
	if t.Stage == mail.StageUnknown && len(t.Addresses) == 0 && len(t.Sources) == 0 {
		return
	}
	t.title(t.text("ticket.title.where", nil))
	if t.Stage != mail.StageUnknown {
		t.hang("  ", t.text("ticket.where.stage", lang.Args{"Stage": t.text("stage."+string(t.Stage), nil)}))
	}
	t.tallies("ticket.where.theirs", t.Addresses)
	t.tallies("ticket.where.ours", t.Sources)
}

func (t *ticket) tallies(key string, list []Tally) {
	if len(list) == 0 {
		return
	}
	t.hang("  ", t.text(key, nil))
	form := "ticket.where.tally"
	if t.Rate == nil {
		form = "ticket.where.failed"
	}
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b Tally) int { // the worst first
		return cmpShare(b, a)
	})
	for _, a := range list[:min(len(list), maxTallies)] {
		t.item(t.text(form, lang.Args{
			"Address": server(a.Host, a.Address), "Delivered": t.t.Number(int(a.Delivered)), "Failed": t.t.Number(int(a.Failed)),
		}))
	}
	if n := len(list) - maxTallies; n > 0 {
		t.item(t.t.Count("table.more-rows", n, nil))
	}
}

// cmpShare compares the shares of failures without dividing.
func cmpShare(a, b Tally) int {
	x, y := a.Failed*(b.Failed+b.Delivered), b.Failed*(a.Failed+a.Delivered)
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}

// server names a server by address and host, as far as they are known.
func server(host, address string) string {
	switch {
	case address == "":
		return host
	case host == "" || host == address:
		return address
	}
	return address + " (" + host + ")"
}

func (t *ticket) excluded() {
	if len(t.Excluded) == 0 {
		return
	}
	t.title(t.text("ticket.title.excluded", nil))
	for _, s := range t.Excluded {
		t.item(s)
	}
}

// samples prints what support looks messages up by.
func (t *ticket) samples() {
	list := t.Samples[:min(len(t.Samples), maxSamples)]
	if len(list) == 0 {
		return
	}
	t.title(t.t.Count("ticket.title.samples", len(list), nil))
	for i, s := range list {
		id, recipient := s.MessageID, s.Recipient
		if !t.o.Full {
			id, recipient = MaskID(id, recipient), Mask(recipient)
		}
		first := "  " + strconv.Itoa(i+1) + ". "
		t.rows([][2]string{
			{"ticket.sample.time", t.stamp(s.Time)},
			{"ticket.sample.message", id},
			{"ticket.sample.queue", s.QueueID},
			{"ticket.sample.sender", s.SenderDomain},
			{"ticket.sample.recipient", recipient},
			{"ticket.sample.theirs", server(s.Host, s.Address)},
			{"ticket.sample.ours", server(s.SourceHost, s.Source)},
			{"ticket.sample.evidence", strings.Join(s.Evidence, ", ")},
		}, first)
		if s.Reply == "" {
			continue
		}
		indent := strings.Repeat(" ", len(first))
		t.b.WriteString(indent + t.text("ticket.sample.reply", nil) + "\n")
		for _, line := range strings.Split(t.hide(s.Reply, s.Recipient), "\n") {
			if line = strings.TrimSpace(line); line != "" {
				t.b.WriteString(indent + "  " + explain.Clean(line) + "\n")
			}
		}
	}
}

func (t *ticket) identity() {
	t.title(t.text("ticket.title.identity", nil))
	state := func(c Check) string {
		s := "ticket.check.unknown"
		if c.State != NotExamined {
			s = "ticket.check." + string(c.State)
		}
		if c.Since.IsZero() {
			return t.text(s, nil)
		}
		return t.text("ticket.check.since", lang.Args{"State": t.text(s, nil), "Since": t.stamp(c.Since)})
	}
	for _, c := range []struct {
		name  string
		check Check
	}{{"SPF", t.SPF}, {"DKIM", t.DKIM}, {"DMARC", t.DMARC}} {
		t.hang("  "+pad(c.name, 5)+"  ", state(c.check))
	}
}

func (t *ticket) path() {
	if len(t.Gateways) == 0 && len(t.Attachments) == 0 {
		return
	}
	t.title(t.text("ticket.title.path", nil))
	t.itemOf("ticket.path.gateways", lang.Args{"List": t.list(t.Gateways, 0)})
	for _, a := range t.Attachments {
		t.item(t.text("ticket.path.attachment", lang.Args{"Name": a.Name, "SHA256": a.SHA256}))
	}
}

// list names at most maxNames and counts the rest.
func (t *ticket) list(names []string, more int) string {
	if n := len(names) - maxNames; n > 0 {
		names, more = names[:maxNames], more+n
	}
	if more > 0 {
		return strings.Join(names, ", ") + " " + t.t.Count("table.more-rows", more, nil)
	}
	return t.t.List(names)
}

// Lines.

func (t *ticket) para(s string) { t.hang("", s) }

func (t *ticket) hang(prefix, s string) {
	t.b.WriteString(explain.Wrap(prefix, explain.Clean(s), width) + "\n")
}

func (t *ticket) title(s string) { t.b.WriteString("\n" + s + "\n") }

func (t *ticket) item(s string) { t.hang("  - ", s) }

// itemOf is an item that is left out when a value is missing.
func (t *ticket) itemOf(key string, args lang.Args) {
	if t.complete(key, args) {
		t.item(t.text(key, args))
	}
}

// complete reports whether all placeholders of a text have a value.
func (t *ticket) complete(key string, args lang.Args) bool {
	for name, value := range args {
		if value == "" && t.t.Needs(key, name) {
			return false
		}
	}
	return true
}

// rows prints labels, by their keys, and values; what has no value is left out.
// first stands before the first line.
func (t *ticket) rows(rows [][2]string, first string) {
	wide := 0
	for i := range rows {
		rows[i][0] = t.text(rows[i][0], nil)
		if rows[i][1] != "" {
			wide = max(wide, utf8.RuneCountInString(rows[i][0]))
		}
	}
	for _, r := range rows {
		if r[1] != "" {
			t.hang(first+pad(r[0], wide)+"  ", r[1])
			first = strings.Repeat(" ", len(first))
		}
	}
}

func pad(s string, n int) string {
	return s + strings.Repeat(" ", max(0, n-utf8.RuneCountInString(s)))
}
