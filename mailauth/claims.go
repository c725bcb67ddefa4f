package mailauth

import "strings"

// Claims reports whether the body of an Authentication-Results field claims to
// be of the host or group of hosts that authservID names, so that the border has
// to take it out of mail from outside (RFC 8601 section 5). It would rather
// believe too much to be a claim than too little, because a reader behind us may
// read the field in another way: a field too long to be read whole is a claim,
// and so is our name as any word of the part before the first result, whatever
// its case, quotation marks, final dot, or the comments around it.
//
// A field without an authserv-id (Microsoft's form) claims nobody's name: who
// trusts such fields has to take out all of them.
func Claims(field, authservID string) bool {
	own := normalID(authservID)
	if own == "" || len(field) > MaxField {
		return own != ""
	}
	p := parser{s: clean(field), first: true, cur: -1}
	begun := false // the part of the name has begun; not by "i=" of an ARC set
	for p.space(); p.at < len(p.s); p.space() {
		if p.s[p.at] == ';' {
			if begun {
				return false
			}
			p.at++
			continue
		}
		w := p.word()
		if !w.pair && normalID(w.text) == own {
			return true
		}
		begun = begun || !w.pair || !strings.EqualFold(w.text, "i")
	}
	return false
}

func normalID(s string) string {
	return strings.ToLower(strings.TrimSuffix(clip(strings.TrimSpace(s), MaxValue), "."))
}
