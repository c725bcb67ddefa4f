package tlspolicy

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"

	"github.com/postroad/postroad/dns"
)

// Resolver is what this package asks of DNS; a *dns.Resolver is one.
type Resolver interface {
	TXT(ctx context.Context, name string) dns.Answer[string]
	A(ctx context.Context, name string) dns.Answer[netip.Addr]
	AAAA(ctx context.Context, name string) dns.Answer[netip.Addr]
	CNAME(ctx context.Context, name string) dns.Answer[string]
	TLSA(ctx context.Context, name string) dns.Answer[dns.TLSA]
}

// State is what is known about something that a domain may publish. The zero
// value is NotPublished.
type State uint8

// The states.
const (
	NotPublished State = iota // there is none, and DNS said so
	Published                 // there is one, in order
	Broken                    // there is one that cannot be used; it counts as none and is worth telling
	Unknown                   // DNS failed: nothing may be concluded, least of all that there is none
)

// String gives the word used in logs and JSON.
func (s State) String() string {
	switch s {
	case Published:
		return "published"
	case Broken:
		return "broken"
	case Unknown:
		return "unknown"
	case NotPublished:
	}
	return "none"
}

// maxRecord bounds a TXT record that is worth reading. Longer ones exist in DNS
// (64 KB); none of them is one of ours.
const maxRecord = 16 << 10

var (
	errSeveral  = errors.New("several records")
	errNoFields = errors.New("nothing after the version")
	errTooLong  = errors.New("record too long")
)

// STSRecord is the record at _mta-sts: it says that there is a policy, and by
// another ID that the policy is another (RFC 8461 section 3.1).
type STSRecord struct {
	ID string // 1 to 32 letters and digits; no order is implied
}

// ParseSTSRecord reads the text of one TXT record, its strings joined. The
// grammar is kept to the letter, since a record that other senders discard
// protects nobody: the version first and "v=STSv1" in these letters, fields
// separated by semicolons, a last semicolon allowed, the first id counts,
// unknown fields are ignored (RFC 8461 sections 3.1 and 3.2).
func ParseSTSRecord(text string) (STSRecord, error) {
	fields, err := splitRecord(text, stsVersion)
	if err != nil {
		return STSRecord{}, fmt.Errorf("read the MTA-STS record: %w", err)
	}
	var r STSRecord
	for _, f := range fields {
		switch {
		case f.name == "id" && r.ID != "": // RFC 8461 section 3.2: all but the first are ignored
		case f.name == "id":
			if len(f.value) < 1 || len(f.value) > 32 || strings.Trim(f.value, alphanumeric) != "" {
				return STSRecord{}, fmt.Errorf("read the MTA-STS record: the id is not 1 to 32 letters and digits: %q",
					clip(f.value))
			}
			r.ID = f.value
		case !extensionName(f.name) || !extensionValue(f.value):
			return STSRecord{}, fmt.Errorf("read the MTA-STS record: no field: %q", clip(f.name+"="+f.value))
		}
	}
	if r.ID == "" {
		return STSRecord{}, errors.New("read the MTA-STS record: no id")
	}
	return r, nil
}

// LookupSTSRecord asks for the record of a policy domain. The error says why
// the state is Broken or Unknown.
func LookupSTSRecord(ctx context.Context, r Resolver, domain string) (STSRecord, State, error) {
	return lookup(ctx, r, "_mta-sts."+domain, stsVersion, ParseSTSRecord)
}

// Report is where a domain wants reports about TLS to go (RFC 8460 section 3).
type Report struct {
	Mail []string // addresses of mailto: URIs, percent-decoded
	Web  []string // https: URIs as written
}

// ParseReport reads the text of one TLS-RPT record. Destinations of schemes that
// RFC 8460 does not know are left out; a record that names none at all is an
// error, as is one whose only destinations are of that kind.
func ParseReport(text string) (Report, error) {
	fields, err := splitRecord(text, reportVersion)
	if err != nil {
		return Report{}, fmt.Errorf("read the TLS-RPT record: %w", err)
	}
	var r Report
	seen := false
	for _, f := range fields {
		if f.name != "rua" {
			if !extensionName(f.name) || !extensionValue(f.value) {
				return Report{}, fmt.Errorf("read the TLS-RPT record: no field: %q", clip(f.name+"="+f.value))
			}
			continue
		}
		seen = true
		for uri := range strings.SplitSeq(f.value, ",") {
			if err := r.add(strings.Trim(uri, " \t")); err != nil {
				return Report{}, fmt.Errorf("read the TLS-RPT record: %w", err)
			}
		}
	}
	switch {
	case !seen:
		return Report{}, errors.New("read the TLS-RPT record: no rua")
	case len(r.Mail)+len(r.Web) == 0:
		return Report{}, errors.New("read the TLS-RPT record: neither mailto: nor https: in rua")
	}
	return r, nil
}

