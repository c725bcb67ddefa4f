package message

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"unicode/utf8"
)

// tight are limits that small inputs reach.
var tight = Limits{Depth: 4, Parts: 12, Size: 4096, HeaderBytes: 700}

func FuzzRead(f *testing.F) {
	for _, c := range readCases {
		f.Add([]byte(c.mail))
		f.Add([]byte(strings.ReplaceAll(c.mail, "\n", "\r\n")))
		f.Add(toMac([]byte(c.mail)))
	}
	for _, raw := range hostile(500) {
		f.Add(raw)
	}
	f.Add(ordinary)
	f.Fuzz(func(t *testing.T, raw []byte) {
		keep := bytes.Clone(raw)
		for _, lim := range []Limits{{}, tight} {
			m := Read(raw, lim)
			sound(t, m, lim.orDefault(), len(raw))
			if most := 40*len(raw) + 1<<14; m.work > most {
				t.Errorf("looked at %d bytes of %d", m.work, len(raw))
			}
			if shape(m) != shape(Read(raw, lim)) {
				t.Error("read twice, it is another mail")
			}
		}
		if !bytes.Equal(raw, keep) {
			t.Error("the mail was changed")
		}
	})
}

// FuzzReadLineEnds holds that it does not matter which line ends a mail has, as
// far as its text has no CR of its own.
func FuzzReadLineEnds(f *testing.F) {
	for _, c := range readCases {
		f.Add(c.mail)
	}
	f.Fuzz(func(t *testing.T, mail string) {
		if strings.ContainsAny(mail, "\r\x00") || utf16Order([]byte(mail)) != 0 || len(mail) > 4000 {
			return
		}
		want := shape(Read([]byte(mail), Limits{}))
		for _, end := range []string{"\r\n", "\r"} {
			if got := shape(Read([]byte(strings.ReplaceAll(mail, "\n", end)), Limits{})); got != want {
				t.Errorf("with %q\n%s\nwant\n%s", end, got, want)
			}
		}
	})
}

func FuzzParseHeader(f *testing.F) {
	for _, c := range readCases {
		f.Add([]byte(c.mail))
	}
	f.Add([]byte("Content-Type: a/b; name*0*=utf-8''%e4; name*1=\"x\\\"\" (c)\nTo: g: a@b, \"c\" <d@e>;\n"))
	f.Add([]byte("A: b\n\nC: d\n e\n\n\n x\nF: g"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		h, body := ParseHeader(raw)
		checkHeader(t, h, raw)
		if body < h.Range().To || body > len(raw) || h.Len() == 0 && body != 0 && len(bytes.TrimLeft(raw[:body], " \t\r\n")) > 0 && !bytes.Contains(raw[:body], []byte("From ")) {
			t.Fatalf("%d fields, body at %d", h.Len(), body)
		}
		last := 0
		for _, h := range ParseBlocks(raw) {
			checkHeader(t, h, raw)
			if h.Range().From < last || h.Len() == 0 {
				t.Fatalf("block %v of %d fields", h.Range(), h.Len())
			}
			last = h.Range().To
		}
	})
}

func checkHeader(t *testing.T, h Header, raw []byte) {
	last := h.Range().From
	if h.Range().To > len(raw) {
		t.Fatalf("header %v of %d", h.Range(), len(raw))
	}
	for _, f := range h.Fields() {
		if f.Line.From < last || f.Line.To > h.Range().To || f.Value.From < f.Line.From || f.Value.To < f.Value.From || f.Value.To > f.Line.To {
			t.Fatalf("field %+v of %v", f, h.Range())
		}
		last = f.Line.To
		v := h.Value(f)
		if strings.ContainsAny(v, "\r\n") || len(v) > f.Value.Len() || strings.TrimSpace(f.Name) != f.Name || f.Name == "" {
			t.Fatalf("%q: %q", f.Name, v)
		}
		if !h.Has(strings.ToUpper(f.Name)) || len(h.Values(f.Name)) == 0 {
			t.Fatalf("%q is not found", f.Name)
		}
		for _, s := range []string{h.Text(f.Name), h.Param(f.Name, "name"), h.Param(f.Name, "boundary")} {
			if !utf8.ValidString(s) {
				t.Fatalf("%q is no UTF-8", s)
			}
		}
		for _, a := range h.Addresses(f.Name) {
			if at := strings.LastIndexByte(a, '@'); at <= 0 || at == len(a)-1 || strings.ContainsAny(a, "\r\n") {
				t.Fatalf("address %q", a)
			}
		}
	}
}

func FuzzDecodeWords(f *testing.F) {
	for _, s := range []string{"", "=?utf-8?q?n=C3=A4?= x =?gb2312?B?xOO6ww==?=", "=?utf-8?b?5pel5g==?= =?utf-8?b?nKzoqp4=?=", "=?a?q?b?=20c?=", "=?iso-2022-kr?b?GyQpQw5+?=", "=?utf-7?q?+AGE-?=", "=?utf-16?b?//5h?=", "=?x", "\xff=?utf-8*e?q?_?="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := DecodeWords(s)
		if !utf8.ValidString(got) {
			t.Errorf("%q is no UTF-8", got)
		}
		if len(got) > 4*len(s)+4 {
			t.Errorf("%d bytes from %d", len(got), len(s))
		}
		if !strings.Contains(s, "=?") && utf8.ValidString(s) && got != s {
			t.Errorf("%q became %q", s, got)
		}
	})
}

