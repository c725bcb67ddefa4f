package header

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/lang"
	"github.com/postroad/postroad/message"
)

var update = flag.Bool("update", false, "write the answers of today into testdata")

// now is the day on which the cases are read.
var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func read(raw string, now time.Time) Report {
	h, _ := message.ParseHeader([]byte(raw))
	return Read(h, now)
}

// answer is what a case file holds: the JSON form and the grounds.
type answer struct {
	Report
	Why []string `json:"why"`
}

func TestRead(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) < 15 {
		t.Fatalf("%d cases, %v", len(files), err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		r := read(string(raw), now)
		check(t, r)
		a := answer{Report: r, Why: []string{}}
		for _, w := range r.Why {
			a.Why = append(a.Why, strings.TrimSpace(w.Key+" "+w.Fragment))
		}
		got, err := json.MarshalIndent(a, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, '\n')
		golden := strings.TrimSuffix(file, ".txt") + ".json"
		if *update {
			if err := os.WriteFile(golden, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Errorf("%s\ngot\n%s\nwant\n%s", file, got, want)
		}
	}
}

// TestVerdicts states what the cases are about, so that an update of the files
// cannot wave a wrong verdict through.
func TestVerdicts(t *testing.T) {
	for name, want := range map[string]Verdict{
		"m365-junk": Junk, "m365-inbox": Inbox, "m365-quarantine": Quarantine, "m365-spoof": Junk,
		"m365-released": Inbox, "gmail-dmarc": Junk, "forged": Unknown, "exchange-onprem": Junk, "outlook-com": Junk, "gmail": Junk, "yahoo": Junk, "gmx": Junk,
		"spamassassin": Junk, "rspamd": Junk, "postfix-only": Unknown, "clock-skew": Unknown,
		"broken-dates": Unknown, "sent-by-m365": Unknown, "icloud": Junk, "empty": Unknown,
	} {
		raw, err := os.ReadFile("testdata/" + name + ".txt")
		if err != nil {
			t.Fatal(err)
		}
		r := read(string(raw), now)
		if r.Verdict != want {
			t.Errorf("%s: %s, want %s", name, r.Verdict, want)
		}
		if (r.Verdict == Unknown) != (len(r.Why) == 0) {
			t.Errorf("%s: verdict %s with %d reasons", name, r.Verdict, len(r.Why))
		}
	}
}

// check holds for every header.
func check(t *testing.T, r Report) {
	t.Helper()
	text := lang.Open("en")
	var sum time.Duration
	for i, h := range r.Hops {
		if h.Delay < 0 {
			t.Errorf("hop %d: delay %v", i, h.Delay)
		}
		if h.Skew != 0 && h.Delay != 0 {
			t.Errorf("hop %d: a delay of a clock that is not believed", i)
		}
		sum += h.Delay
		if (i == r.Border) != h.Border {
			t.Errorf("hop %d: border %v, report says %d", i, h.Border, r.Border)
		}
	}
	if diff := sum - r.Transit; diff > time.Duration(len(r.Hops))*tolerance || diff < 0 && -diff > time.Duration(len(r.Hops))*tolerance {
		t.Errorf("delays sum up to %v, transit is %v", sum, r.Transit)
	}
	if len(r.Hops) > MaxHops || len(r.Findings) > maxFindings || len(r.Auth) > maxAuth || len(r.DKIM) > maxAuth || len(r.ARC) > maxAuth {
		t.Errorf("bounds: %d hops, %d findings, %d auth, %d dkim, %d arc", len(r.Hops), len(r.Findings), len(r.Auth), len(r.DKIM), len(r.ARC))
	}
	if r.Slowest >= len(r.Hops) || r.Border >= len(r.Hops) {
		t.Errorf("slowest %d, border %d of %d hops", r.Slowest, r.Border, len(r.Hops))
	}
	for _, f := range r.Findings {
		if !text.Has(f.Key) {
			t.Errorf("no text for %s", f.Key)
		}
		if len(f.Value) > maxValue || len(f.Fragment) > maxValue {
			t.Errorf("%s: value of %d bytes", f.Key, len(f.Value))
		}
	}
	for _, w := range r.Why {
		if !text.Has(w.Key) {
			t.Errorf("no text for %s", w.Key)
		}
	}
	if !text.Has("header.verdict." + string(r.Verdict)) {
		t.Errorf("no text for verdict %q", r.Verdict)
	}
}

func TestManyReceived(t *testing.T) {
	var b strings.Builder
	at := time.Date(2024, 1, 22, 9, 0, 0, 0, time.UTC)
	for i := range 200 {
		b.WriteString("Received: from a.example.org by b.example.org with ESMTP; " +
			at.Add(-time.Duration(i)*time.Second).Format(time.RFC1123Z) + "\r\n")
	}
	r := read(b.String(), now)
	check(t, r)
	if len(r.Hops) != MaxHops || r.Dropped != 200-MaxHops {
		t.Errorf("%d hops, %d dropped", len(r.Hops), r.Dropped)
	}
	if last := r.Hops[MaxHops-1].Time; !last.Equal(at) {
		t.Errorf("the newest hops are not the ones that were kept: %v", last)
	}
	if r.Transit != (MaxHops-1)*time.Second {
		t.Errorf("transit %v", r.Transit)
	}
}

func TestBounds(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	for name, raw := range map[string]string{
		"one long value":  "Received: from " + long + " by " + long + "\nX-Forefront-Antispam-Report: SCL:" + long + ";CAT:" + long + "\n",
		"open comments":   "Received: " + strings.Repeat("(", 1<<18) + "\nAuthentication-Results: " + strings.Repeat("(", 1<<18) + "\n",
		"many results":    "Authentication-Results: a; " + strings.Repeat("spf=pass; ", 5000) + "\n",
		"many fields":     strings.Repeat("Authentication-Results: a; spf=fail\nDKIM-Signature: d=x\nARC-Seal: i=77; cv=pass\n", 2000),
		"many properties": "Authentication-Results: a; spf=pass " + strings.Repeat("a.b=c ", 5000) + "\n",
		"many filters":    strings.Repeat("X-Spam-Flag: YES\nX-Spam: yes\n", 2000),
	} {
		r := read(raw, now)
		check(t, r)
		if b, err := json.Marshal(r); err != nil || len(b) > 300<<10 {
			t.Errorf("%s: JSON of %d bytes, %v", name, len(b), err)
		}
	}
}

func FuzzRead(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.txt")
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(raw))
	}
	f.Fuzz(func(t *testing.T, raw string) {
		r := read(raw, now)
		check(t, r)
		if _, err := json.Marshal(r); err != nil {
			t.Error(err)
		}
	})
}

