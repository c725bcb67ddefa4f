package explain_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/postroad/postroad/explain"
	"github.com/postroad/postroad/mail"
)

// ten are the replies that mature classifiers get wrong; docs/classes.md says
// why each has its class.
var ten = []struct {
	name, reply  string
	class        mail.Class
	contributing []mail.Class
	outcome      mail.Outcome
	recipient    string
	host, ip     string // of the receiver, in evidence that names one
	provider     string // with host or domain
	bare         string // provider that the text alone shows, "" for none
}{
	{"expired-socketerror", "550 5.4.300 Message expired -> 421 4.4.2 Connection dropped due to SocketError",
		mail.Transport, nil, mail.Permanent, "usuario@yahoo.com", "mx-eu.mail.am0.yahoodns.net", "188.125.72.73", "yahoo", ""},
	{"socketerror", "421 4.4.2 Connection dropped due to SocketError",
		mail.Transport, nil, mail.Temporary, "usuario@aol.com", "mx-aol.mail.gm0.yahoodns.net", "67.195.204.80", "yahoo", ""},
	{"sc-001", "550 SC-001 (BAY004-MC1F7) Unfortunately, messages from 192.0.2.25 weren't sent. Please contact your Internet service provider since part of their network is on our block list.",
		mail.ReputationIP, nil, mail.Permanent, "anna@hotmail.com", "mx2.hotmail.com", "65.54.188.72", "outlook", "outlook"},
	{"s3150", "550 5.7.1 Unfortunately, messages from [192.0.2.25] weren't sent. Please contact your Internet service provider since part of their network is on our block list (S3150). You can also refer your provider to http://mail.live.com/mail/troubleshooting.aspx#errors. [AM6EUR05FT003.eop-eur05.prod.protection.outlook.com]",
		mail.ReputationIP, nil, mail.Permanent, "anna@outlook.com", "outlook-com.olc.protection.outlook.com", "104.47.0.33", "outlook", "outlook"},
	{"rp-001", "421 RP-001 (BLU004-MC1F5) Unfortunately, some messages from 192.0.2.25 weren't sent. Please try again. We have limits for how many messages can be sent per hour and per day.",
		mail.Throttling, nil, mail.Temporary, "anna@live.com", "mx3.hotmail.com", "65.55.33.135", "outlook", "outlook"},
	{"rp-001-doubled", "421 421 RP-001 (BLU004-MC1F5) Unfortunately, some messages from 192.0.2.25 weren't sent. Please try again. We have limits for how many messages can be sent per hour and per day.",
		mail.Throttling, nil, mail.Temporary, "anna@msn.com", "mx3.hotmail.com", "65.55.33.135", "outlook", "outlook"},
	{"tss04", "421 4.7.0 [TSS04] Messages from 192.0.2.25 temporarily deferred due to unexpected volume or user complaints - 4.16.55.1; see https://postmaster.yahooinc.com/error-codes",
		mail.Throttling, []mail.Class{mail.ReputationIP}, mail.Temporary, "usuario@yahoo.com", "mta7.am0.yahoodns.net", "67.195.204.77", "yahoo", "yahoo"},
	{"s775", "451 4.7.650 The mail server [192.0.2.25] has been temporarily rate limited due to IP reputation. For e-mail delivery information, see https://postmaster.live.com (S775) [AM6EUR05FT003.eop-eur05.prod.protection.outlook.com]",
		mail.Throttling, []mail.Class{mail.ReputationIP}, mail.Temporary, "anna@hotmail.com", "hotmail-com.olc.protection.outlook.com", "104.47.0.33", "outlook", "outlook"},
	{"gmail-5.7.26", "550-5.7.26 Your email has been blocked because the sender is unauthenticated.\n550-5.7.26 Gmail requires all senders to authenticate with either SPF or DKIM.\n550-5.7.26\n550-5.7.26  Authentication results:\n550-5.7.26  DKIM = did not pass\n550-5.7.26  SPF [example.com] with ip: [192.0.2.25] = did not pass\n550 5.7.26  https://support.google.com/mail/answer/81126#authentication 4fb4d7f45d1cf-5d9 - gsmtp",
		mail.Authentication, nil, mail.Permanent, "anna@gmail.com", "gmail-smtp-in.l.google.com", "142.250.102.27", "google", "google"},
	{"5.7.515", "550 5.7.515 Access denied, sending domain example.com doesn't meet the required authentication level. The sender's domain in the 5322.From address doesn't meet the authentication requirements defined for the sender. Spf= Fail , Dkim= Fail , DMARC= Fail [AM6EUR05FT003.eop-eur05.prod.protection.outlook.com]",
		mail.Authentication, nil, mail.Permanent, "anna@outlook.com", "outlook-com.olc.protection.outlook.com", "104.47.0.33", "outlook", "outlook"},
	{"5.7.509", "550 5.7.509 Access denied, sending domain example.com does not pass DMARC verification and has a DMARC policy of reject. [AM6EUR05FT003.eop-eur05.prod.protection.outlook.com]",
		mail.Authentication, nil, mail.Permanent, "anna@contoso.example", "contoso-example.mail.protection.outlook.com", "104.47.0.33", "exchange-online", "exchange-online"},
}

