package mailauth

import (
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/emersion/go-msgauth/authres"
)

// cases reads testdata/results.txt: a field after "-- name --", and after "==" what it says, as JSON.
func cases(t testing.TB) map[string][2]string {
	raw, err := os.ReadFile("testdata/results.txt")
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string][2]string)
	for part := range strings.SplitSeq("\n"+string(raw), "\n-- ") {
		name, rest, ok := strings.Cut(part, " --\n")
		if !ok {
			continue
		}
		field, want, ok := strings.Cut(rest, "\n==\n")
		if !ok || out[name] != [2]string{} {
			t.Fatalf("case %q", name)
		}
		out[name] = [2]string{field, strings.TrimSpace(want)}
	}
	return out
}

func TestParse(t *testing.T) {
	all := cases(t)
	if len(all) < 25 {
		t.Fatalf("%d cases", len(all))
	}
	for name, c := range all {
		r, err := Parse(c[0])
		if err != nil {
			if c[1] != "error" || !errors.Is(err, ErrNoResults) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		var want Results
		if err := json.Unmarshal([]byte(c[1]), &want); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !reflect.DeepEqual(r, want) {
			got, _ := json.MarshalIndent(r, "", " ")
			t.Errorf("%s\ngot  %s\nwant %s", name, got, c[1])
		}
		again(t, r)
	}
}

// again holds what is written to what was read.
func again(t *testing.T, r Results) {
	t.Helper()
	s := r.String()
	checkField(t, s)
	if len(s) > MaxField {
		return
	}
	back, err := Parse(s)
	if err != nil || !reflect.DeepEqual(back, r) {
		t.Errorf("%+v\nis written\n%s\nand read (%v)\n%+v", r, s, err, back)
	}
}

// checkField holds for every field body that is written.
func checkField(t *testing.T, s string) {
	t.Helper()
	for i, line := range strings.Split(s, "\r\n") {
		if len(line) > 990 {
			t.Errorf("a line of %d bytes", len(line))
		}
		if i > 0 && (line == "" || line[0] != ' ' || strings.Trim(line, " ") == "") {
			t.Errorf("line %d is not folded: %q in %q", i, line, s)
		}
		for j := 0; j < len(line); j++ {
			if line[j] < ' ' || line[j] == 0x7f {
				t.Fatalf("a control character in %q", s)
			}
		}
		// A line over the width is one word.
		if len(line) > lineWidth && strings.Contains(strings.TrimPrefix(line, " "), " ") &&
			strings.Count(line, `"`) == 0 {
			t.Errorf("a line of %d columns that could have been folded: %q", len(line), line)
		}
	}
}

func TestWrite(t *testing.T) {
	r := Results{AuthServID: "mx.example.org", Methods: []MethodResult{
		{Method: SPF, Result: Pass, Comment: "mx.example.org: domain of bounce@example.com designates 192.0.2.1 as permitted sender",
			Properties: []Property{{"smtp", "mailfrom", `"john doe"@example.com`}, {"smtp", "helo", "mail.example.com"}}},
		{Method: DKIM, Version: "1", Result: PermError, Reason: "no key for signature",
			Properties: []Property{{"header", "d", "example.com"}, {"header", "b", "ab/cd+e="}}},
		{Method: DMARC, Result: Fail, Comment: `p=reject \ (`, Properties: []Property{{"header", "from", "example.com"}}},
	}}
	want := strings.ReplaceAll(`Authentication-Results: mx.example.org;
 spf=pass (mx.example.org: domain of bounce@example.com designates 192.0.2.1
 as permitted sender) smtp.mailfrom="john doe"@example.com
 smtp.helo=mail.example.com;
 dkim/1=permerror reason="no key for signature" header.d=example.com
 header.b="ab/cd+e=";
 dmarc=fail (p=reject \\ \() header.from=example.com
`, "\n", "\r\n")
	if got := string(r.Append(nil)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	again(t, r)
	for _, c := range []struct {
		r    Results
		want string
	}{
		{Results{AuthServID: "mx.example.org"}, "mx.example.org; none"},
		{Results{AuthServID: "mx.example.org", Version: "1"}, "mx.example.org 1; none"},
		{Results{AuthServID: "a b"}, `"a b"; none`},
		{Results{}, `""; none`},
		{Results{Instance: 2, AuthServID: "x.example", Methods: []MethodResult{{Method: ARC, Result: None}}},
			"i=2; x.example;\r\n arc=none"},
		{Results{AuthServID: "x\r\nBcc: a@b.example\x00", Methods: []MethodResult{
			{Method: "spf", Result: "pass\r\nX: y"},
			{Method: "dk im", Result: Pass},
			{Method: "dkim", Result: Pass, Reason: "a\r\n\r\nb; dmarc=pass", Comment: "c\n)\r\nX: y",
				Properties: []Property{{"header", "d\r\nx", "y"}, {"", "spf", "pass"}, {"header", "d", "x; spf=pass\rY: z"}}},
		}}, "\"x  Bcc: a@b.example \";\r\n dkim=pass (c \\) X: y) reason=\"a    b; dmarc=pass\"\r\n header.d=\"x; spf=pass Y: z\""},
	} {
		if got := c.r.String(); got != c.want {
			t.Errorf("got %q\nwant %q", got, c.want)
		}
		checkField(t, c.r.String())
	}
}

func TestFind(t *testing.T) {
	r, err := Parse("mx.example.net; dkim=fail header.d=a.example header.d=b.example; dkim=pass; dmarc=pass action=none x.y=")
	if err != nil {
		t.Fatal(err)
	}
	if m, ok := r.Find(DKIM); !ok || m.Result != Fail {
		t.Errorf("dkim: %+v %v", m, ok)
	} else if d, ok := m.Property("header", "d"); !ok || d != "a.example" {
		t.Errorf("header.d: %q %v", d, ok)
	} else if _, ok := m.Property("header", "s"); ok {
		t.Error("header.s is not there")
	}
	m, ok := r.Find(DMARC)
	if action, has := m.Property("", "action"); !ok || !has || action != "none" {
		t.Errorf("action: %q", action)
	}
	if y, has := m.Property("x", "y"); !has || y != "" {
		t.Errorf("x.y: %q %v", y, has)
	}
	if m, ok := r.Find(SPF); ok {
		t.Errorf("spf: %+v", m)
	}
}

// TestBounds reads and writes too much of everything.
func TestBounds(t *testing.T) {
	key := strings.Repeat("k", maxKeyword)
	field := "mx; " + key + "=pass; " + key + "k=pass; spf=" + strings.Repeat("p", maxKeyword+1) +
		"; dkim=pass h." + key + "=v h.k" + key + "=v reason=" + strings.Repeat("é", MaxValue) +
		" (" + strings.Repeat("word ", MaxComment) + ")"
	r, err := Parse(field)
	if err != nil || len(r.Methods) != 2 || r.Methods[0].Method != Method(key) {
		t.Fatalf("%v %+v", err, r)
	}
	m := r.Methods[1]
	if len(m.Properties) != 1 || len(m.Reason) != MaxValue || strings.Trim(m.Reason, "é") != "" ||
		len(m.Comment) > MaxComment || len(m.Comment) < MaxComment-8 {
		t.Errorf("%+v", m)
	}
	again(t, r)
	for _, unit := range []string{"(", "\"", "a(", "(a)", "spf=pass;", "a.b=c ", "= ", "/", "a/ ", "\\", ";", "(\\)", "\"\\\" "} {
		for _, before := range []string{"", "mx; spf=pass ", "("} {
			r, err := Parse(before + strings.Repeat(unit, MaxField/len(unit)))
			if err == nil {
				again(t, r)
			}
		}
	}
	long := Results{Instance: 99, AuthServID: strings.Repeat("é", MaxValue)}
	for range 2 * MaxMethods {
		long.Methods = append(long.Methods, MethodResult{Method: SPF, Result: Pass, Comment: strings.Repeat("(", 2*MaxComment)})
	}
	checkField(t, long.String())
	if back, err := Parse(long.String()); err != nil || len(back.Methods) != MaxMethods || back.Instance != 0 ||
		len(back.AuthServID) != MaxValue || back.Methods[0].Comment != "" {
		t.Errorf("%v %+v", err, back)
	}
}

// TestStrictReader has a parser of the plain grammar read what we write.
func TestStrictReader(t *testing.T) {
	r := Results{AuthServID: "mx.example.org", Methods: []MethodResult{
		{Method: SPF, Result: SoftFail, Properties: []Property{{"smtp", "mailfrom", "bounce@example.com"}}},
		{Method: DKIM, Result: Pass, Properties: []Property{{"header", "d", "example.com"}}},
		{Method: DMARC, Result: Pass, Properties: []Property{{"header", "from", "example.com"}}},
	}}
	id, got, err := authres.Parse(strings.ReplaceAll(r.String(), "\r\n", ""))
	if err != nil || id != r.AuthServID || len(got) != 3 {
		t.Fatalf("%q %v %v", id, got, err)
	}
	if spf, ok := got[0].(*authres.SPFResult); !ok || spf.Value != authres.ResultSoftFail || spf.From != "bounce@example.com" {
		t.Errorf("%+v", got[0])
	}
}

// TestLines folds and unfolds.
func TestLines(t *testing.T) {
	for field, want := range map[string]string{
		"a; dkim=fail reason=\"x\r\n y\"": "x y",
		"a; dkim=fail reason=\"x\n\ty\"":  "x y",
		"a; dkim=fail reason=\"x\r\ny\"":  "x  y",
		"a; dkim=fail reason=\"x\r y\"":   "x y",
		"a; dkim=fail reason=\"x\ny\"":    "x y",
	} {
		if r, err := Parse(field); err != nil || r.Methods[0].Reason != want {
			t.Errorf("%q: %+v %v", field, r, err)
		}
	}
	set := Results{Instance: 1, AuthServID: "mx.example.org", Methods: []MethodResult{{Method: ARC, Result: None}}}
	if got := string(set.Append([]byte("X: y\r\n"))); got != "X: y\r\nARC-Authentication-Results: i=1; mx.example.org;\r\n arc=none\r\n" {
		t.Errorf("%q", got)
	}
	if got := (Results{AuthServID: "a", Methods: []MethodResult{{Method: SPF, Result: Pass,
		Properties: []Property{{"smtp", "mailfrom", "!a/b=c@example.org"}}}}}).String(); strings.Contains(got, `"`) {
		t.Errorf("quoted without need: %s", got)
	}
}

func TestClaims(t *testing.T) {
	const own = "mx.example.org"
	for _, c := range []struct {
		field string
		want  bool
	}{
		{"mx.example.org; spf=pass", true},
		{"MX.Example.ORG; none", true},
		{"mx.example.org.;none", true},
		{"mx.example.org", true},
		{"mx.example.org 1; spf=pass", true},
		{"mx.example.org spf=pass", true},
		{`"mx.example.org"; spf=pass`, true},
		{`"mx.exam\ple.org"; spf=pass`, true},
		{"(by) mx.example.org (hand); spf=pass", true},
		{"\r\n mx.example.org;\r\n\tspf=pass", true},
		{"\x00mx.example.org\x00; spf=pass", true},
		{"other mx.example.org; spf=pass", true},
		{"i=1; mx.example.org; spf=pass", true},
		{"i=99; mx.example.org; spf=pass", true},
		{"; ; mx.example.org; spf=pass", true},
		{"i=1; other.example; mx.example.org", false},
		{"(" + strings.Repeat("x", MaxField) + ") mx.example.org; spf=pass", true},
		{"mx2.example.org; spf=pass", false},
		{"example.org; spf=pass", false},
		{"other.example; spf=pass smtp.helo=mx.example.org", false},
		{"other.example; mx.example.org", false},
		{"(mx.example.org) other.example; spf=pass", false},
		{"spf=pass smtp.mailfrom=example.com; dkim=none", false},
		{"", false},
	} {
		if got := Claims(c.field, own); got != c.want {
			t.Errorf("%.60q: %v", c.field, got)
		}
	}
	if Claims("x; spf=pass", "") {
		t.Error("nobody's name is claimed")
	}
}

func FuzzParse(f *testing.F) {
	for _, c := range cases(f) {
		f.Add(c[0])
	}
	f.Add("((((((((((a; spf=pass")
	f.Add("a; spf=pass smtp.mailfrom=\"x y\"@z dkim / 1 = pass reason = \"a\\\"b\"")
	f.Fuzz(func(t *testing.T, field string) {
		r, err := Parse(field)
		if err != nil {
			return
		}
		if len(r.Methods) > MaxMethods || len(r.AuthServID) > MaxValue {
			t.Errorf("bounds: %d methods", len(r.Methods))
		}
		again(t, r)
		if normalID(r.AuthServID) != "" && !Claims(field, r.AuthServID) {
			t.Errorf("%q is read as a field of %q and does not claim it", field, r.AuthServID)
		}
	})
}

// FuzzString writes what nobody checked before.
func FuzzString(f *testing.F) {
	f.Add("mx.example.org", "spf", "pass", "a (b", "c; d", "smtp", "mailfrom", "a@b.example", 0)
	f.Add("a\r\nb", "s\npf", "p\x00ass", "\\", "\"", "", "spf", "pass", 51)
	f.Fuzz(func(t *testing.T, id, method, result, comment, reason, kind, name, value string, instance int) {
		m := MethodResult{Method: Method(method), Result: Result(result), Comment: comment, Reason: reason,
			Properties: []Property{{kind, name, value}}}
		r := Results{Instance: instance, AuthServID: id, Methods: []MethodResult{m, {Method: DKIM, Result: Fail}}}
		s := r.String()
		checkField(t, s)
		back, err := Parse(s)
		if err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		if n := len(back.Methods); n == 0 || n > 2 || back.Methods[n-1].Method != DKIM || back.Methods[n-1].Result != Fail {
			t.Errorf("%q changed the results: %+v", s, back)
		}
		if n := len(back.Methods); n == 2 && len(back.Methods[0].Properties) > 1 || len(back.Methods[n-1].Properties) > 0 {
			t.Errorf("%q has more properties than were written: %+v", s, back)
		}
		again(t, back)
	})
}

// BenchmarkParse reads a field of the plain grammar, beside go-msgauth, and one in
// Microsoft's form, which that cannot read.
func BenchmarkParse(b *testing.B) {
	const strict = "mx.example.org; dkim=pass header.d=example.com header.i=@example.com; " +
		"spf=pass smtp.mailfrom=bounce@mail.example.com; dmarc=pass header.from=example.com"
	const microsoft = "spf=pass (sender IP is 192.0.2.25)\r\n smtp.mailfrom=bounce.news.example; dkim=pass (signature was verified)\r\n" +
		" header.d=news.example;dmarc=bestguesspass action=none\r\n header.from=news.example;compauth=pass reason=109"
	for name, read := range map[string]func() error{
		"ours":       func() error { _, err := Parse(strict); return err },
		"go-msgauth": func() error { _, _, err := authres.Parse(strict); return err },
		"microsoft":  func() error { _, err := Parse(microsoft); return err },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := read(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
