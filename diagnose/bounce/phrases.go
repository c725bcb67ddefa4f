package bounce

import (
	_ "embed" // for phrases.txt
	"slices"
	"strings"
	"sync"

	"github.com/postroad/postroad/mail"
)

//go:embed phrases.txt
var phraseText string

// class is what a phrase says of the text round it; see phrases.txt.
type class uint8

const (
	clsNone class = iota
	clsList
	clsAddress
	clsFailed
	clsReason
	clsStop
	clsSeparator
	clsSeparatorLine
	clsContact
	clsDelay
	clsFinal
	clsFormat
	clsChallenge
	clsFate
	clsFooter
	// Subjects have an index of their own.
	clsSubject
	// The rest are labels: they count in front of a colon at the start of a line.
	clsLabel
	clsSender
	clsReply
	clsHost
	clsAddressee
)

var classNames = map[string]class{
	"list": clsList, "address": clsAddress, "failed": clsFailed, "reason": clsReason, "stop": clsStop,
	"separator": clsSeparator, "separator line": clsSeparatorLine, "contact": clsContact,
	"delay": clsDelay, "final": clsFinal, "format": clsFormat, "challenge": clsChallenge, "fate": clsFate, "footer": clsFooter, "subject": clsSubject,
	"label": clsLabel, "sender": clsSender, "reply": clsReply, "host": clsHost, "addressee": clsAddressee,
}

type phrase struct {
	text   string
	class  class
	action mail.Action // of a list that is not one of failures
	detail string      // the program of a format, the kind of a subject
}

// hit is a phrase that was found: the text from from to to.
type hit struct {
	from, to int
	*phrase
}

// book is the phrases by their first three bytes, longest first, and the labels.
type book struct {
	phrases []phrase
	buckets [1 << 12][]uint16
	labels  map[string]class
}

// phrases and subjects are read when the first mail is: a command that reads no
// bounce does not pay for them.
var (
	phrases  = sync.OnceValue(func() *book { return readBook(phraseText, false) })
	subjects = sync.OnceValue(func() *book { return readBook(phraseText, true) })
)

func readBook(text string, ofSubjects bool) *book {
	b := &book{labels: make(map[string]class, 256)}
	var head phrase
	for line := range strings.SplitSeq(text, "\n") {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		if line[0] == '[' {
			head = section(strings.Trim(line, "[]"))
			continue
		}
		if head.class >= clsLabel {
			if _, taken := b.labels[line]; !taken {
				b.labels[line] = head.class
			}
			continue
		}
		if (head.class == clsSubject) != ofSubjects {
			continue
		}
		p := head
		p.text = line
		b.phrases = append(b.phrases, p)
	}
	for i := range b.phrases {
		t := b.phrases[i].text
		k := bucket(t)
		at := 0
		for at < len(b.buckets[k]) && len(b.phrases[b.buckets[k][at]].text) >= len(t) {
			at++
		}
		b.buckets[k] = slices.Insert(b.buckets[k], at, uint16(i))
	}
	return b
}

// section reads a heading: a class, and for some a word that says more.
func section(s string) phrase {
	if c, ok := classNames[s]; ok {
		return phrase{class: c}
	}
	name, detail, _ := strings.Cut(s, " ")
	if c := classNames[name]; c == clsList || c == clsFate {
		return phrase{class: c, action: mail.Action(detail)}
	}
	return phrase{class: classNames[name], detail: detail}
}

// bucket takes the start of a phrase, or of the rest of a text, of three bytes at
// least. What may stand for a space of a phrase counts as one.
func bucket(s string) int {
	second, third := spaced(s[1]), byte(0)
	if second != ' ' { // else more of them may follow
		third = spaced(s[2])
	}
	return (int(s[0])<<7 ^ int(second)<<4 ^ int(third)) & (1<<12 - 1)
}

func spaced(c byte) byte {
	if c == '\n' || c == '\t' || c == '(' {
		return ' '
	}
	return c
}

// find gives the phrases of a text in lower case, by where they begin. Where
// phrases of one class begin at the same place only the longest counts.
func (b *book) find(low string, hits []hit) []hit {
	boundary := true
	for i := 0; i+2 < len(low); i++ {
		c := low[i]
		if c&0xc0 == 0x80 {
			continue // inside of a character
		}
		if !boundary || c == ' ' || c == '\n' || c == '\t' {
			boundary = !isAlnum(c)
			continue
		}
		boundary = !isAlnum(c)
		var seen uint32
		for _, n := range b.buckets[bucket(low[i:])] {
			p := &b.phrases[n]
			if seen&(1<<p.class) != 0 {
				continue
			}
			if end, ok := matches(low, i, p.text); ok {
				seen |= 1 << p.class
				hits = append(hits, hit{i, end, p})
			}
		}
	}
	return hits
}

// matches compares the phrase with what stands at index i of low. A space of
// the phrase stands for any white space, and both must end at a word's end.
func matches(low string, i int, p string) (end int, ok bool) {
	for j := 0; j < len(p); j++ {
		if i >= len(low) {
			return 0, false
		}
		if c := p[j]; c != ' ' {
			if low[i] != c {
				return 0, false
			}
			i++
			continue
		}
		if low[i] == '(' {
			i = pastEnding(low, i)
		}
		if i >= len(low) || !isBlank(low[i]) {
			return 0, false
		}
		for i < len(low) && isBlank(low[i]) {
			i++
		}
	}
	if i < len(low) && isAlnum(low[i]) && isAlnum(p[len(p)-1]) {
		return 0, false
	}
	return i, true
}

// pastEnding skips the ending of a word that is left open: "recipient(s)",
// "destinataire(s) suivant(s)", "получателю(ям)". Reports say it where they do
// not count, so the phrase has the word without it.
func pastEnding(low string, i int) int {
	for j := i + 1; j < len(low) && j < i+10; j++ {
		switch c := low[j]; {
		case c == ')' && j > i+1:
			return j + 1
		case !isAlnum(c) && c < 0x80:
			return i
		}
	}
	return i
}

// isBlank tells what separates words, line ends included.
func isBlank(c byte) bool { return c == ' ' || c == '\n' || c == '\t' }
