package world

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/mail"
)

func TestScenarioErrors(t *testing.T) {
	base := strings.Replace(one, "%s", "", 1)
	for _, c := range []struct{ text, want string }{
		{`seed = 1`, "name is missing"},
		{"name = 'x'\nnmae = 'y'", `line 2: unknown key "nmae"`},
		{"name = 'x'\nseed = ", "line 2"},
		{"name = 'x'\n[clock]\nstart = '5m'", "start is a time"},
		{"name = 'x'\n[clock]\nstart = 'tomorrow'", "neither an offset"},
		{"name = 'x'\n[clock]\nspeed = -1", "not between 0"},
		{"name = 'x'\ndns = 'a. A nonsense'", "dns: parse zone"},
		{"name = 'x'\n[[change]]\nfrom = '1h'\ndns = 'a. A 1'", "line 2: change"},
		{"name = 'x'\n[[provider]]\nid = 'a'", "line 2: provider: a: has no [[provider.host]]"},
		{"name = 'x'\n[[provider]]\nid = 'a b'", "not one word"},
		{base + "[[provider]]\nid = 'post'\n[[provider.host]]\nname = 'b.example'", "stands twice"},
		{base + "[[provider]]\nid = 'b'\ndomains = ['Post.example.']\n[[provider.host]]\nname = 'b.example'", "belongs to post"},
		{base + "[[provider]]\nid = 'b'\ndomains = ['a b']\n[[provider.host]]\nname = 'b.example'", "is no domain"},
		{base + "[[provider.host]]\nname = 'b\\u0000'", "is no host name"},
		{base + "[[provider.host]]\nname = 'b.example'\naddresses = ['0.0.0.0']", "is no address of a host"},
		{base + "[[provider.host]]\nname = 'b.example'\naddresses = ['127.77.1.1']\n[[provider]]\nid = 'c'\n[[provider.host]]\nname = 'c.example'\naddresses = ['127.77.1.1']", "another provider"},
		{base + "[[provider]]\nid = 'b'\nqueued = '450 x'\n[[provider.host]]\nname = 'b.example'", "begin it with 250"},
		{base + "[[provider.host]]\nname = 'b.example'\naddresses = ['127.76.0.1']", "stands in for others"},
		{base + "[[provider.mailbox]]\naddress = 'x'", "not of the form"},
		{base + "[[provider.mailbox]]\naddress = 'x@post.example'\nstate = 'odd'", "none of exists"},
		{base + "[[provider.temper]]\ndo = 'dance'", "line 20: temper: do = \"dance\" is none of"},
		{base + "[[provider.temper]]\ndo = 'reject'\nat = 'mail'", "needs a reply"},
		{base + "[[provider.temper]]\ndo = 'reject'\nat = 'mail'\nreply = '250 fine'", "refuses nothing"},
		{base + "[[provider.temper]]\ndo = 'reject'\nat = 'mail'\nreply = 'no'", "does not begin with a code"},
		{base + "[[provider.temper]]\ndo = 'reject'\nat = 'mail'\nreply = \"550 a\\rb\"", "control"},
		{base + "[[provider.temper]]\ndo = 'reject'\npreset = 'nobody'", "is none of gmail-4.7.28"},
		{base + "[[provider.temper]]\ndo = 'reject'\npreset = 'gmail-full'\nreply = '550 x'", "cannot both"},
		{base + "[[provider.temper]]\ndo = 'reject'\nat = 'tls'\nreply = '550 x'", "there is no reply"},
		{base + "[[provider.temper]]\ndo = 'cut'", "needs a stage"},
		{base + "[[provider.temper]]\ndo = 'cut'\nat = 'lunch'", "none of connect, banner"},
		{base + "[[provider.temper]]\ndo = 'cut'\nat = 'mail'\nkept = true", "kept is for"},
		{base + "[[provider.temper]]\ndo = 'cut'\nat = 'mail'\nbytes = 1", "bytes is for"},
		{base + "[[provider.temper]]\ndo = 'cut'\nat = 'content'\nafter = true", "after is not for"},
		{base + "[[provider.temper]]\ndo = 'cut'\nat = 'mail'\nrate = 5", "rate is not for"},
		{base + "[[provider.temper]]\ndo = 'cut'\nat = 'mail'\nshare = 1.5", "share = 1.5"},
		{base + "[[provider.temper]]\ndo = 'cut'\nat = 'mail'\nshare = 0.0", "share = 0"},
		{base + "[[provider.temper]]\ndo = 'cut'\nat = 'ehlo'\nsenders = ['a.example']", "known from"},
		{base + "[[provider.temper]]\ndo = 'cut'\nat = 'mail'\nrecipients = ['a.example']", "known from"},
		{base + "[[provider.temper]]\ndo = 'cut'\nat = 'mail'\nhosts = ['other.example']", "is no host of post"},
		{base + "[[provider.temper]]\ndo = 'cut'\nat = 'mail'\ndaily = '9-17'", "time of day"},
		{base + "[[provider.temper]]\ndo = 'cut'\nat = 'mail'\nfrom = '-5m'", "neither"},
		{base + "[[provider.temper]]\ndo = 'slow'", "needs a delay"},
		{base + "[[provider]]\nid = 'c'\n[[provider.host]]\nname = 'MX.post.example'", "of a host of another provider"},
		{base + "[[provider.temper]]\ndo = 'cut'\nat = 'mail'\naddresses = ['192.0.2.99']", "is that of no host of post"},
		{base + "[[provider.host]]\nname = 'b.example'\naddress = '192.0.2.9'", `it is "addresses"`},
		{base + "[[provider.temper]]\ndo = 'drop'\nsources = ['192.0.2.0/24']", "the same for all"},
		{base + "[[provider.temper]]\ndo = 'cut'\nat = 'mail'\nfrom = '2h'\nuntil = '1h'", "until is not after from"},
		{base + "[[provider.temper]]\ndo = 'cut'\nat = 'mail'\nshare = 20", "0.2 for 20 %"},
		{base + "[[provider.temper]]\ndo = 'cut'\nat = 'mail'\nshare = '20%'", "share is given as string; it has to be a number"},
		{base + "[[provider.temper]]\ndo = 'cut'\nat = 'mail'\nreply = 450", "reply is given as integer; it has to be a text in quotes"},
		{base + "[[provider.temper]]\ndo = 'cut'\nat = 'mail'\nsources = ['192.0.2.7']", "one address as 198.51.100.7/32"},
		{base + "[[provider.temper]]\ndo = 'cut'\nat = 'mail'\nsources = '192.0.2.0/24'", "it has to be a list"},
		{base + "[[provider.host]]\nname = 'b.example'\naddresses = ['192.0.2.300']", "is no IP address"},
		{base + "[[provider.host]]\nname = 'b.example'\nusers = { a = 'b' }", "above its [[provider.host]]"},
		{"name = 'x'\n[clock]\nspeed = 2\ndns = ''", "above the first [table]"},
		{"name = 'x'\n[sources]\n'192.0.2.0/24' = '198.51.100.0/24'", "clients connect from loopback here"},
		{"name = 'x'\n[sources]\n'127.9.0.0/16' = 'elsewhere'", "is no network"},
		{base + "[[provider.temper]]\ndo = 'slow'\ndelay = '1s'\ntimes = 2", "times is not for"},
		{base + "[[provider.temper]]\ndo = 'throttle'", "needs connections"},
		{base + "[[provider.temper]]\ndo = 'throttle'\nmessages = 5", "needs a span"},
		{base + "[[provider.temper]]\ndo = 'throttle'\nmessages = 5\nper = '1h'\nby = 'moon'", "by = \"moon\""},
		{base + "[[provider.temper]]\ndo = 'certificate'", "none of self-signed"},
		{base + "[[provider.temper]]\ndo = 'sts'", "needs a policy"},
		{base + "[[provider.temper]]\ndo = 'sts'\nsts = { mode = 'hard' }", "none of enforce"},
		{base + "[[provider.temper]]\ndo = 'sts'\nsts = { trouble = 'odd' }", "trouble = "},
		{base + "[[provider.temper]]\ndo = 'dane'\ndane = 'odd'", "dane = "},
		{base + "[[provider.temper]]\ndo = 'dane'\ndane = 'wrong'\nsources = ['192.0.2.0/24']", "is the same for all"},
	} {
		_, err := ReadScenario(strings.NewReader(c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.text[max(0, len(c.text)-60):], err, c.want)
		}
	}
	if _, err := ReadScenario(strings.NewReader("#" + strings.Repeat("x", MaxScenario))); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("too long: %v", err)
	}
}

