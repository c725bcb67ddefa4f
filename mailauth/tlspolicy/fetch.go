package tlspolicy

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/postroad/postroad/dns"
)

// FetchOptions say how policies are fetched. Zero values stand for what is
// written.
type FetchOptions struct {
	Resolver Resolver // who gives the addresses of policy hosts; needed

	// Dial connects to an address that Resolver gave, never to a name; a
	// net.Dialer. It must end when its context ends.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	// Refuse leaves out addresses of policy hosts. Strangers write them, and
	// may name what only we can reach: without a Refuse, what is no global
	// unicast address (loopback, link-local, multicast) or is private is left out.
	Refuse func(netip.Addr) bool

	Roots   *x509.CertPool // who may vouch for a policy host; the system's
	Agent   string         // User-Agent of the request; none is sent
	Timeout time.Duration  // for a whole fetch; a minute (RFC 8461 section 3.3)
}

// Bounds of one fetch beside the time and the size of the policy.
const (
	maxResponse  = 192 << 10 // all bytes of the response: header, chunk sizes, policy
	maxAddresses = 6
	maxInterim   = 5 // responses 1xx before the real one
)

// FetchSTSPolicy gets the policy of a domain over HTTPS as RFC 8461 sections 3.2
// and 3.3 want it: GET of the one well-known place, no redirect followed, no cookie,
// no proxy, the certificate proven for mta-sts.<domain>, 200 and text/plain
// only, at most 64 KiB.
//
// The error is a *Failure: sts-webpki-invalid for the certificate,
// sts-policy-invalid for the text, sts-policy-fetch-error for all else. Whoever
// sends mail asks an [STSCache], which does not ask a broken host for each
// message.
func FetchSTSPolicy(ctx context.Context, domain string, o FetchOptions) (STSPolicy, error) {
	name, ok := hostName(domain)
	if !ok {
		return STSPolicy{}, fetchFailure("no-domain", "no domain that can have a policy", nil)
	}
	if o.Resolver == nil {
		return STSPolicy{}, fetchFailure("no-resolver", "no resolver to find "+name+" with: give one in FetchOptions", nil)
	}
	standing(&o.Timeout, time.Minute)
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	body, failure := o.get(ctx, "mta-sts."+name)
	if failure != nil {
		return STSPolicy{}, failure
	}
	policy, err := ParseSTSPolicy(body)
	if err != nil {
		return STSPolicy{}, &Failure{Result: STSPolicyInvalid, Code: "policy-syntax",
			Reason: "the policy is not valid", Err: err}
	}
	return policy, nil
}

func fetchFailure(code, reason string, err error) *Failure {
	return &Failure{Result: STSPolicyFetchError, Code: code, Reason: reason, Err: err}
}

// get fetches the text from a policy host. It speaks HTTP/1.1 itself: one
// request on one connection needs no transport with its pool, its proxies and
// its goroutines, and every byte of the response is under one bound.
func (o FetchOptions) get(ctx context.Context, host string) (string, *Failure) {
	raw, failure := o.connect(ctx, host)
	if failure != nil {
		return "", failure
	}
	defer raw.Close()
	// A deadline does not hear of a context that is cancelled; closing does.
	defer context.AfterFunc(ctx, func() { raw.Close() })()

	cut := &cutConn{Conn: raw}
	conn := tls.Client(cut, &tls.Config{
		ServerName: host, // RFC 8461 section 7.1
		RootCAs:    o.Roots,
		MinVersion: tls.VersionTLS12, // RFC 8461 section 7.2
		NextProtos: []string{"http/1.1"},
	})
	if err := conn.HandshakeContext(ctx); err != nil {
		if untrusted(err) {
			return "", &Failure{Result: STSWebPKIInvalid, Code: "policy-host-certificate",
				Reason: "the certificate of " + host + " does not prove its name", Err: err}
		}
		return "", fetchFailure("policy-host-tls", "no TLS session with "+host, o.cause(ctx, err))
	}
	request := "GET /.well-known/mta-sts.txt HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\nAccept: text/plain\r\n"
	if o.Agent != "" {
		request += "User-Agent: " + o.Agent + "\r\n"
	}
	if _, err := io.WriteString(conn, request+"\r\n"); err != nil {
		return "", fetchFailure("policy-host-http", "cannot ask "+host, o.cause(ctx, err))
	}
	body, failure := readResponse(conn, host, cut)
	if failure != nil && ctx.Err() != nil {
		failure.Err = o.cause(ctx, failure.Err)
	}
	return body, failure
}

// cause names the time limit where that is what ended a connection, rather than
// what closing it looks like.
func (o FetchOptions) cause(ctx context.Context, err error) error {
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("not done within %v: %w", o.Timeout, ctx.Err())
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return err
}