// flat is a reply as logs and tables write it: in one line.
func flat(reply string) string { return strings.ReplaceAll(reply, "\n", " ") }

func TestTheTenReplies(t *testing.T) {
	for _, c := range ten {
		code := c.reply[:3]
		severity := map[byte]string{'4': "deferred", '5': "bounced"}[code[0]]
		dsn := code[:1] + ".0.0"
		wrappers := map[string]struct {
			text    string
			kind    explain.Kind
			outcome mail.Outcome
		}{
			"bare": {c.reply, explain.KindReply, c.outcome},
			"postfix said": {fmt.Sprintf("host %s[%s] said: %s (in reply to end of DATA command)", c.host, c.ip, flat(c.reply)),
				explain.KindReply, c.outcome},
			"postfix log": {fmt.Sprintf("Jan 22 09:10:11 mail postfix/smtp[4711]: 4TJkXl0Qz3z9sW: to=<%s>, relay=%s[%s]:25, delay=3.2, delays=0.1/0/2/1.1, dsn=%s, status=%s (host %s[%s] said: %s (in reply to end of DATA command))",
				c.recipient, c.host, c.ip, dsn, severity, c.host, c.ip, flat(c.reply)), explain.KindLog, c.outcome},
			"exim log": {eximLine(c.recipient, c.host, c.ip, c.reply), explain.KindLog, c.outcome},
			"dsn":      {dsnMail(c.recipient, c.host, c.reply), explain.KindBounce, mail.Permanent},
		}
		for name, text := range copied(c.recipient, c.host, c.ip, c.reply) {
			kind := explain.KindBounce
			if strings.HasPrefix(name, "bare") {
				kind = explain.KindReply
			} else if strings.HasPrefix(name, "log") {
				kind = explain.KindLog
			}
			wrappers[name] = struct {
				text    string
				kind    explain.Kind
				outcome mail.Outcome
			}{text, kind, c.outcome}
		}
		for lang := range ndrWords {
			wrappers["exchange classic "+lang] = struct {
				text    string
				kind    explain.Kind
				outcome mail.Outcome
			}{classicNDR(lang, c.recipient, c.host, c.reply), explain.KindBounce, c.outcome}
			wrappers["exchange logo "+lang] = struct {
				text    string
				kind    explain.Kind
				outcome mail.Outcome
			}{logoNDR(lang, c.recipient, c.host, c.reply), explain.KindBounce, mail.Permanent}
		}
		for name, w := range wrappers {
			t.Run(c.name+"/"+name, func(t *testing.T) {
				a := answer(t, w.text)
				if a.Kind != w.kind || len(a.Results) != 1 {
					t.Fatalf("kind %s with %d results, want %s with 1\n%s", a.Kind, len(a.Results), w.kind, w.text)
				}
				r := a.Results[0]
				if r.Diagnosis.Class != c.class || !slices.Equal(r.Diagnosis.Contributing, nonNil(c.contributing)) {
					t.Errorf("class %s %v (rule %q), want %s %v", r.Diagnosis.Class, r.Diagnosis.Contributing, r.Diagnosis.Rule, c.class, c.contributing)
				}
				if r.Outcome != w.outcome {
					t.Errorf("outcome %s, want %s", r.Outcome, w.outcome)
				}
				want := c.provider
				if strings.HasPrefix(name, "bare") {
					want = c.bare
				}
				got := ""
				if r.Provider != nil {
					got = r.Provider.ID
				}
				if got != want {
					t.Errorf("provider %q, want %q", got, want)
				}
				if !strings.HasPrefix(name, "bare") && name != "postfix said" && r.Recipient != c.recipient {
					t.Errorf("recipient %q, want %q", r.Recipient, c.recipient)
				}
				if r.Code == nil || fmt.Sprint(*r.Code) != code {
					t.Errorf("code %v, want %s", r.Code, code)
				}
			})
		}
	}
}

