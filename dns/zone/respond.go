package zone

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"
)

const maxMessage = 65535

// deed is what is done about one query: after the delay, the replies in order,
// of which the last one is meant, and then perhaps the end of the connection.
type deed struct {
	delay   time.Duration
	replies [][]byte
	half    bool // of the last reply only its first half
	close   bool // TCP: no more
	endless bool // TCP: a length and no end of bytes
}

// Respond answers one query as bytes, network being "udp" or "tcp" (and "tls",
// which is as TCP). It gives what a client would accept in the end: of spoofed
// answers the right one. Where no answer comes, it waits for the end of ctx and
// returns its error; a closed connection is [io.ErrUnexpectedEOF].
func (d *Data) Respond(ctx context.Context, network string, query []byte) ([]byte, error) {
	if network != "udp" {
		network = "tcp"
	}
	x := d.deed(network, query)
	if err := wait(ctx, x.delay); err != nil {
		return nil, fmt.Errorf("ask the zone: %w", err)
	}
	switch {
	case x.endless:
	case x.close, x.half && network == "tcp":
		return nil, fmt.Errorf("ask the zone: %w", io.ErrUnexpectedEOF)
	case len(x.replies) > 0:
		last := x.replies[len(x.replies)-1]
		if x.half {
			last = last[:len(last)/2]
		}
		return last, nil
	}
	<-ctx.Done()
	return nil, fmt.Errorf("ask the zone: %w", context.Cause(ctx))
}

func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

// deed decides what is done about a query.
func (d *Data) deed(network string, query []byte) deed {
	q := new(dns.Msg)
	if len(query) < 12 || query[2]&0x80 != 0 {
		return deed{} // too short to be told so, or an answer: RFC 1035 section 7.3
	}
	m := new(dns.Msg)
	err := q.Unpack(query)
	m.Id, m.Response, m.Opcode = binary.BigEndian.Uint16(query), true, int(query[2]>>3&15)
	m.RecursionDesired, m.CheckingDisabled = query[2]&1 != 0, query[3]&0x10 != 0
	m.RecursionAvailable, m.Compress = true, true
	switch {
	case m.Opcode != dns.OpcodeQuery:
		m.Rcode = dns.RcodeNotImplemented
		return deed{replies: packed(m, network, nil)}
	case err != nil || len(q.Question) != 1:
		m.Rcode = dns.RcodeFormatError
		return deed{replies: packed(m, network, nil)}
	}
	m.Question = q.Question
	asked := q.Question[0]
	d.count(asked)
	b := d.behaviour(asked, network)
	if x, done := b.instead(m, q, network); done {
		x.delay = b.Delay
		return x
	}
	opt := q.IsEdns0()
	switch {
	case opt != nil && opt.Version() != 0:
		m.Rcode = dns.RcodeBadVers
	case asked.Qclass != dns.ClassINET, asked.Qtype == dns.TypeAXFR, asked.Qtype == dns.TypeIXFR:
		m.Rcode = dns.RcodeRefused
	default:
		d.look().answer(m, asked, opt != nil && opt.Do())
	}
	x := b.spoil(m, q, network)
	x.delay = b.Delay
	return x
}

// instead makes the answers that do not depend on the zones.
func (b *Behaviour) instead(m, q *dns.Msg, network string) (x deed, done bool) {
	rcode := -1
	for _, f := range b.Faults {
		switch f {
		case Drop:
			return deed{}, true
		case Close:
			return deed{close: network == "tcp"}, true
		case Endless:
			if network == "tcp" {
				return deed{endless: true}, true
			}
		case Garbage:
			return deed{replies: [][]byte{garbage(m)}}, true
		case Loop:
			return deed{replies: [][]byte{pointer(m)}}, true
		case Refused:
			rcode = dns.RcodeRefused
		case ServFail:
			rcode = dns.RcodeServerFailure
		case Bogus:
			if !q.CheckingDisabled {
				rcode = dns.RcodeServerFailure
			}
		case FormErr:
			rcode = dns.RcodeFormatError
		case OldServer:
			if q.IsEdns0() != nil {
				m.Rcode = dns.RcodeFormatError
				return deed{replies: packed(m, network, nil)}, true
			}
		case NotImp:
			rcode = dns.RcodeNotImplemented
		case Empty:
			rcode = dns.RcodeSuccess
		case Referral:
			m.RecursionAvailable = false
			for c := 'a'; c <= 'm'; c++ {
				m.Ns = append(m.Ns, &dns.NS{Hdr: header(".", dns.TypeNS), Ns: string(c) + ".root-servers.net."})
			}
			rcode = dns.RcodeSuccess
		case Chain:
			m.Answer = []dns.RR{&dns.CNAME{Hdr: header(q.Question[0].Name, dns.TypeCNAME), Target: nextAlias(q.Question[0].Name)}}
			rcode = dns.RcodeSuccess
		default: // they need the honest answer
		}
	}
	if rcode < 0 {
		return deed{}, false
	}
	m.Rcode = rcode
	opt := reply(q)
	if opt != nil && b.is(Bogus) {
		opt.Option = append(opt.Option, &dns.EDNS0_EDE{InfoCode: dns.ExtendedErrorCodeDNSBogus})
	}
	if b.is(Truncated) && network == "udp" || b.is(AlwaysTC) {
		m.Truncated = true
	}
	return deed{replies: packed(m, network, opt), half: b.is(Half)}, true
}

