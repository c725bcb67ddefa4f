package main

import (
	"fmt"
	"maps"
	"net"
	"strings"
	"time"

	"github.com/postroad/postroad/examples/mta"
)

// host is one receiving host. Where several cases share it, its answers are
// keyed by the recipient too, see [mta.Script].
type host struct {
	name, ip string
	greeting string // the name in its banner, where it differs
	size     int    // limit that it announces
	plain    bool   // offers no STARTTLS
	script   mta.Script
	deaf     bool // connecting times out
	closed   bool // nobody listens
}

// us is what the receivers know of us.
const us = mta.Address

// In the replies, @sender@ and @SENDER@ stand for the sender's domain.

// eop is how Exchange Online and Outlook.com sign their replies.
const eop = " [AM6EUR05FT003.eop-eur05.prod.protection.outlook.com]"

// hosts are the receiving hosts, by the short name that cases use. The names
// are genuine, the addresses are for documentation, the texts are those which
// the providers document or which their refusals are known to have.
var hosts = map[string]host{
	"yahoo-tss04": {name: "mta5.am0.yahoodns.net", ip: "192.0.2.73", greeting: "mtaproxy511.free.mail.bf1.yahoo.com", script: mta.Script{
		"mail": {Cut: true, Reply: "421 4.7.0 [TSS04] Messages from " + us + " temporarily deferred due to unexpected volume or user complaints - 4.16.55.1; see https://postmaster.yahooinc.com/error-codes"}}},
	"yahoo-socket": {name: "mx-aol.mail.gm0.yahoodns.net", ip: "192.0.2.74", greeting: "mtaproxy201.aol.mail.ne1.yahoo.com", script: mta.Script{
		"ehlo": {Cut: true, Reply: "421 4.4.2 Connection dropped due to SocketError"}}},
	"yahoo-expired": {name: "mx-eu.mail.am0.yahoodns.net", ip: "192.0.2.75", greeting: "mx-eu.mail.yahoo.com", script: mta.Script{
		"mail": {Reply: "550 5.4.300 Message expired -> 421 4.4.2 Connection dropped due to SocketError"}}},
	"yahoo-handshake": {name: "mta7.am0.yahoodns.net", ip: "192.0.2.77", greeting: "mtaproxy702.free.mail.gq1.yahoo.com", script: mta.Script{
		"tls": {Cut: true}}},
	"yahoo-cut": {name: "mx-apac.mail.gm0.yahoodns.net", ip: "192.0.2.76", greeting: "mx-apac.mail.yahoo.com", script: mta.Script{
		"starttls": {Cut: true}}},
	"outlook-sc001": {name: "hotmail-com.olc.protection.outlook.com", ip: "192.0.2.33", greeting: "BAY004-MC1F7.hotmail.com", script: mta.Script{
		"mail": {Reply: "550 SC-001 (BAY004-MC1F7) Unfortunately, messages from " + us + " weren't sent. Please contact your Internet service provider since part of their network is on our block list. You can also refer your provider to http://mail.live.com/mail/troubleshooting.aspx#errors."}}},
	"outlook-rp001": {name: "live-com.olc.protection.outlook.com", ip: "192.0.2.34", script: mta.Script{
		"banner": {Cut: true, Reply: "421 RP-001 (BLU004-MC1F5) Unfortunately, some messages from " + us + " weren't sent. Please try again. We have limits for how many messages can be sent per hour and per day. You can also refer to http://mail.live.com/mail/troubleshooting.aspx#errors."}}},
	"outlook-s3150": {name: "outlook-com.olc.protection.outlook.com", ip: "192.0.2.35", greeting: "AM6EUR05FT003.mail.protection.outlook.com", script: mta.Script{
		"mail": {Reply: "550 5.7.1 Unfortunately, messages from [" + us + "] weren't sent. Please contact your Internet service provider since part of their network is on our block list (S3150). You can also refer your provider to http://mail.live.com/mail/troubleshooting.aspx#errors." + eop}}},
	"outlook-s775": {name: "msn-com.olc.protection.outlook.com", ip: "192.0.2.36", greeting: "AM6EUR05FT003.mail.protection.outlook.com", script: mta.Script{
		"mail": {Reply: "451 4.7.650 The mail server [" + us + "] has been temporarily rate limited due to IP reputation. For e-mail delivery information, see https://postmaster.live.com (S775)" + eop}}},
	"outlook-515": {name: "eur.olc.protection.outlook.com", ip: "192.0.2.37", greeting: "AM6EUR05FT003.mail.protection.outlook.com", script: mta.Script{
		"final": {Reply: "550 5.7.515 Access denied, sending domain " + "@SENDER@" + " doesn't meet the required authentication level. The sender's domain in the 5322.From address doesn't meet the authentication requirements defined for the sender. To learn how to fix this see: https://go.microsoft.com/fwlink/p/?linkid=2319303 Spf= Fail , Dkim= Pass , DMARC= Fail" + eop}}},
	"tenant": {name: "fabrikam-example.mail.protection.outlook.com", ip: "192.0.2.38", greeting: "AM6EUR05FT003.mail.protection.outlook.com", script: mta.Script{
		"rcpt nobody@fabrikam.example": {Reply: "550 5.4.1 Recipient address rejected: Access denied. For more information see https://aka.ms/EXOSmtpErrors" + eop},
		"final info@fabrikam.example":  {Reply: "550 5.7.509 Access denied, sending domain @sender@ does not pass DMARC verification and has a DMARC policy of reject." + eop}}},
	"gmail": {name: "gmail-smtp-in.l.google.com", ip: "192.0.2.27", greeting: "mx.google.com", size: 157286400, script: mta.Script{
		"rcpt full.example@gmail.com": {Reply: "552-5.2.2 The recipient's inbox is out of storage space. Please direct the\n552-5.2.2 recipient to\n552 5.2.2  https://support.google.com/mail/?p=OverQuotaPerm 4fb4d7f45d1cf-5d9a1b2c3d4si1234567a12.34 - gsmtp"},
		"final anna.example@gmail.com": {Reply: "550-5.7.26 Your email has been blocked because the sender is unauthenticated.\n" +
			"550-5.7.26 Gmail requires all senders to authenticate with either SPF or DKIM.\n550-5.7.26 \n" +
			"550-5.7.26  Authentication results:\n550-5.7.26  DKIM = did not pass\n" +
			"550-5.7.26  SPF [@sender@] with ip: [" + us + "] = did not pass\n550-5.7.26 \n" +
			"550-5.7.26  For instructions on setting up authentication, go to\n" +
			"550 5.7.26  https://support.google.com/mail/answer/81126#authentication 4fb4d7f45d1cf-5d9a1b2c3d4si1234567a12.34 - gsmtp"}}},
	"gmx": {name: "mx00.emig.gmx.net", ip: "192.0.2.15", script: mta.Script{
		"banner": {Cut: true, Reply: "554-gmx.net (mxgmx101) Nemesis ESMTP Service not available\n554-No SMTP service\n554-IP address is block listed.\n554 For explanation visit https://postmaster.gmx.net/en/case?c=r0601&i=ip&v=" + us + "&r=1MqJ2T-1sVb8L3YpR-00mUqC"}}},
	"t-online": {name: "mx01.t-online.de", ip: "192.0.2.16", script: mta.Script{
		"banner": {Cut: true, Reply: "554 IP=" + us + " - None/bad reputation. Ask your postmaster for help or to contact tosa@rx.t-online.de for reset. (NOWL)"}}},
	"orange": {name: "smtp-in.orange.fr", ip: "192.0.2.17", greeting: "mwinf5c63.orange.fr", script: mta.Script{
		"ehlo": {Cut: true, Reply: "421 mwinf5c63 ME Trop de connexions, veuillez verifier votre configuration. Too many connections, slow down. OFR005_104 [104]"}}},
	"small": {name: "mx.example.com", ip: "203.0.113.10", size: 10240000, script: mta.Script{
		"rcpt unknown@example.com": {Reply: "550 5.1.1 <unknown@example.com>: Recipient address rejected: User unknown in virtual mailbox table"},
		"rcpt full@example.com":    {Reply: "452 4.2.2 <full@example.com>: Recipient address rejected: Mailbox is full / Blocks limit exceeded / Inode limit exceeded"},
		"final spam@example.com":   {Reply: "554 5.7.1 Spam message rejected"}}},
	"grey": {name: "mail.example.net", ip: "203.0.113.20", script: mta.Script{
		"rcpt":                     {Reply: "450 4.2.0 <grey@example.net>: Recipient address rejected: Greylisted, see http://postgrey.schweikert.ch/help/example.net.html"},
		"rcpt blocked@example.net": {Reply: "554 5.7.1 Service unavailable; Client host [" + us + "] blocked using zen.spamhaus.org; https://www.spamhaus.org/query/ip/" + us}}},
	"tiny":     {name: "mx.tiny.example", ip: "203.0.113.30", size: 1000},
	"plain":    {name: "mx.oldschool.example", ip: "203.0.113.40", plain: true},
	"must-tls": {name: "mx.bank.example", ip: "203.0.113.50", script: mta.Script{"mail": {Reply: "530 5.7.0 Must issue a STARTTLS command first"}}},
	"deaf":     {name: "mx.faraway.example", ip: "203.0.113.60", deaf: true},
	"closed":   {name: "mx.closed.example", ip: "203.0.113.70", closed: true},
	"hangs":    {name: "mx.slow.example", ip: "203.0.113.80", script: mta.Script{"final": {Hold: 4 * time.Second, Cut: true}}},
}

