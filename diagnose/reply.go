package diagnose

import (
	"strings"

	"github.com/postroad/postroad/mail"
)

// parseReply reads one reply in any of the forms in which evidence carries it:
// lines with their codes, lines whose breaks a log wrote as "\n", and all lines
// run together with the codes left between them ("550-5.7.1 one 550-5.7.1 two
// 550 5.7.1 three"). Repeated codes are dropped, every line's text is kept.
func parseReply(s string) mail.Reply {
	var r reading
	s = unfold(s)
	for line := range strings.SplitSeq(s, "\n") {
		r.line(r.stripCodes(trimSpace(line)))
	}
	if r.Enhanced.IsZero() {
		r.Enhanced = trailingEnhanced(r.Lines)
	}
	return r.Reply
}

// reading is a reply while it is read.
type reading struct {
	mail.Reply
	several bool // a code was followed by a hyphen: more lines follow
}

// stripCodes takes the codes off the start of a line, also doubled ones, as far
// as they are the reply's own. A "#5.1.0" is read but left: rules know it.
func (r *reading) stripCodes(line string) string {
	for {
		if code, rest, ok := replyCode(line); ok && (r.Code == 0 && len(r.Lines) == 0 || code == r.Code) {
			r.several = r.several || len(line) > 3 && line[3] == '-'
			r.Code, line = code, rest
			continue
		}
		if r.Code != 0 || len(r.Lines) == 0 {
			if e, rest, ok := mail.ParseEnhanced(line); ok && (r.Enhanced.IsZero() || e == r.Enhanced) &&
				(rest == "" || isSpace(rest[0]) || rest[0] == '-' || rest[0] == ':') {
				r.Enhanced = e
				line = strings.TrimLeft(rest, " \t-:")
				continue
			}
		}
		if r.Enhanced.IsZero() && r.Code != 0 && strings.HasPrefix(line, "#") {
			if e, _, ok := mail.ParseEnhanced(line[1:]); ok {
				r.Enhanced = e
			}
		}
		return line
	}
}

// line adds a line, split at the codes that were line starts before somebody
// ran the lines together.
func (r *reading) line(line string) {
	if r.Code != 0 && hasFlatCode(line, r.Code) {
		for {
			i, n := r.nextFlatCode(line)
			if i < 0 {
				break
			}
			r.add(line[:i])
			line = line[i+n:]
		}
	}
	r.add(line)
}

func (r *reading) add(line string) {
	if line = trimSpace(line); line != "" {
		r.Lines = append(r.Lines, line)
	}
}

// hasFlatCode looks for the reply's code inside the line, before a hyphen or an
// enhanced code, which ordinary words do not have.
func hasFlatCode(line string, code int) bool {
	c := [3]byte{byte('0' + code/100), byte('0' + code/10%10), byte('0' + code%10)}
	for i := 1; i+4 <= len(line); i++ {
		if line[i] == c[0] && line[i+1] == c[1] && line[i+2] == c[2] && isSpace(line[i-1]) &&
			(line[i+3] == '-' || line[i+3] == ' ') {
			return true
		}
	}
	return false
}

// nextFlatCode finds the next " 550-5.7.1 ", " 550 5.7.1 " or " 550-" in s: its
// place and how long it is. A bare " 550 " counts only where the reply has
// several lines and no enhanced code: "550-one 550 two".
func (r *reading) nextFlatCode(s string) (at, n int) {
	for i := 0; i+4 <= len(s); i++ {
		if i > 0 && !isSpace(s[i-1]) || !isDigit(s[i]) {
			continue
		}
		code, _, ok := mail.ParseCode(s[i:])
		if !ok || code != r.Code {
			continue
		}
		j := i + 4
		for j < len(s) && s[j] == ' ' {
			j++
		}
		e, rest, has := mail.ParseEnhanced(s[min(j, len(s)):])
		switch {
		case has && (r.Enhanced.IsZero() || e == r.Enhanced):
			r.Enhanced = e
			return i, len(s) - i - len(rest)
		case s[i+3] == '-' && !has && r.several:
			return i, 4
		case s[i+3] == ' ' && r.several && r.Enhanced.IsZero():
			return i, 4
		}
	}
	return -1, 0
}

// unfold turns the line breaks that logs write as two characters into real
// ones, where they stand before another reply code.
func unfold(s string) string {
	if !strings.Contains(s, `\n`) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for {
		i := strings.Index(s, `\n`)
		if i < 0 {
			break
		}
		before := strings.TrimSuffix(s[:i], `\r`)
		rest := s[i+2:]
		_, _, code := replyCode(rest)
		b.WriteString(before)
		if code || rest == "" || rest[0] == ' ' || rest[0] == '<' {
			b.WriteByte('\n')
		} else {
			b.WriteString(s[len(before) : i+2])
		}
		s = rest
	}
	b.WriteString(s)
	return b.String()
}

// trailingEnhanced reads the code that qmail and its kin write at the end:
// "no mailbox here by that name. (#5.1.1)".
func trailingEnhanced(lines []string) mail.Enhanced {
	if len(lines) == 0 {
		return mail.Enhanced{}
	}
	line := lines[len(lines)-1]
	i := strings.LastIndexByte(line, '#')
	if i < 1 || line[i-1] != '(' {
		return mail.Enhanced{}
	}
	if e, rest, ok := mail.ParseEnhanced(line[i+1:]); ok && strings.HasPrefix(rest, ")") {
		return e
	}
	return mail.Enhanced{}
}

// canonical gives the one line on which rules look: reply code, enhanced code,
// the texts of the lines, single spaces.
func canonical(r mail.Reply) string {
	var b strings.Builder
	n := 16
	for _, l := range r.Lines {
		n += len(l) + 1
	}
	b.Grow(n)
	if r.Code != 0 {
		b.WriteByte(byte('0' + r.Code/100))
		b.WriteByte(byte('0' + r.Code/10%10))
		b.WriteByte(byte('0' + r.Code%10))
	}
	if e := r.Enhanced.String(); e != "" && !writtenInText(r.Lines, e) {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(e)
	}
	for _, l := range r.Lines {
		for l != "" { // word by word
			l = strings.TrimLeft(l, " \t\r\n")
			n := 0
			for n < len(l) && (!isSpace(l[n]) || l[n] == ' ' && n+1 < len(l) && !isSpace(l[n+1])) {
				n++
			}
			if n > 0 && b.Len() > 0 {
				b.WriteByte(' ')
			}
			b.WriteString(l[:n])
			l = l[n:]
		}
	}
	return b.String()
}

// writtenInText reports whether the enhanced code e was read out of the text
// and is still there: "#5.1.0" at the start, "(#5.1.1)" at the end.
func writtenInText(lines []string, e string) bool {
	for i, l := range lines {
		if strings.IndexByte(l, '#') < 0 {
			continue
		}
		if i == 0 && strings.HasPrefix(l, "#"+e) {
			return true
		}
		if i == len(lines)-1 && strings.Contains(l, "(#"+e+")") {
			return true
		}
	}
	return false
}
