package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf16"
)

// The traces of a tenant at Exchange Online, which nobody but Microsoft can make:
// put together by hand after the layouts of its exports, about one story. Three
// days of a company whose mail to Yahoo is dropped at some addresses: ten messages
// fail after a day, the rest is delivered.

// traced is one message of the story.
type traced struct {
	n       int
	at      time.Time
	from    string
	to      string
	subject string
	failed  bool
	tries   int // attempts that failed before the one that ended it
}

const (
	traceReply = "421 4.4.2 Connection dropped due to SocketError"
	traceEnd   = "550 5.4.300 Message expired -> " + traceReply
	traceHost  = "GBRP265MB3012.GBRP265.PROD.OUTLOOK.COM"
	tracePeer  = "mx-eu.mail.am0.yahoodns.net"
	traceLife  = 24*time.Hour + 14*time.Second // Exchange Online tries for a day
)

// traceStory has the ten first.
func traceStory() []traced {
	at := func(day, hour, minute, second int) time.Time {
		return time.Date(2025, 9, day, hour, minute, second, (second*137+minute*29+hour)*100_000, time.UTC)
	}
	people := []string{"anna.smith", "anne.lefevre", "marco.rossi", "joao.silva", "lucia.garcia", "jan.weber"}
	subjects := []string{"Quotation 2025-118", "Devis 2025-119", "Order confirmation 4411", "Re: Delivery date", "Invoice 2025-0931", "Visit next week"}
	var out []traced
	add := func(t traced) {
		t.n = len(out) + 1
		t.from = people[t.n%len(people)] + "@contoso.example"
		t.subject = subjects[t.n%len(subjects)]
		out = append(out, t)
	}
	// All between Monday 10:30 and Tuesday 16:00.
	for _, f := range []struct {
		at time.Time
		to string
	}{
		{at(1, 10, 34, 12), "usuario.ejemplo@yahoo.com"}, {at(1, 11, 2, 47), "anne.exemple@yahoo.fr"},
		{at(1, 13, 20, 5), "john.example@aol.com"}, {at(1, 14, 41, 33), "tom.example@sky.com"},
		{at(1, 15, 58, 20), "mario.esempio@yahoo.it"}, {at(2, 7, 12, 51), "usuario.ejemplo@yahoo.com"},
		{at(2, 8, 36, 2), "jane.example@yahoo.co.uk"}, {at(2, 11, 15, 44), "tina.example@ymail.com"},
		{at(2, 13, 9, 18), "john.example@aol.com"}, {at(2, 15, 47, 39), "tom.example@sky.com"},
	} {
		add(traced{at: f.at, to: f.to, failed: true, tries: 9})
	}
	// Yahoo's other addresses take mail, for the same people too; some after a retry.
	for _, d := range []struct {
		at    time.Time
		to    string
		tries int
	}{
		{at(1, 7, 50, 11), "usuario.ejemplo@yahoo.com", 0}, {at(1, 9, 31, 40), "john.example@aol.com", 0},
		{at(1, 12, 15, 3), "usuario.ejemplo@yahoo.com", 1}, {at(1, 16, 22, 57), "jane.example@yahoo.co.uk", 0},
		{at(2, 9, 48, 25), "tom.example@sky.com", 2}, {at(2, 14, 30, 8), "anne.exemple@yahoo.fr", 0},
		{at(2, 17, 12, 45), "usuario.ejemplo@yahoo.com", 0}, {at(3, 8, 5, 36), "john.example@aol.com", 0},
		{at(3, 10, 40, 19), "tina.example@ymail.com", 0},
	} {
		add(traced{at: d.at, to: d.to, tries: d.tries})
	}
	others := []string{"clara.example@gmail.com", "info@fabrikam.example", "bruno.exemple@orange.fr", "erika.beispiel@t-online.de",
		"max.beispiel@gmx.de", "david.example@gmail.com", "office@example.com", "emma.example@outlook.com"}
	for i := range 23 {
		add(traced{at: at(1+i/8, 7+(i*5)%11, (i*17)%60, (i*23)%60), to: others[i%len(others)]})
	}
	return out
}

func (t traced) messageID() string {
	return fmt.Sprintf("<GBRP265MB3012C0FFEE%014d@%s>", 1000+t.n, traceHost)
}

func (t traced) networkID() string {
	return fmt.Sprintf("5b1e%04x-77aa-4c1d-8f10-08dde9%06x", 0x1a00+t.n, 0x2b3c00+t.n)
}

func (t traced) bytes() int { return 14_000 + t.n*731 }

// attempts are when Exchange tried; the last one ended it.
func (t traced) attempts() []time.Time {
	after := []time.Duration{3 * time.Second, time.Minute, 6 * time.Minute, 16 * time.Minute, 46 * time.Minute, 2 * time.Hour,
		5 * time.Hour, 10 * time.Hour, 17 * time.Hour}
	var out []time.Time
	for i := range t.tries {
		out = append(out, t.at.Add(after[i]+time.Duration(t.n)*time.Second))
	}
	if t.failed {
		return append(out, t.at.Add(traceLife))
	}
	return append(out, t.at.Add(after[t.tries]+2*time.Second))
}

