package dossier

import (
	"strconv"
	"strings"

	"github.com/postroad/postroad/lang"
	"github.com/postroad/postroad/mail"
)

// asks prints what is asked, numbered.
func (t *ticket) asks() {
	bad, good := t.split(t.Addresses)
	failing, _ := t.split(t.Sources)
	if failing == "" {
		var all []string
		for _, s := range t.Sources {
			all = append(all, server("", first(s)))
		}
		failing = t.list(all, 0)
	}
	args := lang.Args{
		"Provider": t.Provider, "Domains": t.list(t.Domains, t.MoreDomains), "Sources": failing, "Bad": "", "Good": "",
	}
	if bad != "" && good != "" {
		args["Bad"], args["Good"] = bad, good
	}
	t.title(t.text("ticket.title.ask", nil))
	n := 0
	for _, key := range t.questions() {
		for i := 1; t.t.Has(key + "." + strconv.Itoa(i)); i++ {
			if k := key + "." + strconv.Itoa(i); t.complete(k, args) {
				n++
				t.hang("  "+strconv.Itoa(n)+". ", t.text(k, args))
			}
		}
	}
}

// questions picks the series of questions by addressee, class and whether it is over.
func (t *ticket) questions() []string {
	if !t.Ended.IsZero() {
		return []string{"ticket.ask.over"}
	}
	if t.o.To == Own {
		switch t.Class {
		case mail.Transport, mail.TLS, mail.DNS, mail.System, mail.Expired, mail.Protocol, mail.Unknown:
			return []string{"ticket.own.path"}
		case mail.Throttling, mail.Greylisting, mail.ReputationIP, mail.Blocklist:
			return []string{"ticket.own.trust"}
		}
		return []string{"ticket.own.other"}
	}
	switch t.Class {
	case mail.Transport, mail.TLS, mail.DNS, mail.Throttling, mail.Greylisting, mail.Authentication:
		return []string{"ticket.ask." + string(t.Class)}
	case mail.ReputationIP:
		return []string{"ticket.ask.reputation"}
	case mail.Blocklist:
		return []string{"ticket.ask.blocklist", "ticket.ask.reputation"}
	case mail.ReputationDomain, mail.Content:
		return []string{"ticket.ask.judged"}
	case mail.Policy, mail.Size, mail.SenderRejected, mail.Protocol, mail.RelayDenied:
		return []string{"ticket.ask.rule"}
	case mail.RecipientUnknown, mail.RecipientInactive, mail.MailboxFull:
		return []string{"ticket.ask.recipient"}
	}
	return []string{"ticket.ask.system"}
}

// split names the addresses that fail and those that take what they get; what
// is between is in neither.
func (t *ticket) split(list []Tally) (bad, good string) {
	var b, g []string
	for _, a := range list {
		switch all := a.Delivered + a.Failed; {
		case a.Failed > 0 && a.Failed*2 >= all:
			b = append(b, first(a))
		case a.Delivered > 0 && a.Failed*20 <= all:
			g = append(g, first(a))
		}
	}
	return t.list(b, 0), t.list(g, 0)
}

// first is the address, or the host where no address is known.
func first(a Tally) string {
	if a.Address != "" {
		return a.Address
	}
	return strings.TrimSuffix(a.Host, ".")
}
