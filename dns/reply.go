package dns

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	mdns "github.com/miekg/dns"
)

// kind is the type of the records asked for, by its number on the wire.
type kind uint16

const (
	typeA     = kind(mdns.TypeA)
	typeNS    = kind(mdns.TypeNS)
	typeCNAME = kind(mdns.TypeCNAME)
	typeSOA   = kind(mdns.TypeSOA)
	typePTR   = kind(mdns.TypePTR)
	typeMX    = kind(mdns.TypeMX)
	typeTXT   = kind(mdns.TypeTXT)
	typeAAAA  = kind(mdns.TypeAAAA)
	typeTLSA  = kind(mdns.TypeTLSA)
)

func (k kind) String() string { return mdns.Type(k).String() }

// Bounds of a message: RFC 1035 sections 4.1.1 and 4.2.2.
const (
	headerSize = 12
	maxMessage = math.MaxUint16
)

// maxChain is how many CNAMEs are followed. Recursive resolvers stop at 11 to
// 16; who needs more than two makes a mistake.
const maxChain = 12

// query is what is asked, and how.
type query struct {
	name string // as ParseName gives it
	kind kind
	edns uint16 // the UDP size to announce; 0: no EDNS
	ad   bool   // want to know whether it validates: RFC 6840 section 5.7
	cd   bool   // do not validate: RFC 4035 section 3.2.2
}

// pack makes the message, with the given id.
func (q query) pack(id uint16) ([]byte, error) {
	m := mdns.Msg{
		MsgHdr:   mdns.MsgHdr{Id: id, RecursionDesired: true, AuthenticatedData: q.ad, CheckingDisabled: q.cd},
		Question: []mdns.Question{{Name: wireName(q.name), Qtype: uint16(q.kind), Qclass: mdns.ClassINET}},
	}
	if q.edns > 0 {
		m.SetEdns0(q.edns, false)
	}
	return m.Pack()
}

func wireName(name string) string {
	if name == Root {
		return Root
	}
	return name + "."
}

// errForeign is a message that is no reply to the query: another id, another
// question, no reply at all. It may be forged, or late.
var errForeign = errors.New("not the reply to this query")

// errMalformed is a reply that cannot be read.
var errMalformed = errors.New("no DNS message")

// matches reports whether a message is the reply to a query: same id, same
// question, letter case aside (RFC 5452 section 9.1). Nothing else of it is
// looked at. A server that could make nothing of the query may leave the
// question out.
func matches(query, reply []byte) bool {
	const response, opcode = 0x80, 0x78
	if len(reply) < headerSize || len(query) < headerSize+5 || reply[0] != query[0] || reply[1] != query[1] ||
		reply[2]&response == 0 || reply[2]&opcode != 0 {
		return false
	}
	if binary.BigEndian.Uint16(reply[4:]) == 0 {
		code := int(reply[3] & 15)
		return code != mdns.RcodeSuccess && code != mdns.RcodeNameError
	}
	end := headerSize
	for query[end] != 0 { // our own query: no compression, within bounds
		end += 1 + int(query[end])
	}
	end += 5
	if binary.BigEndian.Uint16(reply[4:]) != 1 || len(reply) < end {
		return false
	}
	for i := headerSize; i < end-4; i++ {
		if lower(query[i]) != lower(reply[i]) {
			return false
		}
	}
	return bytes.Equal(query[end-4:end], reply[end-4:end])
}

// lower is right for length bytes too: they are under 64.
func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// truncated reports the TC bit of a message that matches.
func truncated(reply []byte) bool { return reply[2]&2 != 0 }

// message is a reply, read.
type message struct {
	code      int // with the bits from EDNS, RFC 6891 section 6.1.3
	aa, ra    bool
	ad        bool
	answer    []record
	authority []record
	extended  []uint16 // info codes of RFC 8914
}

func readMessage(reply []byte) (*message, error) {
	var m mdns.Msg
	if err := m.Unpack(reply); err != nil {
		return nil, fmt.Errorf("%w: %w", errMalformed, err)
	}
	// The library stops at the end of the message whatever the header counts: a
	// message cut between two records would pass for a whole one.
	for i, got := range []int{len(m.Question), len(m.Answer), len(m.Ns), len(m.Extra)} {
		if want := int(binary.BigEndian.Uint16(reply[4+2*i:])); got != want {
			return nil, fmt.Errorf("%w: %d records where its header counts %d", errMalformed, got, want)
		}
	}
	out := &message{
		code: m.Rcode, aa: m.Authoritative, ra: m.RecursionAvailable, ad: m.AuthenticatedData,
		answer: m.Answer, authority: m.Ns,
	}
	if opt := m.IsEdns0(); opt != nil {
		for _, option := range opt.Option {
			if e, ok := option.(*mdns.EDNS0_EDE); ok {
				out.extended = append(out.extended, e.InfoCode)
			}
		}
	}
	return out, nil
}

// reason words a response code that is no answer, with what the server says of
// it by RFC 8914. The server's free text is left out: it may hold anything.
func (m *message) reason() string {
	text := mdns.RcodeToString[m.code]
	if text == "" {
		text = fmt.Sprintf("response code %d", m.code)
	}
	for _, code := range m.extended[:min(len(m.extended), 3)] {
		name := mdns.ExtendedErrorCodeToString[code]
		if name == "" {
			name = "?"
		}
		text += fmt.Sprintf(", extended error %d (%s)", code, name)
	}
	return text
}

