package spf

import (
	"errors"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/postroad/postroad/dns"
)

var seeds = []string{
	"v=spf1 -all",
	"v=spf1",
	"V=SPF1  MX/24//64 a:%{d2r-.}.example.com ?ip4:192.0.2.1/24 ~ip6:2001:db8::/32 all ",
	"v=spf1 include:_spf.example.net redirect=example.org exp=why.%{d} x-y_z.1=%{i}/a:b",
	"v=spf1 exists:%{ir}.%{v}._spf.%{d2} ptr:example.com -ptr include:%{l1r+-}.%{o}",
	"v=spf1 a:192.0.2.1 ip4:1.2.3 ip6:::ffff:192.0.2.1/96 ip4:1.2.3.4/032 include all:x a/33 foo",
	"v=spf1 a:%{ a:%{} a:%{x} a:%{d0} a:% a:%%.%_.%-.com exp=%{c}",
	"v=spf1 a:foo:bar/baz.example.com a:/24 a:a/24/64 redirect=a.b redirect=a.b",
	"v=spf1 a:ma\xc3\xb1ana.example \x00 mx//",
}

func FuzzParse(f *testing.F) {
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := Parse(text)
		if (r != nil) != IsRecord(text) {
			t.Fatalf("record %v of %q", r, text)
		}
		if r == nil {
			return
		}
		var syntax *SyntaxError
		faults := 0
		for i := range r.Terms {
			term := &r.Terms[i]
			if text[term.Offset:term.Offset+len(term.Text)] != term.Text || strings.Contains(term.Text, " ") || term.Text == "" {
				t.Fatalf("term %q at %d", term.Text, term.Offset)
			}
			if (term.Kind == Invalid) != (term.Reason != "") {
				t.Fatalf("%q is %v for %q", term.Text, term.Kind, term.Reason)
			}
			if term.Kind == Invalid {
				faults++
			}
		}
		if (faults > 0) != errors.As(err, &syntax) {
			t.Fatalf("%d faults and %v", faults, err)
		}
		if syntax != nil && (len(syntax.Error()) > 2000 || text[syntax.Offset:syntax.Offset+len(syntax.Term)] != syntax.Term) {
			t.Fatalf("error %v", syntax)
		}
		words := slices.DeleteFunc(strings.Split(text[len(version):], " "), func(w string) bool { return w == "" })
		if len(r.Terms) != len(words) {
			t.Fatalf("%d terms, %d words", len(r.Terms), len(words))
		}
		plain := r.String()
		again, err2 := Parse(plain)
		if again == nil || (err2 == nil) != (err == nil) || len(again.Terms) != len(r.Terms) || again.String() != plain {
			t.Fatalf("%q reads as %q, which reads as %v %v", text, plain, again, err2)
		}
		for i := range r.Terms {
			a, b := r.Terms[i], again.Terms[i]
			if a.Kind != b.Kind || a.Qualifier != b.Qualifier || a.Prefix != b.Prefix || a.Bits4 != b.Bits4 || a.Bits6 != b.Bits6 ||
				a.Domain.text != b.Domain.text || a.Reason != b.Reason || a.Name != b.Name {
				t.Fatalf("%+v\n%+v", a, b)
			}
		}
		if len(r.Lint()) > 8*len(r.Terms)+8 {
			t.Fatalf("%d findings for %d terms", len(r.Lint()), len(r.Terms))
		}
	})
}

// slowly is the transformation of RFC 7208 section 7.3, written as it is told there.
func slowly(value, delimiters string, reverse bool, keep int) string {
	if delimiters == "" {
		delimiters = "."
	}
	parts := strings.Split(strings.Map(func(r rune) rune {
		if strings.ContainsRune(delimiters, r) {
			return '\n'
		}
		return r
	}, value), "\n")
	if reverse {
		slices.Reverse(parts)
	}
	if keep > 0 && keep < len(parts) {
		parts = parts[len(parts)-keep:]
	}
	return strings.Join(parts, ".")
}

