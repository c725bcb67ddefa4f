package analyze

import (
	"fmt"
	"strings"

	"github.com/postroad/postroad/dossier"
	"github.com/postroad/postroad/event"
	"github.com/postroad/postroad/explain"
	"github.com/postroad/postroad/lang"
	"github.com/postroad/postroad/mail"
)

// maxTickets is how many tickets are written at once; who has more troubles than
// that has one of their own.
const maxTickets = 10

// Tickets prints the support request of every incident that somebody else can
// do something about: not of addresses that do not exist.
func (p *Printer) Tickets(r *Report, full bool) error {
	var b strings.Builder
	written := 0
	for i := range r.Incidents {
		in := &r.Incidents[i]
		if in.Actor == mail.ActorRecipient || written == maxTickets {
			continue
		}
		written++
		c := in.Case(r)
		subject, body := dossier.Ticket(c, dossier.Options{Texts: p.Texts, Zone: p.Zone, Full: full})
		to, why := dossier.Addressee(&c)
		platform := c.Platform
		if platform == "" {
			platform = p.Texts.Text("ticket.platform.anon", nil)
		}
		head := p.Texts.Text("cli.ticket."+string(to), lang.Args{"Provider": in.Name, "Platform": platform, "Why": p.Texts.Text(why, nil)})
		fmt.Fprintf(&b, "\n%s\n\n%s\n\n%s", explain.Wrap("", head, p.width()), p.Texts.Text("cli.ticket.subject", lang.Args{"Subject": subject}), body)
	}
	_, err := p.W.Write([]byte(b.String()))
	return err
}

// Case gives an incident as the facts that a ticket is written from.
func (in *Incident) Case(r *Report) dossier.Case {
	c := dossier.Case{
		Provider: in.Name, ProviderID: in.Provider, Domains: in.RecipientDomains, MoreDomains: in.MoreRecipientDomains,
		Class: in.Class, Contributing: in.Contributing, Actor: in.Actor, Several: in.AtOnce,
		Began: in.Began, Detected: in.Detected, Until: in.Until,
		Messages: in.Messages, FailedMessages: in.FailedMessages, Attempts: in.Attempts, Failures: in.Failures,
		Waiting: in.Waiting, Rate: in.Rate, Baseline: in.BaselineRate,
		Senders: in.SenderDomains, Excluded: in.Why, Platform: r.Platform, Attachments: r.attached,
	}
	if in.Rate == nil {
		c.Messages = 0 // without deliveries in the input nothing is known of all messages
	}
	if in.Stage != nil {
		c.Stage = *in.Stage
	}
	if in.Ended != nil {
		c.Ended = *in.Ended
	}
	for _, s := range in.Relapses {
		span := dossier.Span{Began: s.Began}
		if s.Ended != nil {
			span.Ended = *s.Ended
		}
		c.Relapses = append(c.Relapses, span)
	}
	if in.After != nil {
		c.After = &dossier.After{Messages: in.After.Messages, Delivered: in.After.Delivered}
	}
	for _, t := range in.Addresses {
		c.Addresses = append(c.Addresses, dossier.Tally(t))
	}
	for _, t := range in.Sources {
		c.Sources = append(c.Sources, dossier.Tally(t))
	}
	for _, s := range in.whole {
		c.Samples = append(c.Samples, dossier.Sample{Time: s.Time, MessageID: s.MessageID, QueueID: s.QueueID,
			SenderDomain: s.SenderDomain, Recipient: s.Recipient, Host: s.Host, Address: s.Address,
			SourceHost: s.SourceHost, Source: s.Source, Reply: s.Reply, Evidence: s.Evidence})
	}
	if in.Link != nil {
		c.Link, c.Checked = in.Link.URL, in.Link.Checked
	}
	return c
}

// platforms are the names of the mail services whose servers a sender cannot
// see, by the begin of the format that their evidence has.
var platforms = [...]struct{ format, name string }{
	{"exchange-tracking", ""}, // an Exchange of one's own
	{"exchange-", "Exchange Online"},
	{"mailgun", "Mailgun"}, {"sendgrid", "SendGrid"}, {"ses-", "Amazon SES"}, {"postmark", "Postmark"},
	{"sparkpost", "SparkPost"}, {"mailjet", "Mailjet"}, {"mandrill", "Mailchimp Transactional"}, {"brevo", "Brevo"},
	{"mailersend", "MailerSend"}, {"resend", "Resend"}, {"mailtrap", "Mailtrap"},
}

// platform names the mail service that sends for the owner of the evidence; ""
// if any of it is the log of a server of their own.
func (p *Pile) platform() string {
	found := ""
	for id := uint32(others + 1); int(id) < p.formats.size(); id++ {
		format := p.formats.name(id)
		name, known := "", false
		for _, s := range platforms {
			if strings.HasPrefix(format, s.format) {
				name, known = s.name, true
				break
			}
		}
		switch {
		case strings.HasSuffix(format, "-log") || known && name == "":
			return ""
		case known:
			found = name
		}
	}
	return found
}

// writer gives the format of a bounce that the mail service of its owner wrote
// about a server elsewhere: it has seen the attempts, no server of the owner's
// has. What such a service writes of its own mailboxes, anyone may get.
func writer(b *event.Bounce, format string) string {
	const online = ".prod.outlook.com"
	host, remote := lower(b.ReportingHost), lower(b.RemoteHost)
	if strings.HasSuffix(host, online) && remote != "" && !strings.HasSuffix(remote, ".outlook.com") {
		return "exchange-online-bounce"
	}
	return format
}
