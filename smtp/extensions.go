package smtp

import (
	"slices"
	"strconv"
	"strings"

	"github.com/postroad/postroad/mail"
)

// Extensions are what a server offers in its reply to EHLO or LHLO: keywords in upper
// case and what stands behind them.
type Extensions map[string]string

const (
	maxExtensions     = 64 // keywords; real servers have under twenty
	maxExtensionValue = 1024
)

// ParseExtensions reads the reply to EHLO. The first line is a greeting. Keywords count
// in any case (RFC 5321 section 4.1.1.1). The old form "AUTH=LOGIN" means AUTH, as servers
// wrote it before RFC 2554 and many still do beside the new one; what both list is joined.
func ParseExtensions(r mail.Reply) Extensions {
	x := Extensions{}
	if len(r.Lines) < 2 {
		return x
	}
	for _, line := range r.Lines[1:] {
		fields := strings.Fields(line)
		if len(fields) == 0 || len(x) >= maxExtensions || len(line) > maxExtensionValue {
			continue
		}
		keyword := strings.ToUpper(fields[0])
		if old, ok := strings.CutPrefix(keyword, "AUTH="); ok {
			keyword = "AUTH"
			fields = append(strings.Fields(keyword+" "+old), fields[1:]...)
		}
		if !isKeyword(keyword) {
			continue
		}
		value := strings.Join(fields[1:], " ")
		if had, again := x[keyword]; again && keyword == "AUTH" {
			value = strings.TrimSpace(had + " " + value)
		} else if again {
			continue
		}
		x[keyword] = value
	}
	return x
}

// Has says whether the keyword is offered.
func (x Extensions) Has(keyword string) bool {
	_, ok := x[strings.ToUpper(keyword)]
	return ok
}

// Size is the largest message that the server takes, in octets; 0 if it sets no limit
// or none that can be read (RFC 1870 section 4).
func (x Extensions) Size() int64 {
	word, _, _ := strings.Cut(x["SIZE"], " ")
	n, err := strconv.ParseInt(word, 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// Auth lists the mechanisms offered, in upper case, each once and in the server's order.
func (x Extensions) Auth() []string {
	var all []string
	for name := range strings.FieldsSeq(strings.ToUpper(x["AUTH"])) {
		if !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	return all
}

// XClient lists the attributes that XCLIENT may give, in upper case.
func (x Extensions) XClient() []string { return strings.Fields(strings.ToUpper(x["XCLIENT"])) }
