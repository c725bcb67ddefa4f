package header

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/postroad/postroad/mail"
	"github.com/postroad/postroad/mailauth"
)

// parseAuth reads the value of an Authentication-Results field (RFC 8601
// section 2.2), Microsoft's form without an authserv-id included.
func parseAuth(v, from string) Authority {
	parsed, _ := mailauth.Parse(clip(v, maxField)) // nothing in it: an authority without results
	a := Authority{ID: parsed.AuthServID}
	for _, m := range parsed.Methods {
		if len(a.Results) == maxResults {
			break
		}
		r := Result{Method: string(m.Method), Result: string(m.Result), Reason: m.Reason, Comment: m.Comment}
		for _, p := range m.Properties {
			if r.Props == nil {
				r.Props = make(map[string]string, len(m.Properties))
			}
			r.Props[p.Key()] = p.Value
		}
		r.Aligned = r.alignment(from)
		a.Results = append(a.Results, r)
	}
	return a
}

// splitOutside yields the pieces of s between the separators that stand
// outside comments and quoted strings.
func splitOutside(s string, sep byte) func(func(string) bool) {
	return func(yield func(string) bool) {
		depth, quoted, from := 0, false, 0
		for i := 0; i < len(s); i++ {
			switch c := s[i]; {
			case c == '\\':
				i++
			case c == '"' && depth == 0:
				quoted = !quoted
			case quoted:
			case c == '(':
				depth++
			case c == ')':
				depth = max(depth-1, 0)
			case c == sep && depth == 0:
				if !yield(s[from:i]) {
					return
				}
				from = i + 1
			}
		}
		yield(s[from:])
	}
}

type authWord struct {
	text    string
	comment bool
}

// authWords cuts one piece into words and comments. White space round the "="
// is taken off: RFC 8601 allows it.
func authWords(s string) []authWord {
	var out []authWord
	for len(out) < 100 {
		s = strings.TrimLeft(s, " \t\r\n")
		if s == "" {
			break
		}
		if s[0] == '(' {
			var c string
			c, s = cutComment(s)
			out = append(out, authWord{strings.TrimSpace(c), true})
			continue
		}
		i, quoted := 0, false
		for i < len(s) && (quoted || s[i] != ' ' && s[i] != '\t' && s[i] != '\n' && s[i] != '\r' && s[i] != '(') {
			switch s[i] {
			case '"':
				quoted = !quoted
			case '\\':
				i++
			}
			i++
		}
		i = min(i, len(s))
		word := s[:i]
		s = s[i:]
		if n := len(out); n > 0 && !out[n-1].comment &&
			(strings.HasPrefix(word, "=") || strings.HasSuffix(out[n-1].text, "=")) {
			out[n-1].text += word
			continue
		}
		out = append(out, authWord{word, false})
	}
	return out
}

// prop gives a property by its type and name (RFC 8601 section 2.2), "" for
// Microsoft's "none".
func (r Result) prop(ptype, name string) string {
	v := r.Props[ptype+"."+name]
	if v == "none" {
		return ""
	}
	return v
}

func (r Result) alignment(from string) Alignment {
	switch r.Method {
	case "spf":
		return align(cmp.Or(r.prop("smtp", "mailfrom"), r.prop("smtp", "mail")), from)
	case "dkim":
		return align(cmp.Or(r.prop("header", "d"), r.prop("header", "i")), from)
	}
	return ""
}

