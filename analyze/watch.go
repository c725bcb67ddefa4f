package analyze

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/postroad/postroad/dossier"
	"github.com/postroad/postroad/lang"
	"github.com/postroad/postroad/mail"
	"github.com/postroad/postroad/provider"
	"github.com/postroad/postroad/watch/detect"
)

// sparkParts is into how many equal parts the period of a sparkline is cut.
const sparkParts = 24

// maxSampled is how many failed attempts an incident shows.
const maxSampled = 5

// watcher takes the facts through detection and measurement.
type watcher struct {
	p        *Pile
	detector *detect.Detector
	found    []detect.Incident
	counts   *detect.Measure
	o        detect.Observation
	sparked  map[uint32]*[sparkParts]share
	of       map[uint32][]int // provider -> incidents
	since    []afterwards
	told     int // messages in since
	dropped  int // incidents that were not measured, the smallest
}

// share counts attempts that delivered.
type share struct{ tried, delivered int64 }

// afterwards counts messages after the end of an incident.
type afterwards struct {
	seen map[uint64]bool // message -> delivered
}

// The bounds of what is counted of incidents. A report shows MaxList of them; the
// rest of those that are measured are there for the comparison.
const (
	maxMeasured = 2 * MaxList
	maxDistinct = 700_000   // messages, and recipients, of all incidents that are told apart
	maxAfter    = 1_000_000 // messages after the ends of all
	leastOfOne  = 1000      // of one of many incidents
	mostOfOne   = 100_000

	watchedFully = 5000    // providers
	remembered   = 400_000 // failed messages, so that a retry is told from a message of its own
)

// bound divides what may be kept for all among n.
func bound(all, n int) int { return min(max(all/max(n, 1), leastOfOne), mostOfOne) }

func newWatch(p *Pile) *watcher {
	return &watcher{p: p, detector: detect.New(detect.Options{Providers: watchedFully, Messages: remembered}), of: make(map[uint32][]int)}
}

// watch gives one fact to the detector. What is delivered on our own side is
// not watched: no provider has a part in it.
func (w *watcher) watch(f *fact) {
	if w.p.ownSide(f) {
		return
	}
	f.observe(&w.o)
	w.detector.Observe(&w.o)
}

// end closes the first pass; the input ends with its last fact.
func (w *watcher) end() {
	w.detector.Advance(w.p.to)
	w.found = w.detector.Incidents()
	w.dropped = w.detector.Dropped()
	w.detector = nil // it makes room for the second pass
	if n := len(w.found) - maxMeasured; n > 0 {
		w.found, w.dropped = largest(w.found, maxMeasured), w.dropped+n
	}
	w.counts = detect.NewMeasure(w.found, detect.MeasureOptions{Distinct: bound(maxDistinct, len(w.found))})
	w.sparked = make(map[uint32]*[sparkParts]share)
	w.since = make([]afterwards, len(w.found))
	for i := range w.found {
		id := w.found[i].Provider
		w.sparked[id] = new([sparkParts]share)
		w.of[id] = append(w.of[id], i)
	}
}

// largest gives the n incidents that a report puts first: those that last, and
// those with the most failed messages. They stay in the order of detection.
func largest(all []detect.Incident, n int) []detect.Incident {
	by := slices.Clone(all)
	slices.SortStableFunc(by, func(a, b detect.Incident) int {
		if a.Open() != b.Open() {
			if a.Open() {
				return -1
			}
			return 1
		}
		return order(b.Failed, a.Failed)
	})
	by = by[:n:n]
	slices.SortFunc(by, func(a, b detect.Incident) int { return cmp.Compare(a.Number, b.Number) })
	return by
}

// measure is the second pass.
func (w *watcher) measure(f *fact) error {
	if len(w.found) == 0 || w.p.ownSide(f) {
		return nil
	}
	f.observe(&w.o)
	w.counts.Observe(&w.o)
	s := w.sparked[f.provider]
	if s == nil || f.is(session) {
		return nil
	}
	part := 0
	if length := w.p.to - w.p.from; length > 0 {
		part = min(int(float64(f.at-w.p.from)/float64(length)*sparkParts), sparkParts-1)
	}
	s[part].tried++
	if f.outcome == delivered {
		s[part].delivered++
	}
	for _, i := range w.of[f.provider] {
		if in := &w.found[i]; !in.Open() && f.at > in.Ended() {
			a := &w.since[i]
			if a.seen == nil {
				a.seen = make(map[uint64]bool)
			}
			pair, n := f.pair(), len(a.seen)
			if ok, known := a.seen[pair]; known || n < mostOfOne && w.told < maxAfter {
				a.seen[pair] = ok || f.outcome == delivered
				w.told += len(a.seen) - n
			}
		}
	}
	return nil
}

func (w *watcher) sparks() map[uint32][]float64 {
	out := make(map[uint32][]float64, len(w.sparked))
	for id, parts := range w.sparked {
		line := make([]float64, sparkParts)
		for i, s := range parts {
			line[i] = -1
			if s.tried > 0 {
				line[i] = float64(s.delivered) / float64(s.tried)
			}
		}
		out[id] = line
	}
	return out
}

