package analyze

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postroad/postroad/event"
	"github.com/postroad/postroad/lang"
	"github.com/postroad/postroad/mail"
)

// skipWords says why a piece of input was left out.
func skipWords(t *lang.Catalogue, why event.Skip) string {
	return t.Text("skip."+string(why), nil)
}

// sureEnough is the confidence from which on it is said without "probably"
// whose move it is.
const sureEnough = 0.7

// summary is the answer on one incident in a few sentences that can be read
// aloud: since when, how much, why; where; whose. Times are in z.
func summary(t *lang.Catalogue, in *Incident, z *time.Location) string {
	s := []string{whatHappened(t, in, z)}
	if n := len(in.Relapses); n > 0 {
		s = append(s, t.Count("brief.relapsed", n, nil))
	}
	if in.State == Recovered {
		s = append(s, recovery(t, in))
	}
	if in.State != Recovered {
		if in.Rate == nil {
			s = append(s, t.Text("brief.no-rate", nil))
		}
		if in.Bounded != "" {
			s = append(s, t.Text("brief.bounded", lang.Args{"Domains": in.Bounded}))
		}
		s = append(s, someAddresses(t, in), someSources(t, in), whoseMove(t, in))
	}
	return strings.Join(slices.DeleteFunc(s, func(x string) bool { return x == "" }), " ")
}

// whatHappened is the first sentence.
func whatHappened(t *lang.Catalogue, in *Incident, z *time.Location) string {
	w := clock{t, z}
	args := lang.Args{"Provider": in.Name, "When": w.long(in.Began), "Zone": w.zone(in.Began), "Cause": cause(t, in)}
	key, end := "brief", in.Until
	if in.State == Recovered && in.Ended != nil {
		key, end = "brief.over", *in.Ended
		args["End"] = w.after(in.Began, end)
		args["Zone"] = w.zone(end)
	}
	if d := end.Sub(in.Began); !end.IsZero() && d >= time.Minute {
		args["Lasting"] = " (" + t.Duration(d.Truncate(time.Minute)) + ")"
	}
	switch {
	case in.Rate == nil || in.Messages == 0:
		return t.Count(key+".counted", int(in.FailedMessages), args)
	case key == "brief" && in.Waiting*2 > in.FailedMessages:
		args["Share"] = percent(t, in.Waiting, in.Messages)
		return t.Text("brief.waiting", args)
	}
	args["Share"] = percent(t, in.FailedMessages, in.Messages)
	return t.Text(key+".failing", args)
}

// recovery says that it is over, which takes numbers.
func recovery(t *lang.Catalogue, in *Incident) string {
	if in.After == nil || in.After.Messages == 0 {
		return t.Text("brief.over.unproved", nil)
	}
	return t.Count("brief.over.after", int(in.After.Messages), lang.Args{
		"Delivered": t.Number(int(in.After.Delivered)), "Share": percent(t, in.After.Delivered, in.After.Messages),
	})
}

// cause is what happens, as a phrase without a tense.
func cause(t *lang.Catalogue, in *Incident) string {
	key := "cause." + string(in.Class)
	if in.mute() {
		key += ".mute"
	}
	if in.Class == mail.Transport && in.Stage != nil {
		switch *in.Stage {
		case mail.StageConnect, mail.StageResolve:
			key += ".connect"
		case mail.StageSTARTTLS, mail.StageTLS:
			key += ".tls"
		case mail.StageFinal:
			key += ".final"
		}
	}
	return t.Text(key, nil)
}

// mute reports whether the evidence gives no reply at all, as a summary of
// traces: then the class is not unknown for want of a rule.
func (in *Incident) mute() bool {
	return in.Class == mail.Unknown && len(in.Samples) > 0 &&
		!slices.ContainsFunc(in.Samples, func(s Sample) bool { return s.Reply != "" })
}

// split tells the addresses that fail from those that work; what is between
// the two is in neither.
func split(list []Tally) (bad, good []Tally) {
	for _, a := range list {
		switch all := a.Delivered + a.Failed; {
		case a.Failed > 0 && a.Failed*2 >= all:
			bad = append(bad, a)
		case a.Delivered > 0 && a.Failed*20 <= all:
			good = append(good, a)
		}
	}
	return bad, good
}