func FuzzMacro(f *testing.F) {
	for _, s := range []string{
		"%{s}", "%{S}", "%{l1r-}.%{d2}", "%{ir}.%{v}.arpa", "%%%_%-", "%{o3r.,_=/+-}", "%{h99999999999999999999r}", "%{d0}", "%{t}", "x y", "%", "%{",
	} {
		f.Add(s, "strong-bad+x.y_z=1,2/3@email.example.com", uint8(0))
		f.Add(s, "a..b.@.c.", uint8(2))
	}
	f.Fuzz(func(t *testing.T, text, value string, where uint8) {
		if strings.Contains(value, "\n") || !utf8.ValidString(value) {
			return
		}
		at := place(where % 3)
		m, reason := parseMacro(text, at)
		if reason != "" {
			return
		}
		for i := range len(text) {
			if c := text[i]; c < ' ' || c > '~' || c == ' ' && at != inText {
				t.Fatalf("took %q", text)
			}
		}
		same, _ := parseMacro(m.String(), at)
		var want strings.Builder
		for _, p := range same.parts {
			if p.letter == 0 {
				want.WriteString(p.literal)
				continue
			}
			if !m.uses(string(p.letter)) || at == inDomain && strings.Contains(textLetters, string(p.letter)) {
				t.Fatalf("letter %c", p.letter)
			}
			v := slowly(value, p.delimiters, p.reverse, p.keep)
			if p.escape {
				e := string(appendEscaped(nil, v))
				if back, err := url.PathUnescape(e); err != nil || back != v || strings.ContainsAny(e, " /?&=+@:") {
					t.Fatalf("%q escaped is %q", v, e)
				}
				v = e
			}
			want.WriteString(v)
		}
		got, whole := m.expand(nil, 1<<20, func(byte) string { return value })
		if whole && string(got) != want.String() {
			t.Fatalf("%q with %q is %q, want %q", text, value, got, want.String())
		}
		if b, whole := m.expand(nil, 100, func(byte) string { return value }); len(b) > 100+3*len(value)+len(text) || whole != (len(b) <= 100) {
			t.Fatalf("%d octets, %v", len(b), whole)
		}
	})
}

// FuzzCheck makes a zone of a text, each line a record of a name: "a TXT v=spf1
// -all", "h A 192.0.2.1", "a slow". Names are below "example" unless they have a
// dot. Check, walk and the library are held together on it.
func FuzzCheck(f *testing.F) {
	f.Add("a TXT v=spf1 include:b.example mx -all exp=why.example\nb TXT v=spf1 ip4:192.0.2.1 ?all\na MX h\nh A 192.0.2.7\nwhy TXT no %{c} for you, %{p}",
		"192.0.2.7", "mail.example", "anna@a.example")
	f.Add("a TXT v=spf1 ptr exists:%{ir}.a.example a:%{p}.example redirect=a.example\n1.2.0.192.in-addr.arpa PTR h\nh A 192.0.2.1", "192.0.2.1", "h.example", "")
	f.Add("a TXT v=spf1 include:a.example include:a.example ~all\na TXT v=spf1", "2001:db8::1", "[192.0.2.1]", "\"x@y\"@a.example.")
	f.Add("a TXT v=spf1 a:%{l}.%{l}.%{l}.%{l}.%{l}.%{l} a:b..example a:x a mx:b.example/0//0 -all\nb MX h\nb MX c\nc slow", "::ffff:192.0.2.1",
		"h", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.b@a.example")
	f.Add("a TXT v=spf1 -all exp=%{l}.example\nü TXT v=spf1 a:%{l}.x.example ip4:0.0.0.0/0", "192.0.2.1", "ü.example", "jörg@xn--tda.example")
	for _, s := range seeds {
		f.Add("a TXT "+s, "192.0.2.1", "mail.example", "b@a.example")
	}
	f.Fuzz(func(t *testing.T, text, ip, helo, from string) {
		addr, err := netip.ParseAddr(ip)
		if err != nil || len(text) > 1<<16 || len(helo) > 1000 || len(from) > 1000 {
			return
		}
		judge(t, zoneOf(text), Query{IP: addr, Helo: helo, From: from})
	})
}

func zoneOf(text string) memory {
	m := memory{}
	full := func(name string) string {
		if !strings.Contains(name, ".") {
			name += ".example"
		}
		return name
	}
	for line := range strings.Lines(text) {
		name, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		kind, value, _ := strings.Cut(rest, " ")
		e := m.at(full(name))
		switch kind {
		case "TXT":
			e.txt = append(e.txt, value)
		case "A":
			if addr, err := netip.ParseAddr(value); err == nil {
				e.addrs = append(e.addrs, addr)
			}
		case "MX":
			e.mx = append(e.mx, dns.MX{Host: full(value)})
		case "PTR":
			e.ptr = append(e.ptr, full(value))
		case "CNAME":
			e.cname = full(value)
		case "slow":
			e.slow = true
		}
	}
	return m
}
