package bounce

import (
	"strings"

	"github.com/postroad/postroad/mail"
	"github.com/postroad/postroad/message"
)

// own is what the caller said is ours.
type own struct {
	names     []string // domains and hosts; everything below them too
	addresses []string
	ips       []string
}

func newOwn(values []string) own {
	var o own
	for _, v := range values {
		v = strings.ToLower(strings.Trim(strings.TrimSpace(v), "<>"))
		switch {
		case v == "":
		case address(v) != "":
			o.ips = append(o.ips, address(v))
		case strings.Contains(v, "@") && !strings.HasPrefix(v, "@"):
			o.addresses = append(o.addresses, v)
		default:
			o.names = append(o.names, ownName(v))
		}
	}
	return o
}

// ownName gives the domain of "example.com", "@example.com", ".example.com" and
// "*.example.com", which all mean the same.
func ownName(v string) string {
	return mail.NormalDomain(strings.TrimPrefix(strings.TrimPrefix(strings.TrimPrefix(v, "@"), "*"), "."))
}

// ValidOurs reports whether a value of Options.Ours can be one: a domain, a
// host, a mail address or an IP address. What is none would match nothing, and
// make every bounce that of foreign mail.
func ValidOurs(v string) bool {
	v = strings.ToLower(strings.Trim(strings.TrimSpace(v), "<>"))
	if address(v) != "" {
		return true
	}
	if strings.Contains(v, "@") && !strings.HasPrefix(v, "@") {
		_, err := mail.ParseAddress(v)
		return err == nil
	}
	name := ownName(v)
	for i := range len(name) {
		if c := name[i]; !isAlnum(c) && c < 0x80 && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return name != "" && !strings.Contains(name, "..")
}

func (o own) empty() bool { return len(o.names)+len(o.addresses)+len(o.ips) == 0 }

// name reports whether a host or domain is ours or lies below one that is.
func (o own) name(host string) bool {
	host = mail.NormalDomain(host)
	for _, n := range o.names {
		if host == n || len(host) > len(n) && host[len(host)-len(n)-1] == '.' && strings.HasSuffix(host, n) {
			return true
		}
	}
	return false
}

// mailbox reports whether an address is ours, by itself or by its domain.
func (o own) mailbox(a string) bool {
	if a == "" {
		return false
	}
	for _, x := range o.addresses {
		if strings.EqualFold(x, a) {
			return true
		}
	}
	return o.name(domainOf(a))
}

// The grounds for Ours: keys of the text catalogue.
const (
	whyOursHost     = "bounce.ours.host"     // a Received field by one of our hosts
	whyOursDKIM     = "bounce.ours.dkim"     // our signature
	whyOursID       = "bounce.ours.id"       // our Message-ID
	whyOursReporter = "bounce.ours.reporter" // our own mail system reports it
	whyOursMailbox  = "bounce.ours.mailbox"  // submitted in our own Exchange organisation
	whyForeign      = "bounce.ours.foreign"  // none of these, though the header is there
	whyShared       = "bounce.ours.shared"   // made and reported by a platform that others use too
)

// judge tells whether the mail that the report is about was ours.
//
// A sender address proves nothing: that it is forged is what makes backscatter.
// What a forger does not have is our servers: a Received field that one of our
// hosts wrote, our DKIM signature, a Message-ID that our software made (domain
// ours), our own mail system as the reporter of a mail in our name, or the mark
// that Exchange Online sets on mail of the tenant's own mailboxes. One of these
// makes it ours. None of them, though the header came back with the fields that
// would show them, makes it not ours. Without such a header nobody can tell, nor
// where the mail in our name was made at the very platform that reports it and
// that we may be customers of: it proves only "some tenant".
func (o own) judge(orig *Original, reporters []string) (mail.Ours, mail.Reason) {
	if o.empty() {
		return mail.OursUnknown, mail.Reason{}
	}
	h := orig.Header
	from := addressIn(orig.From)
	named := o.mailbox(from) || o.mailbox(orig.EnvelopeFrom)
	o = o.with(from).with(orig.EnvelopeFrom)
	for _, v := range h.Values("Received") {
		if host := o.receivedBy(v); host != "" {
			return mail.OursYes, mail.Reason{Key: whyOursHost, Fragment: host}
		}
	}
	for _, v := range h.Values("DKIM-Signature") {
		if d := dkimDomain(v); d != "" && o.signs(d) {
			return mail.OursYes, mail.Reason{Key: whyOursDKIM, Fragment: "d=" + d}
		}
	}
	if d := idDomain(orig.MessageID); d != "" && o.name(d) {
		return mail.OursYes, mail.Reason{Key: whyOursID, Fragment: orig.MessageID}
	}
	if named {
		for _, r := range reporters {
			if r != "" && o.name(r) {
				return mail.OursYes, mail.Reason{Key: whyOursReporter, Fragment: r}
			}
		}
		if v := exchangeInternal(h); v != "" {
			return mail.OursYes, mail.Reason{Key: whyOursMailbox, Fragment: v}
		}
	}
	if named && writtenAndReported(orig.MessageID, reporters) {
		return mail.OursUnknown, mail.Reason{Key: whyShared, Fragment: orig.MessageID}
	}
	if len(o.names)+len(o.addresses) == 0 && !bearsAddress(h) {
		return mail.OursUnknown, mail.Reason{} // only IP addresses are given, and the header has none
	}
	if h.Has("Received") || h.Has("DKIM-Signature") || orig.MessageID != "" {
		evidence := orig.MessageID
		if evidence == "" {
			evidence = from
		}
		return mail.OursNo, mail.Reason{Key: whyForeign, Fragment: evidence}
	}
	return mail.OursUnknown, mail.Reason{}
}

// with adds the domain of a, where a is an address of ours in whose name the
// mail was sent: the servers of this domain are those that send for it.
func (o own) with(a string) own {
	for _, x := range o.addresses {
		if a != "" && strings.EqualFold(x, a) {
			o.names = append(o.names[:len(o.names):len(o.names)], mail.NormalDomain(domainOf(a)))
		}
	}
	return o
}

// bearsAddress reports whether a Received field names an IP address.
func bearsAddress(h message.Header) bool {
	for _, v := range h.Values("Received") {
		for w := range strings.FieldsSeq(v) {
			if a := address(strings.Trim(w, "()[];,")); a != "" && a != "127.0.0.1" && a != "::1" {
				return true
			}
		}
	}
	return false
}

// platforms are the shared mail systems whose customers' mail bears the
// platform's own Message-ID, and the names under which they report.
var platforms = [...]struct {
	id        string
	reporters []string
}{
	{".prod.outlook.com", []string{"outlook.com", "onmicrosoft.com"}},
	{"mail.gmail.com", []string{"googlemail.com", "google.com", "gmail.com"}},
}

func writtenAndReported(messageID string, reporters []string) bool {
	id := mail.NormalDomain(idDomain(messageID))
	for _, p := range platforms {
		if !strings.HasSuffix("."+id, p.id) && id != p.id {
			continue
		}
		for _, r := range reporters {
			r = "." + mail.NormalDomain(r[strings.LastIndexByte(r, '@')+1:])
			for _, suffix := range p.reporters {
				if strings.HasSuffix(r, "."+suffix) {
					return true
				}
			}
		}
	}
	return false
}

// receivedBy gives the host of ours that a Received field names: the one that
// wrote it ("by"), or the address and name that the writer saw ("from x
// (mx.example.com [192.0.2.1])"). The name after "from" is what the client
// called itself, which costs nothing.
func (o own) receivedBy(v string) string {
	words := strings.Fields(v)
	for i, w := range words {
		if strings.EqualFold(w, "by") && i+1 < len(words) {
			if host := strings.Trim(words[i+1], "();,[]"); o.name(host) || o.ip(host) {
				return host
			}
		}
		if w[0] == '(' && i+1 < len(words) && words[i+1][0] == '[' {
			if host := w[1:]; o.name(host) { // the name that the writer looked up
				return host
			}
		}
		if strings.IndexByte(w, '[') >= 0 || strings.IndexByte(w, '(') >= 0 {
			if ip := strings.Trim(w, "()[];,"); o.ip(ip) {
				return ip
			}
		}
	}
	return ""
}

func (o own) ip(s string) bool {
	if len(o.ips) == 0 {
		return false
	}
	a := address(s)
	for _, x := range o.ips {
		if a == x {
			return true
		}
	}
	return false
}

// signs reports whether a DKIM domain is ours. Google signs for a Workspace
// customer without a key of its own as example-com.20230601.gappssmtp.com.
func (o own) signs(d string) bool {
	if o.name(d) {
		return true
	}
	tenant, ok := strings.CutSuffix(d, ".gappssmtp.com")
	if !ok {
		return false
	}
	tenant, _, _ = strings.Cut(tenant, ".")
	for _, n := range o.names {
		if strings.ReplaceAll(n, ".", "-") == tenant {
			return true
		}
	}
	return false
}

func dkimDomain(v string) string {
	for tag := range strings.SplitSeq(v, ";") {
		name, value, ok := strings.Cut(tag, "=")
		if ok && strings.EqualFold(strings.TrimSpace(name), "d") {
			return mail.NormalDomain(value)
		}
	}
	return ""
}

func idDomain(id string) string {
	if i := strings.LastIndexByte(id, '@'); i >= 0 {
		return strings.TrimRight(id[i+1:], "> ")
	}
	return ""
}

// exchangeInternal finds the mark of mail that a mailbox of the organisation
// submitted: Exchange Online lets no mailbox send in a domain of another tenant.
func exchangeInternal(h message.Header) string {
	for _, name := range [...]string{"X-MS-Exchange-CrossTenant-AuthAs", "X-MS-Exchange-Organization-AuthAs"} {
		if v := h.Get(name); strings.EqualFold(v, "internal") {
			return name + ": " + v
		}
	}
	for _, v := range h.Values("Received") {
		if low := asciiLower(v); strings.Contains(low, "with mapi") && strings.Contains(low, ".prod.outlook.com") {
			return "with mapi"
		}
	}
	return ""
}

// judge sets Ours of every result, and makes the report of what is certainly
// not ours backscatter.
func (r *Report) judge(o own) {
	for i := range r.Results {
		b := &r.Results[i]
		b.Ours = mail.OursUnknown
		if b.MessageID == "" {
			b.MessageID = r.Original.MessageID
		}
	}
	if len(r.Results) == 0 && r.Kind != KindBounce {
		return
	}
	reporters := []string{r.reporter}
	for i := range r.Results {
		if h := r.Results[i].ReportingHost; i == 0 || h != r.Results[i-1].ReportingHost {
			reporters = append(reporters, h)
		}
	}
	answer, why := o.judge(&r.Original, reporters)
	for i := range r.Results {
		r.Results[i].Ours = answer
	}
	if why.Key != "" {
		r.Why = append(r.Why, why)
	}
	if answer == mail.OursNo && (r.Kind == KindBounce || r.Kind == KindDelayed || r.Kind == KindDelivered) {
		r.Kind = KindBackscatter
	}
}
