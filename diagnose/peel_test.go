package diagnose

import (
	"strings"
	"testing"

	"github.com/postroad/postroad/mail"
)

type peelCase struct {
	Text  string
	Layer []struct {
		Reply, Host, IP, Stage, Wrapper string
		Lines                           int
		Remote, Own                     bool
	}
}

func readPeelCases(t testing.TB) []peelCase {
	var f struct{ Case []peelCase }
	readCases(t, "peel.toml", &f)
	if len(f.Case) < 80 {
		t.Fatalf("only %d cases", len(f.Case))
	}
	return f.Case
}

func TestPeel(t *testing.T) {
	for _, c := range readPeelCases(t) {
		got := Peel(c.Text)
		if len(got) != len(c.Layer) {
			t.Errorf("%q: %d layers, want %d: %+v", c.Text, len(got), len(c.Layer), got)
			continue
		}
		for i, want := range c.Layer {
			l := got[i]
			if line := canonical(l.Reply); line != want.Reply {
				t.Errorf("%q: layer %d\n got  %q\n want %q", c.Text, i, line, want.Reply)
			}
			if want.Lines != 0 && len(l.Reply.Lines) != want.Lines {
				t.Errorf("%q: layer %d has lines %q, want %d", c.Text, i, l.Reply.Lines, want.Lines)
			}
			if l.Host != want.Host || l.IP != want.IP || string(l.Stage) != want.Stage || l.Wrapper != want.Wrapper {
				t.Errorf("%q: layer %d: host %q ip %q stage %q wrapper %q, want %q %q %q %q", c.Text, i,
					l.Host, l.IP, l.Stage, l.Wrapper, want.Host, want.IP, want.Stage, want.Wrapper)
			}
			if l.Remote != want.Remote || l.Local != want.Own {
				t.Errorf("%q: layer %d: remote %v, own %v, want %v, %v", c.Text, i, l.Remote, l.Local, want.Remote, want.Own)
			}
		}
	}
}

func TestPeelIsBounded(t *testing.T) {
	deep := strings.Repeat("550 5.0.350 Remote server returned an error -> ", 50) + "550 5.1.1 end"
	if n := len(Peel(deep)); n > MaxDepth+1 {
		t.Errorf("%d layers of a deep chain", n)
	}
	if got := Peel(strings.Repeat("x", 4*mail.MaxReply)); len(got) != 1 || len(got[0].Text) > mail.MaxReply {
		t.Errorf("a long text gives %d layers", len(got))
	}
	if got := Peel(" \r\n\t "); got != nil {
		t.Errorf("blank text gives %+v", got)
	}
}

func FuzzPeel(f *testing.F) {
	for _, c := range readPeelCases(f) {
		f.Add(c.Text)
	}
	replies, wraps := readWrapped(f)
	for i, w := range wraps {
		f.Add(w.text(replies[i%len(replies)]))
	}
	f.Fuzz(func(t *testing.T, s string) {
		layers := Peel(s)
		if len(layers) > MaxDepth+1 {
			t.Fatalf("%d layers", len(layers))
		}
		if strings.Trim(tidy(s), " \t\r\n") != "" && len(layers) == 0 {
			t.Fatal("no layer of a text")
		}
		total := 0
		for _, l := range layers {
			total += len(l.Text)
			if l.Remote && l.Local {
				t.Error("both sides wrote it")
			}
			if l.Reply.Code != 0 && (l.Reply.Code < 200 || l.Reply.Code > 599) {
				t.Errorf("code %d", l.Reply.Code)
			}
			if strings.ContainsAny(canonical(l.Reply), "\r\n") {
				t.Error("the canonical reply has more than one line")
			}
		}
		if total > mail.MaxReply*2 {
			t.Errorf("%d bytes of text in the layers", total)
		}
	})
}

func FuzzDiagnose(f *testing.F) {
	for _, c := range readPeelCases(f) {
		f.Add(c.Text, "", uint8(0))
	}
	texts, providers := exampleTexts(f)
	for i := 0; i < len(texts); i += 17 {
		f.Add(texts[i], providers[i%len(providers)], uint8(i))
	}
	fast, slow := shippedEngine(f), slowEngine(f)
	f.Fuzz(func(t *testing.T, s, provider string, spoke uint8) {
		ev := Evidence{Text: s, Provider: provider, Spoke: Spoke(spoke % 3)}
		same(t, fast, slow, ev)
		d := fast.Diagnose(ev)
		if !d.Class.Valid() || d.Confidence < 0 || d.Confidence > 1 || d.Retry == "" || d.Actor == "" || len(d.Why) == 0 {
			t.Errorf("incomplete: %+v", d)
		}
	})
}
