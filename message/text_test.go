package message

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
	"golang.org/x/text/encoding/unicode"
)

func TestCharsets(t *testing.T) {
	for _, c := range []struct {
		charset string
		enc     encoding.Encoding
		text    string
	}{
		{"iso-8859-1", charmap.ISO8859_1, "nähe à"},
		{"ISO8859-1", charmap.ISO8859_1, "nähe"},
		{"iso-8859-2", charmap.ISO8859_2, "Zażółć gęślą jaźń"},
		{"iso-8859-15", charmap.ISO8859_15, "10 €, Œuvre"},
		{"windows-1252", charmap.Windows1252, "“10 €”"},
		{"cp1251", charmap.Windows1251, "Привет, мир"},
		{"koi8-r", charmap.KOI8R, "Привет, мир"},
		{"KOI8-U", charmap.KOI8U, "Привіт"},
		{"ibm850", charmap.CodePage850, "nähe"},
		{"cp850", charmap.CodePage850, "nähe"},
		{"x-mac-roman", charmap.Macintosh, "nähe"},
		{"macintosh", charmap.Macintosh, "nähe"},
		{"tis-620", charmap.Windows874, "สวัสดี"},
		{"iso-2022-jp", japanese.ISO2022JP, "日本語のメール"},
		{"shift_jis", japanese.ShiftJIS, "日本語のメール"},
		{"cp932", japanese.ShiftJIS, "日本語のメール"},
		{"euc-jp", japanese.EUCJP, "日本語のメール"},
		{"gb2312", simplifiedchinese.GBK, "你好世界"},
		{"GBK", simplifiedchinese.GBK, "你好世界"},
		{"gb18030", simplifiedchinese.GB18030, "你好世界 €"},
		{"hz-gb-2312", simplifiedchinese.HZGB2312, "你好世界"},
		{"big5", traditionalchinese.Big5, "你好世界"},
		{"euc-kr", korean.EUCKR, "안녕하세요"},
		{"ks_c_5601", korean.EUCKR, "안녕하세요"},
		{"ks_c_5601-1987", korean.EUCKR, "안녕하세요"},
		{"utf-16", unicode.UTF16(unicode.BigEndian, unicode.UseBOM), "nähe 日本 𝄞"},
		{"utf-16", unicode.UTF16(unicode.LittleEndian, unicode.UseBOM), "nähe 日本"},
		{"utf-16", unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM), "naehe, all Latin"},
		{"utf-16", unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM), "naehe, all Latin"},
		{"utf-16", unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM), "日本"},
		{"utf-16le", unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM), "日本"},
		{"utf-16be", unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM), "日本"},
		{"utf-8", unicode.UTF8BOM, "nähe"},
		{"utf8", unicode.UTF8, "nähe"},
		{"'utf-8'", unicode.UTF8, "nähe"},
		{"x-unknown", unicode.UTF8, "nähe"},
		{"us-ascii", unicode.UTF8, "nähe"},
		{"us-ascii", charmap.Windows1252, "nähe"},
		{"", charmap.Windows1252, "nähe €"},
		{"no-such-charset", charmap.Windows1252, "nähe"},
		{"iso-8859-1", unicode.UTF8, "nähe"},        // recoded on its way
		{"koi8-r", unicode.UTF8, "Привет"},          // recoded on its way
		{"iso-2022-jp", unicode.UTF8, "日本語"},        // recoded on its way
		{"", japanese.ISO2022JP, "日本語のメール"},         // undeclared
		{"us-ascii", japanese.ISO2022JP, "日本語のメール"}, // undeclared
		{"utf-16", unicode.UTF8, "never recoded"},
	} {
		b, err := c.enc.NewEncoder().Bytes([]byte(c.text))
		if err != nil {
			t.Fatalf("%s: %v", c.charset, err)
		}
		raw := "Content-Type: text/plain; charset=\"" + c.charset + "\"\nContent-Transfer-Encoding: base64\n\n" + b64(b)
		m := Read([]byte(raw), Limits{})
		if got := m.Text(&m.Parts[0]); got != c.text {
			t.Errorf("%s: %q, want %q", c.charset, got, c.text)
		}
	}
}

