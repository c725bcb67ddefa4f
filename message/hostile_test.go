package message

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
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

func TestHostileTimes(t *testing.T) {
	for name, raw := range hostile(24 << 20) {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		t0 := time.Now()
		m := Read(raw, Limits{})
		d := time.Since(t0)
		runtime.ReadMemStats(&after)
		t1 := time.Now()
		n := 0
		for i := range m.Parts {
			n += len(m.Text(&m.Parts[i]))
		}
		t.Logf("%-20s %8v text %8v  %5d parts %d notes %6.1f MB alloc", name, d.Round(time.Microsecond), time.Since(t1).Round(time.Millisecond), len(m.Parts), len(m.Notes), float64(after.TotalAlloc-before.TotalAlloc)/1e6)
	}
}
