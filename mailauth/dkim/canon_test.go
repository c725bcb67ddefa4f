package dkim

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"
)

// text is a hash that keeps what it is given.
type text struct{ bytes.Buffer }

func (t *text) Sum(b []byte) []byte { return append(b, t.Bytes()...) }
func (t *text) Size() int           { return t.Len() }
func (t *text) BlockSize() int      { return 1 }

// canonicalBody gives a body in canonical form, written in pieces of the sizes given, in turn;
// none is one piece.
func canonicalBody(tb testing.TB, c Canonicalization, raw string, sizes ...int) string {
	tb.Helper()
	var out text
	b := newBody(c, &out, -1)
	rest := []byte(raw)
	for i := 0; len(rest) > 0; i++ {
		n := len(rest)
		if len(sizes) > 0 {
			n = min(n, sizes[i%len(sizes)])
		}
		if _, err := b.Write(rest[:n]); err != nil {
			tb.Fatal(err)
		}
		rest = rest[n:]
	}
	b.close()
	if b.size != int64(out.Len()) {
		tb.Errorf("size %d of %d bytes", b.size, out.Len())
	}
	return out.String()
}

// slowBody is the RFC's text as code: sections 3.4.3 and 3.4.4, and LF as CRLF.
func slowBody(c Canonicalization, raw string) string {
	var lines []string
	rest := raw
	for rest != "" {
		line, after, ended := strings.Cut(rest, "\n")
		if ended {
			line = strings.TrimSuffix(line, "\r")
		}
		if c == Relaxed {
			words := strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\t' })
			reduced := strings.Join(words, " ")
			if len(words) > 0 && isWSP(line[0]) {
				reduced = " " + reduced
			}
			line = reduced
		}
		lines = append(lines, line)
		rest = after
	}
	for len(lines) > 0 && lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	if len(lines) == 0 && c == Relaxed {
		return ""
	}
	return strings.Join(lines, "\r\n") + "\r\n"
}

// TestSlowBody holds the yardstick to the examples of RFC 6376 sections 3.4.3 to 3.4.5.
func TestSlowBody(t *testing.T) {
	for _, c := range []struct {
		c         Canonicalization
		raw, want string
	}{
		{Relaxed, " C \r\nD \t E\r\n\r\n\r\n", " C\r\nD E\r\n"},
		{Simple, " C \r\nD \t E\r\n\r\n\r\n", " C \r\nD \t E\r\n"},
		{Simple, "", "\r\n"},
		{Relaxed, "", ""},
		{Simple, "\r\n\r\n", "\r\n"},
		{Relaxed, " \r\n\t\r\n", ""},
		{Simple, "no line end", "no line end\r\n"},
		{Relaxed, "no line end ", "no line end\r\n"},
	} {
		if got := slowBody(c.c, c.raw); got != c.want {
			t.Errorf("%s %q: %q, want %q", c.c, c.raw, got, c.want)
		}
	}
}

// bodies are cases whose trouble is at the borders.
var troubled = []string{
	"", "\r\n", "\n", "\r", " ", "\t", "a", "a\r\n", "a\n", "a\r", "a \r\n", "a\t\r\n", " a\r\n", "\ta\r\n",
	"a  b\r\n", "a \tb\r\n", "a\t b\r\n", "a\tb\r\n", "a b\r\n", "  \r\n", " \r\n\r\n a", "\r\n\r\na\r\n\r\n",
	"a\r\rb\r\n", "a\r\r\n", "\r\r\n", "a \r b\r\n", "a\r b", "a \r", "a\r\n \r\n\r\n", "a\nb\nc\n", "a\nb\r\nc\n\n",
	"a\n b\r\n", "a\r\nb\nc  d\r\ne\r\n", "a! b\r\n", "a !b\r\n", "! ! !!  !\r\n", " !\r\n!\r\n", "\x01\x02\r\n", "\x00 \x00\r\n",
	"a\x00\r\nb", "é  é\r\n", strings.Repeat("x", 5000) + "\r\n", strings.Repeat("x y ", 500), strings.Repeat("\r\n", 3000) + "a",
	strings.Repeat("word ", 14) + "end\r\n" + strings.Repeat("word ", 14) + "end\r\n  two\r\n",
}

func TestBody(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	all := troubled
	for range 3000 {
		var b strings.Builder
		for range r.IntN(40) {
			b.WriteString([]string{"\r\n", "\n", "\r", " ", "  ", "\t", "a", "word", "!", strings.Repeat("z", 30), "\x00"}[r.IntN(11)])
		}
		all = append(all, b.String())
	}
	for _, c := range []Canonicalization{Simple, Relaxed} {
		for _, raw := range all {
			want := slowBody(c, raw)
			for _, sizes := range [][]int{nil, {1}, {2, 3}, {1 + r.IntN(9), 1 + r.IntN(90)}} {
				if got := canonicalBody(t, c, raw, sizes...); got != want {
					t.Fatalf("%s %q in pieces of %v:\n%q, want\n%q", c, raw, sizes, got, want)
				}
			}
		}
	}
}