const traceStamp = "2006-01-02T15:04:05.0000000Z"

// traceSummary is the report that the portal offers first, in English and as the
// portal in French might give it: other names, other words, other dates.
func traceSummary(story []traced, french bool) [][]string {
	rows := [][]string{{"origin_timestamp_utc", "sender_address", "recipient_status", "message_subject", "total_bytes", "message_id",
		"network_message_id", "original_client_ip", "directionality", "connector_id", "delivery_priority"}}
	layout, failed, delivered := traceStamp, "Failed", "Delivered"
	if french {
		rows = [][]string{{"Horodatage d'origine UTC", "Adresse de l'exp\u00e9diteur", "\u00c9tat du destinataire", "Objet", "Taille",
			"ID de message", "ID de message r\u00e9seau", "IP client d'origine", "Direction", "ID de connecteur", "Priorit\u00e9"}}
		layout, failed, delivered = "02/01/2006 15:04:05", "\u00c9chec", "Remis"
	}
	for _, t := range story {
		status := delivered
		if t.failed {
			status = failed
		}
		rows = append(rows, []string{t.at.Format(layout), t.from, t.to + "##" + status, t.subject, fmt.Sprint(t.bytes()), t.messageID(),
			t.networkID(), "203.0.113.80", "Originating", "", "Normal"})
	}
	return rows
}

// traceDetail is the extended report: a row for each step. Only Yahoo was asked for.
func traceDetail(story []traced) [][]string {
	names := strings.Fields("date_time_utc client_ip client_hostname server_ip server_hostname source_context connector_id source event_id " +
		"internal_message_id message_id network_message_id recipient_address recipient_status total_bytes recipient_count " +
		"related_recipient_address reference message_subject sender_address return_path message_info directionality tenant_id " +
		"original_client_ip original_server_ip custom_data")
	rows := [][]string{names}
	for _, t := range story {
		if !slices.Contains(traceYahoo, t.to[strings.IndexByte(t.to, '@')+1:]) {
			continue
		}
		step := func(at time.Time, source, event, status string, more map[string]string) {
			cells := map[string]string{
				"date_time_utc": at.Format(traceStamp), "server_hostname": traceHost, "source": source, "event_id": event,
				"internal_message_id": fmt.Sprint(90_071_990_000 + t.n), "message_id": t.messageID(), "network_message_id": t.networkID(),
				"recipient_address": t.to, "recipient_status": status, "total_bytes": fmt.Sprint(t.bytes()), "recipient_count": "1",
				"message_subject": t.subject, "sender_address": t.from, "return_path": t.from, "directionality": "Originating",
				"tenant_id": "6f1d0b3a-2c44-4a5e-9d2b-0a7c1e5f9b10", "original_client_ip": "203.0.113.80",
			}
			for k, v := range more {
				cells[k] = v
			}
			row := make([]string, len(names))
			for i, name := range names {
				row[i] = cells[name]
			}
			rows = append(rows, row)
		}
		step(t.at, "STOREDRIVER", "RECEIVE", "", map[string]string{"client_hostname": traceHost, "client_ip": "203.0.113.80", "message_info": t.at.Format(traceStamp)})
		step(t.at.Add(400*time.Millisecond), "AGENT", "AGENTINFO", "", map[string]string{"custom_data": "S:AMA=SUM|v=0|action=|error=|atch=0;S:TRA=ETR"})
		tries := t.attempts()
		for i, at := range tries[:len(tries)-1] {
			ip := []string{"192.0.2.74", "192.0.2.75"}[(t.n+i)%2]
			step(at, "SMTP", "DEFER", fmt.Sprintf("[{LED=%s};{MSG=};{FQDN=%s};{IP=%s};{LRT=%s}]. OutboundProxyTargetIP: %s. OutboundProxyTargetHostName: %s",
				traceReply, tracePeer, ip, at.Format("1/2/2006 3:04:05 PM"), ip, tracePeer),
				map[string]string{"server_ip": ip, "server_hostname": tracePeer, "client_hostname": traceHost, "source_context": "08DDE92B3C00;" + at.Format(traceStamp) + ";0"})
		}
		end := tries[len(tries)-1]
		if t.failed {
			step(end, "ROUTING", "FAIL", traceEnd, map[string]string{"source_context": "QueueExpired"})
			step(end.Add(3*time.Second), "DSN", "DSN", "", map[string]string{"reference": fmt.Sprintf("<ndr%04d@%s>", t.n, traceHost), "recipient_address": t.from})
			continue
		}
		step(end, "SMTP", "SENDEXTERNAL", "250 2.0.0 ok dirdel", map[string]string{"server_ip": "192.0.2.7" + fmt.Sprint(1+t.n%3),
			"server_hostname": tracePeer, "client_hostname": traceHost})
	}
	return rows
}

