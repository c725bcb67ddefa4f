package mta

import (
	"encoding/binary"
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
