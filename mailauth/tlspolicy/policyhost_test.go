package tlspolicy

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"
)

// policyHost is a web server over a line in memory: real TLS, and a response byte by byte
// as the test wants it.
type policyHost struct {
	t       testing.TB
	config  *tls.Config
	respond func(conn net.Conn, n int) // n: which request it is, from 0
	wg      sync.WaitGroup

	mu       sync.Mutex
	dialled  []string
	requests []string // "GET /.well-known/mta-sts.txt host=... sni=... cookies=0"
}

func (h *policyHost) dial(ctx context.Context, _, address string) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	client, server := line()
	h.mu.Lock()
	h.dialled = append(h.dialled, address)
	h.mu.Unlock()
	h.wg.Go(func() { h.serve(server) })
	return client, nil
}

func (h *policyHost) serve(raw net.Conn) {
	defer raw.Close()
	conn := tls.Server(raw, h.config)
	if conn.Handshake() != nil {
		return
	}
	request, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		return
	}
	h.mu.Lock()
	n := len(h.requests)
	h.requests = append(h.requests, fmt.Sprintf("%s %s host=%s sni=%s cookies=%d", request.Method, request.RequestURI,
		request.Host, conn.ConnectionState().ServerName, len(request.Cookies())))
	h.mu.Unlock()
	h.respond(conn, n)
	conn.Close()
}

func (h *policyHost) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.requests)
}

// says makes a policy host that gives one response each time.
func says(t testing.TB, response string, chain ...string) *policyHost {
	if len(chain) == 0 {
		chain = []string{"policyhost", "inter"}
	}
	return &policyHost{t: t, config: certificates().server(t, chain...),
		respond: func(conn net.Conn, _ int) { conn.Write([]byte(response)) }}
}

// ok is a plain response with a policy.
func ok(policy string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s", len(policy), policy)
}

func (h *policyHost) options(t testing.TB, r Resolver) FetchOptions {
	return FetchOptions{Resolver: r, Dial: h.dial, Roots: certificates().roots(t, "root"), Agent: "test"}
}
