package diagnose

import "strings"

// Template gives the text with what differs from mail to mail taken out:
// numbers, host names, addresses, identifiers. Two replies of one kind have the
// same template. It holds no address, so that it may be shown and sent.
func Template(text string) string {
	s := canonical(parseReply(tidy(text)))
	var b strings.Builder
	b.Grow(len(s))
	for word := range strings.FieldsSeq(s) {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(word)
	}
	return b.String()
}
