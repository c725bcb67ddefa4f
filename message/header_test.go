package message

import (
	"slices"
	"strings"
	"testing"
)

func TestHeader(t *testing.T) {
	raw := "Received: one\r\nSUBJECT :  a\r\n\t b \r\nReceived: two\r\n  three\r\nEmpty:\r\nX-Bytes: \xe4\r\nX-Words: =?utf-8?q?=C3=A4?=\r\n\r\nbody"
	h, body := ParseHeader([]byte(raw))
	if raw[body:] != "body" {
		t.Errorf("body starts at %q", raw[body:])
	}
	for name, want := range map[string]string{
		"subject": "a b", "Subject": "a b", "received": "one", "empty": "", "absent": "", "X-Bytes": "\xe4", "x-words": "=?utf-8?q?=C3=A4?=", "": "",
	} {
		if got := h.Get(name); got != want {
			t.Errorf("Get(%q) = %q, want %q", name, got, want)
		}
	}
	if got := h.Text("x-words") + h.Text("x-bytes"); got != "ää" {
		t.Errorf("Text = %q", got)
	}
	if got := h.Values("received"); !slices.Equal(got, []string{"one", "two three"}) {
		t.Errorf("Values = %q", got)
	}
	if !h.Has("EMPTY") || h.Has("Emp") || h.Has("absent") {
		t.Error("Has")
	}
	var lines, names []string
	for _, f := range h.Fields() {
		lines = append(lines, raw[f.Line.From:f.Line.To])
		names = append(names, f.Name+"="+raw[f.Value.From:f.Value.To])
	}
	if got := strings.Join(lines, ""); got+"\r\nbody" != raw || got != string(h.Raw()) {
		t.Errorf("the lines are %q", got)
	}
	want := []string{"Received=one", "SUBJECT=a\r\n\t b", "Received=two\r\n  three", "Empty=", "X-Bytes=\xe4", "X-Words==?utf-8?q?=C3=A4?="}
	if !slices.Equal(names, want) || h.Len() != len(want) {
		t.Errorf("fields %q", names)
	}
	if f := h.Fields()[1]; h.Value(f) != "a b" {
		t.Errorf("Value = %q", h.Value(f))
	}
}

func TestHeaderZero(t *testing.T) {
	var h Header
	if h.Get("x") != "" || h.Values("x") != nil || len(h.Fields()) != 0 || h.Len() != 0 || len(h.Raw()) != 0 || h.Addresses("x") != nil {
		t.Error("the zero Header holds something")
	}
}

func TestParseHeaderBlocks(t *testing.T) {
	for _, c := range []struct {
		raw    string
		fields int
		body   string
	}{
		{"", 0, ""},
		{"text\n", 0, "text\n"},
		{"\n\ntext: a\n\nb", 1, "b"},
		{"A: b", 1, ""},
		{"A: b\nhttp://example.com/x\n", 1, "http://example.com/x\n"},
		{"<a@example.com>: host said\n", 0, "<a@example.com>: host said\n"},
		{"A: b\n<a@example.com>: no\n", 1, "<a@example.com>: no\n"},
		{"From x@example.com Mon Nov  2 10:11:12 2026\nA: b\n\nc", 1, "c"},
		{"A: b\n \n c\n", 1, " c\n"},
	} {
		h, body := ParseHeader([]byte(c.raw))
		if h.Len() != c.fields || c.raw[body:] != c.body {
			t.Errorf("%q: %d fields, body %q", c.raw, h.Len(), c.raw[body:])
		}
	}
}

func TestParseBlocks(t *testing.T) {
	raw := "\nReporting-MTA: dns; a\nArrival-Date: now\n \nFinal-Recipient: rfc822; b\n@example.com\nStatus: 5.1.1\n\n\nsome prose here\nFinal-Recipient: c\nDiagnostic-Code: smtp; 550\n  no\n"
	for _, end := range []string{"\n", "\r\n", "\r"} {
		var got []string
		for _, h := range ParseBlocks([]byte(strings.ReplaceAll(raw, "\n", end))) {
			var line []string
			for _, f := range h.Fields() {
				line = append(line, f.Name+"="+h.Value(f))
			}
			got = append(got, strings.Join(line, "|"))
		}
		want := []string{"Reporting-MTA=dns; a|Arrival-Date=now", "Final-Recipient=rfc822; b @example.com|Status=5.1.1", "Final-Recipient=c|Diagnostic-Code=smtp; 550 no"}
		if !slices.Equal(got, want) {
			t.Errorf("%q: %q", end, got)
		}
	}
}

