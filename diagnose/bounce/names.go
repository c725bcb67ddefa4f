package bounce

import "strings"

// saysNot tells the words of a list that speak of a failure of their own from
// those that leave it to what stands before them ("the following recipients").
func saysNot(words string) bool {
	return strings.Contains(words, "not be delivered") || strings.Contains(words, "n't be delivered") || strings.Contains(words, "cannot be delivered") ||
		strings.Contains(words, "were not delivered") || strings.Contains(words, "was not delivered") || strings.Contains(words, "undeliverable")
}

// denied tells whether the sentence says no to the words of h in front of them:
// in German, French and others the words of a success report are those of a
// failure, but for the "not" before them ("konnte nicht an folgende Empfänger
// zugestellt werden").
func (f *finder) denied(h *hit) bool {
	s := f.low[max(0, h.from-60):h.from]
	if i := strings.LastIndexAny(s, ".:!?@"); i >= 0 {
		s = s[i+1:]
	}
	if i := strings.LastIndex(s, "\n\n"); i >= 0 {
		s = s[i:]
	}
	for word := range strings.FieldsSeq(s) {
		switch word {
		case "not", "nicht", "pas", "non", "no", "não", "nao", "niet", "inte", "ikke", "nie":
			return true
		}
	}
	return false
}

// insideX400 gives where the mail address begins in a line that is an X.400 name
// with one in it ("c=US;a= ;p=Example;dda:SMTP=bob@example.com; on ..."), by
// which Exchange 5.5 and the gateways of its time list those of other systems;
// start for other lines.
func (f *finder) insideX400(start int, l line) int {
	s := f.low[start:max(start, l.to)]
	if !strings.HasPrefix(s, "c=") && !strings.HasPrefix(s, "/c=") && !strings.HasPrefix(s, "dda:") && !strings.HasPrefix(s, "/dd.") {
		return start
	}
	for _, key := range [...]string{"smtp=", "rfc-822=", "rfc822=", "smtp:"} {
		if i := strings.Index(s, key); i >= 0 {
			return start + i + len(key)
		}
	}
	return start
}

// refusedName notes a recipient that the list gives by its reply alone, without
// a domain: "550 bob is not a known user", the old form of AOL.
func (f *finder) refusedName(rest string, l line) {
	word, tail, ok := strings.Cut(rest, " ")
	if !ok || !f.open || f.members > 0 || len(f.locals) > 50 || !isLocalName(word) || !strings.HasPrefix(tail, "is ") || !f.failsAt(l, tail) {
		return
	}
	at := l.to - len(rest)
	f.locals = append(f.locals, found{address: word, strength: weak, action: f.action, from: at, to: at + len(word), start: l.first, summary: true})
}

// isLocalName tells a word that may be the local part of an address.
func isLocalName(word string) (letters bool) {
	if len(word) > 64 {
		return false
	}
	for j := 0; j < len(word); j++ {
		c := word[j]
		if !isAlnum(c) && strings.IndexByte("._-+", c) < 0 {
			return false
		}
		letters = letters || isAlnum(c)
	}
	return letters
}

// ofList tells the address of the list to whose return path the report goes
// ("news-bounces@", "owner-news@", "news-return-12-bob=example.net@"): the mail
// was posted there, and the copies that failed went to others. A report that
// has this address only is one all the same (draft.posted), of nobody knows whom.
func (d *draft) ofList(address string) bool {
	back, k := addressKey(addressIn(d.env.h.Text("To"))), addressKey(address)
	is := domainOf(k) == domainOf(back) && isReturnOf(localOf(back), localOf(k))
	d.posted = d.posted || is
	return is
}

// isReturnOf tells whether back is the local part of the return path of the
// list that is called name.
func isReturnOf(back, name string) bool {
	if name == "" {
		return false
	}
	for _, mark := range [...]string{"owner", "bounce", "bounces"} {
		if rest, ok := strings.CutPrefix(back, mark+"-"); ok && strings.HasPrefix(rest, name) {
			return true
		}
	}
	rest, ok := strings.CutPrefix(back, name+"-")
	if !ok {
		return false
	}
	for _, mark := range [...]string{"owner", "bounce", "errors", "return", "request", "admin"} {
		if strings.HasPrefix(rest, mark) {
			return true
		}
	}
	return false
}