func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{"90s": 90 * time.Second, "2d": 48 * time.Hour, "1d6h30m": 30*time.Hour + 30*time.Minute, "0s": 0} {
		if got, err := parseDuration(text); err != nil || got != want {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "5", "-1s", "xd", "1d1", "11y", "4000d", "100000h"} {
		if got, err := parseDuration(text); err == nil {
			t.Errorf("%q is %s", text, got)
		}
	}
	var d Daily
	if err := d.UnmarshalText([]byte("22:00-02:00")); err != nil {
		t.Fatal(err)
	}
	day := time.Date(2026, 1, 22, 0, 0, 0, 0, time.UTC)
	for hour, want := range map[int]bool{21: false, 22: true, 23: true, 0: true, 1: true, 2: false, 12: false} {
		if got := d.holds(day.Add(time.Duration(hour) * time.Hour)); got != want {
			t.Errorf("%d:00: %v", hour, got)
		}
	}
	for hour, want := range map[int]int{1: 2, 2: 22, 21: 22, 22: 26} {
		if got := d.next(day.Add(time.Duration(hour) * time.Hour)); !got.Equal(day.Add(time.Duration(want) * time.Hour)) {
			t.Errorf("after %d:00 comes %s", hour, got)
		}
	}
}

// TestPresetsAreRight: each can be used, has a source, and its placeholders are
// filled.
func TestPresetsAreRight(t *testing.T) {
	all, err := Presets()
	if err != nil || len(all) < 12 {
		t.Fatalf("%d presets, %v", len(all), err)
	}
	for _, p := range all {
		s := with(t, "", `do = "reject"; preset = "`+p.ID+`"`)
		temper := s.Providers[0].Tempers[0]
		if p.Source == "" || p.Provider == "" || temper.At != p.Stage || temper.reply.Code < 400 {
			t.Errorf("%s: %+v", p.ID, temper)
		}
		text := temper.filled(&facts{host: "mx.post.example", sender: mail.Address{Local: "a", Domain: "b.example"}}, 0).Text()
		if strings.ContainsAny(text, "{}") {
			t.Errorf("%s: %s", p.ID, text)
		}
	}
}