func TestParam(t *testing.T) {
	for _, c := range []struct{ value, name, want string }{
		{"text/plain; charset=utf-8", "charset", "utf-8"},
		{"text/plain; CharSet = \"utf-8\" ; x=y", "charset", "utf-8"},
		{"text/plain; charset=utf-8 (a comment)", "charset", "utf-8"},
		{"text/plain; (c) charset=utf-8", "charset", "utf-8"},
		{"text/plain;charset=utf-8;", "charset", "utf-8"},
		{"text/plain charset=utf-8", "charset", "utf-8"},
		{"text/plain; charset=utf-8 format=flowed", "format", "flowed"},
		{"text/plain; junk; charset=utf-8", "charset", "utf-8"},
		{"text/plain; x=\"a;charset=no\"; charset=utf-8", "charset", "utf-8"},
		{"a/b; name=\"a \\\"b\\\" c\"", "name", "a \"b\" c"},
		{"a/b; name=two words", "name", "two words"},
		{"a/b; name=", "name", ""},
		{"a/b; name=\"not ended; x=y", "name", "not ended"},
		{"a/b; name*=utf-8'de'n%C3%A4h%zz", "name", "näh%zz"},
		{"a/b; name*0*=iso-8859-1''n%E4; name*1=h; name*2*=%65", "name", "nähe"},
		{"a/b; name*1=b; name*0=a", "name", "ab"},
		{"a/b; name*0=a; name*2=c", "name", "a"},
		{"a/b; name=plain; name*=utf-8''coded", "name", "coded"},
		{"a/b; names=x; name=y", "name", "y"},
		{"a/b; name=n\xe4he", "name", "nähe"},
		{"a/b", "name", ""},
		{"", "name", ""},
	} {
		if got := param([]byte(c.value), c.name); got != c.want {
			t.Errorf("%q of %q: %q, want %q", c.name, c.value, got, c.want)
		}
	}
}

func TestFilename(t *testing.T) {
	for _, c := range []struct{ header, want string }{
		{"Content-Disposition: attachment; filename=\"a b.txt\"\nContent-Type: a/b; name=no\n", "a b.txt"},
		{"Content-Type: a/b; name=\"=?utf-8?q?=C3=A4.txt?=\"\n", "ä.txt"},
		{"Content-Type: a/b\n", ""},
	} {
		m := Read([]byte(c.header+"\nx"), Limits{})
		if got := m.Parts[0].Filename(); got != c.want {
			t.Errorf("%q: %q", c.header, got)
		}
	}
}

func TestDecodeWords(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", ""},
		{"plain = text?", "plain = text?"},
		{"=?utf-8?Q?n=C3=A4he_a?= <a@example.com>", "nähe a <a@example.com>"},
		{"=?UTF-8?b?bsOkaGU=?=", "nähe"},
		{"=?utf-8?b?bsOkaGU?=", "nähe"},
		{"=?iso-8859-1?q?n=e4he?= =?iso-8859-1?q?r?=", "näher"},
		{"=?iso-8859-1?q?a?=\r\n =?utf-8?q?b?= c", "ab c"},
		{"=?utf-8?b?5pel5pys?=\n\t=?utf-8?b?6Kqe?=", "日本語"},
		{"=?utf-8?b?5pel5g==?= =?utf-8?b?nKzoqp4=?=", "日本語"}, // a character in two words
		{"=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=", "日本"},
		{"=?gb2312?B?xOO6ww==?=", "你好"},
		{"=?ks_c_5601-1987?B?vsiz5w==?=", "안녕"},
		{"=?utf-8*en?q?a?=", "a"},
		{"=?utf-8?q?a?=b=?utf-8?q?c?=", "abc"},
		{"\"=?utf-8?q?a=2C?=\"", "\"a,\""},
		{"=?utf-8?q?What now?=", "What now"},
		{"=?utf-8?q?now?=20or=20later?=", "now? or later"},
		{"=?utf-8?q?a?=ef =?utf-8?q?b?=", "aef b"},
		{"=?x-nowhere?q?=e4?=", "ä"},
		{"=?utf-8?x?a?= =?utf-8?q?b", "=?utf-8?x?a?= =?utf-8?q?b"},
		{"=? =?= ?=", "=? =?= ?="},
		{"=??q?a?=", "=??q?a?="},
		{"=?utf-8?q??=", ""},
		{"n\xe4he", "nähe"},
		{"nähe", "nähe"},
		{"=?utf-8?q?=ff=fe?=", "ÿþ"},
	} {
		if got := DecodeWords(c.in); got != c.want {
			t.Errorf("%q: %q, want %q", c.in, got, c.want)
		}
	}
}

