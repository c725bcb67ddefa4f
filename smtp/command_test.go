package smtp

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/postroad/postroad/mail"
)

// The lines of testdata/commands.txt.
func TestCommands(t *testing.T) {
	text, err := os.ReadFile("testdata/commands.txt")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for row := range strings.Lines(string(text)) {
		mode, rest, ok := strings.Cut(strings.TrimSuffix(row, "\n"), " | ")
		if !ok || mode[0] == '#' {
			continue
		}
		at := strings.LastIndex(rest, " | ")
		line, want := unescape(t, rest[:at]), unescape(t, rest[at+3:])
		for _, strict := range []bool{false, true} {
			if mode == "strict" && !strict || mode == "loose" && strict {
				continue
			}
			n++
			if got := readAndWrite(line, strict); got != want && (!isDigit(want[0]) || !strings.HasPrefix(got, want)) {
				t.Errorf("%q, strict %t:\ngot  %s\nwant %s", line, strict, got, want)
			}
		}
	}
	if n < 200 {
		t.Errorf("only %d cases", n)
	}
}

func unescape(t *testing.T, s string) string {
	var b strings.Builder
	for s != "" {
		c, multibyte, tail, err := strconv.UnquoteChar(s, 0)
		if err != nil {
			t.Fatalf("%s: %v", s, err)
		}
		if multibyte || c < 0x80 {
			b.WriteRune(c)
		} else {
			b.WriteByte(byte(c))
		}
		s = tail
	}
	return b.String()
}

func readAndWrite(line string, strict bool) string {
	c, err := ParseCommand([]byte(line))
	if err != nil {
		return err.Error()
	}
	var b []byte
	if c.Verb == "MAIL" {
		var m MailCommand
		if m, err = ParseMail(c.Arg, strict); err == nil {
			b, err = m.Append(nil)
		}
	} else {
		var m RcptCommand
		if m, err = ParseRcpt(c.Arg, strict); err == nil {
			b, err = m.Append(nil)
		}
	}
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// The limits of RFC 5321 section 4.5.3.1 hold in strict mode; else those of package mail.
func TestAddressLimits(t *testing.T) {
	long := func(local, domain int) string {
		labels := strings.Repeat(strings.Repeat("d", 49)+".", domain/50+1)
		return "TO:<" + strings.Repeat("l", local) + "@" + labels[:domain-1] + "x>"
	}
	for _, c := range []struct {
		arg           string
		loose, strict bool
	}{
		{long(64, 100), true, true},
		{long(65, 100), true, false},
		{long(54, 200), true, false}, // 257 with the brackets
		{long(50, 200), true, true},
		{long(384, 255), true, false},
		{long(385, 255), false, false},
		{long(10, 256), false, false},
		{"TO:<a@" + strings.Repeat("d", 63) + ".example>", true, true},
		{"TO:<a@" + strings.Repeat("d", 64) + ".example>", false, false},
		{"TO:<" + strings.Repeat("@x.example,", 10) + "@x.example:a@b.example>", true, true},
		{"TO:<" + strings.Repeat("@x.example,", 20) + "@x.example:a@b.example>", false, false},
	} {
		_, loose := ParseRcpt(c.arg, false)
		_, strict := ParseRcpt(c.arg, true)
		if (loose == nil) != c.loose || (strict == nil) != c.strict {
			t.Errorf("%d octets: loose %v, strict %v", len(c.arg), loose, strict)
		}
	}
}

// What no command can say is not written: above all nothing that ends the line.
func TestAppendRefuses(t *testing.T) {
	ok := mail.Address{Local: "a", Domain: "b.example"}
	for _, c := range []MailCommand{
		{From: mail.Address{Local: "a\r\nRCPT TO:<x", Domain: "b.example"}},
		{From: mail.Address{Local: "a>\nDATA", Domain: "b.example"}},
		{From: mail.Address{Local: "\"a\x00\"", Domain: "b.example"}},
		{From: mail.Address{Local: "a", Domain: "b.example> SIZE=1"}},
		{From: mail.Address{Local: "a", Domain: "b.example\r"}},
		{From: mail.Address{Local: "a"}},
		{From: mail.Address{Domain: "b.example"}},
		{From: mail.Address{Local: "a b", Domain: "c.example"}},
		{From: mail.Address{Local: "@x.example:a", Domain: "b.example"}},
		{From: mail.Address{Local: "jörg", Domain: "b.example"}},
		{From: ok, Size: -1},
		{From: ok, Body: "7BIT\r\nQUIT"},
		{From: ok, Return: "X"},
		{From: ok, EnvelopeID: "a\nb"},
		{From: ok, EnvelopeID: strings.Repeat("x", 101)},
		{From: ok, EnvelopeID: "é"},
		{From: ok, Auth: "x y"},
		{From: ok, Auth: "a@b.example\r\n"},
	} {
		if b, err := c.Append([]byte("x")); err == nil || string(b) != "x" {
			t.Errorf("%+v: %q, %v", c, b, err)
		}
	}
	for _, c := range []RcptCommand{
		{},
		{To: mail.Address{Local: "root"}},
		{To: mail.Address{Local: "a\r", Domain: "b.example"}},
		{To: ok, Notify: NotifyNever | NotifyDelay},
		{To: ok, Notify: 1 << 4},
		{To: ok, Original: "a@b.example"},
		{To: ok, OriginalType: "rfc822", Original: "a\n@b.example"},
		{To: ok, OriginalType: "rfc822", Original: "jörg@b.example"},
		{To: ok, OriginalType: "utf-8", Original: "\xff"},
		{To: ok, OriginalType: "rfc 822", Original: "a@b.example"},
		{To: ok, OriginalType: "rfc822", Original: strings.Repeat("+", 200)},
	} {
		if b, err := c.Append([]byte("x")); err == nil || string(b) != "x" {
			t.Errorf("%+v: %q, %v", c, b, err)
		}
	}
}

func TestParseChunk(t *testing.T) {
	for arg, want := range map[string]struct {
		size int64
		last bool
	}{
		"0": {0, false}, "0 LAST": {0, true}, "10 last": {10, true}, "9223372036854775807 LAST": {9223372036854775807, true},
		"007": {7, false}, "1  Last": {1, true},
	} {
		if size, last, err := parseChunk(arg); err != nil || size != want.size || last != want.last {
			t.Errorf("%q: %d, %t, %v", arg, size, last, err)
		}
	}
	for _, arg := range []string{"", "LAST", "-1", "+1", "1 X", "1 LAST X", "9223372036854775808", "1x", "0x1", "1_0", "1LAST", " 1", "１"} {
		var s *SyntaxError
		if _, _, err := parseChunk(arg); !errors.As(err, &s) || s.Code != 501 {
			t.Errorf("%q: %v", arg, err)
		}
	}
}
