package dmarc

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/postroad/postroad/dns"
	"github.com/postroad/postroad/mailauth"
)

// The findings about BIMI (draft-brand-indicators-for-message-identification).
const (
	FindBIMIVersion  = "bimi.record.version"   // looks like a record, but v=BIMI1 is not first or not exact
	FindBIMISeveral  = "bimi.record.several"   // more than one: as if there were none
	FindBIMITag      = "bimi.tag.unknown"      // ignored
	FindBIMITwice    = "bimi.tag.twice"        // the first counts
	FindBIMIBad      = "bimi.tag.malformed"    // no tag at all
	FindBIMILogo     = "bimi.l.missing"        // no place of the logo
	FindBIMILogoURI  = "bimi.l.invalid"        // not an https address
	FindBIMIProof    = "bimi.a.missing"        // no certificate: Gmail and Apple want one
	FindBIMIProofURI = "bimi.a.invalid"        // not an https address
	FindBIMIAvatar   = "bimi.avp.invalid"      // neither brand nor personal: brand counts
	FindBIMINone     = "bimi.declined"         // the domain says that it wants no logo
	FindBIMIPolicy   = "bimi.dmarc.policy"     // DMARC is not at quarantine or reject
	FindBIMISub      = "bimi.dmarc.subdomains" // ... or not for sub-domains
	FindBIMIPercent  = "bimi.dmarc.pct"        // ... or only for a part, or in testing
	FindBIMIFail     = "bimi.dmarc.result"     // the message does not pass DMARC
)

// BIMI is a BIMI assertion record.
type BIMI struct {
	Text     string    `json:"text"`
	Logo     string    `json:"l"`   // https address of an SVG; "" is none
	Proof    string    `json:"a"`   // https address of a mark certificate; "" is none
	Avatar   string    `json:"avp"` // brand or personal: which picture is preferred
	Declined bool      `json:"declined,omitempty"`
	Tags     []Tag     `json:"tags"`
	Findings []Finding `json:"findings,omitempty"`
}

// ErrBIMI is what ParseBIMI says of a text that does not begin with v=BIMI1.
var ErrBIMI = errors.New("read BIMI record: it does not begin with v=BIMI1")

// ParseBIMI reads one TXT record, its strings joined. The error is ErrBIMI or nil.
func ParseBIMI(text string) (BIMI, error) {
	text = clip(text, MaxRecord)
	first, _, _ := strings.Cut(text, ";")
	name, value, ok := strings.Cut(first, "=")
	if !ok || trim(name) != "v" || trim(value) != "BIMI1" {
		return BIMI{}, ErrBIMI
	}
	b := BIMI{Text: text, Avatar: "brand"}
	seen := make(map[string]bool)
	for part := range strings.SplitSeq(text, ";") {
		if part = trim(part); part == "" {
			continue
		}
		name, value, ok := strings.Cut(part, "=")
		name, value = strings.ToLower(trim(name)), trim(value)
		switch {
		case !ok || !isAlpha(name) || len(seen) == maxTags:
			b.find(FindBIMIBad, "", part)
		case seen[name]:
			b.find(FindBIMITwice, name, value)
		default:
			seen[name] = true
			b.Tags = append(b.Tags, Tag{name, value})
			b.tag(name, value)
		}
	}
	// Empty l and a are the owner's word that there is to be no logo.
	b.Declined = seen["l"] && b.Logo == "" && b.Proof == "" && len(b.Findings) == 0
	switch {
	case b.Declined:
		b.find(FindBIMINone, "l", "")
	case b.Logo == "" && b.Proof == "":
		b.find(FindBIMILogo, "l", "")
	case b.Proof == "":
		b.find(FindBIMIProof, "a", "")
	}
	return b, nil
}

func (b *BIMI) find(key, tag, value string) {
	if len(b.Findings) < maxTags {
		b.Findings = append(b.Findings, Finding{key, tag, clip(value, maxShown)})
	}
}

