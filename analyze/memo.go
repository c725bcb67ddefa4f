package analyze

import (
	"cmp"
	"slices"
	"strings"

	"github.com/postroad/postroad/diagnose"
	"github.com/postroad/postroad/mail"
)

// memo remembers verdicts by the shape of a text: a provider writes the same
// refusal a million times, with other numbers in it.
type memo struct {
	engine   *diagnose.Engine
	verdicts map[uint64]*verdict
	unknown  map[string]*uint64 // templates of what no rule knows, and how often each came
	lost     uint64             // what came beyond the templates that are kept
}

// verdict is what a fact keeps of a diagnosis.
type verdict struct {
	class     mail.Class
	actor     mail.Actor
	stage     mail.Stage
	provider  string
	permanent bool
	expired   bool // given up after a time, whatever stands inside
	advice    string
	times     *uint64 // where its template is counted, if no rule knows the text
}

const (
	memoSize   = 30_000 // a verdict and its place take some 170 bytes
	maxUnknown = 1000
)

func newMemo(e *diagnose.Engine) *memo {
	return &memo{engine: e, verdicts: make(map[uint64]*verdict), unknown: make(map[string]*uint64)}
}

func (m *memo) diagnose(ev *diagnose.Evidence, id uint32) *verdict {
	key := shape(ev.Text)
	key = mix(key, uint64(id)<<8|uint64(ev.Spoke))
	key = mix(key, uint64(ev.Status.Class)<<32|uint64(ev.Status.Subject)<<16|uint64(ev.Status.Detail))
	key = hash(key, string(ev.Stage))
	v, ok := m.verdicts[key]
	if !ok {
		// The text may be a piece of a buffer that is used again.
		ev.Text = strings.Clone(ev.Text)
		d := m.engine.Diagnose(*ev)
		v = &verdict{class: d.Class, actor: d.Actor, stage: d.Stage, provider: d.Provider, advice: d.Advice,
			permanent: d.Retry == mail.RetryNever || d.Retry == mail.RetryAfterFix,
			expired:   slices.ContainsFunc(d.Chain, func(l mail.Link) bool { return l.Class == mail.Expired })}
		if d.Class == mail.Unknown && strings.TrimSpace(ev.Text) != "" {
			if t := diagnose.Template(ev.Text); t != "" {
				v.times = m.counter(t)
			}
		}
		if len(m.verdicts) >= memoSize {
			clear(m.verdicts)
		}
		m.verdicts[key] = v
	}
	if v.times != nil {
		*v.times++
	}
	return v
}

// counter gives the place where a template is counted.
func (m *memo) counter(template string) *uint64 {
	n := m.unknown[template]
	switch {
	case n != nil:
	case len(m.unknown) < maxUnknown:
		n = new(uint64)
		m.unknown[template] = n
	default:
		n = &m.lost
	}
	return n
}

// templates lists the texts that no rule knows, the most frequent first.
func (m *memo) templates() []Unknown {
	out := make([]Unknown, 0, len(m.unknown))
	for t, n := range m.unknown {
		out = append(out, Unknown{t, *n})
	}
	slices.SortFunc(out, func(a, b Unknown) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Template, b.Template))
	})
	return out
}

// shape hashes a text without what differs from message to message and decides
// nothing: addresses of hosts and mailboxes, hosts that stand before their
// address, and long words with digits in them, which are queue ids and session
// names. Short words stay, codes and the tokens of providers among them.
func shape(s string) uint64 {
	h := uint64(len("shape"))
	for i := 0; i < len(s); {
		c := s[i]
		if letters[c] == 0 {
			h = (h ^ uint64(c)) * mulA
			i++
			continue
		}
		from := i
		var of [inWord + 1]int
		for i < len(s) && letters[s[i]] != 0 {
			of[letters[s[i]]]++
			i++
		}
		word := s[from:i]
		if i < len(s) && s[i] == '@' || from > 0 && s[from-1] == '@' {
			h = (h ^ 'a') * mulB
			continue
		}
		if of[inDot] > 0 && i+1 < len(s) && s[i] == '[' && letters[s[i+1]] == inDigit {
			h = (h ^ 'h') * mulB
			continue
		}
		// A dotted quad has three dots, a clock and an IPv6 address two colons or
		// more; an enhanced code has two dots and is short.
		if digits := of[inDigit]; digits >= 4 && (len(word) >= 12 || of[inDot] >= 3 || of[inColon] >= 2 || digits == len(word) && digits >= 6) {
			h = (h ^ 'w') * mulB
			continue
		}
		h = hash(h, word)
	}
	return h
}

// The bytes that words are made of; 0 is none of them.
const (
	inLetter = iota + 1
	inDigit
	inDot
	inColon
	inWord
)

var letters = func() (t [256]uint8) {
	for c := range t {
		switch {
		case 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z':
			t[c] = inLetter
		case '0' <= c && c <= '9':
			t[c] = inDigit
		}
	}
	t['.'], t[':'] = inDot, inColon
	t['-'], t['_'], t['='] = inWord, inWord, inWord
	return t
}()