// spoil does to the honest answer what the data says.
func (b *Behaviour) spoil(m, q *dns.Msg, network string) deed {
	x := deed{half: b.is(Half)}
	asked := q.Question[0]
	opt := reply(q)
	if b.is(Absent) {
		m.Rcode, m.Answer = dns.RcodeNameError, nil
	}
	if b.is(Forged) {
		m.Answer = forged(asked)
	}
	if b.is(Unsigned) {
		m.Answer, m.Ns = unsigned(m.Answer), unsigned(m.Ns)
	}
	if b.is(BadSig) {
		m.Answer, m.Ns = misSigned(m.Answer), misSigned(m.Ns)
	}
	if b.is(Validated) && (q.AuthenticatedData || opt != nil && opt.Do()) {
		m.AuthenticatedData = true
	}
	if b.is(Poison) {
		a := &dns.A{Hdr: header("victim.example.", dns.TypeA), A: addr("203.0.113.66")}
		mx := &dns.MX{Hdr: header("victim.example.", dns.TypeMX), Preference: 1, Mx: "forged.invalid."}
		m.Answer, m.Ns, m.Extra = append(m.Answer, a, mx), append(m.Ns, mx), append(m.Extra, a)
	}
	if b.is(Huge) && network == "tcp" {
		fill(m, asked)
	}
	if b.is(Spoofed) && network == "udp" {
		lie := m.Copy()
		lie.Answer, lie.Ns, lie.Rcode = forged(asked), nil, dns.RcodeSuccess
		lie.Id ^= 0x5555
		x.replies = packed(lie, network, nil)
		lie.Id = m.Id
		lie.Question = []dns.Question{{Name: "other." + strings.TrimPrefix(asked.Name, "."), Qtype: asked.Qtype, Qclass: asked.Qclass}}
		x.replies = append(x.replies, packed(lie, network, nil)...)
	}
	if b.is(WrongID) {
		m.Id ^= 0x5555
	}
	if b.is(WrongName) {
		m.Question = []dns.Question{{Name: "other.invalid.", Qtype: asked.Qtype, Qclass: asked.Qclass}}
	}
	if b.is(Truncated) && network == "udp" || b.is(AlwaysTC) {
		m.Truncated, m.Answer, m.Ns, m.Extra = true, nil, nil, nil
	}
	x.replies = append(x.replies, packed(m, network, opt)...)
	return x
}

// reply makes the OPT record that answers the question's, nil if it has none.
func reply(q *dns.Msg) *dns.OPT {
	asked := q.IsEdns0()
	if asked == nil {
		return nil
	}
	opt := &dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT}}
	opt.SetUDPSize(max(asked.UDPSize(), dns.MinMsgSize)) // also where packed finds what fits
	if asked.Do() {
		opt.SetDo()
	}
	return opt
}

// packed gives the bytes, truncated where they do not fit (RFC 2181 section 9).
func packed(m *dns.Msg, network string, opt *dns.OPT) [][]byte {
	limit := maxMessage
	if network == "udp" {
		limit = dns.MinMsgSize
	}
	if opt != nil {
		if network == "udp" {
			limit = int(opt.UDPSize())
		}
		m.Extra = append(m.Extra[:len(m.Extra):len(m.Extra)], opt)
	}
	raw, err := m.Pack()
	if err == nil && len(raw) <= limit {
		return [][]byte{raw}
	}
	m.Answer, m.Ns, m.Extra, m.Truncated = nil, nil, nil, err == nil
	if err != nil {
		m.Rcode = dns.RcodeServerFailure // a record that cannot be written
	}
	if opt != nil {
		m.Extra = []dns.RR{opt}
	}
	if raw, err = m.Pack(); err != nil {
		return nil
	}
	return [][]byte{raw}
}

