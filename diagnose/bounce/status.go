package bounce

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/postroad/postroad/mail"
	"github.com/postroad/postroad/message"
)

// envelopeFacts are the per-message fields of a delivery status, RFC 3464
// section 2.2, with those that some programs add.
type envelopeFacts struct {
	reporting  string // Reporting-MTA, without its type
	envelopeID string
	sender     string // X-Postfix-Sender and the like: the reverse-path
	messageID  string // X-Original-Message-ID
	arrival    time.Time
}

// group is one group of per-recipient fields, RFC 3464 section 2.3.
type group struct {
	final, original, actual string // as written, with their address types
	action                  mail.Action
	status                  string
	remote                  string // Remote-MTA as written
	diagType, diagnostic    string
	lastAttempt, retryUntil time.Time
}

func (g *group) hasRecipient() bool { return g.final != "" || g.original != "" || g.actual != "" }

func (g *group) hasVerdict() bool { return g.action != "" || g.status != "" || g.diagnostic != "" }

// statusReader takes a delivery status apart. It is tolerant because the field
// has bred everything: groups without a blank line between them, blank lines
// inside of groups, white space in front of colons, fields folded in the middle
// of a word or not indented at all, comments, missing fields. A field that a
// group already has begins the next one.
type statusReader struct {
	facts  envelopeFacts
	groups []group
	cur    group

	loose     bool    // fields stand in running text: only known names count
	original1 bool    // this reporter writes Original-Recipient before Final-Recipient
	folded    *string // the value that a folded line continues
	noSpace   bool    // folds fall inside of words
	blank     bool    // a blank line came before
}

// parseStatus reads the fields of a delivery status part or, if loose, those
// that stand somewhere in a text.
func parseStatus(text string, loose bool) (envelopeFacts, []group) {
	r := statusReader{loose: loose}
	for rest := text; rest != "" && len(r.groups) <= MaxResults; {
		line := rest
		if i := strings.IndexByte(rest, '\n'); i >= 0 {
			line, rest = rest[:i], rest[i+1:]
		} else {
			rest = ""
		}
		r.line(line)
	}
	r.finish()
	return r.facts, r.groups
}

func (r *statusReader) line(line string) {
	if r.loose {
		line = unquoteLine(line)
	}
	trimmed := strings.TrimSpace(line)
	if trimmed == "" {
		r.blank = true
		return
	}
	indented := line[0] == ' ' || line[0] == '\t'
	name, value, isField := statusField(trimmed)
	if isField && indented && !r.blank && r.folded != nil && !isStatusName(name) {
		isField = false // "http: ..." in a folded diagnostic
	}
	switch {
	case isField && (!indented || isStatusName(name)):
		if r.loose && !isStatusName(name) {
			r.folded = nil
			return
		}
		recipient := strings.HasSuffix(asciiLower(name), "-recipient")
		if r.blank && r.cur.hasVerdict() && (r.cur.hasRecipient() || recipient && len(r.groups) > 0) {
			r.finish()
		}
		r.blank, r.folded = false, nil
		r.field(name, value)
	case r.folded != nil && (indented && !r.blank || startsWithCode(trimmed)):
		r.fold(trimmed)
		r.blank = false
	default:
		r.folded = nil
	}
}

// fold joins a folded line to its field. Each line of a multi-line reply keeps
// a line of its own.
func (r *statusReader) fold(line string) {
	switch {
	case *r.folded == "":
		*r.folded = line
	case startsWithCode(line) && r.folded == &r.cur.diagnostic:
		*r.folded += "\n" + line
	case r.noSpace:
		*r.folded += line
	default:
		*r.folded += " " + line
	}
}

// statusField splits a line of the form "Name : value".
func statusField(line string) (name, value string, ok bool) {
	i := strings.IndexByte(line, ':')
	if i <= 0 || i > 40 {
		return "", "", false
	}
	name = strings.TrimRight(line[:i], " \t")
	for j := 0; j < len(name); j++ {
		if c := name[j]; !isAlnum(c) && c != '-' && c != '_' {
			return "", "", false
		}
	}
	return name, strings.TrimSpace(line[i+1:]), name != ""
}

// statusNames are the fields that a delivery status is known by.
var statusNames = [...]string{
	"final-recipient", "original-recipient", "action", "status", "diagnostic-code", "remote-mta",
	"reporting-mta", "arrival-date", "last-attempt-date", "will-retry-until", "original-envelope-id",
	"received-from-mta", "final-log-id", "x-actual-recipient", "x-original-message-id", "dsn-gateway",
	"x-display-name", "x-postfix-sender", "x-postfix-queue-id",
}

