package bounce

import (
	"strings"

	"github.com/postroad/postroad/mail"
	"github.com/postroad/postroad/message"
)

// envelope is what the header of a mail says about what kind of mail it is.
type envelope struct {
	h         message.Header
	from      string // the address of From, lower case
	subject   string // in lower case
	nullPath  bool   // Return-Path is empty, or a mailer's
	named     bool   // Return-Path names somebody who can be answered
	daemon    bool   // a mail program wrote it
	silent    bool   // From is an address at which nobody reads
	robot     bool   // a list manager wrote it
	certain   bool   // it has a header that only reports have
	failed    []string
	undeliv   bool // the subject is one of a report
	titled    bool // it is nothing but that: its words begin or end it
	success   bool // the subject is one of a report that it went well
	other     bool // the subject is one of another kind of mail that mail programs send
	vacation  bool // the subject is one of an automatic reply
	forward   bool // the subject says that it was forwarded
	answer    bool // the subject says that somebody answers
	replied   bool // Auto-Submitted: auto-replied, or the older headers with this meaning
	generated bool // Auto-Submitted: any value but "no"
	list      bool // it came over a mailing list

	why []mail.Reason
}

func readEnvelope(h message.Header) envelope {
	e := envelope{h: h}
	from := h.Text("From")
	e.from = strings.ToLower(addressIn(from))
	e.titles(h.Text("Subject"))
	e.sender(from)
	e.path()
	e.automatic()
	for _, v := range h.Values("X-Failed-Recipients") {
		e.failed = append(e.failed, addressesIn(v, MaxResults)...)
	}
	if len(e.failed) > 0 {
		e.sure("X-Failed-Recipients")
	}
	if v := asciiLower(h.Get("X-Ricevuta")); strings.HasSuffix(v, "errore-consegna") || v == "non-accettazione" {
		e.sure("X-Ricevuta: " + v) // Italian certified mail (PEC), technical rules of DM 2 November 2005
	}
	if h.Has("X-MS-Exchange-Message-Is-Ndr") {
		e.sure("X-MS-Exchange-Message-Is-Ndr")
	}
	if strings.EqualFold(h.Param("Content-Type", "report-type"), "delivery-status") {
		e.sure("report-type=delivery-status")
	}
	return e
}

func (e *envelope) because(key, fragment string) {
	e.why = append(e.why, mail.Reason{Key: key, Fragment: fragment})
}

func (e *envelope) sure(fragment string) {
	e.certain = true
	e.because(whyHeader, fragment)
}

// daemonLocals are the local parts under which mail programs write; hyphens and
// dots do not count. RFC 5321 section 4.5.1 has postmaster; mailer-daemon is
// Sendmail's and everybody's since.
var daemonLocals = [...]string{
	"mailerdaemon", "mailerdaemons", "maildaemon", "postmaster", "postmasters", "mdaemon", "mmdf", "daemon",
	"maildeliverysystem", "maildeliverysubsystem", "maildelivery", "mailsystem", "maileradmin", "mailadmin",
	"mailadministrator", "poostmaster", "smtpd", "mailgateway", "mailgate", "systemadministrator",
	"internetmaildelivery", "bouncehandler", "mailmaster", "postoffice", "deliverystatus", "mailserver",
	"mailservice", "mailrobot", "mailhub", "smtpgateway", "returnedmail", "undeliverable",
}

// accounts are those that mail programs ran under before daemons had a name of
// their own: Sendmail on VM, UUCP, cron jobs. They write other mail too, so they
// count under the subject of a report only.
var accounts = [...]string{"mailer", "smtp", "uucp", "mta", "root", "mail", "exim", "qmails", "sendmail", "postfix"}

// daemonNames are display names of mail programs.
var daemonNames = [...]string{
	"mail delivery", "mailer-daemon", "mailer daemon", "mail daemon", "delivery subsystem", "mail deliver system",
	"postmaster", "mail administrator", "mail system", "system administrator", "internet mail delivery",
	"ndr administrator", "message delivery", "mail router", "content-filter", "delivery agent",
	"mail transfer agent", "mta ", "smtp server", "interscan", "mail gateway", "memo service", "delivery service",
	"delivery report", "mail server", "mailserver",
}

// listLocals end, or are, the local parts of list managers.
var listLocals = [...]string{
	"-admin", "-owner", "-request", "-bounces", "-bounce", "-help", "-return", "owner-", "majordomo", "listserv",
	"listproc", "ezmlm", "mailman", "sympa", "listmaster", "fml",
}

