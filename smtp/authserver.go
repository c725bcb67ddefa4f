package smtp

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"strings"
)

// A serverAuth is the server side of one AUTH. It only takes apart what the client
// says: whether that suffices is for the handler to say.
type serverAuth interface {
	// next takes a response, nil where none was given with AUTH, and gives the challenge
	// that goes out next (it may be empty). done: the credentials are complete. An error
	// wraps ErrAuth and ends the exchange with 501 or 535.
	next(response []byte) (challenge []byte, done bool, err error)
	// credentials are valid once next said done.
	credentials() Credentials
	// verdict gives a challenge that goes out after the handler's decision and before the
	// reply that says it; the client's response to it does not matter. nil: none.
	verdict(accepted bool) []byte
}

// authMechanisms are those that a server can offer.
var authMechanisms = [...]string{"SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "OAUTHBEARER", "XOAUTH2", "PLAIN", "LOGIN", "CRAM-MD5"}

// showsPassword says whether a client of the mechanism shows its secret. A name that is not known does.
func showsPassword(mechanism string) bool {
	switch strings.ToUpper(mechanism) {
	case "SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "CRAM-MD5":
		return false
	}
	return true
}

// newServerAuth begins with a client that has named a mechanism; false if there is none of this
// name, or if it cannot be had on this connection. plus says that SCRAM-SHA-256-PLUS
// was offered.
func newServerAuth(mechanism, host string, state *tls.ConnectionState, plus bool) (serverAuth, bool) {
	switch strings.ToUpper(mechanism) {
	case "PLAIN":
		return &plainExchange{}, true
	case "LOGIN":
		return &loginExchange{}, true
	case "XOAUTH2":
		return &oauthExchange{mechanism: "XOAUTH2"}, true
	case "OAUTHBEARER":
		return &oauthExchange{mechanism: "OAUTHBEARER"}, true
	case "CRAM-MD5":
		return &cramExchange{challenge: []byte("<" + rand.Text() + "@" + host + ">")}, true
	case "SCRAM-SHA-256":
		return &scramExchange{nonce: rand.Text(), salt: randomSalt(), plus: plus}, true
	case "SCRAM-SHA-256-PLUS":
		if binding, err := channelBinding(state); err == nil {
			return &scramExchange{nonce: rand.Text(), salt: randomSalt(), binding: binding, plus: true}, true
		}
	}
	return nil, false
}

// noVerdict is for mechanisms in which the server says nothing after its decision.
type noVerdict struct{}

func (noVerdict) verdict(bool) []byte { return nil }

type plainExchange struct {
	noVerdict
	c Credentials
}

func (x *plainExchange) credentials() Credentials { return x.c }

func (x *plainExchange) next(response []byte) ([]byte, bool, error) {
	if response == nil {
		return []byte{}, false, nil
	}
	parts := strings.Split(string(response), "\x00")
	if len(parts) != 3 || parts[1] == "" || !isSecret(strings.Join(parts, "")) {
		return nil, false, fmt.Errorf("%w: PLAIN has an identity, a user and a password", ErrAuth)
	}
	x.c = Credentials{Mechanism: "PLAIN", Identity: parts[0], User: parts[1], Password: parts[2]}
	return nil, true, nil
}

type loginExchange struct {
	noVerdict
	c     Credentials
	named bool
}

func (x *loginExchange) credentials() Credentials { return x.c }

func (x *loginExchange) next(response []byte) ([]byte, bool, error) {
	switch {
	case response == nil:
		return []byte("Username:"), false, nil
	case !isSecret(string(response)):
		return nil, false, fmt.Errorf("%w: NUL or no UTF-8 in LOGIN", ErrAuth)
	case !x.named && len(response) == 0:
		return nil, false, fmt.Errorf("%w: LOGIN without a user", ErrAuth)
	case !x.named:
		x.named = true
		x.c = Credentials{Mechanism: "LOGIN", User: string(response)}
		return []byte("Password:"), false, nil
	}
	x.c.Password = string(response)
	return nil, true, nil
}

// oauthExchange reads both forms of bearer tokens: RFC 7628 section 3.1, and
// Google's, which is the same without a GS2 header and with the user as a key.
type oauthExchange struct {
	mechanism string
	c         Credentials
}

func (x *oauthExchange) credentials() Credentials { return x.c }

// verdict says why, as RFC 7628 section 3.2.2 asks.
func (x *oauthExchange) verdict(accepted bool) []byte {
	if accepted {
		return nil
	}
	return []byte(`{"status":"invalid_token"}`)
}

func (x *oauthExchange) next(response []byte) ([]byte, bool, error) {
	if response == nil {
		return []byte{}, false, nil
	}
	x.c = Credentials{Mechanism: x.mechanism}
	if x.parse(string(response)) {
		return nil, true, nil
	}
	return nil, false, fmt.Errorf("%w: %s has a user and a bearer token", ErrAuth, x.mechanism)
}

func (x *oauthExchange) parse(s string) bool {
	if x.mechanism == "OAUTHBEARER" {
		flag, rest, _ := strings.Cut(s, ",")
		name, rest, ok := strings.Cut(rest, ",")
		if !ok || flag != "n" && flag != "y" {
			return false
		}
		if name != "" { // it may be in the token alone
			escaped, isName := strings.CutPrefix(name, "a=")
			user, valid := parseSASLName(escaped)
			if !isName || !valid {
				return false
			}
			x.c.User = user
		}
		if s, ok = strings.CutPrefix(rest, "\x01"); !ok {
			return false
		}
	}
	s, ok := strings.CutSuffix(s, "\x01\x01")
	if !ok || !isSecret(s) {
		return false
	}
	for pair := range strings.SplitSeq(s, "\x01") {
		key, value, ok := strings.Cut(pair, "=")
		switch {
		case !ok:
			return false
		case key == "user" && x.mechanism == "XOAUTH2":
			if x.c.User != "" || value == "" {
				return false
			}
			x.c.User = value
		case key == "auth":
			scheme, token, _ := strings.Cut(value, " ")
			if x.c.Token != "" || !strings.EqualFold(scheme, "Bearer") || !isToken(token) {
				return false
			}
			x.c.Token = token
		}
	}
	return x.c.Token != "" && (x.c.User != "" || x.mechanism == "OAUTHBEARER")
}

// cramExchange is RFC 2195.
type cramExchange struct {
	noVerdict
	challenge []byte
	c         Credentials
}

func (x *cramExchange) credentials() Credentials { return x.c }

func (x *cramExchange) next(response []byte) ([]byte, bool, error) {
	if response == nil {
		return x.challenge, false, nil
	}
	i := bytes.LastIndexByte(response, ' ') // a user name may have spaces
	if i < 1 || !isSecret(string(response[:i])) {
		return nil, false, fmt.Errorf("%w: CRAM-MD5 has a user and a digest", ErrAuth)
	}
	digest, err := hex.DecodeString(string(response[i+1:]))
	if err != nil || len(digest) != 16 {
		return nil, false, fmt.Errorf("%w: CRAM-MD5 has a digest of 32 hex digits", ErrAuth)
	}
	x.c = Credentials{Mechanism: "CRAM-MD5", User: string(response[:i]), Verify: func(password string) bool {
		return hmac.Equal(digest, cramDigest(password, x.challenge))
	}}
	return nil, true, nil
}