func isStatusName(name string) bool {
	for _, n := range statusNames {
		if strings.EqualFold(n, name) {
			return true
		}
	}
	return false
}

func (r *statusReader) field(name, value string) {
	g := &r.cur
	switch low := asciiLower(name); low {
	case "final-recipient":
		r.repeated(g.final != "")
		g.final, r.folded = value, &g.final
	case "original-recipient":
		r.original1 = r.original1 || g.final == "" && len(r.groups) == 0
		r.repeated(g.original != "" || r.original1 && g.final != "" && g.hasVerdict())
		g.original, r.folded = value, &g.original
	case "x-actual-recipient":
		g.actual, r.folded = value, &g.actual
	case "action", "ction":
		r.repeated(g.action != "")
		g.action = parseAction(value)
	case "status":
		r.repeated(g.status != "")
		g.status = statusCode(value)
	case "diagnostic-code":
		r.repeated(g.diagnostic != "")
		g.diagType, g.diagnostic = splitType(value)
		r.noSpace = strings.EqualFold(g.diagType, "x-notes")
		r.folded = &g.diagnostic
	case "remote-mta":
		r.repeated(g.remote != "")
		g.remote, r.folded = value, &g.remote
	case "last-attempt-date":
		g.lastAttempt = dateOf(value)
	case "will-retry-until":
		g.retryUntil = dateOf(value)
	case "reporting-mta":
		_, host := splitType(value)
		r.facts.reporting = hostName(host)
	case "original-envelope-id":
		r.facts.envelopeID = value
	case "arrival-date":
		r.facts.arrival = dateOf(value)
	case "x-original-message-id":
		r.facts.messageID = value
	default:
		if strings.HasPrefix(low, "x-") && strings.HasSuffix(low, "-sender") {
			r.facts.sender = addressIn(value) // X-Postfix-Sender, X-Yandex-Sender, X-SendGrid-Sender
		}
	}
}

// dateOf reads a date field; the zero time where it is none.
func dateOf(s string) time.Time {
	t, ok := message.ParseDate(s)
	if !ok {
		return time.Time{}
	}
	return t.UTC()
}

// repeated begins the next group where the current one has the field already.
func (r *statusReader) repeated(has bool) {
	if has {
		r.finish()
	}
}

func (r *statusReader) finish() {
	g := r.cur
	r.cur, r.folded, r.blank = group{}, nil, false
	if g.hasRecipient() {
		r.groups = append(r.groups, g)
		return
	}
	if !g.hasVerdict() || len(r.groups) == 0 {
		return
	}
	last := &r.groups[len(r.groups)-1] // a blank line inside of a group
	if last.action == "" {
		last.action = g.action
	}
	if last.status == "" {
		last.status = g.status
	}
	if last.diagnostic == "" {
		last.diagType, last.diagnostic = g.diagType, g.diagnostic
	}
	if last.remote == "" {
		last.remote = g.remote
	}
}

// splitType parts "dns; mx.example.com" into type and value. Where there is no
// type everything is value: the diagnostics of some programs hold semicolons.
func splitType(s string) (typ, value string) {
	i := strings.IndexByte(s, ';')
	if i < 0 || i > 24 {
		return "", s
	}
	typ = strings.TrimSpace(s[:i])
	for j := 0; j < len(typ); j++ {
		if c := typ[j]; !isAlnum(c) && strings.IndexByte("-_/.", c) < 0 {
			return "", s
		}
	}
	return typ, strings.TrimSpace(s[i+1:])
}

// parseAction reads an action-value. Comments stand behind it ("failed (User
// unknown)"), and some programs have words of their own.
func parseAction(s string) mail.Action {
	word := asciiLower(s)
	for i := 0; i < len(word); i++ {
		if word[i] < 'a' || word[i] > 'z' {
			word = word[:i]
			break
		}
	}
	switch word {
	case "failed", "failure", "fail", "undeliverable", "bounced", "expired", "rejected", "undelivered", "error":
		return mail.ActionFailed
	case "delayed", "delay", "deferred", "retrying":
		return mail.ActionDelayed
	case "delivered", "deliverable", "delivery", "success":
		return mail.ActionDelivered
	case "relayed", "relay", "transferred", "transferable":
		return mail.ActionRelayed
	case "expanded":
		return mail.ActionExpanded
	}
	return ""
}

