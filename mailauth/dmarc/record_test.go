package dmarc

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// pairs reads a file of cases: "-- name --", the text, "==", what is wanted.
func pairs(t testing.TB, file string) [][3]string {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out [][3]string
	for part := range strings.SplitSeq("\n"+string(raw), "\n-- ") {
		name, rest, ok := strings.Cut(part, " --\n")
		if !ok {
			continue
		}
		text, want, ok := strings.Cut(rest, "\n==\n")
		if !ok {
			t.Fatalf("%s: %q", file, name)
		}
		out = append(out, [3]string{name, text, strings.TrimSpace(want)})
	}
	return out
}

// say writes what a record says beyond the defaults.
func say(r Record) string {
	var out []string
	add := func(tag, value, standing string) {
		if value != standing {
			out = append(out, tag+"="+value)
		}
	}
	uris := func(all []URI) string {
		var texts []string
		for _, u := range all {
			if u.Size > 0 {
				u.Text += fmt.Sprintf("[%d]", u.Size)
			}
			texts = append(texts, u.Text)
		}
		return strings.Join(texts, ",")
	}
	if slices.ContainsFunc(r.Tags, func(t Tag) bool { return t.Name == "p" && strings.EqualFold(t.Value, string(r.Policy)) }) {
		add("p", string(r.Policy), "")
	}
	add("sp", string(r.Subdomains), "")
	add("np", string(r.NonExistent), "")
	add("adkim", string(r.DKIM), "r")
	add("aspf", string(r.SPF), "r")
	add("pct", fmt.Sprint(r.Percent), "100")
	add("rua", uris(r.Aggregate), "")
	add("ruf", uris(r.Failure), "")
	add("fo", strings.Join(r.Options, ":"), "0")
	add("psd", string(r.PSD), "u")
	if r.Testing {
		out = append(out, "t")
	}
	if r.Missing {
		out = append(out, "p_missing")
	}
	if r.Unusable {
		out = append(out, "unusable")
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func keys(findings []Finding) string {
	var out []string
	for _, f := range findings {
		if !slices.Contains(out, f.Key) {
			out = append(out, f.Key)
		}
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func sorted(s string) string {
	f := strings.Fields(s)
	slices.Sort(f)
	return strings.Join(f, " ")
}

func TestParseRecord(t *testing.T) {
	all := pairs(t, "testdata/records.txt")
	if len(all) < 25 {
		t.Fatalf("%d cases", len(all))
	}
	for _, c := range all {
		r, err := ParseRecord(c[1])
		if (err != nil) != (c[2] == "error") || err != nil && !errors.Is(err, ErrVersion) {
			t.Errorf("%s: %v", c[0], err)
			continue
		}
		if IsRecord(c[1]) != (err == nil) {
			t.Errorf("%s: IsRecord and ParseRecord do not agree", c[0])
		}
		if err != nil {
			continue
		}
		checkRecord(t, r)
		want, findings, _ := strings.Cut("\n"+c[2], "\n!")
		if got := say(r); got != sorted(want) {
			t.Errorf("%s: %s\ngot  %s\nwant %s", c[0], c[1], got, sorted(want))
		}
		if got := keys(r.Findings); got != sorted(findings) {
			t.Errorf("%s: %s\ngot findings  %s\nwant %s", c[0], c[1], got, sorted(findings))
		}
	}
}

// checkRecord holds for every record.
func checkRecord(t testing.TB, r Record) {
	t.Helper()
	valid := []Policy{PolicyNone, PolicyQuarantine, PolicyReject}
	if !slices.Contains(valid, r.Policy) || !slices.Contains(append(valid, ""), r.Subdomains) ||
		!slices.Contains(append(valid, ""), r.NonExistent) {
		t.Errorf("policies %q %q %q", r.Policy, r.Subdomains, r.NonExistent)
	}
	if r.DKIM != Relaxed && r.DKIM != Strict || r.SPF != Relaxed && r.SPF != Strict {
		t.Errorf("modes %q %q", r.DKIM, r.SPF)
	}
	if r.PSD != PSDYes && r.PSD != PSDNo && r.PSD != PSDUnknown || r.Percent < 0 || r.Percent > 100 || len(r.Options) == 0 {
		t.Errorf("psd %q, pct %d, fo %q", r.PSD, r.Percent, r.Options)
	}
	if (r.Unusable || r.Missing) && r.Policy != PolicyNone {
		t.Errorf("a policy out of nothing: %+v", r)
	}
	for _, exists := range []bool{true, false} {
		if p, tag := r.For(exists); !slices.Contains(valid, p) || tag == "" {
			t.Errorf("for a sub-domain: %q %q", p, tag)
		}
	}
	if len(r.Tags) == 0 || r.Tags[0] != (Tag{"v", "DMARC1"}) || len(r.Tags) > maxTags {
		t.Errorf("tags %v", r.Tags)
	}
	for _, u := range append(slices.Clone(r.Aggregate), r.Failure...) {
		if u.Scheme == "" || strings.ContainsAny(u.Text, ",;! \t") || u.Scheme == "mailto" && u.Host == "" || u.Size < 0 {
			t.Errorf("address %+v", u)
		}
		if u.Host != strings.ToLower(u.Host) {
			t.Errorf("host %q", u.Host)
		}
	}
	for _, f := range r.Findings {
		if f.Key == "" || len(f.Value) > maxShown {
			t.Errorf("finding %+v", f)
		}
	}
}

func FuzzParseRecord(f *testing.F) {
	for _, c := range pairs(f, "testdata/records.txt") {
		f.Add(c[1])
	}
	f.Add("v=DMARC1;" + strings.Repeat("a=b;", 100))
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseRecord(text)
		if IsRecord(text) != (err == nil) {
			t.Errorf("IsRecord and ParseRecord do not agree on %q", text)
		}
		if err != nil {
			return
		}
		checkRecord(t, r)
		// What was read, written anew, says the same. A semicolon is nowhere in a value.
		var again strings.Builder
		for _, tag := range r.Tags {
			again.WriteString(tag.Name + "=" + tag.Value + ";")
		}
		r2, err := ParseRecord(again.String())
		if err != nil || len(text) <= MaxRecord && say(r2) != say(r) {
			t.Errorf("%q\nsays  %s\nagain %s (%v)", text, say(r), say(r2), err)
		}
	})
}
