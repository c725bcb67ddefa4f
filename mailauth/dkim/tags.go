package dkim

import (
	"bytes"
	"encoding/base64"
	"strings"
	"time"
)

// maxTags bounds a list: real ones have a dozen tags.
const maxTags = 100

// Tag is one tag of a list, as written but for the white space around it.
type Tag struct {
	Name  string // case sensitive
	Value string // may have folding white space in it
}

// Tags is a tag list (RFC 6376 section 3.2), in the order in which it stands.
type Tags []Tag

// Get gives the value of a tag. ok tells a tag with an empty value from none.
func (t Tags) Get(name string) (value string, ok bool) {
	for i := range t {
		if t[i].Name == name {
			return t[i].Value, true
		}
	}
	return "", false
}

// parseTags reads a tag list by the grammar: no tag twice, no empty tag but
// behind the last semicolon.
func parseTags(s string) (Tags, *Error) {
	if trimSpace(s) == "" {
		return nil, &Error{Reason: Syntax, What: "the tag list is empty"}
	}
	tags := make(Tags, 0, 12)
	for more := true; more; {
		var spec string
		spec, s, more = strings.Cut(s, ";")
		name, value, ok := strings.Cut(spec, "=")
		name = trimSpace(name)
		if !ok {
			if name == "" && !more { // the semicolon behind the last tag
				break
			}
			return tags, &Error{Reason: Syntax, Tag: clip(name), What: "a tag without ="}
		}
		value = trimSpace(value)
		switch _, twice := tags.Get(name); {
		case !isTagName(name):
			return tags, &Error{Reason: Syntax, Tag: clip(name), What: "not the name of a tag"}
		case twice:
			return tags, &Error{Reason: Syntax, Tag: name, What: "the tag is there twice"}
		case len(tags) == maxTags:
			return tags, &Error{Reason: Syntax, What: "more than 100 tags"}
		}
		for i := range len(value) {
			if c := value[i]; (c < ' ' || c == 0x7f) && !isFWS(c) {
				return tags, &Error{Reason: Syntax, Tag: name, What: "a control character in the value"}
			}
		}
		tags = append(tags, Tag{Name: name, Value: value})
	}
	return tags, nil
}

func isTagName(s string) bool {
	for i := range len(s) {
		c := lower(s[i])
		if letter := 'a' <= c && c <= 'z'; !letter && (i == 0 || c != '_' && (c < '0' || c > '9')) {
			return false
		}
	}
	return s != ""
}

// strip takes all folding white space out of a value.
func strip(s string) string {
	i := spaceIn(s)
	if i == len(s) {
		return s
	}
	return string(appendStripped(make([]byte, 0, len(s)), s))
}

// appendStripped appends s without its folding white space.
func appendStripped(to []byte, s string) []byte {
	for s != "" {
		i := spaceIn(s)
		to = append(to, s[:i]...)
		for i < len(s) && isFWS(s[i]) {
			i++
		}
		s = s[i:]
	}
	return to
}

// spaceIn gives the index of the first byte of folding white space, or the length.
func spaceIn(s string) int {
	for i := range len(s) {
		if s[i] <= ' ' && isFWS(s[i]) {
			return i
		}
	}
	return len(s)
}

// list divides a value at its colons.
func list(value string) []string {
	items := make([]string, 0, strings.Count(value, ":")+1)
	for more := true; more; {
		var item string
		item, value, more = strings.Cut(value, ":")
		items = append(items, trimSpace(item))
	}
	return items
}

// decode reads base64 (RFC 6376 section 2.10): white space anywhere; the padding may
// be missing.
func decode(s string) ([]byte, error) {
	var room [1024]byte // enough for RSA keys and signatures of 4096 bits
	text := appendStripped(room[:0], s)
	text = bytes.TrimSuffix(bytes.TrimSuffix(text, []byte{'='}), []byte{'='})
	decoded := make([]byte, base64.RawStdEncoding.DecodedLen(len(text)))
	n, err := base64.RawStdEncoding.Decode(decoded, text)
	return decoded[:n], err
}

// number reads 1 to digits decimal digits. Digits beyond the 18th are taken for
// "very much".
func number(s string, digits int) (n int64, ok bool) {
	if s == "" || len(s) > digits {
		return 0, false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		if n < 1e17 {
			n = 10*n + int64(s[i]-'0')
		} else {
			n = 1e18
		}
	}
	return n, true
}

// seconds reads the time of t= and x= (RFC 6376 section 3.5): seconds since 1970, at most
// 12 digits.
func seconds(s string) (t time.Time, ok bool) {
	n, ok := number(s, 12)
	if !ok {
		return t, false
	}
	return time.Unix(n, 0).UTC(), true
}

// clip keeps what a message quotes short.
func clip(s string) string {
	const most = 60
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}
