package dossier

import (
	"regexp"
	"strings"
	"testing"
)

func TestMask(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", ""},
		{"421 4.4.2 Connection dropped due to SocketError", "421 4.4.2 Connection dropped due to SocketError"},
		{"550 5.1.1 <jdoe@example.com>: Recipient address rejected", "550 5.1.1 <***@example.com>: Recipient address rejected"},
		{"rcpt to j.doe+tag@example.com.", "rcpt to ***@example.com."},
		{"a@example.com,bc@example.net", "*@example.com,**@example.net"},
		{"bounce+jdoe=example.com@lists.example: no", "***@lists.example: no"},
		{"SRS0=HHH=TT=example.com=jdoe@fwd.example", "***@fwd.example"},
		{"to=<jdoe@example.com>, orig_to=<jd@example.com>", "to=<***@example.com>, orig_to=<**@example.com>"},
		{"to=jdoe@example.com from=x@example.net", "to=***@example.com from=*@example.net"},
		{"smtp.mailfrom=jdoe@example.com; dkim=pass header.i=@example.com", "smtp.mailfrom=***@example.com; dkim=pass header.i=@example.com"},
		{`"John Doe"@example.com is not here`, "***@example.com is not here"},
		{`x"John Doe"@example.com`, "***@example.com"},
		{`doe"@example.com`, "***@example.com"},
		{"mailto:jdoe@example.com", "mailto:***@example.com"},
		{"see https://help.example/why?rcpt=jdoe%40example.com&id=7", "see https://help.example/why?rcpt=***%40example.com&id=7"},
		{"see https://help.example/jdoe@example.com", "see https://help.example/***@example.com"},
		{"jdoe&#64;example.com jdoe(at)example.com jdoe[AT]example.com", "***&#64;example.com ***(at)example.com ***[AT]example.com"},
		{"für <jürgen@exämple.com>", "für <***@exämple.com>"},
		{"jdoe\uff20example.com", "***\uff20example.com"},
		{"user%example.com@relay.example", "***@relay.example"},
		{"<@relay.example:jdoe@example.com>", "<@relay.example:***@example.com>"},
		{"jdoe@[192.0.2.1] from 198.51.100.7", "***@[192.0.2.1] from 198.51.100.7"},
		{"jdoe@example.com@relay.example", "***@***@relay.example"},
		{"'o'brien@example.com'", "'***@example.com'"},
		{"at 12:00 @ noon, limit=400, 50 %", "at 12:00 @ noon, limit=400, 50 %"},
		{"guest_gmail.com#EXT#@tenant.onmicrosoft.com", "***@tenant.onmicrosoft.com"},
		{"IMCEAEX-_o=EXCHANGE_ou=GROUP_cn=jdoe@example.com", "***@example.com"},
	} {
		if got := Mask(c.in); got != c.want {
			t.Errorf("Mask(%q)\n got %q\nwant %q", c.in, got, c.want)
		}
	}
}

func TestMaskReplyAndID(t *testing.T) {
	for _, c := range []struct{ reply, recipient, want string }{
		{"550 <jdoe>: unknown, jdoe@example.com", "jdoe@example.com", "550 <***>: unknown, ***@example.com"},
		{"550 JDoe is unknown, jdoes is not", "jdoe@example.com", "550 *** is unknown, jdoes is not"},
		{"550 User unknown", "user@example.com", "550 User unknown"},
		{"550 jo unknown", "jo@example.com", "550 jo unknown"},
		{"550 *** unknown", "***@example.com", "550 *** unknown"},
		{"550 unknown", "", "550 unknown"},
	} {
		if got := MaskReply(c.reply, c.recipient); got != c.want {
			t.Errorf("MaskReply(%q, %q) = %q, want %q", c.reply, c.recipient, got, c.want)
		}
	}
	for _, c := range []struct{ id, recipient, want string }{
		{"<20240122.1@mail.example>", "jdoe@example.com", "<20240122.1@mail.example>"},
		{"<20240122.jdoe@mail.example>", "jdoe@example.com", "<***@mail.example>"},
		{"jdoe@example.com", "<JDoe@example.com>", "***@example.com"},
		{"<list-7-jo=example.com@lists.example>", "jo@example.com", "<***@lists.example>"},
		{"<7.jo%40example.com@lists.example>", "", "<***@lists.example>"},
		{"0102018d-aaaa", "", "0102018d-aaaa"},
		{"", "jdoe@example.com", ""},
	} {
		if got := MaskID(c.id, c.recipient); got != c.want {
			t.Errorf("MaskID(%q, %q) = %q, want %q", c.id, c.recipient, got, c.want)
		}
	}
}

// survivor finds what still looks like an address with something to hide.
var survivor = regexp.MustCompile(`([^\x00-\x20\x7f<>()\[\]{},;:"@]+)@[A-Za-z0-9]`)

func FuzzMask(f *testing.F) {
	for _, s := range []string{
		"550 5.1.1 <jdoe@example.com>: Recipient", `"a b"@c`, `x"a"@b"c"@d`, "to=to=a@b", "http://a/?b=c=d@e", "a@b@c", "\uff20x", "'a'@b",
		"a%40b%2540c", "&#64;&#X40;x", "(at)(AT)x", "=@x", "http:a@b", "'=?`@x", "\"@x",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := Mask(s)
		if len(got) > len(s) {
			t.Fatalf("it grows: %q to %q", s, got)
		}
		if again := Mask(got); again != got {
			t.Fatalf("twice is not once: %q, %q, %q", s, got, again)
		}
		rest := got
		for m := survivor.FindStringSubmatch(rest); m != nil; m = survivor.FindStringSubmatch(rest) {
			_, rest, _ = strings.Cut(rest[strings.Index(rest, m[0]):], "@") // a domain may begin the next local part
			name := strings.ToLower(m[1])
			for _, sep := range separators {
				name = strings.ReplaceAll(name, sep, "")
			}
			if strings.Contains(got, "http") || strings.Contains(strings.ToLower(got), "http") {
				continue // a path before it stays
			}
			name = strings.TrimLeft(name, "'`=?!") // marks before an address
			if i := strings.IndexByte(name, '='); i >= 0 && isField(name[:i]) {
				name = name[i+1:]
			}
			if strings.Trim(name, "*'`=?!") != "" {
				t.Fatalf("%q survives in %q of %q", m[0], got, s)
			}
		}
	})
}
