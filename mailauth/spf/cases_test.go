package spf

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// path gives what matched, from a record down.
func path(p *Policy) string {
	for i := range p.Steps {
		s := &p.Steps[i]
		if s.Outcome != Match || s.Beyond || s.Term.Kind == Exp {
			continue
		}
		if s.Policy != nil {
			return s.Term.Text + " > " + path(s.Policy)
		}
		return s.Term.Text
	}
	return ""
}

// TestConformanceCases are the cases of testdata, each with the section of RFC
// 7208 that it is about. Those where the library differs are docs/decisions/0010.
func TestConformanceCases(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "cases.txt"))
	if err != nil {
		t.Fatal(err)
	}
	cases, passed, differ := 0, 0, 0
	for _, block := range strings.Split(string(text), "\n== ")[1:] {
		cases++
		title, body, _ := strings.Cut(block, "\n")
		t.Run(strings.ReplaceAll(title, "/", " "), func(t *testing.T) {
			zone, rest, ok := strings.Cut(body, "\n? ")
			if !ok {
				zone, rest = "", strings.TrimPrefix(body, "? ")
			}
			lines := strings.Split(rest, "\n")
			words := strings.SplitN(lines[0], " ", 3)
			q := Query{IP: netip.MustParseAddr(words[0]), Helo: words[1], From: words[2], Time: time.Unix(1234567890, 0)}
			if q.From == "<>" {
				q.From = ""
			}
			m := zoneOf(zone)
			c := New(Options{Resolver: m, Receiver: "mx.example.org"})
			v, w := c.Check(t.Context(), q), c.Walk(t.Context(), q)
			second, _ := SecondOpinion(t.Context(), m, q)
			want, explains := string(v.Result), ""
			for _, line := range lines[1:] {
				key, value, _ := strings.Cut(line, " ")
				got := value
				switch key {
				case "", "#":
				case "=":
					got = fmt.Sprintf("%s %s", v.Result, v.Reason)
				case "library":
					differ++
					want = value
				case "term":
					got = v.Term
				case "record":
					got = v.Record
				case "domain":
					got = v.Domain
				case "sender":
					got = v.Sender
				case "identity":
					got = string(v.Identity)
				case "used":
					got = fmt.Sprintf("%d %d", v.Lookups, v.Voids)
				case "tree":
					got = fmt.Sprint(w.AllLookups)
				case "explains":
					explains = value
				case "finds", "finds-not":
					for _, reason := range strings.Fields(value) {
						found := slices.ContainsFunc(w.Findings, func(f Finding) bool { return f.Reason == Reason(reason) })
						if found != (key == "finds") {
							t.Errorf("%s %s: %+v", key, reason, w.Findings)
						}
					}
				case "path":
					got = path(w.Root)
				default:
					t.Fatalf("a line that nobody understands: %q", line)
				}
				if got != value {
					t.Errorf("%s: got %q, want %q (%v)", key, got, value, v.Err)
				}
			}
			if v.Explanation != explains {
				t.Errorf("explanation %q, want %q", v.Explanation, explains)
			}
			if string(second) != want {
				t.Errorf("library %q, want %q", second, want)
			}
			judge(t, m, q)
			if !t.Failed() {
				passed++
			}
		})
	}
	t.Logf("CONFORMANCE suite=%s cases=%d passed=%d exceptions=%s", "RFC 7208 SPF, cases of ours", cases, passed, "none")
	t.Logf("in %d of %d cases the library differs", differ, cases)
}
