package header

import (
	"strconv"
	"strings"
)

// isFilterField tells the fields of filters by their names.
func isFilterField(name string) bool {
	if len(name) < 6 || name[0] != 'x' && name[0] != 'u' {
		return false
	}
	switch name {
	case "x-forefront-antispam-report", "x-forefront-antispam-report-untrusted",
		"x-microsoft-antispam", "x-microsoft-antispam-untrusted", "x-microsoft-antispam-mailbox-delivery",
		"x-ms-exchange-organization-scl", "x-ms-exchange-organization-authas",
		"x-ms-exchange-organization-authsource", "x-ms-exchange-atpmessageproperties", "x-customspam",
		"x-spam-status", "x-spam-flag", "x-spam-level", "x-spam-score", "x-spam",
		"x-spamd-result", "x-rspamd-action", "x-rspamd-score", "x-rspamd-queue-id", "x-rspamd-server", "x-spamd-bar",
		"x-gmail-labels", "x-gm-spam", "x-gm-phishy", "x-gm-message-state",
		"x-yahoofilteredbulk", "x-rocket-spam",
		"x-proofpoint-spam-details", "x-proofpoint-spam-score", "x-mimecast-spam-score",
		"x-mimecast-bulk-signature", "x-mimecast-spam-signature",
		"x-barracuda-spam-score", "x-barracuda-spam-status", "x-barracuda-spam-flag",
		"x-ironport-anti-spam-filtered", "x-ironport-av",
		"x-ovh-spam-status", "x-vr-spamstate", "x-vr-spamscore", "x-me-spamlevel",
		"x-gmx-antispam", "x-ui-filterresults", "ui-inboundreport", "x-purgate-type",
		"x-apple-movetofolder", "x-apple-action", "x-suspected-spam",
		"x-yandex-spam", "x-php-originating-script", "x-php-script":
		return true
	}
	return false
}

// readFilters reads what the filters wrote, in the order of the header; the
// topmost of equal fields counts.
func (r *Report) readFilters(fields []filterField) {
	own := r.receiver()
	// A service's own field counts where that service received the message, or
	// where nothing tells who did.
	foreign := func(service string) bool { return own != "" && own != service }
	microsoft := !r.exchange()
	seen := make(map[string]bool, len(fields))
	for _, f := range fields {
		if seen[f.name] {
			continue
		}
		seen[f.name] = true
		switch f.name {
		case "x-forefront-antispam-report":
			r.forefront(f, microsoft)
		case "x-forefront-antispam-report-untrusted":
			r.forefront(f, true)
		case "x-microsoft-antispam":
			r.antispam(f, microsoft)
		case "x-microsoft-antispam-untrusted":
			r.antispam(f, true)
		case "x-microsoft-antispam-mailbox-delivery":
			r.mailboxDelivery(f, microsoft)
		case "x-ms-exchange-organization-scl":
			r.organizationSCL(f, microsoft)
		case "x-ms-exchange-organization-authas":
			if v := strings.ToLower(strings.TrimSpace(f.value)); v == "anonymous" || v == "internal" {
				r.simple(f, "exchange", "header.authas."+v, microsoft)
			}
		case "x-ms-exchange-organization-authsource":
			r.simple(f, "exchange", "header.authsource", microsoft)
		case "x-ms-exchange-atpmessageproperties":
			r.simple(f, "microsoft", "header.atp", microsoft)
		case "x-customspam":
			r.simple(f, "microsoft", "header.asf", microsoft)
		case "x-gmail-labels":
			r.gmailLabels(f)
		case "x-gmx-antispam", "x-ui-filterresults", "ui-inboundreport":
			r.gmx(f, foreign("gmx.net"))
		case "x-yahoofilteredbulk", "x-rocket-spam":
			r.simple(f, "yahoo", "header.yahoo.bulk", foreign("yahoo.com"))
		case "x-apple-movetofolder", "x-apple-action", "x-suspected-spam":
			r.apple(f, foreign("apple.com"))
		default:
			r.filter(f)
		}
	}
}

// exchange reports whether the receiving side runs Exchange, in the cloud or of
// its own: only there fields of Exchange were taken off mail from outside before
// the receiver wrote its own. Without any Received field (a piece of a header
// was given) it is taken to be so.
func (r *Report) exchange() bool {
	if len(r.Hops) == 0 || r.receiver() == "outlook.com" {
		return true
	}
	from := r.Border
	if from < 0 {
		from = len(r.Hops) - 1
	}
	for _, h := range r.Hops[from:] {
		if strings.HasPrefix(h.With, "Microsoft SMTP Server") {
			return true
		}
	}
	return false
}

// simple is a field whose presence says it all.
func (r *Report) simple(f filterField, filter, key string, claim bool) {
	v := strings.TrimSpace(f.value)
	r.Antispam = append(r.Antispam, Verdicts{filter, f.field, map[string]string{"value": clip(v, maxValue)}, claim})
	r.find(Finding{Key: key, Field: f.field, Value: v, Fragment: f.field + ": " + v, Claim: claim})
}

