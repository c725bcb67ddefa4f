package mail

import (
	"strconv"
	"strings"
)

// MaxReply is the longest reply that is looked at, in bytes. A reply line is at
// most 512 bytes by RFC 5321 section 4.5.3.1.5; real ones run to some thousands
// over their lines, and what is longer says nothing new.
const MaxReply = 16 << 10

// Enhanced is an enhanced status code, RFC 3463: class.subject.detail. The zero
// value means that none was given.
type Enhanced struct {
	Class, Subject, Detail uint16
}

// IsZero reports whether no code was given.
func (e Enhanced) IsZero() bool { return e == Enhanced{} }

// String gives the dotted form, "" for none.
func (e Enhanced) String() string {
	if e.IsZero() {
		return ""
	}
	b := make([]byte, 0, 11)
	b = strconv.AppendUint(b, uint64(e.Class), 10)
	b = append(b, '.')
	b = strconv.AppendUint(b, uint64(e.Subject), 10)
	b = append(b, '.')
	return string(strconv.AppendUint(b, uint64(e.Detail), 10))
}

// ParseEnhanced reads an enhanced status code at the start of s and returns the
// rest. Class is 2, 4 or 5; subject and detail have one to three digits.
func ParseEnhanced(s string) (e Enhanced, rest string, ok bool) {
	if len(s) < 5 || s[1] != '.' || s[0] != '2' && s[0] != '4' && s[0] != '5' {
		return Enhanced{}, s, false
	}
	subject, n := digits(s[2:])
	if n == 0 || len(s) <= 2+n || s[2+n] != '.' {
		return Enhanced{}, s, false
	}
	detail, m := digits(s[3+n:])
	if m == 0 {
		return Enhanced{}, s, false
	}
	end := 3 + n + m
	if end < len(s) && (s[end] == '.' && end+1 < len(s) && isDigit(s[end+1]) || isDigit(s[end])) {
		return Enhanced{}, s, false // an IP address or a version number
	}
	return Enhanced{uint16(s[0] - '0'), subject, detail}, s[end:], true
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// digits reads at most three decimal digits.
func digits(s string) (v uint16, n int) {
	for n < len(s) && n < 3 && isDigit(s[n]) {
		v = v*10 + uint16(s[n]-'0')
		n++
	}
	return v, n
}

// Reply is one SMTP reply (RFC 5321 section 4.2) with all its lines.
type Reply struct {
	Code     int      // 200 to 599, 0 if the evidence has none
	Enhanced Enhanced // of the first line that has one
	Lines    []string // the texts, without codes and line ends
}

// Text joins the lines of the reply with single spaces.
func (r Reply) Text() string {
	if len(r.Lines) == 1 {
		return r.Lines[0]
	}
	return strings.Join(r.Lines, " ")
}

// String gives the reply in one line: code, enhanced code, text.
func (r Reply) String() string {
	var parts []string
	if r.Code != 0 {
		parts = append(parts, strconv.Itoa(r.Code))
	}
	if !r.Enhanced.IsZero() {
		parts = append(parts, r.Enhanced.String())
	}
	if t := r.Text(); t != "" {
		parts = append(parts, t)
	}
	return strings.Join(parts, " ")
}

// Outcome gives what the code says of the attempt; "" if it says nothing final
// (no code, 1yz, 3yz).
func (r Reply) Outcome() Outcome { return OutcomeOf(r.Code, r.Enhanced) }

// OutcomeOf reads the severity out of a reply code, or of an enhanced code
// where there is no reply code (RFC 5321 section 4.2.1, RFC 3463 section 2).
func OutcomeOf(code int, e Enhanced) Outcome {
	severity := code / 100
	if severity == 0 {
		severity = int(e.Class)
	}
	switch severity {
	case 2:
		return Delivered
	case 4:
		return Temporary
	case 5:
		return Permanent
	}
	return ""
}

// ParseReply reads one reply, of one line or several ("550-5.7.1 ..." on each).
// It is tolerant: without a code the text is kept and Code is 0. Codes that are
// repeated on the lines, and doubled at the start ("421 421 RP-001"), are
// dropped. At most [MaxReply] bytes are read.
func ParseReply(s string) Reply {
	if len(s) > MaxReply {
		s = s[:MaxReply]
	}
	var r Reply
	for line := range strings.SplitSeq(strings.ReplaceAll(s, "\r", "\n"), "\n") {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		code, rest, ok := ParseCode(line)
		for ok && (r.Code == 0 || code == r.Code) {
			r.Code, line = code, rest
			code, rest, ok = ParseCode(line)
		}
		if e, rest, ok := ParseEnhanced(line); ok && (r.Enhanced.IsZero() || e == r.Enhanced) {
			r.Enhanced = e
			line = strings.TrimLeft(rest, " \t")
		}
		if line != "" {
			r.Lines = append(r.Lines, line)
		}
	}
	return r
}

// ParseCode reads a three-digit reply code (200 to 599) at the start of s that
// is followed by a space, a hyphen or the end, and returns the rest.
func ParseCode(s string) (code int, rest string, ok bool) {
	if len(s) < 3 || s[0] < '2' || s[0] > '5' || !isDigit(s[1]) || !isDigit(s[2]) {
		return 0, s, false
	}
	if len(s) > 3 && s[3] != ' ' && s[3] != '-' && s[3] != '\t' {
		return 0, s, false
	}
	code = int(s[0]-'0')*100 + int(s[1]-'0')*10 + int(s[2]-'0')
	if len(s) == 3 {
		return code, "", true
	}
	return code, strings.TrimLeft(s[4:], " \t"), true
}