var traceYahoo = []string{"yahoo.com", "yahoo.fr", "yahoo.it", "yahoo.co.uk", "ymail.com", "aol.com", "sky.com"}

// utf16Text is how the portal writes: two bytes a letter, the lower first.
func utf16Text(s string, mark bool) []byte {
	if mark {
		s = "\ufeff" + s
	}
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = append(b, byte(u), byte(u>>8))
	}
	return b
}

func table(rows [][]string, comma rune) (string, error) {
	var b strings.Builder
	w := csv.NewWriter(&b)
	w.Comma, w.UseCRLF = comma, true
	err := w.WriteAll(rows)
	return b.String(), err
}

// traces writes the folder.
func traces(out string) error {
	story := traceStory()
	slices.SortFunc(story, func(a, b traced) int { return a.at.Compare(b.at) })
	summary, e1 := table(traceSummary(story, false), ',')
	resume, e2 := table(traceSummary(story, true), ';')
	detail, e3 := table(traceDetail(story), ',')
	errs := []error{e1, e2, e3}
	write := func(name string, text []byte) {
		errs = append(errs, os.WriteFile(filepath.Join(out, name), text, 0o644))
	}
	write("summary.csv", utf16Text(summary, false))
	write("summary-fr.csv", utf16Text(resume, true))
	write("detail.csv", utf16Text(detail, false))
	for _, t := range story {
		switch {
		case !t.failed:
		case t.n == 1:
			write("ndr-en.eml", []byte(t.report("en-US", "Undeliverable: "+t.subject, "Delivery has failed to these recipients or groups:",
				"Your message couldn't be delivered. Despite repeated attempts the recipient's email system closed the connection.",
				"Diagnostic information for administrators:", "Generating server: ", "Remote Server returned ", "Original message headers:")))
		case t.n == 4:
			write("ndr-fr.eml", []byte(t.report("fr-FR", "Non remis : "+t.subject, "\u00c9chec de la remise pour ces destinataires ou groupes :",
				"Le message n'a pas pu \u00eatre remis. Malgr\u00e9 plusieurs tentatives, le syst\u00e8me de messagerie du destinataire a ferm\u00e9 la connexion.",
				"Informations de diagnostic pour les administrateurs :", "Serveur de g\u00e9n\u00e9ration : ", "Le serveur distant a renvoy\u00e9 ",
				"En-t\u00eates de message d'origine :")))
		}
	}
	return errors.Join(errs...)
}

// report is the NDR about a failed message, in the classic layout.
func (t traced) report(language, subject, title, text, diagnostic, server, returned, headers string) string {
	end := t.at.Add(traceLife)
	original := fmt.Sprintf("From: <%s>\nTo: <%s>\nSubject: %s\nDate: %s\nMessage-ID:\n %s\nContent-Language: %s\nMIME-Version: 1.0\n"+
		"Content-Type: text/plain; charset=\"utf-8\"\n", t.from, t.to, t.subject, t.at.Format(time.RFC1123Z), t.messageID(), language)
	return fmt.Sprintf(`Return-Path: <>
Received: from %[1]s (2001:db8:10a6:1::12)
 by GBRP265MB2290.GBRP265.PROD.OUTLOOK.COM with HTTPS; %[2]s
MIME-Version: 1.0
From: Microsoft Outlook
 <MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@contoso.example>
To: <%[3]s>
Date: %[2]s
Content-Type: multipart/report; report-type=delivery-status;
	boundary="_report_%[4]d_"
X-MS-Exchange-Message-Is-Ndr:
Content-Language: %[5]s
Message-ID: <ndr%04[4]d@%[1]s>
In-Reply-To:
 %[6]s
Subject: %[7]s
Auto-Submitted: auto-replied
X-Postroad-Example: written by hand after Microsoft's layout

--_report_%[4]d_
Content-Type: text/plain; charset="utf-8"
Content-Transfer-Encoding: 8bit

%[8]s

%[9]s<mailto:%[9]s>
%[10]s


%[11]s

%[12]s%[1]s

%[9]s
%[13]s
%[14]s'%[15]s'

%[16]s

%[17]s
--_report_%[4]d_
Content-Type: message/delivery-status

Reporting-MTA: dns;%[1]s
Received-From-MTA: dns;GBRP265MB2290.GBRP265.PROD.OUTLOOK.COM
Arrival-Date: %[18]s

Final-Recipient: rfc822;%[9]s
Action: failed
Status: 5.4.300
Remote-MTA: dns;%[13]s
Diagnostic-Code: smtp;%[15]s
Last-Attempt-Date: %[2]s

--_report_%[4]d_
Content-Type: text/rfc822-headers

%[17]s
--_report_%[4]d_--
`, traceHost, end.Format(time.RFC1123Z), t.from, t.n, language, t.messageID(), subject, title, t.to, text, diagnostic, server,
		tracePeer, returned, traceEnd, headers, original, t.at.Format(time.RFC1123Z))
}
