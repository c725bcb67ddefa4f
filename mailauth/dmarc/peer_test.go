package dmarc

import (
	"strings"
	"testing"

	peer "github.com/emersion/go-msgauth/dmarc"
)

// plain are records without anything wrong, as most are.
var plain = []string{
	"v=DMARC1; p=none; rua=mailto:d@example.com",
	"v=DMARC1; p=reject; sp=quarantine; adkim=s; aspf=r; pct=50; rua=mailto:d@example.com,mailto:e@example.net",
	"v=DMARC1;p=quarantine;rua=mailto:d@example.com;ruf=mailto:f@example.com;fo=1",
	"v=DMARC1; p=reject; rua=mailto:d@example.com; aspf=s;",
}

// TestPeer reads what is right as the library of others reads it.
func TestPeer(t *testing.T) {
	for _, text := range plain {
		ours, err := ParseRecord(text)
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := peer.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		percent := 100
		if theirs.Percent != nil {
			percent = *theirs.Percent
		}
		var uris []string
		for _, u := range ours.Aggregate {
			uris = append(uris, u.Text)
		}
		if string(ours.Policy) != string(theirs.Policy) || string(ours.Subdomains) != string(theirs.SubdomainPolicy) ||
			ours.Percent != percent || string(ours.DKIM) != string(theirs.DKIMAlignment) ||
			string(ours.SPF) != string(theirs.SPFAlignment) ||
			strings.Join(uris, ",") != strings.Join(theirs.ReportURIAggregate, ",") {
			t.Errorf("%s\nours   %+v\ntheirs %+v", text, ours, theirs)
		}
	}
}

// BenchmarkParseRecord is beside the same of go-msgauth.
func BenchmarkParseRecord(b *testing.B) {
	b.Run("ours", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			for _, text := range plain {
				if _, err := ParseRecord(text); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
	b.Run("go-msgauth", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			for _, text := range plain {
				if _, err := peer.Parse(text); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}
