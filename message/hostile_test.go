package message

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
)

// repeat writes s until the result is about n bytes long.
func repeat(s string, n int) string { return strings.Repeat(s, n/len(s)+1) }

func nested(n int) []byte {
	var b bytes.Buffer
	b.WriteString("Subject: deep\nMIME-Version: 1.0\n")
	for i := range n {
		fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=\"b%d\"\n\n--b%d\n", i, i)
	}
	b.WriteString("Content-Type: text/plain\n\ninnermost\n")
	for i := n - 1; i >= 0; i-- {
		fmt.Fprintf(&b, "--b%d--\n", i)
	}
	return b.Bytes()
}

func nestedMessages(n int) []byte {
	return []byte(repeat("Subject: x\nContent-Type: message/rfc822\n\n", n*41) + "\nend\n")
}

func flat(n int) []byte {
	var b bytes.Buffer
	b.WriteString("Content-Type: multipart/mixed; boundary=b\n\npreamble\n")
	for i := range n {
		fmt.Fprintf(&b, "--b\nContent-Type: text/plain\n\npart %d\n", i)
	}
	b.WriteString("--b--\n")
	return b.Bytes()
}

// wrongSiblings are multiparts side by side, each with a boundary that never
// comes.
func wrongSiblings(n int) []byte {
	return []byte("Content-Type: multipart/mixed; boundary=b\n\n" +
		strings.Repeat("--b\nContent-Type: multipart/mixed; boundary=never\n\n--x\nContent-Type: text/plain\n\ntext\n--x--\n", n) + "--b--\n")
}

// wrongNested are multiparts in one another, each with a boundary that never
// comes.
func wrongNested(n int) []byte {
	var b bytes.Buffer
	b.WriteString("Content-Type: multipart/mixed; boundary=no\n\n")
	for i := range n {
		fmt.Fprintf(&b, "--real%d\nContent-Type: multipart/mixed; boundary=no%d\n\n", i, i)
	}
	return b.Bytes()
}

func base64Nested(n int) []byte {
	inner := []byte("Subject: inner\n\nthe end\n")
	for range n {
		inner = []byte("Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n" + b64(inner) + "\n")
	}
	return inner
}

func toMac(b []byte) []byte { return bytes.ReplaceAll(b, []byte("\n"), []byte("\r")) }

