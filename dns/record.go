package dns

import (
	"encoding/hex"
	"net/netip"
	"slices"

	mdns "github.com/miekg/dns"
)

// record is a record as the wire library has it.
type record = mdns.RR

// decoder turns a record into a value and says what memory it takes; false for
// one that cannot be.
type decoder[T any] func(record) (value T, size int, ok bool)

// decode turns records into values. One that cannot be read spoils all: a list
// of mail exchangers with a hole in it is not the list.
func decode[T any](records []record, one decoder[T]) (values []T, size int, ok bool) {
	values = make([]T, 0, len(records))
	for _, rr := range records {
		// The wire library allows empty data for dynamic updates. Here an MX
		// without data would pass for the null MX of RFC 7505.
		if rr.Header().Rdlength == 0 {
			return nil, 0, false
		}
		value, bytes, ok := one(rr)
		if !ok {
			return nil, 0, false
		}
		values = append(values, value)
		size += bytes
	}
	return values, size, true
}

func decodeAddr(rr record) (address netip.Addr, size int, ok bool) {
	switch rr := rr.(type) {
	case *mdns.A:
		address, ok = netip.AddrFromSlice(rr.A.To4())
	case *mdns.AAAA:
		address, ok = netip.AddrFromSlice(rr.AAAA.To16())
	}
	return address, 24, ok
}

func decodeName(rr record) (name string, size int, ok bool) {
	switch rr := rr.(type) {
	case *mdns.NS:
		name = received(rr.Ns)
	case *mdns.CNAME:
		name = received(rr.Target)
	case *mdns.PTR:
		name = received(rr.Ptr)
	}
	return name, 16 + len(name), name != ""
}

// decodeTXT joins the strings of a record (RFC 7208 section 3.3, RFC 6376
// section 3.6.2.2) and takes the library's escapes off.
func decodeTXT(rr record) (text string, size int, ok bool) {
	txt, ok := rr.(*mdns.TXT)
	if !ok {
		return "", 0, false
	}
	length := 0
	for _, s := range txt.Txt {
		length += len(s)
	}
	raw := make([]byte, 0, length)
	for _, s := range txt.Txt {
		for i := 0; i < len(s); i++ {
			if s[i] != '\\' || i+1 == len(s) {
				raw = append(raw, s[i])
				continue
			}
			if i++; digit(s[i]) && i+2 < len(s) {
				raw = append(raw, (s[i]-'0')*100+(s[i+1]-'0')*10+s[i+2]-'0')
				i += 2
				continue
			}
			raw = append(raw, s[i])
		}
	}
	return string(raw), 16 + len(raw), true
}

func decodeMX(rr record) (MX, int, bool) {
	mx, ok := rr.(*mdns.MX)
	if !ok {
		return MX{}, 0, false
	}
	host := received(mx.Mx)
	if host == Root {
		host = ""
	}
	return MX{Preference: mx.Preference, Host: host}, 32 + len(host), true
}

// decodeMXs puts them in the order of preference; equal ones stay in the order
// of the answer, which servers turn around to spread the load.
func decodeMXs(records []record) (values []MX, size int, ok bool) {
	values, size, ok = decode(records, decodeMX)
	slices.SortStableFunc(values, func(a, b MX) int { return int(a.Preference) - int(b.Preference) })
	return values, size, ok
}

func decodeTLSA(rr record) (TLSA, int, bool) {
	tlsa, ok := rr.(*mdns.TLSA)
	if !ok {
		return TLSA{}, 0, false
	}
	data, err := hex.DecodeString(tlsa.Certificate)
	return TLSA{Usage: tlsa.Usage, Selector: tlsa.Selector, MatchingType: tlsa.MatchingType, Data: data},
		32 + len(data), err == nil
}

func decodeSOA(rr record) (SOA, int, bool) {
	soa, ok := rr.(*mdns.SOA)
	if !ok {
		return SOA{}, 0, false
	}
	primary, mailbox := received(soa.Ns), received(soa.Mbox)
	return SOA{
		Primary: primary, Mailbox: mailbox, Serial: soa.Serial, Refresh: soa.Refresh, Retry: soa.Retry,
		Expire: soa.Expire, Minimum: soa.Minttl,
	}, 56 + len(primary) + len(mailbox), true
}

// The decoders of all records of an answer, as ask takes them: plain functions,
// since a closure would be an allocation for each answer from the cache.

func decodeAddrs(all []record) ([]netip.Addr, int, bool) { return decode(all, decodeAddr) }

func decodeNames(all []record) ([]string, int, bool) { return decode(all, decodeName) }

func decodeTXTs(all []record) ([]string, int, bool) { return decode(all, decodeTXT) }

func decodeTLSAs(all []record) ([]TLSA, int, bool) { return decode(all, decodeTLSA) }

func decodeSOAs(all []record) ([]SOA, int, bool) { return decode(all, decodeSOA) }
