package smtp

import (
	"bytes"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/text/unicode/norm"
)

const (
	scramRounds    = 4096   // what we ask for as a server, RFC 7677 section 4
	scramMaxRounds = 600000 // what a server may ask of us: each costs time before anybody has proved anything
	scramNonce     = 256    // octets of a nonce at most
)

// scramKeys are what both sides know of the password.
type scramKeys struct{ client, stored, server []byte }

func scramKeysOf(password string, salt []byte, rounds int) (scramKeys, error) {
	// RFC 5802 section 2.2 prepares by SASLprep; its normal form is what makes a difference
	// between keyboards.
	salted, err := pbkdf2.Key(sha256.New, norm.NFKC.String(password), salt, rounds, sha256.Size)
	if err != nil {
		return scramKeys{}, fmt.Errorf("derive the key: %w", err)
	}
	client := hmacSHA256(salted, "Client Key")
	stored := sha256.Sum256(client)
	return scramKeys{client: client, stored: stored[:], server: hmacSHA256(salted, "Server Key")}, nil
}

func hmacSHA256(key []byte, text string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}

// channelBinding gives tls-exporter, RFC 9266.
func channelBinding(state *tls.ConnectionState) ([]byte, error) {
	if state == nil {
		return nil, fmt.Errorf("%w: no TLS to bind to", ErrAuth)
	}
	b, err := state.ExportKeyingMaterial("EXPORTER-Channel-Binding", nil, 32)
	if err != nil {
		return nil, fmt.Errorf("%w: bind to the TLS connection: %w", ErrAuth, err)
	}
	return b, nil
}

const bindingType = "tls-exporter"

func randomSalt() []byte {
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // never fails, it says
	return salt
}

// scramFields cuts a message into the values of attributes that must come in this order;
// what comes after them is for extensions, which may be ignored (RFC 5802 section 5.1).
// Values are never empty.
func scramFields(message string, names ...byte) ([]string, bool) {
	var values []string
	for i, name := range names {
		field, rest, more := strings.Cut(message, ",")
		if len(field) < 3 || field[0] != name || field[1] != '=' || !more && i < len(names)-1 {
			return nil, false
		}
		values, message = append(values, field[2:]), rest
	}
	return values, isText(message)
}

// isNonce tells printable characters without a comma, RFC 5802 section 7.
func isNonce(s string) bool {
	return len(s) <= scramNonce && strings.IndexFunc(s, func(c rune) bool { return c <= ' ' || c == ',' || c > '~' }) < 0
}

// ScramAuth is SCRAM-SHA-256, RFC 7677: the server learns nothing that it does not know
// already, and proves that it knows it. offered are the mechanisms of the server: if
// SCRAM-SHA-256-PLUS is among them and there is TLS, the exchange is bound to the
// connection, so that nobody can sit in between (RFC 9266).
func ScramAuth(user, password string, offered []string) Mechanism {
	a := &scramAuth{user: user, password: password, nonce: rand.Text()}
	for _, o := range offered {
		a.plus = a.plus || strings.EqualFold(o, "SCRAM-SHA-256-PLUS")
	}
	return a
}

type scramAuth struct {
	user, password, nonce string
	plus                  bool // the server offers it
	header                string
	binding               []byte
	firstBare             string
	step                  int
	signature             []byte // that the server must show
	proved                bool
}

func (a *scramAuth) Name() string {
	if a.plus {
		return "SCRAM-SHA-256-PLUS"
	}
	return "SCRAM-SHA-256"
}
func (a *scramAuth) ShowsSecret() bool { return false }

func (a *scramAuth) Start(state *tls.ConnectionState) ([]byte, error) {
	a.header = "n,,"
	if state != nil {
		a.header = "y,," // we could; if the server offered it, somebody has taken that out of its list
	}
	if a.plus {
		binding, err := channelBinding(state)
		if err != nil {
			return nil, err
		}
		a.header, a.binding = "p="+bindingType+",,", binding
	}
	if a.user == "" || !isText(a.user) {
		return nil, fmt.Errorf("%w: a user name is needed", ErrAuth)
	}
	a.firstBare = "n=" + saslName(norm.NFKC.String(a.user)) + ",r=" + a.nonce
	return []byte(a.header + a.firstBare), nil
}

func (a *scramAuth) Next(challenge []byte) ([]byte, error) {
	a.step++
	switch a.step {
	case 1:
		return a.prove(string(challenge))
	case 2:
		if e, ok := bytes.CutPrefix(challenge, []byte("e=")); ok {
			return nil, fmt.Errorf("%w: the server says %q", ErrAuth, printable(e))
		}
		values, ok := scramFields(string(challenge), 'v')
		if !ok {
			break
		}
		got, err := strictBase64.DecodeString(values[0])
		if err != nil || subtle.ConstantTimeCompare(got, a.signature) != 1 {
			return nil, fmt.Errorf("%w: the server does not know the password", ErrAuth)
		}
		a.proved = true
		return []byte{}, nil
	}
	return nil, fmt.Errorf("%w: challenge %d of SCRAM", ErrAuth, a.step)
}

