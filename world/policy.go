package world

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"io"
	"log"
	"net/http"
	"strings"
	"time"

	"github.com/postroad/postroad/mail"
)

// policyPath is that of RFC 8461 section 3.3.
const policyPath = "/.well-known/mta-sts.txt"

// policyText is the policy as RFC 8461 section 3.2 writes it.
func (p *Provider) policyText(s *STS) string {
	mx := s.MX
	if len(mx) == 0 {
		for _, h := range p.Hosts {
			mx = append(mx, h.Name)
		}
	}
	var b strings.Builder
	b.WriteString("version: STSv1\r\nmode: " + s.Mode + "\r\n")
	for _, m := range mx {
		b.WriteString("mx: " + m + "\r\n")
	}
	fmt.Fprintf(&b, "max_age: %d\r\n", int(time.Duration(s.MaxAge).Seconds()))
	return b.String()
}

// policyID changes with the policy.
func (p *Provider) policyID(s *STS) string {
	sum := sha256.Sum256([]byte(p.policyText(s) + s.Trouble))
	return hex.EncodeToString(sum[:8])
}

// policyServer serves the policies of all domains.
func (w *World) policyServer() *http.Server {
	return &http.Server{
		Handler:           http.HandlerFunc(w.servePolicy),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       10 * time.Second,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          log.New(io.Discard, "", 0), // what clients do wrong is in the events
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12,
			GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
				kind := certRight
				if p, s := w.policyOf(hello.ServerName); s != nil {
					switch s.Trouble {
					case certExpired, certWrongName, certUntrusted: // who looks at certificates will not get further
						kind = s.Trouble
						w.ledger.record(Event{Time: w.clock.Now(), Kind: Policy, Provider: p.ID, Host: mail.NormalDomain(hello.ServerName),
							Source: w.peer(hello.Conn.RemoteAddr().String()), Stage: mail.StageTLS, Text: s.Mode, Reason: s.Trouble})
					}
				}
				return w.authority.config(mail.NormalDomain(hello.ServerName), kind)
			}},
	}
}

// policyOf finds who answers for "mta-sts.example".
func (w *World) policyOf(host string) (*Provider, *STS) {
	domain, ok := strings.CutPrefix(mail.NormalDomain(host), "mta-sts.")
	if !ok {
		return nil, nil
	}
	for i := range w.scenario.Providers {
		if p := &w.scenario.Providers[i]; contains(p.Domains, domain) {
			return p, p.sts(w.clock.Start(), w.clock.Now())
		}
	}
	return nil, nil
}

func (w *World) servePolicy(out http.ResponseWriter, r *http.Request) {
	host, _, _ := strings.Cut(r.Host, ":")
	p, s := w.policyOf(host)
	e := Event{Time: w.clock.Now(), Kind: Policy, Host: mail.NormalDomain(host), Code: http.StatusOK, Source: w.peer(r.RemoteAddr)}
	if p == nil || s == nil || r.URL.Path != policyPath || r.Method != http.MethodGet {
		e.Code = http.StatusNotFound
		w.ledger.record(e)
		http.NotFound(out, r)
		return
	}
	e.Provider, e.Reason, e.Text = p.ID, s.Trouble, s.Mode
	text := p.policyText(s)
	out.Header().Set("Content-Type", "text/plain; charset=utf-8")
	switch s.Trouble {
	case "404":
		e.Code, text = http.StatusNotFound, "no policy\n"
	case "500":
		e.Code, text = http.StatusInternalServerError, "trouble\n"
	case "redirect":
		out.Header().Set("Location", "https://"+host+policyPath+"?again")
		e.Code, text = http.StatusFound, ""
	case "wrong-type":
		out.Header().Set("Content-Type", "text/html")
	case "garbage":
		text = "<html><body>Welcome to nginx</body></html>\n"
	case "too-large": // RFC 8461 section 3.3 lets a sender stop at 64 KiB
		text += strings.Repeat("x-padding: "+strings.Repeat("x", 88)+"\r\n", 700)
	}
	w.ledger.record(e)
	out.WriteHeader(e.Code)
	switch s.Trouble {
	case "slow":
		w.drip(out, r, text)
	case "cut":
		_, _ = io.WriteString(out, text[:len(text)/2])
		_ = http.NewResponseController(out).Flush()
		panic(http.ErrAbortHandler) // what net/http offers to end a response in the middle
	default:
		_, _ = io.WriteString(out, text)
	}
}

// drip sends a byte a second.
func (w *World) drip(out http.ResponseWriter, r *http.Request, text string) {
	for i := range len(text) {
		if _, err := out.Write([]byte{text[i]}); err != nil || http.NewResponseController(out).Flush() != nil {
			return
		}
		if w.clock.Sleep(r.Context(), time.Second) != nil {
			return
		}
	}
}