func header(name string, kind uint16) dns.RR_Header {
	return dns.RR_Header{Name: name, Rrtype: kind, Class: dns.ClassINET, Ttl: 60}
}

func addr(s string) []byte { return netip.MustParseAddr(s).AsSlice() }

// forged is what a liar would have us believe: a record that no zone has.
func forged(q dns.Question) []dns.RR {
	h := header(q.Name, q.Qtype)
	switch q.Qtype {
	case dns.TypeA:
		return []dns.RR{&dns.A{Hdr: h, A: addr("203.0.113.66")}}
	case dns.TypeAAAA:
		return []dns.RR{&dns.AAAA{Hdr: h, AAAA: addr("2001:db8::66")}}
	case dns.TypeTXT:
		return []dns.RR{&dns.TXT{Hdr: h, Txt: []string{"forged"}}}
	case dns.TypeMX:
		return []dns.RR{&dns.MX{Hdr: h, Preference: 1, Mx: "forged.invalid."}}
	case dns.TypePTR:
		return []dns.RR{&dns.PTR{Hdr: h, Ptr: "forged.invalid."}}
	case dns.TypeTLSA:
		return []dns.RR{&dns.TLSA{Hdr: h, Usage: 3, Selector: 1, MatchingType: 1, Certificate: strings.Repeat("66", 32)}}
	}
	return []dns.RR{&dns.CNAME{Hdr: header(q.Name, dns.TypeCNAME), Target: "forged.invalid."}}
}

// fill adds records until the message has nearly 64 KiB.
func fill(m *dns.Msg, q dns.Question) {
	text := strings.Repeat("x", 250)
	for n, size := 0, m.Len(); size < maxMessage-600; n++ {
		rr := &dns.TXT{Hdr: header(q.Name, dns.TypeTXT), Txt: []string{text, strconv.Itoa(n)}}
		size += 12 + 252 + len(strconv.Itoa(n)) + len(q.Name)
		m.Answer = append(m.Answer, rr)
	}
}

func unsigned(section []dns.RR) []dns.RR {
	var all []dns.RR
	for _, rr := range section {
		switch rr.Header().Rrtype {
		case dns.TypeRRSIG, dns.TypeNSEC, dns.TypeNSEC3:
		default:
			all = append(all, rr)
		}
	}
	return all
}

func misSigned(section []dns.RR) []dns.RR {
	all := make([]dns.RR, len(section))
	for i, rr := range section {
		all[i] = rr
		if sig, ok := rr.(*dns.RRSIG); ok {
			c := *sig
			if raw, err := base64.StdEncoding.DecodeString(c.Signature); err == nil && len(raw) > 0 {
				raw[0] ^= 1
				c.Signature = base64.StdEncoding.EncodeToString(raw)
			}
			all[i] = &c
		}
	}
	return all
}

// nextAlias counts in the first label: 1.loop.example., 2.loop.example. and on.
func nextAlias(name string) string {
	first, rest, _ := strings.Cut(name, ".")
	if n, err := strconv.Atoi(first); err == nil && n >= 0 && n < 1<<30 {
		return strconv.Itoa(n+1) + "." + rest
	}
	return "1." + name
}

// garbage has a sound header that promises one record, and a record that ends
// in the middle of itself.
func garbage(m *dns.Msg) []byte {
	raw := packed(m, "tcp", nil)[0]
	binary.BigEndian.PutUint16(raw[6:], 1)
	return append(raw, 0xc0, 12, 0, 1, 0, 1, 0, 0, 1, 0x2c, 0xff, 0xff, 0x80, 0x7f)
}

// pointer has a record whose owner is a compression pointer to itself.
func pointer(m *dns.Msg) []byte {
	raw := packed(m, "tcp", nil)[0]
	binary.BigEndian.PutUint16(raw[6:], 1)
	at := len(raw)
	return append(raw, 0xc0|byte(at>>8), byte(at), 0, 1, 0, 1, 0, 0, 1, 0x2c, 0, 4, 203, 0, 113, 66)
}