// copied gives the reply as people copy it: in marks of quotation, from tables
// cell by cell, with the fields of the delivery status; and logs of what was
// given up. The outcome is the reply's own.
func copied(recipient, host, ip, reply string) map[string]string {
	line, code := flat(reply), reply[:3]
	table := "Your message to " + recipient + " couldn't be delivered.\n\nMore Info for Email Admins\n\nStatus code: " + code + " " + code[:1] + ".0.0\n\n" +
		"Original Message Details\nCreated Date:\n1/22/2024 9:00:00 AM\nSender Address:\nsender@example.com\nRecipient Address:\n" + recipient + "\nSubject:\nOffer\n\n" +
		"Error Details\nError:\n" + line + "\nMessage rejected by:\n" + host + "\n\nNotification Details\nSent by:\nGBRP265MB4567.GBRP265.PROD.OUTLOOK.COM\n"
	receiving := "Delivery has failed to these recipients or groups:\n\n" + recipient + "\n\nDiagnostic information for administrators:\n\n" +
		"Generating server: GBRP265MB4567.GBRP265.PROD.OUTLOOK.COM\nReceiving server: " + host + " (" + ip + ")\n\n" + recipient + "\nRemote Server returned '" + line + "'\n\nOriginal message headers:\n\nFrom: sender@example.com\n"
	out := map[string]string{
		"bare in quotation marks":                     "\"" + line + "\"\n",
		"bare in German marks":                        "\u201e" + line + "\u201c",
		"bare lines in marks":                         "'" + reply + "'\n",
		"bare with a mark of byte order and brackets": "\ufeff<" + line + ">\n",
		"bare quoted by mail":                         "> " + line + "\n",
		"bare behind a word":                          "Error: " + line,
		"table copied cell by cell":                   table,
		"receiving server":                            receiving,
		"reply with the fields of its status": line + "\n\nFinal-Recipient: rfc822; " + recipient + "\nAction: failed\nStatus: " + code[:1] + ".0.0\nRemote-MTA: dns; " + host +
			"\nDiagnostic-Code: smtp; " + line + "\n",
	}
	if code[0] == '4' {
		out["log of Postfix, expired"] = fmt.Sprintf("Jan 22 09:10:11 mail postfix/smtp[4711]: 4TJkXl0Qz3z9sW: to=<%s>, relay=%s[%s]:25, delay=432000, delays=1/0/2/1.1, dsn=4.0.0, status=expired (host %s[%s] refused to talk to me: %s)",
			recipient, host, ip, host, ip, line)
		out["log of Exim, expired"] = fmt.Sprintf("2024-01-22 09:10:11 1rRpqR-0001Ab-2C ** %s R=dnslookup T=remote_smtp H=%s [%s]: SMTP error from remote mail server after initial connection: %s: retry timeout exceeded",
			recipient, host, ip, line)
	}
	return out
}

func nonNil(c []mail.Class) []mail.Class {
	if c == nil {
		return []mail.Class{}
	}
	return c
}

func eximLine(recipient, host, ip, reply string) string {
	mark, what := "**", ""
	if reply[0] == '4' {
		mark, what = "==", " defer (-46)"
	}
	escaped := strings.ReplaceAll(reply, "\n", `\n`)
	return fmt.Sprintf("2024-01-22 09:10:11 1rRpqR-0001Ab-2C %s %s R=dnslookup T=remote_smtp H=%s [%s]%s: SMTP error from remote mail server after end of data: %s",
		mark, recipient, host, ip, what, escaped)
}

func dsnMail(recipient, host, reply string) string {
	folded := strings.ReplaceAll(reply, "\n", "\n    ")
	return "Return-Path: <>\nFrom: MAILER-DAEMON@mail.example.com (Mail Delivery System)\nTo: sender@example.com\n" +
		"Subject: Undelivered Mail Returned to Sender\nDate: Mon, 22 Jan 2024 09:10:11 +0100\nAuto-Submitted: auto-replied\n" +
		"MIME-Version: 1.0\nContent-Type: multipart/report; report-type=delivery-status; boundary=\"b1\"\n\n" +
		"--b1\nContent-Type: text/plain; charset=us-ascii\n\nYour message could not be delivered.\n\n" +
		"--b1\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mail.example.com\nArrival-Date: Mon, 22 Jan 2024 09:10:00 +0100\n\n" +
		"Final-Recipient: rfc822; " + recipient + "\nAction: failed\nStatus: 5.0.0\nRemote-MTA: dns; " + host + "\nDiagnostic-Code: smtp; " + folded + "\n\n" +
		"--b1\nContent-Type: message/rfc822\n\nFrom: sender@example.com\nTo: " + recipient + "\nSubject: Offer\nMessage-ID: <1@example.com>\nDate: Mon, 22 Jan 2024 09:10:00 +0100\n\nHello\n\n--b1--\n"
}