// FuzzReadScenario: what is taken can be made into a world, and no decision
// refuses with a code that refuses nothing.
func FuzzReadScenario(f *testing.F) {
	f.Add(strings.Replace(one, "%s", "", 1) + "[[provider.temper]]\ndo = 'greylist'\nshare = 0.5\ndaily = '22:00-01:00'\n")
	f.Add(mess)
	f.Add("name = 'x'\n[[provider]]\nid='p'\n[[provider.host]]\nname='h'\n[[provider.temper]]\ndo='throttle'\nper='1d'\nmessages=1\nvolume=5\nby='network'\nnetwork=8")
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 4096 {
			return
		}
		s, err := ReadScenario(strings.NewReader(text))
		if err != nil {
			return
		}
		w, err := newWorld(s, Options{Mode: Memory})
		if err != nil {
			if !strings.Contains(err.Error(), "signed") {
				t.Fatalf("read and not made: %v", err)
			}
			return
		}
		for i := range s.Providers {
			p := &s.Providers[i]
			for n, stage := range stages {
				f := &facts{start: s.start(), now: w.Now(), session: uint64(n), stage: stage, host: p.Hosts[0].Name,
					address: p.Hosts[0].Addresses[0], source: policyAddress, known: true}
				v := w.decide(p, f)
				if v.temper == nil {
					continue
				}
				if refuses := v.temper.Do == doReject || v.temper.Do == doGreylist || v.temper.Do == doThrottle; refuses != (v.reply.Code >= 400) || v.reason == "" {
					t.Fatalf("%s %s: %+v", v.temper.Do, stage, v)
				}
			}
		}
		w.next(w.Now())
	})
}

// FuzzReadTruth: the counts fit together.
func FuzzReadTruth(f *testing.F) {
	var b bytes.Buffer
	for _, e := range []Event{{Kind: Began}, {Kind: Accepted, MessageID: "<1@a>", Recipient: "a@b", Provider: "p"}, {Kind: Refused, Stage: mail.StageMail, Code: 550}} {
		if err := json.NewEncoder(&b).Encode(e); err != nil {
			f.Fatal(err)
		}
	}
	f.Add(b.String())
	f.Add(b.String() + `{"kind":"acc`)
	f.Fuzz(func(t *testing.T, text string) {
		truth, err := ReadTruth(strings.NewReader(text), 3)
		if err != nil && !strings.Contains(err.Error(), "line ") {
			t.Fatal(err)
		}
		n := 0
		for _, c := range truth.Copies {
			n += c
		}
		if n != len(truth.Accepted) || truth.Messages != n+truth.Forgotten || n > 3 {
			t.Fatalf("%d copies, %d accepted, %d messages, %d forgotten", n, len(truth.Accepted), truth.Messages, truth.Forgotten)
		}
	})
}