// hostile are mails that cost a careless reader its time or memory.
func hostile(size int) map[string][]byte {
	m := map[string][]byte{
		"one line":           []byte("Subject: x\n\n" + repeat("x", size)),
		"one header line":    []byte("Subject: " + repeat("x", size)),
		"folded header":      []byte("Subject: x" + repeat("\n y", size)),
		"folded header mac":  []byte("Subject: x" + repeat("\r y", size)),
		"many fields":        []byte(repeat("a:\n", size)),
		"blank lines":        []byte(repeat("\n", size)),
		"carriage returns":   []byte(repeat("\r", size)),
		"cr cr lf":           []byte(repeat("\r\r\n", size)),
		"from lines":         []byte(repeat("From x\n", size)),
		"lines of blanks":    []byte("A: b\n" + repeat(" \n", size)),
		"junk lines":         []byte("A: b\n" + repeat("junk\njunk\nX-A: b\n", size)),
		"junk, few fields":   []byte("A: b\n" + repeat(strings.Repeat("junk\nFoo: x\n", 14)+"X-A: b\n", size)),
		"dashes":             []byte("Content-Type: multipart/mixed; boundary=b\n\n" + repeat("-", size)),
		"dashed lines":       []byte("Content-Type: multipart/mixed; boundary=b\n\n" + repeat("--\n", size)),
		"nearly boundary":    []byte("Content-Type: multipart/mixed; boundary=b\n\n--b\n\n" + repeat("--b   x\n", size)),
		"boundaries":         []byte("Content-Type: multipart/mixed; boundary=b\n\n" + repeat("--b\n", size)),
		"boundaries mac":     toMac([]byte("Content-Type: multipart/mixed; boundary=b\n\n" + repeat("--b\n", size))),
		"nested":             nested(size / 90),
		"nested mac":         toMac(nested(size / 90)),
		"nested, then lines": append(nested(15), repeat("\n--", size)...),
		"nested messages":    nestedMessages(size / 41),
		"flat":               flat(size / 45),
		"wrong siblings":     wrongSiblings(size / 96),
		"wrong siblings mac": toMac(wrongSiblings(size / 96)),
		"wrong nested":       wrongNested(size / 70),
		"wrong nested, long": append(wrongNested(30), repeat("--\nContent", size)...),
		"nuls":               bytes.Repeat([]byte{0}, size),
		"utf-16":             []byte("\xff\xfe" + repeat("a\x00:\x00\n\x00", size)),
		"utf-16 kana":        []byte("\xff\xfe" + repeat("\x42\x30", size)),
		"qp":                 []byte("Content-Transfer-Encoding: quoted-printable\n\n" + repeat("=", size)),
		"qp blanks":          []byte("Content-Transfer-Encoding: quoted-printable\n\n" + repeat("=  x", size)),
		"base64 junk":        []byte("Content-Transfer-Encoding: base64\n\nAAAA=\n" + repeat("=A=", size)),
		"uu":                 []byte("Content-Transfer-Encoding: x-uuencode\n\nbegin 644 x\n" + repeat("~~\n", size)),
		"utf-7":              []byte("Content-Type: text/plain; charset=utf-7\n\n" + repeat("+AGE-+", size)),
		"charset high":       []byte("Content-Type: text/plain; charset=windows-1252\n\n" + repeat("\x80", size)),
		"euro, undeclared":   []byte("Subject: x\n\n" + repeat("\x80", size)),
		"digest":             []byte("Content-Type: multipart/digest; boundary=b\n\n" + repeat("--b\n\nSubject: x\n\n", size)),
	}
	return m
}

// TestWorkIsLinear counts the bytes that Read looks at: some times the mail at
// most, and for twice the mail no more than twice as many.
func TestWorkIsLinear(t *testing.T) {
	const size = 1 << 18
	twice := hostile(2 * size)
	for name, raw := range hostile(size) {
		one, two := Read(raw, Limits{}).work, Read(twice[name], Limits{}).work
		if one > 20*len(raw) {
			t.Errorf("%s: looked at %d bytes of %d", name, one, len(raw))
		}
		if two > 2*one+one/4+4096 {
			t.Errorf("%s: looked at %d bytes of %d, but at %d of %d", name, one, len(raw), two, len(twice[name]))
		}
	}
}

// TestHostileSound holds the invariants where they are likeliest to break. The
// sizes are such that work of the square of the input would not end.
func TestHostileSound(t *testing.T) {
	for name, raw := range hostile(1 << 20) {
		t.Run(name, func(t *testing.T) {
			var m *Message
			used := allocated(func() { m = Read(raw, Limits{HeaderBytes: 1 << 16}) })
			if most := uint64(3*len(raw) + 2<<20); used > most {
				t.Errorf("%d bytes allocated for a mail of %d", used, len(raw))
			}
			for _, p := range m.Parts {
				if p.Depth > 20 {
					t.Errorf("depth %d", p.Depth)
				}
			}
		})
	}
	for _, raw := range hostile(20_000) {
		m := Read(raw, Limits{})
		sound(t, m, Limits{}.orDefault(), len(raw))
	}
}

// allocated gives the bytes that f allocates, whether or not they are given
// back.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// endless gives its line again and again, n bytes in all.
type endless struct {
	line string
	n, i int
}

func (e *endless) Read(p []byte) (int, error) {
	if e.n == 0 {
		return 0, io.EOF
	}
	n := 0
	for n < len(p) && n < e.n {
		k := copy(p[n:min(len(p), e.n)], e.line[e.i:])
		n += k
		e.i = (e.i + k) % len(e.line)
	}
	e.n -= n
	return n, nil
}

