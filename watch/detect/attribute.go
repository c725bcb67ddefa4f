package detect

import (
	"math"
	"slices"

	"github.com/postroad/postroad/mail"
)

// Attribute says whose trouble an incident is, by its measurement and those of
// the other incidents (all may hold m itself). It decides by what is alike and
// what is not: other providers, other addresses of theirs and ours, other
// senders, the same recipients at other times; and by what the class says.
func Attribute(m *Measurement, all []Measurement) Attribution {
	c := compareWith(m, all)
	a := Attribution{Contributing: m.Incident.Contributing}
	switch m.Incident.group {
	case groupRoute:
		a.route(m, c)
	case groupTrust:
		a.trust(m, c)
	case groupAuth, groupSender:
		a.identity(m, c)
	case groupRecipient:
		a.recipient(m)
	default:
		a.Actor, a.Confidence = mail.ActorUnknown, 0.3
	}
	a.evidence(m)
	a.doubts(m, c)
	a.Confidence = math.Round(100*min(max(a.Confidence, 0.1), a.most(m))) / 100
	return a
}

// comparison is what stood beside the incident.
type comparison struct {
	fine, fineMessages int64
	alike              []ID // other providers with the same trouble at the same time
	tried              int  // other providers with enough mail to tell
	badAddresses       []ID
	goodAddresses      int
	badSources         []ID
	goodSources        int
	badSenders         []ID
	goodSenders        int
	address, source    Tally // their sums over the bad ones
}

// enough is how many attempts tell something about another provider or address.
const enough = 5

func compareWith(m *Measurement, all []Measurement) comparison {
	var c comparison
	var small Neighbour // those with little mail, taken together
	smalls := int64(0)
	for i := range m.Others {
		o := &m.Others[i]
		switch {
		case o.Alike:
			if closeTo(&m.Incident, o.Incident, all) {
				c.alike = append(c.alike, o.Provider)
				c.tried++
			}
		case o.Messages < enough:
			if o.Incident == 0 {
				small.Messages += o.Messages
				small.Failed += o.Failed
				smalls++
			}
		default:
			c.tried++
			if o.Incident == 0 && o.Share <= max(0.1, o.Before+0.05, 2*o.Before) {
				c.fine++
				c.fineMessages += o.Messages
			}
		}
	}
	if small.Messages >= 2*enough && small.Failed*10 <= small.Messages {
		c.tried += int(smalls)
		c.fine += smalls
		c.fineMessages += small.Messages
	}
	c.badAddresses, c.goodAddresses, c.address = contrast(m.Addresses)
	c.badSources, c.goodSources, c.source = contrast(m.Sources)
	c.badSenders, c.goodSenders, _ = contrast(m.SenderDomains)
	return c
}

// closeTo reports whether the incident of that number began about when i did,
// in any of their spans: trouble that only overlaps is not one.
func closeTo(i *Incident, number int, all []Measurement) bool {
	for k := range all {
		x := &all[k].Incident
		if x.Number != number {
			continue
		}
		for _, s := range i.Spans {
			for _, t := range x.Spans {
				if d := s.Began - t.Began; max(d, -d) <= max(2*hour, s.Detected-s.Began, t.Detected-t.Began) {
					return true
				}
			}
		}
	}
	return false
}

// contrast divides tallies into those that fail and those that work, where the
// difference is plain; without one it names none. Where each of those that work
// was tried a few times only, they count together, if chance would not have
// spared them all.
func contrast(list []Tally) (bad []ID, good int, sum Tally) {
	var clean, all Tally
	cleans := 0
	for _, t := range list {
		n := t.Failed + t.Delivered
		share := float64(t.Failed) / float64(max(n, 1))
		all.Failed += t.Failed
		all.Delivered += t.Delivered
		switch {
		case share <= 0.1 && n > 0:
			cleans++
			clean.Delivered += t.Delivered
			clean.Failed += t.Failed
			if n >= enough {
				good++
			}
		case n < 3:
		case share >= 0.5:
			bad = append(bad, t.ID)
			sum.Failed += t.Failed
			sum.Delivered += t.Delivered
		}
	}
	works := float64(all.Delivered) / float64(max(all.Delivered+all.Failed, 1))
	if clean.Failed == 0 && clean.Delivered > 1 && math.Pow(works, float64(clean.Delivered)) < 0.001 {
		good = cleans
	}
	if good == 0 {
		return nil, 0, Tally{}
	}
	return bad, good, sum
}

func (a *Attribution) why(r Reason)     { a.Why = append(a.Why, r) }
func (a *Attribution) against(r Reason) { a.Against = append(a.Against, r) }

// everywhere reports whether the trouble is at so many providers at once that
// it is most likely on our side.
func (c *comparison) everywhere() bool {
	return len(c.alike) >= 1 && (len(c.alike)+1)*10 >= (c.tried+1)*6 || len(c.alike) >= 3 && c.fine < int64(len(c.alike))
}