// prove answers the server's first message.
func (a *scramAuth) prove(challenge string) ([]byte, error) {
	values, ok := scramFields(challenge, 'r', 's', 'i')
	if !ok || !strings.HasPrefix(values[0], a.nonce) || len(values[0]) == len(a.nonce) || !isNonce(values[0][len(a.nonce):]) {
		return nil, fmt.Errorf("%w: the first challenge of SCRAM", ErrAuth)
	}
	salt, err := strictBase64.DecodeString(values[1])
	rounds, err2 := strconv.Atoi(values[2])
	if err != nil || err2 != nil || rounds < scramRounds || rounds > scramMaxRounds {
		return nil, fmt.Errorf("%w: %q rounds with salt %q", ErrAuth, values[2], values[1])
	}
	keys, err := scramKeysOf(a.password, salt, rounds)
	if err != nil {
		return nil, err
	}
	final := "c=" + base64.StdEncoding.EncodeToString(append([]byte(a.header), a.binding...)) + ",r=" + values[0]
	message := a.firstBare + "," + challenge + "," + final
	proof := hmacSHA256(keys.stored, message)
	subtle.XORBytes(proof, proof, keys.client)
	a.signature = hmacSHA256(keys.server, message)
	return []byte(final + ",p=" + base64.StdEncoding.EncodeToString(proof)), nil
}

func (a *scramAuth) End(accepted bool) error {
	if accepted && !a.proved {
		return fmt.Errorf("%w: the server accepted without proof that it knows the password", ErrAuth)
	}
	return nil
}

// scramExchange is the server side for a handler that has the password in clear: the salt
// is made up for each exchange. What it gives to the client is of no use without the
// password, also for users that do not exist.
type scramExchange struct {
	nonce     string
	salt      []byte
	binding   []byte // nil without -PLUS
	plus      bool   // -PLUS was offered
	step      int
	header    string
	firstBare string
	first     string // the server's
	user      string
	identity  string
	final     string // the client's, without proof
	proof     []byte
	signature []byte
}

func (x *scramExchange) next(response []byte) (challenge []byte, done bool, err error) {
	if response == nil {
		return []byte{}, false, nil
	}
	x.step++
	ok := false
	switch x.step {
	case 1:
		if ok = x.begin(string(response)); ok {
			x.first = "r=" + x.nonce + ",s=" + base64.StdEncoding.EncodeToString(x.salt) + ",i=" + strconv.Itoa(scramRounds)
			return []byte(x.first), false, nil
		}
	case 2:
		if ok = x.complete(string(response)); ok {
			return nil, true, nil
		}
	}
	return nil, false, fmt.Errorf("%w: message %d of SCRAM", ErrAuth, x.step)
}

// begin reads the client's first message, RFC 5802 section 7.
func (x *scramExchange) begin(s string) bool {
	flag, rest, _ := strings.Cut(s, ",")
	identity, bare, ok := strings.Cut(rest, ",")
	switch {
	case !ok || !isText(s):
		return false
	case x.binding != nil && flag != "p="+bindingType, x.binding == nil && flag != "n" && flag != "y":
		return false
	case flag == "y" && x.plus: // somebody took the -PLUS out of our offer, section 6
		return false
	}
	if identity != "" {
		escaped, isName := strings.CutPrefix(identity, "a=")
		if x.identity, ok = parseSASLName(escaped); !isName || !ok {
			return false
		}
	}
	values, ok := scramFields(bare, 'n', 'r')
	if !ok || !isNonce(values[1]) {
		return false
	}
	if x.user, ok = parseSASLName(values[0]); !ok {
		return false
	}
	x.header, x.firstBare, x.nonce = flag+","+identity+",", bare, values[1]+x.nonce
	return true
}

// complete reads the client's final message.
func (x *scramExchange) complete(s string) bool {
	i := strings.LastIndex(s, ",p=")
	if i < 0 {
		return false
	}
	values, ok := scramFields(s[:i], 'c', 'r')
	if !ok || values[1] != x.nonce {
		return false
	}
	binding, err := strictBase64.DecodeString(values[0])
	proof, err2 := strictBase64.DecodeString(s[i+3:])
	if errors.Join(err, err2) != nil || len(proof) != sha256.Size ||
		!bytes.Equal(binding, append([]byte(x.header), x.binding...)) {
		return false
	}
	x.final, x.proof = s[:i], proof
	return true
}

func (x *scramExchange) credentials() Credentials {
	name := "SCRAM-SHA-256"
	if x.binding != nil {
		name += "-PLUS"
	}
	return Credentials{Mechanism: name, Identity: x.identity, User: x.user, Verify: x.verify}
}

// verify says whether the client knows the password; if so, ours is the next proof.
func (x *scramExchange) verify(password string) bool {
	keys, err := scramKeysOf(password, x.salt, scramRounds)
	if err != nil {
		return false
	}
	message := x.firstBare + "," + x.first + "," + x.final
	client := hmacSHA256(keys.stored, message)
	subtle.XORBytes(client, client, x.proof)
	stored := sha256.Sum256(client)
	if subtle.ConstantTimeCompare(stored[:], keys.stored) != 1 {
		return false
	}
	x.signature = hmacSHA256(keys.server, message)
	return true
}

func (x *scramExchange) verdict(accepted bool) []byte {
	if !accepted || x.signature == nil {
		return nil
	}
	return []byte("v=" + base64.StdEncoding.EncodeToString(x.signature))
}