// TestHuge holds what the largest mails cost: everything that reading and
// taking apart allocates, text of the first part included, is below 100 MB.
func TestHuge(t *testing.T) {
	const most = 100_000_000
	mails := map[string]func() io.Reader{
		"5,000 nested parts": func() io.Reader { return bytes.NewReader(nested(5000)) },
		"10,000 parts":       func() io.Reader { return bytes.NewReader(flat(10_000)) },
		"100 MB": func() io.Reader {
			return io.MultiReader(strings.NewReader("Subject: s\n\n"), &endless{line: "a line of text\r\n", n: most})
		},
		"a line of 100 MB": func() io.Reader {
			return io.MultiReader(strings.NewReader("Subject: s\n\n"), &endless{line: "x", n: most})
		},
		"a header line of 100 MB": func() io.Reader { return &endless{line: "x: ", n: most} },
	}
	for name, open := range mails {
		r := open()
		var m *Message
		var cut bool
		used := allocated(func() {
			raw, c, err := ReadFrom(r, Limits{})
			if err != nil {
				t.Error(err)
			}
			cut = c
			m = Read(raw, Limits{})
			m.Text(&m.Parts[0])
		})
		if used > most {
			t.Errorf("%s: %d bytes allocated", name, used)
		}
		if len(m.Parts) > 500 || cut != strings.Contains(name, "MB") || len(m.Raw) > 24<<20 {
			t.Errorf("%s: %d parts, cut %v, %d bytes kept", name, len(m.Parts), cut, len(m.Raw))
		}
		if strings.Contains(name, "parts") && !m.Has(NoteDepth) && !m.Has(NoteParts) {
			t.Errorf("%s: notes %v", name, m.Notes)
		}
	}
}

// TestTextsAreLinear gives the readers of texts what would keep them busy for
// hours if their work grew with the square of it.
func TestTextsAreLinear(t *testing.T) {
	const size = 1 << 20
	for _, s := range []string{
		"<", "<a ", "<a b=\"", "<a b='>", "<a b=\">\"", "<!--", "<!---->", "<script>", "<style></", "<title>", "<title></", "<p>", "<td>", "&", "&a", "&#", "&amp", "</", "<!", "<?",
		"<!-- >", "<a b=\">", "\" '>", "<a@b>", "<pre>\n\t",
	} {
		if got := PlainText(repeat(s, 4*size)); len(got) > 6*size {
			t.Errorf("%q: %d bytes of text", s, len(got))
		}
		PlainText("<a b=\"" + repeat(s, size) + ">")
	}
	for _, s := range []string{"=?", "=?a?q?", "=?a?q?x", "=?a?b??=", "=?utf-8?q?=?=41", "?=", "=?a", "=?a?q?a?= ", "=?a?q?a?= =?b?q?b?="} {
		DecodeWords(repeat(s, size))
		DecodeWords(repeat(s, size) + "?=")
	}
	for _, s := range []string{"(", "\"", "\\\"", "\"\\", "<", ">", ":", ",", "a@:", "@", "<\"\\\"", "a ", "a@b ", "(()", "<@", "<@,"} {
		h, _ := ParseHeader([]byte("To: " + repeat(s, size/4) + "\n"))
		h.Addresses("To")
		h.Text("To")
		h, _ = ParseHeader([]byte("To: x@" + repeat(s, size/4) + "\n"))
		h.Addresses("To")
	}
	for _, s := range []string{"(", ";(a=", ";a=\"", ";a*0=b", ";a=b c=", "; a =", "=", ";a=\"\\", "\"", ";a*=%41", " ", ";a*1*=\"\n \""} {
		h, _ := ParseHeader([]byte("Content-Type: text/plain; " + repeat(s, size/4) + "\n"))
		h.Param("Content-Type", "a")
		h.Param("Content-Type", "boundary")
		Read([]byte("Content-Type: multipart/mixed "+repeat(s, size/4)+"\n\nx"), Limits{})
	}
	for _, s := range []string{"a:\n", "\n", "x\n", " \n", "a: b\n\n", "\r", "x y\nz\n"} {
		ParseBlocks([]byte(repeat(s, size)))
	}
}
