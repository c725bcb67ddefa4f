package bounce

import (
	"strings"
	"testing"

	"github.com/postroad/postroad/mail"
	"github.com/postroad/postroad/message"
)

// tenReplies are the ten replies that mature classifiers get wrong. The reader
// of bounces has only to hand them on whole.
var tenReplies = []struct {
	name, reply string
	code        int
	enhanced    string
}{
	{"expired", "550 5.4.300 Message expired -> 421 4.4.2 Connection dropped due to SocketError", 550, "5.4.300"},
	{"dropped", "421 4.4.2 Connection dropped due to SocketError", 421, "4.4.2"},
	{"sc-001", "550 SC-001 (BAY004-MC1F7) Unfortunately, messages from 192.0.2.1 weren't sent. Please contact your Internet service provider since part of their network is on our block list.", 550, ""},
	{"s3150", "550 5.7.1 Unfortunately, messages from [192.0.2.1] weren't sent. Please contact your Internet service provider since part of their network is on our block list (S3150).", 550, "5.7.1"},
	{"rp-001", "421 RP-001 (BLU004-MC1F5) Unfortunately, some messages from 192.0.2.1 weren't sent. Please try again. We have limits for how many messages can be sent per hour and per day.", 421, ""},
	{"tss04", "421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user complaints - 4.16.55.1; see https://postmaster.example.com/error-codes", 421, "4.7.0"},
	{"s775", "451 4.7.650 The mail server [192.0.2.1] has been temporarily rate limited due to IP reputation. For e-mail delivery information, see https://aka.ms/postmaster (S775)", 451, "4.7.650"},
	{"gmail-auth", "550-5.7.26 Your email has been blocked because the sender is unauthenticated.\n550-5.7.26 Gmail requires all senders to authenticate with either SPF or DKIM.\n550 5.7.26 https://support.example.com/mail/answer/81126 - gsmtp", 550, "5.7.26"},
	{"515", "550 5.7.515 Access denied, sending domain contoso.example doesn't meet the required authentication level.", 550, "5.7.515"},
	{"509", "550 5.7.509 Access denied, sending domain contoso.example does not pass DMARC verification and has a DMARC policy of reject.", 550, "5.7.509"},
}

// ndrWords are the words of the two layouts in the six languages.
var ndrWords = []struct {
	lang, subject, intro, diagnostics, generating, returned, closing, headers  string
	couldNot, details, sender, recipient, errorDetails, errorLabel, rejectedBy string
}{
	{"en", "Undeliverable: Lunch", "Delivery has failed to these recipients or groups:", "Diagnostic information for administrators:", "Generating server:", "Remote Server returned '", "'", "Original message headers:",
		"Your message to % couldn't be delivered.", "Original Message Details", "Sender Address:", "Recipient Address:", "Error Details", "Error:", "Message rejected by:"},
	{"fr", "Non remis : Repas", "Échec de la remise pour ces destinataires ou groupes :", "Informations de diagnostic pour les administrateurs :", "Serveur de génération :", "Le serveur distant a renvoyé « ", " »", "En-têtes de message d'origine :",
		"Votre message à % n’a pas pu être remis.", "Détails du message d’origine", "Adresse de l’expéditeur :", "Adresse du destinataire :", "Détails de l’erreur", "Erreur :", "Message rejeté par :"},
	{"it", "Non recapitabile: Pranzo", "Impossibile recapitare il messaggio ai seguenti destinatari o gruppi:", "Informazioni di diagnostica per gli amministratori:", "Server di generazione:", "Il server remoto ha restituito '", "'", "Intestazioni originali del messaggio:",
		"Il messaggio a % non è stato recapitato.", "Dettagli messaggio originale", "Indirizzo mittente:", "Indirizzo destinatario:", "Dettagli errore", "Errore:", "Messaggio rifiutato da:"},
	{"pt", "Não é possível entregar: Almoço", "A entrega falhou para estes destinatários ou grupos:", "Informações de diagnóstico para administradores:", "Servidor gerador:", "Servidor remoto retornou '", "'", "Cabeçalhos da mensagem original:",
		"Sua mensagem para % não pôde ser entregue.", "Detalhes da mensagem original", "Endereço do remetente:", "Endereço do destinatário:", "Detalhes do erro", "Erro:", "Mensagem rejeitada por:"},
	{"es", "No se pudo entregar: Comida", "Error de entrega a estos destinatarios o grupos:", "Información de diagnóstico para administradores:", "Servidor de generación:", "El servidor remoto devolvió '", "'", "Encabezados de mensaje originales:",
		"No se pudo entregar su mensaje a %.", "Detalles del mensaje original", "Dirección del remitente:", "Dirección del destinatario:", "Detalles del error", "Error:", "Mensaje rechazado por:"},
	{"de", "Unzustellbar: Mittagessen", "Fehler bei der Nachrichtenzustellung an folgende Empfänger oder Gruppen:", "Diagnoseinformationen für Administratoren:", "Generierender Server:", "Der Remoteserver hat „", "“ zurückgegeben", "Ursprüngliche Nachrichtenkopfzeilen:",
		"Ihre Nachricht an % konnte nicht zugestellt werden.", "Details der ursprünglichen Nachricht", "Absenderadresse:", "Empfängeradresse:", "Fehlerdetails", "Fehler:", "Nachricht abgelehnt von:"},
}