// refusedByValidation reports whether a SERVFAIL is the work of DNSSEC
// validation, by its extended error (RFC 8914 section 4): 6 bogus, 7 signature
// expired, 8 not yet valid, 9 DNSKEY missing, 10 RRSIGs missing, 11 no zone key
// bit, 12 NSEC missing, 25 signature expired before valid, 27 unsupported NSEC3
// iterations (RFC 9276 section 3.2 allows SERVFAIL for it).
//
// Not 5 (indeterminate): the server could not tell, as when it cannot fetch the
// keys, and that is no verdict. Nor 1 and 2: zones signed with what the server
// does not know count as unsigned (RFC 4035 section 5.2).
func (m *message) refusedByValidation() bool {
	return m.code == mdns.RcodeServerFailure && slices.ContainsFunc(m.extended, func(code uint16) bool {
		return code >= mdns.ExtendedErrorCodeDNSBogus && code <= mdns.ExtendedErrorCodeNSECMissing ||
			code == mdns.ExtendedErrorCodeSignatureExpiredBeforeValid ||
			code == mdns.ExtendedErrorCodeUnsupportedNSEC3IterValue
	})
}

// finding is what a reply, or several along a chain of CNAMEs, say of a
// question. While status is 0 and fault is "" the last name of chain is to be
// asked.
type finding struct {
	chain   []string // the name asked and all it is an alias of
	status  Status
	records []record
	ttl     time.Duration // the least on the way; negative: nothing said
	fault   Kind
	why     string
}

// seconds reads a TTL: RFC 2181 section 8 has one with the highest bit as zero.
func seconds(ttl uint32) time.Duration {
	if ttl > math.MaxInt32 {
		return 0
	}
	return time.Duration(ttl) * time.Second
}

// least takes a TTL into account.
func (f *finding) least(ttl time.Duration) {
	if f.ttl < 0 || ttl < f.ttl {
		f.ttl = ttl
	}
}

func (f *finding) fail(kind Kind, why string) { f.fault, f.why = kind, why }

// take reads what a reply to a question about the last name of the chain says.
// The reply has the code NOERROR or NXDOMAIN. It is a pure function of both.
func (f *finding) take(k kind, m *message) {
	name := f.chain[len(f.chain)-1]
	hops := len(f.chain)
	for {
		if f.records = ownedBy(m.answer, name, uint16(k)); len(f.records) > 0 {
			break
		}
		alias := ownedBy(m.answer, name, mdns.TypeCNAME)
		if k == typeCNAME || len(alias) == 0 {
			break
		}
		record, ok := alias[0].(*mdns.CNAME)
		if !ok || record.Target == "" {
			f.fail(KindMalformed, "a CNAME without a target")
			return
		}
		name = received(record.Target)
		f.least(seconds(record.Hdr.Ttl))
		switch {
		case slices.Contains(f.chain, name):
			f.fail(KindChain, "the CNAMEs go in a circle")
			return
		case len(f.chain) > maxChain:
			f.fail(KindChain, fmt.Sprintf("more than %d CNAMEs", maxChain))
			return
		}
		f.chain = append(f.chain, name)
	}
	absence, proven := negativeTTL(m.authority, name)
	switch {
	case m.code == mdns.RcodeNameError && len(f.records) > 0:
		f.fail(KindMalformed, "records of a name that does not exist")
	case m.code == mdns.RcodeNameError:
		f.status = Absent
	case len(f.records) > 0:
		f.status = Found
		for _, rr := range f.records {
			f.least(seconds(rr.Header().Ttl))
		}
		return
	case proven:
		f.status = Empty
	case len(f.chain) > hops:
		// Only the CNAME: ask on. Whether the target has the records is the
		// next reply's to say.
		return
	case !m.aa && (!m.ra || refers(m.authority, name)):
		f.fail(KindLame, "a referral, or nothing, from a server that does not resolve")
	default:
		f.status = Empty
	}
	if f.status != 0 && proven {
		f.least(absence)
	} else {
		// RFC 2308 section 5: an absence without SOA is not kept for long.
		f.ttl = -1
	}
}

// ownedBy gives the records of a type at a name.
func ownedBy(all []record, name string, rrtype uint16) (owned []record) {
	for _, rr := range all {
		if h := rr.Header(); h.Rrtype == rrtype && h.Class == mdns.ClassINET && same(h.Name, name) {
			owned = append(owned, rr)
		}
	}
	return owned
}

// same compares a name of a message with one of ours without making a string
// of it where that can be.
func same(got, name string) bool {
	if len(got) == len(name)+1 && got[len(name)] == '.' && strings.EqualFold(got[:len(name)], name) {
		return true
	}
	return received(got) == name
}

// negativeTTL gives how long an absence may be kept (RFC 2308 section 5), from
// the SOA of a zone that the name can be in.
func negativeTTL(authority []record, name string) (ttl time.Duration, proven bool) {
	for _, rr := range authority {
		if soa, ok := rr.(*mdns.SOA); ok && soa.Hdr.Class == mdns.ClassINET && soa.Mbox != "" &&
			below(name, received(soa.Hdr.Name)) {
			return min(seconds(soa.Hdr.Ttl), seconds(soa.Minttl)), true
		}
	}
	return 0, false
}

// refers reports whether the authority section sends us to other servers (RFC
// 2308 section 2.2), as a server does that is no resolver.
func refers(authority []record, name string) bool {
	return slices.ContainsFunc(authority, func(rr record) bool {
		return rr.Header().Rrtype == mdns.TypeNS && below(name, received(rr.Header().Name))
	})
}