func someAddresses(t *lang.Catalogue, in *Incident) string {
	bad, good := split(in.Addresses)
	if len(bad) == 0 || len(good) == 0 {
		return ""
	}
	key := "brief.addresses.good"
	if slices.ContainsFunc(good, func(a Tally) bool { return a.Failed > 0 }) {
		key = "brief.addresses.nearly"
	}
	return t.Count("brief.addresses", len(bad), lang.Args{
		"All": t.Number(len(in.Addresses) + in.MoreAddresses), "Good": t.Count(key, len(good), nil),
	})
}

func someSources(t *lang.Catalogue, in *Incident) string {
	bad, good := split(in.Sources)
	if len(bad) == 0 || len(good) == 0 {
		return ""
	}
	return t.Count("brief.sources", len(bad), lang.Args{
		"All": t.Number(len(in.Sources) + in.MoreSources), "List": names(t, bad),
	})
}

func whoseMove(t *lang.Catalogue, in *Incident) string {
	if len(in.AtOnce) > 0 && wire(in.Class) {
		return t.Text("brief.at-once", lang.Args{"List": t.List(append([]string{in.Name}, in.AtOnce...))})
	}
	text := t.Text("brief.actor."+string(in.Actor), nil)
	if in.Confidence >= sureEnough || in.Actor == mail.ActorUnknown {
		return text
	}
	return t.Text("brief.unsure", lang.Args{"Confidence": t.Confidence(in.Confidence), "Text": text})
}

// wire reports whether a class may come from a network that both sides share.
func wire(c mail.Class) bool { return c == mail.Transport || c == mail.DNS || c == mail.TLS }

// maxNames is how many addresses are named in a sentence.
const maxNames = 3

// names lists addresses, or hosts where no address is known.
func names(t *lang.Catalogue, list []Tally) string {
	var out []string
	for _, a := range list[:min(len(list), maxNames)] {
		out = append(out, name(a))
	}
	if n := len(list) - maxNames; n > 0 {
		return strings.Join(out, ", ") + " " + t.Count("table.more-rows", n, nil)
	}
	return t.List(out)
}

func name(a Tally) string {
	if a.Address != "" {
		return a.Address
	}
	return a.Host
}

// atOnce notes in each incident that lasts which other providers began to fail
// in the same way within near of it: then our own network is suspected first.
func atOnce(list []Incident, near time.Duration) {
	for i := range list {
		in := &list[i]
		in.AtOnce = nil
		for j := range list {
			o := &list[j]
			if o.Provider != in.Provider && o.Class == in.Class && wire(in.Class) && o.State == Open && in.State == Open &&
				o.Began.Sub(in.Began).Abs() <= near && !slices.Contains(in.AtOnce, o.Name) {
				in.AtOnce = append(in.AtOnce, o.Name)
			}
		}
	}
}

// nextSteps are the steps to take now, the most urgent first.
func nextSteps(t *lang.Catalogue, in *Incident) []string {
	s := steps{t: t, args: lang.Args{"Provider": in.Name, "Domains": domains(t, in.RecipientDomains)}}
	if in.Link != nil {
		s.args["Link"], s.args["Checked"] = in.Link.URL, in.Link.Checked
	}
	if in.State == Recovered && in.Actor != mail.ActorRecipient {
		s.all("step.over")
		return s.out
	}
	if len(in.AtOnce) > 0 && wire(in.Class) {
		s.args["List"] = t.List(append([]string{in.Name}, in.AtOnce...))
		s.one("step.network")
	}
	s.detours(in)
	s.class(in)
	switch n := int(in.Waiting); {
	case in.Actor == mail.ActorRecipient:
	case n > 0:
		s.out = append(s.out, t.Count("step.urgent", n, nil))
	case wire(in.Class):
		s.one("step.again") // it has come back
	}
	if in.Actor != mail.ActorRecipient && s.args["Link"] != "" && !s.linked {
		s.one("step.write")
	}
	if in.Rate == nil {
		s.one("step.more-input")
	}
	return s.out
}

// domains names the recipient domains that a detour would be for.
func domains(t *lang.Catalogue, list []string) string {
	if n := len(list) - maxNames; n > 0 {
		return strings.Join(list[:maxNames], ", ") + " " + t.Count("table.more-rows", n, nil)
	}
	return t.List(list)
}

// steps collects texts.
type steps struct {
	t      *lang.Catalogue
	args   lang.Args
	out    []string
	linked bool // the provider's page is in one of them
}

