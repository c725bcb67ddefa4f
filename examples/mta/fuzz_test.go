package mta

import (
	"encoding/binary"
	"strings"
	"testing"
)

func FuzzDNS(f *testing.F) {
	question := append([]byte{0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0}, writeName("example.com")...)
	question = append(question, 0, typeMX, 0, 1)
	f.Add(question)
	f.Add(question[:20])
	f.Add([]byte{0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 63})
	zone := map[string][]string{"example.com": {"MX 10 mx.example.com", "A 192.0.2.1"}, "": {"SERVFAIL"}}
	f.Fuzz(func(t *testing.T, q []byte) {
		a := answerDNS(q, zone)
		if a == nil {
			return
		}
		if len(a) < 12 || a[0] != q[0] || a[1] != q[1] || a[2]&0x80 == 0 || binary.BigEndian.Uint16(a[4:]) != 1 {
			t.Errorf("%x is no answer to %x", a, q)
		}
	})
}

func FuzzSyslog(f *testing.F) {
	f.Add("<22>Nov  9 06:02:11 postfix/smtp[17]: text\n")
	f.Add("<22>Nov  9 06:02:11")
	f.Add("<>")
	f.Add("Nov 1 0:00:00") // no stamp of the C library, though time.Parse takes it
	f.Add("text < than > that")
	f.Fuzz(func(t *testing.T, s string) {
		if got := message(s); !strings.Contains(s, got) || strings.HasSuffix(got, "\n") {
			t.Errorf("%q gives %q", s, got)
		}
	})
}