// route judges trouble on the way or inside their servers.
func (a *Attribution) route(m *Measurement, c comparison) {
	switch {
	case c.everywhere():
		a.Actor, a.Confidence = mail.ActorPath, 0.6+0.1*float64(min(len(c.alike), 3))
		if len(c.badSources) > 0 || m.Incident.Class == mail.TLS {
			a.Actor = mail.ActorSender
		}
		a.why(Reason{Key: "detect.why.several-providers", Count: int64(len(c.alike)), Providers: c.alike})
	case len(c.badSources) > 0 && len(c.badAddresses) == 0:
		a.Actor, a.Confidence = mail.ActorPath, 0.7
	case len(c.badAddresses) > 0:
		a.Actor, a.Confidence = mail.ActorReceivingProvider, 0.85
	case c.fine > 0:
		a.Actor, a.Confidence = mail.ActorReceivingProvider, 0.75
	case m.Incident.Class == mail.Transport:
		a.Actor, a.Confidence = mail.ActorPath, 0.5
	default:
		a.Actor, a.Confidence = mail.ActorReceivingProvider, 0.55
	}
	if !c.everywhere() {
		a.fine(c, 0.07)
	}
	a.places(m, c)
	switch m.Stage {
	case mail.StageResolve, mail.StageConnect, mail.StageBanner, mail.StageEHLO, mail.StageSTARTTLS, mail.StageTLS:
		if m.StageShare >= 0.6 {
			a.why(Reason{Key: "detect.why.early-stage", Stage: m.Stage, Share: m.StageShare})
			a.Confidence += 0.03
		}
	}
	a.mixed(m)
}

// trust judges limits, reputation and what was made of the content.
func (a *Attribution) trust(m *Measurement, c comparison) {
	a.Actor, a.Confidence = m.Incident.Class.Actor(), 0.65
	a.says(m)
	a.places(m, c)
	switch {
	case m.Incident.Class == mail.Greylisting:
		a.Confidence = 0.6
		a.why(Reason{Key: "detect.why.grey-stays", Duration: confirmGrey})
	case m.VolumeFactor >= 3:
		a.Confidence += 0.12
		a.why(Reason{Key: "detect.why.volume", Factor: m.VolumeFactor})
	}
	if len(c.badSources) > 0 {
		a.Confidence += 0.1
	}
	if len(c.badSenders) > 0 {
		a.Confidence += 0.1
		a.why(Reason{Key: "detect.why.some-senders", Domains: c.badSenders, Count: int64(c.goodSenders)})
	}
	if len(c.alike) > 0 {
		a.Confidence += 0.08
		a.why(Reason{Key: "detect.why.judged-elsewhere", Count: int64(len(c.alike)), Providers: c.alike})
	} else if c.fine > 0 {
		a.why(Reason{Key: "detect.why.only-here", Count: c.fine, Of: c.fineMessages})
	}
	if m.Incident.Class == mail.Throttling && m.VolumeFactor > 0 && m.VolumeFactor < 1.5 {
		a.Confidence -= 0.07
		a.against(Reason{Key: "detect.against.volume-as-ever"})
	}
}

// identity judges what the receiver demands of the sender.
func (a *Attribution) identity(m *Measurement, c comparison) {
	a.Actor, a.Confidence = mail.ActorSender, 0.75
	a.says(m)
	switch {
	case len(c.badSenders) > 0:
		a.Confidence += 0.1
		a.why(Reason{Key: "detect.why.some-senders", Domains: c.badSenders, Count: int64(c.goodSenders)})
	case len(c.alike) > 0:
		a.Confidence += 0.15
		a.why(Reason{Key: "detect.why.judged-elsewhere", Count: int64(len(c.alike)), Providers: c.alike})
	}
	if len(c.alike) == 0 && c.fine > 0 {
		a.Confidence -= 0.05
		a.against(Reason{Key: "detect.against.accepted-elsewhere", Count: c.fine, Of: c.fineMessages})
	}
	a.places(m, c)
}

// recipient judges a list that is bad.
func (a *Attribution) recipient(m *Measurement) {
	a.Actor, a.Confidence = mail.ActorRecipient, 0.85
	a.says(m)
	a.why(Reason{Key: "detect.why.bad-list", Count: m.Recipients, Of: m.Messages})
	if len(m.SenderDomains) == 1 || len(m.SenderDomains) > 1 && m.SenderDomains[0].Failed*10 >= m.Failures*8 {
		a.why(Reason{Key: "detect.why.one-sender", Domains: []ID{m.SenderDomains[0].ID}})
		a.Confidence += 0.05
	}
	if m.Recipients > 0 && m.MixedRecipients*4 > m.Recipients {
		a.Confidence -= 0.3
		a.against(Reason{Key: "detect.against.mixed", Count: m.MixedRecipients})
	}
}

// says tells what the replies give as the reason.
func (a *Attribution) says(m *Measurement) {
	if n := m.Classes[m.Incident.Class]; n > 0 {
		a.why(Reason{Key: "detect.why.replies", Count: n, Of: m.Failures, Class: m.Incident.Class})
	}
}

func (a *Attribution) fine(c comparison, gain float64) {
	if c.fine > 0 {
		a.why(Reason{Key: "detect.why.others-fine", Count: c.fine, Of: c.fineMessages})
		a.Confidence += gain
	}
}

