package zone

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// Fault is one way in which an answer is not what the data says.
type Fault string

// The faults. Where several are given they are applied in this order; the first
// that decides the whole answer ends it.
const (
	Drop      Fault = "drop"      // no answer at all; in memory: none until the context ends
	Close     Fault = "close"     // TCP: closed instead of an answer; UDP: as Drop
	Garbage   Fault = "garbage"   // the header says an answer, the rest is random bytes cut off in a record
	Half      Fault = "half"      // TCP: the first half of the answer, then closed; UDP: half the datagram
	Loop      Fault = "loop"      // a compression pointer that points at itself as owner of the answer
	Refused   Fault = "refused"   // REFUSED, what a lame server mostly says
	Referral  Fault = "referral"  // not authoritative, the root servers' names instead: the other lameness
	ServFail  Fault = "servfail"  // SERVFAIL
	FormErr   Fault = "formerr"   // FORMERR
	NotImp    Fault = "notimp"    // NOTIMP
	Absent    Fault = "nxdomain"  // NXDOMAIN with the zone's SOA
	Empty     Fault = "empty"     // NOERROR and nothing, not even a SOA
	OldServer Fault = "noedns"    // FORMERR if the question has EDNS, as before RFC 6891
	Truncated Fault = "tc"        // UDP: truncated, nothing in it; TCP: fine
	AlwaysTC  Fault = "tc-always" // truncated over TCP too
	Chain     Fault = "chain"     // an alias of a name that is asked for next and is an alias, without end
	Spoofed   Fault = "spoofed"   // UDP: forged answers with a wrong id and a wrong question first, then the right one
	WrongID   Fault = "wrong-id"  // only an answer with another id
	WrongName Fault = "wrong-question"
	Poison    Fault = "poison"   // adds records of a name that was not asked for, in all sections
	Unsigned  Fault = "unsigned" // without signatures and proofs
	BadSig    Fault = "badsig"   // with signatures that do not fit
	Validated Fault = "ad"       // AD is set if the question has DO or AD: as a validating resolver for a signed zone
	Bogus     Fault = "bogus"    // SERVFAIL (RFC 8914 code 6) unless the question has CD: as a validating resolver
	Huge      Fault = "huge"     // as many records more as fit into 64 KiB
	Endless   Fault = "endless"  // TCP: a length of 65535 and then a byte a second
	Forged    Fault = "forged"   // right id and question, records of another address
)

// Faults lists all of them.
func Faults() []Fault { return slices.Clone(faults) }

var faults = []Fault{Drop, Close, Garbage, Half, Loop, Refused, Referral, ServFail, FormErr, NotImp, Absent, Empty,
	OldServer, Truncated, AlwaysTC, Chain, Spoofed, WrongID, WrongName, Poison, Unsigned, BadSig, Validated, Bogus,
	Huge, Endless, Forged}

// Behaviour is how a name is answered for where it is not honestly and at once.
type Behaviour struct {
	Delay  time.Duration // before the answer
	Times  int           // only so many answers, then honest ones; 0 is always
	Faults []Fault
}

// scope is what a behaviour is for.
type scope struct {
	name    string // with the final dot
	below   bool   // the names below it, not the name itself (for the root: that too)
	kind    uint16 // 0 is all
	network string // "" is both
}

// ParseBehaviour reads words that are separated by white space: any [Fault],
// "delay=2s" (at most an hour) and "times=3".
func ParseBehaviour(text string) (Behaviour, error) {
	var b Behaviour
	words := strings.Fields(text)
	if len(words) == 0 {
		return b, errors.New("parse behaviour: no words")
	}
	for _, w := range words {
		key, value, _ := strings.Cut(strings.ToLower(w), "=")
		switch {
		case key == "delay":
			d, err := time.ParseDuration(value)
			if err != nil || d < 0 || d > time.Hour {
				return b, fmt.Errorf("parse behaviour: %q is no delay up to 1h", w)
			}
			b.Delay = d
		case key == "times":
			n, err := strconv.Atoi(value)
			if err != nil || n < 1 {
				return b, fmt.Errorf("parse behaviour: %q is no number of answers", w)
			}
			b.Times = n
		case slices.Contains(faults, Fault(strings.ToLower(w))):
			if f := Fault(strings.ToLower(w)); !b.is(f) {
				b.Faults = append(b.Faults, f)
			}
		default:
			return b, fmt.Errorf("parse behaviour: %q is none of %s, delay=, times=", w, names(faults))
		}
	}
	return b, nil
}

func names(all []Fault) string {
	words := make([]string, len(all))
	for i, f := range all {
		words[i] = string(f)
	}
	return strings.Join(words, ", ")
}

// String gives the words that [ParseBehaviour] reads.
func (b Behaviour) String() string {
	var words []string
	if b.Delay > 0 {
		words = append(words, "delay="+b.Delay.String())
	}
	if b.Times > 0 {
		words = append(words, "times="+strconv.Itoa(b.Times))
	}
	for _, f := range b.Faults {
		words = append(words, string(f))
	}
	return strings.Join(words, " ")
}

func (b *Behaviour) is(f Fault) bool { return slices.Contains(b.Faults, f) }

// Behave sets how a name is answered for, as an $ANSWER line does: what is
// "*", "*.example.com" or "mx.example.com", optionally followed by a type and
// "udp" or "tcp". The words are those of [ParseBehaviour]; "" is honest again.
func (d *Data) Behave(what, words string) error {
	p := &parsed{faults: make(map[scope]*Behaviour)}
	honest := strings.TrimSpace(words) == ""
	if honest {
		words = "empty" // only so that the line can be read
	}
	if err := p.answer(strings.Fields(what+" "+words), "."); err != nil {
		return fmt.Errorf("change an answer: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for s, b := range p.faults {
		if honest {
			delete(d.faults, s)
			delete(d.left, s)
			continue
		}
		d.behave(s, b)
	}
	return nil
}

func (d *Data) behave(s scope, b *Behaviour) {
	d.faults[s] = b
	delete(d.left, s)
	if b.Times > 0 {
		d.left[s] = b.Times
	}
}

// behaviour gives the narrowest that fits the question and counts it off.
func (d *Data) behaviour(q dns.Question, network string) Behaviour {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.faults) == 0 {
		return Behaviour{}
	}
	name := fold(q.Name)
	for at, below := name, false; ; {
		for _, s := range [...]scope{{at, below, q.Qtype, network}, {at, below, q.Qtype, ""}, {at, below, 0, network}, {at, below, 0, ""}} {
			b := d.faults[s]
			if b == nil {
				continue
			}
			if b.Times > 0 {
				if d.left[s] == 0 {
					continue
				}
				d.left[s]--
			}
			return *b
		}
		if below && at == "." {
			return Behaviour{}
		}
		if at != "." {
			at = parentOf(at)
		}
		below = true
	}
}
