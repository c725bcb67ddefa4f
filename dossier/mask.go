package dossier

import (
	"strings"
	"unicode/utf8"
)

// Mask hides the local part of every mail address in a text: "<***@example.com>".
// What counts as an address is whatever looks like one: also VERP and SRS forms,
// quoted local parts, addresses in URLs and those whose at sign is encoded (%40,
// &#64;, (at)). Domains, hosts and IP addresses stay. It costs time in
// proportion to the text, gives what it gives again when applied twice, and is
// never longer than the text. A Message-ID looks like an address and is hidden
// too: for one that stands alone there is [MaskID].
func Mask(text string) string {
	var b strings.Builder
	last := 0 // what is before it has been written
	for i := 0; i < len(text); {
		n := separator(text[i:])
		if n == 0 {
			i++
			continue
		}
		end := i + n
		if !beginsDomain(text[end:]) {
			i = end
			continue
		}
		if from := local(text, last, i); from < i {
			if b.Cap() == 0 {
				b.Grow(len(text))
			}
			b.WriteString(text[last:from])
			b.WriteString(stars(i - from))
			b.WriteString(text[i:end])
			last = end
		}
		i = end
	}
	if last == 0 {
		return text
	}
	b.WriteString(text[last:])
	return b.String()
}

// stars stand for n bytes that are hidden: three, or fewer where there were
// fewer, so that no text grows.
func stars(n int) string { return "***"[:min(n, 3)] }

// separators are the ways to write an at sign, in lower case.
var separators = [...]string{"@", "%40", "%2540", "&#64;", "&#x40;", "&commat;", `\u0040`, "(at)", "[at]", "\uff20", "\ufe6b"}

// separator gives the length of the at sign that a text begins with, 0 for none.
func separator(s string) int {
	switch s[0] {
	case '@':
		return 1
	case '%', '&', '\\', '(', '[', 0xef:
		for _, sep := range separators[1:] {
			if len(s) >= len(sep) && strings.EqualFold(s[:len(sep)], sep) {
				return len(sep)
			}
		}
	}
	return 0
}

// beginsDomain reports whether a domain or an address literal may begin here, or
// what was a local part once and is hidden now.
func beginsDomain(s string) bool {
	if s == "" {
		return false
	}
	c := s[0]
	return c == '[' || c == '*' || c >= utf8.RuneSelf || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// maxQuoted is how far before its end the opening quote of a local part is
// looked for: RFC 5321 allows 64 bytes.
const maxQuoted = 320

// local gives where the local part begins that ends before end; not before from.
func local(s string, from, end int) int {
	i := end
	if i > from && s[i-1] == '"' {
		if q := strings.LastIndexByte(s[max(from, i-maxQuoted):i-1], '"'); q >= 0 {
			i = max(from, i-maxQuoted) + q
		} else {
			i-- // the quote has no beginning: what is before it is hidden with it
		}
	}
	for i > from && inLocal(s[i-1]) {
		i--
	}
	for i < end && strings.IndexByte("'`=?!", s[i]) >= 0 {
		i++ // quotes and marks that stand before an address; alone they hide nobody
	}
	if web(s[:i]) {
		// In a URL the local part is the value of a parameter, or a piece of the path.
		if p := strings.LastIndexAny(s[i:end], "/?&#"); p >= 0 {
			i += p + 1
		}
		if p := strings.IndexByte(s[i:end], '='); p >= 0 {
			i += p + 1
		}
		return i
	}
	if p := strings.IndexByte(s[i:end], '='); p > 0 && isField(s[i:i+p]) {
		i += p + 1
	}
	return i
}

// inLocal reports whether a byte may stand in a local part without quotes, by
// what mail carries.
func inLocal(c byte) bool {
	return c > ' ' && c != 0x7f && strings.IndexByte("<>()[]{},;:\"", c) < 0
}

// web reports whether a text ends with the scheme of a web address.
func web(s string) bool {
	s = s[max(0, len(s)-len("https:")):]
	return strings.HasSuffix(strings.ToLower(s), "http:") || strings.EqualFold(s, "https:")
}

// isField tells the names of log fields, which may stand before an address
// with an equals sign as a VERP's own letters may: to=user@example.com.
func isField(s string) bool {
	s = strings.ToLower(s)
	if method, property, ok := strings.Cut(s, "."); ok && (method == "smtp" || method == "header") {
		s = property // of an Authentication-Results field, RFC 8601
	}
	switch s {
	case "to", "from", "orig_to", "rcpt", "recipient", "sender", "mailfrom", "rcptto", "envelope-from", "return-path",
		"email", "mail", "addr", "address", "auth", "f", "r", "i", "d":
		return true
	}
	return false
}

// ordinary are local parts that are words of replies: hiding them would hide
// what the reply says, and they name nobody.
var ordinary = []string{
	"user", "mailbox", "recipient", "address", "mail", "email", "unknown", "sender", "account", "message",
	"postmaster", "abuse", "admin", "support", "info", "office", "contact", "service", "local", "delivery",
	"server", "spam", "host", "domain", "smtp", "error", "relay", "access", "invalid", "rejected", "reply",
}

// MaskReply is Mask for the reply to one recipient: it hides the local part of
// the recipient's address also where it stands alone, as in "<jdoe>: unknown".
func MaskReply(reply, recipient string) string {
	reply = Mask(reply)
	name, _, _ := strings.Cut(strings.Trim(recipient, "<>"), "@")
	if len(name) < 3 || strings.Trim(name, "*") == "" {
		return reply
	}
	for _, w := range ordinary {
		if strings.EqualFold(w, name) {
			return reply
		}
	}
	return hideWord(reply, name)
}

// hideWord replaces a word, in any case of its letters, wherever no letter or
// digit touches it.
func hideWord(s, word string) string {
	var b strings.Builder
	last := 0
	for i := 0; i+len(word) <= len(s); i++ {
		if s[i]|0x20 != word[0]|0x20 || !strings.EqualFold(s[i:i+len(word)], word) ||
			i > 0 && isWord(s[i-1]) || i+len(word) < len(s) && isWord(s[i+len(word)]) {
			continue
		}
		b.WriteString(s[last:i])
		b.WriteString(stars(len(word)))
		last = i + len(word)
		i = last - 1
	}
	return b.String() + s[last:]
}

func isWord(c byte) bool {
	return c >= utf8.RuneSelf || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// MaskID gives a Message-ID as it may be shown: whole, since support finds the
// message by it, but without its local part where that names a person: it holds
// an address (VERP), or is the recipient's own.
func MaskID(id, recipient string) string {
	inner := strings.TrimSuffix(strings.TrimPrefix(id, "<"), ">")
	at := strings.LastIndexByte(inner, '@')
	if at < 0 {
		return Mask(id)
	}
	name, _, _ := strings.Cut(strings.Trim(recipient, "<>"), "@")
	head := strings.ToLower(inner[:at])
	personal := strings.EqualFold(inner, strings.Trim(recipient, "<>")) || strings.ContainsAny(head, "=@") ||
		len(name) >= 3 && strings.Trim(name, "*") != "" && strings.Contains(head, strings.ToLower(name)) ||
		Mask(head) != head
	if !personal {
		return id
	}
	out := stars(at) + inner[at:]
	if strings.HasPrefix(id, "<") {
		out = "<" + out
	}
	if strings.HasSuffix(id, ">") {
		out += ">"
	}
	return out
}