func TestBodyLimit(t *testing.T) {
	const raw = "one  two\r\n\r\nthree\r\n\r\n"
	whole := slowBody(Relaxed, raw)
	for limit := range len(whole) + 3 {
		var out text
		b := newBody(Relaxed, &out, int64(limit))
		if err := hashBody(t.Context(), iotest.OneByteReader(strings.NewReader(raw)), []*body{b}); err != nil {
			t.Fatal(err)
		}
		if want := whole[:min(limit, len(whole))]; out.String() != want || b.size != int64(len(whole)) {
			t.Errorf("limit %d: %q of %d, want %q of %d", limit, out.String(), b.size, want, len(whole))
		}
	}
}

func TestField(t *testing.T) {
	for _, c := range []struct{ raw, relaxed, simple string }{
		// RFC 6376 section 3.4.5
		{"A: X\r\n", "a:X\r\n", "A: X\r\n"},
		{"B : Y\t\r\n\tZ  \r\n", "b:Y Z\r\n", "B : Y\t\r\n\tZ  \r\n"},
		{"Subject:\r\n", "subject:\r\n", "Subject:\r\n"},
		{"Subject: \r\n \r\n", "subject:\r\n", "Subject: \r\n \r\n"},
		{"Subject: a\n b\n", "subject:a b\r\n", "Subject: a\r\n b\r\n"},
		{"Subject: cut", "subject:cut\r\n", "Subject: cut\r\n"},
		{"Subject: cut ", "subject:cut\r\n", "Subject: cut \r\n"},
		{"Subject: a\rb\r\n", "subject:a\rb\r\n", "Subject: a\rb\r\n"},
		{"Subject: é  \x01 :\r\n", "subject:é \x01 :\r\n", "Subject: é  \x01 :\r\n"},
		{"SUBJECT:a\r\n\tb\r\n\t c\r\n", "subject:a b c\r\n", "SUBJECT:a\r\n\tb\r\n\t c\r\n"},
	} {
		if got := string(appendField(nil, Relaxed, []byte(c.raw))); got != c.relaxed {
			t.Errorf("relaxed %q: %q, want %q", c.raw, got, c.relaxed)
		}
		if got := string(appendField(nil, Simple, []byte(c.raw))); got != c.simple {
			t.Errorf("simple %q: %q, want %q", c.raw, got, c.simple)
		}
	}
}

func TestAppendUnsigned(t *testing.T) {
	for _, c := range []struct{ raw, want string }{
		{"S: a=1; b=xyz; c=2\r\n", "S: a=1; b=; c=2"},
		{"S: a=1; b = x\r\n y ;c=2\r\n", "S: a=1; b =;c=2"},
		{"S: bb=1; b=\r\n x\r\n", "S: bb=1; b="},
		{"S: b=1=; bh=b=2\r\n", "S: b=; bh=b=2"},
		{"S: a=b=1; \r\n\tb=2;\r\n", "S: a=b=1; \r\n\tb=;"},
		{"S: nothing\r\n", "S: nothing"},
	} {
		if got := string(appendUnsigned(nil, Simple, []byte(c.raw))); got != c.want {
			t.Errorf("%q: %q, want %q", c.raw, got, c.want)
		}
	}
}

func FuzzBody(f *testing.F) {
	for _, raw := range troubled {
		if len(raw) < 200 {
			f.Add(raw, uint8(3), uint8(50))
		}
	}
	f.Fuzz(func(t *testing.T, raw string, first, second uint8) {
		for _, c := range []Canonicalization{Simple, Relaxed} {
			want := slowBody(c, raw)
			for _, sizes := range [][]int{nil, {1 + int(first), 1 + int(second)}} {
				got := canonicalBody(t, c, raw, sizes...)
				if got != want {
					t.Fatalf("%s %q in pieces of %v: %q, want %q", c, raw, sizes, got, want)
				}
				if again := canonicalBody(t, c, got); again != got {
					t.Fatalf("%s %q: %q, and again %q", c, raw, got, again)
				}
			}
		}
	})
}

func FuzzField(f *testing.F) {
	f.Add("Subject : a\r\n\tb \t c \r\n")
	f.Add("a:\r\n \r\n")
	f.Add("no colon\n")
	f.Add("x: \r\r\n y\r")
	f.Fuzz(func(t *testing.T, header string) {
		list, _, err := fields(nil, []byte(header))
		if err != nil {
			return
		}
		var all []byte
		for _, field := range list {
			raw := field.raw
			all = append(all, raw...)
			if len(field.name) == 0 {
				continue
			}
			got := appendField(nil, Relaxed, raw)
			if !bytes.HasSuffix(got, []byte("\r\n")) || bytes.Contains(got[:len(got)-2], []byte("\n")) {
				t.Fatalf("%q: %q is not one line", raw, got)
			}
			if again := appendField(nil, Relaxed, got); !bytes.Equal(again, got) {
				t.Fatalf("%q: %q, and again %q", raw, got, again)
			}
			simple := appendField(nil, Simple, raw)
			if again := appendField(nil, Simple, simple); !bytes.Equal(again, simple) {
				t.Fatalf("%q: %q, and again %q", raw, simple, again)
			}
			if relaxed := appendField(nil, Relaxed, simple); !bytes.Equal(relaxed, got) {
				t.Fatalf("%q: relaxed %q, after simple %q", raw, got, relaxed)
			}
		}
		if end, _ := headerEnd([]byte(header)); string(all) != header[:end] {
			t.Fatalf("%q: the fields are %q", header, all)
		}
	})
}