// filter reads the fields of software that anybody may run.
func (r *Report) filter(f filterField) {
	v := strings.TrimSpace(f.value)
	low := strings.ToLower(v)
	switch f.name {
	case "x-spam-status":
		r.spamassassin(f)
	case "x-spam-flag", "x-spam", "x-barracuda-spam-flag":
		r.yesNo(f, "spamassassin", low == "yes" || low == "true", "header.spamflag")
	case "x-spamd-result":
		r.rspamd(f)
	case "x-rspamd-action":
		r.rspamdAction(f)
	case "x-barracuda-spam-status":
		r.scored(f, "barracuda", strings.HasPrefix(low, "yes"), value(v, "SCORE="), "header.barracuda")
	case "x-ovh-spam-status", "x-vr-spamstate":
		r.yesNo(f, "vade", strings.HasPrefix(low, "spam"), "header.vade")
	case "x-me-spamlevel":
		r.yesNo(f, "vade", low != "not-spam", "header.vade")
	case "x-purgate-type":
		r.yesNo(f, "expurgate", strings.HasPrefix(low, "spam"), "header.purgate")
	case "x-gm-spam", "x-gm-phishy":
		r.yesNo(f, "google", low == "1", "header.gm")
	case "x-proofpoint-spam-details":
		rule := value(v, "rule=")
		r.scored(f, "proofpoint", rule == "spam" || rule == "quarantine", value(v, " score="), "header.proofpoint")
	case "x-mimecast-spam-score":
		r.simple(f, "mimecast", "header.mimecast.score", false)
	case "x-mimecast-bulk-signature", "x-mimecast-spam-signature":
		r.yesNo(f, "mimecast", low == "yes", "header.mimecast")
	case "x-barracuda-spam-score":
		r.simple(f, "barracuda", "header.barracuda.score", false)
	case "x-ironport-anti-spam-filtered":
		r.simple(f, "ironport", "header.ironport.filtered", false)
	case "x-yandex-spam":
		r.yesNo(f, "yandex", low == "4", "header.yandex")
	case "x-gm-message-state":
		r.simple(f, "google", "header.google.sent", true)
	case "x-php-originating-script", "x-php-script":
		r.simple(f, "php", "header.php", true)
	}
}

// yesNo is a field that says spam or not.
func (r *Report) yesNo(f filterField, filter string, spam bool, key string) {
	v := strings.TrimSpace(f.value)
	m := map[string]string{"value": clip(v, maxValue), "spam": strconv.FormatBool(spam)}
	r.Antispam = append(r.Antispam, Verdicts{filter, f.field, m, false})
	if spam {
		key += ".yes"
	} else {
		key += ".no"
	}
	r.find(Finding{Key: key, Field: f.field, Value: v, Fragment: f.field + ": " + clip(v, 80)})
}

// scored is a field with a verdict and a score.
func (r *Report) scored(f filterField, filter string, spam bool, score, key string) {
	m := map[string]string{"value": clip(f.value, maxValue), "spam": strconv.FormatBool(spam), "score": score}
	r.Antispam = append(r.Antispam, Verdicts{filter, f.field, m, false})
	if spam {
		key += ".yes"
	} else {
		key += ".no"
	}
	r.find(Finding{Key: key, Field: f.field, Value: score, Fragment: f.field + ": " + clip(f.value, 80)})
}

// value gives what stands behind a name up to the next space.
func value(s, name string) string {
	_, rest, ok := strings.Cut(s, name)
	if !ok {
		return ""
	}
	return clip(firstWord(strings.Trim(rest, " ")), 64)
}

// spamassassin reads "Yes, score=12.3 required=5.0 tests=A,B autolearn=no";
// older versions write "hits=".
func (r *Report) spamassassin(f filterField) {
	v := strings.TrimSpace(f.value)
	score := value(v, "score=")
	if score == "" {
		score = value(v, "hits=")
	}
	spam := strings.HasPrefix(strings.ToLower(v), "yes")
	required := value(v, "required=")
	_, tests, _ := strings.Cut(v, "tests=")
	tests = strings.Trim(tests, "[")
	if i := strings.Index(tests, " autolearn"); i >= 0 {
		tests = tests[:i]
	}
	// Folding leaves spaces behind the commas.
	tests = strings.Join(strings.Fields(tests), "")
	m := map[string]string{
		"spam": strconv.FormatBool(spam), "score": strings.TrimSuffix(score, ","),
		"required": required, "tests": clip(strings.TrimSuffix(tests, "]"), maxValue),
	}
	r.Antispam = append(r.Antispam, Verdicts{"spamassassin", f.field, m, false})
	key := "header.spamassassin.no"
	if spam {
		key = "header.spamassassin.yes"
	}
	r.find(Finding{Key: key, Field: f.field, Value: m["score"] + " / " + required, Fragment: f.field + ": " + clip(v, 80)})
}