// ndrWords are the words that Exchange puts round the reply, by language, as
// seen in Microsoft's notices; the reply itself stays English.
var ndrWords = map[string]struct{ subject, intro, diagnostics, generating, returned, headers string }{
	"en": {"Undeliverable:", "Delivery has failed to these recipients or groups:", "Diagnostic information for administrators:", "Generating server:", "Remote Server returned '%s'", "Original message headers:"},
	"fr": {"Non remis :", "Échec de la remise pour ces destinataires ou groupes :", "Informations de diagnostic pour les administrateurs :", "Serveur de génération :", "Le serveur distant a renvoyé '%s'", "En-têtes de message d'origine :"},
	"it": {"Non recapitabile:", "Il recapito non è riuscito per i seguenti destinatari o gruppi:", "Informazioni di diagnostica per gli amministratori:", "Server di generazione:", "Il server remoto ha restituito '%s'", "Intestazioni originali del messaggio:"},
	"pt": {"Não é possível entregar:", "Falha na entrega para estes destinatários ou grupos:", "Informações de diagnóstico para administradores:", "Servidor gerador:", "O servidor remoto retornou '%s'", "Cabeçalhos da mensagem original:"},
	"es": {"No se pudo entregar:", "No se pudo realizar la entrega a estos destinatarios o grupos:", "Información de diagnóstico para administradores:", "Servidor de generación:", "El servidor remoto devolvió '%s'", "Encabezados de mensaje originales:"},
	"de": {"Unzustellbar:", "Fehler bei der Nachrichtenzustellung an folgende Empfänger oder Gruppen:", "Diagnoseinformationen für Administratoren:", "Generierender Server:", "Der Remoteserver hat „%s“ zurückgegeben", "Ursprüngliche Nachrichtenkopfzeilen:"},
}

const ndrHead = "Return-Path: <>\nReceived: from mail.example.com (192.0.2.9) by GBRP265MB4567.example.prod.outlook.com (2603:10a6::1) with HTTPS; Tue, 3 Sep 2025 12:34:57 +0000\n" +
	"From: <postmaster@contoso.example>\nTo: sender@contoso.example\nDate: Tue, 2 Sep 2025 12:34:56 +0000\nMIME-Version: 1.0\n" +
	"X-MS-Exchange-Message-Is-Ndr:\nMessage-ID: <n1@GBRP265MB4567.GBRP265.PROD.OUTLOOK.COM>\nSubject: %s Offer\n"

// classicNDR is the layout without pictures, all of it in text, no
// delivery-status part.
func classicNDR(lang, recipient, host, reply string) string {
	w := ndrWords[lang]
	return fmt.Sprintf(ndrHead, w.subject) + "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n" +
		w.intro + "\n\n" + recipient + "\n\n" + w.diagnostics + "\n\n" + w.generating + " GBRP265MB4567.GBRP265.PROD.OUTLOOK.COM\n\n" +
		recipient + "\n" + host + "\n" + fmt.Sprintf(w.returned, flat(reply)) + "\n\n" + w.headers + "\n\n" +
		"Received: from GBRP265MB1111.GBRP265.PROD.OUTLOOK.COM (2603:10a6::2) by\n GBRP265MB4567.GBRP265.PROD.OUTLOOK.COM (2603:10a6::1) with Microsoft SMTP Server; Mon, 1 Sep 2025 12:34:00 +0000\n" +
		"From: Sender <sender@contoso.example>\nTo: " + recipient + "\nSubject: Offer\nDate: Mon, 1 Sep 2025 12:33:59 +0000\nMessage-ID: <o1@GBRP265MB1111.GBRP265.PROD.OUTLOOK.COM>\n"
}

// logoNDR is the newer layout with a delivery-status part.
func logoNDR(lang, recipient, host, reply string) string {
	w := ndrWords[lang]
	return fmt.Sprintf(ndrHead, w.subject) + "Content-Type: multipart/report; report-type=delivery-status; boundary=\"n1\"\n\n" +
		"--n1\nContent-Type: text/html; charset=utf-8\n\n<html><body><p>" + w.intro + "</p><p>" + recipient + "</p><p>" + w.diagnostics + "</p></body></html>\n\n" +
		"--n1\nContent-Type: message/delivery-status\n\nReporting-MTA: dns;GBRP265MB4567.GBRP265.PROD.OUTLOOK.COM\nReceived-From-MTA: dns;GBRP265MB1111.GBRP265.PROD.OUTLOOK.COM\nArrival-Date: Mon, 1 Sep 2025 12:34:00 +0000\n\n" +
		"Final-Recipient: rfc822; " + recipient + "\nAction: failed\nStatus: 5.4.300\nRemote-MTA: dns; " + host + "\nDiagnostic-Code: smtp;" + flat(reply) + "\n\n" +
		"--n1\nContent-Type: message/rfc822\n\nFrom: Sender <sender@contoso.example>\nTo: " + recipient + "\nSubject: Offer\nMessage-ID: <o1@GBRP265MB1111.GBRP265.PROD.OUTLOOK.COM>\n\nHello\n\n--n1--\n"
}
