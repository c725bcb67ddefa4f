package diagnose

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/postroad/postroad/mail"
)

// coarse maps classes to the coarse classes of the corpus (its README): two
// tables agree on these, not on finer ones.
var coarse = map[mail.Class]string{
	mail.RecipientUnknown: "recipient", mail.RecipientInactive: "recipient",
	mail.DNS:         "domain",
	mail.MailboxFull: "full", mail.Size: "full",
	mail.Authentication: "auth",
	mail.ReputationIP:   "reputation", mail.ReputationDomain: "reputation", mail.Blocklist: "reputation",
	mail.SenderRejected: "reputation",
	mail.Content:        "content or policy", mail.Policy: "content or policy", mail.TLS: "content or policy",
	mail.RelayDenied: "content or policy",
	mail.Throttling:  "rate",
	mail.Transport:   "network or system", mail.System: "network or system", mail.Protocol: "network or system",
	mail.Expired: "network or system", mail.Greylisting: "network or system", mail.Unknown: "network or system",
}

// labels maps the labels of the corpus to coarse classes; several where the
// label's own table is wider than ours, or where CLASSES decides otherwise.
var labels = map[string][]string{
	"userunknown": {"recipient"}, "hasmoved": {"recipient"}, "suspend": {"recipient"}, "filtered": {"recipient"},
	"hostunknown": {"domain"}, "notaccept": {"domain", "recipient"},
	"mailboxfull": {"full"}, "systemfull": {"full"}, "exceedlimit": {"full"}, "mesgtoobig": {"full"}, "emailtoolarge": {"full"},
	"authfailure": {"auth"}, "requireptr": {"auth"},
	"blocked": {"reputation"}, "badreputation": {"reputation"}, "rejected": {"reputation"},
	"spamdetected": {"content or policy"}, "virusdetected": {"content or policy"}, "contenterror": {"content or policy"},
	"policyviolation": {"content or policy"}, "notcompliantrfc": {"content or policy"}, "securityerror": {"content or policy"},
	"norelaying": {"content or policy"}, "failedstarttls": {"content or policy"},
	"toomanyconn": {"rate"}, "speeding": {"rate"},
	"expired": {"network or system"}, "networkerror": {"network or system"}, "systemerror": {"network or system"},
	"mailererror": {"network or system"}, "syntaxerror": {"network or system"}, "onhold": {"network or system"},
	"undefined": {"network or system"},
	// zone-mta defers whatever a later attempt may lift, block lists and limits alike.
	"defer/blacklist": {"reputation", "rate"}, "defer/greylist": {"network or system"}, "defer/capacity": {"rate", "network or system"},
	"defer/other":      {"rate", "network or system", "content or policy"},
	"reject/recipient": {"recipient"}, "reject/spam": {"content or policy"}, "reject/policy": {"content or policy"},
	"QuotaIssues": {"full"}, "InactiveMailbox": {"recipient"}, "InvalidRecipient": {"recipient"},
}

// operators are the corpus' names of providers.
var operators = map[string]string{
	"google": "google", "yahooinc": "yahoo", "apple": "apple", "franceptt": "orange", "godaddy": "godaddy", "microsoft": "exchange-online",
}

func TestLabelledReplies(t *testing.T) {
	data, err := os.ReadFile(corpus(t, "replies/labelled.json"))
	if err != nil {
		t.Fatal(err)
	}
	var replies []struct{ Text, Label, Scheme, Provider string }
	if err := json.Unmarshal(data, &replies); err != nil {
		t.Fatal(err)
	}
	e := shippedEngine(t)
	for _, known := range []bool{true, false} {
		right, graded := 0, 0
		for _, r := range replies {
			want, ok := labels[r.Label]
			if !ok {
				continue // "?": nobody has labelled it
			}
			graded++
			ev := Evidence{Text: r.Text}
			if known {
				ev.Provider = operators[r.Provider]
			}
			d := e.Diagnose(ev)
			got, fits := coarse[d.Class], false
			for _, w := range want {
				fits = fits || w == got
			}
			if fits {
				right++
			} else {
				t.Logf("%s: %s by %q: %.150s", r.Label, d.Class, d.Rule, r.Text)
			}
		}
		share := float64(right) / float64(graded)
		t.Logf("provider known %v: %d of %d in the coarse class, %.1f %%", known, right, graded, 100*share)
		if share < 0.92 {
			t.Errorf("provider known %v: only %.1f %%, the floor is 92 %%", known, 100*share)
		}
	}
}
