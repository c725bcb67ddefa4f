package spf

import (
	"strings"

	"github.com/postroad/postroad/mailauth"
)

// maxValue bounds one value of Received-SPF in octets; an address has 320. All of it
// quoted and escaped is still no line of more than 998 (RFC 5322 section 2.1.1).
const maxValue = 480

// Received gives the body of a Received-SPF field (RFC 7208 section 9.1), folded
// with CRLF, without the field name and without a final line end. receiver is our
// host name. What client and domain said comes as quoted strings without control
// characters, so that it cannot end the field.
func (v *Verdict) Received(q Query, receiver string) string {
	var b strings.Builder
	column := len("Received-SPF: ")
	b.WriteString(string(v.Result))
	column += b.Len()
	add := func(key, value string) {
		if value == "" {
			return
		}
		pair := key + "=" + valueText(value)
		if column+len(" ;")+len(pair) > 78 {
			b.WriteString("\r\n\t")
			column = 8
		} else {
			b.WriteByte(' ')
			column++
		}
		b.WriteString(pair)
		b.WriteByte(';')
		column += len(pair) + 1
	}
	add("receiver", receiver)
	if ip := q.IP.Unmap().WithZone(""); ip.IsValid() {
		add("client-ip", ip.String())
	}
	add("identity", string(v.Identity))
	add("envelope-from", v.Sender)
	add("helo", q.Helo)
	switch v.Result {
	case mailauth.TempError, mailauth.PermError:
		add("problem", string(v.Reason))
	default:
		add("mechanism", v.Term)
	}
	return strings.TrimSuffix(b.String(), ";")
}

// valueText writes a value as a dot-atom where it is one, else as a quoted string
// (RFC 5322 sections 3.2.3 and 3.2.4).
func valueText(s string) string {
	if len(s) > maxValue {
		s = s[:maxValue]
	}
	s = strings.ToValidUTF8(s, "?")
	if isDotAtom(s) {
		return s
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == 0x2028 || r == 0x2029:
			r = '?'
		case r == '"' || r == '\\':
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	b.WriteByte('"')
	return b.String()
}

func isDotAtom(s string) bool {
	for i := range len(s) {
		c := lower(s[i])
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && strings.IndexByte("!#$%&'*+-/=?^_`{|}~.", c) < 0 {
			return false
		}
	}
	return !strings.Contains("."+s+".", "..")
}
