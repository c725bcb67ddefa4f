package zone

import (
	"context"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// FuzzParse: what was taken is answered for, and every answer can be read and
// repeats its question.
func FuzzParse(f *testing.F) {
	f.Add(load(f, "plain.zone"))
	f.Add("a. A 192.0.2.1\n$ANSWER *.a. A udp tc delay=1ms times=2")
	f.Add("$ORIGIN x.\n@ SOA a b 1 2 3 4 5\n*.* TXT x\n\\255\\. CNAME @\n$GENERATE 1-9 h$ A 192.0.2.$")
	f.Add(". SOA . . 1 1 1 1 1\n. DNAME a.\n* CNAME b.")
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 4096 {
			return
		}
		d, err := Parse(text)
		if err != nil {
			return
		}
		d.faults = map[scope]*Behaviour{}
		names := []string{"absent.invalid."}
		for name := range d.sets {
			names = append(names, name, below("zz", name))
			if len(names) > 50 {
				break
			}
		}
		for _, name := range names {
			if _, ok := dns.IsDomainName(name); !ok {
				continue
			}
			for _, kind := range []uint16{dns.TypeA, dns.TypeANY} {
				q := &dns.Msg{Question: []dns.Question{{Name: name, Qtype: kind, Qclass: dns.ClassINET}}}
				q.SetEdns0(1232, true)
				raw, err := q.Pack()
				if err != nil {
					continue
				}
				got, err := d.Respond(t.Context(), "udp", raw)
				if err != nil {
					continue // a record that cannot be packed
				}
				m := new(dns.Msg)
				if err := m.Unpack(got); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if len(got) > 1232 || len(m.Question) != 1 || !m.Response {
					t.Fatalf("%s: %d bytes, %v", name, len(got), m)
				}
			}
		}
	})
}

// FuzzRespond: any bytes get an answer with their id, or none; never more than
// UDP may carry.
func FuzzRespond(f *testing.F) {
	for _, name := range []string{"mx.example", "foo.wild.example", "x"} {
		q := question(name, "A")
		q.Id = 0x1234
		q.SetEdns0(1232, true)
		raw, err := q.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	d := parse(f, load(f, "plain.zone"))
	if _, err := d.Sign("example", SignOptions{Expiration: time.Unix(2e9, 0)}); err != nil {
		f.Fatal(err)
	}
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	f.Fuzz(func(t *testing.T, query []byte) {
		for _, network := range []string{"udp", "tcp"} {
			got, err := d.Respond(gone, network, query)
			if err != nil {
				continue
			}
			if len(got) < 12 || got[0] != query[0] || got[1] != query[1] || got[2]&0x80 == 0 {
				t.Fatalf("%s: %x answers %x", network, got, query)
			}
		}
	})
}

// FuzzParseBehaviour: what is read is written and read again the same.
func FuzzParseBehaviour(f *testing.F) {
	f.Add("delay=2s tc times=3")
	f.Add("DROP drop")
	f.Fuzz(func(t *testing.T, text string) {
		b, err := ParseBehaviour(text)
		if err != nil {
			return
		}
		again, err := ParseBehaviour(b.String())
		if b.String() != "" && (err != nil || again.String() != b.String()) {
			t.Fatalf("%q is written %q, which is read as %q, %v", text, b, again, err)
		}
	})
}