// incidents builds the report's incidents: those that last first, then by the
// messages that failed.
func (w *watcher) incidents(c *census) (list []Incident, more int) {
	list = []Incident{}
	if w.counts == nil {
		return list, 0
	}
	all := w.counts.Result()
	lines := w.sparks()
	for i := range all {
		in := w.incident(&all[i], all, c)
		in.Spark = lines[all[i].Incident.Provider]
		in.After = w.after(i)
		list = append(list, in)
	}
	slices.SortStableFunc(list, func(a, b Incident) int {
		if a.State != b.State {
			if a.State == Open {
				return -1
			}
			return 1
		}
		if a.FailedMessages != b.FailedMessages {
			return order(b.FailedMessages, a.FailedMessages)
		}
		return strings.Compare(a.ID, b.ID)
	})
	atOnce(list, 2*time.Hour)
	list, more = capped(list)
	more += w.dropped
	for i := range list {
		in := &list[i]
		in.Summary = summary(w.p.Texts, in, w.p.Zone)
		in.Next = nextSteps(w.p.Texts, in)
	}
	return list, more
}

func (w *watcher) after(i int) *After {
	if w.found[i].Open() {
		return nil
	}
	a := &After{}
	for _, ok := range w.since[i].seen {
		a.Messages++
		if ok {
			a.Delivered++
		}
	}
	return a
}

// incident turns one measurement into words and numbers.
func (w *watcher) incident(m *detect.Measurement, all []detect.Measurement, c *census) Incident {
	p := w.p
	d := &m.Incident
	verdict := detect.Attribute(m, all)
	label := p.label(d.Provider)
	in := Incident{
		ID:       fmt.Sprintf("%s-%s-%s", label.ID, d.Class, utc(d.Began()).Format("20060102T1504Z")),
		Provider: label.ID, Name: label.Name, Class: d.Class, Actor: verdict.Actor,
		Contributing: append([]mail.Class{}, verdict.Contributing...),
		Began:        utc(d.Began()), Detected: utc(d.Detected()), Ended: instant(d.Ended()),
		State:    Recovered,
		Messages: m.Messages, FailedMessages: m.FailedMessages, Attempts: m.Attempts, Failures: m.Failures,
		Rate: digits(m.Rate), BaselineRate: digits(m.BaselineRate), SufficedAfter: d.Spans[0].Sufficed,
		RecipientsMixed: m.RecipientsMixed, Confidence: math.Round(verdict.Confidence*100) / 100,
		Why: []string{}, Against: []string{}, Until: utc(p.to),
	}
	if d.Open() {
		in.State = Open
	}
	if m.Stage != mail.StageUnknown {
		stage := m.Stage
		in.Stage = &stage
	}
	for i, s := range d.Spans {
		if i > 0 {
			in.Relapses = append(in.Relapses, Span{utc(s.Began), instant(s.Ended)})
		}
	}
	in.Addresses, in.MoreAddresses = w.tallies(m.Addresses, p.addresses)
	in.Sources, in.MoreSources = w.tallies(m.Sources, p.sources)
	in.SenderDomains, in.MoreSenderDomains = w.domains(m.SenderDomains)
	in.RecipientDomains, in.MoreRecipientDomains = w.domains(m.RecipientDomains)
	in.Grounds, in.Why = w.grounds(verdict.Why)
	in.Doubts, in.Against = w.grounds(verdict.Against)
	if d.Scope == detect.ScopeSender {
		in.Bounded = p.domains.name(d.Target)
	}
	if k, ok := p.Providers.ByID(label.ID); ok {
		in.Link = linkOf(k)
	}
	classes := w.classes(m)
	in.whole, in.Advice = w.sampled(d, classes)
	in.Samples = p.masked(in.whole)
	for _, class := range classes {
		in.Waiting += c.held[poolKey(d.Provider, class)]
	}
	return in
}

// classes gives the classes of failures that belong to an incident.
func (w *watcher) classes(m *detect.Measurement) []uint8 {
	var out []uint8
	for i, c := range mail.Classes {
		if c == m.Incident.Class || m.Incident.Covers(c) && m.Classes[c] > 0 {
			out = append(out, uint8(i+1))
		}
	}
	return out
}

// sampled gives the failed attempts that the incident shows.
func (w *watcher) sampled(d *detect.Incident, classes []uint8) (list []Sample, advice string) {
	p := w.p
	spans := make([]span, 0, len(d.Spans))
	for _, s := range d.Spans {
		to := s.Ended
		if to == 0 {
			to = math.MaxInt64
		}
		spans = append(spans, span{s.Began, to})
	}
	list = []Sample{}
	for _, k := range p.samples.of(d.Provider, classes, spans, maxSampled) {
		s := Sample{
			Time: utc(k.at), MessageID: k.messageID, QueueID: k.queueID, SenderDomain: k.senderDomain,
			Recipient: k.recipient, Host: k.host, Address: k.ip, SourceHost: k.sourceHost, Source: k.sourceIP,
			User: k.user, Client: k.client, Reply: k.reply, Stage: stageOf(k.stage), Evidence: k.ids,
		}
		list = append(list, s)
	}
	for _, class := range classes {
		if pool := p.samples.pools[poolKey(d.Provider, class)]; pool != nil && advice == "" {
			advice = pool.advice
		}
	}
	return list, advice
}

