package explain_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/postroad/postroad/explain"
	"github.com/postroad/postroad/mail"
)

// corpusRoot is the public test data beside the project, if it is there.
const corpusRoot = "../../shared/corpus/bounces"

// record is one expected answer of the corpus, by another program's reading.
type record struct {
	Status, Replycode, Reason string
}

// coarse folds the corpus' reasons and our classes into groups: the finer words
// of two vocabularies do not map one to one. A class may stand in two groups
// where the corpus itself wobbles; docs/classes.md has the reasons.
var coarseReason = map[string]string{
	"userunknown": "recipient", "hasmoved": "recipient", "suspend": "recipient", "filtered": "recipient",
	"hostunknown": "domain", "notaccept": "domain",
	"mailboxfull": "full", "systemfull": "full", "exceedlimit": "full", "mesgtoobig": "full", "emailtoolarge": "full",
	"authfailure": "auth", "requireptr": "auth",
	"blocked": "reputation", "badreputation": "reputation", "rejected": "reputation",
	"spamdetected": "content", "virusdetected": "content", "contenterror": "content", "policyviolation": "content",
	"notcompliantrfc": "content", "securityerror": "content", "norelaying": "content", "failedstarttls": "content",
	"toomanyconn": "rate", "speeding": "rate",
	"expired": "network", "networkerror": "network", "systemerror": "network", "mailererror": "network",
	"syntaxerror": "network", "onhold": "network", "undefined": "network",
	"feedback": "none", "vacation": "none", "delivered": "none",
}

var coarseClass = map[mail.Class][]string{
	mail.Transport: {"network"}, mail.DNS: {"domain", "network"}, mail.TLS: {"content"},
	mail.Throttling: {"rate"}, mail.Greylisting: {"rate", "network"},
	mail.ReputationIP: {"reputation"}, mail.ReputationDomain: {"reputation"}, mail.Blocklist: {"reputation"},
	mail.Authentication: {"auth"}, mail.Policy: {"content"}, mail.Content: {"content"},
	mail.RecipientUnknown: {"recipient"}, mail.RecipientInactive: {"recipient"}, mail.MailboxFull: {"full"},
	mail.RelayDenied: {"content"}, mail.Size: {"full"}, mail.SenderRejected: {"reputation"},
	mail.Protocol: {"network", "content"}, mail.System: {"network"}, mail.Expired: {"network"}, mail.Unknown: {"network"},
}

func corpusExpected(t testing.TB) map[string][]record {
	data, err := os.ReadFile(filepath.Join(corpusRoot, "expected.json"))
	if err != nil {
		t.Skipf("corpus not here: %v", err)
	}
	var expected map[string][]record
	if err := json.Unmarshal(data, &expected); err != nil {
		t.Fatal(err)
	}
	return expected
}