func (s *steps) one(key string) {
	for name, value := range s.args {
		if value == "" && s.t.Needs(key, name) {
			return
		}
	}
	if s.t.Needs(key, "Link") {
		if s.args["Link"] == "" {
			return
		}
		s.linked = true
	}
	s.out = append(s.out, s.t.Text(key, s.args))
}

// all appends key.1, key.2, ... as far as there are any.
func (s *steps) all(key string) {
	for i := 1; s.t.Has(key + "." + strconv.Itoa(i)); i++ {
		s.one(key + "." + strconv.Itoa(i))
	}
}

// detours are the ways round the trouble that docs/classes.md allows for the
// class: other addresses where the connection is at fault, none where somebody
// distrusts us.
func (s *steps) detours(in *Incident) {
	switch in.Class {
	case mail.Transport, mail.TLS, mail.System:
		if bad, good := split(in.Addresses); len(bad) > 0 && len(good) > 0 {
			s.args["Bad"], s.args["Good"] = names(s.t, bad), names(s.t, good)
			s.one("step.addresses")
		}
		if bad, good := split(in.Sources); in.Class != mail.System && len(bad) > 0 && len(good) > 0 {
			s.args["Bad"], s.args["Good"] = names(s.t, bad), names(s.t, good)
			s.one("step.sources")
		}
	}
}

// class gives the steps of the rule that knew the replies, else the class's:
// those for an incident where they differ from those for a single message.
func (s *steps) class(in *Incident) {
	key := "advice.class." + string(in.Class)
	switch in.Class {
	case mail.Unknown:
		if in.mute() {
			key = "step.mute"
		}
	case mail.Transport:
		key = "step.transport"
		s.linked = true // one of them says to whom to write
	case mail.RecipientUnknown, mail.RecipientInactive:
		key = "step.recipients"
	case mail.MailboxFull:
		key = "step.full"
	case mail.Content:
		key = "step.content"
	case mail.System:
		key = "step.system"
	case mail.Expired:
		key = "step.expired"
	default:
		if own := "advice." + in.Advice; in.Advice != "" && s.t.Has(own+".1") {
			key = own
		}
	}
	s.all(key)
	switch in.Class {
	case mail.ReputationIP, mail.ReputationDomain, mail.Blocklist:
		s.one("step.hold")
	}
}

// percent is a share in whole percent, never 0 or 100 where some are on the
// other side.
func percent(t *lang.Catalogue, part, all int64) string {
	return t.Text("number.percent", lang.Args{"Number": t.Number(whole(part, all))})
}

func whole(part, all int64) int {
	if all <= 0 {
		return 0
	}
	part = min(max(part, 0), all)
	n := int((part*200 + all) / (2 * all))
	switch {
	case n == 0 && part > 0:
		return 1
	case n == 100 && part < all:
		return 99
	}
	return n
}

// seconds turns a count of seconds into a duration.
func seconds(s float64) time.Duration {
	return time.Duration(s * float64(time.Second)).Truncate(time.Second)
}

// clock says times in a language and a zone.
type clock struct {
	t *lang.Catalogue
	z *time.Location
}

func (c clock) in(at time.Time) time.Time {
	if c.z == nil {
		return at.UTC()
	}
	return at.In(c.z)
}

// long is a date with weekday, year and time of day.
func (c clock) long(at time.Time) string {
	at = c.in(at)
	return c.t.Text("date.long", lang.Args{
		"Weekday": c.t.Text("weekday."+strconv.Itoa(int(at.Weekday())), nil),
		"Day":     strconv.Itoa(at.Day()),
		"Month":   c.t.Text("month."+strconv.Itoa(int(at.Month())), nil),
		"Year":    strconv.Itoa(at.Year()),
		"Time":    at.Format("15:04"),
	})
}

// after is at, said after another time: the hour alone on the same day.
func (c clock) after(before, at time.Time) string {
	a, b := c.in(before), c.in(at)
	if a.YearDay() == b.YearDay() && a.Year() == b.Year() {
		return c.t.Text("date.time", lang.Args{"Time": b.Format("15:04")})
	}
	return c.long(at)
}

// zone names the zone that is in force at a time: CET, or UTC-03:00 where it
// has no letters.
func (c clock) zone(at time.Time) string {
	at = c.in(at)
	if name, _ := at.Zone(); name != "" && strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == "" {
		return name
	}
	return "UTC" + at.Format("-07:00")
}