// masked gives samples as they are shown.
func (p *Pile) masked(list []Sample) []Sample {
	if p.Full {
		return list
	}
	out := slices.Clone(list)
	for i := range out {
		s := &out[i]
		s.MessageID = dossier.MaskID(s.MessageID, s.Recipient)
		s.Reply = dossier.MaskReply(s.Reply, s.Recipient)
		s.Recipient = dossier.Mask(s.Recipient)
		if s.User != "" {
			s.User = maskedUser(s.User)
		}
	}
	return out
}

// maskedUser keeps the domain of a login, which names the customer.
func maskedUser(login string) string {
	if i := strings.LastIndexByte(login, '@'); i >= 0 {
		return "***" + login[i:]
	}
	return "***"
}

// linkOf gives the page on which a provider deals with a sender's trouble, nil
// where none is known.
func linkOf(k *provider.Provider) *Link {
	l, ok := k.SenderPage()
	if !ok {
		return nil
	}
	return &Link{URL: l.URL, Kind: string(l.Kind), Checked: l.Checked}
}

func (w *watcher) tallies(list []detect.Tally, names *hosts) ([]Tally, int) {
	out := make([]Tally, 0, min(len(list), MaxList))
	for _, t := range list {
		if t.ID == 0 {
			continue
		}
		if len(out) == MaxList {
			return out, len(list) - MaxList
		}
		ip, host := names.both(t.ID)
		out = append(out, Tally{Address: ip, Host: host, Delivered: t.Delivered, Failed: t.Failed})
	}
	return out, 0
}

// domains lists the domains whose mail failed.
func (w *watcher) domains(list []detect.Tally) ([]string, int) {
	out := []string{}
	for _, t := range list {
		if t.ID > others && t.Failed > 0 {
			out = append(out, w.p.domains.name(t.ID))
		}
	}
	return capped(out)
}

// digits rounds a share to four digits.
func digits(v *float64) *float64 {
	if v == nil {
		return nil
	}
	r := math.Round(*v*10000) / 10000
	return &r
}

// grounds puts reasons into the reader's language.
func (w *watcher) grounds(list []detect.Reason) ([]Ground, []string) {
	grounds, texts := []Ground{}, []string{}
	for i := range list {
		g := w.ground(&list[i])
		grounds = append(grounds, g)
		if g.N >= 0 {
			texts = append(texts, w.p.Texts.Count(g.Key, g.N, lang.Args(g.Args)))
			continue
		}
		texts = append(texts, w.p.Texts.Text(g.Key, lang.Args(g.Args)))
	}
	return grounds, texts
}

func (w *watcher) ground(r *detect.Reason) Ground {
	p, t := w.p, w.p.Texts
	addresses := func(ids []detect.ID, names *hosts) string {
		var out []string
		for _, id := range ids {
			ip, host := names.both(id)
			if ip == "" {
				ip = host
			}
			out = append(out, ip)
		}
		return enumerate(t, out)
	}
	named := func(ids []detect.ID, name func(detect.ID) string) string {
		var out []string
		for _, id := range ids {
			out = append(out, name(id))
		}
		return enumerate(t, out)
	}
	g := Ground{Key: r.Key, N: -1, Args: map[string]string{
		"Of":       t.Number(int(r.Of)),
		"Share":    percent(t, int64(r.Share*1e6), 1e6),
		"Before":   percent(t, int64(r.Before*1e6), 1e6),
		"Factor":   t.Number(int(math.Round(r.Factor))),
		"Address":  addresses(r.Addresses, p.addresses),
		"Source":   addresses(r.Sources, p.sources),
		"Provider": named(r.Providers, func(id detect.ID) string { return p.label(id).Name }),
		"Domain":   named(r.Domains, p.domains.name),
		"Time":     clock{t, p.Zone}.long(utc(r.Time)),
		"Duration": t.Duration(time.Duration(r.Duration)),
		"Class":    t.Text("class."+string(r.Class), nil),
		"Stage":    t.Text("stage."+string(r.Stage), nil),
	}}
	if t.Needs(r.Key, "Count") {
		g.N = int(r.Count)
	}
	return g
}

// maxListed is how many names a sentence lists.
const maxListed = 6

// enumerate joins names, the first few of many.
func enumerate(t *lang.Catalogue, all []string) string {
	if n := len(all) - maxListed; n > 0 {
		return strings.Join(all[:maxListed], ", ") + " " + t.Count("more", n, nil)
	}
	return t.List(all)
}
