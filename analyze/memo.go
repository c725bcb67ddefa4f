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
	unknown  map[string]uint64
	lost     uint64
}

// verdict is what a fact keeps of a diagnosis.
type verdict struct {
	class     mail.Class
	actor     mail.Actor
	stage     mail.Stage
	provider  string
	permanent bool
	advice    string
	template  string // of a text that no rule knows
}

const (
	memoSize   = 50_000
	maxUnknown = 1000
)

func newMemo(e *diagnose.Engine) *memo {
	return &memo{engine: e, verdicts: make(map[uint64]*verdict), unknown: make(map[string]uint64)}
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
			permanent: d.Retry == mail.RetryNever || d.Retry == mail.RetryAfterFix}
		if d.Class == mail.Unknown && strings.TrimSpace(ev.Text) != "" {
			v.template = diagnose.Template(ev.Text)
		}
		if len(m.verdicts) >= memoSize {
			clear(m.verdicts)
		}
		m.verdicts[key] = v
	}
	if v.template != "" {
		if _, ok := m.unknown[v.template]; ok || len(m.unknown) < maxUnknown {
			m.unknown[v.template]++
		} else {
			m.lost++
		}
	}
	return v
}

// templates lists the texts that no rule knows, the most frequent first.
func (m *memo) templates() []Unknown {
	out := make([]Unknown, 0, len(m.unknown))
	for t, n := range m.unknown {
		out = append(out, Unknown{t, n})
	}
	slices.SortFunc(out, func(a, b Unknown) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Template, b.Template))
	})
	return out
}

// shape hashes a text without what differs from message to message and decides
// nothing: addresses of hosts and mailboxes, and long words with digits in
// them, which are queue ids and session names. Short words stay, codes
// and the tokens of providers among them.
func shape(s string) uint64 {
	h := uint64(len("shape"))
	for i := 0; i < len(s); {
		c := s[i]
		if !wordByte(c) {
			h = (h ^ uint64(c)) * mulA
			i++
			continue
		}
		from, digits, dots, colons := i, 0, 0, 0
		for i < len(s) && wordByte(s[i]) {
			switch c := s[i]; {
			case '0' <= c && c <= '9':
				digits++
			case c == '.':
				dots++
			case c == ':':
				colons++
			}
			i++
		}
		word := s[from:i]
		if i < len(s) && s[i] == '@' || from > 0 && s[from-1] == '@' {
			h = (h ^ 'a') * mulB
			continue
		}
		// A dotted quad has three dots, a clock and an IPv6 address two colons or
		// more; an enhanced code has two dots and is short.
		if digits >= 4 && (len(word) >= 12 || dots >= 3 || colons >= 2 || digits == len(word) && digits >= 6) {
			h = (h ^ 'w') * mulB
			continue
		}
		h = hash(h, word)
	}
	return h
}

func wordByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '.' || c == '-' || c == '_' || c == ':' || c == '='
}