// parseReceivedSPF reads the field of RFC 7208 section 9.1.
func parseReceivedSPF(v, from string) Authority {
	v = clip(v, maxField)
	r := Result{Method: "spf", Result: strings.ToLower(firstWord(v))}
	rest := v[len(firstWord(v)):]
	rest = strings.TrimLeft(rest, " ")
	if strings.HasPrefix(rest, "(") {
		r.Comment, rest = cutComment(rest)
		r.Comment = clip(r.Comment, maxValue)
	}
	a := Authority{Field: "Received-SPF"}
	// "(mx.example.com: domain of a@b designates ...)"
	if who, _, ok := strings.Cut(r.Comment, ": "); ok && !strings.Contains(who, " ") {
		a.ID = who
	}
	for part := range splitOutside(rest, ';') {
		for _, w := range authWords(part) {
			key, value, ok := strings.Cut(w.text, "=")
			if !ok || w.comment || len(r.Props) >= 32 || len(key) > 64 {
				continue
			}
			if r.Props == nil {
				r.Props = make(map[string]string)
			}
			r.Props[strings.ToLower(key)] = clip(strings.Trim(value, `"<>`), maxValue)
		}
	}
	if a.ID == "" {
		a.ID = r.Props["receiver"]
	}
	r.Aligned = align(r.Props["envelope-from"], from)
	a.Results = []Result{r}
	return a
}

// tags reads the tag list of RFC 6376 section 3.2 for one tag. White space
// inside a value is folding and is taken out.
func tag(v, name string) string {
	for part := range strings.SplitSeq(v, ";") {
		key, value, ok := strings.Cut(part, "=")
		if ok && strings.TrimSpace(key) == name {
			return clip(strings.Join(strings.Fields(value), ""), maxValue)
		}
	}
	return ""
}

func parseSignature(v, from string) Signature {
	v = clip(v, maxField)
	s := Signature{
		Domain:    mail.NormalDomain(tag(v, "d")),
		Selector:  tag(v, "s"),
		Algorithm: tag(v, "a"),
		Signed:    unixTime(tag(v, "t")),
		Expires:   unixTime(tag(v, "x")),
		Length:    tag(v, "l") != "",
	}
	s.Aligned = align(s.Domain, from)
	return s
}

// expire marks the signatures that were too old when the message arrived; it is
// no fault that one is today. Without a time of arrival that can be believed,
// now stands for it.
func (r *Report) expire(now time.Time) {
	for i := len(r.Hops) - 1; i >= 0; i-- {
		if h := &r.Hops[i]; !h.Time.IsZero() && h.Skew == 0 {
			now = h.Time
			break
		}
	}
	for i := range r.DKIM {
		s := &r.DKIM[i]
		s.Expired = !s.Expires.IsZero() && !now.IsZero() && s.Expires.Before(now)
	}
}

// unixTime reads seconds since 1970, at most twelve digits as in RFC 6376.
func unixTime(s string) time.Time {
	if s == "" || len(s) > 12 {
		return time.Time{}
	}
	var v int64
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return time.Time{}
		}
		v = v*10 + int64(s[i]-'0')
	}
	if v > 253402300799 { // the year 9999: JSON writes no later one
		return time.Time{}
	}
	return time.Unix(v, 0).UTC()
}

// arc takes one ARC field into its set (RFC 8617 section 4.1).
func (r *Report) arc(field, v string) {
	v = clip(v, maxField)
	i := tag(v, "i")
	n := 0
	for _, c := range i {
		if c < '0' || c > '9' || n > 99 {
			return
		}
		n = n*10 + int(c-'0')
	}
	if n < 1 || n > maxAuth { // RFC 8617 section 4.2.1 allows 50
		return
	}
	at := 0
	for at < len(r.ARC) && r.ARC[at].Instance < n {
		at++
	}
	if at == len(r.ARC) || r.ARC[at].Instance != n {
		r.ARC = append(r.ARC, ARCSet{})
		copy(r.ARC[at+1:], r.ARC[at:])
		r.ARC[at] = ARCSet{Instance: n}
	}
	set := &r.ARC[at]
	switch field {
	case "arc-seal":
		set.Seal, set.Domain = strings.ToLower(tag(v, "cv")), mail.NormalDomain(tag(v, "d"))
	case "arc-authentication-results":
		_, rest, _ := strings.Cut(v, ";")
		set.Results = parseAuth(rest, r.From)
		set.Results.Field = "ARC-Authentication-Results"
	}
}