func TestCharsetsByHand(t *testing.T) {
	for _, c := range []struct{ charset, in, want string }{
		{"utf-7", "n+AOQ-he 1 +- 1 +ZeVnLIqe-.", "nähe 1 + 1 日本語."},
		{"unicode-1-1-utf-7", "Hi Mom +Jjo-!", "Hi Mom ☺!"},
		{"utf-7", "+2DTdHg-", "𝄞"},
		{"utf-7", "a + b +", "a + b +"},
		{"utf-7", "+AGEAYg", "ab"},
		{"iso-2022-kr", "\x1b$)C\n\x0e>H3g\x0f a\n", "\n안녕 a\n"},
		{"iso-2022-cn", "\x1b$)A\x0eDc:C\x0f!\n", "你好!\n"},
		{"utf-8", "n\xe4he", "nähe"},
		{"utf-8", "日本語日本\xe8\xaa", "日本語日本\uFFFD"},
		{"utf-8", "a\r\nb\rc\r\r\nd\n", "a\nb\nc\nd\n"},
		{"iso-8859-1", "\xe4\r\nb\rc", "ä\nb\nc"},
	} {
		if got := textOf([]byte(c.in), c.charset, 1000); got != c.want {
			t.Errorf("%s %q: %q, want %q", c.charset, c.in, got, c.want)
		}
	}
}

func TestTextIsCut(t *testing.T) {
	for _, charset := range []string{"", "utf-8", "windows-1252", "shift_jis", "utf-7", "utf-16"} {
		for limit := range 20 {
			if got := textOf([]byte(strings.Repeat("ää\x80", 10)), charset, limit); len(got) > limit {
				t.Errorf("%s: %d bytes, limit %d", charset, len(got), limit)
			}
		}
	}
}

func TestHTMLCharset(t *testing.T) {
	m := Read([]byte("Content-Type: text/html\n\n<meta http-equiv=x content=\"text/html; charset=koi8-r\"><p>\xf0\xd2\xc9\xd7\xc5\xd4"), Limits{})
	if got := PlainText(m.Text(&m.Parts[0])); got != "Привет\n" {
		t.Errorf("%q", got)
	}
}

func TestPlainText(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", ""},
		{"<html></html>", ""},
		{"a", "a\n"},
		{"a  \n b", "a b\n"},
		{"a<br>b<BR/>c<br><br>d<br><br><br>e", "a\nb\nc\n\nd\n\ne\n"},
		{"<p>a</p><p>b</p>c", "a\n\nb\n\nc\n"},
		{"<div>a</div><div>b<div>c</div></div>", "a\nb\nc\n"},
		{"<ul><li>a<li>b</ul>c", "a\nb\n\nc\n"},
		{"<table><tr><td>a</td><td>b</td></tr><tr><th>c</th><td>d</td></tr></table>e", "a\tb\nc\td\ne\n"},
		{"<table><tr><td>a<td>b<tr><td>c</table>", "a\tb\nc\n"},
		{"<tr><td><p>a</p></td>\n <td><p>b</p></td></tr>", "a\tb\n"},
		{"<tr><td><p>a</p></td><td>b</td></tr>\n<tr><td><p>c</p></td><td><p>d</p><p>e</p></td></tr><tr><td>f", "a\tb\nc\td\n\ne\nf\n"},
		{"<tr><td></td><td>b</td></tr>", "b\n"},
		{"<tr><td>a</td><td></td><td>c</td></tr>", "a\t\tc\n"},
		{"<table><tr><td><table><tr><td>a</td></tr></table></td></tr><tr><td>b</td></tr></table>", "a\nb\n"},
		{"a &lt;b@example.com&gt; &amp; &quot;c&quot; &#228;&#xe4;&auml;&nbsp;d &unknown; &", "a <b@example.com> & \"c\" äää d &unknown; &\n"},
		{"a&lt;br&gt;b", "a<br>b\n"},
		{"a<!-- b <br> -->c<!---->d", "acd\n"},
		{"a<!-- never ends <b>b</b>", "a never ends b\n"},
		{"a<![if x]>b<![endif]><?xml x?>c<!DOCTYPE html>", "abc\n"},
		{"<head><title>t</title><style>p{a:b}</style></head><body>a<script>if(a<b){}</script>b", "ab\n"},
		{"a<title>b", "a\nb\n"},
		{"<STYLE>x</Style>a", "a\n"},
		{"a<b title=\"x>y\">b</b><img alt='>'>c", "abc\n"},
		{"a<b title=\"x>b</b>c", "abc\n"},
		{"550 <user@example.com> unknown", "550 <user@example.com> unknown\n"},
		{"see <https://example.com/x>", "see <https://example.com/x>\n"},
		{"1 < 2 > 0 <3 <", "1 < 2 > 0 <3 <\n"},
		{"a <b", "a <b\n"},
		{"<o:p>a</o:p><font\nsize=2>b</font>", "ab\n"},
		{"<pre>a\n  b\r\nc</pre>d", "a\n  b\nc\n\nd\n"},
		{"<a href=\"mailto:x@example.com\">Name</a>", "Name\n"},
		{"a\xa0b", "a\uFFFDb\n"},
		{"a\u00a0b", "a b\n"},
		{"äöü", "äöü\n"},
	} {
		if got := PlainText(c.in); got != c.want {
			t.Errorf("%q: %q, want %q", c.in, got, c.want)
		}
	}
}

