package header

import (
	"net/netip"
	"strings"

	"github.com/postroad/postroad/message"
)

// parseReceived reads one Received field. It is tolerant: the grammar of
// RFC 5321 section 4.4 is what few write, so clauses are found by their words,
// wherever they stand, and comments are searched for what is known to be in
// them.
func parseReceived(v string) Hop {
	v = clip(v, maxField)
	var h Hop
	body, date := cutDate(v)
	if date == "" { // some forget the semicolon
		if i := lastWeekday(v); i >= 0 {
			body, date = v[:i], v[i:]
		}
	}
	h.Time, _ = message.ParseDate(date)
	p := receivedParser{hop: &h}
	p.read(body)
	if h.By == "" && h.From == "" && h.FromIP == "" || h.Time.IsZero() {
		h.Raw = clip(v, maxValue)
	}
	return h
}

// cutDate splits at the last semicolon outside comments; if the comments do not
// pair, at the last one.
func cutDate(v string) (body, date string) {
	depth, at := 0, -1
	for i := 0; i < len(v); i++ {
		switch v[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			depth = max(depth-1, 0)
		case ';':
			if depth == 0 {
				at = i
			}
		}
	}
	if at < 0 || depth > 0 {
		at = strings.LastIndexByte(v, ';')
	}
	if at < 0 {
		return v, ""
	}
	return v[:at], strings.TrimSpace(v[at+1:])
}

// lastWeekday finds where a date without its semicolon begins.
func lastWeekday(v string) int {
	at := -1
	for _, day := range [...]string{" Mon, ", " Tue, ", " Wed, ", " Thu, ", " Fri, ", " Sat, ", " Sun, "} {
		at = max(at, strings.LastIndex(v, day))
	}
	return at
}

type receivedParser struct {
	hop    *Hop
	clause string // from, by, via, with, id, for
	words  int    // in this clause
}

func (p *receivedParser) read(s string) {
	for {
		s = strings.TrimLeft(s, " \t\r\n;")
		if s == "" {
			return
		}
		if s[0] == '(' {
			var comment string
			comment, s = cutComment(s)
			p.comment(comment)
			continue
		}
		end := 0
		for end < len(s) && !strings.ContainsRune(" \t\r\n(;", rune(s[end])) {
			if s[end] == '<' { // an address may hold anything
				if i := strings.IndexByte(s[end:], '>'); i > 0 {
					end += i
				}
			}
			end++
		}
		p.word(s[:end])
		s = s[end:]
	}
}

// cutComment takes a comment with its nested ones; an open one ends with the
// field.
func cutComment(s string) (comment, rest string) {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return s[1:i], s[i+1:]
			}
		}
	}
	return s[1:], ""
}

func (p *receivedParser) word(w string) {
	h := p.hop
	switch l := strings.ToLower(w); l {
	case "from", "by", "via", "with", "id", "for":
		// "from" is also a word of comments that lost their brackets.
		if l != "from" || p.clause == "" {
			p.clause, p.words = l, 0
			return
		}
	}
	w = clip(w, maxValue)
	p.words++
	switch p.clause {
	case "from":
		if p.words == 1 {
			name := strings.TrimSuffix(w, ".")
			if ip := parseIP(name); ip != "" {
				h.FromIP = ip
			} else if !strings.EqualFold(name, "unknown") {
				h.From = name
			}
		}
	case "by":
		if p.words == 1 {
			h.By = strings.TrimSuffix(w, ".")
		}
	case "via":
		h.Via = join(h.Via, w)
	case "with":
		// Exim: "with esmtps  (TLS1.3) tls TLS_AES_256_GCM_SHA384"
		if strings.EqualFold(w, "tls") && p.words > 1 {
			return
		}
		if strings.HasPrefix(w, "TLS_") || strings.HasPrefix(w, "ECDHE") {
			h.Cipher = w
			return
		}
		h.With = join(h.With, w)
	case "id":
		if p.words == 1 {
			h.ID = w
		}
	case "for":
		if p.words == 1 {
			h.For = strings.Trim(w, "<>")
		}
	}
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	if len(a) > 200 {
		return a
	}
	return a + " " + b
}