// places tells at which of their and our addresses it happens.
func (a *Attribution) places(m *Measurement, c comparison) {
	if len(c.badAddresses) > 0 {
		a.why(Reason{Key: "detect.why.some-addresses", Addresses: c.badAddresses, Count: int64(c.goodAddresses),
			Share: share(c.address.Failed, c.address.Failed+c.address.Delivered)})
	} else if n := touched(m.Addresses); n > 1 {
		a.why(Reason{Key: "detect.why.all-addresses", Count: n})
	}
	if len(c.badSources) > 0 {
		a.why(Reason{Key: "detect.why.some-sources", Sources: c.badSources, Count: int64(c.goodSources),
			Share: share(c.source.Failed, c.source.Failed+c.source.Delivered)})
	} else if n := touched(m.Sources); n > 1 {
		a.why(Reason{Key: "detect.why.all-sources", Count: n})
	}
}

func share(part, whole int64) float64 { return float64(part) / float64(max(whole, 1)) }

// touched counts the places with enough attempts of which some failed.
func touched(list []Tally) int64 {
	n := int64(0)
	for _, t := range list {
		if t.Failed >= 2 && t.Failed+t.Delivered >= 3 {
			n++
		}
	}
	return n
}

// mixed tells that the same recipients got some messages: the strongest sign
// against the content and the mailbox.
func (a *Attribution) mixed(m *Measurement) {
	if m.RecipientsMixed != nil && *m.RecipientsMixed {
		a.why(Reason{Key: "detect.why.mixed", Count: m.MixedRecipients})
		a.Confidence += 0.04
	}
}

// evidence tells what makes it an incident at all; it comes first.
func (a *Attribution) evidence(m *Measurement) {
	i := &m.Incident
	var r Reason
	switch {
	case i.Concordance || m.Rate == nil || m.BaselineRate == nil:
		r = Reason{Key: "detect.why.alike", Count: m.Recipients, Of: m.FailedMessages, Class: i.Class, Time: i.Began()}
	default:
		r = Reason{Key: "detect.why.change", Share: *m.Rate, Before: *m.BaselineRate, Time: i.Began(), Count: m.FailedMessages}
	}
	a.Why = slices.Insert(a.Why, 0, r)
	if n := len(i.Spans) - 1; n > 0 {
		a.why(Reason{Key: "detect.why.again", Count: int64(n), Time: i.Spans[n].Began})
	}
}

// doubts tells what speaks against the verdict or is not known.
func (a *Attribution) doubts(m *Measurement, c comparison) {
	switch {
	case m.FailuresOnly:
		a.against(Reason{Key: "detect.against.failures-only"})
	case m.NoBefore || m.Incident.Concordance:
		a.against(Reason{Key: "detect.against.no-before", Count: m.Baseline})
	case m.BaselineRate != nil && m.Rate != nil && *m.BaselineRate > max(0.03, *m.Rate/4):
		a.Confidence -= 0.05
		a.against(Reason{Key: "detect.against.before", Before: *m.BaselineRate})
	}
	if m.FailedMessages < 8 {
		a.Confidence -= 0.1
		a.against(Reason{Key: "detect.against.few", Count: m.FailedMessages})
	}
	if c.tried == 0 && m.Incident.group != groupRecipient {
		a.Confidence -= 0.05
		a.against(Reason{Key: "detect.against.no-others"})
	}
	if len(c.alike) > 0 && a.Actor == mail.ActorReceivingProvider {
		a.Confidence -= 0.15
		a.against(Reason{Key: "detect.against.others-too", Count: int64(len(c.alike)), Providers: c.alike})
	}
	ours := a.Actor == mail.ActorSender || a.Actor == mail.ActorRecipient
	if m.VolumeFactor >= 3 && !ours {
		a.Confidence -= 0.05
		a.against(Reason{Key: "detect.against.volume", Factor: m.VolumeFactor})
	}
	if len(m.RecipientDomains) == 1 && m.Recipients <= 3 && !ours {
		a.Confidence -= 0.05
		a.against(Reason{Key: "detect.against.one-domain", Domains: []ID{m.RecipientDomains[0].ID}, Count: m.Recipients})
	}
	if len(m.SenderDomains) > 1 && m.SenderDomains[0].Failed*10 >= m.Failures*9 && len(c.badSenders) > 0 && !ours {
		a.Confidence -= 0.15
		a.against(Reason{Key: "detect.against.one-sender", Domains: []ID{m.SenderDomains[0].ID}})
	}
	if m.Suspended*2 > m.Failures {
		a.Confidence -= 0.03
		a.against(Reason{Key: "detect.against.suspended", Count: m.Suspended, Of: m.Failures})
	}
}

// most is the confidence that the input allows: without deliveries, or without
// a time before, the shipped prior stands for what was not seen.
func (a *Attribution) most(m *Measurement) float64 {
	switch {
	case m.FailuresOnly:
		return 0.6
	case m.Incident.Concordance:
		return 0.65
	case m.NoBefore:
		return 0.75
	case m.FailedMessages < 4:
		return 0.7
	}
	return 0.97
}