func corpusMail(t testing.TB, kind, name string) []byte {
	raw, err := os.ReadFile(filepath.Join(corpusRoot, "sisimai-set-of-emails", kind, name))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestConformanceBounceCorpus grades the public bounces: failed recipients and
// permanent or temporary, and the coarse class.
func TestConformanceBounceCorpus(t *testing.T) {
	expected := corpusExpected(t)
	x := explainer(t, nil)
	var bounces, right, classes, classRight, shared int
	for _, name := range sortedKeys(expected) {
		want := expected[name]
		a := x.Answer(name, corpusMail(t, "bsd", name), false)
		if coarseReason[want[0].Reason] == "none" {
			if a.Kind == explain.KindBounce {
				t.Errorf("%s: a bounce, want %s", name, want[0].Reason)
			}
			continue
		}
		bounces++
		if len(a.Results) == len(want) && severities(a, want) {
			right++
		} else {
			t.Logf("%s: %d results %v, want %d %v", name, len(a.Results), outcomes(a), len(want), want)
		}
		for i, w := range want {
			classes++
			if i < len(a.Results) && a.Results[i].Diagnosis != nil && classFits(a, w, i) {
				classRight++
			} else if i < len(a.Results) && a.Results[i].Diagnosis != nil && contributingFits(a, w, i) {
				shared++
			} else if i < len(a.Results) && a.Results[i].Diagnosis != nil {
				d := a.Results[i].Diagnosis
				t.Logf("%s: class %s by %q, want %s: %.200q", name, d.Class, d.Rule, w.Reason, a.Results[i].Text)
			}
		}
	}
	t.Logf("recipients and severity %d of %d (%.1f %%), coarse class %d of %d (%.1f %%), %d more where it is said to contribute: %.1f %%", right, bounces,
		100*float64(right)/float64(bounces), classRight, classes, 100*float64(classRight)/float64(classes), shared,
		100*float64(classRight+shared)/float64(classes))
	if right*100 < bounces*98 {
		t.Errorf("recipients and severity right for %d of %d, the bar is 98 %%", right, bounces)
	}
	if (classRight+shared)*100 < classes*95 {
		t.Errorf("coarse class right for %d of %d, the bar is 95 %%", classRight+shared, classes)
	}
}

func sortedKeys(m map[string][]record) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func outcomes(a *explain.Answer) (out []string) {
	for _, r := range a.Results {
		out = append(out, string(r.Outcome)+" "+r.Status)
	}
	return out
}

// severities compares permanent and temporary, where the corpus knows it: a
// status such as 5.0.9xx is the table's own invention.
func severities(a *explain.Answer, want []record) bool {
	for i, w := range want {
		code := w.Status
		if len(code) >= 5 && strings.HasPrefix(code[1:], ".0.9") {
			code = w.Replycode
		}
		var expect mail.Outcome
		switch {
		case strings.HasPrefix(code, "5"):
			expect = mail.Permanent
		case strings.HasPrefix(code, "4"):
			expect = mail.Temporary
		default:
			continue
		}
		if a.Results[i].Outcome != expect {
			return false
		}
	}
	return true
}

// classFits accepts any order among the results of one mail.
func classFits(a *explain.Answer, w record, i int) bool {
	group := coarseReason[w.Reason]
	c := a.Results[i].Diagnosis.Class
	if group == "domain" && c == mail.RecipientUnknown {
		return true // null MX
	}
	return slices.Contains(coarseClass[c], group)
}

// contributingFits accepts the class that the verdict names beside the first: one
// reply often speaks of two things (TSS04 is a limit set by reputation), and the
// corpus keeps one of them.
func contributingFits(a *explain.Answer, w record, i int) bool {
	for _, c := range a.Results[i].Diagnosis.Contributing {
		if slices.Contains(coarseClass[c], coarseReason[w.Reason]) {
			return true
		}
	}
	return false
}

// TestLineEndsDoNotMatter wants the same answer of the CRLF and CR copies.
func TestLineEndsDoNotMatter(t *testing.T) {
	corpusExpected(t)
	x := explainer(t, nil)
	for _, kind := range []string{"dos", "mac"} {
		entries, err := os.ReadDir(filepath.Join(corpusRoot, "sisimai-set-of-emails", kind))
		if err != nil {
			t.Fatal(err)
		}
		compared := 0
		for _, e := range entries {
			if _, err := os.Stat(filepath.Join(corpusRoot, "sisimai-set-of-emails", "bsd", e.Name())); err != nil {
				continue
			}
			compared++
			a, _ := json.Marshal(x.Answer("x", corpusMail(t, "bsd", e.Name()), false))
			b, _ := json.Marshal(x.Answer("x", corpusMail(t, kind, e.Name()), false))
			if string(a) != string(b) {
				t.Errorf("%s/%s differs:\n%s\n%s", kind, e.Name(), a, b)
			}
		}
		if compared < 20 {
			t.Errorf("%s: only %d copies were compared", kind, compared)
		}
	}
}

func TestNotABounce(t *testing.T) {
	corpusExpected(t)
	x := explainer(t, nil)
	for _, kind := range []string{"not", "err", "tmp"} {
		entries, err := os.ReadDir(filepath.Join(corpusRoot, "sisimai-set-of-emails", kind))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			a := x.Answer("x", corpusMail(t, kind, e.Name()), false)
			if kind == "not" && (a.Kind == explain.KindBounce || a.Kind == explain.KindDelayed) {
				t.Errorf("%s is a %s", e.Name(), a.Kind)
			}
		}
	}
}