func BenchmarkRead(b *testing.B) {
	raw, err := os.ReadFile("testdata/m365-junk.txt")
	if err != nil {
		b.Fatal(err)
	}
	h, _ := message.ParseHeader(raw)
	b.ReportAllocs()
	for b.Loop() {
		Read(h, now)
	}
}

func TestSmallRules(t *testing.T) {
	r := read("Authentication-Results: x.example; spf=pass (a; b=c (d; e)) smtp.mailfrom=\"a;b\"@c.example; dkim=fail", now)
	if len(r.Auth) != 1 || len(r.Auth[0].Results) != 2 || r.Auth[0].Results[0].Comment != "a; b=c (d; e)" {
		t.Errorf("comments and quotes do not hold the semicolon: %+v", r.Auth)
	}
	if keys := keysOf("X-Spam-Flag: NO\nX-Spam-Flag: YES"); keys["header.spamflag.yes"] || !keys["header.spamflag.no"] {
		t.Errorf("the topmost field does not count: %v", keys)
	}
	r = read("Received: from a.example.org by b.example.org with HTTP from c.example.org; Mon, 22 Jan 2024 09:00:00 +0000", now)
	if r.Hops[0].From != "a.example.org" || r.Hops[0].By != "b.example.org" {
		t.Errorf("a second from: %+v", r.Hops[0])
	}
	r = read("Received: from a.example.org by b.example.org id X1 Mon, 22 Jan 2024 09:00:00 +0100", now)
	if h := r.Hops[0]; h.ID != "X1" || h.Time.IsZero() || h.Raw != "" {
		t.Errorf("a date without its semicolon: %+v", h)
	}
	r = read("Received: by new.example.org; Mon, 22 Jan 2024 09:00:00 +0000\n"+
		"Received: by old.example.org; Mon, 22 Jan 2024 10:00:00 +0000", now)
	if r.Hops[0].Skew != time.Hour || r.Hops[1].Skew != 0 || r.Transit != 0 {
		t.Errorf("of two clocks the receiver's is not believed: %+v", r.Hops)
	}
	r = read("ARC-Seal: i=51; cv=pass\nARC-Seal: i=0; cv=pass\nARC-Seal: i=x; cv=pass\nARC-Seal: i=2; cv=pass\nARC-Seal: i=1; cv=none", now)
	if len(r.ARC) != 2 || r.ARC[0].Instance != 1 || r.ARC[1].Seal != "pass" {
		t.Errorf("ARC sets: %+v", r.ARC)
	}
}
