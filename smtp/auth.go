package smtp

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5" //nolint:gosec // CRAM-MD5 is made of it, RFC 2195
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// What goes wrong with AUTH beside the peer's "no".
var (
	// ErrAuth is an exchange that does not follow its mechanism, or a server that does
	// not prove what the mechanism lets it prove.
	ErrAuth = errors.New("AUTH exchange is not as it should be")
	// ErrAuthClear is a mechanism that shows the secret on a connection without TLS.
	ErrAuthClear = errors.New("the mechanism shows the secret and the connection is not encrypted")
	// errAuthCancelled is "*" in place of a response, RFC 4954 section 4.
	errAuthCancelled = errors.New("AUTH given up by the client")
)

// maxAuthLine bounds a challenge or response with its CRLF, RFC 4954 section 4.
const maxAuthLine = 12288

// A Mechanism is the client side of one SASL exchange (RFC 4422). It is used once.
type Mechanism interface {
	// Name as it stands in EHLO, "PLAIN".
	Name() string
	// ShowsSecret says that a listener, or a peer that is not who we think, learns the
	// password or token.
	ShowsSecret() bool
	// Start gives the initial response, nil if the server speaks first. tls is the
	// connection's state, nil in clear.
	Start(tls *tls.ConnectionState) (initial []byte, err error)
	// Next answers a challenge.
	Next(challenge []byte) (response []byte, err error)
	// End comes when the server has decided. It says what is known beyond the reply: why
	// it refused, or that it did not prove to know the secret itself.
	End(accepted bool) error
}

// lenient are mechanisms whose challenges say nothing, so that one which is not base64
// ("334 Username:") does not matter.
type lenient interface{ lenient() }

// PlainAuth is PLAIN, RFC 4616. identity is whom to act for, "" for user.
func PlainAuth(identity, user, password string) Mechanism {
	return &plainAuth{identity: identity, user: user, password: password}
}

type plainAuth struct{ identity, user, password string }

func (a *plainAuth) Name() string      { return "PLAIN" }
func (a *plainAuth) ShowsSecret() bool { return true }
func (a *plainAuth) End(bool) error    { return nil }
func (a *plainAuth) lenient()          {}

func (a *plainAuth) Start(*tls.ConnectionState) ([]byte, error) {
	if a.user == "" || strings.Contains(a.identity+a.user+a.password, "\x00") {
		return nil, fmt.Errorf("%w: a user name is needed, and neither it nor the password may hold NUL", ErrAuth)
	}
	return []byte(a.identity + "\x00" + a.user + "\x00" + a.password), nil
}

func (a *plainAuth) Next([]byte) ([]byte, error) {
	return nil, fmt.Errorf("%w: a second challenge", ErrAuth)
}

// LoginAuth is LOGIN, which no standard describes (draft-murchison-sasl-login). The
// first challenge asks for the user and the second for the password, whatever they say.
func LoginAuth(user, password string) Mechanism {
	return &loginAuth{answers: []string{user, password}}
}

type loginAuth struct {
	answers []string
	given   int
}

func (a *loginAuth) Name() string      { return "LOGIN" }
func (a *loginAuth) ShowsSecret() bool { return true }
func (a *loginAuth) End(bool) error    { return nil }
func (a *loginAuth) lenient()          {}

func (a *loginAuth) Start(*tls.ConnectionState) ([]byte, error) {
	a.given = 0
	return nil, nil
}

func (a *loginAuth) Next([]byte) ([]byte, error) {
	if a.given == len(a.answers) {
		return nil, fmt.Errorf("%w: a third challenge", ErrAuth)
	}
	a.given++
	return []byte(a.answers[a.given-1]), nil
}

// CRAMMD5Auth is CRAM-MD5, RFC 2195: for servers that have nothing better.
func CRAMMD5Auth(user, password string) Mechanism { return &cramMD5{user: user, password: password} }

type cramMD5 struct {
	user, password string
	answered       bool
}

func (a *cramMD5) Name() string      { return "CRAM-MD5" }
func (a *cramMD5) ShowsSecret() bool { return false }
func (a *cramMD5) End(bool) error    { return nil }

func (a *cramMD5) Start(*tls.ConnectionState) ([]byte, error) {
	a.answered = false
	return nil, nil
}