const (
	toWhom  = "bob@example.net"
	atHost  = "mx-eu.mail.example.net"
	byWhom  = "AM0PR01MB0001.eurprd01.prod.outlook.com"
	headers = "From: Anna <anna@contoso.example>\nTo: bob@example.net, dora@example.org\nCc: eve@example.edu\nSubject: Lunch\nMessage-ID: <m1@contoso.example>\n"
)

func classic(i int, reply string) string {
	w := ndrWords[i]
	return w.intro + "\n\nBob (" + toWhom + ")\n\n" + w.diagnostics + "\n\n" + w.generating + " " + byWhom + "\n\n" +
		toWhom + "\n" + atHost + "\n" + w.returned + reply + w.closing + "\n\n" + w.headers + "\n\n" + headers
}

func logo(i int, reply string) string {
	w := ndrWords[i]
	return strings.Replace(w.couldNot, "%", toWhom, 1) + "\n\n" + w.details + "\n" + w.sender + "\tanna@contoso.example\n" +
		w.recipient + "\t" + toWhom + "\n\n" + w.errorDetails + "\n" + w.errorLabel + "\t" + strings.ReplaceAll(reply, "\n", " ") + "\n" +
		w.rejectedBy + "\t" + atHost + "\n"
}

// ndr makes a mail of a notification.
func ndr(i int, text string) string {
	return "Return-Path: <>\nFrom: Microsoft Outlook <postmaster@contoso.example>\nTo: anna@contoso.example\nSubject: " + ndrWords[i].subject +
		"\nX-MS-Exchange-Message-Is-Ndr:\nContent-Language: " + ndrWords[i].lang + "\nContent-Type: text/plain; charset=utf-8\n\n" + text
}

func dsn(reply, status string) string {
	return "Return-Path: <>\nFrom: postmaster@contoso.example\nTo: anna@contoso.example\nSubject: Undeliverable\n" +
		"Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\nContent-Type: message/delivery-status\n\n" +
		"Reporting-MTA: dns;" + byWhom + "\n\nFinal-Recipient: rfc822;" + toWhom + "\nAction: failed\nStatus: " + status +
		"\nRemote-MTA: dns;" + atHost + "\nDiagnostic-Code: smtp;" + strings.ReplaceAll(reply, "\n", "\n ") + "\n\n--b\n" +
		"Content-Type: message/rfc822\n\n" + headers + "\nx\n--b--\n"
}

func TestTenReplies(t *testing.T) {
	for _, x := range tenReplies {
		t.Run(x.name+"/dsn", func(t *testing.T) {
			r := Read(message.Read([]byte(dsn(x.reply, "5.0.0")), message.Limits{}), Options{})
			checkReply(t, r, x.reply, x.code, x.enhanced, true)
			if r.Results[0].ReportingHost != strings.ToLower(byWhom) {
				t.Errorf("reporting host %q", r.Results[0].ReportingHost)
			}
		})
		for i, w := range ndrWords {
			t.Run(x.name+"/classic-"+w.lang, func(t *testing.T) {
				text := classic(i, x.reply)
				checkReply(t, Read(message.Read([]byte(ndr(i, text)), message.Limits{}), Options{}), x.reply, x.code, x.enhanced, false)
				checkReply(t, ReadText(text, Options{}), x.reply, x.code, x.enhanced, false)
			})
			t.Run(x.name+"/logo-"+w.lang, func(t *testing.T) {
				text := logo(i, x.reply)
				checkReply(t, Read(message.Read([]byte(ndr(i, text)), message.Limits{}), Options{}), x.reply, x.code, x.enhanced, true)
				checkReply(t, ReadText(text, Options{}), x.reply, x.code, x.enhanced, true)
			})
		}
	}
}

func checkReply(t *testing.T, r Report, reply string, code int, enhanced string, host bool) {
	t.Helper()
	if r.Kind != KindBounce || len(r.Results) != 1 || r.Results[0].Recipient != toWhom {
		t.Fatalf("%s for %q, want a bounce for %s", r.Kind, recipients(r.Results), toWhom)
	}
	b := r.Results[0]
	if b.Reply.Code != code || b.Reply.Enhanced != enhanced {
		t.Errorf("reply %d %s, want %d %s; %q", b.Reply.Code, b.Reply.Enhanced, code, enhanced, b.Diagnostic)
	}
	if b.Action != mail.ActionFailed || b.Outcome != outcomeOf(&b) || b.Outcome == mail.Delivered {
		t.Errorf("%s, %s, want failed", b.Action, b.Outcome)
	}
	flat := strings.Join(strings.Fields(reply), " ")
	if !strings.Contains(strings.Join(strings.Fields(b.Diagnostic), " "), flat) {
		t.Errorf("diagnostic %q lacks %q", b.Diagnostic, flat)
	}
	if host && b.RemoteHost != atHost {
		t.Errorf("remote host %q, want %q", b.RemoteHost, atHost)
	}
	if b.RemoteHost == strings.ToLower(byWhom) {
		t.Errorf("the generating server %q was taken for the remote host", b.RemoteHost)
	}
}
