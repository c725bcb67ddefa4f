package diagnose

import (
	"strings"

	"golang.org/x/net/publicsuffix"
)

// maxTemplate bounds a template, in bytes; the kind of a reply shows early.
const maxTemplate = 400

// Template gives the innermost reply of a text with what differs from mail to
// mail taken out: numbers (<n>), host and domain names (<host>), addresses (<ip>,
// <address>), links (<url>) and identifiers (<id>). Codes stay, and so do the
// short tokens of providers (S3150, TSS04). Two replies of one kind have the same
// template, and it names nobody, so that it may be shown and sent.
func Template(s string) string {
	layers := Peel(s)
	if len(layers) == 0 {
		return ""
	}
	r := layers[len(layers)-1].Reply
	var b strings.Builder
	head := r
	head.Lines = nil
	b.WriteString(canonical(head))
	line := canonical(parseReply(strings.Join(r.Lines, " ")))
	for i := 0; i < len(line) && b.Len() < maxTemplate; {
		if c := line[i]; !tokenByte(c) {
			if b.Len() > 0 || c != ' ' {
				if i == 0 && b.Len() > 0 {
					b.WriteByte(' ')
				}
				b.WriteByte(c)
			}
			i++
			continue
		}
		if i == 0 && b.Len() > 0 {
			b.WriteByte(' ')
		}
		end := i
		for end < len(line) && tokenByte(line[end]) {
			end++
		}
		if strings.Contains(line[i:end], "://") { // a link may hold anything but these
			for end < len(line) && strings.IndexByte(" <>\"'()[]", line[end]) < 0 {
				end++
			}
		}
		word := strings.TrimRight(line[i:end], ".,:;!?/-")
		if word == "" {
			word = line[i:end]
		}
		b.WriteString(placeholder(word))
		i += len(word)
	}
	return strings.TrimRight(strings.ToValidUTF8(b.String(), "?"), " ")
}

// tokenByte reports whether c can be inside a host name, an address, a link, a
// number or an identifier.
func tokenByte(c byte) bool {
	return wordByte(c) || strings.IndexByte(".@:/+%~#&?$!*^-\\`", c) >= 0
}

// placeholder gives what stands for a word in a template.
func placeholder(word string) string {
	low := lower(word)
	switch {
	case strings.Contains(low, "://") || strings.HasPrefix(low, "www.") || strings.HasPrefix(low, "mailto:"):
		return "<url>"
	case strings.Contains(word, "@"):
		return "<address>"
	case address(word) != "":
		return "<ip>"
	case isHostName(low):
		return "<host>"
	}
	digits, letters, others := 0, 0, 0
	for i := 0; i < len(word); i++ {
		switch c := word[i]; {
		case isDigit(c):
			digits++
		case isAlpha(c):
			letters++
		default:
			others++
		}
	}
	switch {
	case digits > 0 && letters == 0:
		return "<n>"
	case digits > 0 && !shortToken(word):
		return "<id>"
	case letters > 24 && others == 0:
		return "<id>"
	}
	return word
}

// isHostName takes a name with a dot for a host where its end is a public suffix
// or one that private networks use: Exchange's "RESOLVER.ADR.RecipNotFound" and a
// sentence without a space behind it are none.
func isHostName(low string) bool {
	i := strings.LastIndexByte(low, '.')
	if i <= 0 || i+2 > len(low)-1 || strings.ContainsAny(low, "/+%~#&?$!*^:\\`") {
		return false
	}
	switch low[i+1:] {
	case "local", "lan", "internal", "localdomain", "home", "corp", "arpa", "test", "example", "invalid":
		return true
	}
	_, icann := publicsuffix.PublicSuffix(low)
	return icann
}

// shortToken tells a provider's code from an identifier: some capital letters,
// then some digits, perhaps with a hyphen between.
func shortToken(s string) bool {
	i := 0
	for i < len(s) && 'A' <= s[i] && s[i] <= 'Z' {
		i++
	}
	rest := strings.TrimLeft(s[i:], "-_#")
	return 0 < i && i <= 6 && len(rest) <= 4 && rest != "" && strings.Trim(rest, "0123456789") == ""
}