func FuzzText(f *testing.F) {
	for _, charset := range []string{"", "utf-8", "utf-7", "utf-16", "utf-16le", "iso-2022-jp", "iso-2022-kr", "iso-2022-cn", "hz-gb-2312", "gb18030", "big5", "ks_c_5601", "shift_jis", "koi8-r", "x-mac-roman", "cp1251", "utf-32", "macintosh", "cp437"} {
		f.Add([]byte("n\xe4he \x1b$)C\x0e>H\x0f+AGE-\r\n\x00a"), charset, encBase64)
		f.Add([]byte("bsOk=E4=\r\n"), charset, encQP)
	}
	f.Add([]byte("begin 644 x\n%:&5L;&\\\n \nend\n"), "utf-8", encUU)
	f.Fuzz(func(t *testing.T, b []byte, charset, encoding string) {
		dec := undo(b, encoding, 1<<20)
		if len(dec) > len(b) {
			t.Errorf("%d bytes decoded from %d", len(dec), len(b))
		}
		if short := undo(b, encoding, 10); len(short) > 10 {
			t.Errorf("%d bytes, limit 10", len(short))
		}
		s := textOf(dec, charset, 1<<20)
		if !utf8.ValidString(s) || strings.Contains(s, "\r") && !strings.Contains(charset, "7") {
			t.Errorf("%q", s)
		}
		if len(s) > 4*len(dec)+4 {
			t.Errorf("%d bytes from %d", len(s), len(dec))
		}
		if short := textOf(dec, charset, 10); len(short) > 10 || !utf8.ValidString(short) {
			t.Errorf("%q, limit 10", short)
		}
	})
}

func FuzzPlainText(f *testing.F) {
	for _, s := range []string{"", report[:200], "<table><tr><td>a<td><p>b</table><pre> x\n</pre>", "<!--<script>&lt;&nGt;&#x0;</script>--><title>x", "<a b=\"x>'y'>&amp<a@b>\xff\xc2\xa0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := PlainText(s)
		if !utf8.ValidString(got) {
			t.Errorf("%q is no UTF-8", got)
		}
		if len(got) > 3*len(s)+1 {
			t.Errorf("%d bytes from %d", len(got), len(s))
		}
		if strings.Contains(got, "\n\n\n") || strings.HasPrefix(got, "\n") {
			t.Errorf("%q has more than one empty line, or starts with one", got)
		}
	})
}

func FuzzParseDate(f *testing.F) {
	for _, s := range []string{"Mon, 2 Nov 2026 10:11:12 +0100 (CET)", "11/2/2026 3:04:05 PM", "2026-11-02T10:11:12.5Z", "2.11.26", "2 Nov 26 10:11 GMT+0200", "Mon Nov  2 10:11:12 CET 2026", "(((", "23h"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, ok := ParseDate(s)
		if !ok {
			if !d.IsZero() {
				t.Errorf("not ok, but %v", d)
			}
			return
		}
		if _, off := d.Zone(); d.Year() < 0 || d.Year() > 10_000 || off < -15*3600 || off > 15*3600 {
			t.Errorf("%q is %v", s, d)
		}
		if d.Year() < 1000 || d.Year() > 9998 {
			return
		}
		again, ok := ParseDate(d.Format("Mon, 2 Jan 2006 15:04:05.999999999 -0700"))
		if _, off := d.Zone(); off%60 == 0 && off > -14*3600 && off < 14*3600 && (!ok || !again.Equal(d)) {
			t.Errorf("%q is %v, and that is %v", s, d, again)
		}
	})
}

func FuzzMbox(f *testing.F) {
	f.Add([]byte(sep+"S: 1\n\nx\n\n"+sep+"S: 2\n\ny\n"), 100)
	f.Add([]byte("\r\n\r\nFrom a@b\r\nTo: c\r\n\r\nFrom d@e\r\nTo: f\r\n"), 20)
	f.Add(toMac([]byte("x\n\n"+sep+"\n\n"+sep)), 5)
	f.Add([]byte(sep+strings.Repeat("From x\n\n", 300)+sep), 1000)
	f.Fuzz(func(t *testing.T, raw []byte, size int) {
		size = max(1, min(size, 5000))
		m := OpenMbox(bytes.NewReader(raw), Limits{Size: size})
		last, wasCut := int64(0), false
		for n := 0; ; n++ {
			mail, offset, cut, err := m.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if n > len(raw) || offset < last || len(mail) == 0 || len(mail) > size || cut && len(mail) != size {
				t.Fatalf("mail %d: %d bytes at %d behind %d, cut %v", n, len(mail), offset, last, cut)
			}
			if !bytes.HasPrefix(raw[offset:], mail) {
				t.Fatalf("mail %d is not what stands at %d", n, offset)
			}
			if gap := raw[last:offset]; !wasCut && len(bytes.Trim(gap, "\r\n")) > 0 {
				t.Fatalf("%q was lost in front of mail %d", gap, n)
			}
			last, wasCut = offset+int64(len(mail)), cut
		}
		if rest := raw[last:]; !wasCut && len(bytes.Trim(rest, "\r\n")) > 0 {
			t.Fatalf("%q was lost at the end", rest)
		}
	})
}
