package header

import (
	"net/netip"
	"strings"
	"time"

	"golang.org/x/net/publicsuffix"

	"github.com/postroad/postroad/mail"
)

const (
	// tolerance is how far apart two clocks may be without a word: Received
	// fields count whole seconds, and hosts are seldom nearer.
	tolerance = 2 * time.Second
	// slow is the delay from which a hop is worth a finding.
	slow = 5 * time.Minute
)

// measure fills delays and clock skews. Clocks that agree form the longest
// chain of hops whose times do not run backwards; the others are ahead or
// behind, and their times count for nothing. Among equal chains the one with
// the newest hops is taken, because the receiver's own clock ends it. Times in
// the future of now are never part of it.
func (r *Report) measure(now time.Time) {
	r.Slowest = -1
	n := len(r.Hops)
	length, prev := make([]int, n), make([]int, n)
	best := -1
	for i := range r.Hops {
		prev[i] = -1
		t := r.Hops[i].Time
		if t.IsZero() || !now.IsZero() && t.After(now.Add(10*time.Minute)) {
			continue
		}
		length[i] = 1
		for j := 0; j < i; j++ {
			if length[j] > 0 && length[j] >= length[i] && !t.Before(r.Hops[j].Time.Add(-tolerance)) {
				length[i], prev[i] = length[j]+1, j
			}
		}
		if best < 0 || length[i] >= length[best] {
			best = i
		}
	}
	if best < 0 {
		return
	}
	agree := make([]bool, n)
	for i := best; i >= 0; i = prev[i] {
		agree[i] = true
	}
	r.spans(agree)
}

// spans sums what lies between the hops whose clocks agree.
func (r *Report) spans(agree []bool) {
	var first, last time.Time
	for i := range r.Hops {
		h := &r.Hops[i]
		switch {
		case h.Time.IsZero():
		case agree[i]:
			if !first.IsZero() {
				h.Delay = max(h.Time.Sub(last), 0)
			} else {
				first = h.Time
			}
			if last.Before(h.Time) {
				last = h.Time
			}
			if h.Delay > 0 && (r.Slowest < 0 || h.Delay > r.Hops[r.Slowest].Delay) {
				r.Slowest = i
			}
		default:
			h.Skew = r.skew(i, agree)
			key, off := "header.clock.ahead", h.Skew
			if off < 0 {
				key, off = "header.clock.behind", -off
			}
			r.find(Finding{Key: key, Field: "Received", Host: name(h), Duration: off,
				Value: h.Time.Format(time.RFC3339)})
		}
	}
	if !first.IsZero() {
		r.Transit = last.Sub(first)
	}
	if r.Slowest >= 0 && r.Hops[r.Slowest].Delay >= slow {
		h := &r.Hops[r.Slowest]
		r.find(Finding{Key: "header.slow", Field: "Received", Host: name(h), Duration: h.Delay})
	}
}

// name is what a reader can call a hop: qmail's local steps name no host.
func name(h *Hop) string {
	switch {
	case h.By != "":
		return h.By
	case h.From != "":
		return h.From
	case h.FromIP != "":
		return h.FromIP
	}
	return "?"
}

// skew compares a hop's clock with its neighbours': later than the next one
// that agrees, it is ahead; otherwise behind the one before.
func (r *Report) skew(i int, agree []bool) time.Duration {
	for j := i + 1; j < len(agree); j++ {
		if agree[j] {
			if d := r.Hops[i].Time.Sub(r.Hops[j].Time); d > 0 {
				return d
			}
			break
		}
	}
	for j := i - 1; j >= 0; j-- {
		if agree[j] {
			return r.Hops[i].Time.Sub(r.Hops[j].Time)
		}
	}
	return 0
}

// cross finds the hop at which the receiving organisation took the message:
// going back from the newest, the first that came from outside.
func (r *Report) cross() {
	r.Border = -1
	own := r.receiver()
	if own == "" {
		return
	}
	for i := len(r.Hops) - 1; i >= 0; i-- {
		h := &r.Hops[i]
		if h.Extra {
			continue
		}
		if by := organisation(h.By); by != "" && by != own {
			return // somebody else's hop before the border was seen
		}
		if isEdge(h.By) || fromOutside(h, own) {
			h.Border, r.Border = true, i
			return
		}
	}
}

// receiver is the organisation that wrote the newest field with a host name.
func (r *Report) receiver() string {
	for i := len(r.Hops) - 1; i >= 0; i-- {
		if own := organisation(r.Hops[i].By); own != "" {
			return own
		}
	}
	return ""
}

// isEdge tells hosts that stand at a border by their name: there the names on
// both sides may be of one organisation (one tenant writes to another).
func isEdge(host string) bool {
	host = strings.ToLower(host)
	return strings.HasSuffix(host, ".mail.protection.outlook.com") ||
		strings.HasSuffix(host, ".olc.protection.outlook.com") || host == "mx.google.com"
}

func fromOutside(h *Hop, own string) bool {
	for _, name := range [...]string{h.From, h.HELO} {
		if o := organisation(name); o != "" {
			return o != own
		}
	}
	ip, err := netip.ParseAddr(h.FromIP)
	return err == nil && ip.IsGlobalUnicast() && !ip.IsPrivate()
}

// families are organisations that run mail under several registered domains.
func familyOf(domain string) string {
	switch domain {
	case "office365.com", "hotmail.com", "exchangelabs.com", "microsoft.com", "office.com", "mx.microsoft":
		return "outlook.com"
	case "gmail.com", "googlemail.com":
		return "google.com"
	case "yahoodns.net", "yahoo.net", "aol.com", "yahoomail.com":
		return "yahoo.com"
	case "gmx.com", "gmx.de", "web.de", "kundenserver.de", "1and1.com", "mail.com", "ui-dmz.com":
		return "gmx.net"
	case "icloud.com", "me.com", "mac.com":
		return "apple.com"
	}
	return domain
}

// organisation gives the registered domain of a host name, "" for addresses,
// bare names and private domains.
func organisation(host string) string {
	host = mail.NormalDomain(strings.Trim(host, "[]<>"))
	if len(host) < 4 || len(host) > 255 || strings.IndexByte(host, '.') < 0 || strings.IndexByte(host, ':') >= 0 {
		return ""
	}
	last := host[strings.LastIndexByte(host, '.')+1:]
	switch last {
	case "local", "lan", "internal", "localdomain", "home", "corp", "intern", "arpa", "localhost", "private":
		return ""
	}
	if last[0] >= '0' && last[0] <= '9' {
		return "" // an address
	}
	domain, err := publicsuffix.EffectiveTLDPlusOne(host)
	if err != nil {
		return ""
	}
	return familyOf(domain)
}

// align compares an authenticated domain with the From domain.
func align(domain, from string) Alignment {
	domain = mail.NormalDomain(domain)
	if i := strings.LastIndexByte(domain, '@'); i >= 0 {
		domain = domain[i+1:]
	}
	if domain == "" || from == "" {
		return ""
	}
	if domain == from {
		return AlignStrict
	}
	a, err := publicsuffix.EffectiveTLDPlusOne(domain)
	b, err2 := publicsuffix.EffectiveTLDPlusOne(from)
	if err == nil && err2 == nil && a == b {
		return AlignRelaxed
	}
	return AlignNone
}