func TestParseDate(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"Mon, 2 Nov 2026 10:11:12 +0100", "2026-11-02T10:11:12+01:00"},
		{"Mon,  2 Nov 2026 10:11:12 +0100 (CET)", "2026-11-02T10:11:12+01:00"},
		{"2 Nov 2026 10:11 +0100", "2026-11-02T10:11:00+01:00"},
		{"2 Nov 2026 10:11:12", "2026-11-02T10:11:12Z"},
		{"Fri, 2 Nov 2026 10:11:12 -0000", "2026-11-02T10:11:12Z"}, // it is a Monday
		{"2 Nov 26 10:11:12 GMT", "2026-11-02T10:11:12Z"},
		{"2 Nov 99 10:11:12 EST", "1999-11-02T10:11:12-05:00"},
		{"2 Nov 126 10:11:12 PDT", "2026-11-02T10:11:12-07:00"},
		{"2 Nov 2026 10:11:12 Z", "2026-11-02T10:11:12Z"},
		{"2 Nov 2026 10:11:12 XYZ", "2026-11-02T10:11:12Z"},
		{"2 Nov 2026 10:11:12 K", "2026-11-02T10:11:12Z"},
		{"Mon, 2 Nov 2026 10:11:12 GMT+0200", "2026-11-02T10:11:12+02:00"},
		{"Mon, 2 Nov 2026 10:11:12 UTC-5", "2026-11-02T10:11:12-05:00"},
		{"Mon, 2 Nov 2026 10:11:12 GMT +0200", "2026-11-02T10:11:12+02:00"},
		{"Mon, 2 Nov 2026 10:11:12 +02:00", "2026-11-02T10:11:12+02:00"},
		{"Mon, 2 Nov 2026 10:11:12 +9900", "2026-11-02T10:11:12Z"},
		{"Mon (a (nested) one), 2 (day) Nov 2026 10:11:12 (time) +0100", "2026-11-02T10:11:12+01:00"},
		{"Monday, 2 November 2026 10:11:12 +0100", "2026-11-02T10:11:12+01:00"},
		{"Mon,2 Nov 2026 10:11:12+0100", "2026-11-02T10:11:12+01:00"},
		{"Mon Nov  2 10:11:12 2026", "2026-11-02T10:11:12Z"},
		{"Mon Nov  2 10:11:12 CET 2026", "2026-11-02T10:11:12+01:00"},
		{"Mon Nov  2 10:11:12 2026 +0100", "2026-11-02T10:11:12+01:00"},
		{"Nov 2, 2026 3:04:05 PM", "2026-11-02T15:04:05Z"},
		{"11/2/2026 12:04:05 AM", "2026-11-02T00:04:05Z"},
		{"11/2/2026 3:04:05 PM +0000", "2026-11-02T15:04:05Z"},
		{"23/11/2026 10:11", "2026-11-23T10:11:00Z"},
		{"02-Nov-2026 10:11:12 +0100", "2026-11-02T10:11:12+01:00"},
		{"2.11.2026 10:11:12", "2026-11-02T10:11:12Z"},
		{"2026-11-02T10:11:12Z", "2026-11-02T10:11:12Z"},
		{"2026-11-02T10:11:12.345+01:00", "2026-11-02T10:11:12.345+01:00"},
		{"2026-11-02 10:11:12 +0100", "2026-11-02T10:11:12+01:00"},
		{"2026-11-02", "2026-11-02T00:00:00Z"},
		{"2 Nov 2026 23:59:60 +0000", "2026-11-03T00:00:00Z"},
		{"2 Nov 2026 24:00:00 +0000", "2026-11-03T00:00:00Z"},
		{"29 Feb 2024 10:11:12 GMT", "2024-02-29T10:11:12Z"},
		{"2 Sept 2026 10:11:12 GMT", "2026-09-02T10:11:12Z"},
		{"", ""},
		{"now", ""},
		{"10:11:12", ""},
		{"2 Nov", ""},
		{"31 Feb 2026 10:11:12 GMT", ""},
		{"2 Nov 2026 10:61:12", ""},
		{"0 Nov 2026 10:11:12", ""},
		{"here on 2 Nov 2026 we found that it all went wrong", ""},
		{"550 5.1.1 user unknown", ""},
	} {
		got := ""
		if d, ok := ParseDate(c.in); ok {
			got = d.Format(time.RFC3339Nano)
		}
		if got != c.want {
			t.Errorf("%q: %s, want %s", c.in, got, c.want)
		}
	}
}
