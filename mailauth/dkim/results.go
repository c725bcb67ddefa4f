package dkim

import (
	"encoding/base64"
	"strconv"

	"github.com/postroad/postroad/mailauth"
)

// Methods gives all signatures as they stand in an Authentication-Results field, in the
// order of the message; of a message without any it is the one result none, which tells
// unsigned mail from mail that nobody looked at.
func (r *Report) Methods() []mailauth.MethodResult {
	if len(r.Signatures) == 0 {
		return []mailauth.MethodResult{{Method: mailauth.DKIM, Result: mailauth.None}}
	}
	all := make([]mailauth.MethodResult, len(r.Signatures))
	for i := range r.Signatures {
		all[i] = r.Signatures[i].Method()
	}
	return all
}

// Method gives a verification as it stands in an Authentication-Results field (RFC
// 8601 section 2.7.1), with the beginning of the signature that tells it from others of the
// same domain (RFC 6008).
func (v *Verification) Method() mailauth.MethodResult {
	m := mailauth.MethodResult{Method: mailauth.DKIM, Result: v.Result, Reason: string(v.Reason)}
	switch {
	case v.Bits > 0 && v.Testing:
		m.Comment = strconv.Itoa(v.Bits) + "-bit key, testing"
	case v.Bits > 0:
		m.Comment = strconv.Itoa(v.Bits) + "-bit key"
	case v.Testing:
		m.Comment = "testing"
	}
	begin := base64.StdEncoding.EncodeToString(v.Bytes)
	for _, p := range [...]struct{ name, value string }{
		{"d", v.Domain}, {"i", v.Identity}, {"s", v.Selector}, {"a", v.Algorithm}, {"b", begin[:min(8, len(begin))]},
	} {
		if p.value != "" {
			m.Properties = append(m.Properties, mailauth.Property{Type: "header", Name: p.name, Value: p.value})
		}
	}
	return m
}

// Method gives a chain as it stands in an Authentication-Results field (RFC 8617
// sections 4.4 and 5.2).
func (c *Chain) Method() mailauth.MethodResult {
	m := mailauth.MethodResult{Method: mailauth.ARC, Result: c.Result, Reason: string(c.Reason)}
	if n := len(c.Sets); n > 0 {
		m.Comment = "i=" + strconv.Itoa(n)
	}
	if c.Result == mailauth.Pass {
		m.Properties = []mailauth.Property{{Type: "header", Name: "oldest-pass", Value: strconv.Itoa(c.OldestPass)}}
	}
	return m
}