// Next answers one challenge, RFC 2195 section 2: each answer more is one more digest of the
// password under a text that the server chose.
func (a *cramMD5) Next(challenge []byte) ([]byte, error) {
	switch {
	case len(challenge) == 0:
		return nil, fmt.Errorf("%w: an empty challenge", ErrAuth)
	case a.answered:
		return nil, fmt.Errorf("%w: a second challenge", ErrAuth)
	}
	a.answered = true
	return []byte(a.user + " " + hex.EncodeToString(cramDigest(a.password, challenge))), nil
}

func cramDigest(password string, challenge []byte) []byte {
	m := hmac.New(md5.New, []byte(password))
	m.Write(challenge)
	return m.Sum(nil)
}

// XOAuth2 is Google's and Microsoft's own form of bearer tokens, XOAUTH2.
func XOAuth2(user, token string) Mechanism {
	return &oauth{name: "XOAUTH2", token: token, first: "user=" + user + "\x01auth=Bearer " + token + "\x01\x01", user: user}
}

// OAuthBearer is OAUTHBEARER, RFC 7628. host and port are those of the server; "" and
// 0 leave them out.
func OAuthBearer(user, token, host string, port uint16) Mechanism {
	first := "n,a=" + saslName(user) + ",\x01"
	if host != "" {
		first += "host=" + host + "\x01"
	}
	if port != 0 {
		first += fmt.Sprintf("port=%d\x01", port)
	}
	return &oauth{name: "OAUTHBEARER", token: token, first: first + "auth=Bearer " + token + "\x01\x01", user: user,
		acknowledge: "\x01"}
}

type oauth struct {
	name, user, token string
	first             string
	acknowledge       string // of the error, after which the server says its 535
	status            string
}

func (a *oauth) Name() string      { return a.name }
func (a *oauth) ShowsSecret() bool { return true }

func (a *oauth) Start(*tls.ConnectionState) ([]byte, error) {
	if strings.ContainsAny(a.user, "\x00\x01") || !isToken(a.token) {
		return nil, fmt.Errorf("%w: user or token with a character that may not stand there", ErrAuth)
	}
	return []byte(a.first), nil
}

// isToken tells a bearer token, RFC 6750 section 2.1 (b64token).
func isToken(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~+/=") == ""
}

// Next takes the reason of a refusal. The exchange goes on with an answer without
// content, else the server waits and its 535 never comes.
func (a *oauth) Next(challenge []byte) ([]byte, error) {
	if a.status != "" {
		return nil, fmt.Errorf("%w: a second challenge", ErrAuth)
	}
	var reason struct {
		Status string `json:"status"`
	}
	if json.Unmarshal(challenge, &reason) != nil || reason.Status == "" {
		reason.Status = "not said"
	}
	a.status = printable([]byte(reason.Status))
	return []byte(a.acknowledge), nil
}

func (a *oauth) End(accepted bool) error {
	if accepted || a.status == "" {
		return nil
	}
	return fmt.Errorf("the server's reason for refusing the token: %s", a.status)
}

// saslName writes a user name as RFC 5801 and RFC 5802 have it.
func saslName(s string) string { return strings.NewReplacer("=", "=3D", ",", "=2C").Replace(s) }

func parseSASLName(s string) (string, bool) {
	name := strings.NewReplacer("=3D", "=", "=2C", ",").Replace(s)
	return name, strings.Count(s, "=") == strings.Count(s, "=3D")+strings.Count(s, "=2C") && name != "" && isText(name)
}

// encodeAuth gives a challenge or response as it stands on its line.
func encodeAuth(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// strictBase64 has no room for a second spelling of the same octets.
var strictBase64 = base64.StdEncoding.Strict()

// decodeAuth reads a challenge or response. "*" is errAuthCancelled.
func decodeAuth(line []byte) ([]byte, error) {
	if len(line) > maxAuthLine-2 {
		return nil, fmt.Errorf("%w: %d octets", ErrAuth, len(line))
	}
	if string(line) == "*" {
		return nil, errAuthCancelled
	}
	if bytes.ContainsAny(line, "\r\n") { // which package base64 would skip
		return nil, fmt.Errorf("%w: a line break in base64", ErrAuth)
	}
	b, err := strictBase64.AppendDecode(make([]byte, 0, len(line)), line)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAuth, err)
	}
	return b, nil
}

// decodeInitial reads the initial response of the AUTH command: "=" is one without
// octets, RFC 4954 section 4.
func decodeInitial(word string) ([]byte, error) {
	if word == "=" {
		return []byte{}, nil
	}
	return decodeAuth([]byte(word))
}

// isSecret tells what may be a user name or password: UTF-8 without NUL.
func isSecret(s string) bool { return utf8.ValidString(s) && !strings.Contains(s, "\x00") }