// statusCode takes the code off a Status field, which may have a comment.
func statusCode(s string) string {
	for i := 0; i < len(s) && i < 12; i++ {
		if e, _, ok := mail.ParseEnhanced(s[i:]); ok {
			return e.String()
		}
	}
	return ""
}

// actionOf gives what the group says happened. Where the field is missing the
// class of the code tells (RFC 3463 section 3); a temporary one in a report
// without action has nearly always run out of time.
func (g *group) actionOf() mail.Action {
	if g.action != "" {
		return g.action
	}
	code := g.status
	if code == "" {
		code = g.diagnostic
	}
	if strings.HasPrefix(code, "2") {
		return mail.ActionDelivered
	}
	return mail.ActionFailed
}

// recipient gives the address that a Final-Recipient, Original-Recipient or
// X-Actual-Recipient names, and whether it is a mailbox that one can mail to.
func recipientOf(field string) (address string, usable bool) {
	typ, v := splitType(field)
	if strings.Contains(typ, "@") {
		v = field
	}
	v = strings.TrimSpace(v)
	switch strings.ToLower(typ) {
	case "utf-8", "utf8":
		v = unicodeAddress(v)
	case "x400", "x-unix", "x.400", "local":
		if !strings.Contains(v, "@") {
			return v, false
		}
	}
	if i := strings.IndexByte(v, '<'); i >= 0 {
		if j := strings.IndexByte(v[i:], '>'); j > 0 {
			v = strings.TrimSpace(v[i+1 : i+j])
		}
	}
	if rest, ok := strings.CutPrefix(v, "IMCEASMTP-"); ok {
		v = encapsulated(rest)
	}
	if strings.HasPrefix(v, "|") || strings.HasPrefix(v, "/") {
		return v, false // a program or a file
	}
	if a, err := mail.ParseAddress(v); err == nil && a.Local != "" {
		return a.String(), true
	}
	if p, ok := nextAddress(v, 0); ok && p.from <= 1 {
		return p.of(v), true
	}
	return v, false
}

// encapsulated undoes what Exchange makes of a foreign SMTP address to hand it
// round inside: "bob+40example+2Enet@ex.example.com" behind "IMCEASMTP-".
func encapsulated(s string) string {
	if i := strings.LastIndexByte(s, '@'); i > 0 {
		s = s[:i]
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '+' && i+2 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil && n > 0x20 && n < 0x7f {
				b.WriteByte(byte(n))
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// unicodeAddress undoes the two escaped forms of RFC 6533 section 3: \x{7528}
// in both, and +2B for a plus sign in utf-8-addr-xtext.
func unicodeAddress(s string) string {
	if !strings.Contains(s, `\x{`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		if strings.HasPrefix(s[i:], `\x{`) {
			if j := strings.IndexByte(s[i:], '}'); j > 3 && j < 10 {
				if n, err := strconv.ParseUint(s[i+3:i+j], 16, 32); err == nil && utf8.ValidRune(rune(n)) && n > 0x20 {
					b.WriteRune(rune(n))
					i += j + 1
					continue
				}
			}
		}
		if s[i] == '+' && i+2 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil && n > 0x20 && n < 0x7f && !isAlnum(byte(n)) {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
		i++
	}
	return b.String()
}

// startsWithCode tells a line that begins with a reply code, alone or before a
// space or hyphen.
func startsWithCode(s string) bool {
	_, _, ok := mail.ParseCode(s)
	return ok && s[0] != '3'
}

// asciiLower lowers ASCII letters and leaves all other bytes: offsets stay true.
func asciiLower(s string) string {
	for i := 0; i < len(s); i++ {
		if c := s[i]; 'A' <= c && c <= 'Z' {
			b := []byte(s)
			for ; i < len(b); i++ {
				if c := b[i]; 'A' <= c && c <= 'Z' {
					b[i] = c | 0x20
				}
			}
			return string(b)
		}
	}
	return s
}

// unquoteLine takes the marks of a quoted mail off the start of a line.
func unquoteLine(s string) string {
	for i := 0; i < 8 && len(s) > 0 && (s[0] == '>' || s[0] == '|'); i++ {
		s = strings.TrimPrefix(s[1:], " ")
	}
	return s
}
