package dkim

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"github.com/postroad/postroad/mailauth"
)

// maxInstance is the greatest number of sets in a chain (RFC 8617 section
// 4.2.1).
const maxInstance = 50

// Chain is the ARC chain of a message (RFC 8617 section 5.2).
type Chain struct {
	Result   mailauth.Result // None, Pass or Fail; there is no other word for a chain
	Reason   Reason          // of a Fail
	Instance int             // of a Fail: the set that broke the chain, 0 if none can be named
	Err      error           // of a Fail: an *Error

	// Temporary says that a key could not be had from DNS: the same message may pass
	// later.
	Temporary bool
	// OldestPass is the lowest instance whose message signature still holds, with all
	// above it; 0 means that all do: nobody has changed the message since the first seal
	// (section 5.2 step 5). It means nothing unless the chain passes.
	OldestPass int
	Sets       []Set // by instance, 1 first
	BareLF     bool  // as in Report
}

// Set is one ARC set: what one handler saw and what it signed.
type Set struct {
	Instance int
	Results  string       // ARC-Authentication-Results behind "i=N;", unfolded
	Message  Verification // ARC-Message-Signature
	Seal     Verification // ARC-Seal; Seal.Status is its cv=
}

// links is a chain on its way through an examination.
type links struct {
	e        *examination
	sets     []Set
	results  []int    // of each set: index of the ARC-Authentication-Results field
	messages []*check // of each set
	seals    []*check
	fault    *Error // of the structure: nothing has been checked then
	broken   int
	none     bool
}

// chain collects the ARC sets. If they form a chain, their signatures are put down for
// checking.
func (e *examination) chain() *links {
	l := &links{e: e}
	names := [3]string{"arc-authentication-results", "arc-message-signature", "arc-seal"}
	hashes := [3]uint32{nameHash(names[0]), nameHash(names[1]), nameHash(names[2])}
	var found [maxInstance + 1][3]int // index of the field + 1
	highest, any := 0, false
	for i := range e.fields {
		f := &e.fields[i]
		for k := range names {
			if !f.is(names[k], hashes[k]) {
				continue
			}
			any = true
			n, fault := instance(string(f.value()), k == 0)
			if fault == nil && found[n][k] > 0 {
				fault = &Error{Reason: ChainDuplicate, What: fmt.Sprintf("%s %d", names[k], n)}
			}
			if fault != nil {
				l.fail(n, fault)
				continue
			}
			found[n][k] = i + 1
			highest = max(highest, n)
		}
	}
	if l.none = !any; l.none {
		return l
	}
	l.sets = make([]Set, highest)
	l.results = make([]int, highest)
	for n := 1; n <= highest; n++ {
		s := &l.sets[n-1]
		s.Instance = n
		for k := range names {
			if found[n][k] == 0 {
				l.fail(n, &Error{Reason: ChainIncomplete, What: fmt.Sprintf("no %s %d", names[k], n)})
			}
		}
		if at := found[n][0]; at > 0 {
			l.results[n-1] = at - 1
			_, text, _ := strings.Cut(string(e.fields[at-1].value()), ";")
			s.Results = strings.Join(strings.Fields(text), " ")
		}
		l.read(s, found[n])
	}
	l.structure()
	if l.fault != nil { // no key is asked for, no body read
		for _, c := range slices.Concat(l.messages, l.seals) {
			if c.fault == nil {
				c.fault = l.fault
			}
		}
	}
	return l
}

// read reads the signatures of a set.
func (l *links) read(s *Set, found [3]int) {
	if found[1] > 0 {
		l.messages = append(l.messages, l.e.add(&s.Message, arcSignature, found[1]-1))
	}
	if found[2] > 0 {
		l.seals = append(l.seals, l.e.add(&s.Seal, arcSeal, found[2]-1))
	}
}

// instance reads i= of an ARC field; in the results it must come first.
func instance(value string, first bool) (int, *Error) {
	var text string
	if first {
		tag, _, ok := strings.Cut(value, ";")
		name, number, equals := strings.Cut(tag, "=")
		if !ok || !equals || trimSpace(name) != "i" {
			return 0, &Error{Reason: ChainInstance, Tag: "i", What: "not the first tag"}
		}
		text = trimSpace(number)
	} else {
		tags, fault := parseTags(value)
		if text, _ = tags.Get("i"); text == "" && fault != nil {
			return 0, fault
		}
	}
	n, ok := number(text, 9)
	switch {
	case !ok || n < 1:
		return 0, &Error{Reason: ChainInstance, Tag: "i", What: "not a number from 1 to 50"}
	case n > maxInstance:
		return 0, &Error{Reason: ChainLong, Tag: "i", What: fmt.Sprintf("more than %d sets", maxInstance)}
	}
	return int(n), nil
}

// fail keeps the first reason.
func (l *links) fail(instance int, fault *Error) {
	if l.fault == nil {
		l.broken, l.fault = instance, fault
	}
}

// structure looks at the chain as a whole before anything is computed (RFC 8617
// section 5.2 steps 2 and 3).
func (l *links) structure() {
	if n := len(l.seals); l.fault == nil && l.seals[n-1].Status == "fail" {
		l.fail(n, &Error{Reason: ChainFailed, Tag: "cv"})
	}
	for i, s := range l.seals {
		if l.fault != nil {
			return
		}
		want := "pass"
		if i == 0 {
			want = "none"
		}
		switch {
		case s.fault != nil:
			l.fail(i+1, s.fault)
		case s.Status != want:
			l.fail(i+1, &Error{Reason: ChainStatus, Tag: "cv", What: "must be " + want + " at instance " + fmt.Sprint(i+1)})
		}
	}
}

// judge checks the seals and says what the chain is (steps 4 to 7).
func (l *links) judge(bareLF bool) Chain {
	c := Chain{Result: mailauth.None, Sets: l.sets, BareLF: bareLF}
	if l.none {
		return c
	}
	if l.fault == nil {
		l.proveSeals()
		newest := len(l.sets)
		if fault := l.messages[newest-1].fault; fault != nil {
			l.fail(newest, fault)
		}
		for i := newest - 1; i >= 0; i-- {
			if fault := l.seals[i].fault; fault != nil {
				l.fail(i+1, fault)
			}
		}
	}
	if l.fault != nil {
		c.Result, c.Reason, c.Err, c.Instance = mailauth.Fail, l.fault.Reason, l.fault, l.broken
		c.Temporary = c.Reason == KeyUnavailable
		return c
	}
	c.Result = mailauth.Pass
	for i := len(l.sets) - 1; i >= 0; i-- {
		if l.messages[i].fault != nil {
			c.OldestPass = i + 2
			break
		}
	}
	return c
}

// proveSeals checks each seal: it covers all sets up to its own, oldest first, always
// relaxed (RFC 8617 section 5.1.1).
func (l *links) proveSeals() {
	var text []byte
	for i, seal := range l.seals {
		text = appendField(text, Relaxed, l.e.fields[l.results[i]].raw)
		text = appendField(text, Relaxed, l.e.fields[l.messages[i].field].raw)
		raw := l.e.fields[seal.field].raw
		if seal.fault == nil {
			before := len(text)
			text = appendUnsigned(text, Relaxed, raw)
			if seal.HeaderIntact = seal.holds(sha256.Sum256(text)); !seal.HeaderIntact {
				seal.fault = &Error{Reason: HeaderSignature, Tag: "b", What: "the sets were changed, or another key sealed"}
				seal.conclude()
			}
			text = text[:before]
		}
		text = appendField(text, Relaxed, raw)
	}
}