// trust marks the fields that the receiving side wrote. Fields are put on top
// on the way, so nobody outside can write above the Received field of the
// border (RFC 8601 section 5). Between that one and the next older Received
// field stand those that the border host adds below its own (Gmail does, and
// milters) but also what the last sender put on top: there the authserv-id has
// to be of the receiving organisation, which strips foreign fields of its own
// name. at are the places of the fields in Auth, hops those of the Received
// fields, oldest first.
func (r *Report) trust(at, hops []int) {
	own := r.receiver()
	for i := range r.Auth {
		a := &r.Auth[i]
		mine := a.ID != "" && own != "" && organisation(a.ID) == own
		switch {
		case r.Border >= 0:
			above := at[i] < hops[r.Border]
			between := r.Border == 0 || at[i] < hops[r.Border-1]
			a.Trusted = above || mine && between
		case len(hops) > 0:
			newest := hops[len(hops)-1]
			a.Trusted = at[i] < newest || mine
		default: // only a piece of a header was given
			a.Trusted = a.ID == r.Auth[0].ID
		}
	}
}

// authFindings says what the results of the receiving side mean.
func (r *Report) authFindings() {
	told := slices.ContainsFunc(r.Auth, func(a Authority) bool {
		return a.Trusted && a.Field != "Received-SPF" &&
			slices.ContainsFunc(a.Results, func(res Result) bool { return res.Method == "spf" })
	})
	for _, a := range r.Auth {
		if !a.Trusted || told && a.Field == "Received-SPF" { // the same check, told twice
			continue
		}
		for _, res := range a.Results {
			r.resultFinding(a.Field, res)
		}
	}
	for _, s := range r.DKIM {
		if s.Expired {
			r.find(Finding{Key: "header.dkim.expired", Field: "DKIM-Signature", Value: s.Domain})
		}
		if s.Length {
			r.find(Finding{Key: "header.dkim.length", Field: "DKIM-Signature", Value: s.Domain})
		}
	}
	if n := len(r.ARC); n > 0 {
		switch r.ARC[n-1].Seal {
		case "pass", "none", "fail":
			r.find(Finding{Key: "header.arc." + r.ARC[n-1].Seal, Field: "ARC-Seal",
				Value: r.ARC[n-1].Domain, Fragment: "cv=" + r.ARC[n-1].Seal})
		}
	}
}

func (r *Report) resultFinding(field string, res Result) {
	f := Finding{Field: field, Fragment: res.Method + "=" + res.Result}
	switch res.Method {
	case "spf":
		f.Value = cmp.Or(res.prop("smtp", "mailfrom"), res.prop("smtp", "mail"), res.Props["envelope-from"],
			res.prop("smtp", "helo"), res.Props["helo"])
	case "dkim":
		f.Value = cmp.Or(res.prop("header", "d"), res.prop("header", "i"))
	case "dmarc":
		f.Value = res.prop("header", "from")
		r.dmarcAction(field, res)
	case "compauth":
		r.compauth(field, res)
		return
	default:
		return
	}
	switch res.Result {
	case "pass", "fail", "softfail", "neutral", "none", "temperror", "permerror", "policy", "bestguesspass":
		f.Key = "header." + res.Method + "." + res.Result
	default:
		return
	}
	if !knownResult(res.Method, res.Result) {
		return
	}
	f.Value = cmp.Or(domainOf(f.Value), "?")
	r.find(f)
	if res.Result == "pass" && res.Aligned == AlignNone {
		f.Key = "header." + res.Method + ".unaligned"
		r.find(f)
	}
}

func domainOf(v string) string { return strings.Trim(v[strings.LastIndexByte(v, '@')+1:], "<>") }

// knownResult tells which results of which method have a meaning of their own.
func knownResult(method, result string) bool {
	switch result {
	case "softfail":
		return method == "spf"
	case "neutral", "policy":
		return method != "dmarc" && (result != "policy" || method == "dkim")
	case "bestguesspass":
		return method == "dmarc"
	}
	return true
}
