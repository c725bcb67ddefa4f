package analyze

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/event"
	"github.com/postroad/postroad/lang"
	"github.com/postroad/postroad/mail"
)

// TestEveryIncidentSpeaks says every kind of incident in every language: each
// has a summary and steps, none with a gap or a bare key.
func TestEveryIncidentSpeaks(t *testing.T) {
	for _, tag := range lang.Languages() {
		texts := lang.Open(tag)
		for _, class := range mail.Classes {
			for _, actor := range mail.Actors {
				for _, in := range kinds(class, actor) {
					name := fmt.Sprintf("%s %s %s %s rate %v", tag, class, actor, in.State, in.Rate != nil)
					next := nextSteps(texts, &in)
					if len(next) == 0 || len(next) > 8 {
						t.Errorf("%s: %d steps: %q", name, len(next), next)
					}
					all := summary(texts, &in, cet) + "\n" + strings.Join(next, "\n")
					if m := unkeyed.FindString(all); m != "" {
						t.Errorf("%s: %s has no text: %s", name, m, all)
					}
					if m := missing.FindString(all); m != "" || strings.Contains(all, "()") {
						t.Errorf("%s: a value is missing: %s", name, all)
					}
				}
			}
		}
	}
}

// missing is a mark with nothing before it; a colon may have a space in French.
var missing = regexp.MustCompile(` [.,](\s|$)`)

// kinds gives incidents with much and with little known.
func kinds(class mail.Class, actor mail.Actor) []Incident {
	in := yahoo()
	in.Class, in.Actor = class, actor
	over := recovered()
	over.Class, over.Actor = class, actor
	unproved := over
	unproved.After = nil
	bare := Incident{Name: "example.net", Class: class, Actor: actor, Began: at(9, 0, 0), Detected: at(9, 0, 0), State: Open, FailedMessages: 1, Confidence: 0.5}
	two := in
	two.AtOnce = []string{"Google"}
	return []Incident{in, over, unproved, bare, two}
}

// TestNoEvasion holds the advice to docs/classes.md: who is distrusted is not
// told of other addresses, and nobody is told to weaken anything.
func TestNoEvasion(t *testing.T) {
	texts := lang.Open("en")
	for _, class := range []mail.Class{mail.ReputationIP, mail.ReputationDomain, mail.Blocklist, mail.Throttling, mail.Authentication, mail.Content, mail.Policy} {
		in := block()
		in.Class = class
		in.Addresses = yahoo().Addresses
		for _, s := range nextSteps(texts, &in) {
			if strings.Contains(s, "192.0.2.25") || strings.Contains(s, "188.125.72.73") {
				t.Errorf("%s: a detour is advised: %s", class, s)
			}
		}
	}
	in := yahoo()
	in.Sources = block().Sources
	steps := strings.Join(nextSteps(texts, &in), "\n")
	if !strings.Contains(steps, "192.0.2.25") || !strings.Contains(steps, "67.195.204.72") {
		t.Errorf("the addresses that work are not named: %s", steps)
	}
	in.Class = mail.System
	if steps := strings.Join(nextSteps(texts, &in), "\n"); strings.Contains(steps, "192.0.2.25") {
		t.Errorf("trouble inside the receiver moves mail to other addresses of ours: %s", steps)
	}
}

func TestRecoveryTakesNumbers(t *testing.T) {
	texts := lang.Open("en")
	in := recovered()
	if s := summary(texts, &in, cet); !strings.Contains(s, "It is over") || !strings.Contains(s, "309") {
		t.Errorf("no numbers: %s", s)
	}
	for _, after := range []*After{nil, {}} {
		in.After = after
		if s := summary(texts, &in, cet); strings.Contains(s, "It is over") {
			t.Errorf("a recovery is claimed without numbers: %s", s)
		}
	}
}

// TestEverySkipHasWords reads the reasons where they are declared.
func TestEverySkipHasWords(t *testing.T) {
	source, err := os.ReadFile("../event/event.go")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`\bSkip\w+ +Skip = "([^"]+)"`).FindAllStringSubmatch(string(source), -1)
	if len(found) < 14 {
		t.Fatalf("only %d reasons found", len(found))
	}
	for _, m := range found {
		for _, tag := range lang.Languages() {
			if words := skipWords(lang.Open(tag), event.Skip(m[1])); strings.HasPrefix(words, "skip.") {
				t.Errorf("%s: %s has no words", tag, m[1])
			}
		}
	}
}

func TestAtOnce(t *testing.T) {
	in, other, late, over, elsewhere := yahoo(), yahoo(), yahoo(), recovered(), throttle()
	other.Provider, other.Name = "google", "Google"
	late.Provider, late.Name, late.Began = "gmx", "GMX", at(11, 0, 0)
	over.Provider, over.Name = "apple", "Apple"
	list := []Incident{in, other, late, over, elsewhere}
	atOnce(list, 10*time.Minute)
	for i, want := range [][]string{{"Google"}, {"Yahoo"}, nil, nil, nil} {
		if !slices.Equal(list[i].AtOnce, want) {
			t.Errorf("%s: with %q, want %q", list[i].Name, list[i].AtOnce, want)
		}
	}
}

func TestSpark(t *testing.T) {
	for _, c := range []struct {
		shares []float64
		want   string
	}{
		{[]float64{1, 0.999, 0.5, 0.01, 0, -1}, "█▇▅▂▁·"},
		{nil, ""},
	} {
		if got := spark(c.shares); got != c.want {
			t.Errorf("spark(%v) = %s, want %s", c.shares, got, c.want)
		}
	}
	if got := squeeze([]float64{1, 0, -1, 1, -1, -1, 0.5}, 4); !slices.Equal(got, []float64{0.5, 1, -1, 0.5}) {
		t.Errorf("squeezed to %v", got)
	}
}

func TestShares(t *testing.T) {
	for _, c := range []struct {
		part, all int64
		want      int
	}{{0, 0, 0}, {0, 9, 0}, {1, 1000, 1}, {999, 1000, 99}, {1000, 1000, 100}, {1, 3, 33}, {2, 3, 67}, {5, 3, 100}, {-1, 3, 0}} {
		if got := whole(c.part, c.all); got != c.want {
			t.Errorf("%d of %d is %d %%, want %d", c.part, c.all, got, c.want)
		}
	}
}

// TestColourSaysNothingAlone prints with colour and without: the words are the same.
func TestColourSaysNothingAlone(t *testing.T) {
	r := everything()
	plainText := speak(t, "en", r, 100)
	var b strings.Builder
	p := Printer{W: &b, Texts: lang.Open("en"), Colour: true, Zone: cet, Now: at(12, 21, 0)}
	if err := p.Print(r); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "\x1b[") {
		t.Error("there is no colour")
	}
	if got := regexp.MustCompile("\x1b\\[[0-9;]*m").ReplaceAllString(b.String(), ""); got != plainText {
		t.Errorf("without its colours it is:\n%s\nwant:\n%s", got, plainText)
	}
}
