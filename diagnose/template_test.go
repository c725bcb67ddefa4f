package diagnose

import (
	"strings"
	"sync"
	"testing"
	"unicode/utf8"
)

func TestTemplate(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"550 5.1.1 <a@example.com>: Recipient address rejected", "550 5.1.1 <<address>>: Recipient address rejected"},
		{"host mx.example.com[192.0.2.25] said: 554 no mail from mx1.example.org [192.0.2.7] (in reply to MAIL FROM command)", "554 no mail from <host> [<ip>]"},
		{"451 4.7.1 wait 300 seconds, id=ABC123def456", "451 4.7.1 wait <n> seconds, id=<id>"},
		{"550 5.7.1 block list (S3150), see https://example.com/x?ip=192.0.2.1.", "550 5.7.1 block list (S3150), see <url>."},
		{"421 4.7.0 [TSS04] Messages from 2001:db8::1 deferred", "421 4.7.0 [TSS04] Messages from <ip> deferred"},
		{"550 5.1.1 RESOLVER.ADR.RecipNotFound; not found", "550 5.1.1 RESOLVER.ADR.RecipNotFound; not found"},
		{"550-one 12\n550 two 13", "550 one <n> two <n>"},
		{"550 5.4.300 Message expired -> 421 try mx7.example.net again at 12:30:01", "421 try <host> again at <n>"},
		{"user unknown", "user unknown"},
		{"", ""},
	} {
		if got := Template(c.text); got != c.want {
			t.Errorf("%q:\n got  %q\n want %q", c.text, got, c.want)
		}
	}
}

func FuzzTemplate(f *testing.F) {
	for _, c := range readPeelCases(f) {
		f.Add(c.Text)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := Template(s)
		if len(got) > maxTemplate+8192 || !utf8.ValidString(got) {
			t.Errorf("%d bytes: %q", len(got), got)
		}
		if strings.Contains(got, "@") {
			if i := strings.Index(got, "@"); i > 0 && wordByte(got[i-1]) {
				t.Errorf("an address is left: %q", got)
			}
		}
	})
}

func TestUnknownIsBoundedAndCounts(t *testing.T) {
	u := NewUnknown(3)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 10 {
				u.Add("550 foo bar 17")
				u.Add("550 foo bar 18")
			}
		})
	}
	all.Wait()
	u.Add("550 alpha")
	u.Add("550 beta")
	u.Add("550 beta")
	u.Add("550 gamma") // alpha gives way
	texts, lost := u.List()
	if len(texts) != 3 || texts[0].Template != "550 foo bar <n>" || texts[0].Count != 80 || texts[1].Template != "550 beta" {
		t.Errorf("%+v", texts)
	}
	if lost != 1 {
		t.Errorf("lost %d, want 1", lost)
	}
}