func (b *BIMI) tag(name, value string) {
	switch name {
	case "v", "lps":
	case "l":
		if b.Logo = value; value != "" && !isHTTPS(value) {
			b.Logo = ""
			b.find(FindBIMILogoURI, name, value)
		}
	case "a":
		if b.Proof = value; value != "" && !isHTTPS(value) {
			b.Proof = ""
			b.find(FindBIMIProofURI, name, value)
		}
	case "avp":
		switch v := strings.ToLower(value); v {
		case "brand", "personal":
			b.Avatar = v
		default:
			b.find(FindBIMIAvatar, name, value)
		}
	default:
		b.find(FindBIMITag, name, value)
	}
}

func isHTTPS(s string) bool {
	u, err := url.Parse(s)
	return err == nil && strings.EqualFold(u.Scheme, "https") && u.Host != "" && !strings.ContainsAny(s, " \t,")
}

// Indicator is what came of a search for a BIMI record.
type Indicator struct {
	Name     string     `json:"name"` // that was asked for last
	Status   dns.Status `json:"status"`
	Record   *BIMI      `json:"record,omitempty"`
	Err      error      `json:"-"`
	Findings []Finding  `json:"findings,omitempty"`
}

// LookupBIMI finds the BIMI record of an author's domain, and where there is none
// that of its organisational domain ("" if it is not known). The selector is
// "default" unless the message names another one.
func LookupBIMI(ctx context.Context, r Resolver, domain, organization, selector string) (Indicator, error) {
	if selector == "" {
		selector = "default"
	}
	var out Indicator
	if domain = normal(domain); domain == "" {
		return out, fmt.Errorf("find BIMI record: %w", ErrDomain)
	}
	domains := []string{domain}
	if organization = normal(organization); organization != "" && organization != domain {
		domains = append(domains, organization)
	}
	for _, d := range domains {
		name := normal(selector + "._bimi." + d)
		if name == "" {
			return out, fmt.Errorf("find BIMI record: %q is no selector for %s", clip(selector, maxShown), d)
		}
		out.ask(ctx, r, name)
		if out.Record != nil || !out.Status.Known() {
			break
		}
	}
	return out, nil
}

func (i *Indicator) ask(ctx context.Context, r Resolver, name string) {
	a := some(r).TXT(ctx, name)
	i.Name, i.Status, i.Err = name, a.Status, a.Err
	n := 0
	for _, text := range a.Records {
		b, err := ParseBIMI(text)
		if err != nil {
			if strings.Contains(strings.ToLower(clip(text, maxShown)), "bimi1") {
				i.Findings = append(i.Findings, Finding{FindBIMIVersion, name, clip(text, maxShown)})
			}
			continue
		}
		n++
		i.Record = &b
	}
	if n > 1 {
		i.Record = nil
		i.Findings = append(i.Findings, Finding{FindBIMISeveral, name, fmt.Sprint(n)})
	}
}

// ForBIMI says what of a message's DMARC keeps a receiver from showing the
// owner's logo; nothing if nothing does.
func (v Verdict) ForBIMI() []Finding {
	var out []Finding
	if v.Result != mailauth.Pass {
		out = append(out, Finding{FindBIMIFail, v.Author, string(v.Result)})
	}
	r := v.Discovery.Record
	if r == nil {
		return out
	}
	if v.Policy.rank() == 0 {
		out = append(out, Finding{FindBIMIPolicy, v.Tag, string(v.Policy)})
	}
	if r.Subdomains == PolicyNone && v.Tag != "sp" {
		out = append(out, Finding{FindBIMISub, "sp", string(r.Subdomains)})
	}
	if r.Testing {
		out = append(out, Finding{FindBIMIPercent, "t", "y"})
	} else if r.Percent < 100 {
		out = append(out, Finding{FindBIMIPercent, "pct", fmt.Sprint(r.Percent)})
	}
	return out
}
