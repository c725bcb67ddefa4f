package smtp

import (
	"errors"
	"io"
	"testing"
)

const proxy2 = "\r\n\r\n\x00\r\nQUIT\n"

func TestReadProxy(t *testing.T) {
	v4 := "\xc0\x00\x02\x07\xc6\x33\x64\x01\x12\x67\x00\x19"
	v6 := "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x07" +
		"\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x12\x67\x00\x19"
	for in, want := range map[string]string{
		"PROXY TCP4 192.0.2.7 198.51.100.1 4711 25\r\n":               "192.0.2.7:4711 198.51.100.1:25",
		"PROXY TCP6 2001:db8::7 2001:db8::1 4711 25\r\n":              "[2001:db8::7]:4711 [2001:db8::1]:25",
		"PROXY TCP6 ::ffff:192.0.2.7 ::ffff:198.51.100.1 4711 25\r\n": "192.0.2.7:4711 198.51.100.1:25",
		"PROXY UNKNOWN\r\n":                                   "own",
		"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n":       "own",
		proxy2 + "\x21\x11\x00\x0c" + v4:                      "192.0.2.7:4711 198.51.100.1:25",
		proxy2 + "\x21\x11\x00\x10" + v4 + "\x04\x00\x01\x00": "192.0.2.7:4711 198.51.100.1:25",
		proxy2 + "\x21\x21\x00\x24" + v6:                      "[2001:db8::7]:4711 [2001:db8::1]:25",
		proxy2 + "\x20\x00\x00\x00":                           "own",
		proxy2 + "\x20\x11\x00\x0c" + v4:                      "own",
		proxy2 + "\x21\x00\x00\x03xyz":                        "own",
		"PROXY TCP4 2001:db8::7 2001:db8::1 4711 25\r\n":      "no",
		"PROXY TCP6 192.0.2.7 198.51.100.1 4711 25\r\n":       "no",
		"PROXY TCP4 192.0.2.7 198.51.100.1 4711\r\n":          "no",
		"PROXY TCP4 192.0.2.7 198.51.100.1 4711 65536\r\n":    "no",
		"PROXY TCP4 192.0.2.7 198.51.100.1 04711 25\r\n":      "no",
		"PROXY TCP4 192.0.2.7 198.51.100.1 +4711 25\r\n":      "no",
		"PROXY  TCP4 192.0.2.7 198.51.100.1 4711 25\r\n":      "no",
		"PROXY TCP4 192.0.2.7 198.51.100.1 4711 25\n":         "no",
		"PROXY TCP4 192.0.2.7 198.51.100.1 4711 25 \r\n":      "no",
		"proxy TCP4 192.0.2.7 198.51.100.1 4711 25\r\n":       "no",
		"PROXY UDP4 192.0.2.7 198.51.100.1 4711 25\r\n":       "no",
		"PROXY TCP6 fe80::1%eth0 fe80::2 4711 25\r\n":         "no",
		"PROXY UNKNOWN " + string(make([]byte, 100)) + "\r\n": "no",
		"PROXY\r\n":                          "no",
		"EHLO c.example\r\n":                 "no",
		"":                                   "no",
		proxy2:                               "no",
		proxy2 + "\x21\x11\x00\x0b" + v4:     "no",
		proxy2 + "\x21\x11\x00\x0c" + v4[1:]: "no",
		proxy2 + "\x11\x11\x00\x0c" + v4:     "no",
		proxy2 + "\x22\x11\x00\x0c" + v4:     "no",
		proxy2 + "\x21\x12\x00\x0c" + v4:     "no", // UDP
		proxy2 + "\x21\x31\x00\x0c" + v4:     "no", // a socket of the machine
		proxy2 + "\x21\x11\xff\xff" + v4:     "no",
	} {
		for _, cuts := range [][]int{nil, everywhere(len(in) + 4)} {
			tail := "tail"
			if want == "no" {
				tail = ""
			}
			w := NewWire(&tape{in: []byte(in + tail), cuts: cuts}, FromServer, nil)
			p, err := readProxy(w)
			got := p.Source.String() + " " + p.Destination.String()
			switch {
			case err != nil && (errors.Is(err, ErrProxy) || errors.Is(err, io.ErrUnexpectedEOF)):
				got = "no"
			case err != nil:
				got = err.Error()
			case p.Own:
				got = "own"
			}
			if got != want {
				t.Errorf("%q: got %s, want %s", in, got, want)
			}
			if rest, _ := io.ReadAll(w); want != "no" && string(rest) != tail {
				t.Errorf("%q: rest %q", in, rest)
			}
		}
	}
}
