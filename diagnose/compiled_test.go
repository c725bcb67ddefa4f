package diagnose

import (
	"flag"
	"os"
	"reflect"
	"strings"
	"testing"
)

var write = flag.Bool("write", false, "write compiled.txt instead of comparing with it")

// tableOfFiles makes the table from the TOML files.
func tableOfFiles(t testing.TB) *table {
	t.Helper()
	files, err := ShippedRules()
	if err != nil {
		t.Fatal(err)
	}
	rules, err := sorted(files)
	if err != nil {
		t.Fatal(err)
	}
	made, err := newTable(rules)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// The committed table must be the one that the committed rules make.
func TestTableIsOfTheseRules(t *testing.T) {
	made := tableOfFiles(t)
	sum, err := shippedSum()
	if err != nil {
		t.Fatal(err)
	}
	text, err := writeTable(made, sum)
	if err != nil {
		t.Fatal(err)
	}
	if *write {
		if err := os.WriteFile("compiled.txt", []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if text != compiledText {
		t.Error("compiled.txt is not of these rules: run go generate ./diagnose")
	}
	read, of, err := readTable(text)
	if err != nil || of != sum {
		t.Fatal("what was written is not read: ", err, of, sum)
	}
	if !reflect.DeepEqual(read.index, made.index) || !reflect.DeepEqual(read.set, made.set) || read.tier != made.tier ||
		!reflect.DeepEqual(read.begins, made.begins) || !reflect.DeepEqual(read.from, made.from) ||
		!reflect.DeepEqual(read.owner, made.owner) || !reflect.DeepEqual(read.always, made.always) {
		t.Error("the table is another one when it has been written and read")
	}
	for i, r := range read.rules {
		m := made.rules[i]
		if r.ID != m.ID || r.Class != m.Class || r.Match != m.Match || r.Token != m.Token || r.Provider != m.Provider ||
			r.Retry != m.Retry || r.Actor != m.Actor || r.Confidence != m.Confidence || r.Advice != m.Advice ||
			r.Outcome != m.Outcome || !reflect.DeepEqual(r.Contributing, m.Contributing) || r.Tier != m.Tier {
			t.Errorf("rule %s is another one when it has been written and read: %s", m.ID, r.ID)
		}
	}
}

// A damaged table must be refused, not believed and not crashed on.
func FuzzReadTable(f *testing.F) {
	head, _, _ := strings.Cut(compiledText, "\n\n")
	f.Add(head[:min(len(head), 2000)] + "\n\n1\t0\tabcd\n")
	f.Add("")
	f.Add(compiledHead + "0\na\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		read, _, err := readTable(text)
		if err != nil {
			return
		}
		s := newSubject("550 5.1.1 user unknown")
		var b room
		read.candidates(&s, &b, false)
	})
}
