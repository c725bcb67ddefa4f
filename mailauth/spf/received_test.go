package spf

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/postroad/postroad/mailauth"
)

func TestReceived(t *testing.T) {
	for _, test := range []struct {
		v    Verdict
		q    Query
		want string
	}{
		{
			Verdict{Result: mailauth.Pass, Identity: MailFrom, Sender: "anna@a.example", Term: "include:b.example"},
			Query{IP: netip.MustParseAddr("::ffff:192.0.2.1"), Helo: "h.example"},
			"pass receiver=mx.example.org; client-ip=192.0.2.1;\r\n\t" +
				`identity=mailfrom; envelope-from="anna@a.example"; helo=h.example;` + "\r\n\t" + `mechanism="include:b.example"`,
		},
		{
			Verdict{Result: mailauth.PermError, Identity: Helo, Sender: "postmaster@h", Term: "a:", Reason: TooManyLookups},
			Query{IP: netip.MustParseAddr("2001:db8::1"), Helo: "h\r\nX: \"y\\"},
			"permerror receiver=mx.example.org; client-ip=\"2001:db8::1\";\r\n\t" +
				`identity=helo; envelope-from="postmaster@h"; helo="h??X: \"y\\";` + "\r\n\tproblem=too-many-lookups",
		},
		{Verdict{Result: mailauth.None}, Query{}, "none receiver=mx.example.org"},
	} {
		if got := test.v.Received(test.q, "mx.example.org"); got != test.want {
			t.Errorf("got  %q\nwant %q", got, test.want)
		}
	}
}

// FuzzReceived holds that nothing a client says can end the field, or a value.
func FuzzReceived(f *testing.F) {
	f.Add("anna@a.example", "h.example", "-all")
	f.Add("\"x\r\n y\"@a.example", "a..b", "\\")
	f.Add(strings.Repeat("\"", 600), strings.Repeat("\\", 600), strings.Repeat("é", 600))
	f.Fuzz(func(t *testing.T, sender, helo, term string) {
		v := Verdict{Result: mailauth.Fail, Identity: MailFrom, Sender: sender, Term: term}
		text := v.Received(Query{IP: netip.MustParseAddr("192.0.2.1"), Helo: helo}, "mx.example.org")
		if len(text) > 6*maxValue+400 {
			t.Fatalf("%d octets", len(text))
		}
		for line := range strings.SplitSeq(text, "\r\n") {
			if len(line) > 998 {
				t.Fatalf("a line of %d octets", len(line))
			}
		}
		body := strings.ReplaceAll(text, "\r\n\t", " ")
		want := []string{"receiver", "client-ip", "identity", "envelope-from", "helo", "mechanism"}
		quoted, escape, keys, word := false, false, []string(nil), ""
		for _, r := range strings.TrimPrefix(body, "fail ") {
			if r < ' ' || r == 0x7f {
				t.Fatalf("a control character in %q", text)
			}
			switch {
			case escape:
				escape = false
			case quoted && r == '\\':
				escape = true
			case r == '"':
				quoted = !quoted
			case quoted:
			case r == '=' && word != "" && !strings.Contains(word, "="):
				keys = append(keys, word)
				word += "="
			case r == ';':
				word = ""
			case r == ' ' && word == "":
			default:
				word += string(r)
			}
		}
		if quoted || escape {
			t.Fatalf("an open quotation in %q", text)
		}
		n := 0
		for _, k := range keys {
			for n < len(want) && want[n] != k {
				n++
			}
		}
		if n == len(want) {
			t.Fatalf("keys %v in %q", keys, text)
		}
	})
}
