package smtp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// ErrProxy is a connection that has no PROXY header where one must be.
var ErrProxy = errors.New("no PROXY header")

// Proxied is what a PROXY header says (haproxy.org, proxy-protocol.txt, versions 1 and 2):
// who connected to the proxy, and where.
type Proxied struct {
	Source, Destination netip.AddrPort
	// Own says that the proxy speaks for itself (LOCAL, a health check), or for somebody
	// whose address it does not know (UNKNOWN): the connection's own addresses hold.
	Own bool
}

const (
	proxyLine   = 107     // of version 1, with CRLF
	proxyHeader = 4 << 10 // of version 2, with what follows the addresses
)

var proxySignature = []byte("\r\n\r\n\x00\r\nQUIT\n")

// readProxy takes the header from the start of a connection.
func readProxy(w *Wire) (Proxied, error) {
	head, err := w.peek(1)
	if err != nil {
		return Proxied{}, fmt.Errorf("read PROXY header: %w", eofIsUnexpected(err))
	}
	if head[0] != proxySignature[0] {
		line, err := w.ReadLine(proxyLine)
		if err != nil {
			return Proxied{}, fmt.Errorf("%w: %w", ErrProxy, eofIsUnexpected(err))
		}
		return parseProxyLine(string(line))
	}
	const fixed = 16
	if head, err = w.peek(fixed); err == nil && bytes.HasPrefix(head, proxySignature) {
		if n := fixed + int(binary.BigEndian.Uint16(head[14:])); n <= proxyHeader {
			head, err = w.peek(n)
		}
	}
	if err != nil {
		return Proxied{}, fmt.Errorf("read PROXY header: %w", eofIsUnexpected(err))
	}
	p, n, err := parseProxyHeader(head)
	w.from += n
	w.transcript.Note(fmt.Sprintf("PROXY %s to %s", p.Source, p.Destination))
	return p, err
}

// parseProxyLine reads version 1, without CRLF: "PROXY TCP4 source destination
// port port".
func parseProxyLine(line string) (Proxied, error) {
	words := strings.Split(line, " ")
	if len(words) < 2 || words[0] != "PROXY" {
		return Proxied{}, ErrProxy
	}
	if words[1] == "UNKNOWN" { // what follows is to be ignored
		return Proxied{Own: true}, nil
	}
	if len(words) != 6 || words[1] != "TCP4" && words[1] != "TCP6" {
		return Proxied{}, fmt.Errorf("%w: not of the form PROXY TCP4 source destination port port", ErrProxy)
	}
	var p Proxied
	for i, to := range [...]*netip.AddrPort{&p.Source, &p.Destination} {
		ip, err := netip.ParseAddr(words[2+i])
		port, ok := parsePort(words[4+i])
		if err != nil || !ok || ip.Zone() != "" || ip.Is4() != (words[1] == "TCP4") {
			return Proxied{}, fmt.Errorf("%w: bad address or port", ErrProxy)
		}
		*to = netip.AddrPortFrom(ip.Unmap(), port)
	}
	return p, nil
}

// parsePort reads a port without leading zeros or sign.
func parsePort(s string) (uint16, bool) {
	n, err := strconv.ParseUint(s, 10, 16)
	return uint16(n), err == nil && strconv.FormatUint(n, 10) == s
}

// parseProxyHeader reads version 2 at the start of b and gives its length. The
// vectors behind the addresses (TLVs) are skipped.
func parseProxyHeader(b []byte) (p Proxied, n int, err error) {
	bad := func(why string) (Proxied, int, error) { return Proxied{}, 0, fmt.Errorf("%w: %s", ErrProxy, why) }
	if len(b) < 16 || !bytes.HasPrefix(b, proxySignature) {
		return bad("no signature")
	}
	n = 16 + int(binary.BigEndian.Uint16(b[14:]))
	if n > len(b) {
		return bad("too long")
	}
	body := b[16:n]
	switch b[12] {
	case 0x20: // LOCAL
		return Proxied{Own: true}, n, nil
	case 0x21: // PROXY
	default:
		return bad("not version 2")
	}
	size := 4
	switch b[13] {
	case 0x11: // TCP over IPv4
	case 0x21: // TCP over IPv6
		size = 16
	case 0x00:
		return Proxied{Own: true}, n, nil
	default:
		return bad("not TCP")
	}
	if len(body) < 2*size+4 {
		return bad("too short")
	}
	ports := body[2*size:]
	source, _ := netip.AddrFromSlice(body[:size])
	destination, _ := netip.AddrFromSlice(body[size : 2*size])
	p.Source = netip.AddrPortFrom(source.Unmap(), binary.BigEndian.Uint16(ports))
	p.Destination = netip.AddrPortFrom(destination.Unmap(), binary.BigEndian.Uint16(ports[2:]))
	return p, n, nil
}
