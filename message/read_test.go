package message

import (
	"fmt"
	"strings"
	"testing"
)

// outline gives a mail in a line a part: depth, type, and the text of what is
// not made of parts. Notes follow in one line.
func outline(m *Message) string {
	var b strings.Builder
	for i := range m.Parts {
		p := &m.Parts[i]
		fmt.Fprintf(&b, "%d %s", p.Depth, p.MediaType)
		if s := p.Header.Text("Subject"); s != "" {
			fmt.Fprintf(&b, " (%s)", s)
		}
		if p.Opaque {
			b.WriteString(" opaque")
		}
		if len(p.Children) == 0 {
			fmt.Fprintf(&b, " %q", m.Text(p))
		}
		for _, x := range []struct {
			name string
			r    Range
		}{{"before", p.Preamble}, {"after", p.Epilogue}} {
			if s := strings.TrimSpace(string(p.Source()[x.r.From:x.r.To])); s != "" {
				fmt.Fprintf(&b, " %s %q", x.name, normalLines(s))
			}
		}
		b.WriteString("\n")
	}
	for i, n := range m.Notes {
		if i > 0 {
			b.WriteString(" ")
		}
		b.WriteString(n.Key)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

const inner = "From: a@example.com\nSubject: inner\n\nhello\n"

// readCases are mails with LF line ends; each is read with CRLF and CR too.
var readCases = []struct{ name, mail, want string }{
	{"plain", "Subject: s\n\nbody\nmore\n", "0 text/plain (s) \"body\\nmore\\n\""},
	{"empty", "", "0 text/plain \"\"\nempty"},
	{"blank only", "\n\n \n", "0 text/plain \"\"\nempty"},
	{"header only", "Subject: s\nTo: b@example.com\n", "0 text/plain (s) \"\""},
	{"header cut in a name", "Subject: s\nTo", "0 text/plain (s) \"To\"\nno-blank-line"},
	{"no header", "just a text\nand more\n", "0 text/plain \"just a text\\nand more\\n\"\nno-header"},
	{"mbox line", "From x@example.com Mon Nov  2 10:11:12 2026\nSubject: s\n\nb\n", "0 text/plain (s) \"b\\n\""},
	{"quoted mbox line", ">From x@example.com Mon Nov  2 10:11:12 2026\nSubject: s\n\nb\n", "0 text/plain (s) \"b\\n\""},
	{"field From with a blank", "From : x@example.com\nSubject: s\n\nb\n", "0 text/plain (s) \"b\\n\""},
	{"blank lines first", "\n\n\nSubject: s\n\nb\n", "0 text/plain (s) \"b\\n\""},
	{"byte order mark", "\ufeffSubject: s\n\nb\n", "0 text/plain (s) \"b\\n\""},
	{"blank line missing", "Subject: s\nHello there, all\n\nb\n", "0 text/plain (s) \"Hello there, all\\n\\nb\\n\"\nno-blank-line"},
	{"line without a colon", "Subject: s\nslipped\nX-A: b\n\nb\n", "0 text/plain (s slipped) \"b\\n\"\nheader-junk"},
	{"fold that lost its blank", "Received: from x\nby y\nid z; now\nSubject: s\n\nb\n", "0 text/plain (s) \"b\\n\"\nheader-junk"},
	{"fold that lost its blank, value", "Subject: a\nb\nc\nX-A: b\n\nb\n", "0 text/plain (a b c) \"b\\n\"\nheader-junk"},
	{"parameter that lost its blank", "Content-Type: text/html;\ncharset=utf-8\n\nb\n", "0 text/html \"b\\n\"\nheader-junk"},
	{"boundary that lost its blank", "Content-Type: multipart/mixed; x=y;\nboundary=\"b\"\n\n--b\n\none\n--b--\n", "0 multipart/mixed\n1 text/plain \"one\"\nheader-junk"},
	{"mbox line inside", "Subject: a\nFrom x@example.com Mon Nov  2 10:11:12 2026\nX-A: b\n\nb\n", "0 text/plain (a) \"b\\n\"\nheader-junk"},
	{"text that has a field", "Hello\nthis is about\nSubject: s\n\nb\n", "0 text/plain \"Hello\\nthis is about\\nSubject: s\\n\\nb\\n\"\nno-header"},
	{"part that starts with text", "Content-Type: multipart/mixed; boundary=b\n\n--b\nHello\nSubject: s\n--b--\n", "0 multipart/mixed\n1 text/plain \"Hello\\nSubject: s\"\nno-blank-line"},
	{"line of blanks before a field", "Subject: s\n  \nText: is not a field here? no\n", "0 text/plain (s) \"\""},
	{"line of blanks before text", "Subject: s\n \nHello all\n", "0 text/plain (s) \"Hello all\\n\""},
	{"folded subject", "Subject: a\n\tb\n  c\n\nx", "0 text/plain (a b c) \"x\""},
	{"nul bytes", "Subject: s\n\na\x00b\n", "0 text/plain (s) \"a\\x00b\\n\""},
	{"html", "Content-Type: text/HTML; charset=utf-8\n\n<p>é", "0 text/html \"<p>é\""},
	{"type without a slash", "Content-Type: text\n\nb", "0 text/plain \"b\""},
	{"type html", "Content-Type: html\n\nb", "0 text/html \"b\""},
	{"type with a comment", "Content-Type: (x) text/html (y); charset=utf-8\n\nb", "0 text/html \"b\""},

	{"two parts", "Content-Type: multipart/mixed; boundary=b\n\npre\n--b\n\none\n--b\nContent-Type: text/html\n\ntwo\n--b--\npost\n",
		"0 multipart/mixed before \"pre\" after \"post\"\n1 text/plain \"one\"\n1 text/html \"two\""},
	{"quoted boundary", "Content-Type: multipart/mixed; boundary=\"a b?=\"\n\n--a b?=\n\none\n--a b?=--\n", "0 multipart/mixed\n1 text/plain \"one\""},
	{"weird bare boundary", "Content-Type: multipart/mixed; boundary=----=_Part_1/2:3 (c); x=y\n\n------=_Part_1/2:3\n\none\n------=_Part_1/2:3--\n", "0 multipart/mixed\n1 text/plain \"one\""},
	{"single quotes", "Content-Type: multipart/mixed; boundary='b'\n\n--b\n\none\n--b--\n", "0 multipart/mixed\n1 text/plain \"one\""},
	{"quote that does not end", "Content-Type: multipart/mixed; boundary=\"b\n\n--b\n\none\n--b--\n", "0 multipart/mixed\n1 text/plain \"one\""},
	{"folded boundary", "Content-Type: multipart/mixed;\n boundary=\n\t\"b\"\n\n--b\n\none\n--b--\n", "0 multipart/mixed\n1 text/plain \"one\""},
	{"boundary in pieces", "Content-Type: multipart/mixed; boundary*0=b; boundary*1=c\n\n--bc\n\none\n--bc--\n", "0 multipart/mixed\n1 text/plain \"one\""},
	{"semicolon missing", "Content-Type: multipart/mixed boundary=b charset=x\n\n--b\n\none\n--b--\n", "0 multipart/mixed\n1 text/plain \"one\""},
	{"blanks behind the boundary", "Content-Type: multipart/mixed; boundary=\"b \"\n\n--b \t\n\none\n--b-- \n", "0 multipart/mixed\n1 text/plain \"one\""},
	{"blank line missing in a part", "Content-Type: multipart/mixed; boundary=b\n\n--b\nHello all\n--b--\n", "0 multipart/mixed\n1 text/plain \"Hello all\"\nno-blank-line"},
	{"indented text without a header", "Content-Type: multipart/mixed; boundary=b\n\n--b\n  Hello all\n--b--\n", "0 multipart/mixed\n1 text/plain \"  Hello all\"\nno-blank-line"},
	{"header that runs into a boundary", "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/html\n--b\n\ntwo\n--b--\n", "0 multipart/mixed\n1 text/html \"\"\n1 text/plain \"two\""},
	{"end line missing", "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b\n\ntwo\n", "0 multipart/mixed\n1 text/plain \"one\"\n1 text/plain \"two\\n\"\nunclosed"},
	{"inner end line missing", "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/alternative; boundary=c\n\n--c\n\none\n--b\n\ntwo\n--b--\n",
		"0 multipart/mixed\n1 multipart/alternative\n2 text/plain \"one\"\n1 text/plain \"two\"\nunclosed"},
	{"one boundary starts another", "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/alternative; boundary=bb\n\n--bb\n\none\n--bbb\n--bb--\n--b\n\ntwo\n--b--\n",
		"0 multipart/mixed\n1 multipart/alternative\n2 text/plain \"one\\n--bbb\"\n1 text/plain \"two\""},
	{"outer boundary starts with the inner", "Content-Type: multipart/mixed; boundary=bb\n\n--bb\nContent-Type: multipart/alternative; boundary=b\n\n--b\n\none\n--b--\n--bb\n\ntwo\n--bb--\n",
		"0 multipart/mixed\n1 multipart/alternative\n2 text/plain \"one\"\n1 text/plain \"two\""},
	{"same boundary inside", "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/alternative; boundary=b\n\n--b\n\none\n--b--\n--b\n\ntwo\n--b--\n",
		"0 multipart/mixed\n1 multipart/alternative\n2 text/plain \"one\"\n1 text/plain \"two\""},
	{"no boundary declared", "Content-Type: multipart/mixed\n\npre\n--x\nContent-Type: text/html\n\none\n--x--\n", "0 multipart/mixed before \"pre\"\n1 text/html \"one\"\nboundary"},
	{"wrong boundary", "Content-Type: multipart/mixed; boundary=no\n\n--x\nContent-Type: text/html\n\none\n--x\nContent-Type: text/plain\n\ntwo\n--x--\n", "0 multipart/mixed\n1 text/html \"one\"\n1 text/plain \"two\"\nboundary"},
	{"boundary nowhere", "Content-Type: multipart/mixed; boundary=no\n\nonly text\n--\nsig\n", "0 text/plain \"only text\\n--\\nsig\\n\"\nno-boundary"},
	{"multipart, header only", "Content-Type: multipart/mixed; boundary=b\nSubject: s\n", "0 text/plain (s) \"\"\nno-boundary"},
	{"type lost", "Subject: s\n\n--x\nContent-Type: text/html\n\none\n--x--\n", "0 multipart/mixed (s)\n1 text/html \"one\"\nboundary"},
	{"type lost, mail quoted further down", "Subject: s\n\nHi. I could not deliver:\n\n--x\nContent-Type: text/html\n\none\n--x--\n",
		"0 text/plain (s) \"Hi. I could not deliver:\\n\\n--x\\nContent-Type: text/html\\n\\none\\n--x--\\n\""},
	{"multipart in base64", "Content-Type: multipart/mixed; boundary=b\nContent-Transfer-Encoding: base64\n\n" + b64([]byte("--b\n\none\n--b--\n")) + "\n", "0 multipart/mixed\n1 text/plain \"one\"\ncoded"},

	{"message", "Content-Type: message/rfc822\n\n" + inner, "0 message/rfc822\n1 text/plain (inner) \"hello\\n\""},
	{"global message", "Content-Type: message/global\n\n" + inner, "0 message/global\n1 text/plain (inner) \"hello\\n\""},
	{"message behind blank and mbox lines", "Content-Type: message/rfc822\n\n\n>From x\n" + inner, "0 message/rfc822\n1 text/plain (inner) \"hello\\n\""},
	{"empty message", "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: message/rfc822\n\n--b--\n", "0 multipart/mixed\n1 message/rfc822\n2 text/plain \"\""},
	{"message in base64", "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n" + b64([]byte(inner)) + "\n", "0 message/rfc822\n1 text/plain (inner) \"hello\\n\"\ncoded"},
	{"message in base64 twice", string(base64Nested(2)), "0 message/rfc822\n1 message/rfc822\n2 text/plain (inner) \"the end\\n\"\ncoded coded"},
	{"message in quoted-printable", "Content-Type: message/rfc822\nContent-Transfer-Encoding: quoted-printable\n\nSubject: in=\nner\nX: =3D\n\nh=E4llo\n", "0 message/rfc822\n1 text/plain (inner) \"hällo\\n\"\ncoded"},
	{"message that claims base64", "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n" + inner, "0 message/rfc822\n1 text/plain (inner) \"hello\\n\""},
	{"message that claims quoted-printable", "Content-Type: message/rfc822\nContent-Transfer-Encoding: quoted-printable\n\nSubject: inner\nContent-Type: multipart/mixed; boundary=\"=_x\"\n\n--=_x\n\none\n--=_x--\n",
		"0 message/rfc822\n1 multipart/mixed (inner)\n2 text/plain \"one\""},
	{"first piece of a message", "Content-Type: message/partial; id=x; number=1; total=2\n\n" + inner, "0 message/partial\n1 text/plain (inner) \"hello\\n\""},
	{"second piece of a message", "Content-Type: message/partial; id=x; number=2; total=2\n\nrest: of it\n", "0 message/partial \"rest: of it\\n\""},
	{"header of a message", "Content-Type: text/rfc822-headers\n\nSubject: inner\nContent-Type: multipart/mixed; boundary=x\n", "0 text/rfc822-headers\n1 multipart/mixed (inner) \"\""},
	{"header of a message in base64", "Content-Type: message/global-headers\nContent-Transfer-Encoding: base64\n\n" + b64([]byte("Subject: inner\n")), "0 message/global-headers\n1 text/plain (inner) \"\"\ncoded"},
	{"digest", "Content-Type: multipart/digest; boundary=b\n\n--b\n\n" + inner + "--b\nContent-Type: text/plain\n\nx\n--b--\n", "0 multipart/digest\n1 message/rfc822\n2 text/plain (inner) \"hello\"\n1 text/plain \"x\""},
	{"report", "Content-Type: multipart/report; boundary=b\n\n--b\n\nsorry\n--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; x\n\nAction: failed\n\n--b\nContent-Type: message/rfc822\n\n" + inner + "--b--\n",
		"0 multipart/report\n1 text/plain \"sorry\"\n1 message/delivery-status \"Reporting-MTA: dns; x\\n\\nAction: failed\\n\"\n1 message/rfc822\n2 text/plain (inner) \"hello\""},
	{"report in a report", "Content-Type: multipart/report; boundary=b\n\n--b\nContent-Type: message/rfc822\n\nSubject: r\nContent-Type: multipart/report; boundary=c\n\n--c\n\nsorry\n--c\nContent-Type: message/rfc822\n\n" + inner + "--c--\n--b--\n",
		"0 multipart/report\n1 message/rfc822\n2 multipart/report (r)\n3 text/plain \"sorry\"\n3 message/rfc822\n4 text/plain (inner) \"hello\""},
	{"report cut in the message", "Content-Type: multipart/report; boundary=b\n\n--b\nContent-Type: message/rfc822\n\nSubject: inner\nContent-Type: multipart/mixed; boundary=c\n\n--c\n\nhel\n--b--\n",
		"0 multipart/report\n1 message/rfc822\n2 multipart/mixed (inner)\n3 text/plain \"hel\"\nunclosed"},

	{"base64", "Content-Transfer-Encoding: base64\n\naGVs\nbG8=\n", "0 text/plain \"hello\""},
	{"base64 cut", "Content-Transfer-Encoding: BASE64\n\naGVsb", "0 text/plain \"hel\""},
	{"base64 with junk", "Content-Transfer-Encoding: base64\n\naGVsbG8sIGFsbCBvZiB5b3Ug!\n*dGhlcmU=\n", "0 text/plain \"hello, all of you there\""},
	{"base64 in pieces", "Content-Transfer-Encoding: base64\n\naGU=\nbGxv\n", "0 text/plain \"hello\""},
	{"base64 with a footer", "Content-Transfer-Encoding: base64\n\naGVsbG8sIGFsbCBvZiB5b3UgdGhlcmU=\n____________\nA list of mine, on the web\n", "0 text/plain \"hello, all of you there\""},
	{"base64 with a word behind", "Content-Transfer-Encoding: base64\n\naGVsbG8sIGFsbCBvZiB5b3UgdGhlcmU=\nMailing\n", "0 text/plain \"hello, all of you there\""},
	{"base64 without padding, with a footer", "Content-Transfer-Encoding: base64\n\naGVsbG8sIGFsbCBvZiB5b3UgdGhlcmUu\n____________\nA list of mine, on the web\n", "0 text/plain \"hello, all of you there.\""},
	{"text that claims base64", "Content-Transfer-Encoding: base64\n\nThis is plain text. So it is.\n", "0 text/plain \"This is plain text. So it is.\\n\""},
	{"quoted-printable", "Content-Transfer-Encoding: Quoted-Printable\n\nh=c3=A4l=  \nlo=20 \nx\t\n", "0 text/plain \"hällo \\nx\\n\""},
	{"quoted-printable, broken", "Content-Transfer-Encoding: quoted-printable\n\na=b 1=1 =G0 =", "0 text/plain \"a=b 1=1 =G0 \""},
	{"encoding in quotes", "Content-Transfer-Encoding: \"quoted-printable\" (x)\n\na=20b", "0 text/plain \"a b\""},
	{"unknown encoding", "Content-Transfer-Encoding: x-odd\n\na=20b", "0 text/plain \"a=20b\""},
	{"uuencode", "Content-Transfer-Encoding: x-uuencode\n\nhello\nbegin 644 a.txt\n%:&5L;&\\\n \nend\n", "0 text/plain \"hello\""},
}

func TestRead(t *testing.T) {
	ends := []struct{ name, end string }{{"lf", "\n"}, {"crlf", "\r\n"}, {"cr", "\r"}, {"crcrlf", "\r\r\n"}}
	for _, c := range readCases {
		for _, e := range ends {
			t.Run(c.name+"/"+e.name, func(t *testing.T) {
				raw := []byte(strings.ReplaceAll(c.mail, "\n", e.end))
				m := Read(raw, Limits{})
				sound(t, m, Limits{}.orDefault(), len(raw))
				if got := outline(m); got != c.want {
					t.Errorf("got\n%s\nwant\n%s", got, c.want)
				}
			})
		}
	}
}

// TestReadMixed holds that line ends may differ from line to line.
func TestReadMixed(t *testing.T) {
	for _, c := range readCases {
		ends := []string{"\r\n", "\n", "\r\n", "\r\r\n", "\n"}
		var b strings.Builder
		for i, line := range strings.SplitAfter(c.mail, "\n") {
			if l, ok := strings.CutSuffix(line, "\n"); ok {
				line = l + ends[i%len(ends)]
			}
			b.WriteString(line)
		}
		if got := outline(Read([]byte(b.String()), Limits{})); got != c.want {
			t.Errorf("%s: got\n%s\nwant\n%s", c.name, got, c.want)
		}
	}
}

func TestReadCaps(t *testing.T) {
	two := "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b\n\ntwo\n--b\n\nthree\n--b--\n"
	for _, c := range []struct {
		name, mail string
		lim        Limits
		want       string
	}{
		{"depth", string(nested(4)), Limits{Depth: 2}, "0 multipart/mixed (deep)\n1 multipart/mixed\n2 multipart/mixed opaque \"--b2\\nContent-Type: multipart/mixed; boundary=\\\"b3\\\"\\n\\n--b3\\nContent-Type: text/plain\\n\\ninnermost\\n--b3--\\n--b2--\"\ndepth"},
		{"depth of messages", "Content-Type: message/rfc822\n\nContent-Type: message/rfc822\n\n" + inner, Limits{Depth: 1}, "0 message/rfc822\n1 message/rfc822 opaque \"" + strings.ReplaceAll(inner, "\n", "\\n") + "\"\ndepth"},
		{"depth that suffices", string(nested(3)), Limits{Depth: 3}, "0 multipart/mixed (deep)\n1 multipart/mixed\n2 multipart/mixed\n3 text/plain \"innermost\""},
		{"parts", two, Limits{Parts: 3}, "0 multipart/mixed\n1 text/plain \"one\"\n1 application/octet-stream opaque \"\\ntwo\\n--b\\n\\nthree\\n--b--\\n\"\nparts"},
		{"one part", two, Limits{Parts: 1}, "0 multipart/mixed opaque \"--b\\n\\none\\n--b\\n\\ntwo\\n--b\\n\\nthree\\n--b--\\n\"\nparts"},
		{"size", "Subject: s\n\n0123456789", Limits{Size: 16}, "0 text/plain (s) \"0123\"\nsize"},
		{"header", "Subject: s\nX-Long: " + strings.Repeat("x", 100) + "\nX-After: y\n\nbody\n", Limits{HeaderBytes: 50}, "0 text/plain (s) \"body\\n\"\nheader"},
	} {
		m := Read([]byte(c.mail), c.lim)
		sound(t, m, c.lim.orDefault(), len(c.mail))
		if got := outline(m); got != c.want {
			t.Errorf("%s: got\n%s\nwant\n%s", c.name, got, c.want)
		}
	}
}

// TestCapsLoseNothing holds that what a cap leaves out is in the range of an
// opaque part or of a note.
func TestCapsLoseNothing(t *testing.T) {
	raw := flat(1000)
	m := Read(raw, Limits{})
	last := m.Parts[len(m.Parts)-1]
	if len(m.Parts) != 500 || !last.Opaque || last.Body.To != len(raw) {
		t.Fatalf("%d parts, last %+v of %d bytes", len(m.Parts), last.Body, len(raw))
	}
	if !strings.HasPrefix(string(m.Body(&last)), "Content-Type: text/plain\n\npart 498\n--b\n") {
		t.Errorf("the rest starts with %.60q", m.Body(&last))
	}
	if n := m.Notes[0]; n.Key != NoteParts || n.Range != last.Body {
		t.Errorf("note %+v", n)
	}
}

// TestDecodedCap holds that messages in messages in base64 decode to no more
// than Limits.Size together.
func TestDecodedCap(t *testing.T) {
	raw := base64Nested(8)
	lim := Limits{Size: len(raw)}
	m := Read(raw, lim)
	sound(t, m, lim.orDefault(), len(raw))
	sum := 0
	for i, p := range m.Parts {
		if i > 0 && &p.Source()[0] != &m.Parts[p.Parent].Source()[0] {
			sum += len(p.Source())
		}
	}
	last := m.Parts[len(m.Parts)-1]
	if sum > lim.Size || sum < lim.Size/2 || !last.Opaque || !m.Has(NoteDecoded) {
		t.Errorf("%d bytes decoded of a mail of %d, notes %v", sum, len(raw), m.Notes)
	}
}

func TestUTF16(t *testing.T) {
	mail := "Subject: s\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\r\nhällo €\r\n"
	for _, order := range []int{littleEndian, bigEndian} {
		for _, mark := range []bool{true, false} {
			var raw []byte
			put := func(u rune) {
				if order == littleEndian {
					raw = append(raw, byte(u), byte(u>>8))
				} else {
					raw = append(raw, byte(u>>8), byte(u))
				}
			}
			if mark {
				put(0xfeff)
			}
			for _, r := range mail {
				put(r)
			}
			m := Read(raw, Limits{})
			if got, want := outline(m), "0 text/plain (s) \"hällo €\\n\"\nutf-16"; got != want {
				t.Errorf("order %d mark %v: got %s want %s", order, mark, got, want)
			}
			if string(m.Raw) != mail {
				t.Errorf("raw is %q", m.Raw)
			}
		}
	}
}

// TestUTF16Coded holds that what was coded before the mail became UTF-16 keeps
// its own charset.
func TestUTF16Coded(t *testing.T) {
	in := b64([]byte("Subject: s\nContent-Type: text/plain; charset=koi8-r\n\n\xf0\xd2\xc9\n"))
	raw := []byte("\xff\xfe")
	for _, c := range []byte("Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n" + in) {
		raw = append(raw, c, 0)
	}
	if got, want := outline(Read(raw, Limits{})), "0 message/rfc822\n1 text/plain (s) \"При\\n\"\nutf-16 coded"; got != want {
		t.Errorf("got %s want %s", got, want)
	}
}

func TestInner(t *testing.T) {
	m := Read([]byte("Content-Type: multipart/report; boundary=b\n\n--b\n\nx\n--b\nContent-Type: message/rfc822\n\n"+inner+"--b--\n"), Limits{})
	if m.Inner(&m.Parts[0]) != nil || m.Inner(&m.Parts[1]) != nil {
		t.Error("what is no message has an inner one")
	}
	in := m.Inner(&m.Parts[2])
	if in == nil || in.Header.Get("subject") != "inner" || in != &m.Parts[3] {
		t.Errorf("inner is %+v", in)
	}
	coded := Read([]byte("Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n"+b64([]byte(inner))), Limits{})
	if in := coded.Inner(&coded.Parts[0]); in == nil || string(in.Source()) != inner {
		t.Errorf("inner of the coded message is %+v", in)
	}
}