func TestAddresses(t *testing.T) {
	for _, c := range []struct {
		in   string
		want []string
	}{
		{"a@example.com", []string{"a@example.com"}},
		{"<a@example.com>", []string{"a@example.com"}},
		{"A B <a@example.com>, b@example.com", []string{"a@example.com", "b@example.com"}},
		{"\"B, A\" <a@example.com>", []string{"a@example.com"}},
		{"\"b@example.net\" <a@example.com>", []string{"a@example.com"}},
		{"b@example.net <a@example.com>", []string{"a@example.com"}},
		{"a@example.com (A, B <c@example.com>)", []string{"a@example.com"}},
		{"(x) a@example.com", []string{"a@example.com"}},
		{"=?utf-8?q?=C3=A4=40b?= <a@example.com>", []string{"a@example.com"}},
		{"list: a@example.com, B <b@example.com>;, c@example.com", []string{"a@example.com", "b@example.com", "c@example.com"}},
		{"undisclosed-recipients:;", nil},
		{"A B a@example.com", []string{"a@example.com"}},
		{"a@example.com A B", []string{"a@example.com"}},
		{"A <a@example.com", []string{"a@example.com"}},
		{"A <a@example.com, b@example.com>", []string{"a@example.com", "b@example.com"}},
		{"a@example.com>", []string{"a@example.com"}},
		{"<<a@example.com>>", []string{"a@example.com"}},
		{"\"a b\"@example.com", []string{"\"a b\"@example.com"}},
		{"<\"a@b\"@example.com>", []string{"\"a@b\"@example.com"}},
		{"a @ example.com", []string{"a@example.com"}},
		{"A < a@example.com >", []string{"a@example.com"}},
		{"<@relay.example.net,@b.example.net:a@example.com>", []string{"a@example.com"}},
		{"a@[192.0.2.1]; b@[IPv6:2001:db8::1]", []string{"a@[192.0.2.1]", "b@[IPv6:2001:db8::1]"}},
		{"mailto:a@example.com", []string{"a@example.com"}},
		{"<mailto:a@example.com>", []string{"a@example.com"}},
		{"'a@example.com'", []string{"a@example.com"}},
		{"a@example.com.", []string{"a@example.com"}},
		{"ä@exämple.com", []string{"ä@exämple.com"}},
		{"A \"unclosed <a@example.com>", []string{"a@example.com"}},
		{"A (unclosed <a@example.com>", []string{"a@example.com"}},
		{"MAILER-DAEMON (Mail Delivery System)", nil},
		{"<>", nil},
		{"@", nil},
		{"", nil},
		{"a@example.com,, ,b@example.com,", []string{"a@example.com", "b@example.com"}},
	} {
		h, _ := ParseHeader([]byte("To: " + c.in + "\n"))
		if got := h.Addresses("to"); !slices.Equal(got, c.want) {
			t.Errorf("%q: %q, want %q", c.in, got, c.want)
		}
	}
	h, _ := ParseHeader([]byte("To: a@example.com,\n B <b@example.com>\nTo: c@example.com\n"))
	if got := h.Addresses("TO"); !slices.Equal(got, []string{"a@example.com", "b@example.com", "c@example.com"}) {
		t.Errorf("two fields: %q", got)
	}
}
