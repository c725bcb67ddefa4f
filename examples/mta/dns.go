package mta

import (
	"encoding/binary"
	"net"
	"strconv"
	"strings"
)

// The parts of RFC 1035 that a mail server's questions need.
const (
	typeA     = 1
	typeCNAME = 5
	typePTR   = 12
	typeMX    = 15
	typeTXT   = 16

	rcodeServFail = 2
	rcodeNXDomain = 3
)

// ServeDNS is a fake: it answers from zone until conn is closed. The zone has
// for each name, in lower case and without a final dot, its records as text:
// "A 192.0.2.1", "MX 10 mx.example.com", "MX 0 ." (RFC 7505), "CNAME name",
// "TXT text", "PTR name"; or the one record "SERVFAIL", as for a zone whose
// servers are broken. A name that is not in the zone does not exist.
func ServeDNS(conn net.PacketConn, zone map[string][]string) {
	buf := make([]byte, 1500)
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			return
		}
		if answer := answerDNS(buf[:n], zone); answer != nil {
			_, _ = conn.WriteTo(answer, from)
		}
	}
}

// answerDNS gives the answer to one question, nil if it is none.
func answerDNS(q []byte, zone map[string][]string) []byte {
	if len(q) < 12 || q[2]&0x80 != 0 || binary.BigEndian.Uint16(q[4:]) != 1 {
		return nil
	}
	name, end, ok := readName(q, 12)
	if !ok || len(q) < end+4 {
		return nil
	}
	kind := binary.BigEndian.Uint16(q[end:])
	// Header: same id, response, authoritative, recursion as asked and offered.
	out := append([]byte(nil), q[:end+4]...)
	out[2] = 0x84 | q[2]&0x01
	out[3] = 0x80
	clear(out[6:12])
	count := 0
	records, exists := zone[name]
	if !exists {
		out[3] |= rcodeNXDomain
	}
	for _, r := range records {
		word, data, _ := strings.Cut(r, " ")
		if word == "SERVFAIL" {
			out[3] |= rcodeServFail
			break
		}
		if k, rdata := record(word, data); rdata != nil && (k == kind || k == typeCNAME) {
			out = append(out, 0xc0, 12) // the name of the question
			out = binary.BigEndian.AppendUint16(out, k)
			out = append(out, 0, 1, 0, 0, 1, 0x2c) // IN, 300 seconds
			out = binary.BigEndian.AppendUint16(out, uint16(len(rdata)))
			out = append(out, rdata...)
			count++
		}
	}
	binary.BigEndian.PutUint16(out[6:], uint16(count))
	return out
}

func record(word, data string) (kind uint16, rdata []byte) {
	switch word {
	case "A":
		return typeA, net.ParseIP(data).To4()
	case "CNAME":
		return typeCNAME, writeName(data)
	case "PTR":
		return typePTR, writeName(data)
	case "TXT":
		if len(data) < 256 {
			return typeTXT, append([]byte{byte(len(data))}, data...)
		}
	case "MX":
		preference, host, _ := strings.Cut(data, " ")
		if n, err := strconv.ParseUint(preference, 10, 16); err == nil {
			return typeMX, append(binary.BigEndian.AppendUint16(nil, uint16(n)), writeName(host)...)
		}
	}
	return 0, nil
}

// readName reads an uncompressed name, all that a question has.
func readName(b []byte, at int) (name string, end int, ok bool) {
	var labels []string
	for at < len(b) {
		n := int(b[at])
		at++
		if n == 0 {
			return strings.ToLower(strings.Join(labels, ".")), at, true
		}
		if n > 63 || at+n > len(b) {
			break
		}
		labels = append(labels, string(b[at:at+n]))
		at += n
	}
	return "", 0, false
}

func writeName(s string) []byte {
	var b []byte
	for label := range strings.SplitSeq(strings.TrimSuffix(s, "."), ".") {
		if label != "" {
			b = append(append(b, byte(len(label))), label...)
		}
	}
	return append(b, 0)
}

// Reverse gives the zone's name for the PTR records of an IPv4 address.
func Reverse(ip string) string {
	p := strings.Split(ip, ".")
	if len(p) != 4 {
		return ""
	}
	return p[3] + "." + p[2] + "." + p[1] + "." + p[0] + ".in-addr.arpa"
}