// comment takes from a comment what its clause can use.
func (p *receivedParser) comment(c string) {
	h := p.hop
	p.tls(c)
	if p.clause != "from" {
		return
	}
	low := strings.ToLower(c)
	if helo := heloOf(c, low); helo != "" {
		h.HELO = clip(helo, maxValue)
	}
	open := strings.IndexByte(c, '[')
	if open >= 0 {
		if end := strings.IndexByte(c[open:], ']'); end > 0 {
			if ip := parseIP(c[open+1 : open+end]); ip != "" && h.FromIP == "" {
				h.FromIP = ip
			}
		}
	} else if ip := parseIP(strings.TrimSpace(c)); ip != "" && h.FromIP == "" {
		h.FromIP = ip
	}
	if h.HELO != "" || open < 0 {
		return // Exim and qmail: the name in front is the verified one
	}
	// "helo (name [ip])": the name was found by reverse DNS.
	name := strings.TrimSuffix(strings.TrimSpace(c[:open]), ".")
	if name == "" || strings.ContainsAny(name, " =@") || parseIP(name) != "" {
		return
	}
	if h.From != "" && !strings.EqualFold(name, h.From) {
		h.HELO = h.From
	}
	if strings.EqualFold(name, "unknown") {
		if h.HELO == "" {
			h.HELO = h.From
		}
		return
	}
	h.From = clip(name, maxValue)
}

// heloOf reads "helo=x" (Exim), "HELO x" and "EHLO x" (qmail, Yahoo).
func heloOf(c, low string) string {
	for _, word := range [...]string{"helo=", "helo ", "ehlo "} {
		i := strings.Index(low, word)
		if i < 0 || i > 0 && low[i-1] != ' ' && low[i-1] != ':' {
			continue
		}
		rest := c[i+len(word):]
		if end := strings.IndexAny(rest, " )\t"); end >= 0 {
			rest = rest[:end]
		}
		return strings.Trim(rest, "[]")
	}
	return ""
}

// tls finds version and cipher in the ways in which they are written:
//
//	(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits))   Postfix
//	(version=TLS1_3, cipher=TLS_AES_256_GCM_SHA384)                     Microsoft
//	(version=TLSv1.3 cipher=TLS_AES_256_GCM_SHA384 bits=256 verify=NO)  Sendmail, Google
//	(TLS1.3:TLS_AES_256_GCM_SHA384:256), (TLS1.3)                       Exim
func (p *receivedParser) tls(c string) {
	h := p.hop
	if h.TLS != "" {
		return
	}
	switch {
	case strings.HasPrefix(c, "using TLS"):
		h.TLS = tlsVersion(firstWord(c[6:]))
		if _, rest, ok := strings.Cut(c, "with cipher "); ok {
			h.Cipher = clip(firstWord(rest), maxValue)
		}
	case strings.Contains(c, "version=TLS"):
		_, rest, _ := strings.Cut(c, "version=")
		h.TLS = tlsVersion(firstWord(rest))
		if _, rest, ok := strings.Cut(c, "cipher="); ok {
			h.Cipher = clip(firstWord(rest), maxValue)
		}
	case strings.HasPrefix(c, "TLS"):
		version, cipher, _ := strings.Cut(c, ":")
		if v := tlsVersion(firstWord(version)); v != "" {
			h.TLS = v
			if cipher, _, _ = strings.Cut(cipher, ":"); cipher != "" {
				h.Cipher = clip(firstWord(cipher), maxValue)
			}
		}
	}
}

func firstWord(s string) string {
	if i := strings.IndexAny(s, " ,;()\t"); i >= 0 {
		return s[:i]
	}
	return s
}

// tlsVersion gives the many spellings one form.
func tlsVersion(s string) string {
	s = strings.TrimPrefix(strings.TrimPrefix(strings.ToLower(s), "tls"), "v")
	switch strings.ReplaceAll(s, "_", ".") {
	case "1.3":
		return "TLSv1.3"
	case "1.2":
		return "TLSv1.2"
	case "1.1":
		return "TLSv1.1"
	case "1", "1.0":
		return "TLSv1"
	}
	return ""
}

// parseIP reads an address with or without brackets, the IPv6 tag of RFC 5321
// section 4.1.3, a zone or a port; "" if it is none.
func parseIP(s string) string {
	s = strings.Trim(s, "[]")
	if len(s) < 3 || len(s) > 64 {
		return ""
	}
	if len(s) > 5 && strings.EqualFold(s[:5], "ipv6:") {
		s = s[5:]
	}
	if ip, err := netip.ParseAddr(s); err == nil {
		return ip.Unmap().WithZone("").String()
	}
	if i := strings.IndexByte(s, ']'); i > 0 {
		return parseIP(s[:i])
	}
	return ""
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xc0 == 0x80 { // not inside a character
		n--
	}
	return s[:n]
}