// zoneOnly are domains whose trouble is in DNS.
var zoneOnly = map[string][]string{
	"broken.example": {"SERVFAIL"},
	"nomail.example": {"MX 0 ."},
}

// person is who sends, and from where.
type person struct{ name, address, domain, host string }

var (
	bakery  = person{"Corner Bakery", "orders@bakery.example", "bakery.example", "mail.bakery.example"}
	hosting = person{"Atelier Lumi\u00e8re", "info@atelier.example", "atelier.example", "srv7.hosting.example"}
)

// zone gives the DNS in which a round happens.
func zone(r *round) map[string][]string {
	z := map[string][]string{
		r.from.domain:   {"MX 10 " + r.from.host},
		r.from.host:     {"A " + us},
		mta.Reverse(us): {"PTR " + r.from.host},
	}
	maps.Copy(z, zoneOnly)
	for _, c := range r.cases {
		if h, ok := hosts[c.via]; ok {
			_, domain, _ := strings.Cut(c.to, "@")
			z[domain] = []string{"MX 5 " + h.name}
			z[h.name] = []string{"A " + h.ip}
			z[mta.Reverse(h.ip)] = []string{"PTR " + h.name}
		}
	}
	return z
}

// receive starts the receiving hosts of a round.
func receive(cell *mta.Cell, r *round) error {
	names := strings.NewReplacer("@sender@", r.from.domain, "@SENDER@", strings.ToUpper(r.from.domain))
	started := make(map[string]bool)
	for _, c := range r.cases {
		h, ok := hosts[c.via]
		if !ok || started[c.via] || h.closed {
			continue
		}
		started[c.via] = true
		addr := net.JoinHostPort(h.ip, "25")
		if h.deaf {
			if err := cell.Deaf(addr); err != nil {
				return err
			}
			continue
		}
		l, err := cell.Listen(addr)
		if err != nil {
			return err
		}
		go func() { _ = h.receiver(names).Serve(l) }()
	}
	return nil
}

func (h *host) receiver(names *strings.Replacer) *mta.Receiver {
	size := h.size
	if size == 0 {
		size = 52428800
	}
	r := &mta.Receiver{Host: h.name, TLS: !h.plain, Script: make(mta.Script),
		Extensions: []string{fmt.Sprintf("SIZE %d", size), "PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES"}}
	if h.greeting != "" {
		r.Host = h.greeting
	}
	for key, answer := range h.script {
		answer.Reply = names.Replace(answer.Reply)
		r.Script[key] = answer
	}
	return r
}