// rspamd reads "default: True [12.30 / 15.00]; BAYES_SPAM(5.10)[99.9%]; ...".
func (r *Report) rspamd(f filterField) {
	v := strings.TrimSpace(f.value)
	_, rest, _ := strings.Cut(v, ":")
	verdict, rest, _ := strings.Cut(rest, "[")
	score, rest, _ := strings.Cut(rest, "]")
	have, limit, _ := strings.Cut(score, "/")
	_, tests, _ := strings.Cut(rest, ";")
	spam := strings.Contains(strings.ToLower(verdict), "true")
	m := map[string]string{
		"spam": strconv.FormatBool(spam), "score": clip(strings.TrimSpace(have), 64),
		"required": clip(strings.TrimSpace(limit), 64), "tests": clip(strings.TrimSpace(tests), maxValue),
	}
	r.Antispam = append(r.Antispam, Verdicts{"rspamd", f.field, m, false})
	key := "header.rspamd.no"
	if spam {
		key = "header.rspamd.yes"
	}
	r.find(Finding{Key: key, Field: f.field, Value: m["score"] + " / " + m["required"], Fragment: f.field + ": " + clip(v, 80)})
}

// rspamdAction reads "add header", "no action" and their siblings.
func (r *Report) rspamdAction(f filterField) {
	v := strings.ToLower(strings.TrimSpace(f.value))
	key := "header.rspamd.action.unknown"
	switch v {
	case "no action":
		key = "header.rspamd.action.none"
	case "add header", "add_header", "rewrite subject", "rewrite_subject":
		key = "header.rspamd.action.mark"
	case "greylist", "soft reject", "soft_reject":
		key = "header.rspamd.action.defer"
	case "reject":
		key = "header.rspamd.action.reject"
	case "quarantine":
		key = "header.rspamd.action.quarantine"
	}
	r.Antispam = append(r.Antispam, Verdicts{"rspamd", f.field, map[string]string{"action": clip(v, 64)}, false})
	r.find(Finding{Key: key, Field: f.field, Value: v, Fragment: f.field + ": " + clip(v, 80)})
}

// gmailLabels reads X-Gmail-Labels of a Takeout mailbox: the folders.
func (r *Report) gmailLabels(f filterField) {
	v := strings.TrimSpace(f.value)
	m := map[string]string{"labels": clip(v, maxValue)}
	r.Antispam = append(r.Antispam, Verdicts{"google", f.field, m, false})
	for label := range strings.SplitSeq(v, ",") {
		switch strings.ToLower(strings.TrimSpace(label)) {
		case "spam":
			m["place"] = "spam"
			r.find(Finding{Key: "header.gmail.spam", Field: f.field, Value: v, Fragment: f.field + ": " + v})
			return
		case "inbox":
			m["place"] = "inbox"
			r.find(Finding{Key: "header.gmail.inbox", Field: f.field, Value: v, Fragment: f.field + ": " + v})
			return
		}
	}
}

// gmx reads "0 (Mail was not recognized as spam); Detail=V3;" of X-GMX-Antispam
// and "notjunk:1;M01:P0:..." of the newer fields.
func (r *Report) gmx(f filterField, claim bool) {
	v := strings.TrimSpace(f.value)
	spam := false
	if f.name == "x-gmx-antispam" {
		n, err := strconv.Atoi(firstWord(v))
		if err != nil {
			return
		}
		spam = n > 0
	} else {
		word, _, _ := strings.Cut(v, ":")
		switch strings.ToLower(word) {
		case "notjunk":
		case "junk":
			spam = true
		default:
			return
		}
	}
	m := map[string]string{"value": clip(v, maxValue), "spam": strconv.FormatBool(spam)}
	r.Antispam = append(r.Antispam, Verdicts{"gmx", f.field, m, claim})
	key := "header.gmx.no"
	if spam {
		key = "header.gmx.yes"
	}
	r.find(Finding{Key: key, Field: f.field, Value: firstWord(v), Fragment: f.field + ": " + clip(v, 80), Claim: claim})
}

// apple reads where iCloud filed the message: "INBOX", "MOVE_TO_FOLDER/Junk".
func (r *Report) apple(f filterField, claim bool) {
	v := strings.TrimSpace(f.value)
	place := strings.ToLower(v[strings.LastIndexByte(v, '/')+1:])
	if f.name == "x-suspected-spam" {
		if place != "true" {
			return
		}
		place = "junk"
	}
	key := ""
	switch place {
	case "junk":
		key = "header.apple.junk"
	case "inbox":
		key = "header.apple.inbox"
	default:
		return
	}
	r.Antispam = append(r.Antispam, Verdicts{"apple", f.field, map[string]string{"place": place}, claim})
	r.find(Finding{Key: key, Field: f.field, Value: v, Fragment: f.field + ": " + clip(v, 80), Claim: claim})
}
