package diagnose

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"

	"github.com/postroad/postroad/mail"
)

type tenReply struct {
	Name, Reply, Lines, Receiver, Class, Provider, Outcome string
	Contributing                                           []mail.Class
	Code                                                   int
}

type wrapperCase struct {
	Name, Text, Host, IP, Stage string
	Remote                      bool
}

func readCases(t testing.TB, name string, into any) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := toml.NewDecoder(strings.NewReader(string(data))).DisallowUnknownFields().Decode(into); err != nil {
		t.Fatal(name, ": ", err)
	}
}

func readWrapped(t testing.TB) (replies []tenReply, wraps []wrapperCase) {
	t.Helper()
	var ten struct{ Reply []tenReply }
	var w struct{ Wrapper []wrapperCase }
	readCases(t, "ten.toml", &ten)
	readCases(t, "wrappers.toml", &w)
	if len(ten.Reply) < 10 || len(w.Wrapper) < 40 {
		t.Fatalf("only %d replies and %d wrappers", len(ten.Reply), len(w.Wrapper))
	}
	return ten.Reply, w.Wrapper
}

// text puts a reply into the wrapper.
func (w wrapperCase) text(r tenReply) string {
	lines := r.Lines
	if lines == "" {
		lines = r.Reply
	}
	flat := strings.ReplaceAll(lines, "\n", " ")
	return strings.NewReplacer(
		"{reply}", flat,
		"{lines}", lines,
		"{crlf}", strings.ReplaceAll(lines, "\n", "\r\n")+"\r\n",
		"{log}", strings.ReplaceAll(lines, "\n", `\n`),
		"{marked}", "<<< "+strings.ReplaceAll(lines, "\n", "\n<<< "),
		"{underscored}", strings.ReplaceAll(strings.ReplaceAll(lines, "\n", "/"), " ", "_"),
		"{code}", strconv.Itoa(r.Code),
	).Replace(w.Text)
}

// The ten replies that classifiers get wrong, in every wrapper in which evidence
// has them.
func TestTenRepliesInEveryWrapper(t *testing.T) {
	replies, wraps := readWrapped(t)
	e := shippedEngine(t)
	for _, r := range replies {
		for _, w := range wraps {
			if strings.Contains(w.Text, "{code}") && strings.Contains(r.Reply, "->") {
				continue // its own code is the outer one's
			}
			t.Run(r.Name+"/"+w.Name, func(t *testing.T) {
				text := w.text(r)
				for _, provider := range []string{"", r.Receiver} {
					d := e.Diagnose(Evidence{Text: text, Provider: provider})
					if string(d.Class) != r.Class {
						t.Fatalf("class %s by %q, want %s: %q\n%+v", d.Class, d.Rule, r.Class, text, d)
					}
					if !slices.Equal(d.Contributing, r.Contributing) && r.Contributing != nil {
						t.Errorf("contributing %v, want %v: %q", d.Contributing, r.Contributing, text)
					}
					if d.Provider != r.Provider && r.Provider != "" {
						t.Errorf("provider %q, want %q: %q", d.Provider, r.Provider, text)
					}
					if d.Confidence < 0.5 || d.Confidence > 1 || len(d.Why) == 0 || d.Rule == "" {
						t.Errorf("no reason for the verdict: %+v", d)
					}
				}
				checkLayers(t, text, r, w)
			})
		}
	}
}

func checkLayers(t *testing.T, text string, r tenReply, w wrapperCase) {
	t.Helper()
	layers := Peel(text)
	last := layers[len(layers)-1]
	if last.Reply.Code != r.Code || string(last.Reply.Outcome()) != r.Outcome {
		t.Errorf("inner reply %d (%s), want %d (%s): %q", last.Reply.Code, last.Reply.Outcome(), r.Code, r.Outcome, text)
	}
	bare := canonical(parseReply(strings.ReplaceAll(w.inner(r), "\n", " ")))
	if got := strings.TrimRight(canonical(last.Reply), "."); got != strings.TrimRight(bare, ".") {
		t.Errorf("inner reply:\n got  %q\n want %q", got, bare)
	}
	if strings.Contains(r.Reply, "->") { // a chain: the wrapper speaks of its outer reply
		return
	}
	if last.Host != w.Host || last.IP != w.IP || string(last.Stage) != w.Stage {
		t.Errorf("host %q ip %q stage %q, want %q %q %q: %q", last.Host, last.IP, last.Stage, w.Host, w.IP, w.Stage, text)
	}
	if w.Remote && (!last.Remote || last.Local) {
		t.Errorf("the reply is not taken for a remote host's: %q", text)
	}
}

// inner is the reply that must be found.
func (w wrapperCase) inner(r tenReply) string {
	s := r.Reply
	if i := strings.LastIndex(s, "-> "); i >= 0 {
		s = s[i+3:]
	}
	if strings.Contains(w.Text, "{underscored}") {
		s = strings.ReplaceAll(s, "_", " ")
	}
	return s
}