// connect dials the addresses of a policy host in turn until one answers.
func (o FetchOptions) connect(ctx context.Context, host string) (net.Conn, *Failure) {
	addresses, err := o.addresses(ctx, host)
	if err != nil {
		return nil, fetchFailure("policy-host-address", "no address of "+host, err)
	}
	dial := o.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	for i, address := range addresses {
		if ctx.Err() != nil {
			break
		}
		// The time that is left is shared: one dead address must not use up all of it.
		left := o.Timeout
		if deadline, ok := ctx.Deadline(); ok {
			left = time.Until(deadline) / time.Duration(len(addresses)-i+1)
		}
		try, cancel := context.WithTimeout(ctx, left)
		var conn net.Conn
		conn, err = dial(try, "tcp", netip.AddrPortFrom(address, 443).String())
		cancel()
		if err == nil {
			return conn, nil
		}
	}
	return nil, fetchFailure("policy-host-connect", "cannot connect to "+host, o.cause(ctx, err))
}

// addresses gives where a policy host may be reached, IPv4 and IPv6 in turn.
func (o FetchOptions) addresses(ctx context.Context, host string) ([]netip.Addr, error) {
	var a, aaaa dns.Answer[netip.Addr]
	var wg sync.WaitGroup
	wg.Go(func() { aaaa = o.Resolver.AAAA(ctx, host) })
	a = o.Resolver.A(ctx, host)
	wg.Wait()
	refuse := o.Refuse
	if refuse == nil {
		refuse = func(ip netip.Addr) bool { return !ip.IsGlobalUnicast() || ip.IsPrivate() }
	}
	var all []netip.Addr
	refused := 0
	for i := range max(len(a.Records), len(aaaa.Records)) {
		for _, records := range [][]netip.Addr{a.Records, aaaa.Records} {
			switch {
			case i >= len(records):
			case refuse(records[i].Unmap()):
				refused++
			case len(all) < maxAddresses:
				all = append(all, records[i])
			}
		}
	}
	switch {
	case len(all) > 0:
		return all, nil
	case refused > 0:
		return nil, fmt.Errorf("%d address(es) that a policy host may not have", refused)
	case !a.Status.Known():
		return nil, orNoAnswer(a.Err)
	case !aaaa.Status.Known():
		return nil, orNoAnswer(aaaa.Err)
	}
	return nil, errors.New("it has none")
}

func orNoAnswer(err error) error {
	if err == nil {
		return errors.New("no answer")
	}
	return err
}

// untrusted reports whether a handshake failed because of what the certificate
// says, and not because of the connection.
func untrusted(err error) bool {
	var verification *tls.CertificateVerificationError
	return errors.As(err, &verification)
}

// cutConn remembers whether the other side closed the connection below TLS.
// crypto/tls takes that for an end like any other where it comes between two
// records, so anybody on the way could make one.
type cutConn struct {
	net.Conn
	ended bool
}

func (c *cutConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.ended = c.ended || err != nil
	return n, err
}

// readResponse reads the response to the request. What closes the connection
// early is an error: half a policy is another policy. That goes for a body
// without length too, whose end TLS must have said (RFC 9112 section 9.8).
func readResponse(conn io.Reader, host string, cut *cutConn) (string, *Failure) {
	limited := &io.LimitedReader{R: conn, N: maxResponse}
	reader := bufio.NewReader(limited)
	response, err := http.ReadResponse(reader, nil)
	for i := 0; err == nil && response.StatusCode/100 == 1 && i < maxInterim; i++ {
		response, err = http.ReadResponse(reader, nil)
	}
	if err != nil {
		if limited.N <= 0 {
			err = fmt.Errorf("header longer than %d KiB", maxResponse>>10)
		}
		return "", fetchFailure("policy-host-http", "no HTTP response from "+host, err)
	}
	defer response.Body.Close()
	// Neither another success nor a redirect counts (RFC 8461 section 3.3): the
	// certificate has proven this place and no other.
	if response.StatusCode != http.StatusOK {
		return "", fetchFailure("policy-http-"+strconv.Itoa(response.StatusCode),
			host+" answers "+strconv.Itoa(response.StatusCode)+", not 200", nil)
	}
	// The type guards against what strangers may put on a web server; its
	// parameters mean nothing (RFC 8461 section 3.2).
	media, _, err := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if err != nil && media == "" || media != "text/plain" {
		return "", fetchFailure("policy-media-type",
			fmt.Sprintf("the policy of %s is %q, not text/plain", host, clip(response.Header.Get("Content-Type"))), nil)
	}
	if coding := response.Header.Get("Content-Encoding"); coding != "" && coding != "identity" {
		return "", fetchFailure("policy-encoding", fmt.Sprintf("the policy of %s is encoded: %q", host, clip(coding)), nil)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxPolicy+1))
	switch {
	case len(body) > maxPolicy || limited.N <= 0:
		return "", fetchFailure("policy-too-long", "the policy of "+host+" is longer than 64 KiB", nil)
	case err != nil:
		return "", fetchFailure("policy-host-http", "the policy of "+host+" ends early", err)
	case response.ContentLength < 0 && len(response.TransferEncoding) == 0 && cut.ended:
		return "", fetchFailure("policy-host-http", "the policy of "+host+" ends early",
			errors.New("the connection was closed without an end of TLS"))
	}
	return string(body), nil
}
