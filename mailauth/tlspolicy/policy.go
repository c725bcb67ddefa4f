package tlspolicy

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Mode is what a policy asks of senders (RFC 8461 section 5). "" is no policy.
type Mode string

// The modes.
const (
	ModeNone    Mode = "none"    // as if there were no policy
	ModeTesting Mode = "testing" // tell of failures, deliver in spite of them
	ModeEnforce Mode = "enforce" // do not deliver to a host that fails
)

// Bounds of RFC 8461 sections 3.2 and 3.3.
const (
	maxPolicy = 64 << 10
	maxAge    = 31_557_600 // seconds, about a year
)

// STSPolicy is the policy of a domain (RFC 8461 section 3.2).
type STSPolicy struct {
	Mode   Mode
	MX     []string      // patterns in lower case: "mx1.example.com", "*.example.com"
	MaxAge time.Duration // how long it may be kept since it was fetched
}

// ParseSTSPolicy reads the body of a policy: a field a line, "key: value", lines
// ended by CRLF or LF, in any order. Unknown keys are ignored; of a key that
// may stand once the first counts; white space at the end of a line means nothing
// (RFC 8461 section 3.2). The error says in which line the body is no policy.
//
// Whatever is no policy leaves mail unprotected, so what can be meant in one way
// only is taken where the grammar is narrower: empty lines, an unknown field
// without a value, a pattern with a final dot. A max_age of ten digits is in the
// grammar also above the limit, and counts as the limit, since senders keep a
// policy for up to max_age. A pattern that can match no host makes the policy
// invalid: a typing error must not be read as a policy that is stricter than its
// author meant.
func ParseSTSPolicy(body string) (STSPolicy, error) {
	if len(body) > maxPolicy {
		return STSPolicy{}, errors.New("read the MTA-STS policy: longer than 64 KiB")
	}
	var p STSPolicy
	seen := map[string]bool{}
	number := 0
	for line := range strings.SplitSeq(body, "\n") {
		number++
		line = strings.TrimRight(strings.TrimSuffix(line, "\r"), " \t")
		if line == "" {
			continue
		}
		key, value, ok := strings.Cut(line, ":")
		value = strings.TrimLeft(value, " \t")
		switch {
		case !ok || !extensionName(key):
			return STSPolicy{}, fmt.Errorf("read the MTA-STS policy: line %d is no \"key: value\": %q", number, clip(line))
		case seen[key] && key != "mx":
			continue
		}
		seen[key] = true
		if err := p.set(key, value); err != nil {
			return STSPolicy{}, fmt.Errorf("read the MTA-STS policy: line %d: %w", number, err)
		}
	}
	for _, key := range []string{"version", "mode", "max_age"} {
		if !seen[key] {
			return STSPolicy{}, fmt.Errorf("read the MTA-STS policy: no %s", key)
		}
	}
	if len(p.MX) == 0 && p.Mode != ModeNone {
		return STSPolicy{}, errors.New("read the MTA-STS policy: no mx, which only mode none may do without")
	}
	return p, nil
}

// set takes one field.
func (p *STSPolicy) set(key, value string) error {
	switch key {
	case "version":
		if value != "STSv1" {
			return fmt.Errorf("the version is not STSv1: %q", clip(value))
		}
	case "mode":
		switch m := Mode(value); m {
		case ModeNone, ModeTesting, ModeEnforce:
			p.Mode = m
		default:
			return fmt.Errorf("the mode is not enforce, testing or none: %q", clip(value))
		}
	case "max_age":
		if value == "" || len(value) > 10 || strings.Trim(value, "0123456789") != "" {
			return fmt.Errorf("max_age is not a number of at most ten digits: %q", clip(value))
		}
		seconds, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return fmt.Errorf("max_age is no number: %q", clip(value))
		}
		p.MaxAge = time.Duration(min(seconds, maxAge)) * time.Second
	case "mx":
		pattern := strings.TrimSuffix(strings.ToLower(value), ".")
		if !ldh(strings.TrimPrefix(pattern, "*.")) {
			return fmt.Errorf("mx is neither a host name nor \"*.\" and a domain (A-labels): %q", clip(value))
		}
		p.MX = append(p.MX, pattern)
	default:
		if !utf8.ValidString(value) || strings.ContainsFunc(value, control) {
			return fmt.Errorf("the value of %s is no text", key)
		}
	}
	return nil
}

// Matches reports whether the policy has a pattern for a host (RFC 8461 section
// 4.1). Case and a final dot of the host do not count.
func (p STSPolicy) Matches(host string) bool {
	name, ok := hostName(host)
	if !ok {
		return false
	}
	for _, pattern := range p.MX {
		if matchName(pattern, name) {
			return true
		}
	}
	return false
}

// Lines gives the policy as it is quoted in a report (RFC 8460 section 4.4,
// policy-string).
func (p STSPolicy) Lines() []string {
	lines := []string{"version: STSv1", "mode: " + string(p.Mode)}
	for _, pattern := range p.MX {
		lines = append(lines, "mx: "+pattern)
	}
	return append(lines, "max_age: "+strconv.FormatInt(int64(p.MaxAge/time.Second), 10))
}

// size is about what the policy takes in memory.
func (p STSPolicy) size() int {
	n := 256
	for _, pattern := range p.MX {
		n += len(pattern) + 16
	}
	return n
}