// add takes one URI of a rua field.
func (r *Report) add(uri string) error {
	if strings.ContainsAny(uri, "! \t") { // RFC 8460 section 3: "!" must be encoded
		return fmt.Errorf("no URI: %q", clip(uri))
	}
	u, err := url.Parse(uri)
	if err != nil || u.Scheme == "" {
		return fmt.Errorf("no URI: %q", clip(uri))
	}
	switch u.Scheme {
	case "mailto":
		address, err := url.PathUnescape(u.Opaque)
		local, domain, ok := cutLast(address, "@")
		if err != nil || !ok || local == "" || domain == "" || strings.ContainsFunc(address, control) {
			return fmt.Errorf("no address in the URI: %q", clip(uri))
		}
		r.Mail = append(r.Mail, address)
	case "https":
		if u.Hostname() == "" {
			return fmt.Errorf("no host in the URI: %q", clip(uri))
		}
		r.Web = append(r.Web, uri)
	}
	return nil
}

// LookupReport asks for the TLS-RPT record of a policy domain. The error says
// why the state is Broken or Unknown.
func LookupReport(ctx context.Context, r Resolver, domain string) (Report, State, error) {
	return lookup(ctx, r, "_smtp._tls."+domain, reportVersion, ParseReport)
}

const (
	stsVersion    = "v=STSv1"
	reportVersion = "v=TLSRPTv1"
	alphanumeric  = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
)

// lookup asks for a record that may be there once. Others at the same name are
// not ours; two of ours are as good as none (RFC 8461 section 3.1, RFC 8460
// section 3).
func lookup[T any](ctx context.Context, r Resolver, name, version string, parse func(string) (T, error)) (
	record T, state State, err error,
) {
	if r == nil {
		r = (*dns.Resolver)(nil)
	}
	answer := r.TXT(ctx, name)
	if !answer.Status.Known() {
		if err = answer.Err; err == nil {
			err = errors.New("no answer")
		}
		return record, Unknown, fmt.Errorf("ask for %s: %w", name, err)
	}
	var ours []string
	for _, text := range answer.Records {
		if rest, ok := strings.CutPrefix(text, version); ok && strings.HasPrefix(strings.TrimLeft(rest, " \t"), ";") {
			ours = append(ours, text)
		}
	}
	switch len(ours) {
	case 0:
		return record, NotPublished, nil
	case 1:
		if record, err = parse(ours[0]); err != nil {
			return record, Broken, err
		}
		return record, Published, nil
	}
	return record, Broken, fmt.Errorf("read %s: %w with %s, where one may be", name, errSeveral, version)
}

// field is name=value of a record.
type field struct{ name, value string }

// splitRecord reads what RFC 8460 section 3 and RFC 8461 section 3.1 share: the
// version, then at least one field, each after a semicolon that may have white
// space around it, and a last semicolon.
func splitRecord(text, version string) ([]field, error) {
	if len(text) > maxRecord {
		return nil, errTooLong
	}
	rest, ok := strings.CutPrefix(text, version)
	if rest = strings.TrimLeft(rest, " \t"); !ok || rest != "" && rest[0] != ';' {
		return nil, fmt.Errorf("does not begin with %s", version)
	}
	if rest = strings.TrimRight(rest, " \t"); rest == "" || rest == ";" {
		return nil, errNoFields
	}
	rest = strings.TrimSuffix(rest[1:], ";")
	var fields []field
	for part := range strings.SplitSeq(rest, ";") {
		name, value, ok := strings.Cut(strings.Trim(part, " \t"), "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("no field between semicolons: %q", clip(part))
		}
		fields = append(fields, field{name, value})
	}
	return fields, nil
}

// extensionName: letters, digits, "_", "-" and ".", at most 32, a letter or a
// digit first.
func extensionName(s string) bool {
	return s != "" && len(s) <= 32 && strings.Trim(s, alphanumeric+"_-.") == "" &&
		strings.IndexByte(alphanumeric, s[0]) >= 0
}

// extensionValue: visible ASCII without "=" and ";", at least one.
func extensionValue(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' || s[i] == '=' || s[i] == ';' {
			return false
		}
	}
	return s != ""
}

func control(r rune) bool { return r < ' ' || r == 0x7f }

// clip shortens what is quoted in an error: the text is a stranger's.
func clip(s string) string {
	if len(s) > 80 {
		return s[:77] + "..."
	}
	return s
}

func cutLast(s, sep string) (before, after string, ok bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}