func (e *envelope) sender(from string) {
	local := strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || r == '.' {
			return -1
		}
		return r
	}, localOf(e.from))
	name := asciiLower(from)
	if at := strings.IndexByte(name, '<'); at >= 0 {
		name = strings.Trim(name[:at]+" "+name[strings.IndexByte(name, '>')+1:], ` "`)
	} else if open := strings.IndexByte(name, '('); open >= 0 {
		name = strings.Trim(name[open:], "() ")
	}
	for _, l := range daemonLocals {
		e.daemon = e.daemon || local == l
	}
	for _, l := range accounts {
		e.daemon = e.daemon || local == l && e.undeliv && !e.answer && !e.forward
	}
	if strings.HasPrefix(local, "mailerdaemon") || strings.HasPrefix(local, "microsoftexchange") {
		e.daemon = true
	}
	for _, n := range daemonNames {
		e.daemon = e.daemon || strings.Contains(name, n)
	}
	if e.from == "" && strings.Contains(asciiLower(from), "daemon") || strings.TrimSpace(from) == "<>" {
		e.daemon = true // "MAILER-DAEMON", "<>": not rewritten by anybody
	}
	if e.daemon {
		e.because(whyDaemon, from)
		return
	}
	e.silent = strings.HasPrefix(local, "noreply") || strings.HasPrefix(local, "donotreply")
	local = localOf(e.from)
	for _, l := range listLocals {
		if strings.HasSuffix(local, l) || strings.HasPrefix(local, l) {
			e.robot = true
		}
	}
}

// path reads the reverse-path, which is empty for a report (RFC 5321 section
// 4.5.5); some MTAs write their own daemon's name for it.
func (e *envelope) path() {
	paths := e.h.Values("Return-Path")
	if len(paths) == 0 {
		return
	}
	p := strings.TrimSpace(paths[0])
	low := asciiLower(strings.Trim(p, "<> "))
	if low == "" && strings.Contains(p, "<") || strings.HasPrefix(low, "mailer-daemon") || low == "mailer_daemon" {
		e.nullPath = true
		e.because(whyNullSender, p)
		return
	}
	from := asciiLower(e.h.Get("From")) // "The mailer daemon <postmaster@example.com>" is no person, whoever can be answered
	e.named = strings.Contains(low, "@") && !strings.Contains(from, "daemon") && !strings.Contains(from, "delivery")
}

// titles reads the subject.
func (e *envelope) titles(subject string) {
	if len(subject) > 1000 {
		subject = subject[:1000]
	}
	e.subject = strings.ToLower(plainMarks(subject))
	start := strings.TrimLeft(e.subject, " [*\"'")
	e.answer = strings.HasPrefix(start, "re:") || strings.HasPrefix(start, "aw:") || strings.HasPrefix(start, "sv:") || strings.HasPrefix(start, "antw:")
	e.forward = strings.HasPrefix(start, "i:") // Italian
	for _, h := range subjects().find(e.subject, nil) {
		switch h.detail {
		case "bounce":
			if !e.undeliv {
				e.because(whySubject, subject)
			}
			e.undeliv = true
			e.titled = e.titled || countWords(e.subject[:h.from]) <= 3 || countWords(e.subject[h.to:]) == 0
		case "delivered":
			e.success = h.from == 0
		case "other":
			e.other = true
		case "auto-reply":
			e.vacation = true
		case "forward":
			e.forward = e.forward || h.from <= len(e.subject)-len(start)+1
		}
	}
}

// automatic reads the marks of mail that no person wrote: Auto-Submitted (RFC
// 3834 section 5) and what programs wrote before it, and since.
func (e *envelope) automatic() {
	v := asciiLower(strings.TrimSpace(e.h.Get("Auto-Submitted")))
	e.generated = v != "" && !strings.HasPrefix(v, "no")
	e.replied = strings.HasPrefix(v, "auto-replied")
	if strings.Contains(v, "(failure)") || strings.Contains(v, "(warning") || strings.Contains(v, "(postmaster-not") {
		e.sure("Auto-Submitted: " + v) // Sendmail's comments
	}
	for _, name := range [...]string{"X-Autoreply", "X-Autorespond", "X-Autoresponder", "X-Mail-Autoreply", "X-Auto-Reply", "X-Autoresponse", "X-AutoReply-From", "X-POST-MessageClass"} {
		if v := e.h.Get(name); v != "" && !strings.EqualFold(v, "no") {
			e.replied = true
		}
	}
	switch p := asciiLower(e.h.Get("Precedence")); p {
	case "auto_reply", "auto-reply":
		e.replied = true
	case "list":
		e.list = true
	}
	e.list = e.list || e.h.Has("List-Id") || e.h.Has("List-Post") || e.h.Has("List-Unsubscribe")
}

// answers tells the mail of a mailbox that answers by itself: its words may be
// those of a report ("your message was not delivered to anybody"), its sender is
// none.
func (e *envelope) answers() bool {
	return (e.vacation || e.replied) && !e.daemon && !e.certain && (!e.undeliv || e.vacation && e.replied)
}

// score says how much the envelope speaks for a report: nothing below 2 does,
// from 4 on there is hardly a doubt.
func (e *envelope) score() int {
	n := 0
	if e.daemon {
		n += 3
	}
	if e.nullPath {
		n += 2
	}
	if e.certain {
		n += 4
	}
	if e.undeliv {
		n += 2
	}
	if e.robot && !e.list {
		n++
	}
	if e.generated {
		n++
	}
	if e.answer {
		n--
	}
	if e.forward {
		n -= 2
	}
	if e.list && !e.certain {
		n -= 2
	}
	return n
}
