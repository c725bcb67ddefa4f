// Package provider knows who receives: which organisation runs the hosts that a
// message was offered to, and whose name stands on the mailbox.
//
// In come the names that evidence has: the host that was reached or tried (an MX
// name, a Remote-MTA, the name in a reply) and the recipient's domain. Out comes
// an [Identity] that is never a guess about the other: the host decides, and the
// domain only where no host is named. The knowledge is one embedded file,
// providers.toml, with a source for every entry; it is parsed once and never
// changes while the program runs. Nothing here does I/O, and nothing has to
// survive a crash.
//
// diagnose asks it whose texts to try, explain names the provider and its forms,
// and all that counts or schedules mail groups by its ids.
package provider

import "time"

// Basis says what an [Identity] was concluded from.
type Basis string

// The bases.
const (
	ByHost   Basis = "mx"     // the name of a receiving host
	ByDomain Basis = "domain" // the recipient's domain, for want of a host
	ByNone   Basis = ""       // nothing was given
)

// Identity is who receives.
type Identity struct {
	ID    string // an operator's id, "mx:<registrable domain>" or "domain:<domain>"; "" if nothing was given
	Name  string // for people: "Yahoo"; the bare domain for the rest of the world
	Brand string // the name on the mailbox ("AOL" at yahoo, "Yahoo" itself); "" if not known
	By    Basis
}

// Kind is what an operator does with mail that its hosts accept.
type Kind string

// The kinds.
const (
	Mailbox   Kind = "mailbox"   // mailboxes under its own brands
	Hosting   Kind = "hosting"   // mailboxes under its customers' domains
	Gateway   Kind = "gateway"   // filters, then hands on to the customer's own host
	Forwarder Kind = "forwarder" // hands on to another provider's mailbox
)

// Provider is one operator: the organisation that runs the receiving hosts.
type Provider struct {
	ID      string
	Name    string
	Kind    Kind
	MX      []Pattern // names that DNS gives as mail exchangers
	Hosts   []Pattern // names that are no MX but stand in its replies and reports
	Brands  []Brand   // first its own, under the operator's id, then those that fold into it
	Texts   []string  // other operators whose reply texts it also writes
	Shared  []string  // operators whose mailboxes its hosts serve too; the recipient's domain tells which
	Links   []Link
	Limits  []Limit
	Sources []string // keys of [Catalogue.Source]
	Note    string   // for maintainers
}

// Brand is a name on mailboxes, the only thing that users know of a provider.
type Brand struct {
	ID      string
	Name    string
	Domains []Domain
	Also    []string // domains of users that are met at this operator's hosts too, while they belong elsewhere
	Sources []string
	Note    string
}

// Domain is a recipient domain and the time for which it belongs to the brand.
type Domain struct {
	Name  string // lower case, A-labels; a leading dot means all names below it and itself
	From  time.Time
	Until time.Time // exclusive
}

// Pattern is the name of receiving hosts and the time for which it is in use.
type Pattern struct {
	Name  string // lower case; a leading dot means all names below it and itself, otherwise the whole name
	Until time.Time
	Brand string // id of the brand that alone is behind it, or ""
}

// LinkKind is what one finds behind a [Link].
type LinkKind string

// The kinds of links.
const (
	Postmaster LinkKind = "postmaster" // the page or address for people who send mail
	Form       LinkKind = "form"       // a form that reaches support
	Delist     LinkKind = "delist"     // asks for the removal of a block
	FBL        LinkKind = "fbl"        // enrolment in a feedback loop, or its data
	LimitsPage LinkKind = "limits"     // published limits, rules or reply codes
)

// Link is a way to the operator's people or pages.
type Link struct {
	Kind     LinkKind
	URL      string // https:, http: or mailto:
	Checked  string // date of the source that has it: YYYY, YYYY-MM or YYYY-MM-DD
	Doubtful bool   // from memory or an old page: say so where it is shown
	Brand    string // id of the brand that it is for alone, or ""
	Note     string
}

// Limit is a published or commonly used limit. Zero means that none is known.
type Limit struct {
	Connections int // simultaneous, per source address
	Messages    int // per connection
	Recipients  int // per message
	SizeMB      int // of a message
	Source      string
	Note        string
}

// Source is where an entry of the catalogue comes from.
type Source struct {
	Key  string
	URL  string // "" for what is known from practice only
	Read string // date of what was read: YYYY, YYYY-MM or YYYY-MM-DD
	Note string
}

// SenderPage gives the page on which the operator deals with a sender's trouble:
// its form, else its delisting page, else its postmaster page.
func (p *Provider) SenderPage() (Link, bool) {
	for _, kind := range []LinkKind{Form, Delist, Postmaster} {
		if l, ok := p.Link(kind); ok {
			return l, true
		}
	}
	return Link{}, false
}

// Link gives the operator's first link of a kind that is for all its brands, one
// that is certain before one that is doubtful.
func (p *Provider) Link(kind LinkKind) (Link, bool) {
	var found Link
	for _, l := range p.Links {
		if l.Kind != kind || l.Brand != "" {
			continue
		}
		if !l.Doubtful {
			return l, true
		}
		if found.URL == "" {
			found = l
		}
	}
	return found, found.URL != ""
}

// Brand gives the brand with that id.
func (p *Provider) Brand(id string) (Brand, bool) {
	for _, b := range p.Brands {
		if b.ID == id {
			return b, true
		}
	}
	return Brand{}, false
}
