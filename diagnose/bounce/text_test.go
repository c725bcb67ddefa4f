package bounce

import (
	"slices"
	"strings"
	"testing"
)

func TestAddressesInText(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"write to bob@example.net.", "bob@example.net"},
		{"<bob@example.net>:", "bob@example.net"},
		{"'bob@example.net'", "bob@example.net"},
		{"bob@example.net... User unknown", "bob@example.net"},
		{"to=<bob@example.net>, relay=none", "bob@example.net"},
		{"to=bob@example.net", "bob@example.net"},
		{"*bob@example.net*", "bob@example.net"},
		{"mailto:bob@example.net?subject=x", "bob@example.net"},
		{"a.b+c=d@example.net", "a.b+c=d@example.net"},
		{"bob@[192.0.2.1] and carol@[IPv6:2001:db8::1]", "bob@[192.0.2.1] carol@[IPv6:2001:db8::1]"},
		{"bob@192.0.2.1", ""},
		{"宛先bob@example.net様", "bob@example.net"},
		{"用户@例子.example", "用户@例子.example"},
		{"jürgen@exämple.net,", "jürgen@exämple.net"},
		{"https://user@example.net/path", ""},
		{"=?utf-8?B?8J+QiA==?=@example.net", "=?utf-8?B?8J+QiA==?=@example.net"},
		{`"bob b"@example.net`, `"bob b"@example.net`},
		{"@example.net bob@ @", ""},
		{"bob@@example.net", ""},
	} {
		if got := strings.Join(addressesIn(c.text, 10), " "); got != c.want {
			t.Errorf("%q: %q, want %q", c.text, got, c.want)
		}
	}
}

func TestHeaderAddresses(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`"a@example.com" <b@example.com>, c@example.com`, "b@example.com c@example.com"},
		{`Bob <bob@example.com>, "Carol, C." <carol@example.com>`, "bob@example.com carol@example.com"},
		{"undisclosed-recipients:;", ""},
	} {
		if got := strings.Join(headerAddresses(c.text, 10), " "); got != c.want {
			t.Errorf("%q: %q, want %q", c.text, got, c.want)
		}
	}
}

func TestReceivedFor(t *testing.T) {
	for text, want := range map[string]string{
		"from a by b with ESMTP id 1 for <bob@example.net>; Tue":         "bob@example.net",
		"from a by b with ESMTP id 1\n\tfor bob@example.net; Tue":        "bob@example.net",
		"by b (Postfix, from userid 0) id 1; wait for me":                "",
		"from waitfor (x [192.0.2.1]) by b for <carol@example.net>; Tue": "carol@example.net",
	} {
		if got := receivedFor(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// The phrases are data that people add to: what cannot match, or is there
// twice, is found here.
func TestPhrases(t *testing.T) {
	for _, b := range []*book{phrases(), subjects()} {
		seen := map[string]bool{}
		for _, p := range b.phrases {
			if p.class == clsNone {
				t.Errorf("%q stands below an unknown heading", p.text)
			}
			if p.text != asciiLower(p.text) || strings.Contains(p.text, "  ") || len(p.text) < 2 {
				t.Errorf("%q cannot match", p.text)
			}
			k := string(rune(p.class)) + string(p.action) + p.detail + p.text
			if seen[k] {
				t.Errorf("%q is there twice", p.text)
			}
			seen[k] = true
			hits := b.find(p.text+" x", nil)
			if !slices.ContainsFunc(hits, func(h hit) bool { return h.class == p.class && h.from == 0 && h.to >= len(p.text) }) {
				t.Errorf("%q does not find itself", p.text)
			}
		}
	}
	if n := len(phrases().labels); n < 100 {
		t.Errorf("%d labels", n)
	}
}

// A phrase is found over the line ends of a wrapped text, and as whole words.
func TestPhrasesInText(t *testing.T) {
	hits := phrases().find("your message could not\n   be delivered to one or more of\tits recipients", nil)
	if !slices.ContainsFunc(hits, func(h hit) bool { return h.text == "one or more of its recipients" }) {
		t.Errorf("not found over line ends: %v", hits)
	}
	if hits := phrases().find("prefollowing recipients", nil); len(hits) > 0 {
		t.Errorf("found inside of a word: %v", hits)
	}
	if hits := phrases().find("following recipientship", nil); len(hits) > 0 {
		t.Errorf("found as part of a word: %v", hits)
	}
}

func TestNoticeEndsAtReturnedMessage(t *testing.T) {
	for _, c := range []struct{ text, kept string }{
		{"a\n--- Below this line is a copy of the message.\nb", "a\n"},
		{"a\n\nOriginal message follows.\nb", "a\n\n"},
		{"The original message was received at noon\nb", "The original message was received at noon\nb"},
		{"It is attached below. You can\ndelete your own text from the attached returned message.\nb", "It is attached below. You can\ndelete your own text from the attached returned message.\nb"},
		{"a\n\nReturn-Path: <x@example.com>\nReceived: from a by b\nFrom: x@example.com\nSubject: y\n\nb", "a\n\n"},
		{"Original Message Details\nSubject:\tx", "Original Message Details\nSubject:\tx"},
		{"Détails du message d'origine\nx", "Détails du message d'origine\nx"},
		{"a\nUrsprüngliche Nachrichtenkopfzeilen:\n\nb", "a\n"},
	} {
		if got := readNotice(c.text).text; got != c.kept {
			t.Errorf("%q: kept %q, want %q", c.text, got, c.kept)
		}
	}
}

func TestLowerKeepsOffsets(t *testing.T) {
	for _, c := range [...][2]string{
		{"QUE REENVÍE", "que reenvíe"}, {"Échec", "échec"}, {"ŹLE ŻE ŠŽ Ł", "źle że šž ł"},
		{"НЕ ДОСТАВЛЕНО", "не доставлено"}, {"ΔΕΝ ΥΠΆΡΧΕΙ", "δεν υπΆρχει"}, {"İ×Ÿ", "İ×Ÿ"}, {"plain", "plain"},
	} {
		if got := lower(c[0]); got != c[1] || len(got) != len(c[0]) {
			t.Errorf("lower(%q) is %q, want %q", c[0], got, c[1])
		}
	}
}

func TestAttempts(t *testing.T) {
	const expired = "3/3/2026 9:12:02 AM - Server at mx.example.com returned '550 5.4.300 Message expired -> 421 4.4.2 Can't talk'"
	for _, c := range [...]struct{ name, reason, short, ip string }{
		{"one", expired, expired, ""},
		{"the same again", expired + " 3/3/2026 9:02:02 AM - Remote Server at mx.example.com (192.0.2.7) returned '421 4.4.2 Can't talk'", expired, "192.0.2.7"},
		{"twice", expired + " " + expired, expired, ""},
		{"another", expired + " 3/3/2026 9:02:02 AM - Server at mx.example.com (192.0.2.7) returned '450 4.7.1 Later'",
			expired + "\nServer at mx.example.com (192.0.2.7) returned '450 4.7.1 Later'", "192.0.2.7"},
		{"no end", "Server at a.example returned '550 no and returned '550 no", "Server at a.example returned '550 no and returned '550 no", ""},
		{"other words", "550 no", "550 no", ""},
	} {
		short, ip := attempts(c.reason)
		if short != c.short || ip != c.ip {
			t.Errorf("%s: %q %q, want %q %q", c.name, short, ip, c.short, c.ip)
		}
	}
}
