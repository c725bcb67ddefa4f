package smtp

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/postroad/postroad/mail"
)

// Auth proves who we are, RFC 4954. The mechanism must be offered, and one that shows the
// secret needs TLS (or ClientOptions.AuthClear): ErrNotOffered, ErrAuthClear. A refusal is an
// error with the reply and leaves the session usable.
func (c *Client) Auth(ctx context.Context, m Mechanism) error {
	offered := slices.Contains(c.extensions.Auth(), m.Name())
	switch {
	case c.broken != nil:
		return c.lost(mail.StageAuth)
	case !offered:
		return &Error{Stage: mail.StageAuth, Err: fmt.Errorf("AUTH %s is %w", m.Name(), ErrNotOffered)}
	case m.ShowsSecret() && c.tls == nil && !c.o.AuthClear:
		return &Error{Stage: mail.StageAuth, Err: ErrAuthClear}
	}
	initial, err := m.Start(c.TLS())
	if err != nil {
		return &Error{Stage: mail.StageAuth, Err: err}
	}
	line := "AUTH " + m.Name()
	if initial != nil {
		word := encodeAuth(initial)
		if word == "" {
			word = "="
		}
		// RFC 4954 section 4: what does not fit into a command line waits for a challenge.
		if len(line)+1+len(word) <= 510 {
			line, initial = line+" "+word, nil
		}
	}
	r, err := c.command(ctx, mail.StageAuth, line)
	for round := 0; err == nil && r.Code == 334; round++ {
		var response []byte
		if round == authRounds {
			return c.giveUp(ctx, fmt.Errorf("%w: challenges without end", ErrAuth))
		}
		if response, err = answer(m, initial, r); err != nil {
			return c.giveUp(ctx, err)
		}
		initial = nil
		r, err = c.command(ctx, mail.StageAuth, encodeAuth(response))
	}
	if err != nil {
		return err
	}
	accepted := r.Code/100 == 2
	err = m.End(accepted)
	switch {
	case accepted && err != nil: // whoever this is, it is not the server that knows us
		return c.over(&Error{Stage: mail.StageAuth, Reply: r, Err: err})
	case accepted:
		return nil
	}
	e := c.verdict(mail.StageAuth, r)
	if e.Err == nil {
		e.Err = err
	}
	return e
}

// answer gives the response to a challenge: the initial one if it waited for it.
func answer(m Mechanism, initial []byte, r mail.Reply) ([]byte, error) {
	if initial != nil {
		return initial, nil
	}
	challenge, err := decodeAuth([]byte(r.Text()))
	if _, ok := m.(lenient); err != nil && !ok {
		return nil, fmt.Errorf("read challenge: %w", err)
	}
	return m.Next(challenge)
}

// giveUp ends an exchange that goes wrong, RFC 4954 section 4: "*", to which the server
// says 501.
func (c *Client) giveUp(ctx context.Context, why error) error {
	r, err := c.command(ctx, mail.StageAuth, "*")
	if err == nil && r.Code/100 == 5 {
		return &Error{Stage: mail.StageAuth, Err: why}
	}
	return c.over(&Error{Stage: mail.StageAuth, Reply: r, Err: errors.Join(why, err)})
}

// XClient tells a server that trusts us who the client is for whom we speak (Postfix's
// XCLIENT_README). attributes have NAME, ADDR, PORT, PROTO, HELO, LOGIN, DESTADDR, DESTPORT;
// those that the server does not offer are left out. An IPv6 address gets its prefix.
// The session begins anew: say Hello again.
func (c *Client) XClient(ctx context.Context, attributes map[string]string) error {
	offered := c.extensions.XClient()
	if !c.extensions.Has("XCLIENT") {
		return &Error{Stage: mail.StageEHLO, Err: fmt.Errorf("XCLIENT is %w", ErrNotOffered)}
	}
	line := []byte("XCLIENT")
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		value := attributes[name]
		if !isKeyword(name) || value == "" || !isText(value) {
			return &Error{Stage: mail.StageEHLO, Err: argument("XCLIENT "+printable([]byte(name)), value)}
		}
		if !slices.Contains(offered, strings.ToUpper(name)) {
			continue
		}
		if a, err := netip.ParseAddr(value); err == nil && a.Is6() && strings.HasSuffix(strings.ToUpper(name), "ADDR") {
			value = "IPV6:" + value
		}
		line = appendXtext(append(append(append(line, ' '), strings.ToUpper(name)...), '='), value)
	}
	if len(line) > 510 {
		return &Error{Stage: mail.StageEHLO, Err: argument("XCLIENT", string(line))}
	}
	r, err := c.command(ctx, mail.StageEHLO, string(line))
	if err != nil {
		return err
	}
	if r.Code != 220 {
		return c.verdict(mail.StageEHLO, r)
	}
	c.hello, c.extensions, c.offered = false, nil, nil
	return nil
}

// ProxyHeader says, before all else, from where the client comes for whom we speak and to
// where it had connected: the PROXY protocol, version 1 (text) or 2 (binary), as
// HAProxy describes it. Addresses that are not of one family are UNKNOWN. There is no answer
// to it: Greet comes next.
func (c *Client) ProxyHeader(ctx context.Context, version int, source, destination netip.AddrPort) error {
	if c.broken != nil {
		return c.lost(mail.StageConnect)
	}
	header, err := AppendProxyHeader(nil, version, source, destination)
	if err != nil {
		return &Error{Stage: mail.StageConnect, Err: err}
	}
	release := c.wire.Bind(ctx)
	defer release()
	c.wire.SetWriteTimeout(c.o.Timeouts.EHLO)
	_, err = c.wire.Write(header)
	if err = errors.Join(err, c.wire.Flush()); err != nil {
		return c.over(&Error{Stage: mail.StageConnect, Err: err})
	}
	c.wire.Transcript().Note(fmt.Sprintf("PROXY version %d from %s to %s", version, source, destination))
	return nil
}

// AppendProxyHeader appends a PROXY header, see [Client.ProxyHeader].
func AppendProxyHeader(dst []byte, version int, source, destination netip.AddrPort) ([]byte, error) {
	from, to := source.Addr().Unmap().WithZone(""), destination.Addr().Unmap().WithZone("")
	known := from.IsValid() && to.IsValid() && from.Is4() == to.Is4()
	switch {
	case version == 1 && !known:
		return append(dst, "PROXY UNKNOWN\r\n"...), nil
	case version == 1:
		family := "TCP6"
		if from.Is4() {
			family = "TCP4"
		}
		return fmt.Appendf(dst, "PROXY %s %s %s %d %d\r\n", family, from, to, source.Port(), destination.Port()), nil
	case version != 2:
		return dst, fmt.Errorf("%w: PROXY version %d", ErrArgument, version)
	}
	dst = append(append(dst, proxySignature...), 0x21) // version 2, PROXY
	if !known {
		return append(dst, 0x00, 0, 0), nil
	}
	family := byte(0x21) // IPv6, stream
	if from.Is4() {
		family = 0x11
	}
	addresses := append(from.AsSlice(), to.AsSlice()...)
	dst = append(dst, family)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(addresses)+4))
	dst = append(dst, addresses...)
	dst = binary.BigEndian.AppendUint16(dst, source.Port())
	return binary.BigEndian.AppendUint16(dst, destination.Port()), nil
}
